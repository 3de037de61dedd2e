"""Services as they run in production: processes with a pool, a request rate, durations, and sometimes a defect.

A `Service` says what one is; `serve` is the body of one instance's process. Requests arrive at random (Poisson) and do
not wait for earlier ones, as users do, so that a slow server meets more work at once and not less. What a stage may
turn while the service runs are `Dials`. The same service runs on every engine: tests/lab/driver.py.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import io
import logging
import math
import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Literal

from tests.lab import driver, strangers
from tests.lab.driver import Door, WatchedConnection
from tests.lab.journal import Journal

POOLS_HEADER = (
    "sampled_at", "service", "instance", "pool", "max_size", "size",
    "checked_out", "idle", "overflow", "waiting", "timeouts",
)  # fmt: skip
ROWS = 2000
"""Rows of the table that services work on."""

HOT_ROWS = 200
"""Those of them that a transaction which is left open changes: few enough for others to meet one."""

Kind = Literal["sqlalchemy", "psycopg_pool", "hikari", "session", "held", "invocations", "probe", "scan", "script"]


@dataclass(frozen=True)
class Service:
    """What a service is.

    `kind`: a pool (sqlalchemy, psycopg_pool; hikari is a Java program), one short session a request (session), sessions held by workers that
    reconnect without jitter (held), one worker and one session an invocation (invocations), a health check that sends
    nothing (probe), a stranger (scan), or a written sequence of statements (script).
    `rate` is requests a second and instance, or with `is_steady` a fixed period of 1/rate. Durations are lognormal
    around `duration_ms` with `sigma`. `behind_pooler`: its clients enter by the pooler. `retry_most_s`: pauses between
    attempts double up to it and are cut at random; without it every pause is `retry_s`. `lifetime_s`: held sessions and
    pooled connections are renewed at this age, held ones with `lifetime_jitter` as a share of it at random. `stagger_s`:
    pause between the starts of two held workers. `talks`: statements in a transaction, each with a short pause of the
    client's own before it.
    """

    name: str
    kind: Kind = "sqlalchemy"
    user: str = "shop"
    database: str = "shop"
    size: int = 5
    overflow: int = 0
    min_size: int = 1
    max_idle_s: float = 600.0
    checkout_timeout_s: float = 3.0
    threads: int = 16
    rate: float = 4.0
    is_steady: bool = False
    duration_ms: float = 40.0
    sigma: float = 0.8
    is_monitoring: bool = False
    patience_s: float = 0.8
    retry_s: float = 0.3
    statements: tuple[str | float, ...] = ()
    sources: tuple[str, ...] = ()
    behind_pooler: bool = False
    retry_most_s: float = 0.0
    lifetime_s: float = 0.0
    lifetime_jitter: float = 0.0
    stagger_s: float = 0.15
    talks: int = 0
    talk_pause_ms: float = 15.0


class Dials:
    """What a stage turns while the instances of a service run, shared between processes.

    rate, slow: factors; leak: one in so many requests keeps its connection (0: none); think, think_s: share of requests
    that pause inside their transaction and for how long; warm_s: seconds of warm-up a session of its kind that is
    there, contend_s: one that is busy; held: sessions a monitoring instance holds; live: workers at this moment, written
    by the service.
    """

    NAMES = ("rate", "slow", "leak", "think", "think_s", "warm_s", "contend_s", "held", "live")

    def __init__(self, context: ForkServerContext) -> None:
        self._values = context.Array(ctypes.c_double, len(self.NAMES))
        self.turn(rate=1.0, slow=1.0)

    def turn(self, **values: float) -> None:
        """Set dials by name."""
        for name, value in values.items():
            self._values[self.NAMES.index(name)] = value

    def __getattr__(self, name: str) -> float:
        if name in Dials.NAMES:
            return float(self._values[Dials.NAMES.index(name)])
        raise AttributeError(name)


@dataclass
class Instance:
    """What the body of one instance works with."""

    service: Service
    name: str
    door: Door
    driver: driver.Driver
    dials: Dials
    stop: Event
    journal: Journal
    random: random.Random
    log: Path | None = None
    timeouts: int = 0
    waiting: int = 0
    leaked: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def duration_s(self) -> float:
        """How long the next query takes."""
        slow = self.dials.slow
        return slow * self.service.duration_ms / 1000 * math.exp(self.random.gauss(0, self.service.sigma))

    def failed(self, error: Exception) -> None:
        """Note a request that came to nothing."""
        says = (str(error).strip().splitlines() or [""])[0]
        self.journal.write("failed", says=says)
        self.complain(error)

    def complain(self, error: Exception) -> None:
        """Write an error into the log of the service."""
        says = (str(error).strip().splitlines() or [""])[0]
        kind = type(error)
        logging.getLogger(self.service.name).error("%s.%s: %s", kind.__module__, kind.__qualname__, says)

    def pause_s(self, attempt: int) -> float:
        """How long to wait before the next attempt to connect: always the same, or with back-off and jitter."""
        service = self.service
        if not service.retry_most_s:
            return service.retry_s
        return self.random.uniform(0, min(service.retry_s * 2 ** min(attempt, 10), service.retry_most_s))

    def arrivals(self) -> Iterator[None]:
        """Yields once for each request, when it arrives, until the instance is stopped."""
        due = time.monotonic() + self.random.random() / max(self.service.rate, 0.01)
        while not self.stop.wait(max(due - time.monotonic(), 0)):
            rate = self.service.rate * self.dials.rate
            if rate <= 0:
                due = time.monotonic() + 0.1
                continue
            yield
            due += 1 / rate if self.service.is_steady else self.random.expovariate(rate)
            due = max(due, time.monotonic() - 1.0)


def serve(
    service: Service,
    name: str,
    door: Door,
    dials: Dials,
    stop: Event,
    journals: Path,
    pools: Path,
    every_s: float,
    log: Path | None = None,
) -> None:
    """The process of one instance; returns by leaving the process as it is, sockets open, as a killed pod does."""
    _write_log(log)
    journal = Journal(journals, service.name, name)
    driver.keep_books(journal)
    chance = random.Random(f"{name} {time.time():.0f}")
    instance = Instance(service, name, door, driver.of(door), dials, stop, journal, chance, log)
    journal.write("start")
    parent = os.getppid()
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    BODIES[service.kind](instance, pools, every_s)
    journal.write("exit")
    os._exit(0)


def _write_log(path: Path | None) -> None:
    """Have this process write its errors as a service does, in UTC; without a path it is silent."""
    handler = logging.FileHandler(path) if path is not None else logging.NullHandler()
    layout = logging.Formatter("%(asctime)s %(levelname)s [%(name)s] %(message)s")
    layout.converter = time.gmtime
    handler.setFormatter(layout)
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


# Pools


class _SqlAlchemy:
    """A SQLAlchemy QueuePool."""

    def __init__(self, instance: Instance) -> None:
        import sqlalchemy

        self.service = service = instance.service
        self.engine = sqlalchemy.create_engine(
            instance.driver.dialect,
            creator=instance.driver.connect,
            pool_size=service.size,
            max_overflow=service.overflow,
            pool_timeout=service.checkout_timeout_s,
            pool_recycle=service.lifetime_s or -1,
            pool_use_lifo=True,
        )
        self.gave_up: tuple[type[Exception], ...] = (sqlalchemy.exc.TimeoutError,)
        self.broke: tuple[type[Exception], ...] = (sqlalchemy.exc.DBAPIError, *instance.driver.errors)

    def take(self) -> Any:
        return self.engine.raw_connection()

    def give(self, connection: Any) -> None:
        connection.close()

    def numbers(self, waiting: int) -> tuple[int, ...]:
        pool: Any = self.engine.pool
        over = pool.overflow()
        held = self.service.size + over
        out = pool.checkedout()
        return self.service.size + self.service.overflow, held, out, max(held - out, 0), max(over, 0), waiting

    def close(self) -> None:
        self.engine.dispose()


class _PsycopgPool:
    """A psycopg_pool.ConnectionPool, on PostgreSQL alone."""

    def __init__(self, instance: Instance) -> None:
        import psycopg_pool

        if not isinstance(instance.driver, driver.OnPostgres):
            raise TypeError("psycopg_pool knows PostgreSQL only")
        self.service = service = instance.service
        self.pool = psycopg_pool.ConnectionPool(
            instance.driver.conninfo,
            connection_class=WatchedConnection,
            kwargs={"prepare_threshold": None},
            min_size=service.min_size,
            max_size=service.size,
            max_idle=service.max_idle_s,
            timeout=service.checkout_timeout_s,
            name=service.name,
            open=True,
        )
        self.gave_up: tuple[type[Exception], ...] = (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests)
        self.broke: tuple[type[Exception], ...] = instance.driver.errors

    def take(self) -> Any:
        return self.pool.getconn()

    def give(self, connection: Any) -> None:
        self.pool.putconn(connection)

    def numbers(self, waiting: int) -> tuple[int, ...]:
        said = self.pool.get_stats()
        size, idle = said["pool_size"], said["pool_available"]
        return said["pool_max"], size, size - idle, idle, 0, said["requests_waiting"]

    def close(self) -> None:
        self.pool.close(timeout=2.0)


def _pooled(instance: Instance, pools: Path, every_s: float) -> None:
    service = instance.service
    pool = (_SqlAlchemy if service.kind == "sqlalchemy" else _PsycopgPool)(instance)
    requests: queue.Queue[int | None] = queue.Queue(maxsize=4 * service.threads)

    def work() -> None:
        while (number := requests.get()) is not None:
            _request(instance, pool, number)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(service.threads)]
    threads.append(threading.Thread(target=_report_pool, args=(instance, pool, pools, every_s), daemon=True))
    for thread in threads:
        thread.start()
    for number, _ in enumerate(instance.arrivals()):
        try:
            requests.put_nowait(number)
        except queue.Full:
            instance.journal.write("shed")
    with contextlib.suppress(queue.Full):
        for _ in range(service.threads):
            requests.put_nowait(None)
    until = time.monotonic() + 2.0
    for thread in threads[:-1]:
        thread.join(max(until - time.monotonic(), 0))
    with contextlib.suppress(Exception):
        pool.close()


def _request(instance: Instance, pool: _SqlAlchemy | _PsycopgPool, number: int) -> None:
    """One request: take a connection, work, give it back; one in `leak` keeps it."""
    dials = instance.dials
    asked = time.time()
    with instance.lock:
        instance.waiting += 1
    try:
        connection = pool.take()
    except pool.gave_up as error:
        with instance.lock:
            instance.timeouts += 1
        instance.journal.write("timeout")
        instance.complain(error)
        return
    except pool.broke as error:
        instance.failed(error)
        return
    finally:
        with instance.lock:
            instance.waiting -= 1
    try:
        _work(instance, connection, is_thinking=instance.random.random() < dials.think)
    except pool.broke as error:
        instance.failed(error)
    else:
        instance.journal.write("done", took_ms=round((time.time() - asked) * 1000))
        if dials.leak >= 1 and number % int(dials.leak) == 0:
            instance.leaked.append(connection)
            below = getattr(connection, "dbapi_connection", connection)
            instance.journal.write("leak", asked, pid=instance.driver.session_id(below))
            return
    with contextlib.suppress(*pool.broke):
        pool.give(connection)


def _work(instance: Instance, connection: Any, *, is_thinking: bool = False) -> None:
    """One unit of work in one transaction: a look-up, the part that takes time, sometimes a change."""
    row = instance.random.randrange(ROWS)
    cursor = connection.cursor()
    says = instance.driver
    if is_thinking:
        cursor.execute(says.change, (row % HOT_ROWS,))
        instance.journal.write("hold")
        time.sleep(instance.dials.think_s * instance.random.uniform(0.5, 1.5))
    for _ in range(instance.service.talks):
        cursor.execute(says.look_up, (instance.random.randrange(ROWS),))
        cursor.fetchall()
        time.sleep(instance.service.talk_pause_ms / 1000 * instance.random.uniform(0.5, 1.5))
    cursor.execute(says.look_up, (row,))
    cursor.execute(says.take_time, (instance.duration_s(), row % 100))
    if row % 4 == 0:
        cursor.execute(says.change, (row,))
    connection.commit()


def _report_pool(instance: Instance, pool: _SqlAlchemy | _PsycopgPool, path: Path, every_s: float) -> None:
    """Append the pool's numbers every `every_s` seconds, on the even second as a scraper does, once the file is there."""
    while True:
        time.sleep(every_s - time.time() % every_s)
        if not path.exists():
            continue
        values = pool.numbers(instance.waiting)
        row = (utc(time.time()), instance.service.name, instance.name, "main", *values, instance.timeouts)
        append_row(path, row)


