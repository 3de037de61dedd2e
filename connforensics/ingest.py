"""Evidence into a case: each file identified, read in one transaction, accounted for to the last line.

A source is either in the case or not: a kill half-way leaves the case as it was before that source. The same file
twice is stored once (by SHA-256); two overlapping rotations do not double events.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from connforensics import clocks
from connforensics.case import create_or_open, storage_errors
from connforensics.errors import EvidenceError, UsageError
from connforensics.evidence import Head, Ledger, Reading, ReadOptions, archives, formats
from connforensics.evidence.containers import Unpacked, reason, sha256
from connforensics.evidence.lines import SUSPECT, ahead, slices
from connforensics.evidence.recognition import Part, Recognition, by_stream, recognise, recognise_as
from connforensics.evidence.unwrapping import Wrapping
from connforensics.schema import BY_NAME, EVIDENCE_TABLES, quoted

if TYPE_CHECKING:
    import duckdb

HEAD_LINES = 2000
HEAD_BYTES = 1 << 20
MIDDLE_LINES = 500
HEAD_LINE_CHARACTERS = 64 << 10
STREAM_HEAD_LINES = 300

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
    files = list(evidence_files(paths, case_path))
    con = create_or_open(case_path)
    outcomes: list[Ingested] = []
    try:
        for (path, shown), looked in ahead(lambda file: _look_ahead(*file, options), files):
            if progress is not None:
                progress(shown)
            outcomes += _ingest_path(con, case_path, path, shown, options, looked)
        with storage_errors(case_path):
            _name_server(con)
            clocks.estimate(con)
            con.execute("CHECKPOINT")
    finally:
        con.close()
    return outcomes


_KIND: Final = "CASE engine WHEN 'mariadb' THEN 'mysql' ELSE engine END"
"""One server may be called MySQL by its client and MariaDB by its log."""

_BEAR_SERVER: Final = tuple(name for name in EVIDENCE_TABLES if "server" in BY_NAME[name].column_names)


def _name_server(con: duckdb.DuckDBPyConnection) -> None:
    """Take sources that name no server for evidence of the only server of their kind that another source names."""
    told = " UNION ".join(
        f"SELECT DISTINCT {_KIND} AS kind, server FROM {name} WHERE server IS NOT NULL"
        for name in ("event", "backend_sample")
    )
    con.execute("BEGIN")
    for server, unnamed in con.execute(
        f"""
        WITH sole AS (
          SELECT kind, any_value(server) AS server
          FROM ({told})
          WHERE kind IS NOT NULL
          GROUP BY kind
          HAVING count(*) = 1
        )
        SELECT sole.server, list(source_id)
        FROM source
        JOIN sole ON sole.kind = {_KIND}
        WHERE source.server IS NULL
        GROUP BY ALL
        """
    ).fetchall():
        for table in ("source", *_BEAR_SERVER):
            con.execute(
                f"UPDATE {table} SET server = ? WHERE server IS NULL AND list_contains(?, source_id)", [server, unnamed]
            )
        text = f"it names no server and is taken for evidence of {server}, the only one of its kind that is named"
        con.executemany("INSERT INTO assumption VALUES (?, ?)", [(source_id, text) for source_id in unnamed])
    con.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class _Looked:
    """A file, its first lines (whether they are all), and what it is by them."""

    unpacked: Unpacked
    head: Head
    is_whole: bool
    found: Recognition


def _look(unpacked: Unpacked, name: str, options: ReadOptions) -> _Looked:
    head, is_whole = head_of(unpacked, name)
    if options.format is not None:
        return _Looked(unpacked, head, is_whole, recognise_as(formats()[options.format], head))
    return _Looked(unpacked, head, is_whole, recognise(head, is_whole=is_whole))


def _look_ahead(path: Path, shown: str, options: ReadOptions) -> _Looked | None:
    """Look at a file while its predecessor is read; None for an archive, and for what cannot be read."""
    source, archive = archives.opened(path, shown)
    if source.unpacked is None or archive is not None:
        return None
    try:
        return _look(source.unpacked, path.name, options)
    except (OSError, EvidenceError):
        return None


def _ingest_path(
    con: duckdb.DuckDBPyConnection,
    case_path: Path,
    path: Path,
    shown: str,
    options: ReadOptions,
    looked: _Looked | None,
) -> Iterator[Ingested]:
    """Ingest a file, or every file of an archive."""
    if looked is not None:
        yield _ingest_file(con, case_path, looked.unpacked, shown, options, looked)
        return
    is_empty = True
    for source in archives.sources(path, shown):
        is_empty = False
        if source.unpacked is None:
            yield Ingested(source.shown, "unreadable", why=source.why)
        else:
            yield _ingest_file(con, case_path, source.unpacked, source.shown, options)
    if is_empty:
        yield Ingested(shown, "empty", why="an archive without files")


def evidence_files(paths: Iterable[Path | str], case_path: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Yield every file below `paths` with the name it is cited by; the case file itself is not evidence.

    Raises EvidenceError when a path does not exist or a folder is empty.
    """
    own = {case_path.resolve(), Path(f"{case_path}.wal").resolve()} if case_path else set()
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
    con: duckdb.DuckDBPyConnection,
    case_path: Path,
    unpacked: Unpacked,
    shown: str,
    options: ReadOptions,
    looked: _Looked | None = None,
) -> Ingested:
    try:
        with ThreadPoolExecutor(1) as hashing:
            hashed = hashing.submit(sha256, unpacked)
            # Only a source as long as another one can be the same: any other is hashed while it is read.
            if con.execute("SELECT 1 FROM source WHERE bytes = ?", [unpacked.size]).fetchall():
                known = con.execute("SELECT 1 FROM source WHERE sha256 = ?", [hashed.result()]).fetchall()
                if known:
                    return Ingested(shown, "already there", why="a source with the same SHA-256 is in the case")
            source, found = _ready(con, looked or _look(unpacked, Path(shown).name, options), options)
            with storage_errors(case_path):
                con.execute("BEGIN")
                try:
                    _read_parts(source, found)
                    if unpacked.is_guessed:
                        source.ledger.assume(f"bytes that are not UTF-8 were read as {unpacked.encoding}, a guess")
                    tables = {table for part in found.parts if part.format for table in part.format.tables}
                    duplicates = _drop_doubles(con, source.source_id, source.ledger, tables, _named(found))
                    _store_source(source, shown, hashed.result(), found, duplicates)
                    con.execute("COMMIT")
                except BaseException:
                    con.execute("ROLLBACK")
                    raise
    except (OSError, EvidenceError) as error:
        return Ingested(shown, "unreadable", why=reason(unpacked.path, error))
    ledger = source.ledger
    outcome: Outcome = "ingested" if found.parts else ("unknown" if ledger.lines else "empty")
    why = "" if found.parts else ("no format recognises it" if ledger.lines else "it holds no line")
    if unpacked.is_truncated:
        why = f"{'; '.join(filter(None, [why, 'the packed file ends before its end mark']))}"
    return Ingested(
        shown, outcome, _named(found) if found.parts else None, ledger.lines, ledger.understood, ledger.unknown, why
    )


