"""Who waits for whose lock in PostgreSQL: `pg_locks`, and the joins that people paste to see who blocks whom.

Obtained with `SELECT now(), * FROM pg_locks`, with `pg_blocking_pids(pid)` beside it, or with one of the queries of the
PostgreSQL wiki (`blocked_pid`, `blocking_pid`, `blocked_statement`, ...), as CSV or pasted in any shape. Each session that
waits becomes a `lock_wait` event, as the server's own log has it with log_lock_waits, and not a backend_sample: these
lists hold the waiting alone, and taken for a snapshot they would say that nobody else was connected. Locks that are
held say nothing about connections by themselves; of plain pg_locks they tell who is in front.

https://www.postgresql.org/docs/current/view-pg-locks.html
https://wiki.postgresql.org/wiki/Lock_Monitoring
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, tables, times

if TYPE_CHECKING:
    import duckdb

ALIASES: Final = {
    "seen_at": times.COLUMNS,
    "pid": ("blocked_pid", "waiting_pid", "waiter_pid", "blocked", "pid", "waiting"),
    "blockers": (
        "blocking_pid", "blocking_pids", "blocked_by", "pg_blocking_pids", "blocker_pid", "blockers", "blocked_by_pids",
        "holding_pid", "locker_pid", "blocking",
    ),
    "user_name": ("blocked_user", "waiting_user", "usename", "user_name"),
    "database_name": ("blocked_database", "datname", "database_name"),
    "application_name": ("blocked_application", "waiting_application", "application_name"),
    "client_host": ("blocked_client_addr", "client_addr"),
    "query": ("blocked_statement", "blocked_query", "waiting_query", "waiting_statement", "query"),
    "since": ("waitstart", "wait_start", "waiting_since"),
    "waited": ("wait_duration", "waiting_duration", "blocked_duration", "wait_age", "waiting_for", "duration"),
    "granted": ("granted",),
    "mode": ("mode", "blocked_mode", "waiting_mode"),
    "locktype": ("locktype", "lock_type", "waiting_locktype"),
}  # fmt: skip

TARGET: Final = (
    "locktype", "database", "relation", "page", "tuple", "virtualxid", "transactionid", "classid", "objid", "objsubid",
)  # fmt: skip
"""Columns of pg_locks that say what is locked."""

KEEP: Final = frozenset((*TARGET, *(alias for known in ALIASES.values() for alias in known)))

WHOLE: Final = frozenset(("backend_start", "state_change", "backend_type", "backend_xmin"))
"""Names of pg_stat_activity: a list that has them may be a whole snapshot, and is another format's."""


def accepts(names: Sequence[str]) -> bool:
    """Tell whether a header is one of pg_locks or of who blocks whom."""
    present = frozenset(names)
    found = tables.match(names, ALIASES)
    if {"locktype", "granted", "pid"} <= present:
        return True
    if "pid" not in found or "blockers" not in found or present & WHOLE:
        return False
    return names[found["pid"]] in ALIASES["pid"][:4] or "query" in found


def certainty(head: Head) -> float:
    """Return how sure a head shows locks: by names that nothing else has."""
    layout = tables.find(head.lines, accepts)
    if layout is None:
        return 0.0
    present = frozenset(layout.names)
    sure = 0.95 if {"locktype", "granted"} <= present else 0.9 if present & set(ALIASES["pid"][:3]) else 0.7
    return sure * (0.4 + 0.6 * layout.fit)


@dataclass(slots=True)
class _Waits:
    """The waits of one source, column by column."""

    columns: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))

    def add(self, **facts: object) -> None:
        for name, value in facts.items():
            self.columns[name].append(value)


def read(reading: Reading) -> None:
    """Store a lock_wait event for each session that waits."""
    zone = reading.options.timezone
    undated = False
    with tables.scratch(zone) as con:
        for frame in tables.frames(reading, accepts, KEEP):
            undated |= _store(reading, con, frame)
    if undated:
        reading.ledger.assume("nothing tells when the locks were listed: they have no sample time")


