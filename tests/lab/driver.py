"""How a client talks to one engine: its driver, its words for the same work, its connections that keep their own books.

A service is the same on PostgreSQL and on MariaDB or MySQL; what differs is here. `of(door)` gives the driver for the
door it enters by. Connections are those of psycopg and pymysql: both speak DB-API with `%s`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import psycopg
import pymysql
from pymysql.constants import ER

from tests.lab.journal import Journal, refusal_kind

CONNECT_TIMEOUT_S = 5

MYSQL_KINDS = {
    ER.CON_COUNT_ERROR: "refused_full",
    ER.TOO_MANY_USER_CONNECTIONS: "refused_quota",
    ER.USER_LIMIT_REACHED: "refused_quota",
    ER.SERVER_SHUTDOWN: "refused_state",
    ER.ACCESS_DENIED_ERROR: "auth_failed",
    ER.HOST_IS_BLOCKED: "refused_rule",
    ER.HOST_NOT_PRIVILEGED: "refused_rule",
    2003: "nobody_listens",
    2013: "lost_at_start",
}
"""Error number of a failed connect to event kind (https://dev.mysql.com/doc/mysql-errors/8.4/en/)."""


@dataclass(frozen=True)
class Door:
    """Where and as whom the clients of a service enter.

    `source` is the address they come from: on MySQL alone, libpq has no such option.
    """

    engine: Literal["postgres", "mysql"]
    host: str
    port: int
    user: str
    database: str
    application: str
    source: str = ""


class Driver(Protocol):
    """What services ask of a driver. Statements take `%s`; times are seconds."""

    dialect: ClassVar[str]
    errors: ClassVar[tuple[type[Exception], ...]]
    look_up: ClassVar[str]
    take_time: ClassVar[str]
    change: ClassVar[str]
    pause: ClassVar[str]
    count_sessions: ClassVar[str]
    read_counters: ClassVar[str]

    def connect(self, *, autocommit: bool = False) -> Any:
        """One attempt to connect; noted in the journal of this process, whatever comes of it."""

    def session_id(self, connection: Any) -> int:
        """The server's number of a session."""

    def warm_up(self, connection: Any, per_session_s: float, per_busy_s: float) -> None:
        """A session's first query: it takes longer the more sessions of its kind there are, or are busy at it."""

    def wire(self, connection: Any) -> int:
        """The file descriptor of the socket."""


class WatchedConnection(psycopg.Connection):
    """A connection that notes its opening, its refusal and its end in the journal of its process."""

    journal: Journal
    _pid = 0

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> WatchedConnection:  # type: ignore[override]
        """Connect once; a failure is noted with its kind and raised."""
        try:
            connection = super().connect(conninfo, **options)
        except psycopg.OperationalError as error:
            cls.journal.write("refused", kind=refusal_kind(str(error)), says=str(error).strip().splitlines()[-1])
            raise
        connection._pid = connection.info.backend_pid
        cls.journal.write("open", pid=connection._pid)
        return connection

    def close(self) -> None:
        """Close, and note it once; also for a session that the server ended."""
        super().close()
        if self._pid:
            self.journal.write("close", pid=self._pid)
            self._pid = 0


class WatchedMySQL(pymysql.connections.Connection):
    """The same for MariaDB and MySQL."""

    journal: Journal
    _session = 0

    def connect(self, sock: Any = None) -> None:
        """Connect once; a failure is noted with its kind and raised."""
        try:
            super().connect(sock)
        except pymysql.err.MySQLError as error:
            number, *rest = error.args
            self.journal.write(
                "refused", kind=MYSQL_KINDS.get(number, "other"), says=f"{number}: {' '.join(map(str, rest))}"
            )
            raise
        self._session = self.thread_id()
        self.journal.write("open", pid=self._session)

    def close(self) -> None:
        """Note the end once and close: the server may have given the slot to another when this returns."""
        self._note_end()
        if self.open:
            super().close()

    def _force_close(self) -> None:
        super()._force_close()
        self._note_end()

    __del__ = _force_close

    def _note_end(self) -> None:
        if self._session:
            self.journal.write("close", pid=self._session)
            self._session = 0


class OnPostgres:
    """psycopg, to a server or to PgBouncer in front of it."""

    dialect: ClassVar[str] = "postgresql+psycopg://"
    errors: ClassVar[tuple[type[Exception], ...]] = (psycopg.Error,)
    look_up: ClassVar[str] = "SELECT customer, total FROM orders WHERE id = %s"
    take_time: ClassVar[str] = "SELECT sum(total) FROM orders, pg_sleep(%s) WHERE customer = %s"
    change: ClassVar[str] = "UPDATE orders SET total = total + 1 WHERE id = %s"
    pause: ClassVar[str] = "SELECT pg_sleep(%s)"
    count_sessions: ClassVar[str] = "SELECT state, count(*) FROM pg_stat_activity GROUP BY state"
    read_counters: ClassVar[str] = "SELECT datname, numbackends FROM pg_stat_database"

    def __init__(self, door: Door) -> None:
        self.door = door
        self.conninfo = psycopg.conninfo.make_conninfo(
            "",
            host=door.host,
            port=door.port,
            user=door.user,
            dbname=door.database,
            application_name=door.application,
            connect_timeout=CONNECT_TIMEOUT_S,
            sslmode="disable",
            gssencmode="disable",
        )

    def connect(self, *, autocommit: bool = False) -> WatchedConnection:
        return WatchedConnection.connect(self.conninfo, autocommit=autocommit, prepare_threshold=None)

    def session_id(self, connection: Any) -> int:
        return int(connection.info.backend_pid)

    def warm_up(self, connection: Any, per_session_s: float, per_busy_s: float) -> None:
        connection.execute(
            "SELECT pg_sleep(%s * count(*) + %s * count(*) FILTER (WHERE state = 'active'))"
            " FROM pg_stat_activity WHERE application_name = %s",
            (per_session_s, per_busy_s, self.door.application),
        )

    def wire(self, connection: Any) -> int:
        return int(connection.pgconn.socket)


class OnMySQL:
    """pymysql, to MariaDB or MySQL. A user without PROCESS sees its own sessions in the list: those of its service."""

    dialect: ClassVar[str] = "mysql+pymysql://"
    errors: ClassVar[tuple[type[Exception], ...]] = (pymysql.err.MySQLError, OSError)
    look_up: ClassVar[str] = "SELECT customer, total FROM orders WHERE id = %s"
    take_time: ClassVar[str] = (
        "SELECT SUM(o.total) FROM orders AS o JOIN (SELECT SLEEP(%s) AS slept) AS w WHERE o.customer = %s"
    )
    change: ClassVar[str] = "UPDATE orders SET total = total + 1 WHERE id = %s"
    pause: ClassVar[str] = "SELECT SLEEP(%s)"
    count_sessions: ClassVar[str] = "SELECT command, COUNT(*) FROM information_schema.processlist GROUP BY command"
    read_counters: ClassVar[str] = "SHOW GLOBAL STATUS LIKE 'Threads%'"

    def __init__(self, door: Door) -> None:
        self.door = door

    def connect(self, *, autocommit: bool = False) -> WatchedMySQL:
        return WatchedMySQL(
            host=self.door.host,
            port=self.door.port,
            user=self.door.user,
            database=self.door.database,
            bind_address=self.door.source or None,
            program_name=self.door.application,
            connect_timeout=CONNECT_TIMEOUT_S,
            autocommit=autocommit,
            ssl_disabled=True,
        )

    def session_id(self, connection: Any) -> int:
        return int(connection.thread_id())

    def warm_up(self, connection: Any, per_session_s: float, per_busy_s: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT SLEEP(%s * COUNT(*) + %s * SUM(command <> 'Sleep')) FROM information_schema.processlist",
                (per_session_s, per_busy_s),
            )

    def wire(self, connection: Any) -> int:
        wire: socket.socket = connection._sock
        return wire.fileno()


def of(door: Door) -> OnPostgres | OnMySQL:
    """The driver for a door."""
    return OnPostgres(door) if door.engine == "postgres" else OnMySQL(door)


def keep_books(journal: Journal) -> None:
    """Have all connections of this process note themselves in a journal."""
    WatchedConnection.journal = journal
    WatchedMySQL.journal = journal
