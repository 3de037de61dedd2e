"""What a line says, whatever frame it comes in: one catalogue of messages per program that writes logs.

A catalogue is data: a module of this folder with a `CATALOGUE`, a tuple of entries that each hold a sample as the
program really wrote it. PostgreSQL's entries have a shape of their own (messages/postgres.py); all others are
`Message`s, typed by `line_log`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

FIELDS: Final = (
    "reason", "severity", "sqlstate", "error_code", "backend_id", "session_key", "user_name", "database_name",
    "application_name", "client_host", "client_port", "duration_ms", "duration_s", "duration_us", "detail", "version",
)  # fmt: skip
"""The groups a pattern may name: columns of `event`, durations in other units, and the program's version."""


@dataclass(frozen=True)
class Message:
    """A text and what it means.

    `pattern` is searched in the message (a regular expression that RE2 and Python read alike: no look-around, no
    back-reference; unnamed groups are `(?:...)`), its named groups are of `FIELDS`. `has` holds literals of which one
    must occur, letter by letter: they keep millions of other lines cheap, so each must be rare in other lines. A `kind`
    of None says that the text is known and tells nothing about connections. The first entry that fits wins.
    `since` and `until` are the first and last version that write it. Where the same words mean another thing in lines of
    another kind, `frame` names the frame whose lines are meant.
    """

    kind: str | None
    sample: str
    has: str | tuple[str, ...]
    pattern: str = ""
    reason: str | None = None
    severity: str | None = None
    sqlstate: str | None = None
    error_code: str | None = None
    since: str | None = None
    until: str | None = None
    frame: str | None = None

    @property
    def literals(self) -> tuple[str, ...]:
        """The texts one of which must occur."""
        return (self.has,) if isinstance(self.has, str) else self.has

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The named groups of the pattern, in order."""
        return tuple(re.compile(self.pattern).groupindex) if self.pattern else ()

    def fits(self, text: str, frame: str | None = None) -> bool:
        """Tell whether a text is this message, in a line of any frame or of the one named."""
        if frame is not None and self.frame not in (None, frame):
            return False
        return any(literal in text for literal in self.literals) and (
            not self.pattern or re.search(self.pattern, text) is not None
        )
