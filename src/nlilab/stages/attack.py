"""Stage attack: adversarial training rows for one arm by one recipe, each seed's made against that seed's model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nlilab.attack.perturb import attack
from nlilab.attack.recipes import NOBODY, AttackSettings, check_attack, load_recipe
from nlilab.attack.saliency import Victim
from nlilab.core.command import run
from nlilab.core.files import read_table, write_json, write_table
from nlilab.core.params import run_settings, section
from nlilab.core.progress import progress
from nlilab.core.schema import task_of
from nlilab.llm.writer import open_writer
from nlilab.model.classifier import predict
from nlilab.model.settings import PredictSettings, TrainSettings
from nlilab.tasks.reading import load_reading, must_read
from nlilab.writing.asking import Holes
from nlilab.writing.judging import REFUSED, Say, by_generator, judge_perturbed, judged_task


def main(recipe: str, rows: Path, models: Path, judges: Path, out: Path, rejects: Path, metrics: Path) -> None:
    """Perturb the picked rows against each seed's model; have a judge say where the label still holds."""
    run_, settings = run_settings(), section("attack", AttackSettings)
    check_attack(run_, settings)
    found = load_recipe(recipe)
    table = read_table(rows)
    refused, counts, holes = [], {}, Holes()
    for seed in run_.seeds:
        if found is None:
            made = table.head(0).assign(original="", changes="", reason="")
        else:
            victim = Victim.open(models / str(seed), section("train", TrainSettings).max_length)
            with progress(f"attack {models}/{seed} by {recipe}") as report:
                made = attack(table, victim, found, settings.batch_size, settings.seed, report)
        unperturbed = made[made["reason"] != ""]
        kept, shares = made.head(0), dict[str, Any]()
        with holes.put_off():
            kept, shares = _judged(made[made["reason"] == ""], judges / str(seed), settings)
        if not shares:
            continue
        held = kept[kept["reason"] == ""]
        write_table(out / f"{seed}.parquet", held.assign(id=held["id"] + f"~{recipe}"))
        lost = pd.concat([unperturbed, kept[kept["reason"] != ""]]).assign(seed=seed)
        assert len(held) + len(lost) == len(made)
        refused.append(lost)
        counts[str(seed)] = shares | {"rows": len(made), "made": len(held), "unperturbed": len(unperturbed)}
        print(f"{models}/{seed} by {recipe}: {counts[str(seed)]}")
    holes.stop()
    write_table(rejects, pd.concat(refused, ignore_index=True))
    judged_by = settings.judge if settings.judge_generator == NOBODY else settings.judge_generator
    write_json(
        metrics,
        {"protocol": settings.protocol, "judge": judged_by, "validate": settings.validate_rows, "seeds": counts},
    )


def _judged(made: pd.DataFrame, folder: Path, settings: AttackSettings) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows, those to be dropped with their reason, and the shares that the judge agrees with."""
    if made.empty:
        return made, {"holds": None, "holds_on_originals": None}
    name = settings.judge_generator
    if name == NOBODY:
        said = judge_perturbed(made, _by_model(folder))
    else:
        with progress(f"judge by {name}") as report:
            said = judge_perturbed(made, by_generator(open_writer(name), judged_task(made), report))
    if settings.validate_rows:
        made = made.assign(reason=np.where(said.holds, "", REFUSED))
    shares: dict[str, Any] = {"holds": float(said.holds.mean()), "holds_on_originals": said.on_originals}
    return made, shares | ({"holes": said.unanswered} if said.unanswered else {})


def _by_model(folder: Path) -> Say:
    size, length = section("predict", PredictSettings).batch_size, section("train", TrainSettings).max_length
    reading = load_reading(folder)

    def say(rows: pd.DataFrame) -> list[str]:
        read = must_read(rows, reading, folder.parent.name, "attack.judge", f"rows of {task_of(rows)}")
        return list(np.asarray(reading.labels)[predict(folder, read, size, length).argmax(axis=1)])

    return say


if __name__ == "__main__":
    run(main)
