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

CALM_S = 5.0
"""A shorter time before the burst gives no baseline."""

LONG_CALM_S = 15.0
"""A baseline of a shorter time is a weak one (judgement)."""

SUDDEN_S = 10.0
"""Only a storm fills half a server within this time (judgement)."""

AT_ONCE_S = 20.0
"""Clients that lost their sessions come back within this time; later, only those that back off (judgement)."""

TRIGGER = timedelta(seconds=120)
"""How long before the saturation a trigger may lie: retries with back-off reach about this far (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a storm of connections."""
    found = Assessment("connection_storm")
    start = scene.crisis[0]
    if not scene.logs_attempts:
        if not _from_snapshots(scene, found):
            _from_counter(scene, found)
        _trigger(scene, found)
        return found
    attempts, source_id, line_no = scene.rows(
        """
        SELECT count(*), min(source_id), arg_min(line_no, (source_id, line_no))
        FROM attempt
        WHERE server = $server AND attempted_at >= $from_at AND attempted_at < $to_at
        """,
        from_at=start - BEFORE,
        to_at=start + AFTER,
    )[0]
    calm_s = (start - BEFORE - scene.began.get("log", scene.span.since)).total_seconds()
    usual = scene.rows(
        "SELECT count(*) FROM attempt WHERE server = $server AND attempted_at >= $since AND attempted_at < $to_at",
        to_at=start - BEFORE,
    )[0][0]
    burst_s = (BEFORE + AFTER).total_seconds()
    if _burst(scene, found, attempts, burst_s, usual, calm_s, scene.cite((source_id, line_no))):
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
    if scene.filled_in_s is not None:
        if scene.filled_in_s <= SUDDEN_S:
            found.add(
                f"the last half of its free slots went within {scene.filled_in_s:.0f} s", scene.filled_in_s, "s", 5
            )
        elif scene.filled_in_s > 60:
            found.add(
                f"the last half of its free slots took {scene.filled_in_s:.0f} s to go", scene.filled_in_s, "s", 1 / 10
            )
    if scene.workers_grew is not None:
        before, then, ratio, where = scene.workers_grew
        found.add(f"workers grew first, from {before:.0f} to {then:.0f}", ratio, "ratio", 1 / 30, where)
    _trigger(scene, found)
    slow = scene.rows(
        """
        SELECT count(*), first_of(source_id, event_at, source_id, line_no), first_of(line_no, event_at, source_id, line_no)
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


def _burst(
    scene: Scene,
    found: Assessment,
    attempts: int,
    burst_s: float,
    usual: int,
    calm_s: float,
    where: tuple[str, ...],
    what: str = "attempts to connect",
) -> bool:
    """Hold the attempts around the first sign of saturation against the usual rate; returns whether they are a burst."""
    if calm_s < CALM_S:
        found.lacks("the time before: no baseline of attempts to hold the burst against")
        return False
    expected = max(usual * burst_s / calm_s, 1.0)
    ratio = attempts / expected
    claim = (
        f"{attempts} {what} in the {burst_s:.0f} s around {scene.when(scene.crisis[0])}, where {expected:.0f} "
        "were usual before"
    )
    if ratio >= 5 and attempts >= max(10, 0.3 * scene.slots):
        found.add(claim, ratio, "ratio", 30 if ratio >= 15 and calm_s >= LONG_CALM_S else 10, where)
        return True
    found.add(claim, ratio, "ratio", 1 / 100 if ratio < 3 else 1 / 3, where)
    return False


def _from_counter(scene: Scene, found: Assessment) -> None:
    """Weigh the growth of a counter of connections, where no log tells of attempts.

    It goes on counting while clients are refused and try again: what was refused in the same stretch is taken off.
    """
    start = scene.crisis[0]
    told = scene.first(
        """
        WITH refused AS (
          SELECT since_at, until_at, sum(refusals) AS refusals
          FROM counted_refusal
          WHERE refuser = 'server' AND server = $server
          GROUP BY ALL
        ),
        step AS (
          SELECT since_at, until_at, sum(growth) - coalesce(any_value(refusals), 0) AS let_in,
                 min(source_id) AS source_id, min(line_no) AS line_no
          FROM counter_growth
          LEFT JOIN refused USING (since_at, until_at)
          WHERE server = $server
            AND counter IN ('mysql_global_status_connections', 'pg_stat_database_sessions')
            AND NOT is_since_start
            AND since_at >= $since AND until_at < $until
          GROUP BY ALL
        )
        SELECT sum(let_in) FILTER (WHERE until_at > $from_at AND since_at < $to_at),
               sum(epoch(until_at - since_at)) FILTER (WHERE until_at > $from_at AND since_at < $to_at),
               sum(let_in) FILTER (WHERE until_at <= $from_at),
               sum(epoch(until_at - since_at)) FILTER (WHERE until_at <= $from_at),
               last_of(source_id, let_in, source_id, line_no), last_of(line_no, let_in, source_id, line_no)
        FROM step
        HAVING count(*) > 0
        """,
        from_at=start - timedelta(seconds=2),
        to_at=start + timedelta(seconds=2),
    )
    # A stretch much longer than a burst would dilute it, and one that hides it says nothing.
    if told is None or not told[1] or told[1] > 4 * (BEFORE + AFTER).total_seconds() or not told[3]:
        return
    if not _burst(
        scene,
        found,
        int(told[0]),
        float(told[1]),
        int(told[2] or 0),
        float(told[3]),
        scene.cite(told[4:]),
        "connections let in (counted)",
    ):
        return
    found.onset_at = _onset(scene)
    found.is_onset_estimated = found.onset_at is None
    found.culprit = _newcomer(scene)


def _from_snapshots(scene: Scene, found: Assessment) -> bool:
    """Weigh the ages of the sessions in the crisis, and how many snapshots show to have been opened then, where no log
    tells of attempts; returns whether snapshots are close enough to tell.
    """
    found.lacks("a log of connections (log_connections, a general or audit log): how fast sessions were opened")
    # What began before the first snapshot is not young, unless the first snapshot itself is less than a minute away.
    young = scene.rows(
        """
        SELECT count(*) FILTER (WHERE age_s <= 60 AND backend_start_at IS NOT NULL) / count(*),
               count(*) FILTER (WHERE backend_start_at IS NOT NULL OR age_s > 60), min(source_id), arg_min(line_no, (source_id, line_no))
        FROM client_backend
        WHERE server = $server AND age_s IS NOT NULL AND list_contains($moments, sampled_at)
        """,
        moments=scene.crisis_snapshots[:3],
    )[0]
    if young[1]:
        share = float(young[0])
        claim = f"{share:.0%} of the sessions were younger than a minute when it was fullest"
        if share >= 0.6:
            found.add(claim, share, "share", 3, scene.cite(young[2:]))
        elif share < 0.3:
            found.add(f"only {claim}", share, "share", 1 / 20, scene.cite(young[2:]))
    if not 0 < scene.interval_s <= AFTER.total_seconds():
        return False
    start = scene.crisis[0]
    begun = scene.began.get("snapshots", scene.span.since)
    opened, usual, source_id, line_no = scene.rows(
        """
        WITH opened AS (
          SELECT backend_id, backend_start_at, min(source_id) AS source_id, min(line_no) AS line_no
          FROM client_backend
          WHERE server = $server AND backend_start_at >= $calm_at AND backend_start_at < $to_at
          GROUP BY ALL
        )
        SELECT count(*) FILTER (WHERE backend_start_at >= $from_at), count(*) FILTER (WHERE backend_start_at < $from_at),
               min(source_id) FILTER (WHERE backend_start_at >= $from_at), min(line_no) FILTER (WHERE backend_start_at >= $from_at)
        FROM opened
        """,
        calm_at=begun,
        from_at=start - BEFORE,
        to_at=start + AFTER,
    )[0]
    burst_s, calm_s = (BEFORE + AFTER).total_seconds(), (start - BEFORE - begun).total_seconds()
    where = scene.cite((source_id, line_no))
    if _burst(scene, found, opened, burst_s, usual, calm_s, where, "sessions are seen to have been opened"):
        found.onset_at = _onset(scene) or _first_opened(scene)
        found.culprit = _newcomer(scene)
    return True


def _first_opened(scene: Scene) -> datetime | None:
    """Return when snapshots show the burst to have begun."""
    found = scene.first(
        """
        WITH opened AS (
          SELECT backend_start_at, count(DISTINCT backend_id) AS sessions
          FROM client_backend
          WHERE server = $server AND backend_start_at >= $from_at AND backend_start_at < $to_at
          GROUP BY ALL
        )
        SELECT min(backend_start_at) FROM opened WHERE sessions >= (SELECT max(sessions) / 4 FROM opened)
        """,
        from_at=scene.crisis[0] - BEFORE,
        to_at=scene.crisis[0] + AFTER,
    )
    return found[0] if found else None


def _newcomer(scene: Scene) -> tuple[str, str] | None:
    """Return the client with the most sessions that began around the first sign of saturation."""
    found = scene.first(
        """
        SELECT client
        FROM client_backend
        WHERE server = $server AND list_contains($moments, sampled_at) AND backend_start_at >= $from_at
          AND client <> 'unknown'
        GROUP BY client
        ORDER BY count(*) DESC, client
        LIMIT 1
        """,
        moments=scene.crisis_snapshots,
        from_at=scene.crisis[0] - BEFORE,
    )
    return ("application", str(found[0])) if found else None


def _trigger(scene: Scene, found: Assessment) -> None:
    start = scene.crisis[0]
    if scene.restarted_at is not None:
        at, kind, where = scene.restarted_at
        seconds = max((start - at).total_seconds(), 0)
        found.add(
            f"{kind.replace('_', ' ')} {seconds:.0f} s before: everybody had to connect again",
            seconds,
            "s",
            30 if seconds <= AT_ONCE_S else 5 if seconds <= 60 else 2,
            where,
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
    elif scene.crisis_use is not None and scene.crisis_use.share("lock_waiters") >= 0.3:
        share = scene.crisis_use.share("lock_waiters")
        found.add(
            f"{share:.0%} of the sessions waited for locks: pools open more sessions when theirs are stuck",
            share,
            "share",
            1 / 10,
            scene.crisis_use.citations,
        )
    ended = scene.first(
        """
        SELECT min(ended_at), count(DISTINCT client), sum(ended), min(source_id), arg_min(line_no, (source_id, line_no))
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
    elif scene.logs_attempts:
        found.add("nothing that would make everybody connect again is seen shortly before", None, "", 1 / 3)


def _onset(scene: Scene) -> datetime | None:
    """Return when the server took connections again, else when sessions were cut, else when the burst began."""
    start = scene.crisis[0]
    found = scene.first(
        """
        SELECT coalesce(
          max(happened_at) FILTER (WHERE kind = 'server_ready'),
          max(happened_at) FILTER (WHERE kind IN ('server_starting', 'server_crashed')),
          min(happened_at)
        )
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
