"""Logs of lines: one result however a file is cut into slices, every line accounted for, times and carried times right."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.evidence import Head, Ledger, Reading, ReadOptions, line_log, pgbouncer_log
from connforensics.evidence.containers import Unpacked
from connforensics.evidence.line_log import Continuations, Frame, TypeAtOnce
from connforensics.evidence.messages import Message, pgbouncer
from connforensics.evidence.unwrapping import Wrapping
from connforensics.schema import ddl

CATALOGUE = (
    Message("pool_timeout", "request timed out after 30000ms", "timed out after", r"timed out after (?P<duration_ms>\d+)ms"),
    Message("client_refused", "FATAL: sorry, too many clients already", "too many clients", reason="too_many_clients"),
    Message("connection_closed", "closed conn 7 of user 'bob'", "closed conn",
            r"closed conn (?P<backend_id>\d+) of user '(?P<user_name>.*?)'(?: after (?P<duration_s>[\d.]+)s)?"),
    Message("server_ready", "pool library 4.2 is up", "pool library", r"pool library (?P<version>[\d.]+)"),
    Message(None, "heartbeat of connection pool", "heartbeat"),
)  # fmt: skip

FRAMES = (
    Frame(
        "iso",
        r"^(?P<stamp>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[A-Z+-][\w:+-]*)?) \[(?P<backend_id>\d+)\] (?P<severity>[A-Z]+) (?P<message>.*)$",
        "2026-11-21 03:12:00.000 UTC [1] INFO ",
    ),
    Frame(
        "old",
        r"^(?P<stamp>\d{6} {1,2}\d{1,2}:\d\d:\d\d) (?P<message>.*)$",
        "261121  3:12:00 ",
        parse=lambda text, _: datetime.strptime(text, "%y%m%d %H:%M:%S"),
    ),
)

COLUMNS = "line_no, event_at, kind, reason, severity, backend_id, user_name, duration_ms, text"


class Cut(Reading):
    """A reading whose slices are cut where a test says."""

    lines_given: Sequence[str] = ()
    cuts: Sequence[int] = ()
    received: Sequence[datetime | None] = ()

    def slices(self) -> Iterator[pa.Table]:
        edges = sorted({0, len(self.lines_given), *(cut for cut in self.cuts if cut < len(self.lines_given))})
        for start, end in itertools.pairwise(edges):
            columns = {
                "line_no": pa.array(range(start + 1, end + 1), pa.int64()),
                "text": pa.array(self.lines_given[start:end], pa.string_view()),
            }
            if self.wrapping is not None:
                columns["received_at"] = pa.array(self.received[start:end], pa.timestamp("us"))
            self.ledger.lines += end - start
            yield pa.table(columns)


@dataclass(frozen=True)
class Result:
    """What a log gave."""

    events: list[dict[str, object]]
    ledger: Ledger
    version: str | None

    @property
    def account(self) -> tuple[int, int, int, int]:
        return self.ledger.understood, self.ledger.ignored, self.ledger.unknown, self.ledger.suspects


def read(
    lines: Sequence[str],
    continuations: Continuations = "ignored",
    *,
    cuts: Sequence[int] = (),
    frames: Sequence[Frame] = FRAMES,
    catalogue: Sequence[Message] = CATALOGUE,
    timezone: str | None = None,
    received: Sequence[datetime | None] = (),
    head: Sequence[str] | None = None,
    at_once: TypeAtOnce | None = None,
    columns: str = COLUMNS,
) -> Result:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET threads = 1")
    con.execute(ddl())
    unpacked = Unpacked(Path("log"), (), None)
    reading = Cut(con, 1, unpacked, Head(tuple(lines if head is None else head)), ReadOptions(timezone=timezone))
    reading.lines_given, reading.cuts, reading.received = lines, cuts, received
    if received:
        reading.wrapping = Wrapping((), None, datetime(2026, 11, 21))
    line_log.read(reading, frames, catalogue, continuations=continuations, at_once=at_once)
    events = con.sql(f"SELECT {columns} FROM event ORDER BY line_no").to_arrow_table().to_pylist()
    left = [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()]
    con.close()
    assert not [name for name in left if not name.startswith("part_")]
    ledger = reading.ledger
    assert ledger.lines == len(lines) == ledger.understood + ledger.ignored + ledger.unknown
    assert ledger.understood == len(events)
    return Result(events, ledger, reading.version)


def test_a_known_message_becomes_an_event_with_its_columns() -> None:
    [event] = read(["2026-11-21 03:12:00.250 UTC [17] WARN closed conn 7 of user 'bob' after 1.5s"]).events
    assert event == {
        "line_no": 1, "event_at": datetime(2026, 11, 21, 3, 12, 0, 250000), "kind": "connection_closed", "reason": None,
        "severity": "WARN", "backend_id": 7, "user_name": "bob", "duration_ms": 1500.0,
        "text": "2026-11-21 03:12:00.250 UTC [17] WARN closed conn 7 of user 'bob' after 1.5s",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-11-21 03:12:00 UTC", "2026-11-21 03:12:00"),
        ("2026-11-21 03:12:00.123", "2026-11-21 03:12:00.123"),
        ("2026-11-21 03:12:00,123", "2026-11-21 03:12:00.123"),
        ("2026-11-21T03:12:00Z", "2026-11-21 03:12:00"),
        ("2026-11-21T03:12:00.123456Z", "2026-11-21 03:12:00.123456"),
        ("2026-11-21T03:12:00.123456+08:00", "2026-11-20 19:12:00.123456"),
        ("2026-11-21 03:12:00.5 +0300", "2026-11-21 00:12:00.500"),
        ("2026-11-21 03:12:00.123 CET", "2026-11-21 02:12:00.123"),
        ("2026-11-21 03:12:00.123456789Z", "2026-11-21 03:12:00.123456"),
    ],
)
@pytest.mark.parametrize("first", ["", "2026-01-01 00:00:00.000 UTC", "2026-01-01T00:00:00+05:30"])
def test_times_in_every_form_also_where_another_form_came_first(stamp: str, expected: str, first: str) -> None:
    lines = [f"{each} [1] INFO request timed out after 5ms" for each in (first, first, first, stamp) if each]
    assert read(lines).events[-1]["event_at"] == datetime.fromisoformat(expected)


def test_a_stamp_with_a_reader_of_its_own() -> None:
    found = read(["261121  3:12:00 FATAL: sorry, too many clients already"])
    assert found.events[0]["event_at"] == datetime(2026, 11, 21, 3, 12)
    assert found.ledger.first_at == datetime(2026, 11, 21, 3, 12)


def test_times_without_a_zone_take_the_callers_and_say_so() -> None:
    line = "2026-07-01 12:00:00 [1] INFO request timed out after 5ms"
    assert read([line], timezone="Europe/Berlin").events[0]["event_at"] == datetime(2026, 7, 1, 10)
    assumed = read([line])
    assert assumed.events[0]["event_at"] == datetime(2026, 7, 1, 12)
    assert assumed.ledger.assumptions == ["times bear no zone: taken for UTC"]


@pytest.mark.parametrize("stamp", ["2026-07-01 12:00:00 UTC", "2026-07-01 12:00:00.00Z", "2026-07-01 15:00:00 +03"])
def test_a_zone_is_no_decimals_where_most_times_have_some(stamp: str) -> None:
    lines = [f"{each} [1] INFO request timed out after 5ms" for each in (*["2026-07-01 14:00:00.000"] * 3, stamp)]
    found = read(lines, timezone="Europe/Berlin")
    assert [event["event_at"] for event in found.events] == [datetime(2026, 7, 1, 12)] * 4


def test_two_zones_in_one_file() -> None:
    lines = [
        f"2026-11-21 03:12:00 {zone} [1] INFO request timed out after 5ms" for zone in ("CET", "CET", "CEST", "UTC")
    ]
    assert [event["event_at"].hour for event in read(lines).events] == [2, 2, 1, 3]  # type: ignore[attr-defined]


def test_what_the_wrapper_says_stands_in_for_a_missing_time() -> None:
    bare = (Frame("bare", r"^(?P<severity>[A-Z]+) (?P<message>.*)$", "INFO "),)
    received = [datetime(2026, 11, 21, 3, 12, second) for second in range(2)]
    found = read(["INFO nothing", "WARN request timed out after 5ms"], frames=bare, received=received)
    assert [event["event_at"] for event in found.events] == received[1:]
    assert (found.ledger.first_at, found.ledger.last_at) == tuple(received)


def test_a_continuation_is_typed_at_the_time_of_the_header_above() -> None:
    lines = [
        "2026-11-21 03:12:00 UTC [1] ERROR could not save order",
        "java.sql.SQLException: FATAL: sorry, too many clients already",
        "\tat com.example.Pool.getConnection(Pool.java:7)",
        "2026-11-21 03:13:00 UTC [1] INFO done",
    ]
    for padding in (0, 30):
        padded = [*lines, *["2026-11-21 03:14:00 UTC [1] INFO done"] * padding]
        for cuts in ((), (1,), (1, 2, 3)):
            found = read(padded, "typed", cuts=cuts)
            assert [(event["line_no"], event["kind"]) for event in found.events] == [(2, "client_refused")]
            assert found.events[0]["event_at"] == datetime(2026, 11, 21, 3, 12)
            assert found.account == (1, len(padded) - 1, 0, 0)


def test_lines_before_the_first_header_are_unknown_and_blank_ones_never() -> None:
    for padding in (0, 30):
        lines = [
            "",
            "client connection table",
            "   ",
            "2026-11-21 03:12:00 UTC [1] INFO request timed out after 5ms",
            "go on",
        ]
        lines += ["2026-11-21 03:12:00 UTC [1] INFO fine"] * padding
        for cuts in ((), (1,), (2, 4)):
            found = read(lines, cuts=cuts)
            assert found.account == (1, len(lines) - 2, 1, 1)
            assert found.ledger.examples == [(2, "client connection table")]


def test_continuations_can_be_unknown() -> None:
    lines = ["2026-11-21 03:12:00 UTC [1] INFO request timed out after 5ms", "| 1 | a |", "", "no slot for a client"]
    for padding in (0, 30):
        found = read([*lines, *["2026-11-21 03:12:00 UTC [1] INFO fine"] * padding], "unknown")
        assert found.account == (1, 1 + padding, 2, 1)


def test_a_message_about_connections_that_nobody_knows_is_unknown() -> None:
    lines = [
        "2026-11-21 03:12:00 UTC [1] INFO request timed out after 5ms",
        "2026-11-21 03:12:00 UTC [1] INFO all client slots are gone",
        "2026-11-21 03:12:00 UTC [1] INFO heartbeat of connection pool",
        "2026-11-21 03:12:00 UTC [1] INFO nothing of interest",
    ]
    for padding in (0, 30):
        found = read([*lines, *["2026-11-21 03:12:00 UTC [1] INFO fine"] * padding])
        assert found.account == (1, 2 + padding, 1, 1)
        assert found.ledger.examples == [(2, lines[1])]


def test_a_known_message_with_a_foreign_header_above_the_lines_is_not_lost() -> None:
    found = read(["nothing here is framed: request timed out after 5ms"])
    assert found.account == (0, 0, 1, 0)


def test_the_version_is_the_last_one_told() -> None:
    lines = [
        f"2026-11-21 03:12:0{n} UTC [1] INFO pool library {version} is up" for n, version in enumerate(("4.2", "4.10"))
    ]
    assert read(lines).version == "4.10"


def test_an_entry_bound_to_a_frame_is_of_that_frame_alone() -> None:
    frames = (
        Frame("in", r"^< (?P<message>.*)$", "< ", given=(("client_host", "[local]"),)),
        Frame("out", r"^> (?P<message>.*)$", "> "),
    )
    catalogue = (
        Message("pooler_client_closed", "bye", "bye", frame="in"),
        Message("pooler_server_closed", "bye", "bye", frame="out"),
    )
    found = read(["> bye", "< bye", "> bye"], frames=frames, catalogue=catalogue)
    assert [event["kind"] for event in found.events] == [
        "pooler_server_closed",
        "pooler_client_closed",
        "pooler_server_closed",
    ]


@pytest.mark.parametrize("pattern", [frame.pattern for frame in (*FRAMES, *pgbouncer_log.FRAMES)])
def test_pieces_of_a_pattern_are_the_pattern(pattern: str) -> None:
    pieces = line_log.pieces(pattern)
    assert "".join(piece.removeprefix("^") for piece in pieces) == pattern.removeprefix("^")
    for piece in pieces:
        assert len(re.compile(piece).groupindex) <= line_log.GROUPS_IN_ONE_PASS + 1


def test_a_pattern_that_cannot_be_cut_is_one_piece() -> None:
    for pattern in (r"^a|b", r"(?i)^(?P<a>x)(?P<b>x)(?P<c>x)(?P<message>x)$", r"(?P<message>.*)"):
        assert line_log.pieces(pattern) == [pattern]


WORDS = st.sampled_from(
    [
        "2026-11-21 03:12:00.250 UTC [17] WARN ", "2026-11-21 04:12:00.250 CET [3] INFO ", "2026-11-21T03:12:00Z [1] INFO ",
        "261121  3:12:00 ", "261121 13:12:07 ", "2026-11-21 03:12:00 [", "request timed out after 30ms", "too many clients",
        "closed conn 7 of user 'bob'", "heartbeat", "a connection", "slots", "nothing", "", " ", "\t", "'", '"', "\\", "é", "\u2028", "%", "[", ")",
    ]
)  # fmt: skip
LINES = st.lists(st.lists(WORDS, max_size=4).map("".join), max_size=25)


@settings(max_examples=60, deadline=None)
@given(LINES, st.lists(st.integers(0, 25), max_size=6), st.sampled_from(["ignored", "typed", "unknown"]), st.booleans())
def test_slices_cut_anywhere_give_the_same(
    lines: list[str], cuts: list[int], continuations: Continuations, is_told: bool
) -> None:
    head = lines if is_told else []
    whole = read(lines, continuations, head=head)
    cut = read(lines, continuations, cuts=cuts, head=head)
    assert cut.events == whole.events
    assert cut.account == whole.account
    assert (cut.ledger.first_at, cut.ledger.last_at) == (whole.ledger.first_at, whole.ledger.last_at)
    assert sorted(cut.ledger.examples) == sorted(whole.ledger.examples)


@settings(max_examples=60, deadline=None)
@given(LINES, st.sampled_from(["ignored", "typed", "unknown"]))
def test_a_head_decides_how_fast_and_never_what(lines: list[str], continuations: Continuations) -> None:
    dense = ["2026-11-21 03:12:00.250 UTC [17] WARN too many clients"]
    sparse = ["2026-11-21 03:12:00.250 UTC [17] WARN nothing"] * 9
    one, other = read(lines, continuations, head=dense), read(lines, continuations, head=sparse)
    assert one.events == other.events
    assert one.account == other.account


NAMES = st.sampled_from(
    ["shop", "app web", "a/b", "x@y", "(nodb)", "(nouser)", "u:1", "", "unix", "peer-3", "ünïcode", "a  b"]
)
HOSTS = st.sampled_from(
    ["10.0.0.9:4011", "[fe80::1]:4011", "unix:6432", "unix(77):6432", "10.2.***.**:1", "unixhost:7", "10.0.0.9:", ":5",
     "10.0.0.9:123456789", "[]:5", "h[1]:5", "unix(7:5", "unix(a)b):5", "u:5"]
)  # fmt: skip
POOLER = st.builds(
    lambda stamp, severity, key, db, user, host, message: f"{stamp} {severity} {key}: {db}/{user}@{host} {message}",
    st.sampled_from(
        ["2026-11-21 03:12:00.250 UTC [1]", "2026-11-21 03:12:00.250 [1]", "2026-11-21 03:12:00.250 12", "2026-11-21 03:12:00.250 +03 [1]",
         "2026-11-21 03:12:00 UTC 12", "2026-13-21 03:12:00.250 UTC [1]", "2026-11-21 03:12:00.250 UTC [1", "2026-11-21 03:12:00.250 CET [1]"]
    ),
    st.sampled_from(["LOG", "WARNING", "log"]),
    st.sampled_from(["C-0x55d0", "S-0x55d0", "C-0xff", "C-zz", "S-0x1234567890abcdef", "C-12"]),
    NAMES,
    NAMES,
    HOSTS,
    st.sampled_from(
        ["closing because: client close request (age=3s)", "closing because: no more connections allowed (max_client_conn) (age=0s)",
         "closing because: x", "closing because: x (age=3)", "closing because: x (age=s)", "closing because: (age=3s)", "closing because:  (age=3s)",
         "closing because: a (age=1s) (age=2s)", "closing because: a (age=1s) b", "closing because: x (((((age=1s)", "closing because: x (age=123456789s)",
         "closing because: (a) (b) (c) (d) (e) (age=1s)", "closing because: a(age=1s)", "login attempt: db=a user=b tls=no", "login attempt: db=a user=b",
         "login attempt: db=a user=b tls=no replication=no", "login attempt: db=a user=b tls=TLSv1.3/X replication=no", "login attempt: db=a user=b tls=",
         "login attempt: db=a user=b tls=nothing", "login attempt: db= user=", "login attempt: db=a b user=c", "login attempt: db=a user=b c",
         "login attempt: db=a user=b tls=no replication=", "login attempt: db=a user=b replication=yes", "pooler error: no more connections allowed (max_client_conn)",
         "pooler error: ", "Pooler Error: x", "new connection to server (from 10.0.0.9:40112)", "new connection to server (from [::1]:40112)",
         "new connection to server (from unix:5)", "new connection to server (from 1:2) x", "new connection to server", "stats: 5 xacts/s",
         "hello  client @x:1 y", "a client said closing because: x (age=3s)", ""]
    ),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(POOLER, POOLER, st.sampled_from(["", "x", "\tcontinued", "a client", "2026-11-21 03:12:00.250 UTC [1] LOG process up: PgBouncer 1.24.1, x"])), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=3),
    st.sampled_from([None, "Europe/Berlin"]),
)  # fmt: skip
def test_what_is_typed_at_once_is_what_the_patterns_give(
    lines: list[str], cuts: list[int], timezone: str | None
) -> None:
    dense = ["2026-11-21 03:12:00.250 UTC [1] LOG C-0x55d0: a/b@10.0.0.9:4011 closing because: x (age=3s)"]

    def by(at_once: TypeAtOnce | None) -> Result:
        return read(
            lines, cuts=cuts, frames=pgbouncer_log.FRAMES, catalogue=pgbouncer.CATALOGUE, head=dense, timezone=timezone,
            at_once=at_once, columns="*",
        )  # fmt: skip

    one, other = by(pgbouncer_log.at_once), by(None)
    assert one.events == other.events
    assert one.account == other.account
    assert one.version == other.version
    assert (one.ledger.first_at, one.ledger.last_at) == (other.ledger.first_at, other.ledger.last_at)
    assert sorted(one.ledger.examples) == sorted(other.ledger.examples)
