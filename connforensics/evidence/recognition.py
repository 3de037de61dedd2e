"""Which evidence a source holds: the wrappers to take off its lines, and the format of each of its parts.

Most sources have one part. A compose or syslog stream has one for each program or server in it, a pasted chat one for
each piece of evidence between the talk. Decided by content alone, from the first lines of the source and of each of its
streams.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from connforensics.evidence import Format, Head, identify
from connforensics.evidence.wrappers import COLOURS, TWICE_TIMED, WRAPPERS, AnyWrapper, PrettyJson, Wrapper

MOST_LAYERS: Final = 3
"""A syslog line in a JSON shipper's in docker's: deeper was never seen."""

CERTAIN: Final = 0.85
"""A source this surely read as it stands is not looked at for wrappers."""

LOOKED_AT: Final = 300
"""Lines tried with every wrapper."""

LEAST_SHARE: Final = 0.5
"""Of the lines tried, how many must be wrapped alike."""

MOST_STREAMS: Final = 32
"""More streams than this are not told apart; an autoscaled service has hundreds of containers."""

MOST_LINES: Final = 5000
"""A source longer than this is no pasted talk."""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a source that are one piece of evidence: those of some streams, or of some ranges, or all.

    `ranges` are of physical lines, first and last. `server` tells servers of one source apart.
    """

    format: Format | None
    certainty: float
    streams: tuple[str, ...] | None = None
    ranges: tuple[tuple[int, int], ...] | None = None
    server: str | None = None
    head: Head = field(default_factory=lambda: Head(()))


