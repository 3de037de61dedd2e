"""The report as files: safe against hostile evidence, bounded, the same findings everywhere, nothing of the machine."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import connforensics
from connforensics.errors import CaseError, ConnforensicsError, StorageError, UsageError
from connforensics.report import figures, markdown, page, panels, run
from connforensics.report.advice import ADVICE, WORDS
from connforensics.report.run import ReportPaths, write_report
from connforensics.time_axis import TimeAxis
from tests.synthetic import HOSTILE, leak_case

CASE_NAME = "it's <b onmouseover=alert(1)> & co.duckdb"
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def report(folder: Path) -> ReportPaths:
    case = leak_case(folder / CASE_NAME, leaker=HOSTILE)
    return write_report(case, folder / "out", display_tz="Asia/Kolkata")


@pytest.fixture(scope="module")
def html(report: ReportPaths) -> str:
    return report.html.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def elements(html: str) -> Elements:
    return Elements(html)


def test_it_writes_four_files_and_no_other(report: ReportPaths) -> None:
    assert {path.name for path in report.html.parent.iterdir()} == {
        "index.html",
        "report.md",
        "findings.json",
        "postmortem.ipynb",
    }


def test_findings_are_the_verdict(report: ReportPaths, folder: Path) -> None:
    with connforensics.open_case(folder / CASE_NAME) as case:
        expected = connforensics.weigh(case).as_json()
    assert json.loads(report.findings.read_text(encoding="utf-8")) == json.loads(json.dumps(expected))
    assert report.verdict["cause"] == "connection_leak"


def test_the_page_is_bounded(report: ReportPaths) -> None:
    assert report.html.stat().st_size <= page.MAX_BYTES == 3_000_000


def test_no_element_acts_but_our_two_scripts(elements: Elements) -> None:
    acting = [attributes for attributes, _ in elements.scripts if attributes.get("type") != "application/json"]
    assert acting == [{}, {}]
    assert elements.unbalanced == []
    for tag, attributes in elements.all:
        assert tag not in {"iframe", "object", "embed", "form", "base", "link", "svg", "video", "audio"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("http-equiv") in (None, "Content-Security-Policy")
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#")
        if "src" in attributes:
            assert str(attributes["src"]).startswith("data:image/svg+xml,")


def test_the_policy_admits_these_scripts_by_hash_and_nothing_else(elements: Elements) -> None:
    policy = next(str(a["content"]) for tag, a in elements.all if a.get("http-equiv") == "Content-Security-Policy")
    acting = [text for attributes, text in elements.scripts if "type" not in attributes]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in acting]
    assert policy == (
        f"default-src 'none'; script-src {hashes[0]} {hashes[1]}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_static_copies_cannot_load_or_act(elements: Elements) -> None:
    from urllib.parse import unquote

    stills = [unquote(str(attributes["src"])) for tag, attributes in elements.all if tag == "img"]
    assert len(stills) == 8
    for still in stills:
        drawn = Elements(still.partition(",")[2])
        assert not [tag for tag, _ in drawn.all if tag in {"script", "image", "a", "foreignobject", "style"}]
        assert not [
            name for _, attributes in drawn.all for name in attributes if name.startswith("on") or name.endswith("href")
        ]


def test_hostile_names_are_shown_as_they_are(html: str, report: ReportPaths) -> None:
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in html
    assert "it&#39;s &lt;b onmouseover=alert(1)&gt; &amp; co" in html
    text = report.markdown.read_text(encoding="utf-8")
    outside_code = re.sub(r"`[^`\n]*`", "", text.replace("\\`", ""))
    assert "<script" not in outside_code
    assert "<img" not in outside_code
    assert not re.search(r"(?<!\\)\]\(", outside_code)


def test_data_cannot_end_the_element_it_stands_in(elements: Elements) -> None:
    data = [json.loads(text) for attributes, text in elements.scripts if attributes.get("type") == "application/json"]
    assert len(data) == 9, "one per chart and one they share"
    assert HOSTILE[:60] in json.dumps(data[-1])


def test_each_chart_has_a_label_and_headings_go_down_step_by_step(elements: Elements) -> None:
    charts = [attributes for _, attributes in elements.all if attributes.get("role") == "img"]
    assert len(charts) == 8
    assert all(len(str(attributes["aria-label"])) > 20 for attributes in charts)
    levels = [int(tag[1]) for tag, _ in elements.all if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    landmarks = [tag for tag, _ in elements.all if tag in {"header", "nav", "main", "footer"}]
    assert landmarks == ["header", "nav", "main", "footer"]


def test_what_machines_found_stands_apart_from_what_people_write(elements: Elements) -> None:
    sections = [attributes for tag, attributes in elements.all if tag == "section"]
    assert [str(a["id"]) for a in sections if a.get("class") == "people"] == [
        "summary-for-customers",
        "detection",
        "response",
        "action-items",
        "lessons",
    ]


def test_the_title_names_case_and_window(html: str) -> None:
    title = re.search("<title>(.*?)</title>", html, re.DOTALL)
    assert title is not None
    assert "co · 2026-11-20 19:10:00 to 19:50:00 (Asia/Kolkata, UTC+05:30)" in title[1]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("night-of-march.duckdb", "night-of-march"),
        ("/var/incidents/2026-03-02/case.duckdb", "2026-03-02"),
        ("/var/incidents/report/case.duckdb", ""),
    ],
)
def test_a_case_without_a_name_gets_none(path: str, named: str) -> None:
    assert run._case_name(Path(path)) == named


def test_sources_are_listed_with_their_sha256(html: str, report: ReportPaths) -> None:
    for digest in ("a" * 64, "b" * 64, "c" * 64):
        assert digest in html
        assert digest in report.markdown.read_text(encoding="utf-8")


def test_nothing_tells_of_the_machine(report: ReportPaths, folder: Path) -> None:
    for path in report.html.parent.iterdir():
        text = path.read_text(encoding="utf-8")
        for place in (str(folder), sys.prefix, str(Path(connforensics.__file__).parent), "/tmp/connforensics-"):
            assert place not in text


def test_the_executed_notebook_can_be_run_again_from_where_it_lies(report: ReportPaths) -> None:
    notebook = nbformat.read(report.notebook, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in cells] == [
        f'case_path = "{CASE_NAME}"\nsince = ""\nuntil = ""\ndisplay_tz = "Asia/Kolkata"'
    ]
    assert "papermill" not in notebook.metadata


def test_markdown_holds_headlines_tables_and_the_parts_for_people(report: ReportPaths) -> None:
    text = report.markdown.read_text(encoding="utf-8")
    assert text.startswith("# Post-mortem of it's &lt;b onmouseover=alert(1)&gt; &amp; co\n")
    for part in (
        "## Verdict",
        "**Connection leak**",
        "| cause | support |",
        "_Chart in index.html: Sessions by state",
        "To be filled in by people",
    ):
        assert part in text
    widths = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")]
    assert set(widths) <= set(range(3, 25))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"since": "2026-11-21", "until": "2026-11-20"}, r"--since .* is not before --until"),
        ({"since": "soon"}, r"--since: 'soon' is not a time"),
        ({"display_tz": "Mars/Olympus"}, r"'Mars/Olympus' is not a time zone"),
        ({"parameters": {"colour": "red"}}, r"no parameter 'colour'"),
        ({"parameters": {"since": 5}}, r"parameter since=5 is int, not str"),
    ],
)
def test_a_wrong_call_is_two_lines_and_writes_nothing(arguments: dict[str, object], said: str, tmp_path: Path) -> None:
    case = leak_case(tmp_path / "case.duckdb")
    with pytest.raises(UsageError, match=said) as raised:
        write_report(case, tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert len(str(raised.value).splitlines()) == 2
    assert not (tmp_path / "out").exists()


def test_no_case_is_two_lines(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"no such case\n"):
        write_report(tmp_path / "none.duckdb", tmp_path / "out")


def test_a_failing_cell_leaves_the_notebook_with_a_banner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = leak_case(tmp_path / "case.duckdb")
    notebook = nbformat.read(run.notebook_path(), as_version=4)
    notebook.cells.insert(3, nbformat.v4.new_code_cell("raise ValueError(f'no luck with {case_path}')"))
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    monkeypatch.setattr(run, "notebook_path", lambda: tmp_path / "broken.ipynb")
    with pytest.raises(ConnforensicsError, match=r"cell \d+ failed: ValueError: no luck") as raised:
        write_report(case, tmp_path / "out")
    assert len(str(raised.value).splitlines()) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["postmortem.ipynb"]
    text = (tmp_path / "out" / "postmortem.ipynb").read_text(encoding="utf-8")
    assert "An Exception was encountered" in text
    assert str(tmp_path) not in text
    assert "site-packages" not in text


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").write_text("old", encoding="utf-8")

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match=r"index.html: No space left on device\nFree some space"):
        run._write(tmp_path / "index.html", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "old"


def test_the_kernel_is_this_interpreter_and_the_environment_is_put_back(tmp_path: Path) -> None:
    before = dict(os.environ)
    with run._own_kernel(tmp_path):
        kernel = json.loads((Path(os.environ["JUPYTER_PATH"]) / "kernels" / "python3" / "kernel.json").read_text())
        assert kernel["argv"][0] == sys.executable
    assert dict(os.environ) == before


def test_a_page_too_large_gives_up_its_largest_static_copies(
    report: ReportPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(report.notebook, as_version=4)
    whole = page.render(notebook, "a", "b", "c")
    monkeypatch.setattr(page, "MAX_BYTES", len(whole.encode()) - 50_000)
    smaller = page.render(notebook, "a", "b", "c")
    assert len(smaller.encode()) <= page.MAX_BYTES
    assert 0 < smaller.count('class="still"') < whole.count('class="still"')
    assert smaller.count('data-holds="chart"') == whole.count('data-holds="chart"')


@pytest.mark.parametrize(
    "payload",
    [
        "<script>window.pwned=1</script>",
        "<img src=x onerror=window.pwned=1>",
        "<a href='javascript:window.pwned=1'>x</a>",
        "<meta http-equiv=refresh content='0;url=https://example.org'>",
        "<form action=https://example.org><input name=a></form>",
        "<svg onload=window.pwned=1></svg>",
        "<p style='background:url(https://example.org/x)'>x</p>",
        "<iframe srcdoc='<script>1</script>'></iframe>",
        "<p id=shared>clobbers</p>",
    ],
)
def test_the_cleaner_leaves_nothing_that_acts(payload: str) -> None:
    assert not re.search(
        r"(?i)<(script|img|meta|form|svg|iframe|input)|on\w+=|javascript:|style=|url\(|id=", page.cleaned(payload)
    )


def test_the_cleaner_keeps_tables() -> None:
    table = '<table class="sortable"><thead><tr><th scope="col">a</th></tr></thead><tbody><tr><td class="n" data-key="1.0">1</td></tr></tbody></table>'
    assert page.cleaned(table) == table


@pytest.mark.parametrize("text", ["a|b", "`x`", "*x*", "_x_", "[a](b)", "<b>", "# h", "~~x~~", "a\nb", "\\"])
def test_markdown_shows_text_as_it_is(text: str) -> None:
    from nbconvert.filters.markdown import markdown2html

    shown = re.sub(r"<[^>]+>", "", markdown2html("x " + markdown.plain(text))).strip()
    import html

    assert html.unescape(shown) == "x " + text.replace("\n", " ")


def test_columns_code_what_repeats() -> None:
    rows = [{"state": "active" if i % 2 else None, "n": float(i)} for i in range(10)]
    packed = figures.columns(rows)
    assert packed["n"] == list(range(10))
    assert packed["state"] == {"words": [None, "active"], "codes": [0, 1] * 5}


def test_embedded_json_has_no_less_than() -> None:
    assert figures.script_json({"a": "</script><!--\u2028"}) == '{"a":"\\u003c/script>\\u003c!--\\u2028"}'


def test_a_chart_that_cannot_be_drawn_has_no_static_copy() -> None:
    assert figures.still({"mark": "nonsense"}) == ""


def test_every_cause_has_words_and_advice() -> None:
    from connforensics.causes import CAUSES

    assert set(WORDS) == set(ADVICE) == {*CAUSES, "none", "undetermined"}


def test_a_table_shows_times_in_the_zone_and_cuts_long_ones() -> None:
    start = pd.Timestamp(2026, 1, 1, 12).to_pydatetime()
    axis = TimeAxis(start, start + pd.Timedelta(days=2).to_pytimedelta(), "Asia/Kolkata")
    df = pd.DataFrame(
        {
            "seen_at": [pd.Timestamp(start)] * 300,
            "note": ["x" * 9999] * 300,
            "nothing": [None] * 300,
            "blank": [""] * 300,
        }
    )
    shown = panels.table(df, axis)
    assert "seen,\nAsia/Kolkata, UTC+05:30" in shown.html
    assert "2026-01-01 17:30:00" in shown.html
    assert "100 more rows are in the case." in shown.html
    assert "nothing" not in shown.html
    assert "blank" not in shown.html
    assert len(shown.html) < 150_000


def test_no_report_module_needs_altair_or_jupyter_to_be_imported() -> None:
    import subprocess

    code = (
        "import sys, connforensics.report.run, connforensics.report.panels;"
        "print(sorted({'altair', 'papermill', 'nbconvert', 'pandas', 'vl_convert', 'duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
