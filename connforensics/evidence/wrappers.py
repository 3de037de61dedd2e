"""What surrounds each line of a log on its way from the server to a file: runtimes, collectors, cloud consoles.

docker and Kubernetes, compose, syslog and journald, Heroku, Cloud SQL, Azure, CloudWatch and JSON shippers put something
around a line and leave the line as it is. A wrapper is data: how a wrapped line looks, and which part of it is the line,
when it was taken in, whose it is. `peel` takes a line out in Python, for a head; `sql` does the same for a whole slice.
Nothing here decides which wrapper a source has: `recognition` does.

Docker: https://docs.docker.com/engine/logging/drivers/json-file/
Kubernetes: https://kubernetes.io/docs/concepts/cluster-administration/logging/
syslog: https://www.rfc-editor.org/rfc/rfc3164, https://www.rfc-editor.org/rfc/rfc5424
Heroku: https://devcenter.heroku.com/articles/log-drains
Cloud SQL: https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from connforensics.schema import quoted

_ISO: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_LETTER: Final = "[A-Za-z\u0080-\uffff]"
"""A letter of any language: RE2's classes know ASCII alone."""

_MONTH_TIME: Final = _LETTER + r"{3,4}\.? {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?"
_PROGRAM: Final = r"(?P<stream>[^\s\[\]:]+)(?:\[(?P<pid>\d+)\])?: "
_PART: Final = r"(?:\[\d+-(?P<part>\d+)\] ?)?"
"""PostgreSQL numbers its messages in syslog, and the lines of each: all but the first continue it."""
_ESCAPED_COLOUR: Final = r"#033\[[0-9;]*m"
"""A terminal's colour as rsyslog writes it."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A line without its wrapper: the time it was taken in as written, and whose it is, where told."""

    text: str
    stamp: str = ""
    stream: str = ""


