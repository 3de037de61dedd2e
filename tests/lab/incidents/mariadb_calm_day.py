"""No incident on MariaDB: a rolling deploy, then an honest peak of the day at about 70 % of the slots."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
ENGINE = "mariadb"
HAS_MARKS = True
SAYS = (
    "A service is deployed instance by instance, then the day's peak comes and it is scaled out and in again; a good "
    "part of the slots stays free and nobody is refused."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A little under two minutes."""
    start_neighbours(stage)
    stage.start(Service("api", size=4, overflow=1, rate=6.0, duration_ms=70), instances=3)
    stage.settle(8)
    stage.begin()
    stage.until(15)
    stage.deploy("api", "new version, one instance after the other", every_s=5)
    stage.until(45)
    stage.event("traffic", "api", "the day's peak begins")
    stage.turn("api", rate=2.5)
    stage.turn("storefront", rate=1.5)
    stage.scale("api", 5, every_s=4)
    stage.until(85)
    stage.event("traffic", "api", "the day's peak ends")
    stage.turn("api", rate=1.0)
    stage.turn("storefront", rate=0.7)
    stage.scale("api", 3, every_s=4)
    stage.until(110)
