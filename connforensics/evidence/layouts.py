"""How programs begin the lines of their own logs: the layouts of logging libraries, as frames.

A layout has the groups `stamp` and `message`, and where the library writes them `severity`, `application_name`, `thread`
and `instance` (the process). Most libraries put the time first and leave the rest to the user's pattern, so one frame
takes whatever follows a time: its severity is looked for in the first words of the message (`SEVERITY`).

Spring Boot: https://docs.spring.io/spring-boot/reference/features/logging.html
logback: https://logback.qos.ch/manual/layouts.html; log4j: https://logging.apache.org/log4j/2.x/manual/pattern-layout.html
Python: https://docs.python.org/3/library/logging.html#logrecord-attributes; Rails: https://api.rubyonrails.org/classes/Logger/Formatter.html
logfmt: https://brandur.org/logfmt; JSON: https://getpino.io, https://pkg.go.dev/go.uber.org/zap, https://www.elastic.co/guide/en/ecs/
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from connforensics.evidence import times
from connforensics.evidence.line_log import Frame
from connforensics.evidence.zones import AMBIGUOUS_S, OFFSETS_S

_ZONE: Final = rf"(?: ?(?:Z|[+-]\d\d:?\d\d|[+-]\d\d\b|MSK|{'|'.join(zone for zone in (*OFFSETS_S, *AMBIGUOUS_S) if zone != 'Z')}))?"
_CLOCK: Final = r"\d\d:\d\d:\d\d(?:[.,:]\d{1,9})?"
_ISO: Final = rf"\d{{4}}[-/.]\d\d[-/.]\d\d[T ]{{1,2}}{_CLOCK}{_ZONE}"
_LEVEL: Final = (
    r"(?i:trace|debug|debu|dbg|verbose|vrb|information|info|inf|notice|warning|warn|wrn|error|eror|err|severe|critical|"
    r"crit|fatal|ftl|alert|emergency|emerg|dpanic|panic|config|finest|finer|fine)"
)
_UPPER_LEVEL: Final = r"(?:TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|SEVERE|CRITICAL|FATAL|CONFIG|FINE|FINER|FINEST)"

SEVERITY: Final = rf"(?:^|[\s\[|(<:.\t]|level=\"?)({_LEVEL})(?:[\s\]|):>,.\"]|$)"
"""Finds the severity in the first words of a message that follows a time."""

SEVERITY_WITHIN: Final = 90
"""Characters within which it must stand: a logger's name and a thread may be in front of it."""

THREAD: Final = r"\[\s*([A-Za-z][\w#.:/ -]*-\d[\w-]*|main)\s*\]"
"""Finds the thread there."""


def _named_month(text: str, zone: str | None) -> datetime | None:
    """Read the times of Tomcat, PHP, Django, Apache, java.util.logging and access logs."""
    spoken = text.replace("\u202f", " ")
    fraction = re.search(r"(?<=\d\d:\d\d)\.\d+", spoken)
    plain = re.sub(r"(?<=\d\d:\d\d)\.\d+", "", spoken)
    plain = re.sub(r"^(\d{1,2})[-/ ]([A-Z][a-z]{2})[-/ ](\d{4})[ :]", r"\1/\2/\3 ", plain)
    plain = re.sub(r"(\d{4}),? (\d{1,2}:)", r"\1 \2", plain) if ", " in plain else plain
    moment = times.parse(re.sub(r"^([A-Z][a-z]{2})[a-z]* (\d{1,2}), (\d{4}) ", r"\1 \2, \3 ", plain), zone)
    if moment is None or fraction is None:
        return moment
    return moment.replace(microsecond=int(fraction[0][1:7].ljust(6, "0")))


def no_date(text: str, zone: str | None) -> datetime | None:
    """Nothing: a time of day without a date, or a date without a year, is no time."""
    return None


_SPRING: Final = rf"^(?P<stamp>{_ISO})\s+(?P<severity>{_LEVEL}) (?:\[(?P<application_name>[^,\]]*),[^\]]*\] )?"

