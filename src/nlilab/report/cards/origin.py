"""Where rows come from: who wrote them, on which prompts, under which terms, and what was done to them since."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nlilab.core.files import digest, read_json, read_table, read_text
from nlilab.core.params import conf_entry
from nlilab.datasets.entries import Dataset
from nlilab.llm.client import EMBEDDED
from nlilab.llm.writer import GeneratorEntry
from nlilab.report.cards.lock import scrubbed
from nlilab.report.cards.sets import DATA, Shared, bare, told
from nlilab.tasks.definition import TASKS

METRICS = Path("metrics")
OWN = "Apache-2.0"  # of this project, its grammar and its embedded data
THEIRS = "the provider's terms apply"

# Identifiers that the hub knows; anything else is `other` there, and stands in full in the text.
LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "odc-by", "odbl", "pddl", "cc0-1.0"),
    *(f"cc-by-{version}" for version in ("2.0", "2.5", "3.0", "4.0")),
    *(f"cc-by-{kind}-{version}" for kind in ("sa", "nc", "nc-sa") for version in ("3.0", "4.0")),
    *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
}


@dataclass(frozen=True)
class Origin:
    """One source of a table's rows.

    `settings` is the generator's entry, None for human data; `models` counts rows by the id that the provider
    returned; a prompt is (label, digest, file, rows). What is None was not done, or its figures are not there.
    """

    name: str
    rows: int
    licence: str
    source: str
    curation: Mapping[str, Any] | None
    settings: Mapping[str, Any] | None = None
    models: Mapping[str, int] = field(default_factory=dict)
    prompts: Sequence[tuple[str, str, str, int]] = ()
    judges: Sequence[str] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    correction: Mapping[str, Any] | None = None

    @property
    def by_grammar(self) -> bool:
        """Whether the embedded grammar wrote it: no human, and no language model."""
        return self.settings is not None and self.settings["provider"] == EMBEDDED

    @property
    def by_model(self) -> bool:
        """Whether a language model wrote it."""
        return self.settings is not None and not self.by_grammar


def origins(shared: Shared) -> list[Origin]:
    """The sources of a table, each with what was done to its rows up to there."""
    if shared.kind == "suites":
        return [_human(shared.rest, len(shared.rows), "suites", None)]
    if shared.kind == "arms":
        parts = {str(name): own for name, own in shared.rows.groupby("source")}
        return [origin(name, _traced(name, own), "curated") for name, own in parts.items()]
    return [origin(shared.rest, shared.rows, shared.kind)]


def origin(name: str, rows: pd.DataFrame, kind: str) -> Origin:
    """A source by name (task/generator, or a dataset) with the rows that came from it to a table of `kind`."""
    curation = found(METRICS / "curate" / f"{name}.json") if kind == "curated" else None
    if "/" not in name:
        return _human(name, len(rows), "sources", curation)
    task, _, generator = name.partition("/")
    entry = conf_entry("generators", generator, GeneratorEntry)
    rejects = DATA / "generated" / f"{name}.rejects.parquet"
    refused = read_table(rejects)["reason"].astype(str).map(told) if rejects.is_file() else pd.Series()
    return Origin(
        name,
        len(rows),
        licence_of(name),
        "the embedded grammar, not a language model" if entry.provider == EMBEDDED else "a language model",
        curation,
        settings=scrubbed(entry.model_dump(exclude_defaults=True)),
        models=_counts(rows, "model"),
        prompts=_prompts(rows, task),
        judges=list(_counts(rows, "judge")),
        refused=_counts(refused.to_frame("reason"), "reason"),
        correction=found(METRICS / "correct" / f"{name}.json") if kind in ("labelled", "curated") else None,
    )


def _human(name: str, rows: int, folder: str, curation: Mapping[str, Any] | None) -> Origin:
    """A dataset that others made, under their terms."""
    entry = conf_entry("datasets", name, Dataset)
    card = found(METRICS / folder / f"{name}.json") or entry.model_dump()
    source = f"{card['source']} ({entry.hub} at {entry.revision})" if entry.hub else card["source"]
    return Origin(name, rows, card["licence"], source, curation)


def licence_of(source: str) -> str:
    """The licence of a source of training rows: task/generator, or a dataset."""
    if "/" in source:
        entry = conf_entry("generators", source.partition("/")[2], GeneratorEntry)
        return OWN if entry.provider == EMBEDDED else THEIRS
    card = found(METRICS / "sources" / f"{source}.json")
    return str(card["licence"]) if card else conf_entry("datasets", source, Dataset).licence


def found(path: Path) -> Any:
    """A file of figures; None where it is not there."""
    return read_json(path) if path.is_file() else None


def identifiers(licences: Sequence[str]) -> str | list[str]:
    """The hub's identifiers of licences, each once, `other` where it has none; a single one by itself."""
    names = (licence.strip().lower().replace(" ", "-") for licence in licences)
    known = list(dict.fromkeys(name if name in LICENCES else "other" for name in names))
    return known[0] if len(known) == 1 else known


def _traced(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """An arm's rows of one source with all that its curated table knows of them, where that is there."""
    path = DATA / "curated" / f"{name}.parquet"
    if not path.is_file():
        return rows
    table = read_table(path).rename(columns={"label": "constrained_label"})
    drawn = rows["id"].str.partition("#")[0]  # a row that stands again, for balance, has a number behind its id
    return table.set_index("id").reindex(drawn).reset_index()


def _counts(rows: pd.DataFrame, column: str) -> dict[str, int]:
    """Rows by the values of a column, the most frequent first; empty where there is no such column."""
    counts = Counter(rows[column].dropna().astype(str).map(bare) if column in rows else ())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _prompts(rows: pd.DataFrame, task: str) -> list[tuple[str, str, str, int]]:
    """Which prompt file asked for which label, by the digest that the rows carry."""
    if "prompt" not in rows:
        return []
    files = {
        digest(read_text(path)): f"tasks/{path.relative_to(TASKS).as_posix()}"
        for folder in (TASKS / task / "generate", TASKS / "strategies")
        for path in sorted(folder.rglob("*.md"))
    }
    labels = rows["constrained_label" if "constrained_label" in rows else "label"]
    counts = Counter(zip(labels.astype(str), rows["prompt"].astype(str), strict=True))
    return [(name, key, files.get(key, "(no longer there)"), count) for (name, key), count in sorted(counts.items())]
