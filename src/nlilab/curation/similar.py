"""Which sentences are alike: texts as arrays of word hashes, MinHash candidates, exact Jaccard on each.

Candidates come from an LSH forest of MinHashes (Bawa et al. 2005; b-bit signatures, Li & Koenig 2010); every one is
verified with the exact Jaccard. A row is compared with a bounded number of neighbours per tree, nearest first, so
thousands of rows made from one template cost linear time.
"""

import hashlib
import unicodedata
from array import array
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

GRAM = 8  # words: sentences of NLI have 8-14, so 13-grams would see nothing
TREES, DEPTH = 16, 4  # at Jaccard 0.8 a pair is found with probability 1 - (1 - 0.8**4)**16 = 0.9998
HASHES = TREES * DEPTH
SUITE_NEIGHBOURS, ROW_NEIGHBOURS = 16, 4  # per tree; the row's own table is searched again until nothing more is found
CHUNK = 4096  # documents at a time: their shingles stay in the processor's cache


class _Folding(dict[int, str]):
    """What becomes of a character: punctuation, blanks and control characters a space, invisible ones nothing."""

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        folded = "" if category == "Cf" else " " if category[0] in "PZ" or category in ("Cc", "Sk") else chr(code)
        self[code] = folded
        return folded


_FOLDING = _Folding()


