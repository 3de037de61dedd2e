-- One row is one stretch of time in which every refusal for want of a slot by a server would have left its trace, and
-- what would have shown it (witness): a log that writes all of them, or counters. One look at MySQL's high-water mark tells
-- for all the time since its start: while it is not above max_connections, nobody came to need the slot beyond, in which
-- refusals are told. Refusals by a user's own limit are among the failed logins alone (Aborted_connects): while more of
-- those were counted than wrong passwords and probes explain, neither counter is a witness. Whether there were any refusals
-- is not said here.
WITH clear AS (
  SELECT server, since_at, until_at
  FROM counter_growth
  WHERE since_at IS NOT NULL
  GROUP BY ALL
  HAVING coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects'), 0)
    <= coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_access_denied_errors'), 0)
     + coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects_preauth'), 0)
)
SELECT server, 'log' AS witness, first_at AS since_at, last_at AS until_at, source_id, 1 AS line_no
FROM log_source
WHERE refusals = 'all'
  AND is_server(engine)
  AND first_at IS NOT NULL
UNION ALL
SELECT server, 'counter', since_at, until_at, source_id, line_no
FROM counter_growth
JOIN clear USING (server, since_at, until_at)
WHERE counter = 'mysql_global_status_connection_errors.max_connections'
  -- What it had counted before its first look may have been at any time since the start.
  AND NOT (is_since_start AND growth > 0)
UNION ALL
SELECT server, 'high-water mark', since_at, until_at, counter_growth.source_id, counter_growth.line_no
FROM counter_growth
JOIN clear USING (server, since_at, until_at)
JOIN capacity USING (server)
WHERE counter = 'mysql_global_status_max_used_connections'
  AND value <= capacity.max_backends
