"""The slow query log of MySQL, MariaDB and Percona Server: statements that took long, with who sent them.

How to obtain it: the file of `SHOW VARIABLES LIKE 'slow_query_log_file'`; managed services offer it for download. With
`long_query_time = 0` it holds every statement. Percona Server and MariaDB add lines of their own (`Thread_id`, `Schema`,
`Rows_affected`, plans), MySQL 8.0.14 adds fields with `log_slow_extra`.
https://dev.mysql.com/doc/refman/8.4/en/slow-query-log.html https://mariadb.com/kb/en/slow-query-log-overview/
https://docs.percona.com/percona-server/8.0/slow-extended.html

A record is some lines of `# name: value`, perhaps `use`, `SET timestamp=`, and the statement, which may be of many lines
or one very long one. Its event is cited by the first of these lines; `text` is how the statement begins, `detail` what
the server counted. An event stands where the statement ended: `# Time` where it bears an offset (MySQL 5.7 and newer),
else the start that `SET timestamp` tells in UTC plus the time taken, since older servers write `# Time` in local time and
only when the second changed. `use` is written only where the database is not that of the record above: a record without
it has that database if its session had it before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, mysql_stamp
from connforensics.evidence.lines import SUSPECT
from connforensics.evidence.messages.postgres import SLOW_STATEMENT_CHARACTERS
from connforensics.evidence.mysql_general_log import COLUMNS, OPENED
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

STATEMENT_LINES: Final = 12
"""Lines of a statement that are looked at for how it begins."""

HELD_LINES: Final = 64
"""Lines of a record at the end of a slice that are kept for the next one: its head and how its statement begins."""

_QUERY_TIME = re.compile(r"^# Query_time: \d+(?:\.\d+)?\s+Lock_time: \d+")
_USER = re.compile(r"^# User@Host: .*\[.*\] @ .*\[.*\]")

_IS_HEAD: Final = """
starts_with(text, '# ') OR starts_with(text, 'SET timestamp=') OR starts_with(text, 'use ')
OR ends_with(text, 'started with:')
"""
_SORT: Final = r"""
CASE
  WHEN starts_with(text, '# Time: ') THEN 'time'
  WHEN starts_with(text, '# User@Host: ') THEN 'user'
  WHEN starts_with(text, '# Query_time: ') THEN 'query'
  WHEN starts_with(text, 'SET timestamp=') THEN 'set'
  WHEN starts_with(text, 'use ') THEN 'use'
  WHEN ends_with(text, 'started with:') AND contains(text, ', Version: ') THEN 'opened'
  WHEN regexp_matches(text, '^# [A-Za-z_]+:') THEN 'more'
