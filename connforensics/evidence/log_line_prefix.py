"""What stands before the severity of a PostgreSQL log line: `log_line_prefix`, declared or found out from the lines.

A prefix is a list of literal texts and escapes (`%m`, `%p`, ...; https://www.postgresql.org/docs/current/
runtime-config-logging.html#GUC-LOG-LINE-PREFIX). `infer` reads the heads of many lines (what stands before the first
severity), cuts each into typed pieces (a time, a number, an address, `[unknown]`, `user=`...), takes every shape so
found as a candidate, and judges the candidates by how many heads they explain and how well the pieces agree with what
the messages say: a pid is the second half of the session id, `%u` and `%d` are the user and database of "connection
authorized", `%h` is the host of "connection received", `%l` rises for each pid. A piece nobody can name stays unnamed
(`%?`): it is skipped, not guessed.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connforensics.evidence.messages.postgres import LABELS, unknowns
from connforensics.evidence.scanner import (
    CAPITALS_AND_DIGITS,
    DIGITS,
    HEX,
    NO_TIME,
    Class,
    Flags,
    Moments,
    Places,
    Scan,
    Texts,
)

ZONE: Final = r"(?:[A-Z][A-Za-z]{1,5}|[+-]\d{2}(?::?\d{2}){0,2})"
_DATE: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_HOST: Final = r"(?:\[local\]|[A-Za-z0-9_.:%-]*?)"
_PATTERNS: Final[Mapping[str, str]] = {
    "m": rf"{_DATE}\.\d{{3}}(?: {ZONE})?",
    "t": rf"{_DATE}(?: {ZONE})?",
    "s": rf"{_DATE}(?: {ZONE})?",
    "n": r"\d{9,10}\.\d{3}",
    "p": r"\d+",
    "P": r"\d*",
    "l": r"\d+",
    "x": r"\d+",
    "Q": r"-?\d+",
    "N": r"-?\d+",
    "c": r"[0-9a-f]+\.[0-9a-f]+",
    "e": r"[0-9A-Z]{5}",
    "v": r"(?:-?\d+/-?\d+)?",
    "h": _HOST,
    "r": rf"(?:{_HOST}(?:\(\d{{1,5}}\))?)?",
    "L": _HOST,
    "u": r".*?",
    "d": r".*?",
    "a": r".*?",
    "i": r".*?",
    "b": r".*?",
    "?": r".*?",
}
"""What each escape may look like. `N` is a number nobody could name, `?` a text nobody could name."""

GROUPS: Final[Mapping[str, str]] = {
    "m": "stamp",
    "t": "stamp",
    "n": "epoch",
    "p": "pid",
    "c": "session_key",
    "u": "user_name",
    "d": "database_name",
    "a": "application_name",
    "h": "host",
    "r": "host",
    "e": "sqlstate",
}
"""Escapes that give a column, and the group their value stands in (`host` of `%r` with its port)."""

TEXTS: Final = frozenset("udaib?")
QUIT: Final = "%q"


class Escape(NamedTuple):
    """A `%` escape by its letter; `is_named` says whether its value is wanted."""

    letter: str


Element = str | Escape
"""A literal text (never empty), `QUIT`, or an escape."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A `log_line_prefix` as its elements, without padding."""

    elements: tuple[Element, ...]

    @classmethod
    def parse(cls, declared: str) -> Prefix:
        """Read the setting as it stands in postgresql.conf; padding (`%-10u`) is read and ignored.

        >>> str(Prefix.parse("%m [%p] %q%u@%d "))
        '%m [%p] %q%u@%d '
        """
        elements: list[Element] = []
        for literal, letter in re.findall(r"((?:[^%]|%%)+)|%-?\d*([A-Za-z])", declared):
            if literal:
                elements.append(literal.replace("%%", "%"))
            elif letter == "q":
                elements.append(QUIT)
            else:
                elements.append(Escape(letter if letter in _PATTERNS else "?"))
        return cls(_merged(elements))

    def __str__(self) -> str:
        return "".join(
            element
            if element == QUIT
            else element.replace("%", "%%")
            if isinstance(element, str)
            else f"%{element.letter}"
            for element in self.elements
        )

    @property
    def letters(self) -> frozenset[str]:
        """The escapes it holds."""
        return frozenset(element.letter for element in self.elements if isinstance(element, Escape))

    def pattern(self) -> str:
        """Return a regular expression (for Python and RE2) of the whole prefix, with the groups of `GROUPS`."""
        named: set[str] = set()
        parts: list[str] = []
        depth = 0
        for at, element in enumerate(self.elements):
            if element == QUIT:
                parts.append("(?:")
                depth += 1
            elif isinstance(element, str):
                parts.append(_escaped(element))
            else:
                group = GROUPS.get(element.letter)
                body = _PATTERNS[element.letter]
                if element.letter in "ud" and self.is_beside_text(at):
                    # Programs have blanks in their names far more often than roles and databases.
                    body = r"[^ ]*?"
                if group is not None and group not in named:
                    named.add(group)
                    parts.append(f"(?P<{group}>{body})")
                else:
                    parts.append(f"(?:{body})")
        return "".join(parts) + ")?" * depth

    def is_beside_text(self, at: int) -> bool:
        """Whether nothing but blanks parts a piece from another text."""
        for step in (-1, 1):
            between = self.elements[at + step] if 0 <= at + step < len(self.elements) else None
            beyond = self.elements[at + 2 * step] if 0 <= at + 2 * step < len(self.elements) else None
            if isinstance(between, str) and between.isspace() and isinstance(beyond, Escape) and beyond.letter in TEXTS:
                return True
        return False

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of `pattern`, in order."""
        found = (GROUPS.get(element.letter) for element in self.elements if isinstance(element, Escape))
        return tuple(dict.fromkeys(group for group in found if group))


@dataclass(frozen=True, slots=True)
class Told:
    """A line as inference sees it: what stands before its severity, and what its message tells about the session.

    `role` says what kind of process wrote it, where the message gives that away: 'received' (before the start
    packet: user, database and application are `[unknown]`), 'client', 'server' (no session), or ''. `is_known` says
    whether the message is one that PostgreSQL writes.
    """

    head: str
    role: str = ""
    label: str = "LOG"
    is_known: bool = False
    user: str | None = None
    database: str | None = None
    application: str | None = None
    host: str | None = None


def infer(lines: Sequence[Told], known: Sequence[Prefix] = ()) -> list[Prefix]:
    """Return the prefixes that explain `lines`, the one that explains most first.

    `known` prefixes are tried first and are not returned. A prefix that explains a single line of many is returned
    only when its pieces are all typed: a stray line makes no rule.
    """
    left = list(lines)
    for prefix in known:
        pattern = re.compile(prefix.pattern())
        left = [line for line in left if not pattern.fullmatch(line.head)]
    found: list[Prefix] = []
    while left and len(found) < _MAX_PREFIXES:
        best = _best(left)
        if best is None:
            break
        pattern = re.compile(best.pattern())
        rest = [line for line in left if not pattern.fullmatch(line.head)]
        if len(rest) == len(left):
            break
        found.append(best)
        left = rest
    return found


_MAX_PREFIXES: Final = 8
"""A file may be written under several settings; more than these are torn lines."""

_MAX_CANDIDATES: Final = 60
_MAX_HEADS: Final = 1500
_MAX_CUT: Final = 300
"""Heads that shapes are found in, and judged by all; what no shape explains is looked at again."""


# Cutting a head into typed pieces. `$name` pieces are slots; the rest is literal.

_STAMP = re.compile(rf"{_DATE}(?P<ms>\.\d{{3}})?(?: {ZONE}(?![A-Za-z0-9_=]))?")
_EPOCH = re.compile(r"\d{10}\.\d{3}(?![\w.])")
_SESSION = re.compile(r"[0-9a-f]{7,8}\.[0-9a-f]{1,7}(?![\w.])")
_UNKNOWN = re.compile("|".join(map(re.escape, sorted(unknowns()))))
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_IPV6 = r"(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?::[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*(?:%\w+)?)"
_ADDRESS = re.compile(rf"(?:{_IPV4}|{_IPV6}|\[local\])(?![\w.])(?P<port>\(\d{{1,5}}\))?")
_NAMED_ADDRESS = re.compile(r"[A-Za-z][\w.-]*\(\d{1,5}\)")
_VXID = re.compile(r"-?\d+/-?\d+(?![\w/])")
_INTEGER = re.compile(r"\d+(?![\w.])")
_NEGATIVE = re.compile(r"-\d+(?![\w.])")
_STATE = re.compile(r"(?=[0-9A-Z]*\d)[0-9A-Z]{5}(?![\w.])")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_COLON_KEY = re.compile(r"([A-Za-z_]+):(?=\S)")
_AFTER_KEY = re.compile(r"[^,;|\]\)}]*?(?=\s*$|[,;|\]\)}]|\s+[\[(]?[A-Za-z_][A-Za-z0-9_]*=)")
_BREAK = r"\s,;=@\[\](){}|<>\"':"
_WORDS = {
    "all": re.compile(rf"[^{_BREAK}/-]+"),
    "dash": re.compile(rf"[^{_BREAK}/-][^{_BREAK}/]*"),
    "slash": re.compile(rf"[^{_BREAK}/-][^{_BREAK}]*"),
    "blank": re.compile(rf"[^{_BREAK}/-][^{_BREAK}/]*(?: (?![A-Za-z_]+[:=])[^{_BREAK}/-][^{_BREAK}/]*)*"),
}
"""What ends a bare word, in four readings: names may hold dashes, slashes or blanks, or be separated by them."""

_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("user", "usr", "u", "username", "user_name", "role", "login"), "u"),
    **dict.fromkeys(("db", "database", "d", "dbname", "datname", "database_name"), "d"),
    **dict.fromkeys(("app", "application", "appname", "a", "application_name", "app_name", "program"), "a"),
    **dict.fromkeys(
        (
            "client",
            "host",
            "h",
            "remote",
            "ip",
            "addr",
            "address",
            "client_addr",
            "remote_host",
            "hostname",
            "from",
            "r",
        ),
        "h",
    ),
    **dict.fromkeys(("tag", "cmd", "command", "cmdtag", "qtag", "ps", "i", "command_tag"), "i"),
    **dict.fromkeys(("backend", "backend_type", "type", "b", "bt"), "b"),
    **dict.fromkeys(("pid", "p", "process", "proc", "process_id"), "p"),
    **dict.fromkeys(("line", "l", "n", "num", "line_num", "seq"), "l"),
    **dict.fromkeys(("xid", "txid", "trx_id", "tx", "x", "trx", "transaction"), "x"),
    **dict.fromkeys(("queryid", "query_id", "qid", "q"), "Q"),
    **dict.fromkeys(("state", "sqlstate", "err", "error", "errcode", "code", "e", "pg", "sql_error_code"), "e"),
}
"""Names people write before a value, and the escape they mean."""


def _cut(head: str, reading: str) -> tuple[Element, ...] | None:
    """Cut a head into elements: escapes hold the type of a piece (`?` text, `N` number), not yet its name."""
    word = _WORDS[reading]
    out: list[Element] = []
    at = 0
    while at < len(head):
        before = head[at - 1] if at else " "
        bounded = not (before.isalnum() or before == "_")
        rest = head[at:]
        if bounded and (found := _STAMP.match(head, at)):
            out.append(Escape("m" if found["ms"] else "t"))
        elif bounded and (found := _EPOCH.match(head, at)):
            out.append(Escape("n"))
        elif found := _UNKNOWN.match(head, at):
            out.append(Escape("?"))
        elif bounded and (found := _SESSION.match(head, at)) and _is_session(found[0]):
            out.append(Escape("c"))
        elif bounded and (found := _ADDRESS.match(head, at)):
            out.append(Escape("r" if found["port"] else "h"))
        elif bounded and (found := _NAMED_ADDRESS.match(head, at)):
            out.append(Escape("r"))
        elif bounded and (found := _VXID.match(head, at)):
            out.append(Escape("v"))
        elif bounded and (found := _INTEGER.match(head, at)):
            out.append(Escape("N"))
        elif before in " =[(" and (found := _NEGATIVE.match(head, at)):
            out.append(Escape("Q"))
        elif bounded and (found := _STATE.match(head, at)):
            out.append(Escape("e"))
        elif bounded and (found := _KEY.match(head, at)):
            out.append(found[0])
            at = found.end()
            value = _AFTER_KEY.match(head, at)
            typed = _typed(head, at)
            if value is not None and not typed:
                out.append(Escape("?"))
                at = value.end()
            continue
        elif bounded and before != "@" and (found := _COLON_KEY.match(head, at)) and found[1].lower() in _KEYS:
            out.append(found[0])
            at = found.end()
            continue
        elif bounded and (found := word.match(head, at)):
            out.append(Escape("?"))
        else:
            if rest[0] == "@":
                if not (out and isinstance(out[-1], Escape)):
                    out.append(Escape("?"))
                out.append("@")
                at += 1
                if at == len(head) or not (head[at].isalnum() or head[at] in "[_-"):
                    out.append(Escape("?"))
                continue
            out.append(rest[0])
            at += 1
            continue
        at = found.end()
    elements = _merged(out)
    for one, two in itertools.pairwise(elements):
        if isinstance(one, Escape) and isinstance(two, Escape):
            return None
    return elements


def _typed(head: str, at: int) -> bool:
    """Whether a piece that needs no key to be recognised begins at `at`."""
    return any(
        pattern.match(head, at)
        for pattern in (
            _STAMP,
            _EPOCH,
            _SESSION,
            _ADDRESS,
            _NAMED_ADDRESS,
            _VXID,
            _INTEGER,
            _NEGATIVE,
            _STATE,
            _UNKNOWN,
        )
    )


def _is_session(text: str) -> bool:
    """Whether the first half of a session id is a time between 1998 and 2106."""
    return int(text.partition(".")[0], 16) >= 0x35000000


def _merged(elements: Iterable[Element]) -> tuple[Element, ...]:
    """Join literals that stand side by side."""
    out: list[Element] = []
    for element in elements:
        if isinstance(element, str) and element != QUIT and out and isinstance(out[-1], str) and out[-1] != QUIT:
            out[-1] += element
        else:
            out.append(element)
    return tuple(out)


def _escaped(text: str) -> str:
    """Return `text` as a regular expression that Python and RE2 read alike."""
    return re.sub(r"([\\.\[\](){}*+?^$|])", r"\\\1", text)


# Judging.


class _Judged(NamedTuple):
    score: float
    prefix: Prefix


def _best(lines: Sequence[Told]) -> Prefix | None:
    sample = _thinned(lines, _MAX_HEADS)
    shapes: Counter[tuple[Element, ...]] = Counter()
    for line in _thinned(sample, _MAX_CUT):
        for cut in {_cut(line.head, reading) for reading in _WORDS}:
            if cut is not None:
                shapes[cut] += 1
    if any(Escape("r") in shape for shape in shapes):
        # `%r` shows a local client without a port: the same piece.
        joined: Counter[tuple[Element, ...]] = Counter()
        for shape, count in shapes.items():
            joined[tuple(Escape("r") if e == Escape("h") else e for e in shape)] += count
        shapes += joined
    best: _Judged | None = None
    explained_by = []
    for shape, _ in shapes.most_common(_MAX_CANDIDATES):
        pattern = re.compile(Prefix(shape).pattern())
        explained_by.append((sum(1 for line in sample if pattern.fullmatch(line.head)), shape))
    explained_by.sort(key=lambda item: (-item[0], -_worth(item[1])))
    for _, shape in explained_by[:_MAX_CANDIDATES]:
        judged = _judge(shape, sample)
        if judged is not None and (best is None or judged.score > best.score):
            best = judged
    return best.prefix if best else None


def _thinned(lines: Sequence[Told], most: int) -> Sequence[Told]:
    return lines[:: max(1, len(lines) // most)]


def _worth(shape: tuple[Element, ...]) -> float:
    return sum(1.0 if isinstance(e, Escape) and e.letter not in TEXTS else 0.0 for e in shape) - len(shape) / 100


def _judge(shape: tuple[Element, ...], lines: Sequence[Told]) -> _Judged | None:
    """Name the pieces of a shape and score it; None where it is no prefix of a PostgreSQL log."""
    slots = [at for at, element in enumerate(shape) if isinstance(element, Escape)]
    pattern = re.compile(_slotted(shape))
    matches = [(line, found) for line in lines if (found := pattern.fullmatch(line.head))]
    if not matches:
        return None
    quit_shape = _with_quit(shape, [line for line in lines if not pattern.fullmatch(line.head)])
    values = {at: [found.group(f"s{at}") for _, found in matches] for at in slots}
    told = [line for line, _ in matches]
    names, agreement = _named(shape, values, told)
    literal = _constants(shape, values, told, names)
    elements: list[Element] = []
    at_shape = 0
    for element in quit_shape.elements:
        if isinstance(element, str):
            elements.append(element)
            continue
        at = slots[at_shape]
        at_shape += 1
        elements.append(literal[at] if at in literal else Escape(names.get(at, element.letter)))
    prefix = Prefix(_merged(elements))
    whole = re.compile(prefix.pattern())
    full = re.compile(Prefix(tuple(element for element in prefix.elements if element != QUIT)).pattern())
    explained = sum(
        1 for line in lines if (full if line.role in ("received", "client") else whole).fullmatch(line.head)
    )
    shares = explained / len(lines)
    texts = sum(1 for e in prefix.elements if isinstance(e, Escape) and e.letter == "?")
    numbers = sum(1 for e in prefix.elements if isinstance(e, Escape) and e.letter in "NQ")
    typed = sum(1 for e in prefix.elements if isinstance(e, Escape)) - texts - numbers
    literals = sum(len(e) for e in prefix.elements if isinstance(e, str) and e != QUIT)
    score = 100 * shares + 3 * agreement + 0.3 * typed - 1.0 * texts - 0.2 * numbers + 0.02 * min(literals, 40)
    score -= 0.5 if QUIT in prefix.elements else 0.0
    return _Judged(score, prefix)


def _slotted(shape: tuple[Element, ...]) -> str:
    return "".join(
        _escaped(element) if isinstance(element, str) else f"(?P<s{at}>{_PATTERNS[element.letter]})"
        for at, element in enumerate(shape)
    )


def _with_quit(shape: tuple[Element, ...], rest: Sequence[Told]) -> Prefix:
    """Put `%q` where cutting the shape off explains most of the heads it does not explain as a whole."""
    rest = [line for line in rest if line.role not in ("received", "client")][:80]
    if not rest:
        return Prefix(shape)
    exploded: list[Element] = []
    for element in shape:
        exploded.extend(element if isinstance(element, str) else [element])
    # Server processes have no names: a text ends at once, and their times bear a zone where others do.
    has_zone = any((found := _STAMP.search(line.head)) and found[0][-1].isalpha() for line in rest)
    best, best_at = (0, False), None
    for at in range(1, len(exploded)):
        last = exploded[at - 1]
        if isinstance(last, Escape) and last.letter in TEXTS:
            # A text that nothing ends would explain any head.
            continue
        pattern = re.compile(_tight(_merged(exploded[:at]), has_zone))
        explained = sum(1 for line in rest if pattern.fullmatch(line.head))
        # In a tie, behind the last literal text that still fits.
        rank = explained, isinstance(exploded[at - 1], str)
        if explained and rank >= best:
            best, best_at = rank, at
    if best_at is None:
        return Prefix(shape)
    return Prefix((*_merged(exploded[:best_at]), QUIT, *_merged(exploded[best_at:])))


def _tight(shape: tuple[Element, ...], has_zone: bool) -> str:
    out = ""
    for at, element in enumerate(shape):
        if isinstance(element, str):
            out += _escaped(element)
        elif element.letter in TEXTS:
            follows = shape[at + 1] if at + 1 < len(shape) else ""
            out += f"[^{re.escape(follows[0])}]*" if isinstance(follows, str) and follows else ".*"
        else:
            body = _PATTERNS[element.letter]
            out += body.removesuffix("?") if has_zone and element.letter in "mts" else body
    return out


_TAGS: Final = frozenset(
    [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "PARSE",
        "BIND",
        "SET",
        "SHOW",
        "COPY",
        "VACUUM",
        "ANALYZE",
        "idle",
        "startup",
        "authentication",
        "initializing",
        "CREATE",
        "DROP",
        "ALTER",
        "TRUNCATE",
        "EXECUTE",
        "FETCH",
        "DISCARD",
    ]
) | {"idle in transaction", "CREATE TABLE", "DROP TABLE", "idle in transaction (aborted)"}
_BACKENDS: Final = frozenset(
    {
        "client backend", "postmaster", "checkpointer", "background writer", "walwriter", "startup", "walsender",
        "autovacuum launcher", "autovacuum worker", "logical replication launcher", "archiver", "parallel worker",
        "logger", "walreceiver", "not initialized", "background worker", "stats collector", "io worker",
    }
)  # fmt: skip
_PROGRAMS: Final = re.compile(
    r"(?i)psql|pgbench|jdbc|pgadmin|dbeaver|pg_dump|python|node|rails|puma|sidekiq|datagrip|\.exe$"
)


def _named(
    shape: tuple[Element, ...], values: Mapping[int, Sequence[str]], told: Sequence[Told]
) -> tuple[dict[int, str], float]:
    """Return the escape of each piece, and how well values agree with what the messages tell (0 to about 8)."""
    names: dict[int, str] = {}
    letters = {at: element.letter for at, element in enumerate(shape) if isinstance(element, Escape)}
    agreement = _name_times([at for at, letter in letters.items() if letter in "mt"], letters, values, names)
    agreement += _name_numbers(
        [at for at, letter in letters.items() if letter in "NQe"], shape, values, told, letters, names
    )
    texts = [at for at, letter in letters.items() if letter in "?h"]
    agreement += _name_texts(texts, shape, values, told, letters, names)
    return names, agreement


def _name_times(
    stamps: Sequence[int], letters: Mapping[int, str], values: Mapping[int, Sequence[str]], names: dict[int, str]
) -> float:
    """Of two times the later one is the line's and the other the session's start (`%s` has no milliseconds)."""
    if len(stamps) < 2:
        return 0.0
    precise = [at for at in stamps if letters[at] == "m"]
    rank = {
        at: sum(values[at][row] >= max(values[other][row][:19] for other in stamps) for row in range(len(values[at])))
        for at in stamps
    }
    main = precise[0] if precise else max(stamps, key=lambda at: (rank[at], len(set(values[at]))))
    for at in stamps:
        if at != main:
            names[at] = "s"
    return 0.5


def _key_before(shape: tuple[Element, ...], at: int) -> str | None:
    """The escape meant by the name that stands before a piece (`user=`, `PG-`, `queryid=`)."""
    before = shape[at - 1] if at else None
    if not isinstance(before, str):
        return None
    found = re.search(r"([A-Za-z_]+) ?(?:=|:|-) ?[\[(\"']?$", before)
    return _KEYS.get(found[1].lower()) if found else None


_HIGHEST_PID: Final = 4_194_304
"""The highest process id Linux gives out on 64-bit machines (proc(5), pid_max)."""


def _name_numbers(
    pieces: Sequence[int],
    shape: tuple[Element, ...],
    values: Mapping[int, Sequence[str]],
    told: Sequence[Told],
    letters: Mapping[int, str],
    names: dict[int, str],
) -> float:
    agreement = 0.0
    session = next((at for at, letter in letters.items() if letter == "c"), None)
    scores: dict[int, float] = {}
    for at in pieces:
        column = values[at]
        key = _key_before(shape, at)
        states = sum(1 for value in column if len(value) == 5)
        zeros = sum(1 for value in column if value == "00000")
        if letters[at] == "e" or (states == len(column) and (key == "e" or zeros > len(column) / 3)):
            names[at] = "e"
            agreement += 0.5 if key == "e" or zeros else 0.0
            continue
        if key in ("l", "x", "Q"):
            names[at] = key
            continue
        score = 0.0
        if key == "p":
            score += 3
        before, after = shape[at - 1] if at else "", shape[at + 1] if at + 1 < len(shape) else ""
        if isinstance(before, str) and before.endswith("[") and isinstance(after, str) and after.startswith("]"):
            score += 1.5
        elif isinstance(before, str) and before.endswith("["):
            score += 1
        if isinstance(after, str) and after.startswith("-1]"):
            score -= 2
        if session is not None:
            same = sum(
                int(value) == int(sid.partition(".")[2], 16) for value, sid in zip(column, values[session], strict=True)
            )
            score += 6 if same == len(column) else -6
            agreement += 1.0 if same == len(column) else 0.0
        if sum(not 0 <= int(value) <= _HIGHEST_PID for value in column) > len(column) / 20:
            score -= 5
        if len(column) >= 3 and set(column) <= {"0"}:
            score -= 5
        received = [value for value, line in zip(column, told, strict=True) if line.role == "received"]
        if len(received) >= 3:
            score += 1 if len(set(received)) > len(received) / 2 else -3
        later = [value for value, line in zip(column, told, strict=True) if line.role == "client"]
        if received and later:
            known = set(received)
            score += 1.5 * sum(value in known for value in later) / len(later)
        if score <= 0 and len(column) >= 5 and all(int(value) < 100 for value in column):
            score -= 1.5
        scores[at] = score
    if scores:
        # In a tie the first one is the pid, as in nearly every prefix people write.
        pid = max(scores, key=lambda at: (scores[at], -at))
        if scores[pid] > 0 or (len(scores) == 1 and scores[pid] > -1):
            names[pid] = "p"
            agreement += min(scores[pid], 6) / 6
            for at in scores:
                if at != pid and _rises(values[at], values[pid]):
                    names[at] = "l"
                    agreement += 0.3
    return agreement


def _rises(numbers: Sequence[str], pids: Sequence[str]) -> bool:
    """Whether a number goes up line by line for each pid."""
    last: dict[str, int] = {}
    rose = fell = 0
    for number, pid in zip(numbers, pids, strict=True):
        if pid in last:
            rose += int(number) > last[pid]
            fell += int(number) < last[pid]
        last[pid] = int(number)
    return rose > 0 and fell <= rose / 4


def _name_texts(
    pieces: Sequence[int],
    shape: tuple[Element, ...],
    values: Mapping[int, Sequence[str]],
    told: Sequence[Told],
    letters: Mapping[int, str],
    names: dict[int, str],
) -> float:
    """Give each text the name its values, its key and its neighbours speak for, best pairs first."""
    scores: list[tuple[float, int, str]] = []
    for at in pieces:
        column = values[at]
        key = _key_before(shape, at)
        before, after = shape[at - 1] if at else "", shape[at + 1] if at + 1 < len(shape) else ""
        telling = [value for value in column if value and not _UNKNOWN.fullmatch(value)]
        programs = {line.application for line in told if line.application}
        truths = {
            "u": [(value, line.user) for value, line in zip(column, told, strict=True) if line.user],
            "d": [(value, line.database) for value, line in zip(column, told, strict=True) if line.database],
            "h": [(value, line.host) for value, line in zip(column, told, strict=True) if line.host],
        }
        for letter in "udahib":
            score = 0.0
            if key == letter:
                score += 3
            elif key is not None:
                score -= 2
            pairs = [
                (value, truth) for value, truth in truths.get(letter, ()) if value and not _UNKNOWN.fullmatch(value)
            ]
            if pairs:
                same = sum(value == truth for value, truth in pairs) / len(pairs)
                score += 4 * same - 2 * (1 - same)
            if letter in "ud" and telling and any(" " in value for value in telling):
                score -= 0.5
            if letter == "h" and letters[at] == "h":
                score += 2
            if letters[at] == "h" and letter != "h":
                score -= 4
            if letter == "u" and isinstance(after, str) and after.startswith("@"):
                score += 1.5
            if letter == "d" and isinstance(before, str) and before.endswith("@"):
                score += 1.5
            if letter in "ib" and telling:
                set_of = _TAGS if letter == "i" else _BACKENDS
                share = sum(value in set_of for value in telling) / len(telling)
                score += 3 * share - (2 if share < 0.5 else 0)
            if letter == "a" and telling:
                if programs:
                    score += 3 * sum(value in programs for value in telling) / len(telling)
                if sum(bool(_PROGRAMS.search(value)) for value in telling) > len(telling) / 2:
                    score += 1.5
                late = [v for v, line in zip(column, told, strict=True) if line.user and line.role == "client"]
                if late and sum(bool(_UNKNOWN.fullmatch(v)) for v in late) >= len(late) / 3:
                    score += 1.5
            scores.append((score - at / 1000, at, letter))
    taken: set[str] = set()
    agreement = 0.0
    for score, at, letter in sorted(scores, key=lambda item: (-item[0], item[1])):
        if score < 0.9 or at in names or letter in taken:
            continue
        names[at] = letter
        taken.add(letter)
        agreement += min(score, 4.0) / 4
    for at in pieces:
        if at not in names and letters[at] == "h":
            names[at] = "L" if "h" in taken else "h"
    return agreement


def _constants(
    shape: tuple[Element, ...], values: Mapping[int, Sequence[str]], told: Sequence[Told], names: Mapping[int, str]
) -> dict[int, str]:
    """Texts and numbers nobody could name that never change although processes of several kinds wrote them."""
    roles = {line.role for line in told} - {""}
    if len(roles) < 2:
        return {}
    out = {}
    for at, element in enumerate(shape):
        if isinstance(element, Escape) and element.letter in "?N" and at not in names:
            found = set(values[at])
            text = next(iter(found))
            if len(found) == 1 and text and not _UNKNOWN.fullmatch(text):
                out[at] = text
    return out


# The fast way through a log: all lines of a block at once, a piece at a time.

Step = Callable[[Scan], "Texts | Moments | None"]


@dataclass(frozen=True, slots=True)
class Headed:
    """Lines taken apart: which fit, the groups of `GROUPS` but `stamp`, the label's place in `LABELS`, the message.

    `at` is the time, its zones numbered as in `Steps.zones`.
    """

    fits: Flags
    groups: Mapping[str, Texts]
    at: Moments | None
    label: NDArray[np.int8]
    message: Texts

    def __getitem__(self, rows: Places) -> Headed:
        groups = {name: texts[rows] for name, texts in self.groups.items()}
        at = None if self.at is None else self.at[rows]
        return Headed(self.fits[rows], groups, at, self.label[rows], self.message[rows])


@dataclass(frozen=True, slots=True)
class Steps:
    """A prefix as pieces to read one after another, what comes before `%q` and after it, each with its group."""

    before: tuple[tuple[Step, str | None], ...]
    after: tuple[tuple[Step, str | None], ...]
    zones: tuple[str, ...]

    def walk(self, texts: Texts) -> Headed:
        """Take lines apart, up to their messages."""
        scan = Scan(texts)
        groups: dict[str, Texts] = {}
        at: Moments | None = None
        for step, group in self.before:
            piece = step(scan)
            if isinstance(piece, Moments):
                at = piece if group is not None and at is None else at
            elif piece is not None and group is not None:
                groups.setdefault(group, piece)
        if self.after:
            place, fits = scan.at, scan.fits.copy()
            is_server = scan.which(_LABELS) >= 0
            scan.at = place
            for step, group in self.after:
                piece = step(scan)
                # Of what stands after `%q` a server process writes nothing.
                if isinstance(piece, Moments):
                    local = np.where(is_server, NO_TIME, piece.local)
                    at = Moments(local, piece.zone) if group is not None and at is None else at
                elif piece is not None and group is not None:
                    ends = np.where(is_server, piece.starts, piece.ends)
                    groups.setdefault(group, Texts(piece.block, piece.starts, ends))
            scan.at = np.where(is_server, place, scan.at)
            scan.fits = np.where(is_server, fits, scan.fits)
        label = scan.which(_LABELS)
        scan.option(b" ")
        return Headed(scan.done() & (label >= 0), groups, at, label, scan.rest())


_LABELS: Final = tuple(f"{label}: ".encode() for label in LABELS)


def steps(prefix: Prefix, zones: Sequence[str], blanks: int = 0) -> Steps | None:
    """Return how to take most lines of a prefix apart.

    `zones` are the time zones that lines bear ('' for none). A text ends at the first character of what follows it: a
    name that holds that character does not fit and is left to `Prefix.pattern`. Where that is a blank, `blanks` says
    how many of them the program's name holds. None when a piece cannot be ended so, or no text could hold a blank.
    """
    blanked = _blanked_at(prefix) if blanks else None
    if blanks and blanked is None:
        return None
    sides: list[list[tuple[Step, str | None]]] = [[]]
    for at, element in enumerate(prefix.elements):
        if element == QUIT:
            sides.append([])
            continue
        follows = prefix.elements[at + 1] if at + 1 < len(prefix.elements) else None
        step: Step | None
        if isinstance(element, str):
            step = _literal(element.encode())
        elif element.letter in "ud" and prefix.is_beside_text(at):
            step = _word(follows) if isinstance(follows, str) and follows != QUIT else None
        elif at == blanked:
            step = _blanked(blanks)
        else:
            step = _piece(element.letter, follows, zones)
        if step is None:
            return None
        sides[-1].append((step, GROUPS.get(element.letter) if isinstance(element, Escape) else None))
    if len(sides) > 2:
        return None
    return Steps(tuple(sides[0]), tuple(sides[1]) if len(sides) > 1 else (), tuple(zones))


def _literal(text: bytes) -> Step:
    return lambda scan: scan.literal(text)


def _blanked_at(prefix: Prefix) -> int | None:
    """Return which text may hold blanks although a blank ends it: the program's name, else one nobody could name."""
    for letter in "a?":
        for at, (element, follows) in enumerate(itertools.pairwise(prefix.elements)):
            if element == Escape(letter) and isinstance(follows, str) and follows != QUIT and follows[0] == " ":
                return at
    return None


