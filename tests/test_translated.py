"""A verdict does not depend on the shape of the evidence.

tests/translate.py writes the evidence of recorded incidents as other people would have it. A translation must be judged
as the original: cause, culprit, onset, refusals. Where a shape has lost a fact, the verdict may become undetermined or
name something else with weak support; it never becomes a wrong cause with more.

Some combinations are tried on every run. All of them, and what differs:

    python -m tests.test_translated                      # all incidents in all bundles; takes a quarter of an hour
    python -m tests.test_translated 'leak$' 'cloud'      # incidents and bundles by regular expressions

CONNFORENSICS_TRANSLATED=all has pytest try all of them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from connforensics import open_case, weigh
from connforensics.ingest import ingest
from connforensics.verdict import Verdict
from tests.recorded import DATA, NAMES, case_of, truth_of
from tests.translate import SHAPES, translate

ONSET_WITHIN_S = 5.0

LOST = {
    ("postgres", "cloud"): 60.0,
    ("mysql", "cloud"): 60.0,
}
"""How far an onset that rests on counts of workers may move: what CloudWatch counts, it counts each minute."""

UNCOUNTED = frozenset({("mysql", "cloud")})
"""Bundles without the server's counters: refusals that no client logged are lost."""

SOME = (
    ("budget", "cloud"),
    ("busy-peak", "terminal"),
    ("pool-leak", "archive"),
    ("pgbouncer-idle-in-transaction", "kubernetes"),
    ("monitoring", "syslog"),
    ("mysql-leak", "stalk"),
    ("mariadb-idle-holder", "exporter"),
    ("mariadb-restart-jitter", "terminal"),
)
"""Tried on every run: each bundle, and incidents that a reader or a view once got wrong in that shape."""


def engine_of(name: str) -> str:
    """Which engine's bundles an incident is translated into."""
    return "postgres" if truth_of(name)["engine"] == "postgres" else "mysql"


ALL = tuple((name, bundle) for name in NAMES for bundle in SHAPES[engine_of(name)])


def judged(name: str, bundle: str, folder: Path) -> Verdict:
    """Return the verdict on a translation of an incident."""
    translate(DATA / name / "evidence", bundle, folder / "evidence")
    ingest(folder / "case.duckdb", [folder / "evidence"])
    with open_case(folder / "case.duckdb") as case:
        return weigh(case)


def differences(name: str, bundle: str, original: Verdict, found: Verdict) -> list[str]:
    """Return how the verdict on a translation differs from that on the original beyond what the shape has lost."""
    which = engine_of(name), bundle
    if found.cause != original.cause:
        is_open = found.cause == "undetermined" or found.confidence == "weak support"
        return [f"{original.cause} became {found.cause} ({found.confidence}{'' if is_open else ': too sure'})"]
    told = []
    if found.culprit != original.culprit:
        told.append(f"culprit {original.culprit} became {found.culprit}")
    if (found.onset_at is None) != (original.onset_at is None):
        told.append(f"onset {original.onset_at} became {found.onset_at}")
    elif found.onset_at is not None and original.onset_at is not None:
        within = LOST.get(which, ONSET_WITHIN_S) if found.is_onset_estimated else ONSET_WITHIN_S
        moved = (found.onset_at - original.onset_at).total_seconds()
        if abs(moved) > within:
            told.append(f"onset moved by {moved:+.1f} s")
    refused: dict[str, Any] = found.refusals
    before: dict[str, Any] = original.refusals
    for kind in sorted({*refused["by_kind"], *before["by_kind"]}):
        was, now = before["by_kind"].get(kind, 0), refused["by_kind"].get(kind, 0)
        slack = max(2, 0.02 * was) if before["counted_not_logged"] or refused["counted_not_logged"] else 0
        if which in UNCOUNTED and now < was:
            continue
        if abs(now - was) > slack:
            told.append(f"{kind}: {was} became {now}")
    if refused["by_poolers"] != before["by_poolers"]:
        told.append(f"refused by poolers: {before['by_poolers']} became {refused['by_poolers']}")
    return told


@pytest.mark.parametrize(("name", "bundle"), ALL if os.environ.get("CONNFORENSICS_TRANSLATED") == "all" else SOME)
def test_a_translated_incident_is_judged_as_the_original(
    name: str, bundle: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with open_case(case_of(name, tmp_path_factory)) as case:
        original = weigh(case)
    found = judged(name, bundle, tmp_path)
    told = differences(name, bundle, original, found)
    if (name, bundle) in SOME:
        assert not told, found.paragraph
    assert not any("too sure" in each for each in told), found.paragraph


def main(incidents: str = "", bundles: str = "") -> None:
    """Try all combinations that the expressions name, and print what differs."""
    for name, bundle in ALL:
        if not re.search(incidents, name) or not re.search(bundles, bundle):
            continue
        folder = Path(tempfile.mkdtemp())
        try:
            ingest(folder / "original.duckdb", [DATA / name / "evidence"])
            with open_case(folder / "original.duckdb") as case:
                original = weigh(case)
            told = differences(name, bundle, original, judged(name, bundle, folder))
        finally:
            shutil.rmtree(folder)
        print(f"{name:32} {bundle:12} {'; '.join(told) or 'same'}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
