"""Published figures and ours in one table: other models, data and rows, so they are set beside each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nlilab.report.facts import Facts
from nlilab.report.naming import bases
from nlilab.report.numbers import confidence_words, decimals, percent
from nlilab.report.published import TASK, Document, Figure, Row, Shares, Table, task_of
from nlilab.report.records import Attack, Bounds, Stand, between, rank, spread
from nlilab.report.tables import TERMINAL, Cell, Column, Section, Text, drop, estimate, left, row, say
from nlilab.report.tables import Row as Line
from nlilab.report.tables import Table as Shown

STANDS = "[task]"  # in the name of our line, where its models are several
MEASURES = {"accuracy": "accuracy", "rouge_l": "Rouge-L", "precision": "precision", "recall": "recall", "f1": "F1"}
OF_A_LABEL = ("precision", "recall", "f1")  # of the first label: true, vulnerable, entailment
UNITS = {"accuracy": "accuracy{}, %", "loss": "loss{}, nats"}


@dataclass(frozen=True)
class Value:
    """A share of ours: accuracy lies in its interval, all else in the range of the seeds."""

    model: str
    suite: str
    bounds: Bounds
    seeds: list[float]
    tainted: bool


def section(facts: Facts) -> Section:
    """The documents with those of their tables in which a cell of ours stands, and what is wrong with them."""
    parts: list[Text | Shown | None] = []
    for document in facts.documents.values():
        found = [both for table in document.tables if (both := beside(facts, table))]
        if not found:
            continue
        known = len(document.defects)
        parts += [
            Text(say(document.document).lines, "h3"),
            say(f"beside {document.document}, in %:", where=TERMINAL),
            say(f"From {document.source}. Judged on {document.data}."),
            *(table for both in found for table in both),
            *defects(document),
            say(f"{known} known defects of these published figures: see the report" if known else "", where=TERMINAL),
        ]
    lead = (
        "In %. Each group of published models, and under it ours of the same kind: other models, data and rows, so "
        f"they are set beside each other, not compared. Ours: accuracy with its {confidence_words(facts.confidence)} "
        "interval; all else, and means over tasks, with the range of the seeds. The published figures have no "
        "intervals. An en dash: not published, or not in this run."
    )
    return Section(
        "published", "Beside published tables", drop([say(lead), *parts]) if parts else [], "Published tables"
    )


def defects(document: Document) -> list[Text]:
    """What is known to be wrong with a document's figures."""
    if not document.defects:
        return []
    said = [f"{defect.place}: {defect.text}" for defect in document.defects]
    return [
        say("Known defects of these published figures:"),
        say(*said, kind="list"),
    ]


def beside(facts: Facts, table: Table) -> tuple[Shown, Shown] | None:
    """A published table, and the part of it in which something of ours stands, for narrow places; or None.

    Under each kind of published model stand ours of that kind.
    """
    columns = [task_of(column) for column in table.columns]
    kinds: dict[tuple[str, ...], list[Row]] = {}
    for one in table.rows:
        kinds.setdefault(tuple(one.ours), []).append(one)
    suites: dict[str, list[str]] = {task: [] for task, _ in columns}
    groups = [group for patterns, rows in kinds.items() if (group := _group(facts, table, patterns, rows, suites))]
    ours = [line for group in groups for line in group if line.ours]
    width = 1 if table.mean else len(columns)
    told = [0, *(n for n in range(1, width + 1) if any(line.cells[n] != Cell() for line in ours))]
    if len(told) == 1:
        return None
    names = [f"mean of {len(columns)} tasks"] if table.mean else _heads(columns)
    heads = [*left("model"), *(Column(name) for name in names)]
    judged = ", ".join(suite for found in suites.values() for suite in found)
    several = f" {STANDS} is the column's task." if any(STANDS in line.cells[0].text for line in ours) else ""
    caption = f"Published: {table.model}. Ours: {bases(facts)}, judged on {judged}.{several}"
    title = f"Table {table.number}: {table.title}" if table.number else table.title
    full = Shown(heads, [line for group in groups for line in group], title, caption, level=4)
    held = [line for group in groups if any(line.ours for line in group) for line in group]
    short = [replace(line, cells=[line.cells[n] for n in told]) for line in held]
    return full, replace(full, columns=[heads[n] for n in told], rows=short, where=TERMINAL)


def _group(
    facts: Facts, table: Table, patterns: Sequence[str], rows: Sequence[Row], suites: dict[str, list[str]]
) -> list[Line]:
    """One kind of published models, and ours that are of the same kind; notes where ours were judged."""
    lines = []
    for one in rows:
        if values := one.values if one.mean is None else [one.mean]:
            cells = (Cell(percent(value, 2), number=value) if value is not None else None for value in values)
            lines.append(row(Cell(one.name, note=one.note), *cells))
    columns = [task_of(column) for column in table.columns]
    for pattern in patterns:
        values_ = [_find(facts, pattern.replace(TASK, task), task, measure) for task, measure in columns]
        if held := [value for value in values_ if value]:
            own = [_mean(held, len(columns))] if table.mean else [_cell(value) for value in values_]
            models = list(dict.fromkeys(value.model for value in held))
            name = models[0] if len(models) == 1 else pattern.replace(TASK, STANDS)
            # Under no published row, our line says itself what it is.
            lines.append(row(Cell(f"ours: {name}", note="" if lines else rows[0].name), *own, ours=True))
        for value in held:
            task = facts.task_of[value.suite]
            suites[task] = list(dict.fromkeys([*suites[task], value.suite]))
    return [replace(line, rule=not number) for number, line in enumerate(lines)]


