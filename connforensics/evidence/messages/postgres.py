"""What a PostgreSQL server says about connections, whatever frame the line comes in.

`CATALOGUE` holds one entry per text, with a line as a server really wrote it. stderr, csvlog and jsonlog readers share
the SQL made from it: `kind_sql` and `reason_sql` type a message, `field_sql` takes out what it tells (user, port,
duration), `english_sql` turns the messages of a server that speaks another language into English first. A SQLSTATE,
where the frame has one, wins over the text: a text under a foreign SQLSTATE is a quotation, and a FATAL whose text
nobody knows is still typed by its SQLSTATE.

Texts: PostgreSQL's own sources (backend_startup.c, postinit.c, postgres.c, postmaster.c, auth.c, proc.c) and servers
8.4 to 18; localised texts: the servers' message catalogues, in postgres_texts.tsv (tests/extract_postgres_texts.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from connforensics.schema import quoted

LABELS: Final = (
    "LOG", "FATAL", "ERROR", "WARNING", "PANIC", "NOTICE", "INFO",
    "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5",
    "DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE",
)  # fmt: skip
"""What stands between prefix and message in English: severities, then the labels of a record's further lines."""

FURTHER_LABELS: Final = ("DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE")

SLOW_STATEMENT_CHARACTERS: Final = 300
"""How much of a slow statement's line is kept; logs with log_min_duration_statement = 0 hold millions."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A text and what it means.

    `starts` (one of several), `contains` and `pattern` (RE2) must all hold where given; only a FATAL may do without
    `starts`, which is what keeps millions of other lines cheap. `sqlstate` is
    what the server sends with it, `since` and `until` the first and last major version that write it.
    """

    kind: str
    sample: str
    starts: str | tuple[str, ...] = ()
    contains: str = ""
    pattern: str = ""
    reason: str | None = None
    sqlstate: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def openings(self) -> tuple[str, ...]:
        """The texts one of which begins the message; empty where any may."""
        return (self.starts,) if isinstance(self.starts, str) else self.starts

    @property
    def severity(self) -> str:
        """Severity of the sample line."""
        return self.sample.partition(":")[0]

    @property
    def message(self) -> str:
        """Message of the sample line."""
        return self.sample.partition(":  ")[2]


_SLOTS = "FATAL:  remaining connection slots are reserved for "

