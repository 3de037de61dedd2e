"""How many sessions really were open, by the log and by the snapshots?

One row is one bucket of time and one server: the most sessions open at once by either, and the difference. A log does
not know sessions older than itself; a snapshot does not know what opened and closed between two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, server, from_log, from_snapshots, difference (log less snapshots; NULL where one is missing)."""
    return span(case, window, "SELECT count(DISTINCT server) FROM occupancy").query(
        case,
        """
        WITH fullest AS (
          SELECT
            time_bucket(to_seconds($bucket_s), known_at) AS bucket_at,
            server,
            max(in_use) FILTER (WHERE basis = 'log') AS from_log,
            max(in_use) FILTER (WHERE basis = 'snapshot') AS from_snapshots
          FROM occupancy
          WHERE known_at IS NULL
             OR (known_at >= $since AND known_at < $until)
          GROUP BY ALL
        )
        SELECT bucket_at, server, from_log, from_snapshots, from_log - from_snapshots AS difference
        FROM fullest
        ORDER BY bucket_at, server
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say both peaks and how far they lie apart."""
    if table.empty:
        return "How many sessions were open cannot be told from this evidence."
    parts = []
    for column, name in (("from_log", "the log"), ("from_snapshots", "the snapshots")):
        known = table[table[column].notna()]
        if known.empty:
            parts.append(f"{name} cannot tell")
        else:
            peak = greatest(known, column)
            parts.append(f"{name}: at most {plural(peak[column], 'session')} at {clock(peak['bucket_at'])}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."
