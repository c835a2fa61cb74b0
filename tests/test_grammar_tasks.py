"""The grammar on every task: enough seeds, answers of the asked shape, right labels, no shortcuts, code that parses."""

import ast
import asyncio
import io
import json
import re
import shutil
import tokenize
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from nlilab.llm import grammar
from nlilab.llm.answers import read_fields, read_list, read_records
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.grammar import KINDS, contexts
from nlilab.llm.grammar.kinds import words
from nlilab.llm.grammar.slots import fill, found, slots
from nlilab.llm.grammar.tasks.bindings import schemas
from nlilab.llm.grammar.tasks.copa import links
from nlilab.llm.grammar.tasks.cwe import NUMBERS
from nlilab.llm.grammar.tasks.wic import inventory
from nlilab.llm.providers.grammar import Grammar
from nlilab.llm.request import Request, Response
from nlilab.tasks.definition import Task, load_task

TASKS = list(KINDS)
OWN = [name for name in TASKS if name != "nli"]  # the tasks that take any context
FOREIGN = ["cafés and bars", "law courts", "the deep sea", "a travelling circus"]  # contexts of somebody else's
Row = dict[str, str]


@cache
def task_of(name: str) -> Task:
    return load_task(name)


def ask(name: str, step: str, parameters: Mapping[str, float], *metas: Row, samples: tuple[int, ...] = ()) -> list[str]:
    asked = []
    for number, meta in enumerate(metas):
        whole = {"task": name, "step": step, **meta}
        prompt = (("user", json.dumps(whole, sort_keys=True)),)
        sample = samples[number] if samples else 0
        asked.append(Request("grammar", "g", prompt, parameters=dict(parameters), sample=sample, meta=whole))
    answers = asyncio.run(Grammar("g").answer(asked))
    assert all(isinstance(answer, Response) for answer in answers), [a for a in answers if not isinstance(a, Response)]
    return [answer.text for answer in answers if isinstance(answer, Response)]


def some_contexts(name: str) -> list[str]:
    listed = task_of(name).contexts.items
    return listed[:12] or [*contexts()[: 12 if name == "nli" else 8], *(FOREIGN if name != "nli" else [])]


@cache
def seeds(name: str, context: str, n: int) -> list[Row]:
    fields = task_of(name).file.seeds
    if listed := task_of(name).seeds.items:
        return [{fields[0]: item} for item in listed[:n]]
    (text,) = ask(name, "seeds", {}, {"context": context, "n": str(n), "offset": "0"})
    return [seed if isinstance(seed, dict) else {fields[0]: seed} for seed in json.loads(text)["seeds"]]


@cache
def cells(name: str) -> list[Row]:
    """The plan of four contexts with 21 seeds each; every seed with every label."""
    task, made = task_of(name), []
    places = some_contexts(name)
    for context in [places[0], places[1], places[-2], places[-1]] if name != "cb" else places[-2:]:
        for number, seed in enumerate(seeds(name, context, 21)):
            turns = {turn: values[number % len(values)] for turn, values in task.file.turns.items()}
            made += [{"context": context, **seed, **turns, "label": label} for label in task.labels]
    return made


@cache
def rows(name: str, noise: float = 0.0) -> list[Row]:
    writes = ",".join(task_of(name).file.writes)
    texts = ask(name, "generate", {"noise": noise}, *({**cell, "writes": writes} for cell in cells(name)))
    return [{**cell, **json.loads(text)} for cell, text in zip(cells(name), texts, strict=True)]


def judged(name: str, made: list[Row], accuracy: float = 1.0) -> list[Row]:
    """What the judge says of rows, of which it sees the fields alone."""
    fields = task_of(name).file.fields
    shown = [{field: row[field] for field in (*fields, "context", "label")} for row in made]
    return [json.loads(text) for text in ask(name, "correct", {"judge_accuracy": accuracy}, *shown)]


@pytest.mark.parametrize("name", TASKS)
def test_the_grammar_knows_the_task_as_its_file_has_it(name: str) -> None:
    file, kind = task_of(name).file, KINDS[name]
    assert list(kind.labels) == list(file.labels)
    assert (list(kind.given), list(kind.writes)) == ([*file.seeds, *file.turns], file.writes)


