"""wic: a word in two sentences, with the same of its meanings or with two."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product

from nlilab.llm.grammar.cast import Dice, fraction
from nlilab.llm.grammar.corpus import ForeignText
from nlilab.llm.grammar.kinds import Fields, Kind, Made, cast_of, distinct, words
from nlilab.llm.grammar.lexicon import lexicon
from nlilab.llm.grammar.slots import capital, fill, found

Senses = Mapping[str, tuple[str, ...]]  # meaning -> sentences with a slot for a person


@lru_cache(maxsize=4)
def inventory(part: str = "") -> dict[str, Senses]:
    """Word -> its senses; `part` keeps to "nouns" or "verbs", without it a word that is both has the senses of both."""
    made: dict[str, Senses] = {}
    for kind, entries in words("senses").items():
        if part in ("", kind):
            for word, senses in entries.items():
                own = {meaning: tuple(f"{text}." for text in texts) for meaning, texts in senses.items()}
                made[word] = {**made.get(word, {}), **own}
    return made


def _person(dice: Dice, context: str) -> str:
    if dice.chance(0.3):
        return dice.pick(lexicon().names)
    return f"the {dice.pick(list(cast_of(context).people))}"


def _seeds(context: str, n: int) -> list[Fields]:
    """The context's words in an order of its own, each with its meanings and examples that other contexts lack."""
    part = next((part for part in ("nouns", "verbs") if part in context), "")
    known = inventory(part) if part else {**inventory("verbs"), **inventory("nouns")}  # never both parts of one word
    order = sorted(known, key=lambda word: fraction("wic", context, word))

    def drawn(number: int) -> Iterator[Fields]:
        turn, place = divmod(number, len(order))
        word = order[place]
        dice = Dice("wic", context, word, turn)
        shown = [f"{meaning} ({_example(dice, context, texts)})" for meaning, texts in known[word].items()]
        numbered = enumerate(dice.some(shown, len(shown)), start=1)
        yield {"word": word, "definitions": "; ".join(f"{number}. {text}" for number, text in numbered)}

    return distinct(n, drawn)


def _example(dice: Dice, context: str, texts: tuple[str, ...]) -> str:
    told = [text for text in texts if "$Who" in text]
    return fill(dice.pick(told).replace("$Who", "$who"), {"who": _person(dice, context)}).removesuffix(".")


def _senses(word: str, definitions: str = "") -> Senses:
    """The senses of a word; where they are given, only those."""
    if word not in inventory():
        raise ForeignText(f"word {word!r} is none of the {len(inventory())} of which the grammar knows the meanings")
    known = inventory()[word]
    given = {meaning: texts for meaning, texts in known.items() if meaning in definitions}
    return given if len(given) > 1 else known


def _instances(context: str, given: Fields) -> Iterator[Made]:
    word = given["word"]
    senses = _senses(word, given["definitions"])
    dice = Dice("wic", context, word, given["definitions"])
    said = {text: capital(fill(text, {"who": _person(dice, context)})) for texts in senses.values() for text in texts}
    seed = {"word": word, "definitions": given["definitions"]}
    for first, second in product(senses, senses):
        for one, other in product(senses[first], senses[second]):
            if one != other:
                yield _made({**seed, "sentence1": said[one], "sentence2": said[other]}, first, second)


def _made(fields: Fields, first: str, second: str) -> Made:
    """The instance whose sentences use the word in these meanings."""
    word = fields["word"]
    another = second if second != first else next(meaning for meaning in _senses(word) if meaning != first)
    why = {
        "true": f'In both sentences "{word}" means {first}.',
        "false": f'In one sentence "{word}" means {first}, in the other {another}.',
    }
    return Made(fields, "true" if first == second else "false", why)


def _meaning(word: str, sentence: str) -> str:
    for meaning, texts in _senses(word).items():
        if any(found(text, sentence) is not None for text in texts):
            return meaning
    raise ForeignText(f"the sentence {sentence!r} for {word!r} is not the grammar's own")


def _judge(context: str, fields: Fields) -> Made:
    first, second = (_meaning(fields["word"], fields[name]) for name in ("sentence1", "sentence2"))
    return _made(fields, first, second)


WIC = Kind(
    labels=("true", "false"),
    given=("word", "definitions"),
    writes=("sentence1", "sentence2"),
    seeds=_seeds,
    instances=_instances,
    judge=_judge,
)
