"""InnoDB's own account of its transactions: sessions by thread id, since when each holds one open, who waits for a lock.

Obtained with `SHOW ENGINE INNODB STATUS` (`\\G`, `-B`, `-B -r`, table), or as pt-stalk's `-innodbstatus1` and `-innodbstatus2`
files; MySQL 5.0 to 9, Percona Server and MariaDB, one or several after each other. The time in the header is the
server's own. Newer versions print no thread for sessions without a transaction, so these rows, too, bear a backend type
of their own and count nobody. The latest deadlock is kept as an event.

https://dev.mysql.com/doc/refman/8.4/en/innodb-standard-monitor.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, mysql_innodb_trx, times
from connforensics.evidence.shapes import note

STATES: Final = frozenset(
    ("after create", "allocating local table", "altering table", "analyzing", "begin", "buffering rows", "checking permissions",
     "checking privileges on cached query", "checking query cache for query", "checking table", "cleaning up",
     "closing tables", "commit", "committing alter table to storage engine", "converting heap to myisam", "copy to tmp table",
     "copying to group table", "copying to tmp table", "copying to tmp table on disk", "creating index", "creating sort index",
     "creating table", "creating tmp table", "deleting", "deleting from main table", "deleting from reference tables",
     "discard_or_import_tablespace", "end", "end of update loop", "executing", "execution of init_command", "explaining",
     "filling schema table", "flushing tables", "freeing items", "fulltext initialization", "got handler lock",
     "got old table", "init", "init for update", "insert", "invalidating query cache entries", "killed", "locked",
     "logging slow query", "login", "manage keys", "null", "opening table", "opening tables", "optimizing", "preparing",
     "preparing for alter table", "processing events", "purging old relay logs", "query end", "reading from net",
     "reading file", "receiving from client", "removing duplicates", "removing tmp table", "rename", "rename table",
     "reopen tables", "repair by sorting", "repair done", "repair with keycache", "reset for next command",
     "rollback", "rolling back", "saving state", "searching rows for update", "sending binlog event to slave",
     "sending cached result to client", "sending data", "sending to client", "setup", "sorting for group",
     "sorting for order", "sorting index", "sorting result", "starting", "statistics", "storing result in query cache",
     "storing row into queue", "system lock", "table lock", "unlocking tables", "update", "updating",
     "updating main table", "updating reference tables", "upgrading lock", "user lock", "user sleep", "verifying table",
     "wsrep applier committed", "wsrep applier idle", "writing to net", "writing to binlog", "write rows event",
     "update_rows_log_event::find_row(-1)", "write_rows_log_event::write_row(-1)", "delete_rows_log_event::find_row(-1)")
)  # fmt: skip
"""What a session can be doing, where it does not begin with a word of `_DOING`: with these, a user's name is told from the
state that follows it. https://dev.mysql.com/doc/refman/8.4/en/general-thread-states.html"""

RESTING: Final = frozenset(("", "cleaning up"))
"""What a session without a statement shows."""

SECTIONS: Final = frozenset(
    ("BACKGROUND THREAD", "SEMAPHORES", "LATEST DETECTED DEADLOCK", "LATEST FOREIGN KEY ERROR", "TRANSACTIONS", "FILE I/O",
     "INSERT BUFFER AND ADAPTIVE HASH INDEX", "LOG", "BUFFER POOL AND MEMORY", "INDIVIDUAL BUFFER POOL INFO",
     "ROW OPERATIONS", "END OF INNODB MONITOR OUTPUT", "OLDEST VIEW", "INSERT BUFFER")
)  # fmt: skip

ROWS: Final = 50_000
"""Rows put together before they are stored."""

LONGEST_QUERY: Final = 1 << 16
"""Characters kept of one statement; InnoDB prints at most 3,000 of it (MAX_TEXT in its source)."""

