"""Tables drawn with lines, as psql and mysql print them and people paste them from a terminal.

psql aligned (also wrapped by `\\pset format wrapped`, with Unicode lines or a border), psql expanded (`\\x`), and boxes
with `+---+` above and below. A terminal may have folded every line, a pager may have cut the end, a chat may have taken
the leading blanks. `pieces` tells tables from the text between them; which table matters is the caller's to say.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_FOLDS: Final = 16
"""A terminal folds a row into at most this many lines: `SELECT *` of 22 columns takes six at 80 characters."""

_RULE = re.compile(r"^\s*[-+]*-{2,}[-+]*\s*$")
_RECORD = re.compile(r"^\s*-\[ \S+ (\d+) \][-+]*\s*$")
_PROMPT = re.compile(
    r"^\s*\S*[=\-'\"(*^!][#>](?:\s|$)|^\s*\$\s|^\S+[@:]\S*\s?[$#%]\s|^\s*(?:mysql|MariaDB \[.*\])>(?:\s|$)|^\s*->\s"
)
_FOOTER = re.compile(
    r"^\((?:\d+ [^\W\d]+\.?|\d+行.*|\d+ 行.*)\)$|^\d+ rows? in set.*$|^COPY \d+$|^SELECT \d+$|^Time: .*$|^Timing is \w+\.$"
    r"|^Pager usage is off\.$|^Null display is .*$|^Output format is [\w ]+\.$|^Expanded display is .*$"
)
_PAGER = re.compile(r"^\s*(?::|\(END\)|--More--.*|lines \d+-\d+.*|~)\s*$")
_SQL = re.compile(r"[#>]\s*(?:SELECT|WITH|TABLE|COPY|SHOW)\b", re.IGNORECASE)
_STATEMENT_ENDS: Final = (";", "\\watch", "\\gx", "\\g", "\\G")
_STATEMENT = re.compile(
    r"^\s*(?:SELECT|SHOW|WITH|TABLE|COPY|SET|BEGIN|FROM|WHERE|ORDER BY|GROUP BY|\\\w+)\b", re.IGNORECASE
)
_LINES: Final = str.maketrans("│┃║─━═┼╋╪├┤┬┴┌┐└┘╔╗╚╝", "|||---" + "+" * 15)
_OPEN: Final = {"+": "\n", "↵": "\n", ".": "", "…": ""}
"""The marks of a cell that goes on in the next line, and what stands between: a line break, or nothing."""


Lines = Sequence[tuple[int, str]]
"""Physical line number and text."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A line in no table; `is_plain` where it is a prompt, a statement, a footer, a pager's mark or blank."""

    line_no: int
    text: str
    is_plain: bool


@dataclass(slots=True)
class Drawn:
    """One table: its names, and `(first line, lines, cells)` of each row.

    `start` is where it begins among the lines; `rules` counts the lines that only draw, `head` holds those of the
    header, `misfits` those that are no row. A later record of an expanded output does not `open` a table.
    """

    names: tuple[str, ...]
    start: int
    head: Lines = ()
    rules: int = 0
    opens: bool = True
    rows: list[tuple[int, int, list[str]]] = field(default_factory=list)
    misfits: list[tuple[int, str]] = field(default_factory=list)


def is_rule(line: str) -> bool:
    """Tell whether a line is the rule under a header."""
    return bool(_RULE.match(_ascii(line)))


def is_footer(line: str) -> bool:
    """Tell whether a line is what psql prints under a table, in any language, or says of itself."""
    return bool(_FOOTER.match(line.strip()))


def pieces(lines: Lines) -> list[Talk | Drawn]:
    """Return the tables among numbered lines, and every line that is in none, in order."""
    found: list[Talk | Drawn] = []
    plain = [_ascii(text) for _, text in lines]
    is_statement = False
    talk = 0
    at = 0

    def say(until: int) -> None:
        nonlocal is_statement, talk
        for line_no, text in lines[talk:until]:
            is_statement = is_statement or bool(_STATEMENT.match(text) or (_PROMPT.match(text) and _SQL.search(text)))
            found.append(Talk(line_no, text, is_statement or _is_plain(text)))
            is_statement = is_statement and bool(text.strip()) and not text.rstrip().endswith(_STATEMENT_ENDS)
        talk = until

    while at < len(lines):
        table: Drawn | None = None
        if _RECORD.match(plain[at]):
            table, after = _expanded(lines, plain, at)
        elif _RULE.match(plain[at]):
            table, after = _aligned(lines, plain, at, talk)
        if table is None:
            at += 1
            continue
        say(table.start)
        is_statement = False
        found.append(table)
        talk = at = after
    say(len(lines))
    return found


