"""An autoscaler without a bound starts workers, each of which brings a session of its own and keeps it."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "unbounded_workers"
VERSION = 16
HAVE_LOGS = ("transcoder",)
SAYS = (
    "A queue grows and its autoscaler starts one worker after the other without a bound; each holds one session as "
    "long as it lives, and when the server is full the newest workers are refused again and again."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("worker")
    start_neighbours(stage)
    stage.start(
        Service("transcoder", "held", "worker", size=1, rate=0.7, duration_ms=500, retry_s=1.0, patience_s=5),
        instances=4,
    )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.scale("transcoder", 44, every_s=0.9)
    stage.until(75)
    stage.event("mitigation", "transcoder", "the autoscaler is given a bound")
    stage.scale("transcoder", 8)
    stage.until(95)
    stage.onset = stage.event_at("scale")
    stage.onset_means = "the autoscaler started the first of the further workers"
    stage.culprit = {"kind": "service", "name": "transcoder"}
