"""PgBouncer, watched through its admin console: pools, clients, servers, statistics, limits.

User: one of `stats_users` (or `admin_users`). The console lets them in whatever max_client_conn says. It knows no
transactions and takes one command at a time, so a sample is one round trip a command; it has no clock to ask either, so
the recorder's own is written, and said to be (https://www.pgbouncer.org/usage.html#admin-console).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from connforensics.record.postgres import cut, first_line, read_as_text, refusal
from connforensics.record.target import (
    ANSWER_TIMEOUT_S,
    APPLICATION,
    CONNECT_TIMEOUT_S,
    COUNTERS_EVERY_S,
    LIMITS_EVERY_S,
    LostError,
    MissedError,
    Rows,
    Sample,
)

EACH: Final = {"pools": "SHOW POOLS", "clients": "SHOW CLIENTS", "servers": "SHOW SERVERS"}
COUNTED: Final = {"stats": "SHOW STATS", "databases": "SHOW DATABASES"}
STEADY: Final = {"config": "SHOW CONFIG"}

CONSOLE: Final = "pgbouncer"
"""The console's database; in the list of pools it is the recorder's own."""


class PgBouncer:
    """One PgBouncer; see `Target`."""

    engine = "pgbouncer"

    def __init__(self, name: str, conninfo: str) -> None:
        self.name = name
        self.version: str | None = None
        self.own: int | None = None
        self._conninfo = conninfo
        self._connection: Any = None
        self._counted_due = 0.0
        self._limits_due = 0.0
        self._sizes: dict[Any, Any] = {}
        self._most: float | None = None

    def connect(self) -> list[str]:
        """Open the console."""
        import psycopg

        self.close()
        given = psycopg.conninfo.conninfo_to_dict(self._conninfo)
        defaults = {
            "dbname": CONSOLE,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 5,
            "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1000),
        }
        options: dict[str, Any] = {**defaults, **given, "application_name": APPLICATION}
        try:
            self._connection = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
            read_as_text(self._connection)
            told = self._connection.execute("SHOW VERSION").fetchone()
        except psycopg.Error as error:
            self.close()
            raise refusal(error) from None
        words = str(told[0]).split() if told else []
        self.version = words[1] if len(words) > 1 else None
        self._counted_due = self._limits_due = 0.0
        return []

    def sample(self) -> Sample:
        """Take one sample; statistics, databases and settings when they are due."""
        import psycopg

        if self._connection is None:
            raise LostError("not connected")
        monotonic = time.monotonic()
        commands = dict(EACH)
        if monotonic >= self._counted_due:
            commands |= COUNTED
            self._counted_due = monotonic + COUNTERS_EVERY_S
        if monotonic >= self._limits_due:
            commands |= STEADY
            self._limits_due = monotonic + LIMITS_EVERY_S
        try:
            found = {name: self._show(command) for name, command in commands.items()}
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                self.close()
                raise LostError(first_line(error), error.sqlstate) from None
            raise MissedError(first_line(error), error.sqlstate) from None
        return self._sample(found)

    def _show(self, command: str) -> Rows:
        cursor = self._connection.execute(command)
        return Rows(tuple(column.name for column in cursor.description), cursor.fetchall())

    def _sample(self, found: dict[str, Rows]) -> Sample:
        steady: Mapping[str, Rows] = {name: found.pop(name) for name in STEADY if name in found}
        if "databases" in found:
            self._sizes = _pairs(found["databases"], "name", "pool_size")
        if "config" in steady:
            most = _pairs(steady["config"], "key", "value").get("max_client_conn")
            self._most = float(most) if most else None
        pools = found["pools"]
        database = pools.columns.index("database")
        found["pools"] = Rows(
            (*pools.columns, "pool_size"), [(*row, self._sizes.get(row[database])) for row in pools.values]
        )
        if any(row[database] not in self._sizes for row in pools.values):
            # A database that `*` stands for is listed once somebody has asked for it.
            self._counted_due = 0.0
        waiting = pools.columns.index("cl_waiting")
        return Sample(
            None,
            found,
            {
                "connections": float(len(found["clients"].values)),
                "waiting": float(sum(int(row[waiting]) for row in pools.values)),
                **({"usable": self._most} if self._most else {}),
            },
            None,
            steady,
        )

    def abort(self) -> None:
        """Cut the connection."""
        connection = self._connection
        with contextlib.suppress(Exception):
            cut(connection.pgconn.socket)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _pairs(rows: Rows, key: str, value: str) -> dict[Any, Any]:
    first, second = rows.columns.index(key), rows.columns.index(value)
    return {row[first]: row[second] for row in rows.values}
