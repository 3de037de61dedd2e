-- One row is one user, role or database with a limit of its own in one snapshot in which it had used it up: MySQL's
-- max_user_connections (its own or everybody's), PostgreSQL's CONNECTION LIMIT of a role or a database.
WITH told AS (
  SELECT
    coalesce(server, '') AS server,
    CASE WHEN starts_with(name, 'database.') THEN 'database' WHEN starts_with(name, 'role.') THEN 'role' ELSE 'user' END AS kind,
    nullif(
      coalesce(
        nullif(regexp_extract(name, '^user\.(.*?)(@.*)?\.max_user_connections$', 1), ''),
        regexp_extract(name, '^(?:role|database)\.(.*)\.connection_limit$', 1)
      ),
      ''
    ) AS whose,
    arg_max(try_cast(value AS BIGINT), coalesce(valid_at, TIMESTAMP '1970-01-01')) AS quota
  FROM setting
  WHERE (is_mysql(engine) AND (name = 'max_user_connections' OR regexp_matches(name, '^user\..*\.max_user_connections$')))
     OR regexp_matches(name, '^(role|database)\..*\.connection_limit$')
  GROUP BY ALL
  UNION ALL
  SELECT coalesce(metric_sample.server, sole_server.server, ''), 'user', NULL, arg_max(value, sampled_at)::BIGINT
  FROM metric_sample
  LEFT JOIN sole_server ON true
  WHERE name = 'mysql_global_variables_max_user_connections'
    AND NOT EXISTS (SELECT 1 FROM setting WHERE setting.name = 'max_user_connections')
  GROUP BY ALL
),
used AS (
  SELECT server, sampled_at, 'user' AS kind, user_name AS whose, count(*) AS sessions, min(source_id) AS source_id, min(line_no) AS line_no
  FROM client_backend
  WHERE is_mysql(engine)
  GROUP BY ALL
  UNION ALL
  SELECT server, sampled_at, 'role', user_name, count(*), min(source_id), arg_min(line_no, (source_id, line_no))
  FROM client_backend
  WHERE NOT is_mysql(engine)
  GROUP BY ALL
  UNION ALL
  SELECT server, sampled_at, 'database', database_name, count(*), min(source_id), arg_min(line_no, (source_id, line_no))
  FROM client_backend
  WHERE NOT is_mysql(engine)
  GROUP BY ALL
)
SELECT used.*, coalesce(own.quota, common.quota) AS quota
FROM used
LEFT JOIN told AS own ON own.server = used.server AND own.kind = used.kind AND own.whose = used.whose
LEFT JOIN told AS common ON common.server = used.server AND common.kind = used.kind AND common.whose IS NULL
WHERE used.whose IS NOT NULL
  AND coalesce(own.quota, common.quota) > 0
  AND sessions >= coalesce(own.quota, common.quota)
