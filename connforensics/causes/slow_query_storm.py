"""The same work takes longer, so more of it is in flight.

For it: the sessions work (and do not wait for locks), their statements run longer than before, while no more arrive:
active sessions = arrival rate x duration (Little's law, Operations Research 9(3), 1961). Against it: idle sessions, or
durations as usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connforensics.causes import Assessment, Scene

BUSY_SHARE = 0.5
"""From this share of active sessions on, work and not waiting fills the server (judgement)."""

RECENT_S = 30.0
"""For so long after its start a server's caches are cold and all its clients come back (judgement)."""

LASTING_S = 2.0
"""Where times are whole seconds, a statement that runs for so long is told from one that does not (judgement)."""

SLOWER = 3.0
"""Statements that run this many times longer than before are slower, not merely unlucky (judgement)."""


@dataclass(frozen=True, slots=True)
class Running:
    """How long the active statements of some snapshots had been running, in seconds."""

    median_s: float
    longest_s: float
    lasting: float
    """The share of them that had been running for LASTING_S or longer."""
    statements: int
    is_coarse: bool
    """The server tells times in whole seconds alone, as most versions of MySQL do."""
    citations: tuple[str, ...]

    def against(self, before: Running) -> tuple[str, float | None]:
        """Return how these compare with those of the calm: a claim, and the ratio; None where times are too coarse to tell."""
        claim = f"statements had been running for {self.median_s:.2g} s in the crisis (median), against {before.median_s:.2g} s before"
        if not self.is_coarse:
            return claim, self.median_s / max(before.median_s, 0.001)
        claim = (
            f"{self.lasting:.0%} of the statements had been running for {LASTING_S:.0f} s or longer in the crisis, against "
            f"{before.lasting:.0%} before"
        )
        if self.lasting >= 0.3:
            return claim, max(self.lasting, 0.01) / max(before.lasting, 0.01)
        return (claim, 1.0) if before.median_s >= 1 else (claim, None)


def busiest(scene: Scene) -> str | None:
    """Return the client with the most sessions at work in the crisis, not waiting for locks."""
    found = scene.first(
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
    return str(found[0]) if found else None


def pace(scene: Scene) -> tuple[Running, Running, str, float | None] | None:
    """Hold the busiest client's statements in the crisis against its own in the calm before: both, a claim, the ratio.

    Against its own: that others' statements are shorter does not make these slow. None where too few were seen.
    """
    client = busiest(scene)
    if client is None:
        return None
    then, before = running(scene, scene.crisis_snapshots, client), running(scene, scene.calm_snapshots, client)
    if then is None or before is None or before.statements < 3:
        return None
    claim, ratio = then.against(before)
    return then, before, f"of {client}, {claim}", ratio


def running(scene: Scene, snapshots: list[datetime], client: str) -> Running | None:
    """Return how long a client's active statements had been running in the given snapshots; None where none was seen."""
    if not snapshots:
        return None
    found = scene.rows(
        """
        SELECT median(since_query_start_s), max(since_query_start_s), avg((since_query_start_s >= $lasting_s)::INTEGER), count(*),
               bool_and(is_mysql(engine) AND since_query_start_s = round(since_query_start_s)),
               last_of(source_id, since_query_start_s, source_id, line_no), last_of(line_no, since_query_start_s, source_id, line_no)
        FROM client_backend
        WHERE server = $server AND state = 'active' AND since_query_start_s >= 0
          AND wait_event_type IS DISTINCT FROM 'Lock'
          AND NOT regexp_matches(coalesce(query, ''), '(?i)pg_stat_activity|processlist')
          AND client = $client AND list_contains($moments, sampled_at)
        """,
        moments=snapshots,
        client=client,
        lasting_s=LASTING_S,
    )[0]
    if not found[3]:
        return None
    return Running(
        float(found[0]), float(found[1]), float(found[2]), int(found[3]), bool(found[4]), scene.cite(found[5:])
    )


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
            found.add(claim, share, "share", 5, use.citations)
        elif share < 0.25:
            found.add(f"only {claim}", share, "share", 1 / 100, use.citations)
        held = pace(scene)
        if held is None:
            found.lacks("snapshots of the calm before: how long these statements usually run")
        else:
            then, before, claim, ratio = held
            where = (*then.citations, *before.citations)
            if ratio is None:
                found.lacks("durations to better than a second: how long statements usually run")
            elif ratio >= SLOWER and then.median_s >= 0.05:
                found.add(claim, ratio, "ratio", 30, where)
                slow_s = min(then.median_s / 2, max(SLOWER * before.median_s, 1.5 * before.longest_s)) or LASTING_S
                found.onset_at = _onset(scene, slow_s)
            elif ratio < 1.5 and before.statements >= 10:
                found.add(claim, ratio, "ratio", 1 / 10, where)
        top = busiest(scene)
        if top is not None and share >= BUSY_SHARE:
            found.culprit = ("application", top)
    _from_log(scene, found)
    if (
        found.weight_db > 0
        and scene.restarted_at is not None
        and scene.crisis[0] - scene.restarted_at[0] <= timedelta(seconds=RECENT_S)
    ):
        at, kind, where = scene.restarted_at
        found.add(
            f"{kind.replace('_', ' ')} at {scene.when(at)}: cold caches and everybody at once make work slower by themselves",
            None,
            "",
            1 / 30,
            where,
        )
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
        half=scene.half("snapshots"),
    )
    return found[0] if found else None


def _from_log(scene: Scene, found: Assessment) -> None:
    if not (scene.saturated or scene.refusals or scene.waits):
        return
    slow = scene.rows(
        """
        SELECT median(duration_ms) FILTER (WHERE event_at >= $half),
               median(duration_ms) FILTER (WHERE event_at < $half),
               count(*) FILTER (WHERE event_at >= $half),
               count(*) FILTER (WHERE event_at < $half),
               last_of(source_id, duration_ms, source_id, line_no), last_of(line_no, duration_ms, source_id, line_no)
        FROM event
        WHERE kind = 'slow_statement' AND event_at >= $since AND event_at <= $crisis_until
        """,
        half=scene.half("log"),
    )[0]
    then, before, many, few = slow[:4]
    if many and before is not None and few >= 5:
        ratio = then / max(before, 0.001)
        claim = f"logged statements took {then:.0f} ms (median), against {before:.0f} ms before"
        if ratio >= SLOWER:
            found.add(claim, ratio, "ratio", 20, scene.cite(slow[4:]))
        elif ratio < 1.5 and many >= 10:
            found.add(claim, ratio, "ratio", 1 / 5, scene.cite(slow[4:]))
    elif many >= 20 and many > 5 * max(few, 1):
        found.add(
            f"{many} slow statements were logged around the crisis, against {few} before",
            float(many),
            "statements",
            3,
            scene.cite(slow[4:]),
        )
