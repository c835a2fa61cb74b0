"""Lexical diversity of one field: vocabulary, type-token ratio, MTLD, distinct-n and self-BLEU at equal budgets.

All of them depend on how much text is looked at, so sets are compared at budgets: so many words, drawn from the field's
distinct sentences in random order and cut at the budget. A budget is looked at up to half of the field's words: beyond
that, draws share too much of the data to say how sure they are (`resample.jackknifed`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nlilab.core.words import words
from nlilab.stats import Estimate, Floats, Ints, jackknifed, numbered

TTR = 0.72  # where a factor of MTLD ends
GRAMS = (1, 2, 3)  # of distinct-n
BLEU_SAMPLE, BLEU_GRAMS = 200, 4
BLEU_NOTHING = 0.1  # what counts for no common n-gram (Chen & Cherry 2014, method 1)
LEAST_DRAWS = 20


@dataclass(frozen=True)
class Field:
    """The words of distinct sentences, also as numbers one after the other; lengths, and each sentence's cluster."""

    sentences: list[list[str]]
    tokens: Ints
    length: Ints
    cluster: Ints

    @classmethod
    def read(cls, texts: Sequence[str], groups: Sequence[object]) -> "Field":
        """Texts [n], each once, and the group that each belongs to [n]."""
        sentences = [words(text) for text in texts]
        number: dict[str, int] = {}
        tokens = [number.setdefault(word, len(number)) for sentence in sentences for word in sentence]
        length = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
        return cls(sentences, np.array(tokens, dtype=np.int64), length, numbered(np.asarray(groups, dtype=str)))

    def order(self, random: np.random.Generator, whole: bool) -> Ints:
        """The sentences in random order; `whole`: those of one cluster one after the other."""
        order = random.permutation(len(self.length))
        if whole:
            rank = random.permutation(int(self.cluster.max()) + 1)
            order = order[np.argsort(rank[self.cluster[order]], kind="stable")]
        return order

    def drawn(self, budget: int, random: np.random.Generator, whole: bool) -> tuple[Ints, Ints]:
        """The first `budget` words of sentences drawn in random order, and the sentence that each word is of."""
        order = self.order(random, whole)
        order = order[: int(np.searchsorted(np.cumsum(self.length[order]), budget)) + 1]
        if whole:  # MTLD reads in sequence: what stands together is chosen together, but not read together
            order = random.permutation(order)
        size = self.length[order]
        start = np.cumsum(self.length)[order] - size
        offset = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        return self.tokens[np.repeat(start, size) + offset][:budget], np.repeat(order, size)[:budget]

    def self_bleu(self, places: Ints) -> float:
        """The self-BLEU of the sentences at these places."""
        return self_bleu([self.sentences[place] for place in places])


