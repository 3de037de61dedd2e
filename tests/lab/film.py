"""The recorder of an incident: snapshots of pg_stat_activity through one held connection, and the server's settings.

It does what an engineer's `\\copy` in a loop does. It takes a slot like any client; when its connection is lost it is
as blind as everybody else, and the missing snapshots stay missing.
"""

from __future__ import annotations

import csv
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import psycopg

from tests.lab.driver import WatchedConnection
from tests.lab.journal import Journal

RECORDER = "connforensics-recorder"
QUERY_CHARACTERS = 80

SETTINGS = """
SELECT name, setting, unit, source
FROM pg_settings
WHERE name LIKE ANY (ARRAY['%connection%', 'log\\_lock%', 'log\\_min\\_dur%', 'idle%timeout', 'tcp\\_%', 'max\\_%wal\\_senders'])
   OR name IN (
       'server_version', 'max_worker_processes', 'autovacuum_max_workers', 'authentication_timeout',
       'deadlock_timeout', 'statement_timeout', 'lock_timeout', 'transaction_timeout', 'log_timezone',
       'log_line_prefix', 'log_destination'
   )
ORDER BY name
"""


def film(conninfo: str, folder: Path, journals: Path, every_s: float, with_blockers: bool, stop: Event) -> None:
    """Write settings.csv once and activity.csv every `every_s` seconds until told to stop."""
    journal = Journal(journals, "recorder", "recorder")
    WatchedConnection.journal = journal
    connection: psycopg.Connection | None = None
    due = time.time()
    while not stop.is_set():
        try:
            if connection is None:
                connection = WatchedConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
            if not (folder / "settings.csv").exists():
                write_settings(connection, folder / "settings.csv")
            append_snapshot(connection, folder / "activity.csv", with_blockers=with_blockers)
        except psycopg.OperationalError:
            if connection is not None:
                connection.close()
            connection = None
        due = max(due + every_s, time.time())
        stop.wait(due - time.time())
    journal.write("exit")


def write_settings(connection: psycopg.Connection, path: Path) -> None:
    """The settings that decide about connections, as `name,setting,unit,source`."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "setting", "unit", "source"))
        writer.writerows(connection.execute(SETTINGS.encode()))


def append_snapshot(connection: psycopg.Connection, path: Path, *, with_blockers: bool = False) -> None:
    """One row a backend, all of the same `sampled_at`, with every column this server's view has."""
    described = connection.execute("SELECT * FROM pg_stat_activity LIMIT 0").description or []
    columns = [
        f"left(query, {QUERY_CHARACTERS}) AS query" if column.name == "query" else column.name for column in described
    ]
    if with_blockers:
        columns.append("pg_blocking_pids(pid) AS blocked_by")
    select = f"SELECT now() AS sampled_at, {', '.join(columns)} FROM pg_stat_activity ORDER BY backend_start"
    header = "false" if path.exists() else "true"
    copy = f"COPY ({select}) TO STDOUT WITH (FORMAT csv, HEADER {header})"
    with connection.cursor() as cursor, cursor.copy(copy.encode()) as rows:
        whole = b"".join(bytes(row) for row in rows)
    with path.open("ab") as file:
        file.write(whole)
