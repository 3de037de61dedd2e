"""Tables of MySQL and MariaDB: process lists, transactions, counters, settings, InnoDB's status, sockets.

Shapes marked "real" are outputs of MariaDB 10.11.19 and MySQL 5.6.24; those of MySQL 8 are written after its manual.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from connforensics.evidence import Head, ReadOptions, identify
from connforensics.evidence.mysql_innodb_status import who
from connforensics.evidence.mysql_innodb_trx import BACKEND_TYPE, place
from tests.corpus import CORPUS, manifest, needed, truth
from tests.test_formats import Read, head_of, read


def samples(found: Read, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in columns) for row in found.rows["backend_sample"]]


def metrics(found: Read) -> list[tuple[object, ...]]:
    return [(row["sampled_at"], row["name"], dict(row["labels"]), row["value"]) for row in found.rows["metric_sample"]]


def settings(found: Read) -> dict[object, object]:
    return {row["name"]: row["value"] for row in found.rows["setting"]}


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{clock}")


def counts(pairs: str) -> Counter[str]:
    """Return `a:1,b:2` of the manifest as a counter; an empty name is no value."""
    return Counter({name: int(number) for name, _, number in (pair.rpartition(":") for pair in pairs.split(","))})


# The corpus


@needed
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row["file"])
        for row in manifest("mysql_processlist_tabular", "mysql_processlist_vertical")
        if "snapshots" in truth(row)
    ],
)
def test_a_process_list_of_the_corpus_gives_its_rows(row: dict[str, str], tmp_path: Path) -> None:
    found = read((CORPUS / row["file"]).read_bytes(), tmp_path)
    told = truth(row)
    assert found.source["format"] == "mysql_processlist"
    assert len(found.rows["backend_sample"]) == int(told["rows"])
    assert Counter(row["command"] or "" for row in found.rows["backend_sample"]) == counts(told["by_command"])
    users = Counter(row["user_name"] or "" for row in found.rows["backend_sample"])
    assert {user: users[user] for user in counts(told["by_user"])} == counts(told["by_user"])
    assert found.source["unknown"] == 0


@needed
def test_a_process_list_of_two_columns_is_no_process_list(tmp_path: Path) -> None:
    (row,) = [row for row in manifest("mysql_processlist_tabular") if "netdata" in row["file"]]
    found = read((CORPUS / row["file"]).read_bytes(), tmp_path)
    assert found.source["format"] == "unknown"


@needed
def test_innodb_status_of_the_corpus_gives_each_transaction_once(tmp_path: Path) -> None:
    (row,) = manifest("mysql_innodb_status")
    found = read((CORPUS / row["file"]).read_bytes(), tmp_path)
    assert len(found.rows["backend_sample"]) == int(truth(row)["transactions"])
    # The two further threads are those of the latest deadlock, which are no sessions of that instant.
    (deadlock,) = found.rows["event"]
    assert deadlock["detail"] == "thread 29247292 and thread 29247291; transaction (2) was rolled back"
    assert deadlock["event_at"] == datetime(2018, 2, 27, 14, 45, 46)
    assert {moment for (moment,) in samples(found, "sampled_at")} == {datetime(2018, 3, 5, 13, 24, 56)}
    assert Counter(samples(found, "user_name", "client_host", "state")) == {
        ("version_check", "10.10.9.22", "idle"): 10,
        ("rdba", "10.10.9.10", "idle"): 1,
        ("rdba", "[local]", "active"): 1,
    }
    assert found.source["unknown"] == 0


@needed
def test_status_of_the_corpus_adds_differences_up(tmp_path: Path) -> None:
    (row,) = [row for row in manifest("mysql_status") if "mext" in row["file"]]
    found = read((CORPUS / row["file"]).read_bytes(), tmp_path)
    values: dict[str, list[float]] = {}
    for _, name, _, value in metrics(found):
        values.setdefault(name.removeprefix("mysql_global_status_"), []).append(value)
    # The manifest gives the blocks as written: 2, then differences of 0.
    assert values["threads_connected"] == [2, 2, 2, 2]
    assert values["aborted_clients"] == [164, 164, 164, 164]
    assert values["uptime"] == [5550, 5553, 5557, 5560]
    assert len(values["uptime"]) == int(truth(row)["samples"])
    assert found.source["unknown"] == 0


@needed
def test_status_of_an_old_server_gives_its_counters(tmp_path: Path) -> None:
    (row,) = [row for row in manifest("mysql_status") if "netdata" in row["file"]]
    told = truth(row)
    found = read((CORPUS / row["file"]).read_bytes(), tmp_path)
    values = {name: value for _, name, _, value in metrics(found)}
    for name in ("Max_used_connections", "Aborted_clients", "Aborted_connects", "Connections"):
        assert values[f"mysql_global_status_{name.lower()}"] == float(told[name])
    assert values["mysql_global_status_threads_connected"] == float(told["threads_connected_first"])


@needed
@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in manifest("proxysql_admin")])
def test_tables_of_proxysql_are_not_claimed(row: dict[str, str]) -> None:
    lines = (CORPUS / row["file"]).read_text(encoding="utf-8", errors="replace").split("\n")
    claims = identify(Head(tuple(lines)))
    assert not [candidate.name for candidate, _ in claims if candidate.name.startswith("mysql_")]


# Shapes of a process list

ROWS = [
    (4, "root", "127.0.0.1:60478", "NULL", "Sleep", "4", "", "NULL", "0.000"),
    (10, "app orders", "10.0.0.5:60540", "shop", "Query", "3", "Updating", "UPDATE t SET v=2 /* a|b */", "0.000"),
    (13, "unauthenticated user", "10.0.0.9:60572", "NULL", "Connect", "1", "Reading from net", "NULL", "0.000"),
    (14, "root", "localhost", "NULL", "Query", "0", "starting", "SHOW FULL PROCESSLIST", "0.000"),
]
NAMES = ("Id", "User", "Host", "db", "Command", "Time", "State", "Info", "Progress")


def boxed(null: str = "NULL") -> str:
    widths = [max(len(name), *(len(str(row[index])) for row in ROWS)) for index, name in enumerate(NAMES)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    lines = [
        "| "
        + " | ".join(
            str(null if cell == "NULL" else cell).ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        + " |\n"
        for row in (NAMES, *ROWS)
    ]
    return rule + lines[0] + rule + "".join(lines[1:]) + rule


def vertical() -> str:
    return "".join(
        f"*************************** {number}. row ***************************\n"
        + "".join(f"{name:>8}: {cell}\n" for name, cell in zip(NAMES, row, strict=True))
        for number, row in enumerate(ROWS, 1)
    )


def tabbed(header: bool = True) -> str:
    return "".join("\t".join(map(str, row)) + "\n" for row in ([NAMES] if header else []) + ROWS)


def marked_up() -> str:
    cells = "".join("<TR>" + "".join(f"<TD>{cell}</TD>" for cell in row) + "</TR>" for row in ROWS)
    return "<TABLE BORDER=1><TR>" + "".join(f"<TH>{name}</TH>" for name in NAMES) + f"</TR>{cells}</TABLE>"


def xml() -> str:
    rows = "".join(
        "  <row>\n"
        + "".join(
            f'\t<field name="{name}" xsi:nil="true" />\n'
            if cell == "NULL"
            else f'\t<field name="{name}">{cell}</field>\n'
            for name, cell in zip(NAMES, row, strict=True)
        )
        + "  </row>\n\n"
        for row in ROWS
    )
    return (
        '<?xml version="1.0"?>\n\n<resultset statement="SHOW FULL PROCESSLIST\n" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n{rows}</resultset>\n'
    )


def as_json() -> str:
    import json

    return json.dumps(
        [{name: None if cell == "NULL" else cell for name, cell in zip(NAMES, row, strict=True)} for row in ROWS]
    )


@pytest.mark.parametrize(
    "text", [boxed(), boxed(null=""), vertical(), tabbed(), tabbed(header=False), marked_up(), xml(), as_json()],
    ids=["box", "mysqladmin", "G", "tabs", "headless", "html", "xml", "json"],
)  # fmt: skip
def test_a_process_list_is_the_same_in_every_shape(text: str, tmp_path: Path) -> None:
    found = read(text, tmp_path, "processlist-2026-11-21_03-12-00.txt")
    assert found.source["format"] == "mysql_processlist"
    assert samples(found, "sampled_at", "backend_id", "user_name", "client_host", "client_port", "command", "state", "query") == [
        (at("03:12:00"), 4, "root", "127.0.0.1", 60478, "Sleep", "idle", None),
        (at("03:12:00"), 10, "app orders", "10.0.0.5", 60540, "Query", "active", "UPDATE t SET v=2 /* a|b */"),
        (at("03:12:00"), 13, "unauthenticated user", "10.0.0.9", 60572, "Connect", "active", None),
        (at("03:12:00"), 14, "root", "[local]", None, "Query", "active", "SHOW FULL PROCESSLIST"),
    ]  # fmt: skip
    assert samples(found, "state_change_at")[0] == (at("03:11:56"),)
    assert samples(found, "backend_start_at", "query_start_at")[1:3] == [(None, at("03:11:57")), (at("03:11:59"), None)]
    assert found.source["unknown"] == 0


def test_a_handshake_without_a_time_is_a_session_all_the_same(tmp_path: Path) -> None:
    """MySQL 5.6 shows NULL as Time of a session that has not logged in (real)."""
    text = (
        "Id\tUser\tHost\tdb\tCommand\tTime\tState\tInfo\n"
        "13\tunauthenticated user\tlocalhost:52028\tNULL\tConnect\tNULL\tReading from net\tNULL\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_type", "command", "state_change_at") == [("client backend", "Connect", None)]
    assert found.rows["backend_sample"][0]["client_host"] == "localhost"


@pytest.mark.parametrize(
    ("user", "command", "expected"),
    [
        ("event_scheduler", "Daemon", "background worker"),
        ("system user", "Connect", "background worker"),
        ("system user", "Slave_SQL", "background worker"),
        ("repl", "Binlog Dump GTID", "walsender"),
        ("app", "Killed", "client backend"),
        ("app", "Execute", "client backend"),
    ],
)
def test_who_works_for_the_server_is_no_client(user: str, command: str, expected: str, tmp_path: Path) -> None:
    found = read(f"Id,User,Host,db,Command,Time,State,Info\n5,{user},10.0.0.1:4000,,{command},3,,\n", tmp_path)
    assert samples(found, "backend_type", "command") == [(expected, command)]


@pytest.mark.parametrize("seconds", ["-5", "4294967295", "18446744073709551615", "", "NULL", "abc"])
def test_a_time_of_a_moved_clock_tells_nothing(seconds: str, tmp_path: Path) -> None:
    text = (
        "sampled_at,Id,User,Host,db,Command,Time,State,Info\n"
        f"2026-11-21T03:12:00Z,5,app,10.0.0.1:4000,shop,Sleep,{seconds},,\n"
    )
    assert samples(read(text, tmp_path), "sampled_at", "state_change_at") == [(at("03:12:00"), None)]


def test_mariadbs_milliseconds_win_over_seconds(tmp_path: Path) -> None:
    text = (
        "ID\tUSER\tHOST\tDB\tCOMMAND\tTIME\tSTATE\tINFO\tTIME_MS\tSTAGE\tMAX_STAGE\tPROGRESS\tMEMORY_USED\tMAX_MEMORY_USED\t"
        "EXAMINED_ROWS\tQUERY_ID\tINFO_BINARY\tTID\n"
        "12\tapp\t127.0.0.1:60562\tshop\tQuery\t4\tUser sleep\tSELECT SLEEP(300)\t4286.571\t0\t0\t0.000\t95904\t96920\t0\t44\t"
        "SELECT SLEEP(300)\t2709\n"
    )
    found = read(text, tmp_path, "pl_20261121T031210Z.tsv")
    assert samples(found, "engine", "query_start_at", "query_id") == [("mariadb", at("03:12:05.713429"), "44")]


def test_sys_processlist_shows_who_is_idle_in_a_transaction(tmp_path: Path) -> None:
    text = """\
