"""ProxySQL's error log: refusals, clients that waited in vain for a server, servers shunned, settings loaded.

How to obtain it: the file of `errorlog` in proxysql.cnf (`/var/lib/proxysql/proxysql.log`), the output of the container, or
`journalctl -u proxysql`. Times are local and bear no zone. Tables that ProxySQL prints among its lines belong to the line
above them. https://proxysql.com/documentation/error-log/
"""

from __future__ import annotations

from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import Frame
from connforensics.evidence.messages.proxysql import CATALOGUE

FRAMES: Final = (
    Frame(
        "proxysql",
        r"^(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?:[\w./-]+\.(?:cpp|h|c|cc):\d+:\S+ )?\[(?P<severity>ERROR|WARNING|INFO|DEBUG)\] (?P<message>.*)$",
        "2026-11-21 03:12:00 MySQL_Session.cpp:2842:handler(): [ERROR] ",
    ),
)

_OWN: Final = ("ProxySQL", "hostgroup", "Hostgroup", "HG ", ".cpp:", "mysql_servers", "mysql-")


def certainty(head: Head) -> float:
    """How sure the lines are ProxySQL's: a header that names a source file in C++, or its own words after it."""
    found = line_log.look(head, FRAMES, CATALOGUE)
    lines = [line for line in (*head.lines, *head.middle) if FRAMES[0].compiled.match(line)]
    own = sum(any(word in line for word in _OWN) for line in lines)
    if not lines or not own:
        return 0.0
    # Tables stand among the lines: many lines without a header speak against nothing.
    return min(0.95, 0.6 + 0.35 * own / len(lines)) * min(1.0, 0.6 + found.share)


def read(reading: Reading) -> None:
    """Store the events; what stands between the lines with a header is ignored."""
    line_log.read(reading, FRAMES, CATALOGUE)


FORMAT = Format(
    name="proxysql_log",
    engine="proxysql",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21 03:12:00 [INFO] ProxySQL version 2.5.3-89-g86ce115\n"
            "2026-11-21 03:12:00 [INFO] Dumping mysql_servers_incoming\n"
            "+--------------+----------+\n| hostgroup_id | hostname |\n+--------------+----------+\n"
            "2026-11-21 03:13:00 MySQL_Session.cpp:2842:handler_again___status_CONNECTING_SERVER(): [ERROR] Max connect timeout reached while reaching hostgroup 10 after 10001ms\n"
            "2026-11-21 03:13:01 MySQL_Session.cpp:5160:handler(): [WARNING] mysql-max_connections reached. Returning 'Too many connections'\n"
            "2026-11-21 03:13:02 MySQL_HostGroups_Manager.cpp:900:connect_error(): [ERROR] Shunning server 10.0.0.2:3306 with 5 errors/sec. Shunning for 10 seconds\n"
            "2026-11-21 03:13:03 MySQL_Connection.cpp:1059:handler(): [ERROR] Failed to mysql_real_connect() on 10:10.0.0.2:3306 , FD (Conn:34 , MyDS:34) , 1040: Too many connections.\n",
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00", "engine": "proxysql", "kind": "server_starting",
                     "detail": "ProxySQL version 2.5.3-89-g86ce115", "severity": "INFO"},
                    {"line_no": 6, "event_at": "2026-11-21T03:13:00", "kind": "pool_timeout", "duration_ms": 10001.0,
                     "detail": "hostgroup 10", "error_code": "9001", "severity": "ERROR"},
                    {"line_no": 7, "kind": "refused_full", "reason": "mysql-max_connections", "error_code": "1040"},
                    {"line_no": 8, "kind": "host_shunned", "detail": "10.0.0.2:3306", "reason": "5 errors/sec"},
                    {"line_no": 9, "kind": "client_refused", "reason": "Too many connections", "error_code": "1040"},
                )
            },
            name="proxysql.log",
        ),
    ),
    catalogue=CATALOGUE,
    frames=(
        lambda sample, number: f"2026-11-21 03:12:00 MySQL_Session.cpp:{number}:handler(): [ERROR] {sample}",
        lambda sample, number: f"2026-11-21 03:12:00 [INFO] {sample}",
    ),
)  # fmt: skip
