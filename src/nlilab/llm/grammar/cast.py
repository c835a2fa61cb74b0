"""Drawing the persons, acts and modifiers of a scene from a domain, reproducibly."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from nlilab.llm.grammar.lexicon import Act, Domain, lexicon
from nlilab.llm.grammar.meaning import SCENE, Claim, Event, Who, World

T = TypeVar("T")
COMMON = 12  # acts at the end of every domain's list that all domains share


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, on every machine."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:7]) / 2**56


class Dice:
    """Choices that depend on the seed alone (only `random()` of the generator is promised to stay the same)."""

    def __init__(self, *seed: object) -> None:
        self._random = random.Random(int(fraction(*seed) * 2**53))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._random.random() * len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """Distinct options in random order, at most `count`."""
        rest = list(options)
        found: list[T] = []
        while rest and len(found) < count:
            found.append(rest.pop(int(self._random.random() * len(rest))))
        return found


@dataclass(frozen=True)
class Scene:
    """A premise, what it means, and what hypotheses about it are built from."""

    text: str
    worlds: tuple[World, ...]
    events: tuple[Event, ...]
    tense: str
    phenomenon: str
    article: str = "the"
    ready: tuple[tuple[str, str, str], ...] = ()  # hypotheses the frame itself knows: (text, label, phenomenon)
    claims: tuple[tuple[Claim, str], ...] = ()  # claims the frame suggests, with their phenomenon
    cast: tuple[Who, ...] = ()  # persons a hypothesis may speak of
    acts: tuple[Act, ...] = ()  # acts a hypothesis may speak of
    simple: bool = False  # one thing and no more: hypotheses about it are seldom denied and never joined


def person(domain: Domain, noun: str, count: int = 1) -> Who:
    """The person of this noun with what it falls under."""
    above = domain.people.get(noun) or lexicon().everyone[noun]
    return Who(noun, count, above=tuple(dict.fromkeys([above, "person", *(["someone"] if count == 1 else [])])))


def people(dice: Dice, domain: Domain, count: int, names: float = 0.15) -> list[Who]:
    """Distinct persons: roles of the domain, now and then a name."""
    nouns = dice.some(list(domain.people), count)
    called = dice.some(lexicon().names, count)
    return [
        Who(name, named=True, above=("someone",)) if dice.chance(names) else person(domain, noun)
        for noun, name in zip(nouns, called, strict=True)
    ]


def acts(dice: Dice, domain: Domain, count: int) -> list[Act]:
    """Distinct acts without a second person; those of the domain more often than common ones."""
    common = dice.some(domain.acts[-COMMON:], count)
    return [common[i] if dice.chance(0.25) else act for i, act in enumerate(dice.some(domain.acts[:-COMMON], count))]


def place(domain: Domain, where: str) -> list[tuple[str, str]]:
    """The place and what it implies."""
    return [("place", where), ("zone", domain.places[where])]


def modifier(dice: Dice, domain: Domain, kind: str) -> list[tuple[str, str]]:
    """One modifier of this kind."""
    if kind == "place":
        return place(domain, dice.pick(list(domain.places)))
    return [(kind, dice.pick(dice.pick(lexicon().modifiers[kind])))]


def event(dice: Dice, domain: Domain, who: Who, act: Act, mods: float = 0.5) -> Event:
    """The person doing the act, with an adjective and modifiers at these odds."""
    found: list[tuple[str, str]] = []
    if act.contrast and dice.chance(mods):
        found.append(("adj", dice.pick(act.contrast)))
    for kind, odds in (("place", 1.2), ("time", 0.4), ("manner", 0.4), ("company", 0.25), ("purpose", 0.2)):
        if dice.chance(mods * odds) and len(found) < 3 and not (kind == "manner" and act.kind in ("!", "~")):
            found += modifier(dice, domain, kind)
    return Event(who, act, tuple(sorted(found)))


def light(happening: Event) -> Event:
    """The event with at most one modifier, so that a denial can only mean one thing."""
    kept = dict(happening.mods[:1])
    return replace(
        happening, mods=tuple(m for m in happening.mods if m[0] in kept or (m[0] == "zone" and "place" in kept))
    )


def pair_event(dice: Dice, domain: Domain, who: Who, whom: Who, mods: float = 0.3) -> Event:
    """One person doing something to another."""
    found = modifier(dice, domain, dice.pick(["place", "time"])) if dice.chance(mods) else []
    return Event(who, dice.pick(domain.pairs), tuple(sorted(found)), whom=whom)


def trait(dice: Dice, who: Who, kind: str) -> Event:
    """A lasting property of a person."""
    return Event(who, None, ((kind, dice.pick(dice.pick(lexicon().attributes[kind]))),))


def setting(dice: Dice) -> Event:
    """A circumstance of the whole scene."""
    return Event(SCENE, None, (("setting", dice.pick(dice.pick(lexicon().settings))),))


def voiced(dice: Dice, happening: Event) -> Event:
    """The same event in one of its wordings, sometimes passive."""
    if happening.act is None:
        return happening
    ways = 1 + len(happening.act.same) + (len(happening.act.converse) if happening.whom else 0)
    wording = int(fraction(happening.act.phrase, dice.chance(0.5)) * ways) if dice.chance(0.4) else 0
    passive = wording == 0 and happening.act.object() is not None and dice.chance(0.12)
    return replace(happening, wording=wording, passive=passive)
