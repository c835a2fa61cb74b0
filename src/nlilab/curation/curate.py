"""Which rows of a labelled table may be trained on, and why every other row may not.

Definitions (sentences are compared after `normalise`; a row's place among equals is that of its id, never of its line):

- exact duplicate: the same pair with the same label; the first stays. The same pair with different labels: none stays.
- near duplicate: the same label, the *same hypothesis*, and premises with Jaccard >= `near_duplicate` over their words
  and word pairs. Two rows whose hypotheses differ, by one word even, are never near duplicates, and neither are rows
  whose labels differ: minimal pairs are the most informative rows of an NLI set. The first by id stays.
- leak: a pair, or a sentence of it, that a suite has or nearly has; `nlilab.curation.leakage` says what counts.

What is alike is found by `nlilab.curation.similar`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nlilab.core.errors import UserError
from nlilab.core.params import Settings
from nlilab.core.progress import Report
from nlilab.curation.leakage import Suites, leaks
from nlilab.curation.similar import TREES, Ints, Texts, alike, sign, stable, tree_keys

LENGTH_BINS = (4, 6, 8, 10, 13, 17, 25)  # a hypothesis of up to so many words; the rest are one bin more


class CurateSettings(Settings):
    """The section `curate` of the parameters: thresholds, caps (null = off) and the split."""

    # At 0.9 premises that differ by a word put in are near from 18 words on, by a word replaced from 28 on: templated
    # text, which is alike by intent, is shorter. Below 0.9 many premises that differ by a "not" would go.
    near_duplicate: Annotated[float, Field(ge=0.5, le=1, description="Jaccard of premises under one hypothesis")] = 0.9
    # 0.6: at 0.5 two sentences of nine words that differ in the last one alone would count.
    leakage_containment: Annotated[float, Field(gt=0, le=1, description="share of a sentence's 8-grams in one")] = 0.6
    leakage_jaccard: Annotated[float, Field(ge=0.5, le=1, description="of a sentence, or a pair, and a suite's")] = 0.8
    min_words: Annotated[int, Field(ge=1, description="of a premise, of a hypothesis")] = 2
    max_words: Annotated[int, Field(ge=1, description="of a premise, of a hypothesis")] = 256
    length_ratio: Annotated[
        float | None, Field(ge=1, description="cap on a label within a length bin, times the rarest label")
    ] = None
    label_ratio: Annotated[float | None, Field(ge=1, description="the same cap over all lengths")] = None
    dev_share: Annotated[float, Field(ge=0, lt=1, description="of the premises, kept from training")] = 0.1
    seed: Annotated[int, Field(ge=0, description="of the split, and of who goes where a cap says so")] = 0

    @model_validator(mode="after")
    def _words_in_order(self) -> "CurateSettings":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is over max_words {self.max_words}: it must not be")
        return self


@dataclass(frozen=True)
class Curated:
    """What stays (the input's columns and `split`) and what does not (with `reason`, `evidence`), in the input's order.

    `evidence` is the id of the row, or suite:id, that the row collides with, and then the measure; or the numbers.
    """

    kept: pd.DataFrame
    rejects: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """Rejected rows by reason, sorted by reason."""
        return {str(reason): int(n) for reason, n in self.rejects["reason"].value_counts().sort_index().items()}


def curate(
    rows: pd.DataFrame,
    suites: Mapping[str, pd.DataFrame],
    settings: CurateSettings,
    label_column: str = "label",
    report: Report = lambda *_: None,
) -> Curated:
    """Sort rows (id, premise, hypothesis, a label) into kept and rejected; who stays does not depend on their order."""
    _check(rows, ("id", "premise", "hypothesis", label_column), "rows")
    for name, suite in suites.items():
        _check(suite, ("id", "premise", "hypothesis"), f"suite {name}")
    by_id = np.argsort(np.asarray(rows["id"].astype(str), dtype=object), kind="stable")
    work = _Work.read(rows.iloc[by_id], suites, label_column, settings, report)
    for step in (_fields, _same_pairs, _near_duplicates, _leaks, _lengths, _labels):
        report(0, len(rows), step.__name__.strip("_").replace("_", " "))
        step(work)
    curated = _sorted_out(rows, by_id, work)
    if len(curated.kept) + len(curated.rejects) != len(rows):
        out = f"{len(curated.kept)} kept + {len(curated.rejects)} rejected"
        raise RuntimeError(f"{len(rows)} rows in, {out}: rows were lost or doubled")
    return curated


def _check(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"{what}: no column {', '.join(missing)}; got {', '.join(map(str, table.columns))}")
    if what != "rows":
        return
    ids = table["id"].astype(str)
    if len(twice := ids[ids.duplicated()]):
        raise UserError(f"rows: {len(twice)} ids occur again, {twice.iloc[0]!r} first: give every row an id of its own")
    taken = [column for column in ("split", "reason", "evidence") if column in table.columns]
    if taken:
        raise UserError(f"rows: column {', '.join(taken)} would be overwritten: rename or drop it first")


def _sorted_out(rows: pd.DataFrame, by_id: Ints, work: "_Work") -> Curated:
    place = np.empty_like(by_id)
    place[by_id] = np.arange(len(by_id))
    reason, evidence = work.reason[place], work.evidence[place]
    stays = reason == ""
    splits = np.array(_splits(work), dtype=object)[place]
    kept = rows[stays].assign(split=splits[stays].astype(str)).reset_index(drop=True)
    rejects = rows[~stays].assign(reason=reason[~stays].astype(str), evidence=evidence[~stays].astype(str))
    return Curated(kept, rejects.reset_index(drop=True))


# --- steps: each takes the rows that are left and rejects some of them ---


@dataclass
class _Work:
    """The rows in the order of their ids, as numbers, with what has been decided about them."""

    ids: NDArray[Any]
    premise: Ints
    hypothesis: Ints
    label: Ints  # -1: none
    names: list[str]  # of the labels
    suites: Suites
    texts: Texts
    settings: CurateSettings
    report: Report
    reason: NDArray[Any]
    evidence: NDArray[Any]

    @classmethod
    def read(
        cls,
        rows: pd.DataFrame,
        suites: Mapping[str, pd.DataFrame],
        label_column: str,
        settings: CurateSettings,
        report: Report,
    ) -> "_Work":
        """Number the sentences and labels of rows and suites."""
        texts = Texts()
        premise, hypothesis = texts.add(rows["premise"]), texts.add(rows["hypothesis"])
        held = Suites.read(suites, texts)
        texts.finish()
        label, names = pd.factorize(rows[label_column], sort=True)
        return cls(
            ids=np.asarray(rows["id"].astype(str), dtype=object),
            premise=premise,
            hypothesis=hypothesis,
            label=label.astype(np.int64),
            names=list(map(str, names)),
            suites=held,
            texts=texts,
            settings=settings,
            report=report,
            reason=np.full(len(rows), "", dtype=object),
            evidence=np.full(len(rows), "", dtype=object),
        )

    @property
    def left(self) -> Ints:
        return np.flatnonzero(self.reason == "")

    def reject(self, rows: Ints, reason: str, evidence: Iterable[str]) -> None:
        self.reason[rows] = reason
        texts = np.array([*evidence, None], dtype=object)  # the None keeps NumPy from guessing a type
        self.evidence[rows] = texts[:-1]


def _fields(work: _Work) -> None:
    """No label, an empty field, one too short or too long, or a hypothesis that is the premise."""
    premise, hypothesis = work.texts.length[work.premise], work.texts.length[work.hypothesis]
    fewest, most = np.minimum(premise, hypothesis), np.maximum(premise, hypothesis)
    tests: tuple[tuple[str, NDArray[np.bool_]], ...] = (
        ("missing_label", work.label < 0),
        ("empty_field", fewest == 0),
        ("too_short", fewest < work.settings.min_words),
        ("too_long", most > work.settings.max_words),
        ("hypothesis_is_premise", work.premise == work.hypothesis),
    )
    for reason, failing in tests:
        rows = np.flatnonzero(failing & (work.reason == ""))
        work.reject(rows, reason, (f"premise {premise[row]} words, hypothesis {hypothesis[row]} words" for row in rows))


def _first_of(groups: Ints) -> tuple[Ints, Ints]:
    """For each place the number of its group, and each group's first place."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return group, first


def _same_pairs(work: _Work) -> None:
    """Pairs that occur with two labels lose all their rows; pairs that occur twice with one label keep the first."""
    rows = work.left
    group, first = _first_of(work.premise[rows] * len(work.texts.length) + work.hypothesis[rows])
    first_label = work.label[rows[first]][group]
    differs = np.flatnonzero(work.label[rows] != first_label)
    other = np.full(len(first), -1, dtype=np.int64)
    other[group[differs][::-1]] = differs[::-1]  # the first row of each group with another label than the first row's
    conflict = other[group] >= 0
    evidence = np.where(work.label[rows] == first_label, other[group], first[group])
    work.reject(rows[conflict], "conflicting_labels", work.ids[rows[evidence[conflict]]])
    again = ~conflict & (first[group] != np.arange(len(rows)))
    work.reject(rows[again], "exact_duplicate", work.ids[rows[first[group[again]]]])


def _near_duplicates(work: _Work) -> None:
    """Each row goes that is nearly the same as one with an earlier id that still stands when the two meet."""
    rows = work.left
    group, _ = _first_of(work.hypothesis[rows] * max(len(work.names), 1) + work.label[rows])
    several = np.bincount(group)[group] > 1 if len(rows) else np.zeros(0, dtype=bool)
    rows, group = rows[several], group[several]
    premises, threshold = work.premise[rows, None], work.settings.near_duplicate
    signatures = sign(work.texts, premises, lambda done: work.report(done, len(rows), "near duplicates"))
    stays, tree, quiet = np.ones(len(rows), dtype=bool), 0, 0
    while quiet < TREES:  # what hid behind a crowd comes into sight once the crowd is gone: on until no tree finds more
        left = np.flatnonzero(stays)
        theirs = signatures[left]
        pairs, values = alike(work.texts, premises[left], group[left], tree_keys(theirs, tree), theirs, threshold)
        fate: dict[int, tuple[int, float]] = {}
        for later, earlier, value in zip(*left[pairs].T.tolist(), values.tolist(), strict=True):
            if later not in fate and earlier not in fate:  # sorted by `later`: the fate of `earlier` is already known
                fate[later] = (earlier, value)
        gone, first = np.fromiter(fate, dtype=np.int64), fate.values()
        stays[gone] = False
        work.reject(rows[gone], "near_duplicate", (f"{work.ids[rows[kept]]} {value:.3f}" for kept, value in first))
        tree, quiet = (tree + 1) % TREES, 0 if fate else quiet + 1


def _leaks(work: _Work) -> None:
    """What stands in a suite, or nearly so."""
    rows, limits = work.left, work.settings
    pairs = np.column_stack((work.premise[rows], work.hypothesis[rows]))
    for found in leaks(work.suites, pairs, limits.leakage_containment, limits.leakage_jaccard, work.report):
        work.reject(rows[found.places], found.reason, found.evidence)


def _lengths(work: _Work) -> None:
    """Within a bin of hypothesis lengths no label has more than `length_ratio` times the rows of the rarest."""
    rows = work.left
    bins = np.searchsorted(LENGTH_BINS, work.texts.length[work.hypothesis[rows]])
    for number in np.unique(bins):
        above = LENGTH_BINS[number - 1] + 1 if number else 1
        upto = LENGTH_BINS[number] if number < len(LENGTH_BINS) else "more"
        where = f", hypotheses of {above} to {upto} words"
        _cap(work, rows[bins == number], work.settings.length_ratio, "length_balance", where)


def _labels(work: _Work) -> None:
    """No label has more than `label_ratio` times the rows of the rarest; last, so that it holds for what is written."""
    _cap(work, work.left, work.settings.label_ratio, "label_balance", "")


def _cap(work: _Work, rows: Ints, ratio: float | None, reason: str, where: str) -> None:
    """Keep of each label at most ratio x the rarest one's count (or 1), chosen by a hash of seed and id."""
    if ratio is None or not len(rows):
        return
    present = np.unique(work.label[work.left])
    counts = np.bincount(work.label[rows], minlength=len(work.names))
    cap = int(ratio * max(1, counts[present].min()))
    for label in present[counts[present] > cap]:
        those = rows[work.label[rows] == label]
        salt = f"{work.settings.seed}\x1f{reason}\x1f"
        rank = np.array([stable(salt + row) for row in work.ids[those]], dtype=np.uint64)
        over = those[np.lexsort((those, rank))[cap:]]
        work.reject(over, reason, [f"{work.names[label]}: {len(those)} rows, at most {cap}{where}"] * len(over))


def _splits(work: _Work) -> list[str]:
    """train or dev by a hash of seed and premise: rows added later move no old one, and no premise is in both."""
    bound, texts = int(work.settings.dev_share * 2**64), list(work.texts.number)
    dev = {p: stable(f"{work.settings.seed}\x1f{texts[p]}") < bound for p in np.unique(work.premise).tolist()}
    return ["dev" if dev[premise] else "train" for premise in work.premise.tolist()]
