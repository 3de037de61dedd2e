"""Recorded incidents show what their truth says: what the clients counted themselves, against the evidence as ingested."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connforensics import Case, open_case
from connforensics.causes import CAUSES
from tests.lab import truth as books
from tests.lab.__main__ import names
from tests.recorded import DATA, NAMES, case_of, truth_of

MOST_BYTES = 2_000_000
MOST_BYTES_TOGETHER = 25_000_000

SLOTS = ("refused_full", "refused_reserved", "refused_quota")
TOLD_AT_THE_DOOR = (*SLOTS, "refused_state", "refused_rule", "auth_failed", "unknown_target")
"""Kinds that PostgreSQL's log has one line for, each time a client is told."""

UNSEEN_SHARE = 0.25
"""Share of the most sessions that a snapshot every two or three seconds may miss, where sessions are short."""


Test = Callable[..., None]


def recorded(fits: Callable[[dict[str, Any]], bool] = lambda truth: True) -> Callable[[Test], Test]:
    """Run a test on each recorded incident that it is about; those on one incident on one worker, which reads it once."""
    about = [
        pytest.param(name, marks=pytest.mark.xdist_group(f"incident {name}")) for name in NAMES if fits(truth_of(name))
    ]
    return pytest.mark.parametrize("incident", about, indirect=True, ids=lambda name: name)


def has_own_logs(truth: dict[str, Any]) -> bool:
    """Whether some service's own log is evidence."""
    evidence = DATA / str(truth["scenario"]) / "evidence"
    logs = [path.name.split(".")[0] for path in evidence.glob("*.log*")]
    services: list[str] = [service["name"] for service in truth["services"]]
    return any(log in services or log.rpartition("-")[0] in services for log in logs)


@dataclass(frozen=True)
class Incident:
    """A recorded incident: its truth, and its evidence as a case."""

    name: str
    folder: Path
    truth: dict[str, Any]
    case: Case

    @property
    def is_postgres(self) -> bool:
        return bool(self.truth["engine"] == "postgres")

    def sessions_at_most(self, client: str | None = None) -> int:
        """The most client sessions in one snapshot of the server: all, or those of one service."""
        known = "application_name" if self.is_postgres else "user_name"
        return int(
            self.case.scalar(
                f"""
                SELECT coalesce(max(sessions), 0)
                FROM (
                  SELECT count(*) AS sessions
                  FROM backend_sample
                  WHERE backend_type = 'client backend'
                    AND ($client IS NULL OR {known} = $client)
                  GROUP BY sampled_at
                )
                """,
                {"client": client},
            )
        )

    def logged(self, log: str, kinds: tuple[str, ...]) -> dict[str, int]:
        """Events of some kinds in one of the logs."""
        rows = self.case.rows(
            """
            SELECT kind, count(*)
            FROM event JOIN source USING (source_id)
            WHERE contains(path, $log) AND list_contains($kinds, kind)
            GROUP BY kind
            """,
            {"log": log, "kinds": list(kinds)},
        )
        return {str(kind): int(count) for kind, count in rows}

    def growth(self, counter: str) -> float:
        """How much a counter of the server rose, from the first sample to the last."""
        return float(
            self.case.scalar(
                "SELECT coalesce(max(value) - min(value), 0) FROM metric_sample WHERE name = $name", {"name": counter}
            )
        )