def _is_plain(line: str) -> bool:
    return not line.strip() or bool(_PROMPT.match(line) or _PAGER.match(line) or _FOOTER.match(line.strip()))


def _ascii(line: str) -> str:
    """Return a line with box drawing characters as ASCII, length unchanged."""
    return line if line.isascii() else line.translate(_LINES)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


# Aligned tables and boxes


def _aligned(lines: Lines, plain: Sequence[str], at: int, floor: int) -> tuple[Drawn | None, int]:
    """Return the table whose first rule stands at `at`, and where the text goes on; its header is not above `floor`."""
    after = at
    while after < len(plain) and after - at < MOST_FOLDS and _RULE.match(plain[after]):
        after += 1
    whole = _joined(plain[at:after])
    segments = [len(segment) for segment in whole.strip().strip("+").split("+")]
    is_box = whole.strip().startswith("+")
    for folds in dict.fromkeys((after - at, 1)):
        if at - folds < floor:
            continue
        names = _names(_joined(plain[at - folds : at]), len(segments), is_box)
        if names is not None:
            table = Drawn(names, at - folds, lines[at - folds : at], rules=after - at)
            return table, _rows(table, lines, plain, after, segments, len(plain[at]) if after - at > 1 else 0, is_box)
    if is_box and after + 1 < len(plain) and _RULE.match(plain[after + 1]):
        names = _names(plain[after], len(segments), is_box)
        if names is not None:
            table = Drawn(names, at, lines[after : after + 1], rules=after - at + 1)
            return table, _rows(table, lines, plain, after + 2, segments, 0, is_box)
    return None, after


def _joined(folds: Sequence[str]) -> str:
    """Put together what a terminal folded: all lines but the last are as wide as the first."""
    return "".join(fold.ljust(len(folds[0])) for fold in folds[:-1]) + folds[-1]


def _names(header: str, columns: int, is_box: bool) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in (_unboxed(header) if is_box else header).split("|"))
    return names if len(names) == columns and all(names) else None


def _unboxed(line: str) -> str:
    bare = line.strip()
    return bare[1:-1] if bare.startswith("|") and bare.endswith("|") and len(bare) > 1 else line


def _rows(
    table: Drawn, lines: Lines, plain: Sequence[str], at: int, segments: list[int], fold: int, is_box: bool
) -> int:
    """Read the rows of a table from `at` on; return where it ends. `fold` is the terminal's width where it folded."""
    open_row: tuple[int, int, list[str], list[str]] | None = None
    while at < len(plain):
        line = plain[at]
        if _RULE.match(line):
            if is_box and line.strip().startswith("+"):
                table.rules += 1
                at += 1
                break
            # The header of a table that follows without a footer was taken for a row.
            if (
                open_row is None
                and table.rows
                and _names(plain[at - 1], line.strip().strip("+").count("+") + 1, is_box)
            ):
                table.rows.pop()
                return at - 1
            break
        if _RECORD.match(line) or _FOOTER.match(line.strip()) or _PAGER.match(line) or not line.strip():
            break
        if len(segments) == 1 and _PROMPT.match(line):
            break
        count, text = _unfolded(lines, plain, at, segments, fold)
        cells = _cells(_unboxed(text) if is_box else text, segments)
        if cells is None:
            if _PROMPT.match(line):
                break
            table.misfits += lines[at : at + count]
            at += count
            continue
        marks = [_mark(cell, segments, column) for column, cell in enumerate(cells)]
        bare = [cell.rstrip()[: -1 if mark else None].strip() for cell, mark in zip(cells, marks, strict=True)]
        if open_row is None:
            open_row = (lines[at][0], count, bare, marks)
        else:
            line_no, counted, held, before = open_row
            joined = [
                have + _OPEN[mark] + cell.removeprefix(".")
                if mark in (".", "…")
                else have + "\n" + cell
                if mark
                else have
                for have, mark, cell in zip(held, before, bare, strict=True)
            ]
            open_row = (line_no, counted + count, joined, marks)
        if not any(marks):
            table.rows.append(open_row[:3])
            open_row = None
        at += count
    if open_row is not None:
        table.rows.append(open_row[:3])
    return at


