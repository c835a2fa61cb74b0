"""Stage generate: TarGEN's step 3, an instance for each (seed, label) of the plan, the label fixed first."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import read_table, write_table
from nlilab.core.params import conf_entry, section
from nlilab.core.progress import progress
from nlilab.llm.writer import UNANSWERED, GeneratorEntry, open_writer
from nlilab.tasks.definition import load_task
from nlilab.writing.strategies import asked
from nlilab.writing.targen import GenerateSettings, plan_cells, write_instances


def main(task: str, generator: str, seeds: Path, out: Path, rejects: Path) -> None:
    """Ask a generator for every cell of the plan; what could not be read goes to the rejects, with its reason."""
    settings, entry = section("generate", GenerateSettings), conf_entry("generators", generator, GeneratorEntry)
    loaded = load_task(task, prompts=entry.prompts)
    cells = plan_cells(loaded, read_table(seeds), settings.samples)
    with progress(f"generate {task} by {generator}") as report:
        rows, rejected = write_instances(
            open_writer(generator), asked(loaded, entry.strategy), cells, settings.attempts, report
        )
    write_table(out, rows)
    write_table(rejects, rejected)
    final, holes = int(rejected["final"].sum()), int(rejected["reason"].astype(str).str.startswith(UNANSWERED).sum())
    print(
        f"{task} by {generator}: {len(cells)} cells -> {len(rows)} rows, {final} given up "
        f"({len(rejected)} unreadable answers)" + (f", {holes} of them unanswered" if holes else "")
    )


if __name__ == "__main__":
    run(main)
