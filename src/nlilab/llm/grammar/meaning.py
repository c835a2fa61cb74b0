"""What a sentence claims, and whether a premise makes a claim true, false or leaves it open.

A premise is a list of possible worlds: an assertion has one, "A or B" has one for each side, "may A" one with and
one without A. A hypothesis is a formula. It is entailed if it is true in every world, contradicted if it is false in
every world, neutral otherwise (Kleene's three values inside a world). A premise and a hypothesis speak of the same
moment and the same persons, as annotators of image captions assume.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from nlilab.llm.grammar.lexicon import Act, lexicon

Mods = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Who:
    """A person or a group; a broad one ("a person") stands for anybody who falls under the noun."""

    noun: str
    count: int = 1
    named: bool = False
    above: tuple[str, ...] = ()
    broad: bool = False


SCENE = Who("scene", named=True)


@dataclass(frozen=True)
class Event:
    """Somebody does an act (no act: is in a state), with modifiers; wording and passive do not change the meaning."""

    who: Who
    act: Act | None
    mods: Mods = ()
    whom: Who | None = None
    level: int = 0  # 0: the act itself; n: the n-th of what it implies
    wording: int = 0
    passive: bool = False


@dataclass(frozen=True)
class Claim:
    """A formula: "is" one event, "not", "and", "or", "before" (two events), "thinks" (holder, event)."""

    op: str
    parts: tuple["Claim", ...] = ()
    events: tuple[Event, ...] = ()
    holder: Who | None = None


@dataclass(frozen=True)
class World:
    """What holds, what does not hold, in which order, and who thinks what."""

    true: tuple[Event, ...] = ()
    false: tuple[Event, ...] = ()
    order: tuple[tuple[Event, Event], ...] = ()
    thoughts: tuple[tuple[Who, Event, bool], ...] = ()
    moment: bool = True  # one moment: nobody does two things at once
    picture: bool = False  # a caption: its subject is the only one of its kind


@lru_cache(maxsize=1)
def _opposites() -> frozenset[frozenset[str]]:
    words = lexicon()
    groups = [g for table in (words.modifiers, words.attributes) for entry in table.values() for g in entry]
    return frozenset(frozenset(g) for g in [*groups, *words.settings] if len(g) == 2)


def opposite(kind: str, one: str, other: str) -> bool:
    """Whether two values of one kind of modifier cannot both hold."""
    if kind in ("adj", "place", "zone"):
        return one != other
    return frozenset((one, other)) in _opposites()


def _is(one: Who | None, other: Who | None) -> bool:
    return one is not None and other is not None and (one.noun, one.count) == (other.noun, other.count)


def _falls_under(one: Who, other: Who) -> bool:
    return _is(one, other) or (other.broad and one.count == other.count and other.noun in one.above)


def _sides(event: Event) -> Iterable[tuple[Who, Who | None]]:
    yield event.who, event.whom
    if event.act is not None and event.act.kind == "&" and event.whom is not None:
        yield event.whom, event.who


def _same_act(fact: Event, claim: Event) -> bool:
    if fact.act is None or claim.act is None:
        return claim.act is None
    return fact.act.phrase == claim.act.phrase and claim.level in (fact.level, claim.level if not fact.level else -1)


def _same_whom(whom: Who | None, claim: Event) -> bool:
    if claim.act is None or claim.whom is None or (claim.level and "@" not in claim.act.weaker[claim.level - 1]):
        return True
    return whom is not None and _falls_under(whom, claim.whom)


def covers(fact: Event, claim: Event) -> bool:
    """Whether the claim is true as soon as the fact is."""
    if not _same_act(fact, claim) or not set(claim.mods) <= set(fact.mods):
        return False
    return any(_falls_under(who, claim.who) and _same_whom(whom, claim) for who, whom in _sides(fact))


def _clash(fact: Event, claim: Event) -> bool:
    have = dict(fact.mods)
    return any(kind in have and opposite(kind, have[kind], value) for kind, value in claim.mods)


def _rival_acts(one: Act, other: Act) -> bool:
    if one.phrase == other.phrase or one.pair or other.pair:
        return False
    return "!" in (one.kind, other.kind) or "~" not in (one.kind, other.kind)


def excludes(fact: Event, claim: Event, world: World) -> bool:
    """Whether the claim is false as soon as the fact is true."""
    meant = _falls_under if world.picture else _is
    if fact.act is None or claim.act is None:
        return meant(fact.who, claim.who) and _clash(fact, claim)
    if fact.act.phrase == claim.act.phrase:
        same = any(meant(who, claim.who) and _same_whom(whom, claim) for who, whom in _sides(fact))
        swapped = _is(fact.who, claim.whom) and _is(fact.whom, claim.who) and world.moment and fact.act.kind == "%"
        return (same and _clash(fact, claim)) or (swapped and not claim.level) or _other_kind(fact, claim, world)
    rivals = not fact.level and not claim.level and _rival_acts(fact.act, claim.act)
    return world.moment and meant(fact.who, claim.who) and rivals


def _other_kind(fact: Event, claim: Event, world: World) -> bool:
    if not world.picture or claim.who.broad or fact.who.named or claim.whom is not None:
        return False
    kinds = lexicon().everyone
    one, other = fact.who, claim.who
    return (one.noun == other.noun and one.count != other.count and min(one.count, other.count) > 1) or (
        one.noun != other.noun and one.noun in kinds and other.noun in kinds and one.count == other.count
    )


def _event_value(world: World, event: Event) -> bool | None:
    if any(covers(fact, event) for fact in world.true):
        return True
    if any(excludes(fact, event, world) for fact in world.true) or any(covers(event, fact) for fact in world.false):
        return False
    return None


def _before_value(world: World, first: Event, second: Event) -> bool | None:
    for early, late in world.order:
        if covers(early, first) and covers(late, second):
            return True
        if covers(early, second) and covers(late, first):
            return False
    return False if False in (_event_value(world, first), _event_value(world, second)) else None


def _thinks_value(world: World, holder: Who, event: Event, positive: bool) -> bool | None:
    for who, content, believed in world.thoughts:
        if _is(who, holder) and covers(content, event) and covers(event, content):
            return believed == positive
    return None


def value(world: World, claim: Claim) -> bool | None:
    """The claim's truth in one world; None: the world does not say."""
    if claim.op == "is":
        return _event_value(world, claim.events[0])
    if claim.op == "before":
        return _before_value(world, *claim.events)
    if claim.op in ("thinks", "doubts"):
        assert claim.holder is not None
        return _thinks_value(world, claim.holder, claim.events[0], claim.op == "thinks")
    values = [value(world, part) for part in claim.parts]
    if claim.op == "not":
        return None if values[0] is None else not values[0]
    decisive = claim.op == "or"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def label(worlds: Iterable[World], claim: Claim) -> str:
    """Entailment, neutral or contradiction."""
    values = {value(world, claim) for world in worlds}
    if values == {True}:
        return "entailment"
    return "contradiction" if values == {False} else "neutral"
