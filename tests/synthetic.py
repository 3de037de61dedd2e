"""A made-up incident written straight into a case: rows as the readers store them, with names as an attacker picks them.

The real incidents of data/ are what the analyses are judged on; this one exists for what they do not hold: hostile
names, two servers, gaps in the series, and a size of one's choice.
"""

from __future__ import annotations

from pathlib import Path

from connforensics.case import create_or_open

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>|`*_[a](javascript:window.pwned=1)"
START = "TIMESTAMP '2026-11-20 13:40:00'"

LEAK = f"""
INSERT INTO source BY NAME
SELECT * FROM (VALUES
  (1, 'activity.csv', repeat('a', 64), 100000, 'postgres_activity', 1.0, 'postgres', '16.4', 'primary', 40000, 40000, 0, 0, 0, 0),
  (2, 'postgresql.log', repeat('b', 64), 90000, 'postgres_log', 1.0, 'postgres', '16.4', 'primary', 9000, 8900, 90, 10, 0, 2),
  (3, 'pools.csv', repeat('c', 64), 9000, 'pool_csv', 1.0, NULL, NULL, NULL, 500, 500, 0, 0, 0, 0)
) AS told(source_id, path, sha256, bytes, format, certainty, engine, version, server, lines, understood, ignored, unknown,
          duplicates, suspects),
LATERAL (SELECT {START} AS first_at, {START} + INTERVAL 40 MINUTE AS last_at, false AS is_truncated);

INSERT INTO setting BY NAME
SELECT 2 AS source_id, 1 AS line_no, 'primary' AS server, 'postgres' AS engine, name, value
FROM (VALUES ('max_connections', '100'), ('superuser_reserved_connections', '3')) AS told(name, value);

INSERT INTO backend_sample BY NAME
WITH tick AS (
  SELECT {START} + to_seconds(range) AS sampled_at, range AS second
  FROM range(0, 2400, 10)
  WHERE range NOT BETWEEN 900 AND 1100
),
resident AS (
  SELECT sampled_at, second, 'leaky' AS who, n, {START} + to_seconds(300 + n * 20) AS backend_start_at, 'idle' AS state
  FROM tick, range(0, 80) AS sessions(n)
  WHERE second >= 300 + n * 20
  UNION ALL
  SELECT sampled_at, second, 'web', n, {START} - to_minutes(10), CASE WHEN n % 3 = 0 THEN 'active' ELSE 'idle' END
  FROM tick, range(0, 12) AS sessions(n)
  UNION ALL
  SELECT sampled_at, second, 'billing', n, {START} - to_minutes(10), 'idle in transaction'
  FROM tick, range(0, 3) AS sessions(n)
)
SELECT
  1 AS source_id,
  row_number() OVER (ORDER BY sampled_at, who, n) + 1 AS line_no,
  sampled_at,
  'primary' AS server,
  'postgres' AS engine,
  CASE who WHEN 'leaky' THEN 1000 WHEN 'web' THEN 5000 ELSE 7000 END + n AS backend_id,
  'app' AS user_name,
  'shop' AS database_name,
  CASE who WHEN 'leaky' THEN $leaker ELSE who END AS application_name,
  '10.0.0.' || CASE who WHEN 'leaky' THEN 5 ELSE 6 END AS client_host,
  30000 + n AS client_port,
  'client backend' AS backend_type,
  backend_start_at,
  CASE WHEN state = 'idle in transaction' THEN sampled_at - to_seconds(second % 40) END AS xact_start_at,
  CASE who WHEN 'leaky' THEN backend_start_at + to_seconds(1) ELSE sampled_at - to_seconds(1) END AS query_start_at,
  CASE who WHEN 'leaky' THEN backend_start_at + to_seconds(1) ELSE sampled_at - to_seconds(1) END AS state_change_at,
  state,
  $leaker AS query
FROM resident;

INSERT INTO event BY NAME
SELECT
  2 AS source_id,
  range + 10 AS line_no,
  {START} + to_seconds(range) AS event_at,
  'primary' AS server,
  'postgres' AS engine,
  CASE WHEN range >= 1980 AND range % 3 = 0 THEN 'refused_full'
       WHEN range >= 1980 AND range % 3 = 1 THEN 'refused_reserved'
       ELSE 'connection_authorized' END AS kind,
  'FATAL' AS severity,
  '53300' AS sqlstate,
  20000 + range AS backend_id,
  'app' AS user_name,
  'shop' AS database_name,
  CASE WHEN range % 2 = 0 THEN 'web' ELSE $leaker END AS application_name,
  '10.0.0.6' AS client_host,
  $leaker AS text
FROM range(0, 2200, 4);

INSERT INTO event BY NAME
SELECT 2 AS source_id, 5000 AS line_no, {START} + to_minutes(1) AS event_at, 'primary' AS server, 'postgres' AS engine,
       'server_ready' AS kind, $leaker AS text, $leaker AS detail;

INSERT INTO pool_sample BY NAME
SELECT 3 AS source_id, row_number() OVER () + 1 AS line_no, {START} + to_seconds(range) AS sampled_at,
       $leaker AS service, 'a' AS instance, 'main' AS pool, 80 AS max_size, least(80, 5 + range // 20) AS size,
       least(80, 4 + range // 20) AS checked_out, 1 AS idle, CASE WHEN range > 1900 THEN 4 ELSE 0 END AS waiting
FROM range(0, 2400, 10);

INSERT INTO metric_sample BY NAME
SELECT 3 AS source_id, row_number() OVER () + 300 AS line_no, {START} + to_seconds(range) AS sampled_at, 'workers' AS name,
       MAP {{'service': $leaker}} AS labels, 8.0 AS value
FROM range(0, 2400, 60);
"""


def leak_case(path: Path, leaker: str = "orders-api") -> Path:
    """Write a case in which `leaker` leaks until the server is full; return its path."""
    con = create_or_open(path)
    try:
        for statement in LEAK.split(";\n"):
            if statement.strip():
                con.execute(statement, {"leaker": leaker} if "$leaker" in statement else None)
    finally:
        con.close()
    return path


def empty_case(path: Path) -> Path:
    """Write a case without any evidence; return its path."""
    create_or_open(path).close()
    return path
