"""ProxySQL, watched through its admin port: connection pool, sessions, users, counters, limits.

User: one of `admin-stats_credentials` (or `admin-admin_credentials`). The admin port has slots of its own, so a proxy
that is full lets the recorder in. It takes one statement at a time and its clock cannot be asked, so the recorder's own
is written, and said to be (https://proxysql.com/documentation/stats-statistics/). No table with passwords in it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connforensics.record.mysql_console import Console
from connforensics.record.target import (
    COUNTERS_EVERY_S,
    GAUGES,
    LIMITS_EVERY_S,
    Due,
    Gauge,
    LostError,
    MissedError,
    Rows,
    Sample,
)

EACH: Final = {
    "connection_pool": "SELECT * FROM stats_mysql_connection_pool",
    "processlist": "SELECT * FROM stats_mysql_processlist",
}
COUNTED: Final = {"users": "SELECT * FROM stats_mysql_users", "globals": "SELECT * FROM stats_mysql_global"}
STEADY: Final = {
    "variables": "SELECT variable_name, variable_value FROM global_variables WHERE variable_name LIKE 'mysql-%connection%'"
    " OR variable_name LIKE 'mysql-%timeout%' OR variable_name IN ('mysql-multiplexing', 'mysql-threads')",
    "servers": "SELECT hostgroup_id, hostname, port, status, max_connections FROM runtime_mysql_servers",
}

REFUSED: Final = ("Access_Denied_Max_Connections", "Access_Denied_Max_User_Connections")


class ProxySQL:
    """One ProxySQL; see `Target`."""

    engine = "proxysql"

    def __init__(self, name: str, parameters: Mapping[str, str], defaults_file: Path | None = None) -> None:
        self.name = name
        self.version: str | None = None
        self.own: int | None = None
        self.place: str | None = None
        self.gauges = GAUGES - {"idle_in_transaction_age", "waiting"}
        self._console = Console(parameters, defaults_file, 6032)
        self._seen: dict[str, str] = {}
        self._most: dict[tuple[str, ...], object] = {}
        self._usable: float | None = None
        self._refused: float | None = None
        self._counted = Due()
        self._limits = Due()

    def connect(self) -> list[str]:
        """Open the console; returns which tables this user cannot read."""
        connection = self._console.open()
        self.version = str(connection.get_server_info()).partition("-")[0]
        self.place = self._console.place
        self._ask_for_all()
        self._refused = None
        notes = []
        self._seen = {}
        for stream, statement in (EACH | COUNTED | STEADY).items():
            try:
                self._console.fetch({stream: statement})
            except MissedError as error:
                notes.append(f"{stream} is not seen: {error.text}")
            else:
                self._seen[stream] = statement
        if "connection_pool" not in self._seen:
            raise LostError("this is no admin port of ProxySQL, or its user may not read stats_mysql_connection_pool")
        return notes

    def _ask_for_all(self) -> None:
        self._counted.at_once()
        self._limits.at_once()

    def sample(self) -> Sample:
        """Take one sample; counters and limits when they are due."""
        wanted = dict(EACH)
        if self._limits.has_come():
            wanted |= STEADY
            self._limits.again_in(LIMITS_EVERY_S)
        if self._counted.has_come():
            wanted |= COUNTED
            self._counted.again_in(COUNTERS_EVERY_S)
        try:
            found = {
                name: self._console.fetch({name: statement})[name]
                for name, statement in wanted.items()
                if name in self._seen
            }
        except MissedError:
            self._ask_for_all()
            raise
        steady = {name: found.pop(name) for name in STEADY if name in found}
        if "servers" in steady:
            self._most = {tuple(map(str, row[:3])): row[4] for row in steady["servers"].values}
        if "variables" in steady:
            told = dict(steady["variables"].values)
            self._usable = float(told["mysql-max_connections"]) if "mysql-max_connections" in told else None
        pool = found["connection_pool"]
        places = zip(*(map(str, pool.column(name)) for name in ("hostgroup", "srv_host", "srv_port")), strict=True)
        found["connection_pool"] = pool.beside(("max_connections",), ((self._most.get(place),) for place in places))
        return Sample(None, found, self._gauges(found), None, steady)

    def _gauges(self, found: Mapping[str, Rows]) -> dict[Gauge, float]:
        gauges: dict[Gauge, float] = {}
        if "processlist" in found:
            gauges["connections"] = float(len(found["processlist"].values))
        if self._usable is not None:
            gauges["usable"] = self._usable
        if "globals" in found:
            told = dict(found["globals"].values)
            refused = sum(float(told.get(name, 0)) for name in REFUSED)
            if self._refused is not None:
                gauges["refusals"] = max(refused - self._refused, 0.0)
            self._refused = refused
        return gauges

    def abort(self) -> None:
        """Cut the connection."""
        self._console.abort()

    def close(self) -> None:
        """Close the connection."""
        self._console.close()
