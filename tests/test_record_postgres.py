"""The recorder against real PostgreSQL servers: it sees the worst minute, survives what happens, and tells no secret."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from connforensics.analyses import ask
from connforensics.case import Window, open_case
from connforensics.errors import UnreachableError, UsageError
from connforensics.ingest import ingest
from connforensics.record import address
from connforensics.record.run import target_of
from connforensics.record.trigger import Bar
from tests.lab import pgbouncer
from tests.lab.pgbouncer import PgBouncer
from tests.lab.postgres import Postgres, require
from tests.lab.server import free_port
from tests.recording import PASSWORD, Recording, lines_of, moment, resident, start, wait_for_samples


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(require(15)) as running:
        running.run(
            "CREATE ROLE monitor LOGIN IN ROLE pg_monitor",
            "CREATE ROLE app LOGIN CONNECTION LIMIT 30",
            "CREATE ROLE plain LOGIN",
            "ALTER ROLE app SET statement_timeout = '7s'",
            "ALTER ROLE app SET my.secret_token = 'planted-zqx-secret'",
        )
        yield running


def at(server: Postgres, user: str = "monitor", name: str = "db", **parameters: object) -> address.Address:
    return address.parse("postgres", server.conninfo(user=user, **parameters), name)


def unnamed(server: Postgres, user: str = "monitor") -> address.Address:
    return address.parse("postgres", server.conninfo(user=user))


@contextlib.contextmanager
def filled(server: Postgres, user: str = "app") -> Iterator[int]:
    """Fill the server with idle sessions of ordinary roles until it refuses; gives how many there were room for."""
    held: list[psycopg.Connection] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(server.conninfo(user=user, application_name="orders"), autocommit=True))
        yield len(held)
    finally:
        for connection in held:
            connection.close()
        wait_for_ends(server)


def wait_for_ends(server: Postgres) -> None:
    until = time.monotonic() + 10
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        left = b"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders'"
        while connection.execute(left).fetchall()[0][0] and time.monotonic() < until:
            time.sleep(0.02)


def test_started_before_it_keeps_its_rhythm_through_saturation(server: Postgres, tmp_path: Path) -> None:
    with Recording(tmp_path / "rec", [unnamed(server)]) as recording:
        recording.wait_until(lambda r: r.said)
        time.sleep(0.5)
        begun = time.time()
        with filled(server) as held:
            assert held == server.usable - 1  # the recorder has one
            time.sleep(1.5)
        ended = time.time()
        time.sleep(0.5)
    heads = recording.heads("activity")
    steps = [(moment(b) - moment(a)).total_seconds() for a, b in itertools.pairwise(heads)]
    assert max(steps) < 1.0
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.1, abs=0.05)
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT max(in_use), any_value(usable_backends) FROM headroom") == [(17, 17)]
        since, until = case.rows("SELECT min(known_at), max(known_at) FROM headroom WHERE in_use = usable_backends")[0]
        lasted = (until - since).total_seconds()
        assert 1.0 < lasted <= ended - begun
        assert case.rows("SELECT DISTINCT application_name FROM backend_sample WHERE user_name = 'monitor'") == [
            ("connforensics",)
        ]
        answer = ask("saturation", case, Window())
        assert answer.table["saturation"].max() == 1.0
        assert case.scalar("SELECT count(*) FROM source WHERE unknown > 0") == 0


def _clients(recording: Recording, head: dict) -> int:
    lines = recording.lines("activity")
    place = lines.index(head)
    return sum(row["backend_type"] == "client backend" for row in lines[place + 1 : place + 1 + head["rows"]])


def test_started_during_saturation_it_records_each_refusal_until_there_is_room(
    server: Postgres, tmp_path: Path
) -> None:
    with filled(server), Recording(tmp_path / "rec", [unnamed(server)]) as recording:
        recording.wait_until(lambda r: len(r.rows("refusals")) >= 3)
        assert not recording.heads("activity")
    with Recording(tmp_path / "rec", [unnamed(server)]) as second:
        second.wait_until(lambda r: r.heads("activity"))
    refusals = recording.rows("refusals")
    assert {row["reason"] for row in refusals} == {"refused_reserved"}
    assert {row["code"] for row in refusals} == {"53300"}
    assert sum("refused" in text for text in recording.said) == 1, "said once, not each time"
    assert recording.outcomes[0].refusals == len(refusals)
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT kind, reason, count(*) FROM event GROUP BY ALL") == [
            ("client_refused", "refused_reserved", len(refusals))
        ]


def test_one_refusal_in_the_servers_log_and_the_recorders_is_one(tmp_path: Path) -> None:
    with Postgres(require(15)) as own:
        own.run("CREATE ROLE app LOGIN", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        with filled(own) as held, Recording(tmp_path / "rec", [unnamed(own)]) as recording:
            recording.wait_until(lambda r: len(r.rows("refusals")) >= 2)
        counted = len(recording.rows("refusals")) + 1  # the client that found it full
        assert held == own.usable
        own.wait_for_log("remaining connection slots", count=counted)
        ingest(tmp_path / "case.duckdb", [own.log_path, tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM refusal") == counted


def test_a_privileged_role_gets_in_by_a_reserved_slot_and_says_so(server: Postgres, tmp_path: Path) -> None:
    with filled(server), Recording(tmp_path, [at(server, user="postgres")]) as recording:
        recording.wait_until(lambda r: r.heads("activity"))
    assert any("got in by a reserved slot, as superuser" in text for text in recording.said)


def test_reserved_connections_let_a_plain_monitor_in(tmp_path: Path) -> None:
    with Postgres(require(16), reserved_connections=2) as own:
        own.run("CREATE ROLE app LOGIN", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor, pg_use_reserved_connections")
        with filled(own) as held, Recording(tmp_path / "rec", [unnamed(own)]) as recording:
            assert held == own.usable == 15
            recording.wait_until(lambda r: r.heads("activity"))
        assert any("as a member of pg_use_reserved_connections" in text for text in recording.said)


def test_without_pg_monitor_it_says_what_is_lost_and_records_the_rest(server: Postgres, tmp_path: Path) -> None:
    with psycopg.connect(server.conninfo(user="app", application_name="orders")) as held:
        held.execute("SELECT 1")
        with Recording(tmp_path, [at(server, user="plain")]) as recording:
            recording.wait_until(lambda r: r.heads("activity"))
    wait_for_ends(server)
    assert any("not a member of pg_monitor" in text for text in recording.said)
    (row,) = [row for row in recording.rows("activity") if row["application_name"] == "orders"][:1]
    assert (row["usename"], row["state"], row["query"]) == ("app", None, "<insufficient privilege>")
    assert any(row["name"] == "max_connections" for row in recording.rows("settings"))


def test_with_pg_monitor_nothing_is_lost(server: Postgres, tmp_path: Path) -> None:
    with psycopg.connect(server.conninfo(user="app", application_name="orders")) as held:
        held.execute("SELECT 'literal'")
        with Recording(tmp_path, [at(server)]) as recording:
            recording.wait_until(lambda r: r.heads("activity"))
    wait_for_ends(server)
    assert len(recording.said) == 1, recording.said
    (row,) = [row for row in recording.rows("activity") if row["application_name"] == "orders"][:1]
    assert (row["state"], row["query"]) == ("idle in transaction", "SELECT ?")


def test_whole_rows_with_every_column_this_server_has(tmp_path: Path) -> None:
    for version, columns in ((12, 20), (18, 22)):
        with (
            Postgres(require(version)) as own,
            Recording(tmp_path / str(version), [unnamed(own, "postgres")]) as recording,
        ):
            recording.wait_until(lambda r: r.heads("activity"))
        row = recording.rows("activity")[0]
        assert len(row) == columns + 1  # and blocked_by
        assert recording.heads("activity")[0]["version"].split(".")[0] == str(version)


def test_waiters_with_whom_they_wait_for(server: Postgres, tmp_path: Path) -> None:
    server.run("CREATE TABLE IF NOT EXISTS t (a int)")
    with (
        psycopg.connect(server.conninfo()) as holder,
        psycopg.connect(server.conninfo()) as waiter,
        Recording(tmp_path / "rec", [unnamed(server)]) as recording,
    ):
        holder.execute("LOCK TABLE t")
        blocked = threading.Thread(target=lambda: waiter.execute("SELECT * FROM t"), daemon=True)
        blocked.start()
        recording.wait_until(lambda r: len(r.heads("locks")) > 2)
        holder.rollback()
        blocked.join(5)
        pids = holder.info.backend_pid, waiter.info.backend_pid
    row = recording.rows("locks")[0]
    assert (row["pid"], row["blocked_by"], row["relation_name"]) == (pids[1], str(pids[0]), "public.t")
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT DISTINCT waiter, blocker FROM lock_queue") == [(pids[1], pids[0])]


def test_limits_are_told_at_once_and_when_they_change(server: Postgres, tmp_path: Path) -> None:
    with Recording(tmp_path / "rec", [unnamed(server)]) as recording:
        recording.wait_until(lambda r: r.heads("settings"))
        server.run("ALTER SYSTEM SET idle_in_transaction_session_timeout = '77s'", "SELECT pg_reload_conf()")
        recording.wait_until(lambda r: len(r.heads("settings")) > 1)
        server.run("ALTER SYSTEM RESET idle_in_transaction_session_timeout", "SELECT pg_reload_conf()")
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        told = "SELECT DISTINCT value FROM setting WHERE name = ? ORDER BY value"
        assert case.rows(told, ["max_connections"]) == [("20",)]
        assert ("77000",) in case.rows(told, ["idle_in_transaction_session_timeout"])
        assert case.rows(told, ["role.app.connection_limit"]) == [("30",)]
        assert case.rows(told, ["role.app.statement_timeout"]) == [("7s",)]
        assert case.rows(told, ["role.app.my.secret_token"]) == [("(withheld)",)]


def test_it_survives_a_restart_and_records_it(tmp_path: Path) -> None:
    with Postgres(require(15)) as own, Recording(tmp_path / "rec", [unnamed(own, "postgres")]) as recording:
        recording.wait_until(lambda r: len(r.heads("activity")) > 2)
        time.sleep(3.0)  # starts closer than that are one
        own.restart(pause_s=0.5)
        recording.wait_until(lambda r: any("started at" in text for text in r.said))
    assert any("the connection was lost" in text for text in recording.said)
    assert recording.outcomes[0].reconnects == 1
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        kinds = dict(case.rows("SELECT kind, count(*) FROM event GROUP BY ALL"))
        assert kinds["server_starting"] == 1
        assert kinds["client_error"] >= 1


def test_a_backend_killed_is_a_server_that_recovers(tmp_path: Path) -> None:
    with Postgres(require(15)) as own:
        victim = own.connect()
        with Recording(tmp_path / "rec", [unnamed(own, "postgres")]) as recording:
            recording.wait_until(lambda r: len(r.heads("activity")) > 2)
            before = len(recording.heads("activity"))
            own.kill_backend(victim.info.backend_pid)
            recording.wait_until(lambda r: len(r.heads("activity")) > before + 3)
        assert recording.outcomes[0].reconnects == 1


def test_a_server_that_stands_still_is_waited_for_and_the_gap_is_said(server: Postgres, tmp_path: Path) -> None:
    with Recording(tmp_path, [at(server)]) as recording:
        recording.wait_until(lambda r: len(r.heads("activity")) > 3)
        pid = recording.heads("activity")[0]["own"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(pid, signal.SIGCONT)
        recording.wait_until(lambda r: r.outcomes or any("skipped" in text for text in r.said))
    assert 5 <= recording.outcomes[0].skipped <= 15
    assert [row["what"] for row in recording.rows("events")].count("gap") == 1
    assert max(head["took_ms"] for head in recording.heads("activity")) > 800


def test_killed_it_leaves_whole_samples_and_a_second_start_goes_on(server: Postgres, tmp_path: Path) -> None:
    for turn in (1, 2):
        process = start(tmp_path / "rec", server.conninfo(user="monitor"))
        wait_for_samples(tmp_path / "rec", 10 * turn, process)
        process.kill()
        process.communicate()
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM assumption WHERE contains(text, 'not whole')") == 0
        assert case.scalar("SELECT count(*) FROM snapshot") >= 20


def test_it_is_ingested_while_it_grows(server: Postgres, tmp_path: Path) -> None:
    case_path = tmp_path / "case.duckdb"
    with Recording(tmp_path / "rec", [unnamed(server)]) as recording:
        recording.wait_until(lambda r: len(r.heads("activity")) > 3)
        for _ in range(3):
            ingest(case_path, [tmp_path / "rec"])
            time.sleep(0.5)
    ingest(case_path, [tmp_path / "rec"])
    with open_case(case_path) as case:
        assert case.scalar("SELECT count(*) FROM snapshot") == recording.outcomes[0].samples
        assert case.rows("SELECT DISTINCT in_use FROM snapshot") == [(1,)]
        assert (
            case.scalar("SELECT count(*) FROM source WHERE format = 'recording' AND path LIKE 'postgres%activity%'")
            == 4
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_stops_cleanly(server: Postgres, tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path / "rec", server.conninfo(user="monitor"), "--json")
    wait_for_samples(tmp_path / "rec", 5, process)
    process.send_signal(number)
    said, talk = process.communicate(timeout=20)
    assert process.returncode == 0
    (outcome,) = json.loads(said)
    assert outcome["samples"] >= 5
    assert "connected: postgres" in talk
    until = time.monotonic() + 5
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        query = b"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'connforensics'"
        while connection.execute(query).fetchall()[0][0]:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_no_secret_is_told_anywhere(tmp_path: Path) -> None:
    """A password is planted where drivers look for it, and in what the server shows; then everything is searched."""
    rules = ("local all all trust", "host all postgres 127.0.0.0/8 trust", "host all all 127.0.0.0/8 scram-sha-256")
    with Postgres(require(15), hba=rules, primary_conninfo=f"host=x password={PASSWORD}") as own:
        own.run(
            f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor",
            f"ALTER ROLE monitor SET a.password = '{PASSWORD}'",
        )
        session = own.connect()
        session.execute(f"SELECT '{PASSWORD}', $${PASSWORD}$$".encode())
        process = start(tmp_path / "rec", own.conninfo(user="monitor"), PGPASSWORD=PASSWORD)
        wait_for_samples(tmp_path / "rec", 5, process)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/comm").read_bytes()
        process.terminate()
        said, talk = process.communicate(timeout=20)
        assert process.returncode == 0
        wrong = start(tmp_path / "rec2", own.conninfo(user="monitor"), PGPASSWORD=PASSWORD + "x")
        more = "".join(wrong.communicate(timeout=20))
        assert "password authentication failed" in more
    everything = "\n".join([said, talk, more, shown.decode()])
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(paths) >= 6
    for path in paths:
        everything += str(path) + "\n".join(lines_of(path))
    assert "primary_conninfo" in everything
    assert PASSWORD not in everything


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("postgres", f"host=db1 user=u password={PASSWORD}"),
        ("postgres", f"host=db1 user=u password = '{PASSWORD}'"),
        ("postgres", f"postgresql://u:{PASSWORD}@db1/shop"),
        ("postgres", f"postgresql://u@db1/shop?password={PASSWORD}"),
        ("postgres", f"postgresql://db1/shop?sslpassword={PASSWORD}"),
        ("postgres", f"postgresql://db1/shop?%70assword={PASSWORD}"),
        ("pgbouncer", f"host=db1 password={PASSWORD}"),
        ("mysql", f"mysql://u:{PASSWORD}@db1"),
        ("mysql", f"u:{PASSWORD}@db1"),
        ("mysql", f"u@db1/?password={PASSWORD}"),
        ("proxysql", f"admin:{PASSWORD}@db1:6032"),
        ("prometheus", f"http://u:{PASSWORD}@prometheus:9090"),
    ],
)
def test_a_password_in_the_target_is_refused_and_not_repeated(kind: address.Kind, target: str) -> None:
    with pytest.raises(UsageError, match="has a password in it") as caught:
        address.parse(kind, target)
    assert PASSWORD not in str(caught.value)
    assert caught.value.hint


def test_a_malformed_target_is_not_repeated_either() -> None:
    with pytest.raises(UsageError, match="not a connection string") as caught:
        address.parse("postgres", f"host db1 {PASSWORD}")
    assert PASSWORD not in str(caught.value)


def test_a_file_names_servers_of_several_kinds(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(
        '[[target]]\nkind = "postgres"\naddress = "host=db1"\nname = "primary"\n'
        '[[target]]\nkind = "mysql"\naddress = "monitor@db2:3307"\n'
        '[[target]]\nkind = "pgbouncer"\naddress = "host=db1"\n'
    )
    found = address.from_file(file)
    assert [(each.kind, each.name, each.server) for each in found] == [
        ("postgres", "primary", "primary"),
        ("mysql", "mysql-db2-3307", "mysql-db2-3307"),
        ("pgbouncer", "pgbouncer-db1-6432", "pgbouncer-db1-6432"),
    ]
    file.write_text(f'[[target]]\nkind = "mysql"\naddress = "db2"\npassword = "{PASSWORD}"\n')
    with pytest.raises(UsageError, match="target 1 has 'password'") as caught:
        address.from_file(file)
    assert PASSWORD not in str(caught.value)


def test_several_servers_in_one_process(server: Postgres, tmp_path: Path) -> None:
    with Postgres(require(15)) as other:
        targets = address.distinct([unnamed(server), unnamed(other, "postgres")])
        with Recording(tmp_path / "rec", targets) as recording:
            recording.wait_until(lambda r: len({head["server"] for head in r.heads("activity")}) == 2)
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert {name for (name,) in case.rows("SELECT DISTINCT server FROM snapshot")} == {
            each.name for each in targets
        }


def test_nobody_there_is_said_with_exit_code_4(tmp_path: Path) -> None:
    nobody = address.parse("postgres", f"host=127.0.0.1 port={free_port()} user=x dbname=x")
    with Recording(tmp_path, [nobody]) as recording:
        recording.join()
    assert isinstance(recording.error, UnreachableError)
    assert recording.error.exit_code == 4
    assert "Connection refused" in recording.error.what


def test_a_trigger_writes_what_was_before_and_runs_a_command_afterwards(server: Postgres, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with Recording(
        tmp_path / "rec",
        [unnamed(server)],
        bars=(Bar.parse("connections>=90%"),),
        ring=timedelta(seconds=60),
        cool_down=timedelta(seconds=0.5),
        then=f"sh -c 'echo $CONNFORENSICS_FOLDER > {marker}; ls {{folder}} >> {marker}'",
    ) as recording:
        recording.wait_until(lambda r: r.said)
        time.sleep(1.0)
        assert not list((tmp_path / "rec").rglob("*.zst"))
        with filled(server):
            time.sleep(0.5)
        recording.wait_until(lambda r: any("running sh" in text for text in r.said))
        time.sleep(0.5)
    assert recording.outcomes[0].incidents == 1
    (folder,) = (tmp_path / "rec").glob("*/incident-*")
    told = marker.read_text().splitlines()
    assert told[0] == str(folder)
    assert any(name.startswith("activity-") for name in told[1:])
    heads = sorted(moment(head) for head in recording.heads("activity"))
    before = sum(_clients(recording, head) <= 2 for head in recording.heads("activity"))
    assert before >= 8, "the second before is there"
    assert max(_clients(recording, head) for head in recording.heads("activity")) == server.usable
    assert len(set(heads)) == len(heads), "no sample stands twice"
    assert recording.heads("settings")
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT kind, detail LIKE 'connections>=90%%' FROM event") == [("annotation", True)]


def test_idle_in_transaction_triggers_too(server: Postgres, tmp_path: Path) -> None:
    with Recording(tmp_path, [at(server)], bars=(Bar.parse("idle_in_transaction_age>500ms"),)) as recording:
        recording.wait_until(lambda r: r.said)
        with psycopg.connect(server.conninfo(user="app")) as holder:
            holder.execute("SELECT 1")
            recording.wait_until(lambda r: any("incident" in text for text in r.said))
    assert recording.outcomes[0].incidents == 1


@pytest.mark.parametrize(("how", "kept"), [("full", "SELECT 'literal', 1"), ("normalised", "SELECT ?"), ("none", None)])
def test_query_text_is_kept_as_asked(server: Postgres, tmp_path: Path, how: str, kept: str | None) -> None:
    with psycopg.connect(server.conninfo(user="app", application_name="orders"), autocommit=True) as session:
        session.execute("SELECT 'literal', 1")
        with Recording(tmp_path, [at(server)], query_text=how) as recording:
            recording.wait_until(lambda r: r.heads("activity"))
    wait_for_ends(server)
    assert {row["query"] for row in recording.rows("activity") if row["application_name"] == "orders"} == {kept}


def test_statements_of_databases_in_other_encodings(server: Postgres, tmp_path: Path) -> None:
    server.run("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    with psycopg.connect(
        server.conninfo(user="app", dbname="bytes", application_name="orders"), autocommit=True
    ) as session:
        session.execute("SET client_encoding = 'SQL_ASCII'")
        session.pgconn.exec_(b"SELECT 1 AS caf\xe9")
        with Recording(tmp_path / "beside", [at(server)]) as recording:
            recording.wait_until(lambda r: len(r.heads("activity")) > 3)
        with Recording(tmp_path / "inside", [at(server, dbname="bytes")]) as inside:
            inside.wait_until(lambda r: len(r.heads("activity")) > 3)
    wait_for_ends(server)
    for found in (recording, inside):
        assert found.outcomes[0].missed == 1
        told = {row["query"] for row in found.rows("activity") if row["application_name"] == "orders"}
        assert told == {"SELECT ? AS caf\\xe9"}


def test_a_timeout_of_sessions_at_rest_is_not_for_the_recorder(tmp_path: Path) -> None:
    with Postgres(require(16), idle_session_timeout="100ms") as own:
        own.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        with Recording(tmp_path, [at(own)], every_s=0.5) as recording:
            recording.wait_until(lambda r: len(r.heads("activity")) > 4)
    assert recording.outcomes[0].reconnects == 0


def test_a_pooler_in_front_is_told_and_its_connections_are_left_as_they_were(server: Postgres, tmp_path: Path) -> None:
    """What is SET for a session stays with the pooler's connection: read-only would be the application that gets it next."""
    pgbouncer.require()
    with PgBouncer(server, default_pool_size=1, server_reset_query="") as bouncer:
        there = address.parse("postgres", bouncer.conninfo(), "db")
        with Recording(tmp_path / "rec", [there]) as recording:
            recording.wait_until(lambda r: len(r.heads("activity")) > 3)
            for name in ("default_transaction_read_only", "statement_timeout", "lock_timeout", "search_path"):
                asked = b"SELECT setting = reset_val FROM pg_catalog.pg_settings WHERE name = '%s'" % name.encode()
                assert bouncer.connect().execute(asked).fetchone() == (True,), name
    assert any("this is a pooler" in text for text in recording.said)
    heads, rows = recording.heads("activity"), recording.rows("activity")
    assert {head["own"] for head in heads} <= {row["pid"] for row in rows if row["application_name"] == "connforensics"}


