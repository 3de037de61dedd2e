-- One row: the first and last instant that any evidence of the case speaks about.
SELECT min(first_at) AS first_at, max(last_at) AS last_at
FROM source
