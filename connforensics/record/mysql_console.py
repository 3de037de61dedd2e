"""One held connection that speaks MySQL's protocol: to a server, or to ProxySQL's admin port."""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from connforensics.errors import UsageError
from connforensics.record import option_file
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
        told = {**self._options(), **self._parameters}
        more: dict[str, Any] = {
            name: told[name] for name in ("user", "host", "database", "unix_socket") if told.get(name)
        }
        password = os.environ.get("MYSQL_PWD") or told.get("password") or ""
        try:
            self._connection = pymysql.connect(
                **more,
                **_tls(told),
                port=int(port or told.get("port") or self._port),
                password=os.fsencode(password),
                autocommit=True,
                charset="utf8mb4",
                use_unicode=False,
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
        except (RuntimeError, ValueError) as error:  # no way to send the password safely; nobody's name
            raise LostError(str(error)) from None
        return self._connection

    def _options(self) -> dict[str, str]:
        """Return what the option file says."""
        # pathlib's expanduser() raises where a user has no home.
        usual = Path(os.path.expanduser("~/.my.cnf"))
        file = self._defaults_file or (usual if usual.is_file() else None)
        if file is None:
            return {}
        try:
            found = option_file.read(file)
        except UsageError as error:
            raise LostError(error.what) from None
        if "socket" in found:
            found["unix_socket"] = found.pop("socket")
        return found

    @property
    def place(self) -> str:
        """Return where the answer comes from: of a name that moves, the address that was taken."""
        peer = self._connection._sock.getpeername()
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)

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


OFF: Final = ("0", "false", "no", "off")


def _tls(told: Mapping[str, str]) -> dict[str, Any]:
    """Return how the driver is to encrypt; `told` are options of TARGET and of the option file.

    The context is made here: the driver's own does not look at the server's name where no file of authorities is named.
    Without a word about it the connection is encrypted where the server offers it. Raises OSError.
    """
    mode = told.get("ssl_mode", "").lower()
    if _is_on(told, "ssl_disabled") or mode == "disabled" or told.get("ssl", "1").lower() in OFF:
        return {"ssl_disabled": True}
    names_identity = _is_on(told, "ssl_verify_identity") or _is_on(told, "ssl_verify_server_cert")
    checks_name = names_identity or mode == "verify_identity"
    asked = [name for name in ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher") if told.get(name)]
    has_authorities = "ssl_ca" in asked or "ssl_capath" in asked
    checks = checks_name or mode == "verify_ca" or _is_on(told, "ssl_verify_cert", has_authorities)
    if not (checks or asked or mode == "required"):
        return {}
    for name in asked:
        if name != "ssl_cipher" and not Path(told[name]).exists():
            raise FileNotFoundError(errno.ENOENT, f"{name}: {os.strerror(errno.ENOENT)}", told[name])
    # A certificate that names an authority is checked against it, as the server's own clients do.
    context = ssl.create_default_context(cafile=told.get("ssl_ca"), capath=told.get("ssl_capath"))
    # What MySQL signs by itself when it is set up does not pass: https://docs.python.org/3/library/ssl.html
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = checks_name
    context.verify_mode = ssl.CERT_REQUIRED if checks else ssl.CERT_NONE
    if "ssl_cert" in asked:
        context.load_cert_chain(told["ssl_cert"], told.get("ssl_key"))
    if "ssl_cipher" in asked:
        context.set_ciphers(told["ssl_cipher"])
    return {"ssl": context}


def _is_on(told: Mapping[str, str], name: str, usual: bool = False) -> bool:
    """Tell whether an option is set; an option file may name it without a value."""
    return told[name].lower() not in OFF if name in told else usual


def _readers() -> dict[int, Callable[[Any], object]]:
    """Return how values are read: numbers as numbers, all else as the server writes it.

    A statement is shown in the bytes it came in, and those of a picture or of another alphabet are no UTF-8.
    """
    from pymysql.constants import FIELD_TYPE as TYPE  # type: ignore[import-untyped]

    whole = (TYPE.TINY, TYPE.SHORT, TYPE.INT24, TYPE.LONG, TYPE.LONGLONG, TYPE.YEAR)
    return {
        **dict.fromkeys(range(256), _text),
        **dict.fromkeys(whole, int),
        **dict.fromkeys((TYPE.FLOAT, TYPE.DOUBLE, TYPE.NEWDECIMAL, TYPE.DECIMAL), float),
    }


_text: Final = operator.methodcaller("decode", "utf-8", "backslashreplace")
