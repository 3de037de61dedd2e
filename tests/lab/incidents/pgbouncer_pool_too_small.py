"""PgBouncer's pool is too small for the day's peak: clients wait at it while the server is half empty."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "pooler_misconfigured"
SAYS = (
    "PgBouncer may open three sessions a pool; at the day's peak the shop needs eight at once, its clients queue at "
    "the pooler and give up, while most of the server's slots are free."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(default_pool_size=3, max_client_conn=200, query_wait_timeout=2)
    start_neighbours(stage, behind_pooler=True)
    stage.start(
        Service("checkout", size=6, overflow=6, rate=4.0, duration_ms=120, threads=24, behind_pooler=True), instances=3
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "checkout", "the day's peak begins")
    stage.turn("checkout", rate=5)
    stage.until(70)
    stage.event("traffic", "checkout", "the day's peak is over")
    stage.turn("checkout", rate=1)
    stage.until(90)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "the demand rose above what three sessions can serve"
    stage.culprit = {"kind": "pooler", "name": "pgbouncer", "also": ["default_pool_size", "shop", "checkout"]}
