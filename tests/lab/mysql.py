"""A real MySQL 5.6 server for one test: unprivileged, private directory, private port.

    with MySQL(max_connections=5) as server:
        server.run("CREATE USER 'app_web'@'%' IDENTIFIED BY 'secret'")
        held = server.fill(user="app_web", password="secret")
        server.wait_for_log("ready for connections")

It has no packages of its own in Debian; the npm package brings the server and a data directory, no client and no
`mysql_install_db`. Newer versions were found nowhere: their formats are tested by text alone. MySQL takes
max_connections of 1 and more; one slot beyond it is for users with SUPER.
"""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from tests.lab.faults import Clock
from tests.lab.install import lab_dir, mysql_server
from tests.lab.server import LOOK_EVERY_S, Server, absent

READY = "ready for connections"


def require() -> Path:
    """The server's directory, or a skip that says why; a failure where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    found = mysql_server()
    if found is None:
        absent(f"MySQL 5.6 is not in {lab_dir()}: run python -m tests.lab.install")
    return found


@dataclass(frozen=True)
class Filled:
    """What filling a server up came to: the connections that are held, and how many attempts it refused with 1040."""

    held: tuple[Connection, ...]
    refused: int


class MySQL(Server):
    """One server.

    `options` are the server's own (underscores for hyphens) and override `DEFAULTS`; None leaves one out. The logs lie
    at `error_log`, `general_log` and `slow_log`.
    """

    NAME: ClassVar[str] = "MySQL"
    STOPPED_BY: ClassVar[signal.Signals] = signal.SIGKILL
    DEFAULTS: ClassVar[dict[str, object]] = {
        "bind_address": "127.0.0.1",
        "max_connections": 10,
        "skip_name_resolve": True,
        "general_log": 1,
        "slow_query_log": 1,
        "long_query_time": 0.2,
        "log_warnings": 2,
        "innodb_buffer_pool_size": "16M",
        "innodb_flush_log_at_trx_commit": 0,
        "performance_schema": "OFF",
    }

    def __init__(self, *, clock: Clock | None = None, **options: object) -> None:
        super().__init__(clock)
        self.options = {**self.DEFAULTS, **options}
        self._starts = 0

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.base / "data"

    @property
    def error_log(self) -> Path:
        """The error log."""
        return self.base / "error.log"

    @property
    def log_path(self) -> Path:
        """The error log."""
        return self.error_log

    @property
    def general_log(self) -> Path:
        """The general query log."""
        return self.base / "general.log"

    @property
    def slow_log(self) -> Path:
        """The slow query log."""
        return self.base / "slow.log"

    @property
    def socket(self) -> Path:
        """The Unix socket; root enters here without a password."""
        return self.base / "s"

    def connect(self, user: str = "root", password: str = "", **parameters: object) -> Connection:
        """A connection that stays open until it is closed, cut or the server stops; one attempt, over TCP but for root.

        Kept in a list, so that none is closed by being garbage-collected. Raises pymysql.err.OperationalError.
        """
        where = {"unix_socket": str(self.socket)} if user == "root" else {"host": "127.0.0.1", "port": self.port}
        told = {"connect_timeout": 5, "autocommit": True, "ssl_disabled": True, **where, **parameters}
        connection = pymysql.connect(user=user, password=password, **told)  # type: ignore[call-overload]
        self._connections.append(connection)
        return connection  # type: ignore[no-any-return]

    def run(self, *statements: str) -> None:
        """Run statements as root in a session of its own."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill(self, user: str, password: str = "", *, further: int = 0, **parameters: object) -> Filled:
        """Open connections of a user until the server says 1040, then try `further` times more.

        Between two tries the refused one has left: the slot kept for administrators, in which the server tells it so, is
        free again.
        """
        held: list[Connection] = []
        refused = 0
        while refused <= further:
            try:
                held.append(self.connect(user, password, **parameters))
            except pymysql.err.OperationalError as error:
                if error.args[0] != ER.CON_COUNT_ERROR:
                    raise
                refused += 1
                if held:
                    self._wait_until_the_last_slot_is_free(held[0])
        return Filled(tuple(held), refused)

    def _wait_until_the_last_slot_is_free(self, connection: Connection, timeout_s: float = 10.0) -> None:
        until = time.monotonic() + timeout_s
        with connection.cursor() as cursor:
            while time.monotonic() < until:
                cursor.execute("SELECT @@max_connections")
                slots = cursor.fetchone()[0]
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
                if int(cursor.fetchone()[1]) <= slots:
                    return
                time.sleep(LOOK_EVERY_S)
        raise AssertionError(f"the slot kept for administrators is still taken after {timeout_s} s")

    def denied(self, user: str, **parameters: object) -> bool:
        """Try to enter with a wrong password; whether the server said 1045."""
        try:
            self.connect(user, "wrong", **parameters)
        except pymysql.err.OperationalError as error:
            return error.args[0] == ER.ACCESS_DENIED_ERROR
        return False

    def cut(self, connection: Connection) -> None:
        """End a connection as a crashed client does: the socket closes and the server hears no goodbye."""
        connection._force_close()

    def restart(self) -> None:
        """Stop as an operator does and start on the same port with the same logs."""
        self.end(signal.SIGTERM)
        self.start()

    def _initialise(self) -> None:
        """Make a data directory of the one the package brings; another server's identity is not taken over."""
        shutil.copytree(require() / "data" / "mysql", self.data)
        (self.data / "auto.cnf").unlink(missing_ok=True)
        for path in (self.data, *self.data.rglob("*")):
            self._give(path)

    def _program(self) -> list[str]:
        home = require()
        return [str(home / "mysqld"), "--no-defaults", f"--basedir={home}", f"--lc-messages-dir={home / 'share'}"]

    def _environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(require())}

    def _command(self) -> list[str]:
        self._starts = self.log_text().count(READY)
        here = {
            "datadir": self.data,
            "socket": self.socket,
            "port": self.port,
            "pid_file": self.base / "pid",
            "tmpdir": self.base,
            "log_error": self.error_log,
            "general_log_file": self.general_log,
            "slow_query_log_file": self.slow_log,
            **self.options,
        }
        return [
            *self._program(),
            *(
                f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
                for name, value in here.items()
                if value is not None
            ),
        ]

    def _is_ready(self) -> bool:
        """Ready is what the server writes; asking by connecting would leave lines in the logs."""
        return self.log_text().count(READY) > self._starts

    @staticmethod
    def _drop(connection: Any) -> None:
        connection._force_close()
