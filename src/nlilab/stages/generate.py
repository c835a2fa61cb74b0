"""Stage generate: TarGEN's step 3, an instance for each (seed, label) of the plan, the label fixed first."""

from pathlib import Path

from nlilab.command import run
from nlilab.files import read_table, write_table
from nlilab.llm.writer import GeneratorEntry, open_writer
from nlilab.params import conf_entry, section
from nlilab.progress import progress
from nlilab.strategies import asked
from nlilab.targen import GenerateSettings, plan_cells, write_instances
from nlilab.task import load_task


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
    final = int(rejected["final"].sum())
    print(
        f"{task} by {generator}: {len(cells)} cells -> {len(rows)} rows, {final} given up "
        f"({len(rejected)} unreadable answers)"
    )


if __name__ == "__main__":
    run(main)
