"""Who was refused, how often, and why?

One row is one kind of refusal, its reason and one client. A refusal written in several places is counted once. What
counters of the server know beyond its logs is a row of its own: counted, not logged, between two looks at the counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connforensics.analyses import clock, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]

COUNTED: Final = "counted, not logged"
"""The reason of refusals that no log tells of."""


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
        UNION ALL
        SELECT
          kind,
          $counted AS reason,
          coalesce(whose, 'not told (counted, not logged)') AS client,
          sum(unlogged)::BIGINT,
          min(since_at),
          max(until_at),
          counter || ' (' || refuser || ')',
          arg_min(cited(path, line_no), until_at)
        FROM counted_refusal
        JOIN place USING (source_id)
        WHERE unlogged > 0
          AND since_at >= $since
          AND until_at < $until
        GROUP BY ALL
        ORDER BY refusals DESC, kind, client
        LIMIT 2000
        """,
        counted=COUNTED,
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
    counted = int(table.loc[table["reason"] == COUNTED, "refusals"].sum())
    if counted:
        sentence += f"; {counted:,} of them counted, not logged"
    named = table[(table["reason"] != COUNTED) | ~table["client"].str.startswith("not told")]
    if named.empty:
        return f"{sentence}."
    top = named.iloc[0]
    return f"{sentence}; most often {top['client']} ({int(top['refusals']):,})."
