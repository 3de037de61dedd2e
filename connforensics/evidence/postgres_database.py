"""Counters of PostgreSQL's `pg_stat_database`: per database the backends, the sessions and how they ended.

Obtained with `\\copy (SELECT now() AS sampled_at, * FROM pg_stat_database) TO 'database.csv' CSV HEADER` in a loop, pasted
from psql in any shape, or as `pg_stat_database` of a monitoring dump. Every number becomes a metric
`pg_stat_database_<column>` with the label `database`; counters are kept as they are, resets and all. Sizes of data read
and written say nothing about connections and are left out.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, tables, times

if TYPE_CHECKING:
    import duckdb

COUNTED: Final = (
    "numbackends", "xact_commit", "xact_rollback", "sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed",
    "session_time", "active_time", "idle_in_transaction_time", "deadlocks", "conflicts",
)  # fmt: skip
"""Columns that are about sessions or transactions; the times are milliseconds."""

OWN: Final = frozenset(
    ("numbackends", "xact_commit", "xact_rollback", "blks_hit", "blks_read", "tup_returned", "sessions_abandoned",
     "sessions_fatal", "sessions_killed", "idle_in_transaction_time", "temp_files", "stats_reset")
)  # fmt: skip
"""Names that few but pg_stat_database use."""

ALIASES: Final = {
    "sampled_at": times.COLUMNS,
    "server": ("server", "server_name", "node", "db_host", "instance"),
    "database": ("datname", "database", "database_name", "db"),
}

KEEP: Final = frozenset((*COUNTED, *(alias for known in ALIASES.values() for alias in known)))


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is one of pg_stat_database: `numbackends`, or several of its counters."""
    present = frozenset(names)
    return bool(present & set(COUNTED)) and (
        len(present & OWN) > 1 or ("numbackends" in present and bool(present & set(ALIASES["database"])))
    )


def certainty(head: Head) -> float:
    """Return how sure a head is pg_stat_database: by the names that are its own."""
    layout = tables.find(head.lines, accepts)
    return min(0.97, 0.85 + 0.02 * len(frozenset(layout.names) & OWN)) * (0.4 + 0.6 * layout.fit) if layout else 0.0


def read(reading: Reading) -> None:
    """Store a metric_sample for each number."""
    dated = 0
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts, KEEP):
            dated += store(reading, con, frame)
    if not dated and reading.ledger.understood:
        reading.ledger.assume("nothing tells when the counters were read: they have no sample time")


def store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> int:
    """Store the numbers of a frame whose header `accepts`; return how many rows have a time."""
    found = tables.match(frame.names, ALIASES)
    zone = reading.options.timezone
    columns = {name: frame.names.index(name) for name in COUNTED if name in frame.names}
    moments = tables.moments(con, frame.rows, f"c{found['sampled_at']}" if "sampled_at" in found else "told", zone)
    named = times.in_name(reading.head.name, zone)
    if moments.null_count == len(moments) and named is not None:
        reading.ledger.assume(f"the sample time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
        moments = pa.chunked_array([pa.array([named] * len(moments), tables.MOMENT)])
    if "sampled_at" in found and times.is_zoneless(frame.rows[f"c{found['sampled_at']}"].slice(0, 200).to_pylist()):
        reading.ledger.assume(times.zone_assumed(zone))
    server = tables.column(found.get("server"))
    shared = f"line_no, lines, {tables.column(found.get('database'))} AS database, {server} AS server"
    numbers = ", ".join(f"{tables.number(index)} AS {name}" for name, index in columns.items())
    typed = tables.select(con, frame.rows, f"SELECT {shared}, {numbers} FROM frame").append_column(
        "sampled_at", moments
    )
    is_good = pc.is_valid(typed[next(iter(columns))])
    for name in columns:
        is_good = pc.or_(is_good, pc.is_valid(typed[name]))
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(is_good)))
    typed = typed.filter(is_good)
    reading.ledger.understood += tables.lines_of(typed)
    if not typed.num_rows:
        return 0
    extent = pc.min_max(typed["sampled_at"]).as_py()
    reading.ledger.saw(extent["min"], extent["max"])
    own = "" if "server" in found else ", server"
    long = "\nUNION ALL\n".join(
        f"""
        SELECT line_no, sampled_at, server, 'pg_stat_database_{name}' AS name, {number} AS place, {name} AS value,
               CASE WHEN database IS NULL THEN MAP {{}} ELSE MAP {{'database': database}} END AS labels
        FROM frame
        WHERE {name} IS NOT NULL
        """
        for number, name in enumerate(columns)
    )
    rows = tables.select(con, typed, f"SELECT * EXCLUDE (place{own}) FROM ({long}) ORDER BY line_no, place")
    reading.insert("metric_sample", rows)
    return int(typed.num_rows - typed["sampled_at"].null_count)


FORMAT = Format(
    name="postgres_database",
    engine="postgres",
    tables=("metric_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "sampled_at,datid,datname,numbackends,xact_commit,blks_read,sessions,sessions_fatal,stats_reset\n"
            "2026-11-21 03:12:00+00,0,,0,0,12,,,\n"
            "2026-11-21 03:12:00+00,5,shop,17,90210,77,512,3,2026-11-01 00:00:00+00\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "pg_stat_database_numbackends", "labels": {},
                     "value": 0.0},
                    {"line_no": 2, "name": "pg_stat_database_xact_commit", "value": 0.0},
                    {"line_no": 3, "name": "pg_stat_database_numbackends", "labels": {"database": "shop"}, "value": 17.0},
                    {"line_no": 3, "name": "pg_stat_database_sessions", "value": 512.0},
                    {"line_no": 3, "name": "pg_stat_database_sessions_fatal", "value": 3.0},
                    {"line_no": 3, "name": "pg_stat_database_xact_commit", "value": 90210.0},
                )
            },
            name="database.csv",
        ),
        Sample(
            "Sat 21 Nov 2026 03:12:00 AM UTC (every 2s)\n\n datname | numbackends | deadlocks \n---------+-------------+-----------\n"
            " shop    |          17 |         2\n(1 row)\n\n",
            {
                "metric_sample": (
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "name": "pg_stat_database_deadlocks", "value": 2.0},
                    {"line_no": 5, "name": "pg_stat_database_numbackends", "labels": {"database": "shop"}, "value": 17.0},
                )
            },
            name="watch.txt",
        ),
    ),
)  # fmt: skip