def normalise(text: str) -> str:
    """NFKC, case folded, punctuation and blanks folded to single spaces; currency, maths and other symbols stay."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().translate(_FOLDING).split())


def stable(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mix(values: Hashes) -> Hashes:
    """Spread 64 bits over 64 bits (MurmurHash3's finaliser)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


class Texts:
    """Every distinct normalised sentence once, as word numbers in one long array: begin, words, end, begin ..."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self._vocabulary = {"": 0, " ": 1}  # begin and end: no word is empty or blank
        self._words = array("i")
        self._length = array("i")

    def add(self, column: Iterable[object]) -> Ints:
        """The sentences' numbers; what is no text counts as an empty one."""
        texts = (normalise(text) if isinstance(text, str) else "" for text in column)
        return np.fromiter(map(self._add, texts), dtype=np.int64)

    def _add(self, text: str) -> int:
        number = self.number.setdefault(text, len(self.number))
        if number == len(self._length):
            words = text.split()
            self._words.append(0)
            for word in words:
                self._words.append(self._vocabulary.setdefault(word, len(self._vocabulary)))
            self._words.append(1)
            self._length.append(len(words))
        return number

    def finish(self) -> None:
        """Turn what was added into arrays; nothing is added afterwards."""
        self.words = np.frombuffer(self._words, dtype=np.int32) if self._words else np.zeros(0, np.int32)
        self.length = np.array(self._length, dtype=np.int64)
        self.start = np.cumsum(self.length + 2) - (self.length + 2)
        self.hashes = np.array([stable(word) for word in self._vocabulary], dtype=np.uint64)

    def shingles(self, documents: Ints) -> tuple[Hashes, Ints]:
        """Hashes of the words and word pairs of documents [n, fields] of sentences, and where each document starts."""
        sentences = documents.ravel()
        size = 2 * self.length[sentences] + 1  # n words and n + 1 pairs, begin and end included
        starts = np.cumsum(size) - size
        offset = np.arange(int(size.sum())) - np.repeat(starts, size)
        place = np.repeat(self.start[sentences], size) + ((offset + 1) >> 1)  # even offsets are pairs, odd ones words
        word, after = self.hashes[self.words[place]], self.hashes[self.words[place + 1]]
        tag = np.arange(len(sentences), dtype=np.uint64) % np.uint64(documents.shape[1])
        field = np.repeat(tag * np.uint64(0x9E3779B97F4A7C15), size)
        pair = after * np.uint64(0xD6E8FEB86659FD93) + np.uint64(1)
        return mix(word + field + np.where(offset & 1, np.uint64(0), pair)), starts[:: documents.shape[1]]

    def grams(self, sentences: Ints) -> tuple[Hashes, Ints]:
        """Hashes of all word 8-grams of the sentences, and the place in `sentences` that each comes from."""
        size = np.maximum(self.length[sentences] - GRAM + 1, 0)
        owner = np.repeat(np.arange(len(sentences)), size)
        offset = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        place = self.start[sentences][owner] + 1 + offset
        gram = np.zeros(len(place), dtype=np.uint64)
        for ahead in range(GRAM):
            gram = mix(gram * np.uint64(3) + self.hashes[self.words[place + ahead]])
        return gram, owner


def sign(texts: Texts, documents: Ints, tell: Callable[[int], None]) -> NDArray[np.uint8]:
    """[n, 64] MinHashes of one byte each."""
    found = np.empty((len(documents), HASHES), dtype=np.uint8)
    random = (mix(np.arange(1, 2 * HASHES + 1, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)
    for begin in range(0, len(documents), CHUNK):
        hashes, starts = texts.shingles(documents[begin : begin + CHUNK])
        short = (hashes >> np.uint64(32)).astype(np.uint32)
        for k in range(HASHES):
            smallest = np.minimum.reduceat(short * (random[k] | np.uint32(1)) + random[HASHES + k], starts)
            found[begin : begin + CHUNK, k] = (smallest * np.uint32(0x9E3779B1)) >> np.uint32(24)
        tell(min(begin + CHUNK, len(documents)))
    return found


def tree_keys(signatures: NDArray[np.uint8], tree: int) -> Hashes:
    """A tree's sort keys: its own 4 MinHashes, then the next tree's: the most alike of a bucket lie side by side."""
    columns = (DEPTH * tree + np.arange(8)) % HASHES
    keys: Hashes = np.ascontiguousarray(signatures[:, columns]).view(">u8").ravel().astype(np.uint64)
    return keys


LOW = np.uint64(0xFFFFFFFF)  # the half of a key that only orders a bucket


def _likely(left: NDArray[np.uint8], right: NDArray[np.uint8], a: Ints, b: Ints, threshold: float) -> NDArray[np.bool_]:
    """Whether left[a] and right[b] agree in as many MinHashes as the threshold lets expect, less 3.5 deviations."""
    least = HASHES * threshold - 3.5 * (HASHES * threshold * (1 - threshold)) ** 0.5
    found = np.empty(len(a), dtype=bool)
    for begin in range(0, len(a), CHUNK):
        part = slice(begin, begin + CHUNK)
        found[part] = np.count_nonzero(left[a[part]] == right[b[part]], axis=1) >= least
    return found


def _jaccard(texts: Texts, left: Ints, right: Ints) -> NDArray[np.float64]:
    """The exact Jaccard of left[i] and right[i], documents [n, fields], over sets of shingles."""
    found = np.empty(len(left))
    for begin in range(0, len(left), CHUNK):
        size = min(CHUNK, len(left) - begin)
        a, b = (_sets(texts, documents[begin : begin + size]) for documents in (left, right))
        both = np.intersect1d(a, b, assume_unique=True)
        in_a, in_b, in_both = (np.bincount((s >> OWNER).astype(np.int64), minlength=size) for s in (a, b, both))
        found[begin : begin + size] = in_both / (in_a + in_b - in_both)
    return found


OWNER = np.uint64(44)  # bits of a shingle's hash below the number of its document


def _sets(texts: Texts, documents: Ints) -> Hashes:
    """The documents' shingles, each once in a document, sorted by document."""
    hashes, starts = texts.shingles(documents)
    document = np.repeat(np.arange(len(documents), dtype=np.uint64), np.diff(np.append(starts, len(hashes))))
    found: Hashes = np.sort((document << OWNER) | (hashes >> np.uint64(64 - 44)))  # ten times as fast as np.unique here
    distinct: Hashes = found[np.append(True, found[1:] != found[:-1])]
    return distinct


def nearest(
    texts: Texts, rows: Ints, others: Ints, threshold: float, tell: Callable[[int], None]
) -> tuple[Ints, NDArray[np.float64]]:
    """For each of `rows` the number of one of `others` with Jaccard >= threshold, or -1, and that Jaccard."""
    match, value = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows))
    if not len(rows) or not len(others):
        return match, value
    theirs, ours = sign(texts, others, lambda done: None), sign(texts, rows, tell)
    for tree in range(TREES):
        keys = tree_keys(theirs, tree)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        seeking = np.flatnonzero(match < 0)
        key = tree_keys(ours[seeking], tree)
        first, last = np.searchsorted(keys, key & ~LOW), np.searchsorted(keys, key | LOW, side="right")
        middle = np.searchsorted(keys, key) - SUITE_NEIGHBOURS // 2
        first = np.maximum(first, np.minimum(middle, last - SUITE_NEIGHBOURS))
        for step in range(SUITE_NEIGHBOURS):
            near = np.flatnonzero((first + step < last) & (match[seeking] < 0))
            a, b = seeking[near], order[first[near] + step]
            likely = _likely(ours, theirs, a, b, threshold)
            a, b = a[likely], b[likely]
            exact = _jaccard(texts, rows[a], others[b])
            sure = exact >= threshold
            match[a[sure]], value[a[sure]] = b[sure], exact[sure]
    return match, value


def alike(
    texts: Texts, documents: Ints, group: Ints, keys: Hashes, signatures: NDArray[np.uint8], threshold: float
) -> tuple[Ints, NDArray[np.float64]]:
    """Pairs [n, 2] (later, earlier), sorted, of neighbours in tree and group with Jaccard >= threshold, and these."""
    order = np.lexsort((keys, group))
    bucket = np.column_stack((group[order].astype(np.uint64), keys[order] & ~LOW))
    pairs: list[Ints] = []
    for step in range(1, ROW_NEIGHBOURS + 1):
        same = np.flatnonzero((bucket[step:] == bucket[:-step]).all(axis=1))
        a, b = order[same + step], order[same]
        likely = _likely(signatures, signatures, a, b, threshold)
        pairs.append(np.column_stack((np.maximum(a, b), np.minimum(a, b)))[likely])
    found = np.concatenate(pairs)
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    value = _jaccard(texts, documents[found[:, 0]], documents[found[:, 1]])
    return found[value >= threshold], value[value >= threshold]
