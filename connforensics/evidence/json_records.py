"""JSON of any size as the records it holds, in bounded memory, each with its true physical lines.

API answers, exports and event lists are one object around an array of records, an array of such objects, or one object
a line. A format says which containers it wants opened; what stands in them is decoded whole, one value at a time, by the
C decoder of the standard library. What is no JSON, or ends in the middle, is handed over as such: what came before it
stays.

Formats whose files this reads: https://www.rfc-editor.org/rfc/rfc8259 and, one value a line, https://jsonlines.org/
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from connforensics.evidence.lines import SUSPECT

if TYPE_CHECKING:
    from connforensics.evidence import Ledger, Reading

MAX_RECORD: Final = 64 << 20
"""Characters of one value that is decoded whole; a longer one is not understood."""

SHOWN: Final = 500

FENCES: Final = ("```", "~~~")
"""Lines that Markdown puts around a pasted document."""

Path = tuple[str, ...]
"""Where a value stands: keys of objects, `*` for an element of an array; () is a whole document."""

Opens = Callable[[Path, str], bool]
"""Whether the values of a container at this path, an object `{` or an array `[`, are wanted one by one."""

_SPACE = re.compile(r"[ \t\r\n]*")
_GOES_ON = re.compile(r"[0-9.eE+\-]*")
"""What may follow the first digits of a number that is cut off; a value that nothing else follows may be one."""

_RESUME = re.compile(r"\n(?=[{\[])")
_SUSPECT = re.compile(SUSPECT)
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A value and the first and last physical line it takes."""

    path: Path
    value: object
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Other:
    """Lines that are no JSON, or a document that breaks off; without text where it just ends too early."""

    first_line: int
    last_line: int
    text: str


class Verdict(IntEnum):
    """What became of a line; of several on one line, the greatest counts."""

    IGNORED = 0
    UNKNOWN = 1
    UNDERSTOOD = 2


@dataclass(slots=True)
class Lines:
    """Accounts for the lines of a source by the values that stand on them, told in their order."""

    ledger: Ledger
    _line: int = 0
    _verdict: Verdict = Verdict.IGNORED

    def account(self, first_line: int, last_line: int, verdict: Verdict) -> None:
        """Say what became of these lines; those passed over are brackets and commas, and say nothing."""
        if first_line > self._line:
            self._close()
            self._settle(first_line - self._line - 1, Verdict.IGNORED)
            self._line, self._verdict = first_line, verdict
        else:
            self._verdict = max(self._verdict, verdict)
        if last_line > self._line:
            self._close()
            self._settle(last_line - self._line - 1, verdict)
            self._line, self._verdict = last_line, verdict

    def finish(self, lines: int) -> None:
        """Account for the rest of a source of so many lines."""
        self.ledger.lines += lines
        self._close()
        self._settle(lines - self._line, Verdict.IGNORED)

    def _close(self) -> None:
        if self._line:
            self._settle(1, self._verdict)

    def _settle(self, lines: int, verdict: Verdict) -> None:
        if verdict is Verdict.UNDERSTOOD:
            self.ledger.understood += lines
        elif verdict is Verdict.UNKNOWN:
            self.ledger.unknown += lines
        else:
            self.ledger.ignored += lines


def records(reading: Reading, opens: Opens) -> Iterator[tuple[Record, Lines]]:
    """Yield the values of a source in their order; accounts for what is no JSON, and leaves the values to the caller.

    `opens` says which containers are walked into.
    """
    lines = Lines(reading.ledger)
    scanner = Scanner(reading.blocks(), opens)
    for found in scanner.values():
        if isinstance(found, Record):
            yield found, lines
            continue
        if not found.text.strip():
            reading.ledger.assume("a document ends before its closing bracket: what followed is lost")
            continue
        is_fence = found.text.lstrip().startswith(FENCES)
        lines.account(found.first_line, found.last_line, Verdict.IGNORED if is_fence else Verdict.UNKNOWN)
        if not is_fence:
            reading.ledger.suspects += bool(_SUSPECT.search(found.text))
            reading.ledger.example(found.first_line, found.text)
    lines.finish(scanner.lines)


class _BrokenError(Exception):
    """What stands here is no JSON."""


