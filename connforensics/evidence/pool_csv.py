"""Connection pools of applications over time, as CSV: how many connections each pool held, lent out and was asked for.

Obtained from a loop that writes the pool's own numbers (SQLAlchemy's `pool.checkedout()`, psycopg_pool's `get_stats()`,
HikariCP's MXBean) or from a dashboard's "export as CSV". A time column, columns for service, instance and pool where
there are several, and the numbers under any of the names people give them: one column each, one column a number and
service (`orders_active`), or one row a number (`time,service,metric,value`). Worker counts beside them are read too.

https://docs.sqlalchemy.org/en/20/core/pooling.html#sqlalchemy.pool.Pool.status
https://www.psycopg.org/psycopg3/docs/advanced/pool.html#pool-stats
https://github.com/brettwooldridge/HikariCP/wiki/MBean-(JMX)-Monitoring-and-Management
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, series, tables, workers
from connforensics.evidence.series import Number

if TYPE_CHECKING:
    from connforensics.evidence.series import Plan

TARGETS: Final = ("max_size", "size", "checked_out", "idle", "overflow", "waiting", "acquire_ms", "timeouts")

MEANINGS: Final = {
    "checked_out": "checked_out",
    "checkedout": "checked_out",
    "checkouts": "checked_out",
    "in_use": "checked_out",
    "inuse": "checked_out",
    "active": "checked_out",
    "busy": "checked_out",
    "used": "checked_out",
    "borrowed": "checked_out",
    "leased": "checked_out",
    "acquired": "checked_out",
    "idle": "idle",
    "available": "idle",
    "free": "idle",
    "checked_in": "idle",
    "checkedin": "idle",
    "size": "size",
    "total": "size",
    "open": "size",
    "opened": "size",
    "": "size",
    "max": "max_size",
    "max_size": "max_size",
    "maxsize": "max_size",
    "size_max": "max_size",
    "maximum": "max_size",
    "maximum_size": "max_size",
    "max_open": "max_size",
    "max_total": "max_size",
    "max_active": "max_size",
    "limit": "max_size",
    "capacity": "max_size",
    "overflow": "overflow",
    "waiting": "waiting",
    "waiters": "waiting",
    "pending": "waiting",
    "awaiting": "waiting",
    "queue": "waiting",
    "queued": "waiting",
    "queue_length": "waiting",
    "queue_size": "waiting",
    "queue_depth": "waiting",
    "wait_queue": "waiting",
    "timeouts": "timeouts",
    "timeout": "timeouts",
    "timed_out": "timeouts",
    "timeout_total": "timeouts",
    "timeouts_total": "timeouts",
    "errors": "timeouts",
    "acquire_timeouts": "timeouts",
    "checkout_timeouts": "timeouts",
    "wait_timeouts": "timeouts",
}
"""What is left of a name without the words that any of them may bear, and the column it is."""

FILLERS: Final = frozenset(
    ("pool", "pools", "connection", "connections", "conn", "conns", "db", "jdbc", "hikaricp", "hikari", "sqlalchemy",
     "count", "num", "nr", "n", "current", "currently", "clients", "threads", "requests", "gauge", "go", "sql", "client")
)  # fmt: skip

OF_POOLS: Final = frozenset(
    ("pool", "pools", "connection", "connections", "conn", "conns", "hikaricp", "hikari", "jdbc")
)

COUNTERS: Final = frozenset(
    ("requests_num", "requests_queued", "requests_wait_ms", "connections_num", "connections_errors", "connections_lost",
     "connections_ms", "usage_ms", "returns_bad", "wait_count", "wait_duration_ms", "connection_errors", "pool_min",
     "sql_wait_duration_seconds_total", "count", "num", "requests", "clients", "threads", "n", "client", "db")
)  # fmt: skip
"""Names that look like a gauge and are a counter (psycopg_pool's, Go's), or say too little."""

ACQUIRE: Final = frozenset(
    ("acquire", "acquire_time", "acquire_wait", "acquire_latency", "acquisition", "acquisition_time", "wait", "wait_time",
     "checkout", "checkout_time", "checkout_wait", "borrow", "borrow_time", "wait_duration", "get")
)  # fmt: skip

UNITS_MS: Final = {
    "ms": 1.0, "millis": 1.0, "milliseconds": 1.0, "msec": 1.0, "s": 1000.0, "sec": 1000.0, "secs": 1000.0,
    "seconds": 1000.0, "us": 0.001, "micros": 0.001, "microseconds": 0.001, "ns": 1e-6, "nanos": 1e-6, "nanoseconds": 1e-6,
}  # fmt: skip

STATISTICS: Final = {
    "max": 3,
    "p99": 1,
    "p999": 2,
    "p95": 2,
    "p90": 4,
    "avg": 5,
    "mean": 5,
    "average": 5,
    "p50": 6,
    "median": 6,
    "last": 1,
}
"""Words for a statistic of a time, and which is taken where several are given."""

SURE: Final = frozenset(("checked_out", "checkedout", "checkedin", "checked_in", "overflow", "in_use", "borrowed"))
"""Names that only pools have."""

FOREIGN: Final = frozenset(
    ("pid", "procpid", "state", "query", "idle_in_transaction", "idleintransaction", "idle_in_tx", "numbackends", "iowait",
     "steal", "reading", "writing", "swap", "cached", "buffers", "threads_connected", "threads_running", "accepts", "mem",
     "cpu", "disk", "filesystem", "mounted_on", "buff_cache", "shared", "idle_in_transaction_aborted", "backends", "sent")
)  # fmt: skip
"""Names of other tables with `active`, `idle`, `free`, `used`, `total`: sessions by state, memory, processors, nginx."""


def meaning(words: tuple[str, ...]) -> Number | None:
    """Return which number of a pool a name is, given as words; None for any other.

    >>> meaning(("pool", "max")), meaning(("acquire", "s"))
    (Number(target='max_size', factor=1.0, rank=0), Number(target='acquire_ms', factor=1000.0, rank=0))
    """
    name = "_".join(words)
    if not words or name in COUNTERS or "min" in words or "minimum" in words:
        return None
    if words == ("requests", "errors"):
        return Number("timeouts")
    counted = workers.meaning(words)
    if counted is not None and not OF_POOLS & set(words):
        return counted
    if words[-1] in UNITS_MS:
        bare = [word for word in words[:-1] if word not in STATISTICS and word not in FILLERS]
        ranks = [STATISTICS[word] for word in words if word in STATISTICS]
        if "_".join(bare) in ACQUIRE:
            return Number("acquire_ms", UNITS_MS[words[-1]], max(ranks, default=0))
        return None
    core = [word for word in words if word not in FILLERS]
    if len(core) > 1 and core[0] == "total":
        core = core[1:]
    if not core and not OF_POOLS & set(words):
        return None
    target = MEANINGS.get("_".join(core))
    if target is None:
        return None
    return Number(target, rank={"size": 0, "total": 2, "open": 1}.get("_".join(core), 1) if target == "size" else 0)


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is one of pool numbers over time."""
    if FOREIGN & set(names) or any(name.startswith(("cl_", "sv_")) for name in names):
        return False
    layout = series.plan(names, names, meaning)
    if layout.long is not None:
        return layout.time is not None
    return layout.time is not None and _belongs(names, layout)


