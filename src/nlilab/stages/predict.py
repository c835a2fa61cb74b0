"""Stage predict: one model's probabilities for every row of every suite; the only stage after training with a model."""

from pathlib import Path

import pandas as pd

from nlilab.classifier import predict
from nlilab.command import run
from nlilab.files import read_table, write_table
from nlilab.params import run_settings, section
from nlilab.progress import progress
from nlilab.schema import THREE_WAY
from nlilab.training import PredictSettings, TrainSettings


def main(model: Path, suites: Path, out: Path) -> None:
    """Predict all suites at once (rows of like length share a batch across suites)."""
    names = run_settings().suites
    rows = pd.concat([read_table(suites / f"{name}.parquet").assign(suite=name) for name in names], ignore_index=True)
    length = section("train", TrainSettings).max_length
    with progress(f"predict {model}") as report:
        probabilities = predict(model, rows, section("predict", PredictSettings).batch_size, length, report)
    table = rows[["suite", "id"]].copy()
    for index, label in enumerate(THREE_WAY):
        table[label] = probabilities[:, index].astype("float32")
    write_table(out, table)
    print(f"{model}: {len(table)} predictions on {', '.join(names)}")


if __name__ == "__main__":
    run(main)
