"""The report's sentences: verdicts, what hardening wins back, how far to believe a judge, what analyses find."""

from collections.abc import Mapping, Sequence
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.numbers import confidence_words, decimals, listed, p_value, percent, plain, points, three, whole
from nlilab.report.records import BETTER, INCONCLUSIVE, VERDICTS, WORSE, Attack, Pair, Stand, between, plainly
from nlilab.report.sets import DataSet
from nlilab.report.tables import Said, estimate

LISTED = 3  # suites whose differences a sentence can hold, with their intervals
NEAR = 0.15  # a judge that is better than guessing by less than this is near chance
GUESSED = 0.1  # a hypothesis alone that is right so much more often than the most frequent label gives it away


def counted(count: int, what: str) -> str:
    """`1 model`, `2 models`."""
    return f"{whole(count)} {what}{'' if count == 1 else 's'}"


def lead(facts: Facts) -> str:
    """What was compared, in one sentence."""
    run, tasks = facts.run, list(facts.tasks)
    each = ", each model on those that it reads" if len(facts.alike()) > 1 else ""
    return (
        f"{counted(len(run.models), 'model')}, each trained with {counted(len(run.seeds), 'seed')}, judged on "
        f"{counted(len(run.suites), 'suite')} of the task{'s' if len(tasks) > 1 else ''} {listed(tasks)}{each}."
    )


def sentence(pairs: Sequence[Pair], confidence: float, suites: int) -> str:
    """One sentence for two models, over the suites that both read; with many suites it counts instead of listing.

    `suites` is how many the run has.
    """
    parts: list[str] = []
    for name, verdict in VERDICTS.items():
        if group := [pair for pair in pairs if pair.verdict == name]:
            few = len(pairs) <= LISTED
            where = (
                ", ".join(_clause(pair, confidence) for pair in group) if few else _counted(group, len(pairs), suites)
            )
            lead_ = verdict.later if parts else verdict.first
            parts.append(f"{lead_.format(pairs[0].baseline)} {where}")
    unequal = list(pairs[0].unequal.values())
    return f"{pairs[0].model} {'; '.join(parts)}.{f' Unequal {listed(unequal)}.' if unequal else ''}"


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
    if pair.reason.startswith(("overall", "too few", "all rows")):
        return pair.reason
    if abs(pair.difference) < pair.detectable:
        return f"needs at least {percent(pair.detectable)} to be seen"
    return f"p = {p_value(pair.p_corrected)} after correction"


def tone(pairs: Sequence[Pair]) -> str:
    """The verdict that colours two models' sentence: the one that all conclusive suites share, else inconclusive."""
    found = {pair.verdict for pair in pairs} - {INCONCLUSIVE}
    return found.pop() if len(found) == 1 else INCONCLUSIVE


def won_back(facts: Facts) -> list[Said]:
    """One sentence for each hardened model that was attacked as its base was."""
    out = []
    seeds = len(facts.run.seeds)
    for model, one in facts.hardened.items():
        faced = [attack for attack in facts.attacks if model in attack.stands and attack.stands[model].base]
        # With many attacks only the one that the model was hardened against is said; the tables hold the others.
        own = [attack for attack in faced if attack.recipe == one.recipe]
        said = (own if len(faced) > LISTED else faced) or faced[:LISTED]
        if not said:
            continue
        tainted = any(facts.tainted(model, attack.place) for attack in said)
        clauses = [
            _on_suite(model, [attack for attack in said if attack.suite == suite], facts.confidence)
            for suite in dict.fromkeys(attack.suite for attack in said)
        ]
        single = " One seed: the intervals leave out how trainings vary." if seeds < 2 else ""
        text = f"{model}{' (contaminated)' if tainted else ''} {'; '.join(clauses)}.{single}"
        sure = not tainted and seeds > 1
        out.append(Said(text, _tone([attack.stands[model] for attack in own or said]) if sure else INCONCLUSIVE))
    return out


