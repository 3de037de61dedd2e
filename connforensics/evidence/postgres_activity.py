"""Snapshots of PostgreSQL's `pg_stat_activity`: who was connected, doing what, since when.

Obtained with `\\copy (SELECT now() AS sampled_at, * FROM pg_stat_activity) TO 'activity.csv' CSV HEADER` once or in a
loop, `psql --csv`, `psql -A`, `psql -H`, `row_to_json`, or pasted from a terminal: aligned, expanded (`\\x`) or under
`\\watch`. Any subset of the columns in any order, of versions 8.2 to 18, with or without a sample time. Settings shown in
the same paste are read too.

The same from others: `heroku pg:ps`, `pgcenter report -A` and the members of `pgcenter record` archives (whose time is in
the member's name), `pgmetrics -f json`, Metricbeat's `postgresql.activity`. What they tell as an age is counted back from
the sample's time.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
https://github.com/lesovsky/pgcenter/blob/master/doc/pgcenter-record-readme.md
https://pgmetrics.io/docs/index.html
https://www.elastic.co/guide/en/beats/metricbeat/current/metricbeat-metricset-postgresql-activity.html
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, postgres_settings, tables, times
from connforensics.evidence.scanner import strings
from connforensics.evidence.snapshots import NO_ID, Snapshots, part_untimed

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

ALIASES: Final = {
    "sampled_at": (*times.COLUMNS, "@timestamp", "at"),
    "server": ("server", "server_name", "node", "db_host", "db_instance", "instance"),
    "backend_id": ("pid", "procpid", "backend_pid", "process_id", "backend_id"),
    "user_name": ("usename", "user_name", "username", "user", "rolname", "role", "role_name", "user.name"),
    "database_name": ("datname", "database_name", "dbname", "database", "db", "db_name", "database.name"),
    "application_name": ("application_name", "app_name", "appname", "application", "app", "source"),
    "client_host": ("client_addr", "client_address", "client_ip", "client_host", "client", "remote_addr", "addr", "cl_addr", "client.address"),
    "client_hostname": ("client_hostname", "client.hostname"),
    "client_port": ("client_port", "port", "cl_port", "client.port"),
    "backend_type": ("backend_type",),
    "backend_start_at": ("backend_start", "backend_start_at", "backend_started"),
    "xact_start_at": ("xact_start", "xact_start_at", "transaction_start"),
    "query_start_at": ("query_start", "query_start_at"),
    "state_change_at": ("state_change", "state_change_at", "state_changed"),
    "state": ("state", "status"),
    "wait_event_type": ("wait_event_type", "wait_type", "wait_etype"),
    "wait_event": ("wait_event",),
    "waiting": ("waiting",),
    "xact_age": ("xact_age", "running_for"),
    "query_age": ("query_age", "runtime"),
    "state_age": ("change_age", "state_age", "idle_for"),
    "blocked_by": ("blocked_by", "pg_blocking_pids", "blocking_pids", "blocking_pid", "blockers", "blocked_by_pids"),
    "query_id": ("query_id", "queryid"),
    "query": ("query", "current_query", "query_text", "sql", "statement"),
}  # fmt: skip

KEEP: Final = frozenset(alias for known in ALIASES.values() for alias in known) | postgres_settings.KEEP

OWN: Final = frozenset(
    ("procpid", "usename", "usesysid", "datname", "backend_start", "xact_start", "query_start", "state_change", "backend_xid",
     "backend_xmin", "wait_event_type", "backend_type", "current_query", "client_addr", "client_hostname", "leader_pid")
)  # fmt: skip
"""Names that few but pg_stat_activity use."""

TELLING: Final = (
    "state",
    "user_name",
    "query",
    "backend_start_at",
    "query_start_at",
    "xact_start_at",
    "state_change_at",
)

FOREIGN: Final = frozenset(
    ("sent_lsn", "sent_location", "sync_state", "locktype", "received_lsn", "relid", "phase", "calls", "slot_name", "cpu",
     "remote_pid", "info", "command", "hostgroup", "thread_id", "ppid", "args", "cmd", "message", "msg", "level", "severity",
     "error_severity", "session_id", "session_line_num", "logger", "blocked_pid")
)  # fmt: skip
"""Names of views and listings with process ids and states that are something else: pg_stat_replication, pg_locks,
progress views, PgBouncer's SHOW SERVERS, processlists, `ps`, logs in CSV or JSON."""

