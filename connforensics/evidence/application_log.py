"""The log of an application that talks to a database: what its connection pool says, and what the server told it.

Any language and any logging layout: Spring Boot, logback, log4j, java.util.logging, Python's logging, structlog and logfmt,
Rails, Laravel and Monolog, PHP and Apache, Go, Elixir, serilog and NLog, and JSON loggers (pino, bunyan, winston, zap, ECS).
Read are HikariCP and the other pools of Java, SQLAlchemy, psycopg_pool, the pools of Node, .NET, Ruby, Go, Rust and Elixir,
and the refusals of servers and poolers that applications repeat (`client_refused`). Each event's `engine` is the library
that wrote it; it is NULL where the text is a server's or a pooler's.

How to obtain it: the file the application writes, `docker logs`, `kubectl logs --timestamps`, `journalctl -o short-iso`.
More is told where the pool's own logger is on: HikariCP at DEBUG (https://github.com/brettwooldridge/HikariCP) with
leakDetectionThreshold set, SQLAlchemy with `echo_pool="debug"` (https://docs.sqlalchemy.org/en/20/core/engines.html).

One failure is ONE event per record and kind, whatever its stack trace repeats. A suspected leak's `detail` names the
application's own code that took the connection. The lines of a log that holds no such message count as ignored: it was
understood, and it is silent.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Final

from connforensics.evidence import Format, Head, Reading, application_records, layouts
from connforensics.evidence.application_log_samples import SAMPLES
from connforensics.evidence.application_records import BARE_SHARE, CATALOGUE
from connforensics.evidence.layouts import FRAMES, JSON, SURE, UNMISTAKABLE
from connforensics.evidence.line_log import Frame

KNOWN_CERTAINTY: Final = 0.5
"""With messages of the catalogues in it; below what the formats of servers and poolers claim of their own logs."""

SILENT_CERTAINTY: Final = 0.35
"""With the layout of an application's log alone."""

UNMISTAKABLE_CERTAINTY: Final = 0.97
SILENT_UNMISTAKABLE_CERTAINTY: Final = 0.6
"""The same two, where most lines have a layout that no server writes (`[...] production.ERROR: ` reads much like
PostgreSQL's)."""

LAID_OUT: Final = 0.6
"""Share of lines (but those that go on with a record) with a layout and a severity, from which a silent log is claimed."""

FEWEST_LINES: Final = 5
"""Fewer lines with a layout do not make a silent log."""

TOLD_SHARE: Final = 0.5
"""Share of known messages among the lines of a text without any layout, from which it is claimed."""

_FOREIGN = re.compile(
    r"^(?:[^\"{]{0,200}?[\s\]:,])?(?:LOG|FATAL|ERROR|PANIC|STATEMENT|DETAIL|HINT|CONTEXT|WARNING|NOTICE):  "
    r"|\[MY-\d{6}\]|^\S{10,32} +\S{0,8} ?\d+ \[(?:Note|Warning|ERROR|System)\]"
    r"|\[\d+\] (?:LOG|WARNING|ERROR|FATAL|DEBUG|NOISE|INFO) (?:[CS]-0x|stats: |kernel |listening|process up|got )"
    r"|\w\.cpp:\d+:\w+\(\): \[|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [A-Z]{3,5},"
    r"|\"(?:error_severity|err_symbol|textPayload)\"\s*:|\"logger\"\s*:\s*\"(?:postgres|pgaudit)\""
)
"""Lines of servers' and poolers' own logs, which other formats read."""

_QUOTES = re.compile(
    r"[Ee]rror|[Ee]xception|ConnectionBad|[Ff]ailed|\bpsql: |SQLSTATE\["
    r"|\.(?:rb|py|js|ts|go|php|pl|java|ex|exs|rs|cs):\d+:|\b(?:ERROR|WARN(?:ING)?|CRITICAL|SEVERE)\b(?!:)"
)
"""What in front of a server's severity says that a client repeats its message: libpq keeps the server's two blanks."""

_TRACE = re.compile(
    r"^(?:.{0,120}Traceback \(most recent call last\)|\s*at [\w.@/$<>-]+[(.:]|\s+at \S+[( ]|\s+File \"|Caused by: |Exception in thread )"
)

_CODE = re.compile(
    r"^\s*(?://|/\*|\*\s|\||#(?!## Error )|import |from \w[\w.]* import |def |func |function |class |const |let |var |export |return\b"
    r"|(?:if|else if|elif|for|while)\b.*[:{(|]\s*$)|;\s*$|\|\|\s*$|^\s*(?P<quote>['\"]).*(?P=quote),\s*$"
)
"""Lines of a program or of a manual, which quote messages too."""

_WRAPPED = re.compile(
    r"\"stream\"\s*:\s*\"std(?:out|err)\""
    r"|\"(?:log|message|msg|line|_raw)\"\s*:\s*\"(?:\s*\{\\?\"|\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:|\\t|\s+at |Caused by: )"
)
"""JSON of a container runtime or a shipper around a line that bears its own time, is JSON itself, or goes on with a stack."""


