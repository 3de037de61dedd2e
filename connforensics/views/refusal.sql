-- One row is one refusal for want of a slot: by the server where its log tells, else as a client or a pooler repeats it.
-- The same refusal may stand in four places (server, pooler twice, client); it is counted where it was decided.
WITH server_side AS (
  SELECT
    coalesce(event.server, '') AS server,
    event.engine,
    event.kind,
    coalesce(event.reason, session.failure_reason) AS reason,
    event.event_at AS refused_at,
    event.source_id,
    event.line_no,
    coalesce(event.user_name, session.user_name) AS user_name,
    coalesce(event.database_name, session.database_name) AS database_name,
    coalesce(event.application_name, session.application_name) AS application_name,
    coalesce(event.client_host, session.client_host) AS client_host,
    event.detail
  FROM event
  LEFT JOIN session
    ON session.failed_line_no = event.line_no
   AND session.failed_at = event.event_at
   AND session.backend_id = event.backend_id
   AND session.server = coalesce(event.server, '')
  WHERE is_slot_refusal(event.kind)
    AND is_server(event.engine)
),
told_by_server AS (
  SELECT min(log.first_at) AS first_at, max(log.last_at) AS last_at
  FROM log_knows_ends AS log
  JOIN (SELECT DISTINCT server FROM server_side) AS refusing USING (server)
),
elsewhere AS (
  SELECT
    coalesce(server, '') AS server,
    engine,
    kind,
    reason,
    event_at AS refused_at,
    source_id,
    line_no,
    user_name,
    database_name,
    application_name,
    client_host,
    detail
  FROM event
  WHERE (
      kind = 'client_refused'
      OR (is_slot_refusal(kind) AND NOT is_server(engine))
    )
    AND NOT EXISTS (
      SELECT 1
      FROM told_by_server
      WHERE event.event_at BETWEEN told_by_server.first_at AND told_by_server.last_at
    )
)
SELECT *, 'server log' AS seen_in, client_of(application_name, user_name, client_host) AS client FROM server_side
UNION ALL
SELECT *, coalesce(engine, 'client') || ' log' AS seen_in, client_of(application_name, user_name, client_host) AS client FROM elsewhere
