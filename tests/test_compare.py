"""Verdicts on planted differences, and the label-map guard on planted permutations."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from nlilab.core.errors import UserError
from nlilab.core.files import write_json, write_table, write_text
from nlilab.core.schema import THREE_WAY
from nlilab.stages import score as score_stage
from nlilab.verdict.compare import CompareSettings, Suite, compare, suite_from_rows
from nlilab.verdict.learnt import learnt
from nlilab.verdict.permuted import blamed, guard_models, permuted_models
from nlilab.verdict.suites import Answers, guard, guard_message, slices

SETTINGS = CompareSettings()


def suite(accuracy: dict[str, tuple[float, float]], rows: int = 600, seeds: int = 3, cells: bool = False) -> Suite:
    """A suite on which each model has given accuracies on its two gold classes, with some noise of seeds."""
    random = np.random.default_rng(1)
    gold = np.array(["entailment", "non-entailment"] * (rows // 2))
    correct = {}
    for model, (entailment, other) in accuracy.items():
        chance = np.where(gold == "entailment", entailment, other)
        correct[model] = random.random((seeds, rows)) < chance
    none = {name: np.zeros(rows, dtype=bool) for name in ("negation", "ambiguity", "long")}
    return Suite("toy", gold, np.arange(rows), none, cells, correct)


def verdict(found: dict, a: str, b: str) -> tuple[str, str]:
    return next(
        (pair["verdict"], pair["reason"]) for pair in found["pairs"] if (pair["model"], pair["baseline"]) == (a, b)
    )


def test_a_planted_difference_is_found_and_equals_are_inconclusive() -> None:
    toy = suite({"good": (0.8, 0.8), "twin": (0.8, 0.8), "bad": (0.6, 0.6)})
    found = compare([toy], SETTINGS, {"good": 10, "twin": 10, "bad": 20})
    assert verdict(found, "bad", "good")[0] == "worse"
    assert verdict(found, "bad", "twin")[0] == "worse"
    assert verdict(found, "twin", "good")[0] == "inconclusive"
    good_bad = found["pairs"][1]
    assert good_bad["difference"] < -0.1 and good_bad["transitions"]["introduced"] > good_bad["transitions"]["fixed"]
    assert good_bad["low"] < good_bad["difference"] < good_bad["high"]
    assert not good_bad["equal_steps"] and found["pairs"][0]["equal_steps"]
    assert good_bad["minimum_detectable_effect"] > 0 and len(good_bad["mcnemar"]) == 3


def test_a_heuristics_suite_improves_only_in_both_gold_classes() -> None:
    traded = suite({"base": (0.8, 0.3), "biased": (0.5, 0.9)}, cells=True)
    found = compare([traded], SETTINGS, {"biased": 1, "base": 1})
    assert found["pairs"][0]["difference"] > 0.1
    assert verdict(found, "biased", "base") == (
        "inconclusive",
        "overall better, but not in gold class entailment: a bias can buy this",
    )
    sound = suite({"base": (0.8, 0.3), "better": (0.9, 0.6)}, cells=True)
    assert verdict(compare([sound], SETTINGS, {"better": 1, "base": 1}), "better", "base")[0] == "better"


def test_one_seed_is_never_enough() -> None:
    found = compare([suite({"a": (0.9, 0.9), "b": (0.4, 0.4)}, seeds=1)], SETTINGS, {"a": 1, "b": 1})
    assert verdict(found, "b", "a")[0] == "inconclusive" and "one seed" in verdict(found, "b", "a")[1]


def test_seeds_that_never_learnt_are_counted_with_their_reason() -> None:
    def run(left: bool | None = True, steps: int = 90) -> dict:
        return {"left_chance": left, "end": 1.0988, "chance": 1.0986, "total_steps": steps}

    def suite_of(adversarial: bool, **given: int) -> dict:
        seeds = {
            str(seed): {"rows": 1000, "classes": {"a": {"predicted": most}, "b": {"predicted": 1000 - most}}}
            for seed, most in enumerate(given.values(), 1)
        }
        return {"adversarial": adversarial, "models": {"raw": seeds, "hardened": seeds}}

    # Seed 2 answers the same to every row of the plain suites, seed 3 to those of one and to the adversarial alone.
    scores = {
        "one": suite_of(False, first=500, second=998, third=1000),
        "two": suite_of(False, first=600, second=1000, third=900),
        "hans": suite_of(True, first=1000, second=400, third=1000),
    }
    trained = {
        "raw": {1: run(left=False), 2: run(), 3: run()},
        "hardened": {1: run(left=None), 2: run(left=None), 3: run(left=None)},
        "untuned": {1: run(left=None, steps=0)},
    }
    found = learnt(trained, scores)
    assert {model: (one["left_chance"], one["seeds"]) for model, one in found.items()} == {
        "raw": (1, 3),
        "hardened": (2, 3),
    }
    assert found["raw"]["said"] == (
        "raw: 1 of 3 seeds left chance (seed 1: training loss 1.099 at its end, chance is 1.099; "
        "seed 2: one label for every row of every suite)"
    )
    fine = learnt({"raw": {1: run(), 3: run()}}, scores)["raw"]
    assert fine == {"seeds": 2, "left_chance": 2, "never": {}, "said": ""}
    assert learnt({"raw": {1: run()}}, {"hans": scores["hans"]})["raw"]["left_chance"] == 1  # no suite can tell


def test_one_model_has_intervals_and_no_pairs() -> None:
    found = compare([suite({"only": (0.9, 0.9)})], SETTINGS, {"only": 1})
    assert found["pairs"] == [] and 0.8 < found["accuracy"]["toy"]["only"]["mean"] < 1


def test_sameness_needs_a_margin_and_enough_rows() -> None:
    twins = {"one": (0.8, 0.8), "twin": (0.8, 0.8)}
    many = compare([suite(twins, rows=12_000)], SETTINGS, dict.fromkeys(twins, 1))
    assert verdict(many, "twin", "one") == ("equivalent", "whatever difference there is, it is less than 2 points")
    wider = compare([suite(twins, rows=1500)], CompareSettings(margin=6), dict.fromkeys(twins, 1))
    assert verdict(wider, "twin", "one")[0] == "equivalent" and wider["margin"] == 0.06
    few = compare([suite(twins, rows=1500)], CompareSettings(margin=0.5), dict.fromkeys(twins, 1))
    assert verdict(few, "twin", "one")[0] == "inconclusive"
    gained = compare([suite({"one": (0.80, 0.80), "up": (0.82, 0.82)}, rows=3000)], SETTINGS, {"one": 1, "up": 1})
    assert verdict(gained, "up", "one")[0] in ("not-worse", "better")
    shown = compare([suite({"one": (0.80, 0.80), "up": (0.81, 0.81)}, rows=60_000)], SETTINGS, {"one": 1, "up": 1})
    assert verdict(shown, "up", "one")[0] == "better" and "smaller than the margin" in verdict(shown, "up", "one")[1]


def test_a_bias_that_moves_between_gold_classes_is_no_sameness() -> None:
    toy = suite({"base": (0.7, 0.7), "biased": (0.9, 0.5)}, rows=12_000, cells=True)
    assert verdict(compare([toy], SETTINGS, {"base": 1, "biased": 1}), "biased", "base")[0] == "inconclusive"
    plain = replace(toy, has_cells=False)
    assert verdict(compare([plain], SETTINGS, {"base": 1, "biased": 1}), "biased", "base")[0] == "equivalent"


def test_seeds_that_differ_much_are_too_few_to_tell_and_how_many_would_do() -> None:
    random = np.random.default_rng(3)
    rows = 3000
    correct = {
        name: np.stack([random.random(rows) < accuracy for accuracy in of])
        for name, of in {"steady": (0.70, 0.71), "fickle": (0.68, 0.80)}.items()
    }
    none = {name: np.zeros(rows, dtype=bool) for name in ("negation", "ambiguity", "long")}
    toy = Suite("toy", np.array(["a", "b"] * (rows // 2)), np.arange(rows), none, False, correct)
    said, reason = verdict(compare([toy], SETTINGS, {"steady": 1, "fickle": 1}), "fickle", "steady")
    assert said == "inconclusive"
    assert re.fullmatch(r"too few seeds to tell: about \d+ each would show \d\.\d points", reason), reason


def test_rows_become_a_suite_by_model_and_seed() -> None:
    table = pd.DataFrame(
        {
            "label": ["entailment", "neutral"],
            "group": ["g", "g"],
            "cell": ["", ""],
            "negation": ["both", ""],
            "ambiguity": ["", ""],
            "long": ["", "premise"],
            "arm/1": [True, False],
            "arm/2": [True, True],
        }
    )
    toy = suite_from_rows("toy", table, ["arm"], [1, 2])
    assert toy.correct["arm"].tolist() == [[True, False], [True, True]]
    assert toy.groups.tolist() == [0, 0] and not toy.has_cells
    assert toy.slices["negation"].tolist() == [True, False]


def predictions(gold: list[str], skill: float, seed: int) -> Answers:
    random = np.random.default_rng(seed)
    said = [label if random.random() < skill else random.choice(THREE_WAY) for label in gold]
    return Answers(np.eye(3)[[THREE_WAY.index(label) for label in said]] * 0.8 + 0.1, THREE_WAY)


@pytest.mark.parametrize("order", list(itertools.permutations(THREE_WAY)))
def test_the_guard_sees_every_permutation_and_no_other(order: tuple[str, ...]) -> None:
    truth = np.random.default_rng(0).choice(THREE_WAY, 600).tolist()
    declared = [dict(zip(THREE_WAY, order, strict=True))[label] for label in truth]
    rows = pd.DataFrame({"label": declared})
    found = guard(rows, {"a": predictions(truth, 0.4, 1), "b": predictions(truth, 0.3, 2)})
    assert (found["z"] > 4) == (order != THREE_WAY)
    if order != THREE_WAY:
        assert {theirs: ours for ours, theirs in found["mapping"].items()} == dict(zip(THREE_WAY, order, strict=True))
        assert "look permuted" in guard_message("toy", found)


def blame(suites: dict[str, dict[str, str]], skill: float = 0.6) -> tuple[str, list[str]]:
    """What the guard says of the suite `a`, and whom it finds permuted; suite -> model -> how its answers are renamed.

    A renaming is a permutation of the letters enc, which stand for our labels in their order.
    """
    by_suite, pooled = {}, {}
    for number, (suite, models) in enumerate(suites.items()):
        truth = np.random.default_rng(number).choice(THREE_WAY, 600).tolist()
        answers = {}
        for place, (model, order) in enumerate(models.items()):
            said = predictions(truth, skill, 10 * number + place)
            answers[model, 1] = Answers(said.probabilities[:, ["enc".index(letter) for letter in order]], THREE_WAY)
        rows = pd.DataFrame({"label": truth})
        by_suite[suite] = guard_models(rows, answers)
        pooled[suite] = guard(rows, {model: part for (model, _), part in answers.items()})
    return blamed("a", pooled["a"], by_suite, 4.0), list(permuted_models(by_suite, 4.0))


def test_a_permuted_model_and_a_permuted_suite_are_told_apart() -> None:
    """A suite whose labels are renamed shifts all models' answers alike, on itself alone."""
    said, models = blame({"a": {"x": "cen", "y": "cen"}, "b": {"x": "enc", "y": "enc"}})
    assert said.startswith("suite 'a': its labels look permuted") and "the same models answer b as declared" in said
    assert "conf/datasets.yaml" in said and models == []
    said, models = blame({"a": {"x": "cen", "y": "enc"}, "b": {"x": "cen", "y": "enc"}}, skill=0.7)
    assert said.startswith("model 'x': the labels look permuted on every suite that is read (a, b)")
    assert "train.labels" in said and "conf/datasets.yaml" not in said and models == ["x"]
    said, models = blame({"a": {"x": "cen", "y": "cen"}, "b": {"x": "cen", "y": "cen"}})
    assert said.startswith("models 'x', 'y': the labels look permuted on every suite") and models == ["x", "y"]
    said, models = blame({"a": {"x": "cen", "y": "enc"}, "b": {"y": "enc"}})
    assert said.startswith("model 'x': the labels look permuted on the suite (a)") and "y answers a as declared" in said
    said, models = blame({"a": {"x": "cen", "y": "cen"}})
    assert said.startswith("suite 'a': its labels look permuted") and "one suite cannot tell" in said and models == []
    said, models = blame({"a": {"x": "cen", "y": "cen"}, "b": {"x": "nec", "y": "nec"}})
    assert said.startswith("suite 'a'") and models == []  # two suites, each in its own way


