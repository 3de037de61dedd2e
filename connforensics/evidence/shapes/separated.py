"""Fields with a separator between them: CSV and its kin, psql's unaligned output, mysql's batch output, COPY's text.

Where fields are quoted, the quotes say where one ends. Where they are not (`psql -A`, `mysql --raw`), a line break or a
separator inside a statement stands as it is: rows are told by how the columns before the statement look, and what is
too much belongs to the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from connforensics.evidence.shapes import FREE, NULLS, Accepts, Lines, Table, drawn, normal, time_lines, told

DELIMITERS: Final = ",;\t|"

LONGEST_HEADER: Final = 20_000
"""A line longer than this is no header; a thousand services in a column each take less."""

MOST_RECORD_LINES: Final = 5_000
"""A row of more lines than this is none: its first quote is a stray one."""

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\\": "\\"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_NUMBERED = re.compile(
    r"(?:^|_)(?:pids?|procpid|id|ids|port|oid|datid|usesysid|xid|xmin|time|rows|count|sent|examined|s|ms)$"
)
"""Names of columns that hold numbers; a user may be called 123."""

_NUMBER = re.compile(r"-?\d*(?:\.\d+)?")
_TIME = re.compile(r"(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*(?: \S{3,5})?)?")


@dataclass(frozen=True, slots=True)
class Writing:
    """How the fields of a table are parted: by what, whether quoted, whether a backslash and `n` stand for a line break,
    and whether blanks stand around the separators."""

    delimiter: str
    is_quoted: bool
    is_escaped: bool
    is_spaced: bool
    names: tuple[str, ...]
    written: tuple[str, ...]

    @property
    def free(self) -> int:
        """The column that holds free text, the last one where none says so."""
        return next((index for index, name in enumerate(self.names) if name in FREE), len(self.names) - 1)


@cache
def _field(delimiter: str, is_quoted: bool) -> re.Pattern[str]:
    plain = f"[^{re.escape(delimiter)}\n]*+"
    quoted = f'"((?:[^"]++|"")*+)"({plain})' if is_quoted else "(?!)()()"
    return re.compile(f"(?:{quoted}|({plain}))({re.escape(delimiter)}|\n|\\Z)")


def tokens(text: str, delimiter: str, is_quoted: bool, *, is_final: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each record's end offset and fields; a quote that never closes is an ordinary character.

    Unless `is_final`, a record whose last quote is still open is left for later.
    """
    pattern = _field(delimiter, is_quoted)
    position, fields = 0, []
    while position < len(text):
        found = pattern.match(text, position)
        if found is None:  # pragma: no cover - the pattern matches the empty text
            return
        quoted, trailing, plain, ending = found.groups()
        if quoted is not None:
            fields.append(quoted.replace('""', '"') + trailing)
        else:
            if is_quoted and plain.startswith('"') and not is_final:
                return
            fields.append(plain)
        position = found.end()
        if ending == delimiter and position < len(text):
            continue
        if ending == delimiter:
            fields.append("")
        elif not ending and not is_final:
            return
        yield position, fields
        fields = []


def split(line: str, delimiter: str, is_quoted: bool) -> list[str]:
    """Return the fields of a record that is all of `line`."""
    if not is_quoted or '"' not in line:
        return line.split(delimiter)
    for _, fields in tokens(line, delimiter, is_quoted, is_final=True):
        return fields
    return [""]


def unescaped(value: str) -> str:
    """Undo the escapes of COPY's text format and of mysql's batch output."""
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found.group(1), found.group(1)), value) if "\\" in value else value


def writing(lines: Sequence[str], at: int, accepts: Accepts) -> Writing | None:
    """Return how the table is written whose header stands at `at`; None where no known header stands there."""
    line = lines[at]
    if len(line) > LONGEST_HEADER or not _may_be_names(line):
        return None
    for delimiter, quoted, plain in _named(line):
        if not (accepts(quoted) or accepts(plain)):
            continue
        if delimiter == "|" and any(map(drawn.is_rule, lines[at + 1 : at + 1 + drawn.MOST_FOLDS])):
            continue
        is_quoted = delimiter in ",;" or _has_quotes([line, *lines[at + 1 : at + 201]], delimiter)
        written = tuple(split(line, delimiter, is_quoted))
        names = tuple(map(normal, written))
        if len(names) < 2 or not accepts(names):
            continue
        is_spaced = any(name != name.strip() for name in written)
        is_escaped = delimiter == "\t" and not is_quoted
        return Writing(delimiter, is_quoted, is_escaped, is_spaced, names, tuple(name.strip() for name in written))
    return None


@lru_cache(maxsize=8192)
def _named(line: str) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """Return the names that a line has as a header, by delimiter, with quotes and without; every format asks the same."""
    return tuple(
        (delimiter, tuple(map(normal, split(line, delimiter, True))), tuple(map(normal, line.split(delimiter))))
        for delimiter in DELIMITERS
        if delimiter in line
    )


