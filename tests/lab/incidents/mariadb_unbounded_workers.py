"""On MariaDB: functions without a bound, each invocation a worker with a session of its own."""

from __future__ import annotations

import time

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "unbounded_workers"
ENGINE = "mariadb"
SAYS = (
    "A serverless function opens one session an invocation, without a pool; a burst of uploads multiplies the "
    "invocations, nothing bounds them, the server fills up."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    stage.start(Service("thumbnailer", "invocations", rate=2.0, duration_ms=1800, sigma=0.3, threads=300))
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.onset = time.time()
    stage.onset_means = "the burst of invocations began"
    stage.event("traffic", "thumbnailer", "a customer uploads an archive of pictures")
    for second, rate in ((20, 2.5), (26, 5), (32, 8), (38, 12), (44, 16)):
        stage.until(second)
        stage.turn("thumbnailer", rate=rate)
    stage.until(65)
    stage.event("traffic", "thumbnailer", "the archive is through")
    stage.turn("thumbnailer", rate=1)
    stage.until(85)
    stage.culprit = {"kind": "service", "name": "thumbnailer"}
