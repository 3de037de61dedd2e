"""The pool in front is the bottleneck, or lets too much through.

For it: a pooler refuses clients, or callers wait or give up at a pool, while the server has free slots and the lent
sessions really work; or a pooler's own pools may open more than the server gives. Against it: the server was full first,
nobody waited, or the lent sessions do nothing (then who keeps them is the cause).
"""

from __future__ import annotations

from connforensics.causes import CLOSE_S, FREE, Assessment, Scene
from connforensics.causes.slow_query_storm import SLOWER, pace

MOMENT_S = 10.0
"""Shorter queues for a pool are its ordinary working at a peak (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a pool that is too small, or too large."""
    found = Assessment("pooler_misconfigured")
    if not scene.pooler_refusals and not scene.rows("SELECT 1 FROM pool_pressure LIMIT 1"):
        found.lacks("numbers of the pools or the pooler: who waited in front of the server")
        return found
    if any(kind in scene.refusals for kind in ("refused_full", "refused_reserved")):
        _server_full(scene, found)
        return found
    _refusing(scene, found)
    _waiting(scene, found)
    return found


def _server_full(scene: Scene, found: Assessment) -> None:
    """Weigh a server that was full itself: only pools of a pooler that may open more than it gives can be why."""
    refused = sum(scene.refusals.values())
    sized = scene.first(
        """
        SELECT service, max(max_size), max(size), last_of(source_id, size, source_id, line_no), last_of(line_no, size, source_id, line_no)
        FROM pool_pressure
        WHERE is_pooler(service) AND sampled_at >= $since AND sampled_at <= $crisis_until
        GROUP BY service
        ORDER BY max(size) DESC NULLS LAST
        LIMIT 1
        """
    )
    if sized is None or not sized[1] or not scene.usable or sized[1] <= scene.usable:
        found.add(
            f"the server itself was full: {refused} refusals",
            float(refused),
            "refusals",
            1 / 30,
            scene.refusal_citations,
        )
        return
    service, allowed, size, source_id, line_no = sized
    where = (*scene.cite((source_id, line_no)), *scene.capacity_citation)
    found.add(
        f"the pools of {service} may open {allowed:.0f} sessions together, the server gives {scene.users} {scene.usable}",
        float(allowed) / scene.usable,
        "ratio",
        5,
        where,
    )
    if size and size >= 0.5 * scene.usable:
        found.add(f"{service} held {size:.0f} of them when the server was full", float(size), "sessions", 20, where[:1])
        found.culprit = ("pooler", str(service))
        found.onset_at = scene.crisis[0]
        found.is_onset_estimated = True
    else:
        found.add(
            f"{service} held {size or 0:.0f} of them when the server was full",
            float(size or 0),
            "sessions",
            1 / 30,
            where[:1],
        )


def _refusing(scene: Scene, found: Assessment) -> None:
    """Weigh clients that a pooler refused itself."""
    for pooler, refused in list(scene.pooler_refusals.items())[:1]:
        why, first_at = (
            scene.first(
                """
                SELECT mode(reason), min(refused_at)
                FROM refusal
                WHERE refuser = $pooler AND refused_at >= $since AND refused_at < $until
                """,
                pooler=pooler,
            )
            or (None, None)
        )  # fmt: skip
        claim = f"{pooler} refused {refused:,} clients" + (f" ({why})" if why else "")
        if scene.saturation is None:
            found.add(claim, float(refused), "clients", 30, scene.pooler_refusal_citations)
            found.lacks("how full the server was meanwhile")
        elif scene.saturation < FREE:
            found.add(
                f"{claim} while the server used {scene.saturation:.0%} of its slots at most",
                float(refused),
                "clients",
                300,
                scene.pooler_refusal_citations,
            )
        else:
            found.add(
                f"{claim}, with the server at {scene.saturation:.0%} of its slots",
                float(refused),
                "clients",
                10,
                scene.pooler_refusal_citations,
            )
        found.culprit = ("pooler", pooler)
        found.onset_at = first_at


