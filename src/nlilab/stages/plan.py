"""Stage plan: TarGEN's steps 1 and 2, the contexts that spread a task's data and the seeds (premises) in each."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_json, write_table
from nlilab.core.params import section
from nlilab.core.progress import progress
from nlilab.llm.writer import open_writer
from nlilab.tasks.definition import load_task
from nlilab.writing.targen import PlanSettings, write_contexts, write_seeds


def main(task: str, contexts: Path, seeds: Path) -> None:
    """Ask the plan's generator for contexts, then for seeds of several shapes in every one."""
    plan, definition = section("plan", PlanSettings), load_task(task)
    writer = open_writer(plan.generator)
    found = write_contexts(writer, definition, plan.contexts)
    write_json(contexts, found)
    print(f"{task}: {len(found)} contexts: {', '.join(found)}")
    with progress(f"seeds {task}", "requests") as report:
        rows = write_seeds(writer, definition, found, plan.seeds_per_context, report)
    write_table(seeds, rows)
    print(f"{task}: {len(rows)} seeds in {rows['context'].nunique()} contexts")


if __name__ == "__main__":
    run(main)
