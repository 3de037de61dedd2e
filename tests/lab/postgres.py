"""A real PostgreSQL server for one test or one incident: unprivileged, private directory, private port.

with Postgres(16, max_connections=20, log_destination="stderr,csvlog") as server:
    server.connect(user="app_web", application_name="orders")
    server.wait_for_log("connection authorized: user=app_web")
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from tests.lab.faults import Clock
from tests.lab.install import debian_servers, lab_dir, npm_servers
from tests.lab.server import START_TIMEOUT_S, Server, ServerFailedError, absent

USUAL_PREFIX = "%m [%p] %q%u@%d/%a %h "
"""A log_line_prefix as operators set it; %a is [unknown] on every line before the session is admitted."""

TRUST_RULES = ("local all all trust", "host all all 127.0.0.0/8 trust")
"""pg_hba.conf unless told otherwise: everybody on this machine may enter."""

DEFAULTS: dict[str, object] = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 20,
    "superuser_reserved_connections": 3,
    "shared_buffers": "16MB",
    "fsync": "off",
    "logging_collector": "on",
    "log_destination": "stderr",
    "log_filename": "postgresql.log",
    "log_file_mode": "0644",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": USUAL_PREFIX,
    "log_connections": "on",
    "log_disconnections": "on",
    "log_lock_waits": "on",
}


def available_versions() -> list[int]:
    """Major versions this machine can start, ascending."""
    return sorted(set(debian_servers()) | set(npm_servers()))


def binaries(version: int) -> Path:
    """The `bin` directory of a major version."""
    return {**npm_servers(), **debian_servers()}[version]


def require(version: int) -> int:
    """The version, or a skip that says why; a failure where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    if version not in available_versions():
        absent(f"PostgreSQL {version} is not in {lab_dir()}: run python -m tests.lab.install")
    return version


def conninfo(**parameters: object) -> str:
    """A libpq connection string for a server or a pooler of the lab (its `port`), without the attempts at encryption."""
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "user": "postgres",
        "dbname": "postgres",
        "sslmode": "disable",
        "gssencmode": "disable",
    }
    return psycopg.conninfo.make_conninfo("", **{**known, **parameters})


class Postgres(Server):
    """One server.

    `settings` go into postgresql.conf and override `DEFAULTS`; `hba` replaces the rules of pg_hba.conf. The log lies
    at `log_path` (`csv_log_path`, `json_log_path` when log_destination asks for them).
    """

    NAME: ClassVar[str] = "PostgreSQL"
    STOPPED_BY: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self, version: int = 15, *, hba: Sequence[str] = TRUST_RULES, clock: Clock | None = None, **settings: object
    ) -> None:
        super().__init__(clock)
        self.version = version
        self.settings = {**DEFAULTS, **settings}
        self.hba = tuple(hba)
        self._bin = binaries(version)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.base / "data"

    @property
    def log_path(self) -> Path:
        """The stderr log."""
        return self.base / "log" / "postgresql.log"

    @property
    def csv_log_path(self) -> Path:
        """The csvlog."""
        return self.log_path.with_suffix(".csv")

    @property
    def json_log_path(self) -> Path:
        """The jsonlog (15 and newer)."""
        return self.log_path.with_suffix(".json")

    @property
    def usable(self) -> int:
        """Slots that roles without privileges can get."""
        kept = self.settings["superuser_reserved_connections"], self.settings.get("reserved_connections", 0)
        return int(str(self.settings["max_connections"])) - sum(int(str(slots)) for slots in kept)

    def conninfo(self, **parameters: object) -> str:
        """A libpq connection string; one attempt a connection, so that attempts can be counted."""
        return conninfo(**{"port": self.port, **parameters})

    def connect(self, *, autocommit: bool = True, **parameters: object) -> psycopg.Connection:
        """A connection that stays open until it is closed or the server stops.

        Kept in a list: psycopg closes a connection that is garbage-collected, and a server that was to be filled
        never fills.
        """
        connection = psycopg.connect(self.conninfo(**parameters), autocommit=autocommit)
        self._connections.append(connection)
        return connection

    def run(self, *statements: str, dbname: str = "postgres") -> None:
        """Run statements as the superuser in a session of its own."""
        with psycopg.connect(self.conninfo(dbname=dbname), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def restart(self, *, pause_s: float = 0.0) -> None:
        """Stop as an operator does (fast: sessions are ended), wait, start on the same port with the same log."""
        self.end()
        time.sleep(pause_s)
        self.start()

    def kill_backend(self, pid: int) -> None:
        """SIGKILL one backend of this server: the server ends all sessions and recovers."""
        parent = int(re.findall(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[0])
        if self._process is None or parent != self._process.pid:
            raise ValueError(f"{pid} is not a backend of this server")
        os.kill(pid, signal.SIGKILL)

    def _initialise(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        process = self._popen([str(self._bin / "initdb"), "-D", str(self.data), *options], "initdb.out")
        if process.wait(START_TIMEOUT_S):
            raise ServerFailedError("initdb failed:\n" + (self.base / "initdb.out").read_text())
        (self.data / "pg_hba.conf").write_text("\n".join(self.hba) + "\n")

    def _command(self) -> list[str]:
        here = {
            "port": self.port,
            "unix_socket_directories": str(self.base),
            "log_directory": str(self.log_path.parent),
            **self.settings,
        }
        quoted = {name: str(value).replace("'", "''") for name, value in here.items()}
        text = "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
        (self.data / "postgresql.auto.conf").write_text(text)
        return [str(self._bin / "postgres"), "-D", str(self.data)]

    def _is_ready(self) -> bool:
        """Ready is what the server writes into postmaster.pid; asking by connecting would leave lines in the log."""
        pid_file = self.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"
