"""What clients are allowed to open together exceeds what the server can give.

For it: instances times pool size, summed over services, above the usable slots; pools that fill towards their own maximum
while services scale out; sessions shared by many pools, none of them out of line. Against it: pools whose sum fits.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene
from connforensics.causes.unbounded_workers import session_life_s

FILLED = 0.8
"""A pool filled to this share of its maximum is filling up, not idling (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against an overdrawn budget."""
    found = Assessment("budget_overcommit")
    if scene.had_room and scene.peak is not None:
        found.add(
            f"the server used {scene.saturation:.0%} of its slots at most: nothing exceeded what it can give",
            scene.saturation,
            "share",
            1 / 30,
            scene.peak[2],
        )
    _from_pools(scene, found)
    grown = scene.workers()
    if grown is None:
        found.lacks("worker counts: whether services scaled out before it was full")
        return found
    before, then, where = grown
    if then > 1.3 * before:
        life = session_life_s(scene)
        lasting = life is None or life >= 10
        found.add(
            f"workers grew from {before:.0f} to {then:.0f} before the fullest moment, and each brings its own pool",
            then / max(before, 1.0),
            "ratio",
            20 if lasting else 3,
            where,
        )
        if not lasting:
            found.add(f"half of the sessions lived for less than {life:.1f} s: these are not pools", life, "s", 1 / 20)
        grew = scene.grown_service
        if grew is not None:
            found.culprit = ("service", grew[0])
            found.onset_at = grew[1]
            found.is_onset_estimated = True
    elif scene.knows_workers_before:
        found.add(
            f"the number of workers did not grow ({before:.0f} to {then:.0f})",
            then / max(before, 1.0),
            "ratio",
            1 / 3,
            where,
        )
    return found


def _from_pools(scene: Scene, found: Assessment) -> None:
    # Behind a pooler it is the pooler's pools that open sessions at the server; its clients' own pools end at it. Where
    # the pooler's are too large, it is the pooler that is set up wrongly.
    is_pooler = bool(scene.rows("SELECT 1 FROM source WHERE is_pooler(engine) LIMIT 1"))
    allowed = scene.first(
        """
        WITH widest AS (
          SELECT service, max(max_size) AS max_size, arg_max(size, sampled_at) AS size,
                 last_of(source_id, max_size, source_id, line_no) AS source_id, last_of(line_no, max_size, source_id, line_no) AS line_no
          FROM pool_pressure
          WHERE sampled_at >= $since AND sampled_at < $until AND max_size > 0 AND is_pooler(service) = $is_pooler
          GROUP BY ALL
        )
        SELECT sum(max_size), count(*), min(source_id), arg_min(line_no, (source_id, line_no)), max(line_no)
        FROM widest
        """,
        is_pooler=is_pooler,
    )
    if allowed is None or allowed[0] is None:
        whose = "the pooler's pools'" if is_pooler else "the pools'"
        found.lacks(f"{whose} maximum sizes: what clients were allowed to open together")
        return
    total = float(allowed[0])
    where = scene.cite((allowed[2], allowed[3]), (allowed[2], allowed[4]))
    if not scene.usable:
        found.lacks("the server's limit: what the pools' sum must be held against")
        return
    claim = (
        f"the pools in evidence may open {total:.0f} sessions together, the server gives {scene.users} {scene.usable}"
    )
    if total > scene.usable and not is_pooler:
        fill = scene.first(
            """
            SELECT sum(size) / sum(max_size)
            FROM (
              SELECT service, max(size) AS size, max(max_size) AS max_size
              FROM pool_pressure
              WHERE sampled_at >= $near AND sampled_at <= $crisis_until AND max_size > 0 AND is_pooler(service) = $is_pooler
              GROUP BY ALL
            )
            """,
            near=scene.crisis[0],
            is_pooler=is_pooler,
        )
        filled = float(fill[0]) if fill and fill[0] is not None else None
        found.add(
            claim,
            total / scene.usable,
            "ratio",
            20 if filled is None or filled >= FILLED else 5,
            (*where, *scene.capacity_citation),
        )
        if filled is not None and filled >= FILLED:
            found.add(
                f"the pools were filled to {filled:.0%} of their own maximum in the crisis", filled, "share", 5, where
            )
    elif total < 0.9 * scene.usable:
        found.add(claim, total / scene.usable, "ratio", 1 / 30, (*where, *scene.capacity_citation))
