"""Logs of applications as their libraries really write them, each with the rows it must give."""

from __future__ import annotations

from typing import Final

from connforensics.evidence import Sample

_SPRING: Final = Sample(
    "2026-11-21T03:12:00.100Z DEBUG 7 --- [orders] [           main] com.zaxxer.hikari.HikariConfig           : maximumPoolSize.................2\n"
    "2026-11-21T03:12:00.130Z  INFO 7 --- [orders] [           main] com.zaxxer.hikari.HikariDataSource       : orders-pool - Start completed.\n"
    "2026-11-21T03:12:01.000Z  INFO 7 --- [orders] [nio-8080-exec-1] com.example.OrderController              : placing an order\n"
    "2026-11-21T03:12:30.130Z DEBUG 7 --- [orders] [l housekeeper] com.zaxxer.hikari.pool.HikariPool        : orders-pool - Pool stats (total=2/2, idle=0/2, active=2, waiting=3)\n"
    "2026-11-21T03:12:31.000Z  WARN 7 --- [orders] [l housekeeper] com.zaxxer.hikari.pool.ProxyLeakTask     : Connection leak detection triggered for org.postgresql.jdbc.PgConnection@cb5822 on thread http-nio-8080-exec-1, stack trace follows\n"
    "\n"
    "java.lang.Exception: Apparent connection leak detected\n"
    "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:127)\n"
    "\tat org.springframework.jdbc.datasource.DataSourceUtils.fetchConnection(DataSourceUtils.java:160)\n"
    "\tat com.example.OrderDao.find(OrderDao.java:42)\n"
    "\tat com.example.OrderService.place(OrderService.java:18)\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
    "2026-11-21T03:12:32.000Z ERROR 7 --- [orders] [nio-8080-exec-2] o.h.engine.jdbc.spi.SqlExceptionHelper   : orders-pool - Connection is not available, request timed out after 1501ms (total=2, active=2, idle=0, waiting=3)\n"
    "2026-11-21T03:12:32.004Z ERROR 7 --- [orders] [nio-8080-exec-2] o.a.c.c.C.[.[.[/].[dispatcherServlet]    : Servlet.service() threw exception: Unable to acquire JDBC Connection\n"
    "\n"
    "java.sql.SQLTransientConnectionException: orders-pool - Connection is not available, request timed out after 1501ms (total=2, active=2, idle=0, waiting=3)\n"
    "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n"
    "Caused by: org.postgresql.util.PSQLException: FATAL: sorry, too many clients already\n"
    "\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:700)\n"
    "2026-11-21T03:12:40.000Z  INFO 7 --- [orders] [nio-8080-exec-1] com.zaxxer.hikari.pool.ProxyLeakTask     : Previously reported leaked connection org.postgresql.jdbc.PgConnection@cb5822 on thread http-nio-8080-exec-1 was returned to the pool (unleaked)\n",
    {
        "event": (
            {"line_no": 2, "event_at": "2026-11-21T03:12:00.130", "kind": "pool_started", "engine": "hikaricp",
             "application_name": "orders", "severity": "INFO", "detail": "orders-pool"},
            {"line_no": 5, "event_at": "2026-11-21T03:12:31", "kind": "pool_leak_suspected",
             "session_key": "org.postgresql.jdbc.PgConnection@cb5822",
             "detail": "com.example.OrderDao.find(OrderDao.java:42) < com.example.OrderService.place(OrderService.java:18)"},
            {"line_no": 13, "event_at": "2026-11-21T03:12:32", "kind": "pool_timeout", "duration_ms": 1501.0,
             "detail": "orders-pool", "severity": "ERROR"},
            {"line_no": 18, "event_at": "2026-11-21T03:12:32.004", "kind": "client_refused", "reason": "full",
             "sqlstate": "53300", "engine": None, "application_name": "orders"},
            {"line_no": 20, "event_at": "2026-11-21T03:12:40", "kind": "pool_leak_returned",
             "session_key": "org.postgresql.jdbc.PgConnection@cb5822"},
        ),
        "pool_sample": (
            {"line_no": 4, "sampled_at": "2026-11-21T03:12:30.130", "service": "orders", "instance": "7",
             "pool": "orders-pool", "max_size": 2.0, "size": 2.0, "checked_out": 2.0, "idle": 0.0, "waiting": 3.0},
            {"line_no": 13, "service": "orders", "size": 2.0, "max_size": None, "waiting": 3.0},
        ),
        "setting": (
            {"line_no": 1, "engine": "hikaricp", "name": "maximumPoolSize", "value": "2", "unit": None,
             "valid_at": "2026-11-21T03:12:00.100"},
        ),
    },
    name="spring.log",
)  # fmt: skip