AGES: Final = {"xact_age": "xact_start_at", "query_age": "query_start_at", "state_age": "state_change_at"}
"""What is told instead of a start: how long ago it was."""

STARTS: Final = ("backend_start_at", "xact_start_at", "query_start_at", "state_change_at")

# Arrow imports pandas to make a scalar or an array of Python's values; these are made without.
_SOCKET_PORT: Final = tables.longs(np.array([-1])).cast(pa.int32())
_NO_ID: Final = tables.longs(np.array([NO_ID]))[0]

ZONE_STEP_S: Final = 900
"""Zones differ by quarters of an hour."""

ZONE_SLACK_S: Final = 10
"""What a time above a table may differ from the newest one in it, beside the zone: the asking session itself has just begun
its statement, unless it left itself out, and then somebody else mostly has."""

NAME_AHEAD_S: Final = 5
"""A file's name, or a time above a table, may be this much older than what the rows say has happened: it is made before the
query runs."""


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is one of pg_stat_activity."""
    present = frozenset(names)
    if present & FOREIGN and not {"usename", "backend_start"} <= present - {"sent_lsn"}:
        return False
    if present & {"sent_lsn", "sent_location", "sync_state", "locktype", "received_lsn"}:
        return False
    found = tables.match(names, ALIASES)
    own = len(present & OWN)
    if "backend_id" in found:
        return any(target in found for target in TELLING) and own + len(found) >= 4
    return own >= 3 and any(target in found for target in TELLING)


def certainty(head: Head) -> float:
    """Return how sure a head is pg_stat_activity: its columns, and how well the rows fit them."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    own = len(frozenset(layout.names) & OWN)
    return min(0.99, 0.8 + 0.04 * own) * (0.4 + 0.6 * layout.fit)


def read(reading: Reading) -> None:
    """Store each row of a snapshot as a backend_sample, all rows of one snapshot at one instant."""
    with tables.scratch(reading.options.timezone) as con, tables.Storing(reading) as storing:
        run = _Run(reading, storing)
        for frame in tables.frames(reading, _accepts_any, KEEP):
            if accepts(frame.names):
                run.store(con, frame)
            else:
                storing.wait()
                postgres_settings.store(reading, con, frame)
        run.finish()


def _accepts_any(names: Sequence[str]) -> bool:
    return accepts(names) or postgres_settings.accepts(names)


