-- One row is one instant of occupancy held against what the server can give: headroom, saturation, and on what basis.
SELECT
  occupancy.server,
  known_at,
  in_use,
  usable_backends,
  capacity.max_backends,
  capacity.reserved_backends,
  usable_backends - in_use AS headroom,
  in_use / nullif(usable_backends, 0) AS saturation,
  occupancy.basis,
  coalesce(capacity.basis, 'unknown') AS limit_basis,
  occupancy.source_id,
  occupancy.line_no
FROM occupancy
LEFT JOIN capacity USING (server)
