"""Stage harden: a model trained on clean and adversarial rows, going on from the arm's model or from the beginning."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import read_json, read_table, write_json
from nlilab.core.params import PARAMS, read_yaml, run_settings
from nlilab.core.progress import progress
from nlilab.model.harden import hardening_rows
from nlilab.model.launch import handed_over, own_lock, process
from nlilab.model.settings import load_freelb, train_settings
from nlilab.model.trainer import train
from nlilab.tasks.reading import read_reading


def main(
    recipe: str,
    arm: Path,
    reading: Path,
    adversarial: Path,
    seed: int,
    start: Path,
    start_metrics: Path,
    out: Path,
    metrics: Path,
) -> None:
    """Train on the arm's rows and those made against its model (or against embeddings, where no rows are made)."""
    run_, settings = run_settings(), train_settings(read_yaml(PARAMS), arm.stem)
    goes_on = run_.harden.how == "continue"
    if goes_on:
        settings = settings.model_copy(update={"steps": run_.harden.steps})
    arguments = [recipe, *map(str, (arm, reading, adversarial, seed, start, start_metrics, out, metrics))]
    if handed_over("nlilab.stages.harden", arguments, settings.processes):
        return
    table = hardening_rows(read_table(arm), read_table(adversarial), run_.harden.ratio)
    before = read_json(start_metrics)["total_steps"] if goes_on else 0
    with progress(f"harden {out}", "steps") as report:
        trained = train(
            table,
            settings,
            seed,
            out,
            read_reading(reading),
            start if goes_on else None,
            report,
            load_freelb(recipe),
        )
    if process() > 0:
        return
    count = int(table["adversarial"].sum()) if "adversarial" in table else 0
    write_json(metrics, trained.facts() | {"total_steps": before + trained.steps, "adversarial_rows": count})
    print(f"{out}: {trained.steps} steps on {trained.examples} rows, {count} of them adversarial, {trained.last}")


if __name__ == "__main__":
    own_lock()
    run(main)
