"""Tables in text, whatever wrote them: what a format asks for and what it is given.

A format says which headers it knows (`Accepts`); `find` looks for such a header in a head of lines, `frames` reads a
whole source and hands over its rows as Arrow tables of VARCHAR, in bounded memory, each row with its true physical
line. What is not a row of an accepted table is accounted for here: headers, rules, footers, prompts and blank lines
as ignored, everything else as unknown. Rows are left to the format to account for.

The shapes (CSV, psql's and mysql's drawings, `\\G`, HTML, XML, JSON, Markdown, ...) are in `evidence.shapes`.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import times
from connforensics.evidence.shapes import (
    NULLS,
    Accepts,
    Frame,
    Table,
    Talk,
    blocks,
    flags,
    longs,
    normal,
    note,
    numbers,
    pasted,
    separated,
    time_lines,
    told,
)

if TYPE_CHECKING:
    import duckdb

    from connforensics.evidence import Ledger, Reading

__all__ = [
    "MOMENT", "NULLS", "Accepts", "Frame", "Layout", "Storing", "any_of", "column", "find", "flags", "frames", "integers", "lines_of", "longs", "match",
    "moments", "normal", "number", "numbers", "reject", "scratch", "select",
]  # fmt: skip

FRAME_ROWS: Final = 50_000
"""Rows of tables among other text put together before they are handed over."""

SEPARATED_HEAD: Final = 40
"""Lines at the start of a separated file among which its header must stand."""

SEPARATED_FIT: Final = 0.9
"""Share of the lines after the header that must be rows for a file to be one of nothing but separated fields."""

SHOWN_ROWS: Final = 500
"""Rows of the head that a layout shows."""

MOMENT: Final = pa.timestamp("us")
"""Naive UTC, as the case stores times."""

SCRATCH_MEMORY: Final = "300MB"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the tables found in a head are written, and the header of the first.

    `shape` is "separated" (a file of separated fields), "drawn" (psql's aligned output, mysql's boxes, Markdown),
    "vertical" (`\\x`, `\\G`), "html", "xml", "objects" (JSON) or "inline" (separated fields among other text). `index` is
    the header's place among the lines. `rows` and `misfits` count the lines of the head that fit the accepted headers
    and that do not; `shown` has the cells of the first rows under `names`.
    """

    shape: str
    names: tuple[str, ...]
    written: tuple[str, ...]
    index: int
    delimiter: str = ""
    rows: int = 0
    misfits: int = 0
    shown: tuple[tuple[str | None, ...], ...] = ()
    how: separated.Writing | None = None

    @property
    def fit(self) -> float:
        """Share of the lines after the header that fit it; 1 where there are none."""
        return self.rows / (self.rows + self.misfits) if self.rows + self.misfits else 1.0


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
    line_nos = numbers(rows["line_no"])
    if (line_nos[1:] < line_nos[:-1]).any():
        rows = rows.take(longs(np.argsort(line_nos, kind="stable")))
    return rows


def moments(con: duckdb.DuckDBPyConnection, frame: pa.Table, name: str, zone: str | None) -> pa.ChunkedArray:
    """Return column `name` of a frame as naive UTC TIMESTAMP, NULL where it is no time; `con` is a scratch connection."""
    written = frame[name]
    if written.null_count == len(written):
        return pa.chunked_array([pa.nulls(len(written), MOMENT)])
    try:
        # Arrow reads ISO 8601 ten times as fast, but all of a column must be so, and with a zone.
        return written.cast(pa.timestamp("us", "UTC")).cast(MOMENT)
    except pa.ArrowInvalid:
        read = select(con, frame.select(["line_no", name]), f"SELECT line_no, {times.sql(name)} AS moment FROM frame")
        return times.filled(read["moment"], written, zone)


