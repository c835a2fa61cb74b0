"""The data sets: side by side, then a card for each with what its analyses found and which of its rows to read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlilab.report import set_plots, sets, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import decimals, percent, tenth, three, whole
from nlilab.report.published import Analysed, Document
from nlilab.report.records import grouped
from nlilab.report.sets import ALL, FIELDS, DataSet, Measure, Size
from nlilab.report.texts import lines, say, table, tell
from nlilab.report.vega import key

CANDIDATES = ("PVI below 0", "flagged")
LEAKS = ("exact", "grams", "near", "embedding")


def section(facts: Facts) -> t.Section:
    """All sets side by side at equal size, then each by itself; empty where none was analysed."""
    said = [t.Said(f"{one.name}: {said.text}") for one in facts.sets.values() for said in words.of_set(one)]
    parts: list[t.Part] = [say("sets", where="page"), compact(facts), t.Text(said, "list", where="markdown")]
    for number, found in enumerate(side_by_side(facts)):
        parts += [found, *([] if number else [t.Plots(list(_alone(facts)))])]
    for part in (part for one in facts.sets.values() for part in card(facts, one)):
        parts.append(replace(part, level=4) if isinstance(part, t.Table) else part)
    return t.Section("sets", "Data sets", parts if facts.sets else [])


def compact(facts: Facts) -> t.Table:
    """One line for each set; its caption says at which sizes they are compared."""
    every = _analysed(facts)
    rows, mtld = sets.shared_rows(every).key, sets.shared_words(every, "hypothesis").key
    return _compared("sets, compact", facts, facts.sets.values(), sets.compact(rows, mtld), size=rows, words=mtld)


def _analysed(facts: Facts) -> list[DataSet]:
    return [one for one in facts.sets.values() if one.analysis]


def _compared(
    name: str, facts: Facts, found: Iterable[DataSet], columns: Sequence[Measure], theirs: Any = (), **values: Any
) -> t.Table:
    """A line for each set, and below them what documents say of others; none where no column is."""
    found = list(found)
    several = len({one.task for one in found}) > 1
    rows = [
        [t.Cell(one.name, note=f"task {one.task}" if several else ""), *(get(one) for _, get in columns)]
        for one in found
    ]
    return table(name, facts, [*rows, *theirs] if columns else [], [column for column, _ in columns], **values)


def side_by_side(facts: Facts) -> list[t.Table]:
    """The tables that have something of these sets."""
    found = _analysed(facts)
    hard = [one for one in facts.sets.values() if one.difficulty]
    out = [*_of_analyses(facts, found)] if found else []
    rows = {one.difficulty["rows"] for one in hard}
    out.append(_compared("sets, difficulty", facts, hard, sets.DIFFICULTY, unequal=len(rows) > 1))
    return [one for one in out if one.rows]


def _of_analyses(facts: Facts, found: Sequence[DataSet]) -> Iterator[t.Table]:
    size = sets.shared_rows(found)
    keys = {key: "all rows" if key == ALL else f"{whole(int(key))} rows" for key in (size.key, ALL) if key}
    columns = [one for key, group in keys.items() for one in sets.alone(key, group)]
    place = len(columns) - 2  # of the hypothesis alone, over all rows
    theirs = [
        [_theirs(*one), *(t.estimate(one[1].value) if n == place else None for n in range(len(columns)))]
        for one in _published(facts, "hypothesis_only", found)
    ]
    yield _compared("sets, alone", facts, found, columns, theirs, at=_at(size, "rows", found))
    for field, name in FIELDS.items():
        words_ = sets.shared_words(found, field)
        samples = {one.found("lexical", field, "self_bleu").get("sample") for one in found}
        sample = "samples" if len(samples) > 1 else f"{samples.pop()} sentences"
        columns = sets.diversity(field, words_.key, sample)
        yield _compared("sets, words", facts, found, columns, at=_at(words_, "words", found), texts=name)
    # All labels together, and each of them where the sets share them and they are few.
    labels = found[0].labels
    few = len(labels) <= 3 and all(one.labels == labels for one in found)
    yield _compared("sets, likeness", facts, found, sets.cosines(labels if few else ()))
    counts = [[_theirs(*one), t.estimate(one[1].value, whole)] for one in _published(facts, "vocabulary", found)]
    own: Measure = (t.Column("words"), _vocabulary)
    yield _compared("sets, vocabulary", facts, found, [own] if counts else [], counts)
    kinds = dict.fromkeys(kind for one in found for kind in one.entities())
    rates = [sets.measure(kind, decimals, f"entities/types/{kind}/per_1000") for kind in kinds]
    yield _compared("sets, entities", facts, found, rates)


def _vocabulary(one: DataSet) -> t.Cell:
    return t.estimate(sum(one.analysis["lexical"][field]["vocabulary"] for field in FIELDS), whole)


def _at(size: Size, what: str, found: Sequence[DataSet]) -> str:
    """At which size sets are compared, in words."""
    number = whole(int(size.key)) if size.key else ""
    return tell("sets, size", what=what, number=number, every=size.every) if len(found) > 1 else ""


def _published(facts: Facts, kind: str, found: Iterable[DataSet]) -> list[tuple[Document, Analysed]]:
    """Published figures of sets of the same tasks."""
    tasks = {one.task for one in found}
    every = ((document, one) for document in facts.documents.values() for one in document.analyses)
    return [(document, one) for document, one in every if one.measure == kind and one.task in tasks]


def _theirs(document: Document, found: Analysed) -> t.Cell:
    """A published set, with where it stands and what it is of."""
    note = f"published: {document.document}, {found.place}{f': {found.note}' if found.note else ''}"
    return t.Cell(found.name, note=note)


def _alone(facts: Facts) -> Iterator[t.Plot]:
    """What the hypothesis alone gives away as rows grow, for each task, beside published figures."""
    tasks = grouped(_analysed(facts), lambda one: one.task)
    for task, own in tasks.items():
        theirs = [one for _, one in _published(facts, "hypothesis_only", own)]
        said = tell("hypothesis alone drawn", theirs=theirs)
        yield replace(set_plots.alone(own, theirs), note=task if len(tasks) > 1 else "", below=said)


def card(facts: Facts, one: DataSet) -> list[t.Part]:
    """One set: how it came about, what matters most, its gates, plots, words, entities, leaks and difficulty."""
    keys = [*key(one.labels), *([t.Said("■ all", "remaining")] if one.analysis else [])]
    hard = one.difficulty
    return [
        lines(one.name, kind="h3", slug=f"set-{one.slug}", where="page"),
        say("a set", where="page", one=one),
        t.Text(words.of_set(one), "findings", where="page"),
        table("gates", facts, ([*words.gate_words(gate), _passed(gate)] for gate in one.gates)),
        t.Text(keys, "key", where="page"),
        t.Plots(list(set_plots.of_set(one))),
        table("labels' words", facts, (_words(one, label) for label in (one.labels if one.analysis else ()))),
        *(_entities(facts, one) if one.found("entities") else ()),
        table("leaks", facts, ([s, *(whole(n[k]) for k in LEAKS)] for s, n in one.found("leakage").items())),
        table("near pairs", facts, _near(one), one=one),
        *([say("difficulty of labels", kind="caption", where="page", hard=hard), _to_read(facts, one)] if hard else ()),
    ]


def _passed(gate: Mapping[str, Any]) -> t.Cell | str:
    if gate["limit"] is None:
        return "not gated"
    return "yes" if gate["passed"] else t.Cell("no", tone="worse", strong=True)


def _words(one: DataSet, label: str) -> list[t.Value]:
    artefacts = one.analysis["artefacts"]
    tell_ = (
        f"{word['word']} {decimals(word['pmi'])}, {whole(word['count'])}, {percent(word['share'], 0)} %"
        for word in artefacts["pmi"].get(label, [])
    )
    lengths = (tenth(artefacts["words"].get(label, {}).get(field)) for field in FIELDS)
    overlap = t.estimate(artefacts["overlap"].get(label, {}).get("mean"))
    return [label, overlap, *lengths, "; ".join(tell_) or "none often enough"]


def _entities(facts: Facts, one: DataSet) -> Iterator[t.Part]:
    found, types = one.analysis["entities"], one.entities()
    reference = facts.sets.get(found["reference"] or "")
    yield lines("Named entities", kind="h4", where="page")
    yield say("entities", kind="caption", where="page", found=found)
    yield t.Plots(list(set_plots.of_entities(one, reference if reference and reference.analysis else None)))
    rows = []
    for kind, own in types.items():
        jsd = found.get("jsd", {}).get(kind, {})
        top = ", ".join(f"{name} {percent(share, 0)}" for name, share in own["top"][:10])
        counts = (t.estimate(own[name], whole) for name in ("mentions", "distinct"))
        per = (t.estimate(own["per_1000"], decimals), t.estimate(own["top_10_share"]))
        rows.append([kind, *counts, *per, t.estimate(jsd, decimals), t.estimate(jsd.get("chance"), decimals), top])
    yield table("entity types", facts, rows, one=one)


def _near(one: DataSet) -> Iterator[list[t.Value]]:
    for suite, found in one.found("leakage").items():
        for pair in found["nearest"]:
            yield [suite, t.estimate(pair["cosine"], three), pair["text"], pair["suite_text"]]


def _to_read(facts: Facts, one: DataSet) -> t.Table:
    rows = sorted(one.difficulty["examples"], key=lambda found: found["pvi"])
    regions = bool(rows and rows[0].get("region"))
    several = len({found["generator"] for found in rows}) > 1
    held = []
    for found in rows:
        why = [name for name, holds in zip(CANDIDATES, (found["pvi"] < 0, found["flagged"]), strict=True) if holds]
        numbers = (t.estimate(found[key], decimals) for key in ("pvi", "confidence", "variability", "correctness"))
        ends = [found["region"]] * regions + [found["generator"]] * several
        texts = (found[key] for key in ("id", "premise", "hypothesis", "label"))
        held.append([*texts, *numbers, ", ".join(why) or "no", *ends])
    return table("rows to read", facts, held, one=one, count=len(rows), regions=regions, several=several)
