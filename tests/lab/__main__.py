"""`python -m tests.lab play NAME -o DIR`: play an incident on a real server and record it; `list` names them.

`python -m tests.lab play-all -o DIR` plays all of them, each into a folder of its name; they mostly sleep, so several at
a time share a machine.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tests.lab import incidents


def names() -> list[str]:
    """The incidents that can be played."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(incidents.__path__))


def play(name: str, out: Path, version: int | None = None) -> None:
    """Play one incident and write evidence/, truth.toml and README.md into `out`."""
    from tests.lab.stage import Stage

    scenario = importlib.import_module(f"tests.lab.incidents.{name.replace('-', '_')}")
    with Stage(name, scenario, out, version) as stage:
        scenario.play(stage)
        stage.finish()


def play_all(out: Path, at_once: int) -> list[str]:
    """Play every incident in a process of its own; returns the names of those that failed."""

    def play_one(name: str) -> int:
        command = [sys.executable, "-m", "tests.lab", "play", name, "-o", str(out / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"{name}: {'recorded' if done.returncode == 0 else done.stderr}", flush=True)
        return done.returncode

    with ThreadPoolExecutor(at_once) as players:
        codes = dict(zip(names(), players.map(play_one, names()), strict=True))
    return [name for name, code in codes.items() if code]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    playing = commands.add_parser("play")
    playing.add_argument("name", choices=names())
    playing.add_argument("-o", "--out", type=Path, required=True)
    playing.add_argument("--version", type=int, help="major version of PostgreSQL, if not the incident's own")
    playing_all = commands.add_parser("play-all")
    playing_all.add_argument("-o", "--out", type=Path, required=True)
    playing_all.add_argument("--at-once", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.command == "list":
        print("\n".join(names()))
        return 0
    signal.signal(signal.SIGTERM, _leave)
    if chosen.command == "play-all":
        return 1 if play_all(chosen.out, chosen.at_once) else 0
    play(chosen.name, chosen.out, chosen.version)
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
