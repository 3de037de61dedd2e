"""The laws that every format keeps, whatever it reads."""

from __future__ import annotations

import gzip
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connforensics.case import open_case
from connforensics.evidence import Format, Head, ReadOptions, Sample, formats, identify
from connforensics.ingest import ingest
from connforensics.schema import EVIDENCE_TABLES

Rows = Mapping[str, list[dict[str, object]]]

SAMPLES = [
    pytest.param(candidate, sample, id=f"{candidate.name}-{number}")
    for candidate in formats().values()
    for number, sample in enumerate(candidate.samples, 1)
]


@dataclass(frozen=True)
class Read:
    """What one file gave: its rows by table, its line of `source`, and what had to be assumed."""

    rows: Rows
    source: dict[str, object]
    assumptions: list[str]


def read(content: str | bytes, folder: Path, name: str = "sample.txt", options: ReadOptions | None = None) -> Read:
    """Ingest one file into a case of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogateescape"))
    case_path = folder / "case.duckdb"
    case_path.unlink(missing_ok=True)
    ingest(case_path, [path], options)
    with open_case(case_path) as case:
        rows = {
            table: case._con.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()
            for table in EVIDENCE_TABLES
        }
        source = case._con.sql("SELECT * FROM source").to_arrow_table().to_pylist()[0]
        assumptions = [text for (text,) in case.rows("SELECT text FROM assumption")]
    return Read(rows, source, assumptions)


def as_written(value: object) -> object:
    """Return a value as samples write it: times as ISO text, maps as dictionaries."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list) and all(isinstance(item, tuple) for item in value):
        return dict(value)
    return value


def pinned(rows: Rows, sample: Sample) -> dict[str, list[dict[str, object]]]:
    """Return of all rows the columns that the sample pins."""
    shown: dict[str, list[dict[str, object]]] = {}
    for table, found in rows.items():
        wanted = sample.rows.get(table, ())
        shown[table] = [
            {name: as_written(row[name]) for name in (wanted[index] if index < len(wanted) else row)}
            for index, row in enumerate(found)
        ]
    return {table: found for table, found in shown.items() if found}


def expected(sample: Sample) -> dict[str, list[dict[str, object]]]:
    """Return the rows a sample promises, times in one ISO form."""
    return {
        table: [
            {
                name: datetime.fromisoformat(value).isoformat()
                if name.endswith("_at") and isinstance(value, str)
                else value
                for name, value in row.items()
            }
            for row in rows
        ]
        for table, rows in sample.rows.items()
        if rows
    }


def head_of(text: str, name: str = "") -> Head:
    return Head(tuple(text.replace("\r\n", "\n").split("\n")), name=name)


def test_there_are_formats() -> None:
    assert formats()


@pytest.mark.parametrize("candidate", [pytest.param(one, id=one.name) for one in formats().values()])
def test_a_format_says_what_it_is_and_shows_it(candidate: Format) -> None:
    module = next(
        module
        for info in pkgutil.iter_modules(importlib.import_module("connforensics.evidence").__path__)
        if getattr(module := importlib.import_module(f"connforensics.evidence.{info.name}"), "FORMAT", None)
        is candidate
    )
    said = module.__doc__ or ""
    assert len(said) > 200, "the docstring says what it is and how to obtain it"
    assert "https://" in said, "the docstring links to the vendor's page"
    assert candidate.samples
    assert set(candidate.tables) <= set(EVIDENCE_TABLES)
    assert {table for sample in candidate.samples for table in sample.rows} == set(candidate.tables), (
        "samples show every table the format fills"
    )


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_a_sample_gives_exactly_its_rows(candidate: Format, sample: Sample, tmp_path: Path) -> None:
    found = read(sample.text, tmp_path, sample.name, sample.options)
    assert pinned(found.rows, sample) == expected(sample)
    assert found.source["format"] == candidate.name


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_every_line_of_a_sample_is_accounted_for(candidate: Format, sample: Sample, tmp_path: Path) -> None:
    found = read(sample.text, tmp_path, sample.name, sample.options)
    source = found.source
    assert source["lines"] == len(sample.text.split("\n")) - sample.text.endswith("\n")
    assert source["lines"] == int(source["understood"]) + int(source["ignored"]) + int(source["unknown"])
    assert not [text for text in found.assumptions if "not accounted for" in text]


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_a_sample_is_its_own_formats_alone(candidate: Format, sample: Sample) -> None:
    claims = identify(head_of(sample.text))
    assert claims, "its own format claims it"
    assert claims[0][0].name == candidate.name
    assert all(certainty < claims[0][1] for _, certainty in claims[1:])


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_a_name_decides_nothing(candidate: Format, sample: Sample) -> None:
    for name in ("x", "postgresql.log", "activity.csv", "workers.csv", "pools.csv", "settings.conf", "marks.csv"):
        assert identify(head_of(sample.text, name))[0][0].name == candidate.name


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_packing_and_line_ends_change_no_row(candidate: Format, sample: Sample, tmp_path: Path) -> None:
    plain = read(sample.text, tmp_path / "plain", sample.name, sample.options)
    packed = read(gzip.compress(sample.text.encode(), mtime=0), tmp_path / "gz", sample.name + ".gz", sample.options)
    windows = read(sample.text.replace("\n", "\r\n"), tmp_path / "crlf", sample.name, sample.options)
    marked = read(b"\xef\xbb\xbf" + sample.text.encode(), tmp_path / "bom", sample.name, sample.options)
    unended = read(sample.text.removesuffix("\n"), tmp_path / "unended", sample.name, sample.options)
    for other in (packed, windows, marked, unended):
        assert other.rows == plain.rows
        assert other.source["unknown"] == plain.source["unknown"]


