"""Cards and exports: the hub's own libraries read them, no row is lost, nothing secret or hostile gets through."""

import hashlib
import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from nlilab.cli.share import app
from nlilab.core.errors import UserError
from nlilab.core.files import write_json, write_table
from nlilab.core.params import run_settings
from nlilab.core.schema import THREE_WAY
from nlilab.report.cards.data import dataset_card
from nlilab.report.cards.lock import made, scrubbed
from nlilab.report.cards.model import model_card
from nlilab.report.cards.sets import load_set, told
from nlilab.report.export import export
from nlilab.tasks.definition import load_task

HOSTILE = "```\n<script>alert('x')</script>\u202e | `a` [b](http://c) 🙂 \u2028---\n# Mine" + "w" * 10_000
KEY = "sk-secret-1234"
HOME = "/home/somebody"
LABELS = [*THREE_WAY, *THREE_WAY]


def written(generator: str, model: str, corrected: list[str | None]) -> pd.DataFrame:
    """Six rows that a generator wrote, two for each label, with what a judge made of them."""
    prompts = load_task("nli").generate
    return pd.DataFrame(
        {
            "id": [f"{generator}-{number}" for number in range(6)],
            "premise": ["A man sleeps.", HOSTILE] * 3,
            "label": LABELS,
            "hypothesis": [f"He rests, {number}." for number in range(6)],
            "generator": generator,
            "model": model,
            "prompt": [prompts[label].digest for label in LABELS],
            "cost_usd": [0.001, None] * 3,
            "corrected_label": pd.Series(corrected, dtype=object),
            "verdict": ["kept" if new == old else "relabelled" for new, old in zip(corrected, LABELS, strict=True)],
            "explanation": f"overloaded: HTTP 529 of {HOME}/key?{KEY}",
            "judge": "claude",
        }
    )