@dataclass(slots=True)
class _Run:
    """The reading of one source: the snapshot still open, and what had to be assumed."""

    reading: Reading
    storing: tables.Storing
    snapshots: Snapshots = field(default_factory=Snapshots)
    held: list[pa.Table] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    closed: int = 0
    is_zone_checked: bool = False
    ahead: int | None = None
    """Microseconds by which the times above the tables are ahead of UTC, once it is known."""
    last_told: tuple[int, int] | None = None
    """The last time above a table, and the instant that it was read as: rows of that table may come in two frames."""

    def store(self, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
        found = tables.match(frame.names, ALIASES)
        self._check_zone(frame, found)
        has_time = "sampled_at" in found
        rows = _typed(con, frame, found, self.reading.options.timezone)
        is_good = pc.is_valid(rows["line_no"])
        for target in {"backend_id", "sampled_at"} & found.keys():
            is_good = pc.and_(is_good, pc.is_valid(rows[target]))
        if not pc.all(is_good).as_py():
            tables.reject(self.reading.ledger, frame.rows.filter(pc.invert(is_good)))
            rows = rows.filter(is_good)
        if not rows.num_rows:
            return
        self.reading.ledger.understood += tables.lines_of(rows)
        if not has_time:
            told = pc.is_valid(rows["sampled_at"])
            self._untimed(rows.filter(pc.invert(told)))
            rows = rows.filter(told)
            if rows.num_rows:
                rows = self._not_before_rows(self._in_zone_of_rows(rows))
                self.reading.ledger.assume(
                    "the rows bear no sample time: the time written above each table is taken for it"
                )
        if rows.num_rows:
            self._timed(rows)

    def finish(self) -> None:
        self._close()
        if self.snapshots.doubles:
            self.reading.ledger.assume(
                f"{self.snapshots.doubles} rows repeat a backend of their snapshot (as a join does); each is counted once"
            )

    def _check_zone(self, frame: tables.Frame, found: dict[str, int]) -> None:
        if self.is_zone_checked:
            return
        columns = [found[target] for target in ("sampled_at", *STARTS) if target in found]
        values = [value for column in columns for value in frame.rows[f"c{column}"].slice(0, 200).to_pylist()]
        values = [value for value in values if value]
        self.is_zone_checked = bool(values)
        if times.is_zoneless(values):
            self.reading.ledger.assume(times.zone_assumed(self.reading.options.timezone))

    def _in_zone_of_rows(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the times above the tables brought to the zone of the times in the rows.

        psql's `\\watch` and `date` tell the wall clock of whoever asked, often without its zone; what the rows tell has one.
        """
        if self.ahead is None:
            told = rows.group_by("sampled_at").aggregate([("latest_at", "max")])
            told = told.filter(pc.is_valid(told["latest_at_max"]))
            self.ahead = _hours_ahead(tables.numbers(told["sampled_at"]) - tables.numbers(told["latest_at_max"]))
            if self.ahead:
                self.reading.ledger.assume(
                    f"the times above the tables are {self.ahead / 3_600_000_000:+g} h from those in the rows: "
                    "taken for local time of whoever asked"
                )
        if not self.ahead:
            return rows
        return _with_time(rows, tables.longs(tables.numbers(rows["sampled_at"]) - self.ahead, tables.MOMENT))

    def _not_before_rows(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the time above their table no earlier than what they show: it is written before the query
        runs, and often in whole seconds.
        """
        instants = tables.numbers(rows["sampled_at"])
        newest = rows.group_by("sampled_at").aggregate([("latest_at", "max")])
        newest = newest.filter(pc.is_valid(newest["latest_at_max"])).sort_by("sampled_at")
        if newest.num_rows:
            told, latest = tables.numbers(newest["sampled_at"]), tables.numbers(newest["latest_at_max"])
            late = latest - told
            meant = np.where((late > 0) & (late <= NAME_AHEAD_S * 1_000_000), latest, told)
            if self.last_told is not None:
                meant[told == self.last_told[0]] = self.last_told[1]
            self.last_told = int(told[-1]), int(meant[-1])
            places = np.searchsorted(told, instants).clip(max=len(told) - 1)
            instants = np.where(told[places] == instants, meant[places], instants)
        return _with_time(rows, tables.longs(instants, tables.MOMENT))

    def _timed(self, rows: pa.Table) -> None:
        instants, kept = self.snapshots.assign(tables.numbers(rows["sampled_at"]), _ids(rows), _anew(rows))
        rows = _with_time(rows, tables.longs(instants, tables.MOMENT))
        self._insert(rows if kept.all() else rows.filter(tables.flags(kept)))

    def _untimed(self, rows: pa.Table) -> None:
        """Hold rows back until their snapshot is whole: only then is its lower bound known."""
        if not rows.num_rows:
            return
        begins = np.flatnonzero(part_untimed(_ids(rows), _anew(rows), self.seen))
        edges = [0, *begins.tolist(), rows.num_rows]
        for index, (left, right) in enumerate(itertools.pairwise(edges)):
            if index:
                self._close(is_last=False)
            if right > left:
                self.held.append(rows.slice(left, right - left))

    def _close(self, *, is_last: bool = True) -> None:
        if not self.held:
            return
        rows = pa.concat_tables(self.held)
        self.held = []
        self.closed += 1
        is_sole = is_last and self.closed == 1
        instant, assumption = self._dated(pc.max(rows["latest_at"]).as_py(), is_sole=is_sole)
        self.reading.ledger.assume(assumption)
        self._insert(_with_time(rows, pa.array([instant] * rows.num_rows, pa.timestamp("us"))))

    def _dated(self, latest: datetime | None, *, is_sole: bool) -> tuple[datetime | None, str]:
        """Return when a snapshot without a time was taken, and the sentence that says how that is known."""
        named = times.in_name(self.reading.head.name, self.reading.options.timezone) if is_sole else None
        if named is not None and (latest is None or (latest - named).total_seconds() <= NAME_AHEAD_S):
            told = f"the sample time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name"
            return max(named, latest or named), told
        if latest is None:
            return None, "nothing tells when the snapshot was taken: it has no sample time"
        if named is not None:
            return latest, (
                f"the time in the file's name, {named:%Y-%m-%d %H:%M:%S} UTC, is earlier than what the rows tell: "
                "the latest start among the rows is taken as sample time, a lower bound"
            )
        return latest, (
            "the rows bear no sample time: the latest start or state change among the rows of a snapshot is taken for it, "
            "a lower bound"
        )

    def _insert(self, rows: pa.Table) -> None:
        first, last = pc.min(rows["sampled_at"]).as_py(), pc.max(rows["sampled_at"]).as_py()
        self.reading.ledger.saw(first, last)
        for age, start in AGES.items():
            if age in rows.column_names:
                since = pc.subtract(rows["sampled_at"].cast(pa.int64()), rows[age]).cast(tables.MOMENT)
                whole = pc.coalesce(rows[start], since)
                rows = rows.drop_columns([age]).set_column(rows.column_names.index(start), start, whole)
        self.storing.insert("backend_sample", rows.drop_columns(["lines", "anew", "latest_at"]))


def _hours_ahead(gaps: NDArray[np.int64]) -> int:
    """Return by how much the zone of the sample times differs, in microseconds, given how far each lies after the newest
    time of its rows; 0 where it does not, or where it cannot be told.
    """
    step, slack = ZONE_STEP_S * 1_000_000, ZONE_SLACK_S * 1_000_000
    if not len(gaps):
        return 0
    ahead = int(np.round(np.median(gaps) / step)) * step
    is_zone = bool((np.abs(gaps - ahead) <= slack).mean() >= 0.9)
    # One snapshot long after anything happened proves nothing; one before what it shows cannot be.
    return ahead if ahead and is_zone and (len(gaps) >= 3 or ahead < 0) else 0


def _ids(rows: pa.Table) -> NDArray[np.int64]:
    return tables.numbers(pc.fill_null(rows["backend_id"], _NO_ID))


def _anew(rows: pa.Table) -> NDArray[np.bool_]:
    return tables.numbers(rows["anew"].cast(pa.int64())).astype(np.bool_)


def _with_time(rows: pa.Table, instants: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index("sampled_at"), "sampled_at", instants)


def _typed(con: duckdb.DuckDBPyConnection, frame: tables.Frame, found: dict[str, int], zone: str | None) -> pa.Table:
    """Return the rows of a frame as they are stored, with `lines`, `anew` and `latest_at` beside."""
    rows = frame.rows
    nothing = pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])

    def text(target: str) -> pa.ChunkedArray:
        return rows[f"c{found[target]}"] if target in found else nothing

    def moment(target: str) -> pa.ChunkedArray:
        name = f"c{found[target]}" if target in found else "told" if target == "sampled_at" else None
        return tables.moments(con, rows, name, zone) if name else nothing.cast(tables.MOMENT)

    host = (
        pc.coalesce(text("client_host"), text("client_hostname")) if "client_hostname" in found else text("client_host")
    )
    if pc.any(pc.match_substring(host, "/")).as_py():
        host = pc.replace_substring_regex(host, r"/(?:32|128)$", "")
    port = tables.integers(text("client_port"), pa.int32())
    is_local = pc.and_(pc.is_null(host), pc.is_in(port, value_set=_SOCKET_PORT))
    columns = {
        "line_no": rows["line_no"],
        "lines": rows["lines"],
        "anew": rows["anew"],
        "sampled_at": moment("sampled_at"),
        "backend_id": tables.integers(text("backend_id"), pa.int64()),
        "user_name": text("user_name"),
        "database_name": text("database_name"),
        "application_name": text("application_name"),
        "client_host": pc.if_else(is_local, strings(("[local]",))[0], host),
        "client_port": pc.if_else(pc.greater(port, _SOCKET_PORT[0]), port, pa.nulls(1, pa.int32())[0]),
        "backend_type": text("backend_type"),
        **{target: moment(target) for target in STARTS},
        "state": _states(text("state")) if "state" in found else _states_of_old(text("query")),
        "wait_event_type": _waits_of_old(text("waiting"))
        if "wait_event_type" not in found and "running_for" not in frame.names
        else text("wait_event_type"),
        "wait_event": text("wait_event"),
        "blocked_by": _blockers(text("blocked_by")),
        "query_id": text("query_id"),
        "query": text("query"),
    }
    if "server" in found:
        columns["server"] = text("server")
    for age in AGES.keys() & found.keys():
        columns[age] = _microseconds(con, rows, f"c{found[age]}")
    columns["latest_at"] = pc.max_element_wise(*(columns[target] for target in STARTS))
    return pa.table(columns)


