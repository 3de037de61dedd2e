"""From records of a PostgreSQL server's log, taken apart, to typed events: the half that stderr, csvlog and jsonlog share.

A frame takes a slice of lines apart into `Records`: the pieces of many lines as places in a block of bytes.
`Apart.sift` leaves out what says nothing about connections, types the few messages that make up most of a log at once
(`connection received`, a disconnection, a refusal that is always worded alike), and leaves the rest to SQL, which knows
the whole catalogue, every language and every oddity. `Events.read` goes through the source and stores both. A message
that the quick way is not sure of always takes the other one, and both give the same rows.

Records may also come as a relation in SQL with the columns of `RELATION`, for lines that no quick way fits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Reading
from connforensics.evidence.lines import SUSPECT, ahead
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.scanner import (
    DIGITS,
    NO_TIME,
    Class,
    Flags,
    Literals,
    Moments,
    Places,
    Scan,
    Texts,
    as_arrow,
    decimal,
    strings,
)
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

FIELDS: Final = (
    "stamp",
    "epoch",
    "pid",
    "session_key",
    "user_name",
    "database_name",
    "application_name",
    "host",
    "port",
    "sqlstate",
    "detail",
)
"""What a record may tell beside its label and message; `host` may have its port behind it, as in `10.0.0.5(41234)`.
`detail` is its DETAIL, where that is no line of its own."""

RELATION: Final = ("line_no", "text", *FIELDS, "label", "message")
"""The columns of a relation of records: BIGINT, then VARCHAR; of `FIELDS` those the frame has, NULL for an empty one.
`label` is in English, NULL where a line could not be taken apart."""

DETAILS: Final = (
    "Process ",
    "Processe",
    "Failed p",
    "Connecti",
    "Consiste",
    "Hot stan",
    "Recovery",
    "Password",
    "User doe",
    "The data",
    "This use",
    "There is",
    "Database",
    "Could no",
    "Client I",
)
"""How a DETAIL begins that says more about a connection event."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one block, one row each.

    `label` is the place of the severity (or of DETAIL, STATEMENT, ...) in `messages.LABELS`. A field that is empty is
    not told.
    """

    line_no: NDArray[np.int64]
    text: Texts
    label: NDArray[np.int8]
    message: Texts
    at: Moments | None
    fields: Mapping[str, Texts]

    def __getitem__(self, rows: Places | Flags) -> Records:
        fields = {name: texts[rows] for name, texts in self.fields.items()}
        at = None if self.at is None else self.at[rows]
        return Records(self.line_no[rows], self.text[rows], self.label[rows], self.message[rows], at, fields)

    def columns(self, zones: Sequence[str]) -> dict[str, pa.Array]:
        """Return what every relation of these records tells: number, text, and the time as `local_at` and `zone`."""
        shown = {"line_no": as_arrow(self.line_no, pa.int64()), "text": self.text.to_arrow()}
        if self.at is not None:
            shown["local_at"] = as_arrow(self.at.local, pa.timestamp("us"), self.at.local != NO_TIME)
            if len(zones) > 1:
                shown["zone"] = _coded(self.at.zone, zones)
        return shown


@dataclass(frozen=True, slots=True)
class Manner:
    """How a log is written, as far as is known by now: it decides what the quick way may leave out.

    `languages` are those that messages may be in beside English; `is_verbose` says that messages begin with their
    SQLSTATE (`log_error_verbosity = verbose`). `zones` are those that times bear, and number `Moments.zone`.
    """

    languages: frozenset[str] = frozenset()
    is_verbose: bool = False
    zones: tuple[str, ...] = ()


@dataclass(slots=True)
class Apart:
    """A slice of a log taken apart in a certain manner: what of it may be events, and the lines that belong to nothing.

    `events` are typed already, `records` are for SQL; `times` are zone, first and last local time in microseconds. Does
    not touch the database, and may be filled in a thread of its own.
    """

    manner: Manner
    events: list[pa.RecordBatch] = field(default_factory=list)
    records: list[pa.RecordBatch] = field(default_factory=list)
    left: list[pa.RecordBatch] = field(default_factory=list)
    times: list[tuple[str, int, int]] = field(default_factory=list)

    def leave(self, line_no: NDArray[np.int64], texts: Texts) -> None:
        """Add lines that no quick way takes apart."""
        if len(texts):
            columns = [as_arrow(line_no, pa.int64()), texts.to_arrow()]
            self.left.append(pa.RecordBatch.from_arrays(columns, names=["line_no", "text"]))

    def see(self, at: Moments) -> None:
        """Note the first and the last of some times."""
        zones = self.manner.zones
        for number, zone in enumerate(zones):
            local = at.local if len(zones) == 1 else at.local[at.zone == number]
            local = local[local != NO_TIME]
            if len(local):
                self.times.append((zone, int(local.min()), int(local.max())))

    def is_wanted(self, records: Records) -> Flags:
        """Say cheaply which records may be events, by their labels, SQLSTATEs and how their messages begin."""
        if self.manner.languages or self.manner.is_verbose:
            return np.ones(len(records.label), dtype=bool)
        opening = records.message.opening()
        is_wanted: Flags = (records.label == _LABEL["FATAL"]) | (records.label == _LABEL["PANIC"])
        is_wanted |= _OPENINGS.begin(opening)
        is_wanted |= (records.label == _LABEL["DETAIL"]) & _DETAIL_OPENINGS.begin(opening)
        # A message that may begin with its SQLSTATE shows that the log is written so.
        is_wanted |= ((opening >> np.uint64(40)) & np.uint64(0xFFFF)) == _CODE_MARK
        if "sqlstate" in records.fields:
            state = records.fields["sqlstate"]
            is_wanted |= ~state.equals(b"00000") & (state.lengths > 0)
        return is_wanted

    def sift(self, records: Records, is_sure: Flags | None = None) -> None:
        """Add what of some records may be an event; those that are not `is_sure` are left to SQL."""
        if not len(records.label):
            return
        if records.at is not None:
            self.see(records.at)
        if self.manner.languages or self.manner.is_verbose:
            self.records.append(_relation(records, self.manner))
            return
        is_wanted = self.is_wanted(records)
        # Only a line that is known not to be followed by its DETAIL needs no look at the next one.
        is_followed = np.ones(len(records.label), dtype=bool)
        is_followed[:-1] = (records.label[1:] == _LABEL["DETAIL"]) | (np.diff(records.line_no) != 1)
        if "detail" in records.fields:
            is_followed = records.fields["detail"].lengths > 0
        rows = np.flatnonzero(is_wanted)
        if not len(rows):
            return
        wanted = records[rows]
        quick = _Quick(wanted, is_followed[rows], None if is_sure is None else is_sure[rows])
        if len(typed := np.flatnonzero(quick.number >= 0)):
            self.events.append(quick.events(typed, self.manner))
        if len(left := np.flatnonzero(quick.number == _UNSURE)):
            self.records.append(_relation(wanted[left], self.manner))


_LABEL: Final = {label: number for number, label in enumerate(messages.LABELS)}
_LABEL_PLACES: Final = np.array([_LABEL[english] for english in messages.labels().values()], dtype=np.int8)
_OPENINGS: Final = Literals(opening.encode() for opening in messages.openings())
_DETAIL_OPENINGS: Final = Literals(opening.encode() for opening in DETAILS)
_CODE_MARK: Final = np.uint64(int.from_bytes(b": ", "little"))


def labels(scan: Scan, behind: bytes) -> NDArray[np.int8]:
    """Read a label in any language and what stands behind it; return its place in `messages.LABELS`, -1 for none."""
    found = scan.which([own.encode() + behind for own in messages.labels()])
    return np.where(found >= 0, _LABEL_PLACES[found], np.int8(-1))


def _relation(records: Records, manner: Manner) -> pa.RecordBatch:
    columns = {
        **records.columns(manner.zones),
        **{name: texts.to_arrow(texts.lengths > 0) for name, texts in records.fields.items()},
        "label": _coded(records.label, messages.LABELS),
        "message": records.message.to_arrow(),
    }
    return pa.RecordBatch.from_pydict(columns)


def _coded(codes: NDArray[np.int8], texts: Sequence[str]) -> pa.Array:
    """Return texts by their numbers, NULL for a negative one."""
    indices = as_arrow(codes, pa.int8(), codes >= 0)
    return pa.DictionaryArray.from_arrays(indices, strings(tuple(texts)))


# The quick way: messages that are always worded alike.

_UNSURE: Final = -1
_NO_EVENT: Final = -2

_WORD_CHARACTERS: Final = Class(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(slots=True)
class _Told:
    """What some messages tell: which are as expected, and their parts."""

    fits: Flags
    user_name: Texts | None = None
    database_name: Texts | None = None
    application_name: Texts | None = None
    client_host: Texts | None = None
    port: Texts | None = None
    detail: Texts | None = None
    duration_ms: NDArray[np.float64] | None = None
    is_none: Flags | None = None
    """Which are no events, for all their beginning."""


def _port(scan: Scan) -> Texts:
    """Read ` port=` and a number to the end, or nothing at the end."""
    has_port = scan.option(b" port=")
    port = scan.run(DIGITS, least=0)
    scan.fits &= (scan.at == scan.ends) & (port.lengths <= 8) & (has_port == (port.lengths > 0))
    return port


def _received(scan: Scan) -> _Told:
    host = scan.until(b" ", or_end=True)
    port = _port(scan)
    return _Told(scan.done(), client_host=host, port=port)


_MOST_BLANKS: Final = 12
"""Blanks of an application's name that are looked at for what follows it."""


