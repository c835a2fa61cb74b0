"""Who and what a set talks about: entity types per 1,000 words, and how their names differ from a reference's.

By spaCy where one of its models is installed, else by a gazetteer, a list of names of our own (`gazetteer.yaml`).
"""

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.sparse import csr_array
from scipy.spatial.distance import jensenshannon

from nlilab.core.errors import UserError
from nlilab.core.params import Settings, read_yaml, validate
from nlilab.core.schema import TEXT
from nlilab.core.words import words
from nlilab.stats import Estimate, Floats, cluster_counts, estimate, numbered

AUTO, GAZETTEER = "auto", "gazetteer"
DEFAULT_MODEL = "en_core_web_sm"
LIST = Path(__file__).with_name("gazetteer.yaml")
BEGINNING = re.compile(r"(?:^|[.!?…:]['\"’”)]*\s)\W*$")  # what stands before the first word of a sentence

TOP, TOP_SHARE = 20, 10
LEAST = 5  # mentions of a type, on both sides, for a comparison of its names
SPLITS = 100  # random halves behind `chance`


class Mention(NamedTuple):
    """The place of the text that an entity is found in, its type, and its name in lower case."""

    text: int
    kind: str
    name: str


Find = Callable[[Sequence[str]], Iterator[Mention]]


class Gazetteer(Settings):
    """The file of names; see its own head for what the fields mean."""

    version: Annotated[int, Field(ge=1)]
    plural: list[str]
    ambiguous: list[str]
    types: dict[str, list[list[str]]]


@dataclass(frozen=True)
class Mentions:
    """A set's entities by cluster (premise): how often each (type, name) is in each [clusters, names]; their words."""

    counts: csr_array
    keys: list[tuple[str, str]]
    tokens: Floats

    @classmethod
    def read(cls, rows: pd.DataFrame, find: Find) -> "Mentions":
        """The entities of each distinct text of both sides, once: that of its first row's cluster (group)."""
        both = pd.concat([rows[[side, "group"]].set_axis(["text", "group"], axis=1) for side in TEXT])
        both = both.drop_duplicates("text")
        cluster, texts = numbered(both["group"].to_numpy()), both["text"].tolist()
        found = list(find(texts))
        keys = sorted({(mention.kind, mention.name) for mention in found})
        number = {key: place for place, key in enumerate(keys)}
        at = (
            np.array([cluster[mention.text] for mention in found], dtype=np.int64),
            np.array([number[mention.kind, mention.name] for mention in found], dtype=np.int64),
        )
        shape = (int(cluster.max()) + 1, len(keys))
        lengths = np.array([len(words(text)) for text in texts], dtype=np.float64)
        return cls(csr_array((np.ones(len(found)), at), shape), keys, np.bincount(cluster, lengths).astype(np.float64))

    def of(self, keys: Sequence[tuple[str, str]]) -> csr_array:
        """The counts of just these keys, 0 for those that the set lacks [clusters, keys]."""
        place = {key: number for number, key in enumerate(keys)}
        counts = self.counts.tocoo()
        column = np.array([place.get(key, -1) for key in self.keys], dtype=np.int64)[counts.col]
        known = column >= 0
        return csr_array((counts.data[known], (counts.row[known], column[known])), (self.counts.shape[0], len(keys)))

    def by_type(self, kinds: Sequence[str]) -> csr_array:
        """The counts of types [clusters, kinds]."""
        place = {kind: number for number, kind in enumerate(kinds)}
        onto = np.zeros((len(self.keys), len(kinds)))
        for row, (kind, _) in enumerate(self.keys):
            onto[row, place[kind]] = 1
        return csr_array(self.counts @ csr_array(onto))


def entities(
    rows: pd.DataFrame, reference: pd.DataFrame | None, backend: str, bootstrap: int, seed: int
) -> dict[str, Any]:
    """The section `entities` of a set's metrics.

    Args:
        rows: premise, hypothesis, group; of the reference too. Without one the set is the reference itself.
        backend: auto, gazetteer, or a spaCy model by its name or folder.
        bootstrap: samples of premises behind each interval.
    """
    name, find = open_backend(backend)
    own = Mentions.read(rows, find)
    drawn = cluster_counts(len(own.tokens), bootstrap, seed)
    out: dict[str, Any] = {
        "backend": name,
        "tokens": int(own.tokens.sum()),
        "types": {kind: _described(own, kind, drawn) for kind in sorted({kind for kind, _ in own.keys})},
    }
    if reference is not None:
        out["jsd"] = _compared(own, Mentions.read(reference, find), bootstrap, seed)
    return out


def _described(own: Mentions, kind: str, drawn: npt.NDArray[np.uint16]) -> dict[str, Any]:
    """How often a type is mentioned, by which names, and how much of it the ten most frequent names are."""
    keys = [key for key in own.keys if key[0] == kind]
    counts = own.of(keys)
    each, total = np.asarray(counts.sum(axis=1)).ravel(), float(counts.sum())
    rates = np.array([1000 * (row @ each) / (row @ own.tokens) for row in drawn])
    share = pd.Series(np.asarray(counts.sum(axis=0)).ravel() / total, index=[name for _, name in keys])
    share = share.sort_values(ascending=False, kind="stable")
    return {
        "per_1000": estimate(1000 * total / float(own.tokens.sum()), rates),
        "mentions": int(total),
        "distinct": len(keys),
        "top": [[name, round(float(part), 6)] for name, part in share.iloc[:TOP].items()],
        "top_10_share": round(float(share.iloc[:TOP_SHARE].sum()), 6),
    }


