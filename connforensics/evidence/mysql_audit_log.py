"""Audit logs of MySQL, Percona Server and MariaDB: who came in, who was turned away with which error, who left.

How to obtain it: MariaDB's `server_audit` plugin writes CSV to `server_audit_file_path` or to syslog (also on Amazon RDS
and, with times in microseconds, on Aurora); MySQL Enterprise Audit and Percona's audit plugin write JSON or XML to
`audit_log_file`, Percona's CSV as well. Unlike the error log it names every refused login with its error number
(1040, 1045, 1129, 1203, 1226), except those refused before the login began.
https://mariadb.com/kb/en/mariadb-audit-plugin-log-format/
https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html
https://docs.percona.com/percona-server/8.0/audit-log-plugin.html

A failed login is followed by a disconnect of the same connection: that is no end of a session, and is passed over.
Statements are passed over too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from connforensics.evidence import Format, Head, Reading, Sample, mysql_stamp
from connforensics.evidence.lines import SUSPECT
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

Shape = Literal["server_audit", "json", "pretty_json", "xml", "csv"]

_OPERATIONS: Final = "CONNECT|FAILED_CONNECT|DISCONNECT|CHANGE_USER|PROXY_CONNECT|QUERY|QUERY_DDL|QUERY_DML|QUERY_DML_NO_SELECT|QUERY_DCL|READ|WRITE|CREATE|ALTER|RENAME|DROP"
_SERVER_AUDIT: Final = (
    r"^(?:(\d{8} \d\d:\d\d:\d\d|\d{16}),)?(?:[^,\s:]* )?([^,\s]*),([^,]*),([^,]*),(\d+),(\d+),"
    rf"({_OPERATIONS}),([^,]*),"
)
_SERVER_AUDIT_CODE: Final = r"CONNECT,[^,]*,[^,]*,(\d+)(?:,|$)"
_CSV: Final = r'^"(Connect|Quit)","[^"]*","([^"]*)","(\d+)",(\d+),"([^"]*)","([^"]*)","[^"]*","[^"]*","([^"]*)","([^"]*)","([^"]*)"'
_CSV_ANY = re.compile(r'^"[A-Z][A-Za-z ]*","\d+_\d{4}-\d\d-\d\dT[\d:]+","\d{4}-\d\d-\d\dT[\d:]+(?:Z| UTC)?",')
_JSON_ENTERPRISE = re.compile(r'^\s*\{.*"class": ?"(?:audit|connection|general|table_access|message)".*"event": ?"')
_JSON_PERCONA = re.compile(r'^\s*\{ ?"audit_record" ?: ?\{')
_JSON_PRETTY = re.compile(r'^\s+"(?:timestamp|class|event|connection_id|id)": ?(?:"[^"]*"|\d+),?$')
_XML = re.compile(r"^\s*<AUDIT_RECORD\b|^\s*<AUDIT>")
_SERVER_AUDIT_LINE = re.compile(_SERVER_AUDIT)

SHAPES: Final[tuple[tuple[Shape, tuple[re.Pattern[str], ...]], ...]] = (
    ("server_audit", (_SERVER_AUDIT_LINE,)),
    ("json", (_JSON_ENTERPRISE, _JSON_PERCONA)),
    ("csv", (_CSV_ANY,)),
    ("pretty_json", (_JSON_PRETTY,)),
    ("xml", (_XML,)),
)

RECORD_BATCH: Final = 50_000
"""Records handed over at once."""

RECORD_LINES: Final = 2_000
"""A record longer than this (a statement of many lines) is cut."""


def certainty(head: Head) -> float:
    """How sure the lines are an audit log: by how many are a record, or for XML by its marks."""
    shape, share = _shape(head)
    return 0.96 * share if shape else 0.0


def _shape(head: Head) -> tuple[Shape | None, float]:
    """Return the shape most lines have, and the share of lines that have it; a record of XML may be of any number."""
    lines = [line for line in (*head.lines, *head.middle) if line.strip(" \t[],")]
    best: tuple[Shape | None, float] = (None, 0.0)
    for shape, patterns in SHAPES:
        count = sum(any(pattern.match(line) for pattern in patterns) for line in lines)
        if not count:
            continue
        share = 1.0 if _is_multi_line(shape, lines[:50]) else count / len(lines)
        if share > best[1]:
            best = (shape, share)
    return best


def _is_multi_line(shape: Shape, lines: list[str]) -> bool:
    if shape == "xml":
        return any("<?xml" in line or "<AUDIT" in line for line in lines)
    if shape == "pretty_json":
        text = "\n".join(lines)
        return '"connection_id":' in text and bool(
            re.search(r'"class": ?"(?:audit|connection|general|table_access)",?$', text, re.MULTILINE)
        )
    return False


def read(reading: Reading) -> None:
    """Store logins, failed logins and disconnects; account for every line."""
    shape, _ = _shape(reading.head)
    reader = _Reader(reading)
    if shape == "xml":
        reader.read_records(reader.xml_records())
    elif shape == "pretty_json":
        reader.read_records(reader.pretty_records())
    else:
        reader.read_lines(shape or "server_audit")


@dataclass
class _Reader:
    reading: Reading
    zones: Zones = field(init=False)

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)
        self.reading.con.execute("CREATE OR REPLACE TEMP TABLE failed_login (backend_id BIGINT)")

    def read_lines(self, shape: Shape) -> None:
        """Read a log of one record a line."""
        con, ledger = self.reading.con, self.reading.ledger
        if shape == "server_audit":
            self.reading.engine = "mariadb"
        received = "received_at" if self.reading.has_received_at else "CAST(NULL AS TIMESTAMP)"
        for table in self.reading.scan("slice"):
            source = {"server_audit": _server_audit_sql, "json": _json_sql, "csv": _csv_sql}[shape](received)
            con.execute(f"CREATE OR REPLACE TEMP TABLE audit_line AS {source}")
            understood = self._store()
            unknown = self._unknown(shape)
            ledger.understood += understood
            ledger.unknown += unknown
            ledger.ignored += table.num_rows - understood - unknown
        con.execute("DROP TABLE failed_login")

    def read_records(self, records: Iterator[dict[str, object]]) -> None:
        """Store records that may be of many lines; the first line of each is cited."""
        con, ledger = self.reading.con, self.reading.ledger
        batch: list[dict[str, object]] = []
        for record in records:
            batch.append(record)
            if len(batch) == RECORD_BATCH:
                self._store_batch(batch)
                batch = []
        if batch:
            self._store_batch(batch)
        ledger.ignored = ledger.lines - ledger.understood - ledger.unknown
        con.execute("DROP TABLE failed_login")

    def _store_batch(self, records: list[dict[str, object]]) -> None:
        import pyarrow as pa

        columns = {name: pa.array([record[name] for record in records]) for name in records[0]}
        con = self.reading.con
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE audit_line (
              line_no BIGINT, text VARCHAR, stamp VARCHAR, event_at TIMESTAMP, operation VARCHAR, status INTEGER,
              backend_id BIGINT, user_name VARCHAR, client_host VARCHAR, database_name VARCHAR, detail VARCHAR
            )
            """
        )
        con.from_arrow(pa.table(columns)).insert_into("audit_line")
        self.reading.ledger.understood += self._store()

    def xml_records(self) -> Iterator[dict[str, object]]:
        """Yield the records about connections, old style (attributes) and new (elements)."""
        held: list[str] = []
        first = 0
        for line_no, text in self.reading.lines():
            if "<AUDIT_RECORD" in text:
                held, first = [text], line_no
            elif held and len(held) < RECORD_LINES:
                held.append(text)
            if held and (
                "</AUDIT_RECORD>" in text
                or (text.rstrip().endswith("/>") and "<AUDIT_RECORD>" not in held[0] and "</" not in text)
            ):
                whole = "\n".join(held)
                told = dict(re.findall(r"<([A-Z_]+)>([^<]*)</", whole)) or dict(
                    re.findall(r'([A-Z_]+) ?= ?"([^"]*)"', whole)
                )
                held = []
                if "MYSQL_VERSION" in told or "SERVER_VERSION" in told:
                    self.reading.version = told.get("SERVER_VERSION") or told["MYSQL_VERSION"].partition("-")[0]
                status = told.get("STATUS_CODE") if told.get("STATUS") in (None, "") else told.get("STATUS")
                yield {
                    "line_no": first,
                    "text": " ".join(whole.split())[:1000],
                    "stamp": _zoned(told.get("TIMESTAMP", "")),
                    "event_at": None,
                    "operation": told.get("NAME", "").lower(),
                    "status": min(_number(status) or 0, 99_999),
                    "backend_id": _number(told.get("CONNECTION_ID")),
                    "user_name": _plain(told.get("USER") or told.get("PRIV_USER")),
                    "client_host": _plain(told.get("HOST") or told.get("IP")),
                    "database_name": _plain(told.get("DB")),
                    "detail": _plain(told.get("CONNECTION_TYPE")),
                }

    def pretty_records(self) -> Iterator[dict[str, object]]:
        """Yield the records about connections of JSON that is set on many lines; one ends where its indentation does."""
        held: list[str] = []
        first = indent = 0
        for line_no, text in self.reading.lines():
            bare = text.strip()
            if not held and bare.startswith("{"):
                held, first, indent = [text], line_no, len(text) - len(text.lstrip())
            elif held and len(held) < RECORD_LINES:
                held.append(text)
            if held and bare in ("}", "},") and len(text) - len(text.lstrip()) == indent:
                whole, held = "\n".join(held).strip().rstrip(","), []
                try:
                    told = json.loads(whole)
                except (ValueError, RecursionError):
                    continue
                if told.get("class") != "connection":
                    continue
                parts = [told.get(name) for name in ("account", "login", "connection_data")]
                account, login, data = (part if isinstance(part, dict) else {} for part in parts)
                status = str(data.get("status", 0))
                backend_id = str(told.get("connection_id"))
                yield {
                    "line_no": first,
                    "text": " ".join(whole.split())[:1000],
                    "stamp": _zoned(str(told.get("timestamp", ""))),
                    "event_at": None,
                    "operation": str(told.get("event", "")).lower(),
                    "status": min(_number(status) or 0, 99_999),
                    "backend_id": _number(backend_id),
                    "user_name": str(login.get("user") or account.get("user") or ""),
                    "client_host": str(account.get("host") or login.get("ip") or ""),
                    "database_name": str(data.get("db") or ""),
                    "detail": str(data.get("connection_type") or ""),
                }

    def _store(self) -> int:
        """Insert the events of `audit_line`; return how many."""
        con, reading, ledger = self.reading.con, self.reading, self.reading.ledger
        timed = mysql_stamp.timed_sql(con, self.zones, "SELECT * RENAME (event_at AS known_at) FROM audit_line")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_line AS
            SELECT * EXCLUDE (event_at, known_at), coalesce(known_at, event_at) AS event_at,
                   CASE
                     WHEN operation IN ('quit', 'disconnect') AND NOT is_of_failed THEN 'connection_closed'
                     WHEN operation = 'connect' AND status = 0 THEN 'connection_opened'
                     WHEN operation NOT IN ('connect', 'failed_connect') THEN NULL
                     WHEN status = 1040 THEN 'refused_full'
                     WHEN status IN (1203, 1226) THEN 'refused_quota'
                     WHEN status IN (1129, 1130, 3159) THEN 'refused_rule'
                     WHEN status = 1053 THEN 'refused_state'
                     WHEN status = 1049 THEN 'unknown_target'
                     WHEN status IN (1044, 1045, 1698, 1862, 3118, 1251, 1275, 4151, 3955) THEN 'auth_failed'
                     WHEN status IN (1158, 1159, 1160, 1161, 1152, 1184) THEN 'client_lost'
                     ELSE 'bad_startup'
                   END AS kind
            FROM (
              SELECT *,
                     coalesce(
                       lag(operation = 'failed_connect' OR (operation = 'connect' AND status <> 0)) OVER (PARTITION BY backend_id ORDER BY line_no),
                       backend_id IN (FROM failed_login)
                     ) AS is_of_failed
              FROM ({timed})
              WHERE operation IN ('connect', 'failed_connect', 'quit', 'disconnect')
            )
            """
        )
        con.execute(
            f"""
            INSERT INTO event BY NAME
            SELECT {reading.source_id} AS source_id, line_no, event_at,
                   {quoted(reading.server)} AS server, {quoted(reading.engine)} AS engine, kind,
                   CASE
                     WHEN kind = 'refused_quota' THEN 'user'
                     WHEN status = 1129 THEN 'host_blocked'
                     WHEN status = 1130 THEN 'host_not_allowed'
                     WHEN status = 3159 THEN 'insecure_transport'
                     WHEN kind = 'refused_state' THEN 'stopping'
                     WHEN kind = 'unknown_target' THEN 'database'
                     WHEN kind = 'client_lost' THEN 'login'
                     WHEN status = 1044 THEN 'database'
                     WHEN status = 3118 THEN 'account_locked'
                     WHEN status = 1862 THEN 'password_expired'
                     WHEN status IN (1251, 1275) THEN 'method'
                     WHEN kind = 'auth_failed' THEN 'password'
                     WHEN status = 1156 THEN 'protocol'
                     WHEN kind = 'bad_startup' THEN 'login_failed'
                   END AS reason,
                   CASE WHEN status <> 0 THEN CAST(status AS VARCHAR) END AS error_code,
                   backend_id, nullif(user_name, '') AS user_name, nullif(client_host, '') AS client_host,
                   nullif(database_name, '') AS database_name, nullif(detail, '') AS detail, text
            FROM told_line
            WHERE kind IS NOT NULL
            """
        )
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE failed_login AS
            SELECT backend_id
            FROM told_line
            GROUP BY backend_id
            HAVING arg_max(operation = 'failed_connect' OR (operation = 'connect' AND status <> 0), line_no)
            """
        )
        [(understood, first, last)] = con.execute(
            "SELECT count(kind), min(event_at), max(event_at) FROM told_line"
        ).fetchall()
        ledger.saw(first, last)
        return int(understood)

    def _unknown(self, shape: Shape) -> int:
        """Count and show the lines of a log of one record a line that are none."""
        known = {
            "server_audit": _SERVER_AUDIT,
            "json": r"^\s*[\[\]]?,?\s*$|^\s*\{.*(?:\"class\"|\"audit_record\")",
            "csv": _CSV_ANY.pattern,
        }[shape]
        lines = f"""(
            FROM slice
            WHERE text <> ''
              AND NOT regexp_matches(text, {quoted(known)})
              AND line_no NOT IN (SELECT line_no FROM told_line WHERE kind IS NOT NULL)
            )"""
        return self.reading.show_unknown(lines, SUSPECT)


