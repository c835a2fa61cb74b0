"""The comparison on a terminal, narrow ones included."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nlilab.report.facts import Pair, matchups_of, pairs_of, read_comparison
from nlilab.report.words import confidence_words, percent, sentence

COLUMN = 20  # characters of one suite's column, its gap included


def print_table(metrics: Path, reports: Path) -> None:
    """Print accuracy and interval of every model and suite, a line for each two models, and the report's place."""
    comparison = read_comparison(metrics)
    confidence = comparison["confidence"]
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"accuracy in %, mean over seeds, with its {confidence_words(confidence)} interval")
    found = pairs_of(comparison)
    for block in _blocks(_in_order(comparison["accuracy"], found), console.width):
        console.print(block)
    for pairs in matchups_of(found):
        # Not every terminal can show the typographic minus.
        line = sentence(pairs, confidence).replace("−", "-").replace("±", "")
        console.print(Text("".join(letter if letter.isprintable() else " " for letter in line)))
    console.print(f"report: {reports / 'report.html'}", soft_wrap=True)


def _in_order(accuracy: Mapping[str, Mapping[str, Any]], pairs: list[Pair]) -> dict[str, dict[str, Any]]:
    """Suites and models in the order of params.yaml, which the pairs keep (keys of a file are sorted)."""
    suites = dict.fromkeys(pair.suite for pair in pairs) or accuracy
    models = dict.fromkeys(name for pair in pairs for name in (pair.baseline, pair.model))
    return {suite: {model: accuracy[suite][model] for model in models or accuracy[suite]} for suite in suites}


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
