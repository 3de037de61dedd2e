-- One row is one service at one instant at which any of its pools was sampled: its pools added up, each as last sampled
-- within three of its usual intervals (instances are rarely sampled at the same instant). What no pool told stays NULL.
-- timeouts is the growth of the counters since the previous sample of each pool; a smaller value is a restart.
WITH stepped AS (
  SELECT
    coalesce(service, pool, 'pool') AS service,
    coalesce(instance, '') AS instance,
    coalesce(pool, '') AS pool,
    sampled_at,
    max_size,
    coalesce(size, checked_out + idle) AS size,
    coalesce(checked_out, size - idle) AS checked_out,
    coalesce(idle, size - checked_out) AS idle,
    waiting,
    acquire_ms,
    timeouts AS timeouts_total,
    lag(timeouts) OVER history AS timeouts_before,
    epoch(sampled_at - lag(sampled_at) OVER history) AS interval_s,
    source_id,
    line_no
  FROM pool_sample
  WHERE sampled_at IS NOT NULL
  WINDOW history AS (PARTITION BY service, instance, pool ORDER BY sampled_at, line_no)
),
pool_of AS (
  SELECT service, instance, pool, coalesce(median(interval_s), 0) AS interval_s
  FROM stepped
  GROUP BY ALL
),
instant AS (
  SELECT DISTINCT service, sampled_at FROM stepped
),
seen AS (
  SELECT instant.service, instant.sampled_at, pool_of.instance, pool_of.pool, pool_of.interval_s
  FROM instant
  JOIN pool_of USING (service)
),
current AS (
  SELECT seen.service, seen.sampled_at, stepped.* EXCLUDE (service, sampled_at, interval_s), stepped.sampled_at AS told_at
  FROM seen
  ASOF JOIN stepped
    ON stepped.service = seen.service
   AND stepped.instance = seen.instance
   AND stepped.pool = seen.pool
   AND seen.sampled_at >= stepped.sampled_at
  WHERE epoch(seen.sampled_at - stepped.sampled_at) <= 3 * seen.interval_s
)
SELECT
  service,
  sampled_at,
  count(*) AS pools,
  sum(max_size) AS max_size,
  sum(size) AS size,
  sum(checked_out) AS checked_out,
  sum(idle) AS idle,
  sum(waiting) AS waiting,
  max(acquire_ms) AS acquire_ms,
  sum(
    CASE
      WHEN told_at < sampled_at OR timeouts_total IS NULL OR timeouts_before IS NULL THEN NULL
      WHEN timeouts_total >= timeouts_before THEN timeouts_total - timeouts_before
      ELSE timeouts_total
    END
  ) AS timeouts,
  arg_min(source_id, (source_id, line_no)) FILTER (WHERE told_at = sampled_at) AS source_id,
  arg_min(line_no, (source_id, line_no)) FILTER (WHERE told_at = sampled_at) AS line_no
FROM current
GROUP BY service, sampled_at