@dataclass(frozen=True)
class Wrapper:
    """A wrapper whose lines fit a regular expression that RE2 and Python read alike.

    Groups: `text` is the line itself, `stamp` when it was taken in, `stream` and `host` whose it is, `pid` the process
    that wrote it, `part` the number of the line within its message. `wrap` makes a wrapped line of a line and a running number.
    """

    name: str
    pattern: str
    wrap: Callable[[str, int], str]
    has_escapes: bool = False

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern for Python."""
        return re.compile(self.pattern)

    def peel(self, line: str) -> Inner | None:
        """Return the line inside a wrapped one, None where it does not fit."""
        found = self.compiled.match(line)
        if found is None:
            return None
        told = {name: value or "" for name, value in found.groupdict().items()}
        text = told["text"]
        if self.has_escapes:
            text = re.sub(_ESCAPED_COLOUR, "", text).replace("#011", "\t").replace("#012", "\t")
        if told.get("part", "") not in ("", "1"):
            text = "\t" + text.lstrip("\t")
        stream = " ".join(filter(None, (told.get("host", ""), told.get("stream", ""))))
        return Inner(text, told.get("stamp", ""), stream)

    def sql(self, source: str) -> str:
        """Return SQL that takes the lines of `source` (`line_no`, `text`, `stamp`, `stream`, `sender`) out of this wrapper."""
        groups = tuple(self.compiled.groupindex)
        names = ", ".join(map(quoted, ("whole", *groups)))
        text = "got.text"
        if self.has_escapes:
            bare = f"regexp_replace({text}, {quoted(_ESCAPED_COLOUR)}, '', 'g')"
            text = f"CASE WHEN contains({text}, '#0') THEN replace(replace({bare}, '#011', chr(9)), '#012', chr(9)) ELSE {text} END"
        if "part" in groups:
            text = f"CASE WHEN got.part NOT IN ('', '1') THEN chr(9) || ltrim({text}, chr(9)) ELSE {text} END"
        stream = " || ' ' || ".join(f"got.{name}" for name in ("host", "stream") if name in groups) or "''"
        return f"""
            SELECT line_no, CASE WHEN got.whole <> '' THEN {text} ELSE text END AS text,
                   {_told("got.stamp" if "stamp" in groups else "''", "stamp")} AS stamp,
                   {_told(f"trim({stream})", "stream")} AS stream,
                   {_told("got.pid" if "pid" in groups else "''", "sender")} AS sender
            FROM (SELECT *, regexp_extract(text, {quoted(f"({self.pattern})")}, [{names}]) AS got FROM ({source}))
            """


@dataclass(frozen=True)
class JsonWrapper:
    """A wrapper that is one JSON object a line; `text`, `stamp`, `stream` and `sender` are paths of keys within it."""

    name: str
    text: tuple[str, ...]
    wrap: Callable[[str, int], str]
    stamp: tuple[tuple[str, ...], ...] = ()
    stream: tuple[tuple[str, ...], ...] = ()
    sender: tuple[str, ...] = ()

    def peel(self, line: str) -> Inner | None:
        """Return the line inside a wrapped one, None where it does not fit."""
        if not line.lstrip().startswith("{"):
            return None
        try:
            told = json.loads(line.strip().rstrip(","))
        except (ValueError, RecursionError):
            return None
        text = _reached(told, self.text)
        if not isinstance(text, str):
            return None
        lines = text.split("\n", 1)
        stamp = next((str(found) for path in self.stamp if (found := _reached(told, path)) is not None), "")
        stream = " ".join(str(found) for path in self.stream if (found := _reached(told, path)) is not None)
        return Inner(lines[0].rstrip("\r"), stamp, stream)

    def sql(self, source: str) -> str:
        """Return SQL that takes the lines of `source` (`line_no`, `text`, `stamp`, `stream`, `sender`) out of this wrapper."""
        paths = [self.text, *self.stamp, *self.stream, *([self.sender] if self.sender else [])]
        listed = ", ".join(quoted("$" + "".join(f'."{key}"' for key in path)) for path in paths)
        stamps = ", ".join(f"got[{2 + number}]" for number in range(len(self.stamp)))
        streams = ", ".join(f"got[{2 + len(self.stamp) + number}]" for number in range(len(self.stream)))
        bare = "rtrim(trim(text), ',')"
        return f"""
            SELECT line_no, CASE WHEN got[1] IS NULL THEN text ELSE rtrim(split_part(got[1], chr(10), 1), chr(13)) END AS text,
                   {_told(f"coalesce(CASE WHEN got[1] IS NOT NULL THEN coalesce({stamps}) END, '')" if stamps else "''", "stamp")} AS stamp,
                   {_told(f"CASE WHEN got[1] IS NULL THEN '' ELSE concat_ws(' ', {streams}) END" if streams else "''", "stream")} AS stream,
                   {_told(f"CASE WHEN got[1] IS NULL THEN '' ELSE coalesce(got[{len(paths)}], '') END" if self.sender else "''", "sender")}
                     AS sender
            FROM (
              SELECT *,
                     CASE WHEN starts_with(ltrim(text), '{{') AND json_valid({bare})
                          THEN json_extract_string({bare}, [{listed}]) END AS got
              FROM ({source})
            )
            """


def _reached(told: object, path: Sequence[str]) -> object:
    for key in path:
        if not isinstance(told, Mapping):
            return None
        told = told.get(key)
    return told if isinstance(told, (str, int, float)) else None


def _told(new: str, above: str) -> str:
    """Return SQL for what this wrapper tells, else what the one around it told."""
    return above if new == "''" else f"CASE WHEN {new} <> '' THEN {new} ELSE {above} END"


def _json(**told: object) -> str:
    return json.dumps(told, ensure_ascii=False)


def _clock(number: int) -> str:
    return f"03:{12 + number // 60 % 48:02}:{number % 60:02}"


ANSI: Final = r"\x1b\[[0-9;?]*[A-Za-z]"
"""A terminal's colours and cursor movements."""


