"""Archives of many files: zip and tar (packed or not), each member a source of its own.

Members are unpacked one at a time into a folder of ours, under names of ours: what an archive calls them is only
shown. A member whose path climbs out of the archive is refused, links and devices are passed over, and an archive that
unpacks to far more than logs ever do is refused as a bomb.
"""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from connforensics.errors import EvidenceError
from connforensics.evidence.containers import BROKEN, MAX_RATIO, Unpacked, allowance, reason, unpack

MOST_MEMBERS: Final = 100_000
"""A support bundle holds thousands of files; an archive of more is a mistake or an attack."""

COPY_BYTES: Final = 1 << 20

TAR_MAGIC: Final = b"ustar"
TAR_MAGIC_AT: Final = 257
ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: the name it is shown by, where it lies unpacked, or why it does not."""

    name: str
    path: Path | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read, on its own or of an archive: the name it is cited by, and its content or why there is none."""

    shown: str
    unpacked: Unpacked | None
    why: str = ""


def sources(path: Path, shown: str) -> Iterator[Source]:
    """Yield a file, cited as `shown`, or every file of the archive that it is; each is there until the next is asked for."""
    found, archive = opened(path, shown)
    if found.unpacked is None or archive is None:
        yield found
        return
    for member in members(found.unpacked, archive):
        inner = f"{shown}/{member.name}".rstrip("/")
        if member.path is None:
            yield Source(inner, None, member.why)
            continue
        found, archive = opened(member.path, inner)
        yield found if archive is None else Source(inner, None, "an archive in an archive: unpack it by hand")


def opened(path: Path, shown: str) -> tuple[Source, str | None]:
    """Return a file, and which kind of archive it is; None where it is none."""
    try:
        unpacked = unpack(path, path.stat().st_size)
        return Source(shown, unpacked), kind(unpacked)
    except (OSError, EvidenceError) as error:
        return Source(shown, None, reason(path, error)), None


def kind(unpacked: Unpacked) -> str | None:
    """Return `zip` or `tar` where a file is such an archive, by its content; None for anything else."""
    start = unpacked.start
    if not unpacked.containers and start.startswith(ZIP_MAGIC):
        return "zip" if zipfile.is_zipfile(unpacked.path) else None
    return "tar" if start[TAR_MAGIC_AT:].startswith(TAR_MAGIC) else None


def members(unpacked: Unpacked, archive: str) -> Iterator[Member]:
    """Yield the files of an archive; each is there until the next is asked for."""
    with tempfile.TemporaryDirectory(prefix="connforensics-") as folder:
        try:
            yield from (_zipped if archive == "zip" else _tarred)(unpacked, Path(folder), allowance(unpacked.path))
        except EvidenceError as error:
            yield Member("", None, error.what)
        except (*BROKEN, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            yield Member("", None, f"the archive is broken: {error}")


def _zipped(unpacked: Unpacked, folder: Path, allowed: int) -> Iterator[Member]:
    with zipfile.ZipFile(unpacked.path) as archive:
        for count, entry in enumerate(archive.infolist()):
            if count >= MOST_MEMBERS:
                yield Member("", None, f"it holds more than {MOST_MEMBERS} files")
                return
            is_link = entry.external_attr >> 28 == 0o12
            if entry.is_dir() or is_link:
                continue
            if climbs(entry.filename):
                yield Member(entry.filename, None, "its path climbs out of the archive")
                continue
            if entry.flag_bits & 1:
                yield Member(entry.filename, None, "it is encrypted")
                continue
            with archive.open(entry) as content:
                allowed, member = _unpacked(content, entry.filename, folder / str(count), allowed)
            yield member
            if allowed < 0:
                return


def _tarred(unpacked: Unpacked, folder: Path, allowed: int) -> Iterator[Member]:
    with tarfile.open(fileobj=_Blocks(unpacked), mode="r|") as archive:  # type: ignore[call-overload]
        for count, entry in enumerate(archive):
            if count >= MOST_MEMBERS:
                yield Member("", None, f"it holds more than {MOST_MEMBERS} files")
                return
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                continue
            if climbs(entry.name):
                yield Member(entry.name, None, "its path climbs out of the archive")
                continue
            allowed, member = _unpacked(content, entry.name, folder / str(count), allowed)
            yield member
            if allowed < 0:
                return


def climbs(name: str) -> bool:
    """Tell whether a member's path leaves the folder an archive is unpacked into.

    >>> climbs("../etc/passwd"), climbs("/etc/passwd"), climbs("C:\\\\x"), climbs("var/log/x..log")
    (True, True, True, False)
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name.startswith(("/", "\\")) or name[1:3] in (":\\", ":/")


def _unpacked(content: IO[bytes], name: str, target: Path, allowed: int) -> tuple[int, Member]:
    """Unpack one member; return how many bytes may still come, and it."""
    for before in target.parent.iterdir():
        before.unlink()
    with target.open("wb") as file:
        while block := content.read(COPY_BYTES):
            allowed -= len(block)
            if allowed < 0:
                target.unlink()
                return allowed, Member(name, None, f"it unpacks to more than {MAX_RATIO} times its size: a bomb")
            file.write(block)
    return allowed, Member(name, target)


class _Blocks:
    """What tarfile reads a stream from: an object with `read`."""

    def __init__(self, unpacked: Unpacked) -> None:
        self._blocks = unpacked.blocks()
        self._held = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        pieces = [self._held]
        have = len(self._held)
        while have < size:
            block = next(self._blocks, b"")
            if not block:
                break
            pieces.append(block)
            have += len(block)
        whole = b"".join(pieces)
        self._held = whole[size:]
        return whole[:size]
