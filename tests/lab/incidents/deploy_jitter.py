"""No incident: a rolling deploy, and each instance fills its pool one connection after the other."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 18
HAS_MARKS = True
SAYS = (
    "The instances of a service are replaced one after the other, and each opens its pool slowly; sessions come and "
    "go in good order and nobody is refused."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    start_neighbours(stage)
    gateway = Service(
        "device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60, stagger_s=0.6, retry_s=4, retry_most_s=16
    )
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.deploy("device-gateway", "version 2.4.0, one instance after the other", every_s=7)
    stage.until(75)
