"""`identify` says what a file is and why, and for an unknown one where the nearest formats part from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connforensics.cli import app
from connforensics.evidence import Head, formats
from connforensics.identification import agreement, identified, nearest

SAMPLES = [
    pytest.param(known.name, sample.text, id=f"{known.name}-{number}")
    for known in formats().values()
    for number, sample in enumerate(known.samples, 1)
]


@pytest.mark.parametrize(("name", "text"), SAMPLES)
def test_a_sample_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "sample").write_bytes(text.encode())
    [found] = identified([tmp_path / "sample"])
    assert [part.format.name for part in found.parts if part.format] == [name]
    assert name in found.why


def test_the_caret_stands_where_a_line_parts_from_the_nearest_format() -> None:
    line = "2026-11-21 03:12:00.000 UTC <77> FATAL - sorry, too many clients already"
    [near] = nearest(Head(("", line)), ["postgres_log"])
    assert (near.line_no, line[near.column - 1]) == (2, "<")
    shown, caret = near.pointed().split("\n")
    assert shown[caret.index("^")] == "<"
    assert "expected '['" in caret


def test_an_unknown_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "odd.log").write_text("~ orders ~ 21 ~\n" * 3)
    run = CliRunner().invoke(app, ["identify", str(tmp_path / "odd.log")])
    assert run.exit_code == 0
    assert "no format recognises it" in run.output


def test_json_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("nothing of ours\n")
    (tmp_path / "empty").write_text("")
    run = CliRunner().invoke(app, ["identify", "--json", str(tmp_path)])
    told = {each["path"]: each for each in json.loads(run.output)}
    assert told["a.log"]["parts"] == []
    assert told["empty"]["why"] == "it holds no line"


def test_a_missing_path_is_an_error() -> None:
    run = CliRunner().invoke(app, ["identify", "/nowhere"])
    assert run.exit_code != 0


def test_nothing_is_near_to_junk() -> None:
    assert list(nearest(Head(("~~~", "§§")))) == []


@pytest.mark.parametrize(("line", "sample", "agreed"), [("", "a", 0), ("abc 12", "x 999", 6), ("a-b", "a_b", 1)])
def test_agreement(line: str, sample: str, agreed: int) -> None:
    assert agreement(line, sample) == agreed
