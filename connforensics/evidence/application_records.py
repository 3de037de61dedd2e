"""Reads the logs of applications: any layout, any library, one pass over the lines.

A log of an application says little about connections in many lines. So one regular expression of all the literals of the
catalogues picks candidates, on all cores, and only they are taken apart. What is particular to such logs:

- A record is a line with a header and what follows it: a stack trace, a list of causes. One failure is repeated there,
  line by line and as `Caused by:`; of each kind, the first line of a record that types counts, the others are ignored.
  A timeout of the pool and, below it, the server's refusal are two kinds, and both are kept. A JSON line is a record of
  its own whose texts (message, error, stack) are its lines.
- Some frameworks log one failure twice, as two records of the same thread within two seconds (Hibernate, then Spring):
  a pool's timeout with the very same measured wait there is one timeout.
- A logger may be written twice, in two layouts (SQLAlchemy's echo beside a root handler): a line that says what the line
  before it says under another header is its double.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from connforensics.evidence import Reading, json_loggers, layouts, times
from connforensics.evidence.layouts import FRAMES, JSON
from connforensics.evidence.line_log import Frame
from connforensics.evidence.messages import (
    Message,
    client_refusals,
    hikaricp,
    jvm_pools,
    node_pools,
    other_pools,
    python_pools,
)
from connforensics.evidence.messages.pool_numbers import NUMBERS, Numbers
from connforensics.evidence.zones import Zones
from connforensics.schema import quoted

if TYPE_CHECKING:
    import pyarrow as pa

CATALOGUE: Final[tuple[Message, ...]] = (
    *client_refusals.REFUSALS,
    *hikaricp.CATALOGUE,
    *jvm_pools.CATALOGUE,
    *python_pools.CATALOGUE,
    *node_pools.CATALOGUE,
    *other_pools.CATALOGUE,
    *client_refusals.LINKS,
)
"""All that is typed, the first that fits wins: why a server refused is told before that a pool failed, and a pool's own
words before those of any broken link."""

_LIBRARY: Final = {
    id(message): library
    for module in (hikaricp, jvm_pools, python_pools, node_pools, other_pools)
    for library, entries in module.LIBRARIES.items()
    for message in entries
}

SUSPECT: Final = (
    r"(?i)max_connections|too many (?:open )?connections|too many clients|connection slots|max_user_connections"
    r"|connection is not available|connection limit (?:exceeded|reached)|connection leak"
    r"|pool (?:is )?(?:exhausted|empty|full|timeout|timed out|limit)|pool(?:ed)? connections? (?:exhausted|timeout|limit)"
    r"|(?:get|obtain|acquir\w+|fetch\w*|check\w* ?out) (?:a |an |new |free |jdbc |database |db )*connection\b.{0,40}(?:fail|timed? ?out|time-?out|unable|could ?n[o'])"
    r"|(?:unable|fail\w*|could ?n[o']t?|cannot|can't)\W.{0,20}(?:get|obtain|acquire|open|establish) (?:a |an |new |free |jdbc |database |db )*connection\b"
)
"""What makes a line that no catalogue knows look like one about connections that ran out.

Stricter than the words servers' logs are searched for: `connection` and `client` stand in every application's log."""

_SUSPECT_LITERALS: Final = (
    "max_connections", "oo many connections", "oo many open connections", "oo many clients", "onnection slots",
    "max_user_connections", "onnection is not available", "onnection limit", "onnection leak", "ool exhausted",
    "ool is exhausted", "ool empty", "ool is empty", "ool is full", "ool timeout", "ool timed out", "ool limit",
    "connection pool", "ooled connection", "a connection", "JDBC Connection", "database connection", "new connection",
    "acquire connection", "get connection", "open connection",
)  # fmt: skip

EXCEPTION: Final = r"^[A-Za-z_$][\w.$\\]*(?:::\w+)*(?:\(\w+\))?(?:: |$)"
"""`java.sql.SQLException: ...`, `psycopg_pool.PoolTimeout: ...`, `PG::ConnectionBad: ...`: the head of a trace, or of one of its parts."""

GOES_ON: Final = (
    r"^(?:\s|$|Caused by|Wrapped by|Suppressed|Traceback|During handling of|The above exception|nested exception|###|"
    r"[;)}\]>*#|]|- |\.\.\.|\[(?:SQL|parameters|stacktrace|cause)|\(Background|DETAIL|HINT|CONTEXT|Stack trace|thrown in|"
    r"connection to server (?:at|on)|Multiple connection attempts|at )"
)
"""Beginnings of lines that always belong to what stands above them."""

_CHAINED: Final = r"^(?:During handling of the above exception|The above exception was the direct cause)"
_INDENTED: Final = r"^\s+\S"
_JAVA: Final = r"^\s+(?:at |\.\.\. \d)"
"""An exception under an indented line ends a Python trace, unless that line is a stack frame of Java or Node."""

_FRAME: Final = r"^\s*at (?:[\w.@-]*//?)*([\w.$<>]+\([^)]*\))"
_FOREIGN_FRAME: Final = (
    r"^(?:com\.zaxxer|java|javax|jakarta|jdk|sun|com\.sun|org\.springframework|org\.hibernate|org\.apache|org\.postgresql|"
    r"com\.mysql|org\.mariadb|io\.micrometer|io\.netty|reactor|org\.eclipse|io\.undertow|com\.alibaba\.druid|com\.mchange|"
    r"org\.jooq|org\.mybatis|org\.flywaydb|liquibase|kotlin|kotlinx|scala|akka|io\.quarkus|io\.agroal|io\.vertx|org\.jboss|"
    r"org\.junit|org\.aspectj|net\.bytebuddy|org\.h2|oracle)\.|\$\$|\$Proxy\d"
)
"""Frames of libraries: the code that took the connection is the first frame that is none of these."""

MOST_FRAMES: Final = 3
"""Frames of the application kept of a suspected leak's stack: the culprit and its callers."""

