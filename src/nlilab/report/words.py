"""The report's findings: verdicts, what hardening wins back, how far to believe a judge, what analyses find."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.numbers import confidence_words, decimals, listed, p_value, percent, plain, points, whole
from nlilab.report.records import BETTER, INCONCLUSIVE, VERDICTS, WORSE, Attack, Pair, Stand, between, grouped
from nlilab.report.sets import DataSet
from nlilab.report.tables import Said, estimate
from nlilab.report.texts import tell

LISTED = 3  # suites whose differences a sentence can hold, with their intervals
NEAR = 0.15  # a judge that is better than guessing by less than this is near chance
GUESSED = 0.1  # a hypothesis alone that is right so much more often than the most frequent label gives it away


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
            lead = verdict.later if parts else verdict.first
            parts.append(f"{lead.format(pairs[0].baseline)} {where}")
    unequal = list(pairs[0].unequal.values())
    return f"{pairs[0].model} {'; '.join(parts)}.{f' Unequal {listed(unequal)}.' if unequal else ''}"


def _counted(pairs: Sequence[Pair], shared: int, suites: int) -> str:
    """Up to three suites by name; more by their number of those that both read, with the range of their differences."""
    if len(pairs) <= LISTED:
        notes = [f"{', contaminated' if pair.contaminated else ''}{_biased(pair)}" for pair in pairs]
        return ", ".join(f"{p.suite} ({points(p.difference)}{note})" for p, note in zip(pairs, notes, strict=True))
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
    return [said for model in facts.hardened for said in _won_back(facts, model)]


def _won_back(facts: Facts, model: str) -> Iterator[Said]:
    faced = [attack for attack in facts.attacks if model in attack.stands and attack.stands[model].base]
    # With many attacks only the one that the model was hardened against is said; the tables hold the others.
    own = [attack for attack in faced if attack.recipe == facts.hardened[model].recipe]
    if said := (own if len(faced) > LISTED else faced) or faced[:LISTED]:
        tainted = any(facts.tainted(model, attack.place) for attack in said)
        clauses = [_on_suite(model, held, facts.level) for held in grouped(said, lambda attack: attack.suite).values()]
        single = len(facts.run.seeds) < 2
        text = f"{model}{' (contaminated)' if tainted else ''} {'; '.join(clauses)}."
        text += " One seed: the intervals leave out how trainings vary." if single else ""
        unsure = tainted or single
        yield Said(text, INCONCLUSIVE if unsure else _tone([attack.stands[model] for attack in own or said]))


def _on_suite(model: str, attacks: Sequence[Attack], level: str) -> str:
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
        # Which interval it is and whom it was taken from is said once.
        which, whom = ("", "") if won else (f"{level} ", f" from {stand.base} on {attack.suite}")
        won.append(f"{share} % ({which}{low} to {high}{doubt}) of what {attack.recipe} takes{whom} ({fall})")
    said = [f"wins back {listed(won)}"] if won else []
    said += [f"has nothing to win back from {listed(nothing)}"] if nothing else []
    change = attacks[0].stands[model].change
    cost = change and f"{points(change.value)} points of clean accuracy ({plain(change.low)} to {plain(change.high)})"
    return f"{'; '.join(said)}{f', at {cost}' if cost else ''}"


def _tone(stands: Sequence[Stand]) -> str:
    shares = [stand.won_back for stand in stands]
    if all(share is not None and share.low > 0 for share in shares):
        return BETTER
    return WORSE if all(share is not None and share.high < 0 for share in shares) else INCONCLUSIVE


def against_controls(facts: Facts) -> list[Said]:
    """Under each attack, a sentence for the model hardened against it and each control's, if from the same base."""
    made = facts.hardened.values()
    return [
        Said(
            tell("against a control", facts, attack=attack, pair=pair, why=why(pair)),
            pair.verdict,
        )
        for attack in facts.attacks
        for one in made
        for other in made
        if one.recipe == attack.recipe and one.base == other.base
        if facts.control(other.recipe) and not facts.control(one.recipe)
        if (pair := between(facts.attacked_pairs, attack.place, one.model, other.model))
    ]


def judged(facts: Facts) -> list[str]:
    """For each attacked suite, how much the judge's word is worth there."""
    out = []
    for attack in grouped(facts.attacks, lambda attack: attack.suite).values():
        seen = facts.outcome(attack[0], next(iter(attack[0].stands)), "kept_originals")
        first = next(iter(facts.outcomes[attack[0].place]["scores"]["before"].values()))
        chance = 1 / len(next(iter(first.values()))["classes"])  # the attacked rows are balanced
        near = seen is not None and seen < chance + NEAR
        out.append(tell("the judge's worth", facts, suite=attack[0].suite, seen=seen, chance=chance, near=near))
    return out


def of_set(one: DataSet) -> list[Said]:
    """What matters most about a set, in a sentence each."""
    found = one.artefacts()
    out = []
    if found:
        hypothesis, most = found["hypothesis_only"], found["majority"]
        tone_ = WORSE if hypothesis["low"] > most + GUESSED else INCONCLUSIVE if hypothesis["low"] > most else BETTER
        out.append(Said(tell("a set's hypotheses", found=found, tone=tone_), tone_))
    if leakage := one.found("leakage"):
        count, near = one.leaks(), sum(suite["embedding"] for suite in leakage.values())
        out.append(Said(tell("a set's leaks", count=count, near=near), WORSE if count else BETTER))
    if one.difficulty:
        out.append(Said(tell("a set's difficulty", found=one.difficulty), INCONCLUSIVE))
    failed = [gate_words(gate) for gate in one.gates if not gate["passed"]]
    return out + [Said(f"Gate {name}: {value} is over the limit {limit}.", WORSE) for name, value, limit in failed]


def gate_words(gate: Mapping[str, Any]) -> tuple[str, str, str]:
    """A gate's name, value and limit: shares in percent, or counts of rows."""
    unit = {"leakage": "rows", "balance": "points"}.get(gate["gate"], "%")
    said = whole if unit == "rows" else percent
    value, limit = ("" if gate[key] is None else f"{said(gate[key])} {unit}" for key in ("value", "limit"))
    return str(gate["gate"]).replace("_", " "), value or "–", limit or "none"


def judged_by_people(found: Mapping[str, Any]) -> list[str]:
    """Sentences: who graded how much, how far each two agree."""
    graders = {name: one["graded"] for name, one in found["graders"].items() if one["graded"]}
    if not graders:
        return [tell("nobody graded")]
    out = [tell("graders", rows=found["rows"], names=[f"{name} ({whole(count)})" for name, count in graders.items()])]
    for pair in found["pairs"]:
        kappas = {**pair["grade"], "label": pair["label"]["kappa"]}
        out.append(tell("two graders", pair=pair, said={k: estimate(v, decimals) for k, v in kappas.items()}))
    return out + ([tell("one grader")] if len(graders) < 2 else [])