def _server_audit_sql(received: str) -> str:
    """Return the records about connections of `slice`, as MariaDB's plugin writes them."""
    names = (
        "['stamp', 'server_host', 'user_name', 'client_host', 'backend_id', 'query_id', 'operation', 'database_name']"
    )
    return f"""
        SELECT line_no, text,
               CASE
                 WHEN length(got.stamp) = 17 THEN
                   left(got.stamp, 4) || '-' || substr(got.stamp, 5, 2) || '-' || substr(got.stamp, 7)
                 ELSE ''
               END AS stamp,
               CASE
                 WHEN length(got.stamp) = 16 THEN make_timestamp(TRY_CAST(got.stamp AS BIGINT))
                 WHEN got.stamp = '' THEN received_at
               END AS event_at,
               lower(got.operation) AS operation,
               coalesce(TRY_CAST(regexp_extract(text, {quoted(_SERVER_AUDIT_CODE)}, 1) AS INTEGER), 0) AS status,
               TRY_CAST(got.backend_id AS BIGINT) AS backend_id,
               got.user_name AS user_name, trim(got.client_host) AS client_host, got.database_name AS database_name, '' AS detail
        FROM (
          SELECT line_no, text, {received} AS received_at, regexp_extract(text, {quoted(_SERVER_AUDIT)}, {names}) AS got
          FROM slice
          WHERE contains(text, 'CONNECT,')
        )
        WHERE got.operation IN ('CONNECT', 'FAILED_CONNECT', 'DISCONNECT')
        """


