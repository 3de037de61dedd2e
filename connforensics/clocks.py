"""How far the clocks of two writers are apart, by the refusals that both of them saw.

A client that the server turns away writes so at the same moment. Of all differences between a client's refusals and a
server's, the true one comes back again and again; it is taken only where it explains most of the client's refusals and
no other difference explains nearly as many. A log whose zone was taken for UTC shows up as whole hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

LEAST_REFUSALS: Final = 10
"""Fewer prove nothing."""

LEAST_SHARE: Final = 0.7
"""Of the client's refusals, how many must have one of the server's at that distance."""

MOST_RIVAL: Final = 0.7
"""How near the next best distance may come to the best; where refusals are dense, any distance explains many."""

MOST_HOURS: Final = 15
"""The widest that two zones are apart, and an hour of summer time."""

MOST_OF_CLIENT: Final = 200
"""Refusals of a client's log that are looked at."""

MOST_OF_SERVER: Final = 10_000
"""A server's log with more tells no distance from another."""

WORTH_SAYING_S: Final = 2.0
"""Below this the order of events on a post-mortem's time axis is right anyway."""

_SAID: Final = "its clock is "


def estimate(con: duckdb.DuckDBPyConnection) -> None:
    """Set `source.clock_offset_s` of every client's log that shares refusals with a server's log; NULL for all others.

    Seconds; positive where the client's clock is ahead of the server's. An offset that matters is an assumption, too.
    """
    con.execute("BEGIN")
    con.execute("UPDATE source SET clock_offset_s = NULL WHERE clock_offset_s IS NOT NULL")
    con.execute("DELETE FROM assumption WHERE starts_with(text, ?)", [_SAID])
    clients = "SELECT DISTINCT source_id FROM event WHERE kind = 'client_refused' ORDER BY source_id"
    found = [row for (client,) in con.execute(clients).fetchall() for row in con.execute(_OFFSET, [client]).fetchall()]
    for source_id, offset_s, path, shared, looked_at in found:
        con.execute("UPDATE source SET clock_offset_s = ? WHERE source_id = ?", [offset_s, source_id])
        if abs(offset_s) >= WORTH_SAYING_S:
            text = (
                f"{_SAID}{_spoken(abs(offset_s))} {'ahead of' if offset_s > 0 else 'behind'} that of {path}, by {shared} of "
                f"{looked_at} refusals that both tell of; its times are left as written"
            )
            con.execute("INSERT INTO assumption VALUES (?, ?)", [source_id, text])
    con.execute("COMMIT")


def _spoken(seconds: float) -> str:
    """Return a distance in words.

    >>> _spoken(40.2), _spoken(7199.8)
    ('40 s', '2 h (another time zone?)')
    """
    quarters = round(seconds / 900)
    if quarters and abs(seconds - quarters * 900) < WORTH_SAYING_S:
        return f"{quarters / 4:g} h (another time zone?)"
    return f"{seconds:.0f} s"


_OFFSET: Final = f"""
    WITH refusal AS (
      SELECT source_id, kind = 'client_refused' AS is_client, line_no, epoch_us(event_at) AS told_us
      FROM event
      WHERE event_at IS NOT NULL
        AND ((kind = 'client_refused' AND source_id = ?)
             OR kind IN ('refused_full', 'refused_reserved', 'refused_quota'))
    ),
    writer AS (
      SELECT source_id, is_client, count(*) AS refusals,
             CASE WHEN bool_and(told_us % 1000000 = 0) THEN 1000000 ELSE 100000 END AS step_us
      FROM refusal
      GROUP BY ALL
    ),
    looked_at AS (
      SELECT *
      FROM refusal
      JOIN writer USING (source_id, is_client)
      WHERE CASE WHEN is_client THEN refusals >= {LEAST_REFUSALS} ELSE refusals <= {MOST_OF_SERVER} END
      QUALIFY NOT is_client OR row_number() OVER (PARTITION BY is_client ORDER BY hash(line_no)) <= {MOST_OF_CLIENT}
    ),
    difference AS (
      SELECT here.source_id, there.source_id AS server_id, here.line_no, here.told_us - there.told_us AS ahead_us,
             greatest(here.step_us, there.step_us) AS step_us
      FROM looked_at AS here
      JOIN looked_at AS there
        ON here.is_client
       AND NOT there.is_client
       AND abs(here.told_us - there.told_us) <= {MOST_HOURS} * 3600000000
    ),
    -- Each difference counts in two bins that overlap by half: a true one is whole in one of them.
    binned AS (
      SELECT source_id, server_id, step_us, CAST(floor(ahead_us / step_us) AS BIGINT) + half AS bin, line_no, ahead_us
      FROM difference, (VALUES (0), (1)) AS halves (half)
    ),
    explained AS (
      SELECT source_id, server_id, bin, count(DISTINCT line_no) AS refusals, median(ahead_us) AS ahead_us
      FROM binned
      GROUP BY ALL
    ),
    best AS (
      SELECT *
      FROM explained
      QUALIFY row_number() OVER (PARTITION BY source_id ORDER BY refusals DESC, abs(ahead_us)) = 1
    ),
    rival AS (
      SELECT best.source_id, max(explained.refusals) AS refusals
      FROM best
      JOIN explained
        ON explained.source_id = best.source_id
       AND explained.server_id = best.server_id
       AND abs(explained.bin - best.bin) > 2
      GROUP BY ALL
    ),
    seen AS (
      SELECT source_id, count(*) AS refusals FROM looked_at WHERE is_client GROUP BY ALL
    )
    SELECT best.source_id, round(best.ahead_us / 1e6, 3), source.path, best.refusals, seen.refusals
    FROM best
    JOIN seen ON seen.source_id = best.source_id
    JOIN source ON source.source_id = best.server_id
    LEFT JOIN rival ON rival.source_id = best.source_id
    WHERE best.refusals >= {LEAST_SHARE} * seen.refusals
      AND coalesce(rival.refusals, 0) <= {MOST_RIVAL} * best.refusals
    """