*************************** 1. row ***************************
                thd_id: 14
               conn_id: 8
                  user: app_web@10.0.0.5
                    db: shop
               command: Sleep
                 state: NULL
                  time: 5
     current_statement: NULL
           trx_latency: 1.50 min
             trx_state: ACTIVE
        trx_autocommit: NO
                   pid: 2697
          program_name: orders
*************************** 2. row ***************************
                thd_id: 1
               conn_id: NULL
                  user: sql/main
                    db: NULL
               command: NULL
                 state: NULL
                  time: 900
     current_statement: NULL
           trx_latency: NULL
             trx_state: NULL
        trx_autocommit: NULL
                   pid: NULL
          program_name: NULL
"""
    found = read(text, tmp_path, "session-20261121T031200Z.txt")
    assert samples(found, "backend_id", "user_name", "client_host", "application_name", "state", "xact_start_at") == [
        (8, "app_web", "10.0.0.5", "orders", "idle in transaction", at("03:10:30"))
    ]
    assert (found.source["ignored"], found.source["unknown"]) == (14, 0)


# Series


def test_pt_stalks_times_stand_above_each_sample(tmp_path: Path) -> None:
    text = f"TS 1795230720.002113337 2026-11-21 04:12:00\n{vertical()}TS 1795230721.002189374 2026-11-21 04:12:01\n{vertical()}"
    found = read(text, tmp_path, "2026_11_21_04_11_58-processlist")
    moments = Counter(f"{moment:%X.%f}"[:12] for (moment,) in samples(found, "sampled_at"))
    assert moments == {"03:12:00.002": 4, "03:12:01.002": 4}
    assert found.source["unknown"] == 0


def test_samples_without_times_are_parted_by_what_sessions_rested(tmp_path: Path) -> None:
    """pt-stalk 3.2.1 writes no time: the file's name tells the first, the growth of Time the others."""

    def sample(*seconds: int) -> str:
        rows = zip((1, 2, 3, 4), ("Daemon", "Sleep", "Sleep", "Query"), seconds, strict=True)
        return "".join(
            f"*************************** {number}. row ***************************\n"
            f"     Id: {number}\n   User: app\n   Host: 10.0.0.1:400{number}\n     db: NULL\nCommand: {command}\n"
            f"   Time: {time}\n  State: \n   Info: NULL\n"
            for number, command, time in rows
        )

    found = read(
        sample(100, 5, 7, 0) + sample(103, 0, 10, 0) + sample(104, 1, 11, 0),
        tmp_path,
        "2026_11_21_03_12_00-processlist",
    )
    moments = Counter(moment for (moment,) in samples(found, "sampled_at"))
    assert moments == {at("03:12:00"): 4, at("03:12:03"): 4, at("03:12:04"): 4}
    assert (
        "times of later snapshots come from how much the sessions' Time grew since the one before" in found.assumptions
    )


