"""The rows behind `dvc plots`: plain lists of records, one file a plot."""

from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.plots import curve


def plot_rows(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """The plots' rows by the name of their file: accuracy, differences, flips, loss; shares lie in 0..1."""
    accuracy = [
        {"suite": suite, "model": model, **{key: value[key] for key in ("mean", "low", "high")}}
        for suite, models in facts.accuracy.items()
        for model, value in models.items()
    ]
    differences = [
        {
            "suite": pair.suite,
            "pair": f"{pair.model} − {pair.baseline}",
            "difference": pair.difference,
            "low": pair.low,
            "high": pair.high,
            "verdict": pair.verdict,
        }
        for pair in facts.pairs
    ]
    flips = [
        {
            "generator": generator,
            "constrained": label,
            "corrected": outcome,
            "rows": count,
            "share": count / max(1, sum(outcomes.values())),
        }
        for generator, found in facts.corrections.items()
        for label, outcomes in found["matrix"].items()
        for outcome, count in outcomes.items()
    ]
    loss = [
        {"model": model, "seed": str(seed), **point}
        for model, runs in facts.training.items()
        for seed, run in runs.items()
        for point in curve(run["losses"])
    ]
    return {"accuracy": accuracy, "differences": differences, "flips": flips, "loss": loss}
