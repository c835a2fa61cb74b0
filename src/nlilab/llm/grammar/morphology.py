"""English word forms: verbs, plurals, articles, and the finish of a sentence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VOWEL = re.compile(r"\b([Aa])n? (?=([\w-]+))")
_AN = re.compile(r"^(?:[aeio]|u(?!s|ni)|hour|honest)", re.IGNORECASE)
_PLURALS = {"man": "men", "woman": "women", "child": "children", "person": "people", "craftsperson": "craftspeople"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Verbs:
    """The irregular verbs (base: past, participle) and those that double their last consonant."""

    irregular: Mapping[str, Sequence[str]]
    doubling: frozenset[str]

    def gerund(self, base: str) -> str:
        """The -ing form."""
        if base in ("tie", "lie"):
            return base[:-2] + "ying"
        if base in self.doubling:
            return base + base[-1] + "ing"
        if base.endswith("e") and not base.endswith(("ee", "ye", "oe")):
            return base[:-1] + "ing"
        return base + "ing"

    def past(self, base: str) -> str:
        """The simple past."""
        return self.irregular[base][0] if base in self.irregular else self._regular(base)

    def participle(self, base: str) -> str:
        """The past participle."""
        return self.irregular[base][1] if base in self.irregular else self._regular(base)

    def _regular(self, base: str) -> str:
        if base in self.doubling:
            return base + base[-1] + "ed"
        if base.endswith("e"):
            return base + "d"
        if base.endswith("y") and base[-2] not in "aeiou":
            return base[:-1] + "ied"
        return base + "ed"


def plural(noun: str) -> str:
    """The plural of a noun phrase whose head is its last word before any preposition."""
    head, *rest = re.split(r" (?=in |of )", noun, maxsplit=1)
    for singular, many in _PLURALS.items():
        if head.endswith(singular):
            return " ".join([head[: -len(singular)] + many, *rest])
    if head.endswith(("s", "x", "ch", "sh")):
        head += "es"
    elif head.endswith("y") and head[-2] not in "aeiou":
        head = head[:-1] + "ies"
    else:
        head += "s"
    return " ".join([head, *rest])


def articles(text: str) -> str:
    """Set every "a" and "an" by the sound that follows."""

    def fit(match: re.Match[str]) -> str:
        return match[1] + ("n " if _AN.match(match[2]) else " ")

    return _VOWEL.sub(fit, text)


def sentence(text: str, end: str = ".") -> str:
    """Single spaces, the right articles, a capital and a final mark."""
    text = articles(" ".join(text.split()))
    text = re.sub(r" (?=[.,;])", "", text)
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!", '."')) else text + end
