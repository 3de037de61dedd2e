"""The consoles of poolers: what their tables have in common, whatever client wrote them down.

A `View` is one table of a console, known by the names of its columns. `read` hands the rows of each table to its view,
with the time of the snapshot as `sampled_at`: a column with the time, else the time written above the table, else, in a
file of one snapshot, the time in the file's name, else what the view says is the least it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Head, Reading, tables, times

if TYPE_CHECKING:
    import duckdb

TIME: Final[dict[str, tuple[str, ...]]] = {"sampled_at": times.COLUMNS}
SERVERS: Final = ("server", "server_name", "pgbouncer", "proxysql", "bouncer", "instance")
"""Names people give the column that says which pooler a row is of."""


@dataclass(frozen=True)
class View:
    """One table of a console.

    It is one that has all of `needs` and none of `lacks` among its columns. `rows` returns, by table of the case, the
    SELECTs over `frame` that make rows of it (`frame` has `line_no`, `sampled_at`, `server` and the cells `c0`, `c1`,
    ...); none says that the table tells nothing. `latest` are columns with times that have passed when the snapshot was
    taken. `certainty` is how sure the columns are.
    """

    name: str
    needs: frozenset[str]
    rows: Callable[[Sequence[str]], Mapping[str, Sequence[str]]]
    lacks: frozenset[str] = frozenset()
    latest: tuple[str, ...] = ()
    certainty: float = 0.97

    def is_of(self, names: Sequence[str]) -> bool:
        """Tell whether a header is this table's."""
        present = frozenset(names)
        return self.needs <= present and not self.lacks & present


def view_of(views: Sequence[View], names: Sequence[str]) -> View | None:
    """Return the first view whose header these names are."""
    return next((view for view in views if view.is_of(names)), None)


def certainty(head: Head, views: Sequence[View]) -> float:
    """Return how sure a head shows one of these tables: by its columns, and how well the rows fit."""
    layout = tables.find(head.lines, lambda names: view_of(views, names) is not None)
    view = view_of(views, layout.names) if layout is not None else None
    return view.certainty * (0.4 + 0.6 * layout.fit) if view is not None and layout is not None else 0.0


def cell(names: Sequence[str], *aliases: str) -> str:
    """Return the SQL of the first of these columns that there is, of NULL where there is none."""
    return tables.column(next((names.index(alias) for alias in aliases if alias in names), None))


def number(names: Sequence[str], *aliases: str) -> str:
    """Return the SQL of the first of these columns that there is as DOUBLE, NULL where there is none."""
    return f"TRY_CAST({cell(names, *aliases)} AS DOUBLE)"


def time(names: Sequence[str], *aliases: str) -> str:
    """Return the SQL of a time of PgBouncer's or ProxySQL's, `YYYY-MM-DD HH:MM:SS` with a zone or without, as UTC."""
    text = cell(names, *aliases)
    in_utc = f"regexp_replace({text}, ' (UTC|GMT|Z)$', '+00')"
    return times.sql(in_utc)


def gauges(names: Sequence[str], metrics: Mapping[str, tuple[str, float]], labels: Mapping[str, str]) -> list[str]:
    """Return the SELECTs that make a metric_sample of each known column: its metric and what to multiply it by.

    `labels` are expressions by name; those that are NULL in a row are left out of its labels.
    """
    pairs = ", ".join(f"struct_pack(key := '{name}', value := {value})" for name, value in labels.items())
    labelled = f"map_from_entries(list_filter([{pairs}], lambda pair: pair.value IS NOT NULL))" if pairs else "NULL"
    return [
        f"""
        SELECT line_no, sampled_at, server, '{metric}' AS name,
               CAST({labelled} AS MAP(VARCHAR, VARCHAR)) AS labels, {number(names, column)} * {factor!r} AS value
        FROM frame
        WHERE {cell(names, column)} IS NOT NULL
        """
        for column, (metric, factor) in metrics.items()
        if column in names
    ]


def settings(name: str, value: str, unit: str = "NULL") -> str:
    """Return the SELECT that makes settings of expressions for their names and values."""
    return f"""
        SELECT line_no, server, {name} AS name, {value} AS value, CAST({unit} AS VARCHAR) AS unit, sampled_at AS valid_at
        FROM frame
        WHERE {name} IS NOT NULL
          AND {value} IS NOT NULL
        """


def read(reading: Reading, views: Sequence[View]) -> None:
    """Store the rows of every table of a source that one of the views knows."""
    with tables.scratch(reading.options.timezone) as con:
        run = _Run(reading, con)
        for frame in tables.frames(reading, lambda names: view_of(views, names) is not None):
            view = view_of(views, frame.names)
            if view is not None:
                run.take(view, frame)
        run.finish()


