"""Real datasets: the verified file of an entry of conf/datasets.yaml becomes rows with named labels."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nlilab.core import schema
from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.datasets.entries import Dataset
from nlilab.datasets.formats import read_rows
from nlilab.datasets.places import Found, locate

BRACES = re.compile(r"\{(\w+)\}")


def fetch(name: str, dataset: Dataset) -> pd.DataFrame:
    """Get the file, verify it, and return its `rows_of`."""
    return rows_of(name, locate(name, dataset))


def rows_of(name: str, found: Found) -> pd.DataFrame:
    """Rows of a file: id, premise, hypothesis, label, group, cell (HANS's heuristic), task.

    Candidates of a question (metric pick-one) also have `option`, the candidate's text; and rows whose labels alone
    do not tell those of their set (all of them entailment, of a two-way one) have `scheme`, the names with commas.
    """
    file, dataset = found.file, found.entry
    rows = read_rows(file, dataset.format, name)
    rows = _with_columns(name, rows, dataset.columns)
    if "label" not in rows:
        raise UserError(f"{file}: no column 'label'; it has {', '.join(map(str, rows.columns))} (map it in `columns`)")
    if "id" not in rows:
        rows["id"] = [f"{name}-{number}" for number in range(len(rows))]
    rows["label"] = [str(label).lower() if isinstance(label, bool) else str(label) for label in rows["label"]]
    rows = rows[~rows["label"].isin(dataset.drop)].copy()
    rows["label"] = rows["label"].map(lambda label: dataset.labels.get(label, label))
    rows["id"] = rows["id"].where(rows["id"].isna(), rows["id"].map(str))
    schema.check_rows(rows, dataset.label_names, f"{name} ({file})")
    if dataset.group not in rows:
        raise UserError(f"{name}: no column {dataset.group!r} to group by; it has {', '.join(map(str, rows.columns))}")
    rows["group"] = [digest(value) for value in rows["premise"]] if dataset.group == "premise" else rows[dataset.group]
    rows["cell"] = rows.get("heuristic", "")
    rows["task"] = dataset.task
    columns = ["id", "premise", "hypothesis", "label", "group", "cell", "task"]
    columns += ["option"] if dataset.metric == "pick-one" else []
    if dataset.label_names != schema.THREE_WAY and len(set(rows["label"])) < len(dataset.label_names):
        rows["scheme"] = ",".join(dataset.label_names)
        columns.append("scheme")
    return rows[columns].astype(str).reset_index(drop=True)


def _with_columns(name: str, rows: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The columns under our names; a text with theirs in braces is filled in row by row."""
    texts = {ours: text for ours, text in columns.items() if "{" in text}
    missing = [column for column in columns.values() if "{" not in column and column not in rows]
    missing += [field for text in texts.values() for field in BRACES.findall(text) if field not in rows]
    if missing:
        raise UserError(f"{name}: no column {', '.join(missing)}; the file has {', '.join(map(str, rows.columns))}")
    records = rows.to_dict("records")
    filled = {ours: [_filled(text, record) for record in records] for ours, text in texts.items()}
    renamed = rows.rename(columns={theirs: ours for ours, theirs in columns.items() if ours not in texts})
    return renamed.assign(**filled)


def _filled(text: str, record: Mapping[Any, Any]) -> str:
    return BRACES.sub(lambda match: str(record[match[1]]), text)
