"""Every kind of transformer with every head: trains, answers within its task, is attacked, saved and found again."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from conftest import ROOT
from nlilab.attack.perturb import attack
from nlilab.attack.recipes import Recipe
from nlilab.attack.saliency import Row, Victim, means
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, sha256, write_json, write_table
from nlilab.core.params import validate
from nlilab.core.schema import NON_ENTAILMENT, THREE_WAY
from nlilab.model import memory
from nlilab.model.checkpoint import load_start, load_trained
from nlilab.model.classifier import cut, encode, predict
from nlilab.model.heads import Classifier, WordsHead, plain_ids
from nlilab.model.settings import FreeLb, Lora, TrainSettings
from nlilab.model.trainer import Trained, out_of_fold, train
from nlilab.stages import train as train_stage
from nlilab.tasks.reading import Reading, load_reading
from tiny import DECODERS, ENCODERS, save_checkpoint

SAYS = {"entailment": "surely", "neutral": "perhaps", "contradiction": "hardly", "true": "indeed", "false": "never"}
READING = Reading(
    tasks={"nli": list(THREE_WAY), "boolq": ["true", "false"]},
    words={"entailment": "yes", "neutral": "maybe", "contradiction": "no", "true": "right", "false": "wrong"},
    instructions={"boolq": "Is it so?"},
)
HEADED = [(kind, "classifier") for kind in ENCODERS]
HEADED += [(kind, head) for kind in ("t5", *DECODERS) for head in ("classifier", "words")]
MASK = Recipe(paper="a test", ranking="l1", perturbation="hotflip", max_words=2)


def toy(count: int) -> pd.DataFrame:
    """Rows of two tasks whose hypothesis gives the label away."""
    labels = [READING.labels[number % 5] for number in range(count)]
    return pd.DataFrame(
        {
            "id": [f"row-{number}" for number in range(count)],
            "premise": [f"Two dogs run{' across the field' * (number % 3)}." for number in range(count)],
            "hypothesis": [f"{SAYS[label]} dogs are {SAYS[label]} there" for label in labels],
            "label": labels,
            "task": ["nli" if label in THREE_WAY else "boolq" for label in labels],
            "group": [f"g{number % 7}" for number in range(count)],
        }
    )


ROWS = toy(60)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Pretrained checkpoints by kind, each made when it is first asked for."""
    folder = tmp_path_factory.mktemp("starts")
    texts = [*ROWS["premise"], *ROWS["hypothesis"], "Answer: yes maybe no right wrong", "Is it so?"]

    def find(kind: str) -> Path:
        if not (folder / kind).is_dir():
            save_checkpoint(kind, folder / kind, texts)
        return folder / kind

    return find


def settings_for(model: Path, **changes: object) -> TrainSettings:
    plain = {"steps": 6, "batch_size": 12, "learning_rate": 0.01, "max_length": 40, "precision": "fp32"}
    return TrainSettings.model_validate({"model": str(model), **plain, **changes})


def fit(
    model: Path, out: Path, first: Path | None = None, adversary: FreeLb | None = None, **changes: object
) -> Trained:
    return train(ROWS, settings_for(model, **changes), 1, out, READING, first, adversary=adversary)


def losses(trained: Trained) -> list[float]:
    return [entry["loss"] for entry in trained.losses]


@pytest.mark.parametrize(("kind", "head"), HEADED)
def test_every_model_learns_answers_within_its_task_and_can_be_attacked(
    start: Callable[[str], Path], tmp_path: Path, kind: str, head: str
) -> None:
    out = tmp_path / "model"
    trained = fit(start(kind), out, head=head, steps=30)
    assert losses(trained)[-1] < losses(trained)[0] - 0.2
    found = predict(out, ROWS, 60, 40)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    nli = (ROWS["task"] == "nli").to_numpy()
    assert not found[nli, 3:].any() and not found[~nli, :3].any()
    assert (np.array(READING.labels)[found.argmax(axis=1)] == ROWS["label"]).mean() > 0.6
    assert np.allclose(predict(out, ROWS[::-1], 7, 40)[::-1], found, atol=2e-2)  # bf16 rounds by a batch's shape
    victim = Victim.open(out, 40)
    together = attack(ROWS[:10], victim, MASK, 8, 0)
    pd.testing.assert_frame_equal(attack(ROWS[:10], victim, MASK, 1, 0), together)
    assert (together["reason"] == "").all()
    texts = [path for path in out.iterdir() if path.suffix != ".safetensors"]
    assert {path.suffix for path in texts} == {".json"} and len(texts) < len(list(out.iterdir()))
    assert not [path for path in texts if str(tmp_path.parent) in path.read_text()]


