"""The limit is below an honest need that the machine could serve.

For it: sessions that work with ordinary durations while it is full, or a role's or database's own quota being hit while
the server has room. Against it: most sessions rest, or the work got slower.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene
from connforensics.causes.connection_storm import SUDDEN_S
from connforensics.causes.slow_query_storm import SLOWER, running_s

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
            SELECT coalesce(reason, 'quota'), detail, count(*), min(refused_at)
            FROM refusal
            WHERE server = $server AND kind = 'refused_quota' AND refused_at >= $since AND refused_at < $until
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
    if not scene.saturated and not scene.refusals:
        found.lacks("a sign that the server was full: its limit, or refusals in its log")
        return found
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
    found.add(f"{share:.0%} of the sessions were at work when it was full", share, "share", 10, use.citations)
    if scene.filled_in_s is not None and scene.filled_in_s <= SUDDEN_S:
        found.add(
            f"it went from half empty to full in {scene.filled_in_s:.0f} s: an honest need grows over minutes",
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
            1 / 10,
            use.citations,
        )
    then, before = running_s(scene, scene.crisis_snapshots), running_s(scene, scene.calm_snapshots)
    if then is not None and before is not None:
        ratio = then[0] / max(before[0], 0.001)
        claim = f"statements ran for {then[0]:.2g} s (median), against {before[0]:.2g} s before"
        found.add(claim, ratio, "ratio", 1 / 30 if ratio >= SLOWER else 10, (*then[3], *before[3]))
    else:
        found.lacks("snapshots of the calm before: whether durations were ordinary")
    return found
