"""Amazon CloudWatch numbers of RDS, Aurora, RDS Proxy, Lambda, ECS and auto scaling groups, and Performance Insights.

Obtained with `aws cloudwatch get-metric-data` or `get-metric-statistics` (`--output json`, `text` and `table`), from the
console's "Download as .csv", from a metric stream (one JSON object a line), or with `aws pi get-resource-metrics`. Points
arrive in any order, the newest first as a rule. The answer of `get-metric-data` names a metric only by its label, and
`get-metric-statistics` without dimensions: where both RDS and RDS Proxy have a metric of that name it is the proxy's if the
same file has metrics that only a proxy has; which server it was stays untold. The statistic is kept as label `stat`.
CloudWatch aggregates: a burst shorter than the period is averaged away, which is said where the period is a minute or more.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, json_records, metric_names, metrics, times
from connforensics.evidence.json_records import Path, Record, Verdict

COARSE_S: Final = 60.0
"""A grain from which on CloudWatch's averages hide what a storm of connections does."""

BATCH: Final = 100_000
"""Points handed over together."""

PERIODS: Final = 10_000
"""Intervals between points that are enough to know the grain."""


NAMESPACES: Final = {
    "AWS/RDS": "aws_rds_", "AWS/Lambda": "aws_lambda_", "AWS/ECS": "aws_ecs_",
    "ECS/ContainerInsights": "aws_ecs_containerinsights_", "AWS/AutoScaling": "aws_autoscaling_",
}  # fmt: skip
"""Namespaces and how their metrics begin in the table of names; any other is in no table."""

ALSO_RDS: Final = ("aws_rds_proxy_", "aws_rds_", "aws_lambda_", "aws_ecs_", "aws_autoscaling_")
"""Where a bare metric's name is looked for, the most particular first."""

PROXY_LABELS: Final = ("ProxyName", "TargetGroup", "EndpointName")

CSV_ROWS: Final = {
    "id": "id", "label": "label", "full label": "full", "metric name": "metric", "metricname": "metric", "metric": "metric",
    "namespace": "namespace", "dimensions": "dimensions", "statistic": "stat", "statistics": "stat", "stat": "stat",
    "period": "period", "unit": "unit", "region": "region", "account": "account", "account id": "account", "color": "color",
    "expression": "expression", "visible": "visible", "yaxis": "yaxis", "start time": "start", "end time": "end",
    "title": "title", "search expression": "expression",
}  # fmt: skip
"""Names of the rows that the console writes above the numbers."""

_JSON = re.compile(
    r'"MetricDataResults"\s*:\s*\[|"Datapoints"\s*:\s*\[|"metric_stream_name"\s*:|"MetricList"\s*:\s*\[\s*\{\s*"Key"'
)
_TEXT_RESULT = re.compile(r"^METRICDATARESULTS\t")
_TEXT_POINT = re.compile(r"^DATAPOINTS\t")
_BOXED = re.compile(r"^[|+][ \-|+]*(?:GetMetricData|GetMetricStatistics|MetricDataResults|Datapoints)[ \-|+]*[|+]\s*$")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?|\d{10}(?:\.\d+)?")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def snake(name: str) -> str:
    """Return CloudWatch's name of a metric in lower case with underscores.

    >>> snake("DatabaseConnections"), snake("ClientConnectionsNoTLS")
    ('database_connections', 'client_connections_no_tls')
    """
    return "_".join(_WORD.findall(name)).lower()


