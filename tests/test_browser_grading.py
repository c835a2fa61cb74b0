"""The grading page in a real browser: keys, undo, resuming, errors, hostile text, a narrow and a dark screen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser import launch, watch
from nlilab.grading.store import Choice, Field
from test_grading import TOKEN, Row, row, serving, written

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SLOW_MS = 5000
HOSTILE = [
    "<script>document.title = 'hit'</script><img src=x onerror=\"document.title = 'hit'\"> & &amp; {{ 7 * 7 }}",
    "שלום עולם \u202e txt.exe \u202c 🦊👩‍👩‍👧 z̷̧̛a̶l̵g̴o",
    "x" * 10_000,
    "  two\n  lines \u2028 and a \u0000 null",
]


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One Chromium for all tests."""
    with launch() as running:
        yield running


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A tab with cookies and storage of its own, on which nothing may go wrong."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(SLOW_MS)
        seen = watch(tab)
        yield tab
        assert seen == []


@pytest.fixture
def folder(workplace: Path) -> Path:
    """The folder of a sample, in a project of its own."""
    return workplace / "grades"


def shown(page: "Page", selector: str, text: str) -> None:
    """Wait until an element reads so."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_text(text, timeout=SLOW_MS)


def begin(page: "Page", address: str, grader: str = "") -> None:
    """Open the page, and say who grades where it asks."""
    page.goto(f"{address}/?token={TOKEN}")
    if grader:
        page.get_by_label("Your name").fill(grader)
        page.keyboard.press("Enter")
    page.locator("#fields p").first.wait_for()


def keys(page: "Page", *names: str) -> None:
    """Press keys as quickly as they come."""
    for name in names:
        page.keyboard.press(name)


def lines(folder: Path, grader: str) -> list[dict[str, Any]]:
    """What was saved, without the rows' ids and empty notes."""
    found = [json.loads(line) for line in (folder / f"{grader}.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "id" and value != ""} for line in found]


def three(folder: Path) -> dict[str, Row]:
    """Three rows, which a grader sees in an order of their own."""
    return written(folder, *(row(name, f"Premise {name}.", "neutral", "neutral") for name in ("one", "two", "three")))


def test_all_rows_are_graded_by_keys_alone(page: "Page", folder: Path) -> None:
    with serving(folder, three(folder)) as client:
        begin(page, client.address, "Ann")
        assert page.url == f"{client.address}/", "the token is no longer in the address"
        shown(page, "#count", "0 of 3")
        keys(page, "1", "a", "b", "x")  # the second row: grade first
        shown(page, "#count", "2 of 3")
        keys(page, "u")
        shown(page, "#count", "1 of 3")
        shown(page, "#title", "Row 2: a task")
        keys(page, "3", "n")
        page.keyboard.type("1 ? a note")
        keys(page, "Escape", "c", "?")
        assert page.get_by_role("dialog").is_visible()
        keys(page, "4", "Escape", "0", "d")
        shown(page, "#end", "All rows are graded")
        shown(page, "#count", "3 of 3")
        assert page.get_by_text("dvc repro agreement").is_visible()
    assert lines(folder, "ann") == [
        {"label": "entailment", "grade": "A"},
        {"label": "invalid", "grade": "B"},
        {"undone": True},
        {"label": "contradiction", "grade": "C", "note": "1 ? a note"},
        {"label": "invalid", "grade": "D"},
    ]


def test_a_reloaded_page_goes_on_and_an_earlier_mark_can_be_changed(page: "Page", folder: Path) -> None:
    with serving(folder, three(folder)) as client:
        begin(page, client.address, "ann")
        keys(page, "1", "a")
        shown(page, "#count", "1 of 3")
        page.reload()
        shown(page, "#title", "Row 2: a task")
        keys(page, "ArrowLeft")
        shown(page, "#title", "Row 1: a task (graded; change it and save)")
        assert page.locator("[aria-pressed=true]").all_inner_texts()[0].startswith("1 entailment")
        keys(page, "2", "d")
        assert len(lines(folder, "ann")) == 1, "a mark that stands is changed by Enter alone"
        keys(page, "Enter")
        shown(page, "#title", "Row 2: a task")
        keys(page, "u")  # by mouse or key alike
        shown(page, "#count", "0 of 3")
        page.get_by_role("button", name="neutral").click()
        page.get_by_role("button", name="fair").dblclick()
        shown(page, "#count", "1 of 3")
        assert page.locator("[aria-pressed=true]").count() == 0, "the second click says nothing of the next row"
    assert lines(folder, "ann")[1:] == [
        {"label": "neutral", "grade": "D"},
        {"undone": True},
        {"label": "neutral", "grade": "C"},
    ]


def test_two_people_share_a_server(browser: "Browser", page: "Page", folder: Path) -> None:
    with serving(folder, three(folder)) as client, browser.new_context() as other:
        begin(page, client.address, "ann")
        second = other.new_page()
        begin(second, client.address, "bob")
        keys(page, "1", "a")
        keys(second, "2", "b")
        shown(page, "#count", "1 of 3")
        shown(second, "#count", "1 of 3")
        begin(page, client.address)  # who was named stays so
        shown(page, "#name", "ann")
        second.get_by_role("button", name="not you?").click()
        second.get_by_label("Your name").fill("no/name")
        keys(second, "Enter")
        second.get_by_text("is no file name").wait_for()
    assert lines(folder, "ann") == [{"label": "entailment", "grade": "A"}]
    assert lines(folder, "bob") == [{"label": "neutral", "grade": "B"}]


def test_a_mark_that_was_not_saved_is_not_counted(browser: "Browser", folder: Path) -> None:
    rows = three(folder)
    with browser.new_context() as context:
        page = context.new_page()
        with serving(folder, rows, "ann") as client:
            begin(page, client.address)
        keys(page, "1", "a")
        page.get_by_text("The server does not answer, so nothing is saved.").wait_for()
        shown(page, "#count", "0 of 3")
        assert page.locator("[aria-pressed=true]").count() == 2, "the choice stays"


def test_hostile_text_is_text(page: "Page", folder: Path) -> None:
    labels = [Choice(name=f"{text[:60]}{number}", means=text[:200]) for number, text in enumerate(HOSTILE)]
    fields = [Field(name=f"field_{number}", text=text) for number, text in enumerate(HOSTILE)]
    hostile = row("one", "p", "neutral", "neutral").model_copy(
        update={"fields": fields, "labels": labels, "title": HOSTILE[0]}
    )
    page.set_viewport_size({"width": 380, "height": 700})
    with serving(folder, written(folder, hostile), "ann") as client:
        begin(page, client.address)
        assert page.locator("#fields p").evaluate_all("found => found.map((one) => one.textContent)") == HOSTILE
        directions = page.locator("#fields p").evaluate_all(
            "found => found.map((one) => getComputedStyle(one).direction)"
        )
        assert directions == ["ltr", "rtl", "ltr", "ltr"]
        assert page.title() == "Grade rows" and page.locator("main script, main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        keys(page, "2", "n")
        page.keyboard.insert_text(HOSTILE[1])
        keys(page, "Escape", "a")
        shown(page, "#end", "All rows are graded")
    [saved] = lines(folder, "ann")
    assert saved["label"] == labels[1].name and saved["note"] == HOSTILE[1]


def test_every_one_of_many_labels_has_a_key(page: "Page", folder: Path) -> None:
    many = [Choice(name=f"label-{number}", means="...") for number in range(1, 29)]
    rows = [row(name, "p", "neutral", "neutral").model_copy(update={"labels": many}) for name in ("one", "two")]
    with serving(folder, written(folder, *rows), "ann") as client:
        begin(page, client.address)
        names = page.locator("#marks kbd").all_inner_texts()
        assert len(set(names)) == len(names) == 28 + 2 + 4 + 5
        keys(page, "e", "b", "z", "a")
        shown(page, "#end", "All rows are graded")
    assert [line["label"] for line in lines(folder, "ann")] == ["label-10", "label-28"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_stands_out_from_its_ground(browser: "Browser", folder: Path, scheme: Any) -> None:
    """Contrast of 4.5 and more (WCAG 2.2, 1.4.3), and of the focus ring 3 and more (1.4.11)."""
    with browser.new_context(color_scheme=scheme) as context, serving(folder, three(folder), "ann") as client:
        page = context.new_page()
        begin(page, client.address)
        keys(page, "1")
        found = page.evaluate(CONTRAST)
        assert len(found) > 20 and {name: ratio for name, ratio in found if ratio < 4.5} == {}
        keys(page, "Tab")
        ring, ground = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineColor, getComputedStyle(document.body).backgroundColor]"
        )
        assert page.evaluate(f"{RATIO}('{ring}', '{ground}')") >= 3


RATIO = """((first, second) => {
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
    .map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const [low, high] = [light(first), light(second)].sort((one, other) => one - other);
  return (high + 0.05) / (low + 0.05);
})"""
CONTRAST = f"""(() => {{
  const ground = (one) => {{
    const colour = getComputedStyle(one).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? ground(one.parentElement) : colour;
  }};
  return [...document.body.querySelectorAll("*")]
    .filter((one) => one.checkVisibility() && one.innerText && !one.closest("button:disabled"))
    .map((one) => [one.innerText.slice(0, 30), {RATIO}(getComputedStyle(one).color, ground(one))]);
}})()"""
