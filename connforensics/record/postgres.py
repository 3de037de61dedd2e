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

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from connforensics.record.postgres_console import Console
from connforensics.record.secrets import WITHHELD, holds_secret, sounds_secret, withhold
from connforensics.record.target import (
    COUNTERS_EVERY_S,
    GAUGES,
    LIMITS_EVERY_S,
    LOCK_TIMEOUT_S,
    LOCKS_SHARE,
    STATEMENT_TIMEOUT_S,
    Due,
    Gauge,
    MissedError,
    Rows,
    Sample,
)

USABLE: Final = """
  current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable
"""
"""How many slots ordinary roles can get."""

CLOCK: Final = f"""
SELECT
  clock_timestamp() AS sampled_at,
  pg_backend_pid() AS own,
  pg_is_in_recovery() AS is_standby,
  pg_postmaster_start_time() AS started_at,
  pg_conf_load_time() AS loaded_at,
  {USABLE}
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

GUARDS: Final[Mapping[str, str]] = {
    "search_path": "pg_catalog",
    "statement_timeout": f"'{STATEMENT_TIMEOUT_S:.0f}s'",
    "lock_timeout": f"'{LOCK_TIMEOUT_S:.0f}s'",
    "timezone": "'UTC'",
    "datestyle": "'ISO'",
}
"""Settings that every server has; 10 knows no jit, those before 14 no timeout of sessions at rest."""

SESSION: Final = ";".join(
    (
        "SET default_transaction_read_only = on",
        *(f"SET {name} = {value}" for name, value in GUARDS.items()),
        "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'jit')",
    )
)
"""How the held session is set up."""

POOLED: Final = ";".join(("BEGIN READ ONLY", *(f"SET LOCAL {name} = {value}" for name, value in GUARDS.items())))
"""What stands before a sample that goes through a pooler: what was SET for the session would stay with the pooler's
connection, and read-only would be whoever gets it next."""

IDENTITY: Final = "SELECT pg_catalog.pg_backend_pid()"
"""A pooler tells its clients a number of its own."""

ADMISSION: Final = f"""
SELECT
  current_user,
  rolsuper,
  rolsuper OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
  rolsuper OR pg_has_role(current_user, 'pg_read_all_settings', 'USAGE'),
  (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('server_version'),
  pg_is_in_recovery(),
  {USABLE}
FROM pg_catalog.pg_roles
WHERE rolname = current_user
"""

SECRET_SETTINGS: Final = frozenset(
    ("primary_conninfo", "ssl_passphrase_command", "archive_command", "restore_command", "archive_cleanup_command",
     "recovery_end_command")
)  # fmt: skip
"""Settings whose values may hold a password or a key; pg_monitor may read them."""


class Postgres:
    """One PostgreSQL server; see `Target`."""

    engine = "postgres"

    def __init__(self, name: str, conninfo: str) -> None:
        self.name = name
        self.version: str | None = None
        self.own: int | None = None
        self.place: str | None = None
        self.gauges = GAUGES
        self._console = Console(conninfo)
        self._is_pooled = False
        self._limits = Due()
        self._counters = Due()
        self._locks = Due()
        self._loaded_at: str | None = None

    def connect(self) -> list[str]:
        """Open the connection; returns what this role cannot see and how it got in."""
        ((own,),) = self._console.open(IDENTITY).values
        self._is_pooled = own != self._console.own
        self.own = own
        self.place = self._console.place
        ((role, is_super, sees_sessions, sees_settings, in_use, version, is_standby, usable),) = self._console.run(
            *(() if self._is_pooled else (SESSION,)), ADMISSION
        ).values
        self.version = version.split()[0]
        self._ask_for_all()
        self._loaded_at = None
        notes = []
        if self._is_pooled:
            notes.append(
                "this is a pooler in front of the server: it may have no connection to spare at the worst moment "
                "(name the server itself; the pooler has a kind of its own)"
            )
        if is_standby:
            notes.append("the server is a standby: it is in recovery")
        if not sees_sessions:
            notes.append(
                f"role {role} is not a member of pg_monitor: of other users' sessions it sees pid, user, database and "
                "application, but no state, times, client address, waits or statement (GRANT pg_monitor TO the role)"
            )
        elif not sees_settings:
            notes.append(f"role {role} is not a member of pg_monitor: some settings stay hidden")
        if in_use > usable:
            how = "as superuser" if is_super else "as a member of pg_use_reserved_connections"
            notes.append(f"the server was full ({in_use} of {usable} slots): got in by a reserved slot, {how}")
        return notes

    def _ask_for_all(self) -> None:
        self._limits.at_once()
        self._counters.at_once()

    def sample(self) -> Sample:
        """Take one sample: sessions and waiters, counters and limits when they are due."""
        statements = {"clock": CLOCK, "activity": SESSIONS}
        if self._locks.has_come():
            statements["locks"] = WAITERS
        if self._counters.has_come():
            statements["counters"] = COUNTERS
            self._counters.again_in(COUNTERS_EVERY_S)
        if self._limits.has_come():
            statements |= LIMITS
            self._limits.again_in(LIMITS_EVERY_S)
        try:
            asked = {**statements, "done": DONE}
            if self._is_pooled:
                return self._sample(self._console.fetch(asked, POOLED, "COMMIT"))
            return self._sample(self._console.fetch(asked))
        except MissedError:
            self._ask_for_all()
            raise

    def _sample(self, found: dict[str, Rows]) -> Sample:
        sampled_at, self.own, is_standby, started_at, loaded_at, usable = found.pop("clock").values[0]
        if self._loaded_at is not None and loaded_at != self._loaded_at:
            self._limits.at_once()
        self._loaded_at = loaded_at
        moment = instant(sampled_at)
        server_s = (instant(found.pop("done").values[0][0]) - moment).total_seconds()
        blocked = found["locks"].pairs("pid", "blocked_by") if "locks" in found else {}
        if blocked:
            self._locks.again_in(server_s / LOCKS_SHARE)
        activity = found["activity"]
        found["activity"] = activity.beside(("blocked_by",), ((blocked.get(pid),) for pid in activity.column("pid")))
        steady = {name: _without_secrets(name, found.pop(name)) for name in LIMITS if name in found}
        return Sample(
            moment,
            found,
            {**_gauges(activity, moment), "usable": float(usable), "waiting": float(_waiters(activity))},
            instant(started_at),
            steady,
            server_s * 1000,
            is_standby,
        )

    def abort(self) -> None:
        """Cut the connection; the thread that waits for it ends with LostError."""
        self._console.abort()

    def close(self) -> None:
        """Close the connection."""
        self._console.close()


def instant(text: str) -> datetime:
    """Return a time as PostgreSQL writes it in UTC as naive UTC.

    >>> instant("2026-11-21 03:12:00.1+00")
    datetime.datetime(2026, 11, 21, 3, 12, 0, 100000)
    """
    whole, _, fraction = text.removesuffix("+00").partition(".")
    return datetime.fromisoformat(whole).replace(microsecond=int(f"{fraction:0<6}" or 0))


def _waiters(activity: Rows) -> int:
    return activity.column("wait_event_type").count("Lock")


def _gauges(activity: Rows, moment: datetime) -> dict[Gauge, float]:
    states = zip(activity.column("state"), activity.column("state_change"), strict=True)
    resting = [since for state, since in states if since and (state or "").startswith("idle in tr")]
    age = max(((moment - instant(text)).total_seconds() for text in resting), default=0.0)
    connections = activity.column("backend_type").count("client backend")
    return {"connections": float(connections), "idle_in_transaction_age": age}


def _without_secrets(name: str, rows: Rows) -> Rows:
    if name == "settings":
        return withhold(rows, "name", ("setting", "boot_val", "reset_val"), is_secret)
    if name == "role_settings":
        at = rows.columns.index("setconfig")
        return Rows(
            rows.columns,
            [(*row[:at], [_assignment(text) for text in row[at] or ()], *row[at + 1 :]) for row in rows.values],
        )
    return rows


def _assignment(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={WITHHELD if is_secret(name) or holds_secret(value) else value}"


def is_secret(name: str) -> bool:
    """Tell whether the value of a setting may be a password or a key."""
    return name in SECRET_SETTINGS or ("." in name and sounds_secret(name))
