"""Settings of a PostgreSQL server: what it allowed, above all how many connections.

Obtained with `\\copy (SELECT * FROM pg_settings) TO 'settings.csv' CSV HEADER`, `psql -At -c "SELECT name, setting FROM
pg_settings"`, pasted `SHOW max_connections` or `SELECT name, setting FROM pg_settings` outputs, or as the server's own
postgresql.conf (of which the last line for a name counts, as the server does it).

https://www.postgresql.org/docs/current/view-pg-settings.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, tables, times

if TYPE_CHECKING:
    import duckdb

TELLING: Final = frozenset(
    ("max_connections", "superuser_reserved_connections", "reserved_connections", "listen_addresses", "shared_buffers",
     "effective_cache_size", "work_mem", "maintenance_work_mem", "max_worker_processes", "max_parallel_workers",
     "max_parallel_workers_per_gather", "max_wal_senders", "max_replication_slots", "max_prepared_transactions",
     "max_locks_per_transaction", "max_files_per_process", "shared_preload_libraries", "dynamic_shared_memory_type",
     "wal_level", "wal_buffers", "wal_keep_size", "max_wal_size", "min_wal_size", "checkpoint_timeout",
     "checkpoint_completion_target", "synchronous_commit", "synchronous_standby_names", "archive_mode", "archive_command",
     "hot_standby", "primary_conninfo", "random_page_cost", "effective_io_concurrency", "default_statistics_target",
     "log_destination", "logging_collector", "log_directory", "log_filename", "log_line_prefix", "log_connections",
     "log_disconnections", "log_lock_waits", "log_min_duration_statement", "log_min_messages", "log_min_error_statement",
     "log_statement", "log_timezone", "log_checkpoints", "log_autovacuum_min_duration", "log_temp_files", "log_hostname",
     "log_rotation_age", "log_rotation_size", "log_truncate_on_rotation", "log_error_verbosity", "log_duration",
     "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout", "statement_timeout",
     "lock_timeout", "deadlock_timeout", "authentication_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval",
     "tcp_keepalives_count", "tcp_user_timeout", "client_connection_check_interval", "password_encryption", "autovacuum",
     "autovacuum_max_workers", "track_activity_query_size", "track_activities", "track_counts", "track_io_timing",
     "unix_socket_directories", "ssl_cert_file", "ssl_key_file", "hba_file", "ident_file", "data_directory", "config_file",
     "external_pid_file", "cluster_name", "server_version", "server_version_num", "server_encoding", "lc_messages",
     "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config", "datestyle", "bonjour", "fsync",
     "full_page_writes", "in_hot_standby", "shared_memory_type", "huge_pages", "bgwriter_delay", "update_process_title",
     "default_transaction_isolation", "search_path", "row_security", "jit", "stats_temp_directory", "rds.extensions")
)  # fmt: skip
"""Names that tell PostgreSQL's settings from anybody else's."""

COMMON: Final = frozenset(
    ("port", "timezone", "ssl", "include", "include_dir", "include_if_exists", "client_min_messages", "client_encoding",
     "transaction_isolation", "application_name", "is_superuser")
)  # fmt: skip
"""Names that others use as well: not enough to claim a file."""

ALIASES: Final = {
    "valid_at": (
        "sampled_at",
        "valid_at",
        "snapshot_time",
        "collected_at",
        "captured_at",
        "now",
        "timestamp",
        "ts",
        "time",
    ),
    "name": ("name", "parameter", "setting_name"),
    "value": ("setting", "current_setting", "value"),
    "unit": ("unit",),
}

KEEP: Final = frozenset(alias for known in ALIASES.values() for alias in known)

SHARE_KNOWN: Final = 0.3
"""Least share of rows with a known name among pairs of `name` and `value`; pg_settings itself has one in four of them,
but says `setting`."""

SHARE_CONF: Final = 0.4
"""Least share of assignments with a known name in a configuration file. Extensions bring names of their own."""

_NAME = r"[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*"
_ASSIGNMENT = re.compile(
    rf"^\s*({_NAME})(?:\s*[=|,\t:]\s*|\s+(?=['\d-]|(?:on|off|true|false|yes|no)\b))"
    r"(?:'((?:[^']|'')*)'|([^\s#'][^#]*?))?\s*(?:#.*)?$",
    re.IGNORECASE,
)
"""A setting and its value; only a value that is no word may follow after nothing but blanks."""

_OFFERED = re.compile(rf"^\s*#+\s*({_NAME})\s*=")
_SECTION = re.compile(r"^\s*\[[^\]]+\]\s*$")
_VERSION = re.compile(r"(\d+(?:\.\d+)*)")


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is pg_settings' or that of `SHOW`."""
    if len(names) == 1:
        return names[0] in TELLING
    found = tables.match(names, ALIASES)
    if not {"name", "value"} <= found.keys() or {"service", "labels", "metric", "default", "changeable"} & set(names):
        return False
    return names[found["value"]] != "value" or len(names) <= 3


