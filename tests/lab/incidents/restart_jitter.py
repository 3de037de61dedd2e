"""No incident: the server is restarted, and the workers come back with back-off and jitter."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 15
SAYS = (
    "The server is restarted with cold caches; 24 workers have lost their sessions and ask again after pauses that "
    "grow and differ; all are back within half a minute and nobody is refused for want of a slot."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    stage.role("gateway")
    start_neighbours(stage)
    stage.start(
        Service("device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60, retry_s=8, retry_most_s=16),
        instances=3,
        contend_s=0.01,
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.restart_server("failover drill", pause_s=1.0)
    stage.until(75)
