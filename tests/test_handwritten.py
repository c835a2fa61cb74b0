"""The hand-written suite is balanced, keeps its promises about shortcuts, and fills every slice."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nlilab.core.files import read_jsonl
from nlilab.verdict.suites import SLICES, slices

SUITE = Path(__file__).parents[1] / "data" / "embedded" / "handwritten.jsonl"
LABELS = {"entailment", "neutral", "contradiction"}
SHORTCUT_LIMIT = 0.45
LONG_WORDS = 20

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [row for _, row in read_jsonl(SUITE)]


def labels(rows: list[Row]) -> list[str]:
    return [row["label"] for row in rows]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def accuracies(model: Any, inputs: Any, rows: list[Row], groups: list[str]) -> tuple[float, float]:
    """Mean accuracy of five folds that keep groups whole, and of five random folds."""
    target = np.array(labels(rows))
    grouped = cross_val_score(model, inputs, target, groups=groups, cv=GroupKFold(5))
    random = cross_val_score(model, inputs, target, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    return float(grouped.mean()), float(random.mean())


def surface(row: Row) -> list[float]:
    """What can be counted without reading: share of the hypothesis in the premise, Jaccard overlap, both lengths."""
    premise, hypothesis = words(row["premise"]), words(row["hypothesis"])
    shared = len(set(premise) & set(hypothesis))
    return [
        shared / len(set(hypothesis)),
        shared / len(set(premise) | set(hypothesis)),
        len(premise),
        len(hypothesis),
        len(premise) - len(hypothesis),
    ]


def test_size_domains_and_balance(rows: list[Row]) -> None:
    assert len(rows) >= 360
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(set(row) == {"id", "premise", "hypothesis", "label", "group", "domain"} for row in rows)
    per_cell = Counter((row["domain"], row["label"]) for row in rows)
    assert len({domain for domain, _ in per_cell}) == 12
    assert set(labels(rows)) == LABELS
    assert len(set(per_cell.values())) == 1, "every domain holds every label equally often"


def test_every_hypothesis_occurs_once_with_each_label(rows: list[Row]) -> None:
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        seen[row["group"], row["hypothesis"]].append(row["label"])
    assert all(sorted(found) == sorted(LABELS) for found in seen.values())
    assert len({hypothesis for _, hypothesis in seen}) == len(seen), "a hypothesis belongs to one group"


def test_texts_are_clean_and_shared_only_inside_a_group(rows: list[Row]) -> None:
    assert len({(row["premise"], row["hypothesis"]) for row in rows}) == len(rows)
    group_of: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for text in (row["premise"], row["hypothesis"]):
            assert text == " ".join(text.split()) and text[-1] in '.!?"'
            group_of[text].add(row["group"])
    assert all(len(groups) == 1 for groups in group_of.values())


def test_every_domain_asks_two_hypotheses_of_the_same_premises(rows: list[Row]) -> None:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        found[row["domain"], row["premise"]].append(row["label"])
    shared = {place: answers for place, answers in found.items() if len(answers) > 1}
    assert min(Counter(domain for domain, _ in shared).values()) >= 3
    assert len({domain for domain, _ in shared}) == 12
    assert all(len(set(answers)) == len(answers) for answers in shared.values()), "the labels rotate"


def test_the_hypothesis_alone_gives_nothing_away(rows: list[Row]) -> None:
    model = make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    hypotheses = [row["hypothesis"] for row in rows]
    assert max(accuracies(model, hypotheses, rows, hypotheses)) < SHORTCUT_LIMIT


def test_the_words_of_the_premise_alone_give_little_away(rows: list[Row]) -> None:
    model = make_pipeline(CountVectorizer(min_df=2), LogisticRegression(max_iter=1000))
    groups = [row["group"] for row in rows]
    assert max(accuracies(model, [row["premise"] for row in rows], rows, groups)) < SHORTCUT_LIMIT


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(25, min_samples_leaf=5, random_state=0),
    ],
    ids=["linear", "forest"],
)
def test_overlap_and_length_give_little_away(rows: list[Row], model: Any) -> None:
    features = np.array([surface(row) for row in rows])
    assert max(accuracies(model, features, rows, [row["group"] for row in rows])) < SHORTCUT_LIMIT


def test_every_slice_is_filled_for_every_label(rows: list[Row]) -> None:
    table = pd.DataFrame(rows)
    sides = slices(table, LONG_WORDS)
    for name in SLICES:
        counts = table["label"][sides[name] != ""].value_counts()
        assert counts.sum() >= 40 and counts.reindex(sorted(LABELS)).min() >= counts.sum() / 4, (name, dict(counts))
