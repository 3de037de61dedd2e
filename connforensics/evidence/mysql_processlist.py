"""Snapshots of the process list of MySQL or MariaDB: who was connected, doing what, for how long.

Obtained with `SHOW FULL PROCESSLIST`, `SELECT * FROM information_schema.processlist` (MariaDB's and Percona's further columns
too), `performance_schema.processlist` or `.threads`, `sys.processlist`, `sys.session`, `mysqladmin processlist`, or pt-stalk's
`-processlist` file; in every shape of the client: table, `\\G`, `-B`, `-B -r`, `-N`, XML, HTML, CSV, JSON; once or in series with
the time between. Transactions, counters and settings shown in the same paste are read too.

https://dev.mysql.com/doc/refman/8.4/en/show-processlist.html
https://mariadb.com/kb/en/information-schema-processlist-table/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import (
    Format,
    Head,
    Reading,
    Sample,
    mysql_innodb_trx,
    mysql_status,
    mysql_variables,
    tables,
    times,
)
from connforensics.evidence.snapshots import NO_ID, Snapshots, part_untimed

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

ALIASES: Final = {
    "sampled_at": tuple(name for name in times.COLUMNS if name != "time"),
    "server": ("server", "server_name", "node", "db_host", "db_instance", "instance"),
    "backend_id": ("processlist_id", "conn_id", "id", "connection_id", "conn", "process_id"),
    "user_name": ("user", "processlist_user", "user_name", "username"),
    "client_host": ("host", "processlist_host", "client_host", "client", "host_name"),
    "database_name": ("db", "processlist_db", "database", "schema", "database_name"),
    "command": ("command", "processlist_command"),
    "seconds": ("time", "processlist_time", "time_s", "seconds"),
    "milliseconds": ("time_ms",),
    "wait_event": ("state", "processlist_state"),
    "query": ("info", "processlist_info", "current_statement", "query"),
    "application_name": ("program_name",),
    "xact_start_at": ("trx_started",),
    "trx_state": ("trx_state",),
    "trx_latency": ("trx_latency",),
    "type": ("type",),
    "connection_type": ("connection_type",),
    "query_id": ("query_id",),
    "name": ("name",),
    "blocked_by": ("blocked_by", "blocking_pid", "blocking_thread"),
}  # fmt: skip

KEEP: Final = (
    frozenset(alias for known in ALIASES.values() for alias in known) | mysql_innodb_trx.KEEP | mysql_variables.KEEP
)

FOREIGN: Final = frozenset(
    ("kill_id", "reason", "kill_error", "hostgroup", "session_id", "srv_host", "cli_host", "l_srv_host", "command_type",
     "user_host", "event_time", "argument", "usename", "datname", "pid_", "ppid", "tty", "backend_start", "application_name",
     "calls", "ptr", "sql_text", "query_time", "server_id", "sorted_by_time", "lock_time", "variable_name")
)  # fmt: skip
"""Names of tables with users, hosts and ids that are something else: pt-kill's log, ProxySQL, the general and the slow log
as tables, `ps`, PostgreSQL."""

MARIADB: Final = frozenset(("progress", "max_stage", "examined_rows", "max_memory_used", "info_binary"))
"""Columns that only MariaDB has; https://mariadb.com/kb/en/show-processlist/."""

COMMANDS: Final = frozenset(
    ("Sleep", "Query", "Connect", "Daemon", "Execute", "Prepare", "Killed", "Binlog Dump", "Binlog Dump GTID", "Init DB",
     "Quit", "Field List", "Statistics", "Ping", "Processlist", "Change user", "Close stmt", "Fetch", "Reset stmt", "Refresh",
     "Register Slave", "Register Replica", "Connect Out", "Create DB", "Drop DB", "Debug", "Delayed insert", "Error", "Kill",
     "Long Data", "Set option", "Shutdown", "Table Dump", "Time", "Reset Connection", "Clone", "Group Replication Data Stream",
     "Slave_IO", "Slave_SQL", "Slave_worker", "Bulk_execute", "Binlog Replay")
)  # fmt: skip
"""Values of Command; https://dev.mysql.com/doc/refman/8.4/en/thread-commands.html."""

