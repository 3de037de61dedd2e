"""PostgreSQL's own log as JSON, an object a line: `log_destination = jsonlog` (version 15 and later), and CloudNativePG's.

How to obtain it: the `*.json` files of `log_directory` (`SHOW log_directory`), with `logging_collector` on; the log of a
pod of CloudNativePG (`kubectl logs`), whose operator puts the columns of the csvlog under `record`; either of them below
a key of a collector's own (`jsonPayload`, `properties`, `log`).
https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG
https://cloudnative-pg.io/documentation/current/logging/

The server writes its keys in one order and leaves out those that are NULL: such lines are read in that order. All
others, and strings with escapes in them, are read as JSON. What the operator says of itself is left out, unless it
speaks of connections: then it is unknown.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Format, Head, Reading, Sample
from connforensics.evidence.lines import SUSPECT
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.postgres_events import Apart, Events, Manner, Records, labels
from connforensics.evidence.scanner import DIGITS, Flags, Scan, Texts, longs_of, texts_of
from connforensics.evidence.zones import Zones, zone_sql
from connforensics.schema import quoted

LOOKED_AT: Final = 400
"""Lines of the head that are decoded."""

DEEPEST: Final = 3
"""Keys above the record."""

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "stamp": ("timestamp", "log_time"),
    "user_name": ("user", "user_name"),
    "database_name": ("dbname", "database_name"),
    "pid": ("pid", "process_id"),
    "host": ("remote_host",),
    "port": ("remote_port",),
    "peer": ("connection_from",),
    "session_key": ("session_id",),
    "label": ("error_severity",),
    "sqlstate": ("state_code", "sql_state_code"),
    "message": ("message",),
    "detail": ("detail",),
    "application_name": ("application_name",),
}
"""Where a record tells what: the server's key, then the column of the csvlog."""

FIELDS: Final = frozenset(_KEYS) - {"peer", "label", "message"}


@functools.lru_cache(maxsize=8192)
def _record(line: str) -> tuple[tuple[str, ...], Mapping[str, object]] | None:
    """Return the record in a line and the keys above it; None where there is none."""
    if not line.startswith("{"):
        return None
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    level: list[tuple[tuple[str, ...], Mapping[str, object]]] = [((), told)]
    for _ in range(DEEPEST + 1):
        for path, found in level:
            if _is_record(found):
                return path, found
        level = [
            ((*path, key), value) for path, found in level for key, value in found.items() if isinstance(value, dict)
        ]
    return None


def _is_record(found: Mapping[str, object]) -> bool:
    return (
        found.get("error_severity") in messages.labels()
        and ("message" in found or "state_code" in found or "sql_state_code" in found)
        and ("timestamp" in found or "log_time" in found)
        and ("pid" in found or "process_id" in found)
    )


def certainty(head: Head) -> float:
    """How sure the lines are such a log: the share of records among lines that are not the operator's own."""
    records = others = 0
    for line in (*head.lines[:LOOKED_AT], *head.middle):
        if _record(line):
            records += 1
        elif line.strip() and '"logger":' not in line:
            others += 1
    return 0.98 * records / (records + others) if records else 0.0