@dataclass(frozen=True, slots=True)
class Recognition:
    """The wrappers of a source, the outermost first, and its parts, the longest first; no part where nothing is known."""

    layers: tuple[AnyWrapper, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def certainty(self) -> float:
        """How sure the surest part is."""
        return max((part.certainty for part in self.parts), default=0.0)


def recognise(head: Head, *, is_whole: bool) -> Recognition:
    """Say what a source holds, by its head; `is_whole` where the head is all of it."""
    bare = tuple(peeled.text if (peeled := COLOURS.peel(line)) else line for line in head.lines)
    if bare == head.lines:
        return _recognised(head, is_whole=is_whole)
    found = _recognised(replace(head, lines=bare, middle=()), is_whole=is_whole)
    return replace(found, layers=(COLOURS, *found.layers))


def _recognised(head: Head, *, is_whole: bool) -> Recognition:
    plain = _plain(head)
    if any(part.format and part.format.is_signed for part in plain.parts):
        return plain
    is_talk = is_whole and len(head.lines) <= MOST_LINES
    if plain.certainty >= CERTAIN and not _may_wrap(plain, head):
        return (_talked(head, plain) if is_talk else None) or plain
    best = max((plain, *_wrapped(head, 1)), key=lambda found: _worth(found, plain))
    return (_talked(head, best) if is_talk and not best.layers else None) or best


def _may_wrap(plain: Recognition, head: Head) -> bool:
    """Tell whether lines that are JSON objects, and no log's, may hold a log's lines each."""
    known = plain.parts[0].format
    return known is not None and not known.frames and any(line.lstrip().startswith("{") for line in head.lines[:3])


def _worth(found: Recognition, plain: Recognition) -> float:
    """Return how good a reading of a head is; of two alike the one with fewer wrappers, unless they fit to the letter.

    A server's line with a syslog header before it also passes for one with an odd prefix.
    """
    if not found.layers:
        return found.certainty
    names = {part.format.name for part in found.parts if part.format and part.format.engine}
    is_same = bool(plain.parts and plain.parts[0].format and plain.parts[0].format.name in names)
    if is_same and all(isinstance(layer, Wrapper) for layer in found.layers):
        return max(found.certainty, plain.certainty) + 0.001
    if found.certainty >= CERTAIN and any(
        part.format and part.format.frames and part.format.engine for part in found.parts
    ):
        return found.certainty + 0.1
    return found.certainty - 0.001 * len(found.layers)


def _talked(head: Head, whole: Recognition) -> Recognition | None:
    """Return the pieces of evidence of a pasted talk, None where there is one kind at most.

    Tables are found among any text, so what is a table as a whole may hold a log as well; a log is never taken apart.
    """
    known = whole.parts[0].format if whole.parts else None
    is_certain = whole.certainty >= CERTAIN
    if is_certain and known is not None and known.frames:
        return None
    pieces = _pieces(head)
    if is_certain and not any(part.format and part.format.frames and part.certainty >= CERTAIN for part in pieces):
        return None
    others = [part.format for part in pieces if part.format and part.format is not known]
    if known is not None:
        # What fills some of the tables that the whole fills is read with it.
        others = [
            other for other in others if other.engine != known.engine or not set(other.tables) < set(known.tables)
        ]
    if not others or len({part.format.name for part in pieces if part.format}) < 2:
        return None
    return Recognition((), tuple(pieces))


def recognise_as(chosen: Format, head: Head) -> Recognition:
    """Say what a source holds when the caller says its format: only its wrappers are found out."""
    found = max(
        (r for r in _wrapped(head, 1) if any(part.format is chosen for part in r.parts)),
        key=lambda r: r.certainty,
        default=None,
    )
    if found is not None and chosen.certainty(head) < found.certainty:
        return replace(found, parts=tuple(part for part in found.parts if part.format is chosen))
    return Recognition((), (Part(chosen, 1.0, head=head),))


def by_stream(streams: Iterable[tuple[str, Head]]) -> tuple[Part, ...]:
    """Return the parts of a source whose wrapper names the stream of each line; `streams` have their first lines."""
    parts = []
    for stream, head in streams:
        claims = identify(head)
        if claims:
            parts.append(Part(claims[0][0], claims[0][1], (stream,), head=head))
    engines = [part.format.engine for part in parts if part.format is not None]
    return tuple(
        replace(part, server=part.streams[0])
        if part.format and part.streams and part.format.engine and engines.count(part.format.engine) > 1
        else part
        for part in parts
    )


def _plain(head: Head) -> Recognition:
    claims = identify(head)
    return Recognition((), tuple(Part(found, certainty, head=head) for found, certainty in claims[:1]))


def _wrapped(head: Head, depth: int) -> list[Recognition]:
    """Return what each wrapper that fits makes of a head."""
    lines = [line for line in head.lines if line.strip()]
    tried = lines[:: max(len(lines) // LOOKED_AT, 1)]
    found = []
    for wrapper in (*WRAPPERS, TWICE_TIMED):
        fits = sum(wrapper.peel(line) is not None for line in tried)
        is_document = isinstance(wrapper, PrettyJson) and fits and head.lines[0].lstrip()[:1] in ("{", "[")
        if not tried or (fits < LEAST_SHARE * len(tried) and not is_document):
            continue
        streams: dict[str, list[str]] = {}
        for line in head.lines:
            peeled = wrapper.peel(line)
            if peeled is not None:
                streams.setdefault(peeled.stream, []).append(peeled.text)
        if len(streams) > MOST_STREAMS:
            streams = {"": list(itertools.chain(*streams.values()))}
        inner = [
            (stream, Head(tuple(texts), name=head.name))
            for stream, texts in streams.items()
            if any(map(str.strip, texts))
        ]
        parts = by_stream(inner)
        if not parts and depth == MOST_LAYERS:
            continue
        best = Recognition((wrapper,), _whole(parts, streams))
        if best.certainty < CERTAIN and depth < MOST_LAYERS and len(inner) == 1:
            for deeper in _wrapped(inner[0][1], depth + 1):
                if deeper.certainty > best.certainty:
                    best = Recognition((wrapper, *deeper.layers), deeper.parts)
        if best.parts:
            found.append(best)
    return found


def _whole(parts: Sequence[Part], streams: Iterable[str]) -> tuple[Part, ...]:
    """Return the parts; that of an only stream without a name stands for all lines."""
    return tuple(replace(part, streams=None) for part in parts) if list(streams) == [""] else tuple(parts)


def _pieces(head: Head) -> list[Part]:
    """Return the pieces of evidence in a pasted talk: paragraphs that a format claims, neighbours of one format as one."""
    pieces: list[tuple[Format, float, int, int]] = []
    after = 1
    for first, last in _paragraphs(head.lines):
        claims = identify(Head(head.lines[first - 1 : last], name=head.name))
        if not claims:
            continue
        claimed, certainty = claims[0]
        if pieces and pieces[-1][0] is claimed:
            _, before, after, _ = pieces.pop()
            certainty = max(before, certainty)
        # What stands above a piece may date it.
        pieces.append((claimed, certainty, after, last))
        after = last + 1
    if pieces:
        pieces[-1] = (*pieces[-1][:3], len(head.lines))
    return [
        Part(
            claimed,
            certainty,
            ranges=((first, last),),
            head=Head(head.lines[first - 1 : last], name=head.name),
        )
        for claimed, certainty, first, last in pieces
    ]


def _paragraphs(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return first and last line, from 1, of the runs between blank lines and code fences."""
    runs: list[tuple[int, int]] = []
    first: int | None = None
    for number, line in enumerate((*lines, ""), 1):
        if line.strip() and not line.lstrip().startswith("```"):
            first = first or number
        elif first is not None:
            runs.append((first, number - 1))
            first = None
    return runs
