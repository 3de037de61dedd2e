"""Verdicts against truth: every recorded incident whole, and the same with poorer evidence, as nights really are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from connforensics import open_case, weigh
from connforensics.causes import CAUSES, Assessment
from connforensics.errors import NotUnderstoodError
from connforensics.ingest import ingest
from connforensics.verdict import PROSE, Verdict, words

DATA = Path(__file__).parent.parent / "data"
INCIDENTS = sorted(folder.parent.name for folder in DATA.glob("*/truth.toml"))

POORER = {
    "log only": ("postgresql.log",),
    "snapshots only": ("activity.csv",),
    "snapshots and settings": ("activity.csv", "settings.csv"),
    "log and snapshots": ("postgresql.log", "activity.csv"),
    "no pool numbers": ("postgresql.log", "activity.csv", "settings.csv", "workers.csv"),
    "no worker counts": ("postgresql.log", "activity.csv", "settings.csv", "pools.csv"),
    "no snapshots": ("postgresql.log", "settings.csv", "pools.csv", "workers.csv"),
}

ONSET_WITHIN_S = 5.0


def judge(tmp_path: Path, *paths: Path) -> Verdict:
    case_path = tmp_path / "case.duckdb"
    ingest(case_path, list(paths))
    with open_case(case_path) as case:
        return weigh(case)


def truth_of(name: str) -> dict[str, object]:
    return tomllib.loads((DATA / name / "truth.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", INCIDENTS)
def test_every_recorded_incident_is_judged_as_it_was(name: str, tmp_path: Path) -> None:
    truth = truth_of(name)
    found = judge(tmp_path, DATA / name / "evidence")
    assert found.cause == truth["cause"]
    slots = ("refused_full", "refused_reserved", "refused_quota")
    refusals: dict[str, int] = truth["refusals"]["by_kind"]  # type: ignore[index]
    assert found.refusals["by_kind"] == {kind: count for kind, count in refusals.items() if kind in slots}
    culprit = truth.get("culprit")
    if culprit:
        assert found.culprit is not None
        assert found.culprit[1] in {culprit["name"], *culprit.get("also", ())}  # type: ignore[attr-defined, index]
        assert found.onset_at is not None
        assert abs((found.onset_at - truth["onset_at"]).total_seconds()) < ONSET_WITHIN_S  # type: ignore[operator]


@pytest.mark.parametrize("variant", POORER)
@pytest.mark.parametrize("name", INCIDENTS)
def test_poorer_evidence_never_convicts_another(name: str, variant: str, tmp_path: Path) -> None:
    """With less evidence a verdict may not decide, or weakly lean elsewhere, but never strongly name a wrong cause."""
    truth = truth_of(name)
    found = judge(tmp_path, *(DATA / name / "evidence" / file for file in POORER[variant]))
    if found.cause not in (truth["cause"], "undetermined"):
        assert found.confidence == "weak support", found.paragraph


def test_the_leak_is_found_in_a_log_alone(tmp_path: Path) -> None:
    found = judge(tmp_path, DATA / "pool-leak/evidence/postgresql.log")
    assert (found.cause, found.culprit) == ("connection_leak", ("application", "checkout"))
    leak = found.ranking[0]
    assert any("snapshots" in missing for missing in leak.missing)


def test_peak_of_the_log_counts_sessions_older_than_it(tmp_path: Path) -> None:
    truth = truth_of("pool-leak")
    found = judge(tmp_path, DATA / "pool-leak/evidence")
    assert found.peak["in_use"] == truth["peak"]["in_use"]  # type: ignore[index]
    assert found.peak["usable"] == truth["peak"]["usable"]  # type: ignore[index]


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
        found = weigh(case, Window(None, truth["onset_at"]))  # type: ignore[arg-type]
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
