"""TCP connections of a database host as its kernel sees them: how many to the database's port, from whom, in which state.

Obtained with `netstat -antp` or `ss -tanp`, once or in a loop, or as pt-stalk's `-netstat` file; `netstat -s` and pt-stalk's
`-netstat_s` file give the kernel's counters, of which those about accepting connections are kept (what the listen queue
dropped never reaches a server's log). Connections are counted by client, state and port of the server; they are the
kernel's, so those not yet accepted, closing, or half dead are among them.

https://man7.org/linux/man-pages/man8/netstat.8.html
https://docs.percona.com/percona-toolkit/pt-stalk.html
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, times
from connforensics.evidence.shapes import note

METRIC: Final = "tcp_connections"

SERVERS: Final = re.compile(r"mysqld|mariadbd|postgres|postmaster|pgbouncer|proxysql|odyssey|pgpool|pgcat|haproxy")
"""Programs whose listening ports count, where the listing names programs."""

PORTS: Final = frozenset((3306, 33060, 33062, 5432, 5433, 6432, 6033, 6133))
"""Ports that are a database's or a pooler's where the listing does not say whose they are: those of MySQL (classic, X and
administration), PostgreSQL, PgBouncer and ProxySQL."""

SERVICES: Final = {"mysql": 3306, "mysqlx": 33060, "postgresql": 5432, "postgres": 5432}
"""Ports by the names that /etc/services gives them: what is shown without `-n`."""

STATES: Final = {"ESTAB": "ESTABLISHED", "SYN-SENT": "SYN_SENT", "SYN-RECV": "SYN_RECV"}
"""`ss` to `netstat`; its other states differ only in hyphens."""

KNOWN_STATES: Final = (
    "ESTABLISHED", "ESTAB", "TIME_WAIT", "CLOSE_WAIT", "FIN_WAIT1", "FIN_WAIT2", "FIN_WAIT_1", "FIN_WAIT_2", "LAST_ACK",
    "CLOSING", "CLOSED", "CLOSE", "SYN_SENT", "SYN_RECV", "SYN_RECEIVED", "LISTEN", "LISTENING", "BOUND", "UNKNOWN",
    "UNCONN", "TIME-WAIT", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "SYN-SENT", "SYN-RECV",
)  # fmt: skip

COUNTERS: Final = (
    (re.compile(r"^(\d+) active connections? openings?$"), "node_netstat_Tcp_ActiveOpens"),
    (re.compile(r"^(\d+) passive connection openings?$"), "node_netstat_Tcp_PassiveOpens"),
    (re.compile(r"^(\d+) failed connection attempts?$"), "node_netstat_Tcp_AttemptFails"),
    (re.compile(r"^(\d+) connection resets received$"), "node_netstat_Tcp_EstabResets"),
    (re.compile(r"^(\d+) connections established$"), "node_netstat_Tcp_CurrEstab"),
    (re.compile(r"^(\d+) resets sent$"), "node_netstat_Tcp_OutRsts"),
    (re.compile(r"^(\d+) times the listen queue of a socket overflowed$"), "node_netstat_TcpExt_ListenOverflows"),
    (re.compile(r"^(\d+) SYNs to LISTEN sockets (?:dropped|ignored)$"), "node_netstat_TcpExt_ListenDrops"),
    (re.compile(r"^(\d+) SYN cookies sent$"), "node_netstat_TcpExt_SyncookiesSent"),
    (re.compile(r"^(\d+) connections reset due to unexpected data$"), "node_netstat_TcpExt_TCPAbortOnData"),
    (re.compile(r"^(\d+) connections aborted due to timeout$"), "node_netstat_TcpExt_TCPAbortOnTimeout"),
    (re.compile(r"^TCPReqQFullDrop: (\d+)$"), "node_netstat_TcpExt_TCPReqQFullDrop"),
    (re.compile(r"^TCPReqQFullDoCookies: (\d+)$"), "node_netstat_TcpExt_TCPReqQFullDoCookies"),
)  # fmt: skip
"""Lines of `netstat -s` and the names that https://github.com/prometheus/node_exporter gives these counters."""

