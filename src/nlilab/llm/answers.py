"""The one tolerant reader of model answers: JSON, fenced, numbered and chatty; what it cannot read, it says why."""

import json
import re
from collections.abc import Sequence
from typing import Any

from nlilab.llm.request import writable

FENCE = re.compile(r"```(?:\w+)?\s*\n(.*?)```", re.DOTALL)
ITEM = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+(.+)$")
APOLOGY = re.compile(r"^(?:i(?:'|’)?m sorry|sorry|i can(?:'|’|no)t|i am unable|as an ai)", re.IGNORECASE)
QUOTES = "\"'“”‘’`*"


class Unreadable(Exception):
    """An answer that cannot be read; its text is the reason that goes into the rejects."""


class Unanswered(Unreadable):
    """No answer at all, for reasons that pass: the provider was asked until the attempts were used up."""


def read_fields(text: str, fields: Sequence[str]) -> dict[str, str]:
    """The named text fields of an answer: from a JSON object, or from lines `Field: value`."""
    value = _first_json(text, "{")
    if isinstance(value, dict):
        found: dict[str, str | None] = {field: text for field, text in _fields(value).items() if field in fields}
        if missing := [field for field in fields if not found.get(field)]:
            raise Unreadable(f"no {' and no '.join(missing)} in the answer")
        return {field: str(found[field]) for field in fields}
    found = {field: _fenced(text, field) or _line(text, field) for field in fields}
    missing = [field for field, item in found.items() if not item]
    if missing:
        raise Unreadable(_why_not(text) or f"no {' and no '.join(missing)} in the answer")
    return {field: str(item) for field, item in found.items()}


def read_list(text: str, field: str) -> list[str]:
    """The texts of a list: from a JSON object or array, or from a numbered or bulleted list."""
    items = [writable(item.strip()) for item in _json_list(text, field) if isinstance(item, str)]
    items = [item for item in items if item]
    if not items:  # no JSON, or a "[1]" that is none of the list
        matches = (ITEM.match(line) for line in text.splitlines())
        items = [match[1].strip().strip(QUOTES).strip() for match in matches if match]
    if not items:
        raise Unreadable(_why_not(text) or f"no list of {field} in the answer")
    return items


def read_records(text: str, field: str, keys: Sequence[str]) -> list[dict[str, str]]:
    """The objects of a list that have all `keys`, as texts: from a JSON object or array."""
    found = [_fields(item, lists=True) for item in _json_list(text, field) if isinstance(item, dict)]
    whole = [{key: item[key] for key in keys} for item in found if all(item.get(key) for key in keys)]
    if not whole:
        raise Unreadable(_why_not(text) or f"no item of {field} in the answer has {' and '.join(keys)}")
    return whole


def _fields(value: dict[Any, Any], lists: bool = False) -> dict[str, str]:
    """The object's values as texts, by lower-case key; models write the label true as JSON's true.

    With `lists`, a list of texts (as definitions come) is numbered; else a list, like an object, is no text.
    """

    def text_of(item: Any) -> str:
        if isinstance(item, list) and lists:
            return "; ".join(f"{number}. {text_of(part)}" for number, part in enumerate(item, start=1))
        if isinstance(item, (bool, int, float)):
            return str(item).lower()
        return item.strip() if isinstance(item, str) else ""

    return {str(key).strip().lower(): writable(text) for key, item in value.items() if (text := text_of(item))}


def _json_list(text: str, field: str) -> list[Any]:
    """The items of a JSON array, or of the one that an object holds under `field`; none where there is no such."""
    value = _first_json(text, "{[")
    if isinstance(value, dict):
        value = {str(key).lower(): item for key, item in value.items()}.get(field)
    return value if isinstance(value, list) else []


def _first_json(text: str, openers: str) -> Any:
    """The first JSON value in the text that begins with one of the openers, or None."""
    fenced = FENCE.search(text)
    for part in ([fenced[1]] if fenced else []) + [text]:
        for position, letter in enumerate(part):
            if letter in openers:
                try:
                    return json.JSONDecoder(strict=False).raw_decode(part, position)[0]
                except json.JSONDecodeError:
                    continue
    return None


def _fenced(text: str, field: str) -> str | None:
    """A field that is a fenced block: code."""
    match = re.search(rf"{re.escape(field)}\W{{0,6}}\s*```\w*\n(.*?)```", text, re.IGNORECASE | re.DOTALL)
    return match[1].rstrip() if match else None


def _line(text: str, field: str) -> str | None:
    match = re.search(
        rf"^[\s*#>]*(?:\d+[.)]\s*)?[*_]*{re.escape(field)}[*_]*\s*:[*_]*\s*(.+)$", text, re.IGNORECASE | re.MULTILINE
    )
    return match[1].strip().strip(QUOTES).strip() if match else None


def _why_not(text: str) -> str | None:
    if not text.strip():
        return "the answer is empty"
    if APOLOGY.match(text.strip()):
        return "the model declined"
    return None
