"""The numbers that pools write into their lines: how large, how many lent, how many waiting.

Read by name, never by place: HikariCP 6 turned the order around, and dictionaries have none. `columns` of an entry maps
a column of pool_sample to the expression that finds its number; what a line does not tell stays NULL. The texts are those of
the libraries named in the catalogues beside this module, and of https://pkg.go.dev/database/sql#DBStats,
https://www.psycopg.org/psycopg3/docs/advanced/pool.html#pool-stats, https://node-postgres.com/apis/pool,
https://api.rubyonrails.org/classes/ActiveRecord/ConnectionAdapters/ConnectionPool.html#method-i-stat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final


@dataclass(frozen=True)
class Numbers:
    """Numbers of one pool in one line.

    `has` is a literal such a line holds, `pattern` says that it is one and may name the group `pool`; each expression
    of `columns` has one group. `sample` shows a line, `told` what it tells.
    """

    sample: str
    told: Mapping[str, float | str]
    has: str
    pattern: str
    columns: Mapping[str, str]

    @cached_property
    def names_pool(self) -> bool:
        """Whether the pattern tells the pool's name."""
        return "(?P<pool>" in self.pattern


def _named(*names: str) -> str:
    """Return the expression that finds the number called one of `names`: in a dictionary, an object or `name=number`."""
    return (
        rf"(?:^|[^\w]){'(?:' + '|'.join(map(re.escape, names)) + ')'}(?:\\*[\"'])?(?:=>|[:=])\s{{0,2}}(-?\d+(?:\.\d+)?)"
    )


_HIKARI: Final = {
    "size": r"\btotal=(\d+)",
    "max_size": r"\btotal=\d+/(\d+)",
    "checked_out": r"\b(?:active|inUse)=(\d+)",
    "idle": r"\b(?:idle|avail)=(\d+)",
    "waiting": r"\bwaiting=(\d+)",
}

