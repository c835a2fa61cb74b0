"""Who judges perturbed rows: whether a row's gold label still holds, said by a generator or a model."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.correct import judge
from nlilab.llm.writer import Writer
from nlilab.progress import Report
from nlilab.task import Task

JUDGE_ATTEMPTS = 2  # at an answer that cannot be read

REFUSED = "the judge does not find the row's label in the perturbed row"


@dataclass(frozen=True)
class Judgement:
    """Whether a judge finds the gold label in each perturbed row, and how often it does in the rows as they were."""

    holds: npt.NDArray[np.bool_]
    on_originals: float


def judge_perturbed(
    writer: Writer, task: Task, made: pd.DataFrame, report: Report
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether a generator finds the gold label in each perturbed row, and in each row as it was [rows] each.

    It is asked with the meta-prompt of self-correction; an answer that cannot be read, or "invalid", is a no.
    """

    def agrees(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        said = judge(writer, task, rows, JUDGE_ATTEMPTS, report, "attack").label
        return np.array([label == gold for label, gold in zip(said, made["label"], strict=True)])

    return agrees(made), agrees(made.assign(hypothesis=made["original"]))
