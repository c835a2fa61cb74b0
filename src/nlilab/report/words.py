"""How the report says things: numbers, verdict sentences, and what the results cannot show."""

from collections.abc import Sequence

from nlilab.attack.recipes import NOBODY
from nlilab.report.facts import Facts, base_of
from nlilab.report.pairs import BETTER, INCONCLUSIVE, WORSE, Pair
from nlilab.report.sets.limits import set_limits

LISTED = 3  # suites whose differences a sentence can hold, with their intervals

NEAR = 0.15  # a judge that is better than guessing by less than this is near chance

MARKS = {BETTER: "▲", WORSE: "▼", INCONCLUSIVE: "○"}


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, without the sign %; an en dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def printed(value: float | None) -> str:
    """A published share as a percentage, with as many decimals as documents print."""
    return "–" if value is None else f"{100 * value:.2f}"


def points(value: float) -> str:
    """A difference of shares as signed percentage points with one decimal."""
    text = f"{100 * abs(value):.1f}"
    return f"±{text}" if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def plain(value: float) -> str:
    """A bound of an interval in points: a sign only where it is below zero."""
    return points(value).removeprefix("+").removeprefix("±")


def p_value(value: float) -> str:
    """A p value with three decimals, never zero."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: int) -> str:
    """A count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def confidence_words(confidence: float) -> str:
    """`95 %`, for the name of an interval."""
    return f"{100 * confidence:g} %"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def sentence(pairs: Sequence[Pair], confidence: float, suites: int) -> str:
    """One sentence for two models, over the suites that both read; with many suites it counts instead of listing.

    `suites` is how many the run has.
    """
    baseline = pairs[0].baseline
    groups = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in MARKS}
    said = {
        verdict: _listed(group, confidence) if len(pairs) <= LISTED else _counted(group, len(pairs), suites)
        for verdict, group in groups.items()
    }
    parts = []
    if groups[BETTER]:
        parts.append(f"beats {baseline} on {said[BETTER]}")
    if groups[WORSE]:
        parts.append(f"falls behind{'' if parts else f' {baseline}'} on {said[WORSE]}")
    if groups[INCONCLUSIVE]:
        lead = "is inconclusive" if parts else f"against {baseline}: inconclusive"
        parts.append(f"{lead} on {said[INCONCLUSIVE]}")
    unequal = "" if all(pair.equal_steps for pair in pairs) else " Unequal optimiser steps."
    return f"{pairs[0].model} {'; '.join(parts)}.{unequal}"


def _listed(pairs: Sequence[Pair], confidence: float) -> str:
    return ", ".join(_clause(pair, confidence) for pair in pairs)


def _counted(pairs: Sequence[Pair], shared: int, suites: int) -> str:
    """Up to three suites by name; more by their number of those that both read, with the range of their differences."""
    if len(pairs) <= LISTED:
        return ", ".join(f"{pair.suite} ({points(pair.difference)}{_tainted(pair)}{_biased(pair)})" for pair in pairs)
    found = sorted(pair.difference for pair in pairs)
    count = f"all {shared}" if len(pairs) == shared else f"{len(pairs)} of {shared}"
    tainted = sum(pair.contaminated for pair in pairs)
    note = f", {tainted} contaminated" if tainted else ""
    both = "" if shared == suites else " that both read"
    return f"{count} suites{both} ({points(found[0])} to {points(found[-1])} points{note})"


def _biased(pair: Pair) -> str:
    """A warning beside a verdict that always giving one label could win as well."""
    warned = pair.one_label and pair.verdict != INCONCLUSIVE
    return "; neither is better than one label for every row" if warned else ""


def _tainted(pair: Pair) -> str:
    return ", contaminated" if pair.contaminated else ""


def _clause(pair: Pair, confidence: float) -> str:
    if pair.verdict != INCONCLUSIVE:
        interval = f"{confidence_words(confidence)} interval {plain(pair.low)} to {plain(pair.high)}"
        return f"{pair.suite} ({points(pair.difference)} points, {interval}{_biased(pair)})"
    return f"{pair.suite} ({points(pair.difference)}, {why(pair)})"


def why(pair: Pair) -> str:
    """Why a pair is inconclusive, in a few words."""
    if pair.contaminated:
        return "contaminated"
    if pair.seeds < 2:
        return "one seed"
    if pair.reason.startswith("overall"):
        return pair.reason
    if abs(pair.difference) < pair.detectable:
        return f"needs at least {percent(pair.detectable)} to be seen"
    return f"p = {p_value(pair.p_holm)} after Holm"


def tone(pairs: Sequence[Pair]) -> str:
    """The verdict that colours two models' sentence: the one that all conclusive suites share, else inconclusive."""
    found = {pair.verdict for pair in pairs} - {INCONCLUSIVE}
    return found.pop() if len(found) == 1 else INCONCLUSIVE


