"""One held connection that speaks MySQL's protocol: to a server, or to ProxySQL's admin port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
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


class Console:
    """The connection; `parameters` are those of a target, `port` the one where none is told."""

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
