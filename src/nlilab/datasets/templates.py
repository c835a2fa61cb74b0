"""Sentence templates to labelled pairs: the expander of suites in the style of HANS (McCoy et al. 2019, section 3)."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlilab.core.errors import UserError

LABELS = ("entailment", "non-entailment")
ATTEMPTS = 1000  # draws for one pair; a space of 20 assignments is exhausted far earlier
SLOT = re.compile(r"\{([a-z_]+)(\d*)(?:\.([a-z_]+))?\}")
ARTICLE_AND_SLOT = re.compile(r"(?:\b([Aa])n? )?" + SLOT.pattern)
CONSONANT_SOUND = re.compile(r"uni(?![dmn])|us[eu]|uti|uku|eu|one\b|once\b", re.IGNORECASE)
VOWEL_SOUND = re.compile(r"[aeiou]|hour|honest|honou?r|heir", re.IGNORECASE)

Word = str | Mapping[str, str]


@dataclass(frozen=True)
class Slot:
    """One place in a template: `{verb2.past}` is list `verb`, key `verb2`, form `past`."""

    words: str
    key: str
    form: str | None
    text: str


def expand(suite: Mapping[str, Any]) -> list[dict[str, str]]:
    """Turn a template suite into rows, the same on every machine.

    A row has id (`<heuristic>.<subcase>.<n>`), premise, hypothesis, label, heuristic, subcase and group (the subcase).
    Raises UserError, which names the subcase and slot, for a suite that cannot be expanded.
    """
    _check_keys(suite, "the template suite", ("words", "pairs_per_subcase", "subcases"))
    count = suite["pairs_per_subcase"]
    if type(count) is not int or count < 1:
        raise UserError(f"the template suite: pairs_per_subcase is {count!r}, expected a whole number of at least 1")
    words = _checked_words(suite["words"])
    subcases = suite["subcases"]
    if not isinstance(subcases, list) or not subcases:
        raise UserError("the template suite: `subcases` must be a list with at least one subcase")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, subcase in enumerate(subcases, start=1):
        place = _checked_subcase(subcase, number)
        if subcase["subcase"] in seen:
            raise UserError(f"{place}: this name is used twice; give each subcase a name of its own")
        seen.add(subcase["subcase"])
        pairs = _pairs(place, _templates(subcase, place), words, count)
        rows.extend(_row(subcase, n, premise, hypothesis) for n, (premise, hypothesis) in enumerate(pairs))
    return rows


def _row(subcase: Mapping[str, Any], n: int, premise: str, hypothesis: str) -> dict[str, str]:
    heuristic, name = subcase["heuristic"], subcase["subcase"]
    return {
        "id": f"{heuristic}.{name}.{n}",
        "premise": premise,
        "hypothesis": hypothesis,
        "label": subcase["label"],
        "heuristic": heuristic,
        "subcase": name,
        "group": name,
    }


def _check_keys(value: Any, place: str, required: Sequence[str]) -> None:
    if not isinstance(value, Mapping):
        raise UserError(f"{place}: expected keys {', '.join(required)}, got {type(value).__name__}")
    for key in required:
        if key not in value:
            raise UserError(f"{place}: the key `{key}` is missing; expected {', '.join(required)}")
    if unknown := [str(key) for key in value if key not in required]:
        raise UserError(f"{place}: unknown key `{unknown[0]}`; expected {', '.join(required)}")


def _checked_words(words: Any) -> Mapping[str, Sequence[Word]]:
    """The word lists; YAML reads a bare `no`, `on` or `7` as something else than text, so every word is checked."""
    if not isinstance(words, Mapping):
        raise UserError(f"the template suite: `words` must map names to lists of words, got {type(words).__name__}")
    for name, entries in words.items():
        if not re.fullmatch("[a-z_]+", str(name)):
            raise UserError(f"words: the list name {name!r} must be lower-case letters and underscores, without digits")
        if not isinstance(entries, list) or not entries:
            raise UserError(f"words.{name}: expected a list with at least one word")
        for entry in entries:
            texts = list(entry.values()) if isinstance(entry, Mapping) else [entry]
            if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
                raise UserError(f"words.{name}: {entry!r} is neither text nor a mapping of forms to text; quote it?")
    return words


def _checked_subcase(subcase: Any, number: int) -> str:
    """Check one subcase's keys and label; return the name that error messages use for it."""
    name = subcase.get("subcase") if isinstance(subcase, Mapping) else None
    place = f"subcase {name or f'number {number}'}"
    texts = ("templates",) if isinstance(subcase, Mapping) and "templates" in subcase else ("premise", "hypothesis")
    _check_keys(subcase, place, ("heuristic", "subcase", "label", *texts))
    for key in ("heuristic", "subcase"):
        if not isinstance(subcase[key], str) or not subcase[key]:
            raise UserError(f"{place}: `{key}` is {subcase[key]!r}, expected text")
    if subcase["label"] not in LABELS:
        raise UserError(f"{place}: unknown label {subcase['label']!r}, expected {' or '.join(LABELS)}")
    return place


