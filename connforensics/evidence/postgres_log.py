"""PostgreSQL's own log on stderr, as `logging_collector` or the service manager keeps it.

How to obtain it: the files of `log_directory` (`SHOW log_directory`), `/var/log/postgresql/` on Debian and Ubuntu,
`docker logs`, the log files of a managed service. For the questions of this program set `log_connections`,
`log_disconnections` and `log_lock_waits`; any `log_line_prefix` will do, `%m [%p] %q%u@%d/%a %h ` tells most.
https://www.postgresql.org/docs/current/runtime-config-logging.html

The prefix is found out from the lines (`log_line_prefix.infer`) and may change inside a file. Each slice of the file
goes through one SQL statement of small one-pass regular expressions; lines they do not fit go through the whole
prefix as one expression, lines that fit none are looked at for another prefix, and what is left then is unknown.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Format, Head, Reading
from connforensics.evidence import log_line_prefix as prefixes
from connforensics.evidence.log_line_prefix import Escape, Prefix, Told
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.postgres_events import Apart, Events, Manner, Records
from connforensics.evidence.postgres_log_samples import SAMPLES
from connforensics.evidence.scanner import Texts, longs_of, texts_of
from connforensics.evidence.zones import Zones, zone_sql
from connforensics.schema import quoted

HEADS_LOOKED_AT: Final = 2000
"""Lines that inference is shown; a prefix that only appears later is met when its first line fits no known one."""


def read(reading: Reading) -> None:
    """Store the events of a PostgreSQL stderr log and account for every line."""
    _Reader(reading).read()


def certainty(head: Head) -> float:
    """How sure the lines are a PostgreSQL server's: by how many have a severity where its prefix would put one."""
    return _looked_at(head.lines, head.middle).certainty


# Looking at the head.

_LABEL = "|".join(re.sub(r"([().])", r"\\\1", label) for label in sorted(messages.labels(), key=len, reverse=True))
_COLON = re.compile(r":( {1,2}|$)")
_LABEL_LENGTHS: Final = tuple(sorted({len(label) for label in messages.labels()}, reverse=True))
LONGEST_PREFIX: Final = 600
"""Characters of a line within which inference looks for the severity."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the first lines show."""

    prefixes: tuple[Prefix, ...]
    certainty: float


@functools.lru_cache(maxsize=4)
def _looked_at(lines: tuple[str, ...], middle: tuple[str, ...]) -> _Look:
    told = [told for line in (*lines, *middle) if (told := _told(line))]
    if not told:
        return _Look((), 0.0)
    found = prefixes.infer(told)
    return _Look(tuple(found), _certainty((*lines, *middle), told, found))


_OWN_LABELS: Final = frozenset({"LOG", "STATEMENT"})
"""Labels that hardly any other program writes before a colon and two blanks."""

_FOREIGN = re.compile(
    r"\b(?:ERROR|WARN(?:ING)?|INFO|DEBUG|TRACE|SEVERE|CRITICAL|FATAL|Exception|Error|Caused by|failed|refused)\b|^\s*[{<\"]"
    r"|\.(?:rb|py|js|ts|go|php|pl|java|ex|exs|rs|cs|cpp):\d+:|\bpid \d+: $"
)
"""What stands before the severity where another program quotes a server's message: its own words, a place in its code,
Pgpool-II's prefix."""


def _certainty(lines: Sequence[str], told: Sequence[Told], found: Sequence[Prefix]) -> float:
    """How sure these lines are a server's: the share that the prefixes explain, less where little else speaks for it."""
    if not found:
        return 0.0
    patterns = [re.compile(prefix.pattern()) for prefix in found]
    explained = [line for line in told if any(pattern.fullmatch(line.head) for pattern in patterns)]
    if sum(bool(_FOREIGN.search(line.head)) for line in explained) * 2 > len(explained):
        return 0.0
    others = sum(1 for line in lines if line.strip() and not line[:1].isspace()) - len(told)
    share = len(explained) / (len(told) + max(others, 0))
    own = sum(line.label in _OWN_LABELS for line in explained)
    known = sum(line.is_known for line in explained)
    first = found[0]
    letters = first.letters
    if letters & set("mtn") and (letters & set("pcud") or own or known):
        sure = 0.95
    elif letters & set("pc") and (own or known):
        sure = 0.8
    elif (not first.elements or letters) and own and known:
        sure = 0.6
    elif (own >= 3 and known) or (letters & set("ud") and known >= 3):
        sure = 0.5
    elif not first.elements and known == len(told):
        # An empty prefix, the default before 10, and somebody looked for refusals alone.
        sure = 0.4
    else:
        return 0.0
    # What stands before the time is somebody else's: a syslog daemon's, a container runtime's.
    before = list(itertools.takewhile(lambda e: not isinstance(e, Escape) or e.letter not in "mtn", first.elements))
    if letters & set("mtn") and any(isinstance(e, Escape) and e.letter in "?N" for e in before):
        sure = 0.5
    if share >= LEAST_SHARE:
        return sure * share
    # Before a fresh container's server speaks, its entry point does, at length.
    return CHATTED if sure >= 0.8 and len(explained) >= CHATTED_LINES and own else 0.0


