"""Patroni's log: which PostgreSQL server led, and when that changed.

Obtained from `journalctl -u patroni`, `docker logs`, `kubectl logs` of a pod with Patroni (Spilo, Crunchy, Zalando), or the
file of `log.dir`. A promotion, a demotion and a restart become marks
(`failover`, `restart`), not events of the server's life: Patroni is a witness at second hand, its times are those of its
loop, and sessions of a replica live on when it is promoted. PostgreSQL's own log says when sessions ended. Lines that only
say that all is as it was ("no action. I am (db1), the leader with the lock") are recognised and say nothing; trouble with
the store of the cluster's state is a mark (`store`), since a leader that cannot reach it steps down. Changes of settings
keep their kind.

https://patroni.readthedocs.io/en/latest/
https://patroni.readthedocs.io/en/latest/patroni_configuration.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, times

if TYPE_CHECKING:
    from connforensics.evidence import Ledger

HAPPENINGS: Final = (
    ("annotation", "failover", r"promoted self to (?:a standby )?leader|promoted self to primary|^initialized a new cluster"),
    ("annotation", "failover", r"demoting self|[Dd]emoted self|demoted from leader|released leader key voluntarily"),
    ("annotation", "restart", r"restarting after failure in progress|starting as a secondary|starting after demotion"
     r"|starting as readonly because i had the session lock|trying to bootstrap|doing crash recovery"
     r"|[Rr]estart(?:ing)? (?:initiated|scheduled|in progress)|restart requested|postgres(?:ql)? is being stopped"),
    ("annotation", "restart", r"crash recovery|[Pp]ostgre(?:s|SQL) is not running|Failed to start postgres"),
    ("setting_changed", None, r"Changed (\S+) from (.+) to (.+)"),
    ("server_reloaded", None, r"Reloading PostgreSQL configuration|PostgreSQL configuration (?:items )?changed"),
    ("annotation", "failover", r"Got (?:failover|switchover) request|(?:manual |planned )?(?:failover|switchover)[: ]"
     r"|received (?:failover|switchover) request|Cleaning up failover key"),
    ("annotation", "failover", r"following new leader|changing primary_conninfo|no leader|Lock owner: None"
     r"|is not healthy enough to be the leader"),
    ("annotation", "store", r"failed to update leader lock|DCS is not accessible|Error communicating with DCS"
     r"|[Ww]atchdog could not|leader lock.*expired|etcd.*(?:timed out|unavailable)|Unexpected error.*(?:etcd|consul|zookeeper)"),
)  # fmt: skip
"""What a line says, as kind and reason of an event; tried in this order."""

SILENT: Final = re.compile(
    r"no action\b|^Lock owner: (?!None)|[Dd]oes not have lock|i am (?:a secondary|the leader)|[Ee]stablished a new patroni"
    r"|closed patroni connection|Selected new|^Got response|server signaled|Software Watchdog|established|Reaped pid"
    r"|^Deregister|^Register|Loading previously saved"
)

_FRAME = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d| UTC)?)[ :-]*\s*"
    r"\[?(?P<level>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\]?[ :-]+\s*(?P<said>.*)$"
)
_SURE = re.compile(
    r"no action\. (?:[Ii] am|\()|Lock owner: .*; I am|promoted self to|demoting self|the leader with the lock|leader lock|session lock"
    r"|patroni|a secondary, and following|following a leader"
)
_MEMBER = re.compile(r"I am \(?([\w.\-]+)\)?|i am \(?([\w.\-]+)\)?, ")
_CHANGED = re.compile(r"Changed (\S+) from ")

BATCH: Final = 20_000


def certainty(head: Head) -> float:
    """Return how sure a head is Patroni's log: by its frame and the sentences of its loop."""
    told = [line for line in head.lines[:2000] if line.strip()]
    framed = [found["said"] for line in told if (found := _FRAME.match(line)) is not None]
    sure = sum(bool(_SURE.search(said)) for said in framed)
    if not framed or not sure:
        return 0.0
    share = len(framed) / len(told)
    return min(0.96, 0.6 + 0.36 * min(1.0, 4 * sure / len(framed))) * min(1.0, 0.5 + share)


