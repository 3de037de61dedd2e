-- One row is one interval in which a kind of evidence was watching before and after, or elsewhere in the case, but not
-- then. A silence is a gap when it is longer than three times the usual interval, or when an exporter says that it could
-- not reach its server (pg_up, mysql_up and their like are 0); with refusals in it, logged or counted, it is saturation.
WITH watch AS (
  SELECT 'snapshots' AS evidence, server, sampled_at AS seen_at FROM snapshot
  UNION
  SELECT 'pools', '', sampled_at FROM pool_pressure
  UNION
  SELECT 'workers', '', sampled_at FROM worker_count
  UNION
  SELECT 'metrics', server, known_at FROM occupancy WHERE basis = 'metric'
),
up AS (
  SELECT
    coalesce(metric_sample.server, sole_server.server, '') AS server,
    name,
    labels::VARCHAR AS series,
    sampled_at,
    value,
    lag(sampled_at) OVER history AS before_at,
    lead(sampled_at) OVER history AS next_at,
    sum((value > 0)::INTEGER) OVER history AS ups
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE name IN ('pg_up', 'mysql_up', 'pgbouncer_up', 'proxysql_up')
    AND sampled_at IS NOT NULL
  WINDOW history AS (PARTITION BY metric_sample.server, name, labels::VARCHAR ORDER BY sampled_at)
),
stepped AS (
  SELECT
    evidence,
    server,
    seen_at,
    lead(seen_at) OVER series AS next_at
  FROM watch
  WINDOW series AS (PARTITION BY evidence, server ORDER BY seen_at)
),
usual AS (
  SELECT evidence, server, median(epoch(next_at - seen_at)) AS interval_s, min(seen_at) AS first_at, max(seen_at) AS last_at
  FROM stepped
  GROUP BY ALL
),
log_range AS (
  SELECT 'log' AS evidence, server, first_at, last_at
  FROM log_source
  WHERE is_server(engine)
    AND (refusals <> 'none' OR openings <> 'none')
    AND first_at IS NOT NULL
),
log_reach AS (
  SELECT *, max(last_at) OVER (PARTITION BY server ORDER BY first_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_until
  FROM log_range
),
gap AS (
  SELECT stepped.evidence, stepped.server, seen_at AS since_at, next_at AS until_at
  FROM stepped
  JOIN usual USING (evidence, server)
  WHERE next_at IS NOT NULL
    AND epoch(next_at - seen_at) > greatest(3 * interval_s, 2)
  UNION ALL
  SELECT evidence, server, covered_until, first_at FROM log_reach WHERE first_at > covered_until + INTERVAL 5 MINUTE
  UNION ALL
  SELECT evidence, server, case_range.first_at, usual.first_at
  FROM usual, case_range
  WHERE epoch(usual.first_at - case_range.first_at) > greatest(3 * coalesce(interval_s, 0), 2)
  UNION ALL
  SELECT evidence, server, usual.last_at, case_range.last_at
  FROM usual, case_range
  WHERE epoch(case_range.last_at - usual.last_at) > greatest(3 * coalesce(interval_s, 0), 2)
  UNION ALL
  SELECT 'log', server, case_range.first_at, min(log_range.first_at)
  FROM log_range, case_range
  GROUP BY server, case_range.first_at
  HAVING epoch(min(log_range.first_at) - case_range.first_at) > 60
  UNION ALL
  SELECT 'log', server, max(log_range.last_at), case_range.last_at
  FROM log_range, case_range
  GROUP BY server, case_range.last_at
  HAVING epoch(case_range.last_at - max(log_range.last_at)) > 60
  UNION ALL
  SELECT 'metrics', server, min(coalesce(before_at, sampled_at)), max(coalesce(next_at, sampled_at))
  FROM up
  WHERE value = 0
    AND NOT EXISTS (SELECT 1 FROM occupancy WHERE basis = 'metric' AND occupancy.server = up.server)
  GROUP BY server, name, series, ups
),
refused AS (
  SELECT refused_at, refused_at AS until_at, 1 AS refusals
  FROM refusal
  WHERE refuser = 'server'
    AND refused_at IS NOT NULL
  UNION ALL
  SELECT since_at, until_at, refusals
  FROM counted_refusal
  WHERE refuser = 'server'
    AND NOT is_since_start
    AND NOT EXISTS (SELECT 1 FROM refusal WHERE refusal.refused_at BETWEEN counted_refusal.since_at AND counted_refusal.until_at)
)
SELECT
  evidence,
  gap.server,
  gap.since_at,
  gap.until_at,
  epoch(gap.until_at - gap.since_at) AS seconds,
  CASE WHEN count(refused.refused_at) > 0 THEN 'saturated' ELSE 'not watched' END AS meaning,
  coalesce(sum(refused.refusals), 0)::BIGINT AS refusals
FROM gap
LEFT JOIN refused
  ON refused.until_at >= gap.since_at
 AND refused.refused_at < gap.until_at
GROUP BY ALL