REPLICAS: Final = ("Binlog Dump", "Binlog Dump GTID", "Register Slave", "Register Replica", "Table Dump")
"""Commands by which a replica, a client of its own, is served."""

OWN_THREADS: Final = ("Daemon", "Slave_IO", "Slave_SQL", "Slave_worker")
OWN_USERS: Final = ("system user", "event_scheduler")
"""Who works for the server itself."""

LOCK_STATES: Final = "(?i)^(waiting for (.* )?lock|locked|table lock|user lock|waiting for tables?( flush)?)$"
"""States of a session that waits for a table, metadata or user lock; a wait for a row shows as `updating`."""

LONGEST_TIME_S: Final = 10 * 365 * 86400
"""A Time beyond this is a clock that was moved, seen as 4294967295 and 18446744073709551615; no server is up so long."""

_HEADLESS = re.compile(
    r"^(\d+)\t([^\t]*[^\t\d][^\t]*|)\t([^\t@]*)\t([^\t]*)\t("
    + "|".join(sorted(COMMANDS, key=len, reverse=True))
    + r")\t(-?\d+|NULL|)\t"
)


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is that of a process list."""
    present = frozenset(names)
    if present & FOREIGN or not mysql_variables.is_header(names) or mysql_innodb_trx.accepts(names):
        return False
    found = tables.match(names, ALIASES)
    if "backend_id" not in found:
        return False
    known = {"user_name", "client_host", "database_name", "command", "seconds", "wait_event", "query"} & found.keys()
    if "processlist_id" in present or {"conn_id", "thd_id"} <= present:
        return len(known) >= 2
    if present == {"id", "user", "host", "command"}:
        return True
    return "id" in present and len(known) >= 4 and bool({"command", "info", "db"} & present)


def certainty(head: Head) -> float:
    """Return how sure a head is a process list: its columns, its commands, and how well the rows fit."""
    if not mysql_variables.mentions(head, "command", "info", "db", "processlist_id", "conn_id"):
        layout = None
    else:
        layout = tables.find(head.lines, accepts)
    if layout is not None:
        at = tables.match(layout.names, {"command": ALIASES["command"]}).get("command")
        commands = {row[at] for row in layout.shown if row[at]} if at is not None else set()
        if commands and {each.lower() for each in commands if each}.isdisjoint(map(str.lower, COMMANDS)):
            # People and machines have ids, users, hosts and commands as well.
            return 0.0
        return 0.97 * (0.4 + 0.6 * layout.fit)
    rows = sum(1 for line in head.lines if _HEADLESS.match(line))
    return 0.9 if rows and rows * 2 > sum(1 for line in head.lines if line.strip()) else 0.0


def read(reading: Reading) -> None:
    """Store each row of a process list as a backend_sample, all rows of one snapshot at one instant."""
    with tables.scratch(reading.options.timezone) as con:
        run = _Run(reading, con, mysql_innodb_trx.Transactions(reading), mysql_status.Blocks(reading))
        if tables.find(reading.head.lines, _accepts_any) is None:
            for rows in _headless(reading):
                run.store(tables.Frame(HEADLESS, rows, HEADLESS))
        else:
            for frame in tables.frames(reading, _accepts_any, KEEP):
                run.take(frame)
        run.finish()


def _accepts_any(names: Sequence[str]) -> bool:
    return accepts(names) or mysql_innodb_trx.accepts(names) or mysql_variables.accepts(names)


HEADLESS: Final = ("id", "user", "host", "db", "command", "time", "state", "info")
"""The columns of SHOW PROCESSLIST in their order."""


def _headless(reading: Reading) -> Iterator[pa.Table]:
    """Yield the rows of a process list without its header, as frames have them."""
    cells = ",\n".join(
        f"nullif(nullif(replace(replace(cells[{number}], '\\n', chr(10)), '\\t', chr(9)), ''), 'NULL') AS c{number - 1}"
        for number in range(1, len(HEADLESS) + 1)
    )
    for _ in reading.scan("unheaded"):
        rows = reading.con.sql(
            f"""
            SELECT line_no, CAST(1 AS BIGINT) AS lines, line_no = 1 AS anew, CAST(NULL AS VARCHAR) AS told,
                   {cells}
            FROM (SELECT line_no, string_split(text, chr(9)) AS cells FROM unheaded WHERE regexp_matches(text, '{_HEADLESS.pattern}'))
            ORDER BY line_no
            """
        ).to_arrow_table()
        mysql_variables.account_for_others(reading, "unheaded", _HEADLESS.pattern)
        if rows.num_rows:
            yield rows


@dataclass(slots=True)
class _Run:
    """The reading of one source: the snapshot still open, what came before it, and what had to be assumed."""

    reading: Reading
    con: duckdb.DuckDBPyConnection
    transactions: mysql_innodb_trx.Transactions
    blocks: mysql_status.Blocks
    snapshots: Snapshots = field(default_factory=Snapshots)
    held: list[pa.Table] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    closed: int = 0
    before_at: datetime | None = None
    before: dict[int, tuple[str | None, float]] = field(default_factory=dict)
    near_at: datetime | None = None
    is_zone_checked: bool = False

    def take(self, frame: tables.Frame) -> None:
        """Store the rows of a frame, whatever of a paste it is."""
        if accepts(frame.names):
            self.store(frame)
        elif mysql_innodb_trx.accepts(frame.names):
            self._close()
            self.transactions.store(frame, self.near_at)
        else:
            self.blocks.store(self.con, frame)

    def store(self, frame: tables.Frame) -> None:
        """Store the rows of a frame of a process list."""
        if MARIADB & set(frame.names):
            self.reading.engine = "mariadb"
        found = tables.match(frame.names, ALIASES)
        self._check_zone(frame, found)
        rows = tables.select(self.con, frame.rows, _query(found, frame.names))
        for target in {"sampled_at", "xact_start_at"} & found.keys():
            whole = times.filled(rows[target], frame.rows[f"c{found[target]}"], self.reading.options.timezone)
            rows = rows.set_column(rows.column_names.index(target), target, whole)
        ledger = self.reading.ledger
        is_known = pc.is_valid(rows["backend_id"])
        # A thread of the server itself has no connection id.
        is_own = pc.and_(pc.invert(is_known), pc.fill_null(pc.equal(rows["backend_type"], "background worker"), False))
        ledger.ignored += tables.lines_of(rows.filter(is_own))
        is_timed = pc.is_valid(rows["sampled_at"])
        is_good = pc.and_(is_known, is_timed) if "sampled_at" in found else is_known
        tables.reject(ledger, frame.rows.filter(pc.invert(pc.or_(is_good, is_own))))
        ledger.understood += tables.lines_of(rows.filter(is_good))
        untimed, timed = rows.filter(pc.and_(is_good, pc.invert(is_timed))), rows.filter(pc.and_(is_good, is_timed))
        if untimed.num_rows:
            self._hold(untimed)
        if timed.num_rows:
            self._close()
            if "sampled_at" not in found:
                ledger.assume("the rows bear no sample time: the time written above each table is taken for it")
                mysql_variables.note_zone(self.reading)
            instants, kept = self.snapshots.assign(
                timed["sampled_at"].cast(pa.int64()).to_numpy(), _ids(timed), timed["anew"].to_numpy()
            )
            timed = _with_time(timed, pa.array(instants, pa.timestamp("us")))
            self._insert(timed if kept.all() else timed.filter(pa.array(kept)))
            self.near_at = timed["sampled_at"][-1].as_py()

    def finish(self) -> None:
        """Store what is still held."""
        self._close()
        self.transactions.finish()
        self.blocks.finish()
        if self.snapshots.doubles:
            self.reading.ledger.assume(
                f"{self.snapshots.doubles} rows repeat a session of their snapshot (as a join does); each is counted once"
            )

    def _check_zone(self, frame: tables.Frame, found: dict[str, int]) -> None:
        if self.is_zone_checked:
            return
        columns = [found[target] for target in ("sampled_at", "xact_start_at") if target in found]
        values = [value for column in columns for value in frame.rows[f"c{column}"].slice(0, 200).to_pylist()]
        self.is_zone_checked = any(values)
        if times.is_zoneless(values):
            self.reading.ledger.assume(times.zone_assumed(self.reading.options.timezone))

    def _hold(self, rows: pa.Table) -> None:
        """Hold rows without a time back until their snapshot is whole."""
        begins = np.flatnonzero(part_untimed(_ids(rows), rows["anew"].to_numpy(), self.seen))
        edges = [0, *begins.tolist(), rows.num_rows]
        for index in range(len(edges) - 1):
            if index:
                self._close()
            if edges[index + 1] > edges[index]:
                self.held.append(rows.slice(edges[index], edges[index + 1] - edges[index]))

    def _close(self) -> None:
        """Store the snapshot held back, at the time that can be told for it."""
        if not self.held:
            return
        rows = pa.concat_tables(self.held)
        self.held = []
        self.closed += 1
        moment = self._dated(rows)
        self.before_at = self.near_at = moment
        self.before = {
            backend: (command, seconds)
            for backend, command, seconds in zip(
                *(rows[name].to_pylist() for name in ("backend_id", "command", "seconds")), strict=True
            )
            if seconds is not None
        }
        self._insert(_with_time(rows, pa.array([moment] * rows.num_rows, pa.timestamp("us"))))

    def _dated(self, rows: pa.Table) -> datetime | None:
        """Return when a snapshot without a time was taken, and say how that is known."""
        ledger = self.reading.ledger
        if self.closed == 1:
            named_at = times.in_name(self.reading.head.name, self.reading.options.timezone)
            if named_at is None:
                ledger.assume("nothing tells when the snapshot was taken: it has no sample time")
            else:
                ledger.assume(f"the sample time {named_at:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
            return named_at
        if self.before_at is None:
            return None
        grown = self._grown(rows)
        if grown is None:
            ledger.assume("a later snapshot shares no resting session with the one before: it has no sample time")
            return None
        ledger.assume("times of later snapshots come from how much the sessions' Time grew since the one before")
        return self.before_at + timedelta(seconds=grown)

    def _grown(self, rows: pa.Table) -> float | None:
        """Return how long after the snapshot before this one was taken: what most sessions rested on.

        Sessions used in between show less, never more.
        """
        columns = (rows[name].to_pylist() for name in ("backend_id", "command", "seconds"))
        steps: list[float] = [
            seconds - self.before[backend][1]
            for backend, command, seconds in zip(*columns, strict=True)
            if seconds is not None and backend in self.before and self.before[backend][0] == command
        ]
        counted = Counter(round(step) for step in steps if step >= 0)
        if not counted:
            return None
        usual = max(counted, key=lambda step: (counted[step], step))
        inside = sorted(step for step in steps if round(step) == usual)
        return inside[len(inside) // 2]

    def _insert(self, rows: pa.Table) -> None:
        self.reading.ledger.saw(pc.min(rows["sampled_at"]).as_py(), pc.max(rows["sampled_at"]).as_py())
        self.reading.insert("backend_sample", tables.select(self.con, rows, AGED))


AGED: Final = """
SELECT
  * EXCLUDE (lines, anew, seconds, trx_seconds)
    REPLACE (
      coalesce(xact_start_at, sampled_at - to_microseconds(CAST(trx_seconds * 1e6 AS BIGINT))) AS xact_start_at
    ),
  sampled_at - to_microseconds(CAST(seconds * 1e6 AS BIGINT)) AS state_change_at,
  CASE
    WHEN state = 'active' AND backend_type = 'client backend' AND command <> 'Connect'
      THEN sampled_at - to_microseconds(CAST(seconds * 1e6 AS BIGINT))
  END AS query_start_at,
  CASE
    WHEN user_name = 'unauthenticated user' THEN sampled_at - to_microseconds(CAST(seconds * 1e6 AS BIGINT))
  END AS backend_start_at
