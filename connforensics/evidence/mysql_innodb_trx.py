"""Open transactions and lock waits of MySQL or MariaDB: who holds a transaction open, and who waits for whom.

Obtained with `SELECT * FROM information_schema.innodb_trx` (also joined with the process list), `sys.innodb_lock_waits`,
`sys.schema_table_lock_waits`, `information_schema.innodb_lock_waits` beside innodb_trx, `performance_schema.metadata_locks`
joined with `threads`, or pt-stalk's `-transactions`, `-lock-waits` and `-ps-locks-transactions` files, in every shape of the
client. These views list some sessions only: their rows bear a backend type of their own and count nobody.

https://dev.mysql.com/doc/refman/8.4/en/information-schema-innodb-trx-table.html
https://dev.mysql.com/doc/refman/8.4/en/sys-innodb-lock-waits.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, mysql_status, mysql_variables, tables, times

BACKEND_TYPE: Final = "innodb transaction"
"""Backend type of rows from views that list some sessions of an instant only: no sum over them is a number of sessions."""

TRANSACTION: Final = {
    "sampled_at": times.COLUMNS,
    "server": ("server", "server_name", "node", "db_host", "instance"),
    "backend_id": ("trx_mysql_thread_id",),
    "trx_id": ("trx_id",),
    "trx_state": ("trx_state",),
    "started": ("trx_started",),
    "wait_started": ("trx_wait_started",),
    "query": ("trx_query", "info", "processlist_info", "current_statement", "query"),
    "operation": ("trx_operation_state",),
    "user": ("user", "processlist_user"),
    "host": ("host", "processlist_host"),
    "database": ("db", "processlist_db"),
    "command": ("command", "processlist_command"),
}  # fmt: skip
"""Columns of innodb_trx and of the process list it is joined with."""

WAIT: Final = {
    "sampled_at": times.COLUMNS,
    "server": TRANSACTION["server"],
    "waiter": ("waiting_pid", "waiting_thread", "waiting_processlist_id", "waiting_trx_mysql_thread_id", "waiting_id",
               "waiting_connection_id", "waiting_conn_id", "requesting_thread", "waiting_thread_id"),
    "blocker": ("blocking_pid", "blocking_thread", "blocking_processlist_id", "blocking_trx_mysql_thread_id", "blocking_id",
                "blocking_connection_id", "blocking_conn_id", "blocking_thread_id"),
    "waiter_query": ("waiting_query",),
    "blocker_query": ("blocking_query",),
    "waiter_started": ("waiting_trx_started",),
    "blocker_started": ("blocking_trx_started",),
    "wait_started": ("wait_started",),
    "age": ("wait_age_secs", "wait_time", "waiting_query_secs"),
    "waiter_account": ("waiting_account", "waiting_user"),
    "blocker_account": ("blocking_account", "blocking_user"),
    "blocker_host": ("blocking_host",),
    "blocker_port": ("blocking_port",),
    "idle": ("idle_in_trx",),
}  # fmt: skip
"""Columns of sys.innodb_lock_waits, sys.schema_table_lock_waits, pt-stalk's join and the one in MySQL's manual."""

OWN: Final = frozenset(
    ("waiting_trx_id", "blocking_trx_id", "waiting_thread", "blocking_thread", "sql_kill_blocking_query", "waiting_account",
     "blocking_account", "waiting_lock_mode", "waiting_lock_type", "waiting_trx_started", "blocking_trx_started",
     "sql_kill_blocking_connection")
)  # fmt: skip
"""Names that tell these joins from those of other servers."""

PAIRS_OF_IDS: Final = (
    ("requesting_trx_id", "blocking_trx_id"),
    ("requesting_engine_transaction_id", "blocking_engine_transaction_id"),
)
"""Transaction ids in information_schema.innodb_lock_waits and performance_schema.data_lock_waits."""

BLOCKERS: Final = frozenset(("who_blocks", "num_waiters"))
"""The first table of pt-stalk's `-lock-waits`."""

METADATA: Final = frozenset(("processlist_id", "object_type", "object_name", "lock_type", "lock_status"))
"""performance_schema.metadata_locks joined with the connection ids of its owners."""

