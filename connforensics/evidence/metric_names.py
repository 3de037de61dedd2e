"""What the names of metrics mean: which column of a pool, which canonical metric, which setting, or a count of workers.

The table stands beside this module in `metric_names.tsv`, one row a name as an exporter, a library or CloudWatch writes
it. Where a number goes:

- `pool`: a column of `pool_sample` (size, max_size, checked_out, idle, overflow, waiting, timeouts, acquire_ms), its
  service, instance and pool taken from the labels. Numbers of poolers (PgBouncer, ProxySQL, RDS Proxy) are kept as
  metrics as well.
- `metric`: `metric_sample` under a canonical name. That is the exporter's own name where it is the field's own
  (`pg_stat_activity_count`, `mysql_global_status_threads_connected`, `pgbouncer_pools_client_waiting_connections`),
  CloudWatch's in the same form (`aws_rds_database_connections`, label `stat`), and `pool_acquire_seconds_sum` and
  `_count` for the time any library's callers waited. Counters are kept as written: their resets stay visible.
- `workers`: a metric of that name with the label `service`, the count of replicas, tasks or function instances. Where
  several counts of one service are told, the one of the lowest rank is its workers; the others keep their own names.
- `setting`: a setting of the server, kept as metric as well.

Names are compared in lower case, dots as underscores and without `_total`. Histogram buckets say nothing that sum and
count do not say better here and are not kept. A name that is not in the table but says in its own words that it is a
number of a database pool is read by these words (`myapp_db_pool_checked_out`).

https://github.com/prometheus-community/postgres_exporter
https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final

from connforensics.evidence import pool_csv, series, workers

WORKERS: Final = workers.TARGET

ENGINES: Final = {
    "postgres_exporter": "postgres",
    "cloudnative_pg": "postgres",
    "patroni": "postgres",
    "pgwatch": "postgres",
    "performance_insights": "postgres",
    "mysqld_exporter": "mysql",
    "pgbouncer": "pgbouncer",
    "pgbouncer_spreaker": "pgbouncer",
    "pgbouncer_jbub": "pgbouncer",
    "proxysql": "proxysql",
    "proxysql_exporter": "proxysql",
    "rds_proxy": "rds_proxy",
}
"""Families of names whose numbers are a server's or a pooler's own, and the engine."""

POOLERS: Final = ("pgbouncer", "proxysql", "rds_proxy")

UNREAD_PREFIXES: Final = (
    "node_", "nginx", "redis_", "http_", "https_", "tomcat_connections", "tomcat_global", "tomcat_threads", "jetty_",
    "undertow_", "kafka_", "mongodb_", "rabbitmq_", "elasticsearch_", "envoy_", "istio_", "grpc_", "apiserver_",
    "container_", "etcd_", "kubelet_", "coredns_", "traefik_", "memcached_", "nats_", "reactor_netty_", "windows_", "vault_",
    "consul_", "cassandra_", "zookeeper_", "ldap_", "smtp_", "haproxy_", "aws_applicationelb_", "aws_networkelb_",
    "aws_elb_", "aws_natgateway_", "aws_elasticache_", "kestrel_", "signalr_", "websocket_", "prometheus_", "net_conntrack_",
    "blackbox_", "probe_", "httpcomponents_", "okhttp_", "lettuce_", "jedis_", "spring_rabbit", "rest_client_", "socket_",
)  # fmt: skip
"""Names that speak of connections and mean those of something other than a database."""

OWN_PREFIXES: Final = {
    "pg_": "postgres_exporter", "mysql_": "mysqld_exporter", "pgbouncer_": "pgbouncer", "proxysql_": "proxysql",
    "cnpg_": "cloudnative_pg", "patroni_": "patroni", "pgwatch_": "pgwatch", "hikaricp_": "hikaricp",
    "jdbc_connections_": "jdbc", "agroal_": "agroal", "go_sql_": "go_sql", "pgxpool_": "pgx", "db_client_": "opentelemetry",
    "r2dbc_pool_": "r2dbc", "prisma_": "prisma", "active_record_": "activerecord", "psycopg_pool_": "psycopg_pool",
    "aws_rds_proxy_": "rds_proxy", "aws_rds_": "rds",
}  # fmt: skip
"""Names of databases, poolers and pools: what speaks of connections among them is kept even if the table has it not."""

DATABASE_WORDS: Final = frozenset(
    ("db", "database", "sql", "sqlalchemy", "psycopg", "psycopg2", "psycopg3", "asyncpg", "aiopg", "pg", "pgx", "postgres",
     "postgresql", "mysql", "mariadb", "jdbc", "datasource", "hikari", "hikaricp", "knex", "sequelize", "typeorm", "prisma",
     "activerecord", "r2dbc", "dbcp", "dbcp2", "c3p0", "druid", "ecto", "sqlx", "npgsql", "peewee", "gorm", "queuepool")
)  # fmt: skip
"""Words of which a hand-made name must have one, so that no thread pool or HTTP pool is taken for a database's."""