def _microseconds(con: duckdb.DuckDBPyConnection, rows: pa.Table, name: str) -> pa.ChunkedArray:
    query = f"SELECT line_no, CAST(epoch(TRY_CAST({name} AS INTERVAL)) * 1e6 AS BIGINT) AS age FROM frame"
    return tables.select(con, rows.select(["line_no", name]), query)["age"]


def _states(written: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_lower(written)


def _states_of_old(query: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the state, which until 9.1 stood in current_query."""
    known = pc.starts_with(query, "<")
    return pc.case_when(
        pc.make_struct(
            pc.starts_with(query, "<IDLE> in transaction (aborted)"),
            pc.starts_with(query, "<IDLE> in transaction"),
            pc.starts_with(query, "<IDLE>"),
            pc.invert(known),
        ),
        "idle in transaction (aborted)",
        "idle in transaction",
        "idle",
        "active",
    )


def _waits_of_old(waiting: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the kind of wait: until 9.5 there was a flag, for locks only."""
    is_waiting = pc.is_in(pc.utf8_lower(waiting), value_set=pa.array(["t", "true", "1", "yes"]))
    return pc.if_else(is_waiting, "Lock", pa.scalar(None, pa.string()))


def _blockers(written: pa.ChunkedArray) -> pa.ChunkedArray:
    if written.null_count == len(written):
        return written
    bare = pc.replace_substring_regex(written, r"[{}\[\] ]", "")
    return pc.if_else(pc.equal(bare, ""), None, bare)


CSV = """\
sampled_at,pid,usename,datname,application_name,client_addr,client_port,backend_start,xact_start,query_start,state_change,wait_event_type,wait_event,state,backend_type,query
2026-11-21 03:12:00.100001+00,101,orders,shop,orders,10.0.0.5,40001,2026-11-21 02:00:00+00,,2026-11-21 03:11:50+00,2026-11-21 03:11:50.5+00,Client,ClientRead,idle,client backend,SELECT 1
2026-11-21 03:12:00.100044+00,102,web,shop,,,-1,2026-11-21 02:30:00+00,2026-11-21 03:11:59+00,2026-11-21 03:11:59+00,2026-11-21 03:11:59+00,,,active,client backend,"SELECT a
FROM ""b"" LIMIT 1"
2026-11-21 03:12:00.100051+00,77,,,,,,2026-11-20 00:00:00+00,,,,Activity,AutoVacuumMain,,autovacuum launcher,
sampled_at,pid,usename,datname,application_name,client_addr,client_port,backend_start,xact_start,query_start,state_change,wait_event_type,wait_event,state,backend_type,query
2026-11-21 05:12:01.2+02,101,orders,shop,orders,10.0.0.5,40001,2026-11-21 02:00:00+00,,2026-11-21 03:11:50+00,2026-11-21 03:11:50.5+00,Client,ClientRead,idle,client backend,SELECT 1
"""

NAMED = """\
pid;user;db;app;state;blocked_by;query_start
7;web;shop;web-1;active;{5,6};2026-11-21 03:11:58
5;web;shop;web-2;idle in transaction;{};2026-11-21 03:11:00
"""

ALIGNED = """\
shop=# select now();
              now
-------------------------------
 2026-11-21 03:12:00.5+00
(1 row)

shop=# select pid, usename, state, wait_event, query from pg_stat_activity where datname is not null;
 pid | usename | state  | wait_event |      query
-----+---------+--------+------------+------------------
 101 | orders  | idle   | ClientRead | SELECT a || '|' +
     |         |        |            | FROM b
 102 | web     | active |            | SELECT 2
(2 строки)

shop=# show max_connections;
 max_connections
-----------------
 100
(1 row)
"""

WATCHED = """\
Sat 21 Nov 2026 03:12:00 AM UTC (every 2s)

  pid  | usename | state
-------+---------+--------
 40516 | web     | idle
(1 row)

Sat 21 Nov 2026 03:12:02 AM UTC (every 2s)

  pid  | usename | state
-------+---------+--------
 40516 | web     | active
(1 row)

"""

EXPANDED = """\
-[ RECORD 1 ]----+------------------------------
procpid          | 40516
usename          | postgres
client_addr      | 10.0.0.9/32
client_port      | 57914
query_start      | 2011-01-17 11:53:43.766623+01
waiting          | t
current_query    | UPDATE t +
                 | SET a = 1
-[ RECORD 2 ]----+------------------------------
procpid          | 40570
usename          | freedom
client_addr      |
client_port      | -1
query_start      | 2011-01-17 11:51:30.213533+01
waiting          | f
current_query    | <IDLE> in transaction
"""

HEROKU = """\
  pid  |        state        | source |     username     |   running_for   |       transaction_start       | waiting |     query
-------+---------------------+--------+------------------+-----------------+-------------------------------+---------+---------------
 31776 | active              | psql   | u2vi2nt40t3vcq   | 00:19:08.017088 | 2026-11-21 02:52:51.982912+00 | t       | SELECT 1;
 31912 | idle in transaction | web.1  | u2vi2nt40t3vcq   | 00:18:56.12178  | 2026-11-21 02:53:03.87822+00  | f       | SELECT 2;
(2 rows)

"""

PGCENTER = """\
pid       cl_addr       cl_port   datname   usename   appname     backend_type    wait_etype  wait_event     state     xact_age  query_age        change_age       query
2026/11/21 03:12:00, rate: 1s
3781498                 -1        shop      web                   client backend  Client      ClientRead     idle      00:00:05  00:00:01         00:00:01         SELECT abalance FROM pgbench_ac~
2967718   127.0.0.1/32  35960               postgres  14/replica  walsender       Activity    WalSenderMain  active              3 days 18:14:30  3 days 18:14:30  START_REPLICATION 36/E3000000 T~
2026/11/21 03:12:01, rate: 1s
3781498                 -1        shop      web                   client backend                             active    00:00:06  00:00:00         00:00:00         END;
"""

PGCENTER_MEMBER = (
    '{"Values":[[{"String":"7","Valid":true},{"String":"web","Valid":true},{"String":"active","Valid":true},'
    '{"String":"00:00:05","Valid":true},{"String":"","Valid":false},{"String":"SELECT 1","Valid":true}]],'
    '"Cols":["pid","usename","state","xact_age","wait_event","query"],"Ncols":6,"Nrows":1,"Valid":true}'
)

PGMETRICS = """\
{
  "meta": {"version": "1.0", "at": 1795230720, "collected_dbs": ["shop"], "local": true},
  "start_time": 1795000000,
  "backends": [
    {
      "db_name": "shop", "role_name": "web", "application_name": "", "pid": 7, "client_addr": "10.0.0.5/32",
      "backend_start": 1795230000, "xact_start": 0, "query_start": 1795230700, "state_change": 1795230710,
      "wait_event_type": "Client", "wait_event": "ClientRead", "state": "idle", "backend_xid": 0, "query": "SELECT 1"
    }
  ],
  "roles": [],
  "settings": {"max_connections": {"setting": "100"}, "work_mem": {"setting": "4096", "source": "default"}}
}
"""

METRICBEAT = (
    '{"@timestamp":"2026-11-21T03:12:00.853Z","event":{"dataset":"postgresql.activity","module":"postgresql"},'
    '"postgresql":{"activity":{"application_name":"","backend_start":"2026-11-21T03:10:00.467Z","backend_type":"client backend",'
    '"client":{"address":"192.168.128.1","hostname":"","port":33414},"database":{"name":"shop","oid":13395},"pid":2236,'
    '"query":"SELECT * FROM t","query_start":"2026-11-21T03:11:40.469Z","state":"idle","state_change":"2026-11-21T03:11:40.471Z",'
    '"user":{"id":10,"name":"web"}}},"service":{"address":"192.168.128.2:5432","type":"postgresql"}}\n'
)

JSON_IN_PSQL = """\
                                   row_to_json
---------------------------------------------------------------------------------
 {"now":"2026-11-21T03:12:00+00:00","pid":7,"usename":"web","state":"active",   +
  "datname":"shop","query":"SELECT\\n1","backend_start":null}
(1 row)
"""

FORMAT = Format(
    name="postgres_activity",
    engine="postgres",
    tables=("backend_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            CSV,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00.100001", "backend_id": 101, "engine": "postgres",
                     "user_name": "orders", "database_name": "shop", "application_name": "orders", "client_host": "10.0.0.5",
                     "client_port": 40001, "backend_type": "client backend", "backend_start_at": "2026-11-21T02:00:00",
                     "xact_start_at": None, "query_start_at": "2026-11-21T03:11:50",
                     "state_change_at": "2026-11-21T03:11:50.500000", "state": "idle", "wait_event_type": "Client",
                     "wait_event": "ClientRead", "query": "SELECT 1"},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00.100001", "backend_id": 102, "client_host": "[local]",
                     "client_port": None, "application_name": None, "state": "active", "query": 'SELECT a\nFROM "b" LIMIT 1'},
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00.100001", "backend_id": 77, "user_name": None,
                     "client_host": None, "backend_type": "autovacuum launcher", "state": None, "query": None},
                    {"line_no": 7, "sampled_at": "2026-11-21T03:12:01.200000", "backend_id": 101},
                )
            },
            name="activity.csv",
        ),
        Sample(
            NAMED,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "backend_id": 7, "user_name": "web",
                     "database_name": "shop", "application_name": "web-1", "state": "active", "blocked_by": "5,6"},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "backend_id": 5, "blocked_by": None,
                     "state": "idle in transaction"},
                )
            },
            name="activity-20261121T031200Z.csv",
        ),
        Sample(
            ALIGNED,
            {
                "backend_sample": (
                    {"line_no": 10, "sampled_at": "2026-11-21T03:12:00.500000", "backend_id": 101, "state": "idle",
                     "query": "SELECT a || '|'\nFROM b"},
                    {"line_no": 12, "sampled_at": "2026-11-21T03:12:00.500000", "backend_id": 102, "query": "SELECT 2"},
                ),
                "setting": ({"line_no": 18, "name": "max_connections", "value": "100"},),
            },
            name="psql.txt",
        ),
        Sample(
            WATCHED,
            {
                "backend_sample": (
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "backend_id": 40516, "state": "idle"},
                    {"line_no": 12, "sampled_at": "2026-11-21T03:12:02", "backend_id": 40516, "state": "active"},
                )
            },
            name="watch.txt",
        ),
        Sample(
            EXPANDED,
            {
                "backend_sample": (
                    {"line_no": 1, "sampled_at": "2011-01-17T10:53:43.766623", "backend_id": 40516, "state": "active",
                     "client_host": "10.0.0.9", "client_port": 57914, "wait_event_type": "Lock",
                     "query": "UPDATE t\nSET a = 1"},
                    {"line_no": 10, "sampled_at": "2011-01-17T10:53:43.766623", "backend_id": 40570, "client_host": "[local]",
                     "state": "idle in transaction", "wait_event_type": None},
                )
            },
            name="expanded.txt",
        ),
        Sample(
            HEROKU,
            {
                "backend_sample": (
                    {"line_no": 3, "backend_id": 31776, "state": "active", "application_name": "psql",
                     "xact_start_at": "2026-11-21T02:52:51.982912", "wait_event_type": None},
                    {"line_no": 4, "backend_id": 31912, "user_name": "u2vi2nt40t3vcq", "query": "SELECT 2;"},
                )
            },
            name="ps.txt",
        ),
        Sample(
            PGCENTER,
            {
                "backend_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "backend_id": 3781498, "client_host": "[local]",
                     "application_name": None, "database_name": "shop", "xact_start_at": "2026-11-21T03:11:55",
                     "state_change_at": "2026-11-21T03:11:59", "state": "idle", "wait_event_type": "Client"},
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:00", "backend_id": 2967718, "client_host": "127.0.0.1",
                     "database_name": None, "client_port": 35960, "query_start_at": "2026-11-17T08:57:30"},
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:01", "backend_id": 3781498, "wait_event_type": None,
                     "query": "END;"},
                )
            },
            name="report.txt",
        ),
        Sample(
            PGCENTER_MEMBER,
            {
                "backend_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "backend_id": 7, "state": "active", "wait_event": None,
                     "xact_start_at": "2026-11-21T03:11:55"},
                )
            },
            name="activity.20261121T031200.json",
        ),
        Sample(
            PGMETRICS,
            {
                "backend_sample": (
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "backend_id": 7, "user_name": "web", "state": "idle",
                     "database_name": "shop", "client_host": "10.0.0.5", "backend_start_at": "2026-11-21T03:00:00",
                     "xact_start_at": None, "application_name": None},
                ),
                "setting": (
                    {"line_no": 12, "name": "max_connections", "value": "100"},
                    {"line_no": 12, "name": "work_mem", "value": "4096"},
                ),
            },
            name="pgmetrics.json",
        ),
        Sample(
            METRICBEAT,
            {
                "backend_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00.853", "backend_id": 2236, "user_name": "web",
                     "database_name": "shop", "client_host": "192.168.128.1", "client_port": 33414, "state": "idle"},
                )
            },
            name="metricbeat.ndjson",
        ),
        Sample(
            JSON_IN_PSQL,
            {
                "backend_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "backend_id": 7, "state": "active",
                     "query": "SELECT\n1"},
                )
            },
            name="json.txt",
        ),
    ),
)  # fmt: skip
