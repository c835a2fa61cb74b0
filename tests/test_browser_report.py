"""The report in a real browser, from a file: nothing is fetched, tables sort and filter, hostile text is text."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser import launch, watch
from nlilab.stages.report import main
from report_run import HOSTILE, lay
from report_sets import lay_cost, lay_grades, lay_sets

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MADE = "curated/nli/grammar"
MODELS = {"raw": 0.5, "corrected": 0.7}
ROWS = f"#rows-{MADE.replace('/', '-')}"
# The ratio of WCAG 2.2 between the letters of what a selector finds and the page behind them.
CONTRAST = """(selector) => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [...[r, g, b].map((part) => (text.startsWith("color(") ? part : part / 255)), a];
  };
  const light = (colour) => colour
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (part) => {
    const [r, g, b, a] = parse(getComputedStyle(part).backgroundColor);
    if (a === 1) return [r, g, b];
    return behind(part.parentElement).map((under, place) => a * [r, g, b][place] + (1 - a) * under);
  };
  return [...document.querySelectorAll(selector)].map((part) => {
    const [a, b] = [parse(getComputedStyle(part).color).slice(0, 3), behind(part)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One Chromium for all tests of this file."""
    with launch() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report whose texts are hostile."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lay(folder, MODELS, ["plain"], text=HOSTILE, victims={"corrected": 0.5})
        lay_sets(folder, {MADE: [300], "suites/plain": [300]}, text=HOSTILE, difficult=(MADE,))
        lay_cost(folder, "nli/grammar", HOSTILE)
        lay_grades(folder)
        main(Path("metrics"), Path("reports"))
    return (folder / "reports" / "report.html").as_uri()


@pytest.fixture
def page(browser: "Browser", report: str) -> "Iterator[Page]":
    """The report, opened; at the end nothing must have gone wrong and nothing have been asked for but the file."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    wrong, asked = watch(opened), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    opened.goto(report)
    yield opened
    opened.close()
    assert wrong == []
    assert asked == [report]


def shown(page: "Page", column: int) -> list[str]:
    """The texts of a column's cells in the rows that are not filtered away."""
    found: list[str] = page.locator(f"{ROWS} tbody tr:not([hidden]) > :nth-child({column})").all_inner_texts()
    return found


def test_rows_are_filtered_by_text_and_label(page: "Page") -> None:
    page.get_by_text("rows of curated/nli/grammar to read").click()
    form = page.locator(f"form[data-table={ROWS[1:]}]")
    told = form.locator("output")
    assert told.inner_text() == "30 of 30 rows"
    form.get_by_label("label").select_option("neutral")
    assert told.inner_text() == "10 of 30 rows"
    assert set(shown(page, 4)) == {"neutral"}
    form.get_by_label("text").fill("HE WALKS 2")
    assert [text.strip() for text in shown(page, 3)] == [
        "He walks 2.",
        "He walks 20.",
        "He walks 23.",
        "He walks 26.",
        "He walks 29.",
    ]
    form.get_by_label("region").select_option("easy")
    assert told.inner_text() == "4 of 30 rows"
    form.get_by_label("region").select_option("hard")
    form.get_by_label("candidate").select_option("PVI below 0, flagged")
    assert [text.strip() for text in shown(page, 3)] == ["He walks 2."]


def test_columns_are_sorted_by_the_keyboard(page: "Page") -> None:
    page.get_by_text("rows of curated/nli/grammar to read").click()
    head = page.locator(f"{ROWS} thead th").nth(4)
    assert head.get_attribute("aria-sort") == "ascending"
    first = shown(page, 5)
    assert first[0] == "−2.00"
    page.locator(f"{ROWS} thead th button").nth(3).focus()
    page.keyboard.press("Tab")
    assert head.locator("button").evaluate("(button) => button === document.activeElement")
    assert head.locator("button").evaluate("(button) => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page, 5) == first[::-1]  # by number: as text, −0.10 would stand before −2.00
    page.locator(f"{ROWS} thead th button").nth(3).press("Space")
    assert head.get_attribute("aria-sort") is None
    assert shown(page, 4) == sorted(shown(page, 4))


def test_hostile_text_is_text_and_no_screen_is_too_narrow(page: "Page") -> None:
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.locator("script").count() == 1
    assert "<script>alert('x')</script>" in page.locator(f"{ROWS} tbody tr").first.inner_text()
    for width in (1200, 380):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What scrolls by itself can be reached without a mouse.
    assert page.locator(f"{ROWS} .long").first.get_attribute("tabindex") == "0"


def test_letters_stand_out_from_the_page_in_light_and_dark(page: "Page") -> None:
    for scheme, ground in (("light", "rgb(253, 253, 252)"), ("dark", "rgb(22, 24, 27)")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        ratios = page.evaluate(CONTRAST, "p, th, td, td *, small, a, summary, li, output, label, mark")
        assert len(ratios) > 300
        assert min(ratios) >= 4.5


def test_it_prints(page: "Page") -> None:
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page\r") >= 5
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("form.filter").first.is_visible()
    assert page.locator("#verdicts .findings").first.is_visible()


def test_without_script_every_row_is_there_and_no_control_that_does_nothing(browser: "Browser", report: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    page.get_by_text("rows of curated/nli/grammar to read").click()
    assert page.locator(f"{ROWS} tbody tr:visible").count() == 30
    assert page.locator("thead button").count() == 0
    assert page.locator("form.filter:visible").count() == 0
    context.close()
