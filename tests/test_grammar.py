"""The grammar: its size, its labels, its freedom from shortcuts, its English, and its answers as a provider."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.grammar import Hypothesis, contexts, hypotheses, premises
from nlilab.llm.grammar.cast import Dice, person
from nlilab.llm.grammar.frames_count import follows
from nlilab.llm.grammar.held_out import pairs
from nlilab.llm.grammar.lexicon import lexicon, parse_act
from nlilab.llm.grammar.meaning import Claim, Event, Who, World, label
from nlilab.llm.grammar.morphology import articles, plural
from nlilab.llm.providers.grammar import LABELS, Grammar
from nlilab.llm.request import Finish, Request, Response

ROOT = Path(__file__).parent.parent
PER_CONTEXT = 230  # 230 premises x 15 hypotheses x 16 contexts are more than 50,000
NAMED_IN_THE_ISSUE = {
    "hypernym", "antonym", "negation", "quantifier", "numeral", "conjunction", "disjunction", "voice", "argument swap",
    "relative clause", "modality", "factive", "conditional", "time order", "modifier added", "modifier dropped",
}  # fmt: skip
ALL_LABELS = NAMED_IN_THE_ISSUE - {"antonym", "modifier added", "modifier dropped"}


@cache
def corpus() -> list[tuple[str, str, Hypothesis]]:
    return [(c, p, h) for c in contexts() for p in premises(c, PER_CONTEXT) for h in hypotheses(c, p)]


def ask(*requests: Request) -> list[Response | ProviderError]:
    return asyncio.run(Grammar("grammar-1").answer(requests))


def request(parameters: dict[str, object] | None = None, sample: int = 0, **meta: str) -> Request:
    prompt = (("user", json.dumps(meta, sort_keys=True)),)
    return Request("grammar", "grammar-1", prompt, parameters=parameters or {}, sample=sample, meta=meta)


def answered(*requests: Request) -> list[dict[str, str]]:
    responses = ask(*requests)
    assert all(isinstance(r, Response) for r in responses), [r for r in responses if not isinstance(r, Response)][:1]
    return [json.loads(r.text) for r in responses if isinstance(r, Response)]


@cache
def generated(noise: float = 0.0) -> list[tuple[str, str, str, str]]:
    """(context, premise, asked label, hypothesis), balanced, through the provider."""
    cells = [(c, p, name) for c in contexts() for p in premises(c, 120) for name in LABELS]
    asked = [request({"noise": noise}, step="generate", context=c, premise=p, label=name) for c, p, name in cells]
    return [(*cell, value["hypothesis"]) for cell, value in zip(cells, answered(*asked), strict=True)]


def test_there_are_50_000_pairs_with_one_label_each() -> None:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, premise, hypothesis in corpus():
        found[premise, hypothesis.text].add(hypothesis.label)
    assert len(contexts()) >= 14
    assert [pair for pair, names in found.items() if len(names) > 1] == []
    assert len(found) >= 50_000
    assert all(len(set(premises(c, PER_CONTEXT))) == PER_CONTEXT for c in contexts())


def test_a_context_holds_a_thousand_premises() -> None:
    assert len(set(premises("a city street", 1_000))) == 1_000


def test_every_premise_has_at_least_three_of_each_label() -> None:
    counts = Counter((c, p, h.label) for c, p, h in corpus())
    assert set(counts.values()) <= {3, 4, 5}
    assert len(counts) == 3 * len({(c, p) for c, p, _ in corpus()})


def test_every_phenomenon_occurs_and_does_not_tell_the_label() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for _, _, hypothesis in corpus():
        found[hypothesis.phenomenon].add(hypothesis.label)
    assert set(found) >= NAMED_IN_THE_ISSUE
    assert {name for name in ALL_LABELS if len(found[name]) < 3} == set()


def test_the_same_hypothesis_occurs_with_different_labels() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for _, _, hypothesis in corpus():
        found[hypothesis.text].add(hypothesis.label)
    assert sum(len(names) > 1 for names in found.values()) > 1_000


def test_premises_are_prefix_stable() -> None:
    assert premises("a city street", 20)[:10] == premises("a city street", 10)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z'-]+", text.lower())


def held_out(texts_or_features: object, model: object) -> float:
    rows = generated()
    gold = np.array([name for _, _, name, _ in rows])
    group = np.arange(len(rows)) // len(LABELS) % 4  # a premise's three pairs stay together
    model.fit(texts_or_features[group > 0], gold[group > 0])  # type: ignore[attr-defined,index]
    return float(model.score(texts_or_features[group == 0], gold[group == 0]))  # type: ignore[attr-defined,index]


@pytest.mark.parametrize("pairs", [1, 2])
def test_the_words_of_the_hypothesis_do_not_tell_the_label(pairs: int) -> None:
    counts = CountVectorizer(tokenizer=words, token_pattern=None, ngram_range=(1, pairs), min_df=2)
    assert held_out(counts.fit_transform([h for *_, h in generated()]), LogisticRegression(C=0.3, max_iter=300)) < 0.45


def test_overlap_and_length_tell_little_of_the_label() -> None:
    # Not hidden wholly (see balance.py): a third is chance, and SNLI's development set gives 0.49 by the same measure.
    features = []
    for _, premise, _, hypothesis in generated():
        mine, theirs = words(hypothesis), words(premise)
        shared = sum(word in theirs for word in mine)
        features.append((shared / len(mine), shared, len(mine) - shared, len(mine), len(theirs)))
    assert held_out(np.array(features), HistGradientBoostingClassifier(max_depth=4, random_state=0)) < 0.55


def test_overlap_itself_is_crossed_with_the_label() -> None:
    full = Counter(h.label for _, p, h in corpus() if set(words(h.text)) <= set(words(p)))
    assert min(full[name] for name in LABELS) > 0.07 * sum(full.values())


def test_it_reads_as_english() -> None:
    texts = {text for _, p, h in corpus() for text in (p, h.text)}
    wrong = re.compile(
        r"\ba [aeio]|\ban (?![aeiouh])|\b([a-z]+) \1\b|  | [.,;]|[{}@_]|\.\.|"
        r"(?:is|are|was|were|did|do|does) not\b [^,.]*\bsomething\b|"
        r"\b(?:is|are|was|were) (?:is|are|was|were)\b|\bone [a-z]+ are\b",
        re.IGNORECASE,
    )
    assert [t for t in texts if wrong.search(t)] == []
    assert [t for t in texts if not re.fullmatch(r"[A-Z].*[.]", t)] == []
    length = [len(words(p)) for p in {p for _, p, _ in corpus()}]
    assert min(length) <= 7 and max(length) >= 28


def test_word_forms() -> None:
    verbs = lexicon().verbs
    assert [verbs.gerund(v) for v in ("tie", "chop", "bake", "see")] == ["tying", "chopping", "baking", "seeing"]
    assert [verbs.past(v) for v in ("carry", "play", "drag", "sell")] == ["carried", "played", "dragged", "sold"]
    assert [plural(n) for n in ("policewoman", "coach", "jar of honey")] == ["policewomen", "coaches", "jars of honey"]
    assert articles("a hour, an uniform, a old man") == "an hour, a uniform, an old man"


CUT = parse_act("cut a {red/blue} rope > use a blade")
CHASE = parse_act("%chase @ = run after @")
SING = parse_act("&sing with @")
ANN, BEN = Who("Ann", named=True, above=("someone",)), Who("Ben", named=True, above=("someone",))


@pytest.mark.parametrize(
    ("worlds", "event", "expected"),
    [
        ([World((Event(ANN, CUT, (("adj", "red"),)),))], Event(ANN, CUT), "entailment"),
        ([World((Event(ANN, CUT, (("adj", "red"),)),))], Event(ANN, CUT, (("adj", "blue"),)), "contradiction"),
        ([World((Event(ANN, CUT),))], Event(ANN, CUT, (("adj", "blue"),)), "neutral"),
        ([World((Event(ANN, CUT),))], Event(Who("someone", broad=True), CUT, level=1), "entailment"),
        ([World((), (Event(ANN, CUT),))], Event(ANN, CUT, (("adj", "red"),)), "contradiction"),
        ([World((), (Event(ANN, CUT),))], Event(ANN, CUT, level=1), "neutral"),
        ([World((), (Event(ANN, CUT, level=1),))], Event(ANN, CUT), "contradiction"),
        ([World((Event(ANN, CUT),)), World((), (Event(ANN, CUT),))], Event(ANN, CUT), "neutral"),
        ([World((Event(ANN, CHASE, whom=BEN),))], Event(BEN, CHASE, whom=ANN), "contradiction"),
        ([World((Event(ANN, CHASE, whom=BEN),), moment=False)], Event(BEN, CHASE, whom=ANN), "neutral"),
        ([World((Event(ANN, SING, whom=BEN),))], Event(BEN, SING, whom=ANN), "entailment"),
    ],
)
def test_meaning(worlds: list[World], event: Event, expected: str) -> None:
    flipped = {"entailment": "contradiction", "contradiction": "entailment", "neutral": "neutral"}
    claim = Claim("is", events=(event,))
    assert label(worlds, claim) == expected
    assert label(worlds, Claim("not", (claim,))) == flipped[expected]


def test_quantifiers_follow_their_monotonicity() -> None:
    assert follows(("all the", False, False), ("all the", True, True)) == "entailment"
    assert follows(("all the", True, False), ("all the", False, False)) == "neutral"
    assert follows(("none of the", False, True), ("none of the", True, False)) == "entailment"
    assert follows(("none of the", False, False), ("none of the", False, True)) == "neutral"
    assert follows(("most of the", False, False), ("none of the", False, False)) == "contradiction"


def test_noise_breaks_as_many_labels_as_stated() -> None:
    assert all(truth(c, p, h) == asked for c, p, asked, h in generated())
    noisy = generated(0.2)
    broken = sum(truth(c, p, h) != asked for c, p, asked, h in noisy) / len(noisy)
    assert abs(broken - 0.2) < 4 * (0.2 * 0.8 / len(noisy)) ** 0.5


def truth(context: str, premise: str, text: str) -> str:
    return next(h.label for h in hypotheses(context, premise) if h.text == text)


def test_the_judge_is_as_accurate_as_stated() -> None:
    rows = corpus()[::17]
    for parameters, stated in (({}, 0.95), ({"judge_accuracy": 0.7}, 0.7)):
        asked = [
            request(dict(parameters), step="correct", context=c, premise=p, hypothesis=h.text, label="neutral")
            for c, p, h in rows
        ]
        given = answered(*asked)
        share = sum(value["label"] == h.label for value, (_, _, h) in zip(given, rows, strict=True)) / len(rows)
        assert abs(share - stated) < 4 * (stated * (1 - stated) / len(rows)) ** 0.5
        assert all(value["explanation"].endswith(".") for value in given)


def test_samples_differ_and_repeat() -> None:
    premise = premises("an office", 1)[0]
    asked = [
        request(sample=n, step="generate", context="an office", premise=premise, label="neutral") for n in range(3)
    ]
    first = [value["hypothesis"] for value in answered(*asked)]
    assert len(set(first)) == 3
    assert first == [value["hypothesis"] for value in answered(*asked)]


def test_contexts_and_seeds() -> None:
    many, seeds = ask(request(step="contexts", n="99"), request(step="seeds", context="an office", n="5", offset="3"))
    assert isinstance(many, Response) and json.loads(many.text) == {"contexts": contexts()}
    assert isinstance(seeds, Response) and json.loads(seeds.text) == {"seeds": premises("an office", 8)[3:]}
    assert (many.model, many.finish) == ("grammar-1", Finish.STOP)


def test_mess_wraps_answers_and_spoils_one_in_ten() -> None:
    rows = [(c, p) for c in contexts() for p in premises(c, 40)]
    given = ask(*(request({"mess": 1.0}, step="generate", context=c, premise=p, label="neutral") for c, p in rows))
    texts = [r.text for r in given if isinstance(r, Response)]
    spoiled = sum(not text or text.startswith("I'm sorry") for text in texts)
    assert abs(spoiled / len(rows) - 0.1) < 4 * (0.1 * 0.9 / len(rows)) ** 0.5
    assert all((r.text == "") == (r.finish is Finish.EMPTY) for r in given if isinstance(r, Response))
    for start in ("```json", "Sure!", "Hypothesis: ", "{"):
        assert any(text.startswith(start) for text in texts)


@pytest.mark.parametrize(
    "meta",
    [
        {"step": "translate"},
        {},
        {"step": "seeds", "context": "a moon base", "n": "3"},
        {"step": "seeds", "context": "an office", "n": "three"},
        {"step": "generate", "context": "an office", "label": "neutral"},
        {"step": "generate", "context": "an office", "label": "maybe", "premise": "A man sleeps."},
        {"step": "generate", "context": "an office", "label": "neutral", "premise": "A man sleeps."},
    ],
)
def test_what_it_cannot_do_is_a_bad_request(meta: dict[str, str]) -> None:
    (error,) = ask(request(None, 0, **meta))
    assert isinstance(error, ProviderError) and error.kind is ErrorKind.BAD_REQUEST
    assert "plan.generator" in error.message and "\n" not in error.message


def test_dice_are_the_same_everywhere() -> None:
    dice = Dice("seed", 1)
    assert [dice.pick(range(100)) for _ in range(5)] == [51, 13, 89, 66, 34]
    assert person(lexicon().domains["an office"], "courier").above == ("messenger", "person", "someone")


def test_the_held_out_suite_is_the_grammars_own() -> None:
    lines = (ROOT / "data/embedded/held-out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(pairs())
