"""What the recorder leaves is whole after every sample, whatever ends it; and it removes only what is its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.case import open_case
from connforensics.errors import UsageError
from connforensics.evidence.containers import unpack
from connforensics.ingest import ingest
from connforensics.record import amounts
from connforensics.record.files import File, Folder, Lines, Retention
from connforensics.record.run import Plan, Watch
from connforensics.record.target import GAUGES, Rows, Sample, Stamp
from connforensics.record.trigger import Bar, Ring

NOW = datetime(2026, 11, 21, 3, 12)


def text_of(path: Path) -> str:
    unpacked = unpack(path)
    whole = b"".join(unpacked.blocks())
    assert not unpacked.is_truncated
    return whole.decode()


def stamp(moment: datetime = NOW) -> Stamp:
    return Stamp("postgres", "16.4", None, moment, "server", moment)


def sample(pids: range, moment: datetime = NOW) -> bytes:
    rows = Rows(("pid", "state", "backend_type"), [(pid, "idle", "client backend") for pid in pids])
    return Lines().of("activity", stamp(moment), rows, lambda text: text)


def test_what_rests_costs_little_however_many_sessions_there_are(tmp_path: Path) -> None:
    rows = Rows(
        ("pid", "client_addr", "query"),
        [(pid, f"10.0.{pid % 200}.{pid % 250}", f"SELECT {pid} {'x' * 500}") for pid in range(5000)],
    )
    lines, file, sizes = Lines(), File(tmp_path / "x.zst"), []
    for second in range(5):
        file.append(lines.of("activity", stamp(NOW + timedelta(seconds=second)), rows, lambda text: text))
        sizes.append(file.bytes)
    file.close()
    assert sizes[-1] - sizes[-2] < 1000
    assert text_of(file.path).count('"pid":7,') == 5


def test_a_file_is_whole_after_every_sample(tmp_path: Path) -> None:
    file = File(tmp_path / "x.zst")
    written = ""
    for number in range(50):
        text = f"sample {number} " + "x" * number * 50 + "\n"
        file.append(text.encode())
        written += text
        assert text_of(file.path) == written
    file.close()
    assert text_of(file.path) == written


def test_another_unpacker_reads_it_while_it_grows(tmp_path: Path) -> None:
    file = File(tmp_path / "x.zst")
    for number in range(3):
        file.append(f"{number}\n".encode())
        read = (
            f"SELECT * FROM read_csv('{file.path}', columns={{'number': 'INTEGER'}}, header=false, compression='zstd')"
        )
        assert duckdb.sql(read).fetchall() == [(before,) for before in range(number + 1)]
    file.close()


WRITER = """
import sys, time
from pathlib import Path
from connforensics.record.files import File
file = File(Path(sys.argv[1]))
number = 0
while True:
    file.append((f"{number} " + "abcdefgh" * (number % 300) + "\\n").encode())
    number += 1
    if number == 20:
        print("ready", flush=True)
"""


def test_killed_at_any_moment_it_reads_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.zst"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    lines = text_of(path).splitlines()
    assert len(lines) >= 20
    assert [line.split()[0] for line in lines] == [str(number) for number in range(len(lines))]


@pytest.fixture
def no_larger_than() -> Callable[[int], None]:
    """Let no file of this process grow above a size: writes come back short, then fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_what_does_not_fit_leaves_the_samples_before_whole(
    tmp_path: Path, no_larger_than: Callable[[int], None]
) -> None:
    file = File(tmp_path / "x.zst")
    no_larger_than(4000)
    written = ""
    with contextlib.suppress(OSError):
        while True:
            text = os.urandom(200).hex() + "\n"
            file.append(text.encode())
            written += text
    assert len(written) > 1000
    assert text_of(file.path) == written
    file.close()
    assert text_of(file.path) == written


def test_a_full_disk_is_said_once_and_writing_goes_on_when_there_is_space(
    tmp_path: Path, no_larger_than: Callable[[int], None]
) -> None:
    said: list[str] = []
    folder = Folder(tmp_path / "db", 1 << 30, said.append, lambda: said.append("space"))
    assert folder.append("activity", NOW, sample(range(5)))
    no_larger_than(0)
    assert not folder.append("activity", NOW, sample(range(6)))
    assert not folder.append("activity", NOW, sample(range(6)))
    no_larger_than(resource.RLIM_INFINITY)
    assert folder.append("activity", NOW, sample(range(7)))
    folder.close()
    assert said == ["File too large", "space"]
    assert sum(text_of(path).count('"pid"') for path in (tmp_path / "db").iterdir()) == 12


