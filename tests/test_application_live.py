"""Real pools run dry against a real PostgreSQL, and their real logs say what their callers counted."""

from __future__ import annotations

import contextlib
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connforensics.evidence import identify
from tests.lab import hikari, mariadb, node, php
from tests.lab.postgres import Postgres, available_versions, require
from tests.test_formats import Read, head_of, read

SQLALCHEMY = r"""
import logging, sys, threading, time
import sqlalchemy

logging.basicConfig(format="%(asctime)s - %(name)s - %(levelname)s - %(message)s", level=logging.INFO, stream=sys.stderr)
log = logging.getLogger("app.orders")
engine = sqlalchemy.create_engine(sys.argv[1], pool_size=1, max_overflow=1, pool_timeout=0.5)
counts = {"timeouts": 0, "refusals": 0}

def order():
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            time.sleep(1.5)
    except sqlalchemy.exc.TimeoutError:
        counts["timeouts"] += 1
        log.exception("no order")
    except sqlalchemy.exc.OperationalError:
        counts["refusals"] += 1
        log.exception("no order")

threads = [threading.Thread(target=order) for _ in range(5)]
for thread in threads:
    thread.start()
    time.sleep(0.05)
log.info(engine.pool.status())
for thread in threads:
    thread.join()
print(counts["timeouts"], counts["refusals"])
"""

PSYCOPG_POOL = r"""
import logging, sys, threading, time
import psycopg_pool

logging.basicConfig(format="%(asctime)s %(levelname)s [%(threadName)s] %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
log = logging.getLogger("app.orders")
counts = {"timeouts": 0, "refusals": 0}
pool = psycopg_pool.ConnectionPool(sys.argv[1], min_size=2, max_size=2, max_waiting=2, timeout=0.5, name="orders-pool", open=True)
try:
    pool.wait(timeout=float(sys.argv[2]))
except psycopg_pool.PoolTimeout:
    log.exception("the pool did not fill")

def order():
    try:
        with pool.connection():
            time.sleep(1.5)
    except (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests):
        counts["timeouts"] += 1
        log.exception("no order")

threads = [threading.Thread(target=order) for _ in range(5)]
for thread in threads:
    thread.start()
    time.sleep(0.05)
log.info("stats %s", pool.get_stats())
for thread in threads:
    thread.join()
pool.close()
print(counts["timeouts"], counts["refusals"])
"""

RUN_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def server() -> Postgres:  # type: ignore[misc]
    version = require(max(available_versions(), default=15))
    with Postgres(version, max_connections=10) as running:
        running.run("CREATE ROLE app_web LOGIN", "CREATE ROLE app_full LOGIN CONNECTION LIMIT 1")
        yield running


@pytest.fixture(scope="module")
def maria() -> Iterator[mariadb.MariaDB]:
    with mariadb.MariaDB(max_connections=10) as server:
        server.run(
            "CREATE USER app_web@'127.0.0.1'",
            "CREATE USER app_full@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1",
        )
        yield server


