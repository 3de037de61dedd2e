"""Files to rows: what a format is, what it is handed, and how a file finds its format.

A *format* is a module in this folder with a docstring (what it is, how to obtain it), samples and a `FORMAT` value.
Dropping the module in is all there is to do: `formats()` finds it, and the laws in tests/test_formats.py hold it to the
same promises as every other one.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from connforensics.schema import BY_NAME, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from connforensics.evidence.containers import Unpacked
    from connforensics.evidence.lines import CurrentSlice
    from connforensics.evidence.unwrapping import Wrapping

UNKNOWN_EXAMPLES = 20
"""How many unrecognised lines of a source are kept as examples."""

EXAMPLE_CHARACTERS = 500
"""How much of such a line is kept."""

CERTAIN_ENOUGH = 0.3
"""Below this certainty a file is said to be unknown; judgement, held by the law that junk is not claimed."""


@dataclass(frozen=True, slots=True)
class Head:
    """The lines of a source that identification looks at, without line ends.

    `lines` are the first ones (up to 2,000), `middle` some of the middle where the file allows a jump; `name` is the
    file's name, which may break a tie and decide nothing.
    """

    lines: tuple[str, ...]
    middle: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a caller may tell the loader because the evidence does not: NULL means "find out"."""

    log_line_prefix: str | None = None
    timezone: str | None = None
    server: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece of evidence and the rows it must give.

    `rows` maps a table to its rows in line order; every row names the columns it pins (times as ISO text), and the
    number of rows is exact. A table not named must stay empty.
    """

    text: str
    rows: Mapping[str, Sequence[Mapping[str, object]]]
    name: str = "sample.txt"
    options: ReadOptions = ReadOptions()


@dataclass(slots=True)
class Ledger:
    """What became of the lines of one source; the loader checks that it adds up."""

    lines: int = 0
    understood: int = 0
    ignored: int = 0
    unknown: int = 0
    suspects: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None

    def assume(self, text: str) -> None:
        """Record an assumption once."""
        if text not in self.assumptions:
            self.assumptions.append(text)

    def example(self, line_no: int, text: str) -> None:
        """Keep an unrecognised line as an example, while there is room."""
        if len(self.examples) < UNKNOWN_EXAMPLES:
            self.examples.append((line_no, text[:EXAMPLE_CHARACTERS]))

    def add(self, other: Ledger, of: str | None = None) -> None:
        """Add the ledger of a part of the source; `of` names the server it is of, where there are several."""
        self.lines += other.lines
        self.understood += other.understood
        self.ignored += other.ignored
        self.unknown += other.unknown
        self.suspects += other.suspects
        for line_no, text in other.examples:
            self.example(line_no, text)
        for text in other.assumptions:
            self.assume(f"{of}: {text}" if of else text)
        self.saw(other.first_at, other.last_at)

    def saw(self, first_at: datetime | None, last_at: datetime | None) -> None:
        """Widen the time range of the source by times found in it (naive UTC)."""
        if first_at is not None and (self.first_at is None or first_at < self.first_at):
            self.first_at = first_at
        if last_at is not None and (self.last_at is None or last_at > self.last_at):
            self.last_at = last_at


@dataclass(slots=True)
class Reading:
    """What a format's `read` is handed: the source, the open case inside the source's transaction, and the ledger.

    A format sets `engine` and `version` when the evidence tells them.
    """

    con: duckdb.DuckDBPyConnection
    source_id: int
    unpacked: Unpacked
    head: Head
    options: ReadOptions
    ledger: Ledger = field(default_factory=Ledger)
    engine: str | None = None
    version: str | None = None
    server: str | None = None
    wrapping: Wrapping | None = None
    streams: tuple[str, ...] | None = None
    ranges: tuple[tuple[int, int], ...] | None = None
    blanked: int = 0
    """Lines of other parts that `blocks` handed over as blank ones."""
    shown: dict[str, CurrentSlice] = field(default_factory=dict)
    """What `show` makes readable in SQL."""

    @property
    def has_received_at(self) -> bool:
        """Whether slices have `received_at` TIMESTAMP: when the wrapper says a line was taken in (naive UTC)."""
        return self.wrapping is not None

    def slices(self) -> Iterator[pa.Table]:
        """Yield the source in slices of bounded size: `line_no` BIGINT from 1, `text` VARCHAR without line end.

        Counts `ledger.lines`. A line is what LF ends (CR before it belongs to the line end; a file without any LF
        ends its lines with CR). Bytes that are not UTF-8 arrive as backslash escapes. Wrappers are taken off, and lines
        that belong to another part of the source are left out.
        """
        for table, is_own in self._parted():
            own = table if is_own is None else _filtered(table, is_own)
            self.ledger.lines += own.num_rows
            if own.num_rows:
                yield own

    def blocks(self) -> Iterator[bytes]:
        """Yield the source as bytes; lines of other parts come as blank ones, so that line numbers are the physical ones."""
        if self.wrapping is None and self.ranges is None:
            yield from self.unpacked.blocks()
            return
        for table, is_own in self._parted():
            texts = table.column("text").to_pylist()
            if is_own is not None:
                kept = is_own.to_pylist()
                self.blanked += len(kept) - sum(kept)
                texts = [text if keeps else "" for text, keeps in zip(texts, kept, strict=True)]
            yield "".join(f"{text}\n" for text in texts).encode()

    def _parted(self) -> Iterator[tuple[pa.Table, pa.ChunkedArray | None]]:
        """Yield whole slices, unwrapped, and which of their lines are of this part; None where all are."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from connforensics.evidence.lines import slices

        tables = slices(self.unpacked)
        for table in tables if self.wrapping is None else self.wrapping.unwrapped(tables):
            is_own = None
            if self.streams is not None:
                is_own = pc.is_in(table["stream"], value_set=pa.array(self.streams, pa.string()))
            elif self.ranges is not None:
                numbers = table["line_no"]
                within = [
                    pc.and_(pc.greater_equal(numbers, first), pc.less_equal(numbers, last))
                    for first, last in self.ranges
                ]
                is_own = functools.reduce(pc.or_, within)
            yield table, is_own

    def scan(self, name: str) -> Iterator[pa.Table]:
        """Yield the source's slices as `slices` does, each readable in SQL as the relation `name` until the next."""
        for table in self.slices():
            self.show(name, table)
            yield table
        self.hide(name)

    def show(self, name: str, table: pa.Table) -> None:
        """Make a table readable in SQL as the relation `name`, in place of the one shown under that name before."""
        from connforensics.evidence.lines import CurrentSlice

        is_new = name not in self.shown
        current = self.shown.setdefault(name, CurrentSlice())
        current.table = table
        if is_new:
            self.con.register(name, current)

    def hide(self, *names: str) -> None:
        """Let go of what was shown under these names."""
        for name in names:
            if self.shown.pop(name, None) is not None:
                self.con.unregister(name)

    def count(self, sql: str, given: Sequence[object] = ()) -> int:
        """Return the one number that a query gives."""
        [(number,)] = self.con.execute(sql, list(given)).fetchall()
        return int(number)

    def show_unknown(self, lines: str, suspect: str) -> int:
        """Show lines as examples of the unknown and count those that match `suspect` as suspects; return how many there are.

        `lines` is a relation or a query in brackets with `line_no` and `text`.
        """
        unknown = self.count(f"SELECT count(*) FROM {lines}")
        if unknown:
            self.ledger.suspects += self.count(
                f"SELECT count(*) FROM {lines} WHERE regexp_matches(text, {quoted(suspect)})"
            )
            for line_no, text in self.con.execute(
                f"SELECT line_no, text FROM {lines} ORDER BY line_no LIMIT {UNKNOWN_EXAMPLES}"
            ).fetchall():
                self.ledger.example(line_no, text)
        return unknown

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield `(line_no, text)`: for small shapes only."""
        for table in self.slices():
            yield from zip(table.column("line_no").to_pylist(), table.column("text").to_pylist(), strict=True)

    def insert(self, table: str, rows: pa.Table) -> int:
        """Store `rows` by column name into a table of the case, with this source's id, server and engine; return how many."""
        known = BY_NAME[table].column_names
        given = {"source_id": str(self.source_id)}
        for name, value in (("server", self.server), ("engine", self.engine)):
            if name in known and name not in rows.column_names and value is not None:
                given[name] = quoted(value)
        columns = ", ".join(
            f"{given[name]} AS {name}" if name in given else name if name in rows.column_names else f"NULL AS {name}"
            for name in known
        )
        # A registered table would be kept until the transaction ends, and memory would grow with the file.
        self.con.from_arrow(rows).project(columns).insert_into(table)
        return int(rows.num_rows)


