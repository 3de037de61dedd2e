"""What servers and poolers told a client, as applications of any language repeat it: refusals, and links that broke.

A refusal for want of a slot is `client_refused`: `reason` is full (nobody gets in), reserved (only privileged roles do),
quota (a role's, user's or database's own limit) or blocked (the host). Everything else that kept a client out or cut its
link is `client_error`. SQLSTATE and error number win over texts, so messages in other languages are recognised where the
driver shows a number.
Texts: https://www.postgresql.org/docs/current/errcodes-appendix.html, https://dev.mysql.com/doc/mysql-errors/8.4/en/,
https://mariadb.com/kb/en/mariadb-error-code-reference/, and the drivers' own sources.
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence.messages import Message

_NAME: Final = r"(?:\\?[\"'`]|\\u00(?:22|27))?"
"""A quotation mark in front of or behind a name, as logs escape it."""

_STATE_53300: Final = r"(?i)(?:(?:sql_?state|code|state)\W{1,8}53300|(?:FATAL|ERROR|Exception[^:]*:) 53300\b|\b53300: )"

_POSTGRES: Final = (
    Message(
        "client_refused",
        'psycopg.OperationalError: connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  sorry,'
        " too many clients already",
        "too many clients already",
        reason="full",
        sqlstate="53300",
    ),
    Message(
        "client_refused",
        'connection to server at "10.0.0.5", port 5432 failed: FATAL:  remaining connection slots are reserved for'
        " non-replication superuser connections",
        "remaining connection slots are reserved",
        reason="reserved",
        sqlstate="53300",
        until="15",
    ),
    Message(
        "client_refused",
        "org.postgresql.util.PSQLException: FATAL: remaining connection slots are reserved for roles with the SUPERUSER"
        " attribute",
        "remaining connection slots are reserved",
        reason="reserved",
        sqlstate="53300",
        since="16",
    ),
    Message(
        "client_refused",
        'asyncpg.exceptions.TooManyConnectionsError: too many connections for role "app_orders"',
        "too many connections for role",
        rf"too many connections for role {_NAME}(?P<user_name>[^\"'`\\]+)",
        reason="quota",
        sqlstate="53300",
    ),
    Message(
        "client_refused",
        'FATAL: too many connections for database "shop"',
        "too many connections for database",
        rf"too many connections for database {_NAME}(?P<database_name>[^\"'`\\]+)",
        reason="quota",
        sqlstate="53300",
    ),
    Message(
        "client_refused",
        "FATAL: connection limit exceeded for non-superusers",
        "connection limit exceeded for non-superusers",
        reason="reserved",
        sqlstate="53300",
        until="9.0",
    ),
    Message(
        "client_refused",
        'FATAL: number of requested standby connections exceeds "max_wal_senders" (currently 10)',
        "number of requested standby connections exceeds",
        reason="full",
        sqlstate="53300",
    ),
    Message(
        "client_refused",
        "error: désolé, trop de clients sont déjà connectés { code: '53300' }",
        "53300",
        _STATE_53300,
        reason="full",
        sqlstate="53300",
    ),
    Message(
        "client_refused",
        "asyncpg.exceptions.TooManyConnectionsError: trop de connexions",
        ("asyncpg.exceptions.TooManyConnectionsError", "PG::TooManyConnections"),
        reason="full",
        sqlstate="53300",
    ),
)

_POOLERS: Final = (
    Message(
        "client_refused",
        "psycopg2.OperationalError: FATAL:  no more connections allowed (max_client_conn)",
        "no more connections allowed",
        reason="full",
    ),
    Message(
        "client_error",
        "ERROR: query_wait_timeout",
        "query_wait_timeout",
        r"(?:^|FATAL|ERROR|rror|[:\"])\W*query_wait_timeout\b",
        reason="pooler_timeout",
    ),
    Message(
        "client_error",
        "FATAL: server login has been failing, try again later (server_login_retry)",
        ("server login has been failing", "pgbouncer cannot connect to server", "server_login_retry"),
        reason="pooler_server",
    ),
    Message(
        "client_refused",
        "FATAL: MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
        ("max clients reached - in Session mode", "Max client connections reached"),
        reason="full",
    ),
    Message(
        "client_error",
        "ERROR: Timed-out waiting to acquire database connection",
        "Timed-out waiting to acquire database connection",
        reason="pooler_timeout",
    ),
    Message(
        "client_error",
        "ERROR 9001 (HY000): Max connect timeout reached while reaching hostgroup 0 after 10000ms",
        "Max connect timeout reached while reaching hostgroup",
        r"reaching hostgroup (?P<detail>\d+) after (?P<duration_ms>\d+)ms",
        reason="pooler_timeout",
        error_code="9001",
    ),
)

_MYSQL: Final = (
    Message(
        None,
        "SQL Error: 1040, SQLState: 08004",
        "SQL Error: 1040, SQLState: ",
    ),
    Message(
        "client_refused",
        "pymysql.err.OperationalError: (1040, 'Too many connections')",
        ("Too many connections", "ER_CON_COUNT_ERROR"),
        r"ER_CON_COUNT_ERROR|Too many connections(?:[\"'\\)\].;}]|$| \(| at /| in /| #)",
        reason="full",
        error_code="1040",
    ),
    Message(
        "client_refused",
        "PDOException: SQLSTATE[HY000] [1040] Trop de connexions",
        "1040",
        r"SQLSTATE\[\w+\] \[1040\]|\(HY000/1040\)|\b[Ee]rror:? 1040\b|\(1040, |errno\W{1,4}1040\b|errorCode 1040\b|1040 \(08004\)",
        reason="full",
        error_code="1040",
    ),
    Message(
        "client_refused",
        "mysqli_sql_exception: User app_orders already has more than 'max_user_connections' active connections",
        ("already has more than", "ER_TOO_MANY_USER_CONNECTIONS"),
        rf"User {_NAME}(?P<user_name>[^\"'`\\ ]+){_NAME} already has more than {_NAME}max_user_connections|ER_TOO_MANY_USER_CONNECTIONS",
        reason="quota",
        error_code="1203",
    ),
    Message(
        "client_refused",
        "1226 (42000): User 'app_orders' has exceeded the 'max_user_connections' resource (current value: 2)",
        ("has exceeded the ", "ER_USER_LIMIT_REACHED"),
        rf"User {_NAME}(?P<user_name>[^\"'`\\ ]+){_NAME} has exceeded the {_NAME}(?P<detail>max_(?:user_connections|connections_per_hour)){_NAME} resource|ER_USER_LIMIT_REACHED",
        reason="quota",
        error_code="1226",
    ),
    Message(
        "client_refused",
        "Host '10.0.0.7' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'",
        ("is blocked because of many connection errors", "ER_HOST_IS_BLOCKED"),
        rf"Host {_NAME}(?P<client_host>[^\"'`\\ ]+){_NAME} is blocked because of many|ER_HOST_IS_BLOCKED",
        reason="blocked",
        error_code="1129",
    ),
    Message(
        "client_refused",
        "java.sql.SQLNonTransientConnectionException: refusé (SQLState: 08004)",
        "08004",
        r"(?i)sql_?state\W{1,8}08004\b",
        reason="full",
        sqlstate="08004",
    ),
)

_LINKS_POSTGRES: Final = (
    Message(
        "client_error",
        "FATAL: the database system is starting up",
        "the database system is ",
        r"the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)",
        reason="server_state",
        sqlstate="57P03",
    ),
    Message(
        "client_error",
        "FATAL: terminating connection due to administrator command",
        "terminating connection due to administrator command",
        reason="terminated_admin",
        sqlstate="57P01",
    ),
    Message(
        "client_error",
        "FATAL: terminating connection due to idle-in-transaction timeout",
        "terminating connection due to idle-in-transaction timeout",
        reason="terminated_idle_in_transaction_timeout",
        sqlstate="25P03",
    ),
    Message(
        "client_error",
        "FATAL: terminating connection due to idle-session timeout",
        "terminating connection due to idle-session timeout",
        reason="terminated_idle_session_timeout",
        sqlstate="57P05",
    ),
    Message(
        "client_error",
        "FATAL: terminating connection due to transaction timeout",
        "terminating connection due to transaction timeout",
        reason="terminated_transaction_timeout",
        sqlstate="25P04",
    ),
    Message(
        "client_error",
        "WARNING: terminating connection because of crash of another server process",
        "terminating connection because of crash of another server process",
        reason="terminated_crash",
        sqlstate="57P02",
    ),
    Message(
        "client_error",
        'FATAL: password authentication failed for user "app_web"',
        "password authentication failed for user",
        rf"authentication failed for user {_NAME}(?P<user_name>[^\"'`\\]+)",
        reason="auth",
        sqlstate="28P01",
    ),
    Message(
        "client_error",
        'FATAL: no pg_hba.conf entry for host "10.0.0.7", user "app_web", database "shop", no encryption',
        "no pg_hba.conf entry for host",
        rf"for host {_NAME}(?P<client_host>[^\"'`\\]+){_NAME}, user {_NAME}(?P<user_name>[^\"'`\\]+){_NAME}, database {_NAME}(?P<database_name>[^\"'`\\]+)",
        reason="rule",
        sqlstate="28000",
    ),
    Message(
        "client_error",
        "psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly",
        "server closed the connection unexpectedly",
        reason="lost",
    ),
    Message(
        "client_error",
        "psycopg.OperationalError: the connection is lost",
        ("OperationalError: the connection is lost", "SSL connection has been closed unexpectedly"),
        reason="lost",
    ),
    Message(
        "client_error",
        "org.postgresql.util.PSQLException: This connection has been closed.",
        "PSQLException: This connection has been closed",
        reason="lost",
    ),
    Message(
        "client_error",
        "org.postgresql.util.PSQLException: An I/O error occurred while sending to the backend.",
        "An I/O error occurred while sending to the backend",
        reason="lost",
        sqlstate="08006",
    ),
    Message(
        "client_error",
        "org.postgresql.util.PSQLException: The connection attempt failed.",
        "PSQLException: The connection attempt failed",
        reason="unreachable",
        sqlstate="08001",
    ),
    Message(
        "client_error",
        "org.postgresql.util.PSQLException: Connection to localhost:5432 refused. Check that the hostname and port are correct"
        " and that the postmaster is accepting TCP/IP connections.",
        "refused. Check that the hostname and port are correct",
        reason="refused",
        sqlstate="08001",
    ),
    Message(
        "client_error",
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        ("connection to server at", "connection to server on socket", "could not connect to server"),
        r"(?:failed|could not connect to server): (?:Connection refused|No such file or directory)",
        reason="refused",
    ),
    Message(
        "client_error",
        'connection to server at "10.0.0.5", port 5432 failed: timeout expired',
        ("connection to server at", "could not connect to server"),
        r"(?:failed|could not connect to server): (?:timeout expired|Connection timed out|connection timeout expired)",
        reason="timeout",
    ),
    Message(
        "client_error",
        'psycopg2.OperationalError: could not translate host name "db" to address: Temporary failure in name resolution',
        "could not translate host name",
        reason="unreachable",
    ),
    Message(
        "client_error",
        'psycopg.OperationalError: connection failed: connection to server at "10.0.0.5", port 5432 failed: FATAL:  database'
        ' "shop" does not exist',
        ("connection to server at", "could not connect to server"),
        r"(?:failed|could not connect to server): (?P<detail>.*)$",
    ),
)

_LINKS_MYSQL: Final = (
    Message(
        "client_error",
        "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
        "Communications link failure",
        reason="link_failure",
        sqlstate="08S01",
    ),
    Message(
        "client_error",
        "pymysql.err.OperationalError: (2006, 'MySQL server has gone away')",
        "server has gone away",
        r"(?:MySQL|[Ss]erver) (?:server )?has gone away",
        reason="lost",
        error_code="2006",
    ),
    Message(
        "client_error",
        "pymysql.err.OperationalError: (2013, 'Lost connection to MySQL server during query')",
        ("Lost connection to MySQL server", "Lost connection to server", "Lost connection to backend server"),
        reason="lost",
        error_code="2013",
    ),
    Message(
        "client_error",
        "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on '127.0.0.1' ([Errno 111] Connection"
        ' refused)")',
        ("t connect to MySQL server", "t connect to local MySQL server", "t connect to server on"),
        reason="refused",
    ),
    Message(
        "client_error",
        "PDOException: SQLSTATE[HY000] [2002] Connection refused",
        "SQLSTATE[HY000] [2002]",
        r"SQLSTATE\[HY000\] \[2002\] (?P<detail>[^\"(]*)",
        reason="refused",
        error_code="2002",
    ),
    Message(
        "client_error",
        "Access denied for user 'app_web'@'10.0.0.7' (using password: YES)",
        "Access denied for user",
        rf"Access denied for user {_NAME}(?P<user_name>[^\"'`\\@]*){_NAME}(?:@{_NAME}(?P<client_host>[^\"'`\\ ]*))?",
        reason="auth",
        error_code="1045",
    ),
    Message(
        "client_error",
        "Host '10.0.0.7' is not allowed to connect to this MySQL server",
        ("is not allowed to connect to this MySQL server", "is not allowed to connect to this MariaDB server"),
        rf"Host {_NAME}(?P<client_host>[^\"'`\\ ]+)",
        reason="rule",
        error_code="1130",
    ),
    Message(
        "client_error",
        "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for"
        " configuring this behavior.",
        "The client was disconnected by the server because of inactivity",
        reason="terminated_idle_session_timeout",
        error_code="4031",
        since="8.0.24",
    ),
    Message(
        "client_error",
        "(conn=39) Connection was killed",
        "Connection was killed",
        reason="killed",
        error_code="1927",
    ),
    Message(
        "client_error",
        "com.mysql.cj.jdbc.exceptions.CommunicationsException: The last packet successfully received from the server was"
        " 90,001 milliseconds ago.",
        "The last packet successfully received from the server was",
        reason="lost",
        sqlstate="08S01",
    ),
    Message(
        "client_error",
        "java.sql.SQLNonTransientConnectionException: No operations allowed after connection closed.",
        "No operations allowed after connection closed",
        reason="lost",
    ),
)

_LINKS_ANY: Final = (
    Message(
        "client_error",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        ("ECONNREFUSED", "onnection refused", "connect: connection refused", "econnrefused"),
        r"(?i)(?::(?:5432|5433|6432|3306|3307|6033)\b.*refused|refused.*:(?:5432|5433|6432|3306|3307|6033)\b|(?:postgre|mysql|maria|psycopg|pgx|jdbc:).*refused)",
        reason="refused",
    ),
    Message(
        "client_error",
        "Error: connect ETIMEDOUT 10.0.0.5:5432",
        ("ETIMEDOUT", "ENOTFOUND", "CONNECT_TIMEOUT"),
        r"(?:ETIMEDOUT|CONNECT_TIMEOUT) \S+:(?:5432|5433|6432|3306|3307|6033)\b",
        reason="timeout",
    ),
    Message(
        "client_error",
        "django.db.utils.OperationalError: connection failed",
        ("OperationalError", "OperationalException"),
        r"(?i)Operational(?:Error|Exception)\b.*(?:connect|closed|gone away|lost|timeout expired|EOF detected|broken pipe|reset by peer)",
    ),
)

REFUSALS: Final = (*_POSTGRES, *_POOLERS, *_MYSQL)
"""What says why somebody was kept out: looked for before what the pools say."""

LINKS: Final = (*_LINKS_POSTGRES, *_LINKS_MYSQL, *_LINKS_ANY)
"""What else kept a client out or cut it off: looked for after what the pools say."""

CATALOGUE: Final = (*REFUSALS, *LINKS)
