"""connforensics: why a database ran out of connections, with proof.

case = connforensics.open_case("incident.duckdb")
print(connforensics.ask("saturation", case).headline)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connforensics.analyses import Answer, ask
    from connforensics.case import Case, Window, open_case
    from connforensics.verdict import Verdict, weigh

__all__ = ["Answer", "Case", "Verdict", "Window", "ask", "open_case", "weigh"]

__version__ = "0.1.0"

_HOMES = {
    "Answer": "analyses",
    "Case": "case",
    "Verdict": "verdict",
    "Window": "case",
    "ask": "analyses",
    "open_case": "case",
    "weigh": "verdict",
}


def __getattr__(name: str) -> object:
    """Import a public name where it is first used: `connforensics --help` must not wait for DuckDB."""
    if name not in _HOMES:
        raise AttributeError(f"module 'connforensics' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"connforensics.{_HOMES[name]}"), name)