_PYTHON: Final = Sample(
    "2026-11-21 03:12:00,123 - app.orders - INFO - ready\n"
    "2026-11-21 03:12:05,000 - sqlalchemy.pool.impl.QueuePool - INFO - Pool size: 2  Connections in pool: 0 Current Overflow: 1 Current Checked out connections: 3\n"
    "INFO:sqlalchemy.pool.impl.QueuePool:Pool size: 2  Connections in pool: 0 Current Overflow: 1 Current Checked out connections: 3\n"
    "2026-11-21 03:12:06,000 - app.orders - ERROR - order failed\n"
    "Traceback (most recent call last):\n"
    '  File "/app/orders.py", line 7, in place\n'
    "    connection = engine.connect()\n"
    "sqlalchemy.exc.TimeoutError: QueuePool limit of size 2 overflow 1 reached, connection timed out, timeout 1.00 (Background on this error at: https://sqlalche.me/e/21/3o7r)\n"
    "2026-11-21 03:12:07,500 - psycopg.pool - WARNING - error connecting in 'orders-pool': connection failed: connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute\n",
    {
        "event": (
            {"line_no": 8, "event_at": "2026-11-21T03:12:06", "kind": "pool_timeout", "engine": "sqlalchemy",
             "duration_ms": 1000.0, "severity": "ERROR"},
            {"line_no": 9, "event_at": "2026-11-21T03:12:07.500", "kind": "client_refused", "reason": "reserved",
             "sqlstate": "53300", "severity": "WARNING"},
        ),
        "pool_sample": (
            {"line_no": 2, "sampled_at": "2026-11-21T03:12:05", "size": 2.0, "idle": 0.0, "overflow": 1.0,
             "checked_out": 3.0},
            {"line_no": 8, "sampled_at": "2026-11-21T03:12:06", "size": 2.0, "overflow": 1.0, "checked_out": None},
        ),
    },
    name="app.log",
)  # fmt: skip

_NODE: Final = Sample(
    '{"level":30,"time":1795230720000,"pid":7,"hostname":"orders-1","service":"orders","msg":"listening"}\n'
    '{"level":30,"time":1795230721000,"pid":7,"hostname":"orders-1","service":"orders","totalCount":10,"idleCount":0,"waitingCount":4,"msg":"pool"}\n'
    '{"level":50,"time":1795230722500,"pid":7,"hostname":"orders-1","service":"orders","err":{"type":"Error","message":"timeout exceeded when trying to connect","stack":"Error: timeout exceeded when trying to connect\\n    at Timeout._onTimeout (/app/node_modules/pg-pool/index.js:45:11)"},"msg":"order failed"}\n'
    '{"level":50,"time":1795230723000,"pid":7,"hostname":"orders-1","service":"orders","err":{"type":"DatabaseError","message":"too many connections for role \\"app_orders\\"","code":"53300"},"msg":"too many connections for role \\"app_orders\\""}\n',
    {
        "event": (
            {"line_no": 3, "event_at": "2026-11-21T03:12:02.500", "kind": "pool_timeout", "engine": "pg",
             "application_name": "orders", "severity": "ERROR"},
            {"line_no": 4, "event_at": "2026-11-21T03:12:03", "kind": "client_refused", "reason": "quota",
             "user_name": "app_orders"},
        ),
        "pool_sample": (
            {"line_no": 2, "sampled_at": "2026-11-21T03:12:01", "service": "orders", "instance": "7", "size": 10.0,
             "idle": 0.0, "waiting": 4.0},
        ),
    },
    name="app.ndjson",
)  # fmt: skip

