"""What the report says, without markup: sections of sentences, tables and plots, which each writer writes its way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nlilab.report.numbers import NONE, percent, plain, points

# Where a part is shown.
PLACES = {
    **{
        "everywhere": ("terminal", "markdown", "page"),
        "files": ("markdown", "page"),
        "short": ("terminal", "markdown"),
    },
    **{"terminal": ("terminal",), "markdown": ("markdown",), "page": ("page",)},
}
Piece = tuple[str, str | None]  # text, and what stood there where it was changed ("" is a deletion's text)


@dataclass(frozen=True)
class Said:
    """A sentence, and the tone that colours it: a verdict, or a name of the palette."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Cell:
    """A value as text with its interval and a note; `heat` shades it by a share, `number` sorts it."""

    text: str = NONE
    low: str = ""
    high: str = ""
    note: str = ""
    tainted: bool = False  # of a model that was trained on perturbed rows of the suite
    tone: str = ""
    heat: float | None = None
    number: float | None = None
    strong: bool = False
    pieces: Sequence[Piece] = ()

    def __str__(self) -> str:
        between = f" ({self.low} to {self.high})" if self.low else ""
        note = "" if not self.note else f", {self.note}" if self.low else f" ({self.note})"
        return f"{self.text}{between}{note}{', contaminated' if self.tainted else ''}"


Value = Cell | str | None


@dataclass(frozen=True)
class Row:
    """The cells of a row, the first of them its head; `rule`: a line above it; `ours`: set off from published rows."""

    cells: Sequence[Cell]
    rule: bool = False
    ours: bool = False


@dataclass(frozen=True)
class Column:
    """A column's head; columns of one `group` stand under its name. A reader picks rows by its `choices`."""

    name: str
    group: str = ""
    kind: Literal["figure", "name", "text", "wide"] = "figure"
    note: str = ""
    choices: Sequence[str] = ()
    ascending: bool = False  # rows come sorted by it

    @property
    def beside(self) -> str:
        """What stands beside the name."""
        return ", ".join(part for part in (self.group, self.note) if part)

    def __str__(self) -> str:
        return f"{self.name} ({self.beside})" if self.beside else self.name


@dataclass(frozen=True)
class Table:
    """A table; equal cells in the first `merge` columns of rows that follow each other are one."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    title: str = ""
    caption: str = ""
    level: int = 3  # of the title's heading
    merge: int = 0
    keys: int = 1  # columns that name a row
    folded: bool | Literal["open"] = False
    slug: str = ""  # with it, a reader sorts the table
    where: str = "files"


@dataclass(frozen=True)
class Text:
    """Paragraphs, a list, findings that their tone colours, a heading that has an address, or a verbatim text."""

    lines: Sequence[Said]
    kind: str = "p"  # caption, list, findings, key, warning, h3, h4, code
    slug: str = ""
    where: str = "files"


@dataclass(frozen=True)
class Plot:
    """A Vega-Lite specification with its title, what stands beside and below that, and its key."""

    title: str
    spec: Mapping[str, Any]
    note: str = ""
    tainted: bool = False
    below: str = ""
    key: Sequence[Said] = ()


@dataclass(frozen=True)
class Plots:
    """Small plots side by side."""

    plots: Sequence[Plot]
    where: str = "page"


Part = Text | Table | Plots


@dataclass(frozen=True)
class Section:
    """What stands under one heading; where none of its parts is shown, nor is the heading. Empty parts are not."""

    slug: str
    title: str
    parts: Sequence[Part]
    nav: str = ""

    def at(self, place: str) -> list[Part]:
        """The parts that are shown at a place."""
        return [part for part in self.parts if place in PLACES[part.where] and _held(part)]


def _held(part: Part) -> bool:
    """Whether a part has lines, rows or plots."""
    return bool(part.lines if isinstance(part, Text) else part.rows if isinstance(part, Table) else part.plots)


@dataclass(frozen=True)
class Report:
    """Everything that is said of a run."""

    title: str
    lead: str
    sections: Sequence[Section] = ()


def row(*values: Value, rule: bool = False, ours: bool = False) -> Row:
    """A row of cells and plain texts; None is an empty cell."""
    return Row([v if isinstance(v, Cell) else Cell() if v is None else Cell(v) for v in values], rule, ours)


def heads(*names: str, group: str = "") -> list[Column]:
    """Columns of figures."""
    return [Column(name, group) for name in names]


def left(*names: str) -> list[Column]:
    """Columns of names."""
    return [Column(name, kind="name") for name in names]


def estimate(found: Any, said: Callable[[float], str] = percent, **more: Any) -> Cell:
    """An estimate (a record with value, low, high), a plain number, or nothing."""
    if isinstance(found, int | float):
        return Cell(said(found), number=found, **more)
    found = found if found is None or isinstance(found, Mapping) else vars(found)
    if found is None or found.get("value") is None:
        return Cell()
    value, low, high = (said(found[key]) for key in ("value", "low", "high"))
    return Cell(value, low, high, **{"number": found["value"], **more})


def signed(value: float, ends: Any, **more: Any) -> Cell:
    """A difference in points, with the `low` and `high` of its record."""
    return Cell(points(value), plain(ends.low), plain(ends.high), **{"number": value, **more})


def shade(value: float | None, **more: Any) -> Cell:
    """A share in percent that shades its cell."""
    return Cell(percent(value), heat=value, **more)
