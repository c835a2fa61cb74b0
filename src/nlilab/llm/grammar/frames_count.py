"""Frames that count and compare; their labels are found by trying every small situation."""

import operator
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice, Scene, acts, event, people
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import Event, World
from nlilab.llm.grammar.morphology import NUMBERS, plural, sentence
from nlilab.llm.grammar.speech import clause

# A situation: how many of the people with the trait and without it do the act itself, only what it implies, or neither.
Situation = tuple[int, int, int, int, int, int]
_QUANTIFIERS: dict[str, Callable[[int, int], bool]] = {  # (how many do, of how many); "the" supposes at least two
    "all the": lambda k, n: k == n,
    "each of the": lambda k, n: k == n,
    "most of the": lambda k, n: 2 * k > n,
    "some of the": lambda k, n: k >= 1,
    "at least one of the": lambda k, n: k >= 1,
    "none of the": lambda k, n: k == 0,
    "not all the": lambda k, n: k < n,
    "only some of the": lambda k, n: 0 < k < n,
}

_SINGULAR = ("each of the", "at least one of the")


def _holds(quantifier: str, restricted: bool, weak: bool, situation: Situation) -> bool | None:
    a2, a1, a0, b2, b1, _ = situation
    total = a2 + a1 + a0 if restricted else sum(situation)
    doing = a2 + (0 if restricted else b2) + ((a1 + (0 if restricted else b1)) if weak else 0)
    return _QUANTIFIERS[quantifier](doing, total) if total >= 2 else None


@lru_cache(maxsize=1)
def _situations() -> tuple[Situation, ...]:
    sizes = (0, 1, 2)
    return tuple(
        (a, b, c, d, e, f)
        for a in sizes
        for b in sizes
        for c in sizes
        for d in sizes
        for e in sizes
        for f in sizes
        if a + b + c >= 2 and d + e + f >= 1
    )


Claimed = tuple[str, bool, bool]


@lru_cache(maxsize=64)
def _models(claim: Claimed) -> tuple[Situation, ...]:
    return tuple(s for s in _situations() if _holds(*claim, s))


@lru_cache(maxsize=4096)
def follows(premise: Claimed, hypothesis: Claimed) -> str:
    """The label between two quantified claims (quantifier, only those with the trait, only the weaker act)."""
    found = {_holds(*hypothesis, s) for s in _models(premise)}
    return "entailment" if found == {True} else "contradiction" if found == {False} else "neutral"


def quantified(dice: Dice, domain: Domain) -> Scene:
    """All, most, some or none of a group do something; another group is spoken of beside it."""
    one, two = people(dice, domain, 2, 0)
    first, second, *others = acts(dice, domain, 5)
    tense = dice.pick(("now", "then", "past"))
    trait = dice.pick(("young", "tired", "elderly", "cheerful", "new", "tall"))
    groups = {False: plural(one.noun), True: f"{trait} {plural(one.noun)}"}
    strong = event(dice, domain, replace(one, count=2), first, 0.3)
    weaker, rival = replace(strong, level=1, mods=()), Event(strong.who, others[0])
    claim: Claimed = (dice.pick(list(_QUANTIFIERS)), dice.chance(0.4), dice.chance(0.35))

    def many(quantifier: str, restricted: bool, deed: Event) -> str:
        single = quantifier in _SINGULAR
        words = clause(replace(deed, who=one) if single else deed, tense, who=" ")
        words = re.sub(r"\bsome(thing)?\b", r"any\1", words) if quantifier == "none of the" else words
        return f"{quantifier} {groups[restricted]} {words}"

    said = many(claim[0], claim[1], weaker if claim[2] else strong)
    ready = []
    for quantifier in _QUANTIFIERS:
        for restricted in (False, True):
            for weak in (False, True):
                text = many(quantifier, restricted, weaker if weak else strong)
                ready.append((text, follows(claim, (quantifier, restricted, weak)), "quantifier"))
    ready += [
        (many(q, False, rival), "neutral", "quantifier")
        for q in dice.some(list(_QUANTIFIERS), 2)
        if q != "all the" and tense == "past"
    ]
    beside = event(dice, domain, two, second, 0.3)
    text, facts = said, tuple[Event, ...]()
    if dice.chance(0.5):
        facts = (beside,)
        also = clause(beside, tense)
        text = dice.pick((f"{said}, and {also}", f"{sentence(also)} {sentence(said)}", f"{said} while {also}"))
    world = World(facts, moment=tense != "past")
    chosen = tuple(r for r in ready if r[0] != said)
    return Scene(
        text, (world,), facts, tense, "quantifier", ready=chosen, cast=(two,) if facts else (), acts=tuple(others)
    )


