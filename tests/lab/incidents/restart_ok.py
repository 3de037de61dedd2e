"""No incident: the server is restarted on purpose, sessions end, the pools come back and all is well."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
SAYS = (
    "The server is restarted in a maintenance window; every session ends at once, for two seconds nobody gets in, then "
    "the pools come back and there is room for all."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A little over a minute."""
    start_neighbours(stage)
    stage.start(Service("checkout", size=4, overflow=2, rate=5.0, duration_ms=60), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(30)
    stage.restart_server("minor update in the maintenance window", pause_s=1.5)
    stage.until(75)