def _blanked(blanks: int) -> Step:
    return lambda scan: scan.until(b" ", but=blanks)


def _word(follows: str) -> Step:
    """Return the step of a name that holds no blank, as `Prefix.pattern` has it where a text stands beside it."""
    end = follows.encode()[:1]

    def step(scan: Scan) -> Texts:
        name = scan.until(end)
        scan.fits &= name.find(b" ") == name.ends
        return name

    return step


def _piece(letter: str, follows: Element | None, zones: Sequence[str]) -> Step | None:
    """Return the step of one escape before what follows it."""
    if letter in "mts":
        return _moment(b"0000-00-00 00:00:00.000" if letter == "m" else b"0000-00-00 00:00:00", zones)
    if letter in _RUNS:
        return _RUNS[letter]
    if isinstance(follows, str) and follows != QUIT:
        end = follows.encode()[:1]
        return lambda scan: scan.until(end)
    if letter in "hL" and follows is None:
        return _address
    return None


def _moment(shape: bytes, zones: Sequence[str]) -> Step:
    written = tuple(f" {zone}".encode() if zone else b"" for zone in zones)
    # The longest first: of no zone and a zone, both of which stand there, the zone is meant.
    order = sorted(range(len(zones)), key=lambda number: -len(written[number]))
    place = np.array([*order, -1], dtype=np.int8)

    def step(scan: Scan) -> Moments:
        at = scan.moment(shape, [written[number] for number in order])
        return Moments(at.local, place[at.zone])

    return step


