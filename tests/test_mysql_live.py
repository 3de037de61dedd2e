"""What real servers write, against what their clients counted: MariaDB 10.11 and MySQL 5.6.

Neither log tells of every refusal. One that is refused after its login (all slots taken but the one kept for
administrators) stands in no error log, and in the general log as a `Connect` like any other; one that is refused before
it (that slot taken too) stands in MariaDB's error log alone, and there not each time.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest

from tests.lab import mariadb, mysql
from tests.lab.mariadb import MariaDB
from tests.lab.mysql import MySQL
from tests.test_formats import Read, read

GOOD = 4
"""Sessions that came and went as they should."""

DENIED = 3
CUT = 2
FURTHER = 5
"""Attempts after the first that was refused."""

SLOTS = 10


@dataclass
class Played:
    """A server after the play, its logs read, and what the clients counted."""

    server: MySQL
    connects: int = 0
    quits: int = 0
    cut: set[int] = field(default_factory=set)
    idled: set[int] = field(default_factory=set)
    killed: set[int] = field(default_factory=set)
    held: int = 0
    refused_late: int = 0
    refused_early: int = 0
    slow_s: tuple[float, ...] = (0.3, 0.5)
    reads: dict[str, Read] = field(default_factory=dict)

    def events(self, log: str, kind: str) -> list[dict[str, object]]:
        """The events of a kind in one of the logs."""
        return [row for row in self.reads[log].rows["event"] if row["kind"] == kind]


def play(played: Played) -> None:
    """Connect, mistype, crash, idle, kill, fill up, and shut down."""
    server = played.server
    server.run(
        "CREATE USER 'app_web'@'%' IDENTIFIED BY 'secret'",
        "CREATE DATABASE shop",
        "GRANT ALL ON shop.* TO 'app_web'@'%'",
    )
    for _ in range(GOOD):
        server.connect("app_web", "secret", database="shop").close()
    assert [server.denied("app_web") for _ in range(DENIED)] == [True] * DENIED
    for _ in range(CUT):
        connection = server.connect("app_web", "secret")
        played.cut.add(connection.thread_id())
        server.cut(connection)
    idle = server.connect("app_web", "secret")
    idle.cursor().execute("SET SESSION wait_timeout = 1")
    played.idled.add(idle.thread_id())
    victim = server.connect("app_web", "secret")
    played.killed.add(victim.thread_id())
    server.run(f"KILL {victim.thread_id()}")
    slow = server.connect("app_web", "secret", database="shop")
    for seconds in played.slow_s:
        slow.cursor().execute(f"SELECT SLEEP({seconds}), 'two\nlines'")
    slow.close()
    server.wait_for_log("Got timeout reading communication packets")
    time.sleep(0.3)

    filled = server.fill("app_web", "secret", further=FURTHER)
    played.held, played.refused_late = len(filled.held), filled.refused
    root = _when_there_is_room(server)
    before = server.fill("app_web", "secret", further=FURTHER)
    assert not before.held
    played.refused_early = before.refused
    root.close()
    # Two runs as root, the good, the denied, the cut, the idle, the killed and the slow one, the held, the late refused, root.
    played.connects = 2 + GOOD + DENIED + CUT + 3 + played.held + played.refused_late + 1
    played.quits = 2 + GOOD + 1 + 1
    time.sleep(0.3)
    server.restart()


def _when_there_is_room(server: MySQL) -> pymysql.connections.Connection:
    """Root's connection in the last slot, once the refused ones have left theirs."""
    time.sleep(0.5)
    return server.connect()


@contextlib.contextmanager
def _played(server: MySQL, folder: Path) -> Iterator[Played]:
    with server:
        played = Played(server)
        play(played)
        for log in (server.error_log, server.general_log, server.slow_log):
            played.reads[log.stem] = read(log.read_bytes(), folder / log.stem, log.name)
        yield played


