"""Difficulty: planted structure is measured in bits, planted mislabels are flagged, and looking changes no training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nlilab.analysis.difficulty import PVI_EDGES, Difficulty, data_map, difficulty, region
from nlilab.analysis.settings import DifficultySettings
from nlilab.core import params
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_table, sha256, write_json, write_table
from nlilab.core.schema import THREE_WAY
from nlilab.model.trainer import cross_fit
from nlilab.stages.difficulty import main
from nlilab.tasks.reading import Reading
from tiny import save_checkpoint

NLI = Reading(tasks={"nli": list(THREE_WAY)})
WORDS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}


def toy(count: int) -> pd.DataFrame:
    """Rows whose hypothesis names the label; premises say nothing of it."""
    labels = [THREE_WAY[number % 3] for number in range(count)]
    return pd.DataFrame(
        {
            "id": [f"r{number}" for number in range(count)],
            "premise": [f"sentence {'word ' * (number // 3 % 3)}" for number in range(count)],
            "hypothesis": [f"{WORDS[label]} {WORDS[label]}" for label in labels],
            "label": labels,
            "task": "nli",
            "group": [f"g{number // 3}" for number in range(count)],
        }
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DifficultySettings:
    """A BERT of two layers, and a vocabulary of the toy's words alone: learns in 30 steps."""
    folder, texts = tmp_path_factory.mktemp("tiny"), toy(12)[["premise", "hypothesis"]].to_numpy().ravel()
    save_checkpoint("bert", folder, texts.tolist())
    training: dict[str, Any] = {"model": str(folder), "steps": 30, "batch_size": 16, "learning_rate": 0.003}
    return DifficultySettings.model_validate({"rows": 120, "checkpoints": 3, "classifier": training})


def measure(rows: pd.DataFrame, settings: DifficultySettings) -> Difficulty:
    return difficulty(rows, settings, NLI, lambda done, total: None)


@pytest.fixture(scope="module")
def planted(settings: DifficultySettings) -> tuple[Difficulty, "pd.Series[bool]"]:
    """One label in ten is wrong."""
    rows = toy(240)
    wrong = pd.Series(np.arange(240) % 10 == 0)
    other = {label: THREE_WAY[(number + 1) % 3] for number, label in enumerate(THREE_WAY)}
    rows["label"] = rows["label"].where(~wrong, rows["label"].map(other))
    return measure(rows, settings.model_copy(update={"rows": 1000})), wrong


def test_bits_lie_where_they_were_planted(planted: tuple[Difficulty, "pd.Series[bool]"]) -> None:
    found, wrong = planted
    facts, right = found.facts, found.rows[~wrong]
    assert (facts["rows"], facts["asked"], facts["labels"]) == (240, 1000, list(THREE_WAY))
    assert facts["entropy"] == pytest.approx(np.log2(3), abs=0.05)
    # Of log2(3) = 1.58 bits, what a model that expects one label in ten to be wrong can be sure of: 0.9 at most
    assert right["pvi_hypothesis"].mean() > 0.8 and right["pvi"].mean() > 0.8
    assert abs(facts["v_information"]["premise"]["value"]) < 0.1 and facts["v_information"]["hypothesis"]["low"] > 0.4
    assert facts["accuracy"]["hypothesis"]["value"] > 0.8 and facts["accuracy"]["nothing"]["value"] < 0.45
    share = found.rows["label"].value_counts(normalize=True)
    weighted = sum(facts["by_label"][label]["value"] * share[label] for label in THREE_WAY)
    assert weighted == pytest.approx(facts["v_information"]["pair"]["value"], abs=1e-4)


def test_labels_at_random_hold_no_information(settings: DifficultySettings) -> None:
    rows = toy(120).assign(label=np.random.default_rng(0).choice(THREE_WAY, 120))
    few = settings.classifier.model_copy(update={"steps": 10})
    reports: list[tuple[int, int]] = []
    quick = settings.model_copy(update={"classifier": few})
    facts = difficulty(rows, quick, NLI, lambda done, total: reports.append((done, total))).facts
    assert reports == [(done, 8) for done in range(1, 9)]
    assert all(facts["v_information"][view]["value"] < 0.05 for view in ("pair", "hypothesis", "premise"))
    assert facts["negative"] > 0.3


def test_planted_mislabels_are_flagged_and_lowest(planted: tuple[Difficulty, "pd.Series[bool]"]) -> None:
    found, wrong = planted
    flagged = found.rows["flagged"].to_numpy()
    assert (flagged & wrong).sum() / wrong.sum() > 0.9 and (flagged & wrong).sum() / flagged.sum() > 0.9
    lowest = found.rows["pvi"].to_numpy().argsort(kind="stable")[: wrong.sum()]
    assert wrong[lowest].mean() > 0.9 and (found.rows["pvi"][wrong] < 0).mean() > 0.9
    assert found.facts["noise"] == {"flagged": int(flagged.sum()), "share": round(float(flagged.mean()), 6)}
    clean = found.rows["predicted"].to_numpy()[~wrong] == found.rows["label"].to_numpy()[~wrong]
    assert clean.mean() > 0.9


