"""Settings of a MySQL or MariaDB server: what it allowed, above all how many connections, and who may have how many.

Obtained with `SHOW GLOBAL VARIABLES` (table, `\\G`, `mysql -B`, XML, HTML, also with `-N`), `mysqladmin variables`,
`SELECT @@max_connections`, `SELECT user, host, max_user_connections FROM mysql.user`, pt-stalk's `-variables` file, or as
the server's own my.cnf (of which the last line for a name counts, as the server does it). Only settings that say
something about connections are kept; the others are counted.

https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, tables, times
from connforensics.evidence.shapes import note

if TYPE_CHECKING:
    import duckdb

SETTINGS: Final = frozenset(
    ("max_connections", "max_user_connections", "extra_max_connections", "extra_port", "admin_address", "admin_port",
     "create_admin_listener_thread", "mysqlx_max_connections", "max_connect_errors", "max_password_errors",
     "max_digest_length", "max_prepared_stmt_count", "wait_timeout", "interactive_timeout", "connect_timeout",
     "idle_transaction_timeout", "idle_readonly_transaction_timeout", "idle_write_transaction_timeout",
     "innodb_kill_idle_transaction", "kill_idle_transaction", "net_read_timeout", "net_write_timeout", "net_retry_count",
     "max_execution_time", "max_statement_time", "lock_wait_timeout", "innodb_lock_wait_timeout",
     "innodb_rollback_on_timeout", "innodb_deadlock_detect", "innodb_thread_concurrency", "metadata_locks_cache_size",
     "thread_handling", "thread_cache_size", "thread_concurrency", "thread_stack", "thread_pool_size",
     "thread_pool_max_threads", "thread_pool_idle_timeout", "thread_pool_stall_limit", "thread_pool_oversubscribe",
     "thread_pool_high_prio_mode", "thread_pool_high_prio_tickets", "thread_pool_dedicated_listener",
     "thread_pool_max_transactions_limit", "thread_pool_max_active_query_threads", "back_log", "open_files_limit",
     "table_open_cache", "read_only", "super_read_only", "offline_mode", "skip_name_resolve", "host_cache_size",
     "skip_networking", "bind_address", "port", "hostname", "init_connect", "init_file", "performance_schema", "userstat",
     "log_error_verbosity", "log_warnings", "general_log", "slow_query_log", "long_query_time", "log_output",
     "event_scheduler", "autocommit", "transaction_isolation", "tx_isolation", "version", "version_comment", "time_zone",
     "system_time_zone", "log_timestamps", "connection_memory_limit", "global_connection_memory_limit", "tls_version",
     "require_secure_transport", "secure_auth", "max_allowed_packet", "connection_control_failed_connections_threshold",
     "connection_control_min_connection_delay", "connection_control_max_connection_delay", "proxy_protocol_networks",
     "rds_max_connections", "aurora_max_connections_limit", "completion_type", "wsrep_on", "wsrep_max_ws_rows")
)  # fmt: skip
"""What is kept: limits on connections and on threads, how long anything may rest, wait or run, and what the logs say."""

TELLING: Final = SETTINGS - {"port", "hostname", "time_zone", "version", "autocommit"}
"""Names that few but MySQL's relatives use."""

ALIASES: Final = {
    "valid_at": times.COLUMNS,
    "server": ("server", "server_name", "node", "db_host", "db_instance", "instance"),
    "name": ("variable_name",),
    "value": ("value", "variable_value", "global_value", "variable_value_global"),
}

QUOTA: Final = ("max_user_connections", "max_connections", "max_questions", "max_updates")
"""Columns of mysql.user that bound an account."""

KEEP: Final = frozenset(alias for known in ALIASES.values() for alias in known) | {"user", "host", *QUOTA}

HEADERS: Final = ("variable_name", "@@", "max_user_connections")
"""One of these stands in every header that is accepted."""

SILENT: Final = frozenset(("thread_id", "processlist_id"))
"""Columns of variables_by_thread and status_by_thread: values of one session, no setting of the server."""

FOREIGN = re.compile(r"^\W*(?:mysql|admin|pgsql)-\w|\bProxySQL_Uptime\b|\bClient_Connections_connected\b")
"""Names of ProxySQL's variables, which stand under the same header."""

