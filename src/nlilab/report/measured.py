"""What this run measured, as a published table asks for it: a model, a task, a measure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nlilab.report.pairs import rank, spread

OF_A_LABEL = ("precision", "recall", "f1")  # of the first label: true, vulnerable, entailment


@dataclass(frozen=True)
class Value:
    """A share, between `low` and `high`: of accuracy the interval, of all else the range of the seeds."""

    model: str
    suite: str
    value: float
    low: float
    high: float
    seeds: list[float]
    contaminated: bool = False


@dataclass(frozen=True)
class Measured:
    """The figures of a run.

    tasks: suite -> task; accuracy: suite -> model -> mean, low, high, seeds; scores: suite -> `models` -> seed;
    contaminated: (model, suite); base: what every model starts from.
    """

    tasks: Mapping[str, str]
    accuracy: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Any]
    contaminated: Collection[tuple[str, str]]
    base: str

    def find(self, model: str, task: str, measure: str) -> Value | None:
        """A model on the first suite of a task that it reads, or None where there is none (or no such measure)."""
        for suite, own in self.tasks.items():
            if own == task and model in self.accuracy[suite]:
                return self._value(model, suite, measure)
        return None

    def _value(self, model: str, suite: str, measure: str) -> Value | None:
        tainted = (model, suite) in self.contaminated
        if measure == "accuracy":
            found = self.accuracy[suite][model]
            return Value(model, suite, found["mean"], found["low"], found["high"], list(found["seeds"]), tainted)
        seeds = [_of(scored, measure) for scored in self.scores[suite]["models"][model].values()]
        held = [seed for seed in seeds if seed is not None]
        if not held:
            return None
        return Value(model, suite, *spread(held), held, tainted)


def _of(scored: Mapping[str, Any], measure: str) -> float | None:
    if measure in OF_A_LABEL:
        classes = scored["classes"]
        scored = classes[min(classes, key=rank)]
        if measure == "precision" and not scored["predicted"]:
            return None  # of no alarms none can be right
    value: float | None = scored.get(measure)
    return value
