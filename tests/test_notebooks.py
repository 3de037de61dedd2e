"""The laws of notebooks: thin, stripped, parameterised; and each runs on every recorded incident and on an empty case."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from connforensics import charts
from connforensics.errors import ConnforensicsError, NotUnderstoodError, UsageError
from connforensics.report import run
from connforensics.report.advice import WORDS
from connforensics.report.parameters import TAG, Value, checked, declared, tags
from connforensics.report.run import notebook_path, write_report
from tests.recorded import NAMES, case_of
from tests.synthetic import empty_case, leak_case

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES = 9
SQL = re.compile(r"(?i)\b(select\s.+\sfrom|insert\s+into|create\s+(table|view)|group\s+by|with\s+\w+\s+as\s*\()")
PANDAS_VERBS = frozenset(
    {
        "agg",
        "aggregate",
        "apply",
        "applymap",
        "assign",
        "concat",
        "crosstab",
        "drop",
        "dropna",
        "explode",
        "fillna",
        "filter",
        "groupby",
        "head",
        "iloc",
        "join",
        "loc",
        "map",
        "melt",
        "merge",
        "nlargest",
        "nsmallest",
        "pipe",
        "pivot",
        "pivot_table",
        "query",
        "rename",
        "resample",
        "reset_index",
        "rolling",
        "sort_values",
        "stack",
        "tail",
        "transform",
        "unstack",
        "value_counts",
        "where",
    }
)
ALLOWED_IMPORTS = ("connforensics", "__future__")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def trees(path: Path) -> list[ast.Module]:
    return [ast.parse(cell.source) for cell in read(path).cells if cell.cell_type == "code"]


def nodes(path: Path) -> list[ast.AST]:
    return [node for tree in trees(path) for node in ast.walk(tree)]


def test_there_are_notebooks() -> None:
    assert "postmortem.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
class TestLaws:
    def test_it_is_stripped(self, path: Path) -> None:
        notebook = read(path)
        nbformat.validate(notebook)
        assert set(notebook.metadata) <= {"kernelspec", "language_info"}
        for cell in notebook.cells:
            assert set(cell.metadata) <= {"tags"}
            if cell.cell_type == "code":
                assert cell.outputs == []
                assert cell.execution_count is None

    def test_its_parameters_are_plain_values_with_defaults(self, path: Path) -> None:
        assert declared(read(path)) == {"case_path": "case.duckdb", "since": "", "until": "", "display_tz": "UTC"}

    def test_it_defines_nothing(self, path: Path) -> None:
        defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try)
        assert [ast.unparse(node) for node in nodes(path) if isinstance(node, defining)] == []

    def test_it_holds_no_sql(self, path: Path) -> None:
        texts = [node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert [text for text in texts if SQL.search(text)] == []

    def test_it_uses_no_pandas_verb(self, path: Path) -> None:
        used = {node.attr for node in nodes(path) if isinstance(node, ast.Attribute)}
        assert used & PANDAS_VERBS == set()
        assert not [node for node in nodes(path) if isinstance(node, ast.Subscript)]

    def test_it_imports_this_package_only(self, path: Path) -> None:
        modules = [node.module or "" for node in nodes(path) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in nodes(path) if isinstance(node, ast.Import) for alias in node.names]
        assert all(module.split(".")[0] in ALLOWED_IMPORTS for module in modules)

    def test_its_cells_are_a_few_lines(self, path: Path) -> None:
        long = [
            cell.source
            for cell in read(path).cells
            if cell.cell_type == "code" and len(cell.source.splitlines()) > MOST_LINES
        ]
        assert long == []

    def test_it_names_no_machine(self, path: Path) -> None:
        assert not re.search(r"/(home|root|work|Users|tmp)/", path.read_text(encoding="utf-8"))


def test_the_postmortem_reads_in_order() -> None:
    headings = [
        cell.source.splitlines()[0].removeprefix("## ")
        for cell in read(notebook_path()).cells
        if cell.cell_type == "markdown" and cell.source.startswith("## ")
    ]
    assert headings == [
        "Verdict",
        "Impact",
        "Timeline",
        "The charts that prove it",
        "Facts",
        "What could not be known",
        "Prevention",
        "Summary for customers",
        "Detection",
        "Response",
        "Action items",
        "Lessons",
        "Coverage",
    ]


def test_the_parts_for_people_are_marked() -> None:
    for cell in read(notebook_path()).cells:
        if "people" in tags(cell):
            assert "to be filled in by people" in cell.source.lower()


def test_a_parameter_the_notebook_does_not_know_is_an_error() -> None:
    with pytest.raises(UsageError, match="no parameter 'colour'\nIt takes: case_path, since, until, display_tz"):
        checked(read(notebook_path()), {"colour": "red"})


def test_a_parameter_of_the_wrong_type_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"parameter display_tz=3 is int, not str\nIts default is 'UTC'"):
        checked(read(notebook_path()), {"display_tz": 3})


def test_a_parameters_cell_with_code_in_it_is_an_error() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("a = 1\nb = open('x')", metadata={"tags": [TAG]})]
    )
    with pytest.raises(ConnforensicsError, match="more than plain values: b = open"):
        declared(notebook)


def test_a_notebook_needs_one_parameters_cell() -> None:
    with pytest.raises(ConnforensicsError, match="0 cells tagged"):
        declared(nbformat.v4.new_notebook())


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """An IPython of this process: what a kernel runs cells in, without four seconds of imports for each notebook."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def executed_here(shell: InteractiveShell, parameters: Mapping[str, Value]) -> NotebookNode:
    """The post-mortem with the outputs of its cells, as papermill leaves it."""
    notebook = parameterize_notebook(load_notebook_node(str(notebook_path())), dict(parameters))
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        with shell.display_trap, capture_output() as got:
            shell.run_cell(cell.source).raise_error()
        cell.outputs = [
            nbformat.v4.new_output("display_data", data=output.data, metadata=output.metadata or {})
            for output in got.outputs
        ]
        if got.stdout:
            cell.outputs.insert(0, nbformat.v4.new_output("stream", text=got.stdout))
    return notebook