@pytest.fixture(scope="module", params=["MariaDB", "MySQL"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "MariaDB":
        mariadb.require()
        server: MySQL = MariaDB(max_connections=SLOTS)
    else:
        mysql.require()
        server = MySQL(max_connections=SLOTS)
    with _played(server, folder) as done:
        yield done


def test_each_log_is_recognised_and_nothing_of_it_is_unknown(played: Played) -> None:
    engine, version = ("mariadb", "10.") if isinstance(played.server, MariaDB) else ("mysql", "5.6.24")
    for name, found in played.reads.items():
        assert found.source["format"] == f"mysql_{name}_log"
        assert found.source["engine"] == engine
        assert str(found.source["version"]).startswith(version)
        assert (found.source["unknown"], found.source["suspects"]) == (0, 0)


def test_wrong_passwords_are_in_both_logs(played: Played) -> None:
    for log in ("error", "general"):
        assert len(played.events(log, "auth_failed")) == DENIED
        assert {row["user_name"] for row in played.events(log, "auth_failed")} == {"app_web"}


def test_aborted_sessions_are_those_the_clients_lost(played: Played) -> None:
    by_reason: dict[object, set[object]] = {}
    for row in played.events("error", "session_aborted"):
        by_reason.setdefault(row["reason"], set()).add(row["backend_id"])
    assert by_reason["read_error"] == played.cut
    assert by_reason["read_timeout"] == played.idled
    if isinstance(played.server, MariaDB):
        assert by_reason["killed"] >= played.killed
    else:
        assert "killed" not in by_reason


def test_the_general_log_has_every_connect_and_every_quit(played: Played) -> None:
    opened = played.events("general", "connection_opened")
    assert len(opened) == played.connects
    assert len(played.events("general", "connection_closed")) == played.quits
    assert all(row["event_at"] is not None and row["backend_id"] is not None for row in opened)
    lost = {row["backend_id"] for row in opened} - {
        row["backend_id"] for row in played.events("general", "connection_closed")
    }
    assert lost >= played.cut | played.idled | played.killed


def test_refusals_stand_where_the_server_puts_them(played: Played) -> None:
    assert played.held == SLOTS
    assert played.refused_late == played.refused_early == FURTHER + 1
    refused = len(played.events("error", "refused_full"))
    assert played.events("general", "refused_full") == []
    if isinstance(played.server, MariaDB):
        assert 1 <= refused <= played.refused_early
    else:
        assert refused == 0


def test_sessions_open_at_the_shutdown_are_told_of(played: Played) -> None:
    if isinstance(played.server, MariaDB):
        ended = [row for row in played.events("error", "session_aborted") if row["reason"] == "killed"]
        assert len(ended) == played.held + len(played.killed)
    else:
        assert len(played.events("error", "session_terminated")) == played.held


def test_slow_statements_are_those_that_were_slow(played: Played) -> None:
    told = played.events("slow", "slow_statement")
    assert [round(float(str(row["duration_ms"])) / 1000, 1) for row in told] == list(played.slow_s)
    for row in told:
        assert row["database_name"] == "shop"
        assert str(row["text"]).startswith("SELECT SLEEP(")
        assert str(row["text"]).endswith("'two lines';")
    assert len({row["backend_id"] for row in told}) == 1


def test_the_life_of_the_server(played: Played) -> None:
    counted = Counter((row["kind"], row["reason"]) for row in played.reads["error"].rows["event"])
    assert counted["server_ready", None] == 2
    assert counted["server_stopping", "normal"] == counted["server_stopping", "complete"] == 1
    if isinstance(played.server, MariaDB):
        assert counted["server_starting", None] == 2
    for log in ("general", "slow"):
        opened = played.events(log, "server_starting")
        assert [row["reason"] for row in opened] == ["log_opened"] * 2
        assert [row["event_at"] for row in opened] == [None, None]


def test_a_limit_raised_at_the_start_is_a_setting(tmp_path: Path) -> None:
    mariadb.require()
    with MariaDB(max_connections=3) as server:
        found = read(server.error_log.read_bytes(), tmp_path, "error.log")
    assert [(row["name"], row["value"]) for row in found.rows["setting"]] == [("max_connections", "10")]
