"""Artefacts and entities: planted shortcuts are found, what is none is not, and figures as worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from nlilab.analysis.artefacts import artefacts, pmi
from nlilab.analysis.entities import (
    LIST,
    Gazetteer,
    Mention,
    divergence,
    entities,
    gazetteer,
    open_backend,
)
from nlilab.analysis.sampling import deal, labelled_pairs, sample
from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.core.params import read_yaml, validate
from nlilab.core.schema import THREE_WAY

WORDS = dict(zip(THREE_WAY, ("outdoors", "tall", "nobody"), strict=True))


def table(premises: int, leaking: float) -> pd.DataFrame:
    """Three rows to a premise, one of each label; a share of the hypotheses holds its label's word."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(premises):
        for label in THREE_WAY:
            said = WORDS[label if random.random() < leaking else str(random.choice(THREE_WAY))]
            rows.append(
                (f"premise {number} has words {number % 7}", f"{said} things {number % 5}", label, f"g{number}")
            )
    out = pd.DataFrame(rows, columns=["premise", "hypothesis", "label", "group"])
    return out.assign(id=[str(number) for number in range(len(out))])


def test_one_side_tells_what_was_planted_in_it_and_no_more() -> None:
    found = artefacts(table(200, leaking=0.6), [90, 300, 5000], 50, 0)["sizes"]
    assert list(found) == ["90", "300", "all"] and [found[size]["rows"] for size in found] == [90, 300, 600]
    whole = found["all"]
    told = 0.6 + 0.4 / 3  # a third of the words drawn at random are right as well
    assert whole["hypothesis_only"]["low"] < told < whole["hypothesis_only"]["high"]
    assert whole["premise_only"]["value"] < 0.4 and whole["majority"] == pytest.approx(1 / 3, abs=1e-6)
    blind = artefacts(table(200, leaking=0.0), [], 50, 0)["sizes"]["all"]["hypothesis_only"]
    assert blind["low"] < 0.36


def test_the_same_rows_give_the_same_figures() -> None:
    rows = table(60, leaking=0.5)
    assert artefacts(rows, [90], 20, 0) == artefacts(rows, [90], 20, 0)


def test_snli_is_told_from_the_hypothesis_by_the_words_that_are_known_for_it(real_data: Path) -> None:
    """Gururangan et al. (2018): 67 % by fastText trained on 550,000 rows; here 2,400, and more the more rows."""
    rows = pd.read_json(real_data / "snli_dev.jsonl", lines=True)
    rows = rows.assign(group=rows["premise"].map(digest))
    found = artefacts(sample(rows, 3000, 0), [300], 50, 0)
    few, many = found["sizes"]["300"]["hypothesis_only"], found["sizes"]["all"]["hypothesis_only"]
    assert few["value"] < many["low"] and 0.52 < many["value"] < 0.67
    assert found["sizes"]["all"]["premise_only"]["value"] < 0.36
    listed = {label: {entry["word"] for entry in found["pmi"][label]} for label in THREE_WAY}
    assert listed["contradiction"] >= {"sleeping", "alone"} and "outside" in listed["entailment"]
    assert listed["neutral"] & {"tall", "for", "because", "competition", "friend"}
    overlap = {label: found["overlap"][label]["mean"]["value"] for label in THREE_WAY}
    assert overlap["entailment"] > overlap["neutral"] and overlap["entailment"] > overlap["contradiction"]


def test_pmi_as_worked_out_by_hand() -> None:
    said = [["no", "no", "dog"]] * 6 + [["dog"]] * 3 + [["cat"]] * 4 + [["dog"]] * 3
    labels = pd.Series(["contradiction"] * 8 + ["entailment"] * 8)
    found = pmi(said, labels)
    # "no": in 6 hypotheses, all contradictions: log2(((6 + 10 / 2) / (6 + 10)) / (1 / 2)); "cat": in fewer than 5
    assert found["contradiction"][0] == {
        "word": "no",
        "pmi": round(float(np.log2(11 / 8)), 6),
        "count": 6,
        "share": 1.0,
    }
    # "dog": 8 of 12 are contradictions: log2((8 + 5) / 22 / (1 / 2))
    assert found["contradiction"][1]["pmi"] == round(float(np.log2(13 / 11)), 6)
    assert found["contradiction"][1]["share"] == round(8 / 12, 6) and found["entailment"] == []


