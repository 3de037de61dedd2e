"""Tables in text, whatever drew them: CSV and its kin, psql's aligned and expanded output, pasted from a terminal.

A format says which headers it knows (`Accepts`); `find` looks for such a header in a head of lines, `frames` reads a
whole source and hands over its rows as Arrow tables of VARCHAR, in bounded memory, each row with its true physical
line. What is not a row of an accepted table is accounted for here: headers, rules, footers, prompts and blank lines
as ignored, everything else as unknown. Rows are left to the format to account for.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from connforensics.evidence import drawn, times

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    from connforensics.evidence import Ledger, Reading

BLOCK_BYTES: Final = 16 << 20
"""Text of one frame of a separated file: large enough for Arrow to be fast, small enough to keep memory flat."""

MAX_RECORD_BYTES: Final = 4 << 20
"""A quoted field that has not ended after this much never will: its quote is a stray one. PostgreSQL keeps at most
1 MB of a query (track_activity_query_size)."""

FRAME_ROWS: Final = 50_000
"""Rows of drawn tables put together before they are handed over."""

SEPARATED_HEAD: Final = 40
"""Lines at the start of a separated file among which its header must stand."""

WINDOW_LINES: Final = 50_000
"""Lines of a drawn source looked at together."""

LONGEST_HEADER: Final = 20_000
"""A line longer than this is no header; a thousand services in a column each take less."""

LONGEST_TIME: Final = 80
"""A line longer than this is no time."""

SCRATCH_MEMORY: Final = "300MB"

Accepts = Callable[[Sequence[str]], bool]
"""Whether a header (names as `normal` gives them) is one the format knows."""

NULLS: Final = ("", "\\N", "NULL", "null", "[null]", "<null>", "(null)", "None")
"""How clients write NULL."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the table found in a head is written, and its header.

    `shape` is "separated" or "drawn" (psql's aligned and expanded output, MySQL's boxes); `rows` and `misfits` count
    the lines of the head after the header that fit it and that do not.
    """

    shape: Literal["separated", "drawn"]
    names: tuple[str, ...]
    written: tuple[str, ...]
    index: int
    delimiter: str = ""
    is_quoted: bool = False
    is_escaped: bool = False
    rows: int = 0
    misfits: int = 0

    @property
    def fit(self) -> float:
        """Share of the lines after the header that fit it; 1 where there are none."""
        return self.rows / (self.rows + self.misfits) if self.rows + self.misfits else 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows under one header.

    `rows` has `line_no` BIGINT, `lines` BIGINT (physical lines of the row), `anew` BOOLEAN (first row after a header),
    `told` VARCHAR (a time written above the table, in UTC), and `c0`, `c1`, ... VARCHAR in the order of `names`, NULL
    where the source is empty or says NULL in one of its writers' ways. `written` are the names as the source has them.
    """

    names: tuple[str, ...]
    rows: pa.Table
    written: tuple[str, ...]


def normal(name: str) -> str:
    """Return a column's name as it is compared: lower case, words joined by `_`.

    >>> normal(' "Max Size" '), normal("checkedOut"), normal("wait_event_type")
    ('max_size', 'checked_out', 'wait_event_type')
    """
    bare = name.strip().strip('"').strip().lstrip("\ufeff")
    if not bare.isupper():
        bare = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare)
    return re.sub(r"[\s\-]+", "_", bare).lower()