def _ready(con: duckdb.DuckDBPyConnection, looked: _Looked, options: ReadOptions) -> tuple[Reading, Recognition]:
    """Return a source ready to be read, and what it holds."""
    unpacked, head, found = looked.unpacked, looked.head, looked.found
    wrapping = None
    if found.layers:
        wrapping = Wrapping(found.layers, options.timezone, _latest(con, unpacked.path))
        if any(part.streams for part in found.parts) and not looked.is_whole:
            found = replace(found, parts=by_stream(_stream_heads(unpacked, wrapping, head.name)))
    [(source_id,)] = con.execute("SELECT coalesce(max(source_id), 0) + 1 FROM source").fetchall()
    return Reading(con, source_id, unpacked, head, options, server=options.server, wrapping=wrapping), found


def _read_parts(source: Reading, found: Recognition) -> None:
    """Read every part of a source and what is left of it; the ledger of `source` is the sum of theirs."""
    parts = found.parts or (Part(None, 0.0),)
    for part in parts:
        reading = replace(
            source,
            ledger=Ledger(),
            head=part.head if part.format else source.head,
            engine=part.format.engine if part.format else None,
            server=source.options.server or part.server,
            streams=part.streams,
            ranges=part.ranges,
        )
        if part.format is None:
            _count_unknown(reading)
        else:
            part.format.read(reading)
            _fill_in(reading)
        _forget(source.con)
        reading.ledger.lines -= reading.blanked
        reading.ledger.ignored -= reading.blanked
        _settle(reading.ledger)
        source.ledger.add(reading.ledger, of=part.server)
        if part is parts[0]:
            source.engine, source.version, source.server = reading.engine, reading.version, reading.server
        elif reading.engine != source.engine:
            source.engine = source.version = None
    if any(part.streams or part.ranges for part in parts):
        _count_rest(source, parts)


