"""The stage an incident is played on: one server, its services, the recorder, and the script's own notes.

A scenario is a module of tests/lab/incidents with `CAUSE`, `SAYS` (a sentence or three for the README), `SERVER`
(settings) and `play(stage)`, and where it wants them:

    ENGINE              postgres, mariadb or mysql; VERSION of PostgreSQL
    HBA, FILES          rules of pg_hba.conf; how many files MySQL may open
    ALSO                further true causes
    EVERY_S             between samples of the recorder
    FILM = "copy"       snapshots as CSV, from a loop of \\copy, instead of the recorder
    HAS_MARKS           the evidence has a list of deployments
    HAVE_LOGS           services whose own logs are evidence as well
    HAS_LOG_FROM_START  its logs begin with the server
    HAS_METRICS         a Prometheus scrapes PostgreSQL's exporter, and is asked in the end

Before `stage.begin()` services settle; the evidence starts there, in the middle of a running day, so sessions older than
the log exist in it, as they do after every rotation.
"""

from __future__ import annotations

import dataclasses
import gzip
import multiprocessing
import re
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType

from connforensics.record.target import APPLICATION
from tests.lab import engines, truth
from tests.lab.faults import TcpProxy
from tests.lab.film import RECORDER, film
from tests.lab.journal import Entry, Journal, read
from tests.lab.pgbouncer import PgBouncer
from tests.lab.prometheus import PostgresExporter, Prometheus
from tests.lab.recorder import PROGRAM, Recorder
from tests.lab.service import POOLS_HEADER, Dials, Service, append_row, serve, utc

SAMPLE_EVERY_S = 2.0
"""How often pools and workers are sampled."""

FILM_EVERY_S = 3.0
"""How often pg_stat_activity is copied where the recorder does not film: 5 minutes of 60 backends stay under 2 MB."""

RECORD_EVERY_S = 2.0
STOP_TIMEOUT_S = 8.0

MOST_PLAIN_BYTES = 100_000
"""A larger log is handed in compressed."""

MARKED = ("deploy", "deploy_done", "rollout", "scale", "feature_flag", "service_restart", "server_restart")
"""Kinds of events that a team's list of deployments has."""

EXPORTER = "exporter"
"""The role of PostgreSQL's exporter for Prometheus."""

HERE = tuple(
    path.encode() for path in (*map(sysconfig.get_path, ("purelib", "stdlib")), str(Path(__file__).parents[2]))
)
DEPLOYED = b"/srv/app"
"""Where stack traces in the services' logs say that the code lies, instead of where it lay on the machine of the play."""

LOG_DELAY_S = 0.3
"""A line is in the log this long after its client has the answer, at most."""


class _Running:
    """One instance: its process and the event that stops it."""

    def __init__(self, process: BaseProcess, stop: Event) -> None:
        self.process = process
        self.stop = stop


