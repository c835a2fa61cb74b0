"""Choosing hypotheses so that neither their words nor their length tell the label."""

import re
from collections.abc import Sequence

from nlilab.llm.grammar.derive import Hypothesis

LABELS = ("entailment", "neutral", "contradiction")
PER_LABEL = 5
REPEATED = 0.5  # how much more welcome a neutral or a contradiction is whose every word is in the premise
REPEATED_TAG = "repeated"
NEGATIONS = frozenset({"not", "no", "nobody", "none", "cannot"})
_WORD = re.compile(r"[a-z'-]+")


def words(text: str) -> list[str]:
    """Lower-case words."""
    return _WORD.findall(text.lower())


def features(hypothesis: str) -> list[str]:
    """What a model could read off the hypothesis alone: words, length, denial.

    What the premise shares with it is not evened out (REPEATED leans against it): added words mark a neutral,
    changed ones a contradiction, as in human data. Hiding these too taught MiniLM nothing in 150 steps.
    """
    tokens = words(hypothesis)
    denied = ["denied"] * 4 if NEGATIONS & set(tokens) else []
    return [*dict.fromkeys(tokens), f"length {min(len(tokens) // 2, 12)}", *denied]


class Balance:
    """Counts of every feature under each label; a hypothesis is welcome where its features are still rare.

    The first of the labels is the one that holds; only among the others is a repetition of the premise welcome.
    """

    def __init__(self, labels: Sequence[str] = LABELS) -> None:
        self._labels = labels
        self._counts: dict[str, list[int]] = {}
        self._surplus: tuple[dict[str, float], ...] = tuple({} for _ in labels)

    def _tagged(self, seen: set[str], candidate: Hypothesis) -> list[str]:
        found = features(candidate.text)
        if candidate.label != self._labels[0] and seen.issuperset(words(candidate.text)):
            found.append(REPEATED_TAG)
        return found

    def _cost(self, label: int, found: Sequence[str]) -> float:
        surplus = self._surplus[label]
        cost = sum([surplus.get(feature, 0.0) for feature in found]) / len(found)
        return cost - REPEATED if REPEATED_TAG in found else cost

    def _count(self, label: int, found: Sequence[str]) -> None:
        for feature in found:
            counts = self._counts.setdefault(feature, [0] * len(self._labels))
            counts[label] += 1
            total = sum(counts)
            for index, surplus in enumerate(self._surplus):
                surplus[feature] = (len(self._labels) * counts[index] - total) / (1 + total) ** 0.5

    def choose(self, premise: str, candidates: Sequence[Hypothesis]) -> list[Hypothesis]:
        """At most PER_LABEL of each label, equally many, taking turns between the labels."""
        seen = set(words(premise))
        pools: tuple[list[tuple[Hypothesis, list[str]]], ...] = tuple([] for _ in self._labels)
        for candidate in candidates:
            pools[self._labels.index(candidate.label)].append((candidate, self._tagged(seen, candidate)))
        size = min(PER_LABEL, *map(len, pools))
        order = sorted(range(len(self._labels)), key=lambda label: len(pools[label]))
        chosen: list[Hypothesis] = []
        for label in order * size:
            costs = [self._cost(label, found) for _, found in pools[label]]
            best, found = pools[label].pop(costs.index(min(costs)))
            self._count(label, found)
            chosen.append(best)
        return chosen