END
"""


def certainty(head: Head) -> float:
    """How sure the lines are a slow log: records have two lines that nothing else begins so."""
    lines = (*head.lines, *head.middle)
    if any(_QUERY_TIME.match(line) for line in lines) and any(_USER.match(line) for line in lines):
        return 0.97
    # Of the logs with this header, only a slow log can stay empty below it.
    opened = sum(bool(OPENED.match(line) or COLUMNS.match(line)) for line in lines)
    other = sum(bool(line.strip()) for line in lines) - opened
    return 0.6 if opened >= 2 and other <= opened else 0.0


def read(reading: Reading) -> None:
    """Store the slow statements and account for every line."""
    _Reader(reading).read()


@dataclass
class _Reader:
    reading: Reading
    zones: Zones = field(init=False)
    is_open: bool = False

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)

    def read(self) -> None:
        con, ledger = self.reading.con, self.reading.ledger
        for line in self.reading.head.lines:
            if opened := OPENED.match(line):
                self.reading.version = opened["version"]
                self.reading.engine = "mariadb" if "MariaDB" in line else "mysql"
        con.execute("CREATE OR REPLACE TEMP TABLE held_line (line_no BIGINT, text VARCHAR)")
        for table in self.reading.scan("slice"):
            ledger.ignored += table.num_rows
            self._records("SELECT * FROM held_line UNION ALL SELECT line_no, text FROM slice", is_last=False)
        self._records("SELECT * FROM held_line", is_last=True)

    def _records(self, lines: str, *, is_last: bool) -> None:
        """Store the records of some lines, all but the last one of them; lines were counted as ignored before."""
        con, ledger = self.reading.con, self.reading.ledger
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE head_line AS
            SELECT *, sum(is_first::INTEGER) OVER (ORDER BY line_no) AS record_no
            FROM (
              SELECT *, coalesce(sort IN ('time', 'opened') OR (sort = 'user' AND NOT (coalesce(before, '') = 'time' AND line_no = line_before + 1)), false) AS is_first
              FROM (
                SELECT *, lag(sort) OVER in_order AS before, lag(line_no) OVER in_order AS line_before
                FROM (SELECT line_no, left(text, 1000) AS text, {_SORT} AS sort FROM ({lines}) WHERE {_IS_HEAD})
                WHERE sort IS NOT NULL
                WINDOW in_order AS (ORDER BY line_no)
              )
            )
            """
        )
        con.execute(
            r"""
            CREATE OR REPLACE TEMP TABLE slow_record AS
            SELECT
              record_no,
              min(line_no) AS line_no,
              max(line_no) FILTER (sort = 'query') AS query_line_no,
              min(sort) FILTER (sort = 'opened') AS opened,
              min(text) FILTER (sort = 'opened') AS opened_text,
              min(regexp_extract(text, '^# Time: +(.*?) *$', 1)) FILTER (sort = 'time') AS stamp,
              min(text) FILTER (sort = 'user') AS user_line,
              min(text) FILTER (sort = 'query') AS query_line,
              string_agg(text, ' ' ORDER BY line_no) FILTER (sort = 'more') AS more,
              min(TRY_CAST(regexp_extract(text, '^SET timestamp=([0-9.]+)', 1) AS DOUBLE)) FILTER (sort = 'set') AS set_s,
              min(regexp_extract(text, '^use `?(.*?)`?;', 1)) FILTER (sort = 'use') AS used
            FROM head_line
            WHERE record_no > 0
            GROUP BY record_no
            """
        )
        if not is_last:
            [(last,)] = con.execute("SELECT max(line_no) FROM slow_record").fetchall()
            con.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE next_held_line AS
                SELECT line_no, left(text, 1000) AS text
                FROM ({lines})
                WHERE line_no >= {last if last is not None else -1}
                ORDER BY line_no
                LIMIT {HELD_LINES if last is not None else 0}
                """
            )
            con.execute("DELETE FROM slow_record WHERE line_no = ?", [last])
        self._store(lines)
        self._unknown(lines)
        if not is_last:
            con.execute("CREATE OR REPLACE TEMP TABLE held_line AS SELECT * FROM next_held_line")
            con.execute("DROP TABLE next_held_line")
        else:
            con.execute("DROP TABLE held_line")
        ledger.ignored = max(ledger.ignored, 0)

    def _store(self, lines: str) -> None:
        con, reading, ledger = self.reading.con, self.reading, self.reading.ledger
        who = r"^# User@Host: (.*?)\[(.*?)\] @ +([^ \[]*) *\[([^\]]*)\](?:\s+Id:\s+(\d+))?"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_record AS
            SELECT
              record_no, line_no, query_line_no, opened, opened_text, stamp, set_s, nullif(used, '') AS used,
              TRY_CAST(regexp_extract(query_line, '^# Query_time: ([0-9.]+)', 1) AS DOUBLE) AS query_s,
              regexp_replace(regexp_extract(query_line, 'Lock_time:.*$'), ' +', ' ', 'g') AS counted,
              regexp_extract(user_line, '{who}', ['privileged', 'user_name', 'host', 'address', 'backend_id']) AS who,
              regexp_extract(concat(more, ' ', query_line), 'Thread_id: (\\d+)', 1) AS thread_id,
              regexp_extract(more, 'Schema: ([^ ]*)', 1) AS schema_name
            FROM slow_record
            """
        )
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE began_record AS
            SELECT record_no,
                   left(string_agg(trim(line.text), ' ' ORDER BY line.line_no), {SLOW_STATEMENT_CHARACTERS}) AS text
            FROM (
              SELECT record_no, next_no, unnest(range(first_no, first_no + {STATEMENT_LINES})) AS line_no
              FROM (
                SELECT record_no, max(line_no) FILTER (sort <> 'opened') + 1 AS first_no,
                       lead(min(line_no)) OVER (ORDER BY record_no) AS next_no
                FROM head_line
                WHERE record_no > 0
                GROUP BY record_no
              )
            ) AS part
            JOIN (SELECT line_no, left(text, {SLOW_STATEMENT_CHARACTERS}) AS text FROM ({lines}) WHERE text <> '') AS line
              ON line.line_no = part.line_no
             AND (part.next_no IS NULL OR part.line_no < part.next_no)
            GROUP BY record_no
            """
        )
        moments = mysql_stamp.timed_sql(con, self.zones, "SELECT record_no, stamp FROM told_record WHERE stamp <> ''")
        source = f"""
            SELECT told_record.*, began_record.text AS statement,
                   last_value(used IGNORE NULLS) OVER (PARTITION BY who.backend_id ORDER BY record_no) AS used_by_session,
                   last_value(used IGNORE NULLS) OVER (ORDER BY record_no) AS used_last,
                   CASE
                     WHEN regexp_matches(told_record.stamp, '(Z|UTC|[+-]\\d\\d:?\\d\\d)$') THEN own.event_at
                     WHEN set_s BETWEEN 1 AND 1e11 THEN make_timestamp(CAST((set_s + coalesce(query_s, 0)) * 1e6 AS BIGINT))
                     ELSE own.event_at
                   END AS event_at
            FROM told_record
            LEFT JOIN ({moments}) AS own USING (record_no)
            LEFT JOIN began_record USING (record_no)
            """
        con.execute(
            f"""
            INSERT INTO event BY NAME
            SELECT {reading.source_id} AS source_id, line_no,
                   {quoted(reading.server)} AS server, {quoted(reading.engine)} AS engine,
                   CASE WHEN opened IS NOT NULL THEN 'server_starting' ELSE 'slow_statement' END AS kind,
                   CASE WHEN opened IS NOT NULL THEN 'log_opened' END AS reason,
                   CASE WHEN opened IS NULL THEN event_at END AS event_at,
                   TRY_CAST(coalesce(nullif(who.backend_id, ''), thread_id) AS BIGINT) AS backend_id,
                   coalesce(nullif(who.user_name, ''), nullif(who.privileged, '')) AS user_name,
                   coalesce(nullif(who.host, ''), nullif(who.address, '')) AS client_host,
                   coalesce(nullif(schema_name, ''), used, CASE WHEN used_by_session = used_last THEN used_last END) AS database_name,
                   query_s * 1000 AS duration_ms,
                   nullif(counted, '') AS detail,
                   CASE WHEN opened IS NOT NULL THEN opened_text ELSE statement END AS text
            FROM ({source})
            WHERE opened IS NOT NULL
               OR query_s IS NOT NULL
            """
        )
        [(first, last)] = con.execute(f"SELECT min(event_at), max(event_at) FROM ({source})").fetchall()
        ledger.saw(first, last)
        [(understood,)] = con.execute(
            """
            SELECT count(*)
            FROM head_line
            JOIN told_record USING (record_no)
            WHERE (opened IS NOT NULL AND sort = 'opened')
               OR (query_s IS NOT NULL AND sort <> 'more')
            """
        ).fetchall()
        ledger.understood += understood
        ledger.ignored -= understood

    def _unknown(self, lines: str) -> None:
        """Count and show records that were cut short, and what stands above the first one."""
        unknown = 0
        if not self.is_open:
            [(first,)] = self.reading.con.execute("SELECT min(line_no) FROM head_line WHERE record_no > 0").fetchall()
            above = f"line_no < {first}" if first is not None else "true"
            unknown += self.reading.show_unknown(f"(FROM ({lines}) WHERE text <> '' AND {above})", SUSPECT)
            self.is_open = first is not None
        unknown += self.reading.show_unknown(
            """(
            SELECT head_line.line_no, head_line.text
            FROM head_line
            JOIN told_record USING (record_no)
            WHERE opened IS NULL
              AND query_s IS NULL
              AND sort <> 'more'
            )""",
            SUSPECT,
        )
        self.reading.ledger.unknown += unknown
        self.reading.ledger.ignored -= unknown


SAMPLES: Final = (
    Sample(
        name="slow.log",
        text="""\