@pytest.fixture
def run(workplace: Path, tmp_path: Path) -> Path:
    """A run of two generators and a human dataset, mixed into an arm on which one model is trained with two seeds."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "README.md").write_text("---\nlicense: mit\n---\nA base.\n", encoding="utf-8")
    sources: dict[str, Any] = {"nli/grammar": 3, "nli/local": 3, "human": 3}
    lay("params.yaml", tasks=["nli"], generators=["grammar", "local"], datasets=["human"], suites=["hard"])
    lay("params.yaml", sets=[*sources])
    more = {"arms": ["mixed"], "models": ["mixed"], "seeds": [1, 2], "mixtures": {"mixed": {"sources": sources}}}
    lay("params.yaml", **more, train={"model": str(tmp_path / "base"), "steps": 7, "learning_rate": 1e-4})
    local = {"provider": "transformers", "model": f"{HOME}/qwen", "base_url": "http://inner:1", "parameters": {}}
    lay("conf/generators.yaml", grammar={"provider": "grammar", "model": "grammar-1"}, local=local)
    tuned = {"licence": "BSD-3-Clause", "millions": 1, "seen": ["snli"], "source": "x"}
    lay("conf/models.yaml", families={"snli": "SNLI"}, models={"some/tuned": tuned})
    data = {"path": "x.jsonl", "format": "jsonl", "licence": "CC BY-NC 4.0", "source": "Some et al. <b>2020</b>"}
    lay("conf/datasets.yaml", human=data, hard={**data, "licence": "MIT"})

    tables = {
        "nli/grammar": written("grammar", "grammar-1", LABELS[::-1]),
        "nli/local": written("local", f"{HOME}/qwen", [None, *LABELS[1:]]),
    }
    pairs = pd.DataFrame({"id": [f"h{n}" for n in range(6)], "premise": HOSTILE, "hypothesis": "No.", "label": LABELS})
    human = pairs.assign(group="g", cell="", task="nli")
    write_table(Path("data/labelled/human.parquet"), human)
    split = ["train", "train", "dev", "train", "train", "dev"]
    for name, table in [*tables.items(), ("human", human)]:
        if name != "human":
            write_table(Path(f"data/labelled/{name}.parquet"), table)
        write_table(Path(f"data/curated/{name}.parquet"), table.assign(task="nli", group="g", split=split))
        curation = {"rows_in": 9, "rows_out": 6, "rejects": {"exact_duplicate": 1, "too_short": 2}, "splits": {}}
        write_json(Path(f"metrics/curate/{name}.json"), curation)
    verdicts = {"dropped": 0, "kept": 2, "relabelled": 4, "unjudged": 0}
    write_json(Path("metrics/correct/nli/grammar.json"), {"rows": 6, "flip_rate": 4 / 6, "verdicts": verdicts})
    rejects = pd.DataFrame({"reason": [f"auth: HTTP 401 {KEY}", "the answer is empty", f"auth: {HOME}"]})
    write_table(Path("data/generated/nli/grammar.rejects.parquet"), rejects)
    arm = pd.concat([table.head(3).assign(source=name) for name, table in [*tables.items(), ("human", human)]])
    arm = arm[["id", "premise", "hypothesis", "label", "source"]].assign(group="g", task="nli")
    write_table(Path("data/arms/mixed.parquet"), arm.reset_index(drop=True))
    certificate = {"rows": 9, "sources": sources, "label_kind": "corrected", "shuffled": False, "view": "pair"}
    write_json(Path("metrics/arms/mixed.json"), {**certificate, "tasks": {"nli": 9}, "instructions": False})
    two = {"entailment": "entailment", "neutral": "non-entailment", "contradiction": "non-entailment"}
    write_table(Path("data/suites/hard.parquet"), human.assign(label=human["label"].map(two)))
    write_json(Path("metrics/suites/hard.json"), {"rows": 6, "task": "nli", "licence": "MIT", "source": HOSTILE})
    lock(Path("data/curated/nli/local.parquet"))
    return tmp_path


def lay(path: str, **values: Any) -> None:
    """Write keys into a YAML file, beside those that it has."""
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    before = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(yaml.safe_dump(before | values, sort_keys=False), encoding="utf-8")


def lock(path: Path) -> None:
    """A dvc.lock in which a table was curated from generated rows, and an arm mixed from the folder of all such."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    asked = {"local": {"model": f"{HOME}/qwen", "base_url": "http://inner:1", "parameters": {"api_key": KEY, "top": 1}}}
    lay(
        "dvc.lock",
        stages={
            "generate@a": {"params": {"conf/generators.yaml": asked}, "outs": [{"path": "data/generated", "md5": "1"}]},
            "other": {
                "params": {"params.yaml": {"other": 1}},
                "outs": [{"path": "data/gen", "md5": "2"}, {"path": "data/curated-not", "md5": "2"}],
            },
            "curate@a": {
                "deps": [{"path": "data/generated/nli/local.parquet"}],
                "params": {"params.yaml": {"curate": {"dev_share": 0.1}}},
                "outs": [{"path": path.as_posix(), "md5": md5}],
            },
            "mix@a": {"deps": [{"path": "data/curated"}], "outs": [{"path": "data/arms/mixed.parquet", "md5": "3"}]},
        },
    )


def compared() -> None:
    """The comparison of the one model on the one suite."""
    accuracy = {"mean": 0.51, "low": 0.4, "high": 0.6, "seeds": [0.5, 0.52]}
    places = {"hard": {"mixed": accuracy}, "hard@gradient-mask": {"mixed": accuracy | {"mean": 0.3}}}
    found = {"accuracy": places, "confidence": 0.95, "steps": {"mixed": 7}, "contaminated": [["mixed", "hard"]]}
    write_json(Path("metrics/comparison.json"), found | {"attacks": {"hard@gradient-mask": {"rows": 4}}})
    write_json(Path("metrics/scores.json"), {"hard": {"majority": 0.5}})


