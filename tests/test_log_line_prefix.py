"""Any `log_line_prefix` is found out from the lines: the fields read equal those that were written."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connforensics.evidence import postgres_log
from connforensics.evidence.log_line_prefix import Prefix, infer

CORPUS_SHAPES = (
    "%m [%p] ",
    "%t [%p] ",
    "%t ",
    "%m [%p] %q%u@%d ",
    "%m [%p-%l] %q%u@%d ",
    "%t [%p-%l] %q%u@%d ",
    "%t [%p]: [%l-1] %h",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u, db=%d, app=%a, client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d,host=%h,app=%a ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:",
    "%t-%c-",
    "%m [%p] db=%d ",
    "%m [%p]    ",
    "%m [%p] %x %v ",
    "%m [%p]:  [%l-1] %u %u@%h %a ",
    "%h [%p] %c %m %a %u@%d line:%l ",
    "%m [%p] [queryid=%Q] %u@%d ",
    "%h %m [%p] %u@%d ",
    "%m [%p] %h %u@%d ",
    "time=%m pid=%p error=%e sess_id=%c qtag=%i usr=%u db=%d app=%a ",
    "",
    "%m [%p][%v] : [%l-1] %q[app=%a] ",
    "%t [%p-%l] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %q[user=%u,db=%d,app=%a,host=%h] ",
    "%t [%p]: [%l-1] user=%u,db=%d - PG-%e ",
    "%t [%p]: [%l-1] [trx_id=%x] user=%u,db=%d ",
    "[%p]: [%l-1] db=%d,user=%u ",
    "%m %r %u %a [%c] [%p] ",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "pid=%p,user=%u,db=%d,app=%a,client=%h ",
    "user=%u,db=%d,app=%a,client=%h ",
    "%p-%s-%c-%l-%h-%u-%d-%m ",
    "%m [%p][%b][%v][%x] %q[user=%u,db=%d,app=%a] ",
    "%t [%p] %q%u@%d %h ",
    "%m [%p] %q%u@%d/%a %h ",
    "%n [%p] %u@%d ",
    " sql_error_code = %e ",
)
"""The shapes met in real logs and declared in real configurations."""


@dataclass(frozen=True)
class Line:
    """A line and what its prefix says."""

    text: str
    fields: dict[str, str]


def simulate(prefix: str, seed: int, sessions: int = 40) -> list[Line]:
    """A day of a server under `prefix`: background processes, sessions, refusals."""
    rng = random.Random(seed)
    at = datetime(2026, 3, 2, 8, 0, 0, 123000)
    lines: list[Line] = []
    clients = [
        ("app", "shop", "web", "10.0.0.5"),
        ("report", "dwh", "PostgreSQL JDBC Driver", "10.0.0.77"),
        ("app", "audit", "psql", "[local]"),
    ]
    numbers: dict[int, int] = {}

    def put(
        pid: int,
        since: datetime,
        text: str,
        who: tuple[str, str, str, str] | None,
        port: int,
        state: str,
        backend: str,
        tag: str,
    ) -> None:
        numbers[pid] = numbers.get(pid, 0) + 1
        user, database, application, host = who or ("", "", "", "")
        values = {
            "m": f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC",
            "t": f"{at:%Y-%m-%d %H:%M:%S} UTC",
            "n": f"{int(at.timestamp())}.{at.microsecond // 1000:03d}",
            "s": f"{since:%Y-%m-%d %H:%M:%S} UTC",
            "p": str(pid),
            "c": f"{int(since.timestamp()):x}.{pid:x}",
            "l": str(numbers[pid]),
            "u": user,
            "d": database,
            "a": application,
            "h": host,
            "r": f"{host}({port})" if who and port else host,
            "b": backend,
            "e": state,
            "i": tag,
            "Q": str(rng.randrange(-(2**62), 2**62)) if tag else "0",
            "x": "0",
            "v": f"{pid % 90}/{numbers[pid]}" if who else "",
            "%": "%",
        }
        shown = prefix if who else prefix.partition("%q")[0]
        rendered = re.sub("%q", "", shown)
        rendered = re.sub(r"%([a-zA-Z%])", lambda found: values[found[1]], rendered)
        lines.append(Line(rendered + text, {k: v for k, v in values.items() if f"%{k}" in shown}))

    start = at
    for number in range(sessions):
        at += timedelta(milliseconds=rng.randrange(50, 9000))
        pid = 2000 + rng.randrange(1, 60) + number * 61
        user, database, application, host = rng.choice(clients)
        port = 0 if host == "[local]" else rng.randrange(30000, 60000)
        unknown = ("[unknown]", "[unknown]", "[unknown]", host)
        received = f"LOG:  connection received: host={host}" + (f" port={port}" if port else "")
        since = at
        put(pid, since, received, unknown, port, "00000", "not initialized", "")
        at += timedelta(milliseconds=2)
        early = (user, database, "[unknown]", host)
        if rng.random() < 0.1:
            put(
                pid, since, "FATAL:  sorry, too many clients already", early, port, "53300", "client backend", "startup"
            )
            continue
        put(
            pid,
            since,
            f"LOG:  connection authorized: user={user} database={database} application_name={application}",
            early,
            port,
            "00000",
            "client backend",
            "authentication",
        )
        client = (user, database, application, host)
        for _ in range(rng.randrange(3)):
            at += timedelta(milliseconds=rng.randrange(1, 200))
            put(pid, since, "LOG:  statement: SELECT 1", client, port, "00000", "client backend", "idle")
        if rng.random() < 0.2:
            put(
                pid,
                since,
                'ERROR:  relation "albu" does not exist at character 7',
                client,
                port,
                "42P01",
                "client backend",
                "SELECT",
            )
            put(pid, since, "STATEMENT:  TABLE albu", client, port, "42P01", "client backend", "SELECT")
        at += timedelta(milliseconds=rng.randrange(1, 500))
        tail = f" port={port}" if port else ""
        put(
            pid,
            since,
            f"LOG:  disconnection: session time: 0:00:01.000 user={user} database={database} host={host}{tail}",
            client,
            port,
            "00000",
            "client backend",
            "idle",
        )
        if rng.random() < 0.3:
            put(77, start, "LOG:  checkpoint starting: time", None, 0, "00000", "checkpointer", "")
    return lines


GROUPS = {
    "p": "pid",
    "u": "user_name",
    "d": "database_name",
    "a": "application_name",
    "c": "session_key",
    "e": "sqlstate",
}


def disagreements(prefix: str, lines: list[Line]) -> list[str]:
    """What inference reads otherwise than it was written."""
    told = [told for line in lines if (told := postgres_log._told(line.text))]
    found = infer(told)
    if not found:
        return ["no prefix found"]
    patterns = [re.compile(rf"{each.pattern()}(?:LOG|FATAL|ERROR|STATEMENT):") for each in found]
    wrong = []
    for line in lines:
        match = next((match for pattern in patterns if (match := pattern.match(line.text))), None)
        if match is None:
            wrong.append(f"not matched: {line.text}")
            continue
        got = {name: value or "" for name, value in match.groupdict().items()}
        for letter, group in GROUPS.items():
            if letter in line.fields and got.get(group, "") != line.fields[letter]:
                wrong.append(f"{group} {got.get(group)!r} is not {line.fields[letter]!r}: {line.text}")
        stamp = line.fields.get("m") or line.fields.get("t")
        if stamp and got.get("stamp") != stamp and not ("m" in line.fields and "t" in line.fields):
            wrong.append(f"stamp {got.get('stamp')!r}: {line.text}")
        host = line.fields.get("r", line.fields.get("h"))
        if host is not None and got.get("host", "") not in (line.fields.get("r"), line.fields.get("h")):
            wrong.append(f"host {got.get('host')!r} is not {host!r}: {line.text}")
    return [f"{len(wrong)} wrong, read as {[str(each) for each in found]}", *wrong[:3]] if wrong else []


@pytest.mark.parametrize("prefix", CORPUS_SHAPES)
def test_shapes_met_in_real_logs(prefix: str) -> None:
    assert disagreements(prefix, simulate(prefix, seed=7)) == []


NAMES = {
    "u": ("user", "usr"),
    "d": ("db", "database"),
    "a": ("app", "application"),
    "h": ("client", "host"),
    "r": ("remote", "client"),
    "p": ("pid",),
    "l": ("line",),
    "e": ("state", "error"),
    "c": ("session", "sess_id"),
    "x": ("xid",),
    "i": ("tag",),
    "b": ("backend",),
    "v": ("vxid",),
}


@st.composite
def sensible_prefixes(draw: st.DrawFn) -> str:
    """Prefixes people could write: a time first or last, fields in any order, bracketed, named or bare."""
    letters = draw(st.lists(st.sampled_from("pludahrecx"), min_size=2, max_size=7, unique=True))
    if "h" in letters and "r" in letters:
        letters.remove("h")
    time = draw(st.sampled_from(["%m", "%t", "%n"]))
    separator = draw(st.sampled_from([" ", ", ", ",", "|", " - ", ";"]))
    style = draw(st.sampled_from(["named", "bracketed", "mixed"]))
    parts = []
    for letter in letters:
        name = draw(st.sampled_from(NAMES[letter]))
        kind = draw(st.sampled_from(["named", "bracketed"])) if style == "mixed" else style
        parts.append(f"{name}=%{letter}" if kind == "named" else f"[%{letter}]")
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), "%q")
    where = draw(st.sampled_from(["first", "first", "first", "last"]))
    parts = [time, *parts] if where == "first" else [*parts, time]
    if parts[-1] == "%q":
        parts.pop()
    return separator.join(parts).replace(f"%q{separator}", "%q") + draw(st.sampled_from([" ", ": ", " | "]))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sensible_prefixes(), st.integers(0, 1000))
def test_any_sensible_prefix_is_found_out(prefix: str, seed: int) -> None:
    assert disagreements(prefix, simulate(prefix, seed)) == [], prefix


def test_a_declared_prefix_is_read_with_padding_and_percent_signs() -> None:
    prefix = Prefix.parse("%-12u|%d 100%% [%p] ")
    match = re.fullmatch(prefix.pattern(), "app|shop 100% [42] ")
    assert match is not None
    assert match.groupdict() == {"user_name": "app", "database_name": "shop", "pid": "42"}


def test_two_prefixes_in_one_file() -> None:
    lines = simulate("%m [%p] ", 1)[:60] + simulate("%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ", 2)
    told = [told for line in lines if (told := postgres_log._told(line.text))]
    assert {str(each) for each in infer(told)} >= {"%m [%p] "}
    assert len(infer(told)) == 2


def test_nobody_is_named_without_evidence() -> None:
    told = [
        told
        for n in range(30)
        if (
            told := postgres_log._told(
                f"2026-03-02 08:00:0{n % 10} UTC [{4000 + n}] blue green LOG:  temporary file: path"
            )
        )
    ]
    [prefix] = infer(told)
    assert not prefix.letters & set("uda")
