"""The tables of a case, said once: the DDL, the comments in the file and the data dictionary come from here.

Every `*_at` is a UTC `TIMESTAMP`; units are suffixes; NULL means "not told by the evidence", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCHEMA_VERSION: Final = 1

Type = Literal["BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN", "TIMESTAMP", "MAP(VARCHAR, VARCHAR)", "VARCHAR[]"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, DuckDB type, and what it says; `compression` where DuckDB's own search for one costs too much."""

    name: str
    type: Type
    says: str
    compression: str | None = None

    @property
    def declared(self) -> str:
        """The column as `CREATE TABLE` takes it."""
        return f"{self.name} {self.type}" + (f" USING COMPRESSION {self.compression}" if self.compression else "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its grain (what one row is), its columns."""

    name: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(column.name for column in self.columns)


def _cite(grain: str) -> tuple[Column, Column]:
    return (
        Column("source_id", "INTEGER", "the source this comes from"),
        Column("line_no", "BIGINT", f"physical line of the unpacked source, from 1, where {grain} begins"),
    )


SERVER = Column("server", "VARCHAR", "which server or pooler of the case, where several are told apart")
ENGINE = Column("engine", "VARCHAR", "postgres, mysql, mariadb, pgbouncer, proxysql, or the pool's library")
USER = Column("user_name", "VARCHAR", "database user or role")
DATABASE = Column("database_name", "VARCHAR", "database or schema of the session")
APPLICATION = Column("application_name", "VARCHAR", "what the client calls itself; NULL where unset")
HOST = Column("client_host", "VARCHAR", "client address or name; [local] for a Unix socket")
PORT = Column("client_port", "INTEGER", "client TCP port")

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "case_info",
        "one fact about the case file itself",
        (Column("name", "VARCHAR", "schema_version, created_at, created_by"), Column("value", "VARCHAR", "its value")),
    ),
    Table(
        "source",
        "one file of evidence",
        (
            Column("source_id", "INTEGER", "number of the source in this case"),
            Column("path", "VARCHAR", "path as handed in, relative to the folder that was ingested"),
            Column("sha256", "VARCHAR", "SHA-256 of the file as it lay on disk"),
            Column("bytes", "BIGINT", "size of that file"),
            Column("container", "VARCHAR", "what it was packed in, outermost first: gzip, utf-16, ..."),
            Column("wrapper", "VARCHAR", "what surrounded each line, outermost first: docker_json, syslog, ..."),
            Column(
                "format",
                "VARCHAR",
                "name of the format it was read as, of several if it has parts; 'unknown' if none fits",
            ),
            Column("certainty", "DOUBLE", "how sure identification was, 0 to 1"),
            Column("engine", "VARCHAR", "engine that wrote it, where told"),
            Column("version", "VARCHAR", "version of that engine, where told"),
            SERVER,
            Column("lines", "BIGINT", "physical lines of the unpacked source"),
            Column("understood", "BIGINT", "lines that became rows of this case"),
            Column("ignored", "BIGINT", "lines that were recognised and say nothing about connections"),
            Column("unknown", "BIGINT", "lines that were not recognised"),
            Column("duplicates", "BIGINT", "events not stored again because an earlier source holds the same ones"),
            Column("suspects", "BIGINT", "unknown lines that mention connections: what may have been missed"),
            Column("first_at", "TIMESTAMP", "earliest time among the lines that bear one"),
            Column("last_at", "TIMESTAMP", "latest time among the lines that bear one"),
            Column("clock_offset_s", "DOUBLE", "estimated offset of this source's clock against the case; not applied"),
            Column("is_truncated", "BOOLEAN", "the container ended before its end mark"),
            Column("ingested_at", "TIMESTAMP", "when it was read"),
        ),
    ),
    Table(
        "assumption",
        "one thing the loader had to assume about a source",
        (Column("source_id", "INTEGER", "the source"), Column("text", "VARCHAR", "the assumption, as a sentence")),
    ),
    Table(
        "unknown_line",
        "one example of a line that was not recognised (the first ones of each source)",
        (*_cite("it"), Column("text", "VARCHAR", "the line, at most 500 characters")),
    ),
    Table(
        "event",
        "one typed line of a log",
        (
            *_cite("it"),
            Column("event_at", "TIMESTAMP", "when the writer says it happened; NULL where the line bears no time"),
            SERVER,
            ENGINE,
            Column("kind", "VARCHAR", "event kind of the vocabulary"),
            Column("reason", "VARCHAR", "which of the kind's reasons"),
            Column("severity", "VARCHAR", "severity in English (LOG, FATAL, WARNING, ...)"),
            Column("sqlstate", "VARCHAR", "SQLSTATE, where written or fixed by the text"),
            Column("error_code", "VARCHAR", "the engine's own error number, where written"),
            Column("backend_id", "BIGINT", "PostgreSQL pid or MySQL connection id"),
            Column("session_key", "VARCHAR", "the writer's own session id (PostgreSQL %c), where written"),
            USER,
            DATABASE,
            APPLICATION,
            HOST,
            PORT,
            Column("duration_ms", "DOUBLE", "session time, lock wait or statement duration, where told"),
            Column("detail", "VARCHAR", "DETAIL line or the variable part that the kind needs"),
            Column("text", "VARCHAR", "the first line of the record as written", compression="zstd"),
        ),
    ),
    Table(
        "backend_sample",
        "one backend in one snapshot",
        (
            *_cite("it"),
            Column("sampled_at", "TIMESTAMP", "when the snapshot was taken: one instant for all its rows"),
            SERVER,
            ENGINE,
            Column("backend_id", "BIGINT", "PostgreSQL pid or MySQL connection id"),
            USER,
            DATABASE,
            APPLICATION,
            HOST,
            PORT,
            Column(
                "backend_type", "VARCHAR", "client backend, walsender, autovacuum worker, ...; NULL before version 10"
            ),
            Column("backend_start_at", "TIMESTAMP", "when the backend started"),
            Column("xact_start_at", "TIMESTAMP", "when its transaction began; NULL outside one"),
            Column("query_start_at", "TIMESTAMP", "when its current or last statement began"),
            Column("state_change_at", "TIMESTAMP", "when its state last changed"),
            Column("state", "VARCHAR", "active, idle, idle in transaction, ... in PostgreSQL's words"),
            Column("command", "VARCHAR", "MySQL's Command column"),
            Column("wait_event_type", "VARCHAR", "PostgreSQL's wait_event_type"),
            Column("wait_event", "VARCHAR", "PostgreSQL's wait_event, or MySQL's State"),
            Column("blocked_by", "VARCHAR", "backend ids in front of it, comma separated, where recorded"),
            Column("query_id", "VARCHAR", "the server's query identifier"),
            Column("query", "VARCHAR", "statement text as recorded"),
        ),
    ),
    Table(
        "pool_sample",
        "one connection pool at one instant",
        (
            *_cite("it"),
            Column("sampled_at", "TIMESTAMP", "when"),
            Column("service", "VARCHAR", "the program that owns the pool"),
            Column("instance", "VARCHAR", "which of its processes"),
            Column("pool", "VARCHAR", "the pool's name"),
            Column("max_size", "DOUBLE", "connections it may open, overflow included where told"),
            Column("size", "DOUBLE", "connections it holds"),
            Column("checked_out", "DOUBLE", "connections lent out"),
            Column("idle", "DOUBLE", "connections at rest"),
            Column("overflow", "DOUBLE", "connections above the pool's own size"),
            Column("waiting", "DOUBLE", "callers waiting for a connection"),
            Column("acquire_ms", "DOUBLE", "time to get one, as told by the pool"),
            Column("timeouts", "DOUBLE", "callers who gave up; a counter where the source counts"),
        ),
    ),
    Table(
        "metric_sample",
        "one number of a time series",
        (
            *_cite("it"),
            Column("sampled_at", "TIMESTAMP", "when"),
            SERVER,
            Column("name", "VARCHAR", "canonical name; `workers` is the worker count of a service"),
            Column("labels", "MAP(VARCHAR, VARCHAR)", "labels; `service` for workers"),
            Column("value", "DOUBLE", "the number; NULL where the source says NaN"),
        ),
    ),
    Table(
        "setting",
        "one setting of a server as the evidence shows it",
        (
            *_cite("it"),
            SERVER,
            ENGINE,
            Column("name", "VARCHAR", "the server's own name of it"),
            Column("value", "VARCHAR", "its value as text"),
            Column("unit", "VARCHAR", "its unit, where told"),
            Column("valid_at", "TIMESTAMP", "when it was seen; NULL where the source bears no time"),
        ),
    ),
)

