"""The general query log of MySQL, MariaDB and Percona Server: every connection made and every statement sent.

How to obtain it: `SET GLOBAL general_log = ON`, the file of `SHOW VARIABLES LIKE 'general_log_file'`; managed services
offer it for download. It costs much on a busy server, and no other log of MySQL tells of sessions that went well.
https://dev.mysql.com/doc/refman/8.4/en/query-log.html https://mariadb.com/kb/en/general-query-log/

A line is a time, the connection id, a command and its argument; MySQL before 5.7 and MariaDB leave the time out while
the second stays the same. A statement goes on over any number of lines. `Connect` stands before the server has decided:
a wrong password follows as a second `Connect`, and of a session refused for want of a slot the log has a `Connect` and
no `Quit`. The lines above the first record are written when the log is opened: at a start, but at `FLUSH LOGS` too; they
bear no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connforensics.evidence import Format, Head, Reading, Sample, mysql_stamp
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

if TYPE_CHECKING:
    import pyarrow as pa

COMMANDS: Final = (
    "Sleep", "Quit", "Init DB", "Query", "Field List", "Create DB", "Drop DB", "Refresh", "Shutdown", "Statistics",
    "Processlist", "Connect", "Kill", "Debug", "Ping", "Time", "Delayed insert", "Change user", "Binlog Dump",
    "Table Dump", "Connect Out", "Register Slave", "Register Replica", "Prepare", "Execute", "Long Data", "Close stmt",
    "Reset stmt", "Set option", "Fetch", "Daemon", "Binlog Dump GTID", "Reset Connection", "Reset connection", "Bulk_execute",
    "Slave_worker", "Slave_IO", "Slave_SQL", "Com_multi", "Error", "clone",
)  # fmt: skip
"""What stands in the column Command."""

_TIMED = rf"{mysql_stamp.WRITTEN}[ \t]+"
_BEFORE = rf"^(?:{_TIMED}|\t\t) *"
_RECORD = re.compile(rf"{_BEFORE}\d+ (?:{'|'.join(sorted(COMMANDS, key=len, reverse=True))})(?:\s|$)")
_STAMPED = re.compile(rf"^{_TIMED}")
OPENED: Final = re.compile(r"^\S.*, Version: (?P<version>[^\s(]+) ?.*started with:$")
"""The line a server writes first when it opens its general or its slow log."""

COLUMNS: Final = re.compile(r"^Time\s+Id\s+Command\s+Argument\s*$")
"""The third line."""

_IS_KEPT: Final = " OR ".join(
    f"contains(text, {text})"
    for text in ("' Connect'", "' Quit'", "' Shutdown'", "'started with:'", "'Access denied for user'")
)
_TAIL: Final = r"^ *(\d+) (Connect|Quit|Shutdown|Init DB)(.*)$"
_WHOLE: Final = rf"^({mysql_stamp.WRITTEN}) +(\d+) (Connect|Quit|Shutdown|Init DB)(.*)$"
_NAMES: Final = "['backend_id', 'command', 'rest']"
_SUSPECT: Final = "Connect|connection"
_DENIED: Final = r"^Access denied for user '(.*)'@'(.*?)'(?: to database '(.*)')?"

ENDS_LOOKED_AT: Final = 20_000
"""Lines of a slice within which its first and its last time are looked for; a longer statement hides them."""


def certainty(head: Head) -> float:
    """How sure the lines are a general log: by how many of those with a time are a record of one."""
    lines = [line for line in (*head.lines, *head.middle) if line.strip()]
    records = sum(bool(_RECORD.match(line)) for line in lines)
    if not records:
        # A log that was only opened looks like a slow log, and most likely is one.
        return 0.5 if sum(bool(OPENED.match(line) or COLUMNS.match(line)) for line in lines) >= 2 else 0.0
    stamped = sum(bool(_STAMPED.match(line)) for line in lines)
    return 0.97 * min(records / max(stamped, 1), 1.0)


def read(reading: Reading) -> None:
    """Store who connected, was turned away and left; account for every line."""
    for line in reading.head.lines:
        if opened := OPENED.match(line):
            reading.version = opened["version"]
            reading.engine = "mariadb" if "MariaDB" in line else "mysql"
    _Reader(reading).read()


@dataclass
class _Reader:
    reading: Reading
    zones: Zones = field(init=False)
    stamp: str | None = None
    is_open: bool = False

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)

    def read(self) -> None:
        for table in self.reading.scan("slice"):
            self._slice(table)

    def _slice(self, table: pa.Table) -> None:
        con, reading, ledger = self.reading.con, self.reading, self.reading.ledger
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE kept_line AS
            SELECT line_no, text, stamp,
                   TRY_CAST(got.backend_id AS BIGINT) AS backend_id,
                   got.command AS command,
                   ltrim(got.rest, chr(9) || ' ') AS argument
            FROM (
              SELECT line_no, text,
                     CASE WHEN is_tabbed THEN nullif(before, '') ELSE nullif(whole.stamp, '') END AS stamp,
                     CASE
                       WHEN is_tabbed THEN
                         regexp_extract(substr(text, CASE WHEN before = '' THEN 3 ELSE length(before) + 2 END), {quoted(_TAIL)}, {_NAMES})
                       ELSE {{'backend_id': whole.backend_id, 'command': whole.command, 'rest': whole.rest}}
                     END AS got
              FROM (
                SELECT *, CASE WHEN NOT is_tabbed THEN regexp_extract(text, {quoted(_WHOLE)}, ['stamp', 'backend_id', 'command', 'rest']) END AS whole
                FROM (
                  SELECT line_no, text, split_part(text, chr(9), 1) AS before,
                         starts_with(text, chr(9) || chr(9)) OR (before LIKE '%:__:__%' AND length(before) < 40 AND contains(text, chr(9))) AS is_tabbed
                  FROM slice
                  WHERE {_IS_KEPT}
                )
              )
            )
            WHERE (got.command <> ''
                   AND NOT (got.command = 'Connect' AND starts_with(got.rest, ' Out'))
                   AND NOT (got.command = 'Init DB' AND NOT contains(got.rest, 'Access denied for user')))
               OR ends_with(text, 'started with:')
            """
        )
        last = self._ends(table)
        self._carry()
        self.stamp = last or self.stamp
        understood = self._store()
        unknown = 0 if self.is_open else self._before_the_first()
        unknown += reading.show_unknown("(FROM told_line WHERE kind IS NULL)", _SUSPECT)
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += table.num_rows - understood - unknown

    def _ends(self, table: pa.Table) -> str | None:
        """Note the first and the last time written in a slice; return the last."""
        texts = table.column("text")
        count = min(len(texts), ENDS_LOOKED_AT)
        first = _first_stamp(texts.slice(0, count).to_pylist())
        last = _first_stamp(reversed(texts.slice(len(texts) - count).to_pylist()))
        if first is not None and last is not None:
            moments = mysql_stamp.utc(first, self.zones), mysql_stamp.utc(last, self.zones)
            self.reading.ledger.saw(min(moments, key=str), max(moments, key=str))
        return last

    def _carry(self) -> None:
        """Give records without a time that of the last line above them that has one."""
        con = self.reading.con
        if not self.reading.count("SELECT count(*) FROM kept_line WHERE stamp IS NULL AND command <> ''"):
            return
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE kept_line AS
            SELECT kept_line.* REPLACE (CASE WHEN command <> '' THEN coalesce(kept_line.stamp, above.stamp, ?) END AS stamp)
            FROM kept_line
            ASOF LEFT JOIN (
              SELECT line_no, split_part(text, chr(9), 1) AS stamp
              FROM slice
              WHERE NOT starts_with(text, chr(9))
                AND regexp_matches(text, {quoted("^" + _TIMED)})
            ) AS above
              ON kept_line.line_no >= above.line_no
            """,
            [self.stamp],
        )

    def _store(self) -> int:
        con, reading = self.reading.con, self.reading
        denied = f"regexp_extract(argument, {quoted(_DENIED)}, ['user_name', 'client_host', 'database_name'])"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_line AS
            SELECT *,
                   CASE WHEN kind = 'connection_opened' THEN split_part(split_part(argument || ' ', ' on ', 1), ' as ', 1) END AS who,
                   CASE WHEN kind = 'connection_opened' THEN substr(argument || ' ', length(split_part(argument || ' ', ' on ', 1)) + 5) END AS target,
                   CASE WHEN kind = 'auth_failed' THEN {denied} END AS denied
            FROM (
              SELECT *,
                     CASE
                       WHEN command = '' THEN 'server_starting'
                       WHEN command = 'Quit' THEN 'connection_closed'
                       WHEN command = 'Shutdown' THEN 'server_stopping'
                       WHEN starts_with(argument, 'Access denied') THEN 'auth_failed'
                       WHEN starts_with(argument, 'Too many connections') THEN 'refused_full'
                       WHEN starts_with(argument, 'User ') AND contains(argument, 'max_user_connections') THEN 'refused_quota'
                       WHEN regexp_matches(argument, '^Host .*(is blocked|not allowed)') THEN 'refused_rule'
                       WHEN starts_with(argument, 'Unknown database') THEN 'unknown_target'
                       WHEN contains(argument, '@') AND contains(argument || ' ', ' on ') THEN 'connection_opened'
                     END AS kind
              FROM ({mysql_stamp.timed_sql(con, self.zones, "SELECT * FROM kept_line")})
            )
            """
        )
        con.execute(
            f"""
            INSERT INTO event BY NAME
            SELECT {reading.source_id} AS source_id, line_no, event_at,
                   {quoted(reading.server)} AS server, {quoted(reading.engine)} AS engine, kind,
                   CASE kind
                     WHEN 'server_starting' THEN 'log_opened'
                     WHEN 'server_stopping' THEN 'requested'
                     WHEN 'refused_quota' THEN 'user'
                     WHEN 'unknown_target' THEN 'database'
                     WHEN 'refused_rule' THEN CASE WHEN contains(argument, 'blocked') THEN 'host_blocked' ELSE 'host_not_allowed' END
                     WHEN 'auth_failed' THEN
                       CASE
                         WHEN contains(argument, ' to database ') THEN 'database'
                         WHEN contains(argument, 'locked') THEN 'account_locked'
                         ELSE 'password'
                       END
                   END AS reason,
                   CASE kind
                     WHEN 'auth_failed' THEN '1045'
                     WHEN 'refused_full' THEN '1040'
                     WHEN 'refused_quota' THEN CASE WHEN contains(argument, 'exceeded') THEN '1226' ELSE '1203' END
                     WHEN 'refused_rule' THEN CASE WHEN contains(argument, 'blocked') THEN '1129' ELSE '1130' END
                     WHEN 'unknown_target' THEN '1049'
                   END AS error_code,
                   backend_id,
                   coalesce(nullif(left(who, length(who) - length(split_part(who, '@', -1)) - 1), ''), nullif(denied.user_name, '')) AS user_name,
                   coalesce(nullif(split_part(who, '@', -1), ''), nullif(denied.client_host, '')) AS client_host,
                   coalesce(nullif(trim(split_part(target, ' using ', 1)), ''), nullif(denied.database_name, '')) AS database_name,
                   nullif(trim(split_part(target, ' using ', 2)), '') AS detail,
                   text
            FROM told_line
            WHERE kind IS NOT NULL
            """
        )
        return reading.count("SELECT count(kind) FROM told_line")

    def _before_the_first(self) -> int:
        """Count and show the lines above the first that is one of this log."""
        known = "|".join((_RECORD.pattern, "started with:$", COLUMNS.pattern, "^(?i:tcp port: )"))
        [(first,)] = self.reading.con.execute(
            f"SELECT min(line_no) FROM slice WHERE regexp_matches(text, {quoted(known)})"
        ).fetchall()
        self.is_open = first is not None
        above = f"line_no < {first}" if self.is_open else "true"
        return self.reading.show_unknown(
            f"(FROM slice WHERE text <> '' AND {above} AND line_no NOT IN (SELECT line_no FROM told_line))", _SUSPECT
        )


