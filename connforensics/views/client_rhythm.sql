-- One row is one client: how long its sessions usually rest before they are used again, and from when on a rest counts
-- as stale: three times the rest that 99 of 100 of its finished rests stay below, and never less than 10 s or three
-- snapshot intervals (judgement: a rest that long has not been seen to end in use).
WITH interval AS (
  SELECT server, median(step_s) AS interval_s
  FROM (
    SELECT server, epoch(sampled_at - lag(sampled_at) OVER (PARTITION BY server ORDER BY sampled_at)) AS step_s
    FROM snapshot
  )
  GROUP BY ALL
)
SELECT
  idle_spell.server,
  client,
  count(*) FILTER (WHERE is_ended_by_use) AS finished_rests,
  quantile_cont(seconds, 0.99) FILTER (WHERE is_ended_by_use) AS usual_rest_s,
  greatest(10, 3 * coalesce(any_value(interval_s), 0), least(3 * coalesce(usual_rest_s, 0), 600)) AS stale_after_s
FROM idle_spell
LEFT JOIN interval USING (server)
WHERE NOT is_in_transaction
GROUP BY ALL
