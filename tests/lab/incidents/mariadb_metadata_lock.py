"""On MariaDB: an ALTER TABLE waits for a long report's metadata lock, and everybody else waits behind it."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "lock_pileup"
ENGINE = "mariadb"
SAYS = (
    "An analyst's long SELECT runs, a migration's ALTER TABLE waits for its metadata lock, and every other statement "
    "on that table queues behind the ALTER; pools open to their maximum and the server fills up."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=4, overflow=10, rate=5.0, duration_ms=50, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    report = (
        "SELECT o.customer, SUM(o.total) FROM orders AS o JOIN (SELECT SLEEP(50) AS slept) AS w GROUP BY o.customer"
    )
    stage.start(Service("analyst", "script", statements=(report,)))
    stage.until(28)
    stage.event("deploy", "migrate", "schema migration of the release")
    stage.start(Service("migrate", "script", statements=("ALTER TABLE orders ADD COLUMN note TEXT",)))
    stage.until(95)
    stage.onset = stage.first("statement", "migrate")
    stage.onset_means = "the migration asked for its lock"
    stage.culprit = {"kind": "service", "name": "migrate", "also": ["analyst"]}