def opened(folder: Path, run: Path) -> Any:
    return datasets.load_dataset(str(folder), cache_dir=str(run / "cache"))


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_an_export_opens_with_all_rows_their_splits_and_named_labels(run: Path, suffix: str) -> None:
    export(load_set("curated/nli/grammar", run_settings()), run / "out", suffix)
    found = opened(run / "out", run)
    assert {name: len(part) for name, part in found.items()} == {"train": 4, "validation": 2}
    label = found["train"].features["label"]
    assert label.names == list(THREE_WAY)
    rows = pd.concat([part.to_pandas() for part in found.values()]).sort_values("id")
    table = written("grammar", "grammar-1", LABELS[::-1])
    assert [label.int2str(number) for number in rows["label"]] == table["corrected_label"].tolist()
    for column in ("id", "premise", "hypothesis", "prompt"):
        assert rows[column].tolist() == table[column].tolist()
    assert rows["constrained_label"].tolist() == LABELS and rows["cost_usd"].notna().sum() == 3
    assert {path.name for path in run.iterdir() if path.name.startswith(".out")} == set()


def test_every_kind_of_table_keeps_its_rows_and_says_which_labels_it_has(run: Path) -> None:
    settings = run_settings()
    expected = {
        "labelled/nli/local": ("train", THREE_WAY, 6),
        "labelled/human": ("train", THREE_WAY, 6),
        "suites/hard": ("test", ("entailment", "non-entailment"), 6),
        "arms/mixed": ("train", THREE_WAY, 9),
    }
    for name, (split, labels, rows) in expected.items():
        export(load_set(name, settings), run / "out" / name)
        found = opened(run / "out" / name, run)
        assert {key: len(part) for key, part in found.items()} == {split: rows}, name
        assert found[split].features["label"].names == list(labels)
    dropped = opened(run / "out" / "labelled/nli/local", run)["train"]
    assert dropped[0]["label"] is None and [row["label"] for row in dropped][1:] == [1, 2, 0, 1, 2]
    assert "| none: dropped or unjudged | 1 |" in (run / "out/labelled/nli/local/README.md").read_text()


def test_instances_of_other_tasks_become_the_pairs_that_models_read(run: Path) -> None:
    lay("params.yaml", tasks=["nli", "wic"])
    examples = pd.DataFrame(load_task("wic").file.examples).drop(columns="explanation")
    write_table(Path("data/generated/wic/local.parquet"), examples.assign(id=[f"w{n}" for n in range(len(examples))]))
    shared = load_set("generated/wic/local", run_settings())
    first = examples.iloc[0]
    assert shared.rows["premise"].iloc[0] == first["sentence1"] and shared.labels == ["true", "false"]
    assert DatasetCard(dataset_card(shared)).data.task_ids is None


def test_the_front_matter_is_what_the_hub_reads(run: Path) -> None:
    card = DatasetCard(dataset_card(load_set("arms/mixed", run_settings())))
    assert card.data.license == ["cc-by-nc-4.0", "apache-2.0", "other"]
    assert card.data.language == "en" and card.data.size_categories == ["n<1K"]
    assert card.data.task_ids == ["natural-language-inference"] and "synthetic" in card.data.tags
    assert [split["num_examples"] for split in card.data.dataset_info["splits"]] == [9]
    for line in ("human: CC BY-NC 4.0", "nli/grammar: Apache-2.0", "nli/local: the provider's terms apply"):
        assert f"- {line} (" in card.text
    human = DatasetCard(dataset_card(load_set("labelled/human", run_settings())))
    assert human.data.license == "cc-by-nc-4.0" and human.data.tags == ["nlilab"]


