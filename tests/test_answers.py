"""The tolerant reader: thinking is no answer, nor are two, nor a form, nor what is cut off; and dress is dress."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nlilab.llm.answers import Unreadable, read_fields, read_list, read_records, texts_shown
from nlilab.llm.grammar import KINDS
from nlilab.tasks.definition import load_task
from nlilab.writing.correct import _read_verdict
from nlilab.writing.strategies import asked

ANSWER, DRAFT = '{"hypothesis": "A dog ran."}', '{"hypothesis": "No dog ran."}'
READ = {"hypothesis": "A dog ran."}


def read(text: str) -> dict[str, str]:
    return read_fields(text, ["hypothesis"])


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{DRAFT}</think>{ANSWER}",
        f"<think>\nPerhaps {DRAFT}? Or\nHypothesis: No dog ran.\n</think>\n\n```json\n{ANSWER}\n```",
        f"<Thinking>{DRAFT}</Thinking>\n{ANSWER}",
        f"<reasoning>{DRAFT}</reasoning>{ANSWER}",
        f'<thought id="1">{DRAFT}</thought>{ANSWER}<reflection>{DRAFT}</reflection>',
        f"<think>one <think>two</think> {DRAFT}</think> {ANSWER}",
        f"Let me see: {DRAFT} </think>\n{ANSWER}",  # the prompt held the beginning
        f"[THINK]{DRAFT}[/THINK]{ANSWER}",
        f"◁think▷{DRAFT}◁/think▷{ANSWER}",
        f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{ANSWER}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        f"analysisWe need {DRAFT}assistantfinal{ANSWER}",
        f"Thinking...\n{DRAFT}\n...done thinking.\n\n{ANSWER}",
        "<think>Hypothesis: No dog ran.</think>\nHypothesis: A dog ran.",
        f"<answer>{ANSWER}</answer>",
    ],
)
def test_thinking_is_no_answer(text: str) -> None:
    assert read(text) == READ


@pytest.mark.parametrize("text", [f"<think>{DRAFT}", f"<think>{DRAFT}</thinking>", f"<reasoning>\n{DRAFT}\n"])
def test_thinking_that_does_not_end_leaves_no_answer(text: str) -> None:
    with pytest.raises(Unreadable, match="the model thought, and did not answer"):
        read(text)


def test_a_tag_within_an_answer_is_text() -> None:
    said = {"hypothesis": "The page has a <think> tag and no </think>."}
    assert read(f"{json.dumps(said)}\n\nI hope this helps!") == said


def test_lists_and_labels_are_read_behind_the_thinking_too() -> None:
    assert read_list("<think>1. No.\n2. Never.</think>\n1. One.\n2. Two.", "seeds") == ["One.", "Two."]
    assert read_list('<think>["No."]</think>["One.", "Two."]', "seeds") == ["One.", "Two."]
    records = '<think>{"seeds": [{"a": "x", "b": "y"}]}</think>{"seeds": [{"a": "1", "b": "2"}]}'
    assert read_records(records, "seeds", ["a", "b"]) == [{"a": "1", "b": "2"}]
    nli = load_task("nli")
    thought = '<think>{"label": "neutral"}, or {"label": "contradiction"}?</think>{"explanation": "E.", "label": "%s"}'
    assert [_read_verdict(thought % label, nli) for label in nli.labels] == [(label, "E.") for label in nli.labels]


@pytest.mark.parametrize(
    "text",
    [
        f"{DRAFT}\nBetter: {ANSWER}",
        f"```json\n{DRAFT}\n```\nNo, wait:\n```json\n{ANSWER}\n```",
        f"```json\n{ANSWER}\n```\nOr {DRAFT}",
        f"{ANSWER}\nHypothesis: No dog ran.",
        "Hypothesis: No dog ran.\nHypothesis: A dog ran.",
        f"[{DRAFT}, {ANSWER}]",
        '{"hypothesis": "No dog ran.", "hypothesis": "A dog ran."}',
        '{"hypothesis": "No dog ran.", "Hypothesis": "A dog ran."}',
    ],
)
def test_two_different_answers_are_none(text: str) -> None:
    with pytest.raises(Unreadable, match="two different answers"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{ANSWER}\n{ANSWER}",
        f"```json\n{ANSWER}\n```\nAgain:\n```json\n{ANSWER}\n```",
        f"First {DRAFT}, but that is too plain.\n\n```json\n{ANSWER}\n```\nDone.",
        f"Hypothesis: No dog ran.\n\n```json\n{ANSWER}\n```",
        "Hypothesis: A dog ran.\n\nHypothesis: A dog ran.",
        f"**Hypothesis:**\n\n{ANSWER}",
        f'The form is {{"hypothesis": "..."}}, so:\n{ANSWER}',
        f'{{"premise": "Two dogs ran."}}\n{ANSWER}',
    ],
)
def test_the_same_twice_a_draft_before_a_fence_and_a_form_beside_it_do_no_harm(text: str) -> None:
    assert read(text) == READ


def test_a_judge_that_names_two_labels_is_not_read() -> None:
    nli = load_task("nli")
    with pytest.raises(Unreadable, match="two different answers"):
        _read_verdict('{"label": "neutral"}\n{"label": "entailment"}', nli)
    assert _read_verdict('{"label": "Entailment."}\n{"label": "entailment", "explanation": "E."}', nli)[1] == "E."
    with pytest.raises(Unreadable):
        _read_verdict(
            '{"explanation": "...", "label": one of "entailment", "neutral", "contradiction" or "invalid"}', nli
        )
    assert _read_verdict('{"explanation": "...", "label": "neutral"}', nli) == ("neutral", "")


@pytest.mark.parametrize("said", ["...", "…", ". . ...", "<hypothesis>", "[your hypothesis]", "your hypothesis here"])
def test_the_form_of_the_prompt_is_no_answer(said: str) -> None:
    with pytest.raises(Unreadable, match="it only repeats the form"):
        read(json.dumps({"hypothesis": said}))


def test_no_task_takes_the_form_that_its_prompt_shows_for_an_answer() -> None:
    for name in KINDS:
        task = load_task(name)
        for label in task.labels:
            form = asked(task, "targen")
            shown = form.shown(label)
            assert shown, (name, label)
            with pytest.raises(Unreadable):
                read_fields(form.prompt.text if form.prompt else task.generate[label].text, form.fields, shown=shown)
        for what, prompt in (("contexts", task.contexts), ("seeds", task.seeds)):
            if prompt.items:
                continue
            with pytest.raises(Unreadable):
                if what == "seeds" and len(task.file.seeds) > 1:
                    read_records(prompt.text, what, task.file.seeds, texts_shown(prompt.text))
                else:
                    read_list(prompt.text, what, texts_shown(prompt.text))
    own = {"hypothesis": "The cat sleeps."}
    with pytest.raises(Unreadable, match="repeats the form"):
        read_fields(json.dumps(own), ["hypothesis"], shown=texts_shown(f"Answer like this: {json.dumps(own)}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"hypothesis": "A dog ran.",}', "A dog ran."),
        ("{“hypothesis”: “A “big” dog ran.”}", "A “big” dog ran."),
        ("{‘hypothesis’: ‘It’s a dog.’}", "It’s a dog."),
        ("{'hypothesis': 'It's a dog.'}", "It's a dog."),
        ("{'hypothesis': 'The dogs' bowls.'}", "The dogs' bowls."),
        ("{'hypothesis': 'It\\'s a dog.'}", "It's a dog."),
        ("{'hypothesis': \"It's a dog.\", 'sure': True, 'note': None}", "It's a dog."),
        ('{"hypothesis": "A dog ran.", "note": None, "sure": False}', "A dog ran."),
        ('{"hypothesis": "The "Mary Ann" sails."}', 'The "Mary Ann" sails.'),
        ('{"hypothesis": "He said "no", then left."}', 'He said "no", then left.'),
        ('{"hypothesis": "6" of snow fell."}', '6" of snow fell.'),
        ('{"hypothesis": "It\\\'s a dog."}', "It's a dog."),
        ('{"hypothesis": "A dog ran." // as asked\n}', "A dog ran."),
        ('{\n  # as asked\n  "hypothesis": "See http://a.b/c."\n}', "See http://a.b/c."),
        ('{"hypothesis": /* here */ "A dog ran."}', "A dog ran."),
        ('{hypothesis: "A dog ran."}', "A dog ran."),
        ('{"answer": {"hypothesis": "A dog ran."}}', "A dog ran."),
        ('{"status": "ok", "instances": [{"hypothesis": "A dog ran.",}]}', "A dog ran."),
        ('\ufeff{"hypothesis": "A dog ran."}', "A dog ran."),
        ("\ufeffHypothesis: A dog ran.", "A dog ran."),
        ('\ufeff```json\n\ufeff{"hypothesis": "A dog ran.",}\n```', "A dog ran."),
    ],
)
def test_loose_json_is_read_as_a_person_reads_it(text: str, said: str) -> None:
    assert read(text) == {"hypothesis": said}


def test_bare_labels_and_loose_lists_are_read() -> None:
    nli = load_task("nli")
    for text in ("{label: entailment}", "{'label': 'entailment'}", '{"label": entailment, "explanation": "E."}'):
        assert _read_verdict(text, nli)[0] == "entailment"
    assert _read_verdict("{'label': True}", load_task("boolq"))[0] == "true"
    for spelled in ("not_entailment", "Not entailment.", "NON-ENTAILMENT", "non_entailment"):
        assert _read_verdict(f'{{"label": "{spelled}"}}', load_task("rte"))[0] == "non-entailment"
    for text in ('["One.", "It\'s two.",]', "['One.', 'It's two.']", "{'seeds': ['One.', 'It's two.',]}"):
        assert read_list(text, "seeds") == ["One.", "It's two."]
    assert read_records('{"seeds": [{"a": "x", "b": "y",},]}', "seeds", ["a", "b"]) == [{"a": "x", "b": "y"}]


def test_a_cut_off_answer_is_never_read() -> None:
    """Strict, loose, wrapped, fenced and listed: at every letter before its end."""
    wholes = [
        '{"hypothesis": "A dog, he said, ran."}',
        "{'hypothesis': 'It's a dog: so they say.', 'note': None}",
        "{“hypothesis”: “A “big” dog.”}",
        '{"answer": {"hypothesis": "A dog ran."}}',
        '{"hypothesis": "A "big" dog.",}',
        '{\n  "note": "n",  // x\n  "hypothesis": "A {dog} ran [there]."\n}',
    ]
    for whole in wholes:
        assert read(whole)
        for end in range(len(whole)):
            for text in (
                whole[:end],
                f"```json\n{whole[:end]}",
                f"{ANSWER}\nBetter: {whole[:end]}" if end > 16 else "",
            ):
                with pytest.raises(Unreadable):
                    read(text)
    whole = '{"seeds": ["One.", "Two [sic].", "Three.",]}'
    assert len(read_list(whole, "seeds")) == 3
    for end in range(len(whole)):
        with pytest.raises(Unreadable):
            read_list(whole[:end], "seeds")


PIECES = [
    *(
        "dog",
        "ran",
        "it's",
        "the dogs' bowls",
        '"Mary"',
        "“so”",
        "‘then’",
        "a, b",
        "x: y",
        '6" of',
        "{x}",
        "[1]",
        "...",
        "#5",
    ),
    *(
        "http://a.b",
        "// no",
        "<think>",
        "</think>",
        "naïve",
        "日本",
        "😀",
        "back\\slash",
        "`code`",
        "/* c */",
        "true",
        "None",
    ),
]


def texts(count: int) -> Iterator[str]:
    dice = random.Random(7)
    for _ in range(count):
        yield " ".join(["A", *dice.choices(PIECES, k=dice.randint(1, 6)), "end."])


PLAIN: list[Callable[[dict[str, Any]], str]] = [
    json.dumps,
    lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    lambda value: f"```json\n{json.dumps(value)}\n```",
    lambda value: f"Sure! Here you are:\n\n```\n{json.dumps(value, ensure_ascii=False)}\n```\n\nAnything else?",
    lambda value: f"{json.dumps(value)}\n\nI hope this helps {{as asked}}!",
    lambda value: f"<think>Let me see. {DRAFT} no. [1]</think>\n{json.dumps(value)}",
    lambda value: f"\ufeff{json.dumps({'answer': value})}",
    lambda value: f"{json.dumps(value)}\n{json.dumps(value, ensure_ascii=False)}",
    lambda value: json.dumps(value)[:-1] + ",}",
    lambda value: json.dumps(value)[:-1] + ', "note": None, "sure": True}',
    lambda value: "// as asked\n" + json.dumps(value, indent=1)[:-1] + "// done\n}",
]
LOOSE: list[Callable[[dict[str, Any]], str]] = [
    repr,
    lambda value: "{" + ", ".join(f"'{name}': '{text}'" for name, text in value.items()) + "}",
    lambda value: "{" + ", ".join(f'"{name}": "{text}"' for name, text in value.items()) + ",}",
    lambda value: "{" + ", ".join(f"“{name}”: “{text}”" for name, text in value.items()) + "}",
    lambda value: "{" + ", ".join(f"‘{name}’: ‘{text}’" for name, text in value.items()) + "}",
    lambda value: "{" + ", ".join(f'{name}: "{text}"' for name, text in value.items()) + "}",
]


def test_texts_and_labels_survive_their_dress() -> None:
    """Plain dress is always read; what dress spoils (marks within marks) is read as it is meant or not at all."""
    dice, read_loosely, tried = random.Random(3), 0, 0
    for text in texts(400):
        value = {"explanation": text, "label": dice.choice(["entailment", "neutral", "contradiction"])}
        for dress in PLAIN:
            assert read_fields(dress(value), list(value)) == value, dress(value)
        for dress in LOOSE:
            tried += 1
            try:
                found = read_fields(dress(value), list(value))
            except Unreadable:
                continue
            read_loosely += 1
            if "\\" not in text:  # which no reader of loose marks can tell from an escape
                assert found == value, dress(value)
            assert found["label"] == value["label"]
    assert read_loosely > tried / 2
    for number, text in enumerate(texts(50)):
        seeds = [text, f"{text} {number}", "B."]
        for dressed in (json.dumps(seeds), json.dumps({"seeds": seeds}, indent=1), json.dumps(seeds)[:-1] + ",]"):
            assert read_list(dressed, "seeds") == seeds