def _on_suite(model: str, attacks: Sequence[Attack], confidence: float) -> str:
    won: list[str] = []
    nothing: list[str] = []
    for attack in attacks:
        stand = attack.stands[model]
        base = attack.stands[stand.base]
        fall = f"{percent(base.clean.value)} → {percent(base.attacked.value)}"
        back = stand.won_back
        if back is None:
            nothing.append(f"{attack.recipe} on {attack.suite} ({fall}), where the attack took nothing for sure")
            continue
        share, low, high = (percent(value, 0) for value in (back.value, back.low, back.high))
        doubt = ", so nothing for sure" if back.low <= 0 <= back.high else ""
        level, whom = f"{confidence_words(confidence)} interval ", f" from {stand.base} on {attack.suite}"
        if won:  # said once
            level = whom = ""
        won.append(f"{share} % ({level}{low} to {high}{doubt}) of what {attack.recipe} takes{whom} ({fall})")
    said = [f"wins back {listed(won)}"] if won else []
    said += [f"has nothing to win back from {listed(nothing)}"] if nothing else []
    if change := attacks[0].stands[model].change:
        cost = f"{points(change.value)} points of clean accuracy ({plain(change.low)} to {plain(change.high)})"
        return f"{'; '.join(said)}, at {cost}"
    return "; ".join(said)


def _tone(stands: Sequence[Stand]) -> str:
    shares = [stand.won_back for stand in stands]
    if shares and all(share is not None and share.low > 0 for share in shares):
        return BETTER
    return WORSE if shares and all(share is not None and share.high < 0 for share in shares) else INCONCLUSIVE


def against_controls(facts: Facts) -> list[Said]:
    """Under each attack, a sentence for the model hardened against it and each control's, if from the same base."""
    made = facts.hardened.values()
    return [
        said
        for attack in facts.attacks
        for one in made
        for other in made
        if one.recipe == attack.recipe and one.base == other.base
        if facts.control(other.recipe) and not facts.control(one.recipe)
        for said in _against(facts, attack, one.model, other.model)
    ]


def _against(facts: Facts, attack: Attack, model: str, control: str) -> list[Said]:
    pair = between(facts.attacked_pairs, attack.place, model, control)
    if pair is None:
        return []
    so = {
        BETTER: "better: the control does not explain the whole gain",
        WORSE: "worse: training on the control does more",
    }.get(pair.verdict, f"{plainly(pair.verdict)} ({why(pair)}): the control may explain the whole gain")
    text = (
        f"Under {attack.recipe} on {attack.suite}, {model} against the control {control}: "
        f"{points(pair.difference)} points ({confidence_words(facts.confidence)} interval {plain(pair.low)} to "
        f"{plain(pair.high)}), {so}."
    )
    return [Said(text, pair.verdict)]


def judged(facts: Facts) -> list[str]:
    """For each attacked suite, how much the judge's word is worth there."""
    out, judge = [], facts.attack.judge
    for attack in {attack.suite: attack for attack in reversed(facts.attacks)}.values():
        seen = facts.outcome(attack, next(iter(attack.stands)), "kept_originals")
        first = next(iter(facts.outcomes[attack.place]["scores"]["before"].values()))
        chance = 1 / len(next(iter(first.values()))["classes"])  # the attacked rows are balanced
        if seen is None:
            out.append(f"{attack.suite}: no judge read these rows; {judge} is not among attack.readers.")
            continue
        near = seen < chance + NEAR
        worth = "near chance, so this judge says little" if near else "no more can be seen by this judge"
        out.append(
            f"{attack.suite}: the judge {judge} finds the label in {percent(seen)} % of the untouched rows, where "
            f"guessing finds {percent(chance)} %: {worth}."
        )
    return out[::-1]


def of_set(one: DataSet) -> list[Said]:
    """What matters most about a set, in a sentence each."""
    return [*_alone(one), *_leaks(one), *_difficulty(one), *_gates(one)]


