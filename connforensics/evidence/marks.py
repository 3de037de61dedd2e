"""Marks wherever they are told: what people and machines noted down at a time, and how it is stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from connforensics.evidence import Reading

KINDS: Final = (
    ("rollback", r"roll(?:ed|ing)?[\s_-]?back|revert"),
    ("deploy", r"deploy|releas|roll(?:ed|ing)?[\s_-]?out|shipp?ed|canary|migration"),
    ("alert", r"alert|alarm|\bpage[drs]?\b|paging|pagerduty|firing|resolved|opsgenie|incident"),
    ("scale", r"scal(?:e|ed|ing)|autoscal|replicas"),
    ("restart", r"restart|reboot|bounced|failover|kill(?:ed)?\b"),
    ("config", r"config|setting|feature[\s_-]?flag|toggle|chang(?:e|ed)\b"),
    ("note", r"note|comment|human|chat|observ"),
)
"""Kinds of marks and the words for them, tried in this order: on the column for the kind, else on the text."""

LONGEST_KIND: Final = 40


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: where it stands, when it was (naive UTC), its kind, what happened, and the service it was about."""

    line_no: int
    at: datetime
    kind: str
    detail: str
    service: str | None = None
    text: str | None = None
    user: str | None = None


def kind_of(word: str | None, text: str | None) -> str:
    """Return the kind of a mark: one of KINDS, the word itself where it is none of them, else `note`.

    >>> kind_of("Deployment", None), kind_of(None, "orders restarted by hand"), kind_of("freeze", "")
    ('deploy', 'restart', 'freeze')
    """
    for written in filter(None, (word, text)):
        for kind, words in KINDS:
            if re.search(words, written, re.IGNORECASE):
                return kind
        if written is word and word.strip():
            return word.strip().lower()[:LONGEST_KIND]
    return "note"


def store(reading: Reading, marks: Sequence[Mark]) -> None:
    """Store an `annotation` for each mark: its kind as reason, what happened as detail."""
    if not marks:
        return
    moments = [mark.at for mark in marks]
    reading.ledger.saw(min(moments), max(moments))
    reading.insert(
        "event",
        pa.table(
            {
                "line_no": pa.array([mark.line_no for mark in marks], pa.int64()),
                "event_at": pa.array(moments, pa.timestamp("us")),
                "kind": pa.array(["annotation"] * len(marks), pa.string()),
                "reason": pa.array([mark.kind for mark in marks], pa.string()),
                "user_name": pa.array([mark.user for mark in marks], pa.string()),
                "application_name": pa.array([mark.service for mark in marks], pa.string()),
                "detail": pa.array([mark.detail for mark in marks], pa.string()),
                "text": pa.array([mark.text or mark.detail for mark in marks], pa.string()),
            }
        ),
    )
