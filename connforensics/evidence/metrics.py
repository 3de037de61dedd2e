"""Series of numbers into the tables of a case, whatever writes them: pages, API answers, CloudWatch, CSV.

A format names each series once (`Numbers.series`), hands its samples over in batches (`Numbers.add`) and closes with
`Numbers.finish`. What `metric_names` says of a name decides where the samples go. Metrics are stored at once; numbers of
pools, counts of workers and settings are gathered in temporary tables of the case, which spill to disk, since one row of
`pool_sample` is made of several series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import metric_names, pool_csv
from connforensics.evidence.metric_names import Meaning
from connforensics.schema import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from connforensics.evidence import Reading

    Numeric = NDArray[np.int64] | NDArray[np.float64] | list[int] | list[float]

FOREIGN: Final = -1
"""What `Numbers.series` returns for a series that is not about connections, or is recognised and not kept."""

UNKNOWN: Final = -2
"""What it returns for a series that speaks of connections and that nobody understands."""

SAMPLES: Final = pa.schema(
    [
        ("line_no", pa.int64()),
        ("sampled_at", pa.timestamp("us")),
        ("scrape", pa.int64()),
        ("series", pa.int64()),
        ("value", pa.float64()),
    ]
)
"""What `Numbers.add` takes: `scrape` tells samples without times apart (0 where they have times), `value` may be NULL."""

SHOWN_NAMES: Final = 8
"""How many names an assumption lists."""

SERVICE: Final = (
    "service_name", "application", "application_name", "app", "app_name", "app_kubernetes_io_name", "exported_service",
    "service", "deployment", "exported_job", "job",
)  # fmt: skip
"""Labels that say whose pool it is, the surest first."""

INSTANCE: Final = (
    "service_instance_id", "pod", "pod_name", "kubernetes_pod_name", "exported_instance", "instance", "hostname", "host",
)  # fmt: skip

PROCESS: Final = ("pid", "process_id", "worker_id")
"""Labels that tell the processes of one instance apart, each of which has a pool of its own."""

POOL: Final = (
    "pool", "pool_name", "db_client_connection_pool_name", "db_client_connections_pool_name", "connection_pool",
    "datasource", "data_source", "db_name", "name",
)  # fmt: skip

WORKER_SERVICE: Final = (
    "service", "exported_deployment", "deployment", "statefulset", "daemonset", "horizontalpodautoscaler", "hpa",
    "FunctionName", "function_name", "dimension_FunctionName", "ServiceName", "service_name", "dimension_ServiceName",
    "AutoScalingGroupName", "auto_scaling_group_name", "dimension_AutoScalingGroupName", "resource",
)  # fmt: skip
"""Labels that say whose workers are counted."""

SERVER: Final = (
    "server", "cluster_name", "DBInstanceIdentifier", "dbinstance_identifier", "dimension_DBInstanceIdentifier",
    "DBClusterIdentifier", "ProxyName", "proxy_name", "instance",
)  # fmt: skip
"""Labels that tell the servers of one source apart."""

STAT_RANKS: Final = {
    "rds_proxy": {"Sum": 0, "Maximum": 1, "Average": 2},
    "": {"Maximum": 0, "Average": 1, "p99": 1},
}
"""Which of CloudWatch's statistics is a gauge's number. AWS adds up a proxy's nodes by Sum; elsewhere a sum over a period
is no count (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html)."""


@dataclass(slots=True)
class Series:
    """One series: its name as written, what it means, its labels, and the pool its samples belong to.

    `shown` are service, instance and pool as `pool_sample` has them.
    """

    name: str
    meaning: Meaning
    labels: dict[str, str]
    pool: int | None = None
    shown: tuple[str | None, str | None, str | None] = (None, None, None)
    rank: int = 0


@dataclass(slots=True)
class Numbers:
    """Takes the samples of one source."""

    reading: Reading
    all: list[Series] = field(default_factory=list)
    unread: dict[str, set[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    _ids: dict[tuple[str, tuple[tuple[str, str], ...]], int] = field(default_factory=dict)
    _pools: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    _is_open: bool = False

    def series(self, name: str, labels: Mapping[str, str]) -> int:
        """Return the number of a series, FOREIGN or UNKNOWN where its samples are not kept."""
        key = (name, tuple(sorted(labels.items())))
        if key not in self._ids:
            self._ids[key] = self._meet(name, dict(labels))
        return self._ids[key]

    def _meet(self, name: str, labels: dict[str, str]) -> int:
        meaning = metric_names.meaning(name, labels)
        if meaning is None and metric_names.is_about_connections(name):
            self.unknown.add(name)
            return UNKNOWN
        if meaning is None:
            self.foreign.add(name)
            return FOREIGN
        if meaning.why:
            self.unread.setdefault(meaning.why, set()).add(name)
            return FOREIGN
        labels = {**labels, **dict(meaning.add)}
        met = Series(name, meaning, labels, rank=meaning.rank)
        if meaning.pool is not None or meaning.kind in ("acquire", "time"):
            self._place(met)
        if meaning.metric == metric_names.WORKERS:
            met.rank = _by_statistic(met, met.rank * 10)
        self.all.append(met)
        return len(self.all) - 1

    def _place(self, met: Series) -> None:
        """Find the pool that a series tells a number of: what is left of its labels when the number is named."""
        labels, meaning = met.labels, met.meaning
        used = {
            *meaning.drop,
            *(name for name, _ in meaning.add if name != "pool"),
            "stat",
            "quantile",
            "le",
            "state",
            "status",
        }
        rest = {name: value for name, value in labels.items() if name not in used}
        service, instance, pool = _first(rest, SERVICE), _first(rest, INSTANCE), _first(rest, POOL)
        instance = "/".join(filter(None, (instance, _first(rest, PROCESS)))) or None
        if meaning.engine in metric_names.POOLERS:
            service, instance, pool = meaning.engine, _first(rest, SERVER), _pooler_pool(rest)
        met.shown = (service, instance, pool)
        if meaning.pool is not None:
            key = (("family", "jdbc" if meaning.family == "jdbc" else ""), *sorted(rest.items()))
            met.pool = self._pools.setdefault(key, len(self._pools))
            met.rank = _by_statistic(met, met.rank * 10)
        told = zip(("service", "instance", "pool"), met.shown, strict=True)
        met.labels = {**labels, **{name: value for name, value in told if value and name not in labels}}

    def add(self, samples: pa.Table) -> None:
        """Take samples of the form SAMPLES, of series that `series` has numbered."""
        if not samples.num_rows:
            return
        extent = pc.min_max(samples["sampled_at"]).as_py()
        self.reading.ledger.saw(extent["min"], extent["max"])
        numbers = pc.unique(samples["series"]).to_pylist()
        met = [self.all[index] for index in numbers]
        named = pa.table(
            {
                "series": pa.array(numbers, pa.int64()),
                "name": pa.array([one.meaning.metric for one in met], pa.string()),
                "labels": _maps([one.labels for one in met]),
                "factor": pa.array([1.0 if one.meaning.pool else one.meaning.factor for one in met], pa.float64()),
                "target": pa.array([one.meaning.pool for one in met], pa.string()),
                "pool": pa.array([one.pool for one in met], pa.int64()),
                "pool_factor": pa.array([one.meaning.factor for one in met], pa.float64()),
                "rank": pa.array([one.rank for one in met], pa.int64()),
                "is_unlimited": pa.array([one.meaning.kind == "unlimited" for one in met], pa.bool_()),
                "setting": pa.array([one.meaning.setting for one in met], pa.string()),
            }
        )
        self._open()
        self.reading.show("told_samples", samples)
        self.reading.show("told_names", named)
        con = self.reading.con
        server = quoted(self.reading.server)
        con.execute(
            f"""
            INSERT INTO metric_sample (source_id, line_no, sampled_at, server, name, labels, value)
            SELECT {self.reading.source_id}, line_no, sampled_at, {server}, name, labels, value * factor
            FROM told_samples
            JOIN told_names USING (series)
            WHERE name IS NOT NULL
              AND name <> '{metric_names.WORKERS}'
            ORDER BY line_no
            """
        )
        con.execute(
            """
            INSERT INTO told_pool
            SELECT line_no, sampled_at, scrape, pool, target, rank,
                   CASE WHEN NOT (is_unlimited AND value <= 0) THEN value * pool_factor END
            FROM told_samples
            JOIN told_names USING (series)
            WHERE target IS NOT NULL
              AND value IS NOT NULL
              AND rank < 90
            """
        )
        con.execute(
            f"""
            INSERT INTO told_apart
            SELECT line_no, sampled_at, scrape, series, value
            FROM told_samples
            JOIN told_names USING (series)
            WHERE name = '{metric_names.WORKERS}'
               OR (setting IS NOT NULL AND value IS NOT NULL)
            """
        )

    def _open(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        con = self.reading.con
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE told_pool (
              line_no BIGINT, sampled_at TIMESTAMP, scrape BIGINT, pool BIGINT, target VARCHAR, rank BIGINT, value DOUBLE
            )
            """
        )
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE told_apart (
              line_no BIGINT, sampled_at TIMESTAMP, scrape BIGINT, series BIGINT, value DOUBLE
            )
            """
        )

    def finish(self) -> None:
        """Store what was gathered, and say what was left out and why."""
        if self._is_open:
            self._store_pools()
            self._store_workers()
            self._store_settings()
            self._tell_servers_apart()
            self.reading.hide("told_samples", "told_names")
            for name in ("told_pool", "told_apart"):
                self.reading.con.execute(f"DROP TABLE {name}")
        ledger = self.reading.ledger
        if self.unknown:
            ledger.assume(f"not understood, though they speak of connections: {_listed(self.unknown)}")
        for why, names in self.unread.items():
            ledger.assume(f"not kept, {why}: {_listed(names)}")
        if self.foreign:
            ledger.assume(f"ignored, not about connections: {_plural(len(self.foreign), 'name')} of metrics")
        engines = {one.meaning.engine for one in self.all if one.meaning.engine}
        if len(engines) == 1 and self.reading.engine is None:
            self.reading.engine = engines.pop()

    def _store_pools(self) -> None:
        pools = self._shown_pools()
        if not pools:
            return
        numbers = ",\n".join(
            f"arg_min(value, (rank, line_no)) FILTER (WHERE target = '{target}') AS {target}"
            for target in pool_csv.TARGETS
        )
        con = self.reading.con
        told_table = pa.table(
            {
                "pool": pa.array(list(pools), pa.int64()),
                **{
                    name: pa.array([labels[index] for labels in pools.values()], pa.string())
                    for index, name in enumerate(("service", "instance", "pool_name"))
                },
            }
        )
        self.reading.show("told_pools", told_table)
        con.execute(
            f"""
            INSERT INTO pool_sample (source_id, line_no, sampled_at, service, instance, pool, {", ".join(pool_csv.TARGETS)})
            WITH pooled AS (
              SELECT min(line_no) AS line_no, sampled_at, scrape, pool, {numbers}
              FROM told_pool
              GROUP BY sampled_at, scrape, pool
            )
            SELECT {self.reading.source_id}, line_no, sampled_at, service, instance, pool_name, {", ".join(pool_csv.TARGETS)}
            FROM pooled
            JOIN told_pools USING (pool)
            ORDER BY sampled_at, line_no, service, instance, pool_name
            """
        )
        self.reading.hide("told_pools")

    def _shown_pools(self) -> dict[int, tuple[str | None, str | None, str | None]]:
        """Return service, instance and pool of each pool; those that would look alike get what tells them apart."""
        shown: dict[int, tuple[str | None, str | None, str | None]] = {}
        family: dict[int, str] = {}
        for one in self.all:
            if one.pool is not None:
                shown[one.pool] = one.shown
                family[one.pool] = one.meaning.family
        named = {labels[:2] for number, labels in shown.items() if family[number].startswith("hikaricp")}
        doubles = {number for number, labels in shown.items() if family[number] == "jdbc" and labels[:2] in named}
        if doubles:
            self.reading.ledger.assume(
                "jdbc_connections_* are not read beside hikaricp_*: they are the same pools under another name"
            )
        rests = {number: dict(key[1:]) for key, number in self._pools.items()}
        alike: dict[tuple[str | None, str | None, str | None], list[int]] = {}
        for number, labels in shown.items():
            if number not in doubles:
                alike.setdefault(labels, []).append(number)
        for labels, numbers in alike.items():
            told = [set(rests[number].items()) for number in numbers]
            common = set.intersection(*told)
            for number, items in zip(numbers, told, strict=True):
                apart = ", ".join(f"{name}={value}" for name, value in sorted(items - common))
                if apart and len(numbers) > 1:
                    shown[number] = (*labels[:2], f"{labels[2]} ({apart})" if labels[2] else apart)
        return {number: labels for number, labels in shown.items() if number not in doubles}

    def _store_workers(self) -> None:
        counts = {number: one for number, one in enumerate(self.all) if one.meaning.metric == metric_names.WORKERS}
        if not counts:
            return
        services = {number: _first(one.labels, WORKER_SERVICE) for number, one in counts.items()}
        spaces: dict[str | None, set[str]] = {}
        for number, one in counts.items():
            spaces.setdefault(services[number], set()).add(one.labels.get("namespace", ""))
        named = {
            number: f"{one.labels['namespace']}/{services[number]}"
            if one.labels.get("namespace") and len(spaces[services[number]]) > 1
            else services[number]
            for number, one in counts.items()
        }
        best: dict[str | None, int] = {}
        for number, one in counts.items():
            best[named[number]] = min(best.get(named[number], one.rank), one.rank)
        is_best = {number: one.rank == best[named[number]] and one.rank < 90 for number, one in counts.items()}
        told_table = pa.table(
            {
                "series": pa.array(list(counts), pa.int64()),
                "name": pa.array(
                    [
                        metric_names.WORKERS if is_best[number] else metric_names.normal(one.name)
                        for number, one in counts.items()
                    ],
                    pa.string(),
                ),
                "labels": _maps(
                    [
                        {**one.labels, **({"service": service} if (service := named[number]) else {})}
                        for number, one in counts.items()
                    ]
                ),
            }
        )
        con = self.reading.con
        self.reading.show("told_workers", told_table)
        con.execute(
            f"""
            INSERT INTO metric_sample (source_id, line_no, sampled_at, name, labels, value)
            SELECT {self.reading.source_id}, line_no, sampled_at, name, labels, value
            FROM told_apart
            JOIN told_workers USING (series)
            ORDER BY line_no, sampled_at
            """
        )
        self.reading.hide("told_workers")

    def _store_settings(self) -> None:
        """Store a setting where it is first told and wherever it changes."""
        told = {number: one for number, one in enumerate(self.all) if one.meaning.setting is not None}
        if not told:
            return
        servers = self._servers()
        told_table = pa.table(
            {
                "series": pa.array(list(told), pa.int64()),
                "server": pa.array([self._server_of(one, servers) for one in told.values()], pa.string()),
                "engine": pa.array([one.meaning.engine for one in told.values()], pa.string()),
                "name": pa.array([one.meaning.setting for one in told.values()], pa.string()),
                "unit": pa.array([one.meaning.unit for one in told.values()], pa.string()),
            }
        )
        con = self.reading.con
        self.reading.show("told_settings", told_table)
        con.execute(
            f"""
            INSERT INTO setting (source_id, line_no, server, engine, name, value, unit, valid_at)
            WITH stepped AS (
              SELECT *, lag(value) OVER (PARTITION BY server, engine, name ORDER BY sampled_at, line_no) AS before
              FROM told_apart
              JOIN told_settings USING (series)
            )
            SELECT {self.reading.source_id}, line_no, server, engine, name,
                   CASE WHEN value = trunc(value) AND abs(value) < 1e15 THEN value::BIGINT::VARCHAR ELSE value::VARCHAR END,
                   unit, sampled_at
            FROM stepped
            WHERE value IS DISTINCT FROM before
            ORDER BY line_no, sampled_at
            """
        )
        self.reading.hide("told_settings")

    def _servers(self) -> dict[str, Servers]:
        """Return for each engine of which there are several servers how they are told apart."""
        if self.reading.server:
            return {}
        found = {}
        for engine in {one.meaning.engine for one in self.all if one.meaning.engine}:
            mine = [one.labels for one in self.all if one.meaning.engine == engine]
            label = next((label for label in SERVER if any(labels.get(label) for labels in mine)), None)
            if label is None or len({labels[label] for labels in mine if labels.get(label)}) < 2:
                continue
            of_instance: dict[str, set[str]] = {}
            for labels in mine:
                if labels.get("instance") and labels.get(label):
                    of_instance.setdefault(labels["instance"], set()).add(labels[label])
            sole = {instance: next(iter(names)) for instance, names in of_instance.items() if len(names) == 1}
            found[engine] = Servers(label, sole)
        return found

    def _server_of(self, one: Series, servers: Mapping[str, Servers]) -> str | None:
        if self.reading.server:
            return self.reading.server
        apart = servers.get(one.meaning.engine or "")
        if apart is None:
            return None
        return one.labels.get(apart.label) or apart.of_instance.get(one.labels.get("instance", ""))

    def _tell_servers_apart(self) -> None:
        """Name the server of each metric where there are several of an engine."""
        for engine, apart in self._servers().items():
            names = {one.meaning.metric for one in self.all if one.meaning.engine == engine and one.meaning.metric}
            self.reading.con.execute(
                f"""
                UPDATE metric_sample
                SET server = coalesce(
                  labels[{quoted(apart.label)}],
                  list_extract($servers, list_position($instances, labels['instance']))
                )
                WHERE source_id = $source_id
                  AND list_contains($names, name)
                """,
                {
                    "servers": [*apart.of_instance.values()],
                    "instances": [*apart.of_instance],
                    "source_id": self.reading.source_id,
                    "names": sorted(names),
                },
            )


@dataclass(frozen=True, slots=True)
class Servers:
    """How the servers of an engine are told apart: by a label, and for series without it by their exporter."""

    label: str
    of_instance: Mapping[str, str]


def samples(
    line_no: Numeric, sampled_at: pa.Array, series: Numeric, value: Numeric, scrape: Numeric | None = None
) -> pa.Table:
    """Return columns in the form SAMPLES; NaN becomes NULL, `scrape` is 0 where none is given."""
    numbers = column(series, pa.int64())
    values = column(value, pa.float64())
    values = pc.if_else(pc.is_nan(values), pa.nulls(1, pa.float64())[0], values)
    scrapes = column(np.zeros(len(numbers), np.int64) if scrape is None else scrape, pa.int64())
    return pa.table([column(line_no, pa.int64()), sampled_at, scrapes, numbers, values], schema=SAMPLES)


def column(values: Numeric, kind: pa.DataType) -> pa.Array:
    """Return numbers as an Arrow array; `pa.array` of an ndarray would import pandas, which takes longer than most files."""
    if not isinstance(values, np.ndarray):
        return pa.array(values, kind)
    wide = np.ascontiguousarray(values, dtype=np.float64 if kind == pa.float64() else np.int64)
    return pa.Array.from_buffers(kind, len(wide), [None, pa.py_buffer(wide)])


def number(text: object) -> float:
    """Return a number as Prometheus writes it, NaN where it is none.

    >>> number("+Inf"), number("4.68E-4"), number(None)
    (inf, 0.000468, nan)
    """
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)


def _pooler_pool(labels: Mapping[str, str]) -> str | None:
    if "database" in labels:
        return "/".join(filter(None, (labels["database"], labels.get("user"))))
    if "hostgroup" in labels:
        return f"{labels['hostgroup']}:{labels.get('endpoint', '')}".rstrip(":")
    return _first(labels, ("ProxyName", "proxy_name", "dimension_ProxyName", "resource", *POOL))


def _by_statistic(met: Series, rank: int) -> int:
    """Return the rank of a number among CloudWatch's statistics of it; 90 where the statistic is no number of that kind."""
    stat = met.labels.get("stat")
    if stat is None:
        return rank + 5 if met.name.startswith("aws_") else rank
    is_time = met.meaning.pool == "acquire_ms"
    ranks = STAT_RANKS["" if is_time else met.meaning.family if met.meaning.family in STAT_RANKS else ""]
    return rank + ranks.get(stat, 90)


