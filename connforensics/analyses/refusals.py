"""Who was refused, how often, and why?

One row is one kind of refusal, its reason and one client. A refusal written in several places is counted once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return kind, reason, client, refusals, first_at, last_at, seen_in, citation (of the first)."""
    return span(case, window).query(
        case,
        """
        SELECT
          kind, reason, client,
          count(*) AS refusals,
          min(refused_at) AS first_at,
          max(refused_at) AS last_at,
          seen_in,
          arg_min(cited(path, line_no), refused_at) AS citation
        FROM refusal
        JOIN place USING (source_id)
        WHERE refused_at IS NULL
           OR (refused_at >= $since AND refused_at < $until)
        GROUP BY ALL
        ORDER BY refusals DESC, kind, client
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say how many, of which kinds, and when the first and last were."""
    if table.empty:
        return "No refusal for want of a slot is in evidence."
    total = int(table["refusals"].sum())
    kinds: dict[str, int] = {}
    for kind, count in zip(table["kind"], table["refusals"], strict=True):
        kinds[kind] = kinds.get(kind, 0) + int(count)
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))
    sentence = f"{plural(total, 'refusal')} ({told})"
    if table["first_at"].notna().any():
        sentence += f" between {clock(table['first_at'].min())} and {clock(table['last_at'].max())}"
    top = table.iloc[0]
    return f"{sentence}; most often {top['client']} ({int(top['refusals']):,})."