def integers(written: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column of text as integers, NULL where it holds none."""
    try:
        return written.cast(kind)
    except pa.ArrowInvalid:
        bare = pc.utf8_trim_whitespace(written)
        is_number = pc.fill_null(pc.match_substring_regex(bare, r"^-?\d{1,9}$|^\d{10,18}$"), False)
        whole = pc.if_else(is_number, bare, None).cast(pa.int64())
        most = 2 ** (kind.bit_width - 1) - 1
        return pc.if_else(pc.less_equal(pc.abs(whole), most), whole, None).cast(kind)


def any_of(tests: Iterable[pa.ChunkedArray], rows: int) -> pa.ChunkedArray:
    """Return for each of so many rows whether any test is true; false where there is no test."""
    return functools.reduce(pc.or_, tests, pa.chunked_array([flags(np.zeros(rows, dtype=bool))]))


class Storing:
    """Stores rows in a thread of its own, while the next ones are being read; at the end all are stored.

    Nothing else may use the case's connection meanwhile.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storing")
        self._last: Future[int] | None = None

    def __enter__(self) -> Storing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._last is not None:
                self._last.result()
        except Exception:
            if kind is None:
                raise
        finally:
            self._thread.shutdown()

    def wait(self) -> None:
        """Wait until all rows given so far are stored: then the connection is free."""
        if self._last is not None:
            self._last.result()

    def insert(self, table: str, rows: pa.Table) -> None:
        """Store `rows` as `Reading.insert` does; an error of the rows before is raised here."""
        self.wait()
        self._last = self._thread.submit(self._reading.insert, table, rows)


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
    alone = _separated(lines, accepts)
    if alone is not None and alone.fit >= SEPARATED_FIT:
        return alone
    return _among(lines, accepts) or alone


def _separated(lines: Sequence[str], accepts: Accepts) -> Layout | None:
    looked = 0
    for index, line in enumerate(lines):
        if not line.strip() or line.startswith("#"):
            continue
        looked += 1
        if looked > SEPARATED_HEAD:
            break
        how = separated.writing(lines, index, accepts)
        if how is not None:
            rows, misfits, shown = separated.fit(lines[index + 1 :], how, accepts, SHOWN_ROWS)
            return Layout("separated", how.names, how.written, index, how.delimiter, rows, misfits, shown, how)
    return None


def _among(lines: Sequence[str], accepts: Accepts) -> Layout | None:
    first: Table | None = None
    rows = misfits = 0
    shown: list[tuple[str | None, ...]] = []
    numbered, pieces = pasted.of_head(tuple(lines))
    for piece in pasted.Known(accepts).sorted(pieces, numbered):
        if not isinstance(piece, Table) or not accepts(tuple(map(normal, piece.names))):
            continue
        first = first or piece
        rows += len(piece.rows)
        misfits += len(piece.misfits)
        if piece.names == first.names:
            shown += [tuple(map(told, cells)) for _, _, cells in piece.rows[: SHOWN_ROWS - len(shown)]]
    if first is None:
        return None
    shape = "inline" if first.shape == "separated" else first.shape
    names = tuple(map(normal, first.names))
    return Layout(shape, names, tuple(first.names), first.start, "", rows, misfits, tuple(shown))


# Reading


def frames(reading: Reading, accepts: Accepts, keep: Collection[str] | None = None) -> Iterator[Frame]:
    """Yield the rows of every accepted table of a source, under the header that stands above them.

    `keep` names the columns a format uses; the others may arrive as NULL. Where the head shows no accepted header, every
    line counts as unknown.
    """
    layout = find(reading.head.lines, accepts)
    if layout is None:
        for line_no, line in reading.lines():
            _unknown(reading.ledger, line_no, line)
    elif layout.shape == "separated" and layout.how is not None:
        yield from blocks.Blocks(reading, accepts, layout.how, keep).frames()
    else:
        yield from _pasted(reading, accepts)


def _unknown(ledger: Ledger, line_no: int, text: str) -> None:
    ledger.unknown += 1
    note(ledger, line_no, text)


def _pasted(reading: Reading, accepts: Accepts) -> Iterator[Frame]:
    ledger, zone = reading.ledger, reading.options.timezone
    batch: list[tuple[int, int, bool, str | None, Sequence[str | None]]] = []
    names: tuple[str, ...] = ()
    moment: str | None = None
    is_fresh = False
    known: dict[tuple[str, ...], tuple[tuple[str, ...], bool]] = {}
    for piece in pasted.read(reading.lines(), accepts):
        if isinstance(piece, Talk):
            here = time_lines.told(piece.text, zone)
            if here is not None:
                moment, is_fresh = here, True
            if piece.is_plain or here is not None or time_lines.is_asking(piece.text):
                ledger.ignored += 1
            else:
                _unknown(ledger, piece.line_no, piece.text)
            continue
        if piece.names not in known:
            header = tuple(map(normal, piece.names))
            known[piece.names] = header, accepts(header)
        is_accepted = known[piece.names][1]
        row_lines = sum(count for _, count, _ in piece.rows)
        if not is_accepted and len(piece.rows) == 1:
            here = time_lines.among(piece.names, piece.rows[0][2], zone)
            if here is not None:
                moment, is_fresh = here, True
                ledger.ignored += len(piece.head) + piece.rules + row_lines + len(piece.misfits)
                continue
        ledger.ignored += piece.rules
        for line_no, line in piece.misfits:
            _unknown(ledger, line_no, line)
        if not is_accepted:
            for line_no, line in piece.head:
                _unknown(ledger, line_no, line)
            ledger.unknown += row_lines
            for line_no, _, cells in piece.rows:
                note(ledger, line_no, " | ".join(cell or "" for cell in cells))
            continue
        ledger.ignored += len(piece.head)
        if batch and (piece.names != names or len(batch) >= FRAME_ROWS):
            yield _frame(known[names][0], names, batch)
            batch = []
        names = piece.names
        is_anew = piece.opens or is_fresh
        if piece.opens:
            # A time belongs to the one table below it.
            moment = moment if is_fresh else None
        is_fresh = False
        for index, (line_no, count, cells) in enumerate(piece.rows):
            batch.append((line_no, count, index == 0 and is_anew, moment, cells))
    if batch:
        yield _frame(known[names][0], names, batch)


def _frame(
    names: tuple[str, ...],
    written: tuple[str, ...],
    batch: list[tuple[int, int, bool, str | None, Sequence[str | None]]],
) -> Frame:
    line_nos, counts, anew, moments, rows = zip(*batch, strict=True)
    table = pa.table(
        {
            "line_no": pa.array(line_nos, pa.int64()),
            "lines": pa.array(counts, pa.int64()),
            "anew": pa.array(anew, pa.bool_()),
            "told": pa.array(moments, pa.string()),
        }
    )
    for index in range(len(names)):
        table = table.append_column(f"c{index}", pa.array([told(row[index]) for row in rows], pa.string()))
    return Frame(names, table, written)