def _authorized(scan: Scan) -> _Told:
    user = scan.until(b" ")
    scan.literal(b" database=")
    database = scan.until(b" ", or_end=True)
    scan.fits &= user.lengths > 0
    is_named = scan.option(b" application_name=")
    start = scan.at
    rest = Texts(scan.block, start, np.maximum(scan.ends, start))
    ends = rest.ends.copy()
    # Encryption is told behind the name, in parentheses.
    rows = np.flatnonzero(scan.fits & rest.ends_with(b")"))
    at = start[rows]
    for _ in range(_MOST_BLANKS):
        blanks = Texts(scan.block, at, ends[rows])
        at = blanks.find(b" ")
        tail = Texts(scan.block, at, ends[rows])
        is_end = tail.starts_with(b" SSL enabled (") | tail.starts_with(b" SSL (") | tail.starts_with(b" GSS (")
        ends[rows[is_end]] = at[is_end]
        left = ~is_end & (at < ends[rows])
        rows, at = rows[left], at[left] + 1
        if not len(rows):
            break
    fits = scan.done()
    fits[rows] = False
    fits &= is_named | (ends == start)
    return _Told(fits, user, database, Texts(scan.block, start, np.maximum(ends, start)))


def _closed(scan: Scan) -> _Told:
    hours = scan.number()
    scan.literal(b":")
    clock = scan.shape(b"00:00.000")
    scan.literal(b" user=")
    user = scan.until(b" ")
    scan.literal(b" database=")
    database = scan.until(b" ")
    scan.literal(b" host=")
    host = scan.until(b" ", or_end=True)
    port = _port(scan)
    minutes, seconds = _part(clock, 0, 2), _part(clock, 3, 2)
    ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + _part(clock, 6, 3)
    return _Told(scan.done(), user, database, client_host=host, port=port, duration_ms=ms.astype(np.float64))