CHATTED: Final = 0.35
CHATTED_LINES: Final = 10
"""How sure so many lines of a server's are among many of another program's."""

LEAST_SHARE: Final = 0.4
"""Of the lines that continue no other, how many must fit; a log under `docker compose` holds other programs' lines."""


_SERVER = re.compile(
    r"(?:checkpoint|restartpoint|database system|autovacuum|automatic |listening on|received |starting PostgreSQL|redirecting|"
    r"server process|background |all server|terminating any|archive|last completed|recovery|consistent recovery|redo |"
    r"MultiXact|logical replication|parameter |shutting down|aborting any|entering standby|started streaming)"
)
_CLIENT = re.compile(
    r"(?:statement: |duration: |execute |disconnection|connection authorized|connection authenticated|temporary file)"
)
_FACTS: Final = (
    re.compile(
        r"connection authorized: user=(?P<user>\S+) database=(?P<database>\S+)(?: application_name=(?P<application>.*?)(?: SSL .*)?)?$"
    ),
    re.compile(
        r"disconnection: session time: \S+ user=(?P<user>\S+) database=(?P<database>\S+) host=(?P<host>\S+)(?: port=(?P<port>\d+))?"
    ),
    re.compile(r"connection received: host=(?P<host>\S+)(?: port=(?P<port>\d+))?"),
    re.compile(
        r'no pg_hba.conf entry for host "(?P<host>[^"]*)", user "(?P<user>[^"]*)", database "(?P<database>[^"]*)"'
    ),
    re.compile(r'\w+ authentication failed for user "(?P<user>[^"]*)"'),
)


_STARTED = re.compile(r"^[^\t]{0,80}?\.{3,} ?(?=\d{4}-\d\d-\d\d \d\d:)")
"""What pg_ctl says while it waits stands before the first line of a server, without a line end."""


@functools.lru_cache(maxsize=8192)
def _told(line: str) -> Told | None:
    """Take a line apart where its severity stands; None for a continuation or a line without one."""
    if line.startswith("\t"):
        return None
    found: tuple[str, str, str] | None = None
    known = messages.labels()
    for colon in _COLON.finditer(line, 0, LONGEST_PREFIX):
        before = line[: colon.start()]
        label = next((end for length in _LABEL_LENGTHS if (end := before[-length:]) in known), None)
        if label is None:
            continue
        head = before.removesuffix(label)
        if (head[-1:].isalpha() or head.endswith(".")) and label.isascii():
            # A longer word, or a channel and its level: `production.ERROR: `.
            continue
        if colon[1] == "  " or found is None:
            found = head, label, line[colon.end() :].lstrip()
        if colon[1] == "  ":
            break
    if found is None:
        return None
    head, own, message = found
    head = _STARTED.sub("", head)
    message = re.sub(r"^[0-9A-Z]{5}: ", "", message)
    message = messages.english(message)
    label = messages.labels()[own]
    if label in messages.FURTHER_LABELS:
        return Told(head, "client" if label == "STATEMENT" else "", label)
    for pattern in _FACTS:
        if facts := pattern.match(message):
            told = facts.groupdict()
            role = "received" if message.startswith("connection received") else "client"
            return Told(
                head,
                role,
                label,
                True,
                told.get("user"),
                told.get("database"),
                told.get("application"),
                told.get("host"),
            )
    if _CLIENT.match(message):
        return Told(head, "client", label, True)
    is_server = bool(_SERVER.match(message))
    is_known = is_server or any(message.startswith(text) for text in messages.all_openings())
    return Told(head, "server" if is_server else "", label, is_known)


# Reading.

MOST_BLANKS: Final = 3
"""Blanks of an application's name that the quick way looks behind for its end."""

_TAB: Final = 9