CATALOGUE: Final[tuple[Entry, ...]] = (
    Entry(
        "connection_received",
        "LOG:  connection received: host=10.0.0.5 port=41234",
        starts="connection received: host=",
    ),
    Entry(
        "connection_authenticated",
        'LOG:  connection authenticated: identity="app" method=scram-sha-256 (/etc/postgresql/16/main/pg_hba.conf:97)',
        starts="connection authenticated: ",
        since=14,
    ),
    Entry(
        "connection_authorized",
        "LOG:  connection authorized: user=app database=shop application_name=web"
        " SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)",
        starts="connection authorized: ",
    ),
    Entry(
        "connection_authorized",
        "LOG:  replication connection authorized: user=repl application_name=walreceiver",
        starts="replication connection authorized: ",
        reason="replication",
    ),
    Entry(
        "connection_ready",
        "LOG:  connection ready: setup total=1.929 ms, fork=0.380 ms, authentication=0.170 ms",
        starts="connection ready: ",
        since=18,
    ),
    Entry(
        "connection_closed",
        "LOG:  disconnection: session time: 1:02:03.450 user=app database=shop host=10.0.0.5 port=41234",
        starts="disconnection: session time: ",
    ),
    Entry(
        "refused_full",
        "FATAL:  sorry, too many clients already",
        starts="sorry, too many clients already",
        sqlstate="53300",
    ),
    Entry(
        "refused_full",
        "FATAL:  connection limit exceeded for non-superusers",
        starts="connection limit exceeded for non-superusers",
        sqlstate="53300",
        until=9.0,
    ),
    Entry(
        "refused_full",
        'FATAL:  number of requested standby connections exceeds "max_wal_senders" (currently 10)',
        starts="number of requested standby connections exceeds",
        reason="walsenders",
        sqlstate="53300",
    ),
    Entry(
        "refused_reserved",
        _SLOTS + "non-replication superuser connections",
        starts="remaining connection slots are reserved for non-replication superuser connections",
        reason="superuser",
        sqlstate="53300",
        until=15,
    ),
    Entry(
        "refused_reserved",
        _SLOTS + "roles with the SUPERUSER attribute",
        starts="remaining connection slots are reserved for roles with the SUPERUSER attribute",
        reason="superuser",
        sqlstate="53300",
        since=16,
    ),
    Entry(
        "refused_reserved",
        _SLOTS + 'roles with privileges of the "rds_reserved" role',
        starts="remaining connection slots are reserved for ",
        contains="rds_reserved",
        reason="rds_reserved",
        sqlstate="53300",
    ),
    Entry(
        "refused_reserved",
        _SLOTS + 'roles with privileges of the "pg_use_reserved_connections" role',
        starts="remaining connection slots are reserved for ",
        contains="pg_use_reserved_connections",
        reason="reserved_connections",
        sqlstate="53300",
        since=16,
    ),
    Entry(
        "refused_reserved",
        _SLOTS + "replication superuser connections",
        starts="remaining connection slots are reserved for ",
        reason="superuser",
        sqlstate="53300",
    ),
    Entry(
        "refused_quota",
        'FATAL:  too many connections for role "app_orders"',
        starts="too many connections for role ",
        reason="role",
        sqlstate="53300",
    ),
    Entry(
        "refused_quota",
        'FATAL:  too many connections for database "tiny"',
        starts="too many connections for database ",
        reason="database",
        sqlstate="53300",
    ),
    Entry(
        "refused_state",
        "FATAL:  the database system is starting up",
        starts="the database system is starting up",
        reason="starting",
        sqlstate="57P03",
    ),
    Entry(
        "refused_state",
        "FATAL:  the database system is shutting down",
        starts="the database system is shutting down",
        reason="stopping",
        sqlstate="57P03",
    ),
    Entry(
        "refused_state",
        "FATAL:  the database system is in recovery mode",
        starts="the database system is in recovery mode",
        reason="recovering",
        sqlstate="57P03",
    ),
    Entry(
        "refused_state",
        "FATAL:  the database system is not yet accepting connections",
        starts="the database system is not yet accepting connections",
        reason="recovering",
        sqlstate="57P03",
        since=14,
    ),
    Entry(
        "refused_state",
        "FATAL:  the database system is not accepting connections",
        starts="the database system is not accepting connections",
        reason="hot_standby_disabled",
        sqlstate="57P03",
        since=14,
    ),
    Entry(
        "refused_rule",
        'FATAL:  no pg_hba.conf entry for host "45.146.165.37", user "postgres", database "postgres", SSL off',
        starts="no pg_hba.conf entry for ",
        reason="no_pg_hba_entry",
        sqlstate="28000",
    ),
    Entry(
        "refused_rule",
        'FATAL:  pg_hba.conf rejects connection for host "10.0.0.9", user "app", database "shop", no encryption',
        starts="pg_hba.conf rejects ",
        reason="rejected",
        sqlstate="28000",
    ),
    Entry(
        "refused_rule",
        'FATAL:  database "template0" is not currently accepting connections',
        starts="database ",
        contains="is not currently accepting connections",
        reason="database_closed",
        sqlstate="55000",
    ),
    Entry(
        "refused_rule",
        'FATAL:  permission denied for database "shop"',
        starts="permission denied for database ",
        reason="no_connect_privilege",
        sqlstate="42501",
    ),
    Entry(
        "refused_rule",
        'FATAL:  role "reporting" is not permitted to log in',
        starts="role ",
        contains="is not permitted to log in",
        reason="no_login",
        sqlstate="28000",
    ),
    Entry(
        "auth_failed",
        'FATAL:  password authentication failed for user "app"',
        starts="password authentication failed for user ",
        reason="password",
        sqlstate="28P01",
    ),
    Entry(
        "auth_failed",
        'FATAL:  Peer authentication failed for user "app"',
        contains=" authentication failed for user ",
        reason="method",
        sqlstate="28000",
    ),
    Entry(
        "auth_failed",
        'FATAL:  authentication failed for user "app": host rejected',
        starts="authentication failed for user ",
        reason="method",
        sqlstate="28000",
    ),
    Entry(
        "auth_failed",
        "FATAL:  connection requires a valid client certificate",
        starts="connection requires a valid client certificate",
        reason="certificate",
        sqlstate="28000",
    ),
    Entry(
        "auth_failed",
        "FATAL:  no PostgreSQL user name specified in startup packet",
        starts="no PostgreSQL user name specified in startup packet",
        reason="no_user",
        sqlstate="28000",
    ),
    Entry(
        "auth_timeout",
        "FATAL:  canceling authentication due to timeout",
        starts="canceling authentication due to timeout",
        sqlstate="57014",
    ),
    Entry(
        "unknown_target",
        'FATAL:  role "nobody" does not exist',
        starts="role ",
        contains=" does not exist",
        reason="role",
        sqlstate="28000",
    ),
    Entry(
        "unknown_target",
        'FATAL:  database "nowhere" does not exist',
        starts="database ",
        contains=" does not exist",
        reason="database",
        sqlstate="3D000",
    ),
    Entry(
        "bad_startup",
        "LOG:  incomplete startup packet",
        starts="incomplete startup packet",
        reason="incomplete",
        sqlstate="08P01",
    ),
    Entry(
        "bad_startup",
        "LOG:  invalid length of startup packet",
        starts="invalid length of startup packet",
        reason="invalid_length",
        sqlstate="08P01",
    ),
    Entry(
        "bad_startup",
        "FATAL:  invalid startup packet layout: expected terminator as last byte",
        starts="invalid startup packet layout",
        reason="layout",
        sqlstate="08P01",
    ),
    Entry(
        "bad_startup",
        "FATAL:  unsupported frontend protocol 16.0: server supports 2.0 to 3.0",
        starts="unsupported frontend protocol ",
        reason="protocol",
        sqlstate="0A000",
    ),
    Entry(
        "bad_startup",
        "LOG:  could not accept SSL connection: tlsv1 alert unknown ca",
        starts="could not accept SSL connection",
        reason="ssl",
        sqlstate="08P01",
    ),
    Entry(
        "bad_startup",
        "LOG:  could not accept GSSAPI security context",
        starts="could not accept GSSAPI security context",
        reason="gssapi",
    ),
    Entry(
        "bad_startup",
        "FATAL:  received unencrypted data after SSL request",
        starts="received unencrypted data after ",
        reason="unencrypted_data",
        sqlstate="08P01",
    ),
    Entry(
        "fork_failed",
        "LOG:  could not fork new process for connection: Cannot allocate memory",
        starts="could not fork new process for connection",
        reason="fork",
    ),
    Entry(
        "fork_failed",
        "LOG:  could not accept new connection: Too many open files",
        starts="could not accept new connection",
        reason="accept",
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to administrator command",
        starts="terminating connection due to administrator command",
        reason="admin",
        sqlstate="57P01",
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to idle-in-transaction timeout",
        starts="terminating connection due to idle-in-transaction timeout",
        reason="idle_in_transaction_timeout",
        sqlstate="25P03",
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to idle-session timeout",
        starts="terminating connection due to idle-session timeout",
        reason="idle_session_timeout",
        sqlstate="57P05",
        since=14,
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to transaction timeout",
        starts="terminating connection due to transaction timeout",
        reason="transaction_timeout",
        sqlstate="25P04",
        since=17,
    ),
    Entry(
        "session_terminated",
        "WARNING:  terminating connection because of crash of another server process",
        starts="terminating connection because of crash of another server process",
        reason="crash",
        sqlstate="57P02",
    ),
    Entry(
        "session_terminated",
        "WARNING:  terminating connection due to immediate shutdown command",
        starts="terminating connection due to immediate shutdown command",
        reason="admin",
        sqlstate="57P01",
        since=14,
    ),
    Entry(
        "session_terminated",
        "WARNING:  terminating connection because of unexpected SIGQUIT signal",
        starts="terminating connection because of unexpected SIGQUIT signal",
        reason="killed",
        sqlstate="57P01",
        since=14,
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to unexpected postmaster exit",
        starts="terminating connection due to unexpected postmaster exit",
        reason="postmaster_exit",
        sqlstate="57P01",
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection because protocol synchronization was lost",
        starts="terminating connection because protocol synchronization was lost",
        reason="protocol",
        sqlstate="08P01",
    ),
    Entry(
        "session_terminated",
        "FATAL:  terminating connection due to conflict with recovery",
        starts="terminating connection due to conflict with recovery",
        reason="recovery_conflict",
        sqlstate="40001",
    ),
    Entry(
        "session_terminated",
        "LOG:  terminating walsender process due to replication timeout",
        starts="terminating walsender process ",
        reason="walsender",
    ),
    Entry(
        "client_lost",
        "LOG:  could not receive data from client: Connection reset by peer",
        starts="could not receive data from client",
        reason="receive",
        sqlstate="08006",
    ),
    Entry(
        "client_lost",
        "LOG:  could not send data to client: Broken pipe",
        starts="could not send data to client",
        reason="send",
        sqlstate="08006",
    ),
    Entry(
        "client_lost",
        "FATAL:  connection to client lost",
        starts="connection to client lost",
        reason="lost",
        sqlstate="08006",
    ),
    Entry(
        "client_lost",
        "LOG:  unexpected EOF on client connection with an open transaction",
        starts="unexpected EOF on client connection with an open transaction",
        reason="in_transaction",
        sqlstate="08006",
    ),
    Entry(
        "client_lost",
        "LOG:  unexpected EOF on client connection",
        starts="unexpected EOF on client connection",
        reason="eof",
        sqlstate="08003",
    ),
    Entry(
        "client_lost",
        "LOG:  unexpected EOF on standby connection",
        starts="unexpected EOF on standby connection",
        reason="standby",
        sqlstate="08P01",
    ),
    Entry(
        "statement_cancelled",
        "ERROR:  canceling statement due to statement timeout",
        starts="canceling statement due to statement timeout",
        reason="statement_timeout",
        sqlstate="57014",
    ),
    Entry(
        "statement_cancelled",
        "ERROR:  canceling statement due to lock timeout",
        starts="canceling statement due to lock timeout",
        reason="lock_timeout",
        sqlstate="55P03",
    ),
    Entry(
        "statement_cancelled",
        "ERROR:  canceling statement due to user request",
        starts="canceling statement due to user request",
        reason="user_request",
        sqlstate="57014",
    ),
    Entry(
        "statement_cancelled",
        "ERROR:  canceling statement due to conflict with recovery",
        starts="canceling statement due to conflict with recovery",
        reason="recovery_conflict",
        sqlstate="40001",
    ),
    Entry(
        "slow_statement",
        "LOG:  duration: 2002.420 ms  statement: SELECT pg_sleep(2)",
        starts="duration: ",
        pattern=r"^duration: [0-9.]+ ms {1,2}(?:statement|parse|bind|execute|fastpath)\b",
    ),
    Entry(
        "lock_wait",
        "LOG:  process 4711 still waiting for ShareLock on transaction 792 after 1000.123 ms",
        starts="process ",
        contains=" still waiting for ",
    ),
    Entry(
        "lock_acquired",
        "LOG:  process 4711 acquired ShareLock on transaction 792 after 5002.456 ms",
        starts="process ",
        contains=" acquired ",
    ),
    Entry(
        "deadlock",
        "LOG:  process 4711 detected deadlock while waiting for ShareLock on transaction 792 after 1000.321 ms",
        starts="process ",
        contains=" detected deadlock while waiting for ",
        reason="log_lock_waits",
    ),
    Entry("deadlock", "ERROR:  deadlock detected", starts="deadlock detected", sqlstate="40P01"),
    Entry(
        "server_starting",
        "LOG:  starting PostgreSQL 16.14 (Debian 16.14-1.pgdg12+1) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
        starts="starting PostgreSQL ",
        since=12,
    ),
    Entry(
        "server_starting",
        "LOG:  database system was shut down at 2026-03-02 08:00:00 UTC",
        starts="database system was shut down ",
        reason="after_clean_stop",
    ),
    Entry(
        "server_starting",
        "LOG:  database system was interrupted; last known up at 2026-03-02 08:00:00 UTC",
        starts="database system was interrupted",
        reason="after_crash",
    ),
    Entry(
        "server_starting",
        "LOG:  database system shutdown was interrupted; last known up at 2026-03-02 08:00:00 UTC",
        starts="database system shutdown was interrupted",
        reason="after_crash",
    ),
    Entry(
        "server_starting",
        "LOG:  database system was not properly shut down; automatic recovery in progress",
        starts="database system was not properly shut down",
        reason="recovering",
    ),
    Entry("server_starting", "LOG:  entering standby mode", starts="entering standby mode", reason="standby"),
    Entry(
        "server_ready",
        "LOG:  database system is ready to accept connections",
        starts="database system is ready to accept connections",
    ),
    Entry(
        "server_ready",
        "LOG:  database system is ready to accept read-only connections",
        pattern=r"^database system is ready to accept read[- ]only connections",
        starts="database system is ready to accept read",
        reason="read_only",
    ),
    Entry(
        "server_stopping",
        "LOG:  received fast shutdown request",
        starts="received fast shutdown request",
        reason="fast",
    ),
    Entry(
        "server_stopping",
        "LOG:  received smart shutdown request",
        starts="received smart shutdown request",
        reason="smart",
    ),
    Entry(
        "server_stopping",
        "LOG:  received immediate shutdown request",
        starts="received immediate shutdown request",
        reason="immediate",
    ),
    Entry("server_stopping", "LOG:  shutting down", starts="shutting down", reason="checkpoint"),
    Entry(
        "server_stopping",
        "LOG:  database system is shut down",
        starts="database system is shut down",
        reason="done",
    ),
    Entry(
        "server_crashed",
        "LOG:  server process (PID 4242) was terminated by signal 9: Killed",
        starts=(
            "server process (PID ",
            "client backend (PID ",
            "parallel worker (PID ",
            "background worker ",
            "startup process (PID ",
            "checkpointer process (PID ",
            "background writer process (PID ",
            "WAL writer process (PID ",
            "WAL receiver process (PID ",
            "autovacuum launcher process (PID ",
            "autovacuum worker ",
        ),
        contains=" was terminated by ",
        reason="signal",
    ),
    Entry(
        "server_crashed",
        "LOG:  server process (PID 4242) exited with exit code 2",
        pattern=r"^server process \(PID [0-9]+\) exited with exit code ",
        starts="server process ",
        reason="exit",
    ),
    Entry(
        "server_crashed",
        "LOG:  terminating any other active server processes",
        starts="terminating any other active server processes",
        reason="ending_sessions",
    ),
    Entry(
        "server_crashed",
        "LOG:  all server processes terminated; reinitializing",
        starts="all server processes terminated; reinitializing",
        reason="reinitializing",
    ),
    Entry(
        "server_reloaded",
        "LOG:  received SIGHUP, reloading configuration files",
        starts="received SIGHUP, reloading configuration files",
    ),
    Entry(
        "setting_changed",
        'LOG:  parameter "work_mem" changed to "64MB"',
        starts='parameter "',
        contains='" changed to "',
    ),
    Entry(
        "setting_changed",
        'LOG:  parameter "log_min_duration_statement" removed from configuration file, reset to default',
        starts='parameter "',
        contains="reset to default",
        reason="reset",
    ),
    Entry(
        "setting_changed",
        'LOG:  parameter "max_connections" cannot be changed without restarting the server',
        starts='parameter "',
        contains="cannot be changed without restarting the server",
        reason="restart_required",
    ),
)

