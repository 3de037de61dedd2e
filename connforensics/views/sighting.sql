-- One row is one session in one snapshot of a server that tells neither when sessions began nor since when exactly they
-- are in their state (MySQL and MariaDB, whose Time is in whole seconds in most versions): both as the snapshots before
-- show them. A session that a snapshot misses has ended: its id is given again after a restart of the server alone. It began before
-- the first snapshot that shows it (backend_start_at; NULL where that is the first of all). It rests, or works, since the
-- first of the times that differ by less than two seconds while its state stays.
WITH started AS (
  SELECT server, event_at, row_number() OVER (PARTITION BY server ORDER BY event_at) AS era
  FROM (
    SELECT DISTINCT coalesce(server, '') AS server, event_at
    FROM event
    WHERE is_mysql(engine)
      AND event_at IS NOT NULL
      AND (
        kind = 'server_starting'
        OR (kind = 'server_ready' AND coalesce(reason, '') NOT IN ('x_plugin', 'admin_interface', 'galera'))
      )
  )
),
sample AS (
  SELECT coalesce(server, '') AS server, sampled_at, backend_id, state_change_at, state, command, xact_start_at
  FROM backend_sample
  WHERE backend_start_at IS NULL
    AND is_mysql(engine)
    AND is_of_whole_snapshot(engine, backend_type)
    AND backend_id IS NOT NULL
    AND sampled_at IS NOT NULL
),
numbered AS (
  SELECT
    sample.server,
    sampled_at,
    backend_id,
    coalesce(era, 0) AS era,
    state_change_at,
    (state, command = 'Sleep', xact_start_at IS NOT NULL)::VARCHAR AS state,
    dense_rank() OVER (PARTITION BY sample.server ORDER BY sampled_at) AS snapshot_no
  FROM sample
  ASOF LEFT JOIN started
    ON started.server = sample.server
   AND sample.sampled_at >= started.event_at
),
followed AS (
  SELECT
    *,
    coalesce(snapshot_no - lag(snapshot_no) OVER life > 1 OR era > lag(era) OVER life, true) AS is_new,
    coalesce(
      snapshot_no - lag(snapshot_no) OVER life > 1
        OR era > lag(era) OVER life
        OR state IS DISTINCT FROM lag(state) OVER life
        OR state_change_at - lag(state_change_at) OVER life >= INTERVAL 2 SECOND,
      true
    ) AS is_changed
  FROM numbered
  WINDOW life AS (PARTITION BY server, backend_id ORDER BY sampled_at)
),
grouped AS (
  SELECT
    *,
    sum(is_new::INTEGER) OVER life AS session_no,
    sum(is_changed::INTEGER) OVER life AS spell_no
  FROM followed
  WINDOW life AS (PARTITION BY server, backend_id ORDER BY sampled_at ROWS UNBOUNDED PRECEDING)
)
SELECT
  server,
  sampled_at,
  backend_id,
  min(sampled_at) OVER session AS first_seen_at,
  CASE WHEN min(snapshot_no) OVER session > 1 THEN min(sampled_at) OVER session END AS backend_start_at,
  min(state_change_at) OVER spell AS state_change_at
FROM grouped
WINDOW
  session AS (PARTITION BY server, backend_id, session_no),
  spell AS (PARTITION BY server, backend_id, spell_no)
