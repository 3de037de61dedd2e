"""Many texts of one block of bytes taken apart at once, with numpy: what a regular expression does, without one per line.

A log of a gigabyte holds ten million lines of a few shapes. `Scan` walks over all lines of a block together, a piece
at a time: a literal, digits, everything up to a character. Eight bytes are read and compared as one number. A line that
does not fit a piece stops fitting and is left to slower means; nothing is copied but the numbers that say where a piece
begins and ends, and a piece becomes an Arrow string view of the block it stands in.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Places = NDArray[np.intp]
Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]

PADDING: Final = bytes(32)
"""Bytes behind a block's texts, so that eight of them can be read from any place within."""

_INLINE_BYTES: Final = 12
"""A text this short stands in its view, a longer one in the block
(https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout)."""

_U64 = np.uint64
_LOW: Final = _U64(0x0101010101010101)
_HIGH: Final = _U64(0x8080808080808080)
_NIBBLES: Final = _U64(0x0F0F0F0F0F0F0F0F)
_FIRST: Final = np.array([(1 << (8 * length)) - 1 for length in range(9)], dtype=np.uint64)
"""The first bytes of a word, by how many."""


class Block:
    """Bytes that texts stand in, and behind them at least `PADDING`."""

    def __init__(self, padded: bytes | pa.Buffer) -> None:
        self.buffer = pa.py_buffer(padded)
        self.data = np.frombuffer(self.buffer, dtype=np.uint8)
        self.last = len(self.data) - len(PADDING)
        # So many bytes from any place. One gather of 32 costs as much as one of 8 (measured, numpy 2.4).
        self._wide = tuple(
            np.ndarray(len(self.data) - 8 * count + 1, dtype=f"V{8 * count}", buffer=self.buffer, strides=(1,))
            for count in range(1, len(PADDING) // 8 + 1)
        )

    def words(self, places: Places) -> Words:
        """Return the eight bytes at each place as a number, the first one lowest."""
        return self._wide[0][places].view(np.uint64)

    def wide(self, places: Places, count: int) -> tuple[Words, ...]:
        """Return `count` words at each place, at most four: those of the first eight bytes, those of the next, ..."""
        words = self._wide[count - 1][places].view(np.uint64).reshape(-1, count)
        return tuple(words[:, at] for at in range(count))


def _trailing(marks: Words) -> NDArray[np.uint8]:
    """Return how many bytes stand before the first marked one (high bit set): 8 where none is."""
    counted: NDArray[np.uint8] = np.bitwise_count((marks - _U64(1)) & ~marks) >> 3
    return counted


def _number(text: bytes) -> np.uint64:
    return _U64(int.from_bytes(text, "little"))


class Class:
    """A set of ASCII characters."""

    def __init__(self, members: bytes) -> None:
        marks = np.full(256, 0x80, dtype=np.uint8)
        marks[list(members)] = 0
        self._marks = marks

    def run(self, words: Words) -> NDArray[np.uint8]:
        """Return how many of the first bytes of each word are members, up to 8."""
        return _trailing(self._marks[words.view(np.uint8)].view(np.uint64))


DIGITS: Final = Class(b"0123456789")
HEX: Final = Class(b"0123456789abcdef")
CAPITALS_AND_DIGITS: Final = Class(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one block: where each begins, and where it ends."""

    block: Block
    starts: Places
    ends: Places

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Places | Flags | slice) -> Texts:
        return Texts(self.block, self.starts[rows], self.ends[rows])

    @property
    def lengths(self) -> Places:
        """Bytes of each."""
        return self.ends - self.starts

    def opening(self) -> Words:
        """Return the first eight bytes of each as a number; what stands behind a short text is in it."""
        return self.block.words(self.starts)

    def starts_with(self, literal: bytes) -> Flags:
        """Say which begin with a literal."""
        return _matches(self.block, self.starts, literal) & (self.lengths >= len(literal))

    def after(self, length: int) -> Texts:
        """Return them without their first bytes."""
        return Texts(self.block, np.minimum(self.starts + length, self.ends), self.ends)

    def equals(self, literal: bytes) -> Flags:
        """Say which are a literal."""
        same: Flags = self.lengths == len(literal)
        if same.any():
            same &= _matches(self.block, self.starts, literal)
        return same

    def ends_with(self, literal: bytes) -> Flags:
        """Say which end with a literal."""
        at = self.ends - len(literal)
        return (at >= self.starts) & _matches(self.block, np.maximum(at, self.starts), literal)

    def count(self, character: bytes) -> Places:
        """Return how often a character stands in each."""
        if not len(self):
            return self.starts
        places = np.flatnonzero(self.block.data == character[0])
        return np.searchsorted(places, self.ends) - np.searchsorted(places, self.starts)

    def find(self, character: bytes) -> Places:
        """Return where a character first stands in each; the end where it does not."""
        return _find(self.block, self.starts, self.ends, character[0])

    def to_arrow(self, is_there: Flags | None = None) -> pa.Array:
        """Return them as an Arrow string view array; NULL where `is_there` is false."""
        lengths = self.lengths
        count = len(lengths)
        views = np.empty((count, 2), dtype=np.uint64)
        if count and lengths.min() > _INLINE_BYTES:
            views[:, 0] = lengths.astype(np.uint64) | (self.block.words(self.starts) << _U64(32))
            views[:, 1] = self.starts.astype(np.uint64) << _U64(32)
        elif count:
            first, second = self.block.wide(self.starts, 2)
            views[:, 0] = lengths.astype(np.uint64) | ((first & _FIRST[np.minimum(lengths, 4)]) << _U64(32))
            held = ((first >> _U64(32)) | (second << _U64(32))) & _FIRST[np.clip(lengths - 4, 0, 8)]
            views[:, 1] = np.where(lengths > _INLINE_BYTES, self.starts.astype(np.uint64) << _U64(32), held)
        valid = None if is_there is None else bitmap(is_there)
        return pa.Array.from_buffers(pa.string_view(), count, [valid, pa.py_buffer(views), self.block.buffer])


def bitmap(flags: Flags) -> pa.Buffer:
    """Return flags as Arrow's validity bitmap."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def as_arrow(values: NDArray[Any], type_: pa.DataType, is_there: Flags | None = None) -> pa.Array:
    """Return numbers as an Arrow array without a copy; `pa.array` of an ndarray would import pandas."""
    valid = None if is_there is None else bitmap(is_there)
    return pa.Array.from_buffers(type_, len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def longs_of(array: pa.Array) -> NDArray[np.int64]:
    """Return an Arrow array of BIGINT or TIMESTAMP without NULLs as an ndarray, without a copy; see `as_arrow`."""
    return np.frombuffer(array.buffers()[1], np.int64, len(array), 8 * array.offset)


@functools.lru_cache(maxsize=64)
def strings(texts: tuple[str, ...]) -> pa.StringArray:
    """Return a few texts as an Arrow array; `pa.array` of them would import pandas."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def _matches(block: Block, places: Places, literal: bytes) -> Flags:
    fits = np.ones(len(places), dtype=bool)
    for at in range(0, len(literal), len(PADDING)):
        parts = [literal[part : part + 8] for part in range(at, min(at + len(PADDING), len(literal)), 8)]
        words = block.wide(np.minimum(places + at, block.last) if at else places, len(parts))
        for part, found in zip(parts, words, strict=True):
            fits &= (found if len(part) == 8 else found & _FIRST[len(part)]) == _number(part)
    return fits


def _find(block: Block, starts: Places, ends: Places, character: int | Words) -> Places:
    """Return where a character (one for all, or one for each) first stands; the end where it does not."""
    same = _LOW * _U64(character) if isinstance(character, int) else _LOW * character

    def ahead(places: Places, rows: Places | None = None) -> NDArray[np.uint8]:
        """Return how many of the next 16 bytes stand before the character."""
        steps = []
        own = same[rows] if isinstance(same, np.ndarray) and rows is not None else same
        for words in block.wide(places, 2):
            other = words ^ own
            steps.append(_trailing((other - _LOW) & ~other & _HIGH))
        return steps[0] + (steps[0] >> 3) * steps[1]

    steps = ahead(starts)
    found: Places = starts + steps
    rows = np.flatnonzero((steps == 16) & (found < ends))
    while len(rows):
        steps = ahead(found[rows], rows)
        found[rows] += steps
        rows = rows[steps == 16]
        rows = rows[found[rows] < ends[rows]]
    return np.minimum(found, ends)


class Scan:
    """A walk over texts, a piece at a time.

    `at` is where each text has been read to, `fits` which of them fit all pieces so far. `done` must be asked last: a
    piece may read beyond the end of its text, and only then is that found out.
    """

    def __init__(self, texts: Texts) -> None:
        self.block = texts.block
        self.at: Places = texts.starts
        self.ends = texts.ends
        self.fits: Flags = np.ones(len(texts), dtype=bool)

    def __getitem__(self, rows: Places) -> Scan:
        """Return a walk over some of the texts, from where this one is."""
        return Scan(Texts(self.block, self.at[rows], self.ends[rows]))

    def _advance(self, steps: int | NDArray[Any]) -> None:
        self.at = np.minimum(self.at + steps, self.block.last)

    def literal(self, text: bytes) -> None:
        """Read a literal."""
        self.fits &= _matches(self.block, self.at, text)
        self._advance(len(text))

    def option(self, text: bytes) -> Flags:
        """Read a literal where it stands; say where."""
        found = _matches(self.block, self.at, text) & (self.at + len(text) <= self.ends)
        self._advance(found * len(text))
        return found

    def which(self, literals: Sequence[bytes]) -> NDArray[np.int8]:
        """Read the first of several literals that stands there; return its place among them, -1 where none does."""
        words = self.block.words(self.at)
        found = np.full(len(words), -1, dtype=np.int8)
        steps = np.zeros(len(words), dtype=np.intp)
        rows = np.arange(len(words))
        for number, literal in enumerate(literals):
            part = literal[:8]
            same = (words if len(part) == 8 else words & _FIRST[len(part)]) == _number(part)
            if not same.any():
                continue
            own = rows[same]
            if len(literal) > 8:
                own = own[_matches(self.block, self.at[own] + 8, literal[8:])]
                same = np.isin(rows, own, assume_unique=True)
            found[own], steps[own] = number, len(literal)
            rows, words = rows[~same], words[~same]
            if not len(rows):
                break
        self._advance(steps)
        return found

    def shape(self, shape: bytes) -> Texts:
        """Read digits where `shape` has a 0 and its own characters elsewhere; at most 32 bytes."""
        return self._shaped(shape)[0]

    def _shaped(self, shape: bytes) -> tuple[Texts, tuple[Words, ...]]:
        start = self.at
        parts = [shape[at : at + 8] for at in range(0, len(shape), 8)]
        words = self.block.wide(start, len(parts))
        for part, found in zip(parts, words, strict=True):
            fixed = _number(bytes(0 if letter == _ZERO else 0xFF for letter in part))
            digit = _number(bytes(0xF0 if letter == _ZERO else 0 for letter in part))
            zeros = _number(bytes(_ZERO if letter == _ZERO else 0 for letter in part))
            sixes = _number(bytes(0x06 if letter == _ZERO else 0 for letter in part))
            # The high half of a digit is 3, and stays 3 when six is added.
            self.fits &= (found & (fixed | digit)) == (zeros | (_number(part) & fixed))
            self.fits &= ((found + sixes) & digit) == zeros
        self._advance(len(shape))
        return Texts(self.block, start, self.at), words

    def moment(self, shape: bytes, zones: Sequence[bytes], *, has_decimals: bool = False) -> Moments:
        """Read a local time of a shape, decimals of its second where the shape has none but there may be, and its zone."""
        stamp, words = self._shaped(shape)
        local = _moments(stamp, words)
        if has_decimals:
            local = np.where(local == NO_TIME, NO_TIME, local + self.fraction())
        zone = self.which(zones)
        self.fits &= zone >= 0
        return Moments(local, zone)

    def until(self, character: bytes, *, or_end: bool = False, but: int = 0) -> Texts:
        """Read up to a character (which stays unread), or to the end where that is allowed; `but` so many of them."""
        start = self.at
        self.at = _find(self.block, start, self.ends, character[0])
        for _ in range(but):
            self.at = _find(self.block, np.minimum(self.at + 1, self.block.last), self.ends, character[0])
        if not or_end:
            self.fits &= self.at < self.ends
        return Texts(self.block, start, np.maximum(self.at, start))

    def run(self, of: Class, least: int = 1) -> Texts:
        """Read characters of a class, as many as there are."""
        start = self.at
        steps = of.run(self.block.words(start))
        self._advance(steps)
        rows = np.flatnonzero((steps == 8) & (self.at < self.ends))
        while len(rows):
            steps = of.run(self.block.words(self.at[rows]))
            self.at[rows] = np.minimum(self.at[rows] + steps, self.block.last)
            rows = rows[(steps == 8) & (self.at[rows] < self.ends[rows])]
        self.fits &= self.at - start >= least
        return Texts(self.block, start, self.at)

    def field(self) -> tuple[Texts, Flags]:
        """Read a field of a CSV record, quoted or not, up to the comma (or the end) behind it.

        Return it without its quotes, and where it holds a quote, which is written twice.
        """
        is_quoted = (self.block.data[self.at] == _QUOTE) & (self.at < self.ends)
        start = self.at + is_quoted
        stop = np.where(is_quoted, _U64(_QUOTE), _U64(_COMMA))
        end = _find(self.block, start, self.ends, stop)
        has_quote = np.zeros(len(end), dtype=bool)
        rows = np.flatnonzero(is_quoted & (end < self.ends) & (self.block.data[end + 1] == _QUOTE))
        while len(rows):
            has_quote[rows] = True
            end[rows] = _find(self.block, np.minimum(end[rows] + 2, self.ends[rows]), self.ends[rows], _QUOTE)
            rows = rows[(end[rows] < self.ends[rows]) & (self.block.data[end[rows] + 1] == _QUOTE)]
        self.at = np.minimum(end + is_quoted, self.block.last)
        return Texts(self.block, start, np.maximum(end, start)), has_quote

    def string(self) -> tuple[Texts, Flags]:
        """Read a JSON string behind its first quote, and its last quote.

        Return it, and where it holds a backslash; its end is only right where it does not.
        """
        start = self.at
        end = _find(self.block, start, self.ends, _QUOTE)
        piece = Texts(self.block, start, np.maximum(end, start))
        self.at = np.minimum(end + 1, self.block.last)
        return piece, piece.find(b"\\") < piece.ends

    def fraction(self) -> NDArray[np.int64]:
        """Read the decimals of a second where there are any; return them in microseconds."""
        is_there = self.option(b".")
        digits = self.run(DIGITS, least=0)
        self.fits &= (digits.lengths <= 6) & (is_there == (digits.lengths > 0))
        read: NDArray[np.int64] = decimal(digits) * _TENS[6 - np.minimum(digits.lengths, 6)]
        return read

    def number(self) -> NDArray[np.int64]:
        """Read a number of at most eight digits."""
        digits = self.run(DIGITS)
        self.fits &= digits.lengths <= 8
        return decimal(digits)

    def rest(self) -> Texts:
        """Return what is left."""
        return Texts(self.block, np.minimum(self.at, self.ends), self.ends)

    def done(self) -> Flags:
        """Say which texts fit all pieces read, none beyond its end."""
        self.fits &= self.at <= self.ends
        return self.fits


def decimal(digits: Texts) -> NDArray[np.int64]:
    """Return the values of texts of up to eight digits; meaningless where one is none."""
    lengths = np.minimum(digits.lengths, 8)
    words = digits.opening() << ((8 - lengths).astype(np.uint64) << _U64(3))
    words = np.where(lengths == 0, _U64(0), words) & _NIBBLES
    words = (words * _U64(2561)) >> _U64(8)
    words = ((words & _U64(0x00FF00FF00FF00FF)) * _U64(6553601)) >> _U64(16)
    words = ((words & _U64(0x0000FFFF0000FFFF)) * _U64(42949672960001)) >> _U64(32)
    return words.astype(np.int64)


NO_TIME: Final = np.iinfo(np.int64).min
"""In place of a moment that is none: a 13th month, a 25th hour."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Local times: microseconds since 1970 of each (`NO_TIME` for none), and the place of its zone among those known."""

    local: NDArray[np.int64]
    zone: NDArray[np.int8]

    def __getitem__(self, rows: Places | Flags) -> Moments:
        return Moments(self.local[rows], self.zone[rows])


def _moments(stamps: Texts, words: tuple[Words, ...]) -> NDArray[np.int64]:
    """Return times written as `2026-03-02 08:00:00` or `2026-03-02 08:00:00.123` in microseconds since 1970."""
    year_month, day_clock, rest = words
    block, starts = stamps.block, stamps.starts

    def digit(words: Words, at: int) -> Words:
        return (words >> _U64(8 * at)) & _U64(15)

    hours = digit(day_clock, 3) * _U64(10) + digit(day_clock, 4)
    minutes = digit(day_clock, 6) * _U64(10) + digit(day_clock, 7)
    seconds = digit(rest, 1) * _U64(10) + digit(rest, 2)
    is_one = (hours < 24) & (minutes < 60) & (seconds < 60)
    clock = ((hours * _U64(60) + minutes) * _U64(60) + seconds) * _U64(1000)
    if len(starts) and stamps.ends[0] - starts[0] > 19:
        clock += (digit(rest, 4) * _U64(10) + digit(rest, 5)) * _U64(10) + digit(rest, 6)
    day = day_clock & _U64(0xFFFF)
    is_new = np.ones(len(starts), dtype=bool)
    is_new[1:] = (year_month[1:] != year_month[:-1]) | (day[1:] != day[:-1])
    firsts = np.flatnonzero(is_new)
    days = [_day(block.data[at : at + 10].tobytes()) for at in starts[firsts].tolist()]
    midnight = np.array(days, dtype=np.int64)[np.cumsum(is_new) - 1]
    is_one &= midnight != NO_TIME
    return np.where(is_one, midnight + clock.astype(np.int64) * 1000, NO_TIME)


@functools.lru_cache(maxsize=4096)
def _day(written: bytes) -> int:
    try:
        return (date.fromisoformat(written.decode()).toordinal() - _EPOCH) * 86_400_000_000
    except ValueError:
        return NO_TIME


_ZERO: Final = 0x30
_QUOTE: Final = 0x22
_COMMA: Final = 0x2C
_TENS: Final = 10 ** np.arange(7, dtype=np.int64)
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Literals:
    """A set of literals of up to eight bytes, looked for at the beginning of texts."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        by_length: dict[int, list[np.uint64]] = {}
        for literal in literals:
            by_length.setdefault(min(len(literal), 8), []).append(_number(literal[:8]))
        self._sorted = {length: np.sort(np.array(words)) for length, words in by_length.items()}

    def begin(self, words: Words) -> Flags:
        """Say which words begin with one of the literals."""
        found = np.zeros(len(words), dtype=bool)
        for length, known in self._sorted.items():
            part = words if length == 8 else words & _FIRST[length]
            found |= known[np.minimum(np.searchsorted(known, part), len(known) - 1)] == part
        return found


def texts_of(chunk: pa.Array) -> Iterator[tuple[Places, Texts]]:
    """Yield rows of an Arrow string array and their texts, until every row that is not NULL has been.

    Views into a padded block are not copied; what stands in the views themselves comes in a block of its own.
    """
    if chunk.type == pa.string_view() and chunk.null_count == 0 and len(buffers := chunk.buffers()) == 3:
        views = np.frombuffer(buffers[1], dtype=np.uint64).reshape(-1, 2)[chunk.offset : chunk.offset + len(chunk)]
        lengths = (views[:, 0] & _U64(0xFFFFFFFF)).astype(np.intp)
        is_long = lengths > _INLINE_BYTES
        rows = np.flatnonzero(is_long)
        if len(rows):
            starts = (views[:, 1][rows] >> _U64(32)).astype(np.intp)
            ends = starts + lengths[rows]
            is_padded = buffers[2].size >= int(ends.max()) + len(PADDING)
            yield rows, Texts(Block(buffers[2] if is_padded else buffers[2].to_pybytes() + PADDING), starts, ends)
        if len(rows) < len(lengths):
            rows = np.flatnonzero(~is_long)
            starts = np.arange(len(rows), dtype=np.intp) * 16 + 4
            yield rows, Texts(Block(views[rows].tobytes() + PADDING), starts, starts + lengths[rows])
        return
    plain = chunk.cast(pa.large_string())
    _, offsets, data = plain.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[plain.offset : plain.offset + len(plain) + 1].astype(np.intp)
    rows = np.arange(len(plain))
    if plain.null_count:
        rows = np.flatnonzero(np.frombuffer(plain.is_valid().cast(pa.uint8()).buffers()[1], dtype=np.uint8))
    if len(rows):
        block = Block((data.to_pybytes() if data else b"") + PADDING)
        yield rows, Texts(block, ends[:-1][rows], ends[1:][rows])
