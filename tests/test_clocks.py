"""How far a client's clock is from the server's comes out of the refusals that both tell of, or not at all."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connforensics.case import open_case
from connforensics.ingest import ingest

BEGUN = datetime(2026, 3, 2, 8, 0)


def server_line(at: datetime, pid: int) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC [{pid}] FATAL:  sorry, too many clients already\n"


def client_line(at: datetime, *, is_coarse: bool) -> str:
    told = f"{at:%Y-%m-%d %H:%M:%S}" + ("" if is_coarse else f",{at.microsecond // 1000:03d}")
    return f"{told} ERROR app.orders: no order: FATAL:  sorry, too many clients already\n"


def offset(
    folder: Path, *, apart_s: float, refusals: int, every_s: float, share: float = 0.5, is_coarse: bool = False
) -> tuple[float | None, list[str]]:
    """What is estimated where a client writes a share of a server's refusals with a clock that is `apart_s` ahead."""
    rng = random.Random(7)
    at, seen = BEGUN, []
    for _ in range(refusals):
        at += timedelta(seconds=rng.expovariate(1 / every_s))
        seen.append(at)
    evidence = folder / "evidence"
    evidence.mkdir()
    (evidence / "postgresql.log").write_text("".join(server_line(at, 500 + n) for n, at in enumerate(seen)))
    own = [at + timedelta(seconds=apart_s, milliseconds=rng.randrange(1, 12)) for at in seen if rng.random() < share]
    (evidence / "orders.log").write_text("".join(client_line(at, is_coarse=is_coarse) for at in own))
    ingest(folder / "case.duckdb", [evidence])
    with open_case(folder / "case.duckdb") as case:
        assert case.scalar("SELECT clock_offset_s FROM source WHERE path = 'postgresql.log'") is None
        [(found,)] = case.rows("SELECT clock_offset_s FROM source WHERE path = 'orders.log'")
        said = case.rows("SELECT text FROM assumption WHERE starts_with(text, 'its clock is')")
    return found, [text for (text,) in said]


@pytest.mark.parametrize("apart_s", [0.0, 0.7, 40.0, -40.0, 7200.0, -19800.0])
@pytest.mark.parametrize("is_coarse", [False, True])
def test_it_is_found(tmp_path: Path, apart_s: float, is_coarse: bool) -> None:
    found, said = offset(tmp_path, apart_s=apart_s, refusals=120, every_s=6.0, is_coarse=is_coarse)
    assert found == pytest.approx(apart_s, abs=0.6 if is_coarse else 0.05)
    assert len(said) == (abs(apart_s) >= 2)
    assert [("ahead of" in text) for text in said] == [apart_s > 0] * len(said)
    assert [("time zone" in text) for text in said] == [abs(apart_s) > 3600] * len(said)


def test_a_handful_of_refusals_proves_nothing(tmp_path: Path) -> None:
    assert offset(tmp_path, apart_s=40.0, refusals=12, every_s=6.0) == (None, [])


def test_where_refusals_are_dense_any_distance_would_do(tmp_path: Path) -> None:
    assert offset(tmp_path, apart_s=40.0, refusals=3000, every_s=0.02) == (None, [])


def test_another_servers_refusals_are_no_measure(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    rng = random.Random(3)
    times = sorted(BEGUN + timedelta(seconds=rng.uniform(0, 1200)) for _ in range(150))
    others = sorted(BEGUN + timedelta(seconds=rng.uniform(0, 1200)) for _ in range(80))
    (evidence / "postgresql.log").write_text("".join(server_line(at, 500 + n) for n, at in enumerate(times)))
    (evidence / "orders.log").write_text("".join(client_line(at, is_coarse=False) for at in others))
    ingest(tmp_path / "case.duckdb", [evidence])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT count(*) FROM source WHERE clock_offset_s IS NOT NULL") == [(0,)]


def test_it_is_estimated_anew_when_evidence_is_added(tmp_path: Path) -> None:
    found, said = offset(tmp_path, apart_s=40.0, refusals=120, every_s=6.0)
    later = tmp_path / "notes.txt"
    later.write_text("nothing of interest\n")
    ingest(tmp_path / "case.duckdb", [later])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT clock_offset_s FROM source WHERE path = 'orders.log'") == [(found,)]
        assert case.rows("SELECT text FROM assumption WHERE starts_with(text, 'its clock is')") == [(said[0],)]
