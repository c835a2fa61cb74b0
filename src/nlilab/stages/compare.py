"""Stage compare: every pair of models on every suite, with a verdict; from small git-tracked files alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlilab.attack.recipes import AttackSettings, load_recipe
from nlilab.core.command import run
from nlilab.core.files import read_json, read_table, tell_strays, write_json
from nlilab.core.params import Run, run_settings, section
from nlilab.verdict.compare import VERDICTS, CompareSettings, Suite, compare, suite_from_rows, under_attack
from nlilab.verdict.learnt import learnt
from nlilab.verdict.robustness import CLEAN, under


def main(
    rows: Path, scores: Path, attacks: Path, training: Path, arms: Path, corrections: Path, out: Path, summary: Path
) -> None:
    """Compare all models and write the comparison and the summary that `dvc metrics diff` shows."""
    run_ = run_settings()
    settings = section("compare", CompareSettings)
    tell_strays(training, run_.trainings())
    table = read_table(rows)
    attacked = read_json(attacks)["suites"]
    clean = {entry["suite"]: under(entry["suite"], CLEAN) for entry in attacked.values()}
    suites = {
        name: suite_from_rows(name, table[table["suite"] == name], run_.models, run_.seeds)
        for name in [*run_.suites, *clean.values(), *attacked]
    }
    trained = {
        model: {seed: read_json(training / f"{model}-{seed}.json") for seed in run_.seeds} for model in run_.models
    }
    steps = {model: trained[model][run_.seeds[0]]["total_steps"] for model in run_.models}
    compared = [suites[name] for name in [*run_.suites, *attacked]]
    labels = {arm: set(read_json(arms / f"{arm}.json")["labels"]) for arm in run_.harden.arms}
    contaminated = _contaminated(run_, section("attack", AttackSettings), compared, labels)
    found = compare(compared, settings, steps, contaminated) | _sizes(run_, training, arms)
    bases = {model: arm for model, (arm, _) in run_.harden.made().items()}
    found["attacks"] = {
        name: {"suite": entry["suite"], "recipe": entry["recipe"], "rows": entry["rows"]}
        | {"models": under_attack(suites[clean[entry["suite"]]], suites[name], bases, settings)}
        for name, entry in attacked.items()
    }
    scored = read_json(scores)
    found["learnt"] = learnt(trained, scored)
    write_json(out, found)
    flips = {name: read_json(corrections / f"{name}.json")["flip_rate"] for name in run_.written()}
    write_json(summary, _summary(found, scored) | {"flip_rate": flips})
    never = [one["said"] for one in found["learnt"].values() if one["never"]]
    verdicts = [f"{p['model']} against {p['baseline']} on {p['suite']}: {p['verdict']}" for p in found["pairs"]]
    print("\n".join([*never, *verdicts]))


def _sizes(run_: Run, training: Path, arms: Path) -> dict[str, dict[str, int | None]]:
    """Each model's parameters (None where its training did not count them), and the rows of its arms."""
    rows = {arm: int(read_json(arms / f"{arm}.json")["rows"]) for arm in run_.arms}
    return {
        "parameters": {m: read_json(training / f"{m}-{run_.seeds[0]}.json").get("parameters") for m in run_.models},
        "rows": {model: sum(rows[arm] for arm in set(run_.arms_of(model))) for model in run_.models},
    }


def _contaminated(
    run_: Run, attack: AttackSettings, suites: list[Suite], labels: Mapping[str, set[str]]
) -> list[tuple[str, str]]:
    """The hardened models and the suites, clean or attacked, that they were hardened on (attack.protocol as_published).

    Only suites with an arm's own labels give it training rows, and only recipes that make rows take them.
    """
    if attack.protocol == "clean":
        return []
    return [
        (model, suite.name)
        for model, (arm, recipe) in run_.harden.made().items()
        for suite in suites
        if load_recipe(recipe) and suite.name.split("@")[0] in attack.suites and set(suite.gold) <= labels[arm]
    ]


def _summary(found: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """One number per (model, suite) and the count of verdicts: small enough for a column each in `dvc exp show`."""
    accuracy: dict[str, dict[str, float]] = {}
    for suite, models in found["accuracy"].items():
        for model, value in models.items():
            accuracy.setdefault(model, {})[suite] = round(value["mean"], 4)
    verdicts = [pair["verdict"] for pair in found["pairs"]]
    won: dict[str, dict[str, float]] = {}
    for name, attack in found["attacks"].items():
        for model, value in attack["models"].items():
            if value.get("won_back"):
                won.setdefault(model, {})[name] = round(value["won_back"]["value"], 4)
    return {
        "accuracy": accuracy,
        "verdicts": {name: verdicts.count(name) for name in VERDICTS},
        "won_back": won,
        "guard_warnings": sum(suite["guard"]["warned"] for suite in scores.values()),
        "never_learnt": {model: len(one["never"]) for model, one in found["learnt"].items()},
    }


if __name__ == "__main__":
    run(main)