_CONNECTION_WORDS = re.compile(r"(?:^|_)(?:connections?|conns?|sessions?|backends?|waiting_clients)(?:_|$)")
_SUFFIX = re.compile(r"_(sum|count|bucket|max|min)$")
_STATISTIC = re.compile(r"_(average|avg|maximum|max|minimum|min|sum|sample_count|samplecount|p\d+(?:_\d+)?)$")
_DROPWIZARD = re.compile(
    r"(?P<pool>.+?)[._]pool[._](?P<name>Wait|Usage|ConnectionCreation|TotalConnections|IdleConnections|ActiveConnections"
    r"|PendingConnections|MaxConnections|MinConnections|ConnectionTimeoutRate)(?P<rest>(?:_(?:sum|count|max|total))?)"
)
_PREFIXES: Final = (("ruby_", ""), ("vendor_", ""), ("base_", ""), ("pgwatch2_", "pgwatch_"))
"""What exporters put in front of a library's names."""

STATISTICS: Final = {
    "average": "Average", "avg": "Average", "maximum": "Maximum", "max": "Maximum", "minimum": "Minimum", "min": "Minimum",
    "sum": "Sum", "sample_count": "SampleCount", "samplecount": "SampleCount",
}  # fmt: skip
"""How writers spell CloudWatch's statistics."""

QUANTILE_RANKS: Final = {0.99: 0, 0.999: 1, 0.95: 1, 0.98: 1, 0.9: 2, 1.0: 3, 0.75: 6, 0.5: 7}
"""Which quantile of the time to get a connection is taken where several are told: callers feel the slow ones."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Where the numbers of one series go.

    `metric` is the canonical name (`factor` applies unless there is a pool column too), `pool` the column of pool_sample
    (`factor` applies). Neither: the series is recognised and not kept, `why` says why. `add` is put beside the labels,
    `drop` are labels that the meaning has used up.
    """

    family: str
    metric: str | None = None
    pool: str | None = None
    factor: float = 1.0
    when: tuple[str, str] | None = None
    add: tuple[tuple[str, str], ...] = ()
    rank: int = 0
    setting: str | None = None
    unit: str | None = None
    kind: str = ""
    drop: tuple[str, ...] = ()
    why: str = ""

    @property
    def engine(self) -> str | None:
        """The server or pooler whose own number it is."""
        return ENGINES.get(self.family)


BUCKETS: Final = "histogram buckets: their sum and count are kept"
LEAST: Final = "the least of a time: its sum, count and greatest are kept"


