-- inlined
-- One row is one client's backend in one snapshot, with the ages that matter. Where the server does not tell when a
-- session began (MySQL), it is the first snapshot that shows it; age_s is then what was seen of it.
SELECT
  server,
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
  CASE WHEN state = 'idle' AND is_in_transaction THEN 'idle in transaction' ELSE state END AS state,
  CASE WHEN (blocked_by IS NOT NULL OR is_waiting) AND NOT is_server_postgres THEN 'Lock' ELSE wait_event_type END AS wait_event_type,
  wait_event,
  blocked_by,
  query,
  epoch(sampled_at - state_change_at) AS in_state_s,
  epoch(sampled_at - xact_start_at) AS in_transaction_s,
  epoch(sampled_at - query_start_at) AS since_query_start_s,
  epoch(sampled_at - coalesce(backend_start_at, first_seen_at)) AS age_s
FROM (
  SELECT
    sample.* REPLACE (
      coalesce(sample.server, '') AS server,
      coalesce(sample.backend_start_at, sighting.backend_start_at) AS backend_start_at,
      coalesce(sighting.state_change_at, sample.state_change_at) AS state_change_at,
      coalesce(sample.xact_start_at, open_transaction.xact_start_at) AS xact_start_at,
      coalesce(sample.blocked_by, open_transaction.blocked_by) AS blocked_by,
      coalesce(sample.state, CASE WHEN command = 'Sleep' THEN 'idle' WHEN command IS NOT NULL THEN 'active' ELSE 'unknown' END) AS state
    ),
    sighting.first_seen_at,
    open_transaction.xact_start_at IS NOT NULL AS is_in_transaction,
    coalesce(open_transaction.is_waiting, false) AS is_waiting,
    coalesce(engine, 'postgres') = 'postgres' AS is_server_postgres
  FROM backend_sample AS sample
  LEFT JOIN open_transaction
    ON open_transaction.server = coalesce(sample.server, '')
   AND open_transaction.backend_id = sample.backend_id
   AND open_transaction.sampled_at = sample.sampled_at
  LEFT JOIN sighting
    ON sighting.server = coalesce(sample.server, '')
   AND sighting.sampled_at = sample.sampled_at
   AND sighting.backend_id = sample.backend_id
  WHERE is_client_backend(engine, backend_type, user_name, query)
    AND is_of_whole_snapshot(engine, backend_type)
)
