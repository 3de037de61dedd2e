"""Settings of a server whose values are never taken: by their names they may hold a password or a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from connforensics.record.target import Rows

WITHHELD: Final = "(withheld)"
"""What stands for such a value."""

_NAME: Final = re.compile(r"(?i)(secret|passw|token|credential|api_?key|private_?key|jwt|[._](pwd|key|salt)$)")
_VALUE: Final = re.compile(r"(?i)://[^/\s:@]*:[^/\s@]+@|\b(password|passwd|pwd|secret)\s*=\s*[^\s;]")


def sounds_secret(name: str) -> bool:
    """Tell whether a setting is named like one that holds a secret.

    >>> sounds_secret("app.api_key"), sounds_secret("max_connections")
    (True, False)
    """
    return _NAME.search(name) is not None


def holds_secret(value: object) -> bool:
    """Tell whether a value is a connection string with a password in it.

    >>> holds_secret("postgres://app:hunter2@db/shop"), holds_secret("%m [%p] ")
    (True, False)
    """
    return isinstance(value, str) and _VALUE.search(value) is not None


def withhold(rows: Rows, name: str, values: Sequence[str], is_secret: Callable[[str], bool]) -> Rows:
    """Return settings without the values of secret ones; `name` is the column of the name, `values` those of values."""
    at = rows.columns.index(name)
    hidden = [rows.columns.index(column) for column in values if column in rows.columns]

    def without(row: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(WITHHELD if place in hidden and value else value for place, value in enumerate(row))

    def has_secret(row: tuple[object, ...]) -> bool:
        return is_secret(str(row[at])) or any(holds_secret(row[place]) for place in hidden)

    return Rows(rows.columns, [without(row) if has_secret(row) else row for row in rows.values])
