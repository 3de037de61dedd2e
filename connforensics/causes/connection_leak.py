"""Sessions are opened or checked out and never given back.

For it: one client's sessions rise while what it uses of them does not; they rest outside a transaction with growing age;
new ones are opened although old ones lie unused; its pool counts them as lent out; a restart resets the ramp and it
grows again. Against it: the sessions work, the client's rests are young, or more workers explain the growth.
"""

from __future__ import annotations

from typing import Any

from connforensics.analyses import leak_signature, records
from connforensics.causes import Assessment, Scene

GROWTH = 5
"""Sessions that a ramp must add before it is called one (judgement: smaller steps are a pool's ordinary filling)."""

STRAIGHT_R2 = 0.8
"""A leak at a steady rate is a straight line; below this coefficient of determination growth is not steady."""


def weigh(scene: Scene) -> Assessment:
    """Hold the evidence against a leak by the client that looks most like one."""
    found = Assessment("connection_leak")
    _from_reports(scene, found)
    table = leak_signature.run(scene.case, scene.window)
    suspects = [row for row in records(table) if row["server"] == scene.server]
    if not suspects:
        found.lacks("snapshots or a log of sessions: nothing tells how any client's sessions grew")
        return found
    suspect = max(
        suspects,
        key=lambda row: (
            row["is_leaking"],
            (row["lent_but_idle"] or 0) >= max(leak_signature.LEAKED_SESSIONS, 0.5 * (row["sessions_last"] or 0)),
            row["abandoned"] if row["abandoned"] >= leak_signature.LEAKED_SESSIONS else 0,
            (row["sessions_last"] or 0) - (row["sessions_first"] or 0),
        ),
    )
    client = str(suspect["client"])
    growth = float(suspect["sessions_last"] - suspect["sessions_first"])
    ramps = scene.rows(
        """
        SELECT ramp_no, since_at, peak_at, sessions_least, sessions_peak, slope_per_min, r2, stale_at_peak, source_id, line_no
        FROM ramp
        WHERE server = $server AND client = $client AND sessions_peak - sessions_least >= $growth
        ORDER BY ramp_no
        """,
        client=client,
        growth=GROWTH,
    )
    where = scene.cite(*((ramp[8], ramp[9]) for ramp in ramps[:3]))
    if growth < GROWTH or not ramps:
        found.add(
            f"no client's sessions grew by {GROWTH} or more; most: {client} by {growth:.0f}",
            growth,
            "sessions",
            1 / 30,
            where,
        )
        return found
    found.culprit = ("application", client)
    share_of_growth = growth / max(1.0, float(scene.peak[0])) if scene.peak else 0.0
    if (suspect["r2"] or 0) >= STRAIGHT_R2:
        found.add(
            f"sessions of {client} grew from {suspect['sessions_first']:.0f} to {suspect['sessions_last']:.0f} in a straight line "
            f"({suspect['growth_per_min']:.1f} a minute)",
            float(suspect["growth_per_min"]),
            "sessions/min",
            3,
            where,
        )
    held = _from_pools(scene, found, client, ramps)
    if suspect["basis"] == "snapshots":
        _from_snapshots(scene, found, suspect, client, held=held)
    else:
        found.lacks("snapshots of the sessions: whether they lay idle cannot be told from a log")
        _from_log(scene, found, client, ramps, where)
    _from_workers(found, suspect, client)
    _from_restarts(scene, found, suspect, client, ramps, where)
    if share_of_growth < 0.2 and scene.saturated:
        found.add(
            f"what {client} gained is {share_of_growth:.0%} of the peak: taking it away would not have ended the saturation",
            share_of_growth,
            "share",
            1 / 5,
            where,
        )
    return found


def _from_reports(scene: Scene, found: Assessment) -> None:
    """Take what the pools' own leak detection says; a connection that came back late was no leak."""
    told = scene.first(
        """
        SELECT count(*) AS suspected,
               count(*) FILTER (WHERE returned.session_key IS NOT NULL) AS returned,
               mode(split_part(suspect.detail, chr(10), 1)) AS taken_in,
               min(suspect.source_id), arg_min(suspect.line_no, (suspect.source_id, suspect.line_no))
        FROM event AS suspect
        LEFT JOIN (SELECT DISTINCT session_key FROM event WHERE kind = 'pool_leak_returned') AS returned USING (session_key)
        WHERE suspect.kind = 'pool_leak_suspected'
          AND suspect.event_at >= $since
          AND suspect.event_at < $until
        """
    )
    if told is None or not told[0]:
        return
    suspected, returned, taken_in, source_id, line_no = told
    lost = suspected - returned
    where = f", most of them taken in {taken_in}" if taken_in else ""
    found.add(
        f"pools report {suspected} connections held longer than their leak threshold, {lost} of them never returned{where}",
        float(lost),
        "connections",
        8 if lost > returned else 1.5,
        scene.cite((source_id, line_no)),
    )