def read(reading: Reading) -> None:
    """Store the events of a jsonlog and account for every line."""
    _Reader(reading).read()


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.zones = Zones(reading.options.timezone, reading.ledger)
        self.events = Events(reading, self.zones, FIELDS - {"stamp"})
        self.paths: dict[tuple[str, ...], None] = {}
        for line in reading.head.lines[:LOOKED_AT]:
            if found := _record(line):
                path, record = found
                self.paths.setdefault(path)
                self.zones.note(str(record.get("timestamp") or record.get("log_time")))
                self.events.listen(messages.languages(str(record["error_severity"]), str(record.get("message"))))

    def read(self) -> None:
        self.events.read(_apart, more=self._decoded, at_once=2)

    def _decoded(self) -> int:
        """Take what does not stand in the server's order, or holds escapes, through a JSON parser."""
        con = self.reading.con
        ledger = self.reading.ledger
        con.execute("DELETE FROM left_line WHERE trim(text) = ''")
        rows = con.execute(f"SELECT text FROM left_line WHERE contains(text, '\"error_severity\"') LIMIT {LOOKED_AT}")
        for (line,) in rows.fetchall():
            if found := _record(line):
                self.paths.setdefault(found[0])
        keys = [
            quoted("$" + "".join(f'."{part}"' for part in (*path, key)))
            for path in self.paths or [()]
            for names in _KEYS.values()
            for key in names
        ]
        columns, at = [], 0
        told: dict[str, list[str]] = {name: [] for name in _KEYS}
        for _ in self.paths or [()]:
            for name, names in _KEYS.items():
                for _ in names:
                    at += 1
                    told[name].append(f"got[{at}]")
        columns = [f"coalesce({', '.join(found)}) AS {name}" for name, found in told.items()]
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE json_line AS
            SELECT line_no, text, {", ".join(columns)}
            FROM (SELECT *, json_extract_string(text, [{", ".join(keys)}]) AS got FROM left_line WHERE json_valid(text))
            """
        )
        con.execute(
            f"""
            DELETE FROM left_line
            WHERE line_no IN (
              SELECT line_no FROM json_line WHERE label IS NOT NULL OR NOT regexp_matches(text, {quoted(SUSPECT)})
            )
            """
        )
        for zone, first, last in con.execute(
            f"""
            SELECT {zone_sql("stamp")} AS zone, min(stamp), max(stamp)
            FROM json_line
            WHERE label IS NOT NULL AND stamp IS NOT NULL
            GROUP BY zone
            """
        ).fetchall():
            ledger.saw(self.zones.utc(first, zone), self.zones.utc(last, zone))
        shown = ", ".join(f"nullif({name}, '') AS {name}" for name in sorted(FIELDS - {"host", "port"}))
        return self.events.store_relation(
            f"""
            SELECT line_no, text, {shown}, {messages.label_sql("label")} AS label,
                   coalesce(split_part(message, chr(10), 1), '') AS message,
                   coalesce(nullif(host, ''), nullif(regexp_replace(peer, ':[0-9]+$', ''), '')) AS host,
                   coalesce(nullif(port, ''), nullif(regexp_extract(peer, ':([0-9]+)$', 1), '')) AS port
            FROM json_line
            WHERE label IS NOT NULL
            """,
            FIELDS,
        )


def _apart(table: pa.Table, manner: Manner) -> Apart:
    """Take a slice apart in the order of the server's keys."""
    apart = Apart(manner)
    for batch in table.to_batches():
        numbers = longs_of(batch["line_no"])
        for rows, texts in texts_of(batch["text"]):
            _walk(apart, numbers[rows], texts)
    return apart


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the server's, as it stands behind another one; `field` is empty where its value is not wanted."""

    name: str
    field: str = ""
    is_number: bool = False

    @property
    def written(self) -> bytes:
        """The key up to its value."""
        return f',"{self.name}":{"" if self.is_number else chr(34)}'.encode()


_BEFORE: Final = (
    _Key("user", "user_name"),
    _Key("dbname", "database_name"),
    _Key("pid", "pid", is_number=True),
    _Key("remote_host", "host"),
    _Key("remote_port", "port", is_number=True),
    _Key("session_id", "session_key"),
    _Key("line_num", is_number=True),
    _Key("ps"),
    _Key("session_start"),
    _Key("vxid"),
    _Key("txid", is_number=True),
)
_BEHIND: Final = (
    _Key("detail", "detail"),
    _Key("hint"),
    _Key("internal_query"),
    _Key("internal_position", is_number=True),
    _Key("context"),
    _Key("statement"),
    _Key("cursor_position", is_number=True),
    _Key("func_name"),
    _Key("file_name"),
    _Key("file_line_num", is_number=True),
    _Key("application_name", "application_name"),
)


def _piece(scan: Scan, key: _Key, escaped: Flags) -> Texts:
    """Read a key and its value where they stand."""
    is_there = scan.option(key.written)
    rows = np.flatnonzero(is_there)
    if not len(rows):
        return Texts(scan.block, scan.at, scan.at)
    own = scan if len(rows) == len(is_there) else scan[rows]
    if key.is_number:
        value = own.run(DIGITS, least=0)
    else:
        value, has_escape = own.string()
        escaped[rows] |= has_escape
    if own is scan:
        return value
    starts, ends = scan.at.copy(), scan.at.copy()
    starts[rows], ends[rows] = value.starts, value.ends
    scan.at[rows] = own.at
    return Texts(scan.block, starts, ends)


