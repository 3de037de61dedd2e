"""A batch job's long UPDATE keeps rows that everybody wants; sessions queue behind one that works."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "lock_pileup"
VERSION = 13
SAYS = (
    "A batch job changes the hot rows of a table in one long statement, and every other change of these rows waits "
    "for it; pools open to their maximum and the server fills up with sessions that wait for one another."
)
SERVER = {"max_connections": 50, "deadlock_timeout": "500ms"}
LOCK = "UPDATE orders SET total = total WHERE id % 4 = 0"


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("batchjob")
    start_neighbours(stage)
    stage.start(Service("checkout", size=5, overflow=9, rate=5.0, duration_ms=50, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    change = "UPDATE orders SET total = 0 FROM (SELECT pg_sleep(45)) AS computed WHERE id % 4 = 0"
    stage.start(Service("repricing", "script", "batchjob", statements=("BEGIN", LOCK, change, "COMMIT")))
    stage.until(95)
    stage.onset = stage.first("statement", "repricing")
    stage.onset_means = "the batch job began"
    stage.culprit = {"kind": "service", "name": "repricing"}
