"""Metrics over time as CSV: exports of dashboards and of time series databases.

Obtained from Grafana (a panel's Inspect, Data, "Download CSV": a time column and one column a series, named by the series
or by its metric), from `influx` or a SQL client over a metrics store, or from a script: one row a number with columns for
time, metric and value, the others being labels. Names are read as those of exporters are (`metric_names`); a column whose
legend was made shorter than the metric's name is not understood. Numbers of pools under anybody's names are `pool_csv`'s,
counts of workers `workers_csv`'s.

https://grafana.com/docs/grafana/latest/panels-visualizations/panel-inspector/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, metric_names, metrics, series, tables, times

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

NAMES: Final = ("__name__", *series.METRIC)
"""What people call the column with the metric's name."""


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header has a time and metrics that a database, a pooler or a platform tells."""
    if _time(names) is None:
        return False
    if _long(names) is not None:
        return True
    return any(_is_known(name) for name in names)


def certainty(head: Head) -> float:
    """Return how sure a head is metrics over time: by the names of its columns, for a long table by its metrics."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    long = _long(layout.names)
    if long is None:
        told = [parsed for name in layout.written if (parsed := _parsed(name)) is not None]
    else:
        told = [(name, {}) for row in layout.shown if (name := row[long[0]] if len(row) > long[0] else None)]
    meanings = [metric_names.meaning(name, labels) for name, labels in told]
    known = [one for one in meanings if one is not None and one.family != "by its words"]
    is_own = any(one.pool is None or one.engine for one in known) or any("{" in name for name in layout.written)
    return 0.94 * layout.fit if known and is_own else 0.0


def _time(names: Sequence[str]) -> int | None:
    return tables.match(names, {"time": times.COLUMNS}).get("time")


def _long(names: Sequence[str]) -> tuple[int, int] | None:
    """Return which columns of a long table are the metric's name and its value."""
    metric = next((names.index(name) for name in NAMES if name in names), None)
    value = next((names.index(name) for name in series.VALUE if name in names), None)
    return (metric, value) if metric is not None and value is not None else None


def _parsed(written: str) -> tuple[str, dict[str, str]] | None:
    """Return metric and labels that a column's name tells."""
    return metrics.parse_series(written.strip().strip('"').strip())


def _is_known(name: str) -> bool:
    bare = name.partition("{")[0]
    if "{" not in name and not metric_names.may_mean(bare):
        return False
    parsed = _parsed(name)
    meaning = metric_names.meaning(*parsed) if parsed is not None else None
    return meaning is not None and meaning.family != "by its words"


def read(reading: Reading) -> None:
    """Store what the columns or rows say."""
    numbers = metrics.Numbers(reading)
    unread: set[str] = set()
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts):
            time = _time(frame.names)
            if time is None:
                continue
            written = frame.rows[f"c{time}"]
            moments = tables.select(
                con, frame.rows, f"SELECT line_no, {times.sql(f'c{time}')} AS sampled_at FROM frame"
            )["sampled_at"]
            if times.is_zoneless(written.slice(0, 200).to_pylist()):
                reading.ledger.assume(times.zone_assumed(reading.options.timezone))
            moments = times.filled(moments, written, reading.options.timezone)
            long = _long(frame.names)
            if long is None:
                _wide(reading, numbers, con, frame.rows, frame.written, time, moments, unread)
            else:
                labels = {
                    name: index
                    for index, name in enumerate(frame.written)
                    if index not in (time, *long) and name.strip()
                }
                _rows(reading, numbers, con, frame.rows, long, labels, moments)
    numbers.finish()
    if unread:
        reading.ledger.assume(f"not read: {', '.join(sorted(unread)[:12])}{' and more' if len(unread) > 12 else ''}")


def _wide(
    reading: Reading, numbers: metrics.Numbers, con: duckdb.DuckDBPyConnection, rows: pa.Table, written: Sequence[str],
    time: int, moments: pa.ChunkedArray, unread: set[str],
) -> None:  # fmt: skip
    """Store a table with one column a series."""
    ids: dict[int, int] = {}
    for index, name in enumerate(written):
        parsed = _parsed(name) if index != time else None
        number = numbers.series(*parsed) if parsed is not None else metrics.FOREIGN
        if number >= 0:
            ids[index] = number
        elif index != time:
            unread.add(name)
    cells = "".join(f", {tables.number(index)} AS n{index}, c{index} AS t{index}" for index in ids)
    typed = tables.select(con, rows, f"SELECT line_no, lines{cells} FROM frame")
    is_timed = pc.is_valid(moments)
    has_number = tables.any_of((pc.is_valid(typed[f"n{index}"]) for index in ids), len(rows))
    is_told = tables.any_of((pc.is_valid(typed[f"t{index}"]) for index in ids), len(rows))
    is_empty = pc.invert(is_told)
    _account(reading, rows, pc.and_(is_timed, has_number), pc.and_(is_timed, pc.or_(is_empty, _all_nan(typed, ids))))
    for index, number in ids.items():
        kept = pc.and_(is_timed, pc.is_valid(typed[f"t{index}"]))
        _add(numbers, typed["line_no"].filter(kept), moments.filter(kept), typed[f"n{index}"].filter(kept), number)


