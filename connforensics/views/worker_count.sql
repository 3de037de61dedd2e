-- One row is one count of the workers of a service.
SELECT
  labels['service'] AS service,
  sampled_at,
  value AS workers,
  source_id,
  line_no
FROM metric_sample
WHERE name = 'workers'
  AND sampled_at IS NOT NULL
