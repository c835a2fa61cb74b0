"""The report: sentences, escaping, no network, the same bytes, and runs that lack what others have."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nlilab.compare import CompareSettings, Suite, compare
from nlilab.errors import UserError
from nlilab.files import read_json, write_json
from nlilab.metrics import cells as cells_of
from nlilab.metrics import evaluate
from nlilab.report import offline, print_table
from nlilab.report.facts import load, pairs_of
from nlilab.report.page import page
from nlilab.report.rows import plot_rows
from nlilab.report.words import points, sentence
from nlilab.schema import THREE_WAY, TWO_WAY
from nlilab.stages.report import main

HOSTILE = "</td></table><script>alert('x')</script>\u202e\u0645\u0631\u062d\u0628\u0627 🙂 | `a` " + "w" * 10_000


def lay(
    folder: Path,
    models: dict[str, float],
    suites: list[str],
    seeds: int = 3,
    generators: tuple[str, ...] = ("grammar",),
    datasets: tuple[str, ...] = (),
    text: str = "CC BY 4.0",
    samples: int = 1000,
) -> Path:
    """Write params.yaml and metrics/ of a run whose models have these true accuracies; `hans*` suites have cells."""
    random = np.random.default_rng(0)
    runs = list(range(1, seeds + 1))
    built, scores = [], {}
    for name in suites:
        suite, scores[name] = _suite(name, models, runs, random, text)
        built.append(suite)
        scheme = TWO_WAY if name.startswith("hans") else THREE_WAY
        _card(folder / "metrics" / "suites" / f"{name}.json", suite.gold, scheme, text)
    steps = {model: 60 * (1 + ("-then-" in model)) for model in models}
    found = compare(built, CompareSettings(bootstrap=samples), steps)
    write_json(folder / "metrics" / "comparison.json", found)
    write_json(folder / "metrics" / "scores.json", scores)
    arms = [model for model in models if "-then-" not in model]
    sources = [*generators, *datasets]
    for arm in arms:
        write_json(folder / "metrics" / "arms" / f"{arm}.json", _certificate(sources))
    for name in datasets:
        _card(folder / "metrics" / "sources" / f"{name}.json", np.array(THREE_WAY * 10), THREE_WAY, text)
    for name in sources:
        rejects = {"exact_duplicate": 3, text: 7}
        curation = {"rows_in": 100, "rows_out": 90, "rejects": rejects, "splits": {"train": 81, "dev": 9}}
        write_json(folder / "metrics" / "curate" / f"{name}.json", curation)
    for name in generators:
        write_json(folder / "metrics" / "correct" / f"{name}.json", _flips())
    for model in models:
        for seed in runs:
            write_json(folder / "metrics" / "training" / f"{model}-{seed}.json", _training(steps[model], random))
    params = {
        "task": "nli",
        "generators": [*generators],
        "datasets": [*datasets],
        "suites": suites,
        "arms": arms,
        "two_step": {"starts": ["raw"], "arms": ["corrected"]},
        "models": [*models],
        "seeds": runs,
        "mixtures": {arm: {"sources": dict.fromkeys(sources, 30)} for arm in [*arms, "not-in-this-run"]},
        "train": {"model": "package:tiny", "steps": 60},
        "compare": {"bootstrap": samples},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return folder / "metrics"


def _suite(
    name: str, models: dict[str, float], runs: list[int], random: np.random.Generator, text: str
) -> tuple[Suite, dict[str, Any]]:
    two = name.startswith("hans")
    scheme = TWO_WAY if two else THREE_WAY
    count = 600
    gold = np.array(scheme)[np.arange(count) % len(scheme)]
    cell = (
        np.array(["lexical_overlap", "subsequence", "constituent"])[np.arange(count) % 3] if two else np.full(count, "")
    )
    correct: dict[str, Any] = {}
    scored: dict[str, Any] = {}
    for model, accuracy in models.items():
        right = random.random((len(runs), count)) < accuracy + 0.01 * random.standard_normal((len(runs), 1))
        correct[model] = right
        scored[model] = {}
        for seed, row in zip(runs, right, strict=True):
            # The gold label's share where right; another's where wrong: two-way gold is read as entailment or not.
            index = np.array([THREE_WAY.index(label) if label in THREE_WAY else 1 for label in gold])
            shares = np.full((count, 3), 0.2)
            shares[np.arange(count), np.where(row, index, (index + (1 + (index == 1) * two)) % 3)] = 0.6
            one = evaluate(gold, shares, scheme)
            part = slice(0, count // 4)
            one["slices"] = {"negation": evaluate(gold[part], shares[part], scheme)}
            if two:
                one["cells"] = cells_of(gold, row, cell)
                one["subcases"] = {f"subcase {number}": float(row[number::10].mean()) for number in range(10)}
            scored[model][str(seed)] = one
    suite = Suite(
        name=name,
        gold=gold,
        groups=(np.arange(count) // 4).astype(np.int64),
        slices={"negation": np.arange(count) < count // 4},
        has_cells=two,
        correct=correct,
    )
    guard = {"declared": 0.4, "permuted": 0.5, "mapping": {"entailment": text, "neutral": "neutral"}, "z": 5.0}
    return suite, {"models": scored, "guard": {**guard, "warned": two}}


def _card(path: Path, gold: Any, scheme: tuple[str, ...], text: str) -> None:
    labels = {label: int((gold == label).sum()) for label in scheme}
    card = {"rows": len(gold), "groups": 9, "licence": text, "source": text, "adversarial": False, "labels": labels}
    write_json(path, card)


def _certificate(sources: list[str]) -> dict[str, Any]:
    even = dict.fromkeys(THREE_WAY, 10)
    words = dict.fromkeys(THREE_WAY, 7.5)
    return {
        "rows": 30,
        "labels": even,
        "sources": dict.fromkeys(sources, 30),
        "label_kind": "corrected",
        "shuffled": False,
        "balanced": True,
        "premises": 12,
        "hypothesis_words": words,
        "premise_words": words,
        "overlap": dict.fromkeys(THREE_WAY, 0.4),
    }


def _flips() -> dict[str, Any]:
    matrix = {
        label: {other: 8 if other == label else 1 for other in THREE_WAY} | {"dropped": 0, "unjudged": 0}
        for label in THREE_WAY
    }
    verdicts = {"kept": 24, "relabelled": 6, "dropped": 0, "unjudged": 0}
    return {"rows": 30, "matrix": matrix, "verdicts": verdicts, "flip_rate": 0.2}


def _training(steps: int, random: np.random.Generator) -> dict[str, Any]:
    losses = [
        {"step": step, "loss": float(1.1 - 0.4 * step / steps + 0.03 * random.random())} for step in range(1, steps + 1)
    ]
    out = {"steps": steps, "total_steps": steps, "rows": 900, "epochs": 2.133, "precision": "bf16", "truncated": 2}
    return {**out, "losses": losses}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two models with a clear difference, on a plain suite and a heuristics suite, with hostile texts."""
    lay(tmp_path, {"raw": 0.5, "corrected": 0.7}, ["plain", "hans"], datasets=("human",), text=HOSTILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Outline(HTMLParser):
    """Tags that were opened, all text, and everything that would make a browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "href", "xlink:href", "action", "data") and not (value or "").startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_verdicts_are_sentences_about_the_later_model(run: Path) -> None:
    facts = load(Path("metrics"))
    found = sentence(facts.matchups()[0], facts.confidence)
    assert re.fullmatch(
        r"corrected beats raw on plain \(\+\d+\.\d points, 95 % interval \d+\.\d to \d+\.\d\), "
        r"hans \(\+\d+\.\d points, 95 % interval \d+\.\d to \d+\.\d\)\.",
        found,
    )
    assert found in Outline(page(facts)).text


def test_what_a_pair_fixed_less_what_it_introduced_is_the_difference_printed(run: Path) -> None:
    pair = pairs_of(read_json(Path("metrics/comparison.json")))[0]
    assert (pair.model, pair.baseline, pair.verdict) == ("corrected", "raw", "better")
    assert (pair.fixed - pair.introduced) / pair.decisions == pytest.approx(pair.difference)


def test_inconclusive_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = load(lay(tmp_path, {"raw": 0.6, "corrected": 0.6}, ["plain"]))
    assert re.fullmatch(
        r"corrected against raw: inconclusive on plain \([+−±]\d\.\d, needs at least \d+\.\d to be seen\)\.",
        sentence(facts.matchups()[0], 0.95),
    )
    single = load(lay(tmp_path, {"raw": 0.5, "corrected": 0.9}, ["plain"], seeds=1))
    assert ", one seed)." in sentence(single.matchups()[0], 0.95)
    assert "no verdict is given" in page(single)


def test_points_never_print_a_signed_zero() -> None:
    assert [points(value) for value in (0.031, -0.031, 0.0004, -0.0)] == ["+3.1", "−3.1", "±0.0", "±0.0"]


def test_hostile_text_stays_text_and_nothing_is_fetched(run: Path) -> None:
    main(Path("metrics"), Path("reports"))
    html = Path("reports/report.html").read_text(encoding="utf-8")
    outline = Outline(html)
    assert HOSTILE in outline.text
    assert not outline.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"}
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
    before = page(load(Path("metrics")))
    for folder in ("arms", "suites", "curate", "correct", "training"):
        Path("metrics", folder, "removed-1.json").write_text("not JSON", encoding="utf-8")
    assert page(load(Path("metrics"))) == before
    assert "not-in-this-run" not in before


def test_one_model_no_generators_no_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = lay(tmp_path, {"only": 0.6}, ["plain"], generators=())
    main(metrics, Path("reports"))
    assert "nothing to compare it with" in Path("reports/report.html").read_text(encoding="utf-8")
    assert "One model only." in Path("reports/report.md").read_text(encoding="utf-8")
    print_table(metrics, Path("reports"))
    assert "only" in capsys.readouterr().out


def test_an_older_comparison_is_refused(run: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump({**params, "suites": ["plain"]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"compares the suites hans, plain, but params\.yaml names plain"):
        load(Path("metrics"))


def test_many_suites_are_counted_and_few_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = load(lay(tmp_path, {"raw": 0.5, "corrected": 0.8}, ["s1", "s2", "s3", "s4"]))
    found = sentence(facts.matchups()[0], 0.95)
    assert re.fullmatch(r"corrected beats raw on all 4 suites \(\+\d\d\.\d to \+\d\d\.\d points\)\.", found)


def test_dvc_plots_name_templates_and_columns_that_exist(run: Path) -> None:
    root = Path(__file__).parent.parent
    rows = plot_rows(load(Path("metrics")))
    declared = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    assert declared
    for entry in declared:
        ((name, plot),) = entry.items()
        ((file, y),) = plot["y"].items()
        assert file == f"reports/plots/{name}.json"
        template = (root / ".dvc" / "plots" / f"{plot['template']}.json").read_text(encoding="utf-8")
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
    print_table(Path("metrics"), Path("reports"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "report: reports/report.html"
    assert all(len(line.rstrip()) <= int(columns) for line in lines)
    text = " ".join(" ".join(lines).split())
    assert re.search(r"corrected +\d\d\.\d \(\d\d\.\d-\d\d\.\d\)", text)
    assert "corrected beats raw on plain (+" in text
    text.encode("ascii")
