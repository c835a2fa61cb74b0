"""Frames whose clauses are asserted or denied: captions, statements, negation, order, relative clauses, encounters."""

from dataclasses import replace

from nlilab.llm.grammar.cast import Dice, Scene, acts, event, light, pair_event, people, person, trait, voiced
from nlilab.llm.grammar.lexicon import Domain, lexicon
from nlilab.llm.grammar.meaning import Claim, Event, Who, World
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.speech import clause, denial, noun_phrase, verb_phrase

_ADJECTIVES = ("age", "mood", "hair")


def snapshot(dice: Dice, domain: Domain) -> Scene:
    """A caption with one thing in it: somebody doing something, at most with a look or a place."""
    scene = caption(dice, domain, mods=0.3, looks=(0, 0, 0, 1))
    return replace(scene, simple=True)


def caption(dice: Dice, domain: Domain, mods: float = 0.75, looks: tuple[int, ...] = (0, 1, 1, 2)) -> Scene:
    """What a picture shows: somebody, with a look, doing something somewhere."""
    noun = dice.pick(list(lexicon().everyone) if dice.chance(0.6) else list(domain.people))
    who = person(domain, noun, dice.pick((1, 1, 1, 1, 2, 3)))
    first, *others = acts(dice, domain, 5)
    doing = voiced(dice, event(dice, domain, who, first, mods))
    doing = replace(doing, passive=False)
    traits = [
        trait(dice, who, kind)
        for kind in dice.some(("age", "mood", "hair", *(["wear"] * (who.count == 1))), dice.pick(looks))
    ]
    traits = [
        t for t in traits if not (t.mods[0][0] == "age" and noun in ("boy", "girl", "grandmother", "grandfather"))
    ]
    before = ", ".join(t.mods[0][1] for t in traits if t.mods[0][0] in _ADJECTIVES)
    after = "".join(
        f"in {t.mods[0][1]}" if dice.chance(0.5) else f"wearing {t.mods[0][1]}"
        for t in traits
        if t.mods[0][0] == "wear"
    )
    subject = noun_phrase(who, "a", before, after)
    are = "are" if who.count > 1 else "is"
    going = verb_phrase(doing, "gerund")
    text = dice.pick(
        (f"{subject} {are} {going}", f"{subject} {are} {going}", f"{subject} {going}", f"there {are} {subject} {going}")
    )
    if text.startswith(subject) and not text.startswith(f"{subject} {are}"):
        text += "."
    return Scene(
        text,
        (World((doing, *traits), picture=True),),
        (doing, *traits),
        "now",
        "plain",
        "a",
        cast=_alike(domain, who),
        acts=tuple(others),
    )


def _alike(domain: Domain, who: Who) -> tuple[Who, ...]:
    kinds = [person(domain, noun, who.count) for noun in lexicon().everyone if noun != who.noun]
    counts = [person(domain, who.noun, count) for count in (2, 3, 4) if who.count > 1 and count != who.count]
    return (*(kinds if who.noun in lexicon().everyone else []), *counts)


def crowd(dice: Dice, domain: Domain) -> Scene:
    """Two persons side by side, each with something to do."""
    nouns = dice.some([*lexicon().everyone, *domain.people], 2)
    one, two = (person(domain, noun) for noun in nouns)
    first, second, *others = acts(dice, domain, 5)
    left, right = event(dice, domain, one, first, 0.35), event(dice, domain, two, second, 0.25)
    tense = dice.pick(("now", "now", "then"))
    link = dice.pick((" while ", " and ", ", and ", "; nearby, "))
    text = f"{clause(left, tense, article='a')}{link}{clause(right, tense, article='a')}"
    return Scene(
        text, (World((left, right)),), (left, right), tense, "conjunction", cast=(one, two), acts=tuple(others)
    )


def statement(dice: Dice, domain: Domain) -> Scene:
    """One plain sentence, or two, about named or definite persons."""
    one, two = people(dice, domain, 2)
    tense = dice.pick(("past", "past", "then", "now"))
    first, second, *others = acts(dice, domain, 5)
    told = [voiced(dice, event(dice, domain, one, first, 0.7))]
    text = clause(told[0], tense)
    if dice.chance(0.5):
        told.append(voiced(dice, event(dice, domain, two, second, 0.4)))
        text = f"{sentence(text)} {sentence(clause(told[1], tense))}"
    world = World(tuple(told), moment=tense != "past")
    return Scene(text, (world,), tuple(told), tense, "plain", cast=(one, two), acts=tuple(others))


