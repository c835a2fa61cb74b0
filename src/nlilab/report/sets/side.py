"""All data sets side by side, at the largest number of rows or words that every one of them has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from nlilab.report.figures import NONE, Figure, How, figure
from nlilab.report.published import Analysed, Document
from nlilab.report.sets.dataset import ALL, FIELDS, LEAKS, DataSet, Size, shared_rows, shared_words
from nlilab.report.words import whole

DIVERSITY: Mapping[str, tuple[str, How]] = {
    "vocabulary": ("different words", "count"),
    "ttr": ("type-token ratio", "three"),
    "mtld": ("MTLD", "one"),
    "distinct_1": ("distinct-1", "three"),
    "distinct_2": ("distinct-2", "three"),
    "distinct_3": ("distinct-3", "three"),
}
ALONE = {"majority": "most frequent label", "hypothesis_only": "hypothesis alone", "premise_only": "premise alone"}
USED = {"pair": "the pair", "hypothesis": "hypothesis alone", "premise": "premise alone"}
VIEWS = {**USED, "nothing": "nothing"}

Head = tuple[str, str]  # a group of columns ("" for none), and the column
Published = tuple[Document, Analysed]
Column = tuple[Head, Callable[[DataSet], Figure]]


@dataclass(frozen=True)
class Line:
    """A set with a figure for each column; or, with what a document says of it, a published figure of another set."""

    name: str
    figures: Sequence[Figure]
    note: str = ""


@dataclass(frozen=True)
class Beside:
    """A table of all sets, and at which size they are compared."""

    title: str
    said: str
    heads: Sequence[Head]
    lines: Sequence[Line]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The groups of columns that stand side by side, with how many columns each has; empty where there are none."""
        found = [(name, len(list(own))) for name, own in groupby(group for group, _ in self.heads)]
        return found if any(name for name, _ in found) else []


def side_by_side(sets: Mapping[str, DataSet], documents: Iterable[Document]) -> list[Beside]:
    """The tables that have something of these sets."""
    analysed = [one for one in sets.values() if one.analysis]
    difficult = [one for one in sets.values() if one.difficulty]
    published = [(document, found) for document in documents for found in document.analyses]
    out = []
    if analysed:
        out += [_artefacts(analysed, published), *(_diversity(analysed, field) for field in FIELDS)]
        out += [_cosine(analysed), *_vocabulary(analysed, published)]
    if any(one.analysis.get("entities", {}).get("types") for one in analysed):
        out.append(_entities(analysed))
    if difficult:
        out.append(_difficulty(difficult))
    if leaking := [one for one in analysed if one.analysis.get("leakage")]:
        out.append(_leakage(leaking))
    return out


def at(size: Size, what: str, sets: Sequence[DataSet]) -> str:
    """At which size sets are compared, in words."""
    if len(sets) < 2:
        return ""
    if size.key is None:
        return f" No two sets share a number of {what}: each stands as it is, so the figures do not compare."
    who = "all of them have" if size.every else "two or more of them have; an en dash: too few"
    return f" Sets compare at {whole(int(size.key))} {what}, the largest number that {who}."


def _source(one: Published) -> str:
    """Where a published figure stands, and what it is of."""
    document, found = one
    return f"published: {document.document}, {found.place}{f': {found.note}' if found.note else ''}"


def _table(title: str, said: str, columns: Sequence[Column], sets: Sequence[DataSet]) -> Beside:
    several = len({one.task for one in sets}) > 1
    lines = [Line(one.name, [get(one) for _, get in columns], f"task {one.task}" if several else "") for one in sets]
    return Beside(title, said, [head for head, _ in columns], lines)


def _artefacts(sets: Sequence[DataSet], published: Sequence[Published]) -> Beside:
    size = shared_rows(sets)

    def column(kind: str, key: str) -> Column:
        rows = "all rows" if key == ALL else f"{whole(int(key))} rows"
        return (rows, ALONE[kind]), lambda one: figure(one.artefacts(key).get(kind))

    columns = [column(kind, key) for key in (size.key, ALL) if key for kind in ALONE]
    said = (
        "Labels that a linear model gets right, in %, where it sees one sentence of the pair alone (out of fold, split "
        "by premise). Far above the most frequent label, the label can be told without reading the pair. Below it, "
        "rows that were held out together have left too few of their labels to learn from."
    )
    table = _table("The label from one sentence", said + at(size, "rows", sets), columns, sets)
    place = [head for head, _ in columns].index(column("hypothesis_only", ALL)[0])
    theirs = [
        Line(found.name, [figure(found.value) if n == place else NONE for n in range(len(columns))], _source(one))
        for one in published
        if (found := one[1]).measure == "hypothesis_only" and found.task in {own.task for own in sets}
    ]
    return Beside(table.title, table.said, table.heads, [*table.lines, *theirs])


