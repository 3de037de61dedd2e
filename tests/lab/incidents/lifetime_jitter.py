"""No incident: sessions reach a maximum lifetime that differs, and are renewed one by one."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 14
SAYS = (
    "The workers' sessions have a maximum lifetime with a jitter of a half; they are renewed one after the other, a "
    "few a second at most, and nobody is refused."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    start_neighbours(stage)
    gateway = Service(
        "device-gateway",
        "held",
        "gateway",
        size=8,
        rate=1.0,
        duration_ms=60,
        lifetime_s=30,
        lifetime_jitter=0.5,
        stagger_s=1.0,
        retry_s=8,
        retry_most_s=16,
    )
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.turn("device-gateway", contend_s=0.15)
    stage.until(80)
