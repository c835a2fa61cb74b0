"""The report: sentences, escaping, no network, the same bytes, and runs that lack what others have."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import vl_convert
import yaml

from nlilab.cli import llm as cli_llm
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, write_json
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.report import offline
from nlilab.report.attack import pieces
from nlilab.report.beside import beside
from nlilab.report.facts import Facts, load
from nlilab.report.making import limits
from nlilab.report.markdown import marked as marked_markdown
from nlilab.report.numbers import points
from nlilab.report.page import marked
from nlilab.report.published import documents
from nlilab.report.records import between, ordered, pairs_of
from nlilab.report.rows import plot_rows
from nlilab.report.tables import Row, Table, heads, left, row
from nlilab.report.terminal import print_table
from nlilab.report.words import against_controls, sentence, won_back
from nlilab.stages.report import main
from report_run import HOSTILE, OWN, ROOT, Grid, Outline, html_of, lay, markdown_of, print_of
from report_sets import lay_sets

MODELS = {"raw": 0.5, "corrected": 0.8, "corrected-vs-gradient-mask": 0.79, "corrected-vs-random-mask": 0.79}
VICTIMS = {"corrected": 0.5, "corrected-vs-gradient-mask": 0.7, "corrected-vs-random-mask": 0.6}


@pytest.fixture
def attacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """A run with hardened models that are attacked on one of two suites, with hostile texts."""
    monkeypatch.chdir(tmp_path)
    return load(lay(tmp_path, MODELS, ["plain", "hans"], text=HOSTILE, victims=VICTIMS, seeds=5))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two models with a clear difference, on a plain suite and a heuristics suite, with hostile texts."""
    lay(tmp_path, {"raw": 0.5, "corrected": 0.7}, ["plain", "hans"], datasets=("human",), text=HOSTILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


TASKS = {"rte-test": "rte", "record-test": "record", "rte-held-out": "rte", "cwe-test": "cwe"}
BY_TASK = {"rte-og": 0.6, "rte-syn": 0.8, "record-syn": 0.5, "cwe-untuned": 0.5, "all-syn": 0.7}


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three tasks in which all models but one read the suites of their own task alone."""
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, BY_TASK, list(TASKS), tasks=TASKS)
    return tmp_path


def test_verdicts_are_sentences_about_the_later_model(run: Path) -> None:
    facts = load(Path("metrics"))
    found = sentence(facts.matchups()[0], facts.confidence, 2)
    assert re.fullmatch(
        r"corrected beats raw on plain \(\+\d+\.\d points, 95 % interval \d+\.\d to \d+\.\d\), "
        r"hans \(\+\d+\.\d points, 95 % interval \d+\.\d to \d+\.\d\)\.",
        found,
    )
    assert found in Outline(html_of()).text


def test_seeds_that_never_learnt_are_said_beside_accuracy(run: Path, capsys: Any) -> None:
    assert "left chance" not in html_of()  # a comparison that does not know
    line = "raw: 2 of 3 seeds left chance (seed 1: one label for every row of every suite)"
    found = read_json(Path("metrics/comparison.json"))
    known = {"raw": {"said": line}, "corrected": {"said": ""}, "removed": {"said": "removed: 0 of 3 seeds"}}
    write_json(Path("metrics/comparison.json"), found | {"learnt": known})
    print_of()
    for text in (Outline(html_of()).text, markdown_of(), " ".join(capsys.readouterr().out.split())):
        assert line in text and "removed: 0" not in text


def test_what_a_pair_fixed_less_what_it_introduced_is_the_difference_printed(run: Path) -> None:
    pair = pairs_of(read_json(Path("metrics/comparison.json")), ["plain"])[0]
    assert (pair.model, pair.baseline, pair.verdict) == ("corrected", "raw", "better")
    assert (pair.changes.fixed - pair.changes.introduced) / pair.changes.decisions == pytest.approx(pair.difference)


def test_inconclusive_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = load(lay(tmp_path, {"raw": 0.6, "corrected": 0.6}, ["plain"]))
    assert re.fullmatch(
        r"corrected against raw: inconclusive on plain \([+−±]\d\.\d, too few seeds to tell: "
        r"about \d+ each would show \d\.\d points\)\.",
        sentence(facts.matchups()[0], 0.95, 1),
    )
    single = load(lay(tmp_path, {"raw": 0.5, "corrected": 0.9}, ["plain"], seeds=1))
    assert ", one seed)." in sentence(single.matchups()[0], 0.95, 1)
    assert "no verdict is given" in html_of()


def test_points_never_print_a_signed_zero() -> None:
    assert [points(value) for value in (0.031, -0.031, 0.0004, -0.0)] == ["+3.1", "−3.1", "±0.0", "±0.0"]


@pytest.mark.parametrize("fixture", ["run", "attacked"])
def test_hostile_text_stays_text_and_nothing_is_fetched(fixture: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(fixture)
    main(Path("metrics"), Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    outline = Outline(html)
    assert HOSTILE in outline.text
    assert not outline.tags & {"link", "img", "iframe", "object", "embed", "base", "image", "use"}
    assert outline.scripts == [OWN]
    assert outline.fetched == []
    assert not re.search(r"@import|url\(|https?:", html)
    assert len(html) < 5_000_000
    markdown = Path("reports/report.md").read_text(encoding="utf-8")
    assert "<" not in markdown


def test_the_same_bytes_twice_and_no_path_of_the_machine(run: Path) -> None:
    written = []
    for name in ("first", "second"):
        main(Path("metrics"), Path(name))
        files = sorted(path for path in Path(name).rglob("*") if path.is_file())
        written.append({str(path.relative_to(name)): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert {"report.html", "report.md", "plots/accuracy.json", "plots/flips.json", "plots/loss.json"} <= {*written[0]}
    assert not any(str(run).encode() in content for content in written[0].values())


def test_files_that_params_do_not_name_are_left_alone(run: Path) -> None:
    before = html_of()
    for folder in ("arms", "suites", "curate", "correct", "training"):
        Path("metrics", folder, "removed-1.json").write_text("not JSON", encoding="utf-8")
    assert html_of() == before
    assert "not-in-this-run" not in before


def test_one_model_no_generators_no_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = lay(tmp_path, {"only": 0.6}, ["plain"], generators=())
    main(metrics, Path("reports"))
    assert "nothing to compare it with" in Path("reports/report.html").read_text(encoding="utf-8")
    assert "One model only." in Path("reports/report.md").read_text(encoding="utf-8")
    print_of(metrics)
    assert "only" in capsys.readouterr().out


def test_an_older_comparison_is_refused(run: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump({**params, "suites": ["plain"]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"compares the suites hans, plain, but params\.yaml names plain"):
        load(Path("metrics"))


def test_many_suites_are_counted_and_few_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = load(lay(tmp_path, {"raw": 0.5, "corrected": 0.8}, ["s1", "s2", "s3", "s4"]))
    found = sentence(facts.matchups()[0], 0.95, 4)
    assert re.fullmatch(r"corrected beats raw on all 4 suites \(\+\d\d\.\d to \+\d\d\.\d points\)\.", found)


def test_every_text_is_used() -> None:
    folder = ROOT / "src" / "nlilab" / "report"
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    known = yaml.safe_load((folder / "texts.yaml").read_text(encoding="utf-8"))
    assert [key for key in known if f'"{key}"' not in sources] == ["of sets"]  # what other entries share


def test_dvc_plots_name_templates_and_columns_that_exist(attacked: Facts) -> None:
    lay_sets(Path(), {"curated/nli/grammar": [300], "suites/plain": [300]}, difficult=("curated/nli/grammar",))
    rows = plot_rows(load(Path("metrics")))
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    assert declared
    for entry in declared:
        ((name, plot),) = entry.items()
        ((file, y),) = plot["y"].items()
        assert file == f"reports/plots/{name}.json"
        template = (ROOT / ".dvc" / "plots" / f"{plot['template']}.json").read_text(encoding="utf-8")
        fields = set(re.findall(r'"(?:field|column)": "([a-z]+)"', template)) - {"rev"}
        assert fields | {plot["x"], y} <= {*rows[name][0]}


def test_the_page_of_dvc_plots_carries_vega(tmp_path: Path) -> None:
    offline.main(tmp_path / "plots.html")
    text = (tmp_path / "plots.html").read_text(encoding="utf-8")
    assert "{plot_divs}" in text
    assert "{scripts}" not in text  # where DVC would put the addresses of a server
    assert "window.vegaEmbed=" in text
    assert text.count("</script>") == 1
    assert Outline(text).fetched == []


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_table_fits_its_terminal(run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_of()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "report: reports/report.html"
    assert all(len(line.rstrip()) <= int(columns) for line in lines)
    text = " ".join(" ".join(lines).split())
    assert re.search(r"corrected +\d\d\.\d \(\d\d\.\d-\d\d\.\d\)", text)
    assert "corrected beats raw on plain (+" in text
    text.encode("ascii")


def test_a_sentence_says_what_hardening_wins_back_at_which_cost_and_whether_a_control_does_so_too(
    attacked: Facts,
) -> None:
    found = [finding.text for finding in (*won_back(attacked), *against_controls(attacked))]
    share = r"\d+ % \(95 % interval \d+ to \d+\) of what"
    cost = r"at [+−±]\d\.\d points of clean accuracy \(−?\d\.\d to −?\d\.\d\)\."
    assert re.fullmatch(
        rf"corrected-vs-gradient-mask wins back {share} gradient-mask takes from corrected on plain "
        rf"\(\d\d\.\d → \d\d\.\d\) and \d+ % \(\d+ to \d+\) of what random-mask takes "
        rf"\(\d\d\.\d → \d\d\.\d\), {cost}",
        found[0],
    )
    assert found[2].startswith(
        "Under gradient-mask on plain, corrected-vs-gradient-mask against the control corrected-vs-random-mask: +"
    )
    assert found[2].endswith("better: the control does not explain the whole gain.")
    assert len(found) == 3
    html = Outline(html_of()).text
    assert all(text in html for text in found)
    assert "near chance, so this judge says little" in html


def test_an_attack_that_takes_nothing_leaves_nothing_to_win_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = {"raw": 0.7, "raw-vs-gradient-mask": 0.7}
    facts = load(lay(tmp_path, models, ["plain"], victims=models, seeds=1))
    (found,) = won_back(facts)
    assert "has nothing to win back from gradient-mask on plain" in found.text
    assert "where the attack took nothing for sure" in found.text
    assert found.text.endswith("One seed: the intervals leave out how trainings vary.")
    assert found.tone == "inconclusive"
    assert "the attack took nothing for sure" in Outline(html_of()).text


def test_attacked_suites_stand_apart_and_models_that_were_not_attacked_have_a_dash(attacked: Facts) -> None:
    assert {pair.suite for pair in attacked.pairs} == {"plain", "hans"}
    assert {pair.suite for pair in attacked.attacked_pairs} == {"plain@gradient-mask", "plain@random-mask"}
    assert attacked.family == 12 + 6
    assert ["raw", "–", "–"] in Grid(html_of()).rows
    text = markdown_of()
    assert "| raw | – | – |" in text
    assert re.search(r"\| corrected-vs-gradient-mask \| \d\d\.\d \(\d\d\.\d to \d\d\.\d\) \|", text)
    rows = plot_rows(attacked)["attack"]
    assert {row["model"] for row in rows} == {*VICTIMS}
    assert {row["kind"] for row in rows} == {"clean", "attacked"}
    assert len(rows) == 2 * 2 * 3


def test_the_gallery_marks_what_changed_and_hostile_words_stay_words(attacked: Facts) -> None:
    pair: dict[str, Any] = {"hypothesis": "A [MASK] <b>plays", "changes": [[17, 17, "<i>loudly"], [2, 8, "man"]]}
    assert marked(pieces(**pair)) == ("A <mark>[MASK]</mark> &lt;b&gt;plays <mark><del>&lt;i&gt;loudly</del></mark>")
    assert marked_markdown(pieces(**pair)) == "A **\\[MASK\\]** &lt;b&gt;plays ~~&lt;i&gt;loudly~~"
    start: dict[str, Any] = {"hypothesis": "man plays", "changes": [[0, 0, "Old"]]}
    assert marked(pieces(**start)) == "<mark><del>Old</del></mark> man plays"
    html = html_of()
    assert "A <mark>[MASK]</mark> plays " in html
    assert HOSTILE in Outline(html).text
    assert "<mark><del>loudly&lt;/td&gt;" in html
    assert any("entailment 95.3 %" in row and "neutral 70.0 %" in row for row in Grid(html).rows)
    text = markdown_of()
    assert text.count("A **\\[MASK\\]** plays") == 5
    assert max(map(len, text.splitlines())) < 20_000


def test_figures_on_rows_that_a_model_was_hardened_on_are_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    models = {"raw": 0.5, "corrected": 0.7, "corrected-vs-gradient-mask": 0.9}
    victims = {"corrected": 0.4, "corrected-vs-gradient-mask": 0.8}
    metrics = lay(tmp_path, models, ["plain", "hans"], victims=victims, protocol="as_published")
    facts = load(metrics)
    html = html_of()
    _, plain, hans = next(row for row in Grid(html).rows if row[0] == "corrected-vs-gradient-mask" and len(row) == 3)
    assert plain.endswith(" contaminated") and "contaminated" not in hans
    assert "corrected-vs-gradient-mask †" in html and ">† contaminated<" in html  # the plots
    (found,) = won_back(facts)
    assert found.text.startswith("corrected-vs-gradient-mask (contaminated) wins back")
    assert found.tone == "inconclusive"
    assert "corrected-vs-gradient-mask against raw: inconclusive on plain" not in html
    assert re.search(r"inconclusive on plain \(\+\d\d\.\d, contaminated\)", html)
    assert "say nothing of new rows and get no verdict" in html
    assert re.search(r"\d\d\.\d \(\d\d\.\d to \d\d\.\d\), contaminated \|", markdown_of())
    kinds = {row["model"] for row in plot_rows(facts)["attack"]}
    assert kinds == {"corrected", "corrected-vs-gradient-mask (contaminated)"}
    print_of(metrics)
    text = " ".join(capsys.readouterr().out.split())
    assert "contaminated (trained on perturbed rows of the suite): corrected-vs-gradient-mask on plain report:" in text


def test_published_figures_stand_beside_ours_with_their_defects(attacked: Facts) -> None:
    text = " ".join(Outline(html_of()).text.split())
    ours = "corrected-vs-gradient-mask plain"
    assert f"figure published section {ours}".replace(" ", "") in text.replace(" ", "")
    for figure in ("89.89", "53.35", "2.2764", "94.11 contaminated", "not reported", "63.3 / 3.4 / 33.3"):
        assert figure in text
    assert "15,000 rows drawn from a validation split of 10,000 rows are impossible" in text


def test_slices_are_counted_from_the_base_to_the_hardened_model_whatever_their_order(attacked: Facts) -> None:
    one = between(attacked.pairs, "plain", "corrected-vs-gradient-mask", "corrected")
    other = between(attacked.pairs, "plain", "corrected", "corrected-vs-gradient-mask")
    assert one and other
    ours, theirs = one.slices["negation"].changes, other.slices["negation"].changes
    assert ours and theirs
    assert (ours.fixed, ours.introduced, ours.remaining) == (theirs.introduced, theirs.fixed, theirs.remaining)
    text = Outline(html_of()).text
    assert f"{ours.fixed} of {ours.wrong_before} ({100 * ours.fixed / ours.wrong_before:.1f}" in text


def test_no_attack_no_section(run: Path, capsys: Any) -> None:
    main(Path("metrics"), Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    assert "attack" not in Outline(html.split("</style>")[1].split('id="provenance"')[0]).text
    assert "ttack" not in Path("reports/report.md").read_text(encoding="utf-8")
    assert read_json(Path("reports/plots/attack.json")) == []
    print_of()
    assert "wins back" not in capsys.readouterr().out


def test_another_runs_attacks_are_refused(attacked: Facts) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["attack"]["recipes"] = ["gradient-mask"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(UserError, match=r"compares the attacked suites plain@gradient-mask, plain@random-mask, but"):
        load(Path("metrics"))


def test_the_table_has_a_line_for_each_hardened_model(attacked: Facts, capsys: Any) -> None:
    print_of()
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"corrected-vs-random-mask wins back \d+ % \(95 % interval", text)
    assert "->" in text
    assert "plain@" not in text
    text.encode("ascii")


def test_hardening_that_nothing_attacks_and_no_rows_were_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = lay(tmp_path, {"raw": 0.5, "raw-vs-freelb": 0.6}, ["plain"], seeds=1, protocol="as_published")
    main(metrics, Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    assert 'id="attack"' not in html
    assert "of them adversarial" in html


def test_models_are_absent_where_they_do_not_read_the_task(several: Path) -> None:
    facts = load(Path("metrics"))
    assert facts.tasks == {"rte": ["rte-test", "rte-held-out"], "record": ["record-test"], "cwe": ["cwe-test"]}
    assert facts.readers("rte-held-out") == ["rte-og", "rte-syn", "all-syn"]
    html = html_of()
    rows = Grid(html).rows
    one = next(row for row in rows if row[0] == "rte-og" and len(row) == 5)
    assert one[3:] == ["–", "–"] and "–" not in one[1:3]
    assert ["most frequent label", "50.0", "50.0", "–", "50.0"] in rows
    assert '<th scope="colgroup" colspan="2" class="mid">rte</th>' in html
    assert {(row["suite"], row["model"]) for row in plot_rows(facts)["accuracy"]} == {
        (suite, model) for suite in facts.run.suites for model in facts.readers(suite)
    }
    text = markdown_of()
    assert "| model | rte-test (rte) | rte-held-out (rte) | record-test (record) | cwe-test (cwe) |" in text
    assert re.search(r"\| cwe-untuned \| – \| – \| – \| \d\d\.\d \(", text)


def test_sentences_are_over_the_suites_that_both_read(several: Path, capsys: Any) -> None:
    facts = load(Path("metrics"))
    said = {(pairs[0].model, pairs[0].baseline): [pair.suite for pair in pairs] for pairs in facts.matchups()}
    assert said == {
        ("rte-syn", "rte-og"): ["rte-test", "rte-held-out"],
        ("all-syn", "rte-og"): ["rte-test", "rte-held-out"],
        ("all-syn", "rte-syn"): ["rte-test", "rte-held-out"],
        ("all-syn", "record-syn"): ["record-test"],
        ("all-syn", "cwe-untuned"): ["cwe-test"],
    }
    assert list(facts.matchups_by_task()) == [("rte",), ("record",), ("cwe",)]
    print_of()
    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"rte-og( +\d\d\.\d \([\d.-]+\)){2} +-", line) for line in lines), lines[:12]


def test_many_suites_of_a_few_that_both_read_are_counted_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tasks = {"s1": "rte", "s2": "rte", "s3": "rte", "s4": "rte", "s5": "boolq"}
    facts = load(lay(tmp_path, {"rte-og": 0.5, "rte-syn": 0.9, "boolq-syn": 0.5}, list(tasks), tasks=tasks))
    assert "rte-syn beats rte-og on all 4 suites that both read (+" in sentence(facts.matchups()[0], 0.95, 5)


@pytest.mark.parametrize(("changed", "named"), [(["rte-og"], "rte-syn"), ([*BY_TASK, "raw-then-corrected"], "then")])
def test_every_model_must_stand_somewhere_and_no_other(several: Path, changed: list[str], named: str) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params |= {"models": changed, "arms": [*params["arms"], "raw", "corrected"]}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(UserError, match=rf"compares the models .*{named}"):
        load(Path("metrics"))


def test_what_suites_measure_besides_and_who_wrote_the_data(several: Path) -> None:
    scores = read_json(Path("metrics/scores.json"))
    for scored in scores["cwe-test"]["models"]["cwe-untuned"].values():
        scored["classes"]["vulnerable"] |= {"precision": 0.0, "recall": 0.0, "f1": 0.0, "predicted": 0}
    write_json(Path("metrics/scores.json"), scores)
    facts = load(Path("metrics"))
    html, text = html_of(), markdown_of()
    assert "| record-test (record) | record-syn |" in text
    assert "62.0 (61.0 to 63.0)" in text
    assert "- Rouge-L: longest common sequence" in text
    assert "gender" not in text  # no suite measures parity
    assert "| cwe-test (cwe) | cwe-untuned | 300 | 0 | – | 0.0 | 0.0 |" in text
    assert any(row[-6:] == ["cwe-untuned", "300", "0", "–", "0.0", "0.0"] for row in Grid(html).rows)
    assert any(limit.startswith("rte/grammar, record/grammar and cwe/grammar: written by") for limit in limits(facts))


def test_the_positive_label_of_two_stands_first() -> None:
    for labels in (["true", "false"], ["choice1", "choice2"], ["vulnerable", "safe"], [*THREE_WAY], [*TWO_WAY]):
        found = ordered(dict.fromkeys(sorted([*labels, "dropped", "unjudged"]), 0))
        assert list(found) == [*labels, "dropped", "unjudged"]


def _beside(*models: str) -> dict[str, Table]:
    """The published tables that a run of these models shows, by number; each model has 50 % on its tasks' suites."""
    tasks = ("axg", "boolq", "cb", "copa", "cwe", "record", "rte", "wic", "wsc")
    own = {task: [name for name in models if name.startswith((task, "all-"))] for task in tasks}
    value = {"mean": 0.5, "low": 0.4, "high": 0.6, "seeds": [0.49, 0.51]}
    label = {"precision": 0.7, "recall": 0.3, "predicted": 9}
    scored = {"rouge_l": 0.8, "classes": {"safe": label | {"precision": 0.1}, "vulnerable": label}}
    seeds = {"1": scored, "2": scored}
    facts: Any = SimpleNamespace(
        task_of={f"{task}-test": task for task in tasks if own[task]},
        accuracy={f"{task}-test": dict.fromkeys(names, value) for task, names in own.items()},
        scores={f"{task}-test": {"models": dict.fromkeys(names, seeds)} for task, names in own.items()},
        contaminated=[],
        bases={"ours": "package:tiny"},
    )
    found = {
        table.number or document.document[:10]: beside(facts, table)
        for document in documents(ROOT / "conf").values()
        for table in document.tables
    }
    return {number: both[0] for number, both in found.items() if both}


def _groups(table: Table) -> list[list[Row]]:
    """The rows of each kind of published model."""
    groups: list[list[Row]] = []
    for one in table.rows:
        if one.rule:
            groups.append([])
        groups[-1].append(one)
    return groups


def _names(rows: list[Row]) -> list[str]:
    return [row.cells[0].text for row in rows]


@pytest.mark.parametrize(
    ("models", "numbers"),
    [
        ([], ""),
        (["rte-own", "all-own", "multirc-syn", "copa-zero-shot"], ""),
        (["rte-og"], "3 6"),
        (["record-syn-i"], "3 6"),
        (["cb-syn"], "3 5 6 9 10"),
        (["all-og"], "4"),
        (["all-raw"], "5"),
        (["cb-terse"], "9"),
        (["wic-half"], "10"),
        (["wsc-claude"], "11"),
        (["axg-zero-shot"], "12"),
        (["rte-few-shot"], "12"),
        (["cwe-untuned"], "Case Study"),
    ],
)
def test_a_published_table_is_shown_where_a_cell_of_it_is_ours(models: list[str], numbers: str) -> None:
    assert " ".join(_beside(*models)) == numbers


def test_ours_stand_under_the_published_models_of_their_kind() -> None:
    table = _beside("rte-syn", "record-syn", "all-raw", "rte-raw", "cwe-syn", "axg-zero-shot", "axg-few-shot")
    og, syn, *_ = _groups(table["3"])
    assert _names(syn) == [
        *("Cerebras Syn", "Pythia Syn", "T5 Syn", "Flan Syn", "RoBERTa Syn"),
        "ours: [task]-syn",
    ]
    assert not any(line.ours for line in og)
    cells = dict(zip((column.name for column in table["3"].columns), map(str, syn[-1].cells), strict=True))
    assert cells["wic"] == "–"
    assert cells["rte"] == "50.0 (40.0 to 60.0)"
    assert cells["record Rouge-L"] == "80.0 (80.0 to 80.0)"
    assert table["3"].caption.endswith(
        "Ours: package:tiny, judged on rte-test, record-test. [task] is the column's task."
    )
    assert _names(_groups(table["5"])[0]) == ["T5-3B w/o SC", "ours: all-raw", "ours: rte-raw"]
    mean = _groups(table["6"])[1][-1].cells[1]
    assert (mean.number, mean.note) == (pytest.approx(0.65), "over 2 of 8 tasks")
    tuned = _groups(table["Case Study"])[1][-1]
    assert [cell.text for cell in tuned.cells[1:]] == ["50.0", "70.0", "30.0"]
    assert _names(_groups(table["12"])[1]) == ["ZeroGEN", "ours: axg-zero-shot"]
    assert _groups(table["12"])[-1][0].cells[0].note == "few-shot (as Self-Instruct)"
    every = ("axg", "boolq", "cb", "copa", "record", "rte", "wic", "wsc")
    assert _groups(_beside(*(f"{task}-og" for task in every))["6"])[0][-1].cells[1].note == ""


def test_published_numbers_are_those_of_the_documents() -> None:
    found = documents(ROOT / "conf")
    tables = {table.number: table for document in found.values() for table in document.tables}
    rows = {(number, row.name): row for number, table in tables.items() for row in table.rows}

    def value(number: str, name: str, column: str) -> float | None:
        return rows[number, name].values[tables[number].columns.index(column)]

    assert value("3", "Flan Syn-I", "record/rouge_l") == 0.7683
    assert value("3", "RoBERTa Og", "wsc") == 0.8721
    assert value("4", "Mistral-7B Syn", "copa") == 0.9343
    assert value("5", "T5-3B w/o SC", "axg") == 0.3528
    assert rows["6", "Cerebras Syn-I"].mean == 0.8188
    assert value("9", "Variation 2", "cb") == 0.9327
    assert value("10", "a quarter", "boolq") == 0.8365
    assert value("11", "Llama-3 (70B)", "rte") == 0.9223
    assert value("12", "ZeroGEN", "axg") == 0.1901
    assert [value("", "tuned", column) for column in ("cwe", "cwe/precision", "cwe/recall")] == [0.99, 0.9808, None]
    assert value("", "un-tuned", "cwe/recall") == 0.0
    # The documents' own words: self-correction gains 5.9 points on average; Table 11's gains are +0.4 and -0.2.
    for number, before, after, points_ in (
        ("5", "T5-3B w/o SC", "T5-3B with SC", 5.9),
        ("10", "all contexts", "half", -2.8),
        ("10", "all contexts", "a quarter", -4.2),
        ("11", "ChatGPT (current)", "Claude Sonnet", 0.4),
        ("11", "ChatGPT (current)", "Llama-3 (70B)", -0.2),
    ):
        pairs = zip(rows[number, before].values, rows[number, after].values, strict=True)
        assert 100 * np.mean([b - a for a, b in pairs]) == pytest.approx(points_, abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [0.5]}, "1 values for 2 columns"),
        ({"values": [50.1, 0.5]}, "less than or equal to 1"),
        ({"value": 0.5}, "unknown parameter"),
        ({"mean": 0.5}, "expected values, and no mean"),
        ({"ours": "{tsk}-syn"}, "should match pattern"),
        ({"ours": None, "values": []}, "neither values nor ours"),
    ],
)
def test_a_mistake_in_a_published_table_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = {"name": "a", "ours": "{task}-syn", "values": [0.5, None], **change}
    table = {"number": "1", "title": "t", "model": "m", "columns": ["rte", "record/rouge_l"], "rows": [row]}
    entry = {"paper": {"document": "d", "source": "s", "data": "x", "tables": [table]}}
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        documents(tmp_path)