def _json_sql(_: str) -> str:
    """Return the records about connections of `slice`, as MySQL Enterprise Audit and Percona's plugin write JSON."""
    fields = ", ".join(
        f"'{path}'"
        for path in (
            "$.timestamp", "$.event", "$.connection_id", "$.connection_data.status", "$.login.user", "$.account.user",
            "$.account.host", "$.login.ip", "$.connection_data.db", "$.connection_data.connection_type",
            "$.audit_record.timestamp", "$.audit_record.name", "$.audit_record.connection_id", "$.audit_record.status",
            "$.audit_record.user", "$.audit_record.host", "$.audit_record.ip", "$.audit_record.db", "$.class",
        )
    )  # fmt: skip
    zoned = "CASE WHEN regexp_matches(stamp, '[0-9]$') THEN stamp || 'Z' ELSE stamp END"
    return f"""
        SELECT line_no, text, {zoned} AS stamp, CAST(NULL AS TIMESTAMP) AS event_at, operation, status, backend_id, user_name, client_host,
               database_name, detail
        FROM (
          SELECT line_no, text, coalesce(got[1], got[11], '') AS stamp,
                 lower(coalesce(got[2], got[12])) AS operation,
                 coalesce(TRY_CAST(coalesce(got[4], got[14]) AS INTEGER), 0) AS status,
                 TRY_CAST(coalesce(got[3], got[13]) AS BIGINT) AS backend_id,
                 coalesce(nullif(got[5], ''), nullif(got[6], ''), got[15]) AS user_name,
                 coalesce(nullif(got[7], ''), nullif(got[8], ''), nullif(got[16], ''), got[17]) AS client_host,
                 coalesce(got[9], got[18]) AS database_name,
                 got[10] AS detail
          FROM (
            SELECT line_no, text,
                   CASE WHEN json_valid(bare) THEN json_extract_string(bare, [{fields}]) END AS got
            FROM (SELECT line_no, text, rtrim(ltrim(text, '[ '), ', ]') AS bare FROM slice)
            WHERE regexp_matches(bare, '"connection"|"Connect"|"Quit"')
          )
          WHERE got IS NOT NULL
            AND coalesce(got[19], 'connection') = 'connection'
        )
        """


