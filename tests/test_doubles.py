"""One event is one event, however many files tell it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connforensics.case import open_case
from connforensics.evidence.containers import sha256, unpack
from connforensics.ingest import ingest

START = datetime(2026, 11, 21, 3, 12)


def moments(count: int) -> list[datetime]:
    return [START + timedelta(milliseconds=137 * n) for n in range(count)]


def stderr(count: int, fraction: bool = True, stride: int = 1) -> str:
    return "".join(
        f"{at:%Y-%m-%d %H:%M:%S}{f'.{at.microsecond // 1000:03}' if fraction else ''} UTC [{100 + n * stride % 997}] FATAL:  sorry, too many clients already\n"
        for n, at in enumerate(moments(count))
    )


def csvlog(count: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for n, at in enumerate(moments(count)):
        stamp = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"
        writer.writerow(
            (
                *(
                    stamp,
                    "app",
                    "shop",
                    100 + n,
                    f"10.0.0.5:{4000 + n}",
                    f"65a.{100 + n:x}",
                    1,
                    "startup",
                    stamp,
                    "",
                    0,
                ),
                *("FATAL", "53300", "sorry, too many clients already", *[""] * 8, "web", "client backend", "", 0),
            )
        )
    return out.getvalue()


def jsonlog(count: int) -> str:
    return "".join(
        json.dumps(
            {
                "timestamp": f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC", "user": "app", "dbname": "shop",
                "pid": 100 + n, "remote_host": "10.0.0.5", "remote_port": 4000 + n, "session_id": f"65a.{100 + n:x}",
                "line_num": 1, "error_severity": "FATAL", "state_code": "53300", "message": "sorry, too many clients already",
                "backend_type": "client backend",
            }
        )
        + "\n"
        for n, at in enumerate(moments(count))
    )  # fmt: skip


@pytest.mark.parametrize("order", [("stderr", "csvlog", "jsonlog"), ("jsonlog", "stderr", "csvlog")])
@pytest.mark.parametrize("fraction", [True, False])
def test_three_destinations_tell_one_log(order: tuple[str, ...], fraction: bool, tmp_path: Path) -> None:
    contents = {"stderr": stderr(30, fraction), "csvlog": csvlog(30), "jsonlog": jsonlog(30)}
    for number, name in enumerate(order):
        (tmp_path / f"{number}-{name}").write_text(contents[name])
    ingest(tmp_path / "case.duckdb", [tmp_path / f"{number}-{name}" for number, name in enumerate(order)])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT count(*), count(user_name), count(client_port) FROM event") == [(30, 30, 30)]
        assert case.rows("SELECT duplicates FROM source ORDER BY source_id") == [(0,), (30,), (30,)]


def test_two_busy_servers_stay_two(tmp_path: Path) -> None:
    """They share a few pids in the same second by chance."""
    (tmp_path / "a.log").write_text(stderr(200, fraction=False, stride=31))
    (tmp_path / "b.log").write_text(stderr(200, fraction=False, stride=53))
    ingest(tmp_path / "case.duckdb", [tmp_path / "a.log", tmp_path / "b.log"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM event") >= 350


def test_overlapping_snapshots_are_counted_once(tmp_path: Path) -> None:
    header = "time,service,size,checked_out,waiting\n"
    rows = [f"2026-11-21T03:12:{n:02}Z,orders,10,{n},0\n" for n in range(40)]
    (tmp_path / "a.csv").write_text(header + "".join(rows[:25]))
    (tmp_path / "b.csv").write_text(header + "".join(rows[15:]))
    ingest(tmp_path / "case.duckdb", [tmp_path / "a.csv", tmp_path / "b.csv"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT count(*), count(DISTINCT sampled_at) FROM pool_sample") == [(40, 40)]


def test_a_log_that_grew_is_read_again_and_counted_once(tmp_path: Path) -> None:
    whole = stderr(30)
    (tmp_path / "a.log").write_text(whole[: len(whole) // 2])
    ingest(tmp_path / "case.duckdb", [tmp_path / "a.log"])
    (tmp_path / "a.log").write_text(whole)
    ingest(tmp_path / "case.duckdb", [tmp_path / "a.log"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM event") == 30


def test_of_a_log_that_grows_meanwhile_only_what_was_there_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(stderr(30))
    size = path.stat().st_size
    unpacked = unpack(path, size)
    digest = sha256(unpacked)
    with path.open("a") as file:
        file.write(stderr(30))
    assert b"".join(unpacked.blocks()) == stderr(30).encode()
    assert sha256(unpacked) == digest == hashlib.sha256(stderr(30).encode()).hexdigest()
