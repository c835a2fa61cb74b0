"""What the analyses found in each data set, and all sets side by side at the largest size that they share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.core.files import read_json
from nlilab.report import tables as t
from nlilab.report.numbers import decimals, percent, tenth, three, whole
from nlilab.report.published import Analysed, Document
from nlilab.report.records import ordered, rank

SIZES = ("artefacts", "sizes")
ALL = "all"  # the key of all rows, or all labels
FIELDS = {"premise": "premises", "hypothesis": "hypotheses"}
LEAKS = ("exact", "grams", "near")  # found word by word; what lies near in embeddings is listed, and counts apart
DIVERSITY = {
    **{"vocabulary": ("different words", whole), "ttr": ("type-token ratio", three), "mtld": ("MTLD", tenth)},
    **{f"distinct_{n}": (f"distinct-{n}", three) for n in (1, 2, 3)},
}
ALONE = {"majority": "most frequent label", "hypothesis_only": "hypothesis alone", "premise_only": "premise alone"}
USED = {"pair": "the pair", "hypothesis": "hypothesis alone", "premise": "premise alone"}
VIEWS = {**USED, "nothing": "nothing"}


@dataclass(frozen=True)
class DataSet:
    """One table: metrics/analysis/<name>.json and metrics/difficulty/<name>.json, either of which may be missing."""

    name: str
    task: str
    analysis: Mapping[str, Any]
    difficulty: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]

    @property
    def labels(self) -> list[str]:
        """Its labels, the positive one of two first."""
        return sorted(self.analysis.get("labels") or self.difficulty["labels"], key=rank)

    @property
    def slug(self) -> str:
        """The name as an address within the page."""
        return self.name.replace("/", "-").replace(".", "-")

    def find(self, *path: str) -> Any:
        """What the analysis (or, under `difficulty`, that of the difficulty) has at a path; None where nothing."""
        found: Any = {**self.analysis, "difficulty": self.difficulty}
        for key in path:
            found = found.get(key) if found else None
        return found

    def found(self, *path: str) -> Any:
        """A record at a path, empty where there is none."""
        return self.find(*path) or {}

    def artefacts(self, size: str = ALL) -> Any:
        """What a linear model gets right from one sentence alone, at a number of rows; empty where it has fewer."""
        return self.found(*SIZES, size)

    def cosine(self, field: str, label: str = ALL) -> Any:
        """How near the sentences of a field lie to each other: `cosine` and its `histogram`; empty where unknown."""
        return self.found("semantic", field, label)

    def entities(self) -> dict[str, Mapping[str, Any]]:
        """The entity types that occur, the most frequent first."""
        types = self.found("entities", "types")
        return dict(sorted(types.items(), key=lambda item: (-item[1]["mentions"], item[0])))

    def leaks(self) -> int:
        """How many rows stand, or nearly stand, in suites, counted for each."""
        return sum(suite[kind] for suite in self.found("leakage").values() for kind in LEAKS)


def read_set(metrics: Path, name: str, checked: Sequence[Mapping[str, Any]]) -> DataSet | None:
    """One set as far as it was analysed, with its gates of all that were checked; None where it was not."""
    paths = [metrics / kind / f"{name}.json" for kind in ("analysis", "difficulty")]
    analysis, difficulty = (ordered(read_json(path)) if path.is_file() else {} for path in paths)
    if not analysis and not difficulty:
        return None
    gates = [gate for gate in checked if gate["set"] == name]
    return DataSet(name, (analysis or difficulty)["task"], analysis, difficulty, gates)


@dataclass(frozen=True)
class Size:
    """The number of rows, or of words, at which sets are compared, as a key; None where no two share any."""

    key: str | None
    every: bool  # whether all sets have so many, or only two or more of them


def shared(keys: Iterable[Iterable[str]]) -> Size:
    """The largest number that stands among the keys of every set; else the largest that two of them have."""
    sets = [{int(key) for key in own if key != ALL} for own in keys]
    for every, wanted in ((True, len(sets)), (False, 2)):
        found = [size for size in set().union(*sets) if sum(size in own for own in sets) >= wanted]
        if found:
            return Size(str(max(found)), every)
    return Size(None, False)


def shared_rows(sets: Iterable[DataSet]) -> Size:
    """The number of rows at which sets compare."""
    return shared(one.found(*SIZES) for one in sets)


def shared_words(sets: Iterable[DataSet], field: str) -> Size:
    """The number of a field's words at which sets compare."""
    return shared(one.found("lexical", field, "budgets") for one in sets)


Measure = tuple[t.Column, Callable[[DataSet], t.Cell]]
Published = Sequence[tuple[Document, Analysed]]


