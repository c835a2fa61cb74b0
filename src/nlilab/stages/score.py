"""Stage score: metrics of every model on every suite, clean and attacked, and the rows that the comparison needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nlilab.attack.recipes import AttackSettings
from nlilab.core.command import run
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_table, tell_strays, write_json, write_table
from nlilab.core.params import Run, run_settings, section
from nlilab.core.schema import probabilities_of, task_of
from nlilab.tasks.reading import scheme_of
from nlilab.verdict.permuted import (
    MODEL_REMEDY,
    blamed,
    guard_models,
    model_message,
    permuted_models,
    suspicious,
)
from nlilab.verdict.questions import TRUE, picked, questions
from nlilab.verdict.robustness import CLEAN, Attacked, facts, gallery, scored, under
from nlilab.verdict.suites import Answers, ScoreSettings, guard, guard_message, score, slices

Key = tuple[str, int]  # model, seed


def main(
    predictions: Path, suites: Path, cards: Path, attacked: Path, read: Path, out: Path, rows: Path, attacks: Path
) -> None:
    """Score all predictions; stop where a suite's labels look permuted."""
    run_, attack = run_settings(), section("attack", AttackSettings)
    settings = section("score", ScoreSettings)
    tell_strays(predictions, {f"{model}.parquet" for model in run_.models})
    tell_strays(read, {f"{reader}.parquet" for reader in attack.readers})
    held = _by_seed({model: read_table(predictions / f"{model}.parquet") for model in run_.models}, run_)
    scores: dict[str, object] = {}
    tables = []
    whole = {name: read_table(suites / f"{name}.parquet") for name in run_.suites}
    clean: dict[str, dict[Key, Answers]] = {}
    for name, suite in whole.items():
        clean[name] = {key: said for key, table in held.items() if (said := _answers(name, suite, table))}
        if not clean[name]:
            raise UserError(
                f"params.yaml: suites: no model reads {name!r} (task {task_of(suite)}): leave it out, or train "
                "an arm on rows of its task"
            )
    told = {name: read_json(cards / f"{name}.json") for name in whole}
    guards = _guarded(whole, clean, told, settings)
    for name, suite in whole.items():
        sides = slices(suite, settings.long_words)
        scores[name], table = _suite(suite, clean[name], sides, guards[name], told[name])
        tables.append(table.assign(suite=name))
    found: dict[str, Any] = {"suites": {}, "gallery": []}
    if attack.victims:
        every = _Attacks(attacked, read, run_, attack)
        for name in attack.suites:
            for number, recipe in enumerate(attack.recipes):
                one = every.of(name, recipe, whole[name], clean[name], settings)
                before, after = scored(one, attack.victims, run_.seeds, attack.validate_rows)
                place = under(name, recipe)
                entry = facts(one, attack.victims, attack.readers, run_.seeds)
                found["suites"][place] = entry | {"scores": {"before": before, "after": after}}
                found["gallery"] += gallery(one, attack.victims, run_.seeds[0])
                keys = [(victim, seed) for victim in attack.victims for seed in run_.seeds]
                if number == 0:
                    tables.append(_attacked_rows(one, under(name, CLEAN), {key: one.clean[key] for key in keys}))
                tables.append(_attacked_rows(one, place, {k: one.counted(*k, attack.validate_rows) for k in keys}))
    write_json(out, scores)
    write_table(rows, pd.concat(tables, ignore_index=True))
    write_json(attacks, found)
    print(f"scored {len(held)} models on {', '.join(run_.suites)}; {len(found['suites'])} suites under attack")


def _by_seed(tables: dict[str, pd.DataFrame], run_: Run) -> dict[Key, pd.DataFrame]:
    return {(model, seed): table[table["seed"] == seed] for model, table in tables.items() for seed in run_.seeds}


def _answers(name: str, suite: pd.DataFrame, table: pd.DataFrame) -> Answers | None:
    """A model's answers to a suite, or None where it cannot read the suite's task."""
    own = table[table["suite"] == name]
    if own.empty:
        return None
    if own["id"].tolist() != suite["id"].tolist():
        raise UserError(f"suite {name!r}: predictions and rows differ; run `dvc repro` to predict it anew")
    return Answers(*probabilities_of(own))


