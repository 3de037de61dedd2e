"""`python -m tests.bench`: ingesting a large PostgreSQL log against pgBadger on the same file, in one run.

Each program is a whole process, measured by wall clock and by the CPU time of it and its children; `wc -l` is the
floor, `lnav -n` the nearest neighbour where it is installed. Every event is checked against the generator's truth
before a ratio is printed. Ratios depend on what else the machine does: the CPU ratio less than the other. Python's
bytecode is cached beforehand, as that of an installed program is.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from tests.bench.generate import FRAMES, PREFIXES, Truth, write_log

LINES = int(os.environ.get("BENCH_LINES", "2000000"))
INGEST = "import sys; from connforensics.ingest import ingest; ingest(sys.argv[1], [sys.argv[2]])"


def timed(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Run a command; return its wall clock and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def differences(case: Path, truth: Truth) -> list[str]:
    """What the case tells otherwise than the generator wrote."""
    with duckdb.connect(str(case), read_only=True) as con:
        rows = con.execute(
            "SELECT kind, count(*), CAST(sum(line_no * backend_id) AS HUGEINT) FROM event GROUP BY kind"
        ).fetchall()
    got = {kind: (count, checksum) for kind, count, checksum in rows}
    wanted = {kind: (count, truth.sums[kind]) for kind, count in truth.kinds.items()}
    return [
        f"{kind}: {got.get(kind)} instead of {wanted.get(kind)}"
        for kind in got | wanted
        if got.get(kind) != wanted.get(kind)
    ]


def badger(log: Path, prefix: str, page: Path) -> list[str]:
    """The command that makes pgBadger read the same log."""
    shape = {"csvlog": ["-f", "csv"], "jsonlog": ["-f", "jsonlog"]}.get(prefix, ["-f", "stderr", "-p", prefix])
    return ["pgbadger", "-q", "-j", "2", *shape, "-o", str(page), str(log)]


def main() -> int:
    """Print a table; return 1 when an event is wrong."""
    chosen = sys.argv[1:] or [*PREFIXES, *FRAMES]
    rivals = [name for name in ("pgbadger", "lnav") if shutil.which(name)]
    wrong = 0
    heads = "".join(f" {name:>9} {'cpu':>6} {'wall x':>7} {'cpu x':>6}" for name in rivals)
    print(f"{'log_line_prefix':52} {'MB':>5} {'wc -l':>6} {'ingest':>7} {'cpu':>6}{heads}")
    with tempfile.TemporaryDirectory() as folder:
        log, case, page = Path(folder, "server.log"), Path(folder, "case.duckdb"), Path(folder, "page.html")
        cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        cached["PYTHONPYCACHEPREFIX"] = str(Path(folder, "bytecode"))
        write_log(log, 1000, chosen[0])
        timed([sys.executable, "-c", INGEST, str(case), str(log)], cached)
        for prefix in chosen:
            truth = write_log(log, LINES, prefix)
            counted, _ = timed(["wc", "-l", str(log)])
            case.unlink(missing_ok=True)
            ours, our_cpu = timed([sys.executable, "-c", INGEST, str(case), str(log)], cached)
            for line in differences(case, truth):
                wrong = 1
                print(f"  WRONG {line}")
            row = f"{prefix:52} {log.stat().st_size / 1e6:5.0f} {counted:6.2f} {ours:7.2f} {our_cpu:6.2f}"
            for name in rivals:
                command = badger(log, prefix, page) if name == "pgbadger" else ["lnav", "-n", str(log)]
                theirs, their_cpu = timed(command)
                row += f" {theirs:9.2f} {their_cpu:6.2f} {theirs / ours:7.1f} {their_cpu / our_cpu:6.1f}"
            print(row, flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
