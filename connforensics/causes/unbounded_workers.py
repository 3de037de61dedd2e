"""Workers with no bound each bring a connection: functions, children, scripts.

For it: the number of sessions follows the number of workers; sessions are short, one an invocation. Against it: constant
workers, or sessions that last as those of pools do.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

SHORT_S = 10.0
"""Sessions of pools live for minutes; half of these living shorter than this means that there is no pool (judgement)."""

FOLLOWS = 0.7
"""From this correlation on, sessions are said to follow the workers (judgement)."""


def session_life_s(scene: Scene) -> float | None:
    """Return the median life of sessions that were opened before the crisis and ended, in seconds.

    By the log, else by snapshots that are close enough to see a short one (where short ones are missed, and what is seen
    of the others is shortened by an interval at most). None when fewer than 20 ended.
    """
    life, count = scene.rows(
        """
        SELECT median(coalesce(duration_ms / 1000, epoch(ended_at - opened_at))), count(*)
        FROM session
        WHERE server = $server AND outcome = 'admitted' AND ended_basis = 'closed'
          AND ended_at >= $since AND ended_at <= $crisis_until AND opened_at <= $crisis_since::TIMESTAMP - INTERVAL 5 SECOND
        """
    )[0]
    if count >= 20 and life is not None:
        return float(life)
    if not 0 < scene.interval_s <= SHORT_S / 4:
        return None
    life, count = scene.rows(
        """
        WITH life AS (
          SELECT backend_id, backend_start_at, max(sampled_at) AS last_seen_at
          FROM client_backend
          WHERE server = $server AND backend_start_at IS NOT NULL AND sampled_at >= $since
          GROUP BY ALL
        )
        SELECT median(epoch(last_seen_at - backend_start_at)), count(*)
        FROM life
        WHERE last_seen_at < (SELECT max(sampled_at) FROM snapshot WHERE server = $server)
          AND last_seen_at <= $crisis_until AND backend_start_at <= $crisis_since::TIMESTAMP - INTERVAL 5 SECOND
          AND backend_start_at >= $since
        """
    )[0]
    return float(life) + scene.interval_s if count >= 20 and life is not None else None


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against workers without a bound."""
    found = Assessment("unbounded_workers")
    if scene.had_room and scene.peak is not None:
        found.add(
            f"the server used {scene.saturation:.0%} of its slots at most: workers did not fill it",
            scene.saturation,
            "share",
            1 / 30,
            scene.peak[2],
        )
    grown = scene.workers()
    if grown is None:
        found.lacks("worker counts (functions, children, pods): whether sessions follow them")
    else:
        before, then, where = grown
        if then >= 1.5 * max(before, 1.0):
            found.add(
                f"workers grew from {before:.0f} to {then:.0f} before the fullest moment",
                then / max(before, 1.0),
                "ratio",
                10,
                where,
            )
            _follow(scene, found)
        elif not scene.knows_workers_before:
            found.lacks("worker counts close enough to tell those before the crisis from those in it")
        else:
            found.add(
                f"the number of workers was steady ({before:.0f} to {then:.0f})",
                then / max(before, 1.0),
                "ratio",
                1 / 30,
                where,
            )
    life = session_life_s(scene)
    if life is None:
        found.lacks("at least 20 sessions seen to end, in a log or in close snapshots: how long each lived")
    elif life < SHORT_S:
        found.add(
            f"half of the sessions lived for less than {life:.1f} s: there is no pool", life, "s", 10 if grown else 2
        )
    else:
        found.add(f"half of the sessions lived for {life:.0f} s or longer, as those of pools do", life, "s", 1 / 20)
    sized = scene.rows(
        "SELECT count(DISTINCT service) FROM pool_pressure WHERE sampled_at >= $since AND sampled_at < $until AND max_size > 0"
    )
    if found.culprit and sized[0][0]:
        pooled = scene.rows(
            "SELECT 1 FROM pool_pressure WHERE service = $service AND max_size > 0 LIMIT 1", service=found.culprit[1]
        )
        if pooled:
            found.add(f"{found.culprit[1]} has a pool with a maximum", None, "", 1 / 10)
    return found


def _follow(scene: Scene, found: Assessment) -> None:
    best = scene.first(
        """
        WITH counted AS (
          SELECT service, sampled_at, workers, source_id, line_no
          FROM worker_count
          WHERE sampled_at >= $since AND sampled_at <= $crisis_until
        ),
        used AS (
          SELECT server, client, sampled_at AS known_at, sessions FROM client_use
          UNION ALL
          SELECT server, client, changed_at, open_sessions FROM client_session_count WHERE server NOT IN (SELECT server FROM snapshot)
        ),
        paired AS (
          SELECT counted.service, counted.sampled_at, workers, used.sessions, counted.source_id, counted.line_no
          FROM counted
          JOIN service_client USING (service)
          ASOF JOIN used
            ON used.client = service_client.client
           AND counted.sampled_at >= used.known_at
        )
        SELECT service, corr(workers, sessions), max(workers), count(*), last_of(source_id, workers, source_id, line_no), last_of(line_no, workers, source_id, line_no),
               min(sampled_at) FILTER (WHERE workers > 1)
        FROM paired
        GROUP BY service
        HAVING max(workers) > min(workers)
        ORDER BY max(workers) - min(workers) DESC
        LIMIT 1
        """
    )
    if best is None:
        found.lacks("worker counts close enough to compare with the sessions of a client of the service's name")
        if scene.grown_service is not None:
            found.culprit = ("service", scene.grown_service[0])
            found.onset_at, found.is_onset_estimated = scene.grown_service[1], True
        return
    service, correlation, _, points, source_id, line_no, _ = best
    found.culprit = ("service", str(service))
    rise = scene.first(
        """
        WITH usual AS (
          SELECT median(workers) AS workers FROM worker_count WHERE service = $service AND sampled_at >= $since AND sampled_at < $half
        )
        SELECT max(sampled_at)
        FROM worker_count, usual
        WHERE service = $service AND worker_count.workers <= 1.2 * usual.workers + 1 AND sampled_at <= $crisis_since
        """,
        service=service,
        half=scene.half("workers"),
    )
    found.onset_at = rise[0] if rise else None
    found.is_onset_estimated = True
    if correlation is None or points < 5:
        return
    claim = f"the sessions of {service} follow its workers (correlation {correlation:.2f} over {points} counts)"
    if correlation >= FOLLOWS:
        found.add(claim, float(correlation), "correlation", 5, scene.cite((source_id, line_no)))
    elif correlation < 0.3:
        found.add(
            f"the sessions of {service} do not follow its workers (correlation {correlation:.2f})",
            float(correlation),
            "correlation",
            1 / 10,
            scene.cite((source_id, line_no)),
        )
