"""Counters of a MySQL or MariaDB server: how many are connected, how many tried, how many were refused or lost.

Obtained with `SHOW GLOBAL STATUS` (table, `\\G`, `mysql -B`, XML, HTML, also with `-N`), `mysqladmin extended-status`
once or with `-i1`, also relative (`-r`), `mysqladmin status`, or as pt-stalk's `-mysqladmin` file. Of some five hundred
variables those are kept that say something about connections, under the names that Prometheus' mysqld_exporter gives
them. Settings shown in the same paste are read too.

https://dev.mysql.com/doc/refman/8.4/en/server-status-variables.html
https://dev.mysql.com/doc/refman/8.4/en/mysqladmin.html#option_mysqladmin_relative
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, mysql_variables, tables, times
from connforensics.evidence.shapes import note

if TYPE_CHECKING:
    import duckdb

PREFIX: Final = "mysql_global_status_"
"""What https://github.com/prometheus/mysqld_exporter puts before a variable's name in lower case."""

ERRORS: Final = "connection_errors_"
"""The exporter makes one metric of these, with the rest of the name as its label `error`."""

ERROR_LABELS: Final = {"peer_addr": "peer_address"}
"""Connection_errors_peer_address is `peer_addr` in some forks."""

STATUS: Final = frozenset(
    ("threads_connected", "threads_running", "threads_created", "threads_cached", "threadpool_threads",
     "threadpool_idle_threads", "connections", "max_used_connections", "max_used_connections_time", "aborted_clients",
     "aborted_connects", "aborted_connects_preauth", "access_denied_errors", "connection_errors_accept",
     "connection_errors_internal", "connection_errors_max_connections", "connection_errors_peer_address",
     "connection_errors_peer_addr", "connection_errors_select", "connection_errors_tcpwrap", "locked_connects",
     "connection_control_delay_generated", "global_connection_memory", "mysqlx_connections_accepted",
     "mysqlx_connections_closed", "mysqlx_connections_rejected", "mysqlx_sessions", "max_statement_time_exceeded",
     "max_execution_time_exceeded", "questions", "queries", "slow_queries", "slow_launch_threads", "uptime",
     "uptime_since_flush_status", "innodb_row_lock_current_waits", "innodb_row_lock_time", "innodb_row_lock_time_avg",
     "innodb_row_lock_time_max", "innodb_row_lock_waits", "innodb_current_row_locks", "innodb_deadlocks",
     "table_locks_immediate", "table_locks_waited", "com_kill", "open_files", "delayed_errors",
     "performance_schema_thread_instances_lost", "performance_schema_session_connect_attrs_lost")
)  # fmt: skip
"""What is kept of the status variables."""

TELLING: Final = STATUS - {"connections", "questions", "queries", "uptime", "open_files"}
"""Names that few but MySQL's relatives use."""

NEVER_ZERO: Final = ("threads_connected", "innodb_page_size")
"""Who asks is connected, and a page has a size: where one of these is 0, the numbers are differences."""

LOOKED_AT: Final = STATUS | {"innodb_page_size"}

SHORT: Final = {
    "uptime": "uptime",
    "threads": "threads_connected",
    "questions": "questions",
    "slow queries": "slow_queries",
}
"""What `mysqladmin status` calls the variables."""

_SHORT = re.compile(r"^\s*Uptime: \d+\s+Threads: \d+\s+Questions: \d+\s+Slow queries: \d+\b")
_SHORT_PAIR = re.compile(r"([A-Z][a-z ]+): ([\d.]+)")


def certainty(head: Head) -> float:
    """Return how sure a head shows status variables: by its header and by their names."""
    layout = None
    if mysql_variables.mentions(head, *mysql_variables.HEADERS):
        layout = tables.find(head.lines, mysql_variables.accepts)
    if layout is not None:
        if not TELLING & mysql_variables.words(head) or mysql_variables.is_proxysql(head):
            return 0.0
        return 0.9 * (0.4 + 0.6 * layout.fit)
    short = sum(1 for line in head.lines if _SHORT.match(line))
    if short and short * 2 > sum(1 for line in head.lines if line.strip()):
        return 0.9
    return 0.85 if mysql_variables.is_headless(head, TELLING) else 0.0


