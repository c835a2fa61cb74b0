"""The premises of a domain in their fixed order, made as far as they are asked for."""

from functools import lru_cache

from nlilab.errors import UserError
from nlilab.grammar.balance import LABELS, Balance
from nlilab.grammar.cast import Dice
from nlilab.grammar.derive import Hypothesis, derive
from nlilab.grammar.lexicon import lexicon
from nlilab.grammar.premises import draw

PREMISES = 1_200  # of each domain
_LEAST = 3  # hypotheses of each label without which a premise is dropped


class ForeignText(UserError, KeyError):
    """A context or a premise that the grammar did not write."""

    def __str__(self) -> str:
        return str(self.args[0])


class Shelf:
    """One domain's premises and their hypotheses; what stands earlier never depends on what comes later."""

    def __init__(self, context: str) -> None:
        self._domain = lexicon().domains[context]
        self._balance = Balance()
        self._drawn = 0
        self.order: list[str] = []
        self.hypotheses: dict[str, list[Hypothesis]] = {}

    def grow(self, count: int, until: str | None = None) -> None:
        """Make premises until there are `count`, or until the one looked for is there."""
        while len(self.order) < min(count, PREMISES) and until not in self.hypotheses:
            dice = Dice(self._domain.context, self._drawn)
            scene = draw(dice, self._domain, self._drawn)
            self._drawn += 1
            if scene.text in self.hypotheses:
                continue
            found = derive(dice, self._domain, scene)
            if min(sum(h.label == name for h in found) for name in LABELS) >= _LEAST:
                self.hypotheses[scene.text] = self._balance.choose(scene.text, found)
                self.order.append(scene.text)


@lru_cache(maxsize=64)
def shelf(context: str) -> Shelf:
    """The shelf of a context, matched by exact string."""
    if context not in lexicon().domains:
        raise ForeignText(f"context {context!r} is not one of the grammar's: {', '.join(lexicon().domains)}")
    return Shelf(context)


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
    found = shelf(context)
    found.grow(PREMISES, until=premise)
    if premise not in found.hypotheses:
        raise ForeignText(f"premise {premise!r} was not written by the grammar for {context!r}")
    return found.hypotheses[premise]
