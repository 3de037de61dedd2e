"""Verdicts against truth: every recorded incident whole, and the same with poorer evidence, as nights really are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connforensics import open_case, weigh
from connforensics.causes import CAUSES, Assessment
from connforensics.errors import NotUnderstoodError
from connforensics.ingest import ingest
from connforensics.schema import EVIDENCE_TABLES
from connforensics.verdict import PROSE, Verdict, words
from tests.recorded import DATA, NAMES, case_of, truth_of

ONSET_WITHIN_S = 5.0


def judge(tmp_path: Path, *paths: Path) -> Verdict:
    case_path = tmp_path / "case.duckdb"
    ingest(case_path, list(paths))
    with open_case(case_path) as case:
        return weigh(case)


FROM_LOGS = (
    "SELECT source_id FROM source WHERE format LIKE '%\\_log%' ESCAPE '\\' OR format LIKE 'postgres\\_%log' ESCAPE '\\'"
)

POORER: dict[str, tuple[str, ...]] = {
    "log only": (
        f"DELETE FROM event WHERE source_id NOT IN ({FROM_LOGS})",
        "DELETE FROM backend_sample",
        "DELETE FROM pool_sample",
        "DELETE FROM metric_sample",
        "DELETE FROM setting",
    ),
    "snapshots only": (
        "DELETE FROM event",
        "DELETE FROM pool_sample",
        "DELETE FROM metric_sample",
        "DELETE FROM setting",
    ),
    "metrics and pool numbers only": ("DELETE FROM event", "DELETE FROM backend_sample"),
    "no log": (f"DELETE FROM event WHERE source_id IN ({FROM_LOGS})",),
    "one snapshot a minute": tuple(
        f"""
        DELETE FROM {table}
        WHERE {which}
          AND sampled_at NOT IN (SELECT min(sampled_at) FROM {table} WHERE {which} GROUP BY date_trunc('minute', sampled_at))
        """
        for table, which in (
            ("backend_sample", "true"),
            ("pool_sample", "true"),
            ("metric_sample", "name <> 'workers'"),
        )
    ),
    "blind at saturation": tuple(
        f"DELETE FROM {table} WHERE sampled_at BETWEEN $first_at AND $last_at"
        for table in ("backend_sample", "metric_sample")
    ),
    "clocks 40 s apart": (
        f"UPDATE event SET event_at = event_at + INTERVAL 40 SECOND WHERE source_id IN ({FROM_LOGS})",
        f"""
        UPDATE source
        SET first_at = first_at + INTERVAL 40 SECOND, last_at = last_at + INTERVAL 40 SECOND
        WHERE source_id IN ({FROM_LOGS})
        """,
    ),
    "no worker counts": ("DELETE FROM metric_sample WHERE name = 'workers'",),
    "no pool numbers": ("DELETE FROM pool_sample",),
}
"""What is taken away from a case, as SQL over its tables."""

VARIANTS_EACH = 2
"""How many of them each incident is tried with, in turn: all of them on all incidents would take too long."""


def variants_of(name: str) -> list[str]:
    """The variants an incident is tried with."""
    turns = (NAMES.index(name) + 4 * turn for turn in range(VARIANTS_EACH))
    return [list(POORER)[turn % len(POORER)] for turn in turns]


def impoverish(whole: Path, poorer: Path, variant: str, truth: dict[str, Any]) -> None:
    """Copy a case and take from it what the variant takes, with the sources of which nothing is left."""
    shutil.copy(whole, poorer)
    refusals: dict[str, Any] = truth["refusals"]
    between = {"first_at": refusals.get("first_at"), "last_at": refusals.get("last_at")}
    left = " UNION ".join(f"SELECT DISTINCT source_id FROM {table}" for table in EVIDENCE_TABLES)
    with duckdb.connect(str(poorer)) as con:
        con.execute(f"CREATE TEMP TABLE told AS {left}")
        for statement in POORER[variant]:
            con.execute(statement, between if "$first_at" in statement else None)
        con.execute(f"DELETE FROM source WHERE source_id IN (FROM told) AND source_id NOT IN ({left})")
        con.execute("DROP TABLE told")


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_incident_is_judged_as_it_was(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whole it is named with its culprit and onset; with less evidence nothing else is named but weakly."""
    truth = truth_of(name)
    whole = case_of(name, tmp_path_factory)
    with open_case(whole) as case:
        as_it_was(weigh(case), truth)
    for variant in variants_of(name):
        poorer = tmp_path / "poorer.duckdb"
        impoverish(whole, poorer, variant, truth)
        try:
            with open_case(poorer) as case:
                found = weigh(case)
        except NotUnderstoodError:
            continue
        if found.cause not in (truth["cause"], *truth.get("also_causes", ()), "undetermined"):
            assert found.confidence == "weak support", f"{variant}: {found.paragraph}"


