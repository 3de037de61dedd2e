-- One row is one sample of one service's pools held against the snapshot of the server nearest before it (within 30 s):
-- what the pools say is checked out, and how many of the client's sessions the server sees working. The sessions of a
-- pooler are those of the users that its pools are named after (database/user).
WITH pooler_user AS (
  SELECT DISTINCT coalesce(service, pool, 'pool') AS service, split_part(pool, '/', 2) AS user_name
  FROM pool_sample
  WHERE is_pooler(service)
    AND contains(pool, '/')
),
used AS (
  SELECT service, sampled_at, count(*) AS sessions,
         count(*) FILTER (WHERE state NOT IN ('idle', 'unknown')) AS working,
         count(*) FILTER (WHERE state = 'idle') AS idle, min(source_id) AS source_id, min(line_no) AS line_no
  FROM client_backend
  JOIN pooler_user USING (user_name)
  GROUP BY ALL
  UNION ALL
  SELECT service, client_use.sampled_at, sum(sessions) AS sessions, sum(active + idle_in_transaction) AS working,
         sum(idle) AS idle, min(source_id) AS source_id, min(line_no) AS line_no
  FROM client_use
  JOIN service_client USING (client)
  GROUP BY ALL
)
SELECT
  pool_pressure.service,
  pool_pressure.sampled_at,
  checked_out,
  size,
  max_size,
  waiting,
  used.sessions,
  used.working,
  used.idle AS server_idle,
  greatest(least(checked_out, used.sessions) - used.working, 0) AS lent_but_idle,
  pool_pressure.source_id,
  pool_pressure.line_no
FROM pool_pressure
ASOF JOIN used
  ON used.service = pool_pressure.service
 AND pool_pressure.sampled_at >= used.sampled_at
WHERE pool_pressure.sampled_at - used.sampled_at <= INTERVAL 30 SECOND
