"""Questions about a case: one module each, answered by a small table and one honest sentence.

A module's docstring begins with the question; `run(case, window)` returns at most MAX_ROWS rows, aggregated in SQL;
`headline(table)` says what they show, with numbers and UTC times, or what could not be told.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from connforensics.case import Case, Window
from connforensics.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS: Final = 2000
MAX_BUCKETS: Final = 600
"""A chart on a wide screen has about this many columns; more would not be seen."""

BUCKETS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400, 604800)
"""Widths people read easily, in seconds."""


class Analysis(Protocol):
    """What a module of this folder offers."""

    QUESTION: str

    def run(self, case: Case, window: Window) -> pd.DataFrame:
        """Return the answer's table."""

    def headline(self, table: pd.DataFrame) -> str:
        """Return the answer's sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its answer."""

    name: str
    question: str
    headline: str
    table: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time an analysis looks at, cut into buckets: `[since, until)` in naive UTC."""

    since: datetime
    until: datetime
    bucket_s: int

    def query(self, case: Case, sql: str, **more: object) -> pd.DataFrame:
        """Run `sql` with those of `$since`, `$until`, `$bucket_s` and `more` that it names."""
        return case.query(sql, self._named(sql, more))

    def rows(self, case: Case, sql: str, **more: object) -> list[tuple[Any, ...]]:
        """As `query`, in tuples."""
        return case.rows(sql, self._named(sql, more))

    def _named(self, sql: str, more: dict[str, object]) -> dict[str, object]:
        offered = {"since": self.since, "until": self.until, "bucket_s": self.bucket_s} | more
        return {name: value for name, value in offered.items() if re.search(rf"\${name}\b", sql)}


def span(case: Case, window: Window, series: str = "") -> Span:
    """Return the part of the case's range that lies in the window, with a bucket that gives at most MAX_BUCKETS.

    `series` is SQL that counts the rows a bucket may have (services, states): buckets widen until all rows fit into
    MAX_ROWS, so that nothing is cut off.

    A case without any time gets one empty second at the epoch, so that every analysis returns its columns.
    """
    first, last = (case.rows("SELECT first_at, last_at FROM case_range") or [(None, None)])[0]
    since = window.since or first or datetime(1970, 1, 1)
    until = window.until or (last + timedelta(microseconds=1) if last else since + timedelta(seconds=1))
    if first is not None and window.since is not None and window.until is None and since >= until:
        until = since + timedelta(seconds=1)
    length_s = max((until - since).total_seconds(), 1)
    per_bucket = max(int(case.scalar(series) or 1), 1) if series else 1
    buckets = min(MAX_BUCKETS, max(MAX_ROWS // per_bucket - 2, 1))
    bucket_s = next((width for width in BUCKETS_S if length_s / width <= buckets), int(length_s / buckets) + 1)
    return Span(since, until, bucket_s)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all analyses."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")))


def load(name: str) -> Analysis:
    """Return the analysis of that name; UsageError when there is none."""
    if name not in names():
        raise UsageError(f"no question {name!r}", f"Ask one of: {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")


def ask(name: str, case: Case, window: Window | None = None) -> Answer:
    """Answer the question `name` on a case (hyphens and underscores alike)."""
    name = name.replace("-", "_")
    analysis = load(name)
    table = analysis.run(case, window or Window())
    return Answer(name, analysis.QUESTION, analysis.headline(table), table)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries; what is missing is None."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def greatest(table: pd.DataFrame, column: str) -> dict[str, Any]:
    """Return the first row with the greatest value in a column; missing values are the least."""
    return max(records(table), key=lambda row: (row[column] is not None, row[column] or 0))


def clock(moment: Any) -> str:
    """Return a time as it stands in sentences, `2026-11-21 03:12:20Z`, or that none is written."""
    return "a time that is not written" if moment is None or moment != moment else f"{moment:%Y-%m-%d %H:%M:%S}Z"  # noqa: PLR0124 - NaT is not equal to itself


def plural(count: float, noun: str, nouns: str = "") -> str:
    """Return `1 session`, `2,000 sessions`."""
    return f"{count:,.0f} {noun if count == 1 else nouns or noun + 's'}"
