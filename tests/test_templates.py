"""The heuristics suite holds what its header says, and the expander tells a user what to mend."""

import copy
import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from nlilab.core.errors import UserError
from nlilab.datasets.templates import expand

SUITE = Path(__file__).parents[1] / "data" / "embedded" / "heuristics.yaml"
HANS_NOUNS = re.compile(
    r"\b(lawyer|judge|doctor|senator|banker|actor|tourist|secretary|artist|athlete|author|manager|president|professor"
    r"|scientist|student)"
)
TOY: dict[str, Any] = {
    "words": {
        "animal": ["owl", "fox", "hen"],
        "move": [{"past": "ran", "ing": "running"}, {"past": "flew", "ing": "flying"}],
    },
    "pairs_per_subcase": 4,
    "subcases": [
        {
            "heuristic": "lexical_overlap",
            "subcase": "swap",
            "label": "non-entailment",
            "premise": "a {animal1} {move.past} after an {animal2}.",
            "hypothesis": "a {animal2} {move.past} after a {animal1}.",
        }
    ],
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return expand(yaml.safe_load(SUITE.read_text(encoding="utf-8")))


def tokens(sentence: str) -> list[str]:
    return re.findall(r"[\w'-]+", sentence.lower())


def contiguous(row: dict[str, str]) -> bool:
    return f" {' '.join(tokens(row['hypothesis']))} " in f" {' '.join(tokens(row['premise']))} "


def toy(**changes: Any) -> dict[str, Any]:
    """The toy suite with its only subcase changed; None takes a key away."""
    suite = copy.deepcopy(TOY)
    merged = {**suite["subcases"][0], **changes}
    suite["subcases"][0] = {key: value for key, value in merged.items() if value is not None}
    return suite


def test_the_suite_is_balanced_and_large_enough(rows: list[dict[str, str]]) -> None:
    cells = Counter((row["heuristic"], row["label"]) for row in rows)
    subcases = {(row["heuristic"], row["label"], row["subcase"]) for row in rows}
    assert {heuristic for heuristic, _ in cells} == {"lexical_overlap", "subsequence", "constituent"}
    assert len(cells) == 6 and len(set(cells.values())) == 1
    assert min(Counter(subcase[:2] for subcase in subcases).values()) >= 8
    assert set(Counter(row["subcase"] for row in rows).values()) == {20}


def test_every_row_is_a_distinct_whole_sentence_pair(rows: list[dict[str, str]]) -> None:
    assert len({(row["premise"], row["hypothesis"]) for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["id"].startswith(f"{row['heuristic']}.{row['subcase']}.") and row["group"] == row["subcase"]
        for sentence in (row["premise"], row["hypothesis"]):
            assert re.fullmatch(r"[A-Z][\w' ,-]+\.", sentence) and "  " not in sentence, row


def test_each_heuristic_predicts_entailment_for_all_its_rows(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert set(tokens(row["hypothesis"])) <= set(tokens(row["premise"])), row
        assert contiguous(row) == (row["heuristic"] != "lexical_overlap"), row


def test_constituents_stand_where_a_clause_can(rows: list[dict[str, str]]) -> None:
    """A clause is bounded: by the sentence's ends, a comma, or a word that introduces a clause."""
    opens = r"(?:^|, |that |because |although |unless |if |and |or |either |while |case |why |whether |after |though )"
    for row in rows:
        if row["heuristic"] == "constituent":
            clause = re.escape(row["hypothesis"].rstrip(".").lower())
            assert re.search(rf"{opens}{clause}[.,]", row["premise"].lower()), row


def test_words_are_not_those_of_hans(rows: list[dict[str, str]]) -> None:
    assert not [row["premise"] for row in rows if HANS_NOUNS.search(row["premise"].lower())]


def hypothesis_only_accuracy(rows: list[dict[str, str]], groups: list[Any] | None) -> float:
    """Five-fold accuracy of a linear model on the hypothesis's words and word pairs."""
    model = make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    folds = GroupKFold(5) if groups else StratifiedKFold(5, shuffle=True, random_state=0)
    texts, labels = [row["hypothesis"] for row in rows], np.array([row["label"] for row in rows])
    return float(cross_val_score(model, texts, labels, groups=groups, cv=folds).mean())


def test_the_hypothesis_alone_does_not_tell_the_label(rows: list[dict[str, str]]) -> None:
    """Two subcases of opposite label share their hypotheses, so a model trained on one of them errs on the other.

    Grouped by subcase the accuracy therefore falls below chance; grouped by such twos it is chance; with every subcase
    seen in training, where a give-away would help most, it is no better.
    """
    subcases = list(dict.fromkeys(row["subcase"] for row in rows))
    assert hypothesis_only_accuracy(rows, [row["group"] for row in rows]) < 0.6
    assert 0.4 < hypothesis_only_accuracy(rows, [subcases.index(row["subcase"]) // 2 for row in rows]) < 0.6
    assert 0.4 < hypothesis_only_accuracy(rows, None) < 0.6


def test_subcases_come_in_twos_with_the_same_hypotheses() -> None:
    subcases = yaml.safe_load(SUITE.read_text(encoding="utf-8"))["subcases"]
    for first, second in zip(subcases[::2], subcases[1::2], strict=True):
        said = [[pair["hypothesis"] for pair in one.get("templates", [one])] for one in (first, second)]
        assert said[0] == said[1] and first["heuristic"] == second["heuristic"], (first["subcase"], second["subcase"])
        assert [first["label"], second["label"]] == ["entailment", "non-entailment"]


def test_expansion_is_the_same_on_every_machine() -> None:
    text = "\n".join(f"{row['id']}|{row['premise']}|{row['hypothesis']}" for row in expand(TOY))
    assert expand(copy.deepcopy(TOY)) == expand(TOY)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "4626babcb7b3"


def test_slots_articles_and_capitals() -> None:
    rows = expand({**TOY, "pairs_per_subcase": 12})  # 3 * 2 ordered animals, 2 moves: every possible pair
    premises = {row["premise"] for row in rows}
    assert len(premises) == 12
    assert "An owl ran after a fox." in premises and "A hen flew after an owl." in premises
    assert not any(re.search(r"(\w+) (?:ran|flew) after an? \1\b", premise) for premise in premises)


def test_several_templates_take_turns_and_a_bare_slot_is_the_first_form() -> None:
    pair = {"premise": "It {move} and was {move.ing} on.", "hypothesis": "It {move.past}."}
    suite = toy(premise=None, hypothesis=None, templates=[pair, {**pair, "premise": "When it {move}, it {move}."}])
    assert sorted(row["premise"].split()[0] for row in expand(suite)) == ["It", "It", "When", "When"]
    assert {row["hypothesis"] for row in expand(suite)} == {"It ran.", "It flew."}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"premise": "The {anmal1} {move.past}."}, r"swap, slot \{anmal1\}: there is no word list `anmal`"),
        ({"premise": "The {animal1} {move.base}."}, r"swap, slot \{move.base\}: .*'ran'.* has no form `base`"),
        ({"premise": "The {animal1.many} {move.past}."}, r"swap, slot \{animal1.many\}: .*'owl' has no form `many`"),
        ({"premise": "The {animal3} and the {animal4}."}, r"swap, slot \{animal3\}: needs 4 different words, .* has 3"),
        ({"premise": "{animal}.", "hypothesis": "{animal}."}, r"swap: too few words for 4 .* 3 \(\{animal\} from 3\)"),
        ({"premise": "The {Animal} ran."}, r"swap: cannot read the slot '\{Animal\}'"),
        ({"premise": "The {animal ran."}, r"swap: cannot read the slot"),
        ({"premise": 7}, r"swap: `premise` is 7"),
        ({"hypothesis": None}, r"swap: the key `hypothesis` is missing"),
        ({"heuristic": None}, r"swap: the key `heuristic` is missing"),
        ({"subcase": None}, r"subcase number 1: the key `subcase` is missing"),
        ({"label": "neutral"}, r"swap: unknown label 'neutral', expected entailment or non-entailment"),
        ({"lable": "entailment"}, r"swap: unknown key `lable`"),
    ],
)
def test_a_mistake_in_a_subcase_names_it(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        expand(toy(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs_per_subcase": 0}, "pairs_per_subcase is 0"),
        ({"pairs_per_subcase": True}, "pairs_per_subcase is True"),
        ({"words": {"animal": ["owl", False]}}, "words.animal: False is neither text"),
        ({"words": {"animal": []}}, "words.animal: expected a list"),
        ({"words": {"animal2": ["owl"]}}, "list name 'animal2'"),
        ({"subcases": []}, "at least one subcase"),
        ({"subcases": TOY["subcases"] * 2}, "swap: this name is used twice"),
        ({"subcases": ["swap"]}, "subcase number 1: expected keys .* got str"),
        ({"seed": 1}, "unknown key `seed`"),
    ],
)
def test_a_mistake_in_the_suite_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        expand({**TOY, **changes})
