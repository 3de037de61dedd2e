"""Numbers over time in a table: which column is the time, which are labels, and which number is what.

Shared by the formats whose rows are samples of gauges: pools and workers. Three layouts are told apart by the header:
one column a number; one column a number and service (`orders_active`); and long, one row a number (`metric`, `value`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import tables, times
from connforensics.schema import quoted

if TYPE_CHECKING:
    import duckdb

    from connforensics.evidence import Head, Reading

LABELS: Final = {
    "service": (
        "service", "service_name", "app", "app_name", "application", "application_name", "job", "deployment", "workload",
        "component", "program", "microservice",
    ),
    "instance": (
        "instance", "instance_id", "instance_name", "pod", "pod_name", "host", "hostname", "host_name", "worker",
        "worker_id", "process", "process_id", "pid", "node", "container", "task", "dyno",
    ),
    "pool": ("pool", "pool_name", "datasource", "data_source", "datasource_name"),
}  # fmt: skip
"""Names people give the columns that say whose number it is."""

METRIC: Final = ("metric", "metric_name", "name", "key", "measure", "gauge", "field", "series", "counter")
VALUE: Final = ("value", "val", "number", "reading")

GENERIC: Final = frozenset(
    ("pool", "pools", "connection", "connections", "conn", "conns", "request", "requests", "db", "sql", "go", "jdbc", "hikaricp",
     "hikari", "min", "minimum", "max", "maximum", "avg", "average", "mean", "median", "p50", "p90", "p95", "p99", "total", "sum",
     "num", "count", "rate", "returns", "usage", "wait", "acquire", "current", "new", "old", "last", "peak", "the", "desired",
     "ready", "available", "updated", "unavailable", "spec", "status", "kube", "deployment", "cpu", "memory", "mem", "disk")
)  # fmt: skip
"""Words in front of a number's name that say more of the number: no service is called so."""

Names = Callable[[tuple[str, ...]], "Number | None"]
"""What number a name means, given as words; None where the format does not know it."""


@dataclass(frozen=True, slots=True)
class Number:
    """What a name means: the column it fills, what to multiply by, and its rank among names for the same column."""

    target: str
    factor: float = 1.0
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a header is read: where the time and the labels stand, and which column is which number of which service."""

    time: int | None
    labels: dict[str, int]
    numbers: dict[tuple[str | None, str], tuple[int, float]] = field(default_factory=dict)
    long: tuple[int, int] | None = None
    unread: tuple[str, ...] = ()

    @property
    def targets(self) -> frozenset[str]:
        """The columns that are filled."""
        return frozenset(target for _, target in self.numbers)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name.

    >>> words("orders.checkedOut"), words("hikaricp_connections_active")
    (('orders', 'checked', 'out'), ('hikaricp', 'connections', 'active'))
    """
    return tuple(word for word in re.split(r"[._:/\s\-()\[\]]+", tables.normal(name)) if word)


def place(name: str, names: Names) -> tuple[str | None, Number] | None:
    """Return of which service a name is which number; None where it is no number the format knows.

    >>> place("orders-api.active", lambda words: Number("busy") if words == ("active",) else None)
    ('orders-api', Number(target='busy', factor=1.0, rank=0))
    """
    parts = words(name)
    whole = names(parts)
    if whole is not None:
        return None, whole
    for cut in range(1, len(parts) + 1):
        if GENERIC.issuperset(parts[:cut]):
            continue
        number = names(parts[cut:])
        if number is not None:
            rest = re.match(rf"^(?:[^._:/\s\-]+(?:[._:/\s\-]+|$)){{{cut}}}", name)
            service = rest.group(0).rstrip("._:/- \t") if rest else "_".join(parts[:cut])
            return service, number
    return None


