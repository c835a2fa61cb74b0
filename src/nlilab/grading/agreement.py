"""Agreement of human graders, and how often labels are right by their marks (TarGEN, section 5, "Human Evaluation").

All of it is read off contingency tables [strata, K, K]: what the one says x what the other says, counted for each
premise, whose rows the bootstrap draws together. Strata are tasks, each with labels of its own; where K differs, the
rest is empty. A figure that is not defined (a kappa where both always say the same one thing; anything of rows of a
single premise) is null.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nlilab.grading.store import GRADES, Grades, Mark, Row, graders, marks, read_rows
from nlilab.stats import Estimate, Floats, Ints, cluster_counts, estimate, numbered

DRAWS, SEED = 1000, 0
Statistic = Callable[[Floats], Floats]


def kappa(tables: Floats, quadratic: bool = False) -> Floats:
    """Cohen's kappa of tables [..., strata, K, K]: 1 - disagreement / disagreement by chance (Cohen 1960, 1968).

    Chance is reckoned within each stratum: that two graders call no premise of an NLI row "choice1" is no agreement.
    `quadratic` weighs a disagreement by the squared distance of the categories. nan where chance has none.
    """
    places = np.arange(tables.shape[-1])
    weight = (places[:, None] - places) ** 2 if quadratic else places[:, None] != places
    total = tables.sum(axis=(-2, -1))[..., None, None]
    chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :] / np.where(total > 0, total, 1)
    return 1 - _ratio((tables * weight).sum(axis=(-3, -2, -1)), (chance * weight).sum(axis=(-3, -2, -1)))


def raw(tables: Floats) -> Floats:
    """The share on which both say the same, of tables [..., strata, K, K]."""
    return _ratio(np.trace(tables, axis1=-2, axis2=-1).sum(axis=-1), tables.sum(axis=(-3, -2, -1)))


def spearman(tables: Floats) -> Floats:
    """Spearman's rank correlation of tables [..., 1, K, K] of ordered categories; ties share their mean rank."""
    table = tables.sum(axis=-3)
    first, second = table.sum(axis=-1), table.sum(axis=-2)
    middle = table.sum(axis=(-2, -1))[..., None] / 2
    x, y = (np.cumsum(counts, axis=-1) - counts / 2 - middle for counts in (first, second))  # mean rank, centred
    spread = (first * x**2).sum(axis=-1) * (second * y**2).sum(axis=-1)
    return _ratio((table * x[..., :, None] * y[..., None, :]).sum(axis=(-2, -1)), np.sqrt(spread))


def _ratio(over: Floats, under: Floats) -> Floats:
    """over / under; nan where under is 0."""
    ratio: Floats = np.divide(over, under, out=np.full_like(over, np.nan, dtype=np.float64), where=under > 0)
    return ratio


class Table:
    """A contingency table of all rows, and of each bootstrap sample of their clusters.

    Args:
        stratum, first, second: per row, its stratum and what the one and the other say, as numbers 0.. [rows].
        cluster: per row, its cluster; equal clusters are drawn alike in all tables [rows].
        weight: per row, what it counts [rows].
    """

    def __init__(
        self, stratum: Ints, first: Ints, second: Ints, cluster: Sequence[str], weight: Floats | None = None
    ) -> None:
        group = numbered(np.array(cluster))
        self.clusters = int(group.max(initial=-1)) + 1
        size = int(max(first.max(initial=0), second.max(initial=0))) + 1
        counted = np.zeros((self.clusters, int(stratum.max(initial=0)) + 1, size, size))
        np.add.at(counted, (group, stratum, first, second), 1.0 if weight is None else weight)
        self.whole: Floats = counted.sum(axis=0)
        drawn = cluster_counts(self.clusters, DRAWS, SEED) if self.clusters > 1 else ()
        flat = counted.reshape(self.clusters, -1)
        self.drawn: Floats = np.array([row @ flat for row in drawn]).reshape(len(drawn), *self.whole.shape)

    def estimate(self, statistic: Statistic) -> Estimate | None:
        """A statistic of the table, with its interval."""
        return _estimate(statistic(self.whole), statistic(self.drawn))

    def gain(self, after: "Table", statistic: Statistic) -> Estimate | None:
        """What a statistic gains from this table to one of the same clusters."""
        return _estimate(statistic(after.whole) - statistic(self.whole), statistic(after.drawn) - statistic(self.drawn))


def _estimate(value: Floats, drawn: Floats) -> Estimate | None:
    return estimate(float(value), drawn) if np.isfinite(value) and np.isfinite(drawn).sum() > 1 else None


