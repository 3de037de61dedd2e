"""Times and sizes as people write them on a command line: 1s, 2h, 7d, 500ms; 2GB, 800M."""

from __future__ import annotations

import re
from typing import Final

from connforensics.errors import UsageError

UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
UNITS_BYTES: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def seconds(text: str, option: str) -> float:
    """Return a duration in seconds. Raises UsageError when it is none, or not longer than nothing.

    >>> seconds("500ms", "--every"), seconds("2h", "--for"), seconds("90", "--for")
    (0.5, 7200.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)?\s*", text)
    if found is None or not float(found[1]):
        raise UsageError(f"{option} {text!r}: not a duration", "Write it as 500ms, 1s, 10m, 2h or 7d.")
    return float(found[1]) * UNITS_S[found[2] or "s"]


def size(text: str, option: str) -> int:
    """Return a size in bytes; units are powers of 1024. Raises UsageError when it is none.

    >>> size("2GB", "--max-size") == 2 * 1024**3
    True
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if found is None or not float(found[1]):
        raise UsageError(f"{option} {text!r}: not a size", "Write it as 500MB or 2GB.")
    return int(float(found[1]) * UNITS_BYTES[found[2]])
