"""Behind PgBouncer: transactions left open keep the pool's sessions, and everybody waits at the pooler."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "idle_in_transaction"
VERSION = 16
SAYS = (
    "One service waits for a slow payment provider inside its open transactions; each keeps a session of PgBouncer's "
    "pool although it does nothing, and all who share the pool wait at the pooler while the server has room."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and three quarters."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(default_pool_size=15, max_client_conn=200, query_wait_timeout=5)
    start_neighbours(stage, behind_pooler=True)
    stage.start(
        Service("payments", size=6, overflow=8, rate=3.0, duration_ms=50, threads=24, behind_pooler=True), instances=3
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("outside", "payments", "the payment provider answers slowly from now on")
    stage.turn("payments", think=0.2, think_s=20)
    stage.until(70)
    stage.event("outside", "payments", "the payment provider answers again")
    stage.turn("payments", think=0)
    stage.until(105)
    stage.onset = stage.first("hold", "payments")
    stage.onset_means = "the first transaction that was left open while its client waited"
    stage.culprit = {"kind": "service", "name": "payments"}
