"""A model's answer taken apart: the JSON values in it, strict or loose, and what else it says."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nlilab.llm.loose import begins, breaks_off, closed, mentions, read_loose
from nlilab.llm.thinking import json_at

# Fences that hold a program: what stands in their braces is no answer.
PROGRAMS = {
    "python",
    "py",
    "python3",
    "c",
    "cpp",
    "java",
    "go",
    "rust",
    "php",
    "ruby",
    "bash",
    "sh",
    "sql",
    "html",
    "xml",
}
GONE = "\0"  # stands in the prose where a JSON value was


class Candidate(NamedTuple):
    """Something that may be the answer: what it says, where in the text, and whether within a fence."""

    value: Any
    place: int
    fenced: bool


@dataclass(frozen=True)
class Scanned:
    """A text taken apart: its JSON values, what else it says, and whether it ends within a value."""

    values: list[Candidate]
    prose: str
    cut: bool


def scan(text: str, openers: str, names: Sequence[str]) -> Scanned:
    """Walk through the text once: strict JSON where it begins, else loose JSON, else prose."""
    values: list[Candidate] = []
    prose: list[str] = []
    place, start, fenced, cut = 0, 0, False, False
    stop = re.compile(rf"```\w*|[{re.escape(openers)}]")
    while mark := stop.search(text, place):
        place, end = mark.start(), None
        if mark[0] not in openers:
            fenced, place = not fenced, mark.end()
            if fenced and mark[0][3:].lower() in PROGRAMS:
                place = max(place, text.find("```", place))
            continue
        if found := json_at(text, place):
            value, end = found
        elif begins(text, place, names):
            end = closed(text, place)
            cut |= end is None and (not fenced or mentions(text, place, names))
            value = read_loose(text[place:end], names) if end else None
        elif breaks_off(text, place):
            cut = True
        if end is None:
            place += 1
            continue
        values.append(Candidate(value, place, fenced))
        prose += [text[start:place], GONE * (end - place)]
        place = start = end
    return Scanned(values, "".join([*prose, text[start:]]), cut)


def agreed(found: Sequence[Candidate], same: Callable[[Any], Any]) -> Any:
    """What all candidates say, in the last one's words, drafts before a fenced one left out; None if they differ."""
    last = max((one.place for one in found if one.fenced), default=-1)
    left = [one for one in found if one.fenced or one.place > last]
    if any(same(one.value) != same(left[-1].value) for one in left):
        return None
    return max(left, key=lambda one: one.place).value