STACK_LINES: Final = 300
"""Lines after a suspected leak among which its stack is looked for."""

SAME_FAILURE_S: Final = 2
"""Seconds within which one thread's two records with the same measured wait tell of one timeout."""

END_LINES: Final = 1000
"""Lines at the ends of a slice among which its first and last header are looked for."""

FEW_CHARACTERS: Final = 4 << 20
"""Texts that are looked at in Python before DuckDB is asked."""

BARE_SHARE: Final = 0.2
"""Below this share of lines with a header of text, lines without one are records of their own."""

_LETTER_LEVELS: Final = {"I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL", "D": "DEBUG"}

_ISO: Final = r"^(\d{4}[-/.]\d\d[-/.]\d\d)[ T]+(\d?\d:\d\d:\d\d)(?:[.,:](\d{1,9}))? ?(.*)$"
"""Date, clock, fraction and zone of a time as most programs write it."""

_TYPES: Final = {"backend_id": "BIGINT", "client_port": "INTEGER", "duration_ms": "DOUBLE"}
_UNITS: Final = {"duration_s": 1000, "duration_us": 0.001}
_EVENT_FIELDS: Final = (
    "reason", "severity", "sqlstate", "error_code", "session_key", "user_name", "database_name", "application_name",
    "client_host", "client_port", "duration_ms", "detail",
)  # fmt: skip


@cache
def literals() -> tuple[str, ...]:
    """Return texts of which every line that may say something holds one."""
    literals = [literal for message in CATALOGUE for literal in message.literals]
    literals += [numbers.has for numbers in NUMBERS] + [f"{name}.." for name in hikaricp.SETTINGS]
    literals += _SUSPECT_LITERALS
    distinct = sorted(set(literals))
    return tuple(one for one in distinct if not any(other != one and other in one for other in distinct))


def told(message: str) -> bool:
    """Tell whether a text is a known message that says something, or holds a pool's numbers."""
    first = next((entry for entry in CATALOGUE if entry.fits(message)), None)
    if first is not None and first.kind is not None:
        return True
    return any(numbers.has in message and re.search(numbers.pattern, message) for numbers in NUMBERS)


def read(reading: Reading, *, has_headers: bool) -> None:
    """Store the events, pool samples and settings of an application's log and account for every line.

    `has_headers` says that most lines begin with a header of text: then a bare line belongs to the record above it.
    """
    _Reader(reading, has_headers).read()


def _bare(pattern: str) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


def _opening(frame: Frame) -> str:
    """Return the pattern of a header without what follows it."""
    return r"^\s*\{" if frame is JSON else _bare(frame.pattern).removesuffix("(?:.*)$")


_HEADED: Final = "|".join(f"(?:{_opening(frame)})" for frame in FRAMES)
_STAMPED: Final = "|".join(f"(?:{_opening(frame)})" for frame in FRAMES if "stamp" in frame.groups or frame is JSON)

_ARMS: Final = " ".join(
    f"WHEN regexp_matches(text, {quoted(_bare(frame.pattern))}) THEN {number}" for number, frame in enumerate(FRAMES)
)
_FRAME_OF: Final = f"CASE {_ARMS} END"
_HAS_NO_DATE: Final = frozenset(number for number, frame in enumerate(FRAMES) if frame.parse is layouts.no_date)

_COLUMNS: Final = ("stamp", "severity", "application_name", "instance", "thread", "message")


