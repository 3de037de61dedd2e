"""Who was refused, and what would have shown it: counters beside logs, logs that write some, poolers beside servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connforensics import Case, open_case, weigh
from connforensics.analyses import ask
from connforensics.ingest import ingest

Build = Callable[..., Case]


@pytest.fixture
def case_of(tmp_path: Path) -> Build:
    def build(**files: str) -> Case:
        folder = tmp_path / "evidence"
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
        ingest(tmp_path / "case.duckdb", [folder])
        return open_case(tmp_path / "case.duckdb")

    return build


def status(*looks: dict[str, int], every_s: int = 10) -> str:
    """What `mysqladmin extended-status` shows at some looks, the first at 03:12:00; Uptime is 1,000 s by then."""
    rule = "+-----------------------------------+-------+\n"
    shown = ""
    for number, values in enumerate(looks):
        told = {"Uptime": 1000 + number * every_s, "Questions": 5000 + number, **values}
        rows = "".join(f"| {name:<33} | {value:<5} |\n" for name, value in sorted(told.items()))
        above = "Sat Nov 21 03:12:00 UTC 2026\n" if not number else "\n"
        shown += f"{above}{rule}| Variable_name                     | Value |\n{rule}{rows}{rule}"
    return shown


LIMIT = "Variable_name\tValue\nmax_connections\t100\nport\t3306\nversion\t8.0.36\nwait_timeout\t28800\n"


def test_a_counter_that_grows_is_refusals_counted_not_logged(case_of: Build) -> None:
    looks = [
        {"Connection_errors_max_connections": 3, "Max_used_connections": 101, "Threads_connected": 100},
        {"Connection_errors_max_connections": 3, "Max_used_connections": 101, "Threads_connected": 100},
        {"Connection_errors_max_connections": 10, "Max_used_connections": 101, "Threads_connected": 100},
    ]
    with case_of(status__txt=status(*looks), variables__tsv=LIMIT) as case:
        counted = case.rows(
            "SELECT refusals, unlogged, since_at::VARCHAR, until_at::VARCHAR, is_since_start FROM counted_refusal ORDER BY 4"
        )
        assert counted == [
            (3, 3, "2026-11-21 02:55:20", "2026-11-21 03:12:00", True),
            (7, 7, "2026-11-21 03:12:10", "2026-11-21 03:12:20", False),
        ]
        found = weigh(case)
        assert found.refusals["by_kind"] == {"refused_full": 7}
        assert found.refusals["counted_not_logged"] == 7
        assert "counted, not logged" in found.paragraph
        assert found.saturated
        assert ask("refusals", case).table["refusals"].sum() == 7


def test_mariadb_counts_most_refusals_among_failed_logins(case_of: Build) -> None:
    full = {"Threads_connected": 101, "Max_used_connections": 101}
    looks = [
        {
            "Aborted_connects": 0,
            "Access_denied_errors": 0,
            "Aborted_connects_preauth": 0,
            "Connection_errors_max_connections": 0,
            **full,
        },
        {
            "Aborted_connects": 20,
            "Access_denied_errors": 2,
            "Aborted_connects_preauth": 5,
            "Connection_errors_max_connections": 4,
            **full,
        },
    ]
    with case_of(status__txt=status(*looks), variables__tsv=LIMIT) as case:
        told = "SELECT refusals, counter FROM counted_refusal"
        assert case.rows(told) == [(13, "Aborted_connects less Access_denied_errors and Aborted_connects_preauth")]


def test_failed_logins_of_a_server_with_room_are_no_refusals(case_of: Build) -> None:
    free = {
        "Threads_connected": 7,
        "Max_used_connections": 9,
        "Connection_errors_max_connections": 0,
        "Access_denied_errors": 0,
    }
    looks = [{"Aborted_connects": 0, **free}, {"Aborted_connects": 40, **free}]
    with case_of(status__txt=status(*looks), variables__tsv=LIMIT) as case:
        assert case.rows("FROM counted_refusal") == []
        found = weigh(case)
        assert found.cause == "undetermined"
        assert "40 failed logins" in found.paragraph


def test_a_high_water_mark_below_the_limit_is_a_witness(case_of: Build) -> None:
    quiet = {
        "Threads_connected": 7,
        "Max_used_connections": 9,
        "Connection_errors_max_connections": 0,
        "Aborted_connects": 0,
    }
    with case_of(status__txt=status(quiet, quiet, quiet), variables__tsv=LIMIT) as case:
        found = weigh(case)
        assert found.cause == "none"
        assert "counted no refused connection" in found.paragraph or "high-water mark" in found.paragraph


def test_a_high_water_mark_tells_of_a_peak_that_no_look_saw(case_of: Build) -> None:
    looks = [
        {"Threads_connected": 40, "Max_used_connections": 45},
        {"Threads_connected": 42, "Max_used_connections": 101},
    ]
    with case_of(status__txt=status(*looks, every_s=60), variables__tsv=LIMIT) as case:
        peak = "SELECT in_use, basis FROM occupancy ORDER BY in_use DESC LIMIT 1"
        assert case.rows(peak) == [(100, "high-water mark")]
        assert weigh(case).saturated


def test_one_look_tells_what_was_since_the_start_and_not_when(case_of: Build) -> None:
    look = {"Connection_errors_max_connections": 312, "Max_used_connections": 101, "Threads_connected": 40}
    with case_of(status__txt=status(look), variables__tsv=LIMIT) as case:
        found = weigh(case)
        assert found.cause == "undetermined"
        assert "counted 312 refusals" in found.paragraph
        assert "it once had 101" in found.paragraph
        assert found.refusals["total"] == 0


MYSQL_LOG = """\
2026-11-21T03:12:00.000000Z 0 [System] [MY-010931] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.36'  socket: '/s'  port: 3306  MySQL Community Server - GPL.
2026-11-21T03:12:05.000000Z 8 [Note] [MY-010914] [Server] Aborted connection 8 to db: 'shop' user: 'app' host: '10.0.0.8' (Got an error reading communication packets).
2026-11-21T03:22:05.000000Z 9 [Note] [MY-010914] [Server] Aborted connection 9 to db: 'shop' user: 'app' host: '10.0.0.8' (Got an error reading communication packets).
"""


def test_silence_of_a_mysql_error_log_is_no_calm(case_of: Build) -> None:
    with case_of(error__log=MYSQL_LOG) as case:
        assert case.rows("SELECT refusals, openings FROM log_source") == [("some", "none")]
        assert case.rows("FROM refusal_watch") == []
        found = weigh(case)
        assert found.cause == "undetermined"
        assert "says little" in found.paragraph


def test_silence_of_a_postgres_log_is_calm(case_of: Build) -> None:
    lines = [
        f"2026-11-21 03:{minute:02}:00.000 UTC [{minute + 10}] LOG:  connection authorized: user=app database=shop\n"
        f"2026-11-21 03:{minute:02}:09.000 UTC [{minute + 10}] LOG:  disconnection: session time: 0:00:09.000 user=app database=shop host=10.0.0.1 port=5\n"
        for minute in range(10)
    ]
    with case_of(postgresql__log="".join(lines)) as case:
        found = weigh(case)
        assert found.cause == "none"
        assert "log, which writes every refusal, writes none" in found.paragraph


BOUNCER = """\
2026-11-21 03:12:00.000 UTC [7] LOG C-0x55d0: shop/app@10.0.0.9:40112 login attempt: db=shop user=app tls=no
2026-11-21 03:12:01.000 UTC [7] WARNING C-0x55d1: shop/app@10.0.0.9:40113 pooler error: no more connections allowed (max_client_conn)
2026-11-21 03:12:01.000 UTC [7] LOG C-0x55d1: shop/app@10.0.0.9:40113 closing because: no more connections allowed (max_client_conn) (age=0s)
2026-11-21 03:12:02.000 UTC [7] WARNING C-0x55d2: shop/app@10.0.0.9:40114 pooler error: query_wait_timeout
2026-11-21 03:12:02.000 UTC [7] LOG C-0x55d2: shop/app@10.0.0.9:40114 closing because: query_wait_timeout (age=5s)
"""

REFUSING = """\
2026-11-21 03:11:59.000 UTC [11] FATAL:  sorry, too many clients already
2026-11-21 03:12:03.000 UTC [12] FATAL:  sorry, too many clients already
"""


def test_a_pooler_and_its_server_refuse_each_for_itself(case_of: Build) -> None:
    with case_of(pgbouncer__log=BOUNCER, postgresql__log=REFUSING) as case:
        assert case.rows("SELECT refuser, kind, count(*) FROM refusal GROUP BY ALL ORDER BY 1") == [
            ("pgbouncer", "refused_full", 1),
            ("server", "refused_full", 2),
        ]
        found = weigh(case)
        assert found.refusals["by_kind"] == {"refused_full": 2}
        assert found.refusals["by_poolers"] == {"pgbouncer": 1}


def test_callers_who_gave_up_by_the_log_are_pool_timeouts(case_of: Build) -> None:
    with case_of(pgbouncer__log=BOUNCER) as case:
        assert case.rows("SELECT service, timeouts FROM pool_pressure") == [("pgbouncer", 1)]
        assert weigh(case).refusals["pool_timeouts"] == 1


def general_log(*lines: str) -> str:
    """A general log of MySQL 8."""
    head = (
        "/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:\n"
        "Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock\n"
        "Time                 Id Command    Argument\n"
    )
    return head + "".join(f"2026-11-21T03:12:{line}\n" for line in lines)


def test_connects_of_a_general_log_are_attempts(case_of: Build) -> None:
    """A refused login is a Connect like any other: without snapshots nobody knows how many sessions are open."""
    log = general_log(
        "01.000000Z\t   10 Connect\tapp@10.0.0.8 on shop using TCP/IP",
        "02.000000Z\t   11 Connect\tapp@10.0.0.8 on shop using TCP/IP",
        "03.000000Z\t   10 Quit\t",
    )
    with case_of(general__log=log) as case:
        assert case.rows("SELECT openings, ends FROM log_source") == [("attempts", "polite")]
        assert case.rows("FROM occupancy") == []
        assert case.scalar("SELECT count(*) FROM attempt") == 2


def test_a_connect_that_no_snapshot_ever_showed_is_unconfirmed(case_of: Build) -> None:
    log = general_log(
        "01.000000Z\t   10 Connect\tapp@10.0.0.8 on shop using TCP/IP",
        "02.000000Z\t   11 Connect\tapp@10.0.0.8 on shop using TCP/IP",
    )
    header = "sampled_at,Id,User,Host,db,Command,Time,State,Info\n"
    shots = "".join(
        f"2026-11-21 03:12:{second:02},10,app,10.0.0.8:5,shop,Sleep,{second - 1},,NULL\n" for second in range(3, 9)
    )
    with case_of(general__log=log, processlist__csv=header + shots) as case:
        outcomes = "SELECT backend_id, outcome FROM session ORDER BY 1"
        assert case.rows(outcomes) == [(10, "admitted"), (11, "unconfirmed")]


def test_mysql_sessions_rest_since_one_instant_although_times_are_whole_seconds(case_of: Build) -> None:
    header = "sampled_at,Id,User,Host,db,Command,Time,State,Info\n"
    shots = "".join(
        f"2026-11-21 03:12:{second:02}.{second * 7 % 10},10,app,10.0.0.8:5,shop,Sleep,{second - 1},,NULL\n"
        for second in range(3, 20)
    )
    with case_of(processlist__csv=header + shots) as case:
        assert case.rows("SELECT count(*), bool_and(backend_start_at IS NULL) FROM idle_spell") == [(1, True)]


def test_an_exporter_that_cannot_reach_its_server_is_a_blind_spot(case_of: Build) -> None:
    metrics = "".join(
        f'mysql_up{{instance="db1:9104"}} {int(second not in (30, 45))} {1795230720000 + second * 1000}\n'
        for second in range(0, 120, 15)
    )
    with case_of(metrics__txt="# TYPE mysql_up gauge\n" + metrics) as case:
        told = "SELECT evidence, since_at::VARCHAR, until_at::VARCHAR FROM blind_spot WHERE evidence = 'metrics'"
        assert [(evidence, since[11:19], until[11:19]) for evidence, since, until in case.rows(told)] == [
            ("metrics", "03:12:15", "03:13:00")
        ]


def test_a_limit_lowered_at_the_start_is_the_limit(case_of: Build) -> None:
    log = (
        MYSQL_LOG
        + "2026-11-21T03:12:00.000000Z 0 [Warning] [MY-010141] [Server] Changed limits: max_connections: 214 (requested 500)\n"
    )
    with case_of(error__log=log) as case:
        assert case.rows("SELECT max_backends, usable_backends FROM capacity") == [(214, 214)]
