"""What `connforensics record` leaves: samples of a live server as JSON lines, one file a stream and hour.

Obtained with `connforensics record postgres|mysql|pgbouncer|proxysql TARGET -o DIR`; hand in DIR as it is, also while it
grows. The first line of a sample says what it is, when it was taken (by the server's clock where it has one) and how
many rows follow; each row is one line, as the server gave it. A sample that lacks rows was cut off and is left out. A
file that was handed in before and has grown since brings only what is new.

Streams of PostgreSQL: activity, locks, counters, settings, roles, databases, role_settings; of MySQL and MariaDB:
processlist, transactions, row_locks, metadata_locks, status, variables, users; of PgBouncer: pools, clients, servers,
stats, databases, config; of ProxySQL: connection_pool, processlist, users, globals, variables, servers; of the recorder
itself: events, refusals.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
https://dev.mysql.com/doc/refman/8.4/en/performance-schema-processlist-table.html
https://www.pgbouncer.org/usage.html#admin-console
https://proxysql.com/documentation/stats-statistics/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, consoles, pgbouncer_show, tables
from connforensics.evidence.consoles import View
from connforensics.evidence.mysql_processlist import OWN_THREADS, OWN_USERS, REPLICAS
from connforensics.evidence.shapes import longs
from connforensics.schema import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK: Final = '{"connforensics":'
"""How the first line of a sample begins."""

OPENS: Final = f"(starts_with(text, '{MARK}') OR (text <> '' AND starts_with('{MARK}', text)))"
"""Whether a line opens a sample; one that is torn right there belongs to no sample before it."""

LAYOUT: Final = 1
"""The newest layout of the lines that is understood."""

WAITS_FOR_LOCK: Final = "(?i)^(waiting for (.* )?lock|locked|table lock|user lock|waiting for tables?( flush)?)$"
"""States of a MySQL session that waits for a lock
(https://dev.mysql.com/doc/refman/8.4/en/general-thread-states.html)."""

LONGEST_S: Final = 315_360_000
"""Ten years: a time in a state above it is a wrapped counter of a thread that never had one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows of a stream become: the table, which fields are looked at, and SQL over them.

    In `select`, `f` is a struct of the fields as text, beside `line_no`, `sampled_at`, `engine`, `server` and `own`.
    """

    table: str
    fields: tuple[str, ...]
    select: str


KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "backend_sample": ("sampled_at", "server", "engine", "backend_type"),
    "pool_sample": ("sampled_at", "service", "instance", "pool"),
    "metric_sample": ("sampled_at", "server", "name", "labels"),
    "setting": ("valid_at", "server", "engine", "name"),
}
"""What tells whether an earlier recording holds a row already, the time first; events are compared by the loader."""


_TIMES: Final = ("backend_start", "xact_start", "query_start", "state_change")

ACTIVITY: Final = Rows(
    "backend_sample",
    ("pid", "usename", "datname", "application_name", "client_addr", "client_port", "backend_type", *_TIMES, "state",
     "wait_event_type", "wait_event", "blocked_by", "query_id", "query"),
    """
    line_no, sampled_at, server, engine,
    TRY_CAST(f.pid AS BIGINT) AS backend_id,
    f.usename AS user_name,
    f.datname AS database_name,
    CASE WHEN TRY_CAST(f.pid AS BIGINT) = own THEN 'connforensics' ELSE nullif(f.application_name, '') END AS application_name,
    CASE WHEN f.client_port = '-1' THEN '[local]' ELSE regexp_replace(f.client_addr, '/(32|128)$', '') END AS client_host,
    CASE WHEN TRY_CAST(f.client_port AS INTEGER) >= 0 THEN TRY_CAST(f.client_port AS INTEGER) END AS client_port,
    f.backend_type AS backend_type,
    TRY_CAST(f.backend_start AS TIMESTAMP) AS backend_start_at,
    TRY_CAST(f.xact_start AS TIMESTAMP) AS xact_start_at,
    TRY_CAST(f.query_start AS TIMESTAMP) AS query_start_at,
    TRY_CAST(f.state_change AS TIMESTAMP) AS state_change_at,
    f.state AS state,
    f.wait_event_type AS wait_event_type,
    f.wait_event AS wait_event,
    nullif(f.blocked_by, '') AS blocked_by,
    f.query_id AS query_id,
    nullif(f.query, '') AS query
    FROM row
    """,
)  # fmt: skip

