"""A real PostgreSQL server for one test or one incident: unprivileged, private directory, private port.

    with Postgres(16, max_connections=20, log_destination="stderr,csvlog") as server:
        server.connect(user="app_web", application_name="orders")
        server.wait_for_log("connection authorized: user=app_web")

The directory is not pytest's `tmp_path`, which is 0700 root and closed to the server's user; it is short, because the
path of a Unix socket must stay under 108 bytes.
"""

from __future__ import annotations

import atexit
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psycopg

from tests.lab.install import debian_servers, lab_dir, npm_servers

USUAL_PREFIX = "%m [%p] %q%u@%d/%a %h "
"""A log_line_prefix as operators set it; %a is [unknown] on every line before the session is admitted."""

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
LOOK_EVERY_S = 0.02

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


class ServerFailedError(RuntimeError):
    """The server did not start or did not stop; the message ends with what it wrote."""


def available_versions() -> list[int]:
    """Major versions this machine can start, ascending."""
    return sorted(set(debian_servers()) | set(npm_servers()))


def binaries(version: int) -> Path:
    """The `bin` directory of a major version."""
    return {**npm_servers(), **debian_servers()}[version]


def require(version: int) -> int:
    """The version, or a skip that says why; a failure where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    import pytest

    if version not in available_versions():
        reason = f"PostgreSQL {version} is not in {lab_dir()}: run python -m tests.lab.install"
        if os.environ.get("CONNFORENSICS_NO_SKIP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return version


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """One server: started on entering, stopped and wiped on leaving, also when the script dies of an exception.

    `settings` go into postgresql.conf and override `DEFAULTS`; `hba` replaces the rules of pg_hba.conf. The log lies
    at `log_path` (`csv_log_path`, `json_log_path` when log_destination asks for them).
    """

    def __init__(self, version: int = 15, *, hba: Sequence[str] = TRUST_RULES, **settings: object) -> None:
        self.version = version
        self.settings = {**DEFAULTS, **settings}
        self.hba = tuple(hba)
        self.port = 0
        self.base = Path()
        self._bin = binaries(version)
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: list[psycopg.Connection] = []

    def __enter__(self) -> Postgres:
        self.base = Path(tempfile.mkdtemp(prefix="cf", dir="/tmp"))
        atexit.register(self.stop)
        try:
            self._as_server_user = self._hand_over(self.base)
            self._initdb()
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

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        for turn in (1, 2):
            self.port = self.port or free_port()
            self._write_settings()
            self._process = self._popen([str(self._bin / "postgres"), "-D", str(self.data)], "server.out")
            try:
                return self._wait_until_ready(self._process)
            except ServerFailedError as error:
                if turn == 2 or "Address already in use" not in str(error):
                    raise
                self.port = 0
        return None

    def restart(self, *, pause_s: float = 0.0) -> None:
        """Stop as an operator does (fast: sessions are ended), wait, start on the same port with the same log."""
        self._end(signal.SIGINT)
        time.sleep(pause_s)
        self.start()

    def kill_backend(self, pid: int) -> None:
        """SIGKILL one backend of this server: the server ends all sessions and recovers."""
        parent = int(re.findall(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[0])
        if self._process is None or parent != self._process.pid:
            raise ValueError(f"{pid} is not a backend of this server")
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server and remove its directory; harmless when it is stopped already."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._end(signal.SIGINT)
        if self.base != Path():
            shutil.rmtree(self.base, ignore_errors=True)
        atexit.unregister(self.stop)

    def log_text(self) -> str:
        """The stderr log so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(self, text: str, *, count: int = 1, timeout_s: float = 10.0) -> str:
        """The log once `text` stands in it `count` times: its lines arrive after the client has its answer."""
        until = time.monotonic() + timeout_s
        while (found := self.log_text()).count(text) < count:
            if time.monotonic() > until:
                raise AssertionError(
                    f"{text!r} is {found.count(text)} times in the log after {timeout_s} s, not {count}"
                )
            time.sleep(LOOK_EVERY_S)
        return found

    def _hand_over(self, base: Path) -> dict[str, object]:
        """What Popen needs to run as the server's user; as root the directory is given to `nobody`."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        os.chown(base, nobody.pw_uid, nobody.pw_gid)
        base.chmod(0o755)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _popen(self, command: list[str], out: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.base), "LC_ALL": "C", "TZ": "UTC"}
        with (self.base / out).open("ab") as written:
            return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
                command,
                env=environment,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_server_user,
            )

    def _initdb(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        process = self._popen([str(self._bin / "initdb"), "-D", str(self.data), *options], "initdb.out")
        if process.wait(START_TIMEOUT_S):
            raise ServerFailedError("initdb failed:\n" + (self.base / "initdb.out").read_text())
        (self.data / "pg_hba.conf").write_text("\n".join(self.hba) + "\n")

    def _write_settings(self) -> None:
        here = {
            "port": self.port,
            "unix_socket_directories": str(self.base),
            "log_directory": str(self.log_path.parent),
            **self.settings,
        }
        quoted = {name: str(value).replace("'", "''") for name, value in here.items()}
        text = "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
        (self.data / "postgresql.auto.conf").write_text(text)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Ready is what the server writes into postmaster.pid; asking by connecting would leave lines in the log."""
        until = time.monotonic() + START_TIMEOUT_S
        pid_file = self.data / "postmaster.pid"
        while time.monotonic() < until:
            if process.poll() is not None:
                break
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(LOOK_EVERY_S)
        wrote = (self.base / "server.out").read_text() + self.log_text()
        raise ServerFailedError(f"PostgreSQL {self.version} did not start:\n{wrote}")

    def _end(self, how: signal.Signals) -> None:
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
