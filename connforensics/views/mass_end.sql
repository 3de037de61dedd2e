-- One row is one moment at which most of one client's lasting sessions ended together: its restart, seen from the
-- server. Lasting is 10 s or longer; together is within 5 s; most is at least three and 60 in 100 (judgement: a pool
-- that retires connections by age does not reach that). From the log where it writes ends, else between two snapshots.
WITH lasting AS (
  SELECT server, client, opened_at, ended_at, source_id, coalesce(closed_line_no, line_no) AS line_no
  FROM session
  WHERE outcome = 'admitted'
    AND NOT is_replication
    AND opened_at IS NOT NULL
    AND (ended_at IS NULL OR ended_at - opened_at >= INTERVAL 10 SECOND)
),
step AS (
  SELECT server, client, opened_at AS changed_at, 1 AS step, source_id, line_no FROM lasting
  UNION ALL
  SELECT server, client, ended_at, -1, source_id, line_no FROM lasting WHERE ended_at IS NOT NULL
),
running AS (
  SELECT
    *,
    sum(step) OVER (PARTITION BY server, client ORDER BY changed_at, step DESC, line_no ROWS UNBOUNDED PRECEDING) AS open_sessions
  FROM step
),
ending AS (
  SELECT
    server,
    client,
    changed_at AS ended_at,
    source_id,
    line_no,
    open_sessions + 1 AS open_before,
    count(*) OVER (
      PARTITION BY server, client
      ORDER BY changed_at
      RANGE BETWEEN CURRENT ROW AND INTERVAL 5 SECOND FOLLOWING
    ) AS ending_together
  FROM running
  WHERE step = -1
),
massive AS (
  SELECT *, lag(ended_at) OVER (PARTITION BY server, client ORDER BY ended_at, line_no) AS previous_at
  FROM ending
  WHERE ending_together >= 3
    AND ending_together >= 0.6 * open_before
),
from_log AS (
  SELECT server, client, ended_at, open_before AS sessions_before, least(ending_together, open_before) AS ended, source_id, line_no, 'log' AS basis
  FROM massive
  WHERE previous_at IS NULL
     OR ended_at - previous_at > INTERVAL 5 SECOND
),
next_snapshot AS (
  SELECT server, sampled_at, lead(sampled_at) OVER (PARTITION BY server ORDER BY sampled_at) AS next_at
  FROM snapshot
),
surviving AS (
  SELECT
    here.server,
    here.client,
    next_snapshot.next_at AS ended_at,
    count(*) AS sessions_before,
    count(*) FILTER (WHERE there.backend_id IS NULL) AS ended,
    min(here.source_id) AS source_id,
    min(here.line_no) AS line_no
  FROM client_backend AS here
  JOIN next_snapshot
    ON next_snapshot.server = here.server
   AND next_snapshot.sampled_at = here.sampled_at
   AND next_snapshot.next_at IS NOT NULL
  LEFT JOIN client_backend AS there
    ON there.server = here.server
   AND there.sampled_at = next_snapshot.next_at
   AND there.backend_id = here.backend_id
   AND there.backend_start_at IS NOT DISTINCT FROM here.backend_start_at
  WHERE here.age_s >= 10
  GROUP BY ALL
)
SELECT * FROM from_log
UNION ALL
SELECT server, client, ended_at, sessions_before, ended, source_id, line_no, 'snapshots'
FROM surviving
WHERE ended >= 3
  AND ended >= 0.6 * sessions_before
  AND server NOT IN (SELECT server FROM log_knows_ends WHERE has_openings AND has_ends)
