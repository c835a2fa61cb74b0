"""What a comparison can see as it is planned, and how many seeds and rows it needs to see more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from nlilab.verdict.contrast import Contrast, seeds_needed

PUBLISHED_SD = 0.024  # between seeds on HANS: 100 BERTs of one recipe, McCoy, Min & Linzen 2020, section 4
CHANGED = 0.25  # share of rows on which two models of like accuracy are taken to differ, where nothing is known
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # so many times the rows there are
FEW = 30  # seeds: where more would be needed, rows are asked for first


@dataclass(frozen=True)
class Need:
    """How many seeds of each model, on how many times the rows."""

    seeds: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """One suite: what `seeds` seeds see, and what seeing `effect`, or sameness within `margin`, takes.

    All are shares of accuracy, at a power of 80 %, after correction for all comparisons. A need that no number of rows
    within reason meets is None.
    """

    suite: str
    rows: int
    sd: float
    sees: float
    same_within: float
    effect: Need | None
    margin: Need | None


def measured(pairs: Iterable[Mapping[str, Any]], suite: str, seeds: int) -> Contrast | None:
    """The difference of two models as the run's pairs on a suite vary, on average; None where none tells.

    Args:
        pairs: the records of metrics/comparison.json, of a run with `seeds` seeds.
    """
    held = [pair["variance"] for pair in pairs if pair["suite"] == suite and "variance" in pair]
    if seeds < 2 or not held:
        return None
    mean = {name: fmean(one[name] for one in held) for name in held[0]}
    return Contrast(point=0.0, **mean)


def supposed(rows: int, seeds: int, sd: float = PUBLISHED_SD) -> Contrast:
    """The difference of two models of which nothing is known but how seeds vary elsewhere."""
    few = max(2, seeds)
    return Contrast(0.0, 2 * sd**2 / few, 2.0 * (few - 1), CHANGED / rows, rows - 1.0).with_seeds(few, few)


def planned(suite: str, rows: int, one: Contrast, now: int, then: int, sizes: tuple[float, float, float]) -> Plan:
    """The plan for a suite.

    Args:
        one: the difference as it varies with `now` seeds; then: the seeds that are planned.
        sizes: the effect to be seen and the margin, as shares, and the level of each test after correction.
    """
    effect, margin, level = sizes
    now = max(2, now)
    plan = one.with_seeds(now, then)

    def need(enough: Any) -> Need | None:
        found = [(seeds_needed(one.with_rows(factor), now, enough), factor) for factor in FACTORS]
        needs = [Need(seeds, factor) for seeds, factor in found if seeds]
        return next((few for few in needs if few.seeds <= FEW), needs[0] if needs else None)

    return Plan(
        suite,
        rows,
        sd=(one.seeds * now / 2) ** 0.5,
        sees=plan.detectable(level),
        same_within=plan.same_within(level),
        effect=need(lambda more: more.detectable(level) <= effect),
        margin=need(lambda more: more.same_within(level) <= margin),
    )