def play(program: str, *arguments: str) -> tuple[str, int, int]:
    """Run a Python program; returns its log, and the timeouts and refusals it counted."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )
    timeouts, refusals = map(int, done.stdout.split()[-2:])
    return done.stderr, timeouts, refusals


def ingested(log: str, folder: Path) -> tuple[Read, Counter[object]]:
    """The log as the loader reads it (identified by itself), and its events by kind; no suspicious line is left over."""
    assert identify(head_of(log))[0][0].name == "application_log", log[:2000]
    found = read(log, folder)
    assert found.source["unknown"] == 0, log
    return found, Counter(row["kind"] for row in found.rows["event"])


def url(server: Postgres, user: str) -> str:
    return f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/postgres?sslmode=disable&gssencmode=disable"


def test_sqlalchemy_runs_dry(server: Postgres, tmp_path: Path) -> None:
    log, timeouts, refusals = play(SQLALCHEMY, url(server, "app_web"))
    found, kinds = ingested(log, tmp_path)
    assert (timeouts, refusals) == (3, 0)
    assert kinds == {"pool_timeout": timeouts}
    assert {row["engine"] for row in found.rows["event"]} == {"sqlalchemy"}
    status = [row for row in found.rows["pool_sample"] if row["checked_out"] is not None]
    assert [(row["size"], row["overflow"], row["checked_out"]) for row in status] == [(1.0, 1.0, 2.0)]


def test_sqlalchemy_is_refused(server: Postgres, tmp_path: Path) -> None:
    with contextlib.closing(server.connect(user="app_full")):
        log, timeouts, refusals = play(SQLALCHEMY, url(server, "app_full"))
    found, kinds = ingested(log, tmp_path)
    assert refusals == 5
    assert kinds["client_refused"] == refusals
    assert kinds["pool_timeout"] == timeouts
    assert {(row["reason"], row["user_name"]) for row in found.rows["event"]} == {("quota", "app_full")}


def test_psycopg_pool_runs_dry(server: Postgres, tmp_path: Path) -> None:
    log, timeouts, _ = play(PSYCOPG_POOL, server.conninfo(user="app_web"), "5")
    found, kinds = ingested(log, tmp_path)
    assert timeouts == 3
    assert kinds == {"pool_timeout": timeouts}
    assert Counter(row["reason"] for row in found.rows["event"]) == {None: 2, "queue_full": 1}
    [stats] = found.rows["pool_sample"]
    assert (stats["max_size"], stats["size"], stats["idle"], stats["waiting"]) == (2.0, 2.0, 0.0, 2.0)


def test_psycopg_pool_is_refused(server: Postgres, tmp_path: Path) -> None:
    with contextlib.closing(server.connect(user="app_full")):
        log, timeouts, _ = play(PSYCOPG_POOL, server.conninfo(user="app_full"), "1")
    _, kinds = ingested(log, tmp_path)
    tries = len(re.findall(r"WARNING .*error connecting in", log))
    assert tries > 0
    assert kinds["client_refused"] == tries
    assert kinds["pool_timeout"] == timeouts
    assert kinds["pool_failed"] == 1


def test_psycopg_alone_is_refused(server: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import psycopg

    lines = []
    with contextlib.closing(server.connect(user="app_full")):
        for _ in range(3):
            try:
                server.connect(user="app_full")
            except psycopg.OperationalError as error:
                record = logging.LogRecord("app", logging.ERROR, "app.py", 1, "no order: %s", (error,), None)
                lines.append(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s").format(record))
            time.sleep(0.01)
    _, kinds = ingested("\n".join(lines) + "\n", tmp_path)
    assert kinds == {"client_refused": 3}


@pytest.mark.parametrize("layout", ["simple", "jdk14"])
def test_hikari_runs_dry(layout: str, server: Postgres, tmp_path: Path) -> None:
    log, timeouts = hikari.exhaust(server.port, user="app_web", layout=layout)
    found, kinds = ingested(log, tmp_path)
    assert timeouts == 3
    assert (kinds["pool_timeout"], kinds["pool_leak_suspected"], kinds["pool_leak_returned"]) == (timeouts, 2, 2)
    assert kinds["pool_started"] == kinds["pool_stopped"] == 1
    taken = {row["session_key"] for row in found.rows["event"] if row["kind"] == "pool_leak_suspected"}
    assert taken == {row["session_key"] for row in found.rows["event"] if row["kind"] == "pool_leak_returned"}
    assert all(
        str(row["detail"]).startswith("Exhaust.lambda$main$0(")
        for row in found.rows["event"]
        if row["kind"] == "pool_leak_suspected"
    )
    if layout == "simple":
        full = [row["waiting"] for row in found.rows["pool_sample"] if row["checked_out"] == 2.0]
        assert max(full) == 3.0
        assert {row["pool"] for row in found.rows["pool_sample"]} == {"orders-pool"}
        assert ("maximumPoolSize", "2") in {(row["name"], row["value"]) for row in found.rows["setting"]}
    assert all(row["event_at"] is not None for row in found.rows["event"])


def test_hikari_is_refused(server: Postgres, tmp_path: Path) -> None:
    with contextlib.closing(server.connect(user="app_full")):
        log, timeouts = hikari.exhaust(server.port, user="app_full")
    found, kinds = ingested(log, tmp_path)
    assert timeouts == 5
    assert kinds["pool_timeout"] == timeouts
    records = re.split(r"(?m)^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} )", log)
    assert kinds["client_refused"] == sum("too many connections for role" in record for record in records) > 0
    assert {row["user_name"] for row in found.rows["event"] if row["kind"] == "client_refused"} == {"app_full"}


def test_node_postgres_runs_dry(server: Postgres, tmp_path: Path) -> None:
    log, counted = node.exhaust(server.port, user="app_web")
    found, kinds = ingested(log, tmp_path)
    assert counted == {"timeouts": 3, "refusals": 0}
    assert kinds == {"pool_timeout": 3}
    [sample] = found.rows["pool_sample"]
    assert (sample["service"], sample["size"], sample["idle"], sample["waiting"]) == ("orders", 2.0, 0.0, 3.0)


def test_node_postgres_is_refused(server: Postgres, tmp_path: Path) -> None:
    with contextlib.closing(server.connect(user="app_full")):
        log, counted = node.exhaust(server.port, user="app_full")
    _, kinds = ingested(log, tmp_path)
    assert counted["refusals"] > 0
    assert kinds["client_refused"] == counted["refusals"]
    assert kinds["pool_timeout"] == counted["timeouts"]


def test_mysql2_runs_dry(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    log, counted = node.exhaust(maria.port, user="app_web", library="mysql2")
    found, kinds = ingested(log, tmp_path)
    assert counted == {"timeouts": 2, "refusals": 0}
    assert kinds == {"pool_timeout": 2}
    assert {row["reason"] for row in found.rows["event"]} == {"queue_full"}
    [sample] = found.rows["pool_sample"]
    assert (sample["service"], sample["size"], sample["idle"], sample["waiting"]) == ("orders", 2.0, 0.0, 1.0)


@pytest.mark.parametrize(("user", "reason"), [("app_full", "quota"), ("app_web", "full")])
def test_mysql2_is_refused(maria: mariadb.MariaDB, tmp_path: Path, user: str, reason: str) -> None:
    taken = [maria.connect("app_full")] if user == "app_full" else list(maria.fill("app_web").held)
    try:
        log, counted = node.exhaust(maria.port, user=user, library="mysql2")
    finally:
        for connection in taken:
            connection.close()
    found, kinds = ingested(log, tmp_path)
    assert counted["refusals"] > 0
    assert kinds["client_refused"] == counted["refusals"]
    assert kinds["pool_timeout"] == counted["timeouts"]
    assert {row["reason"] for row in found.rows["event"] if row["kind"] == "client_refused"} == {reason}


def test_php_is_refused(server: Postgres, tmp_path: Path) -> None:
    with contextlib.closing(server.connect(user="app_full")):
        log = php.refuse(server.port, user="app_full") + php.refuse(server.port, user="app_full")
    found, kinds = ingested(log, tmp_path)
    assert kinds == {"client_refused": 2}
    assert {row["reason"] for row in found.rows["event"]} == {"quota"}