def test_a_snapshot_without_any_time_has_none(tmp_path: Path) -> None:
    found = read(boxed(), tmp_path)
    assert {moment for (moment,) in samples(found, "sampled_at")} == {None}
    assert "nothing tells when the snapshot was taken: it has no sample time" in found.assumptions


@pytest.mark.parametrize(
    "above",
    [
        "+---------------------+\n| NOW()               |\n+---------------------+\n| 2026-11-21 03:12:00 |\n+---------------------+\n",
        "2026-11-21 03:12:00\n",
        "Sat Nov 21 03:12:00 2026\n",
        "=== 2026-11-21T03:12:00 ===\n",
    ],
)
def test_a_time_without_a_zone_above_a_table_is_told_and_said(above: str, tmp_path: Path) -> None:
    found = read(above + boxed(), tmp_path)
    assert {moment for (moment,) in samples(found, "sampled_at")} == {at("03:12:00")}
    assert "times without a zone are read as UTC" in found.assumptions
    moved = read(above + boxed(), tmp_path / "moved", options=ReadOptions(timezone="Europe/Paris"))
    assert {moment for (moment,) in samples(moved, "sampled_at")} == {at("02:12:00")}


# Transactions and waits

BLOCKED = """\
*************************** 1. row ***************************
                    trx_id: 23
                 trx_state: RUNNING
               trx_started: 2026-11-21 03:12:08
     trx_requested_lock_id: NULL
          trx_wait_started: NULL
                trx_weight: 3
       trx_mysql_thread_id: 8
                 trx_query: NULL
       trx_operation_state:
*************************** 2. row ***************************
                    trx_id: 25
                 trx_state: LOCK WAIT
               trx_started: 2026-11-21 03:12:09
     trx_requested_lock_id: 25:5:3:2
          trx_wait_started: 2026-11-21 03:12:10
                trx_weight: 2
       trx_mysql_thread_id: 10
                 trx_query: UPDATE t SET v=v+2 /* 'a
c' | x */ WHERE id=1
       trx_operation_state: starting index read
*************************** 1. row ***************************
    lock_id: 25:5:3:2
lock_trx_id: 25
  lock_mode: X
  lock_type: RECORD
 lock_table: `shop`.`t`
 lock_index: PRIMARY
 lock_space: 5
  lock_page: 3
   lock_rec: 2
  lock_data: 1
*************************** 1. row ***************************
requesting_trx_id: 25
requested_lock_id: 25:5:3:2
  blocking_trx_id: 23
 blocking_lock_id: 23:5:3:2
"""


