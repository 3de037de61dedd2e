"""Snapshots of pg_stat_activity in the shapes people keep them, and the rules of what one snapshot is."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import subprocess
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connforensics.evidence import Head, ReadOptions, identify, tables, times
from connforensics.evidence.shapes import blocks, pasted
from connforensics.evidence.snapshots import Snapshots
from tests.lab.postgres import Postgres, require
from tests.test_formats import Read, head_of, read

CORPUS = Path(os.environ.get("CONNFORENSICS_CORPUS", Path(__file__).parents[1] / ".." / "shared" / "corpus"))

HEADER = "sampled_at,pid,usename,state,query\n"


def samples(found: Read, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in columns) for row in found.rows["backend_sample"]]


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{clock}")


# What one snapshot is


def test_rows_of_one_snapshot_share_the_first_rows_time(tmp_path: Path) -> None:
    text = HEADER + (
        "2026-11-21 03:12:00.000100+00,1,a,idle,\n"
        "2026-11-21 03:12:00.000150+00,2,a,idle,\n"
        "2026-11-21 03:12:00.300000+00,3,a,idle,\n"
        "2026-11-21 03:12:01.000100+00,1,a,idle,\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_id", "sampled_at") == [
        (1, at("03:12:00.000100")),
        (2, at("03:12:00.000100")),
        (3, at("03:12:00.000100")),
        (1, at("03:12:01.000100")),
    ]


def test_a_backend_that_stands_again_begins_a_snapshot_though_the_gap_is_small(tmp_path: Path) -> None:
    text = HEADER + (
        "2026-11-21 03:12:00.0+00,1,a,idle,\n2026-11-21 03:12:00.1+00,2,a,idle,\n"
        "2026-11-21 03:12:00.2+00,1,a,idle,\n2026-11-21 03:12:00.3+00,2,a,idle,\n"
    )
    assert Counter(moment for (moment,) in samples(read(text, tmp_path), "sampled_at")) == {
        at("03:12:00"): 2,
        at("03:12:00.200000"): 2,
    }


def test_a_row_multiplied_by_a_join_is_one_backend(tmp_path: Path) -> None:
    text = HEADER + "2026-11-21 03:12:00+00,1,a,idle,\n" * 3 + "2026-11-21 03:12:00+00,2,a,idle,\n"
    found = read(text, tmp_path)
    assert samples(found, "backend_id") == [(1,), (2,)]
    assert found.source["understood"] == 4
    assert "2 rows repeat a backend of their snapshot (as a join does); each is counted once" in found.assumptions


def test_a_repeated_header_begins_a_snapshot_where_rows_bear_no_time(tmp_path: Path) -> None:
    header = "pid,usename,state,query_start\n"
    text = (
        header
        + "1,a,idle,2026-11-21 03:12:00+00\n2,a,idle,2026-11-21 03:11:00+00\n"
        + header
        + "3,a,active,2026-11-21 03:13:00+00\n"
    )
    found = read(text, tmp_path, "activity-20261121T031500Z.csv")
    assert samples(found, "line_no", "backend_id", "sampled_at") == [
        (2, 1, at("03:12:00")),
        (3, 2, at("03:12:00")),
        (5, 3, at("03:13:00")),
    ]
    assert any("a lower bound" in text for text in found.assumptions)
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (3, 2, 0)


def test_snapshots_are_the_same_however_the_rows_are_cut_into_pieces() -> None:
    moments = np.array([0, 5, 9, 1_000_000, 1_000_003, 1_000_009, 1_000_009, 1_100_000, 3_000_000], dtype=np.int64)
    ids = np.array([1, 2, 3, 1, 2, 3, 3, 1, 1], dtype=np.int64)
    anew = np.zeros(len(ids), dtype=bool)
    whole = Snapshots().assign(moments, ids, anew)
    assert whole[0].tolist() == [0, 0, 0, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_100_000, 3_000_000]
    assert whole[1].tolist() == [True] * 6 + [False, True, True]
    for cut in range(1, len(ids)):
        pieces = Snapshots()
        first = pieces.assign(moments[:cut], ids[:cut], anew[:cut])
        second = pieces.assign(moments[cut:], ids[cut:], anew[cut:])
        assert np.concatenate([first[0], second[0]]).tolist() == whole[0].tolist(), cut
        assert pieces.doubles == 1


# When it was taken


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-21 03:12:00.5+00", "03:12:00.500000"),
        ("2026-11-21T03:12:00Z", "03:12:00"),
        ("2026-11-21 05:12:00+02", "03:12:00"),
        ("2026-11-21 08:42:00+05:30", "03:12:00"),
        ("2026-11-20 23:12:00 -0400", "03:12:00"),
        ("2026-11-21 04:12:00 CET", "03:12:00"),
        ("2026-11-21 04:12:00 Europe/Paris", "03:12:00"),
        ("Sat Nov 21 03:12:00 UTC 2026", "03:12:00"),
        ("1795230720", "03:12:00"),
        ("1795230720.25", "03:12:00.250000"),
        ("1795230720250", "03:12:00.250000"),
        ("21/Nov/2026:04:12:00 +0100", "03:12:00"),
    ],
)
def test_sample_times_as_people_write_them(written: str, expected: str, tmp_path: Path) -> None:
    found = read(f"ts;pid;user;state\n{written};7;web;idle\n", tmp_path)
    assert samples(found, "sampled_at") == [(at(expected),)]
    assert not [text for text in found.assumptions if "zone" in text]


def test_times_without_a_zone_are_utc_or_as_told_and_said_to_be(tmp_path: Path) -> None:
    text = "sample_time\tpid\tusename\tstate\n2026-11-21 03:12:00\t7\tweb\tidle\n"
    assumed = read(text, tmp_path)
    assert samples(assumed, "sampled_at") == [(at("03:12:00"),)]
    assert "times without a zone are read as UTC" in assumed.assumptions
    told = read(text, tmp_path, options=ReadOptions(timezone="Europe/Paris"))
    assert samples(told, "sampled_at") == [(at("02:12:00"),)]
    assert "times without a zone are read as Europe/Paris, as told" in told.assumptions


@pytest.mark.parametrize(
    "name",
    [
        "20261121T031200Z.csv",
        "activity_2026-11-21_03-12-00.csv",
        "pg-20261121-031200.csv.1",
        "snap.2026-11-21T03:12:00+00:00.csv",
        "pg_stat_activity_1795230720.csv",
        "a-1795230720000.txt",
    ],
)
def test_the_time_in_a_files_name(name: str, tmp_path: Path) -> None:
    found = read("pid,usename,state\n7,web,idle\n8,web,active\n", tmp_path, name)
    assert samples(found, "sampled_at") == [(at("03:12:00"),)] * 2
    assert "the sample time 2026-11-21 03:12:00 UTC is taken from the file's name" in found.assumptions


def test_a_name_older_than_its_rows_is_not_believed(tmp_path: Path) -> None:
    text = "pid,usename,state,state_change\n7,web,idle,2026-11-21 03:12:00+00\n"
    found = read(text, tmp_path, "act-20261121T021200Z.csv")
    assert samples(found, "sampled_at") == [(at("03:12:00"),)]
    assert any("is earlier than what the rows tell" in text for text in found.assumptions)


def test_nothing_tells_the_time(tmp_path: Path) -> None:
    found = read("pid,usename,state\n7,web,idle\n", tmp_path, "activity.csv")
    assert samples(found, "sampled_at") == [(None,)]
    assert "nothing tells when the snapshot was taken: it has no sample time" in found.assumptions


# Columns


def test_any_order_any_subset_and_other_peoples_names(tmp_path: Path) -> None:
    text = (
        "State|Username|PID|collected_at|App|Client|pg_blocking_pids\n"
        "idle in transaction|orders|12|2026-11-21 03:12:00+00|orders-api|10.0.0.7/32|{4,5}\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_id", "user_name", "application_name", "client_host", "state", "blocked_by") == [
        (12, "orders", "orders-api", "10.0.0.7", "idle in transaction", "4,5")
    ]


@pytest.mark.parametrize("null", ["", "\\N", "NULL"])
def test_null_in_every_writing(null: str, tmp_path: Path) -> None:
    found = read(f"now,pid,usename,application_name,state\n2026-11-21 03:12:00+00,7,web,{null},{null}\n", tmp_path)
    assert samples(found, "application_name", "state") == [(None, None)]


def test_columns_of_version_9_0(tmp_path: Path) -> None:
    text = (
        "now,procpid,usename,client_addr,client_port,waiting,current_query\n"
        "2026-11-21 03:12:00+00,1,a,,-1,f,<IDLE>\n2026-11-21 03:12:00+00,2,a,10.0.0.1,999,f,<IDLE> in transaction\n"
        "2026-11-21 03:12:00+00,3,a,10.0.0.1,998,t,UPDATE t SET x = 1\n"
        "2026-11-21 03:12:00+00,4,b,10.0.0.1,997,f,<insufficient privilege>\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_id", "state", "client_host", "wait_event_type") == [
        (1, "idle", "[local]", None),
        (2, "idle in transaction", "10.0.0.1", None),
        (3, "active", "10.0.0.1", "Lock"),
        (4, None, "10.0.0.1", None),
    ]


def test_another_header_in_the_same_file(tmp_path: Path) -> None:
    text = (
        HEADER
        + "2026-11-21 03:12:00+00,1,a,idle,SELECT 1\n"
        + "ts,query,state,pid,usename\n2026-11-21 03:12:05+00,SELECT 2,active,2,b\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "line_no", "backend_id", "user_name", "query") == [
        (2, 1, "a", "SELECT 1"),
        (4, 2, "b", "SELECT 2"),
    ]
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (2, 2, 0)


def test_rows_that_do_not_fit_are_unknown_with_their_text(tmp_path: Path) -> None:
    text = HEADER + (
        "2026-11-21 03:12:00+00,1,a,idle,SELECT 1\nCOPY 1\nERROR:  connection lost\n\n"
        "later,2,a,idle,\n2026-11-21 03:12:01+00,x,a,idle,\n2026-11-21 03:12:01+00,3,a,idle,SELECT 3\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "line_no", "backend_id") == [(2, 1), (8, 3)]
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (2, 3, 3)


def test_copy_text_format_with_its_escapes(tmp_path: Path) -> None:
    text = "sampled_at\tpid\tusename\tstate\tquery\n2026-11-21 03:12:00+00\t7\tweb\tactive\tSELECT 1,\\n\\t'a\\\\b'\n"
    assert samples(read(text, tmp_path), "query") == [("SELECT 1,\n\t'a\\b'",)]


# Pasted tables


def test_a_paste_that_lost_its_leading_blanks(tmp_path: Path) -> None:
    text = (
        "pid | usename | state | query\n"
        "-----+---------+--------+--------------\n"
        "101 | web     | active | SELECT 1 | 2\n"
        "102 | web     | idle   | SELECT a    +\n"
        "    |         |        | FROM b\n"
        "(2 Zeilen)\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "line_no", "backend_id", "query")[0] == (3, 101, "SELECT 1 | 2")
    assert found.source["unknown"] == 0


def test_text_around_a_paste_is_told_from_the_table(tmp_path: Path) -> None:
    text = (
        "hi, look at this\n\n$ date\nSat Nov 21 03:12:00 UTC 2026\n"
        "postgres=> select pid, usename, state\npostgres-> from pg_stat_activity;\n"
        " pid | usename | state \n-----+---------+-------\n   7 | web     | idle\n(1 row)\n\nTime: 3.2 ms\nbad, isn't it\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "line_no", "sampled_at") == [(9, at("03:12:00"))]
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (1, 10, 2)


def test_unicode_lines_and_wide_letters(tmp_path: Path) -> None:
    text = (
        " pid │ usename │ state  │     query\n─────┼─────────┼────────┼────────────────\n"
        "   7 │ 漢字    │ active │ SELECT '│'    ↵\n     │         │        │ FROM 表\n(1 row)\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_id", "user_name", "query") == [(7, "漢字", "SELECT '│'\nFROM 表")]


def test_a_box_as_drawn_by_border_2(tmp_path: Path) -> None:
    text = (
        "+-----+---------+-------+\n| pid | usename | state |\n+-----+---------+-------+\n"
        "|   7 | web     | idle  |\n|   8 |         |       |\n+-----+---------+-------+\n(2 rows)\n"
    )
    found = read(text, tmp_path)
    assert samples(found, "backend_id", "state") == [(7, "idle"), (8, None)]
    assert found.source["unknown"] == 0


def test_a_file_longer_than_one_window_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pasted, "WINDOW_LINES", 37)
    text = "".join(
        f"Sat 21 Nov 2026 03:12:{second:02d} AM UTC (every 1s)\n\n pid | usename | state\n-----+---------+-------\n"
        + "".join(f" {pid:3d} | web     | idle\n" for pid in range(second % 20))
        + f"({second % 20} rows)\n\n"
        for second in range(60)
    )
    found = read(text, tmp_path)
    assert Counter(moment for (moment,) in samples(found, "sampled_at")) == {
        at(f"03:12:{second:02d}"): second % 20 for second in range(60) if second % 20
    }
    assert found.source["unknown"] == 0


TRUTH = {
    "index-42566434340__multiline_query_plus.txt": {"rows": 9, "idle in transaction": 1, "active": 3},
    "index-67063982333__pg_six_rows.txt": {"rows": 6, "active": 1},
    "index-8887689293__pg90_psql.txt": {"rows": 2},
    "index-9915922593__pg17_wrapped_pager.txt": {"rows": 3, "idle": 1, "active": 1},
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("name", TRUTH)
def test_the_corpus_gives_the_counts_of_its_manifest(name: str, tmp_path: Path) -> None:
    manifest = (CORPUS / "manifest.tsv").read_text(encoding="utf-8")
    row = next(line for line in manifest.splitlines() if name in line)
    truth = dict(TRUTH[name])
    told = truth.pop("rows")
    assert f"declared_rows={told}" in row or f"complete_rows={told}" in row
    found = read((CORPUS / "pg_stat_activity" / name).read_bytes(), tmp_path, name)
    assert found.source["format"] == "postgres_activity"
    assert len(found.rows["backend_sample"]) == told
    states = Counter(state for (state,) in samples(found, "state"))
    assert {state: states[state] for state in truth} == truth


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_nothing_else_in_the_corpus_is_taken_for_a_table_of_ours() -> None:
    own = {"postgres_activity", "postgres_settings", "postgres_database", "postgres_limits", "postgres_locks"}
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.parent.name not in ("pg_stat_activity", CORPUS.name):
            content = path.read_bytes()[: 1 << 18]
            content = gzip.decompress(path.read_bytes())[: 1 << 18] if content[:2] == b"\x1f\x8b" else content
            lines = content.decode(errors="backslashreplace").splitlines()[:2000]
            claims = {claim.name for claim, _ in identify(Head(tuple(lines)))}
            assert not claims & own, path


LOOKALIKES = {
    "pg_stat_replication": "pid,usename,application_name,client_addr,state,sent_lsn,sync_state\n7,repl,s1,10.0.0.1,streaming,0/1,async\n",
    "ps": "pid,ppid,user,state,cmd\n1,0,root,S,init\n",
    "sessions by state": "time,total,active,idle,idle_in_transaction\n2026-11-21T03:12:00Z,4,1,2,1\n",
    "memory": "time,total,used,free,available\n2026-11-21T03:12:00Z,4,1,2,1\n",
    "nginx": "time,active,reading,writing,waiting\n2026-11-21T03:12:00Z,4,1,2,1\n",
    "wide, unnamed": "time,orders,web,billing\n2026-11-21T03:12:00Z,4,1,2\n",
    "application log": "timestamp,level,message\n2026-11-21T03:12:00Z,INFO,deploy started\n",
    "jsonlog": '{"timestamp":"2026-11-21 03:12:00 UTC","user":"web","dbname":"shop","pid":7,"application_name":"a","error_severity":"FATAL","message":"sorry, too many clients already","backend_type":"client backend"}\n',
    "application log as JSON": '{"time":"2026-11-21T03:12:00Z","level":"info","pid":7,"user":"web","state":"up","msg":"hi"}\n',
    "cpu": "time,user,system,idle,iowait\n2026-11-21T03:12:00Z,4,1,2,1\n",
    "php": "[PHP]\nmax_connections = 5\nport = 1\n",
    "pgbouncer.ini": "[pgbouncer]\nlisten_port = 6432\nmax_client_conn = 100\nlog_connections = 1\n",
    "table": " name | value \n------+-------\n a    | 1\n b    | 2\n(2 rows)\n",
}


@pytest.mark.parametrize("what", LOOKALIKES)
def test_lookalikes_are_not_claimed(what: str) -> None:
    claimed = {candidate.name for candidate, _ in identify(head_of(LOOKALIKES[what]))}
    assert not claimed & {"postgres_activity", "postgres_settings"}


# The separated reader

CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: text.strip() not in tables.NULLS
)
DELIMITERS = st.sampled_from(",;\t|")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELL, min_size=1, max_size=8), delimiter=DELIMITERS, block=st.integers(40, 400))
def test_whatever_stands_in_a_quoted_field_comes_back_with_its_line(
    cells: list[str], delimiter: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["sampled_at", "pid", "usename", "state", "query"])
    expected = []
    for pid, cell in enumerate(cells, 1):
        expected.append((target.getvalue().count("\n") + 1, pid, cell.replace("\r\n", "\n")))
        writer.writerow(["2026-11-21 03:12:00+00", pid, "web", "idle", cell])
    content = target.getvalue()
    found = read(content, tmp_path)
    assert samples(found, "line_no", "backend_id", "query") == expected
    assert found.source["lines"] == found.source["understood"] + 1 == content.replace("\r\n", "\n").count("\n")


def test_a_stray_quote_costs_no_other_row(tmp_path: Path) -> None:
    text = HEADER + (
        '2026-11-21 03:12:00+00,1,a,idle,a 5" disk\n2026-11-21 03:12:00+00,2,a,idle,"b\nc"\n'
        '2026-11-21 03:12:00+00,3,a,idle,"never closed\n2026-11-21 03:12:00+00,4,a,idle,d\n'
    )
    found = read(text, tmp_path)
    assert samples(found, "line_no", "backend_id", "query") == [
        (2, 1, 'a 5" disk'),
        (3, 2, "b\nc"),
        (5, 3, '"never closed'),
        (6, 4, "d"),
    ]


def test_bytes_that_are_no_text_stay_in_their_row(tmp_path: Path) -> None:
    content = HEADER.encode() + b"2026-11-21 03:12:00+00,1,a,idle,caf\xe9\n2026-11-21 03:12:00+00,2,a,idle,\xc3\xa9\n"
    assert samples(read(content, tmp_path), "backend_id", "query") == [(1, "caf\\xe9"), (2, "é")]


def test_true_lines_across_blocks_also_when_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4000)
    rows = [f'2026-11-21 03:{n // 600:02d}:{n // 10 % 60:02d}+00,{n},a,idle,"SELECT\n{n}"\n' for n in range(3000)]
    text = HEADER + "".join(rows)
    for content, name in ((text.encode(), "a.csv"), (gzip.compress(text.encode(), mtime=0), "a.csv.gz")):
        found = read(content, tmp_path, name)
        assert samples(found, "line_no", "backend_id") == [(2 + 2 * n, n) for n in range(3000)]
        assert found.source["understood"] == 6000


def test_times_the_casts_do_not_know_are_read_one_by_one() -> None:
    assert times.parse("2026-11-21 03:12:00,250") == at("03:12:00.250000")
    assert times.parse("Saturday") is None
    assert times.in_name("report-v1.2.3.csv") is None


# One snapshot in every shape that psql writes

PSQL = {
    "aligned": (), "border 0": ("-P", "border=0"), "border 2": ("-P", "border=2"), "unicode": ("-P", "linestyle=unicode", "-P", "border=2"),
    "wrapped": ("-P", "format=wrapped", "-P", "columns=300"), "expanded": ("-x",), "expanded, border 2": ("-x", "-P", "border=2"),
    "unaligned": ("-A",), "unaligned, expanded": ("-A", "-x"), "csv": ("--csv",), "html": ("-H",), "html, expanded": ("-H", "-x"),
}  # fmt: skip
STATEMENTS = {
    "COPY text": "COPY snap TO STDOUT WITH (FORMAT text, HEADER true)",
    "COPY csv": "COPY snap TO STDOUT WITH (FORMAT csv, HEADER true)",
    "COPY of row_to_json": "COPY (SELECT row_to_json(s) FROM snap AS s) TO STDOUT",
    "COPY csv of row_to_json": "COPY (SELECT row_to_json(s) FROM snap AS s) TO STDOUT WITH (FORMAT csv, HEADER true)",
    "row_to_json": "SELECT row_to_json(s) FROM snap AS s",
    "json_agg": "SELECT json_agg(s) FROM snap AS s",
    "jsonb_pretty": "SELECT jsonb_pretty(to_jsonb(s)) FROM snap AS s",
}
BARE = {
    "json lines": "SELECT row_to_json(s) FROM snap AS s",
    "bare json_agg": "SELECT json_agg(s) FROM snap AS s",
    "bare pretty": "SELECT jsonb_pretty(jsonb_agg(s)) FROM snap AS s",
    "query_to_xml": "SELECT query_to_xml('SELECT * FROM snap', true, false, '')",
}


def test_one_snapshot_gives_the_same_rows_in_every_shape_that_psql_writes(tmp_path: Path) -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    with Postgres(require(15), logging_collector="off") as server:
        server.connect(application_name="orders").execute("SELECT 1,\n  '|', 'a' AS \"x\"\nFROM pg_class\n\nLIMIT 1")
        server.connect(application_name="web, <app>", autocommit=False).execute("SELECT E'\\\\n <b>&amp;'")
        server.run("CREATE TABLE snap AS SELECT now() AS sampled_at, * FROM pg_stat_activity ORDER BY pid")
        command = ["psql", "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres"]
        runs = {shape: (*options, "-c", "SELECT * FROM snap") for shape, options in PSQL.items()}
        runs |= {shape: ("-c", statement) for shape, statement in STATEMENTS.items()}
        runs |= {shape: ("-At", "-c", statement) for shape, statement in BARE.items()}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
        written = {
            shape: subprocess.run([*command, *run], capture_output=True, check=True, env=environment).stdout
            for shape, run in runs.items()
        }
    told = {}
    for shape, content in written.items():
        found = read(content, tmp_path / shape.replace(" ", "_"), "snap.txt")
        assert found.source["format"] == "postgres_activity", shape
        assert found.source["unknown"] == 0, shape
        told[shape] = [
            {name: value for name, value in row.items() if name not in ("source_id", "line_no")}
            for row in found.rows["backend_sample"]
        ]
    assert {row["application_name"] for row in told["csv"]} >= {"orders", "web, <app>"}
    assert [shape for shape, rows in told.items() if rows != told["csv"]] == []
