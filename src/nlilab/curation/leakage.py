"""Which pairs of sentences stand in a suite, or nearly so: what a model is trained on must not be what judges it.

A leak is, against each suite and whatever the labels (sentences are compared after `normalise`):

- the same pair;
- the same premise, or any same sentence of 8 words or more (shorter ones, "A man is sleeping.", collide by chance);
- a sentence with at least `containment` of its word 8-grams in one sentence of a suite;
- a sentence of 8 words or more, or a pair, with Jaccard >= `jaccard`.

A hypothesis that a suite has under 4 premises or more is a formula of its task ("Is this code safe?") and leaks nothing
by itself.

What is alike is found by `nlilab.curation.similar`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nlilab.core.progress import Report
from nlilab.curation.similar import CHUNK, GRAM, Hashes, Ints, Texts, mix, nearest

Floats = NDArray[np.float64]

FORMULA = 4  # premises of one hypothesis
POSTINGS = 8  # sentences of a suite looked at for one 8-gram: one that occurs in more is a template's


@dataclass(frozen=True)
class Suites:
    """The rows of all suites as pairs [n, 2] of sentence numbers, ordered by suite and id, and their names suite:id."""

    texts: Texts
    pairs: Ints
    names: list[str]

    def sentences(self) -> tuple[Ints, Ints]:
        """The sentences, each once, that are no formulas; and where each first stands among the pairs, flattened."""
        theirs, first = np.unique(self.pairs, return_index=True)
        told = ~np.isin(theirs, self.formulas())
        return theirs[told], first[told]

    def formulas(self) -> Ints:
        """Hypotheses that stand under many premises."""
        each, count = np.unique(np.unique(self.pairs, axis=0)[:, 1], return_counts=True)
        return each[count >= FORMULA]

    @classmethod
    def read(cls, suites: Mapping[str, pd.DataFrame], texts: Texts) -> "Suites":
        """Add the sentences of the suites (id, premise, hypothesis) to `texts`."""
        parts, names = [np.zeros((0, 2), dtype=np.int64)], list[str]()
        for name in sorted(suites):
            table = suites[name].assign(id=suites[name]["id"].astype(str)).sort_values("id", kind="stable")
            parts.append(np.column_stack((texts.add(table["premise"]), texts.add(table["hypothesis"]))))
            names.extend(f"{name}:{row}" for row in table["id"])
        return cls(texts, np.concatenate(parts), names)


@dataclass(frozen=True)
class Leaks:
    """The places of pairs that leak in one way; the evidence is suite:id of what each is found in, and the measure."""

    places: Ints
    reason: str
    evidence: list[str]


def leaks(suites: Suites, pairs: Ints, containment: float, jaccard: float, report: Report) -> Iterator[Leaks]:
    """The leaks among pairs [n, 2] of numbers of the suites' (finished) texts; each pair leaks in one way, the first.

    Every search below gives for each pair the number of the suites' row that it is found in, or -1, and the measure.
    """
    left = np.arange(len(pairs))

    def found(reason: str, owner: Ints, value: Floats | None = None) -> Leaks:
        nonlocal left
        at = np.flatnonzero(owner >= 0)
        names = [suites.names[row] for row in owner[at]]
        if value is not None:
            names = [f"{name} {measure:.3f}" for name, measure in zip(names, value[at], strict=True)]
        leaking, left = left[at], np.delete(left, at)
        return Leaks(leaking, reason, names)

    yield found("leak_pair", _same_pair(suites, pairs))
    yield found("leak_sentence", _same_sentence(suites, pairs[left]))
    yield found("leak_grams", *_same_grams(suites, pairs[left], containment))
    yield found("leak_near_sentence", *_near_sentence(suites, pairs[left], jaccard, report))
    yield found("leak_near_pair", *_near_pair(suites, pairs[left], jaccard, report))


def _same_pair(suites: Suites, pairs: Ints) -> Ints:
    sentences = len(suites.texts.length)
    theirs, first = np.unique(suites.pairs[:, 0] * sentences + suites.pairs[:, 1], return_index=True)
    ours = pairs[:, 0] * sentences + pairs[:, 1]
    place = np.searchsorted(theirs, ours)
    return np.where(np.append(theirs, -1)[place] == ours, np.append(first, -1)[place], -1)


def _same_sentence(suites: Suites, pairs: Ints) -> Ints:
    """By the premise as a premise, then by the premise anywhere, then by the hypothesis anywhere."""
    sentences = len(suites.texts.length)
    as_premise, anywhere = np.full(sentences, -1, dtype=np.int64), np.full(sentences, -1, dtype=np.int64)
    backwards = np.arange(len(suites.pairs))[::-1]  # so that the first of several is the one that remains
    as_premise[suites.pairs[backwards, 0]] = backwards
    for field in (1, 0):
        anywhere[suites.pairs[backwards, field]] = backwards
    anywhere[suites.texts.length < GRAM] = -1
    anywhere[suites.formulas()] = -1
    premise, hypothesis = pairs.T
    return _first(_first(as_premise[premise], anywhere[premise]), anywhere[hypothesis])


def _first(one: Ints, other: Ints) -> Ints:
    return np.where(one >= 0, one, other)


def _long_sentences(suites: Suites, pairs: Ints) -> Ints:
    """The sentences of 8 words or more of the pairs."""
    sentences = np.unique(pairs)
    return sentences[suites.texts.length[sentences] >= GRAM]


def _in_pairs(pairs: Ints, sentences: Ints, owner: Ints, value: Floats) -> tuple[Ints, Floats]:
    """From what was found for sentences to the pairs that hold them; the premise comes first."""
    place = np.full(int(pairs.max(initial=-1)) + 1, -1, dtype=np.int64)
    place[sentences[owner >= 0]] = np.flatnonzero(owner >= 0)
    at = _first(place[pairs[:, 0]], place[pairs[:, 1]])
    return np.append(owner, -1)[at], np.append(value, 0.0)[at]


def _same_grams(suites: Suites, pairs: Ints, containment: float) -> tuple[Ints, Floats]:
    """By too many 8-grams of a sentence in one sentence of a suite.

    In one: what templated text shares with many sentences of a suite, a piece here and a piece there, is no leak.
    """
    theirs, first = suites.sentences()
    grams, source = suites.texts.grams(theirs)
    order = np.argsort(grams, kind="stable")
    grams, source = grams[order], source[order]
    sentences = _long_sentences(suites, pairs)
    owner, share = np.full(len(sentences), -1, dtype=np.int64), np.zeros(len(sentences))
    for begin in range(0, len(sentences), CHUNK):
        part = sentences[begin : begin + CHUNK]
        sharing, best = _sharing_most(suites.texts, part, grams, source, len(theirs))
        value = _contained(suites.texts, part[sharing], theirs[best])
        enough = value >= containment
        owner[begin + sharing[enough]] = first[best[enough]] // 2  # a suite's row has two sentences
        share[begin + sharing[enough]] = value[enough]
    return _in_pairs(pairs, sentences, owner, share)


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


def _contained(texts: Texts, sentences: Ints, others: Ints) -> Floats:
    """The share of the 8-grams of sentences[i] that are in others[i]."""
    (ours, place), (theirs, other) = texts.grams(sentences), texts.grams(others)
    ours, theirs = mix(ours + place.astype(np.uint64)), mix(theirs + other.astype(np.uint64))
    common: Floats = np.bincount(place[np.isin(ours, theirs)], minlength=len(sentences)).astype(float)
    return common / np.bincount(place, minlength=len(sentences))


def _near_sentence(suites: Suites, pairs: Ints, jaccard: float, report: Report) -> tuple[Ints, Floats]:
    theirs, first = suites.sentences()
    sentences = _long_sentences(suites, pairs)
    match, value = nearest(
        suites.texts,
        sentences[:, None],
        theirs[:, None],
        jaccard,
        lambda done: report(done, len(sentences), "near leaks, sentences"),
    )
    return _in_pairs(pairs, sentences, np.append(first // 2, -1)[match], value)


def _near_pair(suites: Suites, pairs: Ints, jaccard: float, report: Report) -> tuple[Ints, Floats]:
    return nearest(
        suites.texts, pairs, suites.pairs, jaccard, lambda done: report(done, len(pairs), "near leaks, pairs")
    )
