"""What files are, and why: the answer of `connforensics identify`.

For a file that no format recognises, the nearest ones are shown: how far along a line of it the samples of a format
agree, taking one number for another and one word for another.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from connforensics.errors import EvidenceError
from connforensics.evidence import Head, archives, formats, identify
from connforensics.evidence.containers import Unpacked, reason
from connforensics.evidence.recognition import Part, Recognition, recognise
from connforensics.evidence.wrappers import COLOURS
from connforensics.ingest import evidence_files, head_of

NEAREST: Final = 3
"""How many formats are named for an unknown file."""

COMPARED: Final = 40
"""Lines of an unknown file that samples are held against."""

LONGEST: Final = 160
"""Characters of a line that are shown."""

LEAST_AGREED: Final = 6
"""Characters that must agree for a format to be called near."""

_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+|\s+|.")


@dataclass(frozen=True, slots=True)
class Near:
    """How far a format got along a line: `column` is the first character (from 1) that its sample has otherwise."""

    format: str
    line_no: int
    column: int
    line: str
    expected: str
    sample: str

    def pointed(self) -> str:
        """Return the line with a caret under the place where it parts from the sample."""
        shown, at = self.line, self.column - 1
        if at > LONGEST // 2:
            shown, at = "…" + shown[at - LONGEST // 2 :], LONGEST // 2 + 1
        return f"{shown[:LONGEST]}\n{' ' * at}^ expected {self.expected} as in: {self.sample[:LONGEST]}"


@dataclass(frozen=True, slots=True)
class Identified:
    """What one file is: its parts, or why there is none and which formats are near."""

    path: str
    container: str
    wrapper: str
    parts: tuple[Part, ...]
    rivals: tuple[tuple[str, float], ...]
    nearest: tuple[Near, ...]
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "path": self.path,
            "container": self.container,
            "wrapper": self.wrapper,
            "parts": [
                {
                    "format": part.format.name,
                    "certainty": round(part.certainty, 3),
                    "streams": list(part.streams or ()),
                    "lines": [list(span) for span in part.ranges or ()],
                }
                for part in self.parts
                if part.format
            ],
            "rivals": [{"format": name, "certainty": round(certainty, 3)} for name, certainty in self.rivals],
            "nearest": [asdict(near) for near in self.nearest],
            "why": self.why,
        }


def identified(paths: Sequence[Path | str]) -> Iterator[Identified]:
    """Say of every file below `paths` what it is, without reading more than its beginning.

    Raises EvidenceError when a named path does not exist.
    """
    for path, shown in evidence_files(paths):
        for source in archives.sources(path, shown):
            yield (
                _identified(source.shown, source.unpacked) if source.unpacked else _unreadable(source.shown, source.why)
            )


def _unreadable(shown: str, why: str) -> Identified:
    return Identified(shown, "", "", (), (), (), why)


def _identified(shown: str, unpacked: Unpacked) -> Identified:
    try:
        head, is_whole = head_of(unpacked, Path(shown).name)
    except (OSError, EvidenceError) as error:
        return _unreadable(shown, reason(unpacked.path, error))
    found = recognise(head, is_whole=is_whole)
    container = ", ".join(filter(None, [*unpacked.containers, unpacked.encoding]))
    wrapper = ", ".join(layer.name for layer in found.layers)
    if found.parts:
        return Identified(shown, container, wrapper, found.parts, tuple(_rivals(found)), (), _why(found))
    if not any(map(str.strip, head.lines)):
        return Identified(shown, container, wrapper, (), (), (), "it holds no line")
    return Identified(shown, container, wrapper, (), (), tuple(nearest(head)), "no format recognises it")


def _rivals(found: Recognition) -> Iterator[tuple[str, float]]:
    """Yield the formats that claim the first part as well."""
    first = found.parts[0]
    for rival, certainty in identify(first.head):
        if rival is not first.format:
            yield rival.name, certainty


def _why(found: Recognition) -> str:
    """Return in words what the first lines are taken for."""
    said = []
    for part in found.parts:
        if part.format is None:
            continue
        where = ""
        if part.streams and len(found.parts) > 1:
            where = f"stream {part.streams[0]}: "
        elif part.ranges:
            where = "".join(f"lines {first} to {last}: " for first, last in part.ranges)
        agreed = next(nearest(part.head, [part.format.name]), None)
        like = f", line {agreed.line_no} is as in: {agreed.sample[:LONGEST]}" if agreed else ""
        said.append(f"{where}{part.format.name} with certainty {part.certainty:.2f}{like}")
    return "; ".join(said)


def nearest(head: Head, names: Sequence[str] | None = None) -> Iterator[Near]:
    """Yield how far the nearest formats got along a line of `head`, the nearest first."""
    lines = [
        (number, peeled.text if (peeled := COLOURS.peel(line)) else line)
        for number, line in enumerate(head.lines, 1)
        if line.strip()
    ][:COMPARED]
    best: list[tuple[int, Near]] = []
    for known in formats().values():
        if names is not None and known.name not in names:
            continue
        agreements = [
            (agreed, number, line, sample)
            for sample in dict.fromkeys(line for one in known.samples for line in one.text.split("\n") if line.strip())
            for number, line in lines
            if (agreed := agreement(line, sample)) >= LEAST_AGREED
        ]
        if agreements:
            agreed, number, line, sample = max(agreements, key=lambda found: (found[0], -found[1]))
            best.append((agreed, Near(known.name, number, agreed + 1, line, _expected(line, sample, agreed), sample)))
    best.sort(key=lambda found: (-found[0], found[1].format))
    yield from (near for _, near in best[:NEAREST])


def agreement(line: str, sample: str) -> int:
    """Return how many characters of `line` agree with a sample, one number or word being as good as another.

    >>> agreement("2026-11-21 03:12:00 <77> FATAL", "2019-01-02 11:12:13 [5] LOG")
    20
    """
    agreed = 0
    for mine, its in itertools.zip_longest(_TOKEN.findall(line), _TOKEN.findall(sample)):
        if mine is None or its is None or _shape(mine) != _shape(its):
            break
        agreed += len(mine)
    return agreed


def _shape(token: str) -> str:
    return "0" if token[0].isdigit() else "a" if token[0].isalpha() else " " if token.isspace() else token


def _expected(line: str, sample: str, agreed: int) -> str:
    """Return what the sample has where a line parts from it."""
    taken = len(_TOKEN.findall(line[:agreed]))
    rest = _TOKEN.findall(sample)[taken:]
    if not rest:
        return "the end of the line"
    return {"0": "a number", "a": "a word", " ": "a blank"}.get(_shape(rest[0]), f"'{rest[0]}'")
