"""The command line of the recorder: `connforensics record KIND TARGET... -o DIR`; what it does is in connforensics.record."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from connforensics.errors import UsageError

if TYPE_CHECKING:
    from connforensics.record.address import Address, Kind
    from connforensics.record.run import Plan

app = typer.Typer(
    name="record",
    help="Watch a live server and leave evidence files: one held connection, a sample a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="folder to write into; ingest takes it as it is")]
Every = Annotated[str, typer.Option("--every", metavar="TIME", help="time between samples")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="stop after this long; without it, when told to")]
Keep = Annotated[str, typer.Option("--keep", metavar="TIME", help="remove files older than this")]
MaxSize = Annotated[str, typer.Option("--max-size", metavar="SIZE", help="remove the oldest files above this size")]
Texts = Annotated[str, typer.Option("--query-text", metavar="full|normalised|none", help="how statements are kept")]
Triggers = Annotated[
    list[str] | None,
    typer.Option(
        "--trigger",
        metavar="CONDITION",
        help="write only around this: connections>=90%, idle_in_transaction_age>60s, waiting>10, refusals>=1; may be repeated",
    ),
]
RingTime = Annotated[str, typer.Option("--ring", metavar="TIME", help="how much before a trigger is written too")]
CoolDown = Annotated[str, typer.Option("--cool-down", metavar="TIME", help="how long it must be quiet to stop writing")]
Then = Annotated[
    str, typer.Option("--then", metavar="COMMAND", help="run after a triggered recording; {folder} is replaced")
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="name of the server in the case, and of its folder")]
Defaults = Annotated[
    Path | None, typer.Option("--defaults-file", metavar="FILE", help="MySQL option file with user and password")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]

NO_PASSWORD = "where it is; a password has no place in it"  # noqa: S105 - it says so


@app.command()
def postgres(
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help=f"connection string or URI, {NO_PASSWORD}")],
    out: Out,
    every: Every = "1s",
    for_: For = "",
    keep: Keep = "",
    max_size: MaxSize = "",
    query_text: Texts = "normalised",
    trigger: Triggers = None,
    ring: RingTime = "10m",
    cool_down: CoolDown = "5m",
    then: Then = "",
    name: Name = "",
    as_json: AsJson = False,
) -> None:
    """Record PostgreSQL servers: sessions, waiters, counters, limits."""
    plan = _plan(out, every, for_, keep, max_size, query_text, trigger, ring, cool_down, then)
    _record(_addresses("postgres", targets, name), plan, None, as_json)


@app.command()
def mysql(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...", help=f"user@host:port or mysql://user@host:port/?ssl_ca=..., {NO_PASSWORD}"
        ),
    ],
    out: Out,
    every: Every = "1s",
    for_: For = "",
    keep: Keep = "",
    max_size: MaxSize = "",
    query_text: Texts = "normalised",
    trigger: Triggers = None,
    ring: RingTime = "10m",
    cool_down: CoolDown = "5m",
    then: Then = "",
    name: Name = "",
    defaults_file: Defaults = None,
    as_json: AsJson = False,
) -> None:
    """Record MySQL and MariaDB servers: sessions, transactions, lock waits, counters, limits."""
    plan = _plan(out, every, for_, keep, max_size, query_text, trigger, ring, cool_down, then)
    _record(_addresses("mysql", targets, name), plan, defaults_file, as_json)


@app.command()
def pgbouncer(
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help=f"connection string or URI, {NO_PASSWORD}")],
    out: Out,
    every: Every = "1s",
    for_: For = "",
    keep: Keep = "",
    max_size: MaxSize = "",
    query_text: Texts = "normalised",
    trigger: Triggers = None,
    ring: RingTime = "10m",
    cool_down: CoolDown = "5m",
    then: Then = "",
    name: Name = "",
    as_json: AsJson = False,
) -> None:
    """Record PgBouncers by their admin console: pools, clients, servers, statistics, limits."""
    plan = _plan(out, every, for_, keep, max_size, query_text, trigger, ring, cool_down, then)
    _record(_addresses("pgbouncer", targets, name), plan, None, as_json)


@app.command()
def proxysql(
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET...", help=f"user@host:port of the admin port, {NO_PASSWORD}")
    ],
    out: Out,
    every: Every = "1s",
    for_: For = "",
    keep: Keep = "",
    max_size: MaxSize = "",
    query_text: Texts = "normalised",
    trigger: Triggers = None,
    ring: RingTime = "10m",
    cool_down: CoolDown = "5m",
    then: Then = "",
    name: Name = "",
    defaults_file: Defaults = None,
    as_json: AsJson = False,
) -> None:
    """Record ProxySQLs by their admin port: connection pool, sessions, users, counters, limits."""
    plan = _plan(out, every, for_, keep, max_size, query_text, trigger, ring, cool_down, then)
    _record(_addresses("proxysql", targets, name), plan, defaults_file, as_json)


@app.command()
def many(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="[[target]] tables with kind, address and name")],
    out: Out,
    every: Every = "1s",
    for_: For = "",
    keep: Keep = "",
    max_size: MaxSize = "",
    query_text: Texts = "normalised",
    trigger: Triggers = None,
    ring: RingTime = "10m",
    cool_down: CoolDown = "5m",
    then: Then = "",
    defaults_file: Defaults = None,
    as_json: AsJson = False,
) -> None:
    """Record servers of several kinds in one process."""
    from connforensics.record.address import from_file

    plan = _plan(out, every, for_, keep, max_size, query_text, trigger, ring, cool_down, then)
    _record(from_file(file), plan, defaults_file, as_json)


@app.command()
def prometheus(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=f"http(s) address, {NO_PASSWORD}")],
    out: Out,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="from this time on (ISO-8601; UTC unless it says otherwise)")
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="before this time; now, if not given")] = "",
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="how long before --until, without --since")] = "2h",
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="time between points")] = "15s",
    query: Annotated[
        list[str] | None, typer.Option("--query", metavar="PROMQL", help="ask for this as well; may be repeated")
    ] = None,
    name: Name = "",
    as_json: AsJson = False,
) -> None:
    """Fetch from Prometheus what it knows about connections in a past range."""
    from connforensics.case import parse_time
    from connforensics.record import address, amounts
    from connforensics.record import prometheus as api

    found = address.parse("prometheus", target, name)
    span = api.span(
        parse_time(since, "--since"),
        parse_time(until, "--until"),
        amounts.seconds(every, "--every"),
        amounts.seconds(for_, "--for"),
    )
    fetched = api.fetch(target, out / found.name, span, query or ())
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(fetched), indent=2))
    else:
        typer.echo(
            f"{fetched.metrics} metrics from {span.since:%Y-%m-%d %H:%M} to {span.until:%Y-%m-%d %H:%M} UTC "
            f"in {fetched.files} files ({fetched.bytes:,} bytes): {fetched.folder}"
        )


def _say(text: str) -> None:
    """Say it, where there is somebody to: a terminal that was closed and a reader that left do not end a recording."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(text, err=True)


