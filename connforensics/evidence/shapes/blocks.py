"""A large separated file, block by block: Arrow parses the blocks, and a tokenizer those that Arrow cannot.

A block is some megabytes of whole records. While one is being worked on, the next one is unpacked in a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from connforensics.evidence.lines import read_ahead
from connforensics.evidence.shapes import (
    NULLS,
    Accepts,
    Frame,
    flags,
    longs,
    normal,
    note,
    separated,
    sound,
    time_lines,
    told,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from connforensics.evidence import Reading

BLOCK_BYTES: Final = 16 << 20
"""Text of one frame: large enough for Arrow to be fast, small enough to keep memory flat."""

PARSED_BYTES: Final = 1 << 20
"""Text that Arrow parses at once: what is in a core's cache is read half as fast again."""

MAX_RECORD_BYTES: Final = 4 << 20
"""A quoted field that has not ended after this much never will: its quote is a stray one. PostgreSQL keeps at most
1 MB of a query (track_activity_query_size)."""

MOSTLY: Final = 0.8
"""Share of records that must be rows for a block to be read whole, the other lines left out."""


class Blocks:
    """The rows of a separated file under the headers that stand in it.

    State between blocks is the header in force, the line reached, the time told above the rows, and the bytes of a record
    not yet ended.
    """

    def __init__(
        self, reading: Reading, accepts: Accepts, how: separated.Writing, keep: Collection[str] | None
    ) -> None:
        self.reading = reading
        self.ledger = reading.ledger
        self.accepts = accepts
        self.how = how
        self.keep = keep
        self.names: tuple[str, ...] = ()
        self.unquoted = separated.Unquoted(how, accepts)
        self.line = 1
        self.anew = True
        self.told: str | None = None
        self.is_fresh = False

    def frames(self) -> Iterator[Frame]:
        """Yield the rows, in frames of one block or less."""
        pieces: list[bytes] = []
        size = 0
        for piece in read_ahead(_ended(self.reading)):
            pieces.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                pieces = [(yield from self._block(b"".join(pieces), is_final=False))]
                size = 0
        held = b"".join(pieces)
        while held:
            held = yield from self._block(held, is_final=True)

    def _block(self, data: bytes, *, is_final: bool) -> Generator[Frame, None, bytes]:
        """Yield the frames of `data` and return what of it is left for the next block."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError as error:
                # A character cut by the block's end is whole in the next block.
                if is_final or error.start < len(data) - 4:
                    data = data.decode(errors="backslashreplace").encode()
        if is_final and not data.endswith(b"\n"):
            data += b"\n"
        while data:
            if not self.names:
                data, found = self._header(data)
                if not found:
                    return data
                continue
            left = yield from self._rows(data, is_final=is_final)
            if self.names:
                return left
            data = left
        return b""

    def _header(self, data: bytes) -> tuple[bytes, bool]:
        """Take lines off until a header stands; say whether one was found."""
        while data:
            line, ended, rest = data.partition(b"\n")
            if not ended:
                return data, False
            written = line.decode(errors="replace")
            fields = separated.split(written, self.how.delimiter, self.how.is_quoted)
            names = tuple(map(normal, fields))
            if len(names) > 1 and self.accepts(names):
                self.names = names
                self.how = replace(self.how, names=names, written=tuple(field.strip() for field in fields))
                self.unquoted = separated.Unquoted(self.how, self.accepts)
                self._count(1, "ignored")
                self.line += 1
                self._opened()
                return rest, True
            self._other(written)
            self.line += 1
            data = rest
        return data, False

    def _rows(self, data: bytes, *, is_final: bool) -> Generator[Frame, None, bytes]:
        """Yield the rows under the header in force; return the rest, with `names` empty where another header begins."""
        records = _records(data, self.how.delimiter if self.how.is_quoted else None)
        if records is None:
            return (yield from self._slowly(data, is_final=is_final))
        whole = int(records.ends[-1]) + 1 if len(records.ends) else 0
        if len(data) - whole > MAX_RECORD_BYTES or (is_final and whole < len(data)):
            return (yield from self._slowly(data, is_final=is_final))
        if not whole:
            return data
        is_blank = records.ends == records.starts
        is_row = ~is_blank
        table = self._arrow(memoryview(data)[:whole], records)
        if table is None or table.num_rows != int(is_row.sum()):
            is_row = is_row & ~self._strays(data, records) if self.how.is_quoted else is_blank
            if not is_row.any() or is_row.sum() < len(is_row) * MOSTLY:
                return (yield from self._slowly(data, is_final=is_final))
            table = self._arrow(memoryview(_chosen(data, records, is_row)), records)
            if table is None or table.num_rows != int(is_row.sum()):
                return (yield from self._slowly(data, is_final=is_final))
        rows = np.flatnonzero(is_row)
        is_header, foreign = self._headers(table, data, records.starts[rows])
        end = len(is_row)
        if foreign is not None:
            end = int(rows[foreign])
            whole = int(records.starts[end])
            table, rows, is_header = table.slice(0, foreign), rows[:foreign], is_header[:foreign]
        yield from self._marked(data, records, table, rows, is_header, end)
        if foreign is not None:
            self.names = ()
        return data[whole:]

    def _marked(
        self,
        data: bytes,
        records: _Records,
        table: pa.Table,
        rows: NDArray[np.intp],
        is_header: NDArray[np.bool_],
        end: int,
    ) -> Iterator[Frame]:
        """Yield the rows with what the headers, time lines and other lines between them say of them.

        `rows` are the records that Arrow read, `is_header` those of them that repeat the header, `end` is where the
        records end that belong to this header.
        """
        first_lines = self.line + np.cumsum(records.counts) - records.counts
        is_blank = records.ends[:end] == records.starts[:end]
        self._count(int(is_blank.sum()), "ignored")
        is_between = ~is_blank
        is_between[rows] = False
        between = set(np.flatnonzero(is_between).tolist())
        kept = rows[~is_header]
        begins = np.zeros(len(kept) + 1, dtype=bool)
        changes: list[tuple[int, str | None]] = [(0, self.told)]
        begins[0] = self.anew
        self.anew = False
        lines = self.line
        for index in sorted(between | set(rows[is_header].tolist())):
            place = int(np.searchsorted(kept, index))
            before = self.told
            if index in between:
                self.line = int(first_lines[index])
                self._other(data[records.starts[index] : records.ends[index]].decode(errors="replace"))
            else:
                self._count(int(records.counts[index]), "ignored")
                self._opened()
            begins[place] |= self.anew
            self.anew = False
            if self.told != before:
                changes.append((place, self.told))
        self.anew = bool(begins[-1])
        self.line = lines + int(records.counts[:end].sum())
        if len(kept):
            self._count(int(records.counts[kept].sum()), None)
            yield self._frame(
                table if not is_header.any() else table.filter(flags(~is_header)),
                first_lines[kept],
                records.counts[kept],
                begins[:-1],
                _spread(changes, len(kept)),
            )

    def _strays(self, data: bytes, records: _Records) -> NDArray[np.bool_]:
        """Say which records without quotes have too few or too many fields."""
        octets = np.frombuffer(data, dtype=np.uint8)

        def counted(octet: int) -> NDArray[np.int64]:
            places = _places(octets, octet)
            return np.searchsorted(places, records.ends) - np.searchsorted(places, records.starts)

        strays: NDArray[np.bool_] = (counted(34) == 0) & (counted(ord(self.how.delimiter)) != len(self.names) - 1)
        return strays

    def _arrow(self, data: memoryview, records: _Records) -> pa.Table | None:
        """Return the rows that Arrow reads in `data`, which is all or some of `records`; None where it cannot."""
        columns = [f"c{index}" for index in range(len(self.names))]
        wanted = [
            column
            for index, column in enumerate(columns)
            if index == 0 or self.keep is None or self.names[index] in self.keep
        ]
        try:
            table = pacsv.read_csv(
                pa.BufferReader(pa.py_buffer(data)),
                read_options=pacsv.ReadOptions(column_names=columns, block_size=max(PARSED_BYTES, 2 * records.longest)),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.how.delimiter,
                    quote_char='"' if self.how.is_quoted else False,
                    newlines_in_values=bool((records.counts > 1).any()),
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=True,
                    null_values=list(NULLS),
                    include_columns=wanted,
                ),
            )
        except pa.ArrowInvalid:
            return None
        for column in columns:
            if column not in wanted:
                table = table.append_column(column, pa.nulls(table.num_rows, pa.string()))
        table = table.select(columns)
        if self.how.is_escaped:
            table = pa.table([_unescaped(column) for column in table.columns], names=columns)
        return table

    def _headers(self, table: pa.Table, data: bytes, starts: NDArray[np.int64]) -> tuple[NDArray[np.bool_], int | None]:
        """Say which rows repeat the header in force, and the first row that is another accepted header.

        `starts` says where each row begins in `data`.
        """
        is_header = np.zeros(table.num_rows, dtype=bool)
        # The first column of a row that is a header holds a name, and names start with a letter.
        candidates = np.flatnonzero(_BEGINS_NAME[np.frombuffer(data, dtype=np.uint8)[starts]])
        if not len(candidates):
            return is_header, None
        first = table["c0"].take(longs(candidates))
        likely = [value for value in pc.unique(first).to_pylist() if value and self._may_begin_header(value)]
        if not likely:
            return is_header, None
        for index in candidates[np.asarray(pc.is_in(first, pa.array(likely)).combine_chunks())]:
            fields = [table[name][int(index)].as_py() for name in table.column_names]
            told_fields = [
                (have, name) for have, name in zip(fields, self.how.written, strict=True) if have is not None
            ]
            if told_fields and all(have.strip() == name for have, name in told_fields):
                is_header[index] = True
            elif None not in fields and self.accepts(tuple(map(normal, fields))):
                return is_header, int(index)
        return is_header, None

    def _may_begin_header(self, value: str) -> bool:
        return normal(value) in self.names or (self.keep is not None and normal(value) in self.keep)

    def _frame(
        self,
        table: pa.Table,
        first_lines: NDArray[np.int64],
        counts: NDArray[np.int64],
        anew: NDArray[np.bool_],
        told_at: pa.Array,
    ) -> Frame:
        if self.how.is_spaced:
            table = pa.table([_trimmed(column) for column in table.columns], names=table.column_names)
        head = pa.table(
            {
                "line_no": longs(first_lines),
                "lines": longs(counts),
                "anew": flags(anew),
                "told": told_at,
            }
        )
        for name in table.column_names:
            head = head.append_column(name, table[name])
        return Frame(self.names, head, self.how.written)

    def _slowly(self, data: bytes, *, is_final: bool) -> Generator[Frame, None, bytes]:
        """Read a block record by record: it holds lines that do not fit, stray quotes or another header."""
        written = data.decode(errors="surrogateescape")
        is_last = is_final or len(data) > MAX_RECORD_BYTES
        rows: list[list[str]] = []
        first_lines: list[int] = []
        counts: list[int] = []
        anew: list[bool] = []
        told_at: list[str | None] = []
        done = 0
        is_foreign = False
        found = (
            separated.tokens(written, self.how.delimiter, is_quoted=True, is_final=is_last)
            if self.how.is_quoted
            else self.unquoted.records(written, is_final=is_last)
        )
        for end, fields in found:
            lines = written.count("\n", done, end)
            if len(fields) == len(self.names) and tuple(field.strip() for field in fields) == self.how.written:
                self._count(lines, "ignored")
                self.line += lines
                self._opened()
            elif len(fields) > 1 and lines == 1 and self.accepts(tuple(map(normal, fields))):
                is_foreign = True
                break
            elif len(fields) == len(self.names):
                rows.append(fields)
                first_lines.append(self.line)
                counts.append(lines)
                anew.append(self.anew)
                told_at.append(self.told)
                self.anew = False
                self._count(lines, None)
                self.line += lines
            else:
                for line in written[done:end].removesuffix("\n").split("\n"):
                    self._other(line)
                    self.line += 1
            done = end
        if rows:
            columns = {
                f"c{index}": pa.array([told(row[index]) for row in rows], pa.string())
                for index in range(len(self.names))
            }
            yield self._frame(
                pa.table(columns),
                np.array(first_lines, dtype=np.int64),
                np.array(counts, dtype=np.int64),
                np.array(anew, dtype=bool),
                pa.array(told_at, pa.string()),
            )
        if is_foreign:
            self.names = ()
        return written[done:].encode(errors="surrogateescape")

    def _count(self, lines: int, what: Literal["ignored", "unknown"] | None) -> None:
        """Account for lines; those of rows are the format's to account for."""
        self.ledger.lines += lines
        if what == "ignored":
            self.ledger.ignored += lines
        elif what == "unknown":
            self.ledger.unknown += lines

    def _opened(self) -> None:
        """Begin a table: a time belongs to the one table below it."""
        self.anew = True
        self.told = self.told if self.is_fresh else None
        self.is_fresh = False

    def _other(self, written: str) -> None:
        """Account for a line that is neither header nor row; it may be a time."""
        here = time_lines.told(written, self.reading.options.timezone)
        if here is not None:
            self.told, self.is_fresh, self.anew = here, True, True
        if here is not None or not written.strip() or written.startswith("#") or separated.is_beside(written):
            self._count(1, "ignored")
            return
        self._count(1, "unknown")
        note(self.ledger, self.line, sound(written))