STATES: Final[Mapping[str, tuple[tuple[str, ...], str, str | None]]] = {
    "53300": (("FATAL",), "refused_full", "unspecified"),
    "57P03": (("FATAL",), "refused_state", "unspecified"),
    "28000": (("FATAL",), "auth_failed", "unspecified"),
    "28P01": (("FATAL",), "auth_failed", "password"),
    "3D000": (("FATAL",), "unknown_target", "database"),
    "08P01": (("FATAL",), "bad_startup", "unspecified"),
    "57014": (("FATAL",), "auth_timeout", None),
    "57P01": (("FATAL", "WARNING"), "session_terminated", "admin"),
    "57P02": (("FATAL", "WARNING"), "session_terminated", "crash"),
    "25P03": (("FATAL",), "session_terminated", "idle_in_transaction_timeout"),
    "57P05": (("FATAL",), "session_terminated", "idle_session_timeout"),
    "25P04": (("FATAL",), "session_terminated", "transaction_timeout"),
    "08006": (("FATAL", "LOG"), "client_lost", "unspecified"),
    "40P01": (("ERROR",), "deadlock", None),
}
"""SQLSTATEs that type a message whose text nobody knows: severities it must have, kind, reason. 57014 as an ERROR is a
cancelled statement, told below."""

_SEVERITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "LOG": ("LOG", "DEBUG1", "DEBUG2"),
    "WARNING": ("WARNING", "FATAL", "LOG"),
    "ERROR": ("ERROR", "FATAL"),
    "FATAL": ("FATAL", "PANIC"),
}
"""Severities under which a text of the catalogue is what it seems: `role "x" does not exist` is a failed login as a
FATAL and a failed GRANT as an ERROR."""

