"""Analyses, difficulty, gates and grades as the stages write them, with figures of our own choice."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nlilab.core.files import read_json, write_json

LABELS = ["contradiction", "entailment", "neutral"]  # as classifiers number them
KINDS = ("GPE", "NORP", "PERSON", "DATE")


def lay_sets(folder: Path, sets: dict[str, list[int]], text: str = "Paris", difficult: tuple[str, ...] = ()) -> None:
    """Write metrics/analysis and its kin for these sets, each with its sizes, and name them in params.yaml."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    metrics = folder / "metrics"
    for number, (name, sizes) in enumerate(sets.items()):
        random = np.random.default_rng(number)
        reference = None if name == [*sets][-1] else [*sets][-1]
        write_json(metrics / "analysis" / f"{name}.json", _analysis(name, sizes, number, reference, text, random))
    for name in difficult:
        write_json(metrics / "difficulty" / f"{name}.json", _difficulty(name, text, np.random.default_rng(9)))
    checked = [
        {"set": name, "gate": gate, "limit": limit, "value": value, "passed": limit is None or value <= limit}
        for name in sets
        if name.startswith("curated/")
        for gate, limit, value in (("hypothesis_only", None, 0.45), ("leakage", 0, 2), ("balance", 0.1, 0.013))
    ]
    write_json(metrics / "gates.json", {"checked": checked})


def estimate(value: float, wide: float = 0.02) -> dict[str, float]:
    """A figure in the middle of its interval."""
    return {"value": round(value, 6), "low": round(value - wide, 6), "high": round(value + wide, 6)}


def lay_cost(folder: Path, source: str, text: str, **dollars: float | None) -> None:
    """Add a bill and corrected examples to a source's correction."""
    path = folder / "metrics" / "correct" / f"{source}.json"
    card = read_json(path)
    card["cost"] = {"generate_usd": 0.0, "rejected_usd": 0.0, "judge_usd": 0.0} | dollars
    card["examples"] = [
        {"id": "e1", "premise": text, "hypothesis": text, "constrained": "neutral", "corrected": "entailment"}
        | {"explanation": f"why: {text}"}
    ]
    write_json(path, card)


def lay_grades(folder: Path, names: tuple[str, ...] = ("ann", "bob")) -> None:
    """What two people said of 40 rows."""
    grades = {"A": 20, "B": 10, "C": 6, "D": 4}
    kappa = {key: estimate(0.61, 0.1) for key in ("kappa", "weighted_kappa", "raw", "spearman")}
    one = {"right": estimate(0.7, 0.1), "kappa": estimate(0.55, 0.1)}
    found = {
        "rows": 40,
        "samples": {"default": {"rows": 40}},
        "graders": {name: {"graded": 40, "grades": grades} for name in names},
        "pairs": [
            {"graders": [*names], "rows": 40, "grade": kappa, "label": {"kappa": kappa["kappa"], "raw": kappa["raw"]}}
        ],
        "generators": {
            "nli/grammar": {"rows": 40, "grades": grades, "before": one, "after": one, "difference": estimate(0.05)}
        },
    }
    write_json(folder / "metrics" / "agreement.json", found)


