"""Published figures and our own in one table."""

from dataclasses import dataclass

from nlilab.report.attacks import Attack, Stand
from nlilab.report.facts import Facts
from nlilab.report.pairs import between
from nlilab.report.published import Document, Figure, Shares
from nlilab.report.words import percent

MEASURES = {"accuracy": "accuracy", "loss": "loss", "rows_per_second": "evaluation"}
UNITS = {"accuracy": "%", "loss": "nats", "rows_per_second": "rows per second"}
CONTAMINATED = "contaminated"


@dataclass(frozen=True)
class Cell:
    """A figure as text, and what has to be said of it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One published figure (or three shares) with its section, and the same of our hardened models."""

    name: str
    published: Cell
    section: str
    ours: list[Cell]


def columns(facts: Facts, document: Document) -> list[tuple[Attack, Stand]]:
    """Our models that were hardened against the document's attack, under that attack, by suite."""
    return [
        (attack, stand)
        for attack in facts.attacking.attacks
        if attack.recipe == document.recipe
        for model, stand in attack.stands.items()
        if stand.base and facts.attacking.hardened[model].recipe == document.recipe
    ]


def rows(facts: Facts, document: Document) -> list[Row]:
    """The document's figures in its own order, with ours beside them."""
    ours = columns(facts, document)
    figures = [
        Row(
            _name(figure),
            Cell("not reported" if figure.value is None else _shown(figure, figure.value), figure.note),
            figure.section,
            [_figure(facts, attack, stand, figure) for attack, stand in ours],
        )
        for figure in document.figures
    ]
    shares = [
        Row(
            f"{found.slice}: fixed / introduced / remaining, % of their sum",
            Cell(" / ".join(percent(share) for share in (found.fixed, found.introduced, found.remaining))),
            found.section,
            [_shares(facts, attack, stand, found) for attack, stand in ours],
        )
        for found in document.shares
    ]
    return figures + shares


def _name(figure: Figure) -> str:
    under = " under attack" if figure.rows == "attacked" else ""
    return f"{figure.model}: {MEASURES[figure.measure]}{under}, {UNITS[figure.measure]}"


def _figure(facts: Facts, attack: Attack, stand: Stand, figure: Figure) -> Cell:
    model = stand.model if figure.model == "hardened" else stand.base
    after = figure.rows == "attacked"
    if figure.measure == "rows_per_second":
        value = facts.attacking.read_speeds.get(model)
        return Cell("–" if value is None else _shown(figure, value))
    if figure.measure == "loss":
        value = facts.attacking.score(attack, "after" if after else "before", model, "loss")
    else:
        shown = attack.stands[model]
        value = (shown.attacked if after else shown.clean).value
    return Cell("–" if value is None else _shown(figure, value), _note(facts, attack, model))


def _shares(facts: Facts, attack: Attack, stand: Stand, found: Shares) -> Cell:
    pair = between(facts.pairs, attack.suite, stand.model, stand.base)
    change = pair.slices[found.slice].changes if pair and found.slice in pair.slices else None
    if change is None or not change.errors:
        return Cell("–")
    parts = (change.fixed, change.introduced, change.remaining)
    return Cell(" / ".join(percent(part / change.errors) for part in parts), _note(facts, attack, stand.model))


def _note(facts: Facts, attack: Attack, model: str) -> str:
    return CONTAMINATED if (model, attack.place) in facts.attacking.contaminated else ""


def _shown(figure: Figure, value: float) -> str:
    decimals = {"accuracy": f"{100 * value:.2f}", "loss": f"{value:.4f}", "rows_per_second": f"{value:g}"}
    return decimals[figure.measure]
