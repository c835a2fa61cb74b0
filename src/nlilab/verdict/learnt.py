"""Seeds that never learnt, counted apart from accuracy: their mean would hide them, and their spread is no noise."""

from collections.abc import Mapping
from typing import Any

ONE_LABEL = 0.995  # of a suite's rows


def learnt(trained: Mapping[str, Mapping[int, Any]], scores: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """How many seeds of each model learnt, and why the others count as never having learnt.

    Args:
        trained: what each training's metrics file holds, by model and seed.
        scores: of every suite, as the stage `score` writes them.
    A seed never learnt if its training loss did not leave chance, or if it gives one label to every suite (adversarial
    ones apart, where a sound model may be wrong by system). Models without steps are not judged, and not named.
    """
    out: dict[str, dict[str, Any]] = {}
    for model, seeds in trained.items():
        tuned = {seed: run for seed, run in seeds.items() if run["total_steps"]}
        never = {str(seed): why for seed, run in tuned.items() if (why := _never(run, _one_label(model, seed, scores)))}
        if tuned:
            left, why = len(tuned) - len(never), "; ".join(f"seed {seed}: {reason}" for seed, reason in never.items())
            line = f"{model}: {left} of {len(tuned)} seeds left chance ({why})" if never else ""
            out[model] = {"seeds": len(tuned), "left_chance": left, "never": never, "said": line}
    return out


def _never(run: Mapping[str, Any], one_label: bool) -> str:
    """Why a training counts as never having learnt, or ""."""
    if run["left_chance"] is False:
        return f"training loss {run['end']:.3f} at its end, chance is {run['chance']:.3f}"
    return "one label for every row of every suite" if one_label else ""


def _one_label(model: str, seed: int, scores: Mapping[str, Any]) -> bool:
    """Whether a model gives (nearly) all rows of each suite one label; False where no suite can tell."""
    found = [
        max(one["predicted"] for one in scored["classes"].values()) >= ONE_LABEL * scored["rows"]
        for suite in scores.values()
        if not suite["adversarial"] and (scored := suite["models"].get(model, {}).get(str(seed)))
    ]
    return bool(found) and all(found)