_DOING = re.compile(
    r"^(?:waiting|slave|replica|master|source|has (?:read|sent)|queueing|reading|connecting|making|wsrep)\b", re.I
)
_HEADER = re.compile(r"^\s*(\d{6}|\d{4}-\d\d-\d\d)\s+(\d{1,2}:\d\d:\d\d)(?: \S+)? INNODB MONITOR OUTPUT\s*$")
_DEADLOCK_AT = re.compile(r"^\s*(\d{6}|\d{4}-\d\d-\d\d)\s+(\d{1,2}:\d\d:\d\d)(?: \S+)?\s*$")
_TRANSACTION = re.compile(
    r"^\s*---TRANSACTION (?:\(?\w+\)?(?: \d+)?), (?:(not started)|ACTIVE(?: \(PREPARED\))? (\d+) sec|([A-Za-z ]+))(.*)$"
)
_THREAD = re.compile(r"^\s*(MySQL|MariaDB) thread id (\d+)(?:, OS thread handle \S+)?, query id \d+(?: (.*))?$")
_ENDS = re.compile(
    r"^\s*(?:-{5,}|---TRANSACTION\b.*|Trx read view .*|Trx #rec lock .*|TABLE LOCK table .*|RECORD LOCKS space .*|Record lock, .*"
    r"|ROLLING BACK \d.*|TOO MANY .*|-{3,} TRX HAS BEEN WAITING .*|\*\*\* .*)$"
)
_ROLLED_BACK = re.compile(r"^\s*\*\*\* WE ROLL BACK TRANSACTION \((\d+)\)")
_AROUND = re.compile(
    r"^\s*(?:\*{5,}.*\*{5,}|Type: InnoDB|Name:.*|Status:.*|Type\tName\tStatus|InnoDB\t.*|\x22 xmlns:.*|\| (?:Type|InnoDB) .*|\+[-+]+|[|]|<.*"
    r"|(?:mysql|MariaDB \[.*\])>.*|TS \d{9,}.*|\d+ rows? in set.*|1 row affected.*|SHOW (?:/\*!40100 )?(?:ENGINE )?.*INNODB STATUS.*)\s*$",
    re.I,
)


def certainty(head: Head) -> float:
    """Return how sure a head is InnoDB's status: by its header, or by its list of transactions."""
    lines = head.lines
    if any(_HEADER.match(line) for line in lines):
        return 0.98
    if any("\\n" in line and any(map(_HEADER.match, line[:2000].split("\\n"))) for line in lines):
        return 0.98
    listed = sum(1 for line in lines if _TRANSACTION.match(line))
    return 0.8 if listed and any(map(_THREAD.match, lines)) else 0.0


@dataclass(slots=True)
class _Session:
    """A transaction of the list, as far as read."""

    line_no: int
    active_s: int | None
    phase: str
    lines: int = 1
    backend_id: int | None = None
    who: str = ""
    is_waiting: bool = False
    is_open: bool = True
    query: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Deadlock:
    """The latest deadlock of a status: whose sessions met, and whose transaction was rolled back."""

    line_no: int
    at: datetime
    sessions: list[tuple[int, str]] = field(default_factory=list)
    victim: int | None = None


def read(reading: Reading) -> None:
    """Store a backend_sample for each transaction that names its thread, and an event for the latest deadlock."""
    _Run(reading).read()


