"""The small files of a run, written on the spot, which the stage `report` reads; and a reader of its page."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nlilab.core.files import write_json
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.report.contents import contents
from nlilab.report.facts import load
from nlilab.report.markdown import markdown
from nlilab.report.page import page
from nlilab.report.tables import Report
from nlilab.report.terminal import print_report
from nlilab.verdict.compare import CompareSettings, Suite, compare, under_attack
from nlilab.verdict.metrics import cells as cells_of
from nlilab.verdict.metrics import evaluate

ROOT = Path(__file__).parent.parent
HOSTILE = "</td></table><script>alert('x')</script>\u202e\u0645\u0631\u062d\u0628\u0627 🙂 | `a` " + "w" * 10_000


OWN = (ROOT / "src" / "nlilab" / "report" / "templates/page.js").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Tags that were opened, scripts, all text, and everything that would make a browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += [""] if tag == "script" else []
        for name, value in attrs:
            if name in ("src", "srcset", "href", "xlink:href", "action", "data") and not (value or "").startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cdata_elem == "script":
            self.scripts[-1] += data


class Grid(HTMLParser):
    """The rows of all tables of a page, each as the texts of its cells; one over several rows stands in the first."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")
        if tag in ("br", "small") and self.inside:
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False
            self.rows[-1][-1] = " ".join(self.rows[-1][-1].split())

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def report_of(metrics: Path = Path("metrics")) -> Report:
    """The report of a run's metrics."""
    return contents(load(metrics))


def html_of(metrics: Path = Path("metrics")) -> str:
    """The page of a run's metrics."""
    return page(report_of(metrics))


def markdown_of(metrics: Path = Path("metrics")) -> str:
    """The Markdown of a run's metrics."""
    return markdown(report_of(metrics))


def print_of(metrics: Path = Path("metrics")) -> None:
    """Print a run's report on the terminal."""
    print_report(report_of(metrics), Path("reports/report.html"))


