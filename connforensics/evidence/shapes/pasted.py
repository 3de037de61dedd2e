"""A source put together from tables of any shape and the text around them, in the memory of one window of lines.

Quotation marks before the lines of a chat are taken off. A table that lies across the end of a window is read again
with the next one; a long one is handed over in parts, its header read again before each.
"""

from __future__ import annotations

import itertools
import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from connforensics.evidence.shapes import (
    Accepts,
    Lines,
    Table,
    Talk,
    drawn,
    markup,
    normal,
    objects,
    separated,
    vertical,
)

WINDOW_LINES: Final = 50_000
"""Lines looked at together."""

LONG_TABLE: Final = 2_000
"""A table of more rows than this that reaches the end of a window is handed over in parts."""

REOPENS: Final = 5
"""Columns that a row must have to go on with a table of which a blank or a time line was the end."""

_SQL = re.compile(r"[#>]\s*(?:SELECT|WITH|TABLE|COPY|SHOW)\b", re.IGNORECASE)
_STATEMENT_ENDS: Final = (";", "\\watch", "\\gx", "\\g", "\\G")
_STATEMENT = re.compile(
    r"^\s*(?:SELECT|SHOW|WITH|TABLE|COPY|SET|BEGIN|FROM|WHERE|ORDER BY|GROUP BY|\\\w+)\b", re.IGNORECASE
)
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})[\w+-]*\s*$")
_RULED = re.compile(r"^\s*(?:[-=*#_+~|]\s?){3,}\s*$")
_NAME = re.compile(r'^\s*"?[A-Za-z_?][\w?]*"?\s*$')
_QUOTE = re.compile(r"^(?:> ?)+")

Piece = Talk | Table | objects.Objects


def unquoted(lines: Lines) -> Lines:
    """Return the lines without the marks of quotation that a chat or mail puts before several lines after each other."""
    if not any(text.startswith(">") for _, text in lines):
        return lines
    is_marked = [False, *(text.startswith(">") for _, text in lines), False]
    return [
        (line_no, _QUOTE.sub("", text) if is_marked[index] and (is_marked[index - 1] or is_marked[index + 1]) else text)
        for index, (line_no, text) in enumerate(lines, 1)
    ]


def pieces(lines: Lines, *, is_final: bool = True) -> tuple[list[Piece], int]:
    """Return what is drawn, marked up or JSON among lines, every line in none of these, and where more lines are needed."""
    found: list[Piece] = []
    plain = [drawn.ascii_lines(text) for _, text in lines]
    is_statement = False
    talk = 0
    at = 0
    record: Table | None = None
    is_doubled: bool | None = None

    def say(until: int) -> None:
        nonlocal is_statement, talk
        for line_no, text in lines[talk:until]:
            is_statement = is_statement or (
                not drawn.is_footer(text)
                and bool(_STATEMENT.match(text) or (drawn.PROMPT.match(text) and _SQL.search(text)))
            )
            found.append(Talk(line_no, text, is_statement or _is_plain(text)))
            is_statement = is_statement and bool(text.strip()) and not text.rstrip().endswith(_STATEMENT_ENDS)
        talk = until

    while at < len(lines):
        line = plain[at]
        piece: Table | objects.Objects | None = None
        after = at + 1
        begin = line.lstrip()[:1]
        if begin in ("-", "+", "|", ":"):
            if drawn.RECORD.match(line):
                piece, after = vertical.expanded(lines, plain, at)
            elif drawn.RULE.match(line) or drawn.SPACED_RULE.match(line) or drawn.MARKDOWN_RULE.match(line):
                piece, after = drawn.table(lines, plain, at, talk)
                if piece is not None:
                    piece.end = after
        elif begin == "*" and vertical.STARS.match(line):
            piece, after = vertical.starred(lines, plain, at, record.names if record is not None else ())
            record = piece
        elif begin == "<":
            if markup.TABLE.match(line):
                piece, after = markup.hypertext(lines, at, is_final=is_final)
            elif markup.ROWS.match(line):
                piece, after = markup.records(lines, at, is_final=is_final)
        elif begin in ("{", "[", '"') and objects.BEGINS.match(line):
            is_doubled = objects.are_doubled(lines) if is_doubled is None else is_doubled
            piece, after = objects.read(lines, at, is_final=is_final, is_doubled=is_doubled)
        if after <= at:
            say(at)
            return found, at
        if piece is None:
            at = after if begin in ("-", "+") else at + 1
            continue
        say(piece.start)
        is_statement = False
        if isinstance(piece, objects.Objects) and found and isinstance(found[-1], Talk) and _NAME.match(found[-1].text):
            # The only column's name.
            found[-1] = replace(found[-1], is_plain=True)
        found.append(piece)
        talk = at = after
    say(len(lines))
    return found, len(lines)