SERVER_GROUPS = re.compile(
    r"^(?:mysqld|mariadbd?|server|client-server|galera|mysqld_safe|mysqld?\d+|(?:mysqld|mariadbd?)-[\d.]+)$"
)
"""Sections of an option file that the server reads; https://mariadb.com/kb/en/configuring-mariadb-with-option-files/."""

CLIENT_GROUPS = re.compile(r"^(?:client(?:-\w+)?|mysql|mariadb-client|mysqldump|mysqladmin|mysqlcheck|mysqlimport|mysqlshow|isamchk|myisamchk|mysqlhotcopy|embedded|mysqld_multi)$")  # fmt: skip

PER_ACCOUNT: Final = "user.{account}.max_user_connections"

LONGEST_NAMES: Final = 100_000
"""Characters of one line in which names are looked for: HTML has all of them in one."""

_NAME = re.compile(r"^(?:[^\W\d][\w .()*$@,/%`'-]*|@@[\w.]+|\(.*\)|`.*`|)$")
_NUMBERED = re.compile(r"^\s*[|\"]?\s*\d{1,9}\s*\"?[\t|,;]")
_BARE_TIME = re.compile(
    r"^\W*(?:[\w()]+:\s*)?(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?|\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\W*$"
)
_SECTION = re.compile(r"^\s*\[\s*([^\]]+?)\s*\]\s*(?:[#;].*)?$")
_INCLUDE = re.compile(r"^\s*!(include(?:dir)?)\s+(.+?)\s*$")
_OPTION = re.compile(r"^\s*([A-Za-z][\w.\-]*)\s*(?:=\s*(.*?))?\s*$")
_VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)")
_ASKED = re.compile(r"^@@(?:global\.|session\.|local\.)?(\w+)$")
_HEADLESS_SQL: Final = r"^[A-Za-z]\w+\t[^\t]*$"
_HEADLESS = re.compile(r"^([a-z]\w+)\t([^\t]*)$", re.IGNORECASE)


# What a header is


def is_header(names: Sequence[str]) -> bool:
    """Tell whether all names could be a query's: a statement with commas and a table without line ends have others."""
    return all(map(_NAME.match, names))


def is_pairs(names: Sequence[str]) -> bool:
    """Tell whether a header is that of SHOW VARIABLES or SHOW STATUS: a name and its value."""
    return "variable_name" in names and any(alias in names for alias in ALIASES["value"])


def is_asked(names: Sequence[str]) -> bool:
    """Tell whether every column is a variable asked for by name, as `SELECT @@max_connections` shows it."""
    return bool(names) and all(_ASKED.match(name) for name in names)


def is_quota(names: Sequence[str]) -> bool:
    """Tell whether a header is that of mysql.user with the limits of its accounts."""
    return {"user", "host", "max_user_connections"} <= set(names) and not {"command", "time"} & set(names)


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is of variables, of one asked for by name, or of accounts with their limits."""
    return is_header(names) and (is_pairs(names) or is_asked(names) or is_quota(names))


def words(head: Head) -> frozenset[str]:
    """Return the words of a head in lower case: which names of variables it shows.

    Lines that begin with a number are rows of another table: values of one thread.
    """
    lines = (line[:LONGEST_NAMES] for line in head.lines if not _NUMBERED.match(line))
    return frozenset(word.lower() for line in lines for word in re.findall(r"[A-Za-z_]\w+", line))


def mentions(head: Head, *names: str) -> bool:
    """Tell cheaply whether a head has any of these words anywhere: what no table with such a header does without."""
    return any(name in line for line in map(str.lower, head.lines) for name in names)


def note_zone(reading: Reading) -> None:
    """Say in which zone the times above the tables were read, where they name none (`SELECT NOW()` does not)."""
    if any(map(_BARE_TIME.match, reading.head.lines)):
        reading.ledger.assume(times.zone_assumed(reading.options.timezone))


def is_proxysql(head: Head) -> bool:
    """Tell whether the names under a header are ProxySQL's."""
    return any(FOREIGN.search(line) for line in head.lines)


