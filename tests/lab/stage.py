"""The stage an incident is played on: one server, its services, the recorder, and the script's own notes.

A scenario is a module of tests/lab/incidents with `CAUSE`, `SAYS` (three sentences for the README), `SERVER` (settings)
and `play(stage)`. Before `stage.begin()` services settle; the evidence starts there, in the middle of a running day, so
sessions older than the log exist in it, as they do after every rotation.
"""

from __future__ import annotations

import csv
import dataclasses
import multiprocessing
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType

from tests.lab import truth
from tests.lab.film import RECORDER, film
from tests.lab.journal import Entry, Journal, read
from tests.lab.postgres import TRUST_RULES, Postgres
from tests.lab.service import POOLS_HEADER, ROWS, Dials, Service, append_row, serve, utc

SAMPLE_EVERY_S = 2.0
"""How often pools and workers are sampled."""

FILM_EVERY_S = 3.0
"""How often pg_stat_activity is: a 5 minutes' recording of 60 backends stays under 2 MB."""

STOP_TIMEOUT_S = 8.0

SCHEMA = (
    f"CREATE TABLE orders AS SELECT id, id % 100 AS customer, 0 AS total FROM generate_series(0, {ROWS - 1}) AS id",
    "ALTER TABLE orders ADD PRIMARY KEY (id), SET (fillfactor = 50)",
    "CREATE INDEX ON orders (customer)",
    "GRANT ALL ON orders TO PUBLIC",
)


class _Running:
    """One instance: its process and the event that stops it."""

    def __init__(self, process: BaseProcess, stop: Event) -> None:
        self.process = process
        self.stop = stop


