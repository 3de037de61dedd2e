"""A leak on MySQL 5.6, seen by the server and in the service's own log."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
ENGINE = "mysql"
HAVE_LOGS = ("checkout", "mailer")
SAYS = (
    "One service keeps one connection in sixteen requests; its sessions sleep, the server's slots run out, the others "
    "are refused, and only their own logs and the server's counters know how often."
)
SERVER = {"max_connections": 45}


def play(stage: Stage) -> None:
    """Two minutes."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0), instances=3)
    stage.start(Service("mailer", "session", rate=1.0, duration_ms=120))
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=16)
    stage.until(105)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(120)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