RAISED = "P0"
"""Class of the SQLSTATEs that PL/pgSQL code raises itself: whatever such a line says, the server did not."""

OPENING_CHARACTERS: Final = 8
"""How much of a message is looked up before anything else."""


@functools.cache
def openings() -> tuple[str, ...]:
    """Return the first characters of every text of the catalogue that is not looked for in FATALs alone."""
    texts = {text for entry in CATALOGUE if entry.severity != "FATAL" for text in entry.openings}
    return tuple(sorted({text[:OPENING_CHARACTERS] for text in texts}))


@functools.cache
def all_openings() -> tuple[str, ...]:
    """Return how every text of the catalogue begins."""
    return tuple(sorted({text for entry in CATALOGUE for text in entry.openings}))


def worth_typing_sql(message: str, severity: str, opening: str | None = None) -> str:
    """Return a cheap SQL condition that every message of the catalogue and every FATAL fulfils."""
    opening = opening or f"left({message}, {OPENING_CHARACTERS})"
    return f"({one_of_sql(opening, openings())} OR {severity} IN ('FATAL', 'PANIC'))"


def number_sql(message: str, severity: str, sqlstate: str | None = None) -> str:
    """Return SQL that gives the number of a message's kind and reason in `KINDS`, NULL where it is of none.

    `severity` is in English; `sqlstate` names an expression that is NULL where the frame shows none.
    """
    arms = []
    for written, allowed in _SEVERITIES.items():
        tests = []
        for entry in CATALOGUE:
            if entry.severity != written:
                continue
            conditions = []
            if entry.openings:
                starts = [f"starts_with({message}, {quoted(text)})" for text in entry.openings]
                conditions.append(starts[0] if len(starts) == 1 else f"({' OR '.join(starts)})")
            if entry.contains:
                conditions.append(f"contains({message}, {quoted(entry.contains)})")
            if entry.pattern:
                conditions.append(f"regexp_matches({message}, {quoted(entry.pattern)})")
            if sqlstate and entry.sqlstate and written in ("FATAL", "ERROR"):
                conditions.append(f"coalesce({sqlstate} = {quoted(entry.sqlstate)}, true)")
            elif sqlstate:
                conditions.append(f"NOT coalesce(starts_with({sqlstate}, {quoted(RAISED)}), false)")
            tests.append(f"WHEN {' AND '.join(conditions)} THEN {_number(entry.kind, entry.reason)}")
        names = ", ".join(map(quoted, allowed))
        arms.append(f"WHEN {severity} IN ({names}) THEN CASE {' '.join(tests)} END")
    typed = [f"CASE {arm} END" for arm in arms]
    if sqlstate:
        states = [
            f"WHEN {sqlstate} = {quoted(state)} AND {severity} IN ({', '.join(map(quoted, severities))})"
            f" THEN {_number(kind, reason)}"
            for state, (severities, kind, reason) in STATES.items()
        ]
        states.append(
            f"WHEN {sqlstate} = '57014' AND {severity} = 'ERROR' THEN {_number('statement_cancelled', 'unspecified')}"
        )
        typed.append(f"CASE {' '.join(states)} END")
    fatal = f"CASE WHEN {severity} IN ('FATAL', 'PANIC') THEN {_number('fatal_error', None)} END"
    return f"coalesce({', '.join([*typed, fatal])})"


