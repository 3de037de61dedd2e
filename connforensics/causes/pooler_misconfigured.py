"""The pool in front is the bottleneck, or lets too much through.

For it: callers wait or give up at a pool while the server has free slots and the lent sessions really work. Against it:
the server was full first, or nobody waited.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

MOMENT_S = 10.0
"""Shorter queues for a pool are its ordinary working at a peak (judgement)."""

FREE = 0.8
"""A server used to less than this share of its slots had room (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a pool that is too small."""
    found = Assessment("pooler_misconfigured")
    if not scene.rows("SELECT 1 FROM pool_pressure LIMIT 1"):
        found.lacks("numbers of the pools or the pooler: who waited in front of the server")
        return found
    if not scene.waits:
        found.add("nobody is seen waiting for a pool", 0.0, "callers", 1 / 30)
        return found
    service, waiting, timeouts, worst_at, where = scene.waits[0]
    if not timeouts and scene.sustained_waits.get(service, 0.0) < MOMENT_S:
        found.add(
            f"callers waited for the pool of {service} for moments only, and nobody gave up",
            scene.sustained_waits.get(service, 0.0),
            "s",
            1 / 10,
            where,
        )
        return found
    if scene.refusals.get("refused_quota"):
        found.add(
            f"the server refused {scene.refusals['refused_quota']} attempts by a quota of its own",
            float(scene.refusals["refused_quota"]),
            "refusals",
            1 / 30,
            scene.refusal_citations,
        )
        return found
    claim = f"callers waited for the pool of {service} (at most {waiting:.0f} at {scene.when(worst_at)}; {timeouts:.0f} gave up)"
    if any(kind in scene.refusals for kind in ("refused_full", "refused_reserved")):
        found.add(
            f"the server itself was full: {sum(scene.refusals.values())} refusals",
            float(sum(scene.refusals.values())),
            "refusals",
            1 / 30,
            scene.refusal_citations,
        )
        return found
    if scene.saturation is None:
        found.add(claim, waiting, "callers", 5, where)
        found.lacks("how full the server was meanwhile")
    elif scene.saturation < FREE:
        found.add(
            f"{claim} while the server used {scene.saturation:.0%} of its slots at most", waiting, "callers", 100, where
        )
    else:
        found.add(f"{claim}, with the server at {scene.saturation:.0%} of its slots", waiting, "callers", 2, where)
    found.culprit = ("pool", service)
    lent = scene.first(
        """
        SELECT lent_but_idle, checked_out, source_id, line_no
        FROM lent_but_idle
        WHERE service = $service AND sampled_at >= $since AND sampled_at < $until AND checked_out > 0
        ORDER BY waiting DESC NULLS LAST, sampled_at
        LIMIT 1
        """,
        service=service,
    )
    if lent is not None and lent[0] >= 0.5 * lent[1]:
        found.add(
            f"{lent[0]:.0f} of the {lent[1]:.0f} lent sessions did nothing: a larger pool would not help",
            float(lent[0]),
            "sessions",
            1 / 30,
            scene.cite(lent[2:]),
        )
    return found
