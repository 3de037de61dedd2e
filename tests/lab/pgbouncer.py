"""A real PgBouncer in front of a lab server: unprivileged, private directory, private port.

    with Postgres(15) as server, PgBouncer(server, default_pool_size=2, max_client_conn=8) as bouncer:
        bouncer.connect(user="app_web", dbname="shop")
        bouncer.console("SHOW POOLS")

Clients are let in by auth_type=trust, but must be named: `users`. `stats` may look at the console, `admin` may also
pause and reload.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from tests.lab.postgres import LOOK_EVERY_S, START_TIMEOUT_S, STOP_TIMEOUT_S, Postgres, ServerFailedError, free_port

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
    import pytest

    if not Path(PROGRAM).exists():
        reason = "pgbouncer is not installed: apt-get install pgbouncer"
        if os.environ.get("CONNFORENSICS_NO_SKIP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


class PgBouncer:
    """One pooler: started on entering, stopped and wiped on leaving. `settings` override `DEFAULTS`."""

    def __init__(self, server: Postgres, *, users: Sequence[str] = ("postgres", "app_web"), **settings: object) -> None:
        self.server = server
        self.settings = {**DEFAULTS, **settings}
        self.users = tuple(users)
        self.port = 0
        self.base = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: list[psycopg.Connection] = []

    def __enter__(self) -> PgBouncer:
        self.base = Path(tempfile.mkdtemp(prefix="cfb", dir="/tmp"))
        atexit.register(self.stop)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_path(self) -> Path:
        """The log."""
        return self.base / "pgbouncer.log"

    def conninfo(self, **parameters: object) -> str:
        """A libpq connection string through the pooler."""
        known = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "postgres",
            "dbname": "postgres",
            "sslmode": "disable",
            "gssencmode": "disable",
        }
        return psycopg.conninfo.make_conninfo("", **{**known, **parameters})

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

    def start(self) -> None:
        """Start the pooler; returns when its console answers."""
        self.port = self.port or free_port()
        here = {
            "listen_port": self.port,
            "logfile": self.log_path,
            "unix_socket_dir": self.base,
            "auth_file": self.base / "users.txt",
        }
        names = (*self.users, "admin", "stats")
        (self.base / "users.txt").write_text("".join(f'"{name}" ""\n' for name in names))
        lines = [f"{name} = {value}" for name, value in {**here, **self.settings}.items()]
        target = f"* = host=127.0.0.1 port={self.server.port}"
        (self.base / "pgbouncer.ini").write_text("\n".join(["[databases]", target, "[pgbouncer]", *lines]) + "\n")
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            [PROGRAM, str(self.base / "pgbouncer.ini")],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.base), "LC_ALL": "C", "TZ": "UTC"},
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._hand_over(),
        )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the pooler and remove its directory; harmless when it is stopped already."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self.end(how)
        if self.base != Path():
            shutil.rmtree(self.base, ignore_errors=True)
        atexit.unregister(self.stop)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and keep its directory: `start` brings it back on the same port."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)

    def _hand_over(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        for path in (self.base, *self.base.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self.base.chmod(0o755)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                self.console("SHOW VERSION")
            except psycopg.OperationalError:
                time.sleep(LOOK_EVERY_S)
            else:
                return
        wrote = self.log_path.read_text() if self.log_path.exists() else ""
        raise ServerFailedError(f"PgBouncer did not start:\n{wrote}")