def _is_plain(line: str) -> bool:
    return (
        not line.strip()
        or bool(
            drawn.PROMPT.match(line)
            or drawn.PAGER.match(line)
            or _FENCE.match(line)
            or _RULED.match(drawn.ascii_lines(line))
        )
        or bool(markup.PROSE.match(line) or markup.ROWS.match(line) or objects.BRACKETS.match(line))
        or drawn.is_footer(line)
    )


@lru_cache(maxsize=8)
def of_head(lines: tuple[str, ...]) -> tuple[Lines, tuple[Piece, ...]]:
    """Return the lines of a head numbered, and the pieces in them, kept for the next format that asks."""
    numbered = unquoted(list(enumerate(lines, 1)))
    return numbered, tuple(pieces(numbered)[0])


@dataclass(slots=True)
class Known:
    """The pieces of a source as a format sees them: with the separated tables among the text, and objects as tables.

    Keeps the table still open, so that rows after a blank line or a time line go on with it.
    """

    accepts: Accepts
    how: separated.Writing | None = None
    columns: tuple[tuple[str, ...], list[int]] | None = None
    is_final: bool = True
    needed: int = sys.maxsize
    ends: tuple[int, ...] = ()
    is_in_objects: bool = False

    def sorted(self, found: Sequence[Piece], lines: Lines) -> Iterator[Talk | Table]:
        """Yield the pieces of `lines` in order; lower `needed` to a row that needs more lines."""
        place = 0
        was_in_objects, self.is_in_objects = self.is_in_objects, bool(found) and isinstance(found[-1], objects.Objects)
        for kind, group in itertools.groupby(found, key=type):
            if kind is Talk:
                talk = [piece for piece in group if isinstance(piece, Talk)]
                yield from self._among(talk, lines, place)
                if self.needed < place + len(talk):
                    return
                place += len(talk)
            elif kind is objects.Objects:
                several = [piece for piece in group if isinstance(piece, objects.Objects)]
                yield from self._objects(several, lines, goes_on=was_in_objects and not place)
                place = several[-1].end
            else:
                for piece in group:
                    if isinstance(piece, Table):
                        yield from self._cells(piece)
                        place = piece.end

    def _among(self, talk: Sequence[Talk], lines: Lines, place: int) -> Iterator[Talk | Table]:
        """Yield the separated tables among lines of text, and the other lines."""
        index = 0
        texts = [piece.text for piece in talk]
        is_fresh = True
        while index < len(talk):
            text = texts[index]
            table: Table | None = None
            after = index + 1
            how = separated.writing(texts, index, self.accepts) if _may_be_header(text) else None
            if how is not None:
                self.how = how
                table, end = separated.table(
                    lines, place + index, place + len(talk), how, self.accepts, is_final=self.is_final
                )
                after = end - place
            elif drawn.may_be_columns(text) and self.accepts(tuple(map(normal, drawn.columns_of(text)[0]))):
                self.columns = drawn.columns_of(text)
                table = drawn.columned(lines, place + index, place + len(talk), *self.columns, has_header=True)
                after = table.end - place
            elif self.columns is not None and is_fresh and text.strip() and not separated.is_beside(text):
                table = drawn.columned(lines, place + index, place + len(talk), *self.columns, has_header=False)
                table, after = (table, table.end - place) if table.rows else (None, after)
            elif vertical.may_be_pair(text):
                table, end = vertical.pairs(lines[: place + len(talk)], place + index, self.accepts)
                after = end - place if table is not None else after
                if table is not None:
                    # A blank line parts the records of one output.
                    table.opens = talk[index].line_no - 2 not in self.ends
                    self.ends = (*self.ends[-1:], talk[after - 1].line_no)
            elif is_fresh and self.how is not None and text.strip():
                table, after = self._reopened(text, lines, place, index, len(talk))
            is_fresh = table is not None or not text.strip() or separated.is_beside(text)
            yield table if table is not None else talk[index]
            if table is not None and table.is_short:
                self.needed = place + after
                return
            index = after

    def _reopened(self, text: str, lines: Lines, place: int, index: int, count: int) -> tuple[Table | None, int]:
        how = self.how
        if how is None or text.count(how.delimiter) < len(how.names) - 1:
            return None, index + 1
        if len(how.names) < REOPENS and how.delimiter not in "\t|":
            return None, index + 1
        table, end = separated.table(
            lines, place + index, place + count, how, self.accepts, is_final=self.is_final, has_header=False
        )
        return (table, end - place) if table.rows else (None, index + 1)

    def _objects(self, several: Sequence[objects.Objects], lines: Lines, *, goes_on: bool) -> Iterator[Talk | Table]:
        found = objects.sort([spot for piece in several for spot in piece.spots], self.accepts)
        start, end = several[0].start, several[-1].end
        if not found.tables:
            for line_no, text in lines[start:end]:
                yield Talk(line_no, text, is_plain=bool(objects.BRACKETS.match(text)))
            return
        brackets = end - start - sum(spot.count for piece in several for spot in piece.spots)
        yield from _placed(found, start, end, brackets, opens=not goes_on)

    def _cells(self, table: Table) -> Iterator[Table]:
        """Yield a table; the objects in the cells of one with a single column instead, where the format knows them."""
        if len(table.names) != 1 or not table.rows or (table.rows[0][2][0] or "").lstrip()[:1] not in ("{", "["):
            yield table
            return
        spots = [
            spot for line_no, count, cells in table.rows for spot in objects.in_cell(cells[0] or "", line_no, count)
        ]
        found = objects.sort(spots, self.accepts)
        if not found.tables:
            yield table
            return
        broken = [table.rows[-1]] * (sum(row[1] for row in table.rows) - sum(spot.count for spot in spots))
        found.tables[0].head = table.head
        found.tables[0].misfits = [*table.misfits, *((line_no, cells[0] or "") for line_no, _, cells in broken)]
        yield from _placed(found, table.start, table.end, table.rules, opens=table.opens)


