-- One row is one snapshot of one server: when it was taken and how many clients' backends it shows.
SELECT
  coalesce(server, '') AS server,
  sampled_at,
  min(source_id) AS source_id,
  min(line_no) AS line_no,
  count(*) FILTER (WHERE is_client_backend(engine, backend_type, user_name, query)) AS in_use,
  count(*) AS backends
FROM backend_sample
WHERE sampled_at IS NOT NULL
  AND is_of_whole_snapshot(engine, backend_type)
GROUP BY ALL
