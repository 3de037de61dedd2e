"""Faults at hand: a network that is slow, silent or gone, a server that stands still or dies, a full disk, a wrong clock.

    with Postgres(15, clock=Clock(+40)) as server, TcpProxy("127.0.0.1", server.port) as line:
        server.connect(port=line.port)
        line.hold()
        with paused(server.pid):
            ...

All of them are real and none needs privileges, but for `small_disk`, which mounts a tmpfs and so is root's; `file_limit`
stands in for it. A wrong clock is libfaketime's, preloaded into the server (Debian: faketime): a time namespace
(`unshare --time`) shifts only the clocks that no log shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BLOCK = 1 << 16
BLOCKS_UNDER_WAY = 64
ACT_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.005


@dataclass(eq=False)
class _Line:
    near: socket.socket
    far: socket.socket | None = None
    task: asyncio.Task[None] | None = None


class TcpProxy:
    """A line to a server that can be made slow, silent, cut or reset; it listens on `port` of 127.0.0.1 until `close`.

    What is called takes effect before it returns, on the connections that are open and on those to come.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._delay_s = 0.0
        self._lines: set[_Line] = set()
        self._half_open: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="TcpProxy", daemon=True)
        self._flows = asyncio.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self.port = _bind(self._listener)
        self._acceptor: asyncio.Task[None] | None = None
        self._thread.start()
        self.restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._lines)

    def delay(self, seconds: float) -> None:
        """Carry every block so much later, each way; one block does not wait for another."""
        self._delay_s = seconds

    def hold(self) -> None:
        """Accept and forward nothing: neither side hears a word, nor an end. What was sent arrives after `restore`."""
        self._do(self._stop_flowing())

    def cut(self, *, server_hears: bool = True) -> None:
        """End every connection with FIN and refuse new ones, as when a load balancer goes.

        Without `server_hears` the server's side stays open and silent until `close`: it keeps sessions whose clients are
        gone. Its keep-alives are answered all the same, since this machine's kernel answers them.
        """
        self._do(self._end_lines(_finish, server_hears))
        self._do(self._stop_listening())

    def reset(self, *, server_hears: bool = True) -> None:
        """End every connection with RST, as a firewall does that has forgotten them; new ones are taken."""
        self._do(self._end_lines(_reset, server_hears))

    def lead_to(self, target_port: int) -> None:
        """Lead new connections to another server, as after a failover; those that are open stay where they are."""
        self._target = (self._target[0], target_port)

    def restore(self) -> None:
        """Be a plain line again: nothing is delayed, held or refused."""
        self._delay_s = 0.0
        self._do(self._listen())

    def close(self) -> None:
        """End every connection and the proxy; harmless when it is closed already."""
        if self._loop.is_closed():
            return
        self._do(self._stop_listening())
        self._do(self._end_lines(_finish, True))
        for orphan in (*self._half_open, self._listener):
            orphan.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ACT_TIMEOUT_S)
        self._loop.close()

    def _do(self, act: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(act, self._loop).result(ACT_TIMEOUT_S)

    async def _listen(self) -> None:
        self._flows.set()
        if self._acceptor is None:
            self._listener.listen(1024)
            self._acceptor = self._loop.create_task(self._accept())

    async def _stop_listening(self) -> None:
        """Refuse; the port stays taken, so that `restore` finds it."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            await _cancelled(acceptor)
            self._listener.shutdown(socket.SHUT_RDWR)

    async def _stop_flowing(self) -> None:
        self._flows.clear()

    async def _end_lines(self, end: Callable[[socket.socket], None], server_hears: bool) -> None:
        lines = list(self._lines)
        for line in lines:
            if line.task is not None:
                await _cancelled(line.task)
            end(line.near)
            if line.far is not None and server_hears:
                end(line.far)
            elif line.far is not None:
                self._half_open.append(line.far)
        self._lines.difference_update(lines)

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            line = _Line(near)
            self._lines.add(line)
            line.task = self._loop.create_task(self._carry(line))

    async def _carry(self, line: _Line) -> None:
        """Carry both ways until both sides have ended; an end is passed on as the side that ended meant it."""
        near = line.near
        await self._flows.wait()
        line.far = far = socket.socket()
        try:
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(far, self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(near, far))
                both.create_task(self._pump(far, near))
        except* OSError:
            self._lines.discard(line)
            _reset(near)
            _reset(far)
        else:
            self._lines.discard(line)
            near.close()
            far.close()

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(BLOCKS_UNDER_WAY)

        async def deliver() -> None:
            while True:
                due, block = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                await self._flows.wait()
                if not block:
                    sink.shutdown(socket.SHUT_WR)
                    return
                await self._loop.sock_sendall(sink, block)

        async with asyncio.TaskGroup() as group:
            group.create_task(deliver())
            block = b"first"
            while block:
                block = await self._loop.sock_recv(source, BLOCK)
                await under_way.put((self._loop.time() + self._delay_s, block))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ExceptionGroup, OSError):
        await task


def _bind(listener: socket.socket) -> int:
    """Bind to a free port by its number: one that the kernel chose itself would be given back when listening ends."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        listener.bind(("127.0.0.1", port))
        return port


def _finish(end: socket.socket) -> None:
    """Close with FIN: what was not read would make it a RST."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_WR)
        while end.recv(BLOCK):
            pass
    end.close()


def _reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def family(pid: int) -> list[int]:
    """A process and all it has started, parents first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Have a process and all it has started stand still (SIGSTOP) until the end of the block.

    The kernel still accepts connections for it, until the backlog is full. Not the process group: PostgreSQL gives each of
    its processes one of its own.
    """
    stopped: list[int] = []
    try:
        while fresh := [each for each in family(pid) if each not in stopped]:
            for each in fresh:
                stopped.append(each)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGSTOP)
                    _wait_until_it_stands(each)
        yield
    finally:
        for each in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def _wait_until_it_stands(pid: int) -> None:
    until = time.monotonic() + ACT_TIMEOUT_S
    while (state := _state(pid)) not in "TZX":
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} does not stand still: {state}")
        time.sleep(LOOK_EVERY_S)


def _state(pid: int) -> str:
    """The letter of proc(5); X when it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def kill(pid: int) -> None:
    """Kill a process and all it has started with SIGKILL, at one moment: none sees another die."""
    with paused(pid):
        for each in family(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


@contextlib.contextmanager
def file_limit(pid: int, most_bytes: int) -> Iterator[None]:
    """Let no file of a process and of all it has started grow above a size until the end of the block.

    A write comes back short, then fails with EFBIG; the lab's servers and Python ignore the signal that comes with it. It
    is a limit of each file: small ones are still written, and one below 16 MB stops PostgreSQL, whose log segments are as
    large. The processes must have had none.
    """
    for each in family(pid):
        _limit_files(each, str(most_bytes))
    try:
        yield
    finally:
        for each in family(pid):
            _limit_files(each, "unlimited")


def _limit_files(pid: int, soft: str) -> None:
    """Set the soft limit; as root in the name of the process's user, since root may lack the capability for others'."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        owner = Path(f"/proc/{pid}").stat()
        whose: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        command = ["prlimit", f"--pid={pid}", f"--fsize={soft}:"]
        done = subprocess.run(command, capture_output=True, text=True, **(whose if os.geteuid() == 0 else {}))
        if done.returncode and _state(pid) not in "ZX":
            raise PermissionError(done.stderr.strip())


@dataclass
class SmallDisk:
    """A disk of its own; `fill` leaves no byte free, `free` gives them back."""

    path: Path
    _ballast: list[Path] = field(default_factory=list)

    def fill(self) -> None:
        """Fill it up: the next write fails with ENOSPC."""
        ballast = self.path / f"ballast-{len(self._ballast)}"
        self._ballast.append(ballast)
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(resource.getpagesize()))

    def free(self) -> None:
        """Give the space back."""
        while self._ballast:
            self._ballast.pop().unlink()


def may_mount() -> bool:
    """Whether `small_disk` can be had: root with the right to mount."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), small_disk(1 << 16):
        return True
    return False


@contextlib.contextmanager
def small_disk(most_bytes: int) -> Iterator[SmallDisk]:
    """A disk of so many bytes (a tmpfs), everybody's to write on. Raises CalledProcessError where none may be mounted."""
    with tempfile.TemporaryDirectory(prefix="cfd", dir="/tmp") as place:
        command = ["mount", "-t", "tmpfs", "-o", f"size={most_bytes},mode=1777", "tmpfs", place]
        subprocess.run(command, check=True, capture_output=True)
        try:
            yield SmallDisk(Path(place))
        finally:
            subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


@dataclass
class Clock:
    """A clock that is `shift_s` ahead of the machine's, for the server it is given to; intervals stay true.

    A shift while the server runs is noticed within a second.
    """

    shift_s: float = 0.0
    _path: Path | None = None

    def shift(self, shift_s: float) -> None:
        """Set it anew, also while the server runs: as when somebody corrects a clock."""
        self.shift_s = shift_s
        if self._path is not None:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(f"{shift_s:+.3f}\n")
            fresh.chmod(0o644)
            fresh.rename(self._path)

    def kept_in(self, folder: Path) -> dict[str, str]:
        """The environment of a program that goes by this clock, which lies in `folder`."""
        library = faketime()
        if library is None:
            raise FileNotFoundError("libfaketime is not installed: run python -m tests.lab.install")
        self._path = folder / "clock"
        self.shift(self.shift_s)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def faketime() -> Path | None:
    """The library of Debian's libfaketime, or None."""
    return next(Path("/usr/lib").glob("*-linux-gnu*/faketime/libfaketimeMT.so.1"), None)
