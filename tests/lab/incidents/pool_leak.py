"""A service keeps one connection in some thirty requests; restarted, it does so again; then the server is full.

Since its connections are committed and idle, the server sees idle sessions and the pool sees busy ones. Everybody else
behaves: two services with pools, one without, a cron job, a monitoring agent, a load balancer's probe.
"""

from __future__ import annotations

from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "connection_leak"
SAYS = (
    "One service checks connections out and never returns a small share of them; a restart resets the ramp, it grows "
    "again with the same slope, the server fills up and the others are refused until the flag is turned off."
)
FILM = "copy"
SERVER = {"max_connections": 60}

LEAK_EVERY = 27
"""One request in so many keeps its connection: at 3 x 2.5 requests a second about 17 a minute."""


def play(stage: Stage) -> None:
    """Five minutes."""
    stage.role("shop", "billing", "mailer", "batch")
    stage.start(Service("storefront", size=4, overflow=4, rate=7.0, duration_ms=45), instances=2)
    stage.start(
        Service("billing", "psycopg_pool", "billing", size=6, min_size=2, max_idle_s=25, rate=5.0, duration_ms=70),
        instances=2,
    )
    stage.start(Service("checkout", size=3, overflow=30, rate=2.5, duration_ms=60, sigma=1.0), instances=3)
    stage.start(Service("mailer", "session", "mailer", rate=1.0, duration_ms=120))
    stage.start(Service("invoice-cron", "session", "batch", rate=1 / 15, is_steady=True, duration_ms=400))
    stage.start(
        Service("pgwatch", "session", "monitor", rate=1 / 8, is_steady=True, duration_ms=15, is_monitoring=True)
    )
    stage.start(Service("lb-probe", "probe", rate=1 / 5, is_steady=True))
    stage.settle(8)
    stage.begin()
    stage.until(42)
    stage.event("feature_flag", "checkout", "new voucher code path enabled")
    stage.turn("checkout", leak=LEAK_EVERY)
    stage.until(130)
    stage.restart("checkout", "restarted by the engineer on call because memory and connections grow")
    stage.until(295)
    stage.event("feature_flag", "checkout", "new voucher code path disabled")
    stage.turn("checkout", leak=0)
    stage.restart("checkout", "restarted to free its connections")
    stage.until(325)
    stage.onset = stage.first("leak", "checkout")
    stage.onset_means = "the checkout of the first connection that was never returned"
    stage.culprit = {"kind": "service", "name": "checkout"}
