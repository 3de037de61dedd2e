"""Clients wait at PgBouncer, but only because one query behind it has become slow."""

from __future__ import annotations

import time

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "slow_query_storm"
HAVE_LOGS = ("search", "storefront")
SAYS = (
    "A plan changes and one service's query takes forty times as long; its sessions fill the pool at PgBouncer, "
    "everybody else waits there while the server has room: the pool was large enough until then."
)
SERVER = {"max_connections": 60, "log_min_duration_statement": "1s"}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("shop", "billing", "batch")
    stage.open_pooler(default_pool_size=15, max_client_conn=200, query_wait_timeout=5)
    start_neighbours(stage, behind_pooler=True)
    stage.start(
        Service("search", size=6, overflow=6, rate=5.0, duration_ms=60, sigma=0.5, threads=24, behind_pooler=True),
        instances=3,
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.onset = time.time()
    stage.onset_means = "the query's plan changed: from here it takes eight times as long, soon forty"
    stage.turn("search", slow=8)
    stage.until(28)
    stage.turn("search", slow=40)
    stage.until(65)
    stage.event("fix", "search", "statistics renewed, the old plan is back")
    stage.turn("search", slow=1)
    stage.until(90)
    stage.culprit = {"kind": "service", "name": "search"}
