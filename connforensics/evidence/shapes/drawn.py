"""Tables drawn with lines, as psql and mysql print them and people paste them from a terminal.

psql aligned (every border and line style, `\\pset format wrapped`), boxes with `+---+` above and below, and Markdown. A
terminal may have folded every line, a pager may have cut the end, a chat may have taken the leading blanks. mysql
writes a line break inside a cell as it is; psql marks it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connforensics.evidence.shapes import Lines, Table

MOST_FOLDS: Final = 16
"""A terminal folds a row into at most this many lines: `SELECT *` of 22 columns takes six at 80 characters."""

MOST_CELL_LINES: Final = 2_000
"""A statement inside a cell has at most this many lines."""

MOST_MISFITS: Final = 50
"""So many lines after each other that are no row: the table has ended without saying so."""

LEAST_COLUMNS: Final = 4
"""Fewer names with blanks between them are a sentence."""

_GAPS = re.compile(r" {2,}")

RULE = re.compile(r"^\s*[-+]*-{2,}[-+]*\s*$")
"""The line under a header, and above and below a box."""

SPACED_RULE = re.compile(r"^\s*-+(?: -+)+\s*$")
"""The line under a header where nothing stands between columns but a blank (`\\pset border 0`)."""

MARKDOWN_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?\s*$|^\s*\|\s*:?-+:?\s*\|\s*$")

FOOTER = re.compile(
    r"^\((?:\d+ [^\W\d]+\.?|\d+行.*|\d+ 行.*|\d+개.*)\)$|^\d+ rows? in set.*$|^Empty set.*$|^COPY \d+$|^SELECT \d+$|^Time: .*$"
    r"|^Timing is \w+\.$|^Pager usage is off\.$|^Null display is .*$|^Output format is [\w -]+\.$|^Expanded display is .*$"
    r"|^Query OK, .*$|^Border style is \d+\.$|^Line style is [\w-]+\.$|^Field separator is .*$"
    r"|^psql \(\d.*\)$|^Type \"help\" for help\.$|^WARNING: psql major version .*$|^SSL connection \(.*\)$"
    r"|^You are now connected to database .*$|^mysql: \[Warning\] Using a password on the command line .*$"
    r"|^Welcome to the (?:MySQL|MariaDB) monitor\..*$|^Your (?:MySQL|MariaDB) connection id is \d+$|^Server version: \d.*$"
    r"|^Copyright \(c\) .*$|^Oracle is a registered trademark .*$|^affiliates\. Other names may be trademarks .*$|^owners\.$"
    r"|^Type 'help;' or '\\h' for help\..*$|^Reading table information for completion .*$|^You can turn off this feature .*$"
    r"|^Database changed$"
)
"""What stands under a table, in any language, and what psql and mysql say of themselves."""

PAGER = re.compile(r"^\s*(?::|\(END\)|--More--.*|lines \d+-\d+.*|~)\s*$")

PROMPT = re.compile(
    r"^\s*\S*[=\-'\"(*^!][#>](?:\s|$)|^\s*\$\s|^\S+[@:]\S*\s?[$#%]\s|^\s*(?:mysql|MariaDB \[.*\]|MySQL .*)>(?:\s|$)|^\s*->\s"
    r"|^\s*[A-Za-z][\w@.:\[\]() -]{0,60}> ?(?i:select|show|use|set|load|save|explain|describe)\b"
)

RECORD = re.compile(r"^\s*\+?-\[ \S+ (\d+) \][-+]*\s*$")
"""The line above a record of psql's expanded output."""

OPEN: Final = {"+": "\n", "↵": "\n", ".": "", "…": ""}
"""The marks of a cell that goes on in the next line, and what stands between: a line break, or nothing."""

_LINES: Final = str.maketrans(
    dict.fromkeys("│┃║", "|") | dict.fromkeys("─━═", "-") | dict.fromkeys("┼╋╪├┤┬┴┌┐└┘╔╗╚╝╟╢╠╣╤╧╥╨╫╬╭╮╰╯┏┓┗┛┣┫┳┻", "+")
)


def is_rule(line: str) -> bool:
    """Tell whether a line is the rule under a header."""
    plain = ascii_lines(line)
    return bool(RULE.match(plain) or SPACED_RULE.match(plain) or MARKDOWN_RULE.match(plain))


