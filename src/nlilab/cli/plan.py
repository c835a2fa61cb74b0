"""The command `nlilab plan`: what the comparison of params.yaml can see, and what seeing more would take."""

from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated

import typer

from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_table
from nlilab.core.params import Run, run_settings, section
from nlilab.core.progress import progress
from nlilab.model.settings import TrainSettings
from nlilab.report.tables import Row, Table, heads, left, row
from nlilab.report.terminal import print_line, print_table
from nlilab.verdict.compare import CompareSettings
from nlilab.verdict.planning import PUBLISHED_SD, Need, Plan, measured, planned, supposed

app = typer.Typer()

TIMED = 10  # training steps that are timed, after as many that are not
COMPARISON = Path("metrics/comparison.json")


@app.command()
def plan(
    effect: Annotated[float, typer.Option(help="points of accuracy that a difference has; 0: compare.margin")] = 0.0,
    seeds: Annotated[int, typer.Option(help="seeds that are planned; 0: those of params.yaml")] = 0,
    rows: Annotated[int, typer.Option(help="rows of a suite that was not fetched yet")] = 1000,
    time: Annotated[bool, typer.Option(help="time some training steps on this machine")] = True,
    dollars_per_hour: Annotated[float, typer.Option(help="what an hour of this machine costs")] = 0.0,
) -> None:
    """Print what the comparison can see, and how many seeds and rows would show an effect, or sameness.

    Variances come from the last run where it has these suites, else from published ones.

    A power of 80 % is meant, and the correction for all pairs of models on all suites.
    """
    run_, settings = run_settings(), section("compare", CompareSettings)
    if effect < 0 or seeds == 1 or seeds < 0 or rows < 2:
        raise UserError("--effect: points above 0; --seeds: at least 2, one tells nothing of how seeds vary; --rows: 2")
    if len(run_.models) < 2:
        raise UserError("one model only: there is nothing to compare; name a second one in `models` of params.yaml")
    then = seeds or len(run_.seeds)
    level = settings.alpha / (comb(len(run_.models), 2) * len(run_.suites))
    sizes = ((effect or settings.margin) / 100, settings.margin / 100, level)
    plans = _plans(run_, rows, max(2, then), sizes)
    shown = [f"{value:g} points" for value in (effect or settings.margin, settings.margin)]
    _print(plans, then, shown)
    most = max((need for one in plans for need in (one.effect,) if need), key=lambda need: need.seeds, default=None)
    if most and time:
        _print_cost(run_, most.seeds, shown[0], dollars_per_hour)


def _plans(run_: Run, rows: int, then: int, sizes: tuple[float, float, float]) -> list[Plan]:
    found = read_json(COMPARISON) if COMPARISON.is_file() else {"pairs": []}
    held = max((pair["seeds"] for pair in found["pairs"]), default=0)
    out, unknown = [], []
    for suite in run_.suites:
        card = Path("metrics/suites") / f"{suite}.json"
        size = read_json(card)["rows"] if card.is_file() else rows
        one = measured(found["pairs"], suite, held)
        unknown += [] if one else [suite]
        out.append(planned(suite, size, one or supposed(size, then), held if one else then, then, sizes))
    if unknown:
        print_line(
            f"not in the last run: {', '.join(unknown)}. Taken for these: seeds that vary by {100 * PUBLISHED_SD:g} "
            "points, as 100 BERTs do on HANS (McCoy et al. 2020), and two models that differ on a quarter of the rows"
        )
    return out


def _print(plans: list[Plan], seeds: int, sizes: list[str]) -> None:
    columns = [*left("suite"), *heads("rows", "sd of seeds", f"{seeds} see", "same within")]
    columns += heads(f"for {sizes[0]}", f"for sameness within {sizes[1]}")
    print_table(Table(columns, [_line(one) for one in plans], keys=1))
    print_line("Points of accuracy, power 80 %, after correction for all pairs on all suites; needs are of each model.")


def _line(one: Plan) -> Row:
    figures = (f"{100 * value:.1f}" for value in (one.sd, one.sees, one.same_within))
    return row(one.suite, f"{one.rows:,}", *figures, *(_need(need, one.rows) for need in (one.effect, one.margin)))


def _need(need: Need | None, rows: int) -> str:
    if need is None:
        return "out of reach"
    return f"{need.seeds} seeds" + (f", {need.rows * rows:,} rows" if need.rows > 1 else "")


def _print_cost(run_: Run, seeds: int, effect: str, price: float) -> None:
    more = max(0, seeds - len(run_.seeds)) * len(run_.models)
    if not more:
        return
    seconds = _seconds(run_)
    if seconds is None:
        print_line("no arm's table is there to be timed: `dvc repro mix`, then again")
        return
    hours = more * seconds / 3600
    print_line(
        f"{seeds} seeds for {effect} on every suite: {more} more trainings of {seconds:.0f} s on this machine, "
        f"{60 * hours:.0f} min, {hours * price:.2f} dollars; seeds buy no answers. In params.yaml: "
        f"seeds: [1, ..., {seeds}]"
    )


def _seconds(run_: Run) -> float | None:
    """How long one training takes here: some of its steps are timed."""
    from nlilab.model.trainer import train
    from nlilab.tasks.reading import read_reading

    held = [arm for arm in run_.arms if (Path("data/arms") / f"{arm}.parquet").is_file()]
    tables = {arm: read_table(Path("data/arms") / f"{arm}.parquet") for arm in held}
    tables = {arm: table for arm, table in tables.items() if len(table)}
    if not tables:
        return None
    settings = section("train", TrainSettings)
    arm, table = next(iter(tables.items()))
    reading = read_reading(Path("data/arms") / f"{arm}.json")
    took = []
    with TemporaryDirectory() as folder, progress("timing", "trainings") as report:
        for number, steps in enumerate((TIMED, 2 * TIMED)):
            began = monotonic()
            some = settings.model_copy(update={"steps": steps, "processes": 1})
            train(table, some, 0, Path(folder) / str(steps), reading, None, lambda done, of: None)
            took.append(monotonic() - began)
            report(number + 1, 2)
    each = max(0.0, took[1] - took[0]) / TIMED
    return took[0] + each * (settings.steps - TIMED)
