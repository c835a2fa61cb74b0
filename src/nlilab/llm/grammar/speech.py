"""Saying an event or a claim in English."""

import re

from nlilab.llm.grammar.lexicon import lexicon
from nlilab.llm.grammar.meaning import SCENE, Claim, Event, Who
from nlilab.llm.grammar.morphology import NUMBERS, plural

# now: is doing; then: was doing; past: did; habit: does; will: will do
TENSES = ("now", "then", "past", "habit", "will")
_ORDER = ("manner", "company", "place", "zone", "time", "purpose")
_PRONOMINAL = {"age", "mood", "hair"}


def noun_phrase(who: Who, article: str = "the", before: str = "", after: str = "") -> str:
    """The person with an article ("a", "the"), adjectives before and phrases after."""
    if who.named:
        return who.noun
    if who.broad and who.noun == "someone":
        return "someone"
    article = "a" if who.broad else article
    if who.count == 1:
        return f"{article} {before} {who.noun} {after}"
    number = NUMBERS[who.count]
    many = plural(who.noun)
    if who.broad and article == "a":
        return f"some {before} {many} {after}"
    return f"the {number} {before} {many} {after}" if article == "the" else f"{number} {before} {many} {after}"


def third(base: str, many: bool) -> str:
    """The simple present."""
    if many:
        return base
    if base in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[base]
    if base.endswith(("s", "x", "ch", "sh", "z")):
        return base + "es"
    return base[:-1] + "ies" if base.endswith("y") and base[-2] not in "aeiou" else base + "s"


def be(tense: str, many: bool) -> str:
    """The right form of "to be"."""
    if tense == "will":
        return "will be"
    if tense in ("then", "past"):
        return "were" if many else "was"
    return "are" if many else "is"


def _wording(event: Event) -> tuple[Who, Who | None, str]:
    act = event.act
    assert act is not None
    if event.level:
        return event.who, event.whom, act.weaker[event.level - 1]
    ways = [(p, False) for p in (act.phrase, *act.same)] + [(p, True) for p in act.converse]
    phrase, swapped = ways[event.wording]
    phrase = phrase.replace("{}", dict(event.mods).get("adj", ""))
    return (event.whom, event.who, phrase) if swapped and event.whom else (event.who, event.whom, phrase)


def subject(event: Event) -> Who:
    """The grammatical subject of an active clause."""
    return event.who if event.act is None else _wording(event)[0]


def adverbials(event: Event) -> str:
    """The modifiers that follow the verb phrase."""
    mods = dict(event.mods)
    return " ".join(mods[kind] for kind in _ORDER if kind in mods and not (kind == "zone" and "place" in mods))


def verb_phrase(event: Event, form: str = "base") -> str:
    """The verb phrase in its base form, as "gerund", or as "participle"."""
    _, other, phrase = _wording(event)
    base, _, rest = phrase.partition(" ")
    verbs = lexicon().verbs
    verb = {"base": base, "gerund": verbs.gerund(base), "participle": verbs.participle(base)}[form]
    rest = rest.replace("@", noun_phrase(other, "the") if other else "")
    return f"{verb} {rest} {adverbials(event)}"


def _state(event: Event, tense: str, negative: bool) -> str:
    ((kind, text),) = [m for m in event.mods if m[0] != "zone"] or event.mods
    if event.who == SCENE:
        return text.replace("{is}", be(tense, False)).replace("{are}", be(tense, True))
    verb = be(tense, event.who.count > 1) + (" not" if negative else "")
    return f"{verb} wearing {text}" if kind == "wear" else f"{verb} {text}"


def _finite(event: Event, tense: str, negative: bool) -> str:
    many = subject(event).count > 1
    no = " not" if negative else ""
    if tense in ("now", "then"):
        return f"{be(tense, many)}{no} {verb_phrase(event, 'gerund')}"
    base, _, rest = verb_phrase(event).partition(" ")
    if tense == "will":
        return f"will{no} {base} {rest}"
    if negative:
        return f"{'did' if tense == 'past' else 'do' if many else 'does'} not {base} {rest}"
    return f"{lexicon().verbs.past(base) if tense == 'past' else third(base, many)} {rest}"


def _passive(event: Event, tense: str, negative: bool, article: str) -> str:
    act = event.act
    assert act is not None
    thing = act.object() or ""
    many = bool(thing.startswith("some ") and thing.endswith("s"))
    if thing == "@" and event.whom:
        thing, many = noun_phrase(event.whom, article), event.whom.count > 1
    thing = thing.replace("{}", dict(event.mods).get("adj", ""))
    verb = be(tense, many) + (" not" if negative else "") + (" being" if tense in ("now", "then") else "")
    done = lexicon().verbs.participle(act.phrase.partition(" ")[0])
    by = noun_phrase(event.who, "the" if negative else article)
    return f"{thing} {verb} {done} by {by} {adverbials(event)}"


def clause(event: Event, tense: str, negative: bool = False, article: str = "the", who: str | None = None) -> str:
    """A full clause; `who` replaces the subject's words."""
    if event.act is None:
        text = _state(event, tense, negative)
        return text if event.who == SCENE else f"{who or noun_phrase(event.who, article)} {text}"
    if event.passive and event.act.object():
        return _passive(event, tense, negative, article)
    return f"{who or noun_phrase(subject(event), article)} {_finite(event, tense, negative)}"


def modal_clause(event: Event, modal: str, tense: str, article: str = "the") -> str:
    """The clause under a modal verb, for what is going on (now), was going on (then) or may come."""
    who = noun_phrase(subject(event), article)
    if tense == "now":
        return f"{who} {modal} be {verb_phrase(event, 'gerund')}"
    if tense == "then":
        return f"{who} {modal} have been {verb_phrase(event, 'gerund')}"
    if tense == "past":
        return f"{who} {modal} have {verb_phrase(event, 'participle')}"
    return f"{who} {modal} {verb_phrase(event)}"


def denial(event: Event, tense: str, article: str = "the") -> str:
    """The negative clause; about a broad person it is "nobody"."""
    return _any(_denial(event, tense, article))


def _any(text: str) -> str:
    return re.sub(r"\bsome(thing)?\b", r"any\1", text)


def _denial(event: Event, tense: str, article: str) -> str:
    if event.who.broad:
        group = "nobody" if event.who.noun in ("someone", "person") else f"no {event.who.noun}"
        single = Event(Who(group, named=True), event.act, event.mods, event.whom, event.level, event.wording)
        return clause(single, tense)
    return clause(event, tense, negative=True, article="the" if article == "a" else article)


def say(claim: Claim, tense: str, article: str = "the") -> str:
    """The claim as a clause without capital and full stop."""
    if claim.op == "is":
        return clause(claim.events[0], tense, article=article)
    if claim.op == "not":
        return denial(claim.parts[0].events[0], tense, article)
    if claim.op == "before":
        first, second = claim.events
        if first.wording or second.passive:
            return f"{clause(second, tense)} after {clause(first, tense)}"
        return f"{clause(first, tense)} before {clause(second, tense)}"
    if claim.op in ("thinks", "doubts"):
        assert claim.holder is not None
        verb = {"thinks": ("think", "thinks", "thought"), "doubts": ("doubt", "doubts", "doubted")}[claim.op]
        many, past = claim.holder.count > 1, tense in ("then", "past")
        return (
            f"{noun_phrase(claim.holder)} {verb[2 if past else 0 if many else 1]} that {clause(claim.events[0], tense)}"
        )
    one, other = (say(part, tense, article) for part in claim.parts)
    return f"{one} {claim.op} {other}" if claim.op == "and" else f"either {one} or {other}"