def kind_sql(number: str) -> str:
    """Return SQL that gives the kind of a number of `number_sql`."""
    return _told_sql(number, [kind for kind, _ in KINDS])


def _told_sql(number: str, texts: Iterable[str | None]) -> str:
    """Return SQL that gives a text by number; numbers without one have their arm too, the frequent ones come first."""
    arms = [f"WHEN {at} THEN {'NULL' if text is None else quoted(text)}" for at, text in enumerate(texts)]
    return f"CASE {number} {' '.join(arms)} END"


def reason_sql(number: str) -> str:
    """Return SQL that gives the reason of a number of `number_sql`."""
    return _told_sql(number, [reason for _, reason in KINDS])


def is_of_sql(number: str, *kinds: str) -> str:
    """Return a SQL condition: a number of `number_sql` is of one of `kinds`.

    The numbers of a kind lie side by side; ranges, since DuckDB makes a join of an IN list.
    """
    ranges = []
    for kind in kinds:
        own = [at for at, (other, _) in enumerate(KINDS) if other == kind]
        ranges.append(f"{number} = {own[0]}" if len(own) == 1 else f"{number} BETWEEN {own[0]} AND {own[-1]}")
    return f"({' OR '.join(ranges)})"


def one_of_sql(text: str, among: Iterable[str]) -> str:
    """Return a SQL condition that `text` is one of some constants, without the join DuckDB makes of an IN list."""
    return f"list_contains([{', '.join(map(quoted, among))}], {text})"


