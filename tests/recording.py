"""Recorders for tests: in a thread of this process, or as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from connforensics.evidence.containers import unpack
from connforensics.record import address
from connforensics.record.run import Outcome, Plan, Recorder, target_of

RECORD = "from connforensics.cli_record import app; app()"

PASSWORD = "planted-zqx-secret"


class Recording:
    """A recorder in a thread of this process."""

    def __init__(self, folder: Path, targets: list[address.Address], **plan: object) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.outcomes: list[Outcome] = []
        self.error: BaseException | None = None
        self.recorder = Recorder(
            [(target_of(each), each.server) for each in targets],
            Plan(folder, **{"every_s": 0.1, **plan}),  # type: ignore[arg-type]
            self.said.append,
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.outcomes = self.recorder.run()
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Recording:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.recorder.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def wait_until(self, told: Callable[[Recording], object], timeout_s: float = 15.0) -> None:
        until = time.monotonic() + timeout_s
        while not told(self):
            assert time.monotonic() < until, self.said
            time.sleep(0.02)

    def lines(self, stream: str) -> list[dict]:
        return [json.loads(line) for path in sorted(self.folder.rglob(f"{stream}-*")) for line in lines_of(path)]

    def heads(self, stream: str) -> list[dict]:
        return [line for line in self.lines(stream) if "connforensics" in line]

    def rows(self, stream: str) -> list[dict]:
        return [line for line in self.lines(stream) if "connforensics" not in line]


def lines_of(path: Path) -> list[str]:
    """The lines of a file; one that is met in the very moment of being written is read again."""
    for _ in range(20):
        unpacked = unpack(path)
        packed = b"".join(unpacked.blocks())
        if not unpacked.is_truncated and (unpacked.containers or not packed):  # it was begun between the two
            return packed.decode().splitlines()
    raise AssertionError(f"{path} is not whole")


def moment(head: dict) -> datetime:
    return datetime.fromisoformat(head["sampled_at"].removesuffix("Z"))


def start(folder: Path, target: str, *more: str, kind: str = "postgres", **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RECORD, kind, target, "-o", str(folder), "--every", "50ms", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def wait_for_samples(folder: Path, count: int, process: subprocess.Popen[str], stream: str = "activity") -> None:
    until = time.monotonic() + (60 if count < 100 else 300)
    while time.monotonic() < until and process.poll() is None:
        blocks = (block for path in folder.rglob(f"{stream}-*") for block in unpack(path).blocks())
        if b"".join(blocks).count(b'{"connforensics":') >= count:
            return
        time.sleep(0.05 if count < 100 else 1.0)
    raise AssertionError(f"no {count} samples, exit code {process.poll()}")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
