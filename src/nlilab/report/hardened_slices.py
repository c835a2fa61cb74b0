"""Hardened models against their bases within slices, on clean and on attacked rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.pairs import Changes, Pair, between, mean_of

MEASURES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Part:
    """One slice: what changes from the base to the hardened model, and each label's measures before and after."""

    base: str
    suite: str
    recipe: str  # "" for clean rows
    slice: str
    rows: int
    changes: Changes
    classes: Mapping[str, list[float | None]]  # precision, recall, F1: before and after of each


def parts(facts: Facts) -> dict[str, list[Part]]:
    """The parts of every hardened model that was attacked as its base was; clean rows of a suite stand first."""
    out: dict[str, list[Part]] = {}
    for model, one in facts.attacking.hardened.items():
        seen: set[str] = set()
        for attack in facts.attacking.attacks:
            if one.base not in attack.stands or model not in attack.stands:
                continue
            if attack.suite not in seen:
                seen.add(attack.suite)
                pair = between(facts.pairs, attack.suite, model, one.base)
                out.setdefault(model, []).extend(_parts(pair, attack.suite, "", facts.scores[attack.suite]["models"]))
            pair = between(facts.attacking.pairs, attack.place, model, one.base)
            after = facts.attacking.outcomes[attack.place]["scores"]["after"]
            out.setdefault(model, []).extend(_parts(pair, attack.suite, attack.recipe, after))
    return {model: found for model, found in out.items() if found}


def _parts(pair: Pair | None, suite: str, recipe: str, scores: Mapping[str, Any]) -> list[Part]:
    if pair is None:
        return []
    return [
        Part(pair.baseline, suite, recipe, name, part.rows, part.changes, _classes(pair, name, scores))
        for name, part in pair.slices.items()
        if part.changes is not None
    ]


def _classes(pair: Pair, name: str, scores: Mapping[str, Any]) -> dict[str, list[float | None]]:
    first = next(iter(scores[pair.model].values()))
    labels = first["slices"].get(name, {}).get("classes", {})
    return {
        label: [
            mean_of(scores[model], "slices", name, "classes", label, measure)
            for measure in MEASURES
            for model in (pair.baseline, pair.model)
        ]
        for label in labels
    }
