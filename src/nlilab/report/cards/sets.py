"""The tables that can be shared, by name, as their users read them: one label column, and rows in splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from nlilab.core.errors import UserError
from nlilab.core.files import read_table
from nlilab.core.params import Run, nearest
from nlilab.core.schema import TEXT, TWO_WAY
from nlilab.llm.errors import ErrorKind
from nlilab.tasks.definition import Task, load_task

DATA = Path("data")
SPLITS = {"train": "train", "dev": "validation"}  # ours -> the hub's
FIRST = ("id", *TEXT, "label")


@dataclass(frozen=True)
class Shared:
    """A table ready to be shared: its arrow tables by split, whose rows together are the rows of `path`."""

    name: str
    path: Path
    rows: pd.DataFrame
    labels: list[str]
    tasks: list[str]
    splits: Mapping[str, pa.Table]

    @property
    def kind(self) -> str:
        """The folder beneath data/: curated, arms, suites and so on."""
        return self.name.partition("/")[0]

    @property
    def rest(self) -> str:
        """The name beneath that folder."""
        return self.name.partition("/")[2]


def sets_of(run: Run) -> list[str]:
    """The names of all tables that this run's params.yaml can share."""
    folders = {
        "generated": run.written(),
        "labelled": run.labelled(),
        "curated": run.sets,
        "suites": run.suites,
        "arms": run.arms,
    }
    return [f"{folder}/{name}" for folder, names in folders.items() for name in names]


def load_set(name: str, run: Run) -> Shared:
    """Read the table `name`; one that params.yaml does not name, that is not there, or without rows is refused."""
    known = sets_of(run)
    if name not in known:
        raise UserError(f"no set {name!r}{nearest(name, known)}; params.yaml names {', '.join(known)}")
    path = DATA / f"{name}.parquet"
    table = read_table(path)
    if table.empty:
        raise UserError(f"{path} has no rows (an untuned arm trains on none): there is nothing to share")
    if "task" not in table:  # generated rows: of the task that the path names
        table = table.assign(task=name.split("/")[1])
    tasks = {found: load_task(found) for found in dict.fromkeys(table["task"].astype(str))}
    if not set(TEXT) <= set(table):
        table = next(iter(tasks.values())).pairs(table)
    rows = _readable(table)
    return Shared(name, path, rows, _labels(rows, tasks, path), list(tasks), _splits(rows, name))


def bare(value: str) -> str:
    """A model's id; of a local model only its folder's name: where it lies is nobody's business."""
    return Path(value).name if Path(value).is_absolute() else value


def told(reason: str) -> str:
    """Why an answer was not taken; of a failed provider its kind alone: a server may name hosts or keys."""
    kind = reason.partition(": ")[0]
    return f"the provider failed ({kind})" if kind in set(ErrorKind) else reason


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """One label column, the pair first, and no place of this machine."""
    if "corrected_label" in table:
        table = table.rename(columns={"label": "constrained_label", "corrected_label": "label"})
        table = table.assign(explanation=table["explanation"].map(told, na_action="ignore"))
    if "model" in table:
        table = table.assign(model=table["model"].map(bare, na_action="ignore"))
    return table[[*FIRST, *(column for column in table if column not in FIRST)]]


def _labels(rows: pd.DataFrame, tasks: Mapping[str, Task], path: Path) -> list[str]:
    """The label names in the tasks' order; of inference in two labels, those two."""
    names: list[str] = []
    for task, own in rows.groupby("task", sort=False)["label"]:
        used, order = set(own.dropna()), tasks[str(task)].labels
        if not used <= set(order):
            order = list(TWO_WAY)
        if strange := sorted(used - set(order)):
            raise UserError(f"{path}: labels {', '.join(strange)} are none of the task {task!r}: run `dvc repro`")
        names += order
    return list(dict.fromkeys(names))


def _splits(rows: pd.DataFrame, name: str) -> dict[str, pa.Table]:
    """Arrow tables by the hub's names of splits; a table that was not split is `train`, a suite is `test`."""
    if "split" not in rows:
        return {"test" if name.startswith("suites/") else "train": _arrow(rows)}
    own = rows["split"].map(SPLITS)
    if own.isna().any():
        raise UserError(f"{name}: unknown split {rows['split'][own.isna()].iloc[0]!r}; expected {', '.join(SPLITS)}")
    plain = rows.drop(columns="split")
    return {split: _arrow(plain[own == split]) for split in SPLITS.values() if (own == split).any()}


def _arrow(rows: pd.DataFrame) -> pa.Table:
    """The rows as arrow, every text a plain string: the hub's library knows no other, and an empty column has none."""
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    plain = [
        field.with_type(pa.string()) if pa.types.is_large_string(field.type) or pa.types.is_null(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(plain))
