"""Who held the slots?

One row is one bucket of time and one client: the eight clients with most sessions at the fullest, the rest together as
'others'. A client is named by its application_name where that says something, else by its user, else by its address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, client, sessions, share (0 to 1): from snapshots, else from sessions rebuilt from the log."""
    return span(case, window, "SELECT 9").query(
        case,
        """
        WITH snapshot_count AS (
          SELECT sampled_at AS known_at, client, sum(sessions) AS sessions
          FROM backend_count
          WHERE sampled_at >= $since
            AND sampled_at < $until
          GROUP BY ALL
        ),
        instant AS (
          SELECT unnest(generate_series($since::TIMESTAMP, $until::TIMESTAMP, to_seconds($bucket_s))) AS known_at
          WHERE NOT EXISTS (FROM snapshot_count)
            AND EXISTS (FROM log_knows_ends WHERE has_openings AND has_ends)
        ),
        log_step AS (
          SELECT client, opened_at AS changed_at, 1 AS step FROM session WHERE opened_at IS NOT NULL AND NOT is_replication
          UNION ALL
          SELECT client, ended_at, -1 FROM session WHERE opened_at IS NOT NULL AND ended_at IS NOT NULL AND NOT is_replication
        ),
        log_running AS (
          SELECT client, changed_at, sum(step) OVER (PARTITION BY client ORDER BY changed_at, step) AS sessions
          FROM log_step
        ),
        log_clients AS (
          SELECT known_at, client FROM instant CROSS JOIN (SELECT DISTINCT client FROM log_running)
        ),
        log_count AS (
          SELECT log_clients.known_at, log_clients.client, log_running.sessions
          FROM log_clients
          ASOF JOIN log_running
            ON log_clients.client = log_running.client
           AND log_clients.known_at >= log_running.changed_at
        ),
        counted AS (
          FROM snapshot_count
          UNION ALL BY NAME
          FROM log_count
        ),
        ranked AS (
          SELECT client, row_number() OVER (ORDER BY max(sessions) DESC, client) AS place
          FROM counted
          GROUP BY client
        ),
        instant_count AS (
          SELECT known_at, CASE WHEN place <= 8 THEN client ELSE 'others' END AS client, sum(sessions) AS sessions
          FROM counted
          JOIN ranked USING (client)
          GROUP BY ALL
        ),
        total AS (
          SELECT known_at, sum(sessions) AS in_use FROM instant_count GROUP BY ALL
        ),
        fullest AS (
          SELECT time_bucket(to_seconds($bucket_s), known_at) AS bucket_at, arg_max(known_at, in_use) AS known_at
          FROM total
          GROUP BY ALL
        )
        SELECT bucket_at, client, sessions::BIGINT AS sessions, sessions / nullif(in_use, 0) AS share
        FROM fullest
        JOIN instant_count USING (known_at)
        JOIN total USING (known_at)
        WHERE sessions > 0
        ORDER BY bucket_at, client
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Name the client with most sessions and its share."""
    if table.empty:
        return "Who held the slots cannot be told: neither snapshots nor a log of sessions is in evidence."
    named = table[table["client"] != "others"]
    top = greatest(named if len(named) else table, "sessions")
    return f"Most slots: {top['client']} with {top['sessions']} sessions ({top['share']:.0%} of all) at {clock(top['bucket_at'])}."