@functools.cache
def implied_sqlstates() -> tuple[str | None, ...]:
    """Return by number the SQLSTATE a text implies, None where texts of that kind and reason differ in it."""
    found: dict[int, set[str | None]] = {}
    for entry in CATALOGUE:
        found.setdefault(_number(entry.kind, entry.reason), set()).add(entry.sqlstate)
    implied = [found.get(at, {None}) for at in range(len(KINDS))]
    return tuple(next(iter(states)) if len(states) == 1 else None for states in implied)


def sqlstate_sql(number: str) -> str:
    """Return SQL that gives the SQLSTATE of `implied_sqlstates`."""
    return _told_sql(number, implied_sqlstates())


def _kinds() -> tuple[tuple[str, str | None], ...]:
    pairs: dict[tuple[str, str | None], None] = {}
    for entry in CATALOGUE:
        pairs.setdefault((entry.kind, entry.reason))
    for _, kind, reason in STATES.values():
        pairs.setdefault((kind, reason))
    pairs.setdefault(("statement_cancelled", "unspecified"))
    pairs.setdefault(("fatal_error", None))
    kinds = list(dict.fromkeys(kind for kind, _ in pairs))
    return tuple(sorted(pairs, key=lambda pair: kinds.index(pair[0])))


KINDS: Final = _kinds()
"""Kind and reason by number: what SQL carries about instead of two texts a row."""

