"""No incident: monitoring agents that are there all the time, and modest."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "none"
VERSION = 15
SAYS = (
    "Two monitoring agents hold two sessions each, another connects for every check, and the shop has its daily peak; "
    "the tools are present in every snapshot and take a tenth of the slots."
)
SERVER = {"max_connections": 60}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    stage.role("agent")
    start_neighbours(stage)
    agent = Service(
        "datadog-agent", "held", "agent", "postgres", size=2, rate=0.5, is_monitoring=True, patience_s=5, retry_s=2
    )
    stage.start(agent, instances=2, held=2)
    stage.start(Service("zabbix", "session", "monitor", "postgres", rate=0.5, duration_ms=40, is_monitoring=True))
    stage.start(Service("checkout", size=4, overflow=4, rate=5.0, duration_ms=80), instances=4)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.turn("checkout", rate=3)
    stage.turn("storefront", rate=2)
    stage.until(55)
    stage.turn("checkout", rate=1)
    stage.turn("storefront", rate=1)
    stage.until(75)