def certainty(head: Head) -> float:
    """Return how sure a head shows settings of MySQL or MariaDB: by its header and by its names."""
    layout = tables.find(head.lines, accepts) if mentions(head, *HEADERS) else None
    if layout is None:
        return 0.8 if is_headless(head, SETTINGS) else _cnf_certainty(head.lines)
    if is_pairs(layout.names) and is_proxysql(head):
        return 0.0
    known = TELLING & words(head)
    return (0.85 if known else 0.6) * (0.4 + 0.6 * layout.fit)


def is_headless(head: Head, known: Collection[str]) -> bool:
    """Tell whether the lines are names and values parted by tabs, as `mysql -N -B` prints them."""
    told = [found.group(1).lower() for line in head.lines if (found := _HEADLESS.match(line))]
    lines = sum(1 for line in head.lines if line.strip())
    return len(told) > lines * 0.9 and len(set(told) & set(known)) >= min(3, len(told)) and bool(told)


def read(reading: Reading) -> None:
    """Store each setting that bears on connections with the line that shows it; `version` tells version and engine."""
    if tables.find(reading.head.lines, accepts) is None:
        if is_headless(reading.head, SETTINGS):
            for rows in headless(reading):
                store_pairs(reading, rows)
        else:
            _read_cnf(reading)
        return
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts, KEEP):
            store(reading, con, frame)


# Reading


def store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    """Store the rows of a frame whose header `accepts`."""
    if is_pairs(frame.names):
        store_pairs(reading, pairs(reading, con, frame))
    elif is_asked(frame.names):
        _store_asked(reading, con, frame)
    else:
        _store_quotas(reading, con, frame)


def pairs(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> pa.Table:
    """Return the rows of a frame of names and values: line_no, lines, anew, name in lower case, value, valid_at, server.

    Rows without a name are accounted for here and left out; those of another session's variables count as ignored.
    """
    found = tables.match(frame.names, ALIASES)
    moment = times.sql(f"c{found['valid_at']}" if "valid_at" in found else "told")
    rows = tables.select(
        con,
        frame.rows,
        f"""
        SELECT line_no, lines, anew, lower(trim(c{found["name"]})) AS name,
               split_part(c{found["value"]}, chr(10), 1) AS value,
               {moment} AS valid_at, {tables.column(found.get("server"))} AS server
        FROM frame
        """,
    )
    if "valid_at" in found:
        written = frame.rows[f"c{found['valid_at']}"]
        whole = times.filled(rows["valid_at"], written, reading.options.timezone)
        rows = rows.set_column(rows.column_names.index("valid_at"), "valid_at", whole)
        if times.is_zoneless(written.slice(0, 200).to_pylist()):
            reading.ledger.assume(times.zone_assumed(reading.options.timezone))
    elif rows["valid_at"].null_count < rows.num_rows:
        note_zone(reading)
    if SILENT & set(frame.names):
        reading.ledger.ignored += tables.lines_of(rows)
        return rows.slice(0, 0)
    is_good = pc.fill_null(pc.match_substring_regex(rows["name"], r"^[a-z]\w*$"), False)
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(is_good)))
    return rows.filter(is_good)


def headless(reading: Reading) -> Iterable[pa.Table]:
    """Yield the rows of a source of names and values without a header, as `pairs` does."""
    for _ in reading.scan("unheaded"):
        rows = reading.con.sql(
            f"""
            SELECT line_no, CAST(1 AS BIGINT) AS lines, line_no = 1 AS anew, lower(split_part(text, chr(9), 1)) AS name,
                   nullif(split_part(text, chr(9), 2), 'NULL') AS value, CAST(NULL AS TIMESTAMP) AS valid_at,
                   CAST(NULL AS VARCHAR) AS server
            FROM unheaded
            WHERE regexp_matches(text, '{_HEADLESS_SQL}')
            ORDER BY line_no
            """
        ).to_arrow_table()
        account_for_others(reading, "unheaded", _HEADLESS_SQL)
        yield rows