SILENT: Final = tuple(
    map(
        frozenset,
        (
            ("lock_id", "lock_trx_id"),
            ("engine_lock_id", "lock_mode"),
            ("object_type", "lock_status", "owner_thread_id"),
            ("lock_mode", "lock_duration", "lock_time_ms"),
            ("event_name", "timer_wait"),
            ("internal_lock", "external_lock"),
            ("statement_id", "owner_thread_id"),
            ("in_use", "name_locked"),
            ("slave_io_running", "slave_sql_running"),
            ("replica_io_running", "replica_sql_running"),
        ),
    )
)
"""Tables that stand beside these and say nothing about sessions: locks by themselves, events, handles, replication."""

EXCLUSIVE: Final = re.compile(r"EXCLUSIVE$|SHARED_NO_|SHARED_READ_ONLY")
"""Metadata locks that stop readers or writers; INTENTION_EXCLUSIVE, which does not, is told apart where it is used."""

KEEP: Final = frozenset(
    {alias for known in (*TRANSACTION.values(), *WAIT.values()) for alias in known}
    | {name for pair in PAIRS_OF_IDS for name in pair}
    | BLOCKERS | METADATA | OWN | {"object_schema", "idle_in_trx", "max_wait_time"}
)  # fmt: skip

NAME_AHEAD_S: Final = 5
"""A file's name may be this much older than what its first rows say has happened: it is made before the query runs."""

_THREAD = re.compile(r"^thread (\d+) from (.*)$")


# What a header is


def is_transactions(names: Sequence[str]) -> bool:
    """Tell whether a header is that of innodb_trx with the connection ids."""
    return "trx_mysql_thread_id" in names and bool({"trx_started", "trx_state", "trx_query"} & set(names))


def is_waits(names: Sequence[str]) -> bool:
    """Tell whether a header names who waits and who is in front, as MySQL's views do."""
    return bool(OWN & set(names)) and {"waiter", "blocker"} <= tables.match(names, WAIT).keys()


def is_metadata(names: Sequence[str]) -> bool:
    """Tell whether a header is that of metadata_locks with connection ids."""
    return set(names) >= METADATA


def is_pairs_of_ids(names: Sequence[str]) -> bool:
    """Tell whether a header names only the transactions that wait and those in front."""
    return any(set(pair) <= set(names) for pair in PAIRS_OF_IDS) and not is_waits(names)


def is_silent(names: Sequence[str]) -> bool:
    """Tell whether a header is one of a table beside these that says nothing about sessions."""
    return any(set(names) >= known for known in SILENT)