@dataclass(slots=True)
class _Run:
    reading: Reading
    con: duckdb.DuckDBPyConnection
    untimed: list[tuple[View, tables.Frame, pa.Table]] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)
    settings: list[pa.Table] = field(default_factory=list)

    def take(self, view: View, frame: tables.Frame) -> None:
        ledger = self.reading.ledger
        if not view.rows(frame.names):
            ledger.ignored += tables.lines_of(frame.rows)
            return
        rows = self._timed(frame)
        is_good = pa.chunked_array([[True] * rows.num_rows], pa.bool_())
        if self._time_column(frame) is not None:
            is_good = pc.is_valid(rows["sampled_at"])
        if not pc.all(is_good).as_py():
            tables.reject(ledger, frame.rows.filter(pc.invert(is_good)))
            rows = rows.filter(is_good)
        self.opened[view.name] = self.opened.get(view.name, 0) + int(pc.sum(rows["anew"]).as_py() or 0)
        is_timed = pc.is_valid(rows["sampled_at"])
        self._store(view, frame.names, rows.filter(is_timed))
        if not pc.all(is_timed).as_py():
            self.untimed.append((view, frame, rows.filter(pc.invert(is_timed))))

    def finish(self) -> None:
        """Store what bears no time of its own, and each setting where it changes."""
        named = times.in_name(self.reading.head.name, self.reading.options.timezone)
        for view, frame, rows in self.untimed:
            self._store(view, frame.names, self._dated(view, frame, rows, named))
        if self.settings:
            self._store_settings(pa.concat_tables(self.settings))

    def _dated(self, view: View, frame: tables.Frame, rows: pa.Table, named: datetime | None) -> pa.Table:
        """Give rows that bear no time the one they must have; `named` is that of the file's name."""
        ledger = self.reading.ledger
        if named is not None and self.opened[view.name] <= 1:
            ledger.assume(f"the sample time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
            moments = pa.array([named] * rows.num_rows, pa.timestamp("us"))
            return rows.set_column(rows.column_names.index("sampled_at"), "sampled_at", moments)
        if any(name in frame.names for name in view.latest):
            ledger.assume(
                "the rows bear no sample time: the latest time among the rows of a snapshot is taken for it, a lower bound"
            )
            return self._at_least(view, frame.names, rows)
        ledger.assume("nothing tells when the snapshot was taken: it has no sample time")
        return rows

    def _time_column(self, frame: tables.Frame) -> int | None:
        return tables.match(frame.names, TIME).get("sampled_at")

    def _timed(self, frame: tables.Frame) -> pa.Table:
        """Return the rows of a frame with `sampled_at` and `server`."""
        ledger, zone = self.reading.ledger, self.reading.options.timezone
        column = self._time_column(frame)
        if column is None:
            moments = tables.select(
                self.con,
                frame.rows,
                "SELECT line_no, CAST(CAST(told AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP) AS sampled_at FROM frame",
            )["sampled_at"]
            if moments.null_count < len(moments):
                ledger.assume("the rows bear no sample time: the time written above each table is taken for it")
        else:
            written = frame.rows[f"c{column}"]
            read = tables.select(
                self.con, frame.rows, f"SELECT line_no, {times.sql(f'c{column}')} AS sampled_at FROM frame"
            )
            moments = times.filled(read["sampled_at"], written, zone)
            if times.is_zoneless(written.slice(0, 200).to_pylist()):
                ledger.assume(times.zone_assumed(zone))
        server = next((frame.names.index(name) for name in SERVERS if name in frame.names), None)
        told = frame.rows[f"c{server}"] if server is not None else pa.nulls(frame.rows.num_rows, pa.string())
        if server is None and self.reading.server is not None:
            told = pa.array([self.reading.server] * frame.rows.num_rows, pa.string())
        return frame.rows.append_column("sampled_at", moments).append_column("server", told)

    def _at_least(self, view: View, names: Sequence[str], rows: pa.Table) -> pa.Table:
        """Give the rows of each snapshot the latest of the times they tell."""
        told = ", ".join(time(names, name) for name in view.latest if name in names)
        moments = tables.select(
            self.con,
            rows.drop_columns(["sampled_at"]),
            f"""
            SELECT line_no, max(greatest({told})) OVER (PARTITION BY snapshot) AS sampled_at
            FROM (SELECT *, sum(CAST(anew AS INTEGER)) OVER (ORDER BY line_no) AS snapshot FROM frame)
            """,
        )
        return rows.set_column(rows.column_names.index("sampled_at"), "sampled_at", moments["sampled_at"])

    def _store(self, view: View, names: Sequence[str], rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        extent = pc.min_max(rows["sampled_at"]).as_py()
        self.reading.ledger.saw(extent["min"], extent["max"])
        told = pa.chunked_array([[False] * rows.num_rows], pa.bool_())
        for table, selects in view.rows(names).items():
            if not selects:
                continue
            made = tables.select(self.con, rows, "\nUNION ALL BY NAME\n".join(selects))
            told = pc.or_(told, pc.is_in(rows["line_no"], value_set=made["line_no"].combine_chunks()))
            if table == "setting":
                self.settings.append(made)
            elif made.num_rows:
                self.reading.insert(table, made)
        # A variable that says nothing about connections, a password.
        self.reading.ledger.understood += tables.lines_of(rows.filter(told))
        self.reading.ledger.ignored += tables.lines_of(rows.filter(pc.invert(told)))

    def _store_settings(self, rows: pa.Table) -> None:
        self.reading.insert(
            "setting",
            tables.select(
                self.con,
                rows,
                """
                SELECT *
                FROM frame
                QUALIFY value IS DISTINCT FROM lag(value) OVER (PARTITION BY server, name ORDER BY valid_at NULLS FIRST, line_no)
                """,
            ),
        )
