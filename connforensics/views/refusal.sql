-- One row is one refusal for want of a slot that a log tells of: by a server, or by a pooler in front of it (refuser).
-- The same refusal may stand in four places (server, pooler twice, client); it is counted where it was decided. A server's
-- is taken from its own log where that writes all of them; where it writes only some (MySQL's), from whichever tells of
-- more, its log or those it refused. What counters know beyond is in counted_refusal.
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
told AS (
  SELECT
    coalesce(server, '') AS server,
    coalesce(engine, 'client') AS engine,
    kind AS written_as,
    CASE
      WHEN kind IN ('refused_full', 'refused_quota', 'refused_reserved') THEN kind
      WHEN regexp_matches(reason, '\(max_(db|user)_|quota|max_user_connections|too many connections for') THEN 'refused_quota'
      WHEN regexp_matches(reason, 'reserved') THEN 'refused_reserved'
      ELSE 'refused_full'
    END AS kind,
    reason,
    event_at AS refused_at,
    source_id,
    line_no,
    user_name,
    database_name,
    application_name,
    client_host,
    detail,
    kind = 'client_refused'
      AND NOT regexp_matches(coalesce(text, ''), 'no more connections allowed|max clients reached|Max client connections reached') AS is_by_server
  FROM event
  WHERE (kind = 'client_refused' AND coalesce(reason, '') <> 'blocked')
     OR (is_slot_refusal(kind) AND NOT is_server(engine))
     OR (
       kind IN ('pooler_error', 'pooler_client_closed')
       AND regexp_matches(reason, '^no more connections allowed|\(max_(client_conn|(db|user)_(client_)?connections)\)')
     )
),
by_pooler AS (
  SELECT
    *,
    CASE written_as WHEN 'client_refused' THEN 3 WHEN 'pooler_client_closed' THEN 2 ELSE 1 END AS place
  FROM told
  WHERE NOT is_by_server
  -- Told to the client, noted when it is let go, repeated by the client: the first place that tells of any counts.
  QUALIFY place = min(place) OVER ()
),
by_server AS (
  SELECT *
  FROM told
  WHERE is_by_server
),
told_by_server AS (
  SELECT min(log_source.first_at) AS first_at, max(log_source.last_at) AS last_at
  FROM log_source
  JOIN (SELECT DISTINCT server FROM server_side) AS refusing USING (server)
  WHERE refusals = 'all'
),
told_in_part AS (
  SELECT (SELECT count(*) FROM server_side WHERE is_mysql(engine)) AS in_log, (SELECT count(*) FROM by_server) AS by_clients
)
SELECT *, 'server' AS refuser, 'server log' AS seen_in, client_of(application_name, user_name, client_host) AS client
FROM server_side
WHERE NOT is_mysql(engine)
   OR (SELECT in_log >= by_clients FROM told_in_part)
UNION ALL BY NAME
SELECT * EXCLUDE (written_as, is_by_server), 'server' AS refuser, engine || ' log' AS seen_in,
       client_of(application_name, user_name, client_host) AS client
FROM by_server
WHERE NOT EXISTS (
    SELECT 1
    FROM told_by_server
    WHERE by_server.refused_at BETWEEN told_by_server.first_at AND told_by_server.last_at
  )
  AND (SELECT in_log < by_clients FROM told_in_part)
UNION ALL BY NAME
SELECT * EXCLUDE (written_as, is_by_server, place), CASE WHEN engine = 'client' OR written_as = 'client_refused' THEN 'pooler' ELSE engine END AS refuser,
       engine || ' log' AS seen_in, client_of(application_name, user_name, client_host) AS client
FROM by_pooler
