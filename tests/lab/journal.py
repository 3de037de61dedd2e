"""What the clients themselves saw: the truth that evidence is later checked against.

Every client process appends one JSON line for each connection it opened, closed or was refused, so that truth does not
come from the server's log, which is evidence. Journals are not part of the evidence.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFUSAL_KINDS = {
    "remaining connection slots": "refused_reserved",
    "sorry, too many clients": "refused_full",
    "too many connections for": "refused_quota",
    "the database system is": "refused_state",
    "no pg_hba.conf entry": "refused_rule",
    "password authentication failed": "auth_failed",
    "does not exist": "unknown_target",
    "no more connections allowed": "pooler_error",
    "server login has been failing": "pooler_error",
    "query_wait_timeout": "pooler_error",
    "Connection refused": "nobody_listens",
    "terminating connection": "ended_at_start",
    "server closed the connection": "lost_at_start",
}
"""What the client's error says, to the event kind that the server's log has for the same act.

The last three leave no refusal in the log: nobody was there to write one, or the session was ended while it began.
`pooler_error` is said by PgBouncer, and stands in its log.
"""

UNLOGGED = ("nobody_listens", "ended_at_start", "lost_at_start", "other")


def refusal_kind(message: str) -> str:
    """The kind of a failed connect, from its error message."""
    return next((kind for text, kind in REFUSAL_KINDS.items() if text in message), "other")


@dataclass(frozen=True)
class Entry:
    """One act of one client: `at` in seconds since 1970 on this machine's clock."""

    at: float
    service: str
    instance: str
    what: str
    detail: dict[str, Any]


class Journal:
    """The journal of one client process; its lines are in the file before the call returns."""

    def __init__(self, folder: Path, service: str, instance: str) -> None:
        self.service = service
        self.instance = instance
        self._lock = threading.Lock()
        self._file = (folder / f"{instance}.jsonl").open("a", buffering=1)

    def write(self, what: str, at: float | None = None, **detail: object) -> None:
        """Note one act, now unless a time is given."""
        line = {"at": at or time.time(), "service": self.service, "instance": self.instance, "what": what, **detail}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


def read(folder: Path) -> Iterator[Entry]:
    """All entries of all journals of a folder, in time order; a line cut by a kill is left out."""
    found = []
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("}\n"):
                fields = json.loads(line)
                at, service, instance, what = (fields.pop(name) for name in ("at", "service", "instance", "what"))
                found.append(Entry(at, service, instance, what, fields))
    return iter(sorted(found, key=lambda entry: entry.at))
