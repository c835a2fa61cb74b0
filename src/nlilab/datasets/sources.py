"""Real datasets: the verified file of an entry of conf/datasets.yaml becomes rows with named labels."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
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
    labels = [str(label).lower() if isinstance(label, bool) else _text(label) or "null" for label in rows["label"]]
    rows = rows.assign(label=labels)
    rows = rows[~rows["label"].isin(dataset.drop)].copy()
    rows["label"] = rows["label"].map(lambda label: dataset.labels.get(label, label))
    if dataset.group not in {*rows, *schema.TEXT}:
        raise UserError(f"{name}: no column {dataset.group!r} to group by; it has {', '.join(map(str, rows.columns))}")
    texts = list(dict.fromkeys([*schema.TEXT, dataset.group]))
    for column in ("id", *texts):
        if column in rows:
            rows[column] = _texts(name, rows, column)
    schema.check_rows(rows, dataset.label_names, f"{name} ({file})", texts)
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
    fields = {field: _texts(name, rows, field) for text in texts.values() for field in BRACES.findall(text)}
    records = pd.DataFrame(fields, index=rows.index, dtype=object).to_dict("records")
    renamed = rows.rename(columns={theirs: ours for ours, theirs in columns.items() if ours not in texts})
    for ours, text in texts.items():
        renamed[ours] = [_filled(text, record) for record in records]
    return renamed


def _filled(text: str, record: Mapping[Any, Any]) -> str | None:
    """The text with the record's fields filled in; None where it lacks one of them."""
    if any(record[field] is None for field in BRACES.findall(text)):
        return None
    return BRACES.sub(lambda match: str(record[match[1]]), text)


def _texts(name: str, rows: pd.DataFrame, column: str) -> "pd.Series[Any]":
    """A column's values as texts, None where one is missing; a list or an object is refused, not written as code."""
    for number, value in enumerate(rows[column], start=1):
        if isinstance(value, (list, dict, np.ndarray)):
            raise UserError(
                f"{name}: row {number}: {column} is {str(value)[:60]!r}, a {type(value).__name__} and no text; name a "
                "column of texts in `columns`"
            )
    return pd.Series([_text(value) for value in rows[column]], index=rows.index, dtype=object)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):  # parquet's texts as some programs write them
        return value.decode("utf-8", "replace")
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
