"""What may be handed to a notebook: its tagged cell says the names, the types and the defaults.

papermill only warns of a parameter that a notebook does not know; here it is an error before anything runs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from connforensics.errors import ConnforensicsError, UsageError

if TYPE_CHECKING:
    from nbformat import NotebookNode

TAG = "parameters"

Value = str | int | float | bool


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def declared(notebook: NotebookNode) -> dict[str, Value]:
    """Return the parameters of a notebook with their defaults.

    Raises ConnforensicsError when there is not exactly one tagged cell or it holds more than plain assignments.
    """
    cells = [cell for cell in notebook.cells if TAG in tags(cell)]
    if len(cells) != 1:
        raise ConnforensicsError(f"the notebook has {len(cells)} cells tagged {TAG!r}, not one")
    defaults: dict[str, Value] = {}
    for statement in ast.parse(cells[0].source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if isinstance(
                value, str | int | float
            ):
                defaults[name] = value
            case _:
                raise ConnforensicsError(
                    f"the cell tagged {TAG!r} holds more than plain values: {ast.unparse(statement)}"
                )
    return defaults


def checked(notebook: NotebookNode, given: Mapping[str, object]) -> dict[str, Value]:
    """Return `given` where the notebook knows every name and the types agree; an int passes for a float.

    Raises UsageError naming the parameter and what the notebook takes.
    """
    known = declared(notebook)
    accepted: dict[str, Value] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"the notebook has no parameter {name!r}", f"It takes: {', '.join(known)}.")
        wanted = type(known[name])
        if wanted is float and type(value) is int:
            value = float(value)  # noqa: PLW2901
        if type(value) is not wanted:
            raise UsageError(
                f"parameter {name}={value!r} is {type(value).__name__}, not {wanted.__name__}",
                f"Its default is {known[name]!r}.",
            )
        accepted[name] = value
    return accepted
