-- One row is one stretch of saturation of one server: no headroom for ordinary roles, or refusals for want of a slot,
-- logged or counted. Signs less than a minute apart belong to one stretch.
WITH sign AS (
  SELECT server, known_at AS seen_at, 0 AS refusals, in_use, source_id, line_no
  FROM headroom
  WHERE headroom <= 0
    AND limit_basis NOT LIKE 'inferred%'
  UNION ALL
  SELECT server, refused_at, 1, NULL, source_id, line_no
  FROM refusal
  WHERE refuser = 'server'
    AND kind IN ('refused_full', 'refused_reserved')
    AND refused_at IS NOT NULL
  UNION ALL
  SELECT server, fullest_at, 0, NULL, source_id, line_no
  FROM counted_refusal
  WHERE refuser = 'server'
    AND kind = 'refused_full'
    AND NOT is_since_start
),
marked AS (
  SELECT
    *,
    (
      coalesce(seen_at - lag(seen_at) OVER (PARTITION BY server ORDER BY seen_at, source_id, line_no) > INTERVAL 60 SECOND, true)
    )::INTEGER AS begins
  FROM sign
  WHERE seen_at IS NOT NULL
),
numbered AS (
  SELECT *, sum(begins) OVER (PARTITION BY server ORDER BY seen_at, source_id, line_no ROWS UNBOUNDED PRECEDING) AS stretch
  FROM marked
)
SELECT
  server,
  min(seen_at) AS since_at,
  max(seen_at) AS until_at,
  sum(refusals)::BIGINT AS refusals,
  max(in_use) AS peak_in_use,
  arg_min(source_id, (seen_at, line_no)) AS source_id,
  arg_min(line_no, (seen_at, line_no)) AS line_no
FROM numbered
GROUP BY server, stretch