@dataclass(frozen=True)
class Colours:
    """The colours of a terminal, and the carriage return of a pseudo-terminal."""

    name: str = "ansi"

    def wrap(self, text: str, number: int) -> str:
        """Colour a line as compose does."""
        return f"\x1b[{31 + number % 6}m{text}\x1b[0m"

    def peel(self, line: str) -> Inner | None:
        """Return the line without colours, None where it has none."""
        bare = re.sub(ANSI, "", line)
        return Inner(bare.rstrip("\r")) if bare != line else None

    def sql(self, source: str) -> str:
        """Return SQL that takes the lines of `source` (`line_no`, `text`, `stamp`, `stream`, `sender`) out of this wrapper."""
        bare = f"rtrim(regexp_replace(text, {quoted(ANSI)}, '', 'g'), chr(13))"
        return f"""
            SELECT * REPLACE (CASE WHEN contains(text, chr(27)) THEN {bare} ELSE text END AS text)
            FROM ({source})
            """


@dataclass(frozen=True)
class PrettyJson:
    """A JSON document over many lines, as consoles export it: the lines whose key is the message's."""

    name: str = "pretty_json"

    def wrap(self, text: str, number: int) -> str:
        """Return the line of the document that holds a message."""
        return "    " + _json(textPayload=text)[1:-1] + ","

    def peel(self, line: str) -> Inner | None:
        """Return the line inside a wrapped one, None where it does not fit."""
        found = re.match(_PRETTY, line)
        if found is None:
            return None
        try:
            return Inner(str(json.loads(found[1])).split("\n", 1)[0].rstrip("\r"))
        except ValueError:
            return None

    def sql(self, source: str) -> str:
        """Return SQL that takes the lines of `source` (`line_no`, `text`, `stamp`, `stream`, `sender`) out of this wrapper."""
        return f"""
            SELECT line_no,
                   CASE WHEN json_valid(got) THEN rtrim(split_part(json_extract_string(got, '$'), chr(10), 1), chr(13))
                        ELSE text END AS text,
                   stamp, stream, sender
            FROM (SELECT *, regexp_extract(text, {quoted(_PRETTY)}, 1) AS got FROM ({source}))
            """


_PRETTY: Final = r'^\s+"(?:textPayload|message|MESSAGE|log|@message)": ?("(?:[^"\\]|\\.)*"),?\s*$'

AnyWrapper = Wrapper | JsonWrapper | PrettyJson | Colours

COLOURS: Final = Colours()

