"""On MariaDB: sessions that sleep inside an open transaction, waiting for a payment provider."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "idle_in_transaction"
ENGINE = "mariadb"
SAYS = (
    "One service changes a row and then waits for a slow payment provider inside the open transaction; its sessions "
    "sleep with a row in innodb_trx, others wait for their rows, the server fills up."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """Two minutes."""
    start_neighbours(stage)
    stage.start(Service("payments", size=6, overflow=8, rate=3.0, duration_ms=50, threads=24), instances=4)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("outside", "payments", "the payment provider answers slowly from now on")
    stage.turn("payments", think=0.15, think_s=25)
    stage.until(80)
    stage.event("outside", "payments", "the payment provider answers again")
    stage.turn("payments", think=0)
    stage.until(120)
    stage.onset = stage.first("hold", "payments")
    stage.onset_means = "the first transaction that was left open while its client waited"
    stage.culprit = {"kind": "service", "name": "payments"}
