"""When to write: bars that numbers of a sample may pass, and the ring of what happened just before.

connections>=90%              of the slots that ordinary roles can get; without % a number of sessions
idle_in_transaction_age>60s   the longest rest inside a transaction
waiting>10                    sessions that wait for a lock; behind a pooler, clients that wait for a server
refusals>=1                   since the sample before: the recorder's own, and the server's where it counts them
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, get_args

from connforensics.errors import UsageError
from connforensics.record.files import END_OF_FRAME, Frame
from connforensics.record.target import Gauge

SEGMENTS: Final = 10
"""Parts of the ring: the oldest is dropped whole, so the ring is up to a tenth longer than asked for."""

_BAR: Final = re.compile(r"^\s*(\w+)\s*(>=|>)\s*(\d+(?:\.\d+)?)\s*(%|ms|s|m|min|h)?\s*$")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Bar:
    """One condition; `is_share` makes `value` a share of the usable slots."""

    text: str
    gauge: Gauge
    value: float
    is_strict: bool
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Bar:
        """Return the bar that `text` writes.

        Raises UsageError when it is none.

        >>> Bar.parse("connections>=90%").passes({"connections": 90, "usable": 100})
        True
        >>> Bar.parse("idle_in_transaction_age>1min").passes({"idle_in_transaction_age": 60})
        False
        """
        found = _BAR.match(text)
        gauges = [name for name in get_args(Gauge) if name != "usable"]
        name, sign, number, unit = found.groups() if found else ("", "", "0", None)
        is_age = name == "idle_in_transaction_age"
        if name not in gauges or (unit in _UNITS and not is_age) or (unit == "%" and name != "connections"):
            raise UsageError(
                f"--trigger {text!r}: not a condition that can be watched",
                f"One of {', '.join(gauges)}; for example connections>=90% or idle_in_transaction_age>60s.",
            )
        value = float(number) * (0.01 if unit == "%" else _UNITS.get(unit or "", 1.0))
        return cls(text, name, value, sign == ">", unit == "%")  # type: ignore[arg-type]

    def passes(self, gauges: Mapping[Gauge, float]) -> bool:
        """Tell whether the numbers of a sample pass the bar; a number that is not told does not."""
        found = gauges.get(self.gauge)
        if found is None:
            return False
        bar = self.value
        if self.is_share:
            usable = gauges.get("usable", 0.0)
            if usable <= 0:
                return False
            bar *= usable
        return found > bar if self.is_strict else found >= bar


@dataclass(slots=True)
class _Segment:
    begun: datetime
    clock: float
    frames: dict[str, Frame] = field(default_factory=dict)
    packed: dict[str, bytearray] = field(default_factory=dict)

    def close(self) -> None:
        for stream in self.frames:
            self.packed[stream] += END_OF_FRAME
        self.frames.clear()


@dataclass(slots=True)
class Ring:
    """The samples of the last `length`, packed in memory."""

    length: timedelta
    _segments: deque[_Segment] = field(default_factory=deque)

    def add(self, stream: str, moment: datetime, text: bytes, clock: float | None = None) -> None:
        """Keep one sample of a stream; forgets what is older than the ring is long.

        That is measured in seconds of `clock`, time.monotonic() unless told: the machine's own time may be set back.
        """
        told = time.monotonic() if clock is None else clock
        if not self._segments or told - self._segments[-1].clock >= self.length.total_seconds() / SEGMENTS:
            if self._segments:
                self._segments[-1].close()
            self._segments.append(_Segment(moment, told))
            while len(self._segments) > 1 and told - self._segments[1].clock >= self.length.total_seconds():
                self._segments.popleft()
        last = self._segments[-1]
        if stream not in last.frames:
            last.frames[stream] = Frame()
        last.packed.setdefault(stream, bytearray()).extend(last.frames[stream].pack(text))

    def parts(self) -> dict[str, tuple[datetime, bytes]]:
        """Return what the ring holds of each stream, as zstd frames with the time of the first."""
        found: dict[str, tuple[datetime, bytes]] = {}
        for segment in self._segments:
            segment.close()
            for stream, packed in segment.packed.items():
                begun, before = found.get(stream, (segment.begun, b""))
                found[stream] = (begun, before + bytes(packed))
        return found

    def forget(self, stream: str) -> None:
        """Drop one stream: it has been written."""
        for segment in self._segments:
            segment.packed.pop(stream, None)
        self._segments = deque(segment for segment in self._segments if segment.packed)

    @property
    def bytes(self) -> int:
        """Return how much memory the samples take."""
        return sum(len(packed) for segment in self._segments for packed in segment.packed.values())