class Stage:
    """Starts the server on entering; `finish` writes the incident's folder; leaving stops everything."""

    def __init__(
        self, name: str, scenario: ModuleType | SimpleNamespace, out: Path, version: int | None = None
    ) -> None:
        self.name = name
        self.scenario = scenario
        self.out = out
        self.engine = engines.of(scenario, version)
        self.server = self.engine.server
        self.pooler: PgBouncer | None = None
        self._network: TcpProxy | None = None
        self.network_ends: list[float] = []
        self.culprit: dict[str, object] = {}
        self.onset: float | None = None
        self.onset_means = ""
        self.server_ends: list[float] = []
        self.resets: list[float] = []
        self._context = multiprocessing.get_context("forkserver")
        self._services: dict[str, Service] = {}
        self._dials: dict[str, Dials] = {}
        self._running: dict[str, dict[str, _Running]] = {}
        self._launched: Counter[str] = Counter()
        self._lives: dict[str, list[float]] = {}
        self._events: list[dict[str, object]] = []
        self._users: list[str] = []
        self._film: _Running | None = None
        self._recorder: Recorder | None = None
        self._exporter: PostgresExporter | None = None
        self._prometheus: Prometheus | None = None
        self._is_over = threading.Event()
        self._since = 0.0
        self._offsets: dict[str, int] = {}

    def __enter__(self) -> Stage:
        self._scratch = Path(tempfile.mkdtemp(prefix="cfstage"))
        self._journals = self._scratch / "journals"
        self._evidence = self._scratch / "evidence"
        try:
            self._set_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _set_up(self) -> None:
        self._journals.mkdir()
        self._evidence.mkdir()
        self._context.set_forkserver_preload(["tests.lab.service", "tests.lab.film", "sqlalchemy", "psycopg_pool"])
        self.engine.enter()
        self._limits = self.engine.limits()
        self._version = self.engine.version()
        if getattr(self.scenario, "HAS_METRICS", False):
            self._watch_metrics()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        everybody = [running for group in self._running.values() for running in group.values()]
        for running in [*everybody, *([self._film] if self._film else [])]:
            running.process.kill()
            running.process.join(STOP_TIMEOUT_S)
        for part in (self._recorder, self._prometheus, self._exporter, self.pooler, self.server):
            if part is not None:
                part.stop()
        if self._network is not None:
            self._network.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # What a scenario says

    def role(self, *names: str, options: str = "") -> None:
        """Create login roles."""
        self.engine.add_users(names, options)
        self._users += names

    def open_pooler(self, **settings: object) -> None:
        """Put a PgBouncer in front of the server, for the roles there are."""
        told = {"stats_period": 60, **settings}
        self.pooler = PgBouncer(self.server, users=self._users, **told)
        self.pooler.__enter__()

    def open_network(self) -> None:
        """Have all services that are started from now on come over a line that can be cut."""
        self._network = TcpProxy("127.0.0.1", self.server.port)

    @property
    def network(self) -> TcpProxy:
        """The line that services come over."""
        if self._network is None:
            raise ValueError("no network was opened")
        return self._network

    def cut_network(self, says: str) -> None:
        """End all connections of services, on both sides, and refuse new ones until `network.restore()`."""
        self.event("network", "network", says)
        self.network.cut()
        self.network_ends.append(time.time())

    def start(self, service: Service, instances: int = 1, **dials: float) -> None:
        """Start a service."""
        if self.engine.recorded_as == "mysql" and service.name not in self._users:
            self.role(service.name)
        self._services[service.name] = service
        self._dials[service.name] = Dials(self._context)
        self._dials[service.name].turn(**dials)
        self._running[service.name] = {}
        for _ in range(instances):
            self._launch(service)

    def turn(self, service: str, **dials: float) -> None:
        """Turn the dials of a running service."""
        self._dials[service].turn(**dials)

    def scale(self, service: str, instances: int, every_s: float = 0.0) -> None:
        """Start or stop instances, one each `every_s`, until there are so many."""
        group = self._running[service]
        if len(group) != instances:
            self.event("scale", service, f"from {len(group)} to {instances} instances")
        while len(group) != instances:
            if len(group) < instances:
                self._launch(self._services[service])
            else:
                self._stop(service, [next(iter(group))])
            self._pause(every_s)

    def restart(self, service: str, says: str) -> None:
        """Stop all instances of a service at once and start as many under the same names."""
        names = list(self._running[service])
        self.event("service_restart", service, says)
        self.resets.append(time.time())
        self._stop(service, names)
        for name in names:
            self._launch(self._services[service], name)

    def bring_back(self, service: str, settle_s: float, every_s: float, **dials: float) -> None:
        """What helps against a storm: stop all instances, wait, start as many again, one each `every_s`."""
        instances = len(self._running[service])
        self.event("mitigation", service, "all workers stopped, to be started one instance after the other")
        self.scale(service, 0)
        self.turn(service, **dials)
        self.settle(settle_s)
        self.scale(service, instances, every_s=every_s)

    def deploy(self, service: str, says: str, every_s: float) -> None:
        """A rolling deploy: each instance is followed by a new one, which starts before the old one goes."""
        self.event("deploy", service, says)
        for name in list(self._running[service]):
            self._launch(self._services[service])
            self._pause(every_s)
            self._stop(service, [name])
        self.event("deploy_done", service, "all instances are new")

    def stop(self, service: str, says: str = "") -> None:
        """Stop a service for good."""
        if says:
            self.event("service_stop", service, says)
        self._stop(service, list(self._running[service]))

    def restart_server(self, says: str, pause_s: float) -> None:
        """Restart the database server."""
        self.event("server_restart", "server", says)
        self.server_ends.append(time.time())
        self.engine.restart(pause_s)
        self.server_ends.append(time.time())
        self.event("server_ready", "server", "takes connections again")

    def event(self, kind: str, name: str, says: str) -> None:
        """Note something that people did."""
        self._events.append({"at": truth.moment(time.time()), "kind": kind, "name": name, "says": says})
        print(f"{utc(time.time())} {kind} {name}: {says}", flush=True)

    def settle(self, seconds: float) -> None:
        """Let services warm up, unrecorded."""
        self._pause(seconds)

    def begin(self) -> None:
        """The evidence starts now."""
        if not getattr(self.scenario, "HAS_LOG_FROM_START", False):
            self._offsets = {name: _size(path) for name, path in self._logs().items()}
        self._since = time.time()
        append_row(self._evidence / "pools.csv", POOLS_HEADER)
        append_row(self._evidence / "workers.csv", ("sampled_at", "service", "workers"))
        if self._is_copied():
            info = self.server.conninfo(user="monitor", dbname="postgres", application_name=RECORDER, connect_timeout=5)
            stop = self._context.Event()
            blockers = getattr(self.scenario, "WITH_BLOCKERS", False)
            arguments = (info, self._evidence, self._journals, FILM_EVERY_S, blockers, stop)
            self._film = _Running(self._context.Process(target=film, args=arguments, daemon=True), stop)
            self._film.process.start()
        else:
            targets: dict[str, str] = {self.engine.recorded_as: self.engine.recorded_at()}
            if self.pooler is not None:
                targets["pgbouncer"] = f"host=127.0.0.1 port={self.pooler.port} user=stats sslmode=disable"
            every_s = getattr(self.scenario, "EVERY_S", RECORD_EVERY_S)
            self._recorder = Recorder(targets, self._scratch / "recorder", every_s)
            self._recorder.start()
        threading.Thread(target=self._count_workers, daemon=True).start()

    def until(self, second: float) -> None:
        """Let things happen until so many seconds after `begin`."""
        self._pause(self._since + second - time.time())

    def wait_for(self, what: str, times: int, timeout_s: float = 60.0) -> None:
        """Let things happen until the clients have noted something so many times since `begin`."""
        until = time.monotonic() + timeout_s
        while (found := sum(e.what == what and e.at >= self._since for e in self.entries())) < times:
            if time.monotonic() > until:
                raise AssertionError(f"{what} was noted {found} times in {timeout_s} s, not {times}")
            time.sleep(0.2)

    def entries(self) -> list[Entry]:
        """All journals so far."""
        return list(read(self._journals))

    def first(self, what: str, service: str, since: float = 0.0) -> float:
        """When a service first noted something."""
        return next(e.at for e in self.entries() if e.what == what and e.service == service and e.at >= since)

    def event_at(self, kind: str) -> float:
        """When the first event of a kind was noted."""
        at = next(event["at"] for event in self._events if event["kind"] == kind)
        return at.replace(tzinfo=UTC).timestamp()  # type: ignore[attr-defined, no-any-return]

    def finish(self) -> None:
        """Take the evidence from the running server, as an engineer would, and write the folder."""
        until = time.time()
        self._is_over.set()
        time.sleep(LOG_DELAY_S)
        for name, path in self._logs().items():
            self._take_log(name, path)
        if self._film:
            self._film.stop.set()
            self._film.process.join(STOP_TIMEOUT_S)
        if self._recorder:
            self._recorder.stop()
            self._recorder.hand_over(self._evidence)
            self._recorder.write_books(self.engine.recorded_as, self._journals)
        if self._prometheus is not None:
            self._ask_metrics(self._prometheus.url, until)
        self._write_marks()
        for name in ("pools.csv", "workers.csv"):
            _drop_if_only_header(self._evidence / name)
        entries = [entry for entry in self.entries() if entry.at < until]
        facts = self._facts(entries, until)
        shutil.rmtree(self.out / "evidence", ignore_errors=True)
        self.out.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._evidence, self.out / "evidence", copy_function=shutil.copyfile)
        (self.out / "truth.toml").write_text(truth.as_toml(facts))
        (self.out / "README.md").write_text(self._readme(facts))

    # How it is done

    def _launch(self, service: Service, name: str | None = None) -> None:
        if name is None:
            self._launched[service.name] += 1
            name = f"{service.name}-{self._launched[service.name]}"
        number = list(self._services).index(service.name) + 1
        door = self.engine.door(service, number, int(name.rpartition("-")[2]), self._port(service))
        stop = self._context.Event()
        pools = self._evidence / "pools.csv"
        log = self._app_log(service, name)
        arguments = (service, name, door, self._dials[service.name], stop, self._journals, pools, SAMPLE_EVERY_S, log)
        process = self._context.Process(target=serve, args=arguments, daemon=True)
        process.start()
        self._running[service.name][name] = _Running(process, stop)
        self._lives.setdefault(service.name, []).append(time.time())

    def _stop(self, service: str, names: list[str]) -> None:
        group = self._running[service]
        for name in names:
            group[name].stop.set()
        for name in names:
            process = group.pop(name).process
            process.join(STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()
                Journal(self._journals, service, name).write("exit")

    def _port(self, service: Service) -> int | None:
        if service.behind_pooler:
            if self.pooler is None:
                raise ValueError(f"{service.name} is behind a pooler that was not opened")
            return self.pooler.port
        return self._network.port if self._network is not None else None

    def _is_copied(self) -> bool:
        return getattr(self.scenario, "FILM", "") == "copy"

    def _app_log(self, service: Service, instance: str) -> Path | None:
        """The log of a service; of a Java program that of each instance, for its threads have the same names in all."""
        if service.name not in getattr(self.scenario, "HAVE_LOGS", ()):
            return None
        return self._scratch / f"{instance if service.kind == 'hikari' else service.name}.log"

    def _logs(self) -> dict[str, Path]:
        found = dict(self.engine.logs)
        if self.pooler is not None:
            found["pgbouncer.log"] = self.pooler.log_path
        return {**found, **{path.name: path for path in self._scratch.glob("*.log")}}

    def _log_since_begin(self, name: str) -> bytes:
        path = self._logs()[name]
        text = path.read_bytes()[self._offsets.get(name, 0) :] if path.exists() else b""
        return text[: text.rfind(b"\n") + 1]

    def _take_log(self, name: str, path: Path) -> None:
        """Copy what was written since the beginning; a large log compressed, without a time that would differ each time."""
        text = self._log_since_begin(name)
        for here in HERE:
            text = text.replace(here, DEPLOYED)
        if len(text) > MOST_PLAIN_BYTES and not self._is_copied():
            (self._evidence / f"{name}.gz").write_bytes(gzip.compress(text, 9, mtime=0))
        elif text:
            (self._evidence / name).write_bytes(text)

    def _watch_metrics(self) -> None:
        self.server.run(f"CREATE ROLE {EXPORTER} LOGIN IN ROLE pg_monitor")
        self._exporter = PostgresExporter(self.server, EXPORTER).__enter__()
        self._prometheus = Prometheus(self._exporter, every="5s").__enter__()

    def _ask_metrics(self, url: str, until: float) -> None:
        """Ask Prometheus for the past, as one does after an incident; enter the exporter's sessions into the books."""
        times = [f"{truth.moment(at).isoformat(timespec='seconds')}Z" for at in (self._since, until)]
        asked = ["--since", times[0], "--until", times[1], "--every", "5s", "-o", str(self._scratch / "metrics")]
        subprocess.run([PROGRAM, "record", "prometheus", url, *asked], check=True)
        shutil.copytree(next((self._scratch / "metrics").iterdir()), self._evidence / "prometheus")
        journal = Journal(self._journals, EXPORTER, EXPORTER)
        for at, what, pid in self.engine.sessions_of(EXPORTER):
            journal.write(what, at, pid=pid)

    def _write_marks(self) -> None:
        if not getattr(self.scenario, "HAS_MARKS", False):
            return
        append_row(self._evidence / "deployments.csv", ("time", "event", "service", "description"))
        for event in self._events:
            if event["kind"] in MARKED:
                at = event["at"].strftime("%Y-%m-%d %H:%M:%S")  # type: ignore[attr-defined]
                append_row(self._evidence / "deployments.csv", (at, event["kind"], event["name"], event["says"]))

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)

    def _count_workers(self) -> None:
        path = self._evidence / "workers.csv"
        while not self._is_over.wait(SAMPLE_EVERY_S - time.time() % SAMPLE_EVERY_S):
            now = utc(time.time())
            for name, service in list(self._services.items()):
                if service.kind == "invocations":
                    append_row(path, (now, name, int(self._dials[name].live)))
                elif service.kind in ("sqlalchemy", "psycopg_pool", "hikari", "held"):
                    append_row(path, (now, name, len(self._running[name])))

    def _facts(self, entries: list[Entry], until: float) -> Mapping[str, object]:
        at_pooler = {name for name, service in self._services.items() if service.behind_pooler}
        own = self._pooler_books(until)
        at_server = sorted([*(e for e in entries if e.service not in at_pooler), *own], key=lambda entry: entry.at)
        open_sessions = self._sessions(at_server)
        most, when = truth.peak(open_sessions, self._since, until)
        facts: dict[str, object] = {
            "scenario": self.name,
            "cause": self.scenario.CAUSE,
            "also_causes": list(getattr(self.scenario, "ALSO", ())),
            "engine": self.engine.name,
            "server_version": self._version,
            "since": truth.moment(self._since),
            "until": truth.moment(until),
        }
        if self.onset is not None:
            facts |= {"onset_at": truth.moment(self.onset), "onset_means": self.onset_means}
        if self.culprit:
            facts["culprit"] = self.culprit
        facts |= {
            "limits": self._limits,
            "peak": {"in_use": most, "usable": self._limits["usable"], "at": truth.moment(when)},
            "refusals": truth.refusals(at_server, self._since, until),
            "unanswered": truth.unanswered(entries, self._since, until),
            "pooler": self._pooler_facts(entries, at_pooler, until),
            "ramps": truth.ramps(entries, self.resets),
            "events": self._events,
            "services": [
                self._service_facts(
                    name, entries, truth.sessions(entries) if name in at_pooler else open_sessions, until
                )
                for name in [*self._services, "recorder", *([EXPORTER] if self._exporter else [])]
            ],
        }
        return {key: value for key, value in facts.items() if value not in ([], {})}

    def _service_facts(
        self, name: str, entries: list[Entry], open_sessions: list[truth.OpenSession], until: float
    ) -> dict[str, object]:
        counts = Counter(e.what for e in entries if e.service == name and self._since <= e.at < until)
        mine = [one for one in open_sessions if one.service == name]
        service = self._services.get(name)
        facts: dict[str, object] = {
            "name": service.name if service else self._watcher(name),
            "user": self.engine.door(service, 1, 1).user if service else engines.RECORDER_USER,
            "kind": service.kind if service else "recorder",
        }
        if name == EXPORTER:
            facts |= {"user": EXPORTER, "kind": "exporter"}
        if service and service.behind_pooler:
            facts["through"] = "pgbouncer"
        if service and service.kind in ("probe", "scan"):
            del facts["user"]
        if service and service.kind in ("sqlalchemy", "psycopg_pool", "hikari"):
            facts |= {"pool_size": service.size, "max_overflow": service.overflow}
        kept = {"checkout_timeouts": counts["timeout"], "leaks": counts["leak"]}
        return {
            **facts,
            "instances_started": len(self._lives.get(name, [1])),
            "instances_at_end": len(self._running.get(name, [1])),
            "requests_done": counts["done"],
            "requests_failed": counts["failed"] + counts["timeout"],
            "connects": counts["open"],
            "refused": counts["refused"],
            **{key: value for key, value in kept.items() if value},
            "peak_open": truth.peak(mine, self._since, until)[0],
        }

    def _sessions(self, entries: list[Entry]) -> list[truth.OpenSession]:
        """Sessions at the server: those of services end with it and when the network is cut, the recorder's with it."""
        entries = self._with_server_ends(entries)
        own = [entry for entry in entries if entry.service in ("recorder", EXPORTER)]
        others = [entry for entry in entries if entry.service not in ("recorder", EXPORTER)]
        ends = sorted([*self.server_ends, *self.network_ends])
        return [*truth.sessions(own, self.server_ends), *truth.sessions(others, ends)]

    def _with_server_ends(self, entries: list[Entry]) -> list[Entry]:
        """A dropped attempt is closed for its client while the server still works for it: the log has its real end."""
        ends = self.engine.session_ends()
        held = {name for name, service in self._services.items() if service.kind == "held"}

        def really_ended(entry: Entry) -> Entry:
            if entry.what != "close" or entry.service not in held:
                return entry
            at = next((at for at in ends.get(entry.detail["pid"], []) if at >= entry.at), entry.at)
            return dataclasses.replace(entry, at=at)

        return sorted(map(really_ended, entries), key=lambda entry: entry.at)

    def _watcher(self, name: str) -> str:
        return name if name == EXPORTER else RECORDER if self._is_copied() else APPLICATION

    def _pooler_books(self, until: float) -> list[Entry]:
        """Sessions that the pooler had at the server and refusals it got there, from its own log: all of it."""
        if self.pooler is None:
            return []
        return [entry for entry in truth.pooler_entries(self.pooler.log_path.read_text()) if entry.at < until]

    def _pooler_facts(self, entries: list[Entry], at_pooler: set[str], until: float) -> dict[str, object]:
        if self.pooler is None:
            return {}
        theirs = [entry for entry in entries if entry.service in at_pooler]
        most, when = truth.peak(truth.sessions(theirs), self._since, until)
        kept = ("pool_mode", "default_pool_size", "reserve_pool_size", "max_client_conn", "query_wait_timeout")
        return {
            "kind": "pgbouncer",
            **{name: self.pooler.settings[name] for name in kept},
            "peak_clients": most,
            "peak_at": truth.moment(when),
            "refusals": truth.refusals(theirs, self._since, until),
            "query_wait_timeouts": sum(
                e.what in ("failed", "refused") and "query_wait_timeout" in str(e.detail.get("says"))
                for e in theirs
                if e.at >= self._since
            ),
        }

    def _readme(self, facts: Mapping[str, object]) -> str:
        refused = facts["refusals"]["total"]  # type: ignore[index]
        shown = sorted(path.name + "/" * path.is_dir() for path in self._evidence.iterdir())
        pooler = facts.get("pooler", {})
        behind = f", {pooler['refusals']['total']} more at the pooler" if pooler else ""  # type: ignore[index]
        lines = [
            f"# {self.name}",
            f"{self.scenario.SAYS}",
            f"Recorded on {self.engine.title} {re.split('[ -]', str(facts['server_version']))[0]}"
            f"{' behind PgBouncer' if pooler else ''}, {facts['since']:%Y-%m-%d %H:%M} to {facts['until']:%H:%M} UTC; "
            f"the clients counted {refused} refusals{behind}.",
            f"`evidence/` holds {', '.join(shown)}; `truth.toml` says what really happened, from the clients' own books.",
            f"Play it again: `python -m tests.lab play {self.name} -o DIR`.",
        ]
        return "\n".join(lines) + "\n"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _drop_if_only_header(path: Path) -> None:
    if path.exists() and path.read_text().count("\n") <= 1:
        path.unlink()