def lexical(
    texts: Sequence[str], groups: Sequence[object], budgets: Sequence[int], bootstrap: int, seed: int
) -> dict[str, Any]:
    """The diversity of distinct texts [n] of the groups [n] (premises): as a whole, and at each budget of words.

    A value is the mean over draws of single sentences, bootstrap / 4 of them or 20, so that hypotheses that come one or
    three to a premise compare; its interval comes from as many draws of whole groups, which share words.
    """
    field, random = Field.read(texts, groups), np.random.default_rng(seed)
    draws = max(LEAST_DRAWS, bootstrap // 4)
    total = len(field.tokens)

    def at(budget: int) -> dict[str, Estimate]:
        single, whole = (
            pd.DataFrame([_measures(*field.drawn(budget, random, groupwise)) for _ in range(draws)])
            for groupwise in (False, True)
        )
        return {
            str(name): jackknifed(float(single[name].mean()), whole[name].to_numpy(dtype=float), budget / total)
            for name in single
        }

    return {
        "texts": len(texts),
        "tokens": total,
        "vocabulary": len(np.unique(field.tokens)),
        "mtld": round(mtld(field.drawn(total, random, whole=False)[0].tolist()), 6),
        "budgets": {str(budget): at(budget) for budget in budgets if 2 * budget <= total},
        "self_bleu": _sampled_self_bleu(field, draws, random),
    }


def _measures(tokens: Ints, sentence: Ints) -> dict[str, float]:
    vocabulary = len(np.unique(tokens))
    return {
        "vocabulary": vocabulary,
        "ttr": vocabulary / len(tokens),
        "mtld": mtld(tokens.tolist()),
        **{f"distinct_{n}": distinct(tokens, sentence, n) for n in GRAMS},
    }


def distinct(tokens: Ints, sentence: Ints, n: int) -> float:
    """Distinct-n (Li et al. 2016): different n-grams, of words of one sentence, over all words."""
    size = int(tokens.max()) + 1
    places = len(tokens) - n + 1
    inside = sentence[:places] == sentence[n - 1 :]
    grams = np.zeros(places, dtype=np.int64)
    for ahead in range(n):
        if ahead and size**2 > len(tokens) ** 2:  # renumbered, so that no product of sizes leaves 64 bits
            grams = np.unique(grams, return_inverse=True)[1]
        grams = grams * size + tokens[ahead : ahead + places]
    return len(np.unique(grams[inside])) / len(tokens)


def mtld(tokens: Sequence[int]) -> float:
    """Measure of textual lexical diversity (McCarthy & Jarvis 2010): mean words in a row that keep the TTR over 0.72.

    The mean of reading forward and backward; the rest at the end counts as part of a factor. A text in which no word
    comes twice has no factor: its length is given, which is the least that its MTLD can be.
    """
    return (_one_way(tokens) + _one_way(tokens[::-1])) / 2


def _one_way(tokens: Sequence[int]) -> float:
    factors, count = 0.0, 0
    seen: set[int] = set()
    for token in tokens:
        count += 1
        seen.add(token)
        if len(seen) <= TTR * count:
            factors += 1
            count = 0
            seen.clear()
    if count:
        factors += (1 - len(seen) / count) / (1 - TTR)
    return len(tokens) / factors if factors else float(len(tokens))


def _sampled_self_bleu(field: Field, draws: int, random: np.random.Generator) -> dict[str, Any] | None:
    """The mean over samples of 200 distinct sentences, or of half of them where there are fewer than 400."""
    every = len(field.sentences)
    sample = min(BLEU_SAMPLE, every // 2)
    if sample < 2:
        return None
    single, whole = (
        np.array([field.self_bleu(field.order(random, groupwise)[:sample]) for _ in range(draws)])
        for groupwise in (False, True)
    )
    return {"sample": sample, "value": jackknifed(float(single.mean()), whole, sample / every)}


def self_bleu(sentences: Sequence[Sequence[str]]) -> float:
    """The mean BLEU-4 of each sentence against all others (Zhu et al. 2018): 1 where all are alike.

    What nltk's `sentence_bleu` with smoothing method 1 says, but the references' n-grams are counted once for all
    sentences: the most that any sentence has of an n-gram, and the most that any but that one has.
    """
    lengths = np.array([len(sentence) for sentence in sentences])
    matches = np.zeros((BLEU_GRAMS, len(sentences)))
    for n in range(1, BLEU_GRAMS + 1):
        counts = [Counter(zip(*(sentence[k:] for k in range(n)), strict=False)) for sentence in sentences]
        most = _most(counts)
        for place, count in enumerate(counts):
            for gram, k in count.items():
                first, owner, second = most[gram]
                matches[n - 1, place] += min(k, second if owner == place else first)
    grams = np.maximum(lengths - np.arange(BLEU_GRAMS)[:, None], 1)
    precision = np.exp(np.log(np.where(matches, matches, BLEU_NOTHING) / grams).mean(axis=0))
    return float(np.mean(np.where(matches[0], precision, 0) * _brevity(lengths)))


def _most(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """For each n-gram: the most that a sentence has of it, which one that is, and the most that any other has."""
    most: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for place, count in enumerate(counts):
        for gram, k in count.items():
            first, owner, second = most.get(gram, (0, -1, 0))
            most[gram] = (k, place, first) if k > first else (first, owner, max(second, k))
    return most


def _brevity(lengths: Ints) -> Floats:
    """BLEU's penalty of sentences that are shorter than the nearest in length of the others, the shorter of two."""
    rank = 2 * np.abs(lengths[:, None] - lengths) + (lengths > lengths[:, None])
    np.fill_diagonal(rank, rank.max() + 1)
    nearest = lengths[rank.argmin(axis=1)]
    penalty: Floats = np.exp(np.minimum(1 - nearest / np.maximum(lengths, 1), 0))
    return penalty
