"""How much a small model can use of a set's rows: pointwise V-information, data maps, and rows that look mislabelled.

Pointwise V-information (PVI; Ethayarajh et al. 2022): models from the same start see the pair, one side, or nothing
(empty texts), and judge rows whose premise none of them was trained on. PVI(x -> y) = log2 g(y | x) - log2 g_nothing(y)
in bits; its mean is the V-information: how much easier the model finds the labels with the input than without. Lower
is harder; below 0 the model is misled, and the label may be wrong.

A data map (Swayamdipta et al. 2020) looks at training itself: at some points of it, what probability the model of the
pair gives to the label of a row that it is trained on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.analysis.sampling import sample
from nlilab.analysis.settings import DifficultySettings
from nlilab.core.errors import UserError
from nlilab.core.progress import Report
from nlilab.model.trainer import cross_fit
from nlilab.stats import Bools, Estimate, Floats, mean_interval
from nlilab.tasks.reading import Reading, View

VIEWS: tuple[View, ...] = ("pair", "hypothesis", "premise", "nothing")
LEAST_PROBABILITY = 2.0**-24  # of single precision, in which models answer: no -log2 is above 24 bits
DRAWS = 1000  # bootstrap samples behind each interval
PVI_EDGES = [edge / 4 for edge in range(-32, 17)]  # bits; what lies beyond is counted in the outermost bin
AMBIGUOUS_FROM, EASY_FROM = 0.2, 0.5
POINTS, LOWEST, FLAGGED, EXAMPLES = 500, 50, 50, 150
DIGITS = 4  # of single rows


@dataclass(frozen=True)
class Difficulty:
    """The rows that were looked at, each with its measures, and what the metrics say of them all."""

    rows: pd.DataFrame
    facts: dict[str, Any]


def difficulty(rows: pd.DataFrame, settings: DifficultySettings, reading: Reading, report: Report) -> Difficulty:
    """Measure a sample of the rows (id, premise, hypothesis, label, task, group), every label of the reading's."""
    if len(reading.labels) < 2:
        raise UserError(f"difficulty needs rows of two labels or more, got {', '.join(reading.labels)} alone")
    used = sample(rows, settings.rows, settings.seed)
    gold = np.array([reading.labels.index(label) for label in used["label"]])
    group, every = used["group"].to_numpy(), np.arange(len(used))
    probability: dict[View, Floats] = {}
    on_the_way = np.zeros(0)
    for turn, view in enumerate(VIEWS):
        fitted = cross_fit(
            used,
            settings.classifier,
            settings.folds,
            settings.seed,
            reading.model_copy(update={"view": view}),
            lambda done, total, turn=turn: report(turn * total + done, len(VIEWS) * total),
            points=settings.checkpoints if view == "pair" else 0,
        )
        probability[view] = fitted.held_out
        if view == "pair":
            on_the_way = fitted.on_the_way
    bits = {view: -np.log2(np.maximum(found[every, gold], LEAST_PROBABILITY)) for view, found in probability.items()}
    flagged = mislabelled(gold, probability["pair"])
    measured = used.assign(
        pvi=bits["nothing"] - bits["pair"],
        pvi_hypothesis=bits["nothing"] - bits["hypothesis"],
        pvi_premise=bits["nothing"] - bits["premise"],
        **data_map(on_the_way, gold),
        flagged=flagged,
        predicted=[reading.labels[best] for best in probability["pair"].argmax(axis=1)],
    )

    def mean(values: npt.NDArray[Any], own: Bools | slice = slice(None)) -> Estimate:
        return mean_interval(values[own].astype(float), group[own], DRAWS, settings.seed)

    columns = {"pair": "pvi", "hypothesis": "pvi_hypothesis", "premise": "pvi_premise"}
    pvi = measured["pvi"].to_numpy()
    facts = {
        "rows": len(used),
        "asked": settings.rows,
        "model": settings.classifier.model,
        "steps": settings.classifier.steps,
        "folds": settings.folds,
        "labels": reading.labels,
        "v_information": {view: mean(measured[column].to_numpy()) for view, column in columns.items()},
        "by_label": {label: mean(pvi, gold == number) for number, label in enumerate(reading.labels)},
        "entropy": round(float(bits["nothing"].mean()), 6),
        "accuracy": {view: mean(found.argmax(axis=1) == gold) for view, found in probability.items()},
        "pvi": _histogram(measured, reading.labels),
        "negative": round(float((pvi < 0).mean()), 6),
        "noise": {"flagged": int(flagged.sum()), "share": round(float(flagged.mean()), 6)},
        "cartography": _cartography(measured, gold, settings.seed),
        "examples": _examples(measured, settings.seed),
    }
    return Difficulty(measured, facts)


