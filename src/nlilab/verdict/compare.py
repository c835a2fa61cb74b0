"""The comparison: every pair of models on every suite, with intervals, exact tests and a verdict."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nlilab.core.params import Settings
from nlilab.verdict.contrast import Bools, Clusters, Contrast, Floats, corrected, mcnemar_exact, seeds_needed
from nlilab.verdict.metrics import transitions
from nlilab.verdict.suites import SLICES

ONE_LABEL_MARGIN = 0.005  # of accuracy
SEEDS_RULE = 0.5  # share of the squared half width beyond which an open question is one of seeds
BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
EQUIVALENT, NOT_WORSE, NOT_BETTER = "equivalent", "not-worse", "not-better"
VERDICTS = (BETTER, WORSE, EQUIVALENT, NOT_WORSE, NOT_BETTER, INCONCLUSIVE)


class CompareSettings(Settings):
    """How sure a verdict must be, and which difference is too small to matter."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    margin: Annotated[
        float, Field(gt=0, le=50, description="points of accuracy within which models count as equal")
    ] = 2.0

    @property
    def alpha(self) -> float:
        """How often a verdict on models that do not differ may be false."""
        return 1 - self.confidence


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

    A pair asks: does the model that is named later differ from its baseline, the one named before it, and if not, by
    how little? The family that is corrected is all pairs x suites. `steps` are the optimiser steps behind each model:
    a pair with unequal budgets is compared but marked. One with a `contaminated` (model, suite) gets no verdict.
    """
    accuracy: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    found: list[_Found] = []
    for suite in suites:
        whole = _Part(suite, np.ones(len(suite.gold), dtype=bool))
        accuracy[suite.name] = {model: _accuracy(whole, model, settings) for model in suite.correct}
        classes = {label: _Part(suite, suite.gold == label) for label in sorted(set(suite.gold))}
        held = {name: _Part(suite, mask) for name, mask in suite.slices.items() if mask.any()}
        for baseline, model in itertools.combinations(suite.correct, 2):
            one = whole.difference(model, baseline)
            parts = {label: part.difference(model, baseline) for label, part in classes.items()}
            record = _pair(suite, model, baseline)
            record |= _difference(whole, one, settings) | {"p": one.p()}
            record["equal_steps"] = steps[model] == steps[baseline]
            record["contaminated"] = any((name, suite.name) in contaminated for name in (model, baseline))
            record["classes"] = {label: _difference(classes[label], parts[label], settings) for label in classes}
            if held:
                record["slices"] = {name: _slice(part, model, baseline, settings) for name, part in held.items()}
            records.append(record)
            found.append(_found(one, list(parts.values()) if suite.has_cells else [], settings))
    for record, each, adjusted in zip(records, found, corrected([one.claims for one in found]), strict=True):
        level = settings.alpha / len(found)
        record["variance"] = each.contrast.variance()
        record["minimum_detectable_effect"] = each.contrast.detectable(level)
        record |= dict(zip(("p_corrected", "p_not_worse", "p_not_better"), adjusted, strict=True))
        record["verdict"], record["reason"] = _verdict(record, each.contrast, level, settings)
    return {
        "accuracy": accuracy,
        "pairs": records,
        "family": len(records),
        "contaminated": [list(pair) for pair in sorted(contaminated)],
        "steps": dict(steps),
        "confidence": settings.confidence,
        "margin": settings.margin / 100,
    }


def under_attack(clean: Suite, attacked: Suite, bases: Mapping[str, str], settings: CompareSettings) -> dict[str, Any]:
    """What an attack costs each model, and what hardening wins back.

    Args:
        clean, attacked: the same rows in the same order, as they were and as perturbed against each model.
        bases: hardened model -> the model that it was hardened from.
    Returns, with intervals: by model `clean`, `attacked`, `lost` (clean - attacked); by hardened model `won_back`, the
    share of its base's loss (attacked - base attacked) / (base clean - base attacked), None where the base lost nothing
    for sure, and `clean_cost` (base clean - clean). Clean and attacked answers of a model come from the same trainings
    and are one part of each figure. A share's interval is that of its first-order expansion (the delta method).
    """
    clusters = Clusters(clean.groups, clean.gold)
    before = {model: clusters.sums(clean.correct[model]) for model in attacked.correct}
    after = {model: clusters.sums(attacked.correct[model]) for model in attacked.correct}

    def shown(parts: list[Floats], least: float = -1.0) -> dict[str, float]:
        one = clusters.contrast(parts)
        low, high = one.interval(settings.confidence, least)
        return {"value": one.point, "low": low, "high": high}

    out: dict[str, Any] = {}
    for model in attacked.correct:
        out[model] = {
            "clean": shown([before[model]], 0.0),
            "attacked": shown([after[model]], 0.0),
            "lost": shown([before[model] - after[model]]),
        }
    for model, base in bases.items():
        if model not in out or base not in out:
            continue
        out[model] |= {"base": base, "clean_cost": shown([before[base], -before[model]]), "won_back": None}
        if out[base]["lost"]["low"] > 0:
            lost = out[base]["lost"]["value"]
            share = (out[model]["attacked"]["value"] - out[base]["attacked"]["value"]) / lost
            parts = [after[model] / lost, (-after[base] - share * (before[base] - after[base])) / lost]
            around = replace(clusters.contrast(parts, 1 / lost), point=share)
            low, high = around.interval(settings.confidence, -inf, inf)
            out[model]["won_back"] = {"value": share, "low": low, "high": high}
    return out


class _Part:
    """A part of a suite (all of it, one gold label, a slice): each model's right answers, added up within groups."""

    def __init__(self, suite: Suite, mask: Bools) -> None:
        self.suite, self.mask, self.rows = suite, mask, int(mask.sum())
        self.clusters = Clusters(suite.groups[mask], suite.gold[mask])
        self.sums = {model: self.clusters.sums(correct[:, mask]) for model, correct in suite.correct.items()}

    def difference(self, model: str, baseline: str) -> Contrast:
        """The model's accuracy less its baseline's."""
        return self.clusters.contrast([self.sums[model], -self.sums[baseline]])


