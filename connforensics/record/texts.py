"""Statements without what was typed into them: the shape of a query tells a leak from a storm, its literals tell secrets.

A statement read from a live server may be cut anywhere (`track_activity_query_size`), and the session that runs it may
read backslashes its own way (`standard_conforming_strings`, `NO_BACKSLASH_ESCAPES`). What cannot be told apart for
certain is left out: a text may lose more than its literals, never less.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

QueryText = Literal["full", "normalised", "none"]
Dialect = Literal["postgres", "mysql"]

REMEMBERED: Final = 4096
MOST_REMEMBERED: Final = 2000
"""How many texts' normalised forms are remembered, and how long the texts may be: most sessions of a server run the same
few, and the memory for them is bounded."""

MOST_CHARACTERS: Final = 2000
"""How much of a normalised statement is kept."""

_LITERAL: Final = "?"

# The quantifiers are possessive: of any other kind each turn is remembered, which took 1 GB for a literal of 5 MB.
_POSTGRES: Final = re.compile(
    r"""
      (?P<blank>\s+)
    | (?P<comment>--[^\n]*|/\*)
    | (?P<escaped>[eE]'(?:[^'\\]++|''|\\.)*+(?:'|\\?\Z))
    | (?P<string>(?:[uU]&|[bBxXnN])?'(?:[^']++|'')*+(?:'|\Z))
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$)
    | (?P<parameter>\$\d+)
    | (?P<torn>\$\w*\Z)
    | (?P<quoted>"(?:[^"]++|"")*+"?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\.?\d(?:[\w.]++|(?<=[eE])[+-])*+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_MYSQL: Final = re.compile(
    r"""
      (?P<blank>\s+)
    | (?P<comment>\#[^\n]*|--(?=\s|\Z)[^\n]*|/\*)
    | (?P<string>(?:\b[bBxXnN])?(?:'(?:[^']++|'')*+(?:'|\Z)|"(?:[^"]++|"")*+(?:"|\Z)))
    | (?P<quoted>`(?:[^`]++|``)*+`?)
    | (?P<word>[^\W\d][\w$]*|@@?[\w$.]*)
    | (?P<number>\.?\d(?:[\w.$]++|(?<=[eE])[+-])*+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_ESCAPED_QUOTE: Final = re.compile(r"\\['\"]")
_LIST: Final = re.compile(r"\?(?:\s?,\s?\?)+")
_ASSIGNED: Final = re.compile(
    r"(?is)^((?:SET|ALTER\s+(?:SYSTEM|ROLE|USER|DATABASE)\b.*?\bSET)\s[^=?]*?(?:=\s?|\sTO\s)).*$"
)


def normalise(text: str, dialect: Dialect) -> str:
    """Return a statement with `?` for each literal, without comments, blanks squeezed, at most 2,000 characters.

    >>> normalise("SELECT *  FROM t WHERE name = 'O''Hara' AND id IN (1, 2, 3) -- ticket 7", "postgres")
    'SELECT * FROM t WHERE name = ? AND id IN (?)'
    >>> normalise('SET password = "hunter2"', "mysql")
    'SET password = ?'
    """
    return _remembered(text, dialect) if len(text) <= MOST_REMEMBERED else _normalise(text, dialect)


@lru_cache(maxsize=REMEMBERED)
def _remembered(text: str, dialect: Dialect) -> str:
    return _normalise(text, dialect)


def _normalise(text: str, dialect: Dialect) -> str:
    pattern, is_nested = (_POSTGRES, True) if dialect == "postgres" else (_MYSQL, False)
    parts: list[str] = []
    place = 0
    size = 0
    while size <= 2 * MOST_CHARACTERS and (found := pattern.match(text, place)) is not None:
        place, kind, piece = found.end(), found.lastgroup, found.group()
        if kind == "dollar":
            end = text.find(piece, place)
            place = len(text) if end < 0 else end + len(piece)
            kept = _LITERAL
        elif kind == "blank":
            kept = " "
        elif kind == "comment":
            place = place if piece != "/*" else _comment_end(text, place, is_nested)
            kept = " "
        elif kind == "string" and _ESCAPED_QUOTE.search(piece):
            # Whether the quote after a backslash ends the string depends on a setting of that session.
            parts.append(_LITERAL)
            break
        elif kind in ("string", "escaped", "number", "torn"):
            kept = _LITERAL
        else:
            kept = piece
        parts.append(kept)
        size += len(kept)
    whole = " ".join("".join(parts).split())
    whole = _LIST.sub(_LITERAL, whole)
    return _ASSIGNED.sub(rf"\1{_LITERAL}", whole)[:MOST_CHARACTERS]


def _comment_end(text: str, place: int, is_nested: bool) -> int:
    """Return where the comment opened before `place` ends; an open one takes all."""
    depth = 1
    while depth:
        end = text.find("*/", place)
        if end < 0:
            return len(text)
        inner = text.find("/*", place, end) if is_nested else -1
        depth, place = (depth + 1, inner + 2) if inner >= 0 else (depth - 1, end + 2)
    return place


def keeper(how: QueryText, dialect: Dialect) -> Callable[[str | None], str | None]:
    """Return what to do with each statement read."""
    if how == "full":
        return lambda text: text
    if how == "none":
        return lambda text: None
    return lambda text: None if text is None else normalise(text, dialect)
