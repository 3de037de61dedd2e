"""A source as Arrow tables of numbered lines, built without a Python loop over lines.

DuckDB scans these tables on all cores; the numbers are the true physical lines of the unpacked source, whatever its
line ends and however long a line is. Texts are views into the block they were read in: nothing is copied to cut the
line ends off. While one slice is being worked on, the next one is read in a thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from connforensics.evidence.containers import Unpacked

SLICE_BYTES = 96 << 20
"""Text handed to DuckDB at once: large enough for all cores, small enough to keep memory flat on any file."""

BATCH_BYTES = 1 << 20
"""Text in one record batch: what fits a core's cache, and the unit DuckDB's threads share out."""

SUSPECT = r"(?i)\b(connections?|clients?|max_connections|slots?|disconnection)\b"
"""Words that make an unrecognised line look like one about connections."""

_INLINE_BYTES = 12
"""A text this short stands in its view, a longer one in the block
(https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout)."""


class CurrentSlice:
    """What a connection is given to read once and for all while `table` changes.

    DuckDB keeps every table that is registered inside a transaction until the transaction ends: registered one by one,
    the slices of a log would all stay in memory.
    """

    def __init__(self) -> None:
        self.table = pa.table({"line_no": pa.array([], pa.int64()), "text": pa.array([], pa.string_view())})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the current slice as an Arrow stream."""
        return self.table.__arrow_c_stream__(requested_schema)


def slices(unpacked: Unpacked, slice_bytes: int = SLICE_BYTES) -> Iterator[pa.Table]:
    """Yield tables of `line_no` BIGINT (from 1) and `text` VARCHAR (without line end), about `slice_bytes` each."""
    return _read_ahead(_tables(unpacked, slice_bytes))


def _tables(unpacked: Unpacked, slice_bytes: int) -> Iterator[pa.Table]:
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch, size_read in _batches(unpacked):
        batches.append(batch)
        size += size_read
        if size >= slice_bytes:
            yield pa.Table.from_batches(batches)
            batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _read_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same tables, each read while its predecessor is being worked on."""
    ready: queue.Queue[pa.Table | BaseException | None] = queue.Queue(maxsize=1)
    abandoned = threading.Event()

    def put(item: pa.Table | BaseException | None) -> None:
        while not abandoned.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for table in tables:
                put(table)
                if abandoned.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        thread.join()


def _batches(unpacked: Unpacked) -> Iterator[tuple[pa.RecordBatch, int]]:
    line_no = 1
    for block in _whole_lines(unpacked):
        batch = _batch(block, line_no)
        line_no += batch.num_rows
        yield batch, len(block)


def _whole_lines(unpacked: Unpacked) -> Iterator[bytes]:
    """Yield blocks that end at a line end, except perhaps the last one."""
    held: list[bytes] = []
    size = 0
    cr_only: bool | None = None
    for read in unpacked.blocks():
        if cr_only is None and read:
            cr_only = b"\n" not in read and b"\r" in read[:-1]
        block = read.replace(b"\r", b"\n") if cr_only else read
        cut = block.rfind(b"\n") + 1
        if not cut or size + len(block) < BATCH_BYTES:
            held.append(block)
            size += len(block)
            continue
        held.append(block[:cut])
        yield b"".join(held)
        held = [block[cut:]] if cut < len(block) else []
        size = len(block) - cut
    rest = b"".join(held)
    if rest:
        yield rest


def _batch(block: bytes, first_line: int) -> pa.RecordBatch:
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            block = block.decode(errors="backslashreplace").encode()
    data = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(data == 10)
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    if b"\r" in block:
        ends = ends - ((ends > starts) & (data[ends - 1] == 13))
    count = len(ends)
    # `pa.array` of an ndarray would import pandas, which takes longer than reading most logs.
    numbered = np.arange(first_line, first_line + count, dtype=np.int64)
    numbers = pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(numbered)])
    return pa.RecordBatch.from_arrays([numbers, _views(block, data, starts, ends - starts)], names=["line_no", "text"])


def _views(block: bytes, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """Return the texts at `starts` as an Arrow string view array over `block`."""
    count = len(starts)
    views = np.zeros((count, 4), dtype=np.int32)
    views[:, 0] = lengths
    is_long = lengths > _INLINE_BYTES
    # The first four bytes of each text, read as one number wherever they stand.
    heads = np.ndarray(max(len(data) - 3, 0), dtype="<i4", buffer=block, strides=(1,))
    if is_long.all():
        views[:, 1] = heads[starts]
        views[:, 3] = starts
    else:
        views[is_long, 1] = heads[starts[is_long]]
        views[is_long, 3] = starts[is_long]
        short = np.flatnonzero(~is_long & (lengths > 0))
        places = np.arange(_INLINE_BYTES)
        held = places < lengths[short, None]
        letters = np.where(held, data[np.minimum(starts[short, None] + places, len(data) - 1)], 0)
        views.view(np.uint8).reshape(count, 16)[short, 4:] = letters
    return pa.Array.from_buffers(pa.string_view(), count, [None, pa.py_buffer(views), pa.py_buffer(block)])