def _forget(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what a format left in the temporary schema: the next one may use the same names."""
    for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall():
        con.execute(f'DROP TABLE IF EXISTS temp."{name}"')


def _fill_in(reading: Reading) -> None:
    """Give events what their lines do not tell and the wrapper does: the time it took them in, PostgreSQL's process."""
    if reading.wrapping is None:
        return
    con = reading.con
    [(repeated,)] = con.execute(
        r"""
        SELECT coalesce(sum(TRY_CAST(regexp_extract(text, '^message repeated (\d+) times: \[', 1) AS BIGINT) - 1), 0)
        FROM event
        WHERE source_id = ?
          AND starts_with(text, 'message repeated ')
        """,
        [reading.source_id],
    ).fetchall()
    if repeated > 0:
        reading.ledger.assume(
            f"syslog folded messages that were repeated: {repeated:,} more of them happened than are counted, each line counts once"
        )
    lacking = "source_id = ? AND (event_at IS NULL OR (backend_id IS NULL AND engine = 'postgres'))"
    if not con.execute(f"SELECT 1 FROM event WHERE {lacking} LIMIT 1", [reading.source_id]).fetchall():
        return
    for _ in replace(reading, ledger=Ledger()).scan("wrapped_line"):
        con.execute(
            f"""
            UPDATE event
            SET event_at = coalesce(event_at, wrapped_line.received_at),
                backend_id = CASE WHEN engine = 'postgres' THEN coalesce(backend_id, TRY_CAST(sender AS BIGINT)) ELSE backend_id END
            FROM wrapped_line
            WHERE event.line_no = wrapped_line.line_no
              AND {lacking}
            """,
            [reading.source_id],
        )
    [(first_at, last_at)] = con.execute(
        "SELECT min(event_at), max(event_at) FROM event WHERE source_id = ?", [reading.source_id]
    ).fetchall()
    reading.ledger.saw(first_at, last_at)


def _count_rest(source: Reading, parts: Sequence[Part]) -> None:
    """Account for the lines of no part: other programs' lines are passed over, unless they look like evidence."""
    streams = [stream for part in parts for stream in part.streams or ()]
    ranges = [span for part in parts for span in part.ranges or ()]
    rest = replace(source, ledger=Ledger())
    others: set[str] = set()
    for _ in rest.scan("unread"):
        if streams:
            condition = f"stream NOT IN ({', '.join(map(quoted, streams))})"
            others.update(
                stream
                for (stream,) in source.con.execute(
                    f"SELECT DISTINCT stream FROM unread WHERE {condition} AND stream <> '' LIMIT 20"
                ).fetchall()
            )
        else:
            condition = " AND ".join(f"line_no NOT BETWEEN {first} AND {last}" for first, last in ranges)
        doubtful = f"regexp_matches(text, {quoted(SUSPECT)})" if streams else "trim(text) <> ''"
        count = source.count(f"SELECT count(*) FROM unread WHERE {condition}")
        unknown = source.show_unknown(f"(FROM unread WHERE {condition} AND {doubtful})", SUSPECT)
        source.ledger.lines += count
        source.ledger.unknown += unknown
        source.ledger.ignored += count - unknown
    if others:
        shown = ", ".join(sorted(others)[:8])
        source.ledger.assume(f"lines of other programs were passed over: {shown}{', ...' if len(others) > 8 else ''}")


def _named(found: Recognition) -> str:
    """Return the names of the formats of a source, the surest first."""
    return ", ".join(dict.fromkeys(part.format.name for part in found.parts if part.format)) or "unknown"


def head_of(unpacked: Unpacked, name: str) -> tuple[Head, bool]:
    """Return the first lines of a source, some of its middle, and whether the first are all."""
    first: list[str] = []
    middle: list[str] = []
    is_whole = True
    peek = replace(unpacked)
    for number, table in enumerate(slices(peek, HEAD_BYTES)):
        texts = table.column("text")
        if number == 0:
            first = _shortened(texts.slice(0, HEAD_LINES).to_pylist())
            is_whole = len(first) == table.num_rows
        elif number == 1:
            is_whole = False
            middle = _shortened(texts.slice(0, MIDDLE_LINES).to_pylist())
            break
    return Head(tuple(first), tuple(middle), name=name), is_whole


def _shortened(lines: list[str]) -> list[str]:
    """Return lines cut to what identification needs: an API's answer is one line of any length."""
    return [line[:HEAD_LINE_CHARACTERS] for line in lines]


def _latest(con: duckdb.DuckDBPyConnection, path: Path) -> datetime:
    """Return when the evidence ends at the latest, for times without a year: by the other sources, else by the file."""
    [(known,)] = con.execute("SELECT max(last_at) FROM source").fetchall()
    return known or datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)


