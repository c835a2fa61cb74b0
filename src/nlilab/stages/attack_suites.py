"""Stage attack-suites: the suites' rows, perturbed by one recipe against each seed of one model."""

import time
from pathlib import Path

import pandas as pd

from nlilab.attack.perturb import attack, pick
from nlilab.attack.recipes import AttackSettings, check_attack, load_attack
from nlilab.attack.saliency import Victim
from nlilab.core.command import run
from nlilab.core.files import read_table, write_json, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.progress import progress
from nlilab.model.settings import TrainSettings
from nlilab.tasks.reading import load_reading, must_read, scheme_of

COLUMNS = ["suite", "id", "seed", "task", "premise", "hypothesis", "label", "original", "changes", "reason"]
FURTHER = ["scheme"]  # of suites whose rows lack a label


def main(recipe: str, models: Path, suites: Path, out: Path, metrics: Path) -> None:
    """Perturb the same sample of every suite for every model; rows that cannot be perturbed stay as they are."""
    run_, settings = run_settings(), section("attack", AttackSettings)
    check_attack(run_, settings)
    found = load_attack(recipe)
    reading = load_reading(models / str(run_.seeds[0]))
    parts = []
    for name in settings.suites:
        suite = read_table(suites / f"{name}.parquet")
        rows = pick(suite, scheme_of(suite), settings.suite_rows_per_class, settings.seed)
        read = must_read(rows, reading, models.name, "attack.victims", f"the suite {name!r}")
        parts.append(read.assign(suite=name, own_task=rows["task"]))
    table = pd.concat(parts, ignore_index=True)
    columns = [*COLUMNS, *(name for name in FURTHER if name in table)]
    made, seconds = [], 0.0
    for seed in run_.seeds:
        victim = Victim.open(models / str(seed), section("train", TrainSettings).max_length)
        with progress(f"attack {models}/{seed} by {recipe}") as report:
            started = time.perf_counter()
            attacked = attack(table, victim, found, settings.batch_size, settings.seed, report)
            seconds += time.perf_counter() - started
        made.append(attacked.assign(seed=seed, task=attacked["own_task"])[columns])
    every = pd.concat(made, ignore_index=True)
    write_table(out, every)
    reasons = every["reason"][every["reason"] != ""].value_counts()
    write_json(metrics, {"rows": len(every), "unperturbed": reasons.to_dict()})
    print(f"{models} by {recipe}: {len(every)} rows, {reasons.sum()} as they were, {len(every) / seconds:.1f} rows/s")


if __name__ == "__main__":
    run(main)
