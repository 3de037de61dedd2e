"""A migration's ALTER TABLE waits for a long report, and everybody else waits behind the migration."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "lock_pileup"
SAYS = (
    "An analyst's long SELECT runs, a migration's ALTER TABLE waits for it, and every other statement on that table "
    "queues behind the ALTER; pools open to their maximum, the server fills up with sessions that wait for one lock."
)
FILM = "copy"
SERVER = {"max_connections": 60, "deadlock_timeout": "500ms"}
WITH_BLOCKERS = True


def play(stage: Stage) -> None:
    """A little under two minutes."""
    stage.role("analyst", "migrator")
    stage.server.run("ALTER TABLE orders OWNER TO migrator", dbname="shop")
    start_neighbours(stage)
    stage.start(Service("checkout", size=4, overflow=10, rate=5.0, duration_ms=50, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(25)
    report = "SELECT customer, sum(total) FROM orders, pg_sleep(60) GROUP BY customer"
    stage.start(Service("quarterly-report", "script", "analyst", statements=(report,)))
    stage.until(35)
    stage.event("deploy", "migrate", "schema migration of the release")
    change = "ALTER TABLE orders ADD COLUMN note text"
    stage.start(Service("migrate", "script", "migrator", statements=(change,)))
    stage.until(110)
    stage.onset = stage.first("statement", "migrate")
    stage.onset_means = "the migration asked for its lock"
    stage.culprit = {"kind": "service", "name": "migrate", "also": ["quarterly-report"]}
