"""The small model: the same bytes twice, order and batches that do not matter, and models that cannot be used."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from nlilab.core.errors import UserError
from nlilab.core.files import sha256, write_json, write_text
from nlilab.core.schema import THREE_WAY
from nlilab.model import trainer
from nlilab.model.checkpoint import load_trained
from nlilab.model.classifier import predict
from nlilab.model.learnt import at_end, chance, left_chance
from nlilab.model.settings import TrainSettings
from nlilab.model.trainer import out_of_fold, train
from nlilab.tasks.reading import Reading

NLI = Reading(tasks={"nli": list(THREE_WAY)})
COLS = ["task", "label"]
WORDS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}


def toy(count: int) -> pd.DataFrame:
    """Rows whose hypothesis names the label: a model that learns at all learns this."""
    labels = [THREE_WAY[number % 3] for number in range(count)]
    return pd.DataFrame(
        {
            "premise": [f"sentence {'word ' * (number % 7)}" for number in range(count)],
            "hypothesis": [f"{WORDS[label]} {WORDS[label]}" for label in labels],
            "label": labels,
            "task": "nli",
            "group": [f"g{number % 10}" for number in range(count)],
        }
    )


@pytest.fixture
def settings(tiny_encoder: Path) -> TrainSettings:
    return TrainSettings(model=str(tiny_encoder), steps=60, batch_size=16, learning_rate=0.01)


@pytest.fixture(scope="module")
def trained(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    settings = TrainSettings(model=str(tiny_encoder), steps=60, batch_size=16, learning_rate=0.01)
    train(toy(120), settings, 1, out, NLI)
    return out


def test_training_learns_reports_its_budget_and_gives_the_same_bytes(settings: TrainSettings, tmp_path: Path) -> None:
    steps: list[float] = []
    first = train(toy(120), settings, 1, tmp_path / "a", NLI, report=lambda done, total: steps.append(done / total))
    second = train(toy(120), settings, 1, tmp_path / "b", NLI)
    third = train(toy(120), settings, 2, tmp_path / "c", NLI)
    assert steps[-1] == 1 and len(steps) == 60
    assert (first.steps, first.examples, first.epochs) == (60, 120, 8.0)
    assert first.losses == second.losses != third.losses
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "model.safetensors" in files and not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    for name in files:
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "b" / name), name
    assert sha256(tmp_path / "a/model.safetensors") != sha256(tmp_path / "c/model.safetensors")
    found = predict(tmp_path / "a", toy(30), 8, 64)
    assert (np.array(THREE_WAY)[found.argmax(axis=1)] == toy(30)["label"]).mean() > 0.9


def test_a_training_that_never_left_chance_is_told_from_one_that_learnt(
    settings: TrainSettings, tmp_path: Path
) -> None:
    def end(rows: pd.DataFrame, reading: Reading = NLI, **changes: object) -> tuple[bool | None, str]:
        trained = train(rows, settings.model_copy(update=changes), 1, tmp_path / "m", reading)
        assert trained.facts()["left_chance"] == trained.left_chance and trained.facts()["end"] == trained.end
        return trained.left_chance, trained.last

    rows = toy(120)
    learnt, said = end(rows)
    assert learnt and "chance" not in said
    assert end(rows, learning_rate=0.9)[0] is False  # diverged
    blind, said = end(rows, NLI.model_copy(update={"view": "nothing"}))
    assert blind is False and said.endswith("which is chance (1.099): it never learnt")
    # Nothing is said of what was not trained, has one label alone, or was made to be hard.
    assert end(rows, steps=0) == (None, "untuned")
    assert end(rows.assign(label=THREE_WAY[0]), steps=2)[0] is None
    assert end(rows.assign(adversarial=rows.index < 9), steps=2)[0] is None


def test_chance_knows_the_labels_of_each_task_and_their_frequencies() -> None:
    def loss(tasks: dict[str, list[str]]) -> float:
        return chance(pd.DataFrame([(task, label) for task, labels in tasks.items() for label in labels], columns=COLS))

    assert loss({"nli": list(THREE_WAY) * 7}) == pytest.approx(np.log(3))
    assert loss({"boolq": ["true"] * 9 + ["false"]}) == pytest.approx(0.325083, abs=1e-6)
    assert loss({"nli": list(THREE_WAY) * 2, "boolq": ["true", "false"] * 3}) == pytest.approx(np.log(6) / 2)
    assert at_end([{"step": step, "loss": float(step)} for step in range(4, 90, 4)], 90) == 86  # steps 84 and 88
    assert [left_chance(value, np.log(3)) for value in (1.1, 1.09, 1.08, float("nan"))] == [False, False, True, False]


def test_two_step_training_goes_on_from_the_first_model(settings: TrainSettings, trained: Path, tmp_path: Path) -> None:
    one = settings.model_copy(update={"steps": 1})
    fresh = train(toy(120), one, 1, tmp_path / "fresh", NLI)
    further = train(toy(120), one, 1, tmp_path / "further", NLI, start=trained)
    assert further.losses[0]["loss"] < 0.5 < fresh.losses[0]["loss"]


def test_predictions_keep_the_order_of_rows_whatever_the_batches(trained: Path) -> None:
    rows = toy(50)
    whole = predict(trained, rows, 50, 64)
    order = np.random.default_rng(0).permutation(50)
    shuffled = predict(trained, rows.iloc[order], 7, 64)
    assert np.allclose(whole[order], shuffled, atol=2e-2)  # bf16 rounds by batch shape where the machine has it
    assert np.allclose(whole.sum(axis=1), 1, atol=1e-5)


def test_long_rows_are_cut_and_counted(settings: TrainSettings, tmp_path: Path) -> None:
    rows = toy(12).assign(premise="word " * 300)
    short = settings.model_copy(update={"steps": 1, "max_length": 32})
    assert train(rows, short, 1, tmp_path / "m", NLI).truncated == 12
    assert predict(tmp_path / "m", rows, 4, 32).shape == (12, 3)


def test_out_of_fold_never_sees_its_own_group(settings: TrainSettings) -> None:
    found = out_of_fold(toy(90), settings.model_copy(update={"steps": 40}), 2, 0, NLI)
    assert (np.array(THREE_WAY)[found.argmax(axis=1)] == toy(90)["label"]).mean() > 0.8
    # A premise that says nothing about the label: chance.
    blind = out_of_fold(
        toy(90), settings.model_copy(update={"steps": 10}), 2, 0, NLI.model_copy(update={"view": "premise"})
    )
    assert (np.array(THREE_WAY)[blind.argmax(axis=1)] == toy(90)["label"]).mean() < 0.6
    with pytest.raises(UserError, match="20 folds need at least as many groups, got 10"):
        out_of_fold(toy(90), settings, 20, 0, NLI)


def test_models_that_cannot_be_used_are_named(
    settings: TrainSettings, tiny_encoder: Path, trained: Path, tmp_path: Path
) -> None:
    def start(model: str) -> None:
        train(toy(12), settings.model_copy(update={"model": model, "steps": 1}), 1, tmp_path / "out", NLI)

    with pytest.raises(UserError, match="cannot load the model no/such-model"):
        start("no/such-model")
    with pytest.raises(UserError, match="no package 'nopackage' that carries a model"):
        start("package:nopackage")
    without = tmp_path / "without-tokenizer"
    shutil.copytree(tiny_encoder, without)
    for path in without.glob("*token*"):
        path.unlink()
    with pytest.raises(UserError, match="without-tokenizer"):
        start(str(without))
    headless = tmp_path / "headless"
    shutil.copytree(tiny_encoder, headless)
    write_json(headless / "reading.json", NLI.model_dump())
    with pytest.raises(UserError, match=r"headless has no trained head \(it lacks head.json\)"):
        load_trained(headless)
    write_json(headless / "head.json", {"head": "classifier"})
    with pytest.raises(UserError, match=r"has no trained classification head \(lacks classifier"):
        load_trained(headless)
    speech = tmp_path / "speech"
    shutil.copytree(tiny_encoder, speech)
    write_text(speech / "config.json", '{"model_type": "vits"}')
    with pytest.raises(UserError, match=r"cannot load the model .*speech"):
        start(str(speech))
    with pytest.raises(UserError, match=r"no model in .*: run `dvc repro`"):
        load_trained(tmp_path / "nowhere")


def test_answers_and_losses_that_are_no_numbers_stop(
    settings: TrainSettings, tiny_encoder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_encoder, broken)
    weights = load_file(broken / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    start = settings.model_copy(update={"model": str(broken), "steps": 2})
    with pytest.raises(UserError, match=r"training diverged: within 2 steps the loss of .*broken is no number"):
        train(toy(24), start, 1, tmp_path / "out", NLI)
    train(toy(24), start.model_copy(update={"steps": 0}), 1, tmp_path / "untuned", NLI)
    with pytest.raises(UserError, match="the model's answers to 9 of 9 rows are no numbers"):
        predict(tmp_path / "untuned", toy(9), 4, 64)


def test_a_stage_prints_one_line_for_a_users_mistake(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    shutil.copytree(root / "conf", tmp_path / "conf")
    command = [sys.executable, "-m", "nlilab.stages.fetch", "tables", "cards", "hand"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(root / "src")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: unknown dataset 'hand'") and done.stderr.count("\n") == 1


def test_resampling_draws_other_rows_for_every_seed_and_keeps_the_balance(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, pd.DataFrame] = {}
    really = trainer._fit

    def fit(rows: pd.DataFrame, wanted: TrainSettings, seed: int, *rest: object) -> object:
        drawn[seed] = rows
        return really(rows, wanted, seed, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "_fit", fit)
    table = toy(60).assign(id=lambda rows: [str(number) for number in range(len(rows))])
    for seed in (1, 2):
        train(table, settings.model_copy(update={"steps": 1, "resample": True}), seed, tmp_path / str(seed), NLI)
        assert drawn[seed]["label"].value_counts().to_dict() == table["label"].value_counts().to_dict()
        assert 0.5 < drawn[seed]["id"].nunique() / 60 < 0.75
    assert sorted(drawn[1]["id"]) != sorted(drawn[2]["id"])
