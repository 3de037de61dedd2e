"""What the pools of Node say: node-postgres, mysql2 and mysql, Knex, Prisma, Sequelize, TypeORM in NestJS.

Texts are those of the libraries' sources and of real runs:
https://node-postgres.com/apis/pool, https://sidorares.github.io/node-mysql2/docs, https://knexjs.org/guide/#pool,
https://www.prisma.io/docs/orm/reference/error-reference, https://sequelize.org/docs/v6/other-topics/connection-pool/.
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_PG: Final = (
    Message(
        "pool_timeout",
        "Error: timeout exceeded when trying to connect",
        "timeout exceeded when trying to connect",
    ),
    Message(
        "client_error",
        "Error: Connection terminated due to connection timeout",
        "Connection terminated due to connection timeout",
        reason="timeout",
    ),
    Message(
        "client_error",
        "Error: Connection terminated unexpectedly",
        "Connection terminated unexpectedly",
        reason="lost",
    ),
    Message(
        "client_error",
        "Error: Client has encountered a connection error and is not queryable",
        "Client has encountered a connection error and is not queryable",
        reason="lost",
    ),
    Message(
        "client_error",
        "Error: Cannot use a pool after calling end on the pool",
        "Cannot use a pool after calling end on the pool",
        reason="pool",
    ),
)

_MYSQL2: Final = (
    Message("pool_timeout", "Error: Queue limit reached.", "Queue limit reached.", reason="queue_full"),
    Message("pool_timeout", "Error: No connections available.", "No connections available.", reason="no_wait"),
    Message(
        "client_error",
        "Error: Can't add new command when connection is in closed state",
        "t add new command when connection is in closed state",
        reason="lost",
    ),
    Message(
        "client_error",
        "Error: Connection lost: The server closed the connection.",
        ("Connection lost: The server closed the connection", "PROTOCOL_CONNECTION_LOST"),
        reason="lost",
    ),
)

_KNEX: Final = (
    Message(
        "pool_timeout",
        "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a"
        " .transacting(trx) call?",
        "Timeout acquiring a connection. The pool is probably full",
    ),
)

_PRISMA: Final = (
    Message(
        "pool_timeout",
        "Timed out fetching a new connection from the connection pool. More info: http://pris.ly/d/connection-pool"
        " (Current connection pool timeout: 10, connection limit: 5)",
        "Timed out fetching a new connection from the connection pool",
        r"connection pool\.(?:.*Current connection pool timeout: (?P<duration_s>[\d.]+))?",
        error_code="P2024",
    ),
    Message(
        "pool_timeout",
        "Timed out fetching a new connection from the pool. Please consider reducing the number of requests or increasing the"
        " `connection_limit` parameter. Current limit: 3, amount of connections currently in use: 0.",
        ("Timed out fetching a new connection from the pool", "Timed out fetching a connection from the pool"),
        error_code="P2024",
        until="2",
    ),
)

_SEQUELIZE: Final = (
    Message(
        "pool_timeout",
        "ConnectionAcquireTimeoutError [SequelizeConnectionAcquireTimeoutError]: Operation timeout",
        "ConnectionAcquireTimeoutError",
    ),
    Message(
        "pool_timeout",
        "TimeoutError: ResourceRequest timed out",
        "ResourceRequest timed out",
        until="4",
    ),
)

_TYPEORM: Final = (
    Message(
        "client_error",
        "[TypeOrmModule] Unable to connect to the database. Retrying (1)...",
        "Unable to connect to the database",
        r"Unable to connect to the database\b",
        reason="setup",
    ),
)

LIBRARIES: Final = {
    "pg": _PG,
    "mysql2": _MYSQL2,
    "knex": _KNEX,
    "prisma": _PRISMA,
    "sequelize": _SEQUELIZE,
    "typeorm": _TYPEORM,
}
"""Which library writes which entries."""

CATALOGUE: Final = tuple(message for entries in LIBRARIES.values() for message in entries)