PROCESSLIST: Final = Rows(
    "backend_sample",
    ("id", "user", "host", "db", "command", "since", "time", "time_ms", "state", "info", "query_id", "trx_since",
     "trx_age_s", "blocked_by"),
    f"""
    line_no, sampled_at, server, engine,
    TRY_CAST(f.id AS BIGINT) AS backend_id,
    f.user AS user_name,
    f.db AS database_name,
    CASE WHEN TRY_CAST(f.id AS BIGINT) = own THEN 'connforensics' END AS application_name,
    CASE
      WHEN f.host = 'localhost' THEN '[local]'
      ELSE nullif(nullif(regexp_replace(f.host, ':[0-9]+$', ''), ''), 'connecting host')
    END AS client_host,
    TRY_CAST(nullif(regexp_extract(f.host, ':([0-9]+)$', 1), '') AS INTEGER) AS client_port,
    CASE
      WHEN f.command IN {REPLICAS} THEN 'walsender'
      WHEN f.command IN {OWN_THREADS} OR lower(f.user) IN {OWN_USERS} THEN 'background worker'
      ELSE 'client backend'
    END AS backend_type,
    CASE
      WHEN TRY_CAST(f.trx_since AS TIMESTAMP) IS NOT NULL THEN least(TRY_CAST(f.trx_since AS TIMESTAMP), sampled_at)
      ELSE sampled_at - to_microseconds(CAST(TRY_CAST(f.trx_age_s AS DOUBLE) * 1000000 AS BIGINT))
    END AS xact_start_at,
    state_at AS state_change_at,
    CASE
      WHEN f.command NOT IN ('Sleep', 'Connect') AND f.command NOT IN {REPLICAS} AND f.command NOT IN {OWN_THREADS}
      THEN state_at
    END AS query_start_at,
    CASE WHEN f.user = 'unauthenticated user' THEN state_at END AS backend_start_at,
    CASE
      WHEN f.command IS NULL THEN NULL
      WHEN f.command <> 'Sleep' THEN 'active'
      WHEN f.trx_since IS NOT NULL OR f.trx_age_s IS NOT NULL THEN 'idle in transaction'
      ELSE 'idle'
    END AS state,
    f.command AS command,
    nullif(f.state, '') AS wait_event,
    CASE WHEN f.blocked_by <> '' OR regexp_matches(f.state, '{WAITS_FOR_LOCK}') THEN 'Lock' END AS wait_event_type,
    nullif(f.blocked_by, '') AS blocked_by,
    nullif(f.query_id, '0') AS query_id,
    nullif(f.info, '') AS query
    FROM (
      SELECT
        *,
        CASE
          WHEN TRY_CAST(f.since AS TIMESTAMP) IS NOT NULL THEN least(TRY_CAST(f.since AS TIMESTAMP), sampled_at)
          WHEN TRY_CAST(f.time_ms AS DOUBLE) BETWEEN 0 AND {LONGEST_S}000
          THEN sampled_at - to_microseconds(CAST(TRY_CAST(f.time_ms AS DOUBLE) * 1000 AS BIGINT))
          WHEN TRY_CAST(f.time AS DOUBLE) BETWEEN 0 AND {LONGEST_S}
          THEN sampled_at - to_microseconds(CAST(TRY_CAST(f.time AS DOUBLE) * 1000000 AS BIGINT))
        END AS state_at
      FROM row
    )
    """,
)  # fmt: skip

SETTINGS: Final = Rows(
    "setting",
    ("name", "setting", "unit"),
    "line_no, server, engine, f.name AS name, f.setting AS value, nullif(f.unit, '') AS unit, sampled_at AS valid_at FROM row",
)

VARIABLES: Final = Rows(
    "setting",
    ("variable_name", "variable_value", "value"),
    """
    line_no, server, engine, lower(f.variable_name) AS name, coalesce(f.variable_value, f.value) AS value,
    sampled_at AS valid_at
    FROM row
    """,
)


def _quota(name: str, whose: Sequence[str], kind: str, called: str, where: str) -> Rows:
    """Return rows that become a setting `kind.OWNER.called`; the value is the field `name`."""
    owner = " || '@' || ".join(f"coalesce(f.\"{part}\", '')" for part in whose)
    return Rows(
        "setting",
        (*whose, name),
        f"""
        line_no, server, engine, '{kind}.' || {owner} || '.{called}' AS name, f."{name}" AS value, sampled_at AS valid_at
        FROM row WHERE TRY_CAST(f."{name}" AS BIGINT) {where}
        """,
    )


DATABASE_COUNTERS: Final = (
    "numbackends", "xact_commit", "xact_rollback", "deadlocks", "session_time", "active_time",
    "idle_in_transaction_time", "sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed",
)  # fmt: skip
"""Of pg_stat_database, what is about sessions; under the names of Prometheus' postgres_exporter."""

