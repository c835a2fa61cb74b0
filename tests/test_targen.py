"""TarGEN's steps with the embedded generator and with answers as models really write them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nlilab.answers import Unreadable, read_fields, read_list
from nlilab.correct import confident, flip_matrix, judge, untouched
from nlilab.errors import UserError
from nlilab.llm.client import Client, Generator
from nlilab.llm.store import Store
from nlilab.llm.writer import Writer
from nlilab.mix import Mixture, certificate, mix
from nlilab.targen import plan_cells, write_contexts, write_instances, write_premises
from nlilab.task import TASKS, load_task

LABELS = ["entailment", "neutral", "contradiction"]


def quiet(*_: object) -> None:
    """A progress report that nobody reads."""


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """The embedded grammar with noise, messy answers and a fallible judge, behind a store of its own."""
    parameters = {"noise": 0.2, "mess": 0.3, "judge_accuracy": 0.9}
    return Writer(
        "grammar", Client(Store(tmp_path / "store.sqlite")), Generator("grammar", "grammar-1", None, parameters), False
    )


@pytest.fixture
def rows(writer: Writer) -> pd.DataFrame:
    """Sixty generated rows with their provenance."""
    task = load_task("nli")
    premises = write_premises(writer, task, write_contexts(writer, task, 2), 10, quiet)
    return write_instances(writer, task, plan_cells(task, premises, 1), 5, quiet)[0]


def test_every_cell_of_the_balanced_plan_is_a_row_or_a_reject(writer: Writer) -> None:
    task = load_task("nli")
    premises = write_premises(writer, task, write_contexts(writer, task, 3), 25, quiet)
    assert premises.groupby("context").size().tolist() == [25] * 3
    assert premises["genre"].nunique() > 1 and premises["length"].nunique() >= 1
    cells = plan_cells(task, premises, 2)
    assert cells["label"].value_counts().tolist() == [150] * 3 and cells["id"].is_unique
    kept, rejects = write_instances(writer, task, cells, 1, quiet)
    assert len(kept) + int(rejects["final"].sum()) == len(cells)
    assert len(rejects) > 0 and rejects["reason"].str.len().min() > 0
    again, later = write_instances(writer, task, cells, 4, quiet)
    assert len(again) == len(cells) - int(later["final"].sum()) and len(again) > len(kept)
    assert {"generator", "model", "prompt", "request"} <= set(again.columns)


def test_the_same_plan_is_asked_of_every_generator(writer: Writer) -> None:
    task = load_task("nli")
    premises = write_premises(writer, task, write_contexts(writer, task, 2), 5, quiet)
    other = Writer("other", writer.client, Generator("grammar", "grammar-2"), False)
    cells = plan_cells(task, premises, 1)
    ids = [write_instances(who, task, cells, 5, quiet)[0]["id"].tolist() for who in (writer, other)]
    assert ids[0] == ids[1] == cells["id"].tolist()


def test_too_many_contexts_are_refused_with_the_remedy(writer: Writer) -> None:
    with pytest.raises(UserError, match=r"grammar wrote \d+ different contexts of 500; lower plan.contexts"):
        write_contexts(writer, load_task("nli"), 500)


def test_a_judge_repairs_noise_and_keeps_the_evidence(writer: Writer, rows: pd.DataFrame) -> None:
    task = load_task("nli")
    corrected = judge(writer, task, rows, 5, quiet).onto(rows)
    assert corrected["label"].tolist() == rows["label"].tolist()
    relabelled = corrected[corrected["verdict"] == "relabelled"]
    assert 0 < len(relabelled) < len(rows) / 2
    assert (relabelled["explanation"].str.len() > 10).all()
    matrix = flip_matrix(corrected, LABELS)
    assert sum(sum(row.values()) for row in matrix["matrix"].values()) == len(rows)
    off_diagonal = sum(
        n for label, row in matrix["matrix"].items() for to, n in row.items() if to in LABELS and to != label
    )
    assert off_diagonal == matrix["verdicts"]["relabelled"] == len(relabelled)
    kept = flip_matrix(untouched(rows).onto(rows), LABELS)
    assert kept["flip_rate"] == 0 and kept["verdicts"]["kept"] == len(rows)


def test_confident_learning_finds_planted_mislabels() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 600)
    given = truth.copy()
    wrong = random.choice(600, 60, replace=False)
    given[wrong] = (truth[wrong] + 1) % 3
    probabilities = np.eye(3)[truth] * 0.8 + random.dirichlet([2, 2, 2], 600) * 0.2
    rows = pd.DataFrame({"label": [LABELS[index] for index in given]})
    found = confident(rows, probabilities, LABELS)
    flagged = np.array([verdict != "kept" for verdict in found.verdict])
    planted = np.zeros(600, dtype=bool)
    planted[wrong] = True
    assert (flagged & planted).sum() >= 57 and (flagged & ~planted).sum() <= 6
    relabelled = [i for i in wrong if found.verdict[i] == "relabelled"]
    assert all(found.label[i] == LABELS[truth[i]] for i in relabelled) and len(relabelled) > 30
    assert all(found.label[i] is None for i, verdict in enumerate(found.verdict) if verdict == "dropped")


@pytest.mark.parametrize(
    "text",
    [
        '{"hypothesis": "It \\"moved\\"."}',
        'Sure! Here you are:\n```json\n{"Hypothesis": "It \\"moved\\"."}\n```\nAnything else?',
        'The answer {as asked} is {"hypothesis": "It \\"moved\\".", "note": 1} .',
        '1. Hypothesis: It "moved".',
        '**Hypothesis:** "It "moved"."\n\nThis follows.',
    ],
)
def test_answers_are_read_however_they_are_wrapped(text: str) -> None:
    assert read_fields(text, ["hypothesis"])["hypothesis"].rstrip('"') in ('It "moved".', 'It "moved"."'.rstrip('"'))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is empty"),
        ("I'm sorry, but I cannot help with that.", "the model declined"),
        ("Well, who knows.", "no hypothesis in the answer"),
        ('{"premise": "x"}', "no hypothesis in the answer"),
        ('{"hypothesis": "  "}', "no hypothesis in the answer"),
        ('{"hypothesis": ["a"]}', "no hypothesis in the answer"),
        ('{"hypothesis": "cut off', "no hypothesis in the answer"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_fields(text, ["hypothesis"])


@pytest.mark.parametrize(
    "text",
    [
        '{"premises": ["One.", "Two."]}',
        '["One.", "Two."]',
        "Here are two:\n1. One.\n2) Two.\n",
        '- "One."\n- Two.',
        '```\n{"premises": ["One.", " ", "Two."]}\n```',
    ],
)
def test_lists_are_read_however_they_are_written(text: str) -> None:
    assert read_list(text, "premises") == ["One.", "Two."]
    with pytest.raises(Unreadable, match="no list of premises"):
        read_list("None.", "premises")


def test_prompts_hold_the_fields_and_one_meta_prompt_serves_all_tasks() -> None:
    task = load_task("nli")
    [(role, text)] = task.generate["neutral"].messages(context="a farm", premise="A {dog} ran.")
    assert role == "user" and "Premise: A {dog} ran." in text and "{context}" not in text
    system, user = task.correction({"premise": "P.", "hypothesis": "H."}, "neutral")
    assert system[0] == "system" and task.file.instructions.strip() in system[1]
    assert "Premise: P.\nHypothesis: H.\nLabel as given: neutral" in user[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda home: (home / "generate/neutral.md").unlink(), r"generate/neutral\.md is missing"),
        (
            lambda home: (home / "seeds.md").write_text("\n{n} {contxt}"),
            r"seeds\.md:2: unknown placeholder {contxt} .did",
        ),
        (lambda home: (home / "generate/neutral.md").write_text("x"), r"does not use {premise}"),
        (lambda home: _replace(home, "seed_field: premise", "seed_field: text"), "'text' is not one of fields"),
        (lambda home: _replace(home, "label: neutral", "label: maybe"), "example 2 has the label 'maybe'"),
        (lambda home: _replace(home, "title:", "titel:"), "titel: unknown parameter .did you mean 'title'"),
    ],
)
def test_a_spoilt_task_names_file_and_remedy(tmp_path: Path, spoil: object, message: str) -> None:
    shutil.copytree(TASKS, tmp_path / "tasks")
    spoil(tmp_path / "tasks/nli")  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        load_task("nli", tmp_path / "tasks")


def _replace(home: Path, old: str, new: str) -> None:
    text = (home / "task.yaml").read_text()
    assert old in text
    (home / "task.yaml").write_text(text.replace(old, new, 1))


def curated(count: int, corrected: bool = True) -> pd.DataFrame:
    """Curated rows, `count` of each label; the first of each label was relabelled to neutral, the second dropped."""
    rows = pd.DataFrame(
        {
            "id": [f"{label}-{number}" for label in LABELS for number in range(count)],
            "premise": "A dog ran fast.",
            "hypothesis": [f"Dog {number} ran." for _ in LABELS for number in range(count)],
            "label": np.repeat(LABELS, count),
            "group": [f"g{number}" for _ in LABELS for number in range(count)],
            "split": "train",
        }
    )
    if corrected:
        number = rows["id"].str.split("-").str[1].astype(int)
        rows["corrected_label"] = rows["label"].mask(number == 0, "neutral").mask(number == 1, None)
    return rows


def test_arms_are_balanced_nested_and_certified() -> None:
    sources = {"a": curated(40), "b": curated(40, corrected=False).assign(id=lambda table: "b" + table["id"])}
    small = mix("s", Mixture(sources={"a": 60, "b": 31}), sources, LABELS)
    large = mix("l", Mixture(sources={"a": 90, "b": 31}), sources, LABELS)
    assert set(small["id"]) < set(large["id"])
    found = certificate(small, Mixture(sources={"a": 60, "b": 31}), LABELS)
    assert found["balanced"] and found["rows"] == 91 and found["sources"] == {"a": 60, "b": 31}
    raw = mix("r", Mixture(sources={"a": 120}, labels="constrained"), sources, LABELS)
    assert sorted(raw["id"]) == sorted(sources["a"]["id"])


def test_the_shuffled_control_keeps_rows_and_balance_but_not_the_meaning() -> None:
    sources = {"a": curated(40)}
    straight = mix("x", Mixture(sources={"a": 90}), sources, LABELS).set_index("id")["label"]
    shuffled = mix("x", Mixture(sources={"a": 90}, shuffle=True), sources, LABELS).set_index("id")["label"]
    assert shuffled.value_counts().to_dict() == straight.value_counts().to_dict()
    agree = (shuffled.sort_index() == straight.sort_index()).mean()
    assert 0.15 < agree < 0.55


def test_an_arm_that_asks_too_much_says_what_there_is() -> None:
    with pytest.raises(
        UserError, match=r"asks 120 rows of a .40 for each label., which has 38 entailment.*at most 114"
    ):
        mix("x", Mixture(sources={"a": 120}), {"a": curated(40)}, LABELS)


def test_the_meta_prompt_is_json_free_of_stray_placeholders() -> None:
    task = load_task("nli")
    for _, text in task.correction({"premise": "P", "hypothesis": "H"}, "neutral"):
        assert "{title}" not in text and "{examples}" not in text
    assert json.loads('{"label": "neutral"}')["label"] in task.labels
