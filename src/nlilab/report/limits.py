"""What the results of this run cannot show, said of this run."""

from typing import Any

from nlilab.attack.recipes import NOBODY
from nlilab.report.facts import Facts
from nlilab.report.naming import bases
from nlilab.report.numbers import listed, whole

Limits = list[tuple[Any, str]]  # whether it holds of this run, and what to say

ONE_SEED = "One training seed: nothing is known of how much a second training would differ, so no verdict is given."
SMALL = "What helps or harms a model of this size need not do so for a larger one."
MASK = "[MASK] never occurs in natural text: to withstand it need not mean to withstand what people write."
UNLIKE = (
    "Between models from unlike ones a difference is that of the bases (their size, what they read before, how they "
    "cut words) and of the rows at once; what rows do is seen between models from the same one."
)
MASKLESS = (
    "The victims start from unlike models: one whose tokenizer has no [MASK] loses the word instead, so their figures "
    "under a masking attack are of unlike attacks."
)
LINEAR = (
    "What the hypothesis alone gives away is seen by a linear model of words: a lower bound. A larger model, or more "
    "rows, may find more."
)
LIKENESS = (
    "Likeness in meaning is that of one encoder's sentence vectors. It is lower for texts of many topics, which is not "
    "the same as better ones."
)
GAZETTEER = (
    "Entities are those of a list of names: a name that it lacks is not seen, and a word that is a name elsewhere may "
    "be taken for one. spaCy's models see more, and err differently."
)
DIVERGENCE = (
    "With few mentions two samples of one source already differ: a Jensen-Shannon divergence says something only where "
    "its interval lies above what chance gives."
)
LEAKAGE = (
    "Leakage is found by equal words, shared 8-grams and near-equal word sets, at the thresholds of params.yaml; a "
    "paraphrase in other words passes them. Rows near in meaning are candidates, by one encoder."
)
PVI = (
    "V-information and PVI are those of one small model, trained on this many rows: another model can use more or less "
    "of the same rows. A PVI below 0, a flag of label noise or a place among the hard rows makes a candidate for "
    "rereading; it proves no mislabel."
)
INCONCLUSIVE = (
    "Inconclusive does not mean equal: a true difference below the least detectable one would look the same. "
    "Equivalent means equal within the margin, no more. "
    "Intervals are each at their own level; only the verdicts are corrected for the number of comparisons."
)


def limits(facts: Facts) -> list[str]:
    """What cannot be concluded: from so few seeds, these suites, this judge, these analyses."""
    every = [*_of_runs(facts), *_of_attacks(facts), *_of_sets(facts), (facts.pairs, INCONCLUSIVE)]
    return [text for holds, text in every if holds]


def by_grammar(source: str) -> bool:
    """Whether a source task/generator was written by the embedded grammar, under whatever settings."""
    return source.rpartition("/")[2].startswith("grammar")


def _of_runs(facts: Facts) -> Limits:
    run, count = facts.run, len(facts.run.seeds)
    extra = " With so few, how much trainings vary is itself poorly known." if count < 5 else ""
    grammars = [source for source in run.written() if by_grammar(source)]
    only = "; nothing here says how data from a language model would do" if grammars == run.written() else ""
    templated = [suite for suite in run.suites if facts.cells(suite)]
    small = [suite for suite in run.suites if facts.judged(suite) < 300]
    steps = ", ".join(f"{model} {steps}" for model, steps in facts.steps.items())
    several = len({*facts.bases.values()}) > 1
    warned = [suite for suite in run.suites if facts.scores[suite]["guard"]["warned"]]
    cut = sum(seed["truncated"] for seeds in facts.training.values() for seed in seeds.values())
    return [
        (count > 1, f"{count} training seeds a model.{extra}"),
        (count == 1, ONE_SEED),
        (not several, f"Every model starts from {bases(facts)}. {SMALL}"),
        (several, f"The models start from {bases(facts)}. {UNLIKE}"),
        (
            len(facts.tasks) > 1,
            f"The suites are of {len(facts.tasks)} tasks ({listed(list(facts.tasks))}). A model is judged on those "
            "that it can read, and compared with another on those that both read.",
        ),
        (grammars, f"{listed(grammars)}: written by a hand-made grammar, not by a language model{only}."),
        (
            templated,
            f"{listed(templated)}: built from templates, so it measures those templates; its rows resemble each "
            "other, which the bootstrap honours by drawing whole templates.",
        ),
        (small, f"{listed(small)}: fewer than 300 rows (or questions), so only large differences can be seen."),
        (
            any(not pair.equal_steps for pair in facts.pairs),
            f"Optimiser steps differ ({steps}): where they do, more training may explain what the data seems to.",
        ),
        (warned, f"{listed(warned)}: the label-map guard warned; see the suites below before reading its figures."),
        (cut, f"{whole(cut)} training pairs, over all models and seeds, were cut at the token limit."),
    ]


def _of_attacks(facts: Facts) -> Limits:
    if not facts.attacks and not facts.hardened:
        return []
    judge, writer = facts.attack.judge, facts.attack.judge_generator
    name = judge if writer == NOBODY else f"{judge} for the suites, {writer} for the training rows"
    models, suites = ({pair[n] for pair in facts.contaminated} for n in (0, 1))
    masks = any(recipe.get("perturbation") == "mask" for recipe in facts.recipes.values())
    clean = [suite for suite in sorted(suites) if suite in facts.run.suites]
    return [
        (
            True,
            "An attack that masks or changes a word may change the true label with it. Whether a label still holds is "
            f"said by a judge ({name}), which is a model too and errs on untouched rows as well.",
        ),
        (masks, MASK),
        (masks and len({facts.bases[victim] for victim in facts.attack.victims}) > 1, MASKLESS),
        (
            models,
            f"{listed(sorted(models))}: contaminated on {listed(clean)} (attack.protocol: as_published). Hardening "
            "used perturbed rows of the very rows that are reported, so these figures say nothing of new rows and get "
            "no verdict.",
        ),
    ]


def _of_sets(facts: Facts) -> Limits:
    sets = list(facts.sets.values())
    backends = [one.found("entities", "backend") for one in sets]
    analysed = any(one.analysis for one in sets)
    return [
        (analysed, LINEAR),
        (analysed, LIKENESS),
        (any(backend and backend.startswith("gazetteer") for backend in backends), GAZETTEER),
        (any(one.found("entities", "jsd") for one in sets), DIVERGENCE),
        (any(one.found("leakage") for one in sets), LEAKAGE),
        (any(one.difficulty for one in sets), PVI),
    ]
