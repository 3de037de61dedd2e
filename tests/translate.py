"""The evidence of an incident as other people would have it: the same facts in other shapes.

The incidents of data/ were filmed by one recorder, beside numbers that one lab writes. Nobody else has their evidence so.
`facts_of` takes a folder of evidence apart; each function of `SHAPES` writes one kind of fact in one shape that people
have; a bundle puts such shapes together as they come together in life. `translate` writes a bundle into a folder.

What a shape cannot hold is lost, and nothing is put in its place:

- everywhere: what the recorder says of itself, and the refusals it met;
- psql's `\\watch`: fractions of seconds of the sample's time, the zone of it (the times in the rows have one);
- MySQL's process list: fractions of a second; who waits for whom (kept where lock waits are a file of their own);
- RDS's log lines: fractions of seconds, application names but in `connection authorized`;
- csvlog and jsonlog: nothing; SQLSTATE is told where the text fixes it;
- HikariCP's log: overflow, callers who gave up, limits but at the start; Go's metrics: who waits, whose they are;
- Prometheus: what a pool's client gave up, where the client library has no counter of it;
- CloudWatch: everything between two minutes, who held the sessions;
- deployments as annotations of a dashboard: nothing.

Settings are told as far as each shape tells settings: everything, or what an exporter shows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from connforensics.evidence.containers import unpack

Row = dict[str, Any]
Snapshot = tuple[datetime, list[Row]]

ABROAD: Final = timezone(timedelta(hours=1), "CET")
"""Where the people of some bundles sit, and their server."""

_PG_LINE: Final = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[(?P<pid>\d+)\] "
    r"(?:(?P<user>[^@ ]*)@(?P<db>[^/]*)/(?P<app>.*?) (?P<host>\S+) )?"
    r"(?P<severity>LOG|FATAL|ERROR|WARNING|PANIC|NOTICE|INFO|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  (?P<text>.*)$"
)
_PG_TIME: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::?\d\d)?$")
_PORT: Final = re.compile(r"\bport=(\d+)")


@dataclass(slots=True)
class Facts:
    """What the evidence of an incident tells, free of its shape."""

    engine: str = "postgres"
    streams: dict[str, list[Snapshot]] = field(default_factory=lambda: defaultdict(list))
    """Rows that were sampled together, by `server program/stream`."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """Lines of logs by file name."""
    pools: list[dict[str, str]] = field(default_factory=list)
    workers: list[dict[str, str]] = field(default_factory=list)
    marks: list[dict[str, str]] = field(default_factory=list)
    others: dict[str, bytes] = field(default_factory=dict)
    """Files that are already as other people have them, by name."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record of PostgreSQL's log: its fields, and the lines that belong to it (`DETAIL` and the like)."""

    at: datetime
    pid: int
    user: str
    database: str
    application: str
    host: str
    severity: str
    text: str
    more: list[tuple[str, str]] = field(default_factory=list)


def facts_of(evidence: Path) -> Facts:
    """Take a folder of evidence apart."""
    facts = Facts()
    for path in sorted(path for path in evidence.rglob("*") if path.is_file()):
        relative = path.relative_to(evidence)
        stem = re.sub(r"(-\d{8}T\d{6}Z)?\.(jsonl\.zst|json\.gz|csv|log|log\.gz)$", "", str(relative))
        if path.suffix == ".zst":
            facts.streams[stem] += recorded(path)
        elif stem in ("pools", "workers", "deployments"):
            rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
            setattr(facts, "marks" if stem == "deployments" else stem, rows)
        elif stem == "activity":
            facts.streams["postgres/activity"] = sampled(path)
        elif stem == "settings":
            rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
            facts.streams["postgres/settings"] = [(datetime.min, rows)]
        elif ".log" in path.suffixes:
            facts.logs[path.name.removesuffix(".gz")] = b"".join(unpack(path).blocks()).decode().splitlines()
        else:
            facts.others[str(relative)] = path.read_bytes()
    if any(name.startswith("mysql/") for name in facts.streams):
        facts.engine = "mysql"
    return facts


def recorded(path: Path) -> list[Snapshot]:
    """Read a stream of the recorder."""
    found: list[Snapshot] = []
    for line in b"".join(unpack(path).blocks()).splitlines():
        row = json.loads(line)
        if "connforensics" in row:
            found.append((datetime.fromisoformat(row["sampled_at"]).replace(tzinfo=None), []))
        else:
            found[-1][1].append(row)
    return found


def sampled(path: Path) -> list[Snapshot]:
    """Read `pg_stat_activity` as CSV with its time of sampling."""
    found: dict[str, list[Row]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row.pop("sampled_at"), []).append({name: value or None for name, value in row.items()})
    return [(utc(at), rows) for at, rows in found.items()]


def utc(text: str) -> datetime:
    """Return a time as naive UTC; without a zone it is UTC."""
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def abroad(at: datetime) -> datetime:
    """Return naive UTC as wall clock time of ABROAD."""
    return at.replace(tzinfo=UTC).astimezone(ABROAD)


def local(value: object) -> object:
    """Return a value of a row as a session with `TimeZone = CET` prints it."""
    if isinstance(value, str) and _PG_TIME.match(value):
        return (
            f"{datetime.fromisoformat(value).astimezone(ABROAD):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "+01"
        )
    return value


def shown(value: object) -> str:
    """Return a value as a client shows it, NULL as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return the columns of rows that all have the same ones."""
    return list(rows[0]) if rows else []


def aligned(rows: Sequence[Row]) -> str:
    """Return rows as psql's aligned table, with lines in a value as psql breaks them."""
    names = names_of(rows)
    cells = [[shown(row[name]).split("\n") for name in names] for row in rows]
    widths = [
        max(len(name), *(len(part) for row in cells for part in row[index])) if cells else len(name)
        for index, name in enumerate(names)
    ]
    is_number = [all(isinstance(row[name], int | float | None) for row in rows) for name in names]
    text = ["|".join(f" {name:^{width}} " for name, width in zip(names, widths, strict=True)).rstrip()]
    text.append("+".join("-" * (width + 2) for width in widths))
    for row in cells:
        for depth in range(max(map(len, row))):
            parts = []
            for cell, width, number in zip(row, widths, is_number, strict=True):
                part = cell[depth] if depth < len(cell) else ""
                end = "+" if depth + 1 < len(cell) else " "
                parts.append(f" {part:>{width}}{end}" if number else f" {part:<{width}}{end}")
            text.append("|".join(parts).rstrip())
    return "\n".join([*text, f"({len(rows)} row{'s' if len(rows) != 1 else ''})", ""]) + "\n"


