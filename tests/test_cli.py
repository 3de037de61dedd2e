"""The command line as somebody at three in the morning meets it: two clear lines, the right code, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from connforensics.causes import CAUSES
from connforensics.ingest import ingest

ROOT = Path(__file__).parent.parent
LEAK, CALM = ROOT / "data/pool-leak", ROOT / "data/calm-day"


def run(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from connforensics.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        **more,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="session")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("leak") / "case.duckdb"
    ingest(case, [LEAK / "evidence"])
    return case


def assert_two_lines(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    lines = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("reading ", "writing ", "note: ", "not recognised: "))
    ]
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("       ")
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in done.stderr


def test_verdict_on_the_leak_as_json(leak: Path) -> None:
    found = json.loads(run("verdict", leak, "--json").stdout)
    assert found["cause"] == "connection_leak"
    assert [each["cause"] for each in found["ranking"]]
    assert {each["cause"] for each in found["ranking"]} == set(CAUSES)
    weights = [each["weight_db"] for each in found["ranking"]]
    assert weights == sorted(weights, reverse=True)
    cited = [citation for each in found["ranking"] for fact in each["for"] for citation in fact["citations"]]
    assert cited
    for citation in cited:
        path, _, line_no = citation.rpartition(":")
        assert 1 <= int(line_no) <= len((LEAK / "evidence" / path).read_text().splitlines())


def test_every_question_prints_text_and_json(leak: Path) -> None:
    names = json.loads(run("ask", "list", "--json").stdout)
    for name, question in names.items():
        answer = json.loads(run("ask", name, leak, "--json").stdout)
        assert answer["question"] == question
        assert answer["headline"].endswith(".")
        assert len(answer["rows"]) <= 2000
    assert "peak" in run("ask", "timeline", leak).stdout


def test_coverage_has_the_shape_that_others_rely_on(leak: Path) -> None:
    found = json.loads(run("coverage", leak, "--json").stdout)
    assert {"sources", "blind_spots", "unanswerable"} == found.keys()
    for source in found["sources"]:
        assert source["understood"] + source["ignored"] + source["unknown"] == source["lines"]
        for key in (
            "path",
            "format",
            "engine",
            "version",
            "sha256",
            "first_at",
            "last_at",
            "assumptions",
            "kinds",
            "reasons",
            "samples",
            "unknown_examples",
        ):
            assert key in source


def test_fail_on(leak: Path) -> None:
    assert run("verdict", leak, "--fail-on", "any").returncode == 10
    assert run("verdict", leak, "--fail-on", "connection_leak").returncode == 10
    assert run("verdict", leak, "--fail-on", "lock_pileup").returncode == 0
    assert_two_lines(run("verdict", leak, "--fail-on", "gremlins"), 2, "gremlins")


def test_an_unknown_file(tmp_path: Path) -> None:
    (tmp_path / "shopping.txt").write_text("eggs\nmilk\n")
    done = run("ingest", tmp_path / "case.duckdb", tmp_path / "shopping.txt")
    assert_two_lines(done, 3, "nothing about connections was understood")
    assert "no format recognises it" in done.stderr


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    assert_two_lines(run("ingest", tmp_path / "case.duckdb", tmp_path / "empty.log"), 3)


def test_a_log_with_no_connection_lines(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.log"
    log.write_text(
        "".join(
            f'2026-11-21 10:00:{second:02}.000 UTC [7] ERROR:  syntax error at or near "x"\n' for second in range(60)
        )
    )
    assert_two_lines(run("ingest", tmp_path / "case.duckdb", log), 3)
    assert_two_lines(run("verdict", tmp_path / "case.duckdb"), 3)


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "a.log").write_text("x\n")
    locked.chmod(0)
    as_other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        if as_other and not os.access(sys.executable, os.X_OK):
            pytest.skip("another user cannot run this Python")
        probe = subprocess.run([sys.executable, "-c", ""], capture_output=True, **as_other) if as_other else None
        if probe is not None and probe.returncode:
            pytest.skip("another user cannot run this Python")
        assert_two_lines(run("ingest", tmp_path / "case.duckdb", locked, **as_other), 2, "locked")
    except PermissionError:
        from connforensics.errors import EvidenceError

        with pytest.MonkeyPatch.context() as patch:

            def refuse(path: object, onerror: object = None, **_: object) -> object:
                onerror(PermissionError(13, "Permission denied", str(path)))  # type: ignore[operator]
                return iter(())

            patch.setattr(os, "walk", refuse)
            with pytest.raises(EvidenceError, match="Permission denied"):
                ingest(tmp_path / "case.duckdb", [locked])
    finally:
        locked.chmod(0o700)


def test_a_case_that_is_not_one(tmp_path: Path) -> None:
    foreign = tmp_path / "notes.duckdb"
    foreign.write_text("these are my notes\n" * 1000)
    assert_two_lines(run("verdict", foreign), 2, "not a case file")
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).execute("CREATE TABLE t (i INTEGER)").close()
    assert_two_lines(run("verdict", other), 2, "not a case")
    assert_two_lines(run("verdict", tmp_path / "missing.duckdb"), 2, "no such case")
    assert_two_lines(run("verdict", tmp_path), 2, "folder")


def test_a_case_of_a_newer_schema(leak: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.duckdb"
    newer.write_bytes(leak.read_bytes())
    con = duckdb.connect(str(newer))
    con.execute("UPDATE case_info SET value = '999' WHERE name = 'schema_version'")
    con.close()
    assert_two_lines(run("verdict", newer), 2, "newer")
    assert_two_lines(run("ingest", newer, LEAK / "evidence/workers.csv"), 2, "newer")


def test_since_after_until(leak: Path) -> None:
    for command in (
        ["verdict", leak],
        ["ask", "churn", leak],
        ["coverage", leak],
        ["report", leak, "-o", leak.parent / "r"],
    ):
        assert_two_lines(run(*command, "--since", "2026-11-22", "--until", "2026-11-21"), 2, "--since", "--until")
    assert_two_lines(run("verdict", leak, "--since", "yesterday"), 2, "yesterday")


def test_an_unknown_question(leak: Path) -> None:
    assert_two_lines(run("ask", "meaning_of_life", leak), 2, "meaning_of_life", "saturation")


def test_an_unknown_notebook_parameter(leak: Path, tmp_path: Path) -> None:
    assert_two_lines(run("report", leak, "-o", tmp_path / "out", "-p", "colour=red"), 2, "colour")


def test_a_missing_path(tmp_path: Path) -> None:
    assert_two_lines(run("report", tmp_path / "missing", "-o", tmp_path / "out"), 2, "missing")


def test_an_option_that_does_not_exist(leak: Path) -> None:
    done = run("verdict", leak, "--loud")
    assert done.returncode == 2
    assert "--loud" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_window_outside_the_evidence_concludes_nothing(leak: Path) -> None:
    done = run("verdict", leak, "--since", "2001-01-01", "--until", "2001-01-02", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["cause"] == "undetermined"


def test_formats_are_listed() -> None:
    listed = json.loads(run("formats", "--json").stdout)
    assert "postgres_log" in listed
    assert all(listed.values())


def test_report_on_evidence_writes_everything(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("report", LEAK / "evidence", "-o", out)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "connection_leak" in done.stdout
    assert {path.name for path in out.iterdir() if path.is_file()} >= {
        "index.html",
        "report.md",
        "findings.json",
        "postmortem.ipynb",
        "case.duckdb",
    }
    assert json.loads((out / "findings.json").read_text())["cause"] == "connection_leak"
    again = run("report", LEAK / "evidence", "-o", out, "--title", "The night of the <vouchers>")
    assert again.returncode == 0, again.stderr
    assert "<title>The night of the &lt;vouchers&gt; · " in (out / "index.html").read_text()
