"""Run a notebook headless and write its report: papermill in a kernel of this very interpreter, then the files.

Nothing of the machine gets into what is written: no absolute path, no trace, no run metadata. A file is replaced only
when its new content is complete. When a cell fails, the notebook is still written as far as it ran.
"""

from __future__ import annotations

import json
import os
import site
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connforensics.case import Window, open_case
from connforensics.errors import ConnforensicsError, NotUnderstoodError, StorageError
from connforensics.report import markdown, page
from connforensics.report.panels import FINDINGS
from connforensics.report.parameters import TAG, Value, checked, tags
from connforensics.time_axis import TimeAxis, known_zone

if TYPE_CHECKING:
    from nbformat import NotebookNode

KERNEL: Final = "python3"
START_TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """The files of a report, and the findings themselves."""

    html: Path
    markdown: Path
    findings: Path
    notebook: Path
    verdict: Mapping[str, Any]


def notebook_path(name: str = "postmortem.ipynb") -> Path:
    """Return where a notebook of ours lies: in the installed package, else in the checkout."""
    installed = Path(str(resources.files("connforensics"))) / "notebooks" / name
    return installed if installed.exists() else Path(__file__).parents[2] / "notebooks" / name


def write_report(
    case_path: Path | str,
    out_dir: Path | str,
    since: str = "",
    until: str = "",
    display_tz: str = "UTC",
    title: str | None = None,
    parameters: Mapping[str, object] | None = None,
) -> ReportPaths:
    """Run the post-mortem notebook on a case and write index.html, report.md, findings.json and postmortem.ipynb.

    `since` and `until` are ISO-8601 (UTC without a zone), `parameters` are further ones of the notebook. Raises
    UsageError for a window, a parameter or a case that cannot be used, ConnforensicsError when a cell fails (the
    notebook is written all the same), NotUnderstoodError when the evidence says nothing about connections (all files
    are written all the same), StorageError when the disk refuses.
    """
    import nbformat

    case_path, out_dir = Path(case_path), Path(out_dir)
    template = nbformat.read(notebook_path(), as_version=4)
    Window.parse(since, until)
    given = {"case_path": str(case_path.resolve()), "since": since, "until": until, "display_tz": display_tz}
    accepted = checked(template, {**given, **(parameters or {})})
    known_zone(display_tz)
    open_case(case_path).close()
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{out_dir}: {error.strerror}", "Name a folder that can be written.") from error

    notebook, failure = _executed(template, accepted)
    _strip(notebook, case_path, out_dir)
    if failure is not None:
        path = _write(out_dir / "postmortem.ipynb", nbformat.writes(notebook) + "\n")
        raise ConnforensicsError(
            f"postmortem.ipynb: {failure}", f"As far as it ran, it is in {path}; --debug tells more."
        )
    findings = _findings(notebook)
    is_understood = bool(findings["ranking"])
    name = title or " of ".join(filter(None, ["Post-mortem", _case_name(case_path)]))
    subtitle = _subtitle(findings, display_tz)
    html = page.render(notebook, name, subtitle, f"{name} · {subtitle}")
    paths = ReportPaths(
        html=_write(out_dir / "index.html", html),
        markdown=_write(out_dir / "report.md", markdown.render(notebook, name, subtitle)),
        findings=_write(
            out_dir / "findings.json", json.dumps(findings, indent=2, ensure_ascii=False, default=str) + "\n"
        ),
        notebook=_write(out_dir / "postmortem.ipynb", nbformat.writes(notebook) + "\n"),
        verdict=findings,
    )
    if not is_understood:
        raise NotUnderstoodError(
            f"{case_path}: nothing about connections was understood in this evidence",
            f"What was possible is written: {paths.html}; its coverage says what was read.",
        )
    return paths


