"""Two models on one suite, as the report shows them: difference, verdict, and what changed row by row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from nlilab.core.schema import NON_ENTAILMENT, THREE_WAY

BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
# What a pair takes from its record as it is.
SAME = (
    *("suite", "model", "baseline", "rows", "seeds", "difference", "low", "high", "p", "p_holm"),
    *("mcnemar", "verdict", "reason", "equal_steps", "contaminated"),
)

# Files sort their keys; people read labels in this order, the positive one of two first, and all else as it stands.
LABELS = (*THREE_WAY, NON_ENTAILMENT, "true", "choice1", "vulnerable", "false", "choice2", "safe")


@dataclass(frozen=True)
class Changes:
    """What becomes of rows from one model to another, each row once for every seed."""

    fixed: int
    introduced: int
    remaining: int
    kept: int

    @property
    def decisions(self) -> int:
        """Rows x seeds."""
        return self.errors + self.kept

    @property
    def wrong_before(self) -> int:
        """The denominator of `fixed`, and of the net change."""
        return self.fixed + self.remaining

    @property
    def right_before(self) -> int:
        """The denominator of `introduced`."""
        return self.introduced + self.kept

    @property
    def errors(self) -> int:
        """What one of the two had wrong: the denominator that the report of seed 003 uses for all three."""
        return self.fixed + self.introduced + self.remaining


@dataclass(frozen=True)
class Part:
    """A difference in accuracy within some rows: a gold class, or a slice (which has its changes too)."""

    difference: float
    low: float
    high: float
    rows: int
    changes: Changes | None


@dataclass(frozen=True)
class Pair:
    """`model` against `baseline` (the one named earlier in params.yaml) on one suite; all values are shares."""

    suite: str
    model: str
    baseline: str
    rows: int
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    mcnemar: list[float]
    detectable: float
    verdict: str
    reason: str
    equal_steps: bool
    contaminated: bool
    changes: Changes
    classes: Mapping[str, Part]
    slices: Mapping[str, Part]
    one_label: bool = False  # neither of the two is better than giving the most frequent label to every row


def pairs_of(comparison: Mapping[str, Any], suites: Sequence[str]) -> list[Pair]:
    """The comparison's records on these suites, typed, in the order of the suites."""
    records = [record for record in comparison["pairs"] if record["suite"] in suites]
    return [_pair(record) for record in sorted(records, key=lambda record: suites.index(record["suite"]))]


def matchups_of(pairs: Iterable[Pair], tasks: Mapping[str, str] | None = None) -> list[list[Pair]]:
    """One list over all suites for each two models, in the order in which they first stand.

    With `tasks` (suite -> task) those that share several tasks stand behind those that share one.
    """
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.model, pair.baseline), []).append(pair)
    known = tasks or {}
    return sorted(found.values(), key=lambda shared: len({known.get(pair.suite) for pair in shared}))


def between(pairs: Iterable[Pair], suite: str, model: str, baseline: str) -> Pair | None:
    """The pair of these two models on this suite, turned round where params.yaml names the baseline later."""
    for pair in pairs:
        if pair.suite == suite and {pair.model, pair.baseline} == {model, baseline}:
            return pair if pair.model == model else _turned(pair)
    return None


def _turned(pair: Pair) -> Pair:
    return replace(
        pair,
        model=pair.baseline,
        baseline=pair.model,
        difference=-pair.difference,
        low=-pair.high,
        high=-pair.low,
        verdict={BETTER: WORSE, WORSE: BETTER}.get(pair.verdict, pair.verdict),
        changes=_turned_changes(pair.changes),
        classes={name: _turned_part(part) for name, part in pair.classes.items()},
        slices={name: _turned_part(part) for name, part in pair.slices.items()},
    )


def _turned_part(part: Part) -> Part:
    changes = _turned_changes(part.changes) if part.changes else None
    return replace(part, difference=-part.difference, low=-part.high, high=-part.low, changes=changes)


def _turned_changes(changes: Changes) -> Changes:
    return replace(changes, fixed=changes.introduced, introduced=changes.fixed)


def mean_of(seeds: Mapping[str, Any], *path: str) -> float | None:
    """What stands at a path of each seed's values, averaged; None where it stands nowhere."""
    values = []
    for found in seeds.values():
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            values.append(found)
    return fmean(values) if values else None


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of some seeds' values, the least and the greatest."""
    return sum(values) / len(values), min(values), max(values)


def rank(name: str) -> int:
    """A label's place among labels; all else stands behind them."""
    return LABELS.index(name) if name in LABELS else len(LABELS)


def ordered(value: Any) -> Any:
    """The same value with labels in the order of `LABELS` wherever they are keys."""
    if not isinstance(value, dict):
        return value
    return {key: ordered(value[key]) for key in sorted(value, key=rank)}


def _pair(record: Mapping[str, Any]) -> Pair:
    return Pair(
        detectable=record["minimum_detectable_effect"],
        one_label=record.get("one_label", False),
        changes=_changes(record["transitions"]),
        classes=_parts(ordered(record["classes"])),
        slices=_parts(record.get("slices", {})),
        **{name: record[name] for name in SAME},
    )


def _parts(records: Mapping[str, Any]) -> dict[str, Part]:
    plain = ("difference", "low", "high", "rows")
    return {
        name: Part(
            **{key: part[key] for key in plain},
            changes=_changes(part["transitions"]) if "transitions" in part else None,
        )
        for name, part in records.items()
    }


def _changes(record: Mapping[str, Any]) -> Changes:
    return Changes(**{name: record[name] for name in ("fixed", "introduced", "remaining", "kept")})
