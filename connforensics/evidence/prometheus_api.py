"""Answers of the Prometheus HTTP API: instant and range queries as JSON, from Prometheus or anything that speaks like it.

Obtained with `curl -sG http://HOST:9090/api/v1/query_range --data-urlencode 'query=pg_stat_activity_count' -d start=...
-d end=... -d step=15`, one answer a file, one a line, or several in an array; also from Thanos, Mimir and VictoriaMetrics,
whose export (`/api/v1/export`, one series a line, times in milliseconds) is read as well, and from Grafana's query
inspector. `promtool query range` prints the same as text. Ask for bare series: a query that adds up or divides
(`sum(...)`, `rate(...)`) answers without the metric's name, and such a series is not understood.

A sample that is not there is a gap and stays one (Prometheus drops stale series without a mark); "NaN" is kept as an
unknown number. Native histograms are not read. Warnings and errors of the answer are named in the assumptions.

https://prometheus.io/docs/prometheus/latest/querying/api/
https://docs.victoriametrics.com/victoriametrics/#how-to-export-data-in-json-line-format
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Format, Head, Reading, Sample, json_records, metrics
from connforensics.evidence.json_records import Path, Record, Verdict

BATCH: Final = 200_000
"""Samples handed over together."""

OPENED: Final = (
    (), ("data",), ("data", "result"), ("results",), ("results", "A"), ("result",),
)  # fmt: skip
"""Containers that are walked into, without the arrays of answers around them."""

FRAME_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""What Grafana calls the queries of a panel."""

MICROSECONDS: Final = 1_000_000

_BARE = re.compile(r'[\[\s]*\{\s*"metric"\s*:\s*\{')
_EXPOSED = re.compile(r"^\s*((?:[A-Za-z_:][\w:.]*)?\{.*\}|[A-Za-z_:][\w:.]*) =>\s*$")
_PRINTED = re.compile(r"^\s*([+-]?(?:[\d.]+(?:[eE][+-]?\d+)?|Inf|NaN)) @\[(\d+(?:\.\d+)?)\]\s*$")
_ONE = re.compile(
    r"^\s*((?:[A-Za-z_:][\w:.]*)?\{.*\}|[A-Za-z_:][\w:.]*) => ([+-]?(?:[\d.]+(?:[eE][+-]?\d+)?|Inf|NaN)) @\[(\d+(?:\.\d+)?)\]\s*$"
)


def opens(path: Path, bracket: str) -> bool:
    """Tell whether a container holds answers or series one by one."""
    keys = tuple(key for key in path if key != "*")
    if keys[:1] == ("results",):
        return len(keys) == 1 or (keys[1] in FRAME_LETTERS and keys[2:] in ((), ("frames",)) and path[-1] != "*")
    return keys in OPENED and not (path[-1:] == ("*",) and keys in (("data", "result"), ("result",)))


def opens_arrays(path: Path, bracket: str) -> bool:
    """Tell whether a container is the array around bare series."""
    return path == () and bracket == "["


def certainty(head: Head) -> float:
    """Return how sure a head is such an answer: by the members that only it has."""
    text = "\n".join(head.lines[:400])[:200_000]
    start = text.lstrip()
    if start[:1] in ("{", "["):
        is_answer = re.search(r'"status"\s*:\s*"(?:success|error)"', text) is not None
        if is_answer and re.search(r'"resultType"\s*:\s*"(?:matrix|vector|scalar|string)"', text):
            return 0.97
        if is_answer and re.search(r'"errorType"\s*:\s*"', text) and re.search(r'"error"\s*:', text):
            return 0.9
        if _BARE.match(text) and re.search(r'"values?"\s*:\s*\[', text):
            return 0.95
        if re.search(r'"frames"\s*:\s*\[\s*\{\s*"schema"', text) and re.search(r'"results"\s*:', text):
            return 0.9
        return 0.0
    told = [line for line in head.lines[:400] if line.strip()]
    printed = sum(bool(_PRINTED.match(line) or _EXPOSED.match(line) or _ONE.match(line)) for line in told)
    is_printed = any(_PRINTED.match(line) or _ONE.match(line) for line in told)
    return 0.9 * printed / len(told) if is_printed else 0.0


