"""What the stage asks of a server, the same of each engine: users, doors, limits, logs, and where sessions really ended.

On PostgreSQL several services may share a role, since each says its application_name. MariaDB and MySQL know a session
by its user and address alone: there every service has a user of its own name, and every instance an address.
"""

from __future__ import annotations

import re
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from tests.lab.driver import Door
from tests.lab.mariadb import MariaDB
from tests.lab.mysql import MySQL
from tests.lab.postgres import TRUST_RULES, Postgres
from tests.lab.service import ROWS, Service

DATABASE = "shop"
RECORDER_USER = "monitor"

POSTGRES_SCHEMA = (
    f"CREATE TABLE orders AS SELECT id, id % 100 AS customer, 0 AS total FROM generate_series(0, {ROWS - 1}) AS id",
    "ALTER TABLE orders ADD PRIMARY KEY (id), SET (fillfactor = 50)",
    "CREATE INDEX ON orders (customer)",
    "GRANT ALL ON orders TO PUBLIC",
)

MYSQL_SCHEMA = (
    f"CREATE DATABASE {DATABASE}",
    f"CREATE TABLE {DATABASE}.orders (id INT PRIMARY KEY, customer INT NOT NULL, total INT NOT NULL, KEY (customer))"
    " ENGINE=InnoDB",
    f"INSERT INTO {DATABASE}.orders VALUES " + ", ".join(f"({number}, {number % 100}, 0)" for number in range(ROWS)),
    f"CREATE USER '{RECORDER_USER}'@'%'",
    f"GRANT PROCESS ON *.* TO '{RECORDER_USER}'@'%'",
    f"GRANT SELECT ON performance_schema.* TO '{RECORDER_USER}'@'%'",
    f"GRANT SELECT (user, host, max_user_connections) ON mysql.user TO '{RECORDER_USER}'@'%'",
)


class _WithFewFiles(MySQL):
    """A MySQL that may open so many files, as a service manager allows it."""

    def __init__(self, files: int, **options: object) -> None:
        super().__init__(**options)
        self.files = files

    def _command(self) -> list[str]:
        return ["prlimit", f"--nofile={self.files}", *super()._command()]


class Engine(ABC):
    """A server on the stage."""

    name: ClassVar[str]
    title: ClassVar[str]
    recorded_as: ClassVar[Literal["postgres", "mysql"]]
    server: Any

    @property
    @abstractmethod
    def logs(self) -> Mapping[str, Path]:
        """Its logs, by the name they have in the evidence."""

    def enter(self) -> None:
        """Start it, with the tables that services work on."""
        self.server.__enter__()
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Make database, tables and the recorder's user."""

    @abstractmethod
    def add_users(self, names: Sequence[str], options: str) -> None:
        """Make users that may work on the tables."""

    @abstractmethod
    def door(self, service: Service, number: int, instance: int, port: int | None = None) -> Door:
        """The door of one instance of a service; both are numbered from 1."""

    @abstractmethod
    def limits(self) -> dict[str, int]:
        """max_connections and what of it clients without privileges can get (`usable`), as the server says now."""

    @abstractmethod
    def version(self) -> str:
        """What the server says it is."""

    @abstractmethod
    def recorded_at(self) -> str:
        """The address to give the recorder."""

    @abstractmethod
    def session_ends(self) -> dict[int, list[float]]:
        """By session number: when the server's log says that it ended."""

    def sessions_of(self, user: str) -> list[tuple[float, str, int]]:
        """Of a client that keeps no books: time, open or close, session number, from the server's log of all its life."""
        raise NotImplementedError(f"{self.name} does not log sessions")

    def restart(self, pause_s: float) -> None:
        """Stop as an operator does, wait, start on the same port with the same logs."""
        self.server.end(signal.SIGINT if self.recorded_as == "postgres" else signal.SIGTERM)
        time.sleep(pause_s)
        self.server.start()


