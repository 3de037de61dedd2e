-- One row is one server with a log: whether the log writes openings and ends of sessions, so that they can be counted.
SELECT
  coalesce(server, '') AS server,
  count(*) FILTER (WHERE kind IN ('connection_authorized', 'connection_opened')) > 0 AS has_openings,
  count(*) FILTER (WHERE kind IN ('connection_closed', 'session_aborted')) > 0 AS has_ends,
  count(*) FILTER (WHERE kind = 'connection_received') > 0 AS has_receipts,
  min(event_at) AS first_at,
  max(event_at) AS last_at
FROM event
WHERE is_server(engine)
GROUP BY ALL
