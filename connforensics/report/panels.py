"""What the cells of a notebook show besides charts: the verdict, its facts, tables, advice, and what is not known.

A panel knows itself as HTML and as Markdown. All text of the evidence is escaped in both: query texts, user and
application names are written by whoever connected. Tables are cut at a length people read; the case holds the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from connforensics.report.advice import ADVICE, WORDS
from connforensics.report.markdown import plain as _md

if TYPE_CHECKING:
    import pandas as pd

    from connforensics.case import Case, Window
    from connforensics.time_axis import TimeAxis

Findings = Mapping[str, Any]
"""A verdict in the shape of `verdict --json` and findings.json."""

FINDINGS: Final = "application/vnd.connforensics.findings+json"
"""The MIME type under which the verdict travels, for `findings.json` and the head of the page."""

UNSUPPORTED: Final = frozenset({"no support", "against"})
MAX_ADVISED: Final = 3
MAX_TABLE_ROWS: Final = 200
MAX_CITATIONS: Final = 6
TEXT_LENGTH: Final = 240

TIME: Final = r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d"
UNBROKEN: Final = r"\S{40}|.{60}"
"""Text that needs a wide cell in which it may break anywhere."""

SHORT: Final = 18
"""Characters of a text that stays on one line."""

MACHINE_COLUMNS: Final = ("source_id", "line_no")


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of the report as HTML and Markdown, and the data behind it where somebody needs it."""

    html: str
    markdown: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.markdown, "text/markdown": self.markdown, "text/html": self.html, **self.data}


def weighed(case: Case, window: Window) -> Findings:
    """Return the verdict on a case; where nothing about connections was understood, an empty one that says so."""
    from connforensics.errors import NotUnderstoodError
    from connforensics.verdict import weigh

    try:
        return weigh(case, window).as_json()
    except NotUnderstoodError:
        return {
            "cause": "undetermined",
            "confidence": "no support",
            "paragraph": "Nothing about connections was understood in this evidence, so nothing can be concluded from it. "
            "Coverage, at the end, says what was read.",
            "ranking": [],
        }


def verdict(found: Findings, axis: TimeAxis) -> Panel:
    """Show the cause, the paragraph, and the numbers a reader asks for first: onset, end, peak, refusals, culprit."""
    cause, confidence, paragraph = (str(found.get(name) or "") for name in ("cause", "confidence", "paragraph"))
    numbers = [(name, value, more) for name, value, more in _key_numbers(found, axis) if value]
    word = WORDS.get(cause, cause)
    support = "" if cause == "undetermined" else f"{confidence[:1].upper()}{confidence[1:]}"
    boxes = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in numbers
    )
    html = (
        f'<div class="verdict {escape(cause)}"><p class="cause">{escape(word)}</p>'
        + (f'<p class="confidence">{escape(support)}</p>' if support else "")
        + f'<p class="lead">{escape(paragraph)}</p>'
        + (f'<dl class="numbers">{"".join(boxes)}</dl>' if numbers else "")
        + "</div>"
    )
    listed = "\n".join(
        f"- {_md(name)}: **{_md(value)}**" + (f" ({_md(more)})" if more else "") for name, value, more in numbers
    )
    heading = f"**{_md(word)}**" + (f" ({_md(confidence)})" if support else "")
    return Panel(html, "\n\n".join(filter(None, [heading, _md(paragraph), listed])), {FINDINGS: dict(found)})


def rivals(found: Findings) -> Panel:
    """Show the ranking: each cause, how strongly the evidence supports it, and its first fact."""
    rows = [
        (
            WORDS.get(ranked["cause"], ranked["cause"]),
            ranked["confidence"],
            len(ranked["for"]),
            len(ranked["against"]),
            _first_claim(ranked),
        )
        for ranked in found["ranking"]
    ]
    if not rows:
        return _sentence("No cause could be weighed.")
    return _table(("cause", "support", "for", "against", "what weighs most"), rows)


def facts(found: Findings) -> Panel:
    """Show for each ranked cause what speaks for and against it, with weights and citations."""
    html, markdown = [], []
    for ranked in found["ranking"]:
        if not (ranked["for"] or ranked["against"]):
            continue
        word = WORDS.get(ranked["cause"], ranked["cause"])
        html.append(f"<h3>{escape(word)} <small>{escape(ranked['confidence'])}</small></h3>")
        markdown.append(f"### {_md(word)}: {_md(ranked['confidence'])}")
        for title, side in (("Speaks for it", ranked["for"]), ("Speaks against it", ranked["against"])):
            if side:
                html.append(f'<h4>{title}</h4><ul class="facts">{"".join(map(_fact_html, side))}</ul>')
                markdown.append(f"{title}:\n\n" + "\n".join(map(_fact_markdown, side)))
    if not html:
        return _sentence("No fact speaks for or against any cause.")
    return Panel("".join(html), "\n\n".join(markdown))


