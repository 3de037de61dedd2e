"""A large PostgreSQL log with a truth of its own: what was written, by kind, pid and line.

Sessions overlap on reused pids, some are refused, statements span lines, so that a reader that only looks right on
calm logs is found out. The same seed writes the same bytes.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

STARTED_AT = datetime(2026, 3, 2, 8, 0, 0)
STATEMENT = (
    "SELECT o.id, o.placed_at, o.total FROM orders AS o WHERE o.customer_id = {} ORDER BY o.placed_at DESC LIMIT 50"
)


@dataclass(slots=True)
class Truth:
    """What the log says: events by kind, and a checksum of `line_no * pid` by kind that pins every line to its pid."""

    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Client:
    """Who a session belongs to."""

    user: str
    database: str
    application: str
    host: str


def _default(at: datetime, pid: int, line: int, client: Client | None, port: int) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC [{pid}] "


def _debian(at: datetime, pid: int, line: int, client: Client | None, port: int) -> str:
    head = f"{at:%Y-%m-%d %H:%M:%S} UTC [{pid}]: [{line}-1] "
    if client is None:
        return head + "user=,db=,app=,client= "
    return f"{head}user={client.user},db={client.database},app={client.application},client={client.host} "


def _rds(at: datetime, pid: int, line: int, client: Client | None, port: int) -> str:
    who = f"{client.host}({port}):{client.user}@{client.database}" if client else ":@"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC:{who}:[{pid}]:"


def _named(at: datetime, pid: int, line: int, client: Client | None, port: int) -> str:
    who = f"{client.user}@{client.database}/{client.application} {client.host} " if client else ""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC [{pid}] {who}"


def _late(at: datetime, pid: int, line: int, client: Client | None, port: int) -> str:
    host, app = (client.host, client.application) if client else ("", "")
    who = f"{client.user}@{client.database}" if client else "@"
    stamp = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
    return f"{host} [{pid}] 6b010b19.{pid:x} {stamp} UTC {app} {who} line:{line} "


def _csv(at: datetime, pid: int, line: int, client: Client | None, port: int, label: str, message: str) -> str:
    stamp = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
    user, database = (f'"{client.user}"', f'"{client.database}"') if client else ("", "")
    peer = f'"{client.host}:{port}"' if client else ""
    app, kind = (client.application, "client backend") if client else ("", "checkpointer")
    state = "53300" if label == "FATAL" else "00000"
    return (
        f'{stamp},{user},{database},{pid},{peer},6b010b19.{pid:x},{line},"SELECT",2026-03-02 08:00:00 UTC,3/{line},0,'
        f'{label},{state},"{message}",,,,,,,,,"{app}","{kind}",,0\n'
    )


def _json(at: datetime, pid: int, line: int, client: Client | None, port: int, label: str, message: str) -> str:
    told: dict[str, object] = {"timestamp": f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"}
    if client:
        told |= {"user": client.user, "dbname": client.database}
    told["pid"] = pid
    if client:
        told |= {"remote_host": client.host, "remote_port": port}
    told |= {"session_id": f"6b010b19.{pid:x}", "line_num": line, "ps": "SELECT"}
    told |= {"session_start": "2026-03-02 08:00:00 UTC", "vxid": f"3/{line}", "txid": 0, "error_severity": label}
    if label == "FATAL":
        told["state_code"] = "53300"
    told["message"] = message
    if client:
        told["application_name"] = client.application
    told |= {"backend_type": "client backend", "query_id": 0}
    return json.dumps(told, separators=(",", ":")) + "\n"


FRAMES: dict[str, Callable[[datetime, int, int, Client | None, int, str, str], str]] = {
    "csvlog": _csv,
    "jsonlog": _json,
}
"""Logs whose lines are no prefix and message."""

PREFIXES: dict[str, Callable[[datetime, int, int, Client | None, int], str]] = {
    "%m [%p] ": _default,
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ": _debian,
    "%t:%r:%u@%d:[%p]:": _rds,
    "%m [%p] %q%u@%d/%a %h ": _named,
    "%h [%p] %c %m %a %u@%d line:%l ": _late,
}


def write_log(path: Path, lines: int, prefix: str, seed: int = 20260302) -> Truth:
    """Write about `lines` lines with `prefix` (a key of `PREFIXES` or `FRAMES`) and return their truth."""
    rng = random.Random(seed)
    truth = Truth()
    services = [("orders", 24), ("billing", 12), ("search", 40), ("mail", 6), ("report worker", 3)]
    unknown = {
        (user, host): Client("[unknown]", "[unknown]", "[unknown]", host)
        for user, count in services
        for host in [f"10.0.{len(user)}.{n}" for n in range(count)]
    }
    at = STARTED_AT
    pid, top_pid = 4000, 400_000
    open_sessions: list[tuple[int, Client, int, datetime, int]] = []
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def put(kind: str | None, text: str, who: int, client: Client | None, line: int, port: int = 0) -> None:
            if kind:
                truth.kinds[kind] += 1
                truth.sums[kind] += (truth.lines + 1) * who
            if prefix in FRAMES:
                label, _, message = text.partition(":  ")
                written = FRAMES[prefix](at, who, line, client, port, label, message)
            else:
                written = f"{PREFIXES[prefix](at, who, line, client, port)}{text}\n"
            truth.lines += written.count("\n")
            file.write(written)

        while truth.lines < lines:
            at += timedelta(milliseconds=rng.randrange(1, 9))
            pid = pid + 1 if pid < top_pid else 4000
            service, hosts = services[min(int(rng.expovariate(0.7)), len(services) - 1)]
            host = f"10.0.{len(service)}.{rng.randrange(hosts)}"
            user = service.split()[0]
            nobody = unknown[service, host]
            early = Client(user, "shop", "[unknown]", host)
            client = Client(user, "shop", service, host)
            port = rng.randrange(32768, 60999)
            put("connection_received", f"LOG:  connection received: host={host} port={port}", pid, nobody, 1, port)
            if rng.random() < 0.02:
                put("refused_full", "FATAL:  sorry, too many clients already", pid, early, 2, port)
                continue
            authorized = f"LOG:  connection authorized: user={user} database=shop application_name={service}"
            put("connection_authorized", authorized, pid, early, 2, port)
            if rng.random() < 0.02:
                reserved = "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"
                put("refused_reserved", reserved, pid, early, 3, port)
                continue
            for number in range(rng.choice((0, 1, 1, 2))):
                statement = STATEMENT.format(rng.randrange(10**6))
                if rng.random() < 0.25:
                    told = "\n\tFROM orders -- LOG:  connection received: host=1.2.3.4 port=5"
                    put(None, f"LOG:  statement: SELECT 1{told}", pid, client, 3 + number, port)
                else:
                    put(None, f"LOG:  execute S_{number}: {statement}", pid, client, 3 + number, port)
            if rng.random() < 0.01:
                put(None, "LOG:  checkpoint starting: time", 90, None, 7)
            open_sessions.append((pid, client, port, at, 9))
            if len(open_sessions) > 80:
                who, owner, source_port, since, line = open_sessions.pop(rng.randrange(len(open_sessions)))
                spent = at - since
                seconds = spent.total_seconds()
                told = f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{seconds % 60:06.3f}"
                text = (
                    f"LOG:  disconnection: session time: {told} user={owner.user} database=shop "
                    f"host={owner.host} port={source_port}"
                )
                put("connection_closed", text, who, owner, line, source_port)
    return truth
