"""The case file: one DuckDB file that holds all evidence of an incident.

Reading opens it read-only, with external access off and no extension loaded, so that a case from a stranger is safe
to open and a notebook, a report and a DuckDB shell can look at the same time. The views of `connforensics/views` are
ours and never stored in the file: each is computed once per opened case, when a query first names it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connforensics import __version__
from connforensics.errors import CaseError, ConnforensicsError, StorageError, UsageError
from connforensics.schema import SCHEMA_VERSION, TABLES, ddl

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MEMORY_LIMIT = "400MB"
"""DuckDB's share of the 1 GB an ingest may take; beyond it DuckDB spills to disk."""

INLINED = "-- inlined"
"""First line of a view that is too large to be kept: it is expanded into each query instead."""

Parameters = Sequence[object] | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval `[since, until)` in naive UTC; an open side is None."""

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(
                f"--since {self.since:%Y-%m-%dT%H:%M:%S}Z is not before --until {self.until:%Y-%m-%dT%H:%M:%S}Z",
                "Give the earlier time to --since; times without a zone are UTC.",
            )

    @classmethod
    def parse(cls, since: str | None = None, until: str | None = None) -> Window:
        """Return the window between two ISO-8601 times; without a zone they are UTC, empty is open.

        Raises UsageError when a time is not ISO-8601 or the order is wrong.
        """
        return cls(parse_time(since, "--since"), parse_time(until, "--until"))


def parse_time(text: str | None, name: str) -> datetime | None:
    """Return an ISO-8601 time as naive UTC, None for nothing; UsageError names the option when it is neither."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{name}: {text!r} is not a time", "Write it as 2026-11-21T03:12:00Z.") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@functools.cache
def views() -> Mapping[str, str]:
    """Return the SQL of every view by name."""
    folder = resources.files("connforensics") / "views"
    return {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql") and not entry.name.startswith("_")
    }


def _macros() -> str:
    return (resources.files("connforensics") / "views" / "_macros.sql").read_text(encoding="utf-8")


