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
from collections.abc import Sequence
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, line_log
from connforensics.evidence.line_log import Frame, Quick
from connforensics.evidence.messages.pgbouncer import CATALOGUE, CLIENT, SERVER
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


def quick(lines: Sequence[str]) -> Quick | None:
    """Return the way to take clients' lines apart at their blanks, for the shape most of these lines have."""
    shapes: dict[tuple[str, int], int] = {}
    for line in lines:
        found = _CLIENT_FRAME.compiled.match(line)
        if found is not None and found["stamp"]:
            words = line.split(" ")
            at = next((at for at, word in enumerate(words) if word == f"{found['session_key']}:"), 0)
            if len(found["stamp"]) >= 23 and at >= 4:
                shape = re.sub(r"\d", "_", found["stamp"][:23]) + found["stamp"][23:]
                shapes[shape, at] = shapes.get((shape, at), 0) + 1
    if not shapes:
        return None
    (shape, at), _ = max(shapes.items(), key=lambda seen: seen[1])
    # Words are counted from 1: the key is word at + 1, whose connection it is the one after.
    key, who = f"cut[{at + 1}]", f"cut[{at + 2}]"
    port = f"split_part({who}, ':', -1)"
    before = " + ".join(f"length(cut[{number}])" for number in range(shape.count(" ") + 2, at + 3))
    like = shape.replace("%", "\\%")
    return Quick(
        cut="string_split(text, ' ')",
        fits=f"text LIKE {quoted(like + ' %')} AND {key} LIKE 'C-0x%:' AND contains({who}, '@')"
        f" AND {port} <> {who} AND NOT contains({who}, '@u')",
        groups={
            "stamp": f"left(text, {len(shape)})",
            "severity": f"cut[{at}]",
            "session_key": f"left({key}, length({key}) - 1)",
            "who": f"left({who}, length({who}) - length({port}))",
            "client_port": port,
            "message": f"substr(text, {len(shape) + 1 + at + 2 - shape.count(' ') - 1 + 1} + {before})",
        },
    )


_CLIENT_FRAME: Final = Frame(
    CLIENT,
    rf"^{_HEAD}{_CLIENT}{_WHO}",
    "2026-11-21 03:12:00.000 UTC [7925] LOG C-0x55d0c1f0: shop/app_web@10.0.0.9:40112 ",
    parts=_WHO_PARTS,
    quick=quick,
)

FRAMES: Final = (
    _CLIENT_FRAME,
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
    line_log.read(reading, FRAMES, CATALOGUE, also=lambda lines: _stats(reading, lines) + _limit(reading, lines))


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
