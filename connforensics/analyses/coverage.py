"""What evidence do we have, and how much of it was understood?

One row is one source, with its lines accounted for and what had to be assumed about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from connforensics.analyses import blind_spots, clock, plural, records
from connforensics.case import Case, Window
from connforensics.schema import EVIDENCE_TABLES

if TYPE_CHECKING:
    import pandas as pd

QUESTION = __doc__.splitlines()[0]

UNDERSTOOD_SHARE: Final = 0.95
"""Below this share of understood lines among those that look like connection lines, nothing should be concluded."""


def run(case: Case, window: Window) -> pd.DataFrame:
    """Return path, format, engine, version, server, lines, understood, ignored, unknown, suspects, first_at, last_at,
    sha256, assumptions: one row a source.
    """
    return case.query(
        """
        SELECT path, format, engine, version, server, lines, understood, ignored, unknown, suspects,
               first_at, last_at, sha256,
               (
                 SELECT string_agg(text, '; ')
                 FROM assumption
                 WHERE assumption.source_id = source.source_id
               ) AS assumptions
        FROM source
        ORDER BY source_id
        LIMIT 2000
        """
    )


def headline(table: pd.DataFrame) -> str:
    """Say how many sources, how many lines, and over which time."""
    if table.empty:
        return "The case holds no evidence."
    lines = int(table["lines"].sum())
    unknown = int(table["unknown"].sum())
    unread = [path for path, name in zip(table["path"], table["format"], strict=True) if name == "unknown"]
    parts = [f"{plural(len(table), 'source')} with {plural(lines, 'line')}"]
    if table["first_at"].notna().any():
        parts.append(f"from {clock(table['first_at'].min())} to {clock(table['last_at'].max())}")
    parts.append(f"{unknown:,} of the lines were not recognised" if unknown else "every line was recognised")
    sentence = ", ".join(parts) + "."
    if unread:
        sentence += f" Not read at all, for no format recognises it: {', '.join(unread[:5])}."
    return sentence


UNANSWERABLE: Final = (
    (
        "SELECT count(*) FROM log_knows_ends WHERE has_openings",
        "how fast sessions were opened: no server log with log_connections (or a general log)",
    ),
    (
        "SELECT count(*) FROM log_knows_ends WHERE has_ends",
        "how long sessions lasted: no server log with log_disconnections (or a general log)",
    ),
    ("SELECT count(*) FROM refusal", "who was refused: no log or client tells of a refusal"),
    (
        "SELECT (SELECT count(*) FROM refusal_watch) + (SELECT count(*) FROM refusal)",
        "whether anybody was refused: no log that writes every refusal, and no counter of them",
    ),
    (
        "SELECT count(*) FROM snapshot",
        "what sessions were doing, idle or at work: no snapshot of pg_stat_activity or a process list",
    ),
    (
        "SELECT count(*) FROM pool_sample",
        "whether pools lent connections and never got them back: no numbers of any pool",
    ),
    ("SELECT count(*) FROM worker_count", "whether more workers explain more connections: no worker counts"),
    ("SELECT count(*) FROM capacity WHERE max_backends IS NOT NULL", "how near the limit was: no max_connections"),
)
"""What is asked of a case, and what cannot be said where it is not there."""


def unanswerable(case: Case) -> list[str]:
    """Return the questions that this evidence cannot answer, each with what is missing for it."""
    return [text for sql, text in UNANSWERABLE if not case.scalar(sql)]


def ledger(case: Case, window: Window) -> dict[str, Any]:
    """Return the coverage of a case in the shape of `coverage --json`: sources with their ledgers, and blind spots."""
    counted: dict[int, dict[str, Any]] = {
        source_id: {"kinds": {}, "reasons": {}, "samples": {}, "assumptions": [], "unknown_examples": []}
        for (source_id,) in case.rows("SELECT source_id FROM source ORDER BY source_id")
    }
    for source_id, kind, reason, count in case.rows(
        "SELECT source_id, kind, reason, count(*) FROM event GROUP BY ALL ORDER BY ALL"
    ):
        kinds = counted[source_id]["kinds"]
        kinds[kind] = kinds.get(kind, 0) + count
        if reason is not None:
            counted[source_id]["reasons"][f"{kind}:{reason}"] = count
    for table in EVIDENCE_TABLES:
        for source_id, count in case.rows(f"SELECT source_id, count(*) FROM {table} GROUP BY source_id"):
            counted[source_id]["samples"][table] = count
    for source_id, text in case.rows("SELECT source_id, text FROM assumption"):
        counted[source_id]["assumptions"].append(text)
    for source_id, line_no, text in case.rows("SELECT source_id, line_no, text FROM unknown_line ORDER BY line_no"):
        counted[source_id]["unknown_examples"].append({"line_no": line_no, "text": text})
    columns = (
        "source_id, path, format, certainty, container, wrapper, engine, version, server, sha256, bytes, lines, understood, ignored, "
        "unknown, suspects, duplicates, is_truncated, first_at, last_at"
    )
    sources = [
        record | counted[record.pop("source_id")]
        for record in records(case.query(f"SELECT {columns} FROM source ORDER BY source_id"))
    ]
    return {
        "sources": sources,
        "blind_spots": records(blind_spots.run(case, window)),
        "unanswerable": unanswerable(case),
    }


def is_well_understood(table: pd.DataFrame) -> bool:
    """Whether at least UNDERSTOOD_SHARE of the lines that look like connection lines were understood."""
    understood, suspects = int(table["understood"].sum()), int(table["suspects"].sum())
    return understood > 0 and understood >= UNDERSTOOD_SHARE * (understood + suspects)
