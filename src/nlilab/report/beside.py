"""Published figures and ours in one table: other models, data and rows, so they are set beside each other."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from nlilab.report import tables as t
from nlilab.report.facts import Facts
from nlilab.report.numbers import decimals, percent
from nlilab.report.published import TASK, Document, Figure, Row, Table, task_of
from nlilab.report.records import Attack, Bounds, Stand, between, grouped, rank, reach, spread
from nlilab.report.texts import lines, say, table

STANDS = "[task]"  # in the name of our line, where its models are several
MEASURES = {"accuracy": "accuracy", "rouge_l": "Rouge-L", "precision": "precision", "recall": "recall", "f1": "F1"}
OF_A_LABEL = ("precision", "recall", "f1")  # of the first label: true, vulnerable, entailment
UNITS = {"accuracy": "accuracy{}, %", "loss": "loss{}, nats"}

# A share of ours, with its model, its suite, and the seeds' values.
Found = tuple[str, str, Bounds, list[float]]


def section(facts: Facts) -> t.Section:
    """The documents with those of their tables in which a cell of ours stands, and what is wrong with them."""
    parts: list[t.Part] = []
    for document in facts.documents.values():
        if found := [both for one in document.tables if (both := beside(facts, one))]:
            known = f"{len(document.defects)} known defects of these published figures: see the report"
            parts += [
                lines(document.document, kind="h3"),
                lines(f"beside {document.document}, in %:", where="terminal"),
                lines(f"From {document.source}. Judged on {document.data}."),
                *(shown for both in found for shown in both),
                *defects(document),
                lines(known if document.defects else "", where="terminal"),
            ]
    lead = [say("published tables", facts)] if parts else []
    return t.Section("published", "Beside published tables", [*lead, *parts], "Published tables")


def defects(document: Document) -> list[t.Text]:
    """What is known to be wrong with a document's figures."""
    said = lines(*(f"{defect.place}: {defect.text}" for defect in document.defects), kind="list")
    return [lines("Known defects of these published figures:"), said] if said.lines else []


def beside(facts: Facts, published: Table) -> tuple[t.Table, t.Table] | None:
    """A published table, and the part of it in which something of ours stands, for narrow places; or None.

    Under each kind of published model stand ours of that kind.
    """
    columns = [task_of(column) for column in published.columns]
    suites: dict[str, list[str]] = {task: [] for task, _ in columns}
    kinds = grouped(published.rows, lambda one: tuple(one.ours))
    groups = [list(_group(facts, published, patterns, rows, suites)) for patterns, rows in kinds.items()]
    groups = [[replace(line, rule=not number) for number, line in enumerate(group)] for group in groups]
    ours = [line for group in groups for line in group if line.ours]
    width = 1 if published.mean else len(columns)
    told = [0, *(n for n in range(1, width + 1) if any(line.cells[n] != t.Cell() for line in ours))]
    if len(told) == 1:
        return None
    heads = t.heads(*([f"mean of {len(columns)} tasks"] if published.mean else _heads(columns)))
    judged = [suite for found in suites.values() for suite in dict.fromkeys(found)]
    several = any(STANDS in line.cells[0].text for line in ours)
    rows = [line for group in groups for line in group]
    full = table("published table", facts, rows, heads, table=published, judged=judged, several=several)
    held = [line for group in groups if any(line.ours for line in group) for line in group]
    short = [replace(line, cells=[line.cells[n] for n in told]) for line in held]
    return full, replace(full, columns=[full.columns[n] for n in told], rows=short, where="terminal")


def _group(
    facts: Facts, published: Table, patterns: Sequence[str], rows: Sequence[Row], suites: dict[str, list[str]]
) -> Iterator[t.Row]:
    """One kind of published models, and ours that are of the same kind; notes where ours were judged."""
    valued = [(one, one.values if one.mean is None else [one.mean]) for one in rows]
    for one, values in valued:
        if values:
            cells = (None if value is None else t.Cell(percent(value, 2), number=value) for value in values)
            yield t.row(t.Cell(one.name, note=one.note), *cells)
    columns = [task_of(column) for column in published.columns]
    for pattern in patterns:
        found = [_find(facts, pattern.replace(TASK, task), task, measure) for task, measure in columns]
        if held := [one for one in found if one]:
            models = list(dict.fromkeys(model for model, *_ in held))
            name = models[0] if len(models) == 1 else pattern.replace(TASK, STANDS)
            own = [_mean(facts, held, len(columns))] if published.mean else [one and _cell(facts, one) for one in found]
            # Under no published row, our line says itself what it is.
            note = "" if any(values for _, values in valued) else rows[0].name
            yield t.row(t.Cell(f"ours: {name}", note=note), *own, ours=True)
        for _, suite, *_ in held:
            suites[facts.task_of[suite]].append(suite)