def _unfolded(lines: Lines, plain: Sequence[str], at: int, segments: list[int], fold: int) -> tuple[int, str]:
    """Return how many physical lines the row at `at` takes, and its text in one piece."""
    if not fold:
        return 1, lines[at][1]
    text = ""
    for count in range(1, MOST_FOLDS + 1):
        index = at + count - 1
        if index >= len(plain) or not plain[index].strip() or _PAGER.match(plain[index]):
            break
        text += lines[index][1]
        if text.count("|") >= len(segments) - 1 and (
            len(plain[index]) < fold or index + 1 >= len(plain) or not _continues(plain[index + 1], segments)
        ):
            return count, text
        text += " " * (fold - len(plain[index]))
    return max(count - 1, 1), text


def _continues(line: str, segments: list[int]) -> bool:
    """Tell whether a line is the rest of a folded last column, not the start of a row."""
    first = segments[0]
    return bool(line.strip()) and not (len(line) > first and line[first] == "|") and not _FOOTER.match(line.strip())


def _cells(line: str, segments: list[int]) -> list[str] | None:
    """Cut a row into its cells, blanks kept; None where it does not fit the rule."""
    parts = _bars(line).split("|")
    if len(parts) == len(segments):
        return parts
    if len(parts) < len(segments):
        return None
    # A value holds a bar itself: the separators stand where the rule has its crosses; a paste may have lost a blank.
    columns = _columns(line)
    for shift in (0, -1, 1):
        cuts = [columns.get(sum(segments[: index + 1]) + index + shift) for index in range(len(segments) - 1)]
        if all(cut is not None and _ascii(line[cut]) == "|" for cut in cuts):
            edges = [-1, *(cut for cut in cuts if cut is not None), len(line)]
            return [line[left + 1 : right] for left, right in itertools.pairwise(edges)]
    return None


def _bars(line: str) -> str:
    return line if line.isascii() else line.replace("│", "|").replace("║", "|").replace("┃", "|")


def _columns(line: str) -> dict[int, int]:
    """Return for each column of a terminal the index of the character that begins there."""
    if line.isascii():
        return {index: index for index in range(len(line))}
    columns: dict[int, int] = {}
    width = 0
    for index, letter in enumerate(line):
        columns.setdefault(width, index)
        width += _width(letter)
    return columns


def _mark(cell: str, segments: list[int], column: int) -> str:
    """Return the mark by which a cell goes on in the next line, empty where it ends here.

    The mark stands in the last column of the cell, where content never does.
    """
    written = cell.rstrip()
    if not written or written[-1] not in _OPEN:
        return ""
    reach = _width(written)
    return written[-1] if reach == segments[column] or (column == 0 and reach == segments[0] - 1) else ""


# Expanded output


def _expanded(lines: Lines, plain: Sequence[str], at: int) -> tuple[Drawn, int]:
    """Return the record whose rule stands at `at`, and where the text goes on."""
    told = _RECORD.match(plain[at])
    first = at
    names: list[str] = []
    cells: list[str] = []
    is_open = False
    at += 1
    while at < len(plain):
        line = plain[at]
        name, bar, value = _bars(lines[at][1]).partition("|")
        if not bar or _RECORD.match(line) or _RULE.match(line):
            break
        mark = name.rstrip()[-1:] if name.rstrip()[-1:] in _OPEN and name.rstrip()[-1:] != "." else ""
        if not name.strip(" +↵") and cells:
            if not is_open:
                break
            cells[-1] += "\n" + value.strip().rstrip("+").rstrip()
        else:
            names.append(name.strip(" +↵"))
            cells.append(value.strip())
        written = value.rstrip()
        is_open = bool(mark) or written.endswith((" +", "↵")) or (written.endswith("+") and _goes_on(plain, at + 1))
        if is_open:
            cells[-1] = cells[-1].removesuffix("+").removesuffix("↵").rstrip()
        at += 1
    table = Drawn(tuple(names), first, opens=told is None or told.group(1) == "1")
    # The rule is counted with its record.
    table.rows.append((lines[first][0], at - first, cells))
    return table, at


def _goes_on(plain: Sequence[str], at: int) -> bool:
    return at < len(plain) and "|" in plain[at] and not plain[at].partition("|")[0].strip()