@pytest.mark.parametrize("fault", ["none", "model", "models", "suite"])
def test_the_stage_says_whose_labels_are_permuted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"suites": ["s1", "s2"], "models": ["raw", "corrected"], "arms": ["raw", "corrected"]}
    params |= {"two_step": {}, "harden": {}, "seeds": [1]}
    params["attack"] |= {"suites": [], "recipes": [], "victims": [], "readers": []}
    write_text(tmp_path / "params.yaml", yaml.safe_dump(params))
    (tmp_path / "read").mkdir()
    tables: dict[str, list[pd.DataFrame]] = {"raw": [], "corrected": []}
    for number, suite in enumerate(params["suites"]):
        truth = np.random.default_rng(number).choice(THREE_WAY, 400).tolist()
        rows = pd.DataFrame(
            {"id": [f"r{row}" for row in range(400)], "premise": "P.", "hypothesis": "H.", "label": truth}
        )
        rows = rows.assign(task="nli", group=rows["id"], cell="")
        turned = [THREE_WAY[(THREE_WAY.index(label) + 1) % 3] for label in truth]
        write_table(
            tmp_path / f"suites/{suite}.parquet", rows.assign(label=turned) if (fault, number) == ("suite", 0) else rows
        )
        write_json(tmp_path / f"cards/{suite}.json", {"adversarial": False, "metric": "accuracy"})
        for place, model in enumerate(tables):
            said = predictions(truth, 0.7, 10 * number + place).probabilities
            off = fault == "models" or (fault, model) == ("model", "raw")
            columns = dict(zip(THREE_WAY, said[:, [1, 2, 0] if off else [0, 1, 2]].T, strict=True))
            tables[model].append(rows[["id"]].assign(suite=suite, seed=1, **columns))
    for model, parts in tables.items():
        write_table(tmp_path / f"predictions/{model}.parquet", pd.concat(parts, ignore_index=True))
    given = [Path(name) for name in ("predictions", "suites", "cards", "attacked", "read", "s.json", "rows", "a.json")]
    if fault in ("none", "model"):
        score_stage.main(*given)
        warning = "warning: model 'raw': the labels look permuted on every suite that is read (s1, s2)"
        assert (warning in capsys.readouterr().out) == (fault == "model")
    else:
        whose = {
            "models": "^models 'raw', 'corrected': the labels look permuted",
            "suite": "^suite 's1': its labels look",
        }
        with pytest.raises(UserError, match=whose[fault]):
            score_stage.main(*given)


