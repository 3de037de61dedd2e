"""A leak behind PgBouncer in session mode: each connection kept pins a session, and the pool is gone."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
SAYS = (
    "PgBouncer lends a session for as long as its client stays; one service keeps connections and never returns them, "
    "the pool of its user is used up, and all who share it wait at the pooler while the server has room."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """Two minutes."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(pool_mode="session", default_pool_size=28, max_client_conn=300, query_wait_timeout=5)
    start_neighbours(stage, behind_pooler=True)
    stage.start(
        Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0, behind_pooler=True), instances=3
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=18)
    stage.until(105)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(125)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
