-- One row is one source: where its lines are cited from.
SELECT source_id, path
FROM source