def test_overlap_and_words_by_label() -> None:
    rows = pd.DataFrame(
        {
            "premise": ["A dog runs fast.", "a b c d e f g", "One two"] * 2,
            "hypothesis": ["A dog sleeps.", "A b c, x! y z u v w q", "three"] * 2,
            "label": ["entailment", "entailment", "neutral"] * 2,
            "group": list("abcdef"),
        }
    )
    found = artefacts(rows, [], 20, 0)
    assert found["overlap"]["entailment"]["mean"]["value"] == pytest.approx((2 / 3 + 3 / 10) / 2, abs=1e-6)
    share = found["overlap"]["entailment"]["histogram"]["share"]
    assert share[6] == share[3] == 0.5 and sum(share) == 1
    assert found["words"]["entailment"] == {"premise": 5.5, "hypothesis": 6.5}
    assert found["overlap"]["neutral"]["mean"] == {"value": 0, "low": 0, "high": 0}


def test_what_cannot_be_measured_is_said() -> None:
    rows = table(10, leaking=0.5)
    with pytest.raises(UserError, match="two labels or more, got neutral"):
        artefacts(rows[rows["label"] == "neutral"], [], 20, 0)
    with pytest.raises(UserError, match="5 folds need at least as many premises"):
        artefacts(rows[rows["group"].isin(["g1", "g2"])], [], 20, 0)
    with pytest.raises(UserError, match="no hypothesis of 30 rows has a word"):
        artefacts(rows.assign(hypothesis="..."), [], 20, 0)
    with pytest.raises(UserError, match="curated/x: no column hypothesis"):
        labelled_pairs("curated/x", rows.drop(columns="hypothesis"))
    one_sided = rows.assign(label=["neutral" if group != "g0" else "entailment" for group in rows["group"]])
    assert artefacts(one_sided, [], 20, 0)["sizes"]["all"]["majority"] == 0.9  # a fold knows one label alone


def test_a_sample_keeps_shares_and_premises_whole_and_lies_within_a_larger_one() -> None:
    rows = table(100, leaking=0.5)
    some = sample(rows, 90, 0)
    assert some["label"].value_counts().to_dict() == dict.fromkeys(THREE_WAY, 30) and some["group"].nunique() == 30
    assert set(some["id"]) < set(sample(rows, 150, 0)["id"]) and some.index.is_monotonic_increasing
    assert set(some["id"]) != set(sample(rows, 90, 1)["id"]) and len(sample(rows, 1000, 0)) == 300
    lopsided = sample(pd.concat([rows, rows[rows["label"] == "neutral"]]), 100, 0)["label"].value_counts()
    assert len(sample(rows, 100, 0)) == 100 and lopsided["neutral"] == 50
    fold = deal(rows, 5, 0)
    assert np.bincount(fold).tolist() == [60] * 5
    assert pd.Series(fold).groupby(rows["group"].to_numpy()).nunique().max() == 1


def test_corrected_labels_are_taken_where_there_are_some() -> None:
    rows = table(2, leaking=0.5).drop(columns="group").assign(corrected_label=["neutral"] * 5 + [None])
    found = labelled_pairs("curated/x", rows)
    assert found["label"].tolist() == ["neutral"] * 5 and found["group"].nunique() == 2


@pytest.fixture(scope="module")
def names() -> Gazetteer:
    return validate(read_yaml(LIST), Gazetteer, LIST.name)


def test_names_are_whole_words_the_longest_first_and_capitalised_as_listed(names: Gazetteer) -> None:
    texts = [
        "Nigeria is not Niger, and nigeria is neither.",
        "Two Germans in New  York City met on Sundays.",
        "May she turn the polish may march? In May, Turkey and Polish turkey. “Will Will?”",
        "She wore an iPhone's case in the U.S. on New Year's Eve in Washington, D.C.",
        "xParis Parisx PARIS Paris-born St. Petersburg",
    ]
    found = [[(mention.kind, mention.name) for mention in gazetteer(names)([text])] for text in texts]
    assert found[0] == [("GPE", "nigeria"), ("GPE", "niger")]
    assert found[1] == [("NORP", "german"), ("GPE", "new york city"), ("DATE", "sunday")]
    assert found[2] == [("DATE", "may"), ("GPE", "turkey"), ("NORP", "polish"), ("PERSON", "will")]
    assert [name for _, name in found[3]] == ["iphone", "u.s.", "new year's eve", "washington, d.c."]
    assert found[4] == [("GPE", "paris"), ("GPE", "st. petersburg")]


