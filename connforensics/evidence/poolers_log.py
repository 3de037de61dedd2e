"""Logs of the smaller poolers: Pgpool-II, PgCat, PgDog, Odyssey and Supavisor; refusals, time-outs, clients in and out.

How to obtain it: the file or the output of the container of each; for Pgpool-II switch on `log_connections` and
`log_disconnections`, for Odyssey `log_session`. Read are their own layouts (Pgpool-II's `%m: %a pid %p: `, the two of Rust's
loggers, Odyssey's `%p %t %l [%i %s] (%c) %m`, Elixir's); `engine` says whose log it is.
https://www.pgpool.net/docs/latest/en/html/runtime-config-logging.html
https://github.com/yandex/odyssey/blob/master/documentation/configuration.md
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import Frame
from connforensics.evidence.messages.poolers import CATALOGUE, ODYSSEY, PGCAT, PGDOG, PGPOOL, SUPAVISOR

_ISO: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?"


def _without_date(_: str, __: str | None) -> datetime | None:
    """A time without a date, or without a year, dates nothing: when the line was received does, where that is told."""
    return None


FRAMES: Final = (
    Frame(
        PGPOOL,
        rf"^(?P<stamp>{_ISO}(?: [A-Z]{{3,5}})?): (?:[^:]*? )?pid \d+: (?P<severity>LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|DEBUG\d?): +(?P<message>.*)$",
        "2026-11-21 03:12:00.250: child pid 4242: LOG:  ",
    ),
    Frame(
        PGCAT,
        rf"^\[?(?P<stamp>{_ISO}Z?) +(?P<severity>ERROR|WARN|INFO|DEBUG|TRACE) +(?:ThreadId\(\d+\) )?pgcat[\w:]*\]?:? (?P<message>.*)$",
        "[2026-11-21T03:12:00.250000Z INFO  pgcat::client] ",
    ),
    Frame(
        PGDOG,
        rf"^(?P<stamp>{_ISO}Z?) +(?P<severity>ERROR|WARN|INFO|DEBUG|TRACE) +(?:pgdog[\w:]*: )?(?P<message>.*)$",
        "2026-11-21T03:12:00.250000Z  INFO ",
    ),
    Frame(
        ODYSSEY,
        rf"^(?:\d+ )?(?P<stamp>{_ISO}(?: [A-Z+-]\S*)?) (?P<severity>info|error|debug|fatal|warning) \[(?P<session_key>\S+) \S+\] \(\S*\) (?P<message>.*)$",
        "4242 2026-11-21 03:12:00.250 UTC info [c0ffee1 none] (startup) ",
    ),
    Frame(
        ODYSSEY,
        r"^(?:\d+ )?(?P<stamp>\d{1,2} [A-Z][a-z]{2} \d\d:\d\d:\d\d\.\d+) (?P<severity>info|error|debug|fatal|warning) \[(?P<session_key>\S+) \S+\] \(\S*\) (?P<message>.*)$",
        "4242 21 Nov 03:12:00.250 info [c0ffee1 none] (startup) ",
        parse=_without_date,
    ),
    Frame(
        SUPAVISOR,
        rf"^(?P<stamp>{_ISO}Z?) (?:\S+=\S+ )*\[(?P<severity>debug|info|notice|warning|warn|error)\] (?P<message>.*)$",
        "2026-11-21 03:12:00.250 [error] ",
    ),
    Frame(
        SUPAVISOR,
        r"^(?P<stamp>\d\d:\d\d:\d\d\.\d{3}) (?:\S+=\S+ )*\[(?P<severity>debug|info|notice|warning|warn|error)\] (?P<message>.*)$",
        "03:12:00.250 project=shop user=app mode=session [error] ",
        parse=_without_date,
    ),
)

_OWN: Final = {PGPOOL: 0.99, PGCAT: 0.95, ODYSSEY: 0.9, PGDOG: 0.5, SUPAVISOR: 0.6}
"""How sure a header alone, with one known message, makes it; PgDog's and Supavisor's are those of every program in Rust and
Elixir."""


def certainty(head: Head) -> float:
    """How sure the lines are one of these poolers': by the header, and by how much of what they say is known."""
    found = line_log.look(head, FRAMES, CATALOGUE)
    if not found.known:
        return 0.0
    own = max(_OWN[frame.name] for frame in found.frames)
    named = any(
        word in line for line in head.lines for word in ("pgdog", "PgDog", "ClientHandler", "DbHandler", "supavisor")
    )
    return min(0.99, own + 0.35 * named) * found.share * (0.5 + 0.5 * found.known / found.framed)


def read(reading: Reading) -> None:
    """Store the events; the engine is the one whose header is met most."""
    found = line_log.look(reading.head, FRAMES, ())
    reading.engine = found.frames[0].name if found.frames else None
    line_log.read(reading, FRAMES, CATALOGUE)


