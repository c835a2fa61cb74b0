"""What counts as a word wherever words are counted, and what two sentences share of them."""

import re
from collections.abc import Collection

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The lower-cased words of a text, in order; punctuation separates: "don't" is two."""
    return WORD.findall(text.lower())


def overlap(premise: Collection[str], hypothesis: Collection[str]) -> float:
    """|H and P| / |H| over the distinct words of both; 0 where the hypothesis has none."""
    own = set(hypothesis)
    return len(own.intersection(premise)) / max(1, len(own))
