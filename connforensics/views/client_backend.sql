-- inlined
-- One row is one client's backend in one snapshot, with the ages that matter.
SELECT
  coalesce(server, '') AS server,
  engine,
  source_id,
  line_no,
  sampled_at,
  backend_id,
  user_name,
  database_name,
  application_name,
  client_host,
  client_port,
  client_of(application_name, user_name, client_host) AS client,
  backend_start_at,
  xact_start_at,
  query_start_at,
  state_change_at,
  coalesce(state, CASE WHEN command = 'Sleep' THEN 'idle' WHEN command IS NOT NULL THEN 'active' ELSE 'unknown' END) AS state,
  wait_event_type,
  wait_event,
  blocked_by,
  query,
  epoch(sampled_at - state_change_at) AS in_state_s,
  epoch(sampled_at - xact_start_at) AS in_transaction_s,
  epoch(sampled_at - query_start_at) AS since_query_start_s,
  epoch(sampled_at - backend_start_at) AS age_s
FROM backend_sample
WHERE is_client_backend(backend_type, user_name, query)