@pytest.fixture(scope="module")
def incident(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    with open_case(case_of(request.param, tmp_path_factory)) as case:
        yield Incident(request.param, DATA / request.param, truth_of(request.param), case)


@recorded()
def test_folder_is_whole_and_small(incident: Incident) -> None:
    evidence = incident.folder / "evidence"
    files = [path for path in incident.folder.rglob("*") if path.is_file()]
    shown = {path.name.removesuffix(".gz") for path in evidence.iterdir()}
    logs = {"postgresql.log"} if incident.is_postgres else set()
    assert {*logs, "pools.csv", "workers.csv"} <= shown
    snapshots = {"activity.csv", "settings.csv"} & shown or {"postgres", "mysql"} & shown
    assert snapshots
    assert ("pooler" in incident.truth) == ({"pgbouncer", "pgbouncer.log"} <= shown)
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    for path in files:
        if path.suffix not in (".gz", ".zst"):
            assert path.read_bytes().decode().endswith("\n")
    assert len((incident.folder / "README.md").read_text().splitlines()) == 5
    assert incident.name in names()


def test_all_folders_together_are_small() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= MOST_BYTES_TOGETHER


@recorded()
def test_truth_is_whole_and_adds_up(incident: Incident) -> None:
    truth = incident.truth
    assert truth["cause"] in {*CAUSES, "none"}
    assert set(truth.get("also_causes", ())) <= set(CAUSES) - {truth["cause"]}
    assert ("culprit" in truth) == ("onset_at" in truth) == (truth["cause"] != "none")
    for refusals in (truth["refusals"], truth.get("pooler", {}).get("refusals", {"total": 0})):
        assert refusals["total"] == sum(refusals.get("by_kind", {}).values())
        assert refusals["total"] == sum(refusals.get("by_service", {}).values())
    assert truth["peak"]["usable"] == truth["limits"]["usable"]
    if truth["cause"] == "none":
        assert not set(SLOTS) & set(truth["refusals"].get("by_kind", {}))
        assert not any("checkout_timeouts" in service for service in truth["services"])
    else:
        assert truth["since"] <= truth["onset_at"] < truth["until"]


@recorded()
def test_everything_in_the_folder_is_understood(incident: Incident) -> None:
    rows = incident.case.rows("SELECT path, format, lines, unknown FROM source")
    assert rows
    assert [path for path, name, *_ in rows if name is None] == []
    assert [path for path, _, _, unknown in rows if unknown] == []


@recorded(lambda truth: truth["engine"] == "postgres")
def test_clients_refusals_are_in_postgres_log(incident: Incident) -> None:
    told = incident.truth["refusals"].get("by_kind", {})
    assert incident.logged("postgresql.log", TOLD_AT_THE_DOOR) == {
        kind: count for kind, count in told.items() if kind in TOLD_AT_THE_DOOR
    }


@recorded(lambda truth: truth["engine"] != "postgres")
def test_clients_refusals_are_in_the_counters_of_mysql(incident: Incident) -> None:
    """No log has them all: the counters do, unless the server was restarted, and the log has no more than there were."""
    told = incident.truth["refusals"].get("by_kind", {})
    logged = incident.logged("error.log", TOLD_AT_THE_DOOR)
    assert all(count <= told.get(kind, 0) for kind, count in logged.items())
    if any(event["kind"] == "server_restart" for event in incident.truth.get("events", ())):
        return
    counters = ("mysql_global_status_aborted_connects", "mysql_global_status_connection_errors_total")
    counted = max(incident.growth(counter) for counter in counters)
    assert counted >= sum(told.get(kind, 0) for kind in ("refused_full", "refused_quota"))


@recorded()
def test_snapshots_agree_with_the_clients_own_peak(incident: Incident) -> None:
    """A snapshot can miss short sessions but never see more than there were, but for those being closed or refused."""
    truth = incident.truth
    most, seen = truth["peak"]["in_use"], incident.sessions_at_most()
    passing = 1 if incident.is_postgres else 2
    assert seen <= most + passing
    assert seen >= most * (1 - UNSEEN_SHARE) - passing
    first, last = incident.case.rows("SELECT min(sampled_at), max(sampled_at) FROM backend_sample")[0]
    assert truth["since"] - timedelta(seconds=5) <= first < last <= truth["until"] + timedelta(seconds=5)


@recorded()
def test_services_are_in_the_snapshots(incident: Incident) -> None:
    for service in incident.truth["services"]:
        if service["kind"] in ("probe", "scan", "script") or "through" in service:
            continue
        name = service["name"] if incident.is_postgres or service["kind"] == "recorder" else service["user"]
        if service["kind"] == "recorder" and not incident.is_postgres:
            name = service["user"]
        seen = incident.sessions_at_most(name)
        assert seen <= service["peak_open"] + 1, name
        if service["kind"] in ("sqlalchemy", "psycopg_pool", "hikari", "recorder") or service["peak_open"] > 5:
            assert seen >= service["peak_open"] * (1 - UNSEEN_SHARE) - 1, name


@recorded()
def test_pools_say_what_their_owners_are(incident: Incident) -> None:
    pools = {one["name"]: one for one in incident.truth["services"] if "pool_size" in one}
    rows = incident.case.rows(
        "SELECT service, max(max_size), max(checked_out), count(DISTINCT instance) FROM pool_sample"
        " WHERE service IS NOT NULL AND list_contains($names, service) GROUP BY service",
        {"names": list(pools)},
    )
    assert {service for service, *_ in rows} == set(pools)
    for service, size, lent, instances in rows:
        assert size == pools[service]["pool_size"] + pools[service]["max_overflow"]
        assert lent <= size
        assert instances <= pools[service]["instances_started"]


@recorded(lambda truth: "pooler" in truth)
def test_refusals_at_the_pooler_are_in_its_log(incident: Incident) -> None:
    pooler = incident.truth["pooler"]
    logged = incident.logged("pgbouncer.log", ("pooler_error",)).get("pooler_error", 0)
    assert logged >= pooler["refusals"]["by_kind"].get("pooler_error", 0)
    clients = incident.case.scalar(
        "SELECT coalesce(max(clients), 0) FROM (SELECT sum(checked_out + waiting) AS clients FROM pool_sample"
        " JOIN source USING (source_id) WHERE contains(path, 'pgbouncer/') GROUP BY sampled_at)"
    )
    assert clients <= pooler["peak_clients"] + 1


@recorded(has_own_logs)
def test_services_own_logs_have_what_they_were_told(incident: Incident) -> None:
    """Each refusal that a service was told and each caller that gave up is a line of its log."""
    logs = [path.name.split(".")[0] for path in (incident.folder / "evidence").glob("*.log*")]
    for service in incident.truth["services"]:
        kinds = ("client_refused", "pool_timeout", "pool_leak_suspected")
        mine = [
            incident.logged(f"{log}.log", kinds) for log in logs if service["name"] in (log, log.rpartition("-")[0])
        ]
        if not mine:
            continue
        refused, gave_up, suspected = (sum(logged.get(kind, 0) for logged in mine) for kind in kinds)
        assert gave_up == service.get("checkout_timeouts", 0)
        if service["kind"] == "hikari":
            assert 0 < suspected <= service["leaks"] + gave_up
        else:
            told = [
                place["refusals"]["by_service"] for place in (incident.truth, incident.truth.get("pooler")) if place
            ]
            assert refused == sum(by_service.get(service["name"], 0) for by_service in told)


@recorded(lambda truth: truth["cause"] == "connection_leak" and "pooler" not in truth)
def test_leaks_are_lent_out_and_idle(incident: Incident) -> None:
    """At the end of the last ramp the leaking pools say busy what the server, where it sees them, says idle."""
    truth = incident.truth
    at, kept = truth["ramps"][-1]["ended_at"], truth["ramps"][-1]["kept"]
    name = truth["culprit"]["name"]
    lent = incident.case.scalar(
        "SELECT sum(checked_out) FROM pool_sample WHERE service = $name GROUP BY time_bucket(INTERVAL 2 SECONDS, sampled_at)"
        " HAVING min(sampled_at) >= $at ORDER BY min(sampled_at) LIMIT 1",
        {"name": name, "at": at},
    )
    assert lent >= kept
    known = "application_name" if incident.is_postgres else "user_name"
    idle = incident.case.scalar(
        f"SELECT count(*) FILTER (WHERE state = 'idle' AND {known} = $name) FROM backend_sample"
        " WHERE sampled_at >= $at GROUP BY sampled_at ORDER BY sampled_at LIMIT 1",
        {"name": name, "at": at},
    )
    assert idle >= kept * (1 - UNSEEN_SHARE)


def test_pool_leak_has_two_ramps_with_one_slope_and_refuses_others() -> None:
    truth = truth_of("pool-leak")
    assert truth["onset_at"] == truth["ramps"][0]["began_at"]
    assert len(set(truth["refusals"]["by_service"]) - {"checkout"}) >= 3
    restart = next(event for event in truth["events"] if event["kind"] == "service_restart")
    assert truth["onset_at"] < restart["at"] < truth["refusals"]["first_at"]
    slopes = [(ramp["kept"] - 1) / (ramp["ended_at"] - ramp["began_at"]).total_seconds() for ramp in truth["ramps"]]
    assert len(slopes) == 2
    assert slopes[1] == pytest.approx(slopes[0], rel=UNSEEN_SHARE)


def test_calm_day_has_a_deploy_a_peak_and_no_incident() -> None:
    truth = truth_of("calm-day")
    assert truth["refusals"]["total"] == 0
    assert 0.6 <= truth["peak"]["in_use"] / truth["peak"]["usable"] <= 0.8
    assert {"deploy", "traffic", "scale"} <= {event["kind"] for event in truth["events"]}


def test_poolers_own_sessions_are_counted_from_its_log() -> None:
    """By hand: a is open from second 1 to 4; b's login failed, so it never was; c uses a's structure again."""
    said = (
        (1, "LOG S-0xa: shop/web@127.0.0.1:5432 new connection to server (from 127.0.0.1:40000)"),
        (2, "LOG S-0xb: shop/web@127.0.0.1:5432 new connection to server (from 127.0.0.1:40002)"),
        (
            3,
            "ERROR S: login failed: FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
        ),
        (3, "LOG S-0xb: shop/web@127.0.0.1:5432 closing because: login failed (age=0s)"),
        (4, "LOG S-0xa: shop/web@127.0.0.1:5432 closing because: server lifetime over (age=3s)"),
        (5, "LOG S-0xa: shop/web@127.0.0.1:5432 new connection to server (from 127.0.0.1:40004)"),
        (6, "LOG C-0xd: shop/web@127.0.0.1:6432 login attempt: db=shop user=web tls=no"),
    )
    log = "".join(f"1970-01-01 00:00:0{second}.000 UTC [7] {line}\n" for second, line in said)
    entries = books.pooler_entries(log)
    assert books.refusals(entries, 0, 9)["by_kind"] == {"refused_reserved": 1}
    assert [(one.opened, one.ended) for one in books.sessions(entries)] == [(1, 4), (5, float("inf"))]


@pytest.mark.parametrize("name", names())
def test_incident_can_be_played_and_is_recorded(name: str) -> None:
    module = importlib.import_module(f"tests.lab.incidents.{name.replace('-', '_')}")
    truth = truth_of(name)
    assert truth["scenario"] == name
    assert truth["cause"] == module.CAUSE
    assert truth["engine"] == getattr(module, "ENGINE", "postgres")
    assert (module.__doc__ or "").strip()
    assert module.SAYS in (DATA / name / "README.md").read_text()
    assert callable(module.play)
