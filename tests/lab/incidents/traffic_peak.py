"""No incident: traffic grows more than fourfold, pools open as they should, a good part of the slots stays free."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
SAYS = (
    "Traffic grows more than fourfold for a while; pools open towards their maximum and shrink again, about four fifths "
    "of the usable slots are in use at most, nobody is refused and nobody waits long."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=3, overflow=5, rate=6.0, duration_ms=110, threads=24), instances=4)
    stage.settle(8)
    stage.begin()
    for second, rate in ((20, 1.7), (30, 3.0), (40, 4.5), (60, 2.5), (70, 1.0)):
        stage.until(second)
        for name in ("storefront", "billing", "checkout"):
            stage.turn(name, rate=rate)
    stage.until(95)
