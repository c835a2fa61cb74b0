"""What the report says, read once: the small metrics files of this run, typed where figures are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.attack.recipes import AttackSettings
from nlilab.core.bases import base_name, training_of
from nlilab.core.errors import UserError
from nlilab.core.files import read_json
from nlilab.core.params import CONF, PARAMS, Run, read_yaml, run_settings, section
from nlilab.report.numbers import confidence_words
from nlilab.report.published import Document, documents
from nlilab.report.records import Attack, Pair, Stand, grouped, matchups_of, mean_of, ordered, pairs_of, rank
from nlilab.report.sets import DataSet, read_set

# What cannot change a result, and so is no provenance.
NO_PROVENANCE = {"llm"}
NOBODY = {"rows": 0, "samples": {}, "graders": {}, "pairs": [], "generators": {}}  # what people said, before any did


@dataclass(frozen=True)
class Hardened:
    """A model that was hardened: from which arm, against which recipe."""

    model: str
    base: str
    recipe: str


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows, by the names that params.yaml gives.

    The suites of `run` stand task by task. A model is missing wherever a suite's task is none that it reads. Where
    params.yaml attacks nothing, `attacks` is empty, and so is what follows from it.
    """

    run: Run
    params: Mapping[str, Any]
    confidence: float
    margin: float  # the difference, a share, from which on two models are not equivalent
    family: int  # comparisons that verdicts are corrected for, those under attack included
    accuracy: Mapping[str, Mapping[str, Any]]
    pairs: list[Pair]
    steps: Mapping[str, int]
    parameters: Mapping[str, int | None]
    learnt: Mapping[str, Any]  # seeds that never learnt, by model
    scores: Mapping[str, Any]
    suites: Mapping[str, Any]
    sources: Mapping[str, Any]
    corrections: Mapping[str, Any]
    curation: Mapping[str, Any]
    arms: Mapping[str, Any]
    training: Mapping[str, Mapping[int, Any]]
    attack: AttackSettings
    recipes: Mapping[str, Mapping[str, Any]]  # as conf/recipes.yaml has them
    hardened: Mapping[str, Hardened]
    made: Mapping[str, Mapping[str, Any]]  # adversarial training rows, by hardened model
    contaminated: frozenset[tuple[str, str]]  # (model, suite), clean or attacked
    attacks: list[Attack]
    attacked_pairs: list[Pair]
    outcomes: Mapping[str, Any]
    gallery: list[Mapping[str, Any]]
    documents: Mapping[str, Document]
    sets: Mapping[str, DataSet]
    agreement: Mapping[str, Any]

    @property
    def level(self) -> str:
        """`95 % interval`."""
        return f"{confidence_words(self.confidence)} interval"

    @property
    def task_of(self) -> dict[str, str]:
        """The task of each suite."""
        return {suite: self.suites[suite]["task"] for suite in self.run.suites}

    @property
    def tasks(self) -> dict[str, list[str]]:
        """The suites by the task that they are of."""
        return grouped(self.run.suites, lambda suite: str(self.suites[suite]["task"]))

    @property
    def candidates(self) -> list[str]:
        """The suites in which one of several candidates is picked."""
        return [suite for suite in self.run.suites if self.suites[suite]["metric"] == "pick-one"]

    @property
    def bases(self) -> dict[str, str]:
        """What each model starts from."""
        return {model: base_name(training_of(self.params, self.run.arms_of(model)[0])) for model in self.run.models}

    def readers(self, suite: str) -> list[str]:
        """The models that read a suite."""
        return list(self.accuracy[suite])

    def alike(self) -> dict[tuple[str, ...], list[str]]:
        """The suites by who reads them: what is read by the same models fits into one table."""
        return grouped(self.run.suites, lambda suite: tuple(self.readers(suite)))

    def majority(self, suite: str) -> float | None:
        """The accuracy of always giving the suite's most frequent label; None where rows do not count one by one."""
        found: float | None = self.scores[suite]["majority"]
        return found

    def judged(self, suite: str) -> int:
        """How many answers accuracy counts: rows, or questions where one of several candidates is picked."""
        return int(self.suites[suite]["groups" if suite in self.candidates else "rows"])

    def mean(self, suite: str, model: str, *path: str) -> float | None:
        """A score averaged over the seeds, or None where the suite has no such slice, class or cell."""
        return mean_of(self.scores[suite]["models"].get(model, {}), *path)

    def keys(self, suite: str, path: str) -> list[str]:
        """The names of a suite's slices, classes, cells or subcases, in the order they first stand."""
        seeds = (scored for seeds in self.scores[suite]["models"].values() for scored in seeds.values())
        return list(dict.fromkeys(key for scored in seeds for key in scored.get(path, {})))

    def cells(self, suite: str) -> dict[str, list[str]]:
        """A heuristics suite's cells: heuristic -> gold labels; empty for other suites."""
        found = grouped(self.keys(suite, "cells"), lambda key: key.rpartition("/")[0])
        return {name: sorted((key.rpartition("/")[2] for key in keys), key=rank) for name, keys in found.items()}

    def matchups(self) -> list[list[Pair]]:
        """The pairs, one list over all suites that both read for each two models; those of several tasks last."""
        return sorted(matchups_of(self.pairs), key=lambda held: len({self.task_of[pair.suite] for pair in held}))

    def matchups_by_task(self) -> dict[tuple[str, ...], list[list[Pair]]]:
        """The pairs of models by the tasks of the suites that both read."""
        return grouped(self.matchups(), lambda held: tuple(dict.fromkeys(self.task_of[pair.suite] for pair in held)))

    def of_suite(self, suite: str) -> list[Pair]:
        """The pairs on one suite."""
        return [pair for pair in self.pairs if pair.suite == suite]

    def tainted(self, model: str, place: str) -> bool:
        """Whether a model was trained on perturbed rows of a suite."""
        return (model, place) in self.contaminated

    def any_tainted(self, place: str) -> bool:
        """Whether any model was trained on perturbed rows of a suite."""
        return any(tainted == place for _, tainted in self.contaminated)

    def control(self, recipe: str) -> bool:
        """Whether a recipe picks its words without the gradient's advice, or changes nothing."""
        found = self.recipes.get(recipe, {})
        return found.get("ranking") in ("random", "lowest") or found.get("perturbation") == "none"

    def outcome(self, attack: Attack, model: str, key: str) -> float | None:
        """A figure of what an attack did to a victim, averaged over the seeds."""
        return mean_of(self.outcomes[attack.place]["victims"][model], key)

    def score(self, attack: Attack, when: str, model: str, *path: str) -> float | None:
        """A victim's score on the attacked sample, `before` or `after`, averaged over the seeds."""
        return mean_of(self.outcomes[attack.place]["scores"][when][model], *path)


