"""From a server's local time to UTC: the zone as logs write it (`UTC`, `CEST`, `+05`, nothing at all).

Offsets of abbreviations are those of PostgreSQL's default set (share/timezonesets/Default) and, where that set has
none, of the IANA zones that show the abbreviation. An abbreviation of several zones, an unknown one and a missing one
are read by the time zone the caller gave, else by the rule said in the assumption.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from connforensics.errors import UsageError
from connforensics.evidence import Ledger

OFFSETS_S: Final = {
    "UTC": 0, "GMT": 0, "Z": 0, "UCT": 0, "WET": 0, "WEST": 3600, "BST": 3600, "CET": 3600, "CEST": 7200, "MET": 3600,
    "MEST": 7200, "WAT": 3600, "CAT": 7200, "EET": 7200, "EEST": 10800, "SAST": 7200, "IDT": 10800, "EAT": 10800,
    "MSD": 14400, "PKT": 18000, "PKST": 21600, "WIB": 25200, "HKT": 28800, "SGT": 28800, "AWST": 28800, "AWDT": 32400,
    "WITA": 28800, "WIT": 32400, "JST": 32400, "KST": 32400, "ACST": 34200, "ACDT": 37800, "AEST": 36000,
    "AEDT": 39600, "ChST": 36000, "NZST": 43200, "NZDT": 46800, "NST": -12600, "NDT": -9000, "AST": -14400,
    "ADT": -10800, "EST": -18000, "EDT": -14400, "CDT": -18000, "MST": -25200, "MDT": -21600, "PDT": -25200,
    "AKST": -32400, "AKDT": -28800, "HST": -36000, "HDT": -32400, "SST": -39600, "BRT": -10800, "ART": -10800,
    "CLT": -14400, "CLST": -10800, "COT": -18000, "PET": -18000, "IRST": 12600, "TRT": 10800, "MYT": 28800,
    "ICT": 25200, "UZT": 18000,
}  # fmt: skip
"""Seconds east of UTC."""

AMBIGUOUS_S: Final = {"CST": -21600, "PST": -28800, "IST": 7200}
"""Abbreviations that zones far apart show today, as PostgreSQL's default set reads them."""

MOSCOW: Final = "Europe/Moscow"
"""MSK was UTC+4 from 2011 to 2014 and is UTC+3 otherwise."""

_NUMERIC = re.compile(r"([+-])(\d\d):?(\d\d)?:?(\d\d)?$")