def _compared(own: Mentions, other: Mentions, bootstrap: int, seed: int) -> dict[str, Any]:
    """The divergence from a reference of the types, and of the names of each type."""
    every = sorted({*own.keys, *other.keys})
    kinds = sorted({kind for kind, _ in every})
    out = {}
    for kind in kinds:
        keys = [key for key in every if key[0] == kind]
        out[kind] = divergence(own.of(keys), other.of(keys), bootstrap, seed)
    out["types"] = divergence(own.by_type(kinds), other.by_type(kinds), bootstrap, seed)
    return out


def divergence(one: csr_array, other: csr_array, bootstrap: int, seed: int) -> dict[str, float | None]:
    """Jensen-Shannon divergence, base 2 (0: alike, 1: nothing in common), between counts [clusters, names] of two sets.

    Small counts differ by chance alone, so the value has a companion: `chance` is the mean divergence of two random
    halves of the pooled clusters, with as many mentions as the sets have. A value near it says nothing. Resampled
    clusters differ even more than the sets, so the interval's draws are moved to have the value as their mean. All null
    where a side has fewer than 5 mentions.
    """
    sizes = [float(side.sum()) for side in (one, other)]
    if min(sizes) < LEAST:
        return {"value": None, "low": None, "high": None, "chance": None}
    value = float(_jsd(one.sum(axis=0), other.sum(axis=0)))
    sampled = [
        side.T @ cluster_counts(side.shape[0], bootstrap, seed + number).T.astype(float)
        for number, side in enumerate((one, other))
    ]
    draws = _jsd(sampled[0].T, sampled[1].T)
    moved = np.clip(draws - np.nanmean(draws) + value, 0, 1)
    found: Estimate = estimate(value, moved)
    return {**found, "chance": round(_chance(one, other, sizes[0], seed), 6)}


def _chance(one: csr_array, other: csr_array, size: float, seed: int) -> float:
    """The mean divergence of random splits of all clusters, of which the first part has `size` mentions."""
    from scipy.sparse import vstack

    pooled = vstack([one, other], format="csr")
    weight = np.asarray(pooled.sum(axis=1)).ravel()
    pooled, weight = pooled[weight > 0], weight[weight > 0]
    total = np.asarray(pooled.sum(axis=0)).ravel()
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(SPLITS):
        order = random.permutation(len(weight))
        side = np.zeros(len(weight))
        side[order[np.cumsum(weight[order]) <= size]] = 1
        parts.append(pooled.T @ side)
    first = np.array(parts)
    return float(np.nanmean(_jsd(first, total - first)))


def _jsd(one: Any, other: Any) -> Floats:
    """Of counts [..., names]; not a number where a side has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distance: Floats = np.asarray(jensenshannon(one, other, base=2, axis=-1))
    return distance**2


def open_backend(wish: str) -> tuple[str, Find]:
    """The finder of entities that is asked for, and its name with its version."""
    if wish == GAZETTEER or (wish == AUTO and not importlib.util.find_spec(DEFAULT_MODEL)):
        names = validate(read_yaml(LIST), Gazetteer, str(LIST.name))
        return f"{GAZETTEER} {names.version}", gazetteer(names)
    return _spacy(DEFAULT_MODEL if wish == AUTO else wish)


def gazetteer(names: Gazetteer) -> Find:
    """Names as whole words, the longest first, capitalised as in the list; ambiguous ones not where a sentence begins.

    One pattern of all names, tried where a word begins with a letter that a name begins with.
    """
    entry: dict[str, tuple[str, str]] = {}
    for kind, lists in names.types.items():
        for name in (name for line in lists for name in line):
            if name in entry:
                raise UserError(f"{LIST.name}: {name!r} stands under {entry[name][0]} and {kind}; name it once")
            entry[name] = (kind, name.lower())
    if unknown := [name for name in names.ambiguous if name not in entry]:
        raise UserError(f"{LIST.name}: ambiguous names {', '.join(unknown)}, which no type lists")
    for name, (kind, base) in list(entry.items()):
        if kind in names.plural:
            entry.setdefault(f"{name}s", (kind, base))
    spelt = sorted(entry, key=lambda name: (-len(name), name))
    first = "".join(sorted({re.escape(name[0]) for name in spelt}))
    choices = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in spelt)
    pattern, ambiguous = re.compile(rf"(?<!\w)(?=[{first}])(?:{choices})(?!\w)"), set(names.ambiguous)

    def find(texts: Sequence[str]) -> Iterator[Mention]:
        for place, text in enumerate(texts):
            for found in pattern.finditer(text):
                name = " ".join(found.group().split())
                if name in ambiguous and BEGINNING.search(text[: found.start()]):
                    continue
                yield Mention(place, *entry[name])

    return find


def _spacy(model: str) -> tuple[str, Find]:
    """A spaCy pipeline's entities; it is imported here, since nothing else needs it."""
    try:
        spacy: Any = importlib.import_module("spacy")
    except ImportError as error:
        raise UserError(
            f"analyze.entities: {model} needs spaCy, which is not installed: pip install spacy and the model, or set "
            f"{GAZETTEER} (or {AUTO})"
        ) from error
    try:
        pipeline = spacy.load(model, exclude=["lemmatizer", "parser"])  # neither says what an entity is
    except (OSError, ValueError) as error:
        raise UserError(
            f"analyze.entities: spaCy cannot load {model!r}: `python -m spacy download {DEFAULT_MODEL}` installs its "
            f"small English model; or set {GAZETTEER} ({str(error).splitlines()[0]})"
        ) from error
    meta = pipeline.meta

    def find(texts: Sequence[str]) -> Iterator[Mention]:
        documents: Iterable[Any] = pipeline.pipe(texts, batch_size=256)
        for place, document in enumerate(documents):
            for entity in document.ents:
                yield Mention(place, entity.label_, " ".join(entity.text.lower().split()))

    return f"spacy {meta['lang']}_{meta['name']} {meta['version']}", find
