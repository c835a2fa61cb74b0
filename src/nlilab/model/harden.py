"""What a hardened model is trained on: clean rows and adversarial rows in a given ratio."""

import pandas as pd

from nlilab.core.files import digest


def hardening_rows(clean: pd.DataFrame, adversarial: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """The largest table with `ratio` adversarial rows for each clean one; both drawn and ordered by a hash of the id.

    Without adversarial rows (a recipe that perturbs embeddings) all clean rows are taken.
    """
    if adversarial.empty:
        return _drawn(clean, len(clean))
    count = min(len(clean), max(1, round(len(adversarial) / ratio)))
    parts = [_drawn(clean, count), _drawn(adversarial, max(1, round(count * ratio)))]
    columns = ["id", "premise", "hypothesis", "label", "task", "adversarial"]
    table = pd.concat([part.assign(adversarial=bool(kind))[columns] for kind, part in enumerate(parts)])
    return _drawn(table, len(table))


def _drawn(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    rank = rows["id"].map(lambda name: digest("harden", name)).argsort()
    return rows.iloc[rank[:count]].reset_index(drop=True)
