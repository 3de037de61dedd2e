"""PostgreSQL, watched through one held connection: sessions, waiters, counters, limits, in one round trip a sample.

Role: LOGIN and `GRANT pg_monitor`. Without it the server shows of other users' sessions only pid, user, database and
application (https://www.postgresql.org/docs/current/predefined-roles.html), which the recorder says at the start. A role
with `pg_use_reserved_connections` (16 and newer) or SUPERUSER gets in when the server is full for everybody else; the
recorder needs neither once it holds its connection.

The statements of a sample go as one simple query and so run in one transaction, in which the server's list of sessions
is read once (https://www.postgresql.org/docs/current/monitoring-stats.html). They take `SELECT *`: the columns of newer
servers arrive by themselves. Nothing is written: the session is read-only, its statements and lock waits have timeouts.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from connforensics.record.target import (
    ANSWER_TIMEOUT_S,
    APPLICATION,
    CONNECT_TIMEOUT_S,
    COUNTERS_EVERY_S,
    LIMITS_EVERY_S,
    LOCK_TIMEOUT_S,
    LOCKS_SHARE,
    STATEMENT_TIMEOUT_S,
    Gauge,
    LostError,
    MissedError,
    RefusedError,
    Rows,
    Sample,
)

CLOCK: Final = """
SELECT
  clock_timestamp() AS sampled_at,
  pg_postmaster_start_time() AS started_at,
  pg_conf_load_time() AS loaded_at,
  current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable
"""

SESSIONS: Final = "SELECT * FROM pg_catalog.pg_stat_activity"

WAITERS: Final = """
SELECT
  l.*,
  CASE
    WHEN l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    THEN l.relation::regclass::text
  END AS relation_name,
  array_to_string(pg_blocking_pids(l.pid), ',') AS blocked_by
FROM pg_catalog.pg_locks AS l
WHERE NOT l.granted
  AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock')