def certainty(head: Head) -> float:
    """Return how sure a head is CloudWatch's: by the members, words and rows that only it has."""
    lines = [line for line in head.lines[:400] if line.strip()]
    if not lines:
        return 0.0
    text = "\n".join(lines)[:200_000]
    if text.lstrip()[:1] in ("{", "["):
        return (
            0.97
            if _JSON.search(text) and re.search(r'"(?:Label|Id|Timestamps?|metric_name|Metric)"\s*:', text)
            else 0.0
        )
    if any(_TEXT_RESULT.match(line) or _TEXT_POINT.match(line) for line in lines):
        return 0.95
    if any(map(_BOXED.match, lines[:5])):
        return 0.95
    rows = _header(head.lines)
    return 0.93 if rows is not None else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One number of one metric as told."""

    line_no: int
    at: datetime
    value: float


@dataclass(slots=True)
class Told:
    """A metric's points, and what the source says of it: label, namespace, dimensions, statistic, period."""

    line_no: int
    label: str
    namespace: str = ""
    dimensions: dict[str, str] = field(default_factory=dict)
    stat: str | None = None
    period_s: float | None = None
    points: list[Point] = field(default_factory=list)


def read(reading: Reading) -> None:
    """Store what the metrics say about connections and workers."""
    first = next((line.lstrip() for line in reading.head.lines if line.strip()), "")
    taker = _Taker(reading)
    if first[:1] in ("{", "["):
        taker.json()
    elif _header(reading.head.lines) is not None:
        taker.csv()
    else:
        taker.printed()
    taker.finish()


