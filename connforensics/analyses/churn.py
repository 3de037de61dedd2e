"""How fast were sessions opened, and were there more workers to open them?

One row is one bucket of time. Openings come from the log (admitted sessions, refused attempts apart), or, where no log
tells, from backend_start in the snapshots: then sessions that lived between two snapshots are missing. Without either,
a counter of connections tells how many were opened between two looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return bucket_at, opened, opened_per_s, refused, baseline_per_s (mean of the calmer nine tenths of the buckets), workers, basis."""
    return span(case, window).query(
        case,
        """
        WITH from_log AS (
          SELECT opened_at, 'log' AS basis
          FROM session
          WHERE outcome = 'admitted'
            AND opened_basis = 'log'
            AND authorized_at IS NOT NULL
        ),
        from_snapshots AS (
          SELECT DISTINCT backend_start_at AS opened_at, 'snapshots' AS basis, server, backend_id
          FROM client_backend
          WHERE backend_start_at IS NOT NULL
            AND NOT EXISTS (FROM from_log)
        ),
        refused_meanwhile AS (
          SELECT server, since_at, until_at, sum(refusals) AS refusals
          FROM counted_refusal
          WHERE refuser = 'server'
          GROUP BY ALL
        ),
        from_counter AS (
          SELECT since_at + (until_at - since_at) / 2 AS opened_at, 'counter' AS basis,
                 greatest(sum(growth) - coalesce(any_value(refusals), 0), 0) AS opened
          FROM counter_growth
          LEFT JOIN refused_meanwhile USING (server, since_at, until_at)
          WHERE counter IN ('mysql_global_status_connections', 'pg_stat_database_sessions')
            AND NOT is_since_start
            AND NOT EXISTS (FROM from_log)
            AND NOT EXISTS (FROM from_snapshots)
          GROUP BY server, since_at, until_at
        ),
        opening AS (
          SELECT opened_at, basis, 1 AS opened FROM from_log
          UNION ALL
          SELECT opened_at, basis, 1 FROM from_snapshots
          UNION ALL
          SELECT opened_at, basis, opened FROM from_counter
        ),
        bucket AS (
          SELECT unnest(
            generate_series(
              time_bucket(to_seconds($bucket_s), $since::TIMESTAMP),
              $until::TIMESTAMP - INTERVAL 1 MICROSECOND,
              to_seconds($bucket_s)
            )
          ) AS bucket_at
        ),
        opened AS (
          SELECT time_bucket(to_seconds($bucket_s), opened_at) AS bucket_at, sum(opened)::BIGINT AS opened, any_value(basis) AS basis
          FROM opening
          WHERE opened_at >= $since
            AND opened_at < $until
          GROUP BY ALL
        ),
        refused AS (
          SELECT time_bucket(to_seconds($bucket_s), refused_at) AS bucket_at, sum(refusals)::BIGINT AS refused
          FROM (
            SELECT refused_at, 1 AS refusals FROM refusal
            UNION ALL
            SELECT fullest_at, unlogged FROM counted_refusal WHERE since_at >= $since AND until_at < $until
          )
          WHERE refused_at >= $since
            AND refused_at < $until
          GROUP BY ALL
        ),
        service_workers AS (
          SELECT time_bucket(to_seconds($bucket_s), sampled_at) AS bucket_at, service, max(workers) AS workers
          FROM worker_count
          GROUP BY ALL
        ),
        filled AS (
          SELECT
            bucket.bucket_at,
            services.service,
            last_value(service_workers.workers IGNORE NULLS) OVER (
              PARTITION BY services.service
              ORDER BY bucket.bucket_at
            ) AS workers
          FROM bucket
          CROSS JOIN (SELECT DISTINCT service FROM worker_count) AS services
          LEFT JOIN service_workers USING (bucket_at, service)
        ),
        workers AS (
          SELECT bucket_at, sum(workers) AS workers
          FROM filled
          GROUP BY ALL
        ),
        basis AS (
          SELECT any_value(basis) AS basis FROM opening
        ),
        ranked AS (
          SELECT coalesce(opened, 0) AS opened, percent_rank() OVER (ORDER BY coalesce(opened, 0)) AS place
          FROM bucket
          LEFT JOIN opened USING (bucket_at)
        ),
        baseline AS (
          SELECT avg(opened) / $bucket_s AS per_s
          FROM ranked
          WHERE place <= 0.9
        )
        SELECT
          bucket.bucket_at,
          CASE WHEN basis.basis IS NOT NULL THEN coalesce(opened, 0) END AS opened,
          CASE WHEN basis.basis IS NOT NULL THEN coalesce(opened, 0) / $bucket_s END AS opened_per_s,
          coalesce(refused, 0) AS refused,
          CASE WHEN basis.basis IS NOT NULL THEN baseline.per_s END AS baseline_per_s,
          workers,
          basis.basis
        FROM bucket
        CROSS JOIN basis
        CROSS JOIN baseline
        LEFT JOIN opened USING (bucket_at)
        LEFT JOIN refused USING (bucket_at)
        LEFT JOIN workers USING (bucket_at)
        WHERE EXISTS (FROM opening)
           OR EXISTS (FROM worker_count)
           OR EXISTS (FROM refusal)
        ORDER BY bucket_at
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say the peak rate against the baseline, and what the workers did."""
    if table.empty or table["opened"].isna().all():
        return "How fast sessions were opened cannot be told: no log of connections, no backend_start and no counter of connections in evidence."
    peak = greatest(table, "opened_per_s")
    sentence = (
        f"{plural(table['opened'].sum(), 'session')} opened; at most {peak['opened_per_s']:.2f} a second at "
        f"{clock(peak['bucket_at'])}, against {peak['baseline_per_s']:.2f} in the calmer nine tenths of the time ({peak['basis']})"
    )
    workers = table["workers"].dropna()
    if workers.empty:
        return f"{sentence}; worker counts are not in evidence."
    low, high = workers.min(), workers.max()
    told = f"constant at {high:,.0f}" if low == high else f"between {low:,.0f} and {high:,.0f}"
    return f"{sentence}; workers {told}."
