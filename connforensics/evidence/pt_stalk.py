"""What set pt-stalk off, and when: the moment somebody's threshold was crossed, with the value that crossed it.

pt-stalk writes its reason into the `-trigger` file of each collection and, more of it, into its own log (`--log`, by default
/var/log/pt-stalk.log). A crossed threshold becomes an annotation, the value of a status variable a sample under the name
that mysqld_exporter gives it. The collected files themselves are read by the formats of what is in them.

https://docs.percona.com/percona-toolkit/pt-stalk.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, mysql_status, times
from connforensics.evidence.shapes import note

ROWS: Final = 50_000
"""Rows put together before they are stored."""

_LINE = re.compile(r"^(\d{4}(?:_\d\d){5}) (.*)$")
_CHECK = re.compile(r"^Check results: (?:(\w+)\((\w+)\)|(\w+))=([\d.]+), matched=(yes|no)\b")
_OWN = re.compile(
    r"^(?:Check results: |pt-stalk ran with |Not stalking; |Collect \d+ |Starting \S*pt-stalk|Exiting because |Sleeping \d)"
)


def certainty(head: Head) -> float:
    """Return how sure a head is pt-stalk's own words: by its times and by what it says."""
    lines = [line for line in head.lines if line.strip()]
    told = [found.group(2) for line in lines if (found := _LINE.match(line))]
    if not any(map(_OWN.match, told)):
        return 0.0
    return 0.95 if len(told) * 2 > len(lines) else 0.5


def read(reading: Reading) -> None:
    """Store an annotation for each crossed threshold and a sample for each status variable that was checked."""
    ledger, zone = reading.ledger, reading.options.timezone
    events: list[tuple[int, datetime, str]] = []
    checks: list[tuple[int, datetime, str, float]] = []
    for line_no, line in reading.lines():
        told = _LINE.match(line)
        moment = times.parse(told.group(1).replace("_", ""), zone) if told else None
        if told is None or moment is None:
            # Programs that pt-stalk runs write into the same file, and the summary of its options takes several lines.
            if line.strip() and not line.startswith(" "):
                ledger.unknown += 1
                note(ledger, line_no, line)
            else:
                ledger.ignored += 1
            continue
        ledger.assume(times.zone_assumed(zone))
        ledger.saw(moment, moment)
        check = _CHECK.match(told.group(2))
        if check is None:
            ledger.ignored += 1
            continue
        function, checked, bare, value, matched = check.groups()
        name = (checked or bare).lower()
        is_status = function in (None, "status") and name in mysql_status.STATUS
        if is_status:
            checks.append((line_no, moment, mysql_status.named(name)[0], float(value)))
        if matched == "yes":
            events.append((line_no, moment, told.group(2)))
        if is_status or matched == "yes":
            ledger.understood += 1
        else:
            ledger.ignored += 1
        if len(events) + len(checks) >= ROWS:
            _store(reading, events, checks)
            events, checks = [], []
    _store(reading, events, checks)


def _store(
    reading: Reading, events: list[tuple[int, datetime, str]], checks: list[tuple[int, datetime, str, float]]
) -> None:
    if events:
        numbers, moments, texts = zip(*events, strict=True)
        reading.insert(
            "event",
            pa.table(
                {
                    "line_no": pa.array(numbers, pa.int64()),
                    "event_at": pa.array(moments, pa.timestamp("us")),
                    "kind": pa.array(["annotation"] * len(events), pa.string()),
                    "detail": pa.array([f"pt-stalk: {text}" for text in texts], pa.string()),
                    "text": pa.array(texts, pa.string()),
                }
            ),
        )
    if checks:
        numbers, moments, names, values = zip(*checks, strict=True)
        reading.insert(
            "metric_sample",
            pa.table(
                {
                    "line_no": pa.array(numbers, pa.int64()),
                    "sampled_at": pa.array(moments, pa.timestamp("us")),
                    "name": pa.array(names, pa.string()),
                    "labels": pa.array([[]] * len(checks), pa.map_(pa.string(), pa.string())),
                    "value": pa.array(values, pa.float64()),
                }
            ),
        )


TRIGGER = """\
2026_11_21_03_12_00 Check results: status(Threads_connected)=260, matched=yes, cycles_true=5
2026_11_21_03_12_00 pt-stalk ran with --function=status --variable=Threads_connected --threshold=250
"""

LOG = """\
2026_11_21_03_11_00 Starting /usr/bin/pt-stalk --function=processlist --variable=State --threshold=25
2026_11_21_03_11_01 Check results: processlist(State)=3, matched=no, cycles_true=0
2026_11_21_03_11_02 Check results: Threads_running=30, matched=yes, cycles_true=1
2026_11_21_03_11_02 Collect 1 triggered
"""

FORMAT = Format(
    name="pt_stalk",
    engine=None,
    tables=("event", "metric_sample"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            TRIGGER,
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00", "kind": "annotation",
                     "detail": "pt-stalk: Check results: status(Threads_connected)=260, matched=yes, cycles_true=5"},
                ),
                "metric_sample": (
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:00", "name": "mysql_global_status_threads_connected",
                     "value": 260.0},
                ),
            },
            name="2026_11_21_03_12_00-trigger",
        ),
        Sample(
            LOG,
            {
                "event": ({"line_no": 3, "event_at": "2026-11-21T03:11:02", "kind": "annotation"},),
                "metric_sample": ({"line_no": 3, "name": "mysql_global_status_threads_running", "value": 30.0},),
            },
            name="pt-stalk.log",
        ),
    ),
)  # fmt: skip
