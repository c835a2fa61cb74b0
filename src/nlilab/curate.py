"""Which rows of a labelled table may be trained on, and why every other row may not.

Definitions (sentences are compared after `normalise`; a row's place among equals is that of its id, never of its line):

- exact duplicate: the same pair with the same label; the first stays. The same pair with different labels: none stays.
- near duplicate: the same label, the *same hypothesis*, and premises with Jaccard >= `near_duplicate` over their words
  and word pairs. Two rows whose hypotheses differ, by one word even, are never near duplicates, and neither are rows
  whose labels differ: minimal pairs are the most informative rows of an NLI set. The first by id stays.
- leak, against each suite and whatever the labels: the same pair; the same premise, or any same sentence of 8 words or
  more (shorter ones, "A man is sleeping.", collide by chance); a sentence with at least `leakage_containment` of its
  word 8-grams in one sentence of a suite; a sentence of 8 words or more, or a pair, with Jaccard >= `leakage_jaccard`.

What is alike is found by `nlilab.similar`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nlilab.errors import UserError
from nlilab.similar import CHUNK, GRAM, TREES, Hashes, Ints, Texts, alike, mix, nearest, sign, stable, tree_keys

Progress = Callable[[str, int, int], None]  # step, rows done, rows in all

POSTINGS = 8  # sentences of a suite looked at for one 8-gram: one that occurs in more is a template's
LENGTH_BINS = (4, 6, 8, 10, 13, 17, 25)  # a hypothesis of up to so many words; the rest are one bin more


class CurateSettings(BaseModel):
    """The section `curate` of the parameters: thresholds, caps (null = off) and the split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # At 0.9 premises that differ by a word put in are near from 18 words on, by a word replaced from 28 on: templated
    # text, which is alike by intent, is shorter. Below 0.9 many premises that differ by a "not" would go.
    near_duplicate: float = Field(default=0.9, ge=0.5, le=1)
    # 0.6: at 0.5 two sentences of nine words that differ in the last one alone would count.
    leakage_containment: float = Field(default=0.6, gt=0, le=1)
    leakage_jaccard: float = Field(default=0.8, ge=0.5, le=1)
    min_words: int = Field(default=2, ge=1)
    max_words: int = Field(default=256, ge=1)
    length_ratio: float | None = Field(default=None, ge=1)
    label_ratio: float | None = Field(default=None, ge=1)
    dev_share: float = Field(default=0.1, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)

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
    on_progress: Progress | None = None,
) -> Curated:
    """Sort rows (id, premise, hypothesis, a label) into kept and rejected; who stays does not depend on their order."""
    _check(rows, ("id", "premise", "hypothesis", label_column), "rows")
    for name, suite in suites.items():
        _check(suite, ("id", "premise", "hypothesis"), f"suite {name}")
    progress = on_progress or (lambda step, done, total: None)
    by_id = np.argsort(np.asarray(rows["id"].astype(str), dtype=object), kind="stable")
    work = _Work.read(rows.iloc[by_id], suites, label_column, settings, progress)
    for step in (_fields, _same_pairs, _near_duplicates, _leaks_exact, _leaks_grams, _leaks_near, _lengths, _labels):
        progress(step.__name__.strip("_").replace("_", " "), 0, len(rows))
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
    suite: Ints  # [n, 2] premise and hypothesis of every suite's rows
    suite_ids: list[str]
    texts: Texts
    settings: CurateSettings
    progress: Progress
    reason: NDArray[Any]
    evidence: NDArray[Any]

    @classmethod
    def read(
        cls,
        rows: pd.DataFrame,
        suites: Mapping[str, pd.DataFrame],
        label_column: str,
        settings: CurateSettings,
        progress: Progress,
    ) -> "_Work":
        """Number the sentences and labels of rows and suites."""
        texts = Texts()
        premise, hypothesis = texts.add(rows["premise"]), texts.add(rows["hypothesis"])
        suite_parts, suite_ids = [np.zeros((0, 2), dtype=np.int64)], list[str]()
        for name in sorted(suites):
            table = suites[name].assign(id=suites[name]["id"].astype(str)).sort_values("id", kind="stable")
            suite_parts.append(np.column_stack((texts.add(table["premise"]), texts.add(table["hypothesis"]))))
            suite_ids.extend(f"{name}:{row}" for row in table["id"])
        texts.finish()
        label, names = pd.factorize(rows[label_column], sort=True)
        return cls(
            ids=np.asarray(rows["id"].astype(str), dtype=object),
            premise=premise,
            hypothesis=hypothesis,
            label=label.astype(np.int64),
            names=list(map(str, names)),
            suite=np.concatenate(suite_parts),
            suite_ids=suite_ids,
            texts=texts,
            settings=settings,
            progress=progress,
            reason=np.full(len(rows), "", dtype=object),
            evidence=np.full(len(rows), "", dtype=object),
        )

    @property
    def left(self) -> Ints:
        return np.flatnonzero(self.reason == "")

    def reject(self, rows: Ints, reason: str, evidence: Iterable[str]) -> None:
        self.reason[rows] = reason
        self.evidence[rows] = np.array([*evidence, None], dtype=object)[
            :-1
        ]  # the None keeps NumPy from guessing a type

    def teller(self, step: str, total: int) -> Callable[[int], None]:
        return lambda done: self.progress(step, done, total)

    def pairs(self, rows: Ints) -> Ints:
        return np.column_stack((self.premise[rows], self.hypothesis[rows]))


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
    signatures = sign(work.texts, premises, work.teller("near duplicates", len(rows)))
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


