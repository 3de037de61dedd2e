-- One row is one transaction of a MySQL session that innodb_trx, InnoDB status or a list of lock waits shows, within ten
-- seconds: process lists say nothing of transactions.
SELECT
  coalesce(server, '') AS server,
  backend_id,
  time_bucket(INTERVAL 10 SECOND, sampled_at) AS bucket_at,
  min(xact_start_at) AS xact_start_at,
  max(blocked_by) AS blocked_by
FROM backend_sample
WHERE backend_type = 'innodb transaction'
  AND sampled_at IS NOT NULL
GROUP BY ALL
