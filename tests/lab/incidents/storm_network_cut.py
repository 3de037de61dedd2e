"""The network is cut for some seconds; all workers come back at once, without jitter, and keep each other out."""

from __future__ import annotations

import time

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
VERSION = 16
EVERY_S = 1.0
SAYS = (
    "A switch is replaced and all connections break; 24 workers reconnect at once and again every third of a second "
    "without jitter, each dropped attempt still occupies a slot, refusals feed on themselves."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("gateway")
    stage.open_network()
    start_neighbours(stage)
    gateway = Service("device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60)
    stage.start(gateway, instances=3, contend_s=0.01)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.cut_network("a switch is replaced: all connections are cut")
    stage.settle(4)
    restored = time.time()
    stage.network.restore()
    stage.until(58)
    stage.bring_back("device-gateway", settle_s=6, every_s=4, contend_s=0.01)
    stage.until(85)
    stage.onset = restored
    stage.onset_means = "the network was back and all workers came at once"
    stage.culprit = {"kind": "service", "name": "device-gateway"}