@pytest.mark.parametrize("name", [name for name in OWN if name != "cb"])
def test_seeds_are_many_and_distinct_and_the_same_again(name: str) -> None:
    """A plan of twelve contexts with forty seeds each repeats none of them."""
    plan = [tuple(seed.values()) for context in some_contexts(name) for seed in seeds(name, context, 40)]
    assert len(set(plan)) == len(plan) == 480
    assert all(list(seed) == task_of(name).file.seeds for seed in seeds(name, some_contexts(name)[0], 40))
    more = seeds(name, some_contexts(name)[-1], 60)
    assert len({tuple(seed.values()) for seed in more}) == 60 and more[:40] == seeds(name, some_contexts(name)[-1], 40)


@pytest.mark.parametrize("name", TASKS)
def test_every_cell_is_answered_with_the_fields_that_are_asked(name: str) -> None:
    file = task_of(name).file
    for asked in (file.writes, [field for field in file.fields if field not in file.turns]):
        few = [{**cell, "writes": ",".join(asked)} for cell in islice(cells(name), 0, None, 5)]
        for cell, text in zip(few, ask(name, "generate", {}, *few), strict=True):
            answer = json.loads(text)
            assert list(answer) == asked and all(answer.values())
            assert all(answer[field] == cell[field] for field in asked if field in (*file.seeds, *file.turns))


@pytest.mark.parametrize("name", TASKS)
def test_the_judge_finds_the_label_that_was_fixed(name: str) -> None:
    said = judged(name, rows(name))
    wrong = [row for row, verdict in zip(rows(name), said, strict=True) if verdict["label"] != row["label"]]
    assert wrong == []
    assert all(verdict["explanation"].endswith(".") for verdict in said)


@pytest.mark.parametrize("name", TASKS)
def test_noise_breaks_as_many_labels_as_stated(name: str) -> None:
    noisy = rows(name, 0.3)
    broken = sum(said["label"] != row["label"] for row, said in zip(noisy, judged(name, noisy), strict=True))
    assert abs(broken / len(noisy) - 0.3) < 4 * (0.3 * 0.7 / len(noisy)) ** 0.5


@pytest.mark.parametrize("name", TASKS)
def test_the_judge_errs_as_often_as_stated_and_gives_a_reason(name: str) -> None:
    made = rows(name)
    said = judged(name, made, 0.6)
    right = sum(verdict["label"] == row["label"] for row, verdict in zip(made, said, strict=True)) / len(made)
    assert abs(right - 0.6) < 4 * (0.6 * 0.4 / len(made)) ** 0.5
    assert {verdict["label"] for verdict in said} == set(KINDS[name].labels)
    assert all(len(verdict["explanation"].split()) > 4 for verdict in said)


@pytest.mark.parametrize("name", TASKS)
def test_length_does_not_tell_the_label(name: str) -> None:
    writes = task_of(name).file.writes
    sizes = {
        label: np.mean([sum(len(row[field]) for field in writes) for row in rows(name) if row["label"] == label])
        for label in task_of(name).labels
    }
    assert max(sizes.values()) < 1.12 * min(sizes.values()), sizes


@pytest.mark.parametrize("name", TASKS)
def test_the_second_text_alone_does_not_tell_the_label(name: str) -> None:
    """What a small model reads as its hypothesis; seeds are kept together when the rows are split."""
    task, made = task_of(name), rows(name)
    texts = [task.pair(row)["hypothesis"] for row in made]
    counts = CountVectorizer(ngram_range=(1, 2), token_pattern=r"[\w'@]+").fit_transform(texts)
    gold, fold = np.array([row["label"] for row in made]), np.arange(len(made)) // len(task.labels) % 3
    hits = [
        LogisticRegression(C=0.3, max_iter=200).fit(counts[fold != f], gold[fold != f]).predict(counts[fold == f])
        == gold[fold == f]
        for f in range(3)
    ]
    chance, n = 1 / len(task.labels), len(made)
    assert np.concatenate(hits).mean() < chance + 0.05 + 3 * (chance * (1 - chance) / n) ** 0.5


