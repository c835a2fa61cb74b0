"""Stage pick: which rows an arm's adversarial training rows are made from: its own, or (as published) the suites'."""

from pathlib import Path

import pandas as pd

from nlilab.attack import pick
from nlilab.command import run
from nlilab.errors import UserError
from nlilab.files import read_table, write_table
from nlilab.params import section
from nlilab.recipes import AttackSettings
from nlilab.schema import THREE_WAY


def main(arm: Path, suites: Path, out: Path) -> None:
    """Write equally many rows of each label; under attack.protocol as_published they are rows of the suites."""
    settings = section("attack", AttackSettings)
    if settings.protocol == "clean":
        rows = read_table(arm)
    else:
        rows = _of_suites(suites, settings.suites)
        print("attack.protocol: as_published: training rows are made from suites; their results are contaminated")
    picked = pick(rows, THREE_WAY, settings.n_per_class, settings.seed)
    write_table(out, picked[["id", "premise", "hypothesis", "label"]])
    count = len(picked) // picked["label"].nunique()
    short = "" if count == settings.n_per_class else f" (attack.n_per_class asks for {settings.n_per_class})"
    print(f"{out}: {count} rows of each label out of {len(rows)}{short}")


def _of_suites(folder: Path, names: list[str]) -> pd.DataFrame:
    """The rows of the three-way suites that are attacked."""
    parts = [read_table(folder / f"{name}.parquet").assign(suite=name) for name in names]
    three_way = [
        part.assign(id=part["suite"] + "/" + part["id"]) for part in parts if set(part["label"]) <= set(THREE_WAY)
    ]
    if not three_way:
        raise UserError(
            "params.yaml: attack.protocol: as_published makes training rows from three-way suites; name one in "
            "attack.suites"
        )
    return pd.concat(three_way, ignore_index=True)


if __name__ == "__main__":
    run(main)
