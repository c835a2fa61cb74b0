"""What a model thinks aloud before (or amid) its answer, cut away: only what is left is an answer."""

import json
import re
from collections.abc import Sequence
from typing import Any

from nlilab.llm.loose import begins, closed, read_loose

# <think>, </thinking>, [THINK], <seed:think>, <|begin_of_thought|>: as the models that think write it.
NAMES = "think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis"
TAG = re.compile(
    rf"[<\[◁]\|?\s*(?P<end>/|end_of_)?(?:begin_of_|[a-z]+:)?(?P<name>{NAMES})\b[^<>\[\]◁▷]*[>\]▷]", re.IGNORECASE
)
MARK = re.compile(r"[<\[{◁]")
# Channels (gpt-oss), with their special tokens and as a tokenizer that skips those leaves them; and Ollama's words.
FINAL = re.compile(
    r"<\|channel\|>\s*final\s*(?:<\|constrain\|>\w+\s*)?<\|message\|>"
    r"|\A\s*analysis.*?assistantfinal|\A\s*Thinking\.\.\..*?\.\.\.done thinking\.",
    re.DOTALL,
)
ANALYSIS = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)|\A\s*analysis(?=[A-Z])")
CONTROL = re.compile(r"<\|(?:end|return|im_end|eot_id)\|>")
MARKS = re.compile("^[\ufeff\u200b\u2060]+", re.MULTILINE)  # of byte order and of no width, where a line begins


class Twice(tuple[Any, ...]):
    """The different values of a name that stands twice in one JSON object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        key = name.strip().lower()
        found[key] = Twice((found[key], value)) if key in found and found[key] != value else value
    return found


STRICT = json.JSONDecoder(strict=False, object_pairs_hook=_object)  # line breaks within texts are let pass


def json_at(text: str, place: int) -> tuple[Any, int] | None:
    """The JSON value that begins at a place, and where it ends; None where none does. Names are in lower case."""
    try:
        return STRICT.raw_decode(text, place)
    except (json.JSONDecodeError, RecursionError):
        return None


def spoken(text: str, names: Sequence[str] = ()) -> str:
    """The answer without the thinking: blocks of it, closed or not, and all before an end whose beginning is missing.

    (Some chat templates put the beginning into the prompt.) What stands within a JSON value, of which `names` are the
    names that may lack their marks, is text and no tag.
    """
    text = _last_channel(MARKS.sub("", text))
    kept: list[str] = []
    place = start = 0
    while mark := MARK.search(text, place):
        place = mark.start()
        if mark[0] in "{[" and (end := _end_of_json(text, place, names)):
            place = end
            continue
        tag = TAG.match(text, place)
        if tag is None:
            place += 1
            continue
        if tag["end"]:
            kept, start = [], tag.end()
        else:
            kept.append(text[start:place])
            start = _end_of(tag, text)
        place = max(start, tag.end())
    return "".join([*kept, text[start:]])


def _end_of_json(text: str, place: int, names: Sequence[str]) -> int | None:
    """Where a JSON value, strict or loose, ends that begins at a place; None where none does."""
    if found := json_at(text, place):
        return found[1]
    end = closed(text, place) if begins(text, place, names) else None
    return end if end and read_loose(text[place:end], names) is not None else None


def _end_of(tag: re.Match[str], text: str) -> int:
    """Where the block that a tag begins is over: behind the tag of the same name that ends it, or nowhere."""
    ends = (other for other in TAG.finditer(text, tag.end()) if other["end"])
    return next((other.end() for other in ends if other["name"].lower() == tag["name"].lower()), len(text))


def _last_channel(text: str) -> str:
    """What was said in the final channel of an answer in channels."""
    finals = list(FINAL.finditer(text))
    if finals:
        return CONTROL.sub("", text[finals[-1].end() :])
    thinking = ANALYSIS.search(text)
    return text[: thinking.start()] if thinking else text