class Stage:
    """Starts the server on entering; `finish` writes the incident's folder; leaving stops everything."""

    def __init__(self, name: str, scenario: ModuleType | SimpleNamespace, out: Path, version: int = 15) -> None:
        self.name = name
        self.scenario = scenario
        self.out = out
        self.server = Postgres(version, **scenario.SERVER, hba=getattr(scenario, "HBA", TRUST_RULES))
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
        self._film: _Running | None = None
        self._is_over = threading.Event()
        self._since = 0.0
        self._log_offset = 0

    def __enter__(self) -> Stage:
        self._scratch = Path(tempfile.mkdtemp(prefix="cfstage"))
        self._journals = self._scratch / "journals"
        self._evidence = self._scratch / "evidence"
        self._journals.mkdir()
        self._evidence.mkdir()
        self._context.set_forkserver_preload(["tests.lab.service", "tests.lab.film", "sqlalchemy", "psycopg_pool"])
        self.server.__enter__()
        self.server.run("CREATE DATABASE shop", "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        self.server.run(*SCHEMA, dbname="shop")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        everybody = [running for group in self._running.values() for running in group.values()]
        for running in [*everybody, *([self._film] if self._film else [])]:
            running.process.kill()
            running.process.join(STOP_TIMEOUT_S)
        self.server.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # What a scenario says

    def role(self, *names: str, options: str = "") -> None:
        """Create login roles."""
        self.server.run(*(f"CREATE ROLE {name} LOGIN {options}" for name in names))

    def start(self, service: Service, instances: int = 1, **dials: float) -> None:
        """Start a service."""
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
        self.server.restart(pause_s=pause_s)
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
        self._log_offset = self.server.log_path.stat().st_size
        self._since = time.time()
        append_row(self._evidence / "pools.csv", POOLS_HEADER)
        append_row(self._evidence / "workers.csv", ("sampled_at", "service", "workers"))
        info = self.server.conninfo(user="monitor", dbname="postgres", application_name=RECORDER, connect_timeout=5)
        stop = self._context.Event()
        blockers = getattr(self.scenario, "WITH_BLOCKERS", False)
        arguments = (info, self._evidence, self._journals, FILM_EVERY_S, blockers, stop)
        self._film = _Running(self._context.Process(target=film, args=arguments, daemon=True), stop)
        self._film.process.start()
        threading.Thread(target=self._count_workers, daemon=True).start()

    def until(self, second: float) -> None:
        """Let things happen until so many seconds after `begin`."""
        self._pause(self._since + second - time.time())

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
        if self._film:
            self._film.stop.set()
            self._film.process.join(STOP_TIMEOUT_S)
        text = self.server.log_path.read_bytes()[self._log_offset :]
        (self._evidence / "postgresql.log").write_bytes(text[: text.rindex(b"\n") + 1])
        for name in ("pools.csv", "workers.csv"):
            _drop_if_only_header(self._evidence / name)
        entries = [entry for entry in self.entries() if entry.at < until]
        facts = self._facts(entries, until)
        shutil.rmtree(self.out / "evidence", ignore_errors=True)
        self.out.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._evidence, self.out / "evidence")
        (self.out / "truth.toml").write_text(truth.as_toml(facts))
        (self.out / "README.md").write_text(self._readme(facts))

    # How it is done

    def _launch(self, service: Service, name: str | None = None) -> None:
        if name is None:
            self._launched[service.name] += 1
            name = f"{service.name}-{self._launched[service.name]}"
        info = self.server.conninfo(
            user=service.user, dbname=service.database, application_name=service.name, connect_timeout=5
        )
        stop = self._context.Event()
        pools = self._evidence / "pools.csv"
        arguments = (service, name, info, self._dials[service.name], stop, self._journals, pools, SAMPLE_EVERY_S)
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
                elif service.kind in ("sqlalchemy", "psycopg_pool", "held"):
                    append_row(path, (now, name, len(self._running[name])))

    def _facts(self, entries: list[Entry], until: float) -> Mapping[str, object]:
        open_sessions = truth.sessions(self._with_server_ends(entries), self.server_ends)
        most, when = truth.peak(open_sessions, self._since, until)
        settings = self.server.settings
        facts: dict[str, object] = {
            "scenario": self.name,
            "cause": self.scenario.CAUSE,
            "engine": "postgres",
            "server_version": self._server_version(),
            "since": truth.moment(self._since),
            "until": truth.moment(until),
        }
        if self.onset is not None:
            facts |= {"onset_at": truth.moment(self.onset), "onset_means": self.onset_means}
        if self.culprit:
            facts["culprit"] = self.culprit
        facts |= {
            "limits": {
                "max_connections": int(str(settings["max_connections"])),
                "superuser_reserved": int(str(settings["superuser_reserved_connections"])),
                "usable": self.server.usable,
            },
            "peak": {"in_use": most, "usable": self.server.usable, "at": truth.moment(when)},
            "refusals": truth.refusals(entries, self._since, until),
            "unanswered": truth.unanswered(entries, self._since, until),
            "ramps": truth.ramps(entries, self.resets),
            "events": self._events,
            "services": [
                self._service_facts(name, entries, open_sessions, until) for name in [*self._services, "recorder"]
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
            "name": service.name if service else RECORDER,
            "user": service.user if service else "monitor",
            "kind": service.kind if service else "recorder",
        }
        if service and service.kind in ("probe", "scan"):
            del facts["user"]
        if service and service.kind in ("sqlalchemy", "psycopg_pool"):
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

    def _with_server_ends(self, entries: list[Entry]) -> list[Entry]:
        """A dropped attempt is closed for its client while the server still works for it: the log has its real end."""
        ends = _disconnections(self.server.log_text())
        held = {name for name, service in self._services.items() if service.kind == "held"}

        def really_ended(entry: Entry) -> Entry:
            if entry.what != "close" or entry.service not in held:
                return entry
            at = next((at for at in ends.get(entry.detail["pid"], []) if at >= entry.at), entry.at)
            return dataclasses.replace(entry, at=at)

        return sorted(map(really_ended, entries), key=lambda entry: entry.at)

    def _server_version(self) -> str:
        with (self._evidence / "settings.csv").open(newline="") as file:
            return next(row["setting"] for row in csv.DictReader(file) if row["name"] == "server_version")

    def _readme(self, facts: Mapping[str, object]) -> str:
        refused = facts["refusals"]["total"]  # type: ignore[index]
        shown = sorted(path.name for path in self._evidence.iterdir())
        lines = [
            f"# {self.name}",
            f"{self.scenario.SAYS}",
            f"Recorded on PostgreSQL {str(facts['server_version']).split()[0]}, {facts['since']:%Y-%m-%d %H:%M} to "
            f"{facts['until']:%H:%M} UTC; the clients counted {refused} refusals.",
            f"`evidence/` holds {', '.join(shown)}; `truth.toml` says what really happened, from the clients' own books.",
            f"Play it again: `python -m tests.lab play {self.name} -o DIR`.",
        ]
        return "\n".join(lines) + "\n"


def _disconnections(log: str) -> dict[int, list[float]]:
    """pid to the times of its disconnection lines, from a log with the usual prefix."""
    found: dict[int, list[float]] = {}
    for stamp, pid in re.findall(r"^(\S+ \S+) UTC \[(\d+)\] .*LOG:  disconnection:", log, re.MULTILINE):
        at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
        found.setdefault(int(pid), []).append(at)
    return found


def _drop_if_only_header(path: Path) -> None:
    if path.exists() and path.read_text().count("\n") <= 1:
        path.unlink()
