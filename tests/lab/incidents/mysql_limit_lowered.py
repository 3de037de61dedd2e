"""MySQL lowers max_connections at its start for want of file descriptors; at the day's peak that is too few."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "limit_too_low"
ENGINE = "mysql"
HAS_LOG_FROM_START = True
SAYS = (
    "150 connections are configured, but the service manager allows few open files, and the server starts with 30; at "
    "the day's peak all sessions are busy with work of ordinary length and the rest is refused."
)
SERVER = {"max_connections": 150}
FILES = 840
"""Of these the server keeps 810 for tables and itself; one each is left for connections."""


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    start_neighbours(stage)
    stage.start(Service("reports", size=4, overflow=4, rate=3.0, duration_ms=400, sigma=0.4, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "reports", "the day's peak begins")
    stage.turn("reports", rate=4.5)
    stage.turn("storefront", rate=2)
    stage.until(60)
    stage.event("traffic", "reports", "the day's peak is over")
    stage.turn("reports", rate=1)
    stage.turn("storefront", rate=1)
    stage.until(80)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose to what it is every day"
    stage.culprit = {"kind": "server", "name": "max_connections", "also": ["server", "reports"]}
