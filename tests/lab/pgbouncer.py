"""A real PgBouncer in front of a lab server: unprivileged, private directory, private port.

    with Postgres(15) as server, PgBouncer(server, default_pool_size=2, max_client_conn=8) as bouncer:
        bouncer.connect(user="app_web", dbname="shop")
        bouncer.console("SHOW POOLS")

Clients are let in by auth_type=trust, but must be named: `users`. `stats` may look at the console, `admin` may also
pause and reload.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from tests.lab.faults import TcpProxy
from tests.lab.postgres import Postgres, conninfo
from tests.lab.server import Server, absent

PROGRAM = "/usr/sbin/pgbouncer"

DEFAULTS: dict[str, object] = {
    "listen_addr": "127.0.0.1",
    "auth_type": "trust",
    "pool_mode": "transaction",
    "default_pool_size": 2,
    "reserve_pool_size": 0,
    "max_client_conn": 20,
    "query_wait_timeout": 3,
    "server_login_retry": 1,
    "stats_period": 2,
    "admin_users": "admin",
    "stats_users": "stats",
    "ignore_startup_parameters": "extra_float_digits,options",
}


def require() -> None:
    """Skip the test where PgBouncer is not installed; fail where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    if not Path(PROGRAM).exists():
        absent("pgbouncer is not installed: apt-get install pgbouncer")


class PgBouncer(Server):
    """One pooler in front of anything with a `port` of 127.0.0.1: a server, or a proxy. `settings` override `DEFAULTS`."""

    NAME: ClassVar[str] = "PgBouncer"
    STOPPED_BY: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self, server: Postgres | TcpProxy, *, users: Sequence[str] = ("postgres", "app_web"), **settings: object
    ) -> None:
        super().__init__()
        self.server = server
        self.settings = {**DEFAULTS, **settings}
        self.users = tuple(users)

    @property
    def log_path(self) -> Path:
        """The log."""
        return self.base / "pgbouncer.log"

    def conninfo(self, **parameters: object) -> str:
        """A libpq connection string through the pooler."""
        return conninfo(**{"port": self.port, **parameters})

    def connect(self, *, autocommit: bool = True, **parameters: object) -> psycopg.Connection:
        """A client connection that stays open until the pooler stops."""
        connection = psycopg.connect(self.conninfo(**parameters), autocommit=autocommit, prepare_threshold=None)
        self._connections.append(connection)
        return connection

    def console(self, command: str) -> list[tuple[Any, ...]]:
        """The rows of one console command, as `admin`."""
        with psycopg.connect(self.conninfo(user="admin", dbname="pgbouncer"), autocommit=True) as connection:
            cursor = connection.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def _initialise(self) -> None:
        names = (*self.users, "admin", "stats")
        (self.base / "users.txt").write_text("".join(f'"{name}" ""\n' for name in names))

    def _command(self) -> list[str]:
        here = {
            "listen_port": self.port,
            "logfile": self.log_path,
            "unix_socket_dir": self.base,
            "auth_file": self.base / "users.txt",
        }
        lines = [f"{name} = {value}" for name, value in {**here, **self.settings}.items()]
        target = f"* = host=127.0.0.1 port={self.server.port}"
        (self.base / "pgbouncer.ini").write_text("\n".join(["[databases]", target, "[pgbouncer]", *lines]) + "\n")
        return [PROGRAM, str(self.base / "pgbouncer.ini")]

    def _is_ready(self) -> bool:
        try:
            self.console("SHOW VERSION")
        except psycopg.OperationalError:
            return False
        return True
