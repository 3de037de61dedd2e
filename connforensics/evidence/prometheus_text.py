"""Prometheus exposition pages: what an exporter or an application shows at `/metrics`, once or in a loop.

Obtained with `curl -s http://HOST:PORT/metrics >> page.prom`, from Spring Boot's `/actuator/prometheus`, from a support
bundle, or pasted into a document. The text format and OpenMetrics are read, with or without times behind the numbers
(milliseconds there, seconds here). A page bears no time of its own: it is taken from a line in front of it (`date`, a
`Date:` header of `curl -i`), for the first page else from the file's name; otherwise it stays unknown. Where pages follow
one another, a new one begins with the first line of the page before, after `# EOF`, at a time, or where a series stands
again. What the names mean is said in `metric_names`; sums and counts of histograms are kept, their buckets are not.

https://prometheus.io/docs/instrumenting/exposition_formats/
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connforensics.evidence import Format, Head, Reading, Sample, metric_names, metrics, times
from connforensics.evidence.lines import SUSPECT

if TYPE_CHECKING:
    from numpy.typing import NDArray

SERIES: Final = r'(?:[A-Za-z_:][\w:.]*)?\s*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?'
VALUE: Final = r"[+-]?(?:(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[Ii]nf|NaN|nan)"
LINE: Final = rf"^\s*({SERIES})\s+({VALUE})(?:\s+(-?\d+(?:\.\d+)?))?\s*(?:#\s*\{{.*)?$"
"""One sample: series, value, time, and an exemplar that is not read."""

NAME: Final = r"^\s*([A-Za-z_:][\w:.]*)"

COMMENT: Final = r"^\s*#"
PLAIN: Final = r"^\s*$|^\s*(?:```|~~~)|^(?:HTTP/\d|[A-Za-z][A-Za-z-]+: )|^\s*(?:---|===)"
"""Lines around a page: blanks, fences of Markdown, headers of an HTTP answer, rules."""

_LINE = re.compile(LINE)
_DESCRIBES = re.compile(r"^\s*# (?:HELP|TYPE|UNIT) \S+|^\s*# EOF\s*$")
_COMMENT = re.compile(COMMENT)
_PLAIN = re.compile(PLAIN)
_SUSPECT = re.compile(SUSPECT)

_LEADING = re.compile(r"^[A-Za-z][A-Za-z ]*[:=]?\s+(?=\d)")
_DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")

LONGEST_TIME: Final = 80
"""A line longer than this is no time."""

SHORTEST_MS: Final = 1e11
"""A time above this is in milliseconds, one below in seconds."""


def certainty(head: Head) -> float:
    """Return how sure a head is a page: by the share of its lines that are samples or say what the samples are."""
    told = [line for line in head.lines if line.strip() and not _PLAIN.match(line)]
    samples = described = known = 0
    for line in told:
        if _DESCRIBES.match(line):
            described += 1
        elif not line.lstrip().startswith("#") and (found := _LINE.match(line)) is not None:
            parsed = metrics.parse_series(found[1])
            samples += parsed is not None
            known += parsed is not None and ("{" in line or metric_names.meaning(*parsed) is not None)
    if not samples or not (described or known):
        return 0.0
    share = (samples + described) / len(told)
    if not described and known < 2 and share < 1:
        return 0.0
    return (0.95 if described else 0.8) * min(1.0, 0.35 + 0.65 * share)


@dataclass(slots=True)
class Pages:
    """Where the pages of a source begin, and when each was taken; goes on from slice to slice."""

    first_line: str | None = None
    number: int = 1
    taken_at: datetime | None = None
    is_fresh: bool = True
    seen: set[int] = field(default_factory=set)
    untimed: int = 0

    def begin(self, taken_at: datetime | None) -> None:
        """Begin a page, unless one has just begun; a time belongs to the page below it."""
        if not self.is_fresh:
            self.number += 1
            self.taken_at = None
            self.seen.clear()
        self.taken_at = taken_at or self.taken_at
        self.is_fresh = True

    def meet(self, series: int) -> tuple[int, datetime | None]:
        """Return the page of a sample and its time."""
        if series in self.seen:
            self.is_fresh = False
            self.begin(None)
        self.seen.add(series)
        self.is_fresh = False
        return self.number, self.taken_at


def read(reading: Reading) -> None:
    """Store what the samples of every page say about connections."""
    numbers = metrics.Numbers(reading)
    pages = Pages(taken_at=times.in_name(reading.head.name, reading.options.timezone))
    if pages.taken_at is not None:
        reading.ledger.assume(
            f"the first page was taken at {pages.taken_at:%Y-%m-%d %H:%M:%S} UTC, as the file's name says"
        )
    ids: dict[str, int] = {}
    for _ in reading.scan("page"):
        _slice(reading, numbers, pages, ids)
    numbers.finish()
    reading.hide("page_sample")
    if pages.untimed:
        reading.ledger.assume(
            "no time stands with the numbers of a page, nor above it: when they were taken is unknown"
        )


def _slice(reading: Reading, numbers: metrics.Numbers, pages: Pages, ids: dict[str, int]) -> None:
    con = reading.con
    met = con.execute(
        "SELECT DISTINCT regexp_extract(text, $name, 1) FROM page WHERE regexp_matches(text, $line)",
        {"name": NAME, "line": LINE},
    ).fetchall()
    wanted = [name for (name,) in met if not name or metric_names.may_mean(name)]
    numbers.foreign.update({name for (name,) in met}.difference(wanted))
    parsed = con.sql(
        """
        WITH line AS (
          SELECT line_no, regexp_extract(text, $line, ['series', 'value', 'at']) AS found
          FROM page
          WHERE NOT regexp_matches(text, $comment)
            AND list_contains($wanted, regexp_extract(text, $name, 1))
        )
        SELECT line_no, found.series AS series, found.value AS value, found.at AS at
        FROM line
        WHERE found.value <> ''
          AND trim(found.series) <> ''
        ORDER BY line_no
        """,
        params={"line": LINE, "comment": COMMENT, "name": NAME, "wanted": wanted},
    ).to_arrow_table()
    for text in pc.unique(parsed["series"]).to_pylist():
        if text not in ids:
            told = metrics.parse_series(text)
            ids[text] = numbers.series(*told) if told is not None else metrics.UNKNOWN
    texts = pa.array(list(ids), pa.string())
    found = pc.index_in(parsed["series"].cast(pa.string()), value_set=texts)
    series = pa.array(list(ids.values()), pa.int64()).take(found.combine_chunks())
    reading.show("page_sample", parsed.select(["line_no"]))
    _account(reading, parsed, series)
    is_kept = pc.greater_equal(series, 0)
    kept = parsed.filter(is_kept)
    marks = _marks(reading, pages)
    if kept.num_rows or marks:
        numbers.add(_samples(kept, series.filter(is_kept), pages, marks))


def _account(reading: Reading, parsed: pa.Table, series: pa.Array) -> None:
    ledger = reading.ledger
    unknown = parsed.filter(pc.equal(series, metrics.UNKNOWN))
    understood = int(pc.sum(pc.greater_equal(series, 0)).as_py() or 0)
    ledger.understood += understood
    ledger.ignored += parsed.num_rows - understood - unknown.num_rows
    ledger.unknown += unknown.num_rows
    ledger.suspects += unknown.num_rows
    for row in unknown.slice(0, 20).to_pylist():
        ledger.example(row["line_no"], f"{row['series']} {row['value']}")
    con = reading.con
    others = con.execute(
        """
        SELECT line_no, text
        FROM page
        ANTI JOIN page_sample USING (line_no)
        WHERE NOT regexp_matches(text, $comment)
          AND NOT regexp_matches(text, $plain)
          AND NOT regexp_matches(text, $line)
        ORDER BY line_no
        """,
        {"comment": COMMENT, "plain": PLAIN, "line": LINE},
    ).fetchall()
    lines = con.execute("SELECT count(*) FROM page").fetchall()[0][0]
    ledger.ignored += lines - parsed.num_rows - len(others)
    for line_no, text in others:
        if _time(text, reading.options.timezone) is not None:
            ledger.ignored += 1
        else:
            ledger.unknown += 1
            ledger.suspects += bool(_SUSPECT.search(text))
            ledger.example(line_no, text)


def _marks(reading: Reading, pages: Pages) -> list[tuple[int, datetime | None]]:
    """Return where pages begin or end for certain, with the time told there."""
    con = reading.con
    if pages.first_line is None:
        first = con.execute(
            "SELECT text FROM page WHERE regexp_matches(text, '^\\s*(# (HELP|TYPE) )') ORDER BY line_no LIMIT 1"
        ).fetchall()
        pages.first_line = first[0][0] if first else None
    lines = con.execute(
        """
        SELECT line_no, text
        FROM page
        WHERE text = $first
           OR regexp_matches(text, '^\\s*# EOF\\s*$')
           OR (
             NOT regexp_matches(text, $line)
             AND NOT regexp_matches(text, '^# (HELP|TYPE|UNIT) ')
             AND regexp_matches(text, '[0-9].*:[0-9][0-9]|^[^A-Za-z]*1[0-9]{9}')
             AND length(text) <= $longest
           )
        ORDER BY line_no
        """,
        {"first": pages.first_line, "line": LINE, "longest": LONGEST_TIME},
    ).fetchall()
    marks: list[tuple[int, datetime | None]] = []
    for line_no, text in lines:
        if text == pages.first_line or text.strip() == "# EOF":
            marks.append((line_no, None))
        elif (told := _time(text, reading.options.timezone)) is not None:
            marks.append((line_no, told))
    return marks


def _time(text: str, zone: str | None) -> datetime | None:
    """Return the time that a line is; None where it is anything else."""
    bare = text.strip()
    if len(bare) > LONGEST_TIME or not any(letter.isdigit() for letter in bare):
        return None
    bare = bare.removeprefix("Date:").strip().strip("#-=* ").strip()
    last = bare.rpartition(" ")[2]
    for candidate in (bare, _LEADING.sub("", bare), last if _DATED.match(last) else ""):
        if candidate and (moment := times.parse(candidate, zone)) is not None:
            return moment
    return None


def _samples(kept: pa.Table, series: pa.Array, pages: Pages, marks: list[tuple[int, datetime | None]]) -> pa.Table:
    """Return the samples of a slice with their pages and times."""
    lines = kept["line_no"].to_pylist()
    numbers: list[int] = series.to_pylist()
    written = pc.cast(pc.if_else(pc.equal(kept["at"], ""), None, kept["at"]), pa.float64())
    has_time = pc.is_valid(written).to_pylist()
    scrapes = np.zeros(len(lines), dtype=np.int64)
    taken: list[datetime | None] = [None] * len(lines)
    due = iter(_ended(marks))
    mark_line, mark_time = next(due)
    for index, (line_no, number, timed) in enumerate(zip(lines, numbers, has_time, strict=True)):
        while mark_line is not None and mark_line < line_no:
            pages.begin(mark_time)
            mark_line, mark_time = next(due)
        if timed:
            continue
        scrapes[index], taken[index] = pages.meet(number)
        pages.untimed += taken[index] is None
    while mark_line is not None:
        pages.begin(mark_time)
        mark_line, mark_time = next(due)
    told = pc.coalesce(_moments(written), pa.chunked_array([pa.array(taken, pa.timestamp("us"))]))
    return metrics.samples(lines, told, numbers, _values(kept["value"]), scrapes)


def _ended(marks: list[tuple[int, datetime | None]]) -> Iterator[tuple[int | None, datetime | None]]:
    yield from marks
    yield None, None


def _moments(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return epoch seconds, or milliseconds, as timestamps."""
    factor = pc.if_else(pc.greater(pc.abs(seconds), SHORTEST_MS), 1e3, 1e6)
    return pc.cast(pc.cast(pc.round(pc.multiply(seconds, factor)), pa.int64()), pa.timestamp("us"))


