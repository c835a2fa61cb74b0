"""The figures of a set's analyses and of its difficulty, as rows of a table; what was not analysed is left out."""

from collections.abc import Mapping
from typing import Any

from nlilab.report.cards.origin import METRICS, found
from nlilab.report.numbers import percent

LEAKS = {"exact": "exactly", "grams": "by 8-grams", "near": "nearly", "embedding": "by embeddings (candidates)"}
WORDS = 3  # words that lean to a label, for each label

# What the card calls a figure, its place in metrics/analysis/<set>.json or metrics/difficulty/<set>.json, and whether
# it is a share (shown in %) or a number.
FIGURES = (
    ("right from the hypothesis alone, %", "analysis", ("artefacts", "sizes", "all", "hypothesis_only"), True),
    ("right from the premise alone, %", "analysis", ("artefacts", "sizes", "all", "premise_only"), True),
    ("always the most frequent label, %", "analysis", ("artefacts", "sizes", "all", "majority"), True),
    ("MTLD of the premises", "analysis", ("lexical", "premise", "mtld"), False),
    ("MTLD of the hypotheses", "analysis", ("lexical", "hypothesis", "mtld"), False),
    ("mean cosine of two premises", "analysis", ("semantic", "premise", "all", "cosine"), False),
    ("mean cosine of two hypotheses", "analysis", ("semantic", "hypothesis", "all", "cosine"), False),
    ("V-information of the pair, bits", "difficulty", ("v_information", "pair"), False),
    ("V-information of the hypothesis alone, bits", "difficulty", ("v_information", "hypothesis"), False),
    ("rows with PVI below 0 (candidate mislabels), %", "difficulty", ("negative",), True),
    ("rows that confident learning flags, %", "difficulty", ("noise", "share"), True),
)


def figures(name: str) -> list[list[str]]:
    """(figure, value, interval) of the set `name`; empty where nothing of it was analysed."""
    files = {kind: found(METRICS / kind / f"{name}.json") or {} for kind in ("analysis", "difficulty")}
    rows = []
    for title, kind, place, share in FIGURES:
        value = _at(files[kind], *place)
        bounds = value if isinstance(value, Mapping) else {"value": value}
        if bounds.get("value") is not None:
            shown = percent if share else _number
            low, high = bounds.get("low"), bounds.get("high")
            interval = "–" if low is None or high is None else f"{shown(low)} to {shown(high)}"
            rows.append([title, shown(bounds["value"]), interval])
    return rows + _leaning(files["analysis"]) + _leaked(files["analysis"])


def _leaning(analysis: Mapping[str, Any]) -> list[list[str]]:
    words = _at(analysis, "artefacts", "pmi") or {}
    return [
        [f"words that lean to {label} (PMI)", ", ".join(entry["word"] for entry in entries[:WORDS]), "–"]
        for label, entries in words.items()
        if entries
    ]


def _leaked(analysis: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"rows found in {suite}",
            ", ".join(f"{title} {counts[key]}" for key, title in LEAKS.items() if key in counts),
            "–",
        ]
        for suite, counts in (analysis.get("leakage") or {}).items()
    ]


def _at(value: Any, *keys: str) -> Any:
    """What stands at this place, None where there is no such place."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
