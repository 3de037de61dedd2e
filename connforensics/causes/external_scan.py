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
        return found
    knocks = scene.rows(
        """
        WITH knock AS (
          SELECT event_at, client_host, kind, source_id, line_no
          FROM event
          WHERE kind IN ('refused_rule', 'auth_failed', 'bad_startup', 'unknown_target')
            AND is_server(engine)
            AND (event_at IS NULL OR (event_at >= $since AND event_at < $until))
        ),
        addressed AS (
          SELECT knock.*, coalesce(knock.client_host, session.client_host) AS address
          FROM knock
          LEFT JOIN session ON session.failed_line_no = knock.line_no AND session.failed_at = knock.event_at
        ),
        friend AS (
          SELECT DISTINCT client_host FROM session WHERE outcome = 'admitted' AND client_host IS NOT NULL
        )
        SELECT count(*) FILTER (WHERE address IS NULL OR address NOT IN (SELECT client_host FROM friend)),
               count(*),
               mode(address) FILTER (WHERE address NOT IN (SELECT client_host FROM friend)),
               min(event_at), min(source_id), arg_min(line_no, event_at)
        FROM addressed
        """
    )[0]
    strange, all_knocks, address, first_at, source_id, line_no = knocks
    where = scene.cite((source_id, line_no))
    attempts = scene.rows("SELECT count(*) FROM session WHERE server = $server")[0][0] or all_knocks
    if strange < MANY:
        found.add(
            f"only {strange} attempts by addresses that never logged in were turned away",
            float(strange),
            "attempts",
            1 / 100,
            where,
        )
        return found
    share = strange / max(attempts, strange)
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
    if slots and share < 0.5:
        found.add(
            f"{slots} clients were refused for want of a slot, which such attempts do not hold for long",
            float(slots),
            "refusals",
            1 / 10,
            scene.refusal_citations,
        )
    return found