def test_a_file_a_stream_and_hour(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1 << 30, lambda why: None, lambda: None)
    for hour in range(3):
        for minute in (0, 30, 59):
            folder.append("activity", datetime(2026, 11, 21, hour, minute), b"{}\n")
    folder.append("locks", datetime(2026, 11, 21, 2, 59), b"{}\n")
    folder.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "activity-20261121T000000Z.jsonl.zst",
        "activity-20261121T010000Z.jsonl.zst",
        "activity-20261121T020000Z.jsonl.zst",
        "locks-20261121T025900Z.jsonl.zst",
    ]


def test_a_restart_in_the_same_second_takes_another_name(tmp_path: Path) -> None:
    for _ in range(3):
        folder = Folder(tmp_path, 1 << 30, lambda why: None, lambda: None)
        folder.append("activity", NOW, b"{}\n")
        folder.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_an_old_row_is_the_same_line_and_costs_next_to_nothing(tmp_path: Path) -> None:
    lines = Lines()
    rows = Rows(("pid", "query"), [(pid, f"SELECT {pid}") for pid in range(500)])
    file = File(tmp_path / "x.zst")
    sizes = []
    for second in range(10):
        file.append(lines.of("activity", stamp(NOW + timedelta(seconds=second)), rows, lambda text: text))
        sizes.append(file.bytes)
    file.close()
    assert sizes[-1] - sizes[-2] < 300
    assert text_of(file.path).count('{"pid":7,"query":"SELECT 7"}\n') == 10