def unknowns(found: Findings) -> Panel:
    """Show what would have decided more but was not recorded, by cause."""
    told = [
        (WORDS.get(ranked["cause"], ranked["cause"]), text) for ranked in found["ranking"] for text in ranked["missing"]
    ]
    if not told:
        return _sentence("No cause misses evidence of its own.")
    html = "".join(f"<li><strong>{escape(cause)}:</strong> {escape(_cut(text))}</li>" for cause, text in told)
    return Panel(f"<ul>{html}</ul>", "\n".join(f"- **{_md(cause)}:** {_md(_cut(text))}" for cause, text in told))


def prevention(found: Findings) -> Panel:
    """Show what prevents the cause found, then its rivals that have support of their own."""
    supported = [ranked["cause"] for ranked in found["ranking"] if ranked["confidence"] not in UNSUPPORTED]
    if found["cause"] == "none":
        supported = []
    html, markdown = [], []
    for cause in list(dict.fromkeys([found["cause"], *supported]))[:MAX_ADVISED]:
        advice = ADVICE.get(cause, ())
        if advice:
            html.append(f"<h3>{escape(WORDS[cause])}</h3><ul>")
            html.extend(f"<li>{_inline_code(text)}</li>" for text in advice)
            html.append("</ul>")
            markdown.append(f"### {WORDS[cause]}\n\n" + "\n".join(f"- {text}" for text in advice))
    return Panel("".join(html), "\n\n".join(markdown))


def table(df: pd.DataFrame, axis: TimeAxis, only: str = "") -> Panel:
    """Show a table of an analysis: times at the zone of the axis, numbers short, columns without content left out.

    `only` names the columns to show, in order, separated by blanks; those the table does not have are left out.
    """
    wanted = only.split() or [name for name in df.columns if name not in MACHINE_COLUMNS]
    shown = [name for name in wanted if name in df.columns and bool((df[name].notna() & (df[name] != "")).any())]
    if df.empty or not shown:
        return _sentence("No row.")
    head = df.head(MAX_TABLE_ROWS)
    titles = [_title(name, axis) for name in shown]
    rows = list(zip(*([_value(value, axis) for value in head[name]] for name in shown), strict=True))
    keys = list(zip(*([_sort_key(value) for value in head[name]] for name in shown), strict=True))
    more = len(df) - len(head)
    note = f"{more:,} more rows are in the case." if more > 0 else ""
    return _table(titles, rows, keys, note)


def assumptions(coverage: pd.DataFrame) -> Panel:
    """Show what had to be assumed about each source. Takes the table of `coverage`."""
    told = [
        (str(path), str(text))
        for path, text in zip(coverage["path"], coverage["assumptions"], strict=True)
        if not _is_missing(text) and text
    ]
    if not told:
        return _sentence("Nothing had to be assumed about any source.")
    html = "".join(f"<li><code>{escape(_cut(path))}</code> {escape(_cut(text, 600))}</li>" for path, text in told)
    listed = "\n".join(f"- {_md_code(_cut(path))} {_md(_cut(text, 600))}" for path, text in told)
    return Panel(f"<p>Assumed:</p><ul>{html}</ul>", f"Assumed:\n\n{listed}")


def _sentence(text: str) -> Panel:
    return Panel(f'<p class="note">{escape(text)}</p>', _md(text))


def _key_numbers(findings: Findings, axis: TimeAxis) -> list[tuple[str, str, str]]:
    peak, culprit, refusals = (findings.get(name) or {} for name in ("peak", "culprit", "refusals"))
    in_use, usable = peak.get("in_use"), peak.get("usable")
    fullest = "" if in_use is None else f"{in_use:,.0f}" + (f" of {usable:,.0f} slots" if usable else " sessions")
    by_kind = refusals.get("by_kind") or {}
    total, timeouts = refusals.get("total"), refusals.get("pool_timeouts")
    saturated = findings.get("saturated") or []
    zone = axis.label
    return [
        ("Culprit", _cut(str(culprit.get("name") or ""), 60), str(culprit.get("kind") or "")),
        (
            "Onset (about)" if findings.get("is_onset_estimated") else "Onset",
            *_moment_box(findings.get("onset_at"), axis),
        ),
        ("Fullest", fullest, f"at {_clock(peak['at'], axis)} {zone}" if peak.get("at") else ""),
        (
            "Saturated for",
            _duration(saturated),
            f"from {_clock(saturated[0]['since'], axis)} {zone}" if saturated else "",
        ),
        (
            "Refusals",
            "" if total is None else f"{total:,.0f}",
            ", ".join(f"{count:,} {kind}" for kind, count in by_kind.items() if count),
        ),
        ("Pool timeouts", f"{timeouts:,.0f}" if timeouts else "", "callers who gave up waiting"),
        ("Detected", *_moment_box(findings.get("detected_at"), axis)),
        ("Mitigated", *_moment_box(findings.get("mitigated_at"), axis)),
        ("Recovered", *_moment_box(findings.get("recovered_at"), axis)),
    ]


def _duration(saturated: Sequence[Mapping[str, Any]]) -> str:
    stretches = [(_moment(one.get("since")), _moment(one.get("until"))) for one in saturated]
    seconds = sum((until - since).total_seconds() for since, until in stretches if since and until)
    if not seconds:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _moment(told: object) -> datetime | None:
    if isinstance(told, datetime):
        return told.replace(tzinfo=None)
    if not told:
        return None
    return datetime.fromisoformat(str(told)).replace(tzinfo=None)


