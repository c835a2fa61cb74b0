"""The words of every domain, read once from lexicon.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from nlilab.llm.grammar.morphology import Verbs

_SLOT = re.compile(r"\{([^{}]+)/([^{}]+)\}")
_PREPOSITION = re.compile(r"\b(to|of|on|in|with|for|into|at|about|from|under|out)\b")


@dataclass(frozen=True)
class Act:
    """What a person does: verb phrases in the base form, {} for the adjective and @ for the other person."""

    phrase: str
    contrast: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    converse: tuple[str, ...] = ()
    weaker: tuple[str, ...] = ()
    kind: str = ""  # "" rules out other busy acts, "~" none, "!" all; between two persons: "%" one way, "&" mutual

    @property
    def pair(self) -> bool:
        """Whether it is done to another person."""
        return "@" in self.phrase

    def object(self) -> str | None:
        """The direct object (with its {} slot) where the passive is natural."""
        rest = self.phrase.partition(" ")[2]
        if rest == "@":
            return rest
        plain = re.match(r"(an?|the|some) ", rest) and not _PREPOSITION.search(rest)
        return rest if plain else None


@dataclass(frozen=True)
class Domain:
    """One domain: its persons (noun: hypernym), places (phrase: inside or outside), things and acts."""

    context: str
    people: Mapping[str, str]
    places: Mapping[str, str]
    acts: tuple[Act, ...]
    pairs: tuple[Act, ...]


@dataclass(frozen=True)
class Lexicon:
    """All domains and what they share."""

    domains: Mapping[str, Domain]
    verbs: Verbs
    names: tuple[str, ...]
    everyone: Mapping[str, str]
    modifiers: Mapping[str, tuple[tuple[str, ...], ...]]
    attributes: Mapping[str, tuple[tuple[str, ...], ...]]
    settings: tuple[tuple[str, ...], ...]


def parse_act(line: str) -> Act:
    """Read one act from its line of lexicon.yaml."""
    kind = line[0] if line[0] in "~!%&" else ""
    parts = re.split(r" ([=<>]) ", line.removeprefix(kind))
    found: dict[str, list[str]] = {"=": [], "<": [], ">": []}
    for mark, text in zip(parts[1::2], parts[2::2], strict=True):
        found[mark] += text.split(", ") if mark == ">" else [text]
    slot = _SLOT.search(parts[0])
    return Act(
        phrase=_SLOT.sub("{}", parts[0]),
        contrast=(slot[1], slot[2]) if slot else (),
        same=tuple(found["="]),
        converse=tuple(found["<"]),
        weaker=tuple(found[">"]),
        kind=kind,
    )


def _nouns(entries: list[str]) -> dict[str, str]:
    pairs = (entry.partition(":") for entry in entries)
    return {noun: above or "person" for noun, _, above in pairs}


def _domain(context: str, raw: Mapping[str, Any], shared: Mapping[str, Any]) -> Domain:
    trades = [line.replace("{ITEM}", item) for line in shared["trade_acts"] for item in raw["items"]]
    places = dict.fromkeys(raw["inside"], "indoors") | dict.fromkeys(raw["outside"], "outdoors")
    return Domain(
        context=context,
        people=_nouns(raw["people"]),
        places=places,
        acts=tuple(parse_act(line) for line in [*raw["acts"], *shared["common_acts"]]),
        pairs=tuple(parse_act(line) for line in [*shared["pair_acts"], *trades]),
    )


def _groups(raw: Mapping[str, list[list[str]]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {name: tuple(tuple(g) if isinstance(g, list) else (g,) for g in groups) for name, groups in raw.items()}


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The lexicon of the package."""
    raw = yaml.safe_load(resources.files(__package__).joinpath("lexicon.yaml").read_text(encoding="utf-8"))
    return Lexicon(
        domains={context: _domain(context, domain, raw) for context, domain in raw["domains"].items()},
        verbs=Verbs(raw["irregular"], frozenset(raw["doubling"])),
        names=tuple(raw["names"]),
        everyone=_nouns(raw["everyone"]),
        modifiers=_groups(raw["modifiers"]),
        attributes=_groups(raw["attributes"]),
        settings=tuple(tuple(pair) for pair in raw["settings"]),
    )
