"""What the other pools of the Java world say: Tomcat JDBC, Commons DBCP, c3p0, Druid, Agroal, IronJacamar, Vert.x, R2DBC.

Texts are those of the libraries' sources:
https://tomcat.apache.org/tomcat-10.1-doc/jdbc-pool.html, https://commons.apache.org/proper/commons-dbcp/,
https://www.mchange.com/projects/c3p0/, https://github.com/alibaba/druid, https://agroal.github.io/,
https://www.ironjacamar.org/, https://vertx.io/docs/vertx-sql-client/java/, https://github.com/r2dbc/r2dbc-pool.
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_TOMCAT: Final = (
    Message(
        "pool_timeout",
        "org.apache.tomcat.jdbc.pool.PoolExhaustedException: [http-nio-8080-exec-7] Timeout: Pool empty. Unable to fetch a"
        " connection in 30 seconds, none available[size:100; busy:100; idle:0; lastwait:30000].",
        "Timeout: Pool empty. Unable to fetch a connection in",
        r"Unable to fetch a connection in (?P<duration_s>[\d.]+) seconds",
    ),
    Message(
        "pool_timeout",
        "[http-nio-8080-exec-7] NoWait: Pool empty. Unable to fetch a connection, none available[100 in use].",
        "NoWait: Pool empty. Unable to fetch a connection",
        reason="no_wait",
    ),
    Message(
        "pool_leak_suspected",
        "Connection has been abandoned PooledConnection[com.mysql.cj.jdbc.ConnectionImpl@4a3c]:java.lang.Exception\n"
        "\tat org.apache.tomcat.jdbc.pool.ConnectionPool.getThreadDump(ConnectionPool.java:1096)\n"
        "\tat com.example.OrderDao.find(OrderDao.java:42)",
        "Connection has been abandoned PooledConnection",
        r"abandoned PooledConnection\[(?P<session_key>[^\]]*)\]",
        reason="abandoned",
    ),
    Message(
        "pool_leak_suspected",
        "Connection has been marked suspect, possibly abandoned PooledConnection[com.mysql.cj.jdbc.ConnectionImpl@4a3c]"
        "[61000 ms.]:java.lang.Exception",
        "Connection has been marked suspect, possibly abandoned",
        r"abandoned PooledConnection\[(?P<session_key>[^\]]*)\](?:\[(?P<duration_ms>\d+) ms\.\])?",
        reason="suspect",
    ),
    Message(
        "pool_leak_returned",
        "Connection(PooledConnection[com.mysql.cj.jdbc.ConnectionImpl@4a3c]) that has been marked suspect was returned."
        " The processing time is 71000 ms.",
        "that has been marked suspect was returned",
        r"PooledConnection\[(?P<session_key>[^\]]*)\].*The processing time is (?P<duration_ms>\d+) ms",
    ),
    Message(
        "pool_failed",
        "Unable to create initial connections of pool.",
        "Unable to create initial connections of pool",
    ),
)

_DBCP: Final = (
    Message(
        "pool_timeout",
        "java.sql.SQLException: Cannot get a connection, pool error Timeout waiting for idle object,"
        " borrowMaxWaitDuration=PT10S",
        "pool error Timeout waiting for idle object",
    ),
    Message(
        "pool_timeout",
        "org.apache.commons.dbcp.SQLNestedException: Cannot get a connection, pool exhausted",
        ("Cannot get a connection, pool exhausted", "pool error Pool exhausted"),
        reason="no_wait",
    ),
    Message(
        "pool_timeout",
        "Caused by: java.util.NoSuchElementException: Timeout waiting for idle object",
        "Timeout waiting for idle object",
    ),
    Message(
        "pool_leak_suspected",
        "org.apache.commons.pool2.impl.AbandonedTrace: Pooled object created 2022-11-08 22:27:43 +0900 by the following"
        " code has not been returned to the pool:\n"
        "\tat org.apache.commons.dbcp2.PoolingDataSource.getConnection(PoolingDataSource.java:139)\n"
        "\tat com.example.OrderDao.find(OrderDao.java:42)",
        ("code has not been returned to the pool", "code but was never closed"),
        reason="abandoned",
    ),
    Message(
        "pool_failed",
        "org.springframework.jdbc.CannotGetJdbcConnectionException: Cannot create PoolableConnectionFactory (The"
        " connection attempt failed.)",
        "Cannot create PoolableConnectionFactory (",
        r"Cannot create PoolableConnectionFactory \((?P<detail>.*)\)",
    ),
)

_C3P0: Final = (
    Message(
        "pool_timeout",
        "java.sql.SQLException: An attempt by a client to checkout a Connection has timed out.",
        "An attempt by a client to checkout a Connection has timed out",
    ),
    Message(
        "pool_timeout",
        "com.mchange.v2.resourcepool.TimeoutException: A client timed out while waiting to acquire a resource from"
        " com.mchange.v2.resourcepool.BasicResourcePool@5f4d -- timeout at awaitAvailable()",
        "A client timed out while waiting to acquire a resource from",
    ),
    Message(
        "pool_leak_suspected",
        "A checked-out resource is overdue, and will be destroyed: com.mchange.v2.c3p0.impl.NewPooledConnection@37d6e829",
        "A checked-out resource is overdue, and will be destroyed",
        r"will be destroyed: (?P<session_key>\S+)",
        reason="overdue",
    ),
    Message(
        "pool_failed",
        "com.mchange.v2.async.ThreadPoolAsynchronousRunner$DeadlockDetector@2a -- APPARENT DEADLOCK!!! Creating emergency"
        " threads for unassigned pending tasks!",
        "APPARENT DEADLOCK!!!",
        reason="apparent_deadlock",
    ),
    Message(
        "pool_failed",
        "java.sql.SQLException: Connections could not be acquired from the underlying database!",
        "Connections could not be acquired from the underlying database",
        reason="no_connection",
    ),
)

_DRUID: Final = (
    Message(
        "pool_timeout",
        "com.alibaba.druid.pool.GetConnectionTimeoutException: wait millis 60000, active 20, maxActive 20, creating 0",
        "wait millis ",
        r"wait millis (?P<duration_ms>\d+), ?active \d+",
    ),
    Message(
        "pool_leak_suspected",
        "abandon connection, owner thread: http-nio-8080-exec-1, connected at : 1642240141966, open stackTrace\n"
        "\tat java.lang.Thread.getStackTrace(Thread.java:1559)\n"
        "\tat com.example.OrderDao.find(OrderDao.java:42)",
        "abandon connection, owner thread: ",
        reason="abandoned",
    ),
    Message("pool_started", "{dataSource-1} inited", "} inited", r"\{(?P<detail>[^{}]+)\} inited"),
    Message("pool_stopped", "{dataSource-1} closed", "} closed", r"\{(?P<detail>dataSource[^{}]*)\} closed$"),
    Message(
        "client_error",
        "create connection SQLException, url: jdbc:mysql://db:3306/shop, errorCode 0, state 08S01",
        "create connection SQLException, url: ",
        r"errorCode (?P<error_code>\d+), state (?P<sqlstate>\w+)",
        reason="setup",
    ),
)

_AGROAL: Final = (
    Message(
        "pool_timeout",
        "java.sql.SQLException: Acquisition timeout while waiting for new connection",
        "Acquisition timeout while waiting for new connection",
    ),
    Message("pool_timeout", "java.sql.SQLException: Sorry, acquisition timeout!", "Sorry, acquisition timeout!"),
    Message(
        "pool_leak_suspected",
        "Datasource '<default>': Connection leak of io.agroal.pool.wrapper.ConnectionWrapper@1f",
        "Connection leak of ",
        r": Connection leak of (?P<session_key>\S+)",
    ),
)

_IRONJACAMAR: Final = (
    Message(
        "pool_timeout",
        "javax.resource.ResourceException: IJ000655: No managed connections available within configured blocking timeout"
        " (30000 [ms])",
        ("o managed connections available within configured blocking timeout", "o ManagedConnections available within"),
        r"within configured blocking timeout \(\s?(?P<duration_ms>\d+) \[ms\]",
    ),
)

_VERTX: Final = (
    Message(
        "pool_timeout",
        "io.vertx.core.http.ConnectionPoolTooBusyException: Connection pool reached max wait queue size of 128",
        "onnection pool reached max wait queue size of",
        reason="queue_full",
    ),
)

_R2DBC: Final = (
    Message(
        "pool_timeout",
        "io.r2dbc.spi.R2dbcTimeoutException: Connection acquisition timed out after 500ms",
        "onnection acquisition timed out after ",
        r"Connection acquisition timed out after (?P<duration_ms>\d+)ms",
    ),
    Message(
        "pool_timeout",
        "reactor.pool.PoolAcquireTimeoutException: Pool#acquire(Duration) has been pending for more than the configured"
        " timeout of 30000ms",
        "has been pending for more than the configured timeout of",
        r"configured timeout of (?P<duration_ms>\d+)ms",
    ),
    Message(
        "pool_timeout",
        "reactor.pool.PoolAcquirePendingLimitException: Pending acquire queue has reached its maximum size of 1000",
        "Pending acquire queue has reached its maximum size",
        reason="queue_full",
    ),
)

_CONSEQUENCES: Final = (
    Message(
        None,
        "org.hibernate.exception.JDBCConnectionException: Unable to acquire JDBC Connection",
        ("Unable to acquire JDBC Connection", "Unable to open JDBC Connection"),
    ),
    Message(
        None,
        "org.springframework.jdbc.CannotGetJdbcConnectionException: Failed to obtain JDBC Connection",
        ("Failed to obtain JDBC Connection", "Could not get JDBC Connection", "Could not open JDBC Connection"),
    ),
    Message(
        None,
        "org.springframework.transaction.CannotCreateTransactionException: Could not open JPA EntityManager for transaction",
        ("Could not open JPA EntityManager", "Could not open Hibernate Session"),
    ),
)
"""What Hibernate and Spring say of a failure whose own record stands beside: it is counted there."""

LIBRARIES: Final = {
    "tomcat_jdbc": _TOMCAT,
    "dbcp": _DBCP,
    "c3p0": _C3P0,
    "druid": _DRUID,
    "agroal": _AGROAL,
    "ironjacamar": _IRONJACAMAR,
    "vertx": _VERTX,
    "r2dbc_pool": _R2DBC,
    "spring": _CONSEQUENCES,
}
"""Which library writes which entries."""

CATALOGUE: Final = tuple(message for entries in LIBRARIES.values() for message in entries)
