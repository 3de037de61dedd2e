"""Two causes at once: a leak fills the server, and strangers knock while nobody looks."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
ALSO = ("external_scan",)
VERSION = 12
SAYS = (
    "One service keeps connections and the server fills up; at the same time strangers guess passwords at the port. "
    "The leak takes the slots; the knocking takes none, and would have ended nothing."
)
SERVER = {"max_connections": 50}
HBA = (
    "local all all trust",
    "host all all 127.0.0.1/32 trust",
    "host all all 127.0.66.0/25 password",
)
SOURCES = ("127.0.66.7", "127.0.66.200")


def play(stage: Stage) -> None:
    """Two minutes."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=14)
    stage.until(40)
    stage.start(Service("stranger", "scan", rate=2.0, sources=SOURCES))
    stage.until(80)
    stage.stop("stranger")
    stage.until(110)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(120)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
