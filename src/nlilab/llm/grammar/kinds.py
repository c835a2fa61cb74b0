"""What the grammar has to know of a task: how to write seeds, the instances about a seed, and how to judge its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from nlilab.llm.grammar.cast import Dice, fraction
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.lexicon import Domain, lexicon

Fields = Mapping[str, str]
GUESTS = 6  # roles of other domains that a context which is none of the grammar's gets beside its domain's


@dataclass(frozen=True)
class Made:
    """One instance: all its fields, its label by construction, and for every label the reason that a judge gives.

    A judge that is to err needs a reason too.
    """

    fields: Fields
    label: str
    why: Fields


@dataclass(frozen=True)
class Kind:
    """A task: `seeds(context, n)` writes, `instances(context, seed)` are all answers, `judge(context, fields)` says."""

    labels: tuple[str, ...]
    given: tuple[str, ...]  # the seed fields and the turns, which instances() needs
    writes: tuple[str, ...]
    seeds: Callable[[str, int], Sequence[Fields]]
    instances: Callable[[str, Fields], Iterable[Made]]
    judge: Callable[[str, Fields], Made]


def among(made: Iterable[Made], fields: Fields) -> Made:
    """The instance that has these fields."""
    for one in made:
        if all(fields[name] == text for name, text in one.fields.items() if name in fields):
            return one
    shown = "; ".join(f"{name} {text[:80]!r}" for name, text in fields.items() if name not in ("task", "step"))
    raise ForeignText(f"no instance of the grammar's own has {shown}")


def distinct(n: int, drawn: Callable[[int], Iterable[Fields]]) -> list[Fields]:
    """The first `n` different seeds of `drawn(0)`, `drawn(1)`, ...; fewer where hardly anything new comes any more."""
    made: dict[tuple[str, ...], Fields] = {}
    for number in range(20 * n + 1_000):
        if len(made) >= n:
            break
        for seed in drawn(number):
            made.setdefault(tuple(seed.values()), seed)
    return list(made.values())[:n]


def domain_of(context: str) -> Domain:
    """The domain of this name; for any other context one that depends on its text alone."""
    domains = lexicon().domains
    return domains.get(context) or list(domains.values())[int(fraction("domain", context) * len(domains))]


def cast_of(context: str) -> Domain:
    """The context's domain; where other contexts share it, with some roles that they do not have."""
    domain = domain_of(context)
    if domain.context == context:
        return domain
    others = [entry for other in lexicon().domains.values() for entry in other.people.items()]
    guests = Dice("guests", context).some(others, GUESTS)
    return replace(domain, people={**domain.people, **dict(guests)})


@lru_cache(maxsize=64)
def words(path: str) -> Any:
    """A word list of the package: words/<path>.yaml (parsed in C where it can be, which takes a tenth of the time)."""
    text = resources.files(__package__).joinpath("words", f"{path}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