@pytest.mark.parametrize("kind", ["t5", "gpt2", "llama"])
def test_label_words_score_as_the_language_model_itself_scores_them(
    start: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    """An untuned model, saved as it is, against one row at a time without any padding."""
    trained = fit(start(kind), tmp_path / "m", head="words", steps=0)
    assert (trained.steps, trained.losses, trained.epochs) == (0, [], 0)
    mine = load_trained(tmp_path / "m")
    found = logits(mine, ROWS[:10])
    source: Any = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    model = source.from_pretrained(start(kind), dtype=torch.float32)
    for row, score in zip(ROWS[:10].itertuples(), found, strict=True):
        ask = "Is it so?" if row.task == "boolq" else ""
        ids = mine.tokenizer
        if kind == "t5":
            inputs = ids(f"{ask} {row.premise}".strip(), row.hypothesis, return_tensors="pt")
            inputs["decoder_input_ids"] = torch.tensor([[model.config.decoder_start_token_id]])
            cue = ""
        else:
            cue = "\nAnswer: "
            parts = [*([ask, "\n\n"] if ask else []), row.premise, "\n", row.hypothesis, cue.rstrip()]
            joined = ["".join(parts[:-3]), *parts[-3:]]
            begin = [1] if kind == "llama" else []
            tokens = begin + [token for part in joined for token in plain_ids(ids, part)]
            inputs = {"input_ids": torch.tensor([tokens])}
        every = model(**{name: inputs[name] for name in inputs if name != "token_type_ids"}).logits[0, -1]
        before = len(plain_ids(ids, cue.rstrip())) if cue else 0
        firsts = [plain_ids(ids, cue + READING.word(label))[before] for label in READING.labels]
        assert len(set(firsts)) == 5
        assert torch.allclose(score, every[firsts], atol=1e-4)


def logits(classifier: Classifier, rows: pd.DataFrame) -> torch.Tensor:
    """The logits of all rows at once [rows, labels]."""
    inputs = encode(rows, classifier, 40).inputs
    batch = classifier.tokenizer.pad(inputs, padding_side="right", return_tensors="pt")
    with torch.no_grad():
        found: torch.Tensor = classifier.model.train(False)(**batch).logits
    return found


@pytest.mark.parametrize("view", ["pair", "hypothesis", "premise"])
@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2", "llama"])
def test_tokens_know_their_place_in_the_hypothesis(start: Callable[[str], Path], kind: str, view: str) -> None:
    reading = READING.model_copy(update={"view": view})
    classifier = load_start(settings_for(start(kind), head="auto" if kind == "bert" else "words"), reading)
    long = ROWS[:5].assign(premise="Two dogs run. " * 30)
    for rows in (ROWS[:5], long):
        found = encode(rows, classifier, 40, places=True)
        assert max(len(item["input_ids"]) for item in found.inputs) <= 40
        assert found.truncated == (5 if rows is long and view != "hypothesis" else 0)
        for row, item, places in zip(rows.itertuples(), found.inputs, found.places, strict=True):
            tokens = classifier.tokenizer.convert_ids_to_tokens(item["input_ids"])
            said = [re.sub("^(##|Ġ|▁)", "", token) for token, place in zip(tokens, places, strict=True) if place]
            slices = [str(row.hypothesis)[slice(*place)].strip() for place in places if place]
            assert said == slices
            assert "".join(said) == ("" if view == "premise" else str(row.hypothesis).replace(" ", ""))
            text = classifier.tokenizer.decode(item["input_ids"])
            told = row.task == "boolq" and view != "hypothesis"
            assert told == ("Isitso?" in re.sub(r"\s|</?s>", "", text))
            if kind == "gpt2":
                assert text.endswith(f"\n{row.hypothesis}\nAnswer:" if view == "pair" else "\nAnswer:")


def test_the_longer_text_is_cut_first() -> None:
    for lengths, room, kept in (
        ([3, 4], 9, [3, 4]),
        ([10, 2], 8, [6, 2]),
        ([2, 10], 8, [2, 6]),
        ([9, 8], 8, [4, 4]),
        ([9, 9], 7, [3, 4]),
        ([5], 3, [3]),
    ):
        assert cut(lengths, room) == kept


@pytest.mark.parametrize(("kind", "head"), [("bert", "classifier"), ("llama", "words"), ("gpt2", "classifier")])
def test_an_adapter_is_saved_alone_trained_on_and_merged(
    start: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, head: str
) -> None:
    monkeypatch.chdir(start(kind).parent)
    model, lora = Path(kind), {"rank": 4, "dropout": 0.0}
    first = fit(model, tmp_path / "a", head=head, lora=lora, steps=15)
    fit(model, tmp_path / "again", head=head, lora=lora, steps=15)
    saved = {path.name: sha256(path) for path in (tmp_path / "a").iterdir()}
    assert saved == {path.name: sha256(path) for path in (tmp_path / "again").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} < set(saved) and "model.safetensors" not in saved
    config = read_json(tmp_path / "a/adapter_config.json")
    assert config["base_model_name_or_path"] == kind == read_json(tmp_path / "a/head.json")["base"]
    assert config["target_modules"] == sorted(config["target_modules"])
    weights = load_file(tmp_path / "a/adapter_model.safetensors")
    assert [name for name in weights if "lora" not in name] or head == "words"  # a new head is trained and saved
    merged, apart = load_trained(tmp_path / "a"), load_trained(tmp_path / "a", trainable=True)
    assert torch.allclose(logits(merged, ROWS), logits(apart, ROWS), atol=1e-4)
    further = fit(model, tmp_path / "b", tmp_path / "a", head=head, lora=lora, steps=15)
    assert losses(further)[0] < losses(first)[0] - 0.1
    assert set(load_file(tmp_path / "b/adapter_model.safetensors")) == set(weights)
    assert attack(ROWS[:5], Victim.open(tmp_path / "b", 40), MASK, 4, 0)["reason"].eq("").all()
    with pytest.raises(UserError, match=r"target_modules: no qery in \w+; its linear modules are .*\w, \w"):
        fit(model, tmp_path / "c", head=head, lora={"target_modules": ["qery"]})
    with pytest.raises(UserError, match=r"trained with lora rank=4.* and train.lora now says None"):
        fit(model, tmp_path / "c", tmp_path / "a", head=head)


@pytest.mark.parametrize(("kind", "head"), [("roberta", "classifier"), ("t5", "words")])
def test_what_saves_memory_changes_no_step(start: Callable[[str], Path], tmp_path: Path, kind: str, head: str) -> None:
    plain = losses(fit(start(kind), tmp_path / "a", head=head))
    saved = losses(fit(start(kind), tmp_path / "b", head=head, gradient_checkpointing=True))
    assert saved == pytest.approx(plain, abs=1e-4)
    assert losses(fit(start(kind), tmp_path / "c", head=head, accumulate=3)) == pytest.approx(plain, abs=1e-4)
    idle = FreeLb(paper="", method="freelb", ascents=1, start=0.0, step_size=0.1, limit=1.0)
    once = losses(fit(start(kind), tmp_path / "d", adversary=idle, head=head, accumulate=3))
    assert once[:5] == pytest.approx(plain[:5], abs=1e-4)  # one epoch: the dice of the perturbation shuffle the next
    up = losses(fit(start(kind), tmp_path / "e", adversary=idle.model_copy(update={"ascents": 3}), head=head))
    assert up[0] > plain[0]


def test_out_of_fold_with_words_and_checkpoints(start: Callable[[str], Path]) -> None:
    found = out_of_fold(ROWS, settings_for(start("t5"), steps=25, gradient_checkpointing=True), 2, 0, READING)
    assert (np.array(READING.labels)[found.argmax(axis=1)] == ROWS["label"]).mean() > 0.6


def test_heads_that_a_family_cannot_have_and_words_that_clash_are_refused(
    start: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"train.head: got words, but .*bert \(bert\) is an encoder"):
        fit(start("bert"), tmp_path, head="words")
    same = READING.model_copy(update={"words": {"entailment": "yes", "contradiction": "yes", "neutral": "no"}})
    with pytest.raises(UserError, match=r"labels 'entailment' \('yes'\) and 'contradiction' .* `word` under `labels`"):
        load_start(settings_for(start("t5")), same)
    assert isinstance(load_start(settings_for(start("t5")), READING).model, WordsHead)
    assert not isinstance(load_start(settings_for(start("gpt2")), READING).model, WordsHead)
    config = read_json(start("gpt2") / "config.json")
    for sort, message in {
        "codegen": "transformers has no classification head for .*set train.head to words",
        "vit": "neither classifies texts nor says words",
        "nothing": "cannot load the model",
    }.items():
        write_json(tmp_path / sort / "config.json", {**config, "model_type": sort})
        for path in start("gpt2").glob("token*"):
            (tmp_path / sort / path.name).write_bytes(path.read_bytes())
        with pytest.raises(UserError, match=message):
            load_start(settings_for(tmp_path / sort), READING)


def test_a_start_of_other_labels_or_another_head_is_refused(start: Callable[[str], Path], tmp_path: Path) -> None:
    fit(start("t5"), tmp_path / "a", steps=0)
    other = Reading(tasks={"nli": list(THREE_WAY)})
    with pytest.raises(UserError, match=r"answers entailment, .*, true, false, but the rows .*: go on from a model of"):
        load_start(settings_for(start("t5")), other, tmp_path / "a")
    with pytest.raises(UserError, match=r"trained with head words, and train\.head now says classifier"):
        load_start(settings_for(start("t5"), head="classifier"), READING, tmp_path / "a")


def test_a_folder_without_a_trained_head_is_no_victim(start: Callable[[str], Path], tmp_path: Path) -> None:
    """A pretrained checkpoint, with and without what this project adds to it."""
    with pytest.raises(UserError, match=r"no model in .* \(it lacks reading.json\)"):
        Victim.open(start("t5"), 40)
    save_checkpoint("t5", tmp_path, ["yes no"])
    write_json(tmp_path / "reading.json", READING.model_dump())
    for action in (lambda: Victim.open(tmp_path, 40), lambda: predict(tmp_path, ROWS, 8, 40)):
        with pytest.raises(UserError, match=r"has no trained head \(it lacks head.json\)"):
            action()
    write_json(tmp_path / "head.json", {"head": "classifier"})
    with pytest.raises(UserError, match=r"no trained classification head \(lacks classification_head"):
        Victim.open(tmp_path, 40)
    (tmp_path / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(UserError, match="cannot load the model"):
        Victim.open(tmp_path, 40)


def test_rows_and_labels_that_the_model_does_not_know_are_named(start: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rows of copa: the model reads nli, boolq alone"):
        train(ROWS.assign(task="copa"), settings_for(start("bert")), 1, tmp_path, READING)
    with pytest.raises(UserError, match="rows labelled sure; the arm's tasks know entailment"):
        train(ROWS.assign(label="sure"), settings_for(start("bert")), 1, tmp_path, READING)
    with pytest.raises(UserError, match="no rows to train on"):
        train(ROWS[:0], settings_for(start("bert")), 1, tmp_path, READING)


def test_a_coarse_label_is_right_where_any_of_its_parts_is(start: Callable[[str], Path], tmp_path: Path) -> None:
    assert means(NON_ENTAILMENT, THREE_WAY) == ["neutral", "contradiction"]
    assert means("true", ["true", "false"]) == ["true"]
    with pytest.raises(UserError, match="labelled 'neutral', which no answer of the model means"):
        means("neutral", ["true", "false"])
    fit(start("electra"), tmp_path / "m", steps=0)
    victim = Victim.open(tmp_path / "m", 40)
    for task, gold, parts in (("nli", NON_ENTAILMENT, [1, 2]), ("nli", "entailment", [0]), ("boolq", "false", [4])):
        rows = [Row("Two dogs run.", "Two dogs are there", task, gold)]
        (pair,) = victim.pairs(rows, "word")
        score = victim.logits([pair])[0]
        own = score[:3] if task == "nli" else score[3:]
        expected = float(own.logsumexp(0) - score[parts].logsumexp(0))
        assert victim.losses(rows, 8)[0] == pytest.approx(expected, abs=1e-5)
        best = int(own.argmax()) + (0 if task == "nli" else 3)
        assert victim.wrong([pair])[0] == (best not in parts)


def test_settings_that_cannot_be_met_are_named(start: Callable[[str], Path], tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="got fp16, which needs a CUDA GPU"):
            fit(start("bert"), tmp_path, precision="fp16")
    long = ROWS.assign(premise="Two dogs run. " * 40)
    for kind, most in (("roberta", 64), ("gpt2", 64)):
        with pytest.raises(UserError, match=f"a row of .* tokens, and the model reads {most} at most"):
            train(long, settings_for(start(kind), max_length=most + 1), 1, tmp_path, READING)
    train(long, settings_for(start("roberta"), max_length=64, steps=1), 1, tmp_path, READING)
    entry = {"model": "m", "steps": 1, "learning_rate": 0.1, "batch_size": 12}
    with pytest.raises(UserError, match="batch_size 12 is no multiple of accumulate x processes = 4 x 2"):
        validate({**entry, "accumulate": 4, "processes": 2}, TrainSettings, "train")
    with pytest.raises(UserError, match=r"train\.lora\.rank: got 0"):
        validate({**entry, "lora": {"rank": 0}}, TrainSettings, "train")
    with pytest.raises(UserError, match=r"train\.lora\.rang: unknown parameter"):
        validate({**entry, "lora": {"rang": 0}}, TrainSettings, "train")
    assert validate({**entry, "lora": {}}, TrainSettings, "train").lora == Lora()


def test_too_little_memory_says_which_settings_help(
    start: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helps = "lower batch_size or max_length.*accumulate.*gradient_checkpointing.*lora.*precision"
    with pytest.raises(UserError, match=f"too little memory to try .*{helps}"), memory.memory_explained("try"):
        torch.empty(1 << 60)
    for error in (torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), OSError(12, "Cannot allocate memory")):
        with pytest.raises(UserError, match=helps), memory.memory_explained("try"):
            raise error
    with pytest.raises(RuntimeError, match="other"), memory.memory_explained("try"):
        raise RuntimeError("other")

    def no_room(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("transformers.Trainer.train", no_room)
        with pytest.raises(UserError, match=f"too little memory to train on 12 rows .*{helps}"):
            fit(start("bert"), tmp_path / "m")
    free = memory.weight(start("bert")) - 1
    assert free > 10_000
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Free", (), {"available": free}))
    with pytest.raises(UserError, match=r"too little memory to load .*bert: its weights take"):
        fit(start("bert"), tmp_path / "m")


def stage(folder: Path, model: Path, rows: pd.DataFrame, **changes: object) -> tuple[Path, Path]:
    """Run stage train in `folder`; returns the model's folder and its metrics."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["train"] |= {"model": str(model), "batch_size": 12, "learning_rate": 0.01, "precision": "fp32", **changes}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    write_table(folder / "arm.parquet", rows)
    write_json(folder / "arm.json", READING.model_dump())
    out, metrics = folder / "model", folder / f"metrics/{params['models'][0]}-{params['seeds'][0]}.json"
    train_stage.main(folder / "arm.parquet", folder / "arm.json", 1, out, metrics)
    return out, metrics


def test_an_arm_without_rows_is_the_pretrained_model(
    start: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, metrics = stage(tmp_path, start("gpt2"), ROWS[:0], head="words", processes=2)
    assert (read_json(metrics)["steps"], read_json(metrics)["rows"], read_json(metrics)["total_steps"]) == (0, 0, 0)
    before, after = load_file(start("gpt2") / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_processes_train_one_model_and_write_it_once(
    start: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    out, metrics = stage(tmp_path, start("t5"), ROWS, steps=20, processes=2, accumulate=2)
    said = capfd.readouterr().out
    assert said.count("20 steps = 4.0 epochs of 60 rows") == 1
    found = read_json(metrics)
    assert found["losses"][-1]["loss"] < found["losses"][0]["loss"] - 0.3
    best = predict(out, ROWS, 60, 40).argmax(axis=1)
    assert (np.array(load_reading(out).labels)[best] == ROWS["label"]).mean() > 0.6
    alone = fit(start("t5"), tmp_path / "alone", steps=1)
    assert found["losses"][0]["loss"] == pytest.approx(losses(alone)[0], abs=0.2)  # another dealing out of the rows
