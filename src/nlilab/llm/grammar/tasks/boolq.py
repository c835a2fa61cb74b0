"""boolq: a passage, and a claim that it makes true or false as a yes/no question."""

import re
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice
from nlilab.llm.grammar.corpus import Shelf
from nlilab.llm.grammar.derive import Hypothesis, variants
from nlilab.llm.grammar.explain import reason
from nlilab.llm.grammar.kinds import Fields, Kind, Made, among, domain_of
from nlilab.llm.grammar.meaning import Claim, label
from nlilab.llm.grammar.morphology import sentence
from nlilab.llm.grammar.passages import TENSE, passage
from nlilab.llm.grammar.speech import say

LABELS = ("true", "false")
CLAIMS = 60  # of each passage that are tried as a question
_LABEL = {"entailment": "true", "contradiction": "false"}
_VERDICT = {"true": "by the passage the answer is yes", "false": "by the passage the answer is no"}
_WAS = re.compile(r"(.+?) (was|were) (.+)\.")
_UNASKED = re.compile(r"\bnot\b|^(?:Nobody|No|Either)\b|,| and ")  # "was he not ..." may be answered either way


def question(text: str) -> str | None:
    """The claim as people type a question: lower case, no question mark; None where it cannot be turned round."""
    turned = _WAS.fullmatch(text)
    return None if turned is None or _UNASKED.search(text) else f"{turned[2]} {turned[1]} {turned[3]}".lower()


@lru_cache(maxsize=64)
def _shelf(context: str) -> Shelf:
    domain = domain_of(context)

    def drawn(dice: Dice, number: int) -> tuple[str, list[Hypothesis]]:
        scene = passage(dice, domain)
        made: dict[str, Hypothesis] = {}
        for event, phenomenon in dice.some(variants(dice, domain, scene), CLAIMS):
            claim = Claim("is", events=(event,))
            found, asked = label(scene.worlds, claim), question(sentence(say(claim, TENSE)))
            if asked and found in _LABEL:
                made.setdefault(asked, Hypothesis(asked, _LABEL[found], phenomenon))
        return scene.text, list(made.values())

    return Shelf(("boolq", context), drawn, LABELS)


def _seeds(context: str, n: int) -> list[Fields]:
    found = _shelf(context)
    found.grow(n)
    return [{"passage": text} for text in found.order[:n]]


def _instances(context: str, given: Fields) -> list[Made]:
    return [
        Made(
            {"passage": given["passage"], "question": h.text},
            h.label,
            {name: reason(h.phenomenon, "question", verdict) for name, verdict in _VERDICT.items()},
        )
        for h in _shelf(context).of(given["passage"])
    ]


BOOLQ = Kind(
    labels=LABELS,
    given=("passage",),
    writes=("question",),
    seeds=_seeds,
    instances=_instances,
    judge=lambda context, fields: among(_instances(context, fields), fields),
)
