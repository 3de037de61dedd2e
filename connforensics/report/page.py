"""An executed notebook as one HTML file that works from disk: nbconvert with our template, no request, strict policy.

The Content-Security-Policy admits exactly the two scripts of the page by their hashes and forbids everything else;
all HTML a notebook put out is cleaned besides, since a policy in the page does not stop a refresh or a form. Size is
bounded: the charts' bundle is there once, data once, and static copies are left out, largest first, where they would
lift the page over the limit.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from connforensics import __version__
from connforensics.report.figures import Figure, Figures
from connforensics.report.parameters import tags

if TYPE_CHECKING:
    from nbformat import NotebookNode

CHART: Final = "application/vnd.vegalite."
"""How the MIME type of a chart begins, whatever the version."""
PEOPLE: Final = "people"
"""Tag of the cells that people fill in."""

MAX_BYTES: Final = 3_000_000

_TAGS: Final = frozenset(
    (
        *("a", "abbr", "b", "blockquote", "br", "code", "dd", "div", "dl", "dt", "em", "h3", "h4", "h5", "h6", "hr"),
        *("i", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup"),
        *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    )
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its title, its anchor, whether people fill it in."""

    title: str
    anchor: str
    is_peoples: bool
    is_first: bool


def render(notebook: NotebookNode, heading: str, subtitle: str, title: str) -> str:
    """Return the page of an executed notebook; at most `MAX_BYTES` as long as the notebook itself is bounded."""
    prepared = notebook.copy()
    figures = Figures()
    cells: list[Any] = []
    sections: list[Section] = []
    for original in notebook.cells:
        cell = original.copy()
        cell["metadata"] = original.metadata.copy()
        if cell.cell_type == "markdown":
            _into_sections(cell, sections)
        elif cell.cell_type == "code":
            _draw_figures(cell, figures)
        if sections:
            cells.append(cell)
    prepared["cells"] = cells
    text = _filled(prepared, figures, sections, heading, subtitle, title)
    excess = len(text.encode()) - MAX_BYTES
    for figure in sorted(figures.all, key=_still_bytes, reverse=True):
        if excess <= 0:
            break
        excess -= len(figure.still)
        figure.still = ""
        text = ""
    return text or _filled(prepared, figures, sections, heading, subtitle, title)


def chart(output: Any) -> dict[str, Any] | None:
    """Return the Vega-Lite specification in an output, if there is one."""
    data = output.get("data", {})
    return next((data[mime] for mime in data if mime.startswith(CHART)), None)


def cleaned(html: str) -> str:
    """Return HTML without anything that acts: scripts, handlers, styles, forms, frames, images, foreign schemes."""
    import nh3

    return nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags={"script", "style"},
        attributes={"*": {"class"}, "td": {"data-key"}, "th": {"scope"}, "a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def _prose(markdown: str) -> str:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=True, exclude_anchor_links=True)).render(markdown))


def _into_sections(cell: Any, sections: list[Section]) -> None:
    first, _, rest = cell.source.partition("\n")
    if not first.startswith("## "):
        return
    name = first.removeprefix("## ").strip()
    anchor = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "part"
    if anchor in {section.anchor for section in sections}:
        anchor = f"{anchor}-{len(sections)}"
    section = Section(name, anchor, PEOPLE in tags(cell), not sections)
    sections.append(section)
    cell.metadata["section"] = section
    cell["source"] = rest.strip()


def _draw_figures(cell: Any, figures: Figures) -> None:
    said = " ".join(
        output.text.strip() for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"
    )
    outputs = []
    for original in cell.outputs:
        output = original.copy()
        spec = chart(output)
        if spec is not None:
            figures.add(spec, said or "Chart")
            output["metadata"] = {"figure": len(figures.all) - 1}
            output["data"] = {CHART: ""}
        outputs.append(output)
    cell["outputs"] = outputs


def _still_bytes(figure: Figure) -> int:
    return len(figure.still)


def _filled(
    notebook: NotebookNode, figures: Figures, sections: list[Section], heading: str, subtitle: str, title: str
) -> str:
    from nbconvert.exporters.templateexporter import TemplateExporter
    from traitlets.config import Config

    class PageExporter(TemplateExporter):
        """nbconvert's exporter, told to look for our template and nothing of its own."""

        file_extension = ".html"
        output_mimetype = "text/html"

    bundle, script = _bundle(), _asset("page.js")
    page = {
        "policy": (
            f"default-src 'none'; script-src {_hash(bundle)} {_hash(script)}; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        "generator": f"connforensics {__version__}",
        "title": title,
        "heading": heading,
        "subtitle": subtitle,
        "style": _inks() + _asset("page.css"),
        "sections": sections,
        "figures": figures,
        "bundle": bundle,
        "script": script,
    }
    with resources.as_file(resources.files("connforensics.report") / "template") as folder:
        exporter: Any = PageExporter(  # type: ignore[no-untyped-call]
            config=Config(
                {"NbConvertBase": {"display_data_priority": [CHART, "text/html", "text/markdown", "text/plain"]}}
            ),
            template_name=folder.name,
            template_file="index.html.j2",
            extra_template_basedirs=[str(folder.parent)],
        )
        exporter.register_filter("cleaned", cleaned)
        exporter.register_filter("prose", _prose)
        text, _ = exporter.from_notebook_node(notebook, resources={"page": page})
    return str(text)


@cache
def _bundle() -> str:
    import vl_convert

    text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("\r", "")
    if re.search(r"</script|<!--", text, re.IGNORECASE):
        text = re.sub(r"<(/script|!--)", r"\\x3c\1", text, flags=re.IGNORECASE)
    return text


@cache
def _asset(name: str) -> str:
    return (resources.files("connforensics.report") / "template" / name).read_text(encoding="utf-8")


def _inks() -> str:
    from connforensics.colours import INKS

    light = ";".join(f"--{ink.name}:{ink.light}" for ink in INKS)
    dark = ";".join(f"--{ink.name}:{ink.dark}" for ink in INKS)
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