JSON: Final = Frame(
    "json", r"^\s*(?P<message>\{.*)$", '{"level":"error","time":"2026-11-21T03:12:00.000Z","pid":7,"msg":""}'
)
"""One JSON object a line; its times and texts are found by name."""

FRAMES: Final[tuple[Frame, ...]] = (
    JSON,
    Frame(
        "spring_boot_traced",
        rf"^(?P<stamp>{_ISO})\s+(?P<severity>{_LEVEL}) (?P<instance>\d+) --- \[(?P<thread>[^\]]*)\] "
        r"\[(?:\s*|[0-9a-f]{16,32}-[0-9a-f]{16}\s*)\] \S+\s*: (?P<message>.*)$",
        "2026-11-21T03:12:00.000Z ERROR 7 --- [nio-8080-exec-1] [                                                 ] c.e.App  : ",
    ),
    Frame(
        "spring_boot_named",
        rf"^(?P<stamp>{_ISO})\s+(?P<severity>{_LEVEL}) (?P<instance>\d+) --- \[(?P<application_name>[^\]]+)\] "
        r"\[(?P<thread>[^\]]*)\] (?:\[[^\]]*\] ?)?\S+\s*: (?P<message>.*)$",
        "2026-11-21T03:12:00.000Z ERROR 7 --- [orders] [nio-8080-exec-1] com.example.App  : ",
    ),
    Frame(
        "spring_boot",
        _SPRING + r"(?P<instance>\d*|\$\{[^}]*\}) ?--- \[(?P<thread>[^\]]*)\] \S+\s*: (?P<message>.*)$",
        "2026-11-21 03:12:00.000 ERROR 7 --- [nio-8080-exec-1] com.example.App  : ",
    ),
    Frame(
        "ruby",
        r"^[DIWEFA], \[(?P<stamp>[^\s\]]+) #(?P<instance>\d+)\]\s+(?P<severity>[A-Z]+) -- [^:]*: (?P<message>.*)$",
        "E, [2026-11-21T03:12:00.000000 #7] ERROR -- : ",
    ),
    Frame(
        "monolog",
        rf"^\[(?P<stamp>{_ISO})\] [\w-]+\.(?P<severity>{_UPPER_LEVEL}|ALERT|EMERGENCY): (?P<message>.*)$",
        "[2026-11-21 03:12:00] production.ERROR: ",
    ),
    Frame(
        "logfmt",
        r"^(?P<message>(?:[\w.]+=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\"]*) ){0,6}(?:time|ts|timestamp|datetime|t)=\"?"
        rf"(?P<stamp>{_ISO}|\d{{10}}[\d.]*)\"? .*)$",
        'time=2026-11-21T03:12:00Z level=error msg="" error=',
    ),
    Frame(
        "time_first",
        rf"^[\[(<]?(?P<stamp>{_ISO})[\])>]?[\s,;|:\-]*(?P<message>.*)$",
        "2026-11-21 03:12:00,000 - app.orders - ERROR - ",
    ),
    Frame(
        "level_first",
        rf"^[\[(<]?(?P<severity>{_LEVEL})[\])>]?[\s|:,\-]+[\[(<]?(?P<stamp>{_ISO})[\])>]?[\s|:,\-]*(?P<message>.*)$",
        "[DEBUG] 2026-11-21 03:12:00.000 [main] ConnectionFactory - ",
    ),
    Frame(
        "day_month",
        r"^\[?(?P<stamp>\d{1,2}[-/ ][A-Z][a-z]{2}[-/ ]\d{4}[ :]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?: [+-]\d{4}| [A-Z]{3,5}\b| [A-Z][a-z]+/\w+)?)"
        r"\]? ?(?P<message>.*)$",
        "21-Nov-2026 03:12:00.000 SEVERE [http-nio-8080-exec-1] com.example.App.run ",
        _named_month,
    ),
    Frame(
        "wso2",
        rf"^TID: \[[^\]]*\](?: \[[^\]]*\])* \[(?P<stamp>{_ISO})\]\s+(?P<severity>{_LEVEL}) (?P<message>.*)$",
        "TID: [-1234] [] [2026-11-21 03:12:00,000] ERROR {com.example.App} - ",
    ),
    Frame(
        "labelled",
        rf"^\[[\w.:/@-]+\] (?P<stamp>{_ISO}) (?P<severity>{_LEVEL})[:\]]? (?P<message>.*)$",
        "[shop.example:443] 2026-11-21 03:12:00.000 error: ",
    ),
    Frame(
        "apache_error",
        r"^\[(?P<stamp>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] (?P<message>.*)$",
        "[Sat Nov 21 03:12:00.000000 2026] [php:error] [pid 7] [client 10.0.0.7:41234] ",
        _named_month,
    ),
    Frame(
        "java_util_logging",
        "^(?P<stamp>[A-Z][a-z]{2,8} \\d{1,2}, \\d{4},? \\d{1,2}:\\d\\d:\\d\\d[ \u202f][AP]M) (?P<message>.*)$",
        "Nov 21, 2026 3:12:00 AM com.example.App run\nSEVERE: ",
        _named_month,
    ),
    Frame(
        "access_log",
        r"^\S+ \S+ \S+ \[(?P<stamp>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] (?P<message>.*)$",
        '10.0.0.7 - - [21/Nov/2026:03:12:00 +0000] "GET / HTTP/1.1" 500 ',
        _named_month,
    ),
    Frame(
        "serilog",
        r"^\[(?P<stamp>\d\d:\d\d:\d\d) (?P<severity>VRB|DBG|INF|WRN|ERR|FTL)\] (?P<message>.*)$",
        "[03:12:00 ERR] ",
        no_date,
    ),
    Frame(
        "clock_only",
        r"^\[?(?P<stamp>\d\d:\d\d:\d\d[.,]\d{3,6})\]?[\s|]+(?P<message>.*)$",
        "03:12:00.000 [main] ERROR com.example.App - ",
        no_date,
    ),
    Frame(
        "klog",
        r"^(?P<severity>[IWEF])(?P<stamp>\d{4} \d\d:\d\d:\d\d\.\d{6})\s+(?P<instance>\d+) (?P<message>\S+:\d+\] .*)$",
        "E1121 03:12:00.000000       7 pool.go:12] ",
        no_date,
    ),
    Frame(
        "php",
        r"^PHP (?P<severity>Fatal|Recoverable fatal|Parse|Warning|Notice|Deprecated)(?: error)?:\s+(?P<message>.*)$",
        "PHP Fatal error:  Uncaught ",
    ),
    Frame(
        "thread_first",
        rf"^\[(?P<thread>[^\]]+)\] (?P<severity>{_UPPER_LEVEL}) (?P<message>\S+ - .*)$",
        "[main] ERROR com.example.App - ",
    ),
    Frame(
        "bracketed_level",
        r"^\[(?P<severity>debug|info|notice|warning|warn|error|critical|alert|emergency)\]:? (?P<message>.*)$",
        "[error] ",
    ),
    Frame(
        "level_only",
        rf"^\[?(?P<severity>{_UPPER_LEVEL}|trce|dbug|info|warn|fail|crit)(?:\]?\s*[:|-]|\]|\s)\s*(?P<message>.*)$",
        "ERROR:sqlalchemy.pool:",
    ),
)  # fmt: skip
"""The layouts; the first that fits wins."""

SURE: Final = frozenset(
    frame.name
    for frame in FRAMES
    if frame.name not in ("time_first", "access_log", "level_only", "bracketed_level", "clock_only", "php")
)
"""Layouts that only a program's own log has. The others are a log where a severity stands in them, or known messages."""

UNMISTAKABLE: Final = frozenset(("spring_boot_traced", "spring_boot_named", "spring_boot", "ruby", "monolog"))
"""Layouts of which every part is the library's own: no server and no pooler writes such a line."""