def test_one_told_to_wait_goes_on_when_the_server_is_restarted_to_make_room(tmp_path: Path) -> None:
    """Started while the server was full, it was let in never; a restart is no reason to leave, and often the remedy."""
    with Postgres(require(15)) as own:
        own.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor", "CREATE ROLE app LOGIN")
        with filled(own), Recording(tmp_path, [at(own)]) as recording:
            recording.wait_until(lambda r: r.rows("refusals"))
            own.end()
            recording.wait_until(lambda r: any("cannot be reached" in text for text in r.said))
            time.sleep(1.0)  # it looks twice a second whether there is anybody to wait for
            own.start()
            recording.wait_until(lambda r: r.heads("activity"))
    assert recording.error is None


def test_passwords_inside_settings_are_withheld(tmp_path: Path) -> None:
    planted = {
        "app.database_url": f"postgres://app:{PASSWORD}@db/shop",
        "app.dsn": f"host=db password={PASSWORD}",
        "app.jwt_key": PASSWORD,
    }
    with Postgres(require(15), **planted) as own:
        own.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        own.run(*(f"ALTER ROLE monitor SET {name} = '{value}'" for name, value in planted.items()))
        with Recording(tmp_path, [at(own)]) as recording:
            recording.wait_until(lambda r: r.rows("settings") and r.rows("role_settings"))
    everything = json.dumps(recording.rows("settings") + recording.rows("role_settings"))
    assert all(name in everything for name in planted)
    assert PASSWORD not in everything