_COUNTS: dict[str, Callable[[int, int], bool]] = {
    "exactly": operator.eq,
    "at least": operator.ge,
    "at most": operator.le,
    "more than": operator.gt,
    "fewer than": operator.lt,
}


def _counts(lowest: int, highest: int) -> list[tuple[str, Callable[[int, int], bool], int]]:
    return [(f"{word} {NUMBERS[n]}", test, n) for n in range(lowest, highest + 1) for word, test in _COUNTS.items()]


def numeral(dice: Dice, domain: Domain) -> Scene:
    """So many of a kind do something, exactly or within bounds."""
    one, two = people(dice, domain, 2, 0)
    first, second, *others = acts(dice, domain, 5)
    tense = dice.pick(("now", "then", "past"))
    strong = event(dice, domain, replace(one, count=2), first, 0.4)
    group, deed = plural(one.noun), clause(strong, tense, who=" ")
    told, meant, number = dice.pick(_counts(3, 6))
    possible = [k for k in range(1, 12) if meant(k, number)]
    ready = []
    for said, truth, other in _counts(2, 8):
        values = {truth(k, other) for k in possible}
        name = "neutral" if len(values) == 2 else "entailment" if values == {True} else "contradiction"
        ready.append((f"{said} {group} {deed}", name, "numeral"))
    plain = [r for r in ready if r[1] != "contradiction"]
    text, facts = f"{told} {group} {deed}", tuple[Event, ...]()
    wanted = [
        r
        for name in ("entailment", "neutral", "contradiction")
        for r in dice.some([r for r in ready if r[1] == name], 6)
    ]
    if dice.chance(0.5) or len({r[1] for r in plain}) < 2:
        facts = (event(dice, domain, two, second, 0.3),)
        also = clause(facts[0], tense)
        text = dice.pick((f"{text}, and {also}", f"{sentence(also)} {sentence(text)}", f"{text} while {also}"))
    world = World(facts, moment=tense != "past")
    chosen = tuple(r for r in wanted if r[0] != f"{told} {group} {deed}")
    return Scene(
        text, (world,), facts, tense, "numeral", ready=chosen, cast=(two,) if facts else (), acts=tuple(others)
    )


_SCALES = (
    ("older", "younger", "old"),
    ("taller", "shorter", "tall"),
    ("faster", "slower", "fast"),
    ("richer", "poorer", "rich"),
    ("happier", "sadder", "happy"),
    ("stronger", "weaker", "strong"),
)


def comparison(dice: Dice, domain: Domain) -> Scene:
    """Three persons in a row on a scale."""
    one, two, three = people(dice, domain, 3, 0.3)
    more, less, plain = dice.pick(_SCALES)
    tense = dice.pick(("is", "is", "was"))
    a, b, c = (p.noun if p.named else f"the {p.noun}" for p in (one, two, three))
    text = dice.pick(
        (
            f"{a} {tense} {more} than {b}, who {tense} {more} than {c}",
            f"{a} {tense} {more} than {b}. {sentence(f'{c} {tense} {less} than {b}')}",
            f"{b} {tense} {less} than {a} but {more} than {c}",
        )
    )
    other = dice.pick([s for s in _SCALES if s[0] != more])
    ready: list[tuple[str, str, str]] = []
    row = (a, b, c)
    for i, high in enumerate(row):
        for j, low in enumerate(row):
            if i != j:
                right = i < j
                ready.append(
                    (f"{high} {tense} {more} than {low}", "entailment" if right else "contradiction", "comparison")
                )
                ready.append(
                    (f"{high} {tense} {less} than {low}", "contradiction" if right else "entailment", "comparison")
                )
                ready.append((f"{high} {tense} {other[0]} than {low}", "neutral", "comparison"))
                ready.append((f"{high} {tense} {other[1]} than {low}", "neutral", "comparison"))
                ready.append(
                    (
                        f"{high} {tense} not as {plain} as {low}",
                        "contradiction" if right else "entailment",
                        "comparison",
                    )
                )
                ready.append(
                    (f"{high} {tense} much {more} than {low}", "neutral" if right else "contradiction", "comparison")
                )
        ready.append((f"{high} {tense} very {plain}", "neutral", "comparison"))
        ready.append((f"nobody {tense} {more} than {high}", "neutral" if i == 0 else "contradiction", "comparison"))
    return Scene(text, (World(),), (), "now" if tense == "is" else "then", "comparison", ready=tuple(ready))