def test_a_waiting_transaction_finds_its_blocker_through_their_ids(tmp_path: Path) -> None:
    """As pt-stalk's -transactions file has them (real)."""
    found = read(BLOCKED * 2, tmp_path, "2026_11_21_03_12_11-transactions")
    first, second = samples(found, "backend_id", "state", "blocked_by", "backend_type")[:2]
    assert first == (8, "idle in transaction", None, BACKEND_TYPE)
    assert second == (10, "active", "8", BACKEND_TYPE)
    assert len(found.rows["backend_sample"]) == 4
    assert found.source["unknown"] == 0


def test_lock_waits_of_pt_stalk_tell_their_times_by_their_ages(tmp_path: Path) -> None:
    def sample(age: int) -> str:
        return (
            "*************************** 1. row ***************************\n"
            f"   who_blocks: thread 8 from 10.0.0.5:60514\n  idle_in_trx: {age}\nmax_wait_time: {age}\n  num_waiters: 1\n"
            "*************************** 1. row ***************************\n"
            f"    waiting_trx_id: 25\n    waiting_thread: 10\n         wait_time: {age}\n     waiting_query: UPDATE t SET v=1\n"
            "waiting_table_lock: `shop`.`t`\n   blocking_trx_id: 23\n   blocking_thread: 8\n     blocking_host: 10.0.0.5\n"
            f"     blocking_port: 60514\n       idle_in_trx: {age}\n    blocking_query: NULL\n"
        )

    found = read(sample(23) + sample(25), tmp_path, "2026_11_21_03_12_00-lock-waits")
    assert samples(found, "sampled_at", "backend_id", "client_host", "client_port", "state", "blocked_by") == [
        (at("03:12:00"), 8, "10.0.0.5", 60514, "idle in transaction", None),
        (at("03:12:00"), 10, None, None, "active", "8"),
        (at("03:12:02"), 8, "10.0.0.5", 60514, "idle in transaction", None),
        (at("03:12:02"), 10, None, None, "active", "8"),
    ]
    assert found.source["unknown"] == 0


