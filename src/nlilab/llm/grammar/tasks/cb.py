"""cb: a clause embedded so that the speaker holds it to be so, holds it not to be so, or leaves it open."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from nlilab.llm.grammar.balance import LABELS, Balance
from nlilab.llm.grammar.cast import Dice, Scene, acts, event, fraction, light, pair_event, people
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.derive import Hypothesis, derive
from nlilab.llm.grammar.explain import explanation
from nlilab.llm.grammar.kinds import Fields, Kind, Made, domain_of, words
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import World
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.slots import fill
from nlilab.llm.grammar.speech import clause, noun_phrase

MATTERS = 6  # of each situation in a context; each is told in three ways: yes, no, open
_GENRES = {
    "story": "{beside} {said}",
    "talk": "A: {beside} B: {said}",
    "paper": "According to the local paper, {beside} {said}",
}
_JOINED = re.compile(r"^Either | and | or | before | after ")  # the hypothesis is to be one clause
_TENSE = "past"
_MARK = "\n"


def _situation(text: str) -> int:
    """The number of the way in which a situation embeds; one by chance where its wording is unknown."""
    ways = words("situations")
    fitting = [number for number, way in enumerate(ways) if re.search(way["key"], text)]
    return fitting[0] if fitting else int(fraction("situation", text) * len(ways))


def _scenes(dice: Dice, domain: Domain, way: Mapping[str, Any]) -> Iterator[Scene]:
    """One matter three times: as a fact, as no fact, and left open."""
    one, two, three = people(dice, domain, 3)
    first, second, *others = acts(dice, domain, 5)
    alone = dice.chance(0.7)
    matter = light(event(dice, domain, two, first, 0.4)) if alone else pair_event(dice, domain, two, three, 0)
    beside = sentence(clause(event(dice, domain, three if alone else one, second, 0.4), _TENSE))
    if way["genre"] == "paper" and beside.startswith("The "):
        beside = "the " + beside[4:]
    number = int(dice.pick(range(len(way["yes"]))))
    for outcome in ("yes", "no", "open"):
        told = fill(way[outcome][number], {"p": clause(matter, _TENSE), "h": noun_phrase(one)})
        text = _GENRES[way["genre"]].format(beside=beside, said=sentence(told).replace(" ?", "?"))
        true, false = World((matter,), moment=False), World((), (matter,), moment=False)
        worlds = {"yes": (true,), "no": (false,), "open": (true, false)}[outcome]
        yield Scene(text, worlds, (matter,), _TENSE, "factive", cast=(two,), acts=tuple(others))


@lru_cache(maxsize=4096)
def _instances_of(context: str, number: int) -> tuple[Made, ...]:
    """All instances of a situation in a context, as many of each label."""
    domain, balance, made = domain_of(context), Balance(), []
    for matter in range(MATTERS):
        dice = Dice("cb", context, number, matter)
        pool: list[Hypothesis] = []
        for scene in _scenes(dice, domain, words("situations")[number]):
            about = [h for h in derive(dice, domain, scene) if not _JOINED.search(h.text)]
            pool += [Hypothesis(h.text, h.label, f"{h.phenomenon}{_MARK}{scene.text}") for h in about]
        for chosen in balance.choose("", pool):
            phenomenon, premise = chosen.phenomenon.split(_MARK)
            fields = {"premise": premise, "hypothesis": chosen.text}
            made.append(Made(fields, chosen.label, {label: explanation(phenomenon, label) for label in LABELS}))
    return tuple(made)


def _instances(context: str, given: Fields) -> list[Made]:
    seed = {"situation": given["situation"]}
    return [Made({**seed, **m.fields}, m.label, m.why) for m in _instances_of(context, _situation(given["situation"]))]


def _judge(context: str, fields: Fields) -> Made:
    for number in range(len(words("situations"))):
        for made in _instances_of(context, number):
            if all(fields[name] == text for name, text in made.fields.items()):
                return made
    raise ForeignText(f"premise {fields['premise']!r} with this hypothesis is not the grammar's own in {context!r}")


def _seeds(context: str, n: int) -> list[Fields]:
    """The task lists its situations; these are for whoever asks all the same."""
    return [{"situation": way["key"].replace("|", " or ")} for way in words("situations")[:n]]


CB = Kind(
    labels=LABELS,
    given=("situation",),
    writes=("premise", "hypothesis"),
    seeds=_seeds,
    instances=_instances,
    judge=_judge,
)
