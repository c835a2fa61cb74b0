"""Edits of a sentence: its words as spans of characters, and new texts with the place of every change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import regex

from nlilab.core.words import WORD_CHARACTER

# Without the punctuation at its edges: "state-of-the-art", "don't".
WORD = regex.compile(rf"{WORD_CHARACTER}(?:\S*{WORD_CHARACTER})?")
CHUNK = regex.compile(r"\S+")

Span = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """One replaced span: where the new text stands (start = end where a word was deleted), and what stood there."""

    start: int
    end: int
    was: str


def words(text: str) -> list[Span]:
    """The spans of a text's words; of whatever is not blank where it has no words (an emoji, "?!")."""
    return [found.span() for found in WORD.finditer(text)] or [found.span() for found in CHUNK.finditer(text)]


def rewrite(text: str, replacements: Mapping[Span, str]) -> tuple[str, list[Change]]:
    """The text with spans replaced; an empty replacement takes one neighbouring blank with it."""
    out: list[str] = []
    changes: list[Change] = []
    length, last = 0, 0
    for (start, end), new in sorted(replacements.items()):
        left = start
        if not new and left > last and text[left - 1].isspace() and (end == len(text) or text[end].isspace()):
            left -= 1
        elif not new and left == last and end < len(text) and text[end].isspace():
            end += 1
        out += [text[last:left], new]
        length += left - last
        changes.append(Change(length, length + len(new), text[left:end]))
        length += len(new)
        last = end
    return "".join([*out, text[last:]]), changes


def dump(changes: list[Change]) -> str:
    """Changes as a column of a table holds them."""
    return json.dumps([[change.start, change.end, change.was] for change in changes], ensure_ascii=False)


def load(column: str) -> list[Change]:
    """Changes from a table's column."""
    return [Change(*values) for values in json.loads(column)]
