"""report.md: the report as GitHub Markdown, in which text of the data is text."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nlilab.report.tables import Cell, Piece, Plots, Report, Row, Table, Text

LIMIT = 2000  # characters: a table is no place for a longer text
MARKS = {"list": "- ", "findings": "- ", "h3": "### ", "h4": "#### "}


def markdown(report: Report) -> str:
    """The sections that have something for a short file."""
    lines = [f"# {report.title}", "", safe(report.lead)]
    for section in report.sections:
        if parts := section.at("markdown"):
            lines += ["", f"## {safe(section.title)}"]
            for part in parts:
                lines += _table(part) if isinstance(part, Table) else [] if isinstance(part, Plots) else _text(part)
    return "\n".join(lines) + "\n"


def _text(part: Text) -> Iterator[str]:
    for number, said in enumerate(part.lines):
        if not number or part.kind not in ("list", "findings"):
            yield ""
        yield f"{MARKS.get(part.kind, '')}{safe(said.text)}"


def _table(part: Table) -> Iterator[str]:
    for mark, text in (("#" * part.level + " ", part.title), ("", part.caption)):
        if text:
            yield from ("", f"{mark}{safe(text)}")
    yield from ("", *_lines([safe(str(column)) for column in part.columns], map(_row, part.rows)))


def _row(line: Row) -> list[str]:
    cells = [_cell(cell) for cell in line.cells]
    return [f"**{cell}**" for cell in cells] if line.ours else cells


def _cell(cell: Cell) -> str:
    return marked(cell.pieces) if cell.pieces else safe(str(cell).replace("\n", ", "))


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A table of plain values."""
    return "\n".join(_lines([safe(str(cell)) for cell in head], ([safe(str(cell)) for cell in row] for row in rows)))


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]]


def safe(value: str) -> str:
    """Text of the data as text: one line, no HTML, no Markdown, not too long."""
    short = value if len(value) <= LIMIT else value[:LIMIT] + " …"
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", html.escape(flat(short), quote=False))


def flat(text: str) -> str:
    """The text on one line, without letters that nobody sees."""
    return " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())


def marked(pieces: Iterable[Piece]) -> str:
    """A text with its changes in bold; a deleted word stands struck out where it was."""
    return "".join(
        _kept(text) if was is None else f"**{safe(text)}**" if text else f"~~{safe(was)}~~" for text, was in pieces
    )


def _kept(text: str) -> str:
    """An unchanged part; blanks at its edges are lost in `safe`, and must stay: they part words."""
    inner = safe(text)
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"