def as_it_was(found: Verdict, truth: dict[str, Any]) -> None:
    """Hold a verdict against the truth: cause, refusals, culprit, onset."""
    assert found.cause == truth["cause"], found.paragraph
    told: dict[str, Any] = truth["refusals"]
    by_kind: dict[str, int] = told["by_kind"]
    slots = ("refused_full", "refused_reserved", "refused_quota")
    expected = {kind: count for kind, count in by_kind.items() if kind in slots}
    if found.refusals["counted_not_logged"]:
        assert found.refusals["by_kind"] == pytest.approx(expected, rel=0.02, abs=2)
    else:
        assert found.refusals["by_kind"] == expected
    pooler: dict[str, dict[str, int]] = truth.get("pooler", {})
    assert sum(found.refusals["by_poolers"].values()) == pooler.get("refusals", {}).get("total", 0)
    culprit = truth.get("culprit")
    if culprit:
        assert found.culprit is not None
        assert found.culprit[1] in {culprit["name"], *culprit.get("also", ())}
        assert found.onset_at is not None
        # Some were refused before what the truth calls the onset: a limit that was too low already.
        begun = (truth["onset_at"], min(truth["onset_at"], told.get("first_at", truth["onset_at"])))
        assert min(abs((found.onset_at - at).total_seconds()) for at in begun) < ONSET_WITHIN_S


def test_the_leak_is_found_in_a_log_alone(tmp_path: Path) -> None:
    found = judge(tmp_path, DATA / "pool-leak/evidence/postgresql.log")
    assert (found.cause, found.culprit) == ("connection_leak", ("application", "checkout"))
    leak = found.ranking[0]
    assert any("snapshots" in missing for missing in leak.missing)


def test_peak_of_the_log_counts_sessions_older_than_it(tmp_path: Path) -> None:
    truth = truth_of("pool-leak")
    found = judge(tmp_path, DATA / "pool-leak/evidence")
    assert found.peak["in_use"] == truth["peak"]["in_use"]
    assert found.peak["usable"] == truth["peak"]["usable"]


def test_facts_cite_lines_and_weights_add_up(tmp_path: Path) -> None:
    found = judge(tmp_path, DATA / "pool-leak/evidence")
    for each in found.ranking:
        assert each.weight_db == pytest.approx(sum(fact.weight_db for fact in (*each.for_, *each.against)))
        assert all(fact.weight_db >= 0 for fact in each.for_)
        assert all(fact.weight_db < 0 for fact in each.against)


def test_a_window_before_the_incident_is_calm(tmp_path: Path) -> None:
    from connforensics.case import Window

    truth = truth_of("pool-leak")
    case_path = tmp_path / "case.duckdb"
    ingest(case_path, [DATA / "pool-leak/evidence"])
    with open_case(case_path) as case:
        found = weigh(case, Window(None, truth["onset_at"]))
    assert found.cause == "none"


def test_nothing_about_connections_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("it was dark\n", encoding="utf-8")
    with pytest.raises(NotUnderstoodError):
        judge(tmp_path, tmp_path / "notes.txt")


def test_pool_numbers_alone_do_not_decide(tmp_path: Path) -> None:
    found = judge(tmp_path, DATA / "calm-day/evidence/pools.csv")
    assert found.cause == "undetermined"
    assert all(each.missing or each.for_ or each.against for each in found.ranking)


def test_every_cause_has_a_module_a_sentence_and_a_verdict() -> None:
    from connforensics.causes import load

    assert {*CAUSES, "none", "undetermined"} == PROSE.keys()
    for name in CAUSES:
        module = load(name)
        assert (module.__doc__ or "").strip()
        assert callable(module.weigh)


def test_words_are_those_of_the_guideline() -> None:
    assert [words(db) for db in (0, 3, 10, 20, 30, 40, 60)] == [
        "no support",
        "weak support",
        "moderate support",
        "moderately strong support",
        "strong support",
        "very strong support",
        "extremely strong support",
    ]


def test_an_assessment_sorts_facts_by_what_they_say() -> None:
    assessment = Assessment("connection_leak")
    assessment.add("rises", 1.0, "x", 10, ["a:1", "a:1", "a:2"])
    assessment.add("rests", 1.0, "x", 1 / 10)
    assert assessment.weight_db == pytest.approx(0)
    assert assessment.for_[0].citations == ("a:1", "a:2")
