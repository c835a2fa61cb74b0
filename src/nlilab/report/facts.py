"""What the report says: the small metrics files of this run, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.attack.recipes import AttackSettings
from nlilab.core.errors import UserError
from nlilab.core.files import read_json
from nlilab.core.params import PARAMS, Run, read_yaml, run_settings, section
from nlilab.report.attacks import Attacking, attacking, places
from nlilab.report.measured import Measured
from nlilab.report.pairs import Pair, matchups_of, mean_of, ordered, pairs_of, rank
from nlilab.report.published import Document, documents
from nlilab.report.sets.dataset import DataSet, read_agreement, read_sets

# What cannot change a result, and so is no provenance.
NO_PROVENANCE = {"llm"}


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows, by the names that params.yaml gives.

    The suites of `run` stand task by task. A model is missing wherever a suite's task is none that it reads.
    """

    run: Run
    params: Mapping[str, Any]
    confidence: float
    family: int  # comparisons that Holm corrects for, those under attack included
    accuracy: Mapping[str, Mapping[str, Any]]
    pairs: list[Pair]
    steps: Mapping[str, int]
    scores: Mapping[str, Any]
    suites: Mapping[str, Any]
    sources: Mapping[str, Any]
    corrections: Mapping[str, Any]
    curation: Mapping[str, Any]
    arms: Mapping[str, Any]
    training: Mapping[str, Mapping[int, Any]]
    attacking: Attacking
    documents: Mapping[str, Document]
    sets: Mapping[str, DataSet]
    agreement: Mapping[str, Any]

    @property
    def task_of(self) -> dict[str, str]:
        """The task of each suite."""
        return {suite: self.suites[suite]["task"] for suite in self.run.suites}

    @property
    def tasks(self) -> dict[str, list[str]]:
        """The suites by the task that they are of."""
        return by_task(self.run.suites, self.suites)

    def readers(self, suite: str) -> list[str]:
        """The models that read a suite."""
        return list(self.accuracy[suite])

    def alike(self) -> dict[tuple[str, ...], list[str]]:
        """The suites by who reads them: what is read by the same models fits into one table."""
        out: dict[tuple[str, ...], list[str]] = {}
        for suite in self.run.suites:
            out.setdefault(tuple(self.readers(suite)), []).append(suite)
        return out

    def labels(self, suite: str) -> list[str]:
        """A suite's labels, the positive one of two first."""
        return list(self.suites[suite]["labels"])

    def majority(self, suite: str) -> float | None:
        """The accuracy of always giving the suite's most frequent label; None where rows do not count one by one."""
        found: float | None = self.scores[suite]["majority"]
        return found

    def judged(self, suite: str) -> int:
        """How many answers accuracy counts: rows, or questions where one of several candidates is picked."""
        card = self.suites[suite]
        return int(card["groups"] if card["metric"] == "pick-one" else card["rows"])

    def measured(self) -> Measured:
        """What published tables can be set beside."""
        return Measured(self.task_of, self.accuracy, self.scores, self.attacking.contaminated, base_of(self.params))

    def mean(self, suite: str, model: str, *path: str) -> float | None:
        """A score averaged over the seeds, or None where the suite has no such slice, class or cell."""
        return mean_of(self.scores[suite]["models"].get(model, {}), *path)

    def keys(self, suite: str, *path: str) -> list[str]:
        """The names under a mapping of a suite's scores (its slices, classes, cells), in the order they first stand."""
        found: dict[str, None] = {}
        for seeds in self.scores[suite]["models"].values():
            for scored in seeds.values():
                for key in path:
                    scored = scored.get(key, {})
                found.update(dict.fromkeys(scored))
        return list(found)

    def cells(self, suite: str) -> dict[str, list[str]]:
        """A heuristics suite's cells: heuristic -> gold labels; empty for other suites."""
        out: dict[str, list[str]] = {}
        for key in self.keys(suite, "cells"):
            heuristic, _, label = key.rpartition("/")
            out.setdefault(heuristic, []).append(label)
        return {heuristic: sorted(labels, key=rank) for heuristic, labels in out.items()}

    def matchups(self) -> list[list[Pair]]:
        """The pairs, one list over all suites that both read for each two models."""
        return matchups_of(self.pairs, self.task_of)

    def matchups_by_task(self) -> dict[tuple[str, ...], list[list[Pair]]]:
        """The pairs of models by the tasks of the suites that both read."""
        out: dict[tuple[str, ...], list[list[Pair]]] = {}
        for pairs in self.matchups():
            out.setdefault(tuple(dict.fromkeys(self.task_of[pair.suite] for pair in pairs)), []).append(pairs)
        return out

    def of_suite(self, suite: str) -> list[Pair]:
        """The pairs on one suite."""
        return [pair for pair in self.pairs if pair.suite == suite]