_NUMBERS: Final = {pair: at for at, pair in enumerate(KINDS)}


def _number(kind: str, reason: str | None) -> int:
    return _NUMBERS[kind, reason]


# Servers that speak another language.

_SPOKEN_LABELS: Final = {
    "FATAL": ("KATASTROFALNY", "ÖLÜMCÜL (FATAL)"),
    "PANIC": ("PÂNICO", "PANIKA", "KRİTİK"),
    "ERROR": ("ERRO", "BŁĄD", "HATA", "CHYBA"),
    "WARNING": ("AVISO", "OSTRZEŻENIE", "UYARI", "VAROVÁNÍ"),
    "NOTICE": ("NOTA", "UWAGA", "NOT"),
    "DETAIL": ("DETALHE", "SZCZEGÓŁY", "AYRINTI"),
    "HINT": ("DICA", "PODPOWIEDŹ", "İPUCU"),
    "STATEMENT": ("COMANDO", "WYRAŻENIE", "İFADE", "KOMUT"),
    "CONTEXT": ("CONTEXTO", "KONTEKST", "BAĞLAM"),
    "QUERY": ("CONSULTA", "ZAPYTANIE", "SORGU"),
    "LOG": ("DZIENNIK",),
}
"""Labels of languages that version 15 is not translated to any more (Portuguese, Polish, Turkish, Czech)."""

_PLACEHOLDER: Final = re.compile(r"%(?:(\d+)\$)?[-0-9.]*l?([sdumX])")
_LOOKED_UP: Final = 4
"""Characters of a message that say which languages it may be in."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A localised text as an expression (Python and RE2) and the English it stands for (`\\1` for its groups)."""

    language: str
    pattern: str
    english: str

    @property
    def opening(self) -> str:
        """The literal text it begins with."""
        return re.sub(r"\\(.)", r"\1", re.split(r"(?<!\\)\(", self.pattern[1:], maxsplit=1)[0].removesuffix("$"))


_OLDER_TEXTS: Final = (
    ("zh_CN", "the database system is starting up", "数据库系统启动中"),
    ("zh_CN", "the database system is shutting down", "数据库系统关闭中"),
    ("zh_CN", "database system is ready to accept connections", "数据库系统准备接受连接"),
    (
        "zh_CN",
        "database system was not properly shut down; automatic recovery in progress",
        "数据库系统没有正确的关闭; 处于自动恢复状态中",
    ),
)
"""Translations of earlier versions that differ from the table's, as met in real logs."""


@functools.cache
def _texts() -> tuple[tuple[str, str, str], ...]:
    table = (resources.files(__package__) / "postgres_texts.tsv").read_text(encoding="utf-8")
    return (*_OLDER_TEXTS, *(tuple(line.split("\t")) for line in table.splitlines()))  # type: ignore[arg-type]


@functools.cache
def labels() -> Mapping[str, str]:
    """Return every label servers write, in all their languages, with its English form."""
    found = {label: label for label in LABELS}
    for _, english, own in _texts():
        if english in LABELS:
            found.setdefault(own, english)
    for english, spoken in _SPOKEN_LABELS.items():
        for own in spoken:
            found.setdefault(own, english)
    return found


def label_sql(label: str) -> str:
    """Return SQL that gives a label of any language in English."""
    arms = " ".join(f"WHEN {quoted(own)} THEN {quoted(english)}" for own, english in labels().items() if own != english)
    return f"CASE {label} {arms} ELSE {label} END"


@functools.cache
def unknowns() -> frozenset[str]:
    """Return how `[unknown]` is written in every language."""
    return frozenset({"[unknown]"} | {own for _, english, own in _texts() if english == "[unknown]"})


