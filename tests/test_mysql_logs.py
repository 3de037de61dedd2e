"""Logs of MySQL, MariaDB and Percona Server: error log, general log, slow log, audit log.

Nothing newer than MySQL 5.6 and MariaDB 10.11 can be started here (see test_mysql_live.py): the forms of MySQL 5.7 to 9
are tested by text alone.
"""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import pytest

from connforensics.evidence import ReadOptions, identify, lines
from tests.corpus import CORPUS, manifest, needed, truth
from tests.test_formats import Read, head_of, read


def kinds(found: Read) -> Counter[object]:
    return Counter(row["kind"] for row in found.rows["event"])


def events(found: Read, *columns: str) -> list[tuple[object, ...]]:
    ordered = sorted(found.rows["event"], key=lambda row: int(str(row["line_no"])))
    return [tuple(str(row[c]) if c == "event_at" else row[c] for c in columns) for row in ordered]


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few lines, so that records lie across their borders."""
    monkeypatch.setattr(lines, "BATCH_BYTES", 150)
    monkeypatch.setattr(lines, "slices", functools.partial(lines.slices, slice_bytes=150))


# The corpus.


def of(row: dict[str, str], tmp_path: Path) -> Read:
    path = CORPUS / row["file"]
    return read(path.read_bytes(), tmp_path, path.name)


@needed
@pytest.mark.parametrize("row", manifest("mysql_error_log"), ids=lambda row: row["file"].rpartition("/")[2])
def test_error_logs_of_the_corpus(row: dict[str, str], tmp_path: Path) -> None:
    told = truth(row)
    found = of(row, tmp_path)
    assert found.source["format"] == "mysql_error_log"
    assert found.source["suspects"] == 0
    counted = kinds(found)
    aborted = Counter(r["reason"] for r in found.rows["event"] if r["kind"] == "session_aborted")
    for name, count in {
        "aborted_total": counted["session_aborted"],
        "aborted_error_reading": aborted["read_error"],
        "aborted_timeout_reading": aborted["read_timeout"],
        "access_denied": counted["auth_failed"],
        "forcing_close": counted["session_terminated"],
        "name_resolve_warnings": counted["name_resolution_slow"],
        "ready_for_connections": counted["server_ready"],
        "shutdowns": counted["server_stopping"],
    }.items():
        assert count == int(told.get(name, 0)), name
    # The manifest counts "initializing of server has completed" of one file as a start of a process: it is the end of one.
    completed = (CORPUS / row["file"]).read_bytes().count(b"initializing of server has completed")
    assert counted["server_starting"] == int(told.get("starting_as_process", 0)) - completed


@needed
@pytest.mark.parametrize("row", manifest("mysql_error_log"), ids=lambda row: row["file"].rpartition("/")[2])
def test_versions_of_the_corpus(row: dict[str, str], tmp_path: Path) -> None:
    versions = [version.removeprefix("MySQL ") for version in row["engine_version"].split(", ") if version]
    found = of(row, tmp_path)
    assert found.source["engine"] == ("mariadb" if "MariaDB" in row["engine_version"] else "mysql")
    if b"Version: '" in (CORPUS / row["file"]).read_bytes():
        assert found.source["version"] in versions


@needed
@pytest.mark.parametrize("row", manifest("mysql_general_log"), ids=lambda row: row["file"].rpartition("/")[2])
def test_general_logs_of_the_corpus(row: dict[str, str], tmp_path: Path) -> None:
    told = truth(row)
    commands = dict(part.split(":") for part in told["commands"].split(","))
    found = of(row, tmp_path)
    assert found.source["format"] == "mysql_general_log"
    assert found.source["unknown"] == 0
    counted = kinds(found)
    assert counted["connection_closed"] == int(commands.get("Quit", 0))
    assert counted["auth_failed"] == int(told.get("access_denied", 0))
    assert counted["connection_opened"] + counted["auth_failed"] == int(commands.get("Connect", 0))
    assert counted["server_starting"] == int(told.get("restarts_headers", 0))


@needed
@pytest.mark.parametrize("row", manifest("mysql_slow_log"), ids=lambda row: row["file"].rpartition("/")[2])
def test_slow_logs_of_the_corpus(row: dict[str, str], tmp_path: Path) -> None:
    told = truth(row)
    found = of(row, tmp_path)
    assert found.source["format"] == "mysql_slow_log"
    statements = [r for r in found.rows["event"] if r["kind"] == "slow_statement"]
    assert len(statements) == int(told.get("query_time_lines", 0))
    assert all(len(str(r["text"])) <= 300 for r in statements)
    assert kinds(found)["server_starting"] == int(told.get("restart_headers", 0))
    if "distinct_ids" in told:
        assert len({r["backend_id"] for r in statements}) == int(told["distinct_ids"])


# Error log.

ABORTED = (
    "Aborted connection 34 to db: 'shop' user: 'app_web' host: '10.0.0.8' (Got an error reading communication packets)"
)


@pytest.mark.parametrize(
    ("header", "event_at"),
    [
        ("2026-11-21T03:12:06.123456Z 34 [Note] [MY-010914] [Server] ", "2026-11-21 03:12:06.123456"),
        ("2026-11-21T04:12:06.123456+01:00 34 [Note] ", "2026-11-21 03:12:06.123456"),
        ("2026-11-21T03:12:06.123456Z 0 [Warning] ", "2026-11-21 03:12:06.123456"),
        ("2026-11-21 03:12:06 3527 [Warning] ", "2026-11-21 03:12:06"),
        ("2026-11-21  3:12:06 34 [Warning] ", "2026-11-21 03:12:06"),
        ("261121  3:12:06 [Warning] ", "2026-11-21 03:12:06"),
        ("071121 21:55:24 [Warning] ", "2007-11-21 21:55:24"),
        ("051007   21:55:24 [Warning] ", "2005-10-07 21:55:24"),
    ],
)
def test_times_of_all_versions(header: str, event_at: str, tmp_path: Path) -> None:
    found = read(f"{header}{ABORTED}\n" * 2, tmp_path)
    assert found.source["format"] == "mysql_error_log"
    assert (
        events(found, "event_at", "kind", "reason", "backend_id")
        == [(event_at, "session_aborted", "read_error", 34)] * 2
    )


@pytest.mark.parametrize("header", ["2026-11-21  3:12:06 34 [Warning] ", "261121  3:12:06 [Warning] "])
def test_times_without_an_offset_are_those_of_the_zone_told(header: str, tmp_path: Path) -> None:
    found = read(f"{header}{ABORTED}\n", tmp_path, options=ReadOptions(timezone="Europe/Berlin"))
    assert events(found, "event_at") == [("2026-11-21 02:12:06",)]
    assert found.assumptions == ["times bear no zone: taken for Europe/Berlin"]


def test_the_number_in_a_header_is_a_pid_before_it_was_a_connection(tmp_path: Path) -> None:
    denied = "Access denied for user 'app_web'@'10.0.0.8' (using password: YES)"
    old = read(f"2026-11-21 03:12:06 3527 [Warning] {denied}\n" * 3, tmp_path / "5.6")
    new = read(
        f"2026-11-21  3:12:05 0 [Note] x\n2026-11-21  3:12:06 35 [Warning] {denied}\n2026-11-21  3:12:07 0 [Note] y\n",
        tmp_path / "mariadb",
    )
    assert events(old, "backend_id") == [(None,)] * 3
    assert events(new, "backend_id") == [(35,)]


def test_an_application_that_quotes_a_server_is_no_error_log() -> None:
    assert not [
        claimed
        for claimed, _ in identify(head_of(f"2026-11-21 03:12:06,123 ERROR [pool] {ABORTED}\n" * 3))
        if claimed.name == "mysql_error_log"
    ]


def test_forms_and_times_mixed_in_one_file(tmp_path: Path) -> None:
    found = read(
        "261121  3:10:00 mysqld_safe Starting mysqld daemon with databases from /var/lib/mysql\n"
        "2026-11-21T03:10:01.000000Z 0 [Note] mysqld (mysqld 5.7.42) starting as process 126 ...\n"
        f"2026-11-21T11:12:06.000000+08:00 34 [Note] {ABORTED}\n"
        f"2026-11-20T03:12:06.000000Z 34 [Note] {ABORTED}\n"
        "261121  3:13:00 mysqld_safe Number of processes running now: 0\n"
        "261121  3:13:00 mysqld_safe mysqld restarted\n",
        tmp_path,
    )
    assert events(found, "line_no", "event_at", "kind") == [
        (2, "2026-11-21 03:10:01", "server_starting"),
        (3, "2026-11-21 03:12:06", "session_aborted"),
        (4, "2026-11-20 03:12:06", "session_aborted"),
        (5, "2026-11-21 03:13:00", "server_crashed"),
    ]
    assert found.source["version"] == "5.7.42"
    assert str(found.source["first_at"]) == "2026-11-20 03:12:06"


def test_a_number_types_what_the_language_hides(tmp_path: Path) -> None:
    head = "2026-11-21T03:12:06.123456Z 35"
    found = read(
        f"{head} [Note] [MY-010926] [Server] Πρόσβαση απορρίφθηκε 'app_web'@'10.0.0.8' (YES)\n"
        f"{head} [Note] [MY-010914] [Server] 연결 34 중단 'shop' 사용자 'app_web' 호스트 '10.0.0.8' (오류).\n"
        f"{head} [Warning] Zugriff verweigert\n"
        f"{head} [Note] Abbruch der Verbindung 36 zur Datenbank 'shop'. Benutzer: 'app_web', Host: '10.0.0.8' (Fehler beim Lesen eines Kommunikationspakets)\n",
        tmp_path,
    )
    assert events(found, "line_no", "kind", "reason", "backend_id", "user_name", "client_host") == [
        (1, "auth_failed", "password", 35, "app_web", "10.0.0.8"),
        (2, "session_aborted", None, 34, "app_web", "10.0.0.8"),
        (4, "session_aborted", "read_error", 36, "app_web", "10.0.0.8"),
    ]


def test_english_wins_over_a_number_that_does_not_fit(tmp_path: Path) -> None:
    found = read("2026-11-21T03:12:06.1Z 9 [ERROR] [MY-010055] [Server] Unknown database 'nothere'\n", tmp_path)
    assert found.rows["event"] == []


def test_a_limit_lowered_at_the_start_is_the_limit(tmp_path: Path) -> None:
    found = read(
        "2026-11-21 03:10:00 3527 [Warning] Buffered warning: Changed limits: max_open_files: 1024 (requested 5010)\n"
        "2026-11-21 03:10:00 3527 [Warning] Buffered warning: Changed limits: max_connections: 214 (requested 1000)\n"
        "2026-11-21 03:10:00 3527 [Warning] Buffered warning: Changed limits: table_open_cache: 400 (requested 2000)\n",
        tmp_path,
    )
    assert events(found, "kind", "reason") == [
        ("setting_changed", "other_limit"),
        ("setting_changed", "max_connections"),
        ("setting_changed", "other_limit"),
    ]
    assert [(row["line_no"], row["name"], row["value"]) for row in found.rows["setting"]] == [
        (2, "max_connections", "214")
    ]


def test_a_stack_trace_and_a_monitors_output_say_nothing(tmp_path: Path) -> None:
    trace = "".join(f"/usr/sbin/mysqld(handle_connection+0x{number:x}) [0x55d0]\n" for number in range(200))
    found = read(
        "2026-11-21T03:12:06.1Z 0 [Note] x\n03:12:07 UTC - mysqld got signal 11 ;\n"
        "Most likely, you have hit a bug, but this error can also be caused by malfunctioning hardware.\n"
        f"max_used_connections=152\nconnection_count=151\n{trace}"
        "2026-11-21T03:12:09.1Z 0 [Note] y\n2026-11-21T03:12:09.2Z 0 [Note] z\n"
        "------------\nTRANSACTIONS\n------------\n---TRANSACTION 421, ACTIVE 10 sec\nMySQL thread id 34, OS thread handle 1\n",
        tmp_path,
    )
    assert events(found, "line_no", "kind", "detail") == [(2, "server_crashed", "signal 11")]
    assert found.source["unknown"] == 0


def test_a_killed_session_is_told_once(tmp_path: Path) -> None:
    killed = "2026-11-21  3:12:06 15 [ERROR] mariadbd: Connection was killed\n"
    aborted = "2026-11-21  3:12:06 16 [Warning] Aborted connection 15 to db: 'unconnected' user: 'app_web' host: '10.0.0.8' (KILLED)\n"
    start = "2026-11-21  3:12:00 0 [Note] x\n"
    assert events(read(start + aborted + killed * 2, tmp_path / "told"), "kind", "reason") == [
        ("session_aborted", "killed")
    ]
    untold = read(start + killed * 2, tmp_path / "untold")
    assert events(untold, "line_no", "kind", "reason", "backend_id") == [(2, "session_terminated", "killed", 15)]
    source = untold.source
    assert (source["understood"], source["ignored"], source["unknown"]) == (1, 2, 0)


def test_a_connection_line_of_unknown_wording_is_unknown(tmp_path: Path) -> None:
    found = read("2026-11-21  3:12:06 0 [Warning] Connection 7 went for a walk\n" * 2, tmp_path)
    assert (found.source["unknown"], found.source["suspects"]) == (2, 2)


def test_the_json_sink_is_the_same_log(tmp_path: Path) -> None:
    found = read(
        '{ "log_type" : 1, "prio" : 3, "err_code" : 10926, "msg" : "Access denied for user \'app\\u00e9\'@\'10.0.0.8\' (using password: YES)",'
        ' "time" : "2026-11-21T04:12:06.123456+01:00", "ts" : 1795230726123, "thread" : 35, "err_symbol" : "ER_ACCESS_DENIED",'
        ' "SQL_state" : "28000", "subsystem" : "Server", "label" : "Note" }\n{ "prio" : 3, "err_code" : 1\n',
        tmp_path,
        options=ReadOptions(format="mysql_error_log"),
    )
    assert events(found, "event_at", "kind", "backend_id", "user_name", "error_code") == [
        ("2026-11-21 03:12:06.123456", "auth_failed", 35, "appé", "MY-010926")
    ]


# General log.


def test_a_time_is_carried_to_the_lines_below_it(small_slices: None, tmp_path: Path) -> None:
    found = read(
        "261121  3:12:06\t    3 Connect\troot@localhost on \n"
        + "\t\t    3 Query\tSELECT 1\n" * 30
        + "\t\t    4 Connect\tapp_web@10.0.0.8 on shop\n"
        + "261121  3:12:07\t    3 Query\tSELECT\n 2\n"
        + "\t\t    3 Quit\t\n\t\t    4 Quit\t\n",
        tmp_path,
    )
    assert events(found, "event_at", "kind", "backend_id", "database_name") == [
        ("2026-11-21 03:12:06", "connection_opened", 3, None),
        ("2026-11-21 03:12:06", "connection_opened", 4, "shop"),
        ("2026-11-21 03:12:07", "connection_closed", 3, None),
        ("2026-11-21 03:12:07", "connection_closed", 4, None),
    ]


def test_statements_do_not_connect(tmp_path: Path) -> None:
    found = read(
        "2026-11-21T03:12:06.1Z\t    3 Query\tSELECT ' Connect\troot@localhost on x', ' Quit'\n"
        "  FROM t -- 3 Quit\n"
        "2026-11-21T03:12:06.2Z\t    3 Connect Out\trepl@10.0.0.1:3306\n"
        "2026-11-21T03:12:06.3Z\t    3 Init DB\tshop\n",
        tmp_path,
    )
    assert found.rows["event"] == []
    assert found.source["unknown"] == 0


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("app_web@10.0.0.8 on shop using TCP/IP", ("connection_opened", "app_web", "10.0.0.8", "shop", "TCP/IP")),
        ("app_web@localhost on  using Socket", ("connection_opened", "app_web", "localhost", None, "Socket")),
        ("@localhost on shop using SSL/TLS", ("connection_opened", None, "localhost", "shop", "SSL/TLS")),
        ("a@b@fe80::1 on  using TCP/IP", ("connection_opened", "a@b", "fe80::1", None, "TCP/IP")),
        ("app@localhost as anonymous on shop", ("connection_opened", "app", "localhost", "shop", None)),
        ("Access denied for user 'x'@'h' (using password: NO)", ("auth_failed", "x", "h", None, None)),
        ("Too many connections", ("refused_full", None, None, None, None)),
        ("Host '10.0.0.8' is blocked because of many connection errors", ("refused_rule", None, None, None, None)),
        ("User 'x' has exceeded the 'max_user_connections' resource", ("refused_quota", None, None, None, None)),
    ],
)
def test_what_connect_may_say(argument: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    found = read(f"2026-11-21T03:12:06.123456Z\t    3 Connect\t{argument}\n", tmp_path)
    assert events(found, "kind", "user_name", "client_host", "database_name", "detail") == [expected]


def test_connect_that_says_something_else_is_unknown(tmp_path: Path) -> None:
    found = read("2026-11-21T03:12:06.123456Z\t    3 Connect\tsomething new\n", tmp_path)
    assert (found.source["unknown"], found.rows["event"]) == (1, [])


def test_blanks_for_tabs(tmp_path: Path) -> None:
    found = read("2026-11-21T03:12:06.123456Z     3 Connect   app_web@10.0.0.8 on shop using TCP/IP\n", tmp_path)
    assert events(found, "kind", "backend_id", "client_host") == [("connection_opened", 3, "10.0.0.8")]


# Slow log.

SLOW = (
    "# Time: 2026-11-21T03:12:{:02d}.000000Z\n# User@Host: app_web[app_web] @  [10.0.0.8]  Id:    12\n"
    "# Query_time: 1.500000  Lock_time: 0.000121 Rows_sent: 20  Rows_examined: 29520\nSET timestamp=1795230725;\n{};\n"
)


def test_statements_of_any_length(small_slices: None, tmp_path: Path) -> None:
    long = "SELECT '" + "x" * 39_000 + "'"
    many = "SELECT\n" + "\n".join(f"  column_{number}," for number in range(500)) + "\n  1"
    text = "".join(SLOW.format(second, statement) for second, statement in enumerate((long, many, "SELECT 2")))
    found = read(text, tmp_path)
    assert events(found, "event_at", "duration_ms", "backend_id") == [
        (f"2026-11-21 03:12:{second:02d}", 1500.0, 12) for second in range(3)
    ]
    first, second, third = (str(row["text"]) for row in found.rows["event"])
    assert (len(first), second[:25], third) == (300, "SELECT column_0, column_1", "SELECT 2;")
    assert found.source["unknown"] == 0


def test_the_fields_of_extended_logs(tmp_path: Path) -> None:
    found = read(
        "# Time: 2026-11-21T03:12:06.000000Z\n"
        "# User@Host: app_web[app_web] @ web1 [10.0.0.8]  Id:    12\n"
        "# Query_time: 0.5  Lock_time: 0.1 Rows_sent: 1  Rows_examined: 2 Thread_id: 12 Errno: 0 Killed: 0 Bytes_received: 0\n"
        "SET timestamp=1795230725;\nSELECT 1;\n"
        "# Time: 2026-11-21T03:12:07.000000Z\n"
        "# User@Host: app_web[app_web] @ web1 [10.0.0.8]\n"
        "# Schema: shop  Last_errno: 0  Killed: 0\n"
        "# Query_time: 0.5  Lock_time: 0.1  Rows_sent: 1  Rows_examined: 2  Rows_affected: 0\n"
        "# Bytes_sent: 10  Tmp_tables: 0\n# InnoDB_trx_id: 0\n# Thread_id: 13\n"
        "SET timestamp=1795230726;\nCOMMIT;\n",
        tmp_path,
    )
    assert events(found, "backend_id", "client_host", "database_name", "text") == [
        (12, "web1", None, "SELECT 1;"),
        (13, "web1", "shop", "COMMIT;"),
    ]


def test_a_record_cut_short_is_unknown(tmp_path: Path) -> None:
    found = read(
        SLOW.format(6, "SELECT 1") + "# Time: 2026-11-21T03:12:07.000000Z\n# User@Host: a[a] @  [h]  Id: 1\n", tmp_path
    )
    assert len(found.rows["event"]) == 1
    assert found.source["unknown"] == 2


# Audit log.


def test_a_failed_login_does_not_end_a_session(small_slices: None, tmp_path: Path) -> None:
    record = "20261121 03:12:{:02d},db1,app_web,10.0.0.9,{},0,{}\n".format
    found = read(
        record(5, 34, "CONNECT,shop,,0")
        + "".join(
            record(6, number, "FAILED_CONNECT,shop,,1040") + record(6, number, "DISCONNECT,shop,,0")
            for number in range(40, 60)
        )
        + record(7, 34, "DISCONNECT,shop,,0"),
        tmp_path,
    )
    assert kinds(found) == {"connection_opened": 1, "refused_full": 20, "connection_closed": 1}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1040, ("refused_full", None)), (1045, ("auth_failed", "password")), (1129, ("refused_rule", "host_blocked")),
        (1130, ("refused_rule", "host_not_allowed")), (1203, ("refused_quota", "user")), (1226, ("refused_quota", "user")),
        (1049, ("unknown_target", "database")), (1053, ("refused_state", "stopping")), (1044, ("auth_failed", "database")),
        (1158, ("client_lost", "login")), (1156, ("bad_startup", "protocol")), (9999, ("bad_startup", "login_failed")),
    ],
)  # fmt: skip
def test_codes_of_failed_logins(code: int, expected: tuple[str, str | None], tmp_path: Path) -> None:
    found = read(f"20261121 03:12:06,db1,app_web,10.0.0.9,36,0,FAILED_CONNECT,shop,,{code}\n", tmp_path)
    assert events(found, "kind", "reason", "error_code") == [(*expected, str(code))]


def test_an_audit_log_through_syslog_takes_its_time(tmp_path: Path) -> None:
    found = read(
        "2026-11-21T03:12:06.000000+00:00 db1 mysql-server_auditing: db1,app_web,10.0.0.8,34,0,CONNECT,shop,,0\n"
        "2026-11-21T03:12:07.000000+00:00 db1 mysql-server_auditing: db1,app_web,10.0.0.8,34,9,QUERY,shop,'SELECT 1',0\n"
        "2026-11-21T03:12:08.000000+00:00 db1 mysql-server_auditing: db1,app_web,10.0.0.8,34,0,DISCONNECT,shop,,0\n",
        tmp_path,
    )
    assert events(found, "event_at", "kind", "backend_id") == [
        ("2026-11-21 03:12:06", "connection_opened", 34),
        ("2026-11-21 03:12:08", "connection_closed", 34),
    ]


# Look-alikes.


@pytest.mark.parametrize(
    "text",
    [
        "*************************** 1. row ***************************\n  event_time: 2026-11-21 03:12:06.123456\n"
        "   user_host: root[root] @ localhost []\n   thread_id: 3\n   server_id: 1\ncommand_type: Connect\n"
        "    argument: root@localhost on  using Socket\n",
        "+----+------+-----------+------+---------+------+-------+------+\n"
        "| Id | User | Host      | db   | Command | Time | State | Info |\n"
        "+----+------+-----------+------+---------+------+-------+------+\n"
        "|  3 | root | localhost | NULL | Connect |    0 | init  | NULL |\n"
        "+----+------+-----------+------+---------+------+-------+------+\n",
        "# 2026-11-21T03:12:06 KILL 3 (Query 12 sec) SELECT 1\n",
        "# Query 1: 0.02 QPS, 0.01x concurrency, ID 0xAB at byte 0\n# Attribute    pct   total     min     max\n",
    ],
    ids=["general_log rows", "pt-kill table", "pt-kill", "pt-query-digest"],
)
def test_look_alikes_are_not_claimed(text: str) -> None:
    names = {"mysql_error_log", "mysql_general_log", "mysql_slow_log", "mysql_audit_log"}
    assert not names & {claimed.name for claimed, _ in identify(head_of(text))}
