"""How full was it, against the limit that this version really applies?

One row is one bucket of time and one server, at its fullest instant. `usable` is what ordinary users get: in PostgreSQL
max_connections less superuser_reserved_connections less reserved_connections (16 and newer), in MySQL max_connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, server, in_use, usable, max_backends, reserved, saturation (0 to 1), basis, limit_basis, citation.

    Snapshots win over the log where both know the bucket: a log cannot see sessions older than itself.
    """
    return span(case, window, "SELECT count(DISTINCT server) FROM occupancy").query(
        case,
        """
        WITH fullest AS (
          SELECT
            time_bucket(to_seconds($bucket_s), known_at) AS bucket_at,
            server,
            basis,
            max(in_use) AS in_use,
            any_value(usable_backends) AS usable,
            any_value(max_backends) AS max_backends,
            any_value(reserved_backends) AS reserved,
            any_value(limit_basis) AS limit_basis,
            last_of(source_id, in_use, source_id, line_no) AS source_id,
            last_of(line_no, in_use, source_id, line_no) AS line_no
          FROM headroom
          WHERE known_at IS NULL
             OR (known_at >= $since AND known_at < $until)
          GROUP BY ALL
        )
        SELECT
          bucket_at, server, in_use, usable, max_backends, reserved,
          in_use / nullif(usable, 0) AS saturation,
          basis, limit_basis,
          cited(path, line_no) AS citation
        FROM fullest
        JOIN place USING (source_id)
        QUALIFY row_number() OVER (
          PARTITION BY bucket_at, fullest.server
          ORDER BY (basis = 'snapshot') DESC
        ) = 1
        ORDER BY bucket_at, fullest.server
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say the peak, against which limit, when, and how long it was full."""
    if table.empty:
        return (
            "How full the server was cannot be told: no snapshot, and no log that writes openings and ends of sessions."
        )
    peak = greatest(table, "in_use")
    sentence = f"At most {plural(peak['in_use'], 'session')} at {clock(peak['bucket_at'])} ({peak['basis']})"
    if peak["limit_basis"] == "unknown":
        return f"{sentence}; the limit is not in evidence, so headroom cannot be told."
    sentence += f", of {peak['usable']:,.0f} that ordinary users can get ({peak['saturation']:.0%}; limit: {peak['limit_basis']})"
    return f"{sentence}."