def _part(texts: Texts, at: int, length: int) -> NDArray[np.int64]:
    starts = np.minimum(texts.starts + at, texts.block.last)
    return decimal(Texts(texts.block, starts, starts + length))


def _milliseconds(scan: Scan) -> NDArray[np.float64]:
    """Read a number with three decimals, and its unit."""
    whole = scan.number()
    point = scan.shape(b".000")
    scan.literal(b" ms")
    return (whole * 1000 + _part(point, 1, 3)) / 1000.0


def _authenticated(scan: Scan) -> _Told:
    detail = scan.rest()
    is_user = scan.option(b'user="')
    user = scan.until(b'"', or_end=True)
    scan.fits &= ~is_user | Texts(scan.block, scan.at, scan.ends).starts_with(b'" method=')
    user = Texts(scan.block, user.starts, np.where(is_user, user.ends, user.starts))
    return _Told(scan.done(), user, detail=detail)


def _ready(scan: Scan) -> _Told:
    detail = scan.rest()
    scan.literal(b"setup total=")
    spent = _milliseconds(scan)
    return _Told(scan.done(), detail=detail, duration_ms=spent)


_STATEMENTS: Final = (b"statement", b"parse", b"bind", b"execute", b"fastpath")


def _slow(scan: Scan) -> _Told:
    spent = _milliseconds(scan)
    is_alone = scan.fits & (scan.at == scan.ends)
    scan.literal(b" ")
    scan.option(b" ")
    scan.fits &= scan.which(_STATEMENTS) >= 0
    scan.fits &= _WORD_CHARACTERS.run(scan.block.words(scan.at)) == 0
    return _Told(scan.done(), duration_ms=spent, is_none=is_alone)


_QUICK: Final[Mapping[bytes, tuple[str, Callable[[Scan], _Told]]]] = {
    b"connection received: host=": ("connection_received", _received),
    b"connection authorized: user=": ("connection_authorized", _authorized),
    b"disconnection: session time: ": ("connection_closed", _closed),
    b"connection authenticated: ": ("connection_authenticated", _authenticated),
    b"connection ready: ": ("connection_ready", _ready),
    b"duration: ": ("slow_statement", _slow),
}
"""Messages that tell several things, as `LOG`: how they begin, their kind, how the rest is read."""


def _fixed() -> Mapping[bytes, tuple[int, bytes]]:
    """Return the messages of FATALs that never vary: number and SQLSTATE by text."""
    found = {}
    for entry in messages.CATALOGUE:
        if entry.severity == "FATAL" and entry.openings == (entry.message,) and not entry.contains + entry.pattern:
            first = next(
                other
                for other in messages.CATALOGUE
                if other.severity == "FATAL"
                and not other.pattern
                and other.contains in entry.message
                and (not other.openings or entry.message.startswith(other.openings))
            )
            if first is entry and entry.sqlstate:
                number = messages.KINDS.index((entry.kind, entry.reason))
                found[entry.message.encode()] = number, entry.sqlstate.encode()
    return found


