"""Sessions rebuilt from a log: the rules that are easily got wrong, each on lines a server writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from connforensics.case import Case, open_case
from connforensics.ingest import ingest

Build = Callable[[str], Case]


@pytest.fixture
def case_of(tmp_path: Path) -> Build:
    def build(log: str) -> Case:
        path = tmp_path / "postgresql.log"
        lines = [f"2026-11-21 {line}" for line in log.strip().splitlines()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (tmp_path / "case.duckdb").unlink(missing_ok=True)
        ingest(tmp_path / "case.duckdb", [path])
        return open_case(tmp_path / "case.duckdb")

    return build


def opened(pid: int, at: str, user: str = "app") -> str:
    return (
        f"{at} UTC [{pid}] LOG:  connection received: host=10.0.0.1 port={40000 + pid}\n"
        f"{at} UTC [{pid}] LOG:  connection authorized: user={user} database=shop application_name={user}"
    )


def closed(pid: int, at: str, lasted: str = "0:00:01.000", user: str = "app") -> str:
    return f"{at} UTC [{pid}] LOG:  disconnection: session time: {lasted} user={user} database=shop host=10.0.0.1 port={40000 + pid}"


def peak(case: Case) -> int:
    return int(case.scalar("SELECT coalesce(max(open_sessions), 0) FROM session_count"))


def test_reserved_slot_refusal_is_not_a_session(case_of: Build) -> None:
    refusal = (
        "10:00:02.000 UTC [12] FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"
    )
    case = case_of(
        "\n".join([opened(11, "10:00:01.000"), opened(12, "10:00:02.000"), refusal, closed(11, "10:00:09.000")])
    )
    assert peak(case) == 1
    assert case.rows("SELECT outcome, count(*) FROM session GROUP BY 1 ORDER BY 1") == [("admitted", 1), ("refused", 1)]
    assert case.rows("SELECT kind, user_name, client_host FROM refusal") == [("refused_reserved", "app", "10.0.0.1")]


def test_a_full_server_refuses_before_it_authorizes(case_of: Build) -> None:
    case = case_of(
        "10:00:01.000 UTC [11] LOG:  connection received: host=10.0.0.1 port=5\n"
        "10:00:01.001 UTC [11] FATAL:  sorry, too many clients already\n" + opened(12, "10:00:02.000")
    )
    assert case.rows("SELECT backend_id, outcome, failure FROM session ORDER BY 1") == [
        (11, "refused", "refused_full"),
        (12, "admitted", None),
    ]


def test_a_probe_is_not_a_session(case_of: Build) -> None:
    case = case_of(
        opened(11, "10:00:01.000") + "\n10:00:02.000 UTC [12] LOG:  connection received: host=10.0.0.9 port=9"
    )
    assert case.rows("SELECT outcome FROM session WHERE backend_id = 12") == [("probe",)]
    assert peak(case) == 1


def test_a_reused_pid_is_another_session(case_of: Build) -> None:
    case = case_of(
        "\n".join(
            [
                opened(11, "10:00:01.000"),
                closed(11, "10:00:02.000"),
                opened(11, "10:00:03.000"),
                closed(11, "10:00:04.000"),
            ]
        )
    )
    assert case.rows("SELECT count(*), count(ended_at) FROM session WHERE outcome = 'admitted'") == [(2, 2)]
    assert peak(case) == 1


def test_a_session_older_than_the_log_is_known_from_its_end(case_of: Build) -> None:
    case = case_of(
        "\n".join([opened(12, "10:00:01.000"), closed(11, "10:00:05.000", "0:10:00.000"), closed(12, "10:00:06.000")])
    )
    found = case.rows("SELECT opened_at, opened_basis FROM session WHERE backend_id = 11")
    assert found == [(datetime(2026, 11, 21, 9, 50, 5), "session time")]
    assert peak(case) == 2


def test_a_crash_ends_every_session_without_a_line(case_of: Build) -> None:
    crash = (
        "10:00:05.000 UTC [1] LOG:  server process (PID 11) was terminated by signal 9: Killed\n"
        "10:00:05.100 UTC [1] LOG:  all server processes terminated; reinitializing\n"
        "10:00:06.000 UTC [1] LOG:  database system is ready to accept connections"
    )
    case = case_of(
        "\n".join(
            [
                opened(11, "10:00:01.000"),
                opened(12, "10:00:02.000"),
                crash,
                opened(13, "10:00:07.000"),
                closed(13, "10:00:08.000"),
            ]
        )
    )
    assert case.rows("SELECT backend_id, ended_basis FROM session ORDER BY 1") == [
        (11, "server ended"),
        (12, "server ended"),
        (13, "closed"),
    ]
    assert case.scalar("SELECT arg_max(open_sessions, changed_at) FROM session_count") == 0
    assert peak(case) == 2


def test_an_unknown_end_stays_unknown(case_of: Build) -> None:
    case = case_of("\n".join([opened(11, "10:00:01.000"), opened(12, "10:00:02.000"), closed(12, "10:00:03.000")]))
    assert case.rows("SELECT ended_at, ended_basis FROM session WHERE backend_id = 11") == [(None, "unknown")]


def test_wal_senders_are_not_clients(case_of: Build) -> None:
    case = case_of(
        "10:00:01.000 UTC [11] LOG:  connection received: host=10.0.0.2 port=7\n"
        "10:00:01.000 UTC [11] LOG:  replication connection authorized: user=repl application_name=standby\n"
        + opened(12, "10:00:02.000")
    )
    assert case.scalar("SELECT is_replication FROM session WHERE backend_id = 11") is True
    assert peak(case) == 1


def test_a_login_that_fails_takes_no_slot_for_long(case_of: Build) -> None:
    case = case_of(
        "10:00:01.000 UTC [11] LOG:  connection received: host=10.0.0.2 port=7\n"
        '10:00:01.000 UTC [11] FATAL:  password authentication failed for user "app"\n' + opened(12, "10:00:02.000")
    )
    assert case.rows("SELECT outcome FROM session WHERE backend_id = 11") == [("failed",)]
    assert peak(case) == 1


def test_without_disconnections_nobody_claims_to_know_how_many_were_open(case_of: Build) -> None:
    from connforensics.analyses import ask

    case = case_of("\n".join(opened(pid, f"10:00:{pid}.000") for pid in range(11, 30)))
    assert case.scalar("SELECT count(*) FROM occupancy") == 0
    assert "cannot be told" in ask("saturation", case).headline


def test_times_equal_to_the_millisecond_go_by_their_lines(case_of: Build) -> None:
    log = [opened(11, "10:00:01.000")]
    for pid in range(12, 40):
        log += [closed(pid - 1, "10:00:02.000"), opened(pid, "10:00:02.000")]
    assert peak(case_of("\n".join(log))) == 1
