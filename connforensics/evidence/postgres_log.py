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
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from connforensics.evidence import UNKNOWN_EXAMPLES, Format, Head, Reading
from connforensics.evidence import log_line_prefix as prefixes
from connforensics.evidence.lines import SUSPECT
from connforensics.evidence.log_line_prefix import Escape, Prefix, Told
from connforensics.evidence.messages import postgres as messages
from connforensics.evidence.postgres_log_samples import SAMPLES
from connforensics.evidence.zones import Zones, zone_sql

HEADS_LOOKED_AT: Final = 2000
"""Lines that inference is shown; a prefix that only appears later is met when its first line fits no known one."""

DETAILS: Final = tuple(
    text[:8]
    for text in (
        "Process ",
        "Processe",
        "Failed p",
        "Connecti",
        "Consiste",
        "Hot stan",
        "Recovery",
        'Role "',
        "Role is",
        "Password",
        'User "',
        "User doe",
        "The data",
        "This use",
        "There is",
        "Database",
        "Could no",
        "Client I",
    )
)
"""How a DETAIL begins that says more about a connection event."""


def read(reading: Reading) -> None:
    """Store the events of a PostgreSQL stderr log and account for every line."""
    _Reader(reading).read()


def certainty(head: Head) -> float:
    """How sure the lines are a PostgreSQL server's: by how many have a severity where its prefix would put one."""
    return _looked_at(head.lines, head.middle).certainty


# Looking at the head.

_LABEL = "|".join(re.sub(r"([().])", r"\\\1", label) for label in sorted(messages.labels(), key=len, reverse=True))
_COLON = re.compile(r":( {1,2}|$)")
_LABELS: Final = tuple(sorted(messages.labels(), key=len, reverse=True))
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
    r"\b(?:ERROR|WARN(?:ING)?|INFO|DEBUG|TRACE|SEVERE|CRITICAL|FATAL|Exception|Error|Caused by|failed|refused)\b|^\s*[{<]"
)
"""Words before the severity that say another program quotes a server's message."""


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
    elif own >= 3 and known:
        sure = 0.5
    else:
        return 0.0
    # What stands before the time is somebody else's: a syslog daemon's, a container runtime's.
    before = list(itertools.takewhile(lambda e: not isinstance(e, Escape) or e.letter not in "mtn", first.elements))
    if letters & set("mtn") and any(isinstance(e, Escape) and e.letter in "?N" for e in before):
        sure = 0.5
    return sure * share if share >= LEAST_SHARE else 0.0


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


def _told(line: str) -> Told | None:
    """Take a line apart where its severity stands; None for a continuation or a line without one."""
    if line.startswith("\t"):
        return None
    found: tuple[str, str, str] | None = None
    for colon in _COLON.finditer(line, 0, LONGEST_PREFIX):
        before = line[: colon.start()]
        if not before.endswith(_LABELS):
            continue
        label = next(label for label in _LABELS if before.endswith(label))
        head = before.removesuffix(label)
        if head[-1:].isalpha() and label.isascii():
            continue
        if colon[1] == "  " or found is None:
            found = head, label, line[colon.end() :].lstrip()
        if colon[1] == "  ":
            break
    if found is None:
        return None
    head, own, message = found
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


