"""report.md: the report as GitHub Markdown, in which text of the data is text."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from nlilab.report.tables import Cell, Piece, Report, Row, Table, Text

LIMIT = 2000  # characters: a table is no place for a longer text


def markdown(report: Report) -> str:
    """The sections that have something for a short file."""
    lines = [f"# {report.title}", "", safe(report.lead)]
    for section in report.sections:
        if parts := section.at("markdown"):
            lines += ["", f"## {safe(section.title)}"]
            for part in parts:
                if isinstance(part, Text):
                    lines += ["", *_text(part)]
                elif isinstance(part, Table):
                    lines += _table(part)
    return "\n".join(lines) + "\n"


def _text(part: Text) -> Iterator[str]:
    marks = {"list": "- ", "findings": "- ", "h3": "### ", "h4": "#### "}
    for number, said in enumerate(part.lines):
        if number and part.kind not in ("list", "findings"):
            yield ""
        yield f"{marks.get(part.kind, '')}{safe(said.text)}"


def _table(part: Table) -> Iterator[str]:
    for mark, text in (("#" * part.level + " ", part.title), ("", part.caption)):
        if text:
            yield from ("", f"{mark}{safe(text)}")
    yield ""
    yield from formatted([safe(str(column)) for column in part.columns], map(_row, part.rows))


def _row(line: Row) -> list[str]:
    cells = [_cell(cell) for cell in line.cells]
    return [f"**{cell}**" for cell in cells] if line.ours else cells


def _cell(cell: Cell) -> str:
    return marked(cell.pieces) if cell.pieces else safe(str(cell).replace("\n", ", "))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of plain cells."""
    return formatted([safe(cell) for cell in head], ([safe(cell) for cell in row] for row in rows))


def formatted(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already."""
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]]


def safe(value: str) -> str:
    """Text of the data as text: one line, no HTML, no Markdown, not too long."""
    short = value if len(value) <= LIMIT else value[:LIMIT] + " …"
    flat = " ".join("".join(letter for letter in short if letter.isprintable() or letter.isspace()).split())
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", html.escape(flat, quote=False))


def marked(pieces: Iterable[Piece]) -> str:
    """A text with its changes in bold; a deleted word stands struck out where it was."""

    def flat(text: str) -> str:
        # Blanks at a part's edges are lost in `safe`, and must stay: they part words.
        inner = safe(text)
        if not inner:
            return " " if text else ""
        return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"

    return "".join(
        flat(text) if was is None else f"**{safe(text)}**" if text else f"~~{safe(was)}~~" for text, was in pieces
    )
