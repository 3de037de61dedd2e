"""JupyterLab on the notebooks, bound to a case: copies beside the case, so that what people write in them stays."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from connforensics.errors import UsageError
from connforensics.report.parameters import TAG
from connforensics.report.run import notebook_path


def bind_notebooks(case_path: Path) -> Path:
    """Copy every notebook that is not there yet into the folder `CASE.notebooks`, its `case_path` set; return the folder."""
    import nbformat

    folder = case_path.with_name(f"{case_path.name}.notebooks")
    folder.mkdir(exist_ok=True)
    for template in sorted(notebook_path().parent.glob("*.ipynb")):
        copy = folder / template.name
        if copy.exists():
            continue
        notebook = nbformat.read(template, as_version=4)
        for cell in notebook.cells:
            if TAG in cell.metadata.get("tags", []):
                kept = [line for line in cell.source.splitlines() if not line.startswith("case_path")]
                cell.source = "\n".join([f"case_path = {str(case_path.resolve())!r}", *kept])
        nbformat.write(notebook, copy)
    return folder


def open_lab(case_path: Path) -> int:
    """Start JupyterLab on the bound notebooks and return its exit code; UsageError when it is not installed."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not installed", "Install it: pip install 'connforensics[lab]'")
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(bind_notebooks(case_path))], check=False).returncode