def _hikari(instance: Instance, pools: Path, every_s: float) -> None:
    """The same in Java, which reports its pool on even seconds by itself."""
    from tests.lab import hikari_service

    hikari_service.run(instance, pools, instance.log)


# Clients without a pool


def _sessions(instance: Instance, pools: Path, every_s: float) -> None:
    """A short session for each request: cron jobs, agents' checks, scripts."""
    threads: list[threading.Thread] = []
    for _ in instance.arrivals():
        threads = [thread for thread in threads if thread.is_alive()]
        if len(threads) < instance.service.threads:
            threads.append(threading.Thread(target=_one_session, args=(instance,), daemon=True))
            threads[-1].start()
        else:
            instance.journal.write("shed")
    for thread in threads:
        thread.join(2.0)


def _one_session(instance: Instance) -> None:
    with instance.lock:
        instance.dials.turn(live=instance.dials.live + 1)
    try:
        connection = instance.driver.connect()
        try:
            if instance.service.is_monitoring:
                cursor = connection.cursor()
                cursor.execute(instance.driver.count_sessions)
                cursor.execute(instance.driver.pause, (instance.duration_s(),))
            else:
                _work(instance, connection)
            instance.journal.write("done")
        finally:
            connection.close()
    except instance.driver.errors as error:
        instance.failed(error)
    finally:
        with instance.lock:
            instance.dials.turn(live=instance.dials.live - 1)