BY_NAME: Final = {table.name: table for table in TABLES}

EVIDENCE_TABLES: Final = ("event", "backend_sample", "pool_sample", "metric_sample", "setting")


def quoted(text: str | None) -> str:
    """Return a text as SQL literal.

    >>> quoted("it's")
    "'it''s'"
    """
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def ddl() -> str:
    """Return the statements that create and comment every table."""
    statements: list[str] = []
    for table in TABLES:
        columns = ",\n".join(f"  {column.declared}" for column in table.columns)
        statements.append(f"CREATE TABLE {table.name} (\n{columns}\n)")
        statements.append(f"COMMENT ON TABLE {table.name} IS {quoted('One row is ' + table.grain + '.')}")
        statements += [
            f"COMMENT ON COLUMN {table.name}.{column.name} IS {quoted(column.says)}" for column in table.columns
        ]
    return ";\n".join(statements) + ";\n"


def dictionary() -> str:
    """Return the data dictionary as Markdown."""
    parts = []
    for table in TABLES:
        rows = "\n".join(f"| `{column.name}` | {column.type} | {column.says} |" for column in table.columns)
        parts.append(
            f"### `{table.name}`\n\nOne row is {table.grain}.\n\n| column | type | says |\n| --- | --- | --- |\n{rows}\n"
        )
    return "\n".join(parts)