def plan(header: Sequence[str], written: Sequence[str], names: Names) -> Plan:
    """Return how to read a header; `names` says which numbers the format knows."""
    found = tables.match(header, {"time": times.COLUMNS, **LABELS})
    time = found.pop("time", None)
    left = [index for index in range(len(header)) if index not in (time, *found.values())]
    value = next((header.index(name) for name in VALUE if name in header), None)
    metric = next((header.index(name) for name in METRIC if name in header and header.index(name) in left), None)
    if value is not None and metric is not None and value in left:
        return Plan(time, found, long=(metric, value))
    if "service" not in found and "name" in header:
        found["service"] = header.index("name")
        left.remove(found["service"])
    best: dict[tuple[str | None, str], tuple[int, int, float]] = {}
    unread = []
    for index in left:
        placed = place(written[index].strip(), names)
        if placed is None:
            unread.append(written[index])
            continue
        service, number = placed
        key = (service, number.target)
        if key not in best or number.rank < best[key][0]:
            best[key] = (number.rank, index, number.factor)
    numbers = {key: (index, factor) for key, (_, index, factor) in best.items()}
    return Plan(time, found, numbers, unread=tuple(unread))


def metrics(head: Head, layout: tables.Layout, column: int, names: Names) -> Iterator[Number]:
    """Yield the numbers a format knows among the metric names in the head of a long table."""
    for line in head.lines[layout.index + 1 :]:
        cells = re.split(r"[,;\t|]", line)
        placed = place(cells[column].strip().strip('"'), names) if len(cells) > column else None
        if placed is not None:
            yield placed[1]