def agreement(folder: Path, warn: Callable[[str], None]) -> dict[str, Any]:
    """Agreement of all grades beneath `folder` (data/grades), in the form of metrics/agreement.json.

    `pairs` takes the rows that both have graded, each for one. `generators` weighs a row by the rows of its stratum
    that it stands for, and where graders mark different labels each has an equal vote. A label is right where it is the
    one that was marked. `after` (also in `difference`) leaves out what correction dropped or could not judge: it speaks
    of the table as it is after correction.
    """
    samples = {path.name: read_rows(path) for path in sorted(folder.glob("[!.]*")) if path.is_dir()}
    votes = pd.DataFrame([vote for name, rows in samples.items() for vote in _votes(folder / name, rows, warn)])
    report: dict[str, Any] = {"rows": sum(map(len, samples.values())), "samples": {}}
    report |= {"graders": {}, "pairs": [], "generators": {}}
    for name, rows in samples.items():
        graded = votes.loc[votes["sample"] == name, "key"].nunique() if len(votes) else 0
        sets = pd.Series([row.set for row in rows.values()]).value_counts()
        report["samples"][name] = {
            "rows": len(rows),
            "graded": int(graded),
            "sets": {k: int(n) for k, n in sets.items()},
        }
    if votes.empty:
        return report
    for grader, own in votes.groupby("grader"):
        report["graders"][str(grader)] = {"graded": len(own), "grades": _counts(own)}
    both = _joined(votes)
    for names, shared in both.groupby(["grader_1", "grader_2"]):
        report["pairs"].append({"graders": list(names), **_pair(shared)})
    for written, own in votes.groupby("set"):
        report["generators"][str(written)] = _generator(own)
    for written, shared in both.groupby("set"):
        report["generators"][str(written)]["pairs"] = _grade_table(shared).estimate(kappa)
    return report


def _votes(folder: Path, rows: dict[str, Row], warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Every mark that stands in a sample, beside what it is about."""
    for grader in graders(folder):
        for mark in marks(Grades(folder, grader, rows).events(warn)).values():
            row = rows[mark.id]
            about = row.model_dump(include={"set", "task", "group", "weight", "constrained_label", "corrected_label"})
            yield {"sample": folder.name, "key": f"{folder.name}/{row.id}", "grader": grader, **about, **_said(mark)}


def _said(mark: Mark) -> dict[str, str]:
    return {"grade": mark.grade, "label": mark.label}


def _joined(votes: pd.DataFrame) -> pd.DataFrame:
    """Two graders' marks of one row side by side, for every pair of graders, in the order of their names."""
    names = sorted(votes["grader"].unique())
    own = {name: votes[votes["grader"] == name] for name in names}
    shared = ["key", "set", "task", "group"]
    said = [*shared, "grader", "grade", "label"]
    parts = [own[a][said].merge(own[b][said], on=shared, suffixes=("_1", "_2")) for a, b in combinations(names, 2)]
    return pd.concat(parts) if parts else pd.DataFrame(columns=["grader_1", "grader_2", "set"])


def _pair(shared: pd.DataFrame) -> dict[str, Any]:
    grades = _grade_table(shared)
    labels = _label_table(shared, "label_1", "label_2")
    return {
        "rows": len(shared),
        "grade": {
            "kappa": grades.estimate(kappa),
            "weighted_kappa": grades.estimate(lambda tables: kappa(tables, quadratic=True)),
            "raw": grades.estimate(raw),
            "spearman": grades.estimate(spearman),
        },
        "label": {"kappa": labels.estimate(kappa), "raw": labels.estimate(raw)},
    }


def _generator(votes: pd.DataFrame) -> dict[str, Any]:
    weight = (votes["weight"] / votes.groupby("key")["key"].transform("size")).to_numpy(dtype=np.float64)
    stays = votes["corrected_label"].notna()
    before = _label_table(votes, "constrained_label", "label", weight)
    corrected = votes.assign(corrected_label=votes["corrected_label"].where(stays, votes["label"]))
    after = _label_table(corrected, "corrected_label", "label", np.where(stays, weight, 0.0))
    return {
        "rows": int(votes["key"].nunique()),
        "rows_after": int(votes.loc[stays, "key"].nunique()),
        "grades": _counts(votes),
        "before": {"right": before.estimate(raw), "kappa": before.estimate(kappa)},
        "after": {"right": after.estimate(raw), "kappa": after.estimate(kappa)},
        "difference": before.gain(after, raw),
    }


def _grade_table(shared: pd.DataFrame) -> Table:
    """Grades of two graders: all tasks have the same four, so they are one stratum."""
    numbers = {grade: number for number, grade in enumerate(GRADES)}
    first, second = (
        np.array([numbers[grade] for grade in shared[column]], dtype=np.int64) for column in ("grade_1", "grade_2")
    )
    return Table(np.zeros_like(first), first, second, shared["group"].tolist())


def _label_table(rows: pd.DataFrame, first: str, second: str, weight: Floats | None = None) -> Table:
    """Labels that two sources give the same rows."""
    numbers = {
        (task, label): number
        for task, part in rows.groupby("task")
        for number, label in enumerate(sorted({*part[first], *part[second]}))
    }
    one, other = (
        np.array([numbers[key] for key in zip(rows["task"], rows[column], strict=True)], dtype=np.int64)
        for column in (first, second)
    )
    return Table(numbered(rows["task"].to_numpy(dtype=str)), one, other, rows["group"].tolist(), weight)


def _counts(votes: pd.DataFrame) -> dict[str, int]:
    return {grade: int((votes["grade"] == grade).sum()) for grade in GRADES}
