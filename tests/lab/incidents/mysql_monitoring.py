"""On MySQL: agents hold a session for every check they were given, and take the slots."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "monitoring_overconsumption"
ENGINE = "mysql"
SAYS = (
    "A new configuration gives every monitoring agent one session a check, kept open, and another tool connects anew "
    "for each of its checks; together they take most slots, and the shop's pools cannot grow."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a half."""
    start_neighbours(stage)
    agent = Service("datadog-agent", "held", size=9, rate=0.5, is_monitoring=True, patience_s=5, retry_s=2)
    stage.start(agent, instances=4, held=1)
    stage.start(Service("zabbix", "session", rate=2, duration_ms=60, is_monitoring=True))
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("rollout", "datadog-agent", "new checks, one session each")
    for held in range(2, 10):
        stage.turn("datadog-agent", held=held)
        stage.settle(3)
    stage.turn("storefront", rate=3)
    stage.turn("billing", rate=3)
    stage.until(75)
    stage.event("rollback", "datadog-agent", "the new checks are off")
    stage.restart("datadog-agent", "restarted with the former configuration")
    stage.turn("datadog-agent", held=1)
    stage.until(90)
    stage.onset = stage.event_at("rollout")
    stage.onset_means = "the roll-out of the new checks began"
    stage.culprit = {"kind": "service", "name": "datadog-agent", "also": ["zabbix"]}