def read(reading: Reading) -> None:
    """Store what changed."""
    rows: list[tuple[int, datetime, str, str | None, str, str, str]] = []
    reading.engine = "postgres"
    members: set[str] = set()
    for line_no, line in reading.lines():
        found = _FRAME.match(line)
        if found is None:
            _other(reading.ledger, line_no, line)
            continue
        said = found["said"]
        named = _MEMBER.search(said)
        if named is not None:
            members.add(named[1] or named[2])
        meant = next(((kind, reason) for kind, reason, pattern in HAPPENINGS if re.search(pattern, said)), None)
        is_silent = SILENT.search(said) is not None
        if is_silent and (meant is None or meant[0] == "annotation"):
            reading.ledger.ignored += 1
            continue
        at = times.parse(found["at"].replace(",", "."), reading.options.timezone)
        if meant is None or at is None:
            _other(reading.ledger, line_no, line, is_framed=True)
            continue
        if times.is_zoneless([found["at"]]):
            reading.ledger.assume(times.zone_assumed(reading.options.timezone))
        reading.ledger.understood += 1
        reading.ledger.saw(at, at)
        rows.append((line_no, at, meant[0], meant[1], found["level"], said, line))
        if len(rows) >= BATCH:
            _store(reading, rows)
            rows.clear()
    if len(members) == 1 and reading.server is None and reading.options.server is None:
        reading.ledger.assume(f"the member of the cluster that wrote this log is {next(iter(members))}")
    _store(reading, rows)


def _other(ledger: Ledger, line_no: int, line: str, *, is_framed: bool = False) -> None:
    """Account for a line that tells no change: continuation lines and Patroni's other talk are ignored."""
    is_plain = is_framed or not line.strip() or line[:1].isspace() or line.startswith(("Traceback", "During handling"))
    if is_plain or re.match(r"[\w.]+(?:Error|Exception|Warning)\b", line):
        ledger.ignored += 1
    else:
        ledger.unknown += 1
        ledger.example(line_no, line)


def _store(reading: Reading, rows: list[tuple[int, datetime, str, str | None, str, str, str]]) -> None:
    if not rows:
        return
    lines, moments, kinds, reasons, levels, said, texts = zip(*rows, strict=True)
    changed = [
        _CHANGED.search(one) if kind == "setting_changed" else None for kind, one in zip(kinds, said, strict=True)
    ]
    reading.insert(
        "event",
        pa.table(
            {
                "line_no": pa.array(lines, pa.int64()),
                "event_at": pa.array(moments, pa.timestamp("us")),
                "kind": pa.array(kinds, pa.string()),
                "reason": pa.array(
                    [found[1] if found else reason for found, reason in zip(changed, reasons, strict=True)], pa.string()
                ),
                "severity": pa.array(levels, pa.string()),
                "detail": pa.array(said, pa.string()),
                "text": pa.array(texts, pa.string()),
            }
        ),
    )


FORMAT = Format(
    name="patroni_log",
    engine="postgres",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21 03:12:00,123 INFO: no action. I am (db1), the leader with the lock\n"
            "2026-11-21 03:12:10,123 ERROR: failed to update leader lock\n"
            "2026-11-21 03:12:10,456 INFO: demoting self because DCS is not accessible and I was a leader\n"
            "2026-11-21 03:12:11,000 INFO: Lock owner: db2; I am db1\n"
            "2026-11-21 03:12:40,789 INFO: promoted self to leader by acquiring session lock\n"
            "2026-11-21 03:12:41,000 INFO: Changed max_connections from '100' to '200' (restart might be required)\n"
            "2026-11-21 03:12:50,000 INFO: no action. I am (db1), the leader with the lock\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:10.123000", "kind": "annotation", "reason": "store",
                     "engine": "postgres", "severity": "ERROR", "detail": "failed to update leader lock"},
                    {"line_no": 3, "event_at": "2026-11-21T03:12:10.456000", "kind": "annotation", "reason": "failover"},
                    {"line_no": 5, "event_at": "2026-11-21T03:12:40.789000", "kind": "annotation", "reason": "failover",
                     "detail": "promoted self to leader by acquiring session lock"},
                    {"line_no": 6, "event_at": "2026-11-21T03:12:41", "kind": "setting_changed", "reason": "max_connections"},
                )
            },
            name="patroni.log",
        ),
    ),
)  # fmt: skip