def test_a_metadata_lock_waits_for_who_holds_one_of_the_table(tmp_path: Path) -> None:
    def lock(thread: int, kind: str, status: str, table: str = "t") -> str:
        pairs = {
            "processlist_id": thread,
            "OBJECT_TYPE": "TABLE",
            "OBJECT_SCHEMA": "shop",
            "OBJECT_NAME": table,
            "LOCK_TYPE": kind,
            "LOCK_STATUS": status,
            "OWNER_THREAD_ID": thread + 40,
        }
        return "*************************** 1. row ***************************\n" + "".join(
            f"{name:>15}: {value}\n" for name, value in pairs.items()
        )

    text = (
        lock(8, "SHARED_WRITE", "GRANTED")
        + lock(9, "SHARED_READ", "GRANTED", "other").replace(" 1. row", " 2. row")
        + lock(11, "SHARED_UPGRADABLE", "GRANTED").replace(" 1. row", " 3. row")
        + lock(11, "EXCLUSIVE", "PENDING").replace(" 1. row", " 4. row")
        + lock(12, "SHARED_READ", "PENDING").replace(" 1. row", " 5. row")
    )
    found = read(text, tmp_path, "2026_11_21_03_12_00-ps-locks-transactions")
    assert sorted(samples(found, "backend_id", "blocked_by")) == [(8, None), (11, "8"), (12, "11")]


