"""wsc and axg: a pronoun that only sense binds; marked in one task, spelt out by the hypothesis in the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from nlilab.llm.grammar.cast import Dice, fraction
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.kinds import Fields, Kind, Made, cast_of, distinct, words
from nlilab.llm.grammar.morphology import articles, plural
from nlilab.llm.grammar.slots import fill, found

SCHEMAS = 24  # that are tried on two persons
_SETS = {"he": "he/him/his", "she": "she/her/her", "they": "they/them/their"}
_WAS = {"he": "was", "she": "was", "they": "were"}


@dataclass(frozen=True)
class Schema:
    """A main clause with one dependent clause; `side` says which of its two persons the clause is about."""

    main: str
    clause: str
    side: str  # x or y
    one: bool

    def text(self, opening: str, pronoun: str) -> str:
        """The sentence as a template of the two persons: $X and $Y are left."""
        main = self.main.replace("$X", "$x", 1) if opening else self.main
        clause = self.clause.replace("$he", pronoun).replace("$was", _WAS[pronoun.strip("*")])
        return f"{opening}{main} {clause}."


@lru_cache(maxsize=1)
def schemas() -> tuple[Schema, ...]:
    """Every main clause with every dependent clause."""
    return tuple(
        Schema(entry["main"].replace("$Y", "$y"), clause, side, entry.get("one", False))
        for entry in words("bindings")["schemas"]
        for side in ("x", "y")
        for clause in entry[side]
    )


@lru_cache(maxsize=64)
def _nouns(context: str) -> tuple[str, ...]:
    gendered = words("bindings")["gendered"]
    return tuple(noun for noun in cast_of(context).people if noun not in gendered)


def _two(dice: Dice, context: str) -> tuple[str, str]:
    """Two different roles, most of them with an adjective."""
    nouns = dice.some(_nouns(context), 2)
    kinds = dice.some(words("bindings")["adjectives"], 2)
    first, second = (f"{kind} {noun}" if dice.chance(0.6) else noun for kind, noun in zip(kinds, nouns, strict=True))
    return first, second


@dataclass(frozen=True)
class Bound:
    """What a sentence of the grammar says: its schema and the two persons."""

    schema: Schema
    x: str
    y: str

    @property
    def who(self) -> str:
        """The person to whom the pronoun refers."""
        return self.x if self.schema.side == "x" else self.y

    @property
    def other(self) -> str:
        """The other one."""
        return self.y if self.schema.side == "x" else self.x


def read(text: str, mark: str = "") -> Bound:
    """The reading of one of the grammar's own sentences, whose pronoun stands between `mark`s."""
    openings = dict.fromkeys(words("bindings")["openings"])
    for opening in openings:
        if text.startswith(opening) and (opening or not text.startswith(tuple(filter(None, openings)))):
            for schema in schemas():
                for pronoun in (f"{mark}{name}{mark}" for name in _SETS):
                    if f" {pronoun} " in text and (values := found(schema.text(opening, pronoun), text)) is not None:
                        return Bound(schema, _small(values["x"]), values["y"])
    raise ForeignText(f"the sentence {text!r} is not the grammar's own")


def _small(phrase: str) -> str:
    return "the " + phrase[4:] if phrase.startswith("The ") else phrase


# --- wsc ---


def _wsc_seeds(context: str, n: int) -> list[Fields]:
    def drawn(number: int) -> Iterator[Fields]:
        dice = Dice("wsc", context, number)
        first, second = _two(dice, context)
        pronoun = dice.pick(list(_SETS))
        if pronoun == "they":
            first, second = plural(first), plural(second)
        yield {"noun_phrase": f"the {first}", "other": f"the {second}", "pronoun": _SETS[pronoun]}

    return distinct(n, drawn)