_FIXED: Final = _fixed()
_KIND_NAMES: Final = tuple(dict.fromkeys(kind for kind, _ in messages.KINDS))
_KIND_OF: Final = np.array([_KIND_NAMES.index(kind) for kind, _ in messages.KINDS], dtype=np.int8)
_REASONS: Final = tuple(dict.fromkeys(reason for _, reason in messages.KINDS if reason))
_REASON_OF: Final = np.array([_REASONS.index(reason) if reason else -1 for _, reason in messages.KINDS], dtype=np.int8)
_STATES: Final = tuple(dict.fromkeys(state for state in messages.implied_sqlstates() if state))
_STATE_OF: Final = np.array(
    [_STATES.index(state) if state else -1 for state in messages.implied_sqlstates()], dtype=np.int8
)
_UNKNOWN_TEXT: Final = b"[unknown]"


class _Quick:
    """Records typed as far as that is quick: `number` is that of `messages.KINDS`, or says that SQL must look."""

    def __init__(self, records: Records, is_followed: Flags, is_sure: Flags | None) -> None:
        count = len(records.label)
        self._records = records
        self.number = np.full(count, _UNSURE, dtype=np.int16)
        self._pieces: dict[str, tuple[Places, Places]] = {}
        self._port = np.full(count, -1, dtype=np.int64)
        self._duration_ms = np.full(count, np.nan)
        self._is_sure = np.ones(count, dtype=bool) if is_sure is None else is_sure.copy()
        self._prefix()
        state = records.fields.get("sqlstate")
        opening = records.message.opening()
        is_log = (records.label == _LABEL["LOG"]) & self._is_sure
        if state is not None:
            is_log &= state.equals(b"00000") | (state.lengths == 0)
        for begins, (kind, read) in _QUICK.items():
            rows = np.flatnonzero(is_log & (opening == int.from_bytes(begins[:8], "little")))
            if len(rows):
                is_so = records.message[rows].after(8).starts_with(begins[8:])
                rows = rows if is_so.all() else rows[is_so]
            if len(rows):
                self._take(rows, messages.KINDS.index((kind, None)), len(begins), read)
        fatal = np.flatnonzero((records.label == _LABEL["FATAL"]) & self._is_sure & ~is_followed)
        for text, (number, implied) in _FIXED.items() if len(fatal) else ():
            found = records.message[fatal].equals(text)
            if state is not None:
                found &= state[fatal].equals(implied)
            self.number[fatal[found]] = number
            fatal = fatal[~found]

    def _prefix(self) -> None:
        """Take over what the record itself tells, but what nobody knew then."""
        fields = self._records.fields
        for name in ("user_name", "database_name", "application_name"):
            if name in fields:
                texts = fields[name]
                self._put(name, slice(None), texts, ~texts.equals(_UNKNOWN_TEXT))
        if "host" in fields:
            host = fields["host"]
            rows = np.flatnonzero(host.ends_with(b")"))
            if len(rows):
                scan = Scan(Texts(host.block, host.starts[rows], host.ends[rows] - 1))
                bare = scan.until(b"(")
                scan.literal(b"(")
                self._port[rows] = scan.number()
                self._is_sure[rows] &= scan.done() & (scan.at == scan.ends)
                ends = host.ends.copy()
                ends[rows] = bare.ends
                host = Texts(host.block, host.starts, ends)
            self._put("client_host", slice(None), host)
        if "port" in fields:
            port = fields["port"]
            self._port = np.where(port.lengths > 0, decimal(port), -1)
            self._is_sure &= port.lengths <= 8
        if "pid" in fields:
            self._is_sure &= fields["pid"].lengths <= 8

    def _put(self, name: str, rows: Places | slice, texts: Texts, is_told: Flags | None = None) -> None:
        """Set a piece of some rows where it is told."""
        if name not in self._pieces:
            self._pieces[name] = np.zeros_like(self._records.line_no), np.zeros_like(self._records.line_no)
        starts, ends = self._pieces[name]
        told = texts.ends > texts.starts
        if is_told is not None:
            told &= is_told
        starts[rows] = np.where(told, texts.starts, starts[rows])
        ends[rows] = np.where(told, texts.ends, ends[rows])

    def _take(self, rows: Places, number: int, begun: int, read: Callable[[Scan], _Told]) -> None:
        message = self._records.message[rows]
        told = read(Scan(Texts(message.block, message.starts + begun, message.ends)))
        fits = told.fits
        if told.is_none is not None:
            self.number[rows[told.is_none]] = _NO_EVENT
        if number == _SLOW:
            fits = fits & (self._records.text.lengths[rows] <= messages.SLOW_STATEMENT_CHARACTERS)
        if not fits.all():
            rows = rows[fits]
        self.number[rows] = number
        for name in ("user_name", "database_name", "application_name", "client_host", "detail"):
            texts = getattr(told, name)
            if texts is not None:
                self._put(name, rows, texts if len(texts) == len(rows) else texts[fits])
        if told.port is not None:
            port = told.port if len(told.port) == len(rows) else told.port[fits]
            self._port[rows] = np.where(port.lengths > 0, decimal(port), self._port[rows])
        if told.duration_ms is not None:
            self._duration_ms[rows] = told.duration_ms if len(told.duration_ms) == len(rows) else told.duration_ms[fits]

    def events(self, rows: Places, manner: Manner) -> pa.RecordBatch:
        """Return the events of some rows, with the columns of the table `event` but its time."""
        records = self._records[rows]
        number = self.number[rows]
        columns = records.columns(manner.zones)
        fields = records.fields
        if "epoch" in fields:
            columns["epoch"] = fields["epoch"].to_arrow()
        columns["kind"] = _coded(_KIND_OF[number], _KIND_NAMES)
        columns["reason"] = _coded(_REASON_OF[number], _REASONS)
        columns["severity"] = _coded(records.label, messages.LABELS)
        columns["sqlstate"] = (
            fields["sqlstate"].to_arrow(fields["sqlstate"].lengths > 0)
            if "sqlstate" in fields
            else _coded(_STATE_OF[number], _STATES)
        )
        if "pid" in fields:
            columns["backend_id"] = as_arrow(decimal(fields["pid"]), pa.int64())
        if "session_key" in fields:
            key = fields["session_key"]
            columns["session_key"] = key.to_arrow(key.lengths > 0)
        for name in ("user_name", "database_name", "application_name", "client_host", "detail"):
            if name in self._pieces:
                starts, ends = (places[rows] for places in self._pieces[name])
                columns[name] = Texts(records.text.block, starts, ends).to_arrow(ends > starts)
            else:
                columns[name] = pa.nulls(len(rows), pa.string_view())
        port = self._port[rows]
        columns["client_port"] = as_arrow(port.astype(np.int32), pa.int32(), port >= 0)
        spent = self._duration_ms[rows]
        columns["duration_ms"] = as_arrow(spent, pa.float64(), ~np.isnan(spent))
        return pa.RecordBatch.from_pydict(columns)


