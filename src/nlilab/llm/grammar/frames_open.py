"""Frames that leave something open or deny it by the verb: managed, thinks, either, may, must, if."""

from dataclasses import replace

from nlilab.llm.grammar.cast import Dice, Scene, acts, event, light, pair_event, people
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import Claim, Event, Who, World
from nlilab.llm.grammar.morphology import plural, sentence
from nlilab.llm.grammar.speech import clause, denial, noun_phrase, verb_phrase

_HAPPENED = ("managed to", "remembered to", "took the time to", "was able to")
_FAILED = ("failed to", "refused to", "forgot to", "was unable to", "pretended to", "chose not to")
_OPEN = ("tried to", "planned to", "promised to", "wanted to", "agreed to", "was asked to", "hoped to")


def implicative(dice: Dice, domain: Domain) -> Scene:
    """A verb that tells whether its complement happened: managed, failed, planned."""
    one, two = people(dice, domain, 2)
    first, second, *others = acts(dice, domain, 5)
    matter, beside = light(event(dice, domain, one, first, 0.3)), event(dice, domain, two, second, 0.3)
    outcome, verbs = dice.pick(((True, _HAPPENED), (False, _FAILED), (None, _OPEN)))
    inner = f"{noun_phrase(one)} {dice.pick(verbs)} {verb_phrase(matter)}"
    other = clause(beside, "past")
    text = dice.pick(
        (f"{inner}, and {other}", f"{other}. {sentence(inner)}", f"{inner} while {clause(beside, 'then')}")
    )
    return Scene(
        text,
        _outcome((beside,), matter, outcome),
        (matter, beside),
        "past",
        "factive",
        cast=(one, two),
        acts=tuple(others),
    )


def _outcome(told: tuple[Event, ...], matter: Event, outcome: bool | None, **more: object) -> tuple[World, ...]:
    yes = World((*told, matter), moment=False)
    no = World(told, (matter,), moment=False)
    worlds = (yes, no) if outcome is None else (yes,) if outcome else (no,)
    return tuple(replace(world, **more) for world in worlds)  # type: ignore[arg-type]


_KNOWS = ("knows", "noticed", "is aware", "realized", "has discovered", "remembered")
_THINKS = ("thinks", "believes", "is convinced", "suspects", "assumes")
_MISTAKEN = ("wrongly believes", "pretended", "mistakenly thinks", "falsely claimed")


_DOUBTS = ("doubts", "is not convinced", "finds it hard to believe")


def attitude(dice: Dice, domain: Domain) -> Scene:
    """Somebody knows, thinks or wrongly believes something; something else is a fact."""
    one, two, three = people(dice, domain, 3)
    first, second, *others = acts(dice, domain, 5)
    alone = light(event(dice, domain, two, first, 0.3))
    matter = pair_event(dice, domain, two, three) if dice.chance(0.4) else alone
    beside = event(dice, domain, three, second, 0.3)
    outcome, verbs = dice.pick(((True, _KNOWS), (None, _THINKS), (None, _DOUBTS), (False, _MISTAKEN)))
    verb = dice.pick(verbs)
    inner = f"{noun_phrase(one)} {verb} that {clause(matter, 'past')}"
    if dice.chance(0.5):
        text = f"{clause(beside, 'past')}, and {inner}"
    else:
        text = f"{sentence(inner)} {sentence(clause(beside, 'past'))}"
    thoughts = () if verb in ("pretended", "falsely claimed") else ((one, matter, verb not in _DOUBTS),)
    claims = [
        (Claim("thinks", events=(matter,), holder=one), "factive"),
        (Claim("doubts", events=(matter,), holder=one), "factive"),
        (Claim("thinks", events=(matter,), holder=three), "factive"),
        (Claim("doubts", events=(matter,), holder=three), "factive"),
        (Claim("doubts", events=(beside,), holder=two), "factive"),
    ]
    return Scene(
        text,
        _outcome((beside,), matter, outcome, thoughts=thoughts),
        (matter, beside),
        "past",
        "factive",
        claims=tuple(claims) if thoughts else (),
        cast=(one, two, three),
        acts=tuple(others),
    )


