"""Who judges perturbed rows: whether a row's gold label still holds, said by a generator or a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.core.errors import UserError
from nlilab.core.progress import Report
from nlilab.core.schema import TEXT
from nlilab.llm.writer import UNANSWERED, Writer
from nlilab.tasks.definition import Task, load_task
from nlilab.writing.asking import Holes
from nlilab.writing.correct import judge

JUDGE_ATTEMPTS = 2  # at an answer that cannot be read

REFUSED = "the judge does not find the row's label in the perturbed row"


@dataclass(frozen=True)
class Judgement:
    """Whether a judge finds the gold label in each perturbed row, and how often it does in the rows as they were.

    `unanswered`: how many of these two times so many rows a generator gave no answer on: the label does not hold there.
    """

    holds: npt.NDArray[np.bool_]
    on_originals: float
    unanswered: int = 0


Say = Callable[[pd.DataFrame], Sequence[str | None]]  # the label that a judge finds in each row


def judge_perturbed(made: pd.DataFrame, say: Say) -> Judgement:
    """Have perturbed rows judged, and the same rows as they were."""

    said: list[Sequence[str | None]] = []
    holes = Holes()
    for rows in (made, made.assign(hypothesis=made["original"])):
        with holes.put_off():
            said.append(say(rows))
    holes.stop()
    holds, on_originals = (
        np.array([label == gold for label, gold in zip(of, made["label"], strict=True)]) for of in said
    )
    return Judgement(holds, float(on_originals.mean()), sum(label == UNANSWERED for of in said for label in of))


def judged_task(made: pd.DataFrame) -> Task:
    """The task as which a generator judges perturbed rows: it reads them only where an instance is the pair itself."""
    names = list(made["task"].unique())
    task = load_task(str(names[0]))
    if len(names) > 1 or set(task.file.fields) != set(TEXT):
        raise UserError(
            f"params.yaml: attack.judge_generator: perturbed rows of {', '.join(names)} are no instances that a "
            "generator can judge (it needs one task of premise and hypothesis); set it to none, so that an arm judges"
        )
    return task


def by_generator(writer: Writer, task: Task, report: Report) -> Say:
    """A generator, asked with the meta-prompt of self-correction; what cannot be read, or is "invalid", is no label.

    What llm.holes lets stay unanswered is said to be UNANSWERED.
    """

    def say(rows: pd.DataFrame) -> list[str | None]:
        verdicts = judge(writer, task, rows, JUDGE_ATTEMPTS, report, "attack")
        told = zip(verdicts.label, verdicts.unanswered(), strict=True)
        return [UNANSWERED if unanswered else label for label, unanswered in told]

    return say
