"""TarGEN's steps with the embedded generator and with answers as models really write them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_table, write_table, write_text
from nlilab.curation.mix import Mixture, Mixtures, certificate, mix, reading_of
from nlilab.llm.answers import Unreadable, read_fields, read_list
from nlilab.llm.client import Client, Generator
from nlilab.llm.errors import ErrorKind, ProviderError
from nlilab.llm.request import Finish, Request, Response
from nlilab.llm.store import Store
from nlilab.llm.writer import Writer
from nlilab.stages import correct as correct_stage
from nlilab.tasks.definition import TASKS, load_task
from nlilab.writing.asking import ask_until_read
from nlilab.writing.correct import confident, flip_matrix, judge, untouched
from nlilab.writing.strategies import asked
from nlilab.writing.targen import plan_cells, shape_of, write_contexts, write_instances, write_seeds

LABELS = ["entailment", "neutral", "contradiction"]
TASKS_KNOWN = {"nli": load_task("nli")}


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
    premises = write_seeds(writer, task, write_contexts(writer, task, 2), 10, quiet)
    return write_instances(writer, asked(task, "targen"), plan_cells(task, premises, 1), 5, quiet)[0]


def test_every_cell_of_the_balanced_plan_is_a_row_or_a_reject(writer: Writer) -> None:
    task = load_task("nli")
    premises = write_seeds(writer, task, write_contexts(writer, task, 3), 25, quiet)
    assert premises.groupby("context").size().tolist() == [25] * 3
    assert premises["genre"].nunique() > 1 and premises["length"].nunique() >= 1
    cells = plan_cells(task, premises, 2)
    assert cells["label"].value_counts().tolist() == [150] * 3 and cells["id"].is_unique
    kept, rejects = write_instances(writer, asked(task, "targen"), cells, 1, quiet)
    assert len(kept) + int(rejects["final"].sum()) == len(cells)
    assert len(rejects) > 0 and rejects["reason"].str.len().min() > 0
    again, later = write_instances(writer, asked(task, "targen"), cells, 4, quiet)
    assert len(again) == len(cells) - int(later["final"].sum()) and len(again) > len(kept)
    assert {"generator", "model", "prompt", "request"} <= set(again.columns)


def test_what_cannot_be_read_is_asked_for_as_a_further_sample_until_its_attempts_are_used_up() -> None:
    said = {"a": ["A."], "b": ["", "I'm sorry.", "B."], "c": ["", "", ""], "d": ["", "too late", "D."]}
    asked: list[list[tuple[str, int]]] = []

    def request(item: str, further: int) -> Request:
        return Request("toy", item, (("user", "?"),), sample=7 + further)

    def ask(requests: list[Request]) -> list[Response | ProviderError]:
        asked.append([(request.model, request.sample) for request in requests])
        texts = [said[request.model][request.sample // 100_000] for request in requests]
        return [
            ProviderError(ErrorKind.TIMEOUT, text) if text == "too late" else Response("", text, Finish.STOP, "m-1")
            for text in texts
        ]

    def read(text: str) -> str:
        if text[1:] != ".":
            raise Unreadable(f"no letter: {text!r}")
        return text

    found, failed = ask_until_read(list(said), request, read, ask, 3)
    assert asked == [
        [(item, 7) for item in "abcd"],
        [(item, 100_007) for item in "bcd"],
        [("b", 200_007), ("c", 200_007)],
    ]
    assert {place: (it.value, it.request.sample, it.model) for place, it in found.items()} == {
        0: ("A.", 7, "m-1"),
        1: ("B.", 200_007, "m-1"),
    }
    assert [(it.place, it.attempt) for it in failed] == [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1), (2, 2)]
    assert [it.place for it in failed if it.final] == [3, 2]
    assert failed[3].reason == 'no letter: "I\'m sorry."'
    assert failed[3].answer and failed[3].answer.text == "I'm sorry."
    late = failed[5]  # its answer is still to come: another sample in its place would be another row
    assert (late.reason, late.answer, late.unanswered) == ("unanswered: timeout: too late", None, True)


def test_generator_and_judge_are_asked_again_for_further_samples_of_the_same_prompts(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task("nli")
    cells = plan_cells(task, write_seeds(writer, task, write_contexts(writer, task, 2), 25, quiet), 2)
    written, _ = write_instances(writer, asked(task, "targen"), cells, 5, quiet)
    messy = replace(writer, generator=replace(writer.generator, parameters={"mess": 1.0}))
    sent: list[list[Request]] = []
    really = Writer.ask
    monkeypatch.setattr(Writer, "ask", lambda self, due, report: (sent.append(due), really(self, due, report))[1])
    for step, rows in ((write_instances, cells), (judge, written)):
        sent.clear()
        step(messy, asked(task, "targen") if step is write_instances else task, rows, 3, quiet)
        assert len(sent) == 3
        first = {(request.messages, request.sample) for request in sent[0]}
        for attempt, again in enumerate(sent):
            assert {(request.messages, request.sample - 100_000 * attempt) for request in again} <= first


def test_the_same_plan_is_asked_of_every_generator(writer: Writer) -> None:
    task = load_task("nli")
    premises = write_seeds(writer, task, write_contexts(writer, task, 2), 5, quiet)
    other = Writer("other", writer.client, Generator("grammar", "grammar-2"), False)
    cells = plan_cells(task, premises, 1)
    ids = [write_instances(who, asked(task, "targen"), cells, 5, quiet)[0]["id"].tolist() for who in (writer, other)]
    assert ids[0] == ids[1] == cells["id"].tolist()


@pytest.mark.parametrize("name", ["nli", "boolq", "rte", "cwe"])
def test_a_context_meets_several_genres_and_lengths(name: str) -> None:
    """As many chunks as a task has shapes meet all of them; a few meet as many values of each property as they can."""
    shapes = load_task(name).shapes()
    for context in range(6):
        met = [shape_of(shapes, context, chunk) for chunk in range(len(shapes))]
        assert sorted(map(repr, met)) == sorted(map(repr, shapes))
    if name == "nli":
        for context in range(18):
            met = [shape_of(shapes, context, chunk) for chunk in range(4)]
            assert len({shape["genre"] for shape in met}) >= 4 and len({shape["length"] for shape in met}) >= 2


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


def test_the_judge_self_is_the_generator_that_wrote_the_rows(
    rows: pd.DataFrame, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two generators that differ as judges, one never wrong and one never right, each on the same sound rows."""
    monkeypatch.setenv("NLILAB_CACHE", str(tmp_path / "cache"))
    accuracy = {"right": 1.0, "wrong": 0.0}
    generators = {
        name: {"provider": "grammar", "model": "grammar-1", "parameters": {"judge_accuracy": share}}
        for name, share in accuracy.items()
    }
    classifier = {"model": "none", "steps": 1, "learning_rate": 0.1}
    params = {"tasks": ["nli"], "generators": [*accuracy], "sets": [], "suites": ["s"]}
    params |= {"arms": ["a"], "models": ["a"], "seeds": [1]}
    params["correct"] = {"method": "llm", "judge": "self", "classifier": classifier}
    for file, content in (("params.yaml", params), ("conf/generators.yaml", generators)):
        write_text(tmp_path / file, yaml.safe_dump(content))
    knows = Generator("grammar", "grammar-1", None, {"judge_accuracy": 1.0})
    sound = judge(Writer("x", Client(Store(tmp_path / "x.sqlite")), knows, False), load_task("nli"), rows, 1, quiet)
    write_table(tmp_path / "rows.parquet", rows.assign(label=sound.label, cost_usd=0.5))
    write_table(tmp_path / "rejects.parquet", pd.DataFrame({"cost_usd": [0.25, 0.5]}))
    for name, share in accuracy.items():
        made = (f"{name}.parquet", f"{name}-reading.json", f"{name}.json")
        files = [Path(f) for f in ("rows.parquet", "rejects.parquet", *made)]
        correct_stage.main("nli", name, *files)
        found = read_json(files[-1])
        assert found["verdicts"]["kept"] == share * len(rows)
        assert found["cost"] == {"generate_usd": 0.5 * len(rows), "rejected_usd": 0.75, "judge_usd": 0}
        assert len(found["examples"]) == (0 if share else min(30, len(rows)))
        assert all(row["constrained"] != row["corrected"] and row["explanation"] for row in found["examples"])
        assert (read_table(Path(f"{name}.parquet"))["corrected_label"] == sound.label).mean() == share


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
        '{"seeds": ["One.", "Two."]}',
        '["One.", "Two."]',
        "Here are two:\n1. One.\n2) Two.\n",
        '- "One."\n- Two.',
        '```\n{"seeds": ["One.", " ", "Two."]}\n```',
    ],
)
def test_lists_are_read_however_they_are_written(text: str) -> None:
    assert read_list(text, "seeds") == ["One.", "Two."]
    with pytest.raises(Unreadable, match="no list of seeds"):
        read_list("None.", "seeds")