def test_the_guard_is_indifferent_to_a_model_of_one_answer_and_to_chance() -> None:
    gold = ["entailment"] * 500 + ["neutral"] * 60 + ["contradiction"] * 40
    always = np.tile([0.8, 0.1, 0.1], (600, 1))
    chance = np.random.default_rng(5).dirichlet([1, 1, 1], 600)
    assert guard(pd.DataFrame({"label": gold}), {"always": Answers(always, THREE_WAY)})["z"] < 4
    assert guard(pd.DataFrame({"label": gold}), {"chance": Answers(chance, THREE_WAY)})["z"] < 4


def test_slices_match_words_and_name_the_side() -> None:
    rows = pd.DataFrame(
        {
            "premise": ["Nothing moved.", "The knot is notable.", "He can't stay.", " ".join(["word"] * 21)],
            "hypothesis": ["It did not move.", "A notary came.", "He stays.", "It may rain."],
        }
    )
    found = slices(rows, long_words=20)
    assert found["negation"].tolist() == ["both", "", "premise", ""]
    assert found["ambiguity"].tolist() == ["", "", "", "hypothesis"]
    assert found["long"].tolist() == ["", "", "", "premise"]


def test_a_win_that_one_label_for_every_row_would_have_too_is_marked() -> None:
    gold = np.array(["true"] * 640 + ["false"] * 360)
    always, poor = np.tile(gold == "true", (3, 1)), np.tile(np.arange(1000) % 2 == 0, (3, 1))
    good = np.tile(np.arange(1000) % 5 != 0, (3, 1))
    groups = np.arange(1000, dtype=np.int64)
    toy = Suite("toy", gold, groups, {}, False, {"poor": poor, "always": always, "good": good})
    found = compare([toy], CompareSettings(), dict.fromkeys(("poor", "always", "good"), 1))["pairs"]
    assert {(pair["model"], pair["baseline"]): (pair["verdict"], pair["one_label"]) for pair in found} == {
        ("always", "poor"): ("better", True),
        ("good", "poor"): ("better", False),
        ("good", "always"): ("better", False),
    }
