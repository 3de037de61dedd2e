"""An executed notebook as one Markdown file: what was found, and the parts people fill in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from connforensics.report.figures import titles
from connforensics.report.page import chart

if TYPE_CHECKING:
    from nbformat import NotebookNode


def render(notebook: NotebookNode, heading: str, subtitle: str) -> str:
    """Return the report as Markdown; a chart is named by its panels, its headline stands above it."""
    parts = [f"# {plain(heading)}", plain(subtitle)]
    is_inside = False
    for cell in notebook.cells:
        is_inside = is_inside or cell.source.startswith("## ")
        if not is_inside:
            continue
        if cell.cell_type == "markdown":
            parts.append(cell.source.strip())
        elif cell.cell_type == "code":
            parts += filter(None, map(_output, cell.outputs))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, one line."""
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return "\n\n".join(plain(line) for line in output.text.splitlines() if line.strip())
    if output.output_type == "error":
        return f"**This part failed: {plain(output.ename)}: {plain(output.evalue)}**"
    data, spec = output.data, chart(output)
    if spec is not None:
        panels = "; ".join(plain(title) for title in titles(spec))
        return f"_Chart in index.html{': ' + panels if panels else ''}._"
    if "text/markdown" in data:
        return str(data["text/markdown"]).strip()
    return plain(str(data.get("text/plain", "")))
