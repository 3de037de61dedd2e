"""A service calls a payment provider inside its transaction; the provider becomes slow and transactions stay open."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "idle_in_transaction"
SAYS = (
    "One service changes a row and then waits for a slow payment provider inside the open transaction; its sessions sit "
    "idle in transaction, others wait for their rows, the server fills up."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A little over two minutes."""
    stage.role("payments")
    start_neighbours(stage)
    stage.start(
        Service("payments", user="payments", size=6, overflow=8, rate=4.0, duration_ms=50, threads=24), instances=4
    )
    stage.settle(8)
    stage.begin()
    stage.until(30)
    stage.event("outside", "payments", "the payment provider answers slowly from now on")
    stage.turn("payments", think=0.12, think_s=25)
    stage.until(105)
    stage.event("outside", "payments", "the payment provider answers again")
    stage.turn("payments", think=0)
    stage.until(150)
    stage.onset = stage.first("hold", "payments")
    stage.onset_means = "the first transaction that was left open while its client waited"
    stage.culprit = {"kind": "service", "name": "payments"}
