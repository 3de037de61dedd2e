"""The error log of MySQL, MariaDB and Percona Server, as file, as JSON (`log_sink_json`) or with mysqld_safe's lines.

How to obtain it: the file of `SHOW VARIABLES LIKE 'log_error'` (`/var/log/mysql/error.log`, `HOSTNAME.err` in the data
directory), `docker logs`, `journalctl -u mysql`, the error log of a managed service; the JSON sink writes
`*.00.json` beside it. For the questions of this program set `log_error_verbosity = 3` (MySQL 5.7 and newer) or
`log_warnings = 4` (MariaDB), else aborted connections and wrong passwords are not written. Neither server writes every
refusal: see `Connection_errors_max_connections` and `Aborted_connects` as well.
https://dev.mysql.com/doc/refman/8.4/en/error-log-format.html https://mariadb.com/kb/en/error-log/

A line is a time, perhaps a number, perhaps a level in brackets, and the message. The time is ISO with an offset since
MySQL 5.7, local time without one in MySQL 5.6 and MariaDB, two-digit years before. The number is the connection id in
MySQL since 5.7 and MariaDB since 10.2, and the server's pid or a system thread before: it is taken for a connection
only where the log shows that it is one. A line of JSON is read as the line the ordinary sink would have written.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import Frame
from connforensics.evidence.messages.mysql import CATALOGUE
from connforensics.evidence.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_LEVEL = r"\[(?P<severity>[A-Za-z]+)\] "
_MESSAGE = r"(?P<message>[^\s\d].*)$"

_ISO = Frame(
    "iso",
    r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?) +"
    rf"(?:(?:(?P<backend_id>[1-9]\d*)|[0-9a-fx]+) +)?(?:{_LEVEL})?{_MESSAGE}",
    "2026-11-21T03:12:06.123456Z 34 [Warning] ",
)
_SPACED = Frame(
    "spaced",
    r"^(?P<stamp>\d{4}-\d\d-\d\d [ \d]\d:\d\d:\d\d(?:\.\d+)?) +"
    rf"(?:(?:(?P<backend_id>[1-9]\d*)|[0-9a-fx]+) +)?(?:{_LEVEL})?{_MESSAGE}",
    "2026-11-21  3:12:06 34 [Warning] ",
)
_SPACED_PID = replace(_SPACED, name="spaced_pid", pattern=_SPACED.pattern.replace("?P<backend_id>", "?:"))
_SHORT = Frame(
    "short",
    rf"^(?P<stamp>\d{{6}} +\d?\d:\d\d:\d\d) +(?:{_LEVEL})?{_MESSAGE}",
    "261121  3:12:06 [Warning] ",
)

_NAKED = Frame("naked", rf"^{_LEVEL}{_MESSAGE}", "[Warning] ")
"""Without a time: whoever copied the line left it out."""

_OWN = re.compile(
    r"^(?:\d{4}-\d\d-\d\d[T ][ \d]\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)? +(?:[0-9a-fx]+ +(?:\[(?:Note|Warning|ERROR|System)\] |InnoDB: )"
    r"|(?:mysqld_safe|mariadbd-safe) |UTC - (?:mysqld|mariadbd) got)"
    r"|\d{6} +\d?\d:\d\d:\d\d +(?:\[(?:Note|Warning|ERROR)\] |InnoDB: |mysqld_safe |mysqld (?:started|ended)))"
)
"""A line that hardly any other program writes."""

_ABORTED = re.compile(
    r"^(?:\[(?:Note|Warning|ERROR)\] (?:\[MY-\d+\] \[\w+\] )?)?Aborted connection \S+ to db: '[^']*' user: '"
)
"""What only the server says, where whoever copied it left out when."""

_STAMPED = re.compile(r"^\d{4}-\d\d-\d\d[T ][ \d]\d:\d\d:\d\d|^\d{6}[ \t]+\d?\d:\d\d:\d\d")
_SINK = re.compile(r'^\{.*"prio" ?:.*"err_code" ?: ?\d+|^\{.*"err_code" ?: ?\d+.*"prio" ?:|^\{.*"err_symbol" ?: ?"ER_')
_IS_SINK: Final = "starts_with(text, '{') AND contains(text, '\"msg\"') AND json_valid(text)"

KILL_TOLD_WITHIN_S: Final = 10
"""MariaDB tells of one killed session up to three times: as an aborted connection and as the error it ended with."""

_REPEATED: Final = """
DELETE FROM event
WHERE source_id = $source
  AND kind = 'session_terminated'
  AND reason = 'killed'
  AND EXISTS (
    SELECT 1
    FROM event AS other
    WHERE other.source_id = $source
      AND other.backend_id = event.backend_id
      AND other.reason = 'killed'
      AND (other.kind = 'session_aborted' OR other.line_no < event.line_no)
      AND abs(epoch(other.event_at) - epoch(event.event_at)) <= $within
  )
