"""When was nobody looking?

One row is one interval in which a kind of evidence is missing although the case goes on; with refusals in it, the
silence is saturation (a monitor that needs a new connection is refused like everybody else), not rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, greatest, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return evidence, server, since_at, until_at, seconds, meaning ('saturated' or 'not watched'), refusals."""
    return span(case, window).query(
        case,
        """
        SELECT evidence, server, greatest(since_at, $since) AS since_at, least(until_at, $until) AS until_at,
               seconds, meaning, refusals
        FROM blind_spot
        WHERE since_at < $until
          AND until_at > $since
        ORDER BY since_at, evidence
        LIMIT 2000
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say how many gaps there are and which is the longest."""
    if table.empty:
        return "No gap is found in the series that were recorded."
    longest = greatest(table, "seconds")
    refused = int((table["meaning"] == "saturated").sum())
    return (
        f"{plural(len(table), 'gap')}; the longest is {longest['seconds']:,.0f} s without {longest['evidence']} "
        f"from {clock(longest['since_at'])}."
        + (
            f" {plural(refused, 'gap holds', 'gaps hold')} refusals: read as saturation, not as rest."
            if refused
            else ""
        )
    )
