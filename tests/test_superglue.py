"""SuperGLUE: official files and the hub's tables become pairs; its metrics are those of the official definitions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nlilab.core.errors import UserError
from nlilab.core.files import sha256
from nlilab.datasets.entries import Dataset
from nlilab.datasets.sources import fetch
from nlilab.verdict.questions import options, parity, pick_one, picked, questions

BOTH = {"true": "true", "false": "false"}


def load(path: Path, **entry: object) -> pd.DataFrame:
    """The rows of a file by an entry with these fields."""
    return fetch("x", Dataset(path=str(path), sha256=sha256(path), licence="x", source="y", **entry))  # type: ignore[arg-type]


def write(path: Path, *rows: dict[str, object]) -> Path:
    """A JSONL file, and beside it the same rows as parquet."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


OFFICIAL = {
    "BoolQ": ("boolq", "jsonl", {"premise": "{passage}", "hypothesis": "{question}"}, BOTH, 600),
    "WiC": ("wic", "jsonl", {"premise": "{sentence1}", "hypothesis": "{word}: {sentence2}"}, BOTH, 250),
    "WSC": ("wsc", "wsc", {"premise": "{text}", "hypothesis": "It refers to {noun_phrase}."}, BOTH, 52),
    "RTE": ("rte", "jsonl", {}, {"not_entailment": "non-entailment"}, 138),
    "CB": ("cb", "jsonl", {}, {}, 28),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_real_files_load(name: str, real_superglue: Path) -> None:
    task, kind, columns, labels, count = OFFICIAL[name]
    scheme = "two-way" if name == "RTE" else "three-way"
    rows = load(real_superglue / f"{name}.jsonl", task=task, format=kind, columns=columns, labels=labels, scheme=scheme)
    assert len(rows) == count and set(rows["task"]) == {task} and rows["id"].is_unique
    if name == "WSC":
        assert rows["premise"].str.count(r"\*\w+\*").eq(1).all() and rows["group"].nunique() < count
    if name == "WiC":
        assert rows["hypothesis"].iloc[0] == "fuel: They developed alternative fuels for aircraft."


def test_multirc_has_a_row_for_each_option_whichever_file_it_comes_from(tmp_path: Path) -> None:
    answers = [{"text": "Two.", "label": 1, "idx": 0}, {"text": "Six.", "label": 0, "idx": 1}]
    official = {"idx": 4, "passage": {"text": "P.", "questions": [{"question": "Q?", "answers": answers, "idx": 7}]}}
    flat = [
        {"paragraph": "P.", "question": "Q?", "answer": a["text"], "label": a["label"], "idx": number}
        for a in answers
        for number in [{"paragraph": 4, "question": 7, "answer": a["idx"]}]
    ]
    pd.DataFrame(flat).to_parquet(tmp_path / "hub.parquet")
    entry = {
        "task": "multirc",
        "format": "multirc",
        "columns": {"premise": "{passage}", "hypothesis": "{question} {option}"},
        "labels": BOTH,
        "group": "group",
        "metric": "options",
    }
    found = load(write(tmp_path / "official.jsonl", official), **entry)
    assert found.drop(columns="id").equals(load(tmp_path / "hub.parquet", **entry).drop(columns="id"))
    assert found[["hypothesis", "label", "group"]].to_numpy().tolist() == [
        ["Q? Two.", "true", "4-7"],
        ["Q? Six.", "false", "4-7"],
    ]


def test_record_has_a_row_for_each_entity_and_keeps_its_text(tmp_path: Path) -> None:
    text = "Anna met Bo in Cork.\n@highlight\nBo left"
    spans = [{"start": 0, "end": 3}, {"start": 9, "end": 10}, {"start": 15, "end": 18}, {"start": 32, "end": 33}]
    official = {
        "idx": 0,
        "passage": {"text": text, "entities": spans},
        "qas": [{"query": "@placeholder met Bo.", "answers": [{"start": 0, "end": 3, "text": "Anna"}], "idx": 0}],
    }
    entry = {
        "task": "record",
        "format": "record",
        "columns": {"premise": "{passage}", "hypothesis": "{entity}: {query}"},
        "labels": BOTH,
        "group": "group",
        "metric": "pick-one",
    }
    found = load(write(tmp_path / "official.jsonl", official), **entry)
    assert found[["option", "label"]].to_numpy().tolist() == [["Anna", "true"], ["Bo", "false"], ["Cork", "false"]]
    assert found["hypothesis"].iloc[0] == "Anna: @placeholder met Bo." and found["group"].nunique() == 1
    table = {"passage": text, "query": "@placeholder met Bo.", "entities": ["Anna", "Bo", "Cork"], "answers": ["Anna"]}
    pd.DataFrame([table]).to_parquet(tmp_path / "hub.parquet")
    assert found.equals(load(tmp_path / "hub.parquet", **entry))


def test_hidden_labels_are_dropped_or_named_and_never_true(tmp_path: Path) -> None:
    def row(label: int) -> dict[str, object]:
        key = {"paragraph": 0, "question": 0, "answer": label}
        return {"paragraph": "P.", "question": "Q?", "answer": f"A{label}", "label": label, "idx": key}

    pd.DataFrame([row(1), row(0), row(-1)]).to_parquet(tmp_path / "m.parquet")
    columns = {"premise": "{passage}", "hypothesis": "{question} {option}"}
    entry = {"task": "multirc", "format": "multirc", "columns": columns, "labels": BOTH, "group": "group"}
    assert load(tmp_path / "m.parquet", **entry, drop=["-1"])["label"].tolist() == ["true", "false"]
    with pytest.raises(UserError, match="unknown label '-1' at row 3"):
        load(tmp_path / "m.parquet", **entry)
    asked = {"passage": "P.", "query": "@placeholder ran.", "entities": ["Ann"], "answers": []}
    pd.DataFrame([asked]).to_parquet(tmp_path / "r.parquet")
    columns = {"premise": "{passage}", "hypothesis": "{entity}: {query}"}
    with pytest.raises(UserError, match="unknown label '-1' at row 1"):
        load(tmp_path / "r.parquet", format="record", task="record", columns=columns, labels=BOTH, group="group")


def test_files_of_another_shape_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "It was *he*.", "label": True})
    with pytest.raises(UserError, match=r"is no wsc file .it lacks 'span2_index'"):
        load(path, format="wsc", task="wsc", labels=BOTH)
    span = {"span2_index": 0, "span2_text": "he", "span1_text": "Al"}
    path = write(tmp_path / "b.jsonl", {"text": "It was he.", "label": True, "target": span})
    with pytest.raises(UserError, match="word 0 of the text is 'It', expected 'he'"):
        load(path, format="wsc", task="wsc", labels=BOTH)
    path = write(tmp_path / "c.jsonl", {"passage": "P", "label": True})
    with pytest.raises(UserError, match="no column question; the file has passage, label"):
        load(path, format="jsonl", columns={"premise": "{passage}", "hypothesis": "{question}"}, labels=BOTH)
    copa = {"premise": "P", "choice1": "a", "choice2": "b", "question": "cause", "label": 2}
    columns = {"premise": "{premise} What was the {question}?", "hypothesis": "first: {choice1} second: {choice2}"}
    with pytest.raises(UserError, match="unknown label '2' at row 1; expected one of choice1, choice2"):
        load(
            write(tmp_path / "d.jsonl", copa),
            format="jsonl",
            columns=columns,
            labels={"0": "choice1", "1": "choice2"},
        )