/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
# Time: 2026-11-21T03:12:06.746031Z
# User@Host: app_web[app_web] @  [10.0.0.8]  Id:    12
# Query_time: 1.500000  Lock_time: 0.000121 Rows_sent: 20  Rows_examined: 29520
use shop;
SET timestamp=1795230725;
SELECT *
  FROM orders
 WHERE id = 1;
# Time: 2026-11-21T04:12:07.000000+01:00
# User@Host: root[root] @ localhost []  Id:    13
# Query_time: 0.250000  Lock_time: 0.000000 Rows_sent: 0  Rows_examined: 0
SET timestamp=1795230726;
# administrator command: Ping;
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": None, "kind": "server_starting", "reason": "log_opened", "engine": "mysql"},
                {"line_no": 4, "event_at": "2026-11-21 03:12:06.746031", "kind": "slow_statement", "duration_ms": 1500.0, "user_name": "app_web", "client_host": "10.0.0.8", "backend_id": 12, "database_name": "shop", "detail": "Lock_time: 0.000121 Rows_sent: 20 Rows_examined: 29520", "text": "SELECT * FROM orders WHERE id = 1;"},
                {"line_no": 12, "event_at": "2026-11-21 03:12:07", "kind": "slow_statement", "duration_ms": 250.0, "user_name": "root", "client_host": "localhost", "backend_id": 13, "text": "# administrator command: Ping;"},
            ]
        },
    ),
    Sample(
        name="mariadb-slow.log",
        text="""\
# Time: 261121  3:12:06
# User@Host: app_web[app_web] @ localhost [127.0.0.1]
# Thread_id: 8  Schema: shop  QC_hit: No
# Query_time: 0.500000  Lock_time: 0.000000  Rows_sent: 1  Rows_examined: 0
# Rows_affected: 0  Bytes_sent: 57
SET timestamp=1795230725;
SELECT SLEEP(0.5);
# User@Host: app_web[app_web] @ localhost [127.0.0.1]
# Thread_id: 9  Schema:   QC_hit: No
# Query_time: 2.000000  Lock_time: 0.000000  Rows_sent: 1  Rows_examined: 0
SET timestamp=1795230725;
SELECT SLEEP(2);
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2026-11-21 03:12:05.5", "kind": "slow_statement", "duration_ms": 500.0, "backend_id": 8, "database_name": "shop", "client_host": "localhost", "text": "SELECT SLEEP(0.5);"},
                {"line_no": 8, "event_at": "2026-11-21 03:12:07", "duration_ms": 2000.0, "backend_id": 9, "database_name": None, "text": "SELECT SLEEP(2);"},
            ]
        },
    ),
    Sample(
        name="old-slow.log",
        text="""\
# Time: 091112 18:13:56
# User@Host: admin[admin] @ db1 [10.0.0.1]
# Query_time: 10  Lock_time: 0  Rows_sent: 1191307  Rows_examined: 1191307
SELECT /*!40001 SQL_NO_CACHE */ * FROM `events`;
""",
        rows={
            "event": [
                {"line_no": 1, "event_at": "2009-11-12 18:13:56", "kind": "slow_statement", "duration_ms": 10000.0, "user_name": "admin", "client_host": "db1", "backend_id": None},
            ]
        },
    ),
)  # fmt: skip


FORMAT: Final = Format(
    name="mysql_slow_log",
    engine="mysql",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=SAMPLES,
)
