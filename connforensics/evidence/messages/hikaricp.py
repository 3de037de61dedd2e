"""What HikariCP says, versions 2 to 7: its own lines, and the exceptions that applications log for it.

Texts are those of the library's source (https://github.com/brettwooldridge/HikariCP); the numbers in them are read by
pool_numbers.py. The name of a pool stands in `detail`; a connection is known by its own text (class and hash), which
is `session_key` and pairs a suspected leak with its retraction.
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_CONNECTION: Final = r"(?:connection )?(?P<session_key>[^\s,]+?):?(?: [^(].*?)?"

CATALOGUE: Final = (
    Message(
        "pool_timeout",
        "HikariPool-1 - Connection is not available, request timed out after 30001ms.",
        "onnection is not available, request timed out",
        r"(?:(?P<detail>[^\s\"'=|]+) - )?Connection is not available, request timed out after (?P<duration_ms>\d+)ms",
        until="5.0",
    ),
    Message(
        "pool_timeout",
        "orders-pool - Connection is not available, request timed out after 1500ms (total=2, active=2, idle=0, waiting=3)",
        "onnection is not available, request timed out",
        r"(?:(?P<detail>[^\s\"'=|]+) - )?Connection is not available, request timed out after (?P<duration_ms>\d+)ms",
        since="5.1",
    ),
    Message(
        "pool_timeout",
        "java.sql.SQLException: Timeout after 30000ms of waiting for a connection.",
        "ms of waiting for a connection",
        r"Timeout after (?P<duration_ms>\d+)ms of waiting for a connection",
        until="2.4",
    ),
    Message(
        "pool_timeout",
        "HikariPool-1 - Interrupted during connection acquisition",
        "Interrupted during connection acquisition",
        r"(?P<detail>[^\s\"'=|]+) - Interrupted during connection acquisition",
        reason="interrupted",
    ),
    Message(
        "pool_leak_suspected",
        "Connection leak detection triggered for org.postgresql.jdbc.PgConnection@cb5822 on thread main, stack trace follows\n"
        "java.lang.Exception: Apparent connection leak detected\n"
        "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:112)\n"
        "\tat com.example.OrderDao.find(OrderDao.java:42)",
        "onnection leak detection triggered for",
        rf"Connection leak detection triggered for {_CONNECTION}, stack trace follows",
    ),
    Message(
        "pool_leak_suspected",
        "java.lang.Exception: Apparent connection leak detected",
        "Apparent connection leak detected",
    ),
    Message(
        "pool_leak_returned",
        "Previously reported leaked connection org.postgresql.jdbc.PgConnection@cb5822 on thread main was returned to the pool"
        " (unleaked)",
        "was returned to the pool (unleaked)",
        rf"Previously reported leaked {_CONNECTION} was returned to the pool",
    ),
    Message(
        "clock_leap",
        "HikariPool-1 - Thread starvation or clock leap detected (housekeeper delta=1m2s345ms).",
        "Thread starvation or clock leap detected",
        r"clock leap detected \(housekeeper delta=(?P<detail>[^)]*)\)",
        reason="forward",
    ),
    Message(
        "clock_leap",
        "HikariPool-1 - Retrograde clock change detected (housekeeper delta=29s), soft-evicting connections from pool.",
        "Retrograde clock change detected",
        r"Retrograde clock change detected \(housekeeper delta=(?P<detail>[^)]*)\)",
        reason="backward",
    ),
    Message(
        "client_error",
        "HikariPool-1 - Failed to validate connection org.postgresql.jdbc.PgConnection@1b2c (This connection has been"
        " closed.). Possibly consider using a shorter maxLifetime value.",
        "Failed to validate connection",
        rf"Failed to validate {_CONNECTION} \((?P<detail>.*?)\)(?:\.|$)",
        reason="invalid",
    ),
    Message(
        "client_error",
        "HikariPool-1 - Connection org.postgresql.jdbc.PgConnection@cb5822 marked as broken because of SQLSTATE(08006),"
        " ErrorCode(0)",
        "marked as broken because of SQLSTATE",
        r"onnection (?P<session_key>\S+) (?:\S+ )?marked as broken because of SQLSTATE\((?P<sqlstate>\w*)\), ErrorCode\((?P<error_code>\d+)\)",
        reason="broken",
    ),
    Message(
        "client_error",
        "HikariPool-1 - Failed to create/setup connection: FATAL: the server said no",
        "Failed to create/setup connection: ",
        r"Failed to create/setup connection: (?P<detail>.*)$",
        reason="setup",
    ),
    Message(
        "pool_failed",
        "HikariPool-1 - Exception during pool initialization.",
        "Exception during pool initialization",
        r"(?P<detail>[^\s\"'=|]+) - Exception during pool initialization",
    ),
    Message(
        "pool_failed",
        "com.zaxxer.hikari.pool.HikariPool$PoolInitializationException: Failed to initialize pool: Communications link failure",
        "Failed to initialize pool: ",
        r"Failed to initialize pool: (?P<detail>.*)$",
    ),
    Message("pool_started", "HikariPool-1 - Start completed.", " - Start completed.", r"(?P<detail>[^\s\"'=|]+) - Start completed\."),
    Message(None, "HikariPool-1 - Starting...", " - Starting...", r"\S+ - Starting\.\.\."),
    Message(
        "pool_started",
        "HikariCP pool HikariPool-0 is starting.",
        ("HikariCP pool ", "Hikari pool "),
        r"Hikari(?:CP)? pool (?P<detail>\S+) is starting\.",
        until="2.3",
    ),
    Message(
        "pool_stopped",
        "HikariPool-1 - Shutdown completed.",
        " - Shutdown completed.",
        r"(?P<detail>[^\s\"'=|]+) - Shutdown completed\.",
    ),
    Message(None, "HikariPool-1 - Shutdown initiated...", " - Shutdown initiated..."),
    Message(
        "pool_stopped",
        "HikariCP pool HikariPool-0 is shutting down.",
        ("HikariCP pool ", "Hikari pool "),
        r"Hikari(?:CP)? pool (?P<detail>\S+) is shutting down\.",
        until="2.3",
    ),
    Message(
        "pool_connection_added",
        "HikariPool-1 - Added connection org.postgresql.jdbc.PgConnection@7f2c",
        " - Added connection ",
        r"(?P<detail>[^\s\"'=|]+) - Added connection (?P<session_key>\S+?):?(?: .*)?$",
    ),
    Message(
        "pool_connection_closed",
        "HikariPool-1 - Closing connection org.postgresql.jdbc.PgConnection@7f2c: (connection has passed maxLifetime)",
        " - Closing connection ",
        r" - Closing connection (?P<session_key>\S+?):? \((?:connection (?:has |is |was )?)?(?P<detail>[^)]*)\)",
    ),
    Message(None, "HikariPool-1 - Cannot acquire connection from data source", "Cannot acquire connection from data source"),
    Message(
        None,
        "HikariPool-1 - Fill pool skipped, pool has sufficient level or currently being filled.",
        "Fill pool skipped, pool",
    ),
    Message(
        None,
        "HikariPool-1 - Add connection elided, waiting=1, adders pending/running=1",
        "Add connection elided, waiting",
    ),
    Message(
        None,
        "HikariPool-1 - Executed rollback on connection org.postgresql.jdbc.PgConnection@1 due to dirty commit state on close().",
        "due to dirty commit state on close()",
    ),
    Message(None, "HikariPool-1 - configuration:", " - configuration:", r"\S+ - configuration:$"),
    Message(
        None,
        "HikariPool-1 - Pool stats (total=10, active=10, idle=0, waiting=4)",
        "stats (total=",
    ),
    Message(
        None,
        "HikariPool-1 - Timeout failure stats (total=10/10, idle=0/10, active=10, waiting=4)",
        "stats (total=",
        since="6.0",
    ),
    Message(
        None, "After cleanup pool stats HikariPool-0 (total=10, inUse=10, avail=0, waiting=4)", "pool stats ", until="2.3"
    ),
)  # fmt: skip

LIBRARIES: Final = {"hikaricp": CATALOGUE}
"""Which library writes which entries."""

SETTINGS: Final = (
    "allowPoolSuspension", "autoCommit", "catalog", "connectionInitSql", "connectionTestQuery", "connectionTimeout",
    "dataSourceClassName", "driverClassName", "exceptionOverrideClassName", "idleTimeout", "initializationFailTimeout",
    "isolateInternalQueries", "jdbcUrl", "keepaliveTime", "leakDetectionThreshold", "maxLifetime", "maximumPoolSize",
    "minimumIdle", "poolName", "readOnly", "registerMbeans", "schema", "transactionIsolation", "username",
    "validationTimeout",
)  # fmt: skip
"""What it dumps at DEBUG when a pool starts, each name filled up with dots; passwords it masks itself."""

SETTING_UNITS: Final = {
    "connectionTimeout": "ms", "idleTimeout": "ms", "initializationFailTimeout": "ms", "keepaliveTime": "ms",
    "leakDetectionThreshold": "ms", "maxLifetime": "ms", "validationTimeout": "ms",
}  # fmt: skip
