"""The comparison on a terminal, narrow ones included."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nlilab.attack.recipes import AttackSettings
from nlilab.core.files import read_json
from nlilab.core.params import PARAMS, Run, read_yaml, run_settings, section
from nlilab.report.attacks import attacks_of, contaminated_of, hardened_of
from nlilab.report.facts import accuracy_of, base_of, read_comparison, task_by_task
from nlilab.report.figures import Figure
from nlilab.report.hardening import won_back
from nlilab.report.measured import Measured
from nlilab.report.pairs import matchups_of, pairs_of
from nlilab.report.published import documents
from nlilab.report.published_tables import Cell, Line, Shown, shown
from nlilab.report.sets.dataset import read_sets
from nlilab.report.sets.findings import COMPACT, compact
from nlilab.report.words import confidence_words, percent, printed, sentence

Column = TypeVar("Column")

COLUMN = 20  # characters of one suite's column, its gap included


def print_table(metrics: Path, reports: Path) -> None:
    """Print accuracy and interval of every model and suite, a line for each two models, and the report's place."""
    attack = section("attack", AttackSettings)
    cards = {suite: read_json(metrics / "suites" / f"{suite}.json") for suite in run_settings().suites}
    run = task_by_task(run_settings(), cards)
    comparison = read_comparison(metrics, run, attack)
    confidence = comparison["confidence"]
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"accuracy in %, mean over seeds, with its {confidence_words(confidence)} interval")
    accuracy = accuracy_of(comparison, run)
    tasks = {suite: cards[suite]["task"] for suite in run.suites}
    for block in _accuracy(run, accuracy, tasks, console.width):
        console.print(block)
    attacks = attacks_of(comparison, attack, run.models)
    tainted = contaminated_of(comparison)
    pairs = matchups_of(pairs_of(comparison, run.suites), tasks)
    found = won_back(hardened_of(run).values(), attacks, tainted, confidence, len(run.seeds))
    for line in [*(sentence(one, confidence, len(run.suites)) for one in pairs), *(finding.text for finding in found)]:
        console.print(_plain(line))
    if any(suite in run.suites for _, suite in tainted):
        console.print("contaminated (trained on perturbed rows of the suite): " + _tainted(tainted, run.suites))
    _print_sets(console, metrics)
    measured = Measured(tasks, accuracy, read_json(metrics / "scores.json"), tainted, base_of(read_yaml(PARAMS)))
    _print_published(console, measured)
    console.print(f"report: {reports / 'report.html'}", soft_wrap=True)


def _print_sets(console: Console, metrics: Path) -> None:
    """A line for each data set, in as many blocks as the terminal needs."""
    sets = read_sets(metrics)
    if not sets:
        return
    at, lines = compact(sets)
    console.print()
    console.print(_plain(f"data sets: {at}"))
    for places in _blocks(range(len(COMPACT)), list(sets), console.width):
        rows = [[name, *(_plain_cell(figures[place]) for place in places)] for name, figures in lines]
        console.print(_table([COMPACT[place] for place in places], rows, "set"))


def _plain_cell(cell: Figure) -> str:
    """A figure in the terminal's letters."""
    text = f"{cell.value} ({cell.low}-{cell.high})" if cell.low else cell.value
    return text.replace("−", "-").replace("–", "-").replace("\u202f", "")


def _print_published(console: Console, measured: Measured) -> None:
    """The columns in which something of ours stands, and where the defects are."""
    for document, tables in shown(measured, documents().values()):
        console.print()
        console.print(_plain(f"beside {document.document}, in %:"))
        for one in tables:
            console.print(_plain(f"{one.title}. {one.caption}"))
            for block in _published(one, console.width):
                console.print(block)
        if document.defects:
            console.print(_plain(f"{len(document.defects)} known defects of these published figures: see the report"))


def _tainted(contaminated: Collection[tuple[str, str]], suites: Collection[str]) -> str:
    return ", ".join(f"{model} on {suite}" for model, suite in sorted(contaminated) if suite in suites)


def _plain(line: str) -> Text:
    """Text for any terminal: not every one can show the typographic minus or an arrow."""
    shown_ = line.replace("−", "-").replace("–", "-").replace("±", "").replace("→", "->")
    return Text("".join(letter if letter.isprintable() else " " for letter in shown_))


def _accuracy(
    run: Run, accuracy: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, str], width: int
) -> Iterator[Table]:
    """Models x suites; models that read none of a block's suites are left out of it."""
    several = len(set(tasks.values())) > 1
    for suites in _blocks(run.suites, run.models, width):
        heads = [f"{suite}\n({tasks[suite]})" if several else suite for suite in suites]
        read = [model for model in run.models if any(model in accuracy[suite] for suite in suites)]
        yield _table(heads, [[model, *(_mean(accuracy[suite].get(model)) for suite in suites)] for model in read])


def _published(one: Shown, width: int) -> Iterator[Table]:
    """The columns with something of ours, and in each block the groups of models that ours stand in."""
    for places in _blocks(one.told, [_named(line) for group in one.groups for line in group], width):
        heads = [" ".join(part for part in one.heads[place] if part) for place in places]
        groups = [
            group for group in one.groups if any(line.ours and line.cells[place] for line in group for place in places)
        ]
        held = [line for group in groups for line in group if any(line.cells[place] for place in places)]
        yield _table(heads, [[_named(line), *(_cell(line.cells[place]) for place in places)] for line in held])


def _blocks(columns: Sequence[Column], names: Sequence[str], width: int) -> Iterator[Sequence[Column]]:
    """As many columns at a time as the terminal has room for beside the names."""
    room = max(1, (width - max(map(len, names)) - 2) // COLUMN)
    return (columns[start : start + room] for start in range(0, len(columns), room))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], named: str = "model") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(named, overflow="fold")
    for head in heads:
        table.add_column(_plain_lines(head), justify="right", overflow="fold")
    for name, *cells in rows:
        table.add_row(_plain(name), *cells)
    return table


def _plain_lines(head: str) -> Text:
    return Text("\n").join(_plain(line) for line in head.split("\n"))


def _mean(value: Mapping[str, Any] | None) -> str:
    return "-" if value is None else _interval(value["mean"], value["low"], value["high"])


def _named(line: Line) -> str:
    return f"{line.name} ({line.note})" if line.note and line.ours else line.name


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.low is None or cell.high is None:
        return printed(cell.value)
    note = f"\n{cell.note}" if cell.note else ""
    return _interval(cell.value, cell.low, cell.high) + note


def _interval(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({percent(low)}-{percent(high)})"