def load(metrics: Path) -> Facts:
    """Read what this run's params.yaml names; files of arms or suites that were taken out are not looked at."""
    run, attack, params = run_settings(), section("attack", AttackSettings), read_yaml(PARAMS)
    places = [f"{suite}@{recipe}" for suite in attack.suites for recipe in attack.recipes if attack.victims]
    comparison = read_comparison(metrics, run, attack, places)
    shown = {key: value for key, value in params.items() if key not in NO_PROVENANCE}
    shown["mixtures"] = {arm: value for arm, value in params.get("mixtures", {}).items() if arm in run.arms}
    hardened = {name: Hardened(name, *made) for name, made in run.harden.made().items() if name in run.models}
    recipes = {*attack.recipes, *(one.recipe for one in hardened.values())}
    found = read_json(metrics / "attacks.json") if places else {"suites": {}, "gallery": []}
    checked = _maybe(metrics / "gates.json").get("checked", [])
    sets = [read_set(metrics, name, checked) for name in (*run.curated(), *(f"suites/{suite}" for suite in run.suites))]

    def each(folder: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: ordered(read_json(metrics / folder / f"{name}.json")) for name in names}

    suites, accuracy = each("suites", run.suites), comparison["accuracy"]
    by_task = grouped(run.suites, lambda suite: suites[suite]["task"])
    run = run.model_copy(update={"suites": [suite for names in by_task.values() for suite in names]})
    return Facts(
        run=run,
        params=shown,
        confidence=comparison["confidence"],
        margin=comparison["margin"],
        family=comparison["family"],
        accuracy={suite: {m: accuracy[suite][m] for m in run.models if m in accuracy[suite]} for suite in run.suites},
        pairs=pairs_of(comparison, run.suites),
        steps={model: comparison["steps"][model] for model in run.models},
        parameters={model: comparison.get("parameters", {}).get(model) for model in run.models},
        learnt={model: one for model, one in comparison.get("learnt", {}).items() if model in run.models},
        scores=ordered(read_json(metrics / "scores.json")),
        suites=suites,
        sources=each("sources", run.datasets),
        corrections=each("correct", run.written()),
        curation=each("curate", run.sets),
        arms=each("arms", run.arms),
        training={m: {s: read_json(metrics / "training" / f"{m}-{s}.json") for s in run.seeds} for m in run.models},
        attack=attack,
        recipes={n: one for n, one in read_yaml(CONF / "recipes.yaml").items() if n in recipes} if recipes else {},
        hardened=hardened,
        made={model: read_json(metrics / "adversarial" / f"{model}.json") for model in hardened},
        contaminated=frozenset((model, suite) for model, suite in comparison["contaminated"]),
        attacks=[_attack(place, comparison["attacks"][place], run.models) for place in places],
        attacked_pairs=pairs_of(comparison, places),
        outcomes=ordered(found["suites"]),
        gallery=found["gallery"],
        documents=documents(),
        sets={one.name: one for one in sets if one},
        agreement=_maybe(metrics / "agreement.json") or NOBODY,
    )


def read_comparison(metrics: Path, run: Run, attack: AttackSettings, places: list[str]) -> dict[str, Any]:
    """The comparison that the stage `compare` wrote; one of other suites, models or attacks is refused."""
    path = metrics / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` first")
    found: dict[str, Any] = read_json(path)
    if "margin" not in found:
        raise UserError(f"{path} was written by an earlier version of nlilab: run `dvc repro compare report`")
    attacks = found.setdefault("attacks", {})  # none in a comparison from before there were attacks
    clean = {suite: models for suite, models in found["accuracy"].items() if suite not in attacks}
    _agree("suites", run.suites, list(clean))
    _agree("models", run.models, list(dict.fromkeys(name for models in clean.values() for name in models)))
    _agree("attacked suites", places, list(attacks))
    for victims in attacks.values():
        _agree("victims", attack.victims, list(victims["models"]))
    return found


def _agree(what: str, wanted: list[str], got: list[str]) -> None:
    if set(wanted) != set(got):
        raise UserError(
            f"metrics/comparison.json compares the {what} {', '.join(got) or '(none)'}, but params.yaml names "
            f"{', '.join(wanted) or '(none)'}: run `dvc repro`"
        )


def _attack(place: str, record: Mapping[str, Any], models: list[str]) -> Attack:
    stands = {model: Stand.model_validate(record["models"][model]) for model in models if model in record["models"]}
    return Attack(place, record["suite"], record["recipe"], record["rows"], stands)


def _maybe(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return found