def _leaks_exact(work: _Work) -> None:
    """The pair, the premise, or a sentence of 8 words or more is in a suite."""
    sentences = len(work.texts.length)
    rows, theirs = work.left, work.suite
    pair = np.unique(theirs[:, 0] * sentences + theirs[:, 1], return_index=True)
    ours = work.premise[rows] * sentences + work.hypothesis[rows]
    place = np.searchsorted(pair[0], ours)
    same = np.append(pair[0], -1)[place] == ours
    work.reject(rows[same], "leak_pair", (work.suite_ids[pair[1][at]] for at in place[same]))
    as_premise, anywhere = np.full(sentences, -1, dtype=np.int64), np.full(sentences, -1, dtype=np.int64)
    backwards = np.arange(len(theirs))[::-1]  # so that the first of several is the one that remains
    as_premise[theirs[backwards, 0]] = backwards
    for field in (1, 0):
        anywhere[theirs[backwards, field]] = backwards
    anywhere[work.texts.length < GRAM] = -1
    for numbers, owners in ((work.premise, as_premise), (work.premise, anywhere), (work.hypothesis, anywhere)):
        rows = work.left
        rows = rows[owners[numbers[rows]] >= 0]
        work.reject(rows, "leak_sentence", (work.suite_ids[owner] for owner in owners[numbers[rows]]))


def _reject_sentences(work: _Work, reason: str, sentences: Ints, owner: Ints, value: NDArray[np.float64]) -> None:
    """Reject the rows with one of the sentences that has an owner (a suite's row, else -1)."""
    place = np.full(len(work.texts.length), -1, dtype=np.int64)
    place[sentences[owner >= 0]] = np.flatnonzero(owner >= 0)
    for numbers in (work.premise, work.hypothesis):
        rows = work.left
        rows = rows[place[numbers[rows]] >= 0]
        found = place[numbers[rows]]
        work.reject(rows, reason, (f"{work.suite_ids[owner[at]]} {value[at]:.3f}" for at in found))


def _long_sentences(work: _Work) -> Ints:
    """The sentences of 8 words or more of the rows that are left."""
    sentences = np.unique(work.pairs(work.left))
    return sentences[work.texts.length[sentences] >= GRAM]


def _leaks_grams(work: _Work) -> None:
    """A sentence has too many of its 8-grams in one sentence of a suite.

    In one: what templated text shares with many sentences of a suite, a piece here and a piece there, is no leak.
    """
    theirs, first = np.unique(work.suite, return_index=True)
    grams, source = work.texts.grams(theirs)
    order = np.argsort(grams, kind="stable")
    grams, source = grams[order], source[order]
    sentences = _long_sentences(work)
    owner, share = np.full(len(sentences), -1, dtype=np.int64), np.zeros(len(sentences))
    for begin in range(0, len(sentences), CHUNK):
        part = sentences[begin : begin + CHUNK]
        sharing, best = _sharing_most(work.texts, part, grams, source, len(theirs))
        value = _contained(work.texts, part[sharing], theirs[best])
        enough = value >= work.settings.leakage_containment
        owner[begin + sharing[enough]] = first[best[enough]] // 2  # `suite` has two columns
        share[begin + sharing[enough]] = value[enough]
    _reject_sentences(work, "leak_grams", sentences, owner, share)


def _sharing_most(texts: Texts, sentences: Ints, grams: Hashes, source: Ints, sources: int) -> tuple[Ints, Ints]:
    """The places of sentences that have some of the (sorted) grams, and each one's source with most of them."""
    ours, place = texts.grams(sentences)
    at = np.searchsorted(grams, ours)
    found = []
    for step in range(POSTINGS):
        hit = np.flatnonzero(at + step < len(grams))
        hit = hit[grams[at[hit] + step] == ours[hit]]
        found.append(place[hit] * sources + source[at[hit] + step])
    pairs, counts = np.unique(np.concatenate(found), return_counts=True)
    pairs = pairs[np.lexsort((-counts, pairs // max(sources, 1)))]
    sharing, start = np.unique(pairs // max(sources, 1), return_index=True)
    return sharing, pairs[start] % max(sources, 1)


def _contained(texts: Texts, sentences: Ints, others: Ints) -> NDArray[np.float64]:
    """The share of the 8-grams of sentences[i] that are in others[i]."""
    (ours, place), (theirs, other) = texts.grams(sentences), texts.grams(others)
    ours, theirs = mix(ours + place.astype(np.uint64)), mix(theirs + other.astype(np.uint64))
    common: NDArray[np.float64] = np.bincount(place[np.isin(ours, theirs)], minlength=len(sentences)).astype(float)
    return common / np.bincount(place, minlength=len(sentences))


def _leaks_near(work: _Work) -> None:
    """A sentence, or the whole pair, is nearly one of a suite's."""
    threshold = work.settings.leakage_jaccard
    theirs, first = np.unique(work.suite, return_index=True)
    sentences = _long_sentences(work)
    tell = work.teller("near leaks, sentences", len(sentences))
    match, value = nearest(work.texts, sentences[:, None], theirs[:, None], threshold, tell)
    owner = np.where(match >= 0, first[match] // 2 if len(first) else -1, -1)
    _reject_sentences(work, "leak_near_sentence", sentences, owner, value)
    rows = work.left
    tell = work.teller("near leaks, pairs", len(rows))
    match, value = nearest(work.texts, work.pairs(rows), work.suite, threshold, tell)
    found = np.flatnonzero(match >= 0)
    work.reject(rows[found], "leak_near_pair", (f"{work.suite_ids[match[at]]} {value[at]:.3f}" for at in found))


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
