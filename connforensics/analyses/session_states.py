"""What were the sessions doing?

One row is one bucket of time, one server and one state, from the snapshot in the bucket that shows most sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, server, state, sessions."""
    return span(case, window, "SELECT count(DISTINCT (server, state)) FROM backend_count").query(
        case,
        """
        WITH shown AS (
          SELECT
            time_bucket(to_seconds($bucket_s), sampled_at) AS bucket_at,
            server,
            arg_max(sampled_at, in_use) AS sampled_at
          FROM snapshot
          WHERE sampled_at >= $since
            AND sampled_at < $until
          GROUP BY ALL
        )
        SELECT bucket_at, shown.server, state, sum(sessions)::BIGINT AS sessions
        FROM shown
        JOIN backend_count USING (server, sampled_at)
        GROUP BY ALL
        ORDER BY bucket_at, shown.server, state
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say which states the fullest snapshot shows."""
    if table.empty:
        return "What the sessions were doing cannot be told: no snapshot of them is in evidence."
    totals = dict.fromkeys(table["bucket_at"], 0)
    for moment, count in zip(table["bucket_at"], table["sessions"], strict=True):
        totals[moment] += count
    fullest = max(totals, key=totals.__getitem__)
    there = table[table["bucket_at"] == fullest].sort_values("sessions", ascending=False)
    states = ", ".join(f"{count} {state}" for state, count in zip(there["state"], there["sessions"], strict=True))
    return f"At the fullest, {clock(fullest)}: {totals[fullest]} sessions, of which {states}."