def test_a_reader_that_has_left_does_not_end_it(server: Postgres, tmp_path: Path) -> None:
    """`connforensics record ... 2>&1 | less`, and less is left; or the terminal was closed."""
    process = start(tmp_path / "rec", server.conninfo(user="monitor"))
    try:
        process.stderr.close()  # type: ignore[union-attr]
        wait_for_samples(tmp_path / "rec", 5, process)
    finally:
        process.terminate()
        told = process.stdout.read()  # type: ignore[union-attr]
        process.wait(20)
    assert "samples" in told


def test_under_nohup_it_outlives_its_terminal(server: Postgres, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path / "rec", server.conninfo(user="monitor"))
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        wait_for_samples(tmp_path / "rec", 3, process)
        process.send_signal(signal.SIGHUP)
        wait_for_samples(tmp_path / "rec", len(samples_in(tmp_path / "rec")) + 20, process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def samples_in(folder: Path) -> list[str]:
    return [line for path in folder.rglob("activity-*") for line in lines_of(path) if '"connforensics":' in line]


def test_nothing_is_ever_written_to_the_server(server: Postgres, tmp_path: Path) -> None:
    target = target_of(at(server, user="postgres"))
    target.connect()
    connection = target._console._connection  # type: ignore[attr-defined]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE x (a int)")
    assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)
    assert connection.execute("SHOW lock_timeout").fetchone() == ("1s",)
    target.close()


def test_memory_stays_flat(server: Postgres, tmp_path: Path) -> None:
    """A day at one sample a second is 86,400; once the compressor's window is full, more of them must cost no memory."""
    process = start(tmp_path / "rec", server.conninfo(user="monitor"), "--every", "5ms", "--keep", "1h")
    held = [server.connect(user="app") for _ in range(10)]
    try:
        wait_for_samples(tmp_path / "rec", 1200, process)
        before = resident(process.pid)
        wait_for_samples(tmp_path / "rec", 2400, process)
        assert resident(process.pid) - before < 4 << 20
    finally:
        process.terminate()
        process.communicate(timeout=20)
        for connection in held:
            connection.close()
