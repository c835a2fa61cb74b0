"""Stage compare: every pair of models on every suite, with a verdict; from small git-tracked files alone."""

from pathlib import Path
from typing import Any

from nlilab.command import run
from nlilab.compare import CompareSettings, compare, suite_from_rows
from nlilab.files import read_json, read_table, refuse_strays, write_json
from nlilab.params import run_settings, section


def main(rows: Path, scores: Path, training: Path, corrections: Path, out: Path, summary: Path) -> None:
    """Compare all models and write the comparison and the summary that `dvc metrics diff` shows."""
    run_ = run_settings()
    settings = section("compare", CompareSettings)
    refuse_strays(training, {f"{model}-{seed}.json" for model in run_.models for seed in run_.seeds})
    table = read_table(rows)
    suites = [suite_from_rows(name, table[table["suite"] == name], run_.models, run_.seeds) for name in run_.suites]
    steps = {model: read_json(training / f"{model}-{run_.seeds[0]}.json")["total_steps"] for model in run_.models}
    found = compare(suites, settings, steps)
    write_json(out, found)
    flips = {name: read_json(corrections / f"{name}.json")["flip_rate"] for name in run_.generators}
    write_json(summary, _summary(found, read_json(scores)) | {"flip_rate": flips})
    print("\n".join(f"{p['model']} against {p['baseline']} on {p['suite']}: {p['verdict']}" for p in found["pairs"]))


def _summary(found: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """One number per (model, suite) and the count of verdicts: small enough for a column each in `dvc exp show`."""
    accuracy: dict[str, dict[str, float]] = {}
    for suite, models in found["accuracy"].items():
        for model, value in models.items():
            accuracy.setdefault(model, {})[suite] = round(value["mean"], 4)
    verdicts = [pair["verdict"] for pair in found["pairs"]]
    return {
        "accuracy": accuracy,
        "verdicts": {name: verdicts.count(name) for name in ("better", "worse", "inconclusive")},
        "guard_warnings": sum(suite["guard"]["warned"] for suite in scores.values()),
    }


if __name__ == "__main__":
    run(main)
