"""The house stands as drawn: imports point down only, and each third-party package has one home."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import connforensics

PACKAGE = Path(connforensics.__file__).parent

FLOORS = (
    ("errors", "schema"),
    ("evidence", "record"),
    ("case", "clocks", "ingest", "annotate", "identification"),
    ("analyses", "causes", "verdict"),
    ("charts", "colours", "time_axis"),
    ("report",),
    ("cli", "cli_record"),
)

HOMES = {
    "altair": {"charts"},
    "papermill": {"report"},
    "nbconvert": {"report"},
    "nbformat": {"report"},
    "nbclient": {"report"},
    "nh3": {"report"},
    "vl_convert": {"report"},
    "psycopg": {"record"},
    "pymysql": {"record"},
    "typer": {"cli", "cli_record"},
    "click": {"cli", "cli_record"},
    "rich": {"cli", "cli_record"},
    "duckdb": {"case", "ingest", "evidence"},
    "pyarrow": {"evidence", "ingest", "record"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], path


def imported(path: Path) -> Iterator[str]:
    """Every module imported anywhere in a file, but for those only the type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "connforensics":
                yield from (f"connforensics.{alias.name}" for alias in node.names)


def floor(name: str) -> int | None:
    return next((number for number, rooms in enumerate(FLOORS) if name in rooms), None)


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda value: str(value).rsplit("connforensics/")[-1])
def test_imports_point_down(room: str, path: Path) -> None:
    if room == "__init__":
        return
    here = floor(room)
    assert here is not None, f"{path.name} stands on no floor: draw it into FLOORS"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "connforensics" or len(parts) == 1:
            continue
        there = floor(parts[1])
        if there is not None:
            assert there <= here, f"{path.name} on floor {here} imports {name} on floor {there}"


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda value: str(value).rsplit("connforensics/")[-1])
def test_third_party_packages_have_one_home(room: str, path: Path) -> None:
    for name in imported(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or room in homes, f"{path.name} imports {name}, whose home is {homes}"


def test_help_needs_no_heavy_package() -> None:
    heavy = {"duckdb", "pyarrow", "pandas", "altair", "papermill", "nbconvert", "numpy"}
    code = (
        "import sys; sys.argv = ['connforensics', '--help']\n"
        "from connforensics.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        f"print('heavy:', sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout


def test_reading_and_judging_need_no_jupyterlab_and_no_driver() -> None:
    code = (
        "import sys, connforensics.ingest, connforensics.verdict\n"
        "print('heavy:', sorted({'jupyterlab', 'psycopg', 'pymysql', 'altair', 'papermill', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout


def test_public_names() -> None:
    assert connforensics.__all__ == ["Answer", "Case", "Verdict", "Window", "ask", "open_case", "weigh"]
    assert all(getattr(connforensics, name) is not None for name in connforensics.__all__)