def _walk(apart: Apart, numbers: NDArray[np.int64], texts: Texts) -> None:
    scan = Scan(texts)
    zones = [f" {zone}".encode() if zone else b"" for zone in apart.manner.zones]
    scan.literal(b'{"timestamp":"')
    at = scan.moment(b"0000-00-00 00:00:00.000", zones)
    scan.literal(b'"')
    escaped = np.zeros(len(texts), dtype=bool)
    fields: dict[str, Texts] = {}
    for key in _BEFORE:
        piece = _piece(scan, key, escaped)
        if key.field:
            fields[key.field] = piece
    scan.literal(b',"error_severity":"')
    label = labels(scan, b'"')
    fields["sqlstate"] = _piece(scan, _Key("state_code"), escaped)
    scan.literal(_Key("message").written)
    message, is_escaped = scan.string()
    fits = scan.done() & (label >= 0) & ~escaped
    is_done = np.zeros(len(texts), dtype=bool)
    rows = np.flatnonzero(fits & is_escaped)
    if len(rows):
        # Its opening tells that it is no event, unless that holds an escape itself.
        head = Records(numbers[rows], texts[rows], label[rows], message[rows], at[rows], {})
        opening = Texts(texts.block, message.starts[rows], message.starts[rows] + messages.OPENING_CHARACTERS)
        is_done[rows] = (
            ~apart.is_wanted(head) & (opening.find(b"\\") == opening.ends) & (fields["sqlstate"].lengths[rows] == 0)
        )
        apart.see(at[is_done])
    rows = np.flatnonzero(fits & ~is_escaped)
    rest = Scan(Texts(texts.block, scan.at[rows], texts.ends[rows]))
    escaped = np.zeros(len(rows), dtype=bool)
    fields = {name: piece[rows] for name, piece in fields.items()}
    for key in _BEHIND:
        piece = _piece(rest, key, escaped)
        if key.field:
            fields[key.field] = piece
    sure = np.flatnonzero(rest.done() & ~escaped & (rest.option(b',"backend_type":"') | rest.option(b"}")))
    own = rows[sure]
    fields = {name: piece[sure] for name, piece in fields.items()}
    apart.sift(Records(numbers[own], texts[own], label[own], message[own], at[own], fields))
    is_done[own] = True
    apart.leave(numbers[~is_done], texts[~is_done])


def _state(sample: str) -> str:
    return next((entry.sqlstate for entry in messages.CATALOGUE if entry.sample == sample and entry.sqlstate), "00000")


