"""How the report says things: numbers, verdict sentences, and what the results cannot show."""

from collections.abc import Sequence

from nlilab.report.facts import BETTER, INCONCLUSIVE, WORSE, Facts, Pair

LISTED = 3  # suites whose differences a sentence can hold, with their intervals

MARKS = {BETTER: "▲", WORSE: "▼", INCONCLUSIVE: "○"}


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, without the sign %; an en dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


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


def sentence(pairs: Sequence[Pair], confidence: float) -> str:
    """One sentence for two models, over all suites; with many suites it counts instead of listing."""
    baseline = pairs[0].baseline
    groups = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in MARKS}
    said = {
        verdict: _listed(group, confidence) if len(pairs) <= LISTED else _counted(group, len(pairs))
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


def _counted(pairs: Sequence[Pair], suites: int) -> str:
    """Up to three suites by name; more by their number, with the range of their differences."""
    if len(pairs) <= LISTED:
        return ", ".join(f"{pair.suite} ({points(pair.difference)})" for pair in pairs)
    found = sorted(pair.difference for pair in pairs)
    count = f"all {suites}" if len(pairs) == suites else f"{len(pairs)} of {suites}"
    return f"{count} suites ({points(found[0])} to {points(found[-1])} points)"


def _clause(pair: Pair, confidence: float) -> str:
    if pair.verdict != INCONCLUSIVE:
        interval = f"{confidence_words(confidence)} interval {plain(pair.low)} to {plain(pair.high)}"
        return f"{pair.suite} ({points(pair.difference)} points, {interval})"
    if pair.seeds < 2:
        why = "one seed"
    elif pair.reason.startswith("overall"):
        why = pair.reason
    elif abs(pair.difference) < pair.detectable:
        why = f"needs at least {percent(pair.detectable)} to be seen"
    else:
        why = f"p = {p_value(pair.p_holm)} after Holm"
    return f"{pair.suite} ({points(pair.difference)}, {why})"


def tone(pairs: Sequence[Pair]) -> str:
    """The verdict that colours two models' sentence: the one that all conclusive suites share, else inconclusive."""
    found = {pair.verdict for pair in pairs} - {INCONCLUSIVE}
    return found.pop() if len(found) == 1 else INCONCLUSIVE


def limits(facts: Facts) -> list[str]:
    """What this run cannot show, said of this run."""
    run = facts.run
    out = [_seeds(len(run.seeds))]
    base = facts.params.get("train", {}).get("model", "the model of params.yaml")
    out.append(
        f"Every model starts from {base}. What helps or harms a model of this size need not do so for a larger one."
    )
    grammars = [name for name in run.generators if name.startswith("grammar")]
    if grammars:
        only = "; nothing here says how data from a language model would do" if grammars == run.generators else ""
        out.append(f"{_list(grammars)}: a hand-written English grammar, not a language model{only}.")
    templated = [suite for suite in run.suites if facts.cells(suite)]
    if templated:
        out.append(
            f"{_list(templated)}: built from templates, so it measures those templates; its rows resemble each other, "
            "which the bootstrap honours by drawing whole templates."
        )
    small = [suite for suite in run.suites if facts.suites[suite]["rows"] < 300]
    if small:
        out.append(f"{_list(small)}: fewer than 300 rows, so only large differences can be seen.")
    if any(not pair.equal_steps for pair in facts.pairs):
        steps = ", ".join(f"{model} {steps}" for model, steps in facts.steps.items())
        out.append(
            f"Optimiser steps differ ({steps}): where they do, more training may explain what the data seems to."
        )
    warned = [suite for suite in run.suites if facts.scores[suite]["guard"]["warned"]]
    if warned:
        out.append(f"{_list(warned)}: the label-map guard warned; see the suites below before reading its figures.")
    cut = sum(seed["truncated"] for seeds in facts.training.values() for seed in seeds.values())
    if cut:
        out.append(f"{whole(cut)} training pairs, over all models and seeds, were cut at the token limit.")
    if facts.pairs:
        out.append(
            "Inconclusive does not mean equal: a true difference below the least detectable one would look the same. "
            "Intervals are each at their own level; only the verdicts are corrected for the number of comparisons."
        )
    return out


def _seeds(count: int) -> str:
    if count == 1:
        return "One training seed: nothing is known of how much a second training would differ, so no verdict is given."
    extra = " With so few, how much trainings vary is itself poorly known." if count < 5 else ""
    return f"{count} training seeds a model.{extra}"


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
