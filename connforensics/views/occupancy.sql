-- One row is one instant at which the number of used slots of a server is known: a snapshot, or (where the log writes
-- openings and ends) a change in the log, or, for a server without snapshots, a sample of a metric.
-- in_use of a log is a lower bound; a metric may count backends that hold no slot; basis says which it is.
WITH metric AS (
  SELECT
    coalesce(metric_sample.server, serving.server, '') AS server,
    sampled_at,
    list_position(
      ['pg_stat_activity_count', 'mysql_global_status_threads_connected', 'pg_stat_database_numbackends', 'aws_rds_database_connections'],
      name
    ) AS preference,
    sum(value)::BIGINT AS in_use,
    min(source_id) AS source_id,
    min(line_no) AS line_no
  FROM metric_sample
  LEFT JOIN (
    SELECT any_value(coalesce(server, '')) AS server
    FROM source
    WHERE is_server(engine)
    HAVING count(DISTINCT coalesce(server, '')) = 1
  ) AS serving ON true
  WHERE sampled_at IS NOT NULL
    AND value IS NOT NULL
    AND coalesce(labels['backend_type'], '') IN ('', 'client backend')
    AND preference IS NOT NULL
  GROUP BY ALL
)
SELECT server, sampled_at AS known_at, in_use, 'snapshot' AS basis, source_id, line_no
FROM snapshot
UNION ALL
SELECT session_count.server, changed_at, greatest(open_sessions, 0), 'log', source_id, line_no
FROM session_count
JOIN log_knows_ends AS log
  ON log.server = session_count.server
 AND log.has_openings
 AND log.has_ends
UNION ALL
SELECT server, sampled_at, in_use, 'metric', source_id, line_no
FROM metric
WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.server = metric.server)
  AND preference = (SELECT min(preference) FROM metric AS other WHERE other.server = metric.server)
