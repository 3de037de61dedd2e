"""Strangers knock: refusals by rule, failed logins, foreign start packets from addresses that never logged in.

For it: their number and their share of all attempts. Against it: there are few, or they come from addresses that log in
as well (a service with a changed password).
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

MANY = 50
"""Fewer failed attempts than this are everyday noise of a reachable port (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against strangers at the door."""
    found = Assessment("external_scan")
    if not scene.has_log:
        found.lacks("a server log: who was turned away at the door")
        _from_counters(scene, found)
        return found
    knocks = scene.rows(
        """
        WITH knock AS (
          SELECT event_at, client_host, kind, source_id, line_no
          FROM event
          WHERE (kind IN ('refused_rule', 'auth_failed', 'bad_startup', 'unknown_target')
                 OR (kind = 'session_aborted' AND reason = 'unauthenticated'))
            AND is_server(engine)
            AND (event_at IS NULL OR (event_at >= $since AND event_at < $until))
        ),
        friend AS (
          SELECT DISTINCT client_host FROM session WHERE outcome = 'admitted' AND client_host IS NOT NULL
          UNION
          SELECT DISTINCT client_host FROM client_backend WHERE client_host IS NOT NULL
          UNION
          SELECT unnest(['localhost', '[local]'])
        ),
        addressed AS (
          SELECT knock.*, coalesce(knock.client_host, session.client_host) AS address
          FROM knock
          LEFT JOIN session ON session.failed_line_no = knock.line_no AND session.failed_at = knock.event_at
        ),
        -- MariaDB writes a second line where a login failed: that its connection was given up.
        counted AS (
          SELECT
            address,
            greatest(count(*) FILTER (WHERE kind <> 'session_aborted'), count(*) FILTER (WHERE kind = 'session_aborted')) AS knocks,
            min(event_at) AS first_at,
            first_of(source_id, event_at, source_id, line_no) AS source_id,
            first_of(line_no, event_at, source_id, line_no) AS line_no
          FROM addressed
          GROUP BY address
        )
        SELECT coalesce(sum(knocks) FILTER (WHERE address IS NULL OR address NOT IN (SELECT client_host FROM friend)), 0)::BIGINT,
               coalesce(sum(knocks), 0)::BIGINT,
               arg_max(address, knocks) FILTER (WHERE address NOT IN (SELECT client_host FROM friend)),
               min(first_at) FILTER (WHERE address IS NULL OR address NOT IN (SELECT client_host FROM friend)),
               arg_min(source_id, first_at) FILTER (WHERE address IS NULL OR address NOT IN (SELECT client_host FROM friend)),
               arg_min(line_no, first_at) FILTER (WHERE address IS NULL OR address NOT IN (SELECT client_host FROM friend)),
               (SELECT count(*) FROM friend)
        FROM counted
        """
    )[0]
    strange, turned_away, address, first_at, source_id, line_no, friends = knocks
    where = scene.cite((source_id, line_no))
    if strange < MANY:
        found.add(
            f"only {strange} attempts by addresses that never logged in were turned away",
            float(strange),
            "attempts",
            1 / 100,
            where,
        )
        return found
    attempts = _attempts(scene) or (turned_away if scene.logs_attempts else 0)
    share = strange / max(attempts, strange) if attempts else None
    if share is None or friends <= 2:
        found.add(
            f"{strange:,} attempts were turned away by addresses that no evidence shows logged in",
            float(strange),
            "attempts",
            10,
            where,
        )
        found.lacks("who does log in from where: snapshots, or a log of connections")
    else:
        found.add(
            f"{strange:,} attempts by addresses that never logged in were turned away, {share:.0%} of all",
            float(strange),
            "attempts",
            100 if share >= 0.5 else 10,
            where,
        )
    if address is not None:
        found.culprit = ("host", str(address))
    found.onset_at = first_at
    slots = sum(count for kind, count in scene.refusals.items() if kind != "refused_quota")
    if slots and (share or 0) < 0.5:
        found.add(
            f"{slots} clients were refused for want of a slot, which such attempts do not hold for long",
            float(slots),
            "refusals",
            1 / 10,
            scene.refusal_citations,
        )
    return found


def _attempts(scene: Scene) -> int:
    """Return how many attempts to connect were made in the window, by the log that tells of all, else by a counter; 0 if unknown."""
    if scene.logs_attempts:
        return int(scene.rows("SELECT count(*) FROM session WHERE server = $server")[0][0])
    found = scene.rows(
        """
        SELECT coalesce(sum(growth), 0)::BIGINT
        FROM counter_growth
        WHERE server = $server AND counter = 'mysql_global_status_connections' AND NOT is_since_start
          AND since_at >= $since AND until_at < $until
        """
    )
    return int(found[0][0])


def _from_counters(scene: Scene, found: Assessment) -> None:
    """Weigh failed logins that MariaDB counted (wrong passwords, connections given up before the login), above their usual."""
    told = scene.first(
        """
        WITH step AS (
          SELECT since_at, until_at,
                 max(growth) FILTER (WHERE counter = 'mysql_global_status_access_denied_errors')
                 + coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects_preauth'), 0) AS knocks,
                 min(source_id) AS source_id, min(line_no) AS line_no
          FROM counter_growth
          WHERE server = $server AND NOT is_since_start AND since_at >= $since AND until_at < $until
          GROUP BY since_at, until_at
        ),
        usual AS (
          SELECT min(knocks / epoch(until_at - since_at)) AS per_s FROM step HAVING count(knocks) >= 3
        )
        SELECT sum(greatest(knocks - per_s * epoch(until_at - since_at), 0)), max(knocks / epoch(until_at - since_at)), any_value(per_s),
               min(since_at) FILTER (WHERE knocks / epoch(until_at - since_at) >= 5 * per_s + 1),
               last_of(source_id, knocks, source_id, line_no), last_of(line_no, knocks, source_id, line_no)
        FROM step, usual
        """
    )
    if told is None or told[0] is None or told[0] < MANY or told[1] < 5 * told[2]:
        return
    found.add(
        f"{told[0]:.0f} failed logins above the usual were counted, at most {told[1]:.1f} a second; by whom is not told",
        float(told[0]),
        "attempts",
        10,
        scene.cite(told[4:]),
    )
    found.onset_at = told[3]
    found.is_onset_estimated = True