_TIME_KEY = re.compile(
    r"\"@?(?:time|timestamp|ts|t|datetime|asctime|timeMillis|instant|date|Timestamp|eventTime)\"\s*:"
)
_LEVEL_KEY = re.compile(
    r"\"@?(?:level|severity|levelname|level_name|lvl|log\.level|l|Level|loglevel)\"\s*:|\"log\"\s*:\s*\{"
)
_MESSAGE_KEY = re.compile(r"\"@?(?:msg|message|log|event|body|m|mt|short_message)\"\s*:")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a head shows: its lines but those that go on with a record, those with a layout (of JSON, of no other program), known messages.

    `within` counts known messages in the lines that go on with a record: in a trace, or under a header.
    """

    lines: int = 0
    laid_out: int = 0
    json: int = 0
    unmistakable: int = 0
    told: int = 0
    within: int = 0
    foreign: int = 0
    code: int = 0
    has_traces: bool = False


@functools.lru_cache(maxsize=4)
def _looked_at(lines: tuple[str, ...], middle: tuple[str, ...]) -> _Look:
    continuation = re.compile(application_records.GOES_ON)
    whole = "\n".join((*lines, *middle))
    literals = [literal for literal in application_records.literals() if literal in whole]
    count = laid_out = in_json = unmistakable = told = within = foreign = code = 0
    has_traces = has_raised = False
    for line in (*lines, *middle):
        shown = line[:4000]
        if not shown.strip():
            continue
        has_traces = has_traces or _TRACE.match(shown) is not None
        code += _CODE.search(shown[:400]) is not None
        if continuation.match(shown) and not shown.lstrip().startswith("{"):
            within += any(literal in shown for literal in literals) and application_records.told(shown.strip())
            continue
        count += 1
        was_raised, has_raised = has_raised, re.match(application_records.EXCEPTION, shown) is not None
        frame = next((frame for frame in FRAMES if frame.compiled.match(shown)), None)
        if frame is not None and frame.name in UNMISTAKABLE:
            unmistakable += 1
        elif (server := _FOREIGN.search(shown[:400])) and not (
            server[0].endswith(":  ") and (was_raised or _QUOTES.search(shown[: server.end()]))
        ):
            foreign += 1
            continue
        is_json = frame is JSON and _is_log(shown)
        laid_out += is_json or (frame is not None and _is_laid_out(frame, shown))
        in_json += is_json
        if any(literal in shown for literal in literals):
            told += _tells(shown, is_json)
    return _Look(count, laid_out, in_json, unmistakable, told, within, foreign, code, has_traces)


def _is_laid_out(frame: Frame, line: str) -> bool:
    """Tell whether a line of text has an application's layout: one of its own, or a severity behind its time."""
    if frame is JSON or frame.name == "access_log":
        return False
    found = frame.compiled.match(line)
    words = found["message"][: layouts.SEVERITY_WITHIN] if found else ""
    return "severity" in frame.groups or frame.name in SURE or re.search(layouts.SEVERITY, words) is not None


def _is_log(line: str) -> bool:
    """Tell whether a line of JSON is a logger's own: an object with a message, and a time or a severity.

    An object that a shipper put around a line is a wrapper: the log is what is in it.
    """
    if _WRAPPED.search(line) is not None:
        return False
    has_time = _TIME_KEY.search(line) is not None or _LEVEL_KEY.search(line) is not None
    return has_time and _MESSAGE_KEY.search(line) is not None and _is_object(line)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _tells(line: str, is_json: bool) -> bool:
    if not is_json:
        return application_records.told(line)
    return any(application_records.told(part) for part in line.replace("\\n", "\n").replace('\\"', '"').split("\n"))


def certainty(head: Head) -> float:
    """How sure the lines are an application's log: by layout, and by the messages of pools and drivers in them."""
    look = _looked_at(head.lines, head.middle)
    if look.foreign * 5 > look.lines or (look.foreign and look.foreign >= look.laid_out):
        return 0.0
    told = look.told + look.within
    share = look.laid_out / max(look.lines, 1)
    if look.unmistakable and look.unmistakable / look.lines >= LAID_OUT / 2:
        return UNMISTAKABLE_CERTAINTY if told else SILENT_UNMISTAKABLE_CERTAINTY
    if told and (look.laid_out or look.has_traces):
        return KNOWN_CERTAINTY * (0.8 + 0.2 * share)
    if told and told >= TOLD_SHARE * look.lines and not look.code:
        return KNOWN_CERTAINTY * 0.7
    if look.laid_out >= FEWEST_LINES and share >= LAID_OUT:
        return SILENT_CERTAINTY
    return 0.0


def read(reading: Reading) -> None:
    """Store the events, the pools' numbers and HikariCP's settings, and account for every line."""
    look = _looked_at(reading.head.lines, reading.head.middle)
    in_text = look.laid_out - look.json
    application_records.read(reading, has_headers=bool(look.lines) and in_text / look.lines >= BARE_SHARE)


def _in_json(sample: str, number: int) -> str:
    return json.dumps(
        {
            "level": 50,
            "time": 1795230720000 + number,
            "pid": 7,
            "msg": sample.split("\n", maxsplit=1)[0],
            "err": {"stack": sample},
        }
    )


FORMAT = Format(
    name="application_log",
    engine=None,
    tables=("event", "pool_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=SAMPLES,
    catalogue=CATALOGUE,
    frames=(
        _in_json,
        lambda sample, number: (
            f"2026-11-21T03:12:{number % 60:02d}.{number:03d}Z ERROR 7 --- [orders] [exec-{number}] c.e.App  : {sample}"
        ),
        lambda sample, number: f"2026-11-21 03:12:{number % 60:02d},{number:03d} - app.orders - ERROR - {sample}",
        lambda sample, number: f"[2026-11-21 03:12:{number % 60:02d}] production.ERROR: {sample}",
    ),
)
