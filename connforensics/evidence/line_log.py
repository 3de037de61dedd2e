"""Logs of lines that begin with a header: frames say how a header is written, a catalogue what the messages mean.

Every format of a text log but PostgreSQL's own reads through here: MySQL's error log, the poolers, the pools of
applications. Cheap literals of the catalogue are looked for in all lines at once; only lines that hold one are taken
apart. Lines that begin with no header continue the record above them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from connforensics.evidence import UNKNOWN_EXAMPLES, Head, Reading, times
from connforensics.evidence.lines import SUSPECT
from connforensics.evidence.zones import Zones

if TYPE_CHECKING:
    from connforensics.evidence.messages import Message

Continuations = Literal["ignored", "typed", "unknown"]

LOOKED_AT: Final = 2000

_ISO: Final = r"^(\d{4}[-/.]\d\d[-/.]\d\d)[ T]+(\d?\d:\d\d:\d\d)(?:[.,:](\d{1,9}))? ?(.*)$"
"""Date, clock, fraction and zone of a time as most programs write it."""


@dataclass(frozen=True)
class Frame:
    """How a program begins a line.

    `pattern` matches a whole line from `^` (read by RE2 and by Python alike; unnamed groups are `(?:...)`); of its
    named groups `message` is what the catalogue types and must be there, `stamp` is the time as written, any other is a
    column of `event`. `parse` reads a stamp that is no ISO date (to naive UTC; the second argument is the time zone the
    caller named). `example` is a line without its message.
    """

    name: str
    pattern: str
    example: str
    parse: Callable[[str, str | None], datetime | None] | None = None

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
            known += any(message.fits(found["message"]) for message in catalogue)
            break
    return Look(lines, framed, known, tuple(sorted(met, key=lambda frame: -met[frame])))


def read(
    reading: Reading,
    frames: Sequence[Frame],
    catalogue: Sequence[Message],
    *,
    continuations: Continuations = "ignored",
    suspect: str = SUSPECT,
) -> None:
    """Store the events of a log and account for every line.

    A line with a header and no known message is ignored, unless it looks like one about connections (`suspect`): then
    it is unknown. A line without a header belongs to the record above it: it is ignored, unknown, or `typed` as a
    message of its own at the time of that record. Lines before the first header are unknown.
    """
    _Reader(reading, tuple(frames), tuple(catalogue), continuations, suspect).read()


def quoted(text: str) -> str:
    """Return a text as SQL literal."""
    return "'" + text.replace("'", "''") + "'"


@dataclass
class _Reader:
    reading: Reading
    frames: tuple[Frame, ...]
    catalogue: tuple[Message, ...]
    continuations: Continuations
    suspect: str
    zones: Zones = field(init=False)
    is_open: bool = False

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)
        met = look(self.reading.head, self.frames, ()).frames
        self.frames = (*met, *(frame for frame in self.frames if frame not in met))

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """All the groups of the frames."""
        return tuple(dict.fromkeys(group for frame in self.frames for group in frame.groups))

    @cached_property
    def is_candidate(self) -> str:
        """SQL that is true for a line with a literal of the catalogue."""
        literals = dict.fromkeys(literal for message in self.catalogue for literal in message.literals)
        return f"regexp_matches(text, {quoted('|'.join(map(re.escape, literals)))})"

    @cached_property
    def is_headed(self) -> str:
        """SQL that is true for a line with a header."""
        return " OR ".join(f"regexp_matches(text, {quoted(_bare(frame.pattern))})" for frame in self.frames)

    def read(self) -> None:
        for table in self.reading.scan("slice"):
            self._slice(table.num_rows)

    def _slice(self, lines: int) -> None:
        con, ledger = self.reading.con, self.reading.ledger
        received = "received_at" if self.reading.has_received_at else "CAST(NULL AS TIMESTAMP)"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE headed_line AS
            {self._taken_apart(f"SELECT line_no, text, {received} AS received_at FROM slice WHERE {self.is_candidate}")}
            """
        )
        [(headed, first)] = con.execute(f"SELECT count(*), min(line_no) FROM slice WHERE {self.is_headed}").fetchall()
        self._extent()
        understood = self._store()
        unknown = self._doubtful()
        if self.continuations == "unknown":
            unknown += self._show(f"SELECT line_no, text FROM slice WHERE NOT ({self.is_headed})")
        elif not self.is_open:
            before = f"line_no < {first}" if first is not None else "true"
            unknown += self._show(f"SELECT line_no, text FROM slice WHERE {before} AND text <> ''")
        self.is_open = self.is_open or headed > 0
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += lines - understood - unknown

    def _taken_apart(self, source: str) -> str:
        """Return SQL that adds the groups of the first frame that fits; `frame` is its number, NULL where none does."""
        sql = f"SELECT *, CAST(NULL AS INTEGER) AS frame{''.join(f', CAST(NULL AS VARCHAR) AS {g}' for g in self.groups)} FROM ({source})"
        for number, frame in enumerate(self.frames):
            names = ", ".join(map(quoted, ("whole_line", *frame.groups)))
            got = ", ".join(
                f"CASE WHEN frame IS NULL AND got.whole_line <> '' THEN {_none(f'got.{group}')} ELSE {group} END AS {group}"
                for group in frame.groups
            )
            pattern = f"({frame.pattern})"
            sql = f"""
                SELECT * EXCLUDE (got)
                       REPLACE ({got}, CASE WHEN frame IS NULL AND got.whole_line <> '' THEN {number} ELSE frame END AS frame)
                FROM (
                  SELECT *, CASE WHEN frame IS NULL THEN regexp_extract(text, {quoted(pattern)}, [{names}]) END AS got
                  FROM ({sql})
                )
                """
        return sql

    def _extent(self) -> None:
        """Widen the time range of the source by the times of this slice's headers."""
        stamped = [frame for frame in self.frames if "stamp" in frame.groups]
        for frame in stamped:
            stamp = f"regexp_extract(text, {quoted(frame.pattern)}, {frame.groups.index('stamp') + 1})"
            written = self.reading.con.execute(
                f"""
                SELECT DISTINCT unnest([min(stamp), max(stamp), arg_min(stamp, line_no), arg_max(stamp, line_no)])
                FROM (SELECT line_no, {stamp} AS stamp FROM slice)
                WHERE stamp <> ''
                GROUP BY regexp_replace(stamp, '[0-9]', '0', 'g')
                LIMIT 100
                """
            ).fetchall()
            moments = [moment for (text,) in written if (moment := self._moment(text, frame)) is not None]
            if moments:
                self.reading.ledger.saw(min(moments), max(moments))

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

    def _show(self, lines: str) -> int:
        """Count and show lines as unknown, but those that were typed."""
        lines = f"SELECT * FROM ({lines}) WHERE line_no NOT IN (SELECT line_no FROM typed_line)"
        con, ledger = self.reading.con, self.reading.ledger
        [(count, suspects)] = con.execute(
            f"SELECT count(*), count(*) FILTER (regexp_matches(text, ?)) FROM ({lines})", [self.suspect]
        ).fetchall()
        ledger.suspects += suspects
        for line_no, text in con.execute(
            f"SELECT * FROM ({lines}) ORDER BY line_no LIMIT {UNKNOWN_EXAMPLES}"
        ).fetchall():
            ledger.example(line_no, text)
        return int(count)

    def _doubtful(self) -> int:
        """Count and show the lines with a header and an unknown message about connections."""
        return self._show(
            f"""
            SELECT line_no, text
            FROM slice
            WHERE regexp_matches(text, {quoted(self.suspect)})
              AND ({self.is_headed})
            """
        )

    def _store(self) -> int:
        """Insert the events of `headed_line`; return how many lines became events."""
        con = self.reading.con
        message = "coalesce(message, text)" if self.continuations == "typed" else "message"
        arms = "\n".join(f"WHEN {_is(entry)} THEN {number}" for number, entry in enumerate(self.catalogue))
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE typed_line AS
            SELECT *
            FROM (SELECT *, CASE {arms} END AS number FROM (SELECT * REPLACE ({message} AS message) FROM headed_line))
            WHERE number IS NOT NULL
            """
        )
        numbers = [number for (number,) in con.execute("SELECT DISTINCT number FROM typed_line ORDER BY 1").fetchall()]
        if not numbers:
            return 0
        self._note_versions(numbers)
        self._time()
        told = [number for number in numbers if self.catalogue[number].kind is not None]
        if told:
            con.execute(f"INSERT INTO event BY NAME {' UNION ALL BY NAME '.join(map(self._event, told))}")
            [(understood,)] = con.execute(
                "SELECT count(*) FROM typed_line WHERE list_contains(?, number)", [told]
            ).fetchall()
            return int(understood)
        return 0

    def _event(self, number: int) -> str:
        """Return the SELECT of the events of one entry."""
        reading, entry = self.reading, self.catalogue[number]
        columns: dict[str, str] = {}
        if reading.server:
            columns["server"] = quoted(reading.server)
        if reading.engine:
            columns["engine"] = quoted(reading.engine)
        for group in self.groups:
            if group not in ("stamp", "message", "severity") and group in _TYPES:
                columns[group] = group
        if "severity" in self.groups:
            columns["severity"] = "severity"
        for name in ("reason", "severity", "sqlstate", "error_code"):
            given = getattr(entry, name)
            if given is not None:
                columns[name] = quoted(given)
        source = f"SELECT * FROM typed_line WHERE number = {number}"
        if entry.fields:
            names = ", ".join(map(quoted, entry.fields))
            source = f"SELECT *, regexp_extract(message, {quoted(entry.pattern)}, [{names}]) AS told FROM ({source})"
        for name in entry.fields:
            target, factor = _UNITS.get(name, (name, None))
            if target == "version":
                continue
            value = _none(f"told.{name}")
            if factor is not None:
                value = f"TRY_CAST({value} AS DOUBLE) * {factor}"
            columns[target] = f"coalesce({value}, {columns[target]})" if target in columns else value
        shown = ", ".join(
            f"TRY_CAST({value} AS {_TYPES.get(name, 'VARCHAR')}) AS {name}" for name, value in columns.items()
        )
        return f"""
            SELECT {reading.source_id} AS source_id, line_no, event_at, {quoted(entry.kind or "")} AS kind, text,
                   {shown or "NULL AS detail"}
            FROM ({source})
            """

    def _note_versions(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            entry = self.catalogue[number]
            if "version" in entry.fields:
                found = self.reading.con.execute(
                    f"""
                    SELECT regexp_extract(message, ?, {entry.fields.index("version") + 1})
                    FROM typed_line
                    WHERE number = ?
                    ORDER BY line_no DESC
                    LIMIT 1
                    """,
                    [entry.pattern, number],
                ).fetchall()
                if found and found[0][0]:
                    self.reading.version = found[0][0]

    def _time(self) -> None:
        """Give `typed_line` its `event_at`: the header's own time, else the one above it, else when it was received."""
        con = self.reading.con
        if "stamp" not in self.groups:
            con.execute("ALTER TABLE typed_line ADD COLUMN event_at TIMESTAMP")
            con.execute("UPDATE typed_line SET event_at = received_at")
            return
        if self.continuations == "typed":
            self._carry()
        parts = f"regexp_extract(stamp, {quoted(_ISO)}, ['date', 'clock', 'fraction', 'zone'])"
        for zone, example in con.execute(
            f"SELECT got.zone, min(stamp) FROM (SELECT stamp, {parts} AS got FROM typed_line) WHERE got.date <> '' GROUP BY ALL"
        ).fetchall():
            self.zones.add(zone, example)
        moment = self.zones.moment_sql("got.date", "got.clock", "got.fraction", "got.zone")
        # Other ways to write a time are read one distinct text at a time.
        others = con.execute(
            f"""
            SELECT DISTINCT stamp, frame
            FROM typed_line
            WHERE stamp IS NOT NULL
              AND (NOT regexp_matches(stamp, {quoted(_ISO)})
                   OR list_contains({[n for n, f in enumerate(self.frames) if f.parse] or [-1]}, frame))
            """
        ).fetchall()
        con.execute("CREATE OR REPLACE TEMP TABLE read_stamp (stamp VARCHAR, frame INTEGER, moment TIMESTAMP)")
        if others:
            import pyarrow as pa

            table = pa.table(
                {
                    "stamp": pa.array([stamp for stamp, _ in others], pa.string()),
                    "frame": pa.array([frame for _, frame in others], pa.int32()),
                    "moment": pa.array(
                        [
                            self._moment(stamp, self.frames[frame]) if frame is not None else None
                            for stamp, frame in others
                        ],
                        pa.timestamp("us"),
                    ),
                }
            )
            con.from_arrow(table).insert_into("read_stamp")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE typed_line AS
            SELECT typed.* EXCLUDE (got),
                   coalesce(other.moment, CASE WHEN other.stamp IS NULL THEN {moment} END, received_at) AS event_at
            FROM (SELECT *, {parts} AS got FROM typed_line) AS typed
            LEFT JOIN read_stamp AS other
              ON other.stamp = typed.stamp
             AND other.frame = typed.frame
            """
        )

    def _carry(self) -> None:
        """Give lines without a header the stamp of the last header above them."""
        con = self.reading.con
        [(bare,)] = con.execute("SELECT count(*) FROM typed_line WHERE frame IS NULL").fetchall()
        if not bare:
            return
        stamps = self._taken_apart("SELECT line_no, text FROM slice")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE typed_line AS
            SELECT typed.* REPLACE (
                     coalesce(typed.stamp, above.stamp) AS stamp,
                     coalesce(typed.frame, above.frame) AS frame
                   )
            FROM typed_line AS typed
            ASOF LEFT JOIN (SELECT line_no, stamp, frame FROM ({stamps}) WHERE stamp IS NOT NULL) AS above
              ON typed.line_no >= above.line_no
            """
        )


_TYPES: Final = {
    "severity": "VARCHAR", "reason": "VARCHAR", "sqlstate": "VARCHAR", "error_code": "VARCHAR", "backend_id": "BIGINT",
    "session_key": "VARCHAR", "user_name": "VARCHAR", "database_name": "VARCHAR", "application_name": "VARCHAR",
    "client_host": "VARCHAR", "client_port": "INTEGER", "duration_ms": "DOUBLE", "detail": "VARCHAR",
    "server": "VARCHAR", "engine": "VARCHAR",
}  # fmt: skip

_UNITS: Final = {"duration_s": ("duration_ms", 1000), "duration_us": ("duration_ms", 0.001)}


def _is(entry: Message) -> str:
    """Return SQL that tells whether `message` is this entry."""
    literals = " OR ".join(f"contains(message, {quoted(literal)})" for literal in entry.literals)
    if not entry.pattern:
        return f"({literals})"
    return f"(({literals}) AND regexp_matches(message, {quoted(_bare(entry.pattern))}))"


def _bare(pattern: str) -> str:
    """Return a pattern whose groups take nothing out, which is faster."""
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


def _none(text: str) -> str:
    return f"nullif({text}, '')"
