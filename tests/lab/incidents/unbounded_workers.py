"""Functions without a bound: each invocation is a worker, opens one session, works, closes it."""

from __future__ import annotations

import time

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "unbounded_workers"
SAYS = (
    "A serverless function opens one session an invocation, without a pool; a burst of uploads multiplies the "
    "invocations, nothing bounds them, the server fills up."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A little under two minutes."""
    stage.role("functions")
    start_neighbours(stage)
    stage.start(Service("thumbnailer", "invocations", "functions", rate=2.0, duration_ms=1800, sigma=0.3, threads=300))
    stage.settle(8)
    stage.begin()
    stage.until(30)
    stage.onset = time.time()
    stage.onset_means = "the burst of invocations began"
    stage.event("traffic", "thumbnailer", "a customer uploads an archive of pictures")
    for second, rate in ((30, 2.5), (36, 5), (42, 8), (48, 12), (54, 16)):
        stage.until(second)
        stage.turn("thumbnailer", rate=rate)
    stage.until(85)
    stage.event("traffic", "thumbnailer", "the archive is through")
    stage.turn("thumbnailer", rate=1)
    stage.until(110)
    stage.culprit = {"kind": "service", "name": "thumbnailer"}
