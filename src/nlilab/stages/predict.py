"""Stage predict: one model's probabilities, by seed, for every row of every suite that it reads."""

from pathlib import Path

import pandas as pd

from nlilab.core.command import run
from nlilab.core.errors import UserError
from nlilab.core.files import read_table, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.progress import progress
from nlilab.core.schema import probability_table
from nlilab.model.classifier import predict
from nlilab.model.settings import PredictSettings, TrainSettings
from nlilab.tasks.reading import as_read, load_reading


def main(models: Path, suites: Path, out: Path) -> None:
    """Predict all suites at once (rows of like length share a batch across suites), one seed after another."""
    run_ = run_settings()
    reading = load_reading(models / str(run_.seeds[0]))
    every = {name: as_read(read_table(suites / f"{name}.parquet"), reading) for name in run_.suites}
    parts = [rows.assign(suite=name) for name, rows in every.items() if rows is not None]
    if not parts:
        raise UserError(
            f"{models} knows the tasks {', '.join(reading.tasks)}, and no suite of params.yaml is of one of them: name "
            "one in `suites`, or leave the model out"
        )
    rows = pd.concat(parts, ignore_index=True)
    size, length = section("predict", PredictSettings).batch_size, section("train", TrainSettings).max_length
    tables = []
    for seed in run_.seeds:
        with progress(f"predict {models}/{seed}") as report:
            probabilities = predict(models / str(seed), rows, size, length, report)
        tables.append(probability_table(rows[["suite", "id"]].assign(seed=seed), probabilities, reading.labels))
    write_table(out, pd.concat(tables, ignore_index=True))
    print(f"{models}: {len(rows)} predictions of {len(run_.seeds)} seeds on {', '.join(rows['suite'].unique())}")


if __name__ == "__main__":
    run(main)
