"""What the lab's servers share: a private directory, a private port, an unprivileged process, an end that leaves nothing.

The directory is not pytest's `tmp_path`, which is 0700 root and closed to the server's user; it is short, because the
path of a Unix socket must stay under 108 bytes.
"""

from __future__ import annotations

import abc
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

from tests.lab.faults import Clock, kill

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
LOOK_EVERY_S = 0.02


class ServerFailedError(RuntimeError):
    """The server did not start or did not stop; the message ends with what it wrote."""


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail it where CONNFORENSICS_NO_SKIP=1 forbids skips."""
    import pytest

    if os.environ.get("CONNFORENSICS_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(abc.ABC):
    """One server: started on entering, stopped and wiped on leaving, also when the script dies of an exception.

    `clock` is the one it goes by, if not the machine's.
    """

    NAME: ClassVar[str]
    STOPPED_BY: ClassVar[signal.Signals]
    """How it is told to go when its test is over."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.port = 0
        self.base = Path()
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: list[Any] = []

    def __enter__(self) -> Self:
        self.base = Path(tempfile.mkdtemp(prefix="cf", dir="/tmp"))
        self.base.chmod(0o755)
        atexit.register(self.stop)
        try:
            self._give(self.base)
            self._initialise()
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
    @abc.abstractmethod
    def log_path(self) -> Path:
        """The log."""

    @property
    def pid(self) -> int:
        """The process that was started: the parent of all others."""
        if self._process is None:
            raise ValueError(f"{self.NAME} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        for turn in (1, 2):
            self.port = self.port or free_port()
            self._process = self._popen(self._command(), "server.out")
            try:
                return self._wait_until_ready(self._process)
            except ServerFailedError as error:
                if turn == 2 or "Address already in use" not in str(error):
                    raise
                self.port = 0
        return None

    def end(self, how: signal.Signals | None = None) -> None:
        """End the process, as it is done at the end unless told, and keep its directory: `start` brings it back."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how or self.STOPPED_BY)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill(process.pid)
            process.wait(STOP_TIMEOUT_S)

    def crash(self) -> None:
        """Kill the server and all it has started with SIGKILL, and start it again: it recovers."""
        kill(self.pid)
        self.end()
        self.start()

    def stop(self) -> None:
        """Stop the server and remove its directory; harmless when it is stopped already."""
        for connection in self._connections:
            self._drop(connection)
        self._connections.clear()
        self.end()
        if self.base != Path():
            shutil.rmtree(self.base, ignore_errors=True)
        atexit.unregister(self.stop)

    def log_text(self) -> str:
        """The log so far."""
        return _text(self.log_path)

    def wait_for_log(self, text: str, *, count: int = 1, path: Path | None = None, timeout_s: float = 10.0) -> str:
        """A log once `text` stands in it `count` times: its lines arrive after the client has its answer."""
        path = path or self.log_path
        until = time.monotonic() + timeout_s
        while (found := _text(path)).count(text) < count:
            if time.monotonic() > until:
                times = found.count(text)
                raise AssertionError(f"{text!r} is {times} times in {path.name} after {timeout_s} s, not {count}")
            time.sleep(LOOK_EVERY_S)
        return found

    @abc.abstractmethod
    def _initialise(self) -> None:
        """Make what must be there before the first start."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """Write what the program reads when it starts; what to run."""

    @abc.abstractmethod
    def _is_ready(self) -> bool:
        """Whether it takes connections."""

    def _environment(self) -> dict[str, str]:
        """What the program's environment has besides the usual."""
        return {}

    @staticmethod
    def _drop(connection: Any) -> None:
        connection.close()

    @staticmethod
    def _user() -> pwd.struct_passwd | None:
        """Whose the server is: as root `nobody`, since it refuses to be root's."""
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def _give(self, path: Path) -> None:
        user = self._user()
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)

    def _popen(self, command: list[str], out: str) -> subprocess.Popen[bytes]:
        user = self._user()
        whose = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.base),
            "TMPDIR": str(self.base),  # a MariaDB that starts removes temporary tables of others from a common one
            "LC_ALL": "C",
            "TZ": "UTC",
            **self._environment(),
            **(self._clock.kept_in(self.base) if self._clock is not None else {}),
        }
        with (self.base / out).open("ab") as written:
            return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
                command,
                env=environment,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                restore_signals=False,  # SIGXFSZ stays ignored: a file that may not grow is an error, not the end
                **whose,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and process.poll() is None:
            if self._is_ready():
                return
            time.sleep(LOOK_EVERY_S)
        raise ServerFailedError(f"{self.NAME} did not start:\n{_text(self.base / 'server.out')}{self.log_text()}")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
