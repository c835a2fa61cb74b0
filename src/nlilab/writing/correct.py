"""TarGEN's step 4, self-correction (section 3.3), by a judge's meta-prompt or by confident learning, or both."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from nlilab.core.files import digest
from nlilab.core.params import Name, Settings
from nlilab.core.progress import Report
from nlilab.core.schema import plain_label
from nlilab.llm.answers import Unreadable, read_fields
from nlilab.llm.request import Request
from nlilab.llm.writer import UNANSWERED, Writer
from nlilab.model.settings import TrainSettings
from nlilab.tasks.definition import Task, answer_schema
from nlilab.writing.asking import ask_until_read, stop_at_holes

KEPT, RELABELLED, DROPPED, UNJUDGED = "kept", "relabelled", "dropped", "unjudged"
SELF = "self"
EXAMPLES = 30  # corrected rows that the metrics show


class CorrectSettings(Settings):
    """How labels are corrected, and by whom."""

    method: Literal["llm", "confident", "both", "none"]
    judge: Name = Field(description="a generator of conf/generators.yaml, or `self`: the one that wrote the row")
    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    folds: Annotated[int, Field(ge=2, le=20)] = 3
    classifier: TrainSettings = Field(description="the small model of confident learning, trained once for each fold")


@dataclass(frozen=True)
class Verdicts:
    """What correction says of each row: label (None where the row is dropped), verdict, explanation.

    `cost_usd`: what the judge's answers to it cost, unreadable ones included; None where nobody knows the price.
    """

    label: list[str | None]
    verdict: list[str]
    explanation: list[str]
    cost_usd: list[float | None]

    def onto(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with the evidence beside the constrained label."""
        return rows.assign(
            corrected_label=pd.Series(self.label, index=rows.index, dtype=object),
            verdict=self.verdict,
            explanation=self.explanation,
            judge_cost_usd=pd.Series(self.cost_usd, index=rows.index, dtype=float),
        )

    def unanswered(self) -> list[bool]:
        """Which rows have no verdict because the judge's provider gave no answer at all."""
        told = zip(self.verdict, self.explanation, strict=True)
        return [verdict == UNJUDGED and why.startswith(UNANSWERED) for verdict, why in told]


def untouched(rows: pd.DataFrame) -> Verdicts:
    """Method `none`: the constrained label stands."""
    return Verdicts(rows["label"].tolist(), [KEPT] * len(rows), [""] * len(rows), [0.0] * len(rows))


def judge(
    writer: Writer, task: Task, rows: pd.DataFrame, attempts: int, report: Report, step: str = "correct"
) -> Verdicts:
    """Ask the judge for each row's label; what it calls invalid is dropped, what cannot be read stays unjudged.

    HolesLeft where more rows than llm.holes allows found no answer.
    `step` is the name under which the ledger books the answers.
    """
    schema = answer_schema(
        {"explanation": {"type": "string"}, "label": {"type": "string", "enum": [*task.labels, "invalid"]}}
    )
    records = rows.to_dict("records")
    found, failed = ask_until_read(
        records,
        lambda row, further: _judge_request(writer, task, schema, row, further, step),
        lambda text: _read_verdict(text, task),
        lambda requests: writer.ask(requests, report),
        attempts,
    )
    stop_at_holes(writer, [failure.reason for failure in failed if failure.unanswered], len(records))
    why = {failure.place: failure.reason for failure in failed if failure.final}
    answers = [[found[place].answer] if place in found else [] for place in range(len(records))]
    for failure in failed:
        answers[failure.place] += [failure.answer] if failure.answer else []
    label: list[str | None] = []
    verdict: list[str] = []
    explanation: list[str] = []
    for place, record in enumerate(records):
        answer_label, text = found[place].value if place in found else (None, why[place])
        if answer_label is None:
            said, name = UNJUDGED, None
        elif answer_label == "invalid":
            said, name = DROPPED, None
        else:
            said, name = (KEPT if answer_label == record["label"] else RELABELLED), answer_label
        label.append(name)
        verdict.append(said)
        explanation.append(text)
    return Verdicts(label, verdict, explanation, [total(map(writer.cost, given)) for given in answers])


def total(costs: Iterable[float | None]) -> float | None:
    """The sum of what is known to have been paid, or None where a price is not known (empty, or not a number)."""
    paid = list(costs)
    return None if any(pd.isna(cost) for cost in paid) else round(math.fsum(map(float, filter(None, paid))), 9)