def shown(notebook: NotebookNode) -> list[tuple[str, list[list[str]]]]:
    """What each cell shows: texts as one, and the kinds of data of each display."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [
        (
            "".join(output.text for output in outputs if output.output_type == "stream"),
            [sorted(output.data) for output in outputs if output.output_type != "stream"],
        )
        for outputs in cells
    ]


def test_a_shell_shows_what_a_kernel_shows(shell: InteractiveShell, tmp_path: Path) -> None:
    template = read(notebook_path())
    parameters = checked(template, {"case_path": str(leak_case(tmp_path / "case.duckdb"))})
    by_kernel, failure = run._executed(template, parameters)
    assert failure is None
    assert shown(executed_here(shell, parameters)) == shown(by_kernel)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_every_recorded_incident(
    name: str,
    shell: InteractiveShell,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "_executed", lambda _, parameters: (executed_here(shell, parameters), None))
    paths = write_report(case_of(name, tmp_path_factory), tmp_path / "report", title=name)
    assert paths.verdict["cause"] in WORDS
    assert paths.html.stat().st_size <= 3_000_000


@pytest.mark.parametrize("write", [leak_case, empty_case])
def test_the_notebook_to_explore_with_runs(write: Callable[[Path], Path], tmp_path: Path) -> None:
    case = write(tmp_path / "case.duckdb")
    executed, failure = run._executed(read(notebook_path("explore.ipynb")), {"case_path": str(case)})
    assert failure is None
    mimes = [mime for cell in executed.cells for output in cell.get("outputs", []) for mime in output.get("data", {})]
    assert mimes.count(charts.MIME) == 2


def test_it_runs_on_an_empty_case_and_says_so(tmp_path: Path) -> None:
    case = empty_case(tmp_path / "case.duckdb")
    with pytest.raises(NotUnderstoodError, match="nothing about connections was understood") as raised:
        write_report(case, tmp_path / "report")
    assert len(str(raised.value).splitlines()) == 2
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "nothing can be concluded" in html
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "index.html",
        "report.md",
        "findings.json",
        "postmortem.ipynb",
    }