def is_footer(line: str) -> bool:
    """Tell whether a line is what clients print under a table, in any language, or say of themselves."""
    return bool(FOOTER.match(line.strip()))


def ascii_lines(line: str) -> str:
    """Return a line with box drawing characters as ASCII, length unchanged."""
    return line if line.isascii() else line.translate(_LINES)


def bars(line: str) -> str:
    """Return a line with its vertical bars as ASCII ones, length unchanged."""
    return line if line.isascii() else line.replace("│", "|").replace("║", "|").replace("┃", "|")


def table(lines: Lines, plain: Sequence[str], at: int, floor: int) -> tuple[Table | None, int]:
    """Return the table whose first rule stands at `at`, and where the text goes on; its header is not above `floor`."""
    if MARKDOWN_RULE.match(plain[at]) and "|" in plain[at]:
        return _markdown(lines, plain, at, floor)
    if SPACED_RULE.match(plain[at]):
        return _spaced(lines, plain, at, floor)
    return _ruled(lines, plain, at, floor)


def _ruled(lines: Lines, plain: Sequence[str], at: int, floor: int) -> tuple[Table | None, int]:
    after = at
    while after < len(plain) and after - at < MOST_FOLDS and RULE.match(plain[after]):
        after += 1
    folds = after - at
    indent = plain[at][: len(plain[at]) - len(plain[at].lstrip())]
    whole = joined([_dedented(line, indent) for line in plain[at:after]])
    drawing = _Drawing(lines, plain, indent, whole.strip(), len(plain[at]) if folds > 1 else 0)
    if drawing.is_box:
        # Above the header stands a rule as well.
        below = after + folds
        if below + folds <= len(plain) and drawing.is_rule(below, folds):
            names = drawing.names(after, folds)
            if names is not None:
                table = Table("drawn", names, at, head=lines[after:below], rules=2 * folds)
                return table, drawing.rows(table, below + folds)
    for folded in dict.fromkeys((folds, 1)):
        if at - folded < floor:
            continue
        names = drawing.names(at - folded, folded)
        if names is not None:
            table = Table("drawn", names, at - folded, head=lines[at - folded : at], rules=folds)
            return table, drawing.rows(table, after)
    return None, after


def joined(folds: Sequence[str]) -> str:
    """Put together what a terminal folded: all lines but the last are as wide as the first."""
    return "".join(fold.ljust(len(folds[0])) for fold in folds[:-1]) + folds[-1]


def _dedented(line: str, indent: str) -> str:
    if not indent:
        return line
    return line.removeprefix(indent) if line.startswith(indent) else line.lstrip()


def _unboxed(line: str) -> str:
    bare = line.strip()
    return bare[1:-1] if bare[:1] in "|│║┃" and bare[-1:] in "|│║┃" and len(bare) > 1 else line


