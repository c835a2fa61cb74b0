"""Whose labels are permuted, where the guard finds some: a suite's, or a model's that is wrong alike everywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nlilab.verdict.suites import GUARD_LEAST, Answers, guard, guard_message

Found = Mapping[str, Any]  # what `guard` finds

SUITE_REMEDY = "correct `labels` in conf/datasets.yaml, or set `adversarial: true` if it misleads by design"
MODEL_REMEDY = "name the rows of its head, in their order, by train.labels, or leave it out of `models`"


def guard_models(rows: pd.DataFrame, answers: Mapping[tuple[str, int], Answers]) -> dict[str, Found]:
    """The guard for each model by itself, all its seeds together."""
    models: dict[str, dict[str, Answers]] = {}
    for (model, seed), part in answers.items():
        models.setdefault(model, {})[str(seed)] = part
    return {model: guard(rows, parts) for model, parts in models.items()}


def suspicious(found: Found, z: float) -> bool:
    """Whether a permuted reading fits surely, and noticeably, better than the declared one."""
    return bool(found["z"] >= z and found["permuted"] - found["declared"] > GUARD_LEAST)


def permuted_models(by_suite: Mapping[str, Mapping[str, Found]], z: float) -> dict[str, list[str]]:
    """Models that are read better by a permutation, the same one, on all suites that they read, two or more: which."""
    out = {}
    for model in dict.fromkeys(model for found in by_suite.values() for model in found):
        own = {suite: found[model] for suite, found in by_suite.items() if model in found}
        schemes: dict[frozenset[str], list[Found]] = {}
        for found in own.values():
            schemes.setdefault(frozenset(found["mapping"]), []).append(found)
        alike = all(one["mapping"] == same[0]["mapping"] for same in schemes.values() for one in same)
        if len(own) > 1 and alike and all(suspicious(found, z) for found in own.values()):
            out[model] = list(own)
    return out


def blamed(suite: str, pooled: Found, by_suite: Mapping[str, Mapping[str, Found]], z: float) -> str:
    """What to say where the guard stops at a suite: its labels look permuted, or those of models that it names.

    A model is to blame that is permuted alike on every suite that it reads, or alone among others that know the suite;
    else it is the suite.
    """
    own = by_suite[suite]
    off = [model for model, found in own.items() if suspicious(found, z)]
    sound = [model for model, found in own.items() if _sound(found, z)]
    everywhere = permuted_models(by_suite, z)
    if off and all(model in everywhere for model in off):
        return f"{model_message(off, everywhere[off[0]], own[off[0]])}; {MODEL_REMEDY}"
    alone = [model for model in off if sum(model in found for found in by_suite.values()) == 1]
    if off and sound and alone == off:
        said = f"{', '.join(sound)} answer{'s' if len(sound) == 1 else ''} {suite} as declared"
        return f"{model_message(off, [suite], own[off[0]])}, while {said}; {MODEL_REMEDY}"
    hint = ""
    if len(by_suite) == 1:
        hint = " (one suite cannot tell whether it is the models: if all start from one, see train.labels)"
    elif elsewhere := [
        other for other, found in by_suite.items() if any(_sound(found[m], z) for m in off if m in found)
    ]:
        hint = f", and the same models answer {', '.join(elsewhere)} as declared"
    return f"{guard_message(suite, pooled)}{hint}; {SUITE_REMEDY}"


def model_message(models: Sequence[str], suites: Sequence[str], found: Found) -> str:
    """That models' labels look permuted, with both readings on the first of the suites."""
    renamed = ", ".join(f"{theirs!r} means {ours}" for ours, theirs in found["mapping"].items() if ours != theirs)
    every = "every suite that is read" if len(suites) > 1 else "the suite"
    return (
        f"model{'s' if len(models) > 1 else ''} {', '.join(map(repr, models))}: the labels look permuted on {every} "
        f"({', '.join(suites)}): {found['declared']:.1%} balanced accuracy as declared, but {found['permuted']:.1%} "
        f"if {renamed} (z = {found['z']:.1f})"
    )


def _sound(found: Found, z: float) -> bool:
    return bool(found["z"] <= -z and found["declared"] - found["permuted"] > GUARD_LEAST)
