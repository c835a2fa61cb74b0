"""Training the classifier: HF Trainer with a budget of optimiser steps; and out-of-fold predictions."""

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from nlilab.classifier import (
    Floats,
    View,
    encode,
    load_start,
    pick_precision,
    predict_loaded,
    save_tokenizer,
)
from nlilab.errors import UserError
from nlilab.freelb import FreeLbTrainer
from nlilab.progress import Report
from nlilab.recipes import FreeLb
from nlilab.schema import THREE_WAY
from nlilab.training import TrainSettings

LOG_POINTS = 20


@dataclass(frozen=True)
class Trained:
    """What training tells beside the model: the budget as spent, and the loss over steps."""

    steps: int
    examples: int
    epochs: float
    precision: str
    truncated: int
    losses: list[dict[str, float]]

    def facts(self) -> dict[str, Any]:
        """What a training's metrics file holds."""
        return {("rows" if name == "examples" else name): value for name, value in asdict(self).items()}


def train(
    rows: pd.DataFrame,
    settings: TrainSettings,
    seed: int,
    out: Path,
    start: Path | None = None,
    report: Report | None = None,
    adversary: FreeLb | None = None,
) -> Trained:
    """Train a classifier on rows (premise, hypothesis, label) and write it to the folder `out`.

    `start` names another arm's model to go on from (two-step fine-tuning, Zhang & Pavlick 2025); else the
    pretrained encoder gets a new head. The seed decides the head and the order of rows. `adversary` perturbs the
    embeddings within each step.
    """
    fitted, tokenizer = _fit(rows, settings, seed, start, "pair", report, adversary)
    out.mkdir(parents=True, exist_ok=True)
    fitted.model.save_pretrained(out)
    save_tokenizer(tokenizer, out)
    return fitted.trained


@dataclass(frozen=True)
class _Fitted:
    model: PreTrainedModel
    trained: Trained


def _fit(
    rows: pd.DataFrame,
    settings: TrainSettings,
    seed: int,
    start: Path | None,
    view: View,
    report: Report | None,
    adversary: FreeLb | None = None,
) -> tuple[_Fitted, PreTrainedTokenizerBase]:
    set_seed(seed)
    steps = settings.steps
    model, tokenizer = load_start(settings, start)
    encoded, truncated = encode(rows, tokenizer, settings.max_length, view)
    label_ids = [THREE_WAY.index(label) for label in rows["label"]]
    examples: Any = [{**item, "labels": label} for item, label in zip(encoded, label_ids, strict=True)]
    precision = pick_precision(settings.precision)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=math.ceil(settings.warmup_share * steps),
            weight_decay=settings.weight_decay,
            # Rows of like length share a batch: little padding is computed (1.4x here), and the order stays random.
            train_sampling_strategy="group_by_length",
            optim="adamw_torch_fused",  # one pass over the weights: the plain loop takes a third of a step on CPU
            bf16=precision == "bf16",
            use_cpu=not torch.accelerator.is_available(),
            seed=seed,
            data_seed=seed,
            logging_steps=max(1, steps // LOG_POINTS),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        parts: dict[str, Any] = {
            "model": model,
            "args": arguments,
            "train_dataset": examples,
            "data_collator": DataCollatorWithPadding(tokenizer),
            "callbacks": [_Progress(report)],
        }
        trainer = FreeLbTrainer(adversary, **parts) if adversary else Trainer(**parts)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        history = trainer.state.log_history
    losses = [{"step": entry["step"], "loss": round(float(entry["loss"]), 6)} for entry in history if "loss" in entry]
    epochs = round(steps * settings.batch_size / len(examples), 3)
    return _Fitted(model, Trained(steps, len(examples), epochs, precision, truncated, losses)), tokenizer


def out_of_fold(
    rows: pd.DataFrame,
    settings: TrainSettings,
    folds: int,
    seed: int,
    view: View = "pair",
    report: Report | None = None,
) -> Floats:
    """Probabilities [rows, 3] of each row by a model that was trained without its group (column `group`).

    The input of confident learning (Northcutt et al. 2021), and with `view="hypothesis"` the test for artefacts
    (Poliak et al. 2018).
    """
    from sklearn.model_selection import GroupKFold  # here: a training that needs no folds starts a second sooner

    groups = rows["group"]
    if groups.nunique() < folds:
        raise UserError(f"{folds} folds need at least as many groups, got {groups.nunique()}; lower the folds")
    out = np.zeros((len(rows), len(THREE_WAY)))
    for number, (rest, held) in enumerate(
        GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=groups)
    ):
        fitted, tokenizer = _fit(rows.iloc[rest], settings, seed, None, view, None)
        out[held] = predict_loaded(fitted.model, tokenizer, rows.iloc[held], 128, settings.max_length, view, None)
        if report:
            report(number + 1, folds)
    return out


class _Progress(TrainerCallback):
    """Passes the Trainer's steps on to our own progress."""

    def __init__(self, report: Report | None) -> None:
        self.report = report

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.report:
            self.report(state.global_step, state.max_steps)