@pytest.mark.parametrize(("candidate", "sample"), SAMPLES)
def test_a_sample_cut_anywhere_raises_nothing(candidate: Format, sample: Sample, tmp_path: Path) -> None:
    content = sample.text.encode()
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    for cut in {*range(1, len(content), max(len(content) // 40, 1)), len(content) - 1}:
        identify(head_of(content[:cut].decode(errors="replace")))
        (pieces / f"{cut:06d}.txt").write_bytes(content[:cut])
    ingest(
        tmp_path / "case.duckdb",
        [pieces],
        ReadOptions(sample.options.log_line_prefix, sample.options.timezone, format=candidate.name),
    )
    with open_case(tmp_path / "case.duckdb") as case:
        assert (
            case.scalar("SELECT count(*) FROM source WHERE lines IS DISTINCT FROM understood + ignored + unknown") == 0
        )
        assert case.rows("SELECT * FROM assumption WHERE contains(text, 'not accounted for')") == []


# Without vowels: Hypothesis also tries strings that it finds in the code, and those are words of somebody's evidence.
JUNK = st.text(st.characters(codec="utf-8", exclude_characters="aeiouAEIOU"), max_size=80)


@settings(max_examples=100, deadline=None)
@given(st.lists(JUNK, max_size=30))
def test_junk_text_is_nobodys(lines: list[str]) -> None:
    assert not identify(Head(tuple(lines)))


@pytest.mark.parametrize(
    "words",
    ["pgsql_variables", "autovacuum launcher", "max_connections reached for all servers", "max_connections limit"],
)
def test_names_of_settings_in_prose_are_no_settings(words: str) -> None:
    assert not identify(Head(("{", words)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000))
def test_junk_bytes_are_nobodys(content: bytes) -> None:
    assert not identify(Head(tuple(content.decode(errors="backslashreplace").split("\n"))))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from(["id", "name", "city", "price", "email", "free", "used", "total", "cpu", "user", "system"]),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    st.integers(1, 5),
)
def test_a_table_of_something_else_is_nobodys(names: list[str], rows: int) -> None:
    lines = [",".join(names), *(",".join("7" for _ in names) for _ in range(rows))]
    assert not identify(Head(tuple(lines)))


FRAMED = [
    pytest.param(one, number, id=f"{one.name}-{number}")
    for one in formats().values()
    for number, _ in enumerate(one.frames)
]
"""Every way a format of this project frames the messages of its catalogue."""


def test_every_catalogue_is_framed_by_some_format() -> None:
    package = importlib.import_module("connforensics.evidence.messages")
    catalogues = {
        info.name: module.CATALOGUE
        for info in pkgutil.iter_modules(package.__path__)
        if hasattr(module := importlib.import_module(f"{package.__name__}.{info.name}"), "CATALOGUE")
    }
    framed = [one.catalogue for one in formats().values() if one.frames]
    unframed = [name for name, entries in catalogues.items() if not any(set(entries) <= set(one) for one in framed)]
    assert not unframed


@pytest.mark.parametrize(("framed", "frame"), FRAMED)
def test_every_text_of_a_catalogue_is_recognised_in_its_frame(framed: Format, frame: int, tmp_path: Path) -> None:
    lines: list[str] = []
    begins = []
    for number, entry in enumerate(framed.catalogue, 1):
        begins.append(len(lines) + 1)
        lines += framed.frames[frame](entry.sample, number).split("\n")
    found = read("\n".join(lines) + "\n", tmp_path, options=ReadOptions(format=framed.name))
    told = {row["line_no"]: (row["kind"], row["reason"]) for row in found.rows["event"]}
    missed = {
        entry.sample: told.get(begin)
        for begin, entry in zip(begins, framed.catalogue, strict=True)
        if told.get(begin, (None, None))[0] != entry.kind
        or (entry.reason is not None and told[begin][1] != entry.reason)
    }
    assert not missed
