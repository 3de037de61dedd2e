"""Tables of every shape come back cell by cell, each row with its true physical line, and every line accounted for."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connforensics.evidence import Head, Reading, ReadOptions, tables
from connforensics.evidence.containers import unpack
from connforensics.evidence.shapes import blocks, drawn, objects, pasted, time_lines

NAMES = ("pid", "usename", "state", "query")

Cells = Sequence[str]
Written = tuple[str, list[int]]
"""A text, and the physical line on which each row begins."""


def accepts(names: Sequence[str]) -> bool:
    return set(NAMES[:2]) <= set(names)


class Found:
    """What `frames` gives for a text: rows with their lines, and the ledger with the rows taken as understood."""

    def __init__(self, text: str | bytes, folder: Path, name: str = "x.txt") -> None:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogateescape"))
        unpacked = unpack(path)
        lines = b"".join(unpacked.blocks()).replace(b"\r\n", b"\n").decode(errors="backslashreplace").split("\n")
        head = Head(tuple((lines[:-1] if not lines[-1] else lines)[:2000]))
        self.reading = Reading(None, 1, unpacked, head, ReadOptions())  # type: ignore[arg-type]
        self.layout = tables.find(head.lines, accepts)
        self.rows: list[list[str | None]] = []
        self.line_nos: list[int] = []
        self.told: list[str | None] = []
        self.anew: list[bool] = []
        self.row_lines = 0
        for frame in tables.frames(self.reading, accepts):
            order = [f"c{frame.names.index(name)}" if name in frame.names else None for name in NAMES]
            for row in frame.rows.to_pylist():
                self.rows.append([row[column] if column else None for column in order])
                self.line_nos.append(row["line_no"])
                self.told.append(row["told"])
                self.anew.append(row["anew"])
                self.row_lines += row["lines"]

    @property
    def is_balanced(self) -> bool:
        ledger = self.reading.ledger
        return ledger.lines == self.row_lines + ledger.ignored + ledger.unknown


# Writers: what each client does, by its own rules


def psql_aligned(rows: Sequence[Cells], border: int = 1) -> Written:
    """print_aligned_text of psql: a column as wide as its longest line, a line break marked with + at its edge."""
    lines_of = [[cell.split("\n") for cell in row] for row in rows]
    widths = [
        max([len(name), *(drawn.width(line) for row in lines_of for line in row[column])])
        for column, name in enumerate(NAMES)
    ]
    is_last_open = border == 2

    def fill(text: str, width: int) -> str:
        return text + " " * (width - drawn.width(text))

    rule = {
        0: " ".join("-" * width for width in widths),
        1: "+".join("-" * (width + 2) for width in widths),
        2: "+" + "+".join("-" * (width + 2) for width in widths) + "+",
    }[border]
    out = []
    starts = []

    def draw(cells: list[tuple[str, bool]]) -> str:
        parts = [
            fill(text, width) + ("+" if goes_on else " ") for (text, goes_on), width in zip(cells, widths, strict=True)
        ]
        if border == 0:
            return "".join(parts).rstrip()
        body = "|".join(" " + part for part in parts)
        return f"|{body}|" if is_last_open else body.rstrip()

    if border == 2:
        out.append(rule)
    out += [draw([(name, False) for name in NAMES]), rule]
    for row in lines_of:
        starts.append(len(out) + 1)
        for index in range(max(map(len, row))):
            out.append(draw([(cell[index] if index < len(cell) else "", index + 1 < len(cell)) for cell in row]))
    if border == 2:
        out.append(rule)
    out.append(f"({len(rows)} rows)")
    return "\n".join(out) + "\n\n", starts


def psql_expanded(rows: Sequence[Cells]) -> Written:
    out = []
    starts = []
    name_width = max(map(len, NAMES))
    for number, row in enumerate(rows, 1):
        starts.append(len(out) + 1)
        out.append(f"-[ RECORD {number} ]-" + "-" * 20)
        longest = max(len(line) for cell in row for line in cell.split("\n"))
        for name, cell in zip(NAMES, row, strict=True):
            lines = cell.split("\n")
            for index, line in enumerate(lines):
                head = name if index == 0 else ""
                goes_on = index + 1 < len(lines)
                value = line.ljust(longest) + "+" if goes_on else line
                out.append(f"{head:<{name_width}} | {value}".rstrip())
    return "\n".join(out) + "\n", starts


def psql_unaligned(rows: Sequence[Cells]) -> Written:
    out, starts, at = ["|".join(NAMES)], [], 2
    for row in rows:
        starts.append(at)
        out.append("|".join(row))
        at += 1 + "".join(row).count("\n")
    return "\n".join([*out, f"({len(rows)} rows)"]) + "\n", starts


def psql_html(rows: Sequence[Cells]) -> Written:
    out = ['<table border="1">', "  <tr>"]
    out += [f'    <th align="center">{name}</th>' for name in NAMES]
    out.append("  </tr>")
    starts = []
    for row in rows:
        starts.append(sum(line.count("\n") + 1 for line in out) + 1)
        out.append('  <tr valign="top">')
        for cell in row:
            text = html.escape(cell).replace("\n", "<br />\n") if cell.strip() else "&nbsp; "
            out.append(f'    <td align="left">{text}</td>')
        out.append("  </tr>")
    out += ["</table>", f"<p>({len(rows)} rows)<br />", "</p>"]
    return "\n".join(out) + "\n", starts


def mysql_html(rows: Sequence[Cells]) -> Written:
    out = "<TABLE BORDER=1><TR>" + "".join(f"<TH>{name}</TH>" for name in NAMES) + "</TR>"
    starts = []
    for row in rows:
        starts.append(out.count("\n") + 1)
        out += "<TR>" + "".join(f"<TD>{html.escape(cell)}</TD>" for cell in row) + "</TR>"
    return out + "</TABLE>", starts


def mysql_xml(rows: Sequence[Cells]) -> Written:
    out = '<?xml version="1.0"?>\n\n<resultset statement="SHOW PROCESSLIST\n" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
    starts = []
    for row in rows:
        starts.append(out.count("\n") + 1)
        out += "  <row>\n"
        for name, cell in zip(NAMES, row, strict=True):
            out += (
                f'\t<field name="{name}">{html.escape(cell)}</field>\n'
                if cell
                else f'\t<field name="{name}" xsi:nil="true" />\n'
            )
        out += "  </row>\n\n"
    return out.removesuffix("\n") + "</resultset>\n", starts


def mysql_box(rows: Sequence[Cells]) -> Written:
    """print_table_data of mysql: a line break in a cell is one character of its width, and written as it is."""
    widths = [max([len(name), *(drawn.width(row[column]) for row in rows)]) for column, name in enumerate(NAMES)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def draw(cells: Cells) -> str:
        return (
            "|"
            + "|".join(
                f" {cell}{' ' * (width - drawn.width(cell))} " for cell, width in zip(cells, widths, strict=True)
            )
            + "|"
        )

    text = "\n".join([rule, draw(NAMES), rule]) + "\n"
    starts = []
    for row in rows:
        starts.append(text.count("\n") + 1)
        text += draw(row) + "\n"
    return text + rule + f"\n{len(rows)} rows in set (0.00 sec)\n\n", starts


def mysql_vertical(rows: Sequence[Cells]) -> Written:
    text = ""
    starts = []
    for number, row in enumerate(rows, 1):
        starts.append(text.count("\n") + 1)
        text += f"{'*' * 27} {number}. row {'*' * 27}\n"
        text += "".join(f"{name:>7}: {cell}\n" for name, cell in zip(NAMES, row, strict=True))
    return text + f"{len(rows)} rows in set (0.00 sec)\n\n", starts


def escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def mysql_batch(rows: Sequence[Cells]) -> Written:
    out = ["\t".join(NAMES), *("\t".join(map(escaped, row)) for row in rows)]
    return "\n".join(out) + "\n", list(range(2, len(rows) + 2))


def delimited(delimiter: str) -> Callable[[Sequence[Cells]], Written]:
    def write(rows: Sequence[Cells]) -> Written:
        target = io.StringIO(newline="")
        writer = csv.writer(target, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(NAMES)
        starts = []
        for row in rows:
            starts.append(target.getvalue().count("\n") + 1)
            writer.writerow(row)
        return target.getvalue(), starts

    return write


def markdown(rows: Sequence[Cells]) -> Written:
    out = ["| " + " | ".join(NAMES) + " |", "|---|:---|---:|:---:|"]
    out += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in row) + " |" for row in rows]
    return "\n".join(out) + "\n", list(range(3, len(rows) + 3))


def json_lines(rows: Sequence[Cells]) -> Written:
    out = [json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=False) for row in rows]
    return "\n".join(out) + "\n", list(range(1, len(rows) + 1))


def json_array(rows: Sequence[Cells]) -> Written:
    text = json.dumps([dict(zip(NAMES, row, strict=True)) for row in rows], indent=2) + "\n"
    return text, [index for index, line in enumerate(text.split("\n"), 1) if line == "  {"]


def json_in_one_line(rows: Sequence[Cells]) -> Written:
    return json.dumps({"took": 3, "rows": [dict(zip(NAMES, row, strict=True)) for row in rows]}) + "\n", [1] * len(rows)


def json_agg_in_psql(rows: Sequence[Cells]) -> Written:
    objects = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows]
    lines = ("[" + ", \n ".join(objects) + "]").split("\n")
    width = max(map(len, lines))
    out = ["json_agg".center(width + 2).rstrip(), "-" * (width + 2)]
    out += [f" {line.ljust(width)}+" for line in lines[:-1]] + [f" {lines[-1]}", "(1 row)", ""]
    return "\n".join(out), list(range(3, len(rows) + 3))


def row_to_json_as_csv(rows: Sequence[Cells]) -> Written:
    out = ["row_to_json"]
    out += ['"' + json.dumps(dict(zip(NAMES, row, strict=True))).replace('"', '""') + '"' for row in rows]
    return "\n".join(out) + "\n", list(range(2, len(rows) + 2))


SHAPES: dict[str, Callable[[Sequence[Cells]], Written]] = {
    "psql aligned": psql_aligned,
    "psql border 0": lambda rows: psql_aligned(rows, 0),
    "psql border 2": lambda rows: psql_aligned(rows, 2),
    "psql expanded": psql_expanded,
    "psql unaligned": psql_unaligned,
    "psql html": psql_html,
    "mysql box": mysql_box,
    "mysql vertical": mysql_vertical,
    "mysql batch": mysql_batch,
    "mysql html": mysql_html,
    "mysql xml": mysql_xml,
    "csv": delimited(","),
    "semicolons": delimited(";"),
    "tabs with quotes": delimited("\t"),
    "markdown": markdown,
    "json lines": json_lines,
    "json array": json_array,
    "json in one line": json_in_one_line,
    "json_agg in psql": json_agg_in_psql,
    "row_to_json as csv": row_to_json_as_csv,
}

LETTERS = st.characters(
    codec="utf-8", categories=["Lu", "Ll", "Lo", "Nd", "Po", "Sm", "Sc"], exclude_characters="|\\+↵…`*·"
)
LINE = st.text(LETTERS, min_size=1, max_size=14).filter(lambda text: text not in tables.NULLS)
STATEMENT = st.lists(LINE, min_size=1, max_size=3).map(
    lambda parts: "\n".join(["SELECT", *parts]) if len(parts) > 1 else "SELECT " + parts[0]
)
ROWS = st.lists(
    st.tuples(LINE, st.sampled_from(["active", "idle in transaction", ""]), STATEMENT), min_size=1, max_size=6
)


@pytest.mark.parametrize("shape", SHAPES)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=ROWS)
def test_what_a_client_writes_comes_back(shape: str, rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    cells = [(str(pid), *row) for pid, row in enumerate(rows, 7)]
    text, starts = SHAPES[shape](cells)
    found = Found(text, tmp_path)
    assert found.rows == [[cell or None for cell in row] for row in cells]
    assert found.line_nos == starts
    assert found.is_balanced
    assert found.reading.ledger.unknown == 0


# Where a table stands

BOX = mysql_box([("7", "web", "idle", "SELECT 1"), ("8", "web", "active", "SELECT\n2")])[0]
ALIGNED = psql_aligned([("7", "web", "idle", "SELECT 1"), ("8", "web", "active", "SELECT\n2")])[0]
EXPECTED = [["7", "web", "idle", "SELECT 1"], ["8", "web", "active", "SELECT\n2"]]


@pytest.mark.parametrize("text", [BOX, ALIGNED], ids=["box", "aligned"])
@pytest.mark.parametrize("before", ["> ", ">", "    ", "\t"])
def test_a_table_quoted_or_indented_in_a_chat(text: str, before: str, tmp_path: Path) -> None:
    told = "look:\n\n```sql\n" + "".join(f"{before}{line}\n" for line in text.rstrip("\n").split("\n")) + "```\nbad\n"
    found = Found(told, tmp_path)
    assert found.rows == EXPECTED
    assert found.line_nos[0] == 4 + text.split("\n").index(next(line for line in text.split("\n") if "web" in line))
    assert found.is_balanced
    assert found.reading.ledger.examples == [(1, "look:"), (text.rstrip("\n").count("\n") + 6, "bad")]


def test_a_comparison_in_a_statement_is_no_quotation(tmp_path: Path) -> None:
    rows = [("7", "web", "active", "SELECT a\n> b"), ("8", "web", "idle", "SELECT 1")]
    assert Found(mysql_vertical(rows)[0], tmp_path).rows == [list(row) for row in rows]


def test_a_terminal_folded_a_box(tmp_path: Path) -> None:
    text = mysql_box([("7", "web", "idle", "SELECT 1"), ("8", "web", "active", "SELECT 2")])[0]
    folded = "".join(
        line[at : at + 25] + "\n" for line in text.rstrip("\n").split("\n") for at in range(0, max(len(line), 1), 25)
    )
    found = Found(folded, tmp_path)
    assert found.rows == [["7", "web", "idle", "SELECT 1"], ["8", "web", "active", "SELECT 2"]]
    assert found.line_nos == [7, 9]
    assert found.is_balanced
    assert found.reading.ledger.unknown == 0


def test_output_of_mysql_raw_with_line_breaks_and_tabs_in_statements(tmp_path: Path) -> None:
    text = (
        "pid\tusename\tstate\tquery\tprogress\n"
        "7\tweb\tactive\tSELECT a\n\n\tFROM b\n-- 12\t0.000\n"
        "8\tweb\tidle\tNULL\t0.000\n"
        "TS 1795230721.5 2026-11-21 03:12:01\n"
        "pid\tusename\tstate\tquery\tprogress\n"
        "9\tweb\tactive\tSELECT 'x\\ty'\t0.000\n"
    )
    found = Found(text, tmp_path)
    assert found.rows == [
        ["7", "web", "active", "SELECT a\n\n\tFROM b\n-- 12"],
        ["8", "web", "idle", None],
        ["9", "web", "active", "SELECT 'x\ty'"],
    ]
    assert found.line_nos == [2, 6, 9]
    assert found.told == [None, None, "2026-11-21 03:12:01.500000+00"]
    assert found.is_balanced
    assert found.reading.ledger.unknown == 0


def test_a_statement_with_bars_in_unaligned_output(tmp_path: Path) -> None:
    text = "pid|usename|query|state\n7|web|SELECT a || '|' || b\nFROM c|active\n8|web||idle\n(2 rows)\n"
    assert Found(text, tmp_path).rows == [
        ["7", "web", "active", "SELECT a || '|' || b\nFROM c"],
        ["8", "web", "idle", None],
    ]


TIMES = {
    "Sat 21 Nov 2026 03:12:00 AM UTC (every 2s)": "2026-11-21 03:12:00+00",
    "sam. 21 nov. 2026 03:12:00 (toutes les 2s)": "2026-11-21 03:12:00+00",
    "Сб 21 ноя 2026 03:12:00 (каждые 2s)": "2026-11-21 03:12:00+00",
    "2026年11月21日 03時12分00秒 (2s 毎)": "2026-11-21 03:12:00+00",
    "2026년 11월 21일 (토) 오후 03시 12분 00초 (2초 마다)": "2026-11-21 15:12:00+00",
    "sob, 21 lis 2026, 03:12:00 (co 2s)": "2026-11-21 03:12:00+00",
    "Watch every 2s\tSat Nov 21 03:12:00 2026": "2026-11-21 03:12:00+00",
    "Sessions\tSat 21 Nov 2026 03:12:00 AM UTC (every 2s)": "2026-11-21 03:12:00+00",
    "Sa 21. Nov 04:12:00 CET 2026": "2026-11-21 03:12:00+00",
    "TS 1795230720.25 2026-11-21 04:12:00": "2026-11-21 03:12:00.250000+00",
    "=== 2026-11-21T03:12:00Z ===": "2026-11-21 03:12:00+00",
    "sampled at: 2026-11-21 04:12:00+01": "2026-11-21 03:12:00+00",
}


@pytest.mark.parametrize("line", TIMES)
def test_a_line_that_is_a_time(line: str) -> None:
    assert time_lines.told(line, None) == TIMES[line]


@pytest.mark.parametrize(
    "line",
    [
        "we met on 21 nov 2026 at 03:12:00 and it was bad", "03:12:00 up 3 days", "2026-11-21 03:12:00 [7] LOG:  x",
        "2026-11-21 03:12:00+00|||7|x", "1795230720", "port 5432:5432", "",
    ],
)  # fmt: skip
def test_a_line_that_is_no_time(line: str) -> None:
    assert time_lines.told(line, None) is None


ASKED = {
    "csv": "now\n2026-11-21 03:12:{n:02d}+00\n",
    "aligned": "              now\n-------------------------------\n 2026-11-21 03:12:{n:02d}+00\n(1 row)\n\n",
    "box": "+---------------------+\n| NOW()               |\n+---------------------+\n| 2026-11-21 03:12:{n:02d} |\n+---------------------+\n1 row in set (0.00 sec)\n\n",
    "vertical": "*************************** 1. row ***************************\nNOW(): 2026-11-21 03:12:{n:02d}\n1 row in set (0.00 sec)\n\n",
    "batch": "NOW()\n2026-11-21 03:12:{n:02d}\n",
    "date": "Sat Nov 21 03:12:{n:02d} UTC 2026\n",
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "shape",
    ["psql aligned", "mysql box", "mysql vertical", "mysql batch", "csv", "json lines", "mysql xml", "psql html"],
)
def test_the_time_above_a_table_is_its_own(
    asked: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pasted, "WINDOW_LINES", 29)
    text = "".join(
        ASKED[asked].format(n=n) + SHAPES[shape]([(str(pid), "web", "idle", "SELECT 1") for pid in range(3)])[0]
        for n in range(20)
    )
    found = Found(text, tmp_path)
    assert [row[0] for row in found.rows] == ["0", "1", "2"] * 20
    assert found.told == [f"2026-11-21 03:12:{n:02d}+00" for n in range(20) for _ in range(3)]
    assert found.anew == [True, False, False] * 20
    assert found.is_balanced
    assert found.reading.ledger.unknown == 0


def test_a_time_belongs_to_the_one_table_below_it(tmp_path: Path) -> None:
    table = "pid,usename,state,query\n7,web,idle,\n"
    found = Found("2026-11-21 03:12:00+00\n" + table + table, tmp_path)
    assert found.told == ["2026-11-21 03:12:00+00", None]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_table_in_bounded_memory(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pasted, "WINDOW_LINES", 100)
    monkeypatch.setattr(pasted, "LONG_TABLE", 20)
    monkeypatch.setattr(objects, "MOST_LINES", 80)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    rows = [(str(pid), "web", "active", "SELECT\n1" if pid % 3 else "SELECT 2") for pid in range(400)]
    text, starts = SHAPES[shape](rows)
    found = Found(f"some talk\n\n{text}\nmore talk\n", tmp_path)
    assert [row[0] for row in found.rows] == [row[0] for row in rows]
    assert found.rows == [list(row) for row in rows]
    assert found.line_nos == [start + 2 for start in starts]
    assert found.anew == [True] + [False] * 399
    assert found.is_balanced
    assert found.reading.ledger.examples == [
        (1, "some talk"),
        (text.count("\n") + 4 - (not text.endswith("\n")) + (not text.endswith("\n")), "more talk"),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_table_cut_anywhere_is_accounted_for(shape: str, tmp_path: Path) -> None:
    text, _ = SHAPES[shape]([("7", "web", "active", "SELECT\n1"), ("8", "ünï", "idle", "SELECT 2")])
    content = text.encode()
    for cut in range(1, len(content), max(len(content) // 60, 1)):
        found = Found(content[:cut], tmp_path)
        assert found.is_balanced, content[:cut]


def test_an_answer_that_was_cut_off_gives_the_rows_that_are_whole(tmp_path: Path) -> None:
    text = json_array([(str(pid), "web", "idle", "SELECT 1") for pid in range(9)])[0]
    found = Found('{"took": 1,\n"rows": ' + text[: len(text) * 2 // 3], tmp_path)
    assert [row[0] for row in found.rows] == ["0", "1", "2", "3", "4", "5"]


def test_an_object_of_a_whole_answer_larger_than_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_OBJECT_BYTES", 500)
    monkeypatch.setattr(objects, "MOST_LINES", 30)
    monkeypatch.setattr(pasted, "WINDOW_LINES", 40)
    text = (
        '{"took": 1, "name": "x",\n"rows": '
        + json_array([(str(pid), "web", "idle", "SELECT 1") for pid in range(300)])[0]
        + "}\n"
    )
    found = Found(text, tmp_path)
    assert [row[0] for row in found.rows] == [str(pid) for pid in range(300)]
    assert found.is_balanced


def test_unknown_lines_that_speak_of_connections_are_suspects(tmp_path: Path) -> None:
    found = Found("too many connections again\n\nhello\n" + BOX, tmp_path)
    assert (found.reading.ledger.unknown, found.reading.ledger.suspects) == (2, 1)


def test_blocks_with_time_lines_between_headers_stay_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*_: object, **__: object) -> None:
        raise AssertionError("read record by record")

    monkeypatch.setattr(blocks.Blocks, "_slowly", slowly)
    table = "pid,usename,state,query\n" + "".join(f'{pid},web,idle,"SELECT\n1"\n' for pid in range(50))
    found = Found("".join(f"2026-11-21 03:12:{n:02d}+00\n{table}\n" for n in range(60)), tmp_path)
    assert found.told == [f"2026-11-21 03:12:{n:02d}+00" for n in range(60) for _ in range(50)]
    assert found.line_nos[50] == 106
    assert found.is_balanced


def test_a_packed_file_is_read_as_the_plain_one(tmp_path: Path) -> None:
    text, _ = delimited(",")([(str(pid), "web", "idle", "a\nb") for pid in range(2000)])
    plain, packed = Found(text, tmp_path), Found(gzip.compress(text.encode()), tmp_path)
    assert packed.rows == plain.rows
    assert packed.line_nos == plain.line_nos