def _from_snapshots(scene: Scene, found: Assessment, suspect: dict[str, Any], client: str, *, held: bool) -> None:
    """Weigh how the client's sessions rest; `held`: its pool says already that they are lent out and not used."""
    places = scene.rows(
        """
        SELECT source_id, line_no, abandoned_at
        FROM abandoned_session
        WHERE server = $server AND client = $client AND last_seen_at >= $since AND abandoned_at < $until
        ORDER BY abandoned_at
        LIMIT 5
        """,
        client=client,
    )
    where = scene.cite(*((place[0], place[1]) for place in places))
    abandoned = float(suspect["abandoned"] or 0)
    opened = float(suspect["opened_meanwhile"] or 0)
    idle_share = float(suspect["idle_share"] or 0)
    if suspect["is_leaking"]:
        if places:
            found.onset_at, found.is_onset_estimated = places[0][2], False
        found.add(
            f"{abandoned:.0f} sessions of {client} were left idle outside a transaction and never used again; "
            f"the oldest had rested for {suspect['oldest_idle_s']:.0f} s at the peak",
            abandoned,
            "sessions",
            30,
            where,
        )
        found.add(
            f"{client} opened {opened:.0f} new sessions while those lay unused: it does not know it still has them",
            opened,
            "sessions",
            30,
            where,
        )
        return
    if held:
        return
    if abandoned < leak_signature.LEAKED_SESSIONS:
        found.add(f"only {abandoned:.0f} sessions of {client} were left unused", abandoned, "sessions", 1 / 30, where)
    elif opened < leak_signature.LEAKED_SESSIONS:
        found.add(
            f"{client} opened only {opened:.0f} sessions while {abandoned:.0f} lay unused: a pool at rest, not a leak",
            opened,
            "sessions",
            1 / 30,
            where,
        )
    else:
        found.add(
            f"at its peak {idle_share:.0%} of the sessions of {client} are idle, most of them used a moment ago",
            idle_share,
            "share",
            1 / 10,
            where,
        )


def _from_log(
    scene: Scene,
    found: Assessment,
    client: str,
    ramps: list[tuple[Any, ...]],
    where: tuple[str, ...],
) -> None:
    opened, kept, first_kept, source_id, line_no = scene.rows(
        """
        SELECT count(*), count(*) FILTER (WHERE ended_basis <> 'closed' OR mass_end.ended_at IS NOT NULL),
               min(opened_at) FILTER (WHERE ended_basis <> 'closed' OR mass_end.ended_at IS NOT NULL),
               min(session.source_id), arg_min(session.line_no, opened_at)
        FROM session
        LEFT JOIN mass_end
          ON mass_end.server = session.server
         AND mass_end.client = session.client
         AND session.ended_at BETWEEN mass_end.ended_at AND mass_end.ended_at + INTERVAL 5 SECOND
        WHERE session.server = $server AND session.client = $client AND opened_at >= $since AND opened_at < $until
        """,
        client=client,
    )[0]
    share = kept / opened if opened else 0.0
    claim = f"{kept} of the {opened} sessions that {client} opened never ended but by a restart of it or of the server"
    if opened >= GROWTH and share >= 0.8:
        found.add(claim, share, "share", 2, (*scene.cite((source_id, line_no)), *where))
        found.onset_at = _left_its_level(scene, client, ramps) or first_kept
        found.is_onset_estimated = True
    elif share < 0.5:
        found.add(f"only {claim}", share, "share", 1 / 10, where)


def _left_its_level(scene: Scene, client: str, ramps: list[tuple[Any, ...]]) -> Any:
    """Return when the first ramp rose above what the client needed in the ramp's first tenth."""
    first = ramps[0]
    found = scene.first(
        """
        WITH counted AS (
          SELECT changed_at, open_sessions
          FROM client_session_count
          WHERE server = $server AND client = $client AND changed_at >= $from_at AND changed_at <= $to_at
        ),
        level AS (
          SELECT max(open_sessions) AS open_sessions
          FROM counted
          WHERE changed_at <= $from_at::TIMESTAMP + ($to_at::TIMESTAMP - $from_at::TIMESTAMP) / 10
        )
        SELECT min(changed_at)
        FROM counted, level
        WHERE counted.open_sessions > level.open_sessions
        """,
        client=client,
        from_at=first[1],
        to_at=first[2],
    )
    return found[0] if found else None