def measure(name: str, group: str, said: Callable[[float], str], *path: str) -> Measure:
    """A column of what stands at a path."""
    return t.Column(name, group), lambda one: t.estimate(one.find(*path), said)


def table(
    title: str, said: str, columns: Iterable[Measure], sets: Sequence[DataSet], published: Sequence[t.Row] = ()
) -> t.Table:
    """A line for each set, and below them what documents say of others; none where no column is."""
    columns, several = list(columns), len({one.task for one in sets}) > 1
    lines = [
        t.row(t.Cell(one.name, note=f"task {one.task}" if several else ""), *(get(one) for _, get in columns))
        for one in sets
    ]
    heads = [t.Column("set", kind="name"), *(column for column, _ in columns)]
    return t.Table(heads, [*lines, *published] if columns else [], title, said)


def side_by_side(sets: Mapping[str, DataSet], documents: Iterable[Document]) -> list[t.Table]:
    """The tables that have something of these sets."""
    analysed = [one for one in sets.values() if one.analysis]
    published = [(document, found) for document in documents for found in document.analyses]
    tables = []
    if analysed:
        tables += [_alone(analysed, published), *(_diversity(analysed, field) for field in FIELDS), _cosine(analysed)]
        tables += [_vocabulary(analysed, published), _entities(analysed)]
    tables += [_difficulty([one for one in sets.values() if one.difficulty])]
    tables += [_leakage([one for one in analysed if one.found("leakage")])]
    return [one for one in tables if one.rows]


def compact(sets: Mapping[str, DataSet]) -> t.Table:
    """One line for each set; its caption says at which sizes they are compared."""
    every = [one for one in sets.values() if one.analysis]
    rows, words = shared_rows(every).key, shared_words(every, "hypothesis").key
    columns: list[Measure] = [
        (t.Column("rows"), lambda one: t.estimate(one.find("rows") or one.find("difficulty", "rows"), whole)),
        measure("hypothesis alone, %", "", percent, *SIZES, rows or ALL, "hypothesis_only"),
        measure("V-information, bits", "", three, "difficulty", "v_information", "pair"),
        measure("MTLD, hypotheses", "", tenth, "lexical", "hypothesis", "budgets", words or "", "mtld"),
        measure("mean cosine, hypotheses", "", three, "semantic", "hypothesis", ALL, "cosine"),
        (t.Column("leaks"), lambda one: t.estimate(one.leaks() if one.found("leakage") else None, whole)),
        measure("flagged", "", whole, "difficulty", "noise", "flagged"),
    ]
    size = f"at {whole(int(rows))} rows" if rows else "at all rows (no two sets share a size)"
    mtld = f", MTLD at {whole(int(words))} words" if words else ""
    caption = f"data sets: the hypothesis alone {size}{mtld}, the rest over all rows"
    lines = [t.row(one.name, *(get(one) for _, get in columns)) for one in sets.values()]
    return t.Table([*t.left("set"), *(column for column, _ in columns)], lines, caption=caption, where=t.SHORT)


def _at(size: Size, what: str, sets: Sequence[DataSet]) -> str:
    """At which size sets are compared, in words."""
    if len(sets) < 2:
        return ""
    if size.key is None:
        return f" No two sets share a number of {what}: each stands as it is, so the figures do not compare."
    who = "all of them have" if size.every else "two or more of them have; an en dash: too few"
    return f" Sets compare at {whole(int(size.key))} {what}, the largest number that {who}."


def _theirs(document: Document, found: Analysed, *cells: t.Cell | None) -> t.Row:
    """A published figure, with where it stands and what it is of."""
    source = f"published: {document.document}, {found.place}{f': {found.note}' if found.note else ''}"
    return t.row(t.Cell(found.name, note=source), *cells)


def _alone(sets: Sequence[DataSet], published: Published) -> t.Table:
    size = shared_rows(sets)
    keys = {key: "all rows" if key == ALL else f"{whole(int(key))} rows" for key in (size.key, ALL) if key}
    columns = [measure(ALONE[kind], rows, percent, *SIZES, key, kind) for key, rows in keys.items() for kind in ALONE]
    said = (
        "Labels that a linear model gets right, in %, where it sees one sentence of the pair alone (out of fold, split "
        "by premise). Far above the most frequent label, the label can be told without reading the pair. Below it, "
        "rows that were held out together have left too few of their labels to learn from."
    )
    place = [column for column, _ in columns].index(t.Column(ALONE["hypothesis_only"], keys[ALL]))
    theirs = [
        _theirs(document, found, *(t.estimate(found.value) if n == place else None for n in range(len(columns))))
        for document, found in published
        if found.measure == "hypothesis_only" and found.task in {own.task for own in sets}
    ]
    return table("The label from one sentence", said + _at(size, "rows", sets), columns, sets, theirs)


