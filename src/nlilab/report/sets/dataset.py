"""What the analyses found in each data set, as the report asks for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.core.files import read_json
from nlilab.core.params import run_settings
from nlilab.report.pairs import ordered, rank

ALL = "all"  # the key of all rows, or all labels
FIELDS = ("premise", "hypothesis")
LEAKS = ("exact", "grams", "near")  # found word by word; what lies near in embeddings is listed, and counts apart
NOBODY = {"rows": 0, "samples": {}, "graders": {}, "pairs": [], "generators": {}}  # what people said, before any did

Estimate = Mapping[str, float]


@dataclass(frozen=True)
class DataSet:
    """One table: metrics/analysis/<name>.json and metrics/difficulty/<name>.json, either of which may be missing."""

    name: str
    task: str
    analysis: Mapping[str, Any]
    difficulty: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]

    @property
    def labels(self) -> list[str]:
        """Its labels, the positive one of two first."""
        return sorted(self.analysis.get("labels") or self.difficulty["labels"], key=rank)

    @property
    def slug(self) -> str:
        """The name as an address within the page."""
        return self.name.replace("/", "-").replace(".", "-")

    @property
    def written(self) -> bool:
        """Whether generators wrote it."""
        return bool(self.analysis.get("origin"))

    def artefacts(self, size: str = ALL) -> Mapping[str, Any]:
        """What a linear model gets right from one sentence alone, at a number of rows; empty where it has fewer."""
        found: Mapping[str, Any] = self.analysis.get("artefacts", {}).get("sizes", {}).get(size, {})
        return found

    def words(self, field: str, budget: str) -> Mapping[str, Any]:
        """The diversity of a field's first so many words; empty where it has fewer."""
        found: Mapping[str, Any] = self.analysis.get("lexical", {}).get(field, {}).get("budgets", {}).get(budget, {})
        return found

    def self_bleu(self, field: str) -> Mapping[str, Any]:
        """The self-BLEU of a `sample` of a field's sentences, and its `value`; empty where they are too few."""
        return self.analysis["lexical"][field].get("self_bleu") or {}

    def cosine(self, field: str, label: str = ALL) -> Mapping[str, Any]:
        """How near the sentences of a field lie to each other: `cosine` and its `histogram`; empty where unknown."""
        found: Mapping[str, Any] = self.analysis.get("semantic", {}).get(field, {}).get(label, {})
        return found

    def entities(self) -> dict[str, Mapping[str, Any]]:
        """The entity types that occur, the most frequent first."""
        types: Mapping[str, Any] = self.analysis.get("entities", {}).get("types", {})
        return dict(sorted(types.items(), key=lambda item: (-item[1]["mentions"], item[0])))

    def leaks(self, suite: str | None = None) -> int:
        """How many rows stand, or nearly stand, in a suite; in all suites where none is named."""
        found = self.analysis.get("leakage", {})
        return sum(found[name][kind] for name in ([suite] if suite else found) for kind in LEAKS)


def read_sets(metrics: Path) -> dict[str, DataSet]:
    """What may be trained on, and then the suites, as far as they were analysed."""
    run = run_settings()
    checked = _read(metrics / "gates.json").get("checked", [])
    out = {}
    for name in (*run.curated(), *(f"suites/{suite}" for suite in run.suites)):
        analysis, difficulty = (ordered(_read(metrics / kind / f"{name}.json")) for kind in ("analysis", "difficulty"))
        if not analysis and not difficulty:
            continue
        gates = [gate for gate in checked if gate["set"] == name]
        out[name] = DataSet(name, (analysis or difficulty)["task"], analysis, difficulty, gates)
    return out


def read_agreement(metrics: Path) -> Mapping[str, Any]:
    """What people said of sampled rows; nothing where nobody was asked."""
    return _read(metrics / "agreement.json") or NOBODY


@dataclass(frozen=True)
class Size:
    """The number of rows, or of words, at which sets are compared, as a key; None where no two share any."""

    key: str | None
    every: bool  # whether all sets have so many, or only two or more of them


def shared(keys: Iterable[Iterable[str]]) -> Size:
    """The largest number that stands among the keys of every set; else the largest that two of them have."""
    sets = [{int(key) for key in own if key != ALL} for own in keys]
    for every, wanted in ((True, len(sets)), (False, 2)):
        found = [size for size in set().union(*sets) if sum(size in own for own in sets) >= wanted]
        if found:
            return Size(str(max(found)), every)
    return Size(None, False)


def shared_rows(sets: Iterable[DataSet]) -> Size:
    """The number of rows at which sets compare."""
    return shared(one.analysis.get("artefacts", {}).get("sizes", {}) for one in sets)


def shared_words(sets: Iterable[DataSet], field: str) -> Size:
    """The number of a field's words at which sets compare."""
    return shared(one.analysis.get("lexical", {}).get(field, {}).get("budgets", {}) for one in sets)


def _read(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return found
