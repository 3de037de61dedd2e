-- One row is one instant at which the number of used slots of a server is known: a snapshot, or (where the log writes
-- openings and ends) a change in the log, or, for a server without snapshots, a sample of a metric, or a new high-water
-- mark that MySQL keeps (Max_used_connections: reached at some time since it was last looked at, or when the server says;
-- without the slot beyond max_connections, in which administrators enter and others are told that there is none).
-- in_use of a log is a lower bound (and never above max_connections, which clocks that disagree would have it be); a metric
-- may count backends that hold no slot; basis says which it is.
WITH metric AS (
  SELECT
    coalesce(metric_sample.server, sole_server.server, '') AS server,
    sampled_at,
    list_position(
      ['pg_stat_activity_count', 'mysql_global_status_threads_connected', 'pg_stat_database_numbackends', 'aws_rds_database_connections'],
      name
    ) AS preference,
    sum(value)::BIGINT AS in_use,
    min(source_id) AS source_id,
    min(line_no) AS line_no
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE sampled_at IS NOT NULL
    AND value IS NOT NULL
    AND coalesce(labels['backend_type'], '') IN ('', 'client backend')
    AND preference IS NOT NULL
  GROUP BY ALL
),
marked AS (
  SELECT coalesce(metric_sample.server, sole_server.server, '') AS server, sampled_at, make_timestamp(CAST(max(value) * 1e6 AS BIGINT)) AS marked_at
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE name = 'mysql_global_status_max_used_connections_time'
    AND value > 0
  GROUP BY ALL
),
high_water AS (
  SELECT counter_growth.server, coalesce(marked_at, until_at) AS known_at, least(value, capacity.max_backends) AS in_use,
         counter_growth.source_id, counter_growth.line_no
  FROM counter_growth
  LEFT JOIN capacity ON capacity.server = counter_growth.server
  LEFT JOIN marked ON marked.server = counter_growth.server AND marked.sampled_at = until_at
  WHERE counter = 'mysql_global_status_max_used_connections'
    AND (marked_at IS NOT NULL OR (growth > 0 AND NOT is_since_start))
  QUALIFY row_number() OVER (PARTITION BY counter_growth.server, known_at ORDER BY until_at) = 1
)
SELECT server, sampled_at AS known_at, in_use, 'snapshot' AS basis, source_id, line_no
FROM snapshot
UNION ALL
SELECT session_count.server, changed_at, greatest(least(open_sessions, capacity.max_backends), 0), 'log',
       session_count.source_id, session_count.line_no
FROM session_count
LEFT JOIN capacity ON capacity.server = session_count.server
JOIN log_knows_ends AS log
  ON log.server = session_count.server
 AND log.has_openings
 AND log.has_ends
UNION ALL
SELECT server, sampled_at, in_use, 'metric', source_id, line_no
FROM metric
WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.server = metric.server)
  AND preference = (SELECT min(preference) FROM metric AS other WHERE other.server = metric.server)
UNION ALL
SELECT server, known_at, in_use, 'high-water mark', source_id, line_no
FROM high_water
