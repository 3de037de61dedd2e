"""What happened, in order?

One row is one happening: life of the server, first and last refusal, the peak, saturated stretches, restarts seen as
mass ends of one client's sessions, deploys and notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connforensics.analyses import clock, plural, span
from connforensics.case import Case, Window

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return event_at, what, kind, server, citation, in time order; repeated events of one kind are folded by minute."""
    return span(case, window).query(
        case,
        """
        SELECT happened_at AS event_at, what, kind, server, citation
        FROM happening
        WHERE happened_at >= $since
          AND happened_at < $until
        ORDER BY happened_at, kind
        LIMIT 500
        """,
    )


def headline(table: pd.DataFrame) -> str:
    """Say how many happenings and which came first."""
    if table.empty:
        return "Nothing happened that the evidence tells of."
    first = table.iloc[0]
    return f"{plural(len(table), 'happening')}, the first at {clock(first['event_at'])}: {first['what']}."
