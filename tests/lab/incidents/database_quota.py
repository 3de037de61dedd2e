"""A database's own limit is below an honest need; the server is half empty."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "limit_too_low"
VERSION = 17
SAYS = (
    "The database may have 16 sessions; at the day's peak its services are all busy with ordinary work and the "
    "seventeenth is refused, while the server has room."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    start_neighbours(stage)
    stage.start(Service("reports", size=4, overflow=4, rate=2.5, duration_ms=400, sigma=0.4), instances=2)
    stage.settle(6)
    stage.server.run("ALTER DATABASE shop CONNECTION LIMIT 16")
    stage.settle(2)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "reports", "the day's peak begins")
    stage.turn("reports", rate=4)
    stage.until(60)
    stage.event("traffic", "reports", "the day's peak is over")
    stage.turn("reports", rate=1)
    stage.until(75)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose"
    stage.culprit = {"kind": "database", "name": "shop", "also": ["reports"]}
