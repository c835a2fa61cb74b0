"""Sentences on hardening: what it wins back, what it costs, and whether a control explains it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nlilab.report.attacks import Attack, Attacking, Bounds, Hardened, Stand
from nlilab.report.pairs import BETTER, INCONCLUSIVE, WORSE, between
from nlilab.report.words import LISTED, confidence_words, listed, percent, plain, points, why


@dataclass(frozen=True)
class Finding:
    """A sentence, and the verdict that colours it."""

    text: str
    tone: str


def findings(attacking: Attacking, confidence: float, seeds: int) -> list[Finding]:
    """A sentence for each hardened model that was attacked, then one for each control of the recipe it was made by."""
    return [
        *won_back(attacking.hardened.values(), attacking.attacks, attacking.contaminated, confidence, seeds),
        *(finding for attack in attacking.attacks for finding in _against_controls(attacking, attack, confidence)),
    ]


def won_back(
    hardened: Collection[Hardened],
    attacks: Sequence[Attack],
    contaminated: Collection[tuple[str, str]],
    confidence: float,
    seeds: int,
) -> list[Finding]:
    """One finding for each hardened model that was attacked as its base was."""
    out = []
    for one in hardened:
        faced = [attack for attack in attacks if one.model in attack.stands and attack.stands[one.model].base]
        # With many attacks only the one that the model was hardened against is said; the tables hold the others.
        said = [attack for attack in faced if attack.recipe == one.recipe] if len(faced) > LISTED else faced
        said = said or faced[:LISTED]
        if not said:
            continue
        tainted = any((one.model, attack.place) in contaminated for attack in said)
        clauses = [
            _on_suite(one, [attack for attack in said if attack.suite == suite], confidence)
            for suite in dict.fromkeys(attack.suite for attack in said)
        ]
        single = " One seed: the intervals leave out how trainings vary." if seeds < 2 else ""
        text = f"{one.model}{' (contaminated)' if tainted else ''} {'; '.join(clauses)}.{single}"
        own = [attack for attack in said if attack.recipe == one.recipe]
        stands = [attack.stands[one.model] for attack in own or said]
        out.append(Finding(text, INCONCLUSIVE if tainted or seeds < 2 else _tone(stands)))
    return out


def change(cost: Bounds) -> Bounds:
    """A cost in accuracy as the change that it is."""
    return Bounds(-cost.value, -cost.high, -cost.low)


def whole_percent(share: float) -> str:
    """A share as a whole percentage."""
    text = f"{abs(100 * share):.0f}"
    return f"−{text}" if share < 0 and text != "0" else text


def _on_suite(one: Hardened, attacks: Sequence[Attack], confidence: float) -> str:
    won: list[str] = []
    nothing: list[str] = []
    for attack in attacks:
        stand, base = attack.stands[one.model], attack.stands[one.base]
        fall = f"{percent(base.clean.value)} → {percent(base.attacked.value)}"
        if stand.won_back is None:
            nothing.append(f"{attack.recipe} on {attack.suite} ({fall}), where the attack took nothing for sure")
        else:
            interval = f"{whole_percent(stand.won_back.low)} to {whole_percent(stand.won_back.high)}"
            if stand.won_back.low <= 0 <= stand.won_back.high:
                interval += ", so nothing for sure"
            level, whom = f"{confidence_words(confidence)} interval ", f" from {one.base} on {attack.suite}"
            if won:  # said once
                level = whom = ""
            share = f"{whole_percent(stand.won_back.value)} % ({level}{interval})"
            won.append(f"{share} of what {attack.recipe} takes{whom} ({fall})")
    said = [f"wins back {listed(won)}"] if won else []
    said += [f"has nothing to win back from {listed(nothing)}"] if nothing else []
    return "; ".join(said) + _cost(attacks[0].stands[one.model])


def _cost(stand: Stand) -> str:
    if stand.clean_cost is None:
        return ""
    found = change(stand.clean_cost)
    return f", at {points(found.value)} points of clean accuracy ({plain(found.low)} to {plain(found.high)})"


def _tone(stands: Sequence[Stand]) -> str:
    shares = [stand.won_back for stand in stands]
    if shares and all(share is not None and share.low > 0 for share in shares):
        return BETTER
    return WORSE if shares and all(share is not None and share.high < 0 for share in shares) else INCONCLUSIVE


def _against_controls(attacking: Attacking, attack: Attack, confidence: float) -> list[Finding]:
    """A recipe's hardened model against that of a control, both under the recipe's own attack."""
    out = []
    for one in attacking.hardened.values():
        if one.recipe != attack.recipe or attacking.control(one.recipe):
            continue
        for other in attacking.hardened.values():
            if other.base == one.base and attacking.control(other.recipe):
                out += _against(attacking, attack, one.model, other.model, confidence)
    return out


def _against(attacking: Attacking, attack: Attack, model: str, control: str, confidence: float) -> list[Finding]:
    pair = between(attacking.pairs, attack.place, model, control)
    if pair is None:
        return []
    so = {
        BETTER: "better: the control does not explain the whole gain",
        WORSE: "worse: training on the control does more",
        INCONCLUSIVE: f"inconclusive ({why(pair)}): the control may explain the whole gain",
    }[pair.verdict]
    text = (
        f"Under {attack.recipe} on {attack.suite}, {model} against the control {control}: "
        f"{points(pair.difference)} points ({confidence_words(confidence)} interval {plain(pair.low)} to "
        f"{plain(pair.high)}), {so}."
    )
    return [Finding(text, pair.verdict)]