def match(names: Sequence[str], aliases: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Return which column gives which target: the first alias present wins, a column serves one target."""
    found: dict[str, int] = {}
    for target, known in aliases.items():
        for alias in known:
            if alias in names and names.index(alias) not in found.values():
                found[target] = names.index(alias)
                break
    return found


def column(index: int | None) -> str:
    """Return the SQL of column `index` of a frame, of NULL where there is none."""
    return "CAST(NULL AS VARCHAR)" if index is None else f"c{index}"


def number(index: int) -> str:
    """Return the SQL of column `index` of a frame as DOUBLE, NULL where it is none.

    A comma is a decimal one unless three digits follow: then it may part the thousands, and the number is not known.
    """
    plain = f"TRY_CAST(c{index} AS DOUBLE)"
    comma = f"CASE WHEN regexp_full_match(c{index}, '-?[0-9]+,([0-9]{{1,2}}|[0-9]{{4,}})') THEN replace(c{index}, ',', '.') END"
    return f"nullif(coalesce({plain}, TRY_CAST({comma} AS DOUBLE)), 'NaN'::DOUBLE)"


@contextlib.contextmanager
def scratch(zone: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of its own for reading frames: `zone` is its time zone.

    The case's own connection is locked to UTC.
    """
    import duckdb

    with duckdb.connect(config={"memory_limit": SCRATCH_MEMORY, "enable_external_access": "false"}) as con:
        con.execute("SET enable_progress_bar = false")
        times.set_zone(con, zone)
        yield con


def select(con: duckdb.DuckDBPyConnection, frame: pa.Table, query: str) -> pa.Table:
    """Return the result of `query` over the relation `frame` as an Arrow table, in the order of `line_no`.

    DuckDB's threads share out the chunks of an Arrow table and may return them in another order, also where it is told
    to keep it (seen in 2.0).
    """
    con.register("frame", frame)
    try:
        rows = con.sql(query).to_arrow_table()
    finally:
        con.unregister("frame")
    numbers = rows["line_no"].to_numpy()
    if (numbers[1:] < numbers[:-1]).any():
        rows = rows.take(pa.array(np.argsort(numbers, kind="stable")))
    return rows


def lines_of(rows: pa.Table) -> int:
    """Return how many physical lines the rows of a frame take."""
    return int(pc.sum(rows["lines"]).as_py() or 0)


def reject(ledger: Ledger, rows: pa.Table) -> None:
    """Account for rows of a frame that say nothing a format can use: unknown, the first ones as examples."""
    ledger.unknown += lines_of(rows)
    columns = [name for name in rows.column_names if re.fullmatch(r"c\d+", name)]
    for row in rows.slice(0, 20).select(["line_no", *columns]).to_pylist():
        ledger.example(row["line_no"], ",".join(str(row[name] or "") for name in columns))


# Finding a table


def find(lines: Sequence[str], accepts: Accepts) -> Layout | None:
    """Return how the first table with an accepted header is written among `lines`, None where there is none."""
    return _find_separated(lines, accepts) or _find_drawn(lines, accepts)


def _find_separated(lines: Sequence[str], accepts: Accepts) -> Layout | None:
    looked = 0
    for index, line in enumerate(lines):
        if not line.strip() or line.startswith("#") or len(line) > LONGEST_HEADER:
            continue
        looked += 1
        if looked > SEPARATED_HEAD:
            break
        is_drawn = any(map(drawn.is_rule, lines[index + 1 : index + 1 + drawn.MOST_FOLDS]))
        for delimiter in ",;\t|":
            if delimiter not in line or (delimiter == "|" and is_drawn):
                continue
            rest = lines[index + 1 :]
            is_quoted = delimiter in ",;" or _has_quotes([line, *rest[:200]], delimiter)
            written = tuple(_split(line, delimiter, is_quoted))
            names = tuple(map(normal, written))
            if len(names) < 2 or not accepts(names):
                continue
            rows, misfits = _fit(rest, delimiter, is_quoted, len(names))
            return Layout(
                "separated",
                names,
                written,
                index,
                delimiter,
                is_quoted,
                delimiter == "\t" and not is_quoted,
                rows,
                misfits,
            )
    return None


def _has_quotes(lines: Sequence[str], delimiter: str) -> bool:
    edge = re.escape(delimiter)
    return any(re.search(rf'(?:^|{edge})"(?:[^"]|"")*"(?:{edge}|$)', line) for line in lines)


def _fit(lines: Sequence[str], delimiter: str, is_quoted: bool, width: int) -> tuple[int, int]:
    rows = misfits = 0
    text = "\n".join(lines) + "\n"
    for _, fields in _tokens(text, delimiter, is_quoted, is_final=False):
        if fields == [""]:
            continue
        if len(fields) == width:
            rows += 1
        elif not (len(fields) == 1 and drawn.is_footer(fields[0])):
            misfits += 1
    return rows, misfits


def _find_drawn(lines: Sequence[str], accepts: Accepts) -> Layout | None:
    names: tuple[str, ...] | None = None
    written: tuple[str, ...] = ()
    index = rows = misfits = 0
    for piece in drawn.pieces(list(enumerate(lines, 1))):
        if not isinstance(piece, drawn.Drawn):
            continue
        header = tuple(map(normal, piece.names))
        if not accepts(header):
            continue
        if names is None:
            names, written, index = header, piece.names, piece.start
        rows += len(piece.rows)
        misfits += len(piece.misfits)
    return Layout("drawn", names, written, index, rows=rows, misfits=misfits) if names is not None else None


# Reading


def frames(reading: Reading, accepts: Accepts, keep: Collection[str] | None = None) -> Iterator[Frame]:
    """Yield the rows of every accepted table of a source, under the header that stands above them.

    `keep` names the columns a format uses; the others may arrive as NULL. Where the head shows no accepted header, every
    line counts as unknown.
    """
    layout = find(reading.head.lines, accepts)
    if layout is None:
        for line_no, line in reading.lines():
            reading.ledger.unknown += 1
            reading.ledger.example(line_no, line)
    elif layout.shape == "drawn":
        yield from _drawn_frames(reading, accepts)
    else:
        yield from _Separated(reading, accepts, layout, keep).frames()


class _Separated:
    """A separated file, block by block: Arrow parses the blocks, and a tokenizer those that Arrow cannot.

    State between blocks is the header in force, the physical line reached, and the bytes of a record not yet ended.
    """

    def __init__(self, reading: Reading, accepts: Accepts, layout: Layout, keep: Collection[str] | None) -> None:
        self.reading = reading
        self.ledger = reading.ledger
        self.accepts = accepts
        self.layout = layout
        self.keep = keep
        self.names: tuple[str, ...] = ()
        self.raw_names: tuple[str, ...] = ()
        self.line = 1
        self.anew = True

    def frames(self) -> Iterator[Frame]:
        held = b""
        pieces: list[bytes] = []
        size = 0
        cr_only: bool | None = None
        for piece in self.reading.unpacked.blocks():
            if cr_only is None and piece:
                cr_only = b"\n" not in piece and b"\r" in piece[:-1]
            pieces.append(piece.replace(b"\r", b"\n") if cr_only else piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                held = yield from self._block(held + b"".join(pieces), is_final=False)
                pieces, size = [], 0
        held += b"".join(pieces)
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
            fields = _split(written, self.layout.delimiter, self.layout.is_quoted)
            names = tuple(map(normal, fields))
            if len(names) > 1 and self.accepts(names):
                self.names, self.raw_names = names, tuple(field.strip() for field in fields)
                self.anew = True
                self._ignore(1)
                return rest, True
            self._other(written, 1)
            data = rest
        return data, False

    def _rows(self, data: bytes, *, is_final: bool) -> Generator[Frame, None, bytes]:
        """Yield the rows under the header in force; return the rest, with `names` empty where another header begins."""
        found = _records(data, self.line, self.layout.delimiter if self.layout.is_quoted else None)
        if found is None:
            return (yield from self._slowly(data, is_final=is_final))
        starts, ends, first_lines, counts = found
        whole = int(ends[-1]) + 1 if len(ends) else 0
        if len(data) - whole > MAX_RECORD_BYTES or (is_final and whole < len(data)):
            return (yield from self._slowly(data, is_final=is_final))
        if not whole:
            return data
        table = self._arrow(memoryview(data)[:whole], has_breaks=bool((counts > 1).any()))
        filled = ends > starts
        if table is None or table.num_rows != int(filled.sum()):
            return (yield from self._slowly(data, is_final=is_final))
        blanks = int((counts[~filled]).sum())
        first_lines, counts = first_lines[filled], counts[filled]
        is_header, foreign = self._headers(table)
        if foreign is not None:
            at = int(np.flatnonzero(filled)[foreign])
            table, first_lines, counts, is_header = (
                table.slice(0, foreign), first_lines[:foreign], counts[:foreign], is_header[:foreign],
            )  # fmt: skip
            blanks = int((ends[:at] == starts[:at]).sum())
            whole = int(starts[at])
        self._ignore(blanks)
        self._ignore(int(counts[is_header].sum()))
        anew = np.zeros(len(is_header) + 1, dtype=bool)
        anew[1:] = is_header
        anew[0] = self.anew
        kept = ~is_header
        # A header opens the row after it, also where blank rows or another header stand between.
        opened = _carried(anew[:-1], is_header)
        self.anew = bool(_carried(anew, np.append(is_header, False))[-1])
        if kept.any():
            self.ledger.lines += int(counts[kept].sum())
            self.line += int(counts[kept].sum())
            yield self._frame(table.filter(pa.array(kept)), first_lines[kept], counts[kept], opened[kept])
        if foreign is not None:
            self.names = ()
        return data[whole:]

    def _arrow(self, data: memoryview, *, has_breaks: bool) -> pa.Table | None:
        columns = [f"c{index}" for index in range(len(self.names))]
        wanted = [
            column
            for index, column in enumerate(columns)
            if index == 0 or self.keep is None or self.names[index] in self.keep
        ]
        try:
            table = pacsv.read_csv(
                pa.BufferReader(pa.py_buffer(data)),
                read_options=pacsv.ReadOptions(column_names=columns, block_size=max(len(data) // 2, 1 << 20)),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.layout.delimiter,
                    quote_char='"' if self.layout.is_quoted else False,
                    newlines_in_values=has_breaks,
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
        return table.select(columns)

    def _headers(self, table: pa.Table) -> tuple[NDArray[np.bool_], int | None]:
        """Say which rows repeat the header in force, and the first row that is another accepted header."""
        first = table["c0"]
        # The first column of a row that is a header holds a name, and names start with a letter.
        candidates = np.flatnonzero(
            np.asarray(pc.match_substring_regex(first, r"^\s*[A-Za-z][A-Za-z_ ]*\s*$").combine_chunks())
        )
        is_header = np.zeros(table.num_rows, dtype=bool)
        if not len(candidates):
            return is_header, None
        distinct = pc.unique(first.take(pa.array(candidates))).to_pylist()
        likely = [value for value in distinct if self._may_begin_header(value)]
        if not likely:
            return is_header, None
        for index in candidates[
            np.asarray(pc.is_in(first.take(pa.array(candidates)), pa.array(likely)).combine_chunks())
        ]:
            fields = [table[name][int(index)].as_py() for name in table.column_names]
            told = [(have, name) for have, name in zip(fields, self.raw_names, strict=True) if have is not None]
            if told and all(have.strip() == name for have, name in told):
                is_header[index] = True
            elif None not in fields and self.accepts(tuple(map(normal, fields))):
                return is_header, int(index)
        return is_header, None

    def _may_begin_header(self, value: str) -> bool:
        return normal(value) in self.names or (self.keep is not None and normal(value) in self.keep)

    def _frame(
        self, table: pa.Table, first_lines: NDArray[np.int64], counts: NDArray[np.int64], anew: NDArray[np.bool_]
    ) -> Frame:
        if any(name != name.strip() for name in self.layout.written):
            table = pa.table([_trimmed(column) for column in table.columns], names=table.column_names)
        if self.layout.is_escaped:
            table = pa.table([_unescape(column) for column in table.columns], names=table.column_names)
        head = pa.table(
            {
                "line_no": pa.array(first_lines),
                "lines": pa.array(counts),
                "anew": pa.array(anew),
                "told": pa.nulls(len(anew), pa.string()),
            }
        )
        for name in table.column_names:
            head = head.append_column(name, table[name])
        return Frame(self.names, head, self.raw_names)

    def _slowly(self, data: bytes, *, is_final: bool) -> Generator[Frame, None, bytes]:
        """Read a block record by record: it holds lines that do not fit, stray quotes or another header."""
        written = data.decode(errors="surrogateescape")
        rows: list[list[str]] = []
        first_lines: list[int] = []
        counts: list[int] = []
        anew: list[bool] = []
        done = 0
        is_stuck = len(data) > MAX_RECORD_BYTES
        for end, fields in _tokens(
            written, self.layout.delimiter, self.layout.is_quoted, is_final=is_final or is_stuck
        ):
            lines = written.count("\n", done, end)
            if len(fields) == len(self.names) and tuple(field.strip() for field in fields) == self.raw_names:
                self.anew = True
                self._ignore(lines)
            elif len(fields) > 1 and lines == 1 and self.accepts(tuple(map(normal, fields))):
                break
            elif len(fields) == len(self.names):
                rows.append(fields)
                first_lines.append(self.line)
                counts.append(lines)
                anew.append(self.anew)
                self.anew = False
                self.ledger.lines += lines
                self.line += lines
            else:
                self._other(written[done:end].removesuffix("\n"), lines)
            done = end
        else:
            end = done
        if rows:
            columns = {
                f"c{index}": pa.array([_told(row[index]) for row in rows], pa.string())
                for index in range(len(self.names))
            }
            yield self._frame(
                pa.table(columns),
                np.array(first_lines, dtype=np.int64),
                np.array(counts, dtype=np.int64),
                np.array(anew, dtype=bool),
            )
        rest = written[done:].encode(errors="surrogateescape")
        if end != done:
            self.names = ()
        return rest

    def _ignore(self, lines: int) -> None:
        self.ledger.lines += lines
        self.ledger.ignored += lines
        self.line += lines

    def _other(self, written: str, lines: int) -> None:
        """Account for lines that are neither header nor row."""
        if lines == 1 and (not written.strip() or written.startswith("#") or drawn.is_footer(written)):
            self._ignore(1)
            return
        self.ledger.example(self.line, _sound(written))
        self.ledger.lines += lines
        self.ledger.unknown += lines
        self.line += lines


def _carried(anew: NDArray[np.bool_], is_header: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hand an opening that falls on a header on to the next row that is none."""
    opened = anew.copy()
    for index in np.flatnonzero(opened & is_header):
        if index + 1 < len(opened):
            opened[index + 1] = True
    return opened


def _records(
    data: bytes, line: int, delimiter: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Return start and end offset, first physical line and number of lines of every whole record of `data`.

    A line feed between an odd number of quotes and the next one stands inside a field; `delimiter` is None where quotes
    mean nothing. None where a quote stands elsewhere than at the edge of a field, so that they cannot be counted.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    feeds = np.flatnonzero(octets == 10)
    closing = np.arange(len(feeds))
    if delimiter is not None and b'"' in data:
        quotes = np.flatnonzero(octets == 34)
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
    counts = np.diff(closing, prepend=-1)
    first_lines = line + np.cumsum(counts) - counts
    return starts, ends, first_lines, counts


@cache
def _field(delimiter: str, is_quoted: bool) -> re.Pattern[str]:
    plain = f"[^{re.escape(delimiter)}\n]*+"
    quoted = f'"((?:[^"]++|"")*+)"({plain})' if is_quoted else "(?!)()()"
    return re.compile(f"(?:{quoted}|({plain}))({re.escape(delimiter)}|\n|\\Z)")


def _tokens(text: str, delimiter: str, is_quoted: bool, *, is_final: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each record's end offset and fields; a quote that never closes is an ordinary character.

    Unless `is_final`, a record whose last quote is still open is left for later.
    """
    pattern = _field(delimiter, is_quoted)
    position, fields = 0, []
    while position < len(text):
        found = pattern.match(text, position)
        if found is None:  # pragma: no cover - the pattern matches the empty text
            return
        quoted, trailing, plain, ending = found.groups()
        if quoted is not None:
            fields.append(quoted.replace('""', '"') + trailing)
        else:
            if is_quoted and plain.startswith('"') and not is_final:
                return
            fields.append(plain)
        position = found.end()
        if ending == delimiter and position < len(text):
            continue
        if ending == delimiter:
            fields.append("")
        elif not ending and not is_final:
            return
        yield position, fields
        fields = []


def _split(line: str, delimiter: str, is_quoted: bool) -> list[str]:
    for _, fields in _tokens(line, delimiter, is_quoted, is_final=True):
        return fields
    return [""]


def _told(text: str) -> str | None:
    return None if text in NULLS else _sound(text)


def _sound(text: str) -> str:
    """Return text without lone surrogates, which no database stores."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take off the blanks that some writers put around a separator."""
    bare = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(bare, value_set=pa.array(NULLS)), None, bare)


_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\\": "\\"}


def _unescape(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo the escapes of COPY's text format."""
    if not pc.any(pc.match_substring(column, "\\")).as_py():
        return column
    return pa.chunked_array(
        [
            [
                value
                if value is None or "\\" not in value
                else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(1)), value, flags=re.S)
                for value in column.to_pylist()
            ]
        ],
        pa.string(),
    )


# Drawn tables

_WATCHED = re.compile(r"^(.*?\d.*?)\s*\([^()]*\d[^()]*\)$")
"""The line that psql's \\watch prints above a table: the time, and how often in the server's language."""


def _told_time(text: str, zone: str | None) -> str | None:
    """Return the time that a line is, as ISO text in UTC; None where the line is anything else."""
    bare = text.strip()
    if len(bare) > LONGEST_TIME or ":" not in bare:
        return None
    watched = _WATCHED.match(bare)
    for candidate in (
        bare,
        watched.group(1) if watched else "",
        bare.partition(": ")[2],
        bare.lstrip("#-= ").rstrip("-= "),
    ):
        moment = times.parse(candidate, zone) if candidate and candidate[-1].isalnum() else None
        if moment is not None:
            return moment.isoformat(sep=" ") + "+00"
    return None


def _drawn_frames(reading: Reading, accepts: Accepts) -> Iterator[Frame]:
    ledger = reading.ledger
    held: list[tuple[int, str]] = []
    batch: list[tuple[int, int, bool, str | None, list[str]]] = []
    names: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    told: str | None = None
    is_fresh = False
    for piece in _drawn_pieces(reading.lines(), held):
        if isinstance(piece, drawn.Talk):
            here = _told_time(piece.text, reading.options.timezone)
            told, is_fresh = (here, True) if here else (told, is_fresh)
            if piece.is_plain or here:
                ledger.ignored += 1
            else:
                ledger.unknown += 1
                ledger.example(piece.line_no, piece.text)
            continue
        header = tuple(map(normal, piece.names))
        cells = piece.rows[0][2] if len(piece.rows) == 1 else []
        here = _told_time(cells[0], reading.options.timezone) if len(cells) == 1 else None
        if here:
            told, is_fresh = here, True
            ledger.ignored += len(piece.head) + piece.rules + piece.rows[0][1]
            continue
        ledger.unknown += len(piece.misfits)
        for line_no, line in piece.misfits:
            ledger.example(line_no, line)
        ledger.ignored += piece.rules
        if not accepts(header):
            rows_lines = sum(count for _, count, _ in piece.rows)
            ledger.unknown += len(piece.head) + rows_lines
            for line_no, line in piece.head:
                ledger.example(line_no, line)
            continue
        ledger.ignored += len(piece.head)
        if header != names or len(batch) >= FRAME_ROWS:
            if batch:
                yield _drawn_frame(names, written, batch)
            names, written, batch = header, piece.names, []
        if piece.opens:
            # A time belongs to the one table below it.
            told, is_fresh = (told if is_fresh else None), False
        for index, (line_no, count, row) in enumerate(piece.rows):
            batch.append((line_no, count, index == 0 and piece.opens, told, row))
    if batch:
        yield _drawn_frame(names, written, batch)


def _drawn_pieces(lines: Iterator[tuple[int, str]], held: list[tuple[int, str]]) -> Iterator[drawn.Talk | drawn.Drawn]:
    """Yield the pieces of a source, in memory of one window of lines and the table that lies across its end."""
    while True:
        window = list(itertools.islice(lines, WINDOW_LINES))
        held += window
        found = drawn.pieces(held)
        if not window:
            yield from found
            return
        # A table near the end may go on in the next window, and the last lines may be its header.
        settled = max(len(found) - drawn.MOST_FOLDS, 0)
        cut = held[0][0] + len(held)
        for index in range(len(found) - 1, settled - 1, -1):
            piece = found[index]
            settled, cut = index, piece.line_no if isinstance(piece, drawn.Talk) else held[piece.start][0]
            if isinstance(piece, drawn.Drawn):
                break
        yield from found[:settled]
        del held[: cut - held[0][0]]


def _drawn_frame(
    names: tuple[str, ...], written: tuple[str, ...], batch: list[tuple[int, int, bool, str | None, list[str]]]
) -> Frame:
    numbers, counts, anew, told, rows = zip(*batch, strict=True)
    table = pa.table(
        {
            "line_no": pa.array(numbers, pa.int64()),
            "lines": pa.array(counts, pa.int64()),
            "anew": pa.array(anew, pa.bool_()),
            "told": pa.array(told, pa.string()),
        }
    )
    for index in range(len(names)):
        table = table.append_column(f"c{index}", pa.array([_told(row[index]) for row in rows], pa.string()))
    return Frame(names, table, written)
