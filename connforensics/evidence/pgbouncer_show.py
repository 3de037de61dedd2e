"""The admin console of PgBouncer: pools, clients, servers, statistics, databases and settings, as `SHOW` prints them.

Obtained with `psql -p 6432 pgbouncer -c 'SHOW POOLS'` (as a member of `stats_users` or `admin_users`), once or in a loop
with the time above each table, in any of psql's shapes, or from this program's recorder. Columns are known by name, so
every version's set will do. https://www.pgbouncer.org/usage.html#show-commands

- `SHOW POOLS`: a `pool_sample` for each pool, `service` 'pgbouncer', `pool` 'database/user': `checked_out` is what clients
  are linked to (sv_active), `idle` what may be lent (sv_idle and, after a check, sv_used), `size` every connection to the
  server in whatever state, also while it logs in, is tested or cancelled; `waiting` is cl_waiting, `acquire_ms` how long
  the first of the queue has waited (maxwait). `max_size` is told only where a column pool_size stands beside.
- `SHOW CLIENTS`, `SHOW SERVERS`: a `backend_sample` each, `backend_type` 'pooler client' or 'pooler server', in PgBouncer's
  own states; `query_id` is the object as the log names it (`C-0x...`), `command` the one it is linked to, `backend_id` of a
  server connection the process id in PostgreSQL. A waiting client has `wait_event` 'pool'.
- `SHOW STATS`, `STATS_TOTALS`, `LISTS`, and the numbers of `POOLS` and `DATABASES`: a `metric_sample` each, named as
  prometheus-community's pgbouncer_exporter names them.
- `SHOW CONFIG`, `DATABASES`, `USERS`: a `setting` each, `database.NAME.pool_size` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, consoles
from connforensics.evidence.consoles import View, cell, gauges, number, settings, time

SERVERS_IN: Final = (
    "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login",
)  # fmt: skip

POOLS: Final = {
    "cl_active": ("pgbouncer_pools_client_active_connections", 1.0),
    "cl_waiting": ("pgbouncer_pools_client_waiting_connections", 1.0),
    "cl_cancel_req": ("pgbouncer_pools_client_waiting_cancel_connections", 1.0),
    "cl_active_cancel_req": ("pgbouncer_pools_client_active_cancel_connections", 1.0),
    "cl_waiting_cancel_req": ("pgbouncer_pools_client_waiting_cancel_connections", 1.0),
    "sv_active": ("pgbouncer_pools_server_active_connections", 1.0),
    "sv_active_cancel": ("pgbouncer_pools_server_active_cancel_connections", 1.0),
    "sv_being_canceled": ("pgbouncer_pools_server_being_canceled_connections", 1.0),
    "sv_idle": ("pgbouncer_pools_server_idle_connections", 1.0),
    "sv_used": ("pgbouncer_pools_server_used_connections", 1.0),
    "sv_tested": ("pgbouncer_pools_server_testing_connections", 1.0),
    "sv_login": ("pgbouncer_pools_server_login_connections", 1.0),
    "maxwait": ("pgbouncer_pools_client_maxwait_seconds", 1.0),
}

TOTALS: Final = {
    "server_assignment_count": ("pgbouncer_stats_totals_server_assignments_total", 1.0),
    "xact_count": ("pgbouncer_stats_totals_sql_transactions_pooled_total", 1.0),
    "query_count": ("pgbouncer_stats_totals_queries_pooled_total", 1.0),
    "requests": ("pgbouncer_stats_totals_queries_total", 1.0),
    "received": ("pgbouncer_stats_totals_received_bytes_total", 1.0),
    "bytes_received": ("pgbouncer_stats_totals_received_bytes_total", 1.0),
    "sent": ("pgbouncer_stats_totals_sent_bytes_total", 1.0),
    "bytes_sent": ("pgbouncer_stats_totals_sent_bytes_total", 1.0),
    "xact_time": ("pgbouncer_stats_totals_server_in_transaction_seconds_total", 1e-6),
    "query_time": ("pgbouncer_stats_totals_queries_duration_seconds_total", 1e-6),
    "wait_time": ("pgbouncer_stats_totals_client_wait_seconds_total", 1e-6),
    "client_parse_count": ("pgbouncer_stats_totals_client_parses_total", 1.0),
    "server_parse_count": ("pgbouncer_stats_totals_server_parses_total", 1.0),
    "bind_count": ("pgbouncer_stats_totals_binds_total", 1.0),
    "client_login_count": ("pgbouncer_stats_totals_client_logins_total", 1.0),
}
"""Counters by their column; `SHOW STATS` puts `total_` before. Times are in microseconds."""

AVERAGES: Final = (
    "avg_req", "avg_recv", "avg_sent", "avg_query", "avg_xact_count", "avg_query_count", "avg_xact_time",
    "avg_query_time", "avg_wait_time", "avg_client_parse_count", "avg_server_parse_count", "avg_bind_count",
    "avg_server_assignment_count", "avg_client_login_count",
)  # fmt: skip

STATS: Final = {
    **{f"total_{column}": metric for column, metric in TOTALS.items()},
    **TOTALS,
    **{column: (f"pgbouncer_stats_{column}", 1.0) for column in AVERAGES},
}

DATABASES: Final = {
    "pool_size": ("pgbouncer_databases_pool_size", 1.0),
    "reserve_pool": ("pgbouncer_databases_reserve_pool", 1.0),
    "reserve_pool_size": ("pgbouncer_databases_reserve_pool", 1.0),
    "max_connections": ("pgbouncer_databases_max_connections", 1.0),
    "current_connections": ("pgbouncer_databases_current_connections", 1.0),
    "max_client_connections": ("pgbouncer_databases_max_client_connections", 1.0),
    "current_client_connections": ("pgbouncer_databases_current_client_connections", 1.0),
    "paused": ("pgbouncer_databases_paused", 1.0),
    "disabled": ("pgbouncer_databases_disabled", 1.0),
}

SETTINGS_OF: Final = (
    "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool", "reserve_pool_size",
    "server_lifetime", "pool_mode", "max_connections", "max_client_connections", "max_user_connections",
    "max_user_client_connections",
)  # fmt: skip
"""Columns of `SHOW DATABASES` and `SHOW USERS` that somebody has set."""

LISTS: Final = (
    "databases",
    "users",
    "pools",
    "free_clients",
    "used_clients",
    "login_clients",
    "free_servers",
    "used_servers",
)


def _pools(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    def count(column: str) -> str:
        return f"coalesce({number(names, column)}, 0)"

    pool = f"{cell(names, 'database')} || '/' || {cell(names, 'user')}"
    wait = f"{number(names, 'maxwait')} * 1000 + {count('maxwait_us')} / 1000"
    sample = f"""
        SELECT line_no, sampled_at, 'pgbouncer' AS service, server AS instance, {pool} AS pool,
               {number(names, "pool_size")} AS max_size,
               {" + ".join(map(count, SERVERS_IN))} AS size,
               {number(names, "sv_active")} AS checked_out,
               {count("sv_idle")} + {count("sv_used")} AS idle,
               {number(names, "cl_waiting")} AS waiting,
               {wait} AS acquire_ms
        FROM frame
        """
    labels = {"database": cell(names, "database"), "user": cell(names, "user")}
    return {"pool_sample": [sample], "metric_sample": gauges(names, POOLS, labels)}


def _connections(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    # Up to 1.18 the state of a client that waits for a server is `waiting`; of one that has ever had one it is so too.
    kind = f"coalesce(nullif(upper({cell(names, 'type')}), ''), CASE WHEN {cell(names, 'state')} IN ('waiting', 'login') THEN 'C' ELSE 'S' END)"
    address = cell(names, "addr")
    sample = f"""
        SELECT line_no, sampled_at, server, 'pgbouncer' AS engine,
               CASE WHEN {kind} = 'S' THEN nullif(TRY_CAST({cell(names, "remote_pid")} AS BIGINT), 0) END AS backend_id,
               {cell(names, "user")} AS user_name, {cell(names, "database")} AS database_name,
               nullif(regexp_extract({cell(names, "application_name")}, '^(.*?)(?: - [0-9a-f.:]+:[0-9]+)?$', 1), '') AS application_name,
               CASE WHEN starts_with({address}, 'unix') THEN '[local]' ELSE {address} END AS client_host,
               CASE WHEN NOT starts_with({address}, 'unix') THEN TRY_CAST({cell(names, "port")} AS INTEGER) END AS client_port,
               CASE WHEN {kind} = 'S' THEN 'pooler server' ELSE 'pooler client' END AS backend_type,
               {time(names, "connect_time")} AS backend_start_at,
               {time(names, "request_time")} AS query_start_at,
               {time(names, "request_time")} AS state_change_at,
               {cell(names, "state")} AS state,
               nullif({cell(names, "link")}, '') AS command,
               CASE WHEN {cell(names, "state")} = 'waiting' THEN 'pool' END AS wait_event,
               left({kind}, 1) || '-' || {cell(names, "ptr")} AS query_id
        FROM frame
        """
    return {"backend_sample": [sample]}


def _stats(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    return {"metric_sample": gauges(names, STATS, {"database": cell(names, "database")})}


def _databases(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    name = cell(names, "name")
    labels = {label: cell(names, label) for label in ("name", "host", "port", "database", "force_user", "pool_mode")}
    return {
        "metric_sample": gauges(names, DATABASES, labels),
        "setting": [
            settings(f"'database.' || {name} || '.{column}'", cell(names, column))
            for column in SETTINGS_OF
            if column in names
        ],
    }


def _users(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    told = [column for column in SETTINGS_OF if column in names]
    return {
        "setting": [
            settings(f"'user.' || {cell(names, 'name')} || '.{column}'", cell(names, column)) for column in told
        ]
    }


def _config(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    return {"setting": [settings(cell(names, "key"), cell(names, "value"))]}


def _lists(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    known = ", ".join(f"'{name}'" for name in LISTS)
    sample = f"""
        SELECT line_no, sampled_at, server, 'pgbouncer_' || {cell(names, "list")} AS name, {number(names, "items")} AS value
        FROM frame
        WHERE {cell(names, "list")} IN ({known})
        """
    return {"metric_sample": [sample]}


def _nothing(_: Sequence[str]) -> Mapping[str, Sequence[str]]:
    return {}


VIEWS: Final = (
    View("POOLS", frozenset(("database", "user", "cl_active", "cl_waiting", "sv_active")), _pools),
    View("SOCKETS", frozenset(("addr", "ptr", "link", "recv_pos", "pkt_pos")), _nothing),
    View(
        "CLIENTS",
        frozenset(("user", "database", "state", "addr", "port", "connect_time", "request_time", "ptr", "link")),
        _connections,
        latest=("connect_time", "request_time"),
    ),
    *(
        View("STATS", frozenset(("database", *columns)), _stats)
        for columns in (
            ("total_query_count", "total_received"), ("total_xact_count", "total_query_count"), ("total_requests", "total_received"),
            ("xact_count", "query_count", "wait_time"), ("avg_query_count", "avg_query_time"), ("avg_req", "avg_recv"),
        )
    ),
    View("DATABASES", frozenset(("name", "host", "port", "database", "pool_size")), _databases),
    View("CONFIG", frozenset(("key", "value", "changeable")), _config),
    View("LISTS", frozenset(("list", "items")), _lists, certainty=0.8),
    View("USERS", frozenset(("name", "pool_mode")), _users, lacks=frozenset(("host", "database")), certainty=0.7),
    View("FDS", frozenset(("fd", "task", "user", "database")), _nothing, certainty=0.8),
    View("MEM", frozenset(("name", "size", "used", "free", "memtotal")), _nothing, certainty=0.7),
    View("DNS_HOSTS", frozenset(("hostname", "ttl", "addrs")), _nothing, certainty=0.6),
    View("DNS_ZONES", frozenset(("zonename", "serial", "count")), _nothing, certainty=0.6),
)  # fmt: skip


def certainty(head: Head) -> float:
    """Return how sure a head shows tables of PgBouncer's console."""
    return consoles.certainty(head, VIEWS)


