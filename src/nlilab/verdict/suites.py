"""Suites: their slices, the guard against permuted labels, and the scores of one model on them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nlilab.core.params import Settings
from nlilab.core.words import NEGATION
from nlilab.tasks.reading import scheme_of
from nlilab.verdict.metrics import Floats, Names, argmax_then_map, cells, evaluate

SLICES_VERSION = 1
GUARD_LEAST = 0.05  # models at chance on many rows differ from it by little, but surely

# The other word list of seed report 003's challenge slices, matched as NEGATION is, in either sentence.
AMBIGUITY = re.compile(
    r"\b(?:may|might|could|possibly|perhaps|maybe|probably|likely|some|several|many|few|somewhat|seems?|appears?)\b",
    re.IGNORECASE,
)
SLICES = ("negation", "ambiguity", "long")


class ScoreSettings(Settings):
    """The long slice's limit, and how sure the label-map guard must be before it stops the run."""

    long_words: Annotated[int, Field(ge=1)] = 20
    guard_z: Annotated[float, Field(gt=0)] = 4.0


def slices(rows: pd.DataFrame, long_words: int) -> pd.DataFrame:
    """One column per slice: "" (outside), or the side that puts the row in it: premise, hypothesis or both."""

    def side(premise: "pd.Series[bool]", hypothesis: "pd.Series[bool]") -> npt.NDArray[np.str_]:
        return np.select([premise & hypothesis, premise, hypothesis], ["both", "premise", "hypothesis"], default="")

    def has(pattern: re.Pattern[str], column: str) -> "pd.Series[bool]":
        return rows[column].map(lambda text: bool(pattern.search(text)))

    def long(column: str) -> "pd.Series[bool]":
        return rows[column].map(lambda text: len(text.split())) > long_words

    return pd.DataFrame(
        {
            "negation": side(has(NEGATION, "premise"), has(NEGATION, "hypothesis")),
            "ambiguity": side(has(AMBIGUITY, "premise"), has(AMBIGUITY, "hypothesis")),
            "long": side(long("premise"), long("hypothesis")),
        },
        index=rows.index,
    )


@dataclass(frozen=True)
class Answers:
    """What one model said to the rows of a suite: probabilities [rows, labels], and the labels that they are of."""

    probabilities: Floats
    labels: Sequence[str]

    def named(self, scheme: Sequence[str]) -> Names:
        """The answers as names of the suite's scheme [rows]."""
        return argmax_then_map(self.probabilities, self.labels, scheme)

    def take(self, rows: npt.NDArray[Any]) -> "Answers":
        """The answers to some of the rows, by mask or by place."""
        return Answers(self.probabilities[rows], self.labels)


def score(rows: pd.DataFrame, answers: Answers, sides: pd.DataFrame) -> dict[str, Any]:
    """All metrics of one model on one suite: overall, per slice, per cell of a heuristics suite.

    Args:
        rows: label, group, cell; sides: the `slices` of the rows.
    """
    gold = rows["label"].to_numpy(dtype=str)
    scheme = scheme_of(rows)
    out = evaluate(gold, answers.probabilities, answers.labels, scheme)
    correct = answers.named(scheme) == gold
    out["slices"] = {
        name: evaluate(gold[mask], answers.probabilities[mask], answers.labels, scheme)
        for name in SLICES
        if (mask := (sides[name] != "").to_numpy()).any()
    }
    cell = rows["cell"].to_numpy(dtype=str)
    if cell.any():
        out["cells"] = cells(gold, correct, cell)
        out["subcases"] = {
            str(name): float(correct[index].mean())
            for name, index in rows.reset_index(drop=True).groupby("group").indices.items()
        }
    return out


def guard(rows: pd.DataFrame, predictions: Mapping[str, Answers]) -> dict[str, Any]:
    """The label-map guard: does a permuted reading of the gold labels fit the models better than the declared one?

    Every row scores 1 / (rows of its gold label) where a model is right, so that a model which always gives one
    label is indifferent to the reading; models are averaged row by row, and the difference between a permuted
    reading and the declared one is put over its standard error (paired by row).

    Returns declared and best permuted balanced accuracy, the mapping, and `z`.
    """
    scheme = scheme_of(rows)
    gold = rows["label"].to_numpy(dtype=str)
    present = [label for label in scheme if (gold == label).any()]
    named = [answers.named(scheme) for answers in predictions.values()]
    shares = {label: 1 / (len(present) * (gold == label).sum()) for label in present}
    weight = np.array([shares[label] for label in gold])

    def hits(reading: Mapping[str, str]) -> Floats:
        read = np.array([reading[label] for label in gold])
        right: Floats = np.mean([guess == read for guess in named], axis=0)
        weighted: Floats = right * weight * len(gold)
        return weighted

    declared = hits({label: label for label in scheme})
    best: dict[str, Any] = {"declared": float(declared.mean()), "permuted": 0.0, "mapping": {}, "z": 0.0}
    for order in itertools.permutations(scheme):
        reading = dict(zip(scheme, order, strict=True))
        if order == tuple(scheme):
            continue
        permuted = hits(reading)
        if permuted.mean() > best["permuted"]:
            gap = permuted - declared
            error = gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else 0.0
            z = float(gap.mean() / error) if error > 0 else 0.0
            best.update(permuted=float(permuted.mean()), mapping=reading, z=z)
    return best


def guard_message(suite: str, found: Mapping[str, Any]) -> str:
    """Both readings, for the error or the warning."""
    renamed = ", ".join(f"{ours} is {theirs}" for ours, theirs in found["mapping"].items() if ours != theirs)
    return (
        f"suite {suite!r}: its labels look permuted: the models reach {found['declared']:.1%} balanced accuracy "
        f"with the labels as declared, but {found['permuted']:.1%} if {renamed} (z = {found['z']:.1f})"
    )