class OnPostgres(Engine):
    """PostgreSQL of a major version."""

    name = "postgres"
    title = "PostgreSQL"
    recorded_as = "postgres"

    def __init__(self, version: int, settings: Mapping[str, object], rules: Sequence[str] = TRUST_RULES) -> None:
        self.server = Postgres(version, **settings, hba=rules)

    @property
    def logs(self) -> Mapping[str, Path]:
        return {"postgresql.log": self.server.log_path}

    def prepare(self) -> None:
        self.server.run(f"CREATE DATABASE {DATABASE}", f"CREATE ROLE {RECORDER_USER} LOGIN IN ROLE pg_monitor")
        self.server.run(*POSTGRES_SCHEMA, dbname=DATABASE)

    def add_users(self, names: Sequence[str], options: str) -> None:
        self.server.run(*(f"CREATE ROLE {name} LOGIN {options}" for name in names))

    def door(self, service: Service, number: int, instance: int, port: int | None = None) -> Door:
        return Door("postgres", "127.0.0.1", port or self.server.port, service.user, service.database, service.name)

    def limits(self) -> dict[str, int]:
        settings = self.server.settings
        reserved = {"reserved": int(str(settings.get("reserved_connections", 0)))}
        return {
            "max_connections": int(str(settings["max_connections"])),
            "superuser_reserved": int(str(settings["superuser_reserved_connections"])),
            **{name: slots for name, slots in reserved.items() if slots},
            "usable": self.server.usable,
        }

    def version(self) -> str:
        with self.server.connect() as connection:
            return str(connection.execute("SHOW server_version").fetchone()[0])

    def recorded_at(self) -> str:
        return f"host=127.0.0.1 port={self.server.port} user={RECORDER_USER} dbname=postgres sslmode=disable"

    def session_ends(self) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        log = self.server.log_text()
        for stamp, pid in re.findall(r"^(\S+ \S+) UTC \[(\d+)\] .*LOG:  disconnection:", log, re.MULTILINE):
            found.setdefault(int(pid), []).append(_at(stamp))
        return found

    def sessions_of(self, user: str) -> list[tuple[float, str, int]]:
        said = r"^(\S+ \S+) UTC \[(\d+)\] .*LOG:  (connection authorized: |disconnection: .*)user=" + user + r"\b"
        found = re.findall(said, self.server.log_text(), re.MULTILINE)
        return [(_at(stamp), "close" if what[0] == "d" else "open", int(pid)) for stamp, pid, what in found]


class OnMySQL(Engine):
    """MySQL 5.6. `files`: how many files it may open, for it lowers max_connections to what they suffice for."""

    name = "mysql"
    title = "MySQL"
    recorded_as = "mysql"
    KIND: ClassVar[type[MySQL]] = MySQL
    USUAL: ClassVar[dict[str, object]] = {"general_log": 0, "long_query_time": 1, "performance_schema": "ON"}

    def __init__(self, settings: Mapping[str, object], files: int | None = None) -> None:
        told = {**self.USUAL, **settings}
        self.server = self.KIND(**told) if files is None else _WithFewFiles(files, **told)

    @property
    def logs(self) -> Mapping[str, Path]:
        return {f"{self.name}-error.log": self.server.error_log, f"{self.name}-slow.log": self.server.slow_log}

    def prepare(self) -> None:
        self.server.run(*MYSQL_SCHEMA)
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT host FROM mysql.user WHERE user = ''")
            for (host,) in cursor.fetchall():
                cursor.execute(f"DROP USER ''@'{host}'")

    def add_users(self, names: Sequence[str], options: str) -> None:
        for name in names:
            self.server.run(f"GRANT ALL ON {DATABASE}.* TO '{name}'@'%' IDENTIFIED BY '' {options}")

    def door(self, service: Service, number: int, instance: int, port: int | None = None) -> Door:
        source = f"127.0.{number}.{instance}"
        return Door("mysql", "127.0.0.1", port or self.server.port, service.name, DATABASE, service.name, source)

    def limits(self) -> dict[str, int]:
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@max_connections")
            most = int(cursor.fetchone()[0])
        return {"max_connections": most, "usable": most}

    def version(self) -> str:
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            return str(cursor.fetchone()[0])

    def recorded_at(self) -> str:
        return f"mysql://{RECORDER_USER}@127.0.0.1:{self.server.port}/?ssl_disabled=true"

    def session_ends(self) -> dict[int, list[float]]:
        """From `Aborted connection` lines, which have whole seconds: when a session was seen to be dropped."""
        found: dict[int, list[float]] = {}
        log = self.server.error_log.read_text(errors="replace")
        for day, time_of_day, number in re.findall(
            r"^(\d{4}-\d\d-\d\d) +(\S+) .*Aborted connection (\d+) to db", log, re.MULTILINE
        ):
            at = datetime.strptime(f"{day} {time_of_day}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
            found.setdefault(int(number), []).append(at)
        return found


class OnMariaDB(OnMySQL):
    """MariaDB 10.11."""

    name = "mariadb"
    title = "MariaDB"
    KIND = MariaDB
    USUAL: ClassVar[dict[str, object]] = {
        "general_log": 0,
        "long_query_time": 1,
        "log_warnings": 2,
        "plugin_maturity": "unknown",
        "plugin_load_add": "metadata_lock_info",
    }


def of(scenario: Any, version: int | None = None) -> Engine:
    """The engine a scenario is played on: its ENGINE, VERSION, SERVER (settings), HBA, FILES."""
    engine = getattr(scenario, "ENGINE", "postgres")
    if engine == "postgres":
        rules = getattr(scenario, "HBA", TRUST_RULES)
        return OnPostgres(version or getattr(scenario, "VERSION", 15), scenario.SERVER, rules)
    kind = OnMariaDB if engine == "mariadb" else OnMySQL
    return kind(scenario.SERVER, getattr(scenario, "FILES", None))


def _at(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
