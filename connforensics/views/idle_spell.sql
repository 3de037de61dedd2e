-- One row is one stretch in which one session was seen doing nothing (outside or inside a transaction), from its last
-- change of state to the last snapshot that still shows it so. is_ended_by_use: a later snapshot shows the session used;
-- where a pooler lends sessions to many clients in turn, used by the same client.
WITH spell AS (
  SELECT
    server,
    client,
    backend_id,
    backend_start_at,
    state LIKE 'idle in transaction%' AS is_in_transaction,
    state_change_at,
    min(sampled_at) AS first_seen_at,
    max(sampled_at) AS last_seen_at,
    last_of(source_id, sampled_at, source_id, line_no) AS source_id,
    last_of(line_no, sampled_at, source_id, line_no) AS line_no
  FROM client_backend
  WHERE state LIKE 'idle%'
    AND state_change_at IS NOT NULL
  GROUP BY ALL
),
alive AS (
  SELECT
    server,
    backend_id,
    backend_start_at,
    CASE WHEN EXISTS (SELECT 1 FROM source WHERE is_pooler(source.engine)) THEN client END AS used_by,
    max(sampled_at) AS last_seen_at
  FROM client_backend
  GROUP BY ALL
)
SELECT
  spell.*,
  epoch(spell.last_seen_at - state_change_at) AS seconds,
  alive.last_seen_at > spell.last_seen_at AS is_ended_by_use
FROM spell
JOIN alive
  ON alive.server = spell.server
 AND alive.backend_id = spell.backend_id
 AND alive.backend_start_at IS NOT DISTINCT FROM spell.backend_start_at
 AND (alive.used_by IS NULL OR alive.used_by = spell.client)
