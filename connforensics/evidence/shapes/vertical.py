"""Records written one line a column: psql's expanded output, drawn or not, and mysql's `\\G`.

A value may take several lines. psql marks those; mysql does not: there, what is no further column is the value's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connforensics.evidence.shapes import Accepts, Lines, Table, drawn, normal, time_lines

STARS = re.compile(r"^\s*\*{5,} (\d+)\. (?:row|rad|Zeile|ligne|fila) \*{5,}\s*$|^\s*\*{15,} (\d+)\. \S+ \*{15,}\s*$")
"""The line above a record of `\\G`."""

_COLUMN = re.compile(r"^\s*([A-Za-z_@][^:]{0,63}?): ?(.*)$")
_SAMPLE = re.compile(r"^(?:TS \d{9,}|#{2,} )")
_PAIR = re.compile(r"^([A-Za-z_][\w$]*)\|(.*)$")

LOOK_AHEAD: Final = 3_000
"""Lines among which a further record or a footer must stand for a blank line to be part of a statement."""


def expanded(lines: Lines, plain: Sequence[str], at: int) -> tuple[Table, int]:
    """Return the record of psql's expanded output whose rule stands at `at`, and where the text goes on."""
    told = drawn.RECORD.match(plain[at])
    is_boxed = plain[at].lstrip().startswith("+")
    first = at
    names: list[str] = []
    cells: list[str] = []
    is_open = False
    at += 1
    while at < len(plain):
        line = plain[at]
        written = lines[at][1]
        if is_boxed and written.strip()[-1:] in "|│║┃":
            written = written.strip()[1:-1]
        shown = drawn.bars(written)
        bar = shown.find("|")
        if bar < 0 or drawn.RECORD.match(line) or drawn.RULE.match(line):
            break
        name, value = shown[:bar], written[bar + 1 :]
        sign = name.rstrip()[-1:] if name.rstrip()[-1:] in drawn.OPEN and name.rstrip()[-1:] != "." else ""
        if not name.strip(" +↵") and cells:
            if not is_open:
                break
            content, is_open = _value(value, plain, at, is_boxed=is_boxed)
            cells[-1] += "\n" + content
        else:
            names.append(name.strip(" +↵"))
            content, is_open = _value(value, plain, at, is_boxed=is_boxed)
            cells.append(content if is_open else content.strip())
        is_open = is_open or bool(sign)
        at += 1
    end = at
    if is_boxed and at < len(plain) and drawn.RULE.match(plain[at]):
        end += 1
    table = Table("vertical", tuple(names), first, end, opens=told is None or told.group(1) == "1")
    # The rule is counted with its record.
    table.rows.append((lines[first][0], end - first, cells))
    return table, end


def _value(value: str, plain: Sequence[str], at: int, *, is_boxed: bool) -> tuple[str, bool]:
    """Return the content of a value's line, and whether the value goes on in the next one."""
    written = value.rstrip()
    body = written[1:] if written.startswith(" ") else written
    goes_on = written.endswith("↵") or (written.endswith("+") and _goes_on(plain, at + 1, is_boxed=is_boxed))
    return (body[:-1].rstrip() if goes_on else body), goes_on


def _goes_on(plain: Sequence[str], at: int, *, is_boxed: bool) -> bool:
    line = plain[at].strip()[1:] if is_boxed and at < len(plain) else plain[at] if at < len(plain) else ""
    return "|" in line and not line.partition("|")[0].strip()


def starred(lines: Lines, plain: Sequence[str], at: int, known: tuple[str, ...]) -> tuple[Table | None, int]:
    """Return the record of `\\G` whose line of stars stands at `at`, and where the text goes on.

    `known` are the columns of the record before: where they come again, a value cannot be taken for a column.
    """
    told = STARS.match(plain[at])
    number = int(told.group(1) or told.group(2)) if told is not None else 1
    end = at + 1
    while end < len(plain) and not STARS.match(plain[end]):
        end += 1
    is_followed = end < len(plain) and _number(plain[end]) == number + 1
    body = [text for _, text in lines[at + 1 : end]]
    names, cells, taken = _columns(body, known if number > 1 else (), is_followed=is_followed)
    if not names:
        return None, at + 1
    table = Table("vertical", tuple(names), at, at + 1 + taken, opens=number == 1)
    table.rows.append((lines[at][0], 1 + taken, cells))
    return table, at + 1 + taken


def _number(line: str) -> int:
    told = STARS.match(line)
    return int(told.group(1) or told.group(2)) if told is not None else 0


def _columns(body: Sequence[str], known: tuple[str, ...], *, is_followed: bool) -> tuple[list[str], list[str], int]:
    """Return names and cells of a record, and how many lines it takes."""
    names: list[str] = []
    cells: list[str] = []
    edge: int | None = None
    taken = 0
    for index, line in enumerate(body):
        found = _COLUMN.match(line)
        name = found.group(1).strip() if found is not None else ""
        if known:
            is_column = len(names) < len(known) and name == known[len(names)]
        elif found is None or name in names:
            is_column = False
        else:
            # Names stand flush right: all colons are in one column, unless a paste lost the blanks before them.
            colon = line.index(":")
            is_column = edge is None or colon == edge or (not line.startswith(" ") and not names_indented(body))
            edge = colon if edge is None else edge
        if is_column and found is not None:
            names.append(name)
            cells.append(found.group(2))
        elif not is_followed and (not cells or _is_end(body, index)):
            break
        elif cells:
            cells[-1] += "\n" + line
        else:
            break
        taken = index + 1
    return names, cells, taken


def names_indented(body: Sequence[str]) -> bool:
    """Tell whether any of the first lines still has the blanks that put its name flush right."""
    return any(line.startswith(" ") for line in body[:8])


def _is_end(body: Sequence[str], index: int) -> bool:
    """Tell whether the last record ends before this line."""
    line = body[index]
    if drawn.is_footer(line) or _SAMPLE.match(line) or drawn.PROMPT.match(line) or line.startswith("```"):
        return True
    if line.strip():
        return time_lines.begins_sample(body[index : index + 2])
    return not any(drawn.FOOTER.match(later.strip()) for later in body[index : index + LOOK_AHEAD])


def pairs(lines: Lines, at: int, accepts: Accepts) -> tuple[Table | None, int]:
    """Return the record of psql's unaligned expanded output that begins at `at`, and where the text goes on."""
    names: list[str] = []
    cells: list[str] = []
    first = at
    while at < len(lines):
        text = lines[at][1]
        found = _PAIR.match(text)
        if found is not None and found.group(1) not in names:
            names.append(found.group(1))
            cells.append(found.group(2))
        elif cells and found is None and (text.strip() or _more_follows(lines, at, names)):
            cells[-1] += "\n" + text
        else:
            break
        at += 1
    if len(names) < 2 or not accepts(tuple(map(normal, names))):
        return None, first + 1
    table = Table("vertical", tuple(names), first, at)
    table.rows.append((lines[first][0], at - first, cells))
    return table, at


def _more_follows(lines: Lines, at: int, names: Sequence[str]) -> bool:
    """Tell whether a blank line stands inside a value: then another column comes before the next blank line."""
    for _, text in lines[at + 1 : at + LOOK_AHEAD]:
        found = _PAIR.match(text)
        if found is not None or not text.strip():
            return found is not None and found.group(1) not in names and text is not lines[at + 1][1]
    return False


def may_be_pair(text: str) -> bool:
    """Tell whether a line may begin a record of unaligned expanded output."""
    return bool(_PAIR.match(text)) and text.count("|") == 1
