"""A leak in a Java service: HikariCP's pool of ten runs dry and names the place, while the server is half empty."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
VERSION = 16
HAVE_LOGS = ("orders",)
HAS_MARKS = True
SAYS = (
    "A Java service never returns some connections; its HikariCP pool of ten is all lent out, its callers time out, "
    "and the pool prints the stack that took each; the server has slots enough."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """Two minutes."""
    stage.role("orders")
    start_neighbours(stage)
    stage.start(Service("orders", "hikari", "orders", size=10, rate=6.0, duration_ms=60), instances=2)
    stage.settle(10)
    stage.begin()
    stage.until(20)
    stage.event("deploy", "orders", "version 3.1 with the new voucher code")
    stage.turn("orders", leak=8)
    stage.until(90)
    stage.event("deploy", "orders", "back to version 3.0")
    stage.turn("orders", leak=0)
    stage.restart("orders", "the instances are replaced")
    stage.until(110)
    stage.onset = stage.first("leak", "orders")
    stage.onset_means = "the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "orders"}
