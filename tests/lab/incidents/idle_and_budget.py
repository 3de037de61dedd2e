"""Two causes at once: transactions left open hold rows, and a service is scaled out beyond the server."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "budget_overcommit"
ALSO = ("idle_in_transaction",)
SAYS = (
    "A service is scaled out until the pools together exceed the server's slots; meanwhile another leaves a few "
    "transactions open. The holders are few and take few slots: without them the server would have been full all the "
    "same."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and three quarters."""
    stage.role("catalog", "payments")
    start_neighbours(stage)
    stage.start(
        Service("catalog", "psycopg_pool", "catalog", size=5, min_size=5, rate=12.0, duration_ms=90), instances=3
    )
    stage.start(Service("payments", user="payments", size=4, rate=1.5, duration_ms=50), instances=1)
    stage.settle(8)
    stage.begin()
    stage.until(15)
    stage.event("outside", "payments", "the payment provider answers slowly from now on")
    stage.turn("payments", think=0.1, think_s=12)
    stage.until(22)
    stage.scale("catalog", 10, every_s=4)
    stage.until(80)
    stage.scale("catalog", 4)
    stage.event("outside", "payments", "the payment provider answers again")
    stage.turn("payments", think=0)
    stage.until(105)
    stage.onset = stage.event_at("scale")
    stage.onset_means = "the first of the further instances was started"
    stage.culprit = {"kind": "service", "name": "catalog"}
