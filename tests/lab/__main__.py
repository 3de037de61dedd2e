"""`python -m tests.lab play NAME -o DIR`: play an incident on a real server and record it; `list` names them."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.lab import incidents


def names() -> list[str]:
    """The incidents that can be played."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(incidents.__path__))


def play(name: str, out: Path, version: int = 15) -> None:
    """Play one incident and write evidence/, truth.toml and README.md into `out`."""
    from tests.lab.stage import Stage

    scenario = importlib.import_module(f"tests.lab.incidents.{name.replace('-', '_')}")
    with Stage(name, scenario, out, version) as stage:
        scenario.play(stage)
        stage.finish()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    playing = commands.add_parser("play")
    playing.add_argument("name", choices=names())
    playing.add_argument("-o", "--out", type=Path, required=True)
    playing.add_argument("--version", type=int, default=15, help="major version of PostgreSQL")
    chosen = parser.parse_args()
    if chosen.command == "list":
        print("\n".join(names()))
        return 0
    signal.signal(signal.SIGTERM, _leave)
    play(chosen.name, chosen.out, chosen.version)
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
