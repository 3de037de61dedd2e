"""The loop: one thread a server, a sample at each tick, a connection held whatever happens, nothing kept in memory.

A tick that is missed because the server did not answer in time is not made up for: the gap is reported, in the evidence
as well. A server that is full, restarts, fails over or is cut off is asked again with jittered pauses; what it says each
time is evidence.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from connforensics.errors import StorageError, UnreachableError, UsageError
from connforensics.record.address import Address
from connforensics.record.files import Folder, Lines, Retention, now
from connforensics.record.target import (
    ANSWER_TIMEOUT_S,
    Gauge,
    LostError,
    MissedError,
    RefusedError,
    Rows,
    Sample,
    Stamp,
    Target,
)
from connforensics.record.texts import Dialect, QueryText, keeper
from connforensics.record.trigger import Bar, Ring

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
"""Pauses between attempts double from the first to the longest, each cut by up to a half at random, so that many
recorders do not knock together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)."""

LOOK_EVERY_S: Final = 0.5
TIDY_EVERY_S: Final = 60.0

MOST_FILE_BYTES: Final = 256 << 20
FILES_IN_LIMIT: Final = 16
"""A file is at most this part of a target's share of --max-size, so that removing the oldest gives room step by step."""

SAME_START: Final = timedelta(seconds=3)
"""Starts of a server closer than this are one: MySQL tells its uptime in whole seconds. PostgreSQL tells the moment."""

CLOCKS_AGREE: Final = timedelta(seconds=1)
"""How far the clocks of two servers may be apart for the start of one to be compared with the last sample of the other."""

SHUTDOWN_TIMEOUT_S: Final = 20.0
THEN_TIMEOUT_S: Final = 60.0
"""How long the end waits for a command of --then; it goes on by itself after that."""

SECRETS: Final = ("PGPASSWORD", "MYSQL_PWD", "PROMETHEUS_TOKEN")
"""Not handed on to the command of --then."""

MAIN: Final = frozenset(("activity", "processlist", "pools", "connection_pool"))
"""Streams of which an empty sample says something."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to record. `bars` make it a trigger: only what surrounds their passing is written."""

    folder: Path
    every_s: float = 1.0
    for_s: float | None = None
    keep: timedelta | None = None
    max_bytes: int | None = None
    query_text: QueryText = "normalised"
    bars: tuple[Bar, ...] = ()
    ring: timedelta = timedelta(minutes=10)
    cool_down: timedelta = timedelta(minutes=5)
    then: str = ""


@dataclass(slots=True)
class Outcome:
    """What was recorded of one server."""

    name: str
    folder: str
    samples: int = 0
    missed: int = 0
    skipped: int = 0
    refusals: int = 0
    reconnects: int = 0
    incidents: int = 0


@dataclass(slots=True)
class _Steady:
    stamp: Stamp
    rows: Rows
    digest: bytes
    is_written: bool = False


def target_of(address: Address, defaults_file: Path | None = None) -> Target:
    """Return the target at an address; `defaults_file` is the option file of MySQL's protocol."""
    if address.kind == "postgres":
        from connforensics.record.postgres import Postgres

        return Postgres(address.name, address.target)
    if address.kind == "pgbouncer":
        from connforensics.record.pgbouncer import PgBouncer

        return PgBouncer(address.name, address.target)
    if address.kind == "mysql":
        from connforensics.record.mysql import MySQL

        return MySQL(address.name, address.parameters, defaults_file)
    from connforensics.record.proxysql import ProxySQL

    return ProxySQL(address.name, address.parameters, defaults_file)


