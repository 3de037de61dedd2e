"""PgBouncer's log: logins, connections opened and closed with their age, refusals, time-outs, statistics lines.

How to obtain it: the file of `logfile` in pgbouncer.ini (`/var/log/postgresql/pgbouncer.log` on Debian and Ubuntu), the
output of the container, `journalctl -u pgbouncer`. `log_connections`, `log_disconnections`, `log_pooler_errors` and
`log_stats` are on unless switched off. Read are versions 1.5 to 1.25: with and without a time zone (none before 1.11),
with the process id bare or in brackets, and the messages alone as syslog and journald keep them.
https://www.pgbouncer.org/config.html#log-settings

`session_key` is the address of PgBouncer's own object (`C-0x55d0c1f0`, a client; `S-0x...`, a connection to the server):
unique among those open, reused after them. For a connection to the server `client_host` and `client_port` are
PgBouncer's end of it, as the server sees it, and `detail` is the server's address. A statistics line becomes a
`metric_sample` for each of its numbers, named as `SHOW STATS` and the exporters name them; the line at start that tells
`max_client_conn` a `setting`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import AtOnce, Frame
from connforensics.evidence.messages.pgbouncer import CATALOGUE, CLIENT, SERVER
from connforensics.evidence.scanner import (
    DIGITS,
    HEX,
    NO_TIME,
    Class,
    Flags,
    Places,
    Scan,
    Texts,
    as_arrow,
    decimal,
    strings,
)
from connforensics.schema import quoted

_STAMP: Final = r"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})?(?: [A-Za-z+-][\w:+/-]*)?)"
_SEVERITY: Final = r"(?P<severity>[A-Z]+)"
_HEAD: Final = rf"{_STAMP} (?:\[\d+\]|\d+) {_SEVERITY} "
_CLIENT: Final = r"(?P<session_key>C-(?:0x)?[0-9a-f]+): "
_SERVER: Final = r"(?P<session_key>S-(?:0x)?[0-9a-f]+): "
_WHO: Final = r"(?P<who>.*?@(?:\[[^\]]*\]|[^:@\[ u][^:@\[ ]*):)(?P<client_port>\d+) (?P<message>.*)$"
_LOCAL: Final = r"(?P<local>.*?@unix(?:\([^)]*\))?:)\d+ (?P<message>.*)$"
_PEER: Final = r"(?P<peer>.*?@(?:\[[^\]]*\]|[^:@\[ ]+):\d+) (?P<message>.*)$"

_NAMES: Final = r"^(?:peer-\d+|(?:\(nodb\)|(?P<database_name>.*?))/(?:\(nouser\)|(?P<user_name>.*)))@"
_WHO_PARTS: Final = (("who", _NAMES + r"\[?(?P<client_host>.*?)\]?:$"),)
_LOCAL_PARTS: Final = (("local", _NAMES + r"unix.*$"),)
_PEER_PARTS: Final = (("peer", _NAMES + r"(?P<detail>.*)$"),)
_ON_SOCKET: Final = (("client_host", "[local]"),)

_OPENINGS: Final = (
    "stats: |Stats: |kernel file descriptor limit: |File descriptor limit: |listening on |process up: |[Gg]ot SIG[A-Z0-9]+"
    "|server login failed: |server connections dropped|client connections dropped|DNS lookup|stale pidfile"
    "|[A-Z_]+ (?:'.*' )?command issued|could not find user '|accept\\(\\) failed|TLS setup failed"
)
"""How a message of PgBouncer begins that names no connection, where syslog leaves nothing else."""


FRAMES: Final = (
    Frame(
        CLIENT,
        rf"^{_HEAD}{_CLIENT}{_WHO}",
        "2026-11-21 03:12:00.000 UTC [7925] LOG C-0x55d0c1f0: shop/app_web@10.0.0.9:40112 ",
        parts=_WHO_PARTS,
    ),
    Frame(
        CLIENT,
        rf"^{_HEAD}{_CLIENT}{_LOCAL}",
        "2026-11-21 03:12:00.000 UTC [7925] LOG C-0x55d0c1f0: shop/app_web@unix(811):6432 ",
        parts=_LOCAL_PARTS,
        given=_ON_SOCKET,
    ),
    Frame(
        SERVER,
        rf"^{_HEAD}{_SERVER}{_PEER}",
        "2026-11-21 03:12:00.000 UTC [7925] LOG S-0x55d0c2a8: shop/app_web@10.0.0.2:5432 ",
        parts=_PEER_PARTS,
    ),
    Frame("plain", rf"^{_HEAD}(?P<message>.*)$", "2026-11-21 03:12:00.000 UTC [7925] LOG "),
    Frame(
        CLIENT,
        rf"^(?:{_SEVERITY} )?{_CLIENT}{_LOCAL}",
        "C-0x55d0c1f0: shop/app_web@unix:6432 ",
        parts=_LOCAL_PARTS,
        given=_ON_SOCKET,
    ),
    Frame(
        CLIENT, rf"^(?:{_SEVERITY} )?{_CLIENT}{_WHO}", "C-0x55d0c1f0: shop/app_web@10.0.0.9:40112 ", parts=_WHO_PARTS
    ),
    Frame(
        SERVER, rf"^(?:{_SEVERITY} )?{_SERVER}{_PEER}", "S-0x55d0c2a8: shop/app_web@10.0.0.2:5432 ", parts=_PEER_PARTS
    ),
    Frame("plain", rf"^(?:{_SEVERITY} )?(?P<message>(?:{_OPENINGS}).*)$", ""),
)

METRICS: Final = {
    "req/s": "pgbouncer_stats_avg_req",
    "xacts/s": "pgbouncer_stats_avg_xact_count",
    "queries/s": "pgbouncer_stats_avg_query_count",
    "client parses/s": "pgbouncer_stats_avg_client_parse_count",
    "server parses/s": "pgbouncer_stats_avg_server_parse_count",
    "binds/s": "pgbouncer_stats_avg_bind_count",
    "client logins/s": "pgbouncer_stats_avg_client_login_count",
    "in": "pgbouncer_stats_avg_recv",
    "out": "pgbouncer_stats_avg_sent",
    "xact": "pgbouncer_stats_avg_xact_time",
    "query": "pgbouncer_stats_avg_query_time",
    "wait": "pgbouncer_stats_avg_wait_time",
    "wait time": "pgbouncer_stats_avg_wait_time",
}
"""Numbers of a statistics line as the averages of `SHOW STATS`: counts and bytes a second, times in microseconds."""


def certainty(head: Head) -> float:
    """How sure the lines are PgBouncer's: by its header and by its messages; less where there is no header."""
    found = line_log.look(head, FRAMES, CATALOGUE)
    if not found.known:
        return 0.0
    has_header = any("stamp" in frame.groups for frame in found.frames)
    known = found.known / found.framed
    return (0.95 if has_header else 0.85) * found.share * (0.5 + 0.5 * known)