_COUNTED: Final = ", ".join(
    f"{{name: 'pg_stat_database_{name}', value: TRY_CAST(f.{name} AS DOUBLE)}}" for name in DATABASE_COUNTERS
)

COUNTERS: Final = Rows(
    "metric_sample",
    ("datname", *DATABASE_COUNTERS),
    f"""
    line_no, sampled_at, server, told.name AS name, MAP {{'datname': coalesce(f.datname, '')}} AS labels, told.value AS value
    FROM (SELECT *, unnest([{_COUNTED}]) AS told FROM row)
    WHERE told.value IS NOT NULL
    """,
)

STATUS_ERRORS: Final = "connection_errors_"

CONNECTION_POOL: Final = Rows(
    "pool_sample",
    ("hostgroup", "srv_host", "srv_port", "ConnUsed", "ConnFree", "max_connections"),
    """
    line_no, sampled_at, 'proxysql' AS service, server AS instance,
    f.hostgroup || '/' || f.srv_host || ':' || coalesce(f.srv_port, '') AS pool,
    TRY_CAST(f.max_connections AS DOUBLE) AS max_size,
    TRY_CAST(f.ConnUsed AS DOUBLE) + TRY_CAST(f.ConnFree AS DOUBLE) AS size,
    TRY_CAST(f.ConnUsed AS DOUBLE) AS checked_out,
    TRY_CAST(f.ConnFree AS DOUBLE) AS idle
    FROM row
    """,
)

HAPPENINGS: Final = Rows(
    "event",
    ("event_at", "what", "reason", "code", "says"),
    """
    line_no,
    coalesce(TRY_CAST(f.event_at AS TIMESTAMP), sampled_at) AS event_at,
    server,
    CASE WHEN f.what IN ('server_started', 'server_changed', 'promoted') THEN engine ELSE 'connforensics' END AS engine,
    CASE
      WHEN f.what = 'server_started' THEN 'server_starting'
      WHEN f.what IN ('server_changed', 'promoted') THEN 'server_ready'
      WHEN f.what = 'triggered' THEN 'annotation'
      WHEN f.reason IN ('refused_full', 'refused_reserved', 'refused_quota') THEN 'client_refused'
      ELSE 'client_error'
    END AS kind,
    f.reason AS reason,
    CASE WHEN engine IN ('postgres', 'pgbouncer') THEN f.code END AS sqlstate,
    CASE WHEN engine NOT IN ('postgres', 'pgbouncer') THEN f.code END AS error_code,
    CASE WHEN f.what NOT IN ('server_started', 'server_changed', 'promoted', 'triggered') THEN 'connforensics' END AS application_name,
    f.says AS detail,
    f.what || ': ' || f.says AS text
    FROM row WHERE f.what IN ('refused', 'unreachable', 'lost', 'server_started', 'server_changed', 'promoted', 'triggered')
    """,
)

STREAMS: Final[Mapping[tuple[str, str], tuple[Rows, ...]]] = {
    ("postgres", "activity"): (ACTIVITY,),
    ("postgres", "settings"): (SETTINGS,),
    ("postgres", "roles"): (_quota("rolconnlimit", ("rolname",), "role", "connection_limit", ">= 0"),),
    ("postgres", "databases"): (_quota("datconnlimit", ("datname",), "database", "connection_limit", ">= 0"),),
    ("postgres", "role_settings"): (
        Rows(
            "setting",
            ("datname", "rolname", "setconfig"),
            """
            line_no, server, engine,
            coalesce('role.' || f.rolname || '.', '') || coalesce('database.' || f.datname || '.', '')
              || split_part(told, '=', 1) AS name,
            regexp_replace(told, '^[^=]*=', '') AS value, sampled_at AS valid_at
            FROM (SELECT *, unnest(from_json(f.setconfig, '["VARCHAR"]')) AS told FROM row WHERE json_valid(f.setconfig))
            """,
        ),
    ),
    ("postgres", "counters"): (COUNTERS,),
    ("postgres", "locks"): (),
    ("mysql", "processlist"): (PROCESSLIST,),
    ("mysql", "transactions"): (),
    ("mysql", "row_locks"): (),
    ("mysql", "metadata_locks"): (),
    ("mysql", "variables"): (VARIABLES,),
    ("mysql", "users"): (_quota("max_user_connections", ("user", "host"), "user", "max_user_connections", "> 0"),),
    ("mysql", "status"): (
        Rows(
            "metric_sample",
            ("variable_name", "variable_value", "value"),
            f"""
            line_no, sampled_at, server,
            'mysql_global_status_' || CASE WHEN starts_with(told, '{STATUS_ERRORS}') THEN '{STATUS_ERRORS}total' ELSE told END AS name,
            CASE WHEN starts_with(told, '{STATUS_ERRORS}') THEN MAP {{'error': substr(told, {len(STATUS_ERRORS) + 1})}}
                 ELSE MAP {{}} END AS labels,
            TRY_CAST(coalesce(f.variable_value, f.value) AS DOUBLE) AS value
            FROM (SELECT *, lower(f.variable_name) AS told FROM row)
            WHERE TRY_CAST(coalesce(f.variable_value, f.value) AS DOUBLE) IS NOT NULL
            """,
        ),
    ),
    ("proxysql", "connection_pool"): (CONNECTION_POOL,),
    ("proxysql", "variables"): (VARIABLES,),
    ("proxysql", "processlist"): (),
    ("proxysql", "users"): (),
    ("proxysql", "servers"): (),
    ("proxysql", "globals"): (
        Rows(
            "metric_sample",
            ("Variable_Name", "Variable_Value"),
            """
            line_no, sampled_at, server, 'proxysql_' || lower(f.Variable_Name) AS name, MAP {} AS labels,
            TRY_CAST(f.Variable_Value AS DOUBLE) AS value
            FROM row WHERE TRY_CAST(f.Variable_Value AS DOUBLE) IS NOT NULL
            """,
        ),
    ),
}
"""What the rows of each engine's streams become; MariaDB's are MySQL's. What becomes nothing is there for people."""

