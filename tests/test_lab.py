"""The lab keeps its promises: servers start, and what clients counted is what the log says."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from tests.lab import install, truth
from tests.lab.journal import REFUSAL_KINDS, UNLOGGED, Entry, refusal_kind
from tests.lab.postgres import Postgres, require
from tests.lab.server import ServerFailedError
from tests.lab.service import Service
from tests.lab.stage import Stage

REFUSAL_TEXTS = [text for text, kind in REFUSAL_KINDS.items() if kind not in UNLOGGED]


def refusals_in_log(text: str) -> Counter[str]:
    """Refusals by kind, counted on the lines themselves."""
    said = re.findall(r"FATAL:  (.*)", text)
    return Counter(refusal_kind(line) for line in said if any(known in line for known in REFUSAL_TEXTS))


def client_backends(evidence: Path) -> dict[datetime, list[dict[str, str]]]:
    """The recorded snapshots: client backends by sample time."""
    found: dict[datetime, list[dict[str, str]]] = {}
    with (evidence / "activity.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["sampled_at"]).replace(tzinfo=None)
            found.setdefault(at, [])
            if row["backend_type"] == "client backend":
                found[at].append(row)
    return found


@pytest.mark.parametrize("version", [12, 14, 15, 16, 18])
def test_server_fills_to_its_last_slot_and_its_log_has_every_refusal(version: int) -> None:
    reserved = {"reserved_connections": 2} if require(version) >= 16 else {}
    with Postgres(version, max_connections=10, **reserved) as server:
        server.run("CREATE ROLE app_web LOGIN", "CREATE ROLE app_orders LOGIN CONNECTION LIMIT 1")
        told: Counter[str] = Counter()

        def fill(user: str, times: int) -> int:
            opened = 0
            for _ in range(times):
                try:
                    server.connect(user=user, application_name="filler")
                    opened += 1
                except psycopg.OperationalError as error:
                    told[refusal_kind(str(error))] += 1
            return opened

        assert fill("app_orders", 2) == 1
        assert fill("app_web", 9) == server.usable - 1
        assert fill("postgres", 8) == 10 - server.usable
        assert sorted(told) == ["refused_full", "refused_quota", "refused_reserved"]
        text = server.wait_for_log("FATAL", count=sum(told.values()))
        assert refusals_in_log(text) == told


def test_restart_ends_sessions_and_keeps_port_and_log() -> None:
    with Postgres(require(16)) as server:
        held, port = server.connect(), server.port
        server.restart()
        assert server.port == port
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
        server.run("SELECT 1")
        text = server.wait_for_log("database system is ready to accept connections", count=2)
        assert "terminating connection due to administrator command" in text


def test_killed_backend_makes_the_server_recover() -> None:
    with Postgres(require(14)) as server:
        pid = server.connect().info.backend_pid
        server.kill_backend(pid)
        text = server.wait_for_log("database system is ready to accept connections", count=2)
        assert f"server process (PID {pid}) was terminated by signal 9" in text
        with pytest.raises(ValueError, match="is not a backend of this server"):
            server.kill_backend(1)


def test_server_that_cannot_start_fails_with_its_own_words_and_leaves_nothing() -> None:
    server = Postgres(require(16), max_connections="many")
    with pytest.raises(ServerFailedError, match="max_connections"):
        server.__enter__()
    assert not server.base.exists()


def test_csv_and_json_logs_are_written_on_demand() -> None:
    with Postgres(require(18), log_destination="stderr,csvlog,jsonlog") as server:
        server.run("SELECT 1")
        server.wait_for_log("disconnection: session time")
        assert "disconnection: session time" in server.csv_log_path.read_text()
        assert '"message":"disconnection: session time' in server.json_log_path.read_text()


def test_installing_again_is_quick_and_needs_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in install.NEEDED_VERSIONS:
        require(version)
    monkeypatch.setattr(install, "install_packages", lambda *_: pytest.fail("a package was asked for"))
    monkeypatch.setattr(install, "_install_npm", lambda *_: pytest.fail("npm was started"))
    assert install.main([]) == 0
    said = capsys.readouterr().out
    assert "MISSING" not in said
    assert "PostgreSQL 18: " in said


def test_missing_version_says_why_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CONNFORENSICS_LAB_DIR", str(tmp_path))
    monkeypatch.delenv("CONNFORENSICS_NO_SKIP", raising=False)
    assert install.main(["--check"]) == 0
    assert "PostgreSQL 18: MISSING, not installed" in capsys.readouterr().out
    with pytest.raises(pytest.skip.Exception, match=r"run python -m tests\.lab\.install"):
        require(18)
    monkeypatch.setenv("CONNFORENSICS_NO_SKIP", "1")
    with pytest.raises(pytest.fail.Exception):
        require(18)


def test_peak_is_counted_from_open_sessions_only() -> None:
    """By hand: a and b overlap; c was refused; d opens after a closed; the process of e leaves with its session."""

    def entry(at: float, instance: str, what: str, pid: int = 0) -> Entry:
        return Entry(at, "s", instance, what, {"pid": pid, "kind": "refused_full"})

    entries = [
        entry(1, "x", "open", 11),
        entry(2, "x", "open", 12),
        entry(2.5, "x", "refused"),
        entry(3, "x", "close", 11),
        entry(4, "y", "open", 11),
        entry(5, "z", "open", 13),
        entry(6, "z", "exit"),
        entry(7, "z", "open", 14),
    ]
    found = truth.sessions(entries)
    assert truth.peak(found, since=0, until=10) == (3, 5)
    assert truth.peak(found, since=0, until=4.5) == (2, 2)
    assert truth.refusals(entries, 0, 10)["by_kind"] == {"refused_full": 1}
    assert truth.peak(truth.sessions(entries, server_ends=[4.5]), since=0, until=10) == (2, 2)


def test_truth_is_written_as_valid_toml() -> None:
    facts = {
        "says": 'a "quoted" back\\slash',
        "at": datetime(2026, 11, 21, 12, 0, 0, 5000),
        "peak": {"in_use": 3, "by_kind": {"refused_full": 2}},
        "events": [{"kind": "restart", "also": ["a", "b"]}, {"kind": "deploy", "also": []}],
    }
    assert tomllib.loads(truth.as_toml(facts)) == facts


def test_played_incident_is_whole_and_its_books_agree(tmp_path: Path) -> None:
    """A leak on a server of ten slots, ten seconds long: pools, sessions, refusals, a restart, a probe."""

    def play(stage: Stage) -> None:
        stage.role("leaky", "web")
        stage.start(Service("leaky", size=2, overflow=20, rate=12, duration_ms=20, user="leaky"), 2)
        stage.start(Service("web", "session", "web", rate=6, duration_ms=20))
        stage.start(Service("probe", "probe", rate=2))
        stage.settle(1)
        stage.begin()
        stage.turn("leaky", leak=12)
        stage.until(7)
        stage.turn("leaky", leak=0)
        stage.restart("leaky", "enough")
        stage.until(10)

    scenario = SimpleNamespace(CAUSE="connection_leak", SAYS="A leak.", SERVER={"max_connections": 12}, FILM="copy")
    with Stage("mini", scenario, tmp_path, require(16)) as stage:
        play(stage)
        stage.finish()
    facts = tomllib.loads((tmp_path / "truth.toml").read_text())
    counted = refusals_in_log((tmp_path / "evidence" / "postgresql.log").read_text())
    assert counted == facts["refusals"]["by_kind"]
    assert counted["refused_reserved"] > 0
    assert facts["peak"]["in_use"] == facts["peak"]["usable"] == 9
    assert facts["ramps"][0]["kept"] >= 6
    assert [event["kind"] for event in facts["events"]] == ["service_restart"]
    with (tmp_path / "evidence" / "pools.csv").open(newline="") as file:
        assert {row["instance"] for row in csv.DictReader(file)} == {"leaky-1", "leaky-2"}
    assert client_backends(tmp_path / "evidence")
