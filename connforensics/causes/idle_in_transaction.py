"""Sessions sit in an open transaction doing nothing, holding a slot and often locks.

For it: their share of the slots, the age of their transactions, others queueing on their locks, the server killing them
for it. Against it: there are none, or they are young and many (chatty transactions, not holders).
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

HELD_SHARE = 0.15
"""From this share of the slots on, holders matter for saturation (judgement)."""

QUEUED_SHARE = 0.2
"""From this share of sessions that wait for locks on, who is at the head of their queue is why (judgement)."""

OLD_S = 10.0
"""A transaction that rests longer than this is not a pause between two statements of a program (judgement)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against sessions idle in transaction."""
    found = Assessment("idle_in_transaction")
    _from_log(scene, found)
    use = scene.crisis_use
    if use is None:
        found.lacks("snapshots of the sessions: who was idle in a transaction, and since when")
        return found
    share = use.share("idle_in_transaction")
    oldest = scene.first(
        """
        SELECT in_state_s, client, sampled_at, state_change_at, source_id, line_no
        FROM client_backend
        WHERE server = $server AND state LIKE 'idle in transaction%' AND list_contains($moments, sampled_at)
        ORDER BY in_state_s DESC NULLS LAST
        LIMIT 1
        """,
        moments=scene.crisis_snapshots,
    )
    if _heads_the_queue(scene, found, use.share("lock_waiters")):
        return found
    if share < 0.05 or oldest is None:
        found.add(
            f"only {share:.0%} of the sessions were idle in transaction in the crisis",
            share,
            "share",
            1 / 300,
            use.citations,
        )
        return found
    (median_s,) = scene.rows(
        """
        SELECT median(in_state_s)
        FROM client_backend
        WHERE server = $server AND state LIKE 'idle in transaction%' AND list_contains($moments, sampled_at)
        """,
        moments=scene.crisis_snapshots,
    )[0]
    where = (*scene.cite((oldest[4], oldest[5])), *use.citations)
    if median_s is not None and median_s < 1:
        found.add(
            f"half of the transactions idle in the crisis had rested for less than {max(median_s, 0.01):.2g} s: many short ones, not holders",
            float(median_s),
            "s",
            1 / 30,
            where,
        )
        return found
    ratio = 100 if share >= 0.5 else 30 if share >= 0.3 else 10 if share >= HELD_SHARE else 2
    found.add(
        f"{share:.0%} of all sessions were idle in transaction in the crisis ({use.idle_in_transaction:.0f} of {use.sessions:.0f})",
        share,
        "share",
        ratio,
        where,
    )
    if oldest[0] is not None and oldest[0] >= OLD_S:
        found.add(
            f"one of them, of {oldest[1]}, had done nothing for {oldest[0]:.0f} s at {scene.when(oldest[2])}",
            float(oldest[0]),
            "s",
            10,
            scene.cite((oldest[4], oldest[5])),
        )
    top = scene.first(
        """
        SELECT client, count(*) AS sessions, min(xact_start_at)
        FROM client_backend
        WHERE server = $server AND state LIKE 'idle in transaction%' AND list_contains($moments, sampled_at)
        GROUP BY client
        ORDER BY sessions DESC, client
        LIMIT 1
        """,
        moments=scene.crisis_snapshots,
    )
    if top is not None:
        found.culprit = ("application", str(top[0]))
    onset = scene.first(
        """
        SELECT min(state_change_at)
        FROM idle_spell
        WHERE server = $server AND is_in_transaction AND seconds >= $old_s AND last_seen_at >= $crisis_since
        """,
        old_s=OLD_S,
    )
    found.onset_at = onset[0] if onset else None
    calm = scene.calm_use
    if calm is not None and share >= HELD_SHARE:
        before = calm.share("idle_in_transaction")
        if before < share / 2:
            found.add(
                f"the share grew from {before:.0%} in the calm before to {share:.0%}",
                share - before,
                "share",
                5,
                calm.citations,
            )
    queued = scene.rows(
        """
        SELECT count(*), min(source_id), arg_min(line_no, (source_id, line_no))
        FROM lock_queue
        WHERE server = $server AND is_root AND blocker_state LIKE 'idle in transaction%'
          AND seen_at >= $since AND seen_at <= $crisis_until
        """
    )[0]
    if queued[0]:
        found.add(
            f"{queued[0]} waits for locks had one of them at the head of the queue",
            float(queued[0]),
            "waits",
            10,
            scene.cite(queued[1:]),
        )
    return found


def _heads_the_queue(scene: Scene, found: Assessment, waiting: float) -> bool:
    """Weigh a few sessions, or one, that rest in a transaction while everybody waits for their locks; returns whether so."""
    if waiting < QUEUED_SHARE:
        return False
    resting, heads, head, client, onset_at, source_id, line_no, longest_s = scene.rows(
        """
        WITH head AS (
          SELECT blocker, blocker_client, seen_at, blocker_state LIKE 'idle in transaction%' AS is_resting,
                 blocker_source_id, blocker_line_no
          FROM lock_queue
          WHERE server = $server AND is_root AND seen_at >= $since AND seen_at <= $crisis_until
        ),
        usual AS (
          SELECT mode(blocker) AS blocker FROM head WHERE is_resting
        ),
        rest AS (
          SELECT min(state_change_at) AS onset_at, max(seconds) AS seconds
          FROM idle_spell, usual
          WHERE server = $server AND backend_id = usual.blocker AND is_in_transaction
            AND last_seen_at >= (SELECT min(seen_at) FROM head)
        )
        SELECT count(*) FILTER (WHERE is_resting), count(*), any_value(usual.blocker),
               mode(blocker_client) FILTER (WHERE is_resting), any_value(rest.onset_at),
               min(blocker_source_id) FILTER (WHERE is_resting), min(blocker_line_no) FILTER (WHERE is_resting),
               any_value(rest.seconds)
        FROM head, usual, rest
        """
    )[0]
    if not heads or resting < 0.5 * heads:
        return False
    where = scene.cite((source_id, line_no))
    found.add(
        f"{waiting:.0%} of the sessions waited for locks, and in {resting} of {heads} waits the head of the queue was idle "
        f"in transaction; most often backend {head} of {client}",
        resting / heads,
        "share",
        300,
        where,
    )
    if longest_s is not None and longest_s >= OLD_S:
        found.add(f"it did nothing for {longest_s:.0f} s with its transaction open", float(longest_s), "s", 10, where)
    found.culprit = ("application", str(client))
    found.onset_at = onset_at
    return True


def _from_log(scene: Scene, found: Assessment) -> None:
    killed = scene.rows(
        """
        SELECT count(*), first_of(source_id, event_at, source_id, line_no), first_of(line_no, event_at, source_id, line_no)
        FROM event
        WHERE kind = 'session_terminated'
          AND reason IN ('idle_in_transaction_timeout', 'transaction_timeout')
          AND event_at >= $since AND event_at < $until
        """
    )[0]
    if killed[0]:
        found.add(
            f"the server ended {killed[0]} sessions for resting in a transaction",
            float(killed[0]),
            "sessions",
            10,
            scene.cite(killed[1:]),
        )
    lost = scene.rows(
        """
        SELECT count(*), first_of(source_id, event_at, source_id, line_no), first_of(line_no, event_at, source_id, line_no)
        FROM event
        WHERE kind = 'client_lost' AND reason = 'in_transaction' AND event_at >= $since AND event_at < $until
        """
    )[0]
    if lost[0] >= 3:
        found.add(
            f"{lost[0]} clients vanished with a transaction open", float(lost[0]), "clients", 2, scene.cite(lost[1:])
        )
