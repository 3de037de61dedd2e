"""Rows written as JSON: one object a line, an array of objects, objects inside an answer, or JSON in a table's cell.

`read` finds the outermost objects; `tables_of` makes tables of those whose names a format accepts, and looks inside the
others. An array need not be whole: of a file cut off, every object that is whole is given.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from connforensics.evidence.shapes import Accepts, Lines, Table, normal

TOLD_AROUND: Final = ("@timestamp", "timestamp", "sampled_at", "collected_at", "time", "ts", "now", "at")
"""Names of the time that an answer tells of the rows in it."""

MAX_OBJECT_BYTES: Final = 8 << 20
"""An object larger than this is opened instead of read whole: it is an answer around many rows."""

MAX_DEPTH: Final = 6
"""Objects deeper than this are no rows."""

MOST_LINES: Final = 20_000
"""Lines of JSON looked at together."""

BEGINS = re.compile(r'^\s*(?:[\[{]|"\{""|"\[\{"")')
"""A line that JSON may begin with, also as a CSV writer quotes it."""

BRACKETS = re.compile(r"^[\s\[\]{},]*[\[\]{}][\s\[\]{},]*$")
"""A line of nothing but brackets."""

_STRING = r'"(?:[^"\\]|\\.)*+"'
_GAP = re.compile(rf"(?:[\s,\[\]}}]|{_STRING}\s*:\s*(?=[\[{{]))*+")
_SCALARS = re.compile(rf'(?:\s*{_STRING}\s*:\s*(?:{_STRING}|[^\[\]{{}}",\s]+)\s*,?)++')
_OPENED = re.compile(rf"\{{(?=\s*{_STRING}\s*:)")
_MEMBER = re.compile(
    rf"(?:\s*(?:{_STRING}\s*:\s*)?(?:{_STRING}|[^\[\]{{}}\",\s]+)?\s*,)*+\s*(?:{_STRING}\s*:\s*)?(?=[\[{{])"
)
_ODD = re.compile(r"(?<!\\)(?:\\\\)*+\\(?!\\)")
_ESCAPED_TWICE = re.compile(r'(?<!\\)\\\\["nrtu]')
_DECODER = json.JSONDecoder(strict=False)
_BROKEN = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Spot:
    """An outermost object: the first physical line, how many lines it is the first to stand on, and its text."""

    line_no: int
    count: int
    value: dict[str, object]
    text: str


@dataclass(slots=True)
class Objects:
    """Objects that stand together; lines of theirs that no object stands on are brackets."""

    start: int
    end: int
    lines: int
    spots: list[Spot] = field(default_factory=list)


def are_doubled(lines: Lines) -> bool:
    """Tell whether COPY's text format has doubled the backslashes of the objects among these lines.

    Then none stands alone, and what JSON escapes stands behind two.
    """
    written = [text for _, text in lines if text.startswith("{") and "\\" in text]
    return any(map(_ESCAPED_TWICE.search, written)) and not any(map(_ODD.search, written))


def read(lines: Lines, at: int, *, is_final: bool, is_doubled: bool = False) -> tuple[Objects | None, int]:
    """Return the objects that begin at `at`, and where the text goes on: at `at` itself where more lines are needed."""
    text = lines[at][1].strip()
    if text.startswith('"'):
        return _quoted(lines, at)
    whole = _whole((text.replace("\\\\", "\\") if is_doubled else text).rstrip(","))
    if whole:
        spots = [
            Spot(lines[at][0], 1 if not index else 0, value, text[begin:end])
            for index, (begin, end, value) in enumerate(whole)
        ]
        return Objects(at, at + 1, 1, spots), at + 1
    if re.match(r'\[\s*(?:[\[{]|$)|\{\s*(?:"|$)', text) is None:
        return None, at + 1
    return _region(lines, at, is_final=is_final)


def _whole(text: str) -> list[tuple[int, int, dict[str, object]]]:
    """Return the objects of a text that is JSON as a whole: begin, end and value of each; none where it is not."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return []
    try:
        value, end = _DECODER.raw_decode(text)
    except _BROKEN:
        return []
    if end != len(text):
        return []
    return [(0, end, value)] if isinstance(value, dict) else list(_elements(text))