def load(metrics: Path) -> Facts:
    """Read what this run's params.yaml names; files of arms or suites that were taken out are not looked at."""
    run, attack = run_settings(), section("attack", AttackSettings)
    params = read_yaml(PARAMS)
    comparison = read_comparison(metrics, run, attack)
    shown = {key: value for key, value in params.items() if key not in NO_PROVENANCE}
    shown["mixtures"] = {arm: value for arm, value in params.get("mixtures", {}).items() if arm in run.arms}

    def each(folder: str, names: list[str]) -> dict[str, Any]:
        return {name: ordered(read_json(metrics / folder / f"{name}.json")) for name in names}

    suites = each("suites", run.suites)
    run = task_by_task(run, suites)
    return Facts(
        run=run,
        params=shown,
        confidence=comparison["confidence"],
        family=comparison["family"],
        accuracy=accuracy_of(comparison, run),
        pairs=pairs_of(comparison, run.suites),
        steps={model: comparison["steps"][model] for model in run.models},
        scores=ordered(read_json(metrics / "scores.json")),
        suites=suites,
        sources=each("sources", run.datasets),
        corrections=each("correct", run.written()),
        curation=each("curate", run.sets),
        arms=each("arms", run.arms),
        training={
            model: {seed: read_json(metrics / "training" / f"{model}-{seed}.json") for seed in run.seeds}
            for model in run.models
        },
        attacking=attacking(metrics, run, attack, comparison),
        documents=documents(),
        sets=read_sets(metrics),
        agreement=read_agreement(metrics),
    )


def by_task(suites: Sequence[str], cards: Mapping[str, Any]) -> dict[str, list[str]]:
    """Suites by the task that their cards name, in the order in which tasks first stand."""
    out: dict[str, list[str]] = {}
    for suite in suites:
        out.setdefault(cards[suite]["task"], []).append(suite)
    return out


def task_by_task(run: Run, cards: Mapping[str, Any]) -> Run:
    """The same run with the suites of one task side by side."""
    return run.model_copy(update={"suites": [name for names in by_task(run.suites, cards).values() for name in names]})


def accuracy_of(comparison: Mapping[str, Any], run: Run) -> dict[str, dict[str, Any]]:
    """Accuracy by suite and model in the order of `run`; a model that does not read a suite is missing there."""
    found = comparison["accuracy"]
    return {suite: {name: found[suite][name] for name in run.models if name in found[suite]} for suite in run.suites}


def base_of(params: Mapping[str, Any]) -> str:
    """What every model starts from."""
    return str(params.get("train", {}).get("model", "the model of params.yaml"))


def read_comparison(metrics: Path, run: Run, attack: AttackSettings) -> dict[str, Any]:
    """The comparison that the stage `compare` wrote; one of other suites, models or attacks is refused."""
    path = metrics / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` first")
    found: dict[str, Any] = read_json(path)
    attacks = found.setdefault("attacks", {})  # none in a comparison from before there were attacks
    clean = {suite: models for suite, models in found["accuracy"].items() if suite not in attacks}
    _agree("suites", run.suites, list(clean))
    _agree("models", run.models, list(dict.fromkeys(name for models in clean.values() for name in models)))
    _agree("attacked suites", places(attack), list(attacks))
    for victims in attacks.values():
        _agree("victims", attack.victims, list(victims["models"]))
    return found


def _agree(what: str, wanted: list[str], got: list[str]) -> None:
    if set(wanted) != set(got):
        raise UserError(
            f"metrics/comparison.json compares the {what} {', '.join(got) or '(none)'}, but params.yaml names "
            f"{', '.join(wanted) or '(none)'}: run `dvc repro`"
        )
