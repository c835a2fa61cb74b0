"""How sure a figure of one set of rows is, where rows of one premise lean on each other.

Cluster bootstrap by premise (Davison & Hinkley 1997, section 3.8), and the delete-d jackknife where doubles bias. An
estimate is {"value", "low", "high"}, at 95 % confidence, rounded to 6 digits.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Estimate = dict[str, float]

CONFIDENCE = 0.95  # of an estimate
Z = float(norm.ppf((1 + CONFIDENCE) / 2))


def estimate(value: float, draws: Floats) -> Estimate:
    """The value with the percentile interval of its draws; draws that are undefined (not finite) do not count."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < 2:
        return _rounded(value, value, value)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return _rounded(value, float(low), float(high))


def cluster_counts(clusters: int, draws: int, seed: int) -> npt.NDArray[np.uint16]:
    """How often each bootstrap sample draws each of the clusters [draws, clusters]."""
    random = np.random.default_rng(seed)
    counts = np.empty((draws, clusters), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(random.integers(0, clusters, clusters), minlength=clusters)
    return counts


def numbered(groups: npt.NDArray[np.generic]) -> Ints:
    """Groups of any kind as numbers 0.. in their sorted order [rows]."""
    numbers: Ints = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers


def mean_interval(values: Floats, groups: npt.NDArray[np.generic], draws: int, seed: int) -> Estimate:
    """The mean of values [rows] and its cluster bootstrap interval, whole groups [rows] at a time; linear in rows."""
    cluster = numbered(groups)
    size = np.bincount(cluster).astype(np.float64)
    total = np.bincount(cluster, weights=values)
    counts = cluster_counts(len(size), draws, seed)
    sampled = np.array([(row @ total) / (row @ size) for row in counts])
    return estimate(float(np.mean(values)), sampled)


def jackknifed(value: float, parts: Floats, share: float) -> Estimate:
    """A statistic's mean over random parts of the data, and its interval by the delete-d jackknife.

    Args:
        value: the mean.
        parts: the statistic on parts made of whole clusters, drawn without replacement.
        share: how large a part is, of all the data (0 < share < 1).

    A bootstrap sample has doubles, which are no news: vocabulary and its kin would come out too low. The spread of
    parts, sd, understates that of samples of their size by the finite population correction, sqrt(1 - share), and the
    mean over parts uses all the data: it errs by sqrt(share) of that. So the standard error is
    sd sqrt(share / (1 - share)) (Shao & Wu 1989; Politis & Romano 1994).
    """
    half = Z * float(parts.std(ddof=1)) * (share / (1 - share)) ** 0.5
    return _rounded(value, value - half, value + half)


def _rounded(value: float, low: float, high: float) -> Estimate:
    return {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}
