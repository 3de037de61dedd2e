"""The command line of the recorder says what it wants, and refuses the rest before it connects anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from connforensics.cli_record import app
from connforensics.errors import UnreachableError, UsageError
from tests.lab.server import free_port


def run(*arguments: str) -> object:
    return app(args=list(arguments), standalone_mode=False)


@pytest.mark.parametrize("kind", ["postgres", "mysql", "pgbouncer", "proxysql", "prometheus", "many"])
def test_every_kind_has_its_help(kind: str) -> None:
    shown = CliRunner().invoke(app, [kind, "--help"])
    assert shown.exit_code == 0
    assert "--out" in shown.stdout
    if kind not in ("prometheus",):
        for option in ("--every", "--for", "--keep", "--max-size", "--trigger", "--query-text", "--then"):
            assert option in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--every", "fast"], "--every 'fast': not a duration"),
        (["--keep", "7x"], "--keep '7x': not a duration"),
        (["--max-size", "big"], "--max-size 'big': not a size"),
        (["--query-text", "some"], "--query-text 'some': no such way"),
        (["--trigger", "load>1"], "--trigger 'load>1': not a condition"),
        (["--then", "true"], "there is no --trigger"),
        (["--name", "a/b"], "--name 'a/b': not a name"),
        (["--name", "a", "host=other"], "several are given"),
        (["host=db"], "two targets are called"),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("postgres", "host=db", "-o", str(tmp_path / "rec"), *arguments)
    assert said in caught.value.what
    assert caught.value.hint
    assert not (tmp_path / "rec").exists()


def test_nobody_there_is_exit_code_4(tmp_path: Path) -> None:
    for kind, target in (
        ("postgres", f"host=127.0.0.1 port={free_port()} user=x"),
        ("mysql", f"x@127.0.0.1:{free_port()}"),
    ):
        with pytest.raises(UnreachableError):
            run(kind, target, "-o", str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "target", "more", "said"),
    [
        ("mysql", "mysql://u@h/?port=abc", [], "port is no number"),
        ("mysql", "mysql://u@h/?extra_port=abc", [], "extra_port is no number"),
        ("mysql", "u@h", ["--defaults-file", "absent.cnf"], "absent.cnf: No such file"),
        ("pgbouncer", "host=h", ["--trigger", "idle_in_transaction_age>1s"], "does not tell idle_in_transaction_age"),
        ("proxysql", "u@h", ["--trigger", "waiting>1"], "does not tell waiting"),
    ],
)
def test_what_could_never_work_is_said_at_once(
    kind: str, target: str, more: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run(kind, target, "-o", str(tmp_path / "rec"), *more)
    assert said in caught.value.what
    assert not (tmp_path / "rec").exists()


def test_absent_drivers_are_said_with_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="recording needs psycopg, pymysql, zstandard") as caught:
        run("postgres", "host=db", "-o", str(tmp_path))
    assert "connforensics[record]" in str(caught.value.hint)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        run("many", str(tmp_path / "no.toml"), "-o", str(tmp_path))


def test_mysqls_parameters_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown parameter 'sslca'"):
        run("mysql", "mysql://u@h/?sslca=x", "-o", str(tmp_path))