def test_multirc_is_scored_by_f1a_and_by_whole_questions() -> None:
    rows = pd.DataFrame({"label": ["true", "false", "true", "true"], "group": ["a", "a", "b", "b"]})
    found = options(rows, np.array(["true", "false", "true", "false"]))
    assert found == {"questions": 2, "f1a": pytest.approx(0.8), "f1m": pytest.approx((1 + 2 / 3) / 2), "em": 0.5}


def test_record_is_scored_by_its_likeliest_entity_against_the_nearest_answer() -> None:
    rows = pd.DataFrame(
        {
            "label": ["true", "true", "false", "false", "true"],
            "group": ["q", "q", "q", "r", "r"],
            "option": ["The White House", "Obama", "Barack Obama", "Paris", "London"],
        }
    )
    true = np.array([0.2, 0.1, 0.9, 0.3, 0.3])
    chosen = picked(rows, true)
    assert chosen.tolist() == [2, 3]
    found = pick_one(rows, chosen)
    assert found["em"] == 0.0 and found["f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["rouge_l"] == pytest.approx((2 / 3 + 0) / 2)
    sure = questions("pick-one", rows, np.array([0.9, 0.1, 0.2, 0.1, 0.3]), np.array(["true"] * 5))
    assert sure["em"] == sure["f1"] == sure["rouge_l"] == 1.0
    assert pick_one(rows.assign(option=["white house!", *rows["option"][1:]]), np.array([0]))["em"] == 1.0


def test_gender_parity_counts_pairs_with_equal_answers() -> None:
    rows = pd.DataFrame({"group": ["1", "1", "2", "2"]})
    assert parity(rows, np.array(["e", "e", "e", "n"])) == {"pairs": 2, "gender_parity": 0.5}
