"""PgBouncer's configuration file: what it allowed, above all how many clients, and how many connections to the server.

Obtained as `/etc/pgbouncer/pgbouncer.ini`. Sections `[pgbouncer]`, `[databases]`, `[users]` and `[peers]`: each assignment
becomes a `setting`, those of a database or user `database.NAME.pool_size`, `user.NAME.pool_mode` and so on, as
`SHOW DATABASES` and `SHOW USERS` name them. Passwords, and queries and commands that may hold one, are not stored.
`%include` names a file that is not read with it. https://www.pgbouncer.org/config.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, times

TELLING: Final = frozenset(
    ("max_client_conn", "default_pool_size", "min_pool_size", "reserve_pool_size", "reserve_pool_timeout", "pool_mode",
     "query_wait_timeout", "server_login_retry", "server_idle_timeout", "server_lifetime", "server_reset_query", "auth_file",
     "auth_query", "auth_hba_file", "admin_users", "stats_users", "server_round_robin", "max_db_connections",
     "max_user_connections", "client_idle_timeout", "client_login_timeout", "idle_transaction_timeout",
     "ignore_startup_parameters", "server_check_query", "server_check_delay", "server_connect_timeout", "unix_socket_dir",
     "autodb_idle_timeout", "log_pooler_errors", "client_tls_sslmode", "server_tls_sslmode", "max_prepared_statements",
     "max_packet_size", "sbuf_loopcnt", "server_fast_close", "disable_pqexec", "application_name_add_host",
     "max_db_client_connections", "max_user_client_connections", "query_wait_notify", "peer_id", "listen_backlog")
)  # fmt: skip
"""Names that tell PgBouncer's settings from anybody else's."""

OWN: Final = frozenset(
    ("max_client_conn", "default_pool_size", "min_pool_size", "reserve_pool_size", "pool_mode", "max_db_connections",
     "query_wait_timeout", "server_idle_timeout", "server_lifetime", "server_reset_query")
)  # fmt: skip
"""Those that nobody else has at all: two of them need no section."""

SECRET: Final = re.compile(r"(?i)password|secret|auth_query|connect_query|ldap|_key_file$")
"""Names whose values are not stored: they are, or may hold, credentials."""

_SECTION = re.compile(r"^\s*\[\s*(\w+)\s*\]\s*$")
_ASSIGNMENT = re.compile(r'^\s*("(?:[^"]|"")*"|[^\s=;#"]+)\s*=\s*(.*?)\s*$')
_PAIR = re.compile(r"([A-Za-z_]\w*)\s*=\s*('(?:[^']|'')*'|[^\s']*)")
_INCLUDE = re.compile(r"^\s*%include\s+(.*\S)")

SECTIONS: Final = {"databases": "database", "users": "user", "peers": "peer"}


def certainty(head: Head) -> float:
    """Return how sure a head is a pgbouncer.ini: by its sections and by the names of its settings."""
    section = ""
    sections, known, foreign = set(), set(), 0
    for line in head.lines:
        found = _SECTION.match(line)
        if found is not None:
            section = found[1].lower()
            sections.add(section)
        elif not line.strip() or line.lstrip()[:1] in ";#%":
            known |= {name for name in TELLING if re.match(rf"^\s*[;#]\s*{name}\s*=", line)}
        else:
            assigned = _ASSIGNMENT.match(line)
            if assigned is None:
                foreign += 1
            elif assigned[1].lower() in TELLING and section in ("", "pgbouncer"):
                known.add(assigned[1].lower())
    if foreign > 3 or len(sections - SECTIONS.keys() - {"pgbouncer"}) > 0:
        return 0.0
    if not sections:
        # Somebody looked for a few of its lines.
        return 0.6 if foreign <= 1 and len(known & OWN) >= 2 else 0.0
    if "pgbouncer" in sections:
        return 0.97 if known else 0.6
    return 0.5 if known else 0.0


def read(reading: Reading) -> None:
    """Store each setting; of settings given twice the last one counts, as PgBouncer does it."""
    ledger = reading.ledger
    section = ""
    told: dict[str, tuple[int, str]] = {}
    for line_no, line in reading.lines():
        found = _SECTION.match(line)
        included = _INCLUDE.match(line)
        assigned = _ASSIGNMENT.match(line)
        if found is not None:
            section = found[1].lower()
            ledger.ignored += 1
        elif included is not None:
            ledger.assume(f"%include {included[1]}: what that file sets is not in this evidence")
            ledger.ignored += 1
        elif not line.strip() or line.lstrip()[:1] in ";#":
            ledger.ignored += 1
        elif assigned is None:
            ledger.unknown += 1
            ledger.example(line_no, "(a line that is no assignment; not shown, it may hold a password)")
        else:
            ledger.understood += 1
            for name, value in _settings(section, *assigned.groups()):
                told[name] = (line_no, value)
    rows = sorted((line_no, name, value) for name, (line_no, value) in told.items())
    named = times.in_name(reading.head.name, reading.options.timezone)
    if named is not None:
        ledger.assume(f"the settings' time {named:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
        ledger.saw(named, named)
    table = {
        "line_no": pa.array([line_no for line_no, _, _ in rows], pa.int64()),
        "name": pa.array([name for _, name, _ in rows], pa.string()),
        "value": pa.array([value for _, _, value in rows], pa.string()),
        "valid_at": pa.array([named] * len(rows), pa.timestamp("us")),
    }
    if rows:
        reading.insert("setting", pa.table(table))


def _settings(section: str, name: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of one line."""
    bare = name.strip('"').replace('""', '"')
    if section not in SECTIONS:
        if not SECRET.search(bare):
            yield bare.lower(), value
        return
    about = f"{SECTIONS[section]}.{bare}"
    pairs: Sequence[tuple[str, str]] = _PAIR.findall(value)
    if not pairs:
        yield f"{about}.database" if section == "databases" else about, bare
    for key, given in pairs:
        if not SECRET.search(key):
            yield f"{about}.{_COLUMNS.get(key.lower(), key.lower())}", given.strip("'").replace("''", "'")


