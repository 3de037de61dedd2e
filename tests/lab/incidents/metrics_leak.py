"""A leak with Prometheus watching: what a dashboard shows of it, beside all else."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
VERSION = 15
HAS_METRICS = True
SAYS = (
    "One service keeps one connection in fourteen requests until the server is full and the others are refused; a "
    "Prometheus scrapes the server's exporter every five seconds meanwhile."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A little over two minutes."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0), instances=3)
    stage.settle(10)
    stage.begin()
    stage.until(25)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=14)
    stage.until(120)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(140)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
