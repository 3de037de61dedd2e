"""Evidence into a case: each file identified, read in one transaction, accounted for to the last line.

A source is either in the case or not: a kill half-way leaves the case as it was before that source. The same file
twice is stored once (by SHA-256); two overlapping rotations do not double events.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from connforensics.case import create_or_open, storage_errors
from connforensics.errors import EvidenceError, UsageError
from connforensics.evidence import Format, Head, Ledger, Reading, ReadOptions, formats, identify
from connforensics.evidence.containers import Unpacked, sha256, unpack
from connforensics.evidence.lines import SUSPECT, slices

if TYPE_CHECKING:
    import duckdb

HEAD_LINES = 2000
HEAD_BYTES = 1 << 20
MIDDLE_LINES = 500

Outcome = Literal["ingested", "already there", "unknown", "empty", "unreadable"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one path: the outcome, and why where it was not read."""

    path: str
    outcome: Outcome
    format: str | None = None
    lines: int = 0
    understood: int = 0
    unknown: int = 0
    why: str = ""


def ingest(
    case_path: Path | str,
    paths: Sequence[Path | str],
    options: ReadOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Ingested]:
    """Read files and folders of evidence into a case, creating it when there is none.

    `progress` is told each path before it is read. Returns one outcome per file, in the order read. Raises
    EvidenceError when a named path does not exist or cannot be read (before anything is stored), CaseError and
    StorageError for the case file.
    """
    options = options or ReadOptions()
    if options.format is not None and options.format not in formats():
        raise UsageError(f"unknown format {options.format!r}", f"Known: {', '.join(formats())}.")
    case_path = Path(case_path)
    files = list(_files(paths, case_path))
    con = create_or_open(case_path)
    outcomes = []
    try:
        for path, shown in files:
            if progress is not None:
                progress(shown)
            outcomes.append(_ingest_file(con, case_path, path, shown, options))
        with storage_errors(case_path):
            con.execute("CHECKPOINT")
    finally:
        con.close()
    return outcomes


