"""No incident on MySQL: sessions grow as traffic does, minute by minute, and there is room for all."""

from __future__ import annotations

from tests.lab.incidents import growing_traffic

CAUSE = growing_traffic.CAUSE
ENGINE = "mysql"
SAYS = growing_traffic.SAYS
SERVER = growing_traffic.SERVER
play = growing_traffic.play
