"""Does a client open sessions and never give them back?

One row is one client. A leak rises while what the client really uses does not, its sessions rest idle with growing age,
its pool says they are lent out, more workers do not explain it, and a restart resets it only for it to rise again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import plural, records, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]

LEAKED_SESSIONS = 5
"""Fewer abandoned sessions than this are a pool at rest (judgement)."""

LEAKED_SHARE = 0.4
"""A leaking client's peak consists of abandoned sessions to at least this share (judgement)."""


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return client, server, basis, ramps, sessions_first, sessions_last, growth_per_min, r2, abandoned, idle_share,
    oldest_idle_s, opened_meanwhile, lent_but_idle, workers_first, workers_last, resets, onset_at, is_leaking: one row a
    client with at least three sessions at its peak. Growth is that of the steepest ramp.
    """
    return span(case, window).query(
        case,
        """
        WITH steepest AS (
          SELECT *
          FROM ramp
          WHERE peak_at >= $since
            AND since_at < $until
          QUALIFY row_number() OVER (PARTITION BY server, client ORDER BY sessions_peak - sessions_least DESC) = 1
        ),
        abandoned AS (
          SELECT server, client, count(*) AS abandoned, min(abandoned_at) AS onset_at, min(stale_after_s) AS stale_after_s
          FROM abandoned_session
          WHERE last_seen_at >= $since
            AND abandoned_at < $until
          GROUP BY ALL
        ),
        opened AS (
          SELECT abandoned.server, abandoned.client,
                 count(DISTINCT (client_backend.backend_id, client_backend.backend_start_at)) AS opened_meanwhile
          FROM abandoned
          JOIN client_backend
            ON client_backend.server = abandoned.server
           AND client_backend.client = abandoned.client
           AND client_backend.backend_start_at > abandoned.onset_at + to_microseconds(CAST(abandoned.stale_after_s * 1e6 AS BIGINT))
          GROUP BY ALL
        ),
        ramps AS (
          SELECT server, client, count(*) FILTER (WHERE sessions_peak - sessions_least >= 5) AS ramps
          FROM ramp
          GROUP BY ALL
        ),
        resets AS (
          SELECT server, client, count(*) AS resets FROM mass_end GROUP BY ALL
        ),
        lent AS (
          SELECT client, max(lent_but_idle) AS lent_but_idle
          FROM lent_but_idle
          JOIN service_client USING (service)
          GROUP BY ALL
        ),
        -- A count stands for the time until the next one: what is told each minute says nothing of a ramp within it.
        worker_grain AS (
          SELECT service, median(step_s) AS grain_s
          FROM (
            SELECT service, epoch(sampled_at - lag(sampled_at) OVER (PARTITION BY service ORDER BY sampled_at)) AS step_s
            FROM worker_count
          )
          GROUP BY ALL
        ),
        workers AS (
          SELECT steepest.server, steepest.client,
                 coalesce(
                   arg_max(workers, sampled_at) FILTER (WHERE sampled_at <= since_at - to_microseconds(CAST(grain_s * 1e6 AS BIGINT))),
                   arg_min(workers, sampled_at) FILTER (WHERE sampled_at BETWEEN since_at AND peak_at AND 3 * grain_s <= epoch(peak_at - since_at))
                 ) AS workers_first,
                 arg_max(workers, sampled_at) AS workers_last
          FROM steepest
          JOIN service_client USING (client)
          JOIN worker_count USING (service)
          JOIN worker_grain USING (service)
          WHERE sampled_at <= peak_at
          GROUP BY ALL
        )
        SELECT
          steepest.client,
          steepest.server,
          steepest.basis,
          ramps.ramps,
          sessions_least AS sessions_first,
          sessions_peak AS sessions_last,
          slope_per_min AS growth_per_min,
          r2,
          coalesce(abandoned, 0) AS abandoned,
          idle_at_peak / nullif(sessions_peak, 0) AS idle_share,
          oldest_rest_s AS oldest_idle_s,
          coalesce(opened_meanwhile, 0) AS opened_meanwhile,
          lent_but_idle,
          workers_first,
          workers_last,
          coalesce(resets, 0) AS resets,
          onset_at,
          steepest.basis = 'snapshots'
            AND coalesce(stale_at_peak, 0) >= $leaked_sessions
            AND stale_at_peak >= $leaked_share * sessions_peak
            AND coalesce(opened_meanwhile, 0) >= $leaked_sessions AS is_leaking
        FROM steepest
        LEFT JOIN abandoned USING (server, client)
        LEFT JOIN opened USING (server, client)
        LEFT JOIN ramps USING (server, client)
        LEFT JOIN resets USING (server, client)
        LEFT JOIN lent ON lent.client = steepest.client
        LEFT JOIN workers ON workers.server = steepest.server AND workers.client = steepest.client
        WHERE sessions_peak >= 3
        ORDER BY is_leaking DESC, sessions_peak - sessions_least DESC, steepest.client
        LIMIT 2000
        """,
        leaked_sessions=LEAKED_SESSIONS,
        leaked_share=LEAKED_SHARE,
    )


def headline(table: pd.DataFrame) -> str:
    """Name the leaking client with its proof, or say that none is, or what is missing."""
    if table.empty:
        return "A leak cannot be told: no client with at least three sessions is in evidence."
    leaking = table[table["is_leaking"]]
    if leaking.empty:
        if (table["basis"] == "log").all():
            return "No snapshots: whether sessions lie idle cannot be told; the log only shows how their number grew."
        return "No client shows the signature of a leak."
    top = records(leaking)[0]
    sentence = (
        f"{top['client']}: {plural(top['abandoned'], 'session')} abandoned (the oldest idle for {top['oldest_idle_s']:,.0f} s) "
        f"while it opened {top['opened_meanwhile']:,.0f} new ones, {top['growth_per_min']:.1f} a minute"
    )
    if top["lent_but_idle"] is not None:
        sentence += f"; its pool counts {top['lent_but_idle']:,.0f} as lent out that the server sees idle"
    if top["resets"]:
        sentence += f"; {plural(top['resets'], 'restart')} reset it"
    return f"{sentence}."
