"""JSON as models write it loosely, by json-repair: kept only where what was read says all that was written."""

import json
import re
from collections.abc import Iterable
from typing import Any

from json_repair import repair_json

OPEN, CLOSE = "{[", "}]"
QUOTE = "\"'“”‘’„`"
INNER = {"'": "\ue000", "’": "\ue001"}  # what stands for an apostrophe within a word while marks are told apart
RESTORED = str.maketrans({mark: letter for letter, mark in INNER.items()})
WITHIN = re.compile(r"(?<=\w)['’](?=\w)")
# The end of a whole value before the last bracket: a text that is closed, a bracket, a word or a number without marks.
WHOLE = re.compile(rf"(?:[{QUOTE}}}\]{{\[]|[:,\[]\s*[\w.+-]+)\s*,?\s*$")
COMMENT = re.compile(r"/\*.*?\*/|(?:^|(?<=[\s,{\[]))(?://|#)[^\n]*$", re.DOTALL | re.MULTILINE)
APART = re.compile(r'("(?:\\.|[^"\\])*")|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)
LITERAL = re.compile(r"(?<=[:,\[])(?:None|True|False)(?=[,}\]])")
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
MARK = re.compile(r"(?<!\\)[\"']")


def closed(text: str, place: int) -> int | None:
    """Where the bracket at a place is closed (behind it), counting every bracket; None where the text ends before."""
    depth = 0
    for number in range(place, len(text)):
        depth += (text[number] in OPEN) - (text[number] in CLOSE)
        if depth == 0:
            return number + 1
    return None


def begins(text: str, place: int, names: Iterable[str]) -> bool:
    """Whether an object or a list of texts begins at a place, and not brackets of some other use."""
    bare = "".join(rf"|{re.escape(name)}\s*:" for name in names)
    comments = r"(?:\s|/\*.*?\*/|//[^\n]*\n|#[^\n]*\n)*"
    start = rf"(?:\{{{comments}(?:[{QUOTE}][^{QUOTE}\n]{{1,60}}[{QUOTE}]\s*:{bare})|\[{comments}[{QUOTE}{{])"
    return re.compile(start, re.DOTALL | re.IGNORECASE).match(text, place) is not None


def breaks_off(text: str, place: int) -> bool:
    """Whether the text ends within the first name of an object that begins at a place."""
    return re.compile(rf"\{{\s*(?:[{QUOTE}][^{QUOTE}\n]*[{QUOTE}]?)?\s*\Z").match(text, place) is not None


def mentions(text: str, place: int, names: Iterable[str]) -> bool:
    """Whether behind a place there is one of the names with a colon, as in the object that was asked for."""
    named = "|".join(map(re.escape, names))
    return re.compile(rf"\b(?:{named})[{QUOTE}]?\s*:", re.IGNORECASE).search(text, place) is not None


def read_loose(text: str, names: Iterable[str]) -> Any:
    """The object or list that a whole region holds, or None where it cannot be read without a loss.

    Trailing commas, other quotation marks and unescaped inner ones, comments, names without marks, Python's literals.
    A region whose last value is not closed is no answer, whatever could be made of it.
    """
    if not any(WHOLE.search(inner) for inner in (text[:-1], COMMENT.sub("", text[:-1]))):
        return None
    # What may be a comment is first taken for text; then what stands apart from whole texts is left out, then more.
    for source in (text, APART.sub(lambda part: part[1] or "", text), COMMENT.sub("", text)):
        for variant in _variants(source, names):
            found = repair_json(variant, skip_json_loads=True, return_objects=True)
            if isinstance(found, dict | list) and _tidy(_says(found)) == _squeezed(variant):
                return _restored(found)
    return None


def _variants(text: str, names: Iterable[str]) -> Iterable[str]:
    """The region as it is, and with its marks told apart by other rules, the plainest first."""
    plain = _straight(text)
    yield plain
    yield _by_place(plain)
    if not (named := "|".join(map(re.escape, names))):
        return
    bare = re.sub(rf"([{{,]\s*)({named})(\s*:)", r'\1"\2"\3', plain, flags=re.IGNORECASE)
    yield re.sub(rf'("(?:{named})"\s*:\s*)([A-Za-z][\w-]*)(\s*[,}}])', _word, bare, flags=re.IGNORECASE)


def _by_place(text: str) -> str:
    """The region where a mark that neither begins nor ends a value stands for itself: 6" of snow, the dogs' bowls."""
    first = next((letter for letter in text if letter in "\"'"), '"')

    def mark(found: re.Match[str]) -> str:
        if found[0] == first and _structural(text, found.start()):
            return '"'
        return '\\"' if found[0] == '"' else found[0]

    return MARK.sub(mark, text)


def _word(match: re.Match[str]) -> str:
    literal = match[2].lower() in ("null", "none", "true", "false")
    return match[0] if literal else f'{match[1]}"{match[2]}"{match[3]}'


def _structural(text: str, place: int) -> bool:
    before, after = text[:place].rstrip()[-1:], text[place + 1 :].lstrip()[:1]
    return before in (*OPEN, ",", ":") or after in (*CLOSE, ",", ":")


def _straight(text: str) -> str:
    """The region with the typographic marks around its values made straight; those within values stay."""
    first = next((letter for letter in text if letter in QUOTE), '"')
    text = WITHIN.sub(lambda mark: INNER[mark[0]], text) if first in "'‘’" else text
    pair = {"“": "“”", "”": "“”", "„": "„“", "‘": "‘’", "’": "‘’"}.get(first)
    if pair is None:
        return text
    out, depth = [], 0
    for letter in text:
        if letter == pair[0] and (pair[0] != pair[1]):
            out.append('"' if depth == 0 else letter)
            depth += 1
        elif letter == pair[1] and depth:
            depth -= 1
            out.append('"' if depth == 0 else letter)
        else:
            out.append('\\"' if letter == '"' and depth else letter)
    return "".join(out)


def _says(value: Any) -> str:
    """A value as JSON without escapes and blanks, to be held beside what it was read from."""
    if isinstance(value, dict):
        return "{" + ",".join(f'"{_bare(str(key))}":{_says(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_says, value)) + "]"
    return f'"{_bare(value)}"' if isinstance(value, str) else json.dumps(value)


def _squeezed(text: str) -> str:
    """What a region says in the same form: no blanks, one kind of mark, no escapes."""
    return _tidy(_bare(ESCAPE.sub(_unescaped, text)))


def _tidy(text: str) -> str:
    """Without trailing commas, and with JSON's literals."""
    text = re.sub(r",(?=[}\]])", "", text)
    return LITERAL.sub(lambda match: {"None": "null"}.get(match[0], match[0].lower()), text)


def _bare(text: str) -> str:
    text = re.sub(r"[\s\\\x00-\x1f]", "", _paired(text))
    return re.sub(rf"[{QUOTE}{''.join(INNER.values())}]", '"', text)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else "" if code in "nrtbf" else code


def _restored(value: Any) -> Any:
    """The value with its apostrophes, and with names in lower case, as those of strict JSON come."""
    if isinstance(value, dict):
        return {_restored(str(key)).strip().lower(): _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return _paired(value).translate(RESTORED) if isinstance(value, str) else value


def _paired(text: str) -> str:
    """The text with halves of surrogate pairs that stand together joined: an emoji that was escaped."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
