"""Statistics of paired comparisons: exact McNemar, hierarchical bootstrap, Holm, minimum detectable effect."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm
from statsmodels.stats.multitest import multipletests

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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


def bootstrap_accuracy(correct: list[Bools], groups: Ints, samples: int, seed: int) -> Floats:
    """Bootstrap samples of every model's accuracy [models, samples], resampling training seeds, then row groups.

    Args:
        correct: per model, whether each row is right [seeds, rows]; models may differ in their seeds.
        groups: per row, the number 0.. of its cluster (HANS: subcase; SNLI: premise) [rows].

    The groups drawn are the same for all models of one sample (rows are paired); seeds are drawn for each model
    by itself, since equal seed numbers of two arms share nothing but the classifier's first values. Resampling S
    seeds understates their variance by (S - 1) / S, which is a third of it at S = 3: the seeds' deviations from
    their mean are stretched by sqrt(S / (S - 1)) beforehand (Davison & Hinkley 1997, section 3.8).
    """
    random = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    size = np.bincount(groups, minlength=count).astype(np.float64)
    sums = [
        _stretched(np.stack([np.bincount(groups, weights=row, minlength=count) for row in model])) for model in correct
    ]
    out = np.empty((len(correct), samples))
    for start in range(0, samples, CHUNK):
        width = min(CHUNK, samples - start)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=width).astype(np.float64)
        rows = drawn @ size
        for index, model in enumerate(sums):
            seeds = len(model)
            weight = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=width) / seeds
            out[index, start : start + width] = ((drawn @ model.T) * weight).sum(axis=1) / rows
    return out


def _stretched(sums: Floats) -> Floats:
    """Per-seed sums [seeds, groups] with their deviations from the mean over seeds stretched for a small S."""
    seeds = len(sums)
    if seeds == 1:
        return sums
    mean = sums.mean(axis=0)
    stretched: Floats = mean + (sums - mean) * np.sqrt(seeds / (seeds - 1))
    return stretched


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
