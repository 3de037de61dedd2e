"""Logs of applications: layouts, records and their repetitions, numbers, culprits, and what must not be taken for one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connforensics.evidence import ReadOptions, application_log, application_records, identify, layouts
from connforensics.evidence.messages import client_refusals, hikaricp, jvm_pools, node_pools, other_pools, python_pools
from connforensics.evidence.messages.pool_numbers import NUMBERS, Numbers
from tests import corpus
from tests.corpus import manifest
from tests.test_formats import Read, head_of, read

OWN = ReadOptions(format="application_log")

TIMEOUT = "HikariPool-1 - Connection is not available, request timed out after 30001ms."
REFUSED = "FATAL: sorry, too many clients already"


def told(found: Read, *columns: str) -> list[tuple[object, ...]]:
    """The events of a file in line order, as tuples of these columns."""
    rows = sorted(found.rows["event"], key=lambda row: (row["line_no"], row["kind"]))
    return [tuple(row[column] for column in columns) for row in rows]


def kinds(found: Read) -> dict[object, int]:
    counted: dict[object, int] = {}
    for row in found.rows["event"]:
        counted[row["kind"]] = counted.get(row["kind"], 0) + 1
    return counted


# Catalogues and layouts as data.


def test_the_catalogues_together_are_what_is_typed() -> None:
    modules = (client_refusals, hikaricp, jvm_pools, python_pools, node_pools, other_pools)
    entries = {entry for module in modules for entry in module.CATALOGUE}
    assert entries == set(application_records.CATALOGUE)


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=entry.sample[:60]) for entry in application_records.CATALOGUE]
)
def test_no_entry_hides_another(entry: object) -> None:
    sample = entry.sample.split("\n", 1)[0]  # type: ignore[attr-defined]
    first = next(one for one in application_records.CATALOGUE if one.fits(sample))
    assert (first.kind, first.reason) == (entry.kind, entry.reason)  # type: ignore[attr-defined]
    assert all("'" not in literal and '"' not in literal and "\\" not in literal for literal in first.literals), (
        "JSON escapes quotes: a literal must be found in both"
    )


@pytest.mark.parametrize("numbers", [pytest.param(one, id=one.sample[:50]) for one in NUMBERS])
def test_numbers_tell_what_their_sample_says(numbers: Numbers) -> None:
    found: dict[str, float | str] = {
        column: float(match[1])
        for column, expression in numbers.columns.items()
        if (match := re.search(expression, numbers.sample))
    }
    place = re.search(numbers.pattern, numbers.sample)
    assert place is not None
    if numbers.names_pool:
        found["pool"] = place["pool"]
    assert found == dict(numbers.told)
    assert numbers.has in numbers.sample


@pytest.mark.parametrize("frame", [pytest.param(frame, id=frame.name) for frame in layouts.FRAMES])
def test_a_layout_is_its_own(frame: layouts.Frame) -> None:
    line = frame.example.split("\n")[0] + "something"
    assert next(one.name for one in layouts.FRAMES if one.compiled.match(line)) == frame.name


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("2026-11-21T04:12:00.500+01:00  INFO 7 --- [main] c.e.App : {}", "2026-11-21T03:12:00.500000"),
        ("2026-11-21 03:12:00,500 ERROR [main] c.e.App:12 - {}", "2026-11-21T03:12:00.500000"),
        ("[2026-11-21 03:12:00 +0000] [7] [ERROR] {}", "2026-11-21T03:12:00"),
        ("2026-11-21 03:12:00 [error    ] {} [app.orders]", "2026-11-21T03:12:00"),
        ("time=2026-11-21T03:12:00.5Z level=error msg=\"no order\" error=\"{}\"", "2026-11-21T03:12:00.500000"),
        ("level=error ts=1795230720.5 caller=db.go:12 err=\"{}\"", "2026-11-21T03:12:00.500000"),
        ("[2026-11-21 03:12:00] production.ERROR: {}", "2026-11-21T03:12:00"),
        ("E, [2026-11-21T03:12:00.500000 #7] ERROR -- : [4f2a] {}", "2026-11-21T03:12:00.500000"),
        ("2026/11/21 03:12:00 {}", "2026-11-21T03:12:00"),
        ("2026/11/21 03:12:00 [error] 7#7: *1 FastCGI sent in stderr: \"{}\" while reading", "2026-11-21T03:12:00"),
        ("2026-11-21 03:12:00.5000|ERROR|Orders.Db|{}", "2026-11-21T03:12:00.500000"),
        ("21-Nov-2026 03:12:00.500 SEVERE [exec-1] c.e.App.run {}", "2026-11-21T03:12:00.500000"),
        ("[21-Nov-2026 03:12:00 UTC] PHP Fatal error:  Uncaught {}", "2026-11-21T03:12:00"),
        ("[21-Nov-2026 04:12:00 Europe/Berlin] PHP Warning:  {}", "2026-11-21T03:12:00"),
        ("[Sat Nov 21 03:12:00.500000 2026] [php:error] [pid 7] [client 10.0.0.7:41] {}", "2026-11-21T03:12:00.500000"),
        ("ERROR 2026-11-21 03:12:00,500 orders {}", "2026-11-21T03:12:00.500000"),
        ("2026-11-21T03:12:00.500000Z ERROR orders::db: {}", "2026-11-21T03:12:00.500000"),
        ("03:12:00.500 request_id=F2 [error] {}", None),
        ("[03:12:00 ERR] {}", None),
        ("E1121 03:12:00.500000       7 db.go:12] {}", None),
        ("PHP Fatal error:  Uncaught PDOException: {}", None),
        ("ERROR:    {}", None),
        ("{}", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", [REFUSED, TIMEOUT])
def test_a_message_is_found_in_any_layout_with_its_time(line: str, at: str | None, said: str, tmp_path: Path) -> None:
    found = read(line.format(said) + "\n", tmp_path, options=OWN)
    [row] = found.rows["event"]
    assert row["kind"] == ("client_refused" if said == REFUSED else "pool_timeout")
    moment = row["event_at"]
    assert (moment.isoformat() if moment is not None else None) == at  # type: ignore[attr-defined]
    if said == TIMEOUT:
        assert (row["detail"], row["duration_ms"], row["engine"]) == ("HikariPool-1", 30001.0, "hikaricp")


@pytest.mark.parametrize(
    ("record", "at", "severity", "service"),
    [
        ({"level": 50, "time": 1795230720500, "msg": REFUSED}, "2026-11-21T03:12:00.500000", "ERROR", None),
        ({"level": "error", "ts": 1795230720.5, "msg": "x", "error": REFUSED}, "2026-11-21T03:12:00.500000", "ERROR", None),
        ({"severity": "ERROR", "timestamp": "2026-11-21T03:12:00.500Z", "message": "x", "err": {"stack": f"Error: {REFUSED}\n at x"}},
         "2026-11-21T03:12:00.500000", "ERROR", None),
        ({"@timestamp": "2026-11-21T03:12:00.500Z", "log.level": "WARN", "message": REFUSED, "service.name": "orders"},
         "2026-11-21T03:12:00.500000", "WARN", "orders"),
        ({"@t": "2026-11-21T03:12:00.5000000Z", "@mt": "no order", "@l": "Error", "@x": f"Npgsql: 53300: {REFUSED}"},
         "2026-11-21T03:12:00.500000", "ERROR", None),
        ({"timestamp": "2026-11-21 03:12:00,500", "levelname": "ERROR", "event": "x", "exc_info": f"a\nb\n{REFUSED}", "app": "orders"},
         "2026-11-21T03:12:00.500000", "ERROR", "orders"),
        ({"instant": {"epochSecond": 1795230720, "nanoOfSecond": 5}, "level": "ERROR", "thrown": {"message": REFUSED}, "message": "x"},
         "2026-11-21T03:12:00", "ERROR", None),
        ({"datetime": "2026-11-21T03:12:00+00:00", "level": 400, "level_name": "ERROR", "message": REFUSED},
         "2026-11-21T03:12:00", "ERROR", None),
        ({"log": {"level": "error"}, "time": 1795230720500000000, "service": {"name": "orders"}, "message": REFUSED},
         "2026-11-21T03:12:00.500000", "ERROR", "orders"),
    ],
)  # fmt: skip
def test_json_loggers_by_the_names_they_use(
    record: dict[str, object], at: str, severity: str, service: str | None, tmp_path: Path
) -> None:
    found = read(json.dumps(record) + "\n", tmp_path, options=OWN)
    [row] = found.rows["event"]
    assert (row["kind"], row["reason"]) == ("client_refused", "full")
    assert row["event_at"].isoformat() == at  # type: ignore[attr-defined]
    assert (row["severity"], row["application_name"]) == (severity, service)


def test_a_json_line_that_was_cut_off_still_tells(tmp_path: Path) -> None:
    whole = json.dumps({"level": 50, "time": 1795230720000, "msg": REFUSED, "stack": "x" * 100})
    found = read(whole[:-50] + "\n", tmp_path, options=OWN)
    assert [(row["kind"], row["event_at"].isoformat()) for row in found.rows["event"]] == [  # type: ignore[attr-defined]
        ("client_refused", "2026-11-21T03:12:00")
    ]


# Records.


def test_one_failure_is_one_event_however_often_its_trace_repeats_it(tmp_path: Path) -> None:
    text = (
        f"2026-11-21 03:12:00.000 ERROR 7 --- [exec-1] c.e.App : {TIMEOUT}\n\n"
        f"java.sql.SQLTransientConnectionException: {TIMEOUT}\n"
        "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n"
        f"Caused by: java.sql.SQLTransientConnectionException: {TIMEOUT}\n"
        f"Caused by: org.postgresql.util.PSQLException: {REFUSED}\n"
        f"\t... 12 more\nCaused by: org.postgresql.util.PSQLException: {REFUSED}\n"
        f"2026-11-21 03:12:01.000 ERROR 7 --- [exec-2] c.e.App : {TIMEOUT}\n"
    )
    found = read(text, tmp_path, options=OWN)
    assert told(found, "line_no", "kind") == [(1, "pool_timeout"), (6, "client_refused"), (9, "pool_timeout")]


def test_two_records_of_one_thread_about_one_wait_are_one_timeout(tmp_path: Path) -> None:
    hibernate = "2026-11-21 03:12:00.000 ERROR 7 --- [exec-1] o.h.engine.jdbc.spi.SqlExceptionHelper : "
    spring = "2026-11-21 03:12:00.009 ERROR 7 --- [exec-1] o.a.c.c.C.[dispatcherServlet] : Servlet.service() threw"
    other = "2026-11-21 03:12:00.010 ERROR 7 --- [exec-2] o.h.engine.jdbc.spi.SqlExceptionHelper : "
    text = f"{hibernate}{TIMEOUT}\n{spring}\n\njava.sql.SQLException: {TIMEOUT}\n{other}{TIMEOUT}\n"
    found = read(text, tmp_path, options=OWN)
    assert told(found, "line_no") == [(1,), (5,)]


def test_a_chained_python_traceback_is_one_record_and_two_tracebacks_are_two(tmp_path: Path) -> None:
    one = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n    g()\n'
        f"psycopg.OperationalError: connection failed: {REFUSED}\n"
        "\nThe above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last):\n"
        '  File "b.py", line 1, in f\n    g()\n'
        f"sqlalchemy.exc.OperationalError: (psycopg.OperationalError) connection failed: {REFUSED}\n"
        "(Background on this error at: https://sqlalche.me/e/20/e3q8)\n"
    )
    found = read(one + one, tmp_path, options=OWN)
    assert told(found, "line_no", "kind") == [(4, "client_refused"), (16, "client_refused")]


def test_failures_printed_one_after_another_are_each_counted(tmp_path: Path) -> None:
    printed = "".join(
        f"worker {n}: QueuePool limit of size 2 overflow 1 reached, connection timed out\n" for n in range(3)
    )
    named = "psycopg_pool.PoolTimeout: couldn't get a connection after 1.00 sec\n" * 2
    found = read(f"2026-11-21 03:12:00,000 INFO start\n{printed}{named}", tmp_path, options=OWN)
    assert told(found, "line_no") == [(2,), (3,), (4,), (5,), (6,)]
    bare = read(printed + named, tmp_path / "bare", options=OWN)
    assert told(bare, "line_no") == [(1,), (2,), (3,), (4,), (5,)]


def test_a_logger_written_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    said = "sqlalchemy.pool.impl.QueuePool{}Created new connection <psycopg.Connection [IDLE] at 0x7f>"
    first = f"2026-11-21 03:12:00,123 INFO {said.format(' ')}\n"
    second = f"INFO:{said.format(':')}\n"
    found = read(first + second, tmp_path, options=OWN)
    assert told(found, "line_no", "kind") == [(1, "pool_connection_added")]
    assert any("written twice" in text for text in found.assumptions)


def test_a_record_is_not_torn_where_a_slice_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from connforensics.evidence import lines

    monkeypatch.setattr(lines, "SLICE_BYTES", 1 << 20)
    monkeypatch.setattr(lines.slices, "__defaults__", (1 << 20,))
    frame = "\tat org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1089)\n"
    text = (
        f"2026-11-21 03:12:00.000 ERROR 7 --- [exec-1] c.e.App : {TIMEOUT}\n"
        + frame * ((3 << 20) // len(frame))
        + f"Caused by: {TIMEOUT}\nCaused by: org.postgresql.util.PSQLException: {REFUSED}\n"
    )
    found = read(text, tmp_path, options=OWN)
    assert told(found, "kind") == [("pool_timeout",), ("client_refused",)]
    assert {row["event_at"].isoformat() for row in found.rows["event"]} == {"2026-11-21T03:12:00"}  # type: ignore[attr-defined]


# What the messages tell.


@pytest.mark.parametrize(
    ("said", "columns"),
    [
        ("orders-pool - Pool stats (total=3, active=2, idle=1, waiting=4)", ("orders-pool", None, 3, 2, 1, 4)),
        ("orders-pool - Pool stats (total=3/10, idle=1/2, active=2, waiting=4)", ("orders-pool", 10, 3, 2, 1, 4)),
        ("orders-pool - Before cleanup stats (total=3, active=2, idle=1, waiting=4)", ("orders-pool", None, 3, 2, 1, 4)),
        ("orders-pool - After cleanup  stats (total=3, active=2, idle=1, waiting=4)", ("orders-pool", None, 3, 2, 1, 4)),
        ("orders-pool - After adding stats (total=3/10, idle=1/2, active=2, waiting=4)", ("orders-pool", 10, 3, 2, 1, 4)),
        ("Before cleanup pool stats orders (total=3, inUse=2, avail=1, waiting=4)", ("orders", None, 3, 2, 1, 4)),
        ("get_stats: {'pool_min': 2, 'requests_waiting': 4, 'pool_size': 3, 'pool_available': 1, 'pool_max': 10}", (None, 10, 3, None, 1, 4)),
        ('{"stats":{"pool_max":10,"pool_size":3,"pool_available":1,"requests_waiting":4},"level":"info","msg":"x"}', (None, 10, 3, None, 1, 4)),
        ("pool totalCount=3 idleCount=1 waitingCount=4", (None, None, 3, None, 1, 4)),
        ('{"InUse":2,"MaxOpenConnections":10,"OpenConnections":3,"InUse":2,"Idle":1,"level":"info","msg":"x"}', (None, 10, 3, 2, 1, None)),
        ("{:size=>10, :connections=>3, :busy=>2, :dead=>0, :idle=>1, :waiting=>4, :checkout_timeout=>5.0}", (None, 10, 3, 2, 1, 4)),
    ],
)  # fmt: skip
def test_the_numbers_of_pools_are_read_by_name(said: str, columns: tuple[object, ...], tmp_path: Path) -> None:
    line = said if said.startswith('{"') else f"2026-11-21 03:12:00.000 DEBUG [main] x - {said}"
    found = read(line + "\n", tmp_path, options=OWN)
    names = ("pool", "max_size", "size", "checked_out", "idle", "waiting")
    assert [tuple(row[name] for name in names) for row in found.rows["pool_sample"]] == [columns]
    assert found.rows["event"] == []
    assert found.source["understood"] == 1


def test_a_leak_names_the_code_that_took_the_connection_and_its_retraction(tmp_path: Path) -> None:
    text = (
        "2026-11-21 03:12:00.000 WARN [housekeeper-1] ProxyLeakTask - Connection leak detection triggered for"
        " com.mysql.cj.jdbc.ConnectionImpl@4a on thread exec-1, stack trace follows\n"
        "java.lang.Exception: Apparent connection leak detected\n"
        "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:128)\n"
        "\tat app//org.springframework.jdbc.datasource.DataSourceUtils.doGetConnection(DataSourceUtils.java:160)\n"
        "\tat app//com.example.Report.rows(Report.java:31)\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
        "2026-11-21 03:12:05.000 INFO [exec-1] ProxyLeakTask - Previously reported leaked connection"
        " com.mysql.cj.jdbc.ConnectionImpl@4a on thread exec-1 was returned to the pool (unleaked)\n"
        "2026-11-21 03:12:06.000 INFO [exec-1] c.e.Other - at peace\n"
    )
    found = read(text, tmp_path, options=OWN)
    assert told(found, "line_no", "kind", "session_key", "detail") == [
        (1, "pool_leak_suspected", "com.mysql.cj.jdbc.ConnectionImpl@4a", "com.example.Report.rows(Report.java:31)"),
        (7, "pool_leak_returned", "com.mysql.cj.jdbc.ConnectionImpl@4a", None),
    ]


def test_a_leak_in_json_names_its_code_too(tmp_path: Path) -> None:
    stack = "java.lang.Exception: Apparent connection leak detected\n\tat com.zaxxer.hikari.X.y(X.java:1)\n\tat com.example.Report.rows(Report.java:31)\n"
    record = {
        "@timestamp": "2026-11-21T03:12:00Z", "log.level": "WARN", "service.name": "orders",
        "message": "Connection leak detection triggered for conn0 on thread main, stack trace follows", "error.stack_trace": stack,
    }  # fmt: skip
    found = read(json.dumps(record) + "\n", tmp_path, options=OWN)
    assert told(found, "kind", "session_key", "detail", "application_name") == [
        ("pool_leak_suspected", "conn0", "com.example.Report.rows(Report.java:31)", "orders")
    ]


@pytest.mark.parametrize(
    ("said", "reason", "who"),
    [
        ("FATAL: remaining connection slots are reserved for roles with privileges of the \"pg_use_reserved_connections\" role", "reserved", {}),
        ('FATAL: too many connections for role "app"', "quota", {"user_name": "app"}),
        ('FATAL: too many connections for database "shop"', "quota", {"database_name": "shop"}),
        ("failed to connect: server error (FATAL: trop de clients (SQLSTATE 53300))", "full", {"sqlstate": "53300"}),
        ("(1040, 'Too many connections')", "full", {"error_code": "1040"}),
        ('Data source rejected establishment of connection,  message from server: "Too many connections"', "full", {}),
        ("Error 1040 (08004): Too many connections", "full", {"error_code": "1040"}),
        ("SQLSTATE[08004] [1040] Too many connections", "full", {}),
        ("Mysql2::Error::ConnectionError: Too many connections", "full", {}),
        ("(1203, \"User app already has more than 'max_user_connections' active connections\")", "quota", {"user_name": "app"}),
        ("User 'app' has exceeded the 'max_user_connections' resource (current value: 2)", "quota",
         {"user_name": "app", "detail": "max_user_connections"}),
        ("Host '10.0.0.7' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'", "blocked",
         {"client_host": "10.0.0.7"}),
        ("ERROR: no more connections allowed (max_client_conn)", "full", {"engine": None}),
    ],
)  # fmt: skip
def test_refusals_that_applications_repeat(said: str, reason: str, who: dict[str, object], tmp_path: Path) -> None:
    found = read(f"2026-11-21 03:12:00.000 [main] ERROR c.e.App - {said}\n", tmp_path, options=OWN)
    [row] = found.rows["event"]
    assert (row["kind"], row["reason"]) == ("client_refused", reason)
    assert {name: row[name] for name in who} == who
    escaped = read(
        json.dumps({"level": "error", "time": "2026-11-21T03:12:00Z", "msg": "x", "error": said}) + "\n",
        tmp_path / "json",
        options=OWN,
    )
    [row] = escaped.rows["event"]
    assert (row["kind"], row["reason"]) == ("client_refused", reason)
    assert {name: row[name] for name in who} == who


@pytest.mark.parametrize(
    "said",
    [
        "421 Too many connections from 10.0.0.7",
        "connection pool warmed up",
        "java.net.ConnectException: Connection refused (Connection refused)",
        "client 12 opened a connection to partner 7",
        "order 53300 placed",
        "sqlite3.OperationalError: no such table: orders",
        "Lock wait timeout exceeded; try restarting transaction",
    ],
)
def test_what_is_none_of_ours_is_no_event(said: str, tmp_path: Path) -> None:
    found = read(f"2026-11-21 03:12:00.000 [main] ERROR c.e.App - {said}\n", tmp_path, options=OWN)
    assert found.rows["event"] == []


def test_a_message_that_looks_like_ours_and_is_not_known_is_shown(tmp_path: Path) -> None:
    found = read(
        "2026-11-21 03:12:00.000 [main] ERROR c.e.App - FancyPool: pool exhausted, giving up\n"
        "\tat com.example.FancyPool.poolExhausted(FancyPool.java:1)\n",
        tmp_path,
        options=OWN,
    )
    assert (found.source["unknown"], found.source["ignored"]) == (1, 1)


def test_times_without_a_zone_take_the_one_given(tmp_path: Path) -> None:
    options = ReadOptions(format="application_log", timezone="Europe/Berlin")
    found = read(f"2026-11-21 04:12:00.000 [main] ERROR c.e.App - {REFUSED}\n", tmp_path, options=options)
    assert [row["event_at"].isoformat() for row in found.rows["event"]] == ["2026-11-21T03:12:00"]  # type: ignore[attr-defined]


# Identification.


def test_a_silent_log_is_understood_and_claimed_with_little_certainty() -> None:
    lines = [f"2026-11-21 03:12:{second:02d},000 INFO [main] c.e.App - order {second}" for second in range(20)]
    assert application_log.certainty(head_of("\n".join(lines))) == pytest.approx(0.35)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"2026-11-21 03:12:{n:02d}.000 UTC [{n}] app@shop FATAL:  sorry, too many clients already\n" for n in range(20)),
        "".join(f"2026-11-21 03:12:{n:02d}.000 UTC [7925] LOG C-0x56{n}: shop/app@127.0.0.1:54046 login attempt: db=shop user=app\n" for n in range(20)),
        "".join(f"2026-11-21T03:12:{n:02d}.123456Z {n} [Warning] [MY-010055] [Server] IP address could not be resolved\n" for n in range(20)),
        "".join(f"2026-11-21 03:12:{n:02d} MySQL_Monitor.cpp:123:run(): [ERROR] Too many connections\n" for n in range(20)),
        "".join(f'10.0.0.7 - - [21/Nov/2026:03:12:{n:02d} +0000] "GET / HTTP/1.1" 200 7\n' for n in range(20)),
        'time,level,msg\n2026-11-21 03:12:00,INFO,x\n2026-11-21 03:12:01,INFO,y\n',
        "How to fix `sorry, too many clients already`\n\nRaise max_connections, or use a pooler.\n\nSee also the manual.\nThe end.\n",
        '{"data":{"result":[{"metric":{"__name__":"up"},"value":[1795230720,"1"]}]},"status":"success"}\n',
        '{"timestamp":"2026-11-21 03:12:00.000 UTC","error_severity":"FATAL","state_code":"53300","message":"sorry, too many clients already"}\n' * 9,
    ],
)  # fmt: skip
def test_what_is_no_applications_log_is_not_claimed(text: str) -> None:
    assert application_log.certainty(head_of(text)) == 0.0


@pytest.mark.parametrize(
    "inner", ['{"level":50,"time":1795230720000,"msg":"%s"}', "2026-11-21 03:12:00,000 ERROR orders %s"]
)
def test_json_around_a_line_is_a_wrapper_and_no_log(inner: str, tmp_path: Path) -> None:
    line = inner % REFUSED
    wrapped = json.dumps({"@timestamp": "2026-11-21T03:12:09Z", "message": line}) + "\n"
    found = read(wrapped * 5, tmp_path)
    assert found.source["format"] == "application_log"
    assert {row["event_at"].isoformat() for row in found.rows["event"]} == {"2026-11-21T03:12:00"}  # type: ignore[attr-defined]
    assert len(found.rows["event"]) == 5


def test_monolog_is_not_taken_for_a_servers_log() -> None:
    lines = [f"[2026-11-21 03:12:{n:02d}] production.ERROR: {REFUSED}\n#0 /app/x.php(1): y()" for n in range(20)]
    assert identify(head_of("\n".join(lines)))[0][0].name == "application_log"


# The corpus.


@corpus.needed
@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in manifest("app_java_log", "hikari_log")])
def test_the_corpus_gives_what_its_manifest_counted(row: dict[str, str], tmp_path: Path) -> None:
    truth = corpus.truth(row)
    content = (corpus.CORPUS / row["file"]).read_bytes()
    assert identify(head_of(content.decode(errors="backslashreplace")))[0][0].name == "application_log"
    found = read(content, tmp_path)
    counted = kinds(found)
    for name, kind in (
        ("added_connection", "pool_connection_added"), ("start_completed", "pool_started"),
        ("shutdown_completed", "pool_stopped"), ("thread_starvation", "clock_leap"), ("pool_init_failed", "pool_failed"),
    ):  # fmt: skip
        assert counted.get(kind, 0) == int(truth.get(name, 0)), name
    assert (found.source["lines"], found.source["unknown"]) == (int(row["lines"]), 0)
    if "link_failure_texts" in truth:
        # The manifest counts texts; one failure repeats its text in its causes, and each "Connection refused" is the
        # innermost cause of a link failure of the same record. Records are counted here: those whose lines hold the text.
        text = content.decode()
        starts = list(re.finditer(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ", text))
        ends = [*(start.start() for start in starts[1:]), len(text)]
        records = [text[start.start() : end] for start, end in zip(starts, ends, strict=True)]
        assert sum("Communications link failure" in record for record in records) == counted["client_error"]
        assert text.count("Communications link failure") == int(truth["link_failure_texts"])
        assert all("Communications link failure" in record for record in records if "Connection refused" in record)


@pytest.mark.parametrize(
    "text",
    [
        "const PATTERNS = [\n  'too many clients already',\n  'remaining connection slots are reserved',\n] as const;\n",
        '\tif (strcmp(dbname, "pgbouncer") != 0) {\n\t\tdisconnect(client, "no more connections allowed (max_client_conn)");\n\t}\n',
        "# The pool was exhausted:\n#\n#     psycopg2.OperationalError: FATAL: no more connections allowed (max_client_conn)\n#\n",
        "| Kind | Texts |\n| --- | --- |\n| Capacity | `no more connections allowed (max_client_conn)` |\n",
        '    blows past max_connections ("sorry, too many clients already").\n    """\n    if url is None:\n        return\n',
    ],
)
def test_programs_and_manuals_that_quote_a_message_are_no_logs(text: str) -> None:
    assert not identify(head_of(text))


def test_a_service_that_writes_as_rds_proxy_does_is_not_taken_for_it(tmp_path: Path) -> None:
    text = (
        "2026-11-21T03:12:45.123Z [INFO]  Starting API Gateway v2.3.1\n"
        "2026-11-21T03:12:45.567Z [ERROR] Failed to initialize database pool: org.postgresql.util.PSQLException: FATAL:"
        " remaining connection slots are reserved for non-replication superuser connections\n"
    )
    assert [found.name for found, _ in identify(head_of(text))] == ["application_log"]


def test_a_refusal_under_its_exception_is_the_clients() -> None:
    text = (
        "PG::ConnectionBad\nFATAL:  remaining connection slots are reserved for non-replication superuser connections\n"
    )
    assert next(found.name for found, _ in identify(head_of(text))) == "application_log"
