"""Everything that is said of one dataset without training a language model, as one JSON file holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nlilab.analysis.artefacts import artefacts
from nlilab.analysis.embeddings import Embed
from nlilab.analysis.entities import entities
from nlilab.analysis.leaks import leakage
from nlilab.analysis.lexical import lexical
from nlilab.analysis.sampling import label_column, labelled_pairs, sample
from nlilab.analysis.semantic import semantic
from nlilab.analysis.settings import AnalyzeSettings
from nlilab.core.schema import TEXT, task_of

SUITES = "suites/"


@dataclass(frozen=True)
class Beside:
    """The suites in use, by name, in which leaks are looked for, and which of them entities are compared with.

    A row leaks from this containment of its 8-grams or this Jaccard on: those of the section `curate`.
    """

    suites: Mapping[str, pd.DataFrame]
    references: Sequence[str]
    containment: float
    jaccard: float

    def reference(self, task: str) -> str | None:
        """The suite of this task that is compared with: the first of the references, or else of all; None without."""
        own = [name for name, rows in self.suites.items() if task_of(rows) == task]
        return next((name for name in (*self.references, *own) if name in own), None)


def describe(
    name: str,
    table: pd.DataFrame,
    beside: Beside,
    settings: AnalyzeSettings,
    embed: Embed,
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """The analyses of the set `name`, linear in its rows.

    Args:
        table: its rows; `labelled_pairs` says what it must have. A suite is looked for in no other.
        labels: those of its task, where a label that no row has is to be counted as well.
    """
    every = labelled_pairs(name, table, labels)
    rows, task = sample(every, settings.rows, settings.seed), task_of(table)
    against = beside.reference(task)
    if name == f"{SUITES}{against}":
        against = None  # the set is the reference of the others
    reference = labelled_pairs(f"{SUITES}{against}", beside.suites[against]) if against else None
    suites = {} if name.startswith(SUITES) else beside.suites
    thresholds = (beside.containment, beside.jaccard, settings.leakage_cosine)
    bootstrap, seed = settings.bootstrap, settings.seed
    count = rows["label"].value_counts()
    distinct = {field: rows.drop_duplicates(field) for field in TEXT}
    return {
        "set": name,
        "task": task,
        "rows": len(rows),
        "of": len(every),
        "premises": int(rows["premise"].nunique()),
        "labels": {label: int(count.get(label, 0)) for label in labels or sorted(count.index)},
        "label_column": label_column(table),
        "origin": sorted(table["generator"].unique()) if "generator" in table else [],
        "lexical": {
            field: lexical(own[field].tolist(), own["group"].tolist(), settings.tokens, bootstrap, seed)
            for field, own in distinct.items()
        },
        # Before the encoder is loaded: its memory and that of the linear models' features need not be held together.
        "artefacts": artefacts(rows, settings.sizes, bootstrap, seed),
        "entities": {
            **entities(rows, reference, settings.entities, bootstrap, seed),
            "reference": f"{SUITES}{against}" if against else None,
        },
        "semantic": {field: semantic(rows, field, embed, bootstrap, seed) for field in TEXT},
        "leakage": leakage(rows, suites, thresholds, embed),
    }
