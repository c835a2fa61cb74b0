"""The report on a terminal, and any table within its width: columns are dealt into blocks, long cells fold."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text as Line

from nlilab.report.tables import Cell, Column, Plots, Report, Table

GAP, LEAST = 2, 4  # between columns, and of a name's column
# Not every terminal can show typography.
LETTERS = str.maketrans({"−": "-", "–": "-", "±": None, "→": "->", "\u202f": None, "·": "/"})


def console() -> Console:
    """A console that takes text as text."""
    return Console(highlight=False, markup=False, emoji=False)


def print_line(text: str) -> None:
    """Print a sentence; lines break between words."""
    console().print(_plain(text))


def print_report(report: Report, page: Path) -> None:
    """Print what matters most, and where the page lies."""
    out = console()
    for section in report.sections:
        parts = section.at("terminal")
        if parts and section.slug not in ("verdicts", "accuracy"):
            out.print()
        for part in parts:
            if isinstance(part, Table):
                print_table(part, out)
            elif not isinstance(part, Plots):
                for said in part.lines:
                    out.print(_plain(said.text))
    out.print(f"report: {page}", soft_wrap=True)


def print_table(table: Table, out: Console | None = None) -> None:
    """Print a table within the width of the console; nothing of it is cut."""
    out = out or console()
    for text in filter(None, (table.title, table.caption)):
        out.print(_plain(text))
    texts = [[_cell(cell) for cell in row.cells] for row in table.rows]
    heads = [_title(column) for column in table.columns]
    # A head breaks between words, a cell where it has lines.
    longest = [max(map(len, head.split()), default=0) for head in heads]
    widths = [
        max([least, *(len(line) for row in texts for line in row[n].split("\n"))]) for n, least in enumerate(longest)
    ]
    _narrow(widths, table.keys, out.width)
    blocks = list(_blocks(widths, table.keys, out.width))
    for block in blocks:
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        places = [*range(table.keys), *block]
        for n in places:
            side: Any = "right" if table.columns[n].kind == "figure" else "left"
            grid.add_column(_plain(heads[n]), justify=side, overflow="fold", width=widths[n])
        for row in texts:
            # Of several blocks, each has the rows that have something in it.
            if len(blocks) == 1 or any(row[n] != "-" for n in block):
                grid.add_row(*(Line(row[n]) for n in places))
        out.print(grid)


def _narrow(widths: list[int], names: int, width: int) -> None:
    """Make the names so narrow that each other column has room beside them, as far as that goes: they fold."""
    widths[names:] = [min(one, width - names * (LEAST + GAP)) for one in widths[names:]]
    room = width - max(widths[names:], default=0) - names * GAP
    while sum(widths[:names]) > room and max(widths[:names]) > LEAST:
        widths[widths.index(max(widths[:names]))] -= 1


def _blocks(widths: Sequence[int], names: int, width: int) -> Iterator[list[int]]:
    """As many columns at a time as there is room for beside the names."""
    room = width - sum(widths[:names]) - names * GAP
    block: list[int] = []
    for n in range(names, len(widths)):
        if block and sum(widths[m] + GAP for m in (*block, n)) - GAP > room:
            yield block
            block = []
        block.append(n)
    yield block


def _title(column: Column) -> str:
    return f"{column.name}\n({column.beside})" if column.beside else column.name


def _cell(cell: Cell) -> str:
    """A figure in the terminal's letters."""
    apart = " to " if "−" in cell.low + cell.high else "-"
    between = f" ({cell.low}{apart}{cell.high})" if cell.low else ""
    notes = [note for note in (cell.note, "contaminated" if cell.tainted else "") if note]
    beside = f" ({', '.join(notes)})" if notes and not between else "".join(f"\n{note}" for note in notes)
    return _plain(f"{cell.text}{between}{beside}").plain


def _plain(text: str) -> Line:
    return Line("".join(x if x.isprintable() or x == "\n" else " " for x in text.translate(LETTERS)))