def _placed(found: objects.Sorted, start: int, end: int, rules: int, *, opens: bool = True) -> Iterator[Table]:
    """Yield the tables made of objects with the lines that they take; the first one has those around them."""
    first = found.tables[0]
    first.rules = rules + found.around
    first.misfits += [(spot.line_no, spot.text) for spot in found.others for _ in range(spot.count)]
    for index, table in enumerate(found.tables):
        table.start, table.end, table.opens = (start if not index else end), end, opens and not index
        yield table


def _may_be_header(text: str) -> bool:
    """Tell cheaply whether a line may be a header: it is not too long, and holds a separator."""
    return len(text) < separated.LONGEST_HEADER and any(map(text.__contains__, separated.DELIMITERS))


def read(lines: Iterator[tuple[int, str]], accepts: Accepts) -> Iterator[Talk | Table]:
    """Yield the pieces of a source, in memory of one window of lines and the table that lies across its end."""
    known = Known(accepts)
    held: list[tuple[int, str]] = []
    again = 0
    while True:
        window = list(itertools.islice(lines, WINDOW_LINES))
        held += window
        known.is_final = not window
        shown = unquoted(held)
        found, known.needed = pieces(shown, is_final=known.is_final)
        settled = list(known.sorted(found, shown))
        repeated, again = again, 0
        if settled and repeated:
            _forget(settled[0], repeated)
        if known.is_final:
            yield from settled
            return
        keep, cut = _settled(settled, known.needed)
        yield from settled[:keep]
        last = settled[keep] if keep < len(settled) else None
        repeated = 0 if keep else repeated
        header = _header(last, held, cut) if isinstance(last, Table) and len(last.rows) > LONG_TABLE else None
        if isinstance(last, Table) and header is not None:
            yield _part(last, len(header) - repeated)
            held = [*header, *held[_place(held, last.rows[-1][0], cut) :]]
            again = len(header)
        else:
            held = held[cut:]
            again = repeated


def _settled(pieces: Sequence[Talk | Table], needed: int) -> tuple[int, int]:
    """Return how many pieces cannot change any more, and the line at which the others begin.

    A table near the end may go on in the next window, and the last lines may be its header.
    """
    index, cut = len(pieces), needed
    while index and len(pieces) - index < drawn.MOST_FOLDS:
        piece = pieces[index - 1]
        if isinstance(piece, Table) and piece.shape in ("objects", "xml"):
            break
        index -= 1
        cut -= 1 if isinstance(piece, Talk) else piece.end - piece.start
        if isinstance(piece, Table):
            break
    return index, cut


def _place(lines: Lines, line_no: int, start: int) -> int:
    return bisect_left(lines, line_no, start, key=lambda line: line[0])


def _header(table: Table, lines: Lines, start: int) -> Lines | None:
    """Return the lines above the first row of a table that begins at `start`; None where it stands on the same line."""
    header = lines[start : _place(lines, table.rows[0][0], start)]
    return header if header or not table.opens else None


def _part(table: Table, header: int) -> Table:
    """Return a table that goes on without its last row, which is read again."""
    reached = table.rows[-1][0]
    return replace(
        table,
        rules=header - len(table.head),
        rows=[row for row in table.rows if row[0] < reached],
        misfits=[misfit for misfit in table.misfits if misfit[0] < reached],
    )


def _forget(piece: Talk | Table, lines: int) -> None:
    """Take the header out of a table that goes on: it has been accounted for."""
    if isinstance(piece, Table):
        piece.rules -= lines - len(piece.head)
        piece.head, piece.opens = (), False
