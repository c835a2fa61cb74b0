"""The data sets: side by side, then a card for each with what its analyses found and which of its rows to read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nlilab.report import set_plots as draw
from nlilab.report import tables as t
from nlilab.report import words
from nlilab.report.facts import Facts
from nlilab.report.numbers import decimals, percent, tenth, three, whole
from nlilab.report.sets import FIELDS, VIEWS, DataSet, compact, side_by_side
from nlilab.report.vega import key

REGIONS = ("easy", "ambiguous", "hard")
CANDIDATES = ("PVI below 0, flagged", "PVI below 0", "flagged", "no")


def section(facts: Facts) -> t.Section:
    """All sets side by side at equal size, then each by itself; empty where none was analysed."""
    if not facts.sets:
        return t.Section("sets", "Data sets", [])
    lead = (
        "What the analyses say of the sets themselves, before anything is trained on them. Intervals are at 95 %, over "
        "groups of rows that share a premise."
    )
    said = [t.Said(f"{one.name}: {said.text}") for one in facts.sets.values() for said in words.of_set(one)]
    parts: list[t.Part | None] = [compact(facts.sets), t.Text(said, "list", where=t.MARKDOWN)]
    parts.append(t.say(lead, where=t.PAGE))
    for number, table in enumerate(side_by_side(facts.sets, facts.documents.values())):
        parts += [replace(table, where=t.PAGE), *([t.Plots(_alone(facts))] if not number else [])]
    for part in (part for one in facts.sets.values() for part in card(facts, one)):
        parts.append(replace(part, level=4) if isinstance(part, t.Table) else part)
    return t.Section("sets", "Data sets", t.drop(parts))


def _alone(facts: Facts) -> list[t.Plot]:
    """What the hypothesis alone gives away as rows grow, for each task, beside published figures."""
    every = [found for document in facts.documents.values() for found in document.analyses]
    out = []
    analysed = [one for one in facts.sets.values() if one.analysis]
    tasks = list(dict.fromkeys(one.task for one in analysed))
    for task in tasks:
        own = [one for one in analysed if one.task == task]
        theirs = [found for found in every if found.measure == "hypothesis_only" and found.task == task]
        dashed = "; ".join(f"{found.name}, {percent(found.value)} %" for found in theirs)
        below = "Line: right from the hypothesis alone, in %, with its interval. Dotted: the most frequent label."
        below += f" Dashed: {dashed}." if dashed else ""
        spec = draw.alone(own, [found.value for found in theirs])
        note = task if len(tasks) > 1 else ""
        out.append(t.Plot("Hypothesis alone, by rows", spec, note, below=below, key=key([one.name for one in own])))
    return out


def card(facts: Facts, one: DataSet) -> list[t.Part | None]:
    """One set: how it came about, what matters most, its gates, plots, words, entities, leaks and difficulty."""
    found = one.analysis
    lead = f"Task {one.task}. " if one.task else ""
    if found:
        labels = ", ".join(f"{label} {whole(found['labels'][label])}" for label in one.labels)
        origin = (
            f"Written by {', '.join(found['origin'])}."
            if found.get("origin")
            else "Not written by a generator of this run."
        )
        lead += (
            f"{whole(found['rows'])} rows over {whole(found['premises'])} premises, labels from "
            f"{found['label_column']}: {labels}. {origin}"
        )
    keys = [*key(one.labels), *([t.Said("■ all", "remaining")] if found else [])]
    return [
        t.Text([t.Said(one.name)], "h3", f"set-{one.slug}", t.PAGE),
        t.say(lead, where=t.PAGE),
        t.Text(words.of_set(one), "findings", where=t.PAGE),
        _gates(one),
        t.Text(keys, "key", where=t.PAGE),
        t.Plots(_plots(one)),
        *([_words(one)] if found else []),
        *(_entities(facts, one) if one.found("entities") else []),
        *(_leaks(one) if one.found("leakage") else []),
        *(_difficulty(one) if one.difficulty else []),
    ]


def _gates(one: DataSet) -> t.Table:
    def passed(gate: Mapping[str, Any]) -> t.Cell | str:
        if gate["limit"] is None:
            return "not gated"
        return "yes" if gate["passed"] else t.Cell("no", tone="worse", strong=True)

    lines = [t.row(*words.gate_words(g), passed(g)) for g in one.gates]
    columns = [*t.left("gate"), *t.heads("value", "limit"), *t.left("passed")]
    return t.Table(columns, lines, caption="Gates: what stops the pipeline before training.", where=t.PAGE)


def _plots(one: DataSet) -> list[t.Plot]:
    out = [
        t.Plot(
            f"Likeness of two {names}",
            draw.likeness(one, field),
            f"mean cosine {three(one.cosine(field)['cosine']['value'])}",
        )
        for field, names in FIELDS.items()
        if one.cosine(field)
    ]
    if one.found("artefacts", "overlap"):
        out.append(t.Plot("Words of the hypothesis that stand in the premise", draw.overlap(one)))
    if hard := one.difficulty:
        note = f"below 0: {percent(hard['negative'])} %"
        out.append(t.Plot("Pointwise V-information", draw.pvi(one), note))
        regions = hard["cartography"]["regions"]
        out.append(t.Plot("Data map", draw.cartography(one), ", ".join(f"{whole(regions[r])} {r}" for r in REGIONS)))
    return out


def _words(one: DataSet) -> t.Table:
    artefacts = one.analysis["artefacts"]
    lines = []
    for label in one.labels:
        tell = [
            f"{word['word']} {decimals(word['pmi'])}, {whole(word['count'])}, {percent(word['share'], 0)} %"
            for word in artefacts["pmi"].get(label, [])
        ]
        lengths = (tenth(artefacts["words"].get(label, {}).get(field)) for field in FIELDS)
        overlap = t.estimate(artefacts["overlap"].get(label, {}).get("mean"))
        lines.append(t.row(label, overlap, *lengths, "; ".join(tell) or "none often enough"))
    caption = (
        "Overlap: the share of the hypothesis' words that stand in the premise, mean, in %. Words that tell: those of "
        "hypotheses with the highest smoothed PMI (bits) with the label; beside each, in how many hypotheses it stands "
        "and how many of these in % have the label."
    )
    columns = [*t.left("label"), *t.heads("overlap", "premise, words", "hypothesis, words")]
    columns += [t.Column("words that tell the label", kind="wide")]
    return t.Table(columns, lines, "By label: words, overlap, and words that tell it", caption, where=t.PAGE)


def _entities(facts: Facts, one: DataSet) -> list[t.Part]:
    entities, types = one.analysis["entities"], one.entities()
    reference = facts.sets.get(entities["reference"] or "")
    reference = reference if reference and reference.analysis else None
    beside = (
        f"Beside them: {entities['reference']}. JSD: Jensen-Shannon divergence from its distribution, 0 (the same) to "
        "1 (nothing in common); none where either has fewer than five mentions. Chance: what two random halves of both "
        "would have."
    )
    beside = beside if entities["reference"] else "This set is the reference of the others."
    said = f"Found by {entities['backend']} in {whole(entities['tokens'])} words. {beside}"
    out: list[t.Part] = [t.say("Named entities", kind="h4", where=t.PAGE), t.say(said, kind="caption", where=t.PAGE)]
    if not types:
        return [*out, t.say("None found.", where=t.PAGE)]
    tick = "; ❘ reference" if reference else ""
    both = [t.Said("● this set", "hue0"), *([t.Said("◆ reference", "remaining")] if reference else [])]
    drawn = [t.Plot("For each 1\u202f000 words", draw.rates(one, reference), key=both)]
    if any(jsd.get("value") is not None for jsd in entities.get("jsd", {}).values()):
        chance = [t.Said("❘ chance", "introduced")]
        drawn.append(t.Plot("Distance from the reference, JSD", draw.distances(one), key=chance))
    drawn += [
        t.Plot(kind, draw.names(one, reference, kind), f"in % of its {whole(types[kind]['mentions'])} mentions{tick}")
        for kind in draw.drawn_types(one)
    ]
    lines = []
    for kind, found in types.items():
        jsd = entities.get("jsd", {}).get(kind, {})
        top = ", ".join(f"{name} {percent(share, 0)}" for name, share in found["top"][:10])
        chance_ = t.estimate(jsd.get("chance"), decimals)
        counts = (t.estimate(found[name], whole) for name in ("mentions", "distinct"))
        per = (t.estimate(found["per_1000"], decimals), t.estimate(found["top_10_share"]))
        lines.append(t.row(kind, *counts, *per, t.estimate(jsd or None, decimals), chance_, top))
    columns = t.left("type") + t.heads(
        "mentions", "different", "for each 1\u202f000 words", "ten most frequent, % of mentions"
    )
    columns += [*t.heads("JSD", "JSD by chance"), t.Column("most frequent, %", kind="wide")]
    title = f"Entity types of {one.name}"
    return [
        *out,
        t.Plots(drawn),
        t.Table(columns, lines, title, folded=True, slug=f"entities-{one.slug}", where=t.PAGE),
    ]


def _leaks(one: DataSet) -> list[t.Table]:
    leakage = one.analysis["leakage"]
    kinds = {"exact": "word by word", "grams": "8-grams", "near": "nearly", "embedding": "near in meaning"}
    lines = [t.row(suite, *(whole(found[kind]) for kind in kinds)) for suite, found in leakage.items()]
    near = [
        t.row(suite, t.estimate(pair["cosine"], three), pair["text"], pair["suite_text"])
        for suite, found in leakage.items()
        for pair in found["nearest"]
    ]
    columns = [
        *t.left("suite"),
        *t.heads("cosine"),
        t.Column("row", kind="wide"),
        t.Column("row of the suite", kind="wide"),
    ]
    title = f"The nearest pairs of {one.name} and a suite"
    return [
        t.Table([*t.left("suite"), *t.heads(*kinds.values())], lines, "Rows that stand in a suite", where=t.PAGE),
        t.Table(columns, near, title, folded=True, slug=f"near-{one.slug}", where=t.PAGE),
    ]


def _difficulty(one: DataSet) -> list[t.Table]:
    hard = one.difficulty
    asked = f" (of {whole(hard['asked'])} asked for)" if hard["rows"] < hard["asked"] else ""
    caption = (
        f"{hard['model']}, {whole(hard['steps'])} steps, {hard['folds']} folds, {whole(hard['rows'])} rows{asked}. "
        f"V-information in bits; the labels have {three(hard['entropy'])}."
    )
    bits, right, by_label = (hard[key] for key in ("v_information", "accuracy", "by_label"))
    lines = [
        t.row(name, t.estimate(bits.get(view), three), t.estimate(right.get(view))) for view, name in VIEWS.items()
    ]
    lines += [
        t.row(f"the pair, label {label}", t.estimate(by_label.get(label), three), None, rule=not n)
        for n, label in enumerate(one.labels)
    ]
    columns = [*t.left("the model sees"), *t.heads("V-information", "right, %")]
    return [t.Table(columns, lines, "Difficulty", caption, where=t.PAGE), _to_read(one)]


def _to_read(one: DataSet) -> t.Table:
    rows = sorted(one.difficulty["examples"], key=lambda found: found["pvi"])
    regions = bool(rows and rows[0].get("region"))
    several = len({found["generator"] for found in rows}) > 1
    columns = [*t.left("row"), *(t.Column(name, kind="wide") for name in ("premise", "hypothesis"))]
    columns += [t.Column("label", kind="name", choices=one.labels), t.Column("PVI", ascending=True)]
    columns += [
        *t.heads("confidence", "variability", "correctness"),
        t.Column("candidate", kind="name", choices=CANDIDATES),
    ]
    columns += [t.Column("region", kind="name", choices=REGIONS)] if regions else []
    columns += t.left("generator") if several else []
    lines = []
    for found in rows:
        why = [name for name, holds in (("PVI below 0", found["pvi"] < 0), ("flagged", found["flagged"])) if holds]
        numbers = (t.estimate(found[key], decimals) for key in ("pvi", "confidence", "variability", "correctness"))
        ends = [found["region"]] * regions + [found["generator"]] * several
        texts = (found["id"], found["premise"], found["hypothesis"], found["label"])
        lines.append(t.row(*texts, *numbers, ", ".join(why) or "no", *ends))
    caption = (
        "Candidate: a PVI below 0 (the pair tells the model less than nothing), or flagged by confident learning. It "
        "is a reason to reread the row, no proof."
    )
    title = f"{len(rows)} rows of {one.name} to read: the lowest PVI, what is flagged, and a random sample"
    return t.Table(columns, lines, title, caption, folded=True, slug=f"rows-{one.slug}", where=t.PAGE)
