"""The recorder on the worst day: a burst, and a network, a server, a disk or a clock that fails. On real servers."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
import pytest

from connforensics.case import open_case
from connforensics.errors import EvidenceError
from connforensics.ingest import ingest
from connforensics.record import address
from connforensics.record.run import CLOCKS_AGREE, SAME_START
from tests.lab import faults, mariadb, pgbouncer
from tests.lab.faults import Clock, TcpProxy
from tests.lab.pgbouncer import PgBouncer
from tests.lab.postgres import Postgres, require
from tests.lab.server import Server, absent
from tests.recording import Recording, lines_of, moment, start, wait_for_samples

ANSWER_TIMEOUT_S = 2.0
"""What stands for fifteen seconds where a test waits for them to pass."""


@dataclass(frozen=True)
class Recorded:
    """A server, the stream that has a sample each time, and where it is by a port."""

    server: Server
    stream: str
    at: Callable[[int], address.Address]


@contextlib.contextmanager
def recorded(kind: str) -> Iterator[Recorded]:
    if kind == "mariadb":
        mariadb.require()
        with mariadb.MariaDB() as maria:
            maria.run("CREATE USER 'monitor'@'127.0.0.1'", "GRANT PROCESS ON *.* TO 'monitor'@'127.0.0.1'")
            yield Recorded(maria, "processlist", lambda port: address.parse("mysql", f"monitor@127.0.0.1:{port}", "db"))
        return
    with Postgres(require(15)) as server:
        server.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        if kind == "postgres":
            yield Recorded(
                server,
                "activity",
                lambda port: address.parse("postgres", server.conninfo(user="monitor", port=port), "db"),
            )
            return
        pgbouncer.require()
        with PgBouncer(server) as bouncer:
            yield Recorded(
                bouncer,
                "pools",
                lambda port: address.parse(
                    "pgbouncer", bouncer.conninfo(user="stats", dbname="pgbouncer", port=port), "db"
                ),
            )


KINDS = ("postgres", "mariadb", "pgbouncer")


@pytest.fixture(scope="module", params=KINDS)
def watched(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    with recorded(request.param) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run", "mysql_console"):
        monkeypatch.setattr(f"connforensics.record.{module}.ANSWER_TIMEOUT_S", ANSWER_TIMEOUT_S)


def says(recording: Recording, words: str) -> bool:
    return any(words in text for text in recording.said)


def go_on(recording: Recording, stream: str, further: int = 4) -> None:
    """Wait for further samples."""
    before = len(recording.heads(stream))
    recording.wait_until(lambda r: len(r.heads(stream)) >= before + further)


def case_of(recording: Recording, path: Path) -> Path:
    """The recording as a case; every line of it is understood."""
    ingest(path, [recording.folder])
    with open_case(path) as case:
        assert case.scalar("SELECT count(*) FROM source WHERE unknown > 0") == 0
        assert case.scalar("SELECT count(*) FROM assumption WHERE contains(text, 'not whole')") == 0
    return path


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_burst_of_forty_is_seen_with_its_true_duration(kind: str, tmp_path: Path) -> None:
    """40 clients knock at once; those that are let in stay for a second and a half."""
    gate = threading.Barrier(40)
    spans: list[tuple[float, float]] = []
    refused: list[Exception] = []

    def knock(server: Server) -> None:
        gate.wait()
        try:
            session = server.connect(user="app")  # type: ignore[attr-defined]
        except (psycopg.OperationalError, pymysql.err.OperationalError) as error:
            refused.append(error)
            return
        opened = time.time()
        time.sleep(1.5)
        spans.append((opened, time.time()))
        session.close()

    with recorded(kind) as watched:
        server = watched.server
        server.run("CREATE ROLE app LOGIN" if kind == "postgres" else "CREATE USER 'app'@'127.0.0.1'")  # type: ignore[attr-defined]
        usable = server.usable if isinstance(server, Postgres) else 10
        with Recording(tmp_path / "rec", [watched.at(server.port)], every_s=0.05) as recording:
            go_on(recording, watched.stream)
            threads = [threading.Thread(target=knock, args=(server,)) for _ in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            go_on(recording, watched.stream)
    assert len(spans) + len(refused) == 40
    assert usable - 4 <= len(spans) <= usable - 1  # the recorder has one, and those being refused may have the others
    ingest(tmp_path / "case.duckdb", [tmp_path / "rec"])
    with open_case(tmp_path / "case.duckdb") as case:
        most = "SELECT min(known_at), max(known_at), count(*) FROM headroom WHERE in_use > ? AND usable_backends = ?"
        ((first, last, seen),) = case.rows(most, [len(spans), usable])
        longest = max(head["took_ms"] + head["late_ms"] for head in recording.heads(watched.stream)) / 1000
    certainly = min(end for _, end in spans) - max(begun for begun, _ in spans)
    at_most = max(end for _, end in spans) - min(begun for begun, _ in spans)
    slack = 0.3 + longest
    assert seen >= 2
    assert certainly - slack <= (last - first).total_seconds() <= at_most + slack


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["cut", "reset", "hold"])
def test_a_network_that_fails_is_noticed_told_and_found_again(watched: Recorded, how: str, tmp_path: Path) -> None:
    with (
        TcpProxy("127.0.0.1", watched.server.port) as line,
        Recording(tmp_path / "rec", [watched.at(line.port)]) as recording,
    ):
        go_on(recording, watched.stream)
        getattr(line, how)()
        recording.wait_until(lambda r: says(r, "the connection was lost"))
        if how == "cut":
            recording.wait_until(lambda r: says(r, "cannot be reached"))
        line.restore()
        recording.wait_until(lambda r: says(r, "connected again"))
        go_on(recording, watched.stream)
    told = Counter(row["what"] for row in recording.rows("events"))
    assert told["connected"] == told["lost"] + 1 == recording.outcomes[0].reconnects + 1 >= 2
    case_of(recording, tmp_path / "case.duckdb")


@pytest.mark.usefixtures("impatient")
def test_a_silent_network_is_a_gap_in_the_case(tmp_path: Path) -> None:
    with (
        recorded("postgres") as watched,
        TcpProxy("127.0.0.1", watched.server.port) as line,
        Recording(tmp_path / "rec", [watched.at(line.port)]) as recording,
    ):
        go_on(recording, "activity")
        line.hold()
        recording.wait_until(lambda r: says(r, "lost"))
        time.sleep(2.0)  # a gap shorter than two seconds is none
        line.restore()
        recording.wait_until(lambda r: says(r, "connected again"))
        go_on(recording, "activity")
    steps = [(moment(b) - moment(a)).total_seconds() for a, b in itertools.pairwise(recording.heads("activity"))]
    assert max(steps) > ANSWER_TIMEOUT_S
    with open_case(case_of(recording, tmp_path / "case.duckdb")) as case:
        assert case.scalar("SELECT count(*) FROM blind_spot WHERE evidence = 'snapshots'") >= 1


@pytest.mark.usefixtures("impatient")
def test_a_silent_network_does_not_keep_it_from_stopping(watched: Recorded, tmp_path: Path) -> None:
    with TcpProxy("127.0.0.1", watched.server.port) as line:
        with Recording(tmp_path / "rec", [watched.at(line.port)]) as recording:
            go_on(recording, watched.stream)
            line.hold()
        assert recording.outcomes[0].samples == len(recording.heads(watched.stream))


def test_a_slow_network_costs_samples_and_no_connection(watched: Recorded, tmp_path: Path) -> None:
    with (
        TcpProxy("127.0.0.1", watched.server.port) as line,
        Recording(tmp_path / "rec", [watched.at(line.port)]) as recording,
    ):
        go_on(recording, watched.stream)
        line.delay(0.12)
        recording.wait_until(lambda r: "gap" in {row["what"] for row in r.rows("events")})
        go_on(recording, watched.stream)
        line.restore()
        go_on(recording, watched.stream)
    assert recording.outcomes[0].skipped >= 1
    assert recording.outcomes[0].reconnects == 0
    assert max(head["took_ms"] for head in recording.heads(watched.stream)) >= 240


def test_a_failover_is_survived_and_recorded(tmp_path: Path) -> None:
    with (
        recorded("postgres") as watched,
        TcpProxy("127.0.0.1", watched.server.port) as line,
        Recording(tmp_path / "rec", [watched.at(line.port)]) as recording,
    ):
        go_on(recording, "activity")
        time.sleep(SAME_START.total_seconds() + 0.5)
        with Postgres(require(16)) as standby:
            standby.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
            time.sleep(CLOCKS_AGREE.total_seconds() + 0.5)
            go_on(recording, "activity")
            line.lead_to(standby.port)
            line.reset()
            recording.wait_until(lambda r: says(r, "another server answers"))
            go_on(recording, "activity")
    versions = [head["version"].partition(".")[0] for head in recording.heads("activity")]
    assert sorted(set(versions)) == ["15", "16"]
    with open_case(case_of(recording, tmp_path / "case.duckdb")) as case:
        assert case.rows("SELECT kind FROM event WHERE text LIKE 'server_changed%'") == [("server_ready",)]


def test_another_host_of_the_connection_string_is_another_server(tmp_path: Path) -> None:
    """The one that answers next was started before the last sample of the one before, so that one was not restarted."""
    with Postgres(require(16)) as standby, Postgres(require(15)) as primary:
        for server in (standby, primary):
            server.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        both = standby.conninfo(user="monitor", host="127.0.0.1,127.0.0.1", port=f"{primary.port},{standby.port}")
        with Recording(tmp_path / "rec", [address.parse("postgres", both, "db")]) as recording:
            go_on(recording, "activity")
            time.sleep(SAME_START.total_seconds() + 0.5)
            go_on(recording, "activity")
            primary.end()
            recording.wait_until(lambda r: says(r, f"another server answers at 127.0.0.1:{standby.port}"))
            go_on(recording, "activity")
    (moment_of_change,) = [row["event_at"] for row in recording.rows("events") if row["what"] == "server_changed"]
    with open_case(case_of(recording, tmp_path / "case.duckdb")) as case:
        assert case.rows("SELECT kind, engine FROM event WHERE text LIKE 'server_changed%'") == [
            ("server_ready", "postgres")
        ]
        assert case.scalar("SELECT count(*) FROM event WHERE kind = 'server_starting'") == 0
        first = case.scalar("SELECT max(event_at) FROM event WHERE kind = 'server_ready'")
    assert first.isoformat() == moment_of_change.removesuffix("Z")


def test_a_standby_is_told_and_its_promotion_recorded(tmp_path: Path) -> None:
    with Postgres(require(15)) as standby:
        standby.run("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        standby.end()
        (standby.data / "standby.signal").touch()
        standby.start()
        there = address.parse("postgres", standby.conninfo(user="monitor"), "db")
        with Recording(tmp_path / "rec", [there]) as recording:
            go_on(recording, "activity")
            assert says(recording, "the server is a standby")
            standby.run("SELECT pg_promote()")
            recording.wait_until(lambda r: says(r, "a standby was promoted"))
            go_on(recording, "activity")
    assert recording.outcomes[0].reconnects == 0
    with open_case(case_of(recording, tmp_path / "case.duckdb")) as case:
        assert case.rows("SELECT kind FROM event WHERE text LIKE 'promoted%'") == [("server_ready",)]


def test_a_server_killed_is_found_again_and_all_before_reads_back(watched: Recorded, tmp_path: Path) -> None:
    with Recording(tmp_path / "rec", [watched.at(watched.server.port)]) as recording:
        go_on(recording, watched.stream)
        before = recording.heads(watched.stream)
        watched.server.crash()
        recording.wait_until(lambda r: says(r, "connected again"))
        go_on(recording, watched.stream)
    assert recording.heads(watched.stream)[: len(before)] == before
    assert recording.outcomes[0].reconnects >= 1
    case_of(recording, tmp_path / "case.duckdb")


def test_a_server_that_stands_still_is_waited_for(watched: Recorded, tmp_path: Path) -> None:
    with Recording(tmp_path / "rec", [watched.at(watched.server.port)]) as recording:
        go_on(recording, watched.stream)
        with faults.paused(watched.server.pid):
            time.sleep(1.0)
        recording.wait_until(lambda r: "gap" in {row["what"] for row in r.rows("events")})
        go_on(recording, watched.stream)
    assert recording.outcomes[0].skipped >= 2
    case_of(recording, tmp_path / "case.duckdb")


class Talk:
    """What a process says on stderr, as it says it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.text = ""
        self._lines = iter(process.stderr or ())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            self.text += line

    def wait_for(self, words: str, timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while words not in self.text:
            assert time.monotonic() < until, self.text
            time.sleep(0.02)


def heads_in(folder: Path, stream: str) -> list[str]:
    """First lines of samples; a file that could not be begun on a full disk may be gone again."""
    found: list[str] = []
    for path in folder.rglob(f"{stream}-*"):
        with contextlib.suppress(EvidenceError):
            found += [line for line in lines_of(path) if '"connforensics":' in line]
    return found


FULL = ("no larger files", "no space left") if faults.may_mount() else ("no larger files",)
"""Kinds of full disk that can be had here: only root may mount a small one."""


@pytest.fixture(params=FULL)
def disk(request: pytest.FixtureRequest) -> Iterator[tuple[str, faults.SmallDisk | None]]:
    if request.param == "no larger files":
        yield "File too large", None
        return
    with faults.small_disk(8 << 20) as small:
        yield "No space left on device", small


def test_a_full_disk_is_said_and_no_sample_is_lost_when_there_is_space_again(
    disk: tuple[str, faults.SmallDisk | None], tmp_path: Path
) -> None:
    why, small = disk
    folder = (small.path if small else tmp_path) / "rec"
    with recorded("postgres") as watched:
        process = start(folder, watched.at(watched.server.port).target)
        talk = Talk(process)
        try:
            wait_for_samples(folder, 5, process)
            with contextlib.ExitStack() as full:
                if small:
                    small.fill()
                    full.callback(small.free)
                else:
                    full.enter_context(faults.file_limit(process.pid, 1))
                talk.wait_for(f"cannot write into {folder}")
                held = heads_in(folder, "activity")
                time.sleep(0.5)
                assert heads_in(folder, "activity") == held
            talk.wait_for("writing again")
            wait_for_samples(folder, len(held) + 20, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        assert why in talk.text
        assert talk.text.count("cannot write") == 1
        ingest(tmp_path / "case.duckdb", [folder])
        samples = heads_in(folder, "activity")
    assert f"{len(samples)} samples" in process.stdout.read()  # type: ignore[union-attr]
    assert len(set(samples)) == len(samples)


def test_killed_on_a_full_disk_what_was_recorded_reads_back(
    disk: tuple[str, faults.SmallDisk | None], tmp_path: Path
) -> None:
    _, small = disk
    folder = (small.path if small else tmp_path) / "rec"
    with recorded("mariadb") as watched:
        process = start(folder, f"monitor@127.0.0.1:{watched.server.port}", kind="mysql")
        talk = Talk(process)
        wait_for_samples(folder, 5, process, "processlist")
        with contextlib.ExitStack() as full:
            if small:
                small.fill()
                full.callback(small.free)
            else:
                full.enter_context(faults.file_limit(process.pid, 1))
            talk.wait_for("cannot write")
            process.kill()
            process.wait(20)
        ingest(tmp_path / "case.duckdb", [folder])
        with open_case(tmp_path / "case.duckdb") as case:
            assert case.scalar("SELECT count(*) FROM assumption WHERE contains(text, 'not whole')") == 0
            assert case.scalar("SELECT count(*) FROM snapshot") == len(heads_in(folder, "processlist")) >= 5


def test_a_folder_that_cannot_be_made_is_exit_code_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = start(tmp_path / "file" / "rec", "host=127.0.0.1 port=1 user=x")
    _, talk = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Not a directory" in talk


@pytest.mark.skipif(not faults.may_mount(), reason="only root may mount a file system read-only")
def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    """It would hold a week in vain and say so in one line of the journal."""
    with faults.small_disk(1 << 20) as small:
        subprocess.run(["mount", "-o", "remount,ro", str(small.path)], check=True)
        process = start(small.path, "host=127.0.0.1 user=x")
        said = process.communicate(timeout=20)[1]
    assert process.returncode != 0
    assert "cannot be written" in said


def test_a_clock_that_is_wrong_is_seen_beside_the_recorders(tmp_path: Path) -> None:
    if faults.faketime() is None:
        absent("libfaketime is not installed: run python -m tests.lab.install")
    with Postgres(require(15), clock=Clock(+40)) as own:
        target = address.parse("postgres", own.conninfo(), "db")
        with Recording(tmp_path / "rec", [target]) as recording:
            go_on(recording, "activity")
    for head in recording.heads("activity"):
        ahead = moment(head) - moment({"sampled_at": head["recorded_at"]})
        assert ahead.total_seconds() == pytest.approx(40, abs=5)
        assert head["clock"] == "server"


def test_what_it_asks_of_the_server_by_the_servers_own_count(tmp_path: Path) -> None:
    """pg_stat_statements: one statement of each kind a sample, nothing that writes, and its time beside the recorder's."""
    with Postgres(require(15), shared_preload_libraries="pg_stat_statements") as own:
        own.run("CREATE EXTENSION pg_stat_statements", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        target = address.parse("postgres", own.conninfo(user="monitor"), "db")
        with Recording(tmp_path / "rec", [target]) as recording:
            go_on(recording, "activity", 20)
        session = own.connect()
        told = session.execute(
            "SELECT query, calls, rows, total_exec_time, shared_blks_dirtied + shared_blks_written + temp_blks_written"
            " FROM pg_stat_statements AS s JOIN pg_roles AS r ON r.oid = s.userid AND rolname = 'monitor'"
        ).fetchall()
    samples = recording.outcomes[0].samples
    calls = {query.strip(): count for query, count, *_ in told}
    assert calls["SELECT * FROM pg_catalog.pg_stat_activity"] == samples
    assert {query.split()[0] for query in calls} == {"SELECT", "SET"}
    assert sum(written for *_, written in told) == 0
    own_ms = sum(head["server_ms"] for head in recording.heads("activity"))
    asked_each_time = ("pg_stat_activity", "pg_locks")
    theirs_ms = sum(ms for query, _, _, ms, _ in told if any(name in query for name in asked_each_time))
    assert theirs_ms <= own_ms
