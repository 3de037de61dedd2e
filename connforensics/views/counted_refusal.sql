-- One row is one stretch between two looks at a server's or a pooler's counters in which they counted refusals for want
-- of a slot: counted, not logged. refusals is what must have been refused at least; when exactly is not known but for
-- fullest_at, the first of the fullest instants within (of the server, or of that user), or its end. unlogged is what no log tells of at least:
-- refusals less those logged then, up to the end of the second where the look's time has no fraction.
-- MySQL counts each in Connection_errors_max_connections. MariaDB counts there those alone that it refuses before the
-- login; the others are in Aborted_connects, like every failed login: what of its growth neither wrong passwords nor
-- probes explain (Access_denied_errors, Aborted_connects_preauth: MariaDB's alone) is taken for refusals where the server
-- is known to have been full meanwhile; where it was not, but a user had used up its own limit, for refusals by that limit
-- (whose names it). Looks in whole seconds may be a second earlier than the counters.
-- https://mariadb.com/kb/en/server-status-variables/#connection_errors_max_connections
WITH told AS (
  SELECT
    server,
    since_at,
    until_at,
    bool_or(is_since_start) AS is_since_start,
    max(growth) FILTER (WHERE counter = 'mysql_global_status_connection_errors.max_connections') AS errors,
    max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects') AS aborted,
    max(growth) FILTER (WHERE counter = 'mysql_global_status_access_denied_errors')
      + coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects_preauth'), 0) AS denied,
    max(value) FILTER (WHERE counter = 'mysql_global_status_max_used_connections') AS most_used,
    max(growth) FILTER (WHERE counter = 'mysql_global_status_max_used_connections') AS most_used_growth,
    max(growth) FILTER (WHERE counter = 'proxysql_access_denied_max_connections') AS pooler_full,
    max(growth) FILTER (WHERE counter = 'proxysql_access_denied_max_user_connections') AS pooler_quota,
    last_of(source_id, counter LIKE '%connection_errors%' OR counter LIKE '%access_denied_max%', source_id, line_no) AS source_id,
    last_of(line_no, counter LIKE '%connection_errors%' OR counter LIKE '%access_denied_max%', source_id, line_no) AS line_no,
    arg_max(line_no, counter = 'mysql_global_status_aborted_connects') AS aborted_line_no
  FROM counter_growth
  GROUP BY server, since_at, until_at
),
full_at AS (
  SELECT occupancy.server, known_at
  FROM occupancy
  JOIN capacity ON capacity.server = occupancy.server AND occupancy.in_use >= capacity.max_backends
),
measured AS (
  SELECT
    told.*,
    coalesce(errors, 0) > 0
      OR coalesce(most_used > capacity.max_backends AND most_used_growth > 0, false)
      OR coalesce(full_at.known_at >= told.since_at - INTERVAL 1 SECOND, false) AS is_full
  FROM told
  LEFT JOIN capacity ON capacity.server = told.server
  ASOF LEFT JOIN full_at
    ON full_at.server = told.server
   AND full_at.known_at <= told.until_at
),
wrong_password AS (
  SELECT told.server, told.since_at, told.until_at, count(*) AS logged
  FROM told
  JOIN event
    ON event.kind = 'auth_failed'
   AND is_mysql(event.engine)
   AND event.event_at > told.since_at
   AND event.event_at <= told.until_at
  WHERE told.denied IS NULL
  GROUP BY ALL
),
at_quota AS (
  SELECT told.server, told.since_at, told.until_at, mode(used_quota.whose) AS whose
  FROM told
  JOIN used_quota
    ON used_quota.server = told.server
   AND used_quota.kind = 'user'
   AND used_quota.sampled_at >= told.since_at - INTERVAL 1 SECOND
   AND used_quota.sampled_at <= told.until_at
  GROUP BY ALL
),
limited AS (
  SELECT
    measured.*,
    -- MySQL counts wrong passwords nowhere: what its log tells of them is the least they were.
    aborted - coalesce(denied, logged, 0) AS unexplained,
    whose
  FROM measured
  JOIN at_quota USING (server, since_at, until_at)
  LEFT JOIN wrong_password USING (server, since_at, until_at)
),
refused AS (
  SELECT
    server, 'server' AS refuser, 'refused_full' AS kind, NULL AS whose, since_at, until_at, is_since_start,
    greatest(coalesce(errors, 0), CASE WHEN is_full AND denied IS NOT NULL THEN aborted - denied ELSE 0 END) AS refusals,
    CASE
      WHEN is_full AND aborted - denied > coalesce(errors, 0) THEN 'Aborted_connects less Access_denied_errors and Aborted_connects_preauth'
      ELSE 'Connection_errors_max_connections'
    END AS counter,
    source_id,
    CASE WHEN is_full AND aborted - denied > coalesce(errors, 0) THEN aborted_line_no ELSE line_no END AS line_no
  FROM measured
  UNION ALL
  SELECT server, 'server', 'refused_quota', whose, since_at, until_at, is_since_start, unexplained,
         'Aborted_connects less wrong passwords and probes', source_id, aborted_line_no
  FROM limited
  WHERE NOT is_full
    AND NOT is_since_start
  UNION ALL
  SELECT server, 'proxysql', 'refused_full', NULL, since_at, until_at, is_since_start, pooler_full, 'access_denied_max_connections', source_id, line_no
  FROM measured
  UNION ALL
  SELECT server, 'proxysql', 'refused_quota', NULL, since_at, until_at, is_since_start, pooler_quota, 'access_denied_max_user_connections', source_id, line_no
  FROM measured
),
counted AS (
  FROM refused
  WHERE refusals > 0
),
logged AS (
  SELECT counted.server, counted.refuser, counted.kind, counted.since_at, counted.until_at, count(*) AS refusals
  FROM counted
  JOIN refusal
    ON refusal.server = counted.server
   AND refusal.refuser = counted.refuser
   AND refusal.kind = counted.kind
   AND refusal.refused_at > counted.since_at
   AND refusal.refused_at <= counted.until_at + CASE WHEN counted.until_at = date_trunc('second', counted.until_at) THEN INTERVAL 1 SECOND ELSE INTERVAL 0 SECOND END
  GROUP BY ALL
),
fullest AS (
  SELECT counted.server, counted.since_at, counted.until_at, arg_min(known_at, (basis = 'high-water mark', -in_use, known_at)) AS fullest_at
  FROM counted
  JOIN occupancy
    ON occupancy.server = counted.server
   AND occupancy.known_at >= counted.since_at
   AND occupancy.known_at <= counted.until_at
  GROUP BY ALL
),
used_up AS (
  SELECT counted.server, counted.since_at, counted.until_at, counted.whose, min(sampled_at) AS fullest_at
  FROM counted
  JOIN used_quota
    ON used_quota.server = counted.server
   AND used_quota.whose = counted.whose
   AND used_quota.sampled_at >= counted.since_at
   AND used_quota.sampled_at <= counted.until_at
  GROUP BY ALL
)
SELECT
  counted.*,
  greatest(counted.refusals - coalesce(logged.refusals, 0), 0) AS unlogged,
  coalesce(used_up.fullest_at, fullest.fullest_at, counted.until_at) AS fullest_at
FROM counted
LEFT JOIN logged USING (server, refuser, kind, since_at, until_at)
LEFT JOIN fullest USING (server, since_at, until_at)
LEFT JOIN used_up
  ON used_up.server = counted.server
 AND used_up.since_at = counted.since_at
 AND used_up.until_at = counted.until_at
 AND used_up.whose = counted.whose
