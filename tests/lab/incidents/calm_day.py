"""No incident: a rolling deploy, then an honest peak of the day at about 70 % of the usable slots, then evening."""

from __future__ import annotations

from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
SAYS = (
    "A service is deployed instance by instance, then the day's peak comes and it is scaled out and in again; about "
    "70 % of the usable slots are in use at most and nobody is refused."
)
FILM = "copy"
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """Three and a half minutes."""
    stage.role("shop", "billing", "batch")
    stage.start(Service("storefront", size=4, overflow=0, rate=14.0, duration_ms=45), instances=3)
    stage.start(
        Service("api", "psycopg_pool", "shop", size=5, min_size=2, max_idle_s=25, rate=6.0, duration_ms=70), instances=2
    )
    stage.start(Service("billing", "psycopg_pool", "billing", size=3, min_size=1, rate=3.0, duration_ms=80))
    stage.start(Service("invoice-cron", "session", "batch", rate=1 / 15, is_steady=True, duration_ms=400))
    stage.start(
        Service("pgwatch", "session", "monitor", rate=1 / 8, is_steady=True, duration_ms=15, is_monitoring=True)
    )
    stage.start(Service("lb-probe", "probe", rate=1 / 5, is_steady=True))
    stage.settle(8)
    stage.begin()
    stage.until(25)
    stage.deploy("storefront", "new version, one instance after the other", every_s=6)
    stage.until(75)
    stage.event("traffic", "storefront", "the day's peak begins")
    stage.turn("api", rate=2.5)
    stage.turn("storefront", rate=1.3)
    stage.scale("storefront", 6, every_s=5)
    stage.until(140)
    stage.event("traffic", "storefront", "the day's peak ends")
    stage.turn("api", rate=1.0)
    stage.turn("storefront", rate=0.7)
    stage.scale("storefront", 3, every_s=5)
    stage.until(205)