def _templates(subcase: Mapping[str, Any], place: str) -> list[tuple[str, str]]:
    """The subcase's (premise, hypothesis) templates, one or several."""
    several = subcase.get("templates", [{key: subcase.get(key) for key in ("premise", "hypothesis")}])
    if not isinstance(several, list) or not several:
        raise UserError(f"{place}: `templates` must be a list of premise and hypothesis")
    for template in several:
        _check_keys(template, place, ("premise", "hypothesis"))
        for key, text in template.items():
            if not isinstance(text, str) or not text.strip():
                raise UserError(f"{place}: `{key}` is {text!r}, expected a sentence")
            if rest := re.search(r"\{[^{}]*\}?|\}", SLOT.sub("", text)):
                raise UserError(
                    f"{place}: cannot read the slot {rest[0]!r}, expected {{list}}, {{list2}} or {{list.form}}"
                )
    return [(template["premise"], template["hypothesis"]) for template in several]


def _slots(template: tuple[str, str], place: str, words: Mapping[str, Sequence[Word]]) -> list[Slot]:
    """Every slot of a premise and its hypothesis, each known to be fillable by each word of its list."""
    slots = [Slot(match[1], match[1] + match[2], match[3], match[0]) for match in SLOT.finditer(" ".join(template))]
    for slot in slots:
        where = f"{place}, slot {slot.text}"
        if slot.words not in words:
            raise UserError(f"{where}: there is no word list `{slot.words}`; the lists are {', '.join(sorted(words))}")
        for word in words[slot.words] if slot.form else ():
            if isinstance(word, str) or slot.form not in word:
                raise UserError(f"{where}: the word {word!r} has no form `{slot.form}`; add it in words.{slot.words}")
        keys = {other.key for other in slots if other.words == slot.words}
        have = len(words[slot.words])
        if len(keys) > have:
            raise UserError(f"{where}: needs {len(keys)} different words, words.{slot.words} has {have}")
    return slots


def _pairs(
    place: str, templates: Sequence[tuple[str, str]], words: Mapping[str, Sequence[Word]], count: int
) -> Iterator[tuple[str, str]]:
    """Yield `count` distinct pairs, taking the templates in turn."""
    slots = [_slots(template, place, words) for template in templates]
    seen: set[tuple[str, str]] = set()
    for n in range(count):
        turn = n % len(templates)
        for attempt in range(ATTEMPTS):
            chosen = _draw(slots[turn], words, f"{place}.{n}.{attempt}")
            pair = (_fill(templates[turn][0], chosen), _fill(templates[turn][1], chosen))
            if pair not in seen:
                break
        else:
            sizes = ", ".join(f"{{{slot.key}}} from {len(words[slot.words])}" for slot in _unique(slots[turn]))
            raise UserError(
                f"{place}: too few words for {count} distinct pairs, found {n} ({sizes or 'no slots'}); "
                "add words or lower pairs_per_subcase"
            )
        seen.add(pair)
        yield pair


def _unique(slots: Sequence[Slot]) -> list[Slot]:
    return list({slot.key: slot for slot in slots}.values())


def _draw(slots: Sequence[Slot], words: Mapping[str, Sequence[Word]], seed: str) -> dict[str, Word]:
    """One word for each slot key; a hash chooses, since `random`'s choices may change between Python versions."""
    taken: dict[str, list[int]] = {}
    chosen: dict[str, Word] = {}
    for slot in _unique(slots):
        used = taken.setdefault(slot.words, [])
        free = [index for index in range(len(words[slot.words])) if index not in used]
        number = int.from_bytes(hashlib.sha256(f"{seed}.{slot.key}".encode()).digest()[:8], "big")
        used.append(free[number % len(free)])
        chosen[slot.key] = words[slot.words][used[-1]]
    return chosen


def _fill(template: str, chosen: Mapping[str, Word]) -> str:
    """Put the words in; an article before a slot follows the word's sound, the sentence starts with a capital."""

    def place_word(match: re.Match[str]) -> str:
        article, words, number, form = match.groups()
        word = chosen[words + number]
        text = word if isinstance(word, str) else word[form or next(iter(word))]
        if article is None:
            return text
        vowel = VOWEL_SOUND.match(text) and not CONSONANT_SOUND.match(text)
        return f"{article}{'n' if vowel else ''} {text}"

    text = ARTICLE_AND_SLOT.sub(place_word, template).strip()
    return text[:1].upper() + text[1:]
