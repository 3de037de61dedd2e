"""Everybody queues for rows that one session holds, and that session does nothing: it is idle in transaction."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "idle_in_transaction"
VERSION = 15
HAVE_LOGS = ("checkout",)
SAYS = (
    "Somebody changes rows by hand and goes for a coffee before the commit; one session is idle in transaction, every "
    "change of these rows waits for it, pools open to their maximum and the server fills up."
)
SERVER = {"max_connections": 50, "deadlock_timeout": "500ms"}
LOCK = "UPDATE orders SET total = total WHERE id % 4 = 0"


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("admin_tool")
    start_neighbours(stage)
    stage.start(Service("checkout", size=5, overflow=9, rate=5.0, duration_ms=50, threads=24), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.start(Service("admin-tool", "script", "admin_tool", statements=("BEGIN", LOCK, 50.0, "ROLLBACK")))
    stage.until(95)
    stage.onset = stage.first("statement", "admin-tool")
    stage.onset_means = "the transaction that was left open began"
    stage.culprit = {"kind": "service", "name": "admin-tool"}
