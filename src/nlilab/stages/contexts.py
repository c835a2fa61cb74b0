"""Stage contexts: TarGEN's step 1, the settings that spread a task's data."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_json
from nlilab.core.params import section
from nlilab.llm.writer import open_writer
from nlilab.tasks.definition import load_task
from nlilab.writing.targen import PlanSettings, write_contexts


def main(task: str, out: Path) -> None:
    """Ask the plan's generator for contexts."""
    plan = section("plan", PlanSettings)
    found = write_contexts(open_writer(plan.generator), load_task(task), plan.contexts)
    write_json(out, found)
    print(f"{task}: {len(found)} contexts: {', '.join(found)}")


if __name__ == "__main__":
    run(main)
