"""Times as people and programs write them, read into naive UTC: whole columns in SQL, single ones in Python.

A time without a zone is read in the zone the caller names, else as UTC; `is_zoneless` finds out, so that the
assumption can be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from connforensics.errors import UsageError
from connforensics.evidence.zones import AMBIGUOUS_S, OFFSETS_S

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

COLUMNS: Final = (
    "sampled_at", "sample_time", "sample_at", "sample_ts", "sampled", "snapshot_time", "snapshot_at", "snapshot_ts",
    "snap_time", "snap_at", "snap_ts", "collected_at", "collection_time", "captured_at", "capture_time", "recorded_at",
    "polled_at", "observed_at", "logged_at", "log_time", "clock_timestamp", "now", "current_timestamp",
    "statement_timestamp", "transaction_timestamp", "localtimestamp", "timestamp", "ts", "time", "datetime", "date_time",
    "sample_date", "date", "epoch", "epoch_ms", "when", "dt", "created_at", "inserted_at", "timestamptz",
)  # fmt: skip
"""Names people give the column with the sample's time, the plainest first."""

EPOCH_UNITS: Final = ((1e8, 1e10, 1_000_000.0), (1e11, 1e13, 1_000.0), (1e14, 1e16, 1.0), (1e17, 1e19, 0.001))
"""Lower and upper bound of an epoch number, and microseconds in its unit: s, ms, us, ns. From 1973 to 2286, in each."""

PATTERNS: Final = (
    "%Y-%m-%d %H:%M:%S,%f", "%Y-%m-%dT%H:%M:%S,%f", "%Y%m%dT%H%M%S", "%Y%m%d-%H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d%H%M%S",
    "%Y-%m-%d_%H:%M:%S", "%Y-%m-%d_%H-%M-%S", "%Y-%m-%d-%H-%M-%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M",
    "%d/%b/%Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S", "%d %b %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%b %d, %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y", "%a %b %d %I:%M:%S %p %Y", "%a %d %b %Y %H:%M:%S", "%a %d %b %Y %I:%M:%S %p",
    "%a, %d %b %Y %H:%M:%S",
)  # fmt: skip
"""What is neither ISO 8601 nor a number; the zone is cut off before. Orders that differ by country are left out."""

_NAMED: Final = {**OFFSETS_S, **AMBIGUOUS_S, "MSK": 10800}
_ZONE = r"(?:Z|[+-]\d{1,2}(?::?\d{2}){0,2}|[A-Z]{3,5}|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+\d*)"
_ZONED = re.compile(rf"(?:\d|[APap][Mm])\s?(?:{_ZONE}|[+-]\d{{4}} [A-Z]{{3,5}})$|\b[A-Z]{{3,5}} \d{{4}}$")
_TAIL = re.compile(rf"(?<=\d|M)\s?({_ZONE})$")
_INNER = re.compile(r"\s([A-Z]{3,5})(?=\s\d{4}$)")


def sql(text: str) -> str:
    """Return the SQL that reads VARCHAR expression `text` as naive UTC TIMESTAMP: ISO 8601 and epoch numbers.

    The session's TimeZone is the zone of times that name none. NULL where it is neither: see `filled`.
    """
    epochs = "\n".join(
        f"WHEN TRY_CAST({text} AS DOUBLE) >= {low:.0f} AND TRY_CAST({text} AS DOUBLE) < {high:.0f} "
        f"THEN make_timestamp(CAST(TRY_CAST({text} AS DOUBLE) * {unit} AS BIGINT))"
        for low, high, unit in EPOCH_UNITS
    )
    return f"coalesce(make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))), CASE {epochs} END)"