def _elements(text: str) -> Iterator[tuple[int, int, dict[str, object]]]:
    at = 0
    while at < len(text):
        at = _after(_GAP, text, at)
        if text[at : at + 1] != "{":
            return
        value, end = _DECODER.raw_decode(text, at)
        yield at, end, value
        at = end


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _quoted(lines: Lines, at: int) -> tuple[Objects | None, int]:
    """Return the objects in the quoted field of a CSV file of one column."""
    end = at + 1
    text = lines[at][1].strip()
    while text.count('"') % 2 and end < len(lines) and end - at < MOST_LINES:
        text += "\n" + lines[end][1]
        end += 1
    bare = text.strip()[1:-1].replace('""', '"')
    spots = list(in_cell(bare, lines[at][0], end - at))
    return (Objects(at, end, end - at, spots), end) if spots else (None, at + 1)


def in_cell(text: str, line_no: int, count: int) -> Iterator[Spot]:
    """Yield the objects of a cell that is JSON, of a row that takes `count` lines from `line_no`."""
    bare = text.strip()
    taken = 0
    for begin, end, value in _whole(bare) or _whole(bare.replace("\\\\", "\\")):
        first = min(bare.count("\n", 0, begin), count - 1)
        last = min(bare.count("\n", 0, end), count - 1)
        yield Spot(line_no + first, max(last - max(first, taken) + 1, 0), value, bare[begin:end])
        taken = max(taken, last + 1)


def _region(lines: Lines, at: int, *, is_final: bool) -> tuple[Objects | None, int]:
    """Return the objects that begin at `at` and take several lines."""
    end = min(at + MOST_LINES, len(lines))
    text = "\n".join(line for _, line in lines[at:end])
    starts = list(accumulate((len(line) + 1 for _, line in lines[at:end]), initial=0))[:-1]
    is_all = is_final and end == len(lines)
    spots: list[Spot] = []
    position = 0
    taken = -1
    is_short = False
    while True:
        position = _after(_GAP, text, position)
        if position >= len(text):
            break
        if text[position] != "{":
            beyond = _after(_SCALARS, text, position) if spots else position
            if beyond == position:
                break
            position = beyond
            continue
        try:
            value, after = _DECODER.raw_decode(text, position)
        except _BROKEN:
            if is_all or len(text) - position > MAX_OBJECT_BYTES:
                # Cut off, or an answer around many rows: what stands inside is looked for.
                opened = _after(_OPENED, text, position)
                if opened > position:
                    position = _after(_SCALARS, text, opened)
                    continue
            is_short = not is_all
            break
        first, last = bisect_right(starts, position) - 1, bisect_right(starts, after - 1) - 1
        spots.append(Spot(lines[at + first][0], last - max(first, taken + 1) + 1, value, text[position:after]))
        taken = max(taken, last)
        position = after
    if not spots:
        return None, at if is_short and end - at < MOST_LINES else at + 1
    reached = bisect_right(starts, position) - 1 if position < len(text) else len(starts)
    settled = at + max(reached, taken + 1)
    return Objects(at, settled, settled - at, spots), settled


@dataclass(slots=True)
class Sorted:
    """Objects as tables: of each the names and the rows; lines that only hold rows; objects in which there is no row."""

    tables: list[Table] = field(default_factory=list)
    around: int = 0
    others: list[Spot] = field(default_factory=list)


def sort(spots: Sequence[Spot], accepts: Accepts) -> Sorted:
    """Return the accepted objects, those of the same kind together; in an object that is none they are looked for."""
    found = Sorted()
    known: dict[tuple[str, ...], bool] = {}
    names: dict[str, int] = {}

    def is_known(keys: tuple[str, ...]) -> bool:
        if keys not in known:
            known[keys] = accepts(tuple(map(normal, keys)))
        return known[keys]

    def is_accepted(value: dict[str, object]) -> bool:
        return is_known(tuple(value))

    for spot in spots:
        rows = [(0, len(spot.text), spot.value)] if is_accepted(spot.value) else list(_inside(spot, is_accepted))
        if not rows:
            found.others.append(spot)
            continue
        left, taken = spot.count, 0
        for begin, end, value in rows:
            flat = _flat(value)
            if not names.keys() >= flat.keys():
                union = tuple(dict.fromkeys([*names, *flat]))
                is_same_kind = 2 * len(names.keys() & flat.keys()) >= min(len(names), len(flat)) and is_known(union)
                names = {name: index for index, name in enumerate(union if is_same_kind else flat)}
                found.tables.append(Table("objects", tuple(names), 0))
            cells: list[str | None] = [None] * len(names)
            for name, content in flat.items():
                cells[names[name]] = cell(content)
            first = spot.text.count("\n", 0, begin)
            last = first + spot.text.count("\n", begin, end)
            count = min(max(last - max(first, taken) + 1, 0), left)
            taken = max(taken, last + 1)
            left -= count
            found.tables[-1].rows.append((spot.line_no + first, count, cells))
        found.around += left
    return found