_LARAVEL: Final = Sample(
    "[2026-11-21 03:12:00] production.ERROR: SQLSTATE[HY000] [1040] Too many connections (Connection: mysql, SQL: select * from `orders`)"
    ' {"exception":"[object] (Illuminate\\\\Database\\\\QueryException(code: 1040): SQLSTATE[HY000] [1040] Too many connections at /app/vendor/Connection.php:829)\n'
    "[stacktrace]\n"
    "#0 /app/vendor/Connection.php(783): runQueryCallback('select * from `...')\n"
    '"}\n'
    "[2026-11-21 03:12:01] production.INFO: order placed\n",
    {
        "event": (
            {"line_no": 1, "event_at": "2026-11-21T03:12:00", "kind": "client_refused", "reason": "full",
             "error_code": "1040", "severity": "ERROR"},
        )
    },
    name="laravel.log",
)  # fmt: skip

_JAVA_UTIL_LOGGING: Final = Sample(
    "Nov 21, 2026 3:12:00 AM com.zaxxer.hikari.pool.HikariPool logPoolState\n"
    "FINE: HikariPool-1 - Timeout failure stats (total=2, active=2, idle=0, waiting=1)\n"
    "Nov 21, 2026 3:12:00 AM com.example.App run\n"
    "SEVERE: no order\n"
    "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 1500ms.\n"
    "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:689)\n",
    {
        "event": (
            {"line_no": 5, "event_at": "2026-11-21T03:12:00", "kind": "pool_timeout", "duration_ms": 1500.0,
             "engine": "hikaricp"},
        ),
        "pool_sample": ({"line_no": 2, "sampled_at": "2026-11-21T03:12:00", "pool": "HikariPool-1", "waiting": 1.0},),
    },
    name="tomcat.log",
)  # fmt: skip

_GO: Final = Sample(
    "2026/11/21 03:12:00 stats {MaxOpenConnections:10 OpenConnections:10 InUse:10 Idle:0 WaitCount:42 WaitDuration:1.5s}\n"
    "2026/11/21 03:12:01 failed to connect to `user=app database=shop`: 10.0.0.5:5432 (db): server error: FATAL: sorry, too many clients already (SQLSTATE 53300)\n",
    {
        "event": ({"line_no": 2, "event_at": "2026-11-21T03:12:01", "kind": "client_refused", "reason": "full"},),
        "pool_sample": (
            {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "max_size": 10.0, "size": 10.0, "checked_out": 10.0,
             "idle": 0.0, "waiting": None},
        ),
    },
    name="app.log",
)  # fmt: skip

_CLOCK_ONLY: Final = Sample(
    "13:28:00.130 [main] INFO com.zaxxer.hikari.HikariDataSource - HikariPool-1 - Start completed.\n"
    "13:28:02.140 [HikariPool-1 housekeeper] WARN com.zaxxer.hikari.pool.ProxyLeakTask - Connection leak detection triggered for conn0: url=jdbc:h2:mem:x user=SA on thread main, stack trace follows\n"
    "java.lang.Exception: Apparent connection leak detected\n"
    "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:112)\n"
    "\tat com.example.Leak.main(Leak.java:9)\n",
    {
        "event": (
            {"line_no": 1, "event_at": None, "kind": "pool_started"},
            {"line_no": 2, "event_at": None, "kind": "pool_leak_suspected", "session_key": "conn0",
             "detail": "com.example.Leak.main(Leak.java:9)"},
        )
    },
    name="leak.log",
)  # fmt: skip

