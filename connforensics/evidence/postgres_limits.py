"""What PostgreSQL allows a role or a database: connection limits, and settings of their own.

Obtained from `pg_roles` (or `pg_authid`: `rolname`, `rolconnlimit`), `pg_database` (`datname`, `datconnlimit`) and
`pg_db_role_setting` (`setconfig`), as CSV or pasted in any shape, or from psql's `\\drds`. Each becomes a setting
`role.NAME.connection_limit`, `database.NAME.connection_limit`, `role.NAME.PARAMETER` and so on; of a role in one database
`role.NAME.database.NAME.PARAMETER`. A limit of -1 is none and is kept as such.

https://www.postgresql.org/docs/current/view-pg-roles.html
https://www.postgresql.org/docs/current/catalog-pg-database.html
https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, tables, times

if TYPE_CHECKING:
    import duckdb

ALIASES: Final = {
    "valid_at": times.COLUMNS,
    "role": ("rolname", "role", "usename", "role_name", "setrole", "user", "name"),
    "database": ("datname", "database", "database_name", "setdatabase", "name"),
    "role_limit": ("rolconnlimit",),
    "database_limit": ("datconnlimit",),
    "settings": ("setconfig", "rolconfig", "useconfig", "settings"),
}

KEEP: Final = frozenset(alias for known in ALIASES.values() for alias in known)

MARKS: Final = frozenset(("rolconnlimit", "datconnlimit", "setconfig", "rolconfig", "useconfig"))
"""Names that only PostgreSQL's catalogues have."""

_SETTING = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}\n]+)')


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is one of the catalogues of roles, databases or their settings."""
    present = frozenset(names)
    if {"role", "database", "settings"} == present:
        return True
    if not present & MARKS:
        return False
    found = tables.match(names, ALIASES)
    return "role" in found or "database" in found


def certainty(head: Head) -> float:
    """Return how sure a head shows limits: by the names of the catalogues."""
    layout = tables.find(head.lines, accepts)
    return 0.95 * (0.4 + 0.6 * layout.fit) if layout is not None else 0.0


def read(reading: Reading) -> None:
    """Store a setting for each limit and each setting of a role or database."""
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts, KEEP):
            store(reading, con, frame)


def store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    """Store the rows of a frame whose header `accepts`."""
    found = tables.match(frame.names, {**ALIASES, "database": ("datname", "database", "database_name", "setdatabase")})
    if "database_limit" in found and "role_limit" not in found:
        found = tables.match(frame.names, {name: ALIASES[name] for name in ("valid_at", "database", "database_limit")})
    told = f"c{found['valid_at']}" if "valid_at" in found else "told"
    moments = tables.moments(con, frame.rows, told, reading.options.timezone).to_pylist()
    named = times.in_name(reading.head.name, reading.options.timezone)
    entries: list[tuple[int, str, str, object]] = []
    is_good = []
    for index, row in enumerate(frame.rows.to_pylist()):
        cells = {target: row[f"c{column}"] for target, column in found.items()}
        facts = list(_facts(cells))
        is_good.append(bool(facts) or cells.get("role") is not None or cells.get("database") is not None)
        entries += [(row["line_no"], name, value, moments[index] or named) for name, value in facts]
    kept = pa.array(is_good, pa.bool_())
    reading.ledger.understood += tables.lines_of(frame.rows.filter(kept))
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(kept)))
    if not entries:
        return
    rows = pa.table(
        {
            "line_no": pa.array([line_no for line_no, _, _, _ in entries], pa.int64()),
            "name": pa.array([name for _, name, _, _ in entries], pa.string()),
            "value": pa.array([value for _, _, value, _ in entries], pa.string()),
            "unit": pa.nulls(len(entries), pa.string()),
            "valid_at": pa.array([moment for _, _, _, moment in entries], tables.MOMENT),
        }
    )
    extent = pc.min_max(rows["valid_at"]).as_py()
    reading.ledger.saw(extent["min"], extent["max"])
    reading.insert("setting", rows)


def _facts(cells: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield names and values of the settings that a row tells."""
    role, database = cells.get("role"), cells.get("database")
    whose = (f"role.{role}." if role and role != "0" else "") + (
        f"database.{database}." if database and database != "0" else ""
    )
    for target, prefix in (("role_limit", f"role.{role}."), ("database_limit", f"database.{database}.")):
        limit = cells.get(target)
        if (
            limit is not None
            and re.fullmatch(r"-?\d+", limit)
            and None not in (role if target == "role_limit" else database,)
        ):
            yield f"{prefix}connection_limit", limit
    for quoted, bare in _SETTING.findall(cells.get("settings") or ""):
        name, equals, value = (quoted.replace('\\"', '"') or bare).strip().partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][\w.]*", name):
            yield f"{whose or 'role.*.'}{name.lower()}", value.strip()


FORMAT = Format(
    name="postgres_limits",
    engine="postgres",
    tables=("setting",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "rolname,rolsuper,rolcanlogin,rolconnlimit,rolconfig\napp_web,f,t,50,\n"
            'app_batch,f,t,-1,"{idle_in_transaction_session_timeout=60s,""search_path=a, b""}"\n',
            {
                "setting": (
                    {"line_no": 2, "engine": "postgres", "name": "role.app_web.connection_limit", "value": "50"},
                    {"line_no": 3, "name": "role.app_batch.connection_limit", "value": "-1"},
                    {"line_no": 3, "name": "role.app_batch.idle_in_transaction_session_timeout", "value": "60s"},
                    {"line_no": 3, "name": "role.app_batch.search_path", "value": "a, b"},
                )
            },
            name="roles.csv",
        ),
        Sample(
            "  datname  | datconnlimit | datallowconn \n-----------+--------------+--------------\n"
            " shop      |          120 | t\n template0 |           -1 | f\n(2 rows)\n\n"
            "                 List of settings\n  Role   | Database |                Settings\n"
            "---------+----------+------------------------------------------\n"
            " app_web | shop     | idle_in_transaction_session_timeout=1min+\n         |          | statement_timeout=30s\n"
            " app_web |          | lock_timeout=2s\n(2 rows)\n",
            {
                "setting": (
                    {"line_no": 3, "name": "database.shop.connection_limit", "value": "120"},
                    {"line_no": 4, "name": "database.template0.connection_limit", "value": "-1"},
                    {"line_no": 10, "name": "role.app_web.database.shop.idle_in_transaction_session_timeout", "value": "1min"},
                    {"line_no": 10, "name": "role.app_web.database.shop.statement_timeout", "value": "30s"},
                    {"line_no": 12, "name": "role.app_web.lock_timeout", "value": "2s"},
                )
            },
            name="limits.txt",
        ),
    ),
)  # fmt: skip