@dataclass(slots=True)
class _Drawing:
    """How a table is drawn: its rule, the blanks before each line, and the terminal's width where it folded."""

    lines: Lines
    plain: Sequence[str]
    indent: str
    rule: str
    fold: int

    @property
    def is_box(self) -> bool:
        return self.rule.startswith("+")

    @property
    def segments(self) -> list[int]:
        return [len(segment) for segment in self.rule.strip("+").split("+")]

    def is_rule(self, at: int, folds: int) -> bool:
        return all(RULE.match(line) for line in self.plain[at : at + folds]) and (
            joined([_dedented(line, self.indent) for line in self.plain[at : at + folds]]).strip() == self.rule
        )

    def names(self, at: int, folds: int) -> tuple[str, ...] | None:
        header = joined([_dedented(line, self.indent) for line in self.plain[at : at + folds]])
        if self.is_box and not header.lstrip().startswith("|"):
            return None
        names = tuple(name.strip() for name in (_unboxed(header) if self.is_box else header).split("|"))
        return names if len(names) == len(self.segments) and all(names) else None

    def text(self, at: int) -> str:
        return _dedented(self.lines[at][1], self.indent)

    def rows(self, table: Table, at: int) -> int:
        """Read the rows of a table from `at` on; return where it ends."""
        lines, plain, segments, is_box = self.lines, self.plain, self.segments, self.is_box
        open_row: tuple[int, int, list[str], list[str]] | None = None
        strangers = 0
        while at < len(plain):
            line = plain[at]
            if RULE.match(line):
                if is_box and line.strip().startswith("+"):
                    table.rules += 1
                    at += 1
                    while self.fold and at < len(plain) and RULE.match(plain[at]):
                        table.rules += 1
                        at += 1
                    break
                # The header of a table that follows without a footer was taken for a row.
                if open_row is None and table.rows and table.rows[-1][1] == 1 and _may_be_names(plain[at - 1], line):
                    table.rows.pop()
                    return at - 1
                break
            if RECORD.match(line) or not line.strip() or FOOTER.match(line.strip()) or PAGER.match(line):
                break
            if len(segments) == 1 and not is_box and PROMPT.match(line):
                break
            count, cells = self._row(at, segments)
            if cells is None:
                if PROMPT.match(line):
                    break
                strangers += 1
                if strangers > MOST_MISFITS:
                    break
                table.misfits += lines[at : at + count]
                at += count
                continue
            strangers = 0
            marks = [mark(cell, segments, column) for column, cell in enumerate(cells)]
            if open_row is None:
                bare = [_opened(cell, sign) if sign else cell.strip() for cell, sign in zip(cells, marks, strict=True)]
                open_row = (lines[at][0], count, bare, marks)
            else:
                line_no, counted, held, before = open_row
                whole = [
                    _gone_on(have, sign, _opened(cell, here, sign)) if sign else have
                    for have, sign, cell, here in zip(held, before, cells, marks, strict=True)
                ]
                open_row = (line_no, counted + count, whole, marks)
            if not any(marks):
                table.rows.append(open_row[:3])
                open_row = None
            at += count
        if open_row is not None:
            table.rows.append(open_row[:3])
        return at

    def _row(self, at: int, segments: list[int]) -> tuple[int, list[str] | None]:
        """Return how many physical lines the row at `at` takes, and its cells; None where it is no row."""
        if self.fold:
            count, text = self._unfolded(at, segments)
            return count, cells_of(_unboxed(text) if self.is_box else text, segments)
        text = self.text(at)
        if not self.is_box:
            return 1, cells_of(text, segments)
        if self._is_whole(text, segments) or text.lstrip()[:1] not in "|│║┃":
            return 1, cells_of(_unboxed(text), segments)
        return self._broken(at, segments)

    def _is_whole(self, text: str, segments: list[int]) -> bool:
        bare = text.strip()
        return bare[:1] in "|│║┃" and bare[-1:] in "|│║┃" and width(bare) == len(self.rule)

    def _broken(self, at: int, segments: list[int]) -> tuple[int, list[str] | None]:
        """Return the row at `at` whose cells hold line breaks: with them it is as wide as the rule."""
        text = self.text(at)
        likely: tuple[int, list[str]] | None = None
        for count in range(1, MOST_CELL_LINES):
            if count > 1:
                index = at + count - 1
                if index >= len(self.plain):
                    break
                line = self.text(index)
                if self._is_whole(line, segments) or (RULE.match(self.plain[index]) and self.is_rule(index, 1)):
                    break
                text += "\n" + self.lines[index][1].removeprefix(self.indent)
            bare = text.strip()
            if bare[-1:] not in "|│║┃" or len(bare) < 2:
                continue
            cells = cells_of(bare[1:-1], segments)
            if cells is not None and width(bare) == len(self.rule):
                return count, cells
            if cells is not None and likely is None and bars(bare).count("|") == len(segments) + 1:
                likely = count, cells
        return likely if likely is not None else (1, cells_of(_unboxed(self.text(at)), segments))

    def _unfolded(self, at: int, segments: list[int]) -> tuple[int, str]:
        plain = self.plain
        text = ""
        needed = len(segments) - 1 + 2 * self.is_box
        for count in range(1, MOST_FOLDS + 1):
            index = at + count - 1
            if index >= len(plain) or not plain[index].strip() or PAGER.match(plain[index]):
                break
            text += self.text(index)
            if text.count("|") >= needed and (
                len(plain[index]) < self.fold
                or index + 1 >= len(plain)
                or not _continues(plain[index + 1], segments, is_box=self.is_box)
            ):
                return count, text
            text += " " * (self.fold - len(plain[index]))
        return max(count - 1, 1), text