"""

USUAL_SHARE: Final = 0.1
"""Of the lines, how many are the server's own, unless stack traces or InnoDB's monitor fill the log."""


def certainty(head: Head) -> float:
    """How sure the lines are an error log: by how many of those with a time only a MySQL server would begin so."""
    lines = [line for line in (*head.lines, *head.middle) if line.strip()]
    own = sum(bool(_OWN.match(line) or _SINK.match(line)) for line in lines)
    stamped = sum(bool(_STAMPED.match(line) or line.startswith("{")) for line in lines)
    if not own:
        aborted = sum(_ABORTED.match(line) is not None for line in lines)
        return 0.5 if aborted and aborted * 2 > len(lines) else 0.0
    return (0.95 if own >= USUAL_SHARE * len(lines) else 0.6) * own / max(stamped, own)


def read(reading: Reading) -> None:
    """Store the events of an error log, and what it says of max_connections as a setting; account for every line."""
    lines = (*reading.head.lines, *reading.head.middle)
    if any("MariaDB" in line or "mariadbd" in line for line in lines):
        reading.engine = "mariadb"
    if any(line.startswith("{") for line in lines):
        plain = _Plain(reading)
        _read(plain)
        reading.version = plain.version
    else:
        _read(reading)
    con = reading.con
    if reading.version and "MariaDB" in reading.version and reading.engine != "mariadb":
        reading.engine = "mariadb"
        con.execute("UPDATE event SET engine = 'mariadb' WHERE source_id = ?", [reading.source_id])
    [(repeated,)] = con.execute(_REPEATED, {"source": reading.source_id, "within": KILL_TOLD_WITHIN_S}).fetchall()
    reading.ledger.understood -= repeated
    reading.ledger.ignored += repeated
    con.execute(
        f"""
        INSERT INTO setting BY NAME
        SELECT source_id, line_no, server, engine, 'max_connections' AS name, event_at AS valid_at,
               regexp_extract(detail, '(?:max_connections: |adjusted to )(\\d+)', 1) AS value
        FROM event
        WHERE source_id = {reading.source_id}
          AND kind = 'setting_changed'
          AND reason = 'max_connections'
          AND regexp_matches(detail, '(?:max_connections: |adjusted to )\\d+')
        """
    )


def _read(reading: Reading) -> None:
    zones = Zones(reading.options.timezone, reading.ledger)

    def short(text: str, _: str | None) -> datetime | None:
        day, _, clock = text.partition(" ")
        century = "19" if int(day[:2]) >= 70 else "20"
        return zones.utc(f"{century}{day[:2]}-{day[2:4]}-{day[4:]} {clock.strip():0>8}", "")

    spaced = _SPACED if _is_connection_id(reading.head) else _SPACED_PID
    frames: tuple[Frame, ...] = (_ISO, spaced, replace(_SHORT, parse=short))
    if not any(_OWN.match(line) for line in (*reading.head.lines, *reading.head.middle)):
        frames = (*frames, _NAKED)
    line_log.read(reading, frames, CATALOGUE, continuations="typed")


def _is_connection_id(head: Head) -> bool:
    """Tell whether the number after a time without offset is a connection's: the server's own lines then bear 0."""
    for line in (*head.lines, *head.middle):
        found = re.match(
            r"^\d{4}-\d\d-\d\d [ \d]\d:\d\d:\d\d(?:\.\d+)? (\d+) \[\w+\] (?:Aborted connection (\d+) )?", line
        )
        if found and (found[1] == "0" or found[1] == found[2]):
            return True
    return False


class _Plain(Reading):
    """A reading whose JSON lines are those of the ordinary sink."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(**{each.name: getattr(reading, each.name) for each in fields(Reading)})

    def slices(self) -> Iterator[pa.Table]:
        """Yield the slices with every line of JSON rewritten."""
        for table in super().slices():
            rest = [name for name in table.column_names if name not in ("line_no", "text")]
            yield (
                self.con.from_arrow(table)
                .project(
                    ", ".join(("line_no", f"CASE WHEN {_IS_SINK} THEN {_PLAIN_LINE} ELSE text END AS text", *rest))
                )
                .order("line_no")
                .to_arrow_table()
            )


_PLAIN_LINE: Final = """
concat(
  text->>'$.time', ' ',
  coalesce(text->>'$.thread', '0'), ' [',
  coalesce(text->>'$.label', 'Note'), '] ',
  CASE WHEN TRY_CAST(text->>'$.err_code' AS INTEGER) IS NOT NULL THEN
    format('[MY-{:06d}] [{}] ', CAST(text->>'$.err_code' AS INTEGER), coalesce(text->>'$.subsystem', ''))
  ELSE '' END,
  replace(text->>'$.msg', chr(10), ' ')
)
"""

