"""MySQL's option files, as its own clients read them: groups, comments, quotes, escapes, `!include` and `!includedir`.

The driver's reader takes a file that includes others (as Debian's do) for broken.
https://dev.mysql.com/doc/refman/8.4/en/option-files.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connforensics.errors import UsageError

GROUPS: Final = ("client", "client-server", "client-mariadb")
"""Groups that every client reads: MySQL's, and MariaDB's own besides."""

DEEPEST: Final = 10
"""As deep as the clients follow files that include files."""

_BEFORE_COMMENT: Final = re.compile(r"""(?:[^#"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|["'\\])*""")

_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}


def read(path: Path) -> dict[str, str]:
    """Return the options of the clients' groups, with underscores in their names; the last of a name wins.

    Raises UsageError when the file, or one that it includes, cannot be read.
    """
    found = {}
    for group, name, value in _lines(path, 0):
        if group in GROUPS:
            found[name.removeprefix("loose_")] = value
    return found


def _lines(path: Path, depth: int) -> Iterator[tuple[str, str, str]]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "Name an option file of MySQL that can be read.") from None
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("!include") and depth < DEEPEST:
            word, _, named = line.partition(" ")
            place = path.parent / named.strip()
            inside = sorted(place.glob("*.cnf")) if word == "!includedir" else [place]
            for each in inside:
                yield from _lines(each, depth + 1)
        elif line.startswith("["):
            group = line[1:].partition("]")[0].strip()
        elif line and line[0] not in "#;!":
            name, _, value = line.partition("=")
            yield group, name.split("#")[0].strip().lower().replace("-", "_"), _value(value)


def _value(written: str) -> str:
    """Return a value as it is meant.

    >>> _value(' "a # b"  # why'), _value("two\\\\swords # why")
    ('a # b', 'two words')
    """
    found = _BEFORE_COMMENT.match(written.strip())
    text = found[0].strip() if found else ""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)
