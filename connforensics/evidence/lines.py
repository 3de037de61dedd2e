"""A source as Arrow tables of numbered lines, built without a Python loop over lines.

DuckDB scans these tables on all cores; the numbers are the true physical lines of the unpacked source, whatever its
line ends and however long a line is. Texts are views into the block they were read in: nothing is copied to cut the
line ends off. While one slice is being worked on, the next one is read in a thread.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from connforensics.evidence.scanner import PADDING, Block, Texts, as_arrow

if TYPE_CHECKING:
    from connforensics.evidence.containers import Unpacked

SLICE_BYTES = 32 << 20
"""Text handed to DuckDB at once: large enough for all cores, small enough to keep memory flat on any file."""

FIRST_SLICE_BYTES = 8 << 20
"""Text in the first slice; each further one is twice as large, up to `SLICE_BYTES`, so that no core waits long at first."""

BATCH_BYTES = 2 << 20
"""Text in one record batch: near a core's cache, with enough lines to make numpy's calls cheap; DuckDB's threads share them out."""

SUSPECT = r"(?i)\b(connections?|clients?|max_connections|slots?|disconnection)\b"
"""Words that make an unrecognised line look like one about connections."""


_LF = 10
_CR = 13

Item = TypeVar("Item")
Made = TypeVar("Made")


class CurrentSlice:
    """What a connection is given to read once and for all while `table` changes.

    DuckDB keeps every table that is registered inside a transaction until the transaction ends: registered one by one,
    the slices of a log would all stay in memory.
    """

    def __init__(self) -> None:
        self.table: pa.Table | None = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the current slice as an Arrow stream."""
        if self.table is None:
            raise ValueError("no slice yet")
        return self.table.__arrow_c_stream__(requested_schema)


def slices(unpacked: Unpacked, slice_bytes: int = SLICE_BYTES) -> Iterator[pa.Table]:
    """Yield tables of `line_no` BIGINT (from 1) and `text` VARCHAR (without line end), about `slice_bytes` each."""
    return read_ahead(_tables(unpacked, slice_bytes))


def _tables(unpacked: Unpacked, slice_bytes: int) -> Iterator[pa.Table]:
    batches: list[pa.RecordBatch] = []
    size = 0
    wanted = min(FIRST_SLICE_BYTES, slice_bytes)
    for batch, size_read in _batches(unpacked):
        batches.append(batch)
        size += size_read
        if size >= wanted:
            yield pa.Table.from_batches(batches)
            batches, size = [], 0
            wanted = min(2 * wanted, slice_bytes)
    if batches:
        yield pa.Table.from_batches(batches)


def read_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
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


def ahead(make: Callable[[Item], Made], items: Iterable[Item], at_once: int = 1) -> Iterator[tuple[Item, Made]]:
    """Yield each item and what `make` makes of it, made in `at_once` threads while its predecessor is being worked on.

    `items` is advanced by the caller's thread alone: what it reads from may be bound to it.
    """
    with ThreadPoolExecutor(at_once) as threads:
        begun: deque[tuple[Item, Future[Made]]] = deque()
        for item in items:
            begun.append((item, threads.submit(make, item)))
            if len(begun) > at_once:
                first, made = begun.popleft()
                yield first, made.result()
        for first, made in begun:
            yield first, made.result()


def _batches(unpacked: Unpacked) -> Iterator[tuple[pa.RecordBatch, int]]:
    line_no = 1
    for block in _whole_lines(unpacked):
        batch = _batch(block, line_no)
        line_no += batch.num_rows
        yield batch, len(block) - len(PADDING)


def _whole_lines(unpacked: Unpacked) -> Iterator[bytes]:
    """Yield blocks that end at a line end, except perhaps the last one, each with `PADDING` behind it."""
    held: list[bytes | memoryview] = []
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
        yield b"".join([*held, memoryview(block)[:cut], PADDING])
        held = [block[cut:]] if cut < len(block) else []
        size = len(block) - cut
    if size:
        yield b"".join([*held, PADDING])


def _batch(padded: bytes, first_line: int) -> pa.RecordBatch:
    if not padded.isascii():
        try:
            padded.decode()
        except UnicodeDecodeError:
            padded = padded.decode(errors="backslashreplace").encode()
    size = len(padded) - len(PADDING)
    block = Block(padded)
    data = block.data[:size]
    ends = np.flatnonzero(data == _LF)
    if data[-1] != _LF:
        ends = np.append(ends, size)
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    if b"\r" in padded:
        ends = ends - ((ends > starts) & (data[ends - 1] == _CR))
    count = len(ends)
    numbers = as_arrow(np.arange(first_line, first_line + count, dtype=np.int64), pa.int64())
    return pa.RecordBatch.from_arrays([numbers, Texts(block, starts, ends).to_arrow()], names=["line_no", "text"])
