"""The limit is below an honest need that the machine could serve.

For it: sessions that work with ordinary durations while it is full, or a role's or database's own quota being hit while
the server has room. Against it: most sessions rest, or the work got slower.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene
from connforensics.causes.connection_storm import SUDDEN_S
from connforensics.causes.slow_query_storm import SLOWER, pace

JUST_COME_S = 5.0
"""Sessions that filled it within this time were not there for the work that others waited for (judgement)."""

YOUNG_S = 60.0
"""Sessions of pools in steady use are older than this (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against the limit itself."""
    found = Assessment("limit_too_low")
    quota = scene.refusals.get("refused_quota", 0)
    total = sum(scene.refusals.values())
    if quota and quota >= 0.8 * total:
        what = scene.first(
            """
            SELECT reason, detail, count(*), min(refused_at)
            FROM (
              SELECT coalesce(reason, 'quota') AS reason, coalesce(CASE WHEN is_mysql(engine) OR seen_in <> 'server log' THEN coalesce(user_name, database_name) END, detail) AS detail, refused_at
              FROM refusal
              WHERE refuser = 'server' AND server = $server AND kind = 'refused_quota'
                AND refused_at >= $since AND refused_at < $until
              UNION ALL
              SELECT 'user', whose, fullest_at
              FROM counted_refusal
              WHERE refuser = 'server' AND server = $server AND kind = 'refused_quota' AND unlogged > 0
                AND since_at >= $since AND until_at < $until
            )
            GROUP BY ALL
            ORDER BY count(*) DESC
            LIMIT 1
            """
        )
        whose = f"{what[0]} {what[1]}" if what and what[1] else "a role or database"
        found.add(
            f"{quota} of {total} refusals are for the own limit of {whose}, not for the server's",
            quota / total,
            "share",
            1000,
            scene.refusal_citations,
        )
        if what is not None:
            found.culprit = (str(what[0]), str(what[1] or "unknown"))
            found.onset_at = what[3]
        return found
    if scene.used_quota is not None and scene.used_quota[3] >= 3 and not scene.refusals and not scene.saturated:
        kind, whose, limit, snapshots, since, where = scene.used_quota
        found.add(
            f"{kind} {whose} is seen in {snapshots} snapshots to have used up its own limit of {limit}, while the server had room",
            float(snapshots),
            "snapshots",
            20,
            where,
        )
        found.culprit, found.onset_at = (kind, whose), since
        found.lacks("refusals by that limit: the server's log, or counters")
        return found
    if not scene.saturated and not scene.refusals:
        found.lacks("a sign that the server was full: its limit, or refusals in its log")
        return found
    _lowered(scene, found)
    use = scene.crisis_use
    if use is None:
        found.lacks("snapshots of the sessions: whether they worked when it was full")
        return found
    share = use.share("active") - use.share("lock_waiters")
    if share < 0.5:
        found.add(
            f"only {share:.0%} of the sessions were at work when it was full: a higher limit would hold more idle ones",
            share,
            "share",
            1 / 30,
            use.citations,
        )
        return found
    found.add(f"{share:.0%} of the sessions were at work when it was full", share, "share", 5, use.citations)
    found.culprit = ("setting", "max_connections")
    found.onset_at = scene.crisis[0]
    found.is_onset_estimated = True
    if scene.filled_in_s is not None and scene.filled_in_s <= SUDDEN_S:
        found.add(
            f"the last half of its free slots went within {scene.filled_in_s:.0f} s: an honest need grows over minutes",
            scene.filled_in_s,
            "s",
            1 / 30,
        )
    age_s = scene.crisis_age_s
    if age_s is not None and age_s < YOUNG_S:
        found.add(
            f"half of the sessions were younger than {age_s:.0f} s when it was full: they had just come, or come and go",
            age_s,
            "s",
            1 / 30 if age_s < JUST_COME_S else 1 / 3,
            use.citations,
        )
    if scene.workers_grew is not None:
        fewer, more, growth, where = scene.workers_grew
        found.add(
            f"workers grew from {fewer:.0f} to {more:.0f} before it was full: more than the usual need",
            growth,
            "ratio",
            1 / 5,
            where,
        )
    held = pace(scene)
    ratio = held[3] if held is not None else None
    if held is None or ratio is None:
        found.lacks("snapshots of the calm before, with durations: whether they were ordinary")
    else:
        then, before, claim, _ = held
        found.add(claim, ratio, "ratio", 1 / 30 if ratio >= SLOWER else 10, (*then.citations, *before.citations))
    return found


def _lowered(scene: Scene, found: Assessment) -> None:
    """Weigh a limit that the server lowered by itself at its start, for want of file descriptors (MySQL)."""
    lowered = scene.first(
        """
        SELECT try_cast(regexp_extract(detail, 'max_connections: (\\d+)', 1) AS BIGINT),
               try_cast(regexp_extract(detail, '(?:requested|was) (\\d+)', 1) AS BIGINT), source_id, line_no
        FROM event
        WHERE kind = 'setting_changed' AND reason = 'max_connections' AND is_mysql(engine)
          AND (event_at IS NULL OR event_at <= $crisis_until)
        ORDER BY event_at DESC
        LIMIT 1
        """
    )
    if lowered is None or not lowered[0] or not lowered[1] or lowered[0] >= lowered[1]:
        return
    given, asked, source_id, line_no = lowered
    peak = scene.peak[0] if scene.peak else given
    if given != scene.usable or peak < given:
        return
    found.add(
        f"the server lowered max_connections from the {asked} that were asked for to {given} at its start (open files limit)",
        asked / given,
        "ratio",
        100,
        scene.cite((source_id, line_no)),
    )
    found.culprit = ("setting", "max_connections")
    found.onset_at = scene.crisis[0]
    found.is_onset_estimated = True
