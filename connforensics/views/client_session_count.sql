-- One row is one change of the number of one client's sessions that the log of a server knows to be open.
WITH edge AS (
  SELECT server, client, opened_at AS changed_at, source_id, coalesce(authorized_line_no, line_no) AS line_no, 1 AS step
  FROM session
  WHERE opened_at IS NOT NULL
    AND NOT is_replication
  UNION ALL
  SELECT server, client, ended_at, source_id, coalesce(closed_line_no, line_no), -1
  FROM session
  WHERE opened_at IS NOT NULL
    AND ended_at IS NOT NULL
    AND NOT is_replication
)
SELECT
  edge.server,
  client,
  changed_at,
  source_id,
  line_no,
  sum(step) OVER (PARTITION BY edge.server, client ORDER BY changed_at, line_no, step ROWS UNBOUNDED PRECEDING) AS open_sessions
FROM edge
JOIN log_knows_ends AS log
  ON log.server = edge.server
 AND log.has_openings
 AND log.has_ends