def _stream_heads(unpacked: Unpacked, wrapping: Wrapping, name: str) -> list[tuple[str, Head]]:
    """Return the first lines of every stream of a source, also of those that begin late."""
    import pyarrow.compute as pc

    heads: dict[str, list[str]] = {}
    for table in wrapping.unwrapped(slices(replace(unpacked), HEAD_BYTES * 8)):
        for stream in pc.unique(table["stream"]).to_pylist():
            held = heads.setdefault(stream, [])
            if len(held) < STREAM_HEAD_LINES:
                own = table.filter(pc.equal(table["stream"], stream))
                held += own["text"].slice(0, STREAM_HEAD_LINES - len(held)).to_pylist()
    return [(stream, Head(tuple(lines), name=name)) for stream, lines in heads.items()]


def _count_unknown(reading: Reading) -> None:
    for _ in reading.scan("unread"):
        reading.ledger.unknown += reading.show_unknown("unread", SUSPECT)


def _settle(ledger: Ledger) -> None:
    """Put lines no reader accounted for where they belong: among the unknown."""
    unaccounted = ledger.lines - ledger.understood - ledger.ignored - ledger.unknown
    if unaccounted:
        ledger.unknown += unaccounted
        ledger.assume(f"{unaccounted} lines were not accounted for by their reader and count as unknown")


FILLED = (
    "session_key", "user_name", "database_name", "application_name", "client_host", "client_port", "duration_ms",
    "detail", "sqlstate", "error_code",
)  # fmt: skip
"""What one writing of an event may tell and another leave out."""

SAME_LOG = 0.5
"""Of the events in the time that two logs share, how many must be the same for one to repeat the other. Two servers
that both log thousands of connections a second share a few by chance."""

SAMPLED = {
    "backend_sample": (
        "sampled_at",
        "server",
        "engine",
        "backend_id",
        "backend_type",
        "user_name",
        "state",
        "blocked_by",
    ),
    "pool_sample": ("sampled_at", "service", "instance", "pool", "size", "checked_out", "idle", "waiting"),
    "metric_sample": ("sampled_at", "server", "name", "labels", "value"),
}
"""What makes two rows of two sources the same sample."""


def _drop_doubles(
    con: duckdb.DuckDBPyConnection, source_id: int, ledger: Ledger, tables: Collection[str], format_name: str
) -> int:
    """Delete rows of this source (it filled `tables`) that an earlier one holds as well; return how many.

    Two rotations that overlap, one log kept in two places, or a server that writes stderr, csvlog and jsonlog at once
    say the same thing at the same time of the same backend. The n-th occurrence here is the double of the n-th
    occurrence there, so genuine repetitions stay; what only the dropped one tells is kept in the other.
    """
    found = con.execute(
        "SELECT source_id, format FROM source WHERE source_id < ? AND first_at <= ? AND last_at >= ? ORDER BY source_id",
        [source_id, ledger.last_at, ledger.first_at],
    ).fetchall()
    earlier = [there for there, _ in found]
    if not earlier:
        return 0
    dropped = _drop_events(con, source_id, earlier) if "event" in tables else 0
    alike = [there for there, name in found if name == format_name]
    for table, key in SAMPLED.items():
        if alike and table in tables:
            same = " AND ".join(f"here.{name} IS NOT DISTINCT FROM there.{name}" for name in key)
            dropped += _changed(
                con,
                f"""
                DELETE FROM {table} AS here
                WHERE source_id = ?
                  AND sampled_at IS NOT NULL
                  AND EXISTS (SELECT 1 FROM {table} AS there WHERE list_contains(?, there.source_id) AND {same})
                """,
                [source_id, alike],
            )
    return dropped


