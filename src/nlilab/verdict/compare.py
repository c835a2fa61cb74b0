"""The comparison: every pair of models on every suite, with intervals, exact tests and a verdict."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nlilab import stats
from nlilab.core.errors import UserError
from nlilab.core.params import Seed, Settings
from nlilab.verdict.metrics import transitions
from nlilab.verdict.suites import SLICES

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

ONE_LABEL_MARGIN = 0.005  # of accuracy
BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"


class CompareSettings(Settings):
    """How sure a verdict must be."""

    bootstrap: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    seed: Seed = 0


@dataclass(frozen=True)
class Suite:
    """One suite's rows as the comparison sees them, and each model's correctness [seeds, rows]."""

    name: str
    gold: npt.NDArray[np.str_]
    groups: npt.NDArray[np.int64]
    slices: Mapping[str, Bools]
    has_cells: bool
    correct: Mapping[str, Bools]


def suite_from_rows(name: str, rows: pd.DataFrame, models: list[str], seeds: list[int]) -> Suite:
    """Build a `Suite` from the scored rows (columns suite, label, group, cell, slices, `model/seed` ...).

    Models without answers there (that were not attacked, on an attacked suite) are left out.
    """
    models = [model for model in models if rows.get(f"{model}/{seeds[0]}", pd.Series([None])).notna().all()]
    return Suite(
        name=name,
        gold=rows["label"].to_numpy(dtype=str),
        groups=np.unique(rows["group"], return_inverse=True)[1].astype(np.int64),
        slices={part: (rows[part] != "").to_numpy(dtype=bool) for part in SLICES},
        has_cells=bool((rows["cell"] != "").any()),
        correct={model: np.stack([rows[f"{model}/{seed}"].to_numpy(dtype=bool) for seed in seeds]) for model in models},
    )


def compare(
    suites: list[Suite],
    settings: CompareSettings,
    steps: Mapping[str, int],
    contaminated: Collection[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Accuracy with intervals for every model, and a record for every pair of models on every suite.

    A pair asks: does the model that is named later differ from its baseline, the one named before it? The family
    that Holm corrects is all pairs x suites. `steps` are the optimiser steps behind each model: a pair
    with unequal budgets is compared but marked. Pairs of which one is `contaminated` (model, suite) get no verdict.
    """
    every = {suite.name: list(itertools.combinations(suite.correct, 2)) for suite in suites}
    _check_resolution(settings, sum(map(len, every.values())))
    accuracy: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    for suite in suites:
        pairs = every[suite.name]
        everything = np.ones(len(suite.gold), dtype=bool)
        samples = _samples(suite, everything, settings)
        accuracy[suite.name] = {
            model: _accuracy(suite.correct[model], samples[model], settings) for model in suite.correct
        }
        classes = {label: _samples(suite, suite.gold == label, settings) for label in sorted(set(suite.gold))}
        for baseline, model in pairs:
            record = _pair(suite, model, baseline, samples, settings)
            record["equal_steps"] = steps[model] == steps[baseline]
            record["contaminated"] = any((name, suite.name) in contaminated for name in (model, baseline))
            record["classes"] = {
                label: _difference(suite, suite.gold == label, model, baseline, part, settings)
                for label, part in classes.items()
            }
            records.append(record)
        _add_slices(suite, records[-len(pairs) :] if pairs else [], settings)
    for record, adjusted in zip(records, stats.holm([record["p"] for record in records]), strict=True):
        record["p_holm"] = adjusted
        record["verdict"], record["reason"] = _verdict(record, settings)
    return {
        "accuracy": accuracy,
        "pairs": records,
        "family": len(records),
        "contaminated": [list(pair) for pair in sorted(contaminated)],
        "steps": dict(steps),
        "confidence": settings.confidence,
    }


