"""The rows behind `dvc plots` of the data sets."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from nlilab.report.sets.dataset import ALL, FIELDS, DataSet

Records = list[dict[str, Any]]


def set_rows(sets: Mapping[str, DataSet]) -> dict[str, Records]:
    """Rows by the name of their file: cosine, overlap, pvi, cartography, entities, hypothesis_only; shares in 0..1."""
    every = list(sets.values())
    analysed = [one for one in every if one.analysis]
    difficult = [one for one in every if one.difficulty]
    return {
        "cosine": [row for one in analysed for field in FIELDS for row in _cosine(one, field)],
        "overlap": [row for one in analysed for row in _overlap(one)],
        "pvi": [row for one in difficult for row in _pvi(one)],
        "cartography": [row for one in difficult for row in _cartography(one)],
        "entities": [
            {"set": one.name, "type": kind, "rate": found["per_1000"]["value"]}
            | {end: found["per_1000"][end] for end in ("low", "high")}
            for one in analysed
            for kind, found in one.entities().items()
        ],
        "hypothesis_only": [row for one in analysed for row in _alone(one)],
    }


def _cosine(one: DataSet, field: str) -> Records:
    return [
        row
        for label in (ALL, *one.labels)
        if (found := one.cosine(field, label))
        for row in _bins(one, field, label, found["histogram"]["edges"], found["histogram"]["share"])
    ]


def _overlap(one: DataSet) -> Records:
    return [
        row
        for label, found in one.analysis["artefacts"]["overlap"].items()
        for row in _bins(one, "pair", label, found["histogram"]["edges"], found["histogram"]["share"])
    ]


def _pvi(one: DataSet) -> Records:
    found = one.difficulty["pvi"]
    return [
        row
        for label, counts in found["counts"].items()
        for row in _bins(one, "pair", label, found["edges"], [count / max(1, sum(counts)) for count in counts])
    ]


def _bins(one: DataSet, part: str, label: str, edges: Sequence[float], shares: Sequence[float]) -> Records:
    """The share of each bin, at its middle."""
    middles = [round((left + right) / 2, 6) for left, right in pairwise(edges)]
    return [
        {"set": one.name, "part": part, "label": label, "value": middle, "share": round(share, 6)}
        for middle, share in zip(middles, shares, strict=True)
    ]


def _cartography(one: DataSet) -> Records:
    labels = one.difficulty["labels"]
    return [
        {"set": one.name, "label": labels[int(label)], "variability": x, "confidence": y, "correctness": right}
        for x, y, right, label in one.difficulty["cartography"]["points"]
    ]


def _alone(one: DataSet) -> Records:
    sizes = sorted(one.analysis["artefacts"]["sizes"].values(), key=lambda found: found["rows"])
    return [
        {"set": one.name, "rows": found["rows"], "view": view, "share": found[key]["value"]}
        | {end: found[key][end] for end in ("low", "high")}
        for found in sizes
        for view, key in (("hypothesis", "hypothesis_only"), ("premise", "premise_only"))
    ] + [
        {"set": one.name, "rows": found["rows"], "view": "most frequent label", "share": found["majority"]}
        | dict.fromkeys(("low", "high"), found["majority"])
        for found in sizes
    ]
