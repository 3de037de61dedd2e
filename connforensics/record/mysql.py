"""MySQL and MariaDB, watched through one held connection: sessions, transactions, lock waits, counters, limits.

User: `GRANT PROCESS ON *.*`, and for the rest `SELECT ON performance_schema.*` and
`SELECT (user, host, max_user_connections) ON mysql.user`. Which of it is missing is found out at the start by asking,
and said. Sessions are read from performance_schema.processlist where there is one, which takes no global mutex
(https://dev.mysql.com/doc/refman/8.4/en/performance-schema-processlist-table.html), else from information_schema.

A full server lets in one more user with CONNECTION_ADMIN or SUPER; MariaDB's `extra_port` and MySQL's `admin_port` are a
door of their own: named as `?extra_port=N`, it is tried when the usual one says 1040.

The statements of a sample go in one round trip. The session is read-only, its statements and lock waits have timeouts.
Row locks and metadata locks are read only while somebody waits for one: reading them is not free.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from connforensics.record.postgres import SECRET_NAME, WITHHELD, cut
from connforensics.record.target import (
    ANSWER_TIMEOUT_S,
    APPLICATION,
    CONNECT_TIMEOUT_S,
    COUNTERS_EVERY_S,
    LIMITS_EVERY_S,
    LOCK_TIMEOUT_S,
    LOCKS_SHARE,
    STATEMENT_TIMEOUT_S,
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
    "processlist": ("SELECT * FROM performance_schema.processlist", "SELECT * FROM information_schema.processlist"),
    "transactions": (
        "SELECT t.*, TIMESTAMPDIFF(MICROSECOND, t.trx_started, NOW(6)) / 1000000 AS trx_age_s"
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

LOST: Final[Mapping[str, str]] = {
    "transactions": "open transactions are not seen, so idle in transaction looks like idle (GRANT PROCESS ON *.*)",
    "row_locks": "who waits for whose row lock is not seen (GRANT PROCESS ON *.*, SELECT ON performance_schema.*)",
    "metadata_locks": "who waits for whose metadata lock is not seen (GRANT SELECT ON performance_schema.*)",
    "users": "quotas of users are not seen (GRANT SELECT (user, host, max_user_connections) ON mysql.user)",
    "status": "counters of refused and aborted connections are not seen",
    "variables": "limits and timeouts are not seen",
}
"""What is lost where none of the ways works."""

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

REFUSALS: Final[Mapping[int, str]] = {
    1040: "refused_full",
    1203: "refused_quota",
    1226: "refused_quota",
    1053: "refused_state",
    1045: "auth_failed",
    1698: "auth_failed",
    1044: "unknown_target",
    1049: "unknown_target",
    1129: "refused_rule",
    1130: "refused_rule",
    1251: "refused_rule",
    3159: "refused_rule",
}
"""Error numbers of a failed connect (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html)."""

NO_CLIENT: Final = ("system user", "event_scheduler")
TOO_MANY: Final = 1040


class Console:
    """One connection that speaks MySQL's protocol: to a server, or to ProxySQL's admin port."""

    def __init__(self, parameters: Mapping[str, str], defaults_file: Path | None, port: int) -> None:
        self._parameters = parameters
        self._defaults_file = defaults_file
        self._port = port
        self._connection: Any = None

    def open(self, port: str | None = None) -> Any:
        """Connect; `port` instead of the usual one. Raises RefusedError and LostError."""
        import pymysql  # type: ignore[import-untyped]

        self.close()
        given = dict(self._parameters)
        given.pop("extra_port", None)
        more: dict[str, Any] = {
            name: given[name] for name in ("user", "host", "database", "unix_socket") if name in given
        }
        more |= {name: given[name] for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in given}
        for name in ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"):
            if name in given:
                more[name] = given[name].lower() in ("1", "true", "yes", "on")
        file = self._defaults_file or Path("~/.my.cnf").expanduser()
        if file.is_file():
            more["read_default_file"] = str(file)
        if "MYSQL_PWD" in os.environ:
            more["password"] = os.environ["MYSQL_PWD"]
        if port or given.get("port") or "read_default_file" not in more:
            more["port"] = int(port or given.get("port") or self._port)
        try:
            self._connection = pymysql.connect(
                **more,
                autocommit=True,
                charset="utf8mb4",
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=ANSWER_TIMEOUT_S,
                write_timeout=ANSWER_TIMEOUT_S,
                program_name=APPLICATION,
                client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
                conv=_readers(),
            )
        except pymysql.MySQLError as error:
            raise refusal(error) from None
        except OSError as error:
            raise LostError(f"{error.filename or more.get('host', '')}: {error.strerror or error}") from None
        except (RuntimeError, UnicodeDecodeError) as error:
            raise LostError(str(error)) from None
        return self._connection

    def fetch(self, statements: Mapping[str, str]) -> dict[str, Rows]:
        """Return the rows of several statements, asked in one round trip, with their columns as the server names them.

        Raises LostError and MissedError.
        """
        import pymysql

        if self._connection is None:
            raise LostError("not connected")
        found = {}
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("; ".join(statements.values()))
                for name in statements:
                    found[name] = Rows(tuple(column[0] for column in cursor.description), list(cursor.fetchall()))
                    cursor.nextset()
        except (pymysql.MySQLError, OSError) as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else None
            if not self._connection.open or code is None or 2000 <= code < 3000 or code in (1053, 1927, 3169):
                self.close()
                raise LostError(_said(error), _number(error)) from None
            raise MissedError(_said(error), _number(error)) from None
        except UnicodeDecodeError:
            self._connection.use_unicode = False
            raise MissedError("a statement is in an encoding of its own; reading bytes from now on") from None
        return found

    def run(self, statement: str) -> bool:
        """Run a statement that may not be known here; returns whether it was."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
        except Exception:
            if not self._connection.open:
                raise LostError("the connection was closed while it was being set up") from None
            return False
        return True

    def abort(self) -> None:
        """Cut the connection; the thread that waits for it ends with LostError."""
        with contextlib.suppress(Exception):
            cut(self._connection._sock.fileno())

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


