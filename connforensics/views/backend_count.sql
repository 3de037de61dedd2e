-- One row is one snapshot of one server, one state and one client: how many of its backends were in it.
SELECT
  server,
  sampled_at,
  client,
  state,
  count(*) AS sessions,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiters,
  max(in_state_s) AS longest_in_state_s,
  max(in_transaction_s) AS longest_in_transaction_s,
  median(since_query_start_s) AS median_since_query_start_s,
  min(source_id) AS source_id,
  min(line_no) AS line_no
FROM client_backend
GROUP BY ALL