def test_a_card_counts_prompts_rejects_flips_and_analyses(run: Path) -> None:
    shared = load_set("curated/nli/grammar", run_settings())
    card = dataset_card(shared)
    prompt = load_task("nli").generate["neutral"].digest
    for line in (
        "| all | 4 | 2 |",
        f"| neutral | {prompt} | tasks/nli/generate/neutral.md | 2 |",
        "| the provider failed (auth) | 2 |",
        "the label was changed in 66.7 % of 6 rows",
        "Curation: 9 rows in, 6 kept.",
        "| too\\_short | 2 |",
        "cost 0.0030 dollars",
        "curated/nli/grammar: not analysed.",
    ):
        assert line in card, line
    assert card == dataset_card(shared)
    alone = {"value": 0.671, "low": 0.65, "high": 0.69}
    pmi = {"contradiction": [{"word": "not", "pmi": 1.2, "count": 9, "share": 0.9}]}
    artefacts = {"sizes": {"all": {"hypothesis_only": alone, "majority": 0.34}}, "pmi": pmi}
    leakage = {"hard": {"exact": 0, "grams": 1, "near": 2, "embedding": 3, "nearest": []}}
    write_json(Path("metrics/analysis/curated/nli/grammar.json"), {"artefacts": artefacts, "leakage": leakage})
    write_json(Path("metrics/difficulty/curated/nli/grammar.json"), {"negative": 0.05, "v_information": None})
    graded = {"rows": 3, "before": {"right": {"value": 2 / 3}}, "after": {"right": None}}
    write_json(Path("metrics/agreement.json"), {"generators": {"nli/grammar": graded, "nli/local": {"rows": 0}}})
    card = dataset_card(shared)
    for line in (
        "people graded 3 rows; the label that they marked is the one asked for in 66.7 % and the one after correction "
        "in – %.",
        "| hypothesis alone (right, %) | 67.1 (65.0 to 69.0) |",
        "| words that lean to contradiction (PMI) | not |",
        "| PVI below 0, % (to reread) | 5.0 |",
        "exactly 0, by 8-grams 1, nearly 2, by embeddings (candidates) 3",
    ):
        assert line in card, line
    assert "not analysed" not in card and "V-information" not in card


def test_nothing_secret_leaves_and_nothing_hostile_is_markup(run: Path) -> None:
    compared()
    settings = run_settings()
    export(load_set("curated/nli/local", settings), run / "out", "jsonl")
    exported = "".join(path.read_text(encoding="utf-8") for path in (run / "out").rglob("*.*")).replace("\\/", "/")
    cards = [dataset_card(load_set(name, settings)) for name in ("curated/nli/grammar", "arms/mixed")]
    cards += [(run / "out" / "README.md").read_text(encoding="utf-8"), model_card("mixed", settings)]
    for text in (exported, *cards):
        assert not any(secret in text for secret in (KEY, HOME, str(run), "inner:1"))
    assert "top: 1" in cards[2] and "api_key: (left out)" in cards[2]
    for card in cards:
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("\n---\n", 1)[1])
        assert "<script" not in html and "<b>2020" not in html and 'href="http://c"' not in html
        assert "<h1>Mine" not in html and "\u202e" not in html and "w" * 3000 not in html


def test_a_model_card_gives_our_accuracies_with_their_intervals(run: Path) -> None:
    compared()
    card = ModelCard(model_card("mixed", run_settings()))
    results = card.data.eval_results
    assert [(one.dataset_name, one.metric_value) for one in results] == [("hard", 0.51), ("hard@gradient-mask", 0.3)]
    assert "0.4000 to 0.6000, contaminated" in results[0].metric_name
    assert card.data.license == "other" and card.data.base_model is None
    for line in (
        "Trained on mixed, from base; answers entailment, neutral and contradiction. One recipe, trained with the "
        "seeds 1, 2; 7 optimiser steps each.",
        "| hard (contaminated) | nli | 6 | 51.0 | 40.0 to 60.0 | 50.0, 52.0 | 50.0 |",
        "| hard@gradient-mask | nli | 4 | 30.0 |",
        "- base model base: mit",
        "| human | 3 | CC BY-NC 4.0 |",
        "hard: not surely better than always giving the most frequent label.",
        "learning_rate: 0.0001",
    ):
        assert line in card.text, line


def test_a_model_card_names_the_arms_own_base_and_models_of_other_sizes(run: Path) -> None:
    compared()
    found = json.loads(Path("metrics/comparison.json").read_text())
    write_json(Path("metrics/comparison.json"), found | {"parameters": {"mixed": 60_506_624, "other": 22_713_600}})
    mixtures = yaml.safe_load(Path("params.yaml").read_text())["mixtures"]
    own = {"model": "google-t5/t5-small", "revision": "v1", "train": {"learning_rate": 3e-4}}
    lay("params.yaml", mixtures={"mixed": mixtures["mixed"] | own})
    card = ModelCard(model_card("mixed", run_settings()))
    assert card.data.base_model == "google-t5/t5-small"
    for line in (
        "from google-t5/t5-small at revision v1 (60.5 million parameters); answers",
        "learning_rate: 0.0003",
        "other (22.7 million): models of the same run have another number of parameters",
    ):
        assert line in card.text, line