class Entry(Protocol):
    """One text of a catalogue of messages."""

    @property
    def kind(self) -> str | None:
        """The event kind it is typed as; None where it tells nothing about connections."""

    @property
    def reason(self) -> str | None:
        """The reason, where the text fixes one."""

    @property
    def sample(self) -> str:
        """The text as a program really wrote it."""


def _filtered(table: pa.Table, kept: pa.ChunkedArray) -> pa.Table:
    import pyarrow as pa

    # Arrow filters no string views yet.
    return table.set_column(1, "text", table["text"].cast(pa.string())).filter(kept)


@dataclass(frozen=True, slots=True)
class Format:
    """One way evidence is written.

    `certainty` says how sure a head is its own (0 to 1; 1 is "nothing else can look like this"), `read` stores the
    rows of a source and accounts for each of its lines in the ledger. A log shows the `catalogue` of messages it types
    (entries with `kind`, `reason` and `sample`) and how it `frames` one: functions from a sample and a running number
    to the lines as written, without the last line end.
    """

    name: str
    engine: str | None
    tables: tuple[str, ...]
    certainty: Callable[[Head], float]
    read: Callable[[Reading], None]
    samples: tuple[Sample, ...]
    catalogue: Sequence[Entry] = ()
    frames: tuple[Callable[[str, int], str], ...] = ()
    is_signed: bool = False
    """It names itself in its first line: what it claims no other format is asked about."""


@functools.cache
def formats() -> Mapping[str, Format]:
    """Return every format by name, from the modules of this folder that have one."""
    found = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        candidate = getattr(module, "FORMAT", None)
        if isinstance(candidate, Format):
            found[candidate.name] = candidate
    return dict(sorted(found.items()))


def identify(head: Head) -> list[tuple[Format, float]]:
    """Return the formats that claim `head`, the surest first; empty when none is certain enough."""
    claims = [(candidate, candidate.certainty(head)) for candidate in formats().values() if candidate.is_signed]
    if not any(certainty for _, certainty in claims):
        claims = [(candidate, candidate.certainty(head)) for candidate in formats().values() if not candidate.is_signed]
    return sorted(
        ((candidate, certainty) for candidate, certainty in claims if certainty >= CERTAIN_ENOUGH),
        key=lambda claim: (-claim[1], claim[0].name),
    )
