"""Each fault of the lab does what it says, on real servers."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pymysql
import pytest

from tests.lab import faults, mariadb
from tests.lab.faults import Clock, TcpProxy
from tests.lab.postgres import Postgres, require
from tests.lab.server import absent

LONG_S = 15.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(require(15)) as running:
        yield running


@pytest.fixture
def line(server: Postgres) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as line:
        yield line


def through(line: TcpProxy, server: Postgres) -> psycopg.Connection:
    return server.connect(port=line.port, application_name="through", connect_timeout=int(LONG_S))


def sessions(server: Postgres) -> int:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        told = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'through'")
        return told.fetchall()[0][0]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def wait_for_sessions(server: Postgres, count: int) -> None:
    wait_until(lambda: sessions(server) == count)


def test_a_plain_line_carries_everything_and_ends_as_the_client_does(server: Postgres, line: TcpProxy) -> None:
    session = through(line, server)
    text = "x" * 3_000_000
    assert session.execute("SELECT %s", (text,)).fetchone() == (text,)
    assert line.connections == 1
    session.close()
    wait_for_sessions(server, 0)
    wait_until(lambda: line.connections == 0)


def test_a_line_ends_for_the_client_when_the_server_ends_it(server: Postgres, line: TcpProxy) -> None:
    session = through(line, server)
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'through'")
    with pytest.raises(psycopg.errors.AdminShutdown):
        session.execute("SELECT 1")


def test_delay_comes_both_ways_and_blocks_do_not_add_up(server: Postgres, line: TcpProxy) -> None:
    session = through(line, server)
    line.delay(0.3)
    begun = time.monotonic()
    session.execute("SELECT repeat('x', 1000000)").fetchall()
    took = time.monotonic() - begun
    assert took >= 0.6
    line.restore()
    begun = time.monotonic()
    session.execute("SELECT 1").fetchall()
    assert time.monotonic() - begun < took


def test_held_nothing_comes_and_nothing_is_lost(server: Postgres, line: TcpProxy) -> None:
    session = through(line, server)
    line.hold()
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(session.execute("SELECT 1").fetchone()), daemon=True)
    waiting.start()
    with socket.create_connection(("127.0.0.1", line.port), timeout=LONG_S) as newcomer:  # is accepted
        waiting.join(0.5)
        assert not answers
        assert not select.select([newcomer], [], [], 0)[0]
    line.restore()
    waiting.join(LONG_S)
    assert answers == [(1,)]


def test_cut_ends_all_and_refuses_until_it_is_restored(server: Postgres, line: TcpProxy) -> None:
    held = [through(line, server) for _ in range(3)]
    line.cut()
    for session in held:
        with pytest.raises(psycopg.OperationalError, match="server closed the connection unexpectedly"):
            session.execute("SELECT 1")
    wait_for_sessions(server, 0)
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        through(line, server)
    line.cut()
    line.restore()
    line.restore()
    assert through(line, server).execute("SELECT 1").fetchone() == (1,)


def test_reset_ends_all_with_rst_and_takes_new_ones(server: Postgres, line: TcpProxy) -> None:
    with socket.create_connection(("127.0.0.1", line.port), timeout=LONG_S) as raw:
        wait_until(lambda: line.connections == 1)
        line.reset()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert through(line, server).execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_server_that_hears_nothing_keeps_the_sessions(server: Postgres, how: str) -> None:
    with TcpProxy("127.0.0.1", server.port) as line:
        session = through(line, server)
        getattr(line, how)(server_hears=False)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        assert sessions(server) == 1
        line.restore()
        assert through(line, server).execute("SELECT 1").fetchone() == (1,)
        assert sessions(server) == 2
    wait_for_sessions(server, 0)


def test_it_leads_elsewhere_after_a_failover(server: Postgres, line: TcpProxy) -> None:
    with Postgres(require(16)) as other:
        before = through(line, server)
        line.lead_to(other.port)
        assert through(line, server).info.server_version >= 160000
        assert before.execute("SELECT 1").fetchone() == (1,)


def test_a_target_that_refuses_resets_the_client() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with (
            TcpProxy("127.0.0.1", nobody.getsockname()[1]) as line,
            pytest.raises(ConnectionResetError),  # while it connects, or after that
            socket.create_connection(("127.0.0.1", line.port), timeout=LONG_S) as client,
        ):
            client.recv(1)


def test_closed_it_leaves_no_thread_and_no_descriptor(server: Postgres) -> None:
    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = left()
    line = TcpProxy("127.0.0.1", server.port)
    sessions = [psycopg.connect(server.conninfo(port=line.port)) for _ in range(5)]
    line.hold()
    line.close()
    line.close()
    for session in sessions:
        session.close()
    assert left() == before


def test_paused_every_process_stands_still_and_goes_on(server: Postgres) -> None:
    session = server.connect()
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(session.execute("SELECT 2").fetchone()), daemon=True)
    with faults.paused(server.pid):
        stopped = faults.family(server.pid)
        assert session.info.backend_pid in stopped
        assert {faults._state(pid) for pid in stopped} <= {"T", "Z"}
        waiting.start()
        waiting.join(0.3)
        assert not answers
        with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_S):
            pass  # the kernel still accepts
    waiting.join(LONG_S)
    assert answers == [(2,)]
    session.close()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_killed_it_recovers(kind: str) -> None:
    if kind == "mariadb":
        mariadb.require()
    with Postgres(require(16)) if kind == "postgres" else mariadb.MariaDB() as own:
        session, port = own.connect(), own.port
        pids = faults.family(own.pid)
        own.crash()
        assert own.port == port
        assert not {pid for pid in pids if faults._state(pid) not in "ZX"}
        own.run("SELECT 1")
        with pytest.raises(Exception, match=r"closed|Lost|gone"):
            session.cursor().execute("SELECT 1")
        own.wait_for_log("ready to accept connections" if kind == "postgres" else "ready for connections", count=2)
        assert "received fast shutdown request" not in own.log_text()
        assert "Normal shutdown" not in own.log_text()


LIMIT = 17 << 20
ROWS = 6000


def test_a_file_that_may_not_grow_is_the_servers_error_and_then_no_more(server: Postgres) -> None:
    server.run("CREATE UNLOGGED TABLE big (t text)", "ALTER TABLE big ALTER t SET STORAGE plain")
    session = server.connect()
    fill = f"INSERT INTO big SELECT repeat('x', 4000) FROM generate_series(1, {ROWS})"
    with faults.file_limit(server.pid, LIMIT), pytest.raises(psycopg.Error, match="could not extend file"):
        session.execute(fill)
    session.execute(fill)
    assert session.execute("SELECT count(*) FROM big").fetchone() == (ROWS,)


def test_a_file_that_may_not_grow_on_mariadb() -> None:
    mariadb.require()
    with mariadb.MariaDB(innodb_log_file_size="4M") as own:
        own.run("CREATE DATABASE shop", "CREATE TABLE shop.t (a VARCHAR(4000)) ENGINE=InnoDB")
        fill = f"INSERT INTO shop.t SELECT repeat('x', 4000) FROM seq_1_to_{ROWS}"
        with own.connect(database="shop").cursor() as cursor:
            with faults.file_limit(own.pid, LIMIT), pytest.raises(pymysql.MySQLError, match="is full"):
                cursor.execute(fill)
            cursor.execute(fill)


if faults.may_mount():  # only root may; file_limit stands in for it

    def test_a_full_disk_is_enospc_and_then_no_more() -> None:
        with faults.small_disk(1 << 20) as disk:
            (disk.path / "before").write_bytes(b"x" * 4096)
            disk.fill()
            with pytest.raises(OSError, match="No space left on device"), (disk.path / "now").open("wb", 0) as file:
                file.write(b"x")
            disk.free()
            (disk.path / "after").write_bytes(b"x" * 4096)
            place = disk.path
        assert not place.exists()


def test_a_clock_that_is_wrong_is_the_servers_and_its_logs() -> None:
    if faults.faketime() is None:
        absent("libfaketime is not installed: run python -m tests.lab.install")
    clock = Clock(+40)
    with Postgres(require(15), clock=clock, log_line_prefix="%m [%p] ") as own:
        connection = own.connect()

        def ahead() -> float:
            told = connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
            return (told - datetime.now(UTC)).total_seconds()

        assert ahead() == pytest.approx(40, abs=5)
        text = own.wait_for_log("connection received")
        stamp = datetime.fromisoformat(text.splitlines()[-1][:23]).replace(tzinfo=UTC)
        assert timedelta(seconds=20) < stamp - datetime.now(UTC) < timedelta(seconds=60)
        clock.shift(-3600)
        wait_until(lambda: ahead() < 0)
        assert ahead() == pytest.approx(-3600, abs=5)
        begun = time.monotonic()
        connection.execute("SELECT pg_sleep(0.3)")
        assert 0.25 < time.monotonic() - begun < LONG_S


def test_a_clock_that_is_wrong_on_mariadb() -> None:
    mariadb.require()
    if faults.faketime() is None:
        absent("libfaketime is not installed: run python -m tests.lab.install")
    with mariadb.MariaDB(clock=Clock(-40)) as own, own.connect().cursor() as cursor:
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        told = cursor.fetchall()[0][0].replace(tzinfo=UTC)
        assert (told - datetime.now(UTC)).total_seconds() == pytest.approx(-40, abs=5)


def test_without_the_library_a_clock_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(faults, "faketime", lambda: None)
    with pytest.raises(FileNotFoundError, match=r"python -m tests\.lab\.install"):
        Clock(5).kept_in(tmp_path)
