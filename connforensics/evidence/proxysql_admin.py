"""The admin interface of ProxySQL: its pools, process list, users, errors, counters, servers and settings.

Obtained with `mysql -h 127.0.0.1 -P 6032 -u stats` and `SELECT * FROM stats_mysql_connection_pool` (or `stats_pgsql_...`),
once or in a loop, in any shape of the client, or from this program's recorder. Columns are known by name, whatever the
version. https://proxysql.com/documentation/stats-statistics/

- `stats_mysql_connection_pool`: a `pool_sample` for each server of a hostgroup, `service` 'proxysql', `pool`
  'HOSTGROUP/HOST:PORT', `checked_out` ConnUsed, `idle` ConnFree; and a `metric_sample` for each number.
- `stats_mysql_processlist`, `stats_mysql_free_connections`: a `backend_sample` each, `backend_type` 'pooler client' and
  'pooler server'.
- `stats_mysql_users`, `stats_mysql_errors`, `stats_mysql_global`, `stats_mysql_client_host_cache`: a `metric_sample` each,
  named as ProxySQL's own exporter names them where it has them.
- `global_variables`, `mysql_servers`, `mysql_users` and their `runtime_` twins: a `setting` each. Passwords and
  credentials are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, consoles, mysql_variables, tables
from connforensics.evidence.consoles import View, cell, number, settings

SECRET: Final = "password|credentials|secret|_key$|hashed"  # noqa: S105 - what such names hold
"""Names of variables whose values are not stored."""

GLOBALS: Final = {
    "client_connections_connected": ("proxysql_client_connections_connected", ""),
    "client_connections_non_idle": ("proxysql_client_connections_non_idle", ""),
    "client_connections_hostgroup_locked": ("proxysql_client_connections_hostgroup_locked", ""),
    "client_connections_created": ("proxysql_client_connections_total", "created"),
    "client_connections_aborted": ("proxysql_client_connections_total", "aborted"),
    "server_connections_connected": ("proxysql_server_connections_connected", ""),
    "server_connections_created": ("proxysql_server_connections_total", "created"),
    "server_connections_aborted": ("proxysql_server_connections_total", "aborted"),
    "server_connections_delayed": ("proxysql_server_connections_total", "delayed"),
    "connpool_get_conn_success": ("proxysql_connpool_get_conn_success_total", ""),
    "connpool_get_conn_failure": ("proxysql_connpool_get_conn_failure_total", ""),
    "connpool_get_conn_immediate": ("proxysql_connpool_get_conn_success_immediate_total", ""),
    "access_denied_max_connections": ("proxysql_access_denied_max_connections_total", ""),
    "access_denied_max_user_connections": ("proxysql_access_denied_max_user_connections_total", ""),
    "access_denied_wrong_password": ("proxysql_access_denied_wrong_password_total", ""),
    "max_connect_timeouts": ("proxysql_max_connect_timeouts_total", ""),
    "active_transactions": ("proxysql_active_transactions", ""),
    "proxysql_uptime": ("proxysql_uptime_seconds_total", ""),
}
"""Variables of stats_mysql_global: the exporter's metric, and its label `status`."""

SERVER_SETTINGS: Final = ("status", "max_connections", "weight", "max_replication_lag", "max_latency_ms", "use_ssl")
USER_SETTINGS: Final = (
    "max_connections",
    "frontend_max_connections",
    "default_hostgroup",
    "active",
    "transaction_persistent",
)

STATUS: Final = {"ONLINE": 1, "SHUNNED": 2, "OFFLINE_SOFT": 3, "OFFLINE_HARD": 4, "SHUNNED_REPLICATION_LAG": 5}
"""As the exporter's proxysql_connpool_conns_status counts them."""


def _endpoint(names: Sequence[str]) -> str:
    return f"{cell(names, 'srv_host', 'hostname')} || ':' || {cell(names, 'srv_port', 'port')}"


def _metric(names: Sequence[str], metric: str, value: str, **labels: str) -> str:
    given = {"hostgroup": cell(names, "hostgroup", "hostgroup_id"), "endpoint": _endpoint(names), **labels}
    shown = ", ".join(f"'{name}': coalesce({text}, '')" for name, text in given.items())
    return f"""
        SELECT line_no, sampled_at, server, '{metric}' AS name, MAP {{{shown}}} AS labels, {value} AS value
        FROM frame
        WHERE {value} IS NOT NULL
        """


