"""After a restart of the server all workers come back at once, without jitter, and keep each other out.

A session's first query fills caches and takes the longer the more sessions do so at once. A worker that waits longer
than its patience drops the attempt and makes another, while the server still works for the dropped one: sessions
multiply although there are no more workers than before.
"""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_storm"
SAYS = (
    "The server is restarted; 24 workers reconnect at once and again every third of a second without jitter, each "
    "dropped attempt still occupies a slot, refusals feed on themselves until the workers are brought back one by one."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """Two minutes."""
    stage.role("gateway")
    start_neighbours(stage)
    stage.start(
        Service("device-gateway", "held", "gateway", size=8, rate=1.0, duration_ms=60), instances=3, warm_s=0.02
    )
    stage.settle(8)
    stage.begin()
    stage.until(30)
    stage.turn("device-gateway", warm_s=0.09)
    stage.restart_server("failover drill", pause_s=1.0)
    stage.until(85)
    stage.bring_back("device-gateway", settle_s=8, every_s=5, warm_s=0.02)
    stage.until(130)
    stage.onset = stage.event_at("server_ready")
    stage.onset_means = "the server took connections again and all workers came at once"
    stage.culprit = {"kind": "service", "name": "device-gateway", "also": ["server"]}