@functools.cache
def table() -> Mapping[str, tuple[Meaning, ...]]:
    """Return the meanings of every name of the table; those with a condition stand first."""
    found: dict[str, list[Meaning]] = {}
    text = (resources.files("connforensics.evidence") / "metric_names.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        cells = (line.split("\t") + [""] * 10)[:10]
        family, written, metric, pool, factor, when, add, rank, setting, kind = (cell.strip() for cell in cells)
        name, _, unit = setting.partition(" ")
        meant = Meaning(
            family,
            {"=": written, "+": f"{written}_total"}.get(metric, metric) or None,
            pool or None,
            float(factor or 1),
            _pair(when),
            (pair,) if (pair := _pair(add)) else (),
            int(rank or 0),
            name or None,
            unit or None,
            kind,
            (when.partition("=")[0],) if when and pool else (),
        )
        found.setdefault(written, []).append(meant)
    return {written: tuple(sorted(meant, key=lambda one: one.when is None)) for written, meant in found.items()}


def _pair(text: str) -> tuple[str, str] | None:
    name, _, value = text.partition("=")
    return (name, value) if name else None


def meaning(name: str, labels: Mapping[str, str]) -> Meaning | None:
    """Return what a series is; None where neither the table nor its own words say so.

    >>> meaning("hikaricp.connections.active", {"pool": "orders"}).pool
    'checked_out'
    >>> meaning("db_client_connections_wait_time_milliseconds_sum", {}).factor
    0.001
    """
    plain = normal(name)
    known = table()
    for candidate in (plain, plain.removesuffix("_total")):
        if candidate in known:
            chosen = _chosen(known[candidate], labels)
            return _bare(chosen, labels) if chosen is not None else None
    suffix = _SUFFIX.search(plain)
    if suffix is not None and (chosen := _chosen(known.get(plain[: suffix.start()], ()), labels)) is not None:
        member = _member(chosen, suffix.group(1), labels)
        if member is not None:
            return member
    statistic = _STATISTIC.search(plain)
    if statistic is not None and plain.startswith(("aws_", "db_")):
        chosen = _chosen(known.get(plain[: statistic.start()], ()), labels)
        if chosen is not None:
            stat = STATISTICS.get(statistic.group(1), statistic.group(1))
            return replace(chosen, add=(*chosen.add, ("stat", stat)))
    return _dropwizard(name, labels) or _by_words(plain, labels)


def may_mean(name: str) -> bool:
    """Tell whether a series of this name can be one that is kept, or must be asked about, whatever its labels."""
    plain = normal(name)
    suffix, statistic = _SUFFIX.search(plain), _STATISTIC.search(plain)
    stems = (
        plain,
        plain.removesuffix("_total"),
        plain[: suffix.start()] if suffix else plain,
        plain[: statistic.start()] if statistic else plain,
    )
    return (
        any(stem in table() for stem in stems)
        or is_about_connections(name)
        or _DROPWIZARD.fullmatch(name) is not None
        or _by_words(plain, {}) is not None
    )


def normal(name: str) -> str:
    """Return a name as the table has it, but for `_total`.

    >>> normal("db.client.connection.count"), normal("ruby_active_record_connection_pool_busy")
    ('db_client_connection_count', 'active_record_connection_pool_busy')
    """
    plain = re.sub(r"[.\-/:\s]+", "_", name.strip()).lower()
    for prefix, instead in _PREFIXES:
        if plain.startswith(prefix):
            return instead + plain.removeprefix(prefix)
    return plain


def is_about_connections(name: str) -> bool:
    """Tell whether a name speaks of a database's connections, by its words."""
    plain = normal(name)
    return bool(_CONNECTION_WORDS.search(plain)) and not plain.startswith(UNREAD_PREFIXES)


def _chosen(meanings: tuple[Meaning, ...], labels: Mapping[str, str]) -> Meaning | None:
    for one in meanings:
        if one.when is None or labels.get(one.when[0], "").lower() == one.when[1]:
            return one
    return None


def _bare(one: Meaning, labels: Mapping[str, str]) -> Meaning:
    """Return the meaning of a name without a suffix; of a summary's quantile where it is one."""
    if one.kind == "unlimited" or one.kind not in ("acquire", "time"):
        return one
    if "quantile" not in labels:
        return replace(one, metric=None, factor=one.factor * 1000, rank=5) if one.pool else one
    return _timed(one, _quantile(labels["quantile"]))


def _member(one: Meaning, suffix: str, labels: Mapping[str, str]) -> Meaning | None:
    """Return the meaning of one number of a histogram or summary."""
    if one.kind not in ("acquire", "time"):
        return None
    if suffix in ("sum", "count"):
        factor = one.factor if suffix == "sum" else 1.0
        return replace(one, metric=f"{one.metric}_{suffix}", pool=None, factor=factor)
    if suffix == "bucket":
        return Meaning(one.family, why=BUCKETS)
    return _timed(one, 3, "_max") if suffix == "max" else Meaning(one.family, why=LEAST)


def _timed(one: Meaning, rank: int, ending: str = "") -> Meaning:
    """Return the meaning of one edge of a time: what a pool's callers waited, else a metric."""
    if one.pool is None:
        return replace(one, metric=f"{one.metric}{ending}")
    return replace(one, metric=None, factor=one.factor * 1000, rank=rank, drop=("quantile",))


def _quantile(text: str) -> int:
    try:
        return QUANTILE_RANKS.get(float(text), 4)
    except ValueError:
        return 9


def _dropwizard(name: str, labels: Mapping[str, str]) -> Meaning | None:
    found = _DROPWIZARD.fullmatch(name)
    if found is None:
        return None
    one = table()[f"pool_{found['name'].lower()}"][0]
    suffix = found["rest"].removeprefix("_")
    meant = _member(one, suffix, labels) if suffix and suffix != "total" else _bare(one, labels)
    return replace(meant, add=(*meant.add, ("pool", found["pool"]))) if meant is not None else None


def _by_words(plain: str, labels: Mapping[str, str]) -> Meaning | None:
    """Return the meaning of a name that the table has not."""
    family = next((family for prefix, family in OWN_PREFIXES.items() if plain.startswith(prefix)), None)
    if family is not None:
        kept = plain.removesuffix("_bucket")
        if not _CONNECTION_WORDS.search(plain):
            return None
        return Meaning(family, why=BUCKETS) if kept != plain else Meaning(family, metric=plain)
    parts = series.words(plain.removesuffix("_total"))
    if not DATABASE_WORDS & set(parts) or not {"pool", "pools"} & set(parts) or "thread" in parts:
        return None
    placed = series.place("_".join(part for part in parts if part not in DATABASE_WORDS), pool_csv.meaning)
    if placed is None or placed[1].target == WORKERS:
        return None
    service, number = placed
    add = (("service", service),) if service and "service" not in labels else ()
    if number.target == "size":
        for label in ("state", "status"):
            by_state = pool_csv.meaning((normal(labels[label]),)) if label in labels else None
            if by_state is not None and by_state.target != WORKERS:
                return Meaning("by its words", pool=by_state.target, rank=10, add=add, drop=(label,))
    return Meaning("by its words", pool=number.target, factor=number.factor, rank=10 + number.rank, add=add)
