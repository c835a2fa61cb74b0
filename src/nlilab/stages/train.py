"""Stage train: one arm, one seed, a fixed budget of optimiser steps; from scratch or from another arm's model."""

from pathlib import Path
from typing import Annotated

import typer

from nlilab.command import run
from nlilab.files import read_json, read_table, refuse_strays, write_json
from nlilab.params import run_settings, section
from nlilab.progress import progress
from nlilab.trainer import train
from nlilab.training import TrainSettings


def main(
    arm: Path,
    seed: int,
    out: Path,
    metrics: Path,
    start: Annotated[Path | None, typer.Option(help="the model of another arm to go on from")] = None,
    start_metrics: Annotated[Path | None, typer.Option(help="that model's metrics")] = None,
) -> None:
    """Train a small language model on an arm's table."""
    settings, run_ = section("train", TrainSettings), run_settings()
    # The comparison would stop on leftovers: say so before hours of training.
    refuse_strays(metrics.parent, run_.trainings())
    if start:
        settings = settings.model_copy(update={"steps": run_.two_step.steps})
    table = read_table(arm)
    with progress(f"train {out}", "steps") as report:
        trained = train(table, settings, seed, out, start, report)
    before = read_json(start_metrics)["total_steps"] if start_metrics else 0
    write_json(metrics, trained.facts() | {"total_steps": before + trained.steps})
    last = trained.losses[-1]["loss"]
    print(f"{out}: {trained.steps} steps = {trained.epochs} epochs of {trained.examples} rows, loss {last:.3f}")


if __name__ == "__main__":
    run(main)
