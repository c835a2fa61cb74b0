"""report.html: one file that asks no network and reads without its script; all text is escaped by Jinja."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from nlilab.report.tables import Cell, Column, Piece, Plots, Report, Row, Table
from nlilab.report.vega import draw

CSS, JS = ("page.css", "print.css"), ("page.js",)
DENSE = 8  # columns of figures from which on they stand closer

Shown = list[tuple[Cell, Column, int]]  # of a row: its cells, their columns, how many rows they span


def page(report: Report) -> str:
    """The page as text; the same report gives the same bytes."""
    here = files("nlilab.report").joinpath("templates")
    loader = PackageLoader("nlilab.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(kind=_kind, bodies=_bodies, groups=_groups, broken=_broken, marked=marked, style=_style)
    environment.filters["draw"] = lambda spec: Markup(draw(spec))
    css, script = ("".join(here.joinpath(name).read_text(encoding="utf-8") for name in names) for names in (CSS, JS))
    # The browser runs this script and no other, whatever stands in the data.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sections = [(section, parts) for section in report.sections if (parts := section.at("page"))]
    return environment.get_template("page.html.j2").render(
        report=report, sections=sections, css=Markup(css), script=Markup(script), allowed=f"sha256-{allowed}"
    )


def _kind(part: object) -> str:
    """What a template asks of a part: table, plots, or the kind of a text."""
    if isinstance(part, Table | Plots):
        return type(part).__name__.lower()
    return str(getattr(part, "kind", ""))


def _style(table: Table) -> str:
    """The classes of a table: lines between rows, close columns, long texts, sorted by a reader."""
    dense = sum(column.kind == "figure" for column in table.columns) >= DENSE
    names = {"matrix": not table.merge, "dense": dense, "gallery sortable": bool(table.slug)}
    return " ".join(name for name, holds in names.items() if holds)


def _groups(columns: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    """Columns that stand side by side under one name; one by one where they have none."""
    found = groupby(enumerate(columns), key=lambda item: (item[1].group, item[1].group or item[0]))
    return [(name, [column for _, column in own]) for (name, _), own in found]


def _bodies(table: Table) -> list[list[tuple[Row, Shown]]]:
    """Rows by what they share in the first column, each with what is shown of it.

    A cell that is one with that above it is left out.
    """
    bodies: list[list[tuple[Row, Shown]]] = []
    for number, line in enumerate(table.rows):
        alike = [_alike(table, number, place) for place in range(table.merge)]
        cells = zip(line.cells, table.columns, [*alike, *[1] * (len(line.cells) - table.merge)], strict=True)
        if not bodies or line.rule or (alike and alike[0]):
            bodies.append([])
        bodies[-1].append((line, [one for one in cells if one[2]]))
    return bodies


def _alike(table: Table, number: int, place: int) -> int:
    """How many rows from this one on have the same cells up to a place; 0 where the row above has them too."""
    own = table.rows[number].cells[: place + 1]
    if number and table.rows[number - 1].cells[: place + 1] == own:
        return 0
    below = (line.cells[: place + 1] == own for line in table.rows[number:])
    return next((n for n, same in enumerate(below) if not same), len(table.rows) - number)


def _broken(text: str) -> Markup:
    """A text that may break after a slash, and where its lines end."""
    return Markup("<br>").join(Markup("/<wbr>").join(line.split("/")) for line in text.split("\n"))


def marked(pieces: Iterable[Piece]) -> Markup:
    """A text with its changes in <mark>; a deleted word stands struck out where it was."""
    changed, deleted = Markup("<mark>{}</mark>").format, Markup("<mark><del>{}</del></mark>").format
    shown = (escape(text) if was is None else changed(text) if text else deleted(was) for text, was in pieces)
    return Markup("").join(shown)
