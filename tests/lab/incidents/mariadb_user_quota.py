"""On MariaDB: a user's own limit is below an honest need; the server is half empty."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "limit_too_low"
ENGINE = "mariadb"
SAYS = (
    "The month's end brings more reports; each takes as long as ever, all sessions of the user are busy, and its "
    "limit of 8 connections refuses the ninth while the server has room."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    stage.role("reports", options="WITH MAX_USER_CONNECTIONS 8")
    start_neighbours(stage)
    stage.start(Service("reports", size=2, overflow=5, rate=2.5, duration_ms=400, sigma=0.4), instances=2)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "reports", "the month's end begins")
    stage.turn("reports", rate=5)
    stage.until(60)
    stage.event("traffic", "reports", "the month's end is over")
    stage.turn("reports", rate=1)
    stage.until(75)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose"
    stage.culprit = {"kind": "role", "name": "reports"}
