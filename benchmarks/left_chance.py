"""How many seeds of a recipe leave chance, how soon, and how right they are at the end.

    PYTHONPATH=src python benchmarks/left_chance.py [ARM] [--seeds 3] [--first 1] [--suite SUITE] [NAME=VALUE ...]

ARM is an arm's table without its suffix (data/arms/raw, which `make repro` makes), SUITE a suite's table
(data/suites/held-out.parquet) with the arm's labels. The recipe is params.yaml's section `train`; what is given here
goes before it (learning_rate=1e-4 steps=800).
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from nlilab.core.params import read_yaml
from nlilab.model.classifier import predict
from nlilab.model.learnt import MARGIN
from nlilab.model.settings import TrainSettings
from nlilab.model.trainer import Trained, train
from nlilab.tasks.reading import Reading, read_reading


def soonest(trained: Trained) -> float | None:
    """The step at which the loss, as it was logged, first was below chance by the margin."""
    below = (trained.chance or 0.0) * (1 - MARGIN)
    return next((entry["step"] for entry in trained.losses if entry["loss"] < below), None)


def accuracy(model: Path, suite: pd.DataFrame, reading: Reading, settings: TrainSettings) -> float:
    """The share of a suite's rows to which a model gives their label."""
    found = np.array(reading.labels)[predict(model, suite, 128, settings.max_length).argmax(axis=1)]
    return float((found == suite["label"]).mean())


def main() -> None:
    """Print a line for each training as it ends, and their count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arm", nargs="?", type=Path, default=Path("data/arms/raw"))
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--suite", type=Path)
    given = parser.parse_intermixed_args()
    if not given.arm.with_suffix(".parquet").exists():
        print(f"skipped: there is no {given.arm}.parquet; `make repro` makes data/arms/raw")
        return
    changes: dict[str, Any] = {name: yaml.safe_load(value) for name, value in (c.split("=", 1) for c in given.changes)}
    settings = TrainSettings.model_validate(read_yaml(Path("params.yaml"))["train"] | changes)
    rows, reading = pd.read_parquet(given.arm.with_suffix(".parquet")), read_reading(given.arm.with_suffix(".json"))
    left = 0
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as out:
            trained = train(rows, settings, seed, Path(out), reading)
            right = accuracy(Path(out), pd.read_parquet(given.suite), reading, settings) if given.suite else None
        left += trained.left_chance is True
        shown = "" if right is None else f", accuracy {right:.1%}"
        print(f"seed {seed}: {trained.last}; below chance from step {soonest(trained)}{shown}", flush=True)
    print(f"{left} of {given.seeds} seeds left chance")


if __name__ == "__main__":
    main()
