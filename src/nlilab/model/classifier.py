"""A small language model that classifies pairs of texts: encode, predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import DataCollatorWithPadding

from nlilab.core.errors import UserError
from nlilab.core.progress import Report
from nlilab.model.checkpoint import load_trained
from nlilab.model.heads import Classifier, accepted, core, plain_ids, positions
from nlilab.model.memory import memory_explained
from nlilab.tasks.reading import Reading

Floats = npt.NDArray[np.float64]


def predict(folder: Path, rows: pd.DataFrame, batch_size: int, max_length: int, report: Report | None = None) -> Floats:
    """Probabilities [rows, labels of the model's reading]: over the labels of each row's `task`, 0 for all others."""
    return predict_loaded(load_trained(folder), rows, batch_size, max_length, report)


def pick_precision(wish: str) -> str:
    """bf16 where the machine computes it in hardware, else fp32; a wish is obeyed where it can be."""
    gpu = torch.cuda.is_available()
    if wish == "fp16" and not gpu:
        raise UserError("train.precision: got fp16, which needs a CUDA GPU, and there is none; use bf16, fp32 or auto")
    if wish == "bf16" and gpu and not torch.cuda.is_bf16_supported():
        raise UserError("train.precision: got bf16, which this GPU does not compute; use fp16, fp32 or auto")
    if wish != "auto":
        return wish
    if gpu:
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def input_embeddings(model: torch.nn.Module) -> torch.nn.Module:
    """Where a model's input becomes vectors; an encoder-decoder reads it twice, and its encoder counts."""
    inner = core(model)
    reader = inner.get_encoder() if inner.config.is_encoder_decoder else inner
    found: torch.nn.Module = reader.get_input_embeddings()
    return found


@dataclass(frozen=True)
class Encoded:
    """Rows as a model reads them: its inputs, how many were cut, and each token's place in its row's hypothesis.

    A place counts characters of the hypothesis; None: the token stands for something else. Places are for fast
    tokenizers, where they are asked for.
    """

    inputs: list[dict[str, list[int]]]
    truncated: int
    places: list[list[tuple[int, int] | None]]


def encode(rows: pd.DataFrame, classifier: Classifier, max_length: int, places: bool = False) -> Encoded:
    """The rows (premise, hypothesis, task), unpadded, in at most `max_length` tokens: the longer side is cut first."""
    reading, form = classifier.reading, classifier.layout
    if rows.empty:
        return Encoded([], 0, [])
    if strange := sorted(set(rows["task"]) - set(reading.tasks)):
        raise UserError(f"rows of {', '.join(strange)}: the model reads {', '.join(reading.tasks)} alone")
    told = {task: text + form.after_instruction for task, text in reading.instructions.items()}
    premises = [told.get(task, "") + text for task, text in zip(rows["task"], rows["premise"], strict=True)]
    sides = {"premise": premises, "hypothesis": rows["hypothesis"].tolist()}
    if reading.view == "nothing":
        sides = {side: [""] * len(rows) for side in sides}
    elif reading.view != "pair":
        sides = {reading.view: sides[reading.view]}
    form_of = _own_form if form.between is None else _running_text
    encoded = form_of(sides, classifier, max_length, places)
    _check_positions(encoded, classifier)
    return encoded


def _check_positions(encoded: Encoded, classifier: Classifier) -> None:
    """Refuse rows beyond the positions that the model knows: it would fail, on a GPU without a word on why."""
    known = positions(classifier.model)
    longest = max(len(item["input_ids"]) for item in encoded.inputs)
    if known is not None and longest > known:
        raise UserError(
            f"train.max_length: a row of {longest} tokens, and the model reads {known} at most; "
            f"set max_length to {known} or less"
        )


def _own_form(sides: dict[str, list[str]], classifier: Classifier, max_length: int, places: bool) -> Encoded:
    """One or two texts as the tokenizer puts them together."""
    tokenizer = classifier.tokenizer
    batch = tokenizer(*sides.values(), truncation=False, return_offsets_mapping=places)
    truncated = sum(len(ids) > max_length for ids in batch["input_ids"])
    if truncated:
        batch = tokenizer(*sides.values(), truncation=True, max_length=max_length, return_offsets_mapping=places)
    names = [name for name in batch if name in accepted(classifier.model)]
    count = range(len(batch["input_ids"]))
    found: list[list[tuple[int, int] | None]] = []
    if places:
        own = list(sides).index("hypothesis") if "hypothesis" in sides else -1
        for row in count:
            pieces = zip(batch.sequence_ids(row), batch["offset_mapping"][row], strict=True)
            found.append([offset if side == own else None for side, offset in pieces])
    return Encoded([{name: batch[name][row] for name in names} for row in count], truncated, found)


def _running_text(sides: dict[str, list[str]], classifier: Classifier, max_length: int, places: bool) -> Encoded:
    """One or two texts one after the other, as a decoder reads them: the beginning, the separator and the cue stay."""
    tokenizer, form = classifier.tokenizer, classifier.layout
    mask = tokenizer("a", return_special_tokens_mask=True)
    begin = mask["input_ids"][: mask["special_tokens_mask"].index(0)]
    between = plain_ids(tokenizer, form.between or "") if len(sides) > 1 else []
    cue = plain_ids(tokenizer, form.cue) if form.cue else []
    tokens = {
        name: tokenizer(texts, add_special_tokens=False, return_offsets_mapping=places) for name, texts in sides.items()
    }
    room = max(2, max_length - len(begin) - len(between) - len(cue))
    inputs, found, truncated = [], [], 0
    for row in range(len(next(iter(sides.values())))):
        lengths = [len(part["input_ids"][row]) for part in tokens.values()]
        kept = cut(lengths, room)
        truncated += kept != lengths
        ids = list(begin)
        at: list[tuple[int, int] | None] = [None] * len(begin)
        for number, (name, part) in enumerate(tokens.items()):
            own = part["input_ids"][row][: kept[number]]
            ids += [*(between if number else []), *own]
            at += [None] * (len(between) if number else 0)
            at += part["offset_mapping"][row][: kept[number]] if places and name == "hypothesis" else [None] * len(own)
        ids += cue
        inputs.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
        found.append([*at, *[None] * len(cue)])
    return Encoded(inputs, truncated, found if places else [])


def cut(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens are kept of one or two texts: the longer one is cut first, then both to the same length."""
    if sum(lengths) <= room:
        return list(lengths)
    if len(lengths) == 1:
        return [room]
    short = min(*lengths, room // 2)
    return [short, room - short] if lengths[0] <= lengths[1] else [room - short, short]


def answers(reading: Reading, tasks: Sequence[str], device: str | torch.device = "cpu") -> torch.Tensor:
    """Which of the reading's labels each row's task knows [rows, labels]."""
    known = {task: [label in own for label in reading.labels] for task, own in reading.tasks.items()}
    return torch.tensor([known[task] for task in tasks], device=device)


def predict_loaded(
    classifier: Classifier, rows: pd.DataFrame, batch_size: int, max_length: int, report: Report | None
) -> Floats:
    """What `predict` says, of a model in memory; rows of like length share a batch."""
    model, reading = classifier.model, classifier.reading
    items: list[dict[str, Any]] = list(encode(rows, classifier, max_length).inputs)
    order = sorted(range(len(items)), key=lambda index: -len(items[index]["input_ids"]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    collate = DataCollatorWithPadding(classifier.tokenizer)
    low_precision = pick_precision("auto") == "bf16"
    allowed = answers(reading, rows["task"].tolist())
    out = np.zeros((len(items), len(reading.labels)))
    with (
        memory_explained(f"predict {batch_size} rows at once"),
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16, enabled=low_precision),
    ):
        model.to(device).train(False)
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            batch = {key: value.to(device) for key, value in collate([items[index] for index in chosen]).items()}
            logits = model(**batch).logits.float().masked_fill(~allowed[chosen].to(device), -torch.inf)
            out[chosen] = logits.softmax(dim=-1).cpu().numpy()
            if report:
                report(min(begin + batch_size, len(order)), len(order))
    if broken := int(np.isnan(out).any(axis=1).sum()):
        raise UserError(
            f"the model's answers to {broken} of {len(out)} rows are no numbers: its weights are broken, or too large "
            "to compute with; name another checkpoint, or train it anew with a lower learning_rate"
        )
    return out
