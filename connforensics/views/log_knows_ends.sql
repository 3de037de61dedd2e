-- One row is one server with a log: whether the log writes openings and ends of sessions, so that they can be counted.
-- Ends of which some are never written do not count, but where snapshots show who is gone.
SELECT
  coalesce(event.server, '') AS server,
  count(*) FILTER (WHERE kind IN ('connection_authorized', 'connection_opened')) > 0 AS has_openings,
  count(*) FILTER (
    WHERE kind IN ('connection_closed', 'session_aborted')
      AND (
        coalesce(log_source.ends, 'all') = 'all'
        OR (log_source.ends = 'polite' AND coalesce(event.server, '') IN (SELECT server FROM snapshot))
      )
  ) > 0 AS has_ends,
  count(*) FILTER (WHERE kind = 'connection_received') > 0 AS has_receipts,
  min(event_at) AS first_at,
  max(event_at) AS last_at
FROM event
LEFT JOIN log_source ON log_source.source_id = event.source_id
WHERE is_server(event.engine)
GROUP BY ALL
