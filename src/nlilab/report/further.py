"""What suites measure beside accuracy, and how well vulnerable code is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nlilab.report.facts import Facts
from nlilab.report.pairs import mean_of, spread

# The measure's place in scores.json, its name, and what it is.
FURTHER = {
    "auc": ("AUC", "area under the ROC curve of the suite's first label; 50 is chance, whatever the labels' shares"),
    "binary/argmax_then_map": (
        "two-way, argmax",
        "entailment or not, said by the likeliest of the three labels: accuracy",
    ),
    "binary/prob_sum": ("two-way, sum", "entailment or not, said by whether its probability is over half: accuracy"),
    "f1a": ("F1a", "F1 of the label true over all options"),
    "f1m": ("F1m", "F1 of the label true in each question, averaged over the questions"),
    "em": (
        "EM",
        "share of questions answered in full: every option right, or the candidate picked word for word right",
    ),
    "f1": ("F1", "words that the candidate picked shares with the nearest right answer"),
    "rouge_l": ("Rouge-L", "longest common sequence of words of the candidate picked and the nearest right answer"),
    "gender_parity": ("parity", "share of pairs, alike but for a pronoun's gender, that get the same answer"),
}
VULNERABLE = "vulnerable"


@dataclass(frozen=True)
class Seeds:
    """The mean of a share over the seeds, and their range."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Further:
    """One kind of suite: which measures it has beside accuracy, and by suite each model with a share for each."""

    measures: list[str]
    suites: Mapping[str, list[tuple[str, list[Seeds | None]]]]


def further(facts: Facts) -> list[Further]:
    """The suites by the measures that they have; suites with accuracy alone are left out."""
    kinds: dict[tuple[str, ...], dict[str, list[tuple[str, list[Seeds | None]]]]] = {}
    for suite in facts.run.suites:
        models = facts.readers(suite)
        has = {measure: [_seeds(facts, suite, model, measure) for model in models] for measure in FURTHER}
        if measures := tuple(measure for measure, held in has.items() if any(held)):
            rows = zip(models, zip(*(has[measure] for measure in measures), strict=True), strict=True)
            kinds.setdefault(measures, {})[suite] = [(model, list(values)) for model, values in rows]
    return [Further(list(measures), suites) for measures, suites in kinds.items()]


def explained(found: Sequence[Further]) -> list[tuple[str, str]]:
    """The names of the measures that occur, and what they are."""
    occur = {measure for one in found for measure in one.measures}
    return [said for measure, said in FURTHER.items() if measure in occur]


def detecting(facts: Facts) -> list[str]:
    """The suites on which vulnerable code is to be found."""
    return [suite for suite in facts.run.suites if VULNERABLE in facts.labels(suite)]


def detected(facts: Facts, suite: str, model: str) -> list[float | None]:
    """Precision, recall and F1 of `vulnerable`, means over seeds; no precision where a model never gives the alarm."""
    alarms = facts.mean(suite, model, "classes", VULNERABLE, "predicted")
    precision, recall, f1 = (
        facts.mean(suite, model, "classes", VULNERABLE, name) for name in ("precision", "recall", "f1")
    )
    return [precision if alarms else None, recall, f1]


def _seeds(facts: Facts, suite: str, model: str, measure: str) -> Seeds | None:
    seeds = facts.scores[suite]["models"][model]
    each = [mean_of({seed: scored}, *measure.split("/")) for seed, scored in seeds.items()]
    held = [value for value in each if value is not None]
    return Seeds(*spread(held)) if held else None
