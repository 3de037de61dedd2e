"""A real PgBouncer in front of a real PostgreSQL: what its log and console tell is what the clients counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connforensics.case import open_case
from connforensics.ingest import ingest
from tests.lab import pgbouncer, postgres
from tests.lab.pgbouncer import PgBouncer
from tests.lab.postgres import Postgres

VERSION = 15
LOG_PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    pgbouncer.require()
    with Postgres(postgres.require(VERSION), max_connections=20, superuser_reserved_connections=3) as running:
        running.run("CREATE ROLE app_web LOGIN")
        yield running


def refused(bouncer: PgBouncer, **parameters: object) -> str:
    """What a client is told that is not let in."""
    with pytest.raises(psycopg.OperationalError) as told:
        psycopg.connect(bouncer.conninfo(**parameters)).close()
    return str(told.value)


def wait_for(bouncer: PgBouncer, text: str, count: int) -> None:
    until = time.monotonic() + LOG_PATIENCE_S
    while bouncer.log_path.read_text().count(text) < count:
        assert time.monotonic() < until, f"{text!r} is not {count} times in the log"
        time.sleep(0.05)


def shown(bouncer: PgBouncer, *commands: str) -> str:
    """What the console prints, as text with tabs."""
    tables = []
    with psycopg.connect(bouncer.conninfo(user="stats", dbname="pgbouncer"), autocommit=True) as console:
        for command in commands:
            cursor = console.execute(command.encode())
            names = [column.name for column in cursor.description or ()]
            rows = [["" if cell is None else str(cell) for cell in row] for row in cursor.fetchall()]
            tables.append("".join("\t".join(row) + "\n" for row in [names, *rows]))
    return "\n".join(tables)


def kinds(folder: Path, log: bytes) -> tuple[Counter[tuple[str, str]], dict[str, object]]:
    """The events of a log by kind and reason, and its line of `source`."""
    folder.mkdir()
    (folder / "pgbouncer.log").write_bytes(log)
    ingest(folder / "case.duckdb", [folder / "pgbouncer.log"])
    with open_case(folder / "case.duckdb") as case:
        events = case.rows("SELECT kind, coalesce(reason, '') FROM event")
        [source] = case.query("SELECT * FROM source").to_dict("records")
    return Counter((str(kind), str(reason)) for kind, reason in events), source


def test_logins_and_a_full_pooler(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server, max_client_conn=6) as bouncer:
        before = bouncer.log_path.read_text().count("login attempt")
        clients = [bouncer.connect(user="app_web") for _ in range(6)]
        told = [refused(bouncer, user="app_web") for _ in range(4)]
        assert all("no more connections allowed" in text for text in told)
        for client in clients:
            client.close()
        wait_for(bouncer, "closing because: no more connections allowed (max_client_conn)", 4)
        wait_for(bouncer, "closing because: client", before + 6)
        found, source = kinds(tmp_path / "full", bouncer.log_path.read_bytes())
    full = "no more connections allowed (max_client_conn)"
    assert found["pooler_login", ""] == before + 6
    assert found["pooler_client_closed", full] == 4
    assert found["pooler_error", full] == 4
    assert (
        sum(count for (kind, reason), count in found.items() if kind == "pooler_client_closed" and reason != full)
        == before + 6
    )
    assert found["server_ready", ""] == 1
    assert source["unknown"] == 0
    assert str(source["version"]).startswith("1.")
    assert source["engine"] == "pgbouncer"


def test_a_client_that_waited_in_vain_and_what_the_console_shows(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server, default_pool_size=1, query_wait_timeout=2) as bouncer:
        holder = bouncer.connect(user="app_web")
        holder.autocommit = False
        holder.execute("SELECT 1")
        waiter = bouncer.connect(user="app_web")
        waiter.pgconn.send_query(b"SELECT 2")
        time.sleep(0.5)
        (tmp_path / "console.txt").write_text(
            shown(
                bouncer,
                "SHOW POOLS",
                "SHOW CLIENTS",
                "SHOW SERVERS",
                "SHOW STATS",
                "SHOW CONFIG",
                "SHOW DATABASES",
                "SHOW LISTS",
            )
        )
        pid = holder.execute("SELECT pg_backend_pid()").fetchone()
        wait_for(bouncer, "pooler error: query_wait_timeout", 1)
        found, source = kinds(tmp_path / "wait", bouncer.log_path.read_bytes())
    assert found["pooler_client_closed", "query_wait_timeout"] == 1
    assert found["pooler_error", "query_wait_timeout"] == 1
    assert source["unknown"] == 0

    [read] = ingest(tmp_path / "console.duckdb", [tmp_path / "console.txt"])
    assert read.format == "pgbouncer_show"
    assert read.unknown == 0
    with open_case(tmp_path / "console.duckdb") as case:
        [pool] = case.rows("SELECT checked_out, idle, size, waiting FROM pool_sample WHERE pool = 'postgres/app_web'")
        assert pool == (1.0, 0.0, 1.0, 1.0)
        waiting = case.rows(
            "SELECT user_name FROM backend_sample WHERE backend_type = 'pooler client' AND wait_event = 'pool'"
        )
        assert waiting == [("app_web",)]
        linked = case.rows(
            """
            SELECT backend_id
            FROM backend_sample
            WHERE backend_type = 'pooler server'
              AND state = 'active'
              AND command IN (SELECT substr(query_id, 3) FROM backend_sample WHERE backend_type = 'pooler client' AND state = 'active')
            """
        )
        assert linked == [pid], "the client's connection is linked to the process in PostgreSQL"
        assert case.scalar("SELECT value FROM setting WHERE name = 'query_wait_timeout'") == "2"
        assert (
            case.scalar(
                "SELECT value FROM setting WHERE name = 'database.*.pool_size' OR name = 'database.postgres.pool_size'"
            )
            == "1"
        )
        clients = case.scalar("SELECT count(*) FROM backend_sample WHERE backend_type = 'pooler client'")
        assert case.scalar("SELECT value FROM metric_sample WHERE name = 'pgbouncer_used_clients'") == float(clients)


def test_a_server_that_is_full_and_one_that_is_down(tmp_path: Path) -> None:
    pgbouncer.require()
    with Postgres(postgres.require(VERSION), max_connections=5, superuser_reserved_connections=3) as small:
        small.run("CREATE ROLE app_web LOGIN")
        with PgBouncer(small, query_wait_timeout=2) as bouncer:
            taken = [small.connect(user="app_web") for _ in range(2)]
            refused(bouncer, user="app_web")
            wait_for(bouncer, "remaining connection slots are reserved", 1)
            full = bouncer.log_path.read_bytes()
            for connection in taken:
                connection.close()
            small.stop()
            refused(bouncer, user="app_web")
            wait_for(bouncer, "connect failed", 1)
            down = bouncer.log_path.read_bytes()
    found, source = kinds(tmp_path / "full", full)
    told = sum(count for (kind, reason), count in found.items() if kind == "client_refused" and "reserved" in reason)
    wrote = sum(
        line.count(b"login failed: FATAL") for line in full.splitlines() if b"remaining connection slots" in line
    )
    assert told == wrote > 0, "the server's refusals, seen through the pooler"
    assert found["pooler_server_closed", "login failed"] >= 1
    assert source["suspects"] == 0
    found, source = kinds(tmp_path / "down", down)
    assert found["pooler_server_closed", "connect failed"] == down.count(b"closing because: connect failed")
    assert source["suspects"] == 0
