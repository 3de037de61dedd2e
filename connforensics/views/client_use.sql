-- One row is one client in one snapshot: how its sessions are used. stale sessions have rested longer than this client
-- lets any session rest that it still uses (client_rhythm).
SELECT
  client_backend.server,
  sampled_at,
  client_backend.client,
  count(*) AS sessions,
  count(*) FILTER (WHERE state = 'active') AS active,
  count(*) FILTER (WHERE state = 'idle') AS idle,
  count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
  count(*) FILTER (WHERE state = 'idle' AND in_state_s > stale_after_s) AS stale,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiters,
  max(in_state_s) FILTER (WHERE state = 'idle') AS oldest_rest_s,
  count(DISTINCT client_host) AS hosts,
  min(source_id) AS source_id,
  min(line_no) AS line_no
FROM client_backend
LEFT JOIN client_rhythm
  ON client_rhythm.server = client_backend.server
 AND client_rhythm.client = client_backend.client
GROUP BY ALL