def _first_stamp(lines: Iterable[str | None]) -> str | None:
    return next((found[0].strip() for line in lines if line and (found := _STAMPED.match(line))), None)


SAMPLES: Final = (
    Sample(
        name="general.log",
        text="""\
/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
2026-11-21T03:12:04.259438Z\t    9 Query\tSELECT 'a',
  'b' FROM t
2026-11-21T03:12:05.592572Z\t   10 Connect\tapp_web@10.0.0.8 on shop using TCP/IP
2026-11-21T03:12:05.692572Z\t   11 Connect\troot@localhost on  using Socket
2026-11-21T03:12:05.792572Z\t   11 Init DB\tshop
2026-11-21T03:12:06.278381Z\t   12 Connect\tapp_web@10.0.0.9 on shop using SSL/TLS
2026-11-21T03:12:06.278726Z\t   12 Connect\tAccess denied for user 'app_web'@'10.0.0.9' (using password: YES)
2026-11-21T04:12:07.000000+01:00\t   13 Connect\tToo many connections
2026-11-21T03:12:07.500000Z\t   10 Quit\t
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": None, "engine": "mysql", "kind": "server_starting", "reason": "log_opened"},
                {"line_no": 6, "event_at": "2026-11-21 03:12:05.592572", "kind": "connection_opened", "backend_id": 10, "user_name": "app_web", "client_host": "10.0.0.8", "database_name": "shop", "detail": "TCP/IP"},
                {"line_no": 7, "kind": "connection_opened", "backend_id": 11, "user_name": "root", "client_host": "localhost", "database_name": None, "detail": "Socket"},
                {"line_no": 9, "kind": "connection_opened", "backend_id": 12, "detail": "SSL/TLS"},
                {"line_no": 10, "kind": "auth_failed", "reason": "password", "error_code": "1045", "backend_id": 12, "user_name": "app_web", "client_host": "10.0.0.9"},
                {"line_no": 11, "event_at": "2026-11-21 03:12:07", "kind": "refused_full", "error_code": "1040", "backend_id": 13},
                {"line_no": 12, "event_at": "2026-11-21 03:12:07.5", "kind": "connection_closed", "backend_id": 10},
            ]
        },
    ),
    Sample(
        name="mariadb.log",
        text="""\
/usr/sbin/mariadbd, Version: 10.11.6-MariaDB-0+deb12u1 (Debian 12). started with:
Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock
Time\t\t    Id Command\tArgument
261121  3:12:06\t     3 Connect\troot@localhost on  using Socket
\t\t     3 Query\tselect @@version_comment limit 1
\t\t     4 Connect\tapp_web@127.0.0.1 on shop using TCP/IP
\t\t     5 Connect\tAccess denied for user 'app_web'@'127.0.0.1' (using password: YES)
\t\t     6 Init DB\tAccess denied for user 'app_web'@'%' to database 'nothere'
261121  3:12:07\t     3 Quit\t
\t\t     4 Quit\t
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": None, "engine": "mariadb", "kind": "server_starting"},
                {"line_no": 4, "event_at": "2026-11-21 03:12:06", "kind": "connection_opened", "backend_id": 3, "user_name": "root"},
                {"line_no": 6, "event_at": "2026-11-21 03:12:06", "kind": "connection_opened", "backend_id": 4, "database_name": "shop"},
                {"line_no": 7, "event_at": "2026-11-21 03:12:06", "kind": "auth_failed", "backend_id": 5},
                {"line_no": 8, "kind": "auth_failed", "reason": "database", "backend_id": 6, "database_name": "nothere"},
                {"line_no": 9, "event_at": "2026-11-21 03:12:07", "kind": "connection_closed", "backend_id": 3},
                {"line_no": 10, "event_at": "2026-11-21 03:12:07", "kind": "connection_closed", "backend_id": 4},
            ]
        },
    ),
    Sample(
        name="mysql50.log",
        text="""\
071121 21:55:24\t      7 Connect     app@web1.example.net on shop
\t\t      7 Query       SELECT 1
071121 21:55:25\t      7 Quit
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2007-11-21 21:55:24", "kind": "connection_opened", "backend_id": 7, "client_host": "web1.example.net", "database_name": "shop"},
                {"line_no": 3, "event_at": "2007-11-21 21:55:25", "kind": "connection_closed", "backend_id": 7},
            ]
        },
    ),
)  # fmt: skip


FORMAT: Final = Format(
    name="mysql_general_log",
    engine="mysql",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=SAMPLES,
)