@dataclass(slots=True)
class Scanner:
    """Walks through the JSON of a stream of bytes."""

    blocks: Iterable[bytes]
    opens: Opens
    lines: int = 0
    _text: str = ""
    _at: int = 0
    _line: int = 1
    _counted: int = 0
    _is_over: bool = False
    _stack: list[tuple[str, Path]] = field(default_factory=list)
    _more: Iterator[str] = field(default_factory=lambda: iter(()))

    def values(self) -> Iterator[Record | Other]:
        """Yield the wanted values and what is none; `lines` is right when it ends."""
        self._more = self._decoded()
        while True:
            try:
                found = self._next()
            except _BrokenError:
                found = self._give_up()
            if found is None:
                break
            yield found
        self._count(len(self._text))
        self.lines = self._line - 1 + (1 if self._text and not self._text.endswith("\n") else 0)

    def _decoded(self) -> Iterator[str]:
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        cr_only: bool | None = None
        for block in self.blocks:
            if cr_only is None and block:
                cr_only = b"\n" not in block and b"\r" in block[:-1]
            yield utf8.decode(block.replace(b"\r", b"\n") if cr_only else block)
        yield utf8.decode(b"", final=True)

    def _fill(self, least: int) -> None:
        """Read on until so much text lies ahead, or there is no more."""
        pieces = [self._text[self._at :]]
        size = len(pieces[0])
        self._count(self._at)
        while size < least and not self._is_over:
            piece = next(self._more, None)
            if piece is None:
                self._is_over = True
                break
            pieces.append(piece)
            size += len(piece)
        ended = self._text[self._at - 1 : self._at] if self._at else ""
        self._text = "".join(pieces) or ""
        if not self._text and ended and ended != "\n":
            # Keep what tells whether the last line is ended.
            self._text, self._at, self._counted = ended, 1, 1
            return
        self._at = self._counted = 0

    def _count(self, at: int) -> int:
        """Return the line of a place, which is never before the one asked for last."""
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line

    def _peek(self) -> str:
        """Return the next letter that is no blank, '' at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_over:
                return ""
            self._fill(1)

    def _next(self) -> Record | Other | None:
        while True:
            letter = self._peek()
            if not letter:
                if not self._stack:
                    return None
                raise _BrokenError
            if not self._stack:
                if letter in "{[":
                    found = self._value(())
                elif letter == ",":
                    self._at += 1
                    continue
                else:
                    return self._talk()
            else:
                kind, path = self._stack[-1]
                if letter == ("}" if kind == "{" else "]"):
                    self._stack.pop()
                    self._at += 1
                    continue
                if letter == ",":
                    self._at += 1
                    continue
                found = self._value((*path, self._key() if kind == "{" else "*"))
            if found is not None:
                return found

    def _talk(self) -> Other:
        """Take a line that is no JSON."""
        while (end := self._text.find("\n", self._at)) < 0 and not self._is_over:
            self._fill(2 * (len(self._text) - self._at) + 1)
            if len(self._text) - self._at > MAX_RECORD:
                break
        end = len(self._text) if end < 0 else end
        line = self._count(self._at)
        text = self._text[self._at : min(end, self._at + SHOWN)]
        self._at = end
        return Other(line, line, text)

    def _key(self) -> str:
        if self._peek() != '"':
            raise _BrokenError
        key, self._at = self._decode()
        if not isinstance(key, str) or self._peek() != ":":
            raise _BrokenError
        self._at += 1
        return key

    def _value(self, path: Path) -> Record | None:
        letter = self._peek()
        if letter in ("{", "[") and self.opens(path, letter):
            self._stack.append((letter, path))
            self._at += 1
            return None
        first_line = self._count(self._at)
        value, end = self._decode()
        last_line = self._count(end)
        self._at = end
        return Record(path, value, first_line, last_line)

    def _decode(self) -> tuple[object, int]:
        """Decode what begins here, reading on where it is cut off; text ahead doubles, so that no byte is read often."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                end = len(self._text)
                value = None
                if self._is_over or end - self._at > MAX_RECORD:
                    raise _BrokenError from None
            else:
                if self._is_over or not _GOES_ON.fullmatch(self._text, end):
                    return value, end
            self._fill(2 * (len(self._text) - self._at) + 1)

    def _give_up(self) -> Other:
        """Leave a broken document: go on at the next line that begins one."""
        self._stack.clear()
        first = self._count(self._at)
        shown = self._text[self._at : self._at + SHOWN].partition("\n")[0]
        while True:
            found = _RESUME.search(self._text, self._at)
            if found is not None:
                last = self._count(found.start())
                self._at = found.end()
                return Other(first, last, shown)
            self._count(max(len(self._text) - 1, self._at))
            self._at = max(len(self._text) - 1, self._at)
            if self._is_over:
                last = self._line
                self._at = len(self._text)
                return Other(first, last, shown)
            self._fill(len(self._text) - self._at + 1)


def strings(value: object) -> dict[str, str]:
    """Return the members of an object whose values are plain, as text; none where it is no object."""
    if not isinstance(value, dict):
        return {}
    return {str(name): str(told) for name, told in value.items() if isinstance(told, (str, int, float, bool))}
