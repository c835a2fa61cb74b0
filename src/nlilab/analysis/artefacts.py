"""Annotation artefacts: what of a label can be told from one side alone, or from how the sides' words agree.

What counts as a shortcut depends on the task: for inference, a hypothesis alone should say nothing of its label.
"""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.analysis.sampling import deal, sample
from nlilab.core.errors import UserError
from nlilab.core.schema import TEXT
from nlilab.core.words import overlap, words
from nlilab.stats import Bools, Floats, mean_interval

FOLDS = 5
WORKERS = 2  # folds at once: each holds a copy of its rows' features
PMI_WORDS = 12  # of each label
PMI_LEAST = 5  # hypotheses that a word is in: rarer ones are chance
PMI_PRIOR = 10  # hypotheses labelled as the whole set is, added to those of each word
OVERLAP_BINS = 10


def artefacts(rows: pd.DataFrame, sizes: Sequence[int], bootstrap: int, seed: int) -> dict[str, Any]:
    """The section `artefacts` of a set's metrics.

    Args:
        rows: premise, hypothesis, label and group (the premise's cluster).
        sizes: rows at which one side's accuracy is measured, beside all of them; those that the set has, and whose
            sample has a premise for each fold.
        bootstrap: samples behind each interval.
    """
    if rows["label"].nunique() < 2:
        raise UserError(f"artefacts need rows of two labels or more, got {', '.join(map(str, rows['label'].unique()))}")
    said = {side: [words(text) for text in rows[side]] for side in TEXT}
    for side in TEXT:
        if not any(said[side]):
            raise UserError(f"artefacts: no {side} of {len(rows)} rows has a word in it")
    return {
        "sizes": _sizes(rows, sizes, bootstrap, seed),
        "pmi": pmi(said["hypothesis"], rows["label"]),
        "overlap": _overlaps(said, rows, bootstrap, seed),
        "words": {
            label: {side: round(float(np.mean([len(said[side][row]) for row in own])), 6) for side in TEXT}
            for label, own in _places(rows["label"]).items()
        },
    }


def _places(labels: pd.Series) -> dict[str, npt.NDArray[np.intp]]:
    """The places of each label's rows; labels in their own order."""
    values = labels.to_numpy(dtype=str)
    return {str(label): np.flatnonzero(values == label) for label in np.unique(values)}


def _sizes(rows: pd.DataFrame, sizes: Sequence[int], bootstrap: int, seed: int) -> dict[str, Any]:
    """How many labels one side alone tells, at each size."""
    table = rows.assign(place=np.arange(len(rows)))
    parts = {str(size): sample(table, size, seed) for size in sizes if size <= len(rows)}
    parts = {size: part for size, part in parts.items() if part["group"].nunique() >= FOLDS} | {"all": table}
    found: dict[str, dict[str, Any]] = {
        size: {"rows": len(part), "majority": round(float(part["label"].value_counts(normalize=True).max()), 6)}
        for size, part in parts.items()
    }
    for side in TEXT:  # one after the other: the features of both are the most that an analysis would hold
        features = _features(rows[side])
        for size, part in parts.items():
            fold, label = deal(part, FOLDS, seed), part["label"].to_numpy(dtype=str)
            right = told(features[part["place"].to_numpy()], label, fold, seed).astype(float)
            found[size][f"{side}_only"] = mean_interval(right, part["group"].to_numpy(), bootstrap, seed)
    return found


def _features(texts: pd.Series) -> Any:
    """Sparse TF-IDF [rows, features] of words and pairs of words, and of 2 to 4 characters within words (endings).

    Weights are learnt from all distinct texts at once, since labels play no part in them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    number, distinct = pd.factorize(texts)
    form: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32}
    union = make_union(
        TfidfVectorizer(analyzer=_word_grams, **form),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **form),
    )
    return union.fit_transform(distinct).tocsr()[number]


def _word_grams(text: str) -> list[str]:
    said = words(text)
    return [*said, *(f"{one} {other}" for one, other in itertools.pairwise(said))]


def told(features: Any, labels: npt.NDArray[np.str_], fold: npt.NDArray[np.int64], seed: int) -> Bools:
    """Whether a linear model [rows], trained on the other folds, tells a row's label from its features.

    Logistic regression on n-grams, in the place of fastText, which Gururangan et al. (2018) use.
    """
    from sklearn.linear_model import LogisticRegression

    right = np.zeros(len(labels), dtype=bool)

    def fit(number: int) -> None:
        rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        guess: Any = labels[rest[0]]
        if (labels[rest] != guess).any():
            # SAGA with a loose tolerance: linear in rows, many times as fast as L-BFGS, and as often right
            model = LogisticRegression(solver="saga", tol=0.01, random_state=seed)
            guess = model.fit(features[rest], labels[rest]).predict(features[held])
        right[held] = guess == labels[held]

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(fit, range(FOLDS)))
    return right


def pmi(hypotheses: Sequence[Sequence[str]], labels: pd.Series) -> dict[str, list[dict[str, Any]]]:
    """The words that speak most for each label: log2 p(label | word) / p(label), in bits (Gururangan et al. 2018).

    A word counts once a hypothesis. To the hypotheses of each word, 10 labelled as the whole set are added, which pulls
    rare words towards 0 whatever the set's size (Gururangan et al. add 100 to every count of 550,000 rows). Words of
    fewer than 5 hypotheses are left out. `share`: of the word's hypotheses, unsmoothed.
    """
    distinct = pd.DataFrame(
        [(word, label) for said, label in zip(hypotheses, labels, strict=True) for word in set(said)],
        columns=["word", "label"],
    )
    counts = pd.crosstab(distinct["word"], distinct["label"]).reindex(columns=sorted(labels.unique()), fill_value=0)
    total = counts.sum(axis=1)
    counts, total = counts[total >= PMI_LEAST], total[total >= PMI_LEAST]
    out = {}
    for label, prior in labels.value_counts(normalize=True).items():
        smoothed = (counts[label] + PMI_PRIOR * prior) / (total + PMI_PRIOR)
        bits = np.log2(smoothed / prior)
        first = bits[bits > 0].sort_index().sort_values(ascending=False, kind="stable").index[:PMI_WORDS]
        out[str(label)] = [
            {
                "word": str(word),
                "pmi": round(float(bits[word]), 6),
                "count": int(total[word]),
                "share": round(float(counts[label][word] / total[word]), 6),
            }
            for word in first
        ]
    return out


def _overlaps(said: dict[str, list[list[str]]], rows: pd.DataFrame, bootstrap: int, seed: int) -> dict[str, Any]:
    """The share of a hypothesis' words that its premise has, by label."""
    value = np.array([overlap(p, h) for p, h in zip(said["premise"], said["hypothesis"], strict=True)])
    group = rows["group"].to_numpy()
    return {
        label: {"mean": mean_interval(value[own], group[own], bootstrap, seed), "histogram": _histogram(value[own])}
        for label, own in _places(rows["label"]).items()
    }


def _histogram(shares: Floats) -> dict[str, list[float]]:
    # Not by np.histogram: its edges are no round decimals, so that 3/10 would fall below 0.3.
    bins = np.minimum((shares * OVERLAP_BINS + 1e-9).astype(int), OVERLAP_BINS - 1)
    count = np.bincount(bins, minlength=OVERLAP_BINS)
    return {
        "edges": [edge / OVERLAP_BINS for edge in range(OVERLAP_BINS + 1)],
        "share": [round(float(part), 6) for part in count / len(shares)],
    }
