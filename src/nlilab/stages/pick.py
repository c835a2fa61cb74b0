"""Stage pick: which rows an arm's adversarial training rows are made from: its own, or (as published) the suites'."""

from pathlib import Path

import pandas as pd

from nlilab.attack.perturb import pick
from nlilab.attack.recipes import AttackSettings
from nlilab.core.command import run
from nlilab.core.errors import UserError
from nlilab.core.files import read_table, write_table
from nlilab.core.params import section
from nlilab.tasks.reading import Reading, as_read, read_reading


def main(arm: Path, reading: Path, suites: Path, out: Path) -> None:
    """Write equally many rows of each label; under attack.protocol as_published they are rows of the suites."""
    settings = section("attack", AttackSettings)
    if settings.protocol == "clean":
        rows = read_table(arm)
    else:
        rows = _of_suites(suites, settings.suites, read_reading(reading))
        print("attack.protocol: as_published: training rows are made from suites; their results are contaminated")
    if rows.empty:
        raise UserError(f"{arm} holds no rows: an untuned arm cannot be hardened; take it out of harden.arms")
    picked = pick(rows, list(rows["label"].unique()), settings.n_per_class, settings.seed)
    write_table(out, picked[["id", "premise", "hypothesis", "label", "task"]])
    count = len(picked) // picked["label"].nunique()
    short = "" if count == settings.n_per_class else f" (attack.n_per_class asks for {settings.n_per_class})"
    print(f"{out}: {count} rows of each label out of {len(rows)}{short}")


def _of_suites(folder: Path, names: list[str], reading: Reading) -> pd.DataFrame:
    """The rows of the attacked suites whose labels are the arm's own."""
    parts = [(name, as_read(read_table(folder / f"{name}.parquet"), reading)) for name in names]
    own = [
        part.assign(id=f"{name}/" + part["id"])
        for name, part in parts
        if part is not None and set(part["label"]) <= set(reading.labels)
    ]
    if not own:
        raise UserError(
            "params.yaml: attack.protocol: as_published makes training rows from suites with the arm's labels "
            f"({', '.join(reading.labels)}); name one in attack.suites"
        )
    return pd.concat(own, ignore_index=True)


if __name__ == "__main__":
    run(main)