FROM frame
"""
"""What a row's Time means once the instant of its snapshot is known: it counts from the start of the command, or from the
end of the last one where the session rests."""


def _ids(rows: pa.Table) -> NDArray[np.int64]:
    filled: NDArray[np.int64] = pc.fill_null(rows["backend_id"], NO_ID).to_numpy()
    return filled


def _with_time(rows: pa.Table, instants: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index("sampled_at"), "sampled_at", instants)


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _query(found: dict[str, int], names: Sequence[str]) -> str:
    """Return the SQL from a frame to typed rows, with the seconds that `AGED` turns into times."""

    def text(target: str) -> str:
        return tables.column(found.get(target))

    def time(target: str) -> str:
        return times.sql(f"c{found[target]}") if target in found else "CAST(NULL AS TIMESTAMP)"

    user, host, command = text("user_name"), text("client_host"), text("command")
    has_accounts = "conn_id" in names
    if has_accounts:
        # sys writes user@host, and the name of a thread of the server's own.
        host = f"CASE WHEN contains({user}, '@') THEN regexp_extract({user}, '@([^@]*)$', 1) END"
        user = f"regexp_replace({user}, '@[^@]*$', '')"
    has_ports = "host" in names and not has_accounts
    shown, port = "told_host", "NULL"
    if has_ports:
        port = f"CASE WHEN contains({host}, ':') THEN TRY_CAST(split_part({host}, ':', -1) AS USMALLINT) END"
        shown = """CASE
            WHEN told_port IS NOT NULL THEN trim(left(told_host, length(told_host) - length(split_part(told_host, ':', -1)) - 1), '[]')
            WHEN told_host = 'localhost' THEN '[local]'
            ELSE told_host
          END"""
    elif "connection_type" in found:
        shown = f"CASE WHEN {text('connection_type')} = 'Socket' THEN '[local]' ELSE told_host END"
    milliseconds = f"TRY_CAST({text('milliseconds')} AS DOUBLE)"
    seconds = f"TRY_CAST({text('seconds')} AS DOUBLE)"
    has_query = f"{text('query')} IS NOT NULL" if "command" not in found else "NULL"
    in_transaction = f"({text('xact_start_at')} IS NOT NULL OR {text('trx_state')} = 'ACTIVE')"
    amount, unit = (f"regexp_extract({text('trx_latency')}, '^([0-9.]+) ?([a-z]*)$', {group})" for group in (1, 2))
    factor = f"""CASE {unit}
        WHEN 'd' THEN 86400 WHEN 'h' THEN 3600 WHEN 'm' THEN 60 WHEN 'min' THEN 60 WHEN 's' THEN 1 WHEN 'ms' THEN 1e-3
        WHEN 'us' THEN 1e-6 WHEN 'ns' THEN 1e-9 WHEN 'ps' THEN 1e-12 WHEN '' THEN 1e-12
      END"""
    kind = f"""CASE
        WHEN {command} IN ({_quoted(REPLICAS)}) THEN 'walsender'
        WHEN {command} IN ({_quoted(OWN_THREADS)}) OR lower({user}) IN ({_quoted(OWN_USERS)}) THEN 'background worker'
        WHEN {text("type") if "processlist_id" in names else "NULL"} = 'BACKGROUND' THEN 'background worker'
        {f"WHEN {text('backend_id')} IS NULL THEN 'background worker'" if has_accounts else ""}
        WHEN {user} IS NOT NULL OR {command} IS NOT NULL THEN 'client backend'
      END"""
    server = f", {text('server')} AS server" if "server" in found else ""
    return f"""
    SELECT
      line_no, lines, anew,
      {time("sampled_at") if "sampled_at" in found else "CAST(CAST(told AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"} AS sampled_at,
      TRY_CAST({text("backend_id")} AS BIGINT) AS backend_id,
      {user} AS user_name,
      {text("database_name")} AS database_name,
      {text("application_name")} AS application_name,
      nullif(nullif({shown}, ''), 'connecting host') AS client_host,
      CAST(told_port AS INTEGER) AS client_port,
      {kind} AS backend_type,
      {time("xact_start_at")} AS xact_start_at,
      CASE
        WHEN {command} = 'Sleep' THEN CASE WHEN {in_transaction} THEN 'idle in transaction' ELSE 'idle' END
        WHEN {command} IS NOT NULL OR {has_query} THEN 'active'
      END AS state,
      {command} AS command,
      CASE
        WHEN left(lower({text("wait_event")}), 4) IN ('wait', 'lock', 'tabl', 'user') THEN
          CASE WHEN regexp_matches({text("wait_event")}, '{LOCK_STATES}') THEN 'Lock' END
      END AS wait_event_type,
      {text("wait_event")} AS wait_event,
      nullif(regexp_replace({text("blocked_by")}, '[^0-9,]', '', 'g'), '') AS blocked_by,
      nullif({text("query_id")}, '0') AS query_id,
      {text("query")} AS query,
      CASE
        WHEN {milliseconds} BETWEEN 0 AND {LONGEST_TIME_S}000.0 THEN {milliseconds} / 1000
        WHEN {seconds} BETWEEN 0 AND {LONGEST_TIME_S} THEN {seconds}
      END AS seconds,
      CASE WHEN {text("trx_state")} = 'ACTIVE' THEN TRY_CAST({amount} AS DOUBLE) * {factor} END AS trx_seconds
      {server}
    FROM (SELECT *, {host} AS told_host, {port} AS told_port FROM frame)
    """


TABLE = """\
mysql> SELECT NOW(); SHOW FULL PROCESSLIST;
+---------------------+
| NOW()               |
+---------------------+
| 2026-11-21 03:12:00 |
+---------------------+
1 row in set (0.00 sec)

