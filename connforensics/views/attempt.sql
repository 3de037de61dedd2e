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
