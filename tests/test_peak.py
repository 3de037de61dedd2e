"""Peak concurrency from the log alone, on real servers filled to the last slot, with refusals of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from connforensics.case import open_case
from connforensics.ingest import ingest
from tests.lab.postgres import Postgres, require

VERSIONS = (12, 14, 16, 18)

PREFIXES = (
    "%m [%p] ",
    "%t [%p] ",
    "%t ",
    "%m [%p] %q%u@%d ",
    "%m [%p-%l] %q%u@%d ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u, db=%d, app=%a, client=%h ",
    "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:",
    "%t-%c-",
    "%m [%p] db=%d ",
    "%m [%p]    ",
    "%m [%p] %x %v ",
    "%m [%p]:  [%l-1] %u %u@%h %a ",
    "%h [%p] %c %m %a %u@%d line:%l ",
    "%h %m [%p] %u@%d ",
    "%m [%p] %h %u@%d ",
    "time=%m pid=%p error=%e sess_id=%c %qtag=%i usr=%u db=%d app=%a ",
    "",
    "%m [%p][%v] : [%l-1] %q[app=%a] ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%t [%p]: [%l-1] user=%u,db=%d - PG-%e ",
    "%t [%p]: [%l-1] [trx_id=%x] user=%u,db=%d ",
    "[%p]: [%l-1] db=%d,user=%u ",
    "%m %r %u %a [%c] [%p] ",
    "pid=%p,user=%u,db=%d,app=%a,client=%h ",
    "user=%u,db=%d,app=%a,client=%h ",
    "%p-%s-%c-%l-%h-%u-%d-%m ",
    "%t [%p] %q%u@%d %h ",
    " sql_error_code = %e ",
    "%n %p ",
)


@dataclass
class Truth:
    """What the clients themselves saw."""

    peak: int = 0
    admitted: int = 0
    refused: dict[str, int] = field(default_factory=dict)


def fill(server: Postgres) -> Truth:
    """Fill a server to its last slot, be refused in every way it knows, leave, and come back with fewer."""
    truth = Truth()
    held: list[psycopg.Connection] = []

    def attempt(**parameters: object) -> None:
        try:
            held.append(server.connect(**parameters))
        except psycopg.OperationalError as error:
            said = str(error)
            kind = next(kind for text, kind in WORDS.items() if text in said)
            truth.refused[kind] = truth.refused.get(kind, 0) + 1
        else:
            truth.admitted += 1
            truth.peak = max(truth.peak, len(held))

    server.run(
        "CREATE ROLE app LOGIN", "CREATE ROLE small LOGIN CONNECTION LIMIT 1", "CREATE DATABASE tiny CONNECTION LIMIT 1"
    )
    truth.admitted += 1
    truth.peak = 1
    server.wait_for_log("disconnection: ", count=1)
    for _ in range(2):
        attempt(user="small", application_name="Little Report")
        attempt(user="app", dbname="tiny")
    while len(held) < server.usable:
        attempt(user="app", application_name="web app")
    for _ in range(3):
        attempt(user="app", application_name="web app")
    for _ in range(int(str(server.settings["max_connections"])) - len(held) + 2):
        attempt(user="postgres", application_name="psql")
    gone = len(held) // 2
    for connection in held[:gone]:
        connection.close()
    del held[:gone]
    server.wait_for_log("disconnection: ", count=1 + gone)
    attempt(user="app")
    for connection in held:
        connection.close()
    server.wait_for_log("disconnection: ", count=truth.admitted)
    return truth


WORDS = {
    "too many clients already": "refused_full",
    "slots are reserved": "refused_reserved",
    "too many connections for": "refused_quota",
}


def check(server: Postgres, truth: Truth, folder: Path) -> None:
    assert truth.peak == server.settings["max_connections"]
    assert set(truth.refused) == {"refused_full", "refused_reserved", "refused_quota"}
    case_path = folder / "case.duckdb"
    log = folder / "postgresql.log"
    log.write_bytes(server.log_path.read_bytes())
    ingest(case_path, [log])
    with open_case(case_path) as case:
        assert case.scalar("SELECT max(open_sessions) FROM session_count") == truth.peak
        assert dict(case.rows("SELECT kind, count(*) FROM refusal GROUP BY 1")) == truth.refused
        assert case.scalar("SELECT max(in_use) FROM occupancy") == truth.peak
        assert case.scalar("SELECT arg_max(open_sessions, line_no) FROM session_count") == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_peak_on_each_version(version: int, tmp_path: Path) -> None:
    more = {"reserved_connections": 2} if version >= 16 else {}
    log_connections = "all" if version >= 18 else "on"
    with Postgres(require(version), max_connections=14, log_connections=log_connections, **more) as server:
        check(server, fill(server), tmp_path)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_peak_whatever_the_prefix(prefix: str, tmp_path: Path) -> None:
    with Postgres(require(16), max_connections=12, reserved_connections=2, log_line_prefix=prefix) as server:
        check(server, fill(server), tmp_path)