def _pool(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    used, free = number(names, "conn_used", "connused"), number(names, "conn_free", "connfree")
    states = " ".join(f"WHEN '{name}' THEN {code}" for name, code in STATUS.items())
    sample = f"""
        SELECT line_no, sampled_at, 'proxysql' AS service, server AS instance,
               {cell(names, "hostgroup")} || '/' || {_endpoint(names)} AS pool,
               {used} + {free} AS size, {used} AS checked_out, {free} AS idle
        FROM frame
        """
    total = {"ok": ("conn_ok", "connok"), "err": ("conn_err", "connerr")}
    metrics = [
        _metric(names, "proxysql_connpool_conns", used, status="'used'"),
        _metric(names, "proxysql_connpool_conns", free, status="'free'"),
        *(
            _metric(names, "proxysql_connpool_conns_total", number(names, *column), status=f"'{status}'")
            for status, column in total.items()
        ),
        _metric(names, "proxysql_connpool_conns_latency_us", number(names, "latency_us", "latency_ms")),
        _metric(names, "proxysql_connpool_max_conn_used", number(names, "max_conn_used", "maxconnused")),
        _metric(
            names,
            "proxysql_connpool_conns_status",
            f"CASE {cell(names, 'status')} {states} END",
            status=cell(names, "status"),
        ),
    ]
    return {"pool_sample": [sample], "metric_sample": metrics}


def _ago(milliseconds: str) -> str:
    return f"sampled_at - to_microseconds(CAST({milliseconds} * 1000 AS BIGINT))"


def _processes(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    since = _ago(number(names, "time_ms"))
    sample = f"""
        SELECT line_no, sampled_at, server, 'proxysql' AS engine,
               TRY_CAST({cell(names, "session_id", "sessionid")} AS BIGINT) AS backend_id,
               {cell(names, "user")} AS user_name, {cell(names, "db", "database")} AS database_name,
               {cell(names, "cli_host")} AS client_host, TRY_CAST({cell(names, "cli_port")} AS INTEGER) AS client_port,
               'pooler client' AS backend_type, {cell(names, "command")} AS command,
               CASE WHEN {cell(names, "command")} = 'Sleep' THEN 'idle' WHEN {cell(names, "command")} IS NOT NULL THEN 'active' END AS state,
               {since} AS state_change_at,
               CASE WHEN {cell(names, "command")} <> 'Sleep' THEN {since} END AS query_start_at,
               {cell(names, "info")} AS query
        FROM frame
        """
    return {"backend_sample": [sample]}


def _free(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    sample = f"""
        SELECT line_no, sampled_at, server, 'proxysql' AS engine, {cell(names, "user")} AS user_name,
               {cell(names, "schema", "database")} AS database_name, {cell(names, "srv_host")} AS client_host,
               TRY_CAST({cell(names, "srv_port")} AS INTEGER) AS client_port, 'pooler server' AS backend_type,
               'idle' AS state, {_ago(number(names, "idle_ms"))} AS state_change_at
        FROM frame
        """
    return {"backend_sample": [sample]}


def _users(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    user = cell(names, "username")
    metric = f"""
        SELECT line_no, sampled_at, server, 'proxysql_user_frontend_connections' AS name,
               MAP {{'username': {user}}} AS labels, {number(names, "frontend_connections")} AS value
        FROM frame
        WHERE {number(names, "frontend_connections")} IS NOT NULL
        """
    told = [column for column in USER_SETTINGS if column in names]
    return {
        "metric_sample": [metric] if "frontend_connections" in names else [],
        "setting": [settings(f"'user.' || {user} || '.{column}'", cell(names, column)) for column in told],
    }


def _servers(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    about = f"{cell(names, 'hostgroup_id', 'hostgroup')} || '/' || {_endpoint(names)}"
    told = [column for column in SERVER_SETTINGS if column in names]
    return {"setting": [settings(f"'server.' || {about} || '.{column}'", cell(names, column)) for column in told]}


def _errors(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    labels = {
        "code": cell(names, "errno", "sqlstate"),
        "username": cell(names, "username"),
        "client_address": cell(names, "client_address"),
    }
    return {"metric_sample": [_metric(names, "proxysql_mysql_error_total", number(names, "count_star"), **labels)]}


def _hosts(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    metric = f"""
        SELECT line_no, sampled_at, server, 'proxysql_client_host_error_count' AS name,
               MAP {{'client_address': {cell(names, "client_address")}}} AS labels, {number(names, "error_count")} AS value
        FROM frame
        """
    return {"metric_sample": [metric]}


def _variables(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    name, value = cell(names, "variable_name"), cell(names, "variable_value", "value")
    arms = " ".join(f"WHEN '{variable}' THEN '{metric}'" for variable, (metric, _) in GLOBALS.items())
    labels = " ".join(
        f"WHEN '{variable}' THEN MAP {{'status': '{status}'}}" for variable, (_, status) in GLOBALS.items() if status
    )
    metric = f"""
        SELECT line_no, sampled_at, server, CASE lower({name}) {arms} END AS name,
               CASE lower({name}) {labels} END AS labels, TRY_CAST({value} AS DOUBLE) AS value
        FROM frame
        WHERE CASE lower({name}) {arms} END IS NOT NULL
        """
    shown = f"CASE WHEN contains({name}, '-') AND NOT regexp_matches(lower({name}), '{SECRET}') THEN {name} END"
    return {"metric_sample": [metric], "setting": [settings(shown, value)]}


VIEWS: Final = (
    View("connection_pool", frozenset(("hostgroup", "srv_host", "srv_port", "status", "conn_used", "conn_free")), _pool),
    View("processlist", frozenset(("session_id", "cli_host", "hostgroup", "srv_host", "command", "time_ms")), _processes),
    View("free_connections", frozenset(("hostgroup", "srv_host", "srv_port", "user", "idle_ms")), _free),
    View("stats_users", frozenset(("username", "frontend_connections", "frontend_max_connections")), _users),
    View("users", frozenset(("username", "default_hostgroup", "max_connections")), _users),
    View("servers", frozenset(("hostgroup_id", "hostname", "port", "status", "max_connections")), _servers),
    View("errors", frozenset(("hostgroup", "hostname", "port", "errno", "count_star")), _errors),
    View("client_host_cache", frozenset(("client_address", "error_count", "last_updated")), _hosts, certainty=0.9),
    View("variables", frozenset(("variable_name", "variable_value")), _variables),
    View("variables", frozenset(("variable_name", "value")), _variables),
)  # fmt: skip


def certainty(head: Head) -> float:
    """Return how sure a head shows ProxySQL's tables; variables have MySQL's header, and only their names tell them."""
    layout = tables.find(head.lines, lambda names: consoles.view_of(VIEWS, names) is not None)
    view = consoles.view_of(VIEWS, layout.names) if layout is not None else None
    if view is not None and view.name == "variables" and not mysql_variables.is_proxysql(head):
        return 0.0
    return consoles.certainty(head, VIEWS)


def read(reading: Reading) -> None:
    """Store what the tables tell."""
    consoles.read(reading, VIEWS)


POOL: Final = """\
2026-11-21 03:12:00+00
+-----------+----------+----------+---------+----------+----------+--------+---------+-------------+---------+-------------------+-----------------+-----------------+------------+
| hostgroup | srv_host | srv_port | status  | ConnUsed | ConnFree | ConnOK | ConnERR | MaxConnUsed | Queries | Queries_GTID_sync | Bytes_data_sent | Bytes_data_recv | Latency_us |
+-----------+----------+----------+---------+----------+----------+--------+---------+-------------+---------+-------------------+-----------------+-----------------+------------+
| 10        | db1      | 3306     | SHUNNED | 4        | 1        | 9      | 16      | 5           | 2       | 0                 | 102             | 0               | 228        |
+-----------+----------+----------+---------+----------+----------+--------+---------+-------------+---------+-------------------+-----------------+-----------------+------------+
1 row in set (0.00 sec)
"""

PROCESSES: Final = """\
sampled_at,ThreadID,SessionID,user,db,cli_host,cli_port,hostgroup,l_srv_host,l_srv_port,srv_host,srv_port,command,time_ms,info
2026-11-21 03:12:00+00,0,60,app,shop,10.0.0.9,27058,10,10.0.0.2,41245,db1,3307,Sleep,4500,
2026-11-21 03:12:00+00,1,61,app,shop,10.0.0.9,27059,10,10.0.0.2,41246,db1,3307,Query,1500,SELECT 1
"""

VARIABLES: Final = """\
mysql> SELECT * FROM stats_mysql_global;
+------------------------------+----------------+
| Variable_Name                | Variable_Value |
+------------------------------+----------------+
| Client_Connections_aborted   | 40             |
| Client_Connections_connected | 132            |
| ConnPool_get_conn_failure    | 7              |
| Query_Cache_Entries          | 0              |
+------------------------------+----------------+
mysql> SELECT * FROM global_variables;
+------------------------+----------------+
| variable_name          | variable_value |
+------------------------+----------------+
| mysql-max_connections  | 2048           |
| mysql-monitor_password | monitor        |
+------------------------+----------------+
"""

LIMITS: Final = """\
hostgroup_id\thostname\tport\tgtid_port\tstatus\tweight\tcompression\tmax_connections
10\tdb1\t3306\t0\tONLINE\t1\t0\t200
"""

FORMAT = Format(
    name="proxysql_admin",
    engine="proxysql",
    tables=("pool_sample", "metric_sample", "backend_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            POOL,
            {
                "pool_sample": (
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "service": "proxysql", "pool": "10/db1:3306",
                     "checked_out": 4.0, "idle": 1.0, "size": 5.0, "waiting": None},
                ),
                "metric_sample": (
                    {"line_no": 5, "name": "proxysql_connpool_conns", "value": 1.0,
                     "labels": {"hostgroup": "10", "endpoint": "db1:3306", "status": "free"}},
                    {"line_no": 5, "name": "proxysql_connpool_conns", "value": 4.0,
                     "labels": {"hostgroup": "10", "endpoint": "db1:3306", "status": "used"}},
                    {"line_no": 5, "name": "proxysql_connpool_conns_latency_us", "value": 228.0},
                    {"line_no": 5, "name": "proxysql_connpool_conns_status", "value": 2.0,
                     "labels": {"hostgroup": "10", "endpoint": "db1:3306", "status": "SHUNNED"}},
                    {"line_no": 5, "name": "proxysql_connpool_conns_total", "value": 16.0,
                     "labels": {"hostgroup": "10", "endpoint": "db1:3306", "status": "err"}},
                    {"line_no": 5, "name": "proxysql_connpool_conns_total", "value": 9.0},
                    {"line_no": 5, "name": "proxysql_connpool_max_conn_used", "value": 5.0},
                ),
            },
            name="pool.txt",
        ),
        Sample(
            PROCESSES,
            {
                "backend_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "engine": "proxysql", "backend_id": 60,
                     "backend_type": "pooler client", "state": "idle", "command": "Sleep", "client_port": 27058,
                     "state_change_at": "2026-11-21T03:11:55.500", "query_start_at": None, "user_name": "app"},
                    {"line_no": 3, "backend_id": 61, "state": "active", "query": "SELECT 1",
                     "query_start_at": "2026-11-21T03:11:58.500"},
                )
            },
            name="processes.csv",
        ),
        Sample(
            VARIABLES,
            {
                "metric_sample": (
                    {"line_no": 5, "name": "proxysql_client_connections_total", "value": 40.0, "labels": {"status": "aborted"}},
                    {"line_no": 6, "name": "proxysql_client_connections_connected", "value": 132.0, "labels": None},
                    {"line_no": 7, "name": "proxysql_connpool_get_conn_failure_total", "value": 7.0},
                ),
                "setting": ({"line_no": 14, "engine": "proxysql", "name": "mysql-max_connections", "value": "2048"},),
            },
            name="variables.txt",
        ),
        Sample(
            LIMITS,
            {
                "setting": (
                    {"line_no": 2, "name": "server.10/db1:3306.max_connections", "value": "200"},
                    {"line_no": 2, "name": "server.10/db1:3306.status", "value": "ONLINE"},
                    {"line_no": 2, "name": "server.10/db1:3306.weight", "value": "1"},
                )
            },
            name="servers.tsv",
        ),
    ),
)  # fmt: skip
