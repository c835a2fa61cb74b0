"""Hypotheses about a scene: every variant of what it speaks of, said in several ways and labelled by its meaning."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nlilab.llm.grammar.cast import Dice, Scene, modifier, setting, trait
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import SCENE, Claim, Event, Who, label, opposite
from nlilab.llm.grammar.meaning import _opposites as opposites
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.speech import say

_E, _N, _C = "entailment", "neutral", "contradiction"
_MIXTURES = ((_C, _C), (_E, _N), (_N, _N), (_E, _C), (_E, _E), (_N, _C))  # labels of two joined claims
_FREE = ("synonym", "repetition", "modifier dropped", "voice")


@dataclass(frozen=True)
class Hypothesis:
    """A sentence about a premise, its label by construction, and the phenomenon that decides it."""

    text: str
    label: str
    phenomenon: str


Variant = tuple[Event, str]


def _other_value(dice: Dice, domain: Domain, event: Event, kind: str, old: str) -> list[tuple[str, str]]:
    if kind == "adj" and event.act:
        return [("adj", next(v for v in event.act.contrast if v != old))]
    if kind == "place":
        fresh = modifier(dice, domain, "place")
        return fresh if fresh[0][1] != old else []
    rivals = sorted(v for group in opposites() if old in group for v in group if v != old)
    return [(kind, dice.pick(rivals))] if rivals and opposite(kind, old, rivals[0]) else []


def _with(event: Event, mods: list[tuple[str, str]]) -> Event:
    return replace(event, mods=tuple(sorted(dict(mods).items())))


def _bare(event: Event, keep: int, dice: Dice) -> Event:
    kinds = dice.some([k for k, _ in event.mods if k != "zone"], keep)
    return _with(event, [m for m in event.mods if m[0] in kinds or (m[0] == "zone" and "place" in kinds)])


def _reworded(dice: Dice, event: Event) -> Event:
    act = event.act
    if act is None:
        return event
    ways = 1 + len(act.same) + (len(act.converse) if event.whom else 0)
    wording = int(dice.pick(range(ways)))
    return replace(event, wording=wording, passive=wording == 0 and act.object() is not None and dice.chance(0.2))


def _doing(dice: Dice, domain: Domain, scene: Scene, event: Event) -> Iterator[Variant]:
    """Variants of an event with an act."""
    act = event.act
    assert act is not None
    yield event, "repetition"
    short = _bare(event, 1, dice)
    for kept in (short, _bare(event, 0, dice), _bare(event, 2, dice)):
        yield _reworded(dice, kept), "modifier dropped" if len(kept.mods) < len(event.mods) else "synonym"
    if act.object() is not None:
        yield replace(_bare(event, 0, dice), passive=not event.passive, wording=0), "voice"
    for level in range(1, len(act.weaker) + 1):
        general = _with(replace(event, level=level, wording=0, passive=False), [])
        yield general, "hypernym"
        yield from _somewhere(dice, domain, event, general)
        if event.who.above:
            yield replace(general, who=_broad(dice, event.who)), "hypernym"
    if event.who.above:
        yield replace(_reworded(dice, short), who=_broad(dice, event.who), passive=False), "hypernym"
    yield from _modified(dice, domain, event)
    yield from _exchanged(dice, scene, event)


def _somewhere(dice: Dice, domain: Domain, event: Event, general: Event) -> Iterator[Variant]:
    """What the event implies, with one modifier kept, changed or added."""
    have = dict(event.mods)
    for kind in dice.some(["place", "time", "company", "purpose"], 2):
        if kind not in have:
            yield _with(general, modifier(dice, domain, kind)), "modifier added"
        elif dice.chance(0.5):
            yield (
                _with(general, [(kind, have[kind])] + [m for m in event.mods if m[0] == "zone" and kind == "place"]),
                "hypernym",
            )
        else:
            other = _other_value(dice, domain, event, kind, have[kind])
            yield from [(_with(general, other), "modifier changed")] if other else []


def _broad(dice: Dice, who: Who) -> Who:
    return Who(dice.pick(who.above), who.count, named=False, broad=True)


def _modified(dice: Dice, domain: Domain, event: Event) -> Iterator[Variant]:
    bare = _reworded(dice, _bare(event, 0, dice))
    have = dict(event.mods)
    for kind in dice.some([k for k in have if k != "zone"], 2):
        other = _other_value(dice, domain, event, kind, have[kind])
        if other:
            yield _with(bare, other), "antonym" if kind == "adj" else "modifier changed"
    act = event.act
    if act and act.contrast and "adj" not in have:
        yield _with(bare, [("adj", dice.pick(act.contrast))]), "modifier added"
    quiet = ("manner",) if act and act.kind in ("!", "~") else ()
    for kind in dice.some(
        [k for k in ("place", "time", "manner", "company", "purpose") if k not in have and k not in quiet], 3
    ):
        yield _with(bare, modifier(dice, domain, kind)), "modifier added"
    for zone in ("indoors", "outdoors"):
        yield _with(bare, [("zone", zone)]), "hypernym" if "zone" in have else "modifier added"


def _exchanged(dice: Dice, scene: Scene, event: Event) -> Iterator[Variant]:
    bare = replace(_bare(event, 0, dice), passive=False, wording=0)
    if event.whom is not None:
        swapped = replace(bare, who=event.whom, whom=event.who)
        yield swapped, "argument swap"
        yield _reworded(dice, swapped), "argument swap"
        if event.act and event.act.object() == "@":
            yield replace(swapped, passive=True), "voice"
    for other in dice.some([who for who in scene.cast if who not in (event.who, event.whom)], 2):
        kind = (
            "numeral"
            if other.noun == event.who.noun
            else "argument swap"
            if scene.phenomenon != "plain"
            else "other subject"
        )
        yield replace(bare, who=other), kind
        yield _reworded(dice, replace(bare, who=other)), kind
    for act in dice.some(scene.acts, 2):
        if event.whom is None:
            yield _reworded(dice, Event(event.who, act)), "other activity"
            if event.who.above:
                yield _reworded(dice, Event(_broad(dice, event.who), act)), "other activity"


def _being(dice: Dice, event: Event) -> Iterator[Variant]:
    """Variants of a state: itself and its opposite."""
    yield event, "repetition"
    for kind, text in event.mods:
        rivals = sorted(v for group in opposites() if text in group for v in group if v != text)
        if rivals:
            yield replace(event, mods=((kind, rivals[0]),)), "antonym"


def _states(dice: Dice, scene: Scene) -> Iterator[Variant]:
    """States that the scene may not mention."""
    for event in scene.events:
        if event.act is not None and dice.chance(0.5):
            yield trait(dice, event.who, dice.pick(("mood", "age", "wear", "hair"))), "modifier added"
        if event.act is not None and "place" in dict(event.mods) and scene.tense in ("now", "then"):
            where = tuple(m for m in event.mods if m[0] in ("place", "zone"))
            yield Event(event.who, None, where), "modifier dropped"
    yield setting(dice), "modifier added"


def variants(dice: Dice, domain: Domain, scene: Scene) -> list[Variant]:
    """Events that a hypothesis may claim."""
    found: list[Variant] = []
    for event in scene.events:
        found += _being(dice, event) if event.act is None else _doing(dice, domain, scene, event)
    return found + list(_states(dice, scene))


def _is(event: Event) -> Claim:
    return Claim("is", events=(event,))


def _deniable(event: Event) -> bool:
    spare = [k for k, _ in event.mods if k not in ("zone", "adj")]
    single = not event.who.broad or event.who.count == 1
    if event.passive and event.whom is None:
        return False
    return event.who != SCENE and single and len(spare) <= 1 and not event.level + ("purpose" in spare) > 1


def _joined(dice: Dice, plain: list[tuple[Event, str]], wanted: tuple[str, str]) -> list[Event]:
    """Two different events with these labels, if the scene has them."""
    pair: list[Event] = []
    for name in wanted:
        fitting = [e for e, own in plain if own == name and all((e.who, e.act) != (o.who, o.act) for o in pair)]
        pair += dice.some(fitting, 1)
    return dice.some(pair, 2) if len(pair) == 2 else []


def claims(dice: Dice, scene: Scene, found: list[Variant]) -> Iterator[tuple[Claim, str]]:
    """The variants themselves, denied, and joined."""
    denied = 0.04 if scene.simple else 0.5 if scene.phenomenon == "negation" else 0.25
    for event, phenomenon in found:
        yield _is(event), phenomenon
        if _deniable(event) and dice.chance(denied):
            yield Claim("not", (_is(event),)), "negation"
    if scene.simple:
        return
    spare = [event for event, _ in dice.some(found, 14) if not event.passive and not event.who.broad]
    plain = [(event, label(scene.worlds, _is(event))) for event in spare]
    for op, name in (("and", "conjunction"), ("or", "disjunction")):
        for wanted in dice.some(_MIXTURES, 3):
            pair = _joined(dice, plain, wanted)
            yield from [(Claim(op, tuple(_is(e) for e in pair)), name)] if pair else []
    doings = [e for e in scene.events if e.act is not None]
    if (
        scene.tense == "past"
        and len(doings) == 2
        and scene.phenomenon not in ("time order", "disjunction")
        and dice.chance(0.3)
    ):
        yield Claim("before", events=(doings[0], doings[1])), "time order"
        yield Claim("before", events=(doings[1], doings[0])), "time order"
    yield from scene.claims


def _named(scene: Scene, phenomenon: str) -> str:
    if scene.phenomenon == "relative clause" and phenomenon == "argument swap":
        return scene.phenomenon
    return scene.phenomenon if scene.phenomenon != "plain" and phenomenon in _FREE else phenomenon


def derive(dice: Dice, domain: Domain, scene: Scene) -> list[Hypothesis]:
    """All hypotheses about the scene, each text once."""
    made: dict[str, Hypothesis] = {}
    found = variants(dice, domain, scene)
    if scene.simple:  # few variants in one draw: a second gives the balance a choice
        found += variants(dice, domain, scene)
    for claim, phenomenon in claims(dice, scene, found):
        article = "a" if scene.article == "a" and dice.chance(0.6) else "the"
        text = sentence(say(claim, scene.tense, article))
        made.setdefault(text, Hypothesis(text, label(scene.worlds, claim), _named(scene, phenomenon)))
    for text, name, phenomenon in scene.ready:
        made.setdefault(sentence(text), Hypothesis(sentence(text), name, phenomenon))
    return [h for h in made.values() if h.text != scene.text]
