"""The rows that travel between stages, and the labels they carry: always by name, never by number."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.core.errors import UserError

ENTAILMENT, NEUTRAL, CONTRADICTION, NON_ENTAILMENT = "entailment", "neutral", "contradiction", "non-entailment"
THREE_WAY = (ENTAILMENT, NEUTRAL, CONTRADICTION)
TWO_WAY = (ENTAILMENT, NON_ENTAILMENT)

NOT_ENTAILMENT = {"notentailment", "noentailment", "notentailed", "nonentailed"}  # as others write non-entailment

TEXT = ("premise", "hypothesis")


def plain_label(name: str) -> str:
    """A label's name by which spellings are joined: "Choice 1" is choice1, "not_entailment" is non-entailment."""
    plain = re.sub(r"[\s_-]", "", name.casefold())
    return "nonentailment" if plain in NOT_ENTAILMENT else plain


def check_rows(rows: pd.DataFrame, labels: Sequence[str], place: str, texts: Sequence[str] = TEXT) -> None:
    """Refuse a table with missing columns, empty texts, unknown labels, or empty or repeated ids."""
    missing = [column for column in ("id", *texts, "label") if column not in rows]
    if missing:
        raise UserError(f"{place}: no column {', '.join(missing)}; it has {', '.join(map(str, rows.columns))}")
    if rows.empty:
        raise UserError(f"{place}: no rows")
    for column in ("id", *texts):
        empty = rows[column].isna() | (rows[column].astype(str).str.strip() == "")
        if empty.any():
            raise UserError(f"{place}: {int(empty.sum())} rows with an empty {column}, first at row {_first(empty)}")
    twice = rows["id"].duplicated()
    if twice.any():
        raise UserError(
            f"{place}: id {rows['id'][twice].iloc[0]!r} stands twice (row {_first(twice)}); ids must be unique"
        )
    unknown = ~rows["label"].isin(list(labels))
    if unknown.any():
        raise UserError(
            f"{place}: unknown label {rows['label'][unknown].iloc[0]!r} at row {_first(unknown)}; "
            f"expected one of {', '.join(labels)} (map or drop others in conf/datasets.yaml)"
        )


def _first(mask: pd.Series) -> int:
    """The number of the first marked row, counted from 1."""
    return int(mask.to_numpy().argmax()) + 1


def task_of(rows: pd.DataFrame) -> str:
    """The task that all rows of a table are instances of."""
    return str(rows["task"].iloc[0])


KEYS = ("suite", "id", "seed", "victim", "recipe")


def probability_table(
    keys: pd.DataFrame, probabilities: npt.NDArray[np.float64], labels: Sequence[str]
) -> pd.DataFrame:
    """Predictions as a table: the rows' keys, and a column for each label [rows, labels].

    A probability of zero is one of a label that the row's task does not have; it is left empty.
    """
    columns = {label: probabilities[:, index].astype("float32") for index, label in enumerate(labels)}
    table = pd.DataFrame(columns).mask(lambda part: part == 0)
    return pd.concat([keys.reset_index(drop=True), table], axis=1)


def probabilities_of(table: pd.DataFrame) -> tuple[npt.NDArray[np.float64], list[str]]:
    """The probabilities of one suite's rows [rows, labels] out of such a table, and the labels that they are of."""
    labels = [label for label in table.columns if label not in KEYS and table[label].notna().any()]
    return table[labels].fillna(0.0).to_numpy(dtype=np.float64), labels