_EXAMPLES: Final = {frame.name: frame.example for frame in reversed(FRAMES)}


def _line(sample: str, _: int) -> str:
    """Return a sample of the catalogue in the layout of its program."""
    entry = next(entry for entry in CATALOGUE if entry.sample == sample)
    return f"{_EXAMPLES[entry.frame or PGPOOL]}{sample}"


FORMAT = Format(
    name="poolers_log",
    engine=None,
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21 03:12:00.250: child pid 4242: LOG:  new connection received\n"
            "2026-11-21 03:12:00.250: child pid 4242: DETAIL:  connecting host=10.0.0.9 port=47246\n"
            "2026-11-21 03:12:04.000: child pid 4243: FATAL:  Sorry, too many clients already\n"
            "2026-11-21 03:12:05.000: child pid 4242: LOG:  frontend disconnection: session time: 0:00:04.750 user=app database=shop host=10.0.0.9 port=47246\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00.250", "engine": "pgpool", "kind": "connection_received",
                     "client_host": "10.0.0.9", "client_port": 47246},
                    {"line_no": 3, "kind": "refused_full", "reason": "num_init_children", "severity": "FATAL", "sqlstate": "53300"},
                    {"line_no": 4, "kind": "connection_closed", "user_name": "app", "database_name": "shop"},
                )
            },
            name="pgpool.log",
        ),
        Sample(
            "[2026-11-21T03:12:00.250000Z INFO  pgcat::client] Client 10.0.0.9:47246 connected (plain)\n"
            '[2026-11-21T03:12:05.250000Z ERROR pgcat::client] Could not get connection from pool: { pool_name: "shop", username: "app", shard: Some(0), error: "AllServersDown" }\n',
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00.250", "engine": "pgcat", "kind": "pooler_login",
                     "client_host": "10.0.0.9", "client_port": 47246},
                    {"line_no": 2, "kind": "pool_timeout", "database_name": "shop"},
                )
            },
            name="pgcat.log",
        ),
        Sample(
            "4242 2026-11-21 03:12:00.250 UTC info [c0ffee1 none] (startup) new client connection 10.0.0.9:47246\n"
            "4242 2026-11-21 03:12:01.250 UTC error [c0ffee1 none] (startup) too many active clients for user (pool_size for user shop.app reached 20)\n",
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00.250", "engine": "odyssey", "kind": "pooler_login",
                     "client_host": "10.0.0.9", "session_key": "c0ffee1"},
                    {"line_no": 2, "kind": "refused_quota", "user_name": "app", "database_name": "shop", "detail": "20"},
                )
            },
            name="odyssey.log",
        ),
        Sample(
            "pgpool 03:12:19.55 INFO  ==> Welcome to the Bitnami pgpool container\n"
            "pgpool 03:12:19.75 INFO  ==> ** Starting Pgpool-II **\n"
            "2026-11-21 03:12:19.831: main pid 1: LOG:  pgpool-II successfully started. version 4.5.5 (hotooriboshi)\n"
            "2026-11-21 03:13:19.831: [unknown] pid 153: FATAL:  Sorry, too many clients already\n",
            {
                "event": (
                    {"line_no": 3, "event_at": "2026-11-21T03:12:19.831", "engine": "pgpool", "kind": "server_ready"},
                    {"line_no": 4, "kind": "refused_full", "reason": "num_init_children"},
                )
            },
            name="pgpool.log",
        ),
        Sample(
            "2026-11-21T03:12:00.250000Z  INFO PgDog v0.1.14 (main) is starting\n"
            "2026-11-21T03:12:05.250000Z ERROR checkout timeout [shop, 10.0.0.2:5432]\n",
            {
                "event": (
                    {"line_no": 1, "engine": "pgdog", "kind": "server_ready"},
                    {"line_no": 2, "event_at": "2026-11-21T03:12:05.250", "kind": "pool_timeout", "reason": "checkout timeout"},
                )
            },
            name="pgdog.log",
        ),
        Sample(
            "2026-11-21 03:12:00.250 project=shop user=app mode=session [error] ClientHandler: (EMAXCONNSESSION) max clients reached in session mode - max clients are limited to pool_size: 15\n"
            "2026-11-21 03:12:01.250 project=shop user=app mode=transaction [error] ClientHandler: (ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms in transaction mode\n",
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00.250", "engine": "supavisor", "kind": "refused_full", "detail": "15"},
                    {"line_no": 2, "kind": "pool_timeout", "duration_ms": 60000.0, "detail": "transaction"},
                )
            },
            name="supavisor.log",
        ),
    ),
    catalogue=CATALOGUE,
    frames=(_line,),
)  # fmt: skip
