"""Tables in text, one module for each family of ways in which clients write them.

`drawn` reads what is drawn with lines (psql, mysql, Markdown), `vertical` one line a column (`\\G`, `\\x`), `markup` HTML
and XML, `objects` JSON, `separated` CSV and its kin inside other text. `pasted` puts a source together from them and
`blocks` reads a large separated file by whole blocks. What a format asks is in `evidence.tables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from connforensics.evidence import scanner
from connforensics.evidence.lines import SUSPECT

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from connforensics.evidence import Ledger

_SUSPECT: Final = re.compile(SUSPECT)

Lines = Sequence[tuple[int, str]]
"""Physical line number and text."""

Row = tuple[int, int, Sequence[str | None]]
"""First physical line, how many lines, and the cells."""

Accepts = Callable[[Sequence[str]], bool]
"""Whether a header (names as `normal` gives them) is one the format knows."""

NULLS: Final = ("", "\\N", "NULL", "null", "[null]", "<null>", "(null)", "None")
"""How clients write NULL."""

FREE: Final = frozenset(
    ("query", "current_query", "query_text", "sql", "sql_text", "statement", "info", "trx_query", "message",
     "blocked_statement", "blocked_query", "waiting_query", "current_statement_in_blocking_process", "blocking_query",
     "blocking_statement", "info_binary", "text", "note")
)  # fmt: skip
"""Names of columns that hold free text: only there do line breaks and separators stand unmarked."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A line in no table; `is_plain` where it is a prompt, a statement, a footer, a pager's mark or blank."""

    line_no: int
    text: str
    is_plain: bool


@dataclass(slots=True)
class Table:
    """One table, or the part of it that stands together: every line of it is in `head`, `rules`, a row or `misfits`.

    `start` and `end` say where it stands among the lines it was found in; `rules` counts the lines that only draw,
    `head` holds those of the header, `misfits` those that are no row. What goes on with an earlier table, as a later
    record of an expanded output does, does not `open` one. `is_short` says that a row at `end` needs more lines.
    """

    shape: str
    names: tuple[str, ...]
    start: int
    end: int = 0
    head: Lines = ()
    rules: int = 0
    opens: bool = True
    is_short: bool = False
    rows: list[Row] = field(default_factory=list)
    misfits: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows under one header.

    `rows` has `line_no` BIGINT, `lines` BIGINT (physical lines of the row; 0 where an earlier row stands on the same
    line), `anew` BOOLEAN (first row after a header or a time line), `told` VARCHAR (a time written above the table, in
    UTC), and `c0`, `c1`, ... VARCHAR in the order of `names`, NULL where the source is empty or says NULL in one of its
    writers' ways. `written` are the names as the source has them.
    """

    names: tuple[str, ...]
    rows: pa.Table
    written: tuple[str, ...]


@lru_cache(maxsize=8192)
def normal(name: str) -> str:
    """Return a column's name as it is compared: lower case, words joined by `_`.

    >>> normal(' "Max Size" '), normal("checkedOut"), normal("wait_event_type"), normal("NOW()")
    ('max_size', 'checked_out', 'wait_event_type', 'now')
    """
    bare = name.strip().strip('"`').strip().lstrip("\ufeff").removesuffix("()")
    if not bare.isupper():
        bare = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare)
    return re.sub(r"[\s\-]+", "_", bare).lower()


def longs(values: NDArray[np.int64], kind: pa.DataType | None = None) -> pa.Array:
    """Return whole numbers as Arrow BIGINT, or as `kind` of the same width.

    `pa.array` of an ndarray would import pandas, which takes longer than reading most files.
    """
    import pyarrow as pa

    return scanner.as_arrow(np.asarray(values, dtype=np.int64), kind or pa.int64())


def flags(values: NDArray[np.bool_]) -> pa.Array:
    """Return booleans as Arrow BOOLEAN, see `longs`."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(values), [None, scanner.bitmap(values)])


def numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a column of BIGINT or TIMESTAMP without NULLs as an ndarray, see `longs`."""
    parts = [scanner.longs_of(chunk) for chunk in column.chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def told(text: str | None) -> str | None:
    """Return a cell as it is stored: NULL where a writer says so, no lone surrogates, which no database stores."""
    return None if text is None or text in NULLS else sound(text)


def note(ledger: Ledger, line_no: int, text: str) -> None:
    """Keep an unknown line as an example, and as a suspect where it speaks of connections."""
    ledger.example(line_no, text)
    ledger.suspects += bool(_SUSPECT.search(text))


def sound(text: str) -> str:
    """Return text with its undecodable bytes as backslash escapes."""
    if text.isascii():
        return text
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