@dataclass
class _Reader:
    reading: Reading
    has_headers: bool
    zones: Zones = field(init=False)
    header: int = 0
    header_at: datetime | None = None
    header_kinds: tuple[str, ...] = ()
    doubles: int = 0
    dateless: int = 0
    said: str | None = None
    met: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.zones = Zones(self.reading.options.timezone, self.reading.ledger)
        import pyarrow as pa

        known = pa.table(
            {
                "number": pa.array(range(len(CATALOGUE)), pa.int32()),
                "kind": pa.array([entry.kind for entry in CATALOGUE], pa.string()),
                "engine": pa.array([_LIBRARY.get(id(entry)) for entry in CATALOGUE], pa.string()),
            }
        )
        con = self.reading.con
        con.execute("CREATE OR REPLACE TEMP TABLE known_message (number INTEGER, kind VARCHAR, engine VARCHAR)")
        con.from_arrow(known).insert_into("known_message")
        con.execute("CREATE OR REPLACE TEMP TABLE told_piece (kind VARCHAR, record BIGINT)")

    def read(self) -> None:
        for table in self.reading.scan("slice"):
            self._slice(table)
        ledger = self.reading.ledger
        if self.doubles:
            ledger.assume(
                f"{self.doubles} lines repeat the line before them in another layout (a logger written twice): counted once"
            )
        if self.dateless:
            ledger.assume(f"{self.dateless} lines bear a time of day but no date: when they were written is not known")

    def _slice(self, table: pa.Table) -> None:
        con, ledger = self.reading.con, self.reading.ledger
        received = "received_at" if self.reading.has_received_at else "CAST(NULL AS TIMESTAMP)"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE candidate AS
            SELECT line_no, text, {received} AS received_at
            FROM slice
            WHERE regexp_matches(text, {quoted("|".join(map(re.escape, literals())))})
            """
        )
        [(count,)] = con.execute("SELECT count(*) FROM candidate").fetchall()
        understood = unknown = 0
        if count:
            self._take_apart()
            met = set(self.met)
            self._place_in_records()
            self._time()
            if len(met - {None}) > 1:
                self._drop_doubled()
            if met & _HAS_NO_DATE:
                self._count_dateless()
            self._type()
            understood = self._store()
            unknown = self._doubtful()
        self._extent(table)
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += table.num_rows - understood - unknown

    # Headers.

    def _apart(self, source: str) -> str:
        """Return SQL that adds `frame` and the columns of the header to lines (line_no, text, received_at)."""
        con = self.reading.con
        con.execute(f"CREATE OR REPLACE TEMP TABLE framed_line AS SELECT *, {_FRAME_OF} AS frame FROM ({source})")
        self.met = met = [number for (number,) in con.execute("SELECT DISTINCT frame FROM framed_line").fetchall()]
        parts = []
        for number in met:
            if number is None:
                got = {"message": "text"}
                parts.append(f"SELECT *, {_columns(got)} FROM framed_line WHERE frame IS NULL")
            elif FRAMES[number] is JSON:
                of_frame = f"SELECT * FROM framed_line WHERE frame = {number}"
                parts.append(
                    f"SELECT * EXCLUDE (json), {_columns(json_loggers.columns())} FROM ({json_loggers.decoded(of_frame)})"
                )
            else:
                frame = FRAMES[number]
                names = ", ".join(map(quoted, frame.groups))
                got = {name: f"nullif(got.{name}, '')" for name in frame.groups}
                if "severity" not in got:
                    words = f"left(got.message, {layouts.SEVERITY_WITHIN})"
                    got["severity"] = f"nullif(regexp_extract({words}, {quoted(layouts.SEVERITY)}, 1), '')"
                if "thread" not in got:
                    words = f"left(got.message, {layouts.SEVERITY_WITHIN})"
                    got["thread"] = f"nullif(regexp_extract({words}, {quoted(layouts.THREAD)}, 1), '')"
                parts.append(
                    f"""
                    SELECT * EXCLUDE (got), {_columns(got)}
                    FROM (
                      SELECT *, regexp_extract(text, {quoted(frame.pattern)}, [{names}]) AS got
                      FROM framed_line
                      WHERE frame = {number}
                    )
                    """
                )
        empty = f"SELECT *, {_columns({})} FROM framed_line WHERE false"
        return " UNION ALL BY NAME ".join(parts or [empty])

    def _take_apart(self) -> None:
        con = self.reading.con
        apart = self._apart("SELECT line_no, text, received_at FROM candidate")
        levels = " ".join(
            f"WHEN {quoted(written)} THEN {quoted(level)}"
            for written, level in (*json_loggers.NUMERIC_LEVELS.items(), *_LETTER_LEVELS.items())
        )
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE said_line AS
            SELECT * REPLACE (
                     coalesce(message, '') AS message,
                     CASE severity {levels} ELSE upper(severity) END AS severity,
                     trim(thread) AS thread,
                     CASE WHEN regexp_full_match(application_name, '\\s*|[{{\\[].*') THEN NULL ELSE trim(application_name) END
                       AS application_name
                   )
            FROM ({apart})
            """
        )

    # Records.

    def _place_in_records(self) -> None:
        """Give each candidate the line its record begins with, and where it bears no time the header above it."""
        con = self.reading.con
        [(bare, unstamped)] = con.execute(
            "SELECT count(*) FILTER (frame IS NULL), count(*) FILTER (stamp IS NULL) FROM said_line"
        ).fetchall()
        if not unstamped:
            con.execute(
                """
                CREATE OR REPLACE TEMP TABLE placed_line AS
                SELECT *, line_no AS record, CAST(NULL AS BIGINT) AS header_no
                FROM said_line
                """
            )
            return
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE header_line AS
            SELECT line_no, regexp_matches(text, {quoted(_STAMPED)}) AS is_stamped
            FROM slice
            WHERE regexp_matches(text, {quoted(_HEADED)})
            """
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE start_line AS {self._starts() if bare else _OWN_STARTS}")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE placed_line AS
            SELECT said_line.*,
                   CASE WHEN said_line.frame IS NOT NULL THEN said_line.line_no
                        ELSE coalesce(start.line_no, {self.header}) END AS record,
                   header.line_no AS header_no
            FROM said_line
            ASOF LEFT JOIN start_line AS start ON said_line.line_no >= start.line_no
            ASOF LEFT JOIN (SELECT line_no FROM header_line WHERE is_stamped) AS header
              ON said_line.line_no >= header.line_no
            """
        )

    def _starts(self) -> str:
        """Return SQL for the lines that begin a record."""
        among = "said_line" if self.has_headers else "slice"
        prior_belongs = (
            f"regexp_matches(prior.text, {quoted(_INDENTED)}) AND NOT regexp_matches(prior.text, {quoted(_JAVA)})"
        )
        if self.has_headers:
            prior_belongs = f"({prior_belongs}) OR prior_header.line_no IS NOT NULL"
        return f"""
            WITH bare AS (
              SELECT line_no, text
              FROM {among}
              WHERE NOT regexp_matches(text, {quoted(GOES_ON)})
                AND line_no NOT IN (SELECT line_no FROM header_line)
            ),
            trace AS (
              SELECT line_no FROM slice WHERE starts_with(text, 'Traceback (most recent call last)')
            ),
            above AS (
              SELECT line.line_no, written.line_no AS prior_no
              FROM (SELECT line_no FROM bare UNION ALL SELECT line_no FROM trace) AS line
              ASOF JOIN (SELECT line_no FROM slice WHERE text <> '') AS written ON line.line_no > written.line_no
            ),
            bare_start AS (
              SELECT bare.line_no
              FROM bare
              LEFT JOIN above USING (line_no)
              LEFT JOIN slice AS prior ON prior.line_no = above.prior_no
              LEFT JOIN header_line AS prior_header ON prior_header.line_no = above.prior_no
              WHERE NOT (
                regexp_matches(bare.text, {quoted(EXCEPTION)})
                AND coalesce({prior_belongs}, false)
              )
            ),
            trace_start AS (
              SELECT trace.line_no
              FROM trace
              LEFT JOIN above USING (line_no)
              LEFT JOIN slice AS prior ON prior.line_no = above.prior_no
              LEFT JOIN header_line AS prior_header ON prior_header.line_no = above.prior_no
              WHERE prior_header.line_no IS NULL
                AND NOT coalesce(regexp_matches(prior.text, {quoted(_CHAINED)}), false)
            )
            SELECT line_no FROM header_line
            UNION
            SELECT line_no FROM bare_start
            UNION
            SELECT line_no FROM trace_start
            """

    # Times.

    def _time(self) -> None:
        """Give `timed_line` its `event_at`: its own time, else that of the header above it, else when it was received."""
        con = self.reading.con
        [(needed,)] = con.execute(
            "SELECT count(*) FROM placed_line WHERE header_no IS NOT NULL AND stamp IS NULL"
        ).fetchall()
        if needed:
            above = self._apart(
                """
                SELECT line_no, text, CAST(NULL AS TIMESTAMP) AS received_at
                FROM slice
                WHERE line_no IN (SELECT header_no FROM placed_line WHERE stamp IS NULL)
                """
            )
            con.execute(f"CREATE OR REPLACE TEMP TABLE header_above AS SELECT * EXCLUDE (text) FROM ({above})")
        else:
            con.execute("CREATE OR REPLACE TEMP TABLE header_above AS SELECT * EXCLUDE (text) FROM said_line LIMIT 0")
        self._read_stamps("SELECT stamp, frame FROM placed_line UNION SELECT stamp, frame FROM header_above")
        carried = f"TIMESTAMP {quoted(self.header_at.isoformat(' '))}" if self.header_at else "CAST(NULL AS TIMESTAMP)"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE timed_line AS
            SELECT placed.* REPLACE (
                     CASE WHEN placed.header_no = placed.record THEN coalesce(placed.thread, trim(header.thread))
                          ELSE placed.thread END AS thread,
                     CASE WHEN placed.header_no = placed.record THEN coalesce(placed.instance, header.instance)
                          ELSE placed.instance END AS instance,
                     CASE WHEN placed.header_no = placed.record THEN coalesce(placed.severity, upper(header.severity))
                          ELSE placed.severity END AS severity,
                     CASE WHEN placed.header_no = placed.record
                          THEN coalesce(placed.application_name, trim(header.application_name))
                          ELSE placed.application_name END AS application_name
                   ),
                   coalesce(
                     own.moment,
                     CASE WHEN placed.header_no = placed.record THEN above.moment END,
                     placed.received_at,
                     CASE WHEN placed.stamp IS NULL AND placed.header_no IS NOT NULL THEN above.moment END,
                     CASE WHEN placed.stamp IS NULL AND placed.header_no IS NULL THEN {carried} END
                   ) AS event_at
            FROM placed_line AS placed
            LEFT JOIN read_stamp AS own
              ON own.stamp = placed.stamp
             AND own.frame = placed.frame
            LEFT JOIN header_above AS header ON header.line_no = placed.header_no
            LEFT JOIN read_stamp AS above
              ON above.stamp = header.stamp
             AND above.frame = header.frame
            """
        )

    def _read_stamps(self, source: str) -> None:
        """Fill `read_stamp`: distinct written times and what they are in UTC."""
        con = self.reading.con
        parts = f"regexp_extract(stamp, {quoted(_ISO)}, ['date', 'clock', 'fraction', 'zone'])"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE written_stamp AS
            SELECT DISTINCT stamp, frame, {parts} AS got
            FROM ({source})
            WHERE stamp IS NOT NULL
            """
        )
        for zone, example in con.execute(
            "SELECT got.zone, min(stamp) FROM written_stamp WHERE got.date <> '' GROUP BY ALL"
        ).fetchall():
            self.zones.add(zone.strip(), example)
        moment = self.zones.moment_sql("got.date", "got.clock", "got.fraction", "trim(got.zone)")
        epoch = (
            "CASE WHEN regexp_full_match(stamp, '\\d{9,20}(\\.\\d+)?') THEN "
            + times.sql("CASE WHEN regexp_full_match(stamp, '\\d{9,20}(\\.\\d+)?') THEN stamp END")
            + " END"
        )
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE read_stamp AS
            SELECT stamp, frame, coalesce(CASE WHEN got.date <> '' THEN {moment} END, {epoch}) AS moment
            FROM written_stamp
            """
        )
        others = con.execute(
            "SELECT stamp, frame FROM read_stamp WHERE moment IS NULL AND NOT regexp_matches(stamp, '^\\d\\d:\\d\\d:\\d\\d')"
        ).fetchall()
        if others:
            import pyarrow as pa

            read = pa.table(
                {
                    "stamp": pa.array([stamp for stamp, _ in others], pa.string()),
                    "frame": pa.array([frame for _, frame in others], pa.int32()),
                    "moment": pa.array([self._moment(*other) for other in others], pa.timestamp("us")),
                }
            )
            con.execute("DELETE FROM read_stamp WHERE moment IS NULL")
            con.from_arrow(read).insert_into("read_stamp")

    def _moment(self, stamp: str, number: int) -> datetime | None:
        """Return one written time as naive UTC."""
        frame = FRAMES[number]
        if frame.parse is not None:
            moment = frame.parse(stamp, self.reading.options.timezone)
        else:
            moment = times.parse(stamp.replace(",", "."), self.reading.options.timezone)
        if moment is not None and times.is_zoneless([stamp]):
            self.reading.ledger.assume(times.zone_assumed(self.reading.options.timezone))
        return moment

    def _count_dateless(self) -> None:
        self.dateless += self.reading.count(
            f"SELECT count(*) FROM timed_line WHERE event_at IS NULL AND frame IN {tuple(_HAS_NO_DATE)}"
        )

    def _drop_doubled(self) -> None:
        """Take out lines that say what the line before them says, under another header."""
        con = self.reading.con
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE doubled_line AS
            WITH ending AS (
              SELECT line_no, frame, right(text, 48) AS words, event_at FROM timed_line WHERE frame IS NOT NULL
            )
            SELECT line_no
            FROM (
              SELECT *,
                     lag(frame) OVER (ORDER BY line_no) AS frame_before,
                     lag(words) OVER (ORDER BY line_no) AS words_before,
                     lag(event_at) OVER (ORDER BY line_no) AS event_before
              FROM ending
            )
            WHERE frame_before <> frame
              AND length(words) >= 24
              AND words = words_before
              AND abs(coalesce(epoch(event_at - event_before), 0)) < 1
            """
        )
        doubles = self.reading.count("SELECT count(*) FROM doubled_line")
        if doubles:
            self.doubles += doubles
            con.execute("DELETE FROM timed_line WHERE line_no IN (SELECT line_no FROM doubled_line)")

    # Messages.

    def _type(self) -> None:
        """Fill `typed_piece`: texts of the candidates, each with the number of the entry it fits, NULL where none."""
        con = self.reading.con
        json = FRAMES.index(JSON)
        valid = "CASE WHEN json_valid(text) THEN text ELSE '{}' END"
        keys = ", ".join(map(quoted, json_loggers.MESSAGE_KEYS))
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE piece AS
            SELECT line_no, 0 AS place, message FROM timed_line WHERE frame IS DISTINCT FROM {json}
            UNION ALL
            SELECT line_no,
                   (row_number() OVER (PARTITION BY line_no ORDER BY is_message DESC, id, part))::INTEGER AS place,
                   message
            FROM (
              SELECT line_no, node.id AS id, coalesce(node.key IN ({keys}), false) AND node.path = '$' AS is_message,
                     unnest(string_split(node.value ->> '$', chr(10))) AS message,
                     generate_subscripts(string_split(node.value ->> '$', chr(10)), 1) AS part
              FROM (SELECT line_no, {valid} AS json FROM timed_line WHERE frame = {json}) AS line,
                   json_tree(line.json::JSON) AS node
              WHERE node.type = 'VARCHAR'
            )
            UNION ALL
            SELECT line_no, 1 AS place, unnest(string_split(replace(replace(message, '\\n', chr(10)), '\\"', '"'), chr(10)))
            FROM timed_line
            WHERE frame = {json}
              AND NOT json_valid(text)
            """
        )
        self.said = self._what_is_said()
        arms = "\n".join(
            f"WHEN {_is(entry)} THEN {number}"
            for number, entry in enumerate(CATALOGUE)
            if any(map(self._may_say, entry.literals))
        )
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE typed_piece AS
            SELECT *
            FROM (SELECT *, CASE {arms or "WHEN false THEN 0"} END AS number FROM piece)
            WHERE number IS NOT NULL
            """
        )
        known = ", ".join(map(quoted, self.header_kinds)) or "''"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_piece AS
            SELECT line_no, place, number, entry.kind, record, thread, event_at, message
            FROM typed_piece
            JOIN known_message AS entry USING (number)
            JOIN (SELECT line_no, record, thread, event_at FROM timed_line) AS line USING (line_no)
            WHERE entry.kind IS NOT NULL
              AND NOT (record = {self.header} AND entry.kind IN ({known}))
            QUALIFY row_number() OVER (PARTITION BY record, entry.kind ORDER BY line_no, place) = 1
            """
        )

    def _what_is_said(self) -> str | None:
        """Return all the texts of a slice where they are few, None where they are many.

        A short file needs few of the catalogue's entries, and to plan a query with all of them takes longer than reading it.
        """
        [(texts,)] = self.reading.con.execute(
            f"""
            WITH said AS (
              SELECT message FROM piece
              UNION ALL
              SELECT text FROM timed_line WHERE frame = {FRAMES.index(JSON)}
            )
            SELECT CASE WHEN sum(length(message)) <= {FEW_CHARACTERS} THEN string_agg(message, chr(10)) END
            FROM said
            """
        ).fetchall()
        return None if texts is None else str(texts)

    def _may_say(self, literal: str) -> bool:
        return self.said is None or literal in self.said

    def _store(self) -> int:
        """Insert what the candidates tell; return how many lines did."""
        con = self.reading.con
        con.execute("CREATE OR REPLACE TEMP TABLE telling_line (line_no BIGINT)")
        numbers = [number for (number,) in con.execute("SELECT DISTINCT number FROM told_piece").fetchall()]
        if numbers:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE told_event AS {' UNION ALL BY NAME '.join(map(self._event, numbers))}"
            )
            self._drop_repeated_timeouts()
            self._note_culprits()
            server = quoted(self.reading.server)
            con.execute(
                f"""
                INSERT INTO event BY NAME
                SELECT * EXCLUDE (place, number, thread), {server} AS server
                FROM told_event
                """
            )
            con.execute("INSERT INTO telling_line SELECT line_no FROM told_event")
        self._store_numbers()
        self._store_settings()
        [(understood,)] = con.execute("SELECT count(DISTINCT line_no) FROM telling_line").fetchall()
        return int(understood)

    def _event(self, number: int) -> str:
        """Return the SELECT of the events of one entry."""
        entry = CATALOGUE[number]
        columns = {
            "reason": quoted(entry.reason), "sqlstate": quoted(entry.sqlstate), "error_code": quoted(entry.error_code),
            "severity": "line.severity", "application_name": "line.application_name",
        }  # fmt: skip
        got = "NULL AS got"
        if entry.fields:
            names = ", ".join(map(quoted, entry.fields))
            got = f"regexp_extract(message, {quoted(entry.pattern)}, [{names}]) AS got"
        for name in entry.fields:
            value = f"nullif(got.{name}, '')"
            target = "duration_ms" if name in _UNITS else name
            if name in _UNITS:
                value = f"TRY_CAST({value} AS DOUBLE) * {_UNITS[name]}"
            columns[target] = f"coalesce({value}, {columns[target]})" if target in columns else value
        shown = ", ".join(
            f"TRY_CAST({columns.get(name, 'NULL')} AS {_TYPES.get(name, 'VARCHAR')}) AS {name}"
            for name in _EVENT_FIELDS
        )
        return f"""
            SELECT {self.reading.source_id} AS source_id, piece.line_no, piece.place, piece.number, line.thread,
                   line.event_at, piece.kind, entry.engine, {shown}, line.text
            FROM (SELECT *, {got} FROM told_piece WHERE number = {number}) AS piece
            JOIN timed_line AS line ON line.line_no = piece.line_no
            JOIN known_message AS entry ON entry.number = piece.number
            """

    def _drop_repeated_timeouts(self) -> None:
        """Leave of the records that one thread wrote about one timeout the first."""
        self.reading.con.execute(
            f"""
            DELETE FROM told_event
            WHERE line_no IN (
              SELECT line_no
              FROM (
                SELECT line_no, event_at,
                       lag(event_at) OVER (PARTITION BY number, thread, detail, duration_ms ORDER BY line_no) AS told_before
                FROM told_event
                WHERE kind = 'pool_timeout'
                  AND thread IS NOT NULL
                  AND duration_ms IS NOT NULL
              )
              WHERE event_at - told_before BETWEEN INTERVAL 0 SECOND AND INTERVAL {SAME_FAILURE_S} SECOND
            )
              AND kind = 'pool_timeout'
            """
        )

    def _note_culprits(self) -> None:
        """Put the application's first frames of a suspected leak's stack into its `detail`."""
        con = self.reading.con
        [(leaks,)] = con.execute("SELECT count(*) FROM told_event WHERE kind = 'pool_leak_suspected'").fetchall()
        if not leaks:
            return
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE culprit AS
            WITH leak AS (
              SELECT DISTINCT told_event.line_no, frame FROM told_event JOIN timed_line USING (line_no)
              WHERE kind = 'pool_leak_suspected'
            ),
            near AS (
              SELECT leak.line_no AS leak_no, slice.line_no, slice.text
              FROM slice
              JOIN leak ON slice.line_no BETWEEN leak.line_no + 1 AND leak.line_no + {STACK_LINES}
              WHERE leak.frame IS DISTINCT FROM {FRAMES.index(JSON)}
                AND (regexp_matches(slice.text, '^\\s*at ') OR regexp_matches(slice.text, {quoted(_HEADED)}))
            ),
            next_header AS (
              SELECT leak_no, min(line_no) AS line_no
              FROM near
              WHERE NOT regexp_matches(text, '^\\s*at ')
              GROUP BY leak_no
            ),
            step AS (
              SELECT near.leak_no, near.line_no AS place, regexp_extract(near.text, {quoted(_FRAME)}, 1) AS code
              FROM near
              LEFT JOIN next_header USING (leak_no)
              WHERE regexp_matches(near.text, '^\\s*at ')
                AND near.line_no < coalesce(next_header.line_no, near.line_no + 1)
              UNION ALL
              SELECT line_no, place, regexp_extract(message, {quoted(_FRAME)}, 1)
              FROM piece
              JOIN leak USING (line_no)
              WHERE leak.frame = {FRAMES.index(JSON)}
            )
            SELECT leak_no,
                   coalesce(
                     array_to_string(list(code ORDER BY place) FILTER (NOT regexp_matches(code, {quoted(_FOREIGN_FRAME)}))[1:{MOST_FRAMES}], ' < '),
                     array_to_string(list(code ORDER BY place)[1:{MOST_FRAMES}], ' < ')
                   ) AS stack
            FROM step
            WHERE code <> ''
            GROUP BY leak_no
            """
        )
        con.execute(
            """
            UPDATE told_event
            SET detail = culprit.stack
            FROM culprit
            WHERE culprit.leak_no = told_event.line_no
              AND told_event.kind = 'pool_leak_suspected'
            """
        )

    def _store_numbers(self) -> None:
        con = self.reading.con
        if not any(self._may_say(numbers.has) for numbers in NUMBERS) and FRAMES.index(JSON) not in self.met:
            return
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE numbered_text AS
            SELECT line_no, place, message FROM piece
            UNION ALL
            SELECT line_no, 1000000, text FROM timed_line WHERE frame = {FRAMES.index(JSON)}
            """
        )
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE repeating_line AS
            SELECT line_no
            FROM typed_piece
            JOIN known_message USING (number)
            WHERE kind IS NOT NULL
              AND line_no NOT IN (SELECT line_no FROM telling_line)
            """
        )
        for numbers in NUMBERS:
            if not self._may_say(numbers.has):
                continue
            con.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE numbered AS
                SELECT line_no, message
                FROM numbered_text
                WHERE contains(message, {quoted(numbers.has)})
                  AND regexp_matches(message, {quoted(_bare(numbers.pattern))})
                  AND line_no NOT IN (SELECT line_no FROM repeating_line)
                QUALIFY row_number() OVER (PARTITION BY line_no ORDER BY place) = 1
                """
            )
            if self.reading.count("SELECT count(*) FROM numbered"):
                con.execute(f"INSERT INTO pool_sample BY NAME {self._sample(numbers)}")
                con.execute("INSERT INTO telling_line SELECT line_no FROM numbered")

    def _sample(self, numbers: Numbers) -> str:
        pool = "NULL"
        if numbers.names_pool:
            group = re.compile(numbers.pattern).groupindex["pool"]
            pool = f"nullif(regexp_extract(message, {quoted(numbers.pattern)}, {group}), '')"
        columns = ", ".join(
            f"TRY_CAST(nullif(regexp_extract(message, {quoted(expression)}, 1), '') AS DOUBLE) AS {name}"
            for name, expression in numbers.columns.items()
        )
        return f"""
            SELECT {self.reading.source_id} AS source_id, line_no, event_at AS sampled_at, application_name AS service,
                   instance, {pool} AS pool, {columns}
            FROM numbered
            JOIN (SELECT line_no, event_at, application_name, instance FROM timed_line) AS line USING (line_no)
            """

    def _store_settings(self) -> None:
        if not self._may_say("..."):
            return
        con = self.reading.con
        names = "|".join(hikaricp.SETTINGS)
        pattern = rf"(?:^|\s)({names})\.{{2,}}(.*)$"
        units = " ".join(f"WHEN '{name}' THEN '{unit}'" for name, unit in hikaricp.SETTING_UNITS.items())
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE set_line AS
            SELECT line_no, event_at, regexp_extract(message, {quoted(pattern)}, ['name', 'value']) AS got
            FROM piece
            JOIN (SELECT line_no, event_at FROM timed_line) AS line USING (line_no)
            WHERE contains(message, '..')
              AND regexp_matches(message, {quoted(_bare(pattern))})
            """
        )
        con.execute(
            f"""
            INSERT INTO setting BY NAME
            SELECT {self.reading.source_id} AS source_id, line_no, 'hikaricp' AS engine, got.name AS name,
                   trim(got.value, '"') AS value, CASE got.name {units} END AS unit, event_at AS valid_at
            FROM set_line
            """
        )
        con.execute("INSERT INTO telling_line SELECT line_no FROM set_line")

    def _doubtful(self) -> int:
        """Count and show the lines that look like messages about connections and were not known."""
        return self.reading.show_unknown(
            f"""(
            SELECT line_no, text
            FROM timed_line
            WHERE NOT starts_with(text, ' ')
              AND NOT starts_with(text, chr(9))
              AND regexp_matches(message, {quoted(SUSPECT)})
              AND line_no NOT IN (SELECT line_no FROM typed_piece)
              AND line_no NOT IN (SELECT line_no FROM telling_line)
            )""",
            SUSPECT,
        )

    def _extent(self, table: pa.Table) -> None:
        """Widen the source's time range by this slice's first and last header, and remember the last for the next slice."""
        first = _first_header(_numbered(table.slice(0, END_LINES)))
        last = _first_header(reversed(_numbered(table.slice(max(table.num_rows - END_LINES, 0)))))
        if first is None or last is None:
            found = self.reading.con.execute(
                f"""
                SELECT unnest([min(line_no), max(line_no)]), unnest([arg_min(text, line_no), arg_max(text, line_no)])
                FROM slice
                WHERE regexp_matches(text, {quoted(_STAMPED)})
                """
            ).fetchall()
            first = first or _first_header([found[0]] if found[0][1] is not None else [])
            last = last or _first_header([found[1]] if found[1][1] is not None else [])
        if first is None or last is None:
            return
        first_at, last_at = self._header_moment(*first[1:]), self._header_moment(*last[1:])
        last_no = last[0]
        self.reading.ledger.saw(first_at, last_at)
        kinds = tuple(
            kind
            for (kind,) in self.reading.con.execute(
                "SELECT DISTINCT kind FROM told_piece WHERE record = ?", [last_no]
            ).fetchall()
        )
        self.header_kinds = kinds if last_no != self.header else (*self.header_kinds, *kinds)
        self.header, self.header_at = last_no, last_at

    def _header_moment(self, stamp: str, number: int) -> datetime | None:
        iso = re.match(_ISO, stamp)
        if iso is None:
            return self._moment(stamp, number)
        date, clock, fraction, zone = iso.groups()
        written = f"{date.replace('/', '-').replace('.', '-')} {clock:0>8}"
        return self.zones.utc(f"{written}.{fraction[:3]:0<3}" if fraction else written, zone.strip())


