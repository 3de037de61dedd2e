"""Charts for a page: specifications made small and themable, one shared copy of their data, static copies.

A notebook holds each chart as a whole specification. On a page they share one configuration and one set of datasets
(columns, texts coded by a dictionary), their colours become CSS variables, so that a dark screen and paper need no
second rendering, and each has a static copy for readers without scripts and for print.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from connforensics.colours import INKS

CODED_FROM: Final = 8
"""A column of at least this many values is coded by a dictionary when that is shorter."""

STILL_BYTES: Final = 400_000
"""A single static copy larger than this is left out: the chart then needs scripts."""

_VARIABLES: Final = {ink.light: f"var(--{ink.name})" for ink in INKS}


@dataclass(slots=True)
class Figure:
    """A chart on the page: its label for those who cannot see it, its slim specification, its static copy."""

    label: str
    spec: dict[str, Any]
    still: str = ""

    @property
    def spec_json(self) -> str:
        """The specification as text that is safe inside a script element."""
        return script_json(self.spec)


@dataclass(slots=True)
class Figures:
    """All figures of a page and the data they share."""

    config: dict[str, Any] = field(default_factory=dict)
    datasets: dict[str, Any] = field(default_factory=dict)
    all: list[Figure] = field(default_factory=list)

    def add(self, spec: Mapping[str, Any], label: str) -> Figure:
        """Take a chart as the notebook holds it and return its figure."""
        slim = {
            name: value for name, value in spec.items() if name not in {"$schema", "usermeta", "datasets", "config"}
        }
        self.config = self.config or _themed(spec.get("config", {}))
        for name, rows in spec.get("datasets", {}).items():
            self.datasets.setdefault(name, columns(rows))
        figure = Figure(label, _themed(slim), still(spec))
        self.all.append(figure)
        return figure

    @property
    def shared_json(self) -> str:
        """Configuration and datasets as text that is safe inside a script element."""
        return script_json({"config": self.config, "datasets": self.datasets})


def titles(spec: Mapping[str, Any]) -> list[str]:
    """Return the titles of a chart's panels."""
    panels = spec.get("vconcat", [spec])
    return [panel["title"] for panel in panels if isinstance(panel.get("title"), str)]


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows as columns, each a list or, where shorter, `{"words": [...], "codes": [...]}`.

    >>> columns([{"a": 1, "b": "x"}, {"a": 2.0, "b": "x"}])
    {'a': [1, 2], 'b': ['x', 'x']}
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _column([_number(row.get(name)) for row in rows]) for name in names}


def still(spec: Mapping[str, Any]) -> str:
    """Return a static copy of a chart as a data URL; empty where none can be made or it would be too large."""
    import vl_convert

    try:
        svg = vl_convert.vegalite_to_svg(_without_pointer(dict(spec)), allowed_base_urls=[])
    except ValueError:  # what vl-convert raises for a specification it cannot draw
        return ""
    url = "data:image/svg+xml," + quote(svg, safe=" =:/,;()'#{}&*!?@[]+~-._$^`|\\".replace("#", ""))
    return url if len(url) <= STILL_BYTES else ""


def script_json(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _column(values: list[Any]) -> Any:
    if len(values) < CODED_FROM or not all(value is None or isinstance(value, str) for value in values):
        return values
    words = list(dict.fromkeys(values))
    codes = {word: code for code, word in enumerate(words)}
    return {"words": words, "codes": [codes[value] for value in values]} if 2 * len(words) < len(values) else values


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else round(value, 6)
    return value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def _themed(value: Any) -> Any:
    return _mapped(value, lambda text: _VARIABLES.get(text, text))


def _without_pointer(spec: dict[str, Any]) -> dict[str, Any]:
    """Drop what only serves a pointer: nobody points at paper, and the clear boxes are half of a copy's bytes."""
    spec.pop("params", None)
    if "config" in spec:
        spec["config"] = {**spec["config"], "background": "transparent", "aria": False}
    for key in ("vconcat", "layer"):
        if key in spec:
            spec[key] = [_without_pointer(dict(part)) for part in spec[key] if not _is_catcher(part)]
    return spec


def _is_catcher(part: Mapping[str, Any]) -> bool:
    return str(part.get("name", "")).startswith("hover")