def _held(instance: Instance, pools: Path, every_s: float) -> None:
    """Workers that each hold one session and, having lost it, ask again: as a rule without jitter or back-off.

    A worker that has no answer within its patience drops the attempt and makes the next, while the server still works
    for the dropped one.
    """
    threads = [
        threading.Thread(target=_hold, args=(instance, number), daemon=True) for number in range(instance.service.size)
    ]
    for thread in threads:
        thread.start()
        instance.stop.wait(instance.service.stagger_s)
    instance.stop.wait()


def _hold(instance: Instance, number: int) -> None:
    service = instance.service
    attempt = 0
    while not instance.stop.is_set():
        if service.is_monitoring and number >= instance.dials.held:
            instance.stop.wait(0.5)
            continue
        try:
            connection = instance.driver.connect(autocommit=True)
        except instance.driver.errors as error:
            instance.complain(error)
            instance.stop.wait(instance.pause_s(attempt))
            attempt += 1
            continue
        try:
            with _hang_up_after(service.patience_s, instance.driver.wire(connection)):
                instance.driver.warm_up(connection, instance.dials.warm_s, instance.dials.contend_s)
            attempt = 0
            _hold_on(instance, connection)
        except instance.driver.errors as error:
            instance.failed(error)
            connection.close()
            instance.stop.wait(instance.pause_s(attempt))
            attempt += 1
        else:
            connection.close()


