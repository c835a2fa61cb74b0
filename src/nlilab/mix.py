"""Training tables: an arm draws rows from curated sources, equal for every label, and certifies its balance."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, RootModel

from nlilab.errors import UserError
from nlilab.files import digest
from nlilab.params import Name, Settings, nearest

WORD = re.compile(r"\w+")


class Mixture(Settings):
    """One arm: how many rows of which source, under which label, and whether labels are shuffled (a control)."""

    sources: Annotated[dict[Name, Annotated[int, Field(ge=1)] | Literal["all"]], Field(min_length=1)]
    labels: Literal["constrained", "corrected"] = "corrected"
    shuffle: bool = False


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
        """Refuse an arm that draws on a source which is not `known`: neither a generator nor a dataset of the run."""
        for name in self.get(arm).sources:
            if name not in known:
                raise UserError(
                    f"params.yaml: mixtures.{arm}.sources: {name!r} is neither in generators nor in datasets"
                    f"{nearest(name, known)}; add it there (now: {', '.join(known)})"
                )


def mix(arm: str, mixture: Mixture, sources: Mapping[str, pd.DataFrame], labels: list[str]) -> pd.DataFrame:
    """The arm's training rows: id, premise, hypothesis, label, source, group; ordered by a hash, so by nothing."""
    parts = [_draw(arm, name, count, mixture.labels, sources[name], labels) for name, count in mixture.sources.items()]
    table = pd.concat(parts, ignore_index=True)
    if mixture.shuffle:
        table["label"] = _shuffled(table, arm)
    order = table["id"].map(lambda row: digest("order", row)).argsort()
    return table.iloc[order].reset_index(drop=True)


def certificate(table: pd.DataFrame, mixture: Mixture, labels: list[str]) -> dict[str, Any]:
    """What makes arms comparable: size, balance by label and source, and the shortcuts' size by label."""
    hypothesis = table["hypothesis"].map(_words)
    premise = table["premise"].map(_words)
    overlap = pd.Series(
        [len(set(h) & set(p)) / max(1, len(set(h))) for h, p in zip(hypothesis, premise, strict=True)],
        index=table.index,
    )
    count = table["label"].value_counts()
    return {
        "rows": len(table),
        "labels": {label: int(count.get(label, 0)) for label in labels},
        "sources": {str(name): int(rows) for name, rows in table["source"].value_counts().sort_index().items()},
        "label_kind": mixture.labels,
        "shuffled": mixture.shuffle,
        "balanced": bool(np.ptp(count.reindex(labels, fill_value=0)) <= 1),
        "premises": int(table["group"].nunique()),
        "hypothesis_words": _mean_by_label(hypothesis.map(len), table["label"], labels),
        "premise_words": _mean_by_label(premise.map(len), table["label"], labels),
        "overlap": _mean_by_label(overlap, table["label"], labels),
    }


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _mean_by_label(values: pd.Series, label: pd.Series, labels: list[str]) -> dict[str, float]:
    means = values.groupby(label).mean()
    return {name: round(float(means.get(name, 0.0)), 3) for name in labels}


def _draw(
    arm: str, name: str, count: int | Literal["all"], kind: str, rows: pd.DataFrame, labels: list[str]
) -> pd.DataFrame:
    """Rows of one source, as many for each label (but for one), first in hash order.

    So a larger arm contains a smaller one.
    """
    label = rows["label"]
    if kind == "corrected" and "corrected_label" in rows:
        label = rows["corrected_label"]
    usable = rows.assign(label=label, source=name)[label.notna() & (rows["split"] == "train")]
    usable = usable[["id", "premise", "hypothesis", "label", "source", "group"]]
    if count == "all":
        if usable.empty:
            raise UserError(f"arm {arm!r}: {name} has no usable rows after curation")
        return usable
    share = {label: count // len(labels) + (place < count % len(labels)) for place, label in enumerate(labels)}
    held = usable["label"].value_counts().reindex(labels, fill_value=0)
    if any(held[label] < share[label] for label in labels):
        raise UserError(
            f"arm {arm!r} asks {count} rows of {name} ({count // len(labels)} for each label), which has "
            f"{', '.join(f'{int(held[label])} {label}' for label in labels)} after curation; ask at most "
            f"{int(held.min()) * len(labels)}, or raise plan.premises_per_context"
        )
    ranked = usable.assign(rank=usable["id"].map(lambda row: digest("draw", row))).sort_values("rank")
    place = ranked.groupby("label", sort=False).cumcount()
    return ranked[place < ranked["label"].map(share)].drop(columns="rank")


def _shuffled(table: pd.DataFrame, arm: str) -> list[str]:
    """The arm's own labels in a random order that depends on ids alone: the balance stays, the meaning goes."""
    order = table["id"].map(lambda row: digest(f"shuffle-{arm}", row)).argsort()
    return table["label"].iloc[order].tolist()
