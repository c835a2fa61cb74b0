"""Metrics of suites whose rows belong together, as SuperGLUE defines them (Wang et al. 2019, section 3).

`options` (MultiRC): a row is one option of a question (column group), true or false of its own. `pick-one` (ReCoRD):
a row is one candidate of a question, and the candidate with the highest probability of `true` answers it. `parity`
(AX-g): rows come in pairs that differ by the gender of a pronoun.
"""

import re
import string
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import f1_score

from nlilab.verdict.metrics import Floats, Names

TRUE = "true"
ARTICLES = re.compile(r"\b(a|an|the)\b")


def options(rows: pd.DataFrame, predicted: Names) -> dict[str, float]:
    """F1a over all options and EM, the share of questions with every option right; and F1m, the mean F1 by question.

    Args:
        rows: label, group (the question); predicted: names [rows].
    """
    gold, said = rows["label"].to_numpy() == TRUE, predicted == TRUE
    by_question = list(rows.reset_index(drop=True).groupby("group", sort=False).indices.values())
    each = [float(f1_score(gold[index], said[index], zero_division=0.0)) for index in by_question]
    return {
        "questions": len(by_question),
        "f1a": float(f1_score(gold, said, zero_division=0.0)),
        "f1m": float(np.mean(each)),
        "em": float(np.mean([(gold[index] == said[index]).all() for index in by_question])),
    }


def picked(rows: pd.DataFrame, true: Floats) -> npt.NDArray[np.int64]:
    """The place of the likeliest candidate of each question, in the order in which the questions first stand.

    Args:
        rows: group (the question); true: the probability of `true` [rows]. The first of equals is taken.
    """
    groups = rows.reset_index(drop=True).groupby("group", sort=False).indices.values()
    return np.array([index[int(true[index].argmax())] for index in groups], dtype=np.int64)


def pick_one(rows: pd.DataFrame, chosen: npt.NDArray[np.int64]) -> dict[str, float]:
    """EM and F1 of the chosen candidates against the nearest right one, and their Rouge-L (as TarGEN scores ReCoRD).

    Args:
        rows: label, group, option (the candidate's text); chosen: one place for each question.
    """
    from rouge_score.rouge_scorer import RougeScorer  # here: no other suite needs its half second

    right = rows[rows["label"] == TRUE].groupby("group", sort=False)["option"].apply(list)
    rouge = RougeScorer(["rougeL"])
    found: dict[str, list[float]] = {"em": [], "f1": [], "rouge_l": []}
    for place in chosen:
        text, answers = str(rows["option"].iloc[place]), right.get(rows["group"].iloc[place], [])
        found["em"].append(max((float(_normal(text) == _normal(answer)) for answer in answers), default=0.0))
        found["f1"].append(max((_token_f1(text, answer) for answer in answers), default=0.0))
        found["rouge_l"].append(max((rouge.score(answer, text)["rougeL"].fmeasure for answer in answers), default=0.0))
    return {"questions": len(chosen)} | {name: float(np.mean(values)) for name, values in found.items()}


def parity(rows: pd.DataFrame, predicted: Names) -> dict[str, float]:
    """The share of pairs (column group) whose rows get the same answer, whatever the pronoun's gender."""
    answers = pd.Series(predicted).groupby(rows["group"].to_numpy())
    return {"pairs": int(answers.ngroups), "gender_parity": float((answers.nunique() == 1).mean())}


def _normal(text: str) -> str:
    """Lower case without punctuation, articles and spare blanks: how SQuAD and ReCoRD compare answers."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", plain).split())


def _token_f1(text: str, answer: str) -> float:
    one, other = _normal(text).split(), _normal(answer).split()
    common = sum(min(one.count(word), other.count(word)) for word in set(one))
    return 2 * common / (len(one) + len(other)) if common else 0.0


def questions(kind: str, rows: pd.DataFrame, true: Floats, predicted: Names) -> dict[str, Any]:
    """What is said of the rows together, by the suite's kind; nothing for plain accuracy."""
    if kind == "options":
        return options(rows, predicted)
    if kind == "pick-one":
        return pick_one(rows, picked(rows, true))
    return parity(rows, predicted) if kind == "parity" else {}
