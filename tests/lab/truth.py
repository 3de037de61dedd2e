"""What really happened, from the clients' journals and the stage's own script: the content of truth.toml.

    cause, also_causes              of the closed list; also_causes: true as well, but not what decided
    engine, server_version, since, until
    onset_at, onset_means           when the defect first did something, and what counts as that
    [culprit] kind, name, also      kind: service (its application_name), role, host, server; also: names as true
    [limits]  max_connections, usable (slots for users without privileges), superuser_reserved and reserved
    [peak]    in_use, at            most sessions open at one instant at the server; refused ones are not sessions
    [refusals] total, first_at, last_at; [refusals.by_kind]; [refusals.by_service]
              what clients were told by the server when they connected; kinds are event kinds. PostgreSQL's log has all
              of them; those of MariaDB and MySQL hardly any of refused_full and refused_quota
    [unanswered]                    connects that failed without a word of the server (nobody listened, ...)
    [pooler]  settings, peak_clients, query_wait_timeouts, refusals as above but told by the pooler; a service `pgbouncer`
              in the server's refusals is the pooler as the server's client
    [[ramps]] began_at, ended_at, kept   only where connections leak: first and last connection kept, and how many
    [[events]] at, kind, name, says
    [[services]] name, user, kind, instances, requests, connects, refused, checkout_timeouts, peak_open, ...

Times are UTC without a zone and come from the machine's one clock.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.lab.journal import UNLOGGED, Entry, refusal_kind


@dataclass(frozen=True)
class OpenSession:
    """A session as its client saw it, in seconds since 1970; `ended` is infinite while it is open."""

    service: str
    instance: str
    pid: int
    opened: float
    ended: float


def sessions(entries: Iterable[Entry], server_ends: Sequence[float] = ()) -> list[OpenSession]:
    """Sessions from journals; a process that leaves ends its own, a server that stops ends all (`server_ends`)."""
    running: dict[tuple[str, int], Entry] = {}
    found: list[OpenSession] = []

    def end(key: tuple[str, int], at: float) -> None:
        begun = running.pop(key)
        stops = [stop for stop in server_ends if begun.at < stop < at]
        found.append(OpenSession(begun.service, key[0], key[1], begun.at, min([at, *stops])))

    for entry in entries:
        if entry.what == "open":
            key = (entry.instance, entry.detail["pid"])
            if key in running:
                end(key, entry.at)
            running[key] = entry
        elif entry.what == "close" and (entry.instance, entry.detail["pid"]) in running:
            end((entry.instance, entry.detail["pid"]), entry.at)
        elif entry.what == "exit":
            for key in [key for key in running if key[0] == entry.instance]:
                end(key, entry.at)
    for key in list(running):
        end(key, float("inf"))
    return found


def peak(found: Iterable[OpenSession], since: float, until: float) -> tuple[int, float]:
    """Most sessions open at one instant of the window, and the first such instant."""
    steps = sorted(
        step for one in found if one.ended > since for step in ((max(one.opened, since), 1), (one.ended, -1))
    )
    most, when, open_now = 0, since, 0
    for at, change in steps:
        if at > until:
            break
        open_now += change
        if open_now > most:
            most, when = open_now, at
    return most, when


POOLER_LINE = re.compile(
    r"^(?P<stamp>\S+ \S+) UTC \[\d+\] (?:LOG|WARNING|ERROR) "
    r"(?:S-(?P<socket>\w+): \S+ (?:new connection to server|closing because: (?P<why>[^(]*?) \().*"
    r"|S: login failed: FATAL: (?P<refusal>.*))$",
    re.MULTILINE,
)
"""What PgBouncer says of its own connections to the server."""


NEVER_OPEN = ("login failed", "connect failed", "server login failed")


def pooler_entries(log: str) -> list[Entry]:
    """PgBouncer's log as the books of a client: its sessions at the server and what the server refused it, in time order.

    A session is known by the address of PgBouncer's own structure, which is used again once it is closed. A connection
    whose login failed was never a session.
    """
    open_now: dict[str, Entry] = {}
    found: list[Entry] = []
    for number, line in enumerate(POOLER_LINE.finditer(log)):
        at = datetime.strptime(line["stamp"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
        if line["refusal"]:
            detail = {"kind": refusal_kind(line["refusal"]), "says": line["refusal"]}
            found.append(Entry(at, "pgbouncer", "pgbouncer", "refused", detail))
        elif line["why"] is None:
            open_now[line["socket"]] = Entry(at, "pgbouncer", "pgbouncer", "open", {"pid": number})
        elif (begun := open_now.pop(line["socket"], None)) is not None and line["why"] not in NEVER_OPEN:
            found += [begun, Entry(at, "pgbouncer", "pgbouncer", "close", begun.detail)]
    return sorted([*found, *open_now.values()], key=lambda entry: entry.at)


def refusals(entries: Iterable[Entry], since: float, until: float) -> dict[str, object]:
    """Counts of refusals that the server gave words for, with their first and last time."""
    told = [
        entry
        for entry in entries
        if entry.what == "refused" and entry.detail["kind"] not in UNLOGGED and since <= entry.at < until
    ]
    times = {"first_at": moment(told[0].at), "last_at": moment(told[-1].at)} if told else {}
    return {
        "total": len(told),
        **times,
        "by_kind": dict(sorted(Counter(entry.detail["kind"] for entry in told).items())),
        "by_service": dict(sorted(Counter(entry.service for entry in told).items())),
    }


def unanswered(entries: Iterable[Entry], since: float, until: float) -> dict[str, int]:
    """Connects that failed in ways no server log can tell."""
    kinds = (
        entry.detail["kind"]
        for entry in entries
        if entry.what == "refused" and entry.detail["kind"] in UNLOGGED and since <= entry.at < until
    )
    return dict(sorted(Counter(kinds).items()))


def ramps(entries: Iterable[Entry], resets: Sequence[float]) -> list[dict[str, object]]:
    """Leaks between restarts of the leaking service: when the first and the last was taken, and how many."""
    leaks = [entry.at for entry in entries if entry.what == "leak"]
    bounds = [0.0, *sorted(resets), float("inf")]
    parts = [[at for at in leaks if low <= at < high] for low, high in itertools.pairwise(bounds)]
    return [{"began_at": moment(part[0]), "ended_at": moment(part[-1]), "kept": len(part)} for part in parts if part]


def moment(at: float) -> datetime:
    """Seconds since 1970 as a naive UTC time, to the millisecond."""
    return datetime.fromtimestamp(round(at, 3), UTC).replace(tzinfo=None)


def as_toml(facts: Mapping[str, object]) -> str:
    """The facts as TOML: plain values first, then tables, then arrays of tables."""
    return "\n".join(_table(facts, "")).strip() + "\n"


def _table(facts: Mapping[str, object], path: str) -> list[str]:
    lines = [f"{key} = {_value(value)}" for key, value in facts.items() if not _is_table(value)]
    for key, value in facts.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            lines += ["", f"[{inner}]", *_table(value, inner)]
        elif _is_table(value):
            for row in value:  # type: ignore[attr-defined]
                lines += ["", f"[[{inner}]]", *_table(row, inner)]
    return lines


def _is_table(value: object) -> bool:
    is_rows = isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)
    return isinstance(value, Mapping) or is_rows


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