class _Run:
    """The reading of one source, line by line."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.ledger = reading.ledger
        self.sampled_at: datetime | None = None
        self.section = ""
        self.is_inside = False
        self.session: _Session | None = None
        self.deadlock: _Deadlock | None = None
        self.deadlocks: list[_Deadlock] = []
        self.seen: set[datetime] = set()
        self.rows: list[tuple[datetime | None, _Session]] = []

    def read(self) -> None:
        before = ""
        for line_no, text, weight in self._written():
            self._line(line_no, text, before, weight)
            before = text
        self._close()
        self._close_deadlock()
        self._store()

    def _written(self) -> Iterator[tuple[int, str, int]]:
        """Yield number, text and weight of each line; a status on one line (`mysql -B`) is taken apart."""
        for line_no, text in self.reading.lines():
            if "INNODB MONITOR OUTPUT" in text and "\\n" in text:
                self.ledger.understood += 1
                for part in text.replace("\\t", "\t").split("\\n"):
                    yield line_no, part.replace("\\\\", "\\"), 0
            else:
                yield line_no, text, 1

    def _line(self, line_no: int, text: str, before: str, weight: int) -> None:
        header = _HEADER.match(text)
        bare = text.strip()
        if header is not None:
            self._close()
            self._close_deadlock()
            self.section, self.is_inside = "", True
            self.sampled_at = self._moment(*header.groups())
            self.ledger.saw(self.sampled_at, self.sampled_at)
            self.ledger.ignored += weight
            return
        if bare in SECTIONS and re.fullmatch(r"\s*-{3,}\s*", before):
            self._close()
            self._close_deadlock()
            self.section = bare
            self.is_inside = not bare.startswith("END OF")
            self.ledger.ignored += weight
            return
        begins = _TRANSACTION.match(text)
        if begins is not None and self.section in ("", "TRANSACTIONS"):
            self._close()
            self.is_inside, self.section = True, "TRANSACTIONS"
            not_started, active_s, phase, _ = begins.groups()
            self.session = _Session(
                line_no, int(active_s) if active_s else None, not_started or phase or "ACTIVE", weight
            )
        elif self.session is not None:
            self._of_session(self.session, text, weight)
        elif self.section == "LATEST DETECTED DEADLOCK":
            self._of_deadlock(line_no, text, weight)
        elif self.is_inside or not bare or re.fullmatch(r"[-=]{3,}", bare) or _AROUND.match(text):
            self.ledger.ignored += weight
        else:
            self.ledger.unknown += weight
            note(self.ledger, line_no, text)

    def _of_session(self, session: _Session, text: str, weight: int) -> None:
        thread = _THREAD.match(text)
        if session.is_open and thread is not None and session.backend_id is None:
            engine, backend_id, who = thread.groups()
            session.backend_id, session.who = int(backend_id), who or ""
            if engine == "MariaDB":
                self.reading.engine = "mariadb"
        elif session.is_open and _ENDS.match(text):
            session.is_open = False
            session.is_waiting = session.is_waiting or "HAS BEEN WAITING" in text
        elif session.is_open and session.backend_id is None:
            session.is_waiting = session.is_waiting or text.lstrip().startswith("LOCK WAIT")
        elif session.is_open:
            session.query.append(text)
        if session.is_open:
            session.lines += weight
        else:
            session.is_waiting = session.is_waiting or "HAS BEEN WAITING" in text
            self.ledger.ignored += weight

    def _of_deadlock(self, line_no: int, text: str, weight: int) -> None:
        told = _DEADLOCK_AT.match(text)
        thread = _THREAD.match(text)
        victim = _ROLLED_BACK.match(text)
        if told is not None and self.deadlock is None:
            moment = self._moment(*told.groups())
            if moment is not None:
                self.deadlock = _Deadlock(line_no, moment)
                self.ledger.understood += weight
                return
        if self.deadlock is not None and thread is not None:
            self.deadlock.sessions.append((int(thread.group(2)), thread.group(3) or ""))
        elif self.deadlock is not None and victim is not None:
            self.deadlock.victim = int(victim.group(1))
        self.ledger.ignored += weight

    def _moment(self, date: str, clock: str) -> datetime | None:
        if len(date) == 6:
            date = f"20{date[:2]}-{date[2:4]}-{date[4:]}"
        zone = self.reading.options.timezone
        moment = times.parse(f"{date} {clock}", zone)
        if moment is not None:
            self.ledger.assume(times.zone_assumed(zone))
        return moment

    def _close(self) -> None:
        session, self.session = self.session, None
        if session is None:
            return
        if session.backend_id is None:
            self.ledger.ignored += session.lines
            return
        self.ledger.understood += session.lines
        self.rows.append((self.sampled_at, session))
        if self.sampled_at is None:
            self.ledger.assume("nothing tells when the status was read: it has no sample time")
        if len(self.rows) >= ROWS:
            self._store()

    def _close_deadlock(self) -> None:
        deadlock, self.deadlock = self.deadlock, None
        # The latest deadlock stands in every status until the next one.
        if deadlock is not None and deadlock.at not in self.seen:
            self.seen.add(deadlock.at)
            self.deadlocks.append(deadlock)

    def _store(self) -> None:
        held, self.rows = self.rows, []
        found, self.deadlocks = self.deadlocks, []
        if held:
            self.reading.insert("backend_sample", _samples(held))
        if found:
            self.reading.insert("event", _events(found))


def _samples(held: Sequence[tuple[datetime | None, _Session]]) -> pa.Table:
    rows = []
    for sampled_at, session in held:
        user, host, doing = who(session.who)
        query = "\n".join(session.query).strip()[:LONGEST_QUERY] or None
        started_at = (
            sampled_at - timedelta(seconds=session.active_s)
            if sampled_at is not None and session.active_s is not None
            else None
        )
        is_resting = query is None and (doing or "").lower() in RESTING and not session.is_waiting
        state = "active"
        if is_resting:
            state = "idle" if session.active_s is None else "idle in transaction"
        is_blocked = session.is_waiting or bool(re.match(r"(?i)waiting for (.* )?lock$", doing or ""))
        rows.append(
            {
                "line_no": session.line_no,
                "sampled_at": sampled_at,
                "backend_id": session.backend_id,
                "user_name": user,
                "client_host": host,
                "backend_type": mysql_innodb_trx.BACKEND_TYPE,
                "xact_start_at": started_at,
                "state": state,
                "wait_event_type": "Lock" if is_blocked else None,
                "wait_event": doing,
                "query": query,
            }
        )
    return pa.Table.from_pylist(
        rows,
        schema=pa.schema(
            [
                ("line_no", pa.int64()),
                ("sampled_at", pa.timestamp("us")),
                ("backend_id", pa.int64()),
                ("user_name", pa.string()),
                ("client_host", pa.string()),
                ("backend_type", pa.string()),
                ("xact_start_at", pa.timestamp("us")),
                ("state", pa.string()),
                ("wait_event_type", pa.string()),
                ("wait_event", pa.string()),
                ("query", pa.string()),
            ]
        ),
    )


def _events(found: Sequence[_Deadlock]) -> pa.Table:
    def first(deadlock: _Deadlock) -> tuple[str | None, str | None]:
        return who(deadlock.sessions[0][1])[:2] if deadlock.sessions else (None, None)

    threads = [" and ".join(f"thread {backend_id}" for backend_id, _ in one.sessions) for one in found]
    victims = [f"; transaction ({one.victim}) was rolled back" if one.victim is not None else "" for one in found]
    return pa.table(
        {
            "line_no": pa.array([one.line_no for one in found], pa.int64()),
            "event_at": pa.array([one.at for one in found], pa.timestamp("us")),
            "kind": pa.array(["deadlock"] * len(found), pa.string()),
            "backend_id": pa.array([one.sessions[0][0] if one.sessions else None for one in found], pa.int64()),
            "user_name": pa.array([first(one)[0] for one in found], pa.string()),
            "client_host": pa.array([first(one)[1] for one in found], pa.string()),
            "detail": pa.array([a + b for a, b in zip(threads, victims, strict=True)], pa.string()),
            "text": pa.array(["LATEST DETECTED DEADLOCK"] * len(found), pa.string()),
        }
    )


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def who(rest: str) -> tuple[str | None, str | None, str | None]:
    """Return user, client and state of a session, as they follow its query id: name, address, user, state, each if known.

    >>> who("db-1.example.com 10.0.0.9 app updating"), who("127.0.0.1 app orders Updating"), who("localhost root")
    (('app', '10.0.0.9', 'updating'), ('app orders', '127.0.0.1', 'Updating'), ('root', '[local]', None))
    """
    if not rest.strip() or is_state(rest.strip()):
        # A thread of the server's own has neither user nor client.
        return None, None, rest.strip() or None
    words = rest.split()
    if _is_address(words[0]):
        host, words = words[0], words[1:]
    elif len(words) > 1 and _is_address(words[1]):
        host, words = words[1], words[2:]
    elif len(words) > 1:
        host, words = ("[local]" if words[0] == "localhost" else words[0]), words[1:]
    else:
        return words[0], None, None
    for cut in range(1, len(words)):
        if is_state(" ".join(words[cut:])):
            return " ".join(words[:cut]), host, " ".join(words[cut:])
    if len(words) > 1 and words[1][:1].isupper():
        return words[0], host, " ".join(words[1:])
    return " ".join(words) or None, host, None


def is_state(text: str) -> bool:
    """Tell whether a text is what a session can be doing."""
    return text.lower() in STATES or bool(_DOING.match(text))


STATUS = """\
*************************** 1. row ***************************
  Type: InnoDB
  Name:
