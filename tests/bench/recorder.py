"""What recording costs, with real servers: CPU of the recorder, time of the server, bytes a day.

    python -m tests.bench.recorder [SECONDS]

The servers hold 500 sessions, of which a tenth works all the time, so that a sample has both: rows that stay and rows
that change. The recorder runs as a process of its own at one sample a second; its CPU time is read from /proc between two
moments, so that its start does not count. Server time comes from the server: pg_stat_statements, and MariaDB's
events_statements_summary_by_account_by_event_name; beside it stands the CPU time of the recorder's backend or thread,
since on a busy machine the server waits for a CPU as everybody does. The promise is below 1 % of a core and below 5 ms of
server time a sample.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.postgres import Postgres

SESSIONS = 500
BUSY = 50
WORKERS = 4
EVERY_S = 1.0
WARM_UP_S = 5.0

RECORD = "from connforensics.cli_record import app; app()"

MOST_CPU_SHARE = 0.01
MOST_SERVER_MS = 5.0


@dataclass(frozen=True)
class Cost:
    """Of one recorder of one server at one sample a second. `backend_ms` is CPU time of its process or thread at the server."""

    sessions: int
    samples: int
    cpu_share: float
    server_ms: float
    backend_ms: float
    bytes_per_day: float

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions, {self.samples} samples: {self.cpu_share:.2%} of a core, "
            f"{self.server_ms:.2f} ms of server time a sample and {self.backend_ms:.2f} ms of its CPU, "
            f"{self.bytes_per_day / 1e6:,.0f} MB a day"
        )

    @property
    def is_as_promised(self) -> bool:
        """Whether CPU and server time are below what is promised."""
        return self.cpu_share < MOST_CPU_SHARE and self.server_ms < MOST_SERVER_MS


def cpu_s(pid: int, thread: int | None = None) -> float:
    """CPU time of a process so far, of all its threads or of one, to the nanosecond: /proc/PID/stat counts in hundredths."""
    threads = Path(f"/proc/{pid}/task").iterdir() if thread is None else [Path(f"/proc/{pid}/task/{thread}")]
    return sum(int((path / "schedstat").read_text().split()[0]) for path in threads) / 1e9


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.zst"))


@contextmanager
def working(run: Callable[[int, str], object]) -> Iterator[None]:
    """Keep sessions at work with short and longer statements; `run` executes one in the session of a number."""
    stop = threading.Event()

    def work(first: int) -> None:
        while not stop.is_set():
            run(
                random.randrange(first, BUSY, WORKERS),
                f"SELECT {random.randrange(10_000)}, {{sleep}}({random.choice((0.001, 0.01, 0.05))})",
            )
            stop.wait(0.02)

    threads = [threading.Thread(target=work, args=(first,), daemon=True) for first in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure(command: list[str], server_s: Callable[[], float], backend_s: Callable[[], float], seconds: float) -> Cost:
    """Run the recorder; `server_s` and `backend_s` tell what its session has taken of the server so far."""
    with tempfile.TemporaryDirectory() as folder:
        every = f"{EVERY_S * 1000:.0f}ms"
        recorder = subprocess.Popen(
            [sys.executable, "-c", RECORD, *command, "-o", folder, "--every", every],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def taken() -> tuple[float, float, float, int, float]:
            return cpu_s(recorder.pid), server_s(), backend_s(), bytes_in(Path(folder)), time.time()

        try:
            time.sleep(WARM_UP_S)
            before = taken()
            time.sleep(seconds)
            cpu, server, backend, size, took = (now - then for now, then in zip(taken(), before, strict=True))
            samples = max(round(took / EVERY_S), 1)
            # What stands at the head of each hour's file (settings) was written before; it comes 24 times a day.
            return Cost(
                SESSIONS,
                samples,
                cpu / took,
                server / samples * 1000,
                backend / samples * 1000,
                size / took * 86_400 + before[3] * 24,
            )
        finally:
            recorder.terminate()
            recorder.wait(20)


def postgres(seconds: float = 30.0, version: int = 15) -> Cost:
    """Measure against PostgreSQL."""
    quiet = {"log_connections": "off", "log_disconnections": "off"}
    with Postgres(
        version, max_connections=SESSIONS + 50, shared_preload_libraries="pg_stat_statements", **quiet
    ) as server:
        server.run("CREATE EXTENSION pg_stat_statements", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        connections = [server.connect(application_name=f"service-{number % 9}") for number in range(SESSIONS)]
        for number, connection in enumerate(connections):
            connection.execute(f"SELECT {number}, relname FROM pg_class WHERE relname = 'some table {number}'".encode())

        def one(query: str) -> float:
            return float((connections[-1].execute(query.encode()).fetchone() or (0,))[0] or 0)

        def server_s() -> float:
            mine = "userid = (SELECT oid FROM pg_roles WHERE rolname = 'monitor')"
            return one(f"SELECT sum(total_exec_time + total_plan_time) / 1000 FROM pg_stat_statements WHERE {mine}")

        def backend_s() -> float:
            return cpu_s(int(one("SELECT pid FROM pg_stat_activity WHERE application_name = 'connforensics'")))

        def run(number: int, statement: str) -> None:
            connections[number].execute(statement.replace("{sleep}", "pg_sleep").encode())

        with working(run):
            return measure(["postgres", server.conninfo(user="monitor")], server_s, backend_s, seconds)


def mariadb(seconds: float = 30.0) -> Cost:
    """Measure against MariaDB."""
    from tests.lab.mariadb import MariaDB

    with MariaDB(max_connections=SESSIONS + 50, performance_schema="ON", general_log=0, slow_query_log=0) as server:
        server.run("CREATE USER 'monitor'@'127.0.0.1'", "GRANT PROCESS ON *.* TO 'monitor'@'127.0.0.1'")
        connections = [server.connect() for _ in range(SESSIONS)]

        def run(number: int, statement: str) -> None:
            with connections[number].cursor() as cursor:
                cursor.execute(statement.replace("{sleep}", "sleep"))

        def one(query: str) -> float:
            with connections[-1].cursor() as cursor:
                cursor.execute(query)
                return float((cursor.fetchone() or (0,))[0] or 0)

        def server_s() -> float:
            summary = "performance_schema.events_statements_summary_by_account_by_event_name"
            return one(f"SELECT sum(sum_timer_wait) / 1e12 FROM {summary} WHERE user = 'monitor'")

        def backend_s() -> float:
            return cpu_s(server.pid, int(one("SELECT tid FROM information_schema.processlist WHERE user = 'monitor'")))

        with working(run):
            return measure(["mysql", f"monitor@127.0.0.1:{server.port}"], server_s, backend_s, seconds)


def main() -> int:
    """Print what recording costs; return 1 when it is more than promised."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    costs = {"PostgreSQL 15": postgres(seconds), "MariaDB 10.11": mariadb(seconds)}
    for name, cost in costs.items():
        print(f"recording {name}: {cost}{'' if cost.is_as_promised else '  MORE THAN PROMISED'}")
    return 0 if all(cost.is_as_promised for cost in costs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