@dataclass(slots=True)
class Batch:
    """Gathers the samples of series until there are enough of them."""

    numbers: metrics.Numbers
    lines: list[int] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    at: list[NDArray[np.float64]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    size: int = 0

    def add(self, line_no: int, series: int, at_s: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Take one series' samples: epoch seconds and numbers."""
        self.lines.append(line_no)
        self.series.append(series)
        self.counts.append(len(at_s))
        self.at.append(at_s)
        self.values.append(values)
        self.size += len(at_s)
        if self.size >= BATCH:
            self.hand_over()

    def hand_over(self) -> None:
        """Store what was gathered."""
        if self.size:
            at = np.concatenate(self.at)
            values = np.concatenate(self.values)
            is_time = np.isfinite(at) & (np.abs(at) < 1e11)
            lines = np.repeat(self.lines, self.counts)[is_time]
            series = np.repeat(self.series, self.counts)[is_time]
            micros = np.round(at[is_time] * MICROSECONDS).astype(np.int64)
            moments = metrics.column(micros, pa.int64()).cast(pa.timestamp("us"))
            self.numbers.add(metrics.samples(lines, moments, series, values[is_time]))
        self.lines, self.series, self.counts, self.at, self.values, self.size = [], [], [], [], [], 0


def read(reading: Reading) -> None:
    """Store what the series of the answers say about connections."""
    batch = Batch(metrics.Numbers(reading))
    if _is_json(reading.head):
        is_bare = _BARE.match("\n".join(reading.head.lines[:20])) is not None
        for record, lines in json_records.records(reading, opens_arrays if is_bare else opens):
            lines.account(record.first_line, record.last_line, _take(reading, batch, record))
    else:
        _printed(reading, batch)
    batch.hand_over()
    batch.numbers.finish()


def _is_json(head: Head) -> bool:
    first = next(
        (line.lstrip() for line in head.lines if line.strip() and not line.lstrip().startswith(("```", "~~~"))), ""
    )
    return first[:1] in ("{", "[")


def _take(reading: Reading, batch: Batch, record: Record) -> Verdict:
    value, key = record.value, next((key for key in reversed(record.path) if key != "*"), "")
    if isinstance(value, dict) and "metric" in value:
        return _series(reading, batch, record.first_line, value)
    if isinstance(value, dict) and "schema" in value:
        return _frame(reading, batch, record.first_line, value)
    if key in ("warnings", "infos", "error", "errors") and value:
        said = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
        reading.ledger.assume(f"the answer says: {said[:300]}")
    elif key in ("result", "metric", "values", "value") and value:
        reading.ledger.assume("a scalar or a bare number is no series of a metric: not read")
        return Verdict.UNKNOWN
    return Verdict.IGNORED


def _series(reading: Reading, batch: Batch, line_no: int, told: Mapping[str, object]) -> Verdict:
    labels = json_records.strings(told["metric"])
    name = labels.pop("__name__", "")
    if not name:
        reading.ledger.assume("series without a metric's name are not understood: the query added up or divided them")
        reading.ledger.suspects += 1
        reading.ledger.example(line_no, json.dumps(told["metric"], ensure_ascii=False))
        return Verdict.UNKNOWN
    number = batch.numbers.series(name, labels)
    if number < 0:
        return _left_out(reading, number, line_no, name)
    if "timestamps" in told:
        at, values = told["timestamps"], told.get("values")
        if not isinstance(at, list) or not isinstance(values, list):
            return Verdict.UNKNOWN
        count = min(len(at), len(values))
        batch.add(line_no, number, _floats(at[:count]) / 1000, _floats(values[:count]))
        return Verdict.UNDERSTOOD
    pairs = told.get("values")
    pairs = pairs if isinstance(pairs, list) else [told["value"]] if "value" in told else []
    sound = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    if "histogram" in told or "histograms" in told:
        reading.ledger.assume("native histograms are not read")
    if sound:
        batch.add(line_no, number, _floats([pair[0] for pair in sound]), _floats([pair[1] for pair in sound]))
    return Verdict.UNDERSTOOD if len(sound) == len(pairs) else Verdict.UNKNOWN


def _left_out(reading: Reading, number: int, line_no: int, name: str) -> Verdict:
    if number == metrics.FOREIGN:
        return Verdict.IGNORED
    reading.ledger.suspects += 1
    reading.ledger.example(line_no, name)
    return Verdict.UNKNOWN


def _floats(values: Sequence[object]) -> NDArray[np.float64]:
    """Return numbers, or texts of numbers, as DOUBLE; NaN where one is none."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([metrics.number(value) for value in values], dtype=np.float64)


def _frame(reading: Reading, batch: Batch, line_no: int, told: Mapping[str, object]) -> Verdict:
    """Read a data frame of Grafana: a column of times in milliseconds, the others one series each."""
    schema, data = told.get("schema"), told.get("data")
    fields = schema.get("fields") if isinstance(schema, dict) else None
    columns = data.get("values") if isinstance(data, dict) else None
    if not isinstance(fields, list) or not isinstance(columns, list) or len(fields) != len(columns):
        return Verdict.UNKNOWN
    kinds = [one.get("type") if isinstance(one, dict) else None for one in fields]
    if "time" not in kinds or not all(isinstance(column, list) for column in columns):
        return Verdict.UNKNOWN
    at = _floats(columns[kinds.index("time")]) / 1000
    found = Verdict.IGNORED
    for one, kind, column in zip(fields, kinds, columns, strict=True):
        if kind != "number" or len(column) != len(at):
            continue
        labels = json_records.strings(one.get("labels"))
        name = labels.pop("__name__", "") or str(one.get("name", ""))
        number = batch.numbers.series(name, labels)
        if number >= 0:
            batch.add(line_no, number, at, _floats([metrics.number(value) for value in column]))
            found = Verdict.UNDERSTOOD
        else:
            found = max(found, _left_out(reading, number, line_no, name))
    return found


def _printed(reading: Reading, batch: Batch) -> None:
    """Read what promtool prints: a series, then a number and its time a line."""
    number = metrics.UNKNOWN
    ledger = reading.ledger
    for line_no, line in reading.lines():
        one = _ONE.match(line)
        exposed = one or _EXPOSED.match(line)
        sample = _PRINTED.match(line)
        if exposed is not None:
            parsed = metrics.parse_series(exposed[1])
            number = batch.numbers.series(*parsed) if parsed is not None else metrics.UNKNOWN
        value, at = (one[2], one[3]) if one else (sample[1], sample[2]) if sample else (None, None)
        if value is not None and number >= 0:
            batch.add(line_no, number, np.array([float(at or 0)]), np.array([float(value)]))
            ledger.understood += 1
        elif (
            (number == metrics.FOREIGN and (sample or exposed))
            or (exposed and number >= 0)
            or not line.strip()
            or line.startswith(json_records.FENCES)
        ):
            ledger.ignored += 1
        else:
            ledger.unknown += 1
            ledger.example(line_no, line)


FORMAT = Format(
    name="prometheus_api",
    engine=None,
    tables=("metric_sample", "pool_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '{"status":"success","data":{"resultType":"matrix","result":[\n'
            '{"metric":{"__name__":"pg_stat_activity_count","datname":"shop","instance":"db1:9187","state":"active"},'
            '"values":[[1795230720,"5"],[1795230735,"NaN"]]},\n'
            '{"metric":{"__name__":"pg_settings_max_connections","instance":"db1:9187"},'
            '"values":[[1795230720,"100"],[1795230735.5,"100"],[1795230750,"200"]]},\n'
            '{"metric":{"__name__":"node_load1","instance":"db1:9100"},"values":[[1795230720,"5"]]}\n'
            ']},"warnings":["one store did not answer"]}\n',
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "server": None, "name": "pg_stat_activity_count",
                     "labels": {"datname": "shop", "instance": "db1:9187", "state": "active"}, "value": 5.0},
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:15", "value": None},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "name": "pg_settings_max_connections", "value": 100.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:15.500000", "value": 100.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:30", "value": 200.0},
                ),
                "setting": (
                    {"line_no": 3, "engine": "postgres", "name": "max_connections", "value": "100", "valid_at": "2026-11-21T03:12:00"},
                    {"line_no": 3, "name": "max_connections", "value": "200", "valid_at": "2026-11-21T03:12:30"},
                ),
            },
            name="query_range.json",
        ),
        Sample(
            '[{"status":"success","data":{"resultType":"vector","result":['
            '{"metric":{"__name__":"hikaricp_connections_active","application":"orders","instance":"o-1:8080","pool":"main"},'
            '"value":[1795230720.781,"9"]},'
            '{"metric":{"__name__":"mysql_global_status_threads_connected","instance":"m1"},"value":[1795230720.781,"150"]},'
            '{"metric":{"__name__":"mysql_global_status_threads_connected","instance":"m2"},"value":[1795230720.781,"7"]}]}},\n'
            '{"status":"success","data":{"resultType":"vector","result":['
            '{"metric":{"__name__":"hikaricp_connections_max","application":"orders","instance":"o-1:8080","pool":"main"},'
            '"value":[1795230720.781,"10"]}]}}]\n',
            {
                "pool_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00.781000", "service": "orders", "instance": "o-1:8080",
                     "pool": "main", "checked_out": 9.0, "max_size": 10.0},
                ),
                "metric_sample": (
                    {"line_no": 1, "name": "mysql_global_status_threads_connected", "server": "m1", "value": 150.0},
                    {"line_no": 1, "name": "mysql_global_status_threads_connected", "server": "m2", "value": 7.0},
                ),
            },
            name="instant.json",
        ),
        Sample(
            '{"metric":{"__name__":"kube_deployment_status_replicas","deployment":"orders","namespace":"shop"},'
            '"values":[4,12],"timestamps":[1795230720000,1795230780000]}\n'
            '{"metric":{"__name__":"kube_deployment_spec_replicas","deployment":"orders","namespace":"shop"},'
            '"values":[12],"timestamps":[1795230720000]}\n',
            {
                "metric_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "value": 4.0,
                     "labels": {"deployment": "orders", "namespace": "shop", "service": "orders"}},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:13:00", "name": "workers", "value": 12.0},
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "kube_deployment_spec_replicas", "value": 12.0},
                )
            },
            name="export.jsonl",
        ),
        Sample(
            'pgbouncer_pools_client_waiting_connections{database="shop", instance="pb:9127", user="web"} =>\n'
            "37 @[1795230720]\n41 @[1795230735.25]\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "pgbouncer_pools_client_waiting_connections",
                     "value": 37.0},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:15.250000", "value": 41.0},
                ),
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "service": "pgbouncer", "instance": "pb:9127",
                     "pool": "shop/web", "waiting": 37.0},
                    {"line_no": 3, "waiting": 41.0},
                ),
            },
            name="promtool.txt",
        ),
    ),
)  # fmt: skip