def _waiting(scene: Scene, found: Assessment) -> None:
    """Weigh callers who waited for a pool, or gave up."""
    if not scene.waits:
        if not scene.pooler_refusals:
            found.add("nobody is seen waiting for a pool", 0.0, "callers", 1 / 30)
        return
    suffering = [
        each for each in scene.waits if each[2] or scene.sustained_waits.get(each[0], 0.0) >= MOMENT_S
    ]  # fmt: skip
    if not suffering:
        service, waiting, _, _, where = scene.waits[0]
        if not scene.pooler_refusals:
            found.add(
                f"callers waited for the pool of {service} for moments only, and nobody gave up",
                scene.sustained_waits.get(service, 0.0),
                "s",
                1 / 10,
                where,
            )
        return
    if scene.refusals.get("refused_quota"):
        found.add(
            f"the server refused {scene.refusals['refused_quota']} attempts by a quota of its own",
            float(scene.refusals["refused_quota"]),
            "refusals",
            1 / 30,
            scene.refusal_citations,
        )
        return
    # Where callers queue at a pooler, its clients' own pools queue as well: the pooler comes first.
    service, waiting, timeouts, worst_at, where = max(suffering, key=lambda each: scene.is_pooler(each[0]))
    claim = f"callers waited for the pool of {service} (at most {waiting:.0f} at {scene.when(worst_at)}; {timeouts:.0f} gave up)"
    if scene.saturation is None:
        found.add(claim, waiting, "callers", 5, where)
        found.lacks("how full the server was meanwhile")
    elif scene.saturation < FREE:
        # What the lent sessions did is what tells a small pool from one that is stuck.
        known = scene.crisis_use is not None and scene.interval_s <= CLOSE_S
        found.add(
            f"{claim} while the server used {scene.saturation:.0%} of its slots at most",
            waiting,
            "callers",
            100 if known else 8,
            where,
        )
        if not known:
            found.lacks("snapshots of the server's sessions: whether the lent ones worked, and for how long")
    else:
        found.add(f"{claim}, with the server at {scene.saturation:.0%} of its slots", waiting, "callers", 2, where)
    found.culprit = found.culprit or ("pooler" if scene.is_pooler(service) else "pool", service)
    if found.onset_at is None:
        found.onset_at = scene.queued_since(service)
        found.is_onset_estimated = True
    lent = scene.first(
        """
        SELECT median(lent_but_idle), median(checked_out), min(source_id), arg_min(line_no, (source_id, line_no))
        FROM lent_but_idle
        WHERE service = $service AND sampled_at >= $since AND sampled_at < $until AND checked_out > 0 AND waiting > 0
        HAVING count(*) > 0
        """,
        service=service,
    )
    if lent is not None and lent[0] >= 0.5 * lent[1]:
        found.add(
            f"while they waited, {lent[0]:.0f} of the {lent[1]:.0f} lent sessions did nothing: a larger pool would not help",
            float(lent[0]),
            "sessions",
            1 / 30,
            scene.cite(lent[2:]),
        )
    elif lent is None and scene.crisis_use is not None and scene.crisis_use.share("idle") >= 0.5:
        share = scene.crisis_use.share("idle")
        found.add(
            f"{share:.0%} of the server's sessions did nothing meanwhile: a larger pool would hold more of them",
            share,
            "share",
            1 / 30,
            scene.crisis_use.citations,
        )
    _stuck(scene, found)


def _stuck(scene: Scene, found: Assessment) -> None:
    """Weigh that the lent sessions took longer than usual: the pool was large enough until then."""
    use = scene.crisis_use
    if use is not None and use.share("lock_waiters") >= 0.3:
        share = use.share("lock_waiters")
        found.add(
            f"{share:.0%} of the sessions waited for locks meanwhile: the pool was large enough until then",
            share,
            "share",
            1 / 30,
            use.citations,
        )
        return
    held = pace(scene)
    if held is None:
        return
    then, before, claim, ratio = held
    if ratio is not None and ratio >= SLOWER and then.median_s >= 0.05:
        found.add(
            f"{claim}: the pool was large enough until then",
            ratio,
            "ratio",
            1 / 30,
            (*then.citations, *before.citations),
        )
