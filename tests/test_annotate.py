"""Notes of people in a case: stored once, cited, and refused where they say nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connforensics.annotate import annotate
from connforensics.case import open_case
from connforensics.errors import UsageError
from connforensics.ingest import ingest


def test_a_note_is_a_source_of_its_own_and_stands_in_the_timeline(tmp_path: Path) -> None:
    case_path = tmp_path / "case.duckdb"
    annotate(case_path, "2026-11-21T03:20:00Z", "rolled back orders to 4.1")
    with open_case(case_path) as case:
        assert case.rows("SELECT event_at, kind, reason, detail, line_no FROM event") == [
            (datetime(2026, 11, 21, 3, 20), "annotation", "rollback", "rolled back orders to 4.1", 1)
        ]
        assert case.rows("SELECT path, format, lines, understood, first_at FROM source") == [
            ("annotation: 2026-11-21T03:20:00Z", "annotation", 1, 1, datetime(2026, 11, 21, 3, 20))
        ]
        assert case.rows("SELECT what, citation FROM happening") == [
            ("rolled back orders to 4.1", "annotation: 2026-11-21T03:20:00Z:1")
        ]


def test_the_same_note_twice_is_stored_once_and_another_one_beside_it(tmp_path: Path) -> None:
    case_path = tmp_path / "case.duckdb"
    for text in ("restarted orders", "restarted  orders\n", "called the vendor"):
        annotate(case_path, "2026-11-21 04:20", text, "Europe/Berlin")
    with open_case(case_path) as case:
        assert case.rows("SELECT event_at, detail FROM event ORDER BY detail") == [
            (datetime(2026, 11, 21, 3, 20), "called the vendor"),
            (datetime(2026, 11, 21, 3, 20), "restarted orders"),
        ]


def test_a_note_stands_beside_evidence(tmp_path: Path) -> None:
    marks = tmp_path / "marks.csv"
    marks.write_text("time,kind,text\n2026-11-21T03:05:00Z,deployment,orders 4.2\n")
    ingest(tmp_path / "case.duckdb", [marks])
    annotate(tmp_path / "case.duckdb", "2026-11-21T03:20:00Z", "all calm")
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT source_id, detail FROM event ORDER BY event_at") == [
            (1, "orders 4.2"),
            (2, "all calm"),
        ]


def test_now_is_a_time(tmp_path: Path) -> None:
    annotate(tmp_path / "case.duckdb", "now", "raised max_connections")
    with open_case(tmp_path / "case.duckdb") as case:
        told = case.scalar("SELECT event_at FROM event")
    assert abs((datetime.now(UTC).replace(tzinfo=None) - told).total_seconds()) < 60


@pytest.mark.parametrize(
    ("when", "text", "zone", "says"),
    [
        ("half past three", "x", None, "'half past three' is not a time"),
        ("2026-11-21T03:20:00Z", "  ", None, "the annotation is empty"),
        ("2026-11-21T03:20:00", "x", "Mars/Olympus", "unknown time zone 'Mars/Olympus'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_stored(
    when: str, text: str, zone: str | None, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        annotate(tmp_path / "case.duckdb", when, text, zone)
    assert not (tmp_path / "case.duckdb").exists()
