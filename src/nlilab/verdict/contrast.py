"""How sure a difference of accuracies is: what it varies by over trainings and over rows, and what follows from that.

Accuracy is measured on seeds x rows, two crossed samples. Its variance has a part that comes with the seeds drawn and
one that comes with the rows drawn; each is estimated with its own degrees of freedom (Searle, Casella & McCulloch 1992,
chapter 4), and three seeds have few. Everything that the comparison is sure of comes from here.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, log10, sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import binomtest

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POWER = 0.8
LEAST_P = 1e-15  # what is less likely is not told apart
MOST_SEEDS = 1000  # more are "no number of seeds"


@dataclass(frozen=True)
class Contrast:
    """A figure made of accuracies, the two parts of its variance, and the degrees of freedom of each.

    `seeds` is the part that other trainings would change, `rows` the one that other rows would; their sum is the
    squared standard error. With one seed the first is unknown, and taken as 0 with 0 degrees of freedom.
    """

    point: float
    seeds: float
    seeds_df: float
    rows: float
    rows_df: float

    def variance(self) -> dict[str, float]:
        """Its parts, with their degrees of freedom: all but the point."""
        return {name: value for name, value in asdict(self).items() if name != "point"}

    def half(self, tail: float, power: float = 0.5) -> float:
        """How far from the point that bound lies which the truth passes, on its side, with probability `tail`.

        The parts have degrees of freedom of their own: the half width is the root of (t_seeds^2 seeds + t_rows^2 rows)
        (Banerjee 1960), exact where one part rules and a little wide between. With `power` it is the size of an effect
        that passes the bound so often.
        """
        if self.rows_df <= 0:
            return inf
        parts = ((self.seeds, self.seeds_df), (self.rows, self.rows_df))
        return sqrt(sum(variance * _quantiles(df, tail, power) ** 2 for variance, df in parts if variance > 0))

    def interval(self, confidence: float, least: float = -1.0, most: float = 1.0) -> tuple[float, float]:
        """Low and high at this confidence, in two tails, cut at what the figure can be: a difference, by default."""
        half = self.half((1 - confidence) / 2)
        return max(least, self.point - half), min(most, self.point + half)

    def p_above(self, null: float) -> float:
        """One-sided p of "the truth is `null` or less"."""
        return self._tail(self.point - null)

    def p_below(self, null: float) -> float:
        """One-sided p of "the truth is `null` or more"."""
        return self._tail(null - self.point)

    def p(self) -> float:
        """Two-sided p of "there is no difference"."""
        return min(1.0, 2 * self._tail(abs(self.point)))

    def detectable(self, alpha: float) -> float:
        """The true difference that a two-sided test at `alpha` finds with a power of 80 %; 1 where none would be."""
        return min(1.0, self.half(alpha / 2, POWER))

    def same_within(self, alpha: float) -> float:
        """The margin within which two equal models are shown to be equal, by two one-sided tests, with that power."""
        return min(1.0, self.half(alpha, (1 + POWER) / 2))

    def seeds_share(self, alpha: float) -> float:
        """Which share of the squared half width the seeds are to blame for, their few degrees of freedom included."""
        whole = self.half(alpha / 2)
        return 1 - replace(self, seeds=0.0).half(alpha / 2) ** 2 / whole**2 if 0 < whole < inf else 0.0

    def with_seeds(self, now: int, then: int) -> "Contrast":
        """The same as it would be with `then` seeds for each model, where there are `now`, on the same rows."""
        return replace(self, seeds=self.seeds * now / then, seeds_df=self.seeds_df * (then - 1) / (now - 1))

    def with_rows(self, factor: float) -> "Contrast":
        """The same as it would be on `factor` times as many rows (or groups of rows) of the same kind."""
        return replace(self, rows=self.rows / factor, rows_df=self.rows_df * factor)

    def _tail(self, distance: float) -> float:
        """The p of a bound that stands `distance` from the point."""
        if distance <= 0:
            return 1 - self._tail(-distance) if distance < 0 else 0.5
        if self.half(LEAST_P) <= distance:
            return LEAST_P
        if self.rows_df <= 0:
            return 0.5
        found: float = brentq(lambda power: self.half(10**power) - distance, log10(LEAST_P), log10(0.5), xtol=1e-9)
        return float(10**found)


def _quantiles(df: float, tail: float, power: float) -> float:
    """Student's t beyond which `tail` lies, and the one below which `power` does, added."""
    return float(stdtrit(df, power) - stdtrit(df, tail))


