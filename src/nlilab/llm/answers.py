"""The one tolerant reader of model answers: JSON, fenced, numbered and chatty; what it cannot read, it says why.

Thinking is cut away first (`thinking`). Strict JSON is read first, loose JSON (`loose`) where that fails. Of several
answers in one text a fenced one counts before those in the prose that leads to it; those that are left must say the
same, else nobody knows which is meant. What is cut off, or only repeats the form that the prompt shows, is no answer.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from nlilab.llm.request import writable
from nlilab.llm.scan import GONE, Candidate, Scanned, agreed, scan
from nlilab.llm.thinking import Twice, spoken

FENCE = re.compile(r"```\w*")
ITEM = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+(.+)$")
APOLOGY = re.compile(r"^(?:i(?:'|’)?m sorry|sorry|i can(?:'|’|no)t|i am unable|as an ai)", re.IGNORECASE)
QUOTES = "\"'“”‘’`*"
DOTS = re.compile(r"(?:@placeholder|\d|[^\w@])*(?:\.\.\.|…)(?:@placeholder|\d|[^\w@])*")
BLANK = r"[<\[{{][\w ]*\b(?:{field}|your|here|text|string)\b[\w ]*[>\]}}]|(?:your|the) [\w ]+ (?:goes )?here"

DIFFERENT = "two different answers"
CUT = "it is cut off"
FORM = "it only repeats the form that was shown"


class Unreadable(Exception):
    """An answer that cannot be read; its text is the reason that goes into the rejects."""


class Unanswered(Unreadable):
    """No answer at all, for reasons that pass: the provider was asked until the attempts were used up."""


def squeezed(text: str) -> str:
    """A text but for its blanks and capitals."""
    return " ".join(text.casefold().split())


def read_fields(
    text: str,
    fields: Sequence[str],
    further: Sequence[str] = (),
    shown: Collection[str] = (),
    same: Callable[[str], str] = squeezed,
) -> dict[str, str]:
    """The named text fields of an answer: from a JSON object, or from lines `Field: value`.

    `further`: fields that may be missing, and are empty then. `shown`: texts that the prompt shows to be filled in.
    Two answers are the same where `same` makes their fields' texts equal.
    """
    every = [*fields, *further]
    said = spoken(text, every)
    scanned = scan(said, "{", every)
    found = [one._replace(value=_texts(item, every)) for one in scanned.values for item in _objects(one.value, every)]
    json = any(_has(one.value, fields) for one in found)
    found += (not json and _blocks(said, fields)) or _lines(scanned.prose, fields, further, json)
    whole = [one for one in found if _has(one.value, fields)]
    real = [one for one in whole if not _is_form(one.value, fields, shown)]
    if scanned.cut or not real:
        lacking = [field for field in fields if not any(one.value.get(field) for one in found)] or fields
        raise Unreadable(_why_no(f"no {' and no '.join(lacking)}", text, said, scanned.cut, bool(whole)))
    value = _agreed(real, lambda value: [same(value[field]) for field in fields])
    extra = {field: value.get(field, "") for field in further}
    return {field: value[field] for field in fields} | {
        field: "" if _is_form({field: item}, [field], shown) else item for field, item in extra.items()
    }


def read_list(text: str, field: str, shown: Collection[str] = ()) -> list[str]:
    """The texts of a list: from a JSON object or array, or from a numbered or bulleted list."""
    said = spoken(text, [field])
    scanned = scan(said, "{[", [field])
    strings = [
        [writable(item.strip()) for item in one.value if isinstance(item, str)] for one in _lists(scanned, field)
    ]
    whole = _kept(_lists(scanned, field), [[item for item in items if item] for items in strings])
    if not whole:  # no JSON, or a "[1]" that is none of the list
        matches = (ITEM.match(line) for line in said.splitlines())
        items = [match[1].strip().strip(QUOTES).strip() for match in matches if match]
        whole = [Candidate(items, 0, False)] if items else []
    real = _kept(whole, [[item for item in one.value if not _is_form({field: item}, [field], shown)] for one in whole])
    if scanned.cut or not real:
        raise Unreadable(_why_no(f"no list of {field}", text, said, scanned.cut, bool(whole)))
    found: list[str] = _agreed(real, lambda items: items)
    return found


def read_records(text: str, field: str, keys: Sequence[str], shown: Collection[str] = ()) -> list[dict[str, str]]:
    """The objects of a list that have all `keys`, as texts: from a JSON object or array."""
    said = spoken(text, [field, *keys])
    scanned = scan(said, "{[", [field, *keys])
    lists = _lists(scanned, field)
    records = [[_fields(item, lists=True) for item in one.value if isinstance(item, dict)] for one in lists]
    whole = _kept(
        lists, [[{key: item[key] for key in keys} for item in items if _has(item, keys)] for items in records]
    )
    real = _kept(whole, [[item for item in one.value if not _is_form(item, keys, shown)] for one in whole])
    if scanned.cut or not real:
        reason = f"no item of {field} in the answer has {' and '.join(keys)}"
        raise Unreadable(_why_no(reason, text, said, scanned.cut, bool(whole)))
    found: list[dict[str, str]] = _agreed(real, lambda items: items)
    return found


def texts_shown(prompt: str) -> set[str]:
    """The texts within the JSON that a prompt shows: to be filled in by the answer, not repeated."""

    def inner(value: Any) -> Iterator[str]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in parts:
            yield from [part] if isinstance(part, str) else inner(part)

    return {text for one in scan(prompt, "{[", []).values for text in inner(one.value)}


def _agreed(found: Sequence[Candidate], same: Callable[[Any], Any]) -> Any:
    if (value := agreed(found, same)) is None:
        raise Unreadable(DIFFERENT)
    return value


def _objects(value: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """The objects that may hold the fields: the value, or what its only inner object or list wraps."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict)]
    if not isinstance(value, dict):
        return []
    inner = [item for item in value.values() if isinstance(item, dict | list)]
    if len(inner) == 1 and not set(names) & set(value):
        return _objects(inner[0], names)
    return [value]


