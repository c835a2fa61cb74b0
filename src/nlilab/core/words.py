"""What counts as a word wherever words are counted, and what two sentences share of them."""

import re
from collections.abc import Collection

WORD = re.compile(r"\w+")
# The negation words of seed report 003's challenge slices; matched on word boundaries.
NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|without|cannot)\b|n['’]t\b", re.IGNORECASE
)


def words(text: str) -> list[str]:
    """The lower-cased words of a text, in order; punctuation separates: "don't" is two."""
    return WORD.findall(text.lower())


def overlap(premise: Collection[str], hypothesis: Collection[str]) -> float:
    """|H and P| / |H| over the distinct words of both; 0 where the hypothesis has none."""
    own = set(hypothesis)
    return len(own.intersection(premise)) / max(1, len(own))
