"""The report's data cards: sets side by side, costs, grades, published figures, and runs that lack some of them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from nlilab.core.files import read_json, write_json
from nlilab.report.facts import load
from nlilab.report.making import bill, limits
from nlilab.report.numbers import decimals, dollars
from nlilab.report.rows import plot_rows
from nlilab.report.set_cards import side_by_side
from nlilab.report.sets import Size, shared
from nlilab.report.tables import estimate
from nlilab.report.words import judged_by_people
from nlilab.stages.report import main
from report_run import HOSTILE, OWN, Grid, Outline, html_of, lay, markdown_of, print_of
from report_sets import lay_cost, lay_grades, lay_sets

MADE, HUMAN = "curated/nli/grammar", "suites/plain"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose two sets share the size 300, one of them with its difficulty."""
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, {"raw": 0.5, "corrected": 0.7}, ["plain"])
    lay_sets(tmp_path, {MADE: [300, 1000], HUMAN: [100, 300]}, difficult=(MADE,))
    return tmp_path


def test_sets_stand_side_by_side_at_the_largest_size_that_all_have(run: Path) -> None:
    facts = load(Path("metrics"))
    tables = {table.title: table for table in side_by_side(facts)}
    alone = tables["The label from one sentence"]
    assert [column.group for column in alone.columns[1:]] == ["300 rows"] * 3 + ["all rows"] * 3
    assert [str(cell) for cell in alone.rows[0].cells[1:3]] == ["34.0", "43.3 (41.3 to 45.3)"]
    assert "at 300 rows, the largest number that all of them have" in alone.caption
    assert "at 3\u202f000 words" in tables["Words of the premises"].caption
    assert [row.cells[0].text for row in tables["Difficulty for a small model"].rows] == [MADE]
    assert "| curated/nli/grammar | 1 357 | 43.3 (41.3 to 45.3) | 0.420 (" in markdown_of()


def test_sets_that_share_no_size_are_said_not_to_compare(run: Path) -> None:
    lay_sets(run, {MADE: [1000], HUMAN: [100]})
    facts = load(Path("metrics"))
    alone = side_by_side(facts)[0]
    assert [column.group for column in alone.columns[1:]] == ["all rows"] * 3
    assert "No two sets share a number of rows" in alone.caption
    assert "at all rows (no two sets share a size)" in markdown_of()


def test_what_only_some_sets_share_is_compared_among_them() -> None:
    assert shared([["100", "300", "all"], ["300", "1000"], ["300"]]) == Size("300", every=True)
    assert shared([["100", "300"], ["300", "1000"], []]) == Size("300", every=False)
    assert shared([["100"], ["300"], ["all"]]) == Size(None, every=False)
    assert shared([["100", "300"]]) == Size("300", every=True)


def test_a_card_says_what_matters(run: Path) -> None:
    text = " ".join(Outline(html_of()).text.split())
    for said in (
        "the hypothesis alone tells a linear model 58.0 (56.0 to 60.0) % of the labels; always giving",
        "Rows that stand, or nearly stand, in a suite, counted for each: 4. Near one in meaning: 6; see the pairs.",
        "Of the label's 1.585 bits a small model can use 0.420 (0.370 to 0.470), learnt from 1 000 rows;",
        "Gate leakage: 2 rows is over the limit 0 rows.",
        "600 easy, 250 ambiguous, 150 hard",
        "Found by gazetteer 1 in 9 000 words. Beside them: suites/plain.",
        "This set is the reference of the others.",
    ):
        assert said in text
    assert any(limit.startswith("Entities are those of a list of names") for limit in limits(load(Path("metrics"))))