def read(reading: Reading) -> None:
    """Store what the tables tell."""
    consoles.read(reading, VIEWS)


POOLS_SAMPLE: Final = """\
2026-11-21T03:12:00Z
 database |  user   | cl_active | cl_waiting | cl_active_cancel_req | cl_waiting_cancel_req | sv_active | sv_active_cancel | sv_being_canceled | sv_idle | sv_used | sv_tested | sv_login | maxwait | maxwait_us |  pool_mode
----------+---------+-----------+------------+----------------------+-----------------------+-----------+------------------+-------------------+---------+---------+-----------+----------+---------+------------+-------------
 shop     | app_web |         4 |          7 |                    0 |                     0 |         3 |                0 |                 0 |       1 |       1 |         0 |        1 |       1 |     315616 | transaction
(1 row)

2026-11-21T03:12:05Z
 database |  user   | cl_active | cl_waiting | cl_active_cancel_req | cl_waiting_cancel_req | sv_active | sv_active_cancel | sv_being_canceled | sv_idle | sv_used | sv_tested | sv_login | maxwait | maxwait_us |  pool_mode
----------+---------+-----------+------------+----------------------+-----------------------+-----------+------------------+-------------------+---------+---------+-----------+----------+---------+------------+-------------
 shop     | app_web |         4 |          0 |                    0 |                     0 |         2 |                0 |                 0 |       2 |       0 |         0 |        0 |       0 |          0 | transaction
(1 row)
"""