SAMPLES: Final = (
    Sample(
        name="aborted.txt",
        text="[Note] Aborted connection 43563 to db: 'shop' user: 'app' host: '10.0.0.7' (Got timeout reading communication packets)\n"
        "Aborted connection xx to db: 'unconnected' user: 'xxx' host: 'xxx' (Got an error reading communication packets)\n",
        rows={
            "event": (
                {
                    "line_no": 1, "event_at": None, "kind": "session_aborted", "reason": "read_timeout", "severity": "Note",
                    "backend_id": 43563, "user_name": "app", "database_name": "shop", "client_host": "10.0.0.7",
                },
                {"line_no": 2, "kind": "session_aborted", "reason": "read_error", "backend_id": None},
            )
        },
    ),
    Sample(
        name="error.log",
        text="""\
2026-11-21T03:10:00.646209Z 0 [System] [MY-010116] [Server] /usr/sbin/mysqld (mysqld 8.0.36) starting as process 1
2026-11-21T03:10:00.655296Z 0 [Warning] [MY-010140] [Server] Could not increase number of max_open_files to more than 1024 (request: 8161)
2026-11-21T03:10:00.655301Z 0 [Warning] [MY-010141] [Server] Changed limits: max_connections: 214 (requested 500)
2026-11-21T03:10:00.990576Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.
2026-11-21T03:10:01.004290Z 0 [System] [MY-010931] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.36'  socket: '/var/run/mysqld/mysqld.sock'  port: 3306  MySQL Community Server - GPL.
2026-11-21T03:11:58.314184Z 10 [Warning] [MY-010055] [Server] IP address '10.0.0.7' could not be resolved: Name or service not known
2026-11-21T03:11:58.352601Z 10 [Note] [MY-010926] [Server] Access denied for user 'app_web'@'10.0.0.7' (using password: YES)
2026-11-21T03:12:06.501234Z 0 [Warning] [MY-000000] [Server] Too many connections
2026-11-21T04:12:07.500000+01:00 34 [Note] [MY-010914] [Server] Aborted connection 34 to db: 'shop' user: 'app_web' host: '10.0.0.8' (Got an error reading communication packets).
2026-11-21T03:12:08.000000Z 35 [Note] [MY-010914] [Server] Aborted connection 35 to db: 'unconnected' user: 'unauthenticated' host: '10.0.0.9' (Got timeout reading communication packets).
2026-11-21T03:13:00.347489Z 8 [System] [MY-013172] [Server] Received SHUTDOWN from user root. Shutting down mysqld (Version: 8.0.36).
2026-11-21T03:13:01.070913Z 0 [System] [MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete (mysqld 8.0.36)  MySQL Community Server - GPL.
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2026-11-21 03:10:00.646209", "engine": "mysql", "kind": "server_starting", "detail": "1", "severity": "System"},
                {"line_no": 2, "kind": "setting_changed", "reason": "max_open_files", "detail": "max_open_files to more than 1024 (request: 8161)"},
                {"line_no": 3, "kind": "setting_changed", "reason": "max_connections", "error_code": "MY-010141", "detail": "max_connections: 214 (requested 500)"},
                {"line_no": 5, "kind": "server_ready", "reason": None},
                {"line_no": 6, "kind": "name_resolution_slow", "reason": "failed", "backend_id": 10, "client_host": "10.0.0.7"},
                {"line_no": 7, "kind": "auth_failed", "reason": "password", "backend_id": 10, "user_name": "app_web", "client_host": "10.0.0.7"},
                {"line_no": 8, "event_at": "2026-11-21 03:12:06.501234", "kind": "refused_full", "error_code": "1040", "backend_id": None},
                {"line_no": 9, "event_at": "2026-11-21 03:12:07.500", "kind": "session_aborted", "reason": "read_error", "backend_id": 34, "user_name": "app_web", "database_name": "shop", "client_host": "10.0.0.8", "error_code": "MY-010914"},
                {"line_no": 10, "kind": "session_aborted", "reason": "read_timeout", "backend_id": 35, "user_name": None, "database_name": None, "detail": "unauthenticated"},
                {"line_no": 11, "kind": "server_stopping", "reason": "requested", "user_name": "root"},
                {"line_no": 12, "kind": "server_stopping", "reason": "complete"},
            ],
            "setting": [
                {"line_no": 3, "engine": "mysql", "name": "max_connections", "value": "214", "valid_at": "2026-11-21 03:10:00.655301"},
            ],
        },
    ),
    Sample(
        name="mariadb.err",
        text="""\
2026-11-21  3:10:01 0 [Warning] option 'max_connections': unsigned value 3 adjusted to 10
2026-11-21  3:10:01 0 [Note] /usr/sbin/mariadbd (server 10.11.6-MariaDB) starting as process 3527 ...
2026-11-21  3:10:02 0 [Note] /usr/sbin/mariadbd: ready for connections.
Version: '10.11.6-MariaDB'  socket: '/run/mysqld/mysqld.sock'  port: 3306  Debian 12
2026-11-21  3:12:06 0 [Warning] Aborted connection 0 to db: 'unconnected' user: 'unauthenticated' host: 'connecting host' (Too many connections)
2026-11-21  3:12:07 34 [Warning] Aborted connection 34 to db: 'shop' user: 'app_web' host: '127.0.0.1' (Got timeout reading communication packets)
2026-11-21  3:12:08 35 [Warning] Aborted connection 35 to db: 'unconnected' user: 'unauthenticated' host: '127.0.0.1' (This connection closed normally without authentication)
2026-11-21  3:12:09 36 [ERROR] mariadbd: Connection was killed
2026-11-21  3:12:09 40 [Warning] Aborted connection 36 to db: 'shop' user: 'app_web' host: '127.0.0.1' (KILLED)
2026-11-21  3:13:00 0 [Note] /usr/sbin/mariadbd (initiated by: unknown): Normal shutdown
261121  3:13:05 [ERROR] mysqld got signal 11 ;
This could be because you hit a bug. It is also possible that this binary
connection_count=9
""",
        rows={
            "event": [
                {"line_no": 1, "engine": "mariadb", "kind": "setting_changed", "reason": "max_connections", "detail": "unsigned value 3 adjusted to 10"},
                {"line_no": 2, "event_at": "2026-11-21 03:10:01", "kind": "server_starting"},
                {"line_no": 3, "kind": "server_ready"},
                {"line_no": 5, "event_at": "2026-11-21 03:12:06", "kind": "refused_full", "backend_id": None, "client_host": None, "error_code": "1040"},
                {"line_no": 6, "kind": "session_aborted", "reason": "read_timeout", "backend_id": 34, "client_host": "127.0.0.1"},
                {"line_no": 7, "kind": "session_aborted", "reason": "unauthenticated", "backend_id": 35, "user_name": None},
                {"line_no": 9, "kind": "session_aborted", "reason": "killed", "backend_id": 36},
                {"line_no": 10, "kind": "server_stopping", "reason": "normal", "detail": "unknown"},
                {"line_no": 11, "event_at": "2026-11-21 03:13:05", "kind": "server_crashed", "reason": "signal", "detail": "signal 11"},
            ],
            "setting": [{"line_no": 1, "name": "max_connections", "value": "10"}],
        },
    ),
    Sample(
        name="mysqld.log.00.json",
        text="""\
{ "prio" : 0, "err_code" : 10931, "subsystem" : "Server", "source_file" : "mysqld.cc", "function" : "main", "msg" : "/usr/sbin/mysqld: ready for connections. Version: '8.4.0'  socket: ''  port: 3306  MySQL Community Server - GPL.", "time" : "2026-11-21T03:10:01.004290Z", "err_symbol" : "ER_STARTUP", "SQL_state" : "HY000", "label" : "System" }
{ "prio" : 3, "err_code" : 10914, "subsystem" : "Server", "msg" : "Aborted connection 34 to db: 'shop' user: 'app_web' host: '10.0.0.8' (Got an error writing communication packets).", "time" : "2026-11-21T03:12:07.500000Z", "thread" : 34, "err_symbol" : "ER_ABORTING_USER_CONNECTION", "SQL_state" : "08S01", "label" : "Note" }
{ "prio" : 2, "err_code" : 10068, "subsystem" : "Server", "msg" : "CA certificate ca.pem is self signed.", "time" : "2026-11-21T03:12:08.500000Z", "thread" : 0, "err_symbol" : "ER_CA_SELF_SIGNED", "SQL_state" : "HY000", "label" : "Warning" }
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2026-11-21 03:10:01.004290", "kind": "server_ready", "backend_id": None},
                {"line_no": 2, "event_at": "2026-11-21 03:12:07.5", "kind": "session_aborted", "reason": "write_error", "backend_id": 34, "error_code": "MY-010914"},
            ],
        },
    ),
)  # fmt: skip


FORMAT: Final = Format(
    name="mysql_error_log",
    engine="mysql",
    tables=("event", "setting"),
    certainty=certainty,
    read=read,
    samples=SAMPLES,
    catalogue=CATALOGUE,
    frames=(
        lambda sample, number: f"2026-11-21T03:12:{number % 60:02d}.123456Z 0 [Note] {sample}",
        lambda sample, number: f"2026-11-21T04:12:{number % 60:02d}.123456+01:00 {number} [ERROR] {sample}",
        lambda sample, number: f"2026-11-21  3:12:{number % 60:02d} {number} [Warning] {sample}",
        lambda sample, number: f"261121  3:12:{number % 60:02d} [Note] {sample}",
    ),
)
