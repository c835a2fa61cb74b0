"""What the report says: the small metrics files of this run, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.errors import UserError
from nlilab.files import read_json
from nlilab.params import PARAMS, Run, read_yaml, run_settings, section
from nlilab.recipes import AttackSettings
from nlilab.report.attacks import Attacking, attacking, places
from nlilab.report.pairs import Pair, matchups_of, mean_of, ordered, pairs_of, rank

# What cannot change a result, and so is no provenance.
NO_PROVENANCE = {"llm"}


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows, by the names that params.yaml gives."""

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

    def mean(self, suite: str, model: str, *path: str) -> float | None:
        """A score averaged over the seeds, or None where the suite has no such slice, class or cell."""
        return mean_of(self.scores[suite]["models"][model], *path)

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
        """The pairs, one list over all suites for each two models."""
        return matchups_of(self.pairs)

    def of_suite(self, suite: str) -> list[Pair]:
        """The pairs on one suite."""
        return [pair for pair in self.pairs if pair.suite == suite]


def load(metrics: Path) -> Facts:
    """Read what this run's params.yaml names; files of arms or suites that were taken out are not looked at."""
    run, attack = run_settings(), section("attack", AttackSettings)
    params = read_yaml(PARAMS)
    comparison = read_comparison(metrics, run, attack)
    accuracy = comparison["accuracy"]
    shown = {key: value for key, value in params.items() if key not in NO_PROVENANCE}
    shown["mixtures"] = {arm: value for arm, value in params.get("mixtures", {}).items() if arm in run.arms}

    def each(folder: str, names: list[str]) -> dict[str, Any]:
        return {name: ordered(read_json(metrics / folder / f"{name}.json")) for name in names}

    return Facts(
        run=run,
        params=shown,
        confidence=comparison["confidence"],
        family=comparison["family"],
        accuracy={suite: {model: accuracy[suite][model] for model in run.models} for suite in run.suites},
        pairs=pairs_of(comparison, run.suites),
        steps={model: comparison["steps"][model] for model in run.models},
        scores=ordered(read_json(metrics / "scores.json")),
        suites=each("suites", run.suites),
        sources=each("sources", run.datasets),
        corrections=each("correct", run.generators),
        curation=each("curate", [*run.generators, *run.datasets]),
        arms=each("arms", run.arms),
        training={
            model: {seed: read_json(metrics / "training" / f"{model}-{seed}.json") for seed in run.seeds}
            for model in run.models
        },
        attacking=attacking(metrics, run, attack, comparison),
    )


def read_comparison(metrics: Path, run: Run, attack: AttackSettings) -> dict[str, Any]:
    """The comparison that the stage `compare` wrote; one of other suites, models or attacks is refused."""
    path = metrics / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` first")
    found: dict[str, Any] = read_json(path)
    attacks = found.setdefault("attacks", {})  # none in a comparison from before there were attacks
    clean = {suite: models for suite, models in found["accuracy"].items() if suite not in attacks}
    _agree("suites", run.suites, list(clean))
    _agree("models", run.models, list(next(iter(clean.values()))))
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
