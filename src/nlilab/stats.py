"""How sure figures are: paired comparisons of models, and estimates on one set of rows.

Comparisons: exact McNemar, hierarchical bootstrap over seeds and rows, Holm, minimum detectable effect.
Estimates: cluster bootstrap by premise, and the delete-d jackknife where doubles bias. An estimate is {"value", "low",
"high"}, at 95 % confidence, rounded to 6 digits. Rows of one premise lean on each other and are drawn together (Davison
& Hinkley 1997, section 3.8).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm
from statsmodels.stats.multitest import multipletests

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Estimate = dict[str, float]

CONFIDENCE = 0.95  # of an estimate
Z = float(norm.ppf((1 + CONFIDENCE) / 2))
CHUNK = 256  # bootstrap samples drawn at once: keeps memory at CHUNK x groups


@dataclass(frozen=True)
class Interval:
    """A point estimate, its percentile interval, and the standard deviation of its bootstrap samples."""

    point: float
    low: float
    high: float
    sd: float


def mcnemar_exact(fixed: int, introduced: int) -> float:
    """Two-sided exact McNemar p: are fixed and introduced errors equally likely? 1 where nothing changed."""
    changed = fixed + introduced
    return float(binomtest(fixed, changed, 0.5).pvalue) if changed else 1.0


def bootstrap_accuracy(
    correct: list[Bools], groups: Ints, strata: Ints, samples: int, seed: int, trainings: list[int] | None = None
) -> Floats:
    """Bootstrap samples of every model's accuracy [models, samples], resampling training seeds, then row groups.

    Args:
        correct: per model, whether each row is right [seeds, rows]; models may differ in their seeds.
        groups: per row, the number 0.. of its cluster (HANS: subcase; SNLI: premise) [rows].
        strata: per row, the number of its group's stratum: groups are drawn within their stratum, so that a suite
            whose groups have one gold label each (HANS) keeps its balance of labels in every sample [rows].
        trainings: per model, the number of the trainings behind it: entries of equal number are the same models seen
            on other rows (clean and attacked, say), and the same seeds are drawn for them. Default: all differ.

    A sample is the accuracy on drawn groups, averaged over the seeds, plus the mean deviation of drawn seeds. The
    groups drawn are the same for all models (rows are paired); seeds are drawn for each model by itself, since equal
    seed numbers of two arms share nothing but the classifier's first values. Drawing S seeds understates their
    variance by (S - 1) / S, a third of it at S = 3, so deviations are stretched by sqrt(S / (S - 1)) (Davison &
    Hinkley 1997, section 3.8). What a seed does to single rows enters both terms: intervals err on the wide side,
    but by less than if seeds and groups were drawn jointly (Owen 2007).
    """
    random = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    size = np.bincount(groups, minlength=count).astype(np.float64)
    stratum = np.zeros(count, dtype=np.int64)
    stratum[groups] = strata
    members_of = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    sums = np.stack([np.bincount(groups, weights=model.mean(axis=0), minlength=count) for model in correct], axis=1)
    out = np.empty((len(correct), samples))
    for start in range(0, samples, CHUNK):
        width = min(CHUNK, samples - start)
        drawn = np.zeros((width, count))
        for members in members_of:
            drawn[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), size=width)
        out[:, start : start + width] = (drawn @ sums).T / (drawn @ size)
    weights: dict[int, Floats] = {}
    for index, model in enumerate(correct):
        training = trainings[index] if trainings else index
        if training not in weights:
            times = random.multinomial(len(model), np.full(len(model), 1 / len(model)), size=samples)
            weights[training] = times / len(model)
        out[index] += _seed_deviation(model.mean(axis=1), weights[training])
    return out


def _seed_deviation(accuracy: Floats, weight: Floats) -> Floats:
    """How far the mean accuracy of S drawn seeds [samples, S], as shares, lies from that of the S seeds [samples]."""
    seeds = len(accuracy)
    if seeds == 1:
        return np.zeros(len(weight))
    deviation: Floats = weight @ (accuracy - accuracy.mean()) * np.sqrt(seeds / (seeds - 1))
    return deviation


def interval(point: float, samples: Floats, confidence: float) -> Interval:
    """The percentile interval of bootstrap samples around the point estimate."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(point, float(low), float(high), float(samples.std(ddof=1)))


def bootstrap_p(differences: Floats) -> float:
    """Two-sided p of "no difference": twice the smaller share of samples on one side of zero (plus one)."""
    samples = len(differences)
    below = (np.sum(differences <= 0) + 1) / (samples + 1)
    above = (np.sum(differences >= 0) + 1) / (samples + 1)
    return float(min(1.0, 2 * min(below, above)))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p values of one family of comparisons."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def minimum_detectable_effect(sd: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that a two-sided test at `alpha` would find with probability `power`."""
    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * sd)


def estimate(value: float, draws: Floats) -> Estimate:
    """The value with the percentile interval of its draws; draws that are undefined (not finite) do not count."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < 2:
        return _rounded(value, value, value)
    found = interval(value, finite, CONFIDENCE)
    return _rounded(value, found.low, found.high)


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
