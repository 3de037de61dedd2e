"""On MySQL: a deploy replaces all workers at once, and their log-ins keep each other out."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
ENGINE = "mysql"
EVERY_S = 1.0
HAS_MARKS = True
HAVE_LOGS = ("device-gateway",)
SAYS = (
    "All instances of a service are replaced at once and each opens its whole pool at its start; the log-ins slow "
    "each other down, impatient clients drop them and try again without jitter, dropped attempts still occupy slots, "
    "refusals feed on themselves."
)
SERVER = {"max_connections": 40}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(
        Service("device-gateway", "held", size=8, rate=1.0, duration_ms=60, stagger_s=0.0), instances=3, contend_s=0.01
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.event("deploy", "device-gateway", "version 2.4.0, all instances at once")
    stage.restart("device-gateway", "all instances are replaced")
    stage.until(55)
    stage.bring_back("device-gateway", settle_s=8, every_s=4, contend_s=0.01)
    stage.until(90)
    stage.onset = stage.event_at("deploy")
    stage.onset_means = "the new instances opened their pools, all at once"
    stage.culprit = {"kind": "service", "name": "device-gateway"}
