"""When were clients refused?

One row is one bucket of time and one kind of refusal. Refusals that only a counter knows of stand at the fullest instant
between the two looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, kind, refusals."""
    return span(
        case,
        window,
        "SELECT count(DISTINCT kind) FROM (SELECT kind FROM refusal UNION SELECT kind FROM counted_refusal)",
    ).query(
        case,
        """
        WITH known AS (
          SELECT refused_at, kind, 1 AS refusals
          FROM refusal
          UNION ALL
          SELECT fullest_at, kind, unlogged
          FROM counted_refusal
          WHERE unlogged > 0
            AND since_at >= $since
            AND until_at < $until
        )
        SELECT time_bucket(to_seconds($bucket_s), refused_at) AS bucket_at, kind, sum(refusals)::BIGINT AS refusals
        FROM known
        WHERE refused_at >= $since
          AND refused_at < $until
        GROUP BY ALL
        ORDER BY bucket_at, kind
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say when most were refused."""
    if table.empty:
        return "No refusal for want of a slot is in evidence."
    worst = greatest(table, "refusals")
    return f"Refusals were densest around {clock(worst['bucket_at'])}: {plural(worst['refusals'], worst['kind'], worst['kind'])}."
