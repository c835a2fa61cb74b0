"""Too little memory: seen before a model is loaded where that is possible, and said in a sentence where it runs out."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from transformers.utils.hub import cached_file

from nlilab.core.errors import UserError

SPENT = re.compile(r"can(no|')t allocate memory|out of memory|ALLOC_FAILED|unable to mmap", re.IGNORECASE)
REMEDY = (
    "lower batch_size or max_length (train, predict, attack); for training also raise accumulate, set "
    "gradient_checkpointing: true, lora: {} or precision: bf16, or name a smaller model"
)


def spent(error: BaseException) -> bool:
    """Whether the error means that memory ran out, on the machine or on the GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | OSError) and bool(SPENT.search(str(error)))


@contextmanager
def memory_explained(doing: str) -> Iterator[None]:
    """Turn running out of memory into a sentence that names the settings which save some."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not spent(error):
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"too little memory to {doing} ({first[:200]}): {REMEDY}") from error


def check_fits(place: str, revision: str | None, name: str) -> None:
    """Refuse a checkpoint whose weights are larger than the free memory: the system would kill the process."""
    # Without a network only what was downloaded before can be weighed.
    config = cached_file(
        place,
        "config.json",
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    size = weight(Path(config).parent) if config else 0
    free = int(psutil.virtual_memory().available)
    if size > free:
        raise UserError(
            f"too little memory to load {name}: its weights take {size / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "name a smaller model, or close other programs"
        )


def weight(folder: Path) -> int:
    """The bytes of the checkpoint's weights, in the format that is loaded."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        if files := list(folder.glob(pattern)):
            return sum(path.stat().st_size for path in files)
    return 0