def _wsc_instances(context: str, given: Fields) -> Iterator[Made]:
    pronoun = given["pronoun"].split("/")[0]
    if pronoun not in _SETS:
        raise ForeignText(f"pronoun {given['pronoun']!r} is none of {', '.join(_SETS.values())}")
    persons = {"x": given["noun_phrase"], "y": given["other"]}
    openings = words("bindings")["openings"]
    fitting = [schema for schema in schemas() if not (schema.one and pronoun == "they")]
    for schema in Dice("wsc", context, *persons.values(), pronoun).some(fitting, SCHEMAS):
        for turned in (False, True):
            values = {"x": persons["y"], "y": persons["x"]} if turned else persons
            opening = openings[int(fraction(context, *values.values(), schema.main, schema.clause) * len(openings))]
            text = fill(schema.text(opening, f"*{pronoun}*"), values)
            label = "true" if values[schema.side] == given["noun_phrase"] else "false"
            seed = {name: given[name] for name in ("noun_phrase", "other", "pronoun")}
            yield Made({**seed, "text": text}, label, _wsc_why(given["noun_phrase"], given["other"]))


def _wsc_why(phrase: str, other: str) -> dict[str, str]:
    said = "Only of {} does the clause with the pronoun make sense."
    return {"true": said.format(phrase), "false": said.format(other)}


def _wsc_judge(context: str, fields: Fields) -> Made:
    reading = read(fields["text"], "*")
    phrase = _small(fields["noun_phrase"])
    if phrase not in (reading.x, reading.y):
        raise ForeignText(f"noun_phrase {fields['noun_phrase']!r} is not in {fields['text']!r}")
    label, other = ("true", reading.other) if phrase == reading.who else ("false", reading.who)
    return Made(fields, label, _wsc_why(phrase, other))


WSC = Kind(
    labels=("true", "false"),
    given=("noun_phrase", "other", "pronoun"),
    writes=("text",),
    seeds=_wsc_seeds,
    instances=_wsc_instances,
    judge=_wsc_judge,
)


# --- axg ---

_WORDINGS = ("$Who $clause.", "It was $who who $clause.", "The one who $clause was $who.")
_SINGLE = tuple(_SETS)[:2]


def _axg_seeds(context: str, n: int) -> list[Fields]:
    """In fours, as TarGEN D.8 has them: two referents of one main clause, each with two pronouns."""
    mains = list(dict.fromkeys(schema.main for schema in schemas()))

    def drawn(number: int) -> Iterator[Fields]:
        dice = Dice("axg", context, number)
        x, y = (f"the {phrase}" for phrase in _two(dice, context))
        main, opening = dice.pick(mains), dice.pick(words("bindings")["openings"])
        for side in ("x", "y"):
            schema = dice.pick([schema for schema in schemas() if (schema.main, schema.side) == (main, side)])
            for pronoun in _SINGLE:
                premise = fill(schema.text(opening, pronoun), {"x": x, "y": y})
                yield {"premise": premise, "subject": x if side == "x" else y}

    return distinct(n, drawn)


def _axg_instances(context: str, given: Fields) -> Iterator[Made]:
    reading = read(given["premise"])
    clause = reading.schema.clause.removeprefix("$he ").replace("$was", "was")
    for label, who in (("entailment", reading.who), ("non-entailment", reading.other)):
        other = reading.other if who == reading.who else reading.who
        said = "The pronoun refers to {}, of whom alone the clause makes sense."
        why = {"entailment": said.format(who), "non-entailment": said.format(other)}
        for wording in _WORDINGS:
            hypothesis = articles(fill(wording, {"who": who, "clause": clause}))
            seed = {"premise": given["premise"], "subject": reading.who}
            yield Made({**seed, "hypothesis": hypothesis}, label, why)


def _axg_judge(context: str, fields: Fields) -> Made:
    for made in _axg_instances(context, {"premise": fields["premise"]}):
        if made.fields["hypothesis"] == fields["hypothesis"]:
            return made
    raise ForeignText(f"hypothesis {fields['hypothesis']!r} is not the grammar's own")


AXG = Kind(
    labels=("entailment", "non-entailment"),
    given=("premise", "subject"),
    writes=("hypothesis",),
    seeds=_axg_seeds,
    instances=_axg_instances,
    judge=_axg_judge,
)