def _store(reading: Reading, con: duckdb.DuckDBPyConnection, frame: tables.Frame) -> bool:
    """Store the waits of a frame; say whether any has no time."""
    found = tables.match(frame.names, ALIASES)
    zone = reading.options.timezone
    seen = _moments(con, frame, found, "seen_at", zone)
    named = times.in_name(reading.head.name, zone)
    since = tables.moments(con, frame.rows, f"c{found['since']}", zone).to_pylist() if "since" in found else []
    rows = [{target: row[f"c{column}"] for target, column in found.items()} | row for row in frame.rows.to_pylist()]
    holders = _holders(frame, rows)
    waits = _Waits()
    is_good, is_held = [], []
    for index, row in enumerate(rows):
        pid = row.get("pid") or ""
        waiting = not (row.get("granted") or "f").lower().startswith(("t", "1", "y"))
        is_good.append(pid.isdigit() and waiting)
        is_held.append(pid.isdigit() and not waiting)
        if not is_good[-1]:
            continue
        moment = seen[index] or named
        ahead = re.findall(r"\d+", row.get("blockers") or "") or holders.get(index, [])
        what = " on ".join(filter(None, (row.get("mode"), row.get("locktype"))))
        waits.add(
            line_no=row["line_no"],
            event_at=moment,
            backend_id=int(pid),
            user_name=row.get("user_name"),
            database_name=row.get("database_name"),
            application_name=row.get("application_name"),
            client_host=row.get("client_host"),
            duration_ms=_waited_ms(row.get("waited"), since[index] if since else None, moment),
            detail=f"Process holding the lock: {', '.join(ahead)}. Wait queue: {pid}." if ahead else None,
            text=f"process {pid} waiting for {what or 'a lock'}: {row.get('query') or ''}".rstrip(": "),
        )
    ledger = reading.ledger
    ledger.understood += tables.lines_of(frame.rows.filter(pa.array(is_good, pa.bool_())))
    ledger.ignored += tables.lines_of(frame.rows.filter(pa.array(is_held, pa.bool_())))
    strange = [not good and not held for good, held in zip(is_good, is_held, strict=True)]
    tables.reject(ledger, frame.rows.filter(pa.array(strange, pa.bool_())))
    if not waits.columns:
        return False
    kinds = {
        "line_no": pa.int64(), "event_at": tables.MOMENT, "backend_id": pa.int64(), "duration_ms": pa.float64(),
    }  # fmt: skip
    table = pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in waits.columns.items()})
    table = table.append_column("kind", pa.array(["lock_wait"] * table.num_rows, pa.string()))
    extent = pc.min_max(table["event_at"]).as_py()
    ledger.saw(extent["min"], extent["max"])
    reading.insert("event", table)
    return bool(table["event_at"].null_count)


def _moments(
    con: duckdb.DuckDBPyConnection, frame: tables.Frame, found: dict[str, int], target: str, zone: str | None
) -> list[datetime | None]:
    moments: list[datetime | None] = tables.moments(
        con, frame.rows, f"c{found[target]}" if target in found else "told", zone
    ).to_pylist()
    return moments


def _holders(frame: tables.Frame, rows: Sequence[dict[str, object]]) -> dict[int, list[str]]:
    """Return for each waiting row of pg_locks who holds a lock on the same thing at the same time."""
    places = [f"c{frame.names.index(name)}" for name in TARGET if name in frame.names]
    if len(places) < 2 or "granted" not in frame.names:
        return {}
    held: dict[tuple[object, ...], list[str]] = defaultdict(list)
    snapshot = 0
    keys = []
    for row in rows:
        snapshot += bool(row["anew"])
        keys.append((snapshot, row.get("seen_at"), *(row[place] for place in places)))
        if str(row.get("granted") or "").lower().startswith(("t", "1", "y")):
            held[keys[-1]].append(str(row.get("pid")))
    return {
        index: list(dict.fromkeys(pid for pid in held[key] if pid != rows[index].get("pid")))
        for index, key in enumerate(keys)
        if key in held
    }


def _waited_ms(waited: str | None, since: datetime | None, seen: datetime | None) -> float | None:
    if since is not None and seen is not None:
        return max((seen - since).total_seconds() * 1000, 0.0)
    found = re.fullmatch(r"(?:(\d+) days? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", waited or "")
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000


FORMAT = Format(
    name="postgres_locks",
    engine="postgres",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "Sat 21 Nov 2026 03:12:00 AM UTC (every 2s)\n\n"
            " blocked_pid | blocked_user | blocking_pid | blocking_user |      blocked_statement      | current_statement_in_blocking_process \n"
            "-------------+--------------+--------------+---------------+-----------------------------+---------------------------------------\n"
            "        7312 | app_web      |         7100 | app_batch     | UPDATE stock SET n = n - 1 +| ALTER TABLE stock ADD c int\n"
            "             |              |              |               | WHERE sku = $1              | \n(1 row)\n\n",
            {
                "event": (
                    {"line_no": 5, "event_at": "2026-11-21T03:12:00", "engine": "postgres", "kind": "lock_wait",
                     "backend_id": 7312, "user_name": "app_web", "detail": "Process holding the lock: 7100. Wait queue: 7312.",
                     "text": "process 7312 waiting for a lock: UPDATE stock SET n = n - 1\nWHERE sku = $1"},
                )
            },
            name="blocked.txt",
        ),
        Sample(
            "now,locktype,database,relation,transactionid,pid,mode,granted,waitstart\n"
            "2026-11-21 03:12:00+00,relation,5,16400,,7100,AccessExclusiveLock,t,\n"
            "2026-11-21 03:12:00+00,relation,5,16400,,7312,RowExclusiveLock,f,2026-11-21 03:11:48.5+00\n"
            "2026-11-21 03:12:00+00,relation,5,16401,,7312,AccessShareLock,t,\n",
            {
                "event": (
                    {"line_no": 3, "event_at": "2026-11-21T03:12:00", "backend_id": 7312, "duration_ms": 11500.0,
                     "detail": "Process holding the lock: 7100. Wait queue: 7312.",
                     "text": "process 7312 waiting for RowExclusiveLock on relation"},
                )
            },
            name="locks.csv",
        ),
    ),
)  # fmt: skip