def _kept(found: Sequence[Candidate], values: Sequence[list[Any]]) -> list[Candidate]:
    """The candidates with other values, those apart whose value is empty."""
    return [one._replace(value=value) for one, value in zip(found, values, strict=True) if value]


def _has(value: Mapping[str, str], names: Sequence[str]) -> bool:
    return all(value.get(name) for name in names)


def _is_form(value: Mapping[str, str], fields: Sequence[str], shown: Collection[str]) -> bool:
    """Whether some text is a blank to be filled in ("...", "<your hypothesis>"), or all are those of the prompt."""
    texts = {field: value.get(field, "") for field in fields}
    if any(DOTS.fullmatch(text) for text in texts.values()) or all(text in shown for text in texts.values()):
        return True
    return any(re.fullmatch(BLANK.format(field=re.escape(field)), texts[field], re.IGNORECASE) for field in fields)


def _lines(prose: str, fields: Sequence[str], further: Sequence[str], beside_json: bool) -> list[Candidate]:
    """What lines `Field: value` say, in as many answers as the field that stands most often; some may lack fields.

    Beside JSON only what stands on a field's own line counts: a heading above the JSON is no answer.
    """
    found: dict[str, list[re.Match[str]]] = {}
    for field in (*fields, *further):
        name = rf"^[\s*#>]*(?:\d+[.)]\s*)?[*_]*{re.escape(field)}[*_]*\s*:[*_]*(\s*)(.+)$"
        matches = re.finditer(name, prose, re.IGNORECASE | re.MULTILINE)
        found[field] = [one for one in matches if not (GONE in one[2] or one[2].startswith("```"))]
        if beside_json:
            found[field] = [one for one in found[field] if "\n" not in one[1]]
    out = []
    for number in range(max(len(found[field]) for field in fields)):
        own = {field: matches[min(number, len(matches) - 1)] for field, matches in found.items() if matches}
        value = {field: match[2].strip().strip(QUOTES).strip() for field, match in own.items()}
        place = max(own[field].start() for field in fields if field in own)
        out.append(Candidate(value, place, len(FENCE.findall(prose[:place])) % 2 == 1))
    return out


def _blocks(text: str, fields: Sequence[str]) -> list[Candidate]:
    """Fields that are fenced blocks (code), each behind its name, with others as lines; none where no field is one."""
    block = r"\W{0,6}\s*```\w*\n(.*?)```"
    found = {field: re.findall(re.escape(field) + block, text, re.IGNORECASE | re.DOTALL) for field in fields}
    others = [field for field, own in found.items() if not own]
    lines = _lines(text, others, (), False)[-1:] if others else []
    said = {field: item for one in lines for field, item in one.value.items()}
    return [
        Candidate(
            said | {field: own[min(number, len(own) - 1)].rstrip() for field, own in found.items() if own}, number, True
        )
        for number in range(max(map(len, found.values())))
    ]


def _why_no(what: str, text: str, said: str, cut: bool, form: bool) -> str:
    """Why a text is unreadable, `what` being what it lacks."""
    if not text.strip():
        return "the answer is empty"
    if not said.strip():
        return "the model thought, and did not answer"
    if APOLOGY.match(said.strip()):
        return "the model declined"
    what = what if " in the answer" in what else f"{what} in the answer"
    return f"{what}: {CUT if cut else FORM}" if cut or form else what


def _texts(value: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    if any(isinstance(value.get(name), Twice) for name in names):
        raise Unreadable(DIFFERENT)
    return {name: text for name, text in _fields(value).items() if name in names}


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


def _lists(scanned: Scanned, field: str) -> list[Candidate]:
    """The JSON arrays of the text, or those that objects (or the only object within one) hold under `field`."""
    out = []
    for one in scanned.values:
        value = one.value
        for item in _objects(value, [field]) if isinstance(value, dict) else []:
            value = item.get(field)
        if isinstance(value, Twice):
            raise Unreadable(DIFFERENT)
        out += [one._replace(value=value)] if isinstance(value, list) else []
    return out