class Watch:
    """One server being recorded, in a thread of its own; `among` is how many servers share the space on disk."""

    def __init__(
        self, target: Target, server: str | None, plan: Plan, stop: threading.Event, say: Say, among: int = 1
    ) -> None:
        self.target = target
        self.bars = tuple(bar for bar in plan.bars if bar.gauge in target.gauges)
        self.outcome = Outcome(target.name, str(plan.folder / target.name))
        self.failure: LostError | RefusedError | None = None
        self.defect: Exception | None = None
        self.busy_since: float | None = None
        self.commands: list[subprocess.Popen[bytes]] = []
        self._server = server
        self._plan = plan
        self._among = among
        self._stop = stop
        self._say = say
        dialect: Dialect = "postgres" if target.engine in ("postgres", "pgbouncer") else "mysql"
        self._texts = keeper(plan.query_text, dialect)
        self._lines = Lines()
        self._ring = Ring(plan.ring)
        self._folder: Folder | None = None if plan.bars else self._files(plan.folder / target.name)
        self._quiet_since: float | None = None
        self._steady: dict[str, _Steady] = {}
        self._started_at: datetime | None = None
        self._seen_at: datetime | None = None
        self._is_standby: bool | None = None
        self._told = ""
        self._fresh_refusals = 0
        self._has_connected = False
        self._was_there = False
        self._thread = threading.Thread(target=self._run, name=f"record {target.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until it has stopped and its files are closed."""
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it is still recording."""
        return self._thread.is_alive()

    def open_paths(self) -> set[Path]:
        """Return the files being written."""
        folder = self._folder
        return folder.paths() if folder is not None else set()

    def _files(self, path: Path) -> Folder:
        limit = self._plan.max_bytes
        most = min(MOST_FILE_BYTES, max(limit // (FILES_IN_LIMIT * self._among), 1)) if limit else MOST_FILE_BYTES
        return Folder(path, most, self._on_full, self._on_space)

    def _run(self) -> None:
        try:
            attempt = 0
            while not self._stop.is_set():
                if self._has_watched():
                    attempt = 0
                else:
                    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 10))
                    attempt += 1
                    self._stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
        finally:
            self.target.close()
            self._end_incident()
            if self._folder is not None:
                self._folder.close()

    def _has_watched(self) -> bool:
        """Connect and sample until the connection is lost; whether there was one. A defect is said and does not end it."""
        try:
            if not self._connect():
                return False
            self._watch()
        except Exception as error:
            self.defect = error
            self.target.close()
            self._tell(f"a defect of connforensics, trying again: {type(error).__name__}: {error}")
            return False
        return True

    def _connect(self) -> bool:
        self.busy_since = time.monotonic()
        try:
            notes = self.target.connect()
        except RefusedError as error:
            self.outcome.refusals += error.is_slot
            self._fresh_refusals += error.is_slot
            self._note("refused", error.text, error.code, reason=error.reason, stream="refusals")
            self._tell(f"refused: {error.text}")
            self._was_there = self._was_there or error.is_passing
            self.failure = None if self._was_there else error
            self._weigh({})
            return False
        except LostError as error:
            self._note("unreachable", error.text, error.code, stream="refusals")
            self._tell(f"cannot be reached: {error.text}")
            self.failure = None if self._was_there else error
            return False
        finally:
            self.busy_since = None
        self.failure = None
        again = "connected again" if self._has_connected else "connected"
        self.outcome.reconnects += self._has_connected
        self._has_connected = self._was_there = True
        version = f"{self.target.engine} {self.target.version or ''}".strip()
        self._note("connected", f"{again}: {version} at {self.target.place}, own session {self.target.own}")
        self._tell(f"{again}: {version}, one sample every {self._plan.every_s:g} s")
        for note in notes:
            self._note("note", note)
            self._tell(note)
        return True

    def _watch(self) -> None:
        every = self._plan.every_s
        due = time.monotonic()
        while not self._stop.is_set():
            asked, asked_at = time.monotonic(), now()
            self.busy_since = asked
            try:
                sample = self.target.sample()
            except MissedError as error:
                self.outcome.missed += 1
                self._note("missed", error.text, error.code)
                self._tell(f"a sample was missed: {error.text}")
            except LostError as error:
                self._note("lost", error.text, error.code)
                self._tell(f"the connection was lost: {error.text}")
                return
            else:
                self._store(sample, asked_at, (asked - due) * 1000, (time.monotonic() - asked) * 1000)
            finally:
                self.busy_since = None
            due += every
            behind = time.monotonic() - due
            if behind >= every:
                skipped = int(behind // every)
                due += skipped * every
                self.outcome.skipped += skipped
                self._note("gap", f"{skipped} samples skipped: the one before took {behind + every:.1f} s")
                self._tell(f"{skipped} samples skipped, the server or this machine was slow")
            self._stop.wait(max(due - time.monotonic(), 0.0))

    def _store(self, sample: Sample, asked_at: datetime, late_ms: float, took_ms: float) -> None:
        target = self.target
        stamp = Stamp(
            target.engine,
            target.version,
            self._server,
            sample.sampled_at or asked_at,
            "server" if sample.sampled_at else "recorder",
            asked_at,
            max(late_ms, 0.0),
            took_ms,
            target.own,
            sample.server_ms,
        )
        self.outcome.samples += 1
        self._look_at_start(sample)
        for stream, rows in sample.steady.items():
            digest = hashlib.blake2b(repr(rows).encode("utf-8", "backslashreplace"), digest_size=16).digest()
            held = self._steady.get(stream)
            if held is None or held.digest != digest:
                self._steady[stream] = _Steady(stamp, rows, digest)
        self._weigh(sample.gauges)
        self._write_steady(asked_at)
        for stream, rows in sample.streams.items():
            if rows.values or stream in MAIN:
                self._write(stream, asked_at, self._lines.of(stream, stamp, rows, self._texts))

    def _write_steady(self, moment: datetime) -> None:
        """Write what changed, and all of it at the head of each file: a file that retention removes takes nothing along."""
        if self._folder is None:
            return
        for stream, held in self._steady.items():
            if held.rows.values and (not held.is_written or self._folder.is_new_hour(stream, moment)):
                text = self._lines.of(stream, held.stamp, held.rows, self._texts)
                held.is_written = self._folder.append(stream, moment, text)

    def _write(self, stream: str, moment: datetime, text: bytes) -> None:
        """Write one sample; while it cannot be written it is kept in the ring."""
        if self._folder is None or not self._folder.append(stream, moment, text):
            self._ring.add(stream, moment, text)

    def _look_at_start(self, sample: Sample) -> None:
        """Tell a restart, another server in the place of the one before, and a standby that was promoted."""
        before, seen_at, started_at = self._started_at, self._seen_at, sample.started_at
        self._seen_at = sample.sampled_at
        if self._is_standby and sample.is_standby is False:
            self._happened("promoted", "the server left recovery: a standby was promoted")
        self._is_standby = sample.is_standby
        if started_at is None:
            return
        self._started_at = started_at
        if before is None or abs(started_at - before) <= (SAME_START if sample.is_start_rough else timedelta()):
            return
        starts = f"{started_at:%Y-%m-%d %H:%M:%S} UTC, before that at {before:%Y-%m-%d %H:%M:%S}"
        if seen_at is not None and started_at < seen_at - CLOCKS_AGREE:
            self._happened(
                "server_changed", f"another server answers at {self.target.place}: it was started at {starts}"
            )
        else:
            self._happened("server_started", f"the server was started at {starts}", started_at)

    def _happened(self, what: str, says: str, event_at: datetime | None = None) -> None:
        self._note(what, says, event_at=event_at)
        self._tell(says)

    def _note(
        self,
        what: str,
        text: str,
        code: str | None = None,
        *,
        reason: str | None = None,
        stream: Literal["events", "refusals"] = "events",
        event_at: datetime | None = None,
    ) -> None:
        """Write one thing that happened to the recorder."""
        moment = now()
        stamp = Stamp(self.target.engine, self.target.version, self._server, moment, "recorder", moment)
        at = f"{(event_at or moment).isoformat(timespec='microseconds')}Z"
        rows = Rows(("event_at", "what", "reason", "code", "says"), [(at, what, reason, code, text)])
        self._write(stream, moment, self._lines.of(stream, stamp, rows, lambda text: text))

    def _tell(self, text: str) -> None:
        """Say something once, until something else is to be said."""
        if text != self._told:
            self._told = text
            self._say(f"{self.target.name}: {text}")

    def _on_full(self, why: str) -> None:
        self._say(
            f"{self.target.name}: cannot write into {self.outcome.folder}: {why}; the last {self._plan.ring} are kept in memory"
        )

    def _on_space(self) -> None:
        self._say(f"{self.target.name}: writing again")
        self._write_ring()

    def _write_ring(self) -> None:
        folder = self._folder
        if folder is None:
            return
        for stream, (begun, frames) in self._ring.parts().items():
            if folder.add_file(stream, begun, frames):
                self._ring.forget(stream)

    def _weigh(self, gauges: Mapping[Gauge, float]) -> None:
        """Hold the numbers of a sample against the bars: begin an incident, go on with it, or end it."""
        if not self._plan.bars:
            return
        told: dict[Gauge, float] = dict(gauges)
        told["refusals"] = told.get("refusals", 0.0) + self._fresh_refusals
        self._fresh_refusals = 0
        passed = [bar for bar in self.bars if bar.passes(told)]
        if passed:
            self._quiet_since = None
            if self._folder is None:
                self._begin_incident(passed[0], told)
        elif self._folder is not None:
            moment = time.monotonic()
            self._quiet_since = self._quiet_since or moment
            if moment - self._quiet_since >= self._plan.cool_down.total_seconds():
                self._note("calm", f"no bar was passed for {self._plan.cool_down}")
                self._end_incident()

    def _begin_incident(self, bar: Bar, gauges: dict[Gauge, float]) -> None:
        moment = now()
        path = self._plan.folder / self.target.name / f"incident-{moment:%Y%m%dT%H%M%S}Z"
        self._folder = self._files(path)
        self.outcome.incidents += 1
        for held in self._steady.values():
            held.is_written = False
        said = f"{bar.text}: {bar.gauge} is {gauges[bar.gauge]:g}"
        self._tell(f"{said}; writing into {path}")
        self._write_ring()
        self._note("triggered", said)

    def _end_incident(self) -> None:
        folder = self._folder
        if not self._plan.bars or folder is None:
            return
        folder.close()
        self._folder, self._quiet_since = None, None
        if self._plan.then:
            command = [part.replace("{folder}", str(folder.path)) for part in shlex.split(self._plan.then)]
            self._say(f"{self.target.name}: running {command[0]}")
            environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
            try:
                self.commands.append(
                    subprocess.Popen(
                        command,
                        env={**environment, "CONNFORENSICS_FOLDER": str(folder.path)},
                        stdin=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )
            except OSError as error:
                self._say(f"{self.target.name}: {command[0]} could not be run: {error.strerror}")


def _make(folder: Path) -> None:
    """Make a folder that can be written; one on a full disk can be when there is space again. Raises StorageError."""
    hint = "Name a folder that can be written."
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}", hint) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder}: cannot be written", hint)


@dataclass(slots=True)
class Recorder:
    """Records several servers at once until it is stopped, or its time is over.

    `targets` come with the name their rows bear in a case, or None.
    """

    targets: Sequence[tuple[Target, str | None]]
    plan: Plan
    say: Say
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask it to end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> list[Outcome]:
        """Record; returns what was recorded of each server.

        Raises UnreachableError when no server could be reached at the start, StorageError when the folder cannot be made or
        written, UsageError when nothing that is recorded could ever pass a bar.
        """
        self._look_at_bars()
        folder = self.plan.folder
        _make(folder)
        for target, _ in self.targets:
            if (folder / target.name).exists():
                _make(folder / target.name)
        watches = [
            Watch(target, server, self.plan, self._stop, self.say, len(self.targets)) for target, server in self.targets
        ]
        retention = Retention(
            folder,
            self.plan.keep,
            self.plan.max_bytes,
            lambda: set().union(*(watch.open_paths() for watch in watches)),
        )
        for watch in watches:
            watch.start()
        started = tidied = time.monotonic()
        while not self._stop.wait(LOOK_EVERY_S):
            moment = time.monotonic()
            for watch in watches:
                busy = watch.busy_since
                if busy is not None and moment - busy > ANSWER_TIMEOUT_S:
                    watch.target.abort()
            if self.plan.for_s is not None and moment - started >= self.plan.for_s:
                break
            if all(watch.failure is not None or not watch.is_alive for watch in watches):
                break
            if moment - tidied >= TIDY_EVERY_S:
                tidied = moment
                retention.enforce(now())
                for watch in watches:
                    watch.commands[:] = [command for command in watch.commands if command.poll() is None]
        self._stop.set()
        return self._finish(watches, retention)

    def _look_at_bars(self) -> None:
        """Say which bars a server's numbers cannot pass."""
        for bar in self.plan.bars:
            deaf = [target for target, _ in self.targets if bar.gauge not in target.gauges]
            if len(deaf) == len(self.targets):
                raise UsageError(
                    f"--trigger {bar.text!r}: {deaf[0].engine} does not tell {bar.gauge}",
                    f"It tells {', '.join(sorted(deaf[0].gauges - {'usable'}))}.",
                )
            for target in deaf:
                self.say(f"{target.name}: {target.engine} does not tell {bar.gauge}; {bar.text} is not watched there")

    def _finish(self, watches: list[Watch], retention: Retention) -> list[Outcome]:
        for watch in watches:
            watch.join(SHUTDOWN_TIMEOUT_S / 4)
        for watch in watches:
            if watch.is_alive:
                watch.target.abort()
                watch.join(SHUTDOWN_TIMEOUT_S)
        for command in [command for watch in watches for command in watch.commands]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(THEN_TIMEOUT_S)
        retention.enforce(now())
        for watch in watches:
            if watch.defect is not None:
                raise watch.defect
        failed = [watch for watch in watches if watch.failure is not None]
        if len(failed) == len(watches):
            error = failed[0].failure
            raise UnreachableError(
                f"{failed[0].target.name}: {getattr(error, 'text', error)}",
                "Check the address, the network and the role; what the server said stands in the folder.",
            )
        return [watch.outcome for watch in watches]
