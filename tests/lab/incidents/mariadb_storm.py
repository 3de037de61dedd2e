"""MariaDB is restarted, and all workers come back at once, without jitter, and keep each other out."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
ENGINE = "mariadb"
EVERY_S = 1.0
SAYS = (
    "The server is restarted with cold caches; 24 workers reconnect at once and again every third of a second without "
    "jitter, dropped attempts still occupy slots, refusals feed on themselves until the workers are brought back one "
    "by one."
)
SERVER = {"max_connections": 40}


def play(stage: Stage, mitigated_s: float = 60) -> None:
    """A minute and a half; the workers are stopped after so many seconds."""
    start_neighbours(stage)
    stage.start(Service("device-gateway", "held", size=8, rate=1.0, duration_ms=60), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("device-gateway", contend_s=0.15)
    stage.restart_server("failover drill", pause_s=1.0)
    stage.until(mitigated_s)
    stage.bring_back("device-gateway", settle_s=6, every_s=4, contend_s=0.01)
    stage.until(95)
    stage.onset = stage.event_at("server_ready")
    stage.onset_means = "the server took connections again and all workers came at once"
    stage.culprit = {"kind": "service", "name": "device-gateway", "also": ["server"]}
