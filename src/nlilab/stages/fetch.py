"""Stages fetch, fetch-suites: get datasets at their pinned state, verify them, normalise their labels to names."""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from nlilab.core.command import run
from nlilab.core.files import write_json, write_table
from nlilab.core.params import conf_entry, run_settings
from nlilab.datasets.entries import Dataset
from nlilab.datasets.places import Found, locate
from nlilab.datasets.sources import rows_of


def main(
    tables: Path,
    cards: Path,
    dataset: Annotated[str | None, typer.Argument(help="a training set, whose labels are written too")] = None,
) -> None:
    """Write the rows of a set or, where none is named, of every suite, and cards with their counts and terms."""
    for name in [dataset] if dataset else run_settings().suites:
        found = locate(name, conf_entry("datasets", name, Dataset))
        rows = rows_of(name, found)
        write_table(tables / f"{name}.parquet", rows)
        if dataset:
            write_json(tables / f"{name}.json", {"tasks": {found.entry.task: list(found.entry.label_names)}})
        write_json(cards / f"{name}.json", _card(found, rows))
        print(f"{name}: {len(rows)} rows, {rows['group'].nunique()} groups ({found.entry.licence})")
        if found.part:
            print(f"{name}: {found.file} is only a part of the official set: {found.part}")


def _card(found: Found, rows: pd.DataFrame) -> dict[str, Any]:
    entry, labels = found.entry, rows["label"].value_counts()
    return {
        "rows": len(rows),
        "labels": {label: int(labels.get(label, 0)) for label in entry.label_names},
        "groups": int(rows["group"].nunique()),
        "licence": entry.licence,
        "source": f"{entry.source} (only a part: {found.part})" if found.part else entry.source,
        "adversarial": entry.adversarial,
        "task": entry.task,
        "metric": entry.metric,
        **entry.lineage,
    }


if __name__ == "__main__":
    run(main)
