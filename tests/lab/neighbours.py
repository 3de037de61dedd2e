"""What is on the server in most incidents besides the service in question, and behaves."""

from __future__ import annotations

from tests.lab.service import Service
from tests.lab.stage import Stage


def start_neighbours(stage: Stage, *, behind_pooler: bool = False) -> None:
    """A shop with a pool, billing with another kind of pool, a cron job, a monitoring agent, a load balancer's probe.

    `behind_pooler`: those with a pool and the cron job enter by the pooler, which must be open for shop, billing, batch.
    """
    by = {"behind_pooler": behind_pooler}
    if stage.engine.recorded_as == "postgres" and not behind_pooler:
        stage.role("shop", "billing", "batch")
    stage.start(Service("storefront", size=4, overflow=4, rate=6.0, duration_ms=45, **by), instances=2)
    if stage.engine.recorded_as == "postgres":
        stage.start(
            Service(
                "billing", "psycopg_pool", "billing", size=5, min_size=2, max_idle_s=25, rate=4.0, duration_ms=70, **by
            )
        )
        agent = "pgwatch"
    else:
        stage.start(Service("billing", size=5, rate=4.0, duration_ms=70))
        agent = "mysqld-exporter"
    stage.start(Service("invoice-cron", "session", "batch", rate=1 / 15, is_steady=True, duration_ms=400, **by))
    stage.start(Service(agent, "session", "monitor", rate=1 / 8, is_steady=True, duration_ms=15, is_monitoring=True))
    stage.start(Service("lb-probe", "probe", rate=1 / 5, is_steady=True, **by))
