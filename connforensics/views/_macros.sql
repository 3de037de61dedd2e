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
    nullif(nullif(user_name, ''), '[unknown]'),
    client_host,
    'unknown'
  );

-- Whether a row of a snapshot holds one of the slots that max_connections counts: a client's backend, no background
-- process, no parallel worker, and (since PostgreSQL 12) no WAL sender. Before version 10 there is no backend_type.
CREATE TEMP MACRO is_client_backend(backend_type, user_name, query) AS
  CASE
    WHEN backend_type IS NOT NULL THEN backend_type = 'client backend'
    ELSE user_name IS NOT NULL AND NOT starts_with(coalesce(query, ''), 'autovacuum: ')
  END;

CREATE TEMP MACRO is_slot_refusal(kind) AS kind IN ('refused_full', 'refused_reserved', 'refused_quota');

CREATE TEMP MACRO is_server(engine) AS coalesce(engine, '') IN ('postgres', 'mysql', 'mariadb');

CREATE TEMP MACRO cited(path, line_no) AS path || ':' || line_no;
