"""The rows behind `dvc plots`: plain lists of records, one file a plot; shares lie in 0..1."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.plots import ATTACKED, curve
from nlilab.report.sets import ALL, FIELDS, DataSet

Records = list[dict[str, Any]]


def plot_rows(facts: Facts) -> dict[str, Records]:
    """The plots' rows by the name of their file, those of the models and those of the data sets."""

    def named(model: str, place: str) -> str:
        return f"{model} (contaminated)" if facts.tainted(model, place) else model

    accuracy = [
        {"suite": suite, "task": facts.task_of[suite], "model": named(model, suite)}
        | {key: value[key] for key in ("mean", "low", "high")}
        for suite, models in facts.accuracy.items()
        for model, value in models.items()
    ]
    differences = [
        {"suite": pair.suite, "pair": f"{named(pair.model, pair.suite)} − {named(pair.baseline, pair.suite)}"}
        | {key: getattr(pair, key) for key in ("difference", "low", "high", "verdict")}
        for pair in facts.pairs
    ]
    attack = [
        {"suite": attack.suite, "recipe": attack.recipe, "model": named(model, attack.place), "kind": kind}
        | getattr(stand, kind).model_dump()
        for attack in facts.attacks
        for model, stand in attack.stands.items()
        for kind in ATTACKED
    ]
    flips = [
        {"generator": generator, "constrained": label, "corrected": outcome, "rows": count}
        | {"share": count / max(1, sum(outcomes.values()))}
        for generator, found in facts.corrections.items()
        for label, outcomes in found["matrix"].items()
        for outcome, count in outcomes.items()
    ]
    loss = [
        {"model": model, "seed": str(seed), **point}
        for model, runs in facts.training.items()
        for seed, run in runs.items()
        for point in curve(run["losses"])
    ]
    models = {"accuracy": accuracy, "differences": differences, "attack": attack, "flips": flips, "loss": loss}
    return models | set_rows(facts.sets)


def set_rows(sets: Mapping[str, DataSet]) -> dict[str, Records]:
    """Rows of the data sets: cosine, overlap, pvi, cartography, entities, hypothesis_only."""
    analysed = [one for one in sets.values() if one.analysis]
    difficult = [one for one in sets.values() if one.difficulty]
    return {
        "cosine": [row for one in analysed for field in FIELDS for row in _cosine(one, field)],
        "overlap": [
            row
            for one in analysed
            for label, found in one.analysis["artefacts"]["overlap"].items()
            for row in _bins(one, "pair", label, **found["histogram"])
        ],
        "pvi": [
            row
            for one in difficult
            for label, counts in one.difficulty["pvi"]["counts"].items()
            for row in _bins(
                one, "pair", label, one.difficulty["pvi"]["edges"], [n / max(1, sum(counts)) for n in counts]
            )
        ],
        "cartography": [
            {"set": one.name, "label": one.difficulty["labels"][int(label)], "variability": x, "confidence": y}
            | {"correctness": right}
            for one in difficult
            for x, y, right, label in one.difficulty["cartography"]["points"]
        ],
        "entities": [
            {"set": one.name, "type": kind, "rate": found["per_1000"]["value"]} | _ends(found["per_1000"])
            for one in analysed
            for kind, found in one.entities().items()
        ],
        "hypothesis_only": [row for one in analysed for row in _alone(one)],
    }


def _cosine(one: DataSet, field: str) -> Records:
    found = {label: one.cosine(field, label) for label in (ALL, *one.labels)}
    return [row for label, own in found.items() if own for row in _bins(one, field, label, **own["histogram"])]


def _bins(one: DataSet, part: str, label: str, edges: Sequence[float], share: Sequence[float]) -> Records:
    """The share of each bin, at its middle."""
    middles = [round((left + right) / 2, 6) for left, right in pairwise(edges)]
    return [
        {"set": one.name, "part": part, "label": label, "value": middle, "share": round(value, 6)}
        for middle, value in zip(middles, share, strict=True)
    ]


def _ends(found: Mapping[str, float]) -> dict[str, float]:
    return {end: found[end] for end in ("low", "high")}


def _alone(one: DataSet) -> Records:
    sizes = sorted(one.analysis["artefacts"]["sizes"].values(), key=lambda found: found["rows"])
    views = (("hypothesis", "hypothesis_only"), ("premise", "premise_only"))
    seen = [
        {"set": one.name, "rows": found["rows"], "view": view, "share": found[key]["value"]} | _ends(found[key])
        for found in sizes
        for view, key in views
    ]
    return seen + [
        {"set": one.name, "rows": found["rows"], "view": "most frequent label", "share": found["majority"]}
        | dict.fromkeys(("low", "high"), found["majority"])
        for found in sizes
    ]
