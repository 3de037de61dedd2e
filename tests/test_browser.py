"""The page in a real browser: opened from disk, as people open it; on a wide screen, a phone, in the dark, on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from connforensics.report.run import write_report
from tests.synthetic import HOSTILE, leak_case

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
CHARTS = 8
A4_AT_96_DPI = (718, 1047)
"""A4 less the margins of the print style, in CSS pixels."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return write_report(leak_case(folder / "leak.duckdb", leaker=HOSTILE), folder).html.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Opened:
    """A page with what it asked for and what it said."""

    def __init__(self, browser: Browser, url: str, width: int = 1280, **options: object) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(url)

    def scroll_through(self) -> Opened:
        self.page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        for figure in self.page.locator("figure.chart").all():
            figure.scroll_into_view_if_needed()
            expect(figure).to_have_attribute("data-state", "live")
        return self


@pytest.fixture(params=[1280, 390], ids=["wide", "phone"])
def opened(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Opened]:
    found = Opened(browser, url, request.param).scroll_through()
    yield found
    found.page.close()


@pytest.fixture
def wide(browser: Browser, url: str) -> Iterator[Opened]:
    found = Opened(browser, url)
    yield found
    found.page.close()


def test_it_asks_for_nothing_and_has_nothing_to_complain_about(opened: Opened, url: str) -> None:
    assert {request.split(",")[0] for request in opened.requests} <= {url, "data:image/svg+xml"}
    assert opened.said == []
    assert opened.page.evaluate("window.pwned") is None


def test_every_chart_is_drawn_and_fits(opened: Opened) -> None:
    page = opened.page
    assert page.locator('figure.chart[data-state="live"]').count() == page.locator("figure.chart").count() == CHARTS
    for figure in page.locator("figure.chart").all():
        outer, inner = figure.bounding_box(), figure.locator(".live svg").bounding_box()
        assert outer is not None
        assert inner is not None
        assert inner["height"] > 40
        assert inner["width"] <= outer["width"] + 1
        assert not figure.locator(".still").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def test_the_plots_of_charts_over_time_stand_under_each_other(wide: Opened) -> None:
    wide.scroll_through()
    edges = wide.page.evaluate(
        """() => [...document.querySelectorAll('figure.chart')].filter((f) => /"type":"utc"/.test(f.textContent)).map((f) => {
             const plot = f.querySelector('.live svg g.mark-group.role-scope .background').getBoundingClientRect();
             return [Math.round(plot.left), Math.round(plot.right)];
           })"""
    )
    assert len(edges) == CHARTS - 1
    assert {left for left, _ in edges} == {edges[0][0]}
    assert max(right for _, right in edges) - min(right for _, right in edges) <= 1


def test_a_tooltip_tells_exact_numbers_at_a_time_in_utc(wide: Opened) -> None:
    wide.scroll_through()
    figure = wide.page.locator("figure.chart").nth(2)
    figure.scroll_into_view_if_needed()
    box = figure.locator(".live svg").bounding_box()
    assert box is not None
    wide.page.mouse.move(box["x"] + 80, box["y"] + 150)
    wide.page.mouse.move(box["x"] + 90, box["y"] + 150)
    tooltip = wide.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5000)
    text = tooltip.inner_text()
    assert re.search(r"UTC\s+2026-11-20 13:4\d:\d\d", text)
    assert re.search(r"all\s+15", text)
    assert re.search(r"idle in transaction\s+3", text)


def test_a_hostile_name_in_a_tooltip_is_text(wide: Opened) -> None:
    wide.scroll_through()
    figure = wide.page.locator("figure.chart").nth(6)
    figure.scroll_into_view_if_needed()
    box = figure.locator(".live svg").bounding_box()
    assert box is not None
    wide.page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 120)
    wide.page.mouse.move(box["x"] + box["width"] - 70, box["y"] + 120)
    tooltip = wide.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5000)
    assert "<script>window.pwned=1</script>" in tooltip.inner_text()
    assert tooltip.locator("script, img, a").count() == 0
    assert wide.page.evaluate("window.pwned") is None