_CELL: Final = re.compile(r'(?:^|[,;\t|]) *"?(?:-?\d+(?:\.\d+)?"? *(?=[,;\t|]|$)|\d{4}-\d\d-\d\d[ T]\d\d:)')
"""A number or a time that is all of a field: no header has one."""


@lru_cache(maxsize=8192)
def _may_be_names(line: str) -> bool:
    """Tell whether a line may be a header; every format asks the same of every line."""
    return bool(line.strip()) and _CELL.search(line) is None


def _has_quotes(lines: Sequence[str], delimiter: str) -> bool:
    edge = re.escape(delimiter)
    return any(re.search(rf'(?:^|{edge})"(?:[^"]|"")*"(?:{edge}|$)', line) for line in lines)


# Rows without quotes


class Unquoted:
    """Tells the rows of a table whose fields are not quoted, from one piece of a source to the next.

    The first row after the header shows how the columns before the free one look that cannot be mistaken for a line of a
    statement, numbers and times; a line that looks otherwise goes on with the row above it.
    """

    def __init__(self, how: Writing, accepts: Accepts) -> None:
        self.how = how
        self.accepts = accepts
        self.kinds: dict[int, re.Pattern[str]] = {}
        self.is_new = True

    def begins(self, line: str) -> bool:
        """Tell whether a line is the first of a row."""
        how = self.how
        fields = line.split(how.delimiter)
        free = how.free
        if len(fields) <= min(free, len(how.names) - 2):
            return False
        if self.is_new:
            self.is_new = False
            for index, field in enumerate(fields[:free]):
                if _NUMBERED.search(how.names[index]) and _NUMBER.fullmatch(field.strip()):
                    self.kinds[index] = _NUMBER
                elif field.strip() and _TIME.fullmatch(field.strip()):
                    self.kinds[index] = _TIME
        if not self.kinds:
            return len(fields) >= len(how.names)
        return all(
            kind.fullmatch(fields[index].strip()) or fields[index] in NULLS for index, kind in self.kinds.items()
        )

    def stops(self, text: str, following: str) -> bool:
        """Tell whether a line cannot be part of a row: a footer, a header, a time, or the beginning of a drawing.

        The name of a time is a header where a time, or the rule above one, is what is `following`.
        """
        if drawn.is_footer(text) or is_names(text, self.how) or text.startswith(("+--", "*****")):
            return True
        if time_lines.is_asking(text):
            return drawn.is_rule(following) or time_lines.told(following, None) is not None
        return time_lines.told(text, None) is not None or self._is_other_header(text)

    def _is_other_header(self, text: str) -> bool:
        """Tell whether a line is the header of another table that the format knows."""
        if self.how.delimiter not in text or not _may_be_names(text):
            return False
        names = tuple(map(normal, text.split(self.how.delimiter)))
        return len(names) > 1 and self.accepts(names)

    def fields(self, text: str) -> list[str] | None:
        """Return the fields of a whole row; None where it is none."""
        how = self.how
        fields = text.split(how.delimiter)
        extra = len(fields) - len(how.names)
        if extra < 0:
            return None
        if extra:
            free = how.free
            if how.names[free] not in FREE:
                return None
            fields[free : free + extra + 1] = [how.delimiter.join(fields[free : free + extra + 1])]
        if how.is_escaped and "\n" not in text:
            fields = [unescaped(field) for field in fields]
        return [field.strip() for field in fields] if how.is_spaced else fields

    def records(self, text: str, *, is_final: bool) -> Iterator[tuple[int, list[str]]]:
        """Yield each record's end offset and fields, a line that is in no row as a record of its own.

        Unless `is_final`, the last row is left for later: it may go on.
        """
        end = row_start = 0
        while end < len(text):
            line, feed, _ = text[end : text.find("\n", end) + 1 or len(text)].partition("\n")
            after = end + len(line) + len(feed)
            is_stop = self.stops(line, text[after : (text.find("\n", after) + 1 or len(text))]) or (
                not line.strip() and (row_start == end or self.fields(text[row_start : end - 1]) is not None)
            )
            begins = not is_stop and self.begins(line)
            if (is_stop or begins) and row_start < end:
                yield from self._row(text, row_start, end, is_bounded=True)
                row_start = end
            if not begins and row_start == end:
                yield after, line.split(self.how.delimiter)
                row_start = after
            end = after
        if is_final and row_start < end:
            yield from self._row(text, row_start, end, is_bounded=False)

    def _row(self, text: str, start: int, end: int, *, is_bounded: bool) -> Iterator[tuple[int, list[str]]]:
        whole = text[start:end].removesuffix("\n")
        first, feed, rest = whole.partition("\n")
        fields = self.fields(whole)
        if fields is not None and (is_bounded or not rest or self.fields(first) is None):
            yield end, fields
            return
        yield start + len(first) + len(feed or "\n"), self.fields(first) or first.split(self.how.delimiter)[:1]
        at = start + len(first) + 1
        while at < end:
            line = text[at : text.find("\n", at) + 1 or len(text)]
            at += len(line)
            yield at, line.rstrip("\n").split(self.how.delimiter)[:1]


