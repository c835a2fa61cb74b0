"""What a hardened model is trained on: clean rows and adversarial rows in a given ratio; and who judges the latter."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

REFUSED = "the judge does not find the row's label in the perturbed row"


@dataclass(frozen=True)
class Judgement:
    """Whether a judge finds the gold label in each perturbed row, and how often it does in the rows as they were."""

    holds: npt.NDArray[np.bool_]
    on_originals: float


def hardening_rows(clean: pd.DataFrame, adversarial: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """The largest table with `ratio` adversarial rows for each clean one; both drawn and ordered by a hash of the id.

    Without adversarial rows (a recipe that perturbs embeddings) all clean rows are taken.
    """
    if adversarial.empty:
        return _drawn(clean, len(clean))
    count = min(len(clean), max(1, round(len(adversarial) / ratio)))
    parts = [_drawn(clean, count), _drawn(adversarial, max(1, round(count * ratio)))]
    columns = ["id", "premise", "hypothesis", "label", "adversarial"]
    table = pd.concat([part.assign(adversarial=bool(kind))[columns] for kind, part in enumerate(parts)])
    return _drawn(table, len(table))


def _drawn(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    rank = rows["id"].map(lambda name: hashlib.sha256(f"harden\x1f{name}".encode()).digest()).argsort()
    return rows.iloc[rank[:count]].reset_index(drop=True)
