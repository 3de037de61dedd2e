"""PostgreSQL's own log as CSV: `log_destination = csvlog`.

How to obtain it: the `*.csv` files of `log_directory` (`SHOW log_directory`), with `logging_collector` on; or a table
the log was loaded into, copied out with or without a header. The columns have stood in the same order since version
8.3: 22 of them, then `application_name` (9.0), `backend_type` (13), `leader_pid` and `query_id` (14).
https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG

A record begins where a line has a time, a process id, a session id, a severity and a SQLSTATE in their columns, and
ends before the next such line, whatever its quotes say: a torn record cannot swallow what comes after it, and a log
quoted inside a statement has its quotes doubled. Lines before the first record, and lines behind one that was closed,
belong to nothing and are unknown.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Format, Head, Reading, Sample
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.postgres_events import Apart, Events, Manner, Records, labels
from connforensics.evidence.scanner import (
    CAPITALS_AND_DIGITS,
    DIGITS,
    HEX,
    PADDING,
    Block,
    Flags,
    Places,
    Scan,
    Texts,
    longs_of,
    texts_of,
)
from connforensics.evidence.zones import Zones

FIELDS: Final = (
    "user_name",
    "database_name",
    "pid",
    "host",
    "port",
    "session_key",
    "sqlstate",
    "detail",
    "application_name",
)

_FIELD: Final = r'(?:"(?:[^"]|"")*"|[^",]*)'
_ZONE: Final = r"(?: ?(?P<zone>[A-Z][A-Za-z]{1,5}|[+-]\d\d(?::?\d\d){0,2}))?"
_RECORD = re.compile(
    rf'"?(?P<stamp>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{{1,6}})?){_ZONE}"?,{_FIELD},{_FIELD},"?\d*"?,{_FIELD},'
    rf'"?[0-9a-f]+\.[0-9a-f]+"?,"?\d*"?,{_FIELD},{_FIELD},{_FIELD},"?\d*"?,"?(?P<label>[^",]+)"?,"?[0-9A-Z]{{5}}"?,'
    r"(?P<message>.*)"
)
_HEADER: Final = "log_time,user_name,database_name,process_id,"

_UNQUOTED: Final = "SELECT * REPLACE ({}) FROM event_record".format(
    ", ".join(
        f"""replace({name}, '""', '"') AS {name}"""
        for name in ("message", "detail", "user_name", "database_name", "application_name")
    )
)
"""Records for SQL, with the quotes that a field holds written once."""

LONGEST_RECORD: Final = 4 << 20
"""Bytes of a record over several blocks that are kept together; what a longer one says at its end is not looked at."""


@functools.lru_cache(maxsize=8192)
def _begun(line: str) -> re.Match[str] | None:
    """Return the beginning of a record, None where a line is none."""
    found = _RECORD.match(line) if "," in line else None
    return found if found and found["label"] in messages.labels() else None


def certainty(head: Head) -> float:
    """How sure the lines are a csvlog: the share of records among what is no part of one."""
    records = others = 0
    is_open = False
    for line in (*head.lines, *head.middle):
        if _begun(line):
            records += 1
            is_open = line.count('"') % 2 == 1
        elif is_open:
            is_open = line.count('"') % 2 == 0
        elif line.strip() and not line.lower().startswith(_HEADER):
            others += 1
    return 0.98 * records / (records + others) if records else 0.0


def read(reading: Reading) -> None:
    """Store the events of a csvlog and account for every line."""
    zones = Zones(reading.options.timezone, reading.ledger)
    events = Events(reading, zones, set(FIELDS), _UNQUOTED)
    for line in reading.head.lines:
        if found := _begun(line):
            zones.add(found["zone"] or "", found["stamp"])
            events.listen(messages.languages(found["label"], found["message"].lstrip('"')))
    slicer = _Slicer()
    events.read(slicer.apart, slicer.last)


@dataclass(frozen=True, slots=True)
class _Open:
    """A record that goes on in the next block: the number of its first line, and its bytes so far."""

    line_no: int
    text: bytes


class _Slicer:
    """Takes slices apart one after another; what a slice ends with in the middle is kept for the next one."""

    def __init__(self) -> None:
        self._open_before: dict[int, _Open | None] = {}
        self._open: _Open | None = None

    def apart(self, table: pa.Table, manner: Manner) -> Apart:
        """Take a slice apart."""
        apart = Apart(manner)
        first = int(table.column("line_no")[0].as_py())
        is_new = first not in self._open_before
        held = self._open_before.setdefault(first, self._open)
        for batch in table.to_batches():
            numbers = longs_of(batch["line_no"])
            held = _batch(apart, numbers, batch["text"], held)
        if is_new:
            self._open = held
        return apart

    def last(self, manner: Manner) -> Apart:
        """Take apart the record that the source ends with."""
        apart = Apart(manner)
        if self._open is not None:
            _alone(apart, self._open)
        return apart


def _batch(apart: Apart, numbers: NDArray[np.int64], column: pa.Array, held: _Open | None) -> _Open | None:
    """Take the lines of one block apart; return the record it leaves open."""
    is_start = np.zeros(len(numbers), dtype=bool)
    pieces = list(texts_of(column))
    walks = []
    for rows, texts in pieces:
        walk = _Walk(texts, apart.manner)
        walks.append(walk)
        is_start[rows] = walk.fits
    starts = np.flatnonzero(is_start)
    goes_on = np.flatnonzero(~is_start)
    begins = int(starts[0]) if len(starts) else len(numbers)
    if held is not None:
        lines = column.slice(0, begins).to_pylist() if begins else []
        more = "".join(f"{line}\n" for line in lines).encode()
        whole = held.text + more if len(held.text) < LONGEST_RECORD else held.text
        if not len(starts):
            return _Open(held.line_no, whole)
        _alone(apart, _Open(held.line_no, whole))
        goes_on = goes_on[goes_on >= begins]
    # What follows a record that its own line closes belongs to nothing.
    is_open = np.zeros(len(numbers), dtype=bool)
    last = int(starts[-1]) if len(starts) else -1
    is_asked = np.zeros(len(numbers), dtype=bool)
    owner = starts[np.maximum(np.searchsorted(starts, goes_on) - 1, 0)] if len(starts) else goes_on
    is_asked[owner[goes_on > begins]] = True
    is_asked[last:] |= len(starts) > 0
    for rows, texts in pieces:
        asked = np.flatnonzero(is_asked[rows])
        is_open[rows[asked]] = texts[asked].count(b'"') % 2 == 1
    is_orphan = np.zeros(len(numbers), dtype=bool)
    is_orphan[goes_on] = ~is_open[owner] | (goes_on < begins) if len(starts) else True
    keeps = last >= 0 and bool(is_open[last])
    for (rows, texts), walk in zip(pieces, walks, strict=True):
        _leave(apart, numbers[rows[is_orphan[rows]]], texts[is_orphan[rows]])
        own = np.flatnonzero(walk.fits & ((rows != last) | (not keeps)))
        if len(own):
            walk.sift(apart, numbers[rows], own, is_open[rows])
    if not keeps:
        return None
    text = "".join(f"{line}\n" for line in column.slice(last).to_pylist()).encode()
    return _Open(int(numbers[last]), text)


def _leave(apart: Apart, numbers: NDArray[np.int64], texts: Texts) -> None:
    """Leave lines that belong to no record, but blank ones and a header."""
    is_told = texts.ends > texts.starts
    is_told &= (numbers != 1) | ~texts.starts_with(_HEADER.encode())
    apart.leave(numbers[is_told], texts[is_told])


def _alone(apart: Apart, record: _Open) -> None:
    """Take one record apart that stands in a block of its own."""
    text = record.text.rstrip(b"\n")
    texts = Texts(Block(text + PADDING), np.array([0]), np.array([len(text)]))
    walk = _Walk(texts, apart.manner)
    walk.sift(apart, np.array([record.line_no]), np.array([0]), np.array([b"\n" in text]))


class _Walk:
    """Lines read up to their messages: which begin a record (`fits`), and their pieces."""

    def __init__(self, texts: Texts, manner: Manner) -> None:
        self.texts = texts
        scan = Scan(texts)
        zones = [
            spelling for zone in manner.zones for spelling in ((f" {zone}".encode(), zone.encode()) if zone else (b"",))
        ]
        number = [at for at, zone in enumerate(manner.zones) for _ in range(2 if zone else 1)]
        is_quoted = scan.option(b'"')
        at = scan.moment(b"0000-00-00 00:00:00", zones, has_decimals=True)
        self.at = type(at)(at.local, np.array([*number, -1], dtype=np.int8)[at.zone])
        scan.fits &= scan.option(b'"') == is_quoted
        self.fields: dict[str, Texts] = {}
        self.has_quote = np.zeros(len(texts), dtype=bool)
        for name in ("user_name", "database_name", "pid", "from", "session_key", "", "", "", "", ""):
            scan.literal(b",")
            piece, has_quote = scan.field()
            if name:
                self.fields[name] = piece
                self.has_quote |= has_quote
        scan.literal(b",")
        is_quoted = scan.option(b'"')
        self.label = labels(scan, b"")
        scan.fits &= scan.option(b'"') == is_quoted
        scan.literal(b",")
        self.fields["sqlstate"], _ = scan.field()
        scan.literal(b",")
        self.fits: Flags = scan.done() & (self.label >= 0) & self._is_typed()
        self._message_at = scan.at

    def _is_typed(self) -> Flags:
        """Say where process id, session id and SQLSTATE look like such."""
        fits = np.ones(len(self.texts), dtype=bool)
        state = Scan(self.fields["sqlstate"])
        fits &= state.run(CAPITALS_AND_DIGITS).lengths == 5
        fits &= state.at == state.ends
        pid = Scan(self.fields["pid"])
        pid.run(DIGITS, least=0)
        session = Scan(self.fields["session_key"])
        session.run(HEX)
        session.literal(b".")
        session.run(HEX)
        fits &= (pid.at == pid.ends) & session.fits & (session.at == session.ends)
        return fits

    def sift(self, apart: Apart, numbers: NDArray[np.int64], rows: Places, is_open: Flags) -> None:
        """Hand over the records that begin in `rows`; those that are `is_open` take the lines up to the next one."""
        texts = self.texts[rows]
        ends = texts.ends.copy()
        # A record of several lines ends where the next one begins.
        if is_open[rows].any():
            begun = np.flatnonzero(self.fits)
            after = np.searchsorted(begun, rows, side="right")
            size = len(self.texts.block.data) - len(PADDING)
            stops = np.append(self.texts.starts[begun], size)[after] - 1
            ends = np.where(is_open[rows], np.maximum(stops, ends), ends)
        scan = Scan(Texts(texts.block, self._message_at[rows], ends))
        message, has_quote = scan.field()
        scan.literal(b",")
        detail, has_quote_too = scan.field()
        has_quote |= has_quote_too | self.has_quote[rows]
        # Hint, internal query and its position, context, query and its position, location.
        is_short = scan.option(b",,,,,,,")
        skipped = np.flatnonzero(~is_short)
        if len(skipped):
            rest = Scan(Texts(texts.block, scan.at[skipped], ends[skipped]))
            for _ in range(7):
                rest.option(b",")
                rest.field()
            scan.at = scan.at.copy()
            scan.at[skipped] = rest.at
        is_named = scan.option(b",")
        application, _ = scan.field()
        application = Texts(texts.block, application.starts, np.where(is_named, application.ends, application.starts))
        fields = {name: piece[rows] for name, piece in self.fields.items() if name != "from"}
        fields["host"], fields["port"] = _parted(self.fields["from"][rows])
        fields["detail"] = detail
        fields["application_name"] = application
        records = Records(numbers[rows], texts, self.label[rows], message, self.at[rows], fields)
        apart.sift(records, ~has_quote)


def _parted(addresses: Texts) -> tuple[Texts, Texts]:
    """Part `host:port` at the last colon; a Unix socket has none."""
    places = addresses.ends - 1
    steps = np.zeros(len(addresses), dtype=np.intp)
    data = addresses.block.data
    is_digit = np.ones(len(addresses), dtype=bool)
    for step in range(5):
        at = np.maximum(places - step, 0)
        is_digit &= (data[at] - 0x30 < 10) & (at > addresses.starts)
        steps += is_digit
    colon = addresses.ends - steps - 1
    has_port = (steps > 0) & (colon >= addresses.starts) & (data[np.maximum(colon, 0)] == 0x3A)
    hosts = Texts(addresses.block, addresses.starts, np.where(has_port, colon, addresses.ends))
    ports = Texts(addresses.block, np.where(has_port, colon + 1, addresses.ends), addresses.ends)
    return hosts, ports


def _state(sample: str) -> str:
    return next((entry.sqlstate for entry in messages.CATALOGUE if entry.sample == sample and entry.sqlstate), "00000")


def _framed(sample: str, number: int) -> str:
    label, _, message = sample.partition(":  ")
    return (
        f'2026-11-21 03:12:00.000 UTC,"app","shop",{number},"10.0.0.5:41234",6b010b19.{number:x},1,"SELECT",'
        f"2026-11-21 03:11:00 UTC,3/7,0,{label},{_state(sample)},"
        f'"{message.replace(chr(34), chr(34) * 2)}",,,,,,,,,"web","client backend",,0'
    )


SAMPLES: Final = (
    Sample(
        # A session of version 16: 26 columns, a statement over two lines that quotes a log, a refusal with its DETAIL.
        '2026-03-02 08:00:00.100 UTC,,,512,"10.0.0.5:41234",6b010b19.200,1,"",2026-03-02 08:00:00 UTC,,0,LOG,00000,'
        '"connection received: host=10.0.0.5 port=41234",,,,,,,,,"","not initialized",,0\n'
        '2026-03-02 08:00:00.110 UTC,"app","shop",512,"10.0.0.5:41234",6b010b19.200,2,"authentication",'
        '2026-03-02 08:00:00 UTC,3/1,0,LOG,00000,"connection authorized: user=app database=shop application_name=web",'
        ',,,,,,,,"[unknown]","client backend",,0\n'
        '2026-03-02 08:00:01.000 UTC,"app","shop",512,"10.0.0.5:41234",6b010b19.200,3,"INSERT",2026-03-02 08:00:00 UTC,'
        "3/2,0,LOG,00000,\"statement: INSERT INTO note VALUES ('\n"
        '2026-03-02 08:00:00.100 UTC,,,9,""10.0.0.9:1"",6b010b19.9,1,"""",2026-03-02 08:00:00 UTC,,0,LOG,00000,'
        '""connection received: host=10.0.0.9 port=1"",,,,,,,,,"""",""not initialized"",,0\n'
        '\')",,,,,,,,,"web","client backend",,0\n'
        '2026-03-02 08:00:02.000 UTC,"evil","shop",513,"::1:5555",6b010b1b.201,1,"authentication",'
        '2026-03-02 08:00:02 UTC,3/3,0,FATAL,28P01,"password authentication failed for user ""evil""",'
        '"Connection matched file ""/etc/pg_hba.conf"" line 97: ""host all all all scram-sha-256""",'
        ',,,,,,,"[unknown]","client backend",,0\n'
        '2026-03-02 08:00:03.000 UTC,"app","shop",512,"10.0.0.5:41234",6b010b19.200,4,"idle",2026-03-02 08:00:00 UTC,'
        ',0,LOG,00000,"disconnection: session time: 0:00:02.900 user=app database=shop host=10.0.0.5 port=41234",'
        ',,,,,,,,"web","client backend",,0\n',
        {
            "event": [
                {
                    "line_no": 1,
                    "event_at": "2026-03-02 08:00:00.100",
                    "kind": "connection_received",
                    "backend_id": 512,
                    "session_key": "6b010b19.200",
                    "client_host": "10.0.0.5",
                    "client_port": 41234,
                    "sqlstate": "00000",
                },
                {
                    "line_no": 2,
                    "kind": "connection_authorized",
                    "user_name": "app",
                    "database_name": "shop",
                    "application_name": "web",
                    "client_host": "10.0.0.5",
                },
                {
                    "line_no": 6,
                    "kind": "auth_failed",
                    "reason": "password",
                    "user_name": "evil",
                    "client_host": "::1",
                    "client_port": 5555,
                    "sqlstate": "28P01",
                    "detail": 'Connection matched file "/etc/pg_hba.conf" line 97: "host all all all scram-sha-256"',
                    "application_name": None,
                },
                {"line_no": 7, "kind": "connection_closed", "duration_ms": 2900.0, "application_name": "web"},
            ]
        },
        "postgresql-2026-03-02.csv",
    ),
    Sample(
        # A table the log was loaded into, with its header; a German server, whose SQLSTATE says what its text does not.
        "log_time,user_name,database_name,process_id,connection_from,session_id,session_line_num,command_tag,"
        "session_start_time,virtual_transaction_id,transaction_id,error_severity,sql_state_code,message,detail,hint,"
        "internal_query,internal_query_pos,context,query,query_pos,location,application_name\n"
        "2026-03-02 08:00:00.1+00,app,shop,31,10.0.0.5:41234,6b010b19.1f,1,startup,2026-03-02 08:00:00+00,,0,FATAL,"
        '53300,"tut mir leid, schon zu viele Verbindungen",,,,,,,,,web\n'
        "2026-03-02 08:00:01+00,app,shop,32,[local],6b010b1a.20,1,SELECT,2026-03-02 08:00:00+00,3/2,0,FEHLER,57014,"
        '"storniere Anfrage wegen Zeitüberschreitung der Anfrage",,,,,,"SELECT\n'
        '  pg_sleep(9)",,,psql\n',
        {
            "event": [
                {
                    "line_no": 2,
                    "event_at": "2026-03-02 08:00:00.100",
                    "kind": "refused_full",
                    "severity": "FATAL",
                    "user_name": "app",
                    "client_port": 41234,
                },
                {
                    "line_no": 3,
                    "event_at": "2026-03-02 08:00:01",
                    "kind": "statement_cancelled",
                    "severity": "ERROR",
                    "client_host": "[local]",
                    "client_port": None,
                    "application_name": "psql",
                },
            ]
        },
        "postgres_log.csv",
    ),
    Sample(
        # Every field quoted, and a record torn off by the next one.
        '"2026-03-02 08:00:00.000 UTC","app","shop","96","10.0.0.5:38086","612f8fb1.60","1","idle",'
        '"2026-03-02 08:00:00 UTC","3/0","0","LOG","00000","statement: SELECT \'\n'
        "torn off here\n"
        '"2026-03-02 08:00:01.000 UTC","app","shop","97","10.0.0.5:38087","612f8fb1.61","1","idle",'
        '"2026-03-02 08:00:00 UTC","3/0","0","FATAL","53300","sorry, too many clients already","","","","","",'
        '"","","","web","client backend","","0"\n',
        {"event": [{"line_no": 3, "kind": "refused_full", "backend_id": 97, "application_name": "web"}]},
    ),
)

FORMAT = Format("postgres_csvlog", "postgres", ("event",), certainty, read, SAMPLES, messages.CATALOGUE, (_framed,))
