"""PgBouncer refuses clients at max_client_conn while the server behind it is nearly idle."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "pooler_misconfigured"
SAYS = (
    "A service is scaled out, and its pools ask for more connections to PgBouncer than max_client_conn allows; the "
    "pooler turns clients away although it needs a handful of sessions at a server that is nearly idle."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(default_pool_size=10, max_client_conn=40, query_wait_timeout=10)
    start_neighbours(stage, behind_pooler=True)
    stage.start(Service("catalog", size=6, rate=16.0, duration_ms=80, behind_pooler=True), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.scale("catalog", 9, every_s=4)
    stage.until(70)
    stage.scale("catalog", 3)
    stage.until(85)
    stage.onset = stage.event_at("scale")
    stage.onset_means = "the first of the further instances was started"
    stage.culprit = {"kind": "pooler", "name": "pgbouncer", "also": ["max_client_conn", "catalog"]}
