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


def read_fields(text: str, fields: Sequence[str]) -> dict[str, str]:
    """The named text fields of an answer: from a JSON object, or from lines `Field: value`."""
    value = _first_json(text, "{")
    if isinstance(value, dict):
        lowered = {str(key).strip().lower(): item for key, item in value.items()}
        missing = [field for field in fields if not isinstance(lowered.get(field), str) or not lowered[field].strip()]
        if missing:
            raise Unreadable(f"no {' and no '.join(missing)} in the answer")
        return {field: writable(lowered[field].strip()) for field in fields}
    found = {field: _line(text, field) for field in fields}
    missing = [field for field, item in found.items() if not item]
    if missing:
        raise Unreadable(_why_not(text) or f"no {' and no '.join(missing)} in the answer")
    return {field: str(item) for field, item in found.items()}


def read_list(text: str, field: str) -> list[str]:
    """The texts of a list: from a JSON object or array, or from a numbered or bulleted list."""
    value = _first_json(text, "{[")
    if isinstance(value, dict):
        value = {str(key).lower(): item for key, item in value.items()}.get(field)
    items = [writable(item.strip()) for item in value if isinstance(item, str)] if isinstance(value, list) else []
    items = [item for item in items if item]
    if not items:  # no JSON, or a "[1]" that is none of the list
        matches = (ITEM.match(line) for line in text.splitlines())
        items = [match[1].strip().strip(QUOTES).strip() for match in matches if match]
    if not items:
        raise Unreadable(_why_not(text) or f"no list of {field} in the answer")
    return items


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
