"""What went in and how it was made: arms, curation, correction, costs, people's grades, trainings, suites, licences."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from nlilab.attack.recipes import NOBODY
from nlilab.report import plots, words
from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import decimals, dollars, percent, plain, tenth, three, whole
from nlilab.report.texts import base_cell, lines, say, table

GRADES = ("A", "B", "C", "D")
COUNTED = {"options": ("options", "questions"), "pick-one": ("candidates", "questions"), "parity": ("", "pairs")}


def data(facts: Facts) -> t.Section:
    """Training data: the balance of each arm, curation, correction."""
    changed = {source: own for source, found in facts.corrections.items() if (own := found.get("examples"))}
    keys = ("premise", "hypothesis", "constrained", "corrected", "explanation")
    correction: list[t.Part] = [
        lines("Correction", kind="h3", where="page"),
        say("correction", where="page"),
        t.Plots([plots.flips(source, found) for source, found in facts.corrections.items()]),
    ]
    parts: list[t.Part] = [
        table("arms", facts, (row for item in facts.arms.items() for row in _arm(*item))),
        table("curation", facts, (_curated(*item) for item in facts.curation.items())),
        *(correction if facts.corrections else []),
    ]
    for number, (source, own) in enumerate(changed.items(), 1):
        rows = ([one[key] for key in keys] for one in own)
        parts.append(table("corrected", facts, rows, source=source, number=number, count=len(own)))
    return t.Section("data", "Training data", parts)


def counts(found: Mapping[str, int]) -> str:
    """Names with their counts, one a line."""
    return "\n".join(f"{name} {whole(count)}" for name, count in found.items()) or "none"


def _arm(arm: str, found: Mapping[str, Any]) -> Iterator[list[t.Value]]:
    notes = [
        ("balanced" if found["balanced"] else "not balanced") if found["rows"] else "untuned (a control)",
        f"the {found['view']} alone (a control)" if found["view"] != "pair" else "",
        "with instructions" if found["instructions"] else "",
        counts(found["tasks"]) if len(found["tasks"]) > 1 else "",
    ]
    kind = f"{found['label_kind']}{', shuffled (a control)' if found['shuffled'] else ''}"
    used = t.Cell(kind, note="\n".join(filter(None, notes)))
    own = (arm, whole(found["rows"]), whole(found["premises"]), counts(found["sources"]), used)
    for label, count in found["labels"].items():
        lengths = (tenth(found[key][label]) for key in ("premise_words", "hypothesis_words"))
        yield [*own, label, whole(count), *lengths, percent(found["overlap"][label])]


def _curated(source: str, found: Mapping[str, Any]) -> list[t.Value]:
    rejected = sum(found["rejects"].values())
    wrong = "" if found["rows_in"] == found["rows_out"] + rejected else "does not add up"
    reasons = counts({reason.replace("_", " "): count for reason, count in found["rejects"].items()})
    rejects = t.Cell(whole(rejected), note=wrong, tone="worse" if wrong else "")
    return [source, whole(found["rows_in"]), whole(found["rows_out"]), rejects, reasons, counts(found["splits"])]


def cost(facts: Facts) -> t.Section:
    """What the written data cost, the cheapest accepted row first, those without such a price last."""
    found = [bill(name, card, facts.curation[name]["rows_out"]) for name, card in facts.corrections.items()]
    paid = sorted((one for one in found if one), key=lambda one: (one["row"] is None, one["row"] or 0.0, one["source"]))
    rows = (
        [
            *(one["source"], whole(one["written"]), whole(one["accepted"])),
            *(dollars(one[key]) for key in ("generate_usd", "rejected_usd", "judge_usd", "all")),
            t.Cell(dollars(one["row"]) if one["accepted"] else "none accepted", strong=True),
        ]
        for one in paid
    )
    return t.Section("cost", "Cost", [table("cost", facts, rows)])


def bill(source: str, card: Mapping[str, Any], accepted: int) -> dict[str, Any]:
    """What a source cost in all, and for each accepted row; None where a price is not known, or none was accepted."""
    if not (paid := card.get("cost")):
        return {}
    parts = [paid[key] for key in ("generate_usd", "rejected_usd", "judge_usd")]
    total = None if None in parts else sum(parts)
    each = total / accepted if accepted and total is not None else None
    return {"source": source, "written": card["rows"], "accepted": accepted, **paid, "all": total, "row": each}


def judgement(facts: Facts) -> t.Section:
    """What people say of sampled rows, by generator and by grader."""
    found = facts.agreement
    theirs = [
        (document.document, one)
        for document in facts.documents.values()
        for one in document.analyses
        if one.measure in ("kappa", "spearman") and found["graders"]
    ]
    parts: list[t.Part] = [
        lines(*words.judged_by_people(found)),
        table("graded", facts, (_graded(*item) for item in found["generators"].items())),
        table("graders' grades", facts, ([name, *_grades(one)] for name, one in found["graders"].items())),
        say("published agreement", kind="caption", said=theirs, names=dict.fromkeys(name for name, _ in theirs)),
    ]
    return t.Section("judgement", "Human judgement", parts)


def _graded(name: str, one: Mapping[str, Any]) -> list[t.Value]:
    before, after = one["before"], one["after"]
    right = (t.estimate(before["right"]), t.estimate(after["right"]), t.estimate(one["difference"], plain))
    kappas = (t.estimate(value, decimals) for value in (before["kappa"], after["kappa"], one.get("pairs")))
    return [name, *_grades(one), *right, *kappas]


def _grades(one: Mapping[str, Any]) -> list[str]:
    rows = one.get("rows", one.get("graded"))
    return [whole(rows), *(whole(one["grades"].get(grade, 0)) for grade in GRADES)]


def training(facts: Facts) -> t.Section:
    """How models were trained."""
    drawn = [plots.losses(facts, m) for m, seeds in facts.training.items() if any(r["losses"] for r in seeds.values())]
    rows = table("training", facts, (_trained(facts, *item) for item in facts.training.items()))
    return t.Section("training", "Training", [say("training budget", where="page"), t.Plots(drawn), rows])


def _trained(facts: Facts, model: str, seeds: Mapping[int, Any]) -> list[t.Value]:
    first = next(iter(seeds.values()))
    last = " · ".join(three(run["losses"][-1]["loss"]) for run in seeds.values()) if first["losses"] else None
    numbers = [whole(first[key]) for key in ("steps", "total_steps", "rows")]
    numbers += [whole(first.get("adversarial_rows"))] if facts.hardened else []
    epochs = f"{first['epochs']:.3f}".rstrip("0").rstrip(".")
    return [base_cell(facts, model), *numbers, epochs, last, whole(first["truncated"]), first["precision"]]


def suites(facts: Facts) -> t.Section:
    """What models are judged on, and whether labels may be permuted."""
    rows: list[list[t.Value]] = []
    warnings: list[t.Part] = []
    for suite, card in facts.suites.items():
        guard = facts.scores[suite]["guard"]
        if guard["warned"]:
            swapped = ", ".join(f"{ours} is {theirs}" for ours, theirs in guard["mapping"].items() if ours != theirs)
            warnings.append(say("guard", kind="warning", where="page", suite=suite, guard=guard, swapped=swapped))
        units = COUNTED.get(card["metric"], ("", ""))
        sizes = (t.Cell(whole(card[key]), note=unit) for key, unit in zip(("rows", "groups"), units, strict=True))
        ends = (counts(card["labels"]), "yes" if card["adversarial"] else "no", tenth(guard["z"]))
        rows.append([suite, card["task"], *sizes, *ends])
    return t.Section("suites", "Suites", [*warnings, table("suites", facts, rows)])


def end(facts: Facts) -> list[t.Section]:
    """Where it comes from, what it cannot show, and under which terms."""
    params = yaml.safe_dump(dict(facts.params), sort_keys=False, allow_unicode=True, width=100)
    return [
        t.Section(
            "provenance", "Provenance", [say("provenance", where="page"), lines(params, kind="code", where="page")]
        ),
        t.Section("limits", "What this cannot show", [lines(*limits(facts), kind="list")], "Limits"),
        t.Section("licences", "Licences", [table("licences", facts, _licences(facts))]),
    ]


def by_grammar(source: str) -> bool:
    """Whether a source task/generator was written by the embedded grammar, under whatever settings."""
    return source.rpartition("/")[2].startswith("grammar")


def limits(facts: Facts) -> list[str]:
    """What cannot be concluded: from so few seeds, these suites, this judge, these analyses."""
    run, judge, writer = facts.run, facts.attack.judge, facts.attack.judge_generator
    sets = facts.sets.values()
    models, tainted = ({pair[n] for pair in facts.contaminated} for n in (0, 1))
    found = {
        "grammars": [source for source in run.written() if by_grammar(source)],
        "templated": [suite for suite in run.suites if facts.cells(suite)],
        "small": [suite for suite in run.suites if facts.judged(suite) < 300],
        "warned": [suite for suite in run.suites if facts.scores[suite]["guard"]["warned"]],
        "cut": sum(seed["truncated"] for seeds in facts.training.values() for seed in seeds.values()),
        "judge": judge if writer == NOBODY else f"{judge} for the suites, {writer} for the training rows",
        "unlike_victims": len({facts.bases[victim] for victim in facts.attack.victims}) > 1,
        "contaminated": sorted(models),
        "clean": [suite for suite in sorted(tainted) if suite in run.suites],
        "gazetteer": any(str(one.find("entities", "backend")).startswith("gazetteer") for one in sets),
        "divergence": any(one.find("entities", "jsd") for one in sets),
        "leakage": any(one.find("leakage") for one in sets),
    }
    return [said.text for said in say("limits", facts, **found).lines]


def _licences(facts: Facts) -> Iterator[list[t.Value]]:
    for use, cards in (("suite", facts.suites), ("training data", facts.sources)):
        for name, card in cards.items():
            yield [name, use, card["licence"], card["source"]]
    theirs = ("the terms of the model's provider", "a language model, see conf/generators.yaml")
    for name in facts.run.written():
        ours = by_grammar(name)
        yield [name, "training data", *(("Apache-2.0", "the grammar of this project") if ours else theirs)]
    for base in dict.fromkeys(facts.bases.values()):
        yield [base, "what models start from", "that of its model card", ""]