_SLOW: Final = messages.KINDS.index(("slow_statement", None))


# The thorough way, and the table.


class Events:
    """Stores the events of one source, and accounts for its lines.

    `fields` are those of `FIELDS` that records have. `records` reads the relation `event_record` of records for SQL, and
    undoes what the frame did to them.
    """

    def __init__(
        self,
        reading: Reading,
        zones: Zones,
        fields: AbstractSet[str],
        records: str = "SELECT * FROM event_record",
    ) -> None:
        self.reading = reading
        self.zones = zones
        self.fields = frozenset(fields)
        self._records = records
        self._languages: frozenset[str] = frozenset()
        self._is_verbose = False

    @property
    def manner(self) -> Manner:
        """How the log is written, as far as is known by now."""
        return Manner(self._languages, self._is_verbose, self.zones.spellings)

    def read(
        self,
        apart: Callable[[pa.Table, Manner], Apart],
        last: Callable[[Manner], Apart] | None = None,
        more: Callable[[], int] | None = None,
        at_once: int = 1,
    ) -> None:
        """Go through the source: `apart` takes slices apart, in `at_once` threads while the one before is stored.

        It is asked again for a slice that shows the log to be written otherwise than it was told. `last` is asked once
        for what no slice was complete without, `more` whenever lines are left over: it finds them in the table
        `left_line`, deletes those it knows and returns how many it understood. The rest is unknown.
        """
        for table, taken in ahead(lambda table: apart(table, self.manner), self.reading.scan("slice"), at_once):
            self._slice(table.num_rows, taken, functools.partial(apart, table), more)
        if last is not None:
            self._slice(0, last(self.manner), last, more)
        self.reading.hide("left_over", "event_record", "quick_event")
        found = self.reading.con.execute(
            """
            SELECT detail
            FROM event
            WHERE source_id = ?
              AND kind = 'server_starting'
              AND detail IS NOT NULL
            ORDER BY line_no DESC
            LIMIT 1
            """,
            [self.reading.source_id],
        ).fetchall()
        if found:
            self.reading.version = found[0][0]

    def _slice(
        self, lines: int, taken: Apart, again: Callable[[Manner], Apart], more: Callable[[], int] | None
    ) -> None:
        ledger = self.reading.ledger
        understood: int | None = None
        while understood is None:
            if taken.manner != self.manner:
                taken = again(self.manner)
            understood = self._store(taken)
        for zone, *ends in taken.times:
            first, last = (str(datetime(1970, 1, 1) + timedelta(microseconds=end)) for end in ends)
            ledger.saw(self.zones.utc(first, zone), self.zones.utc(last, zone))
        unknown = 0
        if taken.left:
            self.reading.show("left_over", pa.Table.from_batches(taken.left))
            self.reading.con.execute("CREATE OR REPLACE TEMP TABLE left_line AS SELECT line_no, text FROM left_over")
            understood += more() if more is not None else 0
            unknown = self._unknown()
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += lines - understood - unknown

    def _unknown(self) -> int:
        """Count and show the lines that fit nothing; indented ones continue a record whose tabs were lost."""
        self.reading.con.execute("DELETE FROM left_line WHERE regexp_matches(text, '^ {2,}')")
        return self.reading.show_unknown("left_line", SUSPECT)

    def listen(self, languages: AbstractSet[str]) -> None:
        """Note languages that messages may be in."""
        self._languages |= languages

    def _store(self, taken: Apart) -> int | None:
        """Store what was taken apart and return how many lines that took; None where that must be done again."""
        stored = 0
        if taken.records:
            self.reading.show("event_record", pa.Table.from_batches(taken.records))
            if not self._type(self._records, self.fields):
                return None
            stored += self._store_typed(self.fields, self._at_sql(taken.records[0].schema.names))
        if taken.events:
            self.reading.show("quick_event", pa.Table.from_batches(taken.events))
            stored += self._store_quick(taken.events[0].schema.names)
        return stored

    def _at_sql(self, columns: Sequence[str]) -> str:
        if "local_at" in columns:
            return self.zones.local_sql("local_at", "zone")
        return self.zones.sql("stamp" if "stamp" in columns else None, "epoch" if "epoch" in columns else None)

    def store_relation(self, records: str, fields: AbstractSet[str]) -> int:
        """Store the events of a relation of records (SQL; the columns of `RELATION`), return how many lines they took."""
        while not self._type(records, fields):
            pass
        return self._store_typed(fields, self._at_sql([*fields]))

    def _type(self, records: str, fields: AbstractSet[str]) -> bool:
        """Make `typed_line` of records: the events, and DETAIL lines of interest.

        False when that showed messages to begin with SQLSTATEs or to be in a language not met before.
        """
        con = self.reading.con
        manner = self.manner
        typed = _typed_sql(records, "sqlstate" in fields, manner.is_verbose, manner.languages)
        con.execute(f"CREATE OR REPLACE TEMP TABLE typed_line AS {typed}")
        [(codes, fatals)] = con.execute(
            f"""
            SELECT count(*) FILTER (number = {_VERBOSE}),
                   list(DISTINCT {_OPENING}) FILTER ({messages.is_of_sql("number", "fatal_error")})
            FROM typed_line
            """
        ).fetchall()
        self.listen({each for opening in fatals or () for each in messages.languages("FATAL", opening)})
        self._is_verbose = self._is_verbose or codes > 0
        return self.manner == manner

    def _given(self) -> str:
        given = {"source_id": str(self.reading.source_id), "engine": "'postgres'"}
        if self.reading.server:
            given["server"] = quoted(self.reading.server)
        return ", ".join(f"{value} AS {name}" for name, value in given.items())

    def _store_quick(self, columns: Sequence[str]) -> int:
        told = [name for name in columns if name not in ("local_at", "zone", "epoch")]
        if "backend_id" not in columns and "session_key" in columns:
            told.append(f"{_PID_OF_SESSION} AS backend_id")
        return self.reading.count(
            f"""
            INSERT INTO event BY NAME
            SELECT {self._given()}, {self._at_sql(columns)} AS event_at, {", ".join(told)}
            FROM quick_event
            """
        )

    def _store_typed(self, fields: AbstractSet[str], at: str) -> int:
        details = self.reading.count(f"SELECT count(*) FROM typed_line WHERE number = {_FURTHER}")
        shown = {*fields, "sqlstate"} if self._is_verbose else {*fields}
        unknowns = sorted(messages.unknowns()) if self._languages else ("[unknown]",)
        events = _event_sql(shown, at, details > 0, unknowns)
        stored = self.reading.count(f"INSERT INTO event BY NAME SELECT {self._given()}, * FROM ({events})")
        if details:
            stored += self.reading.count(
                f"""
                SELECT count(*)
                FROM typed_line AS detail
                JOIN (SELECT line_no FROM typed_line WHERE {_DETAILED}) AS told
                  ON told.line_no = detail.line_no - 1
                WHERE detail.number = {_FURTHER}
                """
            )
        return stored


