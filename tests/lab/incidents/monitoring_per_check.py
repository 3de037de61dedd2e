"""A tool that connects anew for every check gets many checks, and its short sessions take the slots."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "monitoring_overconsumption"
VERSION = 16
HAVE_LOGS = ("checkout",)
SAYS = (
    "A monitoring tool opens one session a check and closes it; a template with hundreds of checks is rolled out, and "
    "at any moment most slots are those of checks that come and go, so that the shop is refused."
)
SERVER = {"max_connections": 50}


def play(stage: Stage) -> None:
    """A minute and a quarter."""
    start_neighbours(stage)
    checks = Service(
        "zabbix", "session", "monitor", "postgres", rate=2, duration_ms=700, sigma=0.4, threads=200, is_monitoring=True
    )
    stage.start(checks)
    stage.start(Service("checkout", size=4, overflow=4, rate=4.0, duration_ms=60), instances=2)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.event("rollout", "zabbix", "the database template with all its checks is linked to the host")
    for second, rate in ((20, 8), (26, 16), (32, 26)):
        stage.until(second)
        stage.turn("zabbix", rate=rate)
    stage.until(60)
    stage.event("rollback", "zabbix", "the template is unlinked")
    stage.turn("zabbix", rate=1)
    stage.until(75)
    stage.onset = stage.event_at("rollout")
    stage.onset_means = "the roll-out of the checks began"
    stage.culprit = {"kind": "service", "name": "zabbix"}