def _from_pools(scene: Scene, found: Assessment, client: str, ramps: list[tuple[Any, ...]]) -> bool:
    """Hold what the client's pool has lent out against what the server sees working; returns whether it is held idle."""
    peak_at = max(ramps, key=lambda ramp: ramp[4] - ramp[3])[2]
    service, idle, checked_out, sessions, working, source_id, line_no = scene.rows(
        """
        SELECT any_value(lent_but_idle.service), median(lent_but_idle), median(checked_out), median(sessions), median(working),
               min(source_id), arg_min(line_no, (source_id, line_no))
        FROM lent_but_idle
        JOIN service_client USING (service)
        WHERE client = $client
          AND checked_out IS NOT NULL
          AND sampled_at BETWEEN $peak_at::TIMESTAMP - INTERVAL 30 SECOND AND $peak_at::TIMESTAMP
        """,
        client=client,
        peak_at=peak_at,
    )[0]
    if service is None:
        found.lacks(f"numbers of the pool of {client}: whether it counts the idle sessions as lent out")
        return False
    # Behind a pooler a pool counts as lent out what still waits there, and has fewer sessions at the server.
    held = min(checked_out, sessions)
    if idle >= leak_signature.LEAKED_SESSIONS and idle >= 0.5 * held:
        found.add(
            f"around the peak the pool of {service} counts {checked_out:.0f} sessions as lent out; of the {sessions:.0f} at the "
            f"server {working:.0f} work: {idle:.0f} are held and not used",
            float(idle),
            "sessions",
            30,
            scene.cite((source_id, line_no)),
        )
        rest = scene.first(
            """
            SELECT min(state_change_at)
            FROM idle_spell
            WHERE server = $server AND client = $client AND NOT is_in_transaction
              AND last_seen_at >= $peak_at::TIMESTAMP - INTERVAL 5 SECOND AND seconds >= 10 AND state_change_at >= $since
            """,
            client=client,
            peak_at=peak_at,
        )
        found.onset_at = rest[0] if rest else None
        found.is_onset_estimated = True
        return True
    if working >= 0.5 * checked_out >= 1:
        found.add(
            f"what the pool of {service} has lent out around the peak ({checked_out:.0f}) is at work on the server ({working:.0f})",
            float(idle),
            "sessions",
            1 / 5,
            scene.cite((source_id, line_no)),
        )
    return False


def _from_workers(found: Assessment, suspect: dict[str, Any], client: str) -> None:
    first, last = suspect["workers_first"], suspect["workers_last"]
    if first is None:
        found.lacks(f"worker counts of {client}: whether more of them explain the growth")
        return
    before, after = float(first), float(last)
    if after <= before:
        found.add(
            f"the workers of {client} did not grow meanwhile ({before:.0f} to {after:.0f})",
            after - before,
            "workers",
            5,
        )
    else:
        sessions = float(suspect["sessions_last"]) / max(1.0, float(suspect["sessions_first"]))
        if after / max(before, 1.0) >= 0.7 * sessions:
            found.add(
                f"the workers of {client} grew as well ({before:.0f} to {after:.0f}), about as much as its sessions",
                after / max(before, 1.0),
                "ratio",
                1 / 30,
            )


def _from_restarts(
    scene: Scene,
    found: Assessment,
    suspect: dict[str, Any],
    client: str,
    ramps: list[tuple[Any, ...]],
    where: tuple[str, ...],
) -> None:
    if len(ramps) < 2 or not suspect["resets"]:
        return
    slopes = [float(ramp[5] or 0) for ramp in ramps]
    if min(slopes) > 0 and max(slopes) <= 3 * min(slopes):
        ends = scene.rows(
            "SELECT source_id, line_no FROM mass_end WHERE server = $server AND client = $client ORDER BY ended_at LIMIT 2",
            client=client,
        )
        found.add(
            f"a restart of {client} reset the ramp and it grew again ({', '.join(f'{slope:.1f}' for slope in slopes[:4])} a minute)",
            float(len(ramps)),
            "ramps",
            10,
            (*scene.cite(*ends), *where),
        )