def test_without_scripts_every_chart_shows_its_static_copy(browser: Browser, url: str) -> None:
    found = Opened(browser, url, java_script_enabled=False)
    stills = found.page.locator("figure.chart .still")
    assert stills.count() == CHARTS
    for still in stills.all():
        box = still.bounding_box()
        assert box is not None
        assert box["height"] > 40
    assert found.page.locator("details.behind").first.is_hidden()
    assert found.page.locator("main > section").first.locator("h2").inner_text() == "Verdict"
    found.page.close()


def test_on_paper_no_chart_is_cut_and_nothing_is_hidden(browser: Browser, url: str, folder: Path) -> None:
    width, height = A4_AT_96_DPI
    found = Opened(browser, url, width)
    found.page.emulate_media(media="print")
    for figure in found.page.locator("figure.chart").all():
        box = figure.bounding_box()
        assert box is not None
        assert box["height"] < height, "a chart taller than a sheet would be cut"
        assert box["x"] + box["width"] <= width + 1
        assert figure.evaluate("figure => getComputedStyle(figure).breakInside") == "avoid"
        still = figure.locator(".still").bounding_box()
        assert still is not None
        assert still["width"] <= box["width"] + 1
    clipped = found.page.evaluate(
        "() => [...document.querySelectorAll('main *')].filter((e) => ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowY)"
        " && e.scrollHeight > e.clientHeight + 1).map((e) => e.className)"
    )
    assert clipped == []
    too_wide = found.page.evaluate(
        f"() => [...document.querySelectorAll('main table')].filter((e) => e.getBoundingClientRect().right > {width + 1}).length"
    )
    assert too_wide == 0
    heads = found.page.locator("table.sortable th").all_inner_texts()
    assert all(text.strip() for text in heads)
    found.page.pdf(path=folder / "report.pdf", prefer_css_page_size=True, print_background=True)
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    found.page.close()


def test_the_dark_page_is_dark_and_its_text_can_be_read(browser: Browser, url: str) -> None:
    found = Opened(browser, url, color_scheme="dark").scroll_through()
    shown = found.page.evaluate(
        """() => {
          const light = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
          const style = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
          return [light(style('main > section', 'backgroundColor')), light(style('.lead', 'color')),
                  light(style('.live svg .mark-text text', 'fill'))];
        }"""
    )
    ground, text, label = shown
    assert ground < 0.15
    assert text > 0.8
    assert label > 0.5
    assert found.said == []
    found.page.close()


def test_the_keyboard_reaches_the_verdict_the_contents_and_the_tables(wide: Opened) -> None:
    page = wide.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    page.keyboard.press("Enter")
    assert page.url.endswith("#verdict")
    order = []
    for _ in range(16):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.tagName"))
    assert "BUTTON" in order
    ringed = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ringed == "solid"


def test_a_table_is_sorted_by_its_head(wide: Opened) -> None:
    table = wide.page.locator("table.sortable").filter(has_text="refused_full").first
    head = table.get_by_role("button", name="refusals")
    head.focus()
    wide.page.keyboard.press("Enter")
    column = [th.inner_text() for th in table.locator("th").all()].index("refusals") + 1
    counts = [int(text) for text in table.locator(f"td:nth-child({column})").all_inner_texts()]
    assert counts == sorted(counts)
    assert table.locator('th[aria-sort="ascending"]').count() == 1
    head.click()
    assert [int(text) for text in table.locator(f"td:nth-child({column})").all_inner_texts()] == counts[::-1]


def test_the_numbers_behind_a_chart_are_listed_on_demand(wide: Opened) -> None:
    figure = wide.page.locator("figure.chart").nth(2)
    figure.locator("summary").click()
    rows = figure.locator("details.behind tbody tr")
    rows.first.wait_for()
    assert rows.count() > 100
    assert "2026-11-20 13:40:00" in figure.locator("details.behind").inner_text()


def test_the_contents_follow_the_reader(wide: Opened) -> None:
    wide.page.evaluate(
        "document.documentElement.style.scrollBehavior = 'auto'; document.querySelector('#prevention').scrollIntoView()"
    )
    expect(wide.page.locator("nav.toc a[aria-current]")).to_have_attribute("href", "#prevention")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_screenshots_can_be_looked_at(width: int, scheme: str, browser: Browser, url: str, folder: Path) -> None:
    found = Opened(browser, url, width, color_scheme=scheme).scroll_through()
    path = folder / f"{width}-{scheme}.png"
    found.page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 50_000
    found.page.close()
