"""Stage generate: TarGEN's step 3, one hypothesis for each (premise, label) of the plan, the label fixed first."""

from pathlib import Path

from nlilab.command import run
from nlilab.files import read_table, write_table
from nlilab.llm.writer import open_writer
from nlilab.params import run_settings, section
from nlilab.progress import progress
from nlilab.targen import GenerateSettings, plan_cells, write_instances
from nlilab.task import load_task


def main(generator: str, seeds: Path, out: Path, rejects: Path) -> None:
    """Ask a generator for every cell of the plan; what could not be read goes to the rejects, with its reason."""
    settings = section("generate", GenerateSettings)
    task = load_task(run_settings().task)
    cells = plan_cells(task, read_table(seeds), settings.samples)
    with progress(f"generate {generator}") as report:
        rows, rejected = write_instances(open_writer(generator), task, cells, settings.attempts, report)
    write_table(out, rows)
    write_table(rejects, rejected)
    final = int(rejected["final"].sum())
    print(f"{generator}: {len(cells)} cells -> {len(rows)} rows, {final} given up ({len(rejected)} unreadable answers)")


if __name__ == "__main__":
    run(main)
