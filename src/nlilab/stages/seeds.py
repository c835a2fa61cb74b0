"""Stage seeds: TarGEN's step 2, the instance seeds (for NLI: premises) in every context."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import read_json, write_table
from nlilab.core.params import section
from nlilab.core.progress import progress
from nlilab.llm.writer import open_writer
from nlilab.tasks.definition import load_task
from nlilab.writing.targen import PlanSettings, write_seeds


def main(task: str, contexts: Path, out: Path) -> None:
    """Ask the plan's generator for seeds of several shapes."""
    plan = section("plan", PlanSettings)
    with progress(f"seeds {task}", "requests") as report:
        rows = write_seeds(
            open_writer(plan.generator), load_task(task), read_json(contexts), plan.seeds_per_context, report
        )
    write_table(out, rows)
    print(f"{task}: {len(rows)} seeds in {rows['context'].nunique()} contexts")


if __name__ == "__main__":
    run(main)
