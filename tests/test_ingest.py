"""Ingest keeps its promises: once, whole or not at all, accounted for, and clear about what it could not read."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from connforensics.case import create_or_open, open_case
from connforensics.errors import CaseError, EvidenceError, UsageError
from connforensics.evidence import ReadOptions
from connforensics.ingest import ingest

LINES = [
    line
    for number in range(200)
    for line in (
        f"2026-11-21 10:{number // 60:02}:{number % 60:02}.000 UTC [{number + 100}] LOG:  connection received: host=10.0.0.1 port={number + 1000}",
        f"2026-11-21 10:{number // 60:02}:{number % 60:02}.001 UTC [{number + 100}] LOG:  connection authorized: user=app database=shop",
        f"2026-11-21 10:{number // 60:02}:{number % 60:02}.900 UTC [{number + 100}] LOG:  disconnection: session time: 0:00:00.900 user=app "
        f"database=shop host=10.0.0.1 port={number + 1000}",
    )
]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def events(case: Path) -> int:
    with open_case(case) as opened:
        return int(opened.scalar("SELECT count(*) FROM event"))


def test_the_same_file_twice_is_stored_once(tmp_path: Path) -> None:
    log, case = write(tmp_path / "a.log", LINES), tmp_path / "case.duckdb"
    assert [each.outcome for each in ingest(case, [log])] == ["ingested"]
    (tmp_path / "copy.log").write_bytes(log.read_bytes())
    assert [each.outcome for each in ingest(case, [log, tmp_path / "copy.log"])] == ["already there", "already there"]
    assert events(case) == len(LINES)


def test_overlapping_rotations_do_not_double_events(tmp_path: Path) -> None:
    case = tmp_path / "case.duckdb"
    ingest(case, [write(tmp_path / "log.1", LINES[:400]), write(tmp_path / "log", LINES[300:])])
    assert events(case) == len(LINES)
    with open_case(case) as opened:
        assert opened.rows("SELECT path, understood, duplicates FROM source ORDER BY source_id") == [
            ("log.1", 400, 0),
            ("log", 300, 100),
        ]


def test_genuine_repetitions_stay(tmp_path: Path) -> None:
    line = "2026-11-21 10:00:00 UTC [7] LOG:  received SIGHUP, reloading configuration files"
    case = tmp_path / "case.duckdb"
    ingest(case, [write(tmp_path / "a.log", [line, line, *LINES[:3]])])
    assert events(case) == 5


def test_every_row_cites_its_physical_line(tmp_path: Path) -> None:
    noise = [
        "2026-11-21 09:00:00.000 UTC [1] ERROR:  syntax error",
        "\tat or near",
        "",
        "\tLOG:  connection received: host=x port=1",
    ]
    case = tmp_path / "case.duckdb"
    ingest(case, [write(tmp_path / "a.log", [*noise, *LINES])])
    with open_case(case) as opened:
        assert opened.rows("SELECT min(line_no), max(line_no), count(*) FROM event") == [
            (5, 4 + len(LINES), len(LINES))
        ]


def test_a_kill_halfway_leaves_each_source_in_or_out(tmp_path: Path) -> None:
    case = tmp_path / "case.duckdb"
    ingest(case, [write(tmp_path / "first.log", LINES)])
    big = tmp_path / "big.log"
    with big.open("w", encoding="utf-8") as file:
        for day in range(1, 28):
            for _ in range(60):
                file.write("\n".join(line.replace("-11-21", f"-10-{day:02}") for line in LINES) + "\n")
    code = f"from connforensics.ingest import ingest; ingest({str(case)!r}, [{str(big)!r}])"
    running = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.poll() is None:
        wal = Path(f"{case}.wal")
        if wal.exists() and time.monotonic() > deadline - 29:
            break
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    with open_case(case) as opened:
        stored = dict(opened.rows("SELECT source_id, lines FROM source"))
        counted = dict(opened.rows("SELECT source_id, count(*) FROM event GROUP BY 1"))
    assert counted.keys() == stored.keys()
    assert counted[1] == len(LINES)


def test_a_truncated_gzip_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(LINES * 20).encode())
    path = tmp_path / "log.gz"
    path.write_bytes(packed[: len(packed) // 2])
    case = tmp_path / "case.duckdb"
    (outcome,) = ingest(case, [path])
    assert outcome.outcome == "ingested"
    assert "ends before its end mark" in outcome.why
    with open_case(case) as opened:
        assert opened.rows("SELECT is_truncated FROM source") == [(True,)]
        assert opened.scalar("SELECT count(*) FROM event") > 100


def test_gzip_gives_the_same_rows(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.duckdb", tmp_path / "packed.duckdb"
    log = write(tmp_path / "a.log", LINES)
    (tmp_path / "b").write_bytes(gzip.compress(log.read_bytes()))
    ingest(plain, [log])
    ingest(packed, [tmp_path / "b"])
    with open_case(plain) as one, open_case(packed) as other:
        sql = "SELECT * EXCLUDE (source_id) FROM event ORDER BY line_no"
        assert one.rows(sql) == other.rows(sql)


def test_an_unknown_file_is_said_to_be_unknown_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "shopping.txt", ["eggs", "milk", "too many connections to the garden hose"])
    write(tmp_path / "a.log", LINES)
    (tmp_path / "empty.log").touch()
    outcomes = {each.path: each.outcome for each in ingest(tmp_path / "case.duckdb", [tmp_path])}
    assert outcomes == {"a.log": "ingested", "empty.log": "empty", "shopping.txt": "unknown"}
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT lines, unknown, suspects FROM source WHERE path = 'shopping.txt'") == [(3, 3, 1)]


def test_a_missing_path_stores_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", LINES)
    with pytest.raises(EvidenceError, match="no such file"):
        ingest(tmp_path / "case.duckdb", [log, tmp_path / "missing.log"])
    assert not (tmp_path / "case.duckdb").exists()


def test_an_unknown_format_is_a_wrong_use(tmp_path: Path) -> None:
    from connforensics.evidence import ReadOptions

    with pytest.raises(UsageError, match="unknown format"):
        ingest(tmp_path / "case.duckdb", [write(tmp_path / "a.log", LINES)], ReadOptions(format="nonsense"))


def test_a_writer_locks_the_case_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "case.duckdb"
    ingest(path, [write(tmp_path / "a.log", LINES)])
    code = f"import sys; from pathlib import Path; from connforensics.case import create_or_open; c = create_or_open(Path({str(path)!r})); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CaseError, match=rf"being written by .*{holder.pid}"):
            open_case(path)
        holder.communicate("")


def test_many_may_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "case.duckdb"
    ingest(path, [write(tmp_path / "a.log", LINES)])
    code = f"from connforensics import open_case; print(open_case({str(path)!r}).scalar('SELECT count(*) FROM event'))"
    with open_case(path) as case:
        assert case.scalar("SELECT count(*) FROM session") > 0
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(len(LINES))


def test_a_case_from_a_stranger_cannot_reach_outside(tmp_path: Path) -> None:
    path = tmp_path / "case.duckdb"
    create_or_open(path).close()
    secret = write(tmp_path / "secret", ["hunter2"])
    with open_case(path) as case:
        with pytest.raises(duckdb.Error):
            case.rows(f"SELECT * FROM read_text('{secret}')")
        with pytest.raises(duckdb.Error):
            case.rows("SET enable_external_access = true")


@pytest.mark.parametrize("squatter", ["VIEW session AS SELECT 1 AS outcome", "TABLE refusal (kind VARCHAR)"])
def test_a_case_cannot_pass_off_its_own_answers_as_ours(tmp_path: Path, squatter: str) -> None:
    path = tmp_path / "case.duckdb"
    create_or_open(path).close()
    duckdb.connect(str(path)).execute(f"CREATE {squatter}").close()
    with pytest.raises(CaseError, match="names that are ours"):
        open_case(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_evidence_without_a_name_is_of_the_only_server_that_has_one(tmp_path: Path) -> None:
    log = write(tmp_path / "server.log", LINES)
    snapshot = write(
        tmp_path / "activity.csv",
        [
            "now,pid,usename,datname,application_name,client_addr,backend_start,state,query",
            "2026-11-21 10:00:30+00,130,app,shop,web,10.0.0.1,2026-11-21 10:00:30+00,idle,COMMIT",
        ],
    )
    case = tmp_path / "case.duckdb"
    ingest(case, [snapshot], ReadOptions(server="primary"))
    ingest(case, [log])
    with open_case(case) as opened:
        assert opened.rows("SELECT DISTINCT server FROM source") == [("primary",)]
        assert opened.rows("SELECT server, count(*) FROM event GROUP BY server") == [("primary", len(LINES))]
        [(said,)] = opened.rows("SELECT text FROM assumption WHERE source_id = 2 AND text LIKE '%primary%'")
        assert "only one" in said
    ingest(
        case,
        [write(tmp_path / "b.log", [line.replace("-21 ", "-22 ") for line in LINES])],
        ReadOptions(server="replica"),
    )
    ingest(case, [write(tmp_path / "c.log", [line.replace("-21 ", "-23 ") for line in LINES])])
    with open_case(case) as opened:
        assert opened.rows("SELECT server FROM source ORDER BY source_id") == [
            ("primary",),
            ("primary",),
            ("replica",),
            (None,),
        ]


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        from connforensics.errors import StorageError

        case = small / "case.duckdb"
        ingest(case, [write(tmp_path / "a.log", LINES)])
        big = write(
            tmp_path / "big.log",
            [
                line.replace("-11-21", f"-{month:02}-{day:02}")
                for month in range(1, 11)
                for day in range(1, 28)
                for line in LINES
            ],
        )
        with pytest.raises(StorageError, match="full"):
            ingest(case, [big])
        assert events(case) == len(LINES)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_case_may_be_opened_twice_and_tells_utc_in_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    log = tmp_path / "postgresql.log"
    log.write_text("2026-03-02 08:00:00.000 UTC [31] LOG:  connection received: host=10.0.0.5 port=41234\n")
    ingest(tmp_path / "case.duckdb", [log])
    with open_case(tmp_path / "case.duckdb") as one, open_case(tmp_path / "case.duckdb") as two:
        for case in (one, two):
            assert case.scalar("SELECT current_setting('TimeZone')") == "UTC"
            assert case.scalar("SELECT current_setting('lock_configuration')")
