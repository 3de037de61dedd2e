"""MySQL and MariaDB, watched through one held connection: sessions, transactions, lock waits, counters, limits.

User: `GRANT PROCESS ON *.*`, and for the rest `SELECT ON performance_schema.*` and
`SELECT (user, host, max_user_connections) ON mysql.user`. Which of it is missing is found out at the start by asking,
and said. Sessions are read from performance_schema.processlist where there is one, which takes no global mutex
(https://dev.mysql.com/doc/refman/8.4/en/performance-schema-processlist-table.html), else with SHOW FULL PROCESSLIST:
information_schema.processlist builds a temporary table on disk for each answer (4 ms for 500 sessions of MariaDB 10.11,
where SHOW takes 0.3 ms).

A full server lets in one more user with CONNECTION_ADMIN or SUPER; MariaDB's `extra_port` and MySQL's `admin_port` are a
door of their own: named as `?extra_port=N`, it is tried when the usual one says 1040.

The statements of a sample go in one round trip. The session is read-only, its statements and lock waits have timeouts.
Row locks and metadata locks are read only while somebody waits for one: reading them is not free.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from connforensics.record.mysql_console import Console
from connforensics.record.secrets import sounds_secret, withhold
from connforensics.record.target import (
    COUNTERS_EVERY_S,
    GAUGES,
    LIMITS_EVERY_S,
    LOCK_TIMEOUT_S,
    LOCKS_SHARE,
    STATEMENT_TIMEOUT_S,
    Due,
    Gauge,
    LostError,
    MissedError,
    RefusedError,
    Rows,
    Sample,
)

CLOCK: Final = "SELECT UTC_TIMESTAMP(6) AS sampled_at, @@global.max_connections AS usable"

DONE: Final = "SELECT UTC_TIMESTAMP(6)"

WAYS: Final[Mapping[str, Sequence[str]]] = {
    "processlist": ("SELECT * FROM performance_schema.processlist", "SHOW FULL PROCESSLIST"),
    "transactions": (
        "SELECT t.*, UTC_TIMESTAMP() - INTERVAL TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) SECOND AS trx_since"
        " FROM information_schema.innodb_trx AS t",
    ),
    "row_locks": (
        "SELECT w.*, r.processlist_id AS waiting_id, b.processlist_id AS blocking_id"
        " FROM performance_schema.data_lock_waits AS w"
        " JOIN performance_schema.threads AS r ON r.thread_id = w.requesting_thread_id"
        " JOIN performance_schema.threads AS b ON b.thread_id = w.blocking_thread_id",
        "SELECT w.*, r.trx_mysql_thread_id AS waiting_id, b.trx_mysql_thread_id AS blocking_id"
        " FROM information_schema.innodb_lock_waits AS w"
        " JOIN information_schema.innodb_trx AS r ON r.trx_id = w.requesting_trx_id"
        " JOIN information_schema.innodb_trx AS b ON b.trx_id = w.blocking_trx_id",
    ),
    "metadata_locks": (
        "SELECT m.*, t.processlist_id FROM performance_schema.metadata_locks AS m"
        " JOIN performance_schema.threads AS t ON t.thread_id = m.owner_thread_id"
        " WHERE t.processlist_id IS NOT NULL",
        "SELECT * FROM information_schema.metadata_lock_info",
    ),
    "status": (
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Uptime', 'Connections', 'Max_used_connections', 'Questions',"
        " 'Slow_queries', 'Access_denied_errors') OR Variable_name LIKE 'Threads%' OR Variable_name LIKE 'Aborted%'"
        " OR Variable_name LIKE 'Connection_errors%' OR Variable_name LIKE 'Innodb_row_lock%'",
    ),
    "variables": ("SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE 'gtid%'",),
    "users": ("SELECT user, host, max_user_connections FROM mysql.user WHERE max_user_connections > 0",),
}
"""What is read, each in the ways servers offer it: the first that works is kept."""

TELLS_METADATA_LOCKS: Final = (
    "SELECT @@global.performance_schema + COUNT(*) AS told FROM performance_schema.setup_instruments"
    " WHERE name = 'wait/lock/metadata/sql/mdl' AND enabled = 'YES'"
)
"""2 where performance_schema.metadata_locks has rows: the instrument is off by default in MySQL 5.7 and MariaDB."""

EPOCH: Final = datetime(1970, 1, 1)
LONGEST_S: Final = 315_360_000
"""Ten years: a session that is in its state for longer has a wrapped counter of a thread that never had one."""

LOST: Final[Mapping[str, str]] = {
    "transactions": "open transactions are not seen, so idle in transaction looks like idle (GRANT PROCESS ON *.*)",
    "row_locks": "who waits for whose row lock is not seen (GRANT PROCESS ON *.*, SELECT ON performance_schema.*)",
    "metadata_locks": "who waits for whose metadata lock is not seen (from MySQL 5.7 and MariaDB 10.5 on: GRANT SELECT ON"
    " performance_schema.*, performance_schema and its instrument wait/lock/metadata/sql/mdl switched on)",
    "users": "quotas of users are not seen (GRANT SELECT (user, host, max_user_connections) ON mysql.user)",
    "status": "counters of refused and aborted connections are not seen",
    "variables": "limits and timeouts are not seen",
}
"""What is lost where none of the ways works."""

HOLDERS_ONLY: Final = "of metadata locks only the holders are seen (metadata_lock_info), not who waits for them: that takes performance_schema"

STEADY: Final[tuple[str, ...]] = ("variables", "users")
ON_DEMAND: Final = {"row_locks": ("LOCK WAIT",), "metadata_locks": ("metadata lock",)}

SESSION: Final = (
    "SET SESSION TRANSACTION READ ONLY",
    f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT_S:.0f}",
    f"SET SESSION max_execution_time = {STATEMENT_TIMEOUT_S * 1000:.0f}",
    f"SET SESSION max_statement_time = {STATEMENT_TIMEOUT_S:.0f}",
    "SET SESSION wait_timeout = 86400",
)
"""Each where the server knows it: max_execution_time is MySQL's, max_statement_time MariaDB's."""

SECRET_VARIABLES: Final = ("wsrep_sst_auth", "init_connect", "init_slave", "init_replica", "wsrep_provider_options")

NO_CLIENT: Final = ("system user", "event_scheduler")
TOO_MANY: Final = 1040


class MySQL:
    """One MySQL or MariaDB server; see `Target`."""

    def __init__(self, name: str, parameters: Mapping[str, str], defaults_file: Path | None = None) -> None:
        self.name = name
        self.engine = "mysql"
        self.version: str | None = None
        self.own: int | None = None
        self.place: str | None = None
        self.gauges = GAUGES
        self._console = Console(parameters, defaults_file, 3306)
        self._extra_port = parameters.get("extra_port")
        self._ways: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._limits = Due()
        self._status = Due()
        self._locks = Due()
        self._refused: float | None = None
        self._since: dict[int, int] = {}

    def connect(self) -> list[str]:
        """Open the connection; returns what this user cannot see and how it got in."""
        notes = []
        try:
            connection = self._console.open()
        except RefusedError as error:
            if error.code != str(TOO_MANY) or not self._extra_port:
                raise
            connection = self._console.open(self._extra_port)
            notes.append(f"the server is full ({error.text}): got in by port {self._extra_port}")
        self.engine, self.version = product(str(connection.get_server_info()))
        self.own = connection.thread_id()
        self.place = self._console.place
        self._ask_for_all()
        self._refused = None
        for statement in SESSION:
            self._console.run(statement)
        return [*notes, *self._find_ways(was_full=bool(notes))]

    def _find_ways(self, was_full: bool) -> list[str]:
        notes = []
        self._ways = {}
        for stream, ways in WAYS.items():
            for way in ways:
                with contextlib.suppress(MissedError):
                    found = self._fetch({stream: way})[stream]
                    if stream == "processlist" and self.own not in found.column("id"):
                        continue  # performance_schema is switched off
                    if stream == "metadata_locks":
                        if way == ways[0] and self._fetch({stream: TELLS_METADATA_LOCKS})[stream].values != [(2,)]:
                            continue
                        if way == ways[1]:
                            notes.append(HOLDERS_ONLY)
                    self._ways[stream] = way
                    break
            else:
                notes.append(LOST.get(stream, f"{stream} is not seen"))
        if "processlist" not in self._ways:
            raise LostError("this user cannot read the list of sessions")
        if "transactions" not in self._ways:
            notes.insert(
                0, "this user lacks PROCESS: it sees its own sessions and nobody else's (GRANT PROCESS ON *.*)"
            )
        in_use, usable = self._occupancy(self._fetch({"clock": CLOCK, "processlist": self._ways["processlist"]}))
        if not was_full and in_use > usable:
            notes.append(
                f"the server was full ({in_use:.0f} of {usable:.0f}): got in by the slot kept for an administrator"
            )
        return notes

    def _fetch(self, statements: Mapping[str, str]) -> dict[str, Rows]:
        """Return rows with their columns in lower case: the same column is ID in one version and id in the next."""
        found = self._console.fetch(statements)
        return {name: Rows(tuple(map(str.lower, rows.columns)), rows.values) for name, rows in found.items()}

    @staticmethod
    def _occupancy(found: Mapping[str, Rows]) -> tuple[float, float]:
        users, commands = found["processlist"].column("user"), found["processlist"].column("command")
        clients = sum(
            user not in NO_CLIENT and command != "Daemon" for user, command in zip(users, commands, strict=True)
        )
        return float(clients), float(found["clock"].values[0][1])

    def sample(self) -> Sample:
        """Take one sample: sessions and transactions; lock waits, counters and limits when they are due."""
        asks_for_locks = bool(self._wanted) and self._locks.has_come()
        streams = ["processlist", "transactions", *(self._wanted if asks_for_locks else ())]
        if self._status.has_come():
            streams.append("status")
            self._status.again_in(COUNTERS_EVERY_S)
        if self._limits.has_come():
            streams += STEADY
            self._limits.again_in(LIMITS_EVERY_S)
        try:
            known = {name: self._ways[name] for name in streams if name in self._ways}
            found = self._fetch({"clock": CLOCK, **known, "done": DONE})
        except MissedError:
            self._ask_for_all()
            raise
        taken = self._sample(found)
        if asks_for_locks and taken.server_ms is not None:
            self._locks.again_in(taken.server_ms / 1000 / LOCKS_SHARE)
        return taken

    def _ask_for_all(self) -> None:
        self._limits.at_once()
        self._status.at_once()

    def _sample(self, found: dict[str, Rows]) -> Sample:
        in_use, usable = self._occupancy(found)
        sampled_at = datetime.fromisoformat(str(found.pop("clock").values[0][0]))
        server_s = (datetime.fromisoformat(str(found.pop("done").values[0][0])) - sampled_at).total_seconds()
        begun = found["transactions"].pairs("trx_mysql_thread_id", "trx_since") if "transactions" in found else {}
        blockers = _blockers(found.get("row_locks"), found.get("metadata_locks"))
        sessions = self._with_since(found["processlist"], sampled_at)
        ids, commands = sessions.column("id"), sessions.column("command")
        found["processlist"] = sessions.beside(
            ("trx_since", "blocked_by"), ((begun.get(number), blockers.get(number)) for number in ids)
        )
        states = sessions.column("state")
        transaction_states = found["transactions"].column("trx_state") if "transactions" in found else []
        seen = {str(text) for text in (*states, *transaction_states) if text}
        self._wanted = {
            stream for stream, signs in ON_DEMAND.items() if any(sign in text for sign in signs for text in seen)
        }
        resting = [
            (sampled_at - datetime.fromisoformat(str(begun[number]))).total_seconds()
            for number, command in zip(ids, commands, strict=True)
            if command == "Sleep" and begun.get(number)
        ]
        waiting = sum(state == "LOCK WAIT" for state in transaction_states) + sum(
            "lock" in (text or "") for text in states
        )
        gauges: dict[Gauge, float] = {
            "connections": in_use,
            "usable": usable,
            "idle_in_transaction_age": max(resting, default=0.0),
            "waiting": float(waiting),
        }
        started_at = None
        if "status" in found:
            status = found["status"].pairs("variable_name", "value")
            started_at = sampled_at - timedelta(seconds=int(status.get("Uptime", 0))) if "Uptime" in status else None
            gauges |= self._fresh_refusals(status)
        steady = {name: found.pop(name) for name in STEADY if name in found}
        if "variables" in steady:
            steady["variables"] = withhold(steady["variables"], "variable_name", ("value",), is_secret)
        return Sample(sampled_at, found, gauges, started_at, steady, server_s * 1000, is_start_rough=True)

    def _with_since(self, sessions: Rows, sampled_at: datetime) -> Rows:
        """Return sessions with `since`, when they came into their state, instead of `time`, for how many seconds they have been.

        What rests stays the same row from sample to sample, and costs next to nothing. The seconds are whole ones, so that
        a time within one of what was told before is the same time.
        """
        place = sessions.columns.index("time")
        number = sessions.columns.index("id")
        second = int((sampled_at - EPOCH).total_seconds())
        before, self._since = self._since, {}
        rows = []
        for row in sessions.values:
            since = None
            if row[place] is not None and 0 <= row[place] <= LONGEST_S:
                at = second - row[place]
                held = before.get(row[number], at)
                at = self._since[row[number]] = held if abs(at - held) <= 1 else at
                since = _time(at)
            rows.append((*row[:place], since, *row[place + 1 :]))
        return Rows((*sessions.columns[:place], "since", *sessions.columns[place + 1 :]), rows)

    def _fresh_refusals(self, status: Mapping[Any, Any]) -> dict[Gauge, float]:
        """Return how many more were refused than the counters knew before; each counter alone undercounts."""
        told = float(status.get("Connection_errors_max_connections", 0)) + float(status.get("Aborted_connects", 0))
        before, self._refused = self._refused, told
        return {} if before is None else {"refusals": max(told - before, 0.0)}

    def abort(self) -> None:
        """Cut the connection."""
        self._console.abort()

    def close(self) -> None:
        """Close the connection."""
        self._console.close()


@lru_cache(maxsize=4096)
def _time(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat(" ")


def product(told: str) -> tuple[str, str]:
    """Return engine and version of what a server calls itself.

    >>> product("5.5.5-10.11.19-MariaDB-0+deb12u1-log"), product("8.4.3")
    (('mariadb', '10.11.19'), ('mysql', '8.4.3'))
    """
    engine = "mariadb" if "mariadb" in told.lower() else "mysql"
    if engine == "mariadb":
        # Old clients took a 10 for a 1: https://mariadb.com/kb/en/version/
        told = told.removeprefix("5.5.5-")
    return engine, told.partition("-")[0]


def _blockers(row_locks: Rows | None, metadata_locks: Rows | None) -> dict[int, str]:
    """Return of each waiting session the ones in front of it, comma separated."""
    found: dict[int, set[int]] = {}
    if row_locks is not None:
        for waiting, blocking in zip(row_locks.column("waiting_id"), row_locks.column("blocking_id"), strict=True):
            found.setdefault(waiting, set()).add(blocking)
    if metadata_locks is not None and "lock_status" in metadata_locks.columns:
        holders: dict[tuple[Any, ...], set[int]] = {}
        waiters: list[tuple[tuple[Any, ...], int]] = []
        parts = ("object_type", "object_schema", "object_name", "lock_status", "processlist_id")
        for *place, status, number in zip(*(metadata_locks.column(part) for part in parts), strict=True):
            if status == "GRANTED":
                holders.setdefault(tuple(place), set()).add(number)
            else:
                waiters.append((tuple(place), number))
        for spot, number in waiters:
            found.setdefault(number, set()).update(holders.get(spot, set()))
    return {number: ",".join(map(str, sorted(others - {number}))) for number, others in found.items()}


def is_secret(name: str) -> bool:
    """Tell whether the value of a variable may be a password or a key."""
    return name.lower() in SECRET_VARIABLES or sounds_secret(name)