def _analysis(
    name: str, sizes: list[int], number: int, reference: str | None, text: str, random: np.random.Generator
) -> dict[str, Any]:
    edges = [round(-0.2 + 0.05 * n, 2) for n in range(25)]
    tenths = [round(n / 10, 1) for n in range(11)]

    def shares(bins: int, middle: float) -> list[float]:
        found = np.exp(-(((np.arange(bins) / bins - middle) / 0.15) ** 2))
        return [round(float(value), 6) for value in found / found.sum()]

    def lexical(field: str) -> dict[str, Any]:
        budgets = {
            str(tokens): {"vocabulary": estimate(tokens**0.7, 9), "mtld": estimate(40 + number, 2)}
            | {key: estimate(0.4 + 0.1 * number) for key in ("ttr", "distinct_1", "distinct_2", "distinct_3")}
            for tokens in (1000, 3000)
        }
        bleu = {"sample": 200, "value": estimate(0.31)}
        whole = {"texts": 480, "tokens": 6800, "vocabulary": 812, "mtld": 44.5}
        return {**whole, "budgets": budgets, "self_bleu": bleu}

    def semantic() -> dict[str, Any]:
        return {
            label: {"texts": 480, "cosine": estimate(0.1 + 0.05 * place, 0.01)}
            | {"histogram": {"edges": edges, "share": shares(24, 0.3 + 0.05 * place)}}
            for place, label in enumerate(["all", *LABELS])
        }

    artefacts = {
        str(size): {"rows": size, "majority": 0.34, "hypothesis_only": estimate(0.4 + size / 9000)}
        | {"premise_only": estimate(0.33)}
        for size in sizes
    }
    artefacts["all"] = {
        "rows": 1357,
        "majority": 0.34,
        "hypothesis_only": estimate(0.58),
        "premise_only": estimate(0.33),
    }
    top = [[text, 0.4], ["london", 0.2], ["rome", 0.1]]
    types = {
        kind: {"per_1000": estimate(float(random.uniform(1, 9)), 0.9), "mentions": 60 - 15 * place, "distinct": 12}
        | {"top": top, "top_10_share": 0.8}
        for place, kind in enumerate(KINDS)
    }
    jsd = {kind: estimate(0.3, 0.1) | {"chance": 0.12} for kind in (*KINDS[:2], "types")}
    jsd["DATE"] = {"value": None, "low": None, "high": None, "chance": None}
    near = {"id": "a", "suite_id": "b", "cosine": 0.93, "text": text, "suite_text": f"suite {text}"}
    leak = {"exact": 0, "grams": 1, "near": 1, "embedding": 3, "nearest": [near]}
    return {
        "set": name,
        "task": "nli",
        "rows": 1357,
        "premises": 480,
        "labels": dict.fromkeys(LABELS, 450),
        "label_column": "corrected_label" if name.startswith("curated/") else "label",
        "origin": ["grammar"] if name.startswith("curated/") else [],
        "lexical": {field: lexical(field) for field in ("premise", "hypothesis")},
        "semantic": {field: semantic() for field in ("premise", "hypothesis")},
        "artefacts": {
            "sizes": artefacts,
            "pmi": {label: [{"word": text, "pmi": 1.234, "count": 81, "share": 0.9}] for label in LABELS},
            "overlap": {
                label: {"mean": estimate(0.5), "histogram": {"edges": tenths, "share": shares(10, 0.3 + place / 5)}}
                for place, label in enumerate(LABELS)
            },
            "words": {label: {"premise": 14.2, "hypothesis": 7.1} for label in LABELS},
        },
        "entities": {"backend": "gazetteer 1", "tokens": 9000, "types": types}
        | {"reference": reference, "jsd": jsd if reference else {}},
        "leakage": {suite: leak for suite in ("held-out", "handwritten") if not name.endswith(suite)},
    }


def _difficulty(name: str, text: str, random: np.random.Generator) -> dict[str, Any]:
    examples = [
        {"id": f"row{n}", "premise": f"{text} {n}", "hypothesis": f"He walks {n}.", "label": LABELS[n % 3]}
        | {"pvi": round(-2 + n / 10, 6), "confidence": round(n / 60, 6), "variability": 0.1, "correctness": 0.6}
        | {"flagged": n < 5, "generator": "grammar", "region": "hard" if n < 15 else "easy"}
        for n in range(30)
    ]
    points = [
        [*np.round([random.uniform(0, 0.4), random.uniform(0, 1), random.uniform(0, 1)], 6).tolist(), n % 3]
        for n in range(200)
    ]
    bits = {"pair": estimate(0.42, 0.05), "hypothesis": estimate(0.2, 0.05), "premise": estimate(-0.01, 0.02)}
    right = {view: estimate(0.6) for view in ("pair", "hypothesis", "premise", "nothing")}
    edges = [round(-3 + n / 2, 1) for n in range(11)]
    return {
        "set": name,
        "task": "nli",
        "rows": 1000,
        "asked": 1000,
        "model": "package:tiny",
        "steps": 90,
        "folds": 2,
        "labels": LABELS,
        "v_information": bits,
        "by_label": {label: estimate(0.4) for label in LABELS},
        "entropy": 1.585,
        "accuracy": right,
        "pvi": {"edges": edges, "counts": {label: [n * n for n in range(10)] for label in LABELS}},
        "negative": 0.183,
        "noise": {"flagged": 37, "share": 0.037},
        "cartography": {"regions": {"easy": 600, "ambiguous": 250, "hard": 150}, "points": points},
        "examples": examples,
    }
