"""Stage difficulty: what a small model can use of a set's rows, which it stumbles over, and which look mislabelled."""

from pathlib import Path

from nlilab.analysis.difficulty import difficulty
from nlilab.analysis.sampling import labelled_pairs
from nlilab.analysis.settings import DifficultySettings
from nlilab.command import run
from nlilab.files import read_table, write_json, write_table
from nlilab.params import section
from nlilab.progress import progress
from nlilab.reading import Reading
from nlilab.schema import task_of
from nlilab.task import load_task

MEASURES = ["pvi", "pvi_hypothesis", "pvi_premise", "confidence", "variability", "correctness", "flagged", "predicted"]


def main(name: str, rows: Path, out: Path, metrics: Path) -> None:
    """Measure the difficulty of the set `name` (its place beneath data/)."""
    settings = section("difficulty", DifficultySettings)
    table = labelled_pairs(name, read_table(rows))
    task, there = load_task(task_of(table)), set(table["label"])
    labels = [*(label for label in task.labels if label in there), *sorted(there - set(task.labels))]
    reading = Reading(tasks={task.name: labels}, words=task.words())
    with progress(f"difficulty of {name}", "models") as report:
        found = difficulty(table, settings, reading, report)
    write_table(out, found.rows[["id", "label", *MEASURES]])
    write_json(metrics, {"set": name, "task": task.name, **found.facts})
    print(f"{name}: {found.facts['v_information']['pair']['value']:.2f} bits on {len(found.rows)} rows")


if __name__ == "__main__":
    run(main)
