"""copa: an event, and two sentences of which one is its cause or its effect."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from nlilab.llm.grammar.cast import Dice
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.kinds import Fields, Kind, Made, cast_of, distinct, words
from nlilab.llm.grammar.passages import full_names
from nlilab.llm.grammar.slots import capital, fill, found

LABELS = ("choice1", "choice2")
_SIDES = ("cause", "effect")
_WRONG = 12  # wrong answers from other topics, beside the one from the other side of the event


@dataclass(frozen=True)
class Link:
    """An event with its cause and its effect, as templates of the person $Who."""

    topic: str
    event: str
    cause: str
    effect: str

    def side(self, question: str) -> str:
        """The cause or the effect."""
        if question not in _SIDES:
            raise ForeignText(f"question {question!r} is none of {', '.join(_SIDES)}")
        return self.cause if question == "cause" else self.effect


@lru_cache(maxsize=1)
def links() -> tuple[Link, ...]:
    """All events of the word list."""
    return tuple(Link(topic, *entry) for topic, entries in words("events").items() for entry in entries)


def _sentence(template: str, who: str) -> str:
    return capital(fill(template, {"who": who})) + "."


def _person(dice: Dice, context: str) -> str:
    if dice.chance(0.25):
        return full_names(dice, 1)[0].noun
    noun = dice.pick(list(cast_of(context).people))
    return f"the {dice.pick(words('bindings')['adjectives'])} {noun}" if dice.chance(0.8) else f"the {noun}"


def _seeds(context: str, n: int) -> list[Fields]:
    def drawn(number: int) -> Iterator[Fields]:
        dice = Dice("copa", context, number)
        yield {"premise": _sentence(dice.pick(links()).event, _person(dice, context))}

    return distinct(n, drawn)


def _read(premise: str) -> tuple[Link, str]:
    for link in links():
        if (values := found(_framed(link.event), premise)) is not None:
            who = values["who"]
            return link, "the " + who[4:] if who.startswith("The ") else who
    raise ForeignText(f"premise {premise!r} is not the grammar's own")


@cache
def _framed(template: str) -> str:
    return capital(template) + "."


def _wrong(link: Link, who: str, question: str) -> Iterator[str]:
    """The other side of the same event; and the same side of events that are about something else."""
    other = _SIDES[1 - _SIDES.index(question)]
    yield from [_sentence(link.side(other), who)] * (_WRONG // 3)  # as often as a third of the others
    strange = [one for one in links() if one.topic != link.topic]
    for one in Dice("wrong", link.event, who, question).some(strange, _WRONG):
        yield _sentence(one.side(question), who)


def _instances(context: str, given: Fields) -> Iterator[Made]:
    link, who = _read(given["premise"])
    right, question = _sentence(link.side(given["question"]), who), given["question"]
    seed = {"premise": given["premise"], "question": question}
    for wrong in _wrong(link, who, question):
        for label, choices in zip(LABELS, ((right, wrong), (wrong, right)), strict=True):
            pair = dict(zip(LABELS, choices, strict=True))
            why = {name: f'"{text}" is the likelier {question} of what happened.' for name, text in pair.items()}
            yield Made({**seed, **pair}, label, why)


def _judge(context: str, fields: Fields) -> Made:
    for made in _instances(context, fields):
        if all(fields[name] == text for name, text in made.fields.items()):
            return made
    raise ForeignText(f"the choices {fields['choice1']!r} and {fields['choice2']!r} are not the grammar's own")


COPA = Kind(
    labels=LABELS,
    given=("premise", "question"),
    writes=("choice1", "choice2"),
    seeds=_seeds,
    instances=_instances,
    judge=_judge,
)
