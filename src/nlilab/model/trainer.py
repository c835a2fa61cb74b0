"""Training a small model: HF Trainer with a budget of optimiser steps; and out-of-fold predictions."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from nlilab.core.errors import UserError
from nlilab.core.progress import Report
from nlilab.model.checkpoint import load_start, save
from nlilab.model.classifier import Floats, encode, pick_precision, predict_loaded
from nlilab.model.freelb import FreeLbTrainer
from nlilab.model.heads import Classifier, core
from nlilab.model.launch import process, processes
from nlilab.model.learnt import at_end, chance, left_chance
from nlilab.model.memory import memory_explained
from nlilab.model.settings import FreeLb, TrainSettings
from nlilab.tasks.reading import Reading

LOG_POINTS = 20
_ENDED: list[Trainer] = []  # of this process, which is one of several
OUT_OF_FOLD_BATCH = 128

Watch = Callable[[int, Classifier], None]  # called after each optimiser step with its number; must leave weights alone


@dataclass(frozen=True)
class Trained:
    """What training tells beside the model: the budget as spent, and the loss over steps."""

    steps: int
    examples: int
    epochs: float
    precision: str
    truncated: int
    parameters: int  # of the whole model, head included
    losses: list[dict[str, float]]
    chance: float | None  # the loss of a model that knows nothing; None where rows were made to be hard for it

    @property
    def end(self) -> float | None:
        """The loss at the end."""
        return at_end(self.losses, self.steps)

    @property
    def left_chance(self) -> bool | None:
        """Whether the model learnt anything; None where its loss does not say."""
        return left_chance(self.end, self.chance)

    @property
    def last(self) -> str:
        """The loss at the end, in words."""
        never = f", which is chance ({self.chance:.3f}): it never learnt" if self.left_chance is False else ""
        return "untuned" if self.end is None else f"loss {self.end:.3f}{never}"

    def facts(self) -> dict[str, Any]:
        """What a training's metrics file holds."""
        found = {("rows" if name == "examples" else name): value for name, value in asdict(self).items()}
        return found | {"end": self.end, "left_chance": self.left_chance}


def train(
    rows: pd.DataFrame,
    settings: TrainSettings,
    seed: int,
    out: Path,
    reading: Reading,
    start: Path | None = None,
    report: Report | None = None,
    adversary: FreeLb | None = None,
) -> Trained:
    """Train a model on rows (premise, hypothesis, label, task) and write it to the folder `out`.

    `start` names another arm's model to go on from (two-step fine-tuning, Zhang & Pavlick 2025); else the pretrained
    model gets the head that the settings ask for. The seed decides a new head and the order of rows. `adversary`
    perturbs the embeddings within each step. With no steps the start is saved as it is. Of several processes that
    train together the first one writes. With `settings.resample` the seed also draws the rows, with replacement.
    """
    if settings.resample and settings.steps:
        rows = rows.groupby("label", sort=False).sample(frac=1, replace=True, random_state=seed)
    classifier, trained = _fit(rows, settings, seed, reading, start, report, adversary)
    if process() == 0:
        save(classifier, out)
    return trained


def _fit(
    rows: pd.DataFrame,
    settings: TrainSettings,
    seed: int,
    reading: Reading,
    start: Path | None,
    report: Report | None,
    adversary: FreeLb | None = None,
    watch: Watch | None = None,
) -> tuple[Classifier, Trained]:
    precision, steps = pick_precision(settings.precision), settings.steps
    set_seed(seed)
    classifier = load_start(settings, reading, start)
    encoded = encode(rows, classifier, settings.max_length)
    losses: list[dict[str, float]] = []
    if steps:
        examples = _examples(encoded.inputs, rows, reading)
        with memory_explained(f"train on {settings.batch_size} rows of up to {settings.max_length} tokens a step"):
            callbacks: list[TrainerCallback] = [_Progress(report), *([_Watching(watch, classifier)] if watch else [])]
            losses = _run(classifier, examples, settings, seed, precision, callbacks, adversary)
    epochs = round(steps * settings.batch_size / max(1, len(rows)), 3)
    parameters = sum(parameter.numel() for parameter in classifier.model.parameters())
    # What is made against a model keeps its loss up, however much it learnt.
    hard = adversary is not None or ("adversarial" in rows and bool(rows["adversarial"].any()))
    by_chance = None if hard or rows.empty else round(chance(rows), 6)
    return classifier, Trained(steps, len(rows), epochs, precision, encoded.truncated, parameters, losses, by_chance)


def _examples(inputs: list[dict[str, list[int]]], rows: pd.DataFrame, reading: Reading) -> list[dict[str, Any]]:
    """The model's inputs with the labels' numbers."""
    if rows.empty:
        raise UserError("no rows to train on; an arm without rows is a model with train.steps: 0")
    if strange := sorted(set(rows["label"]) - set(reading.labels)):
        raise UserError(f"rows labelled {', '.join(strange)}; the arm's tasks know {', '.join(reading.labels)}")
    numbers = [reading.labels.index(label) for label in rows["label"]]
    return [{**item, "labels": number} for item, number in zip(inputs, numbers, strict=True)]