def _alone(one: DataSet) -> list[Said]:
    found = one.artefacts()
    if not found:
        return []
    hypothesis, most = found["hypothesis_only"], found["majority"]
    over = hypothesis["value"] - most
    shown = (
        f"At {whole(found['rows'])} rows the hypothesis alone tells a linear model {estimate(hypothesis)} % of the "
        f"labels; always giving the most frequent label gets {percent(most)} % right"
    )
    if hypothesis["low"] > most + GUESSED:
        return [Said(f"{shown}. Much of the label can be told without the premise.", WORSE)]
    if hypothesis["low"] > most:
        return [Said(f"{shown}: {points(over)} points, so the hypotheses give some of it away.", INCONCLUSIVE)]
    return [Said(f"{shown}: the hypothesis gives nothing away that this model can see.", BETTER)]


def _leaks(one: DataSet) -> list[Said]:
    found = one.analysis.get("leakage")
    if not found:
        return []
    count, near = one.leaks(), sum(suite["embedding"] for suite in found.values())
    read = f" Near one in meaning: {whole(near)}; see the pairs." if near else ""
    if not count:
        return [Said(f"No row stands in a suite, by words, 8-grams or nearly so.{read}", BETTER)]
    return [Said(f"Rows that stand, or nearly stand, in a suite, counted for each: {whole(count)}.{read}", WORSE)]


def _difficulty(one: DataSet) -> list[Said]:
    found = one.difficulty
    if not found:
        return []
    usable, alone = found["v_information"]["pair"], found["v_information"]["hypothesis"]
    nothing = ", so nothing for sure" if usable["low"] <= 0 else ""
    text = (
        f"Of the label's {three(found['entropy'])} bits a small model can use {estimate(usable, three)}"
        f"{nothing}, learnt from {whole(found['rows'])} rows; from the hypotheses alone {estimate(alone, three)}. "
        f"{percent(found['negative'])} % of the rows have a PVI below 0, {whole(found['noise']['flagged'])} are "
        "flagged as label noise."
    )
    return [Said(text, INCONCLUSIVE)]


def _gates(one: DataSet) -> list[Said]:
    failed = [gate_words(gate) for gate in one.gates if not gate["passed"]]
    return [Said(f"Gate {name}: {value} is over the limit {limit}.", WORSE) for name, value, limit in failed]


def gate_words(gate: Mapping[str, Any]) -> tuple[str, str, str]:
    """A gate's name, value and limit: shares in percent, or counts of rows."""
    unit = {"leakage": "rows", "balance": "points"}.get(gate["gate"], "%")
    said = whole if unit == "rows" else percent
    value, limit = ("" if gate[key] is None else f"{said(gate[key])} {unit}" for key in ("value", "limit"))
    return str(gate["gate"]).replace("_", " "), value or "–", limit or "none"


def judged_by_people(found: Mapping[str, Any]) -> list[str]:
    """Sentences: who graded how much, how far each two agree, and what correction changed."""
    graders = {name: one["graded"] for name, one in found["graders"].items() if one["graded"]}
    if not graders:
        return [
            "Nobody has graded any rows yet, so nothing here rests on what people say of them. `nlilab grade` shows a "
            "sample of them on a local page, blind to who wrote them; two or more people should."
        ]
    names = listed([f"{name} ({whole(count)})" for name, count in graders.items()])
    out = [f"Of {whole(found['rows'])} sampled rows, graded by {names}."]
    for pair in found["pairs"]:
        grade = pair["grade"]
        kappa, weighted, spearman, label = (
            estimate(value, decimals)
            for value in (grade["kappa"], grade["weighted_kappa"], grade["spearman"], pair["label"]["kappa"])
        )
        out.append(
            f"{listed(pair['graders'])} give the same grade to {estimate(grade['raw']).text} % of the "
            f"{whole(pair['rows'])} rows that both graded: Cohen's kappa {kappa}, weighted {weighted}, Spearman "
            f"{spearman}; on the right label: kappa {label}."
        )
    if len(graders) < 2:
        out.append("One person's word: how far another would agree is not known.")
    return out