def read(reading: Reading) -> None:
    """Store a metric_sample for each variable that bears on connections and each time it was asked for."""
    blocks = Blocks(reading)
    if tables.find(reading.head.lines, mysql_variables.accepts) is not None:
        with tables.scratch(reading.options.timezone) as con:
            for frame in tables.frames(reading, mysql_variables.accepts, mysql_variables.KEEP):
                blocks.store(con, frame)
            blocks.finish()
        return
    if any(map(_SHORT.match, reading.head.lines)):
        _read_short(reading, blocks)
    else:
        for rows in mysql_variables.headless(reading):
            blocks.add(rows)
    blocks.finish()


def _read_short(reading: Reading, blocks: Blocks) -> None:
    """Read the lines of `mysqladmin status`, each a block of its own."""
    held: list[tuple[int, int, bool, str, str]] = []
    for line_no, line in reading.lines():
        if not _SHORT.match(line):
            if line.strip():
                reading.ledger.unknown += 1
                note(reading.ledger, line_no, line)
            else:
                reading.ledger.ignored += 1
            continue
        told = [(SHORT[name.lower()], value) for name, value in _SHORT_PAIR.findall(line) if name.lower() in SHORT]
        held += [(line_no, int(not index), not index, *pair) for index, pair in enumerate(told)]
        if len(held) > tables.FRAME_ROWS:
            blocks.add(_pairs(held))
            held = []
    if held:
        blocks.add(_pairs(held))


def _pairs(held: Sequence[tuple[int, int, bool, str, str]]) -> pa.Table:
    numbers, lines, anew, names, values = zip(*held, strict=True)
    return pa.table(
        {
            "line_no": pa.array(numbers, pa.int64()),
            "lines": pa.array(lines, pa.int64()),
            "anew": pa.array(anew, pa.bool_()),
            "name": pa.array(names, pa.string()),
            "value": pa.array(values, pa.string()),
            "valid_at": pa.nulls(len(numbers), pa.timestamp("us")),
            "server": pa.nulls(len(numbers), pa.string()),
        }
    )


