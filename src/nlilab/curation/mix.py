"""Training tables: an arm draws rows from curated sources, equal for every label, and certifies its balance."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, RootModel

from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.core.params import Name, Settings, nearest
from nlilab.core.schema import task_of
from nlilab.core.words import overlap, words
from nlilab.tasks.definition import Task
from nlilab.tasks.reading import Reading, View

Source = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?$")]
Draw = Annotated[int, Field(ge=1)] | Literal["all"] | Annotated[str, Field(pattern=r"^\$\d+(\.\d+)?$")]


class Mixture(Settings):
    """One arm: how much of which source (task/generator, or a dataset), under which label, and how it is read.

    A draw is a number of rows, `all`, or the rows whose own answers cost so much ("$1.50"). `shuffle`: a control
    whose labels mean nothing; `contexts`: the share of each source's contexts that rows may come from (TarGEN, Table
    10); `balance_tasks`: repeat the rows of small tasks until all tasks weigh the same; `instructions`: each premise
    comes after its task's instructions; `view`: both sides, or one alone (a test for artefacts); `untuned`: a control
    that is not trained at all. `model`, `revision` and `train` say what its models start from, where that is not
    train.model (core/bases.py).
    """

    sources: Annotated[dict[Source, Draw], Field(min_length=1)]
    labels: Literal["constrained", "corrected"] = "corrected"
    shuffle: bool = False
    contexts: Annotated[float, Field(gt=0, le=1)] = 1.0
    balance_tasks: bool = False
    instructions: bool = False
    view: View = "pair"
    untuned: bool = False
    model: Annotated[str, Field(min_length=1)] | None = None
    revision: str | None = None
    train: dict[str, Any] | None = None


class Mixtures(RootModel[dict[Name, Mixture]]):
    """The section `mixtures`: arms by name."""

    def get(self, arm: str) -> Mixture:
        """The definition of an arm that takes part."""
        if arm not in self.root:
            raise UserError(
                f"params.yaml: arm {arm!r} has no entry in mixtures{nearest(arm, self.root)}; "
                f"it has {', '.join(self.root)}"
            )
        return self.root[arm]

    def check_sources(self, arm: str, known: Collection[str]) -> None:
        """Refuse an arm with a source that is not `known`, the run's sets."""
        for name in self.get(arm).sources:
            if name not in known:
                raise UserError(
                    f"params.yaml: mixtures.{arm}.sources: {name!r} is none of `sets`{nearest(name, known)}; "
                    f"these are {', '.join(known)}: name it there (task/generator, or a dataset) to train on it"
                )