def _moment_box(told: object, axis: TimeAxis) -> tuple[str, str]:
    date, _, clock = _clock(told, axis).partition(" ")
    return clock, f"{date} {axis.label}"


def _clock(told: object, axis: TimeAxis) -> str:
    moment = _moment(told)
    return f"{moment + axis.offset:%Y-%m-%d %H:%M:%S}" if moment else ""


def _first_claim(ranked: Findings) -> str:
    strongest = sorted([*ranked["for"], *ranked["against"]], key=_magnitude, reverse=True)
    return _cut(str(strongest[0]["claim"])) if strongest else "nothing recorded speaks of it"


def _magnitude(fact: Findings) -> float:
    return abs(float(fact["weight_db"] or 0))


def _fact_html(fact: Findings) -> str:
    weight = f'<span class="weight">{_weight(fact)}</span>'
    return f"<li>{weight}{escape(_cut(str(fact['claim']), 600))}{_citations_html(fact['citations'])}</li>"


def _fact_markdown(fact: Findings) -> str:
    cited = ", ".join(map(_md_code, _cited(fact["citations"])))
    return f"- {_md(_cut(str(fact['claim']), 600))} [{_weight(fact)}]" + (f" ({cited})" if cited else "")


def _weight(fact: Findings) -> str:
    return "" if fact["weight_db"] is None else f"{fact['weight_db']:+.0f} dB".replace("-", "\N{MINUS SIGN}")


def _cited(citations: Sequence[str]) -> list[str]:
    shown = [_cut(str(one), 160) for one in citations[:MAX_CITATIONS]]
    more = len(citations) - len(shown)
    return [*shown, f"and {more} more"] if more > 0 else shown


def _citations_html(citations: Sequence[str]) -> str:
    cited = _cited(citations)
    return f' <span class="cited">{" ".join(f"<code>{escape(one)}</code>" for one in cited)}</span>' if cited else ""


def _table(
    titles: Sequence[str],
    rows: Sequence[Sequence[object]],
    keys: Sequence[Sequence[object]] | None = None,
    note: str = "",
) -> Panel:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = []
    for i, row in enumerate(rows):
        cells = []
        for j, cell in enumerate(row):
            key = keys[i][j] if keys else (cell if isinstance(cell, int | float) else None)
            text = _text(cell)
            shape = _shape(text) if key is None or re.fullmatch(TIME, text) else "n"
            attributes = (f' class="{shape}"' if shape else "") + (f' data-key="{key}"' if key is not None else "")
            cells.append(f"<td{attributes}>{escape(text)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    html = (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>" + (f'<p class="note">{escape(note)}</p>' if note else "")
    )
    lines = [
        "| " + " | ".join(map(_md, titles)) + " |",
        "| " + " | ".join("---" for _ in titles) + " |",
        *("| " + " | ".join(_md(_text(cell)) for cell in row) + " |" for row in rows),
    ]
    return Panel(html, "\n".join(lines) + (f"\n\n{note}" if note else ""))


def _shape(text: str) -> str:
    """Return how a cell of text behaves: `w` is wide and breaks anywhere, `t` is not broken at all."""
    if re.search(UNBROKEN, text):
        return "w"
    return "t" if len(text) <= SHORT else ""


def _title(name: str, axis: TimeAxis) -> str:
    day = f"{axis.start + axis.offset:%Y-%m-%d} " if _is_one_day(axis) else ""
    units = {
        "_at": f"{day}{axis.label}",
        "_per_s": "a second",
        "_per_min": "a minute",
        "_ms": "ms",
        "_bytes": "bytes",
        "_s": "s",
    }
    for suffix, unit in units.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')},\n{unit}"
    return name.replace("_", " ")


def _is_one_day(axis: TimeAxis) -> bool:
    return (axis.start + axis.offset).date() == (axis.end + axis.offset).date()


def _value(value: Any, axis: TimeAxis) -> str:
    if _is_missing(value):
        return ""
    if isinstance(value, datetime):
        shown, day = value + axis.offset, (axis.start + axis.offset).date()
        return f"{shown:%H:%M:%S}" if _is_one_day(axis) and shown.date() == day else f"{shown:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if _is_number(value):
        return (
            f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        )
    if isinstance(value, list | tuple) or type(value).__name__ == "ndarray":
        return _cut(", ".join(map(str, value)))
    return _cut(str(value))


def _sort_key(value: Any) -> float | None:
    if isinstance(value, datetime) and not _is_missing(value):
        return (value - datetime(1970, 1, 1)).total_seconds()
    return float(value) if _is_number(value) and not _is_missing(value) else None


def _is_missing(value: Any) -> bool:
    return value is None or (not hasattr(value, "__len__") and value != value)  # noqa: PLR0124 - NaN and NaT


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str) and not hasattr(value, "__len__")


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _cut(text: str, length: int = TEXT_LENGTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _inline_code(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))


def _md_code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "¦") + "`"
