"""What the pools of Python say: SQLAlchemy, psycopg_pool (also Django's), psycopg2's and mysql-connector's own pools.

Texts are those of the libraries' sources and of real runs:
https://docs.sqlalchemy.org/en/20/errors.html, https://www.psycopg.org/psycopg3/docs/advanced/pool.html,
https://www.psycopg.org/docs/pool.html, https://dev.mysql.com/doc/connector-python/en/connector-python-connection-pooling.html.
asyncpg, PyMySQL, aiomysql and Django without a pool only repeat what the server says: client_refusals.py.
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_SQLALCHEMY: Final = (
    Message(
        "pool_timeout",
        "sqlalchemy.exc.TimeoutError: QueuePool limit of size 2 overflow 1 reached, connection timed out, timeout 1.00"
        " (Background on this error at: https://sqlalche.me/e/21/3o7r)",
        "Pool limit of size ",
        r"Pool limit of size \d+ overflow -?\d+ reached, connection timed out(?:, timeout (?P<duration_s>[\d.]+))?",
    ),
    Message(None, "Connection <psycopg.Connection object at 0x7f> checked out from pool", " checked out from pool"),
    Message(None, "Connection <psycopg.Connection object at 0x7f> being returned to pool", " being returned to pool"),
    Message(
        None,
        "Connection <psycopg.Connection object at 0x7f> rollback-on-return",
        ("rollback-on-return", "commit-on-return", "reset, transaction already reset"),
    ),
    Message(
        "pool_leak_suspected",
        "The garbage collector is trying to clean up non-checked-in connection <AdaptedConnection"
        " <asyncpg.connection.Connection object at 0x7f>>, which will be terminated.",
        "The garbage collector is trying to clean up non-checked-in connection",
        r"non-checked-in connection (?P<session_key><.*>)",
        reason="garbage_collected",
    ),
    Message(
        "pool_connection_added",
        "Created new connection <psycopg.Connection [IDLE] (host=127.0.0.1 user=app database=shop) at 0x7f>",
        "Created new connection ",
        r"Created new connection (?P<session_key><.*)$",
    ),
    Message(
        "pool_connection_closed",
        "Connection <psycopg.Connection object at 0x7f> exceeded timeout; recycling",
        "exceeded timeout; recycling",
        r"Connection (?P<session_key><.*>) exceeded timeout",
        reason="recycled",
    ),
    Message(
        "pool_connection_closed",
        "Invalidate connection <psycopg.Connection object at 0x7f> (reason: OperationalError:consuming input failed)",
        "Invalidate connection ",
        r"Invalidate connection (?P<session_key><.*?>)(?: \(reason: (?P<detail>.*)\))?$",
        reason="invalidated",
    ),
    Message(
        "pool_connection_closed",
        "Closing connection <psycopg.Connection object at 0x7f>",
        "Closing connection <",
        r"Closing connection (?P<session_key><.*)$",
    ),
    Message(None, "Hard-closing connection <psycopg.Connection object at 0x7f>", "Hard-closing connection <"),
    Message(
        "pool_stopped", "Pool disposed. Pool size: 2  Connections in pool: 0", "Pool disposed. ", reason="disposed"
    ),
    Message(None, "Pool recreating", "Pool recreating"),
    Message(
        None,
        "Pool size: 2  Connections in pool: 0 Current Overflow: 1 Current Checked out connections: 3",
        "Current Checked out connections: ",
    ),
)

_PSYCOPG_POOL: Final = (
    Message(
        "pool_timeout",
        "psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec",
        "t get a connection after ",
        r"get a connection after (?P<duration_s>[\d.]+) sec",
    ),
    Message(
        "pool_timeout",
        "psycopg_pool.TooManyRequests: the pool 'orders-pool' has already 10 requests waiting",
        "requests waiting",
        r"the pool .{1,8}?(?P<detail>[^'\"\\]+)\S{1,6} has already \d+ requests waiting",
        reason="queue_full",
    ),
    Message(
        "pool_failed",
        "psycopg_pool.PoolTimeout: pool initialization incomplete after 30.0 sec",
        "pool initialization incomplete after",
        r"pool initialization incomplete after (?P<duration_s>[\d.]+) sec",
    ),
    Message(
        "pool_failed",
        "reconnection attempt in pool 'orders-pool' failed after 300.0 sec",
        "reconnection attempt in pool",
        r"reconnection attempt in pool .{1,8}?(?P<detail>[^'\"\\]+)\S{1,6} failed after",
        reason="reconnect",
    ),
    Message(
        "client_error",
        "error connecting in 'orders-pool': connection failed: the server said no",
        "error connecting in ",
        r"error connecting in .{1,8}?(?P<detail>[^'\"\\]+)\S{1,6}: ",
        reason="setup",
    ),
    Message(
        "pool_connection_closed",
        "discarding closed connection: <psycopg.Connection [BAD] at 0x7f>",
        "discarding closed connection",
        r"discarding closed connection: (?P<session_key><.*)$",
        reason="broken",
    ),
    Message(
        "pool_connection_closed",
        "discarding connection in unexpected state: <psycopg.Connection [ACTIVE] at 0x7f>",
        "discarding connection in",
        reason="discarded",
    ),
    Message(None, "closing returned connection: <psycopg.Connection [ACTIVE] at 0x7f>", "closing returned connection"),
    Message(
        None,
        "rolling back returned connection: <psycopg.Connection [INTRANS] (host=127.0.0.1) at 0x7f>",
        "rolling back returned connection",
    ),
)

_PSYCOPG2: Final = (
    Message(
        "pool_timeout",
        "psycopg2.pool.PoolError: connection pool exhausted",
        "connection pool exhausted",
        r"connection pool exhausted\b",
        reason="no_wait",
    ),
)

_MYSQL_CONNECTOR: Final = (
    Message(
        "pool_timeout",
        "mysql.connector.errors.PoolError: Failed getting connection; pool exhausted",
        "Failed getting connection; pool exhausted",
        reason="no_wait",
    ),
    Message(
        "client_error",
        "mysql.connector.errors.PoolError: Failed adding connection; queue is full",
        "Failed adding connection; queue is full",
        reason="pool",
    ),
)

LIBRARIES: Final = {
    "sqlalchemy": _SQLALCHEMY,
    "psycopg_pool": _PSYCOPG_POOL,
    "psycopg2": _PSYCOPG2,
    "mysql_connector": _MYSQL_CONNECTOR,
}
"""Which library writes which entries."""

CATALOGUE: Final = tuple(message for entries in LIBRARIES.values() for message in entries)
