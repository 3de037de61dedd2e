-- One row is one session, or one attempt at one, as the log of a server tells it.
-- received_at, authorized_at, closed_at are what is written; opened_at and ended_at are when a slot was held:
-- `connection authorized` is not admission (a reserved-slot refusal comes after it), a refused backend writes no
-- disconnection, pids are reused, and a crash ends every session without a line. Unknown times stay NULL.
-- MySQL's general log writes a login that is refused as a Connect like any other, and no end where the client vanishes.
-- Where snapshots go on, one that misses such a session has seen its end; one that no snapshot ever showed and whose
-- end is not written may never have been let in: its outcome is 'unconfirmed'.
WITH life AS (
  SELECT
    coalesce(server, '') AS server,
    source_id,
    line_no,
    event_at,
    kind,
    reason,
    backend_id,
    session_key,
    user_name,
    database_name,
    application_name,
    client_host,
    client_port,
    duration_ms,
    kind IN (
      'refused_full', 'refused_reserved', 'refused_quota', 'refused_state', 'refused_rule', 'auth_failed',
      'auth_timeout', 'unknown_target', 'bad_startup'
    ) AS is_failure,
    kind IN ('session_terminated', 'fatal_error') AS is_fatal,
    source_id IN (SELECT source_id FROM log_source WHERE openings = 'attempts') AS is_attempt
  FROM event
  WHERE is_server(engine)
    AND backend_id IS NOT NULL
    AND event_at IS NOT NULL
    AND kind IN (
      'connection_received', 'connection_authenticated', 'connection_authorized', 'connection_ready',
      'connection_opened', 'connection_closed', 'session_aborted', 'session_terminated', 'fatal_error',
      'refused_full', 'refused_reserved', 'refused_quota', 'refused_state', 'refused_rule', 'auth_failed',
      'auth_timeout', 'unknown_target', 'bad_startup'
    )
    AND NOT (kind = 'session_aborted' AND coalesce(reason, '') = 'unauthenticated')
),
followed AS (
  SELECT
    *,
    lag(kind) OVER lifeline AS previous_kind,
    lag(is_failure OR is_fatal OR kind IN ('connection_closed', 'session_aborted')) OVER lifeline AS previous_is_end
  FROM life
  WINDOW lifeline AS (PARTITION BY server, backend_id, session_key ORDER BY event_at, source_id, line_no)
),
numbered AS (
  SELECT
    *,
    sum(
      CASE
        WHEN previous_kind IS NULL OR kind IN ('connection_received', 'connection_opened') THEN 1
        WHEN kind IN ('connection_closed', 'session_aborted') THEN (previous_is_end AND previous_kind NOT IN ('session_terminated', 'fatal_error'))::INTEGER
        ELSE previous_is_end::INTEGER
      END
    ) OVER (PARTITION BY server, backend_id, session_key ORDER BY event_at, source_id, line_no) AS session_no
  FROM followed
),
told AS (
  SELECT
    server,
    backend_id,
    session_key,
    session_no,
    arg_min(source_id, (event_at, source_id, line_no)) AS source_id,
    arg_min(line_no, (event_at, source_id, line_no)) AS line_no,
    max(user_name) AS user_name,
    max(database_name) AS database_name,
    max(application_name) AS application_name,
    max(client_host) AS client_host,
    max(client_port) AS client_port,
    min(event_at) FILTER (WHERE kind = 'connection_received') AS received_at,
    min(event_at) FILTER (WHERE kind IN ('connection_authorized', 'connection_opened')) AS authorized_at,
    min(line_no) FILTER (WHERE kind IN ('connection_authorized', 'connection_opened')) AS authorized_line_no,
    max(event_at) FILTER (WHERE kind IN ('connection_closed', 'session_aborted')) AS closed_at,
    max(line_no) FILTER (WHERE kind IN ('connection_closed', 'session_aborted')) AS closed_line_no,
    max(duration_ms) FILTER (WHERE kind = 'connection_closed') AS duration_ms,
    min(event_at) FILTER (WHERE is_fatal) AS fatal_at,
    min(reason) FILTER (WHERE is_fatal) AS fatal_reason,
    min(event_at) FILTER (WHERE is_failure) AS failed_at,
    arg_min(kind, (event_at, line_no)) FILTER (WHERE is_failure) AS failure,
    arg_min(reason, (event_at, line_no)) FILTER (WHERE is_failure AND reason IS NOT NULL) AS failure_reason,
    arg_min(line_no, (event_at, line_no)) FILTER (WHERE is_failure) AS failed_line_no,
    bool_or(kind = 'connection_authorized' AND reason = 'replication') AS is_replication,
    bool_or(is_attempt) AS is_attempt
  FROM numbered
  GROUP BY ALL
),
sighted AS (
  SELECT server, backend_id, first_seen_at, max(sampled_at) AS last_seen_at
  FROM sighting
  GROUP BY ALL
),
open_ended AS (
  SELECT
    told.server,
    told.backend_id,
    told.session_no,
    any_value(told.authorized_at) AS authorized_at,
    any_value(sighted.last_seen_at) AS last_seen_at,
    coalesce(any_value(sighted.last_seen_at), any_value(told.authorized_at) + INTERVAL 1 SECOND) AS alive_at
  FROM told
  LEFT JOIN sighted
    ON sighted.server = told.server
   AND sighted.backend_id = told.backend_id
   AND sighted.last_seen_at >= told.authorized_at - INTERVAL 1 SECOND
   AND sighted.first_seen_at <= told.authorized_at + INTERVAL 1 HOUR
  WHERE is_attempt
    AND closed_at IS NULL
    AND authorized_at IS NOT NULL
  GROUP BY ALL
),
missed AS (
  SELECT open_ended.server, backend_id, session_no, last_seen_at, snapshot.sampled_at AS missed_at
  FROM open_ended
  ASOF JOIN snapshot
    ON snapshot.server = open_ended.server
   AND snapshot.sampled_at > open_ended.alive_at
),
classed AS (
  SELECT
    *,
    CASE
      WHEN is_slot_refusal(failure) THEN 'refused'
      WHEN failure IS NOT NULL AND closed_at IS NULL THEN 'failed'
      WHEN is_attempt AND closed_at IS NULL AND missed_at IS NOT NULL AND last_seen_at IS NULL THEN 'unconfirmed'
      WHEN authorized_at IS NOT NULL OR closed_at IS NOT NULL THEN 'admitted'
      WHEN fatal_at IS NOT NULL THEN 'failed'
      ELSE 'probe'
    END AS outcome,
    coalesce(
      authorized_at,
      closed_at - to_microseconds(CAST(duration_ms * 1000 AS BIGINT)),
      CASE WHEN closed_at IS NOT NULL THEN received_at END
    ) AS admitted_at
  FROM told
  LEFT JOIN missed USING (server, backend_id, session_no)
),
server_end AS (
  SELECT
    coalesce(server, '') AS server,
    event_at
  FROM event
  WHERE is_server(engine)
    AND event_at IS NOT NULL
    AND (
      (kind = 'server_crashed' AND coalesce(reason, '') NOT IN ('start_failed', 'bind_failed'))
      OR kind = 'server_starting'
      OR (kind = 'server_ready' AND coalesce(reason, '') NOT IN ('x_plugin', 'admin_interface', 'galera'))
      OR (kind = 'server_stopping' AND reason IN ('fast', 'immediate', 'normal', 'complete'))
    )
)
SELECT
  classed.server,
  backend_id,
  session_key,
  session_no,
  source_id,
  line_no,
  user_name,
  database_name,
  application_name,
  client_host,
  client_port,
  client_of(application_name, user_name, client_host) AS client,
  coalesce(is_replication, false) AS is_replication,
  outcome,
  failure,
  failure_reason,
  failed_at,
  failed_line_no,
  received_at,
  authorized_at,
  authorized_line_no,
  closed_at,
  closed_line_no,
  duration_ms,
  CASE WHEN outcome = 'admitted' THEN admitted_at END AS opened_at,
  CASE WHEN outcome = 'admitted' THEN coalesce(closed_at, fatal_at, least(missed_at, server_end.event_at)) END AS ended_at,
  CASE
    WHEN outcome <> 'admitted' THEN NULL
    WHEN authorized_at IS NOT NULL THEN 'log'
    WHEN duration_ms IS NOT NULL THEN 'session time'
    ELSE 'log'
  END AS opened_basis,
  CASE
    WHEN outcome <> 'admitted' THEN NULL
    WHEN fatal_at IS NOT NULL THEN coalesce(fatal_reason, 'fatal')
    WHEN closed_at IS NOT NULL THEN 'closed'
    WHEN missed_at IS NOT NULL THEN 'gone'
    WHEN server_end.event_at IS NOT NULL THEN 'server ended'
    ELSE 'unknown'
  END AS ended_basis
FROM classed
ASOF LEFT JOIN server_end
  ON classed.server = server_end.server
 AND classed.admitted_at < server_end.event_at