NUMBERS: Final = (
    Numbers(
        "orders-pool - Pool stats (total=2/10, idle=0/10, active=2, waiting=3)",
        {"pool": "orders-pool", "size": 2, "max_size": 10, "idle": 0, "checked_out": 2, "waiting": 3},
        "(total=",
        r"(?P<pool>[^\s\"'=|]+) - (?:[\w/]+ {1,2}){0,4}stats {1,2}\(total=\d+",
        _HIKARI,
    ),
    Numbers(
        "After cleanup pool stats HikariPool-0 (total=10, inUse=10, avail=0, waiting=4)",
        {"pool": "HikariPool-0", "size": 10, "idle": 0, "checked_out": 10, "waiting": 4},
        "(total=",
        r"pool stats (?P<pool>[^\s\"'=|]+) \(total=\d+",
        _HIKARI,
    ),
    Numbers(
        "HikariPool-1 - Connection is not available, request timed out after 1500ms (total=2, active=2, idle=0, waiting=3)",
        {"pool": "HikariPool-1", "size": 2, "idle": 0, "checked_out": 2, "waiting": 3},
        "(total=",
        r"(?P<pool>[^\s\"'=|]+) - Connection is not available, request timed out after \d+ms \(total=\d+",
        _HIKARI,
    ),
    Numbers(
        "Timeout: Pool empty. Unable to fetch a connection in 30 seconds, none available[size:100; busy:99; idle:1;"
        " lastwait:30000].",
        {"size": 100, "checked_out": 99, "idle": 1, "acquire_ms": 30000},
        "none available[size:",
        r"none available\[size:\d+",
        {
            "size": r"\[size:(\d+)",
            "checked_out": r"busy:(\d+)",
            "idle": r"idle:(\d+)",
            "acquire_ms": r"lastwait:(\d+)",
        },
    ),
    Numbers(
        "com.alibaba.druid.pool.GetConnectionTimeoutException: wait millis 60000, active 20, maxActive 25, creating 0",
        {"checked_out": 20, "max_size": 25},
        "wait millis ",
        r"wait millis \d+, ?active \d+",
        {"checked_out": r", ?active (\d+)", "max_size": r" maxActive (\d+)"},
    ),
    Numbers(
        "Pool size: 5  Connections in pool: 0 Current Overflow: 10 Current Checked out connections: 15",
        {"size": 5, "idle": 0, "overflow": 10, "checked_out": 15},
        "Current Checked out connections: ",
        r"Pool size: \d+\s+Connections in pool: -?\d+ Current Overflow: -?\d+",
        {
            "size": r"Pool size: (\d+)",
            "idle": r"Connections in pool: (\d+)",
            "overflow": r"Current Overflow: (-?\d+)",
            "checked_out": r"Current Checked out connections: (-?\d+)",
        },
    ),
    Numbers(
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
        {"size": 5, "overflow": 10},
        "Pool limit of size ",
        r"Pool limit of size \d+ overflow \d+ reached",
        {"size": r"limit of size (\d+)", "overflow": r"overflow (\d+) reached"},
    ),
    Numbers(
        "{'pool_min': 2, 'pool_max': 4, 'pool_size': 4, 'pool_available': 0, 'requests_waiting': 7, 'requests_errors': 3}",
        {"max_size": 4, "size": 4, "idle": 0, "waiting": 7, "timeouts": 3},
        "pool_available",
        r"pool_available\W{1,5}\d",
        {
            "max_size": _named("pool_max"),
            "size": _named("pool_size"),
            "idle": _named("pool_available"),
            "waiting": _named("requests_waiting"),
            "timeouts": _named("requests_errors"),
        },
    ),
    Numbers(
        "pool { totalCount: 10, idleCount: 0, waitingCount: 4 }",
        {"size": 10, "idle": 0, "waiting": 4},
        "totalCount",
        r"totalCount\W{1,4}\d.*(?:idleCount|waitingCount)",
        {"size": _named("totalCount"), "idle": _named("idleCount"), "waiting": _named("waitingCount")},
    ),
    Numbers(
        "db stats {MaxOpenConnections:10 OpenConnections:9 InUse:8 Idle:1 WaitCount:42 WaitDuration:1.5s MaxIdleClosed:0}",
        {"max_size": 10, "size": 9, "checked_out": 8, "idle": 1},
        "OpenConnections",
        r"OpenConnections\W{1,4}\d.*InUse\W{1,4}\d",
        {
            "max_size": _named("MaxOpenConnections"),
            "size": _named("OpenConnections"),
            "checked_out": _named("InUse"),
            "idle": _named("Idle"),
        },
    ),
    Numbers(
        "{ size: 15, connections: 14, busy: 12, dead: 0, idle: 2, waiting: 3, checkout_timeout: 5.0 }",
        {"max_size": 15, "size": 14, "checked_out": 12, "idle": 2, "waiting": 3},
        "checkout_timeout",
        r"busy\W{1,6}\d.*checkout_timeout",
        {
            "max_size": _named("size"),
            "size": _named("connections"),
            "checked_out": _named("busy"),
            "idle": _named("idle"),
            "waiting": _named("waiting"),
        },
    ),
    Numbers(
        "The connection pool has been exhausted, either raise 'Max Pool Size' (currently 20) or 'Timeout' (currently 15"
        " seconds)",
        {"max_size": 20},
        "The connection pool has been exhausted, either raise",
        r"Max Pool Size\S{1,6} \(currently \d+\)",
        {"max_size": r"Max Pool Size\S{1,6} \(currently (\d+)\)"},
    ),
    Numbers(
        "The connection pool has been exhausted, either raise MaxPoolSize (currently 100) or Timeout (currently 15 seconds)",
        {"max_size": 100},
        "The connection pool has been exhausted, either raise",
        r"MaxPoolSize \(currently \d+\)",
        {"max_size": r"MaxPoolSize \(currently (\d+)\)"},
    ),
    Numbers(
        "(More info: http://pris.ly/d/connection-pool, Current connection limit: 9)",
        {"max_size": 9},
        "Current connection limit: ",
        r"Current connection limit: \d+",
        {"max_size": r"Current connection limit: (\d+)"},
    ),
    Numbers(
        "(Current connection pool timeout: 10, connection limit: 5)",
        {"max_size": 5},
        "Current connection pool timeout",
        r"connection pool timeout: [\d.]+, connection limit: \d+",
        {"max_size": r"connection limit: (\d+)"},
    ),
)
