"""The recorder against real MariaDB and MySQL servers."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from connforensics.case import open_case
from connforensics.ingest import ingest
from connforensics.record import address, option_file
from connforensics.record.mysql import MySQL as Target
from connforensics.record.mysql import product
from connforensics.record.run import Plan, Recorder, target_of
from connforensics.record.trigger import Bar
from tests.lab import mariadb, mysql
from tests.lab.server import absent, free_port
from tests.recording import PASSWORD, Recording, lines_of, start, wait_for_samples

SETUP = (
    f"CREATE USER 'monitor'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
    "GRANT PROCESS ON *.* TO 'monitor'@'127.0.0.1'",
    "GRANT SELECT ON performance_schema.* TO 'monitor'@'127.0.0.1'",
    "CREATE USER 'app'@'127.0.0.1'",
    "CREATE USER 'plain'@'127.0.0.1'",
    "CREATE DATABASE shop",
    "CREATE TABLE shop.t (a INT PRIMARY KEY, b INT) ENGINE=InnoDB",
    "INSERT INTO shop.t VALUES (1, 1), (2, 2)",
    "GRANT ALL ON shop.* TO 'app'@'127.0.0.1'",
)


@pytest.fixture(scope="module")
def maria() -> Iterator[mariadb.MariaDB]:
    mariadb.require()
    instrument = "wait/lock/metadata/sql/mdl=ON"
    with mariadb.MariaDB(
        extra_port=free_port(),
        extra_max_connections=2,
        performance_schema="ON",
        performance_schema_instrument=instrument,
    ) as server:
        server.run(*SETUP, "GRANT SELECT (user, host, max_user_connections) ON mysql.user TO 'monitor'@'127.0.0.1'")
        server.run("CREATE USER 'limited'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 7")
        yield server


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)


def at(server: mysql.MySQL, user: str = "monitor", more: str = "", name: str = "") -> address.Address:
    return address.parse("mysql", f"mysql://{user}@127.0.0.1:{server.port}/{more}", name)


def app(server: mysql.MySQL, **parameters: object) -> pymysql.Connection:
    return server.connect("app", host="127.0.0.1", port=server.port, database="shop", **parameters)


@contextlib.contextmanager
def filled(server: mysql.MySQL) -> Iterator[int]:
    held = []
    try:
        with contextlib.suppress(pymysql.err.OperationalError):
            while True:
                held.append(app(server))
        yield len(held)
    finally:
        for connection in held:
            connection.close()
        time.sleep(0.2)


def test_started_before_it_sees_saturation_through(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    with Recording(tmp_path / "rec", [at(maria)]) as recording:
        recording.wait_until(lambda r: len(r.heads("processlist")) > 2)
        with filled(maria) as held:
            assert held == 9  # the recorder has one
            time.sleep(1.0)
        time.sleep(0.3)
    assert len(recording.said) == 1, recording.said
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT max(in_use), any_value(usable_backends) FROM headroom") == [(10, 10)]
        assert case.rows("SELECT DISTINCT application_name FROM backend_sample WHERE user_name = 'monitor'") == [
            ("connforensics",)
        ]
        assert case.rows("SELECT DISTINCT engine FROM backend_sample") == [("mariadb",)]
        assert case.scalar("SELECT count(*) FROM source WHERE unknown > 0") == 0
        assert case.rows(
            "SELECT DISTINCT value FROM setting WHERE name = 'user.limited@127.0.0.1.max_user_connections'"
        ) == [("7",)]
        threads = case.scalar(
            "SELECT max(value) FROM metric_sample WHERE name = 'mysql_global_status_threads_connected'"
        )
        assert threads >= 1


def test_a_full_server_is_entered_by_its_extra_port(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    with filled(maria) as held:
        assert held == 10
        with Recording(tmp_path / "in", [at(maria, more=f"?extra_port={maria.options['extra_port']}")]) as recording:
            recording.wait_until(lambda r: r.heads("processlist"))
        assert any(f"got in by port {maria.options['extra_port']}" in text for text in recording.said)
        with Recording(tmp_path / "out", [at(maria)]) as refused:
            refused.wait_until(lambda r: len(r.rows("refusals")) >= 2)
    assert {(row["reason"], row["code"]) for row in refused.rows("refusals")} == {("refused_full", "1040")}
    ingest(tmp_path / "case.duckdb", [tmp_path / "out"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT DISTINCT kind, reason, error_code FROM event") == [
            ("client_refused", "refused_full", "1040")
        ]


def test_an_administrator_gets_in_by_the_slot_kept_for_him(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    maria.run(
        "CREATE OR REPLACE USER 'chief'@'127.0.0.1' IDENTIFIED BY '" + PASSWORD + "'",
        "GRANT ALL ON *.* TO 'chief'@'127.0.0.1'",
    )
    with filled(maria), Recording(tmp_path, [at(maria, "chief")]) as recording:
        recording.wait_until(lambda r: r.heads("processlist"))
    assert any("the slot kept for an administrator" in text for text in recording.said)


def test_who_waits_for_whom(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    holder, waiter, altering = (app(maria, autocommit=False) for _ in range(3))
    holder.cursor().execute("UPDATE t SET b = 5 WHERE a = 1")

    def run(connection: pymysql.Connection, statement: str) -> None:
        with contextlib.suppress(pymysql.MySQLError):
            connection.cursor().execute(statement)

    waiting = [
        threading.Thread(target=run, args=(waiter, "UPDATE t SET b = 6 WHERE a = 1"), daemon=True),
        threading.Thread(target=run, args=(altering, "ALTER TABLE t ADD COLUMN c INT"), daemon=True),
    ]
    with Recording(tmp_path / "rec", [at(maria)]) as recording:
        recording.wait_until(lambda r: r.heads("processlist"))
        waiting[0].start()
        time.sleep(0.3)
        waiting[1].start()
        recording.wait_until(lambda r: len(r.heads("metadata_locks")) > 2 and len(r.heads("row_locks")) > 2)
        holder.rollback()
        waiting[0].join(5)
        waiter.rollback()
        waiting[1].join(5)
    for connection in (holder, waiter, altering):
        connection.close()
    ids = [connection.thread_id() for connection in (holder, waiter, altering)]
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        found = {(waiter, blocker) for waiter, blocker in case.rows("SELECT DISTINCT waiter, blocker FROM lock_queue")}
        assert {(ids[1], ids[0]), (ids[2], ids[0])} <= found
        (state,) = case.rows(
            "SELECT DISTINCT state FROM backend_sample WHERE backend_id = ? AND command = 'Sleep' AND xact_start_at IS NOT NULL",
            [ids[0]],
        )
        assert state == ("idle in transaction",)
        assert case.rows("SELECT DISTINCT query FROM backend_sample WHERE query LIKE 'UPDATE%'") == [
            ("UPDATE t SET b = ? WHERE a = ?",)
        ]


def test_what_a_user_without_process_cannot_see_is_said(
    maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MYSQL_PWD")
    with Recording(tmp_path, [at(maria, "plain")]) as recording:
        recording.wait_until(lambda r: r.heads("processlist"))
    said = "\n".join(recording.said)
    assert "lacks PROCESS" in said
    assert "idle in transaction looks like idle" in said
    assert "quotas of users are not seen" in said
    assert {row["user"] for row in recording.rows("processlist")} == {"plain"}


def test_refusals_that_only_the_counters_know_pull_the_trigger(
    maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connforensics.record.mysql.COUNTERS_EVERY_S", 0.2)
    with Recording(tmp_path, [at(maria)], bars=(Bar.parse("refusals>=1"),)) as recording:
        recording.wait_until(lambda r: r.said)
        time.sleep(0.6)
        assert not any("incident" in text for text in recording.said)
        with filled(maria):
            recording.wait_until(lambda r: any("incident" in text for text in r.said))


def test_a_restart_is_survived_and_recorded(tmp_path: Path) -> None:
    mariadb.require()
    with mariadb.MariaDB() as server:
        server.run(*SETUP)
        with Recording(tmp_path / "rec", [at(server)]) as recording:
            recording.wait_until(lambda r: len(r.heads("processlist")) > 2)
            time.sleep(4.0)  # uptime is told in whole seconds
            server.restart()
            recording.wait_until(lambda r: any("was started at" in text for text in r.said))
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT engine, kind FROM event WHERE kind = 'server_starting'") == [
            ("mariadb", "server_starting")
        ]


def test_mysql_5_6(tmp_path: Path) -> None:
    mysql.require()
    with mysql.MySQL(max_connections=5, performance_schema="ON") as server:
        server.run(*SETUP)
        with Recording(tmp_path / "rec", [at(server)]) as recording:
            recording.wait_until(lambda r: len(r.heads("processlist")) > 2)
            with filled(server) as held:
                assert held == 4
                time.sleep(0.5)
        server.run("GRANT SUPER ON *.* TO 'monitor'@'127.0.0.1'")
        with filled(server), Recording(tmp_path / "late", [at(server)]) as late:
            late.wait_until(lambda r: r.heads("processlist"))
        assert any("the slot kept for an administrator" in text for text in late.said)
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT max(in_use), any_value(usable_backends) FROM headroom") == [(5, 5)]
        assert case.rows("SELECT DISTINCT engine, version FROM source") == [("mysql", "5.6.24")]


def test_no_secret_is_told_anywhere(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    """The password stands in an option file, in a statement and in a variable of the server."""
    file = tmp_path / "my.cnf"
    file.write_text(f"[client]\nuser=monitor\npassword={PASSWORD}\nhost=127.0.0.1\nport={maria.port}\n")
    session = app(maria)
    session.cursor().execute(f"SELECT '{PASSWORD}', \"{PASSWORD}\" FROM DUAL WHERE SLEEP(0) = 1")
    maria.run(f"SET GLOBAL init_connect = \"SET @password = '{PASSWORD}'\"")
    process = start(tmp_path / "rec", "127.0.0.1", "--defaults-file", str(file), kind="mysql", MYSQL_PWD="")
    try:
        wait_for_samples(tmp_path / "rec", 5, process, "processlist")
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    finally:
        process.terminate()
        said, talk = process.communicate(timeout=20)
        maria.run("SET GLOBAL init_connect = ''")
        session.close()
    everything = said + talk + shown + "".join("\n".join(lines_of(path)) for path in (tmp_path / "rec").rglob("*.zst"))
    assert "init_connect" in everything
    assert PASSWORD not in everything


def test_nothing_is_ever_written_to_the_server(maria: mariadb.MariaDB) -> None:
    target = Target("m", {"host": "127.0.0.1", "port": str(maria.port), "user": "app"})
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MYSQL_PWD")
        target.connect()
    with pytest.raises(pymysql.err.MySQLError, match="READ ONLY"):
        target._console._connection.cursor().execute("INSERT INTO shop.t VALUES (9, 9)")
    target.close()


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", ("mariadb", "10.11.19")),
        ("11.4.2-MariaDB", ("mariadb", "11.4.2")),
        ("8.4.3", ("mysql", "8.4.3")),
        ("8.0.36-28", ("mysql", "8.0.36")),
    ],
)
def test_products(told: str, found: tuple[str, str]) -> None:
    assert product(told) == found


def test_statements_of_any_bytes(maria: mariadb.MariaDB, tmp_path: Path) -> None:
    """What a program writes into a BLOB stands in its statement as it is: no sample may be lost for it."""
    session = app(maria)

    def run() -> None:
        with contextlib.suppress(pymysql.MySQLError):
            session.cursor().execute(b"SELECT SLEEP(30), _binary '\xff\xfe \xe9' AS caf\xc3\xa9")

    sleeping = threading.Thread(target=run, daemon=True)
    with Recording(tmp_path / "before", [at(maria)], query_text="full") as before:
        before.wait_until(lambda r: r.heads("processlist"))
        sleeping.start()
        before.wait_until(lambda r: any("SLEEP" in str(row["info"]) for row in r.rows("processlist")))
        with Recording(tmp_path / "during", [at(maria)], query_text="full") as during:
            during.wait_until(lambda r: len(r.heads("processlist")) > 2)
    maria.run(f"KILL {session.thread_id()}")
    sleeping.join(10)
    for recording in (before, during):
        assert recording.outcomes[0].missed == recording.outcomes[0].reconnects == 0
        told = {row["info"] for row in recording.rows("processlist") if row["id"] == session.thread_id()}
        assert "SELECT SLEEP(30), _binary '\\xff\\xfe \\xe9' AS café" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "metadata lock is not seen"),
        ({"performance_schema": "ON"}, "metadata lock is not seen"),
        ({"plugin_load_add": "metadata_lock_info", "plugin_maturity": "unknown"}, "only the holders are seen"),
    ],
)
def test_what_is_not_instrumented_is_not_taken_for_seen(options: dict[str, object], said: str, tmp_path: Path) -> None:
    mariadb.require()
    with mariadb.MariaDB(**options) as server:
        server.run(*SETUP)
        with Recording(tmp_path, [at(server)]) as recording:
            recording.wait_until(lambda r: r.heads("processlist"))
    assert any(said in text for text in recording.said), recording.said


def test_an_option_file_is_read_as_the_servers_own_clients_do(
    maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MYSQL_PWD")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.cnf").write_text(
        f'# a comment\n[mysqld]\nport=1\n[client]\npassword = "{PASSWORD}"  # the monitor\'s\n'
    )
    file = tmp_path / "my.cnf"
    file.write_text(
        f"!includedir {tmp_path / 'more'}\n[client-server]\nport={maria.port}\n[client]\nuser=monitor\nhost=127.0.0.1\n"
    )
    recorder = Recorder(
        [(target_of(address.parse("mysql", f"127.0.0.1:{maria.port}"), file), None)],
        Plan(tmp_path / "rec", every_s=0.1, for_s=1.0),
        print,
    )
    assert recorder.run()[0].samples > 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (" plain ", "plain"),
        ('"a # b" # why', "a # b"),
        ("a # why", "a"),
        ("pa'ss", "pa'ss"),
        (r"tab\there\\", "tab\there\\"),
        ("", ""),
    ],
)
def test_values_of_option_files(written: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f"[client]\nloose-default-auth={written}\n[other]\ndefault-auth=no\n")
    assert option_file.read(tmp_path / "x") == {"default_auth": meant}


def test_a_password_of_any_alphabet_is_handed_on(
    maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria.run("CREATE OR REPLACE USER 'greek'@'127.0.0.1' IDENTIFIED BY 'πάσγουορντ€'")
    monkeypatch.setenv("MYSQL_PWD", "πάσγουορντ€")
    with Recording(tmp_path, [at(maria, "greek")]) as recording:
        recording.wait_until(lambda r: r.heads("processlist"))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[mariadb.MariaDB, Path]]:
    """A server whose certificate is for `localhost`, and the folder with its authority's `ca.pem` and a stranger's `other.pem`."""
    mariadb.require()
    if shutil.which("openssl") is None:
        absent("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    new = "openssl req -newkey rsa:2048 -nodes"
    for command in (
        f"{new} -x509 -days 9 -subj /CN=ca -keyout ca.key -out ca.pem",
        f"{new} -x509 -days 9 -subj /CN=other -keyout other.key -out other.pem",
        f"{new} -subj /CN=localhost -keyout server.key -out server.csr",
        "openssl x509 -req -days 9 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)

    class Encrypted(mariadb.MariaDB):
        def _initialise(self) -> None:
            super()._initialise()
            for name in ("ca.pem", "server.pem", "server.key"):
                shutil.copy(folder / name, self.base / name)
                self._give(self.base / name)
                self.options[f"ssl_{ {'ca.pem': 'ca', 'server.pem': 'cert', 'server.key': 'key'}[name] }"] = (
                    self.base / name
                )

    with Encrypted() as server:
        server.run(*SETUP, "ALTER USER 'monitor'@'127.0.0.1' REQUIRE SSL")
        yield server, folder


@pytest.mark.parametrize(
    ("host", "asked", "refused"),
    [
        ("127.0.0.1", "", ""),
        ("127.0.0.1", "?ssl_disabled=true", "1045"),
        ("127.0.0.1", "?ssl_ca={0}/ca.pem", ""),
        ("127.0.0.1", "?ssl_ca={0}/other.pem", "CERTIFICATE_VERIFY_FAILED"),
        ("127.0.0.1", "?ssl_ca={0}/other.pem&ssl_verify_cert=false", ""),
        ("127.0.0.1", "?ssl_ca={0}/absent.pem", "absent.pem"),
        ("127.0.0.1", "?ssl_ca={0}/ca.pem&ssl_verify_identity=true", "not valid for '127.0.0.1'"),
        ("localhost", "?ssl_ca={0}/ca.pem&ssl_verify_identity=true", ""),
        ("127.0.0.1", "?ssl_verify_identity=true", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_encryption_is_as_asked(
    encrypted: tuple[mariadb.MariaDB, Path], host: str, asked: str, refused: str, tmp_path: Path
) -> None:
    server, folder = encrypted
    there = address.parse("mysql", f"mysql://monitor@{host}:{server.port}/{asked.format(folder)}")
    with Recording(tmp_path, [there]) as recording:
        if refused:
            recording.join()
        else:
            recording.wait_until(lambda r: r.heads("processlist"))
    assert refused in str(recording.error or "")
    assert bool(recording.error) is bool(refused)


def test_nobodys_name_is_said(maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have no name to take where the target has none."""
    monkeypatch.setattr("pymysql.connections.DEFAULT_USER", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Recording(tmp_path, [address.parse("mysql", f"127.0.0.1:{maria.port}")]) as recording:
        recording.join()
    assert getattr(recording.error, "exit_code", None) == 4
    assert "username" in str(recording.error)


def test_a_wrong_password_is_exit_code_4(
    maria: mariadb.MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSQL_PWD", PASSWORD + "x")
    with Recording(tmp_path, [at(maria)]) as recording:
        recording.join()
    assert getattr(recording.error, "exit_code", None) == 4
    assert "1045" in str(recording.error)
    assert PASSWORD not in str(recording.error)


def test_the_recorder_is_told_apart_by_its_name(maria: mariadb.MariaDB) -> None:
    target = Target("m", {"host": "127.0.0.1", "port": str(maria.port), "user": "monitor"})
    target.connect()
    own = target.own
    with maria.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT attr_value FROM performance_schema.session_connect_attrs WHERE attr_name = 'program_name' AND processlist_id = %s",
            (own,),
        )
        assert cursor.fetchall() == (("connforensics",),)
    target.close()
