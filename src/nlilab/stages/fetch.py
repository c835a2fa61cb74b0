"""Stage fetch: get a dataset at its pinned state, verify it, normalise its labels to names."""

from pathlib import Path
from typing import Annotated

import typer

from nlilab.core.command import run
from nlilab.core.files import write_json, write_table
from nlilab.core.params import conf_entry
from nlilab.datasets.entries import Dataset
from nlilab.datasets.places import locate
from nlilab.datasets.sources import rows_of


def main(
    dataset: str,
    out: Path,
    card: Path,
    reading: Annotated[Path | None, typer.Option(help="where to write the labels of rows that are trained on")] = None,
) -> None:
    """Write the rows of an entry of conf/datasets.yaml, and a card with its counts and terms."""
    found = locate(dataset, conf_entry("datasets", dataset, Dataset))
    entry, rows = found.entry, rows_of(dataset, found)
    labels = rows["label"].value_counts()
    write_table(out, rows)
    if reading:
        write_json(reading, {"tasks": {entry.task: list(entry.label_names)}})
    write_json(
        card,
        {
            "rows": len(rows),
            "labels": {label: int(labels.get(label, 0)) for label in entry.label_names},
            "groups": int(rows["group"].nunique()),
            "licence": entry.licence,
            "source": f"{entry.source} (only a part: {found.part})" if found.part else entry.source,
            "adversarial": entry.adversarial,
            "task": entry.task,
            "metric": entry.metric,
        }
        | entry.lineage,
    )
    print(f"{dataset}: {len(rows)} rows, {rows['group'].nunique()} groups ({entry.licence})")
    if found.part:
        print(f"{dataset}: {found.file} is only a part of the official set: {found.part}")


if __name__ == "__main__":
    run(main)