def confident(rows: pd.DataFrame, probabilities: npt.NDArray[np.float64], labels: list[str]) -> Verdicts:
    """Confident learning (Northcutt et al. 2021) on out-of-fold probabilities [rows, labels].

    A row that cleanlab finds mislabelled gets the model's label if the model is surer of it than of an average
    row of that label (the class's self-confidence), else it is dropped.
    """
    from cleanlab.count import get_confident_thresholds
    from cleanlab.filter import find_label_issues

    given = np.array([labels.index(label) for label in rows["label"]])
    issues = find_label_issues(given, probabilities, n_jobs=1)
    threshold = get_confident_thresholds(given, probabilities)
    best = probabilities.argmax(axis=1)
    label: list[str | None] = []
    verdict: list[str] = []
    explanation: list[str] = []
    for row, issue in enumerate(issues):
        own, top = probabilities[row, given[row]], probabilities[row, best[row]]
        note = f"out of fold: {own:.2f} for {labels[given[row]]}, {top:.2f} for {labels[best[row]]}"
        if not issue:
            found: tuple[str | None, str] = (labels[given[row]], KEPT)
        elif top >= threshold[best[row]] and best[row] != given[row]:
            found = (labels[best[row]], RELABELLED)
        else:
            found = (None, DROPPED)
        label.append(found[0])
        verdict.append(found[1])
        explanation.append(note)
    return Verdicts(label, verdict, explanation, [0.0] * len(label))


def flip_matrix(rows: pd.DataFrame, labels: list[str]) -> dict[str, Any]:
    """TarGEN's Figure 2: constrained label x corrected label, with dropped and unjudged rows, and flip rates."""
    columns = [*labels, DROPPED, UNJUDGED]
    outcome = rows["corrected_label"].where(rows["corrected_label"].notna(), rows["verdict"])
    counts = pd.crosstab(rows["label"], outcome).reindex(index=labels, columns=columns, fill_value=0)
    matrix = {label: dict(zip(columns, map(int, counts.loc[label].to_numpy()), strict=True)) for label in labels}
    total = len(rows)
    return {
        "rows": total,
        "matrix": matrix,
        "verdicts": {name: int((rows["verdict"] == name).sum()) for name in (KEPT, RELABELLED, DROPPED, UNJUDGED)},
        "flip_rate": float((rows["verdict"] == RELABELLED).mean()),
        "flip_rate_by_label": {
            label: float((of_label["verdict"] == RELABELLED).mean()) if len(of_label) else None
            for label in labels
            for of_label in [rows[rows["label"] == label]]
        },
    }


def corrected_examples(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, str]]:
    """At most 30 rows that were relabelled or dropped, first in hash order, as pairs, with the judge's reasons."""
    changed = rows.index[rows["verdict"].isin([RELABELLED, DROPPED])]
    chosen = sorted(changed, key=lambda place: digest("corrected", str(rows["id"][place])))[:EXAMPLES]
    outcome = rows["corrected_label"].where(rows["corrected_label"].notna(), rows["verdict"])
    return [
        {
            **{name: str(pairs[name][place]) for name in ("id", "premise", "hypothesis")},
            "constrained": str(rows["label"][place]),
            "corrected": str(outcome[place]),
            "explanation": str(rows["explanation"][place]),
        }
        for place in chosen
    ]


def _judge_request(
    writer: Writer, task: Task, schema: dict[str, Any], row: dict[Any, Any], further: int, step: str
) -> Request:
    instance = {field: str(row[field]) for field in task.file.fields}
    meta = {"task": task.name, "step": step, "label": row["label"], "context": row.get("context", ""), **instance}
    return writer.request(task.correction(instance, row["label"]), schema, further, meta)


def _read_verdict(text: str, task: Task) -> tuple[str, str]:
    """The label and its reason; a text that names two different labels is unreadable."""
    known = {_plain(name): name for name in (*task.labels, "invalid")}
    said = read_fields(text, ["label"], further=["explanation"], same=_plain)
    if (label := known.get(_plain(said["label"]))) is None:
        raise Unreadable(f"unknown label {said['label'][:40]!r}")
    return label, said["explanation"]


def _plain(name: str) -> str:
    """A label's name as models also write it, with marks and a full stop."""
    return plain_label(name.strip().strip(".\"'"))
