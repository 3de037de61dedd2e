"""The corpus of other people's evidence: no part of this repository, so tests that need it skip where it is absent."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("CONNFORENSICS_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))

needed = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")


def manifest(*formats: str) -> list[dict[str, str]]:
    """Return the rows of the manifest, of these formats only where any is named; none where the corpus is absent."""
    if not CORPUS.exists():
        return []
    csv.field_size_limit(sys.maxsize)
    with (CORPUS / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row for row in rows if not formats or row["format"] in formats]


def truth(row: dict[str, str]) -> dict[str, str]:
    """Return the independently counted facts of a file, `name` to value as text."""
    pairs = (part.split("=", 1) for part in row["ground_truth"].split("; ") if "=" in part)
    return {name.strip(): value.strip() for name, value in pairs}
