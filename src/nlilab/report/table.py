"""The comparison on a terminal, narrow ones included."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nlilab.params import run_settings, section
from nlilab.recipes import AttackSettings
from nlilab.report.attacks import attacks_of, contaminated_of, hardened_of
from nlilab.report.facts import read_comparison
from nlilab.report.hardening import won_back
from nlilab.report.pairs import matchups_of, pairs_of
from nlilab.report.words import confidence_words, percent, sentence

COLUMN = 20  # characters of one suite's column, its gap included


def print_table(metrics: Path, reports: Path) -> None:
    """Print accuracy and interval of every model and suite, a line for each two models, and the report's place."""
    run, attack = run_settings(), section("attack", AttackSettings)
    comparison = read_comparison(metrics, run, attack)
    confidence = comparison["confidence"]
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"accuracy in %, mean over seeds, with its {confidence_words(confidence)} interval")
    accuracy = {suite: {model: comparison["accuracy"][suite][model] for model in run.models} for suite in run.suites}
    for block in _blocks(accuracy, console.width):
        console.print(block)
    attacks = attacks_of(comparison, attack, run.models)
    tainted = contaminated_of(comparison)
    lines = [sentence(pairs, confidence) for pairs in matchups_of(pairs_of(comparison, run.suites))]
    found = won_back(hardened_of(run).values(), attacks, tainted, confidence, len(run.seeds))
    for line in [*lines, *(finding.text for finding in found)]:
        # Not every terminal can show the typographic minus or an arrow.
        shown = line.replace("−", "-").replace("±", "").replace("→", "->")
        console.print(Text("".join(letter if letter.isprintable() else " " for letter in shown)))
    if any(suite in run.suites for _, suite in tainted):
        console.print("contaminated (trained on perturbed rows of the suite): " + _tainted(tainted, run.suites))
    console.print(f"report: {reports / 'report.html'}", soft_wrap=True)


def _tainted(contaminated: Collection[tuple[str, str]], suites: Collection[str]) -> str:
    return ", ".join(f"{model} on {suite}" for model, suite in sorted(contaminated) if suite in suites)


def _blocks(accuracy: Mapping[str, Mapping[str, Any]], width: int) -> Iterator[Table]:
    """Tables of models x suites, as many suites side by side as the terminal has room for."""
    suites = list(accuracy)
    models = list(accuracy[suites[0]])
    room = max(1, (width - max(map(len, models)) - 2) // COLUMN)
    for start in range(0, len(suites), room):
        shown = suites[start : start + room]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("model", overflow="fold")
        for suite in shown:
            table.add_column(Text(suite), justify="right", overflow="fold")
        for model in models:
            table.add_row(Text(model), *(_cell(accuracy[suite][model]) for suite in shown))
        yield table


def _cell(value: Mapping[str, Any]) -> str:
    return f"{percent(value['mean'])} ({percent(value['low'])}-{percent(value['high'])})"
