"""What is on the server in most incidents besides the service in question, and behaves."""

from __future__ import annotations

from tests.lab.service import Service
from tests.lab.stage import Stage


def start_neighbours(stage: Stage) -> None:
    """A shop with a pool, billing with another kind of pool, a cron job, a monitoring agent, a load balancer's probe."""
    stage.role("shop", "billing", "batch")
    stage.start(Service("storefront", size=4, overflow=4, rate=6.0, duration_ms=45), instances=2)
    stage.start(
        Service("billing", "psycopg_pool", "billing", size=5, min_size=2, max_idle_s=25, rate=4.0, duration_ms=70)
    )
    stage.start(Service("invoice-cron", "session", "batch", rate=1 / 15, is_steady=True, duration_ms=400))
    stage.start(
        Service("pgwatch", "session", "monitor", rate=1 / 8, is_steady=True, duration_ms=15, is_monitoring=True)
    )
    stage.start(Service("lb-probe", "probe", rate=1 / 5, is_steady=True))