def mix(arm: str, mixture: Mixture, sources: Mapping[str, pd.DataFrame], tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The arm's training rows: id, premise, hypothesis, label, source, group, task; ordered by a hash, so by nothing.

    Each source's rows are of one task, and their labels among that task's.
    """
    parts = [
        _draw(arm, name, draw, mixture, sources[name], _labels(name, sources[name], tasks))
        for name, draw in mixture.sources.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    if mixture.balance_tasks:
        table = _balanced(table)
    if mixture.shuffle:
        table["label"] = _shuffled(table, arm)
    order = table["id"].map(lambda row: digest("order", row)).argsort()
    table = table.iloc[order].reset_index(drop=True)
    return table.head(0) if mixture.untuned else table


def reading_of(mixture: Mixture, sources: Mapping[str, pd.DataFrame], tasks: Mapping[str, Task]) -> Reading:
    """How the arm's models read: their tasks in the order of the sources, with labels, words and instructions."""
    own = [tasks[name] for name in dict.fromkeys(map(task_of, sources.values()))]
    return Reading(
        tasks={task.name: task.labels for task in own},
        words={label: word for task in own for label, word in task.words().items() if word != label},
        instructions={task.name: task.instruction() for task in own} if mixture.instructions else {},
        view=mixture.view,
    )


def _labels(name: str, rows: pd.DataFrame, tasks: Mapping[str, Task]) -> list[str]:
    """The labels of the source's task; rows that carry others are refused."""
    task = tasks[task_of(rows)]
    if strange := sorted(set(rows["label"]) - set(task.labels)):
        raise UserError(
            f"source {name!r}: its rows are labelled {', '.join(strange)}, which tasks/{task.name}/task.yaml does not "
            f"know ({', '.join(task.labels)}): map them by `labels` in conf/datasets.yaml, or name another `task`"
        )
    return task.labels


def _balanced(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of small tasks again, label after label in turn, so that every task has as many as the largest."""
    most = int(table["task"].value_counts().max())
    parts = []
    for _, own in table.groupby("task", sort=False):
        own = own.iloc[own.groupby("label").cumcount().to_numpy().argsort(kind="stable")]
        rounds = np.arange(most) // len(own)
        again = own.iloc[np.arange(most) % len(own)]
        ids = [f"{row}#{turn}" if turn else row for row, turn in zip(again["id"], rounds, strict=True)]
        parts.append(again.assign(id=ids))
    return pd.concat(parts, ignore_index=True)


def certificate(table: pd.DataFrame, mixture: Mixture, reading: Reading) -> dict[str, Any]:
    """What makes arms comparable: size, balance by label and source, and the shortcuts' size by label."""
    hypothesis, premise = table["hypothesis"].map(words), table["premise"].map(words)
    shared = pd.Series(map(overlap, premise, hypothesis), index=table.index)
    count, labels = table["label"].value_counts(), reading.labels
    by_task = {task: table[table["task"] == task]["label"].value_counts() for task in reading.tasks}
    return {
        "rows": len(table),
        "labels": {label: int(count.get(label, 0)) for label in labels},
        "sources": {str(name): int(rows) for name, rows in table["source"].value_counts().sort_index().items()},
        "label_kind": mixture.labels,
        "shuffled": mixture.shuffle,
        "view": mixture.view,
        "instructions": mixture.instructions,
        "tasks": {task: int(own.sum()) for task, own in by_task.items()},
        "balanced": all(np.ptp(own.reindex(reading.tasks[task], fill_value=0)) <= 1 for task, own in by_task.items()),
        "premises": int(table["group"].nunique()),
        "hypothesis_words": _mean_by_label(hypothesis.map(len), table["label"], labels),
        "premise_words": _mean_by_label(premise.map(len), table["label"], labels),
        "overlap": _mean_by_label(shared, table["label"], labels),
    }


def _mean_by_label(values: pd.Series, label: pd.Series, labels: list[str]) -> dict[str, float]:
    means = values.astype(float).groupby(label).mean()  # without rows, lengths have no type of their own
    return {name: round(float(means.get(name, 0.0)), 3) for name in labels}


def _draw(
    arm: str, name: str, draw: int | str, mixture: Mixture, rows: pd.DataFrame, labels: list[str]
) -> pd.DataFrame:
    """Rows of one source, as many for each label (but for one), first in hash order.

    So a larger arm contains a smaller one.
    """
    label = rows["label"]
    if mixture.labels == "corrected" and "corrected_label" in rows:
        label = rows["corrected_label"]
    rows = rows.assign(label=label, source=name)
    usable = rows[label.notna() & (rows["split"] == "train") & _of_contexts(rows, mixture.contexts)]
    columns = ["id", "premise", "hypothesis", "label", "source", "group", "task"]
    if draw == "all":
        if usable.empty:
            raise UserError(f"arm {arm!r}: {name} has no usable rows after curation")
        return usable[columns]
    ranked = usable.assign(rank=usable["id"].map(lambda row: digest("draw", row))).sort_values("rank")
    place = ranked.groupby("label", sort=False).cumcount()
    if isinstance(draw, str):
        ranked = ranked.assign(place=place).sort_values(["place", "rank"], kind="stable")
        count = _affordable(arm, name, ranked, float(draw.removeprefix("$"))) // len(labels) * len(labels)
        if not count:
            raise UserError(
                f"arm {arm!r} asks for rows of {name} worth {draw}, which buys less than one row of each label"
            )
    else:
        count = draw
    share = {label: count // len(labels) + (place < count % len(labels)) for place, label in enumerate(labels)}
    held = usable["label"].value_counts().reindex(labels, fill_value=0)
    if any(held[label] < share[label] for label in labels):
        raise UserError(
            f"arm {arm!r} asks {count} rows of {name} ({count // len(labels)} for each label), which has "
            f"{', '.join(f'{int(held[label])} {label}' for label in labels)} after curation; ask at most "
            f"{int(held.min()) * len(labels)}, or raise plan.seeds_per_context"
        )
    return ranked[place.reindex(ranked.index) < ranked["label"].map(share)][columns]


def _of_contexts(rows: pd.DataFrame, share: float) -> "pd.Series[bool]":
    """Rows of the first contexts in hash order, at least one; rows of datasets have none and all stay."""
    if share == 1 or "context" not in rows:
        return pd.Series(True, index=rows.index)
    every = sorted(rows["context"].unique(), key=lambda context: digest("context", context))
    return rows["context"].isin(every[: max(1, round(share * len(every)))])


def _affordable(arm: str, name: str, ranked: pd.DataFrame, dollars: float) -> int:
    """How many of the ranked rows, label after label in turn, the money buys."""
    if "cost_usd" not in ranked or not ranked["cost_usd"].fillna(0).sum() > 0:
        raise UserError(
            f"arm {arm!r} asks for rows of {name} worth ${dollars:g}, but they cost nothing: ask for a number of "
            "rows, or give the generator a price in conf/prices.yaml or its entry"
        )
    spent = ranked["cost_usd"].astype(float).cumsum().to_numpy()
    if spent[-1] < dollars * 0.98:
        raise UserError(
            f"arm {arm!r} asks for rows of {name} worth ${dollars:g}, but all {len(ranked)} cost ${spent[-1]:.4f}; ask "
            "for less, or raise plan.seeds_per_context"
        )
    return int((spent <= dollars).sum())


def _shuffled(table: pd.DataFrame, arm: str) -> list[str]:
    """The arm's own labels in a random order that depends on ids alone: the balance stays, the meaning goes."""
    order = table["id"].map(lambda row: digest(f"shuffle-{arm}", row)).argsort()
    return table["label"].iloc[order].tolist()