Status:
=====================================
2026-11-21 03:12:30 0x772c947776c0 INNODB MONITOR OUTPUT
=====================================
Per second averages calculated from the last 17 seconds
------------------------
LATEST DETECTED DEADLOCK
------------------------
2026-11-21 03:11:20 0x7fd903731700
*** (1) TRANSACTION:
TRANSACTION 55984, ACTIVE 0 sec inserting
MySQL thread id 292, OS thread handle 140, query id 259 10.0.0.9 app update
INSERT INTO t VALUES (1)
*** (2) TRANSACTION:
TRANSACTION 55985, ACTIVE 0 sec inserting
MySQL thread id 291, OS thread handle 141, query id 260 10.0.0.8 app update
INSERT INTO t VALUES (2)
*** WE ROLL BACK TRANSACTION (2)
------------
TRANSACTIONS
------------
Trx id counter 26
LIST OF TRANSACTIONS FOR EACH SESSION:
---TRANSACTION 421472668569200, not started
0 lock struct(s), heap size 1136, 0 row lock(s)
---TRANSACTION 25, ACTIVE 22 sec starting index read
mysql tables in use 1, locked 1
LOCK WAIT 2 lock struct(s), heap size 1128, 1 row lock(s)
MySQL thread id 10, OS thread handle 131033354045120, query id 29 db-1 10.0.0.9 app orders updating
UPDATE t SET v=v+2
WHERE id=1
------- TRX HAS BEEN WAITING 22 SEC FOR THIS LOCK TO BE GRANTED:
RECORD LOCKS space id 5 page no 3 n bits 320 index PRIMARY of table `shop`.`t` trx id 25 lock_mode X waiting
------------------
---TRANSACTION 23, ACTIVE 90 sec
2 lock struct(s), heap size 1128, 1 row lock(s), undo log entries 1
MySQL thread id 8, OS thread handle 131033354659520, query id 23 10.0.0.7 app cleaning up
--------
FILE I/O
--------
I/O thread 0 state: waiting for completed aio requests (insert buffer thread)
----------------------------
END OF INNODB MONITOR OUTPUT
============================

