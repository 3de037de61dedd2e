"""A jsonlog becomes events, whatever stands around its records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connforensics.evidence import Head, postgres_jsonlog
from connforensics.evidence.messages import postgres as messages
from tests.test_postgres_csvlog import read

WITHIN = {
    "server": lambda record: record,
    "logging": lambda record: {"insertId": "x", "jsonPayload": record, "severity": "INFO"},
    "collector": lambda record: {"kubernetes": {"pod": "a"}, "log": {"record": record}},
    "azure": lambda record: {"category": "PostgreSQLLogs", "properties": record},
}


def record(number: int, message: str, **more: object) -> dict[str, object]:
    """Return a record in the server's order."""
    return {
        "timestamp": f"2026-03-02 08:00:{number % 60:02d}.000 UTC",
        "user": "app",
        "dbname": "shop",
        "pid": number,
        "error_severity": "LOG",
        **more,
        "message": message,
        "application_name": "a \\ b",
        "backend_type": "client backend",
    }


@pytest.mark.parametrize("name", WITHIN)
def test_records_are_found_below_any_key(name: str, tmp_path: Path) -> None:
    rows = [record(number, f"connection received: host=10.0.0.5 port={number}") for number in range(1, 50)]
    path = tmp_path / "server.json"
    path.write_text("".join(json.dumps(WITHIN[name](row)) + "\n" for row in rows))
    source, events = read(path, tmp_path)
    assert source["format"] == "postgres_jsonlog"
    assert [(event["line_no"], event["client_port"], event["application_name"]) for event in events] == [
        (number, number, "a \\ b") for number in range(1, 50)
    ]


def test_both_ways_give_the_same(tmp_path: Path) -> None:
    """In the server's order and spacing, and otherwise: every text of the catalogue."""
    quick, slow = [], []
    for number, entry in enumerate(messages.CATALOGUE, 1):
        line = postgres_jsonlog.SAMPLES and postgres_jsonlog._framed(entry.sample, number)
        quick.append(line)
        slow.append(json.dumps(json.loads(line)))
    found = []
    for name, written in (("quick", quick), ("slow", slow)):
        path = tmp_path / f"{name}.json"
        path.write_text("\n".join(written) + "\n")
        source, events = read(path, tmp_path)
        assert source["understood"] == len(messages.CATALOGUE)
        found.append([{key: value for key, value in event.items() if key != "text"} for event in events])
    assert found[0] == found[1]
    assert [event["kind"] for event in found[0]] == [entry.kind for entry in messages.CATALOGUE]


def test_what_is_no_record_is_accounted_for(tmp_path: Path) -> None:
    good = json.dumps(record(1, "connection received: host=10.0.0.5 port=1"))
    text = (
        "\n".join([good, good, '{"logger":"x","msg":"hello"}', '{"logger":"x","msg":"no connection"}', good[:50], good])
        + "\n"
    )
    path = tmp_path / "server.json"
    path.write_text(text)
    source, events = read(path, tmp_path)
    assert [event["line_no"] for event in events] == [1, 2, 6]
    assert (source["understood"], source["ignored"], source["unknown"]) == (3, 1, 2)


def test_other_json_is_not_claimed() -> None:
    lines = tuple(
        json.dumps({"level": "ERROR", "message": "FATAL:  sorry, too many clients already", "pid": 1})
        for _ in range(20)
    )
    assert postgres_jsonlog.certainty(Head(lines)) == 0.0