def lay(
    folder: Path,
    models: dict[str, float],
    suites: list[str],
    seeds: int = 3,
    generators: tuple[str, ...] = ("grammar",),
    datasets: tuple[str, ...] = (),
    text: str = "CC BY 4.0",
    victims: dict[str, float] | None = None,
    protocol: str = "clean",
    tasks: dict[str, str] | None = None,
) -> Path:
    """Write params.yaml and metrics/ of a run whose models have these true accuracies; `hans*` suites have cells.

    `victims`: accuracy under attack on the first suite by gradient-mask; random-mask takes half as much. `tasks`:
    suite -> task, where it is not nli; then a model (task-..., or all-...) reads the suites of its own task.
    """
    random = np.random.default_rng(0)
    runs = list(range(1, seeds + 1))
    built, scores, known = [], {}, tasks or {}
    for name in suites:
        task = known.get(name, "nli")
        readers = {model: value for model, value in models.items() if not tasks or model.startswith((task, "all"))}
        suite, scores[name] = _suite(name, readers, runs, random, text, task)
        built.append(suite)
        _card(folder / "metrics" / "suites" / f"{name}.json", suite.gold, _scheme(name, task), text, task)
    steps = {model: 60 * (1 + ("-then-" in model)) for model in models}
    settings = CompareSettings()
    under, attack = _attacks(folder, models, victims or {}, suites[0], runs, random, text, protocol)
    bases = {model: model.split("-vs-")[0] for model in models if "-vs-" in model}
    tainted = {(model, place) for model in bases for place in (suites[0], *under) if protocol == "as_published"}
    found = compare(built + [suite for _, suite in under.values()], settings, steps, tainted)
    found["attacks"] = {
        name: {"suite": suites[0], "recipe": name.split("@")[1], "rows": 600}
        | {"models": under_attack(clean, suite, bases, settings)}
        for name, (clean, suite) in under.items()
    }
    write_json(folder / "metrics" / "comparison.json", found)
    write_json(folder / "metrics" / "scores.json", scores)
    arms = [model for model in models if "-then-" not in model and "-vs-" not in model]
    written = [
        f"{task}/{name}" for task in dict.fromkeys(known.get(suite, "nli") for suite in suites) for name in generators
    ]
    sources = [*written, *datasets]
    for arm in arms:
        write_json(folder / "metrics" / "arms" / f"{arm}.json", _certificate(sources))
    for name in datasets:
        _card(folder / "metrics" / "sources" / f"{name}.json", np.array(THREE_WAY * 10), THREE_WAY, text)
    for name in sources:
        rejects = {"exact_duplicate": 3, text: 7}
        curation = {"rows_in": 100, "rows_out": 90, "rejects": rejects, "splits": {"train": 81, "dev": 9}}
        write_json(folder / "metrics" / "curate" / f"{name}.json", curation)
    for name in written:
        write_json(folder / "metrics" / "correct" / f"{name}.json", _flips())
    for model in models:
        for seed in runs:
            write_json(folder / "metrics" / "training" / f"{model}-{seed}.json", _training(steps[model], random))
    params = {
        "tasks": list(dict.fromkeys(known.get(suite, "nli") for suite in suites)),
        "generators": [*generators],
        "datasets": [*datasets],
        "sets": sources,
        "suites": suites,
        "arms": arms,
        "two_step": {"starts": ["raw"], "arms": ["corrected"]},
        "harden": {
            "arms": list(dict.fromkeys(bases.values())),
            "against": list(dict.fromkeys(model.split("-vs-")[1] for model in bases)),
        },
        "attack": attack,
        "models": [*models],
        "seeds": runs,
        "mixtures": {arm: {"sources": dict.fromkeys(sources, 30)} for arm in [*arms, "not-in-this-run"]},
        "train": {"model": "package:tiny", "steps": 60},
        "compare": {"confidence": 0.95, "margin": 2},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return folder / "metrics"


def _attacks(
    folder: Path,
    models: dict[str, float],
    victims: dict[str, float],
    suite: str,
    runs: list[int],
    random: np.random.Generator,
    text: str,
    protocol: str,
) -> tuple[dict[str, tuple[Suite, Suite]], dict[str, Any]]:
    """Write what the attack stages write; return clean and attacked rows by attacked suite, and the settings."""
    recipes = ["gradient-mask", "random-mask"] if victims else []
    readers = ["raw", *(name for name in victims if name != "raw")] if victims else []
    entries: dict[str, Any] = {}
    under, gallery = {}, []
    for number, recipe in enumerate(recipes):
        after = {name: value + number * (models[name] - value) / 2 for name, value in victims.items()}
        clean, before = _suite(suite, {name: models[name] for name in victims}, runs, random, text)
        attacked, later = _suite(f"{suite}@{recipe}", after, runs, random, text)
        under[attacked.name] = clean, attacked
        outcome = {"success": 0.43, "success_judged": 0.12, "kept": 0.36, "kept_originals": 0.38}
        entries[attacked.name] = {
            "suite": suite,
            "recipe": recipe,
            "rows": 600,
            "victims": {name: {str(seed): outcome for seed in runs} for name in victims},
            "transfer": {name: dict.fromkeys(readers, 0.5) for name in victims},
            "scores": {"before": before["models"], "after": later["models"]},
        }
        for name in victims:
            gallery.append(_example(suite, recipe, name, text))
            write_json(folder / "metrics" / "attacked" / f"{name}@{recipe}.json", {"rows": 9})
    one = {"rows": 300, "made": 299, "unperturbed": 1, "holds": 0.6, "holds_on_originals": 0.9}
    made = {"protocol": protocol, "judge": "raw", "validate": False, "seeds": {str(seed): one for seed in runs}}
    for name in models:
        if "-vs-" in name:
            write_json(folder / "metrics" / "adversarial" / f"{name}.json", made)
    write_json(folder / "metrics" / "attacks.json", {"suites": entries, "gallery": gallery})
    for name in ("models.yaml", "recipes.yaml", "published.yaml"):
        (folder / "conf").mkdir(exist_ok=True)
        (folder / "conf" / name).write_text((ROOT / "conf" / name).read_text(encoding="utf-8"), encoding="utf-8")
    sample = {"n_per_class": 100, "suites": [suite], "suite_rows_per_class": 200, "judge": "raw", "validate": False}
    return under, {**sample, "protocol": protocol, "recipes": recipes, "victims": [*victims], "readers": readers}


def _example(suite: str, recipe: str, victim: str, text: str) -> dict[str, Any]:
    """A pair of the gallery whose texts all hold `text`; one word is masked, one was deleted."""
    hypothesis = f"A [MASK] plays {text}."
    return {
        "suite": suite,
        "recipe": recipe,
        "victim": victim,
        "seed": 1,
        "premise": text,
        "hypothesis": hypothesis,
        "original": f"A man plays {text}. loudly",
        "changes": [[2, 8, "man"], [len(hypothesis), len(hypothesis), "loudly" + text]],
        "label": "entailment",
        "before": {"contradiction": 0.01, "entailment": 0.953, "neutral": 0.037},
        "after": {"contradiction": 0.1, "entailment": 0.2, "neutral": 0.7},
        "judge_agrees": None,
    }


TRUE_FALSE = ("true", "false")
SCHEMES = {"boolq": TRUE_FALSE, "record": TRUE_FALSE, "multirc": TRUE_FALSE, "rte": TWO_WAY, "axg": TWO_WAY}
SCHEMES["cwe"] = ("vulnerable", "safe")
METRICS = {"record": "pick-one", "axg": "parity", "multirc": "options"}
FURTHER = {
    "record": {"questions": 150, "em": 0.5, "f1": 0.55},
    "multirc": {"questions": 150, "f1a": 0.61, "f1m": 0.6, "em": 0.2},
    "axg": {"pairs": 300, "gender_parity": 0.9},
}


def _scheme(suite: str, task: str) -> tuple[str, ...]:
    return TWO_WAY if suite.startswith("hans") else SCHEMES.get(task, THREE_WAY)


def _suite(
    name: str, models: dict[str, float], runs: list[int], random: np.random.Generator, text: str, task: str = "nli"
) -> tuple[Suite, dict[str, Any]]:
    two = name.startswith("hans")
    scheme = _scheme(name, task)
    labels = THREE_WAY if two else scheme
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
            index = np.array([labels.index(label) if label in labels else 1 for label in gold])
            shares = np.full((count, len(labels)), 0.2)
            shares[np.arange(count), np.where(row, index, (index + (1 + (index == 1) * two)) % len(labels))] = 0.6
            one = evaluate(gold, shares, labels, scheme)
            part = slice(0, count // 4)
            one["slices"] = {"negation": evaluate(gold[part], shares[part], labels, scheme)}
            one |= FURTHER.get(task, {}) | ({"rouge_l": 0.6 + seed / 100} if task == "record" else {})
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
    majority = None if METRICS.get(task) == "pick-one" else 1 / len(scheme)
    return suite, {"models": scored, "guard": {**guard, "warned": two}, "majority": majority}


def _card(path: Path, gold: Any, scheme: tuple[str, ...], text: str, task: str = "nli") -> None:
    labels = {label: int((gold == label).sum()) for label in scheme}
    card = {"rows": len(gold), "groups": 150, "licence": text, "source": text, "adversarial": False, "labels": labels}
    write_json(path, card | {"task": task, "metric": METRICS.get(task, "accuracy")})


def _certificate(sources: list[str]) -> dict[str, Any]:
    even = dict.fromkeys(THREE_WAY, 10)
    words = dict.fromkeys(THREE_WAY, 7.5)
    return {
        "rows": 30,
        "labels": even,
        "sources": dict.fromkeys(sources, 30),
        "label_kind": "corrected",
        "shuffled": False,
        "view": "pair",
        "instructions": False,
        "tasks": {"nli": 30},
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
