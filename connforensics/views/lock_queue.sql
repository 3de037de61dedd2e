-- One row is one waiting session at one instant and one session in front of it, as a snapshot with blocking ids or a
-- lock wait in the log tells; the state of the one in front is from the snapshot at that instant, or the nearest within
-- 5 s. is_root: the one in front does not itself wait for a lock.
WITH from_snapshots AS (
  SELECT
    server,
    sampled_at AS seen_at,
    backend_id AS waiter,
    try_cast(unnest(string_split(blocked_by, ',')) AS BIGINT) AS blocker,
    query_start_at AS waiting_since_at,
    query AS waiter_query,
    client AS waiter_client,
    source_id,
    line_no
  FROM client_backend
  WHERE coalesce(blocked_by, '') <> ''
),
from_log AS (
  SELECT
    coalesce(server, '') AS server,
    event_at AS seen_at,
    backend_id AS waiter,
    try_cast(unnest(regexp_extract_all(regexp_extract(detail, '^[^.]*'), '[0-9]+')) AS BIGINT) AS blocker,
    event_at - to_microseconds(CAST(coalesce(duration_ms, 0) * 1000 AS BIGINT)) AS waiting_since_at,
    NULL AS waiter_query,
    client_of(application_name, user_name, client_host) AS waiter_client,
    source_id,
    line_no
  FROM event
  WHERE kind = 'lock_wait'
    AND detail IS NOT NULL
    AND event_at IS NOT NULL
),
wait AS (
  FROM from_snapshots
  UNION ALL
  FROM from_log
)
SELECT
  wait.*,
  holder.client AS blocker_client,
  holder.state AS blocker_state,
  holder.query AS blocker_query,
  holder.source_id AS blocker_source_id,
  holder.line_no AS blocker_line_no,
  holder.backend_id IS NOT NULL AND holder.wait_event_type IS DISTINCT FROM 'Lock' AS is_root
FROM wait
ASOF LEFT JOIN client_backend AS holder
  ON holder.server = wait.server
 AND holder.backend_id = wait.blocker
 AND wait.seen_at >= holder.sampled_at
WHERE holder.sampled_at IS NULL
   OR wait.seen_at - holder.sampled_at <= INTERVAL 5 SECOND