def test_prompts_hold_the_fields_and_one_meta_prompt_serves_all_tasks() -> None:
    task = load_task("nli")
    cell = {"context": "a farm", "premise": "A {dog} ran.", "label": "neutral", "means": "open"}
    system, user = task.generate["neutral"].messages(**cell)
    assert (system[0], user) == ("system", ("user", "Setting: a farm\nPremise: A {dog} ran."))
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
        (lambda home: _replace(home, "seeds: [premise]", "seeds: [text]"), "nobody writes the field 'premise'"),
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
            "task": "nli",
        }
    )
    if corrected:
        number = rows["id"].str.split("-").str[1].astype(int)
        rows["corrected_label"] = rows["label"].mask(number == 0, "neutral").mask(number == 1, None)
    return rows


def test_arms_are_balanced_nested_and_certified() -> None:
    sources = {"a": curated(40), "b": curated(40, corrected=False).assign(id=lambda table: "b" + table["id"])}
    small = mix("s", Mixture(sources={"a": 60, "b": 31}), sources, TASKS_KNOWN)
    large = mix("l", Mixture(sources={"a": 90, "b": 31}), sources, TASKS_KNOWN)
    assert set(small["id"]) < set(large["id"])
    mixture = Mixture(sources={"a": 60, "b": 31})
    found = certificate(small, mixture, reading_of(mixture, sources, TASKS_KNOWN))
    assert found["balanced"] and found["rows"] == 91 and found["sources"] == {"a": 60, "b": 31}
    raw = mix("r", Mixture(sources={"a": 120}, labels="constrained"), sources, TASKS_KNOWN)
    assert sorted(raw["id"]) == sorted(sources["a"]["id"])