def _values(texts: pa.ChunkedArray) -> NDArray[np.float64]:
    distinct = pc.unique(texts)
    known = np.array([metrics.number(text.replace("_", "")) for text in distinct.to_pylist()], dtype=np.float64)
    return known[pc.index_in(texts, value_set=distinct).to_numpy()] if len(known) else np.empty(0)


FORMAT = Format(
    name="prometheus_text",
    engine=None,
    tables=("metric_sample", "pool_sample", "setting"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "# HELP hikaricp_connections_active Active connections\n# TYPE hikaricp_connections_active gauge\n"
            'hikaricp_connections_active{application="orders",pool="main",} 9.0\n'
            "# HELP hikaricp_connections_max Max connections\n# TYPE hikaricp_connections_max gauge\n"
            'hikaricp_connections_max{application="orders",pool="main",} 10.0\n'
            'hikaricp_connections_pending{application="orders",pool="main",} 3.0\n'
            'hikaricp_connections_acquire_seconds_count{application="orders",pool="main",} 40.0\n'
            'hikaricp_connections_acquire_seconds_sum{application="orders",pool="main",} 4.68E-4\n'
            'hikaricp_connections_acquire_seconds_max{application="orders",pool="main",} 0.25\n'
            'hikaricp_connections_usage_seconds_max{application="orders",pool="main",} 1.319\n'
            "jvm_threads_live_threads 80.0\n",
            {
                "pool_sample": (
                    {"line_no": 3, "sampled_at": "2026-11-21T03:12:00", "service": "orders", "instance": None, "pool": "main",
                     "checked_out": 9.0, "max_size": 10.0, "waiting": 3.0, "acquire_ms": 250.0, "idle": None},
                ),
                "metric_sample": (
                    {"line_no": 8, "sampled_at": "2026-11-21T03:12:00", "name": "pool_acquire_seconds_count", "value": 40.0,
                     "labels": {"application": "orders", "pool": "main", "service": "orders"}},
                    {"line_no": 9, "name": "pool_acquire_seconds_sum", "value": 4.68e-4},
                    {"line_no": 11, "name": "pool_usage_seconds_max", "value": 1.319},
                ),
            },
            name="orders-20261121T031200Z.prom",
        ),
        Sample(
            "Sat Nov 21 03:12:00 UTC 2026\n"
            "# HELP pg_stat_activity_count number of connections in this state\n# TYPE pg_stat_activity_count gauge\n"
            'pg_stat_activity_count{datname="shop",state="idle in transaction",server="a:5432"} 12\n'
            'pg_settings_max_connections{server="a:5432"} 100\n'
            "Sat Nov 21 03:12:10 UTC 2026\n"
            "# HELP pg_stat_activity_count number of connections in this state\n# TYPE pg_stat_activity_count gauge\n"
            'pg_stat_activity_count{datname="shop",state="idle in transaction",server="a:5432"} NaN\n'
            'pg_settings_max_connections{server="a:5432"} 100\n',
            {
                "metric_sample": (
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:00", "name": "pg_stat_activity_count", "server": None,
                     "labels": {"datname": "shop", "server": "a:5432", "state": "idle in transaction"}, "value": 12.0},
                    {"line_no": 5, "sampled_at": "2026-11-21T03:12:00", "name": "pg_settings_max_connections", "value": 100.0},
                    {"line_no": 9, "sampled_at": "2026-11-21T03:12:10", "name": "pg_stat_activity_count", "value": None},
                    {"line_no": 10, "sampled_at": "2026-11-21T03:12:10", "name": "pg_settings_max_connections"},
                ),
                "setting": (
                    {"line_no": 5, "engine": "postgres", "name": "max_connections", "value": "100", "unit": None,
                     "valid_at": "2026-11-21T03:12:00"},
                ),
            },
            name="loop.txt",
        ),
        Sample(
            '# TYPE db_client_connection_count gauge\n'
            'db_client_connection_count{db_client_connection_pool_name="p",db_client_connection_state="used"} 5 1795230720.5\n'
            'db_client_connection_count{db_client_connection_pool_name="p",db_client_connection_state="idle"} 0 1795230720.5\n'
            '# TYPE db_client_connection_wait_time_seconds histogram\n# UNIT db_client_connection_wait_time_seconds seconds\n'
            'db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="p",le="+Inf"} 7 1795230720.5'
            ' # {trace_id="a"} 0.5\n'
            'db_client_connection_wait_time_seconds_sum{db_client_connection_pool_name="p"} 1.5 1795230720.5\n'
            '{"mysql.global.status.threads_connected","instance"="db\\"1\\""} 99 1795230720500\n# EOF\n',
            {
                "pool_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00.500000", "service": None, "pool": "p", "checked_out": 5.0,
                     "idle": 0.0, "size": None},
                ),
                "metric_sample": (
                    {"line_no": 7, "sampled_at": "2026-11-21T03:12:00.500000", "name": "pool_acquire_seconds_sum", "value": 1.5,
                     "labels": {"db_client_connection_pool_name": "p", "pool": "p"}},
                    {"line_no": 8, "name": "mysql_global_status_threads_connected", "labels": {"instance": 'db"1"'},
                     "value": 99.0},
                ),
            },
            name="metrics.txt",
        ),
    ),
)  # fmt: skip
