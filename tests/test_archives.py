"""A support bundle dropped in as it is; and what an archive must not get away with."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.case import open_case
from connforensics.evidence import containers
from connforensics.evidence.archives import climbs, kind
from connforensics.ingest import Ingested, ingest

LOG = "".join(
    f"2026-11-21 03:12:{n:02}.000 UTC [{n + 1}] LOG:  connection received: host=10.0.0.5 port=4{n:02}\n"
    for n in range(20)
).encode()
CSV = b"time,service,size,checked_out,waiting\n2026-11-21T03:12:00Z,orders,10,10,42\n"


def zipped(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


PACKERS = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda members: tarred(members, "w:gz"),
    "tar.bz2": lambda members: tarred(members, "w:bz2"),
    "tar.xz": lambda members: tarred(members, "w:xz"),
}


def read(content: bytes, folder: Path) -> list[Ingested]:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "bundle").write_bytes(content)
    return ingest(folder / "case.duckdb", [folder / "bundle"])


@pytest.mark.parametrize("packer", PACKERS)
def test_every_member_is_a_source(packer: str, tmp_path: Path) -> None:
    bundle = PACKERS[packer]({"var/log/postgresql.log": LOG, "pools.csv": CSV, "empty.txt": b""})
    outcomes = {one.path: one.outcome for one in read(bundle, tmp_path)}
    assert outcomes == {
        "bundle/var/log/postgresql.log": "ingested",
        "bundle/pools.csv": "ingested",
        "bundle/empty.txt": "empty",
    }
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM event") == 20
        assert case.scalar("SELECT count(*) FROM pool_sample") == 1
    assert {one.outcome for one in ingest(tmp_path / "case.duckdb", [tmp_path / "bundle"])} == {"already there"}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "..\\x", "C:\\x"])
def test_a_path_that_climbs_out_is_refused(packer: str, name: str, tmp_path: Path) -> None:
    outcomes = read(PACKERS[packer]({name: LOG, "fine.log": LOG}), tmp_path)
    # zipfile takes a leading slash off by itself; then nothing climbs.
    refused = [one for one in outcomes if one.outcome == "unreadable"]
    assert [one.why for one in refused] == ["its path climbs out of the archive"] or not climbs(outcomes[0].path[7:])
    assert outcomes[-1].outcome in ("ingested", "already there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "case.duckdb"]


@pytest.mark.parametrize("packer", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_is_refused(packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "RATIO_FREE_BYTES", 1 << 20)
    outcomes = read(PACKERS[packer]({"bomb.log": bytes(40 << 20), "after.log": LOG}), tmp_path)
    assert outcomes[0].outcome == "unreadable"
    assert "bomb" in outcomes[0].why


def test_a_bomb_in_a_plain_container_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lzma

    monkeypatch.setattr(containers, "RATIO_FREE_BYTES", 1 << 20)
    [outcome] = read(lzma.compress(b"a line\n" * (8 << 20)), tmp_path)
    assert outcome.outcome == "unreadable"
    assert "bomb" in outcome.why
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM source") == 0


def test_links_and_encrypted_members_are_not_followed(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("passwd.log")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    assert [one.outcome for one in read(made.getvalue(), tmp_path)] == ["empty"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PACKERS)), st.data())
def test_a_broken_archive_raises_nothing(
    tmp_path_factory: pytest.TempPathFactory, packer: str, data: st.DataObject
) -> None:
    whole = bytearray(PACKERS[packer]({"a.log": LOG, "b.csv": CSV}))
    cut = data.draw(st.integers(1, len(whole)))
    if data.draw(st.booleans()):
        whole[cut - 1] ^= 0xFF
        cut = len(whole)
    folder = tmp_path_factory.mktemp("broken")
    outcomes = read(bytes(whole[:cut]), folder)
    assert outcomes
    assert sorted(path.name for path in folder.iterdir()) == ["bundle", "case.duckdb"]


def test_a_plain_log_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(LOG)
    assert kind(containers.unpack(tmp_path / "a.log")) is None