def _epoch(scan: Scan) -> Texts:
    start = scan.at
    whole = scan.run(DIGITS)
    scan.fits &= (whole.lengths == 9) | (whole.lengths == 10)
    scan.shape(b".000")
    return Texts(scan.block, start, scan.at)


def _session(scan: Scan) -> Texts:
    start = scan.at
    scan.run(HEX)
    scan.literal(b".")
    scan.run(HEX)
    return Texts(scan.block, start, scan.at)


def _signed(scan: Scan) -> Texts:
    start = scan.at
    scan.option(b"-")
    scan.run(DIGITS)
    return Texts(scan.block, start, scan.at)


def _state(scan: Scan) -> Texts:
    state = scan.run(CAPITALS_AND_DIGITS)
    scan.fits &= state.lengths == 5
    return state


def _address(scan: Scan) -> Texts:
    start = scan.at
    is_local = scan.option(b"[local]")
    rest = scan.run(_ADDRESS_CHARACTERS, least=0)
    scan.at = np.where(is_local, rest.starts, rest.ends)
    return Texts(scan.block, start, scan.at)


_ADDRESS_CHARACTERS: Final = Class(b"0123456789abcdef.:")
_RUNS: Final[Mapping[str, Step]] = {
    **dict.fromkeys("plx", lambda scan: scan.run(DIGITS)),
    "P": lambda scan: scan.run(DIGITS, least=0),
    **dict.fromkeys("QN", _signed),
    "n": _epoch,
    "c": _session,
    "e": _state,
}