class _Taker:
    """Gathers metrics (CloudWatch answers hold 100,800 points at most) and stores them when it is known whose they are."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.numbers = metrics.Numbers(reading)
        self.told: list[Told] = []
        self.is_proxy = False
        self.batch: list[tuple[int, Point]] = []
        self.periods: list[float] = []
        head = "\n".join(reading.head.lines[:400])[:200_000]
        # A document is one metric: a statistic's answer, or an object of a metric stream.
        self.is_whole = '"MetricDataResults"' not in head and '"MetricList"' not in head
        self.zone = reading.options.timezone

    def time(self, text: object) -> datetime | None:
        """Return a time, text or epoch seconds, as naive UTC."""
        if isinstance(text, bool) or text is None:
            return None
        if isinstance(text, float):
            text = f"{text:.3f}"
        written = str(text)
        if times.is_zoneless([written]):
            self.reading.ledger.assume(times.zone_assumed(self.zone))
        return times.parse(written, self.zone)

    # JSON

    def json(self) -> None:
        """Read answers as JSON: results are stored as they come, single points of a statistic at the document's end."""
        for record, lines in json_records.records(self.reading, self._opens):
            lines.account(record.first_line, record.last_line, self._take(record))

    def _opens(self, path: Path, bracket: str) -> bool:
        """Tell whether a container holds results one by one."""
        if path == ():
            return bracket == "[" or not self.is_whole
        return path in (("MetricDataResults",), ("MetricList",))

    def _take(self, record: Record) -> Verdict:
        value = record.value
        if not isinstance(value, dict):
            if record.path[-1:] == ("Messages",) and value:
                self.reading.ledger.assume(f"CloudWatch says: {str(value)[:300]}")
            return Verdict.IGNORED
        if "MetricDataResults" in value:
            found = [self._result(record.first_line, one) for one in _dicts(value["MetricDataResults"])]
            return max(found, default=Verdict.IGNORED)
        if "metric_stream_name" in value:
            return self._stream(record.first_line, value)
        if "Datapoints" in value:
            return self._statistics(record.first_line, value)
        if "Timestamps" in value and "Values" in value:
            return self._result(record.first_line, value)
        if "Key" in value and "DataPoints" in value:
            return self._insight(record.first_line, value)
        return Verdict.UNKNOWN

    def _result(self, line_no: int, value: Mapping[str, object]) -> Verdict:
        label = str(value.get("Label") or value.get("Id") or "")
        told = Told(line_no, label)
        at, numbers = value.get("Timestamps"), value.get("Values")
        if value.get("StatusCode") not in (None, "Complete"):
            self.reading.ledger.assume(f"the answer for {label} is incomplete: {value['StatusCode']}")
        if isinstance(at, list) and isinstance(numbers, list):
            told.points = self._points(line_no, zip(at, numbers, strict=False))
        return self.keep(told)

    def _statistics(self, line_no: int, value: Mapping[str, object]) -> Verdict:
        label = str(value.get("MetricName") or value.get("Label") or "")
        dimensions = {
            str(one.get("Name")): str(one.get("Value")) for one in _dicts(value.get("Dimensions")) if one.get("Name")
        }
        points = _dicts(value.get("Datapoints"))
        names = dict.fromkeys(
            name for one in points for name in one if name not in ("Timestamp", "Unit", "ExtendedStatistics")
        )
        extended = dict.fromkeys(name for one in points for name in json_records.strings(one.get("ExtendedStatistics")))
        found = Verdict.IGNORED
        for stat in (*names, *extended):
            told = Told(line_no, label, str(value.get("Namespace") or ""), dimensions, stat)
            told.points = self._points(
                line_no,
                (
                    (
                        one.get("Timestamp"),
                        one[stat] if stat in one else json_records.strings(one.get("ExtendedStatistics")).get(stat),
                    )
                    for one in points
                ),
            )
            found = max(found, self.keep(told))
        return found

    def _stream(self, line_no: int, value: Mapping[str, object]) -> Verdict:
        found = Verdict.IGNORED
        for name, number in json_records.strings(value.get("value")).items():
            stat = metric_names.STATISTICS.get({"count": "sample_count"}.get(name, name), name)
            told = Told(
                line_no, str(value.get("metric_name")), str(value.get("namespace")),
                json_records.strings(value.get("dimensions")), stat, COARSE_S,
            )  # fmt: skip
            told.points = self._points(line_no, [(value.get("timestamp"), number)])
            found = max(found, self.keep(told))
        return found

    def _insight(self, line_no: int, value: Mapping[str, object]) -> Verdict:
        key = value["Key"]
        name = str(key.get("Metric", "")) if isinstance(key, dict) else ""
        told = Told(line_no, name, "PI")
        told.points = self._points(
            line_no, ((one.get("Timestamp"), one.get("Value")) for one in _dicts(value["DataPoints"]))
        )
        return self.keep(told)

    def _points(self, line_no: int, pairs: Iterable[tuple[object, object]]) -> list[Point]:
        return [
            Point(line_no, at, metrics.number(value)) for when, value in pairs if (at := self.time(when)) is not None
        ]

    # Text and tables of the command line, and the console's CSV

    def printed(self) -> None:
        """Read `--output text` and `--output table`."""
        ledger = self.reading.ledger
        told: Told | None = None
        waiting: list[tuple[int, datetime]] = []
        values: list[tuple[int, float]] = []
        columns: list[str] = []
        statistic: dict[str, Told] = {}
        verdicts: dict[int, Verdict] = {}

        def close() -> None:
            nonlocal told
            if told is not None:
                told.points = [Point(line, at, value) for (_, at), (line, value) in zip(waiting, values, strict=False)]
                lines = [line for line, _ in (*waiting, *values)]
                verdict = self.keep(told)
                verdicts.update(dict.fromkeys((told.line_no, *lines), verdict))
            waiting.clear()
            values.clear()
            told = None

        label = ""
        for line_no, line in self.reading.lines():
            cells = [
                cell.strip()
                for cell in (line.strip().strip("|").split("|") if line.startswith(("|", "+")) else line.split("\t"))
            ]
            cells = [cell for cell in cells if cell]
            verdicts[line_no] = Verdict.UNKNOWN
            if not cells or re.fullmatch(r"[-+| ]*", line):
                verdicts[line_no] = Verdict.IGNORED
            elif cells[0] in ("METRICDATARESULTS", "MetricDataResults"):
                close()
                told = Told(
                    line_no, next((cell for cell in cells[2:] if cell not in ("Complete", "PartialData")), cells[-1])
                )
                verdicts[line_no] = Verdict.IGNORED
            elif cells[0] in ("TIMESTAMPS", "VALUES") and len(cells) > 1:
                for cell in cells[1:]:
                    at = self.time(cell) if cells[0] == "TIMESTAMPS" else None
                    if at is not None:
                        waiting.append((line_no, at))
                    elif cells[0] == "VALUES":
                        values.append((line_no, metrics.number(cell)))
            elif cells[0] == "DATAPOINTS":
                at_cell = next((cell for cell in cells[1:] if _ISO.fullmatch(cell)), None)
                at = self.time(at_cell) if at_cell else None
                number = next((metrics.number(cell) for cell in cells[1:] if cell != at_cell), float("nan"))
                if at is not None and not math.isnan(number):
                    verdicts[line_no] = self._loose(statistic, label, "", Point(line_no, at, number))
            elif (
                columns
                and (at_cell := next((cell for cell in cells if _ISO.fullmatch(cell)), None))
                and len(cells) == len(columns)
            ):
                at = self.time(at_cell)
                for name, cell in zip(columns, cells, strict=True):
                    if at is not None and name not in ("Timestamp", "Unit"):
                        verdicts[line_no] = self._loose(
                            statistic, label, name, Point(line_no, at, metrics.number(cell))
                        )
            elif "Timestamp" in cells:
                columns = cells
                verdicts[line_no] = Verdict.IGNORED
            elif len(cells) == 2 and cells[0] == "Label":
                label = cells[1]
                if told is not None:
                    told.label = label
                verdicts[line_no] = Verdict.IGNORED
            elif len(cells) == 1 and told is not None and _ISO.fullmatch(cells[0]) and not values:
                at = self.time(cells[0])
                if at is not None:
                    waiting.append((line_no, at))
            elif len(cells) == 1 and told is not None and not math.isnan(metrics.number(cells[0])):
                values.append((line_no, metrics.number(cells[0])))
            elif cells[0] in (
                "GetMetricData",
                "GetMetricStatistics",
                "Timestamps",
                "Values",
                "Datapoints",
                "Id",
                "StatusCode",
            ):
                verdicts[line_no] = Verdict.IGNORED
            elif len(cells) == 1 and line == line.strip() and not line.startswith(("|", "+")):
                label = cells[0]
                verdicts[line_no] = Verdict.IGNORED
        close()
        for one in statistic.values():
            one.label = label
            verdict = self.keep(one)
            verdicts.update({point.line_no: verdict for point in one.points})
        for line_no, verdict in verdicts.items():
            ledger.understood += verdict is Verdict.UNDERSTOOD
            ledger.ignored += verdict is Verdict.IGNORED
            ledger.unknown += verdict is Verdict.UNKNOWN
            if verdict is Verdict.UNKNOWN:
                ledger.example(line_no, "a line of the command line's output that names no metric known here")

    def _loose(self, statistic: dict[str, Told], label: str, stat: str, point: Point) -> Verdict:
        one = statistic.setdefault(stat, Told(point.line_no, label, stat=stat or None))
        one.points.append(point)
        return Verdict.UNKNOWN

    def csv(self) -> None:
        """Read the console's CSV: rows that say what the columns are, then a row a time."""
        ledger = self.reading.ledger
        told: list[Told] = []
        header: dict[str, list[str]] = {}
        verdicts: dict[int, Verdict] = {}
        for line_no, line in self.reading.lines():
            cells = _split(line)
            key = CSV_ROWS.get(cells[0].strip().lower()) if cells else None
            verdicts[line_no] = Verdict.IGNORED
            at = self.time(cells[0].strip()) if cells and key is None and cells[0].strip() else None
            if key is not None and not (told and told[0].points):
                header[key] = cells[1:]
                told = _columns(line_no, header)
            elif at is not None and told:
                for one, cell in zip(told, cells[1:], strict=False):
                    if cell.strip():
                        one.points.append(Point(line_no, at, metrics.number(cell)))
            elif any(cell.strip() for cell in cells):
                verdicts[line_no] = Verdict.UNKNOWN
                ledger.example(line_no, line)
        for one in told:
            verdict = self.keep(one)
            for point in one.points:
                verdicts[point.line_no] = max(verdicts[point.line_no], verdict)
        for verdict in verdicts.values():
            ledger.understood += verdict is Verdict.UNDERSTOOD
            ledger.ignored += verdict is Verdict.IGNORED
            ledger.unknown += verdict is Verdict.UNKNOWN

    # Storing

    def keep(self, told: Told) -> Verdict:
        """Keep a metric until the end, when it is known whether a proxy speaks; say what becomes of its lines."""
        metric, labels = _metric(told)
        candidates = _candidates(metric, told, labels)
        if not candidates:
            if metric_names.is_about_connections(snake(metric)):
                self.numbers.unknown.add(told.label)
                self.reading.ledger.suspects += 1
                self.reading.ledger.example(told.line_no, told.label)
                return Verdict.UNKNOWN
            self.numbers.foreign.add(told.label)
            return Verdict.IGNORED
        self.is_proxy |= candidates == ["aws_rds_proxy_" + snake(metric)] or any(
            name in labels for name in PROXY_LABELS
        )
        if len(candidates) == 1:
            self._store(told, candidates)
        else:
            self.told.append(told)
        return Verdict.UNDERSTOOD

    def finish(self) -> None:
        """Store what was kept, and say what the period hides."""
        for told in self.told:
            self._store(told, _candidates(*_named(told)))
        self._hand_over()
        self.numbers.finish()
        if self.periods and (grain := median(self.periods)) >= COARSE_S:
            self.reading.ledger.assume(
                f"CloudWatch tells one number each {grain:.0f} s: bursts shorter than that are hidden"
            )

    def _store(self, told: Told, candidates: Sequence[str]) -> None:
        metric, labels = _metric(told)
        name = candidates[0] if self.is_proxy else candidates[-1]
        if len(candidates) > 1:
            whose = "RDS Proxy's" if name.startswith("aws_rds_proxy_") else "the database's"
            self.reading.ledger.assume(f"{metric} is read as {whose} own metric: the answer does not say")
        if told.stat is not None:
            labels = {**labels, "stat": told.stat}
        elif told.namespace != "PI" and "stat" not in labels:
            self.reading.ledger.assume("which statistic was asked for (Average, Maximum, Sum) is not told")
        number = self.numbers.series(name, labels)
        points = sorted(told.points, key=lambda point: point.at)
        if len(self.periods) < PERIODS:
            self.periods += [(after.at - before.at).total_seconds() for before, after in pairwise(points)]
            self.periods += [told.period_s] if told.period_s else []
        if number >= 0:
            self.batch += [(number, point) for point in points]
        if len(self.batch) >= BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        if self.batch:
            self.numbers.add(
                metrics.samples(
                    [point.line_no for _, point in self.batch],
                    pa.array([point.at for _, point in self.batch], pa.timestamp("us")),
                    [number for number, _ in self.batch],
                    [point.value for _, point in self.batch],
                )
            )
        self.batch = []