CONSOLES: Final[Mapping[str, Sequence[View]]] = {"pgbouncer": pgbouncer_show.VIEWS}
"""Poolers whose streams are the tables of their consoles."""

OWN_STREAMS: Final = ("events", "refusals")


@dataclass(slots=True)
class Taken:
    """The first line of one sample. `is_kept` is false where it cannot be read, or its rows are not all there."""

    line_no: int
    stream: str = ""
    engine: str = ""
    version: str | None = None
    server: str | None = None
    sampled_at: datetime | None = None
    own: int | None = None
    rows: int = 0
    is_kept: bool = False

    @property
    def family(self) -> tuple[str, str]:
        """Engine as STREAMS has it, and stream."""
        return ("mysql" if self.engine == "mariadb" else self.engine, self.stream)


def certainty(head: Head) -> float:
    """Return 1 where the first line opens a sample."""
    return 1.0 if head.lines and _opened(1, head.lines[0]).sampled_at is not None else 0.0


def _opened(line_no: int, text: str) -> Taken:
    """Return what the first line of a sample says; one that says nothing where it is broken or of a newer layout."""
    try:
        told = json.loads(text)
        if not isinstance(told, dict) or not 1 <= int(told["connforensics"]) <= LAYOUT:
            return Taken(line_no)
        own, version, server = told.get("own"), told.get("version"), told.get("server")
        return Taken(
            line_no,
            str(told["stream"]),
            str(told["engine"]),
            None if version is None else str(version),
            None if server is None else str(server),
            datetime.fromisoformat(str(told["sampled_at"]).removesuffix("Z")).replace(tzinfo=None),
            own if isinstance(own, int) and abs(own) < 1 << 62 else None,
            int(told["rows"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return Taken(line_no)


def read(reading: Reading) -> None:
    """Store the rows of every whole sample; events of the recorder's own life become events of the case."""
    last: Taken | None = None
    torn: list[tuple[Taken, int]] = []
    broken = 0
    for table in reading.scan("slice"):
        first_line = table["line_no"][0].as_py()
        end = first_line + table.num_rows
        opened = [
            _opened(line_no, text)
            for line_no, text in reading.con.execute(
                f"SELECT line_no, text FROM slice WHERE {OPENS} ORDER BY line_no"
            ).fetchall()
        ]
        if last is not None:
            opened.insert(0, last)
        stray = (opened[0].line_no if opened else end) - first_line
        if stray > 0:
            reading.ledger.unknown += stray
            reading.ledger.example(first_line, table["text"][0].as_py())
        if not opened:
            continue
        for taken, following in zip(opened, [*opened[1:], None], strict=True):
            is_last = following is None
            found = (end if following is None else following.line_no) - taken.line_no - 1
            taken.is_kept = taken.sampled_at is not None and (found == taken.rows or (is_last and found < taken.rows))
            if found != taken.rows and taken.sampled_at is not None and not is_last:
                torn.append((taken, found))
        _account(reading, opened, first_line)
        numbers = np.searchsorted([taken.line_no for taken in opened], np.arange(first_line, end), side="right") - 1
        reading.show("recorded_line", table.append_column("number", longs(numbers)))
        broken = _store(reading, opened)
        last = opened[-1]
    reading.hide("recorded_line")
    _finish(reading, last, torn, broken)


def _account(reading: Reading, opened: Sequence[Taken], first_line: int) -> None:
    ledger = reading.ledger
    for taken in opened:
        if taken.line_no < first_line:
            continue
        if taken.sampled_at is None:
            ledger.unknown += 1
            continue
        ledger.ignored += 1
        ledger.saw(taken.sampled_at, taken.sampled_at)
        reading.engine = taken.engine
        reading.version = taken.version or reading.version
        reading.server = reading.options.server or taken.server


def _store(reading: Reading, opened: Sequence[Taken]) -> int:
    """Store what the rows of a slice become, and account for them; returns the last line that is no row, or 0."""
    con, ledger = reading.con, reading.ledger
    reading.show("taken", _taken_table(reading, opened))
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE placed AS
        SELECT recorded_line.line_no, recorded_line.text, json_valid(recorded_line.text) AS is_json, taken.* EXCLUDE (number)
        FROM recorded_line
        JOIN taken USING (number)
        WHERE NOT {OPENS}
        """
    )
    reading.hide("taken")
    counts = con.execute(
        "SELECT family, count(*) FILTER (WHERE is_kept AND is_json), count(*) FROM placed GROUP BY family"
    ).fetchall()
    for family, whole, lines in counts:
        engine, _, stream = family.partition(" ")
        ways = (HAPPENINGS,) if stream in OWN_STREAMS else STREAMS.get((engine, stream))
        if ways is None and engine not in CONSOLES:
            ledger.unknown += lines
            continue
        understood = _insert_console(reading, engine, family) if ways is None else _insert_rows(reading, ways, family)
        ledger.understood += understood
        ledger.ignored += whole - understood
        ledger.unknown += lines - whole
    unread = con.execute(
        "SELECT line_no, text FROM placed WHERE NOT (is_kept AND is_json) ORDER BY line_no LIMIT 20"
    ).fetchall()
    for line_no, text in unread:
        ledger.example(line_no, text)
    broken = con.execute("SELECT coalesce(max(line_no), 0) FROM placed WHERE NOT is_json").fetchall()[0][0]
    con.execute("DROP TABLE placed")
    return int(broken)


def _taken_table(reading: Reading, opened: Sequence[Taken]) -> pa.Table:
    server = reading.options.server
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "number": (pa.int64(), list(range(len(opened)))),
        "family": (pa.string(), [" ".join(taken.family) for taken in opened]),
        "engine": (pa.string(), [taken.engine for taken in opened]),
        "server": (pa.string(), [server or taken.server for taken in opened]),
        "sampled_at": (pa.timestamp("us"), [taken.sampled_at for taken in opened]),
        "own": (pa.int64(), [taken.own for taken in opened]),
        "is_kept": (pa.bool_(), [taken.is_kept for taken in opened]),
    }
    return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})


def _insert_rows(reading: Reading, ways: Sequence[Rows], family: str) -> int:
    """Store what the rows of one stream become; returns of how many lines there is something now."""
    lines = 0
    for rows in ways:
        paths = ", ".join(f"'$.\"{field}\"'" for field in rows.fields)
        packed = ", ".join(f'"{field}": got[{index}]' for index, field in enumerate(rows.fields, 1))
        reading.con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE fresh AS
            WITH row AS (
              SELECT * EXCLUDE (got), {{{packed}}} AS f
              FROM (
                SELECT * EXCLUDE (text, is_kept, is_json, family),
                       CASE WHEN is_json THEN json_extract_string(text, [{paths}]) END AS got
                FROM placed
                WHERE family = ? AND is_kept AND is_json
              )
            )
            SELECT {rows.select}
            """,
            [family],
        )
        lines = max(lines, _keep(reading, rows.table))
    return lines


def _insert_console(reading: Reading, engine: str, family: str) -> int:
    """Store what a table of a pooler's console becomes; returns of how many lines there is something now."""
    con = reading.con
    # The console is a database of its own, and who looks at it is the recorder.
    good = "family = ? AND is_kept AND is_json AND json_extract_string(text, '$.database') IS DISTINCT FROM 'pgbouncer'"
    written = [
        name
        for (name,) in con.execute(
            f"SELECT DISTINCT unnest(json_keys(text)) FROM (SELECT text FROM placed WHERE {good} LIMIT 1)", [family]
        ).fetchall()
    ]
    names = [tables.normal(name) for name in written]
    view = consoles.view_of(CONSOLES[engine], names)
    if view is None:
        return 0
    paths = ", ".join("'$.\"" + name.replace('"', "").replace("'", "''") + "\"'" for name in written)
    cells = ", ".join(f"got[{index + 1}] AS c{index}" for index in range(len(names)))
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE frame AS
        SELECT line_no, sampled_at, server, {cells}
        FROM (SELECT *, json_extract_string(text, [{paths}]) AS got FROM placed WHERE {good})
        """,
        [family],
    )
    touched: set[int] = set()
    for table, selects in view.rows(names).items():
        for select in selects:
            con.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS {select}")
            touched.update(number for (number,) in con.execute("SELECT DISTINCT line_no FROM fresh").fetchall())
            _keep(reading, table)
    con.execute("DROP TABLE frame")
    return len(touched)


def _keep(reading: Reading, table: str) -> int:
    """Move `fresh` into a table but for the rows that an earlier recording holds; returns of how many lines it was."""
    con = reading.con
    columns = {name for name, *_ in con.execute("DESCRIBE fresh").fetchall()}
    engine = ", ? AS engine" if "engine" in BY_NAME[table].column_names and "engine" not in columns else ""
    moment, *keys = KEYS.get(table, ("event_at",))
    told = [key for key in keys if key in columns]
    same = "".join(f" AND held.{key} IS NOT DISTINCT FROM fresh.{key}" for key in told)
    is_new = (
        f"NOT EXISTS (SELECT 1 FROM earlier AS held WHERE held.{moment} = fresh.{moment}{same})" if told else "true"
    )
    con.execute(
        f"""
        INSERT INTO {table} BY NAME
        WITH earlier AS (
          SELECT * FROM {table}
          WHERE {moment} BETWEEN (SELECT min({moment}) FROM fresh) AND (SELECT max({moment}) FROM fresh)
            AND source_id IN (SELECT source_id FROM source WHERE format = 'recording')
        )
        SELECT ? AS source_id{engine}, fresh.* FROM fresh WHERE {is_new}
        """,
        [reading.source_id, reading.engine] if engine else [reading.source_id],
    )
    lines = con.execute("SELECT count(DISTINCT line_no) FROM fresh").fetchall()[0][0]
    con.execute("DROP TABLE fresh")
    return int(lines)


def _finish(reading: Reading, last: Taken | None, torn: list[tuple[Taken, int]], broken: int) -> None:
    """Take back the last sample where its rows are not all there, and say what was left out."""
    ledger = reading.ledger
    if last is None:
        return
    found = ledger.lines - last.line_no
    if last.sampled_at is not None and last.is_kept and (found != last.rows or broken > last.line_no):
        torn.append((last, found))
        taken_back = 0
        for table in FORMAT.tables:
            where = "source_id = ? AND line_no > ?"
            given = [reading.source_id, last.line_no]
            lines = reading.con.execute(f"SELECT count(DISTINCT line_no) FROM {table} WHERE {where}", given).fetchall()
            taken_back = max(taken_back, lines[0][0])
            reading.con.execute(f"DELETE FROM {table} WHERE {where}", given)
        ledger.understood -= taken_back
        ledger.ignored += taken_back
    if torn:
        taken, found = torn[-1]
        ledger.assume(
            f"{len(torn)} samples are not whole and left out; the last of them, in line {taken.line_no}, has {found} of {taken.rows} rows"
        )


def _sample(stream: str, engine: str, moment: str, rows: Sequence[Mapping[str, object]], **more: object) -> str:
    head = {
        "connforensics": 1, "stream": stream, "engine": engine, "version": "16.4", "server": None,
        "sampled_at": f"2026-11-21T{moment}Z", "clock": "server", "recorded_at": f"2026-11-21T{moment}Z", "late_ms": 0.2,
        "took_ms": 3.1, "own": None, "rows": len(rows), **more,
    }  # fmt: skip
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in (head, *rows))


def _backend(pid: int, **more: object) -> dict[str, object]:
    return {
        "datid": 5, "datname": "shop", "pid": pid, "leader_pid": None, "usename": "app", "application_name": "orders",
        "client_addr": "10.0.0.5", "client_hostname": None, "client_port": 40001,
        "backend_start": "2026-11-21 02:00:00+00", "xact_start": None, "query_start": "2026-11-21 03:11:50+00",
        "state_change": "2026-11-21 03:11:50.5+00", "wait_event_type": "Client", "wait_event": "ClientRead",
        "state": "idle", "query_id": None, "query": "SELECT ?", "backend_type": "client backend", "blocked_by": None,
        **more,
    }  # fmt: skip


def _thread(number: int, **more: object) -> dict[str, object]:
    return {
        "id": number, "user": "app", "host": "10.0.0.5:40001", "db": "shop", "command": "Sleep", "time": 9, "state": "",
        "info": None, "time_ms": 9500.5, "trx_age_s": None, "blocked_by": None, **more,
    }  # fmt: skip


_HOLDER = _backend(7, application_name="", client_addr=None, client_port=-1, state="idle in transaction",
                   xact_start="2026-11-21 03:00:00+00")  # fmt: skip
_OWN = _backend(9, application_name="connforensics", usename="monitor")

FORMAT: Final = Format(
    name="recording",
    engine=None,
    tables=("backend_sample", "setting", "metric_sample", "pool_sample", "event"),
    certainty=certainty,
    is_signed=True,
    read=read,
    samples=(
        Sample(
            _sample("activity", "postgres", "03:12:00.100000", [_HOLDER, _backend(8, blocked_by="7,9"), _OWN], own=9)
            + _sample("activity", "postgres", "03:12:01.100000", [_HOLDER], server="primary"),
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00.100000", "engine": "postgres", "backend_id": 7,
                     "server": None, "application_name": None, "client_host": "[local]", "client_port": None,
                     "state": "idle in transaction", "xact_start_at": "2026-11-21T03:00:00", "query": "SELECT ?",
                     "state_change_at": "2026-11-21T03:11:50.500000", "backend_start_at": "2026-11-21T02:00:00"},
                    {"line_no": 3, "backend_id": 8, "user_name": "app", "database_name": "shop", "client_port": 40001,
                     "application_name": "orders", "client_host": "10.0.0.5", "blocked_by": "7,9",
                     "wait_event_type": "Client", "wait_event": "ClientRead", "backend_type": "client backend"},
                    {"line_no": 4, "backend_id": 9, "application_name": "connforensics", "user_name": "monitor"},
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:01.100000", "server": "primary", "backend_id": 7},
                )
            },
            name="activity.jsonl",
        ),
        Sample(
            _sample("processlist", "mariadb", "03:12:00", [
                _thread(5, trx_age_s=2.25),
                _thread(6, command="Query", state="Updating", info="UPDATE t SET a = ?", time=3, time_ms=None,
                        blocked_by="5", host="localhost"),
                _thread(1, user="system user", command="Daemon", host="", time=None, time_ms=None),
                _thread(4, command="Query"),
                _thread(7, time=None, time_ms=None, since="2026-11-21 03:11:50.500000", trx_since="2026-11-21 03:11:49"),
                _thread(8, time=None, time_ms=None, since="2026-11-21 03:12:00.003", command="Query"),
            ], own=4),
            {
                "backend_sample": (
                    {"line_no": 2, "engine": "mariadb", "backend_id": 5, "state": "idle in transaction",
                     "command": "Sleep", "client_host": "10.0.0.5", "client_port": 40001, "wait_event": None,
                     "xact_start_at": "2026-11-21T03:11:57.750000", "state_change_at": "2026-11-21T03:11:50.499500",
                     "backend_type": "client backend", "application_name": None},
                    {"line_no": 3, "backend_id": 6, "state": "active", "wait_event": "Updating", "blocked_by": "5",
                     "wait_event_type": "Lock", "client_host": "[local]", "client_port": None,
                     "state_change_at": "2026-11-21T03:11:57", "query": "UPDATE t SET a = ?"},
                    {"line_no": 4, "backend_id": 1, "backend_type": "background worker", "client_host": None,
                     "state_change_at": None},
                    {"line_no": 5, "backend_id": 4, "application_name": "connforensics"},
                    {"line_no": 6, "backend_id": 7, "state": "idle in transaction",
                     "state_change_at": "2026-11-21T03:11:50.500000", "xact_start_at": "2026-11-21T03:11:49"},
                    {"line_no": 7, "backend_id": 8, "state": "active", "state_change_at": "2026-11-21T03:12:00",
                     "query_start_at": "2026-11-21T03:12:00"},
                )
            },
            name="processlist.jsonl",
        ),
        Sample(
            _sample("settings", "postgres", "03:12:00", [
                {"name": "max_connections", "setting": "100", "unit": None}, {"name": "work_mem", "setting": "4096", "unit": "kB"},
            ])
            + _sample("roles", "postgres", "03:12:00", [
                {"rolname": "app", "rolsuper": False, "rolconnlimit": 20}, {"rolname": "root", "rolsuper": True, "rolconnlimit": -1},
            ])
            + _sample("role_settings", "postgres", "03:12:00", [
                {"datname": None, "rolname": "app", "setconfig": ["statement_timeout=5s", "work_mem=64MB"]},
            ])
            + _sample("users", "mysql", "03:12:00", [{"user": "app", "host": "%", "max_user_connections": 5}]),
            {
                "setting": (
                    {"line_no": 2, "name": "max_connections", "value": "100", "unit": None, "valid_at": "2026-11-21T03:12:00",
                     "engine": "postgres"},
                    {"line_no": 3, "name": "work_mem", "value": "4096", "unit": "kB"},
                    {"line_no": 5, "name": "role.app.connection_limit", "value": "20"},
                    {"line_no": 8, "name": "role.app.statement_timeout", "value": "5s"},
                    {"line_no": 8, "name": "role.app.work_mem", "value": "64MB"},
                    {"line_no": 10, "name": "user.app@%.max_user_connections", "value": "5", "engine": "mysql"},
                )
            },
            name="limits.jsonl",
        ),
        Sample(
            _sample("pools", "pgbouncer", "03:12:00", [
                {"database": "pgbouncer", "user": "pgbouncer", "cl_active": 1, "cl_waiting": 0, "sv_active": 0, "pool_size": 2},
                {"database": "shop", "user": "app", "cl_active": 4, "cl_waiting": 3, "sv_active": 2, "sv_idle": 0, "sv_used": 1,
                 "sv_tested": 0, "sv_login": 0, "maxwait": 1, "maxwait_us": 315615, "pool_size": 3},
            ], clock="recorder", server="bouncer")
            + _sample("counters", "postgres", "03:12:10", [{"datname": "shop", "numbackends": 3, "sessions_fatal": None}])
            + _sample("status", "mysql", "03:12:10", [
                {"variable_name": "Threads_connected", "variable_value": "7"},
                {"variable_name": "Connection_errors_max_connections", "variable_value": "2"},
                {"variable_name": "Ssl_cipher", "variable_value": ""},
            ]),
            {
                "pool_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "service": "pgbouncer", "instance": "bouncer",
                     "pool": "shop/app", "max_size": 3.0, "size": 3.0, "checked_out": 2.0, "idle": 1.0, "waiting": 3.0,
                     "acquire_ms": 1315.615},
                ),
                "metric_sample": (
                    {"line_no": 3, "name": "pgbouncer_pools_client_active_connections", "value": 4.0,
                     "labels": {"database": "shop", "user": "app"}},
                    {"line_no": 3, "name": "pgbouncer_pools_client_maxwait_seconds", "value": 1.0},
                    {"line_no": 3, "name": "pgbouncer_pools_client_waiting_connections", "value": 3.0},
                    {"line_no": 3, "name": "pgbouncer_pools_server_active_connections", "value": 2.0},
                    {"line_no": 3, "name": "pgbouncer_pools_server_idle_connections", "value": 0.0},
                    {"line_no": 3, "name": "pgbouncer_pools_server_login_connections", "value": 0.0},
                    {"line_no": 3, "name": "pgbouncer_pools_server_testing_connections", "value": 0.0},
                    {"line_no": 3, "name": "pgbouncer_pools_server_used_connections", "value": 1.0},
                    {"line_no": 5, "name": "pg_stat_database_numbackends", "value": 3.0, "labels": {"datname": "shop"}},
                    {"line_no": 7, "name": "mysql_global_status_threads_connected", "value": 7.0, "labels": {}},
                    {"line_no": 8, "name": "mysql_global_status_connection_errors_total", "value": 2.0,
                     "labels": {"error": "max_connections"}},
                ),
            },
            name="pools.jsonl",
        ),
        Sample(
            _sample("refusals", "postgres", "03:12:00", [
                {"event_at": "2026-11-21T03:12:00.5Z", "what": "refused", "reason": "refused_full", "code": "53300",
                 "says": "FATAL:  sorry, too many clients already"},
            ], clock="recorder")
            + _sample("events", "postgres", "03:12:30", [
                {"event_at": "2026-11-21T03:12:29Z", "what": "server_started", "reason": None, "code": None, "says": "started"},
            ])
            + _sample("events", "postgres", "03:12:31", [
                {"event_at": "2026-11-21T03:12:31Z", "what": "connected", "reason": None, "code": None, "says": "connected"},
            ])
            + _sample("events", "postgres", "03:12:32", [
                {"event_at": "2026-11-21T03:12:32Z", "what": "promoted", "reason": None, "code": None, "says": "promoted"},
                {"event_at": "2026-11-21T03:12:33Z", "what": "server_changed", "reason": None, "code": None, "says": "another"},
            ]),
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00.500000", "kind": "client_refused", "reason": "refused_full",
                     "sqlstate": "53300", "engine": "connforensics", "application_name": "connforensics"},
                    {"line_no": 4, "event_at": "2026-11-21T03:12:29", "kind": "server_starting", "engine": "postgres"},
                    {"line_no": 8, "event_at": "2026-11-21T03:12:32", "kind": "server_ready", "engine": "postgres"},
                    {"line_no": 9, "event_at": "2026-11-21T03:12:33", "kind": "server_ready", "text": "server_changed: another"},
                )
            },
            name="events.jsonl",
        ),
    ),
)  # fmt: skip
