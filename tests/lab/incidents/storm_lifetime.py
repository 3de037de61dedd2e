"""All sessions were opened together and reach their maximum lifetime together: they are renewed at once."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
VERSION = 14
EVERY_S = 1.0
SAYS = (
    "The workers' sessions were all opened at the last deploy and have one maximum lifetime without jitter; they are "
    "renewed at the same moment, the log-ins slow each other down, dropped attempts still occupy slots, refusals feed "
    "on themselves."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    start_neighbours(stage)
    gateway = Service(
        "device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60, lifetime_s=30, stagger_s=0.02
    )
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.turn("device-gateway", contend_s=0.15)
    stage.until(58)
    stage.bring_back("device-gateway", settle_s=6, every_s=4, contend_s=0.01)
    stage.until(85)
    stage.onset = stage.first("failed", "device-gateway")
    stage.onset_means = "the first of the renewed sessions was not served in time"
    stage.culprit = {"kind": "service", "name": "device-gateway"}
