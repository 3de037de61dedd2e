-- One row is one session that was seen at rest outside a transaction for longer than its client lets a session rest that
-- it still uses, and was never seen used again: abandoned_at is the end of its last use. Whether it is a leak depends
-- on its client: one that opens new sessions meanwhile does not know it still has this one.
SELECT
  idle_spell.server,
  idle_spell.client,
  backend_id,
  backend_start_at,
  state_change_at AS abandoned_at,
  last_seen_at,
  seconds AS rested_s,
  stale_after_s,
  (
    SELECT count(*)
    FROM mass_end
    WHERE mass_end.server = idle_spell.server
      AND mass_end.client = idle_spell.client
      AND mass_end.ended_at <= idle_spell.last_seen_at
  ) AS ramp_no,
  source_id,
  line_no
FROM idle_spell
JOIN client_rhythm
  ON client_rhythm.server = idle_spell.server
 AND client_rhythm.client = idle_spell.client
WHERE NOT is_in_transaction
  AND NOT is_ended_by_use
  AND seconds > stale_after_s