def _run(
    classifier: Classifier,
    examples: Any,
    settings: TrainSettings,
    seed: int,
    precision: str,
    callbacks: list[TrainerCallback],
    adversary: FreeLb | None,
) -> list[dict[str, float]]:
    """Fit the model in place; returns the loss at some of the steps."""
    if settings.gradient_checkpointing:
        _recompute(classifier, settings)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = _arguments(settings, seed, precision, scratch)
        parts: dict[str, Any] = {
            "model": classifier.model,
            "args": arguments,
            "train_dataset": examples,
            "data_collator": DataCollatorWithPadding(classifier.tokenizer),
            "callbacks": callbacks,
            "compute_loss_func": _cross_entropy,
        }
        trainer = FreeLbTrainer(adversary, **parts) if adversary else Trainer(**parts)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        if arguments.world_size > 1:
            trainer.accelerator.end_training()
            # Freed here, with Python's lock held, the process group can wait for its own thread, which waits for that
            # lock (torch 2.13); at the end of the process that thread is idle.
            _ENDED.append(trainer)
    if settings.gradient_checkpointing:
        core(classifier.model).activation_checkpointing_disable()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    whole = all(torch.isfinite(weights).all() for weights in classifier.model.parameters())
    if not (whole and all(math.isfinite(entry["loss"]) for entry in history)):
        raise UserError(
            f"training diverged: within {settings.steps} steps the loss of {settings.model} is no number; lower "
            f"learning_rate (now {settings.learning_rate:g}), or set precision to fp32 (now {precision})"
        )
    return [{"step": entry["step"], "loss": round(float(entry["loss"]), 6)} for entry in history]


def _arguments(settings: TrainSettings, seed: int, precision: str, scratch: str) -> TrainingArguments:
    steps = settings.steps
    arguments = TrainingArguments(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size // settings.accumulate // processes(),
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup_share * steps),
        weight_decay=settings.weight_decay,
        # Rows of like length share a batch: little padding is computed (1.4x here), and the order stays random.
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",  # one pass over the weights: the plain loop takes a third of a step on CPU
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.accelerator.is_available(),
        seed=seed,
        data_seed=seed,
        logging_steps=max(1, steps // LOG_POINTS),
        logging_nan_inf_filter=False,  # it would tell the mean of the steps before instead
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,  # `encode` makes no others
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs: by processes; DataParallel would enlarge the batch
    return arguments


def _cross_entropy(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """The mean over all rows of an optimiser step, of which `labels` may be a part, in nats.

    Here and not in the models: some of them (BERT, T5) leave the division by the micro-batches out.
    """
    total = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


def _recompute(classifier: Classifier, settings: TrainSettings) -> None:
    try:
        core(classifier.model).activation_checkpointing_enable()
    except ValueError as error:
        raise UserError(
            f"train.gradient_checkpointing: {settings.model} cannot do it ({error}); lower batch_size or max_length, "
            "or raise accumulate instead"
        ) from error


@dataclass(frozen=True)
class CrossFit:
    """What models said of rows: those trained without the row's group, and those trained on the row, on their way.

    held_out: probabilities [rows, labels]. on_the_way: the same at points of training, mean over the models that were
    trained on the row [points, rows, labels].
    """

    held_out: Floats
    on_the_way: Floats


def out_of_fold(
    rows: pd.DataFrame,
    settings: TrainSettings,
    folds: int,
    seed: int,
    reading: Reading,
    report: Report | None = None,
) -> Floats:
    """Probabilities [rows, labels] of each row by a model that was trained without its group (column `group`).

    The input of confident learning (Northcutt et al. 2021), and with the view `hypothesis` the test for artefacts
    (Poliak et al. 2018).
    """
    return cross_fit(rows, settings, folds, seed, reading, report).held_out


def cross_fit(
    rows: pd.DataFrame,
    settings: TrainSettings,
    folds: int,
    seed: int,
    reading: Reading,
    report: Report | None = None,
    points: int = 0,
) -> CrossFit:
    """Train a model for each fold of groups (column `group`) on the others; look at its rows at `points` of training.

    The points are equally spaced, the last at the end. To look changes no model.
    """
    from sklearn.model_selection import GroupKFold  # here: a training that needs no folds starts a second sooner

    groups = rows["group"]
    if groups.nunique() < folds:
        raise UserError(f"{folds} folds need at least as many groups, got {groups.nunique()}; lower the folds")
    held_out = np.zeros((len(rows), len(reading.labels)))
    on_the_way = np.zeros((points, *held_out.shape))
    at = {math.ceil(settings.steps * (point + 1) / points): point for point in range(points)}

    def said(classifier: Classifier, places: npt.NDArray[np.intp]) -> Floats:
        return predict_loaded(classifier, rows.iloc[places], OUT_OF_FOLD_BATCH, settings.max_length, None)

    def look(step: int, classifier: Classifier) -> None:
        if step in at:
            on_the_way[at[step], rest] += said(classifier, rest) / (folds - 1)

    splits = GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=groups)
    for number, (rest, held) in enumerate(splits):
        classifier, _ = _fit(rows.iloc[rest], settings, seed, reading, None, None, watch=look if points else None)
        held_out[held] = said(classifier, held)
        if report:
            report(number + 1, folds)
    return CrossFit(held_out, on_the_way)


class _Progress(TrainerCallback):
    """Passes the Trainer's steps on to our own progress."""

    def __init__(self, report: Report | None) -> None:
        self.report = report

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.report and state.is_world_process_zero:
            self.report(state.global_step, state.max_steps)


class _Watching(TrainerCallback):
    """Shows the model to who watches it."""

    def __init__(self, watch: Watch, classifier: Classifier) -> None:
        self.watch, self.classifier = watch, classifier

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.watch(state.global_step, self.classifier)
