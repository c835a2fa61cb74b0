"""Hardening and what is said of a suite under attack: ratios, FreeLB, planted losses that have to be found again."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from loopback import Loopback
from nlilab.core.errors import UserError
from nlilab.core.files import read_json, read_table, write_json, write_table
from nlilab.core.schema import THREE_WAY
from nlilab.model.harden import hardening_rows
from nlilab.model.settings import FreeLb, TrainSettings
from nlilab.model.trainer import train
from nlilab.stages import attack as attack_stage
from nlilab.stages import harden as harden_stage
from nlilab.stages import pick as pick_stage
from nlilab.tasks.reading import Reading
from nlilab.verdict.compare import CompareSettings, Suite, compare, under_attack
from nlilab.verdict.robustness import Attacked, facts, gallery, scored
from nlilab.verdict.suites import Answers, slices
from nlilab.writing.judging import REFUSED

ROOT = Path(__file__).parent.parent
NLI = Reading(tasks={"nli": list(THREE_WAY)})
SETTINGS = CompareSettings()


def pairs(count: int, mark: str = "") -> pd.DataFrame:
    labels = [THREE_WAY[number % 3] for number in range(count)]
    return pd.DataFrame(
        {
            "id": [f"row-{number}{mark}" for number in range(count)],
            "premise": [f"A man walks {'slowly ' * (number % 4)}home." for number in range(count)],
            "hypothesis": [f"{label} {mark}" for label in labels],
            "label": labels,
            "task": "nli",
        }
    )


@pytest.mark.parametrize(
    ("clean", "made", "ratio", "expected"),
    [
        (90, 30, 1.0, (30, 30)),
        (90, 30, 0.25, (90, 22)),
        (30, 90, 1.0, (30, 30)),
        (30, 90, 2.0, (30, 60)),
        (9, 0, 1, (9, 0)),
    ],
)
def test_clean_and_adversarial_rows_stand_in_the_ratio_asked_for(
    clean: int, made: int, ratio: float, expected: tuple[int, int]
) -> None:
    table = hardening_rows(pairs(clean), pairs(made, "~mask"), ratio)
    adversarial = int(table["id"].str.endswith("~mask").sum())
    assert (len(table) - adversarial, adversarial) == expected
    assert table["id"].is_unique
    again = hardening_rows(pairs(clean).iloc[::-1], pairs(made, "~mask").iloc[::-1], ratio)
    assert table["id"].tolist() == again["id"].tolist()


@pytest.fixture(scope="module")
def still(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder without dropout: two passes over one batch differ in the perturbation alone."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("still")
    model = AutoModel.from_pretrained(tiny_encoder)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    return folder


def test_freelb_without_ascent_is_plain_training_and_with_it_raises_the_loss(still: Path, tmp_path: Path) -> None:
    settings = TrainSettings(model=str(still), steps=6, batch_size=8, learning_rate=0.005, precision="fp32")
    none = FreeLb(paper="", method="freelb", ascents=1, start=0.0, step_size=0.1, limit=1.0)
    plain = train(pairs(48), settings, 1, tmp_path / "plain", NLI)
    idle = train(pairs(48), settings, 1, tmp_path / "idle", NLI, adversary=none)
    up = train(pairs(48), settings, 1, tmp_path / "up", NLI, adversary=none.model_copy(update={"ascents": 3}))
    again = train(pairs(48), settings, 1, tmp_path / "again", NLI, adversary=none.model_copy(update={"ascents": 3}))
    assert idle.losses == plain.losses and up.losses == again.losses
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("plain", "idle", "up")]
    assert all(np.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in weights[0])
    assert not all(np.allclose(weights[0][name], weights[2][name], atol=1e-6) for name in weights[0])
    assert up.losses[0]["loss"] > plain.losses[0]["loss"]


def suite(name: str, accuracy: dict[str, list[float]], rows: int = 900) -> Suite:
    """A suite on which each model is right on exactly these shares of rows, one share for each seed."""
    correct = {
        model: np.stack(
            [np.random.default_rng([seed, 7]).permutation(rows) < share * rows for seed, share in enumerate(of)]
        )
        for model, of in accuracy.items()
    }
    gold = np.array([THREE_WAY[row % 3] for row in range(rows)])
    return Suite(name, gold, np.arange(rows, dtype=np.int64), {}, False, correct)


def test_what_an_attack_takes_and_hardening_wins_back_is_found_again() -> None:
    clean = suite("s@clean", {"base": [0.80, 0.81, 0.79], "hard": [0.79, 0.80, 0.78], "calm": [0.5, 0.5, 0.5]})
    hit = suite("s@mask", {"base": [0.50, 0.51, 0.49], "hard": [0.70, 0.71, 0.69], "calm": [0.5, 0.5, 0.5]})
    found = under_attack(clean, hit, {"hard": "base", "calm-vs-mask": "calm"}, SETTINGS)
    assert found["base"]["lost"]["value"] == pytest.approx(0.3, abs=0.002)
    won = found["hard"]["won_back"]
    assert won["value"] == pytest.approx(2 / 3, abs=0.01) and won["low"] < won["value"] < won["high"]
    assert found["hard"]["clean_cost"]["value"] == pytest.approx(0.01, abs=0.002)
    calm = replace(hit, correct={"calm": hit.correct["calm"], "calm-vs-mask": hit.correct["calm"]})
    nothing = under_attack(
        replace(clean, correct={"calm": clean.correct["calm"], "calm-vs-mask": clean.correct["calm"]}),
        calm,
        {"calm-vs-mask": "calm"},
        SETTINGS,
    )
    assert nothing["calm-vs-mask"]["won_back"] is None


def test_clean_and_attacked_answers_come_from_the_same_trainings() -> None:
    """Seeds that differ by 40 points but all lose 10 leave no doubt about the loss."""
    shares = [0.9, 0.7, 0.5]
    found = under_attack(
        suite("s@clean", {"base": shares}), suite("s@mask", {"base": [share - 0.1 for share in shares]}), {}, SETTINGS
    )["base"]
    assert found["clean"]["high"] - found["clean"]["low"] > 0.2
    assert found["lost"]["high"] - found["lost"]["low"] < 0.06


def test_a_contaminated_pair_gets_no_verdict() -> None:
    toy = suite("s", {"a": [0.5, 0.5, 0.5], "a-vs-mask": [0.9, 0.9, 0.9]})
    steps = {"a": 1, "a-vs-mask": 2}
    assert compare([toy], SETTINGS, steps)["pairs"][0]["verdict"] == "better"
    record = compare([toy], SETTINGS, steps, {("a-vs-mask", "s")})["pairs"][0]
    assert record["verdict"] == "inconclusive" and record["reason"].startswith("contaminated")


def answers(*labels: str) -> Answers:
    return Answers(np.eye(3)[[THREE_WAY.index(label) for label in labels]] * 0.7 + 0.1, THREE_WAY)


E, N, C = THREE_WAY


@pytest.fixture
def attacked() -> Attacked:
    """Four rows; the victim is right on three, loses two of these, and the judge accepts one of the two."""
    rows = pd.DataFrame(
        {
            "id": ["1", "2", "3", "4"],
            "premise": ["p"] * 4,
            "hypothesis": ["a b"] * 4,
            "label": [E, N, C, C],
            "group": ["g"] * 4,
            "cell": [""] * 4,
        }
    )
    texts = rows.assign(original="a b", hypothesis="a [MASK]", changes='[[2, 8, "b"]]', reason="")
    return Attacked(
        suite="s",
        recipe="mask",
        rows=rows,
        sides=slices(rows, 20),
        texts={("v", 1): texts},
        clean={("v", 1): answers(E, N, C, E), ("j", 1): answers(E, N, C, C)},
        own={("v", 1): answers(E, C, E, E)},
        read={("v", "v", 1): answers(E, C, E, E), ("v", "j", 1): answers(E, N, E, E)},
        judge="j",
    )


def test_success_counts_rows_that_were_right_and_the_judge_says_which_perturbations_count(attacked: Attacked) -> None:
    found = facts(attacked, ["v"], ["v", "j"], [1])
    of_victim = found["victims"]["v"]["1"]
    assert of_victim["clean"] == 0.75 and of_victim["attacked"] == 0.25
    assert of_victim["success"] == pytest.approx(2 / 3) and of_victim["success_judged"] == pytest.approx(1 / 3)
    assert of_victim["kept"] == 0.5 and of_victim["kept_originals"] == 1.0
    assert of_victim["attacked_judged"] == 0.5  # row 3's perturbation broke the label, so the row counts as it was
    assert found["transfer"]["v"] == {"v": 0.25, "j": 0.5}
    before, strict = scored(attacked, ["v"], [1], validate=True)
    _, plain = scored(attacked, ["v"], [1], validate=False)
    assert before["v"]["1"]["accuracy"] == 0.75
    assert strict["v"]["1"]["accuracy"] == 0.5 and plain["v"]["1"]["accuracy"] == 0.25


def test_the_gallery_shows_what_was_right_before_and_wrong_after(attacked: Attacked) -> None:
    shown = gallery(attacked, ["v"], 1)
    assert [(item["label"], item["judge_agrees"]) for item in shown] == [(N, True), (C, False)]
    assert shown[0]["changes"] == [[2, 8, "b"]] and shown[0]["hypothesis"][2:8] == "[MASK]"
    alone = replace(attacked, read={("v", "v", 1): attacked.read["v", "v", 1]})
    assert gallery(alone, ["v"], 1)[0]["judge_agrees"] is None
    assert facts(alone, ["v"], ["v"], [1])["victims"]["v"]["1"]["kept"] is None


def test_the_published_protocol_takes_rows_of_the_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "arm.parquet", pairs(30))
    write_table(tmp_path / "suites/held-out.parquet", pairs(30, "-suite"))
    write_json(tmp_path / "arm.json", NLI.model_dump())
    files = [tmp_path / name for name in ("arm.parquet", "arm.json", "suites", "out.parquet")]
    taken = {}
    for protocol in ("clean", "as_published"):
        params["attack"] |= {"protocol": protocol, "n_per_class": 4}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        pick_stage.main(*files)
        taken[protocol] = read_table(tmp_path / "out.parquet")
        assert taken[protocol]["label"].value_counts().tolist() == [4, 4, 4]
    assert not taken["clean"]["id"].str.startswith("held-out/").any()
    assert taken["as_published"]["id"].str.startswith("held-out/").all()
    two_way = pairs(10).assign(label=["entailment", "non-entailment"] * 5)
    write_table(tmp_path / "suites/held-out.parquet", two_way)
    with pytest.raises(UserError, match="suites with the arm's labels"):
        pick_stage.main(*files)


@pytest.mark.parametrize("judged_by", ["none", "server"])
def test_what_the_judge_refuses_is_dropped_with_its_reason(
    server: Loopback,
    tiny_encoder: Path,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    judged_by: str,
) -> None:
    """A model of another arm, or a generator that finds entailment everywhere, asked over HTTP."""
    tmp_path = workplace
    monkeypatch.setenv("NLILAB_CACHE", str(tmp_path / "cache"))
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    generators = yaml.safe_load((ROOT / "conf/generators.yaml").read_text())
    generators["server"] |= {"base_url": f"{server.url}/v1", "model": "model-a"}
    (tmp_path / "conf/generators.yaml").write_text(yaml.safe_dump(generators))
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"seeds": [1]}
    params["attack"] |= {"validate": True, "judge_generator": judged_by}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    server.answer = lambda prompt: '{"explanation": "so it is", "label": "entailment"}'
    settings = TrainSettings(model=str(tiny_encoder), steps=2, learning_rate=0.001)
    for model in ("victim", "judge"):
        train(pairs(12), settings, 1, tmp_path / model / "1", NLI)
    write_table(tmp_path / "rows.parquet", pairs(12))
    attack_stage.main(
        "gradient-mask", *(tmp_path / name for name in ("rows.parquet", "victim", "judge", "out", "lost", "facts"))
    )
    kept, lost, said = (
        read_table(tmp_path / "out/1.parquet"),
        read_table(tmp_path / "lost"),
        read_json(tmp_path / "facts"),
    )
    assert len(kept) + len(lost) == 12 and set(lost["reason"]) <= {REFUSED}
    assert said["seeds"]["1"]["holds"] == pytest.approx(len(kept) / 12)
    asked = {request["messages"][-1]["content"] for request in server.requests}
    if judged_by == "server":
        assert set(kept["label"]) == {"entailment"} and said["judge"] == "server"
        assert len(asked) == 24 and sum("[MASK]" in prompt for prompt in asked) == 12
    else:
        assert not asked and said["judge"] == params["attack"]["judge"]
    assert (
        kept["hypothesis"].str.contains("[MASK]", regex=False).all() and kept["id"].str.endswith("~gradient-mask").all()
    )


@pytest.mark.parametrize(("how", "total"), [("continue", 2 + 3), ("retrain", 2)])
def test_hardening_goes_on_or_begins_anew(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, total: int
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["train"] |= {"model": str(tiny_encoder), "steps": 2, "batch_size": 8}
    params["harden"] |= {"how": how, "steps": 3}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    train(pairs(12), TrainSettings(model=str(tiny_encoder), steps=2, learning_rate=0.001), 1, tmp_path / "start", NLI)
    write_json(tmp_path / "start.json", {"total_steps": 2})
    write_table(tmp_path / "clean.parquet", pairs(12))
    write_table(tmp_path / "made.parquet", pairs(6, "~mask"))
    files = (tmp_path / name for name in ("start", "start.json", "out", "metrics/corrected-1.json"))
    write_json(tmp_path / "arm.json", NLI.model_dump())
    tables = (tmp_path / "clean.parquet", tmp_path / "arm.json", tmp_path / "made.parquet")
    harden_stage.main("gradient-mask", *tables, 1, *files)
    said = read_json(tmp_path / "metrics/corrected-1.json")
    assert said["total_steps"] == total and (said["rows"], said["adversarial_rows"]) == (12, 6)
    assert load_file(tmp_path / "out/model.safetensors")