def disjunction(dice: Dice, domain: Domain) -> Scene:
    """One of two things is so."""
    one, two = people(dice, domain, 2)
    first, second, third, *others = acts(dice, domain, 6)
    tense = dice.pick(("then", "now", "past"))
    left = event(dice, domain, one, first, 0.2)
    right = event(dice, domain, one if dice.chance(0.5) else two, second, 0.2)
    beside = event(dice, domain, people(dice, domain, 6, 0)[-1], third, 0.3)
    if beside.who in (one, two):
        beside = replace(beside, who=Who("Hannah", named=True, above=("someone",)))
    either = f"either {clause(left, tense)} or {clause(right, tense)}"
    also = clause(beside, tense)
    text = dice.pick(
        (f"{either}, and {also}", f"{sentence(also)} {sentence(either)}", f"{sentence(either)} {sentence(also)}")
    )
    moment = tense != "past"
    worlds = (World((beside, left), moment=moment), World((beside, right), moment=moment))
    claims = tuple(
        (Claim("or", (Claim("is", events=(a,)), Claim("is", events=(b,)))), "disjunction")
        for a, b in ((right, left), (left, replace(right, act=third)), (left, right))
    )
    return Scene(
        text,
        worlds,
        (left, right, beside),
        tense,
        "disjunction",
        claims=claims,
        cast=(one, two, beside.who),
        acts=tuple(others),
    )


def _stem(happening: Event, tense: str) -> str:
    return (
        "be " + verb_phrase(happening, "gerund") if tense == "now" else "have been " + verb_phrase(happening, "gerund")
    )


def modal(dice: Dice, domain: Domain) -> Scene:
    """Something may be so, must be so or cannot be so; something else is a fact."""
    one, two = people(dice, domain, 2)
    first, second, *others = acts(dice, domain, 5)
    tense = dice.pick(("now", "then"))
    matter, beside = light(event(dice, domain, one, first, 0.25)), event(dice, domain, two, second, 0.3)
    rival = replace(matter, act=others[0], mods=())
    who, also = noun_phrase(one), clause(beside, tense)
    stem, other_stem = _stem(matter, tense), _stem(rival, tense)
    outcome, words = dice.pick(
        ((None, ("may", "might", "could")), (None, ("may", "might")), (True, ("must certainly",)), (False, ("cannot",)))
    )
    core = f"{who} {dice.pick(words)} {stem}"
    if outcome is None and dice.chance(0.3):
        core = f"perhaps {clause(matter, tense)}"
    text = dice.pick((f"{also}, and {core}", f"{sentence(core)} {sentence(also)}", f"{core} while {also}"))
    possible = {None: "entailment", True: "entailment", False: "contradiction"}[outcome]
    reverse = {"entailment": "contradiction", "contradiction": "entailment"}[possible]
    ready = [
        (f"it is possible that {clause(matter, tense)}", possible),
        (f"{who} cannot {stem}", reverse),
        (f"it is impossible that {clause(matter, tense)}", reverse),
        (f"{noun_phrase(two)} cannot {_stem(beside, tense)}", "contradiction"),
        (f"{noun_phrase(two)} must {_stem(beside, tense)}", "entailment"),
        (
            f"{noun_phrase(two)} must certainly {_stem(replace(beside, mods=(('purpose', 'for money'),)), tense)}",
            "neutral",
        ),
    ]
    if outcome is None:
        ready += [
            (f"{who} must certainly {stem}", "neutral"),
            (f"it is certain that {clause(matter, tense)}", "neutral"),
        ]
        ready += [(f"{who} cannot {other_stem}", "neutral"), (f"{who} might {stem}", "entailment")]
    else:
        ready += [(f"it is certain that {clause(matter, tense)}", possible)]
    worlds = tuple(replace(w, moment=True) for w in _outcome((beside,), matter, outcome))
    return Scene(
        text,
        worlds,
        (matter, beside),
        tense,
        "modality",
        cast=(one, two),
        acts=tuple(others[1:]),
        ready=tuple((a, b, "modality") for a, b in ready if "for money" not in text or "for money" not in a),
    )