def _diversity(sets: Sequence[DataSet], field: str) -> Beside:
    size = shared_words(sets, field)

    def column(measure: str, head: str, how: How) -> Column:
        return (f"{whole(int(size.key or 0))} words", head), lambda one: figure(
            one.words(field, size.key or "").get(measure), how
        )

    def whole_text(key: str, how: How) -> Callable[[DataSet], Figure]:
        return lambda one: figure(one.analysis["lexical"][field].get(key), how)

    def bleu(one: DataSet) -> Figure:
        return figure(one.self_bleu(field).get("value"), "three")

    samples = {one.self_bleu(field).get("sample") for one in sets}
    sample = "samples" if len(samples) > 1 else f"{samples.pop()} sentences"
    columns: list[Column] = [column(measure, *shown) for measure, shown in DIVERSITY.items()] if size.key else []
    columns += [
        ((sample, "self-BLEU"), bleu),
        (("all text", "MTLD"), whole_text("mtld", "one")),
        (("all text", "sentences"), whole_text("texts", "count")),
        (("all text", "words"), whole_text("tokens", "count")),
    ]
    said = "Each different sentence once. More is more varied, but for self-BLEU, where less is."
    title = f"Words of the {'premises' if field == 'premise' else 'hypotheses'}"
    return _table(title, said + at(size, "words", sets), columns, sets)


def _cosine(sets: Sequence[DataSet]) -> Beside:
    def column(field: str, label: str, name: str) -> Column:
        group = "premises" if field == "premise" else "hypotheses"
        return (group, name), lambda one: figure(one.cosine(field, label).get("cosine"), "three")

    columns = [column(field, label, name) for field in FIELDS for label, name in _labels(sets)]
    said = "Mean cosine of two sentences drawn from a set; exact, whatever the number of rows. Less is more varied."
    return _table("Likeness in meaning", said, columns, sets)


def _labels(sets: Sequence[DataSet]) -> list[tuple[str, str]]:
    """All labels together, and each of them where the sets share them and they are few."""
    labels = sets[0].labels
    every = len(labels) <= 3 and all(one.labels == labels for one in sets)
    return [(ALL, "all"), *((label, label) for label in labels if every)]


def _vocabulary(sets: Sequence[DataSet], published: Sequence[Published]) -> list[Beside]:
    tasks = {one.task for one in sets}
    found = [one for one in published if one[1].measure == "vocabulary" and one[1].task in tasks]
    if not found:
        return []
    ours = [
        Line(one.name, [figure(sum(one.analysis["lexical"][field]["vocabulary"] for field in FIELDS), "count")])
        for one in sets
    ]
    said = (
        "Sizes, not diversity. Published: words counted in each sentence and added up. Ours: different words of the "
        "premises and of the hypotheses, added. The definitions differ, and so do the numbers of rows."
    )
    theirs = [Line(one[1].name, [figure(one[1].value, "count")], _source(one)) for one in found]
    return [Beside("Vocabulary, beside published counts", said, [("", "words")], [*ours, *theirs])]


def _entities(sets: Sequence[DataSet]) -> Beside:
    types = dict.fromkeys(kind for one in sets for kind in one.entities())

    def column(kind: str) -> Column:
        return ("", kind), lambda one: figure(one.entities().get(kind, {}).get("per_1000"), "two")

    said = "Named entities for each 1 000 words. Types are those of OntoNotes."
    return _table("Entities", said, [column(kind) for kind in types], sets)


def _difficulty(sets: Sequence[DataSet]) -> Beside:
    def plain(key: str, how: How) -> Callable[[DataSet], Figure]:
        return lambda one: figure(one.difficulty[key], how)

    def inner(key: str, view: str, how: How) -> Callable[[DataSet], Figure]:
        return lambda one: figure(one.difficulty[key].get(view), how)

    columns: list[Column] = [
        (("", "rows"), plain("rows", "count")),
        (("bits", "entropy of the labels"), plain("entropy", "three")),
        *((("V-information, bits", name), inner("v_information", view, "three")) for view, name in USED.items()),
        *((("right, %", name), inner("accuracy", view, "percent")) for view, name in VIEWS.items()),
        (("to reread", "PVI below 0, %"), plain("negative", "percent")),
        (("to reread", "flagged"), lambda one: figure(one.difficulty["noise"]["flagged"], "count")),
    ]
    said = (
        "How much a small model can use: bits of the label that it learns to tell (V-information), out of fold. "
        "Lower is harder; the entropy is the most there is."
    )
    rows = {one.difficulty["rows"] for one in sets}
    unequal = " The sets differ in rows, so the figures do not compare." if len(rows) > 1 else ""
    return _table("Difficulty for a small model", said + unequal, columns, sets)


def _leakage(sets: Sequence[DataSet]) -> Beside:
    suites = dict.fromkeys(suite for one in sets for suite in one.analysis.get("leakage", {}))

    def column(suite: str, near: bool) -> Column:
        def get(one: DataSet) -> Figure:
            found = one.analysis.get("leakage", {}).get(suite)
            if found is None:
                return NONE
            return figure(found["embedding"] if near else sum(found[kind] for kind in LEAKS), "count")

        return (suite, "near in meaning" if near else "found"), get

    columns = [column(suite, near) for suite in suites for near in (False, True)]
    said = (
        "Rows of a set that stand in a suite: word by word, by 8-grams or nearly so (found), and those whose nearest "
        "row lies above the limit in embeddings (near in meaning: to be read, not proof)."
    )
    return _table("Rows that stand in a suite", said, columns, sets)
