"""The recorder against a real PgBouncer; ProxySQL's tables are stood in for, since no ProxySQL can be had here."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connforensics.case import open_case
from connforensics.errors import UnreachableError
from connforensics.ingest import ingest
from connforensics.record import address
from connforensics.record.pgbouncer import is_secret
from connforensics.record.secrets import withhold
from connforensics.record.target import Rows
from connforensics.record.trigger import Bar
from tests.lab import mariadb, pgbouncer
from tests.lab.pgbouncer import PgBouncer
from tests.lab.postgres import Postgres, require
from tests.recording import PASSWORD, Recording, lines_of, start, wait_for_samples


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    pgbouncer.require()
    with Postgres(require(15)) as running:
        running.run("CREATE ROLE app_web LOGIN")
        yield running


def at(bouncer: PgBouncer, user: str = "stats", name: str = "") -> address.Address:
    return address.parse("pgbouncer", bouncer.conninfo(user=user, dbname="pgbouncer"), name)


@contextlib.contextmanager
def crowded(bouncer: PgBouncer, clients: int, seconds: float) -> Iterator[list[psycopg.Connection]]:
    """Clients that each keep a server connection for a while; the pool has two."""
    held = [bouncer.connect(user="app_web") for _ in range(clients)]

    def work(connection: psycopg.Connection) -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute(f"SELECT pg_sleep({seconds})".encode())

    threads = [threading.Thread(target=work, args=(connection,), daemon=True) for connection in held]
    for thread in threads:
        thread.start()
    yield held
    for thread in threads:
        thread.join(10)


def test_pools_clients_servers_and_settings(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server) as bouncer, Recording(tmp_path / "rec", [at(bouncer, name="bouncer")]) as recording:
        recording.wait_until(lambda r: r.heads("pools"))
        with crowded(bouncer, 5, 0.6):
            recording.wait_until(lambda r: any(row["cl_waiting"] == 3 for row in r.rows("pools")))
    assert recording.heads("pools")[0]["clock"] == "recorder"
    assert recording.heads("pools")[0]["version"] == "1.18.0"
    assert {row["user"] for row in recording.rows("clients")} == {"stats", "app_web"}
    assert {row["remote_pid"] > 0 for row in recording.rows("servers") if row["state"] == "active"} == {True}
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        columns = "service, instance, pool, max(max_size), max(checked_out), max(waiting)"
        assert case.rows(f"SELECT {columns} FROM pool_sample GROUP BY ALL") == [
            ("pgbouncer", "bouncer", "postgres/app_web", 2.0, 2.0, 3.0)
        ]
        assert case.rows("SELECT value, engine, server FROM setting WHERE name = 'max_client_conn'") == [
            ("20", "pgbouncer", "bouncer")
        ]
        assert case.scalar("SELECT count(*) FROM source WHERE unknown > 0") == 0
        assert case.scalar("SELECT count(*) FROM backend_sample WHERE application_name = 'connforensics'") == 0


def test_no_secret_is_told_anywhere(server: Postgres, tmp_path: Path) -> None:
    """The password stands where the driver looks for it, and in the options of LDAP (1.25) as SHOW CONFIG tells them."""
    with PgBouncer(server) as bouncer:
        process = start(tmp_path / "rec", at(bouncer).target, kind="pgbouncer", PGPASSWORD=PASSWORD)
        wait_for_samples(tmp_path / "rec", 5, process, "pools")
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        process.terminate()
        said, talk = process.communicate(timeout=20)
    told = said + talk + shown + "".join("\n".join(lines_of(path)) for path in (tmp_path / "rec").rglob("*.zst"))
    assert "max_client_conn" in told
    assert PASSWORD not in told
    config = Rows(
        ("key", "value", "default"),
        [("auth_ldap_options", f"ldapbindpasswd={PASSWORD}", ""), ("max_client_conn", "20", "100")],
    )
    assert withhold(config, "key", ("value", "default"), is_secret).values == [
        ("auth_ldap_options", "(withheld)", ""),
        ("max_client_conn", "20", "100"),
    ]


def named_in_bytes(bouncer: PgBouncer, name: bytes) -> socket.socket:
    """A client that calls itself something that is no UTF-8; drivers do not let one."""
    told = b"user\0postgres\0database\0postgres\0application_name\0" + name + b"\0\0"
    client = socket.create_connection(("127.0.0.1", bouncer.port))
    client.sendall(struct.pack("!ii", len(told) + 8, 3 << 16) + told)
    assert client.recv(1) == b"R"
    return client


def test_a_sample_that_is_missed_leaves_no_limit_unknown(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server) as bouncer, named_in_bytes(bouncer, b"caf\xe9"):
        with Recording(tmp_path, [at(bouncer)]) as recording:
            recording.wait_until(lambda r: len(r.heads("pools")) > 2)
        assert recording.outcomes[0].missed == 1
    assert "caf\\xe9" in {row["application_name"] for row in recording.rows("clients")}
    assert {row["key"] for row in recording.rows("config")} >= {"max_client_conn"}


def test_a_full_pooler_lets_the_console_in(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server, max_client_conn=4) as bouncer, crowded(bouncer, 4, 0.8):
        with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            bouncer.connect(user="app_web")
        with Recording(tmp_path, [at(bouncer)]) as recording:
            recording.wait_until(lambda r: r.heads("pools"))


def test_waiting_clients_pull_the_trigger(server: Postgres, tmp_path: Path) -> None:
    with (
        PgBouncer(server) as bouncer,
        Recording(tmp_path, [at(bouncer)], bars=(Bar.parse("waiting>2"),)) as recording,
    ):
        recording.wait_until(lambda r: r.said)
        with crowded(bouncer, 4, 0.3):
            time.sleep(0.5)
        assert not any("incident" in text for text in recording.said)
        with crowded(bouncer, 6, 0.5):
            recording.wait_until(lambda r: any("incident" in text for text in r.said))


def test_a_pooler_that_restarts_is_found_again(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server) as bouncer, Recording(tmp_path, [at(bouncer)]) as recording:
        recording.wait_until(lambda r: r.heads("pools"))
        bouncer.end()
        recording.wait_until(lambda r: any("lost" in text for text in r.said))
        bouncer.start()
        recording.wait_until(lambda r: any("connected again" in text for text in r.said))
    assert recording.outcomes[0].reconnects == 1


def test_a_user_who_may_not_look_is_exit_code_4(server: Postgres, tmp_path: Path) -> None:
    with PgBouncer(server) as bouncer, Recording(tmp_path, [at(bouncer, user="app_web")]) as recording:
        recording.join()
    assert isinstance(recording.error, UnreachableError)


PROXYSQL = (
    "CREATE DATABASE admin",
    "CREATE TABLE admin.stats_mysql_connection_pool (hostgroup INT, srv_host VARCHAR(50), srv_port INT, status VARCHAR(20),"
    " ConnUsed INT, ConnFree INT, ConnOK INT, ConnERR INT, Queries BIGINT, Latency_us INT)",
    "INSERT INTO admin.stats_mysql_connection_pool VALUES (1, '10.0.0.7', 3306, 'ONLINE', 8, 2, 10, 0, 99, 300)",
    "CREATE TABLE admin.stats_mysql_processlist (ThreadID INT, SessionID INT, user VARCHAR(20), db VARCHAR(20),"
    " cli_host VARCHAR(20), cli_port INT, hostgroup INT, command VARCHAR(20), time_ms INT, info TEXT)",
    "INSERT INTO admin.stats_mysql_processlist VALUES (0, 1, 'app', 'shop', '10.0.0.1', 4000, 1, 'Query', 3, 'SELECT ''x''')",
    "CREATE TABLE admin.stats_mysql_users (username VARCHAR(20), frontend_connections INT, frontend_max_connections INT)",
    "CREATE TABLE admin.stats_mysql_global (Variable_Name VARCHAR(60), Variable_Value VARCHAR(60))",
    "INSERT INTO admin.stats_mysql_global VALUES ('Client_Connections_connected', '11'), ('Access_Denied_Max_Connections', '0')",
    "CREATE TABLE admin.global_variables (variable_name VARCHAR(60), variable_value VARCHAR(60))",
    "INSERT INTO admin.global_variables VALUES ('mysql-max_connections', '2048'), ('mysql-monitor_password', 'planted')",
    "CREATE TABLE admin.runtime_mysql_servers (hostgroup_id INT, hostname VARCHAR(50), port INT, status VARCHAR(20),"
    " weight INT, max_connections INT)",
    "INSERT INTO admin.runtime_mysql_servers VALUES (1, '10.0.0.7', 3306, 'ONLINE', 1, 10)",
    "CREATE USER 'stats'@'127.0.0.1'",
    "GRANT SELECT ON admin.* TO 'stats'@'127.0.0.1'",
)
"""ProxySQL's tables with the columns of its documentation, in a MariaDB."""


