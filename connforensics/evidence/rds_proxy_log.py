"""Amazon RDS Proxy's log: clients in and out, connections to the database, sessions pinned, time-outs of the pool.

How to obtain it: the CloudWatch log group `/aws/rds/proxy/NAME` (`aws logs filter-log-events` or the console's export);
"enhanced logging" of the proxy tells clients and connections, without it only warnings and errors stand there.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-managing.html

`session_key` is the proxy's number of the client's connection, where there is none that of the database connection.
"""

from __future__ import annotations

import re
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import Frame
from connforensics.evidence.messages.rds_proxy import CATALOGUE

FRAMES: Final = (
    Frame(
        "rds_proxy",
        r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?) \[(?P<severity>[A-Z]+)\](?: \[(?:proxyEndpoint=)?[\w.-]*\])?"
        r"(?: \[(?P<session_key>(?:client|db)Connection=\d+)\])?(?: \[dbConnection=\d+\])? (?P<message>.*)$",
        "2026-11-21T03:12:00.250Z [INFO] [proxyEndpoint=default] [clientConnection=2125203372] ",
    ),
)

_OWN = re.compile(
    r"\[(?:proxyEndpoint|clientConnection|dbConnection)=|\b[Tt]he proxy\b|\b[Cc]lient (?:session|connection)\b|Timed-out waiting to acquire"
)
"""What the proxy alone writes: names in brackets, and its way of speaking."""


def certainty(head: Head) -> float:
    """How sure the lines are RDS Proxy's: its header, and its own texts or the names it puts in brackets."""
    found = line_log.look(head, FRAMES, CATALOGUE)
    own = sum(_OWN.search(line) is not None for line in head.lines)
    if not own:
        # Any service writes a time and a level in brackets, and many repeat what a server refused.
        return 0.0
    return 0.95 * found.share * (0.6 + 0.4 * max(found.known, own) / max(found.framed, 1))


def read(reading: Reading) -> None:
    """Store the events."""
    line_log.read(reading, FRAMES, CATALOGUE)


FORMAT = Format(
    name="rds_proxy_log",
    engine="rds_proxy",
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21T03:12:00.250Z [INFO] [proxyEndpoint=default] [clientConnection=2125203372] A new client connected from 10.0.0.9:47246.\n"
            "2026-11-21T03:12:00.300Z [INFO] [dbConnection=1953961465] A TCP connection was established from the proxy at 10.0.1.7:30112 to the database at 10.0.0.2:5432.\n"
            "2026-11-21T03:12:01.000Z [WARN] [proxyEndpoint=default] [clientConnection=2125203372] The client session was pinned to the database connection [dbConnection=1953961465] for the remainder of the session. The proxy can't reuse this connection until the session ends. Reason: A parse message was detected.\n"
            "2026-11-21T03:14:00.000Z [WARN] [proxyEndpoint=default] [clientConnection=77] Timed-out waiting to acquire database connection.\n"
            "2026-11-21T03:14:00.001Z [INFO] [proxyEndpoint=default] [clientConnection=77] The client connection closed. Reason: The client requested that the connection close.\n",
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00.250", "engine": "rds_proxy", "kind": "connection_received",
                     "client_host": "10.0.0.9", "client_port": 47246, "session_key": "clientConnection=2125203372"},
                    {"line_no": 2, "kind": "pooler_server_opened", "client_host": "10.0.1.7", "client_port": 30112,
                     "detail": "10.0.0.2:5432", "session_key": "dbConnection=1953961465"},
                    {"line_no": 3, "kind": "session_pinned", "reason": "A parse message was detected",
                     "detail": "dbConnection=1953961465", "severity": "WARN"},
                    {"line_no": 4, "event_at": "2026-11-21T03:14:00", "kind": "pool_timeout", "error_code": "9501"},
                    {"line_no": 5, "kind": "pooler_client_closed", "reason": "The client requested that the connection close"},
                )
            },
            name="log-events.txt",
        ),
    ),
    catalogue=CATALOGUE,
    frames=(
        lambda sample, number: f"2026-11-21T03:12:00.250Z [INFO] [proxyEndpoint=default] [clientConnection={number}] {sample}",
        lambda sample, _: f"2024-10-12T17:20:40 [WARN] [default] {sample}",
    ),
)  # fmt: skip