def filled(moments: pa.ChunkedArray, written: pa.ChunkedArray, zone: str | None) -> pa.ChunkedArray:
    """Return `moments` (what `sql` made of `written`) with the gaps filled by the other ways to write a time.

    Each distinct text is read once.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    missed = pc.and_(pc.is_null(moments), pc.is_valid(written))
    if not pc.any(missed).as_py():
        return moments
    distinct = pc.unique(written.filter(missed)).to_pylist()
    known = {text: moment for text in distinct if (moment := parse(text, zone)) is not None}
    if not known:
        return moments
    texts = pa.array(list(known), written.type)
    values = pa.array(list(known.values()), pa.timestamp("us"))
    return pc.coalesce(moments, values.take(pc.index_in(written, value_set=texts).combine_chunks()))


def is_zoneless(texts: Iterable[str | None]) -> bool:
    """Tell whether any of these times names no zone; numbers are epochs and need none.

    >>> is_zoneless(["2026-11-21 03:12:00+00", "1795230720"]), is_zoneless(["2026-11-21 03:12:00"])
    (False, True)
    """
    return any(
        text and not _ZONED.search(text.strip()) and not text.strip().replace(".", "", 1).isdigit() for text in texts
    )


def zone_assumed(zone: str | None) -> str:
    """Return the sentence that says in which zone times without one were read."""
    return f"times without a zone are read as {zone}, as told" if zone else "times without a zone are read as UTC"


def parse(text: str, zone: str | None = None) -> datetime | None:
    """Return one time as naive UTC, None when it is no time; `zone` is that of times that name none.

    >>> parse("Sat 21 Nov 2026 03:12:00 AM UTC"), parse("20261121T031200Z")
    (datetime.datetime(2026, 11, 21, 3, 12), datetime.datetime(2026, 11, 21, 3, 12))
    """
    text = " ".join(text.split())
    if re.fullmatch(r"\d{9,20}(?:\.\d+)?", text):
        counted = next(
            (
                datetime(1970, 1, 1) + timedelta(microseconds=float(text) * unit)
                for low, high, unit in EPOCH_UNITS
                if low <= float(text) < high
            ),
            None,
        )
        return counted or _in_zone(_strptime(text), None, zone)
    text = re.sub(r"(?<=[+-]\d{4}) [A-Z]{3,5}$", "", text)
    named = _TAIL.search(text) or _INNER.search(text)
    bare = text
    if named is not None:
        bare = (text[: named.start()] + text[named.end() :]).strip()
    moment = _iso(bare) or _strptime(bare)
    return _in_zone(moment, named.group(1) if named else None, zone)


def _iso(text: str) -> datetime | None:
    if not re.match(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}[ T]\d{1,2}:\d{2}", text):
        return None
    date, _, clock = text.replace("/", "-").replace("T", " ").partition(" ")
    year, month, day = date.split("-")
    hour, _, rest = clock.strip().partition(":")
    try:
        return datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{rest[:15]}")
    except ValueError:
        return None


def _strptime(text: str) -> datetime | None:
    for pattern in PATTERNS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def _in_zone(moment: datetime | None, named: str | None, zone: str | None) -> datetime | None:
    if moment is None:
        return None
    where = _NAMED.get(named, named) if named else (zone or "UTC")
    try:
        return moment.replace(tzinfo=_tzinfo(where)).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, KeyError, OSError):
        return None


def _tzinfo(name: str | int) -> timezone | ZoneInfo:
    if isinstance(name, int):
        return timezone(timedelta(seconds=name))
    told = re.fullmatch(r"([+-])(\d{1,2}):?(\d{2})?(?::?\d{2})?", name)
    if told is None:
        return ZoneInfo(name)
    offset = timedelta(hours=int(told.group(2)), minutes=int(told.group(3) or 0))
    return timezone(-offset if told.group(1) == "-" else offset)


_IN_NAME = re.compile(
    r"(?<!\d)(?:(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[T_. -]?(\d\d)[-_.:hH]?(\d\d)(?:[-_.:mM]?(\d\d))?"
    r"(Z|UTC|[+-]\d\d:?\d\d(?!\d))?|(1[0-9]{9}(?:\d{3})?))(?!\d)"
)


def in_name(name: str, zone: str | None = None) -> datetime | None:
    """Return the time a file's name bears, as naive UTC; None where there is none.

    >>> in_name("activity-2026-11-21_03-12-00.csv"), in_name("pg_1795230720.csv")
    (datetime.datetime(2026, 11, 21, 3, 12), datetime.datetime(2026, 11, 21, 3, 12))
    """
    found = _IN_NAME.search(name)
    if found is None:
        return None
    *digits, named, epoch = found.groups()
    if epoch:
        return parse(epoch)
    try:
        moment = datetime(*(int(digit or 0) for digit in digits))  # type: ignore[arg-type]
    except ValueError:
        return None
    return _in_zone(moment, "UTC" if named in ("Z", "UTC") else named, zone)


def set_zone(con: duckdb.DuckDBPyConnection, zone: str | None) -> None:
    """Make `zone` (a name, or an offset of whole hours) the one of times that name none.

    Raises UsageError when there is no such zone.
    """
    import duckdb

    name = zone or "UTC"
    offset = re.fullmatch(r"([+-])(\d{1,2})(?::?00)?", name)
    if offset is not None:
        # POSIX counts west as positive.
        name = f"Etc/GMT{'-' if offset.group(1) == '+' else '+'}{int(offset.group(2))}"
    try:
        con.execute("SET TimeZone = ?", [name])
    except duckdb.Error:
        raise UsageError(f"{zone!r} is not a time zone", "Name one as Europe/Paris, UTC or +02:00.") from None