@dataclass(slots=True)
class _Block:
    """The variables of one answer: value and line by name, and the time that stands with it."""

    told_at: datetime | None
    server: str | None
    values: dict[str, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


class Blocks:
    """Turns names and values into samples, one block a time the server was asked.

    A block without a time of its own gets that of the block before it and the growth of Uptime between them. Blocks of
    differences (`mysqladmin -r`) are added up, so that only absolute numbers are stored.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._open: _Block | None = None
        self._before: _Block | None = None
        self._before_at: datetime | None = None
        self._is_relative = False
        self._samples: list[tuple[int, datetime | None, str | None, str, list[tuple[str, str]], float]] = []

    def store(self, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
        """Store the rows of a frame whose header mysql_variables accepts: status variables here, settings there."""
        if mysql_variables.is_pairs(frame.names):
            self.add(mysql_variables.pairs(self.reading, con, frame))
        else:
            mysql_variables.store(self.reading, con, frame)

    def add(self, rows: pa.Table) -> None:
        """Take rows as `mysql_variables.pairs` gives them."""
        is_status = pc.is_in(rows["name"], value_set=pa.array(sorted(LOOKED_AT)))
        mysql_variables.store_pairs(self.reading, rows.filter(pc.invert(is_status)))
        begins = _begins(rows)
        kept = rows.append_column("block", begins).filter(is_status)
        block_no = None
        ledger = self.reading.ledger
        columns = ("block", "line_no", "lines", "name", "value", "valid_at", "server")
        for number, line_no, lines, name, value, told_at, server in zip(
            *(kept[column].to_pylist() for column in columns), strict=True
        ):
            if number != block_no and (number > 0 or self._open is None):
                self._close()
                self._open = _Block(told_at, server)
            block_no = number
            amount = self._amount(name, value)
            if amount is None or self._open is None or name not in STATUS:
                ledger.ignored += lines
            else:
                ledger.understood += lines
            if amount is not None and self._open is not None:
                self._open.values[name] = amount
                self._open.lines[name] = line_no
        self._flush()

    def finish(self) -> None:
        """Close the last block."""
        self._close()
        self._flush()

    def _amount(self, name: str, value: str | None) -> float | None:
        if value is None:
            return None
        if name == "max_used_connections_time":
            moment = times.parse(value, self.reading.options.timezone) if not value.isdigit() else None
            if moment is not None and times.is_zoneless([value]):
                self.reading.ledger.assume(times.zone_assumed(self.reading.options.timezone))
            return moment.replace(tzinfo=UTC).timestamp() if moment is not None else None
        try:
            return float(value)
        except ValueError:
            return None

    def _close(self) -> None:
        """Turn the open block into samples."""
        block, self._open = self._open, None
        if block is None or not STATUS & block.values.keys():
            return
        ledger = self.reading.ledger
        if self._is_difference(block):
            if self._before is None:
                kept = sum(1 for name in block.values if name in STATUS)
                ledger.understood -= kept
                ledger.ignored += kept
                ledger.assume("differences without an absolute start (mysqladmin -r) are not read")
                return
            ledger.assume(
                "after the first, the blocks are differences (mysqladmin -r): they are added up to absolute numbers"
            )
            self._is_relative = True
            # A time is no number that could be added to: it is left as the first block has it.
            block.values = {
                name: self._before.values.get(name, 0.0) + value if name != "max_used_connections_time" else value
                for name, value in block.values.items()
            }
            block.values.pop("max_used_connections_time", None)
        else:
            self._is_relative = False
        moment = self._moment(block)
        ledger.saw(moment, moment)
        for name, value in block.values.items():
            if name in STATUS:
                self._samples.append((block.lines[name], moment, block.server, *named(name), value))
        self._before, self._before_at = block, moment

    def _is_difference(self, block: _Block) -> bool:
        values = block.values
        if any(value < 0 for value in values.values()):
            return True
        told = [values[name] for name in NEVER_ZERO if name in values]
        if any(value == 0 for value in told):
            return True
        # A burst of connections between two blocks: their gauges all rose, but time cannot run backwards.
        fell = self._before is not None and values.get("uptime", 0.0) < self._before.values.get("uptime", 0.0)
        return self._is_relative and fell and "innodb_page_size" not in values

    def _moment(self, block: _Block) -> datetime | None:
        """Return when a block was asked for, and say how that is known."""
        ledger = self.reading.ledger
        if block.told_at is not None:
            return block.told_at
        if self._before is not None:
            grown = block.values.get("uptime", -1.0) - self._before.values.get("uptime", 0.0)
            if self._before_at is None or grown < 0:
                if grown < 0:
                    ledger.assume("Uptime fell, so the server restarted: samples after it have no time")
                return None
            ledger.assume("times of later blocks come from the growth of Uptime since the one before")
            return self._before_at + timedelta(seconds=grown)
        named_at = times.in_name(self.reading.head.name, self.reading.options.timezone)
        if named_at is None:
            ledger.assume("nothing tells when the status variables were read: they have no sample time")
            return None
        ledger.assume(f"the first sample's time {named_at:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
        return named_at

    def _flush(self) -> None:
        if not self._samples:
            return
        numbers, moments, servers, names, labels, values = zip(*self._samples, strict=True)
        self._samples = []
        table = pa.table(
            {
                "line_no": pa.array(numbers, pa.int64()),
                "sampled_at": pa.array(moments, pa.timestamp("us")),
                "name": pa.array(names, pa.string()),
                "labels": pa.array(labels, pa.map_(pa.string(), pa.string())),
                "value": pa.array(values, pa.float64()),
            }
        )
        if any(server is not None for server in servers):
            table = table.append_column("server", pa.array(servers, pa.string()))
        self.reading.insert("metric_sample", table)


def _begins(rows: pa.Table) -> pa.Array:
    """Number the blocks of a frame from 0, which may go on from the frame before: after a header, and where the time changes."""
    import numpy as np

    anew = rows["anew"].to_numpy().copy()
    if len(anew) > 1 and rows["valid_at"].null_count < rows.num_rows:
        moments = pc.fill_null(rows["valid_at"].cast(pa.int64()), 0).to_numpy()
        anew[1:] |= moments[1:] != moments[:-1]
    return pa.array(np.cumsum(anew))


def named(name: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the metric and the labels of a status variable.

    >>> named("threads_connected"), named("connection_errors_max_connections")
    (('mysql_global_status_threads_connected', []), ('mysql_global_status_connection_errors_total', [('error', 'max_connections')]))
    """
    if name.startswith(ERRORS):
        error = name.removeprefix(ERRORS)
        return PREFIX + "connection_errors_total", [("error", ERROR_LABELS.get(error, error))]
    return PREFIX + name, []


def _shown(*blocks: tuple[str, Sequence[tuple[str, str]]]) -> str:
    """Return blocks as `mysqladmin extended-status` draws them, each with a line above it."""
    rule = "+-----------------------------------+---------------------+\n"
    return "".join(
        f"{above}{rule}| {'Variable_name':<33} | {'Value':<19} |\n{rule}"
        + "".join(f"| {name:<33} | {value:<19} |\n" for name, value in rows)
        + rule
        for above, rows in blocks
    )


ABSOLUTE = _shown(
    ("Sat Nov 21 03:12:00 UTC 2026\n",
     (("Aborted_connects", "4"), ("Bytes_sent", "6480"), ("Connection_errors_max_connections", "3"),
      ("Max_used_connections", "31"), ("Max_used_connections_time", "2026-11-21 03:11:59"), ("Threads_connected", "30"),
      ("Uptime", "37"))),
    ("\n", (("Aborted_connects", "9"), ("Threads_connected", "29"), ("Uptime", "39"))),
)  # fmt: skip

RELATIVE = _shown(
    ("", (("Aborted_clients", "164"), ("Innodb_page_size", "16384"), ("Threads_connected", "2"), ("Uptime", "5550"))),
    ("\n", (("Aborted_clients", "1"), ("Innodb_page_size", "0"), ("Threads_connected", "3"), ("Uptime", "3"))),
)

FORMAT = Format(
    name="mysql_status",
    engine="mysql",
    tables=("metric_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            ABSOLUTE,
            {
                "metric_sample": (
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_aborted_connects",
                     "labels": {}, "value": 4.0},
                    {"line_no": 7, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_connection_errors_total",
                     "labels": {"error": "max_connections"}, "value": 3.0},
                    {"line_no": 8, "name": "mysql_global_status_max_used_connections", "value": 31.0},
                    {"line_no": 9, "name": "mysql_global_status_max_used_connections_time", "value": 1795230719.0},
                    {"line_no": 10, "name": "mysql_global_status_threads_connected", "value": 30.0},
                    {"line_no": 11, "name": "mysql_global_status_uptime", "value": 37.0},
                    {"line_no": 17, "sampled_at": "2026-11-21T03:12:02", "name": "mysql_global_status_aborted_connects",
                     "value": 9.0},
                    {"line_no": 18, "name": "mysql_global_status_threads_connected", "value": 29.0},
                    {"line_no": 19, "sampled_at": "2026-11-21T03:12:02", "name": "mysql_global_status_uptime", "value": 39.0},
                )
            },
            name="status.txt",
        ),
        Sample(
            RELATIVE,
            {
                "metric_sample": (
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_aborted_clients",
                     "value": 164.0},
                    {"line_no": 6, "name": "mysql_global_status_threads_connected", "value": 2.0},
                    {"line_no": 7, "name": "mysql_global_status_uptime", "value": 5550.0},
                    {"line_no": 13, "sampled_at": "2026-11-21T03:12:03", "name": "mysql_global_status_aborted_clients",
                     "value": 165.0},
                    {"line_no": 15, "name": "mysql_global_status_threads_connected", "value": 5.0},
                    {"line_no": 16, "name": "mysql_global_status_uptime", "value": 5553.0},
                )
            },
            name="2026_11_21_03_12_00-mysqladmin",
        ),
        Sample(
            "Variable_name\tValue\nThreads_connected\t151\nThreads_running\t40\nUptime\t86400\n"
            "Variable_name\tValue\nmax_connections\t151\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": None, "name": "mysql_global_status_threads_connected", "value": 151.0},
                    {"line_no": 3, "name": "mysql_global_status_threads_running", "value": 40.0},
                    {"line_no": 4, "name": "mysql_global_status_uptime", "value": 86400.0},
                ),
                "setting": ({"line_no": 6, "engine": "mysql", "name": "max_connections", "value": "151"},),
            },
            name="status.tsv",
        ),
        Sample(
            "Uptime: 45  Threads: 12  Questions: 5293  Slow queries: 0  Opens: 38  Open tables: 31  "
            "Queries per second avg: 117.622\n",
            {
                "metric_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_questions",
                     "value": 5293.0},
                    {"line_no": 1, "name": "mysql_global_status_slow_queries", "value": 0.0},
                    {"line_no": 1, "name": "mysql_global_status_threads_connected", "value": 12.0},
                    {"line_no": 1, "name": "mysql_global_status_uptime", "value": 45.0},
                )
            },
            name="status-20261121T031200Z.txt",
        ),
    ),
)  # fmt: skip
