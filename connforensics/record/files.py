"""What the recorder leaves on disk: compressed JSON lines, one file a stream and hour, whole after any kind of end.

    DIR/TARGET/activity-20261121T150000Z.jsonl.zst

A file is one zstd frame. Each sample is flushed as whole blocks and written with one call, followed by the three bytes
that end a frame; the next sample overwrites those three bytes. So the file is a valid zstd file after every sample:
`kill -9` leaves it so, a full disk leaves it so (what did not fit is cut off again), and a reader needs no tolerance.
One frame an hour, because the window that reaches back over the previous sample is what makes samples small: a session
at rest is the same line in every sample. zstd: https://www.rfc-editor.org/rfc/rfc8878

A file that was left by an earlier run is never written again: the name bears the second it was begun.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connforensics.record.target import Rows, Stamp

END_OF_FRAME: Final = b"\x01\x00\x00"
"""A last block of no bytes (RFC 8878, 3.1.1.2)."""

LEVEL: Final = 3
WINDOW_LOG: Final = 23
"""Of zstd: 8 MB, which every unpacker takes (zstdcat up to 2^27)."""

NAME: Final = re.compile(r"^[a-z_]+-(\d{8}T\d{6})Z(?:\.\d+)?\.jsonl\.zst$")
"""What the recorder calls its files; nothing else is ever removed."""

FILE_SPAN: Final = timedelta(hours=1)
"""A file is named by its beginning and holds an hour."""


class Frame:
    """One zstd frame being made.

    A session at rest costs next to nothing while the sample before lies in the window. Arrow's of 512 KB would hold one of
    some 900 sessions; 2,000 would take nine times the space (1.8 GB a day instead of 0.2 GB, measured on PostgreSQL 15).
    """

    def __init__(self) -> None:
        import zstandard

        parameters = zstandard.ZstdCompressionParameters.from_level(LEVEL, window_log=WINDOW_LOG)
        self._stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def pack(self, text: bytes) -> bytes:
        """Return the blocks that hold `text`, after those returned before."""
        from zstandard import COMPRESSOBJ_FLUSH_BLOCK

        return self._stream.compress(text) + self._stream.flush(COMPRESSOBJ_FLUSH_BLOCK)


class File:
    """One file, valid after every `append`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._frame = Frame()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def append(self, text: bytes) -> None:
        """Write one sample. Raises OSError when it does not fit; the file then ends with the sample before."""
        blocks = self._frame.pack(text) + END_OF_FRAME
        try:
            self._write(blocks, self.bytes)
        except OSError:
            with contextlib.suppress(OSError):
                if self.bytes:
                    self._write(END_OF_FRAME, self.bytes)
                    os.ftruncate(self._fd, self.bytes + len(END_OF_FRAME))
            raise
        self.bytes += len(blocks) - len(END_OF_FRAME)

    def _write(self, blocks: bytes, place: int) -> None:
        written = 0
        while written < len(blocks):
            written += os.pwrite(self._fd, blocks[written:], place + written)

    @property
    def is_gone(self) -> bool:
        """Whether somebody removed it: what is written then is lost when it is closed."""
        return os.fstat(self._fd).st_nlink == 0

    def close(self) -> None:
        """Close; a file without a sample is removed."""
        os.close(self._fd)
        if not self.bytes:
            self.path.unlink(missing_ok=True)