def expanded(rows: Sequence[Row]) -> str:
    """Return rows as psql's `\\x` shows them."""
    width = max(map(len, names_of(rows)), default=0)
    text = []
    for number, row in enumerate(rows, 1):
        text.append(f"-[ RECORD {number} ]".ljust(width + 1, "-") + "+" + "-" * 20)
        for name, value in row.items():
            first, *rest = shown(value).split("\n")
            text.append(f"{name:<{width}} | {first}" + ("+" if rest else ""))
            text += [f"{'':<{width}} | {line}" + ("+" if line is not rest[-1] else "") for line in rest]
    return "\n".join([*text, ""]) + "\n"


def boxed(rows: Sequence[Row]) -> str:
    """Return rows as the table of the mysql client."""
    names = names_of(rows)
    cells = [["NULL" if row[name] is None else str(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[index]) for row in cells)) for index, name in enumerate(names)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    text = [rule, "|" + "|".join(f" {name:<{width}} " for name, width in zip(names, widths, strict=True)) + "|", rule]
    text += [
        "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True)) + "|" for row in cells
    ]
    return "\n".join([*text, rule, ""])


def vertical(rows: Sequence[Row]) -> str:
    """Return rows as `\\G` of the mysql client."""
    width = max(map(len, names_of(rows)), default=0)
    text = []
    for number, row in enumerate(rows, 1):
        text.append(f"{'*' * 27} {number}. row {'*' * 27}")
        text += [f"{name:>{width}}: {'NULL' if value is None else value}" for name, value in row.items()]
    return "\n".join([*text, ""])


def tabbed(rows: Sequence[Row]) -> str:
    """Return rows as `mysql -B`, which escapes tabs and line ends."""
    names = names_of(rows)
    escaped = {ord("\t"): "\\t", ord("\n"): "\\n", ord("\\"): "\\\\"}
    text = ["\t".join(names)]
    text += [
        "\t".join("NULL" if row[name] is None else str(row[name]).translate(escaped) for name in names) for row in rows
    ]
    return "\n".join([*text, ""])