def _executed(template: NotebookNode, parameters: Mapping[str, Value]) -> tuple[NotebookNode, str | None]:
    """Return the notebook after its run, and what failed in it, if anything did."""
    import logging

    import nbformat
    import papermill
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="connforensics-") as folder:
        source, target = Path(folder, "in.ipynb"), Path(folder, "out.ipynb")
        nbformat.write(template, source)
        failure = None
        with _own_kernel(Path(folder)):
            try:
                papermill.execute_notebook(
                    str(source),
                    str(target),
                    parameters=dict(parameters),
                    kernel_name=KERNEL,
                    progress_bar=False,
                    request_save_on_cell_execute=False,
                    start_timeout=START_TIMEOUT_S,
                    cwd=folder,
                    config=Config({"KernelManager": {"transport": "ipc"}}),  # sockets of this user, no TCP port
                )
            except papermill.PapermillExecutionError as error:
                failure = f"cell {error.exec_count} failed: {error.ename}: {_first_line(error.evalue)}"
            except RuntimeError as error:  # nbclient's DeadKernelError and its like
                raise ConnforensicsError(
                    f"the notebook's kernel stopped: {_first_line(str(error))}",
                    "Give it more memory, or a smaller window with --since and --until.",
                ) from error
        return nbformat.read(target, as_version=4), failure


@contextmanager
def _own_kernel(folder: Path) -> Iterator[None]:
    """Make `python3` mean this interpreter with this package, whatever kernels and profiles the user has."""
    spec = folder / "kernels" / KERNEL
    spec.mkdir(parents=True)
    package_home = str(Path(__file__).parents[2])
    is_installed = package_home in {*site.getsitepackages(), site.getusersitepackages()}
    search = [package_home] if not is_installed else []
    search += filter(None, [os.environ.get("PYTHONPATH")])
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
        "display_name": "Python 3",
        "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join(search), "IPYTHONDIR": str(folder / "ipython")},
    }
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    wanted = {
        "JUPYTER_PATH": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _strip(notebook: NotebookNode, case_path: Path, out_dir: Path) -> None:
    """Take out what tells of the machine: run metadata, stderr, traces; keep parameters as somebody here would write them."""
    notebook.metadata.pop("papermill", None)
    given = [cell.source for cell in notebook.cells if "injected-parameters" in tags(cell)]
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in tags(cell)]
    full, resolved_out = str(case_path.resolve()), out_dir.resolve()
    short = (
        str(case_path.resolve().relative_to(resolved_out))
        if case_path.resolve().is_relative_to(resolved_out)
        else case_path.name
    )
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type != "code":
            continue
        if TAG in tags(cell) and given:
            cell.source = given[0].removeprefix("# Parameters\n").replace(full, short).strip()
        cell.outputs = [
            output for output in cell.outputs if not (output.output_type == "stream" and output.name == "stderr")
        ]
        for output in cell.outputs:
            if output.output_type == "error":
                output.evalue = output.evalue.replace(full, short)
                output.traceback = [f"{output.ename}: {output.evalue}"]


def _findings(notebook: NotebookNode) -> dict[str, Any]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if FINDINGS in output.get("data", {}):
                return dict(output.data[FINDINGS])
    raise ConnforensicsError(
        "postmortem.ipynb: no cell shows the verdict", "Show it with panels.verdict(verdict, axis)."
    )


_NO_NAMES: Final = frozenset({"case", "report", "reports", "postmortem", "evidence", "out", "output"})
"""What files and folders are called when nobody gave them a name."""


def _case_name(path: Path) -> str:
    """Return what people call a case: its file's name, else its folder's; nothing where neither is a name."""
    return next((name for name in (path.stem, path.resolve().parent.name) if name.lower() not in _NO_NAMES), "")


def _subtitle(findings: Mapping[str, Any], display_tz: str) -> str:
    window = findings.get("window")
    if not window:
        return "No time in the evidence"
    since, until = (datetime.fromisoformat(window[side]).replace(tzinfo=None) for side in ("since", "until"))
    axis = TimeAxis(since, until, display_tz)
    first, last = (f"{moment + axis.offset:%Y-%m-%d %H:%M:%S}" for moment in (since, until))
    stretch = f"{first} to {last.removeprefix(first[:11])} ({axis.label})"
    return stretch if display_tz == "UTC" else f"{stretch}; sentences say UTC"


def _write(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{path}: {error.strerror}", "Free some space, or name another folder with -o.") from error
    return path


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]
