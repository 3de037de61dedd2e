"""How a source is packed: gzip, bzip2, xz, zstd and lz4 by their magic bytes, its encoding by its bytes; never by the name.

UTF-8 is the rule. UTF-16 is known by its mark or by where its zeros stand; where most lines that are not ASCII are not
UTF-8 either, the 8-bit or Asian encoding they fit best is a guess, and said to be one.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from connforensics.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

ZSTD = b"\x28\xb5\x2f\xfd"
ZSTD_END = b"\x01\x00\x00"
"""A last block of no bytes (RFC 8878, 3.1.1.2)."""

RUN_LENGTH = 1
"""The kind of a block whose content is one byte, repeated."""

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    ZSTD: "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

SAMPLE_BYTES = 64 << 10
"""How much of a source is looked at for its encoding."""

GUESS_BYTES = 16 << 10
"""How much of the text in question an encoding is guessed from."""

LEGACY = (
    "cp1251", "koi8_r", "cp866", "cp1250", "iso8859_2", "cp1252", "cp1254", "gb18030", "big5", "shift_jis", "euc_jp",
    "cp949",
)  # fmt: skip
"""Encodings of servers that do not speak UTF-8."""

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""What no text holds, whatever its encoding."""

MAX_NESTING = 3
"""A gzip in a gzip happens (a rotated file compressed again); deeper nesting is an attack or a mistake."""

READ_BYTES = 1 << 20

STEP_BYTES = 16 << 10
"""How much of a zstd or lz4 stream may be lost where it is torn."""

MAX_RATIO = 500
"""Logs pack to a hundredth of their size at best; what unpacks to more than this many times its size is a bomb."""

RATIO_FREE_BYTES = 256 << 20
"""Below this nothing is a bomb."""

BROKEN = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)
"""What the unpackers raise at a stream that ends early or is corrupt."""


