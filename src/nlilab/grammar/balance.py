"""Choosing among a premise's hypotheses so that neither their words nor their length nor their overlap tells the label."""

import re
from collections.abc import Sequence
from itertools import pairwise

from nlilab.grammar.derive import Hypothesis

LABELS = ("entailment", "neutral", "contradiction")
PER_LABEL = 5
_WORD = re.compile(r"[a-z'-]+")


def words(text: str) -> list[str]:
    """Lower-case words."""
    return _WORD.findall(text.lower())


def features(premise: frozenset[str], hypothesis: str) -> list[str]:
    """What a model could read off without understanding: words, pairs of words, length and overlap."""
    tokens = words(hypothesis)
    overlap = int(6 * sum(token in premise for token in tokens) / len(tokens))
    shape = [f"length {min(len(tokens) // 2, 12)}", f"overlap {overlap}", f"both {len(tokens) // 3} {overlap // 2}"]
    pairs = [f"{one} {two}" for one, two in pairwise(tokens)]
    return [*dict.fromkeys(tokens), *pairs, *shape, *shape, *shape]


class Balance:
    """Counts of every feature under each label; a hypothesis is welcome where its features are still rare."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, ...]] = {}
        self._surplus: tuple[dict[str, float], ...] = ({}, {}, {})

    def _cost(self, label: int, found: Sequence[str]) -> float:
        surplus = self._surplus[label]
        return sum([surplus.get(feature, 0.0) for feature in found]) / len(found)

    def _count(self, label: int, found: Sequence[str]) -> None:
        for feature in found:
            counts = list(self._counts.get(feature, (0, 0, 0)))
            counts[label] += 1
            self._counts[feature] = tuple(counts)
            total = sum(counts)
            for index, surplus in enumerate(self._surplus):
                excess = 1.5 * counts[index] - 0.5 * total
                surplus[feature] = excess * abs(excess) ** 0.5 / total**0.5

    def choose(self, premise: str, candidates: Sequence[Hypothesis]) -> list[Hypothesis]:
        """At most PER_LABEL of each label, equally many, taking turns between the labels."""
        seen = frozenset(words(premise))
        pools: tuple[list[tuple[Hypothesis, list[str]]], ...] = ([], [], [])
        for candidate in candidates:
            pools[LABELS.index(candidate.label)].append((candidate, features(seen, candidate.text)))
        size = min(PER_LABEL, *map(len, pools))
        order = sorted(range(len(LABELS)), key=lambda label: len(pools[label]))
        chosen: list[Hypothesis] = []
        for label in order * size:
            costs = [self._cost(label, found) for _, found in pools[label]]
            best, found = pools[label].pop(costs.index(min(costs)))
            self._count(label, found)
            chosen.append(best)
        return chosen