def _all_nan(typed: pa.Table, ids: Mapping[int, int]) -> pa.ChunkedArray:
    """Tell which rows say of every series that its number is unknown: read, as NULL."""
    flags = [
        pc.or_(pc.is_null(typed[f"t{index}"]), pc.is_in(typed[f"t{index}"], pa.array(["NaN", "nan"]))) for index in ids
    ]
    whole = pa.chunked_array([pa.array([True] * typed.num_rows)])
    for flag in flags:
        whole = pc.and_(whole, flag)
    return whole


def _rows(
    reading: Reading, numbers: metrics.Numbers, con: duckdb.DuckDBPyConnection, rows: pa.Table, long: tuple[int, int],
    labels: Mapping[str, int], moments: pa.ChunkedArray,
) -> None:  # fmt: skip
    """Store a table with one row a number: whose it is, the metric and the labels say."""
    metric, value = long
    keys = "".join(f", c{index} AS l{index}" for index in labels.values())
    typed = tables.select(
        con,
        rows,
        f"SELECT line_no, lines, c{metric} AS metric, {tables.number(value)} AS value, c{value} AS told{keys} FROM frame",
    )
    columns = ["metric", *(f"l{index}" for index in labels.values())]
    series_of = _numbered(numbers, typed, columns, labels)
    is_timed, is_kept = pc.is_valid(moments), pc.greater_equal(series_of, 0)
    is_number = pc.or_(pc.is_valid(typed["value"]), pc.is_in(typed["told"], pa.array(["NaN", "nan"])))
    is_good = pc.and_(pc.and_(is_timed, is_kept), is_number)
    is_foreign = pc.and_(is_timed, pc.equal(series_of, metrics.FOREIGN))
    _account(reading, rows, is_good, is_foreign)
    numbers.add(
        metrics.samples(
            _ints(typed["line_no"].filter(is_good)),
            moments.filter(is_good).combine_chunks(),
            _ints(series_of.filter(is_good)),
            _floats(typed["value"].filter(is_good)),
        )
    )


def _numbered(
    numbers: metrics.Numbers, typed: pa.Table, columns: Sequence[str], labels: Mapping[str, int]
) -> pa.ChunkedArray:
    """Return the number of the series of each row; each series is named once."""
    key = pc.binary_join_element_wise(
        *(pc.fill_null(typed[name].cast(pa.string()), "\0") for name in columns), pa.array(["\x1f"])[0]
    )
    distinct = pc.unique(key)
    ids = []
    for text in distinct.to_pylist():
        metric, *values = text.split("\x1f")
        told = {name: value for name, value in zip(labels, values, strict=True) if value not in ("", "\0")}
        parsed = _parsed(metric)
        ids.append(numbers.series(parsed[0], {**told, **parsed[1]}) if parsed is not None else metrics.FOREIGN)
    return pa.array(ids, pa.int64()).take(pc.index_in(key, value_set=distinct).combine_chunks())


def _account(reading: Reading, rows: pa.Table, is_good: pa.ChunkedArray, is_silent: pa.ChunkedArray) -> None:
    ledger = reading.ledger
    ledger.understood += tables.lines_of(rows.filter(is_good))
    ledger.ignored += tables.lines_of(rows.filter(pc.and_(is_silent, pc.invert(is_good))))
    tables.reject(ledger, rows.filter(pc.invert(pc.or_(is_good, is_silent))))


def _add(
    numbers: metrics.Numbers, line_no: pa.ChunkedArray, moments: pa.ChunkedArray, values: pa.ChunkedArray, number: int
) -> None:
    if len(line_no):
        numbers.add(
            metrics.samples(
                _ints(line_no), moments.combine_chunks(), np.full(len(line_no), number, dtype=np.int64), _floats(values)
            )
        )


def _ints(values: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    return np.asarray(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values, dtype=np.int64)


def _floats(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return numbers as an ndarray, NaN where one is unknown."""
    return np.array([np.nan if value is None else value for value in values.to_pylist()], dtype=np.float64)


FORMAT = Format(
    name="metrics_csv",
    engine=None,
    tables=("metric_sample", "pool_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '"Time","pg_stat_activity_count{datname=""shop"", state=""active""}","pg_settings_max_connections","Load"\n'
            "2026-11-21 03:12:00,5,100,1\n2026-11-21 03:12:15,,100,1\n2026-11-21 03:12:30,9,,1\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "pg_settings_max_connections", "value": 100.0},
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "pg_stat_activity_count",
                     "labels": {"datname": "shop", "state": "active"}, "value": 5.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:15", "name": "pg_settings_max_connections"},
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:30", "name": "pg_stat_activity_count", "value": 9.0},
                ),
                "setting": ({"line_no": 2, "engine": "postgres", "name": "max_connections", "value": "100"},),
            },
            name="Connections-data-2026-11-21.csv",
        ),
        Sample(
            "timestamp,__name__,value,instance,pool\n"
            "1795230720,mysql_global_status_threads_connected,151,db1:9104,\n"
            "1795230720,hikaricp_connections_active,10,o-1:8080,main\n"
            "1795230720,hikaricp_connections_pending,4,o-1:8080,main\n"
            "1795230720,node_load1,4,o-1:9100,\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_threads_connected",
                     "labels": {"instance": "db1:9104"}, "value": 151.0},
                ),
                "pool_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "instance": "o-1:8080", "pool": "main",
                     "checked_out": 10.0, "waiting": 4.0},
                ),
            },
            name="dump.csv",
        ),
    ),
)  # fmt: skip
