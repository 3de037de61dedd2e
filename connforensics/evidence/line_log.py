"""Logs of lines that begin with a header: frames say how a header is written, a catalogue what the messages mean.

Every format of a text log but PostgreSQL's own reads through here: MySQL's error log, the poolers, the pools of
applications. Where known messages are rare, the literals of the catalogue are looked for in all lines at once and only
lines that hold one are taken apart; where they are frequent, every line is. A header is taken apart in pieces, each a
small expression that RE2 runs in one pass, and a message is typed once however often it is written. Lines that begin
with no header continue the record above them. A format that fills its log with a few messages may type those at once,
with numpy: what it leaves, and every format without, goes the way described.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Head, Ledger, Reading, times
from connforensics.evidence.lines import SUSPECT, ahead
from connforensics.evidence.scanner import Places, Texts, as_arrow, longs_of, texts_of
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from connforensics.evidence.messages import Message

Continuations = Literal["ignored", "typed", "unknown"]

DENSE: Final = 0.25
"""Share of known messages in the head from which every line is taken apart: looking for literals first costs about as
much as taking a quarter of the lines apart (measured on 250 MB of PgBouncer's log)."""

SHOWN: Final = 300
"""Lines of a slice that show how its times are written."""

SECOND_DIGITS: Final = 19
"""Characters of a date and a time to the second."""

LEFT_LINES: Final = 50_000
"""Lines not typed at once that are put together before they are looked at: for a few it takes as long as for many."""

GROUPS_IN_ONE_PASS: Final = 3
"""Groups of a piece of a header. RE2 needs no second look at a line for four groups; the whole piece is one of them."""

_ISO: Final = r"^(\d{4}[-/.]\d\d[-/.]\d\d)[ T]+(\d?\d:\d\d:\d\d)(?:[.,:](\d{1,9}))? ?(.*)$"
"""Date, clock, fraction and zone of a time as most programs write it."""

_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?![\d.,])")
"""A local time that DuckDB casts once a comma in it is a point."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Events typed without SQL: the rows of texts they stand in, the places of their frames, and their other columns.

    `local_at` are microseconds since 1970 in the zone that was asked for. All of it is what the frames and the catalogue
    would make of the texts.
    """

    rows: Places
    local_at: NDArray[np.int64]
    frame: NDArray[np.int8]
    columns: Mapping[str, pa.Array]


TypeAtOnce = Callable[[Texts, bytes, bytes], AtOnce]
"""Types what it can of some texts: those whose time has the shape given (0 for a digit) and the zone given behind it."""