def test_views_of_some_sessions_count_nobody(tmp_path: Path) -> None:
    """A paste of a process list and of innodb_trx: the second stands at the time of the first and adds no session."""
    paste = (
        "mysql> SELECT NOW();\n+---------------------+\n| NOW()               |\n+---------------------+\n"
        "| 2026-11-21 03:12:00 |\n+---------------------+\n1 row in set (0.00 sec)\n\nmysql> SHOW FULL PROCESSLIST;\n"
        + boxed()
        + "4 rows in set (0.00 sec)\n\nmysql> SELECT * FROM information_schema.innodb_trx\\G\n"
        + BLOCKED.partition("*************************** 2.")[0]
        + "1 row in set (0.00 sec)\n\nmysql> SHOW GLOBAL STATUS LIKE 'Threads%';\n+-------------------+-------+\n"
        "| Variable_name     | Value |\n+-------------------+-------+\n| Threads_connected | 4     |\n"
        "+-------------------+-------+\n1 row in set (0.00 sec)\n"
    )
    found = read(paste, tmp_path)
    assert found.source["format"] == "mysql_processlist"
    kinds = Counter(kind for (kind,) in samples(found, "backend_type"))
    assert kinds == {"client backend": 4, BACKEND_TYPE: 1}
    assert {moment for (moment,) in samples(found, "sampled_at")} == {at("03:12:00")}
    assert [(name, value) for _, name, _, value in metrics(found)] == [("mysql_global_status_threads_connected", 4.0)]
    assert found.source["unknown"] == 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("localhost 127.0.0.1 app orders Waiting for table metadata lock", ("app orders", "127.0.0.1", "Waiting for table metadata lock")),
        ("localhost root init", ("root", "[local]", "init")),
        ("127.0.0.1 app_web ", ("app_web", "127.0.0.1", None)),
        ("192.168.1.10 sysbench waiting for handler commit", ("sysbench", "192.168.1.10", "waiting for handler commit")),
        ("10.86.212.163 f_app Searching rows for update", ("f_app", "10.86.212.163", "Searching rows for update")),
        ("localhost ::1 doge update", ("doge", "::1", "update")),
        ("Slave has read all relay log; waiting for more updates", (None, None, "Slave has read all relay log; waiting for more updates")),
        ("", (None, None, None)),
    ],
)  # fmt: skip
def test_a_user_is_told_from_host_and_state(written: str, expected: tuple[str | None, ...]) -> None:
    assert who(written) == expected


def test_hosts_are_addresses_with_ports_or_sockets() -> None:
    assert place("db-1.example.com:3000") == ("db-1.example.com", 3000)
    assert place("fe80::1:40000") == ("fe80::1", 40000)
    assert place("[::1]:40000") == ("::1", 40000)
    assert place("localhost") == ("[local]", None)
    assert place(None) == (None, None)


# Counters and settings


def block(*rows: tuple[str, object]) -> str:
    return "Variable_name\tValue\n" + "".join(f"{name}\t{value}\n" for name, value in rows)


