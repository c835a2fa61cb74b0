"""What the analyses found in each data set, and the figures by which sets are compared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlilab.core.files import read_json
from nlilab.report.numbers import percent, tenth, three, whole
from nlilab.report.records import ordered, rank, reach
from nlilab.report.tables import Cell, Column, estimate

ALL = "all"  # the key of all rows, or all labels
FIELDS = {"premise": "premises", "hypothesis": "hypotheses"}
LEAKS = ("exact", "grams", "near")  # found word by word; what lies near in embeddings is listed, and counts apart
VIEWS = {"pair": "the pair", "hypothesis": "hypothesis alone", "premise": "premise alone", "nothing": "nothing"}
ALONE = {"majority": "most frequent label", "hypothesis_only": "hypothesis alone", "premise_only": "premise alone"}


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

    def find(self, *path: str) -> Any:
        """What the analysis (or, under `difficulty`, that of the difficulty) has at a path; None where nothing."""
        return reach({**self.analysis, "difficulty": self.difficulty}, *path)

    def found(self, *path: str) -> Any:
        """A record at a path, empty where there is none."""
        return self.find(*path) or {}

    def artefacts(self, size: str = ALL) -> Any:
        """What a linear model gets right from one sentence alone, at a number of rows; empty where it has fewer."""
        return self.found("artefacts", "sizes", size)

    def entities(self) -> dict[str, Mapping[str, Any]]:
        """The entity types that occur, the most frequent first."""
        types = self.found("entities", "types")
        return dict(sorted(types.items(), key=lambda item: (-item[1]["mentions"], item[0])))

    def leaks(self) -> int | None:
        """How many rows stand, or nearly stand, in suites, counted for each; None where nobody looked."""
        found = self.found("leakage")
        return sum(suite[kind] for suite in found.values() for kind in LEAKS) if found else None


def read_set(metrics: Path, name: str, checked: Sequence[Mapping[str, Any]] = ()) -> DataSet | None:
    """One set as far as it was analysed, with its gates of all that were checked; None where it was not."""
    paths = [metrics / kind / f"{name}.json" for kind in ("analysis", "difficulty")]
    analysis, difficulty = (ordered(read_json(path)) if path.is_file() else {} for path in paths)
    if not analysis and not difficulty:
        return None
    gates = [gate for gate in checked if gate["set"] == name]
    return DataSet(name, (analysis or difficulty).get("task", ""), analysis, difficulty, gates)


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
    return shared(one.found("artefacts", "sizes") for one in sets)


def shared_words(sets: Iterable[DataSet], field: str) -> Size:
    """The number of a field's words at which sets compare."""
    return shared(one.found("lexical", field, "budgets") for one in sets)


Measure = tuple[Column, Callable[[DataSet], Cell]]


def measure(name: str, said: Callable[[float], str], path: str, group: str = "") -> Measure:
    """A column of what stands at a path a/b/c."""
    return Column(name, group), lambda one: estimate(one.find(*path.split("/")), said)


def compact(rows: str | None, words: str | None) -> list[Measure]:
    """The columns that say most, where sets are compared at so many rows and words."""
    return [
        (Column("rows"), lambda one: estimate(one.find("rows") or one.find("difficulty", "rows"), whole)),
        measure("hypothesis alone, %", percent, f"artefacts/sizes/{rows or ALL}/hypothesis_only"),
        measure("V-information, bits", three, "difficulty/v_information/pair"),
        measure("MTLD, hypotheses", tenth, f"lexical/hypothesis/budgets/{words or ''}/mtld"),
        measure("mean cosine, hypotheses", three, f"semantic/hypothesis/{ALL}/cosine"),
        (Column("leaks"), lambda one: estimate(one.leaks(), whole)),
        measure("flagged", whole, "difficulty/noise/flagged"),
    ]


def alone(key: str, group: str) -> list[Measure]:
    """What one sentence of the pair gives away, at a number of rows."""
    return [measure(name, percent, f"artefacts/sizes/{key}/{kind}", group) for kind, name in ALONE.items()]


def diversity(field: str, size: str | None, sample: str) -> list[Measure]:
    """How varied the words of a field are: at a number of words, and over all text."""
    at = f"lexical/{field}"
    kinds = {"vocabulary": "different words", "ttr": "type-token ratio", "mtld": "MTLD"}
    kinds |= {f"distinct_{n}": f"distinct-{n}" for n in (1, 2, 3)}
    digits: dict[str, Callable[[float], str]] = {"vocabulary": whole, "mtld": tenth}
    words = f"{whole(int(size or 0))} words"
    return [
        *(measure(n, digits.get(k, three), f"{at}/budgets/{size}/{k}", words) for k, n in kinds.items() if size),
        measure("self-BLEU", three, f"{at}/self_bleu/value", sample),
        measure("MTLD", tenth, f"{at}/mtld", "all text"),
        measure("sentences", whole, f"{at}/texts", "all text"),
        measure("words", whole, f"{at}/tokens", "all text"),
    ]


def cosines(labels: Sequence[str]) -> list[Measure]:
    """How near two sentences of a set lie to each other, over all rows and within labels."""
    return [
        measure(at, three, f"semantic/{f}/{at}/cosine", name) for f, name in FIELDS.items() for at in (ALL, *labels)
    ]


# How much a small model can use, from the pair or a part of it.
DIFFICULTY = [
    measure("rows", whole, "difficulty/rows"),
    measure("entropy of the labels", three, "difficulty/entropy", "bits"),
    *(measure(VIEWS[v], three, f"difficulty/v_information/{v}", "V-information, bits") for v in [*VIEWS][:3]),
    *(measure(name, percent, f"difficulty/accuracy/{view}", "right, %") for view, name in VIEWS.items()),
    measure("PVI below 0, %", percent, "difficulty/negative", "to reread"),
    measure("flagged", whole, "difficulty/noise/flagged", "to reread"),
]
