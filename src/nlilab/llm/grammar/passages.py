"""Passages of several sentences: what the people of one place were doing at one moment."""

import re
from dataclasses import replace

from nlilab.llm.grammar.cast import Dice, Scene, acts, modifier, pair_event, people, setting, trait, voiced
from nlilab.llm.grammar.kinds import words
from nlilab.llm.grammar.lexicon import Act, Domain
from nlilab.llm.grammar.meaning import Event, Who, World
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.speech import clause

TENSE = "then"
_OPENINGS = (
    "for one minute, a camera filmed {}",
    "the film showed a single moment from {}",
    "the scene was {}, seen at a single moment",
    "a painter had caught one moment from {}",
)
_LINKS = ("meanwhile, ", "at the same time, ", "just then, ", "", "", "")
_JOINTS = (" while ", ", and ")
_SPARE = 5  # acts of nobody in the passage, of which a question may speak
# Done in passing, so that both persons can go on with what they are doing.
_PASSING = re.compile(
    r"(?:thank|praise|warn|phone|interrupt|tease|greet|wave|photograph|applaud|scold|pay|lend|hand|show|sell) "
)


def full_names(dice: Dice, count: int) -> list[Who]:
    """Persons with a first and a family name, no part of which occurs twice."""
    names = words("names")
    pairs = zip(dice.some(names["first"], count), dice.some(names["family"], count), strict=True)
    return [Who(f"{first} {family}", named=True, above=("someone",)) for first, family in pairs]


def passage(dice: Dice, domain: Domain, named: bool = False) -> Scene:
    """Four or five persons, each with something to do; `named`: all by their full names."""
    count = dice.pick((4, 4, 5))
    cast = full_names(dice, count) if named else people(dice, domain, count, 0.3)
    deeds, spare = _deeds(dice, domain, cast)
    events = [_event(dice, domain, who, act) for who, act in deeds]
    awake = [event.who for event in events[:-1] if event.act is None or event.act.kind != "!"]
    if awake and dice.chance(0.7):
        passing = replace(domain, pairs=tuple(act for act in domain.pairs if _PASSING.match(act.phrase)))
        events[-1] = pair_event(dice, passing, cast[-1], dice.pick(awake), 0)
    said = [clause(voiced(dice, event), TENSE) for event in events]
    facts = [trait(dice, who, dice.pick(("mood", "age", "hair", "wear"))) for who in dice.some(cast, dice.pick((0, 1)))]
    around = [setting(dice)] if dice.chance(0.4) else []
    text = _told(dice, domain, said, [clause(fact, TENSE) for fact in facts], [clause(fact, TENSE) for fact in around])
    told = (*events, *facts, *around)
    return Scene(text, (World(told),), told, TENSE, "plain", cast=tuple(cast), acts=tuple(spare))


def _deeds(dice: Dice, domain: Domain, cast: list[Who]) -> tuple[list[tuple[Who, Act]], list[Act]]:
    """Acts that share no object, so that nobody can be meant who does a thing much like it."""
    chosen: list[Act] = []
    for act in acts(dice, domain, len(cast) + _SPARE):
        if all(act.phrase.split()[-1] != other.phrase.split()[-1] for other in chosen):
            chosen.append(act)
    return list(zip(cast, chosen, strict=False)), chosen[len(cast) :]


def _event(dice: Dice, domain: Domain, who: Who, act: Act) -> Event:
    """Somebody's act, where it goes on, and now and then how."""
    found = [("adj", dice.pick(act.contrast))] if act.contrast and dice.chance(0.7) else []
    if dice.chance(0.75):
        found += modifier(dice, domain, "place")
    if dice.chance(0.3) and act.kind not in ("!", "~"):
        found += modifier(dice, domain, "manner")
    return Event(who, act, tuple(sorted(found)))


def _told(dice: Dice, domain: Domain, said: list[str], facts: list[str], around: list[str]) -> str:
    """The clauses as sentences, some of them joined or linked, behind an opening."""
    parts = [sentence(dice.pick(_OPENINGS).format(domain.context)), *map(sentence, around)]
    rest = list(said)
    while rest:
        text = dice.pick(_LINKS if len(rest) < len(said) else ("",)) + rest.pop(0)
        if rest and dice.chance(0.4):
            text += dice.pick(_JOINTS) + rest.pop(0)
        parts.append(sentence(text))
        if facts and dice.chance(0.5):
            parts.append(sentence(facts.pop()))
    return " ".join([*parts, *map(sentence, facts)])