def is_evidence(names: Sequence[str]) -> bool:
    """Tell whether a header is of transactions or of waits."""
    return mysql_variables.is_header(names) and (
        is_transactions(names) or is_waits(names) or is_metadata(names) or set(names) >= BLOCKERS
    )


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is of transactions, of waits, or of a table that stands beside them."""
    return is_evidence(names) or is_pairs_of_ids(names) or is_silent(names)


def certainty(head: Head) -> float:
    """Return how sure a head shows transactions or lock waits of MySQL or MariaDB."""
    if not mysql_variables.mentions(
        head, "trx_mysql_thread_id", "waiting_", "requesting_", "who_blocks", "lock_status"
    ):
        return 0.0
    layout = tables.find(head.lines, is_evidence)
    return 0.93 * (0.4 + 0.6 * layout.fit) if layout is not None else 0.0


def read(reading: Reading) -> None:
    """Store a backend_sample for each session with a transaction, and for those that wait or are waited for."""
    transactions = Transactions(reading)
    blocks = mysql_status.Blocks(reading)
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, _accepts_any, KEEP | mysql_variables.KEEP):
            if accepts(frame.names):
                transactions.store(frame)
            else:
                blocks.store(con, frame)
        transactions.finish()
        blocks.finish()


def _accepts_any(names: Sequence[str]) -> bool:
    return accepts(names) or mysql_variables.accepts(names)


# Reading


@dataclass(slots=True)
class _Session:
    """What the tables of one instant say of one session."""

    line_no: int
    user: str | None = None
    host: str | None = None
    port: int | None = None
    database: str | None = None
    command: str | None = None
    started_at: datetime | None = None
    waiting_since_at: datetime | None = None
    state: str | None = None
    wait: str | None = None
    is_waiting: bool = False
    query: str | None = None
    blockers: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Instant:
    """The tables that belong to one instant: sessions by connection id, and how long each wait had lasted."""

    told_at: datetime | None = None
    server: str | None = None
    kinds: set[str] = field(default_factory=set)
    sessions: dict[int, _Session] = field(default_factory=dict)
    nameless: list[_Session] = field(default_factory=list)
    threads: dict[str, int] = field(default_factory=dict)
    waits: list[tuple[str, str]] = field(default_factory=list)
    ages: dict[tuple[int, int], float] = field(default_factory=dict)
    asked_at: datetime | None = None
    locks: list[tuple[int, str, str, str, int]] = field(default_factory=list)

    def session(self, backend_id: int, line_no: int) -> _Session:
        return self.sessions.setdefault(backend_id, _Session(line_no))


Cells = Mapping[str, str | None]


class Transactions:
    """Gathers the tables of one instant after the other and stores their sessions."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._now = _Instant()
        self._before_at: datetime | None = None
        self._before_ages: dict[tuple[int, int], float] = {}
        self._closed = 0
        self._moments: dict[str, datetime | None] = {}
        self._rows: list[tuple[int, datetime | None, str | None, int | None, _Session]] = []

    def store(self, frame: tables.Frame, near_at: datetime | None = None) -> None:
        """Read the rows of a frame whose header `accepts`; `near_at` is the time of what stands just before it."""
        names = frame.names
        ledger = self.reading.ledger
        if is_silent(names) and not is_evidence(names):
            ledger.ignored += tables.lines_of(frame.rows)
            return
        kind, aliases = _kind(names)
        found = tables.match(names, aliases)
        columns = [frame.rows[f"c{index}"].to_pylist() for index in found.values()]
        bad = []
        for row, (line_no, lines, anew, told, *cells) in enumerate(
            zip(
                *(frame.rows[column].to_pylist() for column in ("line_no", "lines", "anew", "told")),
                *columns,
                strict=True,
            )
        ):
            values = dict(zip(found, cells, strict=True))
            told_at = self._moment(values.get("sampled_at") or told)
            if told is not None:
                mysql_variables.note_zone(self.reading)
            self._turn(kind, anew, told_at, near_at)
            self._now.server = values.get("server") or self._now.server
            if self._take(kind, line_no, values):
                ledger.understood += lines
            else:
                bad.append(row)
        if bad:
            tables.reject(ledger, frame.rows.take(pa.array(bad, pa.int64())))

    def finish(self) -> None:
        """Store what is still held."""
        self._close(is_last=True)
        self._flush()

    def _turn(self, kind: str, anew: bool, told_at: datetime | None, near_at: datetime | None) -> None:
        """Begin another instant where a table of a kind already seen begins, or another time stands."""
        now = self._now
        is_other = told_at is not None and now.told_at is not None and told_at != now.told_at
        if now.kinds and ((anew and kind in now.kinds) or is_other):
            self._close(is_last=False)
            now = self._now
        now.kinds.add(kind)
        now.told_at = now.told_at or told_at or near_at

    def _take(self, kind: str, line_no: int, values: Cells) -> bool:
        """Read one row; say whether it makes sense."""
        match kind:
            case "transactions":
                return self._take_transaction(line_no, values)
            case "waits":
                return self._take_wait(line_no, values)
            case "ids":
                waiter, blocker = values["waiter"], values["blocker"]
                if waiter is None or blocker is None:
                    return False
                self._now.waits.append((waiter, blocker))
                return True
            case "metadata":
                return self._take_lock(line_no, values)
            case _:
                told = _THREAD.match(values["who_blocks"] or "")
                if told is None:
                    return values["who_blocks"] is None
                session = self._now.session(int(told.group(1)), line_no)
                session.host, session.port = place(told.group(2))
                if (_number(values.get("idle")) or 0) > 0:
                    session.state = session.state or "idle in transaction"
                return True

    def _take_transaction(self, line_no: int, values: Cells) -> bool:
        backend_id = _whole(values.get("backend_id"))
        if backend_id is None:
            return False
        # Thread 0 is the server's own: a transaction recovered or prepared, whose session is gone.
        session = _Session(line_no)
        if backend_id:
            session = self._now.session(backend_id, line_no)
        else:
            self._now.nameless.append(session)
        if values.get("trx_id") is not None:
            self._now.threads[str(values["trx_id"])] = backend_id
        session.started_at = self._moment(values.get("started"))
        session.is_waiting = values.get("trx_state") == "LOCK WAIT"
        session.waiting_since_at = self._moment(values.get("wait_started"))
        session.query = values.get("query")
        session.user, session.database, session.command = (
            values.get("user"),
            values.get("database"),
            values.get("command"),
        )
        session.host, session.port = place(values.get("host"))
        session.wait = values.get("operation") or values.get("trx_state")
        is_idle = session.query is None and not session.is_waiting and values.get("command") in (None, "Sleep")
        session.state = "idle in transaction" if is_idle and "query" in values else "active"
        return True

    def _take_wait(self, line_no: int, values: Cells) -> bool:
        waiter_id, blocker_id = _whole(values.get("waiter")), _whole(values.get("blocker"))
        if waiter_id is None:
            return False
        waiter = self._now.session(waiter_id, line_no)
        waiter.is_waiting, waiter.state = True, "active"
        waiter.query = waiter.query or values.get("waiter_query")
        waiter.started_at = waiter.started_at or self._moment(values.get("waiter_started"))
        waiter.waiting_since_at = waiter.waiting_since_at or self._moment(values.get("wait_started"))
        _account(waiter, values.get("waiter_account"))
        age = _number(values.get("age"))
        if age is not None and blocker_id is not None:
            self._now.ages[(waiter_id, blocker_id)] = age
        if age is not None and values.get("wait_started") and waiter.waiting_since_at is not None:
            asked_at = waiter.waiting_since_at + timedelta(seconds=age)
            self._now.asked_at = max(self._now.asked_at or asked_at, asked_at)
        if blocker_id is None or blocker_id == waiter_id:
            return True
        waiter.blockers.add(blocker_id)
        blocker = self._now.session(blocker_id, line_no)
        blocker.query = blocker.query or values.get("blocker_query")
        blocker.started_at = blocker.started_at or self._moment(values.get("blocker_started"))
        _account(blocker, values.get("blocker_account"))
        if values.get("blocker_host"):
            blocker.host, blocker.port = values["blocker_host"], _whole(values.get("blocker_port"))
        if blocker.state is None and "blocker_query" in values:
            blocker.state = "active" if blocker.query else "idle in transaction"
        return True

    def _take_lock(self, line_no: int, values: Cells) -> bool:
        backend_id = _whole(values["backend_id"])
        mode, status = values["lock_type"], values["lock_status"]
        if mode is None or status is None:
            return False
        if backend_id is not None and values["object_type"] == "TABLE":
            place_ = f"{values.get('object_schema')}.{values['object_name']}"
            self._now.locks.append((backend_id, place_, mode, status, line_no))
        return True

    def _moment(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        if text not in self._moments:
            zone = self.reading.options.timezone
            if len(self._moments) > tables.FRAME_ROWS:
                self._moments.clear()
            self._moments[text] = times.parse(text, zone)
            if self._moments[text] is not None and times.is_zoneless([text]):
                self.reading.ledger.assume(times.zone_assumed(zone))
        return self._moments[text]

    def _close(self, *, is_last: bool) -> None:
        """Turn what is known of the open instant into rows."""
        now, self._now = self._now, _Instant()
        _wait_for_metadata(now)
        for waiter_trx, blocker_trx in now.waits:
            waiter, blocker = now.threads.get(waiter_trx), now.threads.get(blocker_trx)
            if waiter and blocker:
                now.sessions[waiter].blockers.add(blocker)
        if not now.sessions and not now.nameless:
            return
        moment = self._dated(now, is_sole=is_last and not self._closed)
        self._closed += 1
        self._before_at, self._before_ages = moment, now.ages
        self.reading.ledger.saw(moment, moment)
        self._rows += [
            (session.line_no, moment, now.server, backend_id, session) for backend_id, session in now.sessions.items()
        ]
        self._rows += [(session.line_no, moment, now.server, None, session) for session in now.nameless]
        if len(self._rows) > tables.FRAME_ROWS:
            self._flush()

    def _dated(self, now: _Instant, *, is_sole: bool) -> datetime | None:
        """Return when the tables were read, and say how that is known."""
        ledger = self.reading.ledger
        if now.told_at is not None:
            return now.told_at
        if now.asked_at is not None:
            ledger.assume("the sample time is the start of a lock wait and its age, as the rows tell them")
            return now.asked_at
        sessions = [*now.sessions.values(), *now.nameless]
        told = [moment for one in sessions for moment in (one.started_at, one.waiting_since_at) if moment is not None]
        latest = max(told, default=None)
        if self._before_at is not None:
            grown = [age - self._before_ages[pair] for pair, age in now.ages.items() if pair in self._before_ages]
            if grown and min(grown) >= 0:
                ledger.assume("times of later samples come from the growth of lock waits that stand in both")
                return self._before_at + timedelta(seconds=sorted(grown)[len(grown) // 2])
            ledger.assume("later samples have no time: that of the one before, or of a later start, is a lower bound")
            return max(self._before_at, latest or self._before_at)
        named_at = times.in_name(self.reading.head.name, self.reading.options.timezone)
        if named_at is not None and (latest is None or (latest - named_at).total_seconds() <= NAME_AHEAD_S):
            which = "the sample time" if is_sole else "the first sample's time"
            ledger.assume(f"{which} {named_at:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
            return named_at
        if latest is None:
            ledger.assume("nothing tells when the snapshot was taken: it has no sample time")
            return None
        ledger.assume(
            "the rows bear no sample time: the latest start of a transaction or a wait is taken for it, a lower bound"
        )
        return latest

    def _flush(self) -> None:
        if not self._rows:
            return
        held, self._rows = sorted(self._rows, key=lambda row: row[0]), []
        numbers, moments, servers, ids, sessions = zip(*held, strict=True)

        def column(name: str, type_: pa.DataType) -> pa.Array:
            return pa.array([getattr(session, name) for session in sessions], type_)

        table = pa.table(
            {
                "line_no": pa.array(numbers, pa.int64()),
                "sampled_at": pa.array(moments, pa.timestamp("us")),
                "backend_id": pa.array(ids, pa.int64()),
                "user_name": column("user", pa.string()),
                "database_name": column("database", pa.string()),
                "client_host": column("host", pa.string()),
                "client_port": column("port", pa.int32()),
                "backend_type": pa.array([BACKEND_TYPE] * len(held), pa.string()),
                "xact_start_at": column("started_at", pa.timestamp("us")),
                "state_change_at": column("waiting_since_at", pa.timestamp("us")),
                "state": column("state", pa.string()),
                "command": column("command", pa.string()),
                "wait_event_type": pa.array(["Lock" if one.is_waiting else None for one in sessions], pa.string()),
                "wait_event": column("wait", pa.string()),
                "blocked_by": pa.array(
                    [",".join(map(str, sorted(one.blockers))) or None for one in sessions], pa.string()
                ),
                "query": column("query", pa.string()),
            }
        )
        if any(server is not None for server in servers):
            table = table.append_column("server", pa.array(servers, pa.string()))
        self.reading.insert("backend_sample", table)


def _kind(names: Sequence[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return what a header is of, and where its columns are found."""
    if is_transactions(names):
        return "transactions", TRANSACTION
    if is_waits(names):
        return "waits", WAIT
    if is_metadata(names):
        # The join stands beside the view's own columns; a table may be locked in a schema left out.
        columns = ("object_type", "object_schema", "object_name", "lock_type", "lock_status")
        return "metadata", {"backend_id": ("processlist_id",), **{name: (name,) for name in columns}}
    if set(names) >= BLOCKERS:
        return "blockers", {"who_blocks": ("who_blocks",), "idle": ("idle_in_trx",)}
    waiter, blocker = next(pair for pair in PAIRS_OF_IDS if set(pair) <= set(names))
    return "ids", {"waiter": (waiter,), "blocker": (blocker,)}


def _wait_for_metadata(now: _Instant) -> None:
    """Find who waits for a metadata lock, and who holds one of the same table that is in its way.

    An exclusive request waits for every holder; any other for holders of, and for earlier waiters for, an exclusive one.
    https://dev.mysql.com/doc/refman/8.4/en/metadata-locking.html
    """

    def is_exclusive(mode: str) -> bool:
        return mode != "INTENTION_EXCLUSIVE" and bool(EXCLUSIVE.search(mode))

    by_table: dict[str, list[tuple[int, str, str, int]]] = {}
    for backend_id, table, mode, status, line_no in now.locks:
        by_table.setdefault(table, []).append((backend_id, mode, status, line_no))
    for locks in by_table.values():
        granted = [(owner, mode, line_no) for owner, mode, status, line_no in locks if status == "GRANTED"]
        pending = [(owner, mode, line_no) for owner, mode, status, line_no in locks if status == "PENDING"]
        for owner, mode, line_no in pending:
            waiter = now.session(owner, line_no)
            waiter.is_waiting, waiter.state = True, "active"
            waiter.wait = waiter.wait or "Waiting for table metadata lock"
            if is_exclusive(mode):
                in_front = granted
            else:
                in_front = [lock for lock in (*granted, *pending) if is_exclusive(lock[1])]
            for other, _, other_line in in_front:
                if other != owner:
                    waiter.blockers.add(other)
                    now.session(other, other_line)


def place(host: str | None) -> tuple[str | None, int | None]:
    """Return address and port of a process list's Host: an address and a port, a name alone for a socket.

    >>> place("10.0.0.1:54321"), place("localhost"), place("::1:5000"), place("connecting host")
    (('10.0.0.1', 54321), ('[local]', None), ('::1', 5000), (None, None))
    """
    if host is None or host in ("", "connecting host"):
        return None, None
    told = re.match(r"^\[?(.*?)\]?:(\d{1,5})$", host)
    if told is not None and int(told.group(2)) < 65536:
        return told.group(1), int(told.group(2))
    return ("[local]" if host == "localhost" else host), None


def _account(session: _Session, account: str | None) -> None:
    """Take user and host from an account as sys writes it: user@host."""
    if account is not None and session.user is None:
        user, parted, host = account.rpartition("@")
        session.user = user if parted else account
        session.host = session.host or (host or None)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text) else None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,12}(?:\.\d+)?", text) else None


TRX = """\
trx_id\ttrx_state\ttrx_started\ttrx_requested_lock_id\ttrx_wait_started\ttrx_mysql_thread_id\ttrx_query\ttrx_operation_state
25\tLOCK WAIT\t2026-11-21 03:12:01\t25:5:3:2\t2026-11-21 03:12:02\t10\tUPDATE t SET v=v+2\tstarting index read
23\tRUNNING\t2026-11-21 03:11:00\tNULL\tNULL\t8\tNULL\t
"""

WAITS = """\
mysql> SELECT wait_started, wait_age_secs, waiting_trx_started, waiting_pid, waiting_query, blocking_pid, blocking_query,
    -> blocking_trx_started FROM sys.innodb_lock_waits;
+---------------------+---------------+---------------------+-------------+-------------------+--------------+----------------+----------------------+
| wait_started        | wait_age_secs | waiting_trx_started | waiting_pid | waiting_query     | blocking_pid | blocking_query | blocking_trx_started |
+---------------------+---------------+---------------------+-------------+-------------------+--------------+----------------+----------------------+
| 2026-11-21 03:12:00 |             5 | 2026-11-21 03:12:00 |          10 | UPDATE t SET v=2  |            9 | UPDATE t SET v | 2026-11-21 03:11:59  |
| 2026-11-21 03:12:00 |             5 | 2026-11-21 03:12:00 |          10 | UPDATE t SET v=2  |            8 | NULL           | 2026-11-21 03:11:00  |
| 2026-11-21 03:11:59 |             6 | 2026-11-21 03:11:59 |           9 | UPDATE t SET v    |            8 | NULL           | 2026-11-21 03:11:00  |
+---------------------+---------------+---------------------+-------------+-------------------+--------------+----------------+----------------------+
3 rows in set (0.01 sec)
"""

FORMAT = Format(
    name="mysql_innodb_trx",
    engine="mysql",
    tables=("backend_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            TRX,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:04", "engine": "mysql", "backend_id": 10,
                     "backend_type": "innodb transaction", "xact_start_at": "2026-11-21T03:12:01",
                     "state_change_at": "2026-11-21T03:12:02", "state": "active", "wait_event_type": "Lock",
                     "wait_event": "starting index read", "query": "UPDATE t SET v=v+2", "blocked_by": None},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:04", "backend_id": 8, "state": "idle in transaction",
                     "xact_start_at": "2026-11-21T03:11:00", "wait_event_type": None, "query": None},
                )
            },
            name="2026_11_21_03_12_04-transactions",
        ),
        Sample(
            WAITS,
            {
                "backend_sample": (
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:05", "backend_id": 9, "state": "active",
                     "blocked_by": "8", "wait_event_type": "Lock", "query": "UPDATE t SET v"},
                    {"line_no": 6, "backend_id": 10, "state": "active", "blocked_by": "8,9",
                     "state_change_at": "2026-11-21T03:12:00", "xact_start_at": "2026-11-21T03:12:00"},
                    {"line_no": 7, "sampled_at": "2026-11-21T03:12:05", "backend_id": 8, "state": "idle in transaction",
                     "xact_start_at": "2026-11-21T03:11:00", "blocked_by": None},
                )
            },
            name="waits.txt",
        ),
    ),
)  # fmt: skip