@dataclass(slots=True)
class _Reader:
    reading: Reading
    known: list[Prefix] = field(default_factory=list)
    zones: Zones = field(init=False)
    events: Events = field(init=False)

    def __post_init__(self) -> None:
        options = self.reading.options
        self.zones = Zones(options.timezone, self.reading.ledger)
        if options.log_line_prefix is not None:
            self.known.append(Prefix.parse(options.log_line_prefix))
        else:
            self.known.extend(_looked_at(self.reading.head.lines, self.reading.head.middle).prefixes)
        self.events = Events(self.reading, self.zones, set(self.known[0].groups if self.known else ()))
        patterns = [re.compile(prefix.pattern()) for prefix in self.known if "stamp" in prefix.groups]
        for line in self.reading.head.lines:
            self._listen(line)
            told = _told(line) if len(self.zones.spellings) < 2 else None
            found = told and next((found for pattern in patterns if (found := pattern.fullmatch(told.head))), None)
            if found and found["stamp"]:
                self.zones.note(found["stamp"])

    def read(self) -> None:
        self.events.read(self._apart, more=self._left, at_once=2)

    def _listen(self, line: str) -> None:
        """Note the languages a line may be in."""
        if (colon := _COLON.search(line, 0, LONGEST_PREFIX)) and (not line.isascii() or colon[1] == "  "):
            label = colon and re.split(r"[\s:\]]", line[: colon.start()])[-1]
            self.events.listen(messages.languages(label, line[colon.end() :]))

    def _apart(self, table: pa.Table, manner: Manner) -> Apart:
        """Take a slice apart by the first prefix."""
        ways = [prefixes.steps(self.known[0], manner.zones, n) for n in range(MOST_BLANKS + 1)] if self.known else []
        apart = Apart(manner)
        for batch in table.to_batches():
            numbers = longs_of(batch["line_no"])
            for rows, texts in texts_of(batch["text"]):
                is_own = (texts.block.data[texts.starts] != _TAB) & (texts.ends > texts.starts)
                left = numbers[rows[is_own]], texts[is_own]
                for steps in ways:
                    if steps is not None and len(left[0]):
                        left = _taken(apart, steps, *left)
                apart.leave(*left)
        return apart

    def _left(self) -> int:
        """Take lines the fast way left over through each prefix as one expression, then through new ones."""
        con = self.reading.con
        con.execute("DELETE FROM left_line WHERE trim(text) = '' OR starts_with(text, chr(9))")
        understood = 0
        for prefix in [*self.known]:
            understood += self._whole(prefix)
        rows = con.execute(
            f"""
            SELECT text
            FROM left_line
            WHERE regexp_matches(text, {quoted(f"(?:{_LABEL}):(?: |$)")})
            ORDER BY line_no
            LIMIT {HEADS_LOOKED_AT}
            """
        ).fetchall()
        told = [told for (line,) in rows if (told := _told(line))]
        for prefix in prefixes.infer(told, self.known):
            if not prefix.elements or prefix.letters & set("mtnpc"):
                self.known.append(prefix)
                self.events.fields = frozenset(self.known[0].groups)
                understood += self._whole(prefix)
        return understood

    def _whole(self, prefix: Prefix) -> int:
        con = self.reading.con
        if not self.reading.count("SELECT count(*) FROM left_line"):
            return 0
        started = r"(?:[^\t]{0,80}?\.\.\.+ ?)?" if prefix.letters & set("mtn") else ""
        pattern = f"^({started}{prefix.pattern()}({_LABEL}):(?: {{1,2}}|$))"
        names = ", ".join(map(quoted, ["whole", *prefix.groups, "label"]))
        columns = "".join(f", nullif(headed.{name}, '') AS {name}" for name in prefix.groups)
        label = messages.label_sql("headed.label")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE headed_line AS
            SELECT line_no, text{columns}, {label} AS label, substr(text, length(headed.whole) + 1) AS message
            FROM (SELECT *, regexp_extract(text, {quoted(pattern)}, [{names}]) AS headed FROM left_line)
            WHERE headed.whole <> ''
            """
        )
        if "stamp" in prefix.groups:
            for zone, first, last in con.execute(
                f"SELECT {zone_sql('stamp')} AS zone, min(stamp), max(stamp) FROM headed_line GROUP BY zone"
            ).fetchall():
                if zone is not None:
                    self.reading.ledger.saw(self.zones.utc(first, zone), self.zones.utc(last, zone))
        con.execute("DELETE FROM left_line WHERE line_no IN (SELECT line_no FROM headed_line)")
        return self.events.store_relation("SELECT * FROM headed_line", frozenset(prefix.groups))


def _taken(
    apart: Apart, steps: prefixes.Steps, numbers: NDArray[np.int64], texts: Texts
) -> tuple[NDArray[np.int64], Texts]:
    """Take lines of a block apart; return those that do not fit."""
    headed = steps.walk(texts)
    if headed.fits.all():
        apart.sift(Records(numbers, texts, headed.label, headed.message, headed.at, headed.groups))
        return numbers[:0], texts[:0]
    rows, left = np.flatnonzero(headed.fits), np.flatnonzero(~headed.fits)
    headed = headed[rows]
    apart.sift(Records(numbers[rows], texts[rows], headed.label, headed.message, headed.at, headed.groups))
    return numbers[left], texts[left]


FORMAT = Format(
    "postgres_log",
    "postgres",
    ("event",),
    certainty,
    read,
    SAMPLES,
    messages.CATALOGUE,
    (lambda sample, number: f"2026-11-21 03:12:00.000 UTC [{number}] {sample}",),
)
