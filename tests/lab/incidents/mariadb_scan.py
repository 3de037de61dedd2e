"""On MariaDB: strangers guess passwords, read the greeting and go, speak HTTP; their hosts are blocked in the end."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "external_scan"
ENGINE = "mariadb"
SAYS = (
    "Addresses that never logged in guess passwords, break off the handshake and speak other protocols, until the "
    "server blocks their hosts; the services have all the slots they need."
)
SERVER = {"max_connections": 60, "skip_name_resolve": None, "max_connect_errors": 20}
SOURCES = ("127.0.66.7", "127.0.66.31")


def play(stage: Stage) -> None:
    """A little over a minute."""
    start_neighbours(stage)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.start(Service("stranger", "scan", rate=4.0, sources=SOURCES))
    stage.until(60)
    stage.stop("stranger")
    stage.until(72)
    stage.onset = stage.first("refused", "stranger")
    stage.onset_means = "the first stranger was turned away"
    stage.culprit = {"kind": "host", "name": SOURCES[0], "also": list(SOURCES[1:])}
