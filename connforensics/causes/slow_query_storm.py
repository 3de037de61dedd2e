"""The same work takes longer, so more of it is in flight.

For it: the sessions work (and do not wait for locks), their statements run longer than before, while no more arrive:
active sessions = arrival rate x duration (Little's law, Operations Research 9(3), 1961). Against it: idle sessions, or
durations as usual.
"""

from __future__ import annotations

from datetime import datetime

from connforensics.causes import Assessment, Scene

BUSY_SHARE = 0.5
"""From this share of active sessions on, work and not waiting fills the server (judgement)."""

SLOWER = 3.0
"""Statements that run this many times longer than before are slower, not merely unlucky (judgement)."""


def running_s(scene: Scene, snapshots: list[datetime]) -> tuple[float, float, float, tuple[str, ...]] | None:
    """Return how long active statements had been running in the given snapshots: median, number, longest, citation."""
    if not snapshots:
        return None
    found = scene.rows(
        """
        SELECT median(since_query_start_s), count(*), max(since_query_start_s), arg_max(source_id, since_query_start_s), arg_max(line_no, since_query_start_s)
        FROM client_backend
        WHERE server = $server AND state = 'active' AND since_query_start_s >= 0
          AND wait_event_type IS DISTINCT FROM 'Lock'
          AND NOT contains(coalesce(query, ''), 'pg_stat_activity')
          AND list_contains($moments, sampled_at)
        """,
        moments=snapshots,
    )[0]
    if not found[1]:
        return None
    return float(found[0]), float(found[1]), float(found[2]), scene.cite((found[3], found[4]))


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against slower work."""
    found = Assessment("slow_query_storm")
    use = scene.crisis_use
    if use is None:
        found.lacks("snapshots of the sessions: whether they worked, and for how long")
    else:
        share = use.share("active") - use.share("lock_waiters")
        claim = f"{share:.0%} of the sessions were at work in the crisis, not waiting for locks"
        if share >= BUSY_SHARE:
            found.add(claim, share, "share", 10, use.citations)
        elif share < 0.25:
            found.add(f"only {claim}", share, "share", 1 / 100, use.citations)
        then, before = running_s(scene, scene.crisis_snapshots), running_s(scene, scene.calm_snapshots)
        if then is None or before is None:
            found.lacks("snapshots of the calm before: how long statements usually run")
        else:
            ratio = then[0] / max(before[0], 0.001)
            claim = f"statements had been running for {then[0]:.2g} s in the crisis (median), against {before[0]:.2g} s before"
            if ratio >= SLOWER and then[0] >= 0.05:
                found.add(claim, ratio, "ratio", 30, (*then[3], *before[3]))
                found.onset_at = _onset(scene, min(then[0] / 2, max(SLOWER * before[0], 1.5 * before[2])))
            elif ratio < 1.5 and before[1] >= 10:
                found.add(claim, ratio, "ratio", 1 / 10, (*then[3], *before[3]))
        top = scene.first(
            """
            SELECT client
            FROM client_use
            WHERE server = $server AND list_contains($moments, sampled_at)
            GROUP BY client
            ORDER BY sum(active) DESC, client
            LIMIT 1
            """,
            moments=scene.crisis_snapshots,
        )
        if top is not None and share >= BUSY_SHARE:
            found.culprit = ("application", str(top[0]))
    _from_log(scene, found)
    return found


def _onset(scene: Scene, slow_s: float) -> datetime | None:
    """Return when the first statement began that was seen running for longer than `slow_s` after the calm."""
    found = scene.first(
        """
        SELECT min(query_start_at)
        FROM client_backend
        WHERE server = $server AND state = 'active' AND since_query_start_s >= $slow_s
          AND wait_event_type IS DISTINCT FROM 'Lock'
          AND query_start_at >= $half AND sampled_at <= $crisis_until
        """,
        slow_s=slow_s,
        half=scene.span.since + (scene.crisis[0] - scene.span.since) / 2,
    )
    return found[0] if found else None


def _from_log(scene: Scene, found: Assessment) -> None:
    slow = scene.rows(
        """
        SELECT median(duration_ms) FILTER (WHERE event_at >= $half),
               median(duration_ms) FILTER (WHERE event_at < $half),
               count(*) FILTER (WHERE event_at >= $half),
               count(*) FILTER (WHERE event_at < $half),
               arg_max(source_id, duration_ms), arg_max(line_no, duration_ms)
        FROM event
        WHERE kind = 'slow_statement' AND event_at >= $since AND event_at < $until
        """,
        half=scene.span.since + (scene.crisis[0] - scene.span.since) / 2,
    )[0]
    then, before, many, few = slow[:4]
    if many and before is not None and few >= 5 and then / max(before, 0.001) >= SLOWER:
        found.add(
            f"logged statements took {then:.0f} ms (median), against {before:.0f} ms before",
            then / before,
            "ratio",
            20,
            scene.cite(slow[4:]),
        )
    elif many >= 20 and many > 5 * max(few, 1):
        found.add(
            f"{many} slow statements were logged around the crisis, against {few} before",
            float(many),
            "statements",
            10,
            scene.cite(slow[4:]),
        )