class MySQL:
    """One MySQL or MariaDB server; see `Target`."""

    def __init__(self, name: str, parameters: Mapping[str, str], defaults_file: Path | None = None) -> None:
        self.name = name
        self.engine = "mysql"
        self.version: str | None = None
        self.own: int | None = None
        self._console = Console(parameters, defaults_file, 3306)
        self._extra_port = parameters.get("extra_port")
        self._ways: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._limits_due = 0.0
        self._status_due = 0.0
        self._locks_due = 0.0
        self._refused: float | None = None

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
        self._limits_due = self._status_due = 0.0
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
                    if stream == "processlist" and self.own not in _column(found, "id"):
                        continue  # performance_schema is switched off
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
        users, commands = _column(found["processlist"], "user"), _column(found["processlist"], "command")
        clients = sum(
            user not in NO_CLIENT and command != "Daemon" for user, command in zip(users, commands, strict=True)
        )
        return float(clients), float(found["clock"].values[0][1])

    def sample(self) -> Sample:
        """Take one sample: sessions and transactions; lock waits, counters and limits when they are due."""
        monotonic = time.monotonic()
        asks_for_locks = bool(self._wanted) and monotonic >= self._locks_due
        streams = ["processlist", "transactions", *(self._wanted if asks_for_locks else ())]
        if monotonic >= self._status_due:
            streams.append("status")
            self._status_due = monotonic + COUNTERS_EVERY_S
        if monotonic >= self._limits_due:
            streams += STEADY
            self._limits_due = monotonic + LIMITS_EVERY_S
        try:
            known = {name: self._ways[name] for name in streams if name in self._ways}
            found = self._fetch({"clock": CLOCK, **known, "done": DONE})
        except MissedError:
            self._limits_due = self._status_due = 0.0
            raise
        taken = self._sample(found)
        if asks_for_locks and taken.server_ms is not None:
            self._locks_due = time.monotonic() + taken.server_ms / 1000 / LOCKS_SHARE
        return taken

    def _sample(self, found: dict[str, Rows]) -> Sample:
        in_use, usable = self._occupancy(found)
        sampled_at = datetime.fromisoformat(str(found.pop("clock").values[0][0]))
        server_s = (datetime.fromisoformat(str(found.pop("done").values[0][0])) - sampled_at).total_seconds()
        ages = _pairs(found.get("transactions"), "trx_mysql_thread_id", "trx_age_s")
        blockers = _blockers(found.get("row_locks"), found.get("metadata_locks"))
        sessions = found["processlist"]
        ids, commands = _column(sessions, "id"), _column(sessions, "command")
        found["processlist"] = Rows(
            (*sessions.columns, "trx_age_s", "blocked_by"),
            [(*row, ages.get(number), blockers.get(number)) for row, number in zip(sessions.values, ids, strict=True)],
        )
        states = _column(sessions, "state")
        transaction_states = _column(found["transactions"], "trx_state") if "transactions" in found else []
        seen = {str(text) for text in (*states, *transaction_states) if text}
        self._wanted = {
            stream for stream, signs in ON_DEMAND.items() if any(sign in text for sign in signs for text in seen)
        }
        resting = [
            ages[number] for number, command in zip(ids, commands, strict=True) if command == "Sleep" and number in ages
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
            status = _pairs(found["status"], "variable_name", "value")
            started_at = sampled_at - timedelta(seconds=int(status.get("Uptime", 0))) if "Uptime" in status else None
            gauges |= self._fresh_refusals(status)
        steady: Mapping[str, Rows] = {name: _without_secrets(found.pop(name)) for name in STEADY if name in found}
        return Sample(sampled_at, found, gauges, started_at, steady, server_s * 1000)

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


def refusal(error: Exception) -> RefusedError | LostError:
    """Return what a failed connect means."""
    number = _number(error)
    reason = REFUSALS.get(int(number)) if number else None
    return RefusedError(reason, _said(error), number) if reason else LostError(_said(error), number)


def _number(error: Exception) -> str | None:
    return str(error.args[0]) if error.args and isinstance(error.args[0], int) and error.args[0] else None


def _said(error: Exception) -> str:
    number = _number(error)
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    return " ".join(f"{f'({number}) ' if number else ''}{text}".split()) or type(error).__name__


def _readers() -> dict[int, Callable[[Any], object]]:
    """Return how values are read: numbers as numbers, all else as the server writes it."""
    from pymysql.constants import FIELD_TYPE as TYPE  # type: ignore[import-untyped]

    whole = (TYPE.TINY, TYPE.SHORT, TYPE.INT24, TYPE.LONG, TYPE.LONGLONG, TYPE.YEAR)
    return {
        **dict.fromkeys(whole, int),
        **dict.fromkeys((TYPE.FLOAT, TYPE.DOUBLE, TYPE.NEWDECIMAL, TYPE.DECIMAL), float),
    }


def _column(rows: Rows, name: str) -> list[Any]:
    index = rows.columns.index(name)
    return [row[index] for row in rows.values]


def _pairs(rows: Rows | None, key: str, value: str) -> dict[Any, Any]:
    if rows is None:
        return {}
    return dict(zip(_column(rows, key), _column(rows, value), strict=True))


def _blockers(row_locks: Rows | None, metadata_locks: Rows | None) -> dict[int, str]:
    """Return of each waiting session the ones in front of it, comma separated."""
    found: dict[int, set[int]] = {}
    if row_locks is not None:
        for waiting, blocking in zip(_column(row_locks, "waiting_id"), _column(row_locks, "blocking_id"), strict=True):
            found.setdefault(waiting, set()).add(blocking)
    if metadata_locks is not None and "lock_status" in metadata_locks.columns:
        holders: dict[tuple[Any, ...], set[int]] = {}
        waiters: list[tuple[tuple[Any, ...], int]] = []
        parts = ("object_type", "object_schema", "object_name", "lock_status", "processlist_id")
        for *place, status, number in zip(*(_column(metadata_locks, part) for part in parts), strict=True):
            if status == "GRANTED":
                holders.setdefault(tuple(place), set()).add(number)
            else:
                waiters.append((tuple(place), number))
        for spot, number in waiters:
            found.setdefault(number, set()).update(holders.get(spot, set()))
    return {number: ",".join(map(str, sorted(others - {number}))) for number, others in found.items()}


def _without_secrets(rows: Rows) -> Rows:
    if "variable_name" not in rows.columns:
        return rows
    return Rows(rows.columns, [tuple(_shown(row)) for row in rows.values])


def _shown(row: tuple[Any, ...]) -> Iterable[Any]:
    name, value, *rest = row
    is_secret = str(name).lower() in SECRET_VARIABLES or SECRET_NAME.search(str(name)) is not None
    return (name, WITHHELD if is_secret and value else value, *rest)
