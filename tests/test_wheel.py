"""The wheel works away from the checkout, with the notebooks inside, and the extras stay extras."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-qq",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "notebooks/postmortem.ipynb",
        "views/session.sql",
        "views/_macros.sql",
        "report/template/index.html.j2",
    ):
        assert f"connforensics/{name}" in names
    assert not [name for name in names if name.startswith(("tests", "data"))]


def test_it_reports_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "evidence").mkdir()
    for source in (ROOT / "data/calm-day/evidence").iterdir():
        (tmp_path / "evidence" / source.name).write_bytes(source.read_bytes())
    code = "import connforensics, sys; from connforensics.cli import main; print(connforensics.__file__, file=sys.stderr); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(tmp_path / "evidence"), "-o", "out"],
        cwd=tmp_path / "work",
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stderr
    assert "verdict: none" in done.stdout
    assert (tmp_path / "work/out/index.html").stat().st_size > 100_000


def test_reading_and_judging_need_neither_jupyterlab_nor_drivers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = " ".join(project["dependencies"])
    assert not any(name in base for name in ("jupyterlab", "psycopg", "pymysql"))
    assert any("jupyterlab" in each for each in project["optional-dependencies"]["lab"])
    assert any("psycopg" in each for each in project["optional-dependencies"]["record"])


def test_notebooks_are_bound_beside_the_case_and_kept(tmp_path: Path) -> None:
    import nbformat

    from connforensics.report.lab import bind_notebooks

    case = tmp_path / "case.duckdb"
    folder = bind_notebooks(case)
    bound = nbformat.read(folder / "postmortem.ipynb", as_version=4)
    (parameters,) = [cell for cell in bound.cells if "parameters" in cell.metadata.get("tags", [])]
    assert f"case_path = {str(case.resolve())!r}" in parameters.source
    assert "display_tz" in parameters.source
    (folder / "postmortem.ipynb").write_text("mine")
    assert bind_notebooks(case) == folder
    assert (folder / "postmortem.ipynb").read_text() == "mine"
