"""Which rows of a set are looked at, and which of them together: samples and folds that keep premises whole."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.core.schema import TEXT, check_rows
from nlilab.stats import Ints, numbered


def label_column(table: pd.DataFrame) -> str:
    """The labels that training would mostly use."""
    return "corrected_label" if "corrected_label" in table else "label"


def labelled_pairs(name: str, table: pd.DataFrame, labels: Sequence[str] = ()) -> pd.DataFrame:
    """The table's rows as pairs: id, premise, hypothesis, label, group, and what else it has.

    The label is the corrected one where there is one: rows that correction dropped or did not judge are left out. The
    group is the premise where the table has no groups of its own. Labels are among `labels`, where they are told.
    """
    if missing := [field for field in (*TEXT, "label") if field not in table]:
        raise UserError(
            f"{name}: no column {', '.join(missing)}: its rows are no labelled pairs; analyse a table of curated/, "
            "suites/ or arms/ in its place"
        )
    rows = table.assign(label=table[label_column(table)])
    rows = rows[rows["label"].notna()].reset_index(drop=True)
    check_rows(rows, labels or sorted(rows["label"].unique()), name)
    groups = rows["group"] if "group" in rows else [digest(premise) for premise in rows["premise"]]
    return rows.assign(group=groups, id=rows["id"].astype(str))


def sample(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most `count` rows (label, group) in their own order, each label with its share of the whole.

    Groups are taken in a random order, each as a whole until a label has its rows, so that a smaller sample lies within
    a larger one but for the rounding of shares.
    """
    if count >= len(rows):
        return rows
    share = rows["label"].value_counts().sort_index() * (count / len(rows))
    quota = share.astype(int)
    quota[(share - quota).sort_values(ascending=False, kind="stable").index[: count - quota.sum()]] += 1
    group = numbered(rows["group"].to_numpy())
    order = np.argsort(np.random.default_rng(seed).permutation(group.max() + 1)[group], kind="stable")
    label = rows["label"].iloc[order]
    within = label.groupby(label).cumcount().to_numpy() < label.map(quota.to_dict()).to_numpy()
    return rows.iloc[np.sort(order[within])]


def deal(rows: pd.DataFrame, folds: int, seed: int) -> Ints:
    """The fold 0.. of each row [rows]: whole groups (premises), as many in each fold, at random; linear in rows."""
    group = numbered(rows["group"].to_numpy())
    if (groups := int(group.max()) + 1) < folds:
        raise UserError(f"{folds} folds need at least as many premises (column group), and the rows have {groups}")
    return np.random.default_rng(seed).permutation(np.arange(groups) % folds)[group]
