"""No incident with Prometheus watching: an honest peak of the day."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 15
HAS_METRICS = True
SAYS = (
    "Traffic grows for half a minute and falls again, pools open and stay; a third of the slots is free, nobody is "
    "refused; a Prometheus scrapes the server's exporter every five seconds."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=4, overflow=3, rate=5.0, duration_ms=90, threads=24), instances=4)
    stage.settle(10)
    stage.begin()
    stage.until(25)
    stage.turn("checkout", rate=2.5)
    stage.turn("storefront", rate=1.6)
    stage.until(60)
    stage.turn("checkout", rate=1)
    stage.turn("storefront", rate=1)
    stage.until(90)
