"""Texts with slots: $name is filled with a word, and found again in a text that was filled."""

import re
from collections.abc import Mapping
from functools import lru_cache

_SLOT = re.compile(r"\$([A-Za-z]+)")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text; $Name is the value of `name` with a capital."""
    return _SLOT.sub(
        lambda match: values[match[1]] if match[1] in values else capital(values[_low(match[1])]), template
    )


def slots(template: str) -> list[str]:
    """The names of the slots, each once, in lower case where the slot only asks for a capital."""
    return list(dict.fromkeys(_low(name) for name in _SLOT.findall(template)))


def found(template: str, text: str) -> dict[str, str] | None:
    """The values with which the template gives this text, or None."""
    if (match := _pattern(template).fullmatch(text)) is None:
        return None
    values: dict[str, str] = {}
    for name, value in match.groupdict().items():
        values.setdefault(_low(name), value)
    for name, value in match.groupdict().items():  # the form without a capital is the value itself
        if name == _low(name):
            values[name] = value
    return values if fill(template, values) == text else None


def capital(text: str) -> str:
    """The text with a capital."""
    return text[:1].upper() + text[1:]


def _low(name: str) -> str:
    return name[:1].lower() + name[1:]


@lru_cache(maxsize=4096)
def _pattern(template: str) -> re.Pattern[str]:
    parts: list[str] = []
    seen: set[str] = set()
    for number, part in enumerate(_SLOT.split(template)):
        if number % 2 == 0:
            parts.append(re.escape(part))
        else:
            parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>[^.,;:!?\\n]+?)")
            seen.add(part)
    return re.compile("".join(parts))
