"""Settings of a server whose values are never taken: by their names they may hold a password or a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from connforensics.record.target import Rows

WITHHELD: Final = "(withheld)"
"""What stands for such a value."""

_NAME: Final = re.compile(r"(?i)(secret|passw|token|credential|api_?key|private_?key)")


def sounds_secret(name: str) -> bool:
    """Tell whether a setting is named like one that holds a secret.

    >>> sounds_secret("app.api_key"), sounds_secret("max_connections")
    (True, False)
    """
    return _NAME.search(name) is not None


def withhold(rows: Rows, name: str, values: Sequence[str], is_secret: Callable[[str], bool]) -> Rows:
    """Return settings without the values of secret ones; `name` is the column of the name, `values` those of values."""
    at = rows.columns.index(name)
    hidden = [rows.columns.index(column) for column in values if column in rows.columns]

    def without(row: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(WITHHELD if place in hidden and value else value for place, value in enumerate(row))

    return Rows(rows.columns, [without(row) if is_secret(str(row[at])) else row for row in rows.values])
