"""Evidence that was damaged on its way is read as far as it goes: nothing raises, nothing is lost.

CONNFORENSICS_MUTATIONS says how many files are damaged and read; the corpus of real files is taken too where it is there.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from connforensics.case import open_case
from connforensics.evidence import formats
from connforensics.ingest import ingest
from tests.corpus import CORPUS, manifest

COUNT = int(os.environ.get("CONNFORENSICS_MUTATIONS", "400"))

BATCH = 50

LONGEST = 20_000
"""Bytes of a file that are kept, so that many can be read."""

JUNK = (
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"'",
    b"\n\n",
    b"\r",
    b"\t",
    b"\x1b[31m",
    b"{",
    b"[[[",
    b"|",
    b"+---+",
    b"\xe2\x80",
    b"-" * 300,
)


def originals() -> list[bytes]:
    samples = [sample.text.encode() for known in formats().values() for sample in known.samples]
    return samples + [(CORPUS / row["file"]).read_bytes()[:LONGEST] for row in manifest()]


def damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        if not data:
            break
        at = rng.randrange(len(data))
        match rng.randrange(7):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 200)]
            case 2:
                data[at:at] = rng.choice(JUNK)
            case 3:
                data = data[:at]
            case 4:
                data[at:at] = data[max(at - 300, 0) : at]
            case 5:
                data[at:at] = other[rng.randrange(len(other)) :][:400]
            case _:
                lines = data.split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
    return bytes(data)


@pytest.mark.parametrize("batch", range(COUNT // BATCH))
def test_damaged_evidence_is_accounted_for(batch: int, tmp_path: Path) -> None:
    rng = random.Random(batch)
    known = originals()
    folder = tmp_path / "evidence"
    folder.mkdir()
    for number in range(BATCH):
        (folder / f"{number:03}").write_bytes(damaged(rng.choice(known), rng.choice(known), rng))
    outcomes = ingest(tmp_path / "case.duckdb", [folder])
    assert {one.outcome for one in outcomes} <= {"ingested", "unknown", "empty", "already there", "unreadable"}
    assert [one for one in outcomes if one.outcome == "unreadable" and "bomb" in one.why] == []
    with open_case(tmp_path / "case.duckdb") as case:
        off = case.rows(
            "SELECT path, format, lines, understood, ignored, unknown FROM source WHERE lines <> understood + ignored + unknown OR least(understood, ignored, unknown) < 0"
        )
        assert off == []
        unsaid = case.rows(
            "SELECT path, format, text FROM assumption JOIN source USING (source_id) WHERE contains(text, 'not accounted for')"
        )
        assert unsaid == []