OLD_POOLS: Final = (
    "sampled_at,database,user,cl_active,cl_waiting,sv_active,sv_idle,sv_used,sv_tested,sv_login,maxwait,pool_mode,pool_size\n"
    "2026-11-21 03:12:00+00,shop,app_web,4,1,3,0,0,0,0,2,session,20\n"
)

SERVERS_SAMPLE: Final = """\
type|user|database|replication|state|addr|port|local_addr|local_port|connect_time|request_time|wait|wait_us|close_needed|ptr|link|remote_pid|tls|application_name|prepared_statements|id
S|app_web|shop|none|active|127.0.0.1|5432|127.0.0.1|41834|2026-11-21 03:10:00 UTC|2026-11-21 03:12:01 UTC|0|0|0|0x55d0c2a8|0x55d0c1f0|7351||orders|0|7
C|app_web|shop|none|waiting|unix|6432|unix|6432|2026-11-21 03:11:00 UTC|2026-11-21 03:12:00 UTC|1|20|0|0x55d0c1f0||0||orders - 10.0.0.9:4011|0|3
"""

DATABASES_SAMPLE: Final = """\
pgbouncer=# SHOW DATABASES;
-[ RECORD 1 ]-------+-----------
name                | shop
host                | 10.0.0.2
port                | 5432
database            | shop
force_user          |
pool_size           | 20
min_pool_size       | 0
reserve_pool        | 5
pool_mode           |
max_connections     | 0
current_connections | 12
paused              | 0
disabled            | 0

pgbouncer=# SHOW CONFIG;
-[ RECORD 1 ]---------
key        | max_client_conn
value      | 100
default    | 100
changeable | yes
-[ RECORD 2 ]---------
key        | pool_mode
value      | transaction
default    | session
changeable | yes
"""

