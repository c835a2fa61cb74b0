"""Stage contexts: TarGEN's step 1, the settings that spread a task's data."""

from pathlib import Path

from nlilab.command import run
from nlilab.files import write_json
from nlilab.llm.writer import open_writer
from nlilab.params import section
from nlilab.targen import PlanSettings, write_contexts
from nlilab.task import load_task


def main(task: str, out: Path) -> None:
    """Ask the plan's generator for contexts."""
    plan = section("plan", PlanSettings)
    found = write_contexts(open_writer(plan.generator), load_task(task), plan.contexts)
    write_json(out, found)
    print(f"{task}: {len(found)} contexts: {', '.join(found)}")


if __name__ == "__main__":
    run(main)