@dataclass(slots=True)
class _Reader:
    reading: Reading
    known: list[Prefix] = field(default_factory=list)
    zones: Zones = field(init=False)
    languages: set[str] = field(default_factory=set)
    is_verbose: bool = False

    def __post_init__(self) -> None:
        options = self.reading.options
        self.zones = Zones(options.timezone, self.reading.ledger)
        if options.log_line_prefix is not None:
            self.known.append(Prefix.parse(options.log_line_prefix))
        else:
            self.known.extend(_looked_at(self.reading.head.lines, self.reading.head.middle).prefixes)
        patterns = [re.compile(prefix.pattern()) for prefix in self.known if "stamp" in prefix.groups]
        for line in self.reading.head.lines:
            self._listen(line)
            told = _told(line) if len(self.zones.spellings) < 2 else None
            found = told and next((found for pattern in patterns if (found := pattern.fullmatch(told.head))), None)
            if found and found["stamp"]:
                self.zones.note(found["stamp"])

    def read(self) -> None:
        con = self.reading.con
        for table in self.reading.scan("slice"):
            self._slice(table.num_rows)
        found = con.execute(
            """
            SELECT detail
            FROM event
            WHERE source_id = ?
              AND kind = 'server_starting'
              AND detail IS NOT NULL
            ORDER BY line_no DESC
            LIMIT 1
            """,
            [self.reading.source_id],
        ).fetchall()
        if found:
            self.reading.version = found[0][0]

    def _listen(self, line: str) -> None:
        """Note the languages a line may be in."""
        if (colon := _COLON.search(line, 0, LONGEST_PREFIX)) and (not line.isascii() or colon[1] == "  "):
            label = colon and re.split(r"[\s:\]]", line[: colon.start()])[-1]
            self.languages |= messages.languages(label, line[colon.end() :])

    def _slice(self, lines: int) -> None:
        con = self.reading.con
        ledger = self.reading.ledger
        understood = 0
        headed = self._headed_sql()
        if headed is None:
            con.execute("CREATE OR REPLACE TEMP TABLE left_line AS SELECT line_no, text FROM slice")
        else:
            self._type(headed, self.known[0].groups)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE left_line AS SELECT line_no, text FROM typed_line WHERE number = {_LEFT}"
            )
            understood = self._store(self.known[0].groups, self._digits())
            self._times(self.known[0])
        unknown = 0
        if self._count("SELECT count(*) FROM left_line"):
            understood += self._left()
            unknown = self._unknown()
        ledger.understood += understood
        ledger.unknown += unknown
        ledger.ignored += lines - understood - unknown

    def _type(self, headed: str, groups: Sequence[str]) -> None:
        """Make `typed_line` of lines taken apart: the events, what is left over, and DETAIL lines of interest.

        Done again when the messages turn out to begin with SQLSTATEs or to be in a language not met before.
        """
        con = self.reading.con
        while True:
            typed = _typed_sql(headed, "sqlstate" in groups, self.is_verbose, self.languages)
            con.execute(f"CREATE OR REPLACE TEMP TABLE typed_line AS {typed}")
            [(codes, fatals)] = con.execute(
                f"""
                SELECT count(*) FILTER (number = {_VERBOSE}),
                       list(DISTINCT {_OPENING}) FILTER ({messages.is_of_sql("number", "fatal_error")})
                FROM typed_line
                """
            ).fetchall()
            spoken = {each for opening in fatals or () for each in messages.languages("FATAL", opening)}
            if not (codes and not self.is_verbose) and spoken <= self.languages:
                return
            self.is_verbose = self.is_verbose or codes > 0
            self.languages |= spoken

    def _times(self, prefix: Prefix) -> None:
        """Widen the source's time range by the lines of this slice, events or not."""
        stamp = prefixes.stamp_pattern(prefix)
        if stamp is None:
            return
        ledger = self.reading.ledger
        digits = self._digits()
        if digits and isinstance(prefix.elements[0], Escape) and prefix.elements[0].letter in "mt":
            shape = "____-__-__ __:__:__" + (".___" if digits == 23 else "")
            for zone in self.zones.spellings:
                like = messages.quoted(f"{shape}{' ' * bool(zone)}{zone}%")
                [(first, last)] = self.reading.con.execute(
                    f"SELECT min(left(text, {digits})), max(left(text, {digits})) FROM slice WHERE text LIKE {like}"
                ).fetchall()
                if first is not None:
                    ledger.saw(self.zones.utc(first, zone), self.zones.utc(last, zone))
            return
        for zone, first, last in self.reading.con.execute(
            f"""
            SELECT {zone_sql("stamp")} AS zone, min(stamp), max(stamp)
            FROM (SELECT regexp_extract(text, {messages.quoted(stamp)}, 1) AS stamp FROM slice)
            WHERE stamp <> ''
            GROUP BY zone
            """
        ).fetchall():
            ledger.saw(self.zones.utc(first, zone), self.zones.utc(last, zone))

    def _headed_sql(self) -> str | None:
        """Return the statement that takes the lines of the first prefix apart, `label` NULL where one does not fit."""
        steps = prefixes.chunks(self.known[0], self.zones.spellings) if self.known else None
        if steps is None:
            return None
        before, after = steps
        source = "SELECT line_no, text, text AS tail_0 FROM slice"
        got: dict[str, str] = {}
        for at, chunk in enumerate((*before, *after)):
            if after and at == len(before):
                is_server = messages.quoted(f"^(?:{'|'.join(messages.LABELS)}):")
                source = f"SELECT *, regexp_matches(tail_{at}, {is_server}) AS is_server FROM ({source})"
            source = _step(source, chunk, at, at >= len(before))
            for group in chunk.groups[1:]:
                got[group] = f"nullif(piece_{at}.{group}, '')"
        digits = prefixes.leading_stamp(self.known[0], self.zones.spellings)
        if digits:
            got["stamp"] = f"left(text, {digits})"
        label = got.pop("label")
        columns = "".join(f", {expression} AS {name}" for name, expression in got.items())
        conditions = [messages.one_of_sql(label, messages.LABELS)]
        for at in range(len(before) + len(after) - 1):
            conditions.append(f"piece_{at}.whole {'IS DISTINCT FROM' if at >= len(before) else '<>'} ''")
        return f"""
            SELECT line_no, text{columns},
                   CASE WHEN {" AND ".join(conditions)} THEN {label} END AS label,
                   tail_{len(before) + len(after)} AS message
            FROM ({source})
            """

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
            WHERE regexp_matches(text, {messages.quoted(f"(?:{_LABEL}):(?: |$)")})
            ORDER BY line_no
            LIMIT {HEADS_LOOKED_AT}
            """
        ).fetchall()
        told = [told for (line,) in rows if (told := _told(line))]
        for prefix in prefixes.infer(told, self.known):
            if not prefix.elements or prefix.letters & set("mtnpc"):
                self.known.append(prefix)
                understood += self._whole(prefix)
        return understood

    def _whole(self, prefix: Prefix) -> int:
        con = self.reading.con
        if not self._count("SELECT count(*) FROM left_line"):
            return 0
        started = r"(?:[^\t]{0,80}?\.\.\.+ ?)?" if prefix.letters & set("mtn") else ""
        pattern = f"^({started}{prefix.pattern()}({_LABEL}):(?: {{1,2}}|$))"
        names = ", ".join(map(messages.quoted, ["whole", *prefix.groups, "label"]))
        columns = "".join(f", nullif(headed.{name}, '') AS {name}" for name in prefix.groups)
        labels = " ".join(
            f"WHEN {messages.quoted(own)} THEN {messages.quoted(english)}"
            for own, english in messages.labels().items()
            if own != english
        )
        label = f"CASE headed.label {labels} ELSE headed.label END" if labels else "headed.label"
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE headed_line AS
            SELECT line_no, text{columns}, {label} AS label, substr(text, length(headed.whole) + 1) AS message
            FROM (SELECT *, regexp_extract(text, {messages.quoted(pattern)}, [{names}]) AS headed FROM left_line)
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
        self._type("SELECT * FROM headed_line", prefix.groups)
        return self._store(prefix.groups, None)

    def _store(self, groups: Sequence[str], digits: int | None) -> int:
        """Insert the events of `typed_line`; return how many lines they took."""
        given = {"source_id": str(self.reading.source_id), "engine": "'postgres'"}
        if self.reading.server:
            given["server"] = messages.quoted(self.reading.server)
        extra = ", ".join(f"{value} AS {name}" for name, value in given.items())
        details = self._count(f"SELECT count(*) FROM typed_line WHERE number = {_FURTHER}")
        shown = {*groups, "sqlstate"} if self.is_verbose else {*groups}
        events = _event_sql(shown, self.zones, details > 0, self._unknowns(), digits)
        stored = self._count(f"INSERT INTO event BY NAME SELECT {extra}, * FROM ({events})")
        if details:
            stored += self._count(
                f"""
                SELECT count(*)
                FROM typed_line AS detail
                JOIN (SELECT line_no FROM typed_line WHERE {_DETAILED}) AS told
                  ON told.line_no = detail.line_no - 1
                WHERE detail.number = {_FURTHER}
                """
            )
        return stored

    def _unknown(self) -> int:
        """Count and show the lines that fit nothing; indented ones continue a record whose tabs were lost."""
        con = self.reading.con
        ledger = self.reading.ledger
        con.execute("DELETE FROM left_line WHERE regexp_matches(text, '^ {2,}')")
        [(unknown, suspects)] = con.execute(
            "SELECT count(*), count(*) FILTER (regexp_matches(text, ?)) FROM left_line", [SUSPECT]
        ).fetchall()
        ledger.suspects += suspects
        for line_no, text in con.execute(
            f"SELECT line_no, text FROM left_line ORDER BY line_no LIMIT {UNKNOWN_EXAMPLES}"
        ).fetchall():
            ledger.example(line_no, text)
        return int(unknown)

    def _digits(self) -> int | None:
        """Digits of a time under the first prefix."""
        stamps = self.known[0].letters & set("mt")
        return {"m": 23, "t": 19}[next(iter(stamps))] if len(stamps) == 1 else None

    def _unknowns(self) -> Sequence[str]:
        return sorted(messages.unknowns()) if self.languages else ("[unknown]",)

    def _count(self, sql: str) -> int:
        [(count,)] = self.reading.con.execute(sql).fetchall()
        return int(count)


def _step(source: str, chunk: prefixes.Chunk, at: int, is_after_quit: bool) -> str:
    """Add one chunk to the statement: match it at the tail, cut the tail.

    Of what stands after `%q` a server process writes nothing but the severity.
    """

    def matched(pattern: str) -> str:
        names = ", ".join(map(messages.quoted, chunk.groups))
        return f"regexp_extract(tail_{at}, {messages.quoted(pattern)}, [{names}])"

    piece = matched(chunk.pattern)
    tail = f"substr(tail_{at}, length(piece_{at}.whole) + 1)"
    if is_after_quit:
        alone = "NULL"
        if chunk.groups[-1] == "label":
            alone = matched(f"^({'()' * (len(chunk.groups) - 2)}([A-Z]+[1-5]?):  ?)")
        else:
            tail = f"CASE WHEN is_server THEN tail_{at} ELSE {tail} END"
        piece = f"CASE WHEN is_server THEN {alone} ELSE {piece} END"
    return f"SELECT *, {tail} AS tail_{at + 1} FROM (SELECT *, {piece} AS piece_{at} FROM ({source}))"


_OPENING: Final = f"left(message, {messages.OPENING_CHARACTERS})"
_DETAIL: Final = f"CASE WHEN label = 'DETAIL' THEN {messages.one_of_sql(_OPENING, DETAILS)} ELSE false END"


_LEFT: Final = -1
_FURTHER: Final = -2
_VERBOSE: Final = -3
"""Numbers of lines that are no events: does not fit the prefix, a DETAIL of interest, may begin with its SQLSTATE."""


def _typed_sql(headed: str, has_state: bool, is_verbose: bool, languages: AbstractSet[str]) -> str:
    """Return the statement that types messages and keeps those of the catalogue, every FATAL, and what is left over."""
    known = messages.worth_typing_sql("message", "label", _OPENING)
    state = "sqlstate" if has_state else None
    if has_state:
        known += " OR sqlstate <> '00000'"
    verbose = f"WHEN substr(message, 6, 2) = ': ' AND regexp_matches(message, '^[0-9A-Z]{{5}}: ') THEN {_VERBOSE}"
    if is_verbose:
        verbose = ""
        code = r"regexp_extract(message, '^([0-9A-Z]{5}): *', 1)"
        headed = f"""
            SELECT * {"EXCLUDE (sqlstate)" if has_state else ""}
                   REPLACE (CASE WHEN code <> '' THEN ltrim(substr(message, 7)) ELSE message END AS message),
                   CASE WHEN code <> '' THEN code {"ELSE sqlstate" if has_state else ""} END AS sqlstate
            FROM (SELECT *, {code} AS code FROM ({headed}))
            """
        state = "sqlstate"
    if languages:
        told = messages.english_sql("message", languages)
        headed = f"SELECT * REPLACE ({told} AS message) FROM ({headed})"
    number = messages.number_sql("message", "label", state)
    left = f"CASE WHEN starts_with(text, chr(9)) OR text = '' THEN NULL ELSE {_LEFT} END"
    return f"""
        SELECT *
        FROM (
          SELECT *,
                 CASE WHEN label IS NULL THEN {left}
                      WHEN {known} THEN {number}
                      WHEN {_DETAIL} THEN {_FURTHER}
                      {verbose} END AS number
          FROM ({headed})
        )
        WHERE number IS NOT NULL
        """


_DETAILED: Final = messages.is_of_sql(
    "number",
    "lock_wait",
    "deadlock",
    "refused_full",
    "refused_reserved",
    "refused_quota",
    "refused_state",
    "refused_rule",
    "auth_failed",
    "unknown_target",
    "session_terminated",
    "server_crashed",
    "fatal_error",
)
"""Kinds whose DETAIL is worth keeping."""

_PIECES: Final = "['a', 'b', 'c', 'd']"
_RECEIVED: Final = r"^connection received: host=([^ ]*)(?: port=([0-9]+))?()()"
_AUTHORIZED: Final = r"^connection authorized: user=([^ ]*) database=([^ ]*)(.*)()"
_CLOSED: Final = r"^disconnection: session time: ([0-9:.]+) user=([^ ]*) database=([^ ]*) host=(.*)"
_AUTHORIZED_WHOLE: Final = (
    r"^(?:replication )?connection authorized: user=(.*?)(?: database=(.*?))?(?: application_name=(.*?))?"
    r"(?: SSL (?:enabled )?\(.*\))?(?: GSS \(.*\))?()$"
)
_CLOSED_WHOLE: Final = r"^disconnection: session time: ([0-9:.]+)(?: user=(.*) database=(.*) host=(.*))?$"


def _event_sql(
    groups: AbstractSet[str], zones: Zones, has_details: bool, unknowns: Sequence[str], digits: int | None
) -> str:
    """Return the statement that makes events of `typed_line`."""

    def of(*kinds: str) -> str:
        return messages.is_of_sql("number", *kinds)

    def prefixed(name: str) -> str:
        if name not in groups:
            return "NULL"
        unknown = " AND ".join(f"{name} <> {messages.quoted(text)}" for text in unknowns)
        return f"CASE WHEN {unknown} THEN {name} END"

    received, authorized, closed = of("connection_received"), of("connection_authorized"), of("connection_closed")
    quoted = messages.quoted
    pieces = f"""CASE
        WHEN {received} THEN regexp_extract(message, {quoted(_RECEIVED)}, {_PIECES})
        WHEN {authorized} THEN regexp_extract(message, {quoted(_AUTHORIZED)}, {_PIECES})
        WHEN {closed} THEN regexp_extract(message, {quoted(_CLOSED)}, {_PIECES})
        END"""
    # A name with a blank in it does not fit the quick expressions: the whole one takes its time.
    again = f"""CASE
        WHEN {authorized} AND (pieces.a = '' OR (pieces.c <> '' AND (NOT starts_with(pieces.c, ' application_name=') OR contains(pieces.c, ' SSL ') OR contains(pieces.c, ' GSS '))))
        THEN regexp_extract(message, {quoted(_AUTHORIZED_WHOLE)}, {_PIECES})
        WHEN {closed} AND pieces.a = '' THEN regexp_extract(message, {quoted(_CLOSED_WHOLE)}, {_PIECES})
        WHEN {authorized} THEN struct_update(pieces, c := substr(pieces.c, 19))
        ELSE pieces END"""
    seconds = "epoch(TRY_CAST(pieces.a AS INTERVAL))"
    pid = ["TRY_CAST(pid AS BIGINT)"] if "pid" in groups else []
    if "session_key" in groups and not pid:
        pid.append("TRY_CAST('0x' || split_part(session_key, '.', 2) AS BIGINT)")
    pid.append(
        f"CASE WHEN {of('lock_wait', 'lock_acquired', 'deadlock')}"
        " THEN TRY_CAST(regexp_extract(message, '^process ([0-9]+)', 1) AS BIGINT) END"
    )
    host = port = "NULL"
    if "host" in groups:
        with_port = r"regexp_extract(host, '^(.*)\(([0-9]+)\)$', ['host', 'port'])"
        host = f"CASE WHEN ends_with(host, ')') THEN nullif({with_port}.host, '') ELSE host END"
        port = f"CASE WHEN ends_with(host, ')') THEN TRY_CAST({with_port}.port AS INTEGER) END"
    stamp = "stamp" if "stamp" in groups else None
    epoch = "epoch" if "epoch" in groups else None
    implied = messages.sqlstate_sql("number")
    detail, further = "NULL", ""
    if has_details:
        detail = "further.detail"
        further = f"""
            LEFT JOIN (
              SELECT line_no - 1 AS of_line, message AS detail FROM typed_line WHERE number = {_FURTHER}
            ) AS further
              ON further.of_line = line_no
             AND {_DETAILED}"""
    return f"""
        SELECT line_no,
               {zones.sql(stamp, epoch, digits)} AS event_at,
               {messages.kind_sql("number")} AS kind,
               {messages.reason_sql("number")} AS reason,
               label AS severity,
               {f"coalesce(sqlstate, {implied})" if "sqlstate" in groups else implied} AS sqlstate,
               coalesce({", ".join(pid)}) AS backend_id,
               {"session_key" if "session_key" in groups else "NULL"} AS session_key,
               coalesce(CASE
                   WHEN {received} THEN NULL
                   WHEN {authorized} THEN nullif(pieces.a, '')
                   WHEN {closed} THEN nullif(pieces.b, '')
                   WHEN {of("refused_rule", "auth_failed", "unknown_target", "refused_quota")}
                   THEN nullif(regexp_extract(message, '(?:user|role) "(.*?)"(?:,| |:|$)', 1), '')
                   WHEN {of("connection_authenticated")}
                   THEN nullif(regexp_extract(message, '^connection authenticated: user="(.*?)" method=', 1), '')
                 END, {prefixed("user_name")}) AS user_name,
               coalesce(CASE
                   WHEN {received} THEN NULL
                   WHEN {authorized} THEN nullif(pieces.b, '')
                   WHEN {closed} THEN nullif(pieces.c, '')
                   WHEN {of("refused_rule", "unknown_target", "refused_quota")}
                   THEN nullif(regexp_extract(message, 'database "(.*?)"(?:,| |$)', 1), '')
                 END, {prefixed("database_name")}) AS database_name,
               coalesce(CASE
                   WHEN {authorized} THEN nullif(pieces.c, '')
                 END, {prefixed("application_name")}) AS application_name,
               coalesce(CASE
                   WHEN {received} THEN nullif(pieces.a, '')
                   WHEN {closed} THEN nullif(split_part(pieces.d, ' port=', 1), '')
                   WHEN {of("refused_rule")} THEN nullif(regexp_extract(message, 'host "(.*?)"', 1), '')
                 END, {host}) AS client_host,
               coalesce(CASE
                   WHEN {received} THEN TRY_CAST(pieces.b AS INTEGER)
                   WHEN {closed} THEN TRY_CAST(split_part(pieces.d, ' port=', 2) AS INTEGER)
                 END, {port}) AS client_port,
               CASE
                   WHEN {received} OR {authorized} THEN NULL
                   WHEN {closed} THEN round(({seconds}) * 1000, 3)
                   WHEN {of("lock_wait", "lock_acquired", "deadlock")}
                   THEN TRY_CAST(regexp_extract(message, ' after ([0-9.]+) ms', 1) AS DOUBLE)
                   WHEN {of("slow_statement")}
                   THEN TRY_CAST(regexp_extract(message, '^duration: ([0-9.]+) ms', 1) AS DOUBLE)
                   WHEN {of("connection_ready")}
                   THEN TRY_CAST(regexp_extract(message, 'setup total=([0-9.]+) ms', 1) AS DOUBLE)
                 END AS duration_ms,
               coalesce({detail}, CASE
                   WHEN {received} OR {authorized} OR {closed} THEN NULL
                   WHEN {of("refused_quota")} THEN nullif(regexp_extract(message, '"(.*)"', 1), '')
                   WHEN {of("client_lost", "bad_startup", "fork_failed")} AND contains(message, ': ')
                   THEN substr(message, instr(message, ': ') + 2)
                   WHEN {of("connection_authenticated")} THEN substr(message, 27)
                   WHEN {of("connection_ready")} THEN substr(message, 19)
                   WHEN {of("lock_acquired")} THEN nullif(regexp_extract(message, ' acquired (.*) after ', 1), '')
                   WHEN {of("server_starting")}
                   THEN nullif(regexp_extract(message, '^starting PostgreSQL ([^ ]+)', 1), '')
                   WHEN {of("setting_changed")}
                   THEN regexp_replace(message, '^parameter "([^"]*)"(?: changed to "(.*)")?.*$', '\\1=\\2')
                 END) AS detail,
               CASE WHEN {of("slow_statement")} THEN left(text, {messages.SLOW_STATEMENT_CHARACTERS}) ELSE text END
                 AS text
        FROM (
          SELECT * REPLACE ({again} AS pieces)
          FROM (SELECT *, {pieces} AS pieces FROM typed_line WHERE number >= 0)
        )
        {further}
        """


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