def _belongs(names: Sequence[str], layout: Plan) -> bool:
    """Tell whether the numbers of a header are a pool's: enough of them, under names that others do not use."""
    targets = layout.targets & set(TARGETS)
    busy = targets & {"checked_out", "idle", "waiting", "overflow", "acquire_ms", "timeouts"}
    parts = {word for name in names for word in series.words(name)}
    is_sure = bool(SURE & set(names)) or bool(OF_POOLS & parts) or "overflow" in targets
    is_sure = is_sure or any(name.endswith(tuple(SURE)) for name in names)
    is_pair = {"checked_out", "idle"} <= targets and "active" in parts
    is_queue = "waiting" in targets and bool(targets & {"size", "checked_out", "idle", "max_size"})
    return bool(busy) and len(targets) >= 2 and (is_sure or is_pair or is_queue)


def certainty(head: Head) -> float:
    """Return how sure a head is a table of pool numbers: by its header, for a long table by its metrics."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    how = series.plan(layout.names, layout.written, meaning)
    if how.long is not None:
        names = {number.target for number in series.metrics(head, layout, how.long[0], meaning)}
        return 0.85 * layout.fit if len(names & set(TARGETS)) >= 2 else 0.0
    is_named = bool(how.labels) or any(service for service, _ in how.numbers)
    sure = 0.9 if is_named or SURE & set(layout.names) else 0.6
    return sure * (0.4 + 0.6 * layout.fit)


def read(reading: Reading) -> None:
    """Store a pool_sample for each pool and time, and a metric_sample for the workers told beside it."""
    with tables.scratch(reading.options.timezone) as con:
        gauges = series.Gauges(reading, con, meaning, (*TARGETS, workers.TARGET))
        for frame in tables.frames(reading, accepts):
            _store(reading, gauges.rows(frame))
        _store(reading, gauges.rest())


def _store(reading: Reading, rows: pa.Table | None) -> None:
    if rows is None:
        return
    workers.store(reading, rows)
    told = pc.is_valid(pc.coalesce(*(rows[target] for target in TARGETS)))
    rows = rows.drop_columns([workers.TARGET]).filter(told)
    if rows.num_rows:
        if rows["service"].null_count == rows.num_rows and rows["pool"].null_count == rows.num_rows:
            reading.ledger.assume("no column names a service: all numbers are read as one pool's")
        reading.insert("pool_sample", rows)


FORMAT = Format(
    name="pool_csv",
    engine=None,
    tables=("pool_sample", "metric_sample"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "time,service,instance,max,size,checked_out,overflow,waiting,acquire_ms,timeouts\n"
            "2026-11-21T03:12:00Z,orders,orders-1,15,5,5,-2,3,12.5,0\n"
            "2026-11-21T03:12:01Z,orders,orders-1,15,5,5,5,9,,1\n",
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "orders", "instance": "orders-1",
                     "pool": None, "max_size": 15.0, "size": 5.0, "checked_out": 5.0, "idle": None, "overflow": -2.0,
                     "waiting": 3.0, "acquire_ms": 12.5, "timeouts": 0.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:01", "overflow": 5.0, "waiting": 9.0,
                     "acquire_ms": None, "timeouts": 1.0},
                )
            },
            name="pools.csv",
        ),
        Sample(
            'timestamp;"orders active";"orders idle";web.active;web.idle\n'
            "1795230720;4;1;2;3\n1795230721500;5;0;;\n",
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "orders", "checked_out": 4.0, "idle": 1.0},
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "web", "checked_out": 2.0, "idle": 3.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:01.500000", "service": "orders", "checked_out": 5.0},
                )
            },
            name="pools.csv",
        ),
        Sample(
            "ts\tapp\tmetric\tvalue\n"
            "2026-11-21 03:12:00\tbilling\thikaricp_connections_active\t9\n"
            "2026-11-21 03:12:00\tbilling\thikaricp_connections_max\t10\n"
            "2026-11-21 03:12:00\tbilling\tjvm_threads_live\t80\n"
            "2026-11-21 03:12:00\tbilling\thikaricp_connections_pending\t2\n",
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "billing", "checked_out": 9.0,
                     "max_size": 10.0, "waiting": 2.0, "size": None},
                )
            },
            name="export.tsv",
        ),
        Sample(
            "sampled_at,app,pod,pool_max,pool_size,pool_available,requests_waiting,requests_queued,acquire_s,workers\n"
            "2026-11-21 04:12:00+01:00,orders,orders-7,4,4,0,2,900,0.25,3\n",
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "orders", "instance": "orders-7",
                     "max_size": 4.0, "size": 4.0, "idle": 0.0, "checked_out": None, "waiting": 2.0, "acquire_ms": 250.0},
                ),
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "value": 3.0,
                     "labels": {"service": "orders"}},
                ),
            },
            name="stats.csv",
        ),
    ),
)  # fmt: skip
