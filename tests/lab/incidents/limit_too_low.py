"""A role's own limit is below an honest need: its sessions are all busy with ordinary work, the server is half empty."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "limit_too_low"
SAYS = (
    "The month's end brings more reports; each takes as long as ever, all sessions of the role are busy, and its limit "
    "of 8 connections refuses the ninth while the server has room."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("reporting", options="CONNECTION LIMIT 8")
    start_neighbours(stage)
    stage.start(Service("reports", user="reporting", size=2, overflow=5, rate=2.5, duration_ms=400, sigma=0.4), 2)
    stage.settle(8)
    stage.begin()
    stage.until(25)
    stage.event("traffic", "reports", "the month's end begins")
    stage.turn("reports", rate=5)
    stage.until(75)
    stage.event("traffic", "reports", "the month's end is over")
    stage.turn("reports", rate=1)
    stage.until(95)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose"
    stage.culprit = {"kind": "role", "name": "reporting", "also": ["reports"]}
