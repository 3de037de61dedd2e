"""Did callers wait for their own pools?

One row is one bucket of time and one service, its pools added up; waiting and timeouts are the worst in the bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, service, size, checked_out, idle, max_size, waiting, timeouts, acquire_ms."""
    return span(case, window, "SELECT count(DISTINCT service) FROM pool_pressure").query(
        case,
        """
        SELECT
          time_bucket(to_seconds($bucket_s), sampled_at) AS bucket_at,
          service,
          max(size) AS size,
          max(checked_out) AS checked_out,
          min(idle) AS idle,
          max(max_size) AS max_size,
          max(waiting) AS waiting,
          sum(timeouts) AS timeouts,
          max(acquire_ms) AS acquire_ms
        FROM pool_pressure
        WHERE sampled_at >= $since
          AND sampled_at < $until
        GROUP BY ALL
        ORDER BY bucket_at, service
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say who waited most and how many gave up."""
    if table.empty:
        return "Whether callers waited for their pools cannot be told: no pool numbers are in evidence."
    timeouts = table["timeouts"].sum()
    waiting = table["waiting"].dropna()
    if waiting.empty and not timeouts:
        fullest = greatest(table, "checked_out")
        return (
            f"The pools do not tell who waited; the fullest was {fullest['service']} with "
            f"{fullest['checked_out']:,.0f} checked out at {clock(fullest['bucket_at'])}."
        )
    if not waiting.empty and waiting.max() > 0:
        worst = greatest(table, "waiting")
        sentence = (
            f"At most {plural(worst['waiting'], 'caller')} waited for {worst['service']} at {clock(worst['bucket_at'])}"
        )
    else:
        sentence = "Nobody was seen waiting"
    return f"{sentence}; {plural(timeouts, 'caller')} gave up."
