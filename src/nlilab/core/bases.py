"""What an arm's models start from: the section `train`, as the arm's entry in `mixtures` changes it."""

from collections.abc import Mapping
from typing import Any

from nlilab.core.errors import UserError
from nlilab.core.params import PARAMS, nearest

BOUND = ("revision", "head", "labels")  # said of one base: another one does not take them over
# What else a base may bring with it; the rest, steps and batch size above all, is the same for every arm.
OWN = ("head", "labels", "learning_rate", "lora", "precision", "accumulate", "gradient_checkpointing")


def training_of(top: Mapping[str, Any], arm: str, place: str = str(PARAMS)) -> dict[str, Any]:
    """The section `train` as it holds for an arm, whose entry may name `model`, `revision` and keys of `train`."""
    shared, entry = dict(top.get("train") or {}), (top.get("mixtures") or {}).get(arm) or {}
    own = entry.get("train") or {}
    for key in own:
        if key not in OWN:
            hint = nearest(str(key), OWN)
            if key in ("model", "revision"):
                hint = f"; name it as mixtures.{arm}.{key}"
            elif key in shared:
                hint = f"; train.{key} is the same for every arm, which keeps them comparable"
            raise UserError(f"{place}: mixtures.{arm}.train: {key!r} is none of {', '.join(OWN)}{hint}")
    if entry.get("model"):
        shared = {key: value for key, value in shared.items() if key not in BOUND}
    return shared | {key: entry[key] for key in ("model", "revision") if entry.get(key)} | own


def check_second(top: Mapping[str, Any], start: str, arm: str, place: str = str(PARAMS)) -> None:
    """Refuse a second step whose arm names another base than the one that its start was trained from."""
    entry = (top.get("mixtures") or {}).get(arm) or {}
    if not any(entry.get(key) for key in ("model", "revision", "train")):
        return
    ours, theirs = training_of(top, arm, place), training_of(top, start, place)
    if differ := [key for key in ("model", "revision", *OWN) if ours.get(key) != theirs.get(key)]:
        said = "; ".join(f"{key}: {ours.get(key)}, and {start} has {theirs.get(key)}" for key in differ)
        raise UserError(
            f"{place}: two_step: {start}-then-{arm} goes on from {start}'s model, but mixtures.{arm} names a base of "
            f"its own ({said}): name in two_step.arms an arm of the same rows that names none, or start from an arm "
            "with that base"
        )


def base_name(training: Mapping[str, Any]) -> str:
    """The base of a section `train`, with its revision where one is named."""
    model, revision = str(training.get("model", "the model of params.yaml")), training.get("revision")
    return f"{model} at {revision}" if revision else model