def _diversity(sets: Sequence[DataSet], field: str) -> t.Table:
    size = shared_words(sets, field)
    samples = {one.found("lexical", field, "self_bleu").get("sample") for one in sets}
    sample = "samples" if len(samples) > 1 else f"{samples.pop()} sentences"
    key = size.key or ""
    columns = [
        *(
            measure(name, f"{whole(int(key))} words", how, "lexical", field, "budgets", key, kind)
            for kind, (name, how) in (DIVERSITY.items() if key else ())
        ),
        measure("self-BLEU", sample, three, "lexical", field, "self_bleu", "value"),
        measure("MTLD", "all text", tenth, "lexical", field, "mtld"),
        measure("sentences", "all text", whole, "lexical", field, "texts"),
        measure("words", "all text", whole, "lexical", field, "tokens"),
    ]
    said = "Each different sentence once. More is more varied, but for self-BLEU, where less is."
    return table(f"Words of the {FIELDS[field]}", said + _at(size, "words", sets), columns, sets)


def _cosine(sets: Sequence[DataSet]) -> t.Table:
    # All labels together, and each of them where the sets share them and they are few.
    labels = sets[0].labels
    few = len(labels) <= 3 and all(one.labels == labels for one in sets)
    columns = (
        measure(label, name, three, "semantic", field, label, "cosine")
        for field, name in FIELDS.items()
        for label in (ALL, *(labels if few else ()))
    )
    said = "Mean cosine of two sentences drawn from a set; exact, whatever the number of rows. Less is more varied."
    return table("Likeness in meaning", said, columns, sets)


def _vocabulary(sets: Sequence[DataSet], published: Published) -> t.Table:
    tasks = {one.task for one in sets}
    theirs = [
        _theirs(document, found, t.estimate(found.value, whole))
        for document, found in published
        if found.measure == "vocabulary" and found.task in tasks
    ]

    def ours(one: DataSet) -> t.Cell:
        return t.estimate(sum(one.analysis["lexical"][field]["vocabulary"] for field in FIELDS), whole)

    said = (
        "Sizes, not diversity. Published: words counted in each sentence and added up. Ours: different words of the "
        "premises and of the hypotheses, added. The definitions differ, and so do the numbers of rows."
    )
    columns: list[Measure] = [(t.Column("words"), ours)] if theirs else []
    return table("Vocabulary, beside published counts", said, columns, sets, theirs)


def _entities(sets: Sequence[DataSet]) -> t.Table:
    types = dict.fromkeys(kind for one in sets for kind in one.entities())
    columns = (measure(kind, "", decimals, "entities", "types", kind, "per_1000") for kind in types)
    said = "Named entities for each 1\u202f000 words. Types are those of OntoNotes."
    return table("Entities", said, columns, sets)


def _difficulty(sets: Sequence[DataSet]) -> t.Table:
    columns = [
        measure("rows", "", whole, "difficulty", "rows"),
        measure("entropy of the labels", "bits", three, "difficulty", "entropy"),
        *(measure(USED[view], "V-information, bits", three, "difficulty", "v_information", view) for view in USED),
        *(measure(VIEWS[view], "right, %", percent, "difficulty", "accuracy", view) for view in VIEWS),
        measure("PVI below 0, %", "to reread", percent, "difficulty", "negative"),
        measure("flagged", "to reread", whole, "difficulty", "noise", "flagged"),
    ]
    said = (
        "How much a small model can use: bits of the label that it learns to tell (V-information), out of fold. "
        "Lower is harder; the entropy is the most there is."
    )
    rows = {one.difficulty["rows"] for one in sets}
    unequal = " The sets differ in rows, so the figures do not compare." if len(rows) > 1 else ""
    return table("Difficulty for a small model", said + unequal, columns, sets)


def _leakage(sets: Sequence[DataSet]) -> t.Table:
    def column(suite: str, name: str, kinds: Sequence[str]) -> Measure:
        def get(one: DataSet) -> t.Cell:
            found = one.found("leakage", suite)
            return t.estimate(sum(found[kind] for kind in kinds) if found else None, whole)

        return t.Column(name, suite), get

    kinds = {"found": LEAKS, "near in meaning": ("embedding",)}
    suites = dict.fromkeys(suite for one in sets for suite in one.found("leakage"))
    columns = (column(suite, *kind) for suite in suites for kind in kinds.items())
    said = (
        "Rows of a set that stand in a suite: word by word, by 8-grams or nearly so (found), and those whose nearest "
        "row lies above the limit in embeddings (near in meaning: to be read, not proof)."
    )
    return table("Rows that stand in a suite", said, columns, sets)