def _maps(labels: Iterable[Mapping[str, str]]) -> pa.Array:
    return pa.array([sorted(one.items()) for one in labels], pa.map_(pa.string(), pa.string()))


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - SHOWN_NAMES
    return ", ".join(ordered[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("s" if count != 1 else "")


_LABEL = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.:\-]*))\s*(?:=~?\s*"((?:[^"\\]|\\.)*)")?\s*(,|$)')
_ESCAPE = re.compile(r"\\(.)")


def parse_series(text: str) -> tuple[str, dict[str, str]] | None:
    """Return name and labels of a series as Prometheus writes it, None where it is none.

    >>> parse_series('up{job="a\\\\"b",}'), parse_series('{"db.client.connection.count","state"="idle"}')
    (('up', {'job': 'a"b'}), ('db.client.connection.count', {'state': 'idle'}))
    """
    name, brace, rest = text.strip().partition("{")
    labels: dict[str, str] = {}
    if brace:
        if not rest.endswith("}"):
            return None
        inner, position = rest[:-1].strip(), 0
        while position < len(inner):
            found = _LABEL.match(inner, position)
            if found is None:
                return None
            quoted, plain, value, _ = found.groups()
            key = _unescaped(quoted) if quoted is not None else plain
            if value is None:
                if name or quoted is None:
                    return None
                name = key
            else:
                labels[key] = _unescaped(value)
            position = found.end()
    name = labels.pop("__name__", name).strip()
    return (name, labels) if name else None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: {"n": "\n"}.get(found.group(1), found.group(1)), text) if "\\" in text else text
