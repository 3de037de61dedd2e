"""What pools of .NET, Ruby, Go, Rust, Elixir and PostgREST say. PHP keeps no pool: it only repeats what the server says.

Texts are those of the libraries' sources and manuals: https://www.npgsql.org/doc/connection-string-parameters.html,
https://learn.microsoft.com/sql/connect/ado-net/sql-server-connection-pooling, https://mysqlconnector.net/,
https://api.rubyonrails.org/classes/ActiveRecord/ConnectionAdapters/ConnectionPool.html, https://pkg.go.dev/database/sql,
https://docs.rs/sqlx, https://docs.rs/deadpool, https://docs.rs/bb8, https://docs.rs/r2d2,
https://hexdocs.pm/db_connection, https://docs.postgrest.org/en/stable/references/errors.html.
Go's database/sql waits without a word: only its statistics tell (pool_numbers.py).
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_NPGSQL: Final = (
    Message(
        "pool_timeout",
        "Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise 'Max Pool Size'"
        " (currently 20) or 'Timeout' (currently 15 seconds) in your connection string.",
        "The connection pool has been exhausted, either raise",
        r"pool has been exhausted.*?Timeout\S{0,6} \(currently (?P<duration_s>\d+) seconds\)",
    ),
    Message(
        "pool_timeout",
        "Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise MaxPoolSize (currently"
        " 100) or Timeout (currently 15 seconds)",
        "The connection pool has been exhausted, either raise",
        r"pool has been exhausted.*?Timeout\S{0,6} \(currently (?P<duration_s>\d+) seconds\)",
        until="5",
    ),
)

_SQLCLIENT: Final = (
    Message(
        "pool_timeout",
        "System.InvalidOperationException: Timeout expired.  The timeout period elapsed prior to obtaining a connection from"
        " the pool.  This may have occurred because all pooled connections were in use and max pool size was reached.",
        "The timeout period elapsed prior to obtaining a connection from the pool",
    ),
)

_MYSQLCONNECTOR: Final = (
    Message(
        "pool_timeout",
        "MySqlConnector.MySqlException (0x80004005): Connect Timeout expired. All pooled connections are in use.",
        "Connect Timeout expired. All pooled connections are in use",
    ),
)

_ACTIVE_RECORD: Final = (
    Message(
        "pool_timeout",
        "ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds (waited"
        " 5.004 seconds); all pooled connections were in use):",
        ("could not obtain a connection from the pool within", "could not obtain a database connection within"),
        r"could not obtain a (?:database connection|connection from the pool) within (?:[\d.]+) seconds?(?: \(waited (?P<duration_s>[\d.]+) seconds?)?",
    ),
    Message(
        "client_error",
        "ActiveRecord::ConnectionNotEstablished: No connection pool for 'ActiveRecord::Base' found.",
        "No connection pool for ",
        r"No connection pool for .* found",
        reason="pool",
    ),
)

_GO: Final = (
    Message(
        "client_error",
        "driver: bad connection",
        "driver: bad connection",
        reason="lost",
    ),
    Message(
        "client_error",
        "[mysql] packets.go:122: closing bad idle connection: EOF",
        "closing bad idle connection",
        reason="lost",
    ),
    Message("client_error", "sql: database is closed", "sql: database is closed", reason="pool"),
)

_SQLX: Final = (
    Message(
        "pool_timeout",
        "error returned from database: pool timed out while waiting for an open connection",
        "pool timed out while waiting for an open connection",
    ),
)

_DEADPOOL: Final = (
    Message(
        "pool_timeout",
        "Timeout occurred while waiting for a slot to become available",
        "Timeout occurred while waiting for a slot to become available",
    ),
)

_BB8: Final = (Message("pool_timeout", "Pool error: Timed out in bb8", "Timed out in bb8"),)

_R2D2: Final = (
    Message(
        "pool_timeout",
        'called `Result::unwrap()` on an `Err` value: Error(Some("timed out waiting for connection"))',
        "timed out waiting for connection",
    ),
)

_DB_CONNECTION: Final = (
    Message(
        "pool_timeout",
        "** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 150ms. This"
        " means requests are coming in and your connection pool cannot serve them fast enough.",
        "connection not available and request was dropped from queue after",
        r"dropped from queue after (?P<duration_ms>\d+)ms",
    ),
    Message(
        "pool_connection_closed",
        "Postgrex.Protocol (#PID<0.375.0>) disconnected: ** (DBConnection.ConnectionError) client #PID<0.538.0> timed out"
        " because it queued and checked out the connection for longer than 15000ms",
        (
            "timed out because it queued and checked out the connection",
            "timed out because it checked out the connection",
        ),
        r"client (?P<session_key>#PID<[\d.]+>).*for longer than (?P<duration_ms>\d+)ms",
        reason="held_too_long",
    ),
    Message(
        "pool_connection_closed",
        "Postgrex.Protocol (#PID<0.375.0>) disconnected: ** (DBConnection.ConnectionError) client #PID<0.538.0> exited",
        "(DBConnection.ConnectionError) ",
        r"\(DBConnection\.ConnectionError\) (?:client|owner) (?P<session_key>#PID<[\d.]+>)(?: \([^)]*\))? exited",
        reason="owner_exited",
    ),
)

_POSTGREST: Final = (
    Message(
        "pool_timeout",
        '{"code":"PGRST003","details":null,"hint":null,"message":"Timed out acquiring connection from connection pool."}',
        "Timed out acquiring connection from connection pool",
        error_code="PGRST003",
    ),
)

LIBRARIES: Final = {
    "npgsql": _NPGSQL,
    "sqlclient": _SQLCLIENT,
    "mysqlconnector": _MYSQLCONNECTOR,
    "activerecord": _ACTIVE_RECORD,
    "go": _GO,
    "sqlx": _SQLX,
    "deadpool": _DEADPOOL,
    "bb8": _BB8,
    "r2d2": _R2D2,
    "db_connection": _DB_CONNECTION,
    "postgrest": _POSTGREST,
}
"""Which library writes which entries."""

CATALOGUE: Final = tuple(message for entries in LIBRARIES.values() for message in entries)