def _hold_on(instance: Instance, connection: Any) -> None:
    """Work with one session until it is to be renewed or the instance is stopped."""
    service = instance.service
    spread = 1 + service.lifetime_jitter * instance.random.uniform(-1, 1)
    ends = time.monotonic() + (service.lifetime_s * spread if service.lifetime_s else math.inf)
    while (left := ends - time.monotonic()) > 0:
        think = instance.random.expovariate(service.rate * max(instance.dials.rate, 0.01))
        if instance.stop.wait(min(think, left)):
            return
        if service.is_monitoring:
            connection.cursor().execute(instance.driver.read_counters)
        else:
            _work(instance, connection)
        instance.journal.write("done")


@contextlib.contextmanager
def _hang_up_after(patience_s: float, descriptor: int) -> Iterator[None]:
    """Cut the connection from our side when the body takes longer: the server notices when it next reads."""
    wire = socket.socket(fileno=os.dup(descriptor))
    lock = threading.Lock()
    is_done = False

    def cut() -> None:
        with lock:
            if not is_done:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(patience_s, cut)
    timer.start()
    try:
        yield
    finally:
        with lock:
            is_done = True
        timer.cancel()
        wire.close()


def _script(instance: Instance, pools: Path, every_s: float) -> None:
    """One session that runs its statements and goes: a migration, an analyst's query; a number is a pause of its own."""
    try:
        connection = instance.driver.connect(autocommit=True)
        for statement in instance.service.statements:
            instance.journal.write("statement", says=statement)
            if isinstance(statement, str):
                connection.cursor().execute(statement)
            else:
                time.sleep(statement)
        connection.close()
        instance.journal.write("done")
    except instance.driver.errors as error:
        instance.failed(error)


# Strangers and health checks: bytes, not sessions


def _probe(instance: Instance, pools: Path, every_s: float) -> None:
    """A load balancer's TCP check: connects, says nothing, goes."""
    address = instance.door.host, instance.door.port
    for _ in instance.arrivals():
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=2):
            instance.journal.write("probe")


def _scan(instance: Instance, pools: Path, every_s: float) -> None:
    """Strangers: passwords tried, foreign protocols spoken, addresses without a rule."""
    knocks = strangers.knocks(instance.door, instance.random)
    for _ in instance.arrivals():
        source = instance.random.choice(instance.service.sources)
        try:
            kind = next(knocks)(source)
            instance.journal.write("refused" if kind else "probe", kind=kind, says=source)
        except OSError:
            instance.journal.write("refused", kind="nobody_listens", says=source)


BODIES: dict[str, Callable[[Instance, Path, float], None]] = {
    "sqlalchemy": _pooled,
    "psycopg_pool": _pooled,
    "hikari": _hikari,
    "session": _sessions,
    "invocations": _sessions,
    "held": _held,
    "probe": _probe,
    "scan": _scan,
    "script": _script,
}


def utc(at: float) -> str:
    """Seconds since 1970 as ISO-8601 text in UTC, to the millisecond, without a zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def append_row(path: Path, row: tuple[object, ...]) -> None:
    """Append one CSV row in a single write, so that processes can share the file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    with path.open("ab", buffering=0) as file:
        file.write(line.getvalue().encode())
