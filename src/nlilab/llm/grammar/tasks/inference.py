"""nli, gnli and rte: a scene and a hypothesis about it, with three labels or two."""

from functools import lru_cache

from nlilab.llm.grammar.balance import LABELS
from nlilab.llm.grammar.corpus import Shelf, scenes, shelf
from nlilab.llm.grammar.explain import explanation
from nlilab.llm.grammar.kinds import Fields, Kind, Made, among, domain_of
from nlilab.llm.grammar.lexicon import lexicon

_TWO = {"entailment": "entailment", "neutral": "non-entailment", "contradiction": "non-entailment"}


@lru_cache(maxsize=64)
def _long(context: str) -> Shelf:
    return scenes(("long", context), domain_of(context), long=True)


def _any(context: str) -> Shelf:
    """The grammar's own contexts as for nli; the others share domains, and short captions would meet again."""
    return shelf(context) if context in lexicon().domains else _long(context)


def _seeds(found: Shelf, n: int) -> list[Fields]:
    found.grow(n)
    return [{"premise": premise} for premise in found.order[:n]]


def _instances(found: Shelf, premise: str) -> list[Made]:
    return [
        Made(
            {"premise": premise, "hypothesis": h.text},
            h.label,
            {name: explanation(h.phenomenon, name) for name in LABELS},
        )
        for h in found.of(premise)
    ]


def _two(made: list[Made]) -> list[Made]:
    return [
        Made(
            one.fields,
            _TWO[one.label],
            {
                "entailment": one.why["entailment"],
                "non-entailment": one.why["neutral" if one.label == "entailment" else one.label],
            },
        )
        for one in made
    ]


NLI = Kind(
    labels=LABELS,
    given=("premise",),
    writes=("hypothesis",),
    seeds=lambda context, n: _seeds(shelf(context), n),
    instances=lambda context, given: _instances(shelf(context), given["premise"]),
    judge=lambda context, fields: among(_instances(shelf(context), fields["premise"]), fields),
)
GNLI = Kind(
    labels=LABELS,
    given=("premise",),
    writes=("hypothesis",),
    seeds=lambda context, n: _seeds(_any(context), n),
    instances=lambda context, given: _instances(_any(context), given["premise"]),
    judge=lambda context, fields: among(_instances(_any(context), fields["premise"]), fields),
)
RTE = Kind(
    labels=("entailment", "non-entailment"),
    given=("premise",),
    writes=("hypothesis",),
    seeds=lambda context, n: _seeds(_long(context), n),
    instances=lambda context, given: _two(_instances(_long(context), given["premise"])),
    judge=lambda context, fields: among(_two(_instances(_long(context), fields["premise"])), fields),
)
