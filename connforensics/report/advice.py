"""What prevents each cause of the closed list: short, concrete, with the settings' own names.

Settings are named as the manuals name them (https://www.postgresql.org/docs/current/runtime-config.html,
https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html, https://www.pgbouncer.org/config.html). Advice is
general: which of it fits is for the people who know the system to decide.
"""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, str]] = {
    "connection_leak": "Connection leak",
    "idle_in_transaction": "Sessions idle in transaction",
    "connection_storm": "Connection storm",
    "slow_query_storm": "Slow query storm",
    "lock_pileup": "Lock pile-up",
    "budget_overcommit": "Overcommitted connection budget",
    "unbounded_workers": "Unbounded workers",
    "monitoring_overconsumption": "Monitoring takes the slots",
    "pooler_misconfigured": "Misconfigured pooler",
    "limit_too_low": "Limit too low",
    "external_scan": "Scan from outside",
    "none": "No connection incident",
    "undetermined": "Undetermined",
}
"""How a heading calls each cause."""

ADVICE: Final[dict[str, tuple[str, ...]]] = {
    "connection_leak": (
        "Give every checkout an owner that returns it on every path: a context manager, `try`-with-resources, `defer`. "
        "Review the error paths of the culprit first.",
        "Let the pool report what is not returned: HikariCP `leakDetectionThreshold`, SQLAlchemy "
        "`echo_pool='debug'`, psycopg_pool `get_stats()`; alert when checked-out connections rise and throughput does not.",
        "Bound the damage: a pool maximum (`maximumPoolSize`, `pool_size` + `max_overflow`, `max_size`), a role's "
        "`ALTER ROLE ... CONNECTION LIMIT` (MySQL: `MAX_USER_CONNECTIONS`), and on PostgreSQL 14 and newer "
        "`idle_session_timeout` for roles that do not use a pool.",
        "Keep a way in: `superuser_reserved_connections`, and `reserved_connections` on PostgreSQL 16 and newer.",
    ),
    "idle_in_transaction": (
        "Set `idle_in_transaction_session_timeout` for application roles (MySQL has no such setting; MariaDB has "
        "`idle_transaction_timeout`), and `transaction_timeout` on PostgreSQL 17 and newer.",
        "Do no network calls and no waiting for people inside a transaction; commit before them.",
        "Look for drivers that open a transaction on their own: autocommit off, an ORM session kept over a request.",
        "Alert on the age of the oldest open transaction, not only on the count.",
    ),
    "connection_storm": (
        "Retry with exponential backoff and full jitter, and cap the retries of one client.",
        "Spread lifetimes: a random part in `maxLifetime` or `pool_recycle`, so that pools do not renew together.",
        "Put a pooler in front of servers with many clients, and let it queue (`query_wait_timeout`) before it refuses.",
        "Roll restarts and deploys in waves smaller than the free headroom.",
    ),
    "slow_query_storm": (
        "Find what made the statements slower first: plan change, cold cache, IO, a missing index "
        "(`pg_stat_statements`, the slow log).",
        "Bound what one statement may take: `statement_timeout`, MySQL `max_execution_time`, MariaDB `max_statement_time`.",
        "Shed load before the server does: short pool wait timeouts and a queue limit in the application.",
    ),
    "lock_pileup": (
        "Run DDL with a short `lock_timeout` and retries (MySQL: `lock_wait_timeout`), outside of the peak.",
        "Split long updates into batches that commit.",
        "Alert on lock waits with one head (`pg_blocking_pids`, `sys.innodb_lock_waits`); keep `log_lock_waits` on.",
    ),
    "budget_overcommit": (
        "Write the budget down: the sum over services of instances times (pool size + overflow), largest scale-out "
        "included, stays under `max_connections` less the reserved slots. Check it at deploy time.",
        "Give each role its share as `CONNECTION LIMIT` (MySQL: `MAX_USER_CONNECTIONS`), so that one service cannot take another's.",
        "Where the sum cannot fit, put a transaction pooler in between: PgBouncer `pool_mode = transaction`, "
        "`default_pool_size`, `max_db_connections`.",
    ),
    "unbounded_workers": (
        "Bound the number of workers: concurrency of functions, `maxReplicas` of the autoscaler, size of the job queue's fleet.",
        "Share connections between short-lived workers through a pooler or proxy; one connection per invocation does not scale.",
        "Scale on work done, not on waiting: workers that wait for a slot bring more workers.",
    ),
    "monitoring_overconsumption": (
        "Let each agent hold one connection and reuse it; widen its scrape interval.",
        "Give monitoring its own role with a small `CONNECTION LIMIT`.",
        "Keep monitoring able to see saturation: `pg_monitor` with `reserved_connections` "
        "(PostgreSQL 16: `pg_use_reserved_connections`), MySQL `admin_address` and `SERVICE_CONNECTION_ADMIN`.",
    ),
    "pooler_misconfigured": (
        "Size the pooler from the server back: pools times databases times users at most the usable slots, "
        "`reserve_pool_size` included (PgBouncer: `max_db_connections`, `max_user_connections`).",
        "Raise `max_client_conn` (and the file descriptor limit) above the sum of all client pools.",
        "Watch the pooler itself: clients waiting and the longest wait (`SHOW POOLS`: `cl_waiting`, `maxwait`).",
        "Look for what pins sessions in transaction mode: session variables, advisory locks, `LISTEN`, prepared statements.",
    ),
    "limit_too_low": (
        "Raise `max_connections` as far as memory and cores bear it (each backend needs memory; measure), or the quota "
        "that was hit: role, user or database.",
        "Check that the server runs with what was configured: MySQL lowers `max_connections` when `open_files_limit` is short.",
        "If most work is short, a transaction pooler serves more clients with fewer slots.",
    ),
    "external_scan": (
        "Close the port to the outside: firewall or security group, `listen_addresses` (MySQL: `bind_address`), a private network.",
        "Keep `pg_hba.conf` narrow and shorten `authentication_timeout` (MySQL: `connect_timeout`).",
        "Rotate the passwords of accounts that were tried with valid names.",
    ),
    "none": ("Nothing to prevent: no connection incident was found in this window.",),
    "undetermined": (
        "Record what would have decided it, before the next time: snapshots of `pg_stat_activity` (MySQL: the process list) "
        "every 10 seconds, `log_connections` and `log_disconnections`, each pool's numbers, worker counts.",
    ),
}
"""Advice in order of effect, as Markdown with inline code."""
