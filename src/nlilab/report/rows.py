"""The rows behind `dvc plots`: plain lists of records, one file a plot; shares lie in 0..1."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.plots import ATTACKED, curve, flip_rows
from nlilab.report.set_plots import histograms
from nlilab.report.sets import DataSet

Record = dict[str, Any]
ENDS = ("low", "high")


def plot_rows(facts: Facts) -> dict[str, list[Record]]:
    """The plots' rows by the name of their file, those of the models and those of the data sets."""

    def named(model: str, place: str) -> str:
        return f"{model} (contaminated)" if facts.tainted(model, place) else model

    accuracy = [
        {"suite": suite, "task": facts.task_of[suite], "model": named(model, suite)} | _of(value, "mean", *ENDS)
        for suite, models in facts.accuracy.items()
        for model, value in models.items()
    ]
    differences = [
        {"suite": pair.suite, "pair": f"{named(pair.model, pair.suite)} − {named(pair.baseline, pair.suite)}"}
        | _of(vars(pair), "difference", *ENDS, "verdict")
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
        {"generator": name, **row} for name, card in facts.corrections.items() for row in flip_rows(card["matrix"])
    ]
    loss = [
        {"model": model, "seed": str(seed), **point}
        for model, runs in facts.training.items()
        for seed, run in runs.items()
        for point in curve(run["losses"])
    ]
    models = {"accuracy": accuracy, "differences": differences, "attack": attack, "flips": flips, "loss": loss}
    return models | set_rows(facts.sets)


def _of(found: Mapping[str, Any], *keys: str) -> Record:
    return {key: found[key] for key in keys}


def set_rows(sets: Mapping[str, DataSet]) -> dict[str, list[Record]]:
    """Rows of the data sets: cosine, overlap, pvi, cartography, entities, hypothesis_only."""
    out: dict[str, list[Record]] = {name: [] for name in ("cosine", "overlap", "pvi")}
    for one in sets.values():
        for found in histograms(one):
            middles = [round((left + right) / 2, 6) for left, right in pairwise(found.edges)]
            out[found.kind] += [
                {"set": one.name, "part": found.part, "label": label, "value": middle, "share": round(share, 6)}
                for label, shares in found.shares.items()
                for middle, share in zip(middles, shares, strict=True)
            ]
    cartography = [
        {"set": one.name, "label": one.difficulty["labels"][int(label)], "variability": x, "confidence": y}
        | {"correctness": right}
        for one in sets.values()
        if one.difficulty
        for x, y, right, label in one.difficulty["cartography"]["points"]
    ]
    entities = [
        {"set": one.name, "type": kind, "rate": found["per_1000"]["value"]} | _of(found["per_1000"], *ENDS)
        for one in sets.values()
        for kind, found in one.entities().items()
    ]
    alone = [row for one in sets.values() for row in _alone(one)]
    return out | {"cartography": cartography, "entities": entities, "hypothesis_only": alone}


def _alone(one: DataSet) -> Iterator[Record]:
    sizes = sorted(one.found("artefacts", "sizes").values(), key=lambda found: found["rows"])
    for found in sizes:
        for view in ("hypothesis", "premise"):
            seen = found[f"{view}_only"]
            yield {"set": one.name, "rows": found["rows"], "view": view, "share": seen["value"]} | _of(seen, *ENDS)
    for found in sizes:
        share = dict.fromkeys(("share", *ENDS), found["majority"])
        yield {"set": one.name, "rows": found["rows"], "view": "most frequent label", **share}
