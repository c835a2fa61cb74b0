"""How tables and plots name models and suites: by their task too where there are several, labelled if contaminated."""

from collections.abc import Callable, Iterable

from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import confidence_words, listed, size
from nlilab.report.vega import Spec


def level(facts: Facts) -> str:
    """`95 % interval`."""
    return f"{confidence_words(facts.confidence)} interval"


def suite_cell(facts: Facts, suite: str) -> t.Cell:
    """A suite, with its task where there are several."""
    return t.Cell(suite, note=facts.task_of[suite] if len(facts.tasks) > 1 else "")


def model_cell(facts: Facts, model: str, place: str) -> t.Cell:
    """A model, labelled where it was trained on perturbed rows of the place."""
    return t.Cell(model, tainted=facts.tainted(model, place))


def bases(facts: Facts) -> str:
    """What the models start from, each base once."""
    return listed([*dict.fromkeys(facts.bases.values())])


def base_cell(facts: Facts, model: str) -> t.Cell:
    """A model, with its base and parameters where these differ between models."""
    sizes = {name: f"{size(count)} parameters" for name, count in facts.parameters.items() if count}
    notes = [found.get(model, "") for found in (facts.bases, sizes) if len({*found.values()}) > 1]
    return t.Cell(model, note=", ".join(filter(None, notes)))


def suite_heads(facts: Facts, suites: Iterable[str]) -> list[t.Column]:
    """A column for each suite, under its task where there are several."""
    return [t.Column(suite, facts.task_of[suite] if len(facts.tasks) > 1 else "") for suite in suites]


def by_suite(
    facts: Facts, suites: Iterable[str], draw: Callable[[Facts, str], Spec], note: Callable[[str], str] = lambda _: ""
) -> t.Plots:
    """A plot for each suite, with its task where there are several, and a note."""
    tainted = {place for _, place in facts.contaminated}
    notes = {suite: (suite_cell(facts, suite).note, note(suite)) for suite in suites}
    return t.Plots(
        [
            t.Plot(suite, draw(facts, suite), ", ".join(filter(None, beside)), suite in tainted)
            for suite, beside in notes.items()
        ]
    )


def counted(facts: Facts, what: str) -> str:
    """That measures of suites in which candidates are picked count each candidate."""
    names = ", ".join(facts.candidates)
    return f" {what} of {names}: each candidate counts, not each question." if names else ""
