-- One row is one attempt at a session that the log of a server tells of, admitted or not: when it was made.
SELECT
  server,
  client,
  coalesce(received_at, authorized_at, failed_at, opened_at) AS attempted_at,
  outcome,
  source_id,
  line_no
FROM session
WHERE coalesce(received_at, authorized_at, failed_at) IS NOT NULL
UNION ALL
-- MySQL and MariaDB write refusals without a connection id.
SELECT coalesce(server, ''), client_of(application_name, user_name, client_host), event_at, 'refused', source_id, line_no
FROM event
WHERE is_mysql(engine)
  AND is_slot_refusal(kind)
  AND backend_id IS NULL
  AND event_at IS NOT NULL