@pytest.mark.parametrize("name", TASKS)
def test_samples_of_one_cell_differ(name: str) -> None:
    cell = cells(name)[0]
    texts = ask(name, "generate", {}, *[cell] * 3, samples=(0, 1, 2))
    assert len(set(texts)) >= (2 if name == "multirc" else 3)
    assert texts == ask(name, "generate", {}, *[cell] * 3, samples=(0, 1, 2))


@pytest.mark.parametrize("name", TASKS)
def test_messy_answers_are_read_as_what_they_are(name: str) -> None:
    """Only what is declined or empty cannot be read; code and objects never come as lines."""
    file = task_of(name).file
    clean, messy = (ask(name, "generate", {"mess": mess}, *cells(name)[:60]) for mess in (0.0, 1.0))
    for good, text in zip(clean, messy, strict=True):
        if text and not text.startswith("I'm sorry"):
            assert read_fields(text, file.writes) == {k: v.strip() for k, v in json.loads(good).items()}
    if name != "cb":
        places = [{"context": context, "n": "4", "offset": "2"} for context in some_contexts(name)]
        for place, text in zip(places, ask(name, "seeds", {"mess": 1.0}, *places), strict=True):
            if text and not text.startswith("I'm sorry"):
                read = read_records(text, "seeds", file.seeds) if len(file.seeds) > 1 else read_list(text, "seeds")
                own = [
                    seed if len(file.seeds) > 1 else seed[file.seeds[0]] for seed in seeds(name, place["context"], 6)
                ]
                assert read == own[2:]


def test_english_reads_as_english() -> None:
    wrong = re.compile(
        r"\ba [aeio]\w|\ban [^aeiouh]|\b(?!had had|that that)(\w+) \1\b|  | [.,;?]|[{}$_]|\.\.", re.IGNORECASE
    )
    for name in [name for name in OWN if name != "cwe"]:
        texts = {row[field] for row in rows(name) for field in task_of(name).file.fields}
        assert [text for text in texts if wrong.search(text) or not text.strip()] == []


def test_pronouns_and_placeholders_are_marked_once() -> None:
    for row in rows("wsc"):
        assert len(re.findall(r"\*(?:he|she|they)\*", row["text"])) == 1 and row["text"].count("*") == 2
        assert row["noun_phrase"].lower() in row["text"].lower() and row["other"].lower() in row["text"].lower()
    for row in rows("record"):
        assert row["query"].count("@placeholder") == 1 and row["entity"] in row["passage"]
        assert row["entity"] not in row["query"]
    for row in rows("boolq"):
        assert row["question"] == row["question"].lower() and not row["question"].endswith("?")


def test_axg_comes_in_fours() -> None:
    found = [seed["premise"] for seed in seeds("axg", FOREIGN[0], 40)]
    for he, she in zip(found[::2], found[1::2], strict=True):
        assert " he " in he and she == he.replace(" he ", " she ")
    subjects = [seed["subject"] for seed in seeds("axg", FOREIGN[0], 40)]
    assert all(subjects[i] == subjects[i + 1] != subjects[i + 2] for i in range(0, 40, 4))


def test_both_sides_of_a_schema_are_said() -> None:
    sides = Counter((schema.main, schema.side) for schema in schemas())
    assert {main for main, _ in sides} == {main for main, side in sides if side == "x"}
    assert {main for main, _ in sides} == {main for main, side in sides if side == "y"}


def test_the_words_of_wic_have_meanings_and_sentences() -> None:
    known = inventory("nouns") | inventory("verbs")
    assert len(known) >= 150
    for word, senses in inventory().items():
        texts = [text for entries in senses.values() for text in entries]
        assert len(senses) >= 2 and len(texts) == len(set(texts)) == 3 * len(senses)
        assert all(re.search(rf"\b{word[0]}\w*", text, re.IGNORECASE) for text in texts)
        assert all(any("$Who" in text for text in entries) for entries in senses.values())


def test_no_cause_or_effect_serves_two_events() -> None:
    sides = Counter(text for link in links() for text in (link.cause, link.effect, link.event))
    assert [text for text, count in sides.items() if count > 1] == []