def test_the_shuffled_control_keeps_rows_and_balance_but_not_the_meaning() -> None:
    sources = {"a": curated(40)}
    straight = mix("x", Mixture(sources={"a": 90}), sources, TASKS_KNOWN).set_index("id")["label"]
    shuffled = mix("x", Mixture(sources={"a": 90}, shuffle=True), sources, TASKS_KNOWN).set_index("id")["label"]
    assert shuffled.value_counts().to_dict() == straight.value_counts().to_dict()
    agree = (shuffled.sort_index() == straight.sort_index()).mean()
    assert 0.15 < agree < 0.55


def test_an_arm_that_asks_too_much_says_what_there_is() -> None:
    with pytest.raises(
        UserError, match=r"asks 120 rows of a .40 for each label., which has 38 entailment.*at most 114"
    ):
        mix("x", Mixture(sources={"a": 120}), {"a": curated(40)}, TASKS_KNOWN)


def test_an_arm_draws_only_on_what_takes_part() -> None:
    mixtures = Mixtures({"a": Mixture(sources={"claude": 30, "gramar": 30})})
    mixtures.check_sources("a", ["claude", "gramar"])
    with pytest.raises(
        UserError, match=r"mixtures\.a\.sources: 'gramar' is none of `sets` .did you mean 'grammar'.*these are"
    ):
        mixtures.check_sources("a", ["claude", "grammar"])
    with pytest.raises(UserError, match="arm 'b' has no entry in mixtures"):
        mixtures.check_sources("b", [])


