-- Words that several views and analyses share. Run once per opened case, in its temporary schema.

-- What a client is called: its application_name where that tells clients apart, else its user, else its address.
-- Drivers' defaults say nothing about who is calling.
CREATE TEMP MACRO client_of(application_name, user_name, client_host) AS
  coalesce(
    CASE
      WHEN regexp_matches(
        lower(coalesce(application_name, '')),
        '^(|\[unknown\]|unknown|postgresql jdbc driver|mariadb connector/j|mysql connector/j|node-postgres|npgsql|pgx|psycopg2?|asyncpg|libpq)$'
      ) THEN NULL
      ELSE application_name
    END,
    nullif(nullif(nullif(user_name, ''), '[unknown]'), 'unauthenticated user'),
    client_host,
    'unknown'
  );

-- Whether an engine is a database server, and no pooler or client.
CREATE TEMP MACRO is_server(engine) AS coalesce(engine, '') IN ('postgres', 'mysql', 'mariadb');

CREATE TEMP MACRO is_mysql(engine) AS coalesce(engine, '') IN ('mysql', 'mariadb');

-- Whether a row of a snapshot holds one of the slots that max_connections counts: a client's backend, no background
-- process, no parallel worker, and in PostgreSQL (since version 12) no WAL sender; a MySQL replica's dump thread does hold
-- one. Before PostgreSQL 10 there is no backend_type.
CREATE TEMP MACRO is_client_backend(engine, backend_type, user_name, query) AS
  CASE
    WHEN backend_type = 'client backend' THEN true
    WHEN backend_type = 'walsender' THEN coalesce(engine, 'postgres') <> 'postgres'
    WHEN backend_type IS NOT NULL THEN false
    ELSE user_name IS NOT NULL AND NOT starts_with(coalesce(query, ''), 'autovacuum: ')
  END;

-- Whether a row is of a list of all sessions of a server; poolers list sessions of theirs, and MySQL's lists of
-- transactions and lock waits show some sessions only.
CREATE TEMP MACRO is_of_whole_snapshot(engine, backend_type) AS
  (engine IS NULL OR is_server(engine)) AND coalesce(backend_type, '') <> 'innodb transaction';

CREATE TEMP MACRO is_slot_refusal(kind) AS kind IN ('refused_full', 'refused_reserved', 'refused_quota');

CREATE TEMP MACRO cited(path, line_no) AS path || ':' || line_no;

CREATE TEMP MACRO is_pooler(engine) AS
  coalesce(engine, '') IN ('pgbouncer', 'proxysql', 'pgcat', 'pgdog', 'odyssey', 'supavisor', 'pgpool', 'rds_proxy');

-- The source or the line of the row with the least or the greatest key: of rows alike, the first by source and line, so that
-- both come from one row and are the same each time.
CREATE TEMP MACRO first_of(told, key, source_id, line_no) AS
  arg_min(told, CASE WHEN key IS NOT NULL THEN (key, source_id, line_no) END);

CREATE TEMP MACRO last_of(told, key, source_id, line_no) AS
  arg_max(told, CASE WHEN key IS NOT NULL THEN (key, -source_id, -line_no) END);
