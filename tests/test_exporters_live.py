"""What a real Prometheus tells of real servers through real exporters, against what their clients hold."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg

from connforensics.case import Case, open_case
from connforensics.ingest import ingest
from connforensics.record import prometheus as api
from tests.lab import mariadb, prometheus
from tests.lab.mariadb import MariaDB
from tests.lab.postgres import Postgres, require
from tests.lab.prometheus import MysqlExporter, PostgresExporter, Prometheus

HELD = Counter({"active": 2, "idle": 4, "idle in transaction": 3})
"""Sessions of a client by state."""


def hold(server: Postgres) -> list[psycopg.Connection]:
    """Open the sessions; those at work sleep until the server stops."""
    held = []
    for state, count in HELD.items():
        for _ in range(count):
            connection = server.connect(autocommit=state != "idle in transaction", application_name="held")
            held.append(connection)
            if state == "idle in transaction":
                connection.execute("SELECT 1")
            elif state == "active":
                threading.Thread(target=_sleep, args=(connection,), daemon=True).start()
    until = time.monotonic() + 10
    while _states(server) != HELD and time.monotonic() < until:
        time.sleep(0.05)
    return held


def _sleep(connection: psycopg.Connection) -> None:
    try:
        connection.execute("SELECT pg_sleep(600)")
    except psycopg.Error:
        return


def _states(server: Postgres) -> Counter[str]:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT state, count(*) FROM pg_stat_activity WHERE application_name = 'held' GROUP BY state"
        )
        return Counter(dict(rows.fetchall()))


def told(tmp_path: Path, name: str, write: Callable[[Path], object]) -> Case:
    """The case of what `write` puts into a folder."""
    folder = tmp_path / name
    folder.mkdir()
    write(folder)
    ingest(tmp_path / f"{name}.duckdb", [folder])
    return open_case(tmp_path / f"{name}.duckdb")


def page(exporter: PostgresExporter | MysqlExporter) -> Callable[[Path], object]:
    """A page as an engineer saves it, the time in its name."""
    return lambda folder: (folder / time.strftime("metrics-%Y%m%dT%H%M%SZ.prom", time.gmtime())).write_text(
        exporter.page()
    )


def fetched(prometheus: Prometheus) -> Callable[[Path], object]:
    """What the recorder fetches of the last minute."""
    return lambda folder: api.fetch(prometheus.url, folder, api.span(None, None, 1.0, 60.0))


def test_sessions_by_state_are_those_the_clients_hold(tmp_path: Path) -> None:
    prometheus.require(PostgresExporter.PROGRAM, Prometheus.PROGRAM)
    with Postgres(require(15), max_connections=30) as server, PostgresExporter(server) as exporter:
        hold(server)
        with Prometheus(exporter) as scraper:
            scraper.wait_for("pg_stat_activity_count", 4)
            cases = [told(tmp_path, "page", page(exporter)), told(tmp_path, "range", fetched(scraper))]
    for case in cases:
        with case:
            seen = dict(
                case.rows(
                    """
                    WITH newest AS (
                      SELECT * FROM metric_sample
                      WHERE name = 'pg_stat_activity_count'
                      QUALIFY sampled_at = max(sampled_at) OVER ()
                    )
                    SELECT labels['state'], CAST(sum(value) AS INTEGER)
                    FROM newest
                    WHERE value > 0
                    GROUP BY ALL
                    """
                )
            )
            # The exporter is at work while it counts, in one session or two; one of them may be idle.
            own = Counter(seen) - HELD
            assert Counter(seen) >= HELD
            assert own.total() in (1, 2)
            assert own["idle in transaction"] == 0
            assert case.rows("SELECT DISTINCT max_backends FROM capacity") == [(30,)]
            [(most,)] = case.rows("SELECT max(in_use) FROM occupancy")
            assert HELD.total() < most <= HELD.total() + 2
            assert case.scalar("SELECT count(*) FROM source WHERE format = 'unknown'") == 0


def test_mariadb_counts_who_is_refused_after_the_login_as_aborted_only(tmp_path: Path) -> None:
    """Who finds the slot kept for administrators taken as well is counted as refused too."""
    mariadb.require()
    prometheus.require(MysqlExporter.PROGRAM, Prometheus.PROGRAM)
    with MariaDB(max_connections=12) as server:
        server.run("CREATE USER exporter@'%'", "GRANT PROCESS ON *.* TO exporter@'%'", "CREATE USER app_web@'%'")
        with MysqlExporter(server, "exporter") as exporter, Prometheus(exporter) as scraper:
            scraper.wait_for("mysql_global_status_threads_connected", 2)
            late = server.fill("app_web", further=4)
            root = server.connect()
            early = server.fill("app_web", further=2)
            root.close()
            server.cut(late.held[0])
            before = scraper.samples("mysql_global_status_threads_connected")
            scraper.wait_for("mysql_global_status_threads_connected", before + 2)
            cases = [told(tmp_path, "page", page(exporter)), told(tmp_path, "range", fetched(scraper))]
    for case in cases:
        with case:
            newest = dict(
                case.rows(
                    """
                    SELECT concat_ws(' ', name, labels['error']), arg_max(value, sampled_at)
                    FROM metric_sample
                    WHERE name LIKE 'mysql_global%'
                    GROUP BY ALL
                    """
                )
            )
            assert newest["mysql_global_status_max_used_connections"] >= 12
            # The exporter opens a connection a scrape, and may have been refused as well.
            assert newest["mysql_global_status_connection_errors_total max_connections"] >= early.refused
            assert newest["mysql_global_status_aborted_connects"] >= late.refused + early.refused
            assert case.rows("SELECT DISTINCT max_backends FROM capacity") == [(12,)]
            assert case.scalar("SELECT count(*) FROM source WHERE format = 'unknown'") == 0
