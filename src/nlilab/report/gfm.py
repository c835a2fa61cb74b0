"""Text and tables of the data as GitHub Markdown: nothing in them is markup."""

import html
import re
from collections.abc import Iterable, Sequence

LIMIT = 2000  # characters: a table is no place for a longer text


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