class Clusters:
    """A suite's rows in groups that lean on each other (HANS: subcases; SNLI: premises), and groups in strata.

    Groups whose rows all have one label (HANS) are a stratum with the others of that label: a suite is made with its
    balance of labels, which is no chance. Where a stratum would have one group only, there are no strata.
    """

    def __init__(self, groups: npt.NDArray[np.generic], gold: npt.NDArray[np.str_]) -> None:
        """Groups and labels row by row [rows]."""
        self.groups: Ints = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        self.size = np.bincount(self.groups).astype(np.float64)
        strata = np.unique(_strata(self.groups, gold), return_inverse=True)[1]
        held = np.bincount(strata)
        self.strata = strata if held.min() > 1 else np.zeros(len(self.size), dtype=np.int64)
        self.rows = len(groups)

    def sums(self, values: Floats | Bools) -> Floats:
        """Values [seeds, rows], added up within groups [seeds, groups]."""
        count = len(self.size)
        return np.stack([np.bincount(self.groups, weights=seed, minlength=count) for seed in values])

    def contrast(self, parts: Sequence[Floats], unit: float = 1.0) -> Contrast:
        """The sum of the parts' means, with its variance.

        Args:
            parts: for each set of trainings what it adds to the figure, as `sums` [seeds, groups]: a model's right
                answers, and for a difference minus those of its baseline. What comes from the same trainings (a model's
                rows, clean and attacked) is one part, added up before.
            unit: what one row's answer can change in one part.

        Seeds: the variance between a part's seeds. Rows: that between groups, of the answers averaged over seeds, less
        the noise of single seeds on single rows, which stands in the first already. One row is always taken to differ,
        since answers that are all alike do not prove that all would be (Agresti & Min 2005).
        """
        groups, strata = len(self.size), int(self.strata.max()) + 1
        means = [part.mean(axis=0) for part in parts]
        point = float(sum(mean.sum() for mean in means) / self.rows)
        rows = self._between_groups(np.sum(means, axis=0)[None, :])
        seeds = [float(part.sum(axis=1).var(ddof=1)) / self.rows**2 / len(part) for part in parts if len(part) > 1]
        noise = sum(
            self._between_groups(part - mean) / (len(part) - 1) / len(part)
            for part, mean in zip(parts, means, strict=True)
            if len(part) > 1
        )
        rows = max(0.0, rows - noise) + (unit / self.rows) ** 2
        alike = float((self.size**2).sum() ** 2 / (self.size**4).sum())  # as many groups of one size (Kish 1965)
        df = [len(part) - 1 for part in parts if len(part) > 1]
        return Contrast(
            point=point,
            seeds=sum(seeds),
            seeds_df=_degrees(seeds, df, rows),
            rows=rows,
            rows_df=max(1.0, alike - strata) if groups > strata else 0.0,
        )

    def _between_groups(self, sums: Floats) -> float:
        """The variance of the mean that the groups' sums [any, groups] show, within strata, added over the first."""
        deviation = sums - np.outer(sums.sum(axis=1) / self.rows, self.size)
        held = np.bincount(self.strata).astype(np.float64)
        total = 0.0
        for one in deviation:
            mean = np.bincount(self.strata, weights=one) / held
            squares = np.bincount(self.strata, weights=(one - mean[self.strata]) ** 2)
            total += float((squares * held / np.maximum(held - 1, 1)).sum())
        return total / self.rows**2


def _strata(groups: Ints, gold: npt.NDArray[np.str_]) -> Ints:
    """Per group: its gold label's number if all its rows have that label, else 0 (mixed groups, as SNLI's)."""
    number = np.unique(gold, return_inverse=True)[1] + 1
    count = int(groups.max()) + 1
    low, high = np.full(count, number.max()), np.zeros(count, dtype=np.int64)
    np.minimum.at(low, groups, number)
    np.maximum.at(high, groups, number)
    pure: Ints = np.where(low == high, low, 0)
    return pure


def _degrees(variances: Sequence[float], df: Sequence[int], rows: float) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, from unbiased estimates of their squares.

    A sample variance's square is (df + 2) / df times too large on average, which hurts at 1 or 2 degrees; Welch (1947)
    divides accordingly. Where rows vary too, half widths come out a little wide: the fourth power of the share that
    rows have in the variance, counted as a degree, makes up for it (found by simulation: benchmarks/verdicts.py).
    """
    total = sum(variances)
    if not df or total <= 0:
        return float(sum(df))
    squares = sum(variance**2 / (free + 2) for variance, free in zip(variances, df, strict=True))
    more = (rows / (rows + total)) ** 4
    return min(sum(df) + more, max(float(min(df)), total**2 / squares - 2 + more))


def seeds_needed(one: Contrast, seeds: int, enough: Callable[[Contrast], bool]) -> int | None:
    """The least number of seeds for each model that is enough, where there are `seeds` (at least 2) now; None: none is.

    What rows alone hide no seeds bring to light: there more rows are needed.
    """
    numbers = range(2, MOST_SEEDS + 1)
    place = bisect_left(numbers, True, key=lambda then: enough(one.with_seeds(seeds, then)))
    return numbers[place] if place < len(numbers) else None


def mcnemar_exact(fixed: int, introduced: int) -> float:
    """Two-sided exact McNemar p: are fixed and introduced errors equally likely? 1 where nothing changed."""
    changed = fixed + introduced
    return float(binomtest(fixed, changed, 0.5).pvalue) if changed else 1.0


def corrected(claims: Sequence[Sequence[float]]) -> list[list[float]]:
    """Adjusted p values of a family of comparisons, each with claims of which it can make at most one falsely.

    Holm's procedure divides by how many hypotheses are left; those of one comparison (no difference; worse by the
    margin; better by it) exclude each other, so at most one of them is true and it counts once, until all its claims
    are made (Shaffer 1986). Asking for sameness beside difference so costs nothing.
    """
    ordered = sorted((p, one, place) for one, own in enumerate(claims) for place, p in enumerate(own))
    left = [len(own) for own in claims]
    out = [[1.0] * len(own) for own in claims]
    least = 0.0
    for p, one, place in ordered:
        least = max(least, min(1.0, p * sum(count > 0 for count in left)))
        out[one][place] = least
        left[one] -= 1
    return out
