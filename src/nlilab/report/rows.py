"""The rows behind `dvc plots`: plain lists of records, one file a plot."""

from dataclasses import asdict
from typing import Any

from nlilab.report.facts import Facts
from nlilab.report.plots import curve
from nlilab.report.sets.rows import set_rows


def plot_rows(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """The plots' rows by the name of their file, those of the models and those of the data sets; shares lie in 0..1."""

    def named(model: str, suite: str) -> str:
        return f"{model} (contaminated)" if (model, suite) in facts.attacking.contaminated else model

    accuracy = [
        {"suite": suite, "task": facts.suites[suite]["task"], "model": named(model, suite)}
        | {key: value[key] for key in ("mean", "low", "high")}
        for suite, models in facts.accuracy.items()
        for model, value in models.items()
    ]
    differences = [
        {
            "suite": pair.suite,
            "pair": f"{named(pair.model, pair.suite)} − {named(pair.baseline, pair.suite)}",
            "difference": pair.difference,
            "low": pair.low,
            "high": pair.high,
            "verdict": pair.verdict,
        }
        for pair in facts.pairs
    ]
    attack = [
        {
            "suite": attack.suite,
            "recipe": attack.recipe,
            "model": named(model, attack.place),
            "kind": kind,
            **asdict(bounds),
        }
        for attack in facts.attacking.attacks
        for model, stand in attack.stands.items()
        for kind, bounds in (("clean", stand.clean), ("attacked", stand.attacked))
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
    models = {"accuracy": accuracy, "differences": differences, "attack": attack, "flips": flips, "loss": loss}
    return models | set_rows(facts.sets)