def test_hostile_text_of_data_sets_stays_text(run: Path) -> None:
    lay_sets(run, {MADE: [300], HUMAN: [300]}, text=HOSTILE, difficult=(MADE,))
    lay_cost(run, "nli/grammar", HOSTILE)
    lay_grades(run, (HOSTILE, "bob"))
    main(Path("metrics"), Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    outline = Outline(html)
    assert outline.scripts == [OWN]
    assert outline.fetched == []
    assert not outline.tags & {"link", "img", "iframe", "object", "embed", "base", "image", "use"}
    # Premises and hypotheses of examples, the corrected row, near pairs, words, names of entities, the grader.
    assert outline.text.count(HOSTILE) > 40
    assert "<" not in Path("reports/report.md").read_text(encoding="utf-8")


def test_an_accepted_row_costs_all_that_was_paid_divided_by_the_rows_that_curation_accepted(run: Path) -> None:
    lay_cost(run, "nli/grammar", "Paris", generate_usd=0.61, rejected_usd=0.1, judge_usd=1.09)
    facts = load(Path("metrics"))
    card = facts.corrections["nli/grammar"]
    assert bill("nli/grammar", card, 90)["row"] == pytest.approx((0.61 + 0.1 + 1.09) / 90)  # rows_out of the fixture
    assert any(row[-2:] == ["$1.80", "$0.02"] for row in Grid(html_of()).rows)
    lay_cost(run, "nli/grammar", "Paris")
    assert any(row[-2:] == ["free", "free"] for row in Grid(html_of()).rows)
    assert bill("nli/grammar", card, 0)["row"] is None
    lay_cost(run, "nli/grammar", "Paris", judge_usd=None)
    assert any(row[-2:] == ["not known", "not known"] for row in Grid(html_of()).rows)


def test_figures_as_text() -> None:
    assert [dollars(value) for value in (0, 0.000_123_4, 0.5, 1234.5)] == ["free", "$0.000123", "$0.5", "$1,234.50"]
    assert [decimals(value) for value in (-0.001, -0.3, None)] == ["0.00", "−0.30", "–"]
    assert str(estimate({"value": None, "low": None, "high": None})) == "–"


def test_what_people_say_or_that_nobody_was_asked(run: Path) -> None:
    assert "`nlilab grade`" in judged_by_people(load(Path("metrics")).agreement)[0]
    lay_grades(run)
    text = Outline(html_of()).text
    assert "Of 40 sampled rows, graded by ann (40) and bob (40)." in text
    assert "ann and bob give the same grade to 61.0 % of the 40 rows" in text
    assert "Cohen's kappa 0.61 (0.51 to 0.71)" in markdown_of()


def test_published_figures_of_data_sets_stand_beside_ours_with_their_definition(run: Path) -> None:
    path = Path("conf/published.yaml")
    published = yaml.safe_load(path.read_text(encoding="utf-8"))
    analyses: list[dict[str, Any]] = [
        {
            "measure": "hypothesis_only",
            "task": "nli",
            "name": "SNLI",
            "value": 0.67,
            "section": "2",
            "note": "fastText",
        },
        {"measure": "vocabulary", "task": "nli", "name": "CB", "value": 6400, "section": "Table 7"},
        {"measure": "kappa", "name": "team 1", "value": 0.71, "section": "5"},
    ]
    path.write_text(
        yaml.safe_dump(published | {"paper": {"document": "P", "source": "s", "data": "d", "analyses": analyses}}),
        encoding="utf-8",
    )
    lay_grades(run)
    facts = load(Path("metrics"))
    tables = {table.title: table for table in side_by_side(facts)}
    snli, *figures = tables["The label from one sentence"].rows[-1].cells
    assert (snli.text, snli.note, list(map(str, figures))) == (
        *("SNLI", "published: P, section 2: fastText"),
        ["–", "–", "–", "–", "67.0", "–"],
    )
    vocabulary = next(table for title, table in tables.items() if title.startswith("Vocabulary"))
    assert [str(row.cells[1]) for row in vocabulary.rows] == ["1\u202f624", "1\u202f624", "6\u202f400"]
    assert "team 1: kappa 0.71" in Outline(html_of()).text


def test_rows_of_plots_hold_every_set_and_shares_add_up_to_one(run: Path) -> None:
    rows = plot_rows(load(Path("metrics")))
    sums: dict[tuple[str, ...], float] = {}
    for name in ("cosine", "overlap", "pvi"):
        for row in rows[name]:
            key = (name, row["set"], row["part"], row["label"])
            sums[key] = sums.get(key, 0.0) + row["share"]
    assert len(sums) == 2 * 2 * 4 + 2 * 3 + 3
    assert all(total == pytest.approx(1, abs=1e-4) for total in sums.values())
    assert len(rows["cartography"]) == 200
    assert {(row["set"], row["rows"]) for row in rows["hypothesis_only"]} == {
        *((MADE, 300), (MADE, 1000), (MADE, 1357)),
        *((HUMAN, 100), (HUMAN, 300), (HUMAN, 1357)),
    }


@pytest.mark.parametrize("columns", ["40", "100"])
def test_sets_fit_a_terminal(run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_of()
    printed = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= int(columns)
    assert "43.3 (41.3-45.3)" in printed
    printed.encode("ascii")


def test_a_run_without_analyses_has_no_cards(run: Path) -> None:
    shutil.rmtree("metrics/analysis")
    shutil.rmtree("metrics/difficulty")
    Path("metrics/gates.json").unlink()
    html = html_of()
    assert 'id="sets"' not in html
    assert "nlilab grade" in html


def test_a_set_with_little_in_it_has_a_card_all_the_same(run: Path) -> None:
    path = Path("metrics/analysis", f"{HUMAN}.json")
    card = read_json(path)
    card["artefacts"]["pmi"] = {}
    card["entities"] |= {"types": {}, "jsd": {}}
    card["leakage"] = {}
    for field in ("premise", "hypothesis"):
        card["lexical"][field]["budgets"] = {}
    write_json(path, card)
    facts = load(Path("metrics"))
    assert "None found." in html_of()
    assert "No two sets share a number of words" in next(
        table.caption for table in side_by_side(facts) if table.title == "Words of the premises"
    )