"""

OLD = """\
=====================================
180305  3:24:56 INNODB MONITOR OUTPUT
=====================================
------------
TRANSACTIONS
------------
---TRANSACTION 0 0, not started, process no 3396, OS thread id 1152440672
MySQL thread id 30893689, query id 2738997209 localhost rdba
SHOW INNODB STATUS
---TRANSACTION 0 42304, ACTIVE 7 sec, process no 3396, OS thread id 1148250464
2 lock struct(s), heap size 368, undo log entries 1
MySQL thread id 79, query id 728 web-1.example.com 10.0.0.5 shop
"""

FORMAT = Format(
    name="mysql_innodb_status",
    engine="mysql",
    tables=("backend_sample", "event"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            STATUS,
            {
                "backend_sample": (
                    {"line_no": 29, "sampled_at": "2026-11-21T03:12:30", "engine": "mysql", "backend_id": 10,
                     "user_name": "app orders", "client_host": "10.0.0.9", "backend_type": "innodb transaction",
                     "xact_start_at": "2026-11-21T03:12:08", "state": "active", "wait_event_type": "Lock",
                     "wait_event": "updating", "query": "UPDATE t SET v=v+2\nWHERE id=1"},
                    {"line_no": 38, "sampled_at": "2026-11-21T03:12:30", "backend_id": 8, "client_host": "10.0.0.7",
                     "xact_start_at": "2026-11-21T03:11:00", "state": "idle in transaction", "wait_event_type": None,
                     "query": None},
                ),
                "event": (
                    {"line_no": 12, "event_at": "2026-11-21T03:11:20", "kind": "deadlock", "backend_id": 292,
                     "user_name": "app", "client_host": "10.0.0.9",
                     "detail": "thread 292 and thread 291; transaction (2) was rolled back"},
                ),
            },
            name="innodb.txt",
        ),
        Sample(
            OLD,
            {
                "backend_sample": (
                    {"line_no": 7, "sampled_at": "2018-03-05T03:24:56", "backend_id": 30893689, "user_name": "rdba",
                     "client_host": "[local]", "state": "active", "xact_start_at": None, "query": "SHOW INNODB STATUS"},
                    {"line_no": 10, "backend_id": 79, "user_name": "shop", "client_host": "10.0.0.5",
                     "state": "idle in transaction", "xact_start_at": "2018-03-05T03:24:49"},
                ),
            },
            name="status.txt",
        ),
    ),
)  # fmt: skip