def under_attack(clean: Suite, attacked: Suite, bases: Mapping[str, str], settings: CompareSettings) -> dict[str, Any]:
    """What an attack costs each model, and what hardening wins back.

    Args:
        clean, attacked: the same rows in the same order, as they were and as perturbed against each model.
        bases: hardened model -> the model that it was hardened from.
    Returns, with intervals: by model `clean`, `attacked`, `lost` (clean - attacked); by hardened model `won_back`, the
    share of its base's loss (attacked - base attacked) / (base clean - base attacked), None where the base lost nothing
    for sure, and `clean_cost` (base clean - clean). Clean and attacked answers of a model come from the same
    trainings, so the bootstrap draws the same seeds for both.
    """
    models = list(attacked.correct)
    groups = np.unique(clean.groups, return_inverse=True)[1].astype(np.int64)
    both = [suite.correct[model] for suite in (clean, attacked) for model in models]
    trainings = [*range(len(models)), *range(len(models))]
    drawn = stats.bootstrap_accuracy(
        both, groups, _strata(groups, clean.gold), settings.bootstrap, settings.seed, trainings
    )
    values = [_Value(float(correct.mean()), samples) for correct, samples in zip(both, drawn, strict=True)]
    before, after = dict(zip(models, values, strict=False)), dict(zip(models, values[len(models) :], strict=True))
    out: dict[str, Any] = {}
    for model in models:
        found = {"clean": before[model], "attacked": after[model], "lost": before[model] - after[model]}
        base = bases.get(model, "")
        if base in models:
            lost = before[base] - after[base]
            found["clean_cost"] = before[base] - before[model]
            if lost.shown(settings.confidence)["low"] > 0:
                found["won_back"] = (after[model] - after[base]) / lost
        out[model] = {name: value.shown(settings.confidence) for name, value in found.items()}
        out[model] |= {"base": base, "won_back": out[model].get("won_back")} if base in models else {}
    return out


@dataclass(frozen=True)
class _Value:
    """A quantity and its bootstrap samples, which are computed with alike."""

    point: float
    samples: Floats

    def __sub__(self, other: "_Value") -> "_Value":
        return _Value(self.point - other.point, self.samples - other.samples)

    def __truediv__(self, other: "_Value") -> "_Value":
        return _Value(self.point / other.point, self.samples / other.samples)

    def shown(self, confidence: float) -> dict[str, float]:
        found = stats.interval(self.point, self.samples, confidence)
        return {"value": found.point, "low": found.low, "high": found.high}


def _samples(suite: Suite, mask: Bools, settings: CompareSettings) -> dict[str, Floats]:
    """Bootstrap samples of each model's accuracy on the masked rows."""
    groups = np.unique(suite.groups[mask], return_inverse=True)[1].astype(np.int64)
    correct = [suite.correct[model][:, mask] for model in suite.correct]
    strata = _strata(groups, suite.gold[mask])
    drawn = stats.bootstrap_accuracy(correct, groups, strata, settings.bootstrap, settings.seed)
    return dict(zip(suite.correct, drawn, strict=True))


