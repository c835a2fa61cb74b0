"""Where rows come from: who wrote them, on which prompts, under which terms, and what was done to them since."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    settings: Mapping[str, Any] | None
    models: Mapping[str, int]
    prompts: Sequence[tuple[str, str, str, int]]
    judges: Sequence[str]
    refused: Mapping[str, int]
    correction: Mapping[str, Any] | None
    curation: Mapping[str, Any] | None

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
        counts = shared.rows["source"].value_counts()
        rows = {name: shared.rows[shared.rows["source"] == name] for name in sorted(counts.index)}
        return [origin(name, _traced(name, own), "curated") for name, own in rows.items()]
    return [origin(shared.rest, shared.rows, shared.kind)]


def origin(name: str, rows: pd.DataFrame, kind: str) -> Origin:
    """A source by name (task/generator, or a dataset) with the rows that came from it to a table of `kind`."""
    curation = found(METRICS / "curate" / f"{name}.json") if kind == "curated" else None
    if "/" not in name:
        return _human(name, len(rows), "sources", curation)
    task, _, generator = name.partition("/")
    entry = conf_entry("generators", generator, GeneratorEntry)
    rejects = DATA / "generated" / f"{name}.rejects.parquet"
    corrected = kind in ("labelled", "curated")
    return Origin(
        name=name,
        rows=len(rows),
        licence=licence_of(name),
        source="the embedded grammar, not a language model" if entry.provider == EMBEDDED else "a language model",
        settings=scrubbed(entry.model_dump(exclude_defaults=True)),
        models=_counts(rows, "model"),
        prompts=_prompts(rows, task),
        judges=list(_counts(rows, "judge")),
        refused=_refused(read_table(rejects)) if rejects.is_file() else {},
        correction=found(METRICS / "correct" / f"{name}.json") if corrected else None,
        curation=curation,
    )


def _human(name: str, rows: int, folder: str, curation: Mapping[str, Any] | None) -> Origin:
    """A dataset that others made, under their terms."""
    entry = conf_entry("datasets", name, Dataset)
    card = found(METRICS / folder / f"{name}.json") or entry.model_dump()
    source = f"{card['source']} ({entry.hub} at {entry.revision})" if entry.hub else card["source"]
    return Origin(name, rows, card["licence"], source, None, {}, (), (), {}, None, curation)


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


def identifier(licence: str) -> str:
    """The hub's identifier of a licence, `other` where it has none."""
    name = licence.strip().lower().replace(" ", "-")
    return name if name in LICENCES else "other"


def identifiers(licences: Sequence[str]) -> str | list[str]:
    """The hub's identifiers of licences, each once; a single one by itself."""
    names = list(dict.fromkeys(map(identifier, licences)))
    return names[0] if len(names) == 1 else names


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
    if column not in rows:
        return {}
    counts = Counter(rows[column].dropna().astype(str).map(bare))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _refused(rejects: pd.DataFrame) -> dict[str, int]:
    """Answers that were not taken, by their reason."""
    return _counts(rejects.assign(reason=rejects["reason"].astype(str).map(told)), "reason")


def _prompts(rows: pd.DataFrame, task: str) -> list[tuple[str, str, str, int]]:
    """Which prompt file asked for which label, by the digest that the rows carry."""
    label = "constrained_label" if "constrained_label" in rows else "label"
    if "prompt" not in rows:
        return []
    files = {
        digest(read_text(path)): f"tasks/{path.relative_to(TASKS).as_posix()}"
        for folder in (TASKS / task / "generate", TASKS / "strategies")
        for path in sorted(folder.rglob("*.md"))
    }
    counts = Counter(zip(rows[label].astype(str), rows["prompt"].astype(str), strict=True))
    return [(name, key, files.get(key, "(no longer there)"), count) for (name, key), count in sorted(counts.items())]
