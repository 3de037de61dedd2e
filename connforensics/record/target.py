"""What the recorder asks of a server, whatever kind it is: connect once, sample again and again, say why not."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol

APPLICATION: Final = "connforensics"
"""What the recorder calls itself to a server: its own session is told apart by it."""

ANSWER_TIMEOUT_S: Final = 15.0
"""A sample that has no answer by then is given up, and the connection with it: a cut network says nothing. Above the
servers' own statement timeout, which ends what is merely slow."""

STATEMENT_TIMEOUT_S: Final = 5.0
"""How long the server may work on one sample; a hundred times what one takes."""

LOCK_TIMEOUT_S: Final = 1.0
"""How long a sample may wait for a lock (somebody rewrites a catalogue)."""

CONNECT_TIMEOUT_S: Final = 10

LIMITS_EVERY_S: Final = 60.0
"""How often quotas of roles and databases are looked at; settings also when the server says it has read them anew."""

COUNTERS_EVERY_S: Final = 10.0
"""How often counters are read that only add up (pg_stat_database): a difference over 10 s says what one over 1 s does."""

LOCKS_SHARE: Final = 0.005
"""Share of the server's time that asking who waits for whom may take: the answer grows with the square of the queue, so
that a queue of hundreds is asked for every few seconds only."""

Gauge = Literal["connections", "usable", "idle_in_transaction_age", "waiting", "refusals"]
"""What a trigger can watch. `refusals` is the growth since the sample before; the recorder's own are known of any server."""

GAUGES: Final[frozenset[Gauge]] = frozenset(("connections", "usable", "idle_in_transaction_age", "waiting", "refusals"))


@dataclass(frozen=True, slots=True)
class Rows:
    """Whole rows of one stream, with the names the server gave its columns."""

    columns: tuple[str, ...]
    values: list[tuple[Any, ...]]

    def column(self, name: str) -> list[Any]:
        """Return the values of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.values]

    def pairs(self, key: str, value: str) -> dict[Any, Any]:
        """Return the values of one column by those of another."""
        return dict(zip(self.column(key), self.column(value), strict=True))

    def beside(self, columns: tuple[str, ...], values: Iterable[tuple[Any, ...]]) -> Rows:
        """Return the rows with further columns: `values` has what each row gets."""
        return Rows(self.columns + columns, [row + more for row, more in zip(self.values, values, strict=True)])


class Due:
    """When something is asked for again that need not be in every sample; at first it is due."""

    def __init__(self) -> None:
        self._at = 0.0

    def has_come(self) -> bool:
        """Tell whether it is to be asked for now."""
        return time.monotonic() >= self._at

    def again_in(self, seconds: float) -> None:
        """Put it off."""
        self._at = time.monotonic() + seconds

    def at_once(self) -> None:
        """Have it asked for with the next sample."""
        self._at = 0.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a sample was taken and of what. Times are naive UTC.

    `sampled_at` is the server's clock where `clock` says so; `recorded_at` is this machine's at the moment it asked,
    `late_ms` how long after the moment it meant to, `took_ms` until it had the answer, `server_ms` what the server needed for it
    by its own clock. `own` is the id of the recorder's own session.
    """

    engine: str
    version: str | None
    server: str | None
    sampled_at: datetime
    clock: Literal["server", "recorder"]
    recorded_at: datetime
    late_ms: float = 0.0
    took_ms: float = 0.0
    own: int | None = None
    server_ms: float | None = None

    def fields(self, stream: str) -> dict[str, object]:
        """Return the fields of the line that opens a sample."""
        return {
            "connforensics": 1,
            "stream": stream,
            "engine": self.engine,
            "version": self.version,
            "server": self.server,
            "sampled_at": f"{self.sampled_at.isoformat(timespec='microseconds')}Z",
            "clock": self.clock,
            "recorded_at": f"{self.recorded_at.isoformat(timespec='microseconds')}Z",
            "late_ms": round(self.late_ms, 1),
            "took_ms": round(self.took_ms, 1),
            "server_ms": None if self.server_ms is None else round(self.server_ms, 1),
            "own": self.own,
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of a server: its clock (None where it has none to ask), rows by stream, and what triggers watch.

    `started_at` is when the server was started, `server_ms` how long it worked on the answer; `steady` streams say the same for long and are written when they change;
    `is_standby` is None where a server does not say, `is_start_rough` where it tells its start by seconds.
    """

    sampled_at: datetime | None
    streams: Mapping[str, Rows]
    gauges: Mapping[Gauge, float] = field(default_factory=dict)
    started_at: datetime | None = None
    steady: Mapping[str, Rows] = field(default_factory=dict)
    server_ms: float | None = None
    is_standby: bool | None = None
    is_start_rough: bool = False


SLOT_REASONS: Final = ("refused_full", "refused_reserved", "refused_quota")
"""Event kinds that mean there was no slot."""


class RefusedError(Exception):
    """The server was reached and said no; `reason` is the event kind that its own log has for it."""

    def __init__(self, reason: str, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.code = code

    @property
    def is_slot(self) -> bool:
        """Whether it was for want of a slot."""
        return self.reason in SLOT_REASONS

    @property
    def is_passing(self) -> bool:
        """Whether the server may say yes soon, with nothing changed here."""
        return self.is_slot or self.reason == "refused_state"


class LostError(Exception):
    """The server cannot be reached, or the connection is gone."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class MissedError(Exception):
    """One sample could not be taken; the connection is still there."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Target(Protocol):
    """One server. `place` is the address that answered, `gauges` are the numbers that its samples can tell."""

    name: str
    engine: str
    version: str | None
    own: int | None
    place: str | None
    gauges: frozenset[Gauge]

    def connect(self) -> list[str]:
        """Open the one connection; returns sentences about what this role cannot see, and how it got in.

        Raises RefusedError and LostError.
        """

    def sample(self) -> Sample:
        """Take one sample. Raises LostError when the connection is gone, MissedError when only this sample is."""

    def abort(self) -> None:
        """Cut the connection from another thread: a sample that waits for an answer ends with LostError."""

    def close(self) -> None:
        """Close the connection, harmless when there is none."""


def cut(descriptor: int) -> None:
    """Shut a socket down that another thread reads from."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as twin:
        twin.shutdown(socket.SHUT_RDWR)