def _heads(columns: list[tuple[str, str]]) -> list[str]:
    """Tasks and measures; accuracy is said only where a task has another column."""
    tasks = [task for task, _ in columns]
    return [
        task if measure == "accuracy" and tasks.count(task) == 1 else f"{task} {MEASURES[measure]}"
        for task, measure in columns
    ]


def _find(facts: Facts, model: str, task: str, measure: str) -> Found | None:
    """A model on the first suite of a task that it reads, or None where there is none (or no such measure).

    Accuracy lies in its interval, all else in the range of the seeds.
    """
    suite = next((s for s, own in facts.task_of.items() if own == task and model in facts.accuracy[s]), None)
    if suite is None:
        return None
    if measure == "accuracy":
        found = facts.accuracy[suite][model]
        return model, suite, Bounds(value=found["mean"], low=found["low"], high=found["high"]), found["seeds"]
    seeds = [_scored(scored, measure) for scored in facts.scores[suite]["models"][model].values()]
    held = [seed for seed in seeds if seed is not None]
    return (model, suite, spread(held), held) if held else None


def _scored(scored: dict[str, Any], measure: str) -> float | None:
    label = scored["classes"][min(scored["classes"], key=rank)]
    # Of no alarms none can be right.
    silent = measure == "precision" and not label["predicted"]
    found: float | None = None if silent else reach(label if measure in OF_A_LABEL else scored, measure)
    return found


def _cell(facts: Facts, found: Found) -> t.Cell:
    model, suite, bounds, _ = found
    return t.estimate(bounds, strong=True, tainted=(model, suite) in facts.contaminated)


def _mean(facts: Facts, found: Sequence[Found], columns: int) -> t.Cell:
    """The mean over the tasks that are there, from the lowest to the highest seed."""
    seeds = [fmean(part) for part in zip(*(own for *_, own in found), strict=True)]
    bounds = Bounds(value=fmean(own.value for _, _, own, _ in found), low=min(seeds), high=max(seeds))
    over = "" if len(found) == columns else f"over {len(found)} of {columns} tasks"
    tainted = any((model, suite) in facts.contaminated for model, suite, *_ in found)
    return t.estimate(bounds, strong=True, note=over, tainted=tainted)


def under_attack(facts: Facts, document: Document) -> t.Table:
    """The document's figures in its own order, with those of our models that were hardened against its attack."""
    ours = [
        (attack, model, stand)
        for attack in facts.attacks
        if attack.recipe == document.recipe
        for model, stand in attack.stands.items()
        if stand.base and facts.hardened[model].recipe == document.recipe
    ]
    rows: list[list[t.Value]] = []
    for figure in document.figures:
        name = f"{figure.model}: {UNITS[figure.measure].format(' under attack' if figure.rows == 'attacked' else '')}"
        tainted = figure.note == "contaminated"
        text = "not reported" if figure.value is None else _unit(figure, figure.value)
        theirs = t.Cell(text, note="" if tainted else figure.note, tainted=tainted)
        rows.append([name, theirs, figure.section, *(_figure(facts, figure, *one) for one in ours)])
    for found in document.shares:
        name = f"{found.slice}: fixed / introduced / remaining, % of their sum"
        said = " / ".join(map(percent, (found.fixed, found.introduced, found.remaining)))
        rows.append([name, said, found.section, *(_share(facts, found.slice, *one) for one in ours)])
    columns = [t.Column(model, note=attack.suite) for attack, model, _ in ours]
    return table("published under attack", facts, rows, columns)


def _figure(facts: Facts, figure: Figure, attack: Attack, hardened: str, stand: Stand) -> t.Cell | None:
    model = hardened if figure.model == "hardened" else stand.base
    after, value = figure.rows == "attacked", None
    if figure.measure == "loss":
        value = facts.score(attack, "after" if after else "before", model, "loss")
    else:
        value = (attack.stands[model].attacked if after else attack.stands[model].clean).value
    return None if value is None else t.Cell(_unit(figure, value), tainted=facts.tainted(model, attack.place))


def _share(facts: Facts, name: str, attack: Attack, model: str, stand: Stand) -> t.Cell | None:
    pair = between(facts.pairs, attack.suite, model, stand.base)
    change = pair.slices[name].changes if pair and name in pair.slices else None
    return t.Cell(change.shares, tainted=facts.tainted(model, attack.place)) if change and change.shares else None


def _unit(figure: Figure, value: float) -> str:
    return percent(value, 2) if figure.measure == "accuracy" else decimals(value, 4)