def _addresses(kind: Kind, targets: list[str], name: str) -> list[Address]:
    from connforensics.record import address

    if name and len(targets) > 1:
        raise UsageError(
            "--name names one server, several are given", "Name each in a file: connforensics record many."
        )
    return address.distinct([address.parse(kind, target, name) for target in targets])


DRIVERS = ("psycopg", "pymysql", "zstandard")


def _need_drivers() -> None:
    from importlib.util import find_spec

    absent = [name for name in DRIVERS if find_spec(name) is None]
    if absent:
        raise UsageError(f"recording needs {', '.join(absent)}", "Install it: pip install 'connforensics[record]'.")


def _plan(
    out: Path,
    every: str,
    for_: str,
    keep: str,
    max_size: str,
    query_text: str,
    trigger: list[str] | None,
    ring: str,
    cool_down: str,
    then: str,
) -> Plan:
    _need_drivers()
    from connforensics.record import amounts
    from connforensics.record.run import Plan
    from connforensics.record.texts import QueryText
    from connforensics.record.trigger import Bar

    how = next((way for way in get_args(QueryText) if way == query_text), None)
    if how is None:
        raise UsageError(f"--query-text {query_text!r}: no such way", f"One of: {', '.join(get_args(QueryText))}.")
    if then and not trigger:
        raise UsageError(
            "--then runs after a triggered recording, and there is no --trigger", "Give --trigger as well."
        )
    return Plan(
        out,
        amounts.seconds(every, "--every"),
        amounts.seconds(for_, "--for") if for_ else None,
        timedelta(seconds=amounts.seconds(keep, "--keep")) if keep else None,
        amounts.size(max_size, "--max-size") if max_size else None,
        how,
        tuple(Bar.parse(text) for text in trigger or ()),
        timedelta(seconds=amounts.seconds(ring, "--ring")),
        timedelta(seconds=amounts.seconds(cool_down, "--cool-down")),
        then,
    )


def _record(addresses: list[Address], plan: Plan, defaults_file: Path | None, as_json: bool) -> None:
    from connforensics.record import option_file
    from connforensics.record.run import Recorder, target_of

    if defaults_file is not None:
        option_file.read(defaults_file)
    recorder = Recorder(
        [(target_of(address, defaults_file), address.server) for address in addresses],
        plan,
        _say,
    )

    def leave(number: int, frame: FrameType | None) -> None:
        recorder.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, leave)
    outcomes = recorder.run()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in outcomes], indent=2))
        return
    for each in outcomes:
        told = [f"{each.samples:,} samples"]
        told += [
            f"{count:,} {what}"
            for count, what in (
                (each.missed, "missed"),
                (each.skipped, "skipped"),
                (each.refusals, "refusals"),
                (each.reconnects, "reconnects"),
                (each.incidents, "incidents"),
            )
            if count
        ]
        typer.echo(f"{each.name}: {', '.join(told)}: {each.folder}")
