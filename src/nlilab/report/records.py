"""Records of the comparison as the report reads them: two models on one suite, one model under one attack."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from nlilab.core.schema import NON_ENTAILMENT, THREE_WAY
from nlilab.report.numbers import size, whole

BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
EQUIVALENT, NOT_WORSE, NOT_BETTER = "equivalent", "not-worse", "not-better"
# Files sort their keys; people read labels in this order, the positive one of two first, and all else as it stands.
LABELS = (*THREE_WAY, NON_ENTAILMENT, "true", "choice1", "vulnerable", "false", "choice2", "safe")

One = TypeVar("One")
Key = TypeVar("Key")


@dataclass(frozen=True)
class Verdict:
    """How a verdict is said (first in a sentence, and after others), its marks in texts and keys, its look in plots.

    The colour is a name of the page's palette; the name of the verdict is its tone; `turned` is what the baseline gets.
    """

    first: str
    later: str
    mark: str
    key: str
    shape: str
    colour: str
    turned: str


VERDICTS = {
    BETTER: Verdict("beats {} on", "beats {} on", "▲", "▲", "triangle-up", "blue", WORSE),
    WORSE: Verdict("falls behind {} on", "falls behind on", "▼", "▼", "triangle-down", "vermillion", BETTER),
    EQUIVALENT: Verdict("is equivalent to {} on", "is equivalent on", "◆", "◆", "diamond", "green", EQUIVALENT),
    NOT_WORSE: Verdict("is not worse than {} on", "is not worse on", "▷", "▶", "triangle-right", "sky", NOT_BETTER),
    NOT_BETTER: Verdict("is not better than {} on", "is not better on", "◁", "◀", "triangle-left", "purple", NOT_WORSE),
    INCONCLUSIVE: Verdict(
        "against {}: inconclusive on", "is inconclusive on", "○", "●", "circle", "grey", INCONCLUSIVE
    ),
}


def plainly(verdict: str) -> str:
    """A verdict's name as it is read."""
    return verdict.replace("-", " ")


class Record(BaseModel):
    """A record of a metrics file; what the report does not say is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Bounds(Record):
    """A share with its interval."""

    value: float
    low: float
    high: float

    def turned(self) -> "Bounds":
        """The same with the other sign."""
        return Bounds(value=-self.value, low=-self.high, high=-self.low)


class Stand(Record):
    """One model under one attack; a hardened one whose base was attacked too has `base` and `clean_cost`.

    `won_back` is None where the attack took nothing for sure from the base.
    """

    clean: Bounds
    attacked: Bounds
    lost: Bounds
    base: str = ""
    clean_cost: Bounds | None = None
    won_back: Bounds | None = None

    @property
    def change(self) -> Bounds | None:
        """The cost in clean accuracy as the change that it is."""
        return self.clean_cost.turned() if self.clean_cost else None


@dataclass(frozen=True)
class Attack:
    """A sample of a suite's rows under one recipe, with every victim in the order of params.yaml."""

    place: str  # suite@recipe
    suite: str
    recipe: str
    rows: int
    stands: Mapping[str, Stand]


class Changes(Record):
    """What becomes of rows from one model to another, each row once for every seed."""

    fixed: int
    introduced: int
    remaining: int
    kept: int

    @property
    def wrong_before(self) -> int:
        """The denominator of `fixed`, and of the net change."""
        return self.fixed + self.remaining

    @property
    def right_before(self) -> int:
        """The denominator of `introduced`."""
        return self.introduced + self.kept

    @property
    def decisions(self) -> int:
        """Rows x seeds."""
        return self.wrong_before + self.right_before

    @property
    def shares(self) -> str | None:
        """Fixed, introduced and remaining in % of their sum, as Khan's report has them; None where all were right."""
        parts = (self.fixed, self.introduced, self.remaining)
        return " / ".join(f"{100 * part / sum(parts):.1f}" for part in parts) if any(parts) else None

    def turned(self) -> "Changes":
        """The same from the other side."""
        return self.model_copy(update={"fixed": self.introduced, "introduced": self.fixed})