def _named(told: Told) -> tuple[str, Told, dict[str, str]]:
    metric, labels = _metric(told)
    return metric, told, labels


def _metric(told: Told) -> tuple[str, dict[str, str]]:
    """Return the metric's name out of what a label says, and labels: dimensions, and what is left of the label.

    >>> _metric(Told(1, "orders-db DatabaseConnections Maximum"))
    ('DatabaseConnections', {'stat': 'Maximum', 'resource': 'orders-db'})
    """
    labels = dict(told.dimensions)
    if told.namespace == "PI":
        return told.label, labels
    words = [word for word in re.split(r"[\s/|:,·>]+", told.label) if word]
    metric = next((word for word in words if _is_known(word)), told.label)
    if metric == told.label:
        return metric, labels
    stat = next(
        (metric_names.STATISTICS[word.lower()] for word in words if word.lower() in metric_names.STATISTICS), None
    )
    if stat and told.stat is None:
        labels["stat"] = stat
    rest = [word for word in words if word != metric and word.lower() not in metric_names.STATISTICS]
    if rest:
        labels["resource"] = " ".join(rest)
    return metric, labels


def _is_known(word: str) -> bool:
    return any(prefix + snake(word) in metric_names.table() for prefix in ALSO_RDS) and word[:1].isupper()