+----+----------------------+-----------------+------+-------------+------+---------------------------------+--------------------+
| Id | User                 | Host            | db   | Command     | Time | State                           | Info               |
+----+----------------------+-----------------+------+-------------+------+---------------------------------+--------------------+
|  1 | event_scheduler      | localhost       | NULL | Daemon      | 9000 | Waiting on empty queue          | NULL               |
|  5 | app web              | 10.0.0.5:60482  | shop | Sleep       |    4 |                                 | NULL               |
|  6 | repl                 | replica-2:6048  | NULL | Binlog Dump |  900 | Master has sent all binlog      | NULL               |
|  9 | app                  | 127.0.0.1:60530 | shop | Query       |    3 | Waiting for table metadata lock | ALTER TABLE t ADD z |
| 13 | unauthenticated user | 10.0.0.9:4      | NULL | Connect     | NULL | Reading from net                | NULL               |
| 14 | root                 | localhost       | NULL | Query       |    0 | init                            | SHOW PROCESSLIST   |
+----+----------------------+-----------------+------+-------------+------+---------------------------------+--------------------+
6 rows in set (0.00 sec)
"""

SERIES = """\
Id\tUser\tHost\tdb\tCommand\tTime\tState\tInfo\tProgress
4\troot\tlocalhost\tNULL\tSleep\t4\t\tNULL\t0.000
5\tapp\t10.0.0.5:60482\tshop\tQuery\t2\tUpdating\tUPDATE t\\nSET v=1\t0.000
Id\tUser\tHost\tdb\tCommand\tTime\tState\tInfo\tProgress
4\troot\tlocalhost\tNULL\tSleep\t9\t\tNULL\t0.000
5\tapp\t10.0.0.5:60482\tshop\tSleep\t4294967295\t\tNULL\t0.000
"""

THREADS = """\
sampled_at,THREAD_ID,NAME,TYPE,PROCESSLIST_ID,PROCESSLIST_USER,PROCESSLIST_HOST,PROCESSLIST_DB,PROCESSLIST_COMMAND,PROCESSLIST_TIME,PROCESSLIST_STATE,PROCESSLIST_INFO,CONNECTION_TYPE
2026-11-21T03:12:00Z,1,thread/sql/main,BACKGROUND,,,,,,9000,,,
2026-11-21T03:12:00Z,40,thread/sql/one_connection,FOREGROUND,12,app,10.0.0.5,shop,Sleep,7,,,SSL/TLS
2026-11-21T03:12:00Z,41,thread/sql/one_connection,FOREGROUND,13,root,localhost,,Query,0,executing,SELECT 1,Socket
"""

FORMAT = Format(
    name="mysql_processlist",
    engine="mysql",
    tables=("backend_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "+---------+--------+-----------------+-------------+\n"
            "| Id      | User   | Host            | Command     |\n"
            "+---------+--------+-----------------+-------------+\n"
            "|      26 | repl   | 10.0.0.23:32795 | Binlog Dump |\n"
            "| 1074631 | sfront | 10.0.0.32:49906 | Sleep       |\n"
            "+---------+--------+-----------------+-------------+\n",
            {
                "backend_sample": (
                    {"line_no": 4, "backend_id": 26, "backend_type": "walsender"},
                    {"line_no": 5, "backend_id": 1074631, "user_name": "sfront", "client_host": "10.0.0.32",
                     "client_port": 49906, "state": "idle"},
                )
            },
            name="four_columns.txt",
        ),
        Sample(
            TABLE,
            {
                "backend_sample": (
                    {"line_no": 12, "sampled_at": "2026-11-21T03:12:00", "engine": "mysql", "backend_id": 1,
                     "user_name": "event_scheduler", "backend_type": "background worker", "command": "Daemon"},
                    {"line_no": 13, "sampled_at": "2026-11-21T03:12:00", "backend_id": 5, "user_name": "app web",
                     "client_host": "10.0.0.5", "client_port": 60482, "database_name": "shop", "command": "Sleep",
                     "state": "idle", "state_change_at": "2026-11-21T03:11:56", "query_start_at": None, "query": None,
                     "wait_event": None, "backend_type": "client backend"},
                    {"line_no": 14, "backend_id": 6, "backend_type": "walsender", "state": "active", "client_host": "replica-2"},
                    {"line_no": 15, "backend_id": 9, "state": "active", "query_start_at": "2026-11-21T03:11:57",
                     "wait_event_type": "Lock", "wait_event": "Waiting for table metadata lock",
                     "query": "ALTER TABLE t ADD z"},
                    {"line_no": 16, "backend_id": 13, "user_name": "unauthenticated user", "command": "Connect",
                     "state": "active", "state_change_at": None, "backend_type": "client backend"},
                    {"line_no": 17, "backend_id": 14, "client_host": "[local]", "client_port": None},
                )
            },
            name="processlist.txt",
        ),
        Sample(
            SERIES,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "engine": "mariadb", "backend_id": 4},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "backend_id": 5, "query": "UPDATE t\nSET v=1",
                     "query_start_at": "2026-11-21T03:11:58"},
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:05", "backend_id": 4,
                     "state_change_at": "2026-11-21T03:11:56"},
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:05", "backend_id": 5, "state": "idle",
                     "state_change_at": None},
                )
            },
            name="processlist-2026-11-21_03-12-00.tsv",
        ),
        Sample(
            THREADS,
            {
                "backend_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "backend_id": 12, "user_name": "app",
                     "client_host": "10.0.0.5", "client_port": None, "state_change_at": "2026-11-21T03:11:53"},
                    {"line_no": 4, "backend_id": 13, "client_host": "[local]", "query": "SELECT 1"},
                )
            },
            name="threads.csv",
        ),
        Sample(
            "31\tapp\t192.168.0.204:60104\tshop\tSleep\t17915\t\tNULL\n"
            "27\troot\tlocalhost\tNULL\tQuery\t0\tstarting\tshow processlist\n",
            {
                "backend_sample": (
                    {"line_no": 1, "sampled_at": None, "backend_id": 31, "state": "idle", "client_port": 60104,
                     "state_change_at": None},
                    {"line_no": 2, "sampled_at": None, "backend_id": 27, "query": "show processlist"},
                )
            },
            name="processlist.tsv",
        ),
    ),
)  # fmt: skip
