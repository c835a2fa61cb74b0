"""Published tables with ours beside them, as Markdown."""

from nlilab.report.facts import Facts
from nlilab.report.gfm import formatted, safe
from nlilab.report.published import Document
from nlilab.report.published_tables import Cell, Line, Shown, shown
from nlilab.report.words import confidence_words, percent, printed


def published_tables(facts: Facts) -> list[str]:
    """The tables that have something of ours, each document's with its defects; nothing where there are none."""
    found = shown(facts.measured(), facts.documents.values())
    if not found:
        return []
    level = confidence_words(facts.confidence)
    out = [
        "## Beside published tables (%)",
        "",
        "Set beside each other, not compared: other models, data and rows. "
        f"Ours: accuracy with its {level} interval; all else, and means over tasks, with the range of the seeds. "
        "The published figures have no intervals.",
        "",
    ]
    for document, tables in found:
        out += [f"### {safe(document.document)} ({safe(document.source)}; judged on {safe(document.data)})", ""]
        for one in tables:
            out += _table(one)
        out += _defects(document)
    return out


def _table(one: Shown) -> list[str]:
    head = ["model", *(" ".join(part for part in column if part) for column in one.heads)]
    rows = [_line(line) for group in one.groups for line in group]
    title = f"**{safe(one.title)}.** {safe(one.caption)}"
    return [title, "", *formatted([safe(cell) for cell in head], rows), ""]


def _line(line: Line) -> list[str]:
    name = safe(f"{line.name} ({line.note})" if line.note else line.name)
    cells = [_cell(cell, line.ours) for cell in line.cells]
    return [f"**{part}**" for part in (name, *cells)] if line.ours else [name, *cells]


def _cell(cell: Cell | None, ours: bool) -> str:
    if cell is None:
        return "–"
    if not ours:
        return printed(cell.value)
    note = f", {safe(cell.note)}" if cell.note else ""
    return f"{percent(cell.value)} ({percent(cell.low)} to {percent(cell.high)}){note}"


def _defects(document: Document) -> list[str]:
    if not document.defects:
        return []
    said = [f"- {safe(defect.place)}: {safe(defect.text)}" for defect in document.defects]
    return ["Known defects of these published figures:", "", *said, ""]