def _csv_sql(_: str) -> str:
    """Return the records about connections of `slice`, as Percona's plugin writes CSV."""
    names = (
        "['operation', 'stamp', 'backend_id', 'status', 'user_name', 'privileged', 'host', 'address', 'database_name']"
    )
    return f"""
        SELECT line_no, text, got.stamp AS stamp, CAST(NULL AS TIMESTAMP) AS event_at, lower(got.operation) AS operation,
               coalesce(TRY_CAST(got.status AS INTEGER), 0) AS status, TRY_CAST(got.backend_id AS BIGINT) AS backend_id,
               coalesce(nullif(got.user_name, ''), got.privileged) AS user_name,
               coalesce(nullif(got.host, ''), got.address) AS client_host, got.database_name AS database_name, '' AS detail
        FROM (SELECT line_no, text, regexp_extract(text, {quoted(_CSV)}, {names}) AS got FROM slice)
        WHERE got.operation <> ''
        """


def _number(text: str | None) -> int | None:
    """Return a number that fits a column, None for anything else."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _zoned(stamp: str) -> str:
    return f"{stamp}Z" if stamp[-1:].isdigit() else stamp


def _plain(text: str | None) -> str | None:
    import html

    return html.unescape(text) if text else None


def _enterprise(stamp: str, event: str, backend_id: int, **data: object) -> str:
    """Return a record as MySQL Enterprise Audit writes it."""
    account = {"user": "app_web", "host": "10.0.0.8"}
    login = {"user": "app_web", "os": "", "ip": "10.0.0.8", "proxy": ""}
    told = {"timestamp": stamp, "id": 0, "class": "connection", "event": event, "connection_id": backend_id}
    return json.dumps({**told, "account": account, "login": login, "connection_data": data})


SAMPLES: Final = (
    Sample(
        name="server_audit.log",
        text="""\
