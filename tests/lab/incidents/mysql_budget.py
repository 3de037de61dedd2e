"""On MySQL: every instance brings a pool of six, each well behaved, and together they exceed the server."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "budget_overcommit"
ENGINE = "mysql"
SAYS = (
    "A service is scaled out from 3 to 10 instances, each with a modest, fixed pool; every pool behaves, but their "
    "sum exceeds the server's slots, and new instances cannot fill their pools."
)
SERVER = {"max_connections": 45}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("catalog", size=6, rate=18.0, duration_ms=130, sigma=0.6), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.scale("catalog", 10, every_s=4)
    stage.until(75)
    stage.scale("catalog", 4)
    stage.until(95)
    stage.onset = stage.event_at("scale")
    stage.onset_means = "the first of the further instances was started"
    stage.culprit = {"kind": "service", "name": "catalog"}
