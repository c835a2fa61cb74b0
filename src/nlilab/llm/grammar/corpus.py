"""The premises of a domain in their fixed order, made as far as they are asked for."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from nlilab.core.errors import UserError
from nlilab.llm.grammar.balance import LABELS, Balance
from nlilab.llm.grammar.cast import Dice
from nlilab.llm.grammar.derive import Hypothesis, derive
from nlilab.llm.grammar.lexicon import Domain, lexicon
from nlilab.llm.grammar.premises import draw

PREMISES = 1_200  # of each domain
LEAST = 3  # hypotheses of each label without which a premise is dropped
Draw = Callable[[Dice, int], tuple[str, list[Hypothesis]]]


class ForeignText(UserError, KeyError):
    """A context or a premise that the grammar did not write."""

    def __str__(self) -> str:
        return str(self.args[0])


class Shelf:
    """Texts and what can be said about each; what stands earlier never depends on what comes later.

    `drawn(dice, number)` gives the text with this number and all that can be said about it.
    """

    def __init__(self, name: object, drawn: Draw, labels: Sequence[str] = LABELS, least: int = LEAST) -> None:
        """A text is dropped where there is less than `least` to say of it under any of the labels."""
        self._name = name
        self._draw = drawn
        self._labels = labels
        self._least = least
        self._balance = Balance(labels)
        self._drawn = 0
        self.order: list[str] = []
        self.hypotheses: dict[str, list[Hypothesis]] = {}

    def grow(self, count: int, until: str | None = None) -> None:
        """Make texts until there are `count`, or until the one looked for is there."""
        while len(self.order) < min(count, PREMISES) and until not in self.hypotheses:
            text, found = self._draw(Dice(self._name, self._drawn), self._drawn)
            self._drawn += 1
            if text in self.hypotheses:
                continue
            if min(sum(h.label == name for h in found) for name in self._labels) >= self._least:
                self.hypotheses[text] = self._balance.choose(text, found)
                self.order.append(text)

    def of(self, text: str, most: int = PREMISES) -> list[Hypothesis]:
        """What can be said about one of the first `most` texts, equally many of each label."""
        self.grow(most, until=text)
        if text not in self.hypotheses:
            raise ForeignText(f"{text!r} was not written by the grammar for {self._name!r}")
        return self.hypotheses[text]


@lru_cache(maxsize=64)
def shelf(context: str) -> Shelf:
    """The shelf of a context, matched by exact string."""
    if context not in lexicon().domains:
        raise ForeignText(f"context {context!r} is not one of the grammar's: {', '.join(lexicon().domains)}")
    return scenes(context, lexicon().domains[context])


def scenes(name: object, domain: Domain, long: bool = False) -> Shelf:
    """A shelf of one-scene premises; `long`: none of the shortest captions."""

    def drawn(dice: Dice, number: int) -> tuple[str, list[Hypothesis]]:
        scene = draw(dice, domain, number, long)
        return scene.text, derive(dice, domain, scene)

    return Shelf(name, drawn)


def contexts() -> list[str]:
    """The domains as short descriptions."""
    return list(lexicon().domains)


def premises(context: str, n: int) -> list[str]:
    """The first `n` premises of a context (at most PREMISES)."""
    found = shelf(context)
    found.grow(n)
    return found.order[:n]


def hypotheses(context: str, premise: str) -> list[Hypothesis]:
    """The hypotheses about one of the context's own premises, equally many of each label."""
    return shelf(context).of(premise)
