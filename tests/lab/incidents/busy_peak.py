"""The server's limit is below an honest need: at the day's peak every session works, for as long as ever."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "limit_too_low"
VERSION = 14
SAYS = (
    "The day's peak brings as many reports as every day's; each takes as long as ever, nearly all sessions work, and "
    "the server's 30 connections are too few although the machine is idle."
)
SERVER = {"max_connections": 33}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    stage.role("reporting")
    start_neighbours(stage)
    stage.start(
        Service("reports", user="reporting", size=6, overflow=2, rate=3.0, duration_ms=450, sigma=0.3, threads=24),
        instances=3,
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "reports", "the day's peak begins")
    stage.turn("reports", rate=5)
    stage.turn("storefront", rate=2)
    stage.until(60)
    stage.event("traffic", "reports", "the day's peak is over")
    stage.turn("reports", rate=1)
    stage.turn("storefront", rate=1)
    stage.until(80)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose to what it is every day"
    stage.culprit = {"kind": "server", "name": "max_connections", "also": ["server", "reports"]}