20261121 03:12:05,db1,app_web,10.0.0.8,34,0,CONNECT,shop,,0
20261121 03:12:05,db1,app_web,10.0.0.8,34,71,QUERY,shop,'SELECT \\'a,b\\', 2',0
20261121 03:12:06,db1,app_web,10.0.0.9,35,0,FAILED_CONNECT,,,1045
20261121 03:12:06,db1,app_web,10.0.0.9,35,0,DISCONNECT,,,0
20261121 03:12:06,db1,app_web,10.0.0.9,36,0,FAILED_CONNECT,shop,,1040
20261121 03:12:06,db1,app_web,10.0.0.9,36,0,DISCONNECT,shop,,0
20261121 03:12:07,db1,app_web,10.0.0.9,37,0,FAILED_CONNECT,shop,,1226
20261121 03:12:08,db1,app_web,10.0.0.8,34,0,DISCONNECT,shop,,0
1795230729123456,db1,app_web,10.0.0.8,38,0,CONNECT,shop,,0,TLSv1.3
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2026-11-21 03:12:05", "engine": "mariadb", "kind": "connection_opened", "backend_id": 34, "user_name": "app_web", "client_host": "10.0.0.8", "database_name": "shop"},
                {"line_no": 3, "kind": "auth_failed", "reason": "password", "error_code": "1045", "backend_id": 35},
                {"line_no": 5, "kind": "refused_full", "error_code": "1040", "backend_id": 36, "database_name": "shop"},
                {"line_no": 7, "kind": "refused_quota", "reason": "user", "error_code": "1226"},
                {"line_no": 8, "event_at": "2026-11-21 03:12:08", "kind": "connection_closed", "backend_id": 34},
                {"line_no": 9, "event_at": "2026-11-21 03:12:09.123456", "kind": "connection_opened", "backend_id": 38},
            ]
        },
    ),
    Sample(
        name="audit.json",
        text="[\n"
        + ",\n".join(
            (
                _enterprise("2026-11-21 03:12:05", "connect", 34, connection_type="ssl", status=0, db="shop"),
                _enterprise("2026-11-21 03:12:06", "connect", 35, connection_type="tcp/ip", status=1203, db=""),
                '{ "timestamp": "2026-11-21 03:12:07", "id": 1, "class": "general", "event": "status", "connection_id": 34, "general_data": { "command": "Query", "sql_command": "select", "query": "SELECT 1", "status": 0 } }',
                '{ "timestamp": "2026-11-21 03:12:08", "id": 2, "class": "connection", "event": "disconnect", "connection_id": 34, "account": { "user": "app_web", "host": "10.0.0.8" }, "connection_data": { "connection_type": "ssl" } }',
            )
        )
        + "\n]\n",
        rows={
            "event": [
                {"line_no": 2, "event_at": "2026-11-21 03:12:05", "engine": "mysql", "kind": "connection_opened", "backend_id": 34, "user_name": "app_web", "client_host": "10.0.0.8", "database_name": "shop", "detail": "ssl"},
                {"line_no": 3, "kind": "refused_quota", "error_code": "1203", "backend_id": 35},
                {"line_no": 5, "kind": "connection_closed", "backend_id": 34},
            ]
        },
    ),
    Sample(
        name="audit_filter.log",
        text="""\
[
  {
    "timestamp": "2026-11-21 03:12:05",
    "id": 1,
    "class": "connection",
    "event": "connect",
    "connection_id": 34,
    "account": {
      "user": "app_web",
      "host": "10.0.0.8"
    },
    "connection_data": {
      "connection_type": "ssl",
      "status": 1045,
      "db": "shop"
    }
  },
  {
    "timestamp": "2026-11-21 03:12:06",
    "id": 2,
    "class": "general",
    "event": "status",
    "connection_id": 33,
    "general_data": {
      "query": "SELECT '}'"
    }
  }
]
""",
        rows={
            "event": [
                {"line_no": 2, "event_at": "2026-11-21 03:12:05", "kind": "auth_failed", "error_code": "1045", "backend_id": 34, "user_name": "app_web", "database_name": "shop"},
            ]
        },
    ),
    Sample(
        name="percona.json",
        text="""\
{"audit_record":{"name":"Connect","record":"1_2026-11-21T03:00:00","timestamp":"2026-11-21T03:12:05Z","connection_id":"34","status":0,"user":"app_web","priv_user":"app_web","os_login":"","proxy_user":"","host":"","ip":"10.0.0.8","db":"shop"}}
{"audit_record":{"name":"Connect","record":"2_2026-11-21T03:00:00","timestamp":"2026-11-21T03:12:06Z","connection_id":"35","status":1129,"user":"","priv_user":"","os_login":"","proxy_user":"","host":"","ip":"10.0.0.9","db":""}}
{"audit_record":{"name":"Quit","record":"3_2026-11-21T03:00:00","timestamp":"2026-11-21T03:12:07Z","connection_id":"34","status":0,"user":"app_web","priv_user":"app_web","os_login":"","proxy_user":"","host":"","ip":"10.0.0.8","db":"shop"}}
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2026-11-21 03:12:05", "kind": "connection_opened", "client_host": "10.0.0.8", "user_name": "app_web"},
                {"line_no": 2, "kind": "refused_rule", "reason": "host_blocked", "error_code": "1129", "user_name": None},
                {"line_no": 3, "kind": "connection_closed", "backend_id": 34},
            ]
        },
    ),
    Sample(
        name="percona.csv",
        text="""\
"Audit","1_2026-11-21T03:00:00","2026-11-21T03:00:00 UTC","8.0.36-28","--port=3306","x86_64-Linux"
"Connect","2_2026-11-21T03:00:00","2026-11-21T03:12:05 UTC","34",0,"app_web","app_web","","","","10.0.0.8","shop"
"Query","3_2026-11-21T03:00:00","2026-11-21T03:12:05 UTC","select","34",0,"SELECT 1","app_web[app_web] @ [10.0.0.8]","","","10.0.0.8","shop"
"Connect","4_2026-11-21T03:00:00","2026-11-21T03:12:06 UTC","35",1045,"app_web","","","","","10.0.0.9",""
"Quit","5_2026-11-21T03:00:00","2026-11-21T03:12:07 UTC","34",0,"app_web","app_web","","","","10.0.0.8","shop"
""",
        rows={
            "event": [
                {"line_no": 2, "event_at": "2026-11-21 03:12:05", "kind": "connection_opened", "backend_id": 34, "database_name": "shop"},
                {"line_no": 4, "kind": "auth_failed", "error_code": "1045", "backend_id": 35, "client_host": "10.0.0.9"},
                {"line_no": 5, "kind": "connection_closed", "backend_id": 34},
            ]
        },
    ),
    Sample(
        name="audit.xml",
        text="""\
<?xml version="1.0" encoding="UTF-8"?>
<AUDIT>
 <AUDIT_RECORD>
  <TIMESTAMP>2026-11-21T03:12:05 UTC</TIMESTAMP>
  <RECORD_ID>1_2026-11-21T03:00:00</RECORD_ID>
  <NAME>Connect</NAME>
  <CONNECTION_ID>34</CONNECTION_ID>
  <STATUS>0</STATUS>
  <STATUS_CODE>0</STATUS_CODE>
  <USER>app_web</USER>
  <OS_LOGIN/>
  <HOST>web1</HOST>
  <IP>10.0.0.8</IP>
  <COMMAND_CLASS>connect</COMMAND_CLASS>
  <CONNECTION_TYPE>SSL/TLS</CONNECTION_TYPE>
  <PRIV_USER>app_web</PRIV_USER>
  <PROXY_USER/>
  <DB>shop</DB>
 </AUDIT_RECORD>
 <AUDIT_RECORD TIMESTAMP="2026-11-21T03:12:06 UTC" RECORD_ID="2_2026-11-21T03:00:00" NAME="Connect" CONNECTION_ID="35" STATUS="1040" STATUS_CODE="1" USER="app_web" HOST="web1" IP="10.0.0.8"/>
 <AUDIT_RECORD
  NAME="Quit"
  RECORD="3_2026-11-21T03:00:00"
  TIMESTAMP="2026-11-21T03:12:07 UTC"
  CONNECTION_ID="34"
  STATUS="0"
  USER="app_web"
/>
</AUDIT>
""",
        rows={
            "event": [
                {"line_no": 3, "event_at": "2026-11-21 03:12:05", "kind": "connection_opened", "backend_id": 34, "client_host": "web1", "detail": "SSL/TLS"},
                {"line_no": 20, "event_at": "2026-11-21 03:12:06", "kind": "refused_full", "error_code": "1040", "backend_id": 35},
                {"line_no": 21, "event_at": "2026-11-21 03:12:07", "kind": "connection_closed", "backend_id": 34},
            ]
        },
    ),
)  # fmt: skip


FORMAT: Final = Format(
    name="mysql_audit_log",
    engine="mysql",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=SAMPLES,
)