"""
"""The list of locks is read only when somebody waits for one: it may be long, and reading it is not free. Some 0.02 ms a
waiter in short queues, 0.2 ms in one of 480 for the same row (measured on PostgreSQL 15)."""

COUNTERS: Final = "SELECT * FROM pg_catalog.pg_stat_database"

DONE: Final = "SELECT clock_timestamp()"

LIMITS: Final[Mapping[str, str]] = {
    "settings": "SELECT * FROM pg_catalog.pg_settings",
    "roles": """
        SELECT rolname, rolsuper, rolreplication, rolcanlogin, rolconnlimit, rolvaliduntil,
               pg_has_role(oid, 'pg_monitor', 'USAGE') AS is_monitor
        FROM pg_catalog.pg_roles
        WHERE rolconnlimit >= 0 OR rolsuper OR rolreplication
    """,
    "databases": "SELECT datname, datallowconn, datconnlimit, datistemplate FROM pg_catalog.pg_database",
    "role_settings": """
        SELECT d.datname, r.rolname, s.setconfig
        FROM pg_catalog.pg_db_role_setting AS s
        LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
    """,
}

SESSION: Final = f"""
SET search_path = pg_catalog;
SET default_transaction_read_only = on;
SET statement_timeout = '{STATEMENT_TIMEOUT_S:.0f}s';
SET lock_timeout = '{LOCK_TIMEOUT_S:.0f}s';
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;
"""

ADMISSION: Final = """
SELECT
  current_user,
  rolsuper,
  rolsuper OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
  rolsuper OR pg_has_role(current_user, 'pg_read_all_settings', 'USAGE'),
  (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('server_version')
FROM pg_catalog.pg_roles
WHERE rolname = current_user
"""

SECRET_SETTINGS: Final = frozenset(
    ("primary_conninfo", "ssl_passphrase_command", "archive_command", "restore_command", "archive_cleanup_command",
     "recovery_end_command")
)  # fmt: skip
"""Settings whose values may hold a password or a key; pg_monitor may read them."""

SECRET_NAME: Final = re.compile(r"(?i)(secret|passw|token|credential|api_?key|private_?key)")
"""In the name of a custom setting (one with a dot): its value is not taken."""

WITHHELD: Final = "(withheld)"

REFUSALS: Final = (
    (
        r"remaining connection slots are reserved|connection limit exceeded for non-superusers",
        "refused_reserved",
        "53300",
    ),
    (r"sorry, too many clients", "refused_full", "53300"),
    (r"too many connections for (role|database)", "refused_quota", "53300"),
    (r"no more connections allowed|client connections exceeded|query_wait_timeout", "refused_full", "08P01"),
    (r"server login has been failing|the database system is|terminating connection due to", "refused_state", "57P03"),
    (r"password authentication failed|no password supplied|authentication failed", "auth_failed", "28P01"),
    (r"no pg_hba\.conf entry|is not permitted to log in|not allowed", "refused_rule", "28000"),
    (r"(database|role) \".*\" does not exist|no such (database|user)", "unknown_target", "3D000"),
)
"""What libpq hands on when a connect fails is text alone: pattern, event kind, SQLSTATE."""


class Postgres:
    """One PostgreSQL server; see `Target`."""

    engine = "postgres"

    def __init__(self, name: str, conninfo: str) -> None:
        self.name = name
        self.version: str | None = None
        self.own: int | None = None
        self._conninfo = conninfo
        self._connection: Any = None
        self._limits_due = 0.0
        self._counters_due = 0.0
        self._locks_due = 0.0
        self._loaded_at: str | None = None

    def connect(self) -> list[str]:
        """Open the connection; returns what this role cannot see and how it got in."""
        import psycopg

        self.close()
        given = psycopg.conninfo.conninfo_to_dict(self._conninfo)
        defaults = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1000),
        }
        options: dict[str, Any] = {**defaults, **given, "application_name": APPLICATION}
        try:
            self._connection = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
            read_as_text(self._connection)
            self._connection.execute(SESSION)
            told = self._connection.execute(ADMISSION).fetchone()
        except psycopg.Error as error:
            self.close()
            raise refusal(error) from None
        self.own = self._connection.info.backend_pid
        self._limits_due = self._counters_due = 0.0
        self._loaded_at = None
        return self._notes(told)

    def _notes(self, told: tuple[Any, ...] | None) -> list[str]:
        role, is_super, sees_sessions, sees_settings, in_use, version = told or ("?", False, False, False, 0, None)
        self.version = version.split()[0] if version else None
        notes = []
        if not sees_sessions:
            notes.append(
                f"role {role} is not a member of pg_monitor: of other users' sessions it sees pid, user, database and "
                "application, but no state, times, client address, waits or statement (GRANT pg_monitor TO the role)"
            )
        elif not sees_settings:
            notes.append(f"role {role} is not a member of pg_monitor: some settings stay hidden")
        usable = self._connection.execute(CLOCK).fetchone()[3]
        if in_use > usable:
            how = "as superuser" if is_super else "as a member of pg_use_reserved_connections"
            notes.append(f"the server was full ({in_use} of {usable} slots): got in by a reserved slot, {how}")
        return notes

    def sample(self) -> Sample:
        """Take one sample: sessions and waiters, counters and limits when they are due."""
        import psycopg

        if self._connection is None:
            raise LostError("not connected")
        monotonic = time.monotonic()
        statements = {"clock": CLOCK, "activity": SESSIONS}
        if monotonic >= self._locks_due:
            statements["locks"] = WAITERS
        if monotonic >= self._counters_due:
            statements["counters"] = COUNTERS
            self._counters_due = monotonic + COUNTERS_EVERY_S
        if monotonic >= self._limits_due:
            statements |= LIMITS
            self._limits_due = monotonic + LIMITS_EVERY_S
        try:
            found = self._fetch({**statements, "done": DONE})
        except UnicodeDecodeError:
            read_any_encoding(self._connection)
            raise MissedError("a statement is in an encoding of its own; reading bytes from now on") from None
        except (psycopg.errors.UntranslatableCharacter, psycopg.errors.CharacterNotInRepertoire) as error:
            read_any_encoding(self._connection)
            raise MissedError(first_line(error), error.sqlstate) from None
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                self.close()
                raise LostError(first_line(error), error.sqlstate) from None
            self._limits_due = self._counters_due = 0.0
            raise MissedError(first_line(error), error.sqlstate) from None
        return self._sample(found)

    def _fetch(self, statements: Mapping[str, str]) -> dict[str, Rows]:
        cursor = self._connection.execute(";".join(statements.values()))
        found = {}
        for name in statements:
            found[name] = Rows(tuple(column.name for column in cursor.description), cursor.fetchall())
            cursor.nextset()
        return found

    def _sample(self, found: dict[str, Rows]) -> Sample:
        sampled_at, started_at, loaded_at, usable = found.pop("clock").values[0]
        if self._loaded_at is not None and loaded_at != self._loaded_at:
            self._limits_due = 0.0
        self._loaded_at = loaded_at
        moment = instant(sampled_at)
        server_s = (instant(found.pop("done").values[0][0]) - moment).total_seconds()
        blocked = _column_by(found["locks"], "pid", "blocked_by") if "locks" in found else {}
        if blocked:
            self._locks_due = time.monotonic() + server_s / LOCKS_SHARE
        activity = found["activity"]
        pid = activity.columns.index("pid")
        found["activity"] = Rows(
            (*activity.columns, "blocked_by"), [(*row, blocked.get(row[pid])) for row in activity.values]
        )
        steady = {name: _without_secrets(name, found.pop(name)) for name in LIMITS if name in found}
        return Sample(
            moment,
            found,
            {**_gauges(activity, moment), "usable": float(usable), "waiting": float(_waiters(activity))},
            instant(started_at),
            steady,
            server_s * 1000,
        )

    def abort(self) -> None:
        """Cut the connection; the thread that waits for it ends with LostError."""
        connection = self._connection
        with contextlib.suppress(Exception):
            cut(connection.pgconn.socket)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def cut(descriptor: int) -> None:
    """Shut a socket down that another thread reads from."""
    with socket.socket(fileno=os.dup(descriptor)) as twin:
        twin.shutdown(socket.SHUT_RDWR)


def read_as_text(connection: Any) -> None:
    """Have times and addresses handed over as the server writes them: nothing is made of them here."""
    from psycopg.types.string import TextLoader

    for name in (
        "timestamptz",
        "timestamp",
        "date",
        "time",
        "interval",
        "inet",
        "cidr",
        "numeric",
        "json",
        "jsonb",
        "uuid",
    ):
        connection.adapters.register_loader(name, TextLoader)


def read_any_encoding(connection: Any) -> None:
    """Have texts handed over byte by byte: databases of one server may differ in encoding, and its views mix them."""
    from psycopg.adapt import Loader

    class AnyText(Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "backslashreplace")

    connection.execute("SET client_encoding = 'SQL_ASCII'")
    for name in (
        "text",
        "name",
        "varchar",
        "bpchar",
        "timestamptz",
        "timestamp",
        "inet",
        "cidr",
        "interval",
        "numeric",
    ):
        connection.adapters.register_loader(name, AnyText)
    connection.adapters.register_loader(0, AnyText)


def instant(text: str) -> datetime:
    """Return a time as PostgreSQL writes it in UTC as naive UTC.

    >>> instant("2026-11-21 03:12:00.1+00")
    datetime.datetime(2026, 11, 21, 3, 12, 0, 100000)
    """
    whole, _, fraction = text.removesuffix("+00").partition(".")
    return datetime.fromisoformat(whole).replace(microsecond=int(f"{fraction:0<6}" or 0))


def refusal(error: Exception) -> RefusedError | LostError:
    """Return what a failed connect means; the text is the server's, in English where its language is known."""
    from connforensics.evidence.messages.postgres import english

    text = first_line(error)
    said = english(text.rpartition("FATAL:  ")[2]) if "FATAL:  " in text else text
    for pattern, reason, code in REFUSALS:
        if re.search(pattern, said):
            return RefusedError(reason, text, code)
    return LostError(text, getattr(error, "sqlstate", None))


def first_line(error: Exception) -> str:
    """Return the telling line of libpq's report: of several attempts the last, without its hints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or [type(error).__name__])[-1 if fatal else 0]


def _column_by(rows: Rows, key: str, value: str) -> dict[Any, Any]:
    first, second = rows.columns.index(key), rows.columns.index(value)
    return {row[first]: row[second] for row in rows.values}


def _waiters(activity: Rows) -> int:
    kind = activity.columns.index("wait_event_type")
    return sum(row[kind] == "Lock" for row in activity.values)


def _gauges(activity: Rows, moment: datetime) -> dict[Gauge, float]:
    names = activity.columns
    kind, state, since = names.index("backend_type"), names.index("state"), names.index("state_change")
    connections = sum(row[kind] == "client backend" for row in activity.values)
    resting = [row[since] for row in activity.values if row[since] and (row[state] or "").startswith("idle in tr")]
    age = max(((moment - instant(text)).total_seconds() for text in resting), default=0.0)
    return {"connections": float(connections), "idle_in_transaction_age": age}


def _without_secrets(name: str, rows: Rows) -> Rows:
    if name == "settings":
        shown = [
            rows.columns.index(column) for column in ("setting", "boot_val", "reset_val") if column in rows.columns
        ]
        at = rows.columns.index("name")
        return Rows(
            rows.columns,
            [
                tuple(WITHHELD if index in shown and value else value for index, value in enumerate(row))
                if is_secret(row[at])
                else row
                for row in rows.values
            ],
        )
    if name == "role_settings":
        at = rows.columns.index("setconfig")
        return Rows(
            rows.columns,
            [(*row[:at], [_assignment(text) for text in row[at] or ()], *row[at + 1 :]) for row in rows.values],
        )
    return rows


def _assignment(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={WITHHELD if is_secret(name) else value}"


def is_secret(name: str) -> bool:
    """Tell whether the value of a setting may be a password or a key."""
    return name in SECRET_SETTINGS or ("." in name and SECRET_NAME.search(name) is not None)