def test_a_restart_is_no_difference(tmp_path: Path) -> None:
    text = block(("Innodb_page_size", 16384), ("Threads_connected", 90), ("Uptime", 86400)) + block(
        ("Innodb_page_size", 16384), ("Threads_connected", 1), ("Uptime", 3)
    )
    found = read(text, tmp_path, "status-20261121T031200Z.tsv")
    values = [(moment, value) for moment, name, _, value in metrics(found) if name.endswith("threads_connected")]
    assert values == [(at("03:12:00"), 90.0), (None, 1.0)] or values == [(None, 1.0), (at("03:12:00"), 90.0)]
    assert any("the server restarted" in text for text in found.assumptions)


def test_differences_without_a_start_are_not_read(tmp_path: Path) -> None:
    text = block(("Aborted_clients", 5), ("Threads_connected", 0), ("Uptime", 1))
    found = read(text, tmp_path)
    assert metrics(found) == []
    assert found.source["ignored"] == 4
    assert "differences without an absolute start (mysqladmin -r) are not read" in found.assumptions


def test_a_falling_gauge_tells_differences(tmp_path: Path) -> None:
    text = block(("Threads_connected", 90), ("Uptime", 5000)) + block(("Threads_connected", -3), ("Uptime", 10))
    found = read(text, tmp_path, "status-20261121T031200Z.tsv")
    assert [value for _, name, _, value in metrics(found) if name.endswith("threads_connected")] == [90.0, 87.0]


def test_connection_errors_are_one_metric_with_labels(tmp_path: Path) -> None:
    text = block(("Connection_errors_max_connections", 7), ("Connection_errors_peer_address", 1), ("Com_select", 3))
    found = read(text, tmp_path)
    assert [(name, labels, value) for _, name, labels, value in metrics(found)] == [
        ("mysql_global_status_connection_errors_total", {"error": "max_connections"}, 7.0),
        ("mysql_global_status_connection_errors_total", {"error": "peer_address"}, 1.0),
    ]
    assert (found.source["understood"], found.source["ignored"]) == (2, 2)


def test_status_in_columns_of_csv_has_its_own_times(tmp_path: Path) -> None:
    text = (
        "sampled_at,VARIABLE_NAME,VARIABLE_VALUE\n"
        "2026-11-21T03:12:00Z,Threads_connected,5\n2026-11-21T03:12:00Z,Uptime,100\n"
        "2026-11-21T03:12:10Z,Threads_connected,9\n2026-11-21T03:12:10Z,Uptime,110\n"
    )
    found = read(text, tmp_path)
    assert [(moment, value) for moment, name, _, value in metrics(found) if name.endswith("connected")] == [
        (at("03:12:00"), 5.0),
        (at("03:12:10"), 9.0),
    ]


@pytest.mark.parametrize(
    ("version", "engine", "expected"),
    [
        ("8.0.36-28", "mysql", "8.0.36"),
        ("5.7.44-48-log", "mysql", "5.7.44"),
        ("10.11.19-MariaDB-0+deb12u1", "mariadb", "10.11.19"),
        ("5.5.5-10.6.8-MariaDB-log", "mariadb", "10.6.8"),
        ("9.5.0", "mysql", "9.5.0"),
    ],
)
def test_the_version_tells_the_engine(version: str, engine: str, expected: str, tmp_path: Path) -> None:
    found = read(block(("max_connections", 151), ("version", version)), tmp_path)
    assert (found.source["engine"], found.source["version"]) == (engine, expected)
    assert {row["engine"] for row in found.rows["setting"]} == {engine}


def test_values_of_single_threads_are_no_settings(tmp_path: Path) -> None:
    """pt-stalk's -variables file goes on with performance_schema.variables_by_thread and status_by_thread (real)."""
    text = (
        "\nSHOW GLOBAL VARIABLES\n\n"
        + block(("max_connections", 30), ("wait_timeout", 28800))
        + "\nselect * from performance_schema.status_by_thread order by thread_id, variable_name; \n\n"
        "THREAD_ID\tVARIABLE_NAME\tVARIABLE_VALUE\n14\tSlow_queries\t0\n14\tUptime\t53\n14\twait_timeout\t5\n"
    )
    found = read(text, tmp_path, "2026_11_21_03_12_00-variables")
    assert settings(found) == {"max_connections": "30", "wait_timeout": "28800"}
    assert (found.rows["metric_sample"], found.source["unknown"]) == ([], 0)