def commas(rows: Iterable[Mapping[str, object]], header: bool = True) -> str:
    """Return rows as CSV, NULL as nothing."""
    out = io.StringIO()
    rows = list(rows)
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows({name: shown(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def write(path: Path, text: str | bytes, pack: bool = False) -> None:
    """Write a file with its folders, packed by gzip if wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if pack else data)


# PostgreSQL's sessions

PASTED: Final = (
    "datname", "pid", "usename", "application_name", "client_addr", "client_port", "backend_start", "xact_start", "query_start",
    "state_change", "wait_event_type", "wait_event", "state", "backend_type", "query",
)  # fmt: skip
"""What people select, since `*` does not fit a screen."""


def activity_watched(facts: Facts, folder: Path) -> None:
    """psql's `\\watch 1`, aligned, in a session abroad: the header has wall clock time without zone or fractions."""
    text = []
    for at, rows in facts.streams["postgres/activity"]:
        some = [{name: local(row.get(name)) for name in PASTED} for row in rows]
        text.append(f"{abroad(at):%a %b %e %H:%M:%S %Y} (every 1s)\n\n{aligned(some)}\n")
    write(folder / "session.txt", "".join(text))


def activity_expanded(facts: Facts, folder: Path) -> None:
    """`SELECT now(), * FROM pg_stat_activity` with `\\x`."""
    text = []
    for at, rows in facts.streams["postgres/activity"]:
        text.append(expanded([{"now": f"{at:%Y-%m-%d %H:%M:%S.%f}+00", **without(row, "blocked_by")} for row in rows]))
    write(folder / "pg_stat_activity.out", "".join(text))


def activity_csv(facts: Facts, folder: Path) -> None:
    """`\\copy (SELECT now(), * FROM pg_stat_activity) TO PROGRAM 'cat >> ...' CSV HEADER`, in a session abroad."""
    text = []
    for at, rows in facts.streams["postgres/activity"]:
        text.append(
            commas({"now": local(f"{at:%Y-%m-%d %H:%M:%S.%f}+00")} | pg(without(row, "blocked_by")) for row in rows)
        )
    write(folder / "rds-sessions.csv", "".join(text))


def activity_files(facts: Facts, folder: Path) -> None:
    """One CSV a snapshot, its time (whole seconds) only in its name, all of them in an archive."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "snapshots.tar.gz", "w:gz") as archive:
        for at, rows in facts.streams["postgres/activity"]:
            data = commas(without(row, "blocked_by") for row in rows).encode()
            member = tarfile.TarInfo(f"snapshots/pg_stat_activity_{at:%Y%m%dT%H%M%SZ}.csv")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def activity_unaligned(facts: Facts, folder: Path) -> None:
    """`psql -A` in a loop with `date -u` before each; no time in the rows but the sessions' own."""
    text = []
    for at, rows in facts.streams["postgres/activity"]:
        names = [*PASTED, "blocked_by"]
        text.append(f"{at:%a %b %e %H:%M:%S UTC %Y}\n" + "|".join(names) + "\n")
        for row in rows:
            text.append("|".join(shown(row.get(name)).replace("\n", " ") for name in names) + "\n")
        text.append(f"({len(rows)} rows)\n")
    write(folder / "activity.out", "".join(text))


def without(row: Row, *names: str) -> Row:
    """Return a row without some columns."""
    return {name: value for name, value in row.items() if name not in names}


def pg(row: Row) -> Row:
    """Return a row as a session abroad prints it."""
    return {name: local(value) for name, value in row.items()}


def settings_aligned(facts: Facts, folder: Path) -> None:
    """`SELECT name, setting, unit FROM pg_settings` as psql shows it."""
    _settings(facts, lambda rows: write(folder / "pg_settings.txt", aligned(rows)))


def settings_csv(facts: Facts, folder: Path) -> None:
    """The same as CSV."""
    _settings(facts, lambda rows: write(folder / "pg_settings.csv", commas(rows)))


def _settings(facts: Facts, put: Callable[[list[Row]], None]) -> None:
    for _, rows in facts.streams["postgres/settings"][:1]:
        put([{name: row[name] or None for name in ("name", "setting", "unit")} for row in rows])


def settings_shown(facts: Facts, folder: Path) -> None:
    """`SHOW` of what one asks for first."""
    for _, rows in facts.streams["postgres/settings"][:1]:
        wanted = ("max_connections", "superuser_reserved_connections", "reserved_connections")
        told = [aligned([{row["name"]: row["setting"]}]) for row in rows if row["name"] in wanted]
        write(folder / "show.txt", "\n".join(told))


def settings_exported(facts: Facts, folder: Path) -> None:
    """Settings as postgres_exporter shows them, at the time of each scrape."""
    for told, rows in facts.streams["postgres/settings"][:1]:
        at = told if told != datetime.min else facts.streams["postgres/activity"][0][0]
        series = []
        for row in rows:
            if row["name"] in ("max_connections", "superuser_reserved_connections", "reserved_connections"):
                metric = {"__name__": f"pg_settings_{row['name']}", "instance": "db1:9187", "server": "db1:5432"}
                series.append((metric, [(at, float(row["setting"]))]))
        write(folder / "prometheus-settings.json", matrix(series))


def limits_pasted(facts: Facts, folder: Path) -> None:
    """Quotas of roles and databases, and who waits for whose lock, as aligned tables."""
    for stream, columns in (
        ("roles", ("rolname", "rolsuper", "rolcanlogin", "rolconnlimit")),
        ("databases", ("datname", "datallowconn", "datconnlimit")),
    ):
        for _, rows in facts.streams[f"postgres/{stream}"][:1]:
            write(folder / f"{stream}.txt", aligned([{name: row.get(name) for name in columns} for row in rows]))
    locks = facts.streams["postgres/locks"]
    if locks:
        text = [f"{at:%Y-%m-%d %H:%M:%S.%f}+00\n{aligned(rows)}\n" for at, rows in locks if rows]
        write(folder / "locks.txt", "".join(text))


def counters_csv(facts: Facts, folder: Path) -> None:
    """`pg_stat_database` with `now()`, as CSV."""
    text = []
    for at, rows in facts.streams["postgres/counters"]:
        text.append(commas([{"now": f"{at:%Y-%m-%d %H:%M:%S.%f}+00", **row} for row in rows]))
    if text:
        write(folder / "pg_stat_database.csv", "".join(text))


# PostgreSQL's log


def records(lines: Iterable[str]) -> Iterator[Line]:
    """Take the lab's log lines apart; what belongs to a record of the same backend is put to it."""
    last: Line | None = None
    for line in lines:
        found = _PG_LINE.match(line)
        if found is None:
            if last is not None:
                target = last.more if last.more else None
                if target is None:
                    last.more.append(("", line.removeprefix("\t")))
                else:
                    name, text = target[-1]
                    target[-1] = (name, f"{text}\n{line.removeprefix(chr(9))}")
            continue
        if found["severity"] in ("DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY") and last is not None:
            last.more.append((found["severity"], found["text"]))
            continue
        if last is not None:
            yield last
        last = Line(
            datetime.fromisoformat(found["at"]),
            int(found["pid"]),
            found["user"] or "",
            found["db"] or "",
            found["app"] or "",
            found["host"] or "",
            found["severity"],
            found["text"],
        )
    if last is not None:
        yield last


def prefixed(facts: Facts, prefix: Callable[[Line], str]) -> list[tuple[datetime, str]]:
    """Return PostgreSQL's log with another prefix, record by record."""
    found = []
    for line in records(facts.logs["postgresql.log"]):
        begin = prefix(line)
        text = [f"{begin}{line.severity}:  {line.text}"]
        for name, more in line.more:
            first, *rest = more.split("\n")
            text.append(f"{begin}{name}:  {first}" if name else f"\t{first}")
            text += [f"\t{each}" for each in rest]
        found.append((line.at, "\n".join(text) + "\n"))
    return found


def log_abroad(facts: Facts, folder: Path) -> None:
    """`%t [%p]: user=%u,db=%d,app=%a,client=%h `, which pgBadger asks for, on a server abroad: no fractions."""
    if "postgresql.log" not in facts.logs:
        return
    lines = prefixed(
        facts,
        lambda line: (
            f"{abroad(line.at):%Y-%m-%d %H:%M:%S %Z} [{line.pid}]: "
            f"user={line.user},db={line.database},app={line.application},client={line.host} "
        ),
    )
    write(folder / "postgresql-Sat.log", "".join(text for _, text in lines))


def log_rds(facts: Facts, folder: Path) -> None:
    """`%t:%r:%u@%d:[%p]:` in pieces of two minutes, the older ones packed; application names only where authorized."""
    if "postgresql.log" not in facts.logs:
        return
    ports: dict[int, str] = {}

    def prefix(line: Line) -> str:
        told = _PORT.search(line.text)
        if told is not None and line.text.startswith("connection received"):
            ports[line.pid] = told[1]
        port = ports.get(line.pid)
        remote = "" if not line.host else f"{line.host}({port})" if port else line.host
        return f"{line.at:%Y-%m-%d %H:%M:%S} UTC:{remote}:{line.user}@{line.database}:[{line.pid}]:"

    pieces: dict[str, list[str]] = defaultdict(list)
    for at, text in prefixed(facts, prefix):
        pieces[f"{at - timedelta(minutes=at.minute % 2):%Y-%m-%d-%H%M}"].append(text)
    for name, piece in pieces.items():
        is_last = name == max(pieces)
        write(folder / f"error/postgresql.log.{name}{'' if is_last else '.gz'}", "".join(piece), pack=not is_last)


SQLSTATES: Final = {
    "remaining connection slots": "53300", "sorry, too many clients": "53300", "too many connections for": "53300",
    "password authentication failed": "28P01", "no pg_hba.conf entry": "28000", "terminating connection due to": "57P01",
    "the database system is": "57P03",
}  # fmt: skip
"""Where the text fixes the code; https://www.postgresql.org/docs/current/errcodes-appendix.html."""


def sqlstate(line: Line) -> str:
    """Return the SQLSTATE that a text is always sent with, else that of success for what is no error."""
    known = (code for text, code in SQLSTATES.items() if line.text.startswith(text))
    return next(known, "00000" if line.severity == "LOG" else "")


def more_of(line: Line, name: str) -> str | None:
    """Return what a record tells beside its message under a name."""
    return next((text for kind, text in line.more if kind == name), None)


def begins(facts: Facts, found: Sequence[Line]) -> list[datetime]:
    """Return when the session of each record began: when it was received, else what snapshots show, else its first line."""
    known: dict[int, datetime] = {}
    for _, rows in facts.streams["postgres/activity"]:
        for row in rows:
            if row["backend_start"]:
                known.setdefault(int(row["pid"]), utc(row["backend_start"]))
    started = []
    for line in found:
        if line.text.startswith("connection received") or line.pid not in known or known[line.pid] > line.at:
            known[line.pid] = line.at
        started.append(known[line.pid])
    return started


def log_csv(facts: Facts, folder: Path) -> None:
    """csvlog, rotated once in the middle; the session id is made of its start and pid as PostgreSQL does."""
    if "postgresql.log" not in facts.logs:
        return
    lines = list(records(facts.logs["postgresql.log"]))
    found = list(zip(lines, begins(facts, lines), strict=True))
    for name, part in (("first", found[: len(found) // 2]), ("second", found[len(found) // 2 :])):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        ports: dict[int, str] = {}
        counted: dict[str, int] = defaultdict(int)
        for line, started in part:
            told = _PORT.search(line.text)
            if told:
                ports[line.pid] = told[1]
            remote = f"{line.host}:{ports[line.pid]}" if line.host and line.pid in ports else line.host
            session = f"{int(started.replace(tzinfo=UTC).timestamp()):x}.{line.pid:x}"
            counted[session] += 1
            writer.writerow(
                [f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03} UTC", unset(line.user), unset(line.database),
                 line.pid, remote, session, counted[session], "", f"{started:%Y-%m-%d %H:%M:%S} UTC", "", "0", line.severity, sqlstate(line), line.text,
                 more_of(line, "DETAIL"), more_of(line, "HINT"), "", "", more_of(line, "CONTEXT"),
                 more_of(line, "STATEMENT"), "", "", unset(line.application), "", "", "0"]
            )  # fmt: skip
        write(folder / f"postgresql-{name}.csv", out.getvalue())


def unset(text: str) -> str:
    """Return what a field without the words of `log_line_prefix` for nothing holds."""
    return "" if text == "[unknown]" else text


def log_json(facts: Facts, folder: Path) -> None:
    """jsonlog of a container, as Kubernetes keeps its output."""
    if "postgresql.log" not in facts.logs:
        return
    text = []
    for line in records(facts.logs["postgresql.log"]):
        stamp = f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03} UTC"
        told = {
            "timestamp": stamp, "user": unset(line.user), "dbname": unset(line.database), "pid": line.pid,
            "remote_host": line.host, "error_severity": line.severity, "state_code": sqlstate(line), "message": line.text,
            "detail": more_of(line, "DETAIL"), "hint": more_of(line, "HINT"), "context": more_of(line, "CONTEXT"),
            "statement": more_of(line, "STATEMENT"), "application_name": unset(line.application),
        }  # fmt: skip
        record = json.dumps({name: value for name, value in told.items() if value not in ("", None)})
        text.append(f"{line.at:%Y-%m-%dT%H:%M:%S.%f}000Z stderr F {record}\n")
    write(folder / "pods/db-0/postgres/0.log", "".join(text))


def log_syslog(facts: Facts, folder: Path) -> None:
    """`log_destination = syslog` with `%q%u@%d/%a `, each line in RFC 5424; lines of one record share a number."""
    if "postgresql.log" not in facts.logs:
        return
    text = []
    for number, line in enumerate(records(facts.logs["postgresql.log"]), 1):
        who = f"{line.user}@{line.database}/{line.application} " if line.user else ""
        head = f"<134>1 {line.at.isoformat(timespec='milliseconds')}Z db1 postgres {line.pid} - - "
        parts = [f"{line.severity}:  {line.text}", *(f"{name}:  {more}" for name, more in line.more)]
        rows = [each for part in parts for each in part.split("\n")]
        text += [f"{head}[{number}-{part}] {who if part == 1 else '#011'}{row}\n" for part, row in enumerate(rows, 1)]
    write(folder / "db1-messages", "".join(text))


def logs_as_they_are(facts: Facts, folder: Path) -> None:
    """Logs of applications, poolers and MySQL, and files of other people's tools."""
    for name, lines in facts.logs.items():
        if name != "postgresql.log":
            write(folder / name, "\n".join(lines) + "\n")
    _others(facts, folder)


def logs_in_docker(facts: Facts, folder: Path) -> None:
    """The same as docker's json-file driver keeps them; docker's own time is that of the line, or of the line before."""
    for name, lines in facts.logs.items():
        if name == "postgresql.log":
            continue
        text = []
        at = next(filter(None, map(told_at, lines)), None)
        if at is None:
            write(folder / name, "\n".join(lines) + "\n")
            continue
        for line in lines:
            at = told_at(line) or at
            stamp = f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z"
            text.append(
                json.dumps({"log": line + "\n", "stream": "stderr", "time": stamp}, separators=(",", ":")) + "\n"
            )
        write(folder / f"docker/{name.removesuffix('.log')}-json.log", "".join(text))
    _others(facts, folder)


def logs_in_syslog(facts: Facts, folder: Path) -> None:
    """The same as rsyslog forwards them, RFC 5424, those without a time of their own at the time of the line before."""
    for name, lines in facts.logs.items():
        if name == "postgresql.log":
            continue
        text, at = [], None
        for line in lines:
            at = told_at(line) or at
            if at is not None:
                program = re.sub(r"\W", "", name.removesuffix(".log"))
                text.append(f"<30>1 {at.isoformat(timespec='milliseconds')}Z host1 {program} 1 - - {line}\n")
        write(folder / f"syslog/{name}", "".join(text), pack=True)
    _others(facts, folder)


def _others(facts: Facts, folder: Path) -> None:
    for name, data in facts.others.items():
        write(folder / name, data)


_STAMP: Final = re.compile(r"^(?:# Time: )?(\d{6}|\d{4}-\d\d-\d\d)[ T]+(\d{1,2}:\d\d:\d\d)(?:[.,](\d+))?")


def told_at(line: str) -> datetime | None:
    """Return the time at the head of a line of the lab's logs, which are all UTC."""
    found = _STAMP.match(line)
    if found is None:
        return None
    day = found[1] if "-" in found[1] else f"20{found[1][:2]}-{found[1][2:4]}-{found[1][4:]}"
    at = datetime.fromisoformat(f"{day} {found[2].zfill(8)}")
    return at + timedelta(microseconds=int((found[3] or "0")[:6].ljust(6, "0")))


# MySQL's sessions, counters and settings


def listed(facts: Facts) -> Iterator[tuple[datetime, list[Row]]]:
    """Yield the process list as `SHOW FULL PROCESSLIST` prints it: whole seconds."""
    for at, rows in facts.streams["mysql/processlist"]:
        found = []
        for row in rows:
            seconds = row.get("time")
            if seconds is None and row.get("since"):
                seconds = max(0, int((at - datetime.fromisoformat(row["since"])).total_seconds()))
            found.append(
                {"Id": row["id"], "User": row["user"], "Host": row["host"], "db": row["db"], "Command": row["command"],
                 "Time": seconds, "State": row["state"], "Info": row["info"]}
            )  # fmt: skip
        yield at, found


TRANSACTIONS: Final = ("trx_id", "trx_state", "trx_started", "trx_requested_lock_id", "trx_wait_started", "trx_weight",
                       "trx_mysql_thread_id", "trx_query")  # fmt: skip


def transactions(rows: Sequence[Row]) -> list[Row]:
    """Return open transactions as `SELECT * FROM information_schema.innodb_trx` begins them."""
    return [{name: row.get(name) for name in TRANSACTIONS} for row in rows]


def sessions_vertical(facts: Facts, folder: Path) -> None:
    """`SELECT NOW(); SHOW FULL PROCESSLIST\\G` in a loop, and open transactions and lock waits in files beside it."""
    text = [f"NOW()\n{at:%Y-%m-%d %H:%M:%S}\n{vertical(rows)}" for at, rows in listed(facts)]
    write(folder / "processlist.txt", "".join(text))
    trx = [
        f"NOW()\n{at:%Y-%m-%d %H:%M:%S}\n{vertical(transactions(rows))}"
        for at, rows in facts.streams["mysql/transactions"]
        if rows
    ]
    if trx:
        write(folder / "innodb_trx.txt", "".join(trx))
    _lock_waits(facts, folder, lambda at, rows: f"NOW()\n{at:%Y-%m-%d %H:%M:%S}\n{vertical(rows)}")


def sessions_tabbed(facts: Facts, folder: Path) -> None:
    """`mysql -B -e 'SELECT NOW(); SHOW FULL PROCESSLIST; SELECT ... innodb_trx'` in a loop, one file."""
    trx = dict(facts.streams["mysql/transactions"])
    text = []
    for at, rows in listed(facts):
        text.append(f"NOW()\n{at:%Y-%m-%d %H:%M:%S}\n{tabbed(rows)}")
        if trx.get(at):
            text.append(tabbed(transactions(trx[at])))
    write(folder / "watch-mysql.out", "".join(text))
    _lock_waits(facts, folder, lambda at, rows: f"NOW()\n{at:%Y-%m-%d %H:%M:%S}\n{tabbed(rows)}")


def sessions_csv(facts: Facts, folder: Path) -> None:
    """`SELECT NOW(6), p.*, t.trx_started ... processlist p LEFT JOIN innodb_trx t` as CSV, one header."""
    trx = {
        at: {row["trx_mysql_thread_id"]: row["trx_started"] for row in rows}
        for at, rows in facts.streams["mysql/transactions"]
    }
    found = []
    for at, rows in listed(facts):
        for row in rows:
            told = {name.upper(): value for name, value in row.items()}
            started = trx.get(at, {}).get(row["Id"])
            found.append({"now": f"{at:%Y-%m-%d %H:%M:%S.%f}", **told, "trx_started": started})
    write(folder / "processlist.csv", commas(found))
    _lock_waits(facts, folder, lambda at, rows: commas({"now": f"{at:%Y-%m-%d %H:%M:%S.%f}", **row} for row in rows))


def _lock_waits(facts: Facts, folder: Path, put: Callable[[datetime, list[Row]], str]) -> None:
    names = {"waiting_trx_id": "requesting_trx_id", "waiting_thread": "waiting_id", "blocking_trx_id": "blocking_trx_id",
             "blocking_thread": "blocking_id"}  # fmt: skip
    waits = [
        put(at, [{name: row[told] for name, told in names.items()} for row in rows])
        for at, rows in facts.streams["mysql/row_locks"]
        if rows
    ]
    if waits:
        write(folder / "innodb_lock_waits.txt", "".join(waits))


def sessions_stalked(facts: Facts, folder: Path) -> None:
    """pt-stalk's files: process list, transactions, counters and settings of one collection."""
    first = facts.streams["mysql/processlist"][0][0]
    prefix = f"pt-stalk/{first:%Y_%m_%d_%H_%M_%S}"

    def stamp(at: datetime) -> str:
        return f"TS {at.replace(tzinfo=UTC).timestamp():.9f} {at:%Y-%m-%d %H:%M:%S}\n"

    write(folder / f"{prefix}-processlist", "".join(stamp(at) + vertical(rows) for at, rows in listed(facts)))
    trx = [stamp(at) + vertical(transactions(rows)) for at, rows in facts.streams["mysql/transactions"] if rows]
    if trx:
        write(folder / f"{prefix}-transactions", "".join(trx))
    counters = [stamp(at) + boxed(_status(rows)) for at, rows in facts.streams["mysql/status"]]
    write(folder / f"{prefix}-mysqladmin", "".join(counters))
    for _, rows in facts.streams["mysql/variables"][:1]:
        write(folder / f"{prefix}-variables", tabbed(_status(rows)))
    _lock_waits(facts, folder, lambda at, rows: stamp(at) + vertical(rows))


def _status(rows: Sequence[Row]) -> list[Row]:
    return [{"Variable_name": row["variable_name"], "Value": row["value"]} for row in rows]


def counters_admin(facts: Facts, folder: Path) -> None:
    """`while true; do date -u; mysqladmin extended-status; done`, and `SHOW GLOBAL VARIABLES` once."""
    text = [f"{at:%a %b %e %H:%M:%S UTC %Y}\n{boxed(_status(rows))}" for at, rows in facts.streams["mysql/status"]]
    write(folder / "mysqladmin.txt", "".join(text))
    for _, rows in facts.streams["mysql/variables"][:1]:
        write(folder / "variables.txt", boxed(_status(rows)))


def quotas_pasted(facts: Facts, folder: Path) -> None:
    """`SELECT user, host, max_user_connections FROM mysql.user WHERE max_user_connections > 0`."""
    for _, rows in facts.streams["mysql/users"][:1]:
        write(folder / "quotas.txt", boxed(rows))


def counters_exported(facts: Facts, folder: Path) -> None:
    """Counters and the limits under mysqld_exporter's names, an answer of `query_range` for each."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[datetime, float]]] = defaultdict(list)
    for at, rows in facts.streams["mysql/status"]:
        for row in rows:
            name = row["variable_name"].lower()
            metric = {"__name__": f"mysql_global_status_{name}", "instance": "db2:9104", "job": "mysql"}
            if name.startswith("connection_errors_"):
                error = name.removeprefix("connection_errors_")
                metric |= {"__name__": "mysql_global_status_connection_errors_total", "error": error}
            if str(row["value"]).isdigit():
                found[tuple(sorted(metric.items()))].append((at, float(row["value"])))
    times = [at for at, _ in facts.streams["mysql/status"]]
    for _, rows in facts.streams["mysql/variables"][:1]:
        for row in rows:
            if str(row["value"]).isdigit() and re.search(r"connections$|timeout$", row["variable_name"].lower()):
                metric = {"__name__": f"mysql_global_variables_{row['variable_name'].lower()}", "instance": "db2:9104"}
                found[tuple(sorted(metric.items()))] = [(at, float(row["value"])) for at in times]
    write(folder / "prometheus-mysql.json", matrix((dict(metric), points) for metric, points in found.items()))


def counters_cloud(facts: Facts, folder: Path) -> None:
    """CloudWatch's DatabaseConnections, the greatest of each minute, and the limits as `SHOW VARIABLES LIKE` tells them."""
    connected = [
        (at, float(row["value"]))
        for at, rows in facts.streams["mysql/status"]
        for row in rows
        if row["variable_name"] == "Threads_connected"
    ]
    write(folder / "cloudwatch-db.json", cloudwatch([("DatabaseConnections", "orders-db", minutes(connected))]))
    for _, rows in facts.streams["mysql/variables"][:1]:
        some = [row for row in _status(rows) if re.search("connections|timeout", row["Variable_name"])]
        write(folder / "variables.txt", boxed(some))


def connections_cloud(facts: Facts, folder: Path) -> None:
    """CloudWatch's DatabaseConnections of PostgreSQL, the greatest of each minute."""
    counted = [
        (at, float(sum(row.get("backend_type") == "client backend" for row in rows)))
        for at, rows in facts.streams["postgres/activity"]
    ]
    write(folder / "cloudwatch-db.json", cloudwatch([("DatabaseConnections", "orders-db", minutes(counted))]))


def minutes(points: Iterable[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """Return the greatest of each minute, told at the minute's begin as CloudWatch does."""
    found: dict[datetime, float] = {}
    for at, value in points:
        minute = at.replace(second=0, microsecond=0)
        found[minute] = max(value, found.get(minute, value))
    return sorted(found.items())


# PgBouncer


def bouncer_pasted(facts: Facts, folder: Path) -> None:
    """`SHOW ...` in psql, the clock in front of each, as tables."""
    for stream, command in _BOUNCER.items():
        text = [
            f"{at:%Y-%m-%d %H:%M:%S}+00\npgbouncer=# SHOW {command};\n{aligned(rows)}\n"
            for at, rows in facts.streams[f"pgbouncer/{stream}"]
            if rows
        ]
        if text:
            write(folder / f"pgbouncer-{stream}.txt", "".join(text))


def bouncer_csv(facts: Facts, folder: Path) -> None:
    """`psql --csv -c 'SHOW ...'` in a loop that puts the time in front."""
    for stream in _BOUNCER:
        text = [
            commas({"time": f"{at:%Y-%m-%dT%H:%M:%SZ}", **row} for row in rows)
            for at, rows in facts.streams[f"pgbouncer/{stream}"]
        ]
        if text:
            write(folder / f"pgbouncer_{stream}.csv", "".join(text))


_BOUNCER: Final = {
    "pools": "POOLS", "clients": "CLIENTS", "servers": "SERVERS", "databases": "DATABASES", "config": "CONFIG", "stats": "STATS",
}  # fmt: skip

_POOL_NAMES: Final = {
    "cl_active": "client_active", "cl_waiting": "client_waiting", "sv_active": "server_active", "sv_idle": "server_idle",
    "sv_used": "server_used", "sv_tested": "server_testing", "sv_login": "server_login",
}  # fmt: skip


def bouncer_exported(facts: Facts, folder: Path) -> None:
    """Pools, databases and limits under pgbouncer_exporter's names; sessions of clients and servers are lost."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[datetime, float]]] = defaultdict(list)

    def add(at: datetime, metric_name: str, value: object, **labels: str) -> None:
        metric = {"__name__": metric_name, "instance": "bouncer1:9127", "job": "pgbouncer", **labels}
        found[tuple(sorted(metric.items()))].append((at, float(str(value))))

    for at, rows in facts.streams["pgbouncer/pools"]:
        for row in rows:
            of = {"database": row["database"], "user": row["user"]}
            for column, name in _POOL_NAMES.items():
                add(at, f"pgbouncer_pools_{name}_connections", row[column], **of)
            waited = int(row["maxwait"]) + int(row.get("maxwait_us") or 0) / 1e6
            add(at, "pgbouncer_pools_client_maxwait_seconds", waited, **of)
    for at, rows in facts.streams["pgbouncer/databases"]:
        for row in rows:
            of = {"name": row["name"], "database": row["database"], "pool_mode": row["pool_mode"] or ""}
            for name in ("pool_size", "max_connections", "current_connections"):
                add(at, f"pgbouncer_databases_{name}", row[name], **of)
    for _, rows in facts.streams["pgbouncer/config"][:1]:
        limit = next((row["value"] for row in rows if row["key"] == "max_client_conn"), None)
        for at, _ in facts.streams["pgbouncer/databases"]:
            if limit is not None:
                add(at, "pgbouncer_config_max_client_connections", limit)
    if found:
        write(folder / "prometheus-pgbouncer.json", matrix((dict(metric), points) for metric, points in found.items()))


# Pools and workers


def pools_hikari(facts: Facts, folder: Path) -> None:
    """HikariCP's log of each instance in Spring Boot's layout; the limit is told where the pool starts."""
    by_instance: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in facts.pools:
        by_instance[row["instance"]].append(row)
    for instance, rows in by_instance.items():
        service, first = rows[0]["service"], rows[0]
        begin = (
            f"{utc(first['sampled_at']).isoformat(timespec='milliseconds')}Z DEBUG 1 --- [{service}] [           main] "
        )
        text = [
            f"{begin}com.zaxxer.hikari.HikariConfig           : {name:.<32}{value}\n"
            for name, value in (("maximumPoolSize", first["max_size"]), ("poolName", f'"{service}"'))
            if value
        ]
        for row in rows:
            at = utc(row["sampled_at"]).isoformat(timespec="milliseconds")
            text.append(
                f"{at}Z DEBUG 1 --- [{service}] [l housekeeper] com.zaxxer.hikari.pool.HikariPool        : {service} - "
                f"Pool stats (total={row['size']}, active={row['checked_out']}, idle={row['idle']}, waiting={row['waiting'] or 0})\n"
            )
        write(folder / f"apps/{instance}.log", "".join(text))


def pools_scraped(facts: Facts, folder: Path) -> None:
    """`date -u; curl -s http://HOST:8080/metrics` of each instance in a loop, with the names of Go's database/sql.

    A page names no service: only the file does, as people name files after what they asked.
    """
    by_instance: dict[str, list[str]] = defaultdict(list)
    names = {"max_size": "max_open", "size": "open", "checked_out": "in_use", "idle": "idle"}
    for row in facts.pools:
        at = utc(row["sampled_at"])
        page = [f"{at:%a %b %e %H:%M:%S UTC %Y}\n"]
        for column, name in names.items():
            if row[column]:
                page.append(f"# TYPE go_sql_{name}_connections gauge\n")
                page.append(f'go_sql_{name}_connections{{db_name="{row["pool"]}"}} {row[column]}\n')
        by_instance[row["instance"]] += page
    for instance, lines in by_instance.items():
        write(folder / f"metrics/{instance}.prom", "".join(lines))


def pools_wide(facts: Facts, folder: Path) -> None:
    """A dashboard's CSV, a column a service and number; the sum over instances and pools of one second."""
    sums: dict[str, dict[str, float]] = defaultdict(dict)
    names: dict[str, None] = {}
    for row in facts.pools:
        at = row["sampled_at"][:19]
        for number in ("size", "checked_out", "idle", "waiting", "max_size"):
            if row[number]:
                name = f"{row['service']}_{number}"
                names[name] = None
                sums[at][name] = sums[at].get(name, 0.0) + float(row[number])
    rows = [{"Time": at, **{name: told.get(name) for name in names}} for at, told in sorted(sums.items())]
    write(folder / "pools-export.csv", commas(rows))


def _hikari_series(facts: Facts) -> list[tuple[dict[str, str], list[tuple[datetime, float]]]]:
    """Return pool numbers under Micrometer's names."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[datetime, float]]] = defaultdict(list)
    measured = {"size": "", "checked_out": "_active", "idle": "_idle", "waiting": "_pending", "max_size": "_max"}
    for row in facts.pools:
        for column, name in measured.items():
            if row[column]:
                metric = {"__name__": f"hikaricp_connections{name}", "application": row["service"],
                          "instance": row["instance"], "pool": row["pool"]}  # fmt: skip
                found[tuple(sorted(metric.items()))].append((utc(row["sampled_at"]), float(row[column])))
        if row["timeouts"]:
            metric = {"__name__": "hikaricp_connections_timeout_total", "application": row["service"],
                      "instance": row["instance"], "pool": row["pool"]}  # fmt: skip
            found[tuple(sorted(metric.items()))].append((utc(row["sampled_at"]), float(row["timeouts"])))
    return [(dict(metric), points) for metric, points in found.items()]


def pools_prometheus(facts: Facts, folder: Path) -> None:
    """Answers of `query_range` for Micrometer's HikariCP metrics."""
    write(folder / "prometheus-hikaricp.json", matrix(_hikari_series(facts)))


def pools_openmetrics(facts: Facts, folder: Path) -> None:
    """`promtool tsdb dump-openmetrics` of the same."""
    text = []
    for metric, points in _hikari_series(facts):
        labels = ",".join(f'{name}="{value}"' for name, value in metric.items() if name != "__name__")
        for at, value in points:
            text.append(f"{metric['__name__']}{{{labels}}} {value:g} {at.replace(tzinfo=UTC).timestamp():.3f}\n")
    write(folder / "hikaricp.om", "".join(text) + "# EOF\n")


def workers_wide(facts: Facts, folder: Path) -> None:
    """A dashboard's CSV, a column a service."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    names: dict[str, None] = {}
    for row in facts.workers:
        names[f"{row['service']}_replicas"] = None
        told[row["sampled_at"][:19]][f"{row['service']}_replicas"] = row["workers"]
    rows = [{"Time": at, **{name: row.get(name) for name in names}} for at, row in sorted(told.items())]
    write(folder / "replicas-export.csv", commas(rows))


def workers_kube(facts: Facts, folder: Path) -> None:
    """An answer of `query_range` for kube-state-metrics' replica counts."""
    found: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for row in facts.workers:
        found[row["service"]].append((utc(row["sampled_at"]), float(row["workers"])))
    common = {"__name__": "kube_deployment_status_replicas", "namespace": "shop", "job": "kube-state-metrics"}
    series = [({**common, "deployment": service}, points) for service, points in found.items()]
    write(folder / "prometheus-workers.json", matrix(series))


def workers_cloud(facts: Facts, folder: Path) -> None:
    """CloudWatch's RunningTaskCount of ECS services, the greatest of each minute."""
    found: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for row in facts.workers:
        found[row["service"]].append((utc(row["sampled_at"]), float(row["workers"])))
    queries = [
        {"Id": f"w{number}", "Label": f"{service} RunningTaskCount", "StatusCode": "Complete",
         "Timestamps": [f"{at:%Y-%m-%dT%H:%M:%S}+00:00" for at, _ in minutes(points)],
         "Values": [value for _, value in minutes(points)]}
        for number, (service, points) in enumerate(sorted(found.items()))
    ]  # fmt: skip
    write(folder / "cloudwatch-tasks.json", json.dumps({"MetricDataResults": queries, "Messages": []}, indent=4))


def workers_events(facts: Facts, folder: Path) -> None:
    """`kubectl get events -o json`: deployments scaled, told when a count changes; the count before it is told too."""
    items: list[Row] = []
    before: dict[str, int] = {}
    for row in facts.workers:
        service, count = row["service"], int(float(row["workers"]))
        was = before.get(service)
        before[service] = count
        if was is None or was == count:
            continue
        at = f"{utc(row['sampled_at']):%Y-%m-%dT%H:%M:%SZ}"
        way = "up" if count > was else "down"
        items.append(
            {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{service}.{len(items):x}", "namespace": "shop"},
             "involvedObject": {"kind": "Deployment", "name": service, "namespace": "shop"}, "reason": "ScalingReplicaSet",
             "message": f"Scaled {way} replica set {service}-5d4f8c7b9 to {count} from {was}", "type": "Normal",
             "source": {"component": "deployment-controller"}, "firstTimestamp": at, "lastTimestamp": at, "count": 1}
        )  # fmt: skip
    if items:
        write(folder / "events.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))


def marks_dashboard(facts: Facts, folder: Path) -> None:
    """Deployments as annotations of Grafana."""
    if facts.marks:
        found = [
            {"id": number, "time": int(utc(row["time"]).replace(tzinfo=UTC).timestamp() * 1000), "timeEnd": 0,
             "text": f"{row['service']}: {row['description']}", "tags": [row["event"], row["service"]]}
            for number, row in enumerate(facts.marks, 1)
        ]  # fmt: skip
        write(folder / "annotations.json", json.dumps(found, indent=1))


def marks_csv(facts: Facts, folder: Path) -> None:
    """Deployments as a list of the build server."""
    if facts.marks:
        write(folder / "builds.csv", commas(facts.marks))


def matrix(series: Iterable[tuple[dict[str, str], list[tuple[datetime, float]]]]) -> str:
    """Return series as an answer of Prometheus' `query_range`."""
    result = [
        {"metric": metric, "values": [[at.replace(tzinfo=UTC).timestamp(), f"{value:g}"] for at, value in points]}
        for metric, points in series
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def cloudwatch(series: Iterable[tuple[str, str, list[tuple[datetime, float]]]]) -> str:
    """Return series as `aws cloudwatch get-metric-data` answers, the newest first."""
    results = [
        {"Id": f"m{number}", "Label": f"{server} {name}", "StatusCode": "Complete",
         "Timestamps": [f"{at:%Y-%m-%dT%H:%M:%S}+00:00" for at, _ in reversed(points)],
         "Values": [value for _, value in reversed(points)]}
        for number, (name, server, points) in enumerate(series)
    ]  # fmt: skip
    return json.dumps({"MetricDataResults": results, "Messages": []}, indent=4)


Shape = Callable[[Facts, Path], None]

SHAPES: Final[dict[str, dict[str, tuple[Shape, ...]]]] = {
    "postgres": {
        "terminal": (
            activity_watched, settings_aligned, limits_pasted, log_abroad, logs_as_they_are, bouncer_pasted, pools_hikari,
            workers_wide, marks_csv,
        ),
        "kubernetes": (
            activity_expanded, settings_exported, limits_pasted, counters_csv, log_json, logs_in_docker, bouncer_exported,
            pools_prometheus, workers_kube, marks_dashboard,
        ),
        "cloud": (
            activity_csv, settings_shown, limits_pasted, connections_cloud, log_rds, logs_as_they_are, bouncer_csv,
            pools_openmetrics, workers_cloud, marks_dashboard,
        ),
        "archive": (
            activity_files, settings_csv, limits_pasted, counters_csv, log_csv, logs_in_syslog, bouncer_csv, pools_wide,
            workers_wide, marks_csv,
        ),
        "syslog": (
            activity_unaligned, settings_aligned, limits_pasted, log_syslog, logs_in_syslog, bouncer_pasted, pools_scraped,
            workers_events, marks_dashboard,
        ),
    },
    "mysql": {
        "terminal": (
            sessions_vertical, counters_admin, quotas_pasted, logs_in_docker, pools_hikari, workers_wide, marks_csv,
        ),
        "exporter": (
            sessions_tabbed, counters_exported, quotas_pasted, logs_as_they_are, pools_prometheus, workers_kube, marks_dashboard,
        ),
        "stalk": (sessions_stalked, quotas_pasted, logs_as_they_are, pools_scraped, workers_events, marks_dashboard),
        "cloud": (sessions_csv, counters_cloud, quotas_pasted, logs_in_syslog, pools_openmetrics, workers_cloud, marks_csv),
    },
}  # fmt: skip
"""Bundles of shapes, by the engine of the server."""


def translate(evidence: Path, bundle: str, folder: Path) -> None:
    """Write the facts of a folder of evidence as a bundle into another folder."""
    facts = facts_of(evidence)
    for shape in SHAPES[facts.engine][bundle]:
        shape(facts, folder)