class Lines:
    """Rows as JSON lines; a row that stood in the sample before is not made again.

    The lines of rows that are as they were come first and in the order they had, so that what rests gathers in front and is
    one long repetition for the compressor, whatever order the server gives its rows in.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[tuple[object, ...], bytes]] = {}

    def of(self, stream: str, stamp: Stamp, rows: Rows, texts: Callable[[str | None], str | None]) -> bytes:
        """Return one sample of one stream: the line that says when, and a line a row."""
        head = _line({**stamp.fields(stream), "rows": len(rows.values)})
        hidden = [name for name in rows.columns if name.lower() in STATEMENTS]
        try:
            times = Counter(rows.values)
        except TypeError:  # a value that is a list: rows of settings, not of sessions
            return head + b"".join(_row(rows.columns, row, hidden, texts) for row in rows.values)
        lines = {row: line for row, line in self._known.get(stream, {}).items() if row in times}
        for row in times:
            if row not in lines:
                lines[row] = _row(rows.columns, row, hidden, texts)
        self._known[stream] = lines
        return head + b"".join(line * times[row] for row, line in lines.items())


STATEMENTS: Final = frozenset(
    ("query", "current_query", "info", "info_binary", "trx_query", "blocking_query", "waiting_query", "sql_text",
     "digest_text", "processlist_info", "extended_info", "last_statement", "current_statement")
)  # fmt: skip
"""Columns that hold a statement, on any server."""


def _as_text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_text).encode


def _line(fields: Mapping[str, object]) -> bytes:
    return (_encode(fields) + "\n").encode("utf-8", "backslashreplace")


def _row(
    columns: tuple[str, ...], row: tuple[object, ...], hidden: list[str], texts: Callable[[str | None], str | None]
) -> bytes:
    fields = dict(zip(columns, row, strict=True))
    for name in hidden:
        value = fields[name]
        fields[name] = texts(None if value is None else _as_text(value))
    return _line(fields)


@dataclass(slots=True)
class Folder:
    """The files of one target: the current one of each stream.

    `append` says whether it was written: while the disk is full it was not, and the next one is tried in a file of its
    own. `on_full` is told once when that begins, `on_space` once when it ends.
    """

    path: Path
    most_bytes: int
    on_full: Callable[[str], None]
    on_space: Callable[[], None]
    _open: dict[str, tuple[str, File]] = field(default_factory=dict)
    _is_full: bool = False

    def append(self, stream: str, moment: datetime, text: bytes) -> bool:
        """Write one sample of a stream into the file of its hour."""
        try:
            self._file(stream, moment).append(text)
        except OSError as error:
            self._drop(stream)
            if not self._is_full:
                self._is_full = True
                self.on_full(error.strerror or str(error))
            return False
        if self._is_full:
            self._is_full = False
            self.on_space()
        return True

    def is_new_hour(self, stream: str, moment: datetime) -> bool:
        """Tell whether the next sample of a stream would begin a file."""
        held = self._open.get(stream)
        return held is None or held[0] != _hour(moment) or held[1].bytes >= self.most_bytes or held[1].is_gone

    def add_file(self, stream: str, begun: datetime, frames: bytes) -> bool:
        """Write a file of its own with samples that are packed already; says whether it was written, whole."""
        path = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            free = self._free_path(stream, begun)
            with free.open("xb") as file:
                path = free
                file.write(frames)
        except OSError as error:
            if path is not None:
                path.unlink(missing_ok=True)
            self._is_full = True
            self.on_full(error.strerror or str(error))
            return False
        return True

    def paths(self) -> set[Path]:
        """Return the files being written."""
        return {held.path for _, held in list(self._open.values())}

    def close(self) -> None:
        """Close every file."""
        for stream in list(self._open):
            self._drop(stream)

    def _file(self, stream: str, moment: datetime) -> File:
        if not self.is_new_hour(stream, moment):
            return self._open[stream][1]
        self._drop(stream)
        self.path.mkdir(parents=True, exist_ok=True)
        begun = File(self._free_path(stream, moment))
        self._open[stream] = (_hour(moment), begun)
        return begun

    def _free_path(self, stream: str, moment: datetime) -> Path:
        stem = f"{stream}-{moment:%Y%m%dT%H%M%S}Z"
        names = itertools.chain((stem,), (f"{stem}.{number}" for number in itertools.count(1)))
        return next(path for name in names if not (path := self.path / f"{name}.jsonl.zst").exists())

    def _drop(self, stream: str) -> None:
        held = self._open.pop(stream, None)
        if held is not None:
            with contextlib.suppress(OSError):
                held[1].close()


def _hour(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H}"


@dataclass(slots=True)
class Retention:
    """Removes the recorder's own files below `folder` that are too old or too many; `open_paths` are left alone."""

    folder: Path
    keep: timedelta | None
    max_bytes: int | None
    open_paths: Callable[[], set[Path]]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enforce(self, now: datetime) -> list[Path]:
        """Remove what is over the limits, the oldest first; returns what was removed. `now` is naive UTC."""
        with self._lock:
            held = self.open_paths()
            found = sorted(self._files())
            total = sum(size for _, _, size in found)
            removed = []
            for begun, path, size in found:
                is_old = self.keep is not None and begun < now - self.keep - FILE_SPAN
                is_much = self.max_bytes is not None and total > self.max_bytes
                if path in held or not (is_old or is_much):
                    continue
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed.append(path)
                    total -= size
            for folder in sorted({path.parent for path in removed} - {self.folder}, reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            return removed

    def _files(self) -> Iterator[tuple[datetime, Path, int]]:
        for path in self.folder.rglob("*.jsonl.zst"):
            named = NAME.match(path.name)
            if named is None:
                continue
            with contextlib.suppress(OSError, ValueError):
                yield datetime.strptime(named[1], "%Y%m%dT%H%M%S"), path, path.stat().st_size


def now() -> datetime:
    """Return this machine's clock as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)