def _numbered(lines: pa.Table) -> list[tuple[int, str]]:
    return list(zip(lines.column("line_no").to_pylist(), lines.column("text").to_pylist(), strict=True))


def _first_header(lines: Iterable[tuple[int, str]]) -> tuple[int, str, int] | None:
    """Return the number, the time as written and the frame's number of the first line that begins with a time."""
    for line_no, line in lines:
        number = next((number for number, frame in enumerate(FRAMES) if frame.compiled.match(line)), None)
        if number is None:
            continue
        frame = FRAMES[number]
        found = re.search(json_loggers.CUT_TIME, line) if frame is JSON else frame.compiled.match(line)
        if found is not None and (frame is JSON or "stamp" in frame.groups):
            return line_no, found[1] if frame is JSON else found["stamp"], number
    return None


_OWN_STARTS: Final = "SELECT line_no FROM header_line"


def _is(entry: Message) -> str:
    """Return SQL that tells whether `message` is this entry."""
    literals = " OR ".join(f"contains(message, {quoted(literal)})" for literal in entry.literals)
    if not entry.pattern:
        return f"({literals})"
    return f"(({literals}) AND regexp_matches(message, {quoted(_bare(entry.pattern))}))"


def _columns(values: dict[str, str]) -> str:
    return ", ".join(f"CAST({values.get(name, 'NULL')} AS VARCHAR) AS {name}" for name in _COLUMNS)
