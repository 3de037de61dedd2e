-- One row is one change of the number of clients' sessions that the log of a server knows to be open.
-- Openings and ends at the same instant go by their lines. The server looks for a free slot a moment after it has written
-- "connection authorized": where the log has milliseconds, openings count from then on. The moment is what refused
-- sessions show it to be at the longest, within 20 ms, else one millisecond.
-- Sessions that began before the log (within its first second, which may have no fraction, those that it does not tell of)
-- are added where a snapshot shows them; others cannot be seen: the number is a
-- lower bound. They end at the first snapshot that misses them, unless the log tells.
-- Lines without a backend id (a log_line_prefix without %p and %c) are counted without knowing which session they are
-- of: an opening less the refusal that took it back. Without a time changed_at is NULL and the lines give the order.
WITH resolution AS (
  SELECT
    server,
    CASE
      WHEN bool_or(authorized_at <> date_trunc('second', authorized_at)) THEN
        to_milliseconds(least(20, 1 + coalesce(max(epoch_ms(failed_at) - epoch_ms(authorized_at)) FILTER (WHERE failure = 'refused_reserved'), 0)))
      ELSE INTERVAL 0 SECOND
    END AS admission
  FROM session
  GROUP BY ALL
),
edge AS (
  SELECT server, opened_at + CASE WHEN authorized_at IS NULL THEN INTERVAL 0 SECOND ELSE admission END AS changed_at, source_id, coalesce(authorized_line_no, 0) AS line_no, 1 AS step
  FROM session
  JOIN resolution USING (server)
  WHERE outcome = 'admitted'
    AND NOT is_replication
    AND opened_at IS NOT NULL
  UNION ALL
  SELECT server, ended_at, source_id, coalesce(closed_line_no, 0), -1
  FROM session
  WHERE outcome = 'admitted'
    AND NOT is_replication
    AND opened_at IS NOT NULL
    AND ended_at IS NOT NULL
),
log_start AS (
  SELECT server, first_at
  FROM log_knows_ends
  WHERE has_openings
),
older AS (
  SELECT
    client_backend.server,
    backend_id,
    backend_start_at,
    log_start.first_at,
    min(client_backend.source_id) AS source_id,
    min(client_backend.line_no) AS line_no,
    max(sampled_at) AS last_seen_at
  FROM client_backend
  JOIN log_start
    ON log_start.server = client_backend.server
   AND client_backend.backend_start_at < log_start.first_at + INTERVAL 1 SECOND
  GROUP BY ALL
),
known_otherwise AS (
  SELECT server, backend_id, opened_at
  FROM session
  WHERE opened_at IS NOT NULL
),
older_edge AS (
  SELECT
    older.server,
    older.backend_start_at AS opened_at,
    (SELECT min(snapshot.sampled_at) FROM snapshot WHERE snapshot.server = older.server AND snapshot.sampled_at > older.last_seen_at) AS ended_at,
    older.source_id,
    older.line_no
  FROM older
  LEFT JOIN known_otherwise
    ON known_otherwise.server = older.server
   AND known_otherwise.backend_id = older.backend_id
   AND abs(epoch(known_otherwise.opened_at - older.backend_start_at)) < 5
  WHERE known_otherwise.backend_id IS NULL
),
anonymous AS (
  SELECT
    coalesce(server, '') AS server,
    event_at AS changed_at,
    source_id,
    line_no,
    kind IN ('connection_authorized', 'connection_opened') AS is_opening,
    kind IN ('connection_closed', 'session_aborted') AS is_end,
    lead(kind) OVER same_line_of_life IN ('refused_reserved', 'refused_quota', 'unknown_target') AS is_taken_back
  FROM event
  WHERE is_server(engine)
    AND (backend_id IS NULL OR event_at IS NULL)
    AND reason IS DISTINCT FROM 'replication'
    AND reason IS DISTINCT FROM 'unauthenticated'
    AND kind IN (
      'connection_authorized', 'connection_opened', 'connection_closed', 'session_aborted', 'refused_reserved',
      'refused_quota', 'unknown_target'
    )
  WINDOW same_line_of_life AS (
    PARTITION BY coalesce(server, ''), source_id, backend_id, kind IN ('connection_closed', 'session_aborted')
    ORDER BY line_no
  )
),
every_edge AS (
  FROM edge
  UNION ALL
  SELECT server, opened_at, source_id, line_no, 1 FROM older_edge
  UNION ALL
  SELECT server, ended_at, source_id, line_no, -1 FROM older_edge WHERE ended_at IS NOT NULL
  UNION ALL
  SELECT server, changed_at, source_id, line_no, CASE WHEN is_opening THEN 1 ELSE -1 END
  FROM anonymous
  WHERE (is_opening AND is_taken_back IS NOT TRUE)
     OR is_end
)
SELECT
  server,
  changed_at,
  source_id,
  line_no,
  sum(step) OVER (
    PARTITION BY server
    ORDER BY changed_at NULLS FIRST, source_id, line_no, step
    ROWS UNBOUNDED PRECEDING
  ) AS open_sessions
FROM every_edge