class Case:
    """An opened case. Use `open_case`; it is a context manager."""

    def __init__(self, path: Path, con: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._con = con
        self._computed: set[str] = set()
        con.execute(_macros())

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def query(self, sql: str, parameters: Parameters = ()) -> pd.DataFrame:
        """Return the result of a SELECT as a DataFrame; tables and views of the case may be named."""
        return self._run(sql, parameters).df()

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Return the result of a SELECT as tuples."""
        return self._run(sql, parameters).fetchall()

    def scalar(self, sql: str, parameters: Parameters = ()) -> Any:
        """Return the first column of the first row of a SELECT, or None when there is none."""
        found = self._run(sql, parameters).fetchall()
        return found[0][0] if found else None

    def _run(self, sql: str, parameters: Parameters) -> duckdb.DuckDBPyConnection:
        """Execute, computing each view when DuckDB first misses it."""
        import duckdb

        while True:
            try:
                return self._con.execute(sql, parameters or None)
            except duckdb.CatalogException as error:
                missed = re.search(r"Table with name (\w+) does not exist", str(error))
                if missed is None or missed[1] not in views() or missed[1] in self._computed:
                    raise
                self._compute(missed[1])

    def _compute(self, name: str) -> None:
        self._computed.add(name)
        sql = views()[name]
        kind = "VIEW" if sql.startswith(INLINED) else "TABLE"
        self._run(f"CREATE TEMP {kind} {name} AS\n{sql}", ())


def connect(path: Path | str, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file locked down: no external access, no extensions, times in UTC.

    Raises CaseError when the file is missing, is not a DuckDB file, or is locked by a writer (naming it).
    """
    import duckdb

    try:
        con = duckdb.connect(
            str(path),
            read_only=read_only,
            config={
                "enable_external_access": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": MEMORY_LIMIT,
                "max_vacuum_tasks": "0",
                # Rows bear their line number; keeping them in order as well costs a fifth of an ingest.
                "preserve_insertion_order": "true" if read_only else "false",
            },
        )
    except duckdb.Error as error:
        raise _open_error(path, str(error)) from error
    [(is_locked,)] = con.execute("SELECT current_setting('lock_configuration')").fetchall()
    if not is_locked:  # a file that this process has open already is the same database
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        with contextlib.suppress(
            duckdb.InvalidInputException
        ):  # in Jupyter without ipywidgets there is none to switch off
            con.execute("SET enable_progress_bar = false")
        con.execute("SET lock_configuration = true")
    return con


def open_case(path: Path | str) -> Case:
    """Open a case read-only.

    Raises CaseError: no such file, not a DuckDB file, not a case, of a newer schema, locked by a writer.
    """
    path = Path(path)
    if not path.exists():
        raise CaseError(f"{path}: no such case", f"Make it with: connforensics ingest {path} EVIDENCE...")
    if path.is_dir():
        raise CaseError(f"{path}: is a folder, not a case", f"Ingest it first: connforensics ingest case.duckdb {path}")
    con = connect(path, read_only=True)
    try:
        _check(path, con)
    except CaseError:
        con.close()
        raise
    return Case(path, con)


def create_or_open(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a case for writing, creating it when there is none; raises as `open_case` does."""
    is_new = not path.exists()
    if is_new and not path.parent.is_dir():
        raise CaseError(f"{path}: its folder does not exist", f"Create {path.parent} first.")
    con = connect(path, read_only=False)
    try:
        if is_new:
            with storage_errors(path):
                con.execute("BEGIN")
                con.execute(ddl())
                facts = {
                    "schema_version": str(SCHEMA_VERSION),
                    "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "created_by": f"connforensics {__version__}",
                }
                for item in facts.items():
                    con.execute("INSERT INTO case_info VALUES (?, ?)", item)
                con.execute("COMMIT")
        else:
            _check(path, con)
    except ConnforensicsError:
        con.close()
        raise
    return con


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what DuckDB says of a full or failing disk into a StorageError."""
    import duckdb

    try:
        yield
    except (
        duckdb.IOException,
        duckdb.FatalException,
        duckdb.OutOfMemoryException,
        duckdb.TransactionException,
    ) as error:
        said = str(error).splitlines()[0]
        hint = "Free some space and run the same command again: what was ingested before is intact."
        if "No space left" in str(error) or "could not write" in str(error).lower():
            raise StorageError(f"{path}: the disk is full", hint) from error
        raise StorageError(f"{path}: {said}", "Check the disk; what was ingested before is intact.") from error


def _check(path: Path, con: duckdb.DuckDBPyConnection) -> None:
    found = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()}
    if "case_info" not in found:
        raise CaseError(f"{path}: a DuckDB file, but not a case", "Name a file made by `connforensics ingest`.")
    told = con.execute("SELECT value FROM case_info WHERE name = 'schema_version'").fetchall()
    version = int(told[0][0]) if told and str(told[0][0]).isdigit() else 0
    if version > SCHEMA_VERSION:
        raise CaseError(
            f"{path}: schema {version} is newer than this program's schema {SCHEMA_VERSION}",
            f"Upgrade connforensics (this is {__version__}), or ingest the evidence again.",
        )
    squatters = {name for (name,) in con.execute("SELECT view_name FROM duckdb_views() WHERE NOT temporary").fetchall()}
    squatters = (squatters | found) & views().keys()
    if squatters:
        raise CaseError(
            f"{path}: holds tables of its own under names that are ours: {', '.join(sorted(squatters))}",
            "Rename or drop them; what connforensics computes would be hidden by them.",
        )
    missing = sorted(table.name for table in TABLES if table.name not in found)
    if missing or version < SCHEMA_VERSION:
        lacks = ", ".join(missing) or f"schema version {SCHEMA_VERSION}"
        raise CaseError(f"{path}: not a whole case, it lacks {lacks}", "Ingest the evidence into a new file.")


def _open_error(path: Path | str, said: str) -> CaseError:
    holder = re.search(r"Conflicting lock is held in (.*?\(PID \d+\))", said)
    if ("lock" in said and "Conflicting" in said) or "being used by another process" in said:
        who = holder.group(1) if holder else "another process"
        return CaseError(f"{path}: being written by {who}", "Wait until it is done, or stop it.")
    if "newer version" in said or "storage version" in said.lower():
        return CaseError(f"{path}: written by a newer DuckDB", "Upgrade duckdb, or ingest the evidence again.")
    if "Permission denied" in said:
        return CaseError(f"{path}: permission denied", "Check the permissions of the file and its folder.")
    if "not a valid DuckDB" in said or "Serialization" in said or "corrupt" in said.lower():
        return CaseError(f"{path}: not a case file", "Name a file made by `connforensics ingest`.")
    return CaseError(f"{path}: cannot be opened: {said.splitlines()[0]}", "Name a file made by `connforensics ingest`.")