_TRACE_ALONE: Final = Sample(
    "Caused by: com.alibaba.druid.pool.GetConnectionTimeoutException: wait millis 60000, active 20, maxActive 25, creating 0\n"
    "\tat com.alibaba.druid.pool.DruidDataSource.getConnectionInternal(DruidDataSource.java:1581)\n"
    "\tat com.alibaba.druid.pool.DruidDataSource.getConnectionDirect(DruidDataSource.java:1306)\n",
    {
        "event": ({"line_no": 1, "event_at": None, "kind": "pool_timeout", "duration_ms": 60000.0},),
        "pool_sample": ({"line_no": 1, "checked_out": 20.0, "max_size": 25.0},),
    },
    name="paste.txt",
)  # fmt: skip

_PSYCOPG_ALONE: Final = Sample(
    "Traceback (most recent call last):\n"
    '  File "/app/orders.py", line 9, in connect\n'
    "    return pool.connect()\n"
    "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) FATAL:  remaining connection slots are reserved for"
    " non-replication superuser and rds_superuser connections\n",
    {"event": ({"line_no": 4, "kind": "client_refused", "reason": "reserved", "sqlstate": "53300"},)},
    name="paste.txt",
)  # fmt: skip

_RUBY_ALONE: Final = Sample(
    "/srv/shop/lib/dbd/pg/database.rb:83:in `rescue in initialize': FATAL:  sorry, too many clients already (DBI::OperationalError)\n"
    "        from /srv/shop/lib/dbd/pg/database.rb:40:in `initialize'\n",
    {"event": ({"line_no": 1, "kind": "client_refused", "reason": "full"},)},
    name="paste.txt",
)  # fmt: skip

_DOTNET_CONSOLE: Final = Sample(
    "fail: Microsoft.EntityFrameworkCore.Query[10100]\n"
    "      An exception occurred while iterating over the results of a query for context type 'Shop.Orders'.\n"
    "       ---> Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise 'Max Pool Size' (currently 100) or 'Timeout' (currently 15 seconds) in your connection string.\n"
    "         at Npgsql.ConnectorPool.Get(NpgsqlConnection conn, NpgsqlTimeout timeout)\n",
    {
        "event": ({"line_no": 3, "kind": "pool_timeout", "duration_ms": 15000.0, "engine": "npgsql"},),
        "pool_sample": ({"line_no": 3, "max_size": 100.0},),
    },
    name="console.log",
)  # fmt: skip

_ELIXIR_CONSOLE: Final = Sample(
    "[error] Task #PID<0.19523.1> started from Shop.Fetcher terminating\n"
    "** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 413ms. You can configure how long requests wait in the queue using :queue_target and :queue_interval.\n",
    {"event": ({"line_no": 2, "kind": "pool_timeout", "duration_ms": 413.0},)},
    name="console.log",
)  # fmt: skip

_WSO2: Final = Sample(
    "TID: [0] [AM] [2026-11-21 03:12:00,526] ERROR {org.wso2.carbon.Publisher} - Unable to publish.[exec-1] Timeout: Pool empty. Unable to fetch a connection in 60 seconds, none available[size:50; busy:50; idle:0; lastwait:60000]. {org.wso2.carbon.Publisher}\n"
    "org.apache.tomcat.jdbc.pool.PoolExhaustedException: [exec-1] Timeout: Pool empty. Unable to fetch a connection in 60 seconds, none available[size:50; busy:50; idle:0; lastwait:60000].\n"
    "at org.apache.tomcat.jdbc.pool.ConnectionPool.borrowConnection(ConnectionPool.java:674)\n",
    {
        "event": (
            {"line_no": 1, "event_at": "2026-11-21T03:12:00.526", "kind": "pool_timeout", "severity": "ERROR", "duration_ms": 60000.0},
        ),
        "pool_sample": ({"line_no": 1, "size": 50.0, "checked_out": 50.0, "idle": 0.0},),
    },
    name="wso2carbon.log",
)  # fmt: skip

SAMPLES: Final = (
    _SPRING,
    _PYTHON,
    _NODE,
    _LARAVEL,
    _JAVA_UTIL_LOGGING,
    _GO,
    _CLOCK_ONLY,
    _TRACE_ALONE,
    _PSYCOPG_ALONE,
    _RUBY_ALONE,
    _DOTNET_CONSOLE,
    _ELIXIR_CONSOLE,
    _WSO2,
)