def notice(dice: Dice, domain: Domain) -> Scene:
    """A rule of the house: what is allowed, required or forbidden."""
    one, two = people(dice, domain, 2, 0)
    first, second, third = acts(dice, domain, 3)
    group, rest = replace(one, count=2), replace(two, count=2)
    names = {one: plural(one.noun), two: plural(two.noun)}
    deed, other = (event(dice, domain, who, act, 0.25) for who, act in ((group, first), (rest, second)))
    deed, other = (
        replace(e, mods=tuple(m for m in e.mods if m[0] in ("place", "zone", "adj", "time"))) for e in (deed, other)
    )
    kinds = dice.some(("may", "must", "must not"), 2)
    people_one, people_two = names[one], names[two]
    rules = ((people_one, kinds[0], deed), (people_two, kinds[1], other))
    said = [f"{who} {kind} {verb_phrase(e)}" for who, kind, e in rules]
    text = dice.pick(
        (
            f"{said[0]}, but {said[1]}",
            f"notice: {said[0]}. {sentence(said[1])}",
            f"{said[0]}. {sentence(said[1])}",
            f"according to the rules, {said[0]}, and {said[1]}",
        )
    )
    ready = [made for who, kind, e in rules for made in _rulings(who, kind, e)]
    ready += [
        (f"{people_one} {kind} {verb_phrase(replace(deed, act=third, mods=()))}", "neutral")
        for kind in ("may", "must", "must not")
    ]
    ready += [(f"{people_two} {kind} {verb_phrase(deed)}", "neutral") for kind in ("may", "must", "must not")]
    return Scene(text, (World(),), (), "now", "modality", ready=tuple((a, b, "modality") for a, b in ready))


def _rulings(who: str, kind: str, deed: Event) -> list[tuple[str, str]]:
    act, doing = verb_phrase(deed), verb_phrase(deed, "gerund")
    labels = {"may": "ENNCECNN", "must": "EECCECNN", "must not": "CCEECENN"}[kind]
    texts = (
        f"{who} are allowed to {act}",
        f"{who} have to {act}",
        f"{who} do not have to {act}",
        f"{doing} is forbidden for {who}",
        f"{who} may {act}",
        f"{who} must not {act}",
        f"{who} {act} every day",
        f"{who} like to {act}",
    )
    names = {"E": "entailment", "N": "neutral", "C": "contradiction"}
    return [(text, names[letter]) for text, letter in zip(texts, labels, strict=True)]


def conditional(dice: Dice, domain: Domain) -> Scene:
    """Something will happen if something else does; a third thing is a fact."""
    one, two, three = people(dice, domain, 3)
    first, second, third, *others = acts(dice, domain, 6)
    cause = replace(event(dice, domain, one, first, 0.2))
    effect = event(dice, domain, two, second, 0.2) if dice.chance(0.6) else pair_event(dice, domain, two, one, 0)
    beside = event(dice, domain, three, third, 0.3)
    when, then = clause(cause, "habit"), clause(effect, "will")
    fact = clause(beside, "will")
    rule = dice.pick((f"if {when}, {then}", f"{then} if {when}", f"{then} provided that {when}"))
    text = dice.pick(
        (f"{sentence(rule)} {sentence(fact)}", f"{fact}, and {rule}", f"{sentence(fact)} {sentence(rule)}")
    )
    worlds = (
        World((beside, cause, effect), moment=False),
        World((beside, effect), (cause,), moment=False),
        World((beside,), (cause, effect), moment=False),
    )
    unsaid = clause(effect, "will", negative=True)
    ready = (
        (f"{then} whenever {when}", "neutral"),
        (f"if {when}, {then}", "entailment"),
        (f"{then} if {when}", "entailment"),
        (f"if {when}, {unsaid}", "contradiction"),
        (f"{unsaid} if {when}", "contradiction"),
        (f"unless {denial(cause, 'habit')}, {unsaid}", "contradiction"),
        (f"unless {when}, {then}", "neutral"),
        (f"if {clause(effect, 'habit')}, {clause(cause, 'will')}", "neutral"),
        (f"{clause(cause, 'will')} if {clause(effect, 'habit')}", "neutral"),
        (f"if {clause(beside, 'habit')}, {then}", "neutral"),
        (f"if {denial(cause, 'habit')}, {unsaid}", "neutral"),
        (f"{unsaid} if {denial(cause, 'habit')}", "neutral"),
        (f"unless {denial(cause, 'habit')}, {then}", "entailment"),
    )
    kept = tuple(r for r in ready[1:] if r[0] not in text.lower())
    return Scene(
        text,
        worlds,
        (cause, effect, beside),
        "will",
        "conditional",
        cast=(one, two, three),
        acts=tuple(others),
        ready=tuple((a, b, "conditional") for a, b in kept),
    )