@dataclass(frozen=True)
class Frame:
    """How a program begins a line.

    `pattern` matches a whole line from `^` (read by RE2 and by Python alike; unnamed groups are `(?:...)`); of its
    named groups `message` is what the catalogue types and must be there, `stamp` is the time as written, any other is a
    column of `event` or one of `parts`: a group and the pattern that takes it apart into columns, worth it for a text
    with few distinct values. `parse` reads a stamp that is no ISO date (to naive UTC; the second argument is the time
    zone the caller named). `example` is a line without its message.
    """

    name: str
    pattern: str
    example: str
    parse: Callable[[str, str | None], datetime | None] | None = None
    parts: tuple[tuple[str, str], ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern for Python."""
        return re.compile(self.pattern)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, in order."""
        return tuple(self.compiled.groupindex)


@dataclass(frozen=True, slots=True)
class Look:
    """What a head shows of a program: lines that are not blank, those with a header, known messages in them."""

    lines: int
    framed: int
    known: int
    frames: tuple[Frame, ...]

    @property
    def share(self) -> float:
        """Lines with a header, of those that are not indented and so might have one."""
        return self.framed / self.lines if self.lines else 0.0


def look(head: Head, frames: Sequence[Frame], catalogue: Sequence[Message]) -> Look:
    """Look at the first lines of a source; `frames` of the answer are those met, the most frequent first."""
    lines = framed = known = 0
    met: dict[Frame, int] = {}
    for line in (*head.lines, *head.middle):
        if not line.strip() or line[0] in " \t":
            continue
        lines += 1
        for frame in frames:
            found = frame.compiled.match(line)
            if found is None:
                continue
            framed += 1
            met[frame] = met.get(frame, 0) + 1
            known += any(message.fits(found["message"], frame.name) for message in catalogue)
            break
    return Look(lines, framed, known, tuple(sorted(met, key=lambda frame: -met[frame])))


def read(
    reading: Reading,
    frames: Sequence[Frame],
    catalogue: Sequence[Message],
    *,
    continuations: Continuations = "ignored",
    suspect: str = SUSPECT,
    at_once: TypeAtOnce | None = None,
    also: Callable[[str], int] | None = None,
) -> None:
    """Store the events of a log and account for every line.

    A line with a header and no known message is ignored, unless its message looks like one about connections
    (`suspect`): then it is unknown. A line without a header belongs to the record above it: it is ignored, unknown, or
    `typed` as a message of its own at the time of that record. Lines before the first header are unknown, blank ones
    never are.

    `at_once` types lines of a log that is full of events, the most frequent ones; not where continuations are `typed`.

    `also` is called for each slice with the name of a relation of its lines with a header (`line_no`, `event_at`,
    `message`, at least those that hold a literal of the catalogue) and returns how many lines it has understood of
    those that the catalogue knows as silent.
    """
    _Reader(reading, tuple(frames), tuple(catalogue), continuations, suspect, at_once, also).read()


def pieces(pattern: str) -> list[str]:
    """Return a pattern cut into expressions to be matched one after the other, each at the end of what went before.

    Where all pieces match, the groups are those of the whole pattern: the first piece prefers what the whole pattern
    would try first. Where one does not, the whole pattern may still match. A pattern that cannot be cut is one piece.

    >>> pieces(r"^(?P<stamp>\\S+) \\[(?P<pid>\\d+)\\] (?P<level>[A-Z]+) (?P<user_name>.*?)@(?P<message>.*)$")
    ['^(?P<stamp>\\\\S+) \\\\[(?P<pid>\\\\d+)\\\\] (?P<level>[A-Z]+) ', '^(?P<user_name>.*?)@(?P<message>.*)$']
    """
    atoms = _atoms(pattern)
    if not atoms or atoms[0] != "^" or "|" in atoms or any(atom.startswith("(?i") for atom in atoms):
        return [pattern]
    cut = [["^"]]
    groups = 0
    for atom in atoms[1:]:
        named = len(re.findall(r"\(\?P<", atom))
        if named and groups and groups + named > GROUPS_IN_ONE_PASS:
            cut.append(["^"])
            groups = 0
        cut[-1].append(atom)
        groups += named
    return ["".join(atoms) for atoms in cut]


_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??")


def _atoms(pattern: str) -> list[str]:
    """Return the atoms of a pattern at its top level, each with its quantifier; none where it is not understood."""
    atoms = []
    at = 0
    while at < len(pattern):
        start = at
        at = _atom_end(pattern, at)
        if at <= start:
            return []
        quantifier = _QUANTIFIER.match(pattern, at)
        at = quantifier.end() if quantifier else at
        atoms.append(pattern[start:at])
    return atoms


def _atom_end(pattern: str, at: int) -> int:
    if pattern[at] == "\\":
        return at + 2
    if pattern[at] == "[":
        end = pattern.find("]", at + (3 if pattern[at + 1 : at + 2] == "^" else 2))
        while end > 0 and _is_escaped(pattern, end):
            end = pattern.find("]", end + 1)
        return end + 1
    if pattern[at] == "(":
        at += 1
        while at < len(pattern) and pattern[at] != ")":
            following = _atom_end(pattern, at)
            if following <= at:
                return -1
            at = following
        return at + 1
    return at + 1


def _is_escaped(pattern: str, at: int) -> bool:
    return (len(pattern[:at]) - len(pattern[:at].rstrip("\\"))) % 2 == 1


@dataclass
class _Reader:
    reading: Reading
    frames: tuple[Frame, ...]
    catalogue: tuple[Message, ...]
    continuations: Continuations
    suspect: str
    at_once: TypeAtOnce | None = None
    also: Callable[[str], int] | None = None
    zones: Zones = field(init=False)
    met: set[Frame] = field(init=False)
    is_dense: bool = field(init=False)
    is_open: bool = False
    carried_at: datetime | None = None

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)
        seen = look(self.reading.head, self.frames, self.catalogue)
        self.is_dense = seen.known >= DENSE * max(seen.lines, 1)
        self.met = set(seen.frames)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that are worth keeping: columns, and what is taken apart into columns."""
        every = dict.fromkeys(group for frame in self.frames for group in frame.groups)
        return tuple(group for group in every if group in _TYPES or group == "stamp" or group in self.parts)

    @cached_property
    def parts(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """By group: the pattern that takes it apart, and the columns that gives."""
        return {
            group: (pattern, tuple(re.compile(pattern).groupindex))
            for frame in self.frames
            for group, pattern in frame.parts
        }

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The names of frames that entries of the catalogue are bound to."""
        return tuple(dict.fromkeys(message.frame for message in self.catalogue if message.frame is not None))

    @cached_property
    def key(self) -> str:
        """What tells one message from another: its text, and its frame where that matters."""
        return "message, role" if self.roles else "message"

    def _role(self, frame: Frame) -> int:
        return self.roles.index(frame.name) + 1 if frame.name in self.roles else 0

    @cached_property
    def has_literal(self) -> str:
        """SQL that is true for a text with a literal of the catalogue."""
        literals = dict.fromkeys(literal for message in self.catalogue for literal in message.literals)
        if not literals:
            return "false"
        return f"regexp_matches(text, {quoted('|'.join(map(re.escape, literals)))})"

    @cached_property
    def is_headed(self) -> str:
        """SQL that is true for a line with a header."""
        return " OR ".join(f"regexp_matches(text, {quoted(_bare(frame.pattern))})" for frame in self.frames)

    @cached_property
    def received_at(self) -> str:
        return "received_at" if self.reading.has_received_at else "CAST(NULL AS TIMESTAMP) AS received_at"

    def read(self) -> None:
        if self.at_once is not None and self.is_dense:
            self._read_at_once(self.at_once)
        else:
            for table in self.reading.scan("slice"):
                self._slice(table)
        for name in ("headed_line", "left_line", "candidate_line", "said", "told", "read_stamp"):
            self.reading.con.execute(f"DROP TABLE IF EXISTS {name}")

    def _slice(self, table: pa.Table, first_typed: int | None = None) -> None:
        """Read a slice, or what is left of one of which the line `first_typed` and others are typed already."""
        ledger = self.reading.ledger
        source = "slice" if self.is_dense else self._candidates()
        self._take_apart(source, _some(table))
        self._type()
        self._time()
        if not self.is_dense:
            self._extent()
        understood = self._store()
        if self.also is not None:
            understood += self.also("headed_line")
        unknown = self.reading.show_unknown(
            f"""(
            SELECT line_no, line.text
            FROM headed_line AS line
            JOIN said USING ({self.key})
            WHERE said.is_doubtful
              AND line.frame IS NOT NULL
            )""",
            self.suspect,
        )
        unknown += self._headless(table, first_typed)
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += table.num_rows - understood - unknown

    # What is typed at once.

    def _read_at_once(self, at_once: TypeAtOnce) -> None:
        """Go through the source, each slice typed at once, as far as that goes, while the one before it is stored."""

        def show(name: str, batches: list[pa.RecordBatch]) -> pa.Table:
            table = pa.Table.from_batches(batches)
            self.reading.show(name, table)
            return table

        first_typed: int | None = None
        held: list[pa.RecordBatch] = []
        for _, (typed, left, written) in ahead(partial(self._type_at_once, at_once), self.reading.slices()):
            if typed and written is not None:
                first = self._store_at_once(show("typed_line", typed), *written)
                first_typed = first if first_typed is None else first_typed
            held += left
            if sum(batch.num_rows for batch in held) >= LEFT_LINES:
                self._slice(show("slice", held), first_typed)
                held = []
        if held:
            self._slice(show("slice", held), first_typed)
        self.reading.hide("typed_line", "slice")

    def _type_at_once(
        self, at_once: TypeAtOnce, table: pa.Table
    ) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch], tuple[str, str] | None]:
        """Return typed lines and what is left of a slice, and how the times are written that were read."""
        written = self._written(_some(table))
        if written is not None and len(written[0]) not in (SECOND_DIGITS, SECOND_DIGITS + 4):
            written = None
        typed, left = [], []
        for batch in table.to_batches():
            numbers = longs_of(batch["line_no"])
            for rows, texts in texts_of(batch["text"]):
                others = np.arange(len(rows))
                found = None
                if written is not None:
                    found = at_once(texts, _shape(written[0]).encode(), written[1].encode())
                if found is not None and len(found.rows):
                    others = np.delete(others, found.rows)
                    columns = {
                        "line_no": as_arrow(numbers[rows][found.rows], pa.int64()),
                        "text": texts[found.rows].to_arrow(),
                        "local_at": as_arrow(found.local_at, pa.timestamp("us")),
                        "frame": as_arrow(found.frame, pa.int8()),
                        **found.columns,
                    }
                    typed.append(pa.RecordBatch.from_pydict(columns))
                if len(others):
                    # A view would keep its block for as long as the line is held.
                    text = texts[others].to_arrow().cast(pa.string())
                    columns = {"line_no": as_arrow(numbers[rows][others], pa.int64()), "text": text}
                    if "received_at" in table.column_names:
                        columns["received_at"] = batch["received_at"].take(as_arrow(rows[others], pa.int64()))
                    left.append(pa.RecordBatch.from_pydict(columns))
        return typed, left, written

    def _store_at_once(self, table: pa.Table, example: str, tail: str) -> int:
        """Insert the events of `typed_line`; return the first one's line."""
        con, ledger = self.reading.con, self.reading.ledger
        event_at = self._only(tail, example).local_sql("local_at", "''")
        shown = [name for name in table.column_names if name not in ("local_at", "frame")]
        columns = {name: name for name in shown}
        for number, frame in enumerate(self.frames):
            for column, value in frame.given:
                known = columns.get(column, "NULL")
                columns[column] = f"coalesce({known}, CASE WHEN frame = {number} THEN {quoted(value)} END)"
        columns |= self._given
        ledger.understood += self.reading.count(
            f"""
            INSERT INTO event BY NAME
            SELECT {", ".join(f"{value} AS {name}" for name, value in columns.items())}, {event_at} AS event_at
            FROM typed_line
            """
        )
        [(first, first_at, last_at)] = con.execute(
            f"SELECT min(line_no), min({event_at}), max({event_at}) FROM typed_line"
        ).fetchall()
        ledger.saw(first_at, last_at)
        return int(first)

    @cached_property
    def _given(self) -> dict[str, str]:
        """What is the same of all events: which source, server and engine they are of."""
        given = {"source_id": str(self.reading.source_id)}
        if self.reading.server:
            given["server"] = quoted(self.reading.server)
        if self.reading.engine:
            given["engine"] = quoted(self.reading.engine)
        return given

    # Which lines, and their headers.

    def _candidates(self) -> str:
        """Make `candidate_line` of the lines that may be told or doubtful; typed continuations bring their header along."""
        con = self.reading.con
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE candidate_line AS
            SELECT line_no, text, {self.received_at}
            FROM slice
            WHERE {self.has_literal}
               OR regexp_matches(text, {quoted(self.suspect)})
            """
        )
        if self.continuations == "typed":
            con.execute(
                f"""
                INSERT INTO candidate_line
                WITH header AS (SELECT line_no FROM slice WHERE {self.is_headed}),
                     needed AS (
                  SELECT header.line_no
                  FROM (SELECT line_no FROM candidate_line WHERE {self.has_literal} AND NOT ({self.is_headed})) AS bare
                  ASOF JOIN header
                    ON bare.line_no >= header.line_no
                  UNION
                  SELECT max(line_no)
                  FROM header
                )
                SELECT line_no, text, {self.received_at}
                FROM slice
                WHERE line_no IN (SELECT line_no FROM needed)
                  AND line_no NOT IN (SELECT line_no FROM candidate_line)
                """
            )
        return "candidate_line"

    def _take_apart(self, source: str, lines: Sequence[str]) -> None:
        """Make `headed_line` of the lines with a header and `left_line` of the others; `lines` are some of them."""
        con = self.reading.con
        received = self.received_at if source == "slice" else "received_at"
        event_at = self._quick_time(lines) if "stamp" in self.groups else "CAST(NULL AS TIMESTAMP)"
        left = f"(SELECT line_no, text, {received} FROM {source})"
        for number, frame in enumerate(self.frames):
            if frame not in self.met and not self._is_met(frame, left):
                continue
            for way in self._ways(number, frame):
                if left != "left_line":
                    # What does not fit the first way is taken out again: seldom much, and one pass instead of two.
                    # The table is made with its rows: DuckDB 2.0 loses what is inserted into one made empty, where a
                    # transaction begins with that.
                    con.execute(
                        f"CREATE OR REPLACE TEMP TABLE headed_line AS SELECT *, {event_at} AS event_at FROM ({way(left)})"
                    )
                    con.execute(
                        """
                        CREATE OR REPLACE TEMP TABLE left_line AS
                        SELECT line_no, text, received_at
                        FROM headed_line
                        WHERE message IS NULL
                        """
                    )
                    con.execute("DELETE FROM headed_line WHERE message IS NULL")
                    left = "left_line"
                else:
                    con.execute(
                        f"""
                        INSERT INTO headed_line
                        SELECT *, {event_at}
                        FROM ({way(left)})
                        WHERE message IS NOT NULL
                        """
                    )
                    con.execute("DELETE FROM left_line WHERE line_no IN (SELECT line_no FROM headed_line)")
                if not self.reading.count("SELECT count(*) FROM left_line"):
                    return
        if left != "left_line":
            con.execute(f"CREATE OR REPLACE TEMP TABLE left_line AS FROM {left}")
            nothing = self._pieces_sql(0, self.frames[0], [self.frames[0].pattern], "left_line")
            con.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE headed_line AS
                SELECT *, {event_at} AS event_at
                FROM ({nothing})
                WHERE message IS NOT NULL
                """
            )

    def _is_met(self, frame: Frame, source: str) -> bool:
        """Tell whether a frame that did not occur so far does among these lines."""
        bare = quoted(_bare(frame.pattern))
        if self.reading.count(
            f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE regexp_matches(text, {bare}) LIMIT 1)"
        ):
            self.met.add(frame)
        return frame in self.met

    def _ways(self, number: int, frame: Frame) -> Iterable[Callable[[str], str]]:
        """Yield the ways to take lines apart by a frame, the fastest first: each makes SQL of a source's SQL."""
        cut = pieces(frame.pattern)
        yield lambda source: self._pieces_sql(number, frame, cut, source)
        if len(cut) > 1:
            yield lambda source: self._pieces_sql(number, frame, [frame.pattern], source)

    def _columns(self, number: int, groups: Mapping[str, str], fits: str) -> str:
        shown = "".join(f", {groups.get(group, 'CAST(NULL AS VARCHAR)')} AS {group}" for group in self.groups)
        return (
            f"line_no, text, received_at, CAST({number} AS INTEGER) AS frame, "
            f"CAST({self._role(self.frames[number])} AS INTEGER) AS role{shown}, "
            f"CASE WHEN {fits} THEN {groups['message']} END AS message"
        )

    def _pieces_sql(self, number: int, frame: Frame, cut: Sequence[str], source: str) -> str:
        sql = f"SELECT *, text AS tail_0 FROM {source}"
        groups: dict[str, str] = {}
        rest = "(?P<message>.*)$"
        for at, piece in enumerate(cut):
            # What is left of the line needs no expression.
            is_rest = piece.endswith(rest)
            found = tuple(re.compile(piece).groupindex)[: -1 if is_rest else None]
            names = ", ".join(map(quoted, ("whole", *found)))
            pattern = quoted(f"^({(piece.removesuffix(rest) if is_rest else piece).removeprefix('^')})")
            sql = f"""
                SELECT *, substr(tail_{at}, length(piece_{at}.whole) + 1) AS tail_{at + 1}
                FROM (SELECT *, regexp_extract(tail_{at}, {pattern}, [{names}]) AS piece_{at} FROM ({sql}))
                """
            groups |= {group: _none(f"piece_{at}.{group}") for group in found}
            if "message" in found:
                groups["message"] = f"piece_{at}.message"
            if is_rest:
                groups["message"] = f"tail_{at + 1}"
        fits = " AND ".join(
            f"piece_{at}.whole <> ''" for at, piece in enumerate(cut) if piece != f"^{rest}"
        )  # an empty piece matches everything
        return f"SELECT {self._columns(number, groups, fits or 'true')} FROM ({sql})"

    # What the messages say.

    def _type(self) -> None:
        """Make `said` of the distinct messages, and add the lines without a header that are typed."""
        con = self.reading.con
        if self.continuations == "typed":
            nothing = "".join(", CAST(NULL AS VARCHAR)" for _ in self.groups)
            con.execute(
                f"""
                INSERT INTO headed_line
                SELECT line_no, text, received_at, CAST(NULL AS INTEGER), 0{nothing}, text, CAST(NULL AS TIMESTAMP)
                FROM left_line
                WHERE {self.has_literal}
                """
            )
        arms = "\n".join(f"WHEN {self._is(entry)} THEN {number}" for number, entry in enumerate(self.catalogue))
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE said AS
            SELECT {self.key}, number,
                   number IS NULL AND regexp_matches(message, {quoted(self.suspect)}) AS is_doubtful
            FROM (
              SELECT {self.key}, {f"CASE {arms} END" if arms else "CAST(NULL AS INTEGER)"} AS number
              FROM (SELECT DISTINCT {self.key} FROM headed_line)
            )
            """
        )

    def _is(self, entry: Message) -> str:
        """Return SQL that tells whether `message` is this entry."""
        literals = " OR ".join(f"contains(message, {quoted(literal)})" for literal in entry.literals)
        tests = [f"({literals})"]
        if entry.pattern:
            tests.append(f"regexp_matches(message, {quoted(_bare(entry.pattern))})")
        if entry.frame is not None:
            tests.insert(0, f"role = {self.roles.index(entry.frame) + 1}")
        return f"({' AND '.join(tests)})"

    def _store(self) -> int:
        """Insert the events of `headed_line`; return how many."""
        con = self.reading.con
        numbers = [
            number
            for (number,) in con.execute(
                "SELECT DISTINCT number FROM said WHERE number IS NOT NULL ORDER BY 1"
            ).fetchall()
        ]
        self._note_versions(numbers)
        told = [number for number in numbers if self.catalogue[number].kind is not None]
        if not told:
            return 0
        con.execute(f"CREATE OR REPLACE TEMP TABLE told AS {' UNION ALL BY NAME '.join(map(self._told, told))}")
        given = {**self._given, "line_no": "line_no", "event_at": "line.event_at"}
        values: dict[str, list[str]] = {}
        for (column,) in con.execute("SELECT column_name FROM (DESCRIBE told)").fetchall():
            if column not in ("message", "role", "kind"):
                values.setdefault(column, []).append(f"told.{column}")
        joins = ""
        for number, (group, (pattern, columns)) in enumerate(self.parts.items()):
            names = ", ".join(map(quoted, columns))
            con.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE part_{number} AS
                SELECT {group}, regexp_extract({group}, {quoted(pattern)}, [{names}]) AS got
                FROM (SELECT DISTINCT {group} FROM headed_line WHERE {group} IS NOT NULL)
                """
            )
            joins += f"\nLEFT JOIN part_{number} ON part_{number}.{group} = line.{group}"
            for column in columns:
                values.setdefault(column, []).append(_none(f"part_{number}.got.{column}"))
        for group in self.groups:
            if group in _TYPES:
                values.setdefault(group, []).append(f"line.{group}")
        for number, frame in enumerate(self.frames):
            for column, value in frame.given:
                values.setdefault(column, []).append(f"CASE WHEN line.frame = {number} THEN {quoted(value)} END")
        shown = "".join(f",\n{_cast(each, column)} AS {column}" for column, each in values.items())
        return self.reading.count(
            f"""
            INSERT INTO event BY NAME
            SELECT {", ".join(f"{value} AS {name}" for name, value in given.items())}, told.kind, line.text{shown}
            FROM headed_line AS line
            JOIN told USING ({self.key})
            {joins}
            """
        )

    def _told(self, number: int) -> str:
        """Return the SELECT of the distinct messages of one entry."""
        entry = self.catalogue[number]
        source = f"SELECT {self.key} FROM said WHERE number = {number}"
        columns: dict[str, str] = {}
        if entry.fields:
            names = ", ".join(map(quoted, entry.fields))
            source = f"SELECT *, regexp_extract(message, {quoted(entry.pattern)}, [{names}]) AS got FROM ({source})"
        for name in entry.fields:
            target, factor = _UNITS.get(name, (name, None))
            if target == "version":
                continue
            value = f"TRY_CAST({_none(f'got.{name}')} AS {_TYPES[target]})"
            columns[target] = f"{value} * {factor}" if factor is not None else value
        for name in ("reason", "severity", "sqlstate", "error_code"):
            given = getattr(entry, name)
            if given is not None:
                columns[name] = f"coalesce({columns[name]}, {quoted(given)})" if name in columns else quoted(given)
        shown = "".join(f", {value} AS {name}" for name, value in columns.items())
        return f"SELECT {self.key}, {quoted(entry.kind or '')} AS kind{shown} FROM ({source})"

    def _note_versions(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            entry = self.catalogue[number]
            if "version" in entry.fields:
                found = self.reading.con.execute(
                    f"""
                    SELECT regexp_extract(message, ?, {entry.fields.index("version") + 1})
                    FROM headed_line
                    JOIN said USING ({self.key})
                    WHERE number = ?
                    ORDER BY line_no DESC
                    LIMIT 1
                    """,
                    [entry.pattern, number],
                ).fetchall()
                if found and found[0][0]:
                    self.reading.version = found[0][0]

    # When.

    def _time(self) -> None:
        """Give `headed_line` its `event_at`: the header's own time, else the one above it, else when it was received."""
        con = self.reading.con
        if "stamp" in self.groups:
            self._read_stamps()
        if self.continuations == "typed":
            # ASOF finds the header above; those of earlier slices are remembered.
            con.execute(
                """
                UPDATE headed_line AS line
                SET event_at = above.event_at
                FROM (
                  SELECT bare.line_no, header.event_at
                  FROM (SELECT line_no FROM headed_line WHERE frame IS NULL) AS bare
                  ASOF JOIN (SELECT line_no, event_at FROM headed_line WHERE frame IS NOT NULL) AS header
                    ON bare.line_no >= header.line_no
                ) AS above
                WHERE above.line_no = line.line_no
                """
            )
            if self.carried_at is not None:
                con.execute(
                    """
                    UPDATE headed_line
                    SET event_at = ?
                    WHERE frame IS NULL
                      AND line_no < (SELECT coalesce(min(line_no), 1e18) FROM headed_line WHERE frame IS NOT NULL)
                    """,
                    [self.carried_at],
                )
        con.execute("UPDATE headed_line SET event_at = received_at WHERE event_at IS NULL AND received_at IS NOT NULL")
        [(first, last, carried, headed)] = con.execute(
            """
            SELECT min(event_at), max(event_at), arg_max(event_at, line_no) FILTER (frame IS NOT NULL), count(frame)
            FROM headed_line
            """
        ).fetchall()
        self.reading.ledger.saw(first, last)
        if headed:
            self.carried_at = carried

    def _extent(self) -> None:
        """Widen the time range of the source by the times of headers that were not taken apart."""
        con, ledger = self.reading.con, self.reading.ledger
        if self.reading.has_received_at and any("stamp" not in frame.groups for frame in self.frames):
            ledger.saw(*con.execute("SELECT min(received_at), max(received_at) FROM slice").fetchall()[0])
        for frame in self.frames:
            if "stamp" not in frame.groups:
                continue
            written = con.execute(
                f"""
                SELECT DISTINCT unnest([min(stamp), max(stamp), arg_min(stamp, line_no), arg_max(stamp, line_no)])
                FROM (SELECT line_no, {_stamp_sql(frame)} AS stamp FROM slice)
                WHERE stamp <> ''
                GROUP BY translate(stamp, '123456789', '000000000')
                LIMIT 100
                """
            ).fetchall()
            moments = [moment for (text,) in written if (moment := self._moment(text, frame)) is not None]
            if moments:
                ledger.saw(min(moments), max(moments))

    def _read_stamps(self) -> None:
        """Read the times that `_quick_time` left, each distinct text once."""
        con = self.reading.con
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE read_stamp AS
            SELECT DISTINCT stamp, frame, CAST(NULL AS TIMESTAMP) AS moment
            FROM headed_line
            WHERE event_at IS NULL
              AND stamp IS NOT NULL
            """
        )
        if not self.reading.count("SELECT count(*) FROM read_stamp"):
            return
        parsed = [number for number, frame in enumerate(self.frames) if frame.parse is not None]
        is_iso = f"regexp_matches(stamp, {quoted(_ISO)}) AND NOT list_contains(CAST({parsed} AS INTEGER[]), frame)"
        parts = f"regexp_extract(stamp, {quoted(_ISO)}, ['date', 'clock', 'fraction', 'zone'])"
        for zone, example in con.execute(
            f"""
            SELECT got.zone, min(got.date)
            FROM (SELECT {parts} AS got FROM read_stamp WHERE {is_iso})
            GROUP BY got.zone
            """
        ).fetchall():
            self.zones.add(zone, example)
        moment = self.zones.moment_sql("got.date", "got.clock", "got.fraction", "got.zone")
        con.execute(
            f"""
            UPDATE read_stamp
            SET moment = iso.moment
            FROM (SELECT stamp, {moment} AS moment FROM (SELECT stamp, {parts} AS got FROM read_stamp WHERE {is_iso})) AS iso
            WHERE read_stamp.stamp = iso.stamp
              AND {is_iso.replace("stamp,", "read_stamp.stamp,").replace("frame)", "read_stamp.frame)")}
            """
        )
        others = con.execute(f"SELECT stamp, frame FROM read_stamp WHERE NOT ({is_iso})").fetchall()
        if others:
            con.execute(f"DELETE FROM read_stamp WHERE NOT ({is_iso})")
            moments = [self._moment(stamp, self.frames[frame]) for stamp, frame in others]
            read = {
                "stamp": pa.array([stamp for stamp, _ in others], pa.string()),
                "frame": pa.array([frame for _, frame in others], pa.int32()),
                "moment": pa.array(moments, pa.timestamp("us")),
            }
            con.from_arrow(pa.table(read)).insert_into("read_stamp")
        con.execute(
            """
            UPDATE headed_line AS line
            SET event_at = read_stamp.moment
            FROM read_stamp
            WHERE read_stamp.stamp = line.stamp
              AND read_stamp.frame = line.frame
              AND line.event_at IS NULL
            """
        )

    def _quick_time(self, lines: Sequence[str]) -> str:
        """Return SQL that reads the times of `stamp` in their most frequent shape and zone, NULL for any other."""
        written = self._written(lines)
        if written is None:
            return "CAST(NULL AS TIMESTAMP)"
        local, tail = written
        local_sql = "translate(stamp, ',', '.')" if "," in local else "stamp"
        is_shape = f"length(stamp) = {len(local) + len(tail)}"
        # `12:00.250` is as long as `12:00 UTC`.
        is_shape += f" AND translate(left(stamp, {len(local)}), '123456789', '000000000') = {quoted(_shape(local))}"
        if tail:
            is_shape += f" AND ends_with(stamp, {quoted(tail)})"
        return f"CASE WHEN {is_shape} THEN {self._only(tail, local).sql(local_sql, None, len(local))} END"

    def _written(self, lines: Sequence[str]) -> tuple[str, str] | None:
        """Return a local time, and what stands behind it as zone, as most of these lines have them; None where none has."""
        shapes: dict[tuple[int, str], list[str]] = {}
        for line in lines:
            frame = next((frame for frame in self.frames if frame.compiled.match(line)), None)
            if frame is None or "stamp" not in frame.groups or frame.parse is not None:
                continue
            found = frame.compiled.match(line)
            stamp = found["stamp"] if found is not None else None
            local = _LOCAL.match(stamp or "")
            if stamp and local is not None:
                shapes.setdefault((local.end(), stamp[local.end() :]), []).append(local.group())
        if not shapes:
            return None
        (_, tail), examples = max(shapes.items(), key=lambda shape: len(shape[1]))
        return examples[0], tail

    def _only(self, tail: str, example: str) -> Zones:
        """Return the zones where there is none but this, which is settled for the source."""
        self.zones.add(tail.strip(), example)
        zone = Zones(self.reading.options.timezone, Ledger())
        zone.add(tail.strip(), example)
        return zone

    def _moment(self, text: str, frame: Frame) -> datetime | None:
        """Return one written time as naive UTC."""
        if frame.parse is not None:
            return frame.parse(text, self.reading.options.timezone)
        iso = re.match(_ISO, text)
        if iso is None:
            return times.parse(text, self.reading.options.timezone)
        date, clock, fraction, zone = iso.groups()
        written = f"{date.replace('/', '-').replace('.', '-')} {clock:0>8}"
        if fraction:
            written = f"{written}.{fraction[:3]:0<3}"
        return self.zones.utc(written, zone)

    # What is left.

    def _headless(self, table: pa.Table, first_typed: int | None) -> int:
        """Count and show the lines without a header that are unknown."""
        if self.continuations == "unknown":
            bare = "left_line" if self.is_dense else f"(SELECT line_no, text FROM slice WHERE NOT ({self.is_headed}))"
            return self.reading.show_unknown(f"(SELECT line_no, text FROM {bare} WHERE {_IS_FILLED})", self.suspect)
        if self.is_open:
            return 0
        headed = (first_typed, self._first(table))
        first = min((line_no for line_no in headed if line_no is not None), default=None)
        self.is_open = first is not None
        if first is not None and first <= pc.min(table["line_no"]).as_py():
            return 0
        typed = f"""
            SELECT line_no
            FROM headed_line
            JOIN said USING ({self.key})
            WHERE frame IS NULL
              AND number IS NOT NULL
            """
        before = f"line_no < {first}" if first is not None else "true"
        return self.reading.show_unknown(
            f"(SELECT line_no, text FROM slice WHERE {before} AND {_IS_FILLED} AND line_no NOT IN ({typed}))",
            self.suspect,
        )

    def _first(self, table: pa.Table) -> int | None:
        """Return the first line of a slice that has a header."""
        con = self.reading.con
        if self.is_dense:
            [(first,)] = con.execute("SELECT min(line_no) FROM headed_line WHERE frame IS NOT NULL").fetchall()
            return None if first is None else int(first)
        for index, line in enumerate(table["text"].slice(0, SHOWN).to_pylist()):
            if any(frame.compiled.match(line) for frame in self.frames):
                return int(table["line_no"][index].as_py())
        [(first,)] = con.execute(f"SELECT min(line_no) FROM slice WHERE {self.is_headed}").fetchall()
        return None if first is None else int(first)


_IS_FILLED: Final = r"regexp_matches(text, '\S')"

_TYPES: Final = {
    "severity": "VARCHAR", "reason": "VARCHAR", "sqlstate": "VARCHAR", "error_code": "VARCHAR", "backend_id": "BIGINT",
    "session_key": "VARCHAR", "user_name": "VARCHAR", "database_name": "VARCHAR", "application_name": "VARCHAR",
    "client_host": "VARCHAR", "client_port": "INTEGER", "duration_ms": "DOUBLE", "detail": "VARCHAR",
    "server": "VARCHAR", "engine": "VARCHAR",
}  # fmt: skip

_UNITS: Final = {"duration_s": ("duration_ms", 1000), "duration_us": ("duration_ms", 0.001)}


def _shape(local: str) -> str:
    """Return a written time with 0 for each digit."""
    return re.sub(r"\d", "0", local)


def _some(table: pa.Table) -> list[str]:
    """Return some lines from all over a slice."""
    texts = table["text"]
    return [texts[at].as_py() for at in range(0, len(texts), max(len(texts) // SHOWN, 1))]


def _stamp_sql(frame: Frame) -> str:
    """Return SQL for the time of a line as written, '' where the frame does not fit."""
    return f"regexp_extract(text, {quoted(re.sub(r'[(][?]P<(?!stamp>)[^>]+>', '(?:', frame.pattern))}, 1)"


def _bare(pattern: str) -> str:
    """Return a pattern whose groups take nothing out, which is faster."""
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


def _cast(values: Sequence[str], column: str) -> str:
    """Return SQL for the first of these values that there is, in the type of a column of `event`."""
    cast = [value if _TYPES[column] == "VARCHAR" else f"TRY_CAST({value} AS {_TYPES[column]})" for value in values]
    return f"coalesce({', '.join(cast)})" if len(cast) > 1 else cast[0]


def _none(text: str) -> str:
    return f"nullif({text}, '')"
