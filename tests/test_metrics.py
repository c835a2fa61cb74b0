"""Metrics and statistics against hand-computed toys, published numbers and independent implementations."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from nlilab.core.schema import THREE_WAY, TWO_WAY
from nlilab.verdict import metrics

# HANS's 30 subcases in the official order: five a block.
HANS_BLOCKS = [
    ("lexical_overlap", "non-entailment"),
    ("lexical_overlap", "entailment"),
    ("subsequence", "non-entailment"),
    ("subsequence", "entailment"),
    ("constituent", "non-entailment"),
    ("constituent", "entailment"),
]


def test_hans_cells_reproduce_the_published_bert_scores(real_data: Path) -> None:
    lines = (real_data / "hans_bert_preds.txt").read_text().splitlines()[1:]
    number, predicted = zip(*(line.removeprefix("ex").split(",") for line in lines), strict=True)
    blocks = [HANS_BLOCKS[int(row) // 5000] for row in number]
    cell = np.array([heuristic for heuristic, _ in blocks])
    gold = np.array([label for _, label in blocks])
    correct = np.where(np.array(predicted) == "entailment", "entailment", "non-entailment") == gold
    found = metrics.cells(gold, correct, cell)
    assert {key: round(value, 3) for key, value in found.items()} == {
        "lexical_overlap/entailment": 0.946,
        "lexical_overlap/non-entailment": 0.164,
        "subsequence/entailment": 0.993,
        "subsequence/non-entailment": 0.039,
        "constituent/entailment": 0.984,
        "constituent/non-entailment": 0.161,
    }
    assert round(float(correct.mean()), 3) == 0.548


def test_two_way_suites_collapse_after_the_argmax() -> None:
    split = np.array([[0.40, 0.35, 0.25], [0.2, 0.5, 0.3]])  # P(not entailed) of the first row is 0.6
    assert metrics.argmax_then_map(split, THREE_WAY, TWO_WAY).tolist() == ["entailment", "non-entailment"]
    assert metrics.prob_sum(split, THREE_WAY, TWO_WAY)[0].tolist() == pytest.approx([0.4, 0.6])
    assert metrics.argmax_then_map(split, THREE_WAY, THREE_WAY).tolist() == ["entailment", "neutral"]


def test_evaluate_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    gold = random.choice(THREE_WAY, 200)
    probabilities = random.dirichlet([1, 1, 1], 200)
    found = metrics.evaluate(gold, probabilities, THREE_WAY, THREE_WAY)
    predicted = metrics.argmax_then_map(probabilities, THREE_WAY, THREE_WAY)
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, labels=THREE_WAY, average="macro"))
    order = [sorted(THREE_WAY).index(label) for label in THREE_WAY]
    alphabetical = np.empty_like(probabilities)
    alphabetical[:, order] = probabilities
    assert found["loss"] == pytest.approx(log_loss(gold, alphabetical, labels=sorted(THREE_WAY)))
    assert sum(part["rows"] for part in found["classes"].values()) == 200


def test_calibration_error_of_a_toy() -> None:
    # Two bins: 0.9 sure and always right (gap 0.1), 0.6 sure and right half the time (gap 0.1).
    confidence = np.array([0.9, 0.9, 0.6, 0.6])
    assert metrics.calibration_error(confidence, np.array([True, True, True, False])) == pytest.approx(0.1)


def test_transitions_use_the_denominators_that_answer_a_question() -> None:
    before = np.array([True] * 6 + [False] * 4)
    after = np.array([True] * 5 + [False] + [True] * 3 + [False])
    found = metrics.transitions(before, after)
    assert (found["fixed"], found["introduced"], found["remaining"], found["kept"]) == (3, 1, 1, 5)
    assert found["fixed_share"] == 3 / 4
    assert found["introduced_share"] == 1 / 6
    assert found["net_share"] == -2 / 4
    assert found["of_errors_fixed"] == 3 / 5