def test_a_model_card_says_what_the_base_has_seen(run: Path) -> None:
    compared()
    assert "- Not known what the base base has seen" in model_card("mixed", run_settings())
    lay("params.yaml", train={"model": "some/tuned", "steps": 7, "learning_rate": 1e-4})
    assert "SNLI" not in model_card("mixed", run_settings())
    card = {"rows": 6, "task": "nli", "licence": "MIT", "source": HOSTILE, "family": "snli", "derived": True}
    write_json(Path("metrics/suites/hard.json"), card)
    text = model_card("mixed", run_settings())
    assert "tuned on training pairs of SNLI (made from its sentences: hard)" in text
    assert "- base model some/tuned: BSD-3-Clause" in text


def test_the_lock_is_followed_upstream_by_whole_path_names(run: Path) -> None:
    traced = made("data/arms/mixed.parquet")
    assert traced is not None and (traced.stage, traced.md5) == ("mix@a", "3")
    assert set(traced.params) == {"params.yaml", "conf/generators.yaml"}
    assert traced.params["params.yaml"] == {"curate": {"dev_share": 0.1}}  # not those of the stage `other`
    assert made("data/arms/unknown.parquet") is None
    card = dataset_card(load_set("curated/nli/local", run_settings()))
    assert "`dvc repro curate@a`" in card and "as in dvc.lock" in card
    assert "not the one in dvc.lock, `3`" in dataset_card(load_set("arms/mixed", run_settings()))
    url = "https://me:pw@host/a/b?token=1#c"
    assert scrubbed({"url": url, "max_tokens": 5, "hf_token": "x", "of": [f"{HOME}/a"], "no_key": None}) == {
        **{"url": "https://host/a/b", "max_tokens": 5, "hf_token": "(left out)", "of": ["a"], "no_key": None}
    }
    assert told("rate_limited: slow down") == "the provider failed (rate_limited)" and told("a: b") == "a: b"


def test_mistakes_are_one_line_with_a_remedy(run: Path) -> None:
    settings = run_settings()
    shared = load_set("labelled/human", settings)
    with pytest.raises(UserError, match="did you mean 'curated/nli/grammar'"):
        load_set("curated/nli/gramar", settings)
    with pytest.raises(UserError, match="dvc repro"):
        load_set("generated/nli/grammar", settings)
    with pytest.raises(UserError, match=r"comparison\.json is missing: run `dvc repro`"):
        model_card("mixed", settings)
    write_table(Path("data/arms/mixed.parquet"), pd.read_parquet("data/arms/mixed.parquet").head(0))
    with pytest.raises(UserError, match="no rows"):
        load_set("arms/mixed", settings)
    export(shared, run / "out")
    with pytest.raises(UserError, match="not empty"):
        export(shared, run / "out")
    export(shared, run / "out", "jsonl", force=True)
    assert [path.name for path in (run / "out" / "data").iterdir()] == ["train.jsonl"]
    with pytest.raises(UserError, match="replaces nothing else"):
        export(shared, run, force=True)
    with pytest.raises(UserError, match="is a file"):
        export(shared, run / "params.yaml", force=True)


def test_the_commands(run: Path) -> None:
    compared()
    runner = CliRunner()
    printed = runner.invoke(app, ["card", "curated/nli/grammar"])
    assert printed.exit_code == 0 and printed.output.startswith("---\n")
    assert runner.invoke(app, ["card", "models/mixed", "--out", "card.md"]).exit_code == 0
    assert Path("card.md").read_text(encoding="utf-8") == model_card("mixed", run_settings())
    done = runner.invoke(app, ["export", "curated/nli/grammar", "out", "--format", "jsonl"])
    assert "wrote 6 rows (4 train, 2 validation)" in done.output
    for wrong, remedy in (
        (["card", "model/mixed"], "did you mean 'models/mixed'"),
        (["card", "mixed", "--out", "out"], "is a folder"),
        (["export", "labelled/human", "there", "--format", "json"], "did you mean 'jsonl'"),
    ):
        assert remedy in str(runner.invoke(app, wrong).exception), wrong