def _files(paths: Iterable[Path | str], case_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file below `paths` with the name it is cited by; the case file itself is not evidence."""
    own = {case_path.resolve(), Path(f"{case_path}.wal").resolve()}
    seen: set[Path] = set()
    for given in map(Path, paths):
        if not given.exists():
            raise EvidenceError(f"{given}: no such file or folder", "Check the path.")
        if given.is_dir():
            found = sorted(_walk(given))
            if not found:
                raise EvidenceError(f"{given}: an empty folder", "Name a folder with logs, snapshots or metrics in it.")
        else:
            found = [given]
        for path in found:
            resolved = path.resolve()
            if resolved in own or resolved in seen:
                continue
            seen.add(resolved)
            yield path, str(path.relative_to(given)) if given.is_dir() else given.name


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise EvidenceError(f"{error.filename}: {error.strerror}", "Check the permissions of the folder.") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _ingest_file(
    con: duckdb.DuckDBPyConnection, case_path: Path, path: Path, shown: str, options: ReadOptions
) -> Ingested:
    try:
        with ThreadPoolExecutor(1) as hashing:
            hashed = hashing.submit(sha256, path)
            unpacked = unpack(path)
            head = _head(unpacked, path.name)
            claims = [(formats()[options.format], 1.0)] if options.format is not None else identify(head)
            digest = hashed.result()
    except (OSError, EvidenceError) as error:
        why = error.what if isinstance(error, EvidenceError) else f"{path}: {error.strerror or error}"
        return Ingested(shown, "unreadable", why=why)
    if con.execute("SELECT 1 FROM source WHERE sha256 = ?", [digest]).fetchall():
        return Ingested(shown, "already there", why="a source with the same SHA-256 is in the case")
    chosen, certainty = claims[0] if claims else (None, 0.0)
    source_id = con.execute("SELECT coalesce(max(source_id), 0) + 1 FROM source").fetchall()[0][0]
    reading = Reading(
        con,
        source_id,
        unpacked,
        head,
        options,
        engine=chosen.engine if chosen else None,
        server=options.server,
    )
    with storage_errors(case_path):
        con.execute("BEGIN")
        try:
            if chosen is None:
                _count_unknown(reading)
            else:
                chosen.read(reading)
            ledger = reading.ledger
            _settle(ledger)
            duplicates = _drop_doubles(con, source_id)
            _store_source(reading, shown, path, digest, chosen, certainty, duplicates)
            con.execute("COMMIT")
        except BaseException:
            con.execute("ROLLBACK")
            raise
    outcome: Outcome = "ingested" if chosen else ("unknown" if ledger.lines else "empty")
    why = "" if chosen else ("no format recognises it" if ledger.lines else "it holds no line")
    if unpacked.is_truncated:
        why = f"{'; '.join(filter(None, [why, 'the packed file ends before its end mark']))}"
    return Ingested(
        shown, outcome, chosen.name if chosen else None, ledger.lines, ledger.understood, ledger.unknown, why
    )


def _head(unpacked: Unpacked, name: str) -> Head:
    lines: list[str] = []
    for table in slices(Unpacked(unpacked.path, unpacked.containers, unpacked.encoding), HEAD_BYTES):
        lines = table.column("text").slice(0, HEAD_LINES).to_pylist()
        break
    return Head(tuple(lines), name=name)


def _count_unknown(reading: Reading) -> None:
    ledger = reading.ledger
    for table in reading.scan("unread"):
        ledger.unknown += table.num_rows
        found = reading.con.execute("SELECT count(*) FROM unread WHERE regexp_matches(text, ?)", [SUSPECT]).fetchall()
        ledger.suspects += found[0][0]
        head = table.slice(0, 20)
        for line_no, text in zip(head["line_no"].to_pylist(), head["text"].to_pylist(), strict=True):
            ledger.example(line_no, text)


def _settle(ledger: Ledger) -> None:
    """Put lines no reader accounted for where they belong: among the unknown."""
    unaccounted = ledger.lines - ledger.understood - ledger.ignored - ledger.unknown
    if unaccounted:
        ledger.unknown += unaccounted
        ledger.assume(f"{unaccounted} lines were not accounted for by their reader and count as unknown")


def _drop_doubles(con: duckdb.DuckDBPyConnection, source_id: int) -> int:
    """Delete events of this source that an earlier source of the same engine holds as well; return how many.

    Two rotations that overlap, or one log kept in two places, say the same thing at the same time of the same
    backend. The n-th occurrence here is the double of the n-th occurrence there, so genuine repetitions stay.
    """
    if source_id == 1:
        return 0
    key = "event_at, backend_id, kind, reason, user_name, database_name, client_port, detail"
    con.execute(
        f"""
        DELETE FROM event
        WHERE source_id = ?1
          AND line_no IN (
            WITH range_here AS (
              SELECT min(event_at) AS first_at, max(event_at) AS last_at
              FROM event
              WHERE source_id = ?1
            ),
            numbered AS (
              SELECT source_id, line_no, engine, {key},
                     row_number() OVER (PARTITION BY source_id, engine, {key} ORDER BY line_no) AS occurrence
              FROM event, range_here
              WHERE event_at BETWEEN range_here.first_at AND range_here.last_at
                AND backend_id IS NOT NULL
            )
            SELECT here.line_no
            FROM numbered AS here
            JOIN numbered AS there
              ON there.source_id < here.source_id
             AND here.source_id = ?1
             AND here.engine = there.engine
             AND here.event_at = there.event_at
             AND here.backend_id = there.backend_id
             AND here.kind = there.kind
             AND here.reason IS NOT DISTINCT FROM there.reason
             AND here.user_name IS NOT DISTINCT FROM there.user_name
             AND here.database_name IS NOT DISTINCT FROM there.database_name
             AND here.client_port IS NOT DISTINCT FROM there.client_port
             AND here.detail IS NOT DISTINCT FROM there.detail
             AND here.occurrence = there.occurrence
          )
        """,
        [source_id],
    )
    rows = con.fetchall()
    return int(rows[0][0]) if rows else 0


def _store_source(
    reading: Reading,
    shown: str,
    path: Path,
    digest: str,
    chosen: Format | None,
    certainty: float,
    duplicates: int,
) -> None:
    ledger = reading.ledger
    con = reading.con
    _insert(
        con,
        "source",
        {
            "source_id": reading.source_id,
            "path": shown,
            "sha256": digest,
            "bytes": path.stat().st_size,
            "container": ", ".join(filter(None, [*reading.unpacked.containers, reading.unpacked.encoding])) or None,
            "format": chosen.name if chosen else "unknown",
            "certainty": certainty,
            "engine": reading.engine,
            "version": reading.version,
            "server": reading.server,
            "lines": ledger.lines,
            "understood": ledger.understood,
            "ignored": ledger.ignored,
            "unknown": ledger.unknown,
            "duplicates": duplicates,
            "suspects": ledger.suspects,
            "first_at": ledger.first_at,
            "last_at": ledger.last_at,
            "is_truncated": reading.unpacked.is_truncated,
            "ingested_at": datetime.now(UTC).replace(tzinfo=None),
        },
    )
    if reading.unpacked.is_truncated:
        ledger.assume("the packed file ends before its end mark: what follows is lost")
    for text in ledger.assumptions:
        _insert(con, "assumption", {"source_id": reading.source_id, "text": text})
    for line_no, text in ledger.examples:
        _insert(con, "unknown_line", {"source_id": reading.source_id, "line_no": line_no, "text": text})


def _insert(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, object]) -> None:
    """Store one row; through bound values, since a table of Python objects would make pyarrow import pandas."""
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
