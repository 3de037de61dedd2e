"""On MySQL: a plan changes and one service's query takes sixty times as long; arrivals stay what they were."""

from __future__ import annotations

import time

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "slow_query_storm"
ENGINE = "mysql"
SAYS = (
    "One service's query becomes slow by and by while as many requests arrive as before; more of them run at once, "
    "its pools open to their maximum, the server fills up with working sessions."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("search", size=6, overflow=11, rate=5.0, duration_ms=60, sigma=0.5, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.onset = time.time()
    stage.onset_means = "the query's plan changed: from here it takes eight times as long, soon sixty"
    stage.turn("search", slow=8)
    stage.until(30)
    stage.turn("search", slow=25)
    stage.until(42)
    stage.turn("search", slow=70)
    stage.until(75)
    stage.event("fix", "search", "statistics renewed, the old plan is back")
    stage.turn("search", slow=1)
    stage.until(100)
    stage.culprit = {"kind": "service", "name": "search"}
