"""A note of a person put into a case: what was done, decided or noticed, and when.

The note is a little source of its own, cited as every other one: its path is `annotation: TIME`, its SHA-256 that of time
and text, so that the same note twice is stored once.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from connforensics.case import create_or_open, storage_errors
from connforensics.errors import UsageError
from connforensics.evidence import Ledger, marks, times
from connforensics.evidence.zones import Zones

FORMAT = "annotation"
"""What the format of such a source is called."""


def annotate(case_path: Path | str, when: str, text: str, timezone: str | None = None) -> None:
    """Store `text` as an annotation at `when` (`now`, ISO 8601 or any other time evidence may bear), creating the case when there is none.

    `timezone` is that of a time that names none (UTC otherwise). Raises UsageError when `when` is no time, `timezone` no
    time zone or `text` empty, CaseError and StorageError for the case file.
    """
    said = " ".join(text.split())
    if not said:
        raise UsageError("the annotation is empty", "Say what happened: connforensics annotate CASE TIME TEXT.")
    at = _moment(when, timezone)
    case_path = Path(case_path)
    shown = f"annotation: {at:%Y-%m-%dT%H:%M:%S}Z"
    content = f"{at.isoformat()} {said}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    con = create_or_open(case_path)
    try:
        with storage_errors(case_path):
            if con.execute("SELECT 1 FROM source WHERE sha256 = ?", [digest]).fetchall():
                return
            source_id = con.execute("SELECT coalesce(max(source_id), 0) + 1 FROM source").fetchall()[0][0]
            con.execute("BEGIN")
            try:
                con.execute(
                    """
                    INSERT INTO source (
                      source_id, path, sha256, bytes, format, certainty, lines, understood, ignored, unknown, duplicates,
                      suspects, first_at, last_at, is_truncated, ingested_at
                    )
                    VALUES ($source_id, $path, $sha256, $bytes, $format, 1, 1, 1, 0, 0, 0, 0, $at, $at, false, $now)
                    """,
                    {
                        "source_id": source_id,
                        "path": shown,
                        "sha256": digest,
                        "bytes": len(content),
                        "format": FORMAT,
                        "at": at,
                        "now": datetime.now(UTC).replace(tzinfo=None),
                    },
                )
                con.execute(
                    """
                    INSERT INTO event (source_id, line_no, event_at, kind, reason, detail, text)
                    VALUES ($source_id, 1, $at, 'annotation', $reason, $said, $said)
                    """,
                    {"source_id": source_id, "at": at, "reason": marks.kind_of(None, said), "said": said},
                )
                con.execute("COMMIT")
            except BaseException:
                con.execute("ROLLBACK")
                raise
            con.execute("CHECKPOINT")
    finally:
        con.close()


def _moment(when: str, timezone: str | None) -> datetime:
    """Return the time that `when` is, as naive UTC."""
    if timezone is not None:
        Zones(timezone, Ledger())
    if when.strip().lower() == "now":
        return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    moment = times.parse(when, timezone)
    if moment is None:
        raise UsageError(f"{when!r} is not a time", "Write it as 2026-11-21T03:12:00Z, or now.")
    return moment