def test_wrong_rows_are_hard_and_the_others_easy(planted: tuple[Difficulty, "pd.Series[bool]"]) -> None:
    found, wrong = planted
    regions = region(found.rows)
    assert (regions[~wrong] == "easy").mean() > 0.9 and (regions[wrong] == "hard").mean() > 0.8
    facts = found.facts["cartography"]
    assert sum(facts["regions"].values()) == len(facts["points"]) == 240
    variability, confidence, correctness, label = facts["points"][1]
    row = found.rows.iloc[1]
    assert (variability, confidence) == (round(row["variability"], 4), round(row["confidence"], 4))
    assert row["correctness"] == pytest.approx(correctness, abs=1e-4) and THREE_WAY[label] == row["label"]


def test_the_examples_are_the_hardest_the_flagged_and_some_others(
    planted: tuple[Difficulty, "pd.Series[bool]"],
) -> None:
    found, _ = planted
    shown = found.facts["examples"]
    assert len(shown) == 150 and [row["pvi"] for row in shown] == sorted(row["pvi"] for row in shown)
    lowest = found.rows.nsmallest(50, "pvi")["id"]
    assert set(lowest) | set(found.rows["id"][found.rows["flagged"]]) <= {row["id"] for row in shown}
    counts = found.facts["pvi"]["counts"]
    assert sum(map(sum, counts.values())) == 240 and {len(own) + 1 for own in counts.values()} == {len(PVI_EDGES)}


def test_the_data_map_as_worked_out_by_hand() -> None:
    on_the_way = np.array([[[0.2, 0.8], [0.9, 0.1]], [[0.6, 0.4], [0.5, 0.5]]])  # 2 points, 2 rows, 2 labels
    found = data_map(on_the_way, np.array([0, 1]))
    assert np.allclose(found["confidence"], [0.4, 0.3]) and np.allclose(found["variability"], [0.2, 0.2])
    assert np.allclose(found["correctness"], [0.5, 0.0])
    rows = pd.DataFrame({"variability": [0.2, 0.1, 0.1], "confidence": [0.9, 0.5, 0.49]})
    assert region(rows).tolist() == ["ambiguous", "easy", "hard"]


def test_to_look_at_training_changes_none_and_never_sees_the_held_out(settings: DifficultySettings) -> None:
    training = settings.classifier.model_copy(update={"steps": 20})
    blind = cross_fit(toy(90), training, 3, 0, NLI)
    seen = cross_fit(toy(90), training, 3, 0, NLI, points=4)
    assert (blind.held_out == seen.held_out).all() and blind.on_the_way.shape == (0, 90, 3)
    assert np.allclose(seen.on_the_way.sum(axis=2), 1, atol=1e-5)  # each row: the mean of the two models that saw it
    gold = seen.on_the_way[:, np.arange(90), np.arange(90) % 3].mean(axis=1)
    assert gold[0] < gold[-1]


def test_a_model_that_sees_nothing_gives_every_row_the_same(settings: DifficultySettings) -> None:
    found = cross_fit(toy(30), settings.classifier, 2, 0, NLI.model_copy(update={"view": "nothing"})).held_out
    assert len(np.unique(found.round(5), axis=0)) <= 2  # one for each fold


def test_the_stage_writes_the_same_bytes_twice(
    settings: DifficultySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(params.SECTIONS, "difficulty", "nlilab.analysis.settings:DifficultySettings")
    quick = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"steps": 5})})
    write_table(Path("rows.parquet"), toy(60).assign(corrected_label=lambda rows: rows["label"], generator="toy"))
    write_json(Path("reading.json"), NLI.model_dump())
    Path("params.yaml").write_text(f"difficulty: {quick.model_dump_json()}\n", encoding="utf-8")
    for name in "ab":
        main("curated/nli/toy", *map(Path, ("rows.parquet", "reading.json", f"{name}.parquet", f"{name}.json")))
    assert sha256(Path("a.parquet")) == sha256(Path("b.parquet")) and sha256(Path("a.json")) == sha256(Path("b.json"))
    facts, table = read_json(Path("a.json")), read_table(Path("a.parquet"))
    assert (facts["set"], facts["task"], facts["rows"], facts["asked"]) == ("curated/nli/toy", "nli", 60, 120)
    assert facts["examples"][0]["generator"] == "toy" and table["id"].tolist() == toy(60)["id"].tolist()


def test_what_cannot_be_measured_is_said(settings: DifficultySettings) -> None:
    rows = toy(30)
    one = Reading(tasks={"nli": ["neutral"]})
    with pytest.raises(UserError, match="two labels or more, got neutral alone"):
        difficulty(rows[rows["label"] == "neutral"], settings, one, lambda done, total: None)
    with pytest.raises(UserError, match="2 folds need at least as many groups, got 1"):
        measure(rows.assign(group="g"), settings)