def _candidates(metric: str, told: Told, labels: Mapping[str, str]) -> list[str]:
    """Return the names in the table that a metric may be: the proxy's first where both have it."""
    if told.namespace == "PI":
        return [metric] if metric_names.meaning(metric, {}) is not None else []
    written = snake(metric)
    prefixes: Sequence[str] = ALSO_RDS
    if any(name in labels for name in PROXY_LABELS):
        prefixes = ("aws_rds_proxy_",)
    elif any(name.startswith(("DBInstance", "DBCluster")) for name in labels):
        prefixes = ("aws_rds_",)
    elif told.namespace:
        prefixes = [prefix for prefix in ALSO_RDS if prefix.startswith(NAMESPACES.get(told.namespace, "\0"))]
    if metric in ("GroupInServiceInstances", "GroupDesiredCapacity"):
        prefixes = ("aws_autoscaling_",)
    found = [prefix + written for prefix in prefixes if prefix + written in metric_names.table()]
    if told.namespace == "ECS/ContainerInsights" and not found:
        found = [name for name in (f"aws_ecs_containerinsights_{written}",) if name in metric_names.table()]
    return found


def _columns(line_no: int, header: Mapping[str, list[str]]) -> list[Told]:
    """Return the metrics of the columns under the rows met so far."""
    width = max(map(len, header.values()))
    told = []
    for index in range(width):
        cell = {key: cells[index].strip() if index < len(cells) else "" for key, cells in header.items()}
        dimensions = dict(re.findall(r"([A-Za-z]+)\s*[:=]\s*([^\s,;]+)", cell.get("dimensions", "")))
        stat = metric_names.STATISTICS.get(cell.get("stat", "").lower(), cell.get("stat") or None)
        period = re.match(r"\d+", cell.get("period", ""))
        named = cell.get("metric") or cell.get("full") or cell.get("label") or cell.get("id") or ""
        told.append(
            Told(line_no, named, cell.get("namespace", ""), dimensions, stat, float(period.group()) if period else None)
        )
        if not _is_known(told[-1].label) and _is_known(cell.get("label", "")):
            told[-1].label = cell["label"]
    return told


