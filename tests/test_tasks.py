"""Every task of the project: its folder is sound, and the embedded generator walks it through all four steps."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nlilab.core.errors import UserError
from nlilab.core.params import conf_entry, read_yaml
from nlilab.datasets.entries import Dataset
from nlilab.llm.answers import read_fields
from nlilab.llm.client import Client, Generator
from nlilab.llm.store import Store
from nlilab.llm.writer import Strategy, Writer
from nlilab.tasks.definition import TASKS, check_match, load_task
from nlilab.tasks.reading import Reading
from nlilab.writing.correct import judge
from nlilab.writing.strategies import asked
from nlilab.writing.targen import plan_cells, write_contexts, write_instances, write_seeds

ROOT = Path(__file__).parent.parent
EVERY = sorted(path.parent.name for path in TASKS.glob("*/task.yaml"))


def quiet(*_: object) -> None:
    """A progress report that nobody reads."""


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """The embedded generator, never wrong, behind a store of its own."""
    sure = Generator("grammar", "grammar-1", None, {"judge_accuracy": 1.0})
    return Writer("grammar", Client(Store(tmp_path / "store.sqlite")), sure, False)


def test_there_are_the_nine_of_superglue_general_nli_and_weaknesses() -> None:
    superglue = ["axg", "boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"]
    assert sorted([*superglue, "nli", "gnli", "cwe"]) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_a_task_runs_through_all_its_steps(name: str, writer: Writer) -> None:
    task = load_task(name)
    seeds = write_seeds(writer, task, write_contexts(writer, task, 3), 8, quiet)
    assert len(seeds) == 24 and seeds["id"].is_unique
    cells = plan_cells(task, seeds, 1)
    assert cells["label"].value_counts().tolist() == [24] * len(task.labels) and cells["id"].is_unique
    for field, values in task.file.turns.items():
        assert set(cells[field]) == set(values[:24])
    rows, rejects = write_instances(writer, asked(task, "targen"), cells, 3, quiet)
    assert len(rows) == len(cells) and rejects.empty
    pairs = task.pairs(rows)
    assert pairs[["premise", "hypothesis"]].map(lambda text: len(text) > 1).all(axis=None)
    assert (judge(writer, task, rows, 2, quiet).onto(rows)["corrected_label"] == rows["label"]).all()


@pytest.mark.parametrize("strategy", ["zero-shot", "attributes", "few-shot"])
@pytest.mark.parametrize("name", ["rte", "cb", "copa"])
def test_every_strategy_answers_the_same_cells(name: str, strategy: Strategy, writer: Writer) -> None:
    task = load_task(name)
    cells = plan_cells(task, write_seeds(writer, task, write_contexts(writer, task, 2), 3, quiet), 1)
    worded = asked(task, strategy)
    rows, _ = write_instances(writer, worded, cells, 2, quiet)
    assert rows["id"].tolist() == cells["id"].tolist() and set(worded.fields) | set(task.file.turns) == set(
        task.file.fields
    )
    prompts = [" ".join(text for _, text in worded.messages(cell)) for cell in cells.to_dict("records")]
    contexts = cells["context"].tolist()
    shown = [context in prompt for context, prompt in zip(contexts, prompts, strict=True)]
    assert all(shown) == (strategy == "attributes") and any(shown) == (strategy == "attributes")
    assert all(label in prompt for label, prompt in zip(cells["label"], prompts, strict=True))
    example = str(task.file.examples[0]["explanation"])
    assert any(example in prompt for prompt in prompts) == (strategy == "few-shot")
    assert rows["request"].is_unique  # one prompt for many cells is asked for as many samples


def test_an_instance_reads_as_the_task_says() -> None:
    copa = load_task("copa")
    pair = copa.pair({"premise": "It rained.", "question": "effect", "choice1": "A.", "choice2": "B."})
    assert pair == {"premise": "It rained. What was the effect?", "hypothesis": "first: A. second: B."}
    assert copa.words() == {"choice1": "first", "choice2": "second"}


@pytest.mark.parametrize(
    ("task", "spoil", "message"),
    [
        ("boolq", lambda home: (home / "generate/true.md").unlink(), r"boolq/generate/true\.md is missing"),
        ("boolq", lambda home: (home / "seeds.md").unlink(), r"boolq/seeds\.md is missing"),
        (
            "boolq",
            lambda home: (home / "generate/ture.md").write_text("x"),
            r"generate/ture\.md: boolq/task.yaml has no label 'ture' .did you mean 'true'",
        ),
        (
            "boolq",
            lambda home: (home / "generate/true.md").write_text("{passage}\n{pasage}"),
            r"true\.md:2: unknown placeholder {pasage} .did you mean 'passage'",
        ),
        (
            "wic",
            lambda home: _replace(home / "task.yaml", "{sentence1}", "{sentence}"),
            r"pair: unknown placeholder {sentence} .did you mean 'sentence2'",
        ),
        (
            "cwe",
            lambda home: (
                [(home / f"generate/{label}.md").unlink() for label in ("vulnerable", "safe")]
                and (home / "generate/other.md").write_text("{scenario}")
            ),
            r"other\.md: does not use {label}",
        ),
    ],
)
def test_a_spoilt_task_names_file_line_and_remedy(tmp_path: Path, task: str, spoil: object, message: str) -> None:
    shutil.copytree(TASKS, tmp_path / "tasks")
    spoil(tmp_path / "tasks" / task)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        load_task(task, tmp_path / "tasks")


def _replace(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_another_wording_is_loaded_by_name() -> None:
    one, other = load_task("cb"), load_task("cb", prompts="terse")
    assert one.generate["neutral"].digest != other.generate["neutral"].digest
    with pytest.raises(UserError, match="the task 'cb' has the wordings outcome-first, terse"):
        load_task("cb", prompts="long")


def test_the_datasets_entries_say_the_same_as_their_tasks() -> None:
    for name in read_yaml(ROOT / "conf/datasets.yaml"):
        entry = conf_entry("datasets", name, Dataset, ROOT / "conf")
        check_match(name, load_task(entry.task), entry.columns, entry.label_names)
    boolq = load_task("boolq")
    with pytest.raises(UserError, match="its labels no, yes are none of the task 'boolq', which has true, false"):
        check_match("x", boolq, {}, ["yes", "no"])
    with pytest.raises(UserError, match=r"its hypothesis reads '{sentence2}', but tasks/wic/task.yaml says"):
        check_match("x", load_task("wic"), {"premise": "{sentence1}", "hypothesis": "{sentence2}"}, ["true", "false"])


def test_a_multi_field_seed_that_lacks_a_field_is_no_seed() -> None:
    from nlilab.llm.answers import Unreadable, read_records

    text = '{"seeds": [{"word": "bank", "definitions": ["a shore", "a firm"]}, {"word": "key"}]}'
    assert read_records(text, "seeds", ["word", "definitions"]) == [
        {"word": "bank", "definitions": "1. a shore; 2. a firm"}
    ]
    with pytest.raises(Unreadable, match="no item of seeds in the answer has word and definitions"):
        read_records('{"seeds": [{"word": "key"}]}', "seeds", ["word", "definitions"])


def test_rows_of_a_plan_are_pairs_beside_their_fields() -> None:
    rows = pd.DataFrame([{"passage": "P.", "question": "q", "id": "1"}])
    read = load_task("boolq").pairs(rows)
    assert read.iloc[0].to_dict() == {"passage": "P.", "question": "q", "id": "1", "premise": "P.", "hypothesis": "q"}


def test_code_is_read_whole_out_of_a_fence() -> None:
    text = "Here it is.\n\nCode:\n```python\nimport os\n\nprint(os.name)\n```\nHope it helps!"
    assert read_fields(text, ["code"]) == {"code": "import os\n\nprint(os.name)"}


def test_names_that_the_tables_need_are_refused(tmp_path: Path) -> None:
    shutil.copytree(TASKS, tmp_path / "tasks")
    _replace(tmp_path / "tasks/rte/task.yaml", "seeds: [premise]", "seeds: [premise, request]")
    with pytest.raises(UserError, match="request: the tables have columns of that name already; rename the field"):
        load_task("rte", tmp_path / "tasks")


def test_a_suite_is_read_as_the_task_that_fits_best() -> None:
    two, three = ["entailment", "non-entailment"], ["entailment", "neutral", "contradiction"]
    every = Reading(tasks={"boolq": ["true", "false"], "cb": three, "gnli": three, "rte": two})
    assert every.task_for("axg", two) == "rte" and every.task_for("nli", three) == "gnli"
    assert Reading(tasks={"cb": three}).task_for("nli", two) == "cb" and every.task_for("cwe", ["safe"]) is None
    with pytest.raises(UserError, match="rows of task 'boolq' are labelled no, yes, but the model answers true, false"):
        every.task_for("boolq", ["no", "yes"])