@dataclass(slots=True)
class Unpacked:
    """A source without its packing.

    `containers` names what was taken off, outermost first. `is_truncated` turns true when the packed stream ended
    before its end mark; what came until then was delivered. Of a file that is still being written only the first `size`
    bytes are read. `start` is how it begins, in its own encoding.
    """

    path: Path
    containers: tuple[str, ...] = ()
    encoding: str | None = None
    is_guessed: bool = False
    size: int | None = None
    is_truncated: bool = field(default=False)
    start: bytes = field(default=b"", repr=False)

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the unpacked source in UTF-8 (or in its own 8-bit encoding) from the start."""
        stream = _peel(self.path, self.containers, self.size)
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace") if self.encoding else None
        allowed = allowance(self.path) if self.containers else None
        # read1 hands over what a truncated stream still gives before it fails; read would lose it.
        read = getattr(stream, "read1", stream.read) if self.containers else stream.read
        with stream:
            while True:
                try:
                    block = read(READ_BYTES)
                except BROKEN as error:
                    if not self.containers:
                        raise EvidenceError(f"{self.path}: {error}", "Check the disk and the permissions.") from error
                    self.is_truncated = True
                    block = b""
                if allowed is not None:
                    allowed -= len(block)
                    if allowed < 0:
                        raise EvidenceError(
                            f"{self.path}: unpacks to more than {MAX_RATIO} times its size: a bomb",
                            "Unpack it by hand if it is not, and ingest what is in it.",
                        )
                if decoder is not None:
                    yield decoder.decode(block, final=not block).encode()
                elif block:
                    yield block
                if not block:
                    return


def allowance(path: Path) -> int:
    """Return how many bytes a packed file may hold: what unpacks to more is a bomb."""
    return max(RATIO_FREE_BYTES, path.stat().st_size * MAX_RATIO)


def reason(path: Path, error: OSError | EvidenceError) -> str:
    """Return why a file could not be read, in words."""
    return error.what if isinstance(error, EvidenceError) else f"{path}: {error.strerror or error}"


def sha256(unpacked: Unpacked) -> str:
    """Return the SHA-256 of a source as it lies on disk."""
    with _on_disk(unpacked.path, unpacked.size) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(path: Path, size: int | None = None) -> Unpacked:
    """Find out how `path` is packed; of a file that is still being written only the first `size` bytes count.

    Raises EvidenceError when it cannot be read or is packed too deep.
    """
    containers: tuple[str, ...] = ()
    try:
        while True:
            with _peel(path, containers, size) as stream:
                try:
                    start = _read_up_to(stream, SAMPLE_BYTES)
                except BROKEN:
                    if not containers:
                        raise
                    return Unpacked(path, containers, size=size, is_truncated=True)
            name = next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)
            if name is None:
                break
            containers = (*containers, name)
            if len(containers) > MAX_NESTING:
                raise EvidenceError(
                    f"{path}: packed more than {MAX_NESTING} times", "Unpack it by hand and look at it."
                )
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror or error}", "Check the path and its permissions.") from error
    mark = next((mark for mark in MARKS if start.startswith(mark)), None)
    if mark is not None:
        return Unpacked(path, containers, MARKS[mark], size=size, start=start)
    guessed = _guessed(start)
    return Unpacked(path, containers, guessed, guessed is not None, size, start=start)


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    """Return the first bytes of a stream; what a broken one gave before it broke, where it gave any."""
    pieces: list[bytes] = []
    while size > 0:
        try:
            piece = stream.read(min(size, 4096))
        except BROKEN:
            if not pieces:
                raise
            break
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _guessed(start: bytes) -> str | None:
    """Return the encoding of a source without a mark, None where it is UTF-8 or ASCII."""
    for zeros, encoding in ((start[1::2], "utf-16-le"), (start[0::2], "utf-16-be")):
        others = start[0::2] if encoding == "utf-16-le" else start[1::2]
        if len(zeros) > 8 and zeros.count(0) > 0.7 * len(zeros) and others.count(0) < 0.1 * len(others):
            return encoding
    lines = [line for line in start.rpartition(b"\n")[0].split(b"\n") if not line.isascii()]
    if sum(not _is_utf8(line) for line in lines) * 2 <= len(lines) or CONTROL.search(start):
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(b"\n".join(lines)[:GUESS_BYTES], cp_isolation=list(LEGACY)).best()
    return best.encoding if best is not None else None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Upto(io.RawIOBase):
    """The first bytes of a file that may still grow."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = self._left = size

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` and return how many bytes it took; 0 at the end."""
        read = self._file.readinto(memoryview(buffer)[: self._left]) if self._left else 0
        self._left -= read
        return read

    def has_grown(self) -> bool:
        """Tell whether the file is longer than what is read of it."""
        return os.fstat(self._file.fileno()).st_size > self._size

    def seekable(self) -> bool:
        """Tell that it can be read again."""
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place; past the end nothing is read."""
        place = self._file.seek(place, whence)
        self._left = max(self._size - place, 0)
        return place

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _on_disk(path: Path, size: int | None) -> io.RawIOBase:
    return path.open("rb", buffering=0) if size is None else _Upto(path, size)


def _peel(path: Path, containers: tuple[str, ...], size: int | None) -> BinaryIO:
    stream = cast(BinaryIO, io.BufferedReader(_on_disk(path, size), READ_BYTES))
    for container in containers:
        stream = _OPENERS[container](stream)
    return stream


def _gzip(stream: BinaryIO) -> BinaryIO:
    import gzip

    return cast(BinaryIO, gzip.GzipFile(fileobj=stream))


def _bz2(stream: BinaryIO) -> BinaryIO:
    import bz2

    return cast(BinaryIO, bz2.BZ2File(stream))


def _xz(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.LZMAFile(stream))


class _WholeBlocks(io.RawIOBase):
    """The blocks of zstd frames (RFC 8878, 3.1.1); a frame that is torn ends with its last whole block.

    Arrow's reader keeps back what it has unpacked last when a frame has no end. After the end that a torn frame is given,
    EOFError says that it was torn; not of a file that has grown since it was measured: its end mark is overwritten.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._pieces = self._whole()
        self._held = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell whether it can be read again."""
        return self._packed.seekable()

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        """Go back to the start, which is all that is asked for."""
        self._packed.seek(place, whence)
        self._pieces, self._held = self._whole(), b""
        return place

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill the start of `buffer` and return how many bytes it took; 0 at the end."""
        if not self._held:
            self._held = next(self._pieces, b"")
        into = memoryview(buffer)
        taken = self._held[: len(into)]
        self._held = self._held[len(taken) :]
        into[: len(taken)] = taken
        return len(taken)

    def _whole(self) -> Iterator[bytes]:
        read = self._packed.read
        while magic := read(4):
            if magic != ZSTD:  # a frame to be skipped, or none: the unpacker's to judge
                yield magic
                while rest := read(READ_BYTES):
                    yield rest
                return
            descriptor = read(1)
            told = descriptor[0] if descriptor else 0
            is_single = told >> 5 & 1
            has_checksum = bool(told >> 2 & 1)
            sizes = (1 - is_single) + (0, 1, 2, 4)[told & 3] + (is_single, 2, 4, 8)[told >> 6]
            yield magic + descriptor + read(sizes)
            is_last = False
            while not is_last:
                head = read(3)
                number = int.from_bytes(head, "little")
                is_last, size = bool(number & 1), 1 if number >> 1 & 3 == RUN_LENGTH else number >> 3
                body = read(size) if len(head) == len(ZSTD_END) else b""
                if len(head) < len(ZSTD_END) or len(body) < size:
                    if not has_checksum:
                        yield ZSTD_END
                    if not getattr(getattr(self._packed, "raw", None), "has_grown", bool)():
                        raise EOFError("the frame is torn")
                    return
                yield head + body
            if has_checksum:
                yield read(4)


class _Careful(io.RawIOBase):
    """A decompressing stream that gives all that a torn one holds: a read that fails as a whole is done byte by byte."""

    def __init__(self, stream: BinaryIO, codec: str) -> None:
        self._packed = stream
        self._codec = codec
        self._step = STEP_BYTES
        self._given = 0
        self._open()

    def _open(self) -> None:
        import pyarrow as pa

        self._stream = pa.CompressedInputStream(pa.PythonFile(self._packed, mode="r"), self._codec)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill the start of `buffer` and return how many bytes it took; 0 at the end."""
        into = memoryview(buffer)
        try:
            read: bytes = self._stream.read(min(len(into), self._step))
        except BROKEN:
            if self._step == 1 or not self._packed.seekable():
                raise
            self._step = 1
            self._packed.seek(0)
            self._open()
            left = self._given
            while left > 0:
                left -= len(self._stream.read(min(left, STEP_BYTES)))
            read = self._stream.read(1)
        self._given += len(read)
        into[: len(read)] = read
        return len(read)


def _arrow(codec: str) -> Callable[[BinaryIO], BinaryIO]:
    def open_compressed(stream: BinaryIO) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_Careful(stream, codec), READ_BYTES))

    return open_compressed


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": _gzip,
    "bz2": _bz2,
    "xz": _xz,
    "zstd": lambda stream: _arrow("zstd")(cast(BinaryIO, _WholeBlocks(stream))),
    "lz4": _arrow("lz4"),
}