_COLUMNS: Final = {
    "dbname": "database",
    "user": "force_user",
    "reserve_pool": "reserve_pool_size",
    "max_db_connections": "max_connections",
}
"""What the columns of `SHOW DATABASES` call these keys."""


FORMAT = Format(
    name="pgbouncer_ini",
    engine="pgbouncer",
    tables=("setting",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '$ grep -E "pool_size|max|pool_mode" pgbouncer.ini\n'
            "pool_mode = transaction\nmax_client_conn = 1900\ndefault_pool_size = 96 \nmax_db_connections =512\n",
            {
                "setting": (
                    {"line_no": 2, "name": "pool_mode", "value": "transaction"},
                    {"line_no": 3, "name": "max_client_conn", "value": "1900"},
                    {"line_no": 4, "name": "default_pool_size", "value": "96"},
                    {"line_no": 5, "name": "max_db_connections", "value": "512"},
                )
            },
            name="grepped.txt",
        ),
        Sample(
            ";;; PgBouncer configuration file\n[databases]\n; foodb =\n"
            "shop = host=10.0.0.2 port=5432 dbname=shop_prod user=app password='top secret' pool_size=15 reserve_pool=5\n"
            '"*" = host=10.0.0.3\n\n[users]\nreport = pool_mode=session max_user_connections=3\n\n'
            "[pgbouncer]\nlisten_port = 6432\nmax_client_conn = 100\ndefault_pool_size=20\n# pool_mode = session\npool_mode = transaction\n"
            "auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename=$1\n%include /etc/pgbouncer/local.ini\nmax_client_conn = 200\n",
            {
                "setting": (
                    {"line_no": 4, "engine": "pgbouncer", "name": "database.shop.database", "value": "shop_prod"},
                    {"line_no": 4, "name": "database.shop.force_user", "value": "app"},
                    {"line_no": 4, "name": "database.shop.host", "value": "10.0.0.2"},
                    {"line_no": 4, "name": "database.shop.pool_size", "value": "15"},
                    {"line_no": 4, "name": "database.shop.port", "value": "5432"},
                    {"line_no": 4, "name": "database.shop.reserve_pool_size", "value": "5"},
                    {"line_no": 5, "name": "database.*.host", "value": "10.0.0.3"},
                    {"line_no": 8, "name": "user.report.max_user_connections", "value": "3"},
                    {"line_no": 8, "name": "user.report.pool_mode", "value": "session"},
                    {"line_no": 11, "name": "listen_port", "value": "6432"},
                    {"line_no": 13, "name": "default_pool_size", "value": "20"},
                    {"line_no": 15, "name": "pool_mode", "value": "transaction"},
                    {"line_no": 18, "name": "max_client_conn", "value": "200"},
                )
            },
            name="pgbouncer.ini",
        ),
    ),
)  # fmt: skip
