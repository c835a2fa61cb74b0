"""A model that classifies already keeps its head by the names of its rows, not by their numbers, or says otherwise."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from nlilab.core.errors import UserError
from nlilab.core.files import read_json, write_json
from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.model.checkpoint import load_start, load_trained
from nlilab.model.classifier import predict, predict_loaded
from nlilab.model.joining import label_rows
from nlilab.model.settings import TrainSettings
from nlilab.model.trainer import out_of_fold, train
from nlilab.tasks.reading import Reading
from tiny import save_checkpoint

NLI, RTE = Reading(tasks={"nli": list(THREE_WAY)}), Reading(tasks={"rte": list(TWO_WAY)})
PUBLIC = ("contradiction", "entailment", "neutral")  # the order of the public cross-encoders
SPELLED = {"entailment": "ENTAILMENT", "neutral": "Neutral", "contradiction": " contradiction"}
KINDS = ("bert", "roberta", "electra", "t5", "gpt2")
ROWS = pd.DataFrame(
    {
        "premise": [f"Two dogs run{' across the field' * (number % 3)}." for number in range(24)],
        "hypothesis": [f"{word} dogs are {word} there" for word in ("yes", "maybe", "no") * 8],
        "label": [*THREE_WAY] * 8,
        "task": "nli",
        "group": [f"g{number % 6}" for number in range(24)],
    }
)


def tuned(kind: str, folder: Path, names: tuple[str, ...], like: Path | None = None) -> Path:
    """A checkpoint with a head whose rows are called so; `like`: the same model, its rows in this order."""
    if like is None:
        save_checkpoint(kind, folder / "bare", [*ROWS["premise"], *ROWS["hypothesis"]])
        config = AutoConfig.from_pretrained(folder / "bare", num_labels=len(names))
        torch.manual_seed(5)
        kindly: Any = AutoModelForSequenceClassification
        model = kindly.from_pretrained(folder / "bare", config=config, dtype=torch.float32)
        for name in label_rows(model):
            torch.nn.init.normal_(model.get_parameter(name), std=0.3)
        model.save_pretrained(folder)
        for path in (folder / "bare").glob("token*"):
            shutil.copy(path, folder)
        shutil.rmtree(folder / "bare")
    else:
        shutil.copytree(like, folder)
        config = read_json(like / "config.json")
        before = [config["id2label"][str(row)] for row in range(len(names))]
        weights = load_file(like / "model.safetensors")
        for name in label_rows(AutoModelForSequenceClassification.from_pretrained(like)):
            weights[name] = weights[name][[before.index(label) for label in names]].clone()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    name_rows(folder, names)
    return folder


def name_rows(folder: Path, names: tuple[str, ...], back: tuple[str, ...] | None = None) -> None:
    config = read_json(folder / "config.json")
    config["id2label"] = {str(row): name for row, name in enumerate(names)}
    config["label2id"] = {name: row for row, name in enumerate(back or names)}
    write_json(folder / "config.json", config)


def settings(model: Path, **changes: object) -> TrainSettings:
    plain = {"model": str(model), "steps": 0, "batch_size": 8, "learning_rate": 0.01, "max_length": 40}
    return TrainSettings.model_validate({**plain, "precision": "fp32", "head": "classifier", **changes})


def raw(folder: Path) -> np.ndarray:
    """What transformers itself makes of the checkpoint, with the columns in our order, by the names of its config."""
    kindly: Any = AutoModelForSequenceClassification
    model = kindly.from_pretrained(folder).train(False)
    classifier = load_start(settings(folder), NLI)
    from nlilab.model.classifier import encode

    batch = classifier.tokenizer.pad(encode(ROWS, classifier, 40).inputs, padding_side="right", return_tensors="pt")
    model.config.pad_token_id = classifier.tokenizer.pad_token_id
    with torch.no_grad():
        found = model(**batch).logits.softmax(-1).numpy()
    names = [model.config.id2label[row] for row in range(3)]
    return found[:, [names.index(label) for label in THREE_WAY]]


def said(model: Path, reading: Reading = NLI, **changes: object) -> np.ndarray:
    return predict_loaded(load_start(settings(model, **changes), reading), ROWS, 24, 40, None)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_head_are_joined_by_name_in_whatever_order_they_stand(kind: str, tmp_path: Path) -> None:
    first = tuned(kind, tmp_path / "first", THREE_WAY)
    truth = raw(first)
    assert min(np.abs(truth - np.roll(truth, turn, 1)).max() for turn in (1, 2)) > 0.05  # an order can be told
    for number, order in enumerate(itertools.permutations(THREE_WAY)):
        same = tuned(kind, tmp_path / str(number), order, like=first)
        assert np.allclose(raw(same), truth, atol=1e-4), order
        assert np.allclose(said(same), truth, atol=2e-2), order  # bf16 where the machine computes it
        name_rows(same, tuple(SPELLED[label] for label in order))
        assert np.allclose(said(same), truth, atol=2e-2), order


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_an_untuned_arm_answers_as_the_model_does_and_its_folder_says_so(
    tmp_path: Path, lora: dict[str, int] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tuned("bert", tmp_path / "public", PUBLIC)
    truth = raw(public)
    train(ROWS, settings(public, lora=lora), 1, tmp_path / "arm", NLI)
    assert np.allclose(predict(tmp_path / "arm", ROWS, 24, 40), truth, atol=2e-2)
    assert capsys.readouterr().out.splitlines() == [
        f"{public}: its head answers contradiction, entailment, neutral; its rows now stand by name as entailment, "
        "neutral, contradiction"
    ]
    if lora is None:
        config = read_json(tmp_path / "arm/config.json")
        assert [config["id2label"][str(row)] for row in range(3)] == list(THREE_WAY)
        assert config["label2id"] == {label: row for row, label in enumerate(THREE_WAY)}
    train(ROWS, settings(public, lora=lora, steps=2), 1, tmp_path / "further", NLI, tmp_path / "arm")
    train(ROWS, settings(public, lora=lora, steps=2, learning_rate=1e-6), 1, tmp_path / "tuned", NLI)
    assert np.allclose(predict(tmp_path / "tuned", ROWS, 24, 40), truth, atol=2e-2)


def test_a_model_of_ours_whose_rows_and_names_were_put_in_another_order_says_the_same(tmp_path: Path) -> None:
    train(ROWS, settings(tuned("electra", tmp_path / "start", PUBLIC)), 1, tmp_path / "arm", NLI)
    truth = predict(tmp_path / "arm", ROWS, 24, 40)
    other = tuned("electra", tmp_path / "other", PUBLIC, like=tmp_path / "arm")
    assert np.allclose(predict(other, ROWS, 24, 40), truth, atol=1e-6)
    assert load_trained(other).model.config.id2label == dict(enumerate(THREE_WAY))
    name_rows(other, ("contradiction", "entailment", "unsure"))
    with pytest.raises(UserError, match=r"config\.json answers .*unsure.*train the model anew"):
        predict(other, ROWS, 24, 40)


def test_names_that_say_nothing_are_declared_or_the_head_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tuned("bert", tmp_path / "m", PUBLIC)
    truth, before = raw(model), load_file(model / "model.safetensors")["classifier.weight"]
    for number, names in enumerate([("LABEL_0", "LABEL_1", "LABEL_2"), ("0", "1", "2")]):
        same = tmp_path / f"silent{number}"
        shutil.copytree(model, same)
        name_rows(same, names)
        assert np.allclose(said(same, labels=list(PUBLIC)), truth, atol=2e-2)
        assert "rows now stand by name" in capsys.readouterr().out
        fresh: Any = load_start(settings(same), NLI).model
        assert not set(fresh.classifier.weight[:, 0].tolist()) & set(before[:, 0].tolist())
        assert capsys.readouterr().out == (
            f"{same}: nothing says which of the 3 rows of its head is which label, so it begins anew for 3 labels, "
            "entailment, neutral, contradiction; to keep it, name them in its order: train.labels\n"
        )
        load_start(settings(same), NLI)
        assert capsys.readouterr().out == ""  # once is enough
    name_rows(model, ("LABEL_0", "LABEL_1", "LABEL_2"), back=PUBLIC)  # named on one side alone
    assert np.allclose(said(model), truth, atol=2e-2)
    name_rows(model, PUBLIC, back=THREE_WAY)
    load_start(settings(model), NLI)
    assert "nothing says which" in capsys.readouterr().out
    assert np.allclose(said(model, labels=list(PUBLIC)), truth, atol=2e-2)


def test_a_head_of_other_labels_begins_anew_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three, two = (
        tuned("bert", tmp_path / "three", PUBLIC),
        tuned("bert", tmp_path / "two", ("not_entailment", "Entailment")),
    )
    mood, one = (
        tuned("bert", tmp_path / "mood", ("negative", "positive")),
        tuned("bert", tmp_path / "one", ("LABEL_0",)),
    )
    for model, reading, message in (
        (three, RTE, "answers 3 labels, contradiction, entailment, neutral; the rows have 2 labels, entailment, non-"),
        (two, NLI, "answers 2 labels, not_entailment, Entailment; the rows have 3 labels, entailment, neutral, contra"),
        (mood, RTE, "answers 2 labels, negative, positive; the rows have 2 labels, entailment, non-entailment: it"),
        (one, NLI, "nothing says which of the 1 rows of its head is which label"),
    ):
        before = load_file(model / "model.safetensors")["classifier.weight"]
        after: Any = load_start(settings(model), reading).model
        assert after.classifier.weight.shape[0] == len(reading.labels)
        assert not set(after.classifier.weight[:, 0].tolist()) & set(before[:, 0].tolist())
        assert message in capsys.readouterr().out
    kept: Any = load_start(settings(two), RTE).model
    before = load_file(two / "model.safetensors")["classifier.weight"]
    assert torch.equal(kept.classifier.weight, before[[1, 0]])
    for spelling in ("non_entailment", "NOT-ENTAILMENT", "Not entailment", "nonentailment"):
        name_rows(two, (spelling, "entailment"))
        again: Any = load_start(settings(two), RTE).model
        assert torch.equal(again.classifier.weight, before[[1, 0]]), spelling


def test_declared_names_that_fit_no_head_are_refused(tmp_path: Path) -> None:
    model = tuned("bert", tmp_path / "m", PUBLIC)
    with pytest.raises(UserError, match=r"train\.labels: got 2 names .*but the head of .* has 3 rows"):
        load_start(settings(model, labels=list(TWO_WAY)), NLI)
    with pytest.raises(UserError, match=r"train\.labels: got 3 names .*but the head of .* has 2 rows"):
        load_start(settings(tuned("bert", tmp_path / "two", TWO_WAY), labels=list(PUBLIC)), NLI)
    save_checkpoint("bert", tmp_path / "bare", ROWS["premise"])
    with pytest.raises(UserError, match=r"train\.labels: .* has no head of its own"):
        load_start(settings(tmp_path / "bare", labels=list(PUBLIC)), NLI)
    save_checkpoint("t5", tmp_path / "t5", [*ROWS["premise"], "entailment neutral contradiction"])
    with pytest.raises(UserError, match=r"train\.labels: .*a head of words has no rows"):
        load_start(settings(tmp_path / "t5", head="words", labels=list(PUBLIC)), NLI)
    with pytest.raises(ValueError, match="a name stands twice"):
        settings(model, labels=["entailment", "Entailment", "neutral"])


def test_a_headless_model_is_trained_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        save_checkpoint(kind, tmp_path / kind, ROWS["premise"])
        load_start(settings(tmp_path / kind), NLI)
    assert capsys.readouterr().out == ""


def test_an_encoder_decoder_that_classifies_already_keeps_its_head(tmp_path: Path) -> None:
    model = tuned("t5", tmp_path / "m", PUBLIC)
    truth = raw(model)
    assert load_start(settings(model, head="auto"), NLI).form.head == "classifier"
    assert np.allclose(said(model, head="auto"), truth, atol=2e-2)


def test_out_of_fold_models_start_from_the_joined_head(tmp_path: Path) -> None:
    public = tuned("bert", tmp_path / "m", PUBLIC)
    found = out_of_fold(ROWS, settings(public), 2, 0, NLI)
    assert np.allclose(found, raw(public), atol=2e-2)


def test_labels_that_are_called_by_numbers_keep_their_rows(tmp_path: Path) -> None:
    reading = Reading(tasks={"stars": ["0", "1", "2"]})
    model = tuned("bert", tmp_path / "m", ("2", "0", "1"))
    kept: Any = load_start(settings(model), reading).model
    assert torch.equal(kept.classifier.weight, load_file(model / "model.safetensors")["classifier.weight"][[1, 2, 0]])
    assert json.loads((model / "config.json").read_text())["id2label"]["0"] == "2"