def test_a_broken_list_of_names_is_said() -> None:
    sound = {"version": 1, "plural": [], "ambiguous": [], "types": {"GPE": [["Oslo"]], "LOC": [["Alps"]]}}
    twice = {**sound, "types": {"GPE": [["Oslo"]], "LOC": [["Oslo"]]}}
    with pytest.raises(UserError, match="'Oslo' stands under GPE and LOC"):
        gazetteer(validate(twice, Gazetteer, "x"))
    with pytest.raises(UserError, match="ambiguous names Rome, which no type lists"):
        gazetteer(validate({**sound, "ambiguous": ["Rome"]}, Gazetteer, "x"))


def about(names: list[str], count: int) -> pd.DataFrame:
    texts = [f"He met {names[number % len(names)]} {number} times." for number in range(count)]
    return pd.DataFrame({"premise": texts, "hypothesis": "Someone met a friend.", "group": map(str, range(count))})


def test_rates_and_divergence_as_worked_out_by_hand() -> None:
    found = entities(about(["Maria", "Kofi"], 40), about(["Maria", "Kenji"], 40), "gazetteer", 50, 0)
    assert found["backend"] == "gazetteer 1" and found["tokens"] == 40 * 5 + 4  # each distinct text once
    person = found["types"]["PERSON"]
    assert person["per_1000"]["value"] == pytest.approx(1000 * 40 / 204, abs=1e-5)
    assert (person["mentions"], person["distinct"], person["top_10_share"]) == (40, 2, 1.0)
    assert dict(person["top"]) == {"maria": 0.5, "kofi": 0.5}
    # halves in common: each of the others' halves has a divergence of a half
    apart = found["jsd"]["PERSON"]
    assert apart["value"] == 0.5 and apart["low"] < 0.5 < apart["high"] and apart["chance"] < 0.1
    assert found["jsd"]["types"]["value"] == 0.0
    assert "jsd" not in entities(about(["Maria"], 10), None, "gazetteer", 20, 0)
    few = entities(about(["Maria"], 4), about(["Oslo"], 40), "gazetteer", 20, 0)["jsd"]
    assert few["PERSON"] == few["GPE"] == dict.fromkeys(("value", "low", "high", "chance"))


def test_two_samples_of_one_source_differ_no_more_than_chance() -> None:
    random = np.random.default_rng(0)
    pool = [name for line in read_yaml(LIST)["types"]["PERSON"] for name in line][:60]
    one, other = (about([str(name) for name in random.choice(pool, 100)], 100) for _ in range(2))
    apart = entities(one, other, "gazetteer", 50, 0)["jsd"]["PERSON"]
    assert apart["value"] > 0.15 and abs(apart["value"] - apart["chance"]) < 0.06


def test_mentions_of_one_premise_are_split_together() -> None:
    """Two premises for each of ten names: in half of all splits both fall to one side; single mentions would mix."""
    counts = csr_array(np.eye(10) * 10)
    found = divergence(counts, counts, 20, 0)
    assert found["value"] == 0 and found["chance"] is not None and found["chance"] > 0.4


def test_spacy_finds_what_its_pipeline_says(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed: pip install spacy")
    pipeline = spacy.blank("en")
    pipeline.meta["name"] = "toy"
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "GPE", "pattern": "Niger"}, {"label": "PERSON", "pattern": "Maria Silva"}])
    pipeline.to_disk(tmp_path / "toy")
    name, find = open_backend(str(tmp_path / "toy"))
    assert name == f"spacy en_toy {pipeline.meta['version']}"
    found = list(find(["Nigeria and Niger", "nothing", "Maria Silva and Maria"]))
    assert found == [Mention(0, "GPE", "niger"), Mention(2, "PERSON", "maria silva")]
    table = entities(about(["Niger", "Maria Silva"], 20), None, str(tmp_path / "toy"), 20, 0)
    assert table["types"]["GPE"]["mentions"] == table["types"]["PERSON"]["mentions"] == 10
    with pytest.raises(UserError, match=r"spaCy cannot load 'no_such_model'.*gazetteer"):
        open_backend("no_such_model")


def test_without_spacy_a_model_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    with pytest.raises(UserError, match="en_core_web_md needs spaCy, which is not installed: pip install spacy"):
        open_backend("en_core_web_md")
