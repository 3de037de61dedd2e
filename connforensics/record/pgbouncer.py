"""PgBouncer, watched through its admin console: pools, clients, servers, statistics, limits.

User: one of `stats_users` (or `admin_users`). The console lets them in whatever max_client_conn says. It knows no
transactions and takes one command at a time, so a sample is one round trip a command; it has no clock to ask either, so
the recorder's own is written, and said to be (https://www.pgbouncer.org/usage.html#admin-console).
"""

from __future__ import annotations

from typing import Any, Final

from connforensics.record.postgres_console import Console
from connforensics.record.secrets import sounds_secret, withhold
from connforensics.record.target import COUNTERS_EVERY_S, GAUGES, LIMITS_EVERY_S, Due, MissedError, Rows, Sample

EACH: Final = {"pools": "SHOW POOLS", "clients": "SHOW CLIENTS", "servers": "SHOW SERVERS"}
COUNTED: Final = {"stats": "SHOW STATS", "databases": "SHOW DATABASES"}
STEADY: Final = {"config": "SHOW CONFIG"}

DATABASE: Final = "pgbouncer"
"""The console's database; in the list of pools it is the recorder's own."""


class PgBouncer:
    """One PgBouncer; see `Target`."""

    engine = "pgbouncer"

    def __init__(self, name: str, conninfo: str) -> None:
        self.name = name
        self.version: str | None = None
        self.own: int | None = None
        self.place: str | None = None
        self.gauges = GAUGES - {"idle_in_transaction_age"}
        self._console = Console(conninfo, dbname=DATABASE)
        self._counted = Due()
        self._limits = Due()
        self._sizes: dict[Any, Any] = {}
        self._most: float | None = None

    def connect(self) -> list[str]:
        """Open the console."""
        words = str(self._console.open("SHOW VERSION").values[0][0]).split()
        self.version = words[1] if len(words) > 1 else None
        self.place = self._console.place
        self._ask_for_all()
        return []

    def _ask_for_all(self) -> None:
        self._counted.at_once()
        self._limits.at_once()

    def sample(self) -> Sample:
        """Take one sample; statistics, databases and settings when they are due."""
        commands = dict(EACH)
        if self._counted.has_come():
            commands |= COUNTED
            self._counted.again_in(COUNTERS_EVERY_S)
        if self._limits.has_come():
            commands |= STEADY
            self._limits.again_in(LIMITS_EVERY_S)
        try:
            found = {name: self._console.fetch({name: command})[name] for name, command in commands.items()}
        except MissedError:
            self._ask_for_all()
            raise
        return self._sample(found)

    def _sample(self, found: dict[str, Rows]) -> Sample:
        steady = {name: found.pop(name) for name in STEADY if name in found}
        if "databases" in found:
            self._sizes = found["databases"].pairs("name", "pool_size")
        if "config" in steady:
            steady["config"] = withhold(steady["config"], "key", ("value", "default"), is_secret)
            most = steady["config"].pairs("key", "value").get("max_client_conn")
            self._most = float(most) if most else None
        pools = found["pools"]
        databases = pools.column("database")
        found["pools"] = pools.beside(("pool_size",), ((self._sizes.get(name),) for name in databases))
        if any(name not in self._sizes for name in databases):
            # A database that `*` stands for is listed once somebody has asked for it.
            self._counted.at_once()
        return Sample(
            None,
            found,
            {
                "connections": float(len(found["clients"].values)),
                "waiting": float(sum(map(int, pools.column("cl_waiting")))),
                **({"usable": self._most} if self._most else {}),
            },
            None,
            steady,
        )

    def abort(self) -> None:
        """Cut the connection."""
        self._console.abort()

    def close(self) -> None:
        """Close the connection."""
        self._console.close()


def is_secret(key: str) -> bool:
    """Tell whether the value of a setting may hold a password; the options of LDAP hold the one to bind with."""
    return sounds_secret(key) or key.startswith("auth_ldap")