def _strata(groups: npt.NDArray[np.int64], gold: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Per row: its gold label's number if its whole group has that label, else 0 (mixed groups, as SNLI's)."""
    number = np.unique(gold, return_inverse=True)[1] + 1
    count = int(groups.max()) + 1
    low, high = np.full(count, number.max()), np.zeros(count, dtype=np.int64)
    np.minimum.at(low, groups, number)
    np.maximum.at(high, groups, number)
    pure: npt.NDArray[np.int64] = np.where(low == high, low, 0)[groups]
    return pure


def _accuracy(correct: Bools, samples: Floats, settings: CompareSettings) -> dict[str, Any]:
    found = stats.interval(float(correct.mean()), samples, settings.confidence)
    by_seed = correct.mean(axis=1)
    return {
        "mean": found.point,
        "low": found.low,
        "high": found.high,
        "seeds": [float(value) for value in by_seed],
        "seed_sd": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
    }


def _difference(
    suite: Suite, mask: Bools, model: str, baseline: str, samples: Mapping[str, Floats], settings: CompareSettings
) -> dict[str, Any]:
    point = float(suite.correct[model][:, mask].mean() - suite.correct[baseline][:, mask].mean())
    found = stats.interval(point, samples[model] - samples[baseline], settings.confidence)
    return {"difference": found.point, "low": found.low, "high": found.high, "rows": int(mask.sum())}


def _pair(
    suite: Suite, model: str, baseline: str, samples: Mapping[str, Floats], settings: CompareSettings
) -> dict[str, Any]:
    after, before = suite.correct[model], suite.correct[baseline]
    gap = samples[model] - samples[baseline]
    found = stats.interval(float(after.mean() - before.mean()), gap, settings.confidence)
    # Models of equal seed number stand side by side, row by row; counts are summed over the seeds.
    change = transitions(before.ravel(), after.ravel())
    each = [transitions(one, other) for one, other in zip(before, after, strict=True)]
    return {
        "model": model,
        "baseline": baseline,
        "suite": suite.name,
        "rows": len(suite.gold),
        "seeds": len(after),
        **{key: value for key, value in asdict(found).items() if key != "point"},
        "difference": found.point,
        "p": stats.bootstrap_p(gap),
        "mcnemar": [stats.mcnemar_exact(int(one["fixed"]), int(one["introduced"])) for one in each],
        "minimum_detectable_effect": stats.minimum_detectable_effect(found.sd, 1 - settings.confidence),
        "transitions": change,
        "two_gold_classes": suite.has_cells,
        "one_label": _beaten_by_one_label(suite, max(float(after.mean()), float(before.mean()))),
    }


def _beaten_by_one_label(suite: Suite, best: float) -> bool:
    """Whether always giving the suite's most frequent label does as well as `best`: mere bias could win then."""
    counts = np.unique(suite.gold, return_counts=True)[1]
    return len(counts) > 1 and best <= float(counts.max() / counts.sum()) + ONE_LABEL_MARGIN


def _add_slices(suite: Suite, records: list[dict[str, Any]], settings: CompareSettings) -> None:
    """Differences within slices: intervals only, outside the family of tests."""
    for name, mask in suite.slices.items():
        if not mask.any():
            continue
        samples = _samples(suite, mask, settings)
        for record in records:
            part = _difference(suite, mask, record["model"], record["baseline"], samples, settings)
            after, before = suite.correct[record["model"]][:, mask], suite.correct[record["baseline"]][:, mask]
            part["transitions"] = transitions(before.ravel(), after.ravel())
            record.setdefault("slices", {})[name] = part


def _verdict(record: Mapping[str, Any], settings: CompareSettings) -> tuple[str, str]:
    """Better, worse or inconclusive, with the reason.

    A heuristics suite (HANS) counts as improved only overall and in both gold classes: one class alone can be
    bought by a bias towards the other label.
    """
    if record["contaminated"]:
        return INCONCLUSIVE, "contaminated: a model was trained on perturbed rows of this suite"
    if record["seeds"] < 2:
        return INCONCLUSIVE, "one seed: nothing is known of the variance between trainings"
    if record["p_holm"] >= 1 - settings.confidence:
        return INCONCLUSIVE, "the difference is within what seeds and rows vary by"
    verdict, sign = (BETTER, 1) if record["difference"] > 0 else (WORSE, -1)
    if record["two_gold_classes"]:
        for label, part in record["classes"].items():
            bound = part["low"] if sign > 0 else -part["high"]
            if bound <= 0:
                return INCONCLUSIVE, f"overall {verdict}, but not in gold class {label}: a bias can buy this"
    return verdict, "significant after Holm"


def _check_resolution(settings: CompareSettings, family: int) -> None:
    """A bootstrap of B samples cannot give a p under 2 / (B + 1): refuse one that Holm could never pass."""
    needed = int(np.ceil(2 * family / (1 - settings.confidence)))
    if family and settings.bootstrap < needed:
        raise UserError(
            f"params.yaml: compare.bootstrap: got {settings.bootstrap}, but a family of {family} comparisons "
            f"needs at least {needed} samples for any verdict; raise it (or compare fewer models or suites)"
        )
