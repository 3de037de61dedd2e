"""Sessions queue behind one active blocker: DDL, a long update.

For it: the share of sessions that wait for locks, one head of the queue, and that head at work. Against it: nobody waits,
or the head rests in a transaction (then that is the cause). A statement that needs an exclusive lock and has to wait
for it makes everybody behind it wait as well: then it, not the long reader in front of it, made the queue.
"""

from __future__ import annotations

from connforensics.causes import Assessment, Scene

QUEUED_SHARE = 0.2
"""From this share of sessions on, a queue for a lock matters for saturation (judgement)."""

EXCLUSIVE = r"(?i)^\s*(alter|drop|truncate|lock|reindex|cluster|vacuum\s+full|refresh\s+materialized|create\s+(unique\s+)?index\s+[^c])"
"""Statements whose lock conflicts with reading or writing (PostgreSQL manual, 13.3 Explicit Locking)."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a queue for locks."""
    found = Assessment("lock_pileup")
    waits, source_id, line_no, first_at = scene.rows(
        """
        SELECT count(*), first_of(source_id, event_at, source_id, line_no), first_of(line_no, event_at, source_id, line_no),
               min(event_at - to_microseconds(CAST(coalesce(duration_ms, 0) * 1000 AS BIGINT)))
        FROM event
        WHERE kind = 'lock_wait' AND event_at >= $since AND event_at <= $crisis_until
        """
    )[0]
    if waits >= 5:
        many = scene.lock_waits_before >= 0.3 * scene.slots
        claim = f"the log tells of {waits} waits for locks"
        # Without snapshots nobody knows whether the head of the queue worked or rested in a transaction.
        ratio = 5 if scene.crisis_use is None or not many else 20
        found.add(claim, float(waits), "waits", ratio, scene.cite((source_id, line_no)))
        found.onset_at = first_at
        if scene.crisis_use is None:
            _exclusive(scene, found)
    use = scene.crisis_use
    if use is None:
        found.lacks("snapshots of the sessions: who waited for whom")
        if not waits and not scene.rows("SELECT 1 FROM setting WHERE name = 'log_lock_waits' AND value = 'on'"):
            found.lacks("lock waits in the server log (log_lock_waits)")
    elif use.share("lock_waiters") < 0.05:
        if scene.rows(
            "SELECT 1 FROM client_backend WHERE wait_event_type IS NOT NULL OR (is_mysql(engine) AND wait_event IS NOT NULL) LIMIT 1"
        ):
            share = use.share("lock_waiters")
            found.add(
                f"only {share:.0%} of the sessions waited for a lock in the crisis",
                share,
                "share",
                1 / 300,
                use.citations,
            )
        else:
            found.lacks("wait events in the snapshots: who waited for a lock")
        return found
    else:
        share = use.share("lock_waiters")
        ratio = 300 if share >= 0.5 else 100 if share >= 0.3 else 20 if share >= QUEUED_SHARE else 2
        claim = f"{share:.0%} of the sessions waited for a lock in the crisis ({use.lock_waiters:.0f} of {use.sessions:.0f})"
        found.add(claim, share, "share", ratio, use.citations)
    _head(scene, found)
    return found


def _exclusive(scene: Scene, found: Assessment) -> None:
    """Weigh a wait for a lock that conflicts with reading, in the log: a statement of DDL made the queue."""
    told = scene.rows(
        """
        SELECT count(*), first_of(source_id, event_at, source_id, line_no), first_of(line_no, event_at, source_id, line_no)
        FROM event
        WHERE kind = 'lock_wait' AND contains(text, 'AccessExclusiveLock') AND event_at >= $since AND event_at <= $crisis_until
        """
    )[0]
    if told[0]:
        claim = (
            f"{told[0]} of these waits were for a lock that shuts out reading, as DDL takes it (AccessExclusiveLock)"
        )
        found.add(claim, float(told[0]), "waits", 10, scene.cite(told[1:]))


def _head(scene: Scene, found: Assessment) -> None:
    """Weigh who stood at the head of the queue, and whether it worked or rested."""
    resting, heads, head, client, source_id, line_no = scene.rows(
        """
        SELECT count(*) FILTER (WHERE blocker_state LIKE 'idle in transaction%'), count(*),
               mode(blocker), mode(blocker_client), min(blocker_source_id), min(blocker_line_no)
        FROM lock_queue
        WHERE server = $server AND is_root AND seen_at >= $since AND seen_at <= $crisis_until
        """
    )[0]
    if not heads:
        found.lacks("who held the locks: blocking ids in the snapshots, or lock waits in the log with snapshots")
        _barrier(scene, found)
        return
    where = scene.cite((source_id, line_no))
    if resting >= 0.5 * heads:
        found.add(
            f"in {resting} of {heads} waits the head of the queue was idle in transaction",
            resting / heads,
            "share",
            1 / 300,
            where,
        )
        return
    claim = f"in {heads - resting} of {heads} waits the head of the queue was at work; most often backend {head} of {client}"
    found.add(claim, 1 - resting / heads, "share", 10, where)
    found.culprit = ("application", str(client))
    if found.onset_at is None:
        begun = scene.first(
            """
            SELECT min(query_start_at)
            FROM client_backend
            WHERE server = $server AND backend_id = $head AND state = 'active' AND sampled_at >= $since AND sampled_at <= $crisis_until
              AND sampled_at >= (SELECT min(seen_at) FROM lock_queue WHERE server = $server AND blocker = $head)
            """,
            head=head,
        )
        found.onset_at = begun[0] if begun else None
    _barrier(scene, found)


def _barrier(scene: Scene, found: Assessment) -> None:
    """Weigh a statement that waits for an exclusive lock and makes everybody behind it wait as well."""
    barrier = scene.first(
        """
        WITH stuck AS (
          SELECT client, backend_id, min(query_start_at) AS waiting_since_at, any_value(query) AS query,
                 min(source_id) AS source_id, min(line_no) AS line_no
          FROM client_backend
          WHERE server = $server AND wait_event_type = 'Lock' AND sampled_at >= $since AND sampled_at <= $crisis_until
          GROUP BY ALL
        )
        SELECT client, backend_id, waiting_since_at, left(query, 80), source_id, line_no
        FROM stuck
        WHERE regexp_matches(query, $exclusive)
        ORDER BY waiting_since_at
        LIMIT 1
        """,
        exclusive=EXCLUSIVE,
    )
    if barrier is not None:
        claim = f"backend {barrier[1]} of {barrier[0]} waited for an exclusive lock, and everybody behind it: {barrier[3]!r}"
        found.add(claim, None, "", 5, scene.cite((barrier[4], barrier[5])))
        found.culprit = ("application", str(barrier[0]))
        found.onset_at = barrier[2]