def test_published_tables_stand_in_the_page_the_markdown_and_on_the_terminal(
    several: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = yaml.safe_load(Path("conf/published.yaml").read_text(encoding="utf-8"))
    table = published["cwe-case-study"]["tables"][0]
    table["title"] = table["rows"][0]["name"] = table["rows"][0]["note"] = HOSTILE
    published["cwe-case-study"] |= {
        "document": HOSTILE,
        "data": HOSTILE,
        "defects": [{"text": HOSTILE, "section": "1"}],
    }
    Path("conf/published.yaml").write_text(yaml.safe_dump(published), encoding="utf-8")
    main(Path("metrics"), Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    outline = Outline(html)
    assert "Table 3: each task on its own" in outline.text
    assert "Table 11" not in html.split('id="limits"')[0].split("Known defects")[0]
    assert outline.text.count(HOSTILE) == 6
    assert not outline.tags & {"link", "img", "iframe"}
    assert outline.scripts == [OWN]
    text = Path("reports/report.md").read_text(encoding="utf-8")
    assert "<" not in text
    assert "| T5 Og | 77.12 | 84.43 |" in text
    assert re.search(r"\| \*\*ours: rte-og\*\* \|( \*\*–\*\* \|){3} \*\*\d\d\.\d \(", text)
    assert "gains of 1 to 3 points lie inside it" in text
    for columns in (40, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_of()
        printed = capsys.readouterr().out
        assert max(len(line.rstrip()) for line in printed.splitlines()) <= columns
        assert "77.12" not in printed  # a column without ours
        assert re.search(r"Cerebras Og +81\.12", printed)
        known = len(published["targen"]["defects"])
        assert f"{known} known defects of these published figures: see the report" in " ".join(printed.split())


LONG = "a-model-whose-name-says-everything-that-was-done-to-it-twice"


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """A run with a model whose name has 60 letters."""
    monkeypatch.chdir(tmp_path)
    assert len(LONG) == 60
    return load(lay(tmp_path, {"raw": 0.5, LONG: 0.7}, ["plain", "hans"], victims={"raw": 0.3, LONG: 0.5}))


def test_names_of_models_stand_whole_in_plots(long: Facts) -> None:
    svgs = re.findall(r"<svg.*?</svg>", html_of(), re.DOTALL)
    named = [svg for svg in svgs if LONG in svg]
    assert len(named) == 2 + 2 + 2 + 3 + 2  # accuracy, differences, what changes, heuristics, attacks
    assert "…" not in "".join(svgs)


def test_the_picture_of_the_results_stands_by_itself(long: Facts) -> None:
    main(Path("metrics"), Path("reports"))
    svg = Path("reports/results.svg").read_text(encoding="utf-8")
    texts = ["".join(part.itertext()) for part in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(LONG) == 2
    assert {"plain", "hans", "raw"} <= {*texts}
    for suite in long.run.suites:
        assert f"{100 * long.accuracy[suite][LONG]['mean']:.1f}" in texts
    assert "…" not in svg and "var(" not in svg and "currentColor" not in svg
    assert 'fill="#ffffff"' in svg or "background-color: #ffffff" in svg
    assert not re.search(r"@import|url\((?!#)|<image|href=", svg)


def test_names_stand_whole_in_the_plots_of_dvc(long: Facts) -> None:
    lay_sets(Path(), {"curated/nli/grammar": [300], "suites/plain": [300]}, difficult=("curated/nli/grammar",))
    rows = plot_rows(load(Path("metrics")))
    drawn = 0
    for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]:
        ((name, plot),) = entry.items()
        ((_, y),) = plot["y"].items()
        text = (ROOT / ".dvc" / "plots" / f"{plot['template']}.json").read_text(encoding="utf-8")
        held = [{**row, "rev": "workspace"} for row in rows[name]]
        text = text.replace('"<DVC_METRIC_DATA>"', json.dumps(held))
        for anchor, value in (("X", plot["x"]), ("Y", y)):
            text = text.replace(f"<DVC_METRIC_{anchor}>", value)
        svg = vl_convert.vegalite_to_svg(re.sub(r"<DVC_METRIC_[A-Z_]+>", "", text))
        assert "…" not in svg, name
        drawn += LONG in svg
    assert drawn >= 4  # accuracy, differences, attack, loss


@pytest.mark.parametrize("width", [24, 40, 80])
def test_a_table_on_a_terminal_loses_nothing(capsys: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["calls", "held", "buy", "tokens in", "out", "dollars", "at most"]
    figures = ["18,400", "0", "18,400", "12,345,678", "9,876,543", "123.4567", "456.7890"]
    lines = [
        row("generate", "openai-small", *figures),
        row("correct", "grammar", "1", "1", "0", "2", "3", "no price", None),
    ]
    print_table(Table([*left("stage", "generator"), *heads(*names)], lines, keys=2))
    printed = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= width
    assert "…" not in printed
    for text in (*figures, *["at", "most", "no", "price"]):
        assert text in printed
    assert "openai-small" in printed or width < 40


def test_the_doctor_says_that_no_store_was_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_llm, "_generators", lambda: [])
    monkeypatch.setattr(cli_llm, "section", lambda name, model: model())
    monkeypatch.setattr(cli_llm, "default_path", lambda: tmp_path / "store.sqlite")
    monkeypatch.setattr(cli_llm, "_check_store", lambda: None)
    assert ("no damaged store was set aside", "") in list(cli_llm._examine())
    aside = tmp_path / "store.sqlite.damaged-1"
    aside.touch()
    (problem,) = [problem for what, problem in cli_llm._examine() if what == "damaged stores set aside"]
    assert problem == f"{aside}: `sqlite3 {aside} .recover` may save answers"