WRAPPERS: Final[tuple[AnyWrapper, ...]] = (
    Wrapper(
        "cri",
        rf"^(?P<stamp>{_ISO}) (?:stdout|stderr) [FP] (?P<text>.*)$",
        lambda text, number: f"2026-11-21T{_clock(number)}.123456789Z stderr F {text}",
    ),
    Wrapper(
        "docker_timestamps",
        r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}(?:Z|[+-]\d\d:\d\d)) (?P<text>.*)$",
        lambda text, number: f"2026-11-21T{_clock(number)}.123456789Z {text}",
    ),
    Wrapper(
        "compose",
        r"^(?:\S+ [A-Z]{3} )?(?P<stream>[A-Za-z0-9][\w.\-]*?) +\| ?(?P<text>.*)$",
        lambda text, number: f"db-1  | {text}",
    ),
    Wrapper(
        "foreman",
        r"^\s*\d\d:\d\d:\d\d (?P<stream>[A-Za-z0-9][\w.\-]*?) *\| ?(?P<text>.*)$",
        lambda text, number: f"{_clock(number)} web.1  | {text}",
    ),
    Wrapper(
        "cloud_foundry",
        r"^\s*(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d{4}) \[(?P<stream>[A-Za-z]+(?:/[\w-]+)*/\d+)\]\s+(?:OUT|ERR) ?(?P<text>.*)$",
        lambda text, number: f"   2026-11-21T{_clock(number)}.12+0000 [APP/PROC/WEB/0] OUT {text}",
    ),
    Wrapper("quoted", r"^> ?(?P<text>.*)$", lambda text, number: f"> {text}"),
    Wrapper(
        "kubetail",
        r"^\[(?P<stream>[a-z0-9][a-z0-9.]*-[a-z0-9.\-]+ [a-z0-9][a-z0-9.\-]*)\] (?P<text>.*)$",
        lambda text, number: f"[shop-db-0 postgres] {text}",
    ),
    Wrapper(
        "kubectl_prefix",
        r"^\[(?P<stream>pod/[^\]\s]+)\] (?P<text>.*)$",
        lambda text, number: f"[pod/shop-db-0/postgres] {text}",
    ),
    Wrapper(
        "stern",
        r"^(?P<stream>[a-z0-9][a-z0-9.\-]*-[a-z0-9]{1,10} (?:› )?[a-z0-9][a-z0-9\-]*) (?:│ )?(?P<text>.*)$",
        lambda text, number: f"shop-db-0 postgres {text}",
    ),
    Wrapper(
        "heroku",
        rf"^(?P<stamp>{_ISO}) (?P<stream>\w+\[[A-Za-z][\w\-]*(?:\.\d{{1,2}}\]|\])?)(?:\.(?P<pid>\d{{3,}})\])?[\w.\-]*\]?: (?P<text>.*)$",
        lambda text, number: f"2026-11-21T{_clock(number)}.000000+00:00 app[postgres.1234]: {text}",
    ),
    Wrapper(
        "rfc5424",
        rf"^(?:\d+ )?<\d{{1,3}}>1 (?P<stamp>{_ISO}|-) (?P<host>\S+) (?P<stream>\S+) (?:(?P<pid>\d+)|\S+) \S+ "
        rf"(?:(?:-|(?:\[[^\]=]*=[^\]]*\])+) )?\x{{feff}}?{_PART}(?P<text>.*)$".replace(r"\x{feff}", "\ufeff"),
        lambda text, number: f"<134>1 2026-11-21T{_clock(number)}.123456+00:00 db1 postgres {4000 + number} - - {text}",
        has_escapes=True,
    ),
    Wrapper(
        "syslog",
        rf"^(?:<\d{{1,3}}>)?(?P<stamp>{_MONTH_TIME}(?: \d{{4}})?) (?P<host>[^\s:]+) {_PROGRAM}{_PART}(?P<text>.*)$",
        lambda text, number: f"Nov 21 {_clock(number)} db1 postgres[{4000 + number}]: [{number}-1] {text}",
        has_escapes=True,
    ),
    Wrapper(
        "syslog_iso",
        rf"^(?:<\d{{1,3}}>)?(?:[A-Z][a-z]{{2}} )?(?P<stamp>{_ISO}(?: [A-Z]{{3,4}})?) (?P<host>[^\s:]+) {_PROGRAM}{_PART}(?P<text>.*)$",
        lambda text, number: (
            f"2026-11-21T{_clock(number)}.123456+00:00 db1 postgres[{4000 + number}]: [{number}-1] {text}"
        ),
        has_escapes=True,
    ),
    Wrapper(
        "cloudwatch_tail",
        r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)) (?P<stream>\S+) (?P<text>.*)$",
        lambda text, number: f"2026-11-21T{_clock(number)}.000000+00:00 shop-db.0 {text}",
    ),
    Wrapper(
        "cloudwatch_text",
        r"^(?:EVENTS\t)(?:\d+\t)?(?P<text>[^\t]*(?:\t[^\t0-9][^\t]*)*?)(?:\t(?P<stamp>\d{13}))?$",
        lambda text, number: f"EVENTS\t1795230720000\t{text}\t1795230720{number % 1000:03}",
    ),
    JsonWrapper(
        "docker_json",
        ("log",),
        lambda text, number: _json(log=text + "\n", stream="stderr", time=f"2026-11-21T{_clock(number)}.123456789Z"),
        stamp=(("time",),),
        stream=(("kubernetes", "pod_name"), ("kubernetes", "container_name")),
    ),
    JsonWrapper(
        "cloud_logging",
        ("textPayload",),
        lambda text, number: _json(
            insertId=f"s={number}",
            logName="projects/shop/logs/cloudsql.googleapis.com%2Fpostgres.log",
            receiveTimestamp=f"2026-11-21T{_clock(number)}.5Z",
            resource={"labels": {"database_id": "shop:db1"}, "type": "cloudsql_database"},
            textPayload=text,
            timestamp=f"2026-11-21T{_clock(number)}.123456Z",
        ),
        stamp=(("timestamp",), ("receiveTimestamp",)),
        stream=(("resource", "labels", "database_id"), ("resource", "labels", "pod_name")),
    ),
    JsonWrapper(
        "cloud_logging_json",
        ("jsonPayload", "message"),
        lambda text, number: _json(jsonPayload={"message": text}, timestamp=f"2026-11-21T{_clock(number)}.123456Z"),
        stamp=(("timestamp",), ("receiveTimestamp",)),
        stream=(("resource", "labels", "database_id"), ("resource", "labels", "pod_name")),
    ),
    JsonWrapper(
        "azure",
        ("properties", "message"),
        lambda text, number: _json(
            time=f"2026-11-21T{_clock(number)}Z",
            LogicalServerName="db1",
            category="PostgreSQLLogs",
            properties={"errorLevel": "LOG", "message": text},
        ),
        stamp=(("time",), ("properties", "timestamp")),
        stream=(("LogicalServerName",),),
    ),
    JsonWrapper(
        "journald_json",
        ("MESSAGE",),
        lambda text, number: _json(
            MESSAGE=text,
            SYSLOG_IDENTIFIER="postgres",
            _PID=str(4000 + number),
            __REALTIME_TIMESTAMP=str(1795230720000000 + number),
        ),
        stamp=(("__REALTIME_TIMESTAMP",),),
        stream=(("_HOSTNAME",), ("SYSLOG_IDENTIFIER",)),
        sender=("_PID",),
    ),
    JsonWrapper(
        "json_message",
        ("message",),
        lambda text, number: json.dumps(
            {"@timestamp": f"2026-11-21T{_clock(number)}.123Z", "message": text}, ensure_ascii=False
        ),
        stamp=(("@timestamp",), ("timestamp",), ("time",), ("ts",)),
        stream=(("host", "name"), ("container", "name"), ("kubernetes", "pod", "name"), ("logStream",)),
    ),
    JsonWrapper("json_msg", ("msg",), lambda text, number: _json(msg=text), stamp=(("ts",), ("time",), ("timestamp",))),
    JsonWrapper(
        "json_line", ("line",), lambda text, number: _json(line=text), stamp=(("timestamp",), ("ts",), ("time",))
    ),
    JsonWrapper(
        "splunk",
        ("result", "_raw"),
        lambda text, number: _json(preview=False, result={"_raw": text}),
        stamp=(("result", "_time"),),
    ),
    PrettyJson(),
)
"""Every wrapper that takes any line, the stricter before the looser."""

TWICE_TIMED: Final = Wrapper(
    "twice_timed",
    r"^(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<text>\[?\d{4}-\d\d-\d\d[T ]{1,2}\d{1,2}:\d\d:\d\d.*|\s.*|)$",
    lambda text, number: f"2026-11-21 {_clock(number)} {text}",
)
"""Docker Desktop's copy of a container's log: its own time before each line. Only where another time follows it is not
the line's, so lines without one keep it."""