def account_for_others(reading: Reading, relation: str, pattern: str) -> None:
    """Account for the lines of a relation that do not match a pattern: blank ones as ignored, the others as unknown."""
    others = reading.con.execute(
        f"SELECT line_no, text FROM {relation} WHERE NOT regexp_matches(text, ?) ORDER BY line_no", [pattern]
    )
    for line_no, text in others.fetchall():
        if text.strip():
            reading.ledger.unknown += 1
            note(reading.ledger, line_no, text)
        else:
            reading.ledger.ignored += 1


def store_pairs(reading: Reading, rows: pa.Table) -> None:
    """Store the settings among names and values; every other row counts as ignored."""
    is_kept = pc.is_in(rows["name"], value_set=pa.array(sorted(SETTINGS)))
    reading.ledger.ignored += tables.lines_of(rows.filter(pc.invert(is_kept)))
    insert(reading, rows.filter(is_kept))


def insert(reading: Reading, rows: pa.Table) -> None:
    """Store rows of line_no, lines, name, value, valid_at and server as settings, all of their lines understood."""
    reading.ledger.understood += tables.lines_of(rows)
    if not rows.num_rows:
        return
    rows = _dated(reading, rows)
    for name, value in zip(rows["name"].to_pylist(), rows["value"].to_pylist(), strict=True):
        if name in ("version", "version_comment") and value:
            recognise(reading, value, is_version=name == "version")
    reading.ledger.saw(pc.min(rows["valid_at"]).as_py(), pc.max(rows["valid_at"]).as_py())
    kept = rows.select(["line_no", "name", "value", "valid_at"])
    if rows["server"].null_count < rows.num_rows:
        kept = kept.append_column("server", rows["server"])
    reading.insert("setting", kept)


def recognise(reading: Reading, text: str, *, is_version: bool) -> None:
    """Set version and engine from what a server says of its version.

    A MariaDB of the tenth series calls itself 5.5.5-10.x to clients of old.
    """
    if "mariadb" in text.lower():
        reading.engine = "mariadb"
    bare = text.removeprefix("5.5.5-") if "mariadb" in text.lower() else text
    if is_version and (told := _VERSION.match(bare)):
        reading.version = told.group(1)