def _heads(columns: list[tuple[str, str]]) -> list[str]:
    """Tasks and measures; accuracy is said only where a task has another column."""
    tasks = [task for task, _ in columns]
    return [
        task if measure == "accuracy" and tasks.count(task) == 1 else f"{task} {MEASURES[measure]}"
        for task, measure in columns
    ]


def _find(facts: Facts, model: str, task: str, measure: str) -> Value | None:
    """A model on the first suite of a task that it reads, or None where there is none (or no such measure)."""
    for suite, own in facts.task_of.items():
        if own == task and model in facts.accuracy[suite]:
            tainted = (model, suite) in facts.contaminated
            if measure == "accuracy":
                found = facts.accuracy[suite][model]
                bounds = Bounds(value=found["mean"], low=found["low"], high=found["high"])
                return Value(model, suite, bounds, list(found["seeds"]), tainted)
            seeds = [_scored(scored, measure) for scored in facts.scores[suite]["models"][model].values()]
            held = [seed for seed in seeds if seed is not None]
            return Value(model, suite, spread(held), held, tainted) if held else None
    return None


def _scored(scored: dict[str, dict[str, dict[str, float]]], measure: str) -> float | None:
    if measure not in OF_A_LABEL:
        value: float | None = scored.get(measure)  # type: ignore[assignment]
        return value
    label = scored["classes"][min(scored["classes"], key=rank)]
    # Of no alarms none can be right.
    return None if measure == "precision" and not label["predicted"] else label.get(measure)


def _cell(value: Value | None) -> Cell | None:
    return estimate(value.bounds, strong=True, tainted=value.tainted) if value else None


def _mean(values: list[Value], columns: int) -> Cell:
    """The mean over the tasks that are there, from the lowest to the highest seed."""
    seeds = [fmean(part) for part in zip(*(value.seeds for value in values), strict=True)]
    bounds = Bounds(value=fmean(value.bounds.value for value in values), low=min(seeds), high=max(seeds))
    over = "" if len(values) == columns else f"over {len(values)} of {columns} tasks"
    return estimate(bounds, strong=True, note=over, tainted=any(value.tainted for value in values))


def under_attack(facts: Facts, document: Document) -> Shown:
    """The document's figures in its own order, with those of our models that were hardened against its attack."""
    ours = [
        (attack, model, stand)
        for attack in facts.attacks
        if attack.recipe == document.recipe
        for model, stand in attack.stands.items()
        if stand.base and facts.hardened[model].recipe == document.recipe
    ]
    heads = [*left("figure"), Column("published"), *left("section")]
    heads += [Column(model, note=attack.suite) for attack, model, _ in ours]
    return Shown(heads, [*_figures(facts, document, ours), *_shares(facts, document, ours)])


Ours = Sequence[tuple[Attack, str, Stand]]


def _figures(facts: Facts, document: Document, ours: Ours) -> Iterator[Line]:
    for figure in document.figures:
        name = f"{figure.model}: {UNITS[figure.measure].format(' under attack' if figure.rows == 'attacked' else '')}"
        text = "not reported" if figure.value is None else _unit(figure, figure.value)
        tainted = figure.note == "contaminated"
        theirs = Cell(text, note="" if tainted else figure.note, tainted=tainted)
        cells = (_figure(facts, figure, *one) for one in ours)
        yield row(name, theirs, figure.section, *cells)


def _figure(facts: Facts, figure: Figure, attack: Attack, hardened: str, stand: Stand) -> Cell | None:
    model = hardened if figure.model == "hardened" else stand.base
    when = "after" if figure.rows == "attacked" else "before"
    value: float | None
    if figure.measure == "loss":
        value = facts.score(attack, when, model, "loss")
    else:
        shown = attack.stands[model]
        value = (shown.attacked if when == "after" else shown.clean).value
    return None if value is None else Cell(_unit(figure, value), tainted=facts.tainted(model, attack.place))


def _shares(facts: Facts, document: Document, ours: Ours) -> Iterator[Line]:
    for found in document.shares:
        name = f"{found.slice}: fixed / introduced / remaining, % of their sum"
        theirs = " / ".join(map(percent, (found.fixed, found.introduced, found.remaining)))
        yield row(name, theirs, found.section, *(_share(facts, found, *one) for one in ours))


def _share(facts: Facts, found: Shares, attack: Attack, model: str, stand: Stand) -> Cell | None:
    pair = between(facts.pairs, attack.suite, model, stand.base)
    change = pair.slices[found.slice].changes if pair and found.slice in pair.slices else None
    if change is None or not change.errors:
        return None
    parts = (change.fixed, change.introduced, change.remaining)
    text = " / ".join(percent(part / change.errors) for part in parts)
    return Cell(text, tainted=facts.tainted(model, attack.place))


def _unit(figure: Figure, value: float) -> str:
    return percent(value, 2) if figure.measure == "accuracy" else decimals(value, 4)