STATS_SAMPLE: Final = """\
2026-11-21 03:12:00+00
database\ttotal_xact_count\ttotal_query_count\ttotal_received\ttotal_sent\ttotal_xact_time\ttotal_query_time\ttotal_wait_time\tavg_xact_count\tavg_query_count\tavg_recv\tavg_sent\tavg_xact_time\tavg_query_time\tavg_wait_time
shop\t10\t30\t100\t200\t5000000\t4000000\t2500000\t1\t2\t3\t4\t5\t6\t7
"""

FORMAT = Format(
    name="pgbouncer_show",
    engine="pgbouncer",
    tables=("pool_sample", "metric_sample", "backend_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            POOLS_SAMPLE,
            {
                "pool_sample": (
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:00", "service": "pgbouncer", "pool": "shop/app_web",
                     "checked_out": 3.0, "idle": 2.0, "size": 6.0, "waiting": 7.0, "acquire_ms": 1315.616, "max_size": None},
                    {"line_no": 10, "sampled_at": "2026-11-21T03:12:05", "checked_out": 2.0, "idle": 2.0, "waiting": 0.0},
                ),
                "metric_sample": tuple(
                    {"line_no": line, "name": name, "labels": {"database": "shop", "user": "app_web"}, "value": value}
                    for line, values in (
                        (4, (0.0, 4.0, 1.0, 0.0, 7.0, 0.0, 3.0, 0.0, 1.0, 1.0, 0.0, 1.0)),
                        (10, (0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0)),
                    )
                    for name, value in zip(
                        sorted({metric for column, (metric, _) in POOLS.items() if column != "cl_cancel_req"}), values, strict=True
                    )
                ),
            },
            name="pools.txt",
        ),
        Sample(
            OLD_POOLS,
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "pool": "shop/app_web", "max_size": 20.0,
                     "checked_out": 3.0, "size": 3.0, "waiting": 1.0, "acquire_ms": 2000.0},
                ),
                "metric_sample": tuple({"line_no": 2, "value": value} for value in (4.0, 2.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0)),
            },
            name="pools.csv",
        ),
        Sample(
            SERVERS_SAMPLE,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:01", "engine": "pgbouncer", "backend_id": 7351,
                     "backend_type": "pooler server", "user_name": "app_web", "database_name": "shop", "state": "active",
                     "client_host": "127.0.0.1", "client_port": 5432, "backend_start_at": "2026-11-21T03:10:00",
                     "command": "0x55d0c1f0", "query_id": "S-0x55d0c2a8", "application_name": "orders"},
                    {"line_no": 3, "backend_id": None, "backend_type": "pooler client", "client_host": "[local]",
                     "client_port": None, "state": "waiting", "wait_event": "pool", "query_start_at": "2026-11-21T03:12:00",
                     "query_id": "C-0x55d0c1f0", "command": None, "application_name": "orders"},
                )
            },
            name="servers.txt",
        ),
        Sample(
            DATABASES_SAMPLE,
            {
                "metric_sample": tuple(
                    {"line_no": 2, "name": f"pgbouncer_databases_{name}", "value": value,
                     "labels": {"name": "shop", "host": "10.0.0.2", "port": "5432", "database": "shop"}}
                    for name, value in (("current_connections", 12.0), ("disabled", 0.0), ("max_connections", 0.0),
                                        ("paused", 0.0), ("pool_size", 20.0), ("reserve_pool", 5.0))
                ),
                "setting": (
                    *(
                        {"line_no": 2, "engine": "pgbouncer", "name": f"database.shop.{name}", "value": value}
                        for name, value in (("database", "shop"), ("host", "10.0.0.2"), ("max_connections", "0"),
                                            ("min_pool_size", "0"), ("pool_size", "20"), ("port", "5432"), ("reserve_pool", "5"))
                    ),
                    {"line_no": 18, "name": "max_client_conn", "value": "100"},
                    {"line_no": 23, "name": "pool_mode", "value": "transaction"},
                ),
            },
            name="databases.txt",
        ),
        Sample(
            STATS_SAMPLE,
            {
                "metric_sample": tuple(
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "name": f"pgbouncer_stats_{name}",
                     "labels": {"database": "shop"}, "value": value}
                    for name, value in (
                        ("avg_query_count", 2.0), ("avg_query_time", 6.0), ("avg_recv", 3.0), ("avg_sent", 4.0),
                        ("avg_wait_time", 7.0), ("avg_xact_count", 1.0), ("avg_xact_time", 5.0),
                        ("totals_client_wait_seconds_total", 2.5), ("totals_queries_duration_seconds_total", 4.0),
                        ("totals_queries_pooled_total", 30.0), ("totals_received_bytes_total", 100.0),
                        ("totals_sent_bytes_total", 200.0), ("totals_server_in_transaction_seconds_total", 5.0),
                        ("totals_sql_transactions_pooled_total", 10.0),
                    )
                )
            },
            name="stats.tsv",
        ),
    ),
)  # fmt: skip