def _dated(reading: Reading, rows: pa.Table) -> pa.Table:
    named = times.in_name(reading.head.name, reading.options.timezone)
    if named is None or rows["valid_at"].null_count < rows.num_rows:
        return rows
    reading.ledger.assume(f"the settings' time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
    filled = pa.array([named] * rows.num_rows, pa.timestamp("us"))
    return rows.set_column(rows.column_names.index("valid_at"), "valid_at", filled)


def _store_asked(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    """Store a setting for each column of each row; the row's lines are understood once."""
    asked = [found.group(1) for name in frame.names if (found := _ASKED.match(name))]
    parts = "\nUNION ALL\n".join(
        f"SELECT line_no, lines, {index} AS place, '{name}' AS name, c{index} AS value, {times.sql('told')} AS valid_at,"
        f" CAST(NULL AS VARCHAR) AS server FROM frame"
        for index, name in enumerate(asked)
    )
    rows = tables.select(con, frame.rows, f"SELECT * FROM ({parts}) ORDER BY line_no, place")
    # A row of several columns is one line: it is counted with its first one.
    lines = pc.if_else(pc.equal(rows["place"], 0), rows["lines"], 0)
    rows = rows.set_column(rows.column_names.index("lines"), "lines", lines)
    insert(reading, rows)


def _store_quotas(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    """Store the limit of each account that has one; 0 means that it has none of its own."""
    user, host, limit = (frame.names.index(name) for name in ("user", "host", "max_user_connections"))
    rows = tables.select(
        con,
        frame.rows,
        f"""
        SELECT line_no, lines, coalesce(c{user}, '') || '@' || coalesce(c{host}, '%') AS account,
               c{limit} AS value, TRY_CAST(c{limit} AS BIGINT) AS quota, {times.sql("told")} AS valid_at,
               CAST(NULL AS VARCHAR) AS server
        FROM frame
        """,
    )
    is_number = pc.is_valid(rows["quota"])
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(is_number)))
    has_quota = pc.fill_null(pc.not_equal(rows["quota"], 0), False)
    reading.ledger.ignored += tables.lines_of(rows.filter(pc.and_(is_number, pc.invert(has_quota))))
    rows = rows.filter(has_quota)
    names = [PER_ACCOUNT.format(account=account) for account in rows["account"].to_pylist()]
    insert(reading, rows.append_column("name", pa.array(names, pa.string())))


# Option files


def _cnf_certainty(lines: Sequence[str]) -> float:
    servers = clients = known = others = options = 0
    is_server = False
    for line in lines:
        section = _SECTION.match(line)
        if section is not None:
            is_server = bool(SERVER_GROUPS.match(section.group(1).lower()))
            servers += is_server
            clients += bool(CLIENT_GROUPS.match(section.group(1).lower()))
        elif not line.strip() or line.lstrip()[0] in "#;" or _INCLUDE.match(line):
            continue
        elif (option := _OPTION.match(line)) is not None:
            options += 1
            known += is_server and _canonical(option.group(1))[0] in SETTINGS
        else:
            others += 1
    if not (servers or clients) or others > options * 0.2 + 1:
        return 0.0
    if known:
        return 0.9
    return 0.7 if servers else 0.5 if clients >= 2 or any(map(_INCLUDE.match, lines)) else 0.0


def _canonical(option: str) -> tuple[str, str | None]:
    """Return the variable that an option sets, and the value it has by its form alone.

    >>> _canonical("skip-name-resolve"), _canonical("loose-thread-pool-size"), _canonical("disable-log-bin")
    (('skip_name_resolve', 'ON'), ('thread_pool_size', None), ('log_bin', 'OFF'))
    """
    name = option.lower().replace("-", "_").removeprefix("loose_")
    if name in SETTINGS:
        return name, "ON" if name.startswith("skip_") else None
    for prefix, value in (("disable_", "OFF"), ("enable_", "ON"), ("maximum_", None), ("skip_", "OFF")):
        if name.startswith(prefix):
            return name.removeprefix(prefix), value
    return name, None


def _read_cnf(reading: Reading) -> None:
    """Store the settings of the sections that the server reads; a later line for a name overrules an earlier one."""
    ledger = reading.ledger
    last: dict[str, tuple[int, str]] = {}
    overruled = 0
    is_server = False
    included = []
    for line_no, line in reading.lines():
        section, include = _SECTION.match(line), _INCLUDE.match(line)
        option = _OPTION.match(line)
        if section is not None:
            is_server = bool(SERVER_GROUPS.match(section.group(1).lower()))
            ledger.ignored += 1
        elif include is not None:
            included.append(include.group(2))
            ledger.ignored += 1
        elif not line.strip() or line.lstrip()[0] in "#;":
            ledger.ignored += 1
        elif option is None:
            ledger.unknown += 1
            note(ledger, line_no, line)
        else:
            name, written = option.groups()
            if name.lower() in ("set-variable", "set_variable") and written:
                # Until 5.0: set-variable = max_connections=500.
                name, _, written = written.partition("=")
            name, default = _canonical(name.strip())
            if not is_server or name not in SETTINGS:
                ledger.ignored += 1
                continue
            overruled += name in last
            last[name] = (line_no, _bare(written) if written is not None else default or "ON")
            ledger.understood += 1
    if overruled:
        ledger.assume(f"{overruled} lines are overruled by a later line for the same setting, as the server does it")
    if included:
        ledger.assume(f"not read here: what the file includes from {', '.join(dict.fromkeys(included))}")
    entries = sorted((line_no, name, value) for name, (line_no, value) in last.items())
    count = len(entries)
    insert(
        reading,
        pa.table(
            {
                "line_no": pa.array([line_no for line_no, _, _ in entries], pa.int64()),
                "lines": pa.array([0] * count, pa.int64()),
                "name": pa.array([name for _, name, _ in entries], pa.string()),
                "value": pa.array([value for _, _, value in entries], pa.string()),
                "valid_at": pa.nulls(count, pa.timestamp("us")),
                "server": pa.nulls(count, pa.string()),
            }
        ),
    )


def _bare(written: str) -> str:
    """Return an option's value without its comment and its quotes.

    >>> _bare("500   # was 151"), _bare("'SET NAMES utf8'")
    ('500', 'SET NAMES utf8')
    """
    quoted = re.match(r"""^(['"])(.*)\1\s*(?:#.*)?$""", written)
    return quoted.group(2) if quoted else re.sub(r"\s+#.*$", "", written).strip()


SHOWN = """\
mysql> SHOW VARIABLES LIKE '%conn%';
+-----------------------+--------------------+
| Variable_name         | Value              |
+-----------------------+--------------------+
| character_set_client  | utf8mb4            |
| init_connect          |                    |
| max_connect_errors    | 100                |
| max_connections       | 151                |
| max_user_connections  | 0                  |
| version               | 10.11.19-MariaDB-0 |
+-----------------------+--------------------+
6 rows in set (0.01 sec)

mysql> SELECT @@global.wait_timeout, @@interactive_timeout;
+-----------------------+-----------------------+
| @@global.wait_timeout | @@interactive_timeout |
+-----------------------+-----------------------+
|                 28800 |                 28800 |
+-----------------------+-----------------------+
1 row in set (0.00 sec)
"""

CNF = """\
# The MySQL server
!includedir /etc/mysql/conf.d/

[client]
port = 3306
connect-timeout = 5

[mysqld]
max_connections = 500   # was 151
wait-timeout=600
skip-name-resolve
innodb_buffer_pool_size = 8G
init_connect = 'SET NAMES utf8mb4'
max-connections = 800
"""

FORMAT = Format(
    name="mysql_variables",
    engine="mysql",
    tables=("setting",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            SHOWN,
            {
                "setting": (
                    {"line_no": 6, "engine": "mariadb", "name": "init_connect", "value": None},
                    {"line_no": 7, "name": "max_connect_errors", "value": "100"},
                    {"line_no": 8, "name": "max_connections", "value": "151"},
                    {"line_no": 9, "name": "max_user_connections", "value": "0"},
                    {"line_no": 10, "name": "version", "value": "10.11.19-MariaDB-0"},
                    {"line_no": 18, "name": "interactive_timeout", "value": "28800"},
                    {"line_no": 18, "name": "wait_timeout", "value": "28800"},
                )
            },
            name="variables.txt",
        ),
        Sample(
            "Variable_name\tValue\nadmin_port\t33062\nback_log\t151\ncharset\tutf8\nmax_connections\t1000\nversion\t8.0.36-28\n",
            {
                "setting": (
                    {"line_no": 2, "engine": "mysql", "name": "admin_port", "value": "33062",
                     "valid_at": "2026-11-21T03:12:00"},
                    {"line_no": 3, "name": "back_log", "value": "151"},
                    {"line_no": 5, "name": "max_connections", "value": "1000"},
                    {"line_no": 6, "name": "version", "value": "8.0.36-28"},
                )
            },
            name="2026_11_21_03_12_00-variables",
        ),
        Sample(
            "back_log\t80\nbasedir\t/usr\nmax_connections\t30\nthread_cache_size\t9\n",
            {
                "setting": (
                    {"line_no": 1, "name": "back_log", "value": "80"},
                    {"line_no": 3, "name": "max_connections", "value": "30"},
                    {"line_no": 4, "name": "thread_cache_size", "value": "9"},
                )
            },
            name="variables.tsv",
        ),
        Sample(
            CNF,
            {
                "setting": (
                    {"line_no": 10, "engine": "mysql", "name": "wait_timeout", "value": "600"},
                    {"line_no": 11, "name": "skip_name_resolve", "value": "ON"},
                    {"line_no": 13, "name": "init_connect", "value": "SET NAMES utf8mb4"},
                    {"line_no": 14, "name": "max_connections", "value": "800"},
                )
            },
            name="my.cnf",
        ),
        Sample(
            "+------------+-----------+----------------------+\n| user       | host      | max_user_connections |\n"
            "+------------+-----------+----------------------+\n| root       | localhost |                    0 |\n"
            "| app orders | %         |                   50 |\n+------------+-----------+----------------------+\n",
            {"setting": ({"line_no": 5, "name": "user.app orders@%.max_user_connections", "value": "50"},)},
            name="users.txt",
        ),
    ),
)  # fmt: skip
