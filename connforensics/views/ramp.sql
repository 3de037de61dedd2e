-- One row is one stretch between two mass ends of one client's sessions: how their number grew from the stretch's
-- begin to its peak, and what state they were in there. slope_per_min and r2 are of the line through the counts.
-- From snapshots where there are any of the client, else from the log.
WITH counted AS (
  SELECT server, client, sampled_at AS known_at, sessions, active, idle, idle_in_transaction, stale, oldest_rest_s,
         source_id, line_no, 'snapshots' AS basis
  FROM client_use
  UNION ALL
  SELECT server, client, changed_at, open_sessions, NULL, NULL, NULL, NULL, NULL, source_id, line_no, 'log'
  FROM client_session_count
  WHERE server NOT IN (SELECT server FROM snapshot)
),
boundary AS (
  SELECT server, client, ended_at, count(*) OVER (PARTITION BY server, client ORDER BY ended_at) AS ramp_no
  FROM mass_end
),
placed AS (
  SELECT counted.*, coalesce(ramp_no, 0) AS ramp_no
  FROM counted
  ASOF LEFT JOIN boundary
    ON boundary.server = counted.server
   AND boundary.client = counted.client
   AND counted.known_at >= boundary.ended_at
),
peak AS (
  SELECT server, client, ramp_no, basis, min(known_at) AS since_at, max(known_at) AS until_at,
         arg_max(known_at, (sessions, known_at)) AS peak_at, max(sessions) AS sessions_peak
  FROM placed
  GROUP BY ALL
)
SELECT
  peak.server,
  peak.client,
  peak.ramp_no,
  peak.basis,
  since_at,
  until_at,
  peak_at,
  sessions_peak,
  count(*) AS points,
  min(sessions) AS sessions_least,
  arg_min(sessions, known_at) AS sessions_first,
  regr_slope(sessions, epoch(known_at)) * 60 AS slope_per_min,
  regr_r2(sessions, epoch(known_at)) AS r2,
  arg_max(active, known_at) AS active_at_peak,
  arg_max(idle, known_at) AS idle_at_peak,
  arg_max(idle_in_transaction, known_at) AS idle_in_transaction_at_peak,
  arg_max(stale, known_at) AS stale_at_peak,
  regr_slope(stale, epoch(known_at)) * 60 AS stale_slope_per_min,
  arg_max(oldest_rest_s, known_at) AS oldest_rest_s,
  arg_max(placed.source_id, known_at) AS source_id,
  arg_max(placed.line_no, known_at) AS line_no
FROM peak
JOIN placed
  ON placed.server = peak.server
 AND placed.client = peak.client
 AND placed.ramp_no = peak.ramp_no
 AND placed.basis = peak.basis
 AND placed.known_at <= peak.peak_at
GROUP BY ALL
