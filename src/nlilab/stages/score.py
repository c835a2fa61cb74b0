"""Stage score: metrics of every model on every suite, and the rows that the comparison needs; no model, no text out."""

from pathlib import Path

import numpy as np
import pandas as pd

from nlilab.command import run
from nlilab.errors import UserError
from nlilab.files import read_json, read_table, refuse_strays, write_json, write_table
from nlilab.metrics import Floats, argmax_then_map
from nlilab.params import Run, run_settings, section
from nlilab.schema import THREE_WAY
from nlilab.suites import ScoreSettings, guard, guard_message, scheme_of, score, slices


def main(predictions: Path, suites: Path, cards: Path, out: Path, rows: Path) -> None:
    """Score all predictions; stop where a suite's labels look permuted, or where strays lie about."""
    run_ = run_settings()
    settings = section("score", ScoreSettings)
    refuse_strays(predictions, {f"{model}-{seed}.parquet" for model in run_.models for seed in run_.seeds})
    held = {
        (model, seed): read_table(predictions / f"{model}-{seed}.parquet")
        for model in run_.models
        for seed in run_.seeds
    }
    scores: dict[str, object] = {}
    tables = []
    for name in run_.suites:
        suite = read_table(suites / f"{name}.parquet")
        of_suite = {key: _probabilities(name, suite, table) for key, table in held.items()}
        scores[name], table = _suite(name, suite, of_suite, run_, settings, read_json(cards / f"{name}.json"))
        tables.append(table)
    write_json(out, scores)
    write_table(rows, pd.concat(tables, ignore_index=True))
    print(f"scored {len(held)} models on {', '.join(run_.suites)}")


def _probabilities(name: str, suite: pd.DataFrame, table: pd.DataFrame) -> Floats:
    own = table[table["suite"] == name]
    if own["id"].tolist() != suite["id"].tolist():
        raise UserError(f"suite {name!r}: predictions and rows differ; run `dvc repro` to predict it anew")
    return own[list(THREE_WAY)].to_numpy(dtype=np.float64)


def _suite(
    name: str,
    suite: pd.DataFrame,
    probabilities: dict[tuple[str, int], Floats],
    run_: Run,
    settings: ScoreSettings,
    card: dict[str, object],
) -> tuple[dict[str, object], pd.DataFrame]:
    sides = slices(suite, settings.long_words)
    found = guard(suite, {f"{model}/{seed}": part for (model, seed), part in probabilities.items()})
    suspicious = found["z"] >= settings.guard_z
    if suspicious:
        message = guard_message(name, found)
        if not card["adversarial"]:
            raise UserError(
                f"{message}; correct `labels` in conf/datasets.yaml, "
                "or set `adversarial: true` if it misleads by design"
            )
        print(f"warning: {message}; it is marked adversarial, so a sound model may be wrong by system")
    models = {
        model: {str(seed): score(suite, probabilities[model, seed], sides) for seed in run_.seeds}
        for model in run_.models
    }
    gold = suite["label"].to_numpy(dtype=str)
    correct = {
        f"{model}/{seed}": argmax_then_map(part, scheme_of(suite["label"])) == gold
        for (model, seed), part in probabilities.items()
    }
    table = pd.concat([suite[["label", "group", "cell"]], sides, pd.DataFrame(correct)], axis=1)
    return {"models": models, "guard": {**found, "warned": bool(suspicious)}}, table.assign(suite=name)


if __name__ == "__main__":
    run(main)
