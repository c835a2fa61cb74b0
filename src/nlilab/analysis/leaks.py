"""How many of a set's rows a suite has: literally, in 8-grams, nearly, or in other words by embeddings.

By embeddings, two pairs are as alike as the mean of their premises' and their hypotheses' cosine. Of the measures that
were tried on planted leaks this one found most at equal false alarms: hypotheses alone are formulas ("A man is
outside."), and embedding both texts as one costs a second reading and finds no more.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nlilab.analysis.embeddings import Embed, Vectors, chunks, unit
from nlilab.core.progress import Report, progress
from nlilab.core.schema import TEXT
from nlilab.curation.leakage import Suites, leaks
from nlilab.curation.similar import Texts
from nlilab.stats import Ints

KINDS = {
    "exact": ("leak_pair", "leak_sentence"),
    "grams": ("leak_grams",),
    "near": ("leak_near_sentence", "leak_near_pair"),
}
LISTED = 5
ROWS, SUITE_ROWS = 1024, 8192  # of a block of cosines: 32 MB


def leakage(
    rows: pd.DataFrame,
    suites: Mapping[str, pd.DataFrame],
    thresholds: tuple[float, float, float],
    embed: Embed,
) -> dict[str, Any]:
    """For each suite the rows (id, premise, hypothesis) that it has, by kind, and the nearest by embeddings.

    Args:
        thresholds: containment of 8-grams, Jaccard (as in `curation.leakage`), and the cosine at which a row counts.

    A row counts in the first of exact, grams and near that finds it, and in `embedding` by itself.
    """
    if not suites:
        return {}
    containment, jaccard, cosine = thresholds
    texts = Texts()
    held = {name: Suites.read({name: suites[name]}, texts) for name in sorted(suites)}
    pairs = np.column_stack([texts.add(rows[field]) for field in TEXT])
    texts.finish()
    ours = _vectors(rows, embed)
    found: dict[str, Any] = {}
    for name, suite in held.items():
        theirs = _vectors(suites[name], embed)
        with progress(f"leaks into {name}") as report:
            leaked = leaks(suite, pairs, containment, jaccard, report)
            by_reason = Counter({leak.reason: len(leak.places) for leak in leaked})
            value, at = nearest(ours, theirs, report)
        found[name] = {kind: sum(by_reason[reason] for reason in reasons) for kind, reasons in KINDS.items()}
        found[name] |= {
            "embedding": int((value >= cosine).sum()),
            "nearest": [_listed(rows.iloc[row], suites[name].iloc[at[row]], value[row]) for row in _top(value)],
        }
    return found


def nearest(ours: Vectors, theirs: Vectors, report: Report = lambda *_: None) -> tuple[npt.NDArray[np.float32], Ints]:
    """For each of our pairs [n, 2 dimensions] its greatest likeness to one of theirs [m, 2 dimensions], and which one.

    In blocks, so that memory does not depend on n x m; the earliest of equals.
    """
    best, at = np.full(len(ours), -np.inf, dtype=np.float32), np.zeros(len(ours), dtype=np.int64)
    for begin in range(0, len(theirs), SUITE_ROWS):
        block = unit(theirs[begin : begin + SUITE_ROWS]).T
        for part in chunks(len(ours), ROWS):
            likeness = unit(ours[part]) @ block
            which = likeness.argmax(axis=1)
            value = likeness[np.arange(len(which)), which]
            better = value > best[part]
            best[part] = np.where(better, value, best[part])
            at[part] = np.where(better, which + begin, at[part])
            report(part.stop, len(ours), "nearest by embeddings")
    return best, at


def _vectors(rows: pd.DataFrame, embed: Embed) -> Vectors:
    """Premise and hypothesis side by side: the cosine of two such vectors is the mean of both fields' cosines."""
    return np.concatenate([embed(rows[field].tolist()) for field in TEXT], axis=1)


def _top(value: npt.NDArray[np.float32]) -> list[int]:
    return [int(row) for row in np.argsort(-value, kind="stable")[:LISTED]]


def _listed(row: "pd.Series[Any]", other: "pd.Series[Any]", value: float) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "suite_id": str(other["id"]),
        "cosine": round(float(value), 4),
        "text": " / ".join(row[field] for field in TEXT),
        "suite_text": " / ".join(other[field] for field in TEXT),
    }
