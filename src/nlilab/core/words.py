"""What counts as a word wherever words are counted, and what two sentences share of them."""

import re
import unicodedata
from collections.abc import Collection

import regex

# By `regex`: for `re` an accent or a vowel sign of its own parts words, so that Hindi falls to pieces.
WORD_CHARACTER = r"[\w\p{M}\p{N}]"
WORD = regex.compile(f"{WORD_CHARACTER}+")
# The negation words of seed report 003's challenge slices; matched on word boundaries.
NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|without|cannot)\b|n['’]t\b", re.IGNORECASE
)


def words(text: str) -> list[str]:
    """The lower-cased words of a text, in order; punctuation separates: "don't" is two; accents are composed (NFC)."""
    found: list[str] = WORD.findall(unicodedata.normalize("NFC", text.lower()))
    return found


def overlap(premise: Collection[str], hypothesis: Collection[str]) -> float:
    """|H and P| / |H| over the distinct words of both; 0 where the hypothesis has none."""
    own = set(hypothesis)
    return len(own.intersection(premise)) / max(1, len(own))
