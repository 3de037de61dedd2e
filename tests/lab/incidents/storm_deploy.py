"""A deploy replaces all instances at once, and each fills its pool eagerly at its start."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
VERSION = 18
EVERY_S = 1.0
HAS_MARKS = True
SAYS = (
    "All instances of a service are replaced at once and each opens its whole pool at its start; the log-ins slow "
    "each other down, impatient clients drop them and try again without jitter, dropped attempts still occupy slots, "
    "refusals feed on themselves."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    start_neighbours(stage)
    gateway = Service("device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60, stagger_s=0.0)
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.event("deploy", "device-gateway", "version 2.4.0, all instances at once")
    stage.restart("device-gateway", "all instances are replaced")
    stage.until(58)
    stage.bring_back("device-gateway", settle_s=6, every_s=4, contend_s=0.01)
    stage.until(85)
    stage.onset = stage.event_at("deploy")
    stage.onset_means = "the new instances opened their pools, all at once"
    stage.culprit = {"kind": "service", "name": "device-gateway"}