def test_an_option_file_counts_for_the_server_only(tmp_path: Path) -> None:
    text = (
        "[client]\nconnect_timeout=1\n\n[mysqld_safe]\nopen-files-limit = 8192\n\n[mysqld-8.0]\nmax_connections=100\n"
        "loose-thread_pool_size = 16 ; \nset-variable = back_log=50\n\n[mysqldump]\nmax_allowed_packet = 16M\n!includedir /etc/mysql/conf.d/\n"
    )
    found = read(text, tmp_path, "my.cnf")
    assert found.source["format"] == "mysql_variables"
    assert {name: value for name, value in settings(found).items() if name != "thread_pool_size"} == {
        "open_files_limit": "8192",
        "max_connections": "100",
        "back_log": "50",
    }
    assert "not read here: what the file includes from /etc/mysql/conf.d/" in found.assumptions


# What looks alike


PT_KILL = """\
+---------+-----------+---------------------+-------------------------+------------+----+-------+-----------------+------+---------+------+------------+----------+---------+
| kill_id | server_id | timestamp           | reason                  | kill_error | Id | User  | Host            | db   | Command | Time | State      | Info     | Time_ms |
+---------+-----------+---------------------+-------------------------+------------+----+-------+-----------------+------+---------+------+------------+----------+---------+
|       1 |         1 | 2026-11-21 03:12:00 | Query matches Info spec |            |  9 | app   | 10.0.0.5:60530  | shop | Query   |    3 | User sleep | SELECT 1 |    NULL |
+---------+-----------+---------------------+-------------------------+------------+----+-------+-----------------+------+---------+------+------------+----------+---------+
"""

GENERAL_LOG = """\
*************************** 1. row ***************************
  event_time: 2026-11-21 03:12:00.123456
   user_host: app[app] @  [10.0.0.5]
   thread_id: 9
   server_id: 1
command_type: Query
    argument: SELECT 1
"""

LOOK_ALIKES = {
    "pt-kill's log": PT_KILL,
    "the general log as a table": GENERAL_LOG,
    "one line of everything": boxed().replace("\n", ""),
    "one line of a vertical list": vertical().replace("\n", ""),
    "two columns": "+------+---------+\n| time | user    |\n+------+---------+\n|    1 | netdata |\n+------+---------+\n",
    "ProxySQL's variables": "Variable_name\tValue\nmysql-max_connections\t2048\nadmin-version\t2.5.5\nmysql-wait_timeout\t1\n",
    "ProxySQL's counters": "Variable_Name\tVariable_Value\nProxySQL_Uptime\t100\nClient_Connections_connected\t4\nSlow_queries\t0\n",
    "people": "id,user,host,city\n1,anna,web,Bonn\n",
    "PostgreSQL's waits": "blocked_pid,blocked_user,blocking_pid,blocking_user,blocked_statement\n1,a,2,b,SELECT 1\n",
}


@pytest.mark.parametrize("text", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_looks_alike_is_not_claimed(text: str) -> None:
    names = [candidate.name for candidate, _ in identify(head_of(text))]
    assert not [name for name in names if name.startswith(("mysql_", "netstat"))]


def test_sockets_of_other_ports_are_counted_for_nobody(tmp_path: Path) -> None:
    text = (
        "Active Internet connections (w/o servers)\nProto Recv-Q Send-Q Local Address  Foreign Address  State\n"
        "tcp  0  0 10.0.0.1:22  10.0.0.9:50000  ESTABLISHED\ntcp  0  0 10.0.0.1:3306  10.0.0.9:50001  ESTABLISHED\n"
        "tcp  0  0 10.0.0.1:41000  10.0.0.2:3306  ESTABLISHED\n"
    )
    found = read(text, tmp_path)
    assert [(labels, value) for _, _, labels, value in metrics(found)] == [
        ({"client_host": "10.0.0.9", "port": "3306", "state": "ESTABLISHED"}, 1.0)
    ]
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (1, 4, 0)