@dataclass(slots=True)
class Zones:
    """The zones one source writes, and what each means.

    `timezone` is the IANA name (or UTC offset) the caller gave. Raises UsageError when it is neither.
    """

    timezone: str | None
    ledger: Ledger
    _meanings: dict[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.timezone is not None and _NUMERIC.match(self.timezone) is None:
            _zone(self.timezone)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The zones met so far, '' for a time without one."""
        return tuple(self._meanings)

    def note(self, stamp: str) -> None:
        """Note the zone of a written time."""
        self.add(stamp[19:].lstrip(".0123456789").strip(), stamp)

    def add(self, zone: str, example: str) -> None:
        """Settle what a zone means; `example` is a time under it, for the assumption."""
        if zone in self._meanings:
            return
        numeric = _NUMERIC.match(zone)
        if numeric:
            self._meanings[zone] = _numeric_s(numeric)
        elif zone == "MSK":
            self._meanings[zone] = MOSCOW
        elif zone in OFFSETS_S:
            self._meanings[zone] = OFFSETS_S[zone]
        elif self.timezone is not None:
            self._meanings[zone] = self._given(self.timezone, zone, example)
        elif zone in AMBIGUOUS_S:
            self._meanings[zone] = AMBIGUOUS_S[zone]
            self.ledger.assume(
                f"time zone {zone} is read as UTC{AMBIGUOUS_S[zone] / 3600:+.0f} h; give the time zone if it is another {zone}"
            )
        else:
            self._meanings[zone] = 0
            what = f"time zone {zone} is unknown" if zone else "times bear no zone"
            self.ledger.assume(f"{what}: taken for UTC")

    def _given(self, given: str, zone: str, example: str) -> int | str:
        if not zone:
            self.ledger.assume(f"times bear no zone: taken for {given}")
        numeric = _NUMERIC.match(given)
        if numeric:
            return _numeric_s(numeric)
        if zone:
            year = int(example[:4])
            for month in range(1, 13):
                moment = datetime(year, month, 15, tzinfo=UTC).astimezone(_zone(given))
                offset = moment.utcoffset()
                if moment.tzname() == zone and offset is not None:
                    return int(offset.total_seconds())
            self.ledger.assume(f"time zone {zone} is taken for {given}, the one given")
        return given

    def sql(self, stamp: str | None, epoch: str | None, digits: int | None = None) -> str:
        """Return SQL for the UTC time of a line, NULL where it tells none.

        `stamp` and `epoch` are expressions; `digits` says that every stamp has that many before its zone, and a zone
        that was met.
        """
        if stamp is None:
            if epoch is None:
                return "CAST(NULL AS TIMESTAMP)"
            seconds = f"TRY_CAST({epoch} AS DOUBLE)"
            return (
                f"CASE WHEN {seconds} BETWEEN 0 AND 1e11 "
                f"THEN make_timestamp(CAST(round({seconds} * 1000) AS BIGINT) * 1000) END"
            )
        written = (
            f"left({stamp}, {digits})"
            if digits
            else (f"CASE WHEN substr({stamp}, 20, 1) = '.' THEN left({stamp}, 23) ELSE left({stamp}, 19) END")
        )
        local = f"TRY_CAST({written} AS TIMESTAMP)"
        values = {zone: self._utc_sql(zone, local) for zone in self._meanings}
        if not values:
            return "CAST(NULL AS TIMESTAMP)"
        if digits and len(values) == 1:
            return next(iter(values.values()))
        arms = " ".join(f"WHEN '{zone}' THEN {value}" for zone, value in values.items())
        return f"CASE {zone_sql(stamp)} {arms} END"

    def moment_sql(self, date: str, clock: str, fraction: str, zone: str) -> str:
        """Return SQL for the UTC time of one whose parts are expressions, NULL where it is none or the zone was not added."""
        local = (
            f"TRY_CAST(translate({date}, '/.', '--') || ' ' || {clock}"
            f" || CASE WHEN {fraction} <> '' THEN '.' || left({fraction}, 6) ELSE '' END AS TIMESTAMP)"
        )
        arms = []
        for spelling, meaning in self._meanings.items():
            if isinstance(meaning, str):
                value = f"make_timestamp(epoch_us(timezone('{meaning}', {local})))"
            else:
                value = local if meaning == 0 else f"{local} - INTERVAL ({meaning}) SECOND"
            arms.append(f"WHEN '{spelling.replace(chr(39), chr(39) * 2)}' THEN {value}")
        return f"CASE {zone} {' '.join(arms)} END" if arms else "CAST(NULL AS TIMESTAMP)"

    def local_sql(self, local: str, zone: str) -> str:
        """Return SQL for the UTC time of a local one: `local` is a TIMESTAMP, `zone` one of `spellings`."""
        values = [self._utc_sql(name, local) for name in self._meanings]
        if len(values) < 2:
            return values[0] if values else "CAST(NULL AS TIMESTAMP)"
        arms = " ".join(f"WHEN '{name}' THEN {value}" for name, value in zip(self._meanings, values, strict=True))
        return f"CASE {zone} {arms} END"

    def _utc_sql(self, zone: str, local: str) -> str:
        meaning = self._meanings[zone]
        if isinstance(meaning, str):
            return f"CAST(timezone('{meaning}', {local}) AS TIMESTAMP)"
        return local if meaning == 0 else f"{local} - INTERVAL ({meaning}) SECOND"

    def utc(self, stamp: str, zone: str) -> datetime | None:
        """Return the UTC time of a written time, None where it is none."""
        self.add(zone, stamp)
        digits = 23 if stamp[19:20] == "." else 19
        try:
            local = datetime.fromisoformat(stamp[:digits])
        except ValueError:
            return None
        meaning = self._meanings[zone]
        if isinstance(meaning, str):
            return local.replace(tzinfo=_zone(meaning)).astimezone(UTC).replace(tzinfo=None)
        return local - timedelta(seconds=meaning)


def zone_sql(stamp: str) -> str:
    """Return SQL for the zone of a written time, '' where it has none."""
    return f"CASE WHEN substr({stamp}, 20, 1) = '.' THEN substr({stamp}, 25) ELSE substr({stamp}, 21) END"


def _numeric_s(found: re.Match[str]) -> int:
    sign = -1 if found[1] == "-" else 1
    return sign * (int(found[2]) * 3600 + int(found[3] or 0) * 60 + int(found[4] or 0))


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"unknown time zone {name!r}", "Give an IANA name such as Europe/Berlin, or an offset such as +02:00."
        ) from None