def test_the_meta_prompt_is_json_free_of_stray_placeholders() -> None:
    task = load_task("nli")
    for _, text in task.correction({"premise": "P", "hypothesis": "H"}, "neutral"):
        assert "{title}" not in text and "{examples}" not in text
    assert json.loads('{"label": "neutral"}')["label"] in task.labels


def test_half_an_emoji_that_json_hides_does_not_reach_a_table() -> None:
    assert read_fields('{"hypothesis": "So: \\ud83d"}', ["hypothesis"]) == {"hypothesis": "So: ?"}
    assert read_list('{"seeds": ["\\ud83d one"]}', "seeds") == ["? one"]


def of_task(task: str, labels: list[str], count: int, **columns: object) -> pd.DataFrame:
    """Curated rows of a task, `count` of each label."""
    rows = pd.DataFrame({"id": [f"{task}-{label}-{number}" for label in labels for number in range(count)]})
    rows = rows.assign(premise="A dog ran.", hypothesis="It ran.", label=np.repeat(labels, count), task=task)
    return rows.assign(group=rows["id"], split="train", **columns)


def test_a_multi_task_arm_weighs_its_tasks_equally_and_reads_all_their_labels() -> None:
    tasks = {name: load_task(name) for name in ("rte", "copa")}
    sources = {
        "rte/g": of_task("rte", ["entailment", "non-entailment"], 30),
        "copa/g": of_task("copa", ["choice1", "choice2"], 7),
    }
    mixture = Mixture(sources={"rte/g": "all", "copa/g": "all"}, balance_tasks=True, instructions=True)
    table, reading = mix("all", mixture, sources, tasks), reading_of(mixture, sources, tasks)
    assert table["task"].value_counts().to_dict() == {"rte": 60, "copa": 60} and table["id"].is_unique
    assert reading.labels == ["entailment", "non-entailment", "choice1", "choice2"]
    assert reading.word("choice1") == "first" and reading.word("entailment") == "entailment"
    assert set(reading.instructions) == {"rte", "copa"} and "`choice1`" in reading.instructions["copa"]
    found = certificate(table, mixture, reading)
    assert found["tasks"] == {"rte": 60, "copa": 60} and found["balanced"]


def test_rows_of_part_of_the_contexts_for_money_or_not_at_all() -> None:
    tasks = {"rte": load_task("rte")}
    labels = ["entailment", "non-entailment"]
    rows = of_task("rte", labels, 40, context=[f"c{number % 4}" for number in range(80)], cost_usd=0.01)
    half = mix("h", Mixture(sources={"rte/g": 20}, contexts=0.5), {"rte/g": rows}, tasks)
    used = rows.set_index("id")["context"].loc[half["id"]].unique()
    assert len(half) == 20 and len(used) == 2
    bought = mix("b", Mixture(sources={"rte/g": "$0.305"}), {"rte/g": rows}, tasks)
    assert bought["label"].value_counts().to_dict() == {"entailment": 15, "non-entailment": 15}
    with pytest.raises(UserError, match=r"worth \$9, but all 80 cost \$0.8000"):
        mix("b", Mixture(sources={"rte/g": "$9"}), {"rte/g": rows}, tasks)
    with pytest.raises(UserError, match="they cost nothing: ask for a number of rows"):
        mix("b", Mixture(sources={"rte/g": "$9"}), {"rte/g": rows.assign(cost_usd=0.0)}, tasks)
    untuned = Mixture(sources={"rte/g": 20}, untuned=True)
    assert mix("u", untuned, {"rte/g": rows}, tasks).empty
    assert reading_of(untuned, {"rte/g": rows}, tasks).labels == labels
    with pytest.raises(UserError, match=r"source 'd': its rows are labelled neutral, which tasks/rte/task.yaml"):
        mix("s", Mixture(sources={"d": 20}), {"d": rows.assign(label="neutral")}, tasks)
