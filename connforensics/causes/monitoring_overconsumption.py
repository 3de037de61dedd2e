"""Tools that watch take the slots or the churn.

For it: the share of slots, or of connects, that agents, exporters, probes and admin tools hold before and at saturation.
Against it: they are present but few. A name is only a hint; the share is the fact.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

WATCHERS = (
    r"(?i)(monitor|exporter|datadog|dd[-_]?agent|newrelic|new relic|prometheus|zabbix|nagios|icinga|check_|pganalyze|pgwatch|"
    r"pghero|telegraf|metricbeat|grafana|netdata|dynatrace|appdynamics|instana|pgadmin|dbeaver|datagrip|pgcli|pg_activity|"
    r"pgcenter|pmm|percona|monyog|sensu|healthcheck|health[-_]check|probe|watchdog|observab|adminer|phpmyadmin|connforensics)"
)
"""Names that tools which watch or administer use; judgement, and only ever a hint."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against the watchers."""
    found = Assessment("monitoring_overconsumption")
    holders = scene.holders
    total = sum(sessions for _, sessions, _ in holders)
    if not total:
        found.lacks("who held the slots: snapshots, or a log that writes openings and ends of sessions")
        return found
    watching = scene.rows(
        "SELECT client FROM (SELECT unnest($clients) AS client) WHERE regexp_matches(client, $names)",
        clients=[client for client, _, _ in holders],
        names=WATCHERS,
    )
    names = {client for (client,) in watching}
    held = [(client, sessions, where) for client, sessions, where in holders if client in names]
    share = sum(sessions for _, sessions, _ in held) / total
    where = tuple(place for _, _, places in held[:3] for place in places)
    claim = f"{share:.0%} of the slots were held by clients whose names are those of tools that watch"
    if share >= 0.25:
        named = ", ".join(f"{client} ({sessions:.0f})" for client, sessions, _ in held[:3])
        found.add(f"{claim}: {named}", share, "share", 100 if share >= 0.4 else 20, where)
        found.culprit = ("application", held[0][0])
        onset = scene.first(
            """
            SELECT min(backend_start_at)
            FROM client_backend
            WHERE server = $server AND client = $client AND backend_start_at >= $from_at
              AND list_contains($moments, sampled_at)
            """,
            client=held[0][0],
            moments=scene.crisis_snapshots,
            from_at=min(
                (scene.began[each] for each in ("log", "snapshots") if each in scene.began), default=scene.span.since
            ),
        )
        found.onset_at = onset[0] if onset else None
    elif share < 0.1:
        found.add(f"only {claim}", share, "share", 1 / 100, where or holders[0][2])
    else:
        found.add(claim, share, "share", 1 / 5, where)
    if scene.is_at_pool_alone and found.weight_db > 0:
        found.add("callers waited in front of the server, and nothing says that it was full", None, "", 1 / 30)
    connects = scene.first(
        """
        SELECT count(*) FILTER (WHERE regexp_matches(client, $names)) / count(*), count(*),
               min(source_id), arg_min(line_no, (source_id, line_no)) FILTER (WHERE regexp_matches(client, $names))
        FROM session
        WHERE server = $server AND outcome IN ('admitted', 'refused') AND coalesce(opened_at, failed_at) >= $since
          AND coalesce(opened_at, failed_at) <= $crisis_since
        """,
        names=WATCHERS,
    )
    if connects is not None and connects[1] >= 20 and connects[0] >= 0.5:
        found.add(
            f"{connects[0]:.0%} of all connects before it was full came from them",
            float(connects[0]),
            "share",
            5,
            scene.cite(connects[2:]),
        )
        found.culprit = found.culprit or (("application", sorted(names)[0]) if names else None)
    return found
