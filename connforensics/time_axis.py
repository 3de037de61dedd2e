"""The stretch of time that all charts and tables of a page share, and the zone it is shown in.

The offset of the zone is fixed at the start of the stretch: a change to or from summer time within it cannot fold two
hours onto each other. Times reach a chart as milliseconds on a UTC scale, so that what is seen does not depend on the
zone of whoever looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connforensics.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from connforensics.case import Window

EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The stretch of time all charts share, `start` to `end` in naive UTC, shown at the offset `zone` has at start.

    A bare axis has no labels: it is that of a panel above another one.
    """

    start: datetime
    end: datetime
    zone: str = "UTC"
    is_bare: bool = False

    @classmethod
    def over(cls, window: Window, coverage: pd.DataFrame, zone: str = "UTC") -> TimeAxis:
        """Return the axis of a window; its open sides are closed by the first and last time in the sources.

        `coverage` is the table of that analysis. Raises UsageError when the zone is unknown.
        """
        first, last = coverage["first_at"].min(), coverage["last_at"].max()
        known = [moment.to_pydatetime() for moment in (first, last) if str(moment) != "NaT"]
        start = window.since or (known[0] if known else (window.until or EPOCH) - timedelta(hours=1))
        end = window.until or (known[-1] if known else start + timedelta(hours=1))
        return cls(start, max(end, start + timedelta(seconds=1)), known_zone(zone))

    @property
    def offset(self) -> timedelta:
        """What is added to UTC in everything shown."""
        return self.start.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone)).utcoffset() or timedelta()

    @property
    def label(self) -> str:
        """How the zone is written beside a time.

        >>> TimeAxis(datetime(2026, 1, 1), datetime(2026, 1, 2), "Asia/Kolkata").label
        'Asia/Kolkata, UTC+05:30'
        """
        if self.zone == "UTC":
            return "UTC"
        minutes = round(self.offset.total_seconds() / 60)
        return f"{self.zone}, UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"

    @property
    def domain(self) -> list[float]:
        """Start and end as the scales of the charts know them: milliseconds, moved by `offset`."""
        return [_ms(moment + self.offset) for moment in (self.start, self.end)]

    @property
    def above(self) -> TimeAxis:
        """The same axis without labels."""
        return replace(self, is_bare=True)

    @property
    def span_ms(self) -> float:
        """Length in milliseconds."""
        return self.domain[1] - self.domain[0]

    def shown(self, times: pd.Series[Any]) -> pd.Series[Any]:
        """Return naive UTC times as milliseconds on this axis; what is missing stays missing."""
        return ((times - EPOCH) + self.offset) / timedelta(milliseconds=1)

    @property
    def label_expression(self) -> str:
        """How Vega writes the label of a tick: the date at midnight, else the clock."""
        clock = "%H:%M:%S" if self.span_ms < 10 * 60_000 else "%H:%M"
        midnight = "utchours(datum.value) == 0 && utcminutes(datum.value) == 0 && utcseconds(datum.value) == 0"
        return f"utcFormat(datum.value, {midnight} ? '%b %d' : '{clock}')"


def _ms(moment: datetime) -> float:
    return (moment - EPOCH) / timedelta(milliseconds=1)


def known_zone(zone: str) -> str:
    """Return the zone; UsageError when there is none of that name."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"display_tz: {zone!r} is not a time zone", "Give an IANA name, such as Europe/Berlin, or UTC."
        ) from None
    return zone