class _Found(NamedTuple):
    """A pair's difference, and the p values of its claims: that there is one, not worse, not better by the margin."""

    contrast: Contrast
    claims: list[float]


def _found(one: Contrast, classes: list[Contrast], settings: CompareSettings) -> _Found:
    """The claims of a pair; on a heuristics suite sameness must hold in both gold classes too, or a bias could hide."""
    margin = settings.margin / 100
    every = [one, *classes]
    claims = [one.p(), max(part.p_above(-margin) for part in every), max(part.p_below(margin) for part in every)]
    return _Found(one, claims)


def _accuracy(part: _Part, model: str, settings: CompareSettings) -> dict[str, Any]:
    one = part.clusters.contrast([part.sums[model]])
    low, high = one.interval(settings.confidence, least=0.0)
    by_seed = part.sums[model].sum(axis=1) / part.rows
    return {
        "mean": one.point,
        "low": low,
        "high": high,
        "seeds": [float(value) for value in by_seed],
        "seed_sd": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
    }


def _difference(part: _Part, one: Contrast, settings: CompareSettings) -> dict[str, Any]:
    low, high = one.interval(settings.confidence)
    return {"difference": one.point, "low": low, "high": high, "rows": part.rows}


def _slice(part: _Part, model: str, baseline: str, settings: CompareSettings) -> dict[str, Any]:
    """A difference within a slice: its interval only, outside the family of tests."""
    after, before = (part.suite.correct[name][:, part.mask] for name in (model, baseline))
    found = _difference(part, part.difference(model, baseline), settings)
    return found | {"transitions": transitions(before.ravel(), after.ravel())}


def _pair(suite: Suite, model: str, baseline: str) -> dict[str, Any]:
    after, before = suite.correct[model], suite.correct[baseline]
    # Models of equal seed number stand side by side, row by row; counts are summed over the seeds.
    each = [transitions(one, other) for one, other in zip(before, after, strict=True)]
    return {
        "model": model,
        "baseline": baseline,
        "suite": suite.name,
        "seeds": len(after),
        "mcnemar": [mcnemar_exact(int(one["fixed"]), int(one["introduced"])) for one in each],
        "transitions": transitions(before.ravel(), after.ravel()),
        "two_gold_classes": suite.has_cells,
        "one_label": _beaten_by_one_label(suite, max(float(after.mean()), float(before.mean()))),
    }


def _beaten_by_one_label(suite: Suite, best: float) -> bool:
    """Whether always giving the suite's most frequent label does as well as `best`: mere bias could win then."""
    counts = np.unique(suite.gold, return_counts=True)[1]
    return len(counts) > 1 and best <= float(counts.max() / counts.sum()) + ONE_LABEL_MARGIN


def _verdict(record: Mapping[str, Any], one: Contrast, level: float, settings: CompareSettings) -> tuple[str, str]:
    """What may be said of a pair, with the reason.

    A heuristics suite (HANS) counts as improved only overall and in both gold classes: one class alone can be
    bought by a bias towards the other label. Sameness is two one-sided tests against the margin (Schuirmann 1987), and
    "not worse" is one of them.
    """
    if record["contaminated"]:
        return INCONCLUSIVE, "contaminated: a model was trained on perturbed rows of this suite"
    if record["seeds"] < 2:
        return INCONCLUSIVE, "one seed: nothing is known of the variance between trainings"
    if one.rows_df <= 0:
        return INCONCLUSIVE, "all rows are one group: nothing is known of the variance between rows"
    margin = f"{settings.margin:g} points"
    same = {claim: record[claim] < settings.alpha for claim in ("p_not_worse", "p_not_better")}
    reason = _no_difference(record, one, level, settings)
    if record["p_corrected"] < settings.alpha:
        verdict, sign = (BETTER, 1) if record["difference"] > 0 else (WORSE, -1)
        failed = [label for label, part in record["classes"].items() if part["low" if sign > 0 else "high"] * sign <= 0]
        if not record["two_gold_classes"] or not failed:
            small = f", and smaller than the margin of {margin}" if all(same.values()) else ""
            return verdict, f"holds after correction for all comparisons{small}"
        reason = f"overall {verdict}, but not in gold class {failed[0]}: a bias can buy this"
    if all(same.values()):
        return EQUIVALENT, f"whatever difference there is, it is less than {margin}"
    if same["p_not_worse"]:
        return NOT_WORSE, f"not by {margin} or more; {reason}"
    if same["p_not_better"]:
        return NOT_BETTER, f"not by {margin} or more; {reason}"
    return INCONCLUSIVE, reason


def _no_difference(record: Mapping[str, Any], one: Contrast, level: float, settings: CompareSettings) -> str:
    """Why no difference is seen: seeds that vary too much for their number, or all that varies."""
    if one.seeds_share(level) < SEEDS_RULE:
        return "the difference is within what seeds and rows vary by"
    effect = max(abs(one.point), settings.margin / 100)
    enough = seeds_needed(one, record["seeds"], lambda more: more.detectable(level) <= effect)
    would = f": about {enough} each would show {100 * effect:.1f} points" if enough else ", and too few rows"
    return f"too few seeds to tell{would}"
