"""Autoscaling: every instance brings a pool of five, each well behaved, and together they exceed the server."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "budget_overcommit"
SAYS = (
    "A service is scaled out from 3 to 13 instances, each with a modest, fixed pool; every pool behaves, but their sum "
    "exceeds the server's slots, and new instances cannot fill their pools."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """Two minutes."""
    stage.role("catalog")
    start_neighbours(stage)
    stage.start(
        Service("catalog", "psycopg_pool", "catalog", size=5, min_size=5, rate=12.0, duration_ms=90), instances=3
    )
    stage.settle(8)
    stage.begin()
    stage.until(25)
    stage.scale("catalog", 13, every_s=4)
    stage.until(95)
    stage.scale("catalog", 6)
    stage.until(125)
    stage.onset = stage.event_at("scale")
    stage.onset_means = "the first of the further instances was started"
    stage.culprit = {"kind": "service", "name": "catalog"}
