"""record: a passage with named persons, and a statement about it in which one of the names is hidden."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice, Scene
from nlilab.llm.grammar.corpus import Shelf
from nlilab.llm.grammar.derive import Hypothesis, variants
from nlilab.llm.grammar.explain import reason
from nlilab.llm.grammar.kinds import Fields, Kind, Made, among, domain_of
from nlilab.llm.grammar.lexicon import Domain
from nlilab.llm.grammar.meaning import Claim, Event, Who, label
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.passages import TENSE, passage
from nlilab.llm.grammar.speech import clause

LABELS = ("true", "false")
CLAIMS = 30  # of each passage that are tried as a query
HOLE = Who("@placeholder", named=True)
_LEADS = ("{}", "{}", "a witness confirmed that {}", "the editors have made sure that {}", "what is more, {}")
_VERDICT = {
    "true": "by the passage this is the one that is left out",
    "false": "by the passage another one is left out",
}
_MARK = "\n"  # between a query and an entity


def _holes(event: Event) -> Iterator[tuple[Event, str]]:
    """The event with a hole for either person, and which of them was taken out."""
    yield replace(event, who=HOLE), "who"
    if event.whom is not None:
        yield replace(event, whom=HOLE), "whom"


def _fits(scene: Scene, event: Event, side: str) -> dict[Who, str]:
    """For each person whom the statement does not name: the label of the statement about that person."""
    other = event.whom if side == "who" else event.who
    put = {who: replace(event, who=who) if side == "who" else replace(event, whom=who) for who in scene.cast}
    return {who: label(scene.worlds, Claim("is", events=(one,))) for who, one in put.items() if who != other}


def _queries(dice: Dice, domain: Domain, scene: Scene) -> Iterator[Hypothesis]:
    """Statements that are true of exactly one person and false of others, each with all these persons."""
    for own, phenomenon in dice.some(variants(dice, domain, scene), CLAIMS):
        if own.level or own.who not in scene.cast:  # what an act implies may be true of another act too
            continue
        for event, side in _holes(own):
            fits = _fits(scene, event, side)
            wrong = ("contradiction", "neutral") if own.whom else ("contradiction",)
            right = [who for who, found in fits.items() if found == "entailment"]
            others = [who for who, found in fits.items() if found in wrong]
            if len(right) != 1 or not others:
                continue
            query = sentence(dice.pick(_LEADS).format(clause(event, TENSE)))
            for who in (*right, *others):
                yield Hypothesis(f"{query}{_MARK}{who.noun}", LABELS[who not in right], phenomenon)


@lru_cache(maxsize=64)
def _shelf(context: str) -> Shelf:
    domain = domain_of(context)

    def drawn(dice: Dice, number: int) -> tuple[str, list[Hypothesis]]:
        scene = passage(dice, domain, named=True)
        found = {one.text: one for one in _queries(dice, domain, scene)}
        return scene.text, list(found.values())

    return Shelf(("record", context), drawn, LABELS)


def _seeds(context: str, n: int) -> list[Fields]:
    found = _shelf(context)
    found.grow(n)
    return [{"passage": text} for text in found.order[:n]]


def _instances(context: str, given: Fields) -> list[Made]:
    made = []
    for one in _shelf(context).of(given["passage"]):
        query, entity = one.text.split(_MARK)
        fields = {"passage": given["passage"], "query": query, "entity": entity}
        why = {label: reason(one.phenomenon, "query", verdict) for label, verdict in _VERDICT.items()}
        made.append(Made(fields, one.label, why))
    return made


RECORD = Kind(
    labels=LABELS,
    given=("passage",),
    writes=("query", "entity"),
    seeds=_seeds,
    instances=_instances,
    judge=lambda context, fields: among(_instances(context, fields), fields),
)