def _header(lines: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the rows above the numbers of the console's CSV; None where this is none."""
    found: dict[str, list[str]] = {}
    has_time = False
    for line in lines[:40]:
        cells = _split(line)
        if not any(cell.strip() for cell in cells):
            continue
        key = CSV_ROWS.get(cells[0].strip().lower())
        if key is not None and len(cells) > 1:
            found[key] = cells[1:]
        else:
            has_time = times.parse(cells[0].strip()) is not None
            break
    has_metric = any(
        _is_known(word) for cells in found.values() for cell in cells for word in re.split(r"[\s/|:,·>]+", cell)
    )
    return (
        found if has_metric and (has_time or len(found) >= 3) and {"label", "full", "metric"} & found.keys() else None
    )


def _split(line: str) -> list[str]:
    """Return the fields of a line of CSV; none where it is no such line."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _dicts(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


FORMAT = Format(
    name="cloudwatch",
    engine=None,
    tables=("metric_sample", "pool_sample"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '{\n    "MetricDataResults": [\n        {\n            "Id": "m1",\n            "Label": "DatabaseConnections",\n'
            '            "Timestamps": ["2026-11-21T03:13:00+00:00", "2026-11-21T03:12:00+00:00"],\n'
            '            "Values": [412.0, 87.5],\n            "StatusCode": "Complete"\n        },\n'
            '        {"Id": "m2", "Label": "orders ConcurrentExecutions", "Timestamps": ["2026-11-21T03:12:00Z"], "Values": [900.0]},\n'
            '        {"Id": "m3", "Label": "CPUUtilization", "Timestamps": ["2026-11-21T03:12:00Z"], "Values": [9.0]}\n'
            '    ],\n    "Messages": []\n}\n',
            {
                "metric_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "name": "aws_rds_database_connections", "labels": {},
                     "value": 87.5},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:13:00", "name": "aws_rds_database_connections", "value": 412.0},
                    {"line_no": 10, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "value": 900.0,
                     "labels": {"resource": "orders", "service": "orders"}},
                )
            },
            name="get-metric-data.json",
        ),
        Sample(
            '{"Label":"DatabaseConnectionsCurrentlyBorrowed","Datapoints":[\n'
            '{"Timestamp":"2026-11-21T03:13:00+00:00","Sum":58.0,"Maximum":31.0,"Unit":"Count"},\n'
            '{"Timestamp":"2026-11-21T03:12:00+00:00","Sum":12.0,"Maximum":6.0,"Unit":"Count"}]}\n',
            {
                "metric_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "value": 6.0,
                     "name": "aws_rds_proxy_database_connections_currently_borrowed"},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "value": 12.0, "labels": {"stat": "Sum", "service": "rds_proxy"}},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:13:00", "value": 31.0,
                     "labels": {"stat": "Maximum", "service": "rds_proxy"}},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:13:00", "value": 58.0},
                ),
                "pool_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "service": "rds_proxy", "checked_out": 12.0},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:13:00", "service": "rds_proxy", "checked_out": 58.0},
                ),
            },
            name="statistics.json",
        ),
        Sample(
            "Label,DatabaseConnections,ConcurrentExecutions\nNamespace,AWS/RDS,AWS/Lambda\n"
            "Dimensions,DBInstanceIdentifier: shop-1,FunctionName: orders\nStatistic,Maximum,Average\nPeriod,60,60\n"
            "2026/11/21 03:12:00,87,4\n2026/11/21 03:13:00,412,\n",
            {
                "metric_sample": (
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:00", "name": "aws_rds_database_connections", "value": 87.0,
                     "labels": {"DBInstanceIdentifier": "shop-1", "stat": "Maximum"}},
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "value": 4.0,
                     "labels": {"FunctionName": "orders", "service": "orders", "stat": "Average"}},
                    {"line_no": 7, "sampled_at": "2026-11-21T03:13:00", "name": "aws_rds_database_connections", "value": 412.0},
                )
            },
            name="console.csv",
        ),
        Sample(
            "METRICDATARESULTS\tm1\tDatabaseConnections\tComplete\nTIMESTAMPS\t2026-11-21T03:13:00+00:00\n"
            "TIMESTAMPS\t2026-11-21T03:12:00+00:00\nVALUES\t412.0\nVALUES\t87.5\n",
            {
                "metric_sample": (
                    {"line_no": 4, "sampled_at": "2026-11-21T03:13:00", "name": "aws_rds_database_connections", "value": 412.0},
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "value": 87.5},
                )
            },
            name="text.txt",
        ),
        Sample(
            '{"metric_stream_name":"s","account_id":"1","region":"eu-west-1","namespace":"AWS/RDS","metric_name":"DatabaseConnections",'
            '"dimensions":{"DBInstanceIdentifier":"shop-1"},"timestamp":1795230720000,"value":{"max":31.0,"min":2.0,"sum":40.0,"count":3.0},'
            '"unit":"Count"}\n'
            '{"metric_stream_name":"s","account_id":"1","region":"eu-west-1","namespace":"AWS/EC2","metric_name":"NetworkIn",'
            '"dimensions":{},"timestamp":1795230720000,"value":{"max":31.0,"min":2.0,"sum":40.0,"count":3.0},"unit":"Bytes"}\n',
            {
                "metric_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "name": "aws_rds_database_connections", "value": 31.0,
                     "labels": {"DBInstanceIdentifier": "shop-1", "stat": "Maximum"}},
                    {"line_no": 1, "value": 2.0, "labels": {"DBInstanceIdentifier": "shop-1", "stat": "Minimum"}},
                    {"line_no": 1, "value": 3.0, "labels": {"DBInstanceIdentifier": "shop-1", "stat": "SampleCount"}},
                    {"line_no": 1, "value": 40.0, "labels": {"DBInstanceIdentifier": "shop-1", "stat": "Sum"}},
                )
            },
            name="stream.jsonl",
        ),
    ),
)  # fmt: skip
