"""Incidents played on real servers within the test, filmed by the recorder: evidence as ingested, against the clients' books.

The same stage that made `data/`, in plays of some ten seconds: PostgreSQL, MariaDB, PgBouncer, a network that is cut.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from connforensics import ask, open_case
from connforensics.ingest import ingest
from connforensics.record.target import COUNTERS_EVERY_S
from tests.lab import mariadb, pgbouncer
from tests.lab.postgres import require
from tests.lab.service import Service
from tests.lab.stage import Stage
from tests.test_incidents import SLOTS, TOLD_AT_THE_DOOR, Incident

SETTLE_S = 2.0
A_FEW_SAMPLES_S = 4.0
EVERY_S = 1.0


@contextmanager
def played(folder: Path, play: Callable[[Stage], None], **scenario: object) -> Iterator[Incident]:
    """Play it, film it, read it."""
    told = {"CAUSE": "none", "SAYS": "Played in a test.", "SERVER": {}, "EVERY_S": EVERY_S, **scenario}
    with Stage("live", SimpleNamespace(**told), folder) as stage:
        play(stage)
        stage.finish()
    ingest(folder / "case.duckdb", [folder / "evidence"])
    with open_case(folder / "case.duckdb") as case:
        yield Incident("live", folder, tomllib.loads((folder / "truth.toml").read_text()), case)


def service_of(incident: Incident, name: str) -> dict[str, object]:
    return next(service for service in incident.truth["services"] if service["name"] == name)


def leak(stage: Stage) -> None:
    """Two instances keep one connection in six requests until others are refused; then one is restarted."""
    if stage.engine.recorded_as == "postgres":
        stage.role("leaky", "web")
    stage.start(Service("leaky", size=2, overflow=20, rate=12, duration_ms=20, user="leaky"), 2)
    stage.start(Service("web", "session", "web", rate=4, duration_ms=20))
    stage.start(Service("probe", "probe", rate=1))
    stage.settle(SETTLE_S)
    stage.begin()
    stage.turn("leaky", leak=6)
    stage.wait_for("refused", 10)
    stage.settle(COUNTERS_EVERY_S + A_FEW_SAMPLES_S)
    stage.turn("leaky", leak=0)
    stage.restart("leaky", "enough")
    stage.wait_for("done", 20)


def check_leak(incident: Incident) -> None:
    """The server was full, the leaking sessions are there, and each other number is what the clients say."""
    peak, leaky = incident.truth["peak"], service_of(incident, "leaky")
    assert peak["in_use"] == peak["usable"]
    assert incident.sessions_at_most() in range(peak["usable"] - 1, peak["usable"] + 2)
    assert incident.sessions_at_most("leaky") in range(
        int(str(leaky["peak_open"])) - 1, int(str(leaky["peak_open"])) + 2
    )
    lent = incident.case.scalar(
        "SELECT max(lent) FROM (SELECT sum(checked_out) AS lent FROM pool_sample WHERE service = 'leaky'"
        " GROUP BY time_bucket(INTERVAL 2 SECONDS, sampled_at))"
    )
    assert lent >= incident.truth["ramps"][0]["kept"]
    assert max(ask("saturation", incident.case).table["in_use"]) >= peak["usable"] - 1


def test_leak_on_postgres(tmp_path: Path) -> None:
    with played(
        tmp_path, leak, VERSION=require(16), SERVER={"max_connections": 14, "reserved_connections": 1}
    ) as incident:
        check_leak(incident)
        told = incident.truth["refusals"]["by_kind"]
        assert incident.logged("postgresql.log", TOLD_AT_THE_DOOR) == told
        assert told["refused_reserved"] >= 10


def test_leak_on_mariadb(tmp_path: Path) -> None:
    mariadb.require()
    with played(tmp_path, leak, ENGINE="mariadb", SERVER={"max_connections": 12}) as incident:
        check_leak(incident)
        told = incident.truth["refusals"]["by_kind"]["refused_full"]
        assert incident.logged("error.log", SLOTS).get("refused_full", 0) <= told
        highest = incident.case.scalar(
            "SELECT max(value) FROM metric_sample WHERE name = 'mysql_global_status_max_used_connections'"
        )
        assert highest >= incident.truth["peak"]["usable"]


def test_clients_are_refused_at_a_pooler_before_an_idle_server(tmp_path: Path) -> None:
    pgbouncer.require()

    def play(stage: Stage) -> None:
        stage.role("shop")
        stage.open_pooler(default_pool_size=2, max_client_conn=10)
        stage.start(Service("catalog", size=3, rate=15, duration_ms=60, behind_pooler=True), 2)
        stage.settle(SETTLE_S)
        stage.begin()
        stage.scale("catalog", 6)
        stage.wait_for("refused", 10)
        stage.settle(A_FEW_SAMPLES_S)
        stage.scale("catalog", 2)

    with played(tmp_path, play, VERSION=require(15), SERVER={"max_connections": 30}) as incident:
        pooler = incident.truth["pooler"]
        assert pooler["peak_clients"] == 9  # the recorder at the console is a client as well
        assert pooler["refusals"]["by_service"] == {"catalog": pooler["refusals"]["total"]}
        assert incident.truth["refusals"]["total"] == 0
        said = incident.case.scalar(
            "SELECT count(*) FROM event JOIN source USING (source_id) WHERE contains(path, 'pgbouncer.log')"
            " AND kind = 'pooler_error' AND contains(text, 'max_client_conn')"
        )
        assert said == pooler["refusals"]["total"]
        # The pooler notes the end of a session before the server has carried it out.
        assert incident.sessions_at_most() <= incident.truth["peak"]["in_use"] + 1 <= 5


def test_cut_network_ends_sessions_and_nobody_at_the_server_hears_the_attempts(tmp_path: Path) -> None:
    def play(stage: Stage) -> None:
        stage.role("gateway")
        stage.open_network()
        stage.start(Service("gateway", "held", "gateway", size=6, rate=5, duration_ms=10, stagger_s=0.01))
        stage.settle(SETTLE_S)
        stage.begin()
        stage.cut_network("for a moment")
        stage.wait_for("refused", 6)
        stage.network.restore()
        stage.wait_for("open", 6)
        stage.settle(A_FEW_SAMPLES_S)

    with played(tmp_path, play, VERSION=require(14), SERVER={"max_connections": 30}) as incident:
        assert incident.truth["unanswered"]["nobody_listens"] >= 6
        assert incident.truth["refusals"]["total"] == 0
        assert incident.logged("postgresql.log", TOLD_AT_THE_DOOR) == {}
        assert sum(incident.logged("postgresql.log", ("connection_closed",)).values()) >= 6
        assert incident.sessions_at_most("gateway") == service_of(incident, "gateway")["peak_open"] == 6