def test_proxysql_by_tables_that_stand_in_for_its_own(tmp_path: Path) -> None:
    mariadb.require()
    with mariadb.MariaDB() as stand_in:
        stand_in.run(*PROXYSQL)
        target = address.parse("proxysql", f"stats@127.0.0.1:{stand_in.port}/?database=admin", "proxy")
        with Recording(tmp_path / "rec", [target]) as recording:
            recording.wait_until(lambda r: len(r.heads("connection_pool")) > 1)
            stand_in.run("UPDATE admin.stats_mysql_connection_pool SET ConnUsed = 10, ConnFree = 0")
            recording.wait_until(lambda r: any(row["ConnUsed"] == 10 for row in r.rows("connection_pool")))
    assert [text for text in recording.said if "not seen" in text] == []
    assert recording.rows("processlist")[0]["info"] == "SELECT ?"
    assert "planted" not in str([recording.lines(stream) for stream in ("variables", "globals", "servers", "users")])
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        columns = "service, instance, pool, max(max_size), max(checked_out), min(idle)"
        assert case.rows(f"SELECT {columns} FROM pool_sample GROUP BY ALL") == [
            ("proxysql", "proxy", "1/10.0.0.7:3306", 10.0, 10.0, 0.0)
        ]
        assert case.rows("SELECT DISTINCT value FROM setting WHERE name = 'mysql-max_connections'") == [("2048",)]
        metric = "SELECT max(value) FROM metric_sample WHERE name = 'proxysql_client_connections_connected'"
        assert case.scalar(metric) == 11.0