# Tables inside other text


def table(
    lines: Lines, at: int, end: int, how: Writing, accepts: Accepts, *, is_final: bool, has_header: bool = True
) -> tuple[Table, int]:
    """Return the table written `how` whose header stands at `at`, and where the text goes on, at `end` at the latest.

    Without a header, rows that go on with an earlier table begin at `at`. The table `is_short` where its last row may go
    on after the last of the lines.
    """
    found = Table("separated", how.written, at, opens=has_header, head=lines[at : at + 1] if has_header else ())
    if how.is_quoted:
        return _quoted_rows(found, lines, at + has_header, end, how, is_final)
    return _unquoted_rows(found, lines, at + has_header, end, Unquoted(how, accepts), is_final)


def _quoted_rows(table: Table, lines: Lines, at: int, end: int, how: Writing, is_final: bool) -> tuple[Table, int]:
    width = len(how.names)
    while at < end:
        text = lines[at][1]
        if not text.strip():
            break
        count = 1
        while text.count('"') % 2 and at + count < end and count < MOST_RECORD_LINES:
            text += "\n" + lines[at + count][1]
            count += 1
        is_open = bool(text.count('"') % 2)
        if is_open and not is_final and at + count == len(lines) and count < MOST_RECORD_LINES:
            table.is_short = True
            break
        fields = split(text, how.delimiter, how.is_quoted)
        if len(fields) != width or is_open:
            # A quote that never closes is a stray one.
            count, fields = 1, split(lines[at][1], how.delimiter, how.is_quoted)
        if len(fields) != width or tuple(map(normal, fields)) == how.names:
            break
        table.rows.append((lines[at][0], count, [field.strip() for field in fields] if how.is_spaced else fields))
        at += count
    table.end = at
    return table, at


def _unquoted_rows(table: Table, lines: Lines, at: int, end: int, rows: Unquoted, is_final: bool) -> tuple[Table, int]:
    while at < end:
        text = lines[at][1]
        if not text.strip() or rows.stops(text, _next(lines, at)) or not rows.begins(text):
            break
        after = at + 1
        limit = min(end, at + MOST_RECORD_LINES)
        while (
            after < limit and not rows.begins(lines[after][1]) and not rows.stops(lines[after][1], _next(lines, after))
        ):
            after += 1
        if rows.fields(text) is not None:
            # A blank line ends a row that is whole.
            after = next((index for index in range(at + 1, after) if not lines[index][1].strip()), after)
        if after == len(lines) and not is_final:
            table.is_short = True
            break
        count = 1
        whole = "\n".join(line for _, line in lines[at:after])
        if after < limit and rows.fields(whole) is not None:
            # What stands before the next row, a footer, a header or a time line is this row's.
            text, count = whole, after - at
        elif rows.fields(text) is None:
            text, count = _completed(lines, at, after, rows)
        fields = rows.fields(text)
        if fields is None:
            break
        table.rows.append((lines[at][0], count, fields))
        at += count
    table.end = at
    return table, at


def _next(lines: Lines, at: int) -> str:
    return lines[at + 1][1] if at + 1 < len(lines) else ""


def _completed(lines: Lines, at: int, after: int, rows: Unquoted) -> tuple[str, int]:
    """Return the text that has all fields, and how many lines it takes."""
    text = lines[at][1]
    for count in range(2, after - at + 1):
        text += "\n" + lines[at + count - 1][1]
        if rows.fields(text) is not None:
            return text, count
    return lines[at][1], 1


def is_names(text: str, how: Writing) -> bool:
    """Tell whether a line is the header of the table again."""
    return text.lower().startswith(how.written[0].lower()) and (
        tuple(map(normal, split(text, how.delimiter, how.is_quoted))) == how.names
    )


@lru_cache(maxsize=8192)
def is_beside(text: str) -> bool:
    """Tell whether a line belongs to a table without being a row: a footer, a time line, the header of a time."""
    return drawn.is_footer(text) or time_lines.is_asking(text) or time_lines.told(text, None) is not None


def fit(
    lines: Sequence[str], how: Writing, accepts: Accepts, most: int
) -> tuple[int, int, tuple[tuple[str | None, ...], ...]]:
    """Return how many rows stand among the lines after a header, how many lines are none, and the first `most` rows."""
    rows = misfits = 0
    shown: list[tuple[str | None, ...]] = []
    text = "\n".join(lines) + "\n"
    found = (
        tokens(text, how.delimiter, is_quoted=True, is_final=False)
        if how.is_quoted
        else Unquoted(how, accepts).records(text, is_final=True)
    )
    for _, fields in found:
        if len(fields) == len(how.names):
            if tuple(map(normal, fields)) != how.names:
                rows += 1
                shown += [tuple(map(told, fields))] if len(shown) < most else []
        elif not (len(fields) == 1 and (not fields[0].strip() or is_beside(fields[0]) or fields[0].startswith("#"))):
            misfits += 1
    return rows, misfits, tuple(shown)
