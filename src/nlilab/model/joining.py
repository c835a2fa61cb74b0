"""Which row of a head is which label: the head of a model that classifies already, joined to ours by name."""

import copy
import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig

from nlilab.core.errors import UserError
from nlilab.core.schema import plain_label
from nlilab.model.launch import process

SAYS_NOTHING = re.compile(r"(?:label[\s_-]*)?\d+", re.IGNORECASE)  # what stands where nobody named the rows


class Loaded(NamedTuple):
    """A model from a checkpoint, the parameters that this lacks, and those that it has in another size: its size."""

    model: Any
    missing: set[str]
    resized: dict[str, torch.Size]


def join_head(
    loaded: Loaded, config: PreTrainedConfig, declared: Sequence[str] | None, ours: list[str], name: str
) -> None:
    """Put the rows of a checkpoint's head in the order of `ours`, by the names that are declared or in its `config`.

    A head that has no rows of these names begins anew, and stdout says so. A checkpoint without a head is left alone.
    """
    if not _has_head(loaded):
        if declared:
            raise UserError(f"train.labels: got {', '.join(declared)}, but {name} has no head of its own: remove it")
        return
    rows = label_rows(loaded.model)
    sizes = [loaded.resized[row][dim] for row, dim in rows.items() if row in loaded.resized]
    count = sizes[0] if sizes else len(ours)
    if declared and len(declared) != count:
        raise UserError(
            f"train.labels: got {len(declared)} names ({', '.join(declared)}), but the head of {name} has {count} rows"
        )
    theirs = list(declared) if declared else names_of(config, ours)
    order = None if sizes or theirs is None else matched(theirs, ours)
    if order is None:
        if not sizes:
            _renew(loaded.model, rows)
        say(_anew(name, theirs, count, ours))
    elif order != sorted(order):
        reorder(loaded.model, rows, order)
        say(f"{name}: its head answers {', '.join(theirs or ())}; its rows now stand by name as {', '.join(ours)}")


def names_of(config: PreTrainedConfig, ours: Sequence[str]) -> list[str] | None:
    """The names of a head's rows, as `id2label` has them, else `label2id`; None where neither does, or they differ.

    Numbers and LABEL_0 are what a library writes where nobody named the rows; unless our labels are called so.
    """
    forward: dict[int, str] = {int(row): str(name) for row, name in (config.id2label or {}).items()}
    backward: dict[int, str] = {int(row): str(name) for name, row in (config.label2id or {}).items()}
    found = [[names.get(row, str(row)) for row in range(len(forward))] for names in (forward, backward)]
    said = [names for names in found if not all(SAYS_NOTHING.fullmatch(name.strip()) for name in names)]
    if len({tuple(map(plain_label, names)) for names in said}) > 1:
        return None
    return said[0] if said else found[0] if matched(found[0], ours) else None


def matched(theirs: Sequence[str], ours: Sequence[str]) -> list[int] | None:
    """For each of our labels the row of theirs that has its name, however spelled; None unless all of both have one."""
    names, wanted = [plain_label(name) for name in theirs], [plain_label(name) for name in ours]
    if len(set(names)) < len(names) or sorted(names) != sorted(wanted):
        return None
    return [names.index(name) for name in wanted]


def label_rows(model: Any) -> dict[str, int]:
    """The parameters of a classifier that have an entry for each label, and the dimension in which they have it.

    Whatever the architecture calls them: they are those that differ in shape from a twin with one label more.
    """
    config = copy.deepcopy(model.config)
    config.num_labels = model.config.num_labels + 1
    with torch.device("meta"):  # shapes alone: it takes neither memory nor random numbers
        kind: Any = AutoModelForSequenceClassification
        twin = dict(kind.from_config(config).named_parameters())
    return {
        name: next(dim for dim, (a, b) in enumerate(zip(own.shape, twin[name].shape, strict=True)) if a != b)
        for name, own in model.named_parameters()
        if own.shape != twin[name].shape
    }


def reorder(model: Any, rows: dict[str, int], order: list[int]) -> None:
    """Put the entries of a head's parameters in another order, in place."""
    for name, dim in rows.items():
        parameter = model.get_parameter(name)
        parameter.data = parameter.data.index_select(dim, torch.tensor(order, device=parameter.device))


@cache
def say(line: str) -> None:
    """Print a line once, however often a model is loaded, and by whichever of several processes is the first."""
    if process() == 0:
        print(line)


def head_modules(model: Any, fresh: Collection[str]) -> set[str]:
    """The modules of the classification head, and others whose weights the checkpoint lacks (a pooler)."""
    own = {name for name, child in model.named_children() if any(True for _ in child.parameters())}
    own.discard(model.base_model_prefix)
    return own | {module for name in fresh if not within(module := name.rpartition(".")[0], own)}


def within(name: str, modules: Collection[str]) -> bool:
    """Whether a module is one of those, or lies within one."""
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def _has_head(loaded: Loaded) -> bool:
    heads = head_modules(loaded.model, ())
    return any(within(name, heads) and name not in loaded.missing for name, _ in loaded.model.named_parameters())


def _renew(model: Any, rows: dict[str, int]) -> None:
    """Fresh random rows, as a new head has them."""
    spread = float(getattr(model.config, "initializer_range", 0.02))
    for name in rows:
        parameter = model.get_parameter(name)
        with torch.no_grad():
            parameter.zero_() if parameter.dim() == 1 else parameter.normal_(0.0, spread)


def _anew(name: str, theirs: Sequence[str] | None, count: int, ours: Sequence[str]) -> str:
    """What is said of a head that begins anew."""
    wanted = f"{len(ours)} labels, {', '.join(ours)}"
    if theirs is None:
        return (
            f"{name}: nothing says which of the {count} rows of its head is which label, so it begins anew for "
            f"{wanted}; to keep it, name them in its order: train.labels"
        )
    return f"{name}: its head answers {count} labels, {', '.join(theirs)}; the rows have {wanted}: it begins anew"
