-- One row is how much one counter of a server or a pooler grew between two samples of it. A smaller value than before is
-- a restart: it counted from zero. The first sample of a series counts from the server's start, where the server told how
-- long it was up (is_since_start).
WITH counter AS (
  SELECT
    coalesce(metric_sample.server, sole_server.server, '') AS server,
    regexp_replace(name, '_total$', '') || coalesce('.' || labels['error'], '') AS counter,
    labels::VARCHAR AS series,
    sampled_at,
    value,
    source_id,
    line_no
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE sampled_at IS NOT NULL
    AND value IS NOT NULL
    AND regexp_replace(name, '_total$', '') IN (
      'mysql_global_status_connection_errors', 'mysql_global_status_aborted_connects',
      'mysql_global_status_aborted_connects_preauth', 'mysql_global_status_access_denied_errors', 'mysql_global_status_connections',
      'mysql_global_status_max_used_connections', 'pg_stat_database_sessions',
      'proxysql_access_denied_max_connections', 'proxysql_access_denied_max_user_connections',
      'proxysql_max_connect_timeouts'
    )
),
uptime AS (
  SELECT coalesce(metric_sample.server, sole_server.server, '') AS server, sampled_at, max(value) AS uptime_s
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE name = 'mysql_global_status_uptime'
    AND value IS NOT NULL
  GROUP BY ALL
),
stepped AS (
  SELECT
    *,
    lag(value) OVER history AS value_before,
    lag(sampled_at) OVER history AS sampled_before_at
  FROM counter
  WINDOW history AS (PARTITION BY server, counter, series ORDER BY sampled_at, line_no)
)
SELECT
  server,
  counter,
  coalesce(sampled_before_at, sampled_at - to_microseconds(CAST(uptime_s * 1e6 AS BIGINT))) AS since_at,
  sampled_at AS until_at,
  sampled_before_at IS NULL AS is_since_start,
  sum(CASE WHEN value >= value_before THEN value - value_before ELSE value END)::BIGINT AS growth,
  sum(value)::BIGINT AS value,
  min(source_id) AS source_id,
  min(line_no) AS line_no
FROM stepped
LEFT JOIN uptime USING (server, sampled_at)
WHERE sampled_before_at IS NULL
   OR sampled_before_at < sampled_at
GROUP BY ALL
