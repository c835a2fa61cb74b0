"""Stage difficulty: what a small model can use of a set's rows, which it stumbles over, and which look mislabelled."""

from pathlib import Path

from nlilab.analysis.difficulty import difficulty
from nlilab.analysis.sampling import labelled_pairs
from nlilab.analysis.settings import DifficultySettings
from nlilab.core.command import run
from nlilab.core.files import read_table, write_json, write_table
from nlilab.core.params import section
from nlilab.core.progress import progress
from nlilab.tasks.reading import read_reading

MEASURES = ["pvi", "pvi_hypothesis", "pvi_premise", "confidence", "variability", "correctness", "flagged", "predicted"]


def main(name: str, rows: Path, reading: Path, out: Path, metrics: Path) -> None:
    """Measure the difficulty of the set `name` (its place beneath data/); `reading`: how its rows are read."""
    settings = section("difficulty", DifficultySettings)
    table = labelled_pairs(name, read_table(rows))
    read, there = read_reading(reading), set(table["label"])
    (task,) = read.tasks
    labels = [*(label for label in read.labels if label in there), *sorted(there - set(read.labels))]
    read = read.model_copy(update={"tasks": {task: labels}})
    with progress(f"difficulty of {name}", "models") as report:
        found = difficulty(table, settings, read, report)
    write_table(out, found.rows[["id", "label", *MEASURES]])
    write_json(metrics, {"set": name, "task": task, **found.facts})
    print(f"{name}: {found.facts['v_information']['pair']['value']:.2f} bits on {len(found.rows)} rows")


if __name__ == "__main__":
    run(main)