_BEGINS_NAME = np.zeros(256, dtype=bool)
_BEGINS_NAME[[*b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" ?']] = True


@dataclass(frozen=True, slots=True)
class _Records:
    """The whole records of a block: where each starts and ends, and how many lines it takes."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def longest(self) -> int:
        """Bytes of the longest."""
        return int((self.ends - self.starts).max(initial=0))


def _records(data: bytes, delimiter: str | None) -> _Records | None:
    """Return the whole records of `data`.

    A line feed between an odd number of quotes and the next one stands inside a field; `delimiter` is None where quotes
    mean nothing. None where a quote stands elsewhere than at the edge of a field, so that they cannot be counted.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    feeds = _places(octets, 10)
    closing = np.arange(len(feeds))
    if delimiter is not None and b'"' in data:
        quotes = _places(octets, 34)
        edges = np.zeros(256, dtype=bool)
        edges[[10, 34, ord(delimiter)]] = True
        opening, ending = quotes[::2], quotes[1::2]
        before = octets[opening[opening > 0] - 1]
        after = octets[ending[ending + 1 < len(octets)] + 1]
        if not (edges[before].all() and edges[after].all()):
            return None
        closing = np.flatnonzero(np.searchsorted(quotes, feeds) % 2 == 0)
    ends = feeds[closing]
    starts = np.zeros(len(ends), dtype=np.int64)
    starts[1:] = ends[:-1] + 1
    return _Records(starts, ends, np.diff(closing, prepend=-1))


def _places(octets: NDArray[np.uint8], wanted: int) -> NDArray[np.intp]:
    """Return where a character stands, looked for in pieces that stay in a core's cache."""
    return np.concatenate(
        [np.flatnonzero(octets[at : at + PARSED_BYTES] == wanted) + at for at in range(0, len(octets), PARSED_BYTES)]
    )


def _chosen(data: bytes, records: _Records, is_row: NDArray[np.bool_]) -> bytes:
    """Return the records that are rows, the others left out."""
    edges = np.flatnonzero(np.diff(is_row.astype(np.int8), prepend=0, append=0))
    return b"".join(
        data[records.starts[first] : records.ends[last - 1] + 1]
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    )


def _spread(changes: list[tuple[int, str | None]], rows: int) -> pa.Array:
    """Return for each row the time told last."""
    if all(moment is None for _, moment in changes):
        return pa.nulls(rows, pa.string())
    places = np.array([place for place, _ in changes])
    chosen = np.searchsorted(places, np.arange(rows), side="right") - 1
    return pa.array([moment for _, moment in changes], pa.string()).take(longs(chosen))


def _ended(reading: Reading) -> Iterator[bytes]:
    """Yield the source, its lines ended by LF where nothing but CR ends them."""
    cr_only: bool | None = None
    for piece in reading.blocks():
        if cr_only is None and piece:
            cr_only = b"\n" not in piece and b"\r" in piece[:-1]
        yield piece.replace(b"\r", b"\n") if cr_only else piece


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take off the blanks that some writers put around a separator."""
    bare = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(bare, value_set=pa.array(NULLS)), None, bare)


def _unescaped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo the escapes of COPY's text format and of mysql's batch output."""
    if not pc.any(pc.match_substring(column, "\\")).as_py():
        return column
    values = [None if value is None else separated.unescaped(value) for value in column.to_pylist()]
    return pa.chunked_array([values], pa.string())
