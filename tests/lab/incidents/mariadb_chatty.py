"""No incident on MariaDB: many short transactions that pause between their statements; none is held."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
ENGINE = "mariadb"
SAYS = (
    "An object mapper fetches row by row inside one transaction, so at any moment many sleeping sessions have a row "
    "in innodb_trx; each has it for a fraction of a second only, nobody waits and slots stay free."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    start_neighbours(stage)
    stage.start(Service("catalog", size=8, rate=7.0, duration_ms=12, talks=12, talk_pause_ms=25), instances=4)
    stage.settle(8)
    stage.begin()
    stage.until(25)
    stage.turn("catalog", rate=1.4)
    stage.until(50)
    stage.turn("catalog", rate=1.0)
    stage.until(70)
