"""Tables in HTML (psql's `\\H`, `mysql --html`) and XML (`mysql --xml`, `query_to_xml`)."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from connforensics.evidence.shapes import Lines, Table

TABLE = re.compile(r"^\s*<table\b", re.IGNORECASE)
"""The line where a table of HTML begins."""

ROWS = re.compile(
    r"^\s*<(?:\?xml\b|resultset\b|row>|/resultset>|table_data\b|/?mysqldump\b|/?database\b)", re.IGNORECASE
)
"""A line of a result in XML."""

PROSE = re.compile(
    r"^\s*(?:<p>.*|\([^()]*\)<br ?/?>|</p>|<!DOCTYPE.*|</?(?:html|body|head|pre|tbody|thead)\b[^>]*>|<\w+ xmlns\b[^>]*>|</\w+>)\s*$",
    re.IGNORECASE,
)
"""What clients write around a table of HTML."""

MOST_LINES: Final = 100_000
"""A table of HTML that has not ended after this many lines is cut there."""

_END = re.compile(r"</table\s*>[ \t]*", re.IGNORECASE)
_ROW = re.compile(r"<tr\b[^>]*>(.*?)(?:</tr\s*>|(?=<tr\b)|(?=</table)|\Z)[ \t]*", re.IGNORECASE | re.DOTALL)
_CELL = re.compile(r"<t([hd])\b([^>]*)>(.*?)(?:</t[hd]\s*>|(?=<t[hd]\b)|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_BREAK = re.compile(r"<br\s*/?>\n?", re.IGNORECASE)
_RECORD = re.compile(r"<row\b[^>]*>(.*?)</row>[ \t]*", re.DOTALL | re.IGNORECASE)
_FIELD = re.compile(
    r'<field name="([^"]*)"[^>]*?(?:/>|>(.*?)</field>)|<(?!field\b)([A-Za-z_][\w.-]*)[^>]*?(?:/>|>(.*?)</\3>)',
    re.DOTALL,
)


class _Places:
    """Which of joined lines a character stands in."""

    def __init__(self, lines: Lines, at: int, end: int) -> None:
        self.lines = lines[at:end]
        self.text = "\n".join(text for _, text in self.lines)
        self.starts = list(accumulate((len(text) + 1 for _, text in self.lines), initial=0))[:-1]

    def line(self, offset: int) -> int:
        """Return the index among these lines."""
        return bisect_right(self.starts, offset) - 1


def hypertext(lines: Lines, at: int, *, is_final: bool) -> tuple[Table | None, int]:
    """Return the table of HTML that begins at `at`, and where the text goes on."""
    end = at
    while end < len(lines) and end - at < MOST_LINES and not _END.search(lines[end][1]):
        end += 1
    is_cut = end >= len(lines)
    end = min(end + 1, len(lines))
    places = _Places(lines, at, end)
    names: list[str] = []
    rows: list[tuple[int, int, list[str]]] = []
    record: tuple[list[str], list[str], list[tuple[int, int]]] = ([], [], [])
    for found in _ROW.finditer(places.text):
        if is_cut and not is_final and found.end() == len(places.text):
            break
        cells = [(kind.lower(), _content(inner)) for kind, _, inner in _CELL.findall(found.group(1))]
        span = places.line(found.start()), places.line(max(found.end() - 1, found.start()))
        if len(cells) == 2 and [kind for kind, _ in cells] == ["h", "d"]:
            if record[1] and cells[0][1] == record[0][0]:
                rows.append(_gathered(record))
                record = (record[0], [], [])
            if not rows:
                record[0].append(cells[0][1])
            record[1].append(cells[1][1])
            record[2].append(span)
        elif cells and all(kind == "h" for kind, _ in cells):
            names = names or [text for _, text in cells]
        elif names and len(cells) == len(names):
            rows.append((*span, [text for _, text in cells]))
    if record[1] and not names:
        rows.append(_gathered(record))
        names = record[0]
    if not names:
        return None, end
    return _accounted("html", places, at, end, tuple(names), [row for row in rows if len(row[2]) == len(names)]), end


def _gathered(record: tuple[list[str], list[str], list[tuple[int, int]]]) -> tuple[int, int, list[str]]:
    _, cells, spans = record
    return spans[0][0], spans[-1][1], cells


def _content(inner: str) -> str:
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", inner))).replace("\xa0", " ")
    return text if text.strip() else ""


def _accounted(
    shape: str, places: _Places, at: int, end: int, names: tuple[str, ...], rows: list[tuple[int, int, list[str]]]
) -> Table:
    """Return the table with its lines shared out: a line belongs to the first row that stands on it."""
    table = Table(shape, names, at, end)
    taken = -1
    for first, last, cells in rows:
        count = max(last - max(first, taken + 1) + 1, 0)
        table.rows.append((places.lines[first][0], count, cells))
        taken = max(taken, last)
    table.rules = end - at - sum(count for _, count, _ in table.rows)
    return table


def records(lines: Lines, at: int, *, is_final: bool) -> tuple[Table | None, int]:
    """Return the rows in XML with the same columns that begin at `at`, and where the text goes on."""
    opens = False
    rules = 0
    start = at
    while at < len(lines) and ROWS.match(lines[at][1]) and "<row" not in lines[at][1]:
        opens = opens or "<resultset" in lines[at][1] or "<table_data" in lines[at][1]
        rules += 1
        at += 1
        while at < len(lines) and not lines[at][1].strip():
            rules += 1
            at += 1
        while opens and at < len(lines) and not ROWS.match(lines[at][1]) and rules < 500:
            # The statement stands in the tag, line breaks and all.
            rules += 1
            at += 1
    if at >= len(lines) or "<row" not in lines[at][1]:
        return None, at
    end = at
    while end < len(lines) and "</row>" not in lines[end][1]:
        end += 1
    if end >= len(lines):
        return None, start if not is_final else start + 1
    places = _Places(lines, at, end + 1)
    rows: list[tuple[int, int, list[str]]] = []
    names: tuple[str, ...] = ()
    for found in _RECORD.finditer(places.text):
        fields = [(name or tag, value or inner) for name, value, tag, inner in _FIELD.findall(found.group(1))]
        these = tuple(name for name, _ in fields)
        if names and these != names:
            continue
        names = these
        cells = [html.unescape(_TAG.sub("", value)) for _, value in fields]
        rows.append((places.line(found.start()), places.line(found.end() - 1), cells))
    if not names:
        return None, start + 1
    table = _accounted("xml", places, start, end + 1, names, rows)
    table.opens = opens
    return table, end + 1
