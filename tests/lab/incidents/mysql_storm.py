"""MySQL is restarted, and all workers come back at once, without jitter, and keep each other out."""

from __future__ import annotations

from tests.lab.incidents import mariadb_storm
from tests.lab.stage import Stage

CAUSE = mariadb_storm.CAUSE
ENGINE = "mysql"
EVERY_S = mariadb_storm.EVERY_S
HAVE_LOGS = ("device-gateway",)
SAYS = mariadb_storm.SAYS
SERVER = mariadb_storm.SERVER


def play(stage: Stage) -> None:
    """A minute and a half."""
    mariadb_storm.play(stage, mitigated_s=62)
