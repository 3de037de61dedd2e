-- One row is one thing that happened, for the timeline: what, when, of which kind, and the line that says so.
WITH lived AS (
  SELECT event_at AS happened_at, kind, coalesce(server, '') AS server, coalesce(detail, text) AS what, source_id, line_no
  FROM event
  WHERE kind IN (
    'server_starting', 'server_ready', 'server_stopping', 'server_crashed', 'server_reloaded', 'setting_changed',
    'annotation', 'host_shunned', 'pool_started', 'pool_stopped', 'pool_failed', 'clock_leap'
  )
    AND coalesce(reason, '') NOT IN ('storage_complete', 'other_limit')
),
folded AS (
  SELECT
    min(event_at) AS happened_at,
    kind,
    coalesce(server, '') AS server,
    count(*) || ' x ' || kind || coalesce(' (' || reason || ')', '') || ' within a minute' AS what,
    arg_min(source_id, (event_at, line_no)) AS source_id,
    arg_min(line_no, (event_at, line_no)) AS line_no
  FROM event
  WHERE kind IN (
    'session_terminated', 'auth_timeout', 'fork_failed', 'deadlock', 'lock_wait', 'pool_timeout',
    'pool_leak_suspected', 'session_aborted'
  )
    AND event_at IS NOT NULL
  GROUP BY kind, reason, coalesce(server, ''), time_bucket(INTERVAL 1 MINUTE, event_at)
),
refusing AS (
  SELECT min(refused_at) AS happened_at, kind, server, 'first ' || kind || ': ' || arg_min(client, refused_at) AS what,
         arg_min(source_id, (refused_at, line_no)) AS source_id, arg_min(line_no, (refused_at, line_no)) AS line_no
  FROM refusal
  WHERE refused_at IS NOT NULL
  GROUP BY kind, server
  UNION ALL
  SELECT max(refused_at), kind, server, 'last ' || kind || ' of ' || count(*),
         arg_max(source_id, (refused_at, line_no)), arg_max(line_no, (refused_at, line_no))
  FROM refusal
  WHERE refused_at IS NOT NULL
  GROUP BY kind, server
  HAVING count(*) > 1
),
counting AS (
  SELECT min(fullest_at) AS happened_at, kind, server,
         sum(unlogged)::BIGINT || ' x ' || kind || ' counted, not logged, until ' || strftime(max(until_at), '%H:%M:%S') AS what,
         last_of(source_id, until_at, source_id, line_no) AS source_id, last_of(line_no, until_at, source_id, line_no) AS line_no
  FROM counted_refusal
  WHERE unlogged > 0
    AND NOT is_since_start
  GROUP BY kind, server
),
saturating AS (
  SELECT since_at AS happened_at, 'saturation' AS kind, server,
         'saturated for ' || round(epoch(until_at - since_at))::BIGINT || ' s, ' || refusals || ' refusals logged' AS what, source_id, line_no
  FROM saturated
),
peaking AS (
  SELECT known_at AS happened_at, 'peak' AS kind, server,
         'peak: ' || in_use || ' sessions' || coalesce(' of ' || usable_backends || ' usable', '') || ' (' || basis || ')' AS what,
         source_id, line_no
  FROM headroom
  QUALIFY row_number() OVER (PARTITION BY server ORDER BY in_use DESC, (basis = 'snapshot') DESC, known_at) = 1
),
restarting AS (
  SELECT ended_at AS happened_at, 'mass_end' AS kind, server,
         ended || ' of ' || sessions_before || ' lasting sessions of ' || client || ' ended together: a restart of it, or a cut' AS what,
         source_id, line_no
  FROM mass_end
)
SELECT happened_at, kind, everything.server, what, source_id, line_no, cited(path, line_no) AS citation
FROM (
  FROM lived
  UNION ALL BY NAME FROM folded
  UNION ALL BY NAME FROM refusing
  UNION ALL BY NAME FROM counting
  UNION ALL BY NAME FROM saturating
  UNION ALL BY NAME FROM peaking
  UNION ALL BY NAME FROM restarting
) AS everything
LEFT JOIN place USING (source_id)
WHERE happened_at IS NOT NULL
