"""The command line: every command is a thin call on the library; results go to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connforensics.cli_record import app as recorder
from connforensics.errors import ConnforensicsError, NotUnderstoodError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from connforensics.ingest import Ingested
    from connforensics.verdict import Verdict

EXIT_INCIDENT = 10

app = typer.Typer(
    name="connforensics",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(recorder)

CasePath = Annotated[Path, typer.Argument(metavar="CASE", help="a case file made by `connforensics ingest`")]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="from this time on (ISO-8601; UTC unless it says otherwise)")
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="before this time")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Prefix = Annotated[
    str,
    typer.Option(
        "--log-line-prefix", metavar="TEXT", help="PostgreSQL's log_line_prefix, where it cannot be found out"
    ),
]
Zone = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="zone of times that name none (IANA name; default UTC)")
]
Server = Annotated[str, typer.Option("--server", metavar="NAME", help="name of the server this evidence is of")]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from connforensics import __version__

        typer.echo(f"connforensics {__version__}")
        raise typer.Exit


@app.callback()
def connforensics(
    debug: Annotated[
        bool, typer.Option("--debug", help="show the traceback of an error (anywhere on the line)")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Why did the database run out of connections? Evidence in, a verdict with proof out."""


@app.command()
def ingest(
    case: CasePath,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="files and folders of evidence")],
    log_line_prefix: Prefix = "",
    timezone: Zone = "",
    server: Server = "",
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="read as this format, whatever it looks like")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Read evidence into a case; the case is created when there is none."""
    outcomes = _ingest(case, paths, log_line_prefix, timezone, server, format_name)
    if as_json:
        _print_json([{name: getattr(each, name) for name in each.__slots__} for each in outcomes])
    else:
        _print_rows(
            ("path", "outcome", "format", "lines", "understood", "unknown"),
            [
                (each.path, each.outcome, each.format or "", each.lines, each.understood, each.unknown)
                for each in outcomes
            ],
        )
    _tell_problems(outcomes)
    if not any(each.outcome == "already there" or each.understood for each in outcomes):
        raise NotUnderstoodError(
            f"{case}: nothing about connections was understood in what was handed in",
            "See the formats that can be read: connforensics formats",
        )


@app.command()
def identify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="files and folders of evidence")],
    as_json: AsJson = False,
) -> None:
    """Say what each file is and why; for an unknown one, how far the nearest formats got along its lines."""
    from connforensics.identification import identified

    told = []
    for each in identified(paths):
        if as_json:
            told.append(each.as_json())
            continue
        packed = (
            f" ({', '.join(filter(None, [each.container, each.wrapper]))})" if each.container or each.wrapper else ""
        )
        typer.echo(f"{each.path}{packed}: {each.why}")
        for name, certainty in each.rivals:
            typer.echo(f"  rival: {name} with certainty {certainty:.2f}")
        for near in each.nearest:
            typer.echo(f"  nearest: {near.format}, line {near.line_no}")
            for line in near.pointed().split("\n"):
                typer.echo(f"    {line}")
    if as_json:
        _print_json(told)


@app.command()
def annotate(
    case: CasePath,
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="when it happened (ISO-8601; UTC unless it says otherwise)")
    ],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="what happened, in a sentence")],
    timezone: Zone = "",
) -> None:
    """Note a deploy, an alert or a mitigation in a case: timeline and report show it."""
    from connforensics.annotate import annotate as note

    note(case, time, text, timezone or None)


@app.command()
def coverage(case: CasePath, since: Since = "", until: Until = "", as_json: AsJson = False) -> None:
    """What do we have, how much of it was understood, and when was nobody looking?"""
    from connforensics import Window, open_case
    from connforensics.analyses import ask
    from connforensics.analyses.coverage import is_well_understood, ledger, unanswerable

    window = Window.parse(since, until)
    with open_case(case) as opened:
        answer = ask("coverage", opened, window)
        spots = ask("blind_spots", opened, window)
        if as_json:
            _print_json(ledger(opened, window))
        else:
            shown = answer.table.drop(columns=["sha256", "assumptions", "server", "engine", "suspects"])
            _print_table(shown)
            for path, told in zip(answer.table["path"], answer.table["assumptions"], strict=True):
                if isinstance(told, str):
                    typer.echo(f"assumed of {path}: {told}")
            typer.echo(answer.headline)
            _print_table(spots.table)
            typer.echo(spots.headline)
            for question in unanswerable(opened):
                typer.echo(f"cannot be told: {question}")
            for path, line_no, text in opened.rows(
                "SELECT path, line_no, text FROM unknown_line JOIN place USING (source_id) ORDER BY source_id, line_no LIMIT 10"
            ):
                typer.echo(f"not recognised: {path}:{line_no}: {_one_line(text)}", err=True)
    if not is_well_understood(answer.table):
        raise NotUnderstoodError(
            f"{case}: too few of the lines that look like connection lines were understood",
            "The examples above say which; --log-line-prefix or --format of ingest may help.",
        )


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="name of an analysis; `list` shows all")],
    case: Annotated[Path | None, typer.Argument(metavar="CASE", help="a case file")] = None,
    since: Since = "",
    until: Until = "",
    as_json: AsJson = False,
) -> None:
    """Answer one question about a case: a table and a sentence."""
    from connforensics import Window, analyses, open_case

    if question == "list":
        listed = {name: analyses.load(name).QUESTION for name in analyses.names()}
        if as_json:
            _print_json(listed)
        else:
            _print_rows(("question", "asks"), list(listed.items()))
        return
    analyses.load(question.replace("-", "_"))
    if case is None:
        raise UsageError("no case named", f"connforensics ask {question} CASE")
    window = Window.parse(since, until)
    with open_case(case) as opened:
        answer = analyses.ask(question, opened, window)
    if as_json:
        _print_json(
            {
                "name": answer.name,
                "question": answer.question,
                "headline": answer.headline,
                "rows": analyses.records(answer.table),
            }
        )
    else:
        _print_table(answer.table)
        typer.echo(answer.headline)


@app.command()
def verdict(
    case: CasePath,
    since: Since = "",
    until: Until = "",
    as_json: AsJson = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="CAUSE|any", help="exit 10 when this cause is found")
    ] = "",
) -> None:
    """Why did it run out? The ranked causes with facts for and against."""
    from connforensics import Window, open_case, weigh

    _check_cause(fail_on)
    window = Window.parse(since, until)
    with open_case(case) as opened:
        found = weigh(opened, window)
    if as_json:
        _print_json(found.as_json())
    else:
        _print_verdict(found)
    _conclude(found.cause, fail_on)


@app.command()
def report(
    paths: Annotated[
        list[Path], typer.Argument(metavar="CASE_OR_PATH...", help="a case file, or evidence to make one of")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="folder to write into")],
    since: Since = "",
    until: Until = "",
    display_tz: Annotated[
        str, typer.Option("--display-tz", metavar="ZONE", help="zone in which times are shown")
    ] = "UTC",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="heading of the page")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="another parameter of the notebook"),
    ] = None,
    log_line_prefix: Prefix = "",
    timezone: Zone = "",
    server: Server = "",
    as_json: AsJson = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="CAUSE|any", help="exit 10 when this cause is found")
    ] = "",
) -> None:
    """Write the post-mortem: index.html, report.md, findings.json, the notebook, and case.duckdb if given evidence."""
    from connforensics import Window
    from connforensics.report.run import write_report

    _check_cause(fail_on)
    Window.parse(since, until)
    more = dict(_pair(each) for each in parameter or [])
    case = _case_of(paths, out, log_line_prefix, timezone, server)
    _say("writing the post-mortem")
    written = write_report(
        case, out, since=since, until=until, display_tz=display_tz, title=title or None, parameters=more
    )
    found = written.verdict
    if as_json:
        _print_json(found)
    else:
        whom = f" by {found['culprit']['name']}" if found["culprit"] else ""
        typer.echo(f"verdict: {found['cause']}{whom}, {found['confidence']}{_milestones(found)}")
        typer.echo(f"report:  {written.html}")
    _conclude(found["cause"], fail_on)


@app.command()
def lab(case: CasePath) -> None:
    """Open JupyterLab on the notebooks, bound to the case."""
    from connforensics import open_case
    from connforensics.report.lab import open_lab

    open_case(case).close()
    raise typer.Exit(open_lab(case))


@app.command()
def formats(as_json: AsJson = False) -> None:
    """List the formats that can be read, and how to obtain each."""
    import importlib

    from connforensics.evidence import formats as known

    listed = {}
    for name, each in known().items():
        module = importlib.import_module(each.read.__module__)
        listed[name] = (module.__doc__ or "").strip().splitlines()[0]
    if as_json:
        _print_json(listed)
    else:
        _print_rows(("format", "what it is"), list(listed.items()))


def main() -> None:
    """Run the command line; errors are two lines on stderr and the exit code of their class."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    """Return the exit code; an error is gone when this returns, and with it the connection its traceback holds open."""
    try:
        code = app(args=arguments, prog_name="connforensics", standalone_mode=False)
    except ConnforensicsError as error:
        if debug:
            raise
        typer.echo(f"error: {error.what}", err=True)
        if error.hint:
            typer.echo(f"       {error.hint}", err=True)
        return error.exit_code
    except typer.Abort:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            raise
        show = getattr(error, "show", None)
        if show is not None:  # typer's own: an option or argument that is not there
            show()
            return 2
        typer.echo(f"error: a defect of connforensics: {type(error).__name__}: {_one_line(str(error))}", err=True)
        typer.echo("       Run it again with --debug and report what it prints.", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _case_of(paths: list[Path], out: Path, prefix: str, timezone: str, server: str) -> Path:
    """Return the case file named, or the one made of the evidence named, which replaces an earlier one when whole."""
    if len(paths) == 1 and _is_duckdb(paths[0]):
        return paths[0]
    if any(_is_duckdb(path) for path in paths):
        raise UsageError("a case file and evidence were named together", "Name one case file, or evidence only.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}", "Name a folder that can be written.") from error
    case, fresh = out / "case.duckdb", out / ".case.duckdb.partial"
    fresh.unlink(missing_ok=True)
    try:
        outcomes = _ingest(fresh, paths, prefix, timezone, server, "")
        _tell_problems(outcomes)
        fresh.replace(case)
    finally:
        fresh.unlink(missing_ok=True)
        Path(f"{fresh}.wal").unlink(missing_ok=True)
    return case


def _is_duckdb(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError:
        return False


def _ingest(case: Path, paths: list[Path], prefix: str, timezone: str, server: str, format_name: str) -> list[Ingested]:
    from connforensics.evidence import ReadOptions
    from connforensics.ingest import ingest as run

    options = ReadOptions(prefix or None, timezone or None, server or None, format_name or None)
    return run(case, paths, options, progress=lambda path: _say(f"reading {path}"))


def _tell_problems(outcomes: list[Ingested]) -> None:
    for each in outcomes:
        if each.why:
            typer.echo(f"note: {each.path}: {each.outcome}: {each.why}", err=True)


def _check_cause(name: str) -> None:
    from connforensics.causes import CAUSES

    if name and name != "any" and name not in CAUSES:
        raise UsageError(f"--fail-on: no cause {name!r}", f"One of: any, {', '.join(CAUSES)}.")


def _conclude(cause: str, fail_on: str) -> None:
    if fail_on and cause != "none" and fail_on in ("any", cause):
        raise typer.Exit(EXIT_INCIDENT)
    if cause == "undetermined":
        raise typer.Exit(NotUnderstoodError.exit_code)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"-p {text!r}: not NAME=VALUE", "For example: -p display_tz=Europe/Berlin")
    return name, value


def _milestones(found: Mapping[str, Any]) -> str:
    """Return onset, saturation and refusals of findings for the one line that has room."""
    parts = []
    if found["onset_at"]:
        parts.append(f"began {found['onset_at'][:19]}Z")
    if found["saturated"]:
        parts.append(f"full from {found['saturated'][0]['since'][:19]}Z")
    if found["refusals"]["total"]:
        parts.append(f"{found['refusals']['total']:,} refused")
    return f" ({', '.join(parts)})" if parts else ""


def _print_verdict(found: Verdict) -> None:
    typer.echo(found.paragraph)
    for each in found.ranking:
        if not each.for_ and not each.against:
            continue
        typer.echo(f"\n{each.cause}: {each.weight_db:+.0f} dB")
        for sign, facts in (("+", each.for_), ("-", each.against)):
            for fact in facts:
                cited = f"  [{', '.join(fact.citations)}]" if fact.citations else ""
                typer.echo(f"  {sign} {fact.claim}{cited}")
        for missing in each.missing:
            typer.echo(f"  ? {missing}")


def _say(text: str) -> None:
    """Tell what is being done: one line that replaces itself on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
    else:
        typer.echo(text, err=True)


def _one_line(text: str) -> str:
    """Return text that a terminal may print: no control characters (evidence is hostile), at most 200 characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:200]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z" if value == value else None  # noqa: PLR0124 - NaT
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if item is not None:
        return item()
    return str(value)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(_finite(value), default=_plain, ensure_ascii=False, indent=2))


def _finite(value: Any) -> Any:
    """Return the value with NaN as null: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124


def _print_table(table: pd.DataFrame) -> None:
    from connforensics.analyses import records

    if len(table):
        _print_rows(tuple(table.columns), [tuple(row.values()) for row in records(table)])


def _print_rows(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(names):
        is_number = bool(rows) and all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        shown.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, soft_wrap=False).print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else _one_line(str(value))