_PID_OF_SESSION: Final = "TRY_CAST('0x' || split_part(session_key, '.', 2) AS BIGINT)"

_OPENING: Final = f"left(message, {messages.OPENING_CHARACTERS})"
_DETAIL: Final = f"CASE WHEN label = 'DETAIL' THEN {messages.one_of_sql(_OPENING, DETAILS)} ELSE false END"


_FURTHER: Final = -2
_VERBOSE: Final = -3
"""Numbers of lines that are no events: a DETAIL of interest, a message that may begin with its SQLSTATE."""


def _typed_sql(headed: str, has_state: bool, is_verbose: bool, languages: AbstractSet[str]) -> str:
    """Return the statement that types messages and keeps those of the catalogue and every FATAL."""
    known = messages.worth_typing_sql("message", "label", _OPENING)
    state = "sqlstate" if has_state else None
    if has_state:
        known += " OR sqlstate <> '00000'"
    verbose = f"WHEN substr(message, 6, 2) = ': ' AND regexp_matches(message, '^[0-9A-Z]{{5}}: ') THEN {_VERBOSE}"
    if is_verbose:
        verbose = ""
        code = r"regexp_extract(message, '^([0-9A-Z]{5}): *', 1)"
        headed = f"""
            SELECT * {"EXCLUDE (sqlstate)" if has_state else ""}
                   REPLACE (CASE WHEN code <> '' THEN ltrim(substr(message, 7)) ELSE message END AS message),
                   CASE WHEN code <> '' THEN code {"ELSE sqlstate" if has_state else ""} END AS sqlstate
            FROM (SELECT *, {code} AS code FROM ({headed}))
            """
        state = "sqlstate"
    if languages:
        told = messages.english_sql("message", languages)
        headed = f"SELECT * REPLACE ({told} AS message) FROM ({headed})"
    number = messages.number_sql("message", "label", state)
    return f"""
        SELECT *
        FROM (
          SELECT *,
                 CASE WHEN {known} THEN {number}
                      WHEN {_DETAIL} THEN {_FURTHER}
                      {verbose} END AS number
          FROM ({headed})
        )
        WHERE number IS NOT NULL
        """