@functools.cache
def translations() -> tuple[Translation, ...]:
    """Return the localised texts of the catalogue."""
    pieces: dict[tuple[str, str], str] = {(language, english): own for language, english, own in _texts()}
    out = []
    for language, text, own in _texts():
        if text in LABELS or text.startswith((" ", "[")) or text == "server process":
            continue
        if text.endswith("connection authorized: user=%s"):
            out.append(_authorized(language, text, own, pieces))
        else:
            out.append(_translation(language, text, own))
    # The text with a port before the one without.
    return tuple(sorted(out, key=lambda each: -len(each.pattern)))


def _authorized(language: str, text: str, own: str, pieces: Mapping[tuple[str, str], str]) -> Translation:
    """Translate the message that the server puts together from pieces, each translated."""
    tail, english = "", text.replace("%s", "\\1")
    for number, piece in ((2, " database=%s"), (3, " application_name=%s")):
        tail += f"(?:{_pattern(pieces.get((language, piece), piece))})?"
        english += piece.replace("%s", f"\\{number}")
    piece = " SSL enabled (protocol=%s, cipher=%s, bits=%d)"
    secured = re.sub(r"\((?=\.\*\?\)|\[0-9\])", "(?:", _pattern(pieces.get((language, piece), piece)))
    return Translation(language, f"^{_pattern(own)}{tail}(?:{secured})?$", english)


def _translation(language: str, text: str, own: str) -> Translation:
    if text.endswith("%s%s%s"):
        # Host, " port=" and the port are three placeholders; together they are what follows "host=".
        text, own = text[:-4], re.sub(r"%(?:7\$)?s%(?:8\$)?s%(?:9\$)?s", "%s", own)
    order = [int(found[1]) if found[1] else at for at, found in enumerate(_PLACEHOLDER.finditer(own), 1)]
    english, at = "", 0
    for number, found in enumerate(_PLACEHOLDER.finditer(text), 1):
        if number > len(order) and max(order, default=0) < number:
            # The rest stands on the record's further lines.
            text = text[:at]
            break
        group = order.index(number) + 1 if number in order else 1
        english += f"{text[at : found.start()]}\\{group}"
        at = found.end()
    english += text[at:]
    if "(PID" in english:
        english = re.sub(r"^\\\d", "server process", english)
    return Translation(language, f"^{_pattern(own)}$", english)


def _pattern(text: str) -> str:
    """Return a localised text with placeholders as a regular expression."""
    out, at = "", 0
    for found in _PLACEHOLDER.finditer(text):
        out += re.sub(r"([\\.\[\](){}*+?^$|])", r"\\\1", text[at : found.start()])
        out += "([0-9]+)" if found[2] in "duX" else "(.*?)"
        at = found.end()
    return out + re.sub(r"([\\.\[\](){}*+?^$|])", r"\\\1", text[at:])


@functools.cache
def _by_opening() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for each in translations():
        if len(each.opening) >= _LOOKED_UP:
            found.setdefault(each.opening[:_LOOKED_UP], set()).add(each.language)
    english = {text[:_LOOKED_UP] for entry in CATALOGUE for text in entry.openings}
    return {opening: frozenset(languages) for opening, languages in found.items() if opening not in english}


@functools.cache
def _by_label() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for language, english, own in _texts():
        if english in LABELS and own not in LABELS:
            found.setdefault(own, set()).add(language)
    return {own: frozenset(languages) for own, languages in found.items()}


def languages(label: str, message: str) -> frozenset[str]:
    """Return the languages a line may be in, other than English, by its label and the first letters of its message."""
    return _by_label().get(label, frozenset()) | _by_opening().get(message[:_LOOKED_UP], frozenset())


def english(message: str) -> str:
    """Return a message of any language in English, itself where it is of none the catalogue knows."""
    if message[:_LOOKED_UP] in _by_opening() or not message.isascii():
        for each in translations():
            if message.startswith(each.opening) and (found := re.match(each.pattern, message)):
                return found.expand(each.english)
    return message


def english_sql(message: str, among: Iterable[str]) -> str:
    """Return SQL that gives a message of some languages in English."""
    spoken = frozenset(among)
    arms = []
    for each in translations():
        if each.language in spoken:
            test = f"regexp_matches({message}, {quoted(each.pattern)})"
            if each.opening:
                test = f"starts_with({message}, {quoted(each.opening)}) AND {test}"
            arms.append(f"WHEN {test} THEN regexp_replace({message}, {quoted(each.pattern)}, {quoted(each.english)})")
    return f"CASE {' '.join(arms)} ELSE {message} END" if arms else message
