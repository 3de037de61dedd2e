"""No incident: sessions grow as traffic does, minute by minute, and there is room for all."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 16
SAYS = (
    "Traffic grows steadily to five times what it was, and the pools open with it; every session works for its "
    "living, a fifth of the slots stays free, nobody is refused: growth is no leak."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=4, overflow=6, rate=3.0, duration_ms=150, threads=24), instances=4)
    stage.settle(8)
    stage.begin()
    for step in range(16):
        stage.until(10 + 5 * step)
        stage.turn("checkout", rate=1 + 0.28 * step)
        stage.turn("storefront", rate=1 + 0.1 * step)
    stage.until(95)
