"""Lines are numbered as they lie in the file, whatever its bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.evidence import lines
from connforensics.evidence.containers import Unpacked, unpack
from connforensics.evidence.lines import slices


def read(path: Path, slice_bytes: int = lines.SLICE_BYTES) -> list[tuple[int, str]]:
    """Every line as DuckDB sees it."""
    found: list[tuple[int, str]] = []
    unpacked = unpack(path)
    if unpacked.is_guessed:
        unpacked = Unpacked(path)
    for table in slices(unpacked, slice_bytes):
        con = duckdb.connect()
        con.register("slice", table)
        found += con.execute("SELECT line_no, text FROM slice ORDER BY line_no").fetchall()
    return found


def expected(data: bytes) -> list[tuple[int, str]]:
    """The same by Python's own means."""
    if b"\n" not in data and b"\r" in data[:-1]:
        data = data.replace(b"\r", b"\n")
    parts = data.split(b"\n")
    if parts[-1] == b"":
        parts.pop()
    return [(n, part.removesuffix(b"\r").decode(errors="backslashreplace")) for n, part in enumerate(parts, 1)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([b"\n", b"\r\n", b"\r", b"\t", b"twelve chars", b"thirteen char", b"\xff", "ä".encode()]),
        ),
        max_size=30,
    )
)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    # An invalid byte makes its whole block be read with escapes; a mark or magic at the start would be a container.
    data = b"x" + b"".join(pieces)
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    assert read(path) == expected(data)


def test_slices_and_blocks_do_not_break_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BATCH_BYTES", 64)
    data = b"".join(b"%d %s\r\n" % (n, b"y" * (n % 300)) for n in range(2000))
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read(path, 1000) == expected(data)


def test_a_line_longer_than_any_block(tmp_path: Path) -> None:
    data = b"a\n" + b"b" * (10 << 20) + b"\nc"
    path = tmp_path / "file"
    path.write_bytes(data)
    assert [(n, len(text)) for n, text in read(path)] == [(1, 1), (2, 10 << 20), (3, 1)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(b"one\ntwo\n"))  # type: ignore[operator]
    assert read(path) == [(1, "one"), (2, "two")]


def test_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("\ufefföne\r\ntwo\r\n".encode("utf-16-le"))
    assert [text.lstrip("\ufeff") for _, text in read(path)] == ["öne", "two"]


def test_a_truncated_gzip_gives_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"".join(b"line %d\n" % n for n in range(100_000)))[:-2000])
    unpacked = unpack(path)
    count = sum(table.num_rows for table in slices(unpacked))
    assert 0 < count < 100_000
    assert unpacked.is_truncated


def test_giving_up_early_leaves_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"line\n" * 2_000_000)
    tables = slices(unpack(path), 1 << 20)
    next(tables)
    tables.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("name", ["gzip", "bz2", "xz", "zstd", "lz4"])
def test_a_corrupt_container_gives_what_there_is(name: str, tmp_path: Path) -> None:
    """A flipped byte or an end anywhere raises nothing, also where the unpacker has an error of its own."""
    text = b"".join(b"line %d\n" % n for n in range(3000))
    packed = {
        "gzip": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
        "lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    }[name](text)
    path = tmp_path / "packed"
    for at in range(0, len(packed), max(len(packed) // 60, 1)):
        for broken in (packed[:at], packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :]):
            path.write_bytes(broken)
            whole = b"".join(unpack(path).blocks())
            assert not at or len(whole) <= len(text) + len(broken)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_torn_frame_gives_all_but_its_last_step(codec: str, tmp_path: Path) -> None:
    text = b"".join(b"line %d %d\n" % (n, n * 7919 % 10007) for n in range(200_000))
    (tmp_path / "torn").write_bytes(pa.compress(text, codec, asbytes=True)[:-200])
    unpacked = unpack(tmp_path / "torn")
    whole = b"".join(unpacked.blocks())
    assert unpacked.is_truncated
    assert text.startswith(whole)
    assert len(whole) > len(text) - (1 << 19)
