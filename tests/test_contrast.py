"""How sure a difference is: against independent implementations, and by small simulations of equal models."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests

from nlilab.verdict.contrast import Clusters, Contrast, corrected, mcnemar_exact, seeds_needed

NO_LABELS = "one label"


def clusters(groups: np.ndarray) -> Clusters:
    return Clusters(groups, np.array([NO_LABELS] * len(groups)))


def difference(one: np.ndarray, other: np.ndarray, groups: np.ndarray | None = None) -> Contrast:
    """Of two models' right answers [seeds, rows]."""
    rows = clusters(np.arange(one.shape[1]) if groups is None else groups)
    return rows.contrast([rows.sums(one), -rows.sums(other)])


def test_variance_is_that_of_a_mixed_model_with_crossed_seeds_and_rows() -> None:
    """REML of a balanced table equals the mean squares: statsmodels is the independent implementation."""
    random = np.random.default_rng(0)
    seeds, rows = 6, 30
    values = random.normal(0, 0.6, (seeds, 1)) + random.normal(0, 1, (1, rows)) + random.normal(0, 0.8, (seeds, rows))
    table = pd.DataFrame(
        {"y": values.ravel(), "seed": np.repeat(np.arange(seeds), rows), "row": np.tile(np.arange(rows), seeds)}
    )
    parts = {"seed": "0 + C(seed)", "row": "0 + C(row)"}
    fitted = MixedLM.from_formula("y ~ 1", table, groups=np.ones(len(table)), vc_formula=parts, re_formula="0").fit()
    one = clusters(np.arange(rows)).contrast([values], unit=0.0)
    assert np.sqrt(one.seeds + one.rows) == pytest.approx(fitted.bse["Intercept"], rel=1e-3)


def test_p_is_that_of_all_assignments_of_seeds_where_rows_are_all_alike() -> None:
    """Forty comparisons of five seeds with five; a permutation test has no model of how seeds vary."""
    random = np.random.default_rng(1)
    rows, splits = clusters(np.arange(20)), list(itertools.combinations(range(10), 5))
    p = []
    for _ in range(40):
        accuracy = random.normal(0.6, 0.03, 10) + np.repeat([0.0, 0.02], 5)
        sums = rows.sums(np.repeat(accuracy[:, None], 20, axis=1))
        one = rows.contrast([sums[5:], -sums[:5]], unit=0.0)
        gaps = np.array([abs(accuracy[list(held)].mean() - np.delete(accuracy, held).mean()) for held in splits])
        p.append((one.p(), float(np.mean(gaps >= abs(one.point) - 1e-12))))
    ours, exact = np.array(p).T
    assert np.mean(ours - exact) == pytest.approx(0, abs=0.01) and np.abs(ours - exact).max() < 0.05
    assert exact.min() < 0.02 and exact.max() > 0.5


def test_one_seed_of_rows_alone_has_the_binomial_error_and_whole_groups_a_wider_one() -> None:
    right = np.random.default_rng(0).random((1, 400)) < 0.7
    rows = clusters(np.arange(400))
    found = rows.contrast([rows.sums(right)], unit=0.0)
    assert found.rows == pytest.approx(right.mean() * (1 - right.mean()) / 399)
    assert (found.seeds, found.seeds_df, found.rows_df) == (0.0, 0.0, 399.0)
    repeated = np.repeat(right[:, :40], 10, axis=1)
    groups = clusters(np.repeat(np.arange(40), 10))
    alone = clusters(np.arange(40))
    wide, narrow = (
        held.contrast([held.sums(said)], 0.0) for held, said in ((groups, repeated), (alone, right[:, :40]))
    )
    assert wide.rows == pytest.approx(narrow.rows) and wide.rows_df == narrow.rows_df == 39


def test_strata_keep_the_balance_of_labels() -> None:
    """A model that always says entailment, on a suite whose groups have one label each, is right on half, always."""
    gold = np.repeat(["entailment", "non-entailment"], 50)
    groups = np.arange(100) // 10
    always = (gold == "entailment")[None, :]
    held = Clusters(groups, gold)
    assert held.contrast([held.sums(always)], unit=0.0).rows == 0
    mixed = clusters(groups)
    assert mixed.contrast([mixed.sums(always)], unit=0.0).rows > 0.01
    lonely = Clusters(groups[:60], gold[:60])  # one group of the second label: no stratum of its own
    assert lonely.strata.max() == 0


