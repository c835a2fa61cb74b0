"""The words of texts.yaml, filled in with a run's facts: sentences, lists, and tables by their name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from nlilab.report import numbers, tables
from nlilab.report.facts import Facts
from nlilab.report.records import rank
from nlilab.report.tables import Cell, Column, Plot, Plots, Row, Said, Table, Text, row

KINDS = {"<": "name", "?": "name", "~": "text", "=": "wide"}  # what stands before a column's name


@cache
def _texts() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("texts.yaml").read_text(encoding="utf-8"))
    return found


@cache
def _environment() -> Environment:
    environment = Environment(undefined=StrictUndefined)  # plain text: each writer escapes it
    named = ("counted", "decimals", "listed", "percent", "plain", "points", "three", "tenth", "whole")
    said = {name: getattr(numbers, name) for name in named}
    environment.filters.update(said, estimate=tables.estimate)
    environment.globals.update(said, each_once=lambda found: [*dict.fromkeys(found)])
    return environment


def raw(key: str) -> Any:
    """What texts.yaml has under this name, as it stands there."""
    return _texts()[key]


def _filled(text: str, facts: Facts | None, values: dict[str, Any]) -> str:
    values = {"facts": facts, "each": lambda what: _each(facts, what), **values}
    return _environment().from_string(text).render(values).strip()


def _each(facts: Facts | None, what: str) -> str:
    """That measures of suites in which candidates are picked count each candidate."""
    names = ", ".join(facts.candidates) if facts else ""
    return f" {what} of {names}: each candidate counts, not each question." if names else ""


def tell(key: str, facts: Facts | None = None, **values: Any) -> str:
    """The sentence of this name; what is written `{{ ... }}` in it is taken from the facts and the values."""
    return _filled(_texts()[key], facts, values)


def say(key: str, facts: Facts | None = None, kind: str = "p", where: str = "files", **values: Any) -> Text:
    """The sentences of this name, those left out that come to nothing."""
    found = _texts()[key]
    lines = (_filled(text, facts, values) for text in ([found] if isinstance(found, str) else found))
    return Text([Said(line) for line in lines if line], kind, where=where)


def lines(*said: str, kind: str = "p", where: str = "files", slug: str = "") -> Text:
    """Sentences that are no part of texts.yaml; empty ones are left out."""
    return Text([Said(line) for line in said if line], kind, slug, where)


def table(
    key: str, facts: Facts | None, rows: Iterable[Row | Iterable[Any]], columns: Sequence[Column] = (), **values: Any
) -> Table:
    """The table of this name with these rows: texts.yaml has its title, caption and columns, and how it is shown.

    `columns` stand where it has a `*`. Columns that a reader picks rows by offer the values that occur.
    """
    entry: dict[str, Any] = {
        k: _filled(v, facts, values) if isinstance(v, str) else v for k, v in _texts()[key].items()
    }
    held = [one if isinstance(one, Row) else row(*one) for one in rows]
    heads: list[Column] = []
    for place, name in enumerate(part.strip() for part in entry.pop("columns").split("|")):
        heads += columns if name == "*" else [_column(name, [one.cells[place].text for one in held])]
    return Table(heads, held, **entry)


def _column(name: str, values: Sequence[str]) -> Column:
    kind: Any = KINDS.get(name[0], "figure")
    choices = sorted(dict.fromkeys(values), key=rank) if name[0] == "?" else ()
    return Column(name.lstrip("<?~=").rstrip("^"), kind=kind, choices=choices, ascending=name.endswith("^"))


def suite_cell(facts: Facts, suite: str) -> Cell:
    """A suite, with its task where there are several."""
    return Cell(suite, note=facts.task_of.get(suite, "") if len(facts.tasks) > 1 else "")


def model_cell(facts: Facts, model: str, place: str) -> Cell:
    """A model, labelled where it was trained on perturbed rows of the place."""
    return Cell(model, tainted=facts.tainted(model, place))


def base_cell(facts: Facts, model: str) -> Cell:
    """A model, with its base and parameters where these differ between models."""
    sizes = {name: f"{numbers.size(count)} parameters" for name, count in facts.parameters.items() if count}
    notes = [found.get(model, "") for found in (facts.bases, sizes) if len({*found.values()}) > 1]
    return Cell(model, note=", ".join(filter(None, notes)))


def suite_heads(facts: Facts, suites: Iterable[str]) -> list[Column]:
    """A column for each suite, under its task where there are several."""
    return [Column(suite, suite_cell(facts, suite).note) for suite in suites]


def by_suite(facts: Facts, suites: Iterable[str], draw: Callable[[Facts, str], Plot]) -> Plots:
    """A plot for each suite, with its task where there are several."""
    drawn = {suite: draw(facts, suite) for suite in suites}
    notes = {suite: filter(None, (suite_cell(facts, suite).note, plot.note)) for suite, plot in drawn.items()}
    return Plots([replace(plot, note=", ".join(notes[s]), tainted=facts.any_tainted(s)) for s, plot in drawn.items()])