class Part(Record):
    """A difference in accuracy within some rows: a gold class, or a slice (which has its changes too)."""

    difference: float
    low: float
    high: float
    rows: int
    changes: Changes | None = Field(None, alias="transitions")

    def turned(self) -> Self:
        """The same from the other side."""
        changes = self.changes.turned() if self.changes else None
        ends = {"difference": -self.difference, "low": -self.high, "high": -self.low}
        return self.model_copy(update={**ends, "changes": changes})


class Pair(Part):
    """`model` against `baseline` (the one named earlier in params.yaml) on one suite; all values are shares."""

    suite: str
    model: str
    baseline: str
    seeds: int
    p: float
    p_corrected: float
    mcnemar: list[float]
    detectable: float = Field(alias="minimum_detectable_effect")
    verdict: str
    reason: str
    equal_steps: bool
    contaminated: bool
    changes: Changes = Field(alias="transitions")
    classes: dict[str, Part]
    slices: dict[str, Part] = {}
    one_label: bool = False  # neither of the two is better than giving the most frequent label to every row
    parameters: tuple[int | None, int | None] = (None, None)  # of the model and of the baseline
    trained_on: tuple[int | None, int | None] = (None, None)  # rows of their arms

    @property
    def unequal(self) -> dict[str, str]:
        """What else differs between the two beside what their rows say, in a word and in words."""
        out = {} if self.equal_steps else {"steps": "optimiser steps"}
        for key, said, (ours, theirs) in (("parameters", size, self.parameters), ("rows", whole, self.trained_on)):
            if ours and theirs and said(ours) != said(theirs):  # untuned: no rows; a label more in the head: no size
                out[key] = f"{key} ({said(ours)} against {said(theirs)})"
        return out

    def turned(self) -> Self:
        """The same from the other side."""
        parts = {key: {n: part.turned() for n, part in getattr(self, key).items()} for key in ("classes", "slices")}
        names = {"model": self.baseline, "baseline": self.model, "verdict": VERDICTS[self.verdict].turned}
        both = {key: getattr(self, key)[::-1] for key in ("parameters", "trained_on")}
        return super().turned().model_copy(update={**names, **parts, **both})


def pairs_of(comparison: Mapping[str, Any], suites: Sequence[str]) -> list[Pair]:
    """The comparison's records on these suites, typed, in the order of the suites."""
    found = {"parameters": comparison.get("parameters", {}), "trained_on": comparison.get("rows", {})}
    records = [
        record | {key: tuple(of.get(record[who]) for who in ("model", "baseline")) for key, of in found.items()}
        for record in comparison["pairs"]
        if record["suite"] in suites
    ]
    return sorted((Pair.model_validate(ordered(one)) for one in records), key=lambda pair: suites.index(pair.suite))


def grouped(items: Iterable[One], key: Callable[[One], Key]) -> dict[Key, list[One]]:
    """Items by their key, in the order in which keys first stand."""
    out: dict[Key, list[One]] = {}
    for item in items:
        out.setdefault(key(item), []).append(item)
    return out


def matchups_of(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """One list over all suites for each two models, in the order in which they first stand."""
    return list(grouped(pairs, lambda pair: (pair.model, pair.baseline)).values())


def between(pairs: Iterable[Pair], suite: str, model: str, baseline: str) -> Pair | None:
    """The pair of these two models on this suite, turned round where params.yaml names the baseline later."""
    for pair in pairs:
        if pair.suite == suite and {pair.model, pair.baseline} == {model, baseline}:
            return pair if pair.model == model else pair.turned()
    return None


def reach(value: Any, *path: str) -> Any:
    """What stands at a path of nested mappings, None where there is no such place."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def mean_of(seeds: Mapping[str, Any], *path: str) -> float | None:
    """What stands at a path of each seed's values, averaged; None where it stands nowhere."""
    values = [value for found in seeds.values() if (value := reach(found, *path)) is not None]
    return fmean(values) if values else None


def spread(values: Sequence[float]) -> Bounds:
    """The mean of some seeds' values, the least and the greatest."""
    return Bounds(value=sum(values) / len(values), low=min(values), high=max(values))


def rank(name: str) -> int:
    """A label's place among labels; all else stands behind them."""
    return LABELS.index(name) if name in LABELS else len(LABELS)


def ordered(value: Any) -> Any:
    """The same value with labels in the order of `LABELS` wherever they are keys."""
    if not isinstance(value, dict):
        return value
    return {key: ordered(value[key]) for key in sorted(value, key=rank)}
