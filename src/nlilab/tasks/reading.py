"""How a small model reads rows: its tasks and their labels, what it is told of them, and which side it sees."""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from nlilab.core.errors import UserError
from nlilab.core.files import read_json
from nlilab.core.params import Settings, validate
from nlilab.core.schema import THREE_WAY, TWO_WAY, task_of

View = Literal["pair", "premise", "hypothesis", "nothing"]
FILE = "reading.json"  # in a model's folder


class Reading(Settings):
    """What a trained model carries with it, so that it can be asked without the parameters that trained it.

    tasks: task -> its label names; words: label -> the word by which a language model scores it; instructions: task ->
    the text that stands before every premise, where the model was tuned to follow it; view: the sides that it sees.
    """

    tasks: Annotated[dict[str, list[str]], Field(min_length=1)]
    words: dict[str, str] = {}
    instructions: dict[str, str] = {}
    view: View = "pair"

    @property
    def labels(self) -> list[str]:
        """All label names, each once, in the order of the tasks: what a classification head answers with."""
        return list(dict.fromkeys(label for labels in self.tasks.values() for label in labels))

    def word(self, label: str) -> str:
        """The word by which a label is scored; its name where nothing else is said."""
        return self.words.get(label, label)

    def task_for(self, task: str, scheme: list[str]) -> str | None:
        """The task as which rows of `task` with the label names `scheme` are read, or None where they cannot be.

        A model reads its own tasks; and one that knows inference with labels fine enough reads other inference tasks:
        as one with the same labels, or else as a three-way one whose labels are collapsed. CommitmentBank's sort of
        inference is not taken for another while there is a choice.
        """
        if task in self.tasks:
            if not _expresses(self.tasks[task], scheme):
                raise UserError(
                    f"rows of task {task!r} are labelled {', '.join(scheme)}, but the model answers "
                    f"{', '.join(self.tasks[task])}: correct `labels` (or `task`) of the dataset in conf/datasets.yaml"
                )
            return task
        if not set(scheme) <= {*THREE_WAY, *TWO_WAY}:
            return None
        able = [name for name, labels in self.tasks.items() if _expresses(labels, scheme)]
        same = [name for name in able if set(self.tasks[name]) == set(scheme)]
        return min(same or able, key=lambda name: name == "cb", default=None)


def _expresses(labels: list[str], scheme: list[str]) -> bool:
    collapsed = set(labels) == set(THREE_WAY) and set(scheme) <= set(TWO_WAY)
    return set(scheme) <= set(labels) or collapsed


def read_reading(path: Path) -> Reading:
    """The reading in a file: an arm's, or a model's."""
    return validate(read_json(path), Reading, str(path))


def load_reading(folder: Path) -> Reading:
    """The reading of the model in `folder`."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"no model in {folder} (it lacks {FILE}): run `dvc repro`, or `dvc pull` where a remote holds it"
        )
    return read_reading(path)


def scheme_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """The label names of a suite's scheme, known by the names its rows carry; the positive one of two first.

    Rows that lack some of the names say them all in the column `scheme` (`datasets.sources.rows_of`).
    """
    labels = rows["label"]
    if "scheme" in rows and len(said := rows["scheme"].dropna()):
        labels = pd.Series(said.iloc[0].split(","))
    if labels.isin([TWO_WAY[1]]).any():
        return TWO_WAY
    return THREE_WAY if labels.isin(THREE_WAY).all() else tuple(sorted(labels.unique(), key=_positive_first))


def as_read(rows: pd.DataFrame, reading: Reading) -> pd.DataFrame | None:
    """One suite's rows with the task as which a model reads them in `task`, or None where it cannot read them."""
    task = reading.task_for(task_of(rows), list(scheme_of(rows)))
    return rows.assign(task=task) if task else None


def must_read(rows: pd.DataFrame, reading: Reading, model: str, field: str, what: str) -> pd.DataFrame:
    """`as_read`, where a model that cannot is the user's mistake in the parameter `field`."""
    if (found := as_read(rows, reading)) is None:
        raise UserError(
            f"params.yaml: {field}: {model} knows the tasks {', '.join(reading.tasks)} and cannot read {what}; leave "
            "one of them out"
        )
    return found


def _positive_first(label: str) -> tuple[bool, str]:
    return label in ("false", "safe"), label