_DETAILED: Final = messages.is_of_sql(
    "number",
    "lock_wait",
    "deadlock",
    "refused_full",
    "refused_reserved",
    "refused_quota",
    "refused_state",
    "refused_rule",
    "auth_failed",
    "unknown_target",
    "session_terminated",
    "server_crashed",
    "fatal_error",
)
"""Kinds whose DETAIL is worth keeping."""

_PIECES: Final = "['a', 'b', 'c', 'd']"
_RECEIVED: Final = r"^connection received: host=([^ ]*)(?: port=([0-9]+))?()()"
_AUTHORIZED: Final = r"^connection authorized: user=([^ ]*) database=([^ ]*)(.*)()"
_CLOSED: Final = r"^disconnection: session time: ([0-9:.]+) user=([^ ]*) database=([^ ]*) host=(.*)"
_AUTHORIZED_WHOLE: Final = (
    r"^(?:replication )?connection authorized: user=(.*?)(?: database=(.*?))?(?: application_name=(.*?))?"
    r"(?: SSL (?:enabled )?\(.*\))?(?: GSS \(.*\))?()$"
)
_CLOSED_WHOLE: Final = r"^disconnection: session time: ([0-9:.]+)(?: user=(.*) database=(.*) host=(.*))?$"


def _event_sql(fields: AbstractSet[str], at: str, has_details: bool, unknowns: Sequence[str]) -> str:
    """Return the statement that makes events of `typed_line`."""

    def of(*kinds: str) -> str:
        return messages.is_of_sql("number", *kinds)

    def prefixed(name: str) -> str:
        if name not in fields:
            return "NULL"
        unknown = " AND ".join(f"{name} <> {quoted(text)}" for text in unknowns)
        return f"CASE WHEN {unknown} THEN {name} END"

    received, authorized, closed = of("connection_received"), of("connection_authorized"), of("connection_closed")
    pieces = f"""CASE
        WHEN {received} THEN regexp_extract(message, {quoted(_RECEIVED)}, {_PIECES})
        WHEN {authorized} THEN regexp_extract(message, {quoted(_AUTHORIZED)}, {_PIECES})
        WHEN {closed} THEN regexp_extract(message, {quoted(_CLOSED)}, {_PIECES})
        END"""
    # A name with a blank in it does not fit the quick expressions: the whole one takes its time.
    again = f"""CASE
        WHEN {authorized} AND (pieces.a = '' OR (pieces.c <> '' AND (NOT starts_with(pieces.c, ' application_name=') OR contains(pieces.c, ' SSL ') OR contains(pieces.c, ' GSS '))))
        THEN regexp_extract(message, {quoted(_AUTHORIZED_WHOLE)}, {_PIECES})
        WHEN {closed} AND pieces.a = '' THEN regexp_extract(message, {quoted(_CLOSED_WHOLE)}, {_PIECES})
        WHEN {authorized} THEN struct_update(pieces, c := substr(pieces.c, 19))
        ELSE pieces END"""
    seconds = "epoch(TRY_CAST(pieces.a AS INTERVAL))"
    pid = ["TRY_CAST(pid AS BIGINT)"] if "pid" in fields else []
    if "session_key" in fields and not pid:
        pid.append(_PID_OF_SESSION)
    pid.append(
        f"CASE WHEN {of('lock_wait', 'lock_acquired', 'deadlock')}"
        " THEN TRY_CAST(regexp_extract(message, '^process ([0-9]+)', 1) AS BIGINT) END"
    )
    host = port = "NULL"
    if "host" in fields:
        with_port = r"regexp_extract(host, '^(.*)\(([0-9]+)\)$', ['host', 'port'])"
        host = f"CASE WHEN ends_with(host, ')') THEN nullif({with_port}.host, '') ELSE host END"
        port = f"CASE WHEN ends_with(host, ')') THEN TRY_CAST({with_port}.port AS INTEGER) END"
    if "port" in fields:
        port = "TRY_CAST(port AS INTEGER)"
    implied = messages.sqlstate_sql("number")
    detail, further = "NULL", ""
    if "detail" in fields:
        detail = f"CASE WHEN {_DETAILED} THEN detail END"
    if has_details:
        detail = "further.detail"
        further = f"""
            LEFT JOIN (
              SELECT line_no - 1 AS of_line, message AS detail FROM typed_line WHERE number = {_FURTHER}
            ) AS further
              ON further.of_line = line_no
             AND {_DETAILED}"""
    return f"""
        SELECT line_no,
               {at} AS event_at,
               {messages.kind_sql("number")} AS kind,
               {messages.reason_sql("number")} AS reason,
               label AS severity,
               {f"coalesce(sqlstate, {implied})" if "sqlstate" in fields else implied} AS sqlstate,
               coalesce({", ".join(pid)}) AS backend_id,
               {"session_key" if "session_key" in fields else "NULL"} AS session_key,
               coalesce(CASE
                   WHEN {received} THEN NULL
                   WHEN {authorized} THEN nullif(pieces.a, '')
                   WHEN {closed} THEN nullif(pieces.b, '')
                   WHEN {of("refused_rule", "auth_failed", "unknown_target", "refused_quota")}
                   THEN nullif(regexp_extract(message, '(?:user|role) "(.*?)"(?:,| |:|$)', 1), '')
                   WHEN {of("connection_authenticated")}
                   THEN nullif(regexp_extract(message, '^connection authenticated: user="(.*?)" method=', 1), '')
                 END, {prefixed("user_name")}) AS user_name,
               coalesce(CASE
                   WHEN {received} THEN NULL
                   WHEN {authorized} THEN nullif(pieces.b, '')
                   WHEN {closed} THEN nullif(pieces.c, '')
                   WHEN {of("refused_rule", "unknown_target", "refused_quota")}
                   THEN nullif(regexp_extract(message, 'database "(.*?)"(?:,| |$)', 1), '')
                 END, {prefixed("database_name")}) AS database_name,
               coalesce(CASE
                   WHEN {authorized} THEN nullif(pieces.c, '')
                 END, {prefixed("application_name")}) AS application_name,
               coalesce(CASE
                   WHEN {received} THEN nullif(pieces.a, '')
                   WHEN {closed} THEN nullif(split_part(pieces.d, ' port=', 1), '')
                   WHEN {of("refused_rule")} THEN nullif(regexp_extract(message, 'host "(.*?)"', 1), '')
                 END, {host}) AS client_host,
               coalesce(CASE
                   WHEN {received} THEN TRY_CAST(pieces.b AS INTEGER)
                   WHEN {closed} THEN TRY_CAST(split_part(pieces.d, ' port=', 2) AS INTEGER)
                 END, {port}) AS client_port,
               CASE
                   WHEN {received} OR {authorized} THEN NULL
                   WHEN {closed} THEN round(({seconds}) * 1000, 3)
                   WHEN {of("lock_wait", "lock_acquired", "deadlock")}
                   THEN TRY_CAST(regexp_extract(message, ' after ([0-9.]+) ms', 1) AS DOUBLE)
                   WHEN {of("slow_statement")}
                   THEN TRY_CAST(regexp_extract(message, '^duration: ([0-9.]+) ms', 1) AS DOUBLE)
                   WHEN {of("connection_ready")}
                   THEN TRY_CAST(regexp_extract(message, 'setup total=([0-9.]+) ms', 1) AS DOUBLE)
                 END AS duration_ms,
               coalesce({detail}, CASE
                   WHEN {received} OR {authorized} OR {closed} THEN NULL
                   WHEN {of("refused_quota")} THEN nullif(regexp_extract(message, '"(.*)"', 1), '')
                   WHEN {of("client_lost", "bad_startup", "fork_failed")} AND contains(message, ': ')
                   THEN substr(message, instr(message, ': ') + 2)
                   WHEN {of("connection_authenticated")} THEN substr(message, 27)
                   WHEN {of("connection_ready")} THEN substr(message, 19)
                   WHEN {of("lock_acquired")} THEN nullif(regexp_extract(message, ' acquired (.*) after ', 1), '')
                   WHEN {of("server_starting")}
                   THEN nullif(regexp_extract(message, '^starting PostgreSQL ([^ ]+)', 1), '')
                   WHEN {of("setting_changed")}
                   THEN regexp_replace(message, '^parameter "([^"]*)"(?: changed to "(.*)")?.*$', '\\1=\\2')
                 END) AS detail,
               CASE WHEN {of("slow_statement")} THEN left(text, {messages.SLOW_STATEMENT_CHARACTERS}) ELSE text END
                 AS text
        FROM (
          SELECT * REPLACE ({again} AS pieces)
          FROM (SELECT *, {pieces} AS pieces FROM typed_line WHERE number >= 0)
        )
        {further}
        """
