"""Stage seeds: TarGEN's step 2, the instance seeds (for NLI: premises) in every context."""

from pathlib import Path

from nlilab.command import run
from nlilab.files import read_json, write_table
from nlilab.llm.writer import open_writer
from nlilab.params import run_settings, section
from nlilab.progress import progress
from nlilab.targen import PlanSettings, write_premises
from nlilab.task import load_task


def main(contexts: Path, out: Path) -> None:
    """Ask the plan's generator for premises of several genres and lengths."""
    plan = section("plan", PlanSettings)
    task = load_task(run_settings().task)
    with progress("seeds", "requests") as report:
        rows = write_premises(open_writer(plan.generator), task, read_json(contexts), plan.premises_per_context, report)
    write_table(out, rows)
    print(f"{len(rows)} premises in {rows['context'].nunique()} contexts")


if __name__ == "__main__":
    run(main)
