"""Metrics of predictions: pure functions from gold names and probabilities to numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from nlilab.core.schema import ENTAILMENT, NON_ENTAILMENT, THREE_WAY, TWO_WAY

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

ECE_BINS = 15


def argmax_then_map(probabilities: Floats, labels: Sequence[str], scheme: Sequence[str]) -> Names:
    """Predicted names [rows] from the probabilities of a model's labels [rows, labels].

    Three-way models on two-way suites (HANS, McCoy et al. 2019): take the three-way argmax, then anything but
    entailment is non-entailment. This is not `prob_sum`, which asks whether P(neutral) + P(contradiction) > 1/2.
    """
    names: Names = np.asarray(labels)[probabilities.argmax(axis=1)]
    if tuple(scheme) == TWO_WAY:
        return np.where(names == ENTAILMENT, ENTAILMENT, NON_ENTAILMENT)
    return names


def prob_sum(probabilities: Floats, labels: Sequence[str], scheme: Sequence[str]) -> Floats:
    """Probabilities [rows, labels of the scheme]; two-way sums the two ways of not being entailed."""
    place = {label: number for number, label in enumerate(labels)}
    if tuple(scheme) == TWO_WAY and NON_ENTAILMENT not in place:
        return np.stack(
            [probabilities[:, place[ENTAILMENT]], probabilities[:, [place[n] for n in THREE_WAY[1:]]].sum(axis=1)],
            axis=1,
        )
    return probabilities[:, [place[label] for label in scheme]]


def evaluate(gold: Names, probabilities: Floats, labels: Sequence[str], scheme: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class precision/recall/F1, loss (nats) and calibration error of one suite.

    Args:
        gold: label names [rows].
        probabilities: [rows, labels], of the model's `labels`.
        scheme: the suite's label names; predictions are collapsed by `argmax_then_map`, the loss by `prob_sum`.
    Returns also, where there are rows with the first label and without it, `auc`: the area under the ROC curve of that
    label's probability (TRUE scores P(entailment) so, Honovich et al. 2022); and for three-way suites `binary`, the
    accuracy of entailment against the rest under two collapses that are not the same.
    """
    predicted = argmax_then_map(probabilities, labels, scheme)
    own = [] if tuple(scheme) == TWO_WAY else [label for label in labels if label not in scheme]
    names = [*scheme, *own]  # also labels that a model may give and no row of the suite has
    precision, recall, f1, support = precision_recall_fscore_support(gold, predicted, labels=names, zero_division=0.0)
    present = support > 0
    share = prob_sum(probabilities, labels, names)
    given = share[np.arange(len(gold)), _positions(gold, names)]
    chosen = _positions(predicted, names)
    correct = predicted == gold
    first, further = gold == names[0], dict[str, Any]()
    if first.any() and not first.all():
        further["auc"] = float(roc_auc_score(first, share[:, 0]))
    if tuple(names) == THREE_WAY:
        collapsed = {"argmax_then_map": predicted == names[0], "prob_sum": share[:, 0] > 0.5}
        further["binary"] = {name: float((said == first).mean()) for name, said in collapsed.items()}
    return further | {
        "rows": len(gold),
        "accuracy": float(correct.mean()),
        "macro_f1": float(f1[present].mean()),
        "loss": float(-np.log(np.clip(given, 1e-12, 1.0)).mean()),
        "calibration_error": calibration_error(share[np.arange(len(gold)), chosen], correct),
        "classes": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "rows": int(support[i]),
                "predicted": int((predicted == label).sum()),
            }
            for i, label in enumerate(names)
        },
    }


def _positions(names: Names, labels: list[str]) -> npt.NDArray[np.int64]:
    return np.array([labels.index(name) for name in names], dtype=np.int64)


def calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = ECE_BINS) -> float:
    """Expected calibration error with equal-width bins (Guo et al. 2017, section 3).

    Args:
        confidence: the probability of the predicted label, collapsed by `prob_sum` on two-way suites [rows].
    """
    edge = np.clip((confidence * bins).astype(int), 0, bins - 1)
    count = np.bincount(edge, minlength=bins)
    hit = np.bincount(edge, weights=correct, minlength=bins)
    sure = np.bincount(edge, weights=confidence, minlength=bins)
    return float(np.abs(hit - sure).sum() / count.sum())


def transitions(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How correctness changes from one model to another, with the denominators that answer a question.

    fixed_share = fixed / wrong before; introduced_share = introduced / right before; the shares over
    fixed + introduced + remaining, which the report of seed 003 prints, stand beside them as `of_errors_*`.
    """
    fixed = int((~before & after).sum())
    introduced = int((before & ~after).sum())
    remaining = int((~before & ~after).sum())
    kept = int((before & after).sum())
    errors = fixed + introduced + remaining

    def share(part: int, of: int) -> float:
        return part / of if of else 0.0

    return {
        "fixed": fixed,
        "introduced": introduced,
        "remaining": remaining,
        "kept": kept,
        "fixed_share": share(fixed, fixed + remaining),
        "introduced_share": share(introduced, introduced + kept),
        "net_share": share(introduced - fixed, fixed + remaining),
        "of_errors_fixed": share(fixed, errors),
        "of_errors_introduced": share(introduced, errors),
        "of_errors_remaining": share(remaining, errors),
    }


def cells(gold: Names, correct: npt.NDArray[np.bool_], cell: Names) -> dict[str, float]:
    """Accuracy for each (cell, gold) of a heuristics suite: HANS's 6 cells, named `heuristic/gold`."""
    out = {}
    for name in sorted(set(cell)):
        for label in sorted(set(gold[cell == name])):
            mask = (cell == name) & (gold == label)
            out[f"{name}/{label}"] = float(correct[mask].mean())
    return out