class _Attacks:
    """The attacked rows of all victims and what all readers made of them."""

    def __init__(self, attacked: Path, read: Path, run_: Run, attack: AttackSettings) -> None:
        self.run, self.attack = run_, attack
        self.texts = {
            (victim, recipe): read_table(attacked / victim / f"{recipe}.parquet")
            for victim in attack.victims
            for recipe in attack.recipes
        }
        keys = ["victim", "recipe", "suite", "seed"]
        self.read = {
            reader: dict(tuple(read_table(read / f"{reader}.parquet").groupby(keys))) for reader in attack.readers
        }

    def of(
        self, name: str, recipe: str, suite: pd.DataFrame, clean: dict[Key, Answers], settings: ScoreSettings
    ) -> Attacked:
        """One suite under one recipe."""
        keys = [(victim, seed) for victim in self.attack.victims for seed in self.run.seeds]
        for victim, seed in keys:
            if (victim, seed) not in clean:
                raise UserError(
                    f"params.yaml: attack: {victim!r} does not read the suite {name!r}; leave one of them out"
                )
        texts = {(victim, seed): self._texts(victim, recipe, name, seed) for victim, seed in keys}
        ids = texts[keys[0]]["id"].tolist()
        place = pd.Series(range(len(suite)), index=suite["id"]).loc[ids].to_numpy()
        rows = suite.iloc[place].reset_index(drop=True)
        read = {
            (victim, reader, seed): self._read(reader, victim, recipe, name, seed, ids)
            for victim, seed in keys
            for reader in self.attack.readers
        }
        return Attacked(
            suite=name,
            recipe=recipe,
            rows=rows,
            sides=slices(rows, settings.long_words),
            texts=texts,
            clean={key: part.take(place) for key, part in clean.items()},
            own={(victim, seed): read[victim, victim, seed] for victim, seed in keys},
            read=read,
            judge=self.attack.judge,
        )

    def _texts(self, victim: str, recipe: str, suite: str, seed: int) -> pd.DataFrame:
        table = self.texts[victim, recipe]
        return table[(table["suite"] == suite) & (table["seed"] == seed)].reset_index(drop=True)

    def _read(self, reader: str, victim: str, recipe: str, suite: str, seed: int, ids: list[str]) -> Answers:
        own = self.read[reader].get((victim, recipe, suite, seed))
        if own is None or own["id"].tolist() != ids:
            raise UserError(
                f"{reader}'s predictions and the rows of {suite!r} attacked by {recipe} differ: `dvc repro`"
            )
        return Answers(*probabilities_of(own))


def _attacked_rows(one: Attacked, place: str, answers: Mapping[Key, Answers]) -> pd.DataFrame:
    """The rows for the comparison; models that were not attacked have no column."""
    right = {f"{victim}/{seed}": one.right(part) for (victim, seed), part in answers.items()}
    return pd.concat([one.rows[["label", "group", "cell"]], one.sides, pd.DataFrame(right)], axis=1).assign(suite=place)


def _guarded(
    whole: Mapping[str, pd.DataFrame],
    clean: Mapping[str, Mapping[Key, Answers]],
    cards: Mapping[str, Mapping[str, Any]],
    settings: ScoreSettings,
) -> dict[str, dict[str, Any]]:
    """The label-map guard's findings by suite; stop where labels are permuted, and say whose: a suite's, a model's."""
    pooled = {
        name: guard(suite, {f"{model}/{seed}": part for (model, seed), part in clean[name].items()})
        for name, suite in whole.items()
    }
    plain = {name: guard_models(suite, clean[name]) for name, suite in whole.items() if not cards[name]["adversarial"]}
    for name, found in pooled.items():
        found["warned"] = suspicious(found, settings.guard_z)
        if found["warned"] and name in plain:
            raise UserError(blamed(name, found, plain, settings.guard_z))
        if found["warned"]:
            message = guard_message(name, found)
            print(f"warning: {message}; it is marked adversarial, so a sound model may be wrong by system")
    for model, suites in permuted_models(plain, settings.guard_z).items():
        print(f"warning: {model_message([model], suites, plain[suites[0]][model])}; {MODEL_REMEDY}")
    return pooled


def _suite(
    suite: pd.DataFrame, answers: dict[Key, Answers], sides: pd.DataFrame, guarded: dict[str, Any], card: dict[str, Any]
) -> tuple[dict[str, object], pd.DataFrame]:
    scheme = scheme_of(suite)
    gold, kind = suite["label"].to_numpy(dtype=str), card["metric"]
    models: dict[str, dict[str, Any]] = {}
    correct = {}
    for (model, seed), part in answers.items():
        said = part.named(scheme)
        true = part.probabilities[:, list(part.labels).index(TRUE)] if kind == "pick-one" else part.probabilities[:, 0]
        right = said == gold
        entry = score(suite, part, sides) | questions(kind, suite, true, said)
        if kind == "pick-one":  # a question is right where its likeliest candidate is; the rows are the questions then
            right = gold[picked(suite, true)] == TRUE
            entry["accuracy"] = float(right.mean())
        models.setdefault(model, {})[str(seed)] = entry
        correct[f"{model}/{seed}"] = right
    kept = suite.drop_duplicates("group").index if kind == "pick-one" else suite.index
    shown = pd.concat([suite[["label", "group", "cell"]], sides], axis=1).loc[kept].reset_index(drop=True)
    if kind == "pick-one":
        shown["label"] = TRUE
    table = pd.concat([shown, pd.DataFrame(correct)], axis=1)
    majority = float(shown["label"].value_counts(normalize=True).max()) if kind != "pick-one" else None
    scores: dict[str, object] = {"models": models, "guard": guarded, "majority": majority}
    scores["adversarial"] = card["adversarial"]
    return scores, table


if __name__ == "__main__":
    run(main)
