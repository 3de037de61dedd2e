"""`connforensics record` on the stage: a process of its own, as an SRE would run it, and its own books as a client.

It takes a slot like any client; what it says in its `events` and `refusals` is when it had one and when it was refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from connforensics.record.address import parse
from tests.lab.journal import UNLOGGED, Journal

STOP_TIMEOUT_S = 30.0
START_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.05
PROGRAM = Path(sys.executable).parent / "connforensics"


class Recorder:
    """One process that records several targets: kind (postgres, mysql, pgbouncer) to address."""

    def __init__(self, targets: Mapping[str, str], folder: Path, every_s: float) -> None:
        self.targets = dict(targets)
        self.folder = folder
        self.every_s = every_s
        self._said = folder / "said.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when each target has had its first sample."""
        self.folder.mkdir()
        described = self.folder / "targets.toml"
        described.write_text(
            "".join(f'[[target]]\nkind = "{kind}"\naddress = "{address}"\n' for kind, address in self.targets.items())
        )
        command = [
            str(PROGRAM),
            "record",
            "many",
            str(described),
            "-o",
            str(self.folder),
            "--every",
            f"{self.every_s}s",
        ]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        until = time.monotonic() + START_TIMEOUT_S
        while self._said.read_text().count("one sample every") < len(self.targets):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the recorder did not start:\n{self._said.read_text()}")
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """Stop it as systemd does; harmless when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)

    def hand_over(self, evidence: Path) -> None:
        """Copy what was recorded: a folder each kind."""
        for kind in self.targets:
            shutil.copytree(self._recorded(kind), evidence / kind)

    def write_books(self, kind: str, journals: Path) -> None:
        """Enter its own sessions and refusals at a target into a journal, as service `recorder`."""
        journal = Journal(journals, "recorder", "recorder")
        own = 0
        for row in self._rows(kind):
            at = datetime.fromisoformat(str(row["event_at"])).astimezone(UTC).timestamp()
            says = str(row["says"])
            if row["what"] == "connected":
                own = int(re.findall(r"own session (\d+)", says)[0])
                journal.write("open", at, pid=own)
            elif row["what"] == "lost":
                journal.write("close", at, pid=own)
            elif row["what"] == "refused":
                journal.write("refused", at, kind=row["reason"], says=says)
            elif row["what"] == "unreachable":
                journal.write("refused", at, kind=UNLOGGED[0], says=says)

    def _recorded(self, kind: str) -> Path:
        return self.folder / parse(kind, self.targets[kind]).name  # type: ignore[arg-type]

    def _rows(self, kind: str) -> Iterator[dict[str, object]]:
        rows = [row for stream in ("events", "refusals") for row in read_stream(self._recorded(kind), stream)]
        return iter(sorted(rows, key=lambda row: str(row["event_at"])))


def read_stream(folder: Path, stream: str) -> Iterator[dict[str, object]]:
    """The rows of one stream of a recording, in the order they were written, without the lines that open a sample."""
    import pyarrow as pa

    for path in sorted(folder.glob(f"{stream}-*.jsonl.zst")):
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as file:
            for line in file.read().decode().splitlines():
                row = json.loads(line)
                if "connforensics" not in row:
                    yield row
