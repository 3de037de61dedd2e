"""The README says what is so: its tables are generated from the program, its examples run.

`python -m tests.test_docs` writes the generated parts anew.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main

from connforensics import analyses, causes, schema
from connforensics.cli import app
from connforensics.evidence import Format, Head, Reading, ReadOptions, formats, identify
from connforensics.evidence.containers import unpack
from connforensics.verdict import PROSE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def commands() -> str:
    rows = []
    told = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    flat = {
        " ".join(filter(None, (name, under))): command
        for name, group in told.items()
        for under, command in getattr(group, "commands", {"": group}).items()
    }
    for name, command in sorted(flat.items()):
        usage = []
        options = []
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                usage.append(parameter.metavar or parameter.name.upper())
            else:
                longest = max(parameter.opts, key=len)
                options.append(f"`{longest}`")
        says = " ".join((command.help or "").split())
        rows.append(f"| `connforensics {name} {' '.join(usage)}`".rstrip() + f" | {says} | {' '.join(options)} |")
    return "\n".join(
        [
            "| command | what it does | options |",
            "| --- | --- | --- |",
            *(row.replace("CAUSE|any", "CAUSE") for row in rows),
        ]
    )


def formats_table() -> str:
    rows = []
    for name, each in formats().items():
        says = (importlib.import_module(each.read.__module__).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{name}` | {says} | {', '.join(f'`{table}`' for table in each.tables)} |")
    return "\n".join(["| format | what it is | fills |", "| --- | --- | --- |", *rows])


def questions() -> str:
    rows = [f"| `{name}` | {analyses.load(name).QUESTION} |" for name in analyses.names()]
    return "\n".join(["| name | question |", "| --- | --- |", *rows])


def causes_table() -> str:
    return "\n".join(
        ["| cause | in a sentence |", "| --- | --- |", *(f"| `{name}` | {PROSE[name]} |" for name in causes.CAUSES)]
    )


GENERATED = {
    "commands": commands,
    "formats": formats_table,
    "questions": questions,
    "causes": causes_table,
    "dictionary": schema.dictionary,
}


def rendered(text: str) -> str:
    for name, make in GENERATED.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, make=make: f"{found[1]}\n{make().strip()}\n\n{found[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


def test_generated_parts_are_current() -> None:
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text, "run: python -m tests.test_docs"


def test_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from connforensics.ingest import ingest

    monkeypatch.chdir(tmp_path)
    ingest(Path("case.duckdb"), [ROOT / "data/pool-leak/evidence"])
    example = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    exec(example[1], {})
    assert "connection_leak" in capsys.readouterr().out


def test_the_format_of_the_how_to_reads_its_sample(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n((?:(?!```).)*?FORMAT = .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    made: dict[str, Any] = {}
    exec(example, made)
    known: Format = made["FORMAT"]
    [sample] = known.samples
    (tmp_path / "runner.log").write_text(sample.text)
    head = Head(tuple(sample.text.split("\n")))
    assert known.certainty(head) > max((certainty for _, certainty in identify(head)), default=0)
    con = duckdb.connect()
    con.execute(schema.ddl())
    known.read(Reading(con, 1, unpack(tmp_path / "runner.log"), head, ReadOptions()))
    [row] = sample.rows["event"]
    assert con.execute(f"SELECT {', '.join(row)} FROM event").fetchall() == [tuple(row.values())]


@pytest.mark.parametrize("target", ["report", "test", "setup", "lab", "lint", "bench"])
def test_make_targets_named_exist(target: str) -> None:
    assert f"make {target}" in README.read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_exit_codes_named_are_those_of_the_program() -> None:
    from connforensics import cli, errors

    text = README.read_text(encoding="utf-8")
    codes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.ConnforensicsError)
    }
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes | {0, cli.EXIT_INCIDENT}


DOCTESTED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "connforensics").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", DOCTESTED)
def test_examples_in_docstrings_hold(name: str) -> None:
    import doctest

    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_nothing_committed_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    assert "--hash=sha256:" in lock
    assert not [name for name in listed if name.endswith((".pyc", ".duckdb", ".log.1"))]


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
