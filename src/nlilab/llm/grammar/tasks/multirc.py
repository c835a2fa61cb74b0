"""multirc: a passage, a question about one of its persons, and an option that answers it or does not."""

from collections.abc import Iterator
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice, Scene, place
from nlilab.llm.grammar.corpus import Shelf
from nlilab.llm.grammar.derive import Hypothesis, variants
from nlilab.llm.grammar.explain import reason
from nlilab.llm.grammar.kinds import Fields, Kind, Made, among, domain_of
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import Claim, Event, Who, label
from nlilab.llm.grammar.morphology import articles, sentence
from nlilab.llm.grammar.passages import TENSE, passage
from nlilab.llm.grammar.speech import adverbials, clause, noun_phrase, verb_phrase

LABELS = ("true", "false")
PER_PASSAGE = 2  # questions
_VERDICT = {
    "entailment": "the passage says so",
    "contradiction": "the passage excludes it",
    "neutral": "nothing in the passage supports it",
}
_MARK = "\n"  # between a passage and its question: together they are what options are about


def _said(scene: Scene, event: Event, text: str, phenomenon: str) -> Hypothesis:
    found = label(scene.worlds, Claim("is", events=(event,)))
    return Hypothesis(text, "true" if found == "entailment" else "false", f"{phenomenon}/{found}")


def _claimed(dice: Dice, domain: Domain, scene: Scene, who: Who) -> Iterator[tuple[Event, str]]:
    """What can be claimed of a person, with modifiers of the kinds that passages have."""
    for event, phenomenon in variants(dice, domain, scene):
        told = event.act is None or {kind for kind, _ in event.mods} <= {"adj", "place", "zone", "manner"}
        if event.who == who and told and _subject(event) == who:
            yield event, phenomenon


def _subject(event: Event) -> Who | None:
    """Who is the subject of the words: with a converse ("buy from" for "sell to") it is the other person."""
    converse = event.act is not None and event.wording > len(event.act.same)
    return event.whom if converse else event.who


def _doing(dice: Dice, domain: Domain, scene: Scene, who: Who) -> Iterator[Hypothesis]:
    """Answers to "What was she doing?"."""
    for event, phenomenon in _claimed(dice, domain, scene, who):
        if event.act is not None and not event.passive:
            yield _said(scene, event, _squeezed(verb_phrase(event, "gerund")), phenomenon)


def _being(dice: Dice, domain: Domain, scene: Scene, who: Who) -> Iterator[Hypothesis]:
    """Answers to "What is true of her?": whole sentences."""
    for event, phenomenon in _claimed(dice, domain, scene, who):
        yield _said(scene, event, sentence(clause(event, TENSE)), phenomenon)


def _where(dice: Dice, domain: Domain, scene: Scene, who: Who) -> Iterator[Hypothesis]:
    """Answers to "Where was she?"; only for somebody whose place the passage tells."""
    if any(event.who == who and "place" in dict(event.mods) for event in scene.events):
        zones = [[("zone", "indoors")], [("zone", "outdoors")]]
        for mods in zones + [place(domain, where) for where in domain.places]:
            event = Event(who, None, tuple(sorted(mods)))
            yield _said(scene, event, _squeezed(adverbials(event)), "place")


def _inside(dice: Dice, domain: Domain, scene: Scene, _: Who) -> Iterator[Hypothesis]:
    """Answers to "Who was indoors?": those whose place the passage tells."""
    for who in scene.cast:
        if any(event.who == who and "place" in dict(event.mods) for event in scene.events):
            event = Event(who, None, (("zone", "indoors"),))
            yield _said(scene, event, _squeezed(noun_phrase(who)), "place")


def _squeezed(text: str) -> str:
    return articles(" ".join(text.split()))


_QUESTIONS = (
    ("What was {} doing?", _doing),
    ("What is true of {}?", _being),
    ("Which of these things can be said about {}?", _being),
    ("Where was {}?", _where),
    ("Who was indoors?", _inside),
)


@lru_cache(maxsize=64)
def _shelf(context: str) -> Shelf:
    domain = domain_of(context)

    def drawn(dice: Dice, number: int) -> tuple[str, list[Hypothesis]]:
        scene = passage(Dice("multirc", context, number // PER_PASSAGE), domain)
        who = scene.cast[(number % PER_PASSAGE + number) % len(scene.cast)]
        asked, answers = dice.pick(_QUESTIONS)
        options = {one.text: one for one in answers(dice, domain, scene, who)}
        return f"{scene.text}{_MARK}{asked.format(_squeezed(noun_phrase(who)))}", list(options.values())

    return Shelf(("multirc", context), drawn, LABELS, least=2)


def _seeds(context: str, n: int) -> list[Fields]:
    found = _shelf(context)
    found.grow(n)
    return [dict(zip(("passage", "question"), text.split(_MARK), strict=True)) for text in found.order[:n]]


def _instances(context: str, given: Fields) -> list[Made]:
    seed = {name: given[name] for name in ("passage", "question")}
    made = []
    for option in _shelf(context).of(_MARK.join(seed.values())):
        phenomenon, _, found = option.phenomenon.partition("/")
        verdicts = {"true": "entailment", "false": "neutral" if option.label == "true" else found}
        why = {label: reason(phenomenon, "option", _VERDICT[name]) for label, name in verdicts.items()}
        made.append(Made({**seed, "option": option.text}, option.label, why))
    return made


MULTIRC = Kind(
    labels=LABELS,
    given=("passage", "question"),
    writes=("option",),
    seeds=_seeds,
    instances=_instances,
    judge=lambda context, fields: among(_instances(context, fields), fields),
)
