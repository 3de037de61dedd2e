"""How a source is packed: gzip, bzip2, xz, zstd and lz4 by their magic bytes, UTF-16 by its mark; never by the name."""

from __future__ import annotations

import codecs
import hashlib
import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from connforensics.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

MAX_NESTING = 3
"""A gzip in a gzip happens (a rotated file compressed again); deeper nesting is an attack or a mistake."""

READ_BYTES = 1 << 20

BROKEN = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)
"""What the unpackers raise at a stream that ends early or is corrupt."""


@dataclass(slots=True)
class Unpacked:
    """A source without its packing.

    `containers` names what was taken off, outermost first. `is_truncated` turns true when the packed stream ended
    before its end mark; what came until then was delivered.
    """

    path: Path
    containers: tuple[str, ...] = ()
    encoding: str | None = None
    is_truncated: bool = field(default=False)

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the unpacked source in UTF-8 (or in its own 8-bit encoding) from the start."""
        stream = _peel(self.path, self.containers)
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace") if self.encoding else None
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
                if decoder is not None:
                    yield decoder.decode(block, final=not block).encode()
                elif block:
                    yield block
                if not block:
                    return


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file as it lies on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(path: Path) -> Unpacked:
    """Find out how `path` is packed.

    Raises EvidenceError when it cannot be read or is packed too deep.
    """
    containers: tuple[str, ...] = ()
    try:
        while True:
            with _peel(path, containers) as stream:
                try:
                    start = stream.read(8)
                except BROKEN:
                    if not containers:
                        raise
                    return Unpacked(path, containers, is_truncated=True)
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
    return Unpacked(path, containers, MARKS[mark] if mark else None)


def _peel(path: Path, containers: tuple[str, ...]) -> BinaryIO:
    stream = cast(BinaryIO, path.open("rb"))
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


def _arrow(codec: str) -> Callable[[BinaryIO], BinaryIO]:
    def open_compressed(stream: BinaryIO) -> BinaryIO:
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec)))

    return open_compressed


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": _gzip,
    "bz2": _bz2,
    "xz": _xz,
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
}