def certainty(head: Head) -> float:
    """Return how sure a head shows settings of PostgreSQL: by its names of settings."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return _conf_certainty(head.lines)
    sure = 0.9
    if len(layout.names) > 1:
        found = tables.match(layout.names, ALIASES)
        known = _known_share(head, layout, found["name"])
        is_view = layout.names[found["value"]] == "setting"
        sure = 0.9 if is_view and known else 0.85 if known >= SHARE_KNOWN else 0.0
    # A paste that shows sessions as well is read as snapshots, which takes the settings along.
    return min(sure, 0.55) if layout.shape == "drawn" else sure


def _known_share(head: Head, layout: tables.Layout, column: int) -> float:
    words = [
        [cell.strip().strip('"') for cell in re.split(r"[,;\t|]", line)]
        for line in head.lines[layout.index + 1 :][:200]
    ]
    names = [cells[column].lower() for cells in words if len(cells) > column and re.fullmatch(_NAME, cells[column])]
    return sum(name in TELLING for name in names) / len(names) if names else 0.0


def _conf_certainty(lines: Sequence[str]) -> float:
    set_, offered = [], []
    others = 0
    for line in lines:
        if _SECTION.match(line):
            return 0.0
        assigned, mentioned = _ASSIGNMENT.match(line), _OFFERED.match(line)
        if assigned is not None:
            set_.append(assigned.group(1).lower())
        elif mentioned is not None:
            offered.append(mentioned.group(1).lower())
        elif line.strip() and not line.lstrip().startswith("#"):
            others += 1
    known = [name for name in set_ + offered if name in TELLING]
    if not known or not (set_ or len(known) > 5) or others > len(set_) * 0.2:
        return 0.0
    share = len([name for name in set_ if name in TELLING or name in COMMON]) / len(set_) if set_ else 1.0
    if share < SHARE_CONF or (len(set_) > 1 and len(set(known)) < 2):
        return 0.0
    return 0.85 if len(set(known)) > 2 else 0.6


def read(reading: Reading) -> None:
    """Store each setting with the line that shows it; server_version tells the version."""
    if tables.find(reading.head.lines, accepts) is None:
        _read_conf(reading)
        return
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts, KEEP):
            store(reading, con, frame)


def store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    """Store the rows of a frame whose header `accepts`."""
    found = tables.match(frame.names, ALIASES)
    if len(frame.names) == 1:
        name, value, unit = f"'{frame.names[0]}'", "c0", tables.column(None)
    else:
        name, value = f"lower(c{found['name']})", tables.column(found["value"])
        unit = tables.column(found.get("unit"))
    moment = times.sql(f"c{found['valid_at']}" if "valid_at" in found else "told")
    rows = tables.select(
        con,
        frame.rows,
        f"SELECT line_no, lines, {name} AS name, {value} AS value, {unit} AS unit, {moment} AS valid_at FROM frame",
    )
    if "valid_at" in found:
        written = frame.rows[f"c{found['valid_at']}"]
        whole = times.filled(rows["valid_at"], written, reading.options.timezone)
        rows = rows.set_column(rows.column_names.index("valid_at"), "valid_at", whole)
    is_good = pc.fill_null(pc.match_substring_regex(rows["name"], f"^{_NAME}$"), False)
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(is_good)))
    _insert(reading, rows.filter(is_good))


def _insert(reading: Reading, rows: pa.Table) -> None:
    reading.ledger.understood += tables.lines_of(rows)
    if not rows.num_rows:
        return
    named = times.in_name(reading.head.name, reading.options.timezone)
    if named is not None and rows["valid_at"].null_count == rows.num_rows:
        reading.ledger.assume(f"the settings' time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
        rows = rows.set_column(
            rows.column_names.index("valid_at"), "valid_at", pa.array([named] * rows.num_rows, pa.timestamp("us"))
        )
    moments: list[datetime | None] = [pc.min(rows["valid_at"]).as_py(), pc.max(rows["valid_at"]).as_py()]
    reading.ledger.saw(*moments)
    for name, value in zip(rows["name"].to_pylist(), rows["value"].to_pylist(), strict=True):
        if name == "server_version" and value and (told := _VERSION.match(value)):
            reading.version = told.group(1)
        elif name == "server_version_num" and value and value.isdigit() and reading.version is None:
            reading.version = _version(int(value))
    reading.insert("setting", rows.drop_columns(["lines"]))


def _version(number: int) -> str:
    """Return server_version_num as people write it.

    >>> _version(160004), _version(90624)
    ('16.4', '9.6.24')
    """
    if number >= 100000:
        return f"{number // 10000}.{number % 10000}"
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _read_conf(reading: Reading) -> None:
    ledger = reading.ledger
    last: dict[str, tuple[int, str]] = {}
    overruled = 0
    for line_no, line in reading.lines():
        found = _ASSIGNMENT.match(line)
        quoted, bare = found.groups()[1:] if found is not None else (None, None)
        if found is not None and (quoted is not None or bare is not None):
            name = found.group(1).lower()
            overruled += name in last
            last[name] = (line_no, (bare or "").strip() if quoted is None else quoted.replace("''", "'"))
            ledger.understood += 1
        elif not line.strip() or line.lstrip().startswith("#"):
            ledger.ignored += 1
        else:
            ledger.unknown += 1
            ledger.example(line_no, line)
    if overruled:
        ledger.assume(f"{overruled} lines are overruled by a later line for the same setting, as the server does it")
    entries = sorted((line_no, name, value) for name, (line_no, value) in last.items())
    rows = pa.table(
        {
            "line_no": pa.array([line_no for line_no, _, _ in entries], pa.int64()),
            "lines": pa.array([0] * len(entries), pa.int64()),
            "name": pa.array([name for _, name, _ in entries], pa.string()),
            "value": pa.array([value for _, _, value in entries], pa.string()),
            "unit": pa.nulls(len(entries), pa.string()),
            "valid_at": pa.nulls(len(entries), pa.timestamp("us")),
        }
    )
    _insert(reading, rows)


FORMAT = Format(
    name="postgres_settings",
    engine="postgres",
    tables=("setting",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "name,setting,unit,category\n"
            "max_connections,200,,Connections and Authentication / Connection Settings\n"
            "work_mem,4096,kB,Resource Usage / Memory\n"
            "server_version,16.4 (Debian 16.4-1.pgdg120+1),,Preset Options\n",
            {
                "setting": (
                    {"line_no": 2, "engine": "postgres", "name": "max_connections", "value": "200", "unit": None},
                    {"line_no": 3, "name": "work_mem", "value": "4096", "unit": "kB"},
                    {"line_no": 4, "name": "server_version", "value": "16.4 (Debian 16.4-1.pgdg120+1)"},
                )
            },
            name="settings.csv",
        ),
        Sample(
            "postgres=# SHOW max_connections;\n max_connections \n-----------------\n 100\n(1 row)\n\n"
            "postgres=# SHOW superuser_reserved_connections;\n superuser_reserved_connections \n"
            "--------------------------------\n 3\n(1 ligne)\n",
            {
                "setting": (
                    {"line_no": 4, "name": "max_connections", "value": "100"},
                    {"line_no": 10, "name": "superuser_reserved_connections", "value": "3"},
                )
            },
            name="show.txt",
        ),
        Sample(
            "          name          | setting\n------------------------+---------\n"
            " max_connections        | 500\n reserved_connections   | 5\n(2 rows)\n",
            {
                "setting": (
                    {"line_no": 3, "name": "max_connections", "value": "500"},
                    {"line_no": 4, "name": "reserved_connections", "value": "5"},
                )
            },
            name="settings.txt",
        ),
        Sample(
            "# - Connection Settings -\n\nlisten_addresses = '*'\t# what IP address(es) to listen on\n"
            "#port = 5432\nmax_connections = 100\t\t# (change requires restart)\n"
            "log_line_prefix = '%m [%p] '\nidle_in_transaction_session_timeout = 5min\nmax_connections = 250\n",
            {
                "setting": (
                    {"line_no": 3, "name": "listen_addresses", "value": "*"},
                    {"line_no": 6, "name": "log_line_prefix", "value": "%m [%p] "},
                    {"line_no": 7, "name": "idle_in_transaction_session_timeout", "value": "5min"},
                    {"line_no": 8, "name": "max_connections", "value": "250"},
                )
            },
            name="postgresql.conf",
        ),
        Sample(
            "max_connections|100\nsuperuser_reserved_connections|3\nlog_connections|on\n",
            {
                "setting": (
                    {"line_no": 1, "name": "max_connections", "value": "100"},
                    {"line_no": 2, "name": "superuser_reserved_connections", "value": "3"},
                    {"line_no": 3, "name": "log_connections", "value": "on"},
                )
            },
            name="settings.txt",
        ),
    ),
)
