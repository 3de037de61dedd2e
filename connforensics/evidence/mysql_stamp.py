"""Times as MySQL and MariaDB write them into their logs, read to naive UTC.

ISO with an offset since MySQL 5.7, a two-digit year and local time (`261121  3:12:06`) before and in MariaDB, and
MariaDB's error log between the two (`2026-11-21  3:12:06`).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

    from connforensics.evidence.zones import Zones

WRITTEN: Final = (
    r"(?:\d{4}-\d\d-\d\d[T ] *\d?\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?|\d{6} +\d?\d:\d\d:\d\d(?:\.\d+)?)"
)
"""A time as written, without a capturing group."""

_PARTS: Final = r"^(\d{4}-\d\d-\d\d|\d{6})[T ] *(\d?\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)? ?(.*)$"

LAST_CENTURY: Final = 70
"""Two-digit years from here on are of the 20th century; MySQL reads them so."""


def utc(text: str, zones: Zones) -> datetime | None:
    """Return one written time as naive UTC, None where it is none."""
    found = re.match(_PARTS, text)
    if found is None:
        return None
    date, clock, fraction, zone = found.groups()
    if len(date) == 6:
        century = "19" if int(date[:2]) >= LAST_CENTURY else "20"
        date = f"{century}{date[:2]}-{date[2:4]}-{date[4:]}"
    moment = zones.utc(f"{date} {clock:0>8}", zone)
    return moment.replace(microsecond=int(f"{fraction:0<6}")) if moment and fraction else moment


def timed_sql(con: duckdb.DuckDBPyConnection, zones: Zones, source: str) -> str:
    """Return a SELECT of all columns of `source` (a SELECT with `stamp` VARCHAR) and `event_at`, its time as naive UTC."""
    zoned = f"""
        SELECT *,
               CASE WHEN substr(stamp, 5, 1) = '-' THEN ltrim(ltrim(substr(stamp, 20), '.0123456789')) ELSE '' END AS zone
        FROM ({source})
        """
    for zone, example in con.execute(
        f"SELECT zone, min(stamp) FROM ({zoned}) WHERE stamp <> '' GROUP BY zone"
    ).fetchall():
        zones.add(zone, example)
    date = f"""
        CASE
          WHEN substr(stamp, 5, 1) = '-' THEN left(stamp, 10)
          ELSE
            CASE WHEN left(stamp, 2) >= '{LAST_CENTURY}' THEN '19' ELSE '20' END
            || left(stamp, 2) || '-' || substr(stamp, 3, 2) || '-' || substr(stamp, 5, 2)
        END
        """
    clock = """
        CASE
          WHEN substr(stamp, 5, 1) = '-' THEN substr(stamp, 12, length(stamp) - length(zone) - 11)
          ELSE substr(stamp, 7)
        END
        """
    moment = zones.moment_sql(f"({date})", f"trim({clock})", "''", "zone")
    return f"SELECT * EXCLUDE (zone), {moment} AS event_at FROM ({zoned})"