def _flat(value: dict[str, object]) -> dict[str, object]:
    """Return an object with the members of the objects in it beside its own, as `user.name`."""
    if not any(isinstance(content, dict) for content in value.values()):
        return value
    flat: dict[str, object] = {}
    for name, content in value.items():
        if isinstance(content, dict) and content:
            flat.update((f"{name}.{inner}", member) for inner, member in content.items())
        else:
            flat[name] = content
    return flat


Judge = Callable[[dict[str, object]], bool]
"""Whether an object has the names of a row."""


def _inside(spot: Spot, is_accepted: Judge) -> Iterator[tuple[int, int, dict[str, object]]]:
    """Yield the rows inside an object that is none: begin, end and value, with the time told around them."""
    if any(isinstance(value, (dict, list)) for value in spot.value.values()):
        yield from _rows_of(spot.text, 0, spot.value, is_accepted, {}, MAX_DEPTH)


def _rows_of(
    text: str, at: int, value: object, is_accepted: Judge, around: dict[str, object], depth: int
) -> Iterator[tuple[int, int, dict[str, object]]]:
    if not depth:
        return
    if isinstance(value, dict):
        around = around | _times_in(value)
        listed = _listed(value)
        if listed is not None:
            end = _DECODER.raw_decode(text, at)[1]
            yield from ((at, end, around | row) for row in listed if is_accepted(row))
            return
    for begin, end, member in _members(text, at):
        if isinstance(member, dict) and is_accepted(member):
            yield begin, end, around | member
        elif isinstance(member, dict) and (named := _named(member, is_accepted)):
            yield from ((begin, end, around | row) for row in named)
        elif member:
            yield from _rows_of(text, begin, member, is_accepted, around, depth - 1)


def _times_in(value: dict[str, object]) -> dict[str, object]:
    """Return the time that an answer tells of the rows in it."""
    told: dict[str, object] = {}
    for name, content in value.items():
        if isinstance(content, dict) and name in ("meta", "metadata", "header"):
            told |= _times_in(content)
        elif name in TOLD_AROUND and isinstance(content, (str, int, float)):
            told[name] = content
    return told


def _listed(value: dict[str, object]) -> list[dict[str, object]] | None:
    """Return the rows of an answer that has its names apart from its values."""
    by_name = {name.lower(): content for name, content in value.items()}
    names = next((by_name[name] for name in ("cols", "columns", "fields", "header") if name in by_name), None)
    rows = next((by_name[name] for name in ("values", "rows", "data") if name in by_name), None)
    if not isinstance(names, list) or not isinstance(rows, list) or not names:
        return None
    bare = [name.get("name") if isinstance(name, dict) else name for name in names]
    if not all(isinstance(name, str) for name in bare):
        return None
    return [
        {str(name): _plain(content) for name, content in zip(bare, row, strict=True)}
        for row in rows
        if isinstance(row, list) and len(row) == len(bare)
    ]


def _plain(content: object) -> object:
    """Return what a nullable string of Go says."""
    if isinstance(content, dict) and content.keys() == {"String", "Valid"}:
        return content["String"] if content["Valid"] else None
    return content


def _named(value: dict[str, object], is_accepted: Judge) -> list[dict[str, object]]:
    """Return the rows of an object that has them under their names."""
    if len(value) < 2 or not all(isinstance(content, dict) for content in value.values()):
        return []
    rows = [{"name": name, **content} for name, content in value.items() if isinstance(content, dict)]
    return rows if is_accepted(rows[0]) else []


def _members(text: str, at: int) -> Iterator[tuple[int, int, object]]:
    """Yield the objects and arrays among the values of the one that begins at `at`."""
    at += 1
    while True:
        at = _after(_MEMBER, text, at)
        if text[at : at + 1] not in ("{", "["):
            return
        value, end = _DECODER.raw_decode(text, at)
        yield at, end, value
        at = end


def cell(content: object) -> str | None:
    """Return a value as a cell's text: what is nested stays JSON.

    >>> cell(True), cell(5), cell(None), cell([5, 6])
    ('true', '5', None, '[5, 6]')
    """
    if content is None or isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False)