class Gauges:
    """Reads the frames of a source into rows of `service`, `instance`, `pool` and the numbers of `targets`."""

    def __init__(self, reading: Reading, con: duckdb.DuckDBPyConnection, names: Names, targets: Sequence[str]) -> None:
        self.reading = reading
        self.con = con
        self.names = names
        self.targets = targets
        self._long: list[pa.Table] = []
        self._unread: set[str] = set()

    def rows(self, frame: tables.Frame) -> pa.Table | None:
        """Return the samples of a frame; those of a long table come from `rest`, when all are seen."""
        layout = plan(frame.names, frame.written, self.names)
        self._unread.update(layout.unread)
        moments, is_good = self._moments(frame, layout)
        if layout.long is not None:
            self._hold(frame, layout, moments, is_good)
            return None
        columns = sorted({index for index, _ in layout.numbers.values()})
        cells = ", ".join(f"{tables.number(index)} AS n{index}, c{index} AS t{index}" for index in columns)
        labels = ", ".join(f"{tables.column(layout.labels.get(label))} AS {label}" for label in LABELS)
        typed = tables.select(self.con, frame.rows, f"SELECT line_no, lines, {labels}, {cells} FROM frame")
        typed = typed.append_column("sampled_at", moments)
        has_number = tables.any_of((pc.is_valid(typed[f"n{index}"]) for index in columns), frame.rows.num_rows)
        is_empty = pc.invert(tables.any_of((pc.is_valid(typed[f"t{index}"]) for index in columns), frame.rows.num_rows))
        kept = self._account(frame, pc.and_(is_good, has_number), pc.and_(is_good, is_empty))
        return self._wide(typed.filter(kept), layout) if pc.any(kept).as_py() else None

    def rest(self) -> pa.Table | None:
        """Return the samples of the long tables, and say which columns and metrics were not read."""
        if self._unread:
            shown = ", ".join(sorted(self._unread)[:12])
            more = len(self._unread) - 12
            self.reading.ledger.assume(f"not read: {shown}{f' and {more} more' if more > 0 else ''}")
        if not self._long:
            return None
        numbers = ",\n".join(f"max(value) FILTER (WHERE target = '{target}') AS {target}" for target in self.targets)
        return tables.select(
            self.con,
            pa.concat_tables(self._long),
            f"""
            SELECT min(line_no) AS line_no, sampled_at, service, instance, pool, {numbers}
            FROM frame
            GROUP BY sampled_at, service, instance, pool
            """,
        )

    def _moments(self, frame: tables.Frame, layout: Plan) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        zone = self.reading.options.timezone
        if layout.time is None:
            told = tables.select(self.con, frame.rows, f"SELECT line_no, {times.sql('told')} AS sampled_at FROM frame")
            return told["sampled_at"], pc.is_valid(told["sampled_at"])
        written = frame.rows[f"c{layout.time}"]
        read = times.sql(f"c{layout.time}")
        moments = tables.select(self.con, frame.rows, f"SELECT line_no, {read} AS sampled_at FROM frame")
        if times.is_zoneless(written.slice(0, 200).to_pylist()):
            self.reading.ledger.assume(times.zone_assumed(zone))
        filled = times.filled(moments["sampled_at"], written, zone)
        extent = pc.min_max(filled).as_py()
        self.reading.ledger.saw(extent["min"], extent["max"])
        return filled, pc.is_valid(filled)

    def _account(self, frame: tables.Frame, is_good: pa.ChunkedArray, is_empty: pa.ChunkedArray) -> pa.ChunkedArray:
        """Account for every row of a frame: read, told but empty, or not understood; return which are read."""
        ledger = self.reading.ledger
        ledger.understood += tables.lines_of(frame.rows.filter(is_good))
        ledger.ignored += tables.lines_of(frame.rows.filter(is_empty))
        tables.reject(ledger, frame.rows.filter(pc.invert(pc.or_(is_good, is_empty))))
        return is_good

    def _wide(self, typed: pa.Table, layout: Plan) -> pa.Table:
        parts = []
        for service in dict.fromkeys(service for service, _ in layout.numbers):
            told = {target: at for (whose, target), at in layout.numbers.items() if whose == service}
            numbers = [
                f"n{told[target][0]} * {told[target][1]} AS {target}"
                if target in told
                else f"CAST(NULL AS DOUBLE) AS {target}"
                for target in self.targets
            ]
            named = f"coalesce({quoted(service)}, service)" if service is not None else "service"
            some = " OR ".join(f"n{index} IS NOT NULL" for index, _ in told.values())
            parts.append(
                f"SELECT line_no, sampled_at, {named} AS service, instance, pool, {', '.join(numbers)} FROM frame WHERE {some}"
            )
        query = "\nUNION ALL BY NAME\n".join(parts)
        return tables.select(self.con, typed, query)

    def _hold(self, frame: tables.Frame, layout: Plan, moments: pa.ChunkedArray, is_timed: pa.ChunkedArray) -> None:
        """Keep the numbers of a long table, each under its name."""
        if layout.long is None:
            return
        metric, value = layout.long
        labels = ", ".join(f"{tables.column(layout.labels.get(label))} AS {label}" for label in LABELS)
        typed = tables.select(
            self.con,
            frame.rows,
            f"SELECT line_no, {labels}, c{metric} AS metric, {tables.number(value)} AS value, "
            f"c{value} AS told_value FROM frame",
        ).append_column("sampled_at", moments)
        known = {
            name: placed
            for name in pc.unique(typed["metric"]).to_pylist()
            if name is not None and (placed := place(name, self.names)) is not None
        }
        self._unread.update(
            name for name in pc.unique(typed["metric"]).to_pylist() if name is not None and name not in known
        )
        meant = pa.table(
            {
                "metric": pa.array(list(known), pa.string()),
                "of_service": pa.array([service for service, _ in known.values()], pa.string()),
                "target": pa.array([number.target for _, number in known.values()], pa.string()),
                "factor": pa.array([number.factor for _, number in known.values()], pa.float64()),
            }
        )
        is_known = pc.is_in(typed["metric"], value_set=meant["metric"].combine_chunks())
        is_number = pc.is_valid(typed["value"])
        is_good = pc.and_(is_timed, pc.and_(is_known, is_number))
        is_other = pc.and_(is_timed, pc.and_(pc.is_valid(typed["metric"]), pc.invert(is_known)))
        is_gap = pc.and_(is_timed, pc.and_(is_known, pc.is_null(typed["told_value"])))
        kept = typed.filter(self._account(frame, is_good, pc.or_(is_other, is_gap)))
        if not kept.num_rows:
            return
        self.con.register("meant", meant)
        self._long.append(
            tables.select(
                self.con,
                kept,
                """
                SELECT line_no, sampled_at, coalesce(service, of_service) AS service, instance, pool, target,
                       value * factor AS value
                FROM frame
                JOIN meant USING (metric)
                """,
            )
        )
        self.con.unregister("meant")
