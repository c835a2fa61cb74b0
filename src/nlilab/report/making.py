"""What went in and how it was made: arms, curation, correction, costs, people's grades, trainings, suites, licences."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from nlilab.report import plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.limits import by_grammar, limits
from nlilab.report.naming import base_cell
from nlilab.report.numbers import decimals, dollars, percent, plain, tenth, three, whole

GRADES = ("A", "B", "C", "D")
COUNTED = {"options": ("options", "questions"), "pick-one": ("candidates", "questions"), "parity": ("", "pairs")}


def data(facts: Facts) -> t.Section:
    """Training data: the balance of each arm, curation, correction, human sets."""
    return t.Section(
        "data", "Training data", t.drop([_arms(facts), _curation(facts), *_correction(facts), _sources(facts)])
    )


def counts(found: Mapping[str, int]) -> str:
    """Names with their counts, one a line."""
    return "\n".join(f"{name} {whole(count)}" for name, count in found.items()) or "none"


def _arms(facts: Facts) -> t.Table:
    lines = []
    for arm, found in facts.arms.items():
        kind = f"{found['label_kind']}{', shuffled (a control)' if found['shuffled'] else ''}"
        balance = "balanced" if found["balanced"] else "not balanced"
        notes = [
            balance if found["rows"] else "untuned (a control)",
            f"the {found['view']} alone (a control)" if found["view"] != "pair" else "",
            "with instructions" if found["instructions"] else "",
            counts(found["tasks"]) if len(found["tasks"]) > 1 else "",
        ]
        used = t.Cell(kind, note="\n".join(note for note in notes if note))
        own = (arm, whole(found["rows"]), whole(found["premises"]), counts(found["sources"]), used)
        for label, count in found["labels"].items():
            lengths = (tenth(found[key][label]) for key in ("premise_words", "hypothesis_words"))
            lines.append(t.row(*own, label, whole(count), *lengths, percent(found["overlap"][label])))
    columns = [
        *t.left("arm"),
        *t.heads("rows", "premises"),
        *t.left("sources", "labels used", "label"),
        t.Column("of them"),
    ]
    caption = (
        "Balance of each arm. Words and overlap are means by label: where they differ much, a label can be guessed "
        "without understanding. Overlap: the share of the hypothesis' words that stand in the premise."
    )
    columns += t.heads("premise, words", "hypothesis, words", "overlap, %")
    return t.Table(columns, lines, caption=caption, merge=5, where=t.PAGE)


def _curation(facts: Facts) -> t.Table:
    lines = []
    for source, found in facts.curation.items():
        rejected = sum(found["rejects"].values())
        wrong = "" if found["rows_in"] == found["rows_out"] + rejected else "does not add up"
        reasons = counts({reason.replace("_", " "): count for reason, count in found["rejects"].items()})
        rejects = t.Cell(whole(rejected), note=wrong, tone="worse" if wrong else "")
        rows = (whole(found["rows_in"]), whole(found["rows_out"]))
        lines.append(t.row(source, *rows, rejects, reasons, counts(found["splits"])))
    columns = [*t.left("source"), *t.heads("rows in", "rows out", "rejects"), t.Column("by reason", kind="text")]
    return t.Table([*columns, *t.left("kept as")], lines, "Curation", "Rows in = rows out + rejects.", where=t.PAGE)


def _correction(facts: Facts) -> list[t.Part]:
    if not facts.corrections:
        return []
    lead = "Rows: the label that was asked for. Columns: the label after correction. Shade: share of the row."
    drawn = []
    for source, found in facts.corrections.items():
        verdicts = found["verdicts"]
        note = (
            f"{whole(found['rows'])} rows, {percent(found['flip_rate'])} % relabelled, {whole(verdicts['dropped'])} "
            f"dropped, {whole(verdicts['unjudged'])} not judged"
        )
        drawn.append(t.Plot(source, plots.flips(found["matrix"]), note))
    tables = [_changed(n + 1, *item) for n, item in enumerate(facts.corrections.items()) if item[1].get("examples")]
    return [t.say("Correction", kind="h3", where=t.PAGE), t.say(lead, where=t.PAGE), t.Plots(drawn), *tables]


def _changed(number: int, source: str, found: Mapping[str, Any]) -> t.Table:
    labels = list(found["matrix"])
    columns = [t.Column(name, kind="wide") for name in ("premise", "hypothesis")]
    columns += [t.Column("asked for", kind="name", choices=labels)]
    columns += [
        t.Column("corrected to", kind="name", choices=[*labels, "dropped"]),
        t.Column("explanation", kind="wide"),
    ]
    keys = ("premise", "hypothesis", "constrained", "corrected", "explanation")
    lines = [t.row(*(one[key] for key in keys)) for one in found["examples"]]
    title = f"{source}: {len(lines)} rows whose label was changed or dropped, and why"
    return t.Table(columns, lines, title, folded=True, slug=f"corrected-{number}", where=t.PAGE)


def _sources(facts: Facts) -> t.Table:
    lines = [t.row(name, whole(card["rows"]), counts(card["labels"])) for name, card in facts.sources.items()]
    return t.Table([*t.left("set"), *t.heads("rows"), *t.left("labels")], lines, "Human training sets", where=t.PAGE)


def cost(facts: Facts) -> t.Section:
    """What the written data cost, the cheapest accepted row first, those without such a price last."""
    found = [
        bill(name, card, facts.curation[name]["rows_out"])
        for name, card in facts.corrections.items()
        if card.get("cost")
    ]
    found.sort(key=lambda one: (one["row"] is None, one["row"] or 0.0, one["source"]))
    lines = [
        t.row(
            *(one["source"], whole(one["written"]), whole(one["accepted"])),
            *(dollars(one[key]) for key in ("generate_usd", "rejected_usd", "judge_usd", "all")),
            t.Cell(dollars(one["row"]) if one["accepted"] else "none accepted", strong=True),
        )
        for one in found
    ]
    caption = (
        "In US dollars, by the prices of conf/prices.yaml. Rejected: answers that were paid for, and that no row came "
        "of. Accepted: rows that curation let through."
    )
    columns = t.left("source") + t.heads("rows written", "accepted", "generating", "rejected", "judging", "in all")
    table = t.Table([*columns, *t.heads("for each accepted row")], lines, caption=caption, where=t.PAGE)
    return t.Section("cost", "Cost", t.drop([table]))


def bill(source: str, card: Mapping[str, Any], accepted: int) -> dict[str, Any]:
    """What a source cost in all, and for each accepted row; None where a price is not known, or none was accepted."""
    paid = card["cost"]
    parts = [paid[key] for key in ("generate_usd", "rejected_usd", "judge_usd")]
    total = None if None in parts else sum(parts)
    each = total / accepted if accepted and total is not None else None
    return {"source": source, "written": card["rows"], "accepted": accepted, **paid, "all": total, "row": each}


def judgement(facts: Facts) -> t.Section:
    """What people say of sampled rows, by generator and by grader."""
    found = facts.agreement
    lines = []
    for name, one in found["generators"].items():
        before, after = one["before"], one["after"]
        right = (t.estimate(before["right"]), t.estimate(after["right"]), t.estimate(one["difference"], plain))
        kappas = (t.estimate(value, decimals) for value in (before["kappa"], after["kappa"], one.get("pairs")))
        lines.append(t.row(name, whole(one["rows"]), *_grades(one), *right, *kappas))
    columns = [*t.left("generator"), *t.heads("rows", *GRADES, "right before correction", "right after", "difference")]
    columns += t.heads("kappa before", "kappa after", "kappa of the graders on grades")
    caption = (
        "The share of graded rows whose label is the one that people mark, in %, and Cohen's kappa with them; "
        "difference in points."
    )
    graders = [t.row(name, whole(one["graded"]), *_grades(one)) for name, one in found["graders"].items()]
    theirs = [
        (document.document, one)
        for document in facts.documents.values()
        for one in document.analyses
        if one.measure in ("kappa", "spearman")
    ]
    said = "; ".join(f"{one.name}: {one.measure} {decimals(one.value)}" for _, one in theirs)
    names = "; ".join(dict.fromkeys(name for name, _ in theirs))
    published = f"Published agreement, on other data and by other people: {said} ({names})."
    parts: list[t.Part | None] = [
        t.say(*words.judged_by_people(found)),
        t.Table(columns, lines, caption=caption),
        t.Table(
            [*t.left("grader"), *t.heads("rows", *GRADES)],
            graders,
            caption="Grades by grader: A is excellent, D is poor.",
        ),
        t.say(published, kind="caption") if theirs and found["graders"] else None,
    ]
    return t.Section("judgement", "Human judgement", t.drop(parts))


def _grades(one: Mapping[str, Any]) -> list[str]:
    return [whole(one["grades"].get(grade, 0)) for grade in GRADES]


def training(facts: Facts) -> t.Section:
    """How models were trained."""
    drawn, lines = [], []
    for model, seeds in facts.training.items():
        first = next(iter(seeds.values()))
        if any(run["losses"] for run in seeds.values()):
            drawn.append(t.Plot(model, plots.losses(facts, model), words.counted(len(seeds), "seed")))
        last = " · ".join(three(run["losses"][-1]["loss"]) for run in seeds.values()) if first["losses"] else None
        numbers = [whole(first[key]) for key in ("steps", "total_steps", "rows")]
        numbers += [whole(first.get("adversarial_rows"))] if facts.hardened else []
        epochs = f"{first['epochs']:.3f}".rstrip("0").rstrip(".")
        lines.append(
            t.row(base_cell(facts, model), *numbers, epochs, last, whole(first["truncated"]), first["precision"])
        )
    names = ["steps", "steps in all", "rows", *(["of them adversarial"] if facts.hardened else []), "epochs"]
    columns = [
        *t.left("model"),
        *t.heads(*names, "last loss by seed, nats", "pairs cut at the token limit", "precision"),
    ]
    lead = "The budget of a training is optimiser steps; epochs follow from the arm's rows."
    table = t.Table(columns, lines, where=t.PAGE)
    return t.Section("training", "Training", t.drop([t.say(lead, where=t.PAGE), t.Plots(drawn), table]))


def suites(facts: Facts) -> t.Section:
    """What models are judged on, and whether labels may be permuted."""
    warnings, lines = [], []
    for suite, card in facts.suites.items():
        guard = facts.scores[suite]["guard"]
        if guard["warned"]:
            swapped = ", ".join(f"{ours} is {theirs}" for ours, theirs in guard["mapping"].items() if ours != theirs)
            warnings.append(
                f"Warning. {suite}: its labels look permuted. The models reach {percent(guard['declared'])} % balanced "
                f"accuracy with the labels as declared, but {percent(guard['permuted'])} % if {swapped} (z = "
                f"{tenth(guard['z'])}). The suite is marked adversarial, so a sound model may be wrong by system."
            )
        rows, groups = COUNTED.get(card["metric"], ("", ""))
        sizes = (t.Cell(whole(card["rows"]), note=rows), t.Cell(whole(card["groups"]), note=groups))
        ends = (counts(card["labels"]), "yes" if card["adversarial"] else "no", tenth(guard["z"]))
        lines.append(t.row(suite, card["task"], *sizes, *ends))
    columns = [
        *t.left("suite", "task"),
        *t.heads("rows", "groups"),
        *t.left("labels", "adversarial"),
        *t.heads("guard, z"),
    ]
    caption = (
        "Guard: how much better, in standard errors, a permuted reading of the labels would fit the models; high "
        "values would mean a wrong label map."
    )
    parts: list[t.Part | None] = [
        t.say(*warnings, kind="warning", where=t.PAGE),
        t.Table(columns, lines, caption=caption, where=t.PAGE),
    ]
    return t.Section("suites", "Suites", t.drop(parts))


def end(facts: Facts) -> list[t.Section]:
    """Where it comes from, what it cannot show, and under which terms."""
    lead = (
        "The parameters behind every figure above. With the same parameters, data and machine the same page comes out, "
        "byte for byte."
    )
    params = yaml.safe_dump(dict(facts.params), sort_keys=False, allow_unicode=True, width=100)
    shown: list[t.Part] = [t.say(lead, where=t.PAGE), t.say(params, kind="code", where=t.PAGE)]
    return [
        t.Section("provenance", "Provenance", shown),
        t.Section("limits", "What this cannot show", [t.say(*limits(facts), kind="list")], "Limits"),
        t.Section("licences", "Licences", [t.Table(*_licences(facts), where=t.PAGE)]),
    ]


def _licences(facts: Facts) -> tuple[list[t.Column], list[t.Row], str, str]:
    used: Iterable[tuple[str, Mapping[str, Any]]] = (("suite", facts.suites), ("training data", facts.sources))
    lines = [t.row(n, use, card["licence"], card["source"]) for use, cards in used for n, card in cards.items()]
    terms = {
        True: ("Apache-2.0", "the grammar of this project"),
        False: ("the terms of the model's provider", "a language model, see conf/generators.yaml"),
    }
    lines += [t.row(name, "training data", *terms[by_grammar(name)]) for name in facts.run.written()]
    starts = dict.fromkeys(facts.bases.values())
    lines += [t.row(base, "what models start from", "that of its model card", "") for base in starts]
    columns = [*t.left("what", "used as"), t.Column("licence", kind="text"), t.Column("source", kind="wide")]
    return columns, lines, "", "Each set keeps its own terms; what mixes several is bound by all of them."
