"""Many clients (re)connect at once after a disruption.

For it: attempts far above their own baseline, a trigger shortly before, logins that time out. Against it: the baseline
rate, or a slow fill. Refused clients that try again are an effect of every saturation, so only attempts before the first
refusal and within seconds of it count.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connforensics.causes import Assessment, Scene
from connforensics.causes.unbounded_workers import SHORT_S, session_life_s

BEFORE = timedelta(seconds=10)
"""A storm fills a server within seconds; what came earlier is not part of it (judgement)."""

AFTER = timedelta(seconds=5)

CALM_S = 15.0
"""A shorter time before the burst gives no baseline."""

SUDDEN_S = 10.0
"""Only a storm fills half a server within this time (judgement)."""

TRIGGER = timedelta(seconds=120)
"""How long before the saturation a trigger may lie: retries with back-off reach about this far (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a storm of connections."""
    found = Assessment("connection_storm")
    start = scene.crisis[0]
    if not scene.has_log:
        _from_snapshots(scene, found)
        _trigger(scene, found)
        return found
    attempts, source_id, line_no = scene.rows(
        """
        SELECT count(*), min(source_id), min(line_no)
        FROM attempt
        WHERE server = $server AND attempted_at >= $from_at AND attempted_at < $to_at
        """,
        from_at=start - BEFORE,
        to_at=start + AFTER,
    )[0]
    if attempts == 0 and not scene.rows("SELECT 1 FROM attempt LIMIT 1"):
        found.lacks("connection lines in the server log (log_connections): how fast sessions were opened")
        return found
    calm_s = (start - BEFORE - scene.span.since).total_seconds()
    where = scene.cite((source_id, line_no))
    if calm_s < CALM_S:
        found.lacks("the time before: no baseline of attempts to hold the burst against")
    else:
        usual = scene.rows(
            "SELECT count(*) FROM attempt WHERE server = $server AND attempted_at >= $since AND attempted_at < $to_at",
            to_at=start - BEFORE,
        )[0][0]
        burst_s = (BEFORE + AFTER).total_seconds()
        expected = max(usual * burst_s / calm_s, 1.0)
        ratio = attempts / expected
        claim = (
            f"{attempts} attempts to connect in the {burst_s:.0f} s around {scene.when(start)}, where {expected:.0f} "
            "were usual before"
        )
        if ratio >= 5 and attempts >= max(10, 0.3 * scene.slots):
            found.add(claim, ratio, "ratio", 30 if ratio >= 15 else 10, where)
            found.onset_at = _onset(scene)
            top = scene.rows(
                """
                SELECT client
                FROM attempt
                WHERE server = $server AND attempted_at >= $from_at AND attempted_at < $to_at AND client <> 'unknown'
                GROUP BY client
                ORDER BY count(*) DESC, client
                LIMIT 1
                """,
                from_at=start - BEFORE,
                to_at=start + AFTER,
            )
            found.culprit = ("application", str(top[0][0])) if top else None
        elif ratio < 3:
            found.add(claim, ratio, "ratio", 1 / 100, where)
        else:
            found.add(claim, ratio, "ratio", 1 / 3, where)
    if scene.filled_in_s is not None:
        if scene.filled_in_s <= SUDDEN_S:
            found.add(
                f"the server went from half empty to full in {scene.filled_in_s:.0f} s", scene.filled_in_s, "s", 5
            )
        elif scene.filled_in_s > 60:
            found.add(
                f"the server took {scene.filled_in_s:.0f} s from half empty to full", scene.filled_in_s, "s", 1 / 10
            )
    grown = scene.workers()
    if grown is not None and grown[1] >= 1.5 * max(grown[0], 1.0):
        found.add(
            f"workers grew first, from {grown[0]:.0f} to {grown[1]:.0f}",
            grown[1] / max(grown[0], 1.0),
            "ratio",
            1 / 30,
            grown[2],
        )
    _trigger(scene, found)
    slow = scene.rows(
        """
        SELECT count(*), min(source_id), arg_min(line_no, event_at)
        FROM event
        WHERE kind = 'auth_timeout' AND event_at >= $from_at AND event_at < $to_at
        """,
        from_at=start - BEFORE,
        to_at=scene.crisis[1] + timedelta(minutes=2),
    )[0]
    if slow[0]:
        found.add(
            f"{slow[0]} logins timed out: the server could not let them in fast enough",
            float(slow[0]),
            "logins",
            5,
            scene.cite(slow[1:]),
        )
    return found


def _from_snapshots(scene: Scene, found: Assessment) -> None:
    """Weigh the ages of the sessions in the crisis, where no log tells of attempts."""
    found.lacks("a server log with log_connections: how fast sessions were opened")
    young = scene.rows(
        """
        SELECT count(*) FILTER (WHERE age_s <= 60) / count(*), count(*), min(source_id), min(line_no)
        FROM client_backend
        WHERE server = $server AND backend_start_at IS NOT NULL AND list_contains($moments, sampled_at)
        """,
        moments=scene.crisis_snapshots[:3],
    )[0]
    if young[1]:
        share = float(young[0])
        claim = f"{share:.0%} of the sessions were younger than a minute when it was fullest"
        found.add(claim, share, "share", 3 if share >= 0.6 else 1 / 20, scene.cite(young[2:]))


def _trigger(scene: Scene, found: Assessment) -> None:
    start = scene.crisis[0]
    life = scene.first(
        """
        SELECT event_at, kind, source_id, line_no
        FROM event
        WHERE is_server(engine)
          AND kind IN ('server_ready', 'server_starting', 'server_crashed')
          AND event_at >= $from_at AND event_at <= $to_at
        ORDER BY event_at DESC
        LIMIT 1
        """,
        from_at=start - TRIGGER,
        to_at=start + AFTER,
    )
    if life is not None:
        seconds = (start - life[0]).total_seconds()
        found.add(
            f"{life[1].replace('_', ' ')} {max(seconds, 0):.0f} s before: everybody had to connect again",
            seconds,
            "s",
            30,
            scene.cite(life[2:]),
        )
        return
    life_s = session_life_s(scene)
    if life_s is not None and life_s < SHORT_S:
        found.add(
            f"half of the sessions live for less than {life_s:.1f} s: they come and go, storm or not",
            life_s,
            "s",
            1 / 5,
        )
    if scene.lock_waits_before >= 0.3 * scene.slots:
        found.add(
            f"{scene.lock_waits_before} waits for locks came with it: pools open more sessions when theirs are stuck",
            float(scene.lock_waits_before),
            "waits",
            1 / 10,
        )
    ended = scene.first(
        """
        SELECT min(ended_at), count(DISTINCT client), sum(ended), min(source_id), min(line_no)
        FROM mass_end
        WHERE server = $server AND ended_at >= $from_at AND ended_at <= $to_at
        """,
        from_at=start - TRIGGER,
        to_at=start + AFTER,
    )
    if ended is not None and ended[0] is not None:
        several = ended[1] >= 2
        found.add(
            f"{ended[2]:.0f} lasting sessions of {ended[1]} client{'s' if several else ''} ended together at {scene.when(ended[0])}, shortly before",
            float(ended[2]),
            "sessions",
            20 if several else 3,
            scene.cite(ended[3:]),
        )
    elif scene.has_log:
        found.add("nothing that would make everybody connect again is seen shortly before", None, "", 1 / 3)


def _onset(scene: Scene) -> datetime | None:
    """Return when the disruption began that came before (a stop, a crash, sessions cut), else when the burst did."""
    start = scene.crisis[0]
    found = scene.first(
        """
        SELECT min(happened_at)
        FROM happening
        WHERE kind IN ('server_stopping', 'server_crashed', 'server_starting', 'server_ready', 'mass_end')
          AND happened_at >= $from_at AND happened_at <= $to_at
        """,
        from_at=start - TRIGGER,
        to_at=start,
    )
    if found is not None and found[0] is not None:
        return found[0]  # type: ignore[no-any-return]
    burst = scene.first(
        """
        WITH second AS (
          SELECT date_trunc('second', attempted_at) AS second_at, min(attempted_at) AS first_at, count(*) AS attempts
          FROM attempt
          WHERE server = $server AND attempted_at >= $from_at AND attempted_at <= $to_at
          GROUP BY ALL
        )
        SELECT min(first_at)
        FROM second
        WHERE attempts >= (SELECT max(attempts) / 4 FROM second)
        """,
        from_at=start - BEFORE,
        to_at=start + AFTER,
    )
    return burst[0] if burst else None