def _may_be_names(header: str, rule: str) -> bool:
    names = [name.strip() for name in header.split("|")]
    return len(names) == rule.strip().strip("+").count("+") + 1 and all(names)


def _continues(line: str, segments: list[int], *, is_box: bool) -> bool:
    """Tell whether a line is the rest of a folded last column, not the start of a row."""
    if is_box:
        return bool(line.strip()) and not RULE.match(line) and not (line.startswith("|") and line[1:2] == " ")
    first = segments[0]
    return bool(line.strip()) and not (len(line) > first and line[first] == "|") and not FOOTER.match(line.strip())


def cells_of(line: str, segments: list[int]) -> list[str] | None:
    """Cut a row into its cells, blanks kept; None where it does not fit the rule."""
    parts = bars(line).split("|")
    if len(parts) == len(segments):
        return _cut(line, parts)
    if len(parts) < len(segments):
        return None
    # A value holds a bar itself: the separators stand where the rule has its crosses; a paste may have lost a blank.
    columns = _columns(line)
    for shift in (0, -1, 1):
        cuts = [columns.get(sum(segments[: index + 1]) + index + shift) for index in range(len(segments) - 1)]
        if all(cut is not None and bars(line[cut]) == "|" for cut in cuts):
            edges = [-1, *(cut for cut in cuts if cut is not None), len(line)]
            return [line[left + 1 : right] for left, right in itertools.pairwise(edges)]
    return None


def _cut(line: str, parts: list[str]) -> list[str]:
    """Return the parts as the line itself has them."""
    if line.isascii():
        return parts
    edges = list(itertools.accumulate((len(part) + 1 for part in parts), initial=0))
    return [line[left : right - 1] for left, right in itertools.pairwise(edges)]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _columns(line: str) -> dict[int, int]:
    """Return for each column of a terminal the index of the character that begins there."""
    if line.isascii():
        return {index: index for index in range(len(line))}
    columns: dict[int, int] = {}
    reached = 0
    for index, letter in enumerate(line):
        columns.setdefault(reached, index)
        reached += width(letter)
    return columns


def mark(cell: str, segments: list[int], column: int) -> str:
    """Return the mark by which a cell goes on in the next line, empty where it ends here.

    The mark stands in the last column of the cell, where content never does.
    """
    written = cell.rstrip()
    if not written or written[-1] not in OPEN:
        return ""
    reach = width(written)
    return written[-1] if reach == segments[column] or (column == 0 and reach == segments[0] - 1) else ""


def _gone_on(have: str, sign: str, more: str) -> str:
    """Return a cell with its next line; a number that was cut stands flush right on both."""
    if not OPEN[sign] and have.strip().isdigit() and more.strip().isdigit():
        return have.strip() + more.strip()
    return have + OPEN[sign] + more


def _opened(cell: str, sign: str, before: str = "") -> str:
    """Return the content of one line of a cell of several: `sign` marks that it goes on, `before` that it went on.

    Leading blanks are the content's, but for the one that parts it from the separator.
    """
    written = cell.rstrip()
    if sign:
        written = written[:-1]
        written = written if sign in ".…" else written.rstrip()
    if before in (".", "…"):
        return written[1:] if written[:1] in (".", "…", " ") else written
    return written[1:] if written.startswith(" ") else written


# Columns with blanks between them