def read(reading: Reading) -> None:
    """Store the events, the numbers of the statistics lines, and max_client_conn as told at start."""
    line_log.read(
        reading, FRAMES, CATALOGUE, at_once=at_once, also=lambda lines: _stats(reading, lines) + _limit(reading, lines)
    )


# What a busy pooler writes all the time, typed without SQL: anything unusual in a line leaves it to frames and catalogue.

_CAPITALS: Final = Class(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HOST: Final = Class(bytes(set(range(256)) - set(b":@[ ")))
_TCP, _SOCKET, _PEER_SERVER = range(3)
"""The places in `FRAMES` of a client's line, of one of a client on this host, and of a server's."""

_MOST_BRACKETS: Final = 4
"""Brackets of a reason that are looked at for whether the age stands in them."""


@dataclass(slots=True)
class _Pieces:
    """What some lines of a block tell: pieces of them by column, and their numbers."""

    texts: Texts
    places: dict[str, tuple[Places, Places]] = field(default_factory=dict)
    duration_ms: NDArray[np.float64] = field(init=False)
    port: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.duration_ms = np.full(len(self.texts), np.nan)
        self.port = np.full(len(self.texts), -1, dtype=np.int64)

    def put(self, name: str, rows: Places, texts: Texts) -> None:
        """Set a column of some rows where they tell it."""
        nothing = np.zeros(len(self.texts), dtype=np.intp)
        starts, ends = self.places.setdefault(name, (nothing, nothing.copy()))
        is_told = texts.ends > texts.starts
        starts[rows[is_told]], ends[rows[is_told]] = texts.starts[is_told], texts.ends[is_told]

    def columns(self, rows: Places) -> dict[str, pa.Array]:
        """Return the columns of some rows."""
        shown = {}
        for name in ("session_key", "severity", "user_name", "database_name", "client_host", "reason", "detail"):
            starts, ends = self.places.get(name, (self.texts.starts, self.texts.starts))
            shown[name] = Texts(self.texts.block, starts[rows], ends[rows]).to_arrow(ends[rows] > starts[rows])
        port, spent = self.port[rows], self.duration_ms[rows]
        shown["client_port"] = as_arrow(port.astype(np.int32), pa.int32(), port >= 0)
        shown["duration_ms"] = as_arrow(spent, pa.float64(), ~np.isnan(spent))
        return shown


def at_once(texts: Texts, shape: bytes, zone: bytes) -> AtOnce:
    """Type logins, closings, new connections and errors of lines whose time has this shape and zone."""
    scan = Scan(texts)
    pieces = _Pieces(texts)
    every = np.arange(len(texts))
    at = scan.moment(shape, [zone])
    opens = scan.which((b" [", b" "))
    scan.run(DIGITS)
    closes = scan.which((b"] ", b" "))
    pieces.put("severity", every, scan.run(_CAPITALS))
    start = scan.at + 1
    side = scan.which((b" C-0x", b" S-0x"))
    scan.run(HEX)
    pieces.put("session_key", every, Texts(texts.block, start, np.maximum(scan.at, start)))
    scan.literal(b": ")
    scan.fits &= (opens >= 0) & (opens == closes) & (side >= 0) & (at.local != NO_TIME)
    frame = _who(scan, side, pieces)
    message = scan.rest()
    fits = scan.done()
    opening = message.opening()
    kind = np.full(len(texts), -1, dtype=np.int8)
    for number, (own, begins, _, read) in enumerate(_AT_ONCE):
        rows = np.flatnonzero(fits & (side == own) & (opening == int.from_bytes(begins[:8], "little")))
        rows = rows[message[rows].starts_with(begins)]
        if len(rows):
            told = message[rows]
            kind[rows[read(pieces, rows, Scan(told.after(len(begins))))]] = number
    rows = np.flatnonzero(kind >= 0)
    columns = pieces.columns(rows)
    columns["kind"] = pa.DictionaryArray.from_arrays(
        as_arrow(kind[rows], pa.int8()), strings(tuple(name for _, _, name, _ in _AT_ONCE))
    )
    return AtOnce(rows, at.local[rows], frame[rows], columns)


def _who(scan: Scan, side: NDArray[np.int8], pieces: _Pieces) -> NDArray[np.int8]:
    """Read `database/user@host:port `; return the places of the frames."""
    rest = scan.rest()
    at = rest.find(b"@")
    slash = Texts(scan.block, rest.starts, at).find(b"/")
    database, user = Texts(scan.block, rest.starts, slash), Texts(scan.block, np.minimum(slash + 1, at), at)
    scan.fits &= (slash < at) & (at < rest.ends)
    fits = scan.fits.copy()
    scan.at = np.minimum(at + 1, scan.block.last)
    whole = scan.at.copy()
    host = scan.run(_HOST)
    scan.literal(b":")
    port = scan.run(DIGITS)
    first = scan.block.data[whole]
    rows = np.flatnonzero((first == ord("[")) & fits)
    if len(rows):
        inner = Scan(Texts(scan.block, whole[rows] + 1, scan.ends[rows]))
        address = inner.until(b"]")
        inner.literal(b"]:")
        number = inner.run(DIGITS)
        host.starts[rows], host.ends[rows] = address.starts, address.ends
        port.starts[rows], port.ends[rows] = number.starts, number.ends
        scan.at[rows], scan.fits[rows] = inner.at, inner.done()
    end = scan.at
    scan.literal(b" ")
    scan.fits &= port.lengths <= 8
    frame = np.where(side == 1, np.int8(_PEER_SERVER), np.int8(_TCP))
    # To a client's pattern no host begins with a u but a socket.
    rows = np.flatnonzero((side == 0) & (first == ord("u")))
    if len(rows):
        own = host[rows]
        scan.fits[rows] &= own.equals(b"unix") | (own.starts_with(b"unix(") & (own.find(b")") == own.ends - 1))
        frame[rows] = _SOCKET
    for name, texts, none in (("database_name", database, b"(nodb)"), ("user_name", user, b"(nouser)")):
        rows = np.flatnonzero(~texts.equals(none))
        pieces.put(name, rows, texts[rows])
    rows = np.flatnonzero(frame == _TCP)
    pieces.put("client_host", rows, host[rows])
    pieces.port[rows] = decimal(port[rows])
    rows = np.flatnonzero(frame == _PEER_SERVER)
    pieces.put("detail", rows, Texts(scan.block, whole[rows], end[rows]))
    return frame


def _closed(pieces: _Pieces, rows: Places, scan: Scan) -> Flags:
    start = scan.at
    left = np.arange(len(rows))
    at = start.copy()
    for _ in range(_MOST_BRACKETS):
        at[left] = Texts(scan.block, at[left], scan.ends[left]).find(b"(")
        left = left[~Texts(scan.block, at[left], scan.ends[left]).starts_with(b"(age=") & (at[left] < scan.ends[left])]
        if not len(left):
            break
        at[left] += 1
    scan.at = at
    scan.literal(b"(age=")
    age_s = scan.number()
    scan.option(b"s")
    scan.literal(b")")
    fits: Flags = scan.done() & (scan.at == scan.ends) & (at > start) & (scan.block.data[at - 1] == ord(" "))
    pieces.put("reason", rows[fits], Texts(scan.block, start[fits], at[fits] - 1))
    pieces.duration_ms[rows[fits]] = age_s[fits] * 1000.0
    return fits


def _login(pieces: _Pieces, rows: Places, scan: Scan) -> Flags:
    database = scan.until(b" ")
    scan.literal(b" user=")
    user = scan.until(b" ", or_end=True)
    is_told = scan.option(b" tls=")
    start = scan.at
    rest = scan.until(b" ", or_end=True)
    tls = Texts(scan.block, start, np.where(is_told, rest.ends, start))
    scan.at = tls.ends
    is_replication = scan.option(b" replication=")
    start = scan.at
    rest = scan.until(b" ", or_end=True)
    scan.at = np.where(is_replication, rest.ends, start)
    fits: Flags = scan.done() & (scan.at == scan.ends) & (~is_replication | (rest.lengths > 0))
    pieces.put("database_name", rows[fits], database[fits])
    pieces.put("user_name", rows[fits], user[fits])
    is_encrypted = fits & ~tls.equals(b"no")
    pieces.put("detail", rows[is_encrypted], tls[is_encrypted])
    return fits


def _erred(pieces: _Pieces, rows: Places, scan: Scan) -> Flags:
    reason = scan.rest()
    # What a terminal padded is left to the expression, which trims it.
    fits: Flags = scan.done() & (scan.block.data[reason.ends - 1] != ord(" "))
    pieces.put("reason", rows[fits], reason[fits])
    return fits


def _opened(pieces: _Pieces, rows: Places, scan: Scan) -> Flags:
    host = scan.until(b":")
    scan.literal(b":")
    port = scan.number()
    scan.literal(b")")
    fits: Flags = scan.done() & (scan.at == scan.ends) & (host.find(b"[") == host.ends) & ~host.starts_with(b"unix")
    pieces.put("client_host", rows[fits], host[fits])
    pieces.port[rows[fits]] = port[fits]
    return fits


_AT_ONCE: Final[tuple[tuple[int, bytes, str, Callable[[_Pieces, Places, Scan], Flags]], ...]] = (
    (0, b"login attempt: db=", "pooler_login", _login),
    (0, b"closing because: ", "pooler_client_closed", _closed),
    (0, b"pooler error: ", "pooler_error", _erred),
    (1, b"new connection to server (from ", "pooler_server_opened", _opened),
    (1, b"closing because: ", "pooler_server_closed", _closed),
)
"""Whether a client's line or a server's, how its message begins, its kind, and how the rest is read."""


def _stats(reading: Reading, lines: str) -> int:
    """Store the numbers of statistics lines; return how many lines."""
    names = ", ".join(f"{quoted(name)}: {quoted(metric)}" for name, metric in METRICS.items())
    reading.con.execute(
        f"""
        INSERT INTO metric_sample BY NAME
        WITH told AS (
          SELECT line_no, event_at, unnest(regexp_extract_all(message, '[a-z][a-z ]*[0-9]+ (?:us|b/s|B/s)|[0-9]+ [a-z ]+/s')) AS number
          FROM {lines}
          WHERE (starts_with(message, 'stats: ') OR starts_with(message, 'Stats: '))
        )
        SELECT {reading.source_id} AS source_id, line_no, event_at AS sampled_at, {quoted(reading.server)} AS server,
               MAP {{{names}}}[trim(regexp_replace(number, '[0-9]+ ?(us|b/s|B/s)?', ''))] AS name,
               CAST(regexp_extract(number, '[0-9]+') AS DOUBLE) AS value
        FROM told
        WHERE name IS NOT NULL
        """
    )
    return reading.count(f"SELECT count(*) FROM {lines} WHERE regexp_matches(message, '^[Ss]tats: [0-9]')")


def _limit(reading: Reading, lines: str) -> int:
    """Store the limits that a start tells; return how many lines."""
    pattern = r"ile descriptor limit: .*max_client_conn: (\d+)"
    return reading.count(
        f"""
        INSERT INTO setting BY NAME
        SELECT {reading.source_id} AS source_id, line_no, {quoted(reading.server)} AS server, 'pgbouncer' AS engine,
               'max_client_conn' AS name, regexp_extract(message, '{pattern}', 1) AS value, event_at AS valid_at
        FROM {lines}
        WHERE contains(message, 'ile descriptor limit: ')
          AND regexp_matches(message, '{pattern}')
        """
    )


def _line(sample: str, number: int) -> str:
    """Return a line of the log file that holds a sample of the catalogue."""
    entry = next(entry for entry in CATALOGUE if entry.sample == sample)
    about = {
        CLIENT: f"C-0x55d0c1f0{number:04x}: shop/app_web@10.0.0.9:{number} ",
        SERVER: f"S-0x55d0c2a8{number:04x}: shop/app_web@10.0.0.2:5432 ",
    }.get(entry.frame or ("" if re.match(_OPENINGS, sample) else CLIENT), "")
    return f"{about}{sample}"


FORMAT = Format(
    name="pgbouncer_log",
    engine="pgbouncer",
    tables=("event", "metric_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21 03:12:00.001 UTC [7925] LOG kernel file descriptor limit: 1024 (hard: 524288); max_client_conn: 8, max expected fd use: 30\n"
            "2026-11-21 03:12:00.002 UTC [7925] LOG process up: PgBouncer 1.24.1, libevent 2.1.12-stable (epoll), adns: c-ares 1.27.0, tls: OpenSSL 3.0.16\n"
            "2026-11-21 03:12:01.508 UTC [7925] LOG C-0x560c4d1eaf20: shop/app_web@127.0.0.1:54046 login attempt: db=shop user=app_web tls=TLSv1.3/TLS_AES_256_GCM_SHA384 replication=no\n"
            "2026-11-21 03:12:01.510 UTC [7925] LOG S-0x560c4d22e130: shop/app_web@127.0.0.1:5432 new connection to server (from 127.0.0.1:41834)\n"
            "2026-11-21 03:12:02.000 UTC [7925] LOG C-0x560c4d1eb000: (nodb)/(nouser)@[::1]:51000 closing because: no more connections allowed (max_client_conn) (age=0s)\n"
            "2026-11-21 03:12:02.000 UTC [7925] WARNING C-0x560c4d1eb000: (nodb)/(nouser)@[::1]:51000 pooler error: no more connections allowed (max_client_conn)\n"
            "2026-11-21 03:12:03.000 UTC [7925] LOG C-0x560c4d1eb0f0: shop/app web@unix(811):6432 closing because: query_wait_timeout (age=3s)\n"
            "2026-11-21 03:12:04.000 UTC [7925] WARNING server login failed: FATAL sorry, too many clients already\n"
            "2026-11-21 03:12:05.000 UTC [7925] LOG stats: 12 xacts/s, 30 queries/s, 0 client parses/s, in 100 B/s, out 200 B/s, xact 1500 us, query 400 us, wait 90000 us\n"
            "2026-11-21 03:12:06.000 UTC [7925] LOG S-0x560c4d22e130: shop/app_web@127.0.0.1:5432 closing because: server lifetime over (age=5s)\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00.002", "kind": "server_ready", "engine": "pgbouncer",
                     "detail": "PgBouncer 1.24.1"},
                    {"line_no": 3, "event_at": "2026-11-21T03:12:01.508", "kind": "pooler_login", "user_name": "app_web",
                     "database_name": "shop", "client_host": "127.0.0.1", "client_port": 54046,
                     "session_key": "C-0x560c4d1eaf20", "detail": "TLSv1.3/TLS_AES_256_GCM_SHA384"},
                    {"line_no": 4, "kind": "pooler_server_opened", "session_key": "S-0x560c4d22e130",
                     "client_host": "127.0.0.1", "client_port": 41834, "detail": "127.0.0.1:5432", "severity": "LOG"},
                    {"line_no": 5, "kind": "pooler_client_closed", "reason": "no more connections allowed (max_client_conn)",
                     "user_name": None, "database_name": None, "client_host": "::1", "client_port": 51000, "duration_ms": 0.0},
                    {"line_no": 6, "kind": "pooler_error", "reason": "no more connections allowed (max_client_conn)",
                     "severity": "WARNING", "session_key": "C-0x560c4d1eb000"},
                    {"line_no": 7, "kind": "pooler_client_closed", "reason": "query_wait_timeout", "user_name": "app web",
                     "database_name": "shop", "client_host": "[local]", "client_port": None, "duration_ms": 3000.0},
                    {"line_no": 8, "kind": "client_refused", "reason": "sorry, too many clients already", "sqlstate": "53300"},
                    {"line_no": 10, "kind": "pooler_server_closed", "reason": "server lifetime over", "duration_ms": 5000.0,
                     "client_host": None, "detail": "127.0.0.1:5432"},
                ),
                "metric_sample": (
                    {"line_no": 9, "name": "pgbouncer_stats_avg_client_parse_count", "value": 0.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_query_count", "value": 30.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_query_time", "value": 400.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_recv", "value": 100.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_sent", "value": 200.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_wait_time", "value": 90000.0},
                    {"line_no": 9, "sampled_at": "2026-11-21T03:12:05", "name": "pgbouncer_stats_avg_xact_count", "value": 12.0},
                    {"line_no": 9, "name": "pgbouncer_stats_avg_xact_time", "value": 1500.0},
                ),
                "setting": (
                    {"line_no": 1, "engine": "pgbouncer", "name": "max_client_conn", "value": "8",
                     "valid_at": "2026-11-21T03:12:00.001"},
                ),
            },
            name="pgbouncer.log",
        ),
        Sample(
            "2019-01-07 19:26:56.300 4581 LOG Stats: 3 req/s, in 10 b/s, out 20 b/s,query 81 us\n"
            "2019-01-07 19:26:56.744 4581 LOG C-0xa6b550: dvdrental/avis@unix:6432 login attempt: db=dvdrental user=avis\n"
            "2019-01-07 19:26:57.355 4581 LOG C-0xa6b550: dvdrental/avis@10.1.0.9:41824 closing because: client unexpected eof (age=0)\n"
            "2019-01-07 19:26:58.000 4581 LOG Got SIGINT, shutting down\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2019-01-07T19:26:56.744", "kind": "pooler_login", "client_host": "[local]",
                     "client_port": None, "user_name": "avis", "detail": None},
                    {"line_no": 3, "kind": "pooler_client_closed", "reason": "client unexpected eof", "duration_ms": 0.0,
                     "client_host": "10.1.0.9", "client_port": 41824},
                    {"line_no": 4, "kind": "server_stopping", "reason": "SIGINT", "detail": "shutting down"},
                ),
                "metric_sample": (
                    {"line_no": 1, "name": "pgbouncer_stats_avg_query_time", "value": 81.0},
                    {"line_no": 1, "name": "pgbouncer_stats_avg_recv", "value": 10.0},
                    {"line_no": 1, "name": "pgbouncer_stats_avg_req", "value": 3.0},
                    {"line_no": 1, "name": "pgbouncer_stats_avg_sent", "value": 20.0},
                ),
            },
            name="pgbouncer.log",
        ),
    ),
    catalogue=CATALOGUE,
    frames=(
        lambda sample, number: f"2026-11-21 03:12:00.000 UTC [7925] LOG {_line(sample, number)}",
        lambda sample, number: f"2026-11-21 03:12:00.000 +0300 [7925] WARNING {_line(sample, number)}",
        lambda sample, number: f"2026-11-21 03:12:00.000 7925 LOG {_line(sample, number)}",
        _line,
    ),
)  # fmt: skip