def test_answers_that_are_all_alike_prove_little() -> None:
    """Five rows that all seeds of one model get right and all of the other wrong are no proof beyond doubt."""
    one = difference(np.ones((3, 5), dtype=bool), np.zeros((3, 5), dtype=bool))
    assert one.point == 1 and 0.001 < one.p() < 0.05
    alone = difference(np.ones((3, 5), dtype=bool), np.zeros((3, 5), dtype=bool), np.zeros(5, dtype=int))
    assert (alone.p(), alone.interval(0.95), alone.detectable(0.05)) == (1.0, (-1.0, 1.0), 1.0)


def test_bounds_and_p_values_are_of_one_mind() -> None:
    one = Contrast(point=0.04, seeds=0.0002, seeds_df=3.1, rows=0.0001, rows_df=300)
    low, high = one.interval(0.95)
    for bound in (low, high):
        assert one.p_above(bound) + one.p_below(bound) == pytest.approx(1)
        assert min(one.p_above(bound), one.p_below(bound)) == pytest.approx(0.025)
    assert one.p() == pytest.approx(2 * one.p_above(0.0))
    assert Contrast(0.04, 0.0, 0, 0.0001, 1e6).p() == pytest.approx(2 * stats.norm.sf(4), rel=1e-3)


@pytest.mark.parametrize(("seeds", "sd", "groups"), [(2, 0.0, 0), (2, 0.035, 0), (3, 0.02, 30), (5, 0.05, 0)])
def test_equal_models_differ_as_rarely_as_stated_and_printed_effects_are_found(
    seeds: int, sd: float, groups: int
) -> None:
    """The toy of benchmarks/verdicts.py: 400 runs of 300 rows; the standard error of 4 % is one point."""
    random = np.random.default_rng(7)
    group = np.arange(300) % (groups or 300)
    held = clusters(group)

    def runs(effect: float) -> list[Contrast]:
        found = []
        for _ in range(400):
            easy = random.uniform(0.2, 0.7, 300) + (random.uniform(-0.1, 0.1, groups)[group] if groups else 0)
            each = (random.normal(0, sd, (seeds, 1)) + shift for shift in (0.0, effect))
            one, other = (random.random((seeds, 300)) < easy + shift for shift in each)
            found.append(held.contrast([held.sums(other), -held.sums(one)]))
        return found

    equal = runs(0.0)
    assert 0.01 <= np.mean([one.p() < 0.05 for one in equal]) <= 0.075
    printed = float(np.sqrt(np.mean([one.detectable(0.05) ** 2 for one in equal])))
    assert 0.72 <= np.mean([one.p() < 0.05 for one in runs(printed)]) <= 0.9


def test_more_seeds_are_asked_for_until_rows_are_what_is_short() -> None:
    one = Contrast(point=0.03, seeds=0.0004, seeds_df=3.5, rows=0.00005, rows_df=500)

    def needed_for(effect: float) -> int | None:
        return seeds_needed(one, 3, lambda more: more.detectable(0.05) <= effect)

    needed = needed_for(0.03)
    assert needed and one.with_seeds(3, needed).detectable(0.05) <= 0.03 < one.with_seeds(3, needed - 1).detectable(
        0.05
    )
    assert needed_for(0.015) is None  # the rows' part alone hides so little
    assert one.with_rows(4).rows == one.rows / 4 and one.with_seeds(3, 6).seeds == one.seeds / 2


def test_mcnemar_is_the_exact_binomial() -> None:
    assert mcnemar_exact(8, 1) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar_exact(0, 0) == 1.0


def test_a_family_is_corrected_as_holm_does_and_exclusive_claims_count_once() -> None:
    alone = [0.01, 0.04, 0.03, 0.2]
    assert [p for [p] in corrected([[p] for p in alone])] == pytest.approx(multipletests(alone, method="holm")[1])
    assert corrected([[0.001, 0.9], [0.02, 0.03]]) == [[0.002, 0.9], [0.04, 0.06]]
    assert corrected([]) == []


def test_false_claims_of_a_family_are_as_rare_as_stated() -> None:
    """Five comparisons at the worst truth for each: no difference for two, exactly the margin for three."""
    random = np.random.default_rng(0)
    false = 0
    for _ in range(1500):
        claims = []
        for truth in (0.0, 0.0, 2.0, 2.0, 2.0):
            point = truth + random.normal(0, 0.5)
            p = [
                2 * stats.norm.sf(abs(point) / 0.5),
                stats.norm.sf((point + 2) / 0.5),
                stats.norm.cdf((point - 2) / 0.5),
            ]
            claims.append(p)
        found = corrected(claims)
        false += any(one[0] < 0.05 for one in found[:2]) or any(one[2] < 0.05 for one in found[2:])
    assert 0.03 <= false / 1500 <= 0.06