def _spaced(lines: Lines, plain: Sequence[str], at: int, floor: int) -> tuple[Table | None, int]:
    if at - 1 < floor:
        return None, at + 1
    indent = plain[at][: len(plain[at]) - len(plain[at].lstrip())]
    groups = _dedented(plain[at], indent).rstrip().split(" ")
    starts = [0, *itertools.accumulate(len(group) + 1 for group in groups)][: len(groups)]
    names = _spaced_cells(_dedented(lines[at - 1][1], indent), starts)
    if names is None or not all(name.strip() for name in names):
        return None, at + 1
    table = Table("drawn", tuple(name.strip() for name in names), at - 1, head=lines[at - 1 : at], rules=1)
    at += 1
    open_row: tuple[int, int, list[str], list[bool]] | None = None
    while at < len(plain) and plain[at].strip() and not FOOTER.match(plain[at].strip()):
        cells = _spaced_cells(_dedented(lines[at][1], indent), starts)
        if cells is None:
            if PROMPT.match(plain[at]) or len(table.misfits) > MOST_MISFITS:
                break
            table.misfits.append(lines[at])
            at += 1
            continue
        marks = [
            width(cell.rstrip()) == len(group) + 1 and cell.rstrip()[-1:] in ("+", "↵")
            for cell, group in zip(cells, groups, strict=True)
        ]
        bare = [cell.rstrip()[:-1].rstrip() if sign else cell.rstrip() for cell, sign in zip(cells, marks, strict=True)]
        if open_row is None:
            open_row = (
                lines[at][0],
                1,
                [cell if sign else cell.strip() for cell, sign in zip(bare, marks, strict=True)],
                marks,
            )
        else:
            line_no, counted, held, before = open_row
            whole = [have + "\n" + cell if sign else have for have, sign, cell in zip(held, before, bare, strict=True)]
            open_row = (line_no, counted + 1, whole, marks)
        if not any(marks):
            table.rows.append(open_row[:3])
            open_row = None
        at += 1
    if open_row is not None:
        table.rows.append(open_row[:3])
    return table, at


def _spaced_cells(line: str, starts: list[int]) -> list[str] | None:
    columns = _columns(line)
    places = [columns.get(start, len(line)) for start in starts]
    if any(0 < place < len(line) and line[place - 1] not in " +↵" for place in places):
        return None
    return [line[left:right] for left, right in itertools.pairwise([*places, len(line)])]


# Columns told by where their names begin


def may_be_columns(line: str) -> bool:
    """Tell whether a line may be names with two blanks or more between them."""
    return line[:1].isalpha() and "  " in line and len(_GAPS.split(line.strip())) > LEAST_COLUMNS


def columns_of(line: str) -> tuple[tuple[str, ...], list[int]]:
    """Return the names in a header, and where each begins."""
    found = list(re.finditer(r"\S+(?: \S+)*", line))
    return tuple(one.group() for one in found), [one.start() for one in found]


def columned(lines: Lines, at: int, end: int, names: tuple[str, ...], starts: list[int], *, has_header: bool) -> Table:
    """Return the rows from `at` on whose cells begin where the names do; a value never runs into the next column."""
    table = Table("columns", names, at, head=lines[at : at + 1] if has_header else (), opens=has_header)
    at += has_header
    while at < end:
        text = lines[at][1]
        cells = _spaced_cells(text, starts)
        if not text.strip() or cells is None or tuple(cell.strip() for cell in cells) == names:
            break
        if sum(bool(cell.strip()) for cell in cells) < LEAST_COLUMNS:
            break
        table.rows.append((lines[at][0], 1, [cell.strip() for cell in cells]))
        at += 1
    table.end = at
    return table


# Markdown

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_UNESCAPED_BAR = re.compile(r"(?<!\\)\|")


def _markdown(lines: Lines, plain: Sequence[str], at: int, floor: int) -> tuple[Table | None, int]:
    if at - 1 < floor or "|" not in plain[at - 1]:
        return None, at + 1
    columns = len(_markdown_cells(plain[at]))
    names = tuple(_markdown_cells(lines[at - 1][1]))
    if len(names) != columns or not all(names):
        return None, at + 1
    table = Table("drawn", names, at - 1, head=lines[at - 1 : at], rules=1)
    at += 1
    while at < len(plain) and "|" in plain[at] and not PROMPT.match(plain[at]) and not MARKDOWN_RULE.match(plain[at]):
        cells = _markdown_cells(lines[at][1])
        if len(cells) == columns:
            table.rows.append((lines[at][0], 1, cells))
        elif len(table.misfits) > MOST_MISFITS:
            break
        else:
            table.misfits.append(lines[at])
        at += 1
    return table, at


def _markdown_cells(line: str) -> list[str]:
    bare = line.strip()
    bare = bare[1:] if bare.startswith("|") else bare
    bare = bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare
    return [_BREAK.sub("\n", cell.replace("\\|", "|")).strip() for cell in _UNESCAPED_BAR.split(bare)]
