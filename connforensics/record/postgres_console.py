"""One held connection that speaks PostgreSQL's protocol: to a server, or to PgBouncer's console."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

from connforensics.record.target import (
    ANSWER_TIMEOUT_S,
    APPLICATION,
    CONNECT_TIMEOUT_S,
    LostError,
    MissedError,
    RefusedError,
    Rows,
    cut,
)

REFUSALS: Final = (
    (
        r"remaining connection slots are reserved|connection limit exceeded for non-superusers",
        "refused_reserved",
        "53300",
    ),
    (r"sorry, too many clients", "refused_full", "53300"),
    (r"too many connections for (role|database)", "refused_quota", "53300"),
    (r"no more connections allowed|client connections exceeded|query_wait_timeout", "refused_full", "08P01"),
    (r"server login has been failing|the database system is|terminating connection due to", "refused_state", "57P03"),
    (r"password authentication failed|no password supplied|authentication failed", "auth_failed", "28P01"),
    (r"no pg_hba\.conf entry|is not permitted to log in|not allowed", "refused_rule", "28000"),
    (r"(database|role) \".*\" does not exist|no such (database|user)", "unknown_target", "3D000"),
)
"""What libpq hands on when a connect fails is text alone: pattern, event kind, SQLSTATE."""

LINE: Final[Mapping[str, object]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1000),
    "client_encoding": "UTF8",
}
"""What a connection is opened with unless the caller's connection string says otherwise."""

AS_WRITTEN: Final = (
    "timestamptz", "timestamp", "date", "time", "interval", "inet", "cidr", "numeric", "json", "jsonb", "uuid",
)  # fmt: skip
"""Types whose values are handed over as the server writes them: nothing is made of them here."""

TEXTS: Final = ("text", "name", "varchar", "bpchar", *AS_WRITTEN)

FOREIGN_TEXT: Final = ("22P05", "22021")
"""SQLSTATEs of a text that the connection's encoding cannot hold: databases of one server may differ in encoding, and its
views mix them."""


class Console:
    """The connection; `fixed` holds whatever the caller's connection string says."""

    def __init__(self, conninfo: str, **fixed: object) -> None:
        self._conninfo = conninfo
        self._fixed = {**fixed, "application_name": APPLICATION}
        self._connection: Any = None

    def open(self, *statements: str) -> Rows:
        """Connect and run what comes first; returns the rows of the last. Raises RefusedError and LostError."""
        import psycopg
        from psycopg.types.string import TextLoader

        self.close()
        options: dict[str, Any] = {**LINE, **psycopg.conninfo.conninfo_to_dict(self._conninfo), **self._fixed}
        try:
            self._connection = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise refusal(error) from None
        for name in AS_WRITTEN:
            self._connection.adapters.register_loader(name, TextLoader)
        return self.run(*statements)

    def run(self, *statements: str) -> Rows:
        """Run what belongs to the opening; returns the rows of the last. Raises RefusedError and LostError."""
        import psycopg

        try:
            for statement in statements:
                cursor = self._connection.execute(statement)
            return _rows(cursor)
        except psycopg.Error as error:
            self.close()
            raise refusal(error) from None

    @property
    def own(self) -> int:
        """Return the id of the session, as whoever answered told it: the server, or a pooler in front of it."""
        return int(self._connection.info.backend_pid)

    @property
    def place(self) -> str:
        """Return where the answer comes from: of several hosts, and of a name that moves, the one that was taken."""
        info = self._connection.info
        return f"{info.hostaddr or info.host}:{info.port}"

    def fetch(self, statements: Mapping[str, str], before: str = "", after: str = "") -> dict[str, Rows]:
        """Return the rows of several statements, asked in one round trip, between others that have none.

        Raises LostError and MissedError.
        """
        import psycopg

        if self._connection is None:
            raise LostError("not connected")
        found = {}
        try:
            cursor = self._connection.execute(";".join(filter(None, (before, *statements.values(), after))))
            for name in statements:
                while cursor.description is None:
                    cursor.nextset()
                found[name] = _rows(cursor)
                cursor.nextset()
        except UnicodeDecodeError:
            self._read_any_encoding()
            raise MissedError("a statement is in an encoding of its own; reading bytes from now on") from None
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                self.close()
                raise LostError(first_line(error), error.sqlstate) from None
            if after:
                with contextlib.suppress(psycopg.Error):
                    self._connection.execute("ROLLBACK")
            if error.sqlstate in FOREIGN_TEXT:
                self._read_any_encoding()
            raise MissedError(first_line(error), error.sqlstate) from None
        return found

    def _read_any_encoding(self) -> None:
        """Have texts handed over byte by byte from now on."""
        import psycopg
        from psycopg.adapt import Loader

        class AnyText(Loader):
            def load(self, data: Any) -> str:
                return bytes(data).decode("utf-8", "backslashreplace")

        with contextlib.suppress(psycopg.Error):
            self._connection.execute("SET client_encoding = 'SQL_ASCII'")
        for name in TEXTS:
            self._connection.adapters.register_loader(name, AnyText)
        self._connection.adapters.register_loader(0, AnyText)

    def abort(self) -> None:
        """Cut the connection; the thread that waits for it ends with LostError."""
        connection = self._connection
        with contextlib.suppress(Exception):
            cut(connection.pgconn.socket)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _rows(cursor: Any) -> Rows:
    return Rows(tuple(column.name for column in cursor.description), cursor.fetchall())


def refusal(error: Exception) -> RefusedError | LostError:
    """Return what a failed connect means; the text is the server's, in English where its language is known."""
    from connforensics.evidence.messages.postgres import english

    text = first_line(error)
    said = english(text.rpartition("FATAL:  ")[2]) if "FATAL:  " in text else text
    for pattern, reason, code in REFUSALS:
        if re.search(pattern, said):
            return RefusedError(reason, text, code)
    return LostError(text, getattr(error, "sqlstate", None))


def first_line(error: Exception) -> str:
    """Return the telling line of libpq's report: of several attempts the last, without its hints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or [type(error).__name__])[-1 if fatal else 0]
