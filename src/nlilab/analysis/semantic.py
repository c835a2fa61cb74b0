"""Semantic diversity: how alike a field's sentences are on average, exactly and in time linear in their number."""

from typing import Any

import numpy as np
import pandas as pd

from nlilab.analysis.embeddings import Embed, Vectors, chunks, unit
from nlilab.stats import Estimate, Floats, Ints, cluster_counts, estimate, numbered

EDGES = np.round(np.linspace(-0.2, 1.0, 25), 2)  # of the histogram; what lies outside counts in the outermost bins
PAIRS = 200_000  # looked at for a histogram
LEAST = 3  # texts that a mean cosine is of


def semantic(rows: pd.DataFrame, field: str, embed: Embed, bootstrap: int, seed: int) -> dict[str, Any]:
    """The mean pairwise cosine of a field's distinct texts, of all rows ("all") and of each label's rows.

    `rows` have the field, `label` and `group`. Labels with fewer than 3 texts are left out.
    """
    every = rows[field].drop_duplicates().tolist()
    vectors, place = embed(every), {text: number for number, text in enumerate(every)}
    found = {}
    for name, own in [("all", rows), *rows.groupby("label")]:
        own = own.drop_duplicates(field)
        if len(own) < LEAST:
            continue
        part = vectors[own[field].map(place).to_numpy()]
        found[str(name)] = {
            "texts": len(own),
            "cosine": mean_cosine(part, numbered(own["group"].to_numpy(dtype=str)), bootstrap, seed),
            "histogram": histogram(part, seed),
        }
    return found


def mean_cosine(vectors: Vectors, cluster: Ints, draws: int, seed: int) -> Estimate:
    """The mean cosine of all pairs of n vectors [n, dimensions], with a bootstrap over their clusters [n].

    With unit vectors it is (|sum x|^2 - n) / (n (n - 1)). In a sample in which vector i occurs w_i times, the pairs
    of a vector and its own double say nothing and are left out: (|sum w x|^2 - sum w^2) / ((sum w)^2 - sum w^2).
    """
    counts = cluster_counts(int(cluster.max()) + 1, draws, seed)
    counts = np.vstack([np.ones_like(counts[:1]), counts])  # the first sample is the data
    total = np.zeros((len(counts), vectors.shape[1]))
    weight, squares = np.zeros(len(counts)), np.zeros(len(counts))
    for part in chunks(len(vectors)):
        weights = counts[:, cluster[part]].astype(np.float32)
        total += weights @ unit(vectors[part])
        weight += weights.sum(axis=1)
        squares += (weights**2).sum(axis=1)
    with np.errstate(invalid="ignore"):  # a sample of one vector alone has no pairs
        means = ((total**2).sum(axis=1) - squares) / (weight**2 - squares)
    return estimate(float(means[0]), means[1:])


def histogram(vectors: Vectors, seed: int) -> dict[str, list[float]]:
    """The cosines' shares of 24 bins: of all pairs, or of 200,000 drawn ones where there are more."""
    count = len(vectors)
    if count * (count - 1) // 2 <= PAIRS:
        left, right = np.triu_indices(count, 1)
    else:
        random = np.random.default_rng(seed)
        left = random.integers(0, count, PAIRS)
        right = (left + random.integers(1, count, PAIRS)) % count
    cosines: Floats = np.concatenate(
        [(unit(vectors[left[part]]) * unit(vectors[right[part]])).sum(axis=1) for part in chunks(len(left))]
    ).astype(np.float64)
    share = np.histogram(cosines.clip(EDGES[0], EDGES[-1]), EDGES)[0] / len(cosines)
    return {"edges": EDGES.tolist(), "share": share.round(6).tolist()}
