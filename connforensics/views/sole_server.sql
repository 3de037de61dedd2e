-- One row, or none: the name of the case's only database server. Evidence that names no server is of it.
SELECT any_value(coalesce(server, '')) AS server, any_value(engine) AS engine
FROM source
WHERE is_server(engine)
HAVING count(DISTINCT coalesce(server, '')) = 1
