"""Stage train: one arm, one seed, a fixed budget of optimiser steps; from scratch or from another arm's model."""

from pathlib import Path
from typing import Annotated

import typer

from nlilab.core.bases import check_second
from nlilab.core.command import run
from nlilab.core.files import read_json, read_table, write_json
from nlilab.core.params import PARAMS, read_yaml, run_settings
from nlilab.core.progress import progress
from nlilab.model.launch import handed_over, own_lock, process
from nlilab.model.settings import train_settings
from nlilab.model.trainer import train
from nlilab.tasks.reading import read_reading


def main(
    arm: Path,
    reading: Path,
    seed: int,
    out: Path,
    metrics: Path,
    start: Annotated[Path | None, typer.Option(help="the model of another arm to go on from")] = None,
    start_metrics: Annotated[Path | None, typer.Option(help="that model's metrics")] = None,
) -> None:
    """Train a small language model on an arm's table; an arm without rows is its pretrained model, untuned."""
    run_, top, table = run_settings(), read_yaml(PARAMS), read_table(arm)
    if start:
        first = start.parent.name
        check_second(top, first, arm.stem)
        settings = train_settings(top, first).model_copy(update={"steps": run_.two_step.steps})
    else:
        settings = train_settings(top, arm.stem)
    if table.empty:
        settings = settings.model_copy(update={"steps": 0, "processes": 1})
    options = {"--start": start, "--start-metrics": start_metrics}
    given = [str(word) for option in options.items() if option[1] for word in option]
    arguments = [*map(str, (arm, reading, seed, out, metrics)), *given]
    if handed_over("nlilab.stages.train", arguments, settings.processes):
        return
    with progress(f"train {out}", "steps") as report:
        trained = train(table, settings, seed, out, read_reading(reading), start, report)
    if process() > 0:
        return
    before = read_json(start_metrics)["total_steps"] if start_metrics else 0
    write_json(metrics, trained.facts() | {"total_steps": before + trained.steps})
    print(f"{out}: {trained.steps} steps = {trained.epochs} epochs of {trained.examples} rows, {trained.last}")


if __name__ == "__main__":
    own_lock()
    run(main)
