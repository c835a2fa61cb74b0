"""What the report says: the small metrics files of this run, read once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nlilab.errors import UserError
from nlilab.files import read_json
from nlilab.params import PARAMS, Run, read_yaml, run_settings
from nlilab.schema import NON_ENTAILMENT, THREE_WAY

BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
# What a pair takes from its record as it is.
SAME = (
    *("suite", "model", "baseline", "rows", "seeds", "difference", "low", "high", "p", "p_holm"),
    *("mcnemar", "verdict", "reason", "equal_steps"),
)

# Files sort their keys; people read labels in this order, and all else as it stands.
LABELS = (*THREE_WAY, NON_ENTAILMENT)

# What cannot change a result, and so is no provenance.
NO_PROVENANCE = {"llm"}


@dataclass(frozen=True)
class Part:
    """A difference in accuracy within some rows: a gold class or a slice."""

    difference: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Pair:
    """`model` against `baseline` (the one named earlier in params.yaml) on one suite; all values are shares."""

    suite: str
    model: str
    baseline: str
    rows: int
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    mcnemar: list[float]
    detectable: float
    verdict: str
    reason: str
    equal_steps: bool
    fixed: int
    introduced: int
    remaining: int
    kept: int
    classes: Mapping[str, Part]
    slices: Mapping[str, Part]

    @property
    def decisions(self) -> int:
        """Rows x seeds: what the transitions count."""
        return self.fixed + self.introduced + self.remaining + self.kept

    @property
    def wrong_before(self) -> int:
        """The denominator of `fixed`."""
        return self.fixed + self.remaining

    @property
    def right_before(self) -> int:
        """The denominator of `introduced`."""
        return self.introduced + self.kept


@dataclass(frozen=True)
class Facts:
    """Everything that the report shows, by the names that params.yaml gives."""

    run: Run
    params: Mapping[str, Any]
    confidence: float
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

    def mean(self, suite: str, model: str, *path: str) -> float | None:
        """A score averaged over the seeds, or None where the suite has no such slice, class or cell."""
        values = []
        for scored in self.scores[suite]["models"][model].values():
            for key in path:
                scored = scored.get(key) if isinstance(scored, dict) else None
            if scored is not None:
                values.append(scored)
        return fmean(values) if values else None

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
        return {heuristic: sorted(labels, key=_rank) for heuristic, labels in out.items()}

    def matchups(self) -> list[list[Pair]]:
        """The pairs, one list over all suites for each two models."""
        return matchups_of(self.pairs)

    def of_suite(self, suite: str) -> list[Pair]:
        """The pairs on one suite."""
        return [pair for pair in self.pairs if pair.suite == suite]


def load(metrics: Path) -> Facts:
    """Read what this run's params.yaml names; files of arms or suites that were taken out are not looked at."""
    run = run_settings()
    params = read_yaml(PARAMS)
    comparison = read_comparison(metrics)
    _agree("suites", run.suites, list(comparison["accuracy"]))
    _agree("models", run.models, list(next(iter(comparison["accuracy"].values()))))
    shown = {key: value for key, value in params.items() if key not in NO_PROVENANCE}
    shown["mixtures"] = {arm: value for arm, value in params.get("mixtures", {}).items() if arm in run.arms}

    def each(folder: str, names: list[str]) -> dict[str, Any]:
        return {name: _ordered(read_json(metrics / folder / f"{name}.json")) for name in names}

    return Facts(
        run=run,
        params=shown,
        confidence=comparison["confidence"],
        accuracy={suite: {model: comparison["accuracy"][suite][model] for model in run.models} for suite in run.suites},
        pairs=pairs_of(comparison),
        steps={model: comparison["steps"][model] for model in run.models},
        scores=_ordered(read_json(metrics / "scores.json")),
        suites=each("suites", run.suites),
        sources=each("sources", run.datasets),
        corrections=each("correct", run.generators),
        curation=each("curate", [*run.generators, *run.datasets]),
        arms=each("arms", run.arms),
        training={
            model: {seed: read_json(metrics / "training" / f"{model}-{seed}.json") for seed in run.seeds}
            for model in run.models
        },
    )


def read_comparison(metrics: Path) -> dict[str, Any]:
    """The comparison that the stage `compare` wrote."""
    path = metrics / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` first")
    found: dict[str, Any] = read_json(path)
    return found


def pairs_of(comparison: Mapping[str, Any]) -> list[Pair]:
    """The records of the comparison, typed."""
    return [_pair(record) for record in comparison["pairs"]]


def matchups_of(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """One list over all suites for each two models, in the order in which they first stand."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.model, pair.baseline), []).append(pair)
    return list(found.values())


def _pair(record: Mapping[str, Any]) -> Pair:
    change = record["transitions"]
    return Pair(
        detectable=record["minimum_detectable_effect"],
        classes=_parts(_ordered(record["classes"])),
        slices=_parts(record.get("slices", {})),
        **{name: change[name] for name in ("fixed", "introduced", "remaining", "kept")},
        **{name: record[name] for name in SAME},
    )


def _parts(records: Mapping[str, Any]) -> dict[str, Part]:
    return {name: Part(**part) for name, part in records.items()}


def _rank(name: str) -> int:
    return LABELS.index(name) if name in LABELS else len(LABELS)


def _ordered(value: Any) -> Any:
    """The same value with labels in the order of `LABELS` wherever they are keys."""
    if not isinstance(value, dict):
        return value
    return {key: _ordered(value[key]) for key in sorted(value, key=_rank)}


def _agree(what: str, wanted: list[str], got: list[str]) -> None:
    if set(wanted) != set(got):
        raise UserError(
            f"metrics/comparison.json compares the {what} {', '.join(got)}, but params.yaml names "
            f"{', '.join(wanted)}: run `dvc repro`"
        )
