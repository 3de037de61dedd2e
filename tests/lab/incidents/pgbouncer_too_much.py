"""PgBouncer keeps a pool for each user, and the pools together exceed the server."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "pooler_misconfigured"
SAYS = (
    "PgBouncer may open twelve sessions for each user and there are six users; when all tenants work at once the "
    "pools ask for more than the server's slots, and the pooler itself is refused there."
)
SERVER = {"max_connections": 45}
TENANTS = ("tenant_a", "tenant_b", "tenant_c", "tenant_d", "tenant_e")


def play(stage: Stage) -> None:
    """A minute and a half."""
    stage.role("shop", "billing", "batch", *TENANTS)
    stage.open_pooler(default_pool_size=12, max_client_conn=300, query_wait_timeout=5)
    start_neighbours(stage, behind_pooler=True)
    for tenant in TENANTS:
        stage.start(
            Service(tenant, user=tenant, size=7, overflow=7, rate=1.5, duration_ms=400, threads=24, behind_pooler=True),
            instances=2,
        )
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("traffic", "all tenants", "the invoice run of all tenants begins")
    for tenant in TENANTS:
        stage.turn(tenant, rate=7)
    stage.until(60)
    stage.event("traffic", "all tenants", "the invoice run is over")
    for tenant in TENANTS:
        stage.turn(tenant, rate=1)
    stage.until(85)
    stage.onset = stage.event_at("traffic")
    stage.onset_means = "all pools began to fill at once"
    stage.culprit = {"kind": "pooler", "name": "pgbouncer", "also": ["default_pool_size", *TENANTS]}
