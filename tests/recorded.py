"""The recorded incidents of data/ for tests: their truth, and their evidence as a case that a test run makes once."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connforensics.ingest import ingest

DATA = Path(__file__).resolve().parent.parent / "data"
NAMES = tuple(sorted(path.parent.name for path in DATA.glob("*/truth.toml")))


def truth_of(name: str) -> dict[str, Any]:
    """What really happened; tests/lab/truth.py says what is in it."""
    return tomllib.loads((DATA / name / "truth.toml").read_text(encoding="utf-8"))


def case_of(name: str, folders: pytest.TempPathFactory) -> Path:
    """The whole evidence of an incident as a case, for reading only: all workers of a test run share it."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    path = folders.getbasetemp() / ".." / f"{name}.duckdb" if is_worker else folders.getbasetemp() / f"{name}.duckdb"
    if not path.exists():
        made = folders.mktemp(name) / "case.duckdb"
        ingest(made, [DATA / name / "evidence"])
        made.replace(path)
    return path
