-- One row is one service at one instant at which any of its pools was sampled: its pools added up, each as last sampled
-- within three of its usual intervals (instances are rarely sampled at the same instant). What no pool told stays NULL.
-- timeouts is the growth of the counters since the previous sample of each pool; a smaller value is a restart. Callers that
-- gave up by a log (pool_timeout, a pooler's query_wait_timeout) or by ProxySQL's counter are rows of their own, at the
-- second they are told, unless the pools of that layer (poolers', applications') count as many themselves.
-- Sources of one format that name no instance, or number it (a process id, which is 1 in every container), and tell of a
-- pool of the same name at the same time (a log of each process) tell of several.
WITH unnamed AS (
  SELECT service, pool, instance, format, source_id, min(sampled_at) AS first_at, max(sampled_at) AS last_at
  FROM pool_sample
  JOIN source USING (source_id)
  WHERE regexp_full_match(coalesce(instance, '0'), '[0-9]+')
  GROUP BY ALL
),
shared AS (
  SELECT DISTINCT one.source_id
  FROM unnamed AS one
  JOIN unnamed AS other
    ON other.service IS NOT DISTINCT FROM one.service
   AND other.pool IS NOT DISTINCT FROM one.pool
   AND other.instance IS NOT DISTINCT FROM one.instance
   AND other.format = one.format
   AND other.source_id <> one.source_id
   AND other.first_at < one.last_at
   AND one.first_at < other.last_at
),
-- HikariCP's log tells the limit where the pool starts, and in most versions not with the numbers.
configured AS (
  SELECT source_id, any_value(TRY_CAST(value AS DOUBLE)) AS max_size
  FROM setting
  WHERE name = 'maximumPoolSize'
  GROUP BY source_id
  HAVING count(DISTINCT value) = 1
),
-- PgBouncer's exporter tells the limit of each database's pools apart from the pools (database/user).
exported AS (
  SELECT labels['name'] AS database_name, labels['instance'] AS instance, max(value) AS max_size
  FROM metric_sample
  WHERE name = 'pgbouncer_databases_pool_size'
    AND value > 0
  GROUP BY ALL
),
numbers AS (
  SELECT
    pool_sample.* REPLACE (
      coalesce(pool_sample.max_size, configured.max_size, exported.max_size) AS max_size,
      CASE WHEN shared.source_id IS NOT NULL THEN 'source ' || shared.source_id ELSE pool_sample.instance END AS instance
    )
  FROM pool_sample
  LEFT JOIN shared USING (source_id)
  LEFT JOIN configured USING (source_id)
  LEFT JOIN exported
    ON is_pooler(pool_sample.service)
   AND exported.database_name = split_part(pool_sample.pool, '/', 1)
   AND exported.instance IS NOT DISTINCT FROM pool_sample.instance
),
stepped AS (
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
  FROM numbers
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
),
given_up AS (
  SELECT
    coalesce(application_name, engine, 'pool') AS service,
    date_trunc('second', event_at) AS sampled_at,
    count(*) AS timeouts,
    min(source_id) AS source_id,
    min(line_no) AS line_no,
    is_pooler(engine) AS is_pooler
  FROM event
  WHERE event_at IS NOT NULL
    AND (kind = 'pool_timeout' OR (kind = 'pooler_error' AND contains(reason, 'query_wait_timeout')))
  GROUP BY ALL
  UNION ALL
  SELECT 'proxysql', until_at, growth, source_id, line_no, true
  FROM counter_growth
  WHERE counter = 'proxysql_max_connect_timeouts'
    AND growth > 0
    AND NOT is_since_start
    AND NOT EXISTS (SELECT 1 FROM event WHERE kind = 'pool_timeout' AND engine = 'proxysql')
),
summed AS (
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
),
-- What a pool's own counter tells and what logs tell are the same callers: where both do, whoever tells of more counts.
layer AS (
  SELECT is_pooler, sum(logged) > sum(counted) AS is_logged
  FROM (
    SELECT is_pooler, sum(timeouts) AS logged, 0 AS counted FROM given_up GROUP BY is_pooler
    UNION ALL
    SELECT is_pooler(service), 0, coalesce(sum(timeouts), 0) FROM summed GROUP BY is_pooler(service)
  )
  GROUP BY is_pooler
)
SELECT summed.* REPLACE (CASE WHEN NOT layer.is_logged THEN timeouts END AS timeouts)
FROM summed
JOIN layer ON layer.is_pooler = is_pooler(summed.service)
UNION ALL BY NAME
SELECT service, sampled_at, 0 AS pools, timeouts, source_id, line_no
FROM given_up
JOIN layer USING (is_pooler)
WHERE layer.is_logged
