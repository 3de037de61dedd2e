"""No incident behind PgBouncer: a peak with more clients than sessions, as a pooler is for."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 17
SAYS = (
    "Three times the traffic, sixty clients at the pooler, a dozen sessions at the server; nobody waits longer than a "
    "moment and nobody is refused."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(default_pool_size=15, max_client_conn=200, query_wait_timeout=10)
    start_neighbours(stage, behind_pooler=True)
    stage.start(Service("catalog", size=6, rate=8.0, duration_ms=50, behind_pooler=True), instances=4)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("catalog", rate=2)
    stage.scale("catalog", 8, every_s=3)
    stage.until(55)
    stage.turn("catalog", rate=1)
    stage.scale("catalog", 4, every_s=2)
    stage.until(75)