_STATE = "|".join(sorted(map(re.escape, KNOWN_STATES), key=len, reverse=True))
_NETSTAT = re.compile(rf"^\s*tcp[46]{{0,2}}\s+\d+\s+\d+\s+(\S+)\s+(\S+)\s+({_STATE})\b\s*(?:(?:\d+\s+){{0,3}}(\S.*))?$")
_SS = re.compile(rf"^\s*(?:tcp\s+)?({_STATE})\s+\d+\s+\d+\s+(\S+)\s+(\S+)(?:\s+(\S.*))?\s*$")
_WINDOWS = re.compile(rf"^\s*TCP\s+(\S+:\d+)\s+(\S+:\d+)\s+({_STATE})\b(?:\s+(\d+))?\s*$")
_STALK = re.compile(r"^TS (\d{9,}(?:\.\d+)?)\b.*$")
_ABOUT = re.compile(
    r"^\s*(?:Active (?:Internet|LOCAL|UNIX|Connections).*|Proto\s+.*|(?:Netid\s+)?State\s+Recv-Q\s+Send-Q.*|udp.*|raw.*|unix .*|"
    r"UDP\s.*|\(.*\)|Local Address.*|.*[$#] (?:sudo )?(?:netstat|ss)\b.*|\$ .*)$"
)
_SUMMARY = re.compile(
    r"^(?:Ip|Icmp|IcmpMsg|Tcp|Udp|UdpLite|TcpExt|IpExt|MPTcpExt|Sctp|Ip6|Icmp6|Udp6|UdpLite6|Ip:|InNoRoutes):?\s*$"
)
_COUNTED = re.compile(r"^\s+\S")
_TIMED = re.compile(r"^\S.*\d{1,2}:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Socket:
    """One line of a listing."""

    local_host: str
    local_port: int | None
    host: str
    port: int | None
    state: str
    program: str


def socket(line: str) -> Socket | None:
    """Return the TCP socket that a line lists, None where it lists none.

    >>> socket("tcp        0      0 10.0.0.1:3306   10.0.0.5:41000   ESTABLISHED 2624/mariadbd").host
    '10.0.0.5'
    >>> socket("ESTAB 0 0 [::ffff:10.0.0.1]:3306 [::ffff:10.0.0.5]:41000").state
    'ESTABLISHED'
    """
    told = _NETSTAT.match(line) or _WINDOWS.match(line)
    if told is not None:
        local, remote, state, program = told.groups()
    else:
        told = _SS.match(line)
        if told is None:
            return None
        state, local, remote, program = told.groups()
    here, there = _address(local), _address(remote)
    if here is None or there is None:
        return None
    return Socket(*here, *there, STATES.get(state, state.replace("-", "_")), program or "")


def _address(text: str) -> tuple[str, int | None] | None:
    """Return host and port of an address, with the port parted by a colon, or by a dot as on BSD, or named."""
    told = re.match(r"^(.*)[:.](\d{1,5}|\*)$", text) or re.match(r"^(.*):([a-z][a-z0-9_.+-]*)$", text)
    if told is None:
        return None
    host = re.sub(r"%\w+$", "", told.group(1).strip("[]")).removeprefix("::ffff:")
    return host.strip("[]"), int(told.group(2)) if told.group(2).isdigit() else SERVICES.get(told.group(2))


def certainty(head: Head) -> float:
    """Return how sure a head is a listing of TCP sockets or the kernel's counters of them."""
    lines = [line for line in head.lines if line.strip()]
    sockets = sum(1 for line in lines if socket(line) is not None)
    about = sum(1 for line in lines if _ABOUT.match(line) or _STALK.match(line))
    if sockets and (sockets + about) >= len(lines) * 0.6:
        return 0.95 if about else 0.85
    titles = {line.strip().rstrip(":") for line in lines if _SUMMARY.match(line)}
    counted = sum(1 for line in lines if any(pattern.match(line.strip()) for pattern, _ in COUNTERS))
    return 0.95 if "Tcp" in titles and counted >= 3 else 0.0


def read(reading: Reading) -> None:
    """Store the number of connections by client, state and port at each time, and the kernel's counters."""
    run = _Run(reading)
    for line_no, line in reading.lines():
        run.line(line_no, line)
    run.close()
    run.flush()


@dataclass(slots=True)
class _Listing:
    """One listing: its sockets, held until the ports that listen are known, and the line of the first to each key."""

    told_at: datetime | None
    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    first: dict[tuple[str, str, int], int] = field(default_factory=dict)
    listening: dict[int, str] = field(default_factory=dict)
    lines: int = 0


class _Run:
    """The reading of one source, listing after listing."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.ledger = reading.ledger
        self.open: _Listing | None = None
        self.told_at: datetime | None = None
        self.listings = 0
        self.is_counting = False
        self.held: list[tuple[int, datetime | None, str, list[tuple[str, str]], float]] = []

    def line(self, line_no: int, line: str) -> None:
        here = socket(line)
        if here is not None:
            self._take(line_no, here)
            return
        stalk = _STALK.match(line)
        moment = times.parse(stalk.group(1)) if stalk else None
        if moment is None and _TIMED.match(line) and len(line) < 80:
            moment = times.parse(line, self.reading.options.timezone)
        if moment is not None:
            self.close()
            self.told_at = moment
            self.ledger.saw(moment, moment)
            self.ledger.ignored += 1
        elif re.match(r"^\s*Active Internet connections|^\s*Active Connections|^(?:Netid\s+)?State\s+Recv-Q", line):
            self.close()
            self.ledger.ignored += 1
        elif _ABOUT.match(line) or not line.strip():
            self.ledger.ignored += 1
        elif _SUMMARY.match(line):
            self.is_counting = True
            self.ledger.ignored += 1
        elif self.is_counting and _COUNTED.match(line):
            self._count(line_no, line.strip())
        else:
            self.ledger.unknown += 1
            note(self.ledger, line_no, line)

    def _take(self, line_no: int, here: Socket) -> None:
        if self.open is None:
            self.open = _Listing(self.told_at)
        if here.state in ("LISTEN", "LISTENING"):
            if here.local_port is not None:
                self.open.listening[here.local_port] = here.program
            self.ledger.ignored += 1
            return
        if here.local_port is None:
            self.ledger.ignored += 1
            return
        key = (here.host, here.state, here.local_port)
        self.open.counts[key] += 1
        self.open.first.setdefault(key, line_no)

    def close(self) -> None:
        """Turn the open listing into samples: only of ports that are a server's."""
        listing, self.open = self.open, None
        if listing is None:
            return
        ports = {port for port, program in listing.listening.items() if SERVERS.search(program)} or {
            port for port in PORTS if port in listing.listening or not listing.listening
        }
        moment = self._moment(listing.told_at)
        self.listings += 1
        for key, count in listing.counts.items():
            host, state, port = key
            if port not in ports:
                self.ledger.ignored += count
                continue
            self.ledger.understood += count
            labels = [("client_host", host), ("port", str(port)), ("state", state)]
            self.held.append((listing.first[key], moment, METRIC, labels, float(count)))
        if len(self.held) > 50_000:
            self.flush()

    def _count(self, line_no: int, line: str) -> None:
        for pattern, name in COUNTERS:
            told = pattern.match(line)
            if told is not None:
                moment = self._moment(self.told_at)
                self.held.append((line_no, moment, name, [], float(told.group(1))))
                self.ledger.understood += 1
                return
        self.ledger.ignored += 1

    def _moment(self, told_at: datetime | None) -> datetime | None:
        if told_at is not None:
            return told_at
        named_at = times.in_name(self.reading.head.name, self.reading.options.timezone)
        if named_at is None or self.listings:
            self.ledger.assume("nothing tells when the sockets were listed: they have no sample time")
            return None
        self.ledger.assume(f"the sample time {named_at:%Y-%m-%d %H:%M:%S} UTC is taken from the file's name")
        self.ledger.saw(named_at, named_at)
        return named_at

    def flush(self) -> None:
        """Store what is held."""
        if not self.held:
            return
        numbers, moments, names, labels, values = zip(*sorted(self.held, key=lambda row: row[0]), strict=True)
        self.held = []
        self.reading.insert(
            "metric_sample",
            pa.table(
                {
                    "line_no": pa.array(numbers, pa.int64()),
                    "sampled_at": pa.array(moments, pa.timestamp("us")),
                    "name": pa.array(names, pa.string()),
                    "labels": pa.array(labels, pa.map_(pa.string(), pa.string())),
                    "value": pa.array(values, pa.float64()),
                }
            ),
        )


LISTED = """\
TS 1795230732.005527292 2026-11-21 03:12:12
Active Internet connections (servers and established)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
tcp        0      0 0.0.0.0:3307            0.0.0.0:*               LISTEN      2624/mariadbd
tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      1/sshd
tcp        0      0 10.0.0.1:3307           10.0.0.5:60478          ESTABLISHED 2624/mariadbd
tcp        0      0 10.0.0.1:3307           10.0.0.5:60480          ESTABLISHED 2624/mariadbd
tcp        0      0 10.0.0.1:22             10.0.0.9:50000          ESTABLISHED 77/sshd
tcp6       0      0 ::ffff:10.0.0.1:3307    ::ffff:10.0.0.6:41000   TIME_WAIT   -
TS 1795230733.005527292 2026-11-21 03:12:13
Active Internet connections (servers and established)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
tcp        0      0 0.0.0.0:3307            0.0.0.0:*               LISTEN      2624/mariadbd
tcp        0      0 10.0.0.1:3307           10.0.0.5:60478          ESTABLISHED 2624/mariadbd
"""

SUMMED = """\
TS 1795230732.005527292 2026-11-21 03:12:12
Ip:
    Forwarding: 2
    2092508 total packets received
Tcp:
    94 active connection openings
    71 passive connection openings
    5 failed connection attempts
    4 connections established
TcpExt:
    12 times the listen queue of a socket overflowed
    12 SYNs to LISTEN sockets dropped
    TCPReqQFullDrop: 7
"""

FORMAT = Format(
    name="netstat",
    engine=None,
    tables=("metric_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            LISTED,
            {
                "metric_sample": (
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:12.005527", "name": "tcp_connections",
                     "labels": {"client_host": "10.0.0.5", "port": "3307", "state": "ESTABLISHED"}, "value": 2.0},
                    {"line_no": 9, "labels": {"client_host": "10.0.0.6", "port": "3307", "state": "TIME_WAIT"}, "value": 1.0},
                    {"line_no": 14, "sampled_at": "2026-11-21T03:12:13.005527",
                     "labels": {"client_host": "10.0.0.5", "port": "3307", "state": "ESTABLISHED"}, "value": 1.0},
                )
            },
            name="2026_11_21_03_12_10-netstat",
        ),
        Sample(
            "State      Recv-Q Send-Q Local Address:Port    Peer Address:Port\n"
            "ESTAB      0      0      [::ffff:10.0.0.1]:3306  [::ffff:10.0.0.5]:41000\n"
            "CLOSE-WAIT 1      0      10.0.0.1:3306         10.0.0.7:41002\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": None, "value": 1.0,
                     "labels": {"client_host": "10.0.0.5", "port": "3306", "state": "ESTABLISHED"}},
                    {"line_no": 3, "value": 1.0,
                     "labels": {"client_host": "10.0.0.7", "port": "3306", "state": "CLOSE_WAIT"}},
                )
            },
            name="ss.txt",
        ),
        Sample(
            "$ netstat\n"
            "Active Internet connections (w/o servers)\n"
            "Proto Recv-Q Send-Q Local Address           Foreign Address         State\n"
            "tcp        0     11 ip-10-147-13-90.e:mysql ip-10-35-134-55.e:49768 ESTABLISHED\n"
            "tcp        0      0 ip-10-147-13-90.e:ssh   ip-10-164-97-31.e:58440 ESTABLISHED\n",
            {
                "metric_sample": (
                    {"line_no": 4, "value": 1.0,
                     "labels": {"client_host": "ip-10-35-134-55.e", "port": "3306", "state": "ESTABLISHED"}},
                )
            },
            name="netstat.txt",
        ),
        Sample(
            SUMMED,
            {
                "metric_sample": (
                    {"line_no": 6, "sampled_at": "2026-11-21T03:12:12.005527", "name": "node_netstat_Tcp_ActiveOpens", "value": 94.0},
                    {"line_no": 7, "name": "node_netstat_Tcp_PassiveOpens", "value": 71.0},
                    {"line_no": 8, "name": "node_netstat_Tcp_AttemptFails", "value": 5.0},
                    {"line_no": 9, "name": "node_netstat_Tcp_CurrEstab", "value": 4.0},
                    {"line_no": 11, "name": "node_netstat_TcpExt_ListenOverflows", "value": 12.0},
                    {"line_no": 12, "name": "node_netstat_TcpExt_ListenDrops", "value": 12.0},
                    {"line_no": 13, "name": "node_netstat_TcpExt_TCPReqQFullDrop", "value": 7.0},
                )
            },
            name="2026_11_21_03_12_10-netstat_s",
        ),
    ),
)  # fmt: skip