def touch(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_retention_removes_the_old_and_the_much_and_nothing_else(tmp_path: Path) -> None:
    old = touch(tmp_path / "db" / "activity-20261110T000000Z.jsonl.zst", 10)
    first = touch(tmp_path / "db" / "activity-20261121T000000Z.jsonl.zst", 400)
    second = touch(tmp_path / "db" / "activity-20261121T010000Z.jsonl.zst", 400)
    held = touch(tmp_path / "db" / "activity-20261109T000000Z.jsonl.zst", 10)
    others = [
        touch(tmp_path / "db" / name, 5000) for name in ("notes.txt", "activity.jsonl.zst", "x-20261121.jsonl.zst")
    ]
    retention = Retention(tmp_path, timedelta(days=7), None, lambda: {held})
    assert retention.enforce(NOW) == [old]
    retention = Retention(tmp_path, None, 500, lambda: {held})
    assert retention.enforce(NOW) == [first]
    assert second.exists()
    assert all(path.exists() for path in others)
    assert Retention(tmp_path, None, None, set).enforce(NOW) == []


def test_the_ring_holds_the_last_minutes(tmp_path: Path) -> None:
    ring = Ring(timedelta(minutes=10))
    for second in range(0, 3600, 5):
        moment = NOW + timedelta(seconds=second)
        ring.add("activity", moment, f"{second}\n".encode(), second)
    begun, frames = ring.parts()["activity"]
    path = tmp_path / "x.zst"
    path.write_bytes(frames)
    seconds = [int(line) for line in text_of(path).split()]
    assert seconds == list(range(seconds[0], 3600, 5))
    assert 3600 - 12 * 60 < seconds[0] <= 3600 - 10 * 60
    assert begun == NOW + timedelta(seconds=seconds[0])
    ring.add("activity", NOW + timedelta(hours=1), b"more\n", 3600)
    path.write_bytes(ring.parts()["activity"][1])
    assert text_of(path).endswith("3595\nmore\n")
    ring.forget("activity")
    assert ring.parts() == {}


def test_the_ring_forgets_also_while_the_clock_of_the_machine_is_set_back(tmp_path: Path) -> None:
    ring = Ring(timedelta(minutes=10))
    for second in range(3600):
        moment = NOW + timedelta(seconds=second) - (timedelta(days=1) if second > 60 else timedelta())
        ring.add("activity", moment, f"{second}\n".encode(), second)
    path = tmp_path / "x.zst"
    path.write_bytes(ring.parts()["activity"][1])
    seconds = [int(line) for line in text_of(path).split()]
    assert seconds == list(range(seconds[0], 3600))
    assert 3600 - 12 * 60 < seconds[0] <= 3600 - 10 * 60


def test_what_the_ring_gives_out_next_is_called_by_its_own_beginning() -> None:
    ring = Ring(timedelta(minutes=10))
    for second in (0, 1):
        ring.add("activity", NOW + timedelta(seconds=second), b"x\n", second)
        assert ring.parts()["activity"][0] == NOW + timedelta(seconds=second)
        ring.forget("activity")


def test_a_file_that_somebody_removed_is_begun_anew(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "db", 1 << 20, print, print)
    assert folder.append("activity", NOW, sample(range(3)))
    for path in folder.paths():
        path.unlink()
    (tmp_path / "db").rmdir()
    assert folder.is_new_hour("activity", NOW), "what stands at the head of each file stands in the next one too"
    assert folder.append("activity", NOW, sample(range(4)))
    (path,) = folder.paths()
    folder.close()
    assert len(text_of(path).splitlines()) == 5


def test_a_file_of_the_ring_takes_the_place_of_no_other(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1 << 20, print, print)
    for _ in range(2):
        assert folder.add_file("activity", NOW, b"")
    assert len(list(tmp_path.iterdir())) == 2


def test_many_servers_share_the_space(tmp_path: Path) -> None:
    """No file being written is removed: those of all servers together must fit."""
    plan = Plan(tmp_path, max_bytes=1 << 20)
    alone, *among = (Watch(Fed(), None, plan, threading.Event(), print, number) for number in (1, 32))  # type: ignore[arg-type]
    for watch, most in ((alone, plan.max_bytes // 16), (among[0], plan.max_bytes // 16 // 32)):
        assert watch._folder is not None
        assert watch._folder.most_bytes == most


def test_a_ring_of_500_sessions_is_cheap() -> None:
    ring = Ring(timedelta(minutes=10))
    for second in range(300):
        ring.add("activity", NOW + timedelta(seconds=second), sample(range(500), NOW + timedelta(seconds=second)))
    assert ring.bytes < 1 << 20


@pytest.mark.parametrize(
    ("text", "gauges", "passes"),
    [
        ("connections>=90%", {"connections": 90.0, "usable": 100.0}, True),
        ("connections>=90%", {"connections": 89.0, "usable": 100.0}, False),
        ("connections>=90%", {"connections": 1000.0}, False),
        ("connections > 50", {"connections": 50.0}, False),
        ("idle_in_transaction_age>60s", {"idle_in_transaction_age": 61.0}, True),
        ("idle_in_transaction_age>1min", {"idle_in_transaction_age": 59.0}, False),
        ("waiting>10", {"waiting": 11.0}, True),
        ("refusals>=1", {"refusals": 0.0}, False),
        ("refusals>=1", {}, False),
    ],
)
def test_bars(text: str, gauges: dict, passes: bool) -> None:
    assert Bar.parse(text).passes(gauges) is passes


@pytest.mark.parametrize(
    "text", ["connections", "usable>1", "load>5", "connections<5", "waiting>50%", "connections>=9s", ""]
)
def test_a_bar_that_cannot_be_watched_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a condition"):
        Bar.parse(text)


@pytest.mark.parametrize("text", ["", "x", "0s", "-1s", "1y", "1 s s"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        amounts.seconds(text, "--every")
    with pytest.raises(UsageError, match="not a size"):
        amounts.size(text or "GB", "--max-size")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=8), st.data())
def test_a_file_torn_anywhere_gives_every_sample_that_was_written_whole(
    tmp_path_factory, sizes: list[int], data: st.DataObject
) -> None:
    """Also those that the unpacker still has in hand when the frame has no end."""
    file = File(tmp_path_factory.mktemp("torn") / "x.zst")
    written, ends, chance = "", [0], random.Random(1)
    for size in sizes:
        text = "".join(f"{chance.randbytes(20).hex()}\n" for _ in range(size))
        file.append(text.encode())
        written += text
        ends.append(file.bytes)
    file.close()
    whole = file.path.read_bytes()
    cut = data.draw(st.integers(4, len(whole)))
    file.path.write_bytes(whole[:cut])
    found = b"".join(unpack(file.path).blocks()).decode()
    assert written.startswith(found)
    certain = sum(end <= cut for end in ends[1:])
    assert found.count("\n") >= sum(sizes[:certain])


def test_a_file_that_grew_since_it_was_measured_is_not_torn(tmp_path: Path) -> None:
    file = File(tmp_path / "x.zst")
    file.append(b"first\n" * 5000)
    size = file.path.stat().st_size
    file.append(b"second\n")
    unpacked = unpack(file.path, size)
    assert b"".join(unpacked.blocks()) == b"first\n" * 5000
    assert not unpacked.is_truncated
    file.close()


def test_a_torn_file_says_so(tmp_path: Path) -> None:
    file = File(tmp_path / "x.zst")
    file.append(b"first\n" * 5000)
    file.append(b"second\n" * 5000)
    file.close()
    file.path.write_bytes(file.path.read_bytes()[:-5])
    unpacked = unpack(file.path)
    assert b"".join(unpacked.blocks()) == b"first\n" * 5000
    assert unpacked.is_truncated


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
def test_a_recording_cut_anywhere_gives_its_whole_samples(
    tmp_path_factory, sizes: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    samples = [sample(range(size), NOW + timedelta(seconds=at)) for at, size in enumerate(sizes)]
    text = b"".join(samples)
    cut = data.draw(st.integers(0, len(text)))
    (folder / "activity.jsonl").write_bytes(text[:cut])
    ends = [sum(map(len, samples[: at + 1])) - 1 for at in range(len(samples))]  # its last line end may be missing
    expected = sum(size for size, end in zip(sizes, ends, strict=True) if end <= cut)
    ingest(folder / "case.duckdb", [folder / "activity.jsonl"])
    with open_case(folder / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM backend_sample") == expected
        assert case.scalar("SELECT count(*) FROM source WHERE lines <> understood + ignored + unknown") == 0


def test_a_file_that_has_grown_brings_only_what_is_new(tmp_path: Path) -> None:
    path, case_path = tmp_path / "activity.jsonl", tmp_path / "case.duckdb"
    for count in (2, 2, 5, 6):
        path.write_bytes(b"".join(sample(range(10), NOW + timedelta(seconds=at)) for at in range(count)))
        ingest(case_path, [path])
    with open_case(case_path) as case:
        assert case.rows("SELECT in_use, count(*) FROM snapshot GROUP BY ALL") == [(10, 6)]
        assert case.scalar("SELECT sum(unknown) FROM source") == 0


def test_samples_lie_across_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from connforensics.evidence import lines

    monkeypatch.setattr(lines, "BATCH_BYTES", 700)
    monkeypatch.setattr(lines.slices, "__defaults__", (1500,))
    path = tmp_path / "activity.jsonl"
    path.write_bytes(b"".join(sample(range(17), NOW + timedelta(seconds=at)) for at in range(40)))
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT in_use, count(*) FROM snapshot GROUP BY ALL") == [(17, 40)]
        assert case.rows("SELECT understood, ignored, unknown FROM source") == [(680, 40, 0)]


class Fed:
    """A target whose samples are made up, so that a day passes in seconds."""

    name, engine, version, own, place, gauges = "fed", "postgres", "16.4", 1, "127.0.0.1:5432", GAUGES


def test_a_day_at_speed_leaves_memory_flat_and_the_disk_within_its_limit(tmp_path: Path) -> None:
    stop = threading.Event()
    plan = Plan(tmp_path, keep=timedelta(hours=6), max_bytes=2 << 20)
    watch = Watch(Fed(), None, plan, stop, print)  # type: ignore[arg-type]
    retention = Retention(tmp_path, plan.keep, plan.max_bytes, watch.open_paths)
    settings = Rows(("name", "setting"), [("max_connections", "100")])
    columns = ("pid", "state", "backend_type", "query")
    resident = []
    for second in range(0, 86_400, 5):
        clock = NOW + timedelta(seconds=second)
        rows = [(pid, "idle", "client backend", f"SELECT {second if pid < 5 else pid}") for pid in range(40)]
        sample = Sample(clock, {"activity": Rows(columns, rows)}, {}, NOW, {"settings": settings}, 1.0)
        watch._store(sample, clock, 0.0, 1.0)
        if second % 600 == 0:
            retention.enforce(clock)
        if second % 3600 == 0:
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert max(resident[2:]) - resident[2] < 4 << 20
    held = list(tmp_path.rglob("*.zst"))
    assert sum(path.stat().st_size for path in held) <= plan.max_bytes + (256 << 10)
    hours = {path.name.partition("-")[2][:11] for path in held if path.name.startswith("activity")}
    assert 5 <= len(hours) <= 8
    heads = [
        json.loads(line) for path in held if path.name.startswith("settings") for line in text_of(path).splitlines()[:1]
    ]
    assert {head["rows"] for head in heads} == {1}, "settings stand at the head of every hour"
    assert len(heads) >= len(hours) - 1
    watch._folder.close()  # type: ignore[union-attr]


def test_lines_are_json_whatever_a_session_says() -> None:
    rows = Rows(("pid", "query", "raw"), [(1, 'a"b\\c\n\x00\udcff', b"\xff\x00"), (2, None, ["x", None])])
    text = Lines().of("activity", stamp(), rows, lambda text: text)
    head, first, second = map(json.loads, text.splitlines())
    assert head["rows"] == 2
    assert first["query"].startswith('a"b\\c\n\x00')
    assert second == {"pid": 2, "query": None, "raw": ["x", None]}
