-- One row is one session in one process list of MySQL that innodb_trx, InnoDB status or a list of lock waits shows to have
-- been in a transaction then, or waiting for a lock: process lists say nothing of transactions. A transaction is open from
-- its start to when it was last seen, and in a list asked for right after that. Waits are told of more rarely: one counts
-- for the lists within five seconds of it.
WITH looked AS (
  SELECT DISTINCT coalesce(server, '') AS server, backend_id, sampled_at, command
  FROM backend_sample
  WHERE is_mysql(engine)
    AND is_of_whole_snapshot(engine, backend_type)
    AND backend_id IS NOT NULL
    AND sampled_at IS NOT NULL
),
told AS (
  SELECT coalesce(server, '') AS server, backend_id, xact_start_at, blocked_by,
         coalesce(wait_event_type = 'Lock', false) OR blocked_by IS NOT NULL AS is_waiting, sampled_at
  FROM backend_sample
  WHERE backend_type = 'innodb transaction'
    AND sampled_at IS NOT NULL
),
transaction AS (
  SELECT server, backend_id, xact_start_at, least(min(sampled_at), coalesce(xact_start_at, min(sampled_at))) AS since_at, max(sampled_at) AS until_at
  FROM told
  WHERE xact_start_at IS NOT NULL
  GROUP BY server, backend_id, xact_start_at
),
known AS (
  SELECT looked.server, looked.backend_id, looked.sampled_at, xact_start_at, NULL AS blocked_by, false AS is_waiting
  FROM looked
  JOIN transaction
    ON transaction.server = looked.server
   AND transaction.backend_id = looked.backend_id
   AND looked.sampled_at >= transaction.since_at
   AND looked.sampled_at <= transaction.until_at + INTERVAL 500 MILLISECOND
  UNION ALL
  SELECT looked.server, looked.backend_id, looked.sampled_at, told.xact_start_at, told.blocked_by, told.is_waiting
  FROM looked
  JOIN told
    ON told.server = looked.server
   AND told.backend_id = looked.backend_id
   AND (told.is_waiting OR told.xact_start_at IS NULL)
   AND looked.sampled_at BETWEEN told.sampled_at - INTERVAL 5 SECOND AND told.sampled_at + INTERVAL 5 SECOND
  WHERE looked.command IS DISTINCT FROM 'Sleep'
     OR abs(epoch(looked.sampled_at - told.sampled_at)) <= 0.5
)
SELECT server, backend_id, sampled_at, min(xact_start_at) AS xact_start_at, max(blocked_by) AS blocked_by, bool_or(is_waiting) AS is_waiting
FROM known
GROUP BY ALL
