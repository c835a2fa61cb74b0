"""Stage predict-attacked: one model's probabilities for the rows made against each victim (seed against same seed)."""

import time
from pathlib import Path

import pandas as pd

from nlilab.attack.recipes import AttackSettings
from nlilab.core.command import run
from nlilab.core.files import read_table, tell_strays, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.progress import progress
from nlilab.core.schema import probability_table
from nlilab.model.classifier import predict
from nlilab.model.settings import PredictSettings, TrainSettings
from nlilab.tasks.reading import load_reading, must_read


def main(models: Path, attacked: Path, out: Path) -> None:
    """Predict every victim's attacked rows."""
    run_, settings = run_settings(), section("attack", AttackSettings)
    tell_strays(attacked, set(settings.victims))
    parts = []
    for victim in settings.victims:
        tell_strays(attacked / victim, {f"{recipe}.parquet" for recipe in settings.recipes})
        for recipe in settings.recipes:
            parts.append(read_table(attacked / victim / f"{recipe}.parquet").assign(victim=victim, recipe=recipe))
    rows, reading = pd.concat(parts, ignore_index=True), load_reading(models / str(run_.seeds[0]))
    rows = pd.concat(
        [
            must_read(own, reading, models.name, "attack.readers", f"the suite {suite!r}")
            for suite, own in rows.groupby("suite", sort=False)
        ]
    )
    size, length = section("predict", PredictSettings).batch_size, section("train", TrainSettings).max_length
    tables, seconds = [], 0.0
    for seed in run_.seeds:
        own = rows[rows["seed"] == seed].sort_index()
        with progress(f"predict {models}/{seed} under attack") as report:
            started = time.perf_counter()
            probabilities = predict(models / str(seed), own, size, length, report)
            seconds += time.perf_counter() - started
        tables.append(
            probability_table(own[["victim", "recipe", "suite", "id", "seed"]], probabilities, reading.labels)
        )
    table = pd.concat(tables, ignore_index=True)
    write_table(out, table)
    print(f"{models}: {len(table)} predictions under attack, {len(table) / seconds:.1f} rows/s")


if __name__ == "__main__":
    run(main)
