"""No incident: the network is cut for some seconds; the workers come back with back-off and jitter."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 16
SAYS = (
    "A switch is replaced and all connections break; 24 workers ask again after pauses that grow and differ, all are "
    "back within half a minute, nobody is refused."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    stage.open_network()
    start_neighbours(stage)
    gateway = Service("device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60, retry_s=8, retry_most_s=16)
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.cut_network("a switch is replaced: all connections are cut")
    stage.settle(4)
    stage.network.restore()
    stage.until(75)
