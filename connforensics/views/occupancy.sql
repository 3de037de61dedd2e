-- One row is one instant at which the number of used slots of a server is known: a snapshot, or (where the log writes
-- openings and ends) a change in the log. in_use of a log is a lower bound; basis says which it is.
SELECT server, sampled_at AS known_at, in_use, 'snapshot' AS basis, source_id, line_no
FROM snapshot
UNION ALL
SELECT session_count.server, changed_at, greatest(open_sessions, 0), 'log', source_id, line_no
FROM session_count
JOIN log_knows_ends AS log
  ON log.server = session_count.server
 AND log.has_openings
 AND log.has_ends
