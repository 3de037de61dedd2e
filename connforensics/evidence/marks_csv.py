"""Marks: what people and machines noted down at a time: deploys, alerts, scaling, restarts, notes of those on call.

Obtained as CSV from a deployment tool's history, an alert manager's, an incident channel's export, or written by hand: a
time column and a column for what happened, a word for its kind, or both; optionally the service it was about.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/annotate-visualizations/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, marks, series, tables, times

if TYPE_CHECKING:
    import duckdb

ALIASES: Final = {
    "event_at": (*times.COLUMNS, "start", "started_at", "at", "event_time", "event_at", "start_time", "deployed_at", "fired_at"),
    "kind": ("kind", "type", "event_type", "category", "mark", "action", "event_kind", "tag", "tags"),
    "text": ("text", "what", "event", "note", "annotation", "description", "message", "title", "summary", "details", "detail",
             "comment", "name", "version", "alertname", "alert", "release"),
    "service": series.LABELS["service"],
}  # fmt: skip

SURE: Final = frozenset(
    (
        "event",
        "what",
        "note",
        "annotation",
        "mark",
        "kind",
        "event_type",
        "deployed_at",
        "fired_at",
        "alertname",
        "release",
    )
)
"""Names that say by themselves that something happened."""

FOREIGN: Final = frozenset(
    ("level", "severity", "loglevel", "log_level", "logger", "thread", "stack_trace", "value", "metric", "query", "pid",
     "sqlstate", "backend_id", "state", "status_code", "method", "path", "url", "duration", "bytes", "price", "quantity")
)  # fmt: skip
"""Names of logs and measurements, which have times and texts as well."""

SHARE_KNOWN: Final = 0.5
"""Least share of rows with a known word for their kind, where the header alone could be a log's."""


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header has a time and what happened, and is not that of a log or of measurements."""
    found = tables.match(names, ALIASES)
    if "event_at" not in found or not {"kind", "text"} & found.keys() or FOREIGN & set(names):
        return False
    return bool(SURE & set(names)) or {"kind", "text"} <= found.keys()


def certainty(head: Head) -> float:
    """Return how sure a head is a table of marks: by its header and by the words for what happened."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    found = tables.match(layout.names, ALIASES)
    known = _known_share(head, layout, found.get("kind", found.get("text", 0)))
    if known >= SHARE_KNOWN:
        return 0.9 * (0.4 + 0.6 * layout.fit)
    return 0.5 * layout.fit if SURE & set(layout.names) else 0.0


def _known_share(head: Head, layout: tables.Layout, column: int) -> float:
    rows = [re.split(r"[,;\t|]", line) for line in head.lines[layout.index + 1 :][:200] if line.strip()]
    cells = [row[column] for row in rows if len(row) > column]
    known = [cell for cell in cells if any(re.search(words, cell, re.IGNORECASE) for _, words in marks.KINDS)]
    return len(known) / len(cells) if cells else 0.0


def read(reading: Reading) -> None:
    """Store an `annotation` for each mark: its kind as reason, what happened as detail."""
    with tables.scratch(reading.options.timezone) as con:
        for frame in tables.frames(reading, accepts):
            _store(reading, con, frame)


def _store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> None:
    found = tables.match(frame.names, ALIASES)
    wanted = {target: tables.column(found.get(target)) for target in ALIASES}
    written = frame.rows[f"c{found['event_at']}"]
    rows = tables.select(
        con,
        frame.rows,
        f"""
        SELECT line_no, lines, {times.sql(f"c{found['event_at']}")} AS event_at, {wanted["kind"]} AS kind,
               {wanted["text"]} AS text, {wanted["service"]} AS service
        FROM frame
        """,
    )
    if times.is_zoneless(written.slice(0, 200).to_pylist()):
        reading.ledger.assume(times.zone_assumed(reading.options.timezone))
    moments = times.filled(rows["event_at"], written, reading.options.timezone)
    is_good = pc.and_(pc.is_valid(moments), pc.or_(pc.is_valid(rows["kind"]), pc.is_valid(rows["text"])))
    tables.reject(reading.ledger, frame.rows.filter(pc.invert(is_good)))
    rows, moments = rows.filter(is_good), moments.filter(is_good)
    reading.ledger.understood += tables.lines_of(rows)
    if not rows.num_rows:
        return
    extent = pc.min_max(moments).as_py()
    reading.ledger.saw(extent["min"], extent["max"])
    kinds, texts = rows["kind"].to_pylist(), rows["text"].to_pylist()
    services = rows["service"].to_pylist()
    details = [
        f"{service}: {said}" if service and service not in said else said
        for said, service in zip(
            (text or kind or "" for kind, text in zip(kinds, texts, strict=True)), services, strict=True
        )
    ]
    reading.insert(
        "event",
        pa.table(
            {
                "line_no": rows["line_no"],
                "event_at": moments,
                "kind": pa.array(["annotation"] * rows.num_rows, pa.string()),
                "reason": pa.array([marks.kind_of(*pair) for pair in zip(kinds, texts, strict=True)], pa.string()),
                "application_name": rows["service"],
                "detail": pa.array(details, pa.string()),
                "text": pa.array(
                    [" ".join(filter(None, pair)) for pair in zip(kinds, texts, strict=True)], pa.string()
                ),
            }
        ),
    )


FORMAT = Format(
    name="marks_csv",
    engine=None,
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "time,kind,text\n2026-11-21T03:05:00Z,deployment,orders 4.2 to production\n"
            '2026-11-21T03:14:10Z,page,"HighErrorRate, checkout"\n2026-11-21T03:20:00Z,restart,\n',
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:05:00", "kind": "annotation", "reason": "deploy",
                     "detail": "orders 4.2 to production"},
                    {"line_no": 3, "event_at": "2026-11-21T03:14:10", "reason": "alert", "detail": "HighErrorRate, checkout"},
                    {"line_no": 4, "event_at": "2026-11-21T03:20:00", "reason": "restart", "detail": "restart"},
                )
            },
            name="marks.csv",
        ),
        Sample(
            "timestamp;service;event\n2026-11-21 04:05:00+01;orders;rolled back to 4.1\n"
            "2026-11-21 03:30:00Z;;connections are falling\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:05:00", "reason": "rollback", "application_name": "orders",
                     "detail": "orders: rolled back to 4.1"},
                    {"line_no": 3, "event_at": "2026-11-21T03:30:00", "reason": "note", "application_name": None,
                     "detail": "connections are falling"},
                )
            },
            name="notes.csv",
        ),
    ),
)  # fmt: skip
