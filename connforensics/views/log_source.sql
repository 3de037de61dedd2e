-- One row is one log of the case: what logs of its kind write about sessions, and what they leave out.
-- refusals: 'all' of a server's own ('all of the pooler' of a pooler's), or 'some', or 'none' that could be told apart.
-- openings: of 'sessions' that were let in, of 'attempts' let in or not, of 'some' attempts, or of 'none'.
-- ends: 'all', 'polite' (a client that vanishes, or is refused after its login, leaves no line), 'some', or 'none'.
-- PostgreSQL writes each refusal as FATAL, below which log_min_messages is hardly ever set. MySQL's and MariaDB's error
-- logs write a refusal before the login at most, and that not in every version and not each time; their general log
-- writes a refused login as a Connect like any other. Poolers and applications know what befell their own clients.
-- https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-SEVERITY-LEVELS
-- https://dev.mysql.com/doc/refman/8.4/en/communication-errors.html
WITH trait (format, refusals, openings, ends) AS (
  VALUES
    ('postgres_log', 'all', 'sessions', 'all'),
    ('postgres_csvlog', 'all', 'sessions', 'all'),
    ('postgres_jsonlog', 'all', 'sessions', 'all'),
    ('mysql_error_log', 'some', 'none', 'some'),
    ('mysql_general_log', 'none', 'attempts', 'polite'),
    ('mysql_audit_log', 'some', 'sessions', 'all'),
    ('mysql_slow_log', 'none', 'none', 'none'),
    ('pgbouncer_log', 'all of the pooler', 'none', 'none'),
    ('poolers_log', 'all of the pooler', 'none', 'none'),
    ('proxysql_log', 'some', 'none', 'none'),
    ('rds_proxy_log', 'some', 'none', 'none'),
    ('application_log', 'some', 'none', 'none')
)
SELECT
  source_id,
  coalesce(server, '') AS server,
  engine,
  trait.format,
  refusals,
  openings,
  ends,
  first_at,
  last_at
FROM source
JOIN trait ON list_contains(string_split(source.format, ', '), trait.format)