def _framed(sample: str, number: int) -> str:
    label, _, message = sample.partition(":  ")
    told = {
        "timestamp": "2026-11-21 03:12:00.000 UTC",
        "user": "app",
        "dbname": "shop",
        "pid": number,
        "remote_host": "10.0.0.5",
        "remote_port": 41234,
        "session_id": f"6b010b19.{number:x}",
        "line_num": 1,
        "ps": "SELECT",
        "session_start": "2026-11-21 03:11:00 UTC",
        "vxid": "3/7",
        "txid": 0,
        "error_severity": label,
        **({} if _state(sample) == "00000" else {"state_code": _state(sample)}),
        "message": message,
        "application_name": "web",
        "backend_type": "client backend",
        "query_id": 0,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _framed_by_cnpg(sample: str, number: int) -> str:
    label, _, message = sample.partition(":  ")
    told = {
        "log_time": "2026-11-21 03:12:00.000 UTC",
        "user_name": "app",
        "database_name": "shop",
        "process_id": str(number),
        "connection_from": "10.0.0.5:41234",
        "session_id": f"6b010b19.{number:x}",
        "error_severity": label,
        "sql_state_code": _state(sample),
        "message": message,
        "application_name": "web",
        "backend_type": "client backend",
    }
    outer = {"level": "info", "ts": "2026-11-21T03:12:00Z", "logger": "postgres", "msg": "record", "record": told}
    return json.dumps(outer, ensure_ascii=False, separators=(",", ":"))


SAMPLES: Final = (
    Sample(
        # A session, a statement with escapes that quotes a log, and two refusals.
        '{"timestamp":"2026-03-02 08:00:00.100 UTC","pid":512,"remote_host":"10.0.0.5","remote_port":41234,'
        '"session_id":"6b010b19.200","line_num":1,"session_start":"2026-03-02 08:00:00 UTC","txid":0,'
        '"error_severity":"LOG","message":"connection received: host=10.0.0.5 port=41234",'
        '"backend_type":"not initialized","query_id":0}\n'
        '{"timestamp":"2026-03-02 08:00:00.110 UTC","user":"app","dbname":"shop","pid":512,"remote_host":"10.0.0.5",'
        '"remote_port":41234,"session_id":"6b010b19.200","line_num":2,"ps":"authentication",'
        '"session_start":"2026-03-02 08:00:00 UTC","vxid":"3/1","txid":0,"error_severity":"LOG",'
        '"message":"connection authorized: user=app database=shop application_name=web","backend_type":"client backend",'
        '"query_id":0}\n'
        '{"timestamp":"2026-03-02 08:00:01.000 UTC","user":"app","dbname":"shop","pid":512,"session_id":"6b010b19.200",'
        '"line_num":3,"error_severity":"LOG",'
        '"message":"statement: SELECT \'{\\"error_severity\\":\\"FATAL\\",\\"message\\":\\"sorry, too many clients already\\"}\'",'
        '"application_name":"web","backend_type":"client backend","query_id":0}\n'
        '{"timestamp":"2026-03-02 08:00:02.000 UTC","user":"evil","dbname":"shop","pid":513,"remote_host":"::1",'
        '"remote_port":5555,"session_id":"6b010b1b.201","line_num":1,"error_severity":"FATAL","state_code":"28P01",'
        '"message":"password authentication failed for user \\"evil\\"","detail":"Connection matched file \\"pg_hba.conf\\"'
        ' line 97: \\"host all all all md5\\"","backend_type":"client backend","query_id":0}\n'
        '{"timestamp":"2026-03-02 08:00:03.000 UTC","user":"app","dbname":"shop","pid":514,"remote_host":"[local]",'
        '"session_id":"6b010b1c.202","line_num":1,"error_severity":"FATAL","state_code":"53300",'
        '"message":"sorry, too many clients already","application_name":"psql","backend_type":"client backend",'
        '"query_id":0}\n',
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
                },
                {
                    "line_no": 2,
                    "kind": "connection_authorized",
                    "user_name": "app",
                    "database_name": "shop",
                    "application_name": "web",
                },
                {
                    "line_no": 4,
                    "kind": "auth_failed",
                    "reason": "password",
                    "user_name": "evil",
                    "client_host": "::1",
                    "client_port": 5555,
                    "sqlstate": "28P01",
                    "detail": 'Connection matched file "pg_hba.conf" line 97: "host all all all md5"',
                },
                {
                    "line_no": 5,
                    "kind": "refused_full",
                    "sqlstate": "53300",
                    "client_host": "[local]",
                    "application_name": "psql",
                    "user_name": "app",
                },
            ]
        },
        "postgresql-2026-03-02.json",
    ),
    Sample(
        # The log of a pod of CloudNativePG: the operator speaks first, and once of connections.
        '{"level":"info","ts":"2026-03-02T08:00:00Z","logger":"instance-manager","msg":"Starting CloudNativePG Instance Manager"}\n'
        '{"level":"info","ts":"2026-03-02T08:00:01Z","logger":"postgres","msg":"record","logging_pod":"shop-1","record":'
        '{"log_time":"2026-03-02 08:00:01.250 UTC","user_name":"app","database_name":"shop","process_id":"31",'
        '"connection_from":"10.0.0.5:41234","session_id":"6b010b19.1f","session_line_num":"1",'
        '"session_start_time":"2026-03-02 08:00:01 UTC","transaction_id":"0","error_severity":"FATAL",'
        '"sql_state_code":"53300","message":"sorry, too many clients already","application_name":"web",'
        '"backend_type":"client backend"}}\n'
        '{"level":"info","ts":"2026-03-02T08:00:02Z","logger":"pg_controldata","msg":"pg_control version number: 1300"}\n',
        {
            "event": [
                {
                    "line_no": 2,
                    "event_at": "2026-03-02 08:00:01.250",
                    "kind": "refused_full",
                    "backend_id": 31,
                    "user_name": "app",
                    "client_host": "10.0.0.5",
                    "client_port": 41234,
                    "application_name": "web",
                }
            ]
        },
    ),
)

FORMAT = Format(
    "postgres_jsonlog",
    "postgres",
    ("event",),
    certainty,
    read,
    SAMPLES,
    messages.CATALOGUE,
    (_framed, _framed_by_cnpg),
)
