-- One row is one server: how many clients it can hold, and how that is known.
-- usable_backends is what ordinary roles get. PostgreSQL: max_connections less superuser_reserved_connections (3 unless
-- set) less reserved_connections (version 16 and newer, 0 unless set). MySQL and MariaDB: max_connections; the one slot
-- that administrators have comes on top. Where no setting is in evidence, MySQL's own line about a limit that it lowered
-- at its start tells it; else, where the server refused for want of a slot, the sessions open at the first such refusal
-- are the inferred limit; otherwise it is unknown.
WITH shown AS (
  SELECT coalesce(server, '') AS server, engine, name, try_cast(value AS BIGINT) AS value, source_id, line_no, valid_at
  FROM setting
  WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
    AND coalesce(engine, 'postgres') NOT IN ('pgbouncer', 'proxysql')
  UNION ALL
  SELECT
    coalesce(server, ''),
    engine,
    'max_connections',
    try_cast(coalesce(nullif(regexp_extract(detail, 'adjusted to (\d+)', 1), ''), regexp_extract(detail, 'max_connections: (\d+)', 1)) AS BIGINT),
    source_id,
    line_no,
    event_at
  FROM event
  WHERE kind = 'setting_changed'
    AND reason = 'max_connections'
    AND is_mysql(engine)
),
named AS (
  SELECT
    server,
    name,
    max(engine) AS engine,
    arg_max(value, coalesce(valid_at, TIMESTAMP '1970-01-01')) AS value,
    last_of(source_id, coalesce(valid_at, TIMESTAMP '1970-01-01'), source_id, line_no) AS source_id,
    last_of(line_no, coalesce(valid_at, TIMESTAMP '1970-01-01'), source_id, line_no) AS line_no
  FROM shown
  WHERE value IS NOT NULL
  GROUP BY ALL
),
configured AS (
  SELECT
    server,
    max(engine) AS engine,
    max(value) FILTER (WHERE name = 'max_connections') AS max_backends,
    max(value) FILTER (WHERE name = 'superuser_reserved_connections') AS superuser_reserved,
    max(value) FILTER (WHERE name = 'reserved_connections') AS role_reserved,
    max(source_id) FILTER (WHERE name = 'max_connections') AS source_id,
    max(line_no) FILTER (WHERE name = 'max_connections') AS line_no
  FROM named
  GROUP BY ALL
  HAVING max_backends IS NOT NULL
),
serving AS (
  SELECT DISTINCT coalesce(server, '') AS server, engine
  FROM source
  WHERE is_server(engine)
),
first_refusal AS (
  SELECT server, min(refused_at) AS refused_at, first_of(source_id, refused_at, source_id, line_no) AS source_id, first_of(line_no, refused_at, source_id, line_no) AS line_no
  FROM refusal
  WHERE kind IN ('refused_full', 'refused_reserved')
    AND seen_in = 'server log'
    AND refuser = 'server'
  GROUP BY ALL
),
at_refusal AS (
  SELECT
    first_refusal.server,
    first_refusal.source_id,
    first_refusal.line_no,
    greatest(
      (
        SELECT max(session_count.open_sessions)
        FROM session_count
        JOIN log_knows_ends AS log ON log.server = session_count.server AND log.has_openings AND log.has_ends
        WHERE session_count.server = first_refusal.server
      ),
      (SELECT max(in_use) FROM snapshot WHERE snapshot.server = first_refusal.server)
    ) AS in_use
  FROM first_refusal
)
SELECT
  server,
  max_backends,
  coalesce(superuser_reserved, CASE WHEN known_engine = 'postgres' THEN 3 ELSE 0 END) + coalesce(role_reserved, 0) AS reserved_backends,
  max_backends - coalesce(superuser_reserved, CASE WHEN known_engine = 'postgres' THEN 3 ELSE 0 END) - coalesce(role_reserved, 0) AS usable_backends,
  CASE
    WHEN superuser_reserved IS NULL AND known_engine = 'postgres' THEN 'setting, superuser_reserved_connections assumed 3'
    ELSE 'setting'
  END AS basis,
  source_id,
  line_no
FROM (
  SELECT configured.* REPLACE (coalesce(nullif(configured.server, ''), sole_server.server, '') AS server),
         coalesce(
           configured.engine,
           (SELECT any_value(serving.engine) FROM serving WHERE serving.server = configured.server),
           sole_server.engine,
           'postgres'
         ) AS known_engine
  FROM configured
  LEFT JOIN sole_server ON true
)
UNION ALL
SELECT server, NULL, NULL, in_use, 'inferred from refusals', source_id, line_no
FROM at_refusal
WHERE in_use IS NOT NULL
  AND server NOT IN (SELECT server FROM configured)
  AND NOT EXISTS (SELECT 1 FROM configured WHERE configured.server = '')