def _drop_events(con: duckdb.DuckDBPyConnection, here: int, earlier: list[int]) -> int:
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE double AS
        WITH span AS (
          SELECT source_id, min(event_at) AS first_at, max(event_at) AS last_at,
                 max(microsecond(event_at) % 1000000) = 0 AS is_coarse
          FROM event
          WHERE source_id = ?1
             OR list_contains(?2, source_id)
          GROUP BY source_id
        ),
        pair AS (
          SELECT that.source_id AS source_there, greatest(this.first_at, that.first_at) AS first_at,
                 least(this.last_at, that.last_at) AS last_at, this.is_coarse OR that.is_coarse AS is_coarse
          FROM span AS this
          JOIN span AS that
            ON this.source_id = ?1
           AND that.source_id <> ?1
           AND this.first_at <= that.last_at + INTERVAL 1 SECOND
           AND that.first_at <= this.last_at + INTERVAL 1 SECOND
        ),
        told AS (
          SELECT pair.source_there, source_id, line_no, engine, kind, reason,
                 coalesce(CAST(backend_id AS VARCHAR), session_key, text) AS who,
                 CASE WHEN is_coarse THEN date_trunc('second', event_at) ELSE event_at END AS moment
          FROM event
          JOIN pair
            ON event.source_id IN (?1, pair.source_there)
           AND event_at BETWEEN date_trunc('second', pair.first_at) AND pair.last_at + INTERVAL 1 SECOND
        ),
        numbered AS (
          SELECT *, row_number() OVER (
                   PARTITION BY source_there, source_id, engine, kind, reason, who, moment ORDER BY line_no
                 ) AS occurrence
          FROM told
        ),
        same AS (
          SELECT this.line_no AS line_here, that.line_no AS line_there, this.source_there
          FROM numbered AS this
          JOIN numbered AS that
            ON this.source_id = ?1
           AND that.source_id = this.source_there
           AND that.source_there = this.source_there
           AND this.engine = that.engine
           AND this.kind = that.kind
           AND this.reason IS NOT DISTINCT FROM that.reason
           AND this.who = that.who
           AND this.moment = that.moment
           AND this.occurrence = that.occurrence
        ),
        repeated AS (
          SELECT source_there
          FROM told
          LEFT JOIN (SELECT source_there, count(*) AS events FROM same GROUP BY source_there) AS matched USING (source_there)
          WHERE source_id = ?1
          GROUP BY source_there
          HAVING any_value(matched.events) >= ?3 * count(*)
        )
        SELECT line_here, arg_min(line_there, source_there) AS line_there, min(source_there) AS source_there
        FROM same
        WHERE source_there IN (SELECT source_there FROM repeated)
        GROUP BY line_here
        """,
        [here, earlier, SAME_LOG],
    )
    [(doubles,)] = con.execute("SELECT count(*) FROM double").fetchall()
    if not doubles:
        return 0
    missing = ", ".join(f"{name} = coalesce(event.{name}, richer.{name})" for name in FILLED)
    poorer = " OR ".join(f"event.{name} IS NULL AND richer.{name} IS NOT NULL" for name in FILLED)
    con.execute(
        f"""
        UPDATE event
        SET {missing}
        FROM (
          SELECT double.line_there, double.source_there, told.*
          FROM double
          JOIN event AS told
            ON told.source_id = ?
           AND told.line_no = double.line_here
        ) AS richer
        WHERE event.source_id = richer.source_there
          AND event.line_no = richer.line_there
          AND ({poorer})
        """,
        [here],
    )
    return _changed(con, "DELETE FROM event WHERE source_id = ? AND line_no IN (SELECT line_here FROM double)", [here])


def _changed(con: duckdb.DuckDBPyConnection, sql: str, given: Sequence[object]) -> int:
    """Run a statement that changes rows; return how many."""
    rows = con.execute(sql, list(given)).fetchall()
    return int(rows[0][0]) if rows else 0


def _store_source(
    reading: Reading,
    shown: str,
    digest: str,
    found: Recognition,
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
            "bytes": reading.unpacked.size,
            "container": ", ".join(filter(None, [*reading.unpacked.containers, reading.unpacked.encoding])) or None,
            "wrapper": ", ".join(layer.name for layer in found.layers) or None,
            "format": _named(found),
            "certainty": found.certainty,
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
