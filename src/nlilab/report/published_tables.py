"""Published tables with the figures of this run beside them: under each kind of published model, ours of that kind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from nlilab.report.measured import Measured, Value
from nlilab.report.published import TASK, Document, Row, Table, name_of, task_of

STANDS = "[task]"  # in the name of our line, where its models are several
MEASURES = {"accuracy": "accuracy", "rouge_l": "Rouge-L", "precision": "precision", "recall": "recall", "f1": "F1"}


@dataclass(frozen=True)
class Cell:
    """A share; ours lies between `low` and `high`, and a mean of ours says over how many of the columns it is."""

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A published model, or ours, with a cell (or None) for each column."""

    name: str
    ours: bool
    cells: list[Cell | None]
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """A table that has something of ours: its columns (task, measure) and groups of lines, ours last in each."""

    table: Table
    heads: list[tuple[str, str]]
    groups: list[list[Line]]
    suites: Mapping[str, list[str]]  # task -> where ours were judged
    base: str

    @property
    def title(self) -> str:
        """`Table 3: what it shows`."""
        return f"Table {self.table.number}: {self.table.title}" if self.table.number else self.table.title

    @property
    def caption(self) -> str:
        """Who is compared on what."""
        judged = ", ".join(suite for suites in self.suites.values() for suite in suites)
        several = any(STANDS in line.name for group in self.groups for line in group)
        stands = f" {STANDS} is the column's task." if several else ""
        return f"Published: {self.table.model}. Ours: {self.base}, judged on {judged}.{stands}"

    @property
    def told(self) -> list[int]:
        """The places of the columns in which something of ours stands."""
        ours = [line.cells for group in self.groups for line in group if line.ours]
        return [place for place in range(len(self.heads)) if any(cells[place] for cells in ours)]


def shown(measured: Measured, documents: Iterable[Document]) -> list[tuple[Document, list[Shown]]]:
    """The documents with those of their tables in which a cell of ours stands."""
    found = [(document, [_table(measured, table) for table in document.tables]) for document in documents]
    kept = [(document, [one for one in tables if one.told]) for document, tables in found]
    return [(document, tables) for document, tables in kept if tables]


def _table(measured: Measured, table: Table) -> Shown:
    columns = [task_of(column) for column in table.columns]
    heads = [(f"mean of {len(columns)} tasks", "")] if table.mean else _heads(columns)
    kinds: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        kinds.setdefault(tuple(row.ours), []).append(row)
    groups: list[list[Line]] = []
    suites: dict[str, list[str]] = {task: [] for task, _ in columns}
    for patterns, rows in kinds.items():
        lines = [_published(row) for row in rows if row.values or row.mean is not None]
        for pattern in patterns:
            values = [measured.find(name_of(pattern, task), task, measure) for task, measure in columns]
            if held := [value for value in values if value]:
                cells: list[Cell | None] = [_cell(value) for value in values]
                if table.mean:
                    cells = [_mean(held, len(columns))]
                # Under no published row, our line says itself what it is.
                lines.append(Line(f"ours: {_name(pattern, held)}", True, cells, "" if lines else rows[0].name))
            for (task, _), value in zip(columns, values, strict=True):
                if value and value.suite not in suites[task]:
                    suites[task].append(value.suite)
        groups.append(lines)
    return Shown(table, heads, [lines for lines in groups if lines], suites, measured.base)


def _heads(columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Tasks and measures; accuracy is said only where a task has another column."""
    tasks = [task for task, _ in columns]
    return [
        (task, "" if measure == "accuracy" and tasks.count(task) == 1 else MEASURES[measure])
        for task, measure in columns
    ]


def _published(row: Row) -> Line:
    values = row.values if row.mean is None else [row.mean]
    return Line(row.name, False, [None if value is None else Cell(value) for value in values], row.note)


def _name(pattern: str, held: list[Value]) -> str:
    models = list(dict.fromkeys(value.model for value in held))
    return models[0] if len(models) == 1 else pattern.replace(TASK, STANDS)


def _cell(value: Value | None) -> Cell | None:
    return Cell(value.value, value.low, value.high, "contaminated" if value.contaminated else "") if value else None


def _mean(values: list[Value], columns: int) -> Cell:
    """The mean over the tasks that are there, from the lowest to the highest seed."""
    seeds = [fmean(part) for part in zip(*(value.seeds for value in values), strict=True)]
    over = "" if len(values) == columns else f"over {len(values)} of {columns} tasks"
    tainted = "contaminated" if any(value.contaminated for value in values) else ""
    note = ", ".join(part for part in (over, tainted) if part)
    return Cell(fmean(value.value for value in values), min(seeds), max(seeds), note)
