"""Did sessions sit in open transactions, doing nothing?

One row is one bucket of time and one server, from its snapshot with most of them: how many, their share of all sessions,
the age of the oldest transaction among them, and whose it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, server, sessions, share (0 to 1), oldest_s, client."""
    return span(case, window, "SELECT count(DISTINCT server) FROM snapshot").query(
        case,
        """
        WITH counted AS (
          SELECT
            sampled_at,
            server,
            coalesce(sum(sessions) FILTER (WHERE state LIKE 'idle in transaction%'), 0) AS sessions,
            sum(sessions) AS in_use,
            max(longest_in_transaction_s) FILTER (WHERE state LIKE 'idle in transaction%') AS oldest_s,
            arg_max(client, longest_in_transaction_s) FILTER (WHERE state LIKE 'idle in transaction%') AS client
          FROM backend_count
          WHERE sampled_at >= $since
            AND sampled_at < $until
          GROUP BY ALL
        )
        SELECT
          time_bucket(to_seconds($bucket_s), sampled_at) AS bucket_at,
          server,
          max(sessions)::BIGINT AS sessions,
          max(sessions / in_use) AS share,
          max(oldest_s) AS oldest_s,
          arg_max(client, oldest_s) AS client
        FROM counted
        GROUP BY ALL
        ORDER BY bucket_at, server
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say the highest share, when, and the oldest transaction."""
    if table.empty:
        return "Idle transactions cannot be told: no snapshot is in evidence."
    peak = greatest(table, "sessions")
    if not peak["sessions"]:
        return "No snapshot shows a session idle in transaction."
    sentence = f"At most {peak['sessions']} sessions idle in transaction ({peak['share']:.0%} of all) at {clock(peak['bucket_at'])}"
    if table["oldest_s"].notna().any():
        oldest = greatest(table, "oldest_s")
        sentence += f"; the oldest had been open for {oldest['oldest_s']:,.0f} s at {clock(oldest['bucket_at'])} ({oldest['client']})"
    return f"{sentence}."
