"""What `postgres_log` must read: every text of the catalogue, and the prefixes, languages and multi-line records met
in real logs. Expected values are written by hand beside each line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connforensics.evidence import ReadOptions, Sample
from connforensics.evidence.messages.postgres import CATALOGUE

_TOLD: Final[Mapping[str, Mapping[str, object]]] = {
    "connection received": {"client_host": "10.0.0.5", "client_port": 41234, "user_name": None},
    "connection authenticated": {
        "detail": 'identity="app" method=scram-sha-256 (/etc/postgresql/16/main/pg_hba.conf:97)'
    },
    "connection authorized": {"user_name": "app", "database_name": "shop", "application_name": "web"},
    "replication connection": {"user_name": "repl", "application_name": "walreceiver", "database_name": None},
    "connection ready": {"duration_ms": 1.929},
    "disconnection": {
        "user_name": "app",
        "database_name": "shop",
        "client_host": "10.0.0.5",
        "client_port": 41234,
        "duration_ms": 3723450.0,
    },
    "sorry, too many": {"sqlstate": "53300", "severity": "FATAL"},
    "too many connections for role": {"user_name": "app_orders", "detail": "app_orders", "sqlstate": "53300"},
    "too many connections for database": {"database_name": "tiny", "detail": "tiny"},
    "no pg_hba": {"user_name": "postgres", "database_name": "postgres", "client_host": "45.146.165.37"},
    "pg_hba.conf rejects": {"user_name": "app", "database_name": "shop", "client_host": "10.0.0.9"},
    "password auth": {"user_name": "app", "sqlstate": "28P01"},
    "Peer auth": {"user_name": "app"},
    'role "nobody"': {"user_name": "nobody"},
    'database "nowhere"': {"database_name": "nowhere", "sqlstate": "3D000"},
    "could not accept SSL": {"detail": "tlsv1 alert unknown ca"},
    "could not fork": {"detail": "Cannot allocate memory"},
    "could not receive": {"detail": "Connection reset by peer", "severity": "LOG"},
    "duration": {"duration_ms": 2002.42},
    "process 4711 still": {"duration_ms": 1000.123},
    "process 4711 acquired": {"duration_ms": 5002.456, "detail": "ShareLock on transaction 792"},
    "starting PostgreSQL": {"detail": "16.14"},
    'parameter "work_mem"': {"detail": "work_mem=64MB"},
    "terminating connection because of crash": {"severity": "WARNING", "sqlstate": "57P02"},
}
"""What a text tells beyond its kind and reason, by its beginning."""


def _catalogue() -> Sample:
    lines, rows = [], []
    for number, entry in enumerate(CATALOGUE):
        lines.append(f"2026-03-02 08:00:00.{number:03d} UTC [{4000 + number}] {entry.sample}\n")
        told = next((told for opening, told in _TOLD.items() if entry.message.startswith(opening)), {})
        rows.append(
            {
                "line_no": number + 1,
                "event_at": f"2026-03-02 08:00:00.{number:03d}",
                "backend_id": 4000 + number,
                "kind": entry.kind,
                "reason": entry.reason,
                **told,
            }
        )
    return Sample("".join(lines), {"event": rows}, "postgresql-2026-03-02.log")


SAMPLES: Final = (
    _catalogue(),
    Sample(
        # A session under the prefix Debian's packages suggest for pgBadger; a statement with line breaks that quotes a
        # log line; an application with blanks in its name.
        "2026-03-02 08:00:00 CET [71]: [1-1] user=,db=,app=,client= LOG:  checkpoint starting: time\n"
        "2026-03-02 08:00:01 CET [812]: [1-1] user=[unknown],db=[unknown],app=[unknown],client=10.0.0.5"
        " LOG:  connection received: host=10.0.0.5 port=41234\n"
        "2026-03-02 08:00:01 CET [812]: [2-1] user=app,db=shop,app=[unknown],client=10.0.0.5"
        " LOG:  connection authorized: user=app database=shop application_name=report worker\n"
        "2026-03-02 08:00:02 CET [812]: [3-1] user=app,db=shop,app=report worker,client=10.0.0.5"
        " LOG:  statement: SELECT 1\n"
        "\tFROM note -- LOG:  connection received: host=9.9.9.9 port=9\n"
        "2026-03-02 08:00:03 CET [812]: [4-1] user=app,db=shop,app=report worker,client=10.0.0.5"
        " FATAL:  terminating connection due to idle-in-transaction timeout\n",
        {
            "event": [
                {
                    "line_no": 2,
                    "event_at": "2026-03-02 07:00:01",
                    "kind": "connection_received",
                    "backend_id": 812,
                    "client_host": "10.0.0.5",
                    "client_port": 41234,
                    "user_name": None,
                },
                {
                    "line_no": 3,
                    "kind": "connection_authorized",
                    "user_name": "app",
                    "application_name": "report worker",
                },
                {
                    "line_no": 6,
                    "kind": "session_terminated",
                    "reason": "idle_in_transaction_timeout",
                    "user_name": "app",
                    "database_name": "shop",
                    "application_name": "report worker",
                    "client_host": "10.0.0.5",
                },
            ]
        },
    ),
    Sample(
        # Amazon RDS: one blank or two after the severity's colon.
        "2026-03-02 08:00:00 UTC::@:[401]:LOG: checkpoint starting: time\n"
        "2026-03-02 08:00:01 UTC:10.0.0.5(41234):[unknown]@[unknown]:[512]:LOG: connection received:"
        " host=10.0.0.5 port=41234\n"
        "2026-03-02 08:00:01 UTC:10.0.0.5(41234):app@shop:[512]:FATAL:  remaining connection slots are reserved for"
        ' roles with privileges of the "rds_reserved" role\n',
        {
            "event": [
                {"line_no": 2, "kind": "connection_received", "backend_id": 512, "client_port": 41234},
                {
                    "line_no": 3,
                    "event_at": "2026-03-02 08:00:01",
                    "kind": "refused_reserved",
                    "reason": "rds_reserved",
                    "user_name": "app",
                    "database_name": "shop",
                    "client_host": "10.0.0.5",
                    "client_port": 41234,
                    "backend_id": 512,
                },
            ]
        },
    ),
    Sample(
        # The DETAIL line of a lock wait says who is in front.
        "2026-03-02 08:00:05.001 UTC [900] app@shop LOG:  process 900 still waiting for ShareLock on transaction 792"
        " after 1000.123 ms\n"
        "2026-03-02 08:00:05.001 UTC [900] app@shop DETAIL:  Process holding the lock: 811. Wait queue: 900, 901.\n"
        "2026-03-02 08:00:05.001 UTC [900] app@shop STATEMENT:  UPDATE account SET balance = 0\n",
        {
            "event": [
                {
                    "line_no": 1,
                    "kind": "lock_wait",
                    "backend_id": 900,
                    "duration_ms": 1000.123,
                    "detail": "Process holding the lock: 811. Wait queue: 900, 901.",
                }
            ]
        },
    ),
    Sample(
        # log_error_verbosity = verbose writes the SQLSTATE before the message.
        "2026-03-02 08:00:05 EST [900] LOG:  00000: connection received: host=[local]\n"
        "2026-03-02 08:00:05 EST [900] LOCATION:  BackendInitialize, postmaster.c:4390\n"
        "2026-03-02 08:00:05 EST [900] FATAL:  53300: sorry, too many clients already\n"
        "2026-03-02 08:00:05 EST [900] LOCATION:  InitProcess, proc.c:353\n"
        "2026-03-02 08:00:06 EST [901] ERROR:  P0001: sorry, too many clients already\n",
        {
            "event": [
                {
                    "line_no": 1,
                    "event_at": "2026-03-02 13:00:05",
                    "kind": "connection_received",
                    "client_host": "[local]",
                    "client_port": None,
                },
                {"line_no": 3, "kind": "refused_full", "sqlstate": "53300"},
            ]
        },
    ),
    Sample(
        # A server that speaks German; the severity is given in English.
        "2026-03-02 08:00:00.100 CET [31] LOG:  Verbindung empfangen: Host=10.0.0.5 Port=41234\n"
        "2026-03-02 08:00:00.102 CET [31] FATAL:  tut mir leid, schon zu viele Verbindungen\n"
        "2026-03-02 08:00:00.300 CET [32] FEHLER:  Relation »albu« existiert nicht bei Zeichen 7\n"
        "2026-03-02 08:00:00.300 CET [32] ANWEISUNG:  TABLE albu\n",
        {
            "event": [
                {"line_no": 1, "kind": "connection_received", "client_host": "10.0.0.5", "client_port": 41234},
                {"line_no": 2, "kind": "refused_full", "severity": "FATAL", "sqlstate": "53300"},
            ]
        },
    ),
    Sample(
        # Russian severities, and a text nobody knows: its SQLSTATE from the prefix types it.
        "2026-03-02 08:00:00 MSK [31] 57P03 ВАЖНО:  система баз данных запускается\n"
        "2026-03-02 08:00:01 MSK [32] 53300 ВАЖНО:  совсем другой текст\n"
        "2026-03-02 08:00:02 MSK [33] 00000 СООБЩЕНИЕ:  начата контрольная точка: time\n",
        {
            "event": [
                {
                    "line_no": 1,
                    "event_at": "2026-03-02 05:00:00",
                    "kind": "refused_state",
                    "severity": "FATAL",
                    "sqlstate": "57P03",
                },
                {"line_no": 2, "kind": "refused_full", "reason": "unspecified", "severity": "FATAL"},
            ]
        },
    ),
    Sample(
        # No prefix at all: no time, no pid.
        "LOG:  database system was shut down at 2026-03-02 08:00:00 UTC\n"
        "LOG:  database system is ready to accept connections\n"
        "FATAL:  the database system is shutting down\n",
        {
            "event": [
                {"line_no": 1, "kind": "server_starting", "event_at": None, "backend_id": None},
                {"line_no": 2, "kind": "server_ready"},
                {"line_no": 3, "kind": "refused_state", "reason": "stopping"},
            ]
        },
    ),
    Sample(
        # A FATAL that nobody knows ended something all the same.
        '2026-03-02 08:00:00.000 +05 [31] FATAL:  could not open file "global/pg_filenode.map": Permission denied\n'
        "2026-03-02 08:00:01.000 +05 [32] LOG:  checkpoint starting: time\n",
        {"event": [{"line_no": 1, "event_at": "2026-03-02 03:00:00", "kind": "fatal_error", "severity": "FATAL"}]},
    ),
    Sample(
        # Times without a zone, and the caller says which.
        "2026-07-02 08:00:00 [31]: LOG:  received fast shutdown request\n"
        "2026-07-02 08:00:00 [31]: LOG:  aborting any active transactions\n",
        {"event": [{"line_no": 1, "event_at": "2026-07-02 06:00:00", "kind": "server_stopping", "reason": "fast"}]},
        options=ReadOptions(timezone="Europe/Berlin"),
    ),
    Sample(
        # No prefix, as before version 10, and somebody looked for refusals alone.
        "FATAL:  sorry, too many clients already\n"
        "FATAL:  remaining connection slots are reserved for non-replication superuser connections\n",
        {
            "event": [
                {"line_no": 1, "event_at": None, "kind": "refused_full", "severity": "FATAL", "sqlstate": "53300"},
                {"line_no": 2, "kind": "refused_reserved", "reason": "superuser"},
            ]
        },
    ),
)