def mislabelled(gold: npt.NDArray[np.int64], probabilities: Floats) -> Bools:
    """Rows that confident learning finds mislabelled (Northcutt et al. 2021), by out-of-fold probabilities."""
    from cleanlab.filter import find_label_issues

    found: Bools = np.asarray(find_label_issues(gold, probabilities, n_jobs=1), dtype=bool)
    return found


def data_map(on_the_way: Floats, gold: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Where rows lie on the data map, from probabilities at points of training [points, rows, labels].

    confidence: the mean probability of the row's label; variability: its standard deviation (over the number of
    points); correctness: the share of points at which the label is the likeliest.
    """
    own = on_the_way[:, np.arange(len(gold)), gold]
    return {
        "confidence": own.mean(axis=0),
        "variability": own.std(axis=0),
        "correctness": (on_the_way.argmax(axis=2) == gold).mean(axis=0),
    }


def region(measured: pd.DataFrame) -> npt.NDArray[np.str_]:
    """easy, ambiguous or hard [rows].

    Swayamdipta et al. (2020) rank rows and take a third of each kind; counts need limits. Ours: a variability of 0.2 or
    more is ambiguous (0.5 is the most that there is); of the others, a confidence of 0.5 or more is easy.
    """
    ambiguous = measured["variability"].to_numpy() >= AMBIGUOUS_FROM
    easy = measured["confidence"].to_numpy() >= EASY_FROM
    return np.select([ambiguous, easy], ["ambiguous", "easy"], default="hard")


def _histogram(measured: pd.DataFrame, labels: list[str]) -> dict[str, Any]:
    clipped = measured["pvi"].clip(PVI_EDGES[0], PVI_EDGES[-1])
    return {
        "edges": PVI_EDGES,
        "counts": {
            label: [int(count) for count in np.histogram(clipped[measured["label"] == label], PVI_EDGES)[0]]
            for label in labels
        },
    }


def _cartography(measured: pd.DataFrame, gold: npt.NDArray[np.int64], seed: int) -> dict[str, Any]:
    regions = region(measured)
    shown = np.sort(np.random.default_rng(seed).permutation(len(measured))[:POINTS])
    values = measured[["variability", "confidence", "correctness"]].to_numpy()
    return {
        "regions": {name: int((regions == name).sum()) for name in ("easy", "ambiguous", "hard")},
        "points": [[*(round(float(part), DIGITS) for part in values[row]), int(gold[row])] for row in shown],
    }


def _examples(measured: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Rows to look at, hardest first: those of lowest PVI, those that are flagged, and some of the others."""
    order = measured["pvi"].to_numpy().argsort(kind="stable")
    flagged = order[measured["flagged"].to_numpy()[order]][:FLAGGED]
    chosen = dict.fromkeys([*order[:LOWEST], *flagged, *np.random.default_rng(seed).permutation(len(measured))])
    kept = set(list(chosen)[:EXAMPLES])
    text = ["id", "premise", "hypothesis", "label"]
    numbers = ["pvi", "confidence", "variability", "correctness"]
    table = measured.assign(region=region(measured)).iloc[[row for row in order if row in kept]]
    return [
        {
            **{name: str(row[name]) for name in text},
            **{name: round(float(row[name]), DIGITS) for name in numbers},
            "flagged": bool(row["flagged"]),
            "generator": str(row.get("generator", "")),
            "region": str(row["region"]),
        }
        for row in table.to_dict("records")
    ]
