"""The suite of the grammar's own held-out pairs: python -m nlilab.llm.grammar.held_out > data/embedded/held-out.jsonl

It shows what a model has learnt of the grammar itself, beside the suites that show what it has learnt of the language.
Labels hold by construction; its premises come after those that a plan of up to FIRST premises in a context takes, and
curation drops what still comes too close.
"""

import json
from collections.abc import Iterator

from nlilab.llm.grammar.balance import LABELS
from nlilab.llm.grammar.cast import fraction
from nlilab.llm.grammar.corpus import contexts, hypotheses, premises

FIRST, COUNT = 200, 16  # premises of each context


def pairs() -> Iterator[dict[str, str]]:
    """One hypothesis of each label for each premise."""
    for place, context in enumerate(contexts()):
        for number, premise in enumerate(premises(context, FIRST + COUNT)[FIRST:]):
            own = sorted(hypotheses(context, premise), key=lambda h: fraction(premise, "held out", h.text))
            for label in LABELS:
                hypothesis = next(h.text for h in own if h.label == label)
                name = f"held-out-{place}-{number}-{label}"
                yield {"id": name, "premise": premise, "hypothesis": hypothesis, "label": label}


if __name__ == "__main__":
    for pair in pairs():
        print(json.dumps(pair))
