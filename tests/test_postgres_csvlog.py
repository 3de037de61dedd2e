"""A csvlog becomes events: records over lines and blocks, torn ones, and the corpus."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import duckdb
import pytest

from connforensics.evidence import ReadOptions, lines
from connforensics.ingest import ingest
from tests.corpus import CORPUS, manifest
from tests.test_postgres_log import COUNTED, truths

LOGS = [*manifest("pg_log_csv"), *(row for row in manifest("pg_log_stderr") if "anonymize" in row["file"])]


def read(
    path: Path, folder: Path, options: ReadOptions | None = None
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Ingest one file; return its line of `source` and its events."""
    case = folder / "case.duckdb"
    case.unlink(missing_ok=True)
    ingest(case, [path], options)
    with duckdb.connect(str(case), read_only=True) as con:
        [source] = con.sql("SELECT * FROM source").to_arrow_table().to_pylist()
        events = con.sql("SELECT * FROM event ORDER BY line_no").to_arrow_table().to_pylist()
    return source, events


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus of real logs")
@pytest.mark.parametrize("row", LOGS, ids=lambda row: row["file"].rsplit("/", 1)[-1])
def test_real_logs_give_the_counts_of_their_manifest(row: dict[str, str], tmp_path: Path) -> None:
    source, _ = read(CORPUS / row["file"], tmp_path)
    truth = truths(row)
    with duckdb.connect(str(tmp_path / "case.duckdb"), read_only=True) as con:
        # The manifest counts fewer things in a csvlog: testlog2 has a start of the server that it leaves out.
        for name in COUNTED.keys() & truth.keys():
            [(count,)] = con.execute(f"SELECT count(*) FROM event WHERE {COUNTED[name]}").fetchall()
            assert count == int(truth[name]), name
    assert source["format"] == "postgres_csvlog"
    assert source["unknown"] == 0
    assert source["lines"] == int(row["lines"])


def record(
    number: int,
    message: str,
    *,
    detail: str = "",
    query: str = "",
    application: str = "web",
    label: str = "LOG",
    state: str = "00000",
) -> str:
    """Return a record as the server's csv writer makes it."""
    out = io.StringIO()
    fields = [
        f"2026-03-02 08:{number // 60 % 60:02d}:{number % 60:02d}.000 UTC", "app", "shop", str(number), "10.0.0.5:41234",
        f"6b010b19.{number:x}", "1", "SELECT", "2026-03-02 08:00:00 UTC", "3/7", "0", label, state, message, detail, "",
        "", "", "", query, "", "", application, "client backend", "", "0",
    ]  # fmt: skip
    csv.writer(out, lineterminator="\n").writerow(fields)
    return out.getvalue()


def test_a_record_over_blocks_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind a statement of many lines is read wherever a block or a slice ends."""
    monkeypatch.setattr(lines, "BATCH_BYTES", 700)
    monkeypatch.setattr(lines.slices, "__defaults__", (3000,))
    text, expected = "", []
    for number in range(1, 200):
        expected.append((text.count("\n") + 1, f"app {number}"))
        query = "SELECT 1\n" * (number % 13) + 'x, "y"'
        text += record(
            number,
            "canceling statement due to user request",
            query=query,
            application=f"app {number}",
            label="ERROR",
            state="57014",
        )
    path = tmp_path / "server.csv"
    path.write_text(text)
    source, events = read(path, tmp_path)
    assert [(event["line_no"], event["application_name"]) for event in events] == expected
    assert {event["kind"] for event in events} == {"statement_cancelled"}
    assert source["unknown"] == 0
    assert source["understood"] == len(expected)


def test_a_torn_record_swallows_nothing(tmp_path: Path) -> None:
    whole = record(2, "connection received: host=10.0.0.5 port=1")
    text = (
        'end of a record"",,,,\n'
        + record(1, "statement: SELECT '\n'")[:-40]
        + "\n"
        + whole
        + "rubbish about a connection\n"
        + whole
    )
    path = tmp_path / "server.csv"
    path.write_text(text)
    source, events = read(path, tmp_path, ReadOptions(format="postgres_csvlog"))
    assert [event["line_no"] for event in events] == [3, 5]
    assert (source["unknown"], source["suspects"]) == (2, 1)


def test_a_detail_and_names_with_quotes(tmp_path: Path) -> None:
    text = record(
        7, 'role "x" is not permitted to log in', detail='Connection matched "a"\nfile', label="FATAL", state="28000"
    )
    path = tmp_path / "server.csv"
    path.write_text(text * 2)
    _, events = read(path, tmp_path)
    assert [(event["user_name"], event["reason"], event["detail"]) for event in events] == [
        ("x", "no_login", 'Connection matched "a"\nfile')
    ] * 2
