"""Whatever surrounds its lines, a log is read as if it stood alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connforensics.case import open_case
from connforensics.evidence import Format, Head, ReadOptions, formats
from connforensics.evidence.recognition import recognise
from connforensics.evidence.unwrapping import Wrapping
from connforensics.evidence.wrappers import COLOURS, WRAPPERS, AnyWrapper
from connforensics.ingest import ingest

ALL = [pytest.param(wrapper, id=wrapper.name) for wrapper in (*WRAPPERS, COLOURS)]

LINE = "2026-11-21 03:12:00.000 UTC [77] FATAL:  sorry, too many clients already"

LATEST = datetime(2026, 11, 30)


def unwrapped(layers: tuple[AnyWrapper, ...], lines: list[str], zone: str | None = None) -> list[dict[str, object]]:
    numbered = pa.table(
        {"line_no": pa.array(range(1, len(lines) + 1), pa.int64()), "text": pa.array(lines, pa.string())}
    )
    [rows] = Wrapping(layers, zone, LATEST).unwrapped([numbered])
    found: list[dict[str, object]] = rows.to_pylist()
    return found


@pytest.mark.parametrize("wrapper", ALL)
def test_a_line_comes_out_as_it_went_in(wrapper: AnyWrapper) -> None:
    lines = [
        LINE,
        "\tSELECT a | b FROM t;",
        'a "quoted" \\ thing {"a": 1}',
        "致命错误:  对不起, 已经有太多的客户",
        "x #010 y",
    ]
    wrapped = [wrapper.wrap(line, number) for number, line in enumerate(lines, 1)]
    assert [peeled.text if (peeled := wrapper.peel(line)) else None for line in wrapped] == lines
    rows = unwrapped((wrapper,), wrapped)
    assert [row["text"] for row in rows] == lines
    assert [row["line_no"] for row in rows] == [1, 2, 3, 4, 5]


ANY_LINE = st.one_of(
    st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",)), max_size=60),
    st.sampled_from([wrapper.wrap(LINE, number) for number, wrapper in enumerate(WRAPPERS, 1)]),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from((*WRAPPERS, COLOURS)), st.lists(ANY_LINE, min_size=1, max_size=5), st.integers(0, 120))
@example(next(each for each in WRAPPERS if each.name == "syslog"), ["авг 09 13:09:20 monk postgres[1]: x"], 0)
def test_a_head_and_a_slice_are_taken_out_alike(wrapper: AnyWrapper, lines: list[str], cut: int) -> None:
    lines = [*lines, lines[0][:cut]]
    rows = unwrapped((wrapper,), lines)
    peeled = [(inner.text, inner.stream) if (inner := wrapper.peel(line)) else (line, "") for line in lines]
    assert [(row["text"], row["stream"]) for row in rows] == peeled


def test_a_time_before_a_line_with_a_time_is_dockers(tmp_path: Path) -> None:
    path = tmp_path / "copied.log"
    path.write_text(
        "2023-06-13 13:08:54 2023-06-13 12:08:54 140443127027392 [Note] mysqld (mysqld 10.2.44-MariaDB) starting as process 1 ...\n"
        "2023-06-13 13:10:55 2023-06-13 12:10:55 29 [Warning] Aborted connection 29 to db: 'tor' user: 'toruser' host:"
        " '172.16.57.13' (Got an error reading communication packets)\n"
    )
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT kind, event_at FROM event ORDER BY line_no") == [
            ("server_starting", datetime(2023, 6, 13, 12, 8, 54)),
            ("session_aborted", datetime(2023, 6, 13, 12, 10, 55)),
        ]


def test_messages_that_syslog_folded_are_said_to_be_more(tmp_path: Path) -> None:
    path = tmp_path / "syslog"
    path.write_text(
        "Jul 26 10:35:24 db1 postgresql[9499]: FATAL:  sorry, too many clients already\n"
        "Jul 26 10:35:25 db1 postgresql[9499]: message repeated 31 times: [ FATAL:  sorry, too many clients already]\n"
    )
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT DISTINCT kind, sqlstate FROM event") == [("refused_full", "53300")]
        assert any("30 more of them happened" in text for (text,) in case.rows("SELECT text FROM assumption"))


def test_a_time_alone_is_the_lines_own(tmp_path: Path) -> None:
    path = tmp_path / "postgres.log"
    path.write_text("2016-12-20 11:14:09 CST [25669-1] mqtt@test_mqtt FATAL:  sorry, too many clients already\n" * 3)
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT DISTINCT event_at, user_name FROM event") == [
            (datetime(2016, 12, 20, 17, 14, 9), "mqtt")
        ]


def test_a_colour_that_syslog_escaped_is_taken_off() -> None:
    syslog = next(wrapper for wrapper in WRAPPERS if wrapper.name == "syslog")
    line = "Apr 11 03:51:20 vps shop: #033[41m#033[30mfail#033[39m#033[22m#033[49m: Shop.Startup[3]"
    assert syslog.peel(line).text == "fail: Shop.Startup[3]"  # type: ignore[union-attr]
    assert [row["text"] for row in unwrapped((syslog,), [line])] == ["fail: Shop.Startup[3]"]


def test_the_processes_of_one_server_are_one_stream() -> None:
    heroku = next(wrapper for wrapper in WRAPPERS if wrapper.name == "heroku")
    lines = [f"2026-11-21T03:12:00.1+00:00 app[{name}]: x" for name in ("postgres.15515", "postgres.15516", "web.1")]
    assert [heroku.peel(line).stream for line in lines] == ["app[postgres", "app[postgres", "app[web.1]"]  # type: ignore[union-attr]


def test_a_time_without_a_year_is_of_the_last_twelve_months() -> None:
    syslog = next(wrapper for wrapper in WRAPPERS if wrapper.name == "syslog")
    rows = unwrapped(
        (syslog,),
        [
            "Nov 21 03:12:00 db1 postgres[5]: x",
            "Dec 31 23:59:59 db1 postgres[5]: x",
            "Feb 30 00:00:00 db1 postgres[5]: x",
            "авг 09 13:09:20 db1 postgres[5]: x",
        ],
        "Europe/Berlin",
    )
    assert [row["received_at"] for row in rows] == [
        datetime(2026, 11, 21, 2, 12),
        datetime(2025, 12, 31, 22, 59, 59),
        None,
        datetime(2026, 8, 9, 11, 9, 20),
    ]


FRAMED = [
    pytest.param(wrapper, framed, frame, id=f"{wrapper.name}-{framed.name}-{frame}")
    for wrapper in (*WRAPPERS, COLOURS)
    for framed in formats().values()
    for frame in range(len(framed.frames))
]


@pytest.mark.parametrize(("wrapper", "framed", "frame"), FRAMED)
def test_every_message_is_found_in_every_frame_and_wrapper(
    wrapper: AnyWrapper, framed: Format, frame: int, tmp_path: Path
) -> None:
    lines: list[str] = []
    begins = []
    for number, entry in enumerate(framed.catalogue, 1):
        begins.append(len(lines) + 1)
        lines += framed.frames[frame](entry.sample, number).split("\n")
    path = tmp_path / "wrapped"
    path.write_text("".join(f"{wrapper.wrap(line, number)}\n" for number, line in enumerate(lines, 1)))
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        told = dict(case.rows("SELECT line_no, kind FROM event"))
        assert case.rows("SELECT lines, lines - understood - ignored - unknown FROM source") == [(len(lines), 0)]
    missed = {
        (begin, entry.sample): told.get(begin)
        for begin, entry in zip(begins, framed.catalogue, strict=True)
        if told.get(begin) != entry.kind
    }
    assert not missed


def test_wrappers_lie_in_each_other() -> None:
    by_name = {wrapper.name: wrapper for wrapper in WRAPPERS}
    lines = [
        f"2026-11-21 03:12:{n:02}.000 UTC [77] LOG:  connection received: host=10.0.0.5 port=4{n:02}" for n in range(20)
    ]
    inner = [by_name["syslog"].wrap(line, n) for n, line in enumerate(lines, 1)]
    outer = [by_name["docker_json"].wrap(line, n) for n, line in enumerate(inner, 1)]
    found = recognise(Head(tuple(outer)), is_whole=True)
    assert [layer.name for layer in found.layers] == ["docker_json", "syslog"]
    assert [part.format.name for part in found.parts if part.format] == ["postgres_log"]


def test_two_servers_and_a_stranger_in_one_stream(tmp_path: Path) -> None:
    received = "2026-11-21 03:12:{n:02}.000 UTC [{pid}] LOG:  connection received: host=10.0.0.5 port=4{n:02}"
    lines = []
    for n in range(20):
        lines.append("db-a  | " + received.format(n=n, pid=100 + n))
        lines.append("db-b  | " + received.format(n=n, pid=500 + n))
        lines.append(f'web   | 10.0.0.9 - - "GET /{n} HTTP/1.1" 200')
    path = tmp_path / "compose.log"
    path.write_text("\n".join(lines) + "\n")
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT server, count(*), min(line_no) FROM event GROUP BY server ORDER BY server") == [
            ("db-a", 20, 1),
            ("db-b", 20, 2),
        ]
        assert case.rows("SELECT lines, understood, ignored, unknown, wrapper FROM source") == [
            (60, 40, 20, 0, "compose")
        ]
        [(assumed,)] = case.rows("SELECT text FROM assumption")
        assert "web" in assumed


def test_a_stream_may_have_any_name(tmp_path: Path) -> None:
    received = "Nov 21 03:12:{n:02} {host} postgres[{pid}]: [1-1] LOG:  connection received: host=10.0.0.5 port=4{n:02}"
    lines = []
    for n in range(20):
        lines += [received.format(n=n, pid=100 + n, host=host) for host in ("db-a", "o'brien")]
        lines.append(f"Nov 21 03:12:{n:02} db-a it's[7]: nothing")
    (tmp_path / "messages").write_text("\n".join(lines) + "\n")
    ingest(tmp_path / "case.duckdb", [tmp_path / "messages"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT lines, understood, ignored, unknown FROM source") == [(60, 40, 20, 0)]
        assert [server for (server,) in case.rows("SELECT DISTINCT server FROM event ORDER BY server")] == [
            "db-a postgres",
            "o'brien postgres",
        ]


def test_evidence_in_a_pasted_talk_is_taken_apart(tmp_path: Path) -> None:
    text = f"""anna 03:14: the shop is down, look:

{LINE}
{LINE.replace("[77]", "[78]")}

bert 03:15: and the pool says

time,service,size,checked_out,waiting
2026-11-21T03:12:00Z,orders,10,10,42
2026-11-21T03:12:10Z,orders,10,10,57

anna 03:16: restarting
"""
    path = tmp_path / "chat.txt"
    path.write_text(text)
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT line_no, kind FROM event ORDER BY ALL") == [(3, "refused_full"), (4, "refused_full")]
        assert case.rows("SELECT line_no, waiting FROM pool_sample ORDER BY ALL") == [(9, 42.0), (10, 57.0)]
        [(lines, understood, unknown)] = case.rows("SELECT lines, understood, unknown FROM source")
    assert (lines, understood, unknown) == (12, 4, 3)


def test_what_was_asked_one_after_the_other_is_all_read(tmp_path: Path) -> None:
    text = """shop=# select now();
              now
-------------------------------
 2026-11-21 03:12:00.5+00
(1 row)

shop=# select pid, usename, state from pg_stat_activity;
 pid | usename | state
-----+---------+--------
 101 | orders  | idle
 102 | web     | active
(2 rows)

shop=# show max_connections;
 max_connections
-----------------
 100
(1 row)
"""
    (tmp_path / "paste.txt").write_text(text)
    ingest(tmp_path / "case.duckdb", [tmp_path / "paste.txt"])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.rows("SELECT line_no, backend_id, sampled_at::VARCHAR FROM backend_sample ORDER BY ALL") == [
            (10, 101, "2026-11-21 03:12:00.5"),
            (11, 102, "2026-11-21 03:12:00.5"),
        ]
        assert case.rows("SELECT name, value, line_no FROM setting") == [("max_connections", "100", 17)]


def test_what_a_line_does_not_tell_its_wrapper_does(tmp_path: Path) -> None:
    """Under syslog a log_line_prefix needs neither time nor process."""
    lines = [
        f"Nov 21 03:12:{n:02} db1 postgres[{4000 + n}]: [1-1] user=app,db=shop FATAL:  sorry, too many clients already"
        for n in range(20)
    ]
    path = tmp_path / "syslog"
    path.write_text("\n".join(lines) + "\n")
    ingest(tmp_path / "case.duckdb", [path], ReadOptions(timezone="Europe/Berlin"))
    with open_case(tmp_path / "case.duckdb") as case:
        rows = case.rows(
            "SELECT strftime(event_at, '%m-%d %H:%M:%S'), backend_id, user_name FROM event ORDER BY line_no"
        )
    assert rows == [(f"11-21 02:12:{n:02}", 4000 + n, "app") for n in range(20)]
