"""Worker counts: how many processes, replicas or instances of each service ran, over time.

Obtained from the orchestrator or the monitoring as CSV with a time column: `kubectl get deployments -o json` in a loop, a
dashboard's "export as CSV", an autoscaler's history. One row a service and time (`time,service,replicas`), one column a
service (`time,orders_replicas,web_replicas`), or one row a number (`time,service,metric,value`). A table with nothing
but service names above its numbers could count anything and is read only when the format is named by hand.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, pool_csv, series, tables, workers
from connforensics.evidence.series import Number

PLAIN_COUNTS: Final = frozenset(("count", "value", "n", "total", "number"))
"""Names that mean workers where the caller says that workers are counted."""


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header counts workers over time, and nothing of pools."""
    layout = series.plan(names, names, workers.meaning)
    if layout.time is None or pool_csv.FOREIGN & set(names):
        return False
    if layout.long is not None:
        return True
    if not layout.numbers or (pool_csv.accepts(names) and len(layout.numbers) == 1):
        return False
    parts = {word for name in names for word in series.words(name)}
    return bool(workers.STRONG & parts) or ("service" in layout.labels and {"desired", "ready"} <= parts)


def certainty(head: Head) -> float:
    """Return how sure a head counts workers: by its header, for a long table by its metrics."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    how = series.plan(layout.names, layout.written, workers.meaning)
    if how.long is not None:
        found = list(series.metrics(head, layout, how.long[0], workers.meaning))
        return 0.7 * layout.fit if found else 0.0
    sure = 0.85 if "service" in how.labels or any(service for service, _ in how.numbers) else 0.6
    return sure * (0.4 + 0.6 * layout.fit)


def read(reading: Reading) -> None:
    """Store a metric_sample `workers` for each service and time."""
    is_forced = reading.options.format == FORMAT.name and tables.find(reading.head.lines, accepts) is None
    known = _any_column if is_forced else workers.meaning
    with tables.scratch(reading.options.timezone) as con:
        gauges = series.Gauges(reading, con, known, (workers.TARGET,))
        for frame in tables.frames(reading, _has_time if is_forced else accepts):
            rows = gauges.rows(frame)
            if rows is not None:
                workers.store(reading, rows)
        rest = gauges.rest()
        if rest is not None:
            workers.store(reading, rest)


def _has_time(names: Sequence[str]) -> bool:
    return series.plan(names, names, _any_column).time is not None


def _any_column(words: tuple[str, ...]) -> Number | None:
    """Take every column as a count: its name is a service, or a service and a word for workers."""
    return Number(workers.TARGET) if not words or "_".join(words) in PLAIN_COUNTS else workers.meaning(words)


FORMAT = Format(
    name="workers_csv",
    engine=None,
    tables=("metric_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "time,service,workers\n2026-11-21T03:12:00Z,orders,4\n2026-11-21T03:12:00Z,web,8\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "value": 4.0,
                     "labels": {"service": "orders"}},
                    {"line_no": 3, "name": "workers", "value": 8.0, "labels": {"service": "web"}},
                )
            },
            name="workers.csv",
        ),
        Sample(
            "timestamp,orders-api replicas,web replicas\n2026-11-21 03:12:00,4,\n2026-11-21 03:13:00,5,9\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "value": 4.0, "labels": {"service": "orders-api"}},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:13:00", "value": 5.0, "labels": {"service": "orders-api"}},
                    {"line_no": 3, "sampled_at": "2026-11-21T03:13:00", "value": 9.0, "labels": {"service": "web"}},
                )
            },
            name="export.csv",
        ),
        Sample(
            "time;deployment;desired;ready\n2026-11-21 03:12:00Z;orders;6;4\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "value": 4.0, "labels": {"service": "orders"}},
                )
            },
            name="scale.csv",
        ),
    ),
)  # fmt: skip
