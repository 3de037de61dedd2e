"""Strangers knock: guessed passwords, foreign protocols, addresses that no rule admits."""

from __future__ import annotations

from tests.lab.neighbours import start_neighbours
from tests.lab.service import Service
from tests.lab.stage import Stage

CAUSE = "external_scan"
SAYS = (
    "Addresses that never logged in guess passwords, speak HTTP and TLS to the port and are refused by rule; the "
    "services have all the slots they need."
)
FILM = "copy"
SERVER = {"max_connections": 60}
HBA = (
    "local all all trust",
    "host all all 127.0.0.1/32 trust",
    "host all all 127.0.66.0/25 password",
)
SOURCES = ("127.0.66.7", "127.0.66.31", "127.0.66.200")
"""The last one has no rule."""


def play(stage: Stage) -> None:
    """A little over a minute."""
    start_neighbours(stage)
    stage.settle(8)
    stage.begin()
    stage.until(20)
    stage.start(Service("stranger", "scan", rate=5.0, sources=SOURCES))
    stage.until(65)
    stage.stop("stranger")
    stage.until(75)
    stage.onset = stage.first("refused", "stranger")
    stage.onset_means = "the first stranger was turned away"
    stage.culprit = {"kind": "host", "name": SOURCES[0], "also": list(SOURCES[1:])}
