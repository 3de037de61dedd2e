"""A leak on MariaDB: sessions that sleep for ever, while the pool says that they are lent out."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
ENGINE = "mariadb"
SAYS = (
    "One service keeps one connection in fourteen requests; its sessions sleep, the server's slots run out, the others "
    "are refused until the service is restarted without the new code."
)
SERVER = {"max_connections": 50}

LEAK_EVERY = 14
"""One request in so many keeps its connection: at 3 x 2.5 requests a second about 32 a minute."""


def play(stage: Stage) -> None:
    """A little over two minutes."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0), instances=3)
    stage.start(Service("mailer", "session", "mailer", rate=1.0, duration_ms=120))
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=LEAK_EVERY)
    stage.until(115)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(130)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