@pytest.mark.parametrize("number", NUMBERS)
def test_code_parses_and_says_nothing_of_its_weakness(number: str) -> None:
    scenario = seeds("cwe", FOREIGN[0], 1)[0]
    made = list(KINDS["cwe"].instances(FOREIGN[0], {**scenario, "weakness": f"CWE-{number}: so called"}))
    telling = re.compile(r"vulnerab|attack|malicious|hacker|exploit|insecure|danger|trusted", re.IGNORECASE)
    for one in made:
        code = one.fields["code"]
        ast.parse(code)
        kinds = {token.type for token in tokenize.generate_tokens(io.StringIO(code).readline)}
        assert tokenize.COMMENT not in kinds and not telling.search(code) and "$" not in code
        assert 4 <= len(code.splitlines()) <= 45
    assert Counter(one.label for one in made) == {"vulnerable": 6, "safe": 6}


def test_the_weaknesses_are_those_of_the_task() -> None:
    turns = task_of("cwe").file.turns["weakness"]
    assert [weakness.partition(":")[0] for weakness in turns] == [f"CWE-{number}" for number in NUMBERS]


def test_every_situation_of_cb_has_its_own_way() -> None:
    listed, ways = task_of("cb").seeds.items, words("situations")
    fitting = [[n for n, way in enumerate(ways) if re.search(way["key"], item)] for item in listed]
    assert [found[0] for found in fitting] == list(range(len(ways)))


def test_slots() -> None:
    assert fill("$Who saw $who in $place", {"who": "the cook", "place": "town"}) == "The cook saw the cook in town"
    assert found("$Who saw $who in $place", "The cook saw the cook in town") == {"who": "the cook", "place": "town"}
    assert found("$Who saw $who", "The cook saw the nurse") is None
    assert slots("$Who saw $who in $place") == ["who", "place"]


@pytest.mark.parametrize(
    "meta",
    [
        {"task": "sudoku", "step": "seeds", "context": "an office", "n": "3"},
        {"task": "rte", "step": "generate", "context": "an office", "label": "entailment", "premise": "A man sleeps."},
        {"task": "rte", "step": "generate", "context": "an office", "label": "neutral", "premise": "A man sleeps."},
        {"task": "wic", "step": "correct", "context": "", "word": "bank", "sentence1": "A bank.", "sentence2": "Bank"},
        {"task": "wsc", "step": "correct", "context": "x", "text": "Ann saw Bea as *she* ran.", "noun_phrase": "Ann"},
        {"task": "axg", "step": "generate", "context": "x", "premise": "I ran.", "subject": "I", "label": "entailment"},
        {"task": "copa", "step": "generate", "context": "", "premise": "I", "question": "cause", "label": "choice2"},
        {"task": "cwe", "step": "correct", "context": "x", "code": "print(1)", "weakness": "CWE-89: SQL injection"},
        {"task": "cwe", "step": "generate", "context": "x", "scenario": "x", "weakness": "CWE-1: x", "label": "safe"},
        {"task": "cb", "step": "correct", "context": "x", "premise": "Ann said so.", "hypothesis": "It is so."},
        {"task": "boolq", "step": "correct", "context": "x", "passage": "Ann ran.", "question": "did ann run"},
    ],
)  # fmt: skip
def test_what_is_not_its_own_is_a_bad_request(meta: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlilab.llm.grammar.corpus.PREMISES", 30)  # it looks through all of a context's texts
    asked = Request("grammar", "g", (("user", "x"),), meta=meta)
    (error,) = asyncio.run(Grammar("g").answer([asked]))
    assert isinstance(error, ProviderError) and error.kind is ErrorKind.BAD_REQUEST
    assert "correct.judge" in error.message and "\n" not in error.message


def test_the_version_covers_every_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "grammar"
    shutil.copytree(Path(grammar.__file__).parent, home, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(grammar, "__file__", str(home / "__init__.py"))
    before = grammar.version()
    (home / "words/cwe/89.yaml").write_text("why: {}\n")
    assert grammar.version() != before
