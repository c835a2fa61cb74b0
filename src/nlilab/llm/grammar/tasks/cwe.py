"""cwe: pieces of Python, each in two versions, of which one has the weakness; nothing of it is ever run."""

import re
from collections.abc import Iterator
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.kinds import Fields, Kind, Made, cast_of, distinct, words
from nlilab.llm.grammar.morphology import plural
from nlilab.llm.grammar.slots import capital, fill, found

LABELS = ("vulnerable", "safe")
_RANKED = "79 787 89 352 22 125 78 416 862 434 94 20 77 287 269 502 200 863 918 119 476 798 190 400 306"
NUMBERS = tuple(_RANKED.split())  # MITRE's list of 2024
VARIANTS = 3  # of each piece for a scenario
_SCENARIO = "$Form lets $people $verb $nouns by $field."
_DOC = '"""Let $people $verb $nouns by $field."""'
_GAP = "\n\n\n"


def _number(weakness: str) -> str:
    number = weakness.partition(":")[0].removeprefix("CWE-").strip()
    if number not in NUMBERS:
        raise ForeignText(f"weakness {weakness!r} does not begin with one of CWE-{', CWE-'.join(NUMBERS)}")
    return number


def _seeds(context: str, n: int) -> list[Fields]:
    lists, people = words("code"), list(cast_of(context).people)

    def drawn(number: int) -> Iterator[Fields]:
        dice = Dice("cwe", context, number)
        values = {
            "form": dice.pick(lists["forms"]),
            "people": plural(dice.pick(people)),
            "verb": dice.pick(lists["verbs"]),
            "nouns": plural(dice.pick(lists["nouns"])),
            "field": dice.pick(lists["slots"]["field"]),
        }
        yield {"scenario": fill(_SCENARIO, values)}

    return distinct(n, drawn)


def _values(dice: Dice, scenario: str) -> dict[str, str]:
    """Words for all slots; what the scenario speaks of is taken from it."""
    lists = words("code")
    values = {name: dice.pick(options) for name, options in lists["slots"].items()}
    nouns = {plural(noun): noun for noun in lists["nouns"]}
    own = re.fullmatch(
        rf".+ lets (?P<people>.+) (?P<verb>{'|'.join(lists['verbs'])}) "
        rf"(?P<nouns>{'|'.join(nouns)}) by (?P<field>\w+)\.",
        scenario,
    )
    values |= own.groupdict() if own else {"people": "people", "verb": "share", "nouns": dice.pick(list(nouns))}
    values["noun"] = nouns[values["nouns"]]
    return values | {"NOUN": values["noun"].upper(), "NOUNS": values["nouns"].upper()}


@lru_cache(maxsize=128)
def _piece(number: str, pair: int, label: str) -> str:
    return str(words(f"cwe/{number}")["pairs"][pair][label])


def _framed(dice: Dice, piece: str) -> str:
    """The piece, now and then with a line that says what it is for or with a function beside it."""
    if dice.chance(0.6):
        head, _, rest = piece.partition(_GAP)
        piece = _GAP.join((head, dice.pick(words("code")["helpers"]), rest))
    return f"{_DOC}\n\n{piece}" if dice.chance(0.3) else piece


def _instances(context: str, given: Fields) -> Iterator[Made]:
    scenario, weakness = given["scenario"], given["weakness"]
    number = _number(weakness)
    entry = words(f"cwe/{number}")
    for pair in range(len(entry["pairs"])):
        for variant in range(VARIANTS):
            for label in LABELS:
                dice = Dice("cwe", context, scenario, number, pair, variant)  # both versions in the same words
                values = _values(dice, scenario)
                code = fill(_framed(dice, _piece(number, pair, label)), values)
                fields = {"scenario": scenario, "weakness": weakness, "code": code}
                yield Made(fields, label, _why(number))


def _why(number: str) -> dict[str, str]:
    return {label: capital(text) for label, text in words(f"cwe/{number}")["why"].items()}


def _bare(code: str) -> Iterator[str]:
    """The piece without its frame: as it is, and without the function that may stand second in it."""
    if code.startswith('"""'):
        code = code.partition("\n\n")[2]
    yield code
    head, *rest = code.split(_GAP)
    if rest and any(found(helper, rest[0]) is not None for helper in words("code")["helpers"]):
        yield _GAP.join((head, *rest[1:]))


def _judge(context: str, fields: Fields) -> Made:
    number = _number(fields["weakness"])
    for piece in _bare(fields["code"]):
        for pair in range(len(words(f"cwe/{number}")["pairs"])):
            for label in LABELS:
                if found(_piece(number, pair, label), piece) is not None:
                    return Made(fields, label, _why(number))
    raise ForeignText(f"the code that begins {fields['code'][:60]!r} is not the grammar's own for CWE-{number}")


CWE = Kind(
    labels=LABELS,
    given=("scenario", "weakness"),
    writes=("code",),
    seeds=_seeds,
    instances=_instances,
    judge=_judge,
)