def negation(dice: Dice, domain: Domain) -> Scene:
    """Something is denied; something else is said."""
    one, two = people(dice, domain, 2)
    tense = dice.pick(("past", "then", "now"))
    first, second, *others = acts(dice, domain, 5)
    absent, present = light(event(dice, domain, one, first, 0.25)), event(dice, domain, two, second, 0.3)
    if dice.chance(0.3):
        absent = replace(absent, level=1, mods=tuple(m for m in absent.mods if m[0] != "adj"))
    if dice.chance(0.25):
        absent = replace(absent, who=Who("someone", broad=True))
    no, yes = denial(absent, tense), clause(present, tense)
    text = dice.pick((f"{no}, but {yes}", f"{yes}, but {no}", f"{sentence(no)} {sentence(yes)}"))
    world = World((present,), (absent,), moment=tense != "past")
    return Scene(text, (world,), (absent, present), tense, "negation", cast=(one, two), acts=tuple(others))


def time_order(dice: Dice, domain: Domain) -> Scene:
    """One thing before or after another, or both without saying which came first."""
    one, two, three = people(dice, domain, 3)
    first, second, *others = acts(dice, domain, 5)
    early, late = event(dice, domain, one, first, 0.25), event(dice, domain, two, second, 0.25)
    if dice.chance(0.25):
        late = pair_event(dice, domain, two, three, 0)
    a, b = clause(early, "past"), clause(late, "past")
    ordered = dice.chance(0.65)
    text = dice.pick(
        (
            f"{a} before {b}",
            f"{b} after {a}",
            f"before {b}, {a}",
            f"first {a}, and then {b}",
            f"{sentence(a)} Later, {b}",
        )
        if ordered
        else (f"{a}, and {b}", f"{sentence(a)} On the same day, {b}", f"{b}, and on the same day {a}")
    )
    world = World((early, late), order=((early, late),) if ordered else (), moment=False)
    marked = [replace(e, passive=True) for e in (early, late)]
    claims = [
        Claim("before", events=pair)
        for pair in (
            (early, late),
            (late, early),
            (early, marked[1]),
            (late, marked[0]),
            (replace(early, act=others[0], mods=()), late),
        )
    ]
    return Scene(
        text,
        (world,),
        (early, late),
        "past",
        "time order",
        claims=tuple((c, "time order") for c in claims),
        cast=(one, two, three),
        acts=tuple(others),
    )


def relative(dice: Dice, domain: Domain) -> Scene:
    """A relative clause puts a second person between a subject and its verb."""
    one, two, three = people(dice, domain, 3, 0)
    first, *others = acts(dice, domain, 5)
    outer = pair_event(dice, domain, one, three, 0.2) if dice.chance(0.4) else event(dice, domain, one, first, 0.3)
    tense = dice.pick(("past", "past", "then"))
    if dice.chance(0.4):
        gapped = [act for act in domain.pairs if act.object() == "@"]
        inner = Event(two, dice.pick(gapped), whom=one)
        gap = clause(replace(inner, whom=None), tense)
        text = f"{noun_phrase(one)} whom {gap} {clause(outer, tense, who=' ')}"
    else:
        inner = pair_event(dice, domain, one, two, 0)
        text = f"{noun_phrase(one)} who {clause(inner, tense, who=' ')} {clause(outer, tense, who=' ')}"
    if inner.act == outer.act:  # "who praised praised" is no sentence that anybody writes
        return relative(dice, domain)
    world = World((inner, outer), moment=tense != "past")
    return Scene(text, (world,), (inner, outer), tense, "relative clause", cast=(one, two, three), acts=tuple(others))


def encounter(dice: Dice, domain: Domain) -> Scene:
    """One person does something to another, in the active or the passive."""
    one, two, three = people(dice, domain, 3)
    first, *others = acts(dice, domain, 5)
    tense = dice.pick(("now", "now", "then", "past"))
    meeting = pair_event(dice, domain, one, two, 0.5)
    passive = meeting.act is not None and meeting.act.object() == "@" and dice.chance(0.6)
    told = replace(meeting, passive=True) if passive else voiced(dice, meeting)
    article = "a" if tense == "now" and dice.chance(0.6) else "the"
    text, events = clause(told, tense, article=article), [told]
    if dice.chance(0.4):
        events.append(event(dice, domain, three, first, 0.3))
        text += dice.pick((" while ", ", and ")) + clause(events[1], tense, article=article)
    world = World(tuple(events), moment=tense != "past")
    name = "voice" if passive else "argument swap"
    return Scene(text, (world,), tuple(events), tense, name, article, cast=(one, two, three), acts=tuple(others))
