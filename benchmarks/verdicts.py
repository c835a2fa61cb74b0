"""How often verdicts are false, intervals hold the truth, and effects of the printed size are found; by simulation.

    python benchmarks/verdicts.py [--repeats 300] [--seeds 2 3 5 10] [--rows 300 1000 5000]

Two models answer the same rows. A row has a difficulty, a group of rows shares a part of it, each model finds some
groups easier than the other does, and each seed of a model is better or worse everywhere, by `sd` points. First the two
are equally good: `false` is the share of runs (in %) whose difference is significant, `held` that of 95 % intervals
which hold the true accuracy of one model. Then the second is made better by the detectable effect that those runs
printed (its root mean square): `found` is the share of runs that see it, which should be 80. `seeds` is the share of
runs that would say "too few seeds" if they saw nothing.
"""

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from nlilab.verdict.compare import SEEDS_RULE
from nlilab.verdict.contrast import Clusters, Contrast, Floats

ALPHA = 0.05
SPREAD = {"rows": 1.5, "groups": 1.0, "models": 0.35}  # standard deviations, in logits


class World:
    """Where rows come from: `groups` groups (or as many as rows), seeds that differ by `sd` (a share of accuracy)."""

    def __init__(self, seeds: int, sd: float, rows: int, groups: int | None, random: np.random.Generator) -> None:
        self.seeds, self.sd, self.rows, self.random = seeds, sd, rows, random
        self.group = np.arange(rows) % (groups or rows)
        self.grouped = groups is not None
        spread = [SPREAD["rows"], SPREAD["models"], *([SPREAD["groups"]] if self.grouped else [])]
        self.whole = norm.ppf((np.arange(2000) + 0.5) / 2000) * np.linalg.norm(spread)  # logits of rows, evenly drawn
        self.at: dict[float, tuple[float, float]] = {}

    def pair(self, effect: float) -> tuple[Clusters, list[Floats]]:
        """Two models whose true accuracies are 50 % less and plus half the effect: their right answers in groups."""
        count = int(self.group.max()) + 1
        base = SPREAD["rows"] * self.random.normal(size=self.rows)
        base += SPREAD["groups"] * self.random.normal(size=count)[self.group] if self.grouped else 0
        clusters = Clusters(self.group, np.tile(["yes", "no"], self.rows)[: self.rows])
        clusters.strata[:] = 0  # groups here have no label of their own
        found = []
        for share in (-effect / 2, effect / 2):
            logits = base + SPREAD["models"] * self.random.normal(size=count)[self.group]
            if share not in self.at:
                self.at[share] = self._at(0.5 + share)
            middle, slope = self.at[share]
            each = middle + self.random.normal(0, self.sd / slope, (self.seeds, 1)) if self.sd else middle
            right = self.random.random((self.seeds, self.rows)) < expit(logits + each)
            found.append(clusters.sums(right))
        return clusters, found

    def _at(self, accuracy: float) -> tuple[float, float]:
        """The logit shift with which this share of rows is right, and by how much accuracy rises with it there."""
        middle = brentq(lambda shift: float(expit(self.whole + shift).mean()) - accuracy, -30, 30)
        right = expit(self.whole + middle)
        return middle, float((right * (1 - right)).mean())


def runs(world: World, effect: float, repeats: int) -> Iterator[tuple[Contrast, Contrast]]:
    """The difference of two models, and the accuracy of the first, in each of the repeats."""
    for _ in range(repeats):
        clusters, (one, other) = world.pair(effect)
        yield clusters.contrast([other, -one]), clusters.contrast([one])


def row(world: World, repeats: int) -> str:
    """One line of the table."""
    equal = list(runs(world, 0.0, repeats))
    false = np.mean([difference.p() < ALPHA for difference, _ in equal])
    intervals = [accuracy.interval(1 - ALPHA, 0.0) for _, accuracy in equal]
    held = np.mean([low <= 0.5 <= high for low, high in intervals])
    size = float(np.sqrt(np.mean([difference.detectable(ALPHA) ** 2 for difference, _ in equal])))
    seeds = np.mean([difference.seeds_share(ALPHA) >= SEEDS_RULE for difference, _ in equal])
    found = (
        np.mean([one.p() < ALPHA and one.point > 0 for one, _ in runs(world, size, repeats)]) if size < 0.9 else np.nan
    )
    return f"{100 * false:6.1f}{100 * held:7.1f}{100 * size:11.1f}{100 * found:7.0f}{100 * seeds:7.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300, help="runs in each line; one run in 20 is 5 %%")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    parser.add_argument("--sd", type=float, nargs="+", default=[0, 1, 2, 3.5, 5], help="points between seeds")
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1000, 5000])
    parser.add_argument("--groups", type=int, nargs="+", default=[0, 30], help="groups of rows; 0: each row is one")
    given = parser.parse_args()
    print("seeds   sd   rows groups  false   held detectable  found  seeds")
    for seeds, groups, rows, sd in itertools.product(given.seeds, given.groups, given.rows, given.sd):
        random = np.random.default_rng([seeds, groups, rows, round(10 * sd)])
        line = row(World(seeds, sd / 100, rows, groups or None, random), given.repeats)
        print(f"{seeds:5}{sd:5g}{rows:7}{groups or '-':>7}{line}", flush=True)


if __name__ == "__main__":
    main()