def limits(facts: Facts) -> list[str]:
    """What this run cannot show, said of this run."""
    run = facts.run
    out = [_seeds(len(run.seeds))]
    base = base_of(facts.params)
    out.append(
        f"Every model starts from {base}. What helps or harms a model of this size need not do so for a larger one."
    )
    if len(facts.tasks) > 1:
        out.append(
            f"The suites are of {len(facts.tasks)} tasks ({listed(list(facts.tasks))}). A model is judged on those "
            "that it can read, and compared with another on those that both read."
        )
    grammars = [source for source in run.written() if by_grammar(source)]
    if grammars:
        only = "; nothing here says how data from a language model would do" if grammars == run.written() else ""
        out.append(f"{listed(grammars)}: written by a hand-made grammar, not by a language model{only}.")
    templated = [suite for suite in run.suites if facts.cells(suite)]
    if templated:
        out.append(
            f"{listed(templated)}: built from templates, so it measures those templates; its rows resemble each other, "
            "which the bootstrap honours by drawing whole templates."
        )
    small = [suite for suite in run.suites if facts.judged(suite) < 300]
    if small:
        out.append(f"{listed(small)}: fewer than 300 rows (or questions), so only large differences can be seen.")
    if any(not pair.equal_steps for pair in facts.pairs):
        steps = ", ".join(f"{model} {steps}" for model, steps in facts.steps.items())
        out.append(
            f"Optimiser steps differ ({steps}): where they do, more training may explain what the data seems to."
        )
    warned = [suite for suite in run.suites if facts.scores[suite]["guard"]["warned"]]
    if warned:
        out.append(f"{listed(warned)}: the label-map guard warned; see the suites below before reading its figures.")
    cut = sum(seed["truncated"] for seeds in facts.training.values() for seed in seeds.values())
    if cut:
        out.append(f"{whole(cut)} training pairs, over all models and seeds, were cut at the token limit.")
    out += _attack_limits(facts)
    out += set_limits(facts.sets.values())
    if facts.pairs:
        out.append(
            "Inconclusive does not mean equal: a true difference below the least detectable one would look the same. "
            "Intervals are each at their own level; only the verdicts are corrected for the number of comparisons."
        )
    return out


def by_grammar(source: str) -> bool:
    """Whether a source task/generator was written by the embedded grammar, under whatever settings."""
    return source.rpartition("/")[2].startswith("grammar")


def _attack_limits(facts: Facts) -> list[str]:
    found = facts.attacking
    if not found.attacks and not found.hardened:
        return []
    out = [
        "An attack that masks or changes a word may change the true label with it. Whether a label still holds is "
        f"said by a judge ({judge_name(facts)}), which is a model too and errs on untouched rows as well."
    ]
    if any(recipe.get("perturbation") == "mask" for recipe in found.recipes.values()):
        out.append("[MASK] never occurs in natural text: to withstand it need not mean to withstand what people write.")
    if found.contaminated:
        models, suites = (list(dict.fromkeys(names)) for names in zip(*sorted(found.contaminated), strict=True))
        clean = [suite for suite in suites if suite in facts.run.suites]
        out.append(
            f"{listed(models)}: contaminated on {listed(clean)} (attack.protocol: as_published). Hardening used "
            "perturbed rows of the very rows that are reported, so these figures say nothing of new rows and get no "
            "verdict."
        )
    return out


def judge_name(facts: Facts) -> str:
    """Who judges: an arm's models, or a generator for the training rows and an arm's models for the suites."""
    settings = facts.attacking.settings
    if settings.judge_generator == NOBODY:
        return settings.judge
    return f"{settings.judge} for the suites, {settings.judge_generator} for the training rows"


def judged(facts: Facts) -> list[str]:
    """For each attacked suite, how much the judge's word is worth there."""
    found = facts.attacking
    out = []
    for attack in {attack.suite: attack for attack in reversed(found.attacks)}.values():
        seen = found.outcome(attack, next(iter(attack.stands)), "kept_originals")
        chance = 1 / found.labels(attack)
        if seen is None:
            out.append(f"{attack.suite}: no judge read these rows; {found.settings.judge} is not among attack.readers.")
            continue
        worth = (
            "near chance, so this judge says little" if seen < chance + NEAR else "no more can be seen by this judge"
        )
        out.append(
            f"{attack.suite}: the judge {found.settings.judge} finds the label in {percent(seen)} % of the untouched "
            f"rows, where guessing finds {percent(chance)} %: {worth}."
        )
    return out[::-1]


def _seeds(count: int) -> str:
    if count == 1:
        return "One training seed: nothing is known of how much a second training would differ, so no verdict is given."
    extra = " With so few, how much trainings vary is itself poorly known." if count < 5 else ""
    return f"{count} training seeds a model.{extra}"
